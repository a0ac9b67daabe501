/**
 * Outcomes of fences that no recorder wrote down.
 * Input:  opened logs that can be read twice. Output: each such outcome, and whether it is certain.
 * A log is joined in the order in which it comes, and an event recovered thousands of lines late is then not near its
 * outcome. So where lines were seen to be out of order, whatever lies around the outcomes left over is looked for in the
 * whole log and joined again. Memory: of more than MAX_LONE of them, or MAX_AROUND lines, nothing certain is said.
 */
import type { AnalyzedEvent } from "./event.ts";
import { NO_FILTERS } from "./filter.ts";
import { type Incident, joinIncidents, LONGEST_FENCE_MS } from "./incidents.ts";
import { type Logs, readBatches } from "./read.ts";
import { readIncidentBatches } from "./read-incidents.ts";

const MAX_LONE = 1_000;
/** About 20 MB of parsed lines. */
const MAX_AROUND = 5_000;

export type LoneOutcome = { outcome: AnalyzedEvent; action: string; isCertain: boolean };

export async function* loneOutcomes(logs: Logs): AsyncGenerator<LoneOutcome> {
  const held: LoneOutcome[] = [];
  for await (const batch of readIncidentBatches(logs))
    for (const incident of batch) {
      const lone = loneOf(incident);
      if (!lone) continue;
      if (held.length < MAX_LONE) held.push(lone);
      else yield { ...lone, isCertain: false };
    }
  if (logs.misplaced.size === 0) {
    yield* held;
    return;
  }
  const around = await linesAround(logs, held);
  if (!around) {
    for (const lone of held) yield { ...lone, isCertain: false };
    return;
  }
  const stillLone = new Set(joinIncidents(around).flatMap((incident) => keyOf(loneOf(incident)?.outcome) ?? []));
  yield* held.filter(({ outcome }) => stillLone.has(keyOf(outcome) ?? ""));
}

function loneOf({ events, outcomes, action }: Incident): LoneOutcome | undefined {
  const [outcome] = outcomes;
  return events.length > 0 || !outcome ? undefined : { outcome, action, isCertain: true };
}

const keyOf = (event: AnalyzedEvent | undefined): string | undefined =>
  event && `${event.evidence.file}:${event.evidence.line}`;

/** All lines that may belong to the same fence as one of these; undefined when they are too many to hold. */
async function linesAround(logs: Logs, lone: readonly LoneOutcome[]): Promise<AnalyzedEvent[] | undefined> {
  const times = new Map<string, number[]>();
  for (const { outcome } of lone) {
    const target = outcome.target.toLowerCase();
    times.set(target, [...(times.get(target) ?? []), outcome.timeMs]);
  }
  const all = lone.map(({ outcome }) => outcome.timeMs);
  const sinceMs = Math.min(...all) - LONGEST_FENCE_MS;
  const untilMs = Math.max(...all) + LONGEST_FENCE_MS;
  const filters = { ...NO_FILTERS, sinceMs, untilMs };
  const around: AnalyzedEvent[] = [];
  for (const stream of ["events", "outcomes"] as const)
    for await (const batch of readBatches(logs, { stream, filters, anyOrder: true, once: true }))
      for (const event of batch) {
        const near = times.get(event.target.toLowerCase());
        if (!near?.some((timeMs) => Math.abs(timeMs - event.timeMs) <= LONGEST_FENCE_MS)) continue;
        if (around.length === MAX_AROUND) return undefined;
        around.push(event);
      }
  return around;
}
