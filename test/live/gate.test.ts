/** Fences through role=gate on a real Pacemaker: they wait for the responder, succeed and fail by its word alone. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { type Cluster, cibXml, levelXml, startCluster, stonithXml } from "./cluster.ts";
import { CLUSTER_NEEDS, liveDescribe } from "./requirements.ts";

const TARGET = "node3";
const REQUESTS = "/var/run/fence_recorder/requests";
const PID_FILE = "/run/gate-responder.pid";
const GATE = stonithXml("gate", "fence_gfs2_recorder", {
  role: "gate",
  recorder_timeout: "6",
  pcmk_host_list: "node1 node2 node3",
});
const topology = (devices: readonly string[]) =>
  `<fencing-topology>${["node1", "node2"].map((node) => levelXml(node, [`power-${node}`])).join("")}${levelXml(TARGET, devices)}</fencing-topology>`;

liveDescribe("role=gate in a real Pacemaker cluster", [...CLUSTER_NEEDS, "crmsh"], () => {
  let cluster: Cluster;
  /** The responder's command waits for this file, where it is told to wait. */
  let go: string;
  beforeAll(async () => {
    const configuration = cibXml(3).replace('<primitive id="recorder"', `${GATE}<primitive id="recorder"`);
    cluster = await startCluster({ nodes: 3, configuration });
    go = join(cluster.lab, "power", "go");
  });
  afterAll(() => cluster?.stop());
  beforeEach(async () => {
    for (const node of cluster.names) if (cluster.isUp(node)) await stopResponder(node);
    await cluster.heal();
    if ((await cluster.readDc()) === TARGET) {
      await cluster.killNode(TARGET);
      await cluster.waitFor("another DC", async () => (await cluster.readDc()) !== TARGET);
      await cluster.heal();
    }
    await cluster.configure("fencing-topology", topology(["gate"]));
    await cluster.must("node1", ["stonith_admin", "--cleanup", "--history", "*"]);
    rmSync(go, { force: true });
    cluster.clearRecords();
  });

  const stopResponder = (node: string) =>
    cluster.must(node, [
      "sh",
      "-c",
      'if [ -e "$0" ]; then kill "$(cat "$0")" || true; while kill -0 "$(cat "$0")" 2>/dev/null; do sleep 0.05; done; rm "$0"; fi',
      PID_FILE,
    ]);
  /** On each node that may be asked to fence: whose fencer it is, is Pacemaker's choice. */
  async function startResponders(script: string): Promise<void> {
    for (const node of ["node1", "node2"]) {
      const words = ["/usr/bin/fencepost", "gate-responder", "--poll-interval=0.1", "--", "sh", "-c", script];
      cluster
        .on(node, ["sh", "-c", 'echo $$ >"$0"; exec "$@"', PID_FILE, ...words], { timeoutMs: 240_000 })
        .catch(() => undefined); // it ends with the test or with the node
    }
  }
  const off = () =>
    cluster.on("node1", ["stonith_admin", "--fence", TARGET, "--timeout", "60"], { timeoutMs: 100_000 });
  const history = () => cluster.must("node1", ["stonith_admin", "--history", TARGET, "--verbose"]);
  const switchOff = () => `printf off >"${cluster.lab}/power/$FENCE_TARGET"`;
  const statuses = () => cluster.allEvents().map(({ role, status }) => `${String(role)} ${status}`);
  const requestsOn = async (node: string) =>
    (await cluster.must(node, ["sh", "-c", 'ls -A "$0" 2>/dev/null || true', REQUESTS])).trim();

  it.each([
    ["pcs", "stonith"],
    ["crm", "configure"],
  ])("is set up by the command of docs/gate.md (%s)", async (tool, word) => {
    const docs = readFileSync(join(import.meta.dirname, "../../docs/gate.md"), "utf8");
    const [, command = ""] = new RegExp(`^\`\`\`sh\\n(${tool} ${word}[^\`]*)\`\`\`$`, "m").exec(docs) ?? [];
    await cluster.must("node1", ["mkdir", "-p", "/var/log/crmsh"]); // its package's; a node's /var/log is empty here
    // The bench has a device of that name already, and nodes of other names.
    const here = command.replaceAll("compute-node-", "node").replace(/\bgate\b/, "documented");
    const output = await cluster.must("node1", ["sh", "-euc", here], { timeoutMs: 120_000 });
    // crm tells of the bench's own startup-fencing=false whatever it is asked.
    expect(output.replace(/^.*Blind faith.*$/m, "")).not.toMatch(/error|warning/i);
    try {
      await cluster.waitFor("the device to be started", async () =>
        /documented\b.*Started/.test(await cluster.must("node1", ["crm_mon", "-1"])),
      );
      expect(await cluster.must("node1", ["stonith_admin", "-l", TARGET])).toMatch(/documented/);
    } finally {
      await cluster.must("node1", ["crm_resource", "-r", "documented", "-m", "-p", "target-role", "-v", "Stopped"]);
      await cluster.waitFor("the device to be stopped", async () =>
        /documented\b.*Stopped/.test(await cluster.must("node1", ["crm_mon", "-1", "-r"])),
      );
      await cluster.must("node1", ["cibadmin", "--delete", "--xml-text", '<primitive id="documented"/>']);
    }
  });

  it("waits for the responder, and has fenced when it says yes", async () => {
    await startResponders(`while ! [ -e "${go}" ]; do sleep 0.05; done; ${switchOff()}`);
    let ended = false;
    const fencing = off().finally(() => {
      ended = true;
    });
    await cluster.waitFor("a responder that has the request", async () =>
      /claim/.test((await requestsOn("node1")) + (await requestsOn("node2"))),
    );
    expect(await cluster.onlineNodes("node1")).toContain(TARGET);
    expect(ended).toBe(false);
    writeFileSync(go, "");
    expect(await fencing).toMatchObject({ exitCode: 0 });
    expect(await history()).toMatch(/off of node3 successful/);
    await cluster.waitFor("the node to be off", () => !cluster.isUp(TARGET));
    await cluster.waitFor("both lines", () => cluster.allEvents().length >= 2);
    expect(statuses()).toEqual(["gate requested", "gate completed"]);
    for (const event of cluster.allEvents()) {
      expect(event).toMatchObject({ action: "off", target_node: TARGET, source: "stonith" });
      expect(event.gfs2_filesystems).toEqual(["gfs2-project", "gfs2-scratch"]);
    }
  });

  it("has not fenced when the responder says no", async () => {
    await startResponders("echo 'the rabbit does not answer' >&2; exit 1");
    expect((await off()).exitCode).not.toBe(0);
    expect(await history()).toMatch(/off of node3 (on behalf of \S+ )?failed/i);
    expect(await cluster.onlineNodes("node1")).toContain(TARGET);
    await cluster.waitFor("the lines", () => cluster.allEvents().length >= 2);
    const failed = cluster.allEvents().filter(({ status }) => status === "failed");
    expect(statuses()).not.toContain("gate completed");
    expect(String(failed[0]?.details)).toMatch(/the rabbit does not answer/);
  });

  it("has not fenced when there is no responder, although nothing else failed", async () => {
    expect((await off()).exitCode).not.toBe(0);
    expect(await cluster.onlineNodes("node1")).toContain(TARGET);
    await cluster.waitFor("the lines", () => cluster.allEvents().length >= 2);
    expect(statuses()).not.toContain("gate completed");
    const failed = cluster.allEvents().filter(({ status }) => status === "failed");
    expect(String(failed[0]?.details)).toMatch(/timed out after 6 s/);
    for (const node of ["node1", "node2"]) expect(await requestsOn(node)).toBe("");
  });

  it("counts for a recorder in its level as the device that fences", async () => {
    await cluster.configure("fencing-topology", topology(["gate", "recorder"]));
    await startResponders(switchOff());
    expect(await off()).toMatchObject({ exitCode: 0 });
    await cluster.waitFor("three lines", () => cluster.allEvents().length >= 3);
    expect(statuses().sort()).toEqual(["gate completed", "gate requested", "record initiated"]);
    expect(cluster.allEvents().find(({ role }) => role === "record")).toMatchObject({ guard: "ok" });
  });
});
