/** The steps that change a pool, and where they are locked: every peer, in the order of their UUIDs. */
import type { Operations } from "../operations.ts";
import { HEAL_KINDS } from "./heal-run.ts";
import { GLUSTER_KINDS } from "./kinds.ts";
import { OPTIONS_KINDS } from "./options-plan.ts";
import { REBALANCE_KINDS } from "./rebalance-run.ts";
import { readPeers } from "./state.ts";

export const GLUSTER_OPERATIONS: Operations = {
  kinds: { ...GLUSTER_KINDS, ...HEAL_KINDS, ...OPTIONS_KINDS, ...REBALANCE_KINDS },
  placesOf: async (_plan, host) => {
    const peers = (await readPeers(host)).sort((a, b) => (a.uuid < b.uuid ? -1 : 1));
    return peers.map(({ hostnames: [name = ""], isLocal }) => ({ name, isLocal }));
  },
};
