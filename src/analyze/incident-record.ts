/**
 * An incident as a program reads it: the one shape of `incidents --json`, and of incidents inside other answers. And the
 * id of a fence that only Pacemaker's history knows.
 */
import type { AnalyzedEvent } from "./event.ts";
import { durationOf, type Incident } from "./incidents.ts";
import type { ReconciledFence } from "./reconcile.ts";

export const isoOf = (timeMs: number | undefined): string | null =>
  timeMs !== undefined && Math.abs(timeMs) <= 8.64e15 ? new Date(timeMs).toISOString() : null;

/** The cluster's own client asks for every fence under one process id: only with target and end is it one of them. */
export function idInHistory({ entries, target, completedMs }: ReconciledFence): string {
  const [first] = entries;
  const ended = isoOf(completedMs)?.replace(".000Z", "Z");
  // Of one that runs it is the beginning of the id that it will have.
  return `${first?.client ?? "?"}@${first?.origin ?? "?"}/${target}${ended === undefined ? "" : `/${ended}`}`;
}

const lineRecord = ({ evidence, timeMs, action, status, recorder, source, eventId }: AnalyzedEvent) => ({
  file: evidence.file,
  line: evidence.line,
  event_id: eventId ?? null,
  time_ms: timeMs,
  action,
  status,
  recorder_node: recorder,
  source,
});

/** Unknown is null, never left out. */
export function incidentRecord(incident: Incident) {
  const startedMs = incident.start === "ended" ? undefined : incident.startedMs;
  const duration = durationOf(incident);
  return {
    id: incident.id,
    target_node: incident.target,
    action: incident.action,
    actions: incident.actions,
    result: incident.result,
    reason: incident.reason ?? null,
    started: isoOf(startedMs),
    started_ms: startedMs ?? null,
    completed_ms: incident.completedMs ?? null,
    duration_ms: duration?.ms ?? null,
    duration_is_minimum: duration?.isMinimum ?? null,
    clients: incident.clients,
    delegate: incident.delegate ?? null,
    device: incident.device ?? null,
    recorders: incident.recorders,
    gfs2_filesystems: incident.filesystems,
    gfs2: incident.known,
    manual: incident.manual,
    recorded: incident.isRecorded ?? null,
    lines: [...incident.events, ...incident.outcomes].map(lineRecord),
  };
}
