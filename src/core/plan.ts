/**
 * A plan is data: the exact words of every step, in order, with how to tell that it is done and how it is undone. Pure
 * planners make it, the dry run prints it, applyPlan runs it, the journal keeps it for a fresh process to go on with.
 * Input:  a Plan, its Journal, the StepKinds of whoever made it (a step names its kind; no code is kept in a journal).
 * Output: StepReports, one a step. What may go wrong in a step is in its report.
 * Errors: OpsError unsupported for a plan of another version or kind; io when the journal cannot be written.
 */
import { type ErrorKind, OpsError, reasonOf } from "./errors.ts";
import { type Argv, failureOf } from "./exec.ts";
import type { Host } from "./host.ts";
import type { Journal, StepState } from "./journal.ts";

export const PLAN_VERSION = 1;

export type StepData = Readonly<Record<string, string | number | boolean | readonly string[]>>;

export type Step = {
  /** Unique in its plan. */
  id: string;
  /** Which of the caller's StepKinds knows when it is done and when it must not run. */
  kind: string;
  title: string;
  argv: Argv;
  timeoutMs: number;
  /** It cannot be taken back by running it again: named before it runs, its guard is read right before it. */
  destructive: boolean;
  /** After the command the step is not over until its kind says so: a heal, a rebalance. */
  waits: boolean;
  /** Of one that waits: giving the command again does no harm, so it is given again while there is something to do. */
  repeats?: boolean;
  /** For people: what is read to tell that it is done. */
  doneWhen: string;
  /** For people: what must hold right before it runs; undefined when nothing need. */
  requires?: string;
  /** The words that take it back; a sentence where nothing can; undefined when nothing need be taken back. */
  undo?: { argv: Argv; timeoutMs: number } | { impossible: string };
  data: StepData;
  /** Lines shown before and after it, as the commands have always printed them. */
  before?: readonly string[];
  after?: readonly string[];
};

export type Plan = {
  version: typeof PLAN_VERSION;
  /** `gluster.node-add`: who knows its kinds. */
  operation: string;
  title: string;
  /** What is changed, and locked while it is. */
  object: string;
  warnings: readonly string[];
  /** Lines that show what there is and what there will be. */
  picture: readonly string[];
  steps: readonly Step[];
};

/** How the world stands to a step. `working`: on its way, ask again; `unknown`: could not be asked, or not decided. */
export type Standing = {
  state: "done" | "todo" | "working" | "unknown";
  detail: string;
  /** What is left to do, in units of its own: for rate, time left and the notice that nothing moves. */
  remaining?: number;
  /** Something is at work that ends by itself and gives no number: it does not stall. */
  moves?: boolean;
  /** How much was done by what is at work: while this is more than ever it does not stall, whatever is left. */
  progress?: number;
  /** Of `todo`: nothing is at work on what is left. */
  idle?: boolean;
  /** Of `todo`: part of it is done already. */
  halfway?: boolean;
  /** How long what is at work may show no movement, where that is longer than usual: one big file is moved in one piece. */
  quietMs?: number;
  /** The time left, where somebody else reckons it. */
  leftMs?: number;
};

export type StepKind = {
  standing: (step: Step, host: Host) => Promise<Standing>;
  /** Throws OpsError unsafe when the step must not run now. */
  guard?: (step: Step, host: Host) => Promise<void>;
  guardUndo?: (step: Step, host: Host) => Promise<void>;
  /**
   * Of a step that repeats: what is done besides when its command was given again and again and all is still idle. `before`:
   * how often it was done in vain.
   */
  otherwise?: (step: Step, host: Host, before: number) => Promise<void>;
};
export type StepKinds = Readonly<Record<string, StepKind>>;

export type StepReport = {
  id: string;
  status: "planned" | "done" | "already" | "failed" | "unknown" | "skipped" | "undone" | "kept";
  detail: string;
  /** Of a failure: what main.ts makes the exit code of. */
  kind?: ErrorKind;
  /** Of what is not done: part of it is. */
  halfway?: boolean;
};

export type Progress = { step: Step; text: string };

