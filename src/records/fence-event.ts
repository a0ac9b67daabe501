/**
 * The record of one fence action, as we keep it in memory and as we write it.
 * Output: one JSON object on one line (`fence-events-detailed.jsonl`), and the line for people derived from it
 *         (`fence-events-readable.log`). The first eight keys, their order and their meaning are those of the original
 *         recorder's files, so that every `jq` and `grep` line written for those keeps working.
 * Source: SPEC 3 "What is written"; seeds/004.
 */
import { escapeControl } from "../core/text.ts";

export const SCHEMA = 1;

export type EventAction = "on" | "off" | "reboot";
/** initiated, refused: role record · requested, completed, failed: role gate */
export type EventStatus = "initiated" | "refused" | "requested" | "completed" | "failed";
export type EventRole = "record" | "gate";
export type EventSource = "stonith" | "manual";
export type GuardVerdict = "ok" | "unsafe" | "unknown";

// What discovery found, in the record's own terms: this layer knows the file, not the cluster (STYLE 1).
export type FilesystemRecord = { name: string; mountPoint?: string; device?: string; lockspace?: string };
export type ClusterRecord = { name?: string; dc?: string; quorate?: boolean; targetState?: string };
export type OperationRecord = { action?: string; client?: string; origin?: string; delegate?: string };

export type AttemptStatus = "found" | "empty" | "unavailable" | "failed" | "unfinished";
export type Attempt = { method: string; status: AttemptStatus; elapsedMs: number; reason?: string };

export type DiscoveryRecord = {
  /** found · none: asked, knows none · unknown: no source could be asked · disabled: switched off */
  result: "found" | "none" | "unknown" | "disabled";
  method?: string;
  scope?: string;
  elapsedMs: number;
  attempts: readonly Attempt[];
};

export type FenceEvent = {
  eventId: string;
  action: EventAction;
  target: string;
  plug?: string;
  status: EventStatus;
  details: string;
  recorderNode: string;
  source: EventSource;
  time: Date;
  discovery: DiscoveryRecord;
  filesystems: readonly FilesystemRecord[];
  cluster?: ClusterRecord;
  guard?: { verdict: GuardVerdict; source: string; reason: string };
  role: EventRole;
  /** role gate: the request that this is about, and what became of it. */
  gate?: { requestId: string; waitedMs?: number; actionPerformed?: string; message?: string };
  operation?: OperationRecord;
  bootId: string;
  agentVersion: string;
};

export type EncodedEvent = Record<string, unknown>;

export const isoSeconds = (time: Date): string => `${time.toISOString().slice(0, 19)}Z`;

const without = (record: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));

/** The placeholder words belong to the file format and appear nowhere else. */
const namesForFile = ({ discovery, filesystems }: FenceEvent): string[] => {
  if (discovery.result === "disabled") return ["discovery-disabled"];
  return discovery.result === "found" ? filesystems.map(({ name }) => name) : ["none-detected"];
};

export function encodeEvent(event: FenceEvent): EncodedEvent {
  const { discovery, cluster, guard, gate, operation } = event;
  return without({
    timestamp: isoSeconds(event.time),
    action: event.action,
    target_node: event.target.toWellFormed(),
    gfs2_filesystems: namesForFile(event),
    status: event.status,
    details: event.details,
    recorder_node: event.recorderNode,
    pacemaker_action: event.action,
    schema: SCHEMA,
    event_id: event.eventId,
    time_ms: event.time.getTime(),
    recorded_ms: event.time.getTime(), // set anew when the line is written
    plug: event.plug?.toWellFormed(),
    source: event.source,
    discovery: without({
      result: discovery.result,
      method: discovery.method,
      scope: discovery.scope,
      elapsed_ms: Math.round(discovery.elapsedMs),
      attempts: discovery.attempts.map(({ method, status, elapsedMs, reason }) =>
        without({ method, status, elapsed_ms: Math.round(elapsedMs), reason }),
      ),
    }),
    filesystems:
      event.filesystems.length === 0
        ? undefined
        : event.filesystems.map(({ name, mountPoint, device, lockspace }) =>
            without({ name, mount_point: mountPoint, device, lockspace }),
          ),
    cluster: cluster
      ? without({ name: cluster.name, dc: cluster.dc, quorate: cluster.quorate, target_state: cluster.targetState })
      : undefined,
    guard: guard?.verdict,
    guard_source: guard?.source,
    guard_reason: guard?.reason,
    role: event.role,
    gate: gate
      ? without({
          request_id: gate.requestId,
          waited_ms: gate.waitedMs === undefined ? undefined : Math.round(gate.waitedMs),
          action_performed: gate.actionPerformed?.toWellFormed(),
          message: gate.message?.toWellFormed(),
        })
      : undefined,
    operation,
    boot_id: event.bootId,
    agent_version: event.agentVersion,
  });
}

/** Local time as `YYYY-MM-DD HH:MM:SS`, the form of both logs for people. */
export const localTime = (time: Date): string => {
  const two = (value: number) => String(value).padStart(2, "0");
  return (
    `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ` +
    `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`
  );
};

/** A value of a readable line: as it is when it is one plain word, else as a JSON string. */
const word = (value: string): string => (/^[\w.:@%+/-]+$/u.test(value) ? value : escapeControl(JSON.stringify(value)));

/** The part of the readable line after the time, for the file and for syslog. */
export function renderFields(record: EncodedEvent): string {
  const text = (key: string) => String(record[key] ?? "");
  const names = JSON.stringify(record.gfs2_filesystems ?? []);
  return (
    `ACTION=${word(text("action"))} TARGET=${word(text("target_node"))} GFS2=${escapeControl(names)} ` +
    `STATUS=${word(text("status"))} DETAILS=${escapeControl(text("details"))}`
  );
}

/** `[YYYY-MM-DD HH:MM:SS] ACTION=… TARGET=… GFS2=["…"] STATUS=… DETAILS=…`, derived from the JSONL record. */
export function renderReadable(record: EncodedEvent): string {
  return `[${localTime(new Date(Number(record.time_ms)))}] ${renderFields(record)}`;
}
