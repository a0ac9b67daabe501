/**
 * The incidents table as data: columns of small numbers and the few texts they point to, in one JSON script element.
 * Input:  IncidentColumns, newest first.
 * Output: JSON text of at most `maxBytes`, and how many of the newest incidents it holds. 20 bytes an incident, where
 *         table markup takes 500.
 *   t  seconds since the row before, downwards (the first: since 1970); null: time not known
 *   o  [row, minutes]: from this row on a clock on the wall was so much ahead of UTC
 *   n, k, f  indices into nodes, kinds, files; −1: past a limit, not kept
 *   d  duration in ms, −1: not known · c  lines joined · l  line number, as difference to the row before
 *   kinds  [action, result, context, filesystems, recorders, client, device, reason]
 */
import { type IncidentColumns, NO_TIME } from "./aggregate.ts";
import { scriptJson } from "./words.ts";

/** The JSON text is the parts one after another: in one piece it would be there twice. */
export type TableData = { parts: readonly string[]; listed: number };

/** The texts in use, in order of first use. */
class Used {
  readonly parts: string[] = [];
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
    this.#indices.set(index, this.parts.length);
    this.addedBytes = Buffer.byteLength(text) + 1;
    return this.parts.push(text) - 1;
  }
}

const named =
  (names: readonly string[]) =>
  (index: number): string | undefined => {
    const name = names[index];
    return name === undefined ? undefined : scriptJson(name);
  };

/** Numbers as text, a comma between them, digit by digit into one growing buffer: strings would cost thirty times as much. */
class Column {
  #bytes: Buffer;
  #length = 0;
  #mark = 0;
  readonly #digits = new Uint8Array(20);

  /** Growing leaves the old buffers behind, so it begins with what most columns need. */
  constructor(rows: number) {
    this.#bytes = Buffer.allocUnsafeSlow(1_000 + rows * 4);
  }

  /** A whole number; undefined is written as null. Returns the bytes that it took. */
  push(value: number | undefined): number {
    const before = this.#length;
    this.#room(24);
    if (before > 0) this.#bytes[this.#length++] = 0x2c;
    if (value === undefined) this.#length += this.#bytes.write("null", this.#length, "latin1");
    else this.#number(value);
    return this.#length - before;
  }

  /** `[row,value]` */
  pushPair(row: number, value: number): number {
    const before = this.#length;
    this.#room(60);
    this.#length += this.#bytes.write(before > 0 ? ",[" : "[", this.#length, "latin1");
    this.#number(row);
    this.#bytes[this.#length++] = 0x2c;
    this.#number(value);
    this.#bytes[this.#length++] = 0x5d;
    return this.#length - before;
  }

  mark(): void {
    this.#mark = this.#length;
  }
  /** Forgets what was pushed since. */
  backToMark(): void {
    this.#length = this.#mark;
  }
  text(): string {
    return this.#bytes.toString("latin1", 0, this.#length);
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

  #room(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    this.#bytes = Buffer.concat([this.#bytes], this.#bytes.length * 2);
  }
}
const COLUMNS = ["t", "o", "n", "k", "d", "c", "f", "l"] as const;

export function encodeTable(columns: IncidentColumns, maxBytes: number): TableData {
  const nodes = new Used(named(columns.nodes));
  const kinds = new Used((index) => columns.kinds.textOf(index));
  const files = new Used(named(columns.files));
  const rows = columns.timesMs.length;
  const out = {
    t: new Column(rows),
    o: new Column(0),
    n: new Column(rows),
    k: new Column(rows),
    d: new Column(rows),
    c: new Column(rows),
    f: new Column(rows),
    l: new Column(rows),
  } satisfies Record<(typeof COLUMNS)[number], Column>;
  let left = maxBytes - 200; // keys and brackets
  let seconds = 0;
  let line = 0;
  let offset = Number.NaN;
  let listed = 0;
  for (let row = 0; row < rows; row += 1) {
    const timeMs = columns.timesMs[row] ?? NO_TIME;
    for (const key of COLUMNS) out[key].mark();
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
      out.d.push(Math.round(columns.durationMs[row] ?? -1)) +
      out.c.push(columns.lineCount[row] ?? 1) +
      out.f.push(file) +
      out.l.push(thisLine - line);
    if (left < 0) {
      for (const key of COLUMNS) out[key].backToMark();
      break;
    }
    if (timeMs !== NO_TIME) seconds = thisSecond;
    line = thisLine;
    offset = thisOffset;
    listed++;
  }
  const parts = [
    `{"nodes":[${nodes.parts.join(",")}],"kinds":[`,
    kinds.parts.join(","),
    `],"files":[${files.parts.join(",")}]`,
  ];
  for (const key of COLUMNS) parts.push(`,"${key}":[`, out[key].text(), "]");
  return { parts: [...parts, "}"], listed };
}
