/**
 * What slurmctld says of its nodes, and what lies on the hosts that have a copy of slurm.conf.
 * Input:  `scontrol -o show node`, `squeue`, `sha256sum` and `stat` here or by ssh. Output: data.
 * Errors: OpsError missing-tool, timeout, failed (Slurm's own words), bad-output.
 * Source: scontrol(1), squeue(1) of Slurm 22.05.
 */
import { type ErrorKind, OpsError } from "../../../core/errors.ts";
import { type Argv, failureOf } from "../../../core/exec.ts";
import type { Host } from "../../../core/host.ts";
import { sshArgv } from "../../../core/ssh.ts";

export const TIMEOUT_MS = 30_000;

/** Where something runs: `here`, or a host that ssh reaches. */
export const HERE = "";
export const onHost = (where: string, argv: Argv): Argv => (where === HERE ? argv : sshArgv(where, argv));

export type SlurmNode = {
  name: string;
  address: string;
  hostname: string;
  /** IDLE, ALLOCATED, MIXED, DOWN, UNKNOWN and what is added to it: DRAIN, NOT_RESPONDING, … */
  state: readonly string[];
  reason: string;
};

export async function told(host: Host, argv: Argv, hint?: string): Promise<string> {
  const result = await host.run(argv, { timeoutMs: TIMEOUT_MS });
  const failure = failureOf(result, TIMEOUT_MS);
  if (failure === undefined) return result.stdout;
  const kind: ErrorKind =
    result.outcome === "timed-out" ? "timeout" : result.spawnError === "ENOENT" ? "missing-tool" : "failed";
  throw new OpsError(kind, failure, hint === undefined ? {} : { hint });
}

export function parseNodes(stdout: string): SlurmNode[] {
  return stdout
    .split("\n")
    .filter((line) => line.includes("NodeName="))
    .map((line) => {
      const value = (key: string): string => new RegExp(`(?:^|\\s)${key}=(\\S+)`).exec(line)?.[1] ?? "";
      const state = value("State");
      if (state === "") throw new OpsError("bad-output", `scontrol show node: no State: ${line.slice(0, 100)}`);
      return {
        name: value("NodeName"),
        address: value("NodeAddr"),
        hostname: value("NodeHostName"),
        // A star: it does not answer.
        state: state.replace("*", "+NOT_RESPONDING").split("+"),
        reason: / Reason=(.*?)(?: \[|$)/.exec(line)?.[1] ?? "",
      };
    });
}

export const readNodes = async (host: Host): Promise<SlurmNode[]> =>
  parseNodes(await told(host, ["scontrol", "-o", "show", "node"], "scontrol ping"));

/** Jobs that have something on the node now. */
export async function readJobs(host: Host, name: string): Promise<string[]> {
  const states = "RUNNING,CONFIGURING,COMPLETING,SUSPENDED,STOPPED,STAGE_OUT";
  const stdout = await told(host, ["squeue", "--noheader", "--nodelist", name, "--states", states, "--format", "%i"]);
  return stdout.split("\n").flatMap((line) => line.trim() || []);
}

/** Names behind `n[1-3,7]`. */
export async function expandNames(host: Host, list: string): Promise<string[]> {
  if (!/^[A-Za-z0-9._,[\]-]+$/.test(list)) throw new OpsError("bad-input", `slurm.conf: not a list of nodes: ${list}`);
  return (await told(host, ["scontrol", "show", "hostnames", list])).split("\n").filter((name) => name !== "");
}
export const foldNames = async (host: Host, names: readonly string[]): Promise<string> =>
  (await told(host, ["scontrol", "show", "hostlistsorted", names.join(",")])).trim();

/** Undefined: there is no such file. */
export async function readHash(host: Host, where: string, file: string): Promise<string | undefined> {
  const argv = onHost(where, ["sha256sum", file]);
  const result = await host.run(argv, { timeoutMs: TIMEOUT_MS });
  if (result.exitCode === 1 && /No such file/.test(result.stderr)) return undefined;
  const failure = failureOf(result, TIMEOUT_MS);
  const hash = /^\\?([0-9a-f]{64}) /.exec(result.stdout)?.[1];
  if (failure !== undefined || hash === undefined)
    throw new OpsError("failed", `${where || "here"}: ${file}: ${failure ?? "no answer"}`);
  return hash;
}

/** A process's start is known to the second, and rounded down. */
const ROUNDING_S = 1;

/** Whether all processes of a daemon have begun after the file was last written: both by that host's own clock. */
export async function isNewer(host: Host, where: string, daemon: string, file: string): Promise<boolean> {
  const written = Number((await told(host, onHost(where, ["stat", "-L", "-c", "%Y", "--", file]))).trim());
  const argv = onHost(where, ["env", "TZ=UTC", "ps", "-C", daemon, "-o", "lstart="]);
  const result = await host.run(argv, { timeoutMs: TIMEOUT_MS });
  if (result.exitCode === 1 && result.stdout.trim() === "" && result.stderr.trim() === "") return false;
  const failure = failureOf(result, TIMEOUT_MS);
  if (failure !== undefined) throw new OpsError("failed", `${where || "here"}: ${failure}`);
  const lines = result.stdout.split("\n").filter((line) => line.trim() !== "");
  const begun = Math.min(...lines.map((line) => Date.parse(`${line.trim()} UTC`) / 1000));
  if (Number.isNaN(written) || !Number.isFinite(begun))
    throw new OpsError("bad-output", `${where || "here"}: no times of ${daemon} and ${file}`);
  return begun + ROUNDING_S >= written;
}
