/**
 * Who knows the steps of an operation, by the first word of its name (`gluster.node-add`): what a fresh process needs to go
 * on with a journal. Each service is loaded only when it is used.
 * Errors: OpsError unsupported for an operation that this version does not know.
 */
import { OpsError } from "../core/errors.ts";
import type { Host } from "../core/host.ts";
import type { Plan, StepKinds } from "../core/plan.ts";
import { escapeControl } from "../core/text.ts";
import type { Place } from "./cluster-lock.ts";

export type Operations = {
  kinds: StepKinds;
  /** Where it is locked: every node that could change the same thing, in an order that all of them agree on. */
  placesOf: (plan: Plan, host: Host) => Promise<Place[]>;
  /** The Host that its steps run on, where they need what no journal may keep (a password in the environment). */
  hostFor?: (plan: Plan, host: Host) => Promise<Host>;
};

const SERVICES: Readonly<Record<string, () => Promise<Operations>>> = {
  gluster: async () => (await import("./gluster/operations.ts")).GLUSTER_OPERATIONS,
  mariadb: async () => (await import("./services/mariadb/operations.ts")).MARIADB_OPERATIONS,
  redis: async () => (await import("./services/redis/operations.ts")).REDIS_OPERATIONS,
  slurm: async () => (await import("./services/slurm/operations.ts")).SLURM_OPERATIONS,
};

export async function operationsOf({ operation }: Plan): Promise<Operations> {
  const service = operation.slice(0, operation.indexOf("."));
  if (Object.hasOwn(SERVICES, service)) return (SERVICES[service] as () => Promise<Operations>)();
  throw new OpsError("unsupported", `journal: unknown operation ${escapeControl(operation)}`, {
    hint: "use the version that wrote it",
  });
}
