/**
 * The logs as one stream of events, in order of time, each once.
 * Input:  FILE arguments and filters. Output: events; lines that are none are collected in `bad`.
 * Order:  a log is in order of recording. Events up to REORDER_WINDOW places late come out in order of time; one
 *         recovered later than that (from a spool, after days) comes where it was recorded. Memory stays flat that way.
 * Once:   where several logs, or the spool, are read together, an event_id seen already is left out.
 * Errors: OpsError bad-input, io.
 */
import { OpsError, reasonOf } from "../core/errors.ts";
import { listNames, readWhole } from "../core/files.ts";
import type { ProgramContext } from "../core/program.ts";
import {
  type Block,
  countLines,
  kindOf,
  readFileBlocks,
  readFileBlocksBackwards,
  readingFailed,
  readStreamBlocks,
} from "../core/streams.ts";
import { addBadLine, type BadLines, noBadLines } from "./bad-lines.ts";
import { startFor } from "./bisect.ts";
import { decodeLine, decodeRecord, isEvent } from "./decode.ts";
import type { AnalyzedEvent, Evidence } from "./event.ts";
import { type Filters, matchesEvent } from "./filter.ts";
import { type Chain, findInputs, INBOX_DIRECTORY, type Inputs, type LogFile, SPOOL_DIRECTORIES } from "./inputs.ts";
import { partsOf, startPart } from "./parts.ts";
import { createScanner, decidedByHead, needlesOf, type ScanOptions } from "./scan.ts";

const REORDER_WINDOW = 1_000;
const SEEN_IDS = 32_768;
/** All open files together; each has two buffers of its share, and room for the longest line. */
const CHUNK_BUDGET_BYTES = 16 * 1024 * 1024;
/** What a block holds is parsed before garbage is looked at again. */
const MAX_CHUNK_BYTES = 256 * 1024;
const MAX_PENDING_BYTES = 1024 * 1024;
/** About 40 MB of parsed events. */
const MAX_HELD = 20_000;
const COLLECT_BYTES = 1 * 1024 * 1024;
const COLLECT_ABOVE_BYTES = 66 * 1024 * 1024;

export type Logs = {
  context: ProgramContext;
  inputs: Inputs;
  filters: Filters;
  bad: BadLines;
  /** Bytes parsed, and garbage made of them, since it was last collected. See leaveGarbage. */
  garbageBytes?: number;
};

export type ReadOptions = {
  /** `events` (default) are the recorder's, `outcomes` what the alert agent and reconcile say became of them. */
  stream?: "events" | "outcomes";
  /** Whether evidence needs line numbers where a part of a file is jumped over (--since, --reverse); default true. */
  lineNumbers?: boolean;
  /** For sums, which do not care in which order events come: nothing is held back. */
  anyOrder?: boolean;
  /** Lines that can be counted by their first keys go here and do not become events. See readsByHead. */
  heads?: ScanOptions["heads"];
  /** Other filters than those of the command line, such as none for a join. */
  filters?: Filters;
};

export async function openLogs(context: ProgramContext, files: readonly string[], filters: Filters): Promise<Logs> {
  const inputs = await findInputs(context, files);
  for (const note of inputs.notes) context.err(note);
  return { context, inputs, filters, bad: noBadLines(), garbageBytes: 0 };
}

/** The events asked for, one by one. */
export async function* readEvents(logs: Logs, options: ReadOptions = {}): AsyncGenerator<AnalyzedEvent> {
  for await (const batch of readBatches(logs, options)) yield* batch;
}

/** The same in batches, for those who count millions. */
export async function* readBatches(logs: Logs, options: ReadOptions = {}): AsyncGenerator<AnalyzedEvent[]> {
  const filters = options.filters ?? logs.filters;
  const { limit = Number.POSITIVE_INFINITY } = filters;
  if (limit === 0) return;
  let left = limit;
  const recorded = merged(logs, options, filters);
  const ordered = options.anyOrder && filters.limit === undefined ? recorded : inOrder(recorded, filters.reverse);
  for await (const batch of ordered) {
    if (batch.length >= left) {
      yield batch.slice(0, left);
      return;
    }
    left -= batch.length;
    yield batch;
  }
}

/** Whether `heads` may be used: nothing is merged (an event_id may come twice), and the filters are about first keys. */
export async function readsByHead(logs: Logs): Promise<boolean> {
  const { inputs, filters } = logs;
  if (inputs.events.length !== 1 || filters.limit !== undefined || !decidedByHead(filters)) return false;
  return !inputs.isDefault || (await readPending(logs, "events")).length === 0;
}

/** When a line was written, else when its event happened: what a log is in order of. */
const recordedMs = ({ record, timeMs }: AnalyzedEvent): number =>
  typeof record.recorded_ms === "number" ? record.recorded_ms : timeMs;

