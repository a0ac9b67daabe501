/** `why` on the captured cluster: what an admin asks after a fence, each answer with the file and line it rests on. */
import { describe, expect, it } from "vitest";
import { analyze, directoryWith, fileWith, outcome, record } from "./run-analyze.ts";
import { ALL_OF, FIRST, lines, log, type Page, SECOND, told, unknown, why } from "./run-why.ts";

describe("the first failure (frozen node, power then recorder)", () => {
  it("names the last sign of life, the token loss and the membership change", async () => {
    const page = await why(...FIRST);
    expect(told(page, "last-sign")).toEqual([
      "10:39:29 last line of its own pacemaker.log compute-node-2.pacemaker.log:1247",
      "10:40:23 its link went down, as rabbit-node-1 saw it rabbit-node-1.corosync.log:66",
    ]);
    expect(told(page, "noticed")).toEqual([
      "10:40:27 token late: not received for 7987 ms (rabbit-node-1) rabbit-node-1.corosync.log:69",
      "10:40:30 token lost: timed out after 10650 ms, then 12780 ms for consensus (rabbit-node-1) rabbit-node-1.corosync.log:70",
      "10:40:43 new membership 1.11 without node 2 (rabbit-node-1) rabbit-node-1.corosync.log:73",
      "10:40:43 it did not say goodbye: it failed, it was not stopped rabbit-node-1.corosync.log:74",
      "10:40:43 Pacemaker on rabbit-node-1 lost it rabbit-node-1.pacemaker.log:1278",
      "10:40:43 DLM lost it: nodedown rabbit-node-1.dlm_tool-dump.txt:126",
      "10:40:43 quorum retained, 2 nodes left (rabbit-node-1) rabbit-node-1.pacemaker.log:1288",
    ]);
  });

  it("names who decided and why, the scheduler's and DLM's request, merged into one", async () => {
    expect(told(await why(...FIRST), "decided")).toEqual([
      "10:40:43 dlm_controld asked for the fence (process 1964) rabbit-node-1.dlm_tool-dump.txt:158",
      "10:40:45 stonith-api.1964 asked rabbit-node-1 for reboot: that is dlm_controld's rabbit-node-1.pacemaker.log:1339",
      "10:40:45 scheduler: will be fenced: peer is no longer part of the cluster compute-node-3.pacemaker.log:1489",
      "10:40:45 scheduler on compute-node-3: reboot planned compute-node-3.pacemaker.log:1512",
      "10:40:45 transition 3: /var/lib/pacemaker/pengine/pe-warn-0.bz2 compute-node-3.pacemaker.log:1526",
      "10:40:45 pacemaker-controld.382 asked compute-node-3 for reboot: the cluster itself compute-node-3.pacemaker.log:1530",
      "10:40:45 pacemaker-controld.382's request merged into stonith-api.1964@rabbit-node-1's compute-node-3.pacemaker.log:1531",
    ]);
  });

  it("names each device's attempt with its time, and the operation's result", async () => {
    const page = await why(...FIRST);
    expect(told(page, "attempts")).toEqual([
      "10:40:45 level with several devices: reboot done as off, then on rabbit-node-1.pacemaker.log:1340",
      "10:40:45 off by fence-compute-node-2 on rabbit-node-1 (limit 360 s) rabbit-node-1.pacemaker.log:1347",
      "10:43:18 done (exit 0) after 2 min 33 s rabbit-node-1.pacemaker.log:1355",
      "10:43:18 off by compute-node-2-recorder on rabbit-node-1 (limit 360 s) rabbit-node-1.pacemaker.log:1357",
      "10:44:02 done (exit 0) after 44 s rabbit-node-1.pacemaker.log:1362",
      "10:44:02 on by fence-compute-node-2 on rabbit-node-1 (limit 144 s) rabbit-node-1.pacemaker.log:1365",
      "10:44:05 done (exit 0) after 3.4 s rabbit-node-1.pacemaker.log:1366",
      "10:44:05 on by compute-node-2-recorder on rabbit-node-1 (limit 144 s) rabbit-node-1.pacemaker.log:1368",
      "10:44:08 done (exit 0) after 2.4 s rabbit-node-1.pacemaker.log:1371",
    ]);
    expect(told(page, "result")).toEqual([
      "10:44:08 reboot succeeded in 3 min 23 s by rabbit-node-1 for stonith-api.1964@rabbit-node-1: OK (complete) rabbit-node-1.pacemaker.log:1374",
      "10:44:08 history: reboot success by rabbit-node-1 for stonith-api.1964@rabbit-node-1 stonith_admin-history.xml:4",
      "10:44:08 history: reboot success by rabbit-node-1 for pacemaker-controld.382@compute-node-3 stonith_admin-history.xml:3",
      "10:44:09 dlm_controld: its request (process 1964) succeeded: result 0 rabbit-node-1.dlm_tool-dump.txt:343",
      "10:44:09 DLM heard from node 1 that fencing succeeded: result 0 rabbit-node-1.dlm_tool-dump.txt:345",
    ]);
    expect(page).toMatchObject({
      incident: "41aca80c",
      action: "reboot",
      result: "succeeded",
      duration_ms: 202_948,
      others: [],
    });
  });

  it("names DLM's verdict on the fence where it is a failure", async () => {
    const dump = lines("logs-run1/rabbit-node-1.dlm_tool-dump.txt").join("\n");
    const failed = dump
      .replace("pid 1964 result 0", "pid 1964 result 1")
      .replace("2 receive 0 from", "2 receive 1 from");
    const page = await why(
      ...["--pacemaker-log", log("logs-run1/rabbit-node-1.pacemaker.log"), "--dlm-log", fileWith(failed, "dump.txt")],
      ...["--corosync-conf", log("corosync.conf")],
    );
    expect(told(page, "result").slice(-2)).toEqual([
      "10:44:09 dlm_controld: its request (process 1964) failed: result 1 dump.txt:343",
      "10:44:09 DLM heard from rabbit-node-1 that fencing failed: result 1 dump.txt:345",
    ]);
  });

  it("names both lockspaces and how long GFS2 was blocked, from where DLM stopped it to the end of the replay", async () => {
    const page = await why(...FIRST);
    expect(told(page, "gfs2")).toEqual([
      "10:40:43 gfs2-project: stopped rabbit-node-1.dlm_tool-dump.txt:143",
      "10:40:43 gfs2-project: waits for fencing rabbit-node-1.dlm_tool-dump.txt:163",
      "10:44:11 gfs2-project: recovered: blocked 3 min 28 s rabbit-node-1.dmesg-gfs2-dlm.txt:90",
      "10:40:43 gfs2-scratch: stopped rabbit-node-1.dlm_tool-dump.txt:133",
      "10:40:43 gfs2-scratch: waits for fencing rabbit-node-1.dlm_tool-dump.txt:165",
      "10:44:12 gfs2-scratch: recovered: blocked 3 min 30 s rabbit-node-1.dmesg-gfs2-dlm.txt:96",
    ]);
    expect(page.lockspaces.map(({ name, blocked_ms, exact }) => [name, blocked_ms, exact])).toEqual([
      ["gfs2-project", 208_450, true],
      ["gfs2-scratch", 209_577, true],
    ]);
  });

  it("names what ran there and the rejoin", async () => {
    const page = await why(...FIRST);
    expect(told(page, "resources")).toEqual([
      "10:40:45 planned: move fence-rabbit-node-1 to compute-node-3 compute-node-3.pacemaker.log:1513",
      "10:40:45 planned: stop dlm:1 compute-node-3.pacemaker.log:1518",
      "10:40:45 planned: stop gfs2-scratch:1 compute-node-3.pacemaker.log:1521",
      "10:40:45 planned: stop gfs2-project:0 compute-node-3.pacemaker.log:1523",
      "10:44:08 Pacemaker takes it for fenced, so for stopped: dlm:1, gfs2-scratch:1, gfs2-project:0 rabbit-node-1.pacemaker.log:1374",
      "10:44:15 fence-rabbit-node-1 started on compute-node-3 compute-node-3.pacemaker.log:1626",
    ]);
    expect(told(page, "return")).toEqual([
      "10:46:13 Pacemaker 2.1.5 started on it compute-node-2.pacemaker.log:1252",
      "10:46:21 joined again: membership 1.16 (rabbit-node-1) rabbit-node-1.corosync.log:83",
      "10:46:22 Pacemaker on rabbit-node-1 has it back as member rabbit-node-1.pacemaker.log:1426",
      "10:46:49 dlm started on it again compute-node-2.pacemaker.log:1816",
      "10:46:58 joined lockspace gfs2-scratch again rabbit-node-1.dlm_tool-dump.txt:404",
      "10:47:01 gfs2-scratch started on it again compute-node-2.pacemaker.log:1875",
      "10:47:12 joined lockspace gfs2-project again rabbit-node-1.dlm_tool-dump.txt:433",
      "10:47:16 gfs2-project started on it again compute-node-2.pacemaker.log:1908",
    ]);
  });

  it("ties the clock of a node's kernel by its dlm_controld.log's stamps, and has its mounts of it", async () => {
    const own = (name: string) => log(`logs-run1/compute-node-2.${name}`);
    const page = await why(...FIRST, "--dlm-log", own("dlm_controld.log"), "--dmesg", own("dmesg-gfs2-dlm.txt"));
    expect(told(page, "return").filter((text) => text.includes("compute-node-2.dmesg"))).toEqual([
      "10:47:00 GFS2 gfs2-scratch joined the cluster and mounts compute-node-2.dmesg-gfs2-dlm.txt:24",
      "10:47:14 GFS2 gfs2-project joined the cluster and mounts compute-node-2.dmesg-gfs2-dlm.txt:43",
    ]);
    expect(unknown(page, "gfs2")).toEqual([]);
    const basis = page.clocks.filter(({ file }) => file.includes("compute-node-2.d")).map((clock) => clock.basis);
    expect(basis).toEqual(["borrowed", "borrowed"]);
  });

  it("says of each file what its times rest on", async () => {
    const { clocks } = await why(...FIRST);
    const basis = Object.fromEntries(clocks.map(({ file, basis }) => [file.slice(file.lastIndexOf("/") + 1), basis]));
    expect(basis).toEqual({
      "compute-node-2.pacemaker.log": "borrowed",
      "compute-node-3.pacemaker.log": "anchored",
      "rabbit-node-1.pacemaker.log": "borrowed",
      "rabbit-node-1.corosync.log": "borrowed",
      "rabbit-node-1.dlm_tool-dump.txt": "anchored",
      "rabbit-node-1.dmesg-gfs2-dlm.txt": "anchored",
    });
  });

  it("joins our own record to it, and says when nobody recorded it", async () => {
    const events = [
      record({ time: "2026-11-20T10:43:18.500Z", event_id: "01900000-0000-7000-8000-00000000aaaa" }),
      record({ time: "2026-11-20T10:44:05.700Z", action: "on" }),
    ];
    const directory = directoryWith({ "fence-events-detailed.jsonl": events });
    const page = await why(directory, ...FIRST);
    expect(page.incident).toBe("01900000-0000-7000-8000-00000000aaaa");
    expect(told(page, "recorded")).toEqual([
      "10:43:18 off initiated by rabbit-node-1: gfs2-project, gfs2-scratch fence-events-detailed.jsonl:1",
      "10:44:05 on initiated by rabbit-node-1: gfs2-project, gfs2-scratch fence-events-detailed.jsonl:2",
    ]);
    expect(page.gfs2_filesystems).toEqual(["gfs2-project", "gfs2-scratch"]);
    expect(told(page, "result")).toHaveLength(5);
    const other = directoryWith({
      "fence-events-detailed.jsonl": [record({ time: "2026-11-20T10:43:18Z", target: "compute-node-3" })],
    });
    expect(unknown(await why(other, ...FIRST), "recorded")).toEqual(["no recorder wrote down this fence"]);
    expect(unknown(await why(...FIRST), "recorded")).toEqual(["not known: our own log was not read"]);
  });

  it("fits 80 columns, with a file and line for every statement", async () => {
    const { stdout, lines } = await analyze(["why", "compute-node-2", ...FIRST], { env: { LOG_DIR: "/nonexistent" } });
    const [page = ""] = stdout.split("\nSources\n");
    for (const line of page.split("\n")) expect([...line].length, line).toBeLessThanOrEqual(80);
    expect(lines[6]).toMatch(/^times: \S/);
    expect(lines.slice(0, 5)).toEqual([
      expect.stringMatching(/^compute-node-2: reboot succeeded after 3 min 23 s, \d{4}-/),
      "fenced by: fence-compute-node-2, compute-node-2-recorder",
      "reason: peer is no longer part of the cluster",
      "GFS2 blocked: gfs2-project 3 min 28 s, gfs2-scratch 3 min 30 s",
      expect.stringMatching(/^back in the cluster: 2026-11-\d\d \d\d:\d\d:21$/),
    ]);
  });
});

