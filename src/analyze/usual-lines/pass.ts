/**
 * Past the lines that a selective query does not ask for, which are nearly all of a log.
 * Input:  the words of which one must stand in a line that is asked for; bytes, from the beginning of a line.
 * Output: the place of the first line that has to be looked at: one that holds a word, or a `\u`, in which a letter of it
 *         could hide; one without braces at its ends, or without a newline. And how many lines were passed.
 * Two ways to one answer: compiled (assembly.ts), for one word, for bytes in a buffer that it allocated, and where the
 * runtime has SIMD (on x64 a CPU with AVX); else the runtime's own searches.
 */
import { MODULE } from "./module.ts";

const NEWLINE = 0x0a;
const OPEN = 0x7b;
const CLOSE = 0x7d;
/** The only escaped in which a plain letter, digit or hyphen can hide from a search. */
export const ESCAPE = Buffer.from("\\u", "latin1");
const NONE = 0x7fffffff;

/** Who searched for more would compare more at each place that begins alike; the lines found are looked at anyway. */
const MOST_OF_A_WORD = 64;

/** From the beginning of a line to that of the next to be looked at, past `lines` others. */
export type PassUsual = (from: number) => { to: number; lines: number };

export type UsualLines = {
  /** A buffer for bytes to be searched, in the place of the one before. */
  allocate: (sizeBytes: number) => Buffer;
  /** For the lines of `view`, asked from place to place. */
  within: (view: Buffer) => PassUsual;
};

/** `words`: none holds a newline or a backslash. */
export function createUsualLines(words: readonly string[]): UsualLines {
  // The end of a word is its own (`"target_node":"compute-node-77"`), and what stands alike before it costs time.
  const needles = words.map((word) => Buffer.from(word.slice(-MOST_OF_A_WORD), "latin1"));
  const [word, ...others] = needles;
  let compiled: Compiled | undefined;
  return {
    allocate(sizeBytes) {
      compiled = word && others.length === 0 ? compile(word, sizeBytes) : undefined;
      return compiled?.buffer ?? Buffer.allocUnsafeSlow(sizeBytes);
    },
    within: (view) =>
      compiled && view.buffer === compiled.buffer.buffer ? compiled.within(view) : searchWithin(view, needles),
  };
}

type Compiled = { buffer: Buffer; within: UsualLines["within"] };

type Exports = {
  passUsual: (from: number, to: number, word: number, length: number) => number;
  lines: { value: number };
};

const PAGE_BYTES = 64 * 1024;

/** The word lies in the memory's first page, the bytes behind it, and behind them one page more: see assembly.ts. */
function compile(word: Buffer, sizeBytes: number): Compiled | undefined {
  const pages = 2 + Math.ceil(sizeBytes / PAGE_BYTES);
  let memory: WebAssembly.Memory;
  let exports: Exports;
  try {
    memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const module = new WebAssembly.Module(Buffer.from(MODULE, "base64"));
    exports = new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Exports;
  } catch {
    return undefined; // no SIMD, no WebAssembly at all, or no memory for it
  }
  const { passUsual, lines } = exports;
  word.copy(new Uint8Array(memory.buffer));
  return {
    buffer: Buffer.from(memory.buffer, PAGE_BYTES, sizeBytes),
    within(view) {
      const first = view.byteOffset;
      return (from) => ({
        to: passUsual(first + from, first + view.length, 0, word.length) - first,
        lines: lines.value,
      });
    },
  };
}

function searchWithin(view: Buffer, needles: readonly Buffer[]): PassUsual {
  const plain = new Uint8Array(view.buffer, view.byteOffset, view.length); // its indexOf is a third faster
  const nextWatched = createWatch(view, [ESCAPE, ...needles]);
  return (from) => {
    const quiet = nextWatched(from);
    let to = from;
    let lines = 0;
    // Nothing else stands in this loop, because so little is compiled at once.
    for (;;) {
      const newline = plain.indexOf(NEWLINE, to);
      if (newline === -1 || newline > quiet || plain[newline - 1] !== CLOSE || plain[to] !== OPEN) break;
      to = newline + 1;
      lines += 1;
    }
    return { to, lines };
  };
}

/** Where the first of the watched stands from a place on. Asked from place to place it searches each byte once. */
export function createWatch(view: Buffer, watched: readonly (Buffer | number)[]): (from: number) => number {
  const places = watched.map(() => -1);
  return (from) => {
    let nearest = NONE;
    for (let index = 0; index < watched.length; index += 1) {
      let place = places[index] as number;
      if (place < from) {
        place = view.indexOf(watched[index] as Buffer | number, from);
        if (place === -1) place = NONE;
        places[index] = place;
      }
      if (place < nearest) nearest = place;
    }
    return nearest;
  };
}
