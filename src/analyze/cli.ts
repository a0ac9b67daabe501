/**
 * `fencepost analyze SUBCOMMAND [FILE…]`, also called as `fencepost-analyze`: words → options → the subcommand's module.
 * Errors: OpsError usage for words that are not understood.
 */
import type { Argv, Options } from "yargs";
import { OpsError } from "../core/errors.ts";
import type { ProgramContext } from "../core/program.ts";
import { createParser, helpColumns } from "../core/words.ts";
import type { AnalyzeArgs, AnalyzeCommand } from "./command.ts";
import { type FilterName, type FilterWords, parseFilters } from "./filter.ts";
import { wrapText } from "./wrap.ts";

type Listed = { name: string; describe: string; load: () => Promise<AnalyzeCommand> };

const COMMANDS: readonly Listed[] = [
  {
    name: "events",
    describe: "show the events that match",
    load: async () => (await import("./commands/events.ts")).events,
  },
  {
    name: "count",
    describe: "count events by one field or several",
    load: async () => (await import("./commands/count.ts")).count,
  },
  {
    name: "nodes",
    describe: "every node that was fenced: how often, when last",
    load: async () => (await import("./commands/nodes.ts")).nodes,
  },
  {
    name: "filesystems",
    describe: "every GFS2 filesystem that fences touched",
    load: async () => (await import("./commands/filesystems.ts")).filesystems,
  },
  {
    name: "timeline",
    describe: "events by hour, day, week or month, with bars",
    load: async () => (await import("./commands/timeline.ts")).timeline,
  },
  {
    name: "report",
    describe: "one HTML page with pictures and every incident",
    load: async () => (await import("./commands/report.ts")).report,
  },
  {
    name: "export",
    describe: "events as csv, json, ndjson or for a search engine",
    load: async () => (await import("./commands/export.ts")).exportCommand,
  },
  {
    name: "incidents",
    describe: "one line a fence: its lines and its outcome joined",
    load: async () => (await import("./commands/incidents.ts")).incidents,
  },
  {
    name: "why",
    describe: "one page about a fence: cause, devices, result, GFS2",
    load: async () => (await import("./commands/why.ts")).why,
  },
  {
    name: "patterns",
    describe: "flapping nodes, storms, mutual fencing, slow devices",
    load: async () => (await import("./commands/patterns.ts")).patterns,
  },
  {
    name: "tail",
    describe: "follow the log, through rotation and truncation",
    load: async () => (await import("./commands/tail.ts")).tail,
  },
  {
    name: "verify",
    describe: "is the record whole?",
    load: async () => (await import("./commands/verify.ts")).verify,
  },
  {
    name: "reconcile",
    describe: "the record against Pacemaker's fencing history",
    load: async () => (await import("./commands/reconcile.ts")).reconcile,
  },
];

const FILTER_OPTIONS = {
  node: { describe: "target node; exact or a glob, in any case", type: "string" },
  action: { describe: "on, off or reboot", type: "string" },
  status: {
    describe:
      "initiated, refused; of a gate requested, completed, failed; of outcomes succeeded, failed; unknown where a line has none",
    type: "string",
  },
  fs: { describe: "GFS2 filesystem; exact or a glob; or none, unknown, disabled", type: "string" },
  recorder: { describe: "node whose recorder wrote it", type: "string" },
  source: { describe: "stonith, alert, reconcile, manual, original, readable", type: "string" },
  since: { describe: "90m, 2h, yesterday, 2025-01, 2025-01-10, 2025-01-10T14:00, epoch", type: "string" },
  until: { describe: "the same; a month, day or second named is included", type: "string" },
  grep: { describe: "regular expression that the line must match", type: "string" },
  limit: { describe: "at most so many events or rows", type: "string" },
  reverse: { describe: "newest first; rows turned round", type: "boolean" },
} as const satisfies Record<FilterName, Options>;
const FILTER_NAMES = Object.keys(FILTER_OPTIONS) as FilterName[];

const COMMON_OPTIONS = {
  json: { describe: "print JSON for programs", type: "boolean", default: false },
  strict: { describe: "lines that are no events are an error", type: "boolean", default: false },
} as const satisfies Record<string, Options>;

const INPUT =
  "FILE: logs, directories, globs, compressed or rotated, - for stdin; without any the recorder's log directory " +
  "($LOG_DIR, /var/log/gfs2-fencing) with what waits in its spool.";
const EXIT_CODES_HELP =
  "Exit: 0 done · 1 verify, reconcile: something is wrong · 64 wrong words · 65 no such log, one cut while it was read, or bad lines with --strict · " +
  "69 a tool is missing, or the fencer cannot be asked · 74 a file cannot be read · 76 --history: no fencing history · " +
  "107 report, export: a name that is no regular file · 124 no answer in time";

