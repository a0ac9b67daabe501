/**
 * The first eight keys of a line, read as bytes where they stand as both recorders write them.
 * Input:  a line that begins `{"timestamp":"2025-01-10T14:23:16Z","action":"off",…`, compact (ours) or with a space after
 *         each comma and colon (Python's).
 * Output: where each value begins and ends; false for anything else (another order, escapes, no plain time), which then has
 *         to be parsed. What is read here is what JSON.parse would say, as long as no key comes twice in the line.
 */

/** In the order of the file. */
export const HEAD_KEYS = [
  "timestamp",
  "action",
  "target_node",
  "gfs2_filesystems",
  "status",
  "details",
  "recorder_node",
  "pacemaker_action",
] as const;
export type HeadKey = (typeof HEAD_KEYS)[number];

export const headIndex = (key: string): number => (HEAD_KEYS as readonly string[]).indexOf(key);
export const FILESYSTEMS_INDEX = headIndex("gfs2_filesystems");

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SPACE = 0x20;
const COMMA = 0x2c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const TIMESTAMP_BYTES = 20;

const KEYS = HEAD_KEYS.map((key, index) => Buffer.from(`${index === 0 ? "{" : ","}"${key}":`, "latin1"));

/** Where the values of a line are: `from[i]` to `to[i]`, without quotes and brackets. */
export type Head = { from: Int32Array; to: Int32Array };

export const newHead = (): Head => ({
  from: new Int32Array(HEAD_KEYS.length),
  to: new Int32Array(HEAD_KEYS.length),
});

/** Reads the keys up to and including number `last` of the line in bytes `from` to `to`. */
export function readHead(bytes: Uint8Array, from: number, to: number, last: number, head: Head): boolean {
  let at = from;
  for (let index = 0; index <= last; index += 1) {
    at = keyEnd(bytes, at, KEYS[index] as Uint8Array);
    if (at === -1) return false;
    const list = index === FILESYSTEMS_INDEX;
    const end = list ? listEnd(bytes, at, to) : stringEnd(bytes, at, to);
    if (end === -1) return false;
    if (index === 0 && !(end - at === TIMESTAMP_BYTES + 1 && isTime(bytes, at + 1))) return false;
    head.from[index] = at + 1;
    head.to[index] = end;
    at = end + 1;
  }
  return true;
}

/** Where the value begins when the bytes at `at` are this key; -1 when not. */
function keyEnd(bytes: Uint8Array, at: number, key: Uint8Array): number {
  let here = at + 1;
  if (bytes[at] !== key[0]) return -1;
  if (bytes[here] === SPACE && key[0] === COMMA) here += 1;
  for (let index = 1; index < key.length; index += 1) {
    if (bytes[here] !== key[index]) return -1;
    here += 1;
  }
  return bytes[here] === SPACE ? here + 1 : here;
}

/** The closing quote of the string that opens at `at`; -1 for one with escapes or control characters. */
function stringEnd(bytes: Uint8Array, at: number, to: number): number {
  if (bytes[at] !== QUOTE) return -1;
  for (let here = at + 1; here < to; here += 1) {
    const byte = bytes[here] as number;
    if (byte === QUOTE) return here;
    if (byte === BACKSLASH || byte < SPACE) return -1;
  }
  return -1;
}

/** The closing bracket of a list of such strings; -1 for any other. */
function listEnd(bytes: Uint8Array, at: number, to: number): number {
  if (bytes[at] !== OPEN_LIST) return -1;
  if (bytes[at + 1] === CLOSE_LIST) return at + 1;
  let here = at + 1;
  for (;;) {
    const end = stringEnd(bytes, here, to);
    if (end === -1) return -1;
    if (bytes[end + 1] === CLOSE_LIST) return end + 1;
    if (bytes[end + 1] !== COMMA) return -1;
    here = bytes[end + 2] === SPACE ? end + 3 : end + 2;
  }
}

