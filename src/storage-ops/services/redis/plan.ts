/**
 * Which redis-cli commands bring a node into a cluster and give it its part, or take its part away and the node out.
 * Pure: state in, Plan out. redis-cli's rebalance counts anew each time it is run, so that it may be run again.
 * Errors: OpsError unsafe with every reason against it; usage for a node that is none of the cluster's.
 * Source: redis-cli.c of Redis 7.0: clusterManagerCommandAddNode, …Rebalance, …Reshard, …DeleteNode.
 */
import { OpsError } from "../../../core/errors.ts";
import type { Plan, Step, StepData } from "../../../core/plan.ts";
import { type Connection, clusterArgv, connectionData, nodeArgv } from "./connection.ts";
import {
  fairShare,
  reasonsAgainstChange,
  reasonsAgainstFewer,
  reasonsAgainstLoad,
  reasonsAgainstNewcomer,
  refuse,
  slotsToMove,
} from "./safety.ts";
import { type Cluster, isMaster, mastersOf, type Node, nodeAt, servingOf, type View } from "./state.ts";

const OBJECT = "redis-cluster";
const COMMAND_MS = 120_000;
/** Slots move as fast as their keys do; what ends it is its own end, or the operator. */
const MOVE_MS = 24 * 3_600_000;
const HEALTHY =
  "every node answers, says cluster_state:ok and agrees on the configuration; nobody else moves slots; those that get slots have room for their data; a slot that an interrupted move left half-way is first moved to its end (redis-cli --cluster fix)";

const picture = (label: string, rows: readonly (readonly [address: string, slots: number])[]): string =>
  `${label.padEnd(5)} ${rows.map(([address, slots]) => `${address} ${slots} slots`).join(", ")}`;
const hintFor = (entry: string): string => `redis-cli --cluster check ${entry}`;

/** Whom to ask: masters first, without those that join or leave. */
const membersOf = ({ views: [first] }: Cluster, without: readonly string[]): string[] =>
  [...(first?.nodes ?? [])]
    .sort((a, b) => Number(isMaster(b)) - Number(isMaster(a)) || (a.address < b.address ? -1 : 1))
    .map(({ address }) => address)
    .filter((address) => address !== "" && !without.includes(address));

// ── adding ──────────────────────────────────────────────────────────────────────────────────────────────────────────

export function planAdd(cluster: Cluster, newcomers: readonly View[], connection: Connection): Plan {
  const addresses = newcomers.map(({ address }) => address);
  const members = membersOf(cluster, addresses);
  const [entry = ""] = members;
  const reasons = reasonsAgainstChange(cluster);
  for (const view of newcomers) {
    const known = nodeAt(cluster, view.address);
    // One that was met by hand only lacks its slots.
    if (!known) reasons.push(...reasonsAgainstNewcomer(view));
    else if (!isMaster(known)) reasons.push(`${view.address} is a replica in this cluster`);
  }
  const there = mastersOf(cluster).filter(({ address }) => !addresses.includes(address));
  const count = there.length + newcomers.length;
  const views = [...cluster.views.filter(({ address }) => !addresses.includes(address)), ...newcomers];
  reasons.push(...reasonsAgainstLoad(views, [...there, ...newcomers.map(({ self }) => self)]));
  refuse(`Redis cluster of ${entry}: cannot add ${addresses.join(", ")}`, reasons, hintFor(entry));

  const shared = { ...connectionData(connection), members, ids: newcomers.map(({ self }) => self.id) };
  const steps = [
    ...newcomers.map((view) => addStep(view, entry, connection, shared)),
    ...newcomers.map((view) => firstSlotStep(view, entry, connection, shared)),
  ];
  steps.push({
    id: "rebalance",
    kind: "redis-balance",
    title: `give every master its part of the hash slots, about ${Math.round(fairShare(count))}`,
    argv: clusterArgv(connection, "rebalance", entry, "--cluster-use-empty-masters"),
    timeoutMs: MOVE_MS,
    destructive: false,
    waits: false,
    doneWhen: "every master has its share of the slots within 2 %, and all nodes agree on it",
    requires: HEALTHY,
    data: shared,
    before: ["ℹ Rebalancing hash slots..."],
    after: ["✓ Cluster rebalanced"],
  });
  const warnings = slotsToMove(there) > 0 ? ["the masters have unequal parts now; they will all have the same"] : [];
  return {
    version: 1,
    operation: "redis.node-add",
    title: `add ${addresses.join(", ")} to the Redis cluster of ${entry}`,
    object: OBJECT,
    warnings,
    picture: [
      picture(
        "now",
        there.map(({ address, slots }) => [address, slots]),
      ),
      picture(
        "then",
        [...there.map(({ address }) => address), ...addresses].map((one) => [one, Math.round(fairShare(count))]),
      ),
    ],
    steps,
  };
}

