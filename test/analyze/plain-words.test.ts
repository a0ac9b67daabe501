/** Words understood without yargs mean what yargs makes of them. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { COMMANDS, withOptions } from "../../src/analyze/cli.ts";
import { parseWords } from "../../src/analyze/parser.ts";
import { plainWords } from "../../src/analyze/plain-words.ts";
import { OpsError } from "../../src/core/errors.ts";
import { contextFor } from "./run-analyze.ts";

const subcommands = await Promise.all(COMMANDS.map(async ({ name, load }) => ({ name, ...withOptions(await load()) })));

const byYargs = (name: string, words: readonly string[], subcommand: ReturnType<typeof withOptions>) =>
  parseWords(
    contextFor({}, { stdout: "", stderr: "" }),
    { words, called: "fencepost analyze", name },
    subcommand,
  ).catch((error: unknown) => {
    if (error instanceof OpsError) return "refused";
    throw error;
  });

const value = fc.constantFrom(
  ..."node-1|a,b|compute-*|5|05|1e3|-1|-|--|---|true|false|TRUE|yes||  | x|'x'|\"x\"|a=b|=|=x|a b|2h|-n|--json|--no-json|--json=false".split(
    "|",
  ),
  ..."--limit|--limit=3|--reverse=true|--nodes|--nod|a.b|[x]|é|x\ny|null|undefined|0x10|1_000|~|$HOME".split("|"),
);
const file = fc.constantFrom(
  "fence-events-detailed.jsonl",
  "/var/log/gfs2-fencing",
  "*.jsonl",
  "7",
  "true",
  "-",
  "'q'",
);

it.each(subcommands)("$name", async ({ name, ...subcommand }) => {
  const names = [...Object.keys(subcommand.options), "help"];
  const option = fc.oneof(
    fc.constantFrom(...names).map((one) => [`--${one}`]),
    fc.tuple(fc.constantFrom(...names), value).map(([one, given]) => [`--${one}`, given]),
    fc.tuple(fc.constantFrom(...names), value).map(([one, given]) => [`--${one}=${given}`]),
    value.map((one) => [one]),
    file.map((one) => [one]),
  );
  const words = fc.array(option, { maxLength: 5 }).map((parts) => parts.flat());
  let plain = 0;
  await fc.assert(
    fc.asyncProperty(words, async (given) => {
      const own = plainWords(given, subcommand.command.command, subcommand.options);
      if (!own) return;
      plain += 1;
      const { _: rest, $0, ...wanted } = Object(await byYargs(name, given, subcommand));
      const known = Object.fromEntries(
        Object.entries(wanted).filter(([key]) => key === "files" || names.includes(key)),
      );
      expect({ rest, own }).toEqual({ rest: [], own: known });
    }),
    { numRuns: 300 },
  );
  if (subcommand.command.command.endsWith(" [files..]") && name !== "why") expect(plain).toBeGreaterThan(30);
});

it.each([
  [
    ["--node", "compute-node-3", "--json", "log"],
    { files: ["log"], json: true, strict: false, node: "compute-node-3" },
  ],
  [[], { files: [], json: false, strict: false }],
])("does not need yargs for %j", (words, own) => {
  const events = subcommands.find(({ name }) => name === "events");
  expect(plainWords(words, "events [files..]", events?.options ?? {})).toEqual(own);
});
