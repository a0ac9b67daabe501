/**
 * Incidents → the numbers of the report.
 * Input:  incidents one by one, in any order (in order of time is kindest to the table); the clock's zone is given.
 * Output: ReportNumbers: counts by time, node, hour, filesystem and device, durations, and the newest incidents as columns.
 *         Times are epoch ms; local means the zone's clock on the wall.
 * Memory is flat, whatever comes in: every table of names has a limit, what is past it is counted and said, never dropped
 * in silence. Durations are kept in steps of 5 %, so medians are right to 5 %.
 */

import { type Duration, type IncidentResult, RESULTS } from "../incidents.ts";
import { packDuration } from "./duration.ts";
import { cut, Dictionary, Kinds, Ring, Spread } from "./stores.ts";

export const CONTEXTS = ["found", "none", "unknown", "disabled"] as const;
export type Context = (typeof CONTEXTS)[number];

/** One fencing operation, however many lines tell of it. */
export type ReportIncident = {
  timeMs: number;
  target: string;
  action: string;
  result: IncidentResult;
  /** The target's GFS2 filesystems; `context` tells "none" from "could not ask". */
  filesystems: readonly string[];
  context: Context;
  recorders: readonly string[];
  duration: Duration | undefined;
  device: string | undefined;
  client: string | undefined;
  reason: string | undefined;
  /** Lines joined into this incident, and where the first of them stands. */
  lineCount: number;
  evidence: { file: string; line: number };
};

export type Zone = { name: string; offsetMinutes(timeMs: number): number };

export type ResultCounts = Record<IncidentResult, number>;
export type Bucket = { startLocalMs: number; counts: ResultCounts };
export type BucketUnit = "hour" | "day" | "week" | "month";
export type NodeRow = {
  name: string;
  counts: ResultCounts;
  total: number;
  hours: readonly number[];
  lastLocalMs: number;
};
export type FilesystemRow = { name: string; total: number; nodes: number; lastLocalMs: number };
export type DurationRow = {
  name: string;
  known: number;
  /** Of those known: where nothing says when Pacemaker was asked, so that it took at least so long. */
  minima: number;
  failed: number;
  median: number;
  p95: number;
  longest: number;
};
/** `toMs` is exclusive; undefined: no limit. */
export type DurationBin = { fromMs: number; toMs: number | undefined; count: number };

/** What rows of the table share, kept once. */
export type Kind = Pick<
  ReportIncident,
  "action" | "result" | "filesystems" | "context" | "recorders" | "device" | "client" | "reason"
>;
/** One entry a row in each column, newest first. */
export type IncidentColumns = {
  /** NO_TIME: not known. */
  timesMs: Float64Array;
  offsetsMinutes: Int32Array;
  nodes: readonly string[];
  kinds: Kinds;
  node: Int32Array;
  kind: Int32Array;
  /** As packDuration gives it. */
  durations: Float64Array;
  lineCount: Uint32Array;
  files: readonly string[];
  file: Int32Array;
  line: Float64Array;
};

export type ReportNumbers = {
  incidents: number;
  lines: number;
  firstLocalMs: number | undefined;
  lastLocalMs: number | undefined;
  zoneName: string;
  results: ResultCounts;
  contexts: Record<Context, number>;
  timeline: { unit: BucketUnit; buckets: readonly Bucket[] };
  nodes: readonly NodeRow[];
  filesystems: readonly FilesystemRow[];
  durations: { known: number; bins: readonly DurationBin[]; rows: readonly DurationRow[] };
  columns: IncidentColumns;
  /** Incidents whose node, filesystem or device is past a limit, and those with no usable time. */
  beyond: { nodes: number; filesystems: number; devices: number; time: number };
};

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const NODE_LIMIT = 10_000;
const FILESYSTEM_LIMIT = 2_000;
const DEVICE_LIMIT = 200;
const FILE_LIMIT = 60_000; // fits the column's 16 bits
const MAX_HOURS = 24 * 4;
const MAX_DAYS = 4_000;
const MAX_MONTHS = 2_400;
/** Rows of the table: beyond this a person filters with `fencepost analyze incidents`, and the page stays small. */
export const ROW_LIMIT = 100_000;
const BIN_BOUNDS_MS = [0, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000, 900_000];

