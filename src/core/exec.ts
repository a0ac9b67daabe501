/**
 * Runs one command: the only place in the product that starts a process.
 * Input:  an argument array, never a shell string; a time limit in ms; an output cap in bytes.
 * Output: CommandResult; a command that failed, hung or flooded is a result, not an exception.
 * Every command has the C locale, a closed stdin unless `input` is given, and cannot hold us: not by ignoring
 * SIGTERM, not by leaving a daemon on its pipes, not by flooding stdout.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { reasonOf } from "./errors.ts";
import { lastWords } from "./text.ts";

export type Argv = readonly [file: string, ...args: string[]];

export type RunOptions = {
  timeoutMs: number;
  /** Cap on stdout and on stderr, each. */
  maxBytes?: number;
  env?: Readonly<Record<string, string>>;
  /** Written to stdin; without it stdin is closed. Secrets go here, never into argv. */
  input?: string;
  /** Ends the command early; the result is then `cancelled`. */
  signal?: AbortSignal;
  /**
   * `own` (default): the command leads a process group of its own, so that ending it ends everything it left behind.
   * `caller`: it stays in ours, for an agent whose own caller kills the group (Pacemaker's fencer does).
   */
  group?: "own" | "caller";
};

export type CommandOutcome =
  | "exited"
  | "killed"
  | "timed-out"
  | "too-much-output"
  | "cancelled"
  /** spawnError says why: ENOENT, EACCES, … */
  | "not-started";

export type CommandResult = {
  outcome: CommandOutcome;
  /** For messages: the words, quoted where they need it. */
  command: string;
  exitCode: number | undefined;
  spawnError: string | undefined;
  stdout: string;
  stderr: string;
  elapsedMs: number;
};

const KILL_DELAY_MS = 500;
const DEFAULT_MAX_BYTES = 8 * 1024 * 1024;

export async function runCommand([file, ...args]: Argv, options: RunOptions): Promise<CommandResult> {
  const { timeoutMs, maxBytes = DEFAULT_MAX_BYTES, group = "own", signal, input } = options;
  const { execa } = await import("execa");
  const startedMs = performance.now();
  let ended: "timed-out" | "cancelled" | undefined;
  const child = execa(file, args, {
    reject: false,
    shell: false,
    stdin: input === undefined ? "ignore" : "pipe",
    ...(input === undefined ? {} : { input }),
    env: { ...options.env, LC_ALL: "C", LANGUAGE: "" },
    maxBuffer: { stdout: maxBytes, stderr: maxBytes },
    encoding: "utf8",
    stripFinalNewline: false,
    forceKillAfterDelay: KILL_DELAY_MS,
    killDescendants: group === "own",
    cleanup: false, // the caller decides what outlives it; execa's exit hook costs start-up time
  });
  const end = (why: "timed-out" | "cancelled") => {
    ended ??= why;
    if (group === "caller") {
      for (const pid of [...descendants(child.pid), child.pid]) if (pid !== undefined) killQuietly(pid);
    } else {
      child.kill("SIGTERM");
    }
  };
  const stopReading = () => {
    child.stdout?.destroy();
    child.stderr?.destroy();
  };
  const timer = setTimeout(() => end("timed-out"), timeoutMs);
  // A descendant that called setsid(2) survives the kill and holds the pipes open: stop reading so the limit holds.
  const hardStop = setTimeout(stopReading, timeoutMs + (group === "caller" ? 0 : KILL_DELAY_MS + 100));
  const onAbort = () => {
    end("cancelled");
    setTimeout(stopReading, group === "caller" ? 0 : KILL_DELAY_MS + 100).unref();
  };
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted) onAbort();
  // The command itself is gone but something of its own still holds the pipes: what it had to say is said.
  child.nodeChildProcess?.once("exit", () => setTimeout(stopReading, KILL_DELAY_MS).unref());
  try {
    const result = await child;
    const outcome: CommandOutcome = ended
      ? ended
      : result.isMaxBuffer
        ? "too-much-output"
        : result.exitCode !== undefined
          ? "exited"
          : result.signal
            ? "killed"
            : "not-started";
    return {
      outcome,
      command: result.escapedCommand,
      exitCode: result.exitCode,
      spawnError:
        outcome === "not-started" ? (result.code ?? reasonOf(result.cause ?? result.shortMessage)) : undefined,
      stdout: result.stdout ?? "",
      stderr: result.stderr ?? "",
      elapsedMs: Math.round(performance.now() - startedMs),
    };
  } finally {
    clearTimeout(timer);
    clearTimeout(hardStop);
    signal?.removeEventListener("abort", onAbort);
  }
}

/** Why a command gave no answer, as a `reason`; undefined when it exited 0. */
export function failureOf(result: CommandResult, timeoutMs?: number): string | undefined {
  const words = lastWords(result.stderr === "" ? result.stdout : result.stderr, 200);
  switch (result.outcome) {
    case "exited":
      if (result.exitCode === 0) return undefined;
      return `${result.command}: exit ${result.exitCode}${words === "" ? "" : `: ${words}`}`;
    case "timed-out":
      return `${result.command}: timed out${timeoutMs === undefined ? "" : ` after ${timeoutMs} ms`}`;
    case "too-much-output":
      return `${result.command}: too much output`;
    case "killed":
      return `${result.command}: killed by a signal`;
    case "cancelled":
      return `${result.command}: cancelled`;
    case "not-started":
      return `${result.command}: not started: ${result.spawnError}`;
    default:
      return result.outcome satisfies never;
  }
}

/** Children, grandchildren and so on of a process, from /proc; empty where the kernel does not say. */
function descendants(pid: number | undefined): number[] {
  if (pid === undefined) return [];
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim().split(" ").filter(Boolean);
    return children.map(Number).flatMap((child) => [...descendants(child), child]);
  } catch {
    return [];
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // gone already
  }
}

/**
 * Starts a helper in a session of its own (setsid), with pipes to its stdin and from its stdout and nothing else of
 * ours: it outlives us and the kill of our process group. `argv0` is the program name it answers to.
 */
export function startDetached(
  [file, ...args]: Argv,
  options: { argv0: string; env: Record<string, string> },
): ChildProcess {
  return spawn(file, args, {
    argv0: options.argv0,
    detached: true,
    cwd: "/",
    env: options.env,
    stdio: ["pipe", "pipe", "ignore"],
  });
}

/** Starts a command that is handed the open descriptor `fd` as its descriptor 3, and waits for its exit code. */
export function runOnDescriptor([file, ...args]: Argv, fd: number, timeoutMs: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      stdio: ["ignore", "ignore", "ignore", fd],
      timeout: timeoutMs,
      killSignal: "SIGKILL",
    });
    child.once("error", () => resolve(undefined));
    child.once("exit", (code) => resolve(code ?? undefined));
  });
}
