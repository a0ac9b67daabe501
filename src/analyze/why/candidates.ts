/**
 * Which fences of a node are known, and which of them is asked for: lines of logs, entries of Pacemaker's history and our
 * own incidents that are the same operation are one candidate.
 * Errors: OpsError bad-input when no source knows of a fence of that target, or of the one asked for.
 */
import { OpsError } from "../../core/errors.ts";
import { TOLERANCE_MS } from "../incidents.ts";
import { isKind, isSame, type LogFact } from "../logs/fact.ts";
import { type ReconciledFence, reconcile } from "../reconcile.ts";
import type { WhichFence, WhySources } from "../why.ts";
import { actionOf, type Candidate, nearest } from "./candidate.ts";
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
    if (same) same.fence = fence;
    else addFence(candidates, fence, facts, targetId);
  }
  const writtenMs = Math.max(...fences.map(({ completedMs = Number.NEGATIVE_INFINITY }) => completedMs));
  const waiting = mineOf.filter((fence) => {
    if (fence.completedMs !== undefined) return false;
    const running = candidates.find((other) => !other.fence && other.endedMs === undefined);
    const same = endedLater(candidates, fence, writtenMs) ?? running;
    if (same) same.fence = fence;
    return !same;
  });
  addRecords(candidates, mine);
  for (const fence of waiting) {
    const same = endedLater(candidates, fence, writtenMs);
    if (same) same.fence = fence;
    else addFence(candidates, fence, facts, targetId);
  }
  return candidates.sort((a, b) => a.startedMs - b.startedMs);
}

/** The history has no beginnings; where dlm_controld was the one that asked, its own log has it. */
function addFence(
  candidates: Candidate[],
  fence: ReconciledFence,
  facts: readonly LogFact[],
  targetId: number | undefined,
): void {
  const [entry] = fence.entries;
  if (!entry) return;
  const id = `${entry.client}@${entry.origin}`;
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

export function choose(candidates: readonly Candidate[], { atMs, incident }: WhichFence, target: string): Candidate {
  const last = candidates.at(-1);
  if (!last) {
    throw new OpsError("bad-input", `${target}: no source at hand knows of a fence of this node`, {
      hint: "fencepost analyze nodes, or give --pacemaker-log and --history",
    });
  }
  if (incident !== undefined) {
    const found = candidates.find(({ ids }) =>
      ids.some((id) => id === incident || (incident.length >= 8 && id.startsWith(incident))),
    );
    if (found) return found;
    throw new OpsError("bad-input", `${target}: no incident ${incident}`, {
      hint: `fencepost analyze incidents --node ${target}`,
    });
  }
  if (atMs === undefined) return candidates.findLast(mayFence) ?? last;
  const awayMs = ({ startedMs, endedMs = startedMs }: Candidate): number =>
    Math.max(startedMs - atMs, atMs - endedMs, 0);
  return candidates.reduce((best, candidate) => (awayMs(candidate) < awayMs(best) ? candidate : best));
}
