/**
 * Counting events by what one or several of their keys hold.
 * Input:  keys of the record (`action`, `discovery.method`), or the filters' short names (`node`, `fs`, `recorder`).
 * Output: rows, most frequent first. A list counts each of its members, as `jq '.gfs2_filesystems[]'` does; a key that a
 *         record does not have counts as null, as jq does.
 */
import { OpsError } from "../core/errors.ts";
import { showNumber } from "../core/text.ts";

/** What is held of rows, so that memory does not grow with the log (`--by event_id`). */
const MOST_ROWS = 20_000;

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

export function addCount({ counts, fields }: Tally, key: string, by: number): void {
  const known = counts.get(key);
  if (known === undefined && counts.size >= MOST_ROWS) {
    const names = fields.map(({ name }) => name).join(",");
    throw new OpsError("unsupported", `--by ${names}: more than ${showNumber(MOST_ROWS)} different values`, {
      hint: "--by a key with fewer values, or fewer events: --since 1d",
    });
  }
  counts.set(key, (known ?? 0) + by);
}

/** What a record of ours or an outcome may have; see records/fence-event.ts and fence-outcome.ts. */
const RECORD_KEYS: ReadonlySet<string> = new Set([
  ...["timestamp", "action", "target_node", "gfs2_filesystems", "status", "details", "recorder_node"],
  ...["pacemaker_action", "schema", "event_id", "time_ms", "recorded_ms", "plug", "source", "filesystems", "guard"],
  ...["guard_source", "guard_reason", "role", "boot_id", "agent_version", "discovery", "cluster", "gate", "operation"],
  ...["result", "method", "scope", "elapsed_ms", "attempts"].map((key) => `discovery.${key}`),
  ...["name", "dc", "quorate", "target_state"].map((key) => `cluster.${key}`),
  ...["request_id", "waited_ms", "action_performed", "message"].map((key) => `gate.${key}`),
  ...["id", "action", "client", "origin", "delegate", "device", "reason", "started_ms", "completed_ms", "rc"].map(
    (key) => `operation.${key}`,
  ),
]);

/** Fails for a key that no event counted has and no record is made with: all in one row would look like an answer. */
export function assertKeys(tally: Tally): void {
  if (tally.total === 0) return;
  for (const [index, { name }] of tally.fields.entries()) {
    if (RECORD_KEYS.has(name) || tally.counts.keys().some((key) => key.split("\n")[index] !== "null")) continue;
    throw new OpsError("usage", `--by: no event has the key ${name.slice(0, 100)}`, {
      hint: "one of action, target_node, gfs2_filesystems, status, recorder_node, source, discovery.result",
    });
  }
}

/** Most frequent first; equal ones by their values. See rowOf. */
export const sortedCounts = ({ counts }: Tally): (readonly [key: string, count: number])[] =>
  [...counts].sort(([a, countA], [b, countB]) => countB - countA || (a < b ? -1 : a > b ? 1 : 0));

export type TallyRow = { values: readonly unknown[]; count: number };

export const rowOf = ([key, count]: readonly [key: string, count: number]): TallyRow => ({
  values: key.split("\n").map((word) => JSON.parse(word) as unknown),
  count,
});

/** For people: strings as they are, what is not there as such. */
export function showValue(value: unknown): string {
  if (value === null) return "(not recorded)";
  return typeof value === "string" ? value : JSON.stringify(value);
}
