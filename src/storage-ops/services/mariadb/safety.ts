/**
 * What must hold before a Galera cluster gets a node more or less: for the plan, and again right before a step. Pure.
 * Input:  a Cluster as read, and what its configuration files say. Output: the reasons against it, in words.
 * Quorum: a node that is stopped says good-bye, and the rest go on with its votes taken off the total, so a stop of one node
 *         costs no quorum while any vote is left. A crash does not say good-bye: the rest must then hold more than half of
 *         the votes there were. With two nodes either crash stops the other one; with one there is no other copy at all.
 * Source: "Weighted Quorum" of Galera's documentation: (votes before - votes that left) / 2 < votes here; pc.weight, which
 *         may be 0. Galera's gcomm/src/pc_proto.cpp, have_quorum: votes here * 2 + votes that left > votes before.
 */
import { isIP } from "node:net";
import { hostsIn, OWN_FILE } from "./address.ts";
import type { Cluster, Configuration, Member, Values } from "./state.ts";

export type Configurations = ReadonlyMap<string, Configuration>;

const sizeOf = ({ members, arbitrators }: Cluster): number => members.length + arbitrators;
export const addressesOf = ({ members }: Cluster): string[] => members.map(({ address }) => address);

/** Every member asked, Synced, and of one opinion; nobody absent who is known by name, `except` for the one in question. */
export function reasonsAgainstChange(cluster: Cluster, configurations: Configurations, except: string): string[] {
  const reasons: string[] = [];
  const size = sizeOf(cluster);
  const views = new Set<string>();
  for (const member of cluster.members) {
    const { address, values, problem } = member;
    const who = address === "" ? `member ${member.name}` : `member ${address}`;
    if (problem !== undefined) {
      reasons.push(`${who} could not be asked: ${problem}`);
      continue;
    }
    const value = (name: string): string => values.get(`wsrep_${name}`) ?? "unknown";
    if (value("cluster_status") !== "Primary") reasons.push(`${who} is ${value("cluster_status")}`);
    if (value("local_state_comment") !== "Synced") reasons.push(`${who} is ${value("local_state_comment")}`);
    else if (value("ready") !== "ON") reasons.push(`${who} is not ready`);
    if (value("desync") !== "OFF" || value("desync_count") !== "0") reasons.push(`${who} is desynchronised by hand`);
    if (value("cluster_size") !== String(size))
      reasons.push(`${who} counts ${value("cluster_size")} nodes, ${size} are listed`);
    views.add(`${value("cluster_state_uuid")} ${value("cluster_conf_id")}`);
  }
  if (views.size > 1) reasons.push("the members are not of one view of the cluster");
  const addresses = addressesOf(cluster);
  if (new Set(addresses).size !== addresses.length) reasons.push("two members have one address");
  if (!cluster.members.some(({ isLocal }) => isLocal)) reasons.push("none of the members' addresses is this node's");
  const absent = new Set<string>();
  for (const [address, { settings }] of configurations) {
    for (const known of hostsIn(settings.get("wsrep_cluster_address") ?? "gcomm://")) {
      if (isIP(known) === 0)
        reasons.push(`${address}: wsrep_cluster_address names ${known}: only addresses can be compared`);
      else if (known !== except && !addresses.includes(known)) absent.add(known);
    }
  }
  for (const known of absent) reasons.push(`${known} is in wsrep_cluster_address and not in the cluster`);
  return reasons;
}

/** The one file to change: ours is read last, where an earlier configuration is left beside it. */
export const addressFileOf = ({ addressFiles }: Configuration): string | undefined =>
  addressFiles.length === 1 ? addressFiles[0] : addressFiles.find((file) => file.endsWith(`/${OWN_FILE}`));

/** Why a member's configuration could not be given another list of addresses. */
export function reasonsAgainstEditing(configurations: Configurations): string[] {
  const reasons: string[] = [];
  for (const [address, configuration] of configurations) {
    if (configuration.addressFiles.length === 0 || !configuration.settings.has("wsrep_cluster_address"))
      reasons.push(`${address}: no configuration file sets wsrep_cluster_address`);
    else if (addressFileOf(configuration) === undefined)
      reasons.push(
        `${address}: wsrep_cluster_address is in several files: ${configuration.addressFiles.join(", ")}: leave one`,
      );
  }
  return reasons;
}

/** What is left when that member has stopped. `isSingleAllowed`: the operator has asked for a cluster of one. */
export function reasonsAgainstLeave(cluster: Cluster, address: string, isSingleAllowed: boolean): string[] {
  const leaver = cluster.members.find((member) => member.address === address);
  if (!leaver) return ["it is not a member"];
  const left = cluster.members.filter((member) => member !== leaver);
  const reasons: string[] = [];
  if (leaver.isLocal) reasons.push("it is this node: run it on a member that stays");
  const [last] = left;
  if (last === undefined) reasons.push("it is the last node of the cluster");
  else if (left.length === 1 && !isSingleAllowed) {
    reasons.push(
      `only ${last.address} would be left, below the minimum of 2 nodes: no other copy of the data (--allow-single if that is meant)`,
    );
  }
  const votes = votesWithout(leaver);
  if (Number.isNaN(votes)) reasons.push("how many votes would be left is not known");
  else if (last !== undefined && votes <= 0)
    reasons.push(
      "no vote would be left (pc.weight=0), and the rest would stop serving: set pc.weight=1 on one of them",
    );
  return reasons;
}

const weightIn = (values: Values): number =>
  Number(/\bpc\.weight\s*=\s*(\d+)/.exec(values.get("wsrep_provider_options") ?? "")?.[1] ?? 1);

/** Of the whole component, arbitrators too, as the leaver counts it; NaN where it does not tell. */
const votesWithout = ({ values }: Member): number =>
  Number.parseInt(values.get("wsrep_cluster_weight") ?? "", 10) - weightIn(values);

/** Would the rest go on if one of them crashed? Said in words where it would not. */
export function warningsAbout(left: readonly Member[], arbitrators: number): string[] {
  const votes = left.map(({ values }) => weightIn(values));
  const total = votes.reduce((sum, one) => sum + one, 0) + arbitrators;
  const heaviest = Math.max(...votes);
  if (left.length === 1)
    return [
      `one node is left: there is no other copy, and it serves alone${arbitrators > 0 ? " with arbitrators" : ""}`,
    ];
  if ((total - heaviest) * 2 > total) return [];
  return [
    `${total} votes are left: when a node crashes the rest may hold only ${total - heaviest} of ${total}, no majority, and stop serving: add a node or an arbitrator`,
  ];
}
