import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  appendEvent,
  appendOperational,
  DETAILED,
  type EventLog,
  findEvents,
  READABLE,
} from "../../src/fence/event-log.ts";
import { type EncodedEvent, renderReadable } from "../../src/records/fence-event.ts";

let log: EventLog;
beforeEach(() => {
  const directory = mkdtempSync(join(tmpdir(), "fencepost-log-"));
  log = { directory, operationalLog: join(directory, "fence-events.log") };
});
afterEach(() => rmSync(log.directory, { recursive: true, force: true }));

const path = (name: string) => join(log.directory, name);
const lines = (name: string) => readFileSync(path(name), "utf8").trimEnd().split("\n");
const records = () => lines(DETAILED).map((line) => JSON.parse(line) as EncodedEvent);
const event = (number: number): EncodedEvent => ({
  action: "off",
  target_node: `node${number}`,
  gfs2_filesystems: ["none-detected"],
  status: "initiated",
  details: "Fence action off initiated by Pacemaker",
  event_id: `01900000-0000-7000-8000-${String(number).padStart(12, "0")}`,
  time_ms: Date.UTC(2026, 0, 1),
  recorded_ms: 0,
});
const NOW = new Date("2026-01-02T00:00:00Z");
const append = (number: number, { now = NOW, unlessThere = false } = {}) =>
  appendEvent(log, event(number), { timeoutMs: 5_000, unlessThere: () => unlessThere, now: () => now });

it("writes each event as one line of both logs, in files that others cannot read", async () => {
  await append(1);
  await append(2);
  expect(records().map(({ target_node }) => target_node)).toEqual(["node1", "node2"]);
  expect(lines(READABLE)).toEqual(records().map(renderReadable));
  for (const name of [DETAILED, READABLE]) expect(statSync(path(name)).mode & 0o777 & ~0o640).toBe(0);
});

it("never lets recorded_ms fall, also when the clock was set back or the log was just rotated", async () => {
  await append(1);
  await append(2, { now: new Date(NOW.getTime() - 3_600_000) });
  renameSync(path(DETAILED), path(`${DETAILED}.1`));
  await append(3, { now: new Date(NOW.getTime() - 7_200_000) });
  expect(records()[0]?.recorded_ms).toBe(NOW.getTime());
});

it("does not let half a line swallow the next one", async () => {
  await append(1);
  appendFileSync(path(DETAILED), '{"half": "a li');
  appendFileSync(path(READABLE), "[2026-01-01 half");
  await append(2);
  expect(lines(DETAILED)).toHaveLength(3);
  expect(JSON.parse(lines(DETAILED)[2] ?? "")).toMatchObject({ target_node: "node2" });
  expect(lines(READABLE)[2]).toBe(renderReadable(records2()));
  function records2() {
    return JSON.parse(lines(DETAILED)[2] ?? "") as EncodedEvent;
  }
});

it("writes an event that is already there only once, current or rotated, plain or gzipped", async () => {
  await append(1);
  expect(await append(1, { unlessThere: true })).toBe(false);
  renameSync(path(DETAILED), path(`${DETAILED}.1`));
  expect(await append(1, { unlessThere: true })).toBe(false);
  writeFileSync(path(`${DETAILED}.2.gz`), gzipSync(readFileSync(path(`${DETAILED}.1`))));
  rmSync(path(`${DETAILED}.1`));
  expect(await append(1, { unlessThere: true })).toBe(false);
  expect(await append(2, { unlessThere: true })).toBe(true);
});

it("finds an event however many came after it", async () => {
  await append(1);
  const later = Array.from({ length: 9_000 }, (_, index) =>
    JSON.stringify({ ...event(index + 10), recorded_ms: NOW.getTime(), filler: "x".repeat(300) }),
  );
  appendFileSync(path(DETAILED), `${later.join("\n")}\n`);
  const id = String(event(1).event_id);
  expect(await findEvents(log, new Map([[id, NOW.getTime()]]), NOW)).toEqual(new Map([[id, lines(DETAILED)[0]]]));
});

it("finds an event of a clock that was days ahead", async () => {
  const ahead = { ...event(1), time_ms: NOW.getTime() + 30 * 86_400_000 };
  const options = { timeoutMs: 5_000, unlessThere: () => true, now: () => NOW };
  expect(await appendEvent(log, ahead, options)).toBe(true);
  await append(2);
  expect(await appendEvent(log, ahead, options)).toBe(false);
});

it("goes on from the newest rotated log, whatever rotation calls it", async () => {
  await append(1, { now: new Date(NOW.getTime() + 1_000) });
  renameSync(path(DETAILED), path(`${DETAILED}-20260102`));
  await append(2);
  expect(records()[0]?.recorded_ms).toBe(NOW.getTime() + 1_000);
});

