/** Fences through a real pacemaker-fenced: the compiled recorder in, beside and instead of a proper level. */
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { AGENT, type Cluster, type FenceEvent, levelXml, REAL_AGENT, startCluster } from "./cluster.ts";
import { CLUSTER_NEEDS, liveDescribe } from "./requirements.ts";

const TARGET = "node3";
const PROPER_LEVELS = ["node1", "node2", "node3"].map((node) => levelXml(node, [`power-${node}`, "recorder"])).join("");
const topology = (levels: string) => `<fencing-topology>${levels}</fencing-topology>`;
const HUNG = "#!/bin/sh\ntrap '' TERM INT HUP\nwhile :; do sleep 1; done\n";
/** Runs the real recorder where /var/lib/pacemaker/cib/cib.xml is an empty file; Pacemaker itself still has it. */
const WITHOUT_CIB_FILE = `#!/bin/bash
exec unshare --mount bash -c 'mount --bind /dev/null /var/lib/pacemaker/cib/cib.xml && exec ${REAL_AGENT} "$@"' bash "$@"
`;

liveDescribe("the recorder in a real Pacemaker cluster", CLUSTER_NEEDS, () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster({ nodes: 3 });
  });
  afterAll(() => cluster?.stop());
  beforeEach(async () => {
    for (const node of cluster.names) {
      for (const tool of [AGENT, "/usr/sbin/cibadmin"]) if (cluster.isUp(node)) await restore(node, tool);
    }
    await cluster.heal();
    if ((await cluster.readDc()) === TARGET) {
      await cluster.killNode(TARGET);
      await cluster.waitFor("another DC", async () => (await cluster.readDc()) !== TARGET);
      await cluster.heal();
    }
    await cluster.configure("fencing-topology", topology(PROPER_LEVELS));
    await cluster.must("node1", ["stonith_admin", "--cleanup", "--history", "*"]);
    cluster.clearRecords();
  });
  const restore = (node: string, path: string) => cluster.restoreTool(node, path);
  const replaceEverywhere = async (path: string, script: string) => {
    for (const node of cluster.names) await cluster.replaceTool(node, path, script);
  };
  const reboot = (target = TARGET) =>
    cluster.on("node1", ["stonith_admin", "--reboot", target, "--timeout", "60"], { timeoutMs: 100_000 });
  const history = () => cluster.must("node1", ["stonith_admin", "--history", TARGET, "--verbose"]);
  /** The agent may leave its writer to finish: give the lines a moment, then make sure that no more come. */
  const readEvents = async (count: number): Promise<FenceEvent[]> => {
    await cluster.waitFor(`${count} events`, () => cluster.allEvents().length >= count, { timeoutMs: 8_000 });
    await new Promise((resolve) => setTimeout(resolve, 300));
    return cluster.allEvents();
  };

  it("is listed by stonith_admin and described by pcs", async () => {
    expect((await cluster.must("node1", ["stonith_admin", "--list-installed"])).split(/\s+/)).toContain(
      "fence_gfs2_recorder",
    );
    const described = await cluster.must("node1", ["pcs", "stonith", "describe", "fence_gfs2_recorder"], {
      timeoutMs: 60_000,
    });
    for (const parameter of ["log_dir", "kubectl_cmd", "kubeconfig", "discovery_timeout", "role"]) {
      expect(described).toMatch(new RegExp(`^ {2}${parameter}\\b`, "m"));
    }
  });

  it("records an off and an on when Pacemaker reboots a node through the level [power, recorder]", async () => {
    const dc = await cluster.readDc();
    const result = await reboot();
    expect(result).toMatchObject({ exitCode: 0 });
    const events = await readEvents(2);
    expect(events.map(({ action }) => action)).toEqual(["off", "on"]);
    for (const event of events) {
      expect(event).toMatchObject({ target_node: TARGET, status: "initiated", source: "stonith", role: "record" });
      expect(event.cluster).toMatchObject({ name: "lab", dc, quorate: true });
      expect(event.recorder_node).toBe(event.on_node);
    }
    expect(events[0]).toMatchObject({ guard: "ok", gfs2_filesystems: ["gfs2-project", "gfs2-scratch"] });
    expect(await history()).toMatch(/reboot of node3 successful/);
  });

  it.each([
    [
      "a level of its own",
      topology(
        `${PROPER_LEVELS.replace(/<fencing-level id="level-node3-1".*?\/>/, "")}${levelXml(TARGET, ["recorder"])}`,
      ),
    ],
    ["no topology at all", topology("")],
  ])("refuses to vouch as the target's only device (%s)", async (_, levels) => {
    await cluster.configure("fencing-topology", levels);
    // Without a topology Pacemaker tries every device that can: take the power switch away.
    const without = levels === topology("");
    if (without)
      await cluster.must("node1", [
        "crm_resource",
        "-r",
        `power-${TARGET}`,
        "-m",
        "-p",
        "target-role",
        "-v",
        "Stopped",
      ]);
    try {
      if (without)
        await cluster.waitFor(
          "no power device",
          async () => !(await cluster.must("node1", ["stonith_admin", "-l", TARGET])).includes("power"),
        );
      const result = await reboot();
      expect(result).toMatchObject({ exitCode: 1 });
      const events = await readEvents(2);
      // A fencer asks once more before it gives up; without a topology the next node's fencer is asked too.
      const perNode = Map.groupBy(events, (event) => event.on_node);
      for (const onNode of perNode.values()) expect(onNode).toHaveLength(2);
      if (!without) expect(perNode.size).toBe(1);
      for (const event of events) {
        expect(event).toMatchObject({ action: "reboot", target_node: TARGET, status: "refused", guard: "unsafe" });
      }
      expect(await history()).toMatch(/reboot of node3 (on behalf of \S+ )?failed/i);
      expect(await cluster.onlineNodes("node1")).toContain(TARGET);
    } finally {
      if (without) await cluster.must("node1", ["crm_resource", "-r", `power-${TARGET}`, "-m", "-d", "target-role"]);
    }
  });

  it("decides by the CIB on disk when cibadmin hangs", async () => {
    await replaceEverywhere("/usr/sbin/cibadmin", HUNG);
    const result = await reboot();
    expect(result).toMatchObject({ exitCode: 0 });
    const events = await readEvents(2);
    expect(events[0]).toMatchObject({ action: "off", target_node: TARGET, status: "initiated", guard: "ok" });
    for (const event of events) expect(Number(event.recorded_ms) - Number(event.time_ms)).toBeLessThan(5_500);
  });

  it("refuses when neither cibadmin nor the CIB on disk answers and no verdict is known", async () => {
    await replaceEverywhere("/usr/sbin/cibadmin", HUNG);
    await replaceEverywhere(AGENT, WITHOUT_CIB_FILE);
    const result = await reboot();
    expect(result).toMatchObject({ exitCode: 1 });
    const events = await readEvents(2);
    for (const event of events) {
      expect(event).toMatchObject({ action: "off", target_node: TARGET, status: "refused", guard: "unknown" });
    }
  });

  it("remembers its last verdict when neither cibadmin nor the CIB on disk answers", async () => {
    const executor = async () => [...new Set((await readEvents(2)).map((event) => String(event.on_node)))];
    expect(await reboot()).toMatchObject({ exitCode: 0 });
    const [first] = await executor();
    await cluster.heal();
    await replaceEverywhere("/usr/sbin/cibadmin", HUNG);
    await replaceEverywhere(AGENT, WITHOUT_CIB_FILE);
    // Only the node that looked then has the verdict; ask it again by the way the fencer does.
    const again = await cluster.on(String(first), [AGENT], {
      env: { PCMK_service: "pacemaker-fenced", LC_ALL: "C" },
      input: `action=off\nnodename=${TARGET}\nplug=${TARGET}\n`,
    });
    expect(again).toMatchObject({ exitCode: 0 });
    const last = (await readEvents(3)).at(-1);
    expect(last).toMatchObject({ action: "off", target_node: TARGET, status: "initiated", guard: "ok" });
  });

  it("names the node and keeps the alias when pcmk_host_map gives it another plug", async () => {
    const map = "node1:bmc-1;node2:bmc-2;node3:bmc-3";
    await cluster.must("node1", ["crm_resource", "-r", "recorder", "-p", "pcmk_host_map", "-v", map]);
    try {
      await cluster.waitHealthy();
      expect(await reboot()).toMatchObject({ exitCode: 0 });
      const events = await readEvents(2);
      expect(events.map(({ action, target_node, plug, guard }) => ({ action, target_node, plug, guard }))).toEqual([
        { action: "off", target_node: TARGET, plug: "bmc-3", guard: "ok" },
        expect.objectContaining({ action: "on", target_node: TARGET, plug: "bmc-3" }),
      ]);
    } finally {
      await cluster.must("node1", ["crm_resource", "-r", "recorder", "-d", "pcmk_host_map"]);
    }
  });

  it("stays in its level when a first list or status would fail, because Pacemaker does not ask", async () => {
    await replaceEverywhere(
      AGENT,
      `#!/bin/bash
[ $# -gt 0 ] && exec ${REAL_AGENT} "$@"
text=$(cat)
action=$(sed -n 's/^action=//p' <<<"$text")
echo "$action" >>/var/log/asked
case $action in list | list-status | status) echo "cannot say" >&2; exit 1 ;; esac
exec ${REAL_AGENT} <<<"$text"
`,
    );
    // Without a host list Pacemaker would ask the device, if it offered to answer.
    await cluster.must("node1", ["crm_resource", "-r", "recorder", "-d", "pcmk_host_list"]);
    try {
      await cluster.waitHealthy();
      expect(await reboot()).toMatchObject({ exitCode: 0 });
      expect((await readEvents(2)).map(({ action, target_node }) => [action, target_node])).toEqual([
        ["off", TARGET],
        ["on", TARGET],
      ]);
      const survivors = cluster.names.filter((node) => node !== TARGET);
      const asked = (
        await Promise.all(survivors.map((node) => cluster.must(node, ["sh", "-c", "cat /var/log/asked || true"])))
      ).join("");
      expect(asked).toMatch(/^off$/m);
      expect(asked).not.toMatch(/^(list|list-status|status)$/m);
    } finally {
      await cluster.must("node1", [
        "crm_resource",
        "-r",
        "recorder",
        "-p",
        "pcmk_host_list",
        "-v",
        cluster.names.join(" "),
      ]);
    }
  });

  it("never makes an event of a monitor, status, list, metadata or validate-all", async () => {
    const actions = ["monitor", "status", "list", "list-status", "metadata", "meta-data", "validate-all", "manpage"];
    for (const action of actions) {
      for (const env of [{}, { PCMK_service: "pacemaker-fenced" }] as Record<string, string>[]) {
        await cluster.on("node1", [AGENT, "-o", action, "-n", TARGET], { env });
        await cluster.on("node1", [AGENT], { env, input: `action=${action}\nnodename=${TARGET}\nplug=${TARGET}\n` });
      }
    }
    // And by way of the fencer: the resource's own start and monitor.
    await cluster.must("node1", ["crm_resource", "--refresh", "-r", "recorder"], { timeoutMs: 60_000 });
    await cluster.waitHealthy();
    const operations = await cluster.must("node1", ["cibadmin", "-Q", "--xpath", "//lrm_resource[@id='recorder']"]);
    expect(operations).toMatch(/operation="monitor"[^>]*rc-code="0"/);
    expect(cluster.allEvents()).toEqual([]);
  });
});
