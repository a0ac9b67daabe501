/** `why` of a fence that runs, or that few sources know: what is planned, since when GFS2 waits, what nobody can tell. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { analyze, directoryWith, fileWith, outcome, record } from "./run-analyze.ts";
import { ALL_OF, lines, log, type Page, told, unknown, why } from "./run-why.ts";

describe("a fence that still runs", () => {
  /** The captured logs of two nodes as they were at 10:41:30, and the dump of that moment. */
  const cut = () => {
    const until = (name: string) =>
      lines(`logs-run1/${name}`)
        .filter((line) => (line.split(/\s+/)[2] ?? "") < "10:41:30")
        .join("\n");
    const names = ["rabbit-node-1.pacemaker.log", "compute-node-3.pacemaker.log"];
    const directory = directoryWith({
      ...Object.fromEntries(names.map((name) => [name, `${until(name)}\n`])),
      "dump.txt": `${lines("logs-run1/rabbit-node-1.dlm_tool-dump.txt").slice(0, 339).join("\n")}\n`,
    });
    return ["--pacemaker-log", `${directory}/*.log`, "--dlm-log", `${directory}/dump.txt`];
  };

  it("shows what is planned as planned, and that no line shows it done", async () => {
    const page = await why(...cut());
    expect(page).toMatchObject({ action: "reboot", result: "running", gfs2_filesystems: null });
    expect(told(page, "resources").map((text) => text.slice(9).split(" compute-node-3.pace")[0])).toEqual([
      "planned: move fence-rabbit-node-1 to compute-node-3",
      "planned: stop dlm:1",
      "planned: stop gfs2-scratch:1",
      "planned: stop gfs2-project:0",
    ]);
    expect(unknown(page, "resources")).toEqual([
      "dlm:1, gfs2-scratch:1, gfs2-project:0: no line shows them stopped: none says that the fence succeeded",
      "fence-rabbit-node-1: no line shows that it started on compute-node-3",
    ]);
  });

  it("says where the log of the node that fences ends without an answer, and since when GFS2 waits", async () => {
    const logs = cut();
    const page = await why(...logs);
    const ends =
      /^off by fence-compute-node-2: no answer yet in rabbit-node-1\.pacemaker\.log \(it ends .* \d\d:41:01\)$/;
    expect(unknown(page, "attempts")[0]).toMatch(ends);
    expect(unknown(page, "result")[0]).toMatch(/^no result yet: /);
    const { stdout } = await analyze(["why", "compute-node-2", ...logs], { columns: 110, env: { LOG_DIR: "/none" } });
    expect(stdout).toMatch(/GFS2 blocked: gfs2-project since \d\d:40:43, no recovery seen, gfs2-scratch since/);
    expect(stdout).not.toContain("no pacemaker.log of rabbit-node-1");
  });
});

