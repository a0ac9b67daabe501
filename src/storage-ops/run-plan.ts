/**
 * Runs a plan for an operator: one at a time, journaled, told line by line, stopped between steps by Ctrl-C or a terminal
 * that hangs up; a reader that goes away (`| head`) or a full disk under stdout does not end it half-way.
 * Input:  a plan or a journal's entry; the step kinds by operation.
 * Output: the lines of the steps and their progress; the reports. An operation that did not come to its end is thrown.
 * Errors: OpsError privilege, unsafe (another one is at work, or a guard refused), partial (something was changed), and
 *         the kind of the step that failed before anything was.
 */
import { OpsError, reasonOf } from "../core/errors.ts";
import { continueJournal, createJournal, type Journal, type JournalEntry, readJournal } from "../core/journal.ts";
import { type ApplyOptions, applyPlan, irreversibleStep, type Plan, type StepReport, undoPlan } from "../core/plan.ts";
import type { ProgramContext } from "../core/program.ts";
import { escapeControl } from "../core/text.ts";
import { withClusterLock } from "./cluster-lock.ts";
import { logOf, type OperationLog, openOperationLog } from "./operation-log.ts";
import { operationsOf } from "./operations.ts";
import { type StepView, showStep } from "./step-view.ts";

export function requireRoot(called: string): void {
  if (process.getuid?.() !== 0) throw new OpsError("privilege", `${called}: not root`, { hint: `sudo ${called}` });
}

/** `stop`: of several operations one after the other. */
export type Told = { context: ProgramContext; toStderr: boolean; stop?: AbortController };

export async function runNewPlan(told: Told, id: string, plan: Plan): Promise<StepReport[]> {
  return locked(told, id, plan, async (log) => {
    for (const warning of plan.warnings) {
      told.context.err(`⚠ ${escapeControl(warning)}`);
      await log.write("WARNING", escapeControl(warning));
    }
    return drive(told, log, plan, await createJournal(told.context.host, id, plan), applyPlan, "resume");
  });
}

export async function resumeEntry(told: Told, entry: JournalEntry): Promise<StepReport[]> {
  return locked(told, entry.id, entry.plan, async (log) => {
    const now = await unchanged(told, entry);
    return drive(told, log, now.plan, await continueJournal(told.context.host, now, "resume"), applyPlan, "resume");
  });
}

export async function undoEntry(told: Told, entry: JournalEntry): Promise<StepReport[]> {
  const stuck = irreversibleStep(entry.plan, (id) => entry.steps.get(id)?.state);
  if (stuck?.undo && "impossible" in stuck.undo) {
    throw new OpsError("unsafe", `${entry.id}: ${stuck.title}: cannot be taken back: ${stuck.undo.impossible}`, {
      hint: `fencepost journal show ${entry.id}`,
    });
  }
  return locked(told, entry.id, entry.plan, async (log) => {
    const now = await unchanged(told, entry);
    return drive(told, log, now.plan, await continueJournal(told.context.host, now, "undo"), undoPlan, "undo");
  });
}

/** Under the lock: somebody else may have gone on with it, or taken it back, since it was read. */
async function unchanged({ context }: Told, { id, state, undoAttempts }: JournalEntry): Promise<JournalEntry> {
  const now = await readJournal(context.host, id);
  if (now.state === state && now.undoAttempts === undoAttempts) return now;
  throw new OpsError("unsafe", `${id}: it is ${now.state} meanwhile, and was ${state}`, {
    hint: `fencepost journal show ${id}`,
  });
}

async function locked<T>(
  { context }: Told,
  journal: string,
  plan: Plan,
  work: (log: OperationLog) => Promise<T>,
): Promise<T> {
  const log = await openOperationLog(context.host, logOf(plan.operation), context.err);
  try {
    const places = await (await operationsOf(plan)).placesOf(plan, context.host);
    return await withClusterLock(context, { object: plan.object, journal, places }, () => work(log));
  } catch (error) {
    await log.write("ERROR", escapeControl(reasonOf(error)));
    throw error;
  } finally {
    await log.close();
  }
}

