/**
 * How many events there are by some keys: from the bytes where lines look as both recorders write them, else parsed.
 */
import { eachMember, FILESYSTEMS_INDEX, headIndex, Names } from "./head.ts";
import { type Logs, readBatches, readsByHead } from "./read.ts";
import type { ScanOptions } from "./scan.ts";
import { addCount, addRecord, type Field, newTally, type Tally } from "./tally.ts";

export async function countEvents(logs: Logs, fields: readonly Field[]): Promise<Tally> {
  const tally = newTally(fields);
  const quick = (await readsByHead(logs, "asked")) ? quickCount(fields) : undefined;
  for await (const batch of readBatches(logs, {
    stream: "asked",
    anyOrder: true,
    ...(quick && { heads: quick.heads }),
  })) {
    for (const { record } of batch) addRecord(tally, record);
  }
  quick?.addTo(tally);
  return tally;
}

/** Below 2^53, so that the numbers of two names make one. */
const PAIR = 1 << 20;

/** Counts one or two of the first keys by their bytes; undefined for other fields. */
function quickCount(
  fields: readonly Field[],
): { heads: NonNullable<ScanOptions["heads"]>; addTo: (tally: Tally) => void } | undefined {
  const keys = fields.map(({ name }) => headIndex(name));
  if (keys.length > 2 || keys.includes(-1)) return undefined;
  const names = keys.map(() => new Names());
  const counts = new Map<number, number>();
  /** Values that are too many to number. */
  const rest = new Map<string, number>();
  let total = 0;

  const add = (bytes: Buffer, places: readonly (readonly [from: number, to: number])[]) => {
    let key = 0;
    for (let index = 0; index < places.length; index += 1) {
      const [from, to] = places[index] as readonly [number, number];
      const number = (names[index] as Names).numberOf(bytes, from, to);
      if (number === -1) {
        const text = places.map(([first, last]) => JSON.stringify(bytes.toString("utf8", first, last))).join("\n");
        rest.set(text, (rest.get(text) ?? 0) + 1);
        return;
      }
      key = key * PAIR + number;
    }
    counts.set(key, (counts.get(key) ?? 0) + 1);
  };

  const take: NonNullable<ScanOptions["heads"]>["take"] = (bytes, { from, to }) => {
    total += 1;
    const placesOf = (index: number): (readonly [number, number])[] => {
      const first = from[index] as number;
      const last = to[index] as number;
      if (index !== FILESYSTEMS_INDEX) return [[first, last]];
      const members: (readonly [number, number])[] = [];
      eachMember(bytes, first, last, (start, end) => members.push([start, end]));
      return members;
    };
    const [one = 0, two] = keys;
    for (const place of placesOf(one)) {
      if (two === undefined) add(bytes, [place]);
      else for (const other of placesOf(two)) add(bytes, [place, other]);
    }
  };

  return {
    heads: { keys, take },
    addTo(tally) {
      tally.total += total;
      for (const [text, count] of rest) addCount(tally, text, count);
      for (const [key, count] of counts) {
        const numbers = names.length === 1 ? [key] : [Math.floor(key / PAIR), key % PAIR];
        const words = numbers.map((number, index) => JSON.stringify((names[index] as Names).textOf(number)));
        addCount(tally, words.join("\n"), count);
      }
    },
  };
}
