import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { corosyncReader, parseNodeNames } from "../../../src/analyze/logs/corosync.ts";
import { dlmReader, dmesgReader } from "../../../src/analyze/logs/dlm.ts";
import type { LogFact } from "../../../src/analyze/logs/fact.ts";
import { pacemakerReader } from "../../../src/analyze/logs/pacemaker.ts";
import { parseHistory } from "../../../src/records/fencing-history.ts";
import { CAPTURED } from "../run-analyze.ts";

const MODIFIED = Date.parse("2026-11-20T12:00:00Z");
const lines = (name: string): string[] => readFileSync(`${CAPTURED}/${name}`, "utf8").split("\n");
function feed<Reader extends { line: (text: string, number: number) => void }>(
  reader: Reader,
  texts: readonly string[],
): Reader {
  for (const [index, text] of texts.entries()) reader.line(text, index + 1);
  return reader;
}
/** Without time and place. */
const said = ({ timeMs: _, evidence: __, host: ___, ...detail }: LogFact) => detail;
const placed = ({ timeMs, evidence: { line }, ...fact }: LogFact) => ({
  at: timeMs === undefined ? "?" : new Date(timeMs).toISOString().slice(11, 19),
  line,
  kind: fact.kind,
});

/** Files that tell no zone are read in this machine's. */
const placedHere = ({ timeMs, evidence: { line }, ...fact }: LogFact) => ({
  at: timeMs === undefined ? "?" : new Date(timeMs).toTimeString().slice(0, 8),
  line,
  kind: fact.kind,
});

