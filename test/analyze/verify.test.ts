import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { idSet } from "../../src/analyze/id-set.ts";
import { rotationGaps } from "../../src/analyze/verify.ts";
import { realHost } from "../../src/core/host.ts";
import { identityOf } from "../../src/core/process-identity.ts";
import { analyze, directoryWith, outcome, record } from "./run-analyze.ts";

const at = (seconds: number): number => Date.parse("2026-11-20T10:00:00Z") + seconds * 1000;
const LOG = "fence-events-detailed.jsonl";
const ORIGINAL = {
  timestamp: "2025-01-10T14:23:15Z",
  action: "reboot",
  target_node: "compute-node-3",
  gfs2_filesystems: ["gfs2-scratch"],
  status: "initiated",
  details: "Fence action reboot initiated by Pacemaker",
  recorder_node: "rabbit-node-1",
  pacemaker_action: "reboot",
};
type Problem = { kind: string; file: string; line: number; text: string };
const check = async (files: Parameters<typeof directoryWith>[0]) => {
  const directory = directoryWith(files);
  const { exitCode, json } = await analyze(["verify", directory, "--json"]);
  const all = json() as (Problem & { problems?: number })[];
  return {
    exitCode,
    counts: all.at(-1),
    problems: all
      .slice(0, -1)
      .map(({ kind, file, line, text }) => `${kind} ${file.slice(directory.length + 1)}:${line} ${text}`),
  };
};

it("finds nothing wrong with a log of ours, of the original recorder, and with rotated files", async () => {
  const result = await check({
    [`${LOG}.1`]: [ORIGINAL, record({ time: at(0) })],
    [LOG]: [record({ time: at(10) }), record({ time: at(20), action: "on" })],
    "fence-outcomes.jsonl": [outcome({ time: at(22) })],
  });
  expect(result).toMatchObject({
    exitCode: 0,
    problems: [],
    counts: { problems: 0, logs: 2, files: 3, lines: 5, events: 5 },
  });
});

it.each([
  ["a line that is no JSON", ["{oops"], "bad-line"],
  ["a status the format does not know", [record({ time: at(0), status: "maybe" })], "schema"],
  ["a timestamp that is not time_ms", [record({ time: at(0), timestamp: "2026-11-20T10:00:01Z" })], "schema"],
  ["an event_id that is no UUID", [record({ time: at(0), event_id: "7" })], "schema"],
  ["a filesystem that is no name", [record({ time: at(0), gfs2_filesystems: [1] })], "schema"],
  ["keys in another order", [Object.fromEntries(Object.entries(record({ time: at(0) })).reverse())], "schema"],
  [
    "a discovery result the format does not know",
    [record({ time: at(0), discovery: { result: "perhaps" } })],
    "schema",
  ],
  ["a newer schema", [record({ time: at(0), schema: 2 })], "schema"],
  ["recorded_ms that falls", [record({ time: at(5) }), record({ time: at(4) })], "order"],
  [
    "an event_id that stands there twice",
    [
      record({ time: at(0), event_id: "01900000-0000-7000-8000-000000000abc" }),
      record({ time: at(1), event_id: "01900000-0000-7000-8000-000000000abc" }),
    ],
    "duplicate",
  ],
])("finds %s", async (_, lines, kind) => {
  const text = lines.map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`).join("");
  const { exitCode, problems } = await check({ [LOG]: text });
  expect(exitCode).toBe(1);
  expect(problems).toEqual([expect.stringMatching(new RegExp(`^${kind} ${LOG}:${lines.length} `))]);
});

it("finds a torn last line", async () => {
  const whole = `${JSON.stringify(record({ time: at(0) }))}\n`;
  expect((await check({ [LOG]: `${whole}{"timestamp":"2026-` })).problems).toEqual([
    expect.stringMatching(/^torn .*:2 a last line without its end/),
  ]);
  expect((await check({ [LOG]: whole.trimEnd() })).problems).toEqual([
    expect.stringMatching(/^torn .*:1 the last line has no newline/),
  ]);
});

it("finds what order and ids hide across rotated files, compressed ones too, and a missing one between them", async () => {
  const directory = directoryWith({ [LOG]: [record({ time: at(5) })], [`${LOG}.1`]: [record({ time: at(9) })] });
  writeFileSync(`${directory}/${LOG}.3.gz`, gzipSync(`${JSON.stringify(record({ time: at(20) }))}\n`));
  const { json } = await analyze(["verify", directory, "--json"]);
  expect(
    (json() as Problem[])
      .slice(0, -1)
      .map(({ kind, file, line }) => `${kind} ${file.slice(directory.length + 1)}:${line}`),
  ).toEqual([`rotation-gap ${LOG}.2:0`, `order ${LOG}.1:1`, `order ${LOG}:1`]);
});

it("finds an outcome whose fence nobody recorded", async () => {
  const { problems } = await check({
    [LOG]: [record({ time: at(0), target: "compute-node-3" })],
    "fence-outcomes.jsonl": [outcome({ time: at(9) })],
  });
  expect(problems).toEqual([
    "no-event fence-outcomes.jsonl:1 reboot of compute-node-2 succeeded: no recorder wrote down this fence",
  ]);
});

