/**
 * Records one on, off or reboot: the intent goes to the writer first, then the cluster is examined, then the final line.
 * Never later than the discovery deadline plus the writer's second; never a failure, but where success would be a lie
 * (the guard, SPEC 3) or, by hand, where nothing could be written.
 */
import { resolve } from "node:path";
import { v7 as uuidv7 } from "uuid";
import { reasonOf } from "../core/errors.ts";
import { bootId } from "../core/process-identity.ts";
import { escapeControl } from "../core/text.ts";
import { VERSION } from "../core/version.ts";
import { type EventAction, encodeEvent, type FenceEvent, renderFields } from "../records/fence-event.ts";
import { AGENT_PROGRAM, type AgentContext, calledByFencer } from "./agent.ts";
import { startRecording, type Written } from "./recording.ts";

/** The agent waits this long for the event to be written, then leaves it to the writer. */
export const WRITE_WAIT_MS = 1_000;

export async function recordAction(context: AgentContext, action: EventAction, target: string): Promise<number> {
  const { host, options, warn } = context;
  const startedMs = host.monotonicMs();
  const byFencer = calledByFencer(context);
  let event = newEvent(context, action, target, {
    status: options.refusal === undefined ? "initiated" : "refused",
    details: `Fence action ${action} ${byFencer ? "initiated by Pacemaker" : "requested by hand"}${
      options.refusal === undefined ? "" : `; refused: ${options.refusal}`
    }`,
  });
  const recording = startRecording(context, intentOf(context, event));
  // Everything below is loaded while the writer starts.
  let verdict: { fileName: string; text: string } | undefined;
  if (options.refusal === undefined && (byFencer || options.discoveryEnabled)) {
    try {
      const { examine } = await import("./examine.ts");
      verdict = await examine(context, event, startedMs, (more) => {
        event = { ...event, ...more };
        recording.update(encodeEvent(event));
      });
    } catch (error) {
      // A bug of ours is no reason to lose the event, nor to vouch for a fence that nobody has judged.
      warn(`a bug in fencepost: ${reasonOf(error)}`);
      const unjudged = byFencer && event.guard === undefined && action !== "on";
      if (unjudged)
        event = { ...event, status: "refused", guard: { verdict: "unknown", source: "none", reason: reasonOf(error) } };
    }
  }

  const debugging = options.verboseLevel > 0 || options.debugFile !== undefined;
  const trail = debugging ? renderTrail(event) : "";
  if (options.verboseLevel > 0) for (const line of trail.trimEnd().split("\n")) warn(line);
  const written = await recording.finish(
    {
      kind: "final",
      event: encodeEvent(event),
      ...(verdict === undefined ? {} : { verdict }),
      // The writer's working directory is not the caller's.
      ...(options.debugFile === undefined ? {} : { debug: { path: resolve(options.debugFile), text: trail } }),
    },
    WRITE_WAIT_MS,
  );
  return conclude(context, event, written);
}

/** An event of this call, as much as is known before anybody is asked. */
export function newEvent(
  context: AgentContext,
  action: EventAction,
  target: string,
  { status, details }: Pick<FenceEvent, "status" | "details">,
): FenceEvent {
  const { host, options } = context;
  return {
    eventId: uuidv7(),
    action,
    target,
    ...(options.plug === undefined ? {} : { plug: options.plug }),
    status,
    details,
    recorderNode: host.hostname(),
    source: calledByFencer(context) ? "stonith" : "manual",
    time: host.now(),
    discovery: { result: options.discoveryEnabled ? "unknown" : "disabled", elapsedMs: 0, attempts: [] },
    filesystems: [],
    role: options.role,
    bootId: bootId(host),
    agentVersion: VERSION,
  };
}

export const intentOf = (context: AgentContext, event: FenceEvent): Parameters<typeof startRecording>[1] => ({
  kind: "intent",
  log: { directory: context.options.logDir, operationalLog: context.options.fenceLog },
  tag: AGENT_PROGRAM,
  pid: process.pid,
  takesInbox: calledByFencer(context) || context.options.logDirIsConfigured,
  event: encodeEvent(event),
});

/** Says where an event is that is not in the log. */
export function tellWhere(context: AgentContext, event: FenceEvent, { where, reason }: Written): void {
  const { warn } = context;
  const what = `${event.action} of ${escapeControl(event.target)}`;
  if (where === "spool") warn(`${what}: in the spool: ${reason}`);
  else if (where === "intent") warn(`${what}: not in the log yet, its intent is: ${reason}`);
  else if (where !== "log") {
    // Also when quiet: nowhere else may this event be.
    const record = JSON.stringify(encodeEvent(event));
    context.err(`${AGENT_PROGRAM}: ${what}: not confirmed in the log: ${reason}: ${record}\n`);
  }
}

/** Tells the caller what it must know, and decides the exit code. */
function conclude(context: AgentContext, event: FenceEvent, written: Written): number {
  const { options, warn } = context;
  const { where } = written;
  const what = `${event.action} of ${escapeControl(event.target)}`;
  tellWhere(context, event, written);
  if (event.status === "refused") {
    warn(`${what} refused: ${options.refusal ?? event.guard?.reason}`);
    const node = /^[\w.-]+$/.test(event.target) ? event.target : "NODE";
    if (event.guard?.verdict === "unsafe") warn(`try: pcs stonith level add 1 ${node} POWER_DEVICE RECORDER`);
    else warn(`try: ${AGENT_PROGRAM} -o validate-all`);
    return 1;
  }
  if (calledByFencer(context)) return 0;
  if (where === "log") warn(`recorded in ${options.logDir}: ${renderFields(encodeEvent(event))}`);
  return where === "nowhere" || where === "syslog" ? 1 : 0;
}

export function renderTrail({ discovery, guard, action, target }: FenceEvent): string {
  const lines = discovery.attempts.map(
    ({ method, status, elapsedMs, reason }) =>
      `discovery: ${method}: ${status} in ${Math.round(elapsedMs)} ms${reason ? `: ${reason}` : ""}`,
  );
  if (guard) lines.unshift(`guard: ${guard.verdict} (${guard.source}): ${guard.reason}`);
  return [`${action} of ${escapeControl(target)}`, ...lines].map((line) => `${line}\n`).join("");
}
