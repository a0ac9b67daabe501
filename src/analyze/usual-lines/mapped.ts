/**
 * The lines in question of a big file for one word, where they lie in the page cache: the file's pages stand in the
 * compiled search's own memory, window after window.
 * Input:  a plain file, a part of it that begins with a line, the word: at least two bytes, without newline or backslash.
 * Output: each line that has to be looked at, whole and copied; how far it came. What it leaves to the ordinary reader: a
 *         line that is too long or has no newline, and all behind it; a file that is cut meanwhile, or on which the disk
 *         fails; one that begins otherwise than logs do; and any where the runtime has no SIMD (on x64 a CPU without AVX)
 *         or memory of that kind, or nothing can be mapped.
 */
import { createGuarded, HUGE_PAGE_BYTES, openMapped, toHugePage } from "../../core/mapped-file.ts";
import { MAX_LINE_BYTES } from "../../core/streams.ts";
import { MODULE } from "./module.ts";

const OPEN = 0x7b;
const PAGE_BYTES = 64 * 1024;
/** Of the module's memory: the word; a line; from the next huge page on the window; and what the search reads behind it. */
const LINE_AT = PAGE_BYTES;
const LINE_ROOM = MAX_LINE_BYTES + PAGE_BYTES;
/** A line begins anywhere in the first huge page: what is behind that is more than the longest line. */
const WINDOW_BYTES = 4 * HUGE_PAGE_BYTES;
const MEMORY_PAGES = (LINE_AT + LINE_ROOM + HUGE_PAGE_BYTES + WINDOW_BYTES + PAGE_BYTES) / PAGE_BYTES;

/** Of lines looked at: then it yields, as what was made of them takes several times the room. */
const ENOUGH_BYTES = 256 * 1024;

/** Some twenty lines say which bytes are rare in all of them. */
const SAMPLE_BYTES = 16 * 1024;

type Exports = {
  passUsual: (from: number, to: number, word: number, length: number, pair: number) => number;
  lines: { value: number };
  takeLine: (from: number, to: number, into: number) => number;
};

/** The place where a line begins, and how many lines of this part lie before it. */
export type Place = { offset: number; lines: number };

/** A line without its newline: so many bytes of `bytes`, good until the next. */
export type LookAt = (bytes: Buffer, length: number, place: Readonly<Place>) => void;

/**
 * Yields after each window or less of it; returns the place before which all is searched. Errors: the system's, of opening
 * and reading.
 */
export function* searchMapped(
  path: string,
  { start, end }: { start: number; end: number },
  word: Buffer,
  lookAt: LookAt,
): Generator<undefined, Place> {
  const place: Place = { offset: start, lines: 0 };
  const compiled = compile();
  const file = compiled && openMapped(path);
  if (!compiled || !file) return place;
  const { memory, exports } = compiled;
  memory.set(word);
  const windowAt = LINE_AT + LINE_ROOM + toHugePage(memory.subarray(LINE_AT + LINE_ROOM));
  const window = memory.subarray(windowAt, windowAt + WINDOW_BYTES);
  const line = Buffer.from(memory.buffer, LINE_AT, LINE_ROOM);
  try {
    const sought = { length: word.length, pair: rarestPair(word, file.read(start, SAMPLE_BYTES)) };
    for (let before = -1; place.offset < end && place.offset > before; ) {
      before = place.offset;
      const first = before - (before % HUGE_PAGE_BYTES);
      const last = Math.min(end, first + WINDOW_BYTES);
      // No page behind the last is mapped, as there the search reads on for some bytes.
      if (!file.show(window.subarray(0, last - first), first)) break;
      const isWhole = searchWindow(exports, sought, { shift: windowAt - first, last }, place, line, lookAt);
      yield;
      if (!isWhole) break;
    }
  } finally {
    file.close(window);
  }
  return place;
}

/**
 * `place` comes to the last line of the window, or as far as is enough. False where it has come to something that the
 * ordinary reader has to look at.
 */
function searchWindow(
  { passUsual, lines, takeLine }: Exports,
  { length: wordLength, pair }: { length: number; pair: number },
  { shift, last }: { shift: number; last: number },
  place: Place,
  line: Buffer,
  lookAt: LookAt,
): boolean {
  const to = last + shift;
  for (let lookedAt = 0; place.offset < last && lookedAt < ENOUGH_BYTES; ) {
    let length: number;
    try {
      const from = passUsual(place.offset + shift, to, 0, wordLength, pair);
      place.offset = from - shift;
      place.lines += lines.value;
      if (from === to) return true;
      const longest = Math.min(to, from + MAX_LINE_BYTES + 1);
      length = takeLine(from, longest, LINE_AT);
      if (length === -1) return longest === to;
    } catch (error) {
      if (error instanceof WebAssembly.RuntimeError) return false; // a page was gone
      throw error;
    }
    if (place.offset === 0 && line[0] !== OPEN) return false; // a byte order mark, or it is compressed
    lookAt(line, length, place);
    place.offset += length + 1;
    place.lines += 1;
    lookedAt += length;
  }
  return true;
}

/** Where in the word the two bytes stand that come together least often in a sample of the file. */
function rarestPair(word: Buffer, sample: Buffer): number {
  const counts = new Uint16Array(0x1_0000);
  for (let at = 1; at < sample.length; at += 1) {
    const pair = ((sample[at - 1] as number) << 8) | (sample[at] as number);
    counts[pair] = (counts[pair] as number) + 1;
  }
  let rarest = 0;
  const countAt = (at: number): number => counts[word.readUInt16BE(at)] as number;
  for (let at = 1; at < word.length - 1; at += 1) if (countAt(at) < countAt(rarest)) rarest = at;
  return rarest;
}

function compile(): { memory: Uint8Array<ArrayBuffer>; exports: Exports } | undefined {
  try {
    const memory = createGuarded(MEMORY_PAGES);
    if (!memory) return undefined;
    const module = new WebAssembly.Module(Buffer.from(MODULE, "base64"));
    const { exports } = new WebAssembly.Instance(module, { env: { memory } });
    return { memory: new Uint8Array(memory.buffer), exports: exports as unknown as Exports };
  } catch {
    return undefined; // no SIMD, no WebAssembly at all, or no memory for it
  }
}
