/**
 * What the sub-commands of `fencepost gluster` share: words → options, a plan shown or run, JSON or text.
 * A command is a table entry: its words, options, examples and exit codes make its --help, its manual page and completions.
 * Errors: OpsError usage, unsafe (107), partial (10), privilege; those of the commands.
 */
import type { Options } from "yargs";
import { OpsError } from "../../../core/errors.ts";
import type { Host } from "../../../core/host.ts";
import { JOURNAL_DIRECTORY, newJournalId } from "../../../core/journal.ts";
import type { Plan } from "../../../core/plan.ts";
import type { ProgramContext } from "../../../core/program.ts";
import { escapeControl } from "../../../core/text.ts";
import { createParser } from "../../../core/words.ts";
import { planRecord, renderPlan, reportRecord } from "../../render.ts";
import { requireRoot, runNewPlan } from "../../run-plan.ts";
import { checkVolumeName, type Pool, readPool, type Volume } from "../state.ts";

export type Call = {
  context: ProgramContext;
  host: Host;
  /** The words that are no options. */
  words: readonly string[];
  args: Readonly<Record<string, unknown>>;
  /** For messages: `fencepost gluster heal`. */
  called: string;
  json: boolean;
  dryRun: boolean;
};

export type Command = {
  describe: string;
  /** In --help: `VOLUME [FILE…]`. */
  usage: string;
  /** How many words it takes, at least and at most. */
  takes: readonly [least: number, most: number];
  options?: Readonly<Record<string, Options>>;
  /** It changes something: it has --dry-run, and its plan goes through the journal. */
  changes: boolean;
  /** Words after the command's name, and what they do. */
  examples: readonly (readonly [words: string, what: string])[];
  exits: string;
  run: (call: Call) => Promise<number>;
};

/** Of whatever runs a plan. */
export const PLAN_EXITS =
  "0 done · 107 refused: data could be lost, or it could not be checked · 10 stopped halfway: fencepost journal · " +
  "64 wrong words · 124 not decided, or nothing moved, in time · 1 failed before anything was changed";

export async function runCommand(
  command: Command,
  context: ProgramContext,
  given: readonly string[],
  called: string,
): Promise<number> {
  const { describe, usage, takes, options = {}, changes, examples, exits } = command;
  const parser = createParser(context, called)
    .usage(`Usage: $0 ${usage}${usage === "" ? "" : " "}[options]\n\n${describe}.`)
    .options(options)
    .option("json", { describe: "one JSON object", type: "boolean" })
    .strictOptions();
  if (changes)
    parser.option("dry-run", { describe: "show exactly what would be run; change nothing", type: "boolean" });
  for (const [words, what] of examples) parser.example(`$0 ${words}`.trim(), what);
  parser.epilog(`Exit: ${exits}`);
  const wrong = (why: string): never => {
    throw new OpsError("usage", `${called}: ${why}`, { hint: `${called} --help` });
  };
  if (given.some((word) => word === "--help" || word === "-h")) {
    await context.out(`${await parser.getHelp()}\n`);
    return 0;
  }
  const args = await parser.parse([...given]);
  const words = args._.map(String);
  const surplus = words[takes[1]];
  if (surplus !== undefined) wrong(`unexpected '${escapeControl(surplus.slice(0, 100))}'`);
  if (words.length < takes[0]) wrong(`it takes ${usage}`);
  return command.run({
    context,
    host: context.host,
    words,
    args,
    called,
    json: args.json === true,
    dryRun: args["dry-run"] === true,
  });
}

/** Shows the plan, or runs it under the pool's lock. `id` names the journal; `prepare` writes what the steps take from disk. */
export async function carryOut(
  { context, called, json, dryRun }: Call,
  plan: Plan,
  id: string,
  prepare?: () => Promise<void>,
): Promise<number> {
  const { out } = context;
  if (dryRun) {
    await out(json ? `${JSON.stringify({ dry_run: true, plan: planRecord(plan) })}\n` : renderPlan(plan, "[DRY-RUN] "));
    return 0;
  }
  requireRoot(called);
  await prepare?.();
  const reports = await runNewPlan({ context, toStderr: json }, id, plan);
  if (json) await out(`${JSON.stringify({ plan: planRecord(plan), ...reportRecord(plan, id, reports) })}\n`);
  return 0;
}

export const journalId = (host: Host, what: string): string => newJournalId(host, `gluster-${what}`);

/** Where the step `backup` of that journal puts glusterd's configuration. */
export const backupFileOf = (id: string): string => `${JOURNAL_DIRECTORY}/${id}.glusterd.tar.gz`;

/** The pool, and the one volume of that name in it; what the other volumes have to heal is not asked. */
export async function readNamed(
  { host, called }: Call,
  word: string | undefined,
): Promise<{ pool: Pool; volume: Volume }> {
  const name = checkVolumeName(word ?? "");
  const pool = await readPool(host, (volume) => volume.name === name);
  const volume = pool.volumes.find((one) => one.name === name);
  if (volume) return { pool, volume };
  const known = pool.volumes.map((one) => one.name).join(", ") || "none";
  throw new OpsError("usage", `${called}: no volume ${name}; there are: ${known}`, { hint: "gluster volume list" });
}

/** Lines of text, none of which can do anything to a terminal; or one JSON object. */
export async function answer({ context, json }: Call, record: unknown, lines: readonly string[]): Promise<void> {
  await context.out(json ? `${JSON.stringify(record)}\n` : `${lines.map(escapeControl).join("\n")}\n`);
}

/** Columns of text, as wide as they need to be. */
export function columns(rows: readonly (readonly string[])[], indent = "  "): string[] {
  const widths = rows[0]?.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0))) ?? [];
  return rows.map((row) => `${indent}${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  ")}`.trimEnd());
}