function addStep({ address, self }: View, entry: string, connection: Connection, shared: StepData): Step {
  return {
    id: `add-node-${address}`,
    kind: "redis-add-node",
    title: `bring ${address} into the cluster of ${entry}`,
    argv: clusterArgv(connection, "add-node", address, entry),
    timeoutMs: COMMAND_MS,
    destructive: false,
    waits: false,
    doneWhen: "it says cluster_state:ok, every node knows it, and all agree on the configuration",
    requires: "it is empty and in no cluster; every node answers, says cluster_state:ok and agrees; nobody moves slots",
    undo: { argv: clusterArgv(connection, "del-node", entry, self.id), timeoutMs: COMMAND_MS },
    data: { ...shared, address, id: self.id },
    after: [`✓ Node ${address} added to cluster`],
  };
}

/** One slot before thousands: a wrong password between the nodes or a closed port is found while nothing depends on it. */
function firstSlotStep({ address, self }: View, entry: string, connection: Connection, shared: StepData): Step {
  return {
    id: `first-slot-${address}`,
    kind: "redis-first-slot",
    title: `move one hash slot to ${address}, to see that it can be`,
    argv: clusterArgv(
      connection,
      ...["reshard", entry, "--cluster-from", "all", "--cluster-to", self.id, "--cluster-slots", "1", "--cluster-yes"],
    ),
    timeoutMs: MOVE_MS,
    destructive: false,
    waits: false,
    doneWhen: "it serves a slot, and all nodes agree on it",
    requires: HEALTHY,
    undo: { argv: drainArgv(connection, entry, [self.id]), timeoutMs: MOVE_MS },
    data: { ...shared, address, id: self.id },
  };
}

/** All slots of these to the others, in equal parts. */
const drainArgv = (connection: Connection, entry: string, ids: readonly string[]) =>
  clusterArgv(connection, "rebalance", entry, "--cluster-weight", ...ids.map((id) => `${id}=0`));

// ── removing ────────────────────────────────────────────────────────────────────────────────────────────────────────