export type ApplyOptions = {
  kinds: StepKinds;
  host: Host;
  journal: Journal;
  /** Aborted when the operator wants it to stop: then between two steps, or while one waits. */
  signal?: AbortSignal;
  onStart?: (step: Step) => Promise<void> | void;
  onProgress?: (progress: Progress) => Promise<void> | void;
  onEnd?: (step: Step, report: StepReport) => Promise<void> | void;
  /** The longest time from one question to the next. */
  pollMs?: number;
  /** How long a change that nobody knows the outcome of is asked about. */
  decideMs?: number;
  /** How long a wait may show no movement. */
  stallMs?: number;
};

/** Asked often at first and near the end, else more and more seldom: what takes an hour is not asked about every second. */
const POLL_MS = 5_000;
const FIRST_POLL_MS = 250;
const MOST_REST_MS = 600_000;
/** `askedMs`: what the last question took, which may be a look at every file; the machine has better to do than to answer us. */
const nextPollMs = (elapsedMs: number, mostMs: number, askedMs: number, leftMs = Number.POSITIVE_INFINITY): number =>
  Math.max(Math.min(askedMs, MOST_REST_MS), Math.min(mostMs, Math.max(FIRST_POLL_MS, Math.min(elapsedMs / 8, leftMs))));
const DECIDE_MS = 300_000;
const STALL_MS = 1_800_000;
/** So long a wait may find that nothing is going on. */
const IDLE_MS = 6_000;
/** So many turns of a command may leave all idle before its kind does something else. */
const IDLE_TURNS = 3;
/** Between two turns of a command that may be given again, doubled each time, at most the second. */
const REPEAT_MS = [1_000, 60_000] as const;
/** Taken well, it is given again only when nothing has moved for this long: gluster's crawls rest a second between rounds. */
const QUIET_MS = 3_000;
/** glusterd's lock is held for seconds; a stale one for three minutes (its mgmt_v3 lock timer). */
const BUSY_RETRIES_MS = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 64_000];
export const BUSY = /another transaction (is )?in progress|locking failed|unable to acquire lock|please try again/i;
const busyFor = ({ stdout, stderr }: { stdout: string; stderr: string }, attempt: number): number | undefined =>
  BUSY.test(`${stdout} ${stderr}`) ? BUSY_RETRIES_MS[attempt] : undefined;

/** Every step is known and none has the name of another. Errors: OpsError unsupported. */
export function checkPlan(plan: Plan, kinds: StepKinds): void {
  const bad = (why: string): never => {
    throw new OpsError("unsupported", `plan ${plan.operation}: ${why}`, { hint: "use the version that wrote it" });
  };
  if (plan.version !== PLAN_VERSION) bad(`version ${plan.version}, this program knows ${PLAN_VERSION}`);
  const unknown = plan.steps.find(({ kind }) => !Object.hasOwn(kinds, kind));
  if (unknown) bad(`step ${unknown.id}: unknown kind ${unknown.kind}`);
  if (new Set(plan.steps.map(({ id }) => id)).size !== plan.steps.length) bad("two steps of one name");
}

/** Runs what is not done yet, in order, and stops at the first step that fails or whose outcome stays unknown. */
export async function applyPlan(plan: Plan, options: ApplyOptions): Promise<StepReport[]> {
  const { kinds, journal, signal } = options;
  checkPlan(plan, kinds);
  const reports: StepReport[] = [];
  let stopped: string | undefined;
  for (const step of plan.steps) {
    if (stopped === undefined && signal?.aborted) stopped = "stopped by the operator";
    if (stopped !== undefined) {
      reports.push({ id: step.id, status: "skipped", detail: stopped });
      continue;
    }
    const before = journal.stateOf(step.id);
    if (before === "done" || before === "already") {
      reports.push({ id: step.id, status: "already", detail: "done before" });
      continue;
    }
    await options.onStart?.(step);
    const report = await applyStep(step, options);
    await options.onEnd?.(step, report);
    reports.push(report);
    if (report.status !== "done" && report.status !== "already") stopped = `${step.id} ${report.status}`;
  }
  const last = reports.find(({ status }) => !["done", "already"].includes(status));
  await journal.end(
    last === undefined
      ? "done"
      : last.status === "skipped"
        ? "stopped"
        : last.status === "unknown"
          ? "unknown"
          : "failed",
  );
  return reports;
}

const doneBy = (journal: Journal, { id }: Step) => (journal.wasBegun(id) ? "done" : "already");