describe("pacemaker.log", () => {
  const pacemaker = (name: string, target?: string) => {
    const reader = pacemakerReader({ file: name, modifiedMs: MODIFIED, ...(target === undefined ? {} : { target }) });
    return feed(reader, lines(name)).end();
  };

  it("tells an operation from its request to its end", () => {
    const { facts } = pacemaker("logs-run1/rabbit-node-1.pacemaker.log");
    const operation = facts
      .filter(({ kind }) =>
        ["request", "remapped", "begun", "device-asked", "device-result", "finished"].includes(kind),
      )
      .map(said);
    expect(operation).toEqual([
      { kind: "request", target: "2", action: "reboot", client: "stonith-api.1964" },
      { kind: "remapped", target: "compute-node-2", to: "off", id: "41aca80c" },
      { kind: "begun", target: "compute-node-2", action: "off", id: "41aca80c" },
      ...[
        "off fence-compute-node-2 1982 360",
        "off compute-node-2-recorder 3143 360",
        "on fence-compute-node-2 3448 144",
        "on compute-node-2-recorder 3449 144",
      ].flatMap((words) => {
        const [action, device, pid, limit] = words.split(" ");
        const common = { target: "compute-node-2", action, device };
        return [
          {
            kind: "device-asked",
            ...common,
            by: "rabbit-node-1",
            client: "stonith-api.1964",
            limitSeconds: Number(limit),
          },
          {
            kind: "device-result",
            ...common,
            pid: Number(pid),
            ok: true,
            result: "returned 0",
            client: "stonith-api.1964",
          },
        ];
      }),
      {
        kind: "finished",
        target: "compute-node-2",
        action: "reboot",
        delegate: "rabbit-node-1",
        client: "stonith-api.1964",
        origin: "rabbit-node-1",
        merged: false,
        ok: true,
        result: "OK (complete)",
        id: "41aca80c",
      },
    ]);
    expect(facts.filter(({ kind }) => kind === "node-lost").map(placedHere)[0]).toEqual({
      at: "10:40:43",
      line: 1278,
      kind: "node-lost",
    });
  });

  it("tells the scheduler's reason, what it moves, and a request merged into another, on the DC", () => {
    const { facts, clock } = pacemaker("logs-run1/compute-node-3.pacemaker.log");
    expect(clock).toBe("anchored");
    const planned = facts.filter(
      ({ evidence: { line }, kind }) =>
        line > 1480 && line < 1535 && ["will-fence", "fence-scheduled", "resource", "merged"].includes(kind),
    );
    expect(planned.map(said)).toEqual([
      { kind: "will-fence", node: "compute-node-2", reason: "peer is no longer part of the cluster" },
      {
        kind: "fence-scheduled",
        node: "compute-node-2",
        action: "reboot",
        reason: "peer is no longer part of the cluster",
      },
      { kind: "resource", verb: "Move", resource: "fence-rabbit-node-1", from: "compute-node-2", to: "compute-node-3" },
      ...["dlm:1", "gfs2-scratch:1", "gfs2-project:0"].map((resource) => ({
        kind: "resource",
        verb: "Stop",
        resource,
        from: "compute-node-2",
        to: undefined,
      })),
      {
        kind: "merged",
        target: "compute-node-2",
        client: "pacemaker-controld.382",
        into: "stonith-api.1964@rabbit-node-1",
      },
    ]);
  });

  it("tells where a node's own log fell silent before it started again", () => {
    const { facts } = pacemaker("logs-run1/compute-node-2.pacemaker.log", "compute-node-2");
    const own = facts.filter(({ kind }) => kind === "silent-from" || kind === "pacemaker-started").map(placedHere);
    expect(own).toEqual([
      { at: "10:29:51", line: 5, kind: "pacemaker-started" },
      { at: "10:39:29", line: 1247, kind: "silent-from" },
      { at: "10:46:13", line: 1252, kind: "pacemaker-started" },
      { at: "10:47:26", line: 1933, kind: "silent-from" },
    ]);
  });

  it.each([
    ["recorder-first-timeout", "Timed Out (Fence agent did not complete within 10s)", 1],
    ["recorder-first-exit1", "returned 1", 1],
    ["power-first-fails", "returned 1", 1],
  ])("tells how a fence failed (%s)", (name, result, failures) => {
    const { facts } = pacemaker(`agent-calls/failures/${name}.pacemaker.log`);
    expect(facts.filter((fact) => fact.kind === "device-result" && !fact.ok).map(said)).toMatchObject(
      Array.from({ length: failures }, () => ({ result })),
    );
    expect(facts.filter(({ kind }) => kind === "level-failed")).toHaveLength(1);
    expect(facts.filter((fact) => fact.kind === "finished").map(said)).toMatchObject([{ ok: false, action: "off" }]);
  });

  it("tells that the on half was skipped", () => {
    const { facts } = pacemaker("agent-calls/failures/on-phase-done-then-skipped.compute-node-3.pacemaker.log");
    expect(facts.filter(({ kind }) => kind === "on-skipped").map(said)).toEqual([
      {
        kind: "on-skipped",
        target: "compute-node-2",
        device: "fence-compute-node-2",
        reason: "the agent doesn't support 'on'",
      },
      {
        kind: "on-skipped",
        target: "compute-node-2",
        device: "compute-node-2-recorder",
        reason: "the agent doesn't support 'on'",
      },
    ]);
    expect(facts.filter(({ kind }) => kind === "finished")).toHaveLength(2);
  });

  it("reads the same lines from syslog", () => {
    const text =
      "Nov 20 10:44:08 rabbit-node-1 pacemaker-fenced[391]:  notice: Operation 'reboot' targeting compute-node-2 by rabbit-node-1 for stonith-api.1964@rabbit-node-1: OK | id=41aca80c";
    const { facts } = feed(pacemakerReader({ file: "messages", modifiedMs: MODIFIED }), [text]).end();
    expect(facts).toMatchObject([{ kind: "finished", ok: true, host: "rabbit-node-1", id: "41aca80c" }]);
  });
});

