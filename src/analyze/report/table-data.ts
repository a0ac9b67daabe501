/**
 * The incidents table as data: columns of small numbers and the few texts they point to, in one JSON script element.
 * Input:  IncidentColumns, newest first.
 * Output: JSON text of at most `maxBytes`, and how many of the newest incidents it holds. 20 bytes an incident, where
 *         table markup takes 500.
 *   t  seconds since the row before, downwards (the first: since 1970); null: time not known
 *   o  [row, minutes]: from this row on a clock on the wall was so much ahead of UTC
 *   n, k, f  indices into nodes, kinds, files; −1: past a limit, not kept
 *   d  duration as duration.ts packs it · c  lines joined · l  line number, as difference to the row before
 *   kinds  [action, result, context, filesystems, recorders, client, device, reason]
 */
import { type IncidentColumns, NO_TIME } from "./aggregate.ts";
import { scriptJson } from "./words.ts";

/** The JSON text is the parts one after another, in bytes: as one text, or still to be encoded, it would be there twice. */
export type TableData = { parts: readonly Uint8Array[]; listed: number };

const TEXTS_AT_ONCE = 500;

/** The texts in use, in order of first use. */
class Used {
  readonly #texts: string[] = [];
  readonly #indices = new Map<number, number>();
  readonly #textOf: (index: number) => string | undefined;
  constructor(textOf: (index: number) => string | undefined) {
    this.#textOf = textOf;
  }
  /** Bytes that the last text used for the first time adds. */
  addedBytes = 0;
  /** The new index. */
  use(index: number): number {
    this.addedBytes = 0;
    const known = this.#indices.get(index);
    if (known !== undefined) return known;
    const text = this.#textOf(index);
    if (text === undefined) return -1;
    this.#indices.set(index, this.#texts.length);
    this.addedBytes = Buffer.byteLength(text) + 1;
    return this.#texts.push(text) - 1;
  }
  /** A comma between them. */
  *parts(): Generator<Uint8Array> {
    for (let from = 0; from < this.#texts.length; from += TEXTS_AT_ONCE) {
      yield Buffer.from(`${from > 0 ? "," : ""}${this.#texts.slice(from, from + TEXTS_AT_ONCE).join(",")}`);
    }
  }
}

const named =
  (names: readonly string[]) =>
  (index: number): string | undefined => {
    const name = names[index];
    return name === undefined ? undefined : scriptJson(name);
  };

const CHUNK_BYTES = 64 * 1024;

/** Numbers as text, a comma between them, digit by digit into chunks: strings would cost thirty times as much. */
class Column {
  readonly #chunks: Buffer[] = [];
  #bytes: Buffer = Buffer.of();
  #length = 0;
  #total = 0;
  #markChunks = 0;
  #markLength = 0;
  readonly #digits = new Uint8Array(20);

