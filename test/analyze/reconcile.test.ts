import { describe, expect, it } from "vitest";
import { runAnalyze } from "../../src/analyze/cli.ts";
import { decodeRecord, isEvent } from "../../src/analyze/decode.ts";
import type { AnalyzedEvent } from "../../src/analyze/event.ts";
import { differences, reconcile } from "../../src/analyze/reconcile.ts";
import { showZone } from "../../src/analyze/table.ts";
import type { HistoryEntry } from "../../src/records/fencing-history.ts";
import { analyze, CAPTURED, contextFor, directoryWith, outcome, record } from "./run-analyze.ts";

const at = (seconds: number): number => Date.parse("2026-11-20T10:00:00Z") + seconds * 1000;
const events = (...records: object[]): AnalyzedEvent[] =>
  records.map((one, index) => {
    const decoded = decodeRecord(one, JSON.stringify(one), { file: "log", line: index + 1 });
    return isEvent(decoded) ? decoded : expect.fail(decoded.reason);
  });
const fence = (seconds: number | undefined, more: Partial<HistoryEntry> = {}): HistoryEntry => ({
  action: "reboot",
  target: "compute-node-2",
  client: "stonith_admin.1",
  origin: "rabbit-node-1",
  delegate: "rabbit-node-1",
  status: seconds === undefined ? "pending" : "success",
  completedMs: seconds === undefined ? undefined : at(seconds),
  wholeSeconds: true,
  reason: undefined,
  evidence: { file: "history", line: 1 },
  ...more,
});
/** The history comes newest first. */
const compared = (history: readonly HistoryEntry[], ...records: object[]) =>
  reconcile(history.toReversed(), events(...records));
const words = (result: ReturnType<typeof compared>) =>
  result.fences.map(({ recordedAs, events }) => `${recordedAs} ${events.length}`);

