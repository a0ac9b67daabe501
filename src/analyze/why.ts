/**
 * Why was a node fenced, and what came of it? One page for one fence, from whatever sources there are.
 * Input:  the target, our own incidents of it, what the cluster's logs say, Pacemaker's history, node ids and names.
 * Output: an Explanation: findings by topic, each with the line it rests on; what no source says is a gap, named so.
 * Errors: OpsError bad-input when no source knows of a fence of that target, or of the one asked for; usage when the id
 *         asked for fits several.
 *
 * What belongs together: log lines of one operation carry its id or its client; everything else (membership, DLM, GFS2)
 * is taken from the time between the fence before and the fence after, LOOK_BACK_MS before the request at most.
 */
import type { ClockBasis } from "../core/log-clock.ts";
import type { HistoryEntry } from "../records/fencing-history.ts";
import type { Evidence } from "./event.ts";
import type { Filters } from "./filter.ts";
import type { Incident } from "./incidents.ts";
import { byTime, isKind, isSame, type LogFact, type LogFile } from "./logs/fact.ts";
import { actionOf, beginningOf, type Candidate, isStartLate, LOOK_BACK_MS, resultOf } from "./why/candidate.ts";
import { candidatesOf, choose } from "./why/candidates.ts";
import { doneBy } from "./why/operation.ts";
import { Page } from "./why/page.ts";

export const TOPICS = [
  "last-sign",
  "noticed",
  "decided",
  "attempts",
  "result",
  "recorded",
  "gfs2",
  "resources",
  "return",
] as const;
export type Topic = (typeof TOPICS)[number];

export type Finding = { topic: Topic; timeMs: number | undefined; text: string; evidence: Evidence };
/** Something an admin asks that no source at hand answers. */
export type Gap = { topic: Topic; text: string };

export type LockspaceBlock = {
  lockspace: string;
  /** When DLM stopped it (`stopped`), or when it was first seen to wait (`waiting`: it was stopped before). */
  from: { timeMs: number; evidence: Evidence; what: "stopped" | "waiting" } | undefined;
  /** The first line of it waiting for the fence. */
  waits: { timeMs: number; evidence: Evidence; what: "waiting" } | undefined;
  /** When GFS2 had replayed the journal, DLM had recovered, or only fencing was known to be over. */
  until: { timeMs: number; evidence: Evidence; what: "recovered" | "dlm-recovered" | "fenced" } | undefined;
  blockedMs: number | undefined;
  /** False: blockedMs is a lower bound. */
  exact: boolean;
};

export type Explanation = {
  target: string;
  id: string;
  action: string;
  result: "succeeded" | "failed" | "refused" | "running" | "unknown";
  /** Of a fence that succeeded: the devices whose agents said so, and whether the node was left off by a reboot. */
  devices: readonly string[] | undefined;
  isRecorderAlone: boolean;
  leftOff: boolean | undefined;
  startedMs: number | undefined;
  /** startedMs is only the first recorded line: a device before the recorder may have been at work by then. */
  isStartLate: boolean;
  completedMs: number | undefined;
  /** As recorded; undefined where nobody could tell. */
  filesystems: readonly string[] | undefined;
  lockspaces: readonly LockspaceBlock[];
  findings: readonly Finding[];
  gaps: readonly Gap[];
  clocks: readonly { file: string; basis: ClockBasis }[];
  /** Other fences of this node that are known: earlier and later ones. */
  others: readonly { id: string; timeMs: number }[];
};

export type WhySources = {
  target: string;
  incidents: readonly Incident[];
  logs: readonly LogFile[];
  history: readonly HistoryEntry[];
  nodeNames: ReadonlyMap<number, string>;
  /** Whether our own log could be read at all: only then is a fence without a line one that nobody recorded. */
  recordsRead: boolean;
};

export type WhichFence = { atMs?: number; incident?: string; filters?: Filters };

export function explain(sources: WhySources, which: WhichFence = {}): Explanation {
  const { target, logs } = sources;
  const facts = logs.flatMap((log) => log.facts).sort(byTime);
  const targetId = nodeIdOf(facts, sources);
  const candidates = candidatesOf(sources, facts, targetId);
  const chosen = choose(candidates, which, target);
  const index = candidates.indexOf(chosen);
  const before = candidates[index - 1];
  const later = candidates.slice(index + 1);
  const fromMs = Math.max(
    before?.endedMs ?? before?.startedMs ?? Number.NEGATIVE_INFINITY,
    // Where not even its end is known, the time since the fence before is all there is.
    Number.isFinite(chosen.startedMs) ? chosen.startedMs - LOOK_BACK_MS : Number.NEGATIVE_INFINITY,
  );
  const page = new Page(sources, facts, targetId, chosen, { fromMs, later });
  const lockspaces = page.write();
  return {
    target,
    id: chosen.id,
    action: actionOf(chosen),
    result: resultOf(chosen),
    ...doneBy(page),
    startedMs: beginningOf(chosen),
    isStartLate: isStartLate(chosen),
    completedMs: chosen.endedMs,
    filesystems: filesystemsOf(chosen),
    lockspaces,
    findings: page.findings,
    gaps: page.gaps,
    clocks: logs.map(({ file, clock }) => ({ file, basis: clock })),
    others: candidates.filter((other) => other !== chosen).map(({ id, startedMs }) => ({ id, timeMs: startedMs })),
  };
}

const filesystemsOf = ({ events }: Candidate): readonly string[] | undefined =>
  events.some(({ known }) => known === "found" || known === "none")
    ? [...new Set(events.flatMap(({ filesystems }) => filesystems))].sort()
    : undefined;

function nodeIdOf(facts: readonly LogFact[], { target, nodeNames, history }: WhySources): number | undefined {
  for (const fact of facts) {
    if ("nodeId" in fact && "node" in fact && fact.nodeId !== undefined && isSame(fact.node, target))
      return fact.nodeId;
  }
  for (const [id, name] of nodeNames) if (isSame(name, target)) return id;
  // dlm_controld fences by number, and its process stands as the client in the history, beside the name.
  const clients = history.filter((entry) => isSame(entry.target, target)).map(({ client }) => client);
  return facts
    .filter(isKind("dlm-fence-asked", "dlm-fence-result"))
    .find(({ pid }) => clients.includes(`stonith-api.${pid}`))?.nodeId;
}
