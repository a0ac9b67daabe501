/**
 * Why slots must not move, a node not join and none leave. Pure; read for the plan, and again right before each step.
 * Every reason is a sentence about one node; an empty list means: nothing known is against it.
 */
import { OpsError } from "../../../core/errors.ts";
import {
  type Cluster,
  configurationOf,
  isMaster,
  mastersOf,
  type Node,
  openSlotsOf,
  SLOTS,
  type View,
} from "./state.ts";

/** A cluster of two masters has no majority once one is lost; one without slots has no vote. */
export const LEAST_MASTERS = 3;
/** redis-cli's own threshold, below which it moves nothing: 2 %. */
const THRESHOLD = 0.02;

export function refuse(what: string, reasons: readonly string[], hint: string): void {
  if (reasons.length > 0) throw new OpsError("unsafe", `${what}: ${[...new Set(reasons)].join("; ")}`, { hint });
}

/** What is wrong with the cluster as a whole. Slots that are half-way may be left to who can bring them to their end. */
export function reasonsAgainstChange(cluster: Cluster, { isOpenAllowed = false } = {}): string[] {
  const reasons = cluster.silent.map(({ address, why }) => `${address} does not answer: ${why}`);
  const [first] = cluster.views;
  for (const view of cluster.views) {
    if (view.state !== "ok") reasons.push(`${view.address} says cluster_state:${view.state}`);
    for (const node of view.nodes) {
      const name = node.address || node.id;
      const bad = node.flags.filter((flag) => ["fail", "fail?", "handshake", "noaddr"].includes(flag));
      if (bad.length > 0) reasons.push(`${name} is ${bad.join(", ")} as ${view.address} sees it`);
      else if (!node.isLinked) reasons.push(`${view.address} has no link to ${name}`);
    }
    for (const mover of view.movers)
      reasons.push(`somebody moves slots right now: ${mover}, connected to ${view.address}`);
    if (first && configurationOf(view) !== configurationOf(first))
      reasons.push(`${view.address} and ${first.address} do not agree on the configuration`);
  }
  const served = mastersOf(cluster).reduce((sum, { slots }) => sum + slots, 0);
  if (served !== SLOTS) reasons.push(`${served} of ${SLOTS} slots are served`);
  if (!isOpenAllowed) {
    const open = [...new Set(openSlotsOf(cluster).map(({ slot }) => slot))];
    if (open.length > 0)
      reasons.push(`${open.length === 1 ? "slot" : "slots"} ${open.slice(0, 5).join(", ")} half-way moved`);
  }
  return reasons;
}

/** Half-way slots whose end is clear: one giver and one taker that name each other, or one of the two alone. */
export function reasonsAgainstMending(cluster: Cluster): string[] {
  const open = openSlotsOf(cluster);
  const masters = mastersOf(cluster);
  const serves = (id: string, slot: number): boolean =>
    masters.some((node) => node.id === id && node.ranges.some((range) => isIn(range, slot)));
  return [...new Set(open.map(({ slot }) => slot))].flatMap((slot) => {
    const givers = open.filter((one) => one.slot === slot && one.way === "to");
    const takers = open.filter((one) => one.slot === slot && one.way === "from");
    const [giver] = givers;
    const [taker] = takers;
    const isClear =
      givers.length <= 1 &&
      takers.length <= 1 &&
      (giver === undefined || taker === undefined || (giver.other === taker.teller && taker.other === giver.teller)) &&
      (taker === undefined || serves(taker.other, slot) || serves(taker.teller, slot));
    return isClear ? [] : [`slot ${slot} is half-way between more than two nodes`];
  });
}

function isIn(range: string, slot: number): boolean {
  const [from = Number.NaN, to = from] = range.split("-").map(Number);
  return slot >= from && slot <= to;
}

/** Why a node must not join: it would bring what it has, or leave what it is in. */
export function reasonsAgainstNewcomer(view: View): string[] {
  const reasons: string[] = [];
  if (view.nodes.length > 1) reasons.push(`${view.address} is in a cluster of ${view.nodes.length} nodes already`);
  if (!isMaster(view.self)) reasons.push(`${view.address} is a replica`);
  if (view.self.slots > 0) reasons.push(`${view.address} serves ${view.self.slots} slots`);
  if (view.keys !== 0)
    reasons.push(`${view.address} is not empty: ${Number.isNaN(view.keys) ? "an unknown number of" : view.keys} keys`);
  return reasons;
}

/**
 * Why those that get slots have no room for the data in them: a full node refuses keys, or throws others away.
 * `sharing`: the masters that share all slots in the end; what they have too much, and all that others have, is moved.
 */
export function reasonsAgainstLoad(views: readonly View[], sharing: readonly Node[]): string[] {
  const shares = ({ self }: View): boolean => sharing.some(({ id }) => id === self.id);
  const lacks = (view: View): number => (shares(view) ? fairShare(sharing.length) : 0) - view.self.slots;
  if (slotsToMove(sharing) === 0 && views.every((view) => shares(view) || view.self.slots === 0)) return [];
  const takers = views.filter((view) => lacks(view) > 0);
  const lacking = takers.reduce((sum, view) => sum + lacks(view), 0);
  const bytes = views
    .filter((view) => lacks(view) < 0)
    .reduce((sum, view) => sum + (view.memory.used * -lacks(view)) / view.self.slots, 0);
  return takers.flatMap((view) => {
    const { used, limit, evicts } = view.memory;
    const then = Math.round(used + (bytes * lacks(view)) / lacking);
    return limit > 0 && then > limit
      ? [`${view.address} has no room: ${then} bytes of maxmemory ${limit}${evicts ? ", and it would evict keys" : ""}`]
      : [];
  });
}

/** Why a node must not be forgotten. `cluster` is read by way of the nodes that stay. */
export function reasonsAgainstForgetting(cluster: Cluster, id: string, address: string): string[] {
  const reasons = reasonsAgainstChange(cluster);
  for (const view of cluster.views) {
    const node = view.nodes.find((one) => one.id === id);
    if (!node) reasons.push(`${view.address} knows no ${id}`);
    else if (node.address !== address) reasons.push(`${id} is at ${node.address} now`);
    else if (node.slots > 0) reasons.push(`${view.address} says it still serves ${node.slots} slots`);
  }
  const own = cluster.views.find(({ self }) => self.id === id);
  if (own && isMaster(own.self) && own.keys !== 0) reasons.push(`${address} still holds ${own.keys} keys`);
  return reasons;
}

/** `serving`: masters that would still serve slots. */
export const reasonsAgainstFewer = (serving: number): string[] =>
  serving < LEAST_MASTERS
    ? [`${serving} masters would be left with slots: a Redis cluster needs ${LEAST_MASTERS} for a majority`]
    : [];

/** What each master should have, once the drained ones have nothing. */
export const fairShare = (masters: number): number => SLOTS / masters;

/** Slots that have yet to move until every one of these has its share; as near as redis-cli goes. */
export function slotsToMove(masters: readonly Node[]): number {
  const share = fairShare(masters.length);
  const tolerance = Math.max(2, share * THRESHOLD);
  if (masters.every(({ slots }) => Math.abs(slots - share) <= tolerance)) return 0;
  return Math.max(1, Math.round(masters.reduce((sum, { slots }) => sum + Math.max(0, slots - share), 0)));
}
