/**
 * node add and node remove on a real slurmctld with slurmds and munge: a node comes, a job runs on it, it is drained and goes.
 * The tests stand in the order of a cluster's life. The remote steps go over ssh.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { addressOf } from "./gluster.ts";
import { begin } from "./operation-journal.ts";
import { expectDone } from "./outcomes.ts";
import { liveDescribe } from "./requirements.ts";
import { CONF, type SlurmLab, startSlurm } from "./slurm.ts";

const NEEDS = [
  ...["root", "namespaces", "overlayfs", "nsenter", "ip", "sshd", "ssh"],
  ...["slurmctld", "slurmd", "scontrol", "munged", "strace", "executable"],
] as Parameters<typeof liveDescribe>[1];
const FILE = "/etc/slurm/slurm.conf";

liveDescribe("Slurm nodes", NEEDS, () => {
  let lab: SlurmLab;
  const add = `node add --service slurm --ip ${addressOf("node3")} --partition debug`;
  const remove = `node remove --service slurm --ip ${addressOf("node3")}`;
  const stateOf = async (node: string): Promise<string> =>
    (await lab.must("node1", ["sinfo", "--noheader", "--Node", "--nodes", node, "--format", "%T"])).trim();
  const conf = (node: string): Promise<string> => lab.must(node, ["cat", FILE]);

  beforeAll(async () => {
    lab = await startSlurm();
    await lab.waitFor("node2", async () => (await stateOf("node2")) === "idle");
  });
  afterAll(() => lab?.stop());

  it("shows the lines it would change, and refuses while a host has another slurm.conf", async () => {
    const { stdout } = expectDone(await lab.fencepost(`${add} --dry-run`));
    expect(stdout).toMatch(/\+ NodeName=node3 NodeAddr=10\.77\.0\.3 CPUs=\d+ .*RealMemory=\d+ State=UNKNOWN\n/);
    expect(stdout).toContain(
      "+ PartitionName=debug Nodes=node2,node3 Default=YES MaxTime=INFINITE State=UP # everybody's\n",
    );
    await lab.must("node2", ["sed", "-i", "s/our cluster/not ours/", FILE]);
    const refused = await lab.fencepost(add);
    expect([refused.exitCode, refused.stderr]).toEqual([
      107,
      expect.stringContaining(`node2: its ${FILE} is not the same as here`),
    ]);
    await lab.must("node2", ["sed", "-i", "s/not ours/our cluster/", FILE]);
    expect(await conf("node1")).toBe(CONF);
  });

  it("adds a node everywhere, keeps comments and order, and a job runs on it", async () => {
    const { stdout } = expectDone(await lab.fencepost(add));
    expect(stdout).toContain("✓ Node node3 added to Slurm\n");
    const lines = (await conf("node1")).split("\n");
    const isNew = (line: string) => line.startsWith("NodeName=node3 ");
    expect(lines.findIndex(isNew)).toBe(CONF.split("\n").findIndex((line) => line.includes("nodename=node2")) + 1);
    expect(
      lines
        .filter((line) => !isNew(line))
        .join("\n")
        .replace("node2,node3", "node2"),
    ).toBe(CONF);
    for (const node of ["node2", "node3"]) expect(await conf(node)).toBe(lines.join("\n"));
    expect(await lab.must("node2", ["stat", "-c", "%a %U", FILE])).toBe("644 root\n");
    expect(await lab.must("node1", ["srun", "--nodelist", "node3", "hostname"])).toBe("node3\n");
    const again = await lab.fencepost(add);
    expect([again.exitCode, again.stderr]).toEqual([
      64,
      expect.stringContaining("slurmctld knows it as node3 already"),
    ]);
  });

  it("waits for the job of a node that goes, survives a kill meanwhile, and then takes the node out", async () => {
    const job = (
      await lab.must("node1", ["sbatch", "--parsable", "--chdir=/tmp", "--nodelist=node3", "--wrap", "sleep 3600"])
    ).trim();
    const jobState = () => lab.must("node1", ["squeue", "--noheader", "--jobs", job, "--format", "%T"]);
    await lab.waitFor("the job", async () => (await jobState()).trim() === "RUNNING");
    const { id, pid, ended } = await begin(lab.operator("node1"), remove, (record) => record.endsWith("started"));
    const told = () => lab.must("node1", ["cat", "/var/log/cluster_node_remove.log"]);
    await lab.waitFor("it to tell what it waits for", async () =>
      (await told()).includes(`1 jobs still on it: ${job}`),
    );
    expect(await stateOf("node3")).toBe("draining");
    await lab.operator("node1").signal("KILL", pid);
    await ended;
    const resumed = await begin(lab.operator("node1"), `journal resume ${id}`, (record) => record === "run");
    expect((await jobState()).trim()).toBe("RUNNING");
    expect(await conf("node1")).not.toBe(CONF);
    await lab.must("node1", ["scancel", job]);
    const { stdout } = expectDone(await resumed.ended);
    expect(stdout).toContain("✓ Node node3 drained\n");
    expect(stdout).toContain("✓ Node node3 removed from Slurm\n");
    for (const node of ["node1", "node2"]) expect(await conf(node)).toBe(CONF);
    expect(await lab.must("node1", ["sinfo", "--noheader", "--Node", "--format", "%N"])).toBe("node2\n");
    expect((await lab.on("node3", ["pgrep", "-x", "slurmd"])).exitCode).toBe(1);
    await lab.waitFor("node2", async () => (await stateOf("node2")) === "idle");
    expect(await lab.must("node1", ["srun", "hostname"])).toBe("node2\n");
    const last = await lab.fencepost(`node remove --service slurm --ip ${addressOf("node2")}`);
    expect([last.exitCode, last.stderr]).toEqual([107, expect.stringContaining("partition debug would have no node")]);
  });

  it("adds a backup controller that shares the state, and takes it out again", async () => {
    const controller = (verb: string, node: string) =>
      lab.fencepost(`node ${verb} --service slurm --controller --ip ${addressOf(node)}`);
    const stranger = await controller("add", "node2");
    expect([stranger.exitCode, stranger.stderr]).toEqual([107, expect.stringContaining("StateSaveLocation")]);
    expect(expectDone(await controller("add", "node3")).stdout).toContain("✓ Controller node3 added to Slurm\n");
    expect(await conf("node2")).toBe(
      CONF.replace("# the primary\n", `# the primary\nSlurmctldHost=node3(${addressOf("node3")})\n`),
    );
    expect(await lab.must("node1", ["scontrol", "ping"])).toMatch(
      /\(primary\) at node1 is UP\n.*\(backup\d*\) at node3 is UP/,
    );
    const primary = await controller("remove", "node1");
    expect([primary.exitCode, primary.stderr]).toEqual([107, expect.stringContaining("it is the primary")]);
    expectDone(await controller("remove", "node3"));
    for (const node of ["node1", "node2"]) expect(await conf(node)).toBe(CONF);
    expect(await lab.must("node1", ["scontrol", "ping"])).not.toContain("node3");
    expect((await lab.on("node3", ["pgrep", "-x", "slurmctld"])).exitCode).toBe(1);
  });
});
