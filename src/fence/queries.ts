/**
 * What the agent can be asked by hand: which nodes there are, and whether the cluster sees one of them.
 * Both are answers about the cluster's view; a recorder has no power switch to look at.
 */
import { OpsError } from "../core/errors.ts";
import { failureOf } from "../core/exec.ts";
import type { Host } from "../core/host.ts";
import { escapeControl } from "../core/text.ts";
import { fencingTargets, readCib } from "../discovery/cib.ts";
import { type ClusterView, parseClusterView } from "../discovery/crm-mon.ts";
import { sameNode } from "../discovery/source.ts";
import type { AgentContext } from "./agent.ts";

const QUERY_TIMEOUT_MS = 5_000;

export async function readClusterView(host: Host): Promise<ClusterView> {
  const result = await host.run(["crm_mon", "-1", "--output-as=xml"], { timeoutMs: QUERY_TIMEOUT_MS, group: "caller" });
  const failure = failureOf(result, QUERY_TIMEOUT_MS);
  if (failure !== undefined) throw new OpsError("failed", failure, { hint: "crm_mon -1" });
  return parseClusterView(result.stdout);
}

/** 0 only when a quorate view has the node as an online member. */
export async function status({ host, out, warn }: AgentContext, target: string): Promise<number> {
  const node = escapeControl(target);
  const view = await readClusterView(host);
  const seen = view.nodes.find(({ name }) => sameNode(name, target));
  const why = !view.quorate
    ? "this node's view has no quorum"
    : seen === undefined
      ? "the cluster does not know it"
      : ["online", "standby", "maintenance"].includes(seen.state)
        ? undefined
        : `the cluster sees it as ${seen.state}`;
  if (why === undefined) {
    out("Status: ON\n");
    return 0;
  }
  warn(`status of ${node}: ${why}; a recorder cannot see power`);
  return 1;
}

/** One node a line: name and alias, for list-status the state too. Never an empty list with exit 0. */
export async function list({ host, out, options }: AgentContext, withStatus: boolean): Promise<number> {
  const nodes = fencingTargets(await readCib(host, { timeoutMs: QUERY_TIMEOUT_MS }));
  if (nodes.length === 0)
    throw new OpsError("failed", "list: the cluster's configuration names no node", { hint: "crm_node -l" });
  const view = withStatus ? await readClusterView(host) : undefined;
  const lines = nodes.map(({ name, kind }) => {
    // Fencing a guest is a stop of its resource and never reaches an agent: it is in the list, but marked.
    const words = [escapeControl(name), kind === "guest" ? "guest" : ""];
    if (view) {
      const online = view.quorate && view.nodes.some((node) => sameNode(node.name, name) && node.state === "online");
      words.push(online ? "ON" : "UNKNOWN");
    }
    return `${words.join(options.separator)}\n`;
  });
  out(lines.join(""));
  return 0;
}
