/**
 * Pacemaker's own fencing history against what was recorded.
 * Input:  the history (newest first, as stonith_admin prints it) and the recorded lines, both of one cluster.
 * Output: each fence with the lines that record it, and the lines that belong to no fence.
 *
 * The rules (`reconcile --help` says the same):
 * - Entries that agree in target, action, delegate and status, come from different programs or nodes (isOtherAsker) and
 *   completed MERGED_MS apart are one fence: Pacemaker merges a request into one that is running and lists both.
 * - A history in whole seconds cannot tell fences of one node apart that ended in the same second.
 * - A recorded line can belong to the first fence of its target (case ignored) that completed at or after the line's time,
 *   covers its action (a reboot covers off, on and reboot), and completed at most `longestMs` later, or to the last that
 *   completed at most TOLERANCE_MS before it (another node's clock). A whole second in the history stands for all of it.
 * - Where the line names who asked, a fence of that request comes before all others, and none of another call of the same
 *   program on the same node is asked.
 * - Of the two it is the later fence's, unless the earlier one is without a line of that action and the later ended more
 *   than 60 s after the line (10 min, where the earlier failed: it is asked for again at once), or the earlier succeeded
 *   and the later keeps another `initiated` line of that recorder and action: one by one, fewest fences are left without.
 * - What precedes the first fence of a node in the history may be of one that it no longer holds (a restart of the cluster
 *   empties it, a clean-up that of one node). A line SURE_MS before that first fence's end, an `on` SURE_ON_MS, and what
 *   was recorded before such a line, is doubtful, unless an outcome says that the fence had begun: with nothing better
 *   the fence is `doubtful`, which is neither recorded nor unrecorded. Lines of a fence that an alert reported,
 *   OTHER_FENCE_MS before that first one, and the history does not hold, are that one's.
 * - Lines younger than every completion of their node, at most `longestMs` older than the history, are those of a pending
 *   fence, if there is one; older ones are not judged. A pending fence is not judged: its recorder may be on its way.
 * - An outcome belongs to the fence of the same target and action that completed TOLERANCE_MS apart.
 * - A fence is `recorded` when a line for its off or reboot is there (for an `on`: the on), `partly` when only the on
 *   of a reboot is, `outcome-only` when an alert reported it but no recorder, else `unrecorded`.
 * - A line before the first entry of the history that belongs to no fence says nothing: the history reaches no further back.
 *   Neither do lines made by hand.
 */

import { type HistoryEntry, isOtherAsker, MERGED_MS } from "../records/fencing-history.ts";
import { assignLines, endedBetween, indexOfEnd, SURE_MS } from "./assign-lines.ts";
import type { AnalyzedEvent } from "./event.ts";
import { isManual, isOutcome, LONGEST_FENCE_MS, operationOf, TOLERANCE_MS } from "./incidents.ts";

/** The on is the last half of a reboot. */
const SURE_ON_MS = 300_000;
/** An outcome so much before a fence's end is another fence's; nearer it may be a clock that is behind. */
const OTHER_FENCE_MS = 60_000;

export type RecordedAs = "recorded" | "partly" | "outcome-only" | "unrecorded" | "doubtful" | "pending";

export type ReconciledFence = {
  entries: readonly HistoryEntry[];
  target: string;
  action: string;
  completedMs: number | undefined;
  recordedAs: RecordedAs;
  events: readonly AnalyzedEvent[];
  /** Where nothing else records it: lines that may be its, or of a fence that the history no longer holds. */
  doubtful: readonly AnalyzedEvent[];
  outcomes: readonly AnalyzedEvent[];
};

export type Reconciliation = {
  /** Oldest first. */
  fences: ReconciledFence[];
  /** Recorded by a recorder under the fencer, inside the history's reach, and no fence is there for it. */
  withoutFence: AnalyzedEvent[];
  /** Lines nothing can be said about, and why. */
  beforeHistory: number;
  manual: number;
  /** From where on the history can be compared; undefined when it is empty. */
  reachMs: number | undefined;
};

type Draft = {
  entries: HistoryEntry[];
  key: string;
  action: string;
  untilMs: number;
  /** When it was asked for at the latest; infinite where no outcome says. */
  askedMs: number;
  /** Nothing up to here is surely its: only of the first fence of a node. */
  doubtMs: number;
  events: AnalyzedEvent[];
  doubtful: AnalyzedEvent[];
  outcomes: AnalyzedEvent[];
};

export type ReconcileOptions = {
  longestMs?: number;
  toleranceMs?: number;
  /** When the history was written. */
  writtenMs?: number;
};

