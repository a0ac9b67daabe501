/** What is asked for, in words: filters, order; and how the answer looks. */

import { appendFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { eventLines } from "../../bench/events.ts";
import { showZone } from "../../src/analyze/table.ts";
import { analyze, directoryWith, fileWith, line, NOW, originalLine } from "./run-analyze.ts";

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
    ["--node", " compute-node-2 , rabbit,"],
    ["Compute-Node-2", "rabbit"],
  ],
  [
    ["--node", "compute-node-{1, 2 }"],
    ["compute-node-1", "Compute-Node-2"],
  ],
  [["--action", "on, off"], ["rabbit"]],
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
  [
    ["--fs", "none-detected"],
    ["compute-node-10", "rabbit"],
  ],
  [
    ["--fs", "GFS2-b,None-Detected"],
    ["Compute-Node-2", "compute-node-10", "rabbit"],
  ],
  [["--fs", "*b*,no-such"], ["Compute-Node-2"]],
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
  ["--until", "2025-13", /--until: not a time/],
  ["--limit", "many", /--limit: not a number/],
  ["--by", "a,a", /--by: not a list of different keys/],
  ["--bogus", "1", /Unknown argument: bogus/],
  ["--action", "shutdown", /^--action: no event can have it: shutdown\n$/],
  ["--action", "off,shut*", /^--action: no event can have it: shut\*\n$/],
  ["--status", "bogus", /^--status: no event can have it: bogus\n$/],
  ["--status", "success", /^--status: no event can have it: success\n$/],
  ["--source", "foo", /^--source: no event can have it: foo\n$/],
  ["--node", "[", /^--node: a glob that does not end: \[\n$/],
  ["--fs", "a{b", /^--fs: a glob that does not end: a\{b\n$/],
  ["--by", "actoin", /^--by: no event has the key actoin\n$/],
  ["--by", "action,discovery.resutl", /^--by: no event has the key discovery.resutl\n$/],
])("takes %s %s for wrong words", async (option, value, message) => {
  const called = await analyze(["count", option, value, fileWith(line())]);
  expect(called).toMatchObject({ exitCode: 64, stdout: "", stderr: expect.stringMatching(message) });
});

