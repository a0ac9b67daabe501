/**
 * The gate's hands: a child that touches the two directories, so that one that hangs cannot hold the agent (a thread in
 * D state keeps even a killed process from ending).
 * Input:  one JSON line on stdin, ToMailbox; the end of stdin means that nobody waits any more.
 * Output: JSON lines on stdout, FromMailbox. A request that nobody awaits is withdrawn: fenced long after Pacemaker has
 *         given up, a node may have come back.
 */
import { reasonOf } from "../core/errors.ts";
import { errorCode, exists, listNames, remove, statOf } from "../core/files.ts";
import type { Host } from "../core/host.ts";
import { objectionsTo, prepareExchange, readExchange, touchExchange, writeExchange } from "./gate-files.ts";
import {
  encodeRequest,
  exchangeName,
  finishedName,
  type GateRequest,
  judgeResponse,
  partsOfName,
  type Verdict,
} from "./gate-protocol.ts";

export type Exchange = {
  requestDir: string;
  responseDir: string;
  request: GateRequest;
  timeoutMs: number;
  pollMs: number;
  maxAgeMs: number;
};

export type ToMailbox =
  | ({ kind: "exchange" } & Exchange)
  | { kind: "check"; requestDir: string; responseDir: string; waitMs: number };

export type ExchangeHealth = { failures: readonly string[]; warnings: readonly string[] };

export type FromMailbox = { requested: true } | { verdict: Verdict } | { health: ExchangeHealth };

/** While it is awaited, a request's file is never older than this. The least cleanup_max_age is three times that. */
const TOUCH_MS = 10_000;
/** An answer that is written in place may be seen half, but not for longer. */
const SETTLE_MS = 1_000;
/** The coarsest times that filesystems keep (FAT: 2 s). */
const FILE_TIME_STEP_MS = 2_000;

export async function runMailbox(
  host: Host,
  stdin: AsyncIterable<Uint8Array>,
  reply: (message: FromMailbox) => Promise<void>,
): Promise<void> {
  const chunks = stdin[Symbol.asyncIterator]();
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await chunks.next();
    if (done) return;
    text += Buffer.from(value).toString("utf8");
  }
  const message = JSON.parse(text) as ToMailbox;
  if (message.kind === "check") {
    await reply({ health: await checkExchange(host, message) });
    return;
  }
  const abandoned = new AbortController();
  (async () => {
    while (!(await chunks.next()).done);
  })()
    .catch(() => undefined)
    .finally(() => abandoned.abort());
  const verdict = await exchange(host, message, abandoned.signal, () => void reply({ requested: true }));
  if (verdict) await reply({ verdict });
}

/** The whole exchange; undefined when it was abandoned. Never rejects: what could not be done is a failed fence. */
export async function exchange(
  host: Host,
  task: Exchange,
  signal: AbortSignal,
  onRequested: () => void,
): Promise<Verdict | undefined> {
  const { requestDir, responseDir, request } = task;
  const name = exchangeName(request.target, request.requestId);
  const started = { wallMs: host.now().getTime(), monotonicMs: host.monotonicMs() };
  const no = (message: string): Verdict => ({ success: false, message });
  const withdraw = () => remove(`${requestDir}/${name}`).catch(() => undefined);
  try {
    await prepareExchange(requestDir);
    await prepareExchange(responseDir);
    if (await exists(`${responseDir}/${name}`)) {
      return no(`stale answer: ${responseDir}/${name} was there before it was asked for`);
    }
    await cleanUp(host, requestDir, task.maxAgeMs).catch(() => undefined); // only tidiness
    await writeExchange(requestDir, name, encodeRequest(request), () => !signal.aborted);
  } catch (error) {
    await withdraw();
    return signal.aborted ? undefined : no(`the request was not written: ${reasonOf(error)}`);
  }
  onRequested();
  const answer = await waitForAnswer(host, task, name, started, signal);
  if (answer?.withdraw !== false) await withdraw();
  return answer?.verdict;
}

type Found = { verdict: Verdict; withdraw: boolean };

