/**
 * What is running where, as the cluster sees it now.
 * Input:  stdout of `crm_mon -1 --output-as=xml`. Output: ClusterView.
 * Errors: OpsError bad-output. Source: crm_mon(8), xml/api/*.rng of Pacemaker 2.1.
 */
import { fail } from "../core/errors.ts";
import { childNamed, childrenNamed, elementsNamed, parseXml, type XmlElement } from "../core/xml.ts";
import { type ClusterFacts, type PendingOperation, sameNode } from "./source.ts";

export type ViewedNode = { name: string; id: string; state: string };
export type ClusterView = {
  dc: string | undefined;
  quorate: boolean;
  nodes: readonly ViewedNode[];
  /** Resource instances that are active, with the node they are active on; an unclean node keeps its own. */
  active: readonly { resource: string; agent: string; node: string }[];
  pendingFencing: readonly ({ target: string } & PendingOperation)[];
};

const isTrue = (value: string | undefined): boolean => value === "true";

/** The words of crm_mon's own text output, worst first. */
function stateOf({ attributes }: XmlElement): string {
  if (isTrue(attributes.unclean)) return "unclean";
  if (isTrue(attributes.pending)) return "pending";
  if (!isTrue(attributes.online)) return "offline";
  if (isTrue(attributes.standby)) return "standby";
  return isTrue(attributes.maintenance) ? "maintenance" : "online";
}

export function parseClusterView(stdout: string): ClusterView {
  const root = parseXml(stdout, "crm_mon");
  const summary = childNamed(root, "summary");
  const nodes = childNamed(root, "nodes");
  if (!summary || !nodes) fail("bad-output", "crm_mon: no <summary> or no <nodes>");
  const dc = childNamed(summary, "current_dc");
  const resources = childNamed(root, "resources");
  const active = [...(resources ? elementsNamed(resources, "resource") : [])]
    .filter(({ attributes }) => isTrue(attributes.active))
    .flatMap((resource) =>
      childrenNamed(resource, "node").map((node) => ({
        // A clone's instances are numbered where the configuration makes them unique.
        resource: (resource.attributes.id ?? "").replace(/:\d+$/, ""),
        agent: resource.attributes.resource_agent ?? "",
        node: node.attributes.name ?? "",
      })),
    );
  const pendingFencing = childrenNamed(childNamed(root, "fence_history"), "fence_event")
    .filter(({ attributes }) => attributes.status === "pending")
    .map(({ attributes: { action, target = "", client, origin, delegate } }) => ({
      target,
      ...(action === undefined ? {} : { action }),
      ...(client === undefined ? {} : { client }),
      ...(origin === undefined ? {} : { origin }),
      ...(delegate === undefined ? {} : { delegate }),
    }));
  return {
    dc: dc && isTrue(dc.attributes.present) ? dc.attributes.name : undefined,
    quorate: isTrue(dc?.attributes.with_quorum),
    nodes: childrenNamed(nodes, "node").map((node) => ({
      name: node.attributes.name ?? "",
      id: node.attributes.id ?? "",
      state: stateOf(node),
    })),
    active,
    pendingFencing,
  };
}

/** A view without quorum is a partition's own and never the target's certain state. */
export function factsFromView(view: ClusterView, target: string): ClusterFacts {
  const state = view.nodes.find((node) => sameNode(node.name, target))?.state;
  return {
    ...(view.dc === undefined ? {} : { dc: view.dc }),
    quorate: view.quorate,
    ...(state === undefined ? {} : { targetState: view.quorate ? state : "unknown" }),
  };
}
