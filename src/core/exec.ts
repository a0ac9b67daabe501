/**
 * Runs one command: the only place in the product that starts a process.
 * Input:  an argument array, never a shell string; a time limit in ms; an output cap in bytes.
 * Output: CommandResult; a command that failed, hung or flooded is a result, not an exception.
 * Every command has the C locale, a closed stdin unless `input` is given, and cannot hold us: not by ignoring
 * SIGTERM, not by leaving a daemon on its pipes, not by flooding stdout.
 */
import { readFileSync } from "node:fs";
import { OpsError, reasonOf } from "./errors.ts";
import { lastWords } from "./text.ts";

export type Argv = readonly [file: string, ...args: string[]];

export type RunOptions = {
  timeoutMs: number;
  /** Cap on stdout and on stderr, each. */
  maxBytes?: number;
  env?: Readonly<Record<string, string>>;
  /** Written to stdin; without it stdin is closed. Secrets go here, never into argv. */
  input?: string;
  /** Is given stdout as it comes; the result's is then empty and has no cap. For output too big to hold; group `own` only. */
  onStdout?: (chunk: Uint8Array) => void;
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

/** A command whose every word is data; see RunOptions for the limits it runs under. */
export const runCommand = (argv: Argv, options: RunOptions): Promise<CommandResult> =>
  options.group === "caller" ? runInOurGroup(argv, options) : runInOwnGroup(argv, options);

/** Calls `end` at the time limit and on the signal, whichever comes first; `release` when the command is over. */
function limit(
  { timeoutMs, signal }: RunOptions,
  end: (why: "timed-out" | "cancelled") => void,
): { release: () => void } {
  const timer = setTimeout(() => end("timed-out"), timeoutMs);
  const onAbort = () => end("cancelled");
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted) onAbort();
  return {
    release: () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    },
  };
}

async function runInOwnGroup(argv: Argv, options: RunOptions): Promise<CommandResult> {
  const { maxBytes = DEFAULT_MAX_BYTES, input, onStdout } = options;
  const { execa } = await import("execa");
  const startedMs = performance.now();
  const [file, ...args] = argv;
  const child = execa(file, args, {
    reject: false,
    shell: false,
    stdin: input === undefined ? "ignore" : "pipe",
    ...(input === undefined ? {} : { input }),
    env: environment(options),
    maxBuffer: { stdout: maxBytes, stderr: maxBytes },
    buffer: { stdout: onStdout === undefined },
    encoding: "utf8",
    stripFinalNewline: false,
    forceKillAfterDelay: KILL_DELAY_MS,
    killDescendants: true,
    cleanup: false, // the caller decides what outlives it
  });
  if (onStdout) child.stdout?.on("data", onStdout);
  const stopReading = () => {
    child.stdout?.destroy();
    child.stderr?.destroy();
  };
  let ended: "timed-out" | "cancelled" | undefined;
  const limited = limit(options, (why) => {
    ended ??= why;
    child.kill("SIGTERM");
    // A descendant that called setsid(2) survives the kill and holds the pipes open: stop reading so the limit holds.
    setTimeout(stopReading, KILL_DELAY_MS + 100).unref();
  });
  // The command itself is gone but something of its own still holds the pipes: what it had to say is said.
  child.nodeChildProcess?.once("exit", () => setTimeout(stopReading, KILL_DELAY_MS).unref());
  const result = await child.finally(limited.release);
  const started = result.exitCode !== undefined || result.signal !== undefined;
  return {
    outcome:
      ended ??
      (result.isMaxBuffer ? "too-much-output" : !started ? "not-started" : result.signal ? "killed" : "exited"),
    command: shown(argv),
    exitCode: result.exitCode,
    spawnError: started || ended ? undefined : (result.code ?? reasonOf(result.cause ?? result.shortMessage)),
    stdout: result.stdout ?? "",
    stderr: result.stderr ?? "",
    elapsedMs: Math.round(performance.now() - startedMs),
  };
}

/**
 * For a fence agent's questions: nobody may end them but we and the killer of our group, and they are on the clock.
 * execa has to lead a group of its own to end what a command started, and costs 25 ms before the first command and 4 ms
 * for each (measured in the executable, against 1 ms); so this is Bun's own spawn, and /proc tells whom to end.
 */
async function runInOurGroup(argv: Argv, options: RunOptions): Promise<CommandResult> {
  const { maxBytes = DEFAULT_MAX_BYTES, input } = options;
  const startedMs = performance.now();
  const result = (outcome: CommandOutcome, more: Partial<CommandResult> = {}): CommandResult => ({
    outcome,
    command: shown(argv),
    exitCode: undefined,
    spawnError: undefined,
    stdout: "",
    stderr: "",
    elapsedMs: Math.round(performance.now() - startedMs),
    ...more,
  });
  let child: Bun.Subprocess<"ignore" | Blob, "pipe", "pipe">;
  try {
    child = Bun.spawn([...argv], {
      stdin: input === undefined ? "ignore" : new Blob([input]),
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, ...environment(options) },
    });
  } catch (error) {
    return result("not-started", { spawnError: (error as NodeJS.ErrnoException).code ?? reasonOf(error) });
  }
  let ended: "timed-out" | "cancelled" | "too-much-output" | undefined;
  const readers = [child.stdout, child.stderr].map((stream) => stream.getReader());
  const stopReading = () => {
    for (const reader of readers) reader.cancel().catch(() => undefined);
  };
  const end = (why: NonNullable<typeof ended>) => {
    if (ended) return;
    ended = why;
    for (const pid of [...descendants(child.pid), child.pid]) killQuietly(pid);
    stopReading();
  };
  const limited = limit(options, end);
  child.exited.then(() => setTimeout(stopReading, KILL_DELAY_MS).unref());
  const [stdout = "", stderr = ""] = await Promise.all(
    readers.map((reader) => textFrom(reader, maxBytes, () => end("too-much-output"))),
  );
  // One that cannot be ended (D state) is left behind; it has no pipe of ours any more.
  const exitCode = ended ? undefined : await child.exited;
  limited.release();
  if (ended) return result(ended, { stdout, stderr });
  return child.signalCode ? result("killed", { stdout, stderr }) : result("exited", { exitCode, stdout, stderr });
}

