/**
 * What an operator does by hand to bring a node into a Galera cluster or to take one out: the lines of the source's
 * commands, with this cluster's own values where they can be read. Pure.
 */
import { reasonOf } from "../../../core/errors.ts";
import type { Instructions } from "../../node/service.ts";
import { withoutHost } from "./address.ts";
import { clusterAddressWith, configurationLines, type State } from "./plan.ts";
import { reasonsAgainstLeave, warningsAbout } from "./safety.ts";
import type { Site } from "./site.ts";

export type Known = { state: State; site: Site } | { why: string };

function sizeLines(known: Known): string[] {
  if (!("state" in known)) return [`⚠ Current cluster size: unknown: ${known.why}`];
  const { members, arbitrators } = known.state.cluster;
  return [
    `ℹ Current cluster size: ${members.length + arbitrators}`,
    ...members.map(
      ({ address, values, problem }) =>
        `     ${address}: ${problem ?? `${values.get("wsrep_cluster_status")}, ${values.get("wsrep_local_state_comment")}`}`,
    ),
  ];
}

/** What can be read is filled in; a value that cannot be written down is told of in its place. */
const filled = (known: Known, lines: (state: State, site: Site) => string[]): string[] => {
  if (!("state" in known)) return [];
  try {
    return lines(known.state, known.site).map((line) => `          ${line}`);
  } catch (error) {
    return [`          (${reasonOf(error)})`];
  }
};

export function instructionsToAdd(address: string, known: Known, called: string): Instructions {
  const votes = "state" in known ? known.state.cluster.members.length + known.state.cluster.arbitrators + 1 : undefined;
  return {
    title: "ℹ MariaDB Galera cluster join requires:",
    lines: [
      `  1. On the new node (${address}):`,
      "     - Install MariaDB",
      "     - Configure galera.cnf with wsrep_cluster_address",
      ...filled(known, (state, site) => configurationLines(state, site, "none, by hand").slice(1)),
      "     - Start MariaDB (will auto-join via SST)",
      ...filled(known, (state) => [
        `on the others, for their next start: wsrep_cluster_address="${clusterAddressWith(state, address)}"`,
      ]),
      ...sizeLines(known),
      ...(votes === undefined
        ? []
        : [`ℹ Quorum: with ${votes} nodes, ${Math.floor(votes / 2) + 1} must be able to see each other`]),
      `ℹ To have it done: ${called} --service mariadb --ip ${address} --apply`,
    ],
  };
}

export function instructionsToRemove(address: string, known: Known, called: string): Instructions {
  const advice = "state" in known ? adviceAgainst(known.state, address) : [];
  return {
    title: "⚠ MariaDB Galera cluster removal requires:",
    lines: [
      `  1. On the node to remove (${address}):`,
      "     - Stop MariaDB: systemctl stop mariadb",
      "  2. On remaining nodes (optional, for cleanup):",
      `     - UPDATE wsrep_cluster_address (remove ${address})`,
      ...filled(known, ({ configurations }) =>
        [...configurations]
          .filter(([one]) => one !== address)
          .map(([one, { settings }]) => {
            const before = settings.get("wsrep_cluster_address");
            return `${one}: ${before === undefined ? "not in a file" : `wsrep_cluster_address="${withoutHost(before, address, one)}"`}`;
          }),
      ),
      "⚠ Minimum cluster size: 2 nodes (for quorum)",
      ...sizeLines(known),
      ...advice.map((line) => `⚠ ${line}`),
      `ℹ To have it done: ${called} --service mariadb --ip ${address} --apply`,
    ],
  };
}

function adviceAgainst({ cluster }: State, address: string): string[] {
  const reasons = reasonsAgainstLeave(cluster, address, false);
  const left = cluster.members.filter((member) => member.address !== address);
  return reasons.length > 0
    ? reasons.map((reason) => `${address}: ${reason}`)
    : warningsAbout(left, cluster.arbitrators);
}
