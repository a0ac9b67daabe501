/**
 * What a change of bricks means, in lines for the plan's picture: failures survived before, meanwhile and after; bytes to
 * copy and how long that takes; what happens when a node dies in the middle. Pure.
 * Source: client quorum `auto`: a set of three or more serves while more than half of it is up, of two while its first is.
 */
import { type BrickSpace, showBytes } from "./capacity.ts";
import { type Brick, replicaSets, type Volume } from "./state.ts";

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

/** `each`: of what is copied to several bricks at the same time, the most that one gets. */
function bytesLine(what: string, total: number | "unknown", each = total): string {
  if (total === "unknown" || each === "unknown")
    return `${what.replace(/:.*/, "")}: unknown: no brick tells how much it holds`;
  return `${what} ${showBytes(total)}; at 100 MiB/s ${duration(each / BYTES_PER_SECOND)}, longer for many small files`;
}

const sumOf = (counts: readonly (number | "unknown")[]): number | "unknown" =>
  counts.reduce<number | "unknown">(
    (sum, count) => (sum === "unknown" || count === "unknown" ? "unknown" : sum + count),
    0,
  );
const mostOf = (counts: readonly (number | "unknown")[]): number | "unknown" =>
  counts.reduce<number | "unknown">(
    (most, count) => (most === "unknown" || count === "unknown" ? "unknown" : Math.max(most, count)),
    0,
  );

type Shape = Pick<Volume, "bricks" | "replica" | "arbiter" | "disperse">;
const setsOf = (shape: Shape): Brick[][] => replicaSets(shape as Volume);

/** How many nodes of a set may fail while it goes on serving and a whole copy is left: an arbiter holds none. */
const survived = ({ replica, arbiter }: Pick<Volume, "replica" | "arbiter">, whole = replica - arbiter): number =>
  Math.min(tolerated(replica, replica), whole - 1);

const survivedLine = (shape: Shape, now: number, meanwhile: readonly [string, number], then: number): string => {
  const where = setsOf(shape).length > 1 && shape.replica > 1 ? " of each replica set" : "";
  return `failures survived${where}: now ${nodes(now)}, ${meanwhile[0]} ${nodes(meanwhile[1])}, then ${nodes(then)}`;
};

export type Addition = {
  now: Volume;
  next: Volume;
  grow: "replica" | "distribute" | "arbiter";
  /** Bricks. */
  added: number;
  /** By brick; without it nothing is said of bytes. */
  spaces?: ReadonlyMap<string, BrickSpace>;
};

/** Bricks are only added while every brick is up; `next`: the volume as it will be. */
export function explainAddition({ now, next, grow, added, spaces }: Addition): string[] {
  const sets = setsOf(now);
  const used = spaces && sets.map((set) => bytesToCopy(set, spaces));
  if (grow === "distribute") {
    const held = used && sumOf(used);
    // A rebalance evens out: of all there is, the part that the new sets are of all sets.
    const part = added / now.replica / (sets.length + added / now.replica);
    const toMove = typeof held === "number" ? held * part : held;
    const same = survived(now);
    return [
      survivedLine(now, same, ["while data moves", same], same),
      ...(toMove === undefined ? [] : [bytesLine("to move: about", toMove)]),
      same > 0
        ? "if a node dies meanwhile: the volume goes on serving; if the rebalance stops, journal resume starts it again"
        : "if a node dies meanwhile: the files on it are not served until it is back; the rebalance stops, journal resume starts it again",
    ];
  }
  const whole = now.replica - now.arbiter;
  const meanwhile = survived(next, whole);
  const copies = added / sets.length;
  const toCopy = used && sumOf(used.map((one) => (one === "unknown" ? one : one * copies)));
  const lines = [survivedLine(now, survived(now), ["until it is healed", meanwhile], survived(next))];
  if (grow === "arbiter") lines.push("to copy: names and attributes only: an arbiter holds no data");
  else if (toCopy !== undefined && used) lines.push(bytesLine("to copy: at most", toCopy, mostOf(used)));
  lines.push(
    meanwhile > 0
      ? "if another node dies meanwhile: the volume goes on serving; the heal goes on when it is back"
      : whole === 1
        ? "if the node with the only whole copy dies meanwhile: its files are not served until it is back; the heal then goes on"
        : "if another node dies meanwhile: the volume may stop serving until it is back; the heal then goes on",
  );
  return lines;
}

export type Taking = {
  now: Volume;
  next: Shape;
  way: "reduce" | "migrate";
  gone: readonly Brick[];
  /** By brick; without it nothing is said of bytes. */
  spaces?: ReadonlyMap<string, BrickSpace>;
};

/** Bricks are only taken while every brick is up and whole. */
export function explainRemoval({ now, next, way, gone, spaces }: Taking): string[] {
  const after = survived(next);
  if (way === "reduce") {
    return [
      survivedLine(now, survived(now), ["from the removal on", after], after),
      "to copy: nothing: the copies that stay are whole, or nothing is removed",
      after > 0
        ? "if another node dies meanwhile: the volume goes on serving"
        : next.replica - next.arbiter > 1
          ? "if another node dies meanwhile: the volume may stop serving until it is back"
          : "if another node dies after it: its files are not served until it is back, and are lost with its disk",
    ];
  }
  const sets = setsOf(now).filter((set) => set.some((brick) => gone.includes(brick)));
  const toMove = spaces && sumOf(sets.map((set) => bytesToCopy(set, spaces)));
  const same = survived(now);
  return [
    survivedLine(now, same, ["while data moves", same], after),
    ...(toMove === undefined ? [] : [bytesLine("to move: at most", toMove)]),
    `if a node dies meanwhile: ${same > 0 ? "the volume goes on serving" : "the files on it are not served until it is back"}; the bricks stay until every file has moved: journal resume or undo`,
  ];
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
  lines.push(bytesLine("to copy: at most", toCopy));
  lines.push(
    tolerated(size, meanwhile) > 0
      ? "if another node dies meanwhile: the volume goes on serving; the heal goes on when it is back"
      : "if another node dies meanwhile: this part of the volume stops serving until it is back; the heal then goes on",
  );
  return lines;
}
