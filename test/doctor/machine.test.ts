/** doctor's checks of a machine, from what its tools and files say. */
import { describe, expect, it } from "vitest";
import { parseCib } from "../../src/discovery/cib.ts";
import { findAlertPath } from "../../src/doctor/alert.ts";
import { factsFrom, parseEvents, placesFrom } from "../../src/doctor/facts.ts";
import {
  findDirectory,
  findInbox,
  findIntents,
  findNotLocal,
  findRotation,
  findSpace,
  findSpooled,
  groupId,
  parseLogrotate,
} from "../../src/doctor/logs.ts";
import {
  findClock,
  findHealth,
  findSettings,
  findSkew,
  findSources,
  findTimer,
  findVersions,
  parseChronyTracking,
  parseTimedatectl,
} from "../../src/doctor/machine.ts";
import { diagnose, verdictOf } from "../../src/doctor/run.ts";
import { exits, FakeHost, fakeHost, NOT_INSTALLED } from "../fakes/fake-host.ts";
import { readFixture } from "./diagnose.ts";

const NOW = Date.parse("2026-01-02T12:00:00Z");
const LOG = "/var/log/gfs2-fencing";
const MINUTE = 60_000;
const said = (findings: readonly { what: string; severity: string }[]) =>
  findings.map(({ severity, what }) => `${severity}: ${what}`);

describe("the log directory", () => {
  it.each([
    ["as the package makes it", { mode: 0o040750, uid: 0, gid: 110 }, []],
    ["not there", undefined, [`warning: log directory ${LOG} does not exist`]],
    ["a file", { mode: 0o100640, uid: 0, gid: 110 }, [`warning: log directory ${LOG} is no directory`]],
    ["somebody's", { mode: 0o040750, uid: 1000, gid: 110 }, [`warning: log directory ${LOG} is not owned by root`]],
    [
      "open to its group",
      { mode: 0o040770, uid: 0, gid: 110 },
      [`warning: log directory ${LOG} has mode 0770: others than root may write to it`],
    ],
    [
      "open to all",
      { mode: 0o040755, uid: 0, gid: 0 },
      [
        `note: log directory ${LOG} has mode 0755: everybody may read it`,
        `note: log directory ${LOG} is not of group haclient`,
      ],
    ],
  ])("%s", (_, facts, expected) => {
    expect(said(findDirectory(LOG, facts, 110))).toEqual(expected);
  });

  it("says how much is free when it is little", () => {
    expect(said(findSpace(LOG, 1024 * 1024))).toEqual([`warning: log directory ${LOG}: 1024 KiB free`]);
    expect(findSpace(LOG, 10 ** 10)).toEqual([]);
  });

  it("finds the number of a group by its whole name", () => {
    expect(groupId("root:x:0:\nhaclient2:x:3:\nhaclient:x:110:root\n", "haclient")).toBe(110);
    expect(groupId("root:x:0:\n", "haclient")).toBeUndefined();
  });

  it.each(["gfs2", "nfs4", "fuse.glusterfs"])("on %s is a hazard, named by who set it, mended there", async (type) => {
    const mountinfo = `1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:9 / /srv/shared rw - ${type} somewhere rw\n`;
    const host = fakeHost({ files: { "/proc/self/mountinfo": mountinfo } });
    const xml = readFixture("deployment-topology.xml").replace(
      'name="pcmk_host_list" value="compute-node-2 compute-node-3"/>',
      '$&<nvpair id="log" name="log_dir" value="/srv/shared/fencing"/>',
    );
    const cib = parseCib(xml);
    const [finding] = await findNotLocal({ host, logs: async () => placesFrom(host, cib, undefined) });
    expect(finding?.what).toContain(`/srv/shared/fencing: refused: /srv/shared is on ${type}`);
    expect(finding?.mend.pcs).toEqual(["pcs stonith update gfs2-recorder log_dir="]);
    expect(finding?.mend.crmsh).toEqual(["crm resource param gfs2-recorder delete log_dir"]);
  });
});