/** Several logs into one, by the time of recording, each event_id once. */
async function* merged(logs: Logs, options: ReadOptions, filters: Filters): AsyncGenerator<AnalyzedEvent[]> {
  const chains = options.stream === "outcomes" ? logs.inputs.outcomes : logs.inputs.events;
  const pending = logs.inputs.isDefault
    ? (await readPending(logs, options.stream ?? "events")).filter((event) => matchesEvent(filters, event))
    : [];
  const [only] = chains;
  if (chains.length === 1 && only && pending.length === 0) {
    yield* readChain(logs, only, options, filters, 1);
    return;
  }
  const order = filters.reverse ? -1 : 1;
  const seen = new Seen();
  const sources: AsyncIterator<AnalyzedEvent[]>[] = chains.map((chain) =>
    readChain(logs, chain, options, filters, chains.length),
  );
  pending.sort((a, b) => order * (recordedMs(a) - recordedMs(b)));
  sources.push(inOneBatch(pending));
  const heads = await Promise.all(sources.map((source) => Head.open(source)));
  let batch: AnalyzedEvent[] = [];
  try {
    for (;;) {
      let first: Head | undefined;
      for (const head of heads) {
        if (head.event && (!first?.event || order * (head.key - first.key) < 0)) first = head;
      }
      const event = first?.event;
      if (!first || !event) break;
      if (event.eventId === undefined || seen.add(event.eventId)) batch.push(event);
      if (!first.step()) await first.fill();
      if (batch.length >= 1_024) {
        yield batch;
        batch = [];
      }
    }
    if (batch.length > 0) yield batch;
  } finally {
    for (const source of sources) await source.return?.(undefined);
  }
}

async function* inOneBatch(events: AnalyzedEvent[]): AsyncGenerator<AnalyzedEvent[]> {
  if (events.length > 0) yield events;
}

/** The next event of one log. */
class Head {
  readonly #source: AsyncIterator<AnalyzedEvent[]>;
  #batch: readonly AnalyzedEvent[] = [];
  #at = 0;
  event: AnalyzedEvent | undefined;
  key = 0;

  constructor(source: AsyncIterator<AnalyzedEvent[]>) {
    this.#source = source;
  }

  static async open(source: AsyncIterator<AnalyzedEvent[]>): Promise<Head> {
    const head = new Head(source);
    await head.fill();
    return head;
  }

  /** False when the batch is used up. */
  step(): boolean {
    this.#at += 1;
    return this.#take();
  }

  async fill(): Promise<void> {
    do {
      const { done, value } = await this.#source.next();
      if (done) {
        this.event = undefined;
        return;
      }
      this.#batch = value;
      this.#at = 0;
    } while (!this.#take());
  }

  #take(): boolean {
    const event = this.#batch[this.#at];
    this.event = event;
    if (!event) return false;
    this.key = recordedMs(event);
    return true;
  }
}

/** The last SEEN_IDS event_ids. Copies of a line carry the same recorded_ms, so they come close together. */
class Seen {
  readonly #ids = new Set<string>();

