/** What is asked for, in words: filters, times, order; and how the answer looks. */

import { spawnSync } from "node:child_process";
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { eventLines } from "../../bench/events.ts";
import { parseTime } from "../../src/analyze/time.ts";
import { analyze, fileWith, line, NOW, originalLine } from "./run-analyze.ts";

const targets = ({ stdout }: { stdout: string }) => stdout.match(/(?<="target_node": ?")[^"]*/g) ?? [];
const events = (...words: string[]) => analyze(["events", "--json", ...words]);

it.each([
  [["--node", "compute-node-1"], ["compute-node-1"]],
  [["--node", "COMPUTE-node-1"], ["compute-node-1"]],
  [
    ["--node", "compute-node-1*"],
    ["compute-node-1", "compute-node-10"],
  ],
  [
    ["--node", "compute-node-{1,2}"],
    ["compute-node-1", "Compute-Node-2"],
  ],
  [
    ["--node", "compute-node-2,rabbit"],
    ["Compute-Node-2", "rabbit"],
  ],
  [
    ["--node", "rabbit", "--node", "compute-node-10"],
    ["compute-node-10", "rabbit"],
  ],
  [["--action", "off"], ["rabbit"]],
  [["--status", "refused"], ["compute-node-10"]],
  [["--fs", "gfs2-b"], ["Compute-Node-2"]],
  [["--fs", "unknown"], ["rabbit"]],
  [["--fs", "none"], ["compute-node-10"]],
  [["--fs", "disabled"], []],
  [["--recorder", "r-2"], ["rabbit"]],
  [["--source", "manual"], ["compute-node-1"]],
  [["--grep", '"rabbit"'], ["rabbit"]],
  [["--grep", "node-1\\d"], ["compute-node-10"]],
  [
    ["--node", "compute-*", "--status", "initiated"],
    ["compute-node-1", "Compute-Node-2"],
  ],
  [["--limit", "1"], ["compute-node-1"]],
  [
    ["--reverse", "--limit", "2"],
    ["rabbit", "compute-node-10"],
  ],
])("answers %j with %j", async (words, expected) => {
  const unknown = { gfs2_filesystems: ["none-detected"], discovery: { result: "unknown" } };
  const path = fileWith(
    [
      line({ target_node: "compute-node-1", source: "manual" }),
      line({ target_node: "Compute-Node-2", gfs2_filesystems: ["gfs2-b"] }),
      line({ target_node: "compute-node-10", status: "refused", ...unknown, discovery: { result: "none" } }),
      line({ target_node: "rabbit", action: "off", recorder_node: "r-2", ...unknown }),
    ].join(""),
  );
  expect(targets(await events(...words, path))).toEqual(expected);
});

it.each([
  ["--grep", "(", /--grep:/],
  ["--since", "soonish", /--since: not a time/],
  ["--since", "2025-02-31", /--since: not a time/],
  ["--limit", "many", /--limit: not a number/],
  ["--by", "a,a", /--by: not a list of different keys/],
  ["--bogus", "1", /Unknown argument: bogus/],
])("takes %s %s for wrong words", async (option, value, message) => {
  const called = await analyze(["count", option, value, fileWith(line())]);
  expect(called).toMatchObject({ exitCode: 64, stderr: expect.stringMatching(message) });
});

it.each([
  ["--node", ""],
  ["--node", ","],
  ["--node", "--json"],
  ["--fs", "--node=a"],
  ["--limit", ""],
  ["--grep", ""],
])("takes %s %j for a filter without a value, not for no filter", async (option, value) => {
  const called = await analyze(["events", option, value, fileWith(line())]);
  expect(called).toMatchObject({ exitCode: 64, stdout: "", stderr: `${option}: no value given\n` });
});

it.each([
  ["tail", "--limit", "3"],
  ["tail", "--reverse"],
  ["verify", "--limit", "1"],
  ["verify", "--reverse"],
  ["why", "--node", "a"],
])("refuses for %s the filter %s that it does not have, and does not offer it", async (command, option, ...value) => {
  const words = [command, option, ...value, ...(command === "why" ? ["compute-node-2"] : []), fileWith(line())];
  expect(await analyze(words)).toMatchObject({ exitCode: 64, stdout: "" });
  expect((await analyze([command, "--help"])).stdout).not.toContain(option);
});

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

it("finds an event that was recorded long after it happened, and shows it where it belongs", async () => {
  const minute = (number: number) => Date.UTC(2025, 0, 10, 14, number);
  const path = fileWith(
    [
      line({ target_node: "a", time_ms: minute(1) }),
      line({ target_node: "c", time_ms: minute(30) }),
      line({ target_node: "b", time_ms: minute(20), recorded_ms: minute(40) }),
      line({ target_node: "d", time_ms: minute(50) }),
    ].join(""),
  );
  expect(targets(await events("--since", "2025-01-10T14:15:00Z", path))).toEqual(["b", "c", "d"]);
  expect(targets(await events("--since", "2025-01-10T14:15:00Z", "--until", "2025-01-10T14:30:00Z", path))).toEqual([
    "b",
    "c",
  ]);
});