const noCounts = (): ResultCounts => ({ succeeded: 0, failed: 0, refused: 0, unknown: 0 });
const sum = (counts: ResultCounts): number => counts.succeeded + counts.failed + counts.refused + counts.unknown;
/** Before every time there is, so that it sorts last. */
export const NO_TIME = -1e16;
const isTime = (timeMs: number): boolean => Math.abs(timeMs) <= 8.64e15 - DAY_MS;

class NodeTally {
  readonly counts = noCounts();
  readonly hours = new Uint32Array(24);
  lastLocalMs = Number.NEGATIVE_INFINITY;
}
type FilesystemTally = { total: number; nodes: Set<number>; lastLocalMs: number };

export class Aggregate {
  readonly #zone: Zone;
  readonly #ring: Ring;
  readonly #nodeNames = new Dictionary(NODE_LIMIT);
  readonly #nodes: NodeTally[] = [];
  readonly #filesystems = new Map<string, FilesystemTally>();
  readonly #devices = new Map<string, { spread: Spread; failed: number }>();
  readonly #durations = new Spread();
  readonly #bins = new Uint32Array(BIN_BOUNDS_MS.length);
  readonly #kinds = new Kinds();
  readonly #files = new Dictionary(FILE_LIMIT);
  readonly #results = noCounts();
  readonly #contexts: Record<Context, number> = { found: 0, none: 0, unknown: 0, disabled: 0 };
  readonly #beyond = { nodes: 0, filesystems: 0, devices: 0, time: 0 };
  // Finer tables are given up when the time span outgrows them.
  #hours: Map<number, ResultCounts> | undefined = new Map();
  #days: Map<number, ResultCounts> | undefined = new Map();
  readonly #months = new Map<number, ResultCounts>();
  #incidents = 0;
  #lines = 0;
  #firstLocalMs = Number.POSITIVE_INFINITY;
  #lastLocalMs = Number.NEGATIVE_INFINITY;
  #offsetKey = Number.NaN;
  #offsetMs = 0;

  constructor(zone: Zone, rowLimit = ROW_LIMIT) {
    this.#zone = zone;
    this.#ring = new Ring(rowLimit);
  }

  add(incident: ReportIncident): void {
    const { result, timeMs } = incident;
    this.#incidents++;
    this.#lines += incident.lineCount;
    this.#results[result]++;
    this.#contexts[incident.context]++;
    const localMs = this.#localMs(timeMs);
    if (localMs === undefined) this.#beyond.time++;
    else this.#addTime(localMs, result);
    const node = this.#addNode(incident, localMs);
    this.#addFilesystems(incident, node, localMs);
    this.#addDuration(incident);
    this.#addRow(incident, node);
  }

