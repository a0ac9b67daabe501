/**
 * On which nodes may a resource run? Told from the configuration alone: what it forbids for certain is out, all else is in.
 * Input:  a Placement: resources, location and colocation constraints, nodes; from the CIB or from pcs.
 * Output: true or false for a resource and a node.
 * Errors: none.
 * Source: lib/pacemaker/pcmk_sched_location.c, pcmk_sched_colocation.c and lib/pengine/rules.c of Pacemaker 2.1.5.
 *
 * The question is asked while a node is being fenced, so its passing condition is left out on purpose: standby,
 * maintenance and transient attributes are how the node is just now, or how it was made while it already failed (a node
 * that hangs in a stop is fenced with standby set and the filesystem still mounted).
 */
import { parseEre } from "../core/ere.ts";
import { allResources, INFINITY, isStopped, isTrue, type NodeKind, parentsOf, type Resource } from "./cib.ts";
import { sameNode } from "./source.ts";

export type PlacementNode = {
  name: string;
  id?: string;
  kind?: NodeKind;
  /** Permanent attributes; without this it is not known which there are. */
  attributes?: Readonly<Record<string, string>>;
};

/** A condition of a rule; `unknown` where we do not evaluate it. */
export type Condition =
  | { kind: "attribute"; attribute: string; operation: string; value?: string }
  | { kind: "rule"; rule: Rule }
  | { kind: "unknown" };

export type Rule = {
  all: boolean;
  conditions: readonly Condition[];
  /** undefined: it is an attribute's value, and not known. */
  score?: number;
  role?: string;
};

export type Location = {
  resources: { id: string } | { pattern: string };
  role?: string;
  /** Nodes that no such constraint names are out altogether (resource-discovery=exclusive). */
  exclusive: boolean;
} & ({ node: string; score: number } | { rules: readonly Rule[] });

/** `resource` only where `with` is. */
export type Colocation = { resource: string; with: string };

export type Placement = {
  nodes: readonly PlacementNode[];
  resources: readonly Resource[];
  /** target-role and the like for resources that do not say. */
  defaults: Readonly<Record<string, string>>;
  locations: readonly Location[];
  /** Only those that nothing can outweigh: score INFINITY, for running at all. */
  mandatoryColocations: readonly Colocation[];
  /** symmetric-cluster=false: a resource runs only where a constraint lets it. */
  optIn: boolean;
};

/** Constraints on the promoted role leave a node free for the rest, and one must be unpromoted there first. */
export const isForRunning = (role: string | undefined): boolean =>
  role === undefined || ["started", "unpromoted", "slave"].includes(role.toLowerCase());

/** Says which of the resources may run on that node. */
export function whatMayRunOn(placement: Placement, target: string): (resource: Resource) => boolean {
  const { nodes, defaults, optIn } = placement;
  const node = nodes.find(({ name }) => sameNode(name, target)) ?? { name: target };
  const resources = [...allResources(placement.resources)];
  const subjectOf = subjectsAmong(resources);
  const locationsFor = locationFinder(placement, subjectOf);
  const said = new Map(resources.map((resource) => [resource, locationsFor(resource)]));

  /** A constraint on a clone or group holds for what is in it. */
  const isForbidden = (resource: Resource): boolean => {
    const all = [resource, ...parentsOf(resource)].flatMap((one) => said.get(one) ?? []);
    const scores = all.flatMap((location) => scoresOn(location, node).map((score) => ({ location, score })));
    // A finite negative score can be outweighed by stickiness or colocation; -INFINITY never.
    if (scores.some(({ score }) => score.certain && score.value === -INFINITY)) return true;
    // Where a constraint only may apply, it is taken to the resource's favour.
    const letting = scores.filter(({ score }) => score.value === undefined || score.value >= 0);
    if (optIn && letting.length === 0) return true;
    // On a member of a group it does not keep the member away (crm_simulate 2.1.5).
    const onTop = said.get(parentsOf(resource).at(-1) ?? resource) ?? [];
    return onTop.some(({ exclusive }) => exclusive) && !letting.some(({ location }) => location.exclusive);
  };

  const out = new Set(resources.filter((resource) => isStopped(resource, defaults) || isForbidden(resource)));
  const needsOf = needFinder(placement, subjectOf);
  const needs = new Map(resources.map((resource) => [resource, needsOf(resource)]));
  // What needs a resource that cannot run cannot run either.
  for (let before = -1; out.size > before; ) {
    before = out.size;
    for (const resource of resources) {
      if (out.has(resource)) continue;
      const missing = needs.get(resource)?.filter((one) => out.has(one)) ?? [];
      // The scheduler breaks a circle of needs at a place of its own choosing: within one nothing is certain.
      if (missing.some((one) => !doesNeed(needs, one, resource))) out.add(resource);
    }
  }
  return (resource) => !out.has(resource);
}

type Subjects = (id: string) => Resource | undefined;

/**
 * The resource that a constraint's id means (pcmk__find_constraint_resource in pcmk_sched_constraints.c). What is in a
 * clone or bundle exists as instances only. A primitive's id is found in their history, which every probe leaves, and then
 * stands for the whole clone; a group has no history, and a constraint on it is ignored.
 */
function subjectsAmong(resources: readonly Resource[]): Subjects {
  const byId = new Map(resources.map((resource) => [resource.id, resource]));
  return (id) => {
    const named = byId.get(id);
    const parents = named ? parentsOf(named) : [];
    if (!parents.some(({ kind }) => kind === "clone" || kind === "bundle")) return named;
    return named?.kind === "primitive" ? parents.at(-1) : undefined;
  };
}

