/** The steps that change a pool, and where they are locked: every peer, in the order of their UUIDs. */
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
import { readPeers } from "./state.ts";

/** The node whose brick is given up as dead: while it is not connected nobody can hold a lock there, or change the pool from there. */
const givenUp = ({ steps }: Plan): string | undefined => {
  const step = steps.find(({ kind, data }) => kind === "replace-brick" && data.dead === true);
  return step && String(step.data.fromUuid);
};

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
    const dead = givenUp(plan);
    // To heal changes nothing that a node that is away could change too.
    const mayMiss = (uuid: string): boolean => uuid === dead || plan.operation === HEAL_OPERATION;
    const peers = (await readPeers(host)).filter(({ uuid, connected }) => connected || !mayMiss(uuid));
    return peers
      .sort((a, b) => (a.uuid < b.uuid ? -1 : 1))
      .map(({ hostnames: [name = ""], isLocal }) => ({ name, isLocal }));
  },
};
