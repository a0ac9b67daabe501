/**
 * A Host made of tables: commands, files and a clock that moves only when told to.
 * A command line that is in no table fails the test, even where the code under test swallows the error: call
 * `verify()` in afterEach, or use `fakeHost()` which does it by itself.
 */
import { onTestFinished } from "vitest";
import type { Argv, CommandOutcome, CommandResult, RunOptions } from "../../src/core/exec.ts";
import type { Host } from "../../src/core/host.ts";

/** What a command answers: its stdout, or more of a CommandResult; `hangs` answers only to the time limit or the signal. */
export type FakeAnswer =
  | string
  | (Partial<Omit<CommandResult, "command">> & {
      /** Never ends by itself: `timed-out` once the clock is advanced past its limit, `cancelled` on the signal. */
      hangs?: boolean;
      /** Answers once the clock has been advanced by this much; `timed-out` when its own limit is shorter. */
      afterMs?: number;
    });

export type FakeTables = {
  /** By command line: the words of argv joined with one space. A list is answered in turn, its last again and again. */
  commands?: Readonly<Record<string, FakeAnswer | readonly FakeAnswer[] | ((call: FakeCall) => FakeAnswer)>>;
  /** By path; an Error is thrown. A path not listed is a file that is not there. */
  files?: Readonly<Record<string, string | Error>>;
  directories?: Readonly<Record<string, readonly string[]>>;
  executables?: readonly string[];
  now?: Date;
  hostname?: string;
};

export type FakeCall = { argv: Argv; options: RunOptions };

/** A command that is not installed. */
export const NOT_INSTALLED: FakeAnswer = { outcome: "not-started", spawnError: "ENOENT" };

/** A command that never ends by itself. */
export const HANGS: FakeAnswer = { hangs: true };

/** A command that exits with that code and says so on stderr. */
export const exits = (exitCode: number, stderr = "", stdout = ""): FakeAnswer => ({ exitCode, stderr, stdout });

type Timer = { atMs: number; run: () => void };

export class FakeHost implements Host {
  /** Every command run, in order, those not in the table too. */
  readonly calls: FakeCall[] = [];
  /** Command lines that no table knew. */
  readonly unknownCommands: string[] = [];
  readonly #tables: FakeTables;
  readonly #asked = new Map<string, number>();
  #timers: Timer[] = [];
  #elapsedMs = 0;

  constructor(tables: FakeTables = {}) {
    this.#tables = tables;
  }

  /** The command lines run, in order. */
  get commandLines(): string[] {
    return this.calls.map(({ argv }) => argv.join(" "));
  }

  run = (argv: Argv, options: RunOptions): Promise<CommandResult> => {
    const command = argv.join(" ");
    this.calls.push({ argv, options });
    const table = this.#tables.commands ?? {};
    const entry = Object.hasOwn(table, command) ? table[command] : undefined;
    if (entry === undefined) {
      this.unknownCommands.push(command);
      return Promise.reject(new Error(`FakeHost: no answer for the command: ${command}`));
    }
    const turn = this.#asked.get(command) ?? 0;
    this.#asked.set(command, turn + 1);
    const answers = typeof entry === "function" ? [entry({ argv, options })] : isList(entry) ? entry : [entry];
    return this.#answer(command, answers[Math.min(turn, answers.length - 1)] ?? "", options);
  };

  #answer(command: string, answer: FakeAnswer, { timeoutMs, signal, onStdout }: RunOptions): Promise<CommandResult> {
    const { hangs = false, afterMs = 0, ...given } = typeof answer === "string" ? { stdout: answer } : answer;
    if (onStdout) onStdout(Buffer.from(given.stdout ?? ""));
    const fields = onStdout ? { ...given, stdout: "" } : given;
    const result = (more: Partial<CommandResult>): CommandResult => {
      const outcome: CommandOutcome = more.outcome ?? "exited";
      return {
        command,
        exitCode: outcome === "exited" ? 0 : undefined,
        spawnError: undefined,
        stdout: "",
        stderr: "",
        elapsedMs: 0,
        ...more,
        outcome,
      };
    };
    if (signal?.aborted) return Promise.resolve(result({ outcome: "cancelled" }));
    if (!hangs && afterMs === 0) return Promise.resolve(result(fields));
    const startedMs = this.#elapsedMs;
    return new Promise((resolve) => {
      const end = (more: Partial<CommandResult>) =>
        resolve(result({ ...more, elapsedMs: this.#elapsedMs - startedMs }));
      signal?.addEventListener("abort", () => end({ outcome: "cancelled" }), { once: true });
      if (hangs || afterMs > timeoutMs) this.#at(timeoutMs, () => end({ outcome: "timed-out" }));
      else this.#at(afterMs, () => end(fields));
    });
  }

  #at(inMs: number, run: () => void): void {
    this.#timers.push({ atMs: this.#elapsedMs + inMs, run });
  }

  /** Moves the clock, lets everything due happen in order, and lets the code that waited for it go on. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#elapsedMs + ms;
    for (;;) {
      await settled();
      const due = this.#timers.filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (!due) break;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.#elapsedMs = Math.max(this.#elapsedMs, due.atMs);
      due.run();
    }
    this.#elapsedMs = untilMs;
    await settled();
  }

  readText = (path: string): string | undefined => {
    const text = this.#tables.files?.[path];
    if (text instanceof Error) throw text;
    return text;
  };

  listDirectory = (path: string): string[] => [...(this.#tables.directories?.[path] ?? [])].sort();

  isExecutableFile = (path: string): boolean => this.#tables.executables?.includes(path) ?? false;

  now = (): Date => new Date((this.#tables.now ?? new Date("2026-01-02T03:04:05.678Z")).getTime() + this.#elapsedMs);

  monotonicMs = (): number => this.#elapsedMs;

  hostname = (): string => this.#tables.hostname ?? "rabbit-node-1";

  sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      this.#at(ms, resolve);
      signal?.addEventListener("abort", () => resolve(), { once: true });
    });

  /** Throws when a command was run that is in no table. */
  verify(): void {
    if (this.unknownCommands.length > 0) {
      throw new Error(`FakeHost: commands that no table knows: ${this.unknownCommands.join("; ")}`);
    }
  }
}

const isList = (entry: FakeAnswer | readonly FakeAnswer[]): entry is readonly FakeAnswer[] => Array.isArray(entry);

/** Lets promise callbacks run, however many follow from one another, without a timer of the real clock. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 100; turn++) await Promise.resolve();
}

/** A FakeHost for the running test, which then fails if a command was in no table. */
export function fakeHost(tables: FakeTables = {}): FakeHost {
  const host = new FakeHost(tables);
  onTestFinished(() => host.verify());
  return host;
}
