/**
 * `timeline --by hour|day|week|month`: how many events in each, with bars; local time, weeks from Monday.
 * JSON: {"by":"day","total":N,"rows":[{"start":"2025-01-10T00:00:00.000Z","count":n},…]}, also those without events.
 */
import { OpsError } from "../../core/errors.ts";
import { showNumber } from "../../core/text.ts";
import { type AnalyzeCommand, withLogs } from "../command.ts";
import { collectGarbage, leaveGarbage, readBatches } from "../read.ts";
import { isoTime, paintFor, renderTable } from "../table.ts";

const UNITS = ["hour", "day", "week", "month"] as const;
type Unit = (typeof UNITS)[number];

/** More rows than anybody reads, and a wrong clock of 1970 must not fill the memory. */
const MAX_ROWS = 100_000;
const WIDEST_BAR = 60;
/** Years by the hour are a table of which not all rows need be in memory as text. */
const ROWS_AT_ONCE = 500;
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
    await withLogs(context, args, async (logs) => {
      // Local time may shift by whole quarters of an hour: nothing shorter needs a calendar of its own.
      const starts = new Map<number, number>();
      for await (const batch of readBatches(logs, { anyOrder: true })) {
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
    const rows = fill(counts, unit);
    if (args.json) {
      const encoded = rows.map(([startMs, count]) => ({ start: isoTime(startMs), count }));
      await context.out(`${JSON.stringify({ by: unit, total, rows: encoded })}\n`);
      return 0;
    }
    const paint = paintFor(context.terminal);
    const most = rows.reduce((sofar, [, count]) => Math.max(sofar, count), 1);
    const labelWidth = longest([unit, label(rows[0]?.[0] ?? 0, unit)]);
    const numberWidth = longest(["COUNT", showNumber(most)]);
    const width = Math.max(10, Math.min(WIDEST_BAR, context.terminal.columns - labelWidth - numberWidth - 4));
    const columns = [
      { title: unit.toUpperCase() },
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
    await context.out(`${showNumber(total)} ${total === 1 ? "event" : "events"}\n`);
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
  const day = unit === "month" ? 1 : unit === "week" ? date.getDate() - ((date.getDay() + 6) % 7) : date.getDate();
  return new Date(date.getFullYear(), date.getMonth(), day).getTime();
}

function next(startMs: number, unit: Unit): number {
  const date = new Date(startMs);
  if (unit === "hour") return startMs + 3_600_000;
  if (unit === "month") return new Date(date.getFullYear(), date.getMonth() + 1, 1).getTime();
  return new Date(date.getFullYear(), date.getMonth(), date.getDate() + (unit === "week" ? 7 : 1)).getTime();
}

/** With the rows that have no events: a gap is seen as a gap. */
function fill(counts: ReadonlyMap<number, number>, unit: Unit): [number, number][] {
  const starts = [...counts.keys()].sort((a, b) => a - b);
  const [first] = starts;
  const last = starts.at(-1);
  if (first === undefined || last === undefined) return [];
  const rows: [number, number][] = [];
  for (let start = first; start <= last; start = next(start, unit)) {
    if (rows.length >= MAX_ROWS) {
      throw new OpsError("usage", `timeline: more than ${MAX_ROWS} rows of an ${unit}`, { hint: "--by month" });
    }
    rows.push([start, counts.get(start) ?? 0]);
  }
  return rows;
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
