/**
 * Pacemaker's own fencing history against what was recorded.
 * Input:  the history (newest first, as stonith_admin prints it) and the recorded lines, both of one cluster.
 * Output: each fence with the lines that record it, and the lines that belong to no fence.
 *
 * The rules (`reconcile --help` says the same):
 * - Entries that agree in target, action, delegate and status, come from different programs or nodes (isOtherAsker) and
 *   completed MERGED_MS apart are one fence: Pacemaker merges a request into one that is running and lists both.
 * - A history in whole seconds cannot tell fences of one node apart that ended in the same second.
 * - A recorded line belongs to the first fence of its target (case ignored) that completed at or after the line's time,
 *   covers its action (a reboot covers off, on and reboot), and completed at most `longestMs` later; where there is
 *   none, to the last that completed at most TOLERANCE_MS before it (another node's clock). A whole second in the
 *   history stands for all of it. Lines younger than every completion belong to a pending fence, if there is one.
 * - An outcome belongs to the fence of the same target and action that completed TOLERANCE_MS apart.
 * - A fence is `recorded` when a line for its off or reboot is there (for an `on`: the on), `partly` when only the on
 *   of a reboot is, `outcome-only` when an alert reported it but no recorder, else `unrecorded`.
 * - A line before the first entry of the history that belongs to no fence says nothing: the history reaches no further back.
 *   Neither do lines made by hand.
 */

import { type HistoryEntry, isOtherAsker, MERGED_MS } from "../records/fencing-history.ts";
import type { AnalyzedEvent } from "./event.ts";
import { covers, isManual, isOutcome, LONGEST_FENCE_MS, operationOf, TOLERANCE_MS } from "./incidents.ts";

export type RecordedAs = "recorded" | "partly" | "outcome-only" | "unrecorded" | "pending";

export type ReconciledFence = {
  entries: readonly HistoryEntry[];
  target: string;
  action: string;
  completedMs: number | undefined;
  recordedAs: RecordedAs;
  events: readonly AnalyzedEvent[];
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
  events: AnalyzedEvent[];
  outcomes: AnalyzedEvent[];
};

export function reconcile(
  history: readonly HistoryEntry[],
  recorded: readonly AnalyzedEvent[],
  { longestMs = LONGEST_FENCE_MS, toleranceMs = TOLERANCE_MS }: { longestMs?: number; toleranceMs?: number } = {},
): Reconciliation {
  const drafts = draftsOf(history);
  const times = drafts.filter(({ untilMs }) => Number.isFinite(untilMs)).map(({ untilMs }) => untilMs);
  const reachMs = times.length > 0 ? Math.min(...times) : undefined;
  const result: Reconciliation = { fences: [], withoutFence: [], beforeHistory: 0, manual: 0, reachMs };
  const byTarget = Map.groupBy(drafts, ({ key }) => key);
  for (const event of recorded) {
    if (isManual(event)) {
      result.manual += 1;
      continue;
    }
    const fences = byTarget.get(event.target.toLowerCase()) ?? [];
    if (isOutcome(event)) {
      const { action = event.action, completedMs = event.timeMs } = operationOf(event);
      const awayMs = ({ untilMs }: Draft) => Math.abs(untilMs - completedMs);
      const near = fences
        .filter((fence) => fence.action === action && awayMs(fence) <= toleranceMs + 999)
        .sort((a, b) => awayMs(a) - awayMs(b))[0];
      near?.outcomes.push(event);
      continue;
    }
    const fence = fenceOf(event, fences, longestMs, toleranceMs);
    if (fence) fence.events.push(event);
    // Its own fence may be one that the history no longer holds.
    else if (reachMs === undefined || event.timeMs < reachMs) result.beforeHistory += 1;
    else result.withoutFence.push(event);
  }
  result.fences = drafts.map(({ entries, action, untilMs, events, outcomes }) => ({
    entries,
    target: entries[0]?.target ?? "",
    action,
    completedMs: Number.isFinite(untilMs) ? entries[0]?.completedMs : undefined,
    recordedAs: recordedAs(action, untilMs, events, outcomes),
    events,
    outcomes,
  }));
  return result;
}

/** Oldest first; a pending fence has no end yet. */
function draftsOf(history: readonly HistoryEntry[]): Draft[] {
  const drafts: Draft[] = [];
  const endOf = ({ completedMs, wholeSeconds }: HistoryEntry): number =>
    completedMs === undefined ? Number.POSITIVE_INFINITY : completedMs + (wholeSeconds ? 999 : 0);
  const sorted = history.toReversed().sort((a, b) => endOf(a) - endOf(b) || 0);
  for (const entry of sorted) {
    const untilMs = endOf(entry);
    const same = drafts.findLast(({ entries, untilMs: otherMs }) =>
      entries.every((other) => isMerged(entry, other, untilMs, otherMs)),
    );
    if (same) same.entries.push(entry);
    else
      drafts.push({
        entries: [entry],
        key: entry.target.toLowerCase(),
        action: entry.action,
        untilMs,
        events: [],
        outcomes: [],
      });
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

function fenceOf(
  event: AnalyzedEvent,
  fences: readonly Draft[],
  longestMs: number,
  toleranceMs: number,
): Draft | undefined {
  const fitting = fences.filter(({ entries }) =>
    entries.some(({ action, status }) => covers(action, event.action) || status === "pending"),
  );
  const ahead = fitting.find(({ untilMs }) => untilMs >= event.timeMs);
  if (ahead && (ahead.untilMs - event.timeMs <= longestMs || ahead.untilMs === Number.POSITIVE_INFINITY)) return ahead;
  return fitting.findLast(({ untilMs }) => untilMs < event.timeMs && event.timeMs - untilMs <= toleranceMs);
}

function recordedAs(
  action: string,
  untilMs: number,
  events: readonly AnalyzedEvent[],
  outcomes: readonly AnalyzedEvent[],
): RecordedAs {
  const started = events.some((event) => event.action === action || (action === "reboot" && event.action === "off"));
  if (started) return "recorded";
  // While it runs its recorder may still be on the way.
  if (untilMs === Number.POSITIVE_INFINITY) return "pending";
  if (events.length > 0) return "partly";
  return outcomes.length > 0 ? "outcome-only" : "unrecorded";
}

export const differences = ({ fences, withoutFence }: Reconciliation): number =>
  fences.filter(
    ({ recordedAs }) => recordedAs === "partly" || recordedAs === "outcome-only" || recordedAs === "unrecorded",
  ).length + withoutFence.length;
