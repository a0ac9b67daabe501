/** An incident as the report counts it: what became of it, how long it took, and where its first line stands. */
import { durationOf, type Incident } from "../incidents.ts";
import type { ReportIncident } from "./aggregate.ts";

export function toReportIncident(incident: Incident): ReportIncident {
  const lines = [...incident.events, ...incident.outcomes];
  return {
    timeMs: incident.startedMs,
    target: incident.target,
    action: incident.action,
    result: incident.result,
    filesystems: incident.filesystems,
    context: incident.known,
    recorders: incident.recorders,
    duration: durationOf(incident),
    device: incident.device ?? incident.delegate,
    client:
      incident.clients.length > 0 ? unnumbered(incident.clients).join(", ") : incident.manual ? "hand" : undefined,
    reason: incident.reason ?? refusalOf(incident),
    lineCount: lines.length,
    evidence: lines[0]?.evidence ?? { file: "", line: 0 },
  };
}

/** Without the process ids (`stonith_admin.4711@rabbit-node-1`): nobody can look those up afterwards. */
const unnumbered = (clients: readonly string[]): string[] => [
  ...new Set(clients.map((client) => client.replace(/\.\d+(?=@|$)/, ""))),
];

function refusalOf({ events }: Incident): string | undefined {
  const reason = events.find(({ status }) => status === "refused")?.record.guard_reason;
  return typeof reason === "string" && reason !== "" ? reason : undefined;
}
