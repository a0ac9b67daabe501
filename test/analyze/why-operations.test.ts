/** `why`: which lines are one operation, whatever the logs leave out and however far the nodes' clocks lie apart. */
import { describe, expect, it } from "vitest";
import { analyze, directoryWith, fileWith, outcome, record } from "./run-analyze.ts";
import { lines, log, told, unknown, why } from "./run-why.ts";

const CONF = ["--corosync-conf", log("corosync.conf")];
const NODES = ["rabbit-node-1", "compute-node-3"];

/** The captured pacemaker.logs of both nodes, each line changed or, with undefined, left out. */
function logsWith(run: string, change: (line: string, node: string) => string | undefined): string[] {
  const files = NODES.map((node) => {
    const kept = lines(`${run}/${node}.pacemaker.log`).flatMap((line) => change(line, node) ?? []);
    return [`${node}.pacemaker.log`, kept.join("\n")];
  });
  return ["--pacemaker-log", `${directoryWith(Object.fromEntries(files))}/*.log`, ...CONF];
}

const timeOf = (line: string): string => /^\w{3} \d\d (\S+)/.exec(line)?.[1] ?? "";

/** A clock that is ahead, or behind: its lines keep their places. */
const skewed = (run: string, seconds: number, skewedNode = "rabbit-node-1") =>
  logsWith(run, (line, node) => {
    const time = timeOf(line);
    if (node !== skewedNode || time === "") return line;
    const shifted = new Date(Date.parse(`2026-11-20T${time}Z`) + seconds * 1000).toISOString().slice(11, 23);
    return line.replace(time, time.includes(".") ? shifted : shifted.slice(0, 8));
  });

const historyWith = (...entries: Record<string, string>[]): string[] => {
  const usual = { target: "compute-node-2", origin: "compute-node-3", status: "success", delegate: "rabbit-node-1" };
  const events = entries.map((entry) => {
    const words = Object.entries({ ...usual, ...entry }).map(([name, value]) => `${name}="${value}"`);
    return `<fence_event ${words.join(" ")}/>`;
  });
  const xml = `<pacemaker-result><list>${events.join("\n")}</list><status code="0"/></pacemaker-result>`;
  return ["--history", fileWith(xml, "history.xml")];
};

const recordedAs = (...records: object[]): string => directoryWith({ "fence-events-detailed.jsonl": records });
const REBOOT = { action: "reboot", client: "pacemaker-controld.382", completed: "2026-11-20 10:01:00Z" };
const OFF_AT = "2026-11-20T10:00:00Z";

