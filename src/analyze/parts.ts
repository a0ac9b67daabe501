/**
 * Parts of a big file searched by more processes of our own, because the search is all that a selective query does and a
 * machine has more than one core. (Threads of the runtime would share our memory and cost as much to start.)
 * Such a process prints each line that has to be looked at, after the byte where it begins:
 *   OFFSET\nLINE\n, and !OFFSET LENGTH\n\n for a line that is too long.
 */

import { availableParallelism } from "node:os";
import { OpsError } from "../core/errors.ts";
import type { Argv } from "../core/exec.ts";
import { startReading } from "../core/exec.ts";
import type { ProgramContext } from "../core/program.ts";
import { peekInto, readFileBlocks, readStreamBlocks } from "../core/streams.ts";
import { NO_FILTERS } from "./filter.ts";
import { createScanner } from "./scan.ts";

/** The first word of the other process; no subcommand of users. */
export const PART_WORD = "--part-of-a-search";

/** Below this one core is done before another has started. */
const WORTH_A_PROCESS_BYTES = 24 * 1024 * 1024;
const MOST_PARTS = 4;
/** What this process has searched when the others have started. */
const HEAD_START_BYTES = 40 * 1024 * 1024;
const HELD_BYTES = 8 * 1024 * 1024;
const PIPE_CHUNK_BYTES = 128 * 1024;
/** Every core searches already: a compiler beside it would take its time from the search (measured: a fifth). */
const SEARCH_ENVIRONMENT = { BUN_JSC_useConcurrentJIT: "0" };
const PROBE_BYTES = 2 * 1024 * 1024;

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
    const newline = (await peekInto(path, (peek) => peek(near, PROBE_BYTES))).indexOf(0x0a);
    const to = near + newline + 1;
    if (newline === -1 || to <= from || to >= end) continue; // in a line that is too long
    parts.push({ start: from, end: to });
    from = to;
  }
  return [...parts, { start: from, end }];
}

/** Starts at once; the candidates come when they are asked for. */
export function startPart(self: Argv, part: Part): { candidates: () => AsyncGenerator<Candidate[]>; stop: () => void } {
  const reading = startReading([...self, "analyze", PART_WORD, JSON.stringify(part)], SEARCH_ENVIRONMENT);
  return {
    async *candidates() {
      let head: string | undefined;
      for await (const block of readStreamBlocks(reading.chunks, { chunkBytes: PIPE_CHUNK_BYTES })) {
        if (block.kind === "oversize") continue; // its scanner lets none through
        const found: Candidate[] = [];
        for (let at = block.from; at < block.to; ) {
          const end = block.bytes.indexOf(0x0a, at);
          const text = block.bytes.toString("utf8", at, end);
          at = end + 1;
          if (head === undefined) head = text;
          else {
            const [offset = 0, length = 0] = head.replace("!", "").split(" ").map(Number);
            found.push(head.startsWith("!") ? { offset, length } : { text, offset });
            head = undefined;
          }
        }
        yield found;
      }
      const failure = await reading.failure;
      if (failure !== undefined) throw new OpsError("io", `${part.path}: not searched to its end: ${failure}`);
    },
    stop: reading.stop,
  };
}

/** What the other process does. */
export async function runPart({ out }: ProgramContext, text: string): Promise<number> {
  const { path, start, end, needles } = JSON.parse(text) as Part;
  const scanner = createScanner({ filters: NO_FILTERS, needles, firstLine: 0 });
  // Nobody reads before the other process has searched its own part, and a pipe holds 64 KB: what is found is held.
  let held = Buffer.allocUnsafeSlow(2 * HELD_BYTES);
  let used = 0;
  const hold = (bytes: Uint8Array) => {
    if (used + bytes.length > held.length) {
      const larger = Buffer.allocUnsafeSlow(2 * (used + bytes.length));
      held.copy(larger, 0, 0, used);
      held = larger;
    }
    held.set(bytes, used);
    used += bytes.length;
  };
  const holdText = (text: string) => hold(Buffer.from(text, "latin1"));
  for await (const block of readFileBlocks(path, "none", { start, end })) {
    if (block.kind === "oversize") holdText(`!${block.offset} ${block.length}\n\n`);
    else {
      scanner.scan(block, (bytes, from, to, _, offset) => {
        holdText(`${offset}\n`);
        hold(bytes.subarray(from, to));
        holdText("\n");
      });
    }
    if (used < HELD_BYTES) continue;
    await out(held.subarray(0, used));
    used = 0;
  }
  await out(held.subarray(0, used));
  return 0;
}
