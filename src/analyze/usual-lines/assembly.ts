/**
 * The search of a selective query, in one pass over the bytes, 64 at a time. The runtime's own `indexOf` needs three
 * passes (the word, an escape, each newline) and a call for every line: up to three times the time.
 * AssemblyScript, not TypeScript: `npm run assembly` compiles it to WebAssembly with SIMD, into module.ts beside it.
 *
 * The bytes may be pages of a file (mapped.ts): only what stands here may touch them, as only here a page that is gone
 * ends as an exception. At least 128 bytes and the word's length behind `to` can be read, of whatever content.
 */

const NEWLINE: u8 = 0x0a;
const BACKSLASH: u8 = 0x5c;
const LETTER_U: u8 = 0x75;
const OPEN: u8 = 0x7b;
const CLOSE: u8 = 0x7d;
/** MAX_LINE_BYTES of core/streams.ts. */
const LONGEST: i32 = 1024 * 1024;

/** How many lines passUsual has passed. */
export let lines: i32 = 0;

/**
 * Input:  lines from `from` to `to`; at `word` the word, without newline or backslash; `pair`, the first of two bytes of
 *         it: a place is looked at when both are there, so they should be rare.
 * Output: where the first line begins that does not stand in braces, or holds the word, or a `\u`, in which a letter of
 *         the word could hide, or is too long, or has no newline; `to` when there is none.
 */
export function passUsual(from: i32, to: i32, word: i32, length: i32, pair: i32): i32 {
  lines = 0;
  let start = from;
  if (load<u8>(start) !== OPEN) return start;
  const firstByte = v128.load8_splat(word + pair);
  const secondByte = v128.load8_splat(word + pair + 1);
  const newline = i8x16.splat(NEWLINE);
  const backslash = i8x16.splat(BACKSLASH);
  for (let at = from; at < to; at += 64) {
    const a = v128.load(at);
    const b = v128.load(at, 16);
    const c = v128.load(at, 32);
    const d = v128.load(at, 48);
    const wordInA = v128.and(i8x16.eq(a, firstByte), i8x16.eq(v128.load(at, 1), secondByte));
    const wordInB = v128.and(i8x16.eq(b, firstByte), i8x16.eq(v128.load(at, 17), secondByte));
    const wordInC = v128.and(i8x16.eq(c, firstByte), i8x16.eq(v128.load(at, 33), secondByte));
    const wordInD = v128.and(i8x16.eq(d, firstByte), i8x16.eq(v128.load(at, 49), secondByte));
    const hitsA = v128.or(v128.or(i8x16.eq(a, newline), i8x16.eq(a, backslash)), wordInA);
    const hitsB = v128.or(v128.or(i8x16.eq(b, newline), i8x16.eq(b, backslash)), wordInB);
    const hitsC = v128.or(v128.or(i8x16.eq(c, newline), i8x16.eq(c, backslash)), wordInC);
    const hitsD = v128.or(v128.or(i8x16.eq(d, newline), i8x16.eq(d, backslash)), wordInD);
    if (!v128.any_true(v128.or(v128.or(hitsA, hitsB), v128.or(hitsC, hitsD)))) continue;
    let hits =
      (i8x16.bitmask(hitsA) as u64) |
      ((i8x16.bitmask(hitsB) as u64) << 16) |
      ((i8x16.bitmask(hitsC) as u64) << 32) |
      ((i8x16.bitmask(hitsD) as u64) << 48);
    for (; hits !== 0; hits &= hits - 1) {
      const place = at + (ctz(hits) as i32);
      if (place >= to) return start;
      const byte = load<u8>(place);
      if (byte === NEWLINE) {
        if (load<u8>(place - 1) !== CLOSE || place - start > LONGEST) return start;
        start = place + 1;
        lines += 1;
        if (start >= to || load<u8>(start) !== OPEN) return start;
      } else if (byte === BACKSLASH) {
        if (load<u8>(place + 1) === LETTER_U) return start;
      } else {
        const first = place - pair;
        let same = 0;
        while (same + 8 <= length && load<u64>(first + same) === load<u64>(word + same)) same += 8;
        while (same < length && load<u8>(first + same) === load<u8>(word + same)) same += 1;
        if (same === length) return start;
      }
    }
  }
  return start;
}

/** Copies the line at `from` to `into`, where as much room is as from `from` to `to`. Its length, -1 without a newline. */
export function takeLine(from: i32, to: i32, into: i32): i32 {
  const newline = i8x16.splat(NEWLINE);
  for (let at = from; at < to; at += 16) {
    const bytes = v128.load(at);
    v128.store(into + at - from, bytes);
    const hits = i8x16.bitmask(i8x16.eq(bytes, newline)) as u32;
    if (hits === 0) continue;
    const place = at + (ctz(hits) as i32);
    return place < to ? place - from : -1;
  }
  return -1;
}
