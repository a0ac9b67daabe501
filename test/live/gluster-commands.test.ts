/**
 * fencepost gluster heal, options, backup, split-brain, rebalance, replace-brick, reset-brick, troubleshoot on real glusterd.
 * One lab for all: r3 lives on node1 to node3 throughout, what a case breaks it mends. Data is compared by checksums that
 * another node reads through its own mount.
 */
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import type { Output } from "./cluster.ts";
import { addressOf, brickOf, type GlusterLab, startGluster } from "./gluster.ts";
import { exits } from "./outcomes.ts";
import { GLUSTER_NEEDS, liveDescribe } from "./requirements.ts";

// A case is many questions to gluster and over ssh; on a machine with other work each takes seconds.
vi.setConfig({ testTimeout: 600_000 });

liveDescribe("fencepost gluster", GLUSTER_NEEDS, () => {
  let lab: GlusterLab;
  let sums = "";
  const bricks = (nodes: readonly string[], volume: string): string =>
    nodes.map((node) => brickOf(node, volume)).join(" ");
  const ours = (words: string): Promise<Output> => lab.fencepost("node1", `gluster ${words}`);
  const killBrick = async (node: string, volume: string): Promise<void> => {
    await lab.killBrick(node, volume);
    await lab.waitFor("the dead brick to be seen", async () => !(await lab.isOnline(node, volume)));
  };
  const reviveBrick = async (node: string, volume: string): Promise<void> => {
    await lab.gluster("node1", `volume start ${volume} force`);
    await lab.waitFor("the brick to be back", () => lab.isOnline(node, volume));
    // What is written from now on has to reach it too.
    await lab.waitFor("the mount to be connected to every brick", async () => {
      const connected = await lab.sh(
        "node1",
        `grep -h '^connected' /mnt/${volume}/.meta/graphs/active/${volume}-client-*/private`,
      );
      return !connected.includes("connected = 0");
    });
  };
  async function createVolume(volume: string, words: string): Promise<void> {
    await lab.gluster("node1", `volume create ${volume} ${words}`);
    await lab.gluster("node1", `volume start ${volume}`);
    await lab.mount("node1", volume);
  }

  beforeAll(async () => {
    lab = await startGluster(4);
    for (const node of ["node2", "node3", "node4"]) await lab.gluster("node1", `peer probe ${addressOf(node)}`);
    await lab.waitForPeers();
    await createVolume("r3", `replica 3 ${bricks(["node1", "node2", "node3"], "r3")}`);
    await lab.sh(
      "node1",
      "cd /mnt/r3 && mkdir -p a && for i in $(seq 40); do echo $i >f$i; head -c 9000 /dev/urandom >a/r$i; done",
    );
    sums = await lab.checksums("node2", "r3");
  });
  afterAll(() => lab?.stop());

  it("finds a dead brick, a dead glusterd and this node's own, each with a next step, and never calls unknown ok", async () => {
    type Check = { id: string; object: string; verdict: string; next: string | null };
    const checks = async (node: string): Promise<{ exitCode: number | null; checks: Check[] }> => {
      const { exitCode, stdout } = await lab.fencepost(node, "gluster troubleshoot --json");
      return { exitCode, checks: JSON.parse(stdout).checks };
    };
    const whole = await checks("node1");
    expect(whole.checks.filter(({ verdict }) => verdict === "fail")).toEqual([]);
    expect(whole.checks.find(({ id, object }) => id === "mounted" && object === "volume r3")).toMatchObject({
      verdict: "ok",
    });
    await killBrick("node2", "r3");
    await lab.sh("node4", `for p in /proc/[0-9]*; do [ "$(cat $p/comm)" != glusterd ] || kill -9 "\${p#/proc/}"; done`);
    await lab.waitFor("the peer to be seen as gone", async () =>
      (await lab.gluster("node1", "peer status")).includes("(Disconnected)"),
    );
    const broken = await checks("node1");
    expect(broken.exitCode).toBe(107);
    expect(
      broken.checks
        .filter(({ verdict }) => verdict === "fail")
        .map(({ object }) => object)
        .sort(),
    ).toEqual([`brick ${brickOf("node2", "r3")}`, `peer ${addressOf("node4")}`]);
    for (const { verdict, next } of broken.checks)
      expect([verdict, next !== null]).toEqual([verdict, verdict !== "ok"]);
    expect(broken.checks.find(({ id, object }) => id === "heal" && object === "volume r3")).toMatchObject({
      verdict: "unknown",
    });
    const dead = await checks("node4");
    expect(dead.checks.find(({ id }) => id === "glusterd")).toMatchObject({
      verdict: "fail",
      next: expect.stringContaining("systemctl start glusterd"),
    });
    expect(dead.checks.filter(({ object }) => object.startsWith("volume")).map(({ verdict }) => verdict)).toEqual(
      dead.checks.filter(({ object }) => object.startsWith("volume")).map(() => "unknown"),
    );
    await lab.sh("node4", "glusterd");
    await lab.waitFor("the peer to be back", async () =>
      /(Peer in Cluster \(Connected\)[\s\S]*){3}/.test(await lab.gluster("node1", "peer status")),
    );
    await reviveBrick("node2", "r3");
  });

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
    sums = await lab.checksums("node2", "r3");
    expect((await ours("heal r3 --info")).exitCode).toBe(0);
    expect(await lab.onBrick("node3", "r3")).toBe(await lab.onBrick("node1", "r3"));
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
    expect(await ours(`diff --backup ${state}`)).toMatchObject({ exitCode: 0, stdout: "no difference\n" });
    await lab.gluster("node1", "volume set r3 network.ping-timeout 31");
    const changed = await ours(`diff --backup ${state} --json`);
    expect([changed.exitCode, JSON.parse(changed.stdout).differences]).toEqual([
      1,
      [{ object: "volume r3", what: "network.ping-timeout", wanted: "33", is: "31" }],
    ]);
    await lab.sh("node1", `cp ${archive} /root/whole && truncate -s -100 ${archive}`);
    const spoiled = await ours(`backup --verify ${archive}`);
    expect([spoiled.exitCode, spoiled.stdout]).toEqual([1, expect.stringContaining("not whole")]);
    await lab.sh("node1", `cp /root/whole ${archive}`);
  });

  it("lists a split-brain as the files that are meant, and ends it with the losing copies kept", async () => {
    const healing = ["self-heal-daemon", "data-self-heal", "metadata-self-heal", "entry-self-heal"];
    const all = (value: string): string => healing.map((one) => `cluster.${one} ${value}`).join(" ");
    await createVolume("sb", `replica 2 ${bricks(["node1", "node2"], "sb")}`);
    await lab.gluster("node1", `volume set sb cluster.quorum-type none ${all("off")}`);
    await lab.sh("node1", "cd /mnt/sb && mkdir -p d && echo base >d/data && echo base >meta && echo fine >fine");
    await killBrick("node2", "sb");
    await lab.sh("node1", "cd /mnt/sb && echo one >d/data && chmod 600 meta && echo one >d/twice");
    await reviveBrick("node2", "sb");
    await killBrick("node1", "sb");
    await lab.sh("node1", "cd /mnt/sb && echo two-longer >d/data && chmod 640 meta && echo two-longer >d/twice");
    await reviveBrick("node1", "sb");
    await lab.gluster("node1", `volume set sb ${all("on")}`);

    const listed = await ours("split-brain sb --json");
    expect(exits(listed)).toMatch(/^107 /);
    const { files } = JSON.parse(listed.stdout);
    type File = { path: string; reason: string; listed_as: string; copies: { size_bytes: number; sha256: string }[] };
    const told = files.map(({ path, reason, listed_as }: File) => [path, reason, listed_as]).sort();
    expect(told).toEqual([
      ["/d/data", "data", "/d/data"],
      ["/d/twice", "gfid", "/d"],
      ["/meta", "metadata", "/meta"],
    ]);
    const data = files.find(({ path }: File) => path === "/d/data") as File;
    expect(data.copies.map(({ size_bytes }) => size_bytes)).toEqual([4, 11]);
    expect(new Set(data.copies.map(({ sha256 }) => sha256)).size).toBe(2);

    expect(exits(await ours("heal sb"))).not.toMatch(/^0 /);
    expect(exits(await ours("split-brain sb /meta --policy bigger-file"))).toMatch(/^64 .*the copies are alike/);
    const planned = await ours("split-brain sb /d/data --policy bigger-file --dry-run");
    expect(planned.stdout).toContain(`split-brain source-brick ${brickOf("node2", "sb")} /d/data`);
    const first = await ours("split-brain sb /d/data --policy bigger-file --json");
    expect(exits(first)).toMatch(/^0 /);
    expect(await keptOf(first)).toEqual(["one"]);
    const rest = await ours(`split-brain sb --all --policy source-brick --source ${brickOf("node1", "sb")} --json`);
    expect(exits(rest)).toMatch(/^0 /);
    expect((await keptOf(rest)).sort()).toEqual(["base", "two-longer"]);

    expect((await ours("split-brain sb")).exitCode).toBe(0);
    await lab.mount("node3", "sb");
    expect(await lab.sh("node3", "cd /mnt/sb && cat d/data d/twice fine && stat -c %a meta")).toBe(
      "two-longer\none\nfine\n600\n",
    );
    expect(await lab.onBrick("node2", "sb")).toBe(await lab.onBrick("node1", "sb"));
  });

  /** The losing copies, from where the plan says they are. */
  async function keptOf({ stdout }: Output): Promise<string[]> {
    const picture: string[] = JSON.parse(stdout.trim().split("\n").at(-1) ?? "").plan.picture;
    const places = picture.flatMap((line) => [...line.matchAll(/(10\.77\.0\.\d+):(\/var\/lib\/\S+)/g)]);
    return Promise.all(
      places.map(async ([, address, path]) =>
        (await lab.sh(lab.names.find((node) => addressOf(node) === address) ?? "", `cat ${path}`)).trim(),
      ),
    );
  }

  it("rebalances a distributed volume after a brick was added, tells it node by node, and refuses it on pure copies", async () => {
    expect(exits(await ours("rebalance r3 start"))).toMatch(/^64 .*one replica set/);
    await createVolume("dist", bricks(["node1", "node2"], "dist"));
    await lab.sh("node1", "cd /mnt/dist && for i in $(seq 80); do echo $i >f$i; done");
    const before = await lab.checksums("node4", "dist");
    expect((await ours("rebalance dist status")).stdout).toContain("never started");
    await lab.gluster("node1", `volume add-brick dist ${brickOf("node3", "dist")}`);
    expect(exits(await ours("rebalance dist start"))).toMatch(/^0 /);
    const { nodes } = JSON.parse((await ours("rebalance dist status --json")).stdout);
    expect(nodes.map(({ status }: { status: string }) => status)).toEqual(nodes.map(() => "completed"));
    expect(nodes.length).toBeGreaterThan(1);
    expect(nodes.reduce((sum: number, { files }: { files: number }) => sum + files, 0)).toBeGreaterThan(0);
    expect(await lab.sh("node3", "find /data/glusterfs/dist -name 'f*' -size +0 | head -1")).not.toBe("");
    expect(await lab.checksums("node4", "dist")).toBe(before);
    expect(exits(await ours("rebalance dist stop"))).toMatch(/^64 .*no rebalance is running/);
    await killBrick("node3", "dist");
    expect(exits(await ours("rebalance dist start"))).toMatch(/^107 .*is down/);
    await reviveBrick("node3", "dist");
  });

  const heal = (volume: string) =>
    lab.waitFor(`the heal of ${volume}`, async () => (await ours(`heal ${volume} --info`)).exitCode === 0);

  it("replaces a brick with its data intact, and refuses it while another copy is down or on a bad place", async () => {
    await killBrick("node2", "r3");
    const replace = (words: string): Promise<Output> => ours(`replace-brick r3 ${words}`);
    const [from, to] = [brickOf("node3", "r3"), brickOf("node4", "r3")];
    expect(exits(await replace(`${from} ${to}`))).toMatch(/^107 .*another copy, \S+, is down/);
    expect(exits(await replace(`${from} ${to} --dead`))).toMatch(/^107 .*another copy, \S+, is down/);
    await reviveBrick("node2", "r3");
    await heal("r3");
    expect(exits(await replace(`${from} ${brickOf("node1", "r3b")}`))).toMatch(/^107 .*two copies on one node/);
    expect(exits(await replace(`${from} ${addressOf("node4")}:/srv/r3`))).toMatch(/^107 .*root filesystem/);
    const planned = await replace(`${from} ${to} --dry-run`);
    expect(planned.stdout).toMatch(/failures survived: now 1 node, until the new copy is healed 0 nodes, then 1 node/);
    expect(planned.stdout).toMatch(/to copy: at most \S+ \w+;/);
    expect(exits(await replace(`${from} ${to}`))).toMatch(/^0 /);
    expect(await lab.gluster("node1", "volume info r3")).toContain(to);
    expect(await lab.onBrick("node4", "r3")).toBe(await lab.onBrick("node1", "r3"));
    expect(await lab.checksums("node2", "r3")).toBe(sums);
  });

  it("replaces a dead brick when told that it is dead, from the one copy that has the newest data", async () => {
    const [dead, to] = [brickOf("node4", "r3"), brickOf("node3", "r3c")];
    // node2 falls behind node1 and node4; then node4 dies: of the two that are left, node1 alone has the newest data.
    await lab.gluster("node1", "volume set r3 cluster.self-heal-daemon off");
    await killBrick("node2", "r3");
    await lab.sh("node1", "echo newest >/mnt/r3/f2");
    await reviveBrick("node2", "r3");
    await killBrick("node4", "r3");
    sums = await lab.checksums("node2", "r3");
    expect(await lab.sh("node2", "cat /data/glusterfs/r3/f2")).toBe("2\n");
    await lab.gluster("node1", "volume set r3 cluster.self-heal-daemon on");
    expect(exits(await ours(`replace-brick r3 ${dead} ${to}`))).toMatch(/^107 .*if it is dead for good, say --dead/);
    const replaced = await ours(`replace-brick r3 ${dead} ${to} --dead`);
    expect(exits(replaced)).toMatch(/^0 /);
    expect(replaced.stderr).toContain(`${brickOf("node2", "r3")}: behind with 1 entries too`);
    expect(await lab.onBrick("node3", "r3c")).toBe(await lab.onBrick("node1", "r3"));
    expect(await lab.onBrick("node2", "r3")).toBe(await lab.onBrick("node1", "r3"));
    expect(await lab.checksums("node4", "r3")).toBe(sums);
    expect(await lab.sh("node2", "cat /data/glusterfs/r3/f2")).toBe("newest\n");
  });

  it("gives a brick an empty disk on the same path, and takes taking it off back", async () => {
    const reset = (verb: string): Promise<Output> => ours(`reset-brick r3 ${brickOf("node2", "r3")} ${verb}`);
    expect(exits(await reset("commit"))).toMatch(/^107 .*is up: take it off first/);
    const off = await reset("start --json");
    expect(exits(off)).toMatch(/^0 /);
    expect(exits(await reset("commit"))).toMatch(/^107 .*is not empty/);
    const { journal } = JSON.parse(off.stdout.trim().split("\n").at(-1) ?? "");
    expect(exits(await lab.fencepost("node1", `journal undo ${journal}`))).toMatch(/^0 /);
    expect(await lab.isOnline("node2", "r3")).toBe(true);
    await heal("r3");
    expect(exits(await reset("start"))).toMatch(/^0 /);
    await lab.sh("node2", "rm -rf /data/glusterfs/r3");
    expect(exits(await reset("commit"))).toMatch(/^0 /);
    expect(await lab.onBrick("node2", "r3")).toBe(await lab.onBrick("node1", "r3"));
    expect(await lab.checksums("node3", "r3")).toBe(sums);
  });

  it("mounts a volume by a line with every server, and takes it back", async () => {
    const mounted = await lab.fencepost("node4", "gluster mount r3 /mnt/again --json");
    expect(exits(mounted)).toMatch(/^0 /);
    expect(await lab.sh("node4", "grep /mnt/again /etc/fstab")).toMatch(
      new RegExp(
        `^localhost:/r3 /mnt/again glusterfs \\S*backup-volfile-servers=${["node1", "node2", "node3"].map(addressOf).join(":")} 0 0\n$`,
      ),
    );
    expect(await lab.sh("node4", "cd /mnt/again && find . -type f | sort | xargs md5sum")).toBe(sums);
    const { journal } = JSON.parse(mounted.stdout.trim().split("\n").at(-1) ?? "");
    expect(exits(await lab.fencepost("node4", `journal undo ${journal}`))).toMatch(/^0 /);
    expect((await lab.on("node4", ["grep", "/mnt/again", "/etc/fstab", "/proc/mounts"])).exitCode).toBe(1);
  });

  it("tells how the cluster differs from its configuration, by object, and is silent where it does not", async () => {
    const config = (brickPath: string) => `storage:
  glusterfs: {volume_name: r3, replica_count: auto, brick_path: ${brickPath}, mount_point: /mnt/r3, options: {network.ping-timeout: 31}}
nodes:
  controllers:
${["node1", "node2", "node3"].map((node) => `    - {hostname: ${node}, ip_address: ${addressOf(node)}, services: {glusterfs: true}}`).join("\n")}
`;
    await lab.must("node1", ["tee", "/root/cluster.yaml"], { input: config("/data/glusterfs/r3") });
    const differs = await ours("diff --config /root/cluster.yaml --json");
    expect(differs.exitCode).toBe(1);
    // node3's brick is in another place since it was replaced, node4 is a peer without a brick, the cache size a default of ours.
    const told = JSON.parse(differs.stdout).differences.map(({ object, what }: { object: string; what: string }) => [
      object,
      what,
    ]);
    expect(told).toEqual([
      [`peer ${addressOf("node4")}`, "in the pool"],
      ["volume r3", "bricks"],
      ["volume r3", "performance.cache-size"],
    ]);
    await lab.must("node1", ["tee", "/root/broken.yaml"], { input: config("nowhere") });
    expect(exits(await ours("diff --config /root/broken.yaml"))).toMatch(/^78 .*\/root\/broken.yaml:2: .*brick_path/);
  });
});
