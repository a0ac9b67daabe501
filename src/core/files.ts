/**
 * Files that must survive: writing and appending so that a crash, a full disk or a planted link loses or spoils nothing.
 * Every call is asynchronous, so that a disk that hangs holds a thread of the pool and not the program.
 * Errors: the system's (`code` ENOSPC, EROFS, …), or OpsError unsafe for a file that is not what it must be.
 */
import { constants, type Stats } from "node:fs";
import {
  type FileHandle,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  stat as statFollowing,
  statfs,
  unlink,
} from "node:fs/promises";
import { basename, dirname } from "node:path";
import { OpsError, reasonOf } from "./errors.ts";

export type { FileHandle } from "node:fs/promises";

const { O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } = constants;

export const FILE_MODE = 0o640;
export const PRIVATE_DIRECTORY_MODE = 0o700;

export const errorCode = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | undefined)?.code;

/** Nothing there is an answer; any other trouble is not. */
const orUndefined = <T>(promise: Promise<T>): Promise<T | undefined> =>
  promise.catch((error: unknown) => {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  });

/** Opens a file that must be a regular one with a single name: not a link, not a FIFO or device, not a hard link. */
async function openRegular(path: string, flags: number, mode?: number): Promise<{ handle: FileHandle; stat: Stats }> {
  const handle = await open(path, flags | O_NOFOLLOW | O_NONBLOCK, mode).catch((error: unknown) => {
    // O_NOFOLLOW on a link gives ELOOP, opening a FIFO nobody reads gives ENXIO, a directory EISDIR.
    if (["ELOOP", "ENXIO", "EISDIR"].includes(errorCode(error) ?? "")) {
      throw new OpsError("unsafe", `${path}: refused: not a regular file`, { cause: error, hint: `ls -l ${path}` });
    }
    throw error;
  });
  const stat = await handle.stat();
  if (stat.isFile() && stat.nlink === 1) return { handle, stat };
  await handle.close();
  throw new OpsError(
    "unsafe",
    `${path}: refused: ${stat.isFile() ? "it has more than one name" : "not a regular file"}`,
    {
      hint: `ls -l ${path}`,
    },
  );
}

/** For reading and appending; created when missing. `created` says so. */
export async function openForAppend(
  path: string,
  mode = FILE_MODE,
): Promise<{ handle: FileHandle; stat: Stats; created: boolean }> {
  try {
    return { ...(await openRegular(path, O_RDWR | O_APPEND)), created: false };
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  const opened = await openRegular(path, O_RDWR | O_APPEND | O_CREAT, mode);
  await opened.handle.chmod(mode); // whatever the caller's umask made of it: the log is the group's to read
  const { gid } = await lstat(dirname(path));
  if (gid !== opened.stat.gid && process.getuid?.() === 0) await opened.handle.chown(opened.stat.uid, gid);
  return { ...opened, created: true };
}

/** For reading and writing in place (a lock file and its note). */
export const openForUpdate = async (path: string): Promise<FileHandle> =>
  (await openRegular(path, O_RDWR | O_CREAT, FILE_MODE)).handle;

/** For reading; undefined when it is not there. */
export const openForReading = async (path: string): Promise<FileHandle | undefined> =>
  (await orUndefined(openRegular(path, O_RDONLY)))?.handle;

/** For reading a log that grows, links followed; undefined when it is not there. */
export const openToFollow = async (path: string): Promise<FileHandle | undefined> =>
  orUndefined(open(path, O_RDONLY | O_NONBLOCK));

/** When what a path leads to was last changed, links followed; undefined when it leads nowhere. */
export const modifiedMsOf = async (path: string): Promise<number | undefined> =>
  (await orUndefined(statFollowing(path)))?.mtimeMs;

/** A small regular file's text; undefined when it is not there. */
export async function readWhole(path: string, maxBytes: number): Promise<string | undefined> {
  const handle = await openForReading(path);
  if (!handle) return undefined;
  try {
    const { size } = await handle.stat();
    if (size > maxBytes) throw new OpsError("bad-input", `${path}: ${size} bytes, more than ${maxBytes}`);
    return (await readAt(handle, 0, size)).toString("utf8");
  } finally {
    await handle.close();
  }
}

/** Exactly the bytes from `position`, fewer only at the end of the file. */
export async function readAt(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(buffer, filled, length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, O_RDONLY | O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The whole file or none of it, on disk when this returns: temporary file, fsync, rename, fsync of the directory. */
export async function writeWhole(
  directory: string,
  name: string,
  content: string | AsyncIterable<string | Uint8Array>,
  mode = FILE_MODE,
): Promise<void> {
  const temporary = `${directory}/.${name}.${process.pid}.tmp`;
  const handle = await open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
  try {
    if (typeof content === "string") await handle.writeFile(content);
    else for await (const part of content) await handle.appendFile(part);
    await handle.sync();
  } catch (error) {
    await handle.close();
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
  await handle.close();
  await rename(temporary, `${directory}/${name}`);
  await syncDirectory(directory);
}

/**
 * A file that the user named for an answer: replaced as a whole, or left as it was. A link, a device or a directory of that
 * name is refused: replacing /dev/null would be worse than not writing.
 * Errors: OpsError unsafe, io; what `content` throws comes through.
 */
export async function writeAnswer(path: string, content: string | AsyncIterable<string | Uint8Array>): Promise<void> {
  const failed = (error: unknown): never => {
    if (errorCode(error) === undefined) throw error;
    throw new OpsError("io", `${path}: cannot be written: ${reasonOf(error)}`, {
      cause: error,
      hint: `ls -ld ${dirname(path)}`,
    });
  };
  const there = await orUndefined(lstat(path)).catch(failed);
  if (there && !there.isFile()) {
    throw new OpsError("unsafe", `${path}: not written: that name is no regular file`, { hint: `ls -ld ${path}` });
  }
  await writeWhole(dirname(path), basename(path), content).catch(failed);
}

/** Makes a directory of our own below one that exists; a link or anything else in its place is refused. */
export async function ensureDirectory(path: string, mode = PRIVATE_DIRECTORY_MODE): Promise<void> {
  await mkdir(path, { mode }).catch((error: unknown) => {
    if (errorCode(error) !== "EEXIST") throw error;
  });
  const stat = await lstat(path);
  if (!stat.isDirectory()) {
    throw new OpsError("unsafe", `${path}: refused: not a directory`, { hint: `ls -ld ${path}` });
  }
}

export const exists = async (path: string): Promise<boolean> => (await orUndefined(lstat(path))) !== undefined;

/** Names in a directory, sorted; empty when it is not there. */
export const listNames = async (path: string): Promise<string[]> => ((await orUndefined(readdir(path))) ?? []).sort();

/** Size, inode and time of change of what has that name; undefined when nothing has. */
export const statOf = async (
  path: string,
): Promise<{ isFile: boolean; size: number; inode: number; modifiedMs: number } | undefined> => {
  const stat = await orUndefined(lstat(path));
  return stat && { isFile: stat.isFile(), size: stat.size, inode: stat.ino, modifiedMs: stat.mtimeMs };
};

export const remove = async (path: string): Promise<void> => {
  await orUndefined(unlink(path));
};

/** True when this call moved it; false when it was gone already (somebody else's claim). */
export const moveIfThere = async (from: string, to: string): Promise<boolean> =>
  (await orUndefined(rename(from, to).then(() => true))) ?? false;

export const freeBytes = async (path: string): Promise<number> => {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
};

export const modeOf = async (path: string): Promise<{ mode: number; uid: number; gid: number }> => {
  const { mode, uid, gid } = await lstat(path);
  return { mode, uid, gid };
};
