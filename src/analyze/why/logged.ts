/**
 * The fences of a node that pacemaker.log shows: one candidate an operation, ended or still running. A request that
 * Pacemaker merged into another one is part of that one.
 * Times: by the clock of the node that led the operation where its log is at hand, as that has both ends of it.
 */
import { MERGED_MS } from "../../records/fencing-history.ts";
import { TOLERANCE_MS } from "../incidents.ts";
import { isKind, isSame, type LogFact } from "../logs/fact.ts";
import { type Candidate, type FinishedFact, LOOK_BACK_MS, nearest } from "./candidate.ts";

type Operation = { ids: string[]; finished: FinishedFact[] };

export function loggedFences(facts: readonly LogFact[], target: string, targetId: number | undefined): Candidate[] {
  const ended = facts
    .filter(isKind("finished"))
    .filter((fact): fact is FinishedFact => fact.timeMs !== undefined && isSame(fact.target, target));
  const operations = [...Map.groupBy(ended, ({ id }) => id)].map(([id, finished]) => ({ ids: [id], finished }));
  const candidates = withMerged(operations).flatMap((operation) => endedFence(operation, facts, target, targetId));
  addRunning(candidates, facts, target);
  return candidates;
}

function withMerged(operations: readonly Operation[]): Operation[] {
  const isMerged = ({ finished }: Operation): boolean => finished.some(({ merged }) => merged);
  const whole = operations.filter((operation) => !isMerged(operation));
  for (const duplicate of operations.filter(isMerged)) {
    const into = nearest(whole, ({ finished }) => endsApartMs(finished, duplicate.finished));
    into?.ids.push(...duplicate.ids);
    into?.finished.push(...duplicate.finished);
    if (!into) whole.push(duplicate);
  }
  return whole;
}

/** The duplicate of a merged request ends with the one it was merged into; which node's clock says so matters. */
function endsApartMs(operation: readonly FinishedFact[], duplicate: readonly FinishedFact[]): number {
  const pairs = operation.flatMap((a) =>
    duplicate.map((b) => ({
      awayMs: Math.abs(a.timeMs - b.timeMs),
      isSameClock: a.host === b.host,
      isSameEnd: a.action === b.action && a.ok === b.ok,
    })),
  );
  const sameClock = pairs.filter(({ isSameClock }) => isSameClock);
  const near = sameClock.length > 0 ? sameClock : pairs.filter(({ isSameEnd }) => isSameEnd);
  const awayMs = Math.min(...near.map(({ awayMs }) => awayMs));
  return sameClock.length > 0 && awayMs > MERGED_MS ? Number.POSITIVE_INFINITY : awayMs;
}

function endedFence(
  { ids, finished }: Operation,
  facts: readonly LogFact[],
  target: string,
  targetId: number | undefined,
): Candidate[] {
  const begun = facts.filter(isKind("begun")).find(({ id }) => ids.includes(id));
  const ofLeader = finished.filter(({ host }) => host === begun?.host);
  const told = [...ofLeader, ...finished.filter((fact) => !ofLeader.includes(fact))];
  const [id] = ids;
  const [end] = told;
  if (id === undefined || !end) return [];
  const clients = finished.map(({ client }) => client);
  const times = facts.flatMap((fact) => {
    if (fact.timeMs === undefined || fact.timeMs > end.timeMs || (begun && fact.host !== begun.host)) return [];
    if (fact === begun) return [fact.timeMs];
    // dlm_controld asks by number.
    const mine = fact.kind === "request" && (isSame(fact.target, target) || fact.target === String(targetId));
    return mine && clients.includes(fact.client) && fact.timeMs > end.timeMs - LOOK_BACK_MS ? [fact.timeMs] : [];
  });
  const begunMs = begun?.timeMs;
  // pacemaker-controld.382 asks again and again: of its requests only those of this operation count.
  const near = begunMs === undefined ? times.slice(-1) : times.filter((timeMs) => timeMs >= begunMs - TOLERANCE_MS);
  const startedMs = Math.min(...(near.length > 0 ? near : [end.timeMs]));
  return [{ id, ids, startedMs, endedMs: end.timeMs, clock: end.host, finished: told, events: [], outcomes: [] }];
}

function addRunning(candidates: Candidate[], facts: readonly LogFact[], target: string): void {
  for (const fact of facts.filter(isKind("begun"))) {
    if (!isSame(fact.target, target) || fact.timeMs === undefined) continue;
    const { timeMs, id, host } = fact;
    const isReboot = facts.some((other) => other.kind === "remapped" && other.id === id);
    if (candidates.some(({ ids, startedMs }) => ids.includes(id) || startedMs > timeMs)) continue;
    const asked = isReboot ? "reboot" : fact.action;
    candidates.push({
      ...{ id, ids: [id], asked, startedMs: timeMs, endedMs: undefined, clock: host },
      ...{ finished: [], events: [], outcomes: [] },
    });
  }
}