/** Calls `take` with each member of a list that readHead found. */
export function eachMember(
  bytes: Uint8Array,
  from: number,
  to: number,
  take: (from: number, to: number) => void,
): void {
  let here = from;
  while (here < to) {
    const end = stringEnd(bytes, here, to);
    take(here + 1, end);
    here = bytes[end + 2] === SPACE ? end + 3 : end + 2;
  }
}

const DAYS = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** `YYYY-MM-DDTHH:MM:SSZ` with a date that every calendar has. */
function isTime(bytes: Uint8Array, at: number): boolean {
  return (
    number2(bytes, at) >= 0 &&
    number2(bytes, at + 2) >= 0 &&
    bytes[at + 4] === 0x2d &&
    bytes[at + 7] === 0x2d &&
    bytes[at + 10] === 0x54 &&
    bytes[at + 13] === 0x3a &&
    bytes[at + 16] === 0x3a &&
    bytes[at + 19] === 0x5a &&
    number2(bytes, at + 8) >= 1 &&
    number2(bytes, at + 8) <= (DAYS[number2(bytes, at + 5)] ?? 0) &&
    inClock(number2(bytes, at + 11), 23) &&
    inClock(number2(bytes, at + 14), 59) &&
    inClock(number2(bytes, at + 17), 59)
  );
}

const inClock = (value: number, most: number): boolean => value >= 0 && value <= most;

/** Two digits; -100 and less where they are none. */
function number2(bytes: Uint8Array, at: number): number {
  const tens = (bytes[at] as number) - 0x30;
  const ones = (bytes[at + 1] as number) - 0x30;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : -100;
}

const MAX_KNOWN = 65_536;

/** Values met so far, each with a small number: comparing bytes is cheaper than making a string of each. */
export class Names {
  #slots = new Int32Array(256).fill(-1);
  readonly #bytes: Uint8Array[] = [];
  readonly #hashes: number[] = [];

  /** -1 when there are too many different ones to know them all. */
  numberOf(bytes: Uint8Array, from: number, to: number): number {
    let hash = to - from;
    for (let at = from; at < to; at += 1) hash = (Math.imul(hash, 31) + (bytes[at] as number)) | 0;
    const mask = this.#slots.length - 1;
    let slot = (hash ^ (hash >>> 15)) & mask;
    for (;;) {
      const known = this.#slots[slot] as number;
      if (known === -1) return this.#learn(bytes, from, to, hash);
      if (this.#hashes[known] === hash && same(this.#bytes[known] as Uint8Array, bytes, from, to)) return known;
      slot = (slot + 1) & mask;
    }
  }

  textOf(number: number): string {
    return Buffer.from(this.#bytes[number] as Uint8Array).toString("utf8");
  }

  #learn(bytes: Uint8Array, from: number, to: number, hash: number): number {
    const number = this.#bytes.length;
    if (number >= MAX_KNOWN) return -1;
    this.#bytes.push(Uint8Array.from(bytes.subarray(from, to))); // a copy: the block is used again
    this.#hashes.push(hash);
    if (2 * number >= this.#slots.length) {
      this.#slots = new Int32Array(this.#slots.length * 4).fill(-1);
      for (const [index, known] of this.#hashes.entries()) this.#place(index, known);
    } else this.#place(number, hash);
    return number;
  }

  #place(number: number, hash: number): void {
    const mask = this.#slots.length - 1;
    let slot = (hash ^ (hash >>> 15)) & mask;
    while (this.#slots[slot] !== -1) slot = (slot + 1) & mask;
    this.#slots[slot] = number;
  }
}

function same(known: Uint8Array, bytes: Uint8Array, from: number, to: number): boolean {
  if (known.length !== to - from) return false;
  for (let index = 0; index < known.length; index += 1) {
    if (known[index] !== bytes[from + index]) return false;
  }
  return true;
}