/** Whether `from` needs `sought` or what that is part of, directly or by way of others. */
function doesNeed(needs: ReadonlyMap<Resource, readonly Resource[]>, from: Resource, sought: Resource): boolean {
  const seen = new Set([from]);
  for (const one of seen) for (const needed of needs.get(one) ?? []) seen.add(needed);
  return [sought, ...parentsOf(sought)].some((one) => seen.has(one));
}

function locationFinder({ locations }: Placement, subjectOf: Subjects): (resource: Resource) => Location[] {
  const running = locations.filter(({ role }) => isForRunning(role));
  const bySubject = Map.groupBy(running, ({ resources }) => ("id" in resources ? subjectOf(resources.id) : undefined));
  const byPattern = running.flatMap((location) =>
    "pattern" in location.resources ? { location, selects: patternOf(location.resources.pattern) } : [],
  );
  return (resource) => [
    ...(bySubject.get(resource) ?? []),
    // unpack_simple_location() tries patterns on resources of the top level.
    ...(resource.parent ? [] : byPattern.filter(({ selects }) => selects(resource.id)).map(({ location }) => location)),
  ];
}

/** `!` turns the pattern round. One that we cannot be sure of selects nothing, and so bans nothing. */
function patternOf(pattern: string): (id: string) => boolean {
  const inverted = pattern.startsWith("!");
  const expression = parseEre(inverted ? pattern.slice(1) : pattern);
  return (id) => {
    const matches = expression?.matches(id);
    return matches !== undefined && matches !== inverted;
  };
}

function needFinder({ mandatoryColocations }: Placement, subjectOf: Subjects): (resource: Resource) => Resource[] {
  const pairs = mandatoryColocations
    .map((colocation) => ({ dependent: subjectOf(colocation.resource), primary: subjectOf(colocation.with) }))
    .filter(({ dependent, primary }) => dependent !== primary);
  const colocated = Map.groupBy(pairs, ({ dependent }) => dependent);
  return (resource) => [
    ...partsFor(resource),
    ...[resource, ...parentsOf(resource)].flatMap((one) => [
      ...(colocated.get(one) ?? []).flatMap(({ primary }) => primary ?? []),
      // A group is started in order and in one place: a member needs those before it.
      ...(one.parent?.kind === "group" ? one.parent.children.slice(0, one.parent.children.indexOf(one)) : []),
    ]),
  ];
}

/**
 * What of a collection has to run for it to count as running where something must be with it: of a group the last member
 * (pcmk__group_apply_coloc_score), of a clone what it is a clone of. A group in a clone counts once it is placed.
 */
function partsFor({ kind, parent, children }: Resource): Resource[] {
  if (kind === "clone") return [...children];
  const last = kind === "group" && !parent ? children.at(-1) : undefined;
  return last ? [last] : [];
}

/** A score on this node; `value` undefined when it is somewhere in the cluster's state. */
type Score = { value: number | undefined; certain: boolean };

function scoresOn(location: Location, node: PlacementNode): Score[] {
  if ("node" in location) return sameNode(location.node, node.name) ? [{ value: location.score, certain: true }] : [];
  return location.rules
    .filter(({ role }) => isForRunning(role))
    .flatMap((rule) => {
      const holds = evaluate(rule, node);
      return holds === false ? [] : [{ value: rule.score, certain: holds === true }];
    });
}

/** Three-valued: what one unknown condition cannot change is known. */
function evaluate({ all, conditions }: Rule, node: PlacementNode): boolean | undefined {
  const answers = conditions.map((condition) => {
    switch (condition.kind) {
      case "attribute":
        return evaluateAttribute(condition, node);
      case "rule":
        return evaluate(condition.rule, node);
      case "unknown":
        return undefined;
      default:
        return condition satisfies never;
    }
  });
  // A rule without conditions does not occur (rule-*.rng).
  if (answers.length === 0) return undefined;
  if (answers.includes(!all)) return !all;
  return answers.includes(undefined) ? undefined : all;
}

/**
 * Evaluated are the built-in attributes that do not change and the permanent ones, for being (not) there or equal as
 * text. An attribute that is not in <nodes> may be a transient one, which a failed node has lost: unknown.
 */
function evaluateAttribute(
  { attribute, operation, value }: Condition & { kind: "attribute" },
  node: PlacementNode,
): boolean | undefined {
  const actual = attributeOf(attribute, node);
  if (actual === undefined) return undefined;
  switch (operation.toLowerCase()) {
    case "eq":
      return value === undefined ? undefined : sameNode(actual, value); // strcasecmp, as for any text
    case "ne":
      return value === undefined ? undefined : !sameNode(actual, value);
    case "defined":
      return true;
    case "not_defined":
      return false;
    default:
      return undefined;
  }
}

function attributeOf(attribute: string, { name, id, kind, attributes }: PlacementNode): string | undefined {
  switch (attribute) {
    case "#uname":
      return name;
    case "#id":
      return id;
    case "#kind":
      return kind === undefined ? undefined : { member: "cluster", remote: "remote", guest: "container" }[kind];
    default:
      return attributes && Object.hasOwn(attributes, attribute) ? attributes[attribute] : undefined;
  }
}

/** `symmetric-cluster`, true when nobody says otherwise. */
export const isOptIn = (symmetricCluster: string | undefined): boolean =>
  symmetricCluster !== undefined && !isTrue(symmetricCluster);
