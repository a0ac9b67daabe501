/** A Galera cluster and the configuration of each member that answers, read at one time. Errors: those of state.ts. */
import { failureOf } from "../../core/exec.ts";
import type { Host } from "../../core/host.ts";
import type { State } from "./plan.ts";
import { argvOn, type Node, READ_TIMEOUT_MS, readCluster, readConfiguration } from "./state.ts";

export async function readState(host: Host): Promise<State> {
  const cluster = await readCluster(host);
  // A member without an answer is a reason of its own.
  const asked = cluster.members.filter(({ problem }) => problem === undefined);
  const read = await Promise.all(
    asked.map(async (member) => [member.address, await readConfiguration(host, member)] as const),
  );
  return { cluster, configurations: new Map(read) };
}

/** In MiB, for telling how far a state transfer is; 0 where it could not be read in time. */
export async function readSizeMiB(host: Host, node: Node, directory: string): Promise<number> {
  const result = await host.run(argvOn(node, ["du", "-sm", "--", directory]), { timeoutMs: READ_TIMEOUT_MS });
  return failureOf(result) === undefined ? Number(/^\d+/.exec(result.stdout)?.[0] ?? 0) : 0;
}
