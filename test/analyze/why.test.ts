/** `why` on the captured cluster: what an admin asks after a fence, each answer with the file and line it rests on. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { analyze, CAPTURED, directoryWith, fileWith, outcome, record } from "./run-analyze.ts";

type Finding = { topic: string; time: string; text: string; file: string; line: number };
type Page = {
  target_node: string;
  incident: string;
  action: string;
  result: string;
  started: string;
  completed: string;
  duration_ms: number;
  lockspaces: { name: string; blocked_ms: number; exact: boolean; blocked_from: Place; blocked_until: Place }[];
  findings: Finding[];
  not_known: { topic: string; text: string }[];
  not_read: { source: string; reason: string }[];
  clocks: { file: string; basis: string }[];
  others: unknown[];
};
type Place = { time: string; what: string; file: string; line: number };

const log = (name: string) => `${CAPTURED}/${name}`;
const ALL_OF = (run: string) => [
  ...["--pacemaker-log", log(`${run}/*.pacemaker.log`)],
  ...[
    "--dlm-log",
    log(`${run}/rabbit-node-1.dlm_tool-dump.txt`),
    "--dmesg",
    log(`${run}/rabbit-node-1.dmesg-gfs2-dlm.txt`),
  ],
];
const FIRST = [
  ...ALL_OF("logs-run1"),
  "--corosync-log",
  log("logs-run1/rabbit-node-1.corosync.log"),
  "--history",
  log("c2-rejoined/stonith_admin-history.xml"),
];
const SECOND = [
  ...ALL_OF("logs-final"),
  "--history",
  log("b2-second-failure-recorder-first/after.stonith_admin-history.xml"),
  "--at",
  "2026-11-20T10:50:00Z",
];

const why = async (...words: string[]): Promise<Page> => {
  const { stdout, exitCode } = await analyze(["why", "compute-node-2", ...words, "--json"], {
    env: { LOG_DIR: "/nonexistent" },
  });
  expect(exitCode).toBe(0);
  return JSON.parse(stdout) as Page;
};
const clock = (time: string) => time.slice(11, 19);
/** `10:40:30 text file:line` */
const told = ({ findings }: Page, topic: string): string[] =>
  findings
    .filter((finding) => finding.topic === topic)
    .map(({ time, text, file, line }) => `${clock(time)} ${text} ${file.slice(file.lastIndexOf("/") + 1)}:${line}`);
