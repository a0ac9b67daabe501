/**
 * Lines as they are appended, each once, across rotation, truncation and a directory that is not there yet.
 * Input:  a path; how many of the last lines to begin with, those of its rotated files too.
 * Output: lines in order, without their newline; where the lines that were there end, `begun`.
 * Looks every pollMs: a watch would be a little sooner, but says nothing on every filesystem and about a directory that
 * does not exist. The old file stays open after a rotation until it has been quiet for RETIRE_MS, because a writer that
 * had opened it may still append. Files that came and went between two looks are found among the rotated names.
 * Errors: OpsError io; "not there" is none.
 */
import { basename, dirname } from "node:path";
import { OpsError } from "../core/errors.ts";
import { type FileHandle, listNames, openToFollow, readAt, statOf } from "../core/files.ts";
import type { Host } from "../core/host.ts";
import {
  type Block,
  countLines,
  kindOf,
  readFileBlocks,
  readFileBlocksBackwards,
  readingFailed,
} from "../core/streams.ts";
import type { LogFile } from "./inputs.ts";

export const POLL_MS = 200;
const RETIRE_MS = 5_000;
const CHUNK_BYTES = 256 * 1024;
const MAX_LINE_BYTES = 1024 * 1024;
/** So many bytes before the place read last are remembered: a file truncated and filled again is not what it was. */
const MEMORY_BYTES = 64;
const NEWLINE = 0x0a;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
/** So many bytes at the start of a file belong to no line. */
const markLength = (start: Buffer): number =>
  start.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length : 0;

/** Counted only when it is asked for, before the next line is: that reads the file up to there. */
export type LineNumber = () => Promise<number>;
export type FollowedLine = { text: string; file: string; lineNumber: LineNumber };
export type FollowNote = {
  note: "rotated" | "truncated" | "waiting" | "appeared" | "too-long" | "unreadable";
  file: string;
};

/** All that was there has been given; what comes now is new. */
export type FollowBegun = { begun: true };

/** Of a compressed file, which may be nothing but bad lines. */
const KEPT_BAD = 100;

export type Verdict = "wanted" | "other" | "bad";
type Judging = Required<Pick<FollowOptions, "judge" | "noteBad">>;
export type FollowOptions = {
  path: string;
  /** Begin with the last so many lines that are wanted, as `judge` says. */
  last: number;
  judge?: (line: FollowedLine) => Verdict;
  /** Is given the bad lines among those, the last first. */
  noteBad?: (line: FollowedLine) => void;
  /** What the log held before, the newest first: where the file itself has fewer lines than are to begin with. */
  rotated?: readonly LogFile[];
  pollMs?: number;
  signal?: AbortSignal;
};

type Followed = {
  handle: FileHandle;
  inode: number;
  offset: number;
  rest: Buffer;
  memory: Buffer;
  tooLong: boolean;
  quietSinceMs: number;
};

export async function* follow(
  host: Pick<Host, "sleep" | "monotonicMs">,
  { path, last, judge = () => "wanted", noteBad = () => {}, rotated = [], pollMs = POLL_MS, signal }: FollowOptions,
): AsyncGenerator<FollowedLine | FollowNote | FollowBegun> {
  let current: Followed | undefined;
  let retiring: Followed[] = [];
  const finished = new Set<number>();

  const openAt = async (file: string): Promise<Followed | undefined> => {
    const handle = await openToFollow(file);
    if (!handle) return undefined;
    const { ino } = await handle.stat();
    return {
      handle,
      inode: ino,
      offset: 0,
      rest: Buffer.alloc(0),
      memory: Buffer.alloc(0),
      tooLong: false,
      quietSinceMs: host.monotonicMs(),
    };
  };
  const read = (followed: Followed) => newLines(followed, path, host);

  try {
    current = await openAt(path);
    for (const name of await siblings(path)) {
      const stat = await statOf(name);
      if (stat) finished.add(stat.inode);
    }
    let begin = current ? await lastLines(current, path, last, { judge, noteBad }) : [];
    for (const file of rotated) {
      if (begin.length >= last) break;
      if (current && (await statOf(file.path))?.inode === current.inode) continue; // rotated since they were listed
      try {
        begin = [...(await lastLinesBefore(file, last - begin.length, { judge, noteBad })), ...begin];
      } catch (error) {
        if (!(readingFailed(error, file.path) instanceof OpsError)) throw error;
        yield { note: "unreadable", file: file.path }; // what comes can be followed all the same
      }
    }
    yield* begin;
    if (!current) yield { note: "waiting", file: path };
    yield { begun: true };
    while (!signal?.aborted) {
      if (current) yield* read(current);
      const there = await openAt(path);
      if (there && there.inode !== current?.inode) {
        if (current) {
          yield* read(current); // what was written before the new file came to be stands before it
          yield { note: "rotated", file: path };
          retiring.push(current);
        } else yield { note: "appeared", file: path };
        finished.add(there.inode);
        // Whole files that came and went in between, oldest first.
        for (const between of await unseen(path, finished, retiring)) {
          const missed = await openAt(between);
          if (!missed) continue;
          finished.add(missed.inode);
          yield* read(missed);
          retiring.push(missed);
        }
        current = there;
        yield* read(current);
      } else await there?.handle.close();
      const still: Followed[] = [];
      for (const old of retiring) {
        yield* read(old);
        if (host.monotonicMs() - old.quietSinceMs < RETIRE_MS) {
          still.push(old);
          continue;
        }
        const torn = old.rest.toString("utf8"); // for good
        if (torn !== "") yield { text: torn, file: path, lineNumber: lineNumberAt(old, old.offset - old.rest.length) };
        finished.add(old.inode);
        await old.handle.close();
      }
      retiring = still;
      if (!signal?.aborted) await host.sleep(pollMs, signal);
    }
  } catch (error) {
    throw readingFailed(error, path);
  } finally {
    for (const { handle } of [...retiring, ...(current ? [current] : [])]) await handle.close();
  }
}

