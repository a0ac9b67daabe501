/**
 * Which fences of a node are known, and which of them is asked for: lines of logs, entries of Pacemaker's history and our
 * own incidents that are the same operation are one candidate.
 * Errors: OpsError bad-input when no source knows of a fence of that target, or of the one asked for; usage when the id
 *         asked for fits several.
 */
import { OpsError } from "../../core/errors.ts";
import { MERGED_MS } from "../../records/fencing-history.ts";
import { type Filters, hasFilters } from "../filter.ts";
import { matchesIncident } from "../incident-filter.ts";
import { idInHistory } from "../incident-record.ts";
import { type Incident, TOLERANCE_MS } from "../incidents.ts";
import { type FactOf, isKind, isSame, type LogFact } from "../logs/fact.ts";
import { type ReconciledFence, reconcile } from "../reconcile.ts";
import type { Explanation, WhichFence, WhySources } from "../why.ts";

export const LOOK_BACK_MS = 900_000;

type FinishedFact = LogFact & FactOf<"finished">;
export type Candidate = {
  id: string;
  ids: string[];
  /** What was asked for, of a fence that runs: a reboot runs, and stands in the history, as its off or its on. */
  asked?: string;
  startedMs: number;
  endedMs: number | undefined;
  finished: FinishedFact[];
  incident?: Incident;
  fence?: ReconciledFence;
};

export function candidatesOf(
  { target, incidents, history }: WhySources,
  facts: readonly LogFact[],
  targetId: number | undefined,
): Candidate[] {
  const candidates: Candidate[] = [];
  const mine = facts.filter(isKind("finished")).filter((fact) => isSame(fact.target, target));
  for (const fact of mine) {
    const endedMs = fact.timeMs;
    if (endedMs === undefined) continue;
    const same = candidates.find(
      (other) =>
        other.ids.includes(fact.id) ||
        // The duplicate of a merged request ends with the one it was merged into.
        ((fact.merged || other.finished.some(({ merged }) => merged)) &&
          Math.abs((other.endedMs ?? 0) - endedMs) <= MERGED_MS),
    );
    if (same) {
      same.finished.push(fact);
      if (!same.ids.includes(fact.id)) same.ids.push(fact.id);
      same.endedMs = Math.min(same.endedMs ?? endedMs, endedMs);
    } else {
      candidates.push({ id: fact.id, ids: [fact.id], startedMs: endedMs, endedMs, finished: [fact] });
    }
  }
  for (const candidate of candidates) candidate.startedMs = startOf(candidate, facts, target, targetId);
  addRunning(candidates, facts, target);
  const { fences } = reconcile(history, []);
  const mineOf = fences.filter((known) => isSame(known.target, target));
  for (const fence of mineOf.filter(({ completedMs }) => completedMs !== undefined)) {
    const same = nearest(
      candidates.filter((other) => !other.fence),
      (other) => historyDistance(other, fence),
    );
    if (same) takeFence(same, fence);
    else addFence(candidates, fence, facts, targetId);
  }
  const writtenMs = Math.max(...fences.map(({ completedMs = Number.NEGATIVE_INFINITY }) => completedMs));
  const waiting = mineOf.filter((fence) => {
    if (fence.completedMs !== undefined) return false;
    const running = candidates.find((other) => !other.fence && other.endedMs === undefined);
    const same = endedLater(candidates, fence, writtenMs) ?? running;
    if (same) takeFence(same, fence);
    return !same;
  });
  for (const incident of incidents.filter((known) => isSame(known.target, target))) {
    const lastMs = incident.completedMs ?? incident.events.at(-1)?.timeMs ?? incident.startedMs;
    // Fences of one node follow one another: the one whose time the lines lie in, or lie nearest to.
    const same = nearest(
      candidates.filter((other) => !other.incident),
      ({ startedMs, endedMs = Number.POSITIVE_INFINITY }) =>
        Math.max(0, incident.startedMs - endedMs, Math.min(startedMs, endedMs) - lastMs),
    );
    const ids = [incident.id, ...[...incident.events, ...incident.outcomes].flatMap(({ eventId }) => eventId ?? [])];
    if (same) {
      same.incident = incident;
      same.ids.push(...ids);
      same.id = incident.id;
      same.startedMs = Math.min(same.startedMs, incident.startedMs);
    } else {
      candidates.push({
        id: incident.id,
        ids,
        startedMs: incident.startedMs,
        endedMs: incident.completedMs,
        finished: [],
        incident,
      });
    }
  }
  for (const fence of waiting) {
    const same = endedLater(candidates, fence, writtenMs);
    if (same) takeFence(same, fence);
    else addFence(candidates, fence, facts, targetId);
  }
  return candidates.sort((a, b) => a.startedMs - b.startedMs);
}