describe("the second failure (panic, recorder then power, the on half skipped)", () => {
  it("names the membership change, the operation and its result, both lockspaces and the rejoin", async () => {
    const page = await why(...SECOND);
    expect(page).toMatchObject({ incident: "57cfb668", action: "reboot", result: "succeeded" });
    expect(told(page, "noticed")).toEqual([
      "10:49:16 Pacemaker on rabbit-node-1 lost it rabbit-node-1.pacemaker.log:1832",
      "10:49:16 DLM lost it: nodedown rabbit-node-1.dlm_tool-dump.txt:459",
      "10:49:16 quorum retained, 2 nodes left (rabbit-node-1) rabbit-node-1.pacemaker.log:1854",
    ]);
    expect(unknown(page, "noticed")).toEqual(["token loss not known: no corosync.log"]);
    expect(told(page, "attempts")).toEqual([
      "10:49:20 level with several devices: reboot done as off, then on compute-node-3.pacemaker.log:2330",
      "10:49:21 off by compute-node-2-recorder on rabbit-node-1 (limit 360 s) compute-node-3.pacemaker.log:2336",
      "10:50:12 done (exit 0) after 52 s rabbit-node-1.pacemaker.log:1895",
      "10:50:13 off by fence-compute-node-2 on rabbit-node-1 (limit 360 s) compute-node-3.pacemaker.log:2342",
      "10:50:45 done (exit 0) after 33 s rabbit-node-1.pacemaker.log:1897",
      "10:50:45 on by compute-node-2-recorder skipped; Pacemaker's words: the agent doesn't support 'on' compute-node-3.pacemaker.log:2346",
      "10:50:45 on by fence-compute-node-2 skipped; Pacemaker's words: the agent doesn't support 'on' compute-node-3.pacemaker.log:2347",
    ]);
    expect(told(page, "result").slice(0, 2)).toEqual([
      "10:50:46 reboot succeeded in 1 min 26 s by compute-node-3 for pacemaker-controld.382@compute-node-3: OK (complete) compute-node-3.pacemaker.log:2349",
      "10:50:46 Pacemaker names compute-node-3; the agents ran on rabbit-node-1 compute-node-3.pacemaker.log:2349",
    ]);
    expect(told(page, "gfs2")).toEqual([
      "10:49:16 gfs2-project: stopped rabbit-node-1.dlm_tool-dump.txt:476",
      "10:49:16 gfs2-project: waits for fencing rabbit-node-1.dlm_tool-dump.txt:496",
      "10:50:50 gfs2-project: recovered: blocked 1 min 35 s rabbit-node-1.dmesg-gfs2-dlm.txt:158",
      "10:49:16 gfs2-scratch: stopped rabbit-node-1.dlm_tool-dump.txt:466",
      "10:49:16 gfs2-scratch: waits for fencing rabbit-node-1.dlm_tool-dump.txt:498",
      "10:50:51 gfs2-scratch: recovered: blocked 1 min 36 s rabbit-node-1.dmesg-gfs2-dlm.txt:163",
    ]);
    expect(told(page, "return")).toEqual([
      "10:56:26 Pacemaker 2.1.5 started on it (2 more fences and 4 other operations in between) compute-node-2.pacemaker.log:1947",
      "10:56:33 Pacemaker on rabbit-node-1 has it back as member (2 more fences and 4 other operations in between) rabbit-node-1.pacemaker.log:3361",
      "11:01:44 dlm started on it again (2 more fences and 4 other operations in between) compute-node-2.pacemaker.log:5615",
      "11:01:49 joined lockspace gfs2-scratch again (2 more fences and 4 other operations in between) rabbit-node-1.dlm_tool-dump.txt:733",
      "11:01:50 gfs2-scratch started on it again (2 more fences and 4 other operations in between) compute-node-2.pacemaker.log:5666",
      "11:01:55 joined lockspace gfs2-project again (2 more fences and 4 other operations in between) rabbit-node-1.dlm_tool-dump.txt:762",
      "11:01:55 gfs2-project started on it again (2 more fences and 4 other operations in between) compute-node-2.pacemaker.log:5702",
    ]);
  });

  it("is found by its id, and the failed fence after it names the agent's last words", async () => {
    expect((await why(...ALL_OF("logs-final"), "--incident", "57cfb668")).completed.slice(0, 19)).toBe(
      "2026-11-20T10:50:46",
    );
    const failed = await why(...ALL_OF("logs-final"), "--incident", "dd56535a");
    expect(failed).toMatchObject({ action: "off", result: "failed" });
    expect(told(failed, "decided")).toEqual([
      expect.stringContaining(
        "stonith_admin.6483 asked rabbit-node-1 for off: a person or a script: stonith_admin or pcs",
      ),
    ]);
    expect(
      told(failed, "attempts").map((text) => text.replace(/ rabbit-node-1\.pacemaker\.log:\d+$/, "").slice(9)),
    ).toEqual([
      "off by fence-compute-node-2 on rabbit-node-1 (limit 360 s)",
      expect.stringMatching(/^failed \(exit 1\) after \d/),
      expect.stringContaining("fence_gfs2lab said: "),
      "every device and level had failed",
    ]);
  });
});

