/**
 * node add and node remove on distributed, distributed-replicated and arbiter volumes of real glusterd nodes.
 * Whatever is moved or removed, the checksums from another node's mount stay the same.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Output } from "./cluster.ts";
import { addressOf, brickOf, type GlusterLab, startGluster } from "./gluster.ts";
import { exits } from "./outcomes.ts";
import { GLUSTER_NEEDS, liveDescribe } from "./requirements.ts";

liveDescribe("GlusterFS volumes of every shape", GLUSTER_NEEDS, () => {
  let lab: GlusterLab;
  const add = (nodes: readonly string[], more: string): Promise<Output> =>
    lab.fencepost(
      "node1",
      `node add --service glusterfs ${nodes.map((node) => `--ip ${addressOf(node)}`).join(" ")}${more}`,
    );
  const remove = (nodes: readonly string[]): Promise<Output> =>
    lab.fencepost(
      "node1",
      `node remove --service glusterfs ${nodes.map((node) => `--ip ${addressOf(node)}`).join(" ")}`,
    );
  async function createVolume(volume: string, words: string): Promise<string> {
    await lab.gluster("node1", `volume create ${volume} ${words}`);
    await lab.gluster("node1", `volume start ${volume}`);
    await lab.mount("node1", volume);
    await lab.sh("node1", `cd /mnt/${volume} && for i in $(seq 60); do echo ${volume}$i >f$i; done`);
    return lab.checksums("node1", volume);
  }
  async function deleteVolume(volume: string): Promise<void> {
    for (const node of lab.names) await lab.sh(node, `umount /mnt/${volume} 2>/dev/null || true`);
    await lab.gluster("node1", `volume stop ${volume}`);
    await lab.gluster("node1", `volume delete ${volume}`);
  }

  beforeAll(async () => {
    lab = await startGluster(4);
    await lab.gluster("node1", `peer probe ${addressOf("node2")}`);
    await lab.waitForPeers();
  });
  afterAll(() => lab?.stop());

  it("gives a distributed volume more room, and takes a brick out only after its data has moved", async () => {
    const sums = await createVolume("dist", `${brickOf("node1", "dist")} ${brickOf("node2", "dist")}`);
    expect(exits(await add(["node3"], ""))).toMatch(/^0 /);
    expect(await lab.bricks("dist")).toEqual(["node1", "node2", "node3"].map((node) => brickOf(node, "dist")));
    expect(await lab.sh("node3", "find /data/glusterfs/dist -name 'f*' -size +0 | head -1")).not.toBe("");
    expect(await lab.checksums("node2", "dist")).toBe(sums);
    const removed = await remove(["node3"]);
    expect(exits(removed)).toMatch(/^0 /);
    expect(removed.stdout).toContain(`✓ Brick ${brickOf("node3", "dist")} is empty\n`);
    expect(await lab.bricks("dist")).toEqual(["node1", "node2"].map((node) => brickOf(node, "dist")));
    expect(await lab.checksums("node2", "dist")).toBe(sums);
  });

  it("says loudly that a distributed volume with a dead brick serves a part of its files, and changes nothing in it", async () => {
    await lab.killBrick("node2", "dist");
    const health = await lab.waitFor("the dead brick to be seen", async () => {
      const result = await lab.fencepost("node1", "gluster health --volume dist");
      return result.exitCode === 0 ? undefined : result;
    });
    expect(exits(health as Output)).toMatch(/^107 /);
    expect((health as Output).stdout).toMatch(/volume dist: PARTIAL[\s\S]*1 of 2 parts do not serve/);
    const complete = await lab.fencepost("node1", "gluster volume-complete dist");
    expect([complete.exitCode, complete.stdout]).toEqual([107, expect.stringContaining("not complete")]);
    for (const refused of [await remove(["node2"]), await add(["node3"], " --brick /data/glusterfs/dist2")]) {
      expect(exits(refused)).toMatch(/^107 .*brick \S+ is down/);
    }
    expect(await lab.bricks("dist")).toHaveLength(2);
    await lab.gluster("node1", "volume start dist force");
    await lab.waitFor(
      "the brick to be back",
      async () => (await lab.fencepost("node1", "gluster volume-complete dist")).exitCode === 0,
    );
    await deleteVolume("dist");
  });

  it("adds and removes whole replica sets of a distributed-replicated volume, and says how many bricks it takes", async () => {
    const sums = await createVolume("dr", `replica 2 ${brickOf("node1", "dr")} ${brickOf("node2", "dr")}`);
    const few = await add(["node3"], " --as distribute");
    expect(exits(few)).toMatch(/^64 .*you need 2 bricks, a replica set of 2 more; 1 brick given/);
    expect(exits(await add(["node3", "node4"], " --as distribute"))).toMatch(/^0 /);
    expect(await lab.gluster("node1", "volume info dr")).toContain("Number of Bricks: 2 x 2 = 4");
    expect(await lab.checksums("node4", "dr")).toBe(sums);
    await lab.sh("node4", "umount /mnt/dr");
    expect(exits(await remove(["node3"]))).toMatch(
      /^64 .*you need one of each set \(2 bricks\) for one copy less, or all 2 of a set/,
    );
    expect(exits(await remove(["node3", "node4"]))).toMatch(/^0 /);
    expect(await lab.bricks("dr")).toEqual(["node1", "node2"].map((node) => brickOf(node, "dr")));
    expect(await lab.checksums("node2", "dr")).toBe(sums);
    await deleteVolume("dr");
  });

  it("adds an arbiter to a replica 2 volume and takes it away again", async () => {
    const sums = await createVolume("arb", `replica 2 ${brickOf("node1", "arb")} ${brickOf("node2", "arb")}`);
    expect(exits(await add(["node3"], " --as arbiter"))).toMatch(/^0 /);
    expect(await lab.gluster("node1", "volume info arb")).toContain("Number of Bricks: 1 x (2 + 1) = 3");
    expect(exits(await remove(["node2"]))).toMatch(/^64 .*remove the arbiter first/);
    expect(exits(await remove(["node3"]))).toMatch(/^0 /);
    expect(await lab.gluster("node1", "volume info arb")).toContain("Number of Bricks: 1 x 2 = 2");
    expect(await lab.checksums("node2", "arb")).toBe(sums);
    const [id = ""] = (await lab.fencepost("node1", "journal list")).stdout.trim().split("\n").at(-1)?.split(" ") ?? [];
    expect(exits(await lab.fencepost("node1", `journal undo ${id}`))).toMatch(/^107 .*cannot be taken back/);
    expect(await lab.bricks("arb")).toHaveLength(2);
  });

  const killGlusterd = async (node: string): Promise<void> => {
    await lab.sh(node, `for p in /proc/[0-9]*; do [ "$(cat $p/comm)" != glusterd ] || kill -9 "\${p#/proc/}"; done`);
    await lab.waitForPeers("Disconnected");
  };

  it("takes a dead node without a brick out of the pool, which gluster does without force", async () => {
    await lab.gluster("node1", `peer probe ${addressOf("node4")}`);
    await lab.waitForPeers();
    await killGlusterd("node4");
    const removed = await remove(["node4"]);
    expect(exits(removed)).toMatch(/^0 /);
    expect(removed.stderr).toContain(`${addressOf("node4")} is not connected and not told`);
    expect(await lab.pool()).toEqual([addressOf("node2"), "localhost"]);
  });

  it("refuses every change while glusterd of a peer is dead, and its bricks count as unknown", async () => {
    await killGlusterd("node2");
    for (const refused of [await add(["node3"], " --brick /data/glusterfs/arb2"), await remove(["node2"])]) {
      expect(exits(refused)).toMatch(/^107 .*peer \S+ is not connected/);
    }
    const { stdout, exitCode } = await lab.fencepost("node1", "gluster health --json");
    const [volume] = JSON.parse(stdout).volumes;
    expect(volume.bricks.map(({ online }: { online: boolean | null }) => online)).toEqual([true, null]);
    expect(exitCode).not.toBe(0);
    expect(await lab.bricks("arb")).toHaveLength(2);
  });
});
