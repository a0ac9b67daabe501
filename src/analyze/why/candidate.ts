/**
 * One fence as the sources at hand know it together, and what follows from them: what was done, when, with what result.
 */
import type { AnalyzedEvent } from "../event.ts";
import { type Incident, TOLERANCE_MS } from "../incidents.ts";
import type { FactOf, LogFact } from "../logs/fact.ts";
import type { ReconciledFence } from "../reconcile.ts";
import type { Explanation } from "../why.ts";

export const LOOK_BACK_MS = 900_000;

export type FinishedFact = LogFact & FactOf<"finished"> & { timeMs: number };
export type Candidate = {
  id: string;
  ids: string[];
  /** What was asked for, of a fence that runs: a reboot runs, and stands in the history, as its off or its on. */
  asked?: string;
  /** The end where nobody knows when it began (beginningOf). */
  startedMs: number;
  endedMs: number | undefined;
  /** The node whose clock these two are of, where a log has them. */
  clock?: string | undefined;
  /** The one of that node first. */
  finished: FinishedFact[];
  incident?: Incident;
  fence?: ReconciledFence;
  /** Our own lines of it. */
  events: AnalyzedEvent[];
  outcomes: AnalyzedEvent[];
};

/** Undefined where a history alone knows of it: that says when a fence ended. */
export const beginningOf = ({ startedMs, endedMs }: Candidate): number | undefined =>
  Number.isFinite(startedMs) && startedMs !== endedMs ? startedMs : undefined;

export const actionOf = ({ finished, fence, incident, asked }: Candidate): string =>
  finished[0]?.action ??
  (fence?.completedMs === undefined ? asked : undefined) ??
  (fence?.completedMs === undefined ? incident?.action : undefined) ??
  fence?.action ??
  incident?.action ??
  "fence";

export function resultOf({ finished, fence, incident, endedMs }: Candidate): Explanation["result"] {
  const [first] = finished;
  if (first) return first.ok ? "succeeded" : "failed";
  const status = fence?.entries[0]?.status;
  if (status === "success") return "succeeded";
  if (status === "failed") return "failed";
  if (incident && incident.result !== "unknown") return incident.result;
  return status === "pending" || (endedMs === undefined && !incident) ? "running" : "unknown";
}

/** startedMs is only the first recorded line. */
export const isStartLate = ({ startedMs, events, incident }: Candidate): boolean =>
  incident?.start !== "asked" && events.some(({ timeMs }) => timeMs === startedMs);

/** The nearest within TOLERANCE_MS. */
export function nearest<Item>(items: readonly Item[], distanceMs: (item: Item) => number): Item | undefined {
  let best: { item: Item; awayMs: number } | undefined;
  for (const item of items) {
    const awayMs = distanceMs(item);
    if (awayMs <= TOLERANCE_MS && (!best || awayMs < best.awayMs)) best = { item, awayMs };
  }
  return best?.item;
}
