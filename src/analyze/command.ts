/**
 * What a subcommand is: a module of `commands/`, loaded only when it is called. `cli.ts` lists them.
 */
import type { Options, PositionalOptions } from "yargs";
import type { ProgramContext } from "../core/program.ts";
import { counted } from "../core/text.ts";
import { reportBadLines } from "./bad-lines.ts";
import type { FilterName, Filters } from "./filter.ts";
import { reportMisplaced } from "./order.ts";
import { type Logs, openLogs } from "./read.ts";

export type AnalyzeArgs = {
  /** The FILE arguments. */
  files: readonly string[];
  json: boolean;
  /** Bad lines are an error. */
  strict: boolean;
  /** From the filter options. */
  filters: Filters;
  /** The subcommand's own options and positionals, under their names in kebab-case. */
  own: Readonly<Record<string, unknown>>;
};

export type AnalyzeCommand = {
  /** Positionals in yargs' form, `[files..]` last where it has them: `why <node> [files..]`. */
  command: string;
  describe: string;
  /** The filters that it has, where it does not have all. */
  filters?: readonly FilterName[];
  /** What --status can name, where that is not what lines hold. */
  statuses?: readonly string[];
  /** Its own options; the filters, --json, --strict and --help are there already. */
  options?: Readonly<Record<string, Options>>;
  positionals?: Readonly<Record<string, PositionalOptions>>;
  examples: readonly (readonly [command: string, what: string])[];
  /** The exit code, 0 when nothing is returned. */
  run: (context: ProgramContext, args: AnalyzeArgs) => Promise<number | undefined>;
};

/** Opens the logs that were asked for, lets `work` read them, and says at the end which lines were no events, or astray. */
export async function withLogs<T>(
  context: ProgramContext,
  args: AnalyzeArgs,
  work: (logs: Logs) => Promise<T>,
): Promise<T> {
  const logs = await openLogs(context, args.files, args.filters, args.strict);
  const result = await work(logs);
  reportBadLines(logs.bad, { strict: args.strict, err: context.err });
  reportMisplaced(logs.misplaced, context.err);
  return result;
}

/** For sums: --limit and --reverse are about their rows, so all events are counted. */
export const withAllEvents = (args: AnalyzeArgs): AnalyzeArgs => ({
  ...args,
  filters: { ...args.filters, limit: undefined, reverse: false },
});

/** The rows to show, and for a person how many more there are. */
export function shownRows<T>(
  all: readonly T[],
  { limit, reverse }: Pick<Filters, "limit" | "reverse">,
): { rows: readonly T[]; more: string } {
  const rows = (reverse ? all.toReversed() : all).slice(0, limit);
  const left = all.length - rows.length;
  return { rows, more: left === 0 ? "" : `; ${counted(left, "more row")} beyond --limit` };
}
