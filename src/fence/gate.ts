/**
 * role=gate: asks a responder for the fence, waits, and exits with its verdict. Anything unclear is a failure: no answer
 * in time, an answer that is not ours, not whole, not to be believed.
 * Output: two events, `requested` and then `completed` or `failed`, with what discovery found meanwhile. Neither the log
 *         nor discovery changes the verdict or holds it up by more than a moment.
 * Source: SPEC 3; docs/gate.md. The wait is by the monotonic clock; a child touches the directories (gate-mailbox.ts).
 */
import { randomUUID } from "node:crypto";
import { resolve } from "node:path";
import { OpsError, reasonOf } from "../core/errors.ts";
import { startDetached } from "../core/exec.ts";
import { escapeControl } from "../core/text.ts";
import { type EventAction, encodeEvent, type FenceEvent } from "../records/fence-event.ts";
import { AGENT_PROGRAM, type AgentContext, calledByFencer } from "./agent.ts";
import type { ExchangeHealth, FromMailbox, ToMailbox } from "./gate-mailbox.ts";
import { exchangeName, type GateRequest, objectionToNode, type Verdict } from "./gate-protocol.ts";
import type { GateOptions } from "./options.ts";
import { intentOf, newEvent, renderTrail, tellWhere, WRITE_WAIT_MS } from "./record.ts";
import { atMost, startRecording, writerEnvironment } from "./recording.ts";

/** The mailbox reports a timeout itself, with what it saw; it has this long for it, then the directory hangs. */
const MAILBOX_GRACE_MS = 250;
/** Once there is a verdict, discovery that is nearly there may still come into the record. */
const DISCOVERY_GRACE_MS = 300;
const CHECK_WAIT_MS = 4_000;

const MAILBOX_WORDS = ["gate-responder", "--for-the-gate"];

export async function gateAction(context: AgentContext, action: EventAction, target: string): Promise<number> {
  const { host, warn } = context;
  const by = calledByFencer(context) ? "by Pacemaker" : "by hand";
  const requestId = randomUUID();
  const gate = action === "on" ? undefined : { requestId };
  let known: Partial<FenceEvent> = {};
  const what = `${action} of ${escapeControl(target)}`;

  const requested = {
    ...newEvent(context, action, target, { status: "requested", details: `Fence action ${action} requested ${by}` }),
    ...(gate && { gate }),
  };
  const requesting = startRecording(context, intentOf(context, requested));
  // Its intent says `failed`: that is what the fencer knows of a gate that was killed before it had an answer.
  let outcome: FenceEvent = {
    ...newEvent(context, action, target, { status: "failed", details: `Fence action ${action} failed: no answer yet` }),
    ...(gate && { gate }),
  };
  const concluding = startRecording(context, intentOf(context, outcome));

  const startedMs = host.monotonicMs();
  const discovering = discover(context, requested, (more) => {
    known = { ...known, ...more };
    requesting.update(encodeEvent({ ...requested, ...known }));
    concluding.update(encodeEvent({ ...outcome, ...known }));
  });
  const noted = Promise.withResolvers<void>();
  const noteRequest = async (): Promise<void> => {
    const event = { ...requested, ...known };
    tellWhere(context, event, await requesting.finish({ kind: "final", event: encodeEvent(event) }, WRITE_WAIT_MS));
    noted.resolve();
  };
  let isNoted = false;
  const noteOnce = (): void => {
    if (isNoted) return;
    isNoted = true;
    void noteRequest();
  };
  discovering.then(noteOnce);

  const verdict = await verdictOn(context, action, target, requestId).catch((error: unknown) => ({
    success: false,
    message: reasonOf(error),
  }));
  const waitedMs = host.monotonicMs() - startedMs;
  await atMost(host, discovering, DISCOVERY_GRACE_MS);
  noteOnce();
  await noted.promise;
  const { success, message, actionPerformed } = verdict as Verdict;
  outcome = {
    ...outcome,
    ...known,
    time: host.now(),
    status: success ? "completed" : "failed",
    details: success
      ? `Fence action ${actionPerformed ?? action} completed successfully: ${message}`
      : `Fence action ${action} failed: ${message}`,
    ...(gate && {
      gate: { ...gate, waitedMs, message, ...(actionPerformed === undefined ? {} : { actionPerformed }) },
    }),
  };
  const { options } = context;
  const trail = options.verboseLevel > 0 || options.debugFile !== undefined ? renderTrail(outcome) : "";
  if (options.verboseLevel > 0) for (const line of trail.trimEnd().split("\n")) warn(line);
  const debug = options.debugFile === undefined ? {} : { debug: { path: resolve(options.debugFile), text: trail } };
  const final = { kind: "final", event: encodeEvent(outcome), ...debug } as const;
  tellWhere(context, outcome, await concluding.finish(final, WRITE_WAIT_MS));
  if (success) {
    if (options.verboseLevel > 0 || !calledByFencer(context)) warn(`${what}: ${message}`);
    return 0;
  }
  // Also when quiet: why a node is not fenced must be in Pacemaker's log.
  context.err(`${AGENT_PROGRAM}: ${what} failed: ${escapeControl(message)}\n`);
  return 1;
}

