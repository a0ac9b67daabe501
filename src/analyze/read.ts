/**
 * The logs as one stream of events, in order of time, each once.
 * Input:  FILE arguments and filters. Output: events; lines that are none are collected in `bad`.
 * Order:  a log is in order of recording. Events up to REORDER_WINDOW places late come out in order of time; one
 *         recovered later than that (from a spool, after days) comes where it was recorded, and is counted in `misplaced`.
 *         Memory stays flat that way.
 * Once:   where several logs, or the spool, are read together, and wherever fences are joined, an event_id seen already is
 *         left out.
 * Errors: OpsError bad-input, io.
 */
import { OpsError } from "../core/errors.ts";
import type { Argv } from "../core/exec.ts";
import type { ProgramContext } from "../core/program.ts";
import {
  type Block,
  countLines,
  holdOpen,
  lineStartAt,
  type OpenFile,
  readFileBlocks,
  readFileBlocksBackwards,
  readingFailed,
  readStreamBlocks,
} from "../core/streams.ts";
import { addBadLine, type BadLines, noBadLines } from "./bad-lines.ts";
import { startFor } from "./bisect.ts";
import { decodeLine, isEvent } from "./decode.ts";
import type { AnalyzedEvent, Evidence } from "./event.ts";
import { asksForOutcomes, type Filters, matchesEvent } from "./filter.ts";
import { collectGarbage, leaveGarbage, type Spender } from "./garbage.ts";
import { idSet } from "./id-set.ts";
import { type Chain, findInputs, type Inputs, isRecordersOwn, type LogFile } from "./inputs.ts";
import { inOrder, type Misplaced, REORDER_WINDOW, recordedMs } from "./order.ts";
import { type Candidate, type Part, partsOf, startPart } from "./parts.ts";
import { readPending } from "./pending.ts";
import { createScanner, decidedByHead, needlesOf, type ScanOptions } from "./scan.ts";
import { type Found, type SearchPart, scanBlock, searchFile } from "./search.ts";

/** Copies of a line in several logs carry the same recorded_ms and come close together; in one log a rotation apart. */
const SEEN_IDS = 65_536;
/** All open files together; each has two buffers of its share, and room for the longest line. */
const CHUNK_BUDGET_BYTES = 16 * 1024 * 1024;
/** What a block holds is parsed before garbage is looked at again. */
const MAX_CHUNK_BYTES = 256 * 1024;
/** About 40 MB of parsed events. */
const MAX_HELD = 20_000;

export type Logs = Spender & {
  context: ProgramContext;
  inputs: Inputs;
  filters: Filters;
  /** Every line is parsed, so that a damaged one is found wherever it stands. */
  strict: boolean;
  bad: BadLines;
  misplaced: Misplaced;
};

type Stream = "events" | "outcomes";

export type ReadOptions = {
  /**
   * `events` (default) are the recorder's, `outcomes` what the alert agent and reconcile say became of them; `asked` are
   * the events, and the outcomes too where the filters name what those carry (`--status failed`).
   */
  stream?: Stream | "asked";
  /** Whether evidence needs line numbers where a part of a file is jumped over (--since, --reverse); default true. */
  lineNumbers?: boolean;
  /** For sums, which do not care in which order events come: nothing is held back. */
  anyOrder?: boolean;
  /** For joins: an event_id that comes twice is one event, in a single log too. */
  once?: boolean;
  /** Lines that can be counted by their first keys go here and do not become events. See readsByHead. */
  heads?: ScanOptions["heads"];
  /** Other filters than those of the command line, such as none for a join. */
  filters?: Filters;
};

export async function openLogs(
  context: ProgramContext,
  files: readonly string[],
  filters: Filters,
  strict = false,
): Promise<Logs> {
  const inputs = await findInputs(context, files);
  for (const note of inputs.notes) context.err(note);
  return { context, inputs, filters, strict, bad: noBadLines(), misplaced: new Map() };
}

/** The events asked for, one by one. */
export async function* readEvents(logs: Logs, options: ReadOptions = {}): AsyncGenerator<AnalyzedEvent> {
  for await (const batch of readBatches(logs, options)) yield* batch;
}

/** The same in batches, for those who count millions. */
export async function* readBatches(logs: Logs, options: ReadOptions = {}): AsyncGenerator<AnalyzedEvent[]> {
  const filters = options.filters ?? logs.filters;
  const { limit = Number.POSITIVE_INFINITY } = filters;
  let left = limit;
  if (left === 0 && !logs.strict) return;
  const recorded = merged(logs, options, filters);
  const ordered =
    options.anyOrder && filters.limit === undefined ? recorded : inOrder(recorded, filters.reverse, logs.misplaced);
  for await (const batch of ordered) {
    if (left > 0) yield batch.length > left ? batch.slice(0, left) : batch;
    left = Math.max(0, left - batch.length);
    if (left === 0 && !logs.strict) return;
  }
}

