/**
 * `fencepost node add|remove --service mariadb`: without --apply what to do by hand, with it a plan that does it.
 * Errors: OpsError usage, unsafe with every reason; those of reading the cluster.
 */
import { isIP } from "node:net";
import { OpsError, reasonOf } from "../../../core/errors.ts";
import type { Host } from "../../../core/host.ts";
import type { NodeCall, NodeService } from "../../node/service.ts";
import { instructionsToAdd, instructionsToRemove, type Known } from "./instructions.ts";
import { dataDirectoryHere, filesNamed, methodOf, planAdd, planRemove, type Removal, type State } from "./plan.ts";
import { readSizeMiB, readState } from "./read-state.ts";
import { readSite } from "./site.ts";
import { readUnit } from "./state.ts";

const APPLY = {
  describe: "do it, as a plan with a journal; without it the instructions are printed",
  type: "boolean",
} as const;

export const MARIADB: NodeService = {
  add: {
    describe: "brings a node into the Galera cluster of this node, and waits until it is Synced",
    options: { apply: APPLY },
    examples: [
      ["--ip 192.168.1.105", "what to do by hand, with this cluster's own values"],
      ["--ip 192.168.1.105 --apply", "configuration, start, wait for Synced"],
    ],
    plan: async (call) => {
      const { host, address } = onlyNode(call);
      if (call.args.apply !== true) return instructionsToAdd(address, await known(host, address), call.called);
      const state = await readState(host);
      const site = await siteFor(host, state, address);
      const here = { address: "localhost", isLocal: true };
      const sizeMiB = await readSizeMiB(host, here, dataDirectoryHere(state));
      return planAdd(state, site, { journal: call.id, sizeMiB });
    },
  },
  remove: {
    describe: "takes a node out of the Galera cluster of this node: stops it and takes its address out of the others",
    options: {
      apply: APPLY,
      "allow-single": { describe: "also where only one node would be left", type: "boolean" },
    },
    examples: [
      ["--ip 192.168.1.105", "what to do by hand, with this cluster's own values"],
      ["--ip 192.168.1.105 --apply", "stop it, and take its address out of the others"],
    ],
    plan: async (call) => {
      const { host, address } = onlyNode(call);
      if (call.args.apply !== true) return instructionsToRemove(address, await known(host, address), call.called);
      const state = await readState(host);
      const removal: Removal = { address, isSingleAllowed: call.args["allow-single"] === true };
      const isMember = state.cluster.members.some((member) => member.address === address);
      return planRemove(state, isMember ? removal : { ...removal, gone: await presence(host, address) });
    },
    question: ({ title }) => `⚠ MariaDB there is stopped for good: ${title}. Go on?`,
  },
};

function onlyNode({ context: { host }, hosts, called }: NodeCall): { host: Host; address: string } {
  const [address = "", ...more] = hosts;
  if (more.length > 0)
    throw new OpsError("usage", `${called}: --ip: one MariaDB node at a time`, { hint: `${called} --help` });
  // A member is known by its address: by a name it would be taken for a stranger.
  if (isIP(address) === 0)
    throw new OpsError("usage", `${called}: --ip: not an address: '${address}'`, {
      hint: "mariadb -e 'SELECT * FROM mysql.wsrep_cluster_members'",
    });
  return { host, address };
}

const siteFor = (host: Host, state: State, address: string) =>
  readSite(host, { address, isLocal: false }, methodOf(state), filesNamed(state));

/** The instructions are of use where nothing can be read, too. */
async function known(host: Host, address: string): Promise<Known> {
  try {
    const state = await readState(host);
    return { state, site: await siteFor(host, state, address) };
  } catch (error) {
    return { why: reasonOf(error) };
  }
}

async function presence(host: Host, address: string): Promise<NonNullable<Removal["gone"]>> {
  try {
    const unit = await readUnit(host, { address, isLocal: false });
    return unit === "inactive" || unit === "failed" || unit === "not-found" ? "stopped" : "running";
  } catch {
    return "unreachable";
  }
}
