/**
 * node add, node remove and the journal on a real Redis cluster: three masters, one more, one less, with clients writing.
 * The tests stand in the order of a cluster's life: each leaves a cluster that the next one takes on.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { begin, idsOf } from "./operation-journal.ts";
import { expectDone, expectRefused } from "./outcomes.ts";
import { keyOf, PASSWORD, type RedisLab, startRedis } from "./redis.ts";
import { liveDescribe } from "./requirements.ts";

const [A, B, C, D, REPLICA, TEN] = ["1", "2", "3", "4", "5", "10"].map((host) => `10.78.0.${host}`) as [
  string,
  string,
  string,
  string,
  string,
  string,
];
const KEYS = Array.from({ length: 10_000 }, (_, index) => index);
const NEEDS = ["root", "namespaces", "nsenter", "ip", "strace", "redis-server", "redis-cli", "executable"] as const;

liveDescribe("Redis nodes", NEEDS, () => {
  let lab: RedisLab;
  const words = (verb: string, address: string): string =>
    `node ${verb} --service redis --ip ${address} --cluster ${A} --password-file ${lab.passwordFile}`;
  type Member = { id: string; address: string; flags: string[]; masterId: string; slots: number; isOpen: boolean };
  async function members(address = A): Promise<Member[]> {
    const lines = (await lab.redis(address, "CLUSTER", "NODES")).trim().split("\n");
    return lines.map((line) => {
      const [id = "", where = "", flags = "", masterId = "", , , , , ...ranges] = line.split(" ");
      const sizes = ranges.filter((range) => !range.startsWith("[")).map((range) => range.split("-").map(Number));
      return {
        id,
        address: where.split(":")[0] ?? "",
        flags: flags.split(","),
        masterId,
        slots: sizes.reduce((sum, [from = 0, to = from]) => sum + to - from + 1, 0),
        isOpen: ranges.some((range) => range.startsWith("[")),
      };
    });
  }
  const slots = async (): Promise<Record<string, number>> =>
    Object.fromEntries(
      (await members()).filter(({ flags }) => flags.includes("master")).map((one) => [one.address, one.slots]),
    );
  /** Each master has its part, no slot is half-way, every node says the same, and redis-cli has nothing to complain of. */
  async function expectWhole(...masters: string[]): Promise<void> {
    const parts = await slots();
    expect(Object.keys(parts).sort()).toEqual([...masters].sort());
    const share = 16_384 / masters.length;
    for (const part of Object.values(parts)) expect(Math.abs(part - share)).toBeLessThan(share * 0.03);
    expect(await lab.cluster("check", `${A}:6379`)).toMatch(/All nodes agree[\s\S]*All 16384 slots covered/);
    for (const master of masters) expect((await members(master)).some(({ isOpen }) => isOpen)).toBe(false);
  }
  async function expectAll(prefix: string, keys: readonly number[]): Promise<void> {
    const values = await lab.client(
      A,
      keys.map((key) => `GET ${keyOf(prefix, key)}`),
    );
    expect(values.length).toBe(keys.length);
    expect(values.filter((value, at) => value !== String(keys[at]))).toEqual([]);
  }
  const redisCliOf = async (pid: number): Promise<string> =>
    (await lab.on(["pgrep", "-P", String(pid), "-f", "rebalance"])).stdout.trim();
  const signal = (name: string, ...pids: (string | number)[]) => lab.on(["kill", `-${name}`, ...pids.map(String)]);
  const beginUntil = (command: string, step: string) =>
    begin(lab.operator, command, (record) => record === `step ${step} started`);

  beforeAll(async () => {
    lab = await startRedis([A, B, C, D, REPLICA]);
    await lab.cluster("create", ...[A, B, C].map((address) => `${address}:6379`), "--cluster-yes");
    await lab.waitFor("the cluster", async () => /cluster_state:ok/.test(await lab.redis(C, "CLUSTER", "INFO")));
    await lab.client(
      A,
      KEYS.map((key) => `SET ${keyOf("k", key)} ${key}`),
    );
    await expectAll("k", KEYS);
  });
  afterAll(() => lab?.stop());

  it("shows in a dry run what it would run, and refuses what could lose data or is somebody else's", async () => {
    const before = await slots();
    const { stdout } = expectDone(await lab.fencepost(`${words("add", D)} --dry-run`));
    expect(stdout).toContain(`[DRY-RUN]    Would run: redis-cli --cluster add-node ${D}:6379 ${A}:6379\n`);
    expect(stdout).toContain(`Would run: redis-cli --cluster rebalance ${A}:6379 --cluster-use-empty-masters\n`);
    expect(stdout).not.toContain(PASSWORD);
    expectRefused(
      await lab.fencepost(words("remove", A)),
      /2 masters would be left with slots: a Redis cluster needs 3/,
    );
    // 10.78.0.1 is in the cluster, 10.78.0.10 is not.
    expectRefused(await lab.fencepost(words("remove", TEN)), /10\.78\.0\.10:6379: not a node of this cluster/, 64);
    await lab.redis(D, "CLUSTER", "ADDSLOTS", "7");
    expectRefused(await lab.fencepost(words("add", D)), /10\.78\.0\.4:6379 serves 1 slots/);
    await lab.redis(D, "CLUSTER", "RESET", "HARD");
    await lab.must(["chmod", "644", lab.passwordFile]);
    expectRefused(await lab.fencepost(words("add", D)), /others than its owner may read the password/);
    await lab.must(["chmod", "600", lab.passwordFile]);
    const stranger = await lab.fencepost(`node add --service redis --ip ${D} --cluster ${A}`);
    expectRefused(stranger, /no node of the cluster answers: .*NOAUTH/, 1);
    expect(await slots()).toEqual(before);
  });

  it("adds a fourth master with the source's lines while a client writes, and loses nothing", async () => {
    const writer = lab.startWriting(B, "add");
    const { stdout, stderr } = expectDone(await lab.fencepost(words("add", D)));
    const acknowledged = await writer.stop();
    expect(stdout).toContain(`✓ Node ${D}:6379 added to cluster\n`);
    expect(stdout).toContain("ℹ Rebalancing hash slots...\n✓ Cluster rebalanced\n");
    await expectWhole(A, B, C, D);
    await expectAll("k", KEYS);
    expect(acknowledged.length).toBeGreaterThan(100);
    await expectAll("add", acknowledged);
    const log = readFileSync(join(lab.lab, "log/cluster_node_add.log"), "utf8");
    expect(log).toMatch(/\[SUCCESS\] ✓ Cluster rebalanced/);
    const journal = readFileSync(join(lab.operator.directory, `${idsOf(lab.operator).at(-1)}.jsonl`), "utf8");
    expect(`${stdout}${stderr}${log}${journal}`).not.toContain(PASSWORD);
  });

  it("removes it again although it is killed in the middle of a slot, while a client writes", async () => {
    await lab.cluster(
      ...["add-node", `${REPLICA}:6379`, `${A}:6379`, "--cluster-slave"],
      ...["--cluster-master-id", (await lab.redis(D, "CLUSTER", "MYID")).trim()],
    );
    const replication = () => lab.redis(REPLICA, "INFO", "replication");
    await lab.waitFor("the replica", async () => /master_link_status:up/.test(await replication()));
    await lab.waitFor("all to know it", async () =>
      (await Promise.all([A, B, C, D].map(members))).every((view) => view.length === 5),
    );
    const writer = lab.startWriting(A, "remove");
    const { ended, pid, id } = await beginUntil(words("remove", D), "drain");
    // Stopped again and again until a slot is caught half-way.
    const child = await lab.waitFor(
      "a half-way slot",
      async () => {
        const cli = await redisCliOf(pid);
        await signal("STOP", cli);
        const views = await Promise.all([A, B, C, D].map(members));
        if (views.flat().some(({ isOpen }) => isOpen)) return cli;
        await signal("CONT", cli);
        return undefined;
      },
      { everyMs: 5 },
    );
    expectRefused(await lab.fencepostElsewhere(words("remove", REPLICA)), /somebody moves slots right now/);
    await signal("KILL", pid, child);
    const { stdout, exitCode } = await ended;
    expect(exitCode).not.toBe(0);
    expect(stdout).toMatch(
      /ℹ Node ID: [0-9a-f]{40}\n⚠ Node has \d+ hash slot ranges\nℹ Resharding hash slots to other nodes...\n/,
    );
    expect((await lab.fencepost("journal list")).stdout).toMatch(new RegExp(`${id} +interrupted`));
    // Nobody moves it now, and still nothing new is begun over it.
    expectRefused(await lab.fencepost(words("remove", REPLICA)), /slots? \d+.* half-way moved/);
    expectRefused(await lab.fencepost(`journal undo ${id}`), /cannot be taken back: Redis may have made it a replica/);
    const resumed = expectDone(await lab.fencepost(`journal resume ${id}`));
    const acknowledged = await writer.stop();
    expect(resumed.stdout).toContain("✓ Slots resharded\n");
    expect(resumed.stdout).toContain(`✓ Node ${D}:6379 removed from cluster\n`);
    await expectWhole(A, B, C);
    await expectAll("k", KEYS);
    expect(acknowledged.length).toBeGreaterThan(100);
    await expectAll("remove", acknowledged);
    expect((await members()).find(({ address }) => address === REPLICA)?.flags).toContain("slave");
    expect(await members(D)).toHaveLength(1);
    expect(await lab.redis(D, "DBSIZE")).toBe("0\n");
  });

  it("refuses a second operator elsewhere, goes on after a kill, and takes back what was half done", async () => {
    const { ended, pid, id } = await beginUntil(words("add", D), `add-node-${D}:6379`);
    await signal("STOP", pid);
    const second = await lab.fencepostElsewhere(words("remove", REPLICA));
    expectRefused(second, /no lock on \S+: another operation is at work: .*"host":"operator1".*"since":"20/);
    await signal("KILL", pid);
    await ended;
    const resuming = await begin(lab.operator, `journal resume ${id}`, (record) => record === "run");
    await lab.waitFor("some slots to be moved", async () => ((await slots())[D] ?? 0) > 20, { everyMs: 5 });
    await signal("KILL", resuming.pid);
    await resuming.ended;
    expectDone(await lab.fencepost(`journal undo ${id}`));
    await expectWhole(A, B, C);
    expect(await members(D)).toHaveLength(1);
    await expectAll("k", KEYS);
  });

  it("removes a replica without moving a slot, and no master of three", async () => {
    const before = await slots();
    expect(expectDone(await lab.fencepost(words("remove", REPLICA))).stdout).not.toContain("Resharding");
    expect(await slots()).toEqual(before);
    expectRefused(await lab.fencepost(words("remove", B)), /2 masters would be left/);
  });

  it("refuses to change a cluster with a node that does not answer", async () => {
    await signal("STOP", (await lab.redis(C, "INFO", "server")).match(/process_id:(\d+)/)?.[1] ?? "");
    expectRefused(await lab.fencepost(words("add", D)), /10\.78\.0\.3:6379 (does not answer|is fail)/);
  });
});
