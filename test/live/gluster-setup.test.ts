/**
 * `fencepost gluster setup` on real glusterd nodes, from machines where nothing is set up: the first node, a second and a
 * third. What is done on another node goes over ssh. The tests stand in the order of a cluster's life.
 * systemd does not run in these nodes: what setup says and does then is shown, what it does with systemd is not.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Output } from "./cluster.ts";
import { addressOf, type GlusterLab, startGluster } from "./gluster.ts";
import { idsOf, killAtEachRecord, runAndKill } from "./operation-journal.ts";
import { expectDone, expectRefused } from "./outcomes.ts";
import { GLUSTER_NEEDS, liveDescribe } from "./requirements.ts";

const VOLUME = "shared_data";
const PATH = "/data/glusterfs/shared";
const MOUNT = "/mnt/gluster";
const CONFIG = "/root/my_multihead_cluster.yaml";
const LINE = `localhost:/${VOLUME} ${MOUNT} glusterfs defaults,_netdev,nofail,x-systemd.requires=glusterd.service 0 0`;
const TREE = ["config", "frontend_builds", "slurm", "slurm/logs", "slurm/spool", "slurm/state", "uploads"];
/** Thirty starts of the program and hundreds of ssh connections: no more than a bound for a machine that stalls. */
const LOOP_MS = 600_000;
const brickOf = (node: string): string => `${addressOf(node)}:${PATH}`;

/** The source's file, as its document has it, for the nodes of the lab. */
const configFor = (nodes: readonly string[]): string => `storage:
  glusterfs:
    volume_name: ${VOLUME}          # Volume name
    replica_count: auto               # 'auto' or specific number (2, 3, 4...)
    brick_path: ${PATH}  # Brick directory
    mount_point: ${MOUNT}         # Mount point

nodes:
  controllers:
${nodes
  .map(
    (node, index) => `    - hostname: ${node}
      ip_address: ${addressOf(node)}
      priority: ${100 - index}
      services:
        glusterfs: true               # Enable GlusterFS on this controller
        mariadb: true
        redis: true
        slurm: true
        web: true
        keepalived: true
      vip_owner: ${index === 0}
`,
  )
  .join("")}`;

