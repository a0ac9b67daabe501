/** The logs → the report's numbers. Memory: the open incidents, and the tables of aggregate.ts. */
import type { Logs } from "../read.ts";
import { readIncidents } from "../read-incidents.ts";
import { Aggregate, type ReportNumbers, type Zone } from "./aggregate.ts";
import { toReportIncident } from "./from-incident.ts";

export async function readNumbers(logs: Logs, zone: Zone): Promise<ReportNumbers> {
  const aggregate = new Aggregate(zone);
  // The page is in an order of its own: `--reverse` only says which ones a `--limit` takes.
  const { limit, reverse } = logs.filters;
  const filters = { ...logs.filters, reverse: reverse && limit !== undefined };
  for await (const incident of readIncidents({ ...logs, filters })) aggregate.add(toReportIncident(incident));
  return aggregate.finish();
}
