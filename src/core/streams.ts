/**
 * Big files and pipes as blocks of whole lines, in bytes, with memory that does not grow with the file.
 * Input:  a plain file or a part of it, a compressed file, or any stream of bytes.
 * Output: blocks; a block's bytes are valid only until the next block is asked for, because its buffer is used again.
 *         A line longer than MAX_LINE_BYTES is reported as `oversize` and never held.
 * Errors: the system's, or OpsError missing-tool or bad-input for compressed files and for what is compressed without
 *         being called so.
 */
import { closeSync, constants, fstatSync, openSync, readSync, statSync, writeSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { OpsError, reasonOf } from "./errors.ts";
import { startReading } from "./exec.ts";
import { errorCode, readAt } from "./files.ts";

const NEWLINE = 0x0a;

/** Nobody reads our output any more: the end of the program, and no failure. */
export class ClosedPipe extends Error {
  constructor() {
    super("nobody reads stdout any more");
    this.name = "ClosedPipe";
  }
}

/** Writes all of it to stdout, however slowly it is taken. Errors: ClosedPipe, OpsError io. */
export async function writeToStdout(text: string | Uint8Array): Promise<void> {
  const bytes = typeof text === "string" ? Buffer.from(text, "utf8") : text;
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      if (errorCode(error) === "EPIPE") throw new ClosedPipe();
      // A pipe that somebody else made non-blocking, and that is full.
      if (errorCode(error) !== "EAGAIN")
        throw new OpsError("io", `stdout: not written: ${reasonOf(error)}`, { hint: "df -h" });
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
}

/** Our writer refuses longer lines too. */
export const MAX_LINE_BYTES = 1024 * 1024;
const CHUNK_BYTES = 512 * 1024;
const PEEK_BYTES = 64 * 1024;

export type Block = LineBlock | { kind: "oversize"; offset: number; length: number };

/** Whole lines: `bytes` from `from` to `to`, each ended by a newline but perhaps the last of the file. */
type LineBlock = { kind: "lines"; bytes: Buffer; from: number; to: number; offset: number };

export type Compression = "none" | "gz" | "zst" | "xz" | "bz2" | "lz4";

/** How such a file begins, and what unpacks it in a pipe. No log of ours or of the cluster begins so. */
const PACKED: readonly { by: string; begins: Buffer; cat: string; ending: string }[] = [
  { by: "gzip", begins: Buffer.from("1f8b08", "hex"), cat: "zcat", ending: "gz" },
  { by: "zstd", begins: Buffer.from("28b52ffd", "hex"), cat: "zstdcat", ending: "zst" },
  { by: "xz", begins: Buffer.from("fd377a585a00", "hex"), cat: "xzcat", ending: "xz" },
  { by: "bzip2", begins: Buffer.from("BZh", "latin1"), cat: "bzcat", ending: "bz2" },
  { by: "lz4", begins: Buffer.from("04224d18", "hex"), cat: "lz4cat", ending: "lz4" },
];
const LONGEST_BEGINNING = Math.max(...PACKED.map(({ begins }) => begins.length));

/** Stdin, or a file whose name does not say that it is compressed. */
class Packed extends OpsError {
  readonly packed: (typeof PACKED)[number];
  constructor(packed: (typeof PACKED)[number], path: string) {
    const { by, cat, ending } = packed;
    if (path === "-") {
      super("bad-input", `stdin: compressed with ${by}`, { hint: `${cat} FILE | fencepost analyze SUBCOMMAND -` });
    } else {
      const why = `compressed with ${by}, and its name does not say so`;
      super("bad-input", `${path}: ${why}`, { hint: `mv ${path} ${path}.${ending}` });
    }
    this.packed = packed;
  }
}

function assertUnpacked(first: Uint8Array, path: string): void {
  const packed = PACKED.find(({ begins }) => begins.equals(first.subarray(0, begins.length)));
  if (packed) throw new Packed(packed, path);
}

/** Tools that write what a compressed file holds to stdout. */
const TOOLS = {
  zst: ["zstd", "-dcq", "--"],
  xz: ["xz", "-dcq", "--"],
  bz2: ["bzip2", "-dcq", "--"],
  lz4: ["lz4", "-dcq", "--"],
} as const satisfies Record<Exclude<Compression, "none" | "gz">, readonly [string, ...string[]]>;

export type ReadPart = {
  /** First and last byte wanted; `start` is the beginning of a line. */
  start?: number;
  end?: number;
  /** What a file had when it was looked at. To end before that, or before `end`, is an error: it was cut. */
  sizeBytes?: number;
  /** Less where many files are open at once. */
  chunkBytes?: number;
};

/** Something to read from; `next` fills `into` from `at` and says how many bytes, 0 at the end. */
type Feed = { next(into: Buffer, at: number, length: number): Promise<number>; close(): Promise<void> };

async function fileFeed(
  path: string,
  { start = 0, end = Number.POSITIVE_INFINITY, sizeBytes = 0 }: ReadPart,
): Promise<Feed> {
  const least = end === Number.POSITIVE_INFINITY ? sizeBytes : end;
  const fd = openFile(path);
  if (fd === undefined) {
    // A pipe has no positions, and may wait for who writes it: that must not hold the program.
    const handle = await openPlain(path);
    return {
      next: async (into, at, length) => (await handle.read(into, at, length, null)).bytesRead,
      close: () => handle.close(),
    };
  }
  let position = start;
  return {
    async next(into, at, length) {
      const wanted = Math.min(length, end - position);
      if (wanted <= 0) return 0;
      const count = readSync(fd, into, at, wanted, position);
      position += count;
      if (count === 0 && position < least) throw new CutShort();
      return count;
    },
    close: async () => closeSync(fd),
  };
}

/**
 * A regular file; undefined for anything else. Files are asked at once and not through the pool: a look costs less than the
 * way there, and bytes are still in the cache of this core when they are looked at (40 % less time for a whole file,
 * measured).
 */
function openFile(path: string): number | undefined {
  if (!statSync(path).isFile()) return undefined;
  return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK); // should it be a FIFO by now
}

