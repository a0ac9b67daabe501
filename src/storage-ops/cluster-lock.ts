/**
 * One operation at a time in a whole cluster: flock(2) on the same file on every node, on the others by way of ssh.
 * The lock on another node is held by `flock … tee` at the other end of an ssh connection: it echoes our note once it has
 * the lock, and lets go when the connection ends, however our process does. So nobody clears away a dead holder's lock.
 * Input:  the places in an order that all nodes agree on: who has the first one goes on, so that never two refuse each other.
 * Errors: OpsError unsafe: somebody else has it (who, where, since when), or a node could not be asked; no lock, no step.
 */
import { OpsError, reasonOf } from "../core/errors.ts";
import { type Detached, failureOf, startDetached } from "../core/exec.ts";
import { ensureDirectory, openForUpdate, readAt } from "../core/files.ts";
import { lockOpenFile } from "../core/flock.ts";
import type { Host } from "../core/host.ts";
import type { ProgramContext } from "../core/program.ts";
import { sshArgv } from "../core/ssh.ts";
import { escapeControl } from "../core/text.ts";

const RUN_DIRECTORY = "/run/fencepost";
const SSH_TIMEOUT_MS = 20_000;
/** A holder that was just killed lets go within this: its connections have to be closed first. */
const PATIENCE_MS = 5_000;
const RETRY_MS = 250;

export type Place = {
  name: string;
  isLocal: boolean;
  /** Its own way to be locked, where the service has one that needs no ssh. */
  take?: (note: string, context: ProgramContext) => Promise<Release | NotTaken>;
};
export type LockRequest = { object: string; journal: string; places: readonly Place[] };

export type Release = () => Promise<void>;

export async function withClusterLock<T>(
  context: ProgramContext,
  { object, journal, places }: LockRequest,
  work: () => Promise<T>,
): Promise<T> {
  const path = `${RUN_DIRECTORY}/${object}.lock`;
  const note = JSON.stringify({
    journal,
    host: context.host.hostname(),
    pid: process.pid,
    since: context.host.now().toISOString(),
  });
  const held: Release[] = [];
  const take = async (place: Place): Promise<void> => {
    const untilMs = context.host.monotonicMs() + PATIENCE_MS;
    for (;;) {
      const taken = await (place.take?.(note, context) ??
        (place.isLocal ? takeHere(path, note) : takeThere(context, place.name, path, note)));
      if (typeof taken === "function") {
        held.push(taken);
        return;
      }
      if (taken.isFinal || context.host.monotonicMs() >= untilMs) {
        throw new OpsError(
          "unsafe",
          `${object}: no lock on ${place.isLocal ? "this node" : place.name}: ${taken.why}`,
          {
            hint: "fencepost journal list, on the host that is named",
          },
        );
      }
      await context.host.sleep(RETRY_MS);
    }
  };
  try {
    const [first, ...others] = places;
    if (first) await take(first);
    const results = await Promise.allSettled(others.map(take));
    const refused = results.find((result) => result.status === "rejected");
    if (refused) throw refused.reason;
    return await work();
  } finally {
    for (const release of held) await release();
  }
}

export type NotTaken = { why: string; isFinal: boolean };
const heldBy = (note: string): NotTaken => ({
  why: `another operation is at work: ${escapeControl(note.trim().slice(0, 400)) || "it has just begun"}`,
  isFinal: false,
});

async function takeHere(path: string, note: string): Promise<Release | NotTaken> {
  await ensureDirectory(RUN_DIRECTORY, 0o755);
  const lock = await openForUpdate(path);
  let isTaken = false;
  try {
    if (!(await lockOpenFile(lock.fd, 0)))
      return heldBy((await readAt(lock, 0, Math.min((await lock.stat()).size, 4096))).toString("utf8"));
    await lock.truncate(0);
    await lock.write(`${note}\n`, 0);
    isTaken = true;
    return () => lock.close();
  } finally {
    if (!isTaken) await lock.close();
  }
}

async function takeThere(
  { host, env }: ProgramContext,
  name: string,
  path: string,
  note: string,
): Promise<Release | NotTaken> {
  const made = await host.run(sshArgv(name, ["mkdir", "-p", "-m", "755", RUN_DIRECTORY]), {
    timeoutMs: SSH_TIMEOUT_MS,
  });
  const failure = failureOf(made, SSH_TIMEOUT_MS);
  if (failure !== undefined) return { why: `it could not be reached: ${failure}`, isFinal: true };
  const defined = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  let child: Detached | undefined;
  let said = "";
  const answer = await new Promise<"held" | "ended" | "silent">((resolve) => {
    const timer = setTimeout(() => resolve("silent"), SSH_TIMEOUT_MS);
    const settle = (how: "held" | "ended") => {
      clearTimeout(timer);
      resolve(how);
    };
    child = startDetached(
      sshArgv(name, ["flock", "-x", "-n", path, "tee", path]),
      { argv0: "ssh", env: Object.fromEntries(defined) },
      (text) => {
        if (text === undefined) return settle("ended");
        said += text;
        if (said.includes(note)) settle("held");
      },
    );
    child.send(`${note}\n`);
  });
  if (answer === "held") return async () => child?.end();
  child?.end();
  if (answer === "silent") return { why: `no answer within ${SSH_TIMEOUT_MS / 1000} s`, isFinal: true };
  return readNote(host, name, path);
}

async function readNote(host: Host, name: string, path: string): Promise<NotTaken> {
  try {
    const result = await host.run(sshArgv(name, ["cat", path]), { timeoutMs: SSH_TIMEOUT_MS });
    const failure = failureOf(result, SSH_TIMEOUT_MS);
    return failure === undefined ? heldBy(result.stdout) : { why: failure, isFinal: false };
  } catch (error) {
    return { why: reasonOf(error), isFinal: false };
  }
}