describe("a fence that only the history and DLM know", () => {
  const known = (state: string, dump = log(`${state}/dlm_tool-dump-tail200.txt`)) => [
    ...["--dlm-log", dump, "--dmesg", log(`${state}/dmesg-gfs2-dlm.txt`)],
    ...["--history", log(`${state}/stonith_admin-history.xml`), "--corosync-conf", log("corosync.conf")],
  ];
  const shown = (page: Page, topic: string) =>
    told(page, topic).map((text) => text.replace(/dlm_tool-dump-tail200/, ""));

  it.each([
    ["b-failed-before-fencing", "10:40:43", ["stopped .txt:143", "waits for fencing .txt:163"], "1964"],
    ["b2-second-failure-recorder-first", "10:49:16", ["seen waiting for fencing .txt:21"], "4829"],
    ["d-scripted-run-quiet-host/window", "11:10:01", ["stopped .txt:145", "waits for fencing .txt:165"], "1187"],
  ])("names since when GFS2 waits, and that dlm_controld asked (%s)", async (state, at, project, pid) => {
    const page = await why(...known(state));
    // The history has the off that runs of it; dlm_controld asks for a reboot.
    expect(page).toMatchObject({ action: "reboot", result: "running", started: expect.stringContaining(at) });
    expect(page.lockspaces).toMatchObject([
      { name: "gfs2-project", blocked_from: { time: expect.stringContaining(at) }, blocked_until: null },
      { name: "gfs2-scratch", blocked_from: { time: expect.stringContaining(at) }, blocked_until: null },
    ]);
    expect(shown(page, "gfs2").filter((text) => text.includes("project"))).toEqual(
      project.map((text) => `${at} gfs2-project: ${text}`),
    );
    expect(told(page, "decided")[0]).toContain(`${at} dlm_controld asked for the fence (process ${pid})`);
    const asked = page.findings.find(({ text }) => text.startsWith(`stonith-api.${pid} on`));
    expect(asked).toMatchObject({ time: null, text: expect.stringContaining("that is dlm_controld's") });
  });

  it.each(["c1-fenced-not-rejoined", "c2-rejoined"])("names how long GFS2 waited at least (%s)", async (state) => {
    const page = await why(...known(state));
    const until = { time: expect.stringContaining("10:44:1"), what: "recovered" };
    expect(page.lockspaces).toMatchObject([
      { name: "gfs2-project", blocked_from: { what: "waiting" }, blocked_until: until, exact: false },
      { name: "gfs2-scratch", blocked_from: { what: "waiting" }, blocked_until: until, exact: false },
    ]);
  });

  it("needs no corosync.conf where dlm_controld's process stands in the history", async () => {
    const words = known("b-failed-before-fencing").filter((word) => !/corosync/.test(word));
    expect((await why(...words)).lockspaces).toMatchObject([{ name: "gfs2-project" }, { name: "gfs2-scratch" }]);
  });

  it("is none that DLM heard the end of before, where it runs and nothing tells since when", async () => {
    const history = readFileSync(log("b-failed-before-fencing/stonith_admin-history.xml"), "utf8");
    const words = known("c2-rejoined").filter((_, index) => index !== 4 && index !== 5);
    const page = await why(
      ...words,
      "--history",
      fileWith(history.replace("stonith-api.1964", "stonith-api.7"), "h.xml"),
    );
    expect(page).toMatchObject({ result: "running", lockspaces: [] });
    expect(told(page, "result")).toHaveLength(1);
  });

  it("may be half of a reboot where nothing but the history's off tells", async () => {
    const page = await why("--history", log("b-failed-before-fencing/stonith_admin-history.xml"));
    expect(page).toMatchObject({ action: "off", result: "running" });
    expect(unknown(page, "result")[0]).toContain("whether it is an off or half of a reboot is not known");
  });

  it("says that lockspaces were stopped for the node where nothing ties the dump to a day", async () => {
    const head = lines("b-failed-before-fencing/dlm_tool-dump-tail200.txt").slice(0, 156);
    const page = await why(...known("b-failed-before-fencing", fileWith(`${head.join("\n")}\n`)));
    expect(
      page.findings.filter(({ topic }) => topic === "gfs2").map(({ time, text, line }) => [time, text, line]),
    ).toEqual([
      [null, "gfs2-scratch: stopped for this node, not known for which fence", 133],
      [null, "gfs2-project: stopped for this node, not known for which fence", 143],
    ]);
    expect(unknown(page, "gfs2").join()).toContain("no line of it ties its clock to a day");
  });

  it("says of a DLM log that begins after the fence that it does not reach over it", async () => {
    const after = lines("c2-rejoined/dlm_tool-dump-tail200.txt").slice(89);
    const page = await why(...known("c2-rejoined", fileWith(`${after.join("\n")}\n`)));
    expect(unknown(page, "gfs2").at(-1)).toContain("none of them reaches over the time of this fence");
  });
});

describe("a history that was written while the fence was running", () => {
  it("is about the operation of the same client that the log shows the end of", async () => {
    const history = ["--history", log("b-failed-before-fencing/stonith_admin-history.xml")];
    const page = await why(...ALL_OF("logs-run1"), ...history);
    expect(page).toMatchObject({ incident: "41aca80c", action: "reboot", result: "succeeded", others: [] });
    expect(page.findings.filter(({ topic }) => topic === "result").map(({ text }) => text)).toEqual([
      expect.stringMatching(/^reboot succeeded in 3 min 23 s by rabbit-node-1 for stonith-api\.1964@rabbit-node-1/),
      "history: off pending for stonith-api.1964@rabbit-node-1",
      "dlm_controld: its request (process 1964) succeeded: result 0",
      "DLM heard from node 1 that fencing succeeded: result 0",
    ]);
  });

  it("is about the fence that an alert reported for the same client", async () => {
    const directory = directoryWith({
      "fence-events-detailed.jsonl": [record({ time: "2026-11-20T10:43:18Z" })],
      "fence-outcomes.jsonl": [
        outcome({ time: "2026-11-20T10:44:08Z", operation: { client: "stonith-api.1964", origin: "rabbit-node-1" } }),
      ],
    });
    const page = await why(directory, "--history", log("b-failed-before-fencing/stonith_admin-history.xml"));
    expect(page).toMatchObject({ action: "reboot", result: "succeeded", others: [] });
  });

  it("stays about one that runs when the log shows no end of it", async () => {
    const other = readFileSync(log("b-failed-before-fencing/stonith_admin-history.xml"), "utf8").replace(
      "1964",
      "4711",
    );
    const file = fileWith(other, "history.xml");
    const page = await why(...ALL_OF("logs-run1"), "--history", file);
    expect(page).toMatchObject({ incident: "stonith-api.4711@rabbit-node-1/compute-node-2", result: "running" });
  });
});

