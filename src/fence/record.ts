/**
 * Records one on, off or reboot: intent first, then guard and discovery beside each other, then the final line.
 * Never later than the discovery deadline plus the writer's second; never a failure, but where success would be a lie
 * (the guard, SPEC 3) or, by hand, where nothing could be written.
 */
import { v7 as uuidv7 } from "uuid";
import { bootId } from "../core/process-identity.ts";
import { escapeControl } from "../core/text.ts";
import { VERSION } from "../core/version.ts";
import { discover } from "../discovery/cascade.ts";
import { type Cib, clusterFacts, readCib, readCibFile } from "../discovery/cib.ts";
import { dlmSource } from "../discovery/dlm.ts";
import { kubernetesSource } from "../discovery/kubernetes.ts";
import { nameByLockspace, readLocalMounts } from "../discovery/local-gfs2.ts";
import { pacemakerSource } from "../discovery/pacemaker.ts";
import { type EventAction, encodeEvent, type FenceEvent, renderFields } from "../records/fence-event.ts";
import { AGENT_PROGRAM, type AgentContext, calledByFencer } from "./agent.ts";
import { askGuard, encodeVerdict, guardFileName } from "./guard.ts";
import { startRecording } from "./recording.ts";

/** The intent is on disk before anybody is asked, or at the latest this much after. */
const INTENT_WAIT_MS = 20;
/** The agent waits this long for the event to be written, then leaves it to the writer. */
const WRITE_WAIT_MS = 1_000;
const CIB_TIMEOUT_MS = 1_000;
/** By hand the cluster's own name and DC are worth a short wait, no more. */
const FACTS_WAIT_MS = 250;

