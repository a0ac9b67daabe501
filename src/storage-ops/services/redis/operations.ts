/** The steps that change a Redis cluster, and where they are locked: every master, in the order of their ids. */
import { OpsError } from "../../../core/errors.ts";
import type { Plan } from "../../../core/plan.ts";
import type { Place } from "../../cluster-lock.ts";
import type { Operations } from "../../operations.ts";
import { type Connection, connectionOf, secretsOf, withSecrets } from "./connection.ts";
import { REDIS_KINDS } from "./kinds.ts";
import { takeConnection } from "./lock.ts";
import { mastersOf, readCluster } from "./state.ts";

function connectionIn({ operation, steps: [step] }: Plan): { connection: Connection; members: string[] } {
  if (!step) throw new OpsError("bad-input", `plan ${operation}: no steps`);
  return { connection: connectionOf(step), members: [step.data.members ?? []].flat().map(String) };
}

export const REDIS_OPERATIONS: Operations = {
  kinds: REDIS_KINDS,
  hostFor: (plan, host) => withSecrets(host, connectionIn(plan).connection),
  placesOf: async (plan, plainHost) => {
    const { connection, members } = connectionIn(plan);
    const secrets = await secretsOf(connection);
    const host = await withSecrets(plainHost, connection);
    const masters = mastersOf(await readCluster(host, connection, members)).sort((a, b) => (a.id < b.id ? -1 : 1));
    return masters.map(
      ({ address }): Place => ({
        name: address,
        isLocal: false,
        take: (note, { env }) => {
          const inherited = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined);
          return takeConnection(
            { host, connection, address, env: { ...Object.fromEntries(inherited), ...secrets } },
            note,
          );
        },
      }),
    );
  },
};