async function openPlain(path: string): Promise<FileHandle> {
  // A FIFO opens only when somebody writes: fine for `analyze <(zcat x)`, which hands over /dev/fd/N.
  return open(path, "r");
}

function chunkFeed(chunks: AsyncIterable<Uint8Array>, close: () => Promise<void>): Feed {
  const iterator = chunks[Symbol.asyncIterator]();
  let rest: Uint8Array | undefined;
  return {
    async next(into, at, length) {
      while (rest === undefined || rest.length === 0) {
        const { done, value } = await iterator.next();
        if (done) return 0;
        rest = value;
      }
      const taken = rest.subarray(0, length);
      into.set(taken, at);
      rest = rest.subarray(taken.length);
      return taken.length;
    },
    async close() {
      await iterator.return?.();
      await close();
    },
  };
}

async function gzipFeed(path: string): Promise<Feed> {
  const { createGunzip } = await import("node:zlib");
  const handle = await openPlain(path);
  const input = handle.createReadStream({ autoClose: false });
  const gunzip = createGunzip();
  input.on("error", (error) => gunzip.destroy(error));
  return chunkFeed(input.pipe(gunzip), async () => {
    input.destroy();
    gunzip.destroy();
    await handle.close().catch(() => undefined);
  });
}

async function toolFeed(path: string, compression: keyof typeof TOOLS): Promise<Feed> {
  await (await openPlain(path)).close(); // so that a file we may not read is named as such
  const reading = startReading([...TOOLS[compression], path]);
  return chunkFeed(
    (async function* () {
      yield* reading.chunks;
      const failure = await reading.failure;
      if (failure !== undefined) throw new OpsError("bad-input", `${path}: ${failure}`);
    })(),
    async () => reading.stop(),
  );
}

/** A file that lost what it had while it was read, as copytruncate does. */
class CutShort extends Error {}

/** System errors and broken compressed data, with the file's name; any other error as it is. */
export function readingFailed(error: unknown, path: string): unknown {
  if (error instanceof Packed) return new Packed(error.packed, path); // not by the name under which it was held open
  if (error instanceof CutShort) {
    return new OpsError("bad-input", `${path}: it was cut while it was read`, { hint: `ls -l ${path}* # and again` });
  }
  const code = errorCode(error);
  if (error instanceof OpsError || code === undefined) return error;
  if (code.startsWith("Z_") || code.startsWith("ERR_ZLIB")) {
    return new OpsError("bad-input", `${path}: not readable as compressed data: ${reasonOf(error)}`, {
      cause: error,
      hint: `gzip -t ${path}`,
    });
  }
  return new OpsError("io", `${path}: cannot be read: ${reasonOf(error)}`, { cause: error, hint: `ls -l ${path}` });
}

