/**
 * More faults on real glusterd nodes: a peer's glusterd that dies while a copy is added, clocks that differ, a disk that runs
 * out of inodes. Data is compared by checksums that another node reads through its own mount.
 * Not real: one node's `date`, which tells another time: the nodes' namespaces share the machine's clock.
 */
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import type { Output } from "./cluster.ts";
import { addressOf, type GlusterLab, startGluster } from "./gluster.ts";
import { recordsOf, runUntil } from "./gluster-journal.ts";
import { GLUSTER_NEEDS, liveDescribe } from "./requirements.ts";

// A case is many questions to gluster and over ssh; on a machine with other work each takes seconds.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 300_000 });

const brick = (node: string, volume: string): string => `${addressOf(node)}:/data/glusterfs/${volume}`;
const ADD = (node: string): string => `node add --service glusterfs --ip ${addressOf(node)}`;

liveDescribe("more GlusterFS faults", GLUSTER_NEEDS, () => {
  let lab: GlusterLab;
  let sums = "";
  const exits = ({ exitCode, stderr }: Output): string => `${exitCode} ${stderr}`;
  const fencepost = (words: string, timeoutMs = 150_000): Promise<Output> => lab.fencepost("node1", words, { timeoutMs });
  const bricks = async (volume: string): Promise<string[]> =>
    [...(await lab.gluster("node1", `volume info ${volume}`)).matchAll(/^Brick\d+: (\S+)/gm)].map(
      ([, name]) => name ?? "",
    );
  const mount = (node: string, volume: string): Promise<string> =>
    lab.sh(
      node,
      `mkdir -p /mnt/${volume}; mountpoint -q /mnt/${volume} || mount -t glusterfs localhost:/${volume} /mnt/${volume}`,
    );
  const checksums = async (node: string, volume: string): Promise<string> => {
    await mount(node, volume);
    return lab.sh(node, `cd /mnt/${volume} && find . -type f | sort | xargs md5sum`);
  };
  const onBrick = (node: string, volume: string): Promise<string> =>
    lab.sh(node, `cd /data/glusterfs/${volume} && find . -type f -not -path './.glusterfs/*' | sort | xargs md5sum`);
  const waitForPeers = (wanted: "Connected" | "Disconnected") =>
    lab.waitFor(`peers ${wanted}`, async () => {
      const states = (await lab.gluster("node1", "peer status")).match(/^State: .*$/gm) ?? [];
      return wanted === "Disconnected"
        ? states.some((state) => state.includes("(Disconnected)"))
        : states.every((state) => state.includes("Peer in Cluster (Connected)"));
    });

  beforeAll(async () => {
    lab = await startGluster(4);
    for (const node of ["node2", "node3", "node4"]) await lab.gluster("node1", `peer probe ${addressOf(node)}`);
    await waitForPeers("Connected");
    await lab.gluster("node1", `volume create rep replica 2 ${brick("node1", "rep")} ${brick("node2", "rep")}`);
    await lab.gluster("node1", "volume start rep");
    await mount("node1", "rep");
    await lab.sh("node1", "cd /mnt/rep && for i in $(seq 40); do head -c 70000 /dev/urandom >f$i; done");
    sums = await checksums("node2", "rep");
  });
  afterAll(() => lab?.stop());

  it("adds a copy although glusterd of another node dies in the middle", async () => {
    const { id, met, output } = await runUntil(
      lab,
      ADD("node3"),
      (record) => record === "step add-brick started",
      async () => {
        await lab.sh("node2", "kill -9 $(pgrep -x glusterd)");
        await waitForPeers("Disconnected");
        await lab.sh("node2", "glusterd");
      },
    );
    console.log(exits(output), output.stdout);
    console.log(recordsOf(lab, id));
    expect(met).toBeDefined();
    await waitForPeers("Connected");
    expect(await bricks("rep")).toEqual(["node1", "node2", "node3"].map((node) => brick(node, "rep")));
    expect(await checksums("node2", "rep")).toBe(sums);
    expect(await onBrick("node3", "rep")).toBe(sums);
  });
});