describe("a fence is", () => {
  it("recorded when its off and on are there, unrecorded when nothing is", () => {
    const result = compared(
      [fence(60), fence(200), fence(400)],
      record({ time: at(20) }),
      record({ time: at(58), action: "on" }),
      record({ time: at(380) }),
      record({ time: at(395), action: "on" }),
    );
    expect(words(result)).toEqual(["recorded 2", "unrecorded 0", "recorded 2"]);
    expect(differences(result)).toBe(1);
  });

  it("recorded by a line stamped within the second it ended in", () => {
    expect(words(compared([fence(60), fence(62)], record({ time: at(60.9) }), record({ time: at(61.5) })))).toEqual([
      "recorded 1",
      "recorded 1",
    ]);
  });

  it("recorded by a line that a fast clock put just behind its end", () => {
    expect(words(compared([fence(60)], record({ time: at(64) })))).toEqual(["recorded 1"]);
    const late = compared([fence(60)], record({ time: at(70) }));
    expect([words(late), late.withoutFence.length]).toEqual([["unrecorded 0"], 1]);
  });

  it("partly recorded when only the on of a reboot is", () => {
    expect(words(compared([fence(60)], record({ time: at(50), action: "on" })))).toEqual(["partly 1"]);
  });

  it("known by its outcome alone where an alert reported it", () => {
    expect(words(compared([fence(60)], outcome({ time: at(60.4) })))).toEqual(["outcome-only 0"]);
  });

  it("one, though a merged request gives it two entries", () => {
    const result = compared(
      [fence(60), fence(61, { client: "pacemaker-controld.382", origin: "compute-node-3" })],
      record({ time: at(20) }),
    );
    expect(words(result)).toEqual(["recorded 1"]);
    expect(result.fences[0]?.entries).toHaveLength(2);
  });

  it.each([
    ["the same client asks again", fence(61)],
    ["the same program asks again on the same node", fence(61, { client: "stonith_admin.2" })],
    ["another node did it", fence(61, { client: "other.2", delegate: "compute-node-3" })],
    ["it ends later", fence(63, { client: "other.2" })],
    ["it failed", fence(60, { client: "other.2", status: "failed" })],
    ["it is another node's", fence(60, { client: "other.2", target: "compute-node-3" })],
  ])("two when %s", (_, second) => {
    expect(compared([fence(60), second]).fences).toHaveLength(2);
  });

  it("pending while it runs, its lines its own, and not judged", () => {
    const result = compared(
      [fence(60), fence(undefined, { action: "off" })],
      record({ time: at(30) }),
      record({ time: at(100) }),
    );
    expect(words(result)).toEqual(["recorded 1", "pending 1"]);
    expect(words(compared([fence(undefined)]))).toEqual(["pending 0"]);
    expect(differences(compared([fence(undefined)]))).toBe(0);
  });

  it("pending without lines that are older than a fence can be when the history was written", () => {
    const old = events(record({ time: at(0) }), record({ time: at(48), action: "on" }));
    const result = reconcile([fence(undefined)], old, { writtenMs: at(86_400) });
    expect([words(result), result.beforeHistory]).toEqual([["pending 0"], 2]);
    // Nor is such a line one without a fence: when a file was written only its own time says.
    const later = reconcile([fence(undefined), fence(-60)], old, { writtenMs: at(86_400) });
    expect([words(later), later.beforeHistory, later.withoutFence]).toEqual([["unrecorded 0", "pending 0"], 2, []]);
    expect(words(reconcile([fence(undefined)], old, { writtenMs: at(60) }))).toEqual(["pending 2"]);
  });

  it("not judged, being the first of its node in the history, when only lines from long before may be its", () => {
    const old = [record({ time: at(0) }), record({ time: at(48), action: "on" })];
    const result = compared([fence(1_648)], ...old);
    expect(words(result)).toEqual(["doubtful 0"]);
    expect(result).toMatchObject({ fences: [{ doubtful: [{ timeMs: at(0) }, { timeMs: at(48) }] }], beforeHistory: 0 });
    expect(differences(result)).toBe(1);
    // After a clean-up of one node's history the others' reach further back.
    expect(words(compared([fence(-9_000, { target: "compute-node-3" }), fence(1_648)], ...old))[1]).toBe("doubtful 0");
    // The on is the last that a reboot does.
    expect(words(compared([fence(460)], ...old))).toEqual(["doubtful 0"]);
    // An alert told when that fence was over.
    const told = compared([fence(1_648)], ...old, outcome({ time: at(50) }));
    expect([words(told), told.beforeHistory]).toEqual([["unrecorded 0"], 2]);
    // An alert of its own says that it had begun by then.
    const asked = { started_ms: at(-1), completed_ms: at(1_648) };
    const own = compared([fence(1_648)], ...old, outcome({ time: at(1_648), operation: asked }));
    expect(words(own)).toEqual(["recorded 2"]);
  });

  it("recorded where the clock of who recorded it, and of its alert, is behind", () => {
    const behind = [record({ time: at(43) }), record({ time: at(50), action: "on" }), outcome({ time: at(53) })];
    expect(words(compared([fence(-3_600), fence(60)], ...behind))).toEqual(["unrecorded 0", "recorded 2"]);
    expect(words(compared([fence(60)], ...behind))).toEqual(["recorded 2"]);
  });

  it("recorded when it took long, also as the first of its node in the history", () => {
    const slow = [record({ time: at(0) }), record({ time: at(540), action: "on" })];
    expect(words(compared([fence(590)], ...slow))).toEqual(["recorded 2"]);
    // With a fence before it in the history there is nothing else whose line it could be.
    expect(words(compared([fence(-60), fence(1_648)], ...slow))).toEqual(["unrecorded 0", "recorded 2"]);
    // Its own line beside old ones.
    const both = compared([fence(1_648)], ...slow, record({ time: at(1_600) }));
    expect([words(both), both.beforeHistory]).toEqual([["recorded 1"], 2]);
  });

  it("recorded by the line of a fast clock though another fence follows, when that one is much later or has its own", () => {
    const off = (seconds: number) => record({ time: at(seconds) });
    expect(words(compared([fence(1), fence(181)], off(2.4), off(182.4)))).toEqual(["recorded 1", "recorded 1"]);
    expect(words(compared([fence(1), fence(181)], off(2.4)))).toEqual(["recorded 1", "unrecorded 0"]);
    const row = [fence(1), fence(31), fence(61)];
    expect(words(compared(row, off(2.4), off(32.4), off(62.4)))).toEqual(["recorded 1", "recorded 1", "recorded 1"]);
    // Halves of reboots.
    const on = (seconds: number) => record({ time: at(seconds), action: "on" });
    expect(words(compared([fence(1), fence(31)], off(0), on(2.4), off(30), on(32.4)))).toEqual([
      "recorded 2",
      "recorded 2",
    ]);
  });

  it("unrecorded when the line just behind its end is the next one's", () => {
    const line = (seconds: number, recorder = "rabbit-node-1") => record({ time: at(seconds), recorder });
    const missed = (next: number, ...lines: object[]) => words(compared([fence(60), fence(next)], ...lines));
    expect(missed(70, line(62.5))).toEqual(["unrecorded 0", "recorded 1"]);
    expect(missed(70, line(62.5), line(63, "compute-node-3"))).toEqual(["unrecorded 0", "recorded 2"]);
    // What failed is asked for again at once.
    const retried = compared([fence(60, { status: "failed" }), fence(200)], line(62), line(130));
    expect(words(retried)).toEqual(["unrecorded 0", "recorded 2"]);
    // Its own line, and the next fence's.
    expect(words(compared([fence(60), fence(200)], line(50), line(62)))).toEqual(["recorded 1", "recorded 1"]);
    // The two lines of a refused attempt.
    const refused = [record({ time: at(62), status: "refused" }), record({ time: at(63), status: "refused" })];
    expect(missed(70, ...refused)).toEqual(["unrecorded 0", "recorded 2"]);
  });

  it("recorded by the line that names who asked for it", () => {
    const asked = (client: string) => ({ operation: { client, origin: "rabbit-node-1" } });
    const pair = [fence(60, { client: "a.1" }), fence(70, { client: "b.2" })];
    expect(words(compared(pair, record({ time: at(62), ...asked("a.1") })))).toEqual(["recorded 1", "unrecorded 0"]);
    expect(words(compared(pair, record({ time: at(59), ...asked("b.2") })))).toEqual(["unrecorded 0", "recorded 1"]);
    // Another program's request may have been merged into it; another call of the same program is another fence.
    expect(words(compared(pair, record({ time: at(59), ...asked("c.3") })))).toEqual(["recorded 1", "unrecorded 0"]);
    const next = compared([fence(-60), fence(60)], record({ time: at(59), ...asked("stonith_admin.7") }));
    expect([words(next), next.withoutFence.length]).toEqual([["unrecorded 0", "unrecorded 0"], 1]);
  });

  it("found among 20,000", { timeout: 5_000 }, () => {
    const many = Array.from({ length: 20_000 }, (_, index) => fence(index * 100));
    const lines = many.map((_, index) => record({ time: at(index * 100 - 20) }));
    expect(new Set(words(compared(many, ...lines)))).toEqual(new Set(["recorded 1"]));
  });

  it("of another action when the recorded one is not covered", () => {
    const result = compared([fence(60, { action: "on" })], record({ time: at(50), action: "off" }));
    expect(words(result)).toEqual(["unrecorded 0"]);
  });
});