async function* newLines(
  followed: Followed,
  path: string,
  host: Pick<Host, "monotonicMs">,
): AsyncGenerator<FollowedLine | FollowNote> {
  const { size } = await followed.handle.stat();
  if (size < followed.offset || !(await isSameFile(followed))) {
    followed.offset = 0;
    followed.rest = Buffer.alloc(0);
    followed.memory = Buffer.alloc(0);
    followed.tooLong = false;
    yield { note: "truncated", file: path };
  }
  for (;;) {
    const there = Buffer.from(await readAt(followed.handle, followed.offset, CHUNK_BYTES));
    if (there.length === 0) return;
    const chunk = there.subarray(followed.offset === 0 ? markLength(there) : 0);
    followed.quietSinceMs = host.monotonicMs();
    followed.offset += there.length;
    followed.memory = Buffer.concat([followed.memory, there]).subarray(-MEMORY_BYTES);
    const end = chunk.lastIndexOf(NEWLINE);
    if (end === -1) {
      followed.rest = followed.tooLong ? followed.rest : Buffer.concat([followed.rest, chunk]);
      if (followed.rest.length > MAX_LINE_BYTES) {
        followed.rest = Buffer.alloc(0);
        followed.tooLong = true;
        yield { note: "too-long", file: path };
      }
      continue;
    }
    const whole = linesIn(
      Buffer.concat([followed.rest, chunk.subarray(0, end + 1)]),
      followed,
      followed.offset - chunk.length - followed.rest.length,
    );
    followed.rest = Buffer.from(chunk.subarray(end + 1));
    if (followed.tooLong) whole.shift();
    followed.tooLong = false;
    for (const line of whole) yield { ...line, file: path };
  }
}

type Line = Omit<FollowedLine, "file">;

/** Whole lines, of which the first begins at byte `offset` of the file. */
function linesIn(bytes: Buffer, followed: Followed, offset: number): Line[] {
  const lines: Line[] = [];
  for (let from = 0; from < bytes.length; ) {
    const end = bytes.indexOf(NEWLINE, from);
    const text = bytes.toString("utf8", from, end).replace(/\r$/, "");
    lines.push({ text, lineNumber: lineNumberAt(followed, offset + from) });
    from = end + 1;
  }
  return lines;
}

const lineNumberAt =
  ({ handle }: Followed, offset: number): LineNumber =>
  async () => {
    let number = 1;
    for (let at = 0; at < offset; at += CHUNK_BYTES) {
      const bytes = await readAt(handle, at, Math.min(CHUNK_BYTES, offset - at));
      for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, end + 1)) number += 1;
    }
    return number;
  };

/** What stood before the place read last still stands there. */
async function isSameFile({ handle, offset, memory }: Followed): Promise<boolean> {
  const there = await readAt(handle, offset - memory.length, memory.length);
  return there.equals(memory);
}