/** The lines of a file, decompressed. */
export async function* readFileBlocks(
  path: string,
  compression: Compression = "none",
  part: ReadPart = {},
): AsyncGenerator<Block> {
  const feed =
    compression === "none"
      ? await fileFeed(path, part)
      : compression === "gz"
        ? await gzipFeed(path)
        : await toolFeed(path, compression);
  yield* blocksOf(feed, part, path);
}

/** The lines of a stream such as stdin. */
export const readStreamBlocks = (chunks: AsyncIterable<Uint8Array>, part: ReadPart = {}): AsyncGenerator<Block> =>
  blocksOf(
    chunkFeed(chunks, async () => undefined),
    part,
    "-",
  );

/**
 * The same in pieces, with a line that is too long by itself: what is too long must not depend on where blocks end. There
 * is one such line at most, and the block's middle is in it.
 */
function piecesOf(block: LineBlock): Block[] {
  const { bytes, from, to, offset } = block;
  if (to - from <= MAX_LINE_BYTES) return [block];
  const middle = from + ((to - from) >> 1);
  const lineFrom = from + bytes.subarray(from, middle).lastIndexOf(NEWLINE) + 1;
  const newline = bytes.subarray(middle, to).indexOf(NEWLINE);
  const lineTo = newline === -1 ? to : middle + newline + 1;
  const length = lineTo - lineFrom;
  if (length - (newline === -1 ? 0 : 1) <= MAX_LINE_BYTES) return [block];
  const pieces: Block[] = [{ kind: "oversize", offset: offset + lineFrom - from, length }];
  if (lineFrom > from) pieces.unshift({ ...block, to: lineFrom });
  if (lineTo < to) pieces.push({ ...block, from: lineTo, offset: offset + lineTo - from });
  return pieces;
}

async function* blocksOf(
  feed: Feed,
  { start = 0, chunkBytes = CHUNK_BYTES }: ReadPart,
  path: string,
): AsyncGenerator<Block> {
  // What is left of a line moves in front of what is read next, which is read only when this has been looked at: the
  // bytes are then still in the core's cache.
  const room = MAX_LINE_BYTES;
  const bytes = Buffer.allocUnsafeSlow(room + chunkBytes);
  let carried = 0;
  let offset = start; // in the file, of the first carried byte
  let skipped = 0; // bytes of a line that is too long
  try {
    for (;;) {
      const count = await feed.next(bytes, room, chunkBytes);
      let from = room - carried;
      const to = room + count;
      if (offset + carried + skipped === 0) assertUnpacked(bytes.subarray(room, to), path);
      if (count === 0) {
        if (skipped > 0) yield { kind: "oversize", offset, length: skipped };
        else if (carried > 0) yield* piecesOf({ kind: "lines", bytes, from, to, offset });
        return;
      }
      if (skipped > 0) {
        const end = bytes.indexOf(NEWLINE, room);
        const seen = (end === -1 || end >= to ? to : end + 1) - room;
        skipped += seen;
        from = room + seen;
        if (end !== -1 && end < to) {
          yield { kind: "oversize", offset, length: skipped };
          offset += skipped;
          skipped = 0;
        }
      }
      const last = from === to ? -1 : bytes.subarray(from, to).lastIndexOf(NEWLINE);
      const whole = last === -1 ? from : from + last + 1;
      if (whole > from) {
        yield* piecesOf({ kind: "lines", bytes, from, to: whole, offset });
        offset += whole - from;
      }
      carried = to - whole;
      if (skipped === 0 && carried > room) {
        skipped = carried;
        carried = 0;
      } else {
        bytes.copyWithin(room - carried, whole, to);
      }
    }
  } finally {
    await feed.close();
  }
}

/** At most `length` bytes from `position`; fewer at the end. */
export type Peek = (position: number, length: number) => Promise<Buffer>;

/** For looking into a regular file at many places without reading it all. */
export async function peekInto<T>(path: string, look: (peek: Peek) => Promise<T>): Promise<T> {
  const fd = openSync(path, "r");
  try {
    return await look(async (position, length) => {
      const bytes = Buffer.allocUnsafe(length);
      return bytes.subarray(0, readSync(fd, bytes, 0, length, position));
    });
  } finally {
    closeSync(fd);
  }
}

/** Where the first line begins that begins at or behind a byte; the file's end when none does. */
export const lineStartAt = (path: string, near: number): Promise<number> =>
  peekInto(path, async (peek) => {
    for (let position = near - 1; ; ) {
      const bytes = await peek(position, PEEK_BYTES);
      const newline = bytes.indexOf(NEWLINE);
      if (newline !== -1) return position + newline + 1;
      position += bytes.length;
      if (bytes.length < PEEK_BYTES) return position;
    }
  });