async function drive(
  { context, toStderr, stop = new AbortController() }: Told,
  log: OperationLog,
  plan: Plan,
  journal: Journal,
  work: (plan: Plan, options: ApplyOptions) => Promise<StepReport[]>,
  verb: "resume" | "undo",
): Promise<StepReport[]> {
  const tell = async (line: string, level: "INFO" | "SUCCESS" | "WARNING" | "ERROR" = "INFO"): Promise<void> => {
    const text = escapeControl(line);
    if (toStderr) context.err(text);
    else if (isHeard) await context.out(`${text}\n`).catch(unheard);
    await log.write(level, text);
  };
  let isHeard = true;
  const unheard = async (error: unknown): Promise<void> => {
    isHeard = false;
    await log.write("WARNING", `${escapeControl(reasonOf(error))}: told from here on in this log only`);
  };
  const undoing = work === undoPlan;
  const isWatched = context.terminal.isTerminal && !toStderr;
  let view: StepView | undefined;
  const onSignal = () => {
    context.err("stopping after this step; once more ends the program at once");
    stop.abort();
  };
  // A terminal that goes away says so twice: to the shell's group, and again once the shell has ended.
  const onHangUp = () => stop.abort();
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal).on("SIGHUP", onHangUp);
  try {
    await tell(`ℹ Journal: ${journal.id}`);
    const { kinds, hostFor } = await operationsOf(plan);
    const reports = await work(plan, {
      kinds,
      host: (await hostFor?.(plan, context.host)) ?? context.host,
      journal,
      signal: stop.signal,
      onStart: async (step) => {
        if (undoing) await tell(`ℹ Undo: ${step.title}`);
        else for (const line of step.before ?? [`ℹ ${step.title}`]) await tell(line);
        if (isWatched) view = await showStep(escapeControl(step.title));
      },
      onProgress: async ({ text }) => {
        if (!view) return tell(`  ${text}`);
        view.say(escapeControl(text));
        await log.write("INFO", escapeControl(text));
      },
      onEnd: async (step, report) => {
        await view?.end(!["failed", "unknown"].includes(report.status));
        view = undefined;
        if (report.status === "done" || report.status === "already") {
          for (const line of step.after ?? []) await tell(line, "SUCCESS");
        } else if (report.status === "undone" || report.status === "kept")
          await tell(`✓ ${report.status}: ${report.detail}`);
        else await tell(`✗ ${step.id}: ${report.status}: ${report.detail}`, "ERROR");
      },
    });
    const failure = failureOfRun(plan, journal, reports, verb);
    if (failure) throw failure;
    return reports;
  } finally {
    await view?.end(false);
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal).off("SIGHUP", onHangUp);
    await journal.close();
  }
}

/** Why it did not come to its end, if it did not: `partial` once anything was changed, also by a run before this one. */
export function failureOfRun(
  plan: Plan,
  { id, stateOf }: Pick<Journal, "id" | "stateOf">,
  reports: readonly StepReport[],
  verb: "resume" | "undo",
): OpsError | undefined {
  const bad = reports.find(({ status }) => !["done", "already", "undone", "kept"].includes(status));
  if (!bad) return undefined;
  const moved = verb === "resume" ? "done" : "undone";
  const changed =
    reports.some(({ halfway }) => halfway) ||
    plan.steps.some((step) => (step.destructive || step.undo) && stateOf(step.id) === moved);
  const kind = bad.kind === "unsafe" ? "unsafe" : changed || bad.kind === undefined ? "partial" : bad.kind;
  const what = bad.status === "skipped" ? bad.detail : `${bad.status}: ${bad.detail}`;
  return new OpsError(kind, `${plan.title}: ${bad.id}: ${what}`, { hint: `fencepost journal ${verb} ${id}` });
}
