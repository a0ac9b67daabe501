/**
 * Real glusterd nodes in namespaces of this machine, with sshd between them.
 * Input:  startGluster(count): node1 … nodeN at 10.77.0.1 … N, all glusterd running, no peers, no volumes.
 * Output: a GlusterLab: run commands on a node, start and stop daemons there, wait for a condition.
 * Errors: rejects with what was expected and what was said last.
 * Real:   glusterd, bricks, self-heal daemons, FUSE mounts, ssh with keys made for this lab. Not real: the disks (tmpfs).
 * Cleans: pcmk/supervise.sh, which makes the network, ends everything when its standard input closes.
 */
import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { firstOutput, NODE_PATH, type OnOptions, type Output, run } from "./cluster.ts";
import { EXECUTABLE } from "./needs.ts";
import type { Operator } from "./operation-journal.ts";
import { waitFor } from "./wait-for.ts";

const SUPERVISE = join(import.meta.dirname, "pcmk/supervise.sh");
const NODE_START = join(import.meta.dirname, "pcmk/node-start.sh");
const NODE_INIT = join(import.meta.dirname, "gluster/node-init.sh");

export type GlusterLab = Awaited<ReturnType<typeof startGluster>>;
/** Where tests put a volume's brick on a node. */
export const brickOf = (node: string, volume: string): string => `${addressOf(node)}:/data/glusterfs/${volume}`;
export const addressOf = (node: string): string => `10.77.0.${node.replace("node", "")}`;

/** Other daemons' nodes are made in the same way: by an init of their own, from what `prepare` puts into the lab's directory. */
export type NodeOptions = { init?: string; isUp?: readonly string[]; prepare?: (lab: string) => void };

