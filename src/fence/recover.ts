/**
 * `fencepost recover`: brings into the log what waits elsewhere. The package's boot unit and timer and the OCF agent's
 * monitor call it.
 * Input:  words; intents beside the log, the spool, the alerts' inbox; with --reconcile Pacemaker's fencing history.
 * Output: what was recovered and what was not; --json: one object. Exit 0; 1 when something could not be done.
 * Errors: OpsError privilege (root's log), usage, config, unsafe, timeout (another one is at work and does not end).
 */
import { OpsError, reasonOf } from "../core/errors.ts";
import { ensureDirectory, exists, openForUpdate } from "../core/files.ts";
import { lockOpenFile } from "../core/flock.ts";
import type { Host } from "../core/host.ts";
import { assertLocal } from "../core/local-path.ts";
import type { ProgramContext } from "../core/program.ts";
import { escapeControl } from "../core/text.ts";
import { createParser } from "../core/words.ts";
import type { EventLog } from "./event-log.ts";
import { DEFAULTS } from "./options.ts";
import { type Reconciled, reconcileHistory } from "./reconcile.ts";
import { DEFAULT_WINDOW, optionsFor, parseWindow, RUN_DIRECTORY, SCOPES, type Scope } from "./recover-options.ts";
import { recoverAll, say } from "./writer.ts";

const LOCK = `${RUN_DIRECTORY}/recover.lock`;
const LOCK_TIMEOUT_MS = 20_000;

const LONG = `Brings into the log what waits elsewhere: intents whose recorder died, the spool for a log directory that could not
be written, the inbox in which the alert agent leaves outcomes. Each event and each outcome is written exactly once, however
often this is run and whoever else is recovering. The package's boot unit and timer run it; the OCF agent does with
--reconcile. Root only.

--reconcile also compares the outcomes with Pacemaker's fencing history (stonith_admin --history) and records what no alert
has told, at the earliest 35 s after the fence. --scope own: fences that this node executed, so that several nodes can run
it; all: every fence of the cluster, for a single node that watches.`;

export type Recovered = {
  log: EventLog;
  recovered: { eventId: string; from: string }[];
  problems: string[];
  reconciled: Reconciled | undefined;
};

export async function runRecover(context: ProgramContext, words: readonly string[], called: string): Promise<number> {
  const { host, env, out, err } = context;
  const parser = createParser(context, called)
    .usage(`Usage: $0 [options]\n\n${LONG}`)
    .options({
      config: { describe: "configuration file with KEY=value lines", type: "string", default: DEFAULTS.config },
      "log-dir": { describe: "the log, where it is not the configured one", type: "string", requiresArg: true },
      inbox: {
        describe: "merge the alerts' inbox into this log; without it only into the configured one",
        type: "boolean",
      },
      reconcile: { describe: "record what Pacemaker's fencing history has and no alert told", type: "boolean" },
      window: {
        describe: "how far back --reconcile looks",
        type: "string",
        default: DEFAULT_WINDOW,
        requiresArg: true,
      },
      scope: { describe: "whose fences --reconcile records", choices: SCOPES, default: "own" as Scope },
      json: { describe: "one JSON object", type: "boolean" },
    })
    .example("$0", "write what waits into the log now")
    .example("$0 --reconcile --scope all --json", "and record every fence that nobody recorded")
    .strict();
  const args = await parser.parse(words);
  if (args.help) {
    await out(`${await parser.getHelp()}\n`);
    return 0;
  }
  if (args._.length > 0) throw new OpsError("usage", `${called}: unexpected '${escapeControl(String(args._[0]))}'`);
  const windowMs = parseWindow(args.window);
  if (windowMs === undefined) {
    throw new OpsError("usage", `${called}: --window: '${escapeControl(args.window)}' is no time`, {
      hint: `--window ${DEFAULT_WINDOW}`,
    });
  }
  if (process.getuid?.() !== 0) {
    throw new OpsError("privilege", `${called}: not root: the log is root's`, { hint: `sudo ${called}` });
  }
  const options = optionsFor(host, env, { config: args.config, logDir: args["log-dir"] });
  for (const warning of options.warnings) err(`${called}: ${escapeControl(warning)}`);
  const log = { directory: options.logDir, operationalLog: options.fenceLog };
  const reconcile = args.reconcile ? { windowMs, scope: args.scope } : undefined;
  // As everywhere: what alerts told belongs into the log this node keeps, not into one that a person named once.
  const takesInbox = args.inbox ?? options.logDirIsConfigured;
  const found = await recover(host, log, { takesInbox, reconcile }).catch(async (error: unknown) => {
    // A program that reads stdout alone is told too.
    const nothing = { log, recovered: [], problems: [reasonOf(error)], reconciled: undefined };
    if (args.json) await out(`${JSON.stringify(recoveredRecord(nothing))}\n`);
    throw error;
  });
  if (args.json) await out(`${JSON.stringify(recoveredRecord(found))}\n`);
  else {
    await out(render(found));
    for (const problem of problemsOf(found)) err(`${called}: ${escapeControl(problem)}`);
  }
  return problemsOf(found).length > 0 ? 1 : 0;
}