it.each([
  ["--node", ""],
  ["--node", ","],
  ["--recorder", " , "],
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

describe("a log out of order by more than is held back", () => {
  const minute = (number: number) => NOW.getTime() - 100 * 86_400_000 + number * 60_000;
  const inOrder = Array.from({ length: 2_500 }, (_, nth) => line({ target_node: `n-${nth}`, time_ms: minute(nth) }));
  const late = line({ target_node: "late", time_ms: minute(1) + 1, recorded_ms: minute(3_000) });
  const outcome = line({ target_node: "late", status: "succeeded", time_ms: minute(1) + 9_000 });
  const directory = (...lines: string[]) =>
    directoryWith({ "fence-events-detailed.jsonl": lines.join(""), "fence-outcomes.jsonl": outcome });

  it.each([["events"], ["incidents"], ["patterns"], ["export", "--format", "csv"]])(
    "is told on stderr by %s %s, once, with what helps",
    async (...words) => {
      const { exitCode, stderr } = await analyze([...words, directory(...inOrder, late)]);
      expect(exitCode).toBe(0);
      expect(stderr).toMatch(
        /^\S+detailed\.jsonl: 1 line is out of order by more than 500 lines: it comes in its place [^\n]*\ntry: .*sort_by.*\n$/,
      );
      expect((await analyze([...words, directory(late, ...inOrder)])).stderr).toBe("");
    },
  );

  it("names each of the files in which such lines are, and counts them once however often they are read", async () => {
    const { stderr } = await analyze([
      "incidents",
      fileWith([...inOrder, ...inOrder.slice(0, 400)].join("").replaceAll('"event_id"', '"id"'), "a"),
    ]);
    expect(stderr).toMatch(/\/a: 400 lines are out of order by more than 500 lines: they come in their place/);
  });

  it("is no matter where order is none: counting, and newest first", async () => {
    for (const words of [["count"], ["nodes"], ["timeline"], ["events", "--reverse"]])
      expect((await analyze([...words, directory(...inOrder, late)])).stderr, `${words}`).toBe("");
  });
});

it("finds a few events since a time in the middle of a file that is not called as the recorder's own log", async () => {
  const lines = [...eventLines({ count: 3_000, endMs: NOW.getTime() - 86_400_000 })];
  const recent = [...eventLines({ count: 5, endMs: NOW.getTime() })];
  lines.splice(1_000, 0, ...recent);
  const path = fileWith(`${lines.join("\n")}\n`, "collected.jsonl");
  for (const words of [[], ["--reverse"], ["--node", "compute-node-*"]]) {
    const found = await events("--since", "6h", ...words, path);
    expect(found.lines.toSorted(), `${words}`).toEqual(recent.toSorted());
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

it("limits and turns round the rows of a sum, not the events that it counts", async () => {
  const files = ["fs-1", "fs-2", "fs-3"];
  const at = (day: number, ...names: string[]) =>
    names.map((name) =>
      line({
        ...{ target_node: name, time_ms: new Date(2025, 0, day, 12).getTime() },
        gfs2_filesystems: files.slice(0, name.length),
      }),
    );
  const path = fileWith([...at(6, "a", "aa", "aaa"), ...at(7, "aa", "aaa"), ...at(8, "aaa")].join(""));
  type Answer = { total: number; rows: Record<string, unknown>[] };
  const asked = async (key: string, ...words: string[]) => {
    const [{ total, rows }] = (await analyze([...words, "--json", path])).json() as [Answer];
    return [total, ...rows.map((row) => row[key])];
  };
  expect(await asked("count", "count", "--by", "node", "--limit", "2")).toEqual([6, 3, 2]);
  expect(await asked("count", "count", "--by", "node", "--reverse", "--limit", "2")).toEqual([6, 1, 2]);
  expect(await asked("events", "nodes", "--limit", "1")).toEqual([6, 3]);
  expect(await asked("node", "nodes", "--reverse")).toEqual([6, "a", "aa", "aaa"]);
  expect(await asked("events", "filesystems", "--limit", "2")).toEqual([6, 6, 5]);
  expect(await asked("count", "timeline", "--reverse", "--limit", "2")).toEqual([6, 1, 2]);
  expect(await asked("count", "count", "--limit", "0")).toEqual([6]);
  const text = async (...words: string[]) => (await analyze([...words, "--limit", "1", path])).lines;
  expect(await text("count", "--by", "node")).toEqual([
    expect.stringMatching(/^COUNT/),
    expect.stringMatching(/^ +3 +aaa$/),
    "6 events; 2 more rows beyond --limit",
  ]);
  expect((await text("nodes")).at(-1)).toBe("3 nodes, 6 events; 2 more rows beyond --limit");
  expect((await text("filesystems")).slice(-2).join("")).toMatch(
    /^6 events: .* not looked for; 2 more {2}rows beyond --limit$/,
  );
  expect((await text("timeline")).at(-1)).toBe("6 events; 2 more rows beyond --limit");
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

it.each([
  ["events", /^TIME {2,}ACTION/],
  ["nodes", / LAST {2,}GFS2/],
  ["filesystems", / FIRST {2,}LAST$/],
  ["timeline", /^DAY +COUNT/],
  ["timeline --by hour", /^HOUR +COUNT/],
] as const)("says in which zone the times of %s are", async (words, untold) => {
  const { lines } = await analyze([...words.split(" "), fileWith(line())]);
  expect(lines[0]).not.toMatch(untold);
  expect(lines[0]).toContain(` ${showZone()}`);
});

const SUBCOMMANDS = ["events", "count --by node,fs", "nodes", "filesystems", "timeline --by hour"];

it.each([80, 200])("fits a screen of %d columns, and breaks no name for it", async (columns) => {
  const lines = [...eventLines({ count: 300, endMs: NOW.getTime(), nodes: 40 })];
  const path = fileWith(`${lines.join("\n")}\n`);
  for (const words of SUBCOMMANDS) {
    const { stdout } = await analyze([...words.split(" "), path], { columns });
    const widest = Math.max(...stdout.split("\n").map((text) => [...text].length));
    expect(widest, `${words}\n${stdout}`).toBeLessThanOrEqual(columns);
    for (const part of stdout.match(/(?:compute|rabbit)-[\w-]*|nnf-[\w-]*|\S*age-\d+/g) ?? [])
      expect(part, words).toMatch(/^(?:(?:compute|rabbit)-node|nnf-storage)-\d+$/);
    if (words === "events") expect(stdout.includes("RECORDER")).toBe(columns === 200);
  }
});

it("lets a line be longer than the screen rather than break a name that is", async () => {
  const name = "compute-node-with-a-long-name-0001.rack-12.example.org";
  const files = ["a-filesystem-with-a-rather-long-name", "b-filesystem"];
  const path = fileWith(line({ target_node: name, gfs2_filesystems: files }));
  for (const words of SUBCOMMANDS.slice(0, 3)) {
    const { stdout } = await analyze([...words.split(" "), path], { columns: 60 });
    expect(stdout, words).toContain(name);
  }
  expect((await analyze(["events", path], { columns: 60 })).stdout).toMatch(
    / {2}a-filesystem-with-a-rather-long-name,\n +b-filesystem\n/,
  );
});

it("uses colour only where the terminal takes it, and never lets a name bring its own", async () => {
  const path = fileWith(line({ status: "refused", target_node: "\u001b[31mred" }));
  expect((await analyze(["events", path])).stdout).not.toContain("\u001b");
  const coloured = (await analyze(["events", path], { colour: true, columns: 200 })).stdout;
  expect(coloured).toContain("\u001b[31mrefused");
  expect(coloured).toContain("\\u001b[31mred");
});

it("paints green only what succeeded, because a fence that began is no success", async () => {
  const path = fileWith(["initiated", "requested", "succeeded", "failed"].map((status) => line({ status })).join(""));
  const { stdout } = await analyze(["events", path], { colour: true, columns: 200 });
  const painted = stdout.split("\u001b[").flatMap((part) => /^(3[1-6])m(\w+)/.exec(part)?.slice(1).join(" ") ?? []);
  expect(painted, stdout).toEqual(["32 succeeded", "31 failed"]);
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

it.each([
  ...["events", "count", "nodes", "filesystems", "timeline", "report", "export"],
  ...["incidents", "why", "patterns", "tail", "verify", "reconcile"],
])("keeps each example of %s on one line of a screen of 80 columns", async (name) => {
  const module = (await import(`../../src/analyze/commands/${name}.ts`)) as Record<string, { examples?: [string][] }>;
  const examples = Object.values(module).flatMap(({ examples: found = [] }) => found.map(([line]) => line));
  expect(examples.length).toBeGreaterThan(0);
  const { stdout } = await analyze([name, "--help"], { columns: 80 });
  for (const line of stdout.split("\n")) expect([...line].length, line).toBeLessThanOrEqual(80);
  for (const line of examples) expect(stdout).toContain(`\n  fencepost analyze ${line}`);
});

it("does not know other subcommands", async () => {
  expect(await analyze(["evnts"])).toMatchObject({
    exitCode: 64,
    stderr: "fencepost analyze: unknown subcommand 'evnts'\n",
  });
});

it("takes ids that differ in one place for different ones, wherever that is", async () => {
  const id = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
  const others = [...id].flatMap((digit, at) =>
    digit === "-" ? [] : `${id.slice(0, at)}${digit === "0" ? "1" : "0"}${id.slice(at + 1)}`,
  );
  const records = [id, ...others].map((event_id, index) => line({ event_id, target_node: `n${index}` }));
  const { lines } = await analyze(["incidents", "--json", fileWith(records.join(""))]);
  expect(lines).toHaveLength(1 + others.length);
});