/** Whether `heads` may be used: nothing is merged (an event_id may come twice), and the filters are about first keys. */
export async function readsByHead(logs: Logs, stream: NonNullable<ReadOptions["stream"]>): Promise<boolean> {
  const { filters } = logs;
  const streams = streamsOf(stream, filters);
  if (logs.strict) return false;
  if (chainsOf(logs, streams).length !== 1 || filters.limit !== undefined || !decidedByHead(filters)) return false;
  return (await pendingOf(logs, streams)).length === 0;
}

const streamsOf = (stream: ReadOptions["stream"], filters: Filters): readonly Stream[] =>
  stream === "asked" ? (asksForOutcomes(filters) ? ["events", "outcomes"] : ["events"]) : [stream ?? "events"];

/** Each once: where nothing but outcomes was named they are what is shown as events. */
const chainsOf = ({ inputs }: Logs, streams: readonly Stream[]): readonly Chain[] => [
  ...new Set(streams.flatMap((stream) => inputs[stream])),
];

async function pendingOf({ context, inputs }: Logs, streams: readonly Stream[]): Promise<AnalyzedEvent[]> {
  if (!inputs.isDefault) return [];
  return (await Promise.all(streams.map((stream) => readPending(context, stream)))).flat();
}

async function* eachIdOnce(batches: AsyncIterable<AnalyzedEvent[]>): AsyncGenerator<AnalyzedEvent[]> {
  const seen = idSet(SEEN_IDS);
  for await (const batch of batches) {
    // In place: memory is what a join is short of.
    let kept = 0;
    for (const event of batch) {
      if (event.eventId !== undefined && !seen.add(event.eventId)) continue;
      batch[kept] = event;
      kept += 1;
    }
    batch.length = kept;
    yield batch;
  }
}