it("is not stopped by a directory or a link that has a log's name", async () => {
  mkdirSync(path(`${DETAILED}.old`));
  symlinkSync("/dev/null", path(`${DETAILED}.9`));
  expect(await append(1, { unlessThere: true })).toBe(true);
});

it("puts back the readable line of an event whose record alone survived", async () => {
  await append(1);
  await append(2);
  const line = lines(READABLE)[0];
  writeFileSync(path(READABLE), `${lines(READABLE)[1]}\n`);
  expect(await append(1, { unlessThere: true })).toBe(false);
  expect(lines(READABLE)).toContain(line);
  expect(await append(1, { unlessThere: true })).toBe(false);
  expect(lines(READABLE)).toHaveLength(2);
});

it("leaves both logs alone when what was recorded already says more than what is left of the event", async () => {
  await append(1);
  const left = { ...event(1), details: "Fence action off initiated by Pacemaker; recovered after the recorder died" };
  expect(await appendEvent(log, left, { timeoutMs: 5_000, unlessThere: () => true, now: () => NOW })).toBe(false);
  expect(lines(READABLE)).toEqual(records().map(renderReadable));
});

it("keeps the operational log's lines whole, whatever they hold", async () => {
  await appendOperational(log, "WARNING", "a\n[2026] [INFO] forged \u001b[31m", NOW);
  expect(readFileSync(log.operationalLog, "utf8")).toMatch(
    /^\[[-0-9: ]+\] \[WARNING\] a\\n\[2026\] \[INFO\] forged \\u001b\[31m\n$/,
  );
});

it("does not say that an event is missing where it could not look", async () => {
  writeFileSync(path(`${DETAILED}.1.zst`), "?");
  await expect(append(1, { unlessThere: true })).rejects.toMatchObject({ kind: "unsupported" });
});

describe("after a kill in mid-append", () => {
  /** The state a writer leaves that is killed after writing `detailed` and `readable` bytes of its two lines. */
  const killedAfter = async (detailed: number | "all", readable: number | "all") => {
    await append(1);
    const before = [DETAILED, READABLE].map((name) => statSync(path(name)));
    await append(2);
    const note = {
      event_id: event(2).event_id,
      detailed: { inode: before[0]?.ino, size: before[0]?.size },
      readable: { inode: before[1]?.ino, size: before[1]?.size },
    };
    if (detailed !== "all") truncateSync(path(DETAILED), (before[0]?.size ?? 0) + detailed);
    if (readable !== "all") truncateSync(path(READABLE), (before[1]?.size ?? 0) + readable);
    writeFileSync(path(".append.lock"), JSON.stringify(note));
  };

  it.each<[number | "all", number | "all", string[]]>([
    [0, 0, ["node1", "node3"]],
    [20, 0, ["node1", "node3"]],
    ["all", 0, ["node1", "node2", "node3"]],
    ["all", 10, ["node1", "node2", "node3"]],
    ["all", "all", ["node1", "node2", "node3"]],
  ])(
    "with %s bytes of the record and %s of the readable line written, both logs hold each event once",
    async (detailed, readable, expected) => {
      await killedAfter(detailed, readable);
      await append(3);
      expect(records().map(({ target_node }) => target_node)).toEqual(expected);
      expect(lines(READABLE)).toEqual(records().map(renderReadable));
    },
  );

  it("mends the readable log also when both were rotated meanwhile", async () => {
    await killedAfter("all", 0);
    for (const name of [DETAILED, READABLE]) renameSync(path(name), path(`${name}.1`));
    await append(3);
    const all = [...lines(`${READABLE}.1`), ...lines(READABLE)].filter((line) => line !== "");
    expect(all.map((line) => /TARGET=(\S+)/.exec(line)?.[1])).toEqual(["node1", "node2", "node3"]);
  });
});

it.each([
  [
    "a symbolic link",
    (target: string) => {
      writeFileSync(path("victim"), "precious\n");
      symlinkSync(path("victim"), target);
    },
  ],
  [
    "a directory",
    (target: string) => {
      mkdirSync(target);
    },
  ],
])("refuses %s in the place of a log and leaves it alone", async (_, plant) => {
  plant(path(DETAILED));
  await expect(append(1)).rejects.toMatchObject({ kind: "unsafe" });
});

it("keeps lines whole and apart when many append at once", async () => {
  await Promise.all(Array.from({ length: 40 }, (_, index) => append(index + 1)));
  expect(new Set(records().map(({ event_id }) => event_id)).size).toBe(40);
  expect(lines(READABLE)).toEqual(records().map(renderReadable));
});