export async function startGluster(
  count: number,
  { init = NODE_INIT, isUp = ["gluster", "pool", "list"], prepare }: NodeOptions = {},
) {
  // Several files run at a time, in threads of one process.
  const id = `g${randomBytes(4).toString("hex")}`;
  const lab = join(tmpdir(), `fencepost-lab-${id}`);
  const names = Array.from({ length: count }, (_, index) => `node${index + 1}`);
  for (const path of ["layer", "ssh", ...names]) mkdirSync(join(lab, path), { recursive: true, mode: 0o700 });
  copyFileSync(EXECUTABLE, join(lab, "executable"));
  makeKeys(join(lab, "ssh"), names);
  prepare?.(lab);

  const supervisor = spawn(SUPERVISE, [lab, id, String(count)], { detached: true, stdio: ["pipe", "pipe", "inherit"] });
  const gone = new Promise<void>((resolve) => supervisor.once("exit", () => resolve()));
  await firstOutput(supervisor, "supervise.sh");
  const pids = new Map<string, string>();
  for (const [index, name] of names.entries()) {
    const result = await run([NODE_START, lab, id, String(index + 1), init], { timeoutMs: 30_000 });
    if (result.exitCode !== 0) throw new Error(`${name}: ${result.stderr}`);
    pids.set(name, result.stdout.trim());
  }

  /** Runs a command on a node, as root. */
  function on(node: string, argv: readonly string[], { timeoutMs = 60_000, env = {}, input }: OnOptions = {}) {
    const words = Object.entries({ PATH: NODE_PATH, HOME: "/root", ...env }).map(([key, value]) => `${key}=${value}`);
    const enter = ["nsenter", "-t", pids.get(node) ?? node, "-m", "-u", "-i", "-n", "-p", "env", "-i", "-C", "/"];
    return run([...enter, ...words, ...argv], { timeoutMs, ...(input === undefined ? {} : { input }) });
  }
  /** The same, when anything but exit 0 is a failure of the bench. */
  async function must(node: string, argv: readonly string[], options: OnOptions = {}): Promise<string> {
    const result = await on(node, argv, options);
    if (result.exitCode === 0) return result.stdout;
    throw new Error(`${node}: ${argv.join(" ")}: exit ${result.exitCode}: ${result.stderr}${result.stdout}`);
  }
  const sh = (node: string, script: string): Promise<string> => must(node, ["bash", "-c", script]);
  /** Arranges something by gluster's own command, which another one's lock may keep waiting. */
  async function gluster(node: string, words: string): Promise<string> {
    for (let attempt = 0; ; attempt++) {
      const { exitCode, stdout, stderr } = await on(node, ["gluster", "--mode=script", ...words.split(" ")], {
        timeoutMs: 150_000,
      });
      if (exitCode === 0) return stdout;
      // A heal is refused while a self-heal daemon that was just switched on comes up.
      if (attempt === 20 || !/another transaction|locking failed|heal operation .*unsuccessful/i.test(stderr + stdout))
        throw new Error(`${node}: gluster ${words}: exit ${exitCode}: ${stderr}${stdout}`);
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  }
  const fencepost = (node: string, words: string, options: OnOptions = {}): Promise<Output> =>
    // glusterd keeps a lock that nobody holds any more for three minutes.
    on(node, ["fencepost", ...words.split(" ")], { timeoutMs: 280_000, ...options });
  const operator = (node: string): Operator => ({
    directory: join(lab, node, "disk/fencepost/journal"),
    start: (words, under) => on(node, [...under, "fencepost", ...words.split(" ")], { timeoutMs: 300_000 }),
    signal: (name, pid) => on(node, ["kill", `-${name}`, String(pid)]),
  });

  /** As `node` has the volume. */
  const bricks = async (volume: string, node = "node1"): Promise<string[]> =>
    [...(await gluster(node, `volume info ${volume}`)).matchAll(/^Brick\d+: (.+)/gm)].map(([, name]) => name ?? "");
  const pool = async (): Promise<string[]> =>
    (await gluster("node1", "pool list"))
      .split("\n")
      .slice(1)
      .flatMap((line) => line.split(/\s+/)[1] ?? [])
      .sort();
  /** Until node1 has all its peers, or has lost one. */
  const waitForPeers = (wanted: "Connected" | "Disconnected" = "Connected") =>
    waitFor(`peers ${wanted}`, async () => {
      const states = (await gluster("node1", "peer status")).match(/^State: .*$/gm) ?? [];
      return wanted === "Disconnected"
        ? states.some((state) => state.includes("(Disconnected)"))
        : states.every((state) => state.includes("Peer in Cluster (Connected)"));
    });
  const mount = (node: string, volume: string): Promise<string> => {
    const point = `/mnt/${volume}`;
    return sh(node, `mkdir -p ${point}; mountpoint -q ${point} || mount -t glusterfs localhost:/${volume} ${point}`);
  };
  /** Of all files, from a mount of its own on that node. */
  async function checksums(node: string, volume: string): Promise<string> {
    await mount(node, volume);
    return sh(node, `cd /mnt/${volume} && find . -type f | sort | xargs md5sum`);
  }
  /** Of all files, on the node's own brick. */
  const onBrick = (node: string, volume: string): Promise<string> =>
    sh(node, `cd /data/glusterfs/${volume} && find . -type f -not -path './.glusterfs/*' | sort | xargs md5sum`);
  const killBrick = (node: string, volume: string): Promise<string> =>
    sh(node, `kill -9 $(cat /run/gluster/vols/${volume}/*.pid)`);
  const isOnline = async (node: string, volume: string): Promise<boolean> =>
    / Y +\d+ *$/m.test(await gluster("node1", `volume status ${volume} ${brickOf(node, volume)}`));

  const stop = async (): Promise<void> => {
    supervisor.stdin.end();
    await gone;
  };
  for (const name of names) {
    await waitFor(`${isUp[0]} on ${name}`, async () => (await on(name, isUp)).exitCode === 0);
  }
  const volumes = { bricks, pool, waitForPeers, mount, checksums, onBrick, killBrick, isOnline };
  return { lab, names, on, must, sh, gluster, ...volumes, fencepost, operator, waitFor, stop };
}

/** One host key for all nodes, one user key that they all accept. */
function makeKeys(directory: string, names: readonly string[]): void {
  for (const name of ["host_key", "id_ed25519"]) {
    const made = spawnSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(directory, name)]);
    if (made.status !== 0) throw new Error(`ssh-keygen: ${made.stderr}`);
  }
  copyFileSync(join(directory, "id_ed25519.pub"), join(directory, "authorized_keys"));
  const hostKey = readFileSync(join(directory, "host_key.pub"), "utf8");
  writeFileSync(join(directory, "known_hosts"), names.map((name) => `${addressOf(name)} ${hostKey}`).join(""));
}
