/** The two ways past the lines that nobody asks for say the same, and what looking at every line says. */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compileAssembly, MODULE_FILE } from "../../packaging/assembly.ts";
import { type Place, searchMapped } from "../../src/analyze/usual-lines/mapped.ts";
import { passUsualIn } from "../../src/analyze/usual-lines/pass.ts";
import { HUGE_PAGE_BYTES, openMapped } from "../../src/core/mapped-file.ts";
import { MAX_LINE_BYTES } from "../../src/core/streams.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "fencepost-usual-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** The compiled way reads 64 bytes at a time, so lines and words must fall across such borders. */
const pieces = fc.constantFrom(
  "{",
  "}",
  "\n",
  "}\n{",
  "\\",
  "u",
  "\\u",
  "-",
  "7",
  '"',
  '-77"',
  "-7",
  "é",
  "\0",
  "x".repeat(15),
  "x".repeat(31),
  "x".repeat(63),
);
const text = fc.array(pieces, { maxLength: 60 }).map((parts) => parts.join(""));
const longWord = fc.constantFrom("-7", '-77"', "7x", "xx", "x".repeat(40), `-7${"x".repeat(62)}`);
const word = fc.oneof(longWord, fc.constantFrom("7", "u"));

type Looked = { line: string; offset: number; lines: number };
/** `offset` is what is left to the ordinary reader; `lines` those before it. */
type Answer = { looked: Looked[]; offset: number; lines: number };

/** From `start` on, by looking at each line. */
function expected(bytes: Buffer, start: number, words: readonly string[]): Answer {
  const looked: Looked[] = [];
  let offset = start;
  let lines = 0;
  for (;;) {
    const end = bytes.indexOf("\n", offset, "latin1");
    if (end === -1) return { looked, offset, lines };
    const line = bytes.toString("latin1", offset, end);
    const usual = line.length > 1 && line.startsWith("{") && line.endsWith("}");
    if (!usual || ["\\u", ...words].some((part) => line.includes(part))) looked.push({ line, offset, lines });
    offset = end + 1;
    lines += 1;
  }
}

/** The same with what passes usual lines, from line to line as a scanner asks. */
function searched(bytes: Buffer, words: readonly string[]): Answer {
  const pass = passUsualIn(
    bytes,
    words.map((one) => Buffer.from(one, "latin1")),
  );
  const looked: Looked[] = [];
  for (let offset = 0, lines = 0; ; ) {
    const passed = pass(offset);
    lines += passed.lines;
    offset = passed.to;
    const end = bytes.indexOf("\n", offset, "latin1");
    if (end === -1) return { looked, offset, lines };
    looked.push({ line: bytes.toString("latin1", offset, end), offset, lines });
    offset = end + 1;
    lines += 1;
  }
}

function mapped(
  path: string,
  part: { start: number; end: number },
  one: string,
  onLine: (place: Readonly<Place>) => void = () => undefined,
): Answer & { yields: number } {
  const looked: Looked[] = [];
  const search = searchMapped(path, part, Buffer.from(one, "latin1"), (bytes, length, place) => {
    looked.push({ line: bytes.toString("latin1", 0, length), ...place });
    onLine(place);
  });
  for (let yields = 0; ; yields += 1) {
    const { done, value } = search.next();
    if (done) return { looked, ...value, yields };
  }
}

const written = (name: string, content: string | Buffer): string => {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
};

it.each([1, 2])("searched for %i words: looks at what looking at every line finds", (count) => {
  fc.assert(
    fc.property(fc.array(word, { minLength: count, maxLength: count }), text, (words, content) => {
      const bytes = Buffer.from(content);
      expect(searched(bytes, words)).toEqual(expected(bytes, 0, words));
    }),
    { numRuns: 2_000 },
  );
});

