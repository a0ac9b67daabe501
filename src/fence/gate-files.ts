/**
 * The two directories of the gate's exchange, for both sides: made, checked, read and written so that nothing that
 * somebody else planted there counts and nothing is seen half.
 * Errors: the system's, or OpsError unsafe for a file that must not be believed, bad-input for one that is too big.
 */
import { dirname } from "node:path";
import { fail } from "../core/errors.ts";
import {
  ensureDirectory,
  exists,
  modeOf,
  moveIfThere,
  openForReading,
  readAt,
  remove,
  syncDirectory,
  writeWhole,
} from "../core/files.ts";
import { MAX_EXCHANGE_BYTES, unfinishedName } from "./gate-protocol.ts";

const DIRECTORY_MODE = 0o750;
const OTHERS_MAY_WRITE = 0o002;

/** Made where it is missing, as the originals do (/run is empty after each boot), but not a link in its place. */
export async function prepareExchange(directory: string): Promise<void> {
  const parent = dirname(directory);
  if (!(await exists(parent))) await ensureDirectory(parent, DIRECTORY_MODE);
  await ensureDirectory(directory, DIRECTORY_MODE);
}

export type ExchangeFile = { text: string; modifiedMs: number };

/**
 * A small regular file of somebody we believe: root, ourselves, or whom the directory was given to. Undefined when it is
 * not there. Fence requests and their answers are orders: any user's file in a directory open to all must not be one.
 */
export async function readExchange(directory: string, name: string): Promise<ExchangeFile | undefined> {
  const path = `${directory}/${name}`;
  const handle = await openForReading(path);
  if (!handle) return undefined;
  try {
    const { size, uid, mode, mtimeMs } = await handle.stat();
    if (size > MAX_EXCHANGE_BYTES) fail("bad-input", `${path}: ${size} bytes, more than ${MAX_EXCHANGE_BYTES}`);
    const trusted = [0, process.geteuid?.(), (await modeOf(directory)).uid];
    if (!trusted.includes(uid)) fail("unsafe", `${path}: refused: it is user ${uid}'s, who may not write here`);
    if (mode & OTHERS_MAY_WRITE) fail("unsafe", `${path}: refused: any user may write it`);
    return { text: (await readAt(handle, 0, size)).toString("utf8"), modifiedMs: mtimeMs };
  } finally {
    await handle.close();
  }
}

/** Tells those who clean up that somebody still waits. False when the file is no longer there. */
export async function touchExchange(path: string, time: Date): Promise<boolean> {
  const handle = await openForReading(path);
  await handle?.utimes(time, time);
  await handle?.close();
  return handle !== undefined;
}

/** Whole or not at all, by way of `.NAME.tmp`. `wanted` is asked once more right before it becomes visible. */
export async function writeExchange(
  directory: string,
  name: string,
  text: string,
  wanted: () => boolean = () => true,
): Promise<void> {
  const unfinished = unfinishedName(name);
  await writeWhole(directory, unfinished, text);
  if (wanted()) {
    await moveIfThere(`${directory}/${unfinished}`, `${directory}/${name}`);
    await syncDirectory(directory);
  } else await remove(`${directory}/${unfinished}`);
}

/** What a person should know of a directory that works. */
export async function objectionsTo(directory: string): Promise<string[]> {
  const { mode } = await modeOf(directory);
  return mode & OTHERS_MAY_WRITE ? [`${directory}: any user may remove files there; try: chmod o-w ${directory}`] : [];
}
