/**
 * Pacemaker's fencing history against the outcomes in this node's log: what no alert has told is written as an outcome
 * with source `reconcile`.
 * Input:  stonith_admin's history of this cluster; the outcomes file, current and rotated.
 * Output: one outcome for each fence in the history that has none. Pacemaker lists a request that it merged into a running
 *         one beside that: both are one fence, and an outcome of either answers for it.
 * Errors: OpsError when the history cannot be asked or the outcomes cannot be read: then nothing is written.
 *
 * Whose: with `own` the fences that this node's fencer executed (its delegate; where nobody was, those asked for here), so
 * that of several nodes that all run this each writes its own; with `all` every one, for a single watcher.
 * Once: an outcome answers for one fence of the same target, action, asker and status that completed TOLERANCE_MS apart
 * (each node has its own clock, and the history whole seconds), and the new outcome's id is derived from the history.
 */
import { v5 as uuidv5 } from "uuid";
import { OpsError, reasonOf } from "../core/errors.ts";
import { failureOf } from "../core/exec.ts";
import type { Host } from "../core/host.ts";
import { type EventAction, isoSeconds } from "../records/fence-event.ts";
import { decodeOutcome, encodeOutcome, type FenceOutcome } from "../records/fence-outcome.ts";
import { HISTORY_ARGV, type HistoryEntry, isOtherAsker, MERGED_MS, parseHistory } from "../records/fencing-history.ts";
import { appendOutcome, type EventLog, eachLineSince, OUTCOMES } from "./event-log.ts";
import type { Scope } from "./recover-options.ts";

export type Reconciled = {
  node: string;
  scope: Scope;
  /** Fences in the history that were looked at. */
  compared: number;
  /** Those that this call wrote an outcome for. */
  recorded: FenceOutcome[];
  problems: string[];
};

/** The clocks of two nodes, and how long after its end the fencer tells of a fence (SPEC 3). */
export const TOLERANCE_MS = 5_000;
/** An alert agent may take 30 s: only later is it certain that none has told. */
export const SETTLE_MS = 35_000;
/** How much later than the fence an outcome may have been written: read so much more of the log. */
const LATE_MS = 24 * 3_600_000;
const HISTORY_TIMEOUT_MS = 10_000;
const NODE_TIMEOUT_MS = 5_000;
const LOCK_TIMEOUT_MS = 5_000;
const NAMESPACE = "5f2c7f4e-3f0e-5d1c-9a52-0d6c1a7f0e4b";

type KnownOutcome = Pick<FenceOutcome, "action" | "target" | "status" | "timeMs" | "operation">;

export async function reconcileHistory(
  host: Host,
  log: EventLog,
  { windowMs, scope }: { windowMs: number; scope: Scope },
): Promise<Reconciled> {
  const node = await readNodeName(host);
  const history = await readHistory(host);
  const nowMs = host.now().getTime();
  const fences = fencesOf(history, { nowMs, windowMs, node: scope === "own" ? node : undefined });
  const result: Reconciled = { node, scope, compared: fences.length, recorded: [], problems: [] };
  if (fences.length === 0) return result;
  const oldestMs = Math.min(...fences.flat().map(({ completedMs = nowMs }) => completedMs)) - LATE_MS;
  const known: KnownOutcome[] = [];
  await eachLineSince(log, oldestMs, (line) => known.push(...decodeKnown(line)), OUTCOMES);
  for (const fence of missedFences(fences, known)) {
    const outcome = outcomeOf(fence, node);
    if (!outcome) {
      result.problems.push(`fencing history: ${fence[0].action} of ${fence[0].target}: no action that is recorded`);
      continue;
    }
    try {
      const wrote = await appendOutcome(log, encodeOutcome(outcome), {
        timeoutMs: LOCK_TIMEOUT_MS,
        now: () => host.now(),
      });
      if (wrote) result.recorded.push(outcome);
    } catch (error) {
      result.problems.push(`${fence[0].action} of ${fence[0].target}: not recorded: ${reasonOf(error)}`);
    }
  }
  return result;
}

/** As the cluster calls it, which may be another name than the system's. */
async function readNodeName(host: Host): Promise<string> {
  const answer = await host.run(["crm_node", "-n"], { timeoutMs: NODE_TIMEOUT_MS });
  const failure = failureOf(answer, NODE_TIMEOUT_MS);
  const name = answer.stdout.trim();
  if (failure === undefined && name !== "") return name;
  throw new OpsError("failed", `this node's name: ${failure ?? "crm_node -n says nothing"}`, { hint: "crm_node -n" });
}

async function readHistory(host: Host): Promise<HistoryEntry[]> {
  const answer = await host.run(HISTORY_ARGV, { timeoutMs: HISTORY_TIMEOUT_MS });
  const failure = failureOf(answer, HISTORY_TIMEOUT_MS);
  if (failure !== undefined) {
    throw new OpsError(answer.outcome === "not-started" ? "missing-tool" : "failed", `fencing history: ${failure}`, {
      hint: "crm_mon -1",
    });
  }
  return parseHistory(answer.stdout, HISTORY_ARGV.slice(0, 2).join(" "), host.now().getTime());
}