const unknown = ({ not_known }: Page, topic: string): string[] =>
  not_known.filter((gap) => gap.topic === topic).map(({ text }) => text);

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
      "10:40:45 scheduler: will be fenced: peer is no longer part of the cluster compute-node-3.pacemaker.log:1489",
      "10:40:45 scheduler on compute-node-3: reboot planned compute-node-3.pacemaker.log:1512",
      "10:40:45 transition 3: /var/lib/pacemaker/pengine/pe-warn-0.bz2 compute-node-3.pacemaker.log:1526",
      "10:40:43 dlm_controld asked for the fence (process 1964) rabbit-node-1.dlm_tool-dump.txt:158",
      "10:40:45 stonith-api.1964 asked rabbit-node-1 for reboot: that is dlm_controld's rabbit-node-1.pacemaker.log:1339",
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
    ]);
    expect(page).toMatchObject({
      incident: "41aca80c",
      action: "reboot",
      result: "succeeded",
      duration_ms: 202_948,
      others: [],
    });
  });

  it("names both lockspaces and how long GFS2 was blocked, from where DLM stopped it to the end of the replay", async () => {
    const page = await why(...FIRST);
    expect(told(page, "gfs2")).toEqual([
      "10:40:43 gfs2-project: stopped, waits for fencing rabbit-node-1.dlm_tool-dump.txt:143",
      "10:44:11 gfs2-project: recovered: blocked 3 min 28 s rabbit-node-1.dmesg-gfs2-dlm.txt:90",
      "10:40:43 gfs2-scratch: stopped, waits for fencing rabbit-node-1.dlm_tool-dump.txt:133",
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
      "10:40:45 fence-rabbit-node-1 moved to compute-node-3 compute-node-3.pacemaker.log:1513",
      "10:40:45 dlm:1 stopped with it compute-node-3.pacemaker.log:1518",
      "10:40:45 gfs2-scratch:1 stopped with it compute-node-3.pacemaker.log:1521",
      "10:40:45 gfs2-project:0 stopped with it compute-node-3.pacemaker.log:1523",
    ]);
    expect(told(page, "return")).toEqual([
      "10:46:13 Pacemaker 2.1.5 started on it compute-node-2.pacemaker.log:1252",
      "10:46:21 joined again: membership 1.16 (rabbit-node-1) rabbit-node-1.corosync.log:83",
      "10:46:22 Pacemaker on rabbit-node-1 has it back as member rabbit-node-1.pacemaker.log:1426",
      "10:46:58 joined lockspace gfs2-scratch again rabbit-node-1.dlm_tool-dump.txt:404",
      "10:47:12 joined lockspace gfs2-project again rabbit-node-1.dlm_tool-dump.txt:433",
    ]);
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
    expect(told(page, "result")).toHaveLength(3);
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
    expect(lines.slice(0, 4)).toEqual([
      expect.stringMatching(/^compute-node-2: reboot succeeded after 3 min 23 s, \d{4}-/),
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
      "10:50:45 on by compute-node-2-recorder skipped: the agent doesn't support 'on' compute-node-3.pacemaker.log:2346",
      "10:50:45 on by fence-compute-node-2 skipped: the agent doesn't support 'on' compute-node-3.pacemaker.log:2347",
    ]);
    expect(told(page, "result").slice(0, 2)).toEqual([
      "10:50:46 reboot succeeded in 1 min 26 s by compute-node-3 for pacemaker-controld.382@compute-node-3: OK (complete) compute-node-3.pacemaker.log:2349",
      "10:50:46 Pacemaker names compute-node-3; the agents ran on rabbit-node-1 compute-node-3.pacemaker.log:2349",
    ]);
    expect(told(page, "gfs2")).toEqual([
      "10:49:16 gfs2-project: stopped, waits for fencing rabbit-node-1.dlm_tool-dump.txt:476",
      "10:50:50 gfs2-project: recovered: blocked 1 min 35 s rabbit-node-1.dmesg-gfs2-dlm.txt:158",
      "10:49:16 gfs2-scratch: stopped, waits for fencing rabbit-node-1.dlm_tool-dump.txt:466",
      "10:50:51 gfs2-scratch: recovered: blocked 1 min 36 s rabbit-node-1.dmesg-gfs2-dlm.txt:163",
    ]);
    expect(told(page, "return")).toEqual([
      "10:56:26 Pacemaker 2.1.5 started on it (6 more fences in between) compute-node-2.pacemaker.log:1947",
      "10:56:33 Pacemaker on rabbit-node-1 has it back as member (6 more fences in between) rabbit-node-1.pacemaker.log:3361",
      "11:01:49 joined lockspace gfs2-scratch again (6 more fences in between) rabbit-node-1.dlm_tool-dump.txt:733",
      "11:01:55 joined lockspace gfs2-project again (6 more fences in between) rabbit-node-1.dlm_tool-dump.txt:762",
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

describe("a history that was written while the fence was running", () => {
  it("is about the operation of the same client that the log shows the end of", async () => {
    const history = ["--history", log("b-failed-before-fencing/stonith_admin-history.xml")];
    const page = await why(...ALL_OF("logs-run1"), ...history);
    expect(page).toMatchObject({ incident: "41aca80c", action: "reboot", result: "succeeded", others: [] });
    expect(page.findings.filter(({ topic }) => topic === "result").map(({ text }) => text)).toEqual([
      expect.stringMatching(/^reboot succeeded in 3 min 23 s by rabbit-node-1 for stonith-api\.1964@rabbit-node-1/),
      "history: off pending for stonith-api.1964@rabbit-node-1",
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
    expect(page).toMatchObject({ incident: "stonith-api.4711@rabbit-node-1", result: "running" });
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
  [["why", "compute-node-2", "--at", "half past"], 64, "not a time"],
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
