/**
 * Which fences of a node are known, and which of them is asked for: lines of logs, entries of Pacemaker's history and our
 * own incidents that are the same operation are one candidate.
 * Errors: OpsError bad-input when no source knows of a fence of that target, or of the one asked for; usage when the id
 *         asked for fits several.
 */
import { OpsError } from "../../core/errors.ts";
import { type Filters, hasFilters } from "../filter.ts";
import { matchesIncident } from "../incident-filter.ts";
import { idInHistory } from "../incident-record.ts";
import { TOLERANCE_MS, writtenIn } from "../incidents.ts";
import { isKind, isSame, type LogFact } from "../logs/fact.ts";
import { type ReconciledFence, reconcile } from "../reconcile.ts";
import type { WhichFence, WhySources } from "../why.ts";
import { actionOf, type Candidate, nearest, resultOf } from "./candidate.ts";
import { loggedFences } from "./logged.ts";
import { addRecords } from "./records.ts";

export function candidatesOf(
  { target, incidents, history }: WhySources,
  facts: readonly LogFact[],
  targetId: number | undefined,
): Candidate[] {
  const candidates = loggedFences(facts, target, targetId);
  const mine = incidents.filter((incident) => isSame(incident.target, target));
  const lines = mine.flatMap(({ events, outcomes }) => [...events, ...outcomes]);
  const { fences } = reconcile(
    history,
    lines.sort((a, b) => a.timeMs - b.timeMs),
  );
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
  addRecords(candidates, mine);
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
  const none = { finished: [], events: [], outcomes: [] };
  const candidate = { id, ids: [id], startedMs, endedMs: fence.completedMs, fence, ...none };
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

/** An entry by the same client is the same operation; the second it names is the one the operation ended in. */
function historyDistance({ finished, endedMs }: Candidate, { entries, completedMs }: ReconciledFence): number {
  if (completedMs === undefined || endedMs === undefined) return Number.POSITIVE_INFINITY;
  const isSameRequest = finished.some(({ client, origin }) =>
    entries.some((entry) => entry.client === client && entry.origin === origin),
  );
  return Math.abs(endedMs - completedMs) - (isSameRequest ? TOLERANCE_MS : 0);
}

/** An on cuts nothing off; but one that the history has as pending may be the last half of a reboot. */
const mayFence = (candidate: Candidate): boolean =>
  actionOf(candidate) !== "on" || (candidate.fence?.recordedAs === "pending" && candidate.asked === undefined);

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
  if (atMs === undefined) return asked.findLast(mayFence) ?? last;
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
        ...writtenIn(candidate.events),
        events: candidate.events,
        outcomes: candidate.outcomes,
        actions: candidate.events.map(({ action }) => action),
        target,
        action: actionOf(candidate),
        result: resultOf(candidate),
        startedMs: candidate.startedMs,
      }),
  );

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
