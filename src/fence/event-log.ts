/**
 * The log directory: appending one event to its three files so that a kill at any moment leaves each line whole and once.
 * The JSONL file is the record; the readable line is derived from it. Both are written under one lock, flock(2) on
 * `.append.lock`: the kernel drops it when its holder dies. The lock file's text is a note of the append under way,
 * and whoever gets the lock next mends what the note says was left half done.
 * Errors: the system's, or OpsError; nothing is left half written when an append throws.
 */

import { OpsError, reasonOf } from "../core/errors.ts";
import {
  type FileHandle,
  listNames,
  openForAppend,
  openForReading,
  openForUpdate,
  readAt,
  statOf,
  syncDirectory,
} from "../core/files.ts";
import { lockOpenFile } from "../core/flock.ts";
import { escapeControl } from "../core/text.ts";
import { type EncodedEvent, localTime, renderReadable } from "../records/fence-event.ts";

export const DETAILED = "fence-events-detailed.jsonl";
export const READABLE = "fence-events-readable.log";
export const OUTCOMES = "fence-outcomes.jsonl";
const LOCK = ".append.lock";
const NEWLINE = 0x0a;
const NOTE_BYTES = 512;
const TAIL_BYTES = 128 * 1024;
const MAX_LINE_BYTES = 1024 * 1024;

/** How far clocks may have been set between an event and its line; bounds the search for a line. */
const CLOCK_SLACK_MS = 7 * 24 * 3_600_000;

export type EventLog = { directory: string; operationalLog: string };

/** One append under way: where both files ended before it. */
type Note = { event_id: string; detailed: { inode: number; size: number }; readable: { inode: number; size: number } };

/** Runs `work` while holding the directory's append lock. */
async function withLock<T>(
  { directory }: EventLog,
  timeoutMs: number,
  work: (lock: FileHandle) => Promise<T>,
): Promise<T> {
  const lock = await openForUpdate(`${directory}/${LOCK}`);
  try {
    if (!(await lockOpenFile(lock.fd, timeoutMs))) {
      throw new OpsError("timeout", `${directory}/${LOCK}: not locked within ${timeoutMs} ms`, {
        hint: `fuser -v ${directory}/${LOCK}`,
      });
    }
    return await work(lock);
  } finally {
    await lock.close();
  }
}

async function readNote(lock: FileHandle): Promise<Note | undefined> {
  const text = (await readAt(lock, 0, NOTE_BYTES)).toString("utf8").trim();
  try {
    return text === "" ? undefined : (JSON.parse(text) as Note);
  } catch {
    return undefined; // the note itself was cut off: the append it announced had not begun
  }
}

/** One write of a fixed size, blank for no note. */
async function writeNote(lock: FileHandle, note: Note | undefined): Promise<void> {
  await lock.write((note ? JSON.stringify(note) : "").padEnd(NOTE_BYTES), 0);
}

/** The file that had this inode when the note was written; it may have been rotated since. */
async function openByInode(directory: string, name: string, inode: number): Promise<FileHandle | undefined> {
  for (const candidate of (await listNames(directory)).filter((file) => file.startsWith(name))) {
    if ((await statOf(`${directory}/${candidate}`))?.inode !== inode) continue;
    return (await openForAppend(`${directory}/${candidate}`)).handle;
  }
  return undefined;
}

/** An open log with what stands at its end. */
type OpenLog = { handle: FileHandle; created: boolean; size: number; inode: number; tail: Buffer };

async function openLog(path: string, tailBytes = 1): Promise<OpenLog> {
  const { handle, created, stat } = await openForAppend(path);
  const length = Math.min(stat.size, tailBytes);
  const tail = length === 0 ? Buffer.alloc(0) : await readAt(handle, stat.size - length, length);
  return { handle, created, size: stat.size, inode: stat.ino, tail };
}