describe("a node whose Pacemaker was restarted shortly before it was lost", () => {
  it("was lost when it went for good, by what the others say, and wrote on alone until its power went", async () => {
    const page = await why(...ALL_OF("logs-final"), "--at", "2026-11-20T11:02:51Z");
    expect(page).toMatchObject({ incident: "bf9ab535", result: "succeeded" });
    expect(told(page, "last-sign")).toEqual([
      "11:03:31 last line of its own pacemaker.log: it ran on after it was lost compute-node-2.pacemaker.log:5960",
    ]);
    expect(told(page, "noticed")).toEqual([
      "11:02:49 Pacemaker on rabbit-node-1 lost it rabbit-node-1.pacemaker.log:3699",
      "11:02:49 DLM lost it: nodedown rabbit-node-1.dlm_tool-dump.txt:788",
      "11:02:49 quorum retained, 2 nodes left (rabbit-node-1) rabbit-node-1.pacemaker.log:3698",
    ]);
  });

  const LINES = {
    "rabbit-node-1.log": [
      "11:01:27 pacemaker-fenced[391] Node compute-node-2 state is now lost | nodeid=2 previous=member",
      "11:01:29 pacemaker-fenced[391] Node compute-node-2 state is now member | nodeid=2 previous=unknown",
      "11:09:00 pacemaker-fenced[391] Client stonith_admin.7 wants to fence (off) compute-node-2 using any device",
      "11:09:00 pacemaker-fenced[391] Requesting peer fencing (off) targeting compute-node-2 | id=aaaa1111 state=querying",
      "11:09:09 pacemaker-fenced[391] Operation 'off' targeting compute-node-2 by rabbit-node-1 for stonith_admin.7@rabbit-node-1: Error | id=aaaa1111",
    ],
    "compute-node-2.log": [
      "11:01:26 pacemakerd[11] Shutdown complete",
      "11:01:28 pacemakerd[12] Starting Pacemaker 2.1.5 | build=x",
      "11:20:00 pacemaker-fenced[13] still here",
    ],
  };

  it("was back as member when somebody asked for the fence, and its own log does not end with it", async () => {
    const files = Object.entries(LINES).map(([name, lines]) => {
      const text = lines.map((words) =>
        words.replace(/^(\S+) (\S+) /, `Nov 20 $1.000 ${name.slice(0, -4)} $2 (x) \tnotice: `),
      );
      return [name, `${text.join("\n")}\n`];
    });
    const directory = directoryWith(Object.fromEntries(files));
    const page = await why("--pacemaker-log", `${directory}/*.log`);
    const words = (topic: string) =>
      page.findings.filter((finding) => finding.topic === topic).map(({ text, line }) => [text, line]);
    expect(words("noticed")).toEqual([
      ["Pacemaker on rabbit-node-1 lost it", 1],
      ["rabbit-node-1 had it back as member before the fence was asked for", 2],
    ]);
    expect(words("last-sign")).toEqual([]);
    expect(unknown(page, "last-sign")).toEqual([
      "what it wrote last is not known: its own pacemaker.log runs on past this fence",
    ]);
  });
});