  /** Once, at the end: the rows are put into their order. */
  finish(): ReportNumbers {
    const known = Number.isFinite(this.#firstLocalMs);
    return {
      incidents: this.#incidents,
      lines: this.#lines,
      firstLocalMs: known ? this.#firstLocalMs : undefined,
      lastLocalMs: known ? this.#lastLocalMs : undefined,
      zoneName: this.#zone.name,
      results: this.#results,
      contexts: this.#contexts,
      timeline: this.#timeline(),
      nodes: this.#nodes
        .map(({ counts, hours, lastLocalMs }, index) => ({
          name: this.#nodeNames.texts[index] ?? "",
          counts,
          total: sum(counts),
          hours: [...hours],
          lastLocalMs,
        }))
        .sort((a, b) => b.total - a.total || (a.name < b.name ? -1 : 1)),
      filesystems: [...this.#filesystems]
        .map(([name, { total, nodes, lastLocalMs }]) => ({ name, total, nodes: nodes.size, lastLocalMs }))
        .sort((a, b) => b.total - a.total || (a.name < b.name ? -1 : 1)),
      durations: {
        known: this.#durations.count,
        bins: BIN_BOUNDS_MS.map((fromMs, index) => ({
          fromMs,
          toMs: BIN_BOUNDS_MS[index + 1],
          count: this.#bins[index] ?? 0,
        })),
        rows: this.#durationRows(),
      },
      columns: this.#columns(),
      beyond: this.#beyond,
    };
  }

  /** What a clock on the wall showed, as if it were UTC; undefined for a time no calendar has. */
  #localMs(timeMs: number): number | undefined {
    if (!isTime(timeMs)) return undefined;
    const key = Math.floor(timeMs / 900_000); // offsets change on a quarter of an hour, and asking is slow
    if (key !== this.#offsetKey) {
      this.#offsetKey = key;
      this.#offsetMs = this.#zone.offsetMinutes(timeMs) * 60_000;
    }
    return timeMs + this.#offsetMs;
  }

  #addTime(localMs: number, result: IncidentResult): void {
    this.#firstLocalMs = Math.min(this.#firstLocalMs, localMs);
    this.#lastLocalMs = Math.max(this.#lastLocalMs, localMs);
    const bump = (map: Map<number, ResultCounts>, key: number): number => {
      const counts = map.get(key) ?? noCounts();
      counts[result]++;
      return map.set(key, counts).size;
    };
    if (this.#hours && bump(this.#hours, Math.floor(localMs / HOUR_MS)) > MAX_HOURS) this.#hours = undefined;
    if (this.#days && bump(this.#days, Math.floor(localMs / DAY_MS)) > MAX_DAYS) this.#days = undefined;
    const month = monthOf(localMs);
    if (this.#months.has(month) || this.#months.size < MAX_MONTHS) bump(this.#months, month);
    else this.#beyond.time++;
  }

  #addNode({ target, result }: ReportIncident, localMs: number | undefined): number | undefined {
    const index = this.#nodeNames.indexOf(cut(target));
    if (index === undefined) {
      this.#beyond.nodes++;
      return undefined;
    }
    this.#nodes[index] ??= new NodeTally();
    const node = this.#nodes[index];
    node.counts[result]++;
    if (localMs === undefined) return index;
    const hour = Math.floor((((localMs % DAY_MS) + DAY_MS) % DAY_MS) / HOUR_MS);
    node.hours[hour] = (node.hours[hour] ?? 0) + 1;
    node.lastLocalMs = Math.max(node.lastLocalMs, localMs);
    return index;
  }

  #addFilesystems({ filesystems }: ReportIncident, node: number | undefined, localMs: number | undefined): void {
    for (const long of filesystems) {
      const name = cut(long);
      let tally = this.#filesystems.get(name);
      if (!tally) {
        if (this.#filesystems.size >= FILESYSTEM_LIMIT) {
          this.#beyond.filesystems++;
          continue;
        }
        tally = { total: 0, nodes: new Set(), lastLocalMs: Number.NEGATIVE_INFINITY };
        this.#filesystems.set(name, tally);
      }
      tally.total++;
      if (node !== undefined) tally.nodes.add(node);
      if (localMs !== undefined) tally.lastLocalMs = Math.max(tally.lastLocalMs, localMs);
    }
  }

  #addDuration({ duration, device, result }: ReportIncident): void {
    if (duration) {
      this.#durations.add(duration);
      const bin = BIN_BOUNDS_MS.findLastIndex((bound) => duration.ms >= bound);
      this.#bins[bin] = (this.#bins[bin] ?? 0) + 1;
    }
    if (device === undefined) return;
    const name = cut(device);
    let row = this.#devices.get(name);
    if (!row) {
      if (this.#devices.size >= DEVICE_LIMIT) {
        this.#beyond.devices++;
        return;
      }
      row = { spread: new Spread(), failed: 0 };
      this.#devices.set(name, row);
    }
    if (duration) row.spread.add(duration);
    if (result === "failed") row.failed++;
  }

  #durationRows(): DurationRow[] {
    const row = (name: string, spread: Spread, failed: number): DurationRow => ({
      name,
      known: spread.count,
      minima: spread.minima,
      failed,
      median: spread.quantile(0.5),
      p95: spread.quantile(0.95),
      longest: spread.longest,
    });
    return [
      row("", this.#durations, this.#results.failed),
      ...[...this.#devices]
        .map(([name, { spread, failed }]) => row(name, spread, failed))
        .sort((a, b) => b.known - a.known || (a.name < b.name ? -1 : 1)),
    ];
  }

  #addRow(incident: ReportIncident, node: number | undefined): void {
    const slot = this.#ring.claim();
    const ring = this.#ring;
    ring.timesMs[slot] = isTime(incident.timeMs) ? incident.timeMs : NO_TIME;
    ring.durations[slot] = packDuration(incident.duration);
    ring.node[slot] = node ?? -1;
    ring.kind[slot] = this.#kinds.indexOf(incident);
    ring.lineCount[slot] = incident.lineCount;
    ring.file[slot] = this.#files.indexOf(incident.evidence.file) ?? -1;
    ring.line[slot] = incident.evidence.line;
  }