liveDescribe("GlusterFS setup", GLUSTER_NEEDS, () => {
  let lab: GlusterLab;
  const words = (more = ""): string => `gluster setup --config ${CONFIG} ${more}`.trim();
  const setup = (node: string, more = ""): Promise<Output> => lab.fencepost(node, words(more));
  const checksums = (node: string): Promise<string> =>
    lab.sh(node, `mountpoint -q ${MOUNT} && cd ${MOUNT} && find . -type f | sort | xargs md5sum`);
  /** One mount, one line in fstab, the mode as it was, nothing lost of what stood there. */
  const expectMounted = async (node: string): Promise<void> => {
    expect(await lab.sh(node, `grep -c ' ${MOUNT} fuse.glusterfs ' /proc/mounts`)).toBe("1\n");
    expect(await lab.sh(node, "cat /etc/fstab")).toBe(`# a comment\nUUID=1 /old ext4 defaults 0 1\n${LINE}\n`);
    expect(await lab.sh(node, "stat -c %a /etc/fstab /etc/fstab.fencepost-* | sort -u")).toBe("644\n");
  };
  const stopGlusterd = async (node: string): Promise<void> => {
    await lab.sh(node, "kill $(pgrep -x glusterd)");
    await lab.waitFor("glusterd to end", async () => (await lab.on(node, ["pgrep", "-x", "glusterd"])).exitCode === 1);
  };
  /** As a machine is on which nobody has set anything up: only the packages are there. */
  const makeEmpty = async (node: string): Promise<void> => {
    if ((await lab.on(node, ["pgrep", "-x", "glusterd"])).exitCode === 0) await stopGlusterd(node);
    await lab.sh(node, `rm -rf /var/lib/glusterd/* ${PATH}*; [ ! -e ${MOUNT} ] || rmdir ${MOUNT}`);
  };
  const resetFstab = (node: string): Promise<string> =>
    lab.sh(node, "rm -f /etc/fstab.fencepost-*; printf '# a comment\\nUUID=1 /old ext4 defaults 0 1' >/etc/fstab");

  const expectUntouched = async (node: string): Promise<void> =>
    expect(
      await lab.sh(
        node,
        `ls -A /data/glusterfs; ls -d ${MOUNT} /var/lib/glusterd/vols /var/lib/glusterd/peers 2>/dev/null; pgrep -x glusterd || true`,
      ),
    ).toBe("");

  beforeAll(async () => {
    lab = await startGluster(3);
    for (const node of lab.names) {
      await lab.on(node, ["tee", CONFIG], { input: configFor(lab.names) });
      await resetFstab(node);
      await lab.sh(node, "chmod 644 /etc/fstab");
      await makeEmpty(node);
    }
  });
  afterAll(() => lab?.stop());

  it("shows in a dry run what it would do, with the source's lines, and touches nothing", async () => {
    const { stdout } = expectDone(await setup("node1", "--dry-run"));
    for (const line of [
      "[INFO] No active nodes found → Bootstrap mode",
      `[DRY-RUN] Would create directory: ${PATH}`,
      `[DRY-RUN] Would create/join volume: ${VOLUME}`,
      `[DRY-RUN]    Would run: gluster --mode=script volume create ${VOLUME} ${brickOf("node1")}`,
    ])
      expect(stdout).toContain(`${line}\n`);
    await expectUntouched("node1");
  });

  it("takes no silence for an absence: it makes no cluster while another controller does not answer", async () => {
    await lab.sh("node3", "kill $(cat /run/sshd.pid)");
    expectRefused(await setup("node1"), /no active node was found, but these may be: node3 \(10\.77\.0\.3\)/);
    expectRefused(await setup("node1", "--join"), /no active node has volume shared_data, and some did not answer/);
    await lab.must("node3", [
      ...["/usr/sbin/sshd", "-f", "/dev/null", "-h", "/run/sshd/host_key", "-o", "UsePAM=no", "-o", "StrictModes=no"],
      ...["-o", "PidFile=/run/sshd.pid", "-o", "PermitRootLogin=yes", "-E", "/var/log/sshd.log"],
    ]);
    await expectUntouched("node1");
  });

  it("refuses a brick on the root filesystem and one in a place that is not empty, and names the line of a bad key", async () => {
    const other = (from: string, to: string) =>
      lab.on("node1", ["tee", "/root/other.yaml"], { input: configFor(lab.names).replace(from, to) });
    const run = () => lab.fencepost("node1", "gluster setup --config /root/other.yaml --bootstrap");
    await other(`brick_path: ${PATH}`, "brick_path: /srv/brick");
    expectRefused(await run(), /root filesystem/);
    await lab.sh("node1", "mkdir /data/glusterfs/old && touch /data/glusterfs/old/x");
    await other(`brick_path: ${PATH}`, "brick_path: /data/glusterfs/old");
    expectRefused(await run(), /is not empty/);
    await other("replica_count: auto", "replica_count: many");
    const bad = await run();
    expect([bad.exitCode, bad.stderr]).toEqual([
      78,
      expect.stringContaining("/root/other.yaml:4: storage.glusterfs.replica_count: not 'auto' or a number"),
    ]);
    await lab.sh("node1", "rm -r /data/glusterfs/old");
    await expectUntouched("node1");
  });

  /** A step that was killed before its end may be found done. */
  const expectKilled = (kills: readonly string[], steps: readonly string[]): void => {
    for (const step of steps) {
      expect(kills).toContain(`step ${step} started`);
      expect([`step ${step} done`, `step ${step} already`].filter((one) => kills.includes(one))).not.toEqual([]);
    }
  };
  /** Kills a setup once its journal has that record. */
  async function killAfter(node: string, record: string): Promise<string> {
    const { id, met } = await runAndKill(lab.operator(node), words(), (one) => one === record);
    expect(met?.record).toBe(record);
    return id;
  }

  it(
    "makes one cluster of two first nodes begun at once, and takes it back while it holds no file",
    async () => {
      const nodes = ["node1", "node2"];
      const results = await Promise.all(nodes.map((node) => setup(node)));
      for (const { exitCode, stderr } of results) expect(`${exitCode} ${stderr}`).toMatch(/^(0|107) /);
      expect(results.map(({ exitCode }) => exitCode)).toContain(0);
      const ids = await Promise.all(
        nodes.map(async (node) =>
          (await lab.on(node, ["gluster", "volume", "info"])).stdout.match(/^Volume ID: \S+/gm),
        ),
      );
      expect(new Set(ids.flatMap((id) => id ?? [])).size).toBe(1);
      // Whoever came second, and joined or was refused, goes first.
      const inOrder =
        results[0]?.exitCode === 0 && /Bootstrap mode/.test(results[0].stdout) ? nodes.toReversed() : nodes;
      for (const node of inOrder) {
        for (const id of idsOf(lab.operator(node))) expectDone(await lab.fencepost(node, `journal undo ${id}`));
        await lab.sh(node, `[ ! -e ${PATH} ] && [ ! -e ${MOUNT} ] && ! grep -q ${MOUNT} /etc/fstab /proc/mounts`);
      }
      for (const node of nodes) {
        expect(await lab.sh(node, "ls /var/lib/glusterd/vols 2>/dev/null || true")).toBe("");
        await resetFstab(node);
        await makeEmpty(node);
      }
    },
    LOOP_MS,
  );

  it(
    "makes the first node whole although it is killed after every record of its journal",
    async () => {
      // Alone in its file, so that the twenty restarts need not lock the others by ssh.
      await lab.on("node1", ["tee", "/root/other.yaml"], { input: configFor(["node1"]) });
      const alone = "gluster setup --config /root/other.yaml";
      const { kills } = await killAtEachRecord(lab.operator("node1"), alone);
      expectKilled(kills, ["service", "brick-directory", "volume-create", "volume-start", "mount-entry", "mount"]);
      expect(await lab.bricks(VOLUME)).toEqual([brickOf("node1")]);
      await expectMounted("node1");
      expect(await lab.sh("node1", `cd ${MOUNT} && find . -mindepth 1 -type d -printf '%P\\n' | sort`)).toBe(
        `${TREE.join("\n")}\n`,
      );
      const options = await lab.gluster("node1", `volume info ${VOLUME}`);
      expect(options).toMatch(/performance.cache-size: 256MB/);
      expect(options).toMatch(/network.ping-timeout: 10/);
      // Refused by gluster on a volume of one copy, and of no use there.
      expect(options).not.toMatch(/self-heal-daemon/);
      await lab.sh("node1", `cd ${MOUNT} && for i in $(seq 30); do echo $i$i >uploads/f$i; done`);
    },
    LOOP_MS,
  );

  it("changes nothing when it is run again: every step is so already", async () => {
    const before = await lab.gluster("node1", "volume info");
    const report = JSON.parse(expectDone(await setup("node1", "--json")).stdout);
    expect(report.mode).toBe("member");
    expect(new Set(report.steps.map(({ status }: { status: string }) => status))).toEqual(new Set(["already"]));
    expect(await lab.gluster("node1", "volume info")).toBe(before);
    await expectMounted("node1");
  });

  it("makes no second cluster: not by order, and not while the node that has the volume is dumb", async () => {
    expectRefused(await setup("node2", "--bootstrap"), /--bootstrap would make a second cluster: node1/);
    await stopGlusterd("node1");
    expectRefused(
      await setup("node2"),
      /it has \/var\/lib\/glusterd\/vols\/shared_data, but its glusterd does not answer/,
    );
    expectRefused(await setup("node2", "--bootstrap"), /there is a pool already: node1/);
    await lab.sh("node1", "glusterd");
    await lab.waitFor(
      "glusterd on node1",
      async () => (await lab.on("node1", ["gluster", "pool", "list"])).exitCode === 0,
    );
    await expectUntouched("node2");
  });

  it(
    "takes back the joining of a node although that is killed after every record too: no brick and no peer is left",
    async () => {
      const id = await killAfter("node2", "step mount done");
      expect(await lab.bricks(VOLUME)).toHaveLength(2);
      await lab.waitFor("the heal", async () => (await lab.fencepost("node1", "gluster health")).exitCode === 0);
      const { kills } = await killAtEachRecord(lab.operator("node2"), `journal undo ${id}`, "undo");
      expect(kills).toEqual(
        expect.arrayContaining(["step mount undoing", "step add-brick undoing", "step add-brick undone"]),
      );
      expect(await lab.bricks(VOLUME)).toEqual([brickOf("node1")]);
      expect(await lab.pool()).toEqual(["localhost"]);
      expect(await lab.sh("node2", "cat /etc/fstab")).not.toContain(MOUNT);
      expect(await lab.sh("node2", `grep -c ' ${MOUNT} ' /proc/mounts || true`)).toBe("0\n");
      expect(await lab.sh("node2", `ls -d ${MOUNT} ${PATH} 2>/dev/null || true`)).toBe("");
      expect(await lab.sh("node1", `cat ${MOUNT}/uploads/f30`)).toBe("3030\n");
      expect(await lab.sh("node2", "grep -c '\\] \\[INFO\\] ℹ Undo: ' /var/log/cluster_storage_setup.log")).toMatch(
        /^[1-9]/,
      );
      await resetFstab("node2");
    },
    LOOP_MS,
  );

  it(
    "joins a second node once although it is killed after every record of its journal",
    async () => {
      // Once it is not gone on with, but run again from the start.
      const { kills } = await killAtEachRecord(lab.operator("node2"), words("--join"), "resume", "step add-brick done");
      expectKilled(kills, [
        "brick-directory",
        `peer-probe-${addressOf("node2")}`,
        "add-brick",
        "option-cluster.self-heal-daemon",
        "mount",
      ]);
      expect(await lab.bricks(VOLUME)).toEqual(["node1", "node2"].map(brickOf));
      expect(await lab.pool()).toEqual([addressOf("node2"), "localhost"]);
      await expectMounted("node2");
      expect(await checksums("node2")).toBe(await checksums("node1"));
      expect(
        await lab.sh("node2", "grep -c '\\] \\[INFO\\] Connected to node1$' /var/log/cluster_storage_setup.log"),
      ).toMatch(/^[1-9]/);
      // The backup lies on the node whose glusterd was changed first.
      expect(await lab.sh("node1", "ls /var/lib/fencepost/journal/*gluster-setup*.glusterd.tar.gz | wc -l")).toMatch(
        /^[1-9]/,
      );
    },
    LOOP_MS,
  );

  it(
    "joins a third node while the files stay readable on the others, with the source's lines and log",
    async () => {
      for (const node of ["node1", "node2"]) await lab.sh(node, `find ${MOUNT} -type f | xargs md5sum >/root/sums`);
      // A peer without a brick is what a kill leaves here; it is not gone on with, but run again.
      await killAfter("node3", `step peer-probe-${addressOf("node3")} done`);
      const joining = setup("node3");
      let isOver = false;
      const done = joining.finally(() => {
        isOver = true;
      });
      while (!isOver) {
        for (const node of ["node1", "node2"])
          expect((await lab.on(node, ["md5sum", "-c", "--quiet", "/root/sums"])).exitCode).toBe(0);
      }
      const { stdout } = expectDone(await done);
      for (const line of [
        "[INFO] Active nodes found → Join mode",
        "[SUCCESS] Brick added to volume",
        `[SUCCESS] Volume mounted at ${MOUNT}`,
      ])
        expect(stdout).toContain(`${line}\n`);
      expect(await lab.bricks(VOLUME)).toEqual(lab.names.map(brickOf));
      await expectMounted("node3");
      for (const node of lab.names) expect(await checksums(node)).toBe(await checksums("node1"));
      expect(await lab.sh("node3", `find ${PATH} -type f -not -path '*/.glusterfs/*' | wc -l`)).toBe("30\n");
      expect(await lab.gluster("node3", `volume info ${VOLUME}`)).toMatch(/cluster.self-heal-daemon: on/);
      expect(await lab.sh("node3", "tail -1 /var/log/cluster_storage_setup.log")).toMatch(
        /^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] \[SUCCESS\] Volume mounted at \/mnt\/gluster\n$/,
      );
      expect(await lab.sh("node1", "grep -c 'Accepted publickey for root from 10.77.0.3' /var/log/sshd.log")).toMatch(
        /^[1-9]/,
      );
      expectDone(await lab.fencepost("node1", "gluster health"));
    },
    LOOP_MS,
  );

  it("mends what has drifted from the file, and only that", async () => {
    await lab.gluster("node1", `volume set ${VOLUME} network.ping-timeout 42`);
    await lab.sh("node3", `umount ${MOUNT}`);
    const report = JSON.parse(expectDone(await setup("node3", "--json")).stdout);
    // A crawl of gluster's own may be at work, which a heal joins.
    const changed = report.steps.filter(({ id, status }: { id: string; status: string }) =>
      id === "heal" ? status !== "done" && status !== "already" : status !== "already",
    );
    expect(changed.map(({ id, status }: { id: string; status: string }) => [id, status])).toEqual([
      ["option-network.ping-timeout", "done"],
      ["mount", "done"],
    ]);
    expect(await lab.gluster("node1", `volume info ${VOLUME}`)).toMatch(/network.ping-timeout: 10$/m);
    await expectMounted("node3");
  });
});
