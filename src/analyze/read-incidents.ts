/**
 * The logs as a stream of incidents.
 * Input:  opened logs with their filters; which fence of Pacemaker's history a line is of.
 * Output: incidents in the order of their start, in batches, each with all of its lines; which of them are asked for says
 *         incident-filter.ts.
 * Order:  as read.ts gives the lines: an event recovered thousands of lines late stands where it was recorded, and may
 *         be an incident of its own. Memory stays flat that way.
 */
import type { AnalyzedEvent } from "./event.ts";
import { type Filters, hasFilters, NO_FILTERS } from "./filter.ts";
import { leaveGarbage } from "./garbage.ts";
import { matchesIncident } from "./incident-filter.ts";
import { type Incident, incidentJoiner, type KnownFence, LONGEST_FENCE_MS } from "./incidents.ts";
import { type Logs, readBatches } from "./read.ts";

type FenceOf = (event: AnalyzedEvent) => KnownFence | undefined;

const CHUNK = 256;
const GARBAGE_BYTES = 1_500;

/** What must be read so that an incident at the edge of the time asked for is whole. */
const around = ({ nodes, sinceMs, untilMs }: Filters): Filters => ({
  ...NO_FILTERS,
  nodes,
  sinceMs: sinceMs === undefined ? undefined : sinceMs - LONGEST_FENCE_MS,
  untilMs: untilMs === undefined ? undefined : untilMs + LONGEST_FENCE_MS,
});

/** One by one. */
export async function* readIncidents(logs: Logs): AsyncGenerator<Incident> {
  for await (const batch of readIncidentBatches(logs)) yield* batch;
}

/** In batches, for those who read millions. */
export const readIncidentBatches = (logs: Logs): AsyncGenerator<Incident[]> =>
  askedFor(readWholeBatches(logs), logs.filters);

/** Those that the filters choose, of incidents in the order of their start. */
export async function* askedFor(all: AsyncIterable<Incident[]>, filters: Filters): AsyncGenerator<Incident[]> {
  const { limit = Number.POSITIVE_INFINITY } = filters;
  if (!filters.reverse) {
    let left = limit;
    for await (const batch of matching(all, filters)) {
      if (left <= 0) return;
      yield batch.slice(0, left);
      left -= batch.length;
    }
    return;
  }
  // The last ones are known only at the end.
  let kept: Incident[] = [];
  for await (const batch of matching(all, filters)) {
    kept.push(...batch);
    if (kept.length > limit * 2 + 1_000) kept = kept.slice(kept.length - limit);
  }
  yield kept.reverse().slice(0, limit);
}

async function* matching(all: AsyncIterable<Incident[]>, filters: Filters): AsyncGenerator<Incident[]> {
  for await (const batch of all) {
    const found = hasFilters(filters) ? batch.filter((incident) => matchesIncident(filters, incident)) : batch;
    if (found.length > 0) yield found;
  }
}

/** All of the nodes and, at its edges more, of the time asked for, whatever else the filters say. */
export async function* readWholeBatches(logs: Logs, fenceOf?: FenceOf): AsyncGenerator<Incident[]> {
  const joiner = incidentJoiner(fenceOf);
  for await (const batch of inTime(logs, around(logs.filters))) {
    for (let at = 0; at < batch.length; at += CHUNK) {
      const incidents = batch.slice(at, at + CHUNK).flatMap((event) => joiner.add(event));
      // Joining and showing leaves about as much garbage behind as decoding does.
      leaveGarbage(logs, incidents.length * GARBAGE_BYTES);
      yield incidents;
    }
  }
  yield joiner.end();
}

/** Events and outcomes as one stream, each event_id once. */
export async function* inTime(logs: Logs, filters: Filters): AsyncGenerator<AnalyzedEvent[]> {
  const { events, outcomes } = logs.inputs;
  // Somebody who named only an outcomes file has it as both.
  const hasEvents = events.some((chain) => !outcomes.includes(chain));
  if (!hasEvents || (outcomes.length === 0 && !logs.inputs.isDefault)) {
    yield* readBatches(logs, { stream: hasEvents ? "events" : "outcomes", filters, once: true });
    return;
  }
  const heads = await Promise.all(
    (["events", "outcomes"] as const).map(async (stream) => {
      const source = readBatches(logs, { stream, filters, once: true });
      const head = { source, batch: [] as readonly AnalyzedEvent[], at: 0, done: false };
      await fill(head);
      return head;
    }),
  );
  let merged: AnalyzedEvent[] = [];
  for (;;) {
    let first: (typeof heads)[number] | undefined;
    for (const head of heads) if (!head.done && (!first || timeAt(head) < timeAt(first))) first = head;
    const event = first?.batch[first.at];
    if (!first || !event) break;
    merged.push(event);
    first.at += 1;
    if (first.at < first.batch.length) continue;
    yield merged;
    merged = [];
    await fill(first);
  }
  yield merged;
}

type Head = { source: AsyncIterator<AnalyzedEvent[]>; batch: readonly AnalyzedEvent[]; at: number; done: boolean };

const timeAt = ({ batch, at }: Head): number => batch[at]?.timeMs ?? Number.POSITIVE_INFINITY;

async function fill(head: Head): Promise<void> {
  do {
    const { value, done } = await head.source.next();
    head.batch = done ? [] : value;
    head.at = 0;
    head.done = done === true;
  } while (!head.done && head.batch.length === 0);
}
