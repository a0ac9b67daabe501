/**
 * Recorded lines → the fences of one node in Pacemaker's history. The rules stand in reconcile.ts.
 * Input:  lines of one node, no outcomes; its fences, by their end, those that run last.
 * Output: the fence of each line that has one.
 */
import { type HistoryEntry, isOtherAsker } from "../records/fencing-history.ts";
import type { AnalyzedEvent } from "./event.ts";
import { covers, isSameRequest, operationOf } from "./incidents.ts";

/** Pacemaker gives an action 60 s, twice, unless told otherwise: a line that much before the end is hardly of that fence. */
export const SURE_MS = 600_000;
/** Most fences end so soon after their last line. */
const SOON_MS = 60_000;

/** `untilMs` is infinite while it runs. */
export type EndedFence = { entries: readonly HistoryEntry[]; untilMs: number };

export type AssignOptions = { longestMs: number; toleranceMs: number; writtenMs: number };

type Choice<Fence> = {
  event: AnalyzedEvent;
  ahead: Fence | undefined;
  behind: Fence | undefined;
  into: Fence | undefined;
};

export function assignLines<Fence extends EndedFence>(
  lines: readonly AnalyzedEvent[],
  fences: readonly Fence[],
  options: AssignOptions,
): Map<AnalyzedEvent, Fence> {
  // What runs ends after everything that has ended, and after the history was written.
  const runsUntilMs = Math.max(options.writtenMs, fences.findLast(({ untilMs }) => untilMs < RUNS)?.untilMs ?? 0);
  const endOf = ({ untilMs }: Fence): number => (untilMs === RUNS ? runsUntilMs : untilMs);
  const linesOf = new Map<Fence, AnalyzedEvent[]>(fences.map((fence) => [fence, []]));
  const choices: Choice<Fence>[] = lines
    .toSorted((a, b) => a.timeMs - b.timeMs)
    .map((event) => ({ event, ...nearestOf(event, fences, options, endOf), into: undefined }));
  const hasAction = (fence: Fence, { action }: AnalyzedEvent): boolean =>
    linesOf.get(fence)?.some((other) => other.action === action) === true;
  const put = (choice: Choice<Fence>, into: Fence | undefined): void => {
    const before = choice.into && linesOf.get(choice.into);
    before?.splice(before.indexOf(choice.event), 1);
    if (into) linesOf.get(into)?.push(choice.event);
    choice.into = into;
  };

  for (const choice of choices) {
    const { event, ahead, behind } = choice;
    const isLate = ahead && behind && endOf(ahead) - event.timeMs > (isFailed(behind) ? SURE_MS : SOON_MS);
    put(choice, isLate && !hasAction(behind, event) ? behind : (ahead ?? behind));
  }

  // A recorder writes one `initiated` line for an action of a fence: of two the first is that of a fence before it.
  const movable = choices.filter(
    ({ event, ahead, behind, into }) =>
      isInitiated(event) && behind !== undefined && !isFailed(behind) && into !== undefined && into === ahead,
  );
  const behindOf = Map.groupBy(movable, ({ behind }) => behind);
  /** Whether the fence that has this line keeps one of the kind without it: its own, or that just behind its end. */
  const spares = ({ event, into }: Choice<Fence>): boolean => {
    if (into && linesOf.get(into)?.some((other) => other !== event && isSameKind(other, event))) return true;
    const next = behindOf.get(into)?.find((other) => other.into === other.ahead && isSameKind(other.event, event));
    if (!next || !spares(next)) return false;
    put(next, into);
    return true;
  };
  for (const choice of movable) {
    if (choice.behind && !hasAction(choice.behind, choice.event) && spares(choice)) put(choice, choice.behind);
  }
  return new Map(choices.flatMap(({ event, into }) => (into ? [[event, into] as const] : [])));
}

const RUNS = Number.POSITIVE_INFINITY;

/** The first fence that ended at or after the line, and the last that ended just before it. */
function nearestOf<Fence extends EndedFence>(
  event: AnalyzedEvent,
  fences: readonly Fence[],
  { longestMs, toleranceMs }: AssignOptions,
  endOf: (fence: Fence) => number,
): Pick<Choice<Fence>, "ahead" | "behind"> {
  const { timeMs } = event;
  const near = [
    ...endedBetween(fences, timeMs - toleranceMs, timeMs + longestMs),
    ...fences.slice(indexOfEnd(fences, RUNS)).filter((fence) => endOf(fence) - timeMs <= longestMs),
  ].filter(({ entries }) => entries.some(({ action, status }) => covers(action, event.action) || status === "pending"));
  const asker = operationOf(event);
  const named = near.filter(({ entries }) => entries.some((entry) => isSameRequest(entry, asker)));
  const perhaps = near.filter(
    ({ entries }) => asker.client === undefined || entries.some((entry) => isOtherAsker(entry, asker)),
  );
  const fitting = named.length > 0 ? named : perhaps;
  return {
    ahead: fitting.find(({ untilMs }) => untilMs >= timeMs),
    behind: fitting.findLast(({ untilMs }) => untilMs < timeMs),
  };
}

/** Those that ended from one time to another, both included. */
export function endedBetween<Fence extends EndedFence>(
  fences: readonly Fence[],
  fromMs: number,
  toMs: number,
): Fence[] {
  const first = indexOfEnd(fences, fromMs);
  let after = first;
  while (after < fences.length && (fences[after]?.untilMs ?? RUNS) <= toMs) after += 1;
  return fences.slice(first, after);
}

/** Where the first stands that ended at or after a time. */
export function indexOfEnd(fences: readonly Pick<EndedFence, "untilMs">[], timeMs: number): number {
  let low = 0;
  let high = fences.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((fences[middle]?.untilMs ?? RUNS) < timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

const isFailed = ({ entries }: EndedFence): boolean => entries[0]?.status === "failed";

const isInitiated = ({ status, record }: AnalyzedEvent): boolean => status === "initiated" && record.role !== "gate";

const isSameKind = (a: AnalyzedEvent, b: AnalyzedEvent): boolean =>
  isInitiated(a) && isInitiated(b) && a.recorder === b.recorder && a.action === b.action;