/** One write of one line at the end of the file; on a full disk the file is as it was. */
async function appendLine({ handle, size, tail }: OpenLog, line: string): Promise<void> {
  // Half a line left by somebody killed in mid-write must not swallow this one.
  const midLine = tail.length > 0 && tail[tail.length - 1] !== NEWLINE;
  const bytes = Buffer.from(`${midLine ? "\n" : ""}${line}\n`, "utf8");
  let written = 0;
  try {
    ({ bytesWritten: written } = await handle.write(bytes));
  } catch (error) {
    await handle.truncate(size).catch(() => undefined);
    throw error;
  }
  if (written === bytes.length) return;
  await handle.truncate(size);
  throw Object.assign(new Error(`only ${written} of ${bytes.length} bytes written`), { code: "ENOSPC" });
}

async function appendTo(path: string, line: string): Promise<void> {
  const log = await openLog(path);
  try {
    await appendLine(log, line);
  } finally {
    await log.handle.close();
  }
}

/** Finishes or takes back what the last holder of the lock was killed in. */
async function mend(log: EventLog, lock: FileHandle): Promise<void> {
  const note = await readNote(lock);
  if (!note) return;
  await mendFrom(log, note);
  await writeNote(lock, undefined);
}

const parseLine = (line: string): EncodedEvent | undefined => {
  try {
    return JSON.parse(line) as EncodedEvent;
  } catch {
    return undefined;
  }
};

async function mendFrom(log: EventLog, note: Note): Promise<void> {
  const detailed = await openByInode(log.directory, DETAILED, note.detailed.inode);
  try {
    const { size = 0 } = (await detailed?.stat()) ?? {};
    if (!detailed || size <= note.detailed.size) return;
    const added = await readAt(detailed, note.detailed.size, Math.min(size - note.detailed.size, MAX_LINE_BYTES));
    const text = added.toString("utf8").replace(/^\n/, "");
    const end = text.indexOf("\n");
    if (end === -1) {
      await detailed.truncate(note.detailed.size);
      return;
    }
    const record = parseLine(text.slice(0, end));
    if (record?.event_id === note.event_id) await mendReadable(log, note, renderReadable(record));
  } finally {
    await detailed?.close();
  }
}

const afterTime = (line: string): string => line.slice(line.indexOf("] ") + 2);

async function mendReadable({ directory }: EventLog, note: Note, line: string): Promise<void> {
  const then = await openByInode(directory, READABLE, note.readable.inode);
  try {
    if (then) {
      const { size } = await then.stat();
      const added = await readAt(
        then,
        note.readable.size,
        Math.max(0, Math.min(size - note.readable.size, MAX_LINE_BYTES)),
      );
      // The time before it is local, and this process may be in another time zone than the one that died.
      if (afterTime(added.toString("utf8").replace(/^\n/, "")).startsWith(`${afterTime(line)}\n`)) return;
      if (!added.includes(NEWLINE, added[0] === NEWLINE ? 1 : 0)) await then.truncate(note.readable.size);
    }
  } finally {
    await then?.close();
  }
  await appendTo(`${directory}/${READABLE}`, line);
}

/** `recorded_ms` of the last line that has one; 0 without. */
function lastRecordedMs(tail: Buffer): number {
  for (const line of tail.toString("utf8").split("\n").reverse()) {
    const found = /"recorded_ms":(\d{1,15})/.exec(line);
    if (found) return Number(found[1]);
  }
  return 0;
}

/** A log that was just rotated goes on where the one before it ended, whatever rotation calls that. */
async function lastRotatedMs(directory: string, base: string): Promise<number> {
  const rotated = (await filesCalled(directory, base)).filter(({ name }) => name !== base && !COMPRESSED.test(name));
  const newest = rotated.sort((a, b) => b.modifiedMs - a.modifiedMs)[0];
  const handle = newest && (await openForReading(`${directory}/${newest.name}`));
  if (!handle) return 0;
  try {
    const { size } = await handle.stat();
    const start = Math.max(0, size - TAIL_BYTES);
    return lastRecordedMs(await readAt(handle, start, size - start));
  } finally {
    await handle.close();
  }
}

const COMPRESSED = /\.(gz|zst|xz|bz2|lz4)$/;

