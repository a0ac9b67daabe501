/**
 * Plans, their steps and their journals as text and as JSON. Pure.
 * The JSON of a plan is the same in a dry run, in `journal show` and beside what was run.
 */
import type { Argv } from "../core/exec.ts";
import type { JournalEntry } from "../core/journal.ts";
import type { Plan, Step, StepReport } from "../core/plan.ts";
import { counted, escapeControl } from "../core/text.ts";

/** As it can be typed. */
export const commandLine = (argv: Argv): string =>
  argv
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${escapeControl(word).replaceAll("'", "'\\''")}'`))
    .join(" ");

const undoText = ({ undo }: Step): string =>
  undo === undefined
    ? "nothing to take back"
    : "impossible" in undo
      ? `cannot be undone: ${undo.impossible}`
      : commandLine(undo.argv);

export function renderPlan(plan: Plan, mark = ""): string {
  const lines = [`${mark}Plan: ${plan.title}`, ...plan.picture.map((line) => `${mark}  ${line}`)];
  lines.push(...plan.warnings.map((warning) => `${mark}⚠ ${warning}`));
  for (const [at, step] of plan.steps.entries()) {
    lines.push(`${mark}${at + 1}. ${step.title}${step.destructive ? "  (cannot be taken back by itself)" : ""}`);
    lines.push(`${mark}   Would run: ${commandLine(step.argv)}`);
    if (step.requires !== undefined) lines.push(`${mark}   only if:   ${step.requires}`);
    lines.push(`${mark}   ${step.waits ? "waits until" : "done when"}: ${step.doneWhen}`);
    lines.push(`${mark}   undo:      ${undoText(step)}`);
  }
  return `${lines.join("\n")}\n`;
}

export const planRecord = (plan: Plan) => ({
  version: plan.version,
  operation: plan.operation,
  title: plan.title,
  object: plan.object,
  picture: plan.picture,
  warnings: plan.warnings,
  steps: plan.steps.map((step) => ({
    id: step.id,
    title: step.title,
    command: step.argv,
    destructive: step.destructive,
    waits: step.waits,
    done_when: step.doneWhen,
    requires: step.requires ?? null,
    undo: step.undo === undefined || "impossible" in step.undo ? null : step.undo.argv,
    cannot_undo: step.undo !== undefined && "impossible" in step.undo ? step.undo.impossible : null,
  })),
});

export const reportRecord = (plan: Plan, journal: string | null, reports: readonly StepReport[]) => ({
  operation: plan.operation,
  title: plan.title,
  journal,
  steps: reports.map(({ id, status, detail }) => ({ id, status, detail })),
});

export const entryRecord = (entry: JournalEntry) => ({
  id: entry.id,
  state: entry.state,
  undo_attempts: entry.undoAttempts,
  started_at: entry.startedAt.toISOString(),
  host: entry.host,
  pid: entry.process.pid,
  plan: planRecord(entry.plan),
  steps: entry.plan.steps.map(({ id }) => {
    const step = entry.steps.get(id);
    return { id, state: step?.state ?? null, at: step?.at.toISOString() ?? null, detail: step?.detail ?? null };
  }),
});

export function renderEntries(entries: readonly JournalEntry[]): string {
  if (entries.length === 0) return "no operations\n";
  const width = Math.max(...entries.map(({ id }) => id.length));
  return entries
    .map(
      (entry) =>
        `${entry.id.padEnd(width)}  ${entry.state.padEnd(11)}  ${entry.plan.title}${isHalfUndone(entry) ? `  (${attempts(entry)})` : ""}\n`,
    )
    .join("");
}

export function renderEntry(entry: JournalEntry): string {
  const lines = [
    `${entry.id}: ${entry.plan.title}`,
    `state ${entry.state}, begun ${entry.startedAt.toISOString()} on ${entry.host} by process ${entry.process.pid}`,
    ...(isHalfUndone(entry) ? [`not taken back yet: ${attempts(entry)}`] : []),
  ];
  for (const step of entry.plan.steps) {
    const known = entry.steps.get(step.id);
    lines.push(`  ${(known?.state ?? "-").padEnd(8)} ${step.title}`);
    lines.push(`           ${commandLine(step.argv)}`);
    if (known) lines.push(`           ${known.at.toISOString()} ${escapeControl(known.detail)}`);
    lines.push(`           undo: ${undoText(step)}`);
  }
  if (isOpen(entry))
    lines.push(`go on: fencepost journal resume ${entry.id}   take back: fencepost journal undo ${entry.id}`);
  return `${lines.join("\n")}\n`;
}

/** What going on with it, or taking it back, would run: each step once more asked whether it is so already. */
export function stepsLeft(
  { plan, steps }: JournalEntry,
  verb: "resume" | "undo",
): { step: Step; argv: Argv | undefined }[] {
  if (verb === "undo")
    return [...plan.steps]
      .reverse()
      .filter(({ id }) => steps.get(id)?.begun)
      .map((step) => ({ step, argv: step.undo && "argv" in step.undo ? step.undo.argv : undefined }));
  return plan.steps
    .filter(({ id }) => !["done", "already"].includes(steps.get(id)?.state ?? ""))
    .map((step) => ({ step, argv: step.argv }));
}

export function renderStepsLeft(entry: JournalEntry, verb: "resume" | "undo"): string {
  const left = stepsLeft(entry, verb);
  if (left.length === 0) return `[DRY-RUN] nothing to ${verb}\n`;
  return left
    .map(({ step, argv }, at) => {
      const runs = argv ? `Would run: ${commandLine(argv)}` : undoText(step);
      return `[DRY-RUN] ${at + 1}. ${verb === "undo" ? "take back: " : ""}${step.title}\n[DRY-RUN]    ${runs}\n`;
    })
    .join("");
}

const attempts = ({ undoAttempts }: JournalEntry): string => `${counted(undoAttempts, "attempt")} to undo it`;

/** Taking it back was begun, and did not come to its end. */
export const isHalfUndone = (entry: JournalEntry): boolean => isOpen(entry) && entry.undoAttempts > 0;

/** Something was begun that is neither done nor taken back. */
export const isOpen = ({ state }: JournalEntry): boolean =>
  state !== "done" && state !== "undone" && state !== "running";
