/**
 * Which controllers run GlusterFS already: asked of all of them at once, over ssh, each within its own time limit.
 * Output: an Answer for each. `none` is told only by a machine that answered and has neither volume nor peer; one that did
 *         not answer is `unknown`, which is never taken for none: a second cluster of the same name would be made.
 * Errors: none of its own; what went wrong is in the answer.
 */
import { OpsError, reasonOf } from "../../../core/errors.ts";
import { type Argv, failureOf, type RunOptions } from "../../../core/exec.ts";
import type { Host } from "../../../core/host.ts";
import { sshArgv } from "../../../core/ssh.ts";
import { type Peer, readPeers, readVolumes, type Volume } from "../state.ts";

export type Answer =
  | { state: "active"; peers: readonly Peer[]; volumes: readonly Volume[] }
  | { state: "none" }
  /** `kept`: what its disk says of a pool, although its glusterd says nothing. */
  | { state: "unknown"; reason: string; kept: readonly string[] };

/** ssh itself gives up after 10 s, glusterd's command line after 120 s. */
const LIMIT_MS = 25_000;

/** This program's world, with the commands run on another machine. */
export function hostThrough(host: Host, address: string, limitMs = Number.POSITIVE_INFINITY): Host {
  const notThere = (): never => {
    throw new OpsError("bug", `${address}: only commands are run there`);
  };
  return {
    ...host,
    run: (argv: Argv, options: RunOptions) =>
      host.run(sshArgv(address, argv), { ...options, timeoutMs: Math.min(options.timeoutMs, limitMs) }),
    readText: notThere,
    listDirectory: notThere,
    isExecutableFile: notThere,
  };
}

/** The same, here, with a time limit that a hung glusterd cannot stretch. */
export const hostWithin = (host: Host, limitMs: number): Host => ({
  ...host,
  run: (argv, options) => host.run(argv, { ...options, timeoutMs: Math.min(options.timeoutMs, limitMs) }),
});

export const probeHere = (host: Host): Promise<Answer> => probe(hostWithin(host, LIMIT_MS));

export const probeThere = (host: Host, address: string): Promise<Answer> => probe(hostThrough(host, address, LIMIT_MS));

export async function discover<T extends { address: string }>(
  host: Host,
  others: readonly T[],
): Promise<{ controller: T; answer: Answer }[]> {
  return Promise.all(
    others.map(async (controller) => ({ controller, answer: await probeThere(host, controller.address) })),
  );
}

async function probe(host: Host): Promise<Answer> {
  const kept = await readKept(host);
  if (!Array.isArray(kept)) return { state: "unknown", reason: kept.reason, kept: [] };
  try {
    const peers = await readPeers(host);
    const volumes = await readVolumes(host);
    return peers.length > 1 || volumes.length > 0 ? { state: "active", peers, volumes } : { state: "none" };
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    // Stopped, or not installed: what it would know of a pool lies on its disk.
    if (kept.length === 0) return { state: "none" };
    return {
      state: "unknown",
      kept,
      reason: `it has ${kept.slice(0, 3).join(", ")}, but its glusterd does not answer: ${reasonOf(error)}`,
    };
  }
}

/** Volumes and peers that glusterd has on its disk, whether it runs or not. */
async function readKept(host: Host): Promise<string[] | { reason: string }> {
  const words = ["/var/lib/glusterd/vols", "/var/lib/glusterd/peers", "-mindepth", "1", "-maxdepth", "1", "-print"];
  const result = await host.run(["env", "LC_ALL=C", "find", ...words], { timeoutMs: LIMIT_MS });
  const absent = result.stderr
    .trim()
    .split("\n")
    .every((line) => line === "" || line.includes("No such file or directory"));
  const answered = result.outcome === "exited" && (result.exitCode === 0 || (result.exitCode === 1 && absent));
  if (answered) return result.stdout.split("\n").filter((line) => line !== "");
  return { reason: failureOf(result, LIMIT_MS) ?? "no answer" };
}
