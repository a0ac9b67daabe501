/**
 * Events that are not in the log yet: intents beside the log (`LOG_DIR/.intents`) and the spool for a log directory
 * that cannot be written. Both hold one file an event, written whole or not at all, that names its owner, so that
 * whatever is left after a crash is recovered exactly once: only when its owner is gone, claimed by rename, and looked
 * up in the log before it is written.
 */
import { OpsError } from "../core/errors.ts";
import { ensureDirectory, listNames, moveIfThere, readWhole, remove, statOf, writeWhole } from "../core/files.ts";
import type { Host } from "../core/host.ts";
import { assertLocal } from "../core/local-path.ts";
import { bootId, identityOf, isAlive, type ProcessIdentity } from "../core/process-identity.ts";
import type { EncodedEvent } from "../records/fence-event.ts";
import { appendEvent, type EventLog } from "./event-log.ts";

export const STATE_DIRECTORY = "/var/lib/fencepost";
export const SPOOL_DIRECTORIES = [`${STATE_DIRECTORY}/spool`, "/run/fencepost/spool"] as const;
export const SPOOL_CAP_BYTES = 64 * 1024 * 1024;
const MAX_ENTRY_BYTES = 1024 * 1024;
const RECOVERY_LOCK_MS = 5_000;

export type PendingEvent = {
  version: 1;
  /** The final event; an incomplete one is an intent whose owner has not finished. */
  complete: boolean;
  owner: ProcessIdentity;
  log: EventLog;
  event: EncodedEvent;
};

export const intentsDirectory = (log: EventLog): string => `${log.directory}/.intents`;
export const pendingName = (event: EncodedEvent): string => `${String(event.event_id)}.json`;

/** `ID.json`, or `ID.claimed-BOOT-PID-TICKS.json` while somebody recovers it. */
const NAME = /^([0-9a-f-]{36})(?:\.claimed-([0-9a-f]{8})-(\d+)-(-?\d+))?\.json$/;
const TEMPORARY = /^\..*\.(\d+)\.tmp$/;

export async function writePending(directory: string, entry: PendingEvent): Promise<void> {
  await writeWhole(directory, pendingName(entry.event), `${JSON.stringify(entry)}\n`);
}

/** Makes the spool directory with its parent; refuses one that is full. */
export async function prepareSpool(directory: string): Promise<void> {
  await ensureDirectory(directory.slice(0, directory.lastIndexOf("/")), 0o755);
  await ensureDirectory(directory);
  const sizes = await Promise.all((await listNames(directory)).map((name) => statOf(`${directory}/${name}`)));
  const used = sizes.reduce((sum, stat) => sum + (stat?.size ?? 0), 0);
  if (used <= SPOOL_CAP_BYTES) return;
  const overflow = Number((await readWhole(`${directory}/overflow`, 64)) ?? "0") + 1;
  await remove(`${directory}/overflow`);
  await writeWhole(directory, "overflow", `${overflow}\n`);
  throw new OpsError("io", `${directory}: full: ${used} bytes in the spool, ${overflow} events turned away`, {
    hint: `ls ${directory}`,
  });
}

function decodePending(text: string): PendingEvent | undefined {
  try {
    const entry = JSON.parse(text) as PendingEvent;
    return entry.version === 1 && typeof entry.event?.event_id === "string" && typeof entry.owner?.pid === "number"
      ? entry
      : undefined;
  } catch {
    return undefined;
  }
}

export type Recovery = { recovered: string[]; problems: string[] };

/**
 * Writes what others left behind in `directory` into the log that it belongs to. With `takesOthers`, for a node's own
 * log, an entry of another log goes there, or here when that log cannot be written any more: a log directory that was
 * moved must not strand what was spooled for it. An entry that cannot be written stays for the next one who tries.
 */
export async function recoverPending(
  host: Host,
  directory: string,
  log: EventLog,
  { takesOthers = false } = {},
): Promise<Recovery> {
  const recovery: Recovery = { recovered: [], problems: [] };
  const self = identityOf(host, process.pid);
  for (const name of await listNames(directory)) {
    const temporary = TEMPORARY.exec(name);
    if (temporary && host.readText(`/proc/${temporary[1]}/stat`) === undefined) await remove(`${directory}/${name}`);
    const match = NAME.exec(name);
    if (!match) continue;
    const [, id, claimBoot, claimPid, claimTicks] = match;
    if (claimBoot !== undefined) {
      const claimer = { boot_id: bootId(host), pid: Number(claimPid), start_ticks: Number(claimTicks) };
      if (bootId(host).startsWith(claimBoot) && isAlive(host, claimer)) continue;
    }
    try {
      const entry = decodePending((await readWhole(`${directory}/${name}`, MAX_ENTRY_BYTES)) ?? "");
      if (!entry) {
        recovery.problems.push(`${directory}/${name}: not a pending event`);
        continue;
      }
      if (entry.log.directory !== log.directory && !takesOthers) continue;
      if (!entry.complete && isAlive(host, entry.owner)) continue;
      const claim = `${id}.claimed-${self.boot_id.slice(0, 8)}-${self.pid}-${self.start_ticks}.json`;
      if (!(await moveIfThere(`${directory}/${name}`, `${directory}/${claim}`))) continue;
      const event = entry.complete
        ? entry.event
        : { ...entry.event, details: `${entry.event.details}; recovered after the recorder died` };
      const append = (to: EventLog) =>
        appendEvent(to, event, { timeoutMs: RECOVERY_LOCK_MS, unlessThere: () => true, now: () => host.now() });
      const belongsHere = entry.log.directory === log.directory;
      const wrote = await (belongsHere
        ? append(log)
        : appendElsewhere(host, entry.log, append).catch(() => append(log)));
      await remove(`${directory}/${claim}`);
      if (wrote) recovery.recovered.push(String(id));
    } catch (error) {
      recovery.problems.push(`${directory}/${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return recovery;
}

/** Another log of this node, as long as it is there and on a disk of its own. */
async function appendElsewhere(
  host: Host,
  log: EventLog,
  append: (to: EventLog) => Promise<boolean>,
): Promise<boolean> {
  await assertLocal(log.directory, host.readText("/proc/self/mountinfo") ?? "");
  return append(log);
}
