/**
 * Events as they were recorded → in the order in which they happened, as far as REORDER_WINDOW reaches.
 * What stands farther from its place than that comes out where it stands, and is counted: a fence's lines are then not
 * together, and an answer that needs them so may be wrong.
 */
import { counted, showNumber } from "../core/text.ts";
import type { AnalyzedEvent } from "./event.ts";

export const REORDER_WINDOW = 500;

/** By file: how many lines came out behind younger ones (older ones with --reverse). */
export type Misplaced = Map<string, number>;

/** When a line was written, else when its event happened: what a log is in order of. */
export const recordedMs = ({ record, timeMs }: AnalyzedEvent): number =>
  typeof record.recorded_ms === "number" ? record.recorded_ms : timeMs;

/** Holds back the last REORDER_WINDOW events, so that those recorded late come out where they belong. */
export async function* inOrder(
  batches: AsyncIterable<AnalyzedEvent[]>,
  reverse: boolean,
  misplaced: Misplaced,
): AsyncGenerator<AnalyzedEvent[]> {
  const order = reverse ? -1 : 1;
  const compare = (a: AnalyzedEvent, b: AnalyzedEvent) => order * (a.timeMs - b.timeMs);
  const count = misplacedCounter(misplaced, compare);
  let held: AnalyzedEvent[] = [];
  for await (const batch of batches) {
    for (let at = 0; at < batch.length; ) {
      // As many each time, however they come: the order must not depend on where batches end.
      const more = batch.slice(at, at + 2 * REORDER_WINDOW - held.length);
      held.push(...more);
      at += more.length;
      if (held.length < 2 * REORDER_WINDOW) break;
      held.sort(compare); // stable, and nearly in order already
      const over = held.slice(0, REORDER_WINDOW);
      held = held.slice(REORDER_WINDOW);
      count(over);
      yield over;
    }
  }
  held.sort(compare);
  count(held);
  if (held.length > 0) yield held;
}

/** Of one pass over the logs: a file that is read again has no more of them. */
function misplacedCounter(
  misplaced: Misplaced,
  compare: (a: AnalyzedEvent, b: AnalyzedEvent) => number,
): (sorted: readonly AnalyzedEvent[]) => void {
  const inPass = new Map<string, number>();
  let last: AnalyzedEvent | undefined;
  return (sorted) => {
    for (const event of sorted) {
      if (last && compare(event, last) < 0) {
        const { file } = event.evidence;
        const number = (inPass.get(file) ?? 0) + 1;
        inPass.set(file, number);
        misplaced.set(file, Math.max(number, misplaced.get(file) ?? 0));
      } else last = event;
    }
  };
}

/** For stderr: which lines, what it means, what helps. */
export function reportMisplaced(misplaced: Misplaced, err: (text: string) => void): void {
  if (misplaced.size === 0) return;
  for (const [file, number] of misplaced) {
    const [are, they, their] = number === 1 ? ["is", "it comes", "its"] : ["are", "they come", "their"];
    err(
      `${file}: ${counted(number, "line")} ${are} out of order by more than ${showNumber(REORDER_WINDOW)} lines: ` +
        `${they} in ${their} place in the file, not in time, and one fence may be told as two`,
    );
  }
  err(
    "try: the logs of several recorders as files of their own, or one that is sorted: " +
      "jq -cs 'sort_by(.timestamp)[]' FILE | fencepost analyze SUBCOMMAND -",
  );
}