async function textFrom(
  reader: { read: () => Promise<{ done: boolean; value?: Uint8Array | undefined }> },
  maxBytes: number,
  onTooMuch: () => void,
): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done || !value) break;
    chunks.push(value.subarray(0, Math.max(0, maxBytes - size)));
    size += value.length;
    if (size > maxBytes) {
      onTooMuch();
      break;
    }
  }
  return Buffer.concat(chunks).toString("utf8");
}

const environment = ({ env }: RunOptions): Record<string, string> => ({ ...env, LC_ALL: "C", LANGUAGE: "" });

/** For people: words that a shell would take apart are quoted. */
const shown = (argv: Argv): string =>
  argv.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word))).join(" ");

/** Why a command gave no answer, as a `reason`; undefined when it exited 0. */
export function failureOf(result: CommandResult, timeoutMs?: number): string | undefined {
  const words = lastWords(result.stderr === "" ? textOf(result.stdout) : result.stderr, 200);
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

/** Pacemaker's tools put their errors into the XML they were asked for. */
const textOf = (stdout: string): string => {
  const errors = [...stdout.matchAll(/<error>([^<]*)<\/error>/g)].map(([, error]) => error?.trim());
  return errors.length > 0 ? errors.join("; ") : stdout;
};

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

// The agent is on the clock when it starts its writer, and so is the writer when it takes its lock: Bun's own spawn costs
// 2 ms where node:child_process costs 6 (measured, loading included).

export type Detached = {
  send: (text: string) => void;
  end: () => void;
};

/**
 * Starts a helper in a session of its own (setsid), with pipes to its stdin and from its stdout and nothing else of
 * ours: it outlives us and the kill of our process group. `argv0` is the program name it answers to. `onOutput` hears
 * its stdout and at last, as undefined, that it has closed it.
 */
export function startDetached(
  argv: Argv,
  options: { argv0: string; env: Record<string, string> },
  onOutput: (text: string | undefined) => void,
): Detached {
  const child = Bun.spawn([...argv], {
    argv0: options.argv0,
    detached: true,
    cwd: "/",
    env: options.env,
    stdin: "pipe",
    stdout: "pipe",
    stderr: "ignore",
  });
  child.unref();
  (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) onOutput(decoder.decode(chunk, { stream: true }));
  })()
    .catch(() => undefined)
    .finally(() => onOutput(undefined));
  const quietly = (work: () => unknown): void => {
    try {
      Promise.resolve(work()).catch(() => undefined);
    } catch {
      // it died; onOutput says so
    }
  };
  return {
    send: (text) =>
      quietly(() => {
        child.stdin.write(text);
        return child.stdin.flush();
      }),
    end: () => quietly(() => child.stdin.end()),
  };
}

export type Reading = {
  chunks: AsyncIterable<Uint8Array>;
  /** When the chunks have ended: why they are not all there was; undefined when they are. */
  failure: Promise<string | undefined>;
  stop: () => void;
};

/**
 * Starts a command whose output is too big to hold, such as a decompressor: its stdout as it comes, as fast as it is
 * taken. `more` is added to its environment. Errors: OpsError missing-tool.
 */
export function startReading(argv: Argv, more: Readonly<Record<string, string>> = {}): Reading {
  let child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  try {
    child = Bun.spawn([...argv], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, LC_ALL: "C", LANGUAGE: "", ...more },
    });
  } catch (error) {
    throw new OpsError("missing-tool", `${argv[0]}: not started: ${reasonOf(error)}`, { cause: error });
  }
  // Until somebody asks for the first chunk the runtime takes all there is into memory; then only as much as is asked for.
  const chunks = child.stdout[Symbol.asyncIterator]();
  const first = chunks.next();
  first.catch(() => undefined); // whoever asks hears of it
  const words = textFrom(child.stderr.getReader(), 64 * 1024, () => child.kill("SIGKILL"));
  return {
    chunks: (async function* () {
      const { done, value } = await first;
      if (done) return;
      yield value;
      yield* { [Symbol.asyncIterator]: () => chunks };
    })(),
    failure: Promise.all([child.exited, words]).then(([code, stderr]) =>
      code === 0 ? undefined : `${argv[0]}: exit ${code}: ${lastWords(stderr)}`,
    ),
    stop: () => child.kill("SIGKILL"),
  };
}