it("finds the event of an outcome however late it was recorded, and accuses nobody for it", async () => {
  const others = Array.from({ length: 2_500 }, (_, nth) =>
    record({ time: at(60 * nth), target: `compute-node-${nth + 10}` }),
  );
  const late = record({ time: at(30), target: "compute-node-2", recorded_ms: at(200_000) });
  const ends = [
    outcome({ time: at(39) }),
    outcome({ time: at(42), recorder: "rabbit-node-2" }),
    outcome({ time: at(60_000) }),
  ];
  const { problems } = await check({ [LOG]: [...others, late], "fence-outcomes.jsonl": ends });
  expect(problems).toEqual([
    "no-event fence-outcomes.jsonl:3 reboot of compute-node-2 succeeded: no recorder wrote down this fence",
  ]);
  const without = await check({ [LOG]: others, "fence-outcomes.jsonl": ends });
  expect(without.problems).toHaveLength(2);
});

it("says no more than it has looked at of very many outcomes without an event", async () => {
  const ends = Array.from({ length: 1_001 }, (_, nth) => outcome({ time: at(7_200 * nth) }));
  const { problems } = await check({
    [LOG]: [record({ time: at(0), target: "compute-node-3" })],
    "fence-outcomes.jsonl": ends,
  });
  expect(problems.filter((text) => text.endsWith("no recorder wrote down this fence"))).toHaveLength(1_000);
  expect(problems.filter((text) => text.endsWith("no event of this fence stands near it in the log"))).toHaveLength(1);
});

it("finds an intent whose recorder died, and leaves one alone whose recorder is at work", async () => {
  const directory = directoryWith({ [LOG]: [record({ time: at(0) })] });
  mkdirSync(`${directory}/.intents`);
  const intent = (owner: object) =>
    JSON.stringify({ version: 1, complete: false, owner, event: record({ time: at(3) }) });
  writeFileSync(`${directory}/.intents/dead.json`, intent({ boot_id: "gone", pid: 1, start_ticks: 1 }));
  writeFileSync(`${directory}/.intents/alive.json`, intent(identityOf(realHost, process.pid)));
  const { json, exitCode } = await analyze(["verify", directory, "--json"]);
  expect(exitCode).toBe(1);
  expect((json() as Problem[]).slice(0, -1)).toMatchObject([
    { kind: "unfinished", file: `${directory}/.intents/dead.json`, text: expect.stringContaining("its recorder died") },
  ]);
});

it("never changes what it looks at", async () => {
  const directory = directoryWith({ [LOG]: "{oops" });
  await analyze(["verify", directory]);
  expect(readFileSync(`${directory}/${LOG}`, "utf8")).toBe("{oops");
});

it("names the first problems of a kind and counts the rest", async () => {
  const { lines, exitCode } = await analyze(["verify", directoryWith({ [LOG]: "x\n".repeat(1_000) })]);
  expect(exitCode).toBe(1);
  expect(lines.slice(-2)).toEqual(["bad-line: 980 more", "1,000 problems: 0 events in 1,000 lines, 1 file"]);
});

describe("ids", () => {
  it("are each seen once, whatever their number", () => {
    const ids = idSet(5_000);
    const id = (index: number) =>
      `01900000-0000-7000-8${(index % 997).toString(16).padStart(3, "0")}-${(index * 7_919).toString(16).padStart(12, "0")}`;
    for (let index = 0; index < 5_000; index += 1) expect(ids.add(id(index))).toBe(true);
    for (let index = 0; index < 5_000; index += 1) expect(ids.add(id(index))).toBe(false);
    expect([ids.add("not a uuid"), ids.add("not a uuid"), ids.add("not a uuid either")]).toEqual([true, false, true]);
  });
});

it("knows a gap only where the names have numbers", () => {
  const files = (...rotated: string[]) =>
    rotationGaps(
      "/l/log",
      rotated.map((name) => `/l/log${name}`),
    ).map(({ evidence }) => evidence.file);
  expect(files("", ".1", ".4.gz")).toEqual(["/l/log.2", "/l/log.3"]);
  expect(files("", "-20260101.gz", "-20260301")).toEqual([]);
});

it("leaves out what is wrong with events that are not asked for, and no line that is none", async () => {
  const directory = directoryWith({
    [LOG]: [
      record({ time: at(0), status: "maybe" }),
      record({ time: at(10), target: "compute-node-3", status: "maybe" }),
    ],
    [`${LOG}.1`]: "{oops\n",
    ".intents/a.json": JSON.stringify({ event: record({ time: at(5), target: "compute-node-3" }) }),
  });
  const kinds = async (...filter: string[]) => {
    const { json } = await analyze(["verify", directory, "--json", ...filter]);
    return (json() as Partial<Problem>[]).flatMap(({ kind }) => kind ?? []);
  };
  expect(await kinds()).toEqual(["bad-line", "schema", "schema", "unfinished"]);
  expect(await kinds("--node", "compute-node-3")).toEqual(["bad-line", "schema", "unfinished"]);
  expect(await kinds("--since", "2026-11-20T10:00:08Z")).toEqual(["bad-line", "schema"]);
  expect(await kinds("--action", "on")).toEqual(["bad-line"]);
});