async function recover(
  host: Host,
  log: EventLog,
  { takesInbox, reconcile }: { takesInbox: boolean; reconcile: { windowMs: number; scope: Scope } | undefined },
): Promise<Recovered> {
  await assertLocal(log.directory, host.readText("/proc/self/mountinfo") ?? "");
  if (!(await exists(log.directory))) {
    throw new OpsError("config", `${log.directory}: no such directory`, {
      hint: `install -d -o root -g haclient -m 0750 ${log.directory}`,
    });
  }
  await ensureDirectory(RUN_DIRECTORY, 0o755);
  const lock = await openForUpdate(LOCK);
  try {
    // One at a time: two could compare the history with the same outcomes and both find one missing.
    if (!(await lockOpenFile(lock.fd, LOCK_TIMEOUT_MS))) {
      throw new OpsError("timeout", `${LOCK}: another recovery has not ended within ${LOCK_TIMEOUT_MS} ms`, {
        hint: `fuser -v ${LOCK}`,
      });
    }
    const places = await recoverAll(host, log, { takesInbox });
    const found: Recovered = {
      log,
      recovered: places.flatMap(({ directory, recovered }) =>
        recovered.map((eventId) => ({ eventId, from: directory })),
      ),
      problems: places.flatMap(({ problems }) => problems),
      reconciled: undefined,
    };
    if (reconcile) {
      // The inbox first: what an alert has told is not missed.
      try {
        found.reconciled = await reconcileHistory(host, log, reconcile);
      } catch (error) {
        found.problems.push(`not reconciled: ${reasonOf(error)}`);
      }
      for (const { eventId, action, target } of found.reconciled?.recorded ?? []) {
        await say(host, log, "WARNING", `recorded ${action} of ${target} from Pacemaker's history as ${eventId}`);
      }
    }
    return found;
  } finally {
    await lock.close();
  }
}

const problemsOf = ({ problems, reconciled }: Recovered): string[] => [...problems, ...(reconciled?.problems ?? [])];

/** The one shape of --json. */
const recoveredRecord = (found: Recovered) => ({
  log_dir: found.log.directory,
  recovered: found.recovered.map(({ eventId, from }) => ({ event_id: eventId, from })),
  reconciled:
    found.reconciled === undefined
      ? null
      : {
          node: found.reconciled.node,
          scope: found.reconciled.scope,
          compared: found.reconciled.compared,
          recorded: found.reconciled.recorded.map(({ eventId, action, target, status }) => ({
            event_id: eventId,
            action,
            target_node: target,
            status,
          })),
        },
  problems: problemsOf(found),
});

export type RecoveredRecord = ReturnType<typeof recoveredRecord>;

function render({ log, recovered, reconciled }: Recovered): string {
  let text = `${log.directory}: ${recovered.length} recovered\n`;
  for (const { eventId, from } of recovered) text += `  ${eventId} from ${from}\n`;
  if (!reconciled) return text;
  const { compared, recorded, scope, node } = reconciled;
  const whose = scope === "own" ? `fences that ${node} executed` : "fences of the cluster";
  text += `Pacemaker's history: ${compared} ${whose} compared, ${recorded.length} recorded that were missing\n`;
  for (const { eventId, action, target, status } of recorded)
    text += `  ${eventId} ${action} of ${escapeControl(target)} ${status}\n`;
  return text;
}