export type PathKind = "file" | "directory" | "other" | "missing";

/** What a path leads to, links followed; `other` is a pipe or a device. */
export async function kindOf(path: string): Promise<{ kind: PathKind; size: number }> {
  try {
    const found = statSync(path);
    const kind = found.isFile() ? "file" : found.isDirectory() ? "directory" : "other";
    return { kind, size: found.size };
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errorCode(error) ?? "")) return { kind: "missing", size: 0 };
    throw new OpsError("io", `${path}: cannot be read: ${reasonOf(error)}`, { cause: error, hint: `ls -ld ${path}` });
  }
}

/** A regular file that stays the same one, whatever becomes of its names while it is read. */
export type OpenFile = {
  /** Leads this process and its children to it. */
  path: string;
  sizeBytes: number;
  close: () => Promise<void>;
};

/** Undefined for what is no regular file: who opens a pipe takes from it. */
export async function holdOpen(path: string): Promise<OpenFile | undefined> {
  const fd = (await kindOf(path)).kind === "file" ? openFile(path) : undefined;
  if (fd === undefined) return undefined;
  return {
    path: `/proc/${process.pid}/fd/${fd}`,
    sizeBytes: fstatSync(fd).size,
    close: async () => closeSync(fd),
  };
}

/** The same for two paths that lead to one file or directory; the path itself where it leads to nothing that can be seen. */
export async function pathIdentity(path: string): Promise<string> {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return path;
  }
}

/** Paths that match a shell pattern, sorted. */
export async function expandPattern(pattern: string): Promise<string[]> {
  const { globSync } = await import("node:fs");
  return globSync(pattern).sort();
}

/** How many lines end before byte `end`. */
export async function countLines(path: string, end: number): Promise<number> {
  const handle = await openPlain(path);
  try {
    const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    let lines = 0;
    for (let position = 0; position < end; ) {
      const { bytesRead } = await handle.read(buffer, 0, Math.min(CHUNK_BYTES, end - position), position);
      if (bytesRead === 0) break;
      const seen = buffer.subarray(0, bytesRead);
      for (let at = seen.indexOf(NEWLINE); at !== -1; at = seen.indexOf(NEWLINE, at + 1)) lines += 1;
      position += bytesRead;
    }
    return lines;
  } finally {
    await handle.close();
  }
}

/** The lines of a plain file, the last block first; within a block they stand in the file's order. */
export async function* readFileBlocksBackwards(
  path: string,
  { start = 0, end, chunkBytes = CHUNK_BYTES }: ReadPart & { end: number },
): AsyncGenerator<Block> {
  const handle = await openPlain(path);
  try {
    assertUnpacked(await readAt(handle, 0, LONGEST_BEGINNING), path);
    const buffer = Buffer.allocUnsafeSlow(chunkBytes + MAX_LINE_BYTES);
    let to = end; // what lies before it is not handed out yet
    let skipped = 0; // bytes of a line that is too long, already passed on the way back
    while (to > start) {
      const position = Math.max(start, to - buffer.length);
      let filled = 0;
      while (filled < to - position) {
        const { bytesRead } = await handle.read(buffer, filled, to - position - filled, position + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      if (filled < to - position) throw new CutShort();
      // The block begins behind the first newline, unless it is the file's first.
      const first = position === start ? 0 : buffer.subarray(0, filled).indexOf(NEWLINE) + 1;
      const onlyEnd = first === filled; // the newline is the last byte: it ends a line that began before the buffer
      if (position > start && (first === 0 || onlyEnd)) {
        if (onlyEnd && skipped > 0) {
          yield { kind: "oversize", offset: to, length: skipped };
          skipped = 0;
        }
        skipped += filled;
        to = position;
        continue;
      }
      let last = filled;
      if (skipped > 0) {
        // What follows the last newline belongs to the line that is too long.
        const tail = buffer.subarray(0, filled).lastIndexOf(NEWLINE) + 1;
        yield { kind: "oversize", offset: position + tail, length: skipped + filled - tail };
        skipped = 0;
        last = tail;
      }
      if (last > first) {
        yield* piecesOf({ kind: "lines", bytes: buffer, from: first, to: last, offset: position + first }).reverse();
      }
      to = position + first;
    }
    if (skipped > 0) yield { kind: "oversize", offset: start, length: skipped };
  } finally {
    await handle.close();
  }
}