describe("a recorded line long before the fence's end", () => {
  it("is of the fence that the history gives it to", async () => {
    const page = await why(recordedAs(record({ time: OFF_AT })), ...historyWith(REBOOT));
    expect(told(page, "recorded")).toEqual([
      "10:00:00 off initiated by rabbit-node-1: gfs2-project, gfs2-scratch fence-events-detailed.jsonl:1",
    ]);
    expect(unknown(page, "recorded")).toEqual([]);
    expect(page).toMatchObject({
      started: "2026-11-20T10:00:00.000Z",
      duration_ms: 60_000,
      duration_is_minimum: true,
      gfs2_filesystems: ["gfs2-project", "gfs2-scratch"],
      others: [],
    });
  });

  it.each([
    ["", []],
    [" beside a history", ["--history", log("c2-rejoined/stonith_admin-history.xml")]],
  ])("is of the fence whose beginning the log no longer has%s", async (_, history) => {
    const logs = logsWith("logs-run1", (line) => (timeOf(line) > "10:43:30" ? line : undefined));
    const page = await why(recordedAs(record({ time: "2026-11-20T10:43:19Z" })), ...logs, ...history);
    expect(page).toMatchObject({ action: "reboot", result: "succeeded", others: [] });
    expect(told(page, "recorded")).toHaveLength(1);
    expect(told(page, "attempts").map((text) => text.slice(0, 40))).toEqual([
      "10:44:02 on by fence-compute-node-2 on r",
      "10:44:05 done (exit 0) after 3.4 s rabbi",
      "10:44:05 on by compute-node-2-recorder o",
      "10:44:08 done (exit 0) after 2.4 s rabbi",
      "10:44:02 off by compute-node-2-recorder:",
    ]);
    expect(told(page, "result")[0]).toContain("reboot succeeded in at least 49 s by rabbit-node-1");
    // The power device's off came before the log begins.
    expect(page.fenced_by).toBeNull();
  });

  it("is not of the fence when another one ended in between, and not when it may be of one before the log", async () => {
    const logs = logsWith("logs-final", (line) =>
      timeOf(line) > "10:52:54" && !line.includes("Requesting") && !line.includes("wants to fence") ? line : undefined,
    );
    const early = record({ time: "2026-11-20T10:20:00Z" });
    // The second one by a clock that is ahead.
    for (const time of ["2026-11-20T10:52:40Z", "2026-11-20T10:52:57Z"]) {
      const records = recordedAs(early, record({ time }));
      const off = await why(records, ...logs, "--incident", "3431200e");
      expect(told(off, "recorded")).toEqual([expect.stringContaining(`${time.slice(11, 19)} off initiated`)]);
      const failed = await why(records, ...logs, "--at", "2026-11-20T10:54:18Z");
      expect(unknown(failed, "recorded")).toEqual(["no recorder wrote down this fence"]);
    }
  });

  it("is not of the fence when an alert said that its own one was over before", async () => {
    const logs = logsWith("logs-final", (line) =>
      timeOf(line) > "10:52:54" && !line.includes("Requesting") && !line.includes("wants to fence") ? line : undefined,
    );
    const directory = directoryWith({
      "fence-events-detailed.jsonl": [record({ time: "2026-11-20T10:52:20Z" })],
      "fence-outcomes.jsonl": [outcome({ time: "2026-11-20T10:52:25Z", action: "off" })],
    });
    const off = await why(directory, ...logs, "--incident", "3431200e");
    expect(unknown(off, "recorded")).toEqual(["no recorder wrote down this fence"]);
    const before = await why(directory, ...logs, "--at", "2026-11-20T10:52:22Z");
    expect(before).toMatchObject({ result: "succeeded", completed: "2026-11-20T10:52:25.000Z", duration_ms: 5_000 });
    expect(told(before, "recorded")).toHaveLength(1);
  });

  it("is told as not known where it may be of a fence that the history no longer holds", async () => {
    const page = await why(
      recordedAs(record({ time: "2026-11-20T09:45:00Z" })),
      ...historyWith(REBOOT),
      "--at",
      "2026-11-20T10:01:00Z",
    );
    expect(told(page, "recorded")).toEqual([]);
    expect(unknown(page, "recorded")).toEqual([
      expect.stringMatching(
        /^not known: .*fence-events-detailed\.jsonl:1 may be of it, or of one that the history no longer holds$/,
      ),
    ]);
  });
});

