/**
 * The resource that the OCF agent stands for: no daemon, so "started" is a file in /run, gone with the boot it belongs to.
 * Input:  OCF_RESKEY_* and OCF_RESOURCE_INSTANCE. Output: OCF exit codes; findings on stderr, each once as long as it
 *         stays (execd logs them at every monitor) and kept in that file.
 * monitor: not started is 7, and nothing is looked at. Else the recorder's own health check, then a `fencepost recover
 * --reconcile` in a session of its own: a log directory that hangs holds that child and not this one.
 * Errors: OpsError privilege, config, and health.ts's where nothing can be recorded.
 */
import { OpsError, reasonOf } from "../core/errors.ts";
import { startDetached } from "../core/exec.ts";
import { ensureDirectory, readWhole, remove, writeWhole } from "../core/files.ts";
import { assertLocal } from "../core/local-path.ts";
import { escapeControl } from "../core/text.ts";
import type { AgentCall, AgentContext } from "./agent.ts";
import { monitor as checkHealth } from "./health.ts";
import type { ParameterName } from "./ocf-metadata.ts";
import { isFalse, isTrue, type Options } from "./options.ts";
import type { RecoveredRecord } from "./recover.ts";
import { DEFAULT_WINDOW, optionsFor, parseWindow, RUN_DIRECTORY, SCOPES, type Scope } from "./recover-options.ts";

const NAME = "fence_gfs2_recorder";
const NOT_RUNNING = 7;
/** Longer than recover's own limits: its lock and its questions. */
const RECOVER_WAIT_MS = 40_000;
const MAX_STATE_BYTES = 64 * 1024;

type OcfContext = AgentContext & {
  instance: string;
  reconcile: { window: string; scope: Scope } | undefined;
  findings: string[];
};

export async function resourceAction(
  call: AgentCall,
  action: "start" | "stop" | "monitor" | "validate-all",
): Promise<number> {
  const context = await contextOf(call);
  if (action === "validate-all") return validate(context);
  if (process.getuid?.() !== 0) {
    throw new OpsError("privilege", `${action}: not root`, { hint: "let Pacemaker call it" });
  }
  switch (action) {
    case "start":
      return start(context);
    case "stop":
      return stop(context);
    case "monitor":
      return monitor(context);
    default:
      return action satisfies never;
  }
}

async function contextOf(call: AgentCall): Promise<OcfContext> {
  const { env } = call;
  const host = await call.loadHost();
  const given = (name: ParameterName): string | undefined => env[`OCF_RESKEY_${name}`] || undefined;
  const options = optionsFor(host, env, { config: given("config"), logDir: given("log_dir") });
  const invalid = [...options.invalid];
  const window = given("reconcile_window") ?? DEFAULT_WINDOW;
  if (parseWindow(window) === undefined) invalid.push(`reconcile_window: '${escapeControl(window)}' is no time`);
  // A clone's instances each have their own; a single watcher has all of them to watch.
  const isClone = env.OCF_RESKEY_CRM_meta_clone_max !== undefined;
  const scopeWord = given("reconcile_scope") ?? (isClone ? "own" : "all");
  const scope = SCOPES.find((one) => one === scopeWord);
  if (!scope) invalid.push(`reconcile_scope: '${escapeControl(scopeWord)}' is none of ${SCOPES.join(", ")}`);
  const wanted = given("reconcile") ?? "true";
  if (!isTrue(wanted) && !isFalse(wanted))
    invalid.push(`reconcile: '${escapeControl(wanted)}' is neither true nor false`);
  const findings: string[] = [];
  return {
    ...call,
    host,
    options: { ...options, invalid } satisfies Options,
    warn: (message) => findings.push(escapeControl(message)),
    instance: env.OCF_RESOURCE_INSTANCE || NAME,
    reconcile: isTrue(wanted) && scope ? { window, scope } : undefined,
    findings,
  };
}

/** A resource's id may hold nothing else that Pacemaker allows; whatever comes by hand becomes a file name too. */
const stateName = ({ instance }: OcfContext): string => `${instance.replaceAll(/[^A-Za-z0-9_.:-]/g, "_")}.started`;
const statePath = (context: OcfContext): string => `${RUN_DIRECTORY}/${stateName(context)}`;