describe("rotation", () => {
  const files = [`${LOG}/fence-events-detailed.jsonl`, `${LOG}/fence-events.log`];
  const look = (...texts: string[]) =>
    said(
      findRotation(
        texts.flatMap((text) => parseLogrotate("/etc/logrotate.d/x", text)),
        LOG,
        files,
      ),
    );

  it.each([
    ["create is right", `${LOG}/*.log ${LOG}/*.jsonl {\n  weekly\n  create 0640 root haclient\n}\n`, []],
    [
      "copytruncate loses lines",
      `${LOG}/*.jsonl\n{\n  daily\n  copytruncate\n}\n`,
      [`warning: /etc/logrotate.d/x rotates ${LOG} by copytruncate`],
    ],
    [
      "somebody else's copytruncate does not matter",
      `/var/log/other/*.log {\n copytruncate\n}\n${LOG}/*.log {\n}\n`,
      [],
    ],
    [
      "copytruncate for all files holds here too",
      `copytruncate\n${LOG}/*.log {\n weekly\n}\n`,
      [`warning: /etc/logrotate.d/x rotates ${LOG} by copytruncate`],
    ],
    ["and can be taken back", `copytruncate\n${LOG}/*.log {\n nocopytruncate\n}\n`, []],
    ["a word in a script is none", `"${LOG}/fence-events.log" {\n postrotate\n  copytruncate\n endscript\n}\n`, []],
    ["no rule at all", "/var/log/syslog {\n}\n", [`note: logrotate has no rule for ${LOG}`]],
  ])("%s", (_, text, expected) => {
    expect(look(text)).toEqual(expected);
  });
});

describe("what waits", () => {
  it("in the spool is counted, and so is what was turned away", () => {
    const names = ["0190-a.json", "0190-b.json"];
    const waiting = { directory: "/var/lib/fencepost/spool", names, oldestMs: NOW, overflow: 3 };
    expect(said(findSpooled(waiting))).toEqual([
      "warning: 2 events wait in the spool /var/lib/fencepost/spool",
      "warning: the spool /var/lib/fencepost/spool was full: 3 events were turned away",
    ]);
    expect(findSpooled({ ...waiting, names: [], overflow: 0 })).toEqual([]);
  });

  it("as an intent is left over once nobody can still be writing it", () => {
    const waiting = { directory: `${LOG}/.intents`, names: ["a.json"], oldestMs: NOW - 20 * MINUTE };
    expect(said(findIntents(waiting, NOW))).toEqual([
      `warning: 1 event was left unfinished in ${LOG}/.intents, the oldest 20 min ago`,
    ]);
    expect(findIntents({ ...waiting, oldestMs: NOW - MINUTE }, NOW)).toEqual([]);
  });

  it("in the inbox is not being merged after two rounds of the timer", () => {
    const waiting = { directory: "/var/lib/fencepost/inbox", names: ["a.json"], oldestMs: NOW - 5 * 60 * MINUTE };
    expect(said(findInbox(waiting, NOW))).toEqual(["warning: 1 outcome from the alert not merged, the oldest 5 h old"]);
    expect(findInbox({ ...waiting, oldestMs: NOW - MINUTE }, NOW)).toEqual([]);
    expect(said(findInbox({ ...waiting, names: [".refused-a.json"], oldestMs: undefined }, NOW))).toEqual([
      "warning: 1 file in the inbox /var/lib/fencepost/inbox refused",
    ]);
  });
});

describe("the health file", () => {
  const health = (more: object) =>
    JSON.stringify({ version: 1, checked_at: new Date(NOW).toISOString(), can_record: true, findings: [], ...more });

  it.each([
    ["nothing found", health({}), NOW, []],
    ["something found", health({ findings: ["spool x: full\u001b"] }), NOW, ["warning: spool x: full\\u001b"]],
    ["could not record", health({ can_record: false }), NOW, ["warning: the last monitor could not record at all"]],
    ["none", undefined, NOW, ["note: no monitor of a recorder has run on this node since it booted"]],
    [
      "old",
      health({ findings: ["syslog: gone"] }),
      NOW + 48 * 60 * MINUTE,
      ["note: the last monitor ran at 2026-01-02T12:00:00.000Z", "note: syslog: gone"],
    ],
  ])("%s", (_, text, nowMs, expected) => {
    expect(said(findHealth(text, nowMs))).toEqual(expected);
  });

  it("that is none is no answer", () => {
    expect(() => findHealth("{", NOW)).toThrow("not a health file");
  });
});

