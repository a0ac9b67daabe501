/**
 * The name it was called by → program → exit code. The only reader of argv, stdin and the environment, the only
 * printer of errors.
 */

import { EXIT_CODES, OpsError } from "./core/errors.ts";
import type { Argv } from "./core/exec.ts";
import type { Host } from "./core/host.ts";
import type { ProgramContext } from "./core/program.ts";
import { escapeControl } from "./core/text.ts";
import { type Personality, personalityOf, siblingOf } from "./programs.ts";

const MAX_STDIN_BYTES = 1024 * 1024;

/** How this program is started again: the executable, or the runtime with the script where it is not compiled. */
const self: Argv = process.argv[1]?.startsWith("/$bunfs/")
  ? [process.execPath]
  : [process.execPath, process.argv[1] ?? ""];
const words = process.argv.slice(2);

// `console` and Bun's own stdin, because process.stdout, process.stderr and process.stdin load Node's streams: measured
// 9 MB and 5 ms on a path that must stay below a Python agent's 21 MB. console.log writes the whole text at once and
// ends quietly when nobody reads.
const out = (text: string): void => console.log(text.replace(/\n$/, ""));
const err = (text: string): void => console.error(text.replace(/\n$/, ""));

async function* stdinChunks(): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const chunk of Bun.stdin.stream()) yield decoder.decode(chunk, { stream: true });
}

async function readStdin(): Promise<string> {
  let text = "";
  for await (const chunk of stdinChunks()) {
    text += chunk;
    if (text.length > MAX_STDIN_BYTES)
      throw new OpsError("usage", `options: more than ${MAX_STDIN_BYTES} bytes on stdin`);
  }
  return text;
}

async function* stdinLines(): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of stdinChunks()) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

const loadHost = async (): Promise<Host> => (await import("./core/host.ts")).realHost;

/** Wide enough for any table, narrow enough to read: where nobody tells how wide the reader's screen is. */
const PIPED_COLUMNS = 200;

/** makedev(1, 3), see null(4). */
const DEV_NULL = 0x103;

/** Loads node:tty, which takes 3 ms, only for what may be a terminal. */
async function writesToTerminal(): Promise<boolean> {
  const { fstatSync } = await import("node:fs");
  try {
    const stdout = fstatSync(1);
    if (!stdout.isCharacterDevice() || stdout.rdev === DEV_NULL) return false;
  } catch {
    return false; // it is closed
  }
  const { isatty } = await import("node:tty");
  return isatty(1);
}

async function programContext(): Promise<ProgramContext> {
  const { writeToStdout } = await import("./core/streams.ts");
  const isTerminal = await writesToTerminal();
  const told = Number(process.env.COLUMNS);
  return {
    host: await loadHost(),
    env: process.env,
    out: writeToStdout,
    err,
    stdin: () => Bun.stdin.stream(),
    self,
    terminal: {
      columns: (isTerminal ? process.stdout.columns : undefined) || told || (isTerminal ? 80 : PIPED_COLUMNS),
      colour: isTerminal && !process.env.NO_COLOR && process.env.TERM !== "dumb",
      isTerminal,
    },
  };
}

async function run(personality: Personality): Promise<number> {
  switch (personality) {
    case "fence": {
      const { runFenceAgent } = await import("./fence/agent.ts");
      return runFenceAgent({ argv: words, readStdin, env: process.env, loadHost, self, out, err });
    }
    case "ocf": {
      const { runOcfAgent } = await import("./fence/ocf.ts");
      return runOcfAgent({ argv: words, readStdin, env: process.env, loadHost, self, out, err });
    }
    case "alert": {
      const alert = await import("./fence/alert.ts");
      if (words[0] === "--help" || words[0] === "-h") {
        out(alert.renderAlertHelp());
        return 0;
      }
      return alert.runAlertAgent({ env: process.env, loadHost, err });
    }
    case "writer": {
      const { runWriter } = await import("./fence/writer.ts");
      await runWriter(await loadHost(), stdinLines(), (message) => out(JSON.stringify(message)));
      return 0;
    }
    case "sibling": {
      const { runSibling } = await import("./cli.ts");
      return runSibling(siblingOf(process.argv0) ?? "", words, programContext);
    }
    case "cli": {
      const { runCli } = await import("./cli.ts");
      return runCli(words, out, programContext);
    }
    default:
      return personality satisfies never;
  }
}

function report(error: unknown, personality: Personality): number {
  // A closed pipe (core/streams.ts) ends the program quietly.
  if (error instanceof Error && error.name === "ClosedPipe") return 0;
  const known = error instanceof OpsError ? error : undefined;
  const text = known?.message ?? `a bug in fencepost: ${error instanceof Error ? error.stack : String(error)}`;
  // What Pacemaker shows beside a failed resource action (resource-agents, ocf_exit_reason).
  const prefix = personality === "ocf" ? "ocf-exit-reason:" : "";
  err(`${prefix}${known ? escapeControl(text) : text}${known?.hint === undefined ? "" : `\ntry: ${known.hint}`}`);
  return personality === "fence" ? 1 : EXIT_CODES[known?.kind ?? "bug"][personality === "ocf" ? 1 : 0];
}

const personality = personalityOf(process.argv0, process.env);
process.exit(await run(personality).catch((error: unknown) => report(error, personality)));
