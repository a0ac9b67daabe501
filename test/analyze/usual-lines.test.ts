/** The two ways past the lines that nobody asks for say the same, and what looking at every line says. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, it } from "vitest";
import { compileAssembly, MODULE_FILE } from "../../packaging/assembly.ts";
import { createUsualLines, type PassUsual } from "../../src/analyze/usual-lines/pass.ts";

/** The compiled way reads 32 bytes at a time, so lines and words must fall across such borders. */
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
);
const text = fc.array(pieces, { maxLength: 60 }).map((parts) => parts.join(""));
const word = fc.constantFrom("7", "-7", '-77"', "7x", "u", "x".repeat(40));

function expected(bytes: Buffer, from: number, words: readonly string[]): ReturnType<PassUsual> {
  let to = from;
  let lines = 0;
  for (;;) {
    const end = bytes.indexOf("\n", to, "latin1");
    const line = bytes.toString("latin1", to, end);
    const usual = end !== -1 && line.length > 1 && line.startsWith("{") && line.endsWith("}");
    if (!usual || ["\\u", ...words].some((part) => line.includes(part))) return { to, lines };
    to = end + 1;
    lines += 1;
  }
}

/** From line to line, as a scanner asks: what each answer is. */
function answers(pass: PassUsual, bytes: Buffer): ReturnType<PassUsual>[] {
  const all: ReturnType<PassUsual>[] = [];
  for (let from = 0; from < bytes.length; ) {
    const answer = pass(from);
    all.push(answer);
    const end = bytes.indexOf(0x0a, answer.to);
    if (end === -1) break;
    from = end + 1;
  }
  return all;
}

it.each([
  ["compiled", 1, 500],
  ["searched", 1, 2_000],
  ["searched", 2, 2_000],
] as const)("%s, for %i words: passes what looking at every line passes", (way, count, numRuns) => {
  fc.assert(
    fc.property(
      fc.array(word, { minLength: count, maxLength: count }),
      text,
      text,
      fc.nat({ max: 40 }),
      (words, content, stale, at) => {
        const usualLines = createUsualLines(words);
        const size = at + Buffer.byteLength(content) + Buffer.byteLength(stale);
        const buffer = way === "compiled" ? usualLines.allocate(size) : Buffer.alloc(size);
        const view = buffer.subarray(at, at + buffer.write(content, at));
        buffer.write(stale, at + view.length); // what was read before lies behind
        const wanted = answers((from) => expected(view, from, words), view);
        expect(answers(usualLines.within(view), view)).toEqual(wanted);
      },
    ),
    { numRuns },
  );
});

it("is compiled where the runtime has SIMD, as this one", () => {
  expect(createUsualLines(["-77"]).allocate(1_000).byteOffset).toBeGreaterThan(0);
  expect(createUsualLines(["-77", "-78"]).allocate(1_000).byteOffset).toBe(0);
});

it("has the module that its source compiles to", () => {
  expect(readFileSync(MODULE_FILE, "utf8")).toBe(compileAssembly());
});