export function reconcile(
  history: readonly HistoryEntry[],
  recorded: readonly AnalyzedEvent[],
  { longestMs = LONGEST_FENCE_MS, toleranceMs = TOLERANCE_MS, writtenMs = 0 }: ReconcileOptions = {},
): Reconciliation {
  const drafts = draftsOf(history);
  const ended = drafts.find(({ untilMs }) => Number.isFinite(untilMs));
  const edgeMs = ended?.untilMs;
  const reachMs = ended?.entries[0]?.completedMs;
  const result: Reconciliation = { fences: [], withoutFence: [], beforeHistory: 0, manual: 0, reachMs };
  const byTarget = Map.groupBy(drafts, ({ key }) => key);
  const fencesOf = ({ target }: AnalyzedEvent): readonly Draft[] => byTarget.get(target.toLowerCase()) ?? [];
  const judged = recorded.filter((event) => !isManual(event));
  result.manual = recorded.length - judged.length;
  /** By node: until when fences ended that only an alert told of. */
  const goneMs = new Map<string, number>();
  for (const event of judged.filter(isOutcome)) {
    const { action = event.action, completedMs = event.timeMs, startedMs } = operationOf(event);
    const awayMs = ({ untilMs }: Draft) => Math.abs(untilMs - completedMs);
    const fences = fencesOf(event);
    const near = endedBetween(fences, completedMs - toleranceMs - 999, completedMs + toleranceMs + 999)
      .filter((fence) => fence.action === action)
      .sort((a, b) => awayMs(a) - awayMs(b))[0];
    const [first] = fences;
    if (near) {
      near.outcomes.push(event);
      near.askedMs = Math.min(near.askedMs, startedMs ?? Number.POSITIVE_INFINITY);
    } else if (first && Number.isFinite(first.untilMs) && completedMs < first.untilMs - OTHER_FENCE_MS)
      goneMs.set(first.key, Math.max(goneMs.get(first.key) ?? 0, completedMs));
  }
  const lines = judged.filter((event) => !isOutcome(event));
  for (const event of lines) {
    const [first] = fencesOf(event);
    if (!first || !Number.isFinite(first.untilMs) || event.timeMs > first.untilMs) continue;
    if (event.timeMs >= first.askedMs - toleranceMs) continue;
    const sureMs = event.action === "on" ? SURE_ON_MS : SURE_MS;
    if (first.untilMs - event.timeMs > sureMs) first.doubtMs = Math.max(first.doubtMs, event.timeMs);
  }
  const options = { longestMs, toleranceMs, writtenMs };
  const fenceOf = new Map(
    [...Map.groupBy(lines, fencesOf)].flatMap(([fences, own]) => [...assignLines(own, fences, options)]),
  );
  for (const event of lines) {
    const fences = fencesOf(event);
    const fence = fenceOf.get(event);
    // Its own fence may be one that the history no longer holds.
    const isGone = fence !== undefined && fence === fences[0] && event.timeMs <= (goneMs.get(fence.key) ?? 0);
    const isBefore = edgeMs === undefined || event.timeMs < edgeMs;
    // When a history in a file was written only the file's time says, and a copy is younger than what it holds.
    const isBeforePending = fences[indexOfEnd(fences, event.timeMs)]?.untilMs === Number.POSITIVE_INFINITY;
    if (fence && !isGone) (event.timeMs <= fence.doubtMs ? fence.doubtful : fence.events).push(event);
    else if (isGone || isBefore || isBeforePending) result.beforeHistory += 1;
    else result.withoutFence.push(event);
  }
  for (const draft of drafts) {
    const { entries, action, untilMs, events, outcomes } = draft;
    const as = recordedAs(draft);
    if (as !== "doubtful") result.beforeHistory += draft.doubtful.length;
    result.fences.push({
      entries,
      target: entries[0]?.target ?? "",
      action,
      completedMs: Number.isFinite(untilMs) ? entries[0]?.completedMs : undefined,
      recordedAs: as,
      events,
      doubtful: as === "doubtful" ? draft.doubtful : [],
      outcomes,
    });
  }
  return result;
}

/** Oldest first; a pending fence has no end yet. */
function draftsOf(history: readonly HistoryEntry[]): Draft[] {
  const drafts: Draft[] = [];
  const endOf = ({ completedMs, wholeSeconds }: HistoryEntry): number =>
    completedMs === undefined ? Number.POSITIVE_INFINITY : completedMs + (wholeSeconds ? 999 : 0);
  const sorted = history.toReversed().sort((a, b) => endOf(a) - endOf(b) || 0);
  const byTarget = new Map<string, Draft[]>();
  for (const entry of sorted) {
    const untilMs = endOf(entry);
    const key = entry.target.toLowerCase();
    const mine = byTarget.get(key) ?? [];
    const same = mine
      .slice(indexOfEnd(mine, untilMs - MERGED_MS))
      .findLast(({ entries, untilMs: otherMs }) => entries.every((other) => isMerged(entry, other, untilMs, otherMs)));
    if (same) {
      same.entries.push(entry);
      continue;
    }
    const draft: Draft = {
      entries: [entry],
      key,
      action: entry.action,
      untilMs,
      askedMs: Number.POSITIVE_INFINITY,
      doubtMs: 0,
      events: [],
      doubtful: [],
      outcomes: [],
    };
    drafts.push(draft);
    mine.push(draft);
    byTarget.set(key, mine);
  }
  return drafts;
}

function isMerged(a: HistoryEntry, b: HistoryEntry, aMs: number, bMs: number): boolean {
  const isSameFence =
    a.target.toLowerCase() === b.target.toLowerCase() && a.delegate === b.delegate && a.status === b.status;
  if (!isSameFence || !isOtherAsker(a, b)) return false;
  // While it runs, the one that asked first stands as off or on and the one merged into it still as reboot.
  if (a.status === "pending") return true;
  return a.action === b.action && Math.abs(aMs - bMs) <= MERGED_MS;
}

function recordedAs({ action, untilMs, events, doubtful, outcomes }: Draft): RecordedAs {
  // While it runs its recorder may still be on the way.
  if (untilMs === Number.POSITIVE_INFINITY) return "pending";
  const isStart = (event: AnalyzedEvent): boolean =>
    event.action === action || (action === "reboot" && event.action === "off");
  if (events.some(isStart)) return "recorded";
  if (doubtful.some(isStart)) return "doubtful";
  if (events.length > 0) return "partly";
  return outcomes.length > 0 ? "outcome-only" : "unrecorded";
}

/** A fence that cannot be judged counts: nobody can say that it is recorded. */
export const differences = ({ fences, withoutFence }: Reconciliation): number =>
  fences.filter(({ recordedAs }) => recordedAs !== "recorded" && recordedAs !== "pending").length + withoutFence.length;
