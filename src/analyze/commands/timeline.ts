/**
 * `timeline --by hour|day|week|month`: how many events in each, with bars; local time, weeks from Monday.
 * JSON: {"by":"day","total":N,"rows":[{"start":"2025-01-10T00:00:00.000Z","count":n},…]}, also those without events, as far
 * as they are not too many.
 */
import { counted, showNumber } from "../../core/text.ts";
import { type AnalyzeCommand, shownRows, withAllEvents, withLogs } from "../command.ts";
import { collectGarbage, leaveGarbage } from "../garbage.ts";
import { readBatches } from "../read.ts";
import { isoTime, paintFor, renderTable, showZone } from "../table.ts";

const UNITS = ["hour", "day", "week", "month"] as const;
type Unit = (typeof UNITS)[number];

/** More rows than anybody reads: a wrong clock of 1970 must not fill the memory. */
const MAX_ROWS = 100_000;
const HOUR_MS = 3_600_000;
const UNIT_MS: Readonly<Record<Unit, number>> = {
  hour: HOUR_MS,
  day: 24 * HOUR_MS,
  week: 7 * 24 * HOUR_MS,
  month: 30 * 24 * HOUR_MS,
};
const WIDEST_BAR = 60;
/** Years by the hour are a table of which not all rows need be in memory as text. */
const ROWS_AT_ONCE = 500;
const SHOWN_GAPS = 5;
/** Events come nearly in order of time, so a few are enough. */
const MAX_STARTS = 1_000;

export const timeline: AnalyzeCommand = {
  command: "timeline [files..]",
  describe: "How many events in each hour, day, week (from Monday) or month, in local time, empty ones too.",
  options: {
    by: { describe: "length of a row", choices: UNITS, default: "day", requiresArg: true },
  },
  examples: [
    ["timeline --since 7d", "this week, day by day"],
    ["timeline --by hour --since yesterday --node compute-node-3", "when it began"],
    ["timeline --by month --json", "for a chart of your own"],
  ],
  async run(context, args) {
    const unit = UNITS.find((known) => known === [args.own.by].flat().at(-1)) ?? "day";
    const counts = new Map<number, number>();
    let total = 0;
    await withLogs(context, withAllEvents(args), async (logs) => {
      // Local time may shift by whole quarters of an hour: nothing shorter needs a calendar of its own.
      const starts = new Map<number, number>();
      for await (const batch of readBatches(logs, { stream: "asked", anyOrder: true })) {
        total += batch.length;
        for (const { timeMs } of batch) {
          const quarter = Math.floor(timeMs / QUARTER_MS);
          let start = starts.get(quarter);
          if (start === undefined) {
            start = startOf(timeMs, unit);
            if (starts.size >= MAX_STARTS) starts.clear();
            starts.set(quarter, start);
          }
          counts.set(start, (counts.get(start) ?? 0) + 1);
        }
      }
    });
    const { rows: all, leftOut } = fill(counts, unit);
    const { rows, more } = shownRows(all, args.filters);
    for (const { fromMs, toMs } of leftOut.slice(0, SHOWN_GAPS))
      context.err(
        `timeline: ${label(fromMs, unit)} to ${label(toMs, unit)}: too many ${unit}s without events to show each`,
      );
    if (leftOut.length > SHOWN_GAPS) context.err(`timeline: ${leftOut.length - SHOWN_GAPS} more such gaps`);
    if (args.json) {
      const encoded = rows.map(([startMs, count]) => ({ start: isoTime(startMs), count }));
      await context.out(`${JSON.stringify({ by: unit, total, rows: encoded })}\n`);
      return 0;
    }
    const paint = paintFor(context.terminal);
    const most = rows.reduce((sofar, [, count]) => Math.max(sofar, count), 1);
    const title = `${unit.toUpperCase()} ${showZone()}`;
    const labelWidth = longest([title, label(rows[0]?.[0] ?? 0, unit)]);
    const numberWidth = longest(["COUNT", showNumber(most)]);
    const width = Math.max(10, Math.min(WIDEST_BAR, context.terminal.columns - labelWidth - numberWidth - 4));
    const columns = [
      { title },
      { title: "COUNT", align: "right" },
      { title: "", paint: (text: string) => paint.cyan(text) },
    ] as const;
    const spent = { garbageBytes: 0 };
    for (let at = 0; at === 0 || at < rows.length; at += ROWS_AT_ONCE) {
      const cells = rows
        .slice(at, at + ROWS_AT_ONCE)
        .map(([startMs, count]) => [
          label(startMs, unit),
          count === 0 ? "-" : showNumber(count),
          bar(count / most, width),
        ]);
      const text = renderTable(columns, cells, {
        ...context,
        title: at === 0,
        widths: [labelWidth, numberWidth, width],
      });
      await context.out(text);
      leaveGarbage(spent, 20 * text.length);
      collectGarbage(spent);
    }
    await context.out(`${counted(total, "event")}${more}\n`);
    return 0;
  },
};