describe("corosync.log", () => {
  it("tells token loss, membership and links", () => {
    const { facts } = feed(
      corosyncReader({ file: "corosync.log", modifiedMs: MODIFIED }),
      lines("logs-run1/rabbit-node-1.corosync.log"),
    ).end();
    expect(facts.filter(({ evidence: { line } }) => line > 65).map(said)).toEqual([
      { kind: "link-down", nodeId: 2 },
      { kind: "token-late", elapsedMs: 7987 },
      { kind: "token-lost", timeoutMs: 10650, consensusMs: 12780 },
      { kind: "membership", ring: "1.11", joined: [], left: [2] },
      { kind: "leave-not-heard", nodeIds: [2] },
      { kind: "link-up", nodeId: 2 },
      { kind: "membership", ring: "1.16", joined: [2], left: [] },
    ]);
    expect(facts.every(({ host }) => host === "rabbit-node-1")).toBe(true);
  });

  it("tells a membership that some left and others joined", () => {
    const text =
      "Nov 20 10:46:21 [358] n corosync notice  [TOTEM ] A new membership (1.16) was formed. Members joined: 2 4 left: 3";
    const { facts } = feed(corosyncReader({ file: "c", modifiedMs: MODIFIED }), [text]).end();
    expect(facts.map(said)).toEqual([{ kind: "membership", ring: "1.16", joined: [2, 4], left: [3] }]);
  });

  it("has the nodes' names in corosync.conf", () => {
    expect([...parseNodeNames(lines("corosync.conf").join("\n"))]).toEqual([
      [1, "rabbit-node-1"],
      [2, "compute-node-2"],
      [3, "compute-node-3"],
    ]);
  });
});

describe("DLM and the kernel", () => {
  const ABOUT_FENCE = [
    "lockspace-lost-node",
    "lockspace-stopped",
    "lockspace-waits",
    "dlm-fence-asked",
    "dlm-fence-result",
    "dlm-fence-status",
    "lockspace-fencing-done",
    "lockspace-started",
  ];

  it("tells from dlm_tool dump when each lockspace stopped, waited and went on; waiting once, not every second", () => {
    const { facts, clock } = feed(
      dlmReader({ file: "dump", modifiedMs: MODIFIED }),
      lines("logs-run1/rabbit-node-1.dlm_tool-dump.txt"),
    ).end();
    expect(clock).toBe("anchored");
    const during = facts.filter(
      ({ evidence: { line }, kind }) => line > 120 && line < 380 && ABOUT_FENCE.includes(kind),
    );
    expect(
      during.map((fact) =>
        `${placed(fact).at} ${fact.evidence.line} ${fact.kind} ${"lockspace" in fact ? fact.lockspace : ""}`.trim(),
      ),
    ).toEqual([
      "10:40:43 131 lockspace-lost-node gfs2-scratch",
      "10:40:43 133 lockspace-stopped gfs2-scratch",
      "10:40:43 141 lockspace-lost-node gfs2-project",
      "10:40:43 143 lockspace-stopped gfs2-project",
      "10:40:43 158 dlm-fence-asked",
      "10:40:43 163 lockspace-waits gfs2-project",
      "10:40:43 165 lockspace-waits gfs2-scratch",
      "10:44:09 343 dlm-fence-result",
      "10:44:09 345 dlm-fence-status",
      "10:44:09 346 lockspace-fencing-done gfs2-project",
      "10:44:09 349 lockspace-fencing-done gfs2-scratch",
      "10:44:09 358 lockspace-started gfs2-scratch",
      "10:44:09 371 lockspace-started gfs2-project",
    ]);
  });

  it("reads dlm_controld.log, whose waiting lines come a minute late", () => {
    const { facts } = feed(
      dlmReader({ file: "log", modifiedMs: MODIFIED }),
      lines("logs-run1/rabbit-node-1.dlm_controld.log"),
    ).end();
    expect(facts.map(placed)).toEqual([
      { at: "10:40:43", line: 2, kind: "dlm-fence-asked" },
      { at: "10:41:41", line: 4, kind: "lockspace-waits" },
      { at: "10:41:41", line: 5, kind: "lockspace-waits" },
      { at: "10:44:09", line: 6, kind: "dlm-fence-result" },
      { at: "10:44:09", line: 7, kind: "dlm-fence-status" },
    ]);
  });

  it("dates kernel lines by the boot's zero that DLM gives, and leaves them undated without it", () => {
    const dlm = feed(
      dlmReader({ file: "log", modifiedMs: MODIFIED }),
      lines("logs-run1/rabbit-node-1.dlm_controld.log"),
    );
    const kernel = feed(
      dmesgReader({ file: "dmesg", modifiedMs: MODIFIED }),
      lines("logs-run1/rabbit-node-1.dmesg-gfs2-dlm.txt"),
    );
    const { facts, clock } = kernel.endWith(dlm.zero());
    expect(clock).toBe("anchored");
    expect(
      facts
        .filter(({ kind, evidence: { line } }) => kind === "filesystem-recovered" && line < 100)
        .map((fact) => [placed(fact).at, said(fact)]),
    ).toEqual([
      ["10:44:11", { kind: "filesystem-recovered", filesystem: "gfs2-project" }],
      ["10:44:12", { kind: "filesystem-recovered", filesystem: "gfs2-scratch" }],
    ]);
    const undated = kernel.end();
    expect(undated.clock).toBe("unknown");
    expect(undated.facts.every(({ timeMs }) => timeMs === undefined)).toBe(true);
  });

  it.each([
    ["dmesg -T", "[Fri Nov 20 10:44:11 2026] gfs2: fsid=rabbitlab:gfs2-project.1: recover generation 3 done"],
    [
      "dmesg --time-format iso",
      "2026-11-20T10:44:11,450980+00:00 gfs2: fsid=rabbitlab:gfs2-project.1: recover generation 3 done",
    ],
    [
      "syslog",
      "Nov 20 10:44:11 rabbit-node-1 kernel: [  955.450980] gfs2: fsid=rabbitlab:gfs2-project.1: recover generation 3 done",
    ],
  ])("reads kernel lines as %s writes them", (_, text) => {
    const { facts } = feed(dmesgReader({ file: "k", modifiedMs: MODIFIED }), [text]).end();
    expect(facts.map(said)).toEqual([{ kind: "filesystem-recovered", filesystem: "gfs2-project" }]);
    expect(facts[0]?.timeMs).toBeTypeOf("number");
  });
});