/** By the id that the history gives it, it is asked for too. */
function takeFence(candidate: Candidate, fence: ReconciledFence): void {
  candidate.fence = fence;
  candidate.ids.push(idInHistory(fence));
}

/** The history has no beginnings; where dlm_controld was the one that asked, its own log has it. */
function addFence(
  candidates: Candidate[],
  fence: ReconciledFence,
  facts: readonly LogFact[],
  targetId: number | undefined,
): void {
  const id = idInHistory(fence);
  const { completedMs = Number.POSITIVE_INFINITY } = fence;
  const clients = fence.entries.map(({ client }) => client);
  const asked = facts
    .filter(isKind("dlm-fence-asked"))
    .findLast(
      ({ nodeId, pid, timeMs = Number.POSITIVE_INFINITY }) =>
        nodeId === targetId && clients.includes(`stonith-api.${pid}`) && timeMs <= completedMs,
    );
  const startedMs = asked?.timeMs ?? completedMs;
  const candidate = { id, ids: [id], startedMs, endedMs: fence.completedMs, finished: [], fence };
  // dlm_stonith asks for a reboot. Source: dlm 4.2.0 fence/dlm_stonith.c; the captured logs
  const isReboot = asked !== undefined || fence.entries.some(({ action }) => action === "reboot");
  candidates.push(isReboot ? { ...candidate, asked: "reboot" } : candidate);
}

/**
 * What was pending when the history was written may have ended since: the one operation of the same client that did. The
 * cluster's own client asks again and again; where several fit nobody can tell which, and the fence stays pending.
 */
function endedLater(
  candidates: readonly Candidate[],
  { entries }: ReconciledFence,
  writtenMs: number,
): Candidate | undefined {
  const fitting = candidates.filter(
    ({ fence, finished, incident, endedMs = Number.NEGATIVE_INFINITY }) =>
      !fence &&
      endedMs >= writtenMs &&
      Number.isFinite(endedMs) &&
      entries.some(
        ({ client, origin }) =>
          finished.some((fact) => fact.client === client && fact.origin === origin) ||
          incident?.clients.includes(`${client}@${origin}`),
      ),
  );
  return fitting.length === 1 ? fitting[0] : undefined;
}

/** The nearest within TOLERANCE_MS. */
function nearest(
  candidates: readonly Candidate[],
  distanceMs: (candidate: Candidate) => number,
): Candidate | undefined {
  let best: { candidate: Candidate; awayMs: number } | undefined;
  for (const candidate of candidates) {
    const awayMs = distanceMs(candidate);
    if (awayMs <= TOLERANCE_MS && (!best || awayMs < best.awayMs)) best = { candidate, awayMs };
  }
  return best?.candidate;
}

/** An entry by the same client is the same operation; the second it names is the one the operation ended in. */
function historyDistance({ finished, endedMs }: Candidate, { entries, completedMs }: ReconciledFence): number {
  if (completedMs === undefined || endedMs === undefined) return Number.POSITIVE_INFINITY;
  const isSameRequest = finished.some(({ client, origin }) =>
    entries.some((entry) => entry.client === client && entry.origin === origin),
  );
  return Math.abs(endedMs - completedMs) - (isSameRequest ? TOLERANCE_MS : 0);
}

/** The first request or beginning of an operation; its end where no log shows it. */
function startOf(
  { ids, finished, endedMs = 0 }: Candidate,
  facts: readonly LogFact[],
  target: string,
  targetId: number | undefined,
): number {
  const clients = finished.map(({ client }) => client);
  const times = facts.flatMap((fact) => {
    if (fact.timeMs === undefined || fact.timeMs > endedMs) return [];
    if (fact.kind === "begun" && ids.includes(fact.id)) return [fact.timeMs];
    // dlm_controld asks by number.
    const mine = fact.kind === "request" && (isSame(fact.target, target) || fact.target === String(targetId));
    return mine && clients.includes(fact.client) && fact.timeMs > endedMs - LOOK_BACK_MS ? [fact.timeMs] : [];
  });
  const begun = facts.find((fact) => fact.kind === "begun" && ids.includes(fact.id))?.timeMs;
  // pacemaker-controld.382 asks again and again: of its requests only those of this operation count.
  const near = begun === undefined ? times.slice(-1) : times.filter((timeMs) => timeMs >= begun - TOLERANCE_MS);
  return near.length > 0 ? Math.min(...near) : endedMs;
}

