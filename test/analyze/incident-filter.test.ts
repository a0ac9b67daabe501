/** Filters choose among whole fences: each option may hold by another of a fence's lines, or by what the history says. */
import { describe, expect, it } from "vitest";
import { analyze, directoryWith, fileWith, outcome, record } from "./run-analyze.ts";

const at = (seconds: number): number => Date.parse("2026-11-20T10:00:00Z") + seconds * 1000;
const UNKNOWN = {
  gfs2_filesystems: ["none-detected"],
  discovery: { result: "unknown", elapsed_ms: 5, attempts: [] },
};
const gate = (seconds: number, status: string) =>
  record({ time: at(seconds), target: "gated", status, role: "gate", gate: { request_id: "a" } });

/** A reboot that failed, one of unknown context by another recorder, one only an alert told of, and a failed gate. */
const LOGS = {
  "fence-events-detailed.jsonl": [
    record({ time: at(0), target: "cn-1", gfs2_filesystems: ["gfs2-project"] }),
    record({ time: at(1_000), target: "cn-2", recorder: "rab-2", status: "refused", ...UNKNOWN }),
    gate(2_000, "requested"),
    gate(2_005, "failed"),
  ],
  "fence-outcomes.jsonl": [
    outcome({ time: at(10), target: "cn-1", status: "failed", recorder: "rab-9" }),
    outcome({ time: at(3_000), target: "cn-3", action: "off", recorder: "rab-9" }),
  ],
};

const targets = async (...words: string[]): Promise<string[]> => {
  const { json } = await analyze(["incidents", directoryWith(LOGS), "--json", ...words]);
  return (json() as { target_node: string }[]).map(({ target_node }) => target_node);
};

describe("incidents", () => {
  it.each([
    [["--fs", "gfs2-project", "--status", "failed"], ["cn-1"]],
    [["--status", "failed", "--action", "off"], ["cn-1"]],
    [["--status", "failed", "--action", "reboot"], ["cn-1"]],
    [["--status", "failed"], ["cn-1"]],
    [["--status", "unknown"], ["gated"]],
    [["--status", "refused"], ["cn-2"]],
    [["--status", "requested"], ["gated"]],
    // What nobody recorded has no context that anybody told.
    [
      ["--fs", "unknown"],
      ["cn-2", "cn-3"],
    ],
    [["--fs", "none-detected"], ["cn-2"]],
    [["--recorder", "rab-9"], []],
    [["--recorder", "rab-2"], ["cn-2"]],
    [["--source", "alert", "--fs", "gfs2-*"], ["cn-1"]],
    [
      ["--grep", '"status":"failed"', "--recorder", "rabbit-node-1"],
      ["cn-1", "gated"],
    ],
    [["--since", "2026-11-20T10:00:05Z", "--until", "2026-11-20T10:20:00Z"], ["cn-2"]],
    [["--fs", "unknown", "--reverse", "--limit", "1"], ["cn-3"]],
  ])("that are asked for with %j are judged as a whole", async (words, expected) => {
    expect(await targets(...words)).toEqual(expected);
  });

  it("that a report counts are the same", async () => {
    const { json } = await analyze([
      "report",
      directoryWith(LOGS),
      "--html",
      fileWith(""),
      "--json",
      "--fs",
      "unknown",
    ]);
    expect(json()).toMatchObject([{ incidents: 2, contexts: { unknown: 2 } }]);
  });

  it("of the history are judged by what they are shown as", async () => {
    const logs = directoryWith({ "fence-events-detailed.jsonl": [record({ time: at(0), target: "cn-7" })] });
    for (const words of [[], ["--status", "succeeded"], ["--action", "reboot"], ["--status", "succeeded,failed"]]) {
      const { json } = await analyze(["incidents", logs, "--history", HISTORY(), "--json", ...words]);
      expect((json() as { recorded: boolean }[]).map(({ recorded }) => recorded)).toEqual(
        words.includes("succeeded,failed") || words.length === 0 ? [true, false, false] : [true, false],
      );
    }
  });

  it("cannot be read twice from a pipe, and what to do is said", async () => {
    const { exitCode, stderr } = await analyze(["incidents", "--history", HISTORY(), "-"]);
    expect([exitCode, stderr]).toEqual([64, expect.stringContaining("cannot come from a pipe")]);
  });
});

it.each(["nodes", "filesystems"])("%s count no outcome as an event of unknown context", async (command) => {
  const { json } = await analyze([command, directoryWith(LOGS), "--json", "--status", "failed", "--node", "cn-1"]);
  const [{ unknown, outcomes, rows }] = json() as [
    { unknown?: number; outcomes?: number; rows: { unknown_context?: number }[] },
  ];
  if (command === "filesystems") expect([unknown, outcomes]).toEqual([0, 1]);
  else expect(rows).toMatchObject([{ unknown_context: 0 }]);
});