async function discover(
  context: AgentContext,
  event: FenceEvent,
  know: (more: Partial<FenceEvent>) => void,
): Promise<void> {
  if (!context.options.discoveryEnabled) return;
  try {
    const { examine } = await import("./examine.ts");
    await examine(context, event, context.host.monotonicMs(), know);
  } catch (error) {
    context.warn(`a bug in fencepost: ${reasonOf(error)}`); // no reason to doubt the responder's verdict
  }
}

async function verdictOn(
  context: AgentContext,
  action: EventAction,
  target: string,
  requestId: string,
): Promise<Verdict> {
  const { host } = context;
  const options = exchangeOptions(context);
  if (action === "on") {
    // As fence_dummy does. nnf-sos takes every request for a fence, whatever its action: asked for `on`, it would cut
    // the node from its storage a second time.
    return { success: true, message: "nothing asked: responders fence, they do not unfence", actionPerformed: action };
  }
  // The responder's own name of the node, as the originals do: with pcmk_host_map that is not the cluster's.
  const node = context.options.plug ?? target;
  const objection = objectionToNode(node);
  if (objection !== undefined) return { success: false, message: `no file can be named after this node: ${objection}` };
  await host.sleep(options.delayMs);
  const recorderNode = host.hostname();
  const request: GateRequest = { requestId, timestamp: host.now().toISOString(), action, target: node, recorderNode };
  return ask(context, options, request);
}

async function ask(context: AgentContext, options: GateOptions, request: GateRequest): Promise<Verdict> {
  const { requestDir, responseDir, timeoutMs, pollMs, maxAgeMs } = options;
  const answered = Promise.withResolvers<Verdict>();
  let isRequested = false;
  const mailbox = startMailbox(
    context,
    { kind: "exchange", requestDir, responseDir, request, timeoutMs, pollMs, maxAgeMs },
    (message) => {
      if (message === undefined) answered.resolve({ success: false, message: "the gate's own child died" });
      else if ("requested" in message) isRequested = true;
      else if ("verdict" in message) answered.resolve(message.verdict);
    },
  );
  const verdict = await atMost(context.host, answered.promise, timeoutMs + MAILBOX_GRACE_MS);
  mailbox.end();
  if (verdict) return verdict;
  const where = isRequested
    ? `${responseDir}/${exchangeName(request.target, request.requestId)} cannot be read`
    : `${requestDir} takes no request`;
  return { success: false, message: `timed out after ${timeoutMs / 1000} s: ${where}: a directory does not answer` };
}

/** The directories, where they are named as they must be. */
function exchangeOptions({ options }: AgentContext): GateOptions {
  const { gate } = options;
  if (gate && gate.requestDir !== "" && gate.responseDir !== "") return gate;
  throw new OpsError("usage", "request_dir and response_dir must be absolute paths", {
    hint: `${AGENT_PROGRAM} --help`,
  });
}

/**
 * monitor and validate-all: can requests be written and answers be read?
 * Errors: OpsError io, timeout, usage. What is merely strange is a warning.
 */
export async function assertExchange(context: AgentContext): Promise<void> {
  const { requestDir, responseDir, timeoutMs } = exchangeOptions(context);
  const told = Promise.withResolvers<ExchangeHealth | undefined>();
  const mailbox = startMailbox(context, { kind: "check", requestDir, responseDir, waitMs: timeoutMs }, (message) => {
    if (message === undefined) told.resolve(undefined);
    else if ("health" in message) told.resolve(message.health);
  });
  const health = await atMost(context.host, told.promise, CHECK_WAIT_MS);
  mailbox.end();
  if (!health) {
    throw new OpsError("timeout", `gate: ${requestDir} or ${responseDir} timed out after ${CHECK_WAIT_MS} ms`, {
      hint: `ls -ld ${requestDir} ${responseDir}`,
    });
  }
  for (const warning of health.warnings) context.warn(warning);
  if (health.failures.length === 0) return;
  throw new OpsError("io", `gate: ${health.failures.join("; ")}`, { hint: `ls -ld ${requestDir} ${responseDir}` });
}

/** `onMessage` hears what the mailbox says and, as undefined, that it has ended. */
function startMailbox(
  { self, env }: AgentContext,
  task: ToMailbox,
  onMessage: (message: FromMailbox | undefined) => void,
): { end: () => void } {
  let said = "";
  const [file, ...words] = self;
  try {
    const child = startDetached(
      [file, ...words, ...MAILBOX_WORDS],
      { argv0: "fencepost", env: writerEnvironment(env) },
      (text) => {
        if (text === undefined) return onMessage(undefined);
        const lines = (said + text).split("\n");
        said = lines.pop() ?? "";
        for (const line of lines) onMessage(JSON.parse(line) as FromMailbox);
      },
    );
    child.send(`${JSON.stringify(task)}\n`);
    return { end: child.end };
  } catch {
    onMessage(undefined); // no more processes
    return { end: () => undefined };
  }
}
