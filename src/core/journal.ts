/**
 * The journal of one operation: the plan, then every step before it runs and when it has ended; each line on disk before
 * the next thing happens. A fresh process reads it and goes on, or takes back.
 * Output: /var/lib/fencepost/journal/ID.jsonl, root's alone; one JSON object a line, the first holds the plan.
 * Errors: OpsError bad-input for a journal that is none, io, unsafe (a planted link; a plan too big to be gone on with), usage
 *         (no such journal).
 */
import { randomBytes } from "node:crypto";
import { OpsError, reasonOf } from "./errors.ts";
import {
  ensureDirectory,
  errorCode,
  exists,
  listNames,
  openForAppend,
  readAt,
  readWhole,
  writeWhole,
} from "./files.ts";
import type { Host } from "./host.ts";
import type { Plan } from "./plan.ts";
import { identityOf, isAlive, type ProcessIdentity } from "./process-identity.ts";
import { escapeControl } from "./text.ts";

export const STATE_DIRECTORY = "/var/lib/fencepost";
export const JOURNAL_DIRECTORY = `${STATE_DIRECTORY}/journal`;
const MAX_PLAN_BYTES = 16 * 1024 * 1024;
/** With room for the records of its steps, also when it is gone on with and taken back. */
const MAX_BYTES = 4 * MAX_PLAN_BYTES;
const ID = /^[A-Za-z0-9][A-Za-z0-9.-]{0,100}$/;

/** `already`: it was so before we began. */
export type StepState = "started" | "already" | "done" | "failed" | "unknown" | "undoing" | "undone";
export type EndState = "done" | "failed" | "unknown" | "stopped" | "undone";

type Line =
  | { record: "plan"; version: 1; id: string; at: string; host: string; process: ProcessIdentity; plan: Plan }
  | { record: "run"; at: string; host: string; process: ProcessIdentity; verb: "resume" | "undo" }
  | { record: "step"; at: string; step: string; state: StepState; detail: string }
  | { record: "end"; at: string; state: EndState };

export type JournalEntry = {
  id: string;
  plan: Plan;
  startedAt: Date;
  host: string;
  /** The process that works on it or last did. */
  process: ProcessIdentity;
  /** `begun`: its command was run, or may have been, and it has not been taken back since. */
  steps: ReadonlyMap<string, { state: StepState; at: Date; detail: string; begun: boolean }>;
  /** How often taking it back was begun since it last went on. */
  undoAttempts: number;
  /** `running` while its process lives, `interrupted` when that died in the middle. */
  state: EndState | "running" | "interrupted";
};

export type Journal = {
  id: string;
  path: string;
  stateOf: (step: string) => StepState | undefined;
  /** Whether the operation has run its command, or may have: else what became of it is not the operation's to take back. */
  wasBegun: (step: string) => boolean;
  /** On disk when this resolves. */
  record: (step: string, state: StepState, detail: string) => Promise<void>;
  end: (state: EndState) => Promise<void>;
  close: () => Promise<void>;
};

export function newJournalId(host: Host, operation: string): string {
  const stamp = host.now().toISOString().replaceAll(/[-:]/g, "").slice(0, 15);
  return `${stamp}-${operation.replaceAll(/[^a-z0-9]+/g, "-")}-${randomBytes(2).toString("hex")}`;
}

const pathOf = (id: string, directory: string): string => {
  if (!ID.test(id)) throw new OpsError("usage", `journal: not an id: ${escapeControl(id.slice(0, 100))}`);
  return `${directory}/${id}.jsonl`;
};

async function prepare(directory: string): Promise<void> {
  if (directory === JOURNAL_DIRECTORY) await ensureDirectory(STATE_DIRECTORY);
  await ensureDirectory(directory);
}

/** A new journal that holds the plan. */
export async function createJournal(
  host: Host,
  id: string,
  plan: Plan,
  directory = JOURNAL_DIRECTORY,
): Promise<Journal> {
  await prepare(directory);
  const path = pathOf(id, directory);
  const head: Line = {
    record: "plan",
    version: 1,
    id,
    at: host.now().toISOString(),
    host: host.hostname(),
    process: identityOf(host, process.pid),
    plan,
  };
  const text = `${JSON.stringify(head)}\n`;
  const bytes = Buffer.byteLength(text);
  // What cannot be read back could neither be gone on with nor be taken back.
  if (bytes > MAX_PLAN_BYTES)
    throw new OpsError(
      "unsafe",
      `${plan.title}: nothing is begun: its plan of ${plan.steps.length} steps is ${bytes} bytes, more than ${MAX_PLAN_BYTES}`,
      { hint: "do it in several parts" },
    );
  if (await exists(path)) throw new OpsError("io", `${path}: is there already`);
  // Whole or not at all: a journal without its plan could not be gone on with.
  await writeWhole(directory, `${id}.jsonl`, text, 0o600);
  return open(host, id, directory, new Map(), new Set());
}

