/** The steps that change a pool, and where they are locked: every peer, in the order of their UUIDs. */
import type { Operations } from "../operations.ts";
import { GLUSTER_KINDS } from "./kinds.ts";
import { SETUP_KINDS, setupPlaces } from "./setup/kinds.ts";
import { OPERATION as SETUP } from "./setup/plan.ts";
import { readPeers } from "./state.ts";

export const GLUSTER_OPERATIONS: Operations = {
  kinds: { ...GLUSTER_KINDS, ...SETUP_KINDS },
  placesOf: async (plan, host) => {
    if (plan.operation === SETUP) return setupPlaces(plan, host);
    const peers = (await readPeers(host)).sort((a, b) => (a.uuid < b.uuid ? -1 : 1));
    return peers.map(({ hostnames: [name = ""], isLocal }) => ({ name, isLocal }));
  },
};
