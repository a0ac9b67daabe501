/**
 * Counting events by what one or several of their keys hold.
 * Input:  keys of the record (`action`, `discovery.method`), or the filters' short names (`node`, `fs`, `recorder`).
 * Output: rows, most frequent first. A list counts each of its members, as `jq '.gfs2_filesystems[]'` does; a key that a
 *         record does not have counts as null, as jq does.
 */
import { OpsError } from "../core/errors.ts";

/** A key of the record, taken apart at its dots. */
export type Field = { name: string; path: readonly string[] };

const SHORT: Readonly<Record<string, string>> = {
  node: "target_node",
  target: "target_node",
  fs: "gfs2_filesystems",
  filesystem: "gfs2_filesystems",
  recorder: "recorder_node",
};

export function parseFields(words: readonly string[]): Field[] {
  const names = words.map((word) => SHORT[word] ?? word);
  for (const name of names) {
    if (!/^[^.\s]+(?:\.[^.\s]+)*$/.test(name) || names.indexOf(name) !== names.lastIndexOf(name)) {
      throw new OpsError("usage", `--by: not a list of different keys: ${words.join(",").slice(0, 100)}`, {
        hint: "--by action,target_node",
      });
    }
  }
  return names.map((name) => ({ name, path: name.split(".") }));
}

export function valuesOf(record: Readonly<Record<string, unknown>>, { path }: Field): readonly unknown[] {
  let value: unknown = record;
  for (const key of path) {
    value =
      typeof value === "object" && value !== null && !Array.isArray(value) && Object.hasOwn(value, key)
        ? (value as Readonly<Record<string, unknown>>)[key]
        : undefined;
  }
  return Array.isArray(value) ? value : [value ?? null];
}

export type Tally = {
  fields: readonly Field[];
  /** Events, not rows: one with two filesystems is one. */
  total: number;
  /** By the values as JSON, one line each. */
  counts: Map<string, number>;
};

export const newTally = (fields: readonly Field[]): Tally => ({ fields, total: 0, counts: new Map() });

export function addRecord(tally: Tally, record: Readonly<Record<string, unknown>>): void {
  tally.total += 1;
  let keys = [""];
  for (const [index, field] of tally.fields.entries()) {
    const words = valuesOf(record, field).map((value) => JSON.stringify(value));
    keys = keys.flatMap((key) => words.map((word) => (index === 0 ? word : `${key}\n${word}`)));
  }
  for (const key of keys) addCount(tally, key, 1);
}

export const addCount = ({ counts }: Tally, key: string, by: number): void => {
  counts.set(key, (counts.get(key) ?? 0) + by);
};

export type TallyRow = { values: readonly unknown[]; count: number };

/** Most frequent first; equal ones by their values. */
export function rowsOf({ counts }: Tally): TallyRow[] {
  return [...counts]
    .sort(([a, countA], [b, countB]) => countB - countA || (a < b ? -1 : a > b ? 1 : 0))
    .map(([key, count]) => ({ values: key.split("\n").map((word) => JSON.parse(word) as unknown), count }));
}

/** For people: strings as they are, what is not there as such. */
export function showValue(value: unknown): string {
  if (value === null) return "(not recorded)";
  return typeof value === "string" ? value : JSON.stringify(value);
}
