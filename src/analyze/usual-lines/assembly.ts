/**
 * The search of a selective query, in one pass over the bytes, 32 at a time. The runtime's own `indexOf` needs three
 * passes (the word, an escape, each newline) and a call for every line: up to twice the time.
 * AssemblyScript, not TypeScript: `npm run assembly` compiles it to WebAssembly with SIMD, into module.ts beside it.
 *
 * Input:  in the module's memory, lines from `from` to `to`, and behind `to` at least 32 bytes and the word's length more,
 *         of whatever content; at `word` the word, without newline or backslash.
 * Output: where the first line begins that does not stand in braces, or holds the word, or a `\u`, in which a letter of
 *         the word could hide, or has no newline; `to` when there is none. `lines` is how many lines were passed.
 */
export let lines: i32 = 0;

const NEWLINE: u8 = 0x0a;
const BACKSLASH: u8 = 0x5c;
const LETTER_U: u8 = 0x75;
const OPEN: u8 = 0x7b;
const CLOSE: u8 = 0x7d;

export function passUsual(from: i32, to: i32, word: i32, length: i32): i32 {
  lines = 0;
  let start = from;
  if (load<u8>(start) !== OPEN) return start;
  // A place is looked at when three bytes of the word are there: two let too many through (`-12"` is in every line).
  const middle = length >> 1;
  const end = length - 1;
  const firstByte = v128.load8_splat(word);
  const middleByte = v128.load8_splat(word + middle);
  const lastByte = v128.load8_splat(word + end);
  const newline = i8x16.splat(NEWLINE);
  const backslash = i8x16.splat(BACKSLASH);
  for (let at = from; at < to; at += 32) {
    const left = v128.load(at);
    const right = v128.load(at, 16);
    const leftWord = v128.and(i8x16.eq(v128.load(at + middle), middleByte), i8x16.eq(v128.load(at + end), lastByte));
    const rightWord = v128.and(
      i8x16.eq(v128.load(at + middle, 16), middleByte),
      i8x16.eq(v128.load(at + end, 16), lastByte),
    );
    const leftHits = v128.or(
      v128.or(i8x16.eq(left, newline), i8x16.eq(left, backslash)),
      v128.and(i8x16.eq(left, firstByte), leftWord),
    );
    const rightHits = v128.or(
      v128.or(i8x16.eq(right, newline), i8x16.eq(right, backslash)),
      v128.and(i8x16.eq(right, firstByte), rightWord),
    );
    if (!v128.any_true(v128.or(leftHits, rightHits))) continue;
    let hits = (i8x16.bitmask(leftHits) as u32) | ((i8x16.bitmask(rightHits) as u32) << 16);
    for (; hits !== 0; hits &= hits - 1) {
      const place = at + (ctz(hits) as i32);
      if (place >= to) return start;
      const byte = load<u8>(place);
      if (byte === NEWLINE) {
        if (load<u8>(place - 1) !== CLOSE) return start;
        start = place + 1;
        lines += 1;
        if (start >= to || load<u8>(start) !== OPEN) return start;
      } else if (byte === BACKSLASH) {
        if (load<u8>(place + 1) === LETTER_U) return start;
      } else {
        let same = 0;
        while (same + 8 <= length && load<u64>(place + same) === load<u64>(word + same)) same += 8;
        while (same < length && load<u8>(place + same) === load<u8>(word + same)) same += 1;
        if (same === length) return start;
      }
    }
  }
  return start;
}
