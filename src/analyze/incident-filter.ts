/**
 * Which fences are asked for.
 * Input:  filters, and a fence as its lines and, where it was asked, Pacemaker's history tell it.
 * Output: whether it is asked for. Each option is judged on the fence as a whole: no line of it alone says both that it
 *         failed and which filesystems were in use.
 * - Its GFS2 context and who recorded it are what its events say: an alert's outcome knows of no filesystem, and every
 *   node has an alert agent.
 * - A status is its result; one that no result is called (`initiated`, a gate's `completed`) is looked for in its lines.
 */
import type { AnalyzedEvent } from "./event.ts";
import { type Filters, matchesContext, matchesName } from "./filter.ts";
import { type Incident, operationOf, RESULTS } from "./incidents.ts";

const IS_RESULT: ReadonlySet<string> = new Set(RESULTS);
/** What --status can name of a fence. */
export const FENCE_STATUSES = [...RESULTS, "initiated", "requested", "completed"] as const;

type Lines = Pick<Incident, "known" | "filesystems" | "recorders" | "events" | "outcomes">;
export type Fence = Lines & Pick<Incident, "target" | "action" | "actions" | "startedMs"> & { result: string };

export const matchesIncident = (filters: Filters, fence: Fence): boolean =>
  isInTime(filters, fence) &&
  matchesName(filters.nodes, fence.target) &&
  matchesOne(filters.actions, () => actionsOf(fence)) &&
  matchesOne(filters.statuses, () => statusesOf(fence)) &&
  matchesLines(filters, fence);

const actionsOf = ({ action, actions, outcomes }: Fence): string[] => [
  action,
  ...actions,
  ...outcomes.map((event) => operationOf(event).action ?? event.action),
];

const statusesOf = ({ result, events }: Fence): string[] => [
  result,
  ...events.map(({ status }) => status).filter((status) => !IS_RESULT.has(status)),
];

export const isInTime = (
  { sinceMs = Number.NEGATIVE_INFINITY, untilMs = Number.POSITIVE_INFINITY }: Filters,
  { startedMs }: Pick<Fence, "startedMs">,
): boolean => startedMs >= sinceMs && startedMs <= untilMs;

/** The options that only a fence's lines can answer. */
export function matchesLines(filters: Filters, { known, filesystems, recorders, events, outcomes }: Lines): boolean {
  const isInLines = (isIt: (event: AnalyzedEvent) => boolean): boolean => events.some(isIt) || outcomes.some(isIt);
  return (
    matchesContext(filters.filesystems, { known, filesystems }, events) &&
    matchesOne(filters.recorders, () => recorders) &&
    (filters.sources.length === 0 || isInLines(({ source }) => matchesName(filters.sources, source))) &&
    (filters.grep === undefined || isInLines(({ raw }) => filters.grep?.test(raw) === true))
  );
}

/** Of millions of fences names are only looked for where some are asked for. */
const matchesOne = (words: readonly string[], names: () => readonly string[]): boolean =>
  words.length === 0 || names().some((name) => matchesName(words, name));