describe("mapped", () => {
  it("looks at what looking at every line finds, wherever it begins and ends", () => {
    fc.assert(
      fc.property(longWord, text, text, fc.nat({ max: 200 }), (one, before, content, behind) => {
        // Not the file's beginning, where it looks closer; and what is behind the part is none of it.
        const first = `${before.replaceAll("\n", "")}\n`;
        const start = Buffer.byteLength(first);
        const bytes = Buffer.from(first + content);
        const path = written("any", Buffer.concat([bytes, Buffer.alloc(behind, "\n7-77")]));
        const { yields: _, ...answer } = mapped(path, { start, end: bytes.length }, one);
        expect(answer).toEqual(expected(bytes, start, [one]));
      }),
      { numRuns: 1_000 },
    );
  });

  it("goes from window to window, with lines of every length across them", () => {
    const lengths = fc.sample(fc.oneof(fc.nat(900), fc.nat(MAX_LINE_BYTES - 20)), { numRuns: 150, seed: 7 });
    const content = lengths.map((length, index) => {
      const filled = "x".repeat(length);
      return [`{${filled}}`, `{${filled}-77"}`, `{${filled}7"-7}`, filled][index % 4];
    });
    const bytes = Buffer.from(`{}\n${content.join("\n")}\n`);
    expect(bytes.length).toBeGreaterThan(10 * HUGE_PAGE_BYTES);
    const { yields, ...answer } = mapped(written("long", bytes), { start: 0, end: bytes.length }, '-77"');
    expect(answer).toEqual(expected(bytes, 0, ['-77"']));
    expect(yields).toBeGreaterThan(4);
  });

  it("yields before much is found", () => {
    const bytes = Buffer.from('{"node":"compute-77"}\n'.repeat(100_000));
    const { yields, ...answer } = mapped(written("many", bytes), { start: 0, end: bytes.length }, '-77"');
    expect(answer).toEqual(expected(bytes, 0, ['-77"']));
    expect(yields).toBeGreaterThanOrEqual(Math.floor(bytes.length / (256 * 1024)));
  });

  const usual = '{"a":1}\n';
  it.each([
    ["a line that is too long", `${usual}{"-77":"${"x".repeat(MAX_LINE_BYTES)}"}\n${usual}`, usual.length],
    [
      "the longest line",
      `${usual}{${"x".repeat(MAX_LINE_BYTES - 2)}}\n${usual}`,
      2 * usual.length + MAX_LINE_BYTES + 1,
    ],
    ["a last line without a newline", `${usual}{"-77`, usual.length],
    ["a byte order mark", `\uFEFF${usual}`, 0],
    ["what is compressed", Buffer.concat([Buffer.from("1f8b0800", "hex"), Buffer.from(`\n${usual}`)]), 0],
    ["nothing", "", 0],
  ])("%s: what it leaves to the ordinary reader", (_, content, offset) => {
    const path = written("odd", content);
    const end = readFileSync(path).length;
    expect(mapped(path, { start: 0, end }, "-77").offset).toBe(offset);
  });

  it("stops where the file is cut meanwhile, and does not die of it", () => {
    const line = `{"node":"-77","x":"${"x".repeat(1_000)}"}\n`;
    const bytes = Buffer.from(line.repeat(20_000));
    const path = written("cut", bytes);
    const answer = mapped(path, { start: 0, end: bytes.length }, "-77", ({ lines }) => {
      if (lines === 5_000) truncateSync(path, 1_000);
    });
    // Nothing that stood in pages that are gone is told; what was found before is.
    expect(answer.looked.length).toBe(5_001);
    expect(answer.offset).toBe(5_001 * line.length);
  });
});

/** Of a process of its own: how far it came when the file was cut behind the first line. */
const CUT_MEANWHILE = `
  import { truncateSync, writeFileSync } from "node:fs";
  import { searchMapped } from "${join(import.meta.dirname, "../../src/analyze/usual-lines/mapped.ts")}";
  const path = process.argv.at(-1);
  const lines = '{"node":"-77"}\\n' + '{"node":"-78"}\\n'.repeat(2_000_000);
  writeFileSync(path, lines);
  const search = searchMapped(path, { start: 0, end: lines.length }, Buffer.from("-77"), () => truncateSync(path, 100));
  for (;;) {
    const { done, value } = search.next();
    if (done) { console.log(value.offset); break; }
  }`;

it.each([
  ["as usual", [], {}, "15"],
  ["with little room for addresses", ["prlimit", "--as=6000000000"], {}, "0"],
  ["with memory that is not guarded", [], { BUN_JSC_useWasmFastMemory: "0" }, "0"],
] as const)("never dies of a page that is gone: %s", (_, limits, env, offset) => {
  const argv = [...limits, process.execPath, "-e", CUT_MEANWHILE, join(directory, "cut-meanwhile")];
  const { exitCode, stdout, stderr } = Bun.spawnSync(argv, { env: { ...process.env, ...env } });
  expect({ exitCode, stdout: stdout.toString(), stderr: stderr.toString() }).toEqual({
    exitCode: 0,
    stdout: `${offset}\n`,
    stderr: "",
  });
});

describe("openMapped", () => {
  it("shows a file in the place of memory, and makes memory of it again", () => {
    const bytes = Buffer.alloc(3 * HUGE_PAGE_BYTES);
    for (let index = 0; index < bytes.length; index += 4_096) bytes.writeUInt32LE(index, index);
    const path = written("pages", bytes);
    const memory = new Uint8Array(new WebAssembly.Memory({ initial: 128, maximum: 128 }).buffer);
    const room = memory.subarray(HUGE_PAGE_BYTES, 2 * HUGE_PAGE_BYTES);
    room.fill(7);
    const file = openMapped(path);
    expect(file?.show(room, HUGE_PAGE_BYTES)).toBe(true);
    expect(Buffer.from(room).equals(bytes.subarray(HUGE_PAGE_BYTES, 2 * HUGE_PAGE_BYTES))).toBe(true);
    file?.close(room);
    expect(room.every((byte) => byte === 0)).toBe(true);
    room.fill(7);
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect(memory[0]).toBe(0);
    expect(memory[2 * HUGE_PAGE_BYTES]).toBe(0);
  });

  it("cannot show what has no pages", () => {
    const memory = new Uint8Array(new WebAssembly.Memory({ initial: 64, maximum: 64 }).buffer);
    const room = memory.subarray(0, HUGE_PAGE_BYTES);
    room[0] = 7;
    const file = openMapped("/proc/self/status");
    expect(file?.show(room, 0)).toBe(false);
    file?.close(room);
  });
});

it("has the module that its source compiles to", () => {
  expect(readFileSync(MODULE_FILE, "utf8")).toBe(compileAssembly());
});
