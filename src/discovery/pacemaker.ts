/**
 * The configuration: GFS2 Filesystem resources that may run on the target.
 * Input:  the CIB, live or from disk; where neither can be read pcs, which costs seconds (6-10 s a command in the captured cluster) and is
 *         started only then.
 * Output: filesystems by resource id, with mount point and device; scope `configured`. What is configured is not always
 *         what is: a resource just stopped or banned may still be mounted, above all when its stop is why the node is
 *         fenced. The dlm source, which asks the running cluster, ranks before this one.
 * Errors: an outcome `unavailable` or `failed` with what each way said.
 * Source: xml/constraints-*.rng of Pacemaker; pcs-config.ts; captured output in test/fixtures/gfs2-cluster.
 */
import { OpsError, reasonOf } from "../core/errors.ts";
import { childNamed, childrenNamed, type XmlElement } from "../core/xml.ts";
import {
  allResources,
  type Cib,
  clusterFacts,
  clusterProperty,
  type Dereference,
  dereferenceIn,
  fencingTargets,
  INFINITY,
  isGfs2,
  outputOf,
  parseScore,
  resourceDefaultsOf,
  resourcesOf,
  sectionOf,
} from "./cib.ts";
import { placementFromPcs } from "./pcs-config.ts";
import {
  type Colocation,
  type Condition,
  isForRunning,
  isOptIn,
  type Location,
  type Placement,
  type Rule,
  whatMayRunOn,
} from "./placement.ts";
import { answer, type Filesystem, type Probe, type ProbeOutcome, type Source, sameNode } from "./source.ts";

export const pacemakerSource = (): Source => ({ method: "pacemaker", probe });

async function probe({ target, host, timeoutMs, signal, cib, learn }: Probe): Promise<ProbeOutcome> {
  const startedMs = host.monotonicMs();
  const leftMs = () => Math.max(1, timeoutMs - (host.monotonicMs() - startedMs));
  const failures: unknown[] = [];
  const answerFrom = (known: Cib): ProbeOutcome => {
    learn({ cluster: clusterFacts(known, target) });
    return answer(configuredFor(placementOf(known), target), "configured");
  };
  try {
    return answerFrom(await cib());
  } catch (error) {
    failures.push(error);
  }
  const options = { timeoutMs: leftMs(), signal };
  const [config, json] = await Promise.allSettled([
    outputOf(host, ["pcs", "config"], options),
    outputOf(host, ["pcs", "resource", "config", "--output-format", "json"], options),
  ]);
  if (config.status === "fulfilled") {
    try {
      // pcs before 0.11 has no JSON; then the text is all there is.
      const resources = json.status === "fulfilled" ? json.value : undefined;
      return answer(configuredFor(placementFromPcs(config.value, resources), target), "configured");
    } catch (error) {
      failures.push(error);
    }
  } else {
    // Without the constraints the resources alone would put every filesystem on every node.
    failures.push(config.reason);
  }
  const missing = failures.every((error) => error instanceof OpsError && error.kind === "missing-tool");
  return { status: missing ? "unavailable" : "failed", reason: failures.map(reasonOf).join("; ") };
}

/** Filesystems that may run on the target: none where the configuration does not know a node of that name. */
export function configuredFor(placement: Placement, target: string): Filesystem[] {
  const { nodes, resources } = placement;
  if (nodes.length > 0 && !nodes.some(({ name }) => sameNode(name, target))) return [];
  const mayRun = whatMayRunOn(placement, target);
  return [...allResources(resources)]
    .filter((resource) => isGfs2(resource) && mayRun(resource))
    .map(({ id, attributes: { directory, device } }) => ({
      name: id,
      ...(directory === undefined ? {} : { mountPoint: directory }),
      ...(device === undefined ? {} : { device }),
    }));
}

// ------------------------------------------------------------------------------------------------------ from the CIB

export function placementOf(cib: Cib): Placement {
  const resources = resourcesOf(cib);
  const constraints = sectionOf(cib, "constraints");
  const dereference = dereferenceIn(cib);
  const tagged = taggedIn(cib);
  return {
    nodes: withoutTransient(cib, fencingTargets(cib, resources)),
    resources,
    defaults: resourceDefaultsOf(cib),
    locations: childrenNamed(constraints, "rsc_location").flatMap((one) => locationsOf(one, dereference, tagged)),
    mandatoryColocations: childrenNamed(constraints, "rsc_colocation").flatMap(colocationOf),
    optIn: isOptIn(clusterProperty(cib, "symmetric-cluster")),
  };
}

/** A transient attribute may say otherwise than the permanent one of its name, so neither is known. */
function withoutTransient(cib: Cib, nodes: ReturnType<typeof fencingTargets>): Placement["nodes"] {
  const states = childrenNamed(cib.status(), "node_state");
  return nodes.map((node) => {
    const state = states.find(({ attributes }) => sameNode(attributes.uname ?? "", node.name));
    const transient = childrenNamed(childNamed(state ?? EMPTY, "transient_attributes"), "instance_attributes");
    const names = new Set(transient.flatMap((set) => childrenNamed(set, "nvpair")).map((pair) => pair.attributes.name));
    const attributes = Object.fromEntries(Object.entries(node.attributes).filter(([name]) => !names.has(name)));
    return { ...node, attributes };
  });
}