async function waitForAnswer(
  host: Host,
  { requestDir, responseDir, request, timeoutMs, pollMs }: Exchange,
  name: string,
  started: { wallMs: number; monotonicMs: number },
  signal: AbortSignal,
): Promise<Found | undefined> {
  const path = `${responseDir}/${name}`;
  const deadlineMs = started.monotonicMs + timeoutMs;
  const writtenMs = (await statOf(`${requestDir}/${name}`).catch(() => undefined))?.modifiedMs;
  /** The earliest time that an answer may bear; when the clock was set back meanwhile, that much earlier. */
  const earliestMs = (): number => {
    const stepMs = host.now().getTime() - started.wallMs - (host.monotonicMs() - started.monotonicMs);
    return (writtenMs ?? started.wallMs) + Math.min(0, stepMs) - FILE_TIME_STEP_MS;
  };
  let touchedMs = host.monotonicMs();
  let half: { sinceMs: number; text: string } | undefined;
  let trouble: string | undefined;
  while (!signal.aborted) {
    const nowMs = host.monotonicMs();
    try {
      const answer = await readExchange(responseDir, name);
      trouble = undefined;
      if (answer) {
        if (answer.modifiedMs < earliestMs()) return refused(`stale answer: ${path} was written before the request`);
        const verdict = judgeResponse(answer.text, request);
        if (verdict) return { verdict, withdraw: false };
        if (half?.text !== answer.text) half = { sinceMs: nowMs, text: answer.text };
        if (nowMs - half.sinceMs >= SETTLE_MS) return refused(`${path}: not a whole JSON object`);
      }
    } catch (error) {
      // A system's error may pass (ESTALE, EIO); a file that is not what it must be is somebody's doing.
      if (errorCode(error) === undefined) return refused(reasonOf(error));
      trouble = reasonOf(error);
    }
    const leftMs = deadlineMs - host.monotonicMs();
    if (leftMs <= 0) {
      const what = half ? `${path} is not a whole JSON object` : (trouble ?? `no answer in ${path}`);
      return { verdict: { success: false, message: `timed out after ${timeoutMs / 1000} s: ${what}` }, withdraw: true };
    }
    if (nowMs - touchedMs >= TOUCH_MS) {
      touchedMs = nowMs;
      await touchExchange(`${requestDir}/${name}`, host.now()).catch(() => undefined); // a responder has taken it
    }
    await host.sleep(Math.min(half ? Math.min(pollMs, SETTLE_MS / 4) : pollMs, leftMs), signal);
  }
  return undefined;
}

/** An answer there was, but it counts for nothing, and asking for another with the same id would not mend that. */
const refused = (message: string): Found => ({ verdict: { success: false, message }, withdraw: true });

/** Requests that nobody has touched for so long; an agent that waits touches its own. Nothing that is not a request. */
export async function cleanUp(host: Host, requestDir: string, maxAgeMs: number): Promise<void> {
  for (const name of await listNames(requestDir)) {
    if (!partsOfName(finishedName(name) ?? name)) continue;
    const stat = await statOf(`${requestDir}/${name}`);
    if (stat?.isFile && host.now().getTime() - stat.modifiedMs > maxAgeMs) await remove(`${requestDir}/${name}`);
  }
}

const PROBE_NAME = ".fencepost-gate-check";

/** Can a request be written and an answer be read? And has anybody been answering? */
async function checkExchange(
  host: Host,
  { requestDir, responseDir, waitMs }: { requestDir: string; responseDir: string; waitMs: number },
): Promise<ExchangeHealth> {
  const failures: string[] = [];
  const warnings: string[] = [];
  const attempt = async (what: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      failures.push(`${what}: ${reasonOf(error)}`);
    }
  };
  await attempt(`request_dir ${requestDir}`, async () => {
    await prepareExchange(requestDir);
    const probe = `${PROBE_NAME}-${process.pid}`;
    await writeExchange(requestDir, probe, "", () => false);
    warnings.push(...(await objectionsTo(requestDir)));
    const stats = await Promise.all(
      (await listNames(requestDir))
        .filter((name) => partsOfName(name) !== undefined)
        .map((name) => statOf(`${requestDir}/${name}`)),
    );
    const waiting = stats.filter((stat) => stat !== undefined && host.now().getTime() - stat.modifiedMs > waitMs);
    if (waiting.length > 0) {
      warnings.push(`${requestDir}: ${waiting.length} requests without an answer; does a responder run?`);
    }
  });
  await attempt(`response_dir ${responseDir}`, async () => {
    await prepareExchange(responseDir);
    await listNames(responseDir);
    warnings.push(...(await objectionsTo(responseDir)));
  });
  return { failures, warnings };
}
