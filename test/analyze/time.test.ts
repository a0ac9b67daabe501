/** What is written for a time, and which instants it means. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import { parseTime } from "../../src/analyze/time.ts";
import { NOW } from "./run-analyze.ts";

it.each([
  ["90m", "2025-01-10T13:30:00.000Z", "2025-01-10T13:30:00.000Z"],
  ["2h", "2025-01-10T13:00:00.000Z", "2025-01-10T13:00:00.000Z"],
  ["3d", "2025-01-07T15:00:00.000Z", "2025-01-07T15:00:00.000Z"],
  ["1736518996", "2025-01-10T14:23:16.000Z", "2025-01-10T14:23:16.999Z"],
  ["1736518996789", "2025-01-10T14:23:16.789Z", "2025-01-10T14:23:16.789Z"],
  ["2025-01-10T14:23:16Z", "2025-01-10T14:23:16.000Z", "2025-01-10T14:23:16.999Z"],
  ["2025-01-10T14:23Z", "2025-01-10T14:23:00.000Z", "2025-01-10T14:23:59.999Z"],
  ["2025-01-10 14:23:16.5+02:00", "2025-01-10T12:23:16.500Z", "2025-01-10T12:23:16.500Z"],
])("understands the time %s", async (text, since, until) => {
  expect(new Date(await parseTime(text, "since", NOW)).toISOString()).toBe(since);
  expect(new Date(await parseTime(text, "until", NOW)).toISOString()).toBe(until);
});

it.each(["yesterday", "2025-01-09", "last thursday"])("takes %s for the whole local day", async (text) => {
  const start = new Date(2025, 0, 9).getTime();
  expect(await parseTime(text, "since", NOW)).toBe(start);
  expect(await parseTime(text, "until", NOW)).toBe(new Date(2025, 0, 10).getTime() - 1);
});

// A Saturday.
const NOVEMBER = new Date(2026, 10, 21, 12);
const day = (year: number, month: number, date: number) => [
  new Date(year, month - 1, date).getTime(),
  new Date(year, month - 1, date + 1).getTime() - 1,
];
const minute = (...words: [number, number, number, number, number]) => {
  const [year, month, ...rest] = words;
  const start = new Date(year, month - 1, ...rest).getTime();
  return [start, start + 59_999];
};
it.each([
  ["monday", day(2026, 11, 16)],
  ["monday 14:00", minute(2026, 11, 16, 14, 0)],
  ["saturday", day(2026, 11, 21)],
  ["Jan 10", day(2026, 1, 10)],
  ["december 24", day(2025, 12, 24)],
  ["Jan 10 14:23", minute(2026, 1, 10, 14, 23)],
  ["january", [new Date(2026, 0, 1).getTime(), new Date(2026, 1, 1).getTime() - 1]],
  ["this month", [new Date(2026, 10, 1).getTime(), new Date(2026, 11, 1).getTime() - 1]],
  ["Jan 10 14:23:16.057", [0, 0].map(() => new Date(2026, 0, 10, 14, 23, 16, 57).getTime())],
  ["midnight", minute(2026, 11, 21, 0, 0)],
  ["14:00", minute(2026, 11, 20, 14, 0)],
  ["Nov 21 14:00", minute(2026, 11, 21, 14, 0)], // later today
  ["2 months ago", day(2026, 9, 21)],
  ["2025-12", [new Date(2025, 11, 1).getTime(), new Date(2026, 0, 1).getTime() - 1]],
  // Said to be in the future.
  ["next monday", day(2026, 11, 23)],
  ["tomorrow", day(2026, 11, 22)],
  ["Jan 10 2027", day(2027, 1, 10)],
  ["2027-01-10", day(2027, 1, 10)],
] as const)(
  "takes %s for the last one that has begun, unless it is said to be in the future",
  async (text, [start, end]) => {
    expect(await parseTime(text, "since", NOVEMBER)).toBe(start);
    expect(await parseTime(text, "until", NOVEMBER)).toBe(end);
  },
);

it.each(["yesterday evening", "last night", "this week", "last week", "last month", "this sunday"])(
  "refuses %s, of which not everybody would say when it begins and ends",
  async (text) => {
    await expect(parseTime(text, "since", NOVEMBER)).rejects.toMatchObject({
      kind: "usage",
      message: `--since: can mean more than one time: ${text}`,
    });
  },
);

it.each([
  ["03.04.2025", "2025-03-04 or 2025-04-03"],
  ["03/04/2025 14:00", "2025-03-04 or 2025-04-03"],
  ["3-4-2025", "2025-03-04 or 2025-04-03"],
  ["10/01/2025", "2025-10-01 or 2025-01-10"],
  ["3/4", "'4 Mar' or '3 Apr'"],
  ["03/04/05", "2005-03-04 or 2005-04-03"],
  ["25/04/03", "2003-04-25 or 2025-04-03"],
])("refuses %s, which is another day where the day is written first", async (text, days) => {
  await expect(parseTime(text, "until", NOVEMBER)).rejects.toMatchObject({
    kind: "usage",
    message: `--until: can mean ${days}: ${text}`,
    hint: `--until ${days.split(" or ")[1]}`,
  });
});

it.each([
  ["29.12.2024", "2024-12-29"],
  ["12/29/2024", "2024-12-29"],
  ["05/05/2024", "2024-05-05"],
  ["2024/12/09", "2024-12-09"],
  ["2024-2-3", "2024-02-03"],
])("takes %s, which is one day only", async (text, day) => {
  expect(await parseTime(text, "since", NOVEMBER)).toBe(await parseTime(day, "since", NOVEMBER));
});

it("refuses a 29 February that the last year does not have", async () => {
  await expect(parseTime("Feb 29", "since", new Date(2028, 0, 5))).rejects.toMatchObject({ kind: "usage" });
});

it.each([
  [
    "twice, from its first pass to its second",
    "2025-10-26T02:30",
    "2025-10-26T00:30:00.000Z",
    "2025-10-26T01:30:59.999Z",
  ],
  ["never, at the change", "2025-03-30T02:30", "2025-03-30T01:00:00.000Z", "2025-03-30T00:59:59.999Z"],
  ["once, with a zone", "2025-10-26T02:30+01:00", "2025-10-26T01:30:00.000Z", "2025-10-26T01:30:59.999Z"],
  ["once, the day having 25 hours", "2025-10-26", "2025-10-25T22:00:00.000Z", "2025-10-26T22:59:59.999Z"],
])("takes a time that the clocks show %s: %s", (_, text, since, until) => {
  // A zone can only be set for a process of its own.
  const { stdout } = spawnSync(
    process.execPath,
    [
      "-e",
      `const { parseTime } = await import(${JSON.stringify(join(import.meta.dirname, "../../src/analyze/time.ts"))});
      for (const side of ["since", "until"])
        console.log(new Date(await parseTime(${JSON.stringify(text)}, side, new Date())).toISOString());`,
    ],
    { env: { PATH: process.env.PATH ?? "", TZ: "Europe/Berlin" }, encoding: "utf8" },
  );
  expect(stdout.trim().split("\n")).toEqual([since, until]);
});
