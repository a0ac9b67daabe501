/** The steps that change a Galera cluster, and where they are locked: every member, in the order of their addresses. */
import type { Operations } from "../../operations.ts";
import { MARIADB_KINDS } from "./kinds.ts";
import { readCluster } from "./state.ts";

export const MARIADB_OPERATIONS: Operations = {
  kinds: MARIADB_KINDS,
  placesOf: async (_plan, host) =>
    (await readCluster(host)).members.map(({ address, isLocal }) => ({ name: address, isLocal })),
};
