/**
 * Is the record whole? Each line against the format, and the lines against each other.
 * Input:  lines of one log, oldest file first. Output: problems with file and line.
 * Checked for each line: JSON, the eight first keys and their order, types and words, timestamp against time_ms; for
 * lines of the original recorder the eight keys alone. Between lines: recorded_ms never falls; an event_id once (among
 * the last DUPLICATE_SPAN lines, so that memory stays flat).
 * Source: SPEC 3 "What is written".
 */

import { decodeLine, isEvent } from "./decode.ts";
import type { AnalyzedEvent, Evidence } from "./event.ts";
import { type Filters, matchesEvent } from "./filter.ts";
import { HEAD_KEYS } from "./head.ts";
import { type IdSet, idSet } from "./id-set.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export type ProblemKind =
  | "bad-line"
  | "schema"
  | "order"
  | "duplicate"
  | "torn"
  | "rotation-gap"
  | "no-event"
  | "unfinished"
  | "spooled"
  | "unreadable";
export type Problem = { kind: ProblemKind; evidence: Evidence; text: string };

const DUPLICATE_SPAN = 500_000;

const ACTIONS = ["on", "off", "reboot"];
const STATUSES = ["initiated", "refused", "succeeded", "failed", "requested", "completed"];
const SOURCES = ["stonith", "alert", "reconcile", "manual"];
const RESULTS = ["found", "none", "unknown", "disabled"];

const quoted = (value: unknown): string => (JSON.stringify(value) ?? "nothing").slice(0, 60);

/** What is wrong with a decoded line; empty when nothing is. */
export function schemaProblems({ record, timeMs }: AnalyzedEvent): string[] {
  const problems: string[] = [];
  const expect = (holds: boolean, text: string): void => {
    if (!holds) problems.push(text);
  };
  const text = (key: string): void =>
    expect(typeof record[key] === "string", `${key}: not a text: ${quoted(record[key])}`);
  for (const key of HEAD_KEYS) if (key !== "gfs2_filesystems") text(key);
  const names = record.gfs2_filesystems;
  expect(
    Array.isArray(names) && names.every((name) => typeof name === "string"),
    `gfs2_filesystems: not a list of names: ${quoted(names)}`,
  );
  expect(
    Object.keys(record).slice(0, HEAD_KEYS.length).join() === HEAD_KEYS.join(),
    "the first eight keys are not in the format's order",
  );
  expect(ACTIONS.includes(String(record.action)), `action: not on, off or reboot: ${quoted(record.action)}`);
  if (record.schema === undefined) return problems; // the original recorder's
  if (record.schema !== 1) return [`schema: ${quoted(record.schema)}: newer than this program`];
  expect(STATUSES.includes(String(record.status)), `status: no word of the format: ${quoted(record.status)}`);
  expect(UUID.test(String(record.event_id)), `event_id: not a UUID: ${quoted(record.event_id)}`);
  for (const key of ["time_ms", "recorded_ms"])
    expect(Number.isSafeInteger(record[key]), `${key}: not an instant: ${quoted(record[key])}`);
  const second = `${new Date(timeMs).toISOString().slice(0, 19)}Z`;
  expect(record.timestamp === second, `timestamp: ${quoted(record.timestamp)} is not time_ms (${second})`);
  expect(SOURCES.includes(String(record.source)), `source: no word of the format: ${quoted(record.source)}`);
  const discovery = record.discovery as { result?: unknown } | undefined;
  if (discovery !== undefined)
    expect(
      RESULTS.includes(String(discovery?.result)),
      `discovery.result: no word of the format: ${quoted(discovery?.result)}`,
    );
  return problems;
}

export type LineChecker = {
  /** One line without its newline. `whole` is false for a last line that has none. */
  line: (text: string, evidence: Evidence, whole: boolean) => Problem[];
  /** A line too long to be held. */
  skip: (bytes: number, evidence: Evidence) => Problem[];
  counts: () => { lines: number; events: number; duplicatesAmong: number };
};

/**
 * For one log; its rotated files are fed one after the other, oldest first. Problems of events that `filters` does not ask
 * for are left out; a line that is no event is nobody's, and always told.
 */
export const duplicateIds = (): IdSet => idSet(DUPLICATE_SPAN);

/** `ids`: of the log before, whose room they have. */
export function lineChecker(ids: IdSet, filters: Filters): LineChecker {
  ids.clear();
  let before: { recordedMs: number; evidence: Evidence } | undefined;
  let lines = 0;
  let events = 0;
  return {
    line(text, evidence, whole) {
      lines += 1;
      const problems: Problem[] = [];
      const report = (kind: ProblemKind, words: string) => problems.push({ kind, evidence, text: words });
      const decoded = decodeLine(text, evidence);
      if (!isEvent(decoded)) {
        report(whole ? "bad-line" : "torn", `${whole ? "" : "a last line without its end: "}${decoded.reason}`);
        return problems;
      }
      if (!whole) report("torn", "the last line has no newline: the next append puts one before its own");
      events += 1;
      // A readable line that stands alone has no keys to check.
      if (decoded.source !== "readable") for (const words of schemaProblems(decoded)) report("schema", words);
      const { recorded_ms: recordedMs } = decoded.record;
      if (typeof recordedMs === "number") {
        if (before && recordedMs < before.recordedMs) {
          report(
            "order",
            `recorded_ms falls by ${before.recordedMs - recordedMs} ms after ${before.evidence.file}:${before.evidence.line}`,
          );
        }
        before = { recordedMs, evidence };
      }
      if (decoded.eventId !== undefined && !ids.add(decoded.eventId))
        report("duplicate", `event_id ${decoded.eventId.slice(0, 60)} stands there twice`);
      return problems.length === 0 || matchesEvent(filters, decoded) ? problems : [];
    },
    skip(bytes, evidence) {
      lines += 1;
      return [{ kind: "bad-line", evidence, text: `a line of ${bytes} bytes` }];
    },
    counts: () => ({ lines, events, duplicatesAmong: Math.min(events, ids.span) }),
  };
}

/** `.1`, `.3`: the second is missing. Names without numbers (dates) cannot show a gap. */
export function rotationGaps(name: string, files: readonly string[]): Problem[] {
  const numbers = files.flatMap((file) => {
    const number = /\.(\d{1,5})(?:\.[a-z0-9]+)?$/.exec(file.slice(name.length))?.[1];
    return number === undefined ? [] : [Number(number)];
  });
  const missing: number[] = [];
  for (let number = 1; number < Math.max(0, ...numbers); number += 1)
    if (!numbers.includes(number)) missing.push(number);
  return missing.map((number) => ({
    kind: "rotation-gap" as const,
    evidence: { file: `${name}.${number}`, line: 0 },
    text: "a rotated file between others is missing",
  }));
}
