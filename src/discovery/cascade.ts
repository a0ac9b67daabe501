/**
 * Asks the sources in order of preference, hedged: the next starts when the one before it has failed, knows nothing or
 * has been silent for a while; the best-ranked answer wins; one deadline ends everything.
 * Input:  sources in order, the target, limits in ms. Output: Discovery, with the trail of what each source said.
 * Errors: none; a source that throws has failed, and its reason is in the trail.
 */
import { reasonOf } from "../core/errors.ts";
import type { Host } from "../core/host.ts";
import { escapeControl } from "../core/text.ts";
import type { Cib } from "./cib.ts";
import type { ClusterFacts, Filesystem, Method, PendingOperation, ProbeOutcome, Scope, Source } from "./source.ts";

/** Silent for this long, a source has company. */
const HEDGE_MS = 250;
/** Once any source has found something, better-ranked ones get this much more. */
const GRACE_MS = 1_000;
const SOURCE_MS = 5_000;

export type Attempt = {
  method: Method;
  status: ProbeOutcome["status"] | "unfinished";
  elapsedMs: number;
  reason?: string;
};

export type Discovery = {
  /** found · none: asked, knows none · unknown: no source could be asked */
  result: "found" | "none" | "unknown";
  method?: Method;
  scope?: Scope;
  filesystems: readonly Filesystem[];
  elapsedMs: number;
  attempts: readonly Attempt[];
};

export type CascadeOptions = {
  target: string;
  host: Host;
  /** For all sources together, from now. */
  timeoutMs: number;
  cib: () => Promise<Cib>;
  learn: (facts: { cluster?: ClusterFacts; operation?: PendingOperation }) => void;
  /** Called whenever more is known, so that it can be kept in case we are killed. */
  onProgress?: (soFar: Discovery) => void;
};

type Asked = { source: Source; startedMs: number; endedMs?: number; outcome?: ProbeOutcome; answered: Promise<void> };

export async function discover(sources: readonly Source[], options: CascadeOptions): Promise<Discovery> {
  const { target, host, timeoutMs, cib, learn, onProgress } = options;
  const startMs = host.monotonicMs();
  const stop = new AbortController();
  const asked: Asked[] = [];

  const ask = (source: Source): void => {
    const startedMs = host.monotonicMs();
    const left = Math.max(0, Math.floor(timeoutMs - (startedMs - startMs)));
    const answered = source
      .probe({ target, host, timeoutMs: Math.min(SOURCE_MS, left), signal: stop.signal, cib, learn })
      .catch((error: unknown): ProbeOutcome => ({ status: "failed", reason: reasonOf(error) }))
      .then((outcome) => {
        Object.assign(entry, { outcome, endedMs: host.monotonicMs() });
        onProgress?.(summarise(asked, host.monotonicMs() - startMs));
      });
    const entry: Asked = { source, startedMs, answered };
    asked.push(entry);
  };

  /** An answer that no source still running could better, or everybody has spoken. */
  const settled = (): boolean => {
    const found = asked.findIndex(({ outcome }) => outcome?.status === "found");
    if (found !== -1) return asked.slice(0, found).every(({ outcome }) => outcome !== undefined);
    return asked.length === sources.length && asked.every(({ outcome }) => outcome !== undefined);
  };

  const cascade = async (): Promise<void> => {
    let graceEndsMs: number | undefined;
    while (!settled() && !stop.signal.aborted) {
      const nowMs = host.monotonicMs();
      const next = sources[asked.length];
      const last = asked.at(-1);
      if (asked.some(({ outcome }) => outcome?.status === "found")) {
        graceEndsMs ??= nowMs + GRACE_MS;
        if (nowMs >= graceEndsMs) return;
      } else if (next && (!last || last.outcome || nowMs - last.startedMs >= HEDGE_MS)) {
        ask(next);
        continue;
      }
      const waitMs = graceEndsMs ?? (next && last ? last.startedMs + HEDGE_MS : undefined);
      const timer = new AbortController();
      await Promise.race([
        ...asked.filter(({ outcome }) => outcome === undefined).map(({ answered }) => answered),
        ...(waitMs === undefined ? [] : [host.sleep(Math.max(1, waitMs - nowMs), timer.signal)]),
      ]);
      timer.abort();
    }
  };

  await Promise.race([cascade(), host.sleep(timeoutMs, stop.signal)]);
  const discovery = summarise(asked, host.monotonicMs() - startMs);
  stop.abort();
  return discovery;
}

function summarise(asked: readonly Asked[], elapsedMs: number): Discovery {
  const attempts = asked.map(({ source, startedMs, endedMs, outcome }): Attempt => {
    const attempt = {
      method: source.method,
      elapsedMs: (endedMs ?? elapsedMs + (asked[0]?.startedMs ?? 0)) - startedMs,
    };
    if (!outcome) return { ...attempt, status: "unfinished", reason: "had not answered when the asking ended" };
    const reason = "reason" in outcome ? escapeControl(outcome.reason).slice(0, 400) : undefined;
    return { ...attempt, status: outcome.status, ...(reason === undefined ? {} : { reason }) };
  });
  const best = asked.find(({ outcome }) => outcome?.status === "found");
  if (best?.outcome?.status === "found") {
    const { scope, filesystems } = best.outcome;
    return { result: "found", method: best.source.method, scope, filesystems, elapsedMs, attempts };
  }
  const result = asked.some(({ outcome }) => outcome?.status === "empty") ? "none" : "unknown";
  return { result, filesystems: [], elapsedMs, attempts };
}
