/**
 * `fencepost doctor`: words → options → checks → text or JSON, and an exit code.
 * Errors: OpsError usage for words that are not understood, bad-input for a --cib that is none.
 */
import type { Options } from "yargs";
import { OpsError, reasonOf } from "../core/errors.ts";
import { openToFollow, readAt } from "../core/files.ts";
import type { ProgramContext } from "../core/program.ts";
import { createParser } from "../core/words.ts";
import { type Cib, eitherCib, parseCib, readCib, readCibFile } from "../discovery/cib.ts";
import { factsFrom } from "./facts.ts";
import type { Check } from "./finding.ts";
import { renderJson, renderText } from "./render.ts";
import { CHECKS, diagnose, EXITS, verdictOf } from "./run.ts";

const CIB_TIMEOUT_MS = 5_000;
const MAX_CIB_BYTES = 64 * 1024 * 1024;

const OPTIONS = {
  cib: {
    describe: "look at this CIB (- for stdin) instead of the running cluster's; this node is then not looked at",
    type: "string",
    requiresArg: true,
  },
  only: { describe: "these checks only, with commas between", type: "string", requiresArg: true },
  skip: { describe: "all but these checks", type: "string", requiresArg: true },
  "log-dir": { describe: "the recorder's log directory, whatever is configured", type: "string", requiresArg: true },
  log: { describe: "a detailed log of another node, for its version and clock", type: "string", requiresArg: true },
  json: { describe: "print JSON for programs", type: "boolean", default: false },
} as const satisfies Record<string, Options>;

const helpText = (): string => {
  const width = Math.max(...CHECKS.map(({ id }) => id.length));
  const list = (about: Check["about"]) =>
    CHECKS.filter((check) => check.about === about)
      .map(
        ({ id, severity, describe }) => `  ${id.padEnd(width)}  ${severity === "error" ? "(error) " : ""}${describe}`,
      )
      .join("\n");
  return (
    `Checks of the cluster's configuration:\n${list("cluster")}\n\nChecks of this node:\n${list("machine")}\n\n` +
    `Exit: ${EXITS.clean} clean (notes are no hazard) · ${EXITS.unsafe} data can be corrupted · ` +
    `${EXITS.warnings} other hazards · ${EXITS.unchecked} no hazard found, but something could not be checked · 64 wrong words`
  );
};

export async function runDoctor(context: ProgramContext, words: readonly string[], called: string): Promise<number> {
  const parser = createParser(context, called)
    .usage(
      `${called}\n\nFinds deployments of the recorder that could corrupt data or lose a record, and says what mends them.`,
    )
    .options(OPTIONS)
    .strict()
    .example(called, "this cluster and this node")
    .example(`${called} --cib cib.xml --json`, "a configuration before it is loaded")
    .example(`cibadmin -Q | ${called} --cib -`, "the same from stdin")
    .example(`${called} --only recorder-alone`, "what can corrupt data")
    .example(`${called} --log rabbit-2.jsonl`, "compare with another node's log")
    .epilog(helpText());
  if (words.some((word) => word === "--help" || word === "-h")) {
    await context.out(`${await parser.getHelp()}\n`);
    return 0;
  }
  // yargs takes a lone `-` for no value.
  const argv = await parser.parseAsync(
    words.map((word, at) => (word === "-" && words[at - 1] === "--cib" ? STDIN : word)),
  );
  const extra = argv._[0];
  if (extra !== undefined) throw usage(called, `unexpected word '${String(extra).slice(0, 100)}'`);
  const cibWord = last(argv.cib);
  const only = namesIn(argv.only, called);
  const skip = namesIn(argv.skip, called);
  const given = cibWord === undefined ? undefined : await readGiven(context, cibWord);
  let source = given ? (cibWord === STDIN || cibWord === "-" ? "stdin" : String(cibWord)) : "not read";
  const live = async (): Promise<Cib> => {
    const limits = { timeoutMs: CIB_TIMEOUT_MS };
    const from = (name: string, cib: Cib): Cib => {
      source = name;
      return cib;
    };
    return eitherCib(
      async () => from("running cluster", await readCib(context.host, limits)),
      async () => from("last copy on this node's disk", await readCibFile(context.host, limits)),
    )();
  };
  const facts = factsFrom({
    host: context.host,
    env: context.env,
    readCib: async () => given ?? (await live()),
    logDir: last(argv["log-dir"]),
    otherLogs: listOf(argv.log),
  });
  const diagnosis = await diagnose(facts, (check) => {
    if (only.length > 0 ? !only.includes(check.id) : given !== undefined && check.about === "machine") return false;
    return !skip.includes(check.id);
  });
  await context.out(
    argv.json === true ? renderJson(diagnosis, source) : renderText(diagnosis, context.terminal, source),
  );
  return EXITS[verdictOf(diagnosis)];
}

const STDIN = "\u0000-";

const usage = (called: string, why: string): OpsError =>
  new OpsError("usage", `${called}: ${why}`, { hint: `${called} --help` });

/** Where an option was given twice the last one counts. */
const last = (value: unknown): string | undefined => listOf(value).at(-1);
const listOf = (value: unknown): string[] => (value === undefined ? [] : [value].flat().map(String));

function namesIn(value: unknown, called: string): string[] {
  const names = listOf(value).flatMap((one) => one.split(",").filter(Boolean));
  const unknown = names.find((name) => !CHECKS.some(({ id }) => id === name));
  if (unknown !== undefined) throw usage(called, `no such check: '${unknown.slice(0, 100)}'`);
  return names;
}

/** A CIB that was named must be there and be one: nothing else was asked for. */
async function readGiven(context: ProgramContext, word: string): Promise<Cib> {
  const isStdin = word === STDIN || word === "-";
  const name = isStdin ? "stdin" : word;
  try {
    const text = isStdin ? await readStdin(context) : await readFileNamed(word);
    if (text === undefined) throw new OpsError("bad-input", "no such file");
    return parseCib(text);
  } catch (error) {
    throw new OpsError("bad-input", `--cib ${name}: ${reasonOf(error)}`, {
      cause: error,
      hint: "cibadmin -Q >cib.xml",
    });
  }
}

/** Links are followed: the user named it. */
async function readFileNamed(path: string): Promise<string | undefined> {
  const handle = await openToFollow(path);
  if (!handle) return undefined;
  try {
    const { size } = await handle.stat();
    if (size > MAX_CIB_BYTES) throw new OpsError("bad-input", `more than ${MAX_CIB_BYTES} bytes`);
    return (await readAt(handle, 0, size)).toString("utf8");
  } finally {
    await handle.close();
  }
}

async function readStdin({ stdin }: ProgramContext): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stdin()) {
    size += chunk.length;
    if (size > MAX_CIB_BYTES) throw new OpsError("bad-input", `more than ${MAX_CIB_BYTES} bytes`);
    chunks.push(chunk.slice());
  }
  return Buffer.concat(chunks).toString("utf8");
}