describe("a fence that Pacemaker calls a success", () => {
  const page = async (at: string) => {
    const words = [...ALL_OF("logs-final"), "--at", `2026-11-20T${at}Z`];
    const { stdout } = await analyze(["why", "compute-node-2", ...words], { columns: 110, env: { LOG_DIR: "/none" } });
    return { ...(await why(...words)), stdout };
  };

  it.each(["10:49:20", "11:04:53"])("left the node off where the on of a reboot was skipped (%s)", async (at) => {
    const { left_off, result, stdout } = await page(at);
    expect({ left_off, result }).toEqual({ left_off: true, result: "succeeded" });
    expect(stdout).toMatch(/^compute-node-2: switched off and not on again by this operation/);
  });

  it("had it on again where an on was done", async () => {
    expect(await page("11:02:51")).toMatchObject({ left_off: false });
  });

  it.each([
    ["10:52:37", "reboot"],
    ["10:52:53", "off"],
  ])("was done by a recorder alone, which is named (%s)", async (at, action) => {
    const { stdout, ...recorded } = await page(at);
    expect(recorded).toMatchObject({ action, left_off: null, fenced_by: ["compute-node-2-recorder"] });
    expect(told(recorded, "attempts")[0]).toContain(`${action} by compute-node-2-recorder on rabbit-node-1`);
    expect(stdout).toContain("compute-node-2-recorder alone, by its name a recorder: no line shows that the power was");
  });
});

