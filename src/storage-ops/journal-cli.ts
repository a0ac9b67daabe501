/**
 * `fencepost journal list|show|resume|undo`: operations that were begun, and what becomes of those that did not end.
 * Errors: OpsError usage, privilege; those of the steps that are gone on with.
 */
import { EXIT_CODES, OpsError } from "../core/errors.ts";
import { readJournal, readJournals } from "../core/journal.ts";
import type { ProgramContext } from "../core/program.ts";
import { escapeControl } from "../core/text.ts";
import { createParser } from "../core/words.ts";
import {
  entryRecord,
  isHalfUndone,
  isOpen,
  renderEntries,
  renderEntry,
  renderStepsLeft,
  reportRecord,
  stepsLeft,
} from "./render.ts";
import { requireRoot, resumeEntry, type Told, undoEntry } from "./run-plan.ts";

const VERBS = {
  list: "operations, oldest first",
  show: "one operation: its steps, what became of each, how it is undone",
  resume: "goes on where an operation stopped; what is done already is not done again",
  undo: "takes back what an operation did, last step first",
} as const;
type Verb = keyof typeof VERBS;

const LONG = `Every storage operation writes each of its steps into a journal (/var/lib/fencepost/journal, root's alone) before the
step runs. After a crash, a kill or a Ctrl-C a fresh process goes on from there, or takes back what was done. What must hold
before a step is read again right before it.`;

export async function runJournal(context: ProgramContext, words: readonly string[], called: string): Promise<number> {
  const { host, out, err } = context;
  const [first = ""] = words;
  const verb = Object.hasOwn(VERBS, first) ? (first as Verb) : undefined;
  if (verb === undefined) {
    const parser = createParser(context, called).usage(`Usage: $0 <command> [options]\n\n${LONG}`);
    for (const [name, describe] of Object.entries(VERBS)) parser.command(name, describe);
    parser.example("$0 list", "what was done and what did not end").strict();
    const args = await parser.parse([...words]);
    if (!args.help) throw new OpsError("usage", `${called}: which command?`, { hint: `${called} --help` });
    await out(`${await parser.getHelp()}\n`);
    return 0;
  }
  const takesId = verb !== "list";
  const name = `${called} ${verb}`;
  const parser = createParser(context, name)
    .usage(`Usage: $0${verb === "undo" ? " ID | --failed" : takesId ? " ID" : ""} [options]\n\n${VERBS[verb]}.`)
    .option("json", { describe: "one JSON object", type: "boolean" })
    .strictOptions();
  if (verb === "resume" || verb === "undo")
    parser.option("dry-run", {
      describe: "show what became of its steps and what would be run; change nothing",
      type: "boolean",
    });
  if (verb === "undo")
    parser
      .option("failed", {
        describe: "again everything whose undo was begun and did not come to its end, the newest first",
        type: "boolean",
      })
      .conflicts("failed", "dry-run")
      .example("$0 --failed", "what an undo could not take back yet");
  parser.example(takesId ? "$0 20261121T041500-gluster-node-add-1f2e" : "$0 --json", VERBS[verb]);
  const args = await parser.parse(words.slice(1));
  if (args.help) {
    await out(`${await parser.getHelp()}\n`);
    return 0;
  }
  const [id, ...extra] = args._.map(String);
  if (extra.length > 0 || (id !== undefined && !takesId))
    throw new OpsError("usage", `${name}: unexpected '${escapeControl(extra[0] ?? id ?? "")}'`, {
      hint: `${name} --help`,
    });
  if (args.failed && id !== undefined)
    throw new OpsError("usage", `${name}: --failed takes no ID`, { hint: `${name} --help` });
  requireRoot(name);
  const told = { context, toStderr: args.json === true };
  if (args.failed) return undoFailed(told);
  if (!takesId) {
    const { entries, problems } = await readJournals(host);
    for (const problem of problems) err(escapeControl(problem));
    await out(
      args.json ? `${JSON.stringify({ operations: entries.map(entryRecord), problems })}\n` : renderEntries(entries),
    );
    return problems.length > 0 ? 1 : 0;
  }
  if (id === undefined) throw new OpsError("usage", `${name}: which operation?`, { hint: "fencepost journal list" });
  const entry = await readJournal(host, id);
  if (verb !== "resume" && verb !== "undo") {
    await out(args.json ? `${JSON.stringify(entryRecord(entry))}\n` : renderEntry(entry));
    return 0;
  }
  if (entry.state === "running") {
    throw new OpsError("unsafe", `${id}: its process ${entry.process.pid} is still at work`, {
      hint: `fencepost journal show ${id}`,
    });
  }
  if (entry.state === "undone" || (verb === "resume" && !isOpen(entry))) {
    throw new OpsError("usage", `${id}: it is ${entry.state}: nothing to ${verb}`, {
      hint: `fencepost journal show ${id}`,
    });
  }
  if (args["dry-run"]) {
    const would_run = stepsLeft(entry, verb).map(({ step, argv }) => ({ id: step.id, command: argv ?? null }));
    await out(
      args.json
        ? `${JSON.stringify({ ...entryRecord(entry), would_run })}\n`
        : `${renderEntry(entry)}${renderStepsLeft(entry, verb)}`,
    );
    return 0;
  }
  const reports = await (verb === "resume" ? resumeEntry(told, entry) : undoEntry(told, entry));
  if (args.json) await out(`${JSON.stringify(reportRecord(entry.plan, id, reports))}\n`);
  return 0;
}

/** One after the other; one that still cannot be taken back keeps no other from it. Exit code: that of the first which could not. */
async function undoFailed(told: Told): Promise<number> {
  const { entries, problems } = await readJournals(told.context.host);
  for (const problem of problems) told.context.err(escapeControl(problem));
  const operations: object[] = [];
  let code = problems.length > 0 ? 1 : 0;
  const stop = new AbortController();
  for (const entry of entries.filter(isHalfUndone).reverse()) {
    if (stop.signal.aborted) break;
    try {
      operations.push(reportRecord(entry.plan, entry.id, await undoEntry({ ...told, stop }, entry)));
    } catch (error) {
      if (!(error instanceof OpsError)) throw error;
      told.context.err(`${escapeControl(error.message)}${error.hint ? `\ntry: ${error.hint}` : ""}`);
      operations.push({ ...reportRecord(entry.plan, entry.id, []), error: error.message });
      code ||= EXIT_CODES[error.kind][0];
    }
  }
  if (told.toStderr) await told.context.out(`${JSON.stringify({ operations, problems })}\n`);
  else if (operations.length === 0) await told.context.out("nothing is half taken back\n");
  return code;
}
