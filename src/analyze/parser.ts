/**
 * The words of a subcommand as yargs understands them, and its help.
 * Errors: OpsError usage for words that are not understood.
 */
import type { Argv, Options } from "yargs";
import type { ProgramContext } from "../core/program.ts";
import { createParser, helpColumns } from "../core/words.ts";
import type { AnalyzeCommand } from "./command.ts";
import type { FilterName } from "./filter.ts";
import { wrapText } from "./wrap.ts";

export type Subcommand = {
  command: AnalyzeCommand;
  /** All that it understands. */
  options: Readonly<Record<string, Options>>;
  filterNames: readonly FilterName[];
};

const INPUT =
  "FILE: logs, directories, globs, compressed or rotated, - for stdin; without any the recorder's log directory " +
  "($LOG_DIR, /var/log/gfs2-fencing) with what waits in its spool.";
const EXIT_CODES_HELP =
  "Exit: 0 done · 1 verify, reconcile: something is wrong · 64 wrong words · 65 no such log, one cut while it was read, or bad lines with --strict · " +
  "69 a tool is missing, or the fencer cannot be asked · 74 a file cannot be read · 76 --history: no fencing history · " +
  "107 report, export: a name that is no regular file · 124 no answer in time";

/** Undefined when help was asked for, and printed. `called` is how the user writes our name, `name` the subcommand's. */
export async function parseWords(
  context: ProgramContext,
  { words, called, name }: { words: readonly string[]; called: string; name: string },
  subcommand: Subcommand,
): Promise<Record<string, unknown> | undefined> {
  const parser = parserFor(subcommand, `${called} ${name}`, context);
  const help = async () => context.out(await helpOf(parser, subcommand.command, called, context));
  // A required word is not asked for when help is.
  const end = words.indexOf("--");
  if (words.slice(0, end === -1 ? undefined : end).some((given) => given === "--help" || given === "-h")) {
    await help();
    return undefined;
  }
  const parsed = await parser.parseAsync(words.map((given) => (given === "-" ? STDIN_WORD : given)));
  const argv = Object.fromEntries(Object.entries(parsed).map(([key, value]) => [key, withStdin(value)]));
  if (argv.help !== true) return argv;
  await help();
  return undefined;
}

/** yargs 18 drops a lone `-` from the positionals, so it travels under another name. */
const STDIN_WORD = "\u0000-";

function withStdin(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withStdin);
  return value === STDIN_WORD ? "-" : value;
}

/** `listed`: the subcommands. */
export async function helpForAll(
  context: ProgramContext,
  called: string,
  listed: readonly { name: string; describe: string }[],
): Promise<string> {
  let parser = createParser(context, called).usage(
    `${called} SUBCOMMAND [FILE…]\n\nAnswers questions about recorded fence events.`,
  );
  for (const { name, describe } of listed) parser = parser.command(name, describe);
  const examples = [
    ["events --node compute-node-3 --since 2h", "what happened to a node"],
    ["count --by action", "how often each action"],
    ["SUBCOMMAND --help", "options and examples of one"],
  ] as const;
  return helpOf(parser, { examples }, called, context);
}

/** yargs would break the commands of examples in the middle; here they stay on one line, to be copied. */
async function helpOf(
  parser: Argv,
  { examples }: Pick<AnalyzeCommand, "examples">,
  called: string,
  { terminal }: Pick<ProgramContext, "terminal">,
): Promise<string> {
  const columns = helpColumns(terminal);
  const commands = examples.map(([line]) => `  ${called} ${line}`);
  const start = Math.min(Math.max(...commands.map(({ length }) => length)) + 2, Math.floor(columns / 2) + 4);
  const rows = examples.map(([, what], index) => {
    const command = commands[index] ?? "";
    const isShort = command.length + 2 <= start;
    const text = wrapText(what, columns, start, isShort ? command.padEnd(start) : " ".repeat(start));
    return isShort ? text : `${command}\n${text}`;
  });
  const notes = wrapText(INPUT, columns, 6) + wrapText(EXIT_CODES_HELP, columns, 0);
  return `${await parser.getHelp()}\n\nExamples:\n${rows.join("")}\n${notes}`;
}

function parserFor({ command, options, filterNames }: Subcommand, name: string, context: ProgramContext): Argv {
  const [, ...positionals] = command.command.split(" ");
  const words = positionals
    .join(" ")
    .replace("[files..]", "[FILE…]")
    .replace(/<([\w-]+)>/g, (_, word: string) => word.toUpperCase());
  return createParser(context, name)
    .usage(`${name}${words === "" ? "" : ` ${words}`}\n\n${command.describe}`)
    .command(["$0", ...positionals].join(" "), false, (inner) => {
      let result = inner;
      for (const [positional, about] of Object.entries(command.positionals ?? {})) {
        result = result.positional(positional, { type: "string", ...about });
      }
      return positionals.includes("[files..]")
        ? result.positional("files", { type: "string", array: true, default: [] }).hide("files")
        : result;
    })
    .options({ ...options })
    .group([...filterNames], "Which events:")
    .strict();
}
