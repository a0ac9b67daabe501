/** `why` with logs of several nodes: whose clock dates a file, whose loss stopped a lockspace, whose log ends. */
import { describe, expect, it } from "vitest";
import { analyze, directoryWith, fileWith } from "./run-analyze.ts";
import { lines, log, told, unknown, why } from "./run-why.ts";

const CONF = ["--corosync-conf", log("corosync.conf")];

it("takes dlm_controld's uptime for no year, from a quarter of an hour after the boot on", async () => {
  const page = await why(
    ...["--at", "2026-11-20T11:03:00Z", "--pacemaker-log", log("logs-final/*.pacemaker.log"), ...CONF],
    ...["--dlm-log", log("logs-final/rabbit-node-1.dlm_controld.log")],
  );
  const ofDlm = page.findings.filter(({ file }) => file.endsWith("dlm_controld.log")).map(({ line }) => line);
  expect(ofDlm).toEqual([14, 15, 16]);
  expect(told(page, "decided").join("\n")).toContain(
    "stonith-api.7809 asked rabbit-node-1 for reboot: that is dlm_con",
  );
});

describe("a dmesg without a day", () => {
  const shifted = (text: string, seconds: number): string =>
    text
      .replace(/^\[ *(\d+)\./gm, (_, uptime) => `[${Number(uptime) + seconds}.`)
      .replace(/^(\w{3} \d\d [\d:]{8} )(\d+)/gm, (_, stamp, uptime) => `${stamp}${Number(uptime) + seconds}`)
      .replace(/ local (\d+)/g, (_, uptime) => ` local ${Number(uptime) + seconds}`);
  /** The first run's logs of one survivor, and its DLM log again as that of another, which was booted later. */
  const collected = (nameOf: (node: string, what: string) => string) => {
    const of = (what: string, seconds: number) => shifted(lines(`logs-run1/rabbit-node-1.${what}`).join("\n"), seconds);
    return directoryWith({
      [nameOf("rabbit-node-1", "dlm_controld.log")]: of("dlm_controld.log", 20_000),
      [nameOf("rabbit-node-1", "dmesg.txt")]: of("dmesg-gfs2-dlm.txt", 20_000),
      [nameOf("compute-node-3", "dlm_controld.log")]: of("dlm_controld.log", 0),
    });
  };
  const blocked = async (...words: string[]) =>
    (await why("--pacemaker-log", log("logs-run1/*.pacemaker.log"), ...CONF, ...words)).lockspaces.map(
      ({ name, blocked_until }) => `${name} ${blocked_until.what} ${blocked_until.time.slice(11, 19)}`,
    );
  const RECOVERED = ["gfs2-project recovered 10:44:11", "gfs2-scratch recovered 10:44:12"];

  it.each([
    ["named after its node", (node: string, what: string) => `${node}.${what}`, "*."],
    ["in its node's directory", (node: string, what: string) => `${node}/${what}`, "*/"],
    ["deep in its node's directory", (node: string, what: string) => `${node}/var/log/${what}`, "*/var/log/"],
    ["in a report's directory", (node: string, what: string) => `${node}/sos_commands/kernel/${what}`, "*/*/kernel/"],
  ])("is dated by the DLM log of the same node, %s", async (_, nameOf, glob) => {
    const directory = collected(nameOf);
    const words = ["--dlm-log", `${directory}/${glob}dlm_controld.log`, "--dmesg", `${directory}/${glob}dmesg.txt`];
    expect(await blocked(...words)).toEqual(RECOVERED);
  });

  it("is dated by the DLM log that has the same node's name behind its own", async () => {
    const directory = collected((node, what) => `${what.replace(/\.\w+$/, "")}-${node}.log`);
    const words = ["--dlm-log", `${directory}/dlm_controld-*`, "--dmesg", `${directory}/dmesg-*`];
    expect(await blocked(...words)).toEqual(RECOVERED);
  });

  it("is dated by none of two that may be of its node and are of two boots", async () => {
    const directory = collected((node, what) => (node === "rabbit-node-1" ? what : `1-${what}`));
    const words = ["--dlm-log", `${directory}/*dlm_controld.log`, "--dmesg", `${directory}/dmesg.txt`, ...CONF];
    const page = await why("--pacemaker-log", log("logs-run1/*.pacemaker.log"), ...words);
    expect(page.clocks.find(({ file }) => file.endsWith("dmesg.txt"))?.basis).toBe("unknown");
  });

  it("is not dated by another node's DLM log, and by the only one there is where neither has a node's name", async () => {
    const directory = collected((node, what) => `${node}.${what}`);
    const dmesg = ["--dmesg", `${directory}/rabbit-node-1.dmesg.txt`];
    const others = await why(
      ...dmesg,
      "--dlm-log",
      `${directory}/compute-node-3.dlm_controld.log`,
      ...CONF,
      "--at",
      "2026-11-20T10:44:00Z",
      "--history",
      log("c2-rejoined/stonith_admin-history.xml"),
    );
    expect(others.clocks.find(({ file }) => file.endsWith("dmesg.txt"))?.basis).toBe("unknown");
    const plain = collected((node, what) => `${node === "rabbit-node-1" ? "" : "other-"}${what}`);
    expect(await blocked("--dlm-log", `${plain}/dlm_controld.log`, "--dmesg", `${plain}/dmesg.txt`)).toEqual(RECOVERED);
  });
});

describe("two nodes lost at about the same time", () => {
  const dump = `90 daemon joined 2
100 fence request 3 pid 11 nodedown time 1795171300 fence_all dlm_stonith
100 daemon remove 3 nodedown_cpg
100 X add_change cg 4 remove nodeid 3 reason nodedown
100 X stop_kernel seq 4
100 X wait for fencing
150 fence request 2 pid 12 nodedown time 1795171350 fence_all dlm_stonith
150 Y add_change cg 4 remove nodeid 2 reason nodedown
150 Y stop_kernel seq 4
150 Y wait for fencing
160 fence result 2 pid 12 result 0 exit status
160 fence status 2 receive 0 from 1 walltime 1795171360 local 160
160 Y check_fencing 2 done start 140 fail 150 fence 160
160 Y start_kernel cg 4 member_count 2
400 fence status 3 receive 0 from 1 walltime 1795171600 local 400
400 X start_kernel cg 4 member_count 2
`;
  const entry = (target: string, client: string, completed: string): string =>
    `<fence_event action="reboot" target="${target}" client="${client}" origin="rabbit-node-1" status="success" completed="${completed}"/>`;
  const history = (...entries: string[]): string =>
    `<pacemaker-result><list name="fencing history">${entries.join("")}</list></pacemaker-result>`;
  const of2 = entry("compute-node-2", "stonith_admin.12", "2026-11-20 10:42:40Z");
  const of3 = entry("compute-node-3", "stonith_admin.11", "2026-11-20 10:46:40Z");
  const files = () => {
    // As dlm_controld's log has it: no losses, no stops.
    const log = dump
      .split("\n")
      .filter((line) => /wait for|fence (request|status)/.test(line))
      .map(
        (line) =>
          `Nov 20 10:${line.startsWith("400") ? "46:40" : `4${line.startsWith("100") ? "1:40" : line.startsWith("150") ? "2:30" : "2:40"}`} ${line}\n`,
      );
    return directoryWith({ "dump.txt": dump, "dlm_controld.log": log.join(""), "history.xml": history(of3, of2) });
  };

  it("each stopped lockspaces of its own: those of the other are not on this one's page", async () => {
    const directory = files();
    const page = await why("--dlm-log", `${directory}/dump.txt`, "--history", `${directory}/history.xml`, ...CONF);
    expect(page.lockspaces.map(({ name, blocked_ms }) => [name, blocked_ms])).toEqual([["Y", 10_000]]);
    expect(told(page, "gfs2").join("\n")).not.toContain("X:");
  });

  it("cannot be told apart where the log does not say who was lost, or the node's id is not known", async () => {
    const directory = files();
    const words = ["--history", `${directory}/history.xml`, "--dlm-log"];
    expect((await why(...words, `${directory}/dlm_controld.log`, ...CONF)).lockspaces).toEqual([]);
    const page = await why(...words, `${directory}/dump.txt`);
    expect(page.lockspaces).toEqual([]);
    expect(unknown(page, "gfs2").join("\n")).toContain("its node id is not (--corosync-conf)");
  });
});

describe("the last line of a node's own log", () => {
  const NODE = "compute-node-3.pacemaker.log";
  const page = (directory: string, at = "2026-11-20T10:54:52Z") =>
    analyze(["why", "compute-node-3", "--at", at, "--json", "--pacemaker-log", `${directory}/*`, ...CONF], {
      env: { LOG_DIR: "/none" },
    }).then(({ stdout }) => JSON.parse(stdout));
  // A fence that failed, told of the node that lives.
  const rabbit = lines("logs-final/rabbit-node-1.pacemaker.log")
    .filter((text) => /10:54:5[0-3]/.test(text))
    .map((text) => `${text.replaceAll("compute-node-2", "compute-node-3")}\n`)
    .join("");
  const own = lines(`logs-final/${NODE}`);

  it.each([["whole"], ["rotated in between"]])("is none where the log, %s, runs on past the fence", async (how) => {
    const cut = own.findIndex((text) => (text.split(" ")[2] ?? "") > "10:54:30");
    const files =
      how === "whole"
        ? { "b.log": own.join("\n") }
        : { "a.log-1": `${own.slice(0, cut).join("\n")}\n`, "b.log": own.slice(cut).join("\n") };
    const answer = await page(directoryWith({ "rabbit.log": rabbit, ...files }));
    expect(told(answer, "last-sign").filter((text) => text.includes("own pacemaker.log"))).toEqual([]);
    expect(unknown(answer, "last-sign")).toEqual([
      "what it wrote last is not known: its own pacemaker.log runs on past this fence",
    ]);
  });
});

it.each([
  [
    "ends before",
    "2026-11-20T10:50:46Z",
    "b2-second-failure-recorder-first/after.stonith_admin-history.xml",
    "logs-run1",
  ],
  ["begins after", "2026-11-20T10:44:08Z", "c2-rejoined/stonith_admin-history.xml", "late"],
])("does not call a membership change absent where the log %s the fence", async (_, at, history, logs) => {
  const late = lines("logs-final/rabbit-node-1.pacemaker.log").filter((text) => / 11:0[0-9]:/.test(text));
  const named = {
    "logs-run1": [
      ...["--pacemaker-log", log("logs-run1/rabbit-node-1.pacemaker.log")],
      ...["--corosync-log", log("logs-run1/rabbit-node-1.corosync.log")],
    ],
    late: ["--pacemaker-log", fileWith(late.join("\n"), "rabbit-node-1.pacemaker.log")],
  }[logs as "late"];
  const page = await why("--at", at, "--history", log(history), ...named);
  expect(unknown(page, "noticed")).toContain(
    "no membership change of this node before or during the fence in logs that do not reach over its time",
  );
});
