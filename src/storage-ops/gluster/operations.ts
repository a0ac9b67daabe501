/** The steps that change a pool, and where they are locked: every peer, in the order of their UUIDs. */
import type { Host } from "../../core/host.ts";
import type { Plan } from "../../core/plan.ts";
import type { Operations } from "../operations.ts";
import { HEAL_KINDS, HEAL_OPERATION } from "./heal-run.ts";
import { GLUSTER_KINDS } from "./kinds.ts";
import { MOUNT_KINDS, MOUNT_OPERATION } from "./mount-plan.ts";
import { OPTIONS_KINDS } from "./options-plan.ts";
import { REBALANCE_KINDS } from "./rebalance-run.ts";
import { REPLACE_KINDS } from "./replace-kinds.ts";
import { SETUP_KINDS, setupPlaces } from "./setup/kinds.ts";
import { OPERATION as SETUP } from "./setup/plan.ts";
import { SPLIT_BRAIN_KINDS } from "./split-brain-plan.ts";
import { findPeer, type Peer, readPeers, readVolumes } from "./state.ts";

/**
 * Of the nodes that are not connected those that the plan gives up, where nobody can hold a lock: whose brick is said to be
 * dead, or who leaves the pool and has no brick. Neither can change the pool from there.
 */
async function givenUp({ steps }: Plan, host: Host, away: readonly Peer[]): Promise<string[]> {
  const dead = steps.flatMap(({ kind, data }) =>
    kind === "replace-brick" && data.dead === true ? [String(data.fromUuid)] : [],
  );
  const leaving = steps.flatMap(({ kind, data }) =>
    kind === "peer-detach" ? (findPeer(away, String(data.host))?.uuid ?? []) : [],
  );
  if (leaving.length === 0) return dead;
  const holders = (await readVolumes(host)).flatMap(({ bricks }) => bricks.map(({ hostUuid }) => hostUuid));
  return [...dead, ...leaving.filter((uuid) => !holders.includes(uuid))];
}

export const GLUSTER_OPERATIONS: Operations = {
  kinds: {
    ...GLUSTER_KINDS,
    ...HEAL_KINDS,
    ...MOUNT_KINDS,
    ...OPTIONS_KINDS,
    ...REBALANCE_KINDS,
    ...REPLACE_KINDS,
    ...SETUP_KINDS,
    ...SPLIT_BRAIN_KINDS,
  },
  placesOf: async (plan, host) => {
    if (plan.operation === SETUP) return setupPlaces(plan, host);
    // A client's fstab is its own.
    if (plan.operation === MOUNT_OPERATION) return [{ name: host.hostname(), isLocal: true }];
    const peers = await readPeers(host);
    const away = peers.filter(({ connected }) => !connected);
    const dead = await givenUp(plan, host, away);
    // To heal changes nothing that a node that is away could change too.
    const mayMiss = (uuid: string): boolean => dead.includes(uuid) || plan.operation === HEAL_OPERATION;
    return peers
      .filter(({ uuid, connected }) => connected || !mayMiss(uuid))
      .sort((a, b) => (a.uuid < b.uuid ? -1 : 1))
      .map(({ hostnames: [name = ""], isLocal }) => ({ name, isLocal }));
  },
};