  /** False when it was there. */
  add(id: string): boolean {
    if (this.#ids.has(id)) return false;
    this.#ids.add(id);
    if (this.#ids.size > SEEN_IDS) {
      const [oldest] = this.#ids;
      if (oldest !== undefined) this.#ids.delete(oldest);
    }
    return true;
  }
}

/** Holds back the last REORDER_WINDOW events, so that those recorded late come out where they belong. */
async function* inOrder(batches: AsyncIterable<AnalyzedEvent[]>, reverse: boolean): AsyncGenerator<AnalyzedEvent[]> {
  const order = reverse ? -1 : 1;
  const compare = (a: AnalyzedEvent, b: AnalyzedEvent) => order * (a.timeMs - b.timeMs);
  let held: AnalyzedEvent[] = [];
  for await (const batch of batches) {
    held.push(...batch);
    if (held.length < 2 * REORDER_WINDOW) continue;
    held.sort(compare); // stable, and nearly in order already
    yield held.slice(0, held.length - REORDER_WINDOW);
    held = held.slice(-REORDER_WINDOW);
  }
  held.sort(compare);
  if (held.length > 0) yield held;
}

async function* readChain(
  logs: Logs,
  chain: Chain,
  options: ReadOptions,
  filters: Filters,
  open: number,
): AsyncGenerator<AnalyzedEvent[]> {
  const files = filters.reverse ? [...chain.files].reverse() : chain.files;
  for (const file of files) yield* readLogFile(logs, file, options, filters, open);
}

const chunkFor = (open: number): number =>
  Math.max(64 * 1024, Math.min(MAX_CHUNK_BYTES, Math.floor(CHUNK_BUDGET_BYTES / open / 2)));

/** The events of one file that are asked for, a block's worth at a time. */
async function* readLogFile(
  logs: Logs,
  file: LogFile,
  options: ReadOptions,
  filters: Filters,
  open: number,
): AsyncGenerator<AnalyzedEvent[]> {
  const { lineNumbers = true } = options;
  const seekable = file.path !== "-" && file.compression === "none" && (await kindOf(file.path)).kind === "file";
  try {
    if (filters.reverse) {
      yield* readReversed(logs, file, { filters, lineNumbers, seekable, open });
      return;
    }
    const start = seekable ? await startFor(file.path, filters.sinceMs) : 0;
    if (seekable && !lineNumbers && open === 1) {
      const done = yield* readInParts(logs, file, filters, start);
      if (done) return;
    }
    const firstLine = start === 0 ? 1 : lineNumbers ? 1 + (await countLines(file.path, start)) : 0;
    const blocks =
      file.path === "-"
        ? readStreamBlocks(logs.context.stdin())
        : readFileBlocks(file.path, file.compression, { start, chunkBytes: chunkFor(open) });
    const reader = createReader(logs, file, filters, firstLine, options.heads);
    for await (const block of blocks) {
      const events = reader(block);
      if (events.length > 0) yield events;
    }
  } catch (error) {
    throw readingFailed(error, file.path);
  } finally {
    if (seekable) await numberBadLines(logs, file);
  }
}

/** With the other parts on other cores; false, and nothing read, where that is not worth it or cannot be. */
async function* readInParts(
  logs: Logs,
  file: LogFile,
  filters: Filters,
  start: number,
): AsyncGenerator<AnalyzedEvent[], boolean> {
  const { self } = logs.context;
  const needles = needlesOf(filters);
  if (!self || !needles) return false;
  const [first, ...others] = await partsOf(file.path, start, (await kindOf(file.path)).size);
  if (!first || others.length === 0) return false;
  const parts = others.map((range) => startPart(self, { path: file.path, ...range, needles }));
  try {
    const reader = createReader(logs, file, filters, start === 0 ? 1 : 0);
    for await (const block of readFileBlocks(file.path, "none", first)) {
      const events = reader(block);
      if (events.length > 0) yield events;
    }
    for (const part of parts) {
      for await (const candidates of part.candidates()) {
        collectGarbage(logs);
        const events: AnalyzedEvent[] = [];
        for (const candidate of candidates) {
          if ("text" in candidate) leaveGarbage(logs, candidate.text.length);
          const evidence: Placed = { file: file.path, line: 0, offset: candidate.offset };
          const decoded =
            "text" in candidate
              ? decodeLine(candidate.text, { file: file.path, line: 0 })
              : { reason: `a line of ${candidate.length} bytes` };
          if (!isEvent(decoded)) addBadLine(logs.bad, { evidence, reason: decoded.reason });
          else if (matchesEvent(filters, decoded)) events.push(decoded);
        }
        if (events.length > 0) yield events;
      }
    }
    return true;
  } finally {
    for (const part of parts) part.stop();
  }
}

/** Events of a block, in its order. */
type Reader = (block: Block) => AnalyzedEvent[];

function createReader(
  logs: Logs,
  file: LogFile,
  filters: Filters,
  firstLine: number,
  heads?: ScanOptions["heads"],
): Reader {
  const scanner = createScanner({ filters, firstLine, ...(heads && { heads }) });
  const name = file.path === "-" ? "<stdin>" : file.path;
  const bad = (line: number, offset: number, reason: string) => {
    const evidence: Placed = { file: name, line, offset };
    addBadLine(logs.bad, { evidence, reason });
  };
  return (block) => {
    if (block.kind === "oversize") {
      bad(scanner.line(), block.offset, `a line of ${block.length} bytes`);
      scanner.skipLine();
      return [];
    }
    const events: AnalyzedEvent[] = [];
    collectGarbage(logs);
    scanner.scan(block, (bytes, from, to, line, offset) => {
      leaveGarbage(logs, to - from);
      const decoded = decodeLine(bytes.toString("utf8", from, to), { file: name, line });
      if (!isEvent(decoded)) bad(line, offset, decoded.reason);
      else if (matchesEvent(filters, decoded)) events.push(decoded);
    });
    return events;
  };
}

type Spender = Pick<Logs, "garbageBytes">;

/** Counts what a line, or what a subcommand made of it, leaves behind, in bytes as they are parsed. */
export function leaveGarbage(logs: Spender, bytes: number): void {
  logs.garbageBytes = (logs.garbageBytes ?? 0) + bytes;
}

/**
 * On a machine with much memory the runtime lets garbage grow to hundreds of MB before it looks (measured: 180 MB for a
 * million events).
 */
export function collectGarbage(logs: Spender): void {
  if ((logs.garbageBytes ?? 0) <= COLLECT_BYTES) return;
  logs.garbageBytes = 0;
  if (process.memoryUsage.rss() > COLLECT_ABOVE_BYTES) Bun.gc(true);
}

/** Where a line begins, for one whose number is counted only if it is to be shown. */
type Placed = Evidence & { offset?: number };

/** Gives the bad lines of a file that was jumped into their numbers. */
async function numberBadLines(logs: Logs, { path }: LogFile): Promise<void> {
  for (const { evidence } of logs.bad.first as { evidence: Placed }[]) {
    if (evidence.file !== path || evidence.line !== 0 || evidence.offset === undefined) continue;
    evidence.line = 1 + (await countLines(path, evidence.offset));
  }
}

type Reversed = { filters: Filters; lineNumbers: boolean; seekable: boolean; open: number };

/** The last line first. What cannot be read backwards (compressed files, pipes) is held, as far as that is little. */
async function* readReversed(logs: Logs, file: LogFile, how: Reversed): AsyncGenerator<AnalyzedEvent[]> {
  const { filters, lineNumbers, seekable, open } = how;
  if (seekable) {
    const { size } = await kindOf(file.path);
    const start = await startFor(file.path, filters.sinceMs);
    let below = lineNumbers ? await countLines(file.path, size) : 0;
    for await (const block of readFileBlocksBackwards(file.path, { start, end: size, chunkBytes: chunkFor(open) })) {
      const inBlock = lineNumbers ? newlinesIn(block) : 0;
      below -= inBlock;
      const events = createReader(logs, file, filters, lineNumbers ? below + 1 : 0)(block);
      if (events.length > 0) yield events.reverse();
    }
    return;
  }
  const { limit = Number.POSITIVE_INFINITY } = filters;
  const blocks =
    file.path === "-" ? readStreamBlocks(logs.context.stdin()) : readFileBlocks(file.path, file.compression);
  const reader = createReader(logs, file, filters, 1);
  let held: AnalyzedEvent[] = [];
  for await (const block of blocks) {
    held.push(...reader(block));
    if (held.length > limit + 2 * REORDER_WINDOW) held = held.slice(-(limit + REORDER_WINDOW));
    if (held.length > MAX_HELD) {
      throw new OpsError(
        "unsupported",
        `${file.path}: --reverse: too many events to hold, and it can only be read forwards`,
        {
          hint: "--limit 1000",
        },
      );
    }
  }
  if (held.length > 0) yield held.reverse();
}

function newlinesIn(block: Block): number {
  if (block.kind === "oversize") return 1;
  const bytes = block.bytes.subarray(0, block.to);
  let lines = 0;
  for (let at = bytes.indexOf(0x0a, block.from); at !== -1; at = bytes.indexOf(0x0a, at + 1)) lines += 1;
  return lines;
}

/** One file that waits in the spool or the inbox. */
type Waiting = { path: string; record: unknown; complete: boolean };

/** Events that are in no log yet: the spool's (the recorder's events), the inbox's (alerts, which are outcomes). */
export async function readPending(
  { context }: Pick<Logs, "context">,
  stream: "events" | "outcomes",
): Promise<AnalyzedEvent[]> {
  const directories = stream === "events" ? SPOOL_DIRECTORIES : [INBOX_DIRECTORY];
  const found: AnalyzedEvent[] = [];
  for (const directory of directories) {
    for (const { path, record } of await waitingIn(context, directory)) {
      const decoded = decodeRecord(record, JSON.stringify(record), { file: path, line: 1 });
      if (isEvent(decoded)) found.push(decoded);
      else context.err(`${path}: not counted: ${decoded.reason}`);
    }
  }
  return found;
}

/** The entries of a directory of pending events; a directory that may not be looked into is said, not passed over. */
export async function waitingIn({ err }: ProgramContext, directory: string): Promise<Waiting[]> {
  const entries: Waiting[] = [];
  const names = await listNames(directory).catch((error: unknown) => {
    err(`${directory}: not read: ${reasonOf(error)}`);
    return [];
  });
  for (const name of names) {
    if (name.startsWith(".") || !name.endsWith(".json")) continue;
    const path = `${directory}/${name}`;
    try {
      const text = await readWhole(path, MAX_PENDING_BYTES);
      if (text === undefined) continue; // recovered meanwhile
      const entry = JSON.parse(text) as Record<string, unknown>;
      // The spool wraps the event with its owner; the inbox holds it as it is.
      const wrapped = typeof entry.event === "object" && entry.event !== null;
      entries.push({ path, record: wrapped ? entry.event : entry, complete: entry.complete !== false });
    } catch (error) {
      err(`${path}: not counted: ${reasonOf(error)}`);
    }
  }
  return entries;
}
