/**
 * The alert agent and the OCF agent in a real Pacemaker cluster, set up with pcs: every fence's end is recorded, once.
 * Source: issue 4, points 2 and 3.
 */
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { type Cluster, run, startCluster } from "./cluster.ts";
import { CLUSTER_NEEDS, EXECUTABLE, liveDescribe } from "./requirements.ts";

const TARGET = "node3";
const SURVIVORS = ["node1", "node2"] as const;
const ALERT = "/usr/share/pacemaker/alerts/alert_gfs2_recorder";
const OCF = "ocf:fencepost:fence_gfs2_recorder";
/** What the package puts there, with the owners that it gives them. */
const INSTALL = `
mkdir -p /usr/share/pacemaker/alerts /usr/lib/ocf/resource.d/fencepost
ln -sfn /usr/bin/fencepost ${ALERT}
ln -sfn /usr/bin/fencepost /usr/lib/ocf/resource.d/fencepost/fence_gfs2_recorder
chmod 755 /var/lib/fencepost
install -d -o hacluster -g haclient -m 0700 /var/lib/fencepost/inbox
`;
const PCS = { timeoutMs: 90_000 };

liveDescribe("the alert and the OCF agent in a real Pacemaker cluster", CLUSTER_NEEDS, () => {
  let cluster: Cluster;
  const install = async () => {
    for (const node of cluster.names) await cluster.must(node, ["sh", "-euc", INSTALL]);
  };
  beforeAll(async () => {
    cluster = await startCluster({ nodes: 3 });
    await install();
  });
  afterAll(() => cluster?.stop());
  beforeEach(async () => {
    await cluster.heal();
    await install();
    if ((await cluster.readDc()) === TARGET) {
      await cluster.killNode(TARGET);
      await cluster.waitFor("another DC", async () => (await cluster.readDc()) !== TARGET);
      await cluster.heal();
      await install();
    }
    // Nodes send each other what they know: one that has not heard of the cleaning brings a fence back.
    await cluster.waitFor("an empty history on every node", async () => {
      await cluster.must("node1", ["stonith_admin", "--cleanup", "--history", "*"]);
      const known = cluster.names.map((node) =>
        cluster.must(node, ["stonith_admin", "--history", "*", "--output-as=xml"]),
      );
      return !(await Promise.all(known)).join("").includes("<fence_event");
    });
    cluster.clearRecords();
    await install(); // what was cleared is more than records
  });
  const reboot = () =>
    cluster.on("node1", ["stonith_admin", "--reboot", TARGET, "--timeout", "60"], { timeoutMs: 100_000 });
  const outcomes = (node: string) => cluster.events(node, "fence-outcomes.jsonl");
  const recover = (node: string) => cluster.must(node, ["fencepost", "recover"]);
  const clientOf = (operation: unknown): string => String((operation as Record<string, unknown>).client);
  /** Each end that a node's log tells of, however many requests were merged into it. */
  const endsOn = (node: string) => [
    ...new Set(
      outcomes(node).map(({ action, target_node, status, source }) => `${action} ${target_node} ${status} ${source}`),
    ),
  ];
  /** The records of both survivors as one, the way an admin looks at them. */
  const incidents = async (): Promise<unknown[]> => {
    const logs = SURVIVORS.map((node) => cluster.diskPath(node, "log/gfs2-fencing"));
    const { stdout } = await run([EXECUTABLE, "analyze", "incidents", "--json", ...logs], { timeoutMs: 20_000 });
    return stdout
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as unknown);
  };
  const waiting = async (node: string) =>
    (await cluster.must(node, ["ls", "/var/lib/fencepost/inbox"])).split("\n").filter(Boolean);

  it("records the true end of each fence by alert, on every node, joined with what the recorder wrote", async () => {
    await cluster.must("node1", ["pcs", "alert", "create", "id=fencepost", `path=${ALERT}`], PCS);
    try {
      expect(await reboot()).toMatchObject({ exitCode: 0 });
      for (const node of SURVIVORS) {
        await cluster.waitFor(`the alert on ${node}`, async () => (await waiting(node)).length > 0);
        await cluster.waitFor("an empty inbox", async () => {
          await recover(node);
          return (await waiting(node)).length === 0;
        });
        expect(endsOn(node)).toEqual(["reboot node3 succeeded alert"]);
      }
      // The same request has the same name on every node; one that was merged into it is told of where it was asked.
      const asked = (node: string) =>
        outcomes(node).find(({ operation }) => clientOf(operation).startsWith("stonith_admin."));
      expect(asked("node1")?.event_id).toBe(asked("node2")?.event_id);
      const ids = outcomes("node1").map(({ event_id }) => event_id);
      expect(new Set(ids).size).toBe(ids.length);
      expect(await incidents()).toMatchObject([
        { action: "reboot", result: "succeeded", recorded: true, actions: ["off", "on"] },
      ]);

      await cluster.heal();
      cluster.clearRecords();
      await install();
      for (const node of cluster.names)
        await cluster.replaceTool(node, "/usr/sbin/fence_dummy", "#!/bin/sh\n[ -t 0 ] || cat >/dev/null\nexit 1\n");
      expect((await reboot()).exitCode).not.toBe(0);
      for (const node of SURVIVORS) {
        await cluster.waitFor(`the alert on ${node}`, async () => (await waiting(node)).length > 0);
        await recover(node);
        expect(endsOn(node)).toEqual(["reboot node3 failed alert"]);
      }
    } finally {
      for (const node of cluster.names)
        if (cluster.isUp(node)) await cluster.restoreTool(node, "/usr/sbin/fence_dummy");
      await cluster.must("node1", ["pcs", "alert", "remove", "fencepost"], PCS);
    }
  });

  it("is described by pcs, created as a clone, and records each fence that no alert told of, once in the cluster", async () => {
    const described = await cluster.must("node1", ["pcs", "resource", "describe", OCF], PCS);
    for (const parameter of ["log_dir", "config", "reconcile", "reconcile_window", "reconcile_scope"])
      expect(described).toMatch(new RegExp(`^ {2}${parameter}\\b`, "m"));
    const words = ["op", "monitor", "interval=5s", "timeout=60s", "clone"];
    const created = await cluster.on("node1", ["pcs", "resource", "create", "watch", OCF, ...words], PCS);
    expect(created).toMatchObject({ exitCode: 0 });
    expect(created.stderr).not.toMatch(/error|not valid|invalid/i);
    try {
      const started = async () =>
        (await cluster.must("node1", ["crm_resource", "--locate", "-r", "watch-clone"])).match(/is running on/g)
          ?.length;
      await cluster.waitFor("the clone on every node", async () => (await started()) === 3, { timeoutMs: 60_000 });
      expect(await reboot()).toMatchObject({ exitCode: 0 });
      const all = () => SURVIVORS.flatMap(outcomes);
      await cluster.waitFor("the reconciled outcome", () => all().length > 0, { timeoutMs: 90_000 });
      const looked = async () =>
        Promise.all(SURVIVORS.map((node) => cluster.must(node, ["fencepost", "recover", "--reconcile"])));
      await looked();
      await looked();
      expect(all()).toMatchObject([
        { action: "reboot", target_node: TARGET, status: "succeeded", source: "reconcile" },
      ]);
      const [event] = cluster.allEvents();
      expect(all()[0]).toMatchObject({ on_node: event?.on_node, operation: { delegate: event?.on_node } });
      const failures = await cluster.must("node1", ["crm_mon", "-1", "--failcounts"]);
      expect(failures).not.toMatch(/watch.*fail-count/);
    } finally {
      await cluster.must("node1", ["pcs", "resource", "delete", "watch", "--force"], PCS);
    }
  });

  it("makes pcs refuse the name without its class, which is then ambiguous", async () => {
    const refused = await cluster.on("node1", ["pcs", "resource", "create", "X", "fence_gfs2_recorder"], PCS);
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain(`Multiple agents match 'fence_gfs2_recorder', please specify full name: '${OCF}'`);
    expect(refused.stderr).toContain("'stonith:fence_gfs2_recorder'");
    const cib = await cluster.must("node1", ["cibadmin", "-Q", "--scope", "resources"]);
    expect(cib).not.toContain('id="X"');
  });
});
