/**
 * `verify`: is the record whole? --json: one problem a line, then one line with the counts. Exit 1 when something is wrong.
 */
import { OpsError, reasonOf } from "../../core/errors.ts";
import { listNames, readWhole, statOf } from "../../core/files.ts";
import { isAlive, type ProcessIdentity } from "../../core/process-identity.ts";
import type { ProgramContext } from "../../core/program.ts";
import { type Block, readFileBlocks, readStreamBlocks } from "../../core/streams.ts";
import { counted, showNumber } from "../../core/text.ts";
import type { AnalyzeCommand } from "../command.ts";
import { decodeLine, isEvent } from "../decode.ts";
import { type Filters, matchesEvent } from "../filter.ts";
import { type Chain, type Inputs, SPOOL_DIRECTORIES } from "../inputs.ts";
import { loneOutcomes } from "../lone-outcomes.ts";
import { type Logs, openLogs } from "../read.ts";
import { visible } from "../report/words.ts";
import { duplicateIds, lineChecker, type Problem, rotationGaps } from "../verify.ts";
import { wrapText } from "../wrap.ts";

const EXIT_PROBLEMS = 1;
const MAX_ENTRY_BYTES = 1024 * 1024;
const COLLECT_ABOVE_BYTES = 70 * 1024 * 1024;
/** Past this many of one kind only the count goes on. */
const SHOWN_OF_A_KIND = 20;

export const verify: AnalyzeCommand = {
  command: "verify [files..]",
  describe:
    "Checks that the record is whole: every line against the format, recorded_ms never falling, each event_id once, no rotated file missing, nothing left unfinished in .intents or waiting in the spool, no outcome without its event. Exit 1 when something is wrong. With filters, what is wrong with other events is not told; a line that is no event, a missing file and what cannot be read always are.",
  filters: ["node", "action", "status", "fs", "recorder", "source", "since", "until", "grep"],
  examples: [
    ["verify", "the recorder's log on this node"],
    ["verify /srv/collected/rabbit-node-1", "a copy"],
    ["verify --json | jq -r '.kind // empty' | sort | uniq -c", "kinds of problems"],
  ],
  async run(context, args) {
    const { filters } = args;
    const logs = await openLogs(context, args.files, filters);
    const { inputs } = logs;
    const shown = new Map<string, number>();
    let problems = 0;
    const report = async (found: readonly Problem[]) => {
      for (const problem of found) {
        problems += 1;
        const { kind, evidence, text } = problem;
        if (args.json) {
          await context.out(`${JSON.stringify({ kind, file: evidence.file, line: evidence.line, text })}\n`);
          continue;
        }
        const before = shown.get(kind) ?? 0;
        shown.set(kind, before + 1);
        const place = evidence.line === 0 ? evidence.file : `${evidence.file}:${evidence.line}`;
        if (before < SHOWN_OF_A_KIND)
          await context.out(wrapText(visible(`${place}: ${kind}: ${text}`), context.terminal.columns, 2));
      }
    };
    const totals = await checkLogs(context, inputs, filters, report);
    Bun.gc(true); // what half a million ids took, before the join takes its room
    await report(await pendingProblems(context, inputs, filters));
    if (!inputs.onlyOnce) await reportLoneOutcomes(logs, report);
    if (args.json) await context.out(`${JSON.stringify({ problems, ...totals })}\n`);
    else {
      for (const [kind, count] of shown)
        if (count > SHOWN_OF_A_KIND) await context.out(`${kind}: ${showNumber(count - SHOWN_OF_A_KIND)} more\n`);
      const verdict = problems === 0 ? "nothing wrong" : counted(problems, "problem");
      await context.out(
        `${verdict}: ${counted(totals.events, "event")} in ${counted(totals.lines, "line")}, ${counted(totals.files, "file")}\n`,
      );
    }
    return problems === 0 ? 0 : EXIT_PROBLEMS;
  },
};

type Report = (found: readonly Problem[]) => Promise<void>;

async function checkLogs(
  context: ProgramContext,
  { events, outcomes }: Inputs,
  filters: Filters,
  report: Report,
): Promise<{ logs: number; files: number; lines: number; events: number }> {
  const totals = { logs: 0, files: 0, lines: 0, events: 0 };
  const ids = duplicateIds();
  for (const chain of new Set([...events, ...outcomes])) {
    totals.logs += 1;
    totals.files += chain.files.length;
    // Rotation keeps one log in order; an id may stand in a log once, whichever of its files.
    const checker = lineChecker(ids, filters);
    await report(
      rotationGaps(
        chain.name,
        chain.files.map(({ path }) => path),
      ),
    );
    await checkChain(context, chain, checker, report);
    const counts = checker.counts();
    totals.lines += counts.lines;
    totals.events += counts.events;
  }
  return totals;
}