it.each([
  ["power-first-fails", "failed (exit 1) after 10 s, 2 attempts power-first-fails.pacemaker.log:146"],
  ["recorder-first-exit1", "failed (exit 1) after 2.2 s, 2 attempts recorder-first-exit1.pacemaker.log:56"],
])("names how often a failing agent was tried (%s)", async (name, expected) => {
  const page = await why("--pacemaker-log", log(`agent-calls/failures/${name}.pacemaker.log`));
  expect(told(page, "attempts").map((text) => text.slice(9))).toContain(expected);
});

it("takes the outcome that an alert reported as the result", async () => {
  const directory = directoryWith({
    "fence-events-detailed.jsonl": [record({ time: "2026-11-20T10:43:18Z" })],
    "fence-outcomes.jsonl": [outcome({ time: "2026-11-20T10:44:08Z" })],
  });
  const page = await why(directory, "--corosync-conf", log("corosync.conf"));
  expect(page).toMatchObject({ action: "reboot", result: "succeeded", duration_ms: 50_000 });
  expect(told(page, "result")).toEqual([
    "10:44:08 outcome by alert: reboot succeeded (rabbit-node-1) fence-outcomes.jsonl:1",
  ]);
});

it("reads the usual places of this node and asks its tools when no source is named, each trouble said", async () => {
  const directory = directoryWith({ "fence-events-detailed.jsonl": [record({ time: "2026-11-20T10:43:18Z" })] });
  const { exitCode, stdout } = await analyze(["why", "compute-node-2", directory, "--json"], {
    commands: {
      "dlm_tool dump": { outcome: "not-started", spawnError: "ENOENT" },
      dmesg: { exitCode: 1, stderr: "dmesg: read kernel buffer failed: Operation not permitted" },
      "stonith_admin --history * --verbose --output-as=xml": { outcome: "timed-out" },
    },
  });
  expect(exitCode).toBe(0);
  const { not_read } = JSON.parse(stdout) as Page;
  const reasons = Object.fromEntries(not_read.map(({ source, reason }) => [source, reason]));
  expect(reasons["dlm_tool dump"]).toContain("ENOENT");
  expect(reasons.dmesg).toContain("Operation not permitted");
  expect(reasons["stonith_admin --history"]).toContain("timed out");
});

