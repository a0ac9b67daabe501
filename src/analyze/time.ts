/**
 * What an admin writes for a time → an instant in epoch ms.
 * Input:  `90m`, `2h`, `3d`, `1w` (that long ago), `now`, epoch seconds or milliseconds, ISO dates and times (local unless
 *         a zone is given), or words such as `yesterday`, `last monday 14:00`, `3 hours ago` (chrono, loaded only for these).
 * Output: for a beginning the first instant meant, for an end the last: `--until 2025-01-10` holds that whole day,
 *         `--until 14:23:16` that whole second, because that is how times are shown. An hour that a change of the clocks
 *         repeats begins with its first pass and ends with its second; one that it leaves out is the moment of the change.
 *         Logs are of the past: a year, day or week that is not said is the last one that has begun.
 * Errors: OpsError usage; also for words whose beginning and end not everybody would agree on (`last week`, `evening`), and
 *         for numbers that are another day where the day is written first (`03/04/2025`).
 */
import type { ParsedComponents } from "chrono-node";
import { OpsError } from "../core/errors.ts";

export type Side = "since" | "until";

const DAY_MS = 86_400_000;
const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: DAY_MS, w: 7 * DAY_MS } as const;
/** Below this a number is seconds: the year 5138; above it milliseconds: since March 1973. */
const MIN_EPOCH_MS = 100_000_000_000;

/** The first and the last instant of what was named. */
type Span = { fromMs: number; untilMs: number };
type Precision = "year" | "month" | "day" | "minute" | "second" | "exact";
/** As a clock on the wall shows it; months from 0. */
type Wall = readonly [
  year: number,
  month: number,
  day: number,
  hour?: number,
  minute?: number,
  second?: number,
  ms?: number,
];

/** `name` of the option, where it is not the side's own. */
export async function parseTime(text: string, side: Side, now: Date, name: string = side): Promise<number> {
  const words = text.trim();
  const span = parsePlain(words, now) ?? (await parseWords(words, now));
  if (Number.isNaN(span.fromMs)) {
    const why = span === AMBIGUOUS ? "can mean more than one time" : "not a time";
    throw new OpsError("usage", `--${name}: ${why}: ${text.slice(0, 100)}`, {
      hint: `--${name} 90m, --${name} yesterday, --${name} 2025-01-10T14:00, --${name} 1736519000`,
    });
  }
  const [monthFirst, dayFirst] = readingsOf(words);
  if (monthFirst !== undefined && dayFirst !== undefined) {
    throw new OpsError("usage", `--${name}: can mean ${monthFirst} or ${dayFirst}: ${text.slice(0, 100)}`, {
      hint: `--${name} ${dayFirst}`,
    });
  }
  return side === "since" ? span.fromMs : span.untilMs;
}

/** `03/04/2025`, `3.4.25`, `3/4`; behind a year of four figures the month comes first everywhere. */
const NUMBERS = /(?<![\d./-])(\d{1,2})([./-])(\d{1,2})(?:\2(\d{4}|\d\d))?(?![\d./-])/g;

