/**
 * Our own lines → the fences they are of; lines that are of none of those known are a fence of their own.
 * Input:  the fences that the logs and the history know, our own incidents of that node, oldest first.
 *
 * The rules. A line belongs to
 * - the fence that ran at its time (an outcome: that ended then), TOLERANCE_MS allowed for clocks, where a source tells
 *   when that began;
 * - else the one that `reconcile` gives it to by the history;
 * - else, or where that ended later, the next one without an entry in the history that ended SURE_MS later at most: nobody
 *   knows when it began. Where NEXT_MS or more lie in between, the one that ended right before has it, if it has none of
 *   that action: a recorder's clock may be ahead. Neither holds where an alert told of another end;
 * - else to what the other lines of its incident belong to, or to the fence that this lies nearest to.
 */
import type { AnalyzedEvent } from "../event.ts";
import { covers, type Incident, isManual, isOutcome, joinIncidents, TOLERANCE_MS } from "../incidents.ts";
import { actionOf, beginningOf, type Candidate, nearest } from "./candidate.ts";

/** What was recorded longer before a fence's end may be of one that no source at hand has. */
const SURE_MS = 600_000;
/** So long before the end of one fence, and right after the end of another, a recorder's clock is rather ahead. */
const NEXT_MS = 60_000;

export function addRecords(candidates: Candidate[], incidents: readonly Incident[]): void {
  const known = candidates.map((candidate) => ({ candidate, beganMs: beginningOf(candidate) }));
  const began = known.flatMap(({ candidate, beganMs }) => (beganMs === undefined ? [] : { candidate, beganMs }));
  const unbegun = known
    .flatMap(({ candidate, beganMs }) => (beganMs === undefined && !candidate.fence ? candidate : []))
    .sort((a, b) => endOf(a) - endOf(b));
  const byHistory = new Map(
    candidates
      .filter(({ fence }) => fence?.completedMs !== undefined)
      .flatMap((candidate) =>
        [...(candidate.fence?.events ?? []), ...(candidate.fence?.outcomes ?? [])].map((line) => [line, candidate]),
      ),
  );
  const ownerOf = (line: AnalyzedEvent, { completedMs }: Incident): Candidate | undefined => {
    if (isManual(line)) return undefined;
    const fits = (candidate: Candidate): boolean => covers(actionOf(candidate), line.action);
    const running = nearest(
      began.filter(({ candidate }) => fits(candidate)),
      ({ candidate, beganMs }) =>
        isOutcome(line) && candidate.endedMs !== undefined
          ? fromEndMs(candidate, line)
          : Math.max(0, beganMs - line.timeMs, line.timeMs - endOf(candidate)),
    );
    if (running) return running.candidate;
    const judged = byHistory.get(line);
    if (isOutcome(line)) return judged ?? nearest(unbegun.filter(fits), (candidate) => fromEndMs(candidate, line));
    if (completedMs !== undefined) return judged;
    const next = unbegun.find((candidate) => fits(candidate) && endOf(candidate) >= line.timeMs);
    const isNear = next !== undefined && endOf(next) - line.timeMs <= SURE_MS;
    const owner = isNear && (!judged || endOf(next) < endOf(judged)) ? next : judged;
    if (owner && endOf(owner) - line.timeMs < NEXT_MS) return owner;
    const justOver = unbegun.findLast((candidate) => {
      const lateMs = line.timeMs - endOf(candidate);
      const has = candidate.events.some(({ action }) => action === line.action);
      return fits(candidate) && !has && lateMs > 0 && lateMs <= TOLERANCE_MS;
    });
    return justOver ?? owner;
  };
  for (const incident of incidents) {
    const byOwner = Map.groupBy([...incident.events, ...incident.outcomes], (line) => ownerOf(line, incident));
    const rest = byOwner.get(undefined) ?? [];
    byOwner.delete(undefined);
    const [first] = byOwner.keys();
    const owner = first ?? nearestTo(incident, candidates);
    const isStray = (line: AnalyzedEvent): boolean =>
      owner?.endedMs !== undefined && isOutcome(line) && fromEndMs(owner, line) > TOLERANCE_MS;
    if (owner) byOwner.set(owner, [...(byOwner.get(owner) ?? []), ...rest.filter((line) => !isStray(line))]);
    else candidates.push(ofIncident(incident));
    candidates.push(...joinIncidents(rest.filter(isStray)).map(ofIncident));
    for (const [candidate, lines] of byOwner) {
      if (!candidate) continue;
      const isTimed = candidate.clock !== undefined && began.some((known) => known.candidate === candidate);
      attach(candidate, incident, lines, isTimed);
    }
  }
}

const fromEndMs = (candidate: Candidate, { timeMs }: AnalyzedEvent): number => Math.abs(endOf(candidate) - timeMs);

const endOf = ({ endedMs = Number.POSITIVE_INFINITY }: Candidate): number => endedMs;

/** Fences of one node follow one another: the one whose time the lines lie in, or lie nearest to. */
function nearestTo(incident: Incident, candidates: readonly Candidate[]): Candidate | undefined {
  const lastMs = incident.completedMs ?? incident.events.at(-1)?.timeMs ?? incident.startedMs;
  return nearest(
    candidates.filter((candidate) => !candidate.incident),
    (candidate) => {
      const endMs = endOf(candidate);
      return Math.max(0, incident.startedMs - endMs, Math.min(candidate.startedMs, endMs) - lastMs);
    },
  );
}

function ofIncident(incident: Incident): Candidate {
  const { id, startedMs, completedMs, events, outcomes } = incident;
  return {
    ...{ id, ids: [id, ...idsOf([...events, ...outcomes])], startedMs, endedMs: completedMs, finished: [] },
    ...{ incident, events: [...events], outcomes: [...outcomes] },
  };
}

/** isTimed: the log has its beginning, which is exact. */
function attach(candidate: Candidate, incident: Incident, lines: readonly AnalyzedEvent[], isTimed: boolean): void {
  const events = lines.filter((line) => !isOutcome(line));
  const [head = incident.outcomes[0]] = incident.events;
  const isHead = lines.some((line) => line === head);
  if (isHead) candidate.ids.push(incident.id);
  if (candidate.events.length + candidate.outcomes.length === 0)
    candidate.id = isHead ? incident.id : (lines[0]?.eventId ?? candidate.id);
  if (isHead) candidate.incident ??= incident;
  candidate.ids.push(...idsOf(lines));
  candidate.events.push(...events);
  candidate.outcomes.push(...lines.filter(isOutcome));
  if (isTimed) return;
  const asked = isHead && incident.start === "asked" ? [incident.startedMs] : [];
  candidate.startedMs = Math.min(candidate.startedMs, ...asked, ...events.map(({ timeMs }) => timeMs));
}

const idsOf = (lines: readonly AnalyzedEvent[]): string[] => lines.flatMap(({ eventId }) => eventId ?? []);
