import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseEre } from "../../src/core/ere.ts";

const answer = (pattern: string, text: string): boolean | undefined => parseEre(pattern)?.matches(text);

/** What regcomp(3) and regexec(3) of this machine say; bash's =~ is exactly REG_EXTENDED. undefined: not a valid pattern. */
function askLibc(pairs: readonly (readonly [pattern: string, text: string])[]): (boolean | undefined)[] {
  const script = "while IFS= read -r pattern && IFS= read -r text; do [[ $text =~ $pattern ]]; echo $?; done";
  const input = pairs.map(([pattern, text]) => `${pattern}\n${text}\n`).join("");
  const { stdout } = spawnSync("bash", ["-c", script], {
    input,
    encoding: "utf8",
    env: { PATH: process.env.PATH, LC_ALL: "C" },
  });
  return stdout
    .trimEnd()
    .split("\n")
    .map((code) => (code === "2" ? undefined : code === "0"));
}

describe("parseEre", () => {
  it.each([
    ["node", "my-node-1", true, "it is not anchored"],
    ["NODE", "node1", false, "it is case-sensitive"],
    ["^compute-node-[0-9]+$", "compute-node-10", true, ""],
    ["^compute-node-1$", "compute-node-10", false, ""],
    ["^(rabbit|compute)-node-[1-3]$", "rabbit-node-2", true, ""],
    ["n{2,3}o", "nnode", true, ""],
    ["^n{3,}", "nnode", false, ""],
    ["[[:alpha:]]+[[:digit:]]$", "node1", true, ""],
    ["^[^[:digit:]]+$", "node1", false, ""],
    ["[]x]", "a]b", true, "a bracket first in a list is literal"],
    ["[a\\]", "\\", true, "a backslash in a list is literal"],
    ["[x-]", "a-b", true, ""],
    ["node\\.1", "nodex1", false, ""],
    ["node.1", "nodex1", true, ""],
    ["node\\-1", "node-1", true, ""],
    ["a^b", "a^b", false, "an anchor is one wherever it stands"],
    ["(a?b?)*c", "ababc", true, ""],
    ["", "anything", true, "the empty pattern matches"],
  ])("matches as POSIX does: %s in %s: %s %s", (pattern, text, expected) => {
    expect(answer(pattern, text)).toBe(expected);
  });

  it.each([
    ["\\d+", "undefined escape"],
    ["\\w+", "GNU's own"],
    ["(a)\\1", "reference back"],
    ["(?:a)", "JavaScript's group"],
    ["a+?", "lazy in JavaScript"],
    ["a**", "undefined"],
    ["*a", "nothing to repeat"],
    ["^*a", "an anchor repeated"],
    ["a||b", "empty branch"],
    ["()", "empty group"],
    ["(a", "group left open"],
    ["a)", "group never opened"],
    ["[a", "list left open"],
    ["[z-a]", "range upside down"],
    ["[A-z]", "range across cases: the locale decides"],
    ["[[=a=]]", "equivalence class"],
    ["[[.a.]]", "collating symbol"],
    ["[[:word:]]", "no such class"],
    ["[a-c-e]", "range of a range"],
    ["a{2,1}", "bounds upside down"],
    ["a{,2}", "GNU's own"],
    ["a{x", "not a bound"],
    ["a{256}", "more than POSIX promises"],
    ["node\\", "a backslash last"],
    ["nöde", "not ASCII: the locale decides"],
    ["a".repeat(1_001), "too long"],
  ])("does not translate %s: %s", (pattern) => {
    expect(parseEre(pattern)).toBeUndefined();
  });

  it("does not judge a text that is not ASCII", () => {
    expect(answer("n.de", "nöde")).toBeUndefined();
  });

  it.each([
    ["(a+)+$", `${"a".repeat(300)}b`, false],
    ["((a*)*)*$", `${"a".repeat(300)}b`, true],
    ["(a|a)*$x", "a".repeat(500), false],
  ])("answers at once where backtracking would take years: %s", (pattern, text, expected) => {
    const startedMs = performance.now();
    expect(answer(pattern, text)).toBe(expected);
    expect(performance.now() - startedMs).toBeLessThan(5_000);
  });

  it("gives up on a pattern that asks for too much work", () => {
    expect(answer("((((a{0,255}){0,255}){0,255}b?){0,255}c)", "a".repeat(900))).not.toBe(true);
  });

  it("agrees with the C library wherever it answers at all", { timeout: 30_000 }, () => {
    const atom = fc.oneof(
      fc.constantFrom("a", "b", "n", "1", "-", ".", "\\.", "\\-", "^", "$", "x", "}", "]", "A"),
      fc.constantFrom(
        "[a-c]",
        "[^a]",
        "[[:digit:]]",
        "[]b]",
        "[b-]",
        "[[:alpha:]1]",
        "[^[:alnum:]-]",
        "[\\a]",
        "[:a:]",
      ),
    );
    const repeat = fc.constantFrom("", "", "", "*", "+", "?", "{2}", "{0,1}", "{1,}", "{,2}", "{2,1}", "+?", "{");
    const { pattern } = fc.letrec<{ pattern: string; part: string; sequence: string }>((tie) => ({
      part: fc
        .tuple(
          fc.oneof(
            { depthSize: "small" },
            { weight: 4, arbitrary: atom },
            tie("pattern").map((inner) => `(${inner})`),
          ),
          repeat,
        )
        .map(([one, more]) => one + more),
      sequence: fc.array(tie("part"), { minLength: 1, maxLength: 4 }).map((parts) => parts.join("")),
      pattern: fc.oneof(
        { weight: 3, arbitrary: tie("sequence") },
        { weight: 1, arbitrary: fc.tuple(tie("sequence"), tie("sequence")).map((two) => two.join("|")) },
        {
          weight: 1,
          arbitrary: fc.string({ unit: fc.constantFrom(..."ab1.-^$*+?{}[](|),:\\2"), minLength: 1, maxLength: 8 }),
        },
      ),
    }));
    const text = fc.string({ unit: fc.constantFrom(..."aabbn1-xA.]}"), maxLength: 8 });
    const pairs = fc.sample(fc.tuple(pattern, text), { numRuns: 4_000, seed: 7 });
    const expected = askLibc(pairs);
    expect(expected).toHaveLength(pairs.length);
    const ours = pairs.map(([one, other]) => answer(one, other));
    const wrong = pairs
      .map(([one, other], index) => ({ pattern: one, text: other, ours: ours[index], libc: expected[index] }))
      .filter((row) => row.ours !== undefined && row.ours !== row.libc);
    expect(wrong).toEqual([]);
    expect(ours.filter((value) => value !== undefined).length).toBeGreaterThan(1_000);
    expect(ours.filter((value) => value === true).length).toBeGreaterThan(300);
    expect(ours.filter((value) => value === false).length).toBeGreaterThan(300);
  });
});