function assertValid({ options }: OcfContext): void {
  const [problem] = options.invalid;
  if (problem !== undefined) throw new OpsError("config", problem, { hint: "pcs resource config" });
}

async function validate(context: OcfContext): Promise<number> {
  assertValid(context);
  const { host, options } = context;
  // Not an error by itself, as such events are spooled; but nobody means it, and here it can still be mended.
  await assertLocal(options.logDir, host.readText("/proc/self/mountinfo") ?? "").catch((error: unknown) => {
    throw new OpsError("config", reasonOf(error), { hint: "log_dir on a disk of this node", cause: error });
  });
  for (const warning of options.warnings) context.err(`${NAME}: ${escapeControl(warning)}`);
  return 0;
}

async function start(context: OcfContext): Promise<number> {
  assertValid(context);
  if ((await readState(context)) !== undefined) return 0;
  for (const warning of context.options.warnings) context.warn(warning);
  await checkHealth(context);
  await ensureDirectory(RUN_DIRECTORY, 0o755);
  await tell(context, []);
  return 0;
}

async function stop(context: OcfContext): Promise<number> {
  await remove(statePath(context));
  return 0;
}

async function monitor(context: OcfContext): Promise<number> {
  const before = await readState(context);
  if (before === undefined) return NOT_RUNNING;
  for (const warning of context.options.warnings) context.warn(warning);
  const health = await checkHealth(context).catch((error: unknown) => error);
  const { problems } = await recoverAside(context);
  context.findings.push(...problems.map(escapeControl));
  await tell(context, before);
  if (health instanceof Error) throw health;
  return 0;
}

/** The findings of the last look; undefined when the resource is not started. */
async function readState(context: OcfContext): Promise<string[] | undefined> {
  const text = await readWhole(statePath(context), MAX_STATE_BYTES);
  if (text === undefined) return undefined;
  try {
    const state = JSON.parse(text) as { findings?: unknown };
    return Array.isArray(state.findings) ? state.findings.map(String) : [];
  } catch {
    return [];
  }
}

/** Says what was not there at the last look, and keeps what is. */
async function tell(context: OcfContext, before: readonly string[]): Promise<void> {
  const { findings, err } = context;
  for (const finding of findings.filter((finding) => !before.includes(finding))) err(`${NAME}: ${finding}`);
  const kept = findings.slice(0, 100).map((finding) => finding.slice(0, 500));
  await writeWhole(RUN_DIRECTORY, stateName(context), `${JSON.stringify({ version: 1, findings: kept })}\n`, 0o600);
}

/** Errors: none; what could not be done is a problem. */
async function recoverAside({ self, env, options, reconcile }: OcfContext): Promise<{ problems: string[] }> {
  const words = ["recover", "--json", "--inbox", "--log-dir", options.logDir];
  if (env.OCF_RESKEY_config) words.push(`--config=${env.OCF_RESKEY_config}`);
  if (reconcile) words.push("--reconcile", "--window", reconcile.window, "--scope", reconcile.scope);
  const ended = Promise.withResolvers<string>();
  let said = "";
  const given = { PATH: env.PATH ?? "/usr/sbin:/usr/bin:/sbin:/bin", ...(env.TZ === undefined ? {} : { TZ: env.TZ }) };
  const child = startDetached([...self, ...words], { argv0: "fencepost", env: given }, (text) => {
    if (text === undefined) ended.resolve(said);
    else said += text;
  });
  child.end();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), RECOVER_WAIT_MS);
  });
  const answer = await Promise.race([ended.promise, late]);
  clearTimeout(timer);
  if (answer === undefined)
    return { problems: [`recover: timed out after ${RECOVER_WAIT_MS} ms; it goes on by itself`] };
  try {
    return { problems: (JSON.parse(answer) as RecoveredRecord).problems };
  } catch {
    return { problems: [`recover: nothing was recovered or reconciled; try: fencepost ${words.join(" ")}`] };
  }
}
