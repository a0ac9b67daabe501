/**
 * The writer: a child in a session of its own that owns the log directory while the agent asks the cluster.
 * Input:  JSON lines on stdin: `intent` at once, `update` when more is known, `final` at the end. If stdin ends before
 *         `final`, the agent was killed and what is known is final.
 * Output: JSON lines on stdout: {"intent":true} when the intent is on disk, {"done":WHERE,…} when the event is.
 * The log directory may hang: whatever waits for it is raced against the clock, and the spool takes the event.
 */
import { OpsError, reasonOf } from "../core/errors.ts";
import { ensureDirectory, errorCode, exists, openForAppend, remove, writeWhole } from "../core/files.ts";
import type { Host } from "../core/host.ts";
import { assertLocal } from "../core/local-path.ts";
import { identityOf } from "../core/process-identity.ts";
import { writeSyslog } from "../core/syslog.ts";
import { type EncodedEvent, renderFields } from "../records/fence-event.ts";
import { appendEvent, appendOperational, type EventLog } from "./event-log.ts";
import { INBOX_DIRECTORY, mergeInbox } from "./inbox.ts";
import {
  intentsDirectory,
  type PendingEvent,
  pendingName,
  prepareSpool,
  type Recovery,
  recoverPending,
  SPOOL_DIRECTORIES,
  STATE_DIRECTORY,
  writePending,
} from "./pending.ts";

/** Where an event is, best first; `intent`: the log is slow, and whoever comes next can recover it. */
export type Whereabouts = "log" | "spool" | "intent" | "syslog" | "nowhere";

export type ToWriter =
  | { kind: "intent"; log: EventLog; tag: string; pid: number; takesInbox: boolean; event: EncodedEvent }
  | { kind: "update"; event: EncodedEvent }
  | {
      kind: "final";
      event: EncodedEvent;
      verdict?: { fileName: string; text: string };
      debug?: { path: string; text: string };
    }
  | { kind: "check"; log: EventLog; findings: readonly string[] };

export type Health = { canRecord: boolean; findings: readonly string[] };

export type FromWriter = { intent: true } | { done: Whereabouts; reason?: string } | { health: Health };

/** A healthy disk takes milliseconds; one that has not answered by now is treated as hung. */
const INTENT_PATIENCE_MS = 100;
const LOG_PATIENCE_MS = 500;
const SPOOL_PATIENCE_MS = 200;
const LOCK_TIMEOUT_MS = 30_000;

export type Settled = { ok: true } | { ok: false; reason: string; code: string | undefined };

export const settle = (work: Promise<unknown>): Promise<Settled> =>
  work.then(
    () => ({ ok: true }),
    (error: unknown) => ({ ok: false, reason: reasonOf(error), code: errorCode(error) }),
  );

export async function within(host: Host, work: Promise<Settled>, ms: number): Promise<Settled | "hung"> {
  const stop = new AbortController();
  try {
    return await Promise.race([work, host.sleep(ms, stop.signal).then(() => "hung" as const)]);
  } finally {
    stop.abort();
  }
}

export async function runWriter(
  host: Host,
  input: AsyncIterable<string>,
  reply: (message: FromWriter) => void,
): Promise<void> {
  const messages = input[Symbol.asyncIterator]();
  const first = decode((await messages.next()).value);
  if (first?.kind === "check") {
    const { checkHealth } = await import("./writer-health.ts");
    reply({ health: await checkHealth(host, first.log, first.findings) });
    return;
  }
  if (first?.kind !== "intent") return;
  const { log, tag, pid, takesInbox } = first;
  const entry = (event: EncodedEvent, complete: boolean): PendingEvent => ({
    version: 1,
    complete,
    owner: identityOf(host, process.pid),
    log,
    event,
  });

  const local = settle(checkLocal(host, log));
  const intentStored = settle(
    (async () => {
      const checked = await local;
      if (!checked.ok) throw new OpsError("unsafe", checked.reason);
      await ensureDirectory(intentsDirectory(log));
      await writePending(intentsDirectory(log), entry(first.event, false));
    })(),
  );
  const earlySpool = (async () => {
    const stored = await within(host, intentStored, INTENT_PATIENCE_MS);
    if (stored !== "hung" && stored.ok) reply({ intent: true });
    else if (await spool(host, entry(first.event, false))) reply({ intent: true });
  })();

  const { event, verdict, debug } = await lastWord(messages, first.event);

  let spooled = false;
  const logged = (async (): Promise<Settled> => {
    const checked = await local;
    if (!checked.ok) return checked;
    await intentStored;
    return settle(
      appendEvent(log, event, { timeoutMs: LOCK_TIMEOUT_MS, unlessThere: () => spooled, now: () => host.now() }),
    );
  })();
  const outcome = await within(host, logged, LOG_PATIENCE_MS);
  const reason =
    outcome === "hung"
      ? `${log.directory}: no answer within ${LOG_PATIENCE_MS} ms`
      : outcome.ok
        ? undefined
        : outcome.reason;
  // Only where the system has just said that something is not there: looking at a disk that hangs would hang us.
  const absent = outcome !== "hung" && !outcome.ok && outcome.code === "ENOENT";
  const missing = absent && !(await exists(log.directory).catch(() => true));
  const because = missing
    ? `${log.directory}: no such directory; try: install -d -o root -g haclient -m 0750 ${log.directory}`
    : reason;
  let where: Whereabouts = "log";
  if (reason !== undefined) {
    spooled = true;
    await earlySpool;
    const hasIntent = async () => {
      const stored = await within(host, intentStored, 0);
      return stored !== "hung" && stored.ok;
    };
    where = (await spool(host, entry(event, true))) ? "spool" : (await hasIntent()) ? "intent" : "nowhere";
  }
  const text = renderFields(event);
  const message =
    where === "log" ? text : `${text} RECORDED=${where} BECAUSE=${because} EVENT=${JSON.stringify(event)}`;
  const priority = where === "log" && event.status !== "refused" ? "notice" : "warning";
  const toSyslog = () => writeSyslog(host, { tag, pid, priority, text: message }).catch(() => false);
  if (where === "nowhere" && (await toSyslog())) where = "syslog";
  reply(because === undefined ? { done: where } : { done: where, reason: because });

  // The event is safe and the agent free to go; the rest has time.
  const level = event.status === "refused" ? "WARNING" : "INFO";
  const sayInLog = () => say(host, log, level, text);
  if (where === "log") await sayInLog();
  if (where !== "nowhere" && where !== "syslog") await toSyslog();
  if (verdict) await saveVerdict(verdict).catch(() => undefined);
  if (debug) await appendDebug(debug).catch(() => undefined);
  if ((await logged).ok) {
    if (where !== "log") await sayInLog();
    const name = pendingName(event);
    await earlySpool;
    await Promise.all(
      [intentsDirectory(log), ...SPOOL_DIRECTORIES].map((directory) =>
        remove(`${directory}/${name}`).catch(() => undefined),
      ),
    );
    await recoverAll(host, log, { takesInbox });
  }
}

