/**
 * One file → the lines in question, looked at as bytes before anything is parsed.
 * Every line is walked over. One that does not hold the words asked for (`needles`), or whose first keys say that it is
 * not asked for (`head`), is left alone. Whatever looks unusual in any way (no braces at its ends, another order of keys,
 * a key that comes twice, escapes, NUL bytes) goes to JSON.parse: the answer is the one that parsing every line gives.
 */
import type { Block } from "../core/streams.ts";
import { PLACEHOLDERS } from "./decode.ts";
import { type Filters, isGlob, matchesName } from "./filter.ts";
import { eachMember, FILESYSTEMS_INDEX, HEAD_KEYS, type Head, headIndex, Names, newHead, readHead } from "./head.ts";
import { createWatch, ESCAPE, passUsualIn } from "./usual-lines/pass.ts";

const NEWLINE = 0x0a;
const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const RETURN = 0x0d;
/** A line that has to be decoded. */
export type LineHandler = (bytes: Buffer, from: number, to: number, line: number, offset: number) => void;
/** A line whose first keys say all there is to ask. */
export type HeadHandler = (bytes: Buffer, head: Head) => void;

export type Scanner = {
  /** Of these one must stand in a line that is asked for; undefined where any may be. */
  words: readonly Buffer[] | undefined;
  scan: (block: Extract<Block, { kind: "lines" }>, decode: LineHandler) => void;
  /** The number of the line that comes next; 0 when they are not counted. */
  line: () => number;
  /** Counts lines that were not in a block. */
  skipLines: (count: number) => void;
};

/** The end of a word is its own (`"target_node":"compute-node-77"`); what is found by it is looked at anyway. */
const MOST_OF_A_WORD = 64;
/** Calls per line into the search for bytes cost more than what they save beyond this. */
const MAX_NEEDLES = 3;

/**
 * Words of which one must stand in a line that is asked for; undefined when there are none that are worth it. Names match
 * in any case, so only what comes between letters will do: `-77"` of compute-node-77.
 */