const failed = (step: Step, error: unknown): StepReport => ({
  id: step.id,
  status: "failed",
  detail: reasonOf(error),
  kind: error instanceof OpsError ? error.kind : "bug",
});

async function applyStep(step: Step, options: ApplyOptions): Promise<StepReport> {
  const { host, journal, kinds } = options;
  const kind = kinds[step.kind] as StepKind;
  const end = async (report: StepReport): Promise<StepReport> => {
    // What was so before we began, or somebody else did, is not ours to take back.
    const state = report.status === "done" || report.status === "already" ? doneBy(journal, step) : report.status;
    await journal.record(step.id, state as StepState, report.detail);
    return report.status === "done" ? { ...report, status: doneBy(journal, step) } : report;
  };
  try {
    // A step that was begun may still be going on inside a daemon: it is asked about until that is decided.
    const again = journal.wasBegun(step.id);
    let standing = await decide(step, again ? "again" : "first", options).catch((error: unknown) =>
      endedBadly(error, again && step.repeats ? "todo" : undefined),
    );
    if (standing.state === "done") return end({ id: step.id, status: "already", detail: standing.detail });
    let wasRefused = false;
    // Something else may be at work on it already (an index crawl of gluster's own), but not all that this step begins.
    const joins = standing.state === "working" && !again && step.repeats === true;
    for (let attempt = 0; standing.state === "todo" || (joins && attempt === 0); attempt++) {
      await kind.guard?.(step, host);
      await journal.record(step.id, "started", step.title);
      const result = await host.run(step.argv, { timeoutMs: step.timeoutMs });
      const failure = failureOf(result, step.timeoutMs);
      wasRefused = failure !== undefined;
      standing = await decide(step, "again", options);
      if (standing.state !== "todo") break;
      if (step.waits && (failure === undefined || step.repeats)) {
        if (failure !== undefined) await options.onProgress?.({ step, text: failure });
        break;
      }
      const busy = busyFor(result, attempt);
      if (busy === undefined || options.signal?.aborted) {
        const why = failure ?? `${result.command}: ${errorIn(result.stdout) || "exit 0, but it is not done"}`;
        return end({ ...report("failed", standing), detail: `${why} (${standing.detail})`, kind: "failed" });
      }
      await options.onProgress?.({ step, text: `busy: ${failure ?? result.stderr}; again in ${busy / 1000} s` });
      await host.sleep(busy, options.signal);
    }
    const isUnderWay = standing.state === "working" || (standing.state === "todo" && step.waits);
    if (isUnderWay) standing = await waitFor(step, standing, wasRefused, options);
    if (standing.state === "done") return end(report("done", standing));
    return end({ ...report("unknown", standing), kind: "timeout" });
  } catch (error) {
    return end(failed(step, error));
  }

  function report(status: StepReport["status"], { detail, halfway }: Standing): StepReport {
    return { id: step.id, status, detail, ...(halfway ? { halfway } : {}) };
  }
}

/** gluster says with exit code 0 and in its XML that it refused. */
const errorIn = (stdout: string): string => /<opErrstr>([^<]+)</.exec(stdout)?.[1]?.trim() ?? "";

/** What ended badly may be tried again by a resume where that does no harm, and be taken back in any case. */
function endedBadly(error: unknown, state: Standing["state"] | undefined): Standing {
  if (state === undefined || !(error instanceof OpsError && error.kind === "unsafe")) throw error;
  return { state, detail: reasonOf(error) };
}

/** Asks until the answer is one; `working` is one for a step that waits. */
async function decide(step: Step, turn: "first" | "again", options: ApplyOptions): Promise<Standing> {
  const { host, kinds, pollMs = POLL_MS, decideMs = DECIDE_MS } = options;
  const startedMs = host.monotonicMs();
  for (;;) {
    const askedMs = host.monotonicMs();
    const standing = await (kinds[step.kind] as StepKind).standing(step, host);
    // What could not be asked before anything was begun is no reason to wait: nothing is changed on a guess.
    const undecided =
      (standing.state === "unknown" && (turn === "again" || step.repeats === true)) ||
      (standing.state === "working" && !step.waits);
    if (!undecided) return standing;
    const nowMs = host.monotonicMs();
    const elapsedMs = nowMs - startedMs;
    if (options.signal?.aborted || elapsedMs >= decideMs) return { ...standing, state: "unknown" };
    await options.onProgress?.({ step, text: `${turn === "first" ? "asking" : "not decided"}: ${standing.detail}` });
    await host.sleep(nextPollMs(elapsedMs, pollMs, nowMs - askedMs), options.signal);
  }
}

