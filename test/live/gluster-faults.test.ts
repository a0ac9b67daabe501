/**
 * Faults at the worst moment, on real glusterd nodes: whatever dies, nothing is lost, nothing is forced, and the files have
 * the same checksums from another node's mount. Not real: one `gluster` stand-in that answers heal info as 10.3 did once,
 * with no bricks at all, which no real one does on demand.
 * The tests stand in the order of the volumes' lives: `rep` has three copies, `dist` three bricks, `dr` two replica sets.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Output } from "./cluster.ts";
import { addressOf, brickOf, type GlusterLab, startGluster } from "./gluster.ts";
import { begin, recordsOf, runAndKill, runUntil } from "./operation-journal.ts";
import { exits } from "./outcomes.ts";
import { GLUSTER_NEEDS, liveDescribe } from "./requirements.ts";

const ADD = (node: string, more = ""): string => `node add --service glusterfs --ip ${addressOf(node)}${more}`;
const REMOVE = (...nodes: string[]): string =>
  `node remove --service glusterfs ${nodes.map((node) => `--ip ${addressOf(node)}`).join(" ")}`;

liveDescribe("GlusterFS faults", GLUSTER_NEEDS, () => {
  let lab: GlusterLab;
  const sums = new Map<string, string>();
  const fencepost = (words: string, node = "node1"): Promise<Output> => lab.fencepost(node, words);
  const expectWhole = async (volume: string): Promise<void> => {
    expect(await lab.checksums("node2", volume)).toBe(sums.get(volume));
  };
  const emptyBrick = (node: string, volume: string): Promise<string> =>
    lab.sh(node, `rm -rf /data/glusterfs/${volume}`);
  /** By its name: bricks and self-heal daemons are the same executable. */
  const signalGlusterd = (node: string, signal: string): Promise<string> =>
    lab.sh(
      node,
      `for p in /proc/[0-9]*; do [ "$(cat $p/comm 2>/dev/null)" != glusterd ] || kill -${signal} "\${p#/proc/}"; done`,
    );
  const waitForHealth = (volume: string) =>
    lab.waitFor(
      `${volume} to be whole`,
      async () => (await fencepost(`gluster health --volume ${volume}`)).exitCode === 0,
    );
  /** No operation of ours has ever forced anything but a lower replica count. */
  const expectNothingForced = async (id: string): Promise<void> => {
    const { stdout } = await fencepost(`journal show ${id} --json`);
    const forced = (JSON.parse(stdout).plan.steps as { command: string[] }[]).filter(
      ({ command }) => command.includes("force") && !(command.includes("remove-brick") && command.includes("replica")),
    );
    expect(forced).toEqual([]);
  };
  async function createVolume(volume: string, words: string, files: number, bytes: number): Promise<void> {
    await lab.gluster("node1", `volume create ${volume} ${words}`);
    await lab.gluster("node1", `volume start ${volume}`);
    await lab.sh(
      "node1",
      `mkdir -p /mnt/${volume}; mount -t glusterfs localhost:/${volume} /mnt/${volume}; cd /mnt/${volume} && for i in $(seq ${files}); do head -c ${bytes} /dev/urandom >f$i; done`,
    );
    sums.set(volume, await lab.checksums("node1", volume));
  }
  async function deleteVolume(volume: string): Promise<void> {
    for (const node of lab.names) await lab.sh(node, `umount /mnt/${volume} 2>/dev/null || true`);
    await lab.gluster("node1", `volume stop ${volume}`);
    await lab.gluster("node1", `volume delete ${volume}`);
    for (const node of lab.names) await emptyBrick(node, volume);
  }

  beforeAll(async () => {
    lab = await startGluster(4);
    for (const node of ["node2", "node3", "node4"]) await lab.gluster("node1", `peer probe ${addressOf(node)}`);
    await lab.waitForPeers();
    await createVolume(
      "rep",
      `replica 2 ${["node1", "node2"].map((node) => brickOf(node, "rep")).join(" ")}`,
      40,
      70_000,
    );
  });
  afterAll(() => lab?.stop());

  it("adds a copy while somebody else has glusterd's lock again and again", async () => {
    const options = "volume set rep performance.cache-size 64MB";
    const others = ["node2", "node4"].map((node) =>
      lab.sh(
        node,
        `for i in $(seq 4); do gluster --mode=script ${options} 2>&1; gluster volume status rep 2>&1; done || true`,
      ),
    );
    // While the lock is in other hands a brick may not be told of: that is refused, and asked again.
    await lab.waitFor(
      "the copy to be added",
      async () => {
        const added = await fencepost(ADD("node3"));
        expect(exits(added)).toMatch(/^0 |^107 .*is not told of|in progress/s);
        return added.exitCode === 0;
      },
      { timeoutMs: 240_000 },
    );
    // They were in each other's way, and in ours.
    expect((await Promise.all(others)).join()).toMatch(/Another transaction is in progress|Locking failed/);
    expect(await lab.bricks("rep")).toEqual(["node1", "node2", "node3"].map((node) => brickOf(node, "rep")));
    await expectWhole("rep");
  });

  it("refuses every removal when heal info names no brick at all", async () => {
    const fake = "/usr/local/sbin/gluster";
    await lab.on("node1", ["tee", fake], {
      input: `#!/bin/bash
case "$*" in
*"heal rep info summary") echo '<cliOutput><healInfo><bricks/></healInfo><opRet>-1</opRet><opErrno>2</opErrno><opErrstr/></cliOutput>'; exit 149;;
*) exec /usr/sbin/gluster "$@";;
esac
`,
    });
    await lab.must("node1", ["chmod", "+x", fake]);
    expect(exits(await fencepost(REMOVE("node3")))).toMatch(/^107 .*heal info could not be read/s);
    expect((await fencepost("gluster health --volume rep")).exitCode).toBe(76);
    await lab.must("node1", ["rm", fake]);
    expect(await lab.bricks("rep")).toHaveLength(3);
  });

  it("refuses to remove a copy while a file blames one, of which heal info says nothing, until it is healed", async () => {
    // What a lost entry of the index leaves behind, as in gluster-lost-index.test.ts.
    await lab.sh("node1", "setfattr -n trusted.afr.rep-client-2 -v 0x000000010000000100000000 /data/glusterfs/rep/f7");
    await lab.sh("node3", "truncate -s 0 /data/glusterfs/rep/f7");
    expect(exits(await fencepost("gluster health --volume rep"))).toMatch(/^0 /s);
    const { id, output } = await runUntil(
      lab.operator("node1"),
      REMOVE("node3"),
      () => false,
      async () => undefined,
    );
    expect(exits(output)).toMatch(/^107 .*1 file \(\/data\/glusterfs\/rep\/f7\) of which another copy is not whole/s);
    expect(await lab.bricks("rep")).toHaveLength(3);
    await lab.gluster("node1", "volume heal rep full");
    await lab.waitFor("the removal to be safe", async () => (await fencepost(`journal resume ${id}`)).exitCode === 0);
    expect(await lab.bricks("rep")).toEqual(["node1", "node2"].map((node) => brickOf(node, "rep")));
    await expectWhole("rep");
  });

  it("takes no place whose disk is not mounted, or that is marked as a brick though it is empty", async () => {
    await lab.sh("node3", "umount /data/glusterfs");
    expect(exits(await fencepost(ADD("node3")))).toMatch(/^107 .*root filesystem/s);
    await lab.sh("node3", "mount -t tmpfs -o size=512m tmpfs /data/glusterfs");
    const mark = "0x697467a9339c4cf0b4bacac8641a96a8";
    await lab.sh(
      "node3",
      `mkdir /data/glusterfs/rep; setfattr -n trusted.glusterfs.volume-id -v ${mark} /data/glusterfs/rep`,
    );
    for (const path of ["/data/glusterfs/rep", "/data/glusterfs/rep/below"]) {
      expect(exits(await fencepost(ADD("node3", ` --brick ${path}`)))).toMatch(/^107 .*marked as a volume's brick/s);
    }
    await emptyBrick("node3", "rep");
  });

  it("reports data that could not be moved because a brick died, and takes the removal back", async () => {
    await deleteVolume("rep");
    await lab.gluster("node1", `peer probe ${addressOf("node3")}`);
    await lab.waitForPeers();
    await createVolume("dist", ["node1", "node2", "node3"].map((node) => brickOf(node, "dist")).join(" "), 60, 70_000);
    const { id, output } = await runUntil(
      lab.operator("node1"),
      REMOVE("node3"),
      (record) => record === "step remove-brick-start-dist started",
      () => lab.killBrick("node2", "dist"),
    );
    expect(exits(output)).toMatch(/^107 .*data was not moved/s);
    expect(exits(await fencepost(`journal resume ${id}`))).toMatch(/^107 /s);
    await lab.gluster("node1", "volume start dist force");
    await waitForHealth("dist");
    expect(exits(await fencepost(`journal undo ${id}`))).toMatch(/^0 /s);
    expect(await lab.bricks("dist")).toHaveLength(3);
    await expectWhole("dist");
  });

  it("removes a brick although glusterd of another node dies while the data moves, and commits only with all nodes there", async () => {
    const { id, met, output } = await runUntil(
      lab.operator("node1"),
      REMOVE("node3"),
      (record) => record === "step remove-brick-start-dist done",
      () => signalGlusterd("node2", "KILL"),
    );
    expect(met).toBeDefined();
    await lab.waitForPeers("Disconnected");
    expect(output.exitCode).not.toBe(0);
    expect(await lab.bricks("dist")).toHaveLength(3);
    expect(exits(await fencepost(`journal resume ${id}`))).toMatch(/^(107|10|124|1) /);
    expect(await lab.bricks("dist")).toHaveLength(3);
    await lab.sh("node2", "glusterd");
    await lab.waitForPeers();
    await waitForHealth("dist");
    expect(exits(await fencepost(`journal resume ${id}`))).toMatch(/^0 /s);
    expect(await lab.bricks("dist")).toEqual(["node1", "node2"].map((node) => brickOf(node, "dist")));
    await expectNothingForced(id);
    await expectWhole("dist");
  });

  it("reports a rebalance that a dead brick ended, and a resume rebalances again; of two operators at once one is refused", async () => {
    await emptyBrick("node3", "dist");
    const { id, output } = await runUntil(
      lab.operator("node1"),
      ADD("node3", " --as distribute"),
      (record) => record === "step rebalance started",
      () => lab.killBrick("node2", "dist"),
    );
    expect(exits(output)).toMatch(/^107 .*data was not moved/s);
    await lab.gluster("node1", "volume start dist force");
    await waitForHealth("dist");
    expect(exits(await fencepost(`journal resume ${id}`))).toMatch(/^0 /s);
    await expectWhole("dist");
    const node1 = lab.operator("node1");
    const { pid, ended } = await begin(node1, REMOVE("node3"), (record) => record.endsWith("started"));
    await node1.signal("STOP", pid);
    expect(exits(await fencepost(REMOVE("node3"), "node2"))).toMatch(/^107 .*another operation is at work/s);
    await node1.signal("CONT", pid);
    expect(exits(await ended)).toMatch(/^0 /);
    expect(await lab.bricks("dist")).toHaveLength(2);
    await expectWhole("dist");
    await deleteVolume("dist");
  });

  it("refuses a commit that is gone on with after entries to heal have appeared, and commits once they are healed", async () => {
    await lab.gluster("node1", `peer probe ${addressOf("node3")}`);
    await lab.waitForPeers();
    await createVolume("dr", `replica 2 ${lab.names.map((node) => brickOf(node, "dr")).join(" ")}`, 40, 10_000);
    const { id, met } = await runAndKill(
      lab.operator("node1"),
      REMOVE("node3", "node4"),
      (record) => record === "step remove-brick-start-dr done",
    );
    expect(met).toBeDefined();
    await lab.gluster("node1", "volume set dr cluster.self-heal-daemon off");
    await lab.killBrick("node2", "dr");
    await lab.sh("node1", "for i in $(seq 40); do echo $i >/mnt/dr/f$i; done");
    sums.set("dr", await lab.checksums("node1", "dr"));
    await lab.gluster("node1", "volume start dr force");
    const resume = await lab.waitFor("the brick to be back", async () => {
      const again = await fencepost(`journal resume ${id}`);
      return again.stderr.includes("is down") ? undefined : again;
    });
    expect(exits(resume)).toMatch(/^107 .*[1-9]\d* entries that other copies still need/s);
    expect(await lab.bricks("dr")).toHaveLength(4);
    await lab.gluster("node1", "volume set dr cluster.self-heal-daemon on");
    await lab.gluster("node1", "volume heal dr");
    await lab.waitFor("the commit to be safe", async () => (await fencepost(`journal resume ${id}`)).exitCode === 0);
    expect(recordsOf(lab.operator("node1"), id)).toContain("step remove-brick-commit-dr done");
    expect(await lab.bricks("dr")).toEqual(["node1", "node2"].map((node) => brickOf(node, "dr")));
    await expectWhole("dr");
  });

  it("calls no copy healed whose disk is full, and ends once there is room", async () => {
    await deleteVolume("dr");
    await createVolume(
      "full",
      `replica 2 ${["node1", "node2"].map((node) => brickOf(node, "full")).join(" ")}`,
      40,
      70_000,
    );
    // 40 files of 70,000 bytes do not go in here.
    await lab.sh("node4", "mount -t tmpfs -o size=2m tmpfs /data/glusterfs");
    const { output } = await runUntil(
      lab.operator("node1"),
      ADD("node4"),
      (record) => record === "step add-brick done",
      async () => {
        await lab.waitFor("no room to be left", async () =>
          /^ *0$/m.test(await lab.sh("node4", "df --output=avail /data/glusterfs")),
        );
        expect((await fencepost("gluster health --volume full")).exitCode).not.toBe(0);
        await lab.sh("node4", "mount -o remount,size=512m /data/glusterfs");
        await lab.waitFor("the new copy to be whole", async () => {
          // A brick that cannot write its own health check ends itself.
          await lab.gluster("node1", "volume start full force");
          return (await fencepost("gluster health --volume full")).exitCode === 0;
        });
      },
    );
    expect(exits(output)).toMatch(/^0 /s);
    const found = "cd /data/glusterfs/full && find . -type f -not -path './.glusterfs/*' | sort | xargs md5sum";
    expect(await lab.sh("node4", found)).toBe(sums.get("full"));
    await expectWhole("full");
  });
});
