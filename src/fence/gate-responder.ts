/**
 * `fencepost gate-responder -- COMMAND`: the other side of role=gate, for sites that have no responder of their own.
 * Input:  words; requests in a directory. Output: an answer for each; lines on stdout, JSON with --json.
 * Exit:   0 when stopped (SIGTERM, SIGINT) or after --once, 1 when an answer could not be written.
 * Errors: OpsError usage, unsafe, the system's for directories that cannot be had.
 */
import { OpsError } from "../core/errors.ts";
import type { Argv } from "../core/exec.ts";
import type { ProgramContext } from "../core/program.ts";
import { escapeControl } from "../core/text.ts";
import { createParser } from "../core/words.ts";
import { type Note, watchRequests } from "./gate-watch.ts";
import { DEFAULTS } from "./options.ts";

const NAME = "fencepost gate-responder";

const LONG = `Answers the fence requests of fence_gfs2_recorder role=gate, fence_recorder and fence_dummy --type=recorder: runs
COMMAND once for each, with the request as FENCE_ACTION, FENCE_TARGET, FENCE_REQUEST_ID, FENCE_RECORDER_NODE,
FENCE_TIMESTAMP and FENCE_REQUEST_FILE in its environment and as one line of JSON on its stdin. No shell is involved. The
node counts as fenced when COMMAND exits 0 in time; its last line on stdout becomes the answer's message.`;

export async function runGateResponder(
  context: ProgramContext,
  words: readonly string[],
  called: string,
): Promise<number> {
  const { host, env, out, err } = context;
  const parser = createParser(context, called)
    .usage(`Usage: $0 [options] -- COMMAND [ARGUMENT..]\n\n${LONG}`)
    .options({
      "request-dir": { describe: "where requests are written", type: "string", requiresArg: true },
      "response-dir": { describe: "where answers are written", type: "string", requiresArg: true },
      timeout: { describe: "seconds that COMMAND may take", type: "string", default: "50", requiresArg: true },
      "max-age": { describe: "seconds after which nobody waits for a request", default: "60", type: "string" },
      "poll-interval": { describe: "seconds between two looks", type: "string", default: "0.5", requiresArg: true },
      once: { describe: "answer what is there, then end", type: "boolean" },
      json: { describe: "one JSON object a line", type: "boolean" },
    })
    .example("$0 -- /usr/local/sbin/detach-storage", "run it for each request, until stopped")
    .example("$0 --once --json -- /usr/bin/true", "answer yes to what is there: only for a test")
    .parserConfiguration({ "populate--": true, "camel-case-expansion": false, "parse-numbers": false })
    .strict();
  const args = await parser.parse(words);
  if (args.help) {
    await out(`${await parser.getHelp()}\n`);
    return 0;
  }
  const usage = (why: string): never => {
    throw new OpsError("usage", `${NAME}: ${why}`, { hint: `${called} --help` });
  };
  const seconds = (name: "timeout" | "max-age" | "poll-interval", least: number): number => {
    const value = Number(String(args[name]).replace(/s$/, ""));
    if (String(args[name]) !== "" && value >= least && value <= 86_400) return value * 1000;
    return usage(`--${name}: '${escapeControl(String(args[name]))}' is not a number of seconds from ${least} to 86400`);
  };
  const directory = (name: "request-dir" | "response-dir", setting: string, standard: string): string => {
    const path = args[name] ?? (env[setting] || standard);
    return path.startsWith("/") ? path : usage(`--${name}: '${escapeControl(path)}' is not an absolute path`);
  };
  const [file, ...rest] = ((args["--"] as unknown[] | undefined) ?? []).map(String);
  const command: Argv = [file ?? usage("which command? it comes after --"), ...rest];

  const stop = new AbortController();
  const kill = new AbortController();
  const onSignal = (): void => {
    // Once: what runs may end and is answered. Twice: that too is ended, and answered as failed.
    if (stop.signal.aborted) kill.abort();
    stop.abort();
  };
  process.on("SIGTERM", onSignal).on("SIGINT", onSignal);
  const json = args.json === true;
  /** Whether anybody reads these lines decides nothing. */
  const tell = (note: Note): Promise<void> => say(note).catch(() => undefined);
  const say = async (note: Note): Promise<void> => {
    if (json) await out(`${JSON.stringify(encodeNote(note, host.now()))}\n`);
    else if (note.event === "ignored" || note.event === "trouble") err(`${NAME}: ${textOf(note)}`);
    else await out(`${textOf(note)}\n`);
  };
  try {
    const { unanswered } = await watchRequests(host, {
      requestDir: directory("request-dir", "NNF_FENCE_REQUEST_DIR", DEFAULTS.requestDir),
      responseDir: directory("response-dir", "NNF_FENCE_RESPONSE_DIR", DEFAULTS.responseDir),
      command,
      timeoutMs: seconds("timeout", 0.1),
      maxAgeMs: seconds("max-age", 1),
      pollMs: seconds("poll-interval", 0.01),
      once: args.once === true,
      tell,
      stop: stop.signal,
      kill: kill.signal,
    });
    return unanswered === 0 ? 0 : 1;
  } finally {
    process.off("SIGTERM", onSignal).off("SIGINT", onSignal);
  }
}

const encodeNote = ({ event, requestId, action, target, success, message, elapsedMs }: Note, time: Date) => ({
  time: time.toISOString(),
  event,
  request_id: requestId,
  action,
  target_node: target,
  success,
  message,
  elapsed_ms: elapsedMs,
});

function textOf({ event, requestId, action, target, success, message, elapsedMs }: Note): string {
  const what = [action, action && "of", target, requestId && `(${requestId})`].filter(Boolean).join(" ");
  const verdict = success === undefined ? event : success ? "done" : "failed";
  const took = elapsedMs === undefined ? "" : ` in ${elapsedMs} ms`;
  return escapeControl(`${[what, `${verdict}${took}`, message].filter(Boolean).join(": ")}`);
}
