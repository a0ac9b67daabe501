/**
 * Parts of a big file searched by more processes of our own, because the search is all that a selective query does and a
 * machine has more than one core. (Threads of the runtime would share our memory and cost as much to start.)
 * Such a process prints each line that has to be looked at, after the byte where it begins:
 *   OFFSET\nLINE\n, and !OFFSET LENGTH\n\n for a line that is too long; at last ALL_SEARCHED.
 */

import { availableParallelism } from "node:os";
import { OpsError } from "../core/errors.ts";
import { type Argv, type Reading, startReading } from "../core/exec.ts";
import type { ProgramContext } from "../core/program.ts";
import { lineStartAt, readStreamBlocks } from "../core/streams.ts";
import { NO_FILTERS } from "./filter.ts";
import { createScanner } from "./scan.ts";
import { type Found, searchFile } from "./search.ts";

/** The first word of the other process; no subcommand of users. */
export const PART_WORD = "--part-of-a-search";

const ALL_SEARCHED = ".";
const NEWLINE = 0x0a;

/** Below this one core is done before another has started. */
const WORTH_A_PROCESS_BYTES = 24 * 1024 * 1024;
const MOST_PARTS = 4;
/** What this process has searched when the others have started. */
const HEAD_START_BYTES = 64 * 1024 * 1024;
const HELD_BYTES = 2 * 1024 * 1024;
const PIPE_CHUNK_BYTES = 128 * 1024;
/** Every core searches already: a compiler beside it would take its time from the search (measured: a fifth). */
const SEARCH_ENVIRONMENT = { BUN_JSC_useConcurrentJIT: "0" };

export type Part = { path: string; start: number; end: number; needles: readonly string[] };

/** A line that has to be looked at; `length` is for one that is too long and not there. */
export type Candidate = { text: string; offset: number } | { offset: number; length: number };

/** The byte ranges that are searched side by side; one where more are not worth their start. */
export async function partsOf(path: string, start: number, end: number): Promise<{ start: number; end: number }[]> {
  const count = Math.min(availableParallelism(), MOST_PARTS, Math.floor((end - start) / WORTH_A_PROCESS_BYTES));
  const parts: { start: number; end: number }[] = [];
  let from = start;
  const ahead = Math.min(HEAD_START_BYTES, (end - start) / 4);
  for (let index = 1; index < count; index += 1) {
    const near = Math.floor(start + ahead + ((end - start - ahead) * index) / count);
    const to = await lineStartAt(path, near);
    if (to <= from || to >= end) continue; // in a line that is very long
    parts.push({ start: from, end: to });
    from = to;
  }
  return [...parts, { start: from, end }];
}

export type RunningPart = {
  /** What it has found, in order. */
  candidates: () => AsyncGenerator<Candidate[]>;
  /** Lines that begin before this byte are searched. Short of the part's end when its process ended, or never began. */
  searchedTo: () => number;
  stop: () => void;
};

/** Starts at once; the candidates come when they are asked for. */
export function startPart(self: Argv, part: Part): RunningPart {
  const reading = readingOf(self, part);
  let searchedTo = part.start;
  return {
    async *candidates() {
      let head: string | undefined;
      for await (const block of readStreamBlocks(reading?.chunks ?? nothing(), { chunkBytes: PIPE_CHUNK_BYTES })) {
        if (block.kind === "oversize") return; // never: it prints no line that is too long
        const found: Candidate[] = [];
        for (let at = block.from; at < block.to; ) {
          const end = block.bytes.indexOf(NEWLINE, at);
          if (end === -1 || end >= block.to) break; // it was killed in the middle of a line
          const text = block.bytes.toString("utf8", at, end);
          at = end + 1;
          if (head !== undefined) {
            const [offset = 0, length = 0] = head.replace("!", "").split(" ").map(Number);
            found.push(head.startsWith("!") ? { offset, length } : { text, offset });
            searchedTo = offset + 1;
            head = undefined;
          } else if (text === ALL_SEARCHED) {
            searchedTo = part.end;
            yield found;
            return; // its end is not waited for
          } else head = text;
        }
        yield found;
      }
    },
    searchedTo: () => searchedTo,
    stop: () => reading?.stop(),
  };
}

/** Undefined where no process is to be had: too many open files, or the executable is being replaced. */
function readingOf(self: Argv, part: Part): Reading | undefined {
  try {
    return startReading([...self, "analyze", PART_WORD, JSON.stringify(part)], SEARCH_ENVIRONMENT);
  } catch {
    return undefined;
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

/** What the other process does. */
export async function runPart({ out }: ProgramContext, text: string): Promise<number> {
  const { path, start, end, needles } = partOf(text);
  const scanner = createScanner({ filters: NO_FILTERS, needles, firstLine: 0 });
  // Nobody reads before the other process has searched its own part, and a pipe holds 64 KB: what is found is held.
  let held = Buffer.allocUnsafeSlow(2 * HELD_BYTES);
  let used = 0;
  const reserve = (sizeBytes: number) => {
    if (used + sizeBytes <= held.length) return;
    const larger = Buffer.allocUnsafeSlow(2 * (used + sizeBytes));
    held.copy(larger, 0, 0, used);
    held = larger;
  };
  const holdText = (text: string) => {
    reserve(text.length);
    used += held.write(text, used, "latin1");
  };
  const found: Found = {
    decode(bytes, from, to, _, offset) {
      holdText(`${offset}\n`);
      reserve(to - from + 1);
      used += bytes.copy(held, used, from, to);
      holdText("\n");
    },
    tooLong: (_, offset, length) => holdText(`!${offset} ${length}\n\n`),
  };
  for await (const _ of searchFile(path, { start, end }, scanner, found, true)) {
    if (used < HELD_BYTES) continue;
    await out(held.subarray(0, used));
    used = 0;
  }
  holdText(`${ALL_SEARCHED}\n`);
  await out(held.subarray(0, used));
  return 0;
}

function partOf(text: string): Part {
  try {
    return JSON.parse(text) as Part;
  } catch (cause) {
    throw new OpsError("usage", `${PART_WORD}: is said by fencepost itself`, {
      cause,
      hint: "fencepost analyze --help",
    });
  }
}
