/**
 * node add, node remove and the journal on real glusterd nodes, from a one-brick volume on. The remote steps go over ssh.
 * The tests stand in the order of a cluster's life: each leaves a volume that the next one takes on.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { addressOf, type GlusterLab, startGluster } from "./gluster.ts";
import { begin, recordsOf, runUntil } from "./operation-journal.ts";
import { expectDone, expectRefused } from "./outcomes.ts";
import { GLUSTER_NEEDS, liveDescribe } from "./requirements.ts";

const VOLUME = "shared_data";
const PATH = "/data/glusterfs/shared";
const brickOf = (node: string): string => `${addressOf(node)}:${PATH}`;

liveDescribe("GlusterFS nodes", GLUSTER_NEEDS, () => {
  let lab: GlusterLab;
  let sums = "";
  const words = (verb: string, node: string): string => `node ${verb} --service glusterfs --ip ${addressOf(node)}`;
  /** From a mount of its own on that node. */
  const checksums = async (node: string): Promise<string> => {
    await lab.sh(node, `mountpoint -q /mnt/gluster || mount -t glusterfs localhost:/${VOLUME} /mnt/gluster`);
    return lab.sh(node, "cd /mnt/gluster && find . -type f | sort | xargs md5sum");
  };
  /** A removed brick keeps its data, and such a place is refused: this is what the operator does by hand. */
  const emptyBrick = (node: string): Promise<string> => lab.sh(node, `rm -rf ${PATH}`);
  const isOnline = async (node: string): Promise<boolean> => {
    const health = JSON.parse((await lab.fencepost("node1", "gluster health --json")).stdout);
    return health.volumes[0].bricks.find(({ name }: { name: string }) => name === brickOf(node)).online;
  };

  beforeAll(async () => {
    lab = await startGluster(4);
    await lab.gluster("node1", `volume create ${VOLUME} ${brickOf("node1")}`);
    await lab.gluster("node1", `volume start ${VOLUME}`);
    await lab.sh("node1", `mount -t glusterfs localhost:/${VOLUME} /mnt/gluster`);
    await lab.sh(
      "node1",
      "cd /mnt/gluster && mkdir -p a/b && for i in $(seq 40); do echo $i$i >f$i; head -c 70000 /dev/urandom >a/b/r$i; done",
    );
    sums = await checksums("node1");
  });
  afterAll(() => lab?.stop());

  it("shows in a dry run the commands that it then runs, and changes nothing while it shows them", async () => {
    const before = await lab.gluster("node1", "volume info");
    const text = expectDone(await lab.fencepost("node1", `${words("add", "node2")} --dry-run`)).stdout;
    expect(text).toContain(`[DRY-RUN]    Would run: gluster --mode=script peer probe ${addressOf("node2")}`);
    const planned = JSON.parse(
      expectDone(await lab.fencepost("node1", `${words("add", "node2")} --dry-run --json`)).stdout,
    );
    expect([await lab.gluster("node1", "volume info"), await lab.pool()]).toEqual([before, ["localhost"]]);
    const ran = JSON.parse(expectDone(await lab.fencepost("node1", `${words("add", "node2")} --json`)).stdout);
    const named = (plan: { steps: { command: string[] }[] }) =>
      plan.steps.map(({ command }) => command.join(" ").replace(/\S+\.tar\.gz/, "ARCHIVE"));
    expect(named(ran.plan)).toEqual(named(planned.plan));
    const shown = JSON.parse((await lab.fencepost("node1", `journal show ${ran.journal} --json`)).stdout);
    expect(named(shown.plan)).toEqual(named(planned.plan));
    expect(shown.state).toBe("done");
    expect(await lab.bricks(VOLUME)).toEqual(["node1", "node2"].map(brickOf));
    expect(await checksums("node2")).toBe(sums);
  });

  it("adds a third node with the lines of the source's command, while the files stay readable", async () => {
    await lab.sh("node1", "cd /mnt/gluster && find /mnt/gluster -type f | xargs md5sum >/root/sums");
    const adding = lab.fencepost("node1", words("add", "node3"));
    let isOver = false;
    const done = adding.finally(() => {
      isOver = true;
    });
    // Opened by name: a listing may show an entry twice while gluster gives its client a new graph.
    while (!isOver) expect((await lab.on("node1", ["md5sum", "-c", "--quiet", "/root/sums"])).exitCode).toBe(0);
    const { stdout } = expectDone(await done);
    const address = addressOf("node3");
    expect(stdout).toContain(
      `✓ Peer ${address} added successfully\nℹ Current peer status:\n  Number of Peers: 2\nℹ Add brick to volume:\n`,
    );
    expect(stdout).toContain(`volume add-brick ${VOLUME} replica 3 ${brickOf("node3")}\n`);
    expect(stdout).not.toContain("force");
    expect(await checksums("node3")).toBe(sums);
    expect(await lab.sh("node3", `find ${PATH} -type f -not -path '*/.glusterfs/*' | wc -l`)).toBe("80\n");
    expect(await lab.sh("node1", "tail -1 /var/log/cluster_node_add.log")).toMatch(
      /^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] \[SUCCESS\] /,
    );
    const mode = await lab.sh(
      "node1",
      "stat -c %a /var/lib/fencepost/journal; stat -c %a /var/lib/fencepost/journal/*.jsonl | sort -u",
    );
    expect(mode).toBe("700\n600\n");
    expect(expectDone(await lab.fencepost("node1", "gluster health")).stdout).toContain(
      `volume ${VOLUME}: UP  bricks 3/3`,
    );
    expectDone(await lab.fencepost("node1", `gluster can-remove ${address}`));
  });

  it("refuses a place on the root filesystem, a mount point itself and one that is not empty", async () => {
    const add = (path: string) => lab.fencepost("node1", `${words("add", "node4")} --brick ${path}`);
    expectRefused(await add("/srv/brick"), /root filesystem/);
    expectRefused(await add("/data/glusterfs"), /mount point itself/);
    await lab.sh("node4", "mkdir -p /data/glusterfs/old && touch /data/glusterfs/old/x");
    expectRefused(await add("/data/glusterfs/old"), /not empty/);
    expect(await lab.pool()).toHaveLength(3);
  });

  it("takes 10.77.0.10 for no peer, though 10.77.0.1 is one", async () => {
    const ten = "10.77.0.10";
    expectRefused(
      await lab.fencepost("node1", `gluster can-remove ${ten}`),
      /10\.77\.0\.10: not a peer of this pool/,
      64,
    );
    const removed = await lab.fencepost("node1", `node remove --service glusterfs --ip ${ten}`);
    expect(`${removed.exitCode} ${removed.stderr}`).toMatch(/^(64|107) .*10\.77\.0\.10/s);
    expect(await lab.bricks(VOLUME)).toContain(brickOf("node1"));
  });

  it("refuses to add or remove anything while a brick is dead, and health says so", async () => {
    await lab.killBrick("node3", VOLUME);
    await lab.waitFor("the dead brick to be seen", async () => !(await isOnline("node3")));
    expectRefused(await lab.fencepost("node1", words("remove", "node3")), /brick \S+ is down/);
    expectRefused(await lab.fencepost("node1", words("remove", "node2")), /brick \S+ is down/);
    expectRefused(await lab.fencepost("node1", words("add", "node4")), /brick \S+ is down/);
    const health = await lab.fencepost("node1", "gluster health");
    expect([health.exitCode, health.stdout]).toEqual([
      1,
      expect.stringContaining("DEGRADED  bricks 2/3  to heal unknown"),
    ]);
    expect((await lab.fencepost("node1", `gluster can-remove ${addressOf("node2")}`)).exitCode).toBe(107);
    expect(await lab.bricks(VOLUME)).toHaveLength(3);
  });

  it("refuses to remove the bricks that a stale one must heal from, and removes one once it has healed", async () => {
    // From here on the brick of node3 is dead: what is written now only the other two have.
    await lab.gluster("node1", `volume set ${VOLUME} cluster.self-heal-daemon off`);
    await lab.sh("node1", "echo newer >/mnt/gluster/f1; echo only >/mnt/gluster/written-meanwhile");
    sums = await checksums("node1");
    await lab.gluster("node1", `volume start ${VOLUME} force`);
    await lab.waitFor("the brick to be back", () => isOnline("node3"));
    for (const node of ["node2", "node3"]) {
      expectRefused(
        await lab.fencepost("node1", words("remove", node)),
        /[1-9]\d* entries that other copies still need/,
      );
    }
    expectRefused(await lab.fencepost("node1", words("add", "node4")), /self-heal-daemon is off/);
    expect(await lab.bricks(VOLUME)).toHaveLength(3);
    await lab.gluster("node1", `volume set ${VOLUME} cluster.self-heal-daemon on`);
    await lab.gluster("node1", `volume heal ${VOLUME}`);
    await lab.waitFor("the heal", async () => (await lab.fencepost("node1", "gluster health")).exitCode === 0);
    const { stdout } = expectDone(await lab.fencepost("node1", words("remove", "node2")));
    expect(stdout).toContain(`✓ Peer ${addressOf("node2")} removed successfully`);
    expect(await lab.bricks(VOLUME)).toEqual(["node1", "node3"].map(brickOf));
    expect(await checksums("node3")).toBe(sums);
    expect(await lab.pool()).toEqual([addressOf("node3"), "localhost"]);
  });

  it("refuses a second operator on another node, says who is at work, and takes the lock of one that was killed", async () => {
    await emptyBrick("node2");
    await emptyBrick("node4");
    const lock = "/run/fencepost/gluster-pool.lock";
    const isPlan = (record: string): boolean => record === "plan";
    const { id, pid, ended } = await begin(lab.operator("node1"), words("add", "node2"), isPlan);
    await lab.on("node1", ["kill", "-STOP", String(pid)]);
    expect(await isHeld("node3")).toBe(true);
    const second = await lab.fencepost("node3", words("add", "node4"));
    expectRefused(second, /no lock on \S+.*: another operation is at work: .*"host":"node1"/);
    expect(second.stderr).toContain(`"journal":"${id}"`);
    expect(second.stderr).toMatch(/"since":"20/);
    await lab.on("node1", ["kill", "-9", String(pid)]);
    await ended;
    expectDone(await lab.fencepost("node1", `journal resume ${id}`));
    expect((await lab.bricks(VOLUME)).sort()).toEqual(["node1", "node2", "node3"].map(brickOf));
    expect(await lab.pool()).toEqual([addressOf("node2"), addressOf("node3"), "localhost"]);
    expect(await checksums("node2")).toBe(sums);
    expect(await isHeld("node3")).toBe(false);

    async function isHeld(node: string): Promise<boolean> {
      return (await lab.on(node, ["flock", "-x", "-n", lock, "true"])).exitCode === 1;
    }
  });

  it("stops between two steps at Ctrl-C and says how to go on", async () => {
    const isFirst = (record: string): boolean => record.endsWith("started");
    const { id, pid, ended } = await begin(lab.operator("node1"), words("remove", "node2"), isFirst);
    await lab.operator("node1").signal("INT", pid);
    const { exitCode, stderr } = await ended;
    expect([exitCode, stderr]).toEqual([
      10,
      expect.stringContaining(`stopped by the operator\ntry: fencepost journal resume ${id}`),
    ]);
    expectDone(await lab.fencepost("node1", `journal resume ${id}`));
    expect(await lab.pool()).toEqual([addressOf("node3"), "localhost"]);
  });

  it("stops between two steps when its terminal hangs up, and goes on to its end when nobody reads what it says", async () => {
    await emptyBrick("node2");
    const node1 = lab.operator("node1");
    // Its terminal is gone once `script`, which holds the other end of it, is.
    const { id, met } = await runUntil(
      { ...node1, start: (add) => lab.on("node1", ["script", "-qfc", `fencepost ${add}`, "/dev/null"]) },
      words("add", "node2"),
      (record) => record.endsWith("started"),
      () => lab.sh("node1", "pkill -KILL -x script"),
    );
    expect(met).toBeDefined();
    await lab.waitFor("the operation to end", () => recordsOf(node1, id).at(-1)?.startsWith("end"));
    // Unknown: in the middle of a wait.
    expect(recordsOf(node1, id).at(-1)).toMatch(/^end (stopped|unknown)$/);

    const [exitCode] = await lab.sh("node1", `fencepost journal resume ${id} | true; echo $PIPESTATUS`);
    expect([exitCode, recordsOf(node1, id).at(-1)]).toEqual(["0", "end done"]);
    expect((await lab.bricks(VOLUME)).sort()).toEqual(["node1", "node2", "node3"].map(brickOf));
    expect(await checksums("node2")).toBe(sums);
    const log = await lab.sh("node1", "cat /var/log/cluster_node_add.log");
    expect(log.slice(log.lastIndexOf(id))).toContain("Peer 10.77.0.2 added successfully");

    const full = await lab.sh("node1", `fencepost ${words("remove", "node2")} >/dev/full; echo $?`);
    expect(full).toBe("0\n");
    expect(await lab.pool()).toEqual([addressOf("node3"), "localhost"]);
  });
});