/** Waits for what takes its time, tells how it goes, and says when nothing moves. `standing`: as it was just asked; `wasRefused`: its command was. */
async function waitFor(step: Step, standing: Standing, wasRefused: boolean, options: ApplyOptions): Promise<Standing> {
  const { host, kinds, pollMs = POLL_MS, stallMs = STALL_MS } = options;
  const startedMs = host.monotonicMs();
  /** The most that was left, and when: a heal finds out what there is to do while it works. */
  let most: number | undefined;
  let mostMs = startedMs;
  /** The least since then: what only goes up and down does not move. */
  let least = Number.POSITIVE_INFINITY;
  let done: number | undefined;
  let movedMs = startedMs;
  let last = "";
  let tookMs = 0;
  let idleSinceMs: number | undefined;
  const again = step.repeats ? repeater(step, wasRefused, options) : undefined;
  for (;;) {
    const { state, detail, remaining } = standing;
    if (state === "done") return standing;
    const isMoving =
      standing.moves === true ||
      (remaining !== undefined && remaining < least) ||
      (standing.progress !== undefined && done !== undefined && standing.progress > done);
    if (standing.progress !== undefined) done = Math.max(done ?? standing.progress, standing.progress);
    // What is getting less by itself needs no other round: one looks at every file again.
    const refused = state === "todo" && !isMoving ? await again?.(movedMs, standing.idle === true) : undefined;
    if (refused !== undefined) return { state: "unknown", detail: `${refused} (${detail})` };
    const nowMs = host.monotonicMs();
    const isIdle = state === "todo" && remaining === undefined && !again;
    idleSinceMs = isIdle ? (idleSinceMs ?? nowMs) : undefined;
    if (idleSinceMs !== undefined && nowMs - idleSinceMs >= IDLE_MS)
      return { state: "unknown", detail: `it does not go on: ${detail}` };
    if (isMoving) movedMs = nowMs;
    if (remaining !== undefined) {
      least = Math.min(least, remaining);
      if (most === undefined || remaining > most) {
        most = remaining;
        mostMs = nowMs;
        least = remaining;
      }
    }
    const perSecond =
      most === undefined || remaining === undefined ? 0 : ((most - remaining) * 1000) / (nowMs - mostMs || 1);
    const leftMs = standing.leftMs ?? (perSecond > 0 && remaining ? (remaining * 1000) / perSecond : undefined);
    const rate = perSecond > 0 ? `, ${perSecond.toFixed(1)}/s` : "";
    const left = leftMs === undefined ? "" : `, ${Math.ceil(leftMs / 1000)} s left`;
    const text = `${detail}${rate}${left}`;
    if (text !== last) await options.onProgress?.({ step, text });
    last = text;
    if (options.signal?.aborted) return { ...standing, state: "unknown", detail: `${detail}; no longer waited for` };
    const quietMs = Math.max(stallMs, standing.quietMs ?? 0);
    if (nowMs - movedMs >= quietMs) {
      const stalled = `stalled: nothing moved for ${Math.round(quietMs / 1000)} s: ${detail}`;
      return { ...standing, state: "unknown", detail: stalled };
    }
    await host.sleep(nextPollMs(nowMs - startedMs, pollMs, tookMs, leftMs), options.signal);
    const askedMs = host.monotonicMs();
    standing = await (kinds[step.kind] as StepKind).standing(step, host);
    tookMs = host.monotonicMs() - askedMs;
  }
}