/** A log and what was rotated away from it; links, directories and the like are none of ours. */
async function filesCalled(directory: string, base: string): Promise<{ name: string; modifiedMs: number }[]> {
  const names = (await listNames(directory)).filter((name) => name.startsWith(base));
  const stats = await Promise.all(names.map(async (name) => ({ name, stat: await statOf(`${directory}/${name}`) })));
  return stats.flatMap(({ name, stat }) => (stat?.isFile ? [{ name, modifiedMs: stat.modifiedMs }] : []));
}

/**
 * Appends one event to the detailed and the readable log. When `unlessThere` says so, asked once the lock is ours, the
 * log is searched first and an event that it already holds is left alone: somebody else may have written it meanwhile.
 * Returns whether this call wrote it. When it returns the line in the JSONL file is on disk.
 */
export async function appendEvent(
  log: EventLog,
  record: EncodedEvent,
  { timeoutMs, unlessThere, now }: { timeoutMs: number; unlessThere: () => boolean; now: () => Date },
): Promise<boolean> {
  return withLock(log, timeoutMs, async (lock) => {
    await mend(log, lock);
    const id = String(record.event_id);
    const wanted = new Map([[id, Number(record.time_ms)]]);
    const there = unlessThere() ? (await findEvents(log, wanted, now())).get(id) : undefined;
    if (there !== undefined) {
      const written = parseLine(there);
      if (written) await ensureReadable(log, written);
      return false;
    }
    await appendBoth(log, lock, record, now());
    return true;
  });
}

async function appendBoth(log: EventLog, lock: FileHandle, record: EncodedEvent, now: Date): Promise<void> {
  const { directory } = log;
  const detailed = await openLog(`${directory}/${DETAILED}`, TAIL_BYTES);
  try {
    const readable = await openLog(`${directory}/${READABLE}`);
    try {
      const written = await stamped(record, detailed, directory, DETAILED, now);
      await writeNote(lock, {
        event_id: String(record.event_id),
        detailed: { inode: detailed.inode, size: detailed.size },
        readable: { inode: readable.inode, size: readable.size },
      });
      await appendLine(detailed, JSON.stringify(written));
      await detailed.handle.datasync();
      if (detailed.created || readable.created) await syncDirectory(directory);
      // From here on the event is recorded. If the readable line fails, the note stays and the next append mends it.
      try {
        await appendLine(readable, renderReadable(written));
        await readable.handle.datasync();
      } catch {
        return;
      }
      await writeNote(lock, undefined);
    } finally {
      await readable.handle.close();
    }
  } finally {
    await detailed.handle.close();
  }
}

/** The record with the time it is written at, never before that of the line before it. */
async function stamped(
  record: EncodedEvent,
  { size, tail }: OpenLog,
  directory: string,
  base: string,
  now: Date,
): Promise<EncodedEvent> {
  const previousMs = size > 0 ? lastRecordedMs(tail) : await lastRotatedMs(directory, base);
  return { ...record, recorded_ms: Math.max(now.getTime(), previousMs) };
}

/** Appends one outcome unless the outcomes hold its id already. Returns whether this call wrote it; on disk then. */
export async function appendOutcome(
  log: EventLog,
  record: EncodedEvent,
  { timeoutMs, now }: { timeoutMs: number; now: () => Date },
): Promise<boolean> {
  return withLock(log, timeoutMs, async () => {
    const id = String(record.event_id);
    if ((await findEvents(log, new Map([[id, Number(record.time_ms)]]), now(), OUTCOMES)).has(id)) return false;
    const outcomes = await openLog(`${log.directory}/${OUTCOMES}`, TAIL_BYTES);
    try {
      await appendLine(outcomes, JSON.stringify(await stamped(record, outcomes, log.directory, OUTCOMES, now())));
      await outcomes.handle.datasync();
      if (outcomes.created) await syncDirectory(log.directory);
    } finally {
      await outcomes.handle.close();
    }
    return true;
  });
}

/** `[YYYY-MM-DD HH:MM:SS] [LEVEL] message` in the operational log. */
export async function appendOperational(
  log: EventLog,
  level: "INFO" | "WARNING" | "ERROR",
  message: string,
  now: Date,
): Promise<void> {
  await appendTo(log.operationalLog, `[${localTime(now)}] [${level}] ${escapeControl(message)}`);
}