  #timeline(): ReportNumbers["timeline"] {
    const inOrder = (map: Map<number, ResultCounts>): [number, ResultCounts][] => [...map].sort(([a], [b]) => a - b);
    const width = (map: Map<number, ResultCounts>): number => {
      const keys = [...map.keys()];
      return keys.length === 0 ? 0 : Math.max(...keys) - Math.min(...keys) + 1;
    };
    if (this.#hours && width(this.#hours) <= MAX_HOURS) {
      return { unit: "hour", buckets: filled(inOrder(this.#hours), (hour) => hour * HOUR_MS) };
    }
    if (this.#days && width(this.#days) <= 120) {
      return { unit: "day", buckets: filled(inOrder(this.#days), (day) => day * DAY_MS) };
    }
    if (this.#days && width(this.#days) <= 7 * 130) {
      const weeks = new Map<number, ResultCounts>();
      for (const [day, counts] of this.#days) {
        const week = Math.floor((day + 3) / 7); // 1970-01-01 was a Thursday; weeks start on Monday
        const sofar = weeks.get(week) ?? noCounts();
        for (const result of RESULTS) sofar[result] += counts[result];
        weeks.set(week, sofar);
      }
      return { unit: "week", buckets: filled(inOrder(weeks), (week) => (week * 7 - 3) * DAY_MS) };
    }
    const months = inOrder(this.#months);
    const startOf = (month: number) => Date.UTC(Math.floor(month / 12), month % 12, 1);
    // Two clocks that are decades apart would give a bar chart of nothing: then only the months that have incidents.
    return { unit: "month", buckets: width(this.#months) <= 600 ? filled(months, startOf) : only(months, startOf) };
  }

  #columns(): IncidentColumns {
    const ring = this.#ring;
    // By index throughout: iterators over a hundred thousand rows are 5 MB of garbage each.
    const order = new Uint32Array(ring.size);
    for (let slot = 0; slot < order.length; slot += 1) order[slot] = slot;
    const time = (slot: number) => ring.timesMs[slot] ?? NO_TIME;
    order.sort((a, b) => time(b) - time(a) || b - a);
    // In place, through one column's room: a second set of columns would be 5 MB.
    const sorted = new Float64Array(order.length);
    const column = <T extends Float64Array | Int32Array | Uint32Array>(values: T): T => {
      for (let row = 0; row < order.length; row += 1) sorted[row] = values[order[row] ?? 0] ?? 0;
      values.set(sorted);
      return values.subarray(0, order.length) as T;
    };
    const offsetsMinutes = new Int32Array(order.length);
    for (let row = 0; row < order.length; row += 1) {
      const known = this.#localMs(time(order[row] ?? 0)) !== undefined;
      offsetsMinutes[row] = known ? Math.round(this.#offsetMs / 60_000) : 0;
    }
    return {
      timesMs: column(ring.timesMs),
      offsetsMinutes,
      nodes: this.#nodeNames.texts,
      kinds: this.#kinds,
      node: column(ring.node),
      kind: column(ring.kind),
      durations: column(ring.durations),
      lineCount: column(ring.lineCount),
      files: this.#files.texts,
      file: column(ring.file),
      line: column(ring.line),
    };
  }
}

const monthOf = (localMs: number): number => {
  const date = new Date(localMs);
  return date.getUTCFullYear() * 12 + date.getUTCMonth();
};

const only = (entries: readonly [number, ResultCounts][], startOf: (key: number) => number): Bucket[] =>
  entries.map(([key, counts]) => ({ startLocalMs: startOf(key), counts }));

/** An hour without an incident is a bar of no height, not a missing bar. */
function filled(entries: readonly [number, ResultCounts][], startOf: (key: number) => number): Bucket[] {
  const buckets: Bucket[] = [];
  let expected = entries[0]?.[0] ?? 0;
  for (const [key, counts] of entries) {
    for (; expected < key; expected++) buckets.push({ startLocalMs: startOf(expected), counts: noCounts() });
    buckets.push({ startLocalMs: startOf(key), counts });
    expected = key + 1;
  }
  return buckets;
}