/** Gives a command again, more and more seldom; why it was refused, once nothing but that has come of it for decideMs. */
function repeater(step: Step, wasRefused: boolean, { host, kinds, onProgress, decideMs = DECIDE_MS }: ApplyOptions) {
  const [firstMs, mostMs] = REPEAT_MS;
  let waitMs: number = firstMs;
  let givenMs = host.monotonicMs();
  let refusedMs = wasRefused ? givenMs : undefined;
  let idleTurns = 0;
  let inVain = 0;
  return async (movedMs: number, isIdle: boolean): Promise<string | undefined> => {
    if (!isIdle) idleTurns = 0;
    if (refusedMs !== undefined && movedMs > refusedMs) refusedMs = undefined;
    const dueMs = refusedMs === undefined ? Math.max(movedMs + QUIET_MS, givenMs + waitMs) : givenMs + waitMs;
    if (host.monotonicMs() < dueMs) return undefined;
    const result = await host.run(step.argv, { timeoutMs: step.timeoutMs });
    const failure = failureOf(result, step.timeoutMs);
    const nowMs = host.monotonicMs();
    waitMs = Math.min(waitMs * 2, mostMs);
    givenMs = nowMs;
    if (failure === undefined) {
      refusedMs = undefined;
      idleTurns += isIdle ? 1 : 0;
      const otherwise = (kinds[step.kind] as StepKind).otherwise;
      if (idleTurns >= IDLE_TURNS && otherwise) {
        await onProgress?.({ step, text: "nothing is at work on what is left: going about it in another way" });
        await otherwise(step, host, inVain++).catch((error: unknown) => onProgress?.({ step, text: reasonOf(error) }));
      }
      return undefined;
    }
    refusedMs ??= nowMs;
    await onProgress?.({ step, text: failure });
    return nowMs - refusedMs >= decideMs ? failure : undefined;
  };
}

/** The first step that was done and that nothing takes back: known before anything else is taken back for nothing. */
export const irreversibleStep = (plan: Plan, stateOf: Journal["stateOf"]): Step | undefined =>
  plan.steps.find(({ id, undo }) => stateOf(id) === "done" && undo !== undefined && "impossible" in undo);

/** Takes back what was begun, last step first; stops at the first thing that cannot be taken back. */
export async function undoPlan(plan: Plan, options: ApplyOptions): Promise<StepReport[]> {
  const { kinds, host, journal } = options;
  checkPlan(plan, kinds);
  const reports: StepReport[] = [];
  for (const step of [...plan.steps].reverse()) {
    if (!journal.wasBegun(step.id)) continue;
    if (options.signal?.aborted) {
      reports.push({ id: step.id, status: "skipped", detail: "stopped by the operator" });
      break;
    }
    await options.onStart?.(step);
    const report = await undoStep(step);
    await options.onEnd?.(step, report);
    reports.push(report);
    if (report.status === "failed" || report.status === "unknown") break;
  }
  const bad = reports.find(({ status }) => status === "failed" || status === "unknown" || status === "skipped");
  await journal.end(bad === undefined ? "undone" : bad.status === "skipped" ? "stopped" : "failed");
  return reports;

  async function undoStep(step: Step): Promise<StepReport> {
    const { undo } = step;
    const end = async (status: StepReport["status"], detail: string, kind?: ErrorKind): Promise<StepReport> => {
      await journal.record(
        step.id,
        status === "undone" || status === "kept" ? "undone" : (status as StepState),
        detail,
      );
      return { id: step.id, status, detail, ...(kind ? { kind } : {}) };
    };
    try {
      if (undo === undefined) return end("kept", "nothing to take back");
      let standing = await decide(step, "again", options).catch((error: unknown) => endedBadly(error, "working"));
      if (standing.state === "todo" && !standing.halfway) return end("undone", standing.detail);
      if (standing.state === "unknown") return end("unknown", standing.detail, "timeout");
      if ("impossible" in undo) return end("failed", `cannot be taken back: ${undo.impossible}`, "unsafe");
      await (kinds[step.kind] as StepKind).guardUndo?.(step, host);
      await journal.record(step.id, "undoing", undo.argv.join(" "));
      for (let attempt = 0; ; attempt++) {
        const result = await host.run(undo.argv, { timeoutMs: undo.timeoutMs });
        standing = await decide(step, "again", options);
        if (standing.state === "todo" && !standing.halfway) return end("undone", standing.detail);
        const busyMs = busyFor(result, attempt);
        if (busyMs === undefined || options.signal?.aborted) {
          const why = failureOf(result, undo.timeoutMs) ?? errorIn(result.stdout);
          return end("failed", `${why} (${standing.detail})`, "failed");
        }
        await host.sleep(busyMs, options.signal);
      }
    } catch (error) {
      return end("failed", reasonOf(error), error instanceof OpsError ? error.kind : "bug");
    }
  }
}
