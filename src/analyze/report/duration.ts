/** A duration in a column of numbers: ms; −1 where it is not known; −2 − ms where it took at least so long. */
import type { Duration } from "../incidents.ts";

const NOT_KNOWN = -1;

export const packDuration = (duration: Duration | undefined): number =>
  duration === undefined ? NOT_KNOWN : duration.isMinimum ? NOT_KNOWN - 1 - duration.ms : duration.ms;

export function unpackDuration(packed: number): Duration | undefined {
  if (packed === NOT_KNOWN) return undefined;
  return packed < NOT_KNOWN ? { ms: NOT_KNOWN - 1 - packed, isMinimum: true } : { ms: packed, isMinimum: false };
}