/** The days that such numbers can mean, month first, day first, year first; what can stand for no day is left out. */
function readingsOf(text: string): string[] {
  const two = (part: string): string => part.padStart(2, "0");
  for (const [, first = "", mark, second = "", year] of text.matchAll(NUMBERS)) {
    if (year === undefined && mark !== "/") continue; // 10.30 is a time
    const full = year?.length === 2 ? `20${year}` : year;
    const readings: [year: string | undefined, month: string, day: string][] = [
      [full, first, second],
      [full, second, first],
      ...(year?.length === 2 ? [[`20${two(first)}`, second, year] as [string, string, string]] : []),
    ];
    const days = readings
      .filter(([, month, day]) => Number(month) >= 1 && Number(month) <= 12 && Number(day) >= 1 && Number(day) <= 31)
      .map(([of, month, day]) =>
        of === undefined ? `'${day} ${MONTHS[Number(month) - 1]}'` : `${of}-${two(month)}-${two(day)}`,
      );
    return [...new Set(days)];
  }
  return [];
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const NO_TIME: Span = { fromMs: Number.NaN, untilMs: Number.NaN };
const AMBIGUOUS: Span = { fromMs: Number.NaN, untilMs: Number.NaN };

/** The instants at which the clock on the wall shows this: one, two when it is set back, else the change it leaves this out by. */
function instantsOf(wall: Wall): Span {
  const [year, month, day, hour = 0, minute = 0, second = 0, ms = 0] = wall;
  const shownMs = Date.UTC(year, month, day, hour, minute, second, ms);
  const offsetMs = (timeMs: number): number => new Date(timeMs).getTimezoneOffset() * 60_000;
  const [early = 0, late = 0] = [-DAY_MS, DAY_MS]
    .map((awayMs) => shownMs + offsetMs(shownMs + awayMs))
    .sort((a, b) => a - b);
  const real = [early, late].filter((timeMs) => timeMs - offsetMs(timeMs) === shownMs);
  if (real.length > 0) return { fromMs: Math.min(...real), untilMs: Math.max(...real) };
  // The change lies between the two readings.
  let [before, after] = [early, late];
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    if (offsetMs(middle) === offsetMs(early)) before = middle;
    else after = middle;
  }
  return { fromMs: after, untilMs: before };
}

/** From the first to the last millisecond of it, where that is always the same. */
const LENGTH_MS = { minute: 59_999, second: 999, exact: 0 } as const;

function spanOf(wall: Wall, precision: Precision): Span {
  const [year, month, day] = wall;
  const { fromMs, untilMs } = instantsOf(wall);
  switch (precision) {
    case "year":
      return { fromMs, untilMs: instantsOf([year + 1, 0, 1]).fromMs - 1 };
    case "month":
      return { fromMs, untilMs: instantsOf([year, month + 1, 1]).fromMs - 1 };
    case "day":
      return { fromMs, untilMs: instantsOf([year, month, day + 1]).fromMs - 1 };
    default:
      return { fromMs, untilMs: untilMs < fromMs ? untilMs : untilMs + LENGTH_MS[precision] };
  }
}

const at = (timeMs: number, lengthMs = 0): Span => ({ fromMs: timeMs, untilMs: timeMs + lengthMs });

function parsePlain(text: string, now: Date): Span | undefined {
  const ago = /^(\d+(?:\.\d+)?)\s*(s|m|h|d|w)$/.exec(text);
  if (ago) return at(now.getTime() - Number(ago[1]) * UNIT_MS[ago[2] as keyof typeof UNIT_MS]);
  if (text === "now") return at(now.getTime());
  if (/^\d{9,}$/.test(text)) {
    const number = Number(text);
    return number < MIN_EPOCH_MS ? at(number * 1_000, 999) : at(number);
  }
  const named = /^(\d{4})-(0[1-9]|1[0-2])$/.exec(text);
  if (named) return spanOf([Number(named[1]), Number(named[2]) - 1, 1], "month");
  const iso = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)([.,]\d+)?)?\s*(Z|[+-]\d\d:?\d\d)?)?$/i.exec(text);
  if (!iso) return undefined;
  const [, year, month, day, hour, minute = "00", second, fraction = "", zone = ""] = iso;
  const clock = `${hour ?? "00"}:${minute}:${second ?? "00"}${fraction.replace(",", ".")}`;
  const zoned = new Date(`${year}-${month}-${day}T${clock}${zone === "" ? "Z" : zone.toUpperCase()}`);
  // "2025-02-31" would roll over into March.
  const real = new Date(Number(year), Number(month) - 1, Number(day)).getDate() === Number(day);
  if (!real || Number.isNaN(zoned.getTime())) return NO_TIME;
  const precision = hour === undefined ? "day" : second === undefined ? "minute" : fraction === "" ? "second" : "exact";
  if (zone !== "") return at(zoned.getTime(), precision === "minute" ? 59_999 : precision === "second" ? 999 : 0);
  const ms = zoned.getUTCMilliseconds();
  return spanOf(
    [Number(year), Number(month) - 1, Number(day), Number(hour ?? 0), Number(minute), Number(second ?? 0), ms],
    precision,
  );
}