describe("a line", () => {
  it("without a fence is one that no fence of the history covers", () => {
    const { withoutFence } = compared([fence(60), fence(5_000)], record({ time: at(20) }), record({ time: at(90) }));
    expect(withoutFence).toMatchObject([{ timeMs: at(90) }]);
  });

  it("older than the history, or by hand, is not judged", () => {
    const result = compared(
      [fence(10_000)],
      record({ time: at(0) }),
      record({ time: at(9_990) }),
      record({ time: at(12_000), source: "manual" }),
    );
    expect(result).toMatchObject({ beforeHistory: 1, manual: 1, withoutFence: [] });
    expect(compared([], record({ time: at(0) }))).toMatchObject({
      beforeHistory: 1,
      withoutFence: [],
      reachMs: undefined,
    });
  });
});

describe("the command", () => {
  const HISTORY = `${CAPTURED}/b2-second-failure-recorder-first/after.stonith_admin-history.xml`;
  const both = [
    record({ time: "2026-11-20T10:43:18Z" }),
    record({ time: "2026-11-20T10:44:05Z", action: "on" }),
    record({ time: "2026-11-20T10:49:21Z" }),
  ];

  it("exits 0 when everything is recorded and 1 when something is missing, as diff does", async () => {
    const whole = await analyze(
      ["reconcile", directoryWith({ "fence-events-detailed.jsonl": both }), "--history", HISTORY],
      { columns: 200 },
    );
    expect(whole).toMatchObject({
      exitCode: 0,
      lines: [expect.stringMatching(/^2 fences in Pacemaker's history .*: 2 recorded, 0 not$/)],
    });
    const { exitCode, stdout, lines } = await analyze([
      "reconcile",
      directoryWith({ "fence-events-detailed.jsonl": both.slice(0, 2) }),
      "--history",
      HISTORY,
    ]);
    expect(exitCode).toBe(1);
    for (const line of lines.filter((text) => !text.includes("/"))) expect([...line].length).toBeLessThanOrEqual(80);
    expect(stdout).toContain("reboot of compute-node-2: nobody recorded it");
    expect(stdout).toContain("pacemaker-controld.382@compute-node-3");
  });

  it.each([
    [["--action", "off"], 0, 0],
    [["--action", "reboot", "--status", "succeeded"], 2, 1],
    [["--status", "failed"], 0, 0],
    [["--fs", "gfs2-scratch"], 1, 0],
    [["--fs", "unknown"], 1, 1], // what nobody recorded
    [["--recorder", "rabbit-node-9"], 0, 0],
    [["--grep", "2026-11-20T10:43"], 1, 0],
    [["--node", "compute-node-3"], 0, 0],
    [["--limit", "1", "--reverse"], 1, 1],
  ])("with %j tells %i fences, %i of them a difference", async (filter, count, differences) => {
    const logs = directoryWith({ "fence-events-detailed.jsonl": both.slice(0, 2) });
    const { exitCode, json } = await analyze(["reconcile", logs, "--history", HISTORY, "--json", ...filter]);
    const [found] = json() as { differences: number; fences: { recorded_as: string }[] }[];
    expect([exitCode, found?.fences.length, found?.differences]).toEqual([differences, count, differences]);
    if (filter.includes("--reverse")) expect(found?.fences[0]?.recorded_as).toBe("unrecorded");
  });

  it("takes an alert's outcome for no word about the filesystems, nor its node for a recorder", async () => {
    const end = { action: "reboot", client: "stonith-api.1964", origin: "rabbit-node-1" };
    const logs = directoryWith({
      "fence-events-detailed.jsonl": both,
      "fence-outcomes.jsonl": [outcome({ time: "2026-11-20T10:44:08.200Z", recorder: "rab-9", operation: end })],
    });
    const told = async (...words: string[]) =>
      (await analyze(["reconcile", logs, "--history", HISTORY, "--json", ...words])).json() as { fences: unknown[] }[];
    expect((await told("--source", "alert", "--fs", "gfs2-scratch"))[0]?.fences).toHaveLength(1);
    expect((await told("--fs", "unknown"))[0]?.fences).toEqual([]);
    expect((await told("--recorder", "rab-9"))[0]?.fences).toEqual([]);
  });

  it("prints one object for programs", async () => {
    const logs = directoryWith({
      "fence-events-detailed.jsonl": [...both, record({ time: "2026-11-20T10:48:00Z", target: "compute-node-3" })],
    });
    const { exitCode, json } = await analyze(["reconcile", logs, "--history", HISTORY, "--json"]);
    expect(exitCode).toBe(1);
    expect(json()).toMatchObject([
      {
        differences: 1,
        history_since: "2026-11-20T10:44:08.000Z",
        fences: [
          {
            recorded_as: "recorded",
            history: [
              { client: "stonith-api.1964", line: 6 },
              { client: "pacemaker-controld.382", line: 5 },
            ],
            lines: [{ line: 1 }, { line: 2 }],
          },
          { recorded_as: "recorded", lines: [{ line: 3 }] },
        ],
        without_fence: [{ target_node: "compute-node-3", line: 4 }],
        not_judged: { before_history: 0, manual: 0 },
      },
    ]);
  });

  it("looks --longest back for the line of a fence, also with --since", async () => {
    const logs = directoryWith({ "fence-events-detailed.jsonl": [record({ time: "2026-11-20T09:10:00Z" })] });
    const words = [
      "reconcile",
      logs,
      "--history",
      HISTORY,
      "--longest",
      "2h",
      "--json",
      "--until",
      "2026-11-20T10:45Z",
    ];
    for (const since of [[], ["--since", "2026-11-20T10:30Z"]]) {
      const { json } = await analyze([...words, ...since]);
      expect(json()).toMatchObject([{ fences: [{ recorded_as: "doubtful", doubtful_lines: [{ line: 1 }] }] }]);
    }
  });

  it("refuses a --longest without an end", async () => {
    const { exitCode, stderr } = await analyze(["reconcile", directoryWith(), "--longest", `${"9".repeat(320)}d`]);
    expect([exitCode, stderr]).toEqual([64, expect.stringMatching(/^--longest: not a duration/)]);
  });

  it("never calls a fence recorded by lines that another one left", async () => {
    const shown = async (state: string, year: number) => {
      const logs = directoryWith({
        "fence-events-detailed.jsonl": [
          record({ time: `${year}-11-20T10:43:18Z` }),
          record({ time: `${year}-11-20T10:44:06Z`, action: "on" }),
        ],
      });
      const history = `${CAPTURED}/d-scripted-run-quiet-host/${state}/stonith_admin-history.xml`;
      const { exitCode, lines, stdout } = await analyze(["reconcile", logs, "--history", history], { columns: 200 });
      return { exitCode, first: lines[0]?.replace(/since [-\d]+ [:\d]+ (\S+)\)/, "since then $1)"), stdout };
    };
    expect(await shown("window", 2024)).toMatchObject({
      exitCode: 0,
      first:
        "1 fence in Pacemaker's history (none has ended: nothing can be compared): 0 recorded, 0 not, 1 running, not judged",
      stdout: expect.stringContaining(
        "2 lines of fences that the history does not hold, or of one that runs: not judged.",
      ),
    });
    expect(await shown("after", 2026)).toMatchObject({
      exitCode: 1,
      first: `1 fence in Pacemaker's history (since then ${showZone()}): 0 recorded, 0 not, 1 cannot be judged`,
      stdout: expect.stringContaining("off by rabbit-node-1, perhaps of an earlier fence; /"),
    });
  });

  it("shows the command that writes a history as a shell takes it", async () => {
    await expect(
      runAnalyze(contextFor({}, { stdout: "", stderr: "" }), ["reconcile", "--history", "/nonexistent/x"], "x"),
    ).rejects.toMatchObject({
      kind: "bad-input",
      hint: expect.stringContaining("stonith_admin --history '*' --verbose"),
    });
  });

  it("says what to try when what was given is no history", async () => {
    for (const text of ["no XML\n", "<cib/>", "<pacemaker-result><fence_event/></pacemaker-result>"]) {
      const logs = directoryWith({ "history.xml": text, "fence-events-detailed.jsonl": both });
      const words = ["reconcile", "--history", `${logs}/history.xml`, logs];
      await expect(runAnalyze(contextFor({}, { stdout: "", stderr: "" }), words, "x")).rejects.toMatchObject({
        kind: "bad-output",
        hint: expect.stringContaining("stonith_admin --history '*' --verbose"),
      });
    }
  });

  it("names a history that cannot be read", async () => {
    const { exitCode, stderr } = await analyze(["reconcile", "--history", CAPTURED]);
    expect({ exitCode, stderr }).toMatchObject({
      exitCode: 74,
      stderr: expect.stringContaining("cannot be read: EISDIR"),
    });
  });

  it("takes the history's words for --status, and refuses those of lines", async () => {
    const { stdout } = await analyze(["reconcile", "--help"]);
    expect(stdout).toMatch(/--status +success, succeeded, failed, pending/);
    expect(await analyze(["reconcile", "--status", "initiated", "--history", "x"])).toMatchObject({
      exitCode: 64,
      stderr: expect.stringContaining("--status: no event can have it: initiated"),
    });
  });

  it("asks the cluster by itself, with a time limit", async () => {
    const logs = directoryWith({ "fence-events-detailed.jsonl": both });
    const command = "stonith_admin --history * --verbose --output-as=xml";
    const empty =
      '<pacemaker-result><list name="fencing history" count="0"/><status code="0" message="OK"/></pacemaker-result>';
    const { exitCode, stdout } = await analyze(["reconcile", logs], { commands: { [command]: empty } });
    expect(exitCode).toBe(0);
    expect(stdout).toContain("3 lines of fences that the history does not hold");
    for (const [answer, code] of [
      [{ outcome: "timed-out" }, 124],
      [{ outcome: "not-started", spawnError: "ENOENT" }, 69],
      // Not 1: that is a difference found.
      [{ exitCode: 102, stderr: "Not connected" }, 69],
      ['<pacemaker-result><status code="102" message="Not connected"/></pacemaker-result>', 76],
      ["<pacemaker-result>", 76],
    ] as const) {
      expect((await analyze(["reconcile", logs], { commands: { [command]: answer } })).exitCode).toBe(code);
    }
  });
});