describe("the clock", () => {
  const TRACKING = `Reference ID    : C0A80001 (192.168.0.1)
Stratum         : 3
System time     : 0.000012345 seconds slow of NTP time
Leap status     : Normal
`;
  it.each([
    ["chrony in step", parseChronyTracking(TRACKING), []],
    [
      "chrony off",
      parseChronyTracking(TRACKING.replace("0.000012345", "7.5")),
      ["warning: the clock is 7.5 s off (chronyc)"],
    ],
    [
      "chrony alone",
      parseChronyTracking(TRACKING.replace("Normal", "Not synchronised")),
      ["warning: the clock is not synchronised (chronyc)"],
    ],
    ["systemd in step", parseTimedatectl("NTPSynchronized=yes\n"), []],
    ["systemd not", parseTimedatectl("NTPSynchronized=no\n"), ["warning: the clock is not synchronised (timedatectl)"]],
  ])("%s", (_, facts, expected) => {
    expect(facts && said(findClock(facts))).toEqual(expected);
  });

  it("that nobody can be asked about was not checked", async () => {
    const host = fakeHost({
      commands: {
        "chronyc -n tracking": NOT_INSTALLED,
        "timedatectl show -p NTPSynchronized": exits(1, "Failed to connect to bus"),
      },
    });
    const facts = factsFrom({ host, env: {}, readCib: () => Promise.reject(new Error("no cluster")) });
    const diagnosis = await diagnose(facts, ({ id }) => id === "clock");
    expect(diagnosis.unchecked).toEqual([{ id: "clock", reason: expect.stringContaining("Failed to connect to bus") }]);
    expect(diagnosis.passed).toEqual([]);
    expect(verdictOf(diagnosis)).toBe("unchecked");
  });
});

describe("recorded events", () => {
  const line = (recorder: string, version: string, recordedMs: number) =>
    JSON.stringify({ recorder_node: recorder, agent_version: version, recorded_ms: recordedMs });
  const events = (...lines: string[]) => parseEvents(`${lines.join("\n")}\n{"torn`, "f.jsonl");

  it("of another version than ours are told, the newest of each recorder counting", () => {
    const found = findVersions(
      events(line("r1", "1.0.0", 1), line("r2", "0.9.0", 2), line("r3", "0.9.0", 1), line("r3", "1.0.0", 3)),
      { ours: "1.0.0", node: "r1" },
    );
    expect(said(found)).toEqual(["warning: r2 recorded with version 0.9.0; this node has 1.0.0"]);
  });

  it("from the future show a clock that is wrong", () => {
    expect(said(findSkew(events(line("r1", "1", NOW), line("r2", "1", NOW + 3_600_000)), NOW))).toEqual([
      "warning: f.jsonl holds an event of r2 from 3600 s in the future",
    ]);
  });
});

describe("discovery sources", () => {
  it("that are not reachable are named with the reason; all of them is a hazard", () => {
    const silent = { status: "unavailable", reason: "no kubeconfig" } as const;
    expect(
      said(
        findSources([
          { method: "kubernetes", outcome: silent },
          { method: "dlm", outcome: { status: "empty" } },
          { method: "pacemaker", outcome: { status: "failed", reason: "timed out" } },
        ]),
      ),
    ).toEqual([
      "note: discovery source kubernetes is not reachable: no kubeconfig",
      "warning: discovery source pacemaker is not reachable: timed out",
    ]);
    expect(said(findSources([{ method: "dlm", outcome: silent }]))).toEqual([
      "warning: discovery source dlm is not reachable: no kubeconfig",
    ]);
  });
});

describe("this node", () => {
  it("has a timer that is active or is told so", () => {
    expect(findTimer("active")).toEqual([]);
    expect(said(findTimer("inactive"))).toEqual(["warning: fencepost-recover.timer is inactive"]);
  });

  it("without the alert's program is told so, and a path of its own is mended in the configuration", () => {
    const cib = parseCib(readFixture("deployment-alert.xml"));
    expect(findAlertPath(cib, () => true)).toEqual([]);
    const [finding] = findAlertPath(cib, () => false);
    expect(finding?.what).toContain("is no executable file on this node");
    const elsewhere = parseCib(
      readFixture("deployment-alert.xml").replace("/usr/share/pacemaker/alerts/", "/opt/old/"),
    );
    expect(findAlertPath(elsewhere, () => false)[0]?.mend.pcs).toEqual([
      "pcs alert update fencepost-alert path=/usr/share/pacemaker/alerts/alert_gfs2_recorder",
    ]);
  });

  it("is told of settings that mean nothing", () => {
    const host = new FakeHost({ files: { "/etc/fencepost/fence_gfs2_recorder.conf": "LOGDIR=/x\n" } });
    expect(said(findSettings(placesFrom(host, undefined, undefined)))[0]).toContain("'LOGDIR' means nothing here");
  });
});
