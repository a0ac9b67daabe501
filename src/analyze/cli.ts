/**
 * `fencepost analyze SUBCOMMAND [FILE…]`, also called as `fencepost-analyze`: words → options → the subcommand's module.
 * Errors: OpsError usage for words that are not understood.
 */
import type { Options } from "yargs";
import { OpsError } from "../core/errors.ts";
import type { ProgramContext } from "../core/program.ts";
import type { AnalyzeArgs, AnalyzeCommand } from "./command.ts";
import { type FilterName, type FilterWords, parseFilters } from "./filter.ts";
import type { Subcommand } from "./parser.ts";
import { plainWords } from "./plain-words.ts";

type Listed = { name: string; describe: string; load: () => Promise<AnalyzeCommand> };

export const COMMANDS: readonly Listed[] = [
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

/** `called` is how the user writes our name: `fencepost analyze` or `fencepost-analyze`. */
export async function runAnalyze(context: ProgramContext, words: readonly string[], called: string): Promise<number> {
  const [word] = words;
  if (word === undefined || word === "--help" || word === "-h" || word === "help") {
    const { helpForAll } = await import("./parser.ts");
    await context.out(await helpForAll(context, called, COMMANDS));
    return 0;
  }
  const listed = COMMANDS.find(({ name }) => name === word);
  if (!listed) {
    throw new OpsError("usage", `${called}: unknown subcommand '${word.slice(0, 100)}'`, { hint: `${called} --help` });
  }
  const command = await listed.load();
  const given = words.slice(1);
  const subcommand = withOptions(command);
  const own =
    plainWords(given, command.command, subcommand.options) ??
    (await (await import("./parser.ts")).parseWords(context, { words: given, called, name: listed.name }, subcommand));
  if (!own) return 0;
  return (await command.run(context, await argsFrom(own, context, command.statuses))) ?? 0;
}

/** With all the options that it understands. */
export function withOptions(command: AnalyzeCommand): Subcommand {
  const filterNames = command.filters ?? FILTER_NAMES;
  const options = {
    ...command.options,
    ...Object.fromEntries(filterNames.map((filter) => [filter, FILTER_OPTIONS[filter]])),
    ...(command.statuses && { status: { type: "string" as const, describe: command.statuses.join(", ") } }),
    ...COMMON_OPTIONS,
  };
  return { command, options, filterNames };
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