it("finds the same by bisecting a big file as by reading it, forwards and backwards", async () => {
  const endMs = NOW.getTime();
  const lines = [...eventLines({ count: 4_000, endMs })];
  const path = fileWith(`${lines.join("\n")}\n`);
  for (const hours of [0.01, 1, 7, 40, 66, 100]) {
    const sinceMs = Math.round(endMs - hours * 3_600_000);
    const naive = lines.filter((text) => (JSON.parse(text) as { time_ms: number }).time_ms >= sinceMs).sort();
    for (const words of [[], ["--reverse"], ["--node", "compute-node-*"]]) {
      const { stdout } = await events("--since", String(sinceMs), ...words, path);
      expect(stdout.split("\n").filter(Boolean).sort(), `${hours} ${words}`).toEqual(naive);
    }
  }
});

it.each([
  ["two of the same length", 3_000, 3_000],
  ["a short one first", 60, 5_000],
  ["a short one last", 5_000, 60],
])("finds all since a time in a file that was put together from several: %s", async (_, first, second) => {
  const endMs = NOW.getTime();
  const dayOf = (count: number, seed: number) =>
    [...eventLines({ count, endMs: 0, seed })].map((text, index) => {
      const timeMs = endMs - Math.floor(((count - index) * 24 * 3_600_000) / count);
      return JSON.stringify({ ...(JSON.parse(text) as object), time_ms: timeMs, recorded_ms: timeMs });
    });
  const path = fileWith(`${[...dayOf(first, 1), ...dayOf(second, 2)].join("\n")}\n`);
  for (const words of [[], ["--reverse"]]) {
    const { lines } = await events("--since", "6h", ...words, path);
    expect(lines.length, `${words}`).toBe(first / 4 + second / 4);
  }
});

it("reads a file whose lines have no recorded_ms from its beginning", async () => {
  const path = fileWith("");
  for (let index = 0; index < 500; index += 1) {
    appendFileSync(path, originalLine({ target_node: `n${index}`, time_ms: NOW.getTime() - (500 - index) * 60_000 }));
  }
  expect(targets(await events("--since", "10m", path))).toHaveLength(10);
});

it("names a bad line by its number also where it jumped into the file", async () => {
  const lines = [...eventLines({ count: 2_000, endMs: NOW.getTime() })];
  lines.splice(1_990, 0, '{"torn');
  const path = fileWith(`${lines.join("\n")}\n`);
  for (const words of [
    ["--since", "30m"],
    ["--since", "30m", "--reverse"],
  ]) {
    const called = await events(...words, path);
    expect(called.stderr).toContain(`${path}:1991: not counted`);
  }
});

it("prints every recorded key untouched with --json", async () => {
  const odd = `{"action":"off", "target_node":"n","time_ms":1.7365e12,  "extra":{"b":1,"a":[1.0,"\\u00e9"]}}`;
  expect((await events(fileWith(`${odd}\n`))).stdout).toBe(`${odd}\n`);
});

it("counts in the shape that scripts rely on", async () => {
  const path = fileWith(
    line({ action: "off" }) + line({ action: "off" }) + line({ action: "on", gfs2_filesystems: undefined }),
  );
  const by = async (keys: string) => (await analyze(["count", "--by", keys, "--json", path])).stdout;
  expect(await by("action")).toBe(
    '{"by":["action"],"total":3,"rows":[{"action":"off","count":2},{"action":"on","count":1}]}\n',
  );
  expect(await by("fs,action")).toBe(
    '{"by":["gfs2_filesystems","action"],"total":3,"rows":[{"gfs2_filesystems":"nnf-storage-1","action":"off","count":2},' +
      '{"gfs2_filesystems":"nnf-storage-4","action":"off","count":2},{"gfs2_filesystems":null,"action":"on","count":1}]}\n',
  );
  expect(await by("discovery.result")).toContain('{"discovery.result":"found","count":3}');
});

it("shows unknown as unknown, never as none", async () => {
  const unknown = line({ gfs2_filesystems: ["none-detected"], discovery: { result: "unknown" } });
  const none = line({ gfs2_filesystems: ["none-detected"], discovery: { result: "none" } });
  const { stdout } = await analyze(["events", fileWith(unknown + none)]);
  expect(stdout).toMatch(/initiated +unknown .*\n.*initiated +none /);
  const summed = await analyze(["filesystems", fileWith(unknown + none)]);
  expect(summed.stdout).toContain("2 events: 0 with filesystems, 1 with none, 1 unknown, 0 not looked for");
});