async function checkChain(
  context: ProgramContext,
  chain: Chain,
  checker: ReturnType<typeof lineChecker>,
  report: Report,
): Promise<void> {
  for (const { path, compression } of chain.files) {
    const file = path === "-" ? "<stdin>" : path;
    let number = 0;
    try {
      const blocks = path === "-" ? readStreamBlocks(context.stdin()) : readFileBlocks(path, compression);
      for await (const block of blocks) {
        const found: Problem[] = [];
        number = checkBlock(block, file, number, checker, found);
        if (found.length > 0) await report(found);
        // As read.ts does, and for its reason: a block is a megabyte of decoded lines.
        if (process.memoryUsage.rss() > COLLECT_ABOVE_BYTES) Bun.gc(true);
      }
    } catch (error) {
      if (error instanceof OpsError && error.kind !== "bad-input" && error.kind !== "io") throw error;
      await report([{ kind: "unreadable", evidence: { file, line: number }, text: reasonOf(error) }]);
    }
  }
}

function checkBlock(
  block: Block,
  file: string,
  lineBefore: number,
  checker: ReturnType<typeof lineChecker>,
  found: Problem[],
): number {
  let number = lineBefore;
  if (block.kind === "oversize") {
    number += 1;
    found.push(...checker.skip(block.length, { file, line: number }));
    return number;
  }
  for (let from = block.from; from < block.to; ) {
    const end = block.bytes.indexOf(0x0a, from);
    const whole = end !== -1 && end < block.to;
    const to = whole ? end : block.to;
    number += 1;
    // The mark some editors put first is no part of the line.
    const text = block.bytes.toString("utf8", from, to).replace(/\r$/, "");
    found.push(...checker.line(number === 1 ? text.replace(/^\ufeff/, "") : text, { file, line: number }, whole));
    from = to + 1;
  }
  return number;
}

/** What is not in the log yet: intents whose recorder is gone, and events that wait for their log. */
async function pendingProblems(
  { host }: ProgramContext,
  { directories, isDefault }: Inputs,
  filters: Filters,
): Promise<Problem[]> {
  const problems: Problem[] = [];
  const places = [
    ...directories.map((directory) => ({ directory: `${directory}/.intents`, kind: "unfinished" as const })),
    ...(isDefault ? SPOOL_DIRECTORIES.map((directory) => ({ directory, kind: "spooled" as const })) : []),
  ];
  for (const { directory, kind } of places) {
    let names: string[];
    try {
      names = await listNames(directory);
    } catch (error) {
      problems.push({ kind: "unreadable", evidence: { file: directory, line: 0 }, text: reasonOf(error) });
      continue;
    }
    for (const name of names) {
      const file = `${directory}/${name}`;
      if (name === "overflow") {
        const turnedAway = ((await readWhole(file, 64).catch(() => undefined)) ?? "?").trim();
        problems.push({
          kind: "spooled",
          evidence: { file, line: 0 },
          text: `the spool was full: ${turnedAway} events turned away`,
        });
        continue;
      }
      if (!name.endsWith(".json")) continue;
      const problem = await pendingProblem(host, file, kind, filters);
      if (problem) problems.push(problem);
    }
  }
  return problems;
}

async function pendingProblem(
  host: ProgramContext["host"],
  file: string,
  kind: "unfinished" | "spooled",
  filters: Filters,
): Promise<Problem | undefined> {
  const evidence = { file, line: 0 };
  try {
    const text = await readWhole(file, MAX_ENTRY_BYTES);
    if (text === undefined) return undefined; // finished while we looked
    const { owner, complete, event } = JSON.parse(text) as {
      owner?: ProcessIdentity;
      complete?: boolean;
      event?: Record<string, unknown>;
    };
    if (owner !== undefined && isAlive(host, owner)) return undefined;
    const decoded = decodeLine(JSON.stringify(event ?? null), evidence);
    if (isEvent(decoded) && !matchesEvent(filters, decoded)) return undefined;
    const what = `${String(event?.action ?? "?")} of ${String(event?.target_node ?? "?")} at ${String(event?.timestamp ?? "?")}`;
    return {
      kind,
      evidence,
      text: `${what}: ${complete === true ? "waits to be written" : "its recorder died before it had finished"}`,
    };
  } catch (error) {
    const there = await statOf(file).catch(() => undefined);
    return there && { kind: "unreadable", evidence, text: reasonOf(error) };
  }
}

/** An alert told how a fence ended that no recorder wrote down. */
async function reportLoneOutcomes(logs: Logs, report: Report): Promise<void> {
  const { inputs } = logs;
  if (inputs.outcomes.length === 0 || inputs.events.every((chain) => inputs.outcomes.includes(chain))) return;
  for await (const { outcome, action, isCertain } of loneOutcomes(logs)) {
    const { target, status, evidence } = outcome;
    const why = isCertain ? "no recorder wrote down this fence" : "no event of this fence stands near it in the log";
    await report([{ kind: "no-event", evidence, text: `${action} of ${target} ${status}: ${why}` }]);
  }
}