const isSameName = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

/** The request that was asked for first, and those merged into it. */
export type Fence = readonly [HistoryEntry, ...HistoryEntry[]];

/** What is over, settled, young enough and, with `node`, that node's; oldest first. */
export function fencesOf(
  history: readonly HistoryEntry[],
  { nowMs, windowMs, node }: { nowMs: number; windowMs: number; node: string | undefined },
): Fence[] {
  const entries = history.toReversed().filter(({ status, completedMs, delegate, origin }) => {
    if (status === "pending" || completedMs === undefined) return false;
    if (completedMs < nowMs - windowMs || completedMs > nowMs - SETTLE_MS) return false;
    return node === undefined || isSameName(delegate ?? origin, node);
  });
  const fences: [HistoryEntry, ...HistoryEntry[]][] = [];
  for (const entry of entries.sort((a, b) => (a.completedMs ?? 0) - (b.completedMs ?? 0))) {
    const same = fences.findLast((fence) => fence.every((other) => isMerged(entry, other)));
    if (same) same.push(entry);
    else fences.push([entry]);
  }
  return fences;
}

const isMerged = (a: HistoryEntry, b: HistoryEntry): boolean =>
  isSameName(a.target, b.target) &&
  a.action === b.action &&
  a.delegate === b.delegate &&
  a.status === b.status &&
  isOtherAsker(a, b) &&
  Math.abs((a.completedMs ?? 0) - (b.completedMs ?? 0)) <= MERGED_MS;

/** The fences that no outcome is about; each outcome answers for the nearest one only. */
export function missedFences(fences: readonly Fence[], known: readonly KnownOutcome[]): Fence[] {
  const pairs = fences.flatMap((fence) =>
    fence.flatMap((entry) =>
      known.flatMap((outcome) => {
        const awayMs = distanceMs(entry, outcome);
        return awayMs !== undefined && isAbout(outcome, entry) ? [{ entry, outcome, awayMs }] : [];
      }),
    ),
  );
  const told = new Set<HistoryEntry>();
  const used = new Set<KnownOutcome>();
  for (const { entry, outcome } of pairs.sort((a, b) => a.awayMs - b.awayMs)) {
    if (told.has(entry) || used.has(outcome)) continue;
    told.add(entry);
    used.add(outcome);
  }
  return fences.filter((fence) => !fence.some((entry) => told.has(entry)));
}

function distanceMs({ completedMs, wholeSeconds }: HistoryEntry, outcome: KnownOutcome): number | undefined {
  if (completedMs === undefined) return undefined;
  const atMs = Number(outcome.operation.completed_ms ?? outcome.timeMs);
  const awayMs = Math.max(completedMs - atMs, atMs - (completedMs + (wholeSeconds ? 999 : 0)), 0);
  return awayMs <= TOLERANCE_MS ? awayMs : undefined;
}

/** What one of both does not say (an old Pacemaker's alert) does not part them. */
function isAbout({ action, target, status, operation }: KnownOutcome, entry: HistoryEntry): boolean {
  const agrees = (known: string | number | undefined, said: string | undefined) =>
    known === undefined || said === undefined || said === "unknown" || isSameName(String(known), said);
  return (
    isSameName(target, entry.target) &&
    action === entry.action &&
    (status === "succeeded") === (entry.status === "success") &&
    agrees(operation.client, entry.client) &&
    agrees(operation.origin, entry.origin) &&
    agrees(operation.delegate, entry.delegate)
  );
}

function decodeKnown(line: string): FenceOutcome[] {
  try {
    return [decodeOutcome(JSON.parse(line), "reconcile")];
  } catch {
    return []; // a torn line, or one that somebody else wrote: it answers for nothing
  }
}

const isAction = (word: string): word is EventAction => word === "on" || word === "off" || word === "reboot";

export function outcomeOf([entry, ...merged]: Fence, node: string): FenceOutcome | undefined {
  const { action, target, client, origin, delegate, status, completedMs = 0, reason } = entry;
  if (!isAction(action)) return undefined;
  const operation: Record<string, string | number> = { action, completed_ms: completedMs };
  const said = { client, origin, delegate, reason };
  for (const [name, text] of Object.entries(said)) if (text && text !== "unknown") operation[name] = text;
  const identity = [target.toLowerCase(), action, isoSeconds(new Date(completedMs)), client, origin, delegate, status];
  const also = merged.map((other) => `${other.client}@${other.origin}`).join(" and ");
  const ended = status === "success" ? "succeeded" : "failed";
  return {
    eventId: uuidv5(JSON.stringify(identity), NAMESPACE),
    action,
    target,
    filesystems: ["none-detected"], // nobody was asked; without `discovery` this reads as unknown
    status: ended,
    details: `Fence action ${action} ${ended}${reason ? `: ${reason}` : ""}; found in Pacemaker's fencing history${also === "" ? "" : `, asked for by ${also} too`}`,
    recorderNode: node,
    source: "reconcile",
    timeMs: completedMs,
    operation,
  };
}