function addRunning(candidates: Candidate[], facts: readonly LogFact[], target: string): void {
  for (const fact of facts.filter(isKind("begun"))) {
    if (!isSame(fact.target, target) || fact.timeMs === undefined) continue;
    const { timeMs, id } = fact;
    const isReboot = facts.some((other) => other.kind === "remapped" && other.id === id);
    if (candidates.some(({ ids, startedMs }) => ids.includes(id) || startedMs > timeMs)) continue;
    const asked = isReboot ? "reboot" : fact.action;
    candidates.push({ id, ids: [id], asked, startedMs: timeMs, endedMs: undefined, finished: [] });
  }
}

export function choose(
  candidates: readonly Candidate[],
  { atMs, incident, filters }: WhichFence,
  target: string,
): Candidate {
  if (candidates.length === 0) {
    throw new OpsError("bad-input", `${target}: no source at hand knows of a fence of this node`, {
      hint: "fencepost analyze nodes, or give --pacemaker-log and --history",
    });
  }
  const asked = askedFor(candidates, filters, target);
  if (incident !== undefined) return withId(asked, incident, target, asked.length < candidates.length);
  const last = asked.at(-1);
  if (!last) {
    const many = `none of the ${candidates.length} fences known of this node matches the filters`;
    const one = "the one fence known of this node does not match the filters";
    throw new OpsError("bad-input", `${target}: ${candidates.length === 1 ? one : many}`, {
      hint: `fencepost analyze incidents --node ${target}`,
    });
  }
  if (atMs === undefined) return last;
  const awayMs = ({ startedMs, endedMs = startedMs }: Candidate): number =>
    Math.max(startedMs - atMs, atMs - endedMs, 0);
  return asked.reduce((best, candidate) => (awayMs(candidate) < awayMs(best) ? candidate : best));
}

/** Those that the filters choose, judged by all that is known of them. */
const askedFor = (candidates: readonly Candidate[], filters: Filters | undefined, target: string): Candidate[] =>
  candidates.filter(
    (candidate) =>
      filters === undefined ||
      !hasFilters(filters) ||
      matchesIncident(filters, {
        ...(candidate.incident ?? NOT_RECORDED),
        target,
        action: actionOf(candidate),
        result: resultOf(candidate),
        startedMs: candidate.startedMs,
      }),
  );

const NOT_RECORDED = {
  actions: [],
  known: "unknown",
  filesystems: [],
  recorders: [],
  events: [],
  outcomes: [],
} as const;

/** The fence with that id; a part of it will do that fits no other. */
function withId(candidates: readonly Candidate[], wanted: string, target: string, isFiltered: boolean): Candidate {
  const fitting = (isIt: (id: string) => boolean) => candidates.filter(({ ids }) => ids.some(isIt));
  const exact = fitting((id) => id === wanted);
  const found = exact.length > 0 || wanted.length < 8 ? exact : fitting((id) => id.startsWith(wanted));
  const [first] = found;
  const hint = `fencepost analyze incidents --node ${target}`;
  if (!first)
    throw new OpsError(
      "bad-input",
      `${target}: no incident ${wanted}${isFiltered ? " that matches the filters" : ""}`,
      {
        hint,
      },
    );
  if (found.length > 1)
    throw new OpsError("usage", `${target}: --incident ${wanted} fits ${found.length} fences`, {
      hint: `--incident ${found.at(-1)?.id}`,
    });
  return first;
}

export const actionOf = ({ finished, fence, incident, asked }: Candidate): string =>
  finished[0]?.action ??
  (fence?.completedMs === undefined ? asked : undefined) ??
  (fence?.completedMs === undefined ? incident?.action : undefined) ??
  fence?.action ??
  incident?.action ??
  "fence";

export function resultOf({ finished, fence, incident, endedMs }: Candidate): Explanation["result"] {
  const [first] = finished;
  if (first) return first.ok ? "succeeded" : "failed";
  const status = fence?.entries[0]?.status;
  if (status === "success") return "succeeded";
  if (status === "failed") return "failed";
  if (incident && incident.result !== "unknown") return incident.result;
  return status === "pending" || (endedMs === undefined && !incident) ? "running" : "unknown";
}