/**
 * Which of the events (id → time_ms) the current and the rotated JSONL files hold, with the line of each.
 * A file last changed before an event happened cannot hold it, and `recorded_ms` only grows, so little is read.
 * Errors: OpsError unsupported when a file that would have to be searched is compressed in a way we cannot read.
 */
export async function findEvents(
  log: EventLog,
  wanted: ReadonlyMap<string, number>,
  now: Date,
  base = DETAILED,
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  if (wanted.size === 0) return found;
  // An event from a clock that was ahead says nothing about when its line was written.
  const oldestMs = Math.min(now.getTime(), ...wanted.values()) - CLOCK_SLACK_MS;
  const take = (line: string) => {
    const id = /"event_id":"([^"]{1,64})"/.exec(line)?.[1];
    if (id !== undefined && wanted.has(id)) found.set(id, line);
  };
  await eachLineSince(log, oldestMs, take, base);
  return found;
}

/**
 * Hands out the lines of the current and the rotated files that were written at `oldestMs` or later, and some older ones.
 * Errors: as findEvents.
 */
export async function eachLineSince(
  log: EventLog,
  oldestMs: number,
  take: (line: string) => void,
  base: string,
): Promise<void> {
  for (const { name, modifiedMs } of await filesCalled(log.directory, base)) {
    const path = `${log.directory}/${name}`;
    if (name !== base && modifiedMs < oldestMs) continue;
    if (name.endsWith(".gz")) await eachGzipLine(path, take);
    else if (COMPRESSED.test(name)) {
      throw new OpsError("unsupported", `${path}: cannot be searched for an event to recover`, {
        hint: "rotate with delaycompress",
      });
    } else await eachLineBackwards(path, oldestMs, take);
  }
}

/**
 * The readable line of an event that the record holds already, for the case that the machine went down between the two.
 * The line is looked for near the end, where a recovery's lines are.
 */
async function ensureReadable({ directory }: EventLog, record: EncodedEvent): Promise<void> {
  const line = renderReadable(record);
  for (const { name } of await filesCalled(directory, READABLE)) {
    if (COMPRESSED.test(name)) continue;
    const log = await openLog(`${directory}/${name}`, MAX_LINE_BYTES);
    try {
      if (log.tail.toString("utf8").split("\n").includes(line)) return;
    } finally {
      await log.handle.close();
    }
  }
  await appendTo(`${directory}/${READABLE}`, line);
}

async function eachLineBackwards(path: string, untilMs: number, take: (line: string) => void): Promise<void> {
  const handle = await openForReading(path);
  if (!handle) return;
  try {
    let { size: end } = await handle.stat();
    let rest = Buffer.alloc(0);
    while (end > 0) {
      const start = Math.max(0, end - 1024 * 1024);
      const chunk = Buffer.concat([await readAt(handle, start, end - start), rest]);
      const firstEnd = start === 0 ? -1 : chunk.indexOf(NEWLINE);
      // What stands before the first newline belongs to the chunk before this one.
      rest = start === 0 ? Buffer.alloc(0) : Buffer.from(firstEnd === -1 ? chunk : chunk.subarray(0, firstEnd));
      const lines = firstEnd === -1 && start > 0 ? [] : chunk.toString("utf8", firstEnd + 1).split("\n");
      for (const line of lines) take(line);
      const recorded = /"recorded_ms":(\d{1,15})/.exec(lines[0] ?? "");
      if (recorded && Number(recorded[1]) < untilMs) return;
      end = start;
    }
  } finally {
    await handle.close();
  }
}

async function eachGzipLine(path: string, take: (line: string) => void): Promise<void> {
  const handle = await openForReading(path);
  if (!handle) return;
  let rest = "";
  const { createGunzip } = await import("node:zlib"); // 5 ms that only a search of rotated logs needs
  try {
    for await (const chunk of handle.createReadStream({ autoClose: false }).pipe(createGunzip())) {
      const lines = (rest + (chunk as Buffer).toString("latin1")).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) take(line);
    }
    take(rest);
  } catch (error) {
    throw new OpsError("bad-input", `${path}: cannot be searched: ${reasonOf(error)}`, { cause: error });
  } finally {
    await handle.close();
  }
}