describe("the fencing history", () => {
  const history = (name: string) => parseHistory(lines(`${name}.xml`).join("\n"), name, MODIFIED);

  it("is read with who asked, who did it and when, each with its line", () => {
    expect(history("b2-second-failure-recorder-first/after.stonith_admin-history")).toMatchObject([
      {
        client: "stonith-api.4829",
        origin: "rabbit-node-1",
        delegate: "compute-node-3",
        status: "success",
        completedMs: Date.parse("2026-11-20T10:50:46Z"),
        wholeSeconds: true,
        evidence: { line: 3 },
      },
      { client: "pacemaker-controld.382", origin: "compute-node-3", evidence: { line: 4 } },
      { client: "pacemaker-controld.382", delegate: "rabbit-node-1", evidence: { line: 5 } },
      { client: "stonith-api.1964", evidence: { line: 6 } },
    ]);
  });

  it("keeps a fence that is running without an end", () => {
    expect(history("b-failed-before-fencing/stonith_admin-history")).toMatchObject([
      { action: "off", status: "pending", completedMs: undefined },
    ]);
  });

  it("lists a request that was merged into one that is running", () => {
    expect(
      history("b2-second-failure-recorder-first/stonith_admin-history").filter(({ status }) => status === "pending"),
    ).toMatchObject([
      { action: "reboot", client: "pacemaker-controld.382" },
      { action: "off", client: "stonith-api.4829" },
    ]);
  });

  it("is empty before the first fence", () => {
    expect(history("a-healthy/stonith_admin-history")).toEqual([]);
  });

  it.each([
    ["cut off", '<pacemaker-result><list name="fencing history"><fence_event action="off"', "not well-formed XML"],
    ["other XML", "<cib/>", "not the fencing history"],
    [
      "the tool's own error",
      '<pacemaker-result><status code="102" message="Not connected"/></pacemaker-result>',
      "Not connected",
    ],
    [
      "without a target",
      '<pacemaker-result><fence_event action="off" status="success"/></pacemaker-result>',
      "fence_event without",
    ],
  ])("is refused when it is %s", (_, xml, message) => {
    expect(() => parseHistory(xml, "history.xml", 0)).toThrow(
      expect.objectContaining({ message: expect.stringContaining(message) }),
    );
  });
});