/** The last lines wanted, read from the end; the file is then followed from behind its last whole line. */
async function lastLines(
  followed: Followed,
  file: string,
  count: number,
  { judge, noteBad }: Judging,
): Promise<FollowedLine[]> {
  const { handle } = followed;
  const { size } = await handle.stat();
  let from = size;
  let tail = Buffer.alloc(0);
  let wholeEnd = -1;
  const found: FollowedLine[] = [];
  while (from > 0 && (wholeEnd === -1 || found.length < count)) {
    const start = Math.max(0, from - CHUNK_BYTES);
    const chunk = Buffer.from(await readAt(handle, start, from - start));
    from = start;
    tail = Buffer.concat([chunk, tail]);
    if (wholeEnd === -1) {
      const last = tail.lastIndexOf(NEWLINE);
      if (last === -1) continue;
      wholeEnd = from + last + 1;
      tail = tail.subarray(0, last + 1);
    }
    // The first of them may begin further up.
    const first = from === 0 ? markLength(tail) : tail.indexOf(NEWLINE) + 1;
    for (const line of linesIn(tail.subarray(first), followed, from + first).reverse()) {
      if (found.length >= count) break;
      const verdict = judge({ ...line, file });
      if (verdict === "wanted") found.push({ ...line, file });
      else if (verdict === "bad") noteBad({ ...line, file });
    }
    tail = tail.subarray(0, first);
  }
  followed.offset = Math.max(0, wholeEnd);
  followed.memory = Buffer.from(
    await readAt(handle, Math.max(0, followed.offset - MEMORY_BYTES), Math.min(MEMORY_BYTES, followed.offset)),
  );
  return found.reverse();
}

/** The last lines wanted of a file to which nothing is added. What is compressed can only be read forwards. */
async function lastLinesBefore(
  { path, compression }: LogFile,
  count: number,
  { judge, noteBad }: Judging,
): Promise<FollowedLine[]> {
  if (compression !== "none") {
    const found: FollowedLine[] = [];
    let bad: { line: FollowedLine; after: number }[] = [];
    let seen = 0;
    let number = 0;
    for await (const block of readFileBlocks(path, compression)) {
      const lines = linesOf(block, path, (_, nth) => {
        const line = number + nth;
        return async () => line;
      });
      number += block.kind === "oversize" ? 1 : lines.length;
      for (const line of lines) {
        const verdict = judge(line);
        if (verdict === "bad") bad = [...bad.slice(1 - KEPT_BAD), { line, after: seen }];
        if (verdict !== "wanted") continue;
        seen += 1;
        found.push(line);
        if (found.length > count) found.shift();
      }
    }
    // What stands before the first line that is shown is not read of a file that is read from its end.
    const from = found.length < count ? 0 : seen - count + 1;
    for (const { line } of bad.filter(({ after }) => after >= from).reverse()) noteBad(line);
    return found;
  }
  const found: FollowedLine[] = [];
  const { size } = await kindOf(path);
  for await (const block of readFileBlocksBackwards(path, { end: size })) {
    const lines = linesOf(block, path, (offset) => async () => 1 + (await countLines(path, offset)));
    for (const line of lines.reverse()) {
      if (found.length >= count) return found.reverse();
      const verdict = judge(line);
      if (verdict === "wanted") found.push(line);
      else if (verdict === "bad") noteBad(line);
    }
  }
  return found.reverse();
}

/** `numberOf` is given a line's first byte in the file and its place in the block, from 1. */
function linesOf(block: Block, file: string, numberOf: (offset: number, nth: number) => LineNumber): FollowedLine[] {
  if (block.kind === "oversize") return [];
  const lines: FollowedLine[] = [];
  for (let from = block.from; from < block.to; ) {
    const newline = block.bytes.indexOf(NEWLINE, from);
    const end = newline === -1 || newline >= block.to ? block.to : newline;
    const offset = block.offset + from - block.from;
    const start = from + (offset === 0 ? markLength(block.bytes.subarray(from, end)) : 0);
    const text = block.bytes.toString("utf8", start, end).replace(/\r$/, "");
    lines.push({ text, file, lineNumber: numberOf(offset, lines.length + 1) });
    from = end + 1;
  }
  return lines;
}

/** Rotated files of this log that are plain text. */
async function siblings(path: string): Promise<string[]> {
  const base = basename(path);
  const names = await listNames(dirname(path)).catch(() => []);
  return names
    .filter((name) => name.startsWith(base) && /^[.-][\d._-]+$/.test(name.slice(base.length)))
    .map((name) => `${dirname(path)}/${name}`);
}

async function unseen(path: string, finished: ReadonlySet<number>, open: readonly Followed[]): Promise<string[]> {
  const found: { name: string; modifiedMs: number }[] = [];
  for (const name of await siblings(path)) {
    const stat = await statOf(name);
    if (!stat || finished.has(stat.inode) || open.some(({ inode }) => inode === stat.inode)) continue;
    found.push({ name, modifiedMs: stat.modifiedMs });
  }
  return found.sort((a, b) => a.modifiedMs - b.modifiedMs).map(({ name }) => name);
}
