/**
 * Events → other programs' formats.
 * Input:  batches of events. Output: text, a chunk a batch; memory is that of a batch.
 *   csv     one event a line (RFC 4180, LF, header CSV_COLUMNS), for spreadsheets: a cell that begins with a character
 *           which one would take for a formula (= + - @, their full-width forms, tab, CR) gets a ' before it, because
 *           node names and reasons are whatever somebody called a node. Control characters are written out (`\n`).
 *           A script that needs the exact text takes ndjson.
 *   ndjson  the recorded line as it is, every key untouched; a line of the readable log as the keys it holds
 *   json    the same in one array
 *   elastic-bulk  for POST /_bulk (and OpenSearch): an action line, then the recorded line with `@timestamp` added. `_id`
 *           is the event_id, else made from the line, so that importing again overwrites instead of adding.
 *           A request has a limit (100 MB unless changed): `split -l 20000`, an even number of lines.
 */
import type { AnalyzedEvent } from "./event.ts";
import { operationOf } from "./incidents.ts";

export const EXPORT_FORMATS = ["csv", "json", "ndjson", "elastic-bulk"] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

export type ExportOptions = { format: ExportFormat; index: string };
export const DEFAULT_INDEX = "fence-events";

type Batches = AsyncIterable<readonly AnalyzedEvent[]>;

export async function* exportEvents(
  events: Batches,
  { format, index }: ExportOptions,
): AsyncGenerator<string, void, undefined> {
  const batches = small(events);
  switch (format) {
    case "csv":
      return yield* exportCsv(batches);
    case "json":
      return yield* exportJson(batches);
    case "ndjson":
      for await (const batch of batches) yield `${batch.map(jsonOf).join("\n")}\n`;
      return;
    case "elastic-bulk":
      return yield* exportBulk(batches, index);
    default:
      return format satisfies never;
  }
}

const SMALL = 256;

/** A reader's batch may be 16 MB of log: so much text need not be there twice. */
async function* small(batches: Batches): AsyncGenerator<readonly AnalyzedEvent[], void, undefined> {
  for await (const batch of batches) {
    for (let at = 0; at < batch.length; at += SMALL) yield batch.slice(at, at + SMALL);
  }
}

/** What was written, byte for byte, where that is JSON. */
const jsonOf = ({ raw, record }: AnalyzedEvent): string => (raw.startsWith("{") ? raw : JSON.stringify(record));

async function* exportJson(batches: Batches): AsyncGenerator<string, void, undefined> {
  let before = "[\n";
  for await (const batch of batches) {
    yield before + batch.map(jsonOf).join(",\n");
    before = ",\n";
  }
  yield before === "[\n" ? "[]\n" : "\n]\n";
}

/** ISO 8601 in UTC; empty for a number that is no time. */
const isoOf = (timeMs: number | undefined): string =>
  timeMs === undefined || !(Math.abs(timeMs) <= 8.64e15) ? "" : new Date(timeMs).toISOString();

type Cell = string | number;

const objectOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
const cellOf = (value: unknown): Cell =>
  typeof value === "string" || typeof value === "number" ? value : typeof value === "boolean" ? String(value) : "";

/** Column → its value. New columns go to the end. */
const COLUMN_VALUES = {
  time: ({ timeMs }) => isoOf(timeMs),
  action: ({ action }) => action,
  target_node: ({ target }) => target,
  status: ({ status }) => status,
  source: ({ source }) => source,
  recorder_node: ({ recorder }) => recorder,
  /** found, none, unknown (nobody could be asked), disabled: an empty list of filesystems alone would not say which. */
  gfs2_context: ({ known }) => known,
  gfs2_filesystems: ({ filesystems }) => filesystems.join(";"),
  discovery_method: ({ record }) => cellOf(objectOf(record.discovery).method),
  discovery_scope: ({ record }) => cellOf(objectOf(record.discovery).scope),
  cluster_name: ({ record }) => cellOf(objectOf(record.cluster).name),
  quorate: ({ record }) => cellOf(objectOf(record.cluster).quorate),
  operation_id: (event) => operationOf(event).id ?? "",
  client: (event) => operationOf(event).client ?? "",
  origin: (event) => operationOf(event).origin ?? "",
  delegate: (event) => operationOf(event).delegate ?? "",
  device: (event) => operationOf(event).device ?? "",
  started: (event) => isoOf(operationOf(event).startedMs),
  completed: (event) => isoOf(operationOf(event).completedMs),
  duration_ms: (event) => {
    const { startedMs, completedMs } = operationOf(event);
    return startedMs === undefined || completedMs === undefined ? "" : completedMs - startedMs;
  },
  reason: (event) => operationOf(event).reason ?? cellOf(event.record.guard_reason),
  details: ({ record }) => cellOf(record.details),
  event_id: ({ eventId }) => eventId ?? "",
  plug: ({ record }) => cellOf(record.plug),
  file: ({ evidence }) => evidence.file,
  line: ({ evidence }) => evidence.line,
} as const satisfies Record<string, (event: AnalyzedEvent) => Cell>;

export const CSV_COLUMNS = Object.keys(COLUMN_VALUES);

async function* exportCsv(batches: Batches): AsyncGenerator<string, void, undefined> {
  const [{ stringify }, { escapeControl }] = await Promise.all([
    import("csv-stringify/sync"),
    import("../core/text.ts"),
  ]);
  const values: readonly ((event: AnalyzedEvent) => Cell)[] = Object.values(COLUMN_VALUES);
  const printable = (cell: Cell): Cell => (typeof cell === "string" ? escapeControl(cell) : cell);
  const encode = (rows: readonly (readonly Cell[])[]): string =>
    stringify(rows as Cell[][], { escape_formulas: true, record_delimiter: "unix" });
  yield encode([CSV_COLUMNS]);
  for await (const batch of batches) {
    yield encode(batch.map((event) => values.map((value) => printable(value(event)))));
  }
}

/** Version 5 UUIDs of lines without an event_id (the original recorder's). Fixed for ever: it makes importing repeatable. */
const LINE_NAMESPACE = "5d0c7bd5-8a3f-4f0e-9a53-6d1f7c1f2e8b";

async function* exportBulk(batches: Batches, index: string): AsyncGenerator<string, void, undefined> {
  const { v5 } = await import("uuid");
  // Two equal lines of one second are two events: Pacemaker asks twice, and the original recorder has no finer clock.
  let sameTime = new Map<string, number>();
  let timeMs = Number.NaN;
  const idOf = (event: AnalyzedEvent): string => {
    if (event.eventId !== undefined && event.eventId !== "") return event.eventId;
    if (event.timeMs !== timeMs) sameTime = new Map();
    timeMs = event.timeMs;
    const nth = sameTime.get(event.raw) ?? 0;
    sameTime.set(event.raw, nth + 1);
    return v5(`${nth} ${event.raw}`, LINE_NAMESPACE);
  };
  for await (const batch of batches) {
    const lines = batch.map((event) => {
      const action = JSON.stringify({ index: { _index: index, _id: idOf(event) } });
      return `${action}\n${withTimestamp(event)}\n`;
    });
    yield lines.join("");
  }
}

/** The recorded text with one more key in front: taking it apart and writing it anew could change a number. */
function withTimestamp(event: AnalyzedEvent): string {
  const json = jsonOf(event);
  const time = isoOf(event.timeMs);
  if (time === "" || "@timestamp" in event.record) return json;
  return `{"@timestamp":"${time}",${json.slice(1)}`;
}
