/**
 * What the agent finds on the captured cluster: from each source alone and from all together, in every state.
 * Source: fixtures/gfs2-cluster/ORIGIN.md. gfs2-scratch is on all three nodes, gfs2-project on rabbit-node-1 and
 * compute-node-2; compute-node-2 is the one that fails.
 */
import { writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import {
  CAPTURED_TOOLS,
  type CapturedState,
  type CapturedTool,
  captureOf,
  deriveCapture,
  installStandIns,
  readPartitionedViews,
} from "../fakes/captured-cluster.ts";
import { liveDescribe } from "../live/requirements.ts";
import { type FenceRecord, Lab } from "./lab.ts";

async function fence(lab: Lab, target: string): Promise<FenceRecord> {
  expect(await lab.run({ args: ["-o", "off", "-n", target] })).toMatchObject({ exitCode: 0, stdout: "" });
  await lab.settled();
  const [event, ...more] = lab.events();
  expect(more).toEqual([]);
  if (!event) throw new Error("no event");
  return event;
}

async function fenceWith(state: CapturedState, tools: readonly CapturedTool[], target: string): Promise<FenceRecord> {
  const lab = await Lab.open({ standIns: { capture: captureOf(state), tools } });
  return fence(lab, target);
}

const DLM_BY_CRM_NODE: CapturedTool[] = ["dlm_tool", "crm_node"];
const DLM_BY_COROSYNC: CapturedTool[] = ["dlm_tool", "corosync-cmapctl"];
const STATUS: CapturedTool[] = ["crm_mon", "cibadmin"];
const CONFIGURATION: CapturedTool[] = ["cibadmin"];
const PCS: CapturedTool[] = ["pcs"];

const KNOWN: CapturedState[] = ["healthy", "failed", "failedAgain", "window", "rejoined"];
const GONE: CapturedState[] = ["fenced", "after"];
const WITH_PCS: CapturedState[] = ["healthy", "failed", "fenced"]; // pcs was not asked in the others

const PROJECT = { name: "gfs2-project", mount_point: "/mnt/gfs2-project", device: "/dev/vdc" };
const SCRATCH = { name: "gfs2-scratch", mount_point: "/mnt/gfs2-scratch", device: "/dev/vdb" };
const NODE_2 = ["gfs2-project", "gfs2-scratch"];
const NODE_3 = ["gfs2-scratch"];

type Row = [label: string, state: CapturedState, tools: CapturedTool[], target: string, names: string[]];
const bothNodes = (label: string, states: CapturedState[], tools: CapturedTool[], node2: string[]): Row[] =>
  states.flatMap((state): Row[] => [
    [label, state, tools, "compute-node-2", node2],
    [label, state, tools, "compute-node-3", NODE_3],
  ]);

liveDescribe("discovery on the captured cluster", ["executable"], () => {
  it.each([
    ...bothNodes("dlm_tool and crm_node", KNOWN, DLM_BY_CRM_NODE, NODE_2),
    ...bothNodes("dlm_tool and corosync-cmapctl", KNOWN, DLM_BY_COROSYNC, NODE_2),
  ])("%s alone, %s: the lockspaces of the target", async (_label, state, tools, target, names) => {
    const event = await fenceWith(state, tools, target);
    expect(event.gfs2_filesystems).toEqual(names);
    expect(event.filesystems?.map(({ name, lockspace }) => ({ name, lockspace }))).toEqual(
      names.map((name) => ({ name, lockspace: name })),
    );
    expect(event.discovery).toMatchObject({ result: "found", method: "dlm", scope: "target" });
  });

  it.each([
    ...bothNodes("dlm_tool and crm_node", GONE, DLM_BY_CRM_NODE, []),
    ...bothNodes("dlm_tool and corosync-cmapctl", GONE, DLM_BY_COROSYNC, []),
  ])("%s alone, %s: the DLM has forgotten the fenced node", async (_label, state, tools, target, names) => {
    const event = await fenceWith(state, tools, target);
    expect(event.gfs2_filesystems).toEqual(names.length === 0 ? ["none-detected"] : names);
    expect(event.discovery.result).toBe(names.length === 0 ? "none" : "found");
    expect(event.discovery.attempts).toContainEqual(
      expect.objectContaining({ method: "dlm", status: names.length === 0 ? "empty" : "found" }),
    );
  });

  it.each(bothNodes("crm_mon and cibadmin", KNOWN, STATUS, NODE_2))(
    "%s alone, %s: what is active on the target",
    async (_label, state, tools, target, names) => {
      const event = await fenceWith(state, tools, target);
      expect(event.gfs2_filesystems).toEqual(names);
      expect(event.filesystems).toMatchObject(names.map((name) => (name === PROJECT.name ? PROJECT : SCRATCH)));
      expect(event.discovery).toMatchObject({ result: "found", method: "dlm", scope: "target" });
    },
  );

  it.each([
    ...bothNodes("crm_mon and cibadmin", GONE, STATUS, NODE_2),
    ...bothNodes("every tool", GONE, [...CAPTURED_TOOLS], NODE_2),
  ])("%s, %s: the configuration still knows the fenced node", async (_label, state, tools, target, names) => {
    const event = await fenceWith(state, tools, target);
    expect(event.gfs2_filesystems).toEqual(names);
    if (target === "compute-node-2") {
      expect(event.discovery).toMatchObject({ result: "found", method: "pacemaker", scope: "configured" });
      expect(event.discovery.attempts).toContainEqual(expect.objectContaining({ method: "dlm", status: "empty" }));
      expect(event.cluster).toMatchObject({ name: "rabbitlab", quorate: true, target_state: "offline" });
    } else {
      expect(event.discovery).toMatchObject({ result: "found", method: "dlm", scope: "target" });
    }
  });

  it.each([
    ...bothNodes("cibadmin", [...KNOWN, ...GONE], CONFIGURATION, NODE_2),
    ...bothNodes("pcs", WITH_PCS, PCS, NODE_2),
  ])("%s alone, %s: what the target may run", async (_label, state, tools, target, names) => {
    const event = await fenceWith(state, tools, target);
    expect(event.gfs2_filesystems).toEqual(names);
    expect(event.filesystems).toMatchObject(names.map((name) => (name === PROJECT.name ? PROJECT : SCRATCH)));
    expect(event.discovery).toMatchObject({ result: "found", method: "pacemaker", scope: "configured" });
    if (tools === CONFIGURATION) expect(event.cluster).toMatchObject({ name: "rabbitlab" });
  });

  it.each<[CapturedState, string, string]>([
    ["healthy", "compute-node-3", "online"],
    ["failed", "compute-node-3", "unclean"],
    ["failedAgain", "compute-node-3", "unclean"],
    ["window", "rabbit-node-1", "unclean"],
    ["rejoined", "compute-node-3", "online"],
  ])("every tool, %s: everything about the target and its cluster", async (state, dc, targetState) => {
    const event = await fenceWith(state, CAPTURED_TOOLS, "compute-node-2");
    expect(event.gfs2_filesystems).toEqual(NODE_2);
    expect(event.filesystems).toEqual([
      { ...PROJECT, lockspace: "gfs2-project" },
      { ...SCRATCH, lockspace: "gfs2-scratch" },
    ]);
    expect(event.cluster).toEqual({ name: "rabbitlab", dc, quorate: true, target_state: targetState });
    expect(event.discovery).toMatchObject({ result: "found", method: "dlm", scope: "target" });
    const { attempts, elapsed_ms: elapsedMs } = event.discovery;
    expect(attempts.map(({ method }) => method)).toEqual(["kubernetes", "dlm"]);
    expect(attempts[0]).toMatchObject({ status: "unavailable", reason: expect.any(String) });
    expect(attempts[1]).toMatchObject({ status: "found", elapsed_ms: expect.any(Number) });
    expect(elapsedMs).toBeLessThan(3000);
  });

  it("asks no pcs while a native tool answers", async () => {
    const lab = await Lab.open({
      standIns: { capture: captureOf("fenced"), tools: ["crm_node", "dlm_tool", "cibadmin"] },
    });
    lab.tool("pcs", `#!/bin/sh\necho "$@" >>${lab.directory}/pcs-was-asked\nexit 1\n`);
    await fence(lab, "compute-node-2");
    expect(lab.names(lab.directory)).not.toContain("pcs-was-asked");
  });

  it.each([
    ["in capitals, as Pacemaker compares", "COMPUTE-NODE-2", NODE_2],
    ["that is the start of another's", "compute-node", ["none-detected"]],
    ["that another's is the start of", "compute-node-20", ["none-detected"]],
    ["that matches as a pattern", "compute.node.2", ["none-detected"]],
  ])("knows a node name %s", async (_what, target, names) => {
    const event = await fenceWith("window", CAPTURED_TOOLS, target);
    expect(event.target_node).toBe(target);
    expect(event.gfs2_filesystems).toEqual(names);
  });

  it("without any source says that it could not ask", async () => {
    const event = await fence(await Lab.open(), "compute-node-2");
    expect(event.gfs2_filesystems).toEqual(["none-detected"]);
    expect(event.discovery.result).toBe("unknown");
    for (const { status, reason } of event.discovery.attempts) {
      expect(["unavailable", "failed"]).toContain(status);
      expect(reason).toEqual(expect.any(String));
    }
  });

  it.each([
    ["compute-node-2", NODE_2],
    ["compute-node-3", NODE_3],
  ])("a partitioned node's own lockspaces still name those of %s", async (target, names) => {
    const view = readPartitionedViews().find(({ dlmToolLs }) => dlmToolLs.includes("wait quorum"));
    if (!view) throw new Error("no view without quorum in the fixture");
    const lab = await Lab.open();
    const capture = `${lab.directory}/capture`;
    // crm_node and the rest were not kept of that run; node ids never change, so the map is that of run 1.
    deriveCapture("healthy", lab.at(capture), (text) => text);
    writeFileSync(lab.at(`${capture}/dlm_tool-ls.txt`), view.dlmToolLs);
    writeFileSync(lab.at(`${capture}/corosync-quorumtool-s.txt`), view.quorum);
    installStandIns(lab.at(lab.tools), { capture, tools: ["dlm_tool", "crm_node", "corosync-quorumtool"] });
    lab.sh(`rm ${capture}/dlm_tool-ls-n.txt ${capture}/dlm_tool-status.txt`);
    const event = await fence(lab, target);
    expect(event.gfs2_filesystems).toEqual(names);
    expect(event.cluster?.quorate).not.toBe(true);
  });

  it("does not believe a view without quorum about the target", async () => {
    const lab = await Lab.open();
    const capture = `${lab.directory}/capture`;
    // What crm_mon says on the cut-off side: the others are unclean. Derived from the other side's view of run d.
    deriveCapture("window", lab.at(capture), (text) =>
      text.replaceAll('with_quorum="true"', 'with_quorum="false"').replaceAll('have-quorum="1"', 'have-quorum="0"'),
    );
    installStandIns(lab.at(lab.tools), { capture, tools: ["crm_mon", "cibadmin"] });
    const event = await fence(lab, "compute-node-2");
    expect(event.gfs2_filesystems).toEqual(NODE_2);
    expect(event.cluster?.quorate).toBe(false);
    expect([undefined, "unknown"]).toContain(event.cluster?.target_state);
  });
});