export function planRemove(cluster: Cluster, addresses: readonly string[], connection: Connection): Plan {
  const leaving = addresses.map((address) => knownNode(cluster, address));
  const members = membersOf(cluster, addresses);
  const [entry = ""] = members;
  const masters = mastersOf(cluster);
  const staying = masters.filter(({ id }) => !leaving.some((node) => node.id === id));
  const full = leaving.filter(({ slots }) => slots > 0);
  const takers = servingOf(cluster).filter(({ id }) => !leaving.some((node) => node.id === id));
  const reasons = reasonsAgainstChange(cluster);
  if (full.length > 0) {
    reasons.push(...reasonsAgainstFewer(takers.length), ...reasonsAgainstLoad(cluster.views, takers));
  }
  refuse(`Redis cluster of ${entry}: cannot remove ${addresses.join(", ")}`, reasons, hintFor(entry));

  const ids = full.map(({ id }) => id);
  const shared = { ...connectionData(connection), members, ids };
  const ranges = full.reduce((sum, node) => sum + node.ranges.length, 0);
  const steps: Step[] = [];
  if (full.length > 0) {
    steps.push({
      id: "drain",
      kind: "redis-drain",
      title: `move the hash slots of ${full.map(({ address }) => address).join(", ")} to the other masters`,
      argv: drainArgv(connection, entry, ids),
      timeoutMs: MOVE_MS,
      destructive: false,
      waits: false,
      doneWhen: "no node says that it serves a slot, no slot is half-way, and all nodes agree on it",
      requires: `${HEALTHY}; at least 3 masters with slots stay`,
      undo: {
        impossible: "Redis may have made it a replica: go on to the end, then fencepost node add brings it back",
      },
      data: {
        ...shared,
        // In the order of `ids`.
        slots: full.map(({ slots }) => String(slots)),
        leaving: leaving.filter(isMaster).map(({ id }) => id),
      },
      before: [
        ...full.map(({ id }) => `ℹ Node ID: ${id}`),
        `⚠ Node has ${ranges} hash slot ranges`,
        "ℹ Resharding hash slots to other nodes...",
      ],
      after: ["✓ Slots resharded"],
    });
  }
  const sawId = new Set(ids);
  for (const node of leaving) {
    steps.push(
      ...forgetSteps(node, entry, connection, {
        ...shared,
        before: sawId.has(node.id) ? [] : [`ℹ Node ID: ${node.id}`],
      }),
    );
  }
  return {
    version: 1,
    operation: "redis.node-remove",
    title: `remove ${addresses.join(", ")} from the Redis cluster of ${entry}`,
    object: OBJECT,
    warnings: [
      ...(full.length > 0 ? staying.filter(({ slots }) => slots === 0) : []).map(
        ({ address }) => `${address} serves no slot and gets none; fencepost node add gives it its part`,
      ),
      ...warningsOf(cluster, leaving, staying),
    ],
    picture: [
      picture(
        "now",
        masters.map(({ address, slots }) => [address, slots]),
      ),
      picture(
        "then",
        staying.map(({ address, slots }) => [
          address,
          full.length > 0 && slots > 0 ? Math.round(fairShare(takers.length)) : slots,
        ]),
      ),
    ],
    steps,
  };
}

function warningsOf({ views: [first] }: Cluster, leaving: readonly Node[], staying: readonly Node[]): string[] {
  const nodes = first?.nodes ?? [];
  const warnings: string[] = [];
  const isLeaving = ({ id }: Node): boolean => leaving.some((node) => node.id === id);
  const orphans = nodes.filter((node) => !isLeaving(node) && leaving.some(({ id }) => id === node.masterId));
  if (orphans.length > 0)
    warnings.push(
      `${orphans.map(({ address }) => address).join(", ")}: replicas of it; Redis gives them another master`,
    );
  for (const master of staying) {
    const replicas = nodes.filter(({ masterId }) => masterId === master.id);
    if (replicas.length > 0 && replicas.every(isLeaving)) warnings.push(`${master.address} is left without a replica`);
  }
  return warnings;
}

function knownNode(cluster: Cluster, address: string): Node {
  const node = nodeAt(cluster, address);
  if (node) return node;
  const known = (cluster.views[0]?.nodes ?? []).map((one) => one.address || one.id);
  throw new OpsError("usage", `${address}: not a node of this cluster; its nodes: ${known.join(", ")}`, {
    hint: "--port, where it is not 6379",
  });
}

function forgetSteps(
  { id, address }: Node,
  entry: string,
  connection: Connection,
  shared: StepData & { before: string[] },
): Step[] {
  const { before, ...rest } = shared;
  const data = { ...rest, id, address };
  return [
    {
      id: `del-node-${address}`,
      kind: "redis-del-node",
      title: `take ${address} out of the cluster`,
      argv: clusterArgv(connection, "del-node", entry, id),
      timeoutMs: COMMAND_MS,
      destructive: true,
      waits: false,
      doneWhen: "no node of the cluster knows it, and none is a replica of it",
      requires:
        "every node says that it serves no slot; it holds no key, or is a replica; no slot is half-way; cluster_state:ok; at least 3 masters with slots stay",
      undo: { impossible: "it has been emptied and forgotten: fencepost node add brings it back" },
      data,
      before,
      after: [`✓ Node ${address} removed from cluster`],
    },
    {
      id: `reset-${address}`,
      kind: "redis-reset",
      title: `see that ${address} has left its old cluster behind`,
      argv: nodeArgv(connection, address, "CLUSTER", "RESET"),
      timeoutMs: COMMAND_MS,
      destructive: true,
      waits: false,
      doneWhen: "it knows no other node",
      requires: "no node of the cluster knows it",
      data,
    },
  ];
}
