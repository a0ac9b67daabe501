/**
 * What a change of bricks means, in lines for the plan's picture: failures survived before, meanwhile and after; bytes to
 * copy and how long that takes; what happens when a node dies in the middle. Pure.
 * Source: client quorum `auto`: a set of three or more serves while more than half of it is up, of two while its first is.
 */
import { type BrickSpace, showBytes } from "./capacity.ts";
import type { Brick } from "./state.ts";

/** A disk or a gigabit network at work on whole files; small files take longer. */
const BYTES_PER_SECOND = 100 * 1024 * 1024;

/** How many more of a set's bricks may fail before it stops serving, `up` of `size` being up. */
export const tolerated = (size: number, up: number): number =>
  size < 3 ? Math.max(0, up - 1) : Math.max(0, up - (Math.floor(size / 2) + 1));

const nodes = (count: number): string => `${count} node${count === 1 ? "" : "s"}`;
const duration = (seconds: number): string =>
  seconds < 60
    ? "less than a minute"
    : seconds < 7200
      ? `${Math.ceil(seconds / 60)} min`
      : `${(seconds / 3600).toFixed(1)} h`;

/** The most that a brick of the set holds: what a new copy has to get. Unknown when none tells. */
export function bytesToCopy(set: readonly Brick[], spaces: ReadonlyMap<string, BrickSpace>): number | "unknown" {
  const used = set.flatMap(({ name, isArbiter }) => {
    const space = isArbiter ? undefined : spaces.get(name);
    return space ? [space.sizeBytes - space.freeBytes] : [];
  });
  return used.length === 0 ? "unknown" : Math.max(...used);
}

export type Change = {
  set: readonly Brick[];
  /** Of the set, now. */
  up: number;
  /** Of those that are up: is one of them taken away? */
  isUp: boolean;
  toCopy: number | "unknown";
};

export function explainReplacement({ set, up, isUp, toCopy }: Change): string[] {
  const size = set.length;
  const meanwhile = isUp ? up - 1 : up;
  const lines = [
    `failures survived: now ${nodes(tolerated(size, up))}, until the new copy is healed ${nodes(tolerated(size, meanwhile))}, then ${nodes(tolerated(size, size))}`,
  ];
  lines.push(
    toCopy === "unknown"
      ? "to copy: unknown: no brick tells how much it holds"
      : `to copy: at most ${showBytes(toCopy)}; at 100 MiB/s ${duration(toCopy / BYTES_PER_SECOND)}, longer for many small files`,
  );
  lines.push(
    tolerated(size, meanwhile) > 0
      ? "if another node dies meanwhile: the volume goes on serving; the heal goes on when it is back"
      : "if another node dies meanwhile: this part of the volume stops serving until it is back; the heal then goes on",
  );
  return lines;
}
