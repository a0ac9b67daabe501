/**
 * Our lines beside Pacemaker's history: which fence of it each is of.
 */
import type { HistoryEntry } from "../records/fencing-history.ts";
import { indexOfEnd } from "./assign-lines.ts";
import type { AnalyzedEvent } from "./event.ts";
import { completedMsOf, isOutcome, LONGEST_FENCE_MS, TOLERANCE_MS } from "./incidents.ts";
import type { ReconciledFence } from "./reconcile.ts";

const lineKey = ({ evidence, eventId }: AnalyzedEvent): string => eventId ?? `${evidence.file}:${evidence.line}`;

/** Whether a line lies near the end of a fence of its node, so that it may be of it: no other needs to be held. */
export function nearFences(history: readonly HistoryEntry[]): (event: AnalyzedEvent) => boolean {
  const ended = history.flatMap(({ target, completedMs }) =>
    completedMs === undefined ? [] : [{ target: target.toLowerCase(), untilMs: completedMs + 999 }],
  );
  const byTarget = Map.groupBy(
    ended.sort((a, b) => a.untilMs - b.untilMs),
    ({ target }) => target,
  );
  return (event) => {
    const timeMs = isOutcome(event) ? completedMsOf(event) : event.timeMs;
    const fences = byTarget.get(event.target.toLowerCase()) ?? [];
    const next = fences[indexOfEnd(fences, timeMs - TOLERANCE_MS - 999)];
    return next !== undefined && next.untilMs - timeMs <= LONGEST_FENCE_MS + 999;
  };
}

/** By a line of it, also when that was read anew. Of a fence that runs nobody knows what is still to come. */
export function fenceFinder(fences: readonly ReconciledFence[]): (event: AnalyzedEvent) => ReconciledFence | undefined {
  const byLine = new Map<string, ReconciledFence>();
  for (const fence of fences) {
    if (fence.completedMs === undefined) continue;
    const inTime = { ...fence, events: fence.events.toSorted((a, b) => a.timeMs - b.timeMs) };
    for (const event of [...fence.events, ...fence.outcomes]) byLine.set(lineKey(event), inTime);
  }
  return (event) => byLine.get(lineKey(event));
}
