/**
 * When was a log line written? Cluster logs leave out the year, the zone or both; a monotonic stamp leaves out the day.
 * Input:  the stamps of one file in file order, its time of change, and anchors: lines that also hold an epoch time.
 * Output: epoch ms for each stamp, and what that rests on, so that an assumption is said and never hidden:
 *         `written` the stamps are complete · `anchored` year and zone follow from an epoch in the same file ·
 *         `borrowed` they are those of another file of the set, that is anchored · `assumed` the file's year and this
 *         machine's zone · `unknown` a monotonic clock that nothing ties to a day.
 * Source: pacemaker.log(5 by example), corosync.conf(5) `timestamp`, dmesg(1); test/fixtures/gfs2-cluster
 */
export type Stamp = {
  /** 0 to 11 */
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
  ms: number;
  year?: number;
  /** Minutes east of UTC, where the line says it. */
  zoneMinutes?: number;
};

export type ClockBasis = "written" | "anchored" | "borrowed" | "assumed" | "unknown";
/** What an anchored file knows that others of the same cluster may not: its zone, at about that time. */
export type Tie = { epochMs: number; offsetMs: number };
/** The stamp at `index` was written at `epochMs`, as the same line says. */
export type Anchor = { index: number; epochMs: number };

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const SYSLOG = /^([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d)(?:[.,](\d{1,6}))?/;
/** A year comes only behind a weekday: four digits behind another stamp are dlm_controld's seconds since the boot. */
const CTIME =
  /^[A-Z][a-z]{2} ([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d)(?:[.,](\d{1,6}))?(?: (\d{4})(?=[\]\s]|$))?/;
const ISO = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))? ?(Z|[+-]\d\d:?\d\d)?/;
const DAY_MS = 86_400_000;

const milliseconds = (fraction: string | undefined): number => Number((fraction ?? "0").slice(0, 3).padEnd(3, "0"));

/** The stamp at the start of `text` and where it ends; undefined when there is none. */
export function parseStamp(text: string): { stamp: Stamp; length: number } | undefined {
  const iso = ISO.exec(text);
  if (iso) {
    const [all, year, month, day, hour, minute, second, fraction, zone] = iso;
    const stamp: Stamp = {
      year: Number(year),
      month: Number(month) - 1,
      day: Number(day),
      hour: Number(hour),
      minute: Number(minute),
      second: Number(second),
      ms: milliseconds(fraction),
    };
    if (zone !== undefined) stamp.zoneMinutes = zoneMinutes(zone);
    return { stamp, length: all.length };
  }
  const syslog = SYSLOG.exec(text) ?? CTIME.exec(text);
  const month = MONTHS.indexOf(syslog?.[1] ?? "");
  if (!syslog || month < 0) return undefined;
  const [all, , day, hour, minute, second, fraction, year] = syslog;
  const stamp: Stamp = {
    month,
    day: Number(day),
    hour: Number(hour),
    minute: Number(minute),
    second: Number(second),
    ms: milliseconds(fraction),
  };
  if (year !== undefined) stamp.year = Number(year);
  return { stamp, length: all.length };
}

function zoneMinutes(zone: string): number {
  if (zone === "Z") return 0;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2));
  return zone.startsWith("-") ? -minutes : minutes;
}

const asUtc = (stamp: Stamp, year: number): number =>
  Date.UTC(year, stamp.month, stamp.day, stamp.hour, stamp.minute, stamp.second, stamp.ms);

const asLocal = (stamp: Stamp, year: number): number =>
  new Date(year, stamp.month, stamp.day, stamp.hour, stamp.minute, stamp.second, stamp.ms).getTime();

/** A quarter of an hour is the finest step of any zone in use. */
const QUARTER_MS = 900_000;

/**
 * Year and zone of every stamp. Without a year the last stamp gets the latest year in which it does not lie after the
 * file's last change; a stamp more than a day below the one before it starts a new year.
 */
export function resolveStamps(
  stamps: readonly Stamp[],
  {
    modifiedMs,
    anchors = [],
    borrowed,
  }: { modifiedMs: number; anchors?: readonly Anchor[]; borrowed?: Tie | undefined },
): { timesMs: number[]; basis: ClockBasis; tie?: Tie } {
  const last = stamps.at(-1);
  if (!last) return { timesMs: [], basis: "written" };
  if (stamps.every(({ year, zoneMinutes }) => year !== undefined && zoneMinutes !== undefined)) {
    return {
      timesMs: stamps.map((stamp) => asUtc(stamp, stamp.year ?? 0) - (stamp.zoneMinutes ?? 0) * 60_000),
      basis: "written",
    };
  }
  const turns = yearTurns(stamps);
  const known = anchors
    .filter(({ index }) => stamps[index] !== undefined)
    .map(({ index, epochMs }) => ({ index, epochMs, ...anchored(stamps[index] as Stamp, epochMs) }));
  const [tie] = known;
  if (!tie && borrowed) {
    // The year in which the file's end comes nearest to the file it borrows from.
    const { year } = anchored(last, borrowed.epochMs);
    known.push({ index: stamps.length - 1, epochMs: borrowed.epochMs, year, offsetMs: borrowed.offsetMs });
  }
  const lastYear = new Date(modifiedMs).getFullYear();
  const endYear = asLocal(last, lastYear) > modifiedMs + DAY_MS ? lastYear - 1 : lastYear;
  const endTurns = turns.at(-1) ?? 0;
  const timesMs = stamps.map((stamp, index) => {
    const anchor = nearest(known, index);
    const year =
      stamp.year ??
      (anchor
        ? anchor.year + (turns[index] ?? 0) - (turns[anchor.index] ?? 0)
        : endYear + (turns[index] ?? 0) - endTurns);
    if (stamp.zoneMinutes !== undefined) return asUtc(stamp, year) - stamp.zoneMinutes * 60_000;
    return anchor ? asUtc(stamp, year) - anchor.offsetMs : asLocal(stamp, year);
  });
  if (tie) return { timesMs, basis: "anchored", tie };
  return { timesMs, basis: known.length > 0 ? "borrowed" : "assumed" };
}

/** How often a new year began before each stamp. Daemons of one node write a little out of order: hence a day. */
function yearTurns(stamps: readonly Stamp[]): number[] {
  let turns = 0;
  let before = Number.NEGATIVE_INFINITY;
  return stamps.map((stamp) => {
    const now = asUtc(stamp, 2000);
    if (now < before - DAY_MS) turns += 1;
    before = now;
    return turns;
  });
}

/** The year and the zone that make the stamp mean that instant. */
function anchored(stamp: Stamp, epochMs: number): { year: number; offsetMs: number } {
  const guess = new Date(epochMs).getUTCFullYear();
  const [best] = [guess - 1, guess, guess + 1]
    .map((year) => ({ year, differenceMs: asUtc(stamp, year) - epochMs }))
    .sort((a, b) => Math.abs(a.differenceMs) - Math.abs(b.differenceMs));
  const { year, differenceMs } = best ?? { year: guess, differenceMs: 0 };
  return { year, offsetMs: Math.round(differenceMs / QUARTER_MS) * QUARTER_MS };
}

function nearest<T extends { index: number }>(anchors: readonly T[], index: number): T | undefined {
  let best: T | undefined;
  for (const anchor of anchors) {
    if (!best || Math.abs(anchor.index - index) < Math.abs(best.index - index)) best = anchor;
  }
  return best;
}
