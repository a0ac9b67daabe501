/**
 * The alert agent: Pacemaker tells it how a fence ended. It cannot influence one.
 * Input:  CRM_alert_* in the environment, from pacemaker-execd, as hacluster, on every node and many at once; the alert's
 *         instance attribute `kinds`. Recipients are not needed and make no difference.
 * Output: kind fencing: one file in the inbox that root merges (inbox.ts), named for the operation, so that however often
 *         Pacemaker tells of one it is recorded once. Other kinds: nothing, or a line in syslog when `kinds` names them:
 *         the log directory is root's alone, and the inbox takes nothing but outcomes.
 * Errors: OpsError io, bad-input: the outcome is not in the inbox; syslog and the message then hold all of it.
 * Source: pacemaker 2.1.5 lib/fencing/st_client.c stonith__event_description(), daemons/controld/controld_utils.c;
 *         lib/lrmd/lrmd_alerts.c; "Operation … requested by …" is Pacemaker before 2.1; test/fixtures/gfs2-cluster/alerts
 */
import { OpsError, reasonOf } from "../core/errors.ts";
import { writeWhole } from "../core/files.ts";
import type { Host } from "../core/host.ts";
import { writeSyslog } from "../core/syslog.ts";
import { escapeControl } from "../core/text.ts";
import type { EventAction } from "../records/fence-event.ts";
import { decodeOutcome, encodeOutcome, type FenceOutcome } from "../records/fence-outcome.ts";
import { INBOX_DIRECTORY, MAX_OUTCOME_BYTES } from "./inbox.ts";

export const ALERT_PROGRAM = "alert_gfs2_recorder";
export const ALERT_KINDS = ["fencing", "node", "resource", "attribute"] as const;

type Environment = Readonly<Record<string, string | undefined>>;
export type AlertCall = { env: Environment; loadHost: () => Promise<Host>; err: (text: string) => void };

/** Nobody but hacluster writes here and root reads it in any case. */
const OUTCOME_MODE = 0o600;
/** Pacemaker ends an alert agent after 30 s; a disk that has not answered by now is hung, and syslog takes the outcome. */
const WRITE_PATIENCE_MS = 5_000;
const MAX_TEXT = 1_000;
/** Longer than anything Pacemaker says, short enough for a line of syslog with all that is around it. */
const MAX_DETAILS = 4_000;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export async function runAlertAgent(call: AlertCall): Promise<number> {
  const { env } = call;
  const kind = env.CRM_alert_kind;
  if (kind === "fencing") return recordOutcome(call);
  if (kind === undefined || kind === "") {
    throw new OpsError("usage", `${ALERT_PROGRAM}: CRM_alert_kind is not set: Pacemaker calls it, nobody else`, {
      hint: `pcs alert create id=fencepost-alert path=/usr/share/pacemaker/alerts/${ALERT_PROGRAM}`,
    });
  }
  const asked = (env.kinds ?? "").split(/[\s,]+/).filter((word) => word !== "");
  for (const word of asked.filter((word) => !(ALERT_KINDS as readonly string[]).includes(word))) {
    call.err(`${ALERT_PROGRAM}: kinds: '${escapeControl(word).slice(0, 100)}' is none of ${ALERT_KINDS.join(", ")}`);
  }
  if (!asked.includes(kind)) return 0;
  const text = `ALERT ${escapeControl(JSON.stringify(alertOf(env)))}`;
  if (await sayInSyslog(await call.loadHost(), "notice", text)) return 0;
  throw new OpsError("io", `${ALERT_PROGRAM}: syslog did not take it: ${text}`, { hint: "logger test" });
}

async function recordOutcome({ env, loadHost }: AlertCall): Promise<number> {
  const host = await loadHost();
  let whole = JSON.stringify(alertOf(env));
  try {
    const outcome = await outcomeOf(env, host);
    const text = JSON.stringify(encodeOutcome(outcome));
    whole = text;
    if (Buffer.byteLength(text) > MAX_OUTCOME_BYTES) throw new OpsError("bad-input", "outcome: too long");
    decodeOutcome(JSON.parse(text), "alert"); // what root will do with it: better refused here, where it can be said
    await inTime(host, writeWhole(INBOX_DIRECTORY, `${outcome.eventId}.json`, text, OUTCOME_MODE));
    return 0;
  } catch (error) {
    const said = await sayInSyslog(host, "err", `OUTCOME NOT IN THE INBOX BECAUSE=${reasonOf(error)} OUTCOME=${whole}`);
    const where = said ? "syslog has it" : `syslog did not take it either: ${whole}`;
    const kind = error instanceof OpsError ? error.kind : "io";
    throw new OpsError(kind, `${INBOX_DIRECTORY}: outcome not written: ${reasonOf(error)}; ${where}`, {
      hint: `ls -ld ${INBOX_DIRECTORY} (install -d -o hacluster -g haclient -m 0700 ${INBOX_DIRECTORY})`,
    });
  }
}

async function inTime(host: Host, work: Promise<void>): Promise<void> {
  const late = host.sleep(WRITE_PATIENCE_MS).then(() => {
    throw new OpsError("timeout", `timed out after ${WRITE_PATIENCE_MS} ms`);
  });
  await Promise.race([work, late]);
}

const sayInSyslog = (host: Host, priority: "notice" | "err", text: string): Promise<boolean> =>
  writeSyslog(host, { tag: ALERT_PROGRAM, pid: process.pid, priority, text }).catch(() => false);

/** What Pacemaker told, without the copy under the old names (CRM_notify_*). */
const alertOf = (env: Environment): Record<string, string | undefined> =>
  Object.fromEntries(Object.entries(env).filter(([name]) => name.startsWith("CRM_alert_")));

