/**
 * fencepost gluster heal, options, backup, split-brain, rebalance, replace-brick, reset-brick, troubleshoot on real glusterd.
 * One lab for all: r3 lives on node1 to node3 throughout, what a case breaks it mends. Data is compared by checksums that
 * another node reads through its own mount.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Output } from "./cluster.ts";
import { addressOf, type GlusterLab, startGluster } from "./gluster.ts";
import { GLUSTER_NEEDS, liveDescribe } from "./requirements.ts";

liveDescribe("fencepost gluster", GLUSTER_NEEDS, () => {
  let lab: GlusterLab;
  let sums = "";
  const brick = (node: string, volume: string): string => `${addressOf(node)}:/data/glusterfs/${volume}`;
  const bricks = (nodes: readonly string[], volume: string): string =>
    nodes.map((node) => brick(node, volume)).join(" ");
  const ours = (words: string): Promise<Output> => lab.fencepost("node1", `gluster ${words}`);
  const exits = ({ exitCode, stderr }: Output): string => `${exitCode} ${stderr}`;
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
  const killBrick = async (node: string, volume: string): Promise<void> => {
    await lab.sh(node, `kill -9 $(cat /run/gluster/vols/${volume}/*.pid)`);
    await lab.waitFor("the dead brick to be seen", async () => !(await isOnline(node, volume)));
  };
  const reviveBrick = async (node: string, volume: string): Promise<void> => {
    await lab.gluster("node1", `volume start ${volume} force`);
    await lab.waitFor("the brick to be back", () => isOnline(node, volume));
  };
  const isOnline = async (node: string, volume: string): Promise<boolean> => {
    const health = JSON.parse((await ours(`health --volume ${volume} --json`)).stdout);
    return health.volumes[0].bricks.find(({ name }: { name: string }) => name === brick(node, volume)).online;
  };
  async function createVolume(volume: string, words: string): Promise<void> {
    await lab.gluster("node1", `volume create ${volume} ${words}`);
    await lab.gluster("node1", `volume start ${volume}`);
    await mount("node1", volume);
  }

  beforeAll(async () => {
    lab = await startGluster(4);
    for (const node of ["node2", "node3", "node4"]) await lab.gluster("node1", `peer probe ${addressOf(node)}`);
    await lab.waitFor("four peers", async () =>
      /(Peer in Cluster \(Connected\)[\s\S]*){3}/.test(await lab.gluster("node1", "peer status")),
    );
    await createVolume("r3", `replica 3 ${bricks(["node1", "node2", "node3"], "r3")}`);
    await lab.sh(
      "node1",
      "cd /mnt/r3 && mkdir -p a && for i in $(seq 40); do echo $i >f$i; head -c 9000 /dev/urandom >a/r$i; done",
    );
    sums = await checksums("node2", "r3");
  });
  afterAll(() => lab?.stop());

  it("heals what was written while a brick was down, telling what is left by brick, and waits for its end", async () => {
    await killBrick("node3", "r3");
    await lab.sh("node1", "cd /mnt/r3 && for i in $(seq 60); do echo new$i >a/new$i; done; echo changed >f1");
    const down = await ours("heal r3 --info");
    expect([down.exitCode, down.stdout]).toEqual([76, expect.stringContaining("to heal unknown")]);
    // Held back until the heal is ours to start.
    await lab.gluster("node1", "volume set r3 cluster.self-heal-daemon off");
    await reviveBrick("node3", "r3");
    const pending = await ours("heal r3 --info --json");
    expect(pending.exitCode).toBe(1);
    const counts = JSON.parse(pending.stdout).bricks.map((one: { entries_to_heal: number }) => one.entries_to_heal);
    expect(counts.slice(0, 2).every((count: number) => count >= 61)).toBe(true);
    expect(exits(await ours("heal r3"))).toMatch(/^107 .*cluster.self-heal-daemon is off/);
    await lab.gluster("node1", "volume set r3 cluster.self-heal-daemon on");
    const healed = await ours("heal r3");
    expect(exits(healed)).toMatch(/^0 /);
    expect(healed.stdout).toContain("✓ Volume r3 healed");
    sums = await checksums("node2", "r3");
    expect((await ours("heal r3 --info")).exitCode).toBe(0);
    expect(await onBrick("node3", "r3")).toBe(await onBrick("node1", "r3"));
  });

  it("compares every file on demand, and says it is done only when the crawl has ended", async () => {
    expect(exits(await ours("heal r3 --full"))).toMatch(/^0 /);
    const statistics = await lab.gluster("node1", "volume heal r3 statistics");
    expect(statistics).toMatch(/Ending time of crawl: .*\n\nType of crawl: FULL/);
  });

  it("shows options against the recommended ones, sets them, and takes each back to what it was", async () => {
    await lab.gluster("node1", "volume set r3 network.ping-timeout 33");
    const drift = await ours("options r3");
    expect([drift.exitCode, drift.stdout]).toEqual([
      1,
      expect.stringMatching(/network.ping-timeout +33 +set +recommended: 10/),
    ]);
    const set = await ours("options r3 --recommended --json");
    expect(exits(set)).toMatch(/^0 /);
    expect((await ours("options r3")).exitCode).toBe(0);
    const { journal } = JSON.parse(set.stdout.trim().split("\n").at(-1) ?? "");
    expect(exits(await lab.fencepost("node1", `journal undo ${journal}`))).toMatch(/^0 /);
    const info = await lab.gluster("node1", "volume info r3");
    expect(info).toContain("network.ping-timeout: 33\n");
    expect(info).not.toContain("performance.cache-size");
  });

  it("refuses an option that would put data at risk, and one that gluster does not know", async () => {
    expect(exits(await ours("options r3 --set cluster.self-heal-daemon=off"))).toMatch(
      /^107 .*a copy that was down would stay stale/,
    );
    expect(exits(await ours("options r3 --set cluster.quorum-type=none"))).toMatch(/^107 .*split-brain/);
    expect(exits(await ours("options r3 --set io.cache-size=1MB"))).toMatch(/^64 .*performance.cache-size/);
    const refused = await ours("options r3 --set performance.cache-size=nonsense");
    expect(exits(refused)).toMatch(/^1 .*performance.cache-size/);
    expect(await lab.gluster("node1", "volume info r3")).not.toContain("nonsense");
  });

  it("archives glusterd's configuration, checks it, and sees when the archive is no longer what it was", async () => {
    const made = await ours("backup --json");
    expect(exits(made)).toMatch(/^0 /);
    const { archive, state, volumes } = JSON.parse(made.stdout);
    expect(await lab.sh("node1", `stat -c %a ${archive} ${state} ${volumes}`)).toBe("640\n640\n640\n");
    expect(await lab.sh("node1", `tar -tzf ${archive}`)).toContain("glusterd/vols/r3/info\n");
    expect((await ours(`backup --verify ${archive}`)).exitCode).toBe(0);
    await lab.sh("node1", `cp ${archive} /root/whole && truncate -s -100 ${archive}`);
    const spoiled = await ours(`backup --verify ${archive}`);
    expect([spoiled.exitCode, spoiled.stdout]).toEqual([1, expect.stringContaining("not whole")]);
    await lab.sh("node1", `cp /root/whole ${archive}`);
  });
});