const EMPTY: XmlElement = { name: "", attributes: {}, children: [] };

/** A constraint may name a tag or a template, and means all that have it (unpack_location_tags). */
function taggedIn(cib: Cib): (id: string) => string[] {
  const tags = new Map<string, string[]>();
  for (const tag of childrenNamed(sectionOf(cib, "tags"), "tag")) {
    tags.set(
      tag.attributes.id ?? "",
      childrenNamed(tag, "obj_ref").map(({ attributes }) => attributes.id ?? ""),
    );
  }
  const findUsers = (element: XmlElement): void => {
    for (const child of element.children) {
      const { id, template } = child.attributes;
      if (child.name === "primitive" && id !== undefined && template !== undefined) {
        tags.set(template, [...(tags.get(template) ?? []), id]);
      } else if (["group", "clone", "master", "bundle"].includes(child.name)) {
        findUsers(child);
      }
    }
  };
  findUsers(sectionOf(cib, "resources") ?? EMPTY);
  return (id) => tags.get(id) ?? [id];
}

/** One constraint as Pacemaker unpacks it (unpack_rsc_location): for its resource, its pattern or its resource sets. */
function locationsOf(element: XmlElement, dereference: Dereference, tagged: (id: string) => string[]): Location[] {
  const { rsc, "rsc-pattern": pattern, node, role, "resource-discovery": discovery } = element.attributes;
  const rules = childrenNamed(element, "rule").flatMap((rule) => ruleOf(dereference(rule), dereference) ?? []);
  const locate = (
    resources: Location["resources"],
    score: string | undefined,
    forRole: string | undefined,
  ): Location[] => {
    const common = {
      resources,
      exclusive: discovery?.toLowerCase() === "exclusive",
      ...(forRole === undefined ? {} : { role: forRole }),
    };
    const value = parseScore(score);
    if (node !== undefined && value !== undefined) return [{ ...common, node, score: value }];
    return rules.length > 0 ? [{ ...common, rules }] : [];
  };
  const sets = childrenNamed(element, "resource_set").flatMap((set) => dereference(set) ?? []);
  if (sets.length > 0) {
    return sets.flatMap((set) =>
      childrenNamed(set, "resource_ref")
        .flatMap(({ attributes }) => tagged(attributes.id ?? ""))
        .flatMap((id) => locate({ id }, set.attributes.score ?? element.attributes.score, set.attributes.role ?? role)),
    );
  }
  if (pattern !== undefined) return locate({ pattern }, element.attributes.score, role);
  return rsc === undefined ? [] : tagged(rsc).flatMap((id) => locate({ id }, element.attributes.score, role));
}

function ruleOf(element: XmlElement | undefined, dereference: Dereference): Rule | undefined {
  if (!element) return undefined;
  const { score, role, "score-attribute": scoreAttribute, "boolean-op": operator } = element.attributes;
  // A score is missing in rules within rules, and counts as 0 elsewhere (get_node_score).
  const value = parseScore(score) ?? (scoreAttribute === undefined ? 0 : undefined);
  return {
    all: operator?.toLowerCase() !== "or",
    conditions: element.children.flatMap((child): Condition[] => {
      const resolved = dereference(child);
      switch (child.name) {
        case "expression":
          return [resolved ? conditionOf(resolved) : { kind: "unknown" }];
        case "rule": {
          const rule = ruleOf(resolved, dereference);
          return [rule ? { kind: "rule", rule } : { kind: "unknown" }];
        }
        // Dates, and operations and resources, which do not occur in locations.
        default:
          return [{ kind: "unknown" }];
      }
    }),
    ...(value === undefined ? {} : { score: value }),
    ...(role === undefined ? {} : { role }),
  };
}

function conditionOf({ attributes }: XmlElement): Condition {
  const { attribute, operation, value, type = "string", "value-source": source = "literal" } = attributes;
  const isPlain = type.toLowerCase() === "string" && source.toLowerCase() === "literal";
  // %1 stands for what a group of rsc-pattern matched.
  if (attribute === undefined || operation === undefined || !isPlain || attribute.includes("%")) {
    return { kind: "unknown" };
  }
  return { kind: "attribute", attribute, operation, ...(value === undefined ? {} : { value }) };
}

/** Resource sets are left out: which of their members needs which is a matter of version, and a mistake would ban. */
function colocationOf({ attributes }: XmlElement): Colocation[] {
  const { rsc, "with-rsc": other, score, "rsc-role": role, "node-attribute": nodeAttribute = "#uname" } = attributes;
  const isMandatory = parseScore(score) === INFINITY && isForRunning(role) && nodeAttribute === "#uname";
  return rsc !== undefined && other !== undefined && isMandatory ? [{ resource: rsc, with: other }] : [];
}