describe("gaps", () => {
  it("are named for each source that is missing", async () => {
    const page = await why("--history", log("c1-fenced-not-rejoined/stonith_admin-history.xml"));
    expect(page.result).toBe("succeeded");
    expect(page.not_known).toEqual([
      { topic: "last-sign", text: "last sign of life not known: no log of the node itself and no corosync.log" },
      { topic: "noticed", text: "token loss not known: no corosync.log" },
      { topic: "noticed", text: "membership change not known: no pacemaker.log" },
      { topic: "decided", text: "reason not known: no pacemaker.log" },
      { topic: "attempts", text: "devices and times not known: no pacemaker.log" },
      { topic: "attempts", text: "the level's number is not known: Pacemaker does not log it" },
      { topic: "recorded", text: "not known: our own log was not read" },
      { topic: "gfs2", text: "how long GFS2 was blocked is not known: no DLM log (--dlm-log)" },
      { topic: "return", text: "whether it came back is not known: no pacemaker.log or corosync.log" },
    ]);
    expect(page.not_read).toEqual([{ source: "our own log", reason: expect.stringContaining("/nonexistent") }]);
  });

  it("are a lower bound where dlm_controld.log alone tells of a wait, which it does a minute late", async () => {
    const page = await why(
      "--pacemaker-log",
      log("logs-run1/rabbit-node-1.pacemaker.log"),
      "--dlm-log",
      log("logs-run1/rabbit-node-1.dlm_controld.log"),
    );
    expect(page.lockspaces).toMatchObject([
      {
        name: "gfs2-project",
        exact: false,
        blocked_ms: 148_000,
        blocked_from: { what: "waiting" },
        blocked_until: { what: "fenced" },
      },
      { name: "gfs2-scratch", exact: false, blocked_ms: 148_000 },
    ]);
    expect(unknown(page, "decided")).toEqual([]); // DLM asked: no scheduler's reason is missing
    expect(told(page, "gfs2")[1]).toContain("gfs2-project: fencing heard of: blocked at least 2 min 28 s");
    expect(unknown(page, "gfs2")).toEqual([
      "gfs2-project: journal replay not known: no kernel lines (--dmesg)",
      "gfs2-scratch: journal replay not known: no kernel lines (--dmesg)",
    ]);
  });

  it("include kernel lines that nothing dates", async () => {
    const page = await why(
      "--pacemaker-log",
      log("logs-run1/rabbit-node-1.pacemaker.log"),
      "--dmesg",
      log("logs-run1/rabbit-node-1.dmesg-gfs2-dlm.txt"),
    );
    expect(page.clocks.at(-1)).toMatchObject({ basis: "unknown" });
    expect(unknown(page, "gfs2")[0]).toContain("its clock is tied to no day");
  });

  it("leave a fence that only our record knows without a result", async () => {
    const directory = directoryWith({ "fence-events-detailed.jsonl": [record({ time: "2026-11-20T10:43:18Z" })] });
    const page = await why(
      directory,
      "--corosync-log",
      log("logs-run1/rabbit-node-1.corosync.log"),
      "--corosync-conf",
      log("corosync.conf"),
      "--dlm-log",
      log("logs-run1/rabbit-node-1.dlm_controld.log"), // tells the zone
    );
    expect(page).toMatchObject({ result: "unknown", completed: null });
    expect(unknown(page, "result")).toEqual([
      "result not known: neither pacemaker.log nor the fencing history nor an outcome has it",
    ]);
    // The node's id came from corosync.conf.
    expect(told(page, "noticed")).toContain(
      "10:40:43 new membership 1.11 without node 2 (rabbit-node-1) rabbit-node-1.corosync.log:73",
    );
  });
});

it("says of a fence whose end alone is known no beginning and no duration", async () => {
  const history = ["--history", log("b2-second-failure-recorder-first/after.stonith_admin-history.xml")];
  expect(await why(...history)).toMatchObject({
    started: null,
    completed: "2026-11-20T10:50:46.000Z",
    duration_ms: null,
    duration_is_minimum: null,
  });
  const { stdout } = await analyze(["why", "compute-node-2", ...history, "/dev/null"]);
  expect(stdout).toMatch(/^compute-node-2: reboot succeeded, ended \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n/);
});