describe("an off and an on that were asked for one by one", () => {
  const OFF = { action: "off", client: "stonith_admin.1", completed: "2026-11-20 10:00:01Z" };
  const ON = { action: "on", client: "stonith_admin.2", completed: "2026-11-20 10:05:01Z" };
  const both = () => [
    recordedAs(record({ time: OFF_AT }), record({ time: "2026-11-20T10:05:00Z", action: "on" })),
    ...historyWith(ON, OFF),
  ];

  it("are two operations: asked without a time the off is told of, each with its own recorded line", async () => {
    const off = await why(...both());
    expect(off).toMatchObject({ action: "off", completed: "2026-11-20T10:00:01.000Z" });
    expect(told(off, "recorded")).toEqual([expect.stringContaining("10:00:00 off initiated")]);
    const on = await why(...both(), "--at", "2026-11-20T10:05:01Z");
    expect(on).toMatchObject({ action: "on", completed: "2026-11-20T10:05:01.000Z" });
    expect(told(on, "recorded")).toEqual([expect.stringContaining("10:05:00 on initiated")]);
  });

  it("are told apart in the logs too, and what came after is counted by what it was", async () => {
    const until = logsWith("logs-final", (line) => (timeOf(line) < "10:53:10" ? line : undefined));
    const lines = [
      record({ time: "2026-11-20T10:52:54Z" }),
      record({ time: "2026-11-20T10:52:59.100Z", action: "on" }),
    ];
    expect(await why(recordedAs(...lines), ...until)).toMatchObject({ action: "off", completed: expect.any(String) });
    const on = await why(recordedAs(...lines), ...until, "--incident", "6b70dc8c");
    expect(told(on, "recorded")).toEqual([expect.stringContaining("10:52:59 on initiated")]);
    const all = logsWith("logs-final", (line) => line);
    const back = told(await why(...all, "--incident", "3431200e"), "return");
    expect(back[0]).toContain("has it back as member (4 other operations in between)");
  });

  it("are told of by the on where nothing else is known, or where it may be half of a reboot that runs", async () => {
    expect(await why(...historyWith(ON))).toMatchObject({ action: "on" });
    const running = { action: "on", client: "pacemaker-controld.382", status: "pending" };
    expect(await why(...historyWith(running, OFF))).toMatchObject({ action: "on", result: "running" });
  });
});

describe("clocks of two nodes that differ", () => {
  it.each([-3, -1, 1, 3])(
    "leave a merged request one fence with the one it was merged into (%i s)",
    async (seconds) => {
      const page = await why(...skewed("logs-run1", seconds));
      expect(page).toMatchObject({ incident: "41aca80c", duration_ms: 202_948, others: [] });
      expect(told(page, "attempts").filter((text) => text.includes("limit"))).toHaveLength(4);
      expect(told(page, "attempts").filter((text) => text.includes("done (exit 0) after"))).toHaveLength(4);
    },
  );

  it("take a merged request for the fence's where only the other node's log has the fence", async () => {
    const logs = logsWith("logs-run1", (line, node) =>
      node === "compute-node-3" && line.includes("id=41aca80c") ? undefined : line,
    );
    expect(await why(...logs)).toMatchObject({ incident: "41aca80c", others: [] });
  });

  it.each([-2, 2])("leave each device its answer, and the fence its duration by one clock (%i s)", async (seconds) => {
    const page = await why(...skewed("logs-final", seconds));
    expect(page).toMatchObject({ incident: "5ced0cd6", duration_ms: 1_556 });
    expect(told(page, "attempts").map((text) => text.slice(9))).toEqual([
      "level with several devices: reboot done as off, then on compute-node-3.pacemaker.log:5009",
      "off by fence-compute-node-2 on rabbit-node-1 (limit 360 s) compute-node-3.pacemaker.log:5015",
      "done (exit 0) after 1 s rabbit-node-1.pacemaker.log:3910",
      "off by compute-node-2-recorder on rabbit-node-1 (limit 72 s) compute-node-3.pacemaker.log:5017",
      "done (exit 0) after 310 ms rabbit-node-1.pacemaker.log:3913",
      "on by fence-compute-node-2 skipped; Pacemaker's words: the agent doesn't support 'on' compute-node-3.pacemaker.log:5020",
      "on by compute-node-2-recorder skipped; Pacemaker's words: the agent doesn't support 'on' compute-node-3.pacemaker.log:5021",
    ]);
    expect(told(page, "result")[0]).toContain("11:04:54 reboot succeeded in 1.6 s");
    expect(page.left_off).toBe(true);
  });

  it("do not give an operation the answers of the one a few seconds before", async () => {
    const page = await why(...skewed("logs-final", 2, "compute-node-3"), "--incident", "6b70dc8c");
    expect(told(page, "attempts").map((text) => text.slice(9))).toEqual([
      "on by compute-node-2-recorder on rabbit-node-1 (limit 144 s) rabbit-node-1.pacemaker.log:2328",
      "done (exit 0) after 820 ms rabbit-node-1.pacemaker.log:2334",
    ]);
  });
});

