/** An incident as a program reads it: the one shape of `incidents --json`, and of incidents inside other answers. */
import type { AnalyzedEvent } from "./event.ts";
import type { Incident } from "./incidents.ts";

export const isoOf = (timeMs: number | undefined): string | null =>
  timeMs !== undefined && Math.abs(timeMs) <= 8.64e15 ? new Date(timeMs).toISOString() : null;

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
export const incidentRecord = (incident: Incident) => ({
  id: incident.id,
  target_node: incident.target,
  action: incident.action,
  actions: incident.actions,
  result: incident.result,
  reason: incident.reason ?? null,
  started: isoOf(incident.startedMs),
  started_ms: incident.startedMs,
  completed_ms: incident.completedMs ?? null,
  duration_ms: incident.completedMs === undefined ? null : Math.max(0, incident.completedMs - incident.startedMs),
  clients: incident.clients,
  delegate: incident.delegate ?? null,
  device: incident.device ?? null,
  recorders: incident.recorders,
  gfs2_filesystems: incident.filesystems,
  gfs2: incident.known,
  manual: incident.manual,
  recorded: incident.events.length > 0,
  lines: [...incident.events, ...incident.outcomes].map(lineRecord),
});
