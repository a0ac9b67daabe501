/** The logs → the report's numbers. Memory: the open incidents, and the tables of aggregate.ts. */
import { collectGarbage, leaveGarbage } from "../garbage.ts";
import type { Logs } from "../read.ts";
import { readIncidents } from "../read-incidents.ts";
import { Aggregate, type ReportNumbers, type Zone } from "./aggregate.ts";
import { toReportIncident } from "./from-incident.ts";

/** Adding an incident makes a key of all that it may share with others. */
const GARBAGE_BYTES = 1_500;

export async function readNumbers(logs: Logs, zone: Zone): Promise<ReportNumbers> {
  const aggregate = new Aggregate(zone);
  // The page is in an order of its own: `--reverse` only says which ones a `--limit` takes.
  const { limit, reverse } = logs.filters;
  const filters = { ...logs.filters, reverse: reverse && limit !== undefined };
  const own = { ...logs, filters };
  for await (const incident of readIncidents(own)) {
    aggregate.add(toReportIncident(incident));
    leaveGarbage(own, GARBAGE_BYTES);
    collectGarbage(own); // a long storm ends for thousands of incidents at once, without a line being read between
  }
  Bun.gc(true); // the columns are about to be sorted into others
  return aggregate.finish();
}
