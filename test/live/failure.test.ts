/** Nodes that are really gone, and nodes that only think the others are. */
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { AGENT, type Cluster, startCluster } from "./cluster.ts";
import { CLUSTER_NEEDS, liveDescribe } from "./requirements.ts";

const TARGET = "node3";

liveDescribe("the recorder when a node fails", CLUSTER_NEEDS, () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster({ nodes: 3 });
  });
  afterAll(() => cluster?.stop());
  beforeEach(async () => {
    await cluster.heal();
    await cluster.must("node1", ["stonith_admin", "--cleanup", "--history", "*"]);
    cluster.clearRecords();
  });

  it.each([
    ["on a node that mounts all of them", "node1", "node2"],
    ["on a node that does not mount one of them", "node2", "node1"],
  ])(
    "names the filesystems of a node that is really gone, before its fencing completes (%s)",
    async (_, executor, other) => {
      for (const device of ["recorder", `power-${TARGET}`]) {
        await cluster.must("node1", ["crm_resource", "-r", device, "--clear"]);
        await cluster.must("node1", ["crm_resource", "-r", device, "--ban", "-N", other]);
      }
      await cluster.waitHealthy();
      const killedMs = Date.now();
      await cluster.killNode(TARGET);
      const off = await cluster.waitFor("the off event", () =>
        cluster.allEvents().find(({ action }) => action === "off"),
      );
      expect(off).toMatchObject({
        recorder_node: executor,
        target_node: TARGET,
        status: "initiated",
        source: "stonith",
        guard: "ok",
        gfs2_filesystems: ["gfs2-project", "gfs2-scratch"],
        discovery: { result: "found", method: "dlm", scope: "target" },
        cluster: { name: "lab", quorate: true, target_state: "unclean" },
      });
      // The window: the survivors' DLM still counts the dead node as a member and waits for the fencing.
      const lockspaces = await cluster.must("node1", ["dlm_tool", "ls"]);
      expect(lockspaces).toMatch(
        /name +gfs2-scratch\n.*?\nmembers +1 2 3 \n.*?\nnew status +wait fencing\nnew members +1 2 \n/s,
      );
      await cluster.waitFor("the fencing has succeeded", async () => {
        const history = await cluster.must("node1", ["stonith_admin", "--history", TARGET, "--verbose"]);
        return /reboot of node3 successful/.test(history);
      });
      const history = await cluster.must("node1", [
        "stonith_admin",
        "--history",
        TARGET,
        "--verbose",
        "--output-as=xml",
      ]);
      const completedMs = Date.parse(/completed="([^"]+)"/.exec(history)?.[1]?.replace(" ", "T") ?? "");
      expect(Number(off.time_ms)).toBeGreaterThan(killedMs);
      expect(Number(off.time_ms)).toBeLessThan(completedMs + 1_000); // Pacemaker rounds it down to a second
      // The `on` half may be skipped by Pacemaker 2.1.5 (devices banned from the node that asks): no more than one.
      const actions = cluster.allEvents().map(({ action, target_node }) => `${action} ${target_node}`);
      expect([`off ${TARGET}`, `off ${TARGET},on ${TARGET}`]).toContain(actions.join());
    },
  );

  it("does not trust the view of a node without quorum", async () => {
    cluster.followPower(false); // let the cut-off node live, so that it can be asked
    await cluster.setLink(TARGET, false);
    await cluster.waitFor("node3 sees that it lost quorum", async () => {
      const view = await cluster.on(TARGET, ["crm_mon", "-1", "--output-as=xml"]);
      return /with_quorum="false"/.test(view.stdout) && /name="node1"[^>]*unclean="true"/.test(view.stdout);
    });
    const result = await cluster.on(TARGET, [AGENT, "-o", "off", "-n", "node1"]);
    expect(result).toMatchObject({ exitCode: 0 });
    await cluster.waitFor("its event", () => cluster.events(TARGET).length > 0);
    expect(cluster.events(TARGET)).toEqual([
      expect.objectContaining({
        action: "off",
        target_node: "node1",
        source: "manual",
        cluster: expect.objectContaining({ name: "lab", quorate: false, target_state: "unknown" }),
      }),
    ]);
  });
});