export async function recordAction(context: AgentContext, action: EventAction, target: string): Promise<number> {
  const { host, options, warn } = context;
  const startedMs = host.monotonicMs();
  const byFencer = calledByFencer(context);
  let event: FenceEvent = {
    eventId: uuidv7(),
    action,
    target,
    ...(options.plug === undefined ? {} : { plug: options.plug }),
    status: "initiated",
    details: `Fence action ${action} ${byFencer ? "initiated by Pacemaker" : "requested by hand"}`,
    recorderNode: host.hostname(),
    source: byFencer ? "stonith" : "manual",
    time: host.now(),
    discovery: { result: options.discoveryEnabled ? "unknown" : "disabled", elapsedMs: 0, attempts: [] },
    filesystems: [],
    role: options.role,
    bootId: bootId(host),
    agentVersion: VERSION,
  };
  const recording = startRecording(context, {
    kind: "intent",
    log: { directory: options.logDir, operationalLog: options.fenceLog },
    tag: AGENT_PROGRAM,
    pid: process.pid,
    event: encodeEvent(event),
  });
  const know = (more: Partial<FenceEvent>) => {
    event = { ...event, ...more };
    recording.update(encodeEvent(event));
  };
  const learn: Parameters<typeof discover>[1]["learn"] = ({ cluster, operation }) => {
    if (cluster) event = { ...event, cluster: { ...event.cluster, ...cluster } };
    if (operation) event = { ...event, operation };
  };
  await recording.intentStored(INTENT_WAIT_MS);

  const stop = new AbortController();
  const liveCib = once(() => readCib(host, { timeoutMs: CIB_TIMEOUT_MS, signal: stop.signal }));
  const fileCib = once(() => readCibFile(host, { timeoutMs: CIB_TIMEOUT_MS, signal: stop.signal }));
  const factsKnown =
    byFencer || options.discoveryEnabled ? liveCib().then((cib) => learnFacts(cib, target, event, learn)) : undefined;
  factsKnown?.catch(() => undefined);

  const guarding = byFencer ? askGuard({ host, target, readCib: liveCib, readCibFile: fileCib }) : undefined;
  const guarded = guarding?.then(({ verdict, source, reason }) => {
    const refused = verdict !== "ok" && action !== "on";
    know({
      guard: { verdict, source, reason },
      ...(refused ? { status: "refused", details: `${event.details}; refused: ${reason}` } : {}),
    });
  });
  const leftMs = Math.max(0, options.discoveryTimeoutMs - (host.monotonicMs() - startedMs));
  const discovered = options.discoveryEnabled
    ? discover([kubernetesSource(options), dlmSource(), pacemakerSource()], {
        target,
        host,
        timeoutMs: leftMs,
        cib: () => liveCib().catch(() => fileCib()),
        learn,
        onProgress: ({ filesystems, ...discovery }) => know({ discovery, filesystems }),
      }).then(({ filesystems, ...discovery }) => {
        know({
          discovery,
          filesystems:
            discovery.method === "kubernetes" ? filesystems : nameByLockspace(filesystems, readLocalMounts(host)),
        });
      })
    : undefined;
  await Promise.all([guarded, discovered]);
  if (!byFencer && factsKnown) await Promise.race([factsKnown.catch(() => undefined), host.sleep(FACTS_WAIT_MS)]);
  stop.abort();

  const { guard } = event;
  const keep = guard && guard.verdict !== "unknown" && guard.source !== "last-verdict";
  const debugging = options.verboseLevel > 0 || options.debugFile !== undefined;
  const trail = debugging ? renderTrail(event) : "";
  if (options.verboseLevel > 0) for (const line of trail.trimEnd().split("\n")) warn(line);
  const written = await recording.finish(
    {
      kind: "final",
      event: encodeEvent(event),
      ...(keep
        ? { verdict: { fileName: guardFileName(target), text: encodeVerdict({ ...guard, target, time: event.time }) } }
        : {}),
      ...(options.debugFile === undefined ? {} : { debug: { path: options.debugFile, text: trail } }),
    },
    WRITE_WAIT_MS,
  );

  const safe = written?.where === "log" || written?.where === "spool";
  const because = written?.reason ?? `the writer did not answer within ${WRITE_WAIT_MS} ms`;
  if (written?.where === "spool") warn(`${action} of ${escapeControl(target)}: in the spool: ${because}`);
  if (!safe)
    warn(
      `${action} of ${escapeControl(target)}: not confirmed in the log: ${because}: ${JSON.stringify(encodeEvent(event))}`,
    );
  if (event.status === "refused") {
    warn(`${action} of ${escapeControl(target)} refused: ${guard?.reason}`);
    warn(`try: pcs stonith level add 1 ${/^[\w.-]+$/.test(target) ? target : "NODE"} POWER_DEVICE RECORDER`);
    return 1;
  }
  if (!byFencer && written?.where === "log") warn(`recorded in ${options.logDir}: ${renderFields(encodeEvent(event))}`);
  return safe || byFencer ? 0 : 1;
}

const once = <T>(ask: () => Promise<T>): (() => Promise<T>) => {
  let asked: Promise<T> | undefined;
  return () => {
    asked ??= ask();
    return asked;
  };
};

/** The configuration knows the cluster's name; what crm_mon says of the rest is fresher. */
function learnFacts(
  cib: Cib,
  target: string,
  event: FenceEvent,
  learn: (facts: { cluster: FenceEvent["cluster"] & object }) => void,
): void {
  learn({ cluster: { ...clusterFacts(cib, target), ...event.cluster } });
}

function renderTrail({ discovery, guard, action, target }: FenceEvent): string {
  const lines = discovery.attempts.map(
    ({ method, status, elapsedMs, reason }) =>
      `discovery: ${method}: ${status} in ${Math.round(elapsedMs)} ms${reason ? `: ${reason}` : ""}`,
  );
  if (guard) lines.unshift(`guard: ${guard.verdict} (${guard.source}): ${guard.reason}`);
  return [`${action} of ${escapeControl(target)}`, ...lines].map((line) => `${line}\n`).join("");
}
