/**
 * When the cluster lost a node, for the fence at hand: facts of the time around it → the loss that was open when the fence
 * was asked for, or that came with it; else the last one before, which the node had come back from.
 * The node's own lines do not count: cut off, it sees the others go; starting, it sees them come.
 */
import { isSame, type LogFact, ownerOf, timeOr } from "../logs/fact.ts";

export type Loss = {
  /** The return before it: what was seen of the node earlier belongs to another loss. */
  sinceMs: number;
  lostMs: number | undefined;
  /** Set when it was a member again before the fence was asked for. */
  back: LogFact | undefined;
};

export function lossOf(
  facts: readonly LogFact[],
  node: { target: string; targetId: number | undefined },
  startedMs: number,
): Loss {
  const others = facts.filter(({ host, evidence }) => !isSame(host ?? ownerOf(evidence.file), node.target));
  const listed = (ids: readonly number[]): boolean => node.targetId !== undefined && ids.includes(node.targetId);
  const lossesOf = others.filter(
    (fact) =>
      ((fact.kind === "node-lost" || fact.kind === "node-left-group") && isSame(fact.node, node.target)) ||
      (fact.kind === "membership" && listed(fact.left)),
  );
  const returnsOf = others.filter(
    (fact) =>
      (fact.kind === "node-member" && isSame(fact.node, node.target)) ||
      (fact.kind === "membership" && listed(fact.joined)),
  );
  // DLM hears of both from Corosync: it is asked where neither Corosync nor Pacemaker has a line.
  const isDlm = lossesOf.length + returnsOf.length === 0;
  const losses = isDlm ? others.filter((fact) => fact.kind === "dlm-node-gone" && listed([fact.nodeId])) : lossesOf;
  const returns = isDlm ? others.filter((fact) => fact.kind === "dlm-node-joined" && listed([fact.nodeId])) : returnsOf;
  const lastReturnTo = (untilMs: number): number =>
    timeOr(returns.findLast((fact) => timeOr(fact, 0) <= untilMs) ?? { timeMs: undefined }, Number.NEGATIVE_INFINITY);
  const returnedMs = lastReturnTo(startedMs);
  const open = losses.find((fact) => timeOr(fact, 0) > returnedMs);
  const last = losses.at(-1);
  if (open || !last) return { sinceMs: returnedMs, lostMs: open?.timeMs, back: undefined };
  const lastMs = timeOr(last, 0);
  const sinceMs = lastReturnTo(lastMs);
  const lostMs = losses.find((fact) => timeOr(fact, 0) > sinceMs)?.timeMs;
  return { sinceMs, lostMs, back: returns.find((fact) => timeOr(fact, 0) > lastMs) };
}