const QUARTER_MS = 15 * 60_000;

const longest = (texts: readonly string[]): number => texts.reduce((most, { length }) => Math.max(most, length), 0);

/** Where a unit begins, in local time. */
function startOf(timeMs: number, unit: Unit): number {
  const date = new Date(timeMs);
  if (unit === "hour") {
    // By subtraction, because an hour that a clock change repeats is two hours.
    return timeMs - (date.getMinutes() * 60 + date.getSeconds()) * 1_000 - date.getMilliseconds();
  }
  date.setDate(unit === "month" ? 1 : unit === "week" ? date.getDate() - ((date.getDay() + 6) % 7) : date.getDate());
  return date.setHours(0, 0, 0, 0);
}

function next(startMs: number, unit: Unit): number {
  const date = new Date(startMs);
  if (unit === "hour") return startMs + HOUR_MS;
  if (unit === "month") date.setMonth(date.getMonth() + 1);
  else date.setDate(date.getDate() + (unit === "week" ? 7 : 1));
  return date.setHours(0, 0, 0, 0);
}

type Gap = { fromMs: number; toMs: number };

/**
 * With the rows that have no events: a gap is seen as a gap. Where all of them would be too many, the longest gaps are
 * left out: those that a wrong clock makes.
 */
function fill(counts: ReadonlyMap<number, number>, unit: Unit): { rows: [number, number][]; leftOut: Gap[] } {
  const starts = [...counts.keys()].sort((a, b) => a - b);
  const gaps = starts.slice(1).map((toMs, index) => ({ fromMs: starts[index] ?? toMs, toMs }));
  const filled = new Set<number>();
  let room = MAX_ROWS - starts.length;
  for (const { fromMs, toMs } of [...gaps].sort((a, b) => a.toMs - a.fromMs - (b.toMs - b.fromMs))) {
    room -= Math.round((toMs - fromMs) / UNIT_MS[unit]) - 1;
    if (room < 0) break;
    filled.add(fromMs);
  }
  const rows: [number, number][] = [];
  for (const [index, start] of starts.entries()) {
    rows.push([start, counts.get(start) ?? 0]);
    const until = starts[index + 1];
    if (until === undefined || !filled.has(start)) continue;
    for (let empty = next(start, unit); empty < until; empty = next(empty, unit)) rows.push([empty, 0]);
  }
  return { rows, leftOut: gaps.filter(({ fromMs }) => !filled.has(fromMs)) };
}

function label(startMs: number, unit: Unit): string {
  const date = new Date(startMs);
  const two = (value: number) => String(value).padStart(2, "0");
  const month = `${date.getFullYear()}-${two(date.getMonth() + 1)}`;
  if (unit === "month") return month;
  const day = `${month}-${two(date.getDate())}`;
  return unit === "hour" ? `${day} ${two(date.getHours())}:00` : day;
}

/** Eighths of a character, so that one event beside a thousand is still seen. */
function bar(share: number, width: number): string {
  const eighths = share === 0 ? 0 : Math.max(1, Math.round(share * width * 8));
  return "█".repeat(eighths >> 3) + (["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths & 7] ?? "");
}