// ---- fences of one client, a fencer's controld with one process id for all ------------------------------------------

const HISTORY = (): string =>
  fileWith(
    `<pacemaker-result api-version="2.25"><list name="fencing history">${[
      `action="reboot" status="success" completed="2026-11-20 12:00:30Z"`,
      `action="off" status="failed" exit-reason="No route" completed="2026-11-20 11:00:30Z"`,
      `action="reboot" status="success" completed="2026-11-20 10:00:30Z"`,
    ]
      .map((own) => `\n<fence_event target="cn-7" client="pacemaker-controld.382" origin="node-3" ${own}/>`)
      .join("")}</list><status code="0" message="OK"/></pacemaker-result>`,
    "history.xml",
  );

type Page = { incident: string; result: string; completed: string | null; not_known: { text: string }[] };
const why = async (...words: string[]) => {
  const { exitCode, stdout, stderr } = await analyze(["why", "cn-7", "--json", ...words]);
  return { exitCode, stderr, page: exitCode === 0 ? (JSON.parse(stdout) as Page) : undefined };
};
const HISTORY_LOGS = () => directoryWith({ "fence-events-detailed.jsonl": [record({ time: at(27), target: "cn-7" })] });

describe("why", () => {
  it.each([
    [[], "12:00:30"],
    [["--status", "failed"], "11:00:30"],
    [["--action", "off", "--status", "succeeded"], "10:00:30"],
    [["--fs", "gfs2-project"], "10:00:30"],
    [["--fs", "unknown", "--at", "2026-11-20T10:00Z"], "11:00:30"],
    [["--until", "2026-11-20T10:30Z"], "10:00:30"],
    [["--since", "2026-11-20T11:30Z"], "12:00:30"],
    [["--recorder", "rabbit-node-1", "--source", "stonith", "--grep", "cn-7"], "10:00:30"],
  ])("is about the last fence that %j asks for, with all its lines", async (words, ended) => {
    const { page } = await why("--history", HISTORY(), HISTORY_LOGS(), ...words);
    expect(page?.completed).toContain(ended);
    const isUnrecorded = page?.not_known.some(({ text }) => text === "no recorder wrote down this fence");
    expect(isUnrecorded).toBe(ended !== "10:00:30");
  });

  it("says how many fences there are when none is asked for", async () => {
    for (const words of [
      ["--action", "on"],
      ["--since", "2027-01-01"],
      ["--fs", "gfs2-other"],
    ]) {
      const { exitCode, stderr } = await why("--history", HISTORY(), HISTORY_LOGS(), ...words);
      expect([exitCode, stderr]).toEqual([65, "cn-7: none of the 3 fences known of this node matches the filters\n"]);
    }
    const alone = await why(
      "--history",
      fileWith("<pacemaker-result/>", "h.xml"),
      HISTORY_LOGS(),
      "--status",
      "failed",
    );
    expect(alone.stderr).toBe("cn-7: the one fence known of this node does not match the filters\n");
  });

  it("keeps the fence asked for among thousands of its node", async () => {
    const many = Array.from({ length: 1_200 }, (_, index) =>
      record({ time: at(index * 3_600), target: "cn-7", recorder: index === 3 ? "rab-3" : "rab-1" }),
    );
    const logs = directoryWith({ "fence-events-detailed.jsonl": many });
    const { page } = await why("--history", fileWith("<pacemaker-result/>", "h.xml"), logs, "--recorder", "rab-3");
    expect(page?.incident).toBe(many[3]?.event_id);
  });

  it("finds each fence of the history by the id that is printed, and refuses one that fits several", async () => {
    const logs = directoryWith({ "fence-events-detailed.jsonl": [record({ time: at(0), target: "other" })] });
    const history = HISTORY();
    const { json } = await analyze(["incidents", logs, "--history", history, "--json", "--node", "cn-7"]);
    const ids = (json() as { id: string; completed_ms: number }[]).map(({ id }) => id);
    expect(new Set(ids).size).toBe(3);
    const found = await Promise.all(ids.map((id) => why("--history", history, logs, "--incident", id)));
    expect(found.map(({ page }) => [page?.incident, page?.completed?.slice(11, 19)])).toEqual([
      [ids[0], "10:00:30"],
      [ids[1], "11:00:30"],
      [ids[2], "12:00:30"],
    ]);
    const { exitCode, stderr } = await why("--history", history, logs, "--incident", "pacemaker-controld.382@node-3");
    expect([exitCode, stderr]).toEqual([64, "cn-7: --incident pacemaker-controld.382@node-3 fits 3 fences\n"]);
    const filtered = await why("--history", history, logs, "--incident", String(ids[0]), "--status", "failed");
    expect([filtered.exitCode, filtered.stderr]).toEqual([
      65,
      `cn-7: no incident ${ids[0]} that matches the filters\n`,
    ]);
  });
});
