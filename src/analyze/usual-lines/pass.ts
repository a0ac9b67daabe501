/**
 * Past the lines that a selective query does not ask for, which are nearly all of a log.
 * Input:  the words of which one must stand in a line that is asked for; bytes, from the beginning of a line.
 * Output: the place of the first line that has to be looked at: one that holds a word, or a `\u`, in which a letter of it
 *         could hide; one without braces at its ends, or without a newline. And how many lines were passed.
 * This way by the runtime's own searches; for one word in a big file there is a faster one to the same answer (mapped.ts).
 */

const NEWLINE = 0x0a;
const OPEN = 0x7b;
const CLOSE = 0x7d;
/** The only escaped in which a plain letter, digit or hyphen can hide from a search. */
export const ESCAPE = Buffer.from("\\u", "latin1");
const NONE = 0x7fffffff;

/** From the beginning of a line to that of the next to be looked at, past `lines` others. */
export type PassUsual = (from: number) => { to: number; lines: number };

/** For the lines of `view`, asked from place to place. `words`: none holds a newline or a backslash. */
export function passUsualIn(view: Buffer, words: readonly Buffer[]): PassUsual {
  const plain = new Uint8Array(view.buffer, view.byteOffset, view.length); // its indexOf is a third faster
  const nextWatched = createWatch(view, [ESCAPE, ...words]);
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