/** Several logs into one, by the time of recording, each event_id once. */
async function* merged(logs: Logs, options: ReadOptions, filters: Filters): AsyncGenerator<AnalyzedEvent[]> {
  const streams = streamsOf(options.stream, filters);
  const chains = chainsOf(logs, streams);
  const pending = (await pendingOf(logs, streams)).filter((event) => matchesEvent(filters, event));
  const [only] = chains;
  if (chains.length === 1 && only && pending.length === 0) {
    const recorded = readChain(logs, only, options, filters, 1);
    yield* options.once ? eachIdOnce(recorded) : recorded;
    return;
  }
  const order = filters.reverse ? -1 : 1;
  const seen = idSet(SEEN_IDS);
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

async function* readChain(
  logs: Logs,
  chain: Chain,
  options: ReadOptions,
  filters: Filters,
  open: number,
): AsyncGenerator<AnalyzedEvent[]> {
  const files = filters.reverse ? [...chain.files].reverse() : chain.files;
  for (const file of files) {
    for await (const batch of readLogFile(logs, file, options, filters, open)) if (batch.length > 0) yield batch;
  }
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
  const how: HowToRead = { filters, lineNumbers: options.lineNumbers ?? true, heads: options.heads, open };
  let plain: OpenFile | undefined;
  try {
    plain = file.path === "-" || file.compression !== "none" ? undefined : await holdOpen(file.path);
    if (filters.reverse) yield* readReversed(logs, file, how, plain);
    else if (plain) yield* readPlain(logs, file, how, plain);
    else {
      const reader = createReader(logs, file, filters, 1, how.heads);
      const part = { chunkBytes: chunkFor(open) };
      const blocks =
        file.path === "-"
          ? readStreamBlocks(logs.context.stdin(), part)
          : readFileBlocks(file.path, file.compression, part);
      for await (const block of blocks) yield reader.eventsOf(block);
    }
  } catch (error) {
    throw readingFailed(error, file.path);
  } finally {
    if (plain) {
      await numberBadLines(logs, file, plain);
      await plain.close();
    }
  }
}

/** What `--since` need not read: any other file may have been put together from several, old and new in any order. */
const startIn = async ({ strict }: Logs, file: LogFile, path: string, { sinceMs }: Filters): Promise<number> =>
  strict || !isRecordersOwn(file.path) ? 0 : startFor(path, sinceMs);

type HowToRead = { filters: Filters; lineNumbers: boolean; heads: ScanOptions["heads"] | undefined; open: number };

async function* readPlain(
  logs: Logs,
  file: LogFile,
  { filters, lineNumbers, heads, open }: HowToRead,
  { path, sizeBytes }: OpenFile,
): AsyncGenerator<AnalyzedEvent[]> {
  const start = await startIn(logs, file, path, filters);
  const needles = lineNumbers || open > 1 || logs.strict ? undefined : needlesOf(filters);
  if (needles && logs.context.self) {
    const [first, ...others] = await partsOf(path, start, sizeBytes);
    if (first && others.length > 0) {
      const parts = others.map((range) => ({ path, ...range, needles }));
      yield* readInParts(logs, file, filters, [{ path, ...first, needles }, ...parts], logs.context.self);
      return;
    }
  }
  const firstLine = start === 0 ? 1 : lineNumbers ? 1 + (await countLines(path, start)) : 0;
  const reader = createReader(logs, file, filters, firstLine, heads);
  yield* reader.eventsIn(path, { start, sizeBytes, chunkBytes: chunkFor(open) }, open === 1);
}

/** The first part here, the others on other cores meanwhile. */
async function* readInParts(
  logs: Logs,
  file: LogFile,
  filters: Filters,
  [here, ...others]: readonly [Part, ...Part[]],
  self: Argv,
): AsyncGenerator<AnalyzedEvent[]> {
  const parts = others.map((part) => ({ ...part, ...startPart(self, part) }));
  const searchHere = ({ path, start, end }: Part): AsyncGenerator<AnalyzedEvent[]> =>
    createReader(logs, file, filters, start === 0 ? 1 : 0).eventsIn(path, { start, end }, true);
  try {
    yield* searchHere(here);
    for (const part of parts) {
      for await (const candidates of part.candidates()) yield eventsAmong(logs, file, filters, candidates);
      if (part.searchedTo() < part.end) {
        yield* searchHere({ ...part, start: await lineStartAt(part.path, part.searchedTo()) });
      }
    }
  } finally {
    for (const part of parts) part.stop();
  }
}

/** Of lines that another process found. */
function eventsAmong(logs: Logs, file: LogFile, filters: Filters, candidates: readonly Candidate[]): AnalyzedEvent[] {
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
  return events;
}

type Reader = {
  /** Of a block, in its order. */
  eventsOf: (block: Block) => AnalyzedEvent[];
  /** Of a part of a plain file, a block's worth at a time. See searchFile. */
  eventsIn: (path: string, part: SearchPart, isAlone: boolean) => AsyncGenerator<AnalyzedEvent[]>;
};

function createReader(
  logs: Logs,
  file: LogFile,
  filters: Filters,
  firstLine: number,
  heads?: ScanOptions["heads"],
): Reader {
  const scanner = createScanner({ filters, firstLine, everyLine: logs.strict, ...(heads && { heads }) });
  const name = file.path === "-" ? "<stdin>" : file.path;
  const bad = (line: number, offset: number, reason: string) => {
    const evidence: Placed = { file: name, line, offset };
    addBadLine(logs.bad, { evidence, reason });
  };
  let events: AnalyzedEvent[] = [];
  const found: Found = {
    decode(bytes, from, to, line, offset) {
      leaveGarbage(logs, to - from);
      const decoded = decodeLine(bytes.toString("utf8", from, to), { file: name, line });
      if (!isEvent(decoded)) bad(line, offset, decoded.reason);
      else if (matchesEvent(filters, decoded)) events.push(decoded);
    },
    tooLong: (line, offset, length) => bad(line, offset, `a line of ${length} bytes`),
  };
  const taken = (): AnalyzedEvent[] => {
    const batch = events;
    events = [];
    return batch;
  };
  return {
    eventsOf(block) {
      collectGarbage(logs);
      scanBlock(block, scanner, found);
      return taken();
    },
    async *eventsIn(path, part, isAlone) {
      for await (const _ of searchFile(path, part, scanner, found, isAlone)) {
        yield taken();
        collectGarbage(logs);
      }
    },
  };
}

/** Where a line begins, for one whose number is counted only if it is to be shown. */
type Placed = Evidence & { offset?: number };

/** Gives the bad lines of a file that was jumped into their numbers. */
async function numberBadLines(logs: Logs, { path }: LogFile, plain: OpenFile): Promise<void> {
  for (const { evidence } of logs.bad.first as { evidence: Placed }[]) {
    if (evidence.file !== path || evidence.line !== 0 || evidence.offset === undefined) continue;
    evidence.line = 1 + (await countLines(plain.path, evidence.offset));
  }
}

/** The last line first. What cannot be read backwards (compressed files, pipes) is held, as far as that is little. */
async function* readReversed(
  logs: Logs,
  file: LogFile,
  { filters, lineNumbers, open }: HowToRead,
  plain: OpenFile | undefined,
): AsyncGenerator<AnalyzedEvent[]> {
  if (plain) {
    const { path, sizeBytes } = plain;
    const start = await startIn(logs, file, path, filters);
    let below = lineNumbers ? await countLines(path, sizeBytes) : 0;
    for await (const block of readFileBlocksBackwards(path, { start, end: sizeBytes, chunkBytes: chunkFor(open) })) {
      const inBlock = lineNumbers ? newlinesIn(block) : 0;
      below -= inBlock;
      const events = createReader(logs, file, filters, lineNumbers ? below + 1 : 0).eventsOf(block);
      yield events.reverse();
    }
    return;
  }
  const { limit = Number.POSITIVE_INFINITY } = filters;
  const blocks =
    file.path === "-" ? readStreamBlocks(logs.context.stdin()) : readFileBlocks(file.path, file.compression);
  const reader = createReader(logs, file, filters, 1);
  let held: AnalyzedEvent[] = [];
  for await (const block of blocks) {
    held.push(...reader.eventsOf(block));
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