it("lists nodes with their actions, most often fenced first", async () => {
  const path = fileWith(
    line({ target_node: "b" }) + line({ target_node: "a" }) + line({ target_node: "A", action: "off" }),
  );
  const { stdout } = await analyze(["nodes", "--json", path]);
  expect(JSON.parse(stdout)).toMatchObject({
    total: 3,
    rows: [
      { node: "a", events: 2, actions: { off: 1, reboot: 1 } },
      { node: "b", events: 1 },
    ],
  });
});

it("draws a timeline with the empty rows that lie between", async () => {
  const at = (day: number) => line({ time_ms: new Date(2025, 0, day, 12).getTime() });
  const path = fileWith(at(6) + at(6) + at(8));
  const { stdout } = await analyze(["timeline", "--json", path]);
  expect((JSON.parse(stdout) as { rows: { count: number }[] }).rows.map(({ count }) => count)).toEqual([2, 0, 1]);
  const text = await analyze(["timeline", "--by", "day", path], { columns: 40 });
  expect(text.stdout).toMatch(/2025-01-06 +2 {2}█{20,}\n2025-01-07 +-\n2025-01-08 +1 {2}█{10,}/);
  const weeks = await analyze(["timeline", "--by", "week", "--json", path]);
  expect(JSON.parse(weeks.stdout)).toMatchObject({ by: "week", total: 3, rows: [{ count: 3 }] });
});

it("takes a line with an impossible time for a bad one, and shows the others", async () => {
  const impossible = ["1e300", "1e400", "-8.7e15", "253402300800000"].map((timeMs) =>
    line().replace(/(?<="time_ms":)\d+/, timeMs),
  );
  const path = fileWith(line() + impossible.join("") + line());
  for (const by of ["hour", "day", "week", "month"]) {
    const { stdout, stderr } = await analyze(["timeline", "--by", by, "--json", path]);
    expect(JSON.parse(stdout)).toMatchObject({ total: 2, rows: [{ count: 2 }] });
    expect(stderr.match(/:[2-5]: not counted: no time of the years 0 to 9999/g)).toHaveLength(4);
  }
});

it("shows a timeline to the hour also when a clock stood at 1970, without every hour since", async () => {
  const at = (hour: number) => line({ time_ms: new Date(2025, 0, 10, hour).getTime() });
  const path = fileWith(line({ time_ms: 1 }) + at(10) + at(13));
  const { json, stderr, exitCode } = await analyze(["timeline", "--by", "hour", "--json", path]);
  expect(exitCode).toBe(0);
  const [{ rows }] = json() as [{ rows: { count: number }[] }];
  expect(rows.map(({ count }) => count)).toEqual([1, 1, 0, 0, 1]);
  expect(stderr).toMatch(/^timeline: 19\S+ \d\d:00 to 2025-01-10 10:00: too many hours without events to show each\n$/);
});

const SUBCOMMANDS = ["events", "count --by node,fs", "nodes", "filesystems", "timeline --by hour"];

it.each([80, 200])("fits a screen of %d columns", async (columns) => {
  const path = fileWith("");
  const names = ["a-filesystem-with-a-rather-long-name", "b-filesystem", "c-filesystem-that-goes-on"];
  writeFileSync(path, line({ target_node: "compute-node-with-a-long-name-0001", gfs2_filesystems: names }).repeat(3));
  for (const words of SUBCOMMANDS) {
    const { stdout } = await analyze([...words.split(" "), path], { columns });
    expect(Math.max(...stdout.split("\n").map((text) => [...text].length)), `${words}\n${stdout}`).toBeLessThanOrEqual(
      columns,
    );
    for (const name of words === "events" && columns === 200 ? names : []) expect(stdout).toContain(name);
  }
});

it("uses colour only where the terminal takes it, and never lets a name bring its own", async () => {
  const path = fileWith(line({ status: "refused", target_node: "\u001b[31mred" }));
  expect((await analyze(["events", path])).stdout).not.toContain("\u001b");
  const coloured = (await analyze(["events", path], { colour: true, columns: 200 })).stdout;
  expect(coloured).toContain("\u001b[31mrefused");
  expect(coloured).toContain("\\u001b[31mred");
});

it.each([[], ["events"], ["count"], ["nodes"], ["filesystems"], ["timeline"]])(
  "explains itself: analyze %s --help",
  async (...words) => {
    const called = await analyze([...words, "--help"], { columns: 100 });
    expect(called).toMatchObject({ exitCode: 0, stderr: "" });
    expect(called.stdout).toMatch(/Examples:\n +fencepost analyze /);
    expect(called.stdout).toContain("Exit: 0 done");
  },
);

it("does not know other subcommands", async () => {
  expect(await analyze(["evnts"])).toMatchObject({
    exitCode: 64,
    stderr: "fencepost analyze: unknown subcommand 'evnts'\n",
  });
});
