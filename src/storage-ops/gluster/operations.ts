/** The steps that change a pool, and where they are locked: every peer, in the order of their UUIDs. */
import type { Operations } from "../operations.ts";
import { GLUSTER_KINDS } from "./kinds.ts";
import { readPeers } from "./state.ts";

export const GLUSTER_OPERATIONS: Operations = {
  kinds: GLUSTER_KINDS,
  placesOf: async (_plan, host) => {
    const peers = (await readPeers(host)).sort((a, b) => (a.uuid < b.uuid ? -1 : 1));
    return peers.map(({ hostnames: [name = ""], isLocal }) => ({ name, isLocal }));
  },
};
