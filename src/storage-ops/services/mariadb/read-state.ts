/** A Galera cluster and the configuration of each member that answers, read at one time. Errors: those of state.ts. */
import { reasonOf } from "../../../core/errors.ts";
import type { Host } from "../../../core/host.ts";
import type { State } from "./plan.ts";
import {
  argvOn,
  type Configuration,
  type Member,
  type Node,
  READ_TIMEOUT_MS,
  readCluster,
  readConfiguration,
} from "./state.ts";

export async function readState(host: Host): Promise<State> {
  const cluster = await readCluster(host);
  const configurations = new Map<string, Configuration>();
  const members = await Promise.all(
    cluster.members.map(async (member): Promise<Member> => {
      if (member.problem !== undefined) return member;
      try {
        configurations.set(member.address, await readConfiguration(host, member));
        return member;
      } catch (error) {
        // What could not be checked is a reason against any change.
        return { ...member, problem: reasonOf(error) };
      }
    }),
  );
  return { cluster: { ...cluster, members }, configurations };
}

/** In MiB, for telling how far a state transfer is; undefined where it could not be read in time. */
export async function readSizeMiB(host: Host, node: Node, directory: string): Promise<number | undefined> {
  const result = await host.run(argvOn(node, ["du", "-smD", "--", directory]), { timeoutMs: READ_TIMEOUT_MS });
  // 1: a file went away while it counted.
  const number = /^\d+(?=\t)/m.exec(result.outcome === "exited" ? result.stdout : "")?.[0];
  return number === undefined ? undefined : Number(number);
}