it("gives a device that is asked twice, being in two levels, both its answers", async () => {
  const LINES = [
    ["00.100", "Client pacemaker-controld.38 wants to fence (off) compute-node-2 using any device"],
    ["00.110", "Requesting peer fencing (off) targeting compute-node-2 | id=aaaaaaaa state=querying base_timeout=60"],
    ["00.200", "rec asked"],
    ["02.000", "rec: complete"],
    ["02.100", "ipmi asked"],
    ["22.000", "ipmi: Error occurred"],
    ["22.100", "rec asked"],
    ["24.000", "rec: complete"],
    ["24.100", "pdu asked"],
    ["27.000", "pdu: complete"],
    [
      "27.100",
      "Operation 'off' targeting compute-node-2 by n3 for pacemaker-controld.38@n1: OK (complete) | id=aaaaaaaa",
    ],
  ];
  const text = LINES.map(([second, words = ""]) => {
    const said = words
      .replace(
        /^(\w+) asked$/,
        "Requesting that n3 perform 'off' action targeting compute-node-2 using $1 | for client pacemaker-controld.38 (72s)",
      )
      .replace(
        /^(rec|ipmi|pdu): /,
        "Action 'off' targeting compute-node-2 using $1 on behalf of pacemaker-controld.38@n1: ",
      );
    return `Nov 20 10:00:${second} n1 pacemaker-fenced    [391] (fn) \tnotice: ${said}\n`;
  });
  const page = await why("--pacemaker-log", fileWith(text.join(""), "n1.pacemaker.log"));
  expect(page.findings.filter(({ topic }) => topic === "attempts").map(({ text, line }) => [text, line])).toEqual([
    ["off by rec on n3 (limit 72 s)", 3],
    ["answered after 1.8 s", 4],
    ["off by ipmi on n3 (limit 72 s)", 5],
    ["Error occurred after 20 s", 6],
    ["off by rec on n3 (limit 72 s)", 7],
    ["answered after 1.9 s", 8],
    ["off by pdu on n3 (limit 72 s)", 9],
    ["answered after 2.9 s", 10],
  ]);
  expect(unknown(page, "attempts")).toEqual(["the level's number is not known: Pacemaker does not log it"]);
});

it("keeps what an alert says of a fence's beginning", async () => {
  const directory = directoryWith({
    "fence-events-detailed.jsonl": [record({ time: OFF_AT })],
    "fence-outcomes.jsonl": [
      outcome({ time: "2026-11-20T10:01:00Z", operation: { started_ms: Date.parse("2026-11-20T09:59:58Z") } }),
    ],
  });
  const page = await why(directory, ...historyWith(REBOOT));
  expect(page).toMatchObject({ duration_ms: 62_000, duration_is_minimum: false, others: [] });
  const { stdout } = await analyze(["why", "compute-node-2", directory, ...historyWith(REBOOT)]);
  expect(stdout).toMatch(/^compute-node-2: reboot succeeded after 1 min 2 s, /);
});

it("names every device that a log of another node than the one that led the operation shows", async () => {
  const page = await why("--pacemaker-log", log("logs-final/rabbit-node-1.pacemaker.log"), "--incident", "57cfb668");
  expect(told(page, "attempts").map((text) => text.slice(9))).toEqual([
    "level with several devices: reboot done as off, then on rabbit-node-1.pacemaker.log:1888",
    "off by compute-node-2-recorder: returned 0 (rabbit-node-1) rabbit-node-1.pacemaker.log:1895",
    "off by fence-compute-node-2: returned 0 (rabbit-node-1) rabbit-node-1.pacemaker.log:1897",
  ]);
  expect(page.fenced_by).toEqual(["compute-node-2-recorder", "fence-compute-node-2"]);
});