/**
 * Brings into the log what others left behind. The spool first: it may hold the complete version of what is only an
 * intent beside the log. The alerts' inbox belongs to the log that this node is configured to keep.
 */
export async function recoverAll(
  host: Host,
  log: EventLog,
  { takesInbox }: { takesInbox: boolean },
): Promise<(Recovery & { directory: string })[]> {
  const done: (Recovery & { directory: string })[] = [];
  // Only root may decide what belongs into the log.
  if (process.getuid?.() !== 0) return done;
  const places = [
    ...[...SPOOL_DIRECTORIES, intentsDirectory(log)].map((directory) => ({
      directory,
      recover: () => recoverPending(host, directory, log, { takesOthers: takesInbox }),
    })),
    ...(takesInbox ? [{ directory: INBOX_DIRECTORY, recover: () => mergeInbox(host, log) }] : []),
  ];
  for (const { directory, recover } of places) {
    const { recovered, problems } = await recover().catch((error: unknown) => ({
      recovered: [],
      problems: [`${directory}: ${reasonOf(error)}`],
    }));
    for (const id of recovered) await say(host, log, "INFO", `recovered event ${id} from ${directory}`);
    for (const problem of problems) await say(host, log, "WARNING", problem);
    done.push({ directory, recovered, problems });
  }
  return done;
}

/** The operational log is for people and may lie elsewhere; without it nothing is lost, and health says so. */
export async function say(host: Host, log: EventLog, level: "INFO" | "WARNING", text: string): Promise<void> {
  try {
    await assertLocal(log.operationalLog, host.readText("/proc/self/mountinfo") ?? "");
    await appendOperational(log, level, text, host.now());
  } catch {
    // see writer-health.ts
  }
}

export async function checkLocal(host: Host, log: EventLog): Promise<void> {
  await assertLocal(log.directory, host.readText("/proc/self/mountinfo") ?? "");
}

function decode(line: unknown): ToWriter | undefined {
  try {
    return JSON.parse(String(line)) as ToWriter;
  } catch {
    return undefined; // the agent was killed while it wrote this line
  }
}

async function lastWord(
  messages: AsyncIterator<string>,
  intent: EncodedEvent,
): Promise<Omit<ToWriter & { kind: "final" }, "kind">> {
  let event = intent;
  for (;;) {
    const { value, done } = await messages.next();
    const message = done ? undefined : decode(value);
    if (message?.kind === "final") return message;
    if (message?.kind === "update") event = message.event;
    if (done)
      return { event: { ...event, details: `${event.details}; the recorder was ended before it had finished` } };
  }
}

async function spool(host: Host, entry: PendingEvent): Promise<boolean> {
  for (const directory of SPOOL_DIRECTORIES) {
    const written = await within(
      host,
      settle(prepareSpool(directory).then(() => writePending(directory, entry))),
      SPOOL_PATIENCE_MS,
    );
    if (written !== "hung" && written.ok) return true;
  }
  return false;
}

async function saveVerdict({ fileName, text }: { fileName: string; text: string }): Promise<void> {
  await ensureDirectory(STATE_DIRECTORY, 0o755);
  await ensureDirectory(`${STATE_DIRECTORY}/guard`);
  await writeWhole(`${STATE_DIRECTORY}/guard`, fileName, text, 0o600);
}

async function appendDebug({ path, text }: { path: string; text: string }): Promise<void> {
  const { handle } = await openForAppend(path);
  try {
    await handle.write(text);
  } finally {
    await handle.close();
  }
}