  /** A whole number; undefined is written as null. Returns the bytes that it took. */
  push(value: number | undefined): number {
    const before = this.#begin(24);
    if (this.#total > 0) this.#bytes[this.#length++] = 0x2c;
    if (value === undefined) this.#length += this.#bytes.write("null", this.#length, "latin1");
    else this.#number(value);
    return this.#end(before);
  }

  /** `[row,value]` */
  pushPair(row: number, value: number): number {
    const before = this.#begin(60);
    this.#length += this.#bytes.write(this.#total > 0 ? ",[" : "[", this.#length, "latin1");
    this.#number(row);
    this.#bytes[this.#length++] = 0x2c;
    this.#number(value);
    this.#bytes[this.#length++] = 0x5d;
    return this.#end(before);
  }

  mark(): void {
    this.#markChunks = this.#chunks.length;
    this.#markLength = this.#length;
  }
  /** Forgets what was pushed since; nothing can be pushed any more. */
  backToMark(): void {
    this.#bytes = this.#chunks[this.#markChunks] ?? this.#bytes;
    this.#chunks.length = this.#markChunks;
    this.#length = this.#markLength;
  }
  parts(): Uint8Array[] {
    return [...this.#chunks, this.#bytes.subarray(0, this.#length)];
  }

  #begin(bytes: number): number {
    if (this.#length + bytes > this.#bytes.length) {
      if (this.#length > 0) this.#chunks.push(this.#bytes.subarray(0, this.#length));
      this.#bytes = Buffer.allocUnsafeSlow(CHUNK_BYTES);
      this.#length = 0;
    }
    return this.#length;
  }
  #end(before: number): number {
    this.#total += this.#length - before;
    return this.#length - before;
  }

  #number(value: number): void {
    let rest = Math.abs(Math.trunc(value));
    if (!(rest < 1e18)) rest = 0; // no time, line or duration is so big
    if (value <= -1) this.#bytes[this.#length++] = 0x2d;
    let count = 0;
    do {
      this.#digits[count++] = 0x30 + (rest % 10);
      rest = Math.floor(rest / 10);
    } while (rest > 0);
    while (count > 0) this.#bytes[this.#length++] = this.#digits[--count] ?? 0x30;
  }
}
const COLUMNS = ["t", "o", "n", "k", "d", "c", "f", "l"] as const;

export function encodeTable(columns: IncidentColumns, maxBytes: number): TableData {
  const nodes = new Used(named(columns.nodes));
  const kinds = new Used((index) => columns.kinds.textOf(index));
  const files = new Used(named(columns.files));
  const rows = columns.timesMs.length;
  const out = {
    t: new Column(),
    o: new Column(),
    n: new Column(),
    k: new Column(),
    d: new Column(),
    c: new Column(),
    f: new Column(),
    l: new Column(),
  } satisfies Record<(typeof COLUMNS)[number], Column>;
  const all = Object.values(out); // by index below: an iterator a row would be 5 MB of garbage
  let left = maxBytes - 200; // keys and brackets
  let seconds = 0;
  let line = 0;
  let offset = Number.NaN;
  let listed = 0;
  for (let row = 0; row < rows; row += 1) {
    const timeMs = columns.timesMs[row] ?? NO_TIME;
    for (let column = 0; column < all.length; column += 1) all[column]?.mark();
    const node = nodes.use(columns.node[row] ?? -1);
    const kind = kinds.use(columns.kind[row] ?? -1);
    const file = files.use(columns.file[row] ?? -1);
    const thisSecond = Math.floor(timeMs / 1000);
    const thisLine = columns.line[row] ?? 0;
    const thisOffset = columns.offsetsMinutes[row] ?? 0;
    left -=
      nodes.addedBytes +
      kinds.addedBytes +
      files.addedBytes +
      out.t.push(timeMs === NO_TIME ? undefined : row === 0 ? thisSecond : seconds - thisSecond) +
      (thisOffset === offset ? 0 : out.o.pushPair(row, thisOffset)) +
      out.n.push(node) +
      out.k.push(kind) +
      out.d.push(Math.round(columns.durations[row] ?? -1)) +
      out.c.push(columns.lineCount[row] ?? 1) +
      out.f.push(file) +
      out.l.push(thisLine - line);
    if (left < 0) {
      for (const column of all) column.backToMark();
      break;
    }
    if (timeMs !== NO_TIME) seconds = thisSecond;
    line = thisLine;
    offset = thisOffset;
    listed++;
  }
  const list = (name: string, parts: Iterable<Uint8Array>) => [Buffer.from(`"${name}":[`), ...parts, Buffer.from("]")];
  const comma = Buffer.from(",");
  const parts = [
    Buffer.from("{"),
    ...list("nodes", nodes.parts()),
    comma,
    ...list("kinds", kinds.parts()),
    comma,
    ...list("files", files.parts()),
    ...COLUMNS.flatMap((key) => [comma, ...list(key, out[key].parts())]),
    Buffer.from("}"),
  ];
  return { parts, listed };
}