export function needlesOf(filters: Filters): readonly string[] | undefined {
  const choices = [filters.nodes, filters.filesystems, filters.recorders].flatMap((words) => {
    if (words.length === 0 || words.length > MAX_NEEDLES) return [];
    const needles = words.map(caselessPart);
    return needles.every((needle) => needle.length >= 3) ? [needles] : [];
  });
  const literal =
    filters.grep && /^[\w \-:@%/,=<>!~#&'"]+$/.test(filters.grep.source) ? [filters.grep.source] : undefined;
  if (literal) choices.push(literal);
  const shortest = (needles: readonly string[]) => Math.min(...needles.map(({ length }) => length));
  const [best] = choices.sort((a, b) => shortest(b) - shortest(a));
  return best;
}

/** The longest part of a name, with the quote that ends it, which is the same in upper and lower case. */
function caselessPart(word: string): string {
  if (!/^[\x21-\x7e]+$/.test(word) || /["\\/]/.test(word) || isGlob(word)) return "";
  return (`${word}"`.match(/[^a-z]+/g) ?? []).reduce((best, part) => (part.length > best.length ? part : best), "");
}

/** Which of the first keys say whether a line is asked for, and how. */
type Decision = { index: number; words: readonly string[]; names: Names; answers: boolean[] };

/** Undefined when the first keys do not tell: every line must be decoded, or is found by its words. */
function decisionsOf(filters: Filters): Decision[] | undefined {
  const { sinceMs, untilMs, sources, grep, filesystems } = filters;
  const undecided = sinceMs !== undefined || untilMs !== undefined || sources.length > 0 || grep !== undefined;
  // What `--fs unknown` asks for stands in `discovery`, and `none-detected` is no name.
  const isWhy = (word: string) => ["none", "unknown", "disabled"].includes(word) || PLACEHOLDERS.has(word);
  if (undecided || filesystems.some(isWhy)) return undefined;
  const decision = (key: (typeof HEAD_KEYS)[number], words: readonly string[]): Decision[] =>
    words.length === 0 ? [] : [{ index: headIndex(key), words, names: new Names(), answers: [] }];
  return [
    ...decision("action", filters.actions),
    ...decision("target_node", filters.nodes),
    ...decision("gfs2_filesystems", filesystems),
    ...decision("status", filters.statuses),
    ...decision("recorder_node", filters.recorders),
  ];
}

const PLACEHOLDER = /^(?:none-detected|discovery-disabled)$/;

function isWanted({ names, words, answers }: Decision, bytes: Uint8Array, from: number, to: number): boolean {
  const number = names.numberOf(bytes, from, to);
  if (number === -1) return true; // too many names to know: it is decoded
  const known = answers[number];
  if (known !== undefined) return known;
  const text = names.textOf(number);
  const answer = matchesName(words, text);
  answers[number] = answer;
  return answer;
}

function decides(decision: Decision, bytes: Uint8Array, { from, to }: Head): boolean {
  const { index } = decision;
  const start = from[index] as number;
  const end = to[index] as number;
  if (index !== FILESYSTEMS_INDEX) return isWanted(decision, bytes, start, end);
  let wanted = false;
  eachMember(bytes, start, end, (first, last) => {
    wanted ||=
      isWanted(decision, bytes, first, last) &&
      !PLACEHOLDER.test(Buffer.from(bytes.subarray(first, last)).toString("latin1"));
  });
  return wanted;
}

const METHOD = Buffer.from('{"method":"', "latin1");

/**
 * Whether the key at `place`, behind the line's first keys, is one of an object inside: right behind an opening brace, as
 * in `operation`, or behind `{"method":"…",`, as in `discovery.attempts`. False also means: not certain.
 */
function isNested(bytes: Uint8Array, place: number): boolean {
  if (bytes[place - 1] === OPEN) return true;
  if (bytes[place - 1] !== COMMA || bytes[place - 2] !== QUOTE) return false;
  let quote = place - 3;
  while (quote > place - 40 && bytes[quote] !== QUOTE) quote -= 1;
  const start = quote - METHOD.length + 1;
  for (let index = 0; index < METHOD.length; index += 1) {
    if (bytes[start + index] !== METHOD[index]) return false;
  }
  return true;
}

export type ScanOptions = {
  filters: Filters;
  /** In place of the filters' own: for a part of a file that another process has been given. */
  needles?: readonly string[];
  /** The number of the first line; 0 when they are not counted. */
  firstLine: number;
  /** No line is left alone. */
  everyLine?: boolean;
  /** For a count: lines that are asked for and whose first keys, these among them, are as usual come here instead. */
  heads?: { keys: readonly number[]; take: HeadHandler };
};

/** Whether lines can be counted by their first keys alone. */
export const decidedByHead = (filters: Filters): boolean => decisionsOf(filters) !== undefined;

export function createScanner({ filters, firstLine, heads, everyLine, ...given }: ScanOptions): Scanner {
  const needles = heads || everyLine ? undefined : (given.needles ?? needlesOf(filters));
  const words = needles?.map((needle) => Buffer.from(needle.slice(-MOST_OF_A_WORD), "latin1"));
  const decisions = needles || everyLine ? undefined : decisionsOf(filters);
  const byHead = decisions !== undefined && (decisions.length > 0 || heads !== undefined);
  const keys = [...new Set([...(decisions ?? []).map(({ index }) => index), ...(heads?.keys ?? [])])];
  // Whether an event is one at all shows in its action and target; they come before any other.
  const lastKey = Math.max(headIndex("target_node"), ...keys);
  const twice = keys.map((index) => Buffer.from(`"${HEAD_KEYS[index]}"`, "latin1"));
  const head = newHead();
  const step = firstLine === 0 ? 0 : 1;
  let line = firstLine;

  /** Where the line's keys come again behind their values, found once for all lines of a block. */
  const again = new Int32Array(keys.length);
  const comesTwice = (view: Buffer, to: number): boolean => {
    for (let index = 0; index < keys.length; index += 1) {
      let place = again[index] as number;
      const end = head.to[keys[index] as number] as number;
      while (place < end || (place < to && isNested(view, place))) {
        place = view.indexOf(twice[index] as Buffer, Math.max(end, place + 1));
        if (place === -1) place = NONE;
      }
      again[index] = place;
      if (place < to) return true;
    }
    return false;
  };

  const scan: Scanner["scan"] = ({ bytes, from: first, to: last, offset }, decode) => {
    let from = first;
    // A byte order mark is no part of the first line.
    if (offset === 0 && bytes[from] === 0xef && bytes[from + 1] === 0xbb && bytes[from + 2] === 0xbf) from += 3;
    const view = bytes.subarray(0, last);
    const plain = new Uint8Array(view.buffer, view.byteOffset, view.length); // its indexOf is a third faster
    const passUsual = words && passUsualIn(view, words);
    // No line with one of these is left alone.
    const nextWatched = byHead ? createWatch(view, [0, ESCAPE]) : undefined;
    let quiet = nextWatched?.(from) ?? -1;
    again.fill(-1);
    while (from < last) {
      if (passUsual) {
        // All that a selective query does with most lines.
        const { to, lines } = passUsual(from);
        line += step * lines;
        from = to;
        if (from >= last) break;
      }
      const newline = plain.indexOf(NEWLINE, from);
      const end = newline === -1 ? last : newline;
      let look = end > quiet || plain[end - 1] !== CLOSE || plain[from] !== OPEN;
      if (!look && byHead) {
        look = true;
        if (readHead(plain, from, end, lastKey, head) && !comesTwice(view, end)) {
          look = decisions?.every((decision) => decides(decision, plain, head)) ?? true;
          if (look && heads) {
            heads.take(bytes, head);
            look = false;
          }
        }
      }
      if (look) {
        const to = end > from && plain[end - 1] === RETURN ? end - 1 : end;
        if (to > from) decode(bytes, from, to, line, offset + from - first);
        if (nextWatched) quiet = nextWatched(end);
      }
      line += step;
      from = end + 1;
    }
  };
  return {
    words,
    scan,
    line: () => line,
    skipLines: (count) => {
      line += step * count;
    },
  };
}

const NONE = 0x7fffffff;
