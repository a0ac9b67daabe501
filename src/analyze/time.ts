/**
 * What an admin writes for a time → an instant in epoch ms.
 * Input:  `90m`, `2h`, `3d`, `1w` (that long ago), `now`, epoch seconds or milliseconds, ISO dates and times (local unless
 *         a zone is given), or words such as `yesterday`, `last monday 14:00`, `3 hours ago` (chrono, loaded only for these).
 * Output: for a beginning the first instant meant, for an end the last: `--until 2025-01-10` holds that whole day,
 *         `--until 14:23:16` that whole second, because that is how times are shown.
 * Errors: OpsError usage.
 */
import { OpsError } from "../core/errors.ts";

export type Side = "since" | "until";

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;
/** Below this a number is seconds: the year 5138; above it milliseconds: since March 1973. */
const MIN_EPOCH_MS = 100_000_000_000;

type Precision = "day" | "minute" | "second" | "exact";

export async function parseTime(text: string, side: Side, now: Date): Promise<number> {
  const words = text.trim();
  const parsed = parsePlain(words, now) ?? (await parseWords(words, side, now));
  if (parsed === undefined || Number.isNaN(parsed.date.getTime())) {
    throw new OpsError("usage", `--${side}: not a time: ${text.slice(0, 100)}`, {
      hint: `--${side} 90m, --${side} yesterday, --${side} 2025-01-10T14:00, --${side} 1736519000`,
    });
  }
  return side === "since" ? parsed.date.getTime() : lastOf(parsed.date, parsed.precision);
}

/** The last millisecond of the day, minute or second that was named. */
function lastOf(date: Date, precision: Precision): number {
  switch (precision) {
    case "day":
      return new Date(date.getFullYear(), date.getMonth(), date.getDate() + 1).getTime() - 1;
    case "minute":
      return date.getTime() + 59_999;
    case "second":
      return date.getTime() + 999;
    case "exact":
      return date.getTime();
    default:
      return precision satisfies never;
  }
}

type Parsed = { date: Date; precision: Precision };

function parsePlain(text: string, now: Date): Parsed | undefined {
  const ago = /^(\d+(?:\.\d+)?)\s*(s|m|h|d|w)$/.exec(text);
  if (ago) {
    const unit = ago[2] as keyof typeof UNIT_MS;
    return { date: new Date(now.getTime() - Number(ago[1]) * UNIT_MS[unit]), precision: "exact" };
  }
  if (text === "now") return { date: now, precision: "exact" };
  if (/^\d{9,}$/.test(text)) {
    const number = Number(text);
    return number < MIN_EPOCH_MS
      ? { date: new Date(number * 1_000), precision: "second" }
      : { date: new Date(number), precision: "exact" };
  }
  const iso = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)([.,]\d+)?)?\s*(Z|[+-]\d\d:?\d\d)?)?$/i.exec(text);
  if (!iso) return undefined;
  const [, year, month, day, hour, minute = "00", second, fraction, zone = ""] = iso;
  const precision =
    hour === undefined ? "day" : second === undefined ? "minute" : fraction === undefined ? "second" : "exact";
  const clock = `${hour ?? "00"}:${minute}:${second ?? "00"}${(fraction ?? "").replace(",", ".")}`;
  const date = new Date(`${year}-${month}-${day}T${clock}${zone.toUpperCase()}`);
  // "2025-02-31" would roll over into March.
  const real = new Date(Number(year), Number(month) - 1, Number(day)).getDate() === Number(day);
  return { date: real ? date : new Date(Number.NaN), precision };
}

async function parseWords(text: string, side: Side, now: Date): Promise<Parsed | undefined> {
  const { parse } = await import("chrono-node");
  const [found, ...more] = parse(text, now);
  // Words around it that were not understood would change what is meant.
  if (!found || more.length > 0 || found.text.length < text.length) return undefined;
  const { start } = found;
  const date = start.date();
  if (start.isCertain("millisecond")) return { date, precision: "exact" };
  if (start.isCertain("second")) return { date, precision: "second" };
  if (start.isCertain("minute")) return { date, precision: "minute" };
  if (start.isCertain("hour")) return { date, precision: side === "until" ? "minute" : "exact" };
  return { date: new Date(date.getFullYear(), date.getMonth(), date.getDate()), precision: "day" };
}