/** Weeks begin on another day here and there, and parts of the day at another hour. */
const DISPUTED = /\bweek$|\b(?:last|past|previous|next)\s+(?:month|year)$/i;
const PART_OF_DAY = /\b(?:morning|afternoon|evening|night|tonight)\b/i;

async function parseWords(text: string, now: Date): Promise<Span> {
  const { parse } = await import("chrono-node");
  const [found, ...more] = parse(text, now);
  // Words around it that were not understood would change what is meant; so would the other end of a range.
  if (!found || more.length > 0 || found.text.length < text.length || found.end) return NO_TIME;
  const { start } = found;
  if (DISPUTED.test(text) || (PART_OF_DAY.test(text) && !start.isCertain("hour"))) return AMBIGUOUS;
  const precision = precisionOf(start, found.tags().has("result/relativeDate"));
  if (precision === undefined) return AMBIGUOUS;
  const wall = wallOf(start, precision);
  const named = spanOfWall(start, precision, wall);
  if (/^this\b/i.test(text) && start.isCertain("weekday") && named.fromMs > now.getTime()) return AMBIGUOUS;
  const past = lastPast(start, named, wall, now, text);
  if (past === undefined) return named;
  const [year, month, day] = past;
  // The year before has no 29 February.
  if (start.isCertain("month") && new Date(year, month, day).getMonth() !== month) return AMBIGUOUS;
  return spanOfWall(start, precision, past);
}

/** `2 months ago` is a day, `this month` is a month. */
function precisionOf(start: ParsedComponents, isRelative: boolean): Precision | undefined {
  if (start.isCertain("millisecond")) return "exact";
  if (start.isCertain("second")) return "second";
  if (start.isCertain("hour")) return "minute";
  if (start.isCertain("day") || start.isCertain("weekday") || isRelative) return "day";
  if (start.isCertain("month")) return "month";
  return start.isCertain("year") ? "year" : undefined;
}

function wallOf(start: ParsedComponents, precision: Precision): Wall {
  const of = (part: Parameters<ParsedComponents["get"]>[0]): number => start.get(part) ?? 0;
  if (precision === "year") return [of("year"), 0, 1];
  if (precision === "month") return [of("year"), of("month") - 1, 1];
  if (precision === "day") return [of("year"), of("month") - 1, of("day")];
  return [of("year"), of("month") - 1, of("day"), of("hour"), of("minute"), of("second"), of("millisecond")];
}

function spanOfWall(start: ParsedComponents, precision: Precision, wall: Wall): Span {
  const offsetMinutes = start.isCertain("timezoneOffset") ? start.get("timezoneOffset") : null;
  if (offsetMinutes === null || precision === "year" || precision === "month" || precision === "day")
    return spanOf(wall, precision);
  const [year, month, day, ...clock] = wall;
  return at(Date.UTC(year, month, day, ...clock) - offsetMinutes * 60_000, LENGTH_MS[precision]);
}

/** The same a year, week or day earlier, where that was not said and what chrono took for it has not begun. */
function lastPast(start: ParsedComponents, named: Span, wall: Wall, now: Date, text: string): Wall | undefined {
  const [year, month, day, ...clock] = wall;
  if (start.isCertain("year")) return undefined;
  if (start.isCertain("month")) {
    // Later today is still today.
    if (spanOf([year, month, day], "day").fromMs <= now.getTime()) return undefined;
    return [year - 1, month, day, ...clock];
  }
  if (named.fromMs <= now.getTime()) return undefined;
  if (start.isCertain("weekday"))
    return /\b(?:next|coming)\b/i.test(text) ? undefined : [year, month, day - 7, ...clock];
  return [year, month, day - 1, ...clock];
}