export type AlertDescription = {
  action: string;
  target: string;
  delegate?: string;
  client?: string;
  origin?: string;
  /** `OK`, or why not: `Error`, `Timed Out`, `No fence device`, … */
  result: string;
  /** The agent's or the fencer's own words. */
  reason?: string;
  ref?: string;
};

/** `Operation off of N by D for C@O: Timed Out (why) (ref=…)`; a name has no blank, the words in `why` may be any. */
const DESCRIPTION =
  /^Operation (\S+) of (.+?) by (.+?) for (.+?)@(.+?): ([^()]*?)(?: \((.*)\))? \(ref=(\(none\)|[^()]*)\)$/s;
const DESCRIPTION_BEFORE_2_1 = /^Operation (\S+) requested by (.+?) for peer (.+?): (.*?) \(ref=(\(none\)|[^()]*)\)$/s;

/** Undefined for text that is none of Pacemaker's. */
export function parseDescription(text: string): AlertDescription | undefined {
  const known = (name: string, value: string | undefined, ...placeholders: string[]) =>
    value === undefined || value === "" || placeholders.includes(value) ? {} : { [name]: value };
  const now = DESCRIPTION.exec(text);
  if (now) {
    const [, action = "", target = "", delegate, client, origin, result = "", reason, ref] = now;
    return {
      action,
      target,
      ...known("delegate", delegate, "the cluster"),
      ...known("client", client, "a client"),
      ...known("origin", origin, "a node"),
      result,
      ...known("reason", reason),
      ...known("ref", ref, "(none)"),
    };
  }
  const before = DESCRIPTION_BEFORE_2_1.exec(text);
  if (!before) return undefined;
  const [, action = "", origin, target = "", result = "", ref] = before;
  return { action, target, ...known("origin", origin), result, ...known("ref", ref) };
}

const cut = (text: string, limit: number): string =>
  (text.length > limit ? `${text.slice(0, limit - 1)}…` : text).toWellFormed();

const isAction = (word: string): word is EventAction => word === "on" || word === "off" || word === "reboot";

/** Errors: OpsError bad-input for what is no fence that ended. */
export async function outcomeOf(env: Environment, host: Host): Promise<FenceOutcome> {
  const text = env.CRM_alert_desc ?? "";
  // The action stands nowhere else: CRM_alert_task is `st_notify_fence` for each of them.
  const told = parseDescription(text);
  if (!told || !isAction(told.action)) {
    throw new OpsError("bad-input", `CRM_alert_desc: no fence: '${escapeControl(text).slice(0, 200)}'`);
  }
  const { action, client, origin, delegate, result, reason, ref } = told;
  const target = env.CRM_alert_node || told.target;
  const rc = /^-?\d{1,10}$/.test(env.CRM_alert_rc ?? "") ? Number(env.CRM_alert_rc) : undefined;
  // Whatever is unclear has not succeeded.
  const succeeded = (rc ?? 0) === 0 && result === "OK";
  const completedMs = completionOf(env) ?? host.now().getTime();
  const why = [succeeded ? undefined : result, reason].filter((words) => words !== undefined && words !== "");
  const words = { id: ref, action, client, origin, delegate, reason: why.length > 0 ? why.join(": ") : undefined };
  const operation: Record<string, string | number> = { completed_ms: completedMs };
  for (const [name, value] of Object.entries(words)) if (value !== undefined) operation[name] = cut(value, MAX_TEXT);
  if (rc !== undefined) operation.rc = rc;
  return {
    eventId: await eventIdOf(ref, `${text} ${Math.floor(completedMs / 1000)}`),
    action,
    target: target.toWellFormed(),
    filesystems: ["none-detected"], // nobody was asked; without `discovery` this reads as unknown
    status: succeeded ? "succeeded" : "failed",
    details: cut(escapeControl(text), MAX_DETAILS),
    recorderNode: host.hostname(),
    source: "alert",
    timeMs: completedMs,
    operation,
  };
}

function completionOf({ CRM_alert_timestamp_epoch: epoch, CRM_alert_timestamp_usec: usec }: Environment) {
  if (!/^[1-9]\d{0,11}$/.test(epoch ?? "")) return undefined;
  return Number(epoch) * 1000 + (/^\d{1,6}$/.test(usec ?? "") ? Math.floor(Number(usec) / 1000) : 0);
}

/** The operation's own id is a UUID: every node that is told of it, and every time, names the outcome alike. */
async function eventIdOf(ref: string | undefined, otherwise: string): Promise<string> {
  const id = ref?.toLowerCase();
  if (id !== undefined && UUID.test(id)) return id;
  const { v5 } = await import("uuid");
  return v5(ref ?? otherwise, v5.URL);
}

export function renderAlertHelp(): string {
  return `${ALERT_PROGRAM}: Pacemaker alert agent that records how fences ended

Pacemaker calls it; it cannot influence a fence. Each outcome goes to ${INBOX_DIRECTORY} and from there, by
root's next fence, OCF monitor or fencepost recover, into fence-outcomes.jsonl.

Alert option (instance attribute):
  kinds    Which other alerts are worth a line in syslog: ${ALERT_KINDS.slice(1).join(", ")}; separated by blanks or
           commas. Fencing is always recorded.

Examples:
  pcs alert create id=fencepost-alert path=/usr/share/pacemaker/alerts/${ALERT_PROGRAM}
      record every fence of the cluster, on every node
  pcs alert create id=fencepost-alert path=/usr/share/pacemaker/alerts/${ALERT_PROGRAM} options kinds="node resource"
      the same, and tell syslog of nodes and resources

Exit codes: 0 recorded, or nothing to record; anything else: the outcome is in syslog instead
`;
}