it.each([
  [["why", "compute-node-9", "--history", log("c2-rejoined/stonith_admin-history.xml")], 65, "no source at hand knows"],
  [
    ["why", "compute-node-2", "--history", log("c2-rejoined/stonith_admin-history.xml"), "--incident", "deadbeef"],
    65,
    "no incident deadbeef",
  ],
  [["why", "compute-node-2", "--pacemaker-log", "/nonexistent/pacemaker.log"], 65, "no such file"],
  [
    [
      "why",
      "compute-node-2",
      "--pacemaker-log",
      log("logs-run1/*.nosuch"),
      "--history",
      log("c2-rejoined/stonith_admin-history.xml"),
    ],
    65,
    "*.nosuch: matches no file",
  ],
  [["why", "compute-node-2", "--at", "half past"], 64, "--at: not a time"],
  [["why"], 64, "Not enough"],
])("refuses %j", async (words, exitCode, message) => {
  expect(await analyze(words, { env: { LOG_DIR: "/nonexistent" } })).toMatchObject({
    exitCode,
    stderr: expect.stringContaining(message),
  });
});

it("shows control characters of somebody's node name as text", async () => {
  const target = "a\u001b[31m\nb";
  const directory = directoryWith({
    "fence-events-detailed.jsonl": [record({ time: "2026-11-20T10:43:18Z", target })],
  });
  const { stdout } = await analyze(["why", target, directory, "--history", log("a-healthy/stonith_admin-history.xml")]);
  expect(stdout).toContain("a\\u001b[31m\\nb: off (result not known)");
  expect(stdout).not.toContain("\u001b");
});
