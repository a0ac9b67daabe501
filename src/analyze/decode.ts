/**
 * One line → one event, whoever wrote it.
 * Input:  a line without its newline: a JSON object of ours or of the original Python recorder (eight keys), or a line
 *         of the readable log.
 * Output: AnalyzedEvent, or the reason why the line is no event. Unknown keys are kept, missing ones are a reason.
 *         Bytes that are no UTF-8 read as U+FFFD, as jq reads them; they do not make a line bad.
 * Source: SPEC 3 "What is written"; records/fence-event.ts is the other direction.
 */
import { lastWords } from "../core/text.ts";
import type { AnalyzedEvent, Evidence } from "./event.ts";

export type Decoded = AnalyzedEvent | { reason: string };

export const isEvent = (decoded: Decoded): decoded is AnalyzedEvent => "record" in decoded;

/** The words that the file format puts where names would be. */
export const PLACEHOLDERS: ReadonlySet<string> = new Set(["none-detected", "discovery-disabled"]);
const KNOWN = ["found", "none", "unknown", "disabled"] as const;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const textOr = (value: unknown, otherwise: string): string => (typeof value === "string" ? value : otherwise);

export function decodeLine(line: string, evidence: Evidence): Decoded {
  const raw = line.endsWith("\r") ? line.slice(0, -1) : line;
  if (raw.startsWith("{")) {
    let record: unknown;
    try {
      record = JSON.parse(raw);
    } catch {
      return { reason: `no JSON: ${shown(raw)}` };
    }
    return decodeRecord(record, raw, evidence);
  }
  return raw.startsWith("[") ? decodeReadable(raw, evidence) : { reason: `no event: ${shown(raw)}` };
}

const shown = (raw: string): string => {
  const words = lastWords(raw.slice(0, 60), 120);
  return words === "" ? "a blank line" : words;
};

/** A record that is parsed already: a line of the JSONL files, or an entry of the spool or inbox. */
export function decodeRecord(record: unknown, raw: string, evidence: Evidence): Decoded {
  if (!isObject(record)) return { reason: `no JSON object: ${shown(raw)}` };
  const { action, target_node: target } = record;
  if (typeof action !== "string") return { reason: "no action" };
  if (typeof target !== "string") return { reason: "no target_node" };
  const timeMs = timeOf(record);
  if (timeMs === undefined) return { reason: "neither time_ms nor a timestamp" };
  if (!(timeMs >= FIRST_MS && timeMs <= LAST_MS)) return { reason: `no time of the years 0 to 9999: ${timeMs} ms` };
  return {
    record,
    raw,
    evidence,
    timeMs,
    action,
    target,
    status: textOr(record.status, "unknown"),
    recorder: textOr(record.recorder_node, "unknown"),
    source: textOr(record.source, "original"),
    filesystems: namesOf(record).filter((name) => !PLACEHOLDERS.has(name)),
    known: knowledgeOf(record),
    eventId: typeof record.event_id === "string" ? record.event_id : undefined,
  };
}

const namesOf = (record: Readonly<Record<string, unknown>>): string[] => {
  const names = record.gfs2_filesystems;
  return Array.isArray(names) ? names.filter((name) => typeof name === "string") : [];
};

/** What a timestamp of the format can say; beyond, calendars end and tables of times with them. */
const FIRST_MS = Date.parse("0000-01-01T00:00:00Z");
const LAST_MS = Date.parse("9999-12-31T23:59:59.999Z");

function timeOf(record: Readonly<Record<string, unknown>>): number | undefined {
  if (typeof record.time_ms === "number") return record.time_ms;
  return typeof record.timestamp === "string" ? parseTimestamp(record.timestamp) : undefined;
}

/** An ISO time; one without a zone is UTC, as both recorders mean it. */
export function parseTimestamp(text: string): number | undefined {
  const iso = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(Z|[+-]\d\d:?\d\d)?$/.exec(text);
  if (!iso) return undefined;
  const timeMs = Date.parse(`${text.replace(" ", "T").replace(",", ".")}${iso[1] === undefined ? "Z" : ""}`);
  return Number.isNaN(timeMs) ? undefined : timeMs;
}

/**
 * Whether the names are all there were. The original recorder and the readable log write "none-detected" both for
 * "there are none" and for "nobody could be asked": that is unknown, never none.
 */
export function knowledgeOf(record: Readonly<Record<string, unknown>>): AnalyzedEvent["known"] {
  const discovery = isObject(record.discovery) ? record.discovery.result : undefined;
  const said = KNOWN.find((word) => word === discovery);
  if (said !== undefined) return said;
  const names = namesOf(record);
  if (names.includes("discovery-disabled")) return "disabled";
  return names.some((name) => !PLACEHOLDERS.has(name)) ? "found" : "unknown";
}

/** `[YYYY-MM-DD HH:MM:SS] ACTION=… TARGET=… GFS2=[…] STATUS=… DETAILS=…`, local time; a value may be a JSON string. */
const READABLE =
  /^\[(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)\] ACTION=(\S+) TARGET=("(?:[^"\\]|\\.)*"|\S+) GFS2=(\[.*?\]) STATUS=(\S+)(?: DETAILS=(.*))?$/;

function decodeReadable(raw: string, evidence: Evidence): Decoded {
  const parts = READABLE.exec(raw);
  if (!parts) return { reason: `no event: ${shown(raw)}` };
  const [, year, month, day, hour, minute, second, action, target, names, status, details = ""] = parts;
  const time = new Date(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second));
  const filesystems = parseOr(names, undefined);
  if (!Array.isArray(filesystems)) return { reason: `GFS2= holds no list: ${shown(raw)}` };
  const record = {
    timestamp: `${time.toISOString().slice(0, 19)}Z`,
    action: String(parseOr(action, action)),
    target_node: target?.startsWith('"') ? String(parseOr(target, target)) : target,
    gfs2_filesystems: filesystems,
    status: String(parseOr(status, status)),
    details,
  };
  const decoded = decodeRecord(record, raw, evidence);
  return isEvent(decoded) ? { ...decoded, source: "readable" } : decoded;
}

const parseOr = (text: string | undefined, otherwise: unknown): unknown => {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return otherwise;
  }
};
