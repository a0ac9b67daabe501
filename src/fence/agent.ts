/**
 * The fence agent: action → event, answer or text. Decides the exit code of every action: 0 done, 1 failed.
 * 2 would mean "reachable and off", which a recorder cannot know, so it is never used.
 * What an action does not need is not loaded: metadata must be quick, and a fence quicker.
 */
import { OpsError } from "../core/errors.ts";
import type { Argv } from "../core/exec.ts";
import type { Host } from "../core/host.ts";
import { escapeControl } from "../core/text.ts";
import { VERSION } from "../core/version.ts";
import { actionOf, DEFAULTS, isTrue, type Options, parseArgv, parseStdin, resolveOptions } from "./options.ts";

export const AGENT_PROGRAM = "fence_gfs2_recorder";

export type AgentCall = {
  argv: readonly string[];
  readStdin: () => Promise<string>;
  env: Readonly<Record<string, string | undefined>>;
  /** Loaded only when the world is asked; metadata needs none of it. */
  loadHost: () => Promise<Host>;
  /** How to start this executable again, for the writer. */
  self: Argv;
  out: (text: string) => void;
  err: (text: string) => void;
};

export type AgentContext = Omit<AgentCall, "loadHost"> & {
  host: Host;
  options: Options;
  warn: (message: string) => void;
};

/** Pacemaker's fencer is the caller: only then does a refusal keep a fence from counting, and nothing else may fail. */
export const calledByFencer = ({ env }: Pick<AgentCall, "env">): boolean => env.PCMK_service === "pacemaker-fenced";

export async function runFenceAgent(call: AgentCall): Promise<number> {
  const { argv, env, out } = call;
  const words = argv.length > 0 ? parseArgv(argv) : parseStdin(await call.readStdin());
  if (isTrue(words.values.get("help"))) {
    out((await import("./metadata.ts")).renderHelp());
    return 0;
  }
  if (isTrue(words.values.get("version"))) {
    out(`${VERSION}\n`);
    return 0;
  }
  const action = actionOf(words);
  // Asked by every tool, also as hacluster and where nothing can be read or written: needs nothing but the table.
  if (action === "metadata") {
    out((await import("./metadata.ts")).renderMetadata(AGENT_PROGRAM));
    return 0;
  }
  if (action === "manpage") {
    out((await import("./metadata.ts")).renderManPage(AGENT_PROGRAM, VERSION));
    return 0;
  }
  const host = await call.loadHost();
  const options = resolveOptions(words, env, (path) => host.readText(path));
  const warn = (message: string) => {
    if (!options.quiet) call.err(`${AGENT_PROGRAM}: ${escapeControl(message)}\n`);
  };
  // A typing error must not keep a node from being fenced; a person is told instead, before anything is written.
  const [problem] = options.invalid;
  const isFence = action === "on" || action === "off" || action === "reboot";
  if (problem !== undefined && (isFence ? !calledByFencer(call) : options.refusal !== undefined)) {
    throw new OpsError("usage", problem, { hint: `${AGENT_PROGRAM} --help` });
  }
  for (const warning of options.warnings) warn(warning);
  const context: AgentContext = { ...call, host, options, warn };
  switch (action) {
    case "on":
    case "off":
    case "reboot":
      return options.role === "gate"
        ? (await import("./gate.ts")).gateAction(context, action, targetOf(options))
        : (await import("./record.ts")).recordAction(context, action, targetOf(options));
    case "status":
      return (await import("./queries.ts")).status(context, targetOf(options));
    case "list":
    case "list-status":
      return (await import("./queries.ts")).list(context, action === "list-status");
    case "monitor":
      if (options.role === "gate") await (await import("./gate.ts")).assertExchange(context);
      return (await import("./health.ts")).monitor(context);
    case "validate-all":
      if (options.role === "gate") await (await import("./gate.ts")).assertExchange(context);
      return (await import("./health.ts")).validateAll(context);
    default:
      return action satisfies never;
  }
}

/** Any name is data: it is recorded as it came, escaped, and compared whole. Only none at all or an endless one is refused. */
function targetOf({ action, target }: Options): string {
  if (target === undefined) {
    throw new OpsError("usage", `${action}: no node: nodename, plug or port is needed`, {
      hint: `-o ${action} -n NODE`,
    });
  }
  if (target.length > DEFAULTS.maxTargetLength) {
    throw new OpsError(
      "usage",
      `${action}: node ${escapeControl(target.slice(0, 40))}…: longer than ${DEFAULTS.maxTargetLength} characters`,
      {
        hint: `${AGENT_PROGRAM} -o list`,
      },
    );
  }
  return target;
}