/** `called` is how the user writes our name: `fencepost analyze` or `fencepost-analyze`. */
export async function runAnalyze(context: ProgramContext, words: readonly string[], called: string): Promise<number> {
  const [word] = words;
  if (word === undefined || word === "--help" || word === "-h" || word === "help") {
    await context.out(await helpForAll(context, called));
    return 0;
  }
  const listed = COMMANDS.find(({ name }) => name === word);
  if (!listed) {
    throw new OpsError("usage", `${called}: unknown subcommand '${word.slice(0, 100)}'`, { hint: `${called} --help` });
  }
  const command = await listed.load();
  const name = `${called} ${listed.name}`;
  const parser = parserFor(command, name, context);
  // A required word is not asked for when help is.
  const end = words.indexOf("--");
  if (words.slice(1, end === -1 ? undefined : end).some((given) => given === "--help" || given === "-h")) {
    await context.out(await helpOf(parser, command, called, context));
    return 0;
  }
  const parsed = await parser.parseAsync(words.slice(1).map((given) => (given === "-" ? STDIN_WORD : given)));
  const argv = Object.fromEntries(Object.entries(parsed).map(([key, value]) => [key, withStdin(value)]));
  if (argv.help === true) {
    await context.out(await helpOf(parser, command, called, context));
    return 0;
  }
  return (await command.run(context, await argsFrom(argv, context, command.statuses))) ?? 0;
}

/** yargs 18 drops a lone `-` from the positionals, so it travels under another name. */
const STDIN_WORD = "\u0000-";

function withStdin(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withStdin);
  return value === STDIN_WORD ? "-" : value;
}

async function helpForAll(context: ProgramContext, called: string): Promise<string> {
  let parser = createParser(context, called).usage(
    `${called} SUBCOMMAND [FILE…]\n\nAnswers questions about recorded fence events.`,
  );
  for (const { name, describe } of COMMANDS) parser = parser.command(name, describe);
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

function parserFor(command: AnalyzeCommand, name: string, context: ProgramContext): Argv {
  const filterNames = command.filters ?? FILTER_NAMES;
  const [, ...positionals] = command.command.split(" ");
  const words = positionals
    .join(" ")
    .replace("[files..]", "[FILE…]")
    .replace(/<([\w-]+)>/g, (_, word: string) => word.toUpperCase());
  return createParser(context, name)
    .usage(`${name}${words === "" ? "" : ` ${words}`}\n\n${command.describe}`)
    .command(["$0", ...positionals].join(" "), false, (inner) => {
      let result = inner;
      for (const [positional, options] of Object.entries(command.positionals ?? {})) {
        result = result.positional(positional, { type: "string", ...options });
      }
      return positionals.includes("[files..]")
        ? result.positional("files", { type: "string", array: true, default: [] }).hide("files")
        : result;
    })
    .options({ ...(command.options ?? {}) })
    .options(Object.fromEntries(filterNames.map((filter) => [filter, FILTER_OPTIONS[filter]])))
    .options(command.statuses ? { status: { type: "string", describe: command.statuses.join(", ") } } : {})
    .options(COMMON_OPTIONS)
    .group([...filterNames], "Which events:")
    .strict();
}

/**
 * One value, several of the option, or several in one with commas between (not those of a glob's braces). No name has a
 * blank beside a comma: `a, b` are two names, and ` b` would find nothing.
 */
function listOf(argv: Readonly<Record<string, unknown>>, name: FilterName): string[] {
  const value = argv[name];
  const values = value === undefined ? [] : Array.isArray(value) ? value : [value];
  return values.flatMap((one) => {
    const text = String(one)
      .replace(/\s*,\s*/g, ",")
      .replace(/(?<=\{)\s+|\s+(?=\})/g, "")
      .trim();
    return text.match(/(?:\{[^}]*\}|[^,{]|\{)+/g) ?? withoutValue(name);
  });
}

/** `--node "$UNSET"` asks for something: to show everything would answer another question. */
function withoutValue(name: FilterName): never {
  throw new OpsError("usage", `--${name}: no value given`, { hint: `leave out --${name} to have all` });
}

/** Where an option was given twice the last one counts. */
function lastOf(argv: Readonly<Record<string, unknown>>, name: FilterName): string | undefined {
  const value = argv[name];
  const last: unknown = Array.isArray(value) ? value.at(-1) : value;
  if (last === undefined) return undefined;
  return String(last).trim() === "" ? withoutValue(name) : String(last);
}

async function argsFrom(
  argv: Readonly<Record<string, unknown>>,
  context: ProgramContext,
  statuses: AnalyzeCommand["statuses"],
): Promise<AnalyzeArgs> {
  const limit = lastOf(argv, "limit");
  const words: FilterWords = {
    node: listOf(argv, "node"),
    action: listOf(argv, "action"),
    status: listOf(argv, "status"),
    fs: listOf(argv, "fs"),
    recorder: listOf(argv, "recorder"),
    source: listOf(argv, "source"),
    since: lastOf(argv, "since"),
    until: lastOf(argv, "until"),
    grep: lastOf(argv, "grep"),
    limit: limit === undefined ? undefined : Number(limit),
    reverse: argv.reverse === true,
  };
  return {
    // What stands behind `--` is no positional to yargs.
    files: [argv.files ?? [], argv._ ?? []].flat().map(String),
    json: argv.json === true,
    strict: argv.strict === true,
    filters: await parseFilters(words, context.host.now(), statuses),
    own: argv,
  };
}
