/**
 * Real Slurm in namespaces of this machine: slurmctld on node1, slurmd on node2, and node3, which is in no slurm.conf yet.
 * Output: a SlurmLab: run commands on a node, wait for a condition. Errors: rejects with what was expected.
 * Real:   slurmctld, slurmd, munge, srun, ssh with keys made for this lab. Not real: systemd (slurm/systemctl.sh).
 * Cleans: pcmk/supervise.sh, which makes the network, ends everything when its standard input closes.
 */
import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { firstOutput, NODE_PATH, type OnOptions, type Output, run } from "./cluster.ts";
import { EXECUTABLE } from "./needs.ts";

const SCRIPTS = join(import.meta.dirname, "pcmk");
const NAMES = ["node1", "node2", "node3"] as const;
export const addressOf = (node: string): string => `10.77.0.${node.replace("node", "")}`;

/** With comments, an odd order and odd spaces: they have to stay. */
export const CONF = `# our cluster
ClusterName=lab
SlurmctldHost=node1(10.77.0.1)   # the primary
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation=/var/lib/slurm/state
SlurmdSpoolDir=/var/lib/slurm/spool
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurmctld.log
SlurmdLogFile=/var/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=30

# NodeName=old CPUs=1
  nodename=node2  NodeAddr=10.77.0.2 CPUs=1 State=UNKNOWN  # the first
PartitionName=debug Nodes=node2 Default=YES MaxTime=INFINITE State=UP # everybody's
`;

export type SlurmLab = Awaited<ReturnType<typeof startSlurm>>;

export async function startSlurm() {
  const id = `s${process.pid.toString(36)}`;
  const lab = join(tmpdir(), `fencepost-lab-${id}`);
  for (const path of ["layer", "ssh", "state", ...NAMES]) mkdirSync(join(lab, path), { recursive: true, mode: 0o755 });
  copyFileSync(EXECUTABLE, join(lab, "executable"));
  makeKeys(join(lab, "ssh"));
  writeFileSync(join(lab, "munge.key"), randomBytes(1024));
  writeFileSync(join(lab, "slurm.conf"), CONF);
  writeFileSync(
    join(lab, "hosts"),
    `127.0.0.1 localhost\n${NAMES.map((name) => `${addressOf(name)} ${name}\n`).join("")}`,
  );
  const supervisor = spawn(join(SCRIPTS, "supervise.sh"), [lab, id, String(NAMES.length)], {
    detached: true,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const gone = new Promise<void>((resolve) => supervisor.once("exit", () => resolve()));
  await firstOutput(supervisor, "supervise.sh");
  const pids = new Map<string, string>();
  for (const [index, name] of NAMES.entries()) {
    const init = join(import.meta.dirname, "slurm/node-init.sh");
    const result = await run([join(SCRIPTS, "node-start.sh"), lab, id, String(index + 1), init], { timeoutMs: 30_000 });
    if (result.exitCode !== 0) throw new Error(`${name}: ${result.stderr}`);
    pids.set(name, result.stdout.trim());
  }
  function on(
    node: string,
    argv: readonly string[],
    { timeoutMs = 60_000, env = {}, input }: OnOptions = {},
  ): Promise<Output> {
    const words = Object.entries({ PATH: NODE_PATH, HOME: "/root", ...env }).map(([key, value]) => `${key}=${value}`);
    const enter = ["nsenter", "-t", pids.get(node) ?? node, "-m", "-u", "-i", "-n", "-p", "env", "-i", "-C", "/"];
    return run([...enter, ...words, ...argv], { timeoutMs, ...(input === undefined ? {} : { input }) });
  }
  async function must(node: string, argv: readonly string[], options: OnOptions = {}): Promise<string> {
    const result = await on(node, argv, options);
    if (result.exitCode === 0) return result.stdout;
    throw new Error(`${node}: ${argv.join(" ")}: exit ${result.exitCode}: ${result.stderr}${result.stdout}`);
  }
  const fencepost = (words: string): Promise<Output> =>
    on("node1", ["fencepost", ...words.split(" ")], { timeoutMs: 170_000 });
  async function waitFor<T>(what: string, ask: () => Promise<T>, timeoutMs = 90_000) {
    for (const until = Date.now() + timeoutMs; ; ) {
      let last: unknown;
      try {
        const answer = await ask();
        if (answer) return answer as Exclude<T, false | undefined | null | 0 | "">;
        last = answer;
      } catch (error) {
        last = error;
      }
      if (Date.now() > until) throw new Error(`waited ${timeoutMs} ms in vain for: ${what} (last: ${String(last)})`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
  const stop = async (): Promise<void> => {
    supervisor.stdin.end();
    await gone;
  };
  return { lab, on, must, fencepost, waitFor, stop };
}

/** One host key for all nodes, one user key that they all accept. */
function makeKeys(directory: string): void {
  for (const name of ["host_key", "id_ed25519"]) {
    const made = spawnSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(directory, name)]);
    if (made.status !== 0) throw new Error(`ssh-keygen: ${made.stderr}`);
  }
  copyFileSync(join(directory, "id_ed25519.pub"), join(directory, "authorized_keys"));
  const hostKey = readFileSync(join(directory, "host_key.pub"), "utf8");
  writeFileSync(join(directory, "known_hosts"), NAMES.map((name) => `${addressOf(name)} ${hostKey}`).join(""));
}