/** The journal of an operation that is gone on with, or taken back, by this process. */
export async function continueJournal(
  host: Host,
  entry: JournalEntry,
  verb: "resume" | "undo",
  directory = JOURNAL_DIRECTORY,
): Promise<Journal> {
  const states = new Map([...entry.steps].map(([step, { state }]) => [step, state]));
  const begun = new Set([...entry.steps].filter(([, step]) => step.begun).map(([step]) => step));
  const journal = await open(host, entry.id, directory, states, begun);
  await journal.append({
    record: "run",
    at: host.now().toISOString(),
    host: host.hostname(),
    process: identityOf(host, process.pid),
    verb,
  });
  return journal;
}

async function open(host: Host, id: string, directory: string, states: Map<string, StepState>, begun: Set<string>) {
  const path = pathOf(id, directory);
  const { handle, stat } = await openForAppend(path, 0o600);
  // A process that was killed while it wrote leaves half a line; it stays one line of its own, which no reader takes.
  let torn = stat.size > 0 && (await readAt(handle, stat.size - 1, 1))[0] !== 0x0a;
  const append = async (line: Line): Promise<void> => {
    try {
      await handle.write(`${torn ? "\n" : ""}${JSON.stringify(line)}\n`);
      torn = false;
      await handle.datasync();
    } catch (error) {
      throw new OpsError("io", `${path}: cannot be written, so nothing more is done: ${reasonOf(error)}`, {
        cause: error,
        hint: `df ${directory}`,
      });
    }
  };
  const at = (): string => host.now().toISOString();
  return {
    id,
    path,
    append,
    stateOf: (step: string) => states.get(step),
    wasBegun: (step: string) => begun.has(step),
    record: async (step: string, state: StepState, detail: string) => {
      await append({ record: "step", at: at(), step, state, detail });
      states.set(step, state);
      if (state === "started") begun.add(step);
      else if (state === "undone") begun.delete(step);
    },
    end: (state: EndState) => append({ record: "end", at: at(), state }),
    close: () => handle.close(),
  };
}

export async function readJournal(host: Host, id: string, directory = JOURNAL_DIRECTORY): Promise<JournalEntry> {
  const path = pathOf(id, directory);
  const text = await readWhole(path, MAX_BYTES).catch((error: unknown) => {
    if (errorCode(error) !== "EACCES") throw error;
    throw new OpsError("privilege", `${path}: root's alone`, { cause: error, hint: "sudo" });
  });
  if (text === undefined) {
    throw new OpsError("usage", `journal: no such operation: ${id}`, { hint: "fencepost journal list" });
  }
  const lines = text.split("\n").flatMap((line): Line[] => {
    try {
      return line === "" ? [] : [JSON.parse(line) as Line];
    } catch {
      return []; // half a line of a process that was killed while it wrote
    }
  });
  const [first] = lines;
  if (first?.record !== "plan" || first.version !== 1) {
    throw new OpsError("bad-input", `${path}: not a journal of this program's version`, {
      hint: `head -c 300 ${path}`,
    });
  }
  const entry = {
    id,
    plan: first.plan,
    startedAt: new Date(first.at),
    host: first.host,
    process: first.process,
    undoAttempts: 0,
    steps: new Map<string, { state: StepState; at: Date; detail: string; begun: boolean }>(),
  };
  let ended: EndState | undefined;
  for (const line of lines.slice(1)) {
    if (line.record === "run") {
      ended = undefined;
      entry.process = line.process;
      entry.undoAttempts = line.verb === "undo" ? entry.undoAttempts + 1 : 0;
    } else if (line.record === "step") {
      const { step, state, at, detail } = line;
      const begun = state === "started" || (state !== "undone" && entry.steps.get(step)?.begun === true);
      entry.steps.set(step, { state, at: new Date(at), detail, begun });
    } else if (line.record === "end") ended = line.state;
  }
  return { ...entry, state: ended ?? (isAlive(host, entry.process) ? "running" : "interrupted") };
}

/** All there are, oldest first; what is no journal is told by name. */
export async function readJournals(
  host: Host,
  directory = JOURNAL_DIRECTORY,
): Promise<{ entries: JournalEntry[]; problems: string[] }> {
  const entries: JournalEntry[] = [];
  const problems: string[] = [];
  for (const name of await listNames(directory)) {
    if (!name.endsWith(".jsonl")) continue;
    try {
      entries.push(await readJournal(host, name.slice(0, -".jsonl".length), directory));
    } catch (error) {
      problems.push(reasonOf(error));
    }
  }
  return { entries, problems };
}
