/**
 * What pcs says of resources and constraints.
 * Input:  stdout of `pcs config`, in the three shapes of pcs 0.10.8, 0.10.18 to 0.11.5, and 0.11.9 to 0.12; stdout of
 *         `pcs resource config --output-format json` (pcs 0.11) where there is one.
 * Output: Placement. Errors: OpsError bad-output when the text is not that of `pcs config`.
 * Source: pcs/cli/constraint/output and pcs/constraint.py of ClusterLabs/pcs; output in test/fixtures/pcs, gfs2-cluster.
 */
import { fail, reasonOf } from "../core/errors.ts";
import { type Agent, INFINITY, parseScore, type Resource, virtualNodesOf } from "./cib.ts";
import {
  type Colocation,
  type Condition,
  isForRunning,
  isOptIn,
  type Location,
  type Placement,
  type Rule,
} from "./placement.ts";

/** A line and those indented below it. */
type Line = { text: string; below: Line[] };

export function placementFromPcs(config: string, resourceJson: string | undefined): Placement {
  const sections = parseIndented(config);
  const section = (...titles: string[]): Line[] =>
    sections.filter(({ text }) => titles.some((title) => text.startsWith(title))).flatMap(({ below }) => below);
  if (!sections.some(({ text }) => text.startsWith("Cluster Name:"))) {
    fail("bad-output", `pcs config: no cluster name in: ${config.slice(0, 80)}`);
  }
  const resources =
    resourceJson === undefined
      ? section("Resources:").flatMap((line) => resourceFrom(line) ?? [])
      : fromJson(resourceJson);
  const listed = section("Corosync Nodes:", "Pacemaker Nodes:").flatMap(({ text }) => text.split(/\s+/));
  const properties = propertiesIn(section("Cluster Properties:"));
  const virtual = virtualNodesOf(resources);
  return {
    // Names only: pcs prints node attributes in yet another place, and conditions on them stay unknown.
    nodes:
      listed.length === 0
        ? []
        : [
            ...[...new Set(listed)]
              .filter((name) => !virtual.some((node) => node.name === name))
              .map((name) => ({ name })),
            ...virtual,
          ],
    resources,
    defaults: pairsIn(
      section("Resources Defaults:").filter((set) => !set.below.some(({ text }) => /^Rule\b/.test(text))),
    ),
    locations: section("Location Constraints:").flatMap((line) => [...oldLocations(line), ...newLocations(line)]),
    mandatoryColocations: section("Colocation Constraints:").flatMap(colocationFrom),
    optIn: isOptIn(properties["symmetric-cluster"]),
  };
}

function parseIndented(text: string): Line[] {
  const roots: Line[] = [];
  const open: { indent: number; line: Line }[] = [];
  for (const raw of text.split("\n")) {
    if (raw.trim() === "") continue;
    const indent = raw.length - raw.trimStart().length;
    while ((open.at(-1)?.indent ?? -1) >= indent) open.pop();
    const line = { text: raw.trim(), below: [] };
    (open.at(-1)?.line.below ?? roots).push(line);
    open.push({ indent, line });
  }
  return roots;
}

/** name=value, quoted where the value holds a space or an equals sign (pcs/common/str_tools.py: quote). */
function pairsIn(lines: readonly Line[]): Record<string, string> {
  const found: [string, string][] = [];
  const read = ({ text, below }: Line): void => {
    for (const [, name = "", quoted, single, bare = ""] of text.matchAll(PAIR)) {
      found.push([name, quoted?.replaceAll('\\"', '"') ?? single ?? bare]);
    }
    below.forEach(read);
  };
  lines.forEach(read);
  return Object.fromEntries(found);
}

/** `name: value` up to pcs 0.11.5, name=value since. */
const propertiesIn = (lines: readonly Line[]): Record<string, string> => ({
  ...pairsIn(lines),
  ...Object.fromEntries(
    lines.flatMap(({ text }) => {
      const [, name, value] = /^([\w.#-]+): (.+)$/.exec(text) ?? [];
      return name === undefined || value === undefined ? [] : [[name, value]];
    }),
  ),
});

const PAIR = /(?:^|\s)([^\s=:]+)=(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S*))/g;

// ----------------------------------------------------------------------------------------------------- resources

function resourceFrom({ text, below }: Line, parent?: Resource): Resource | undefined {
  const [, title, id, rest = ""] = /^(Resource|Group|Clone|Master|Bundle): (\S+)(.*)$/.exec(text) ?? [];
  if (title === undefined || id === undefined) return undefined;
  const agent = agentFrom(pairsIn([{ text: rest.replace(/^\s*\(/, "").replace(/\)\s*$/, ""), below: [] }]));
  const kind =
    title === "Resource" ? "primitive" : title === "Group" ? "group" : title === "Bundle" ? "bundle" : "clone";
  return build({
    id,
    kind,
    agent,
    attributes: pairsIn(below.filter((line) => /^Attributes:/.test(line.text))),
    // `Meta Attrs:` in 0.10, `Meta Attributes:` since 0.11
    meta: pairsIn(below.filter((line) => /^Meta Attr/.test(line.text))),
    parent,
    children: (self) => below.flatMap((line) => resourceFrom(line, self) ?? []),
  });
}

const agentFrom = ({ class: agentClass, provider, type }: Record<string, string>): Agent | undefined =>
  agentClass === undefined || type === undefined
    ? undefined
    : { class: agentClass, type, ...(provider === undefined ? {} : { provider }) };

type Parts = Pick<Resource, "id" | "kind" | "attributes" | "meta"> & {
  agent: Agent | undefined;
  parent: Resource | undefined;
  children: (self: Resource) => Resource[];
};

function build({ id, kind, agent, attributes, meta, parent, children }: Parts): Resource {
  const resource: Resource & { children: Resource[] } = {
    id,
    kind,
    ...(agent ? { agent } : {}),
    attributes,
    meta,
    ...(parent ? { parent } : {}),
    children: [],
    replicaNodes: [],
  };
  resource.children = children(resource);
  return resource;
}

type JsonSets = { nvpairs?: { name: string; value: string }[] }[];
type JsonResource = {
  id: string;
  agent_name?: { standard: string; provider?: string | null; type: string };
  instance_attributes?: JsonSets;
  meta_attributes?: JsonSets;
  member_id?: string | null;
  member_ids?: string[];
  primitive?: { id?: string } | null;
};
type JsonKind = "primitives" | "groups" | "clones" | "bundles";

const KINDS = { primitives: "primitive", groups: "group", clones: "clone", bundles: "bundle" } as const;

/** pcs lists the kinds apart and joins them by id. */
function fromJson(json: string): Resource[] {
  const lists = jsonObject(json);
  const all = (Object.keys(KINDS) as JsonKind[]).flatMap((list) =>
    (lists[list] ?? fail("bad-output", `pcs resource config: no ${list}`)).map((entry) => ({
      entry,
      kind: KINDS[list],
    })),
  );
  const byId = new Map(all.map((one) => [one.entry.id, one]));
  const memberIds = ({ member_id: one, member_ids: several, primitive }: JsonResource): string[] =>
    [one, ...(several ?? []), primitive?.id].filter((id) => typeof id === "string");
  const pairs = (sets: JsonSets | undefined): Record<string, string> =>
    Object.fromEntries((sets ?? []).flatMap(({ nvpairs }) => nvpairs ?? []).map(({ name, value }) => [name, value]));

  const read = (id: string, parent: Resource | undefined, depth: number): Resource[] => {
    const { entry, kind } = byId.get(id) ?? {};
    if (!entry || !kind || depth > 4) return []; // a bundle's clone's group's primitive is as deep as it gets
    const { standard, provider, type } = entry.agent_name ?? {};
    const agent =
      standard === undefined || type === undefined
        ? undefined
        : { class: standard, type, ...(provider ? { provider } : {}) };
    return [
      build({
        id,
        kind,
        agent,
        attributes: pairs(entry.instance_attributes),
        meta: pairs(entry.meta_attributes),
        parent,
        children: (self) => memberIds(entry).flatMap((member) => read(member, self, depth + 1)),
      }),
    ];
  };
  const inner = new Set(all.flatMap(({ entry }) => memberIds(entry)));
  return all.filter(({ entry }) => !inner.has(entry.id)).flatMap(({ entry }) => read(entry.id, undefined, 0));
}

function jsonObject(json: string): Partial<Record<JsonKind, JsonResource[]>> {
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value === "object" && value !== null) return value;
  } catch (error) {
    return fail("bad-output", `pcs resource config: not JSON: ${reasonOf(error)}`);
  }
  return fail("bad-output", "pcs resource config: not an object");
}

// --------------------------------------------------------------------------------------------------- constraints

/** Up to pcs 0.11.5: by resource, then what it is enabled and disabled on, then its rules. */
function oldLocations({ text, below }: Line): Location[] {
  const [, isPattern, id] = /^Resource( pattern)?:\s*(\S.*)$/.exec(text) ?? [];
  if (id === undefined) return []; // of resource sets pcs prints no resource
  const resources = isPattern ? { pattern: id } : { id };
  return below.flatMap((line): Location[] => {
    if (line.text.startsWith("Constraint")) {
      const rules = rulesIn(line.below);
      return rules.length === 0 ? [] : [{ resources, exclusive: isExclusive(line), rules }];
    }
    if (!/^(En|Dis)abled on:/.test(line.text)) return [];
    // Older versions put the only node on the same line.
    const entries = [line.text.replace(/^\w+ on:\s*/, ""), ...line.below.map((one) => one.text)];
    return entries.flatMap((entry): Location[] => {
      const [, node, details = ""] = /^(?:Node: )?([^\s(]+) (\(.*)$/.exec(entry) ?? [];
      const score = parseScore(/\(score:([^)]*)\)/.exec(details)?.[1]);
      const role = /\(role:\s*([^)]*)\)/.exec(details)?.[1];
      if (node === undefined || score === undefined) return [];
      return [
        { resources, exclusive: /exclusive/.test(details), node, score, ...(role === undefined ? {} : { role }) },
      ];
    });
  });
}

/** Since pcs 0.11.6: one constraint a line. */
function newLocations(line: Line): Location[] {
  const [, role, isPattern, id, details = ""] = /^(?:(\w+) )?resource( pattern)? '([^']*)'(.*)$/.exec(line.text) ?? [];
  if (id === undefined) return [];
  const common = {
    resources: isPattern ? { pattern: id } : { id },
    exclusive: isExclusive(line),
    ...(role === undefined ? {} : { role }),
  };
  const [, preference, node, amount] = /^ (prefers|avoids) node '([^']*)' with score (\S+)/.exec(details) ?? [];
  if (node !== undefined) {
    const score = parseScore(amount) ?? 0;
    return [{ ...common, node, score: preference === "avoids" ? -score : score }];
  }
  const rules = line.below.filter(({ text }) => text.startsWith("Rules:")).flatMap(({ below }) => rulesIn(below));
  return rules.length === 0 ? [] : [{ ...common, rules }];
}

const isExclusive = ({ text, below }: Line): boolean =>
  [text, ...below.map((line) => line.text)].some((one) => /resource-discovery[=:]\s*exclusive/.test(one));

function rulesIn(lines: readonly Line[]): Rule[] {
  // `Rule (expired):` never holds again.
  return lines
    .filter(({ text }) => /^Rule( \(not yet in effect\))?:/.test(text))
    .map((line) => {
      const {
        "boolean-op": operator,
        score,
        role,
        "score-attribute": scoreAttribute,
      } = pairsIn([{ ...line, below: [] }]);
      const value = parseScore(score) ?? (scoreAttribute === undefined ? 0 : undefined);
      return {
        all: operator !== "or",
        conditions: line.below.flatMap((one): Condition[] =>
          one.text.startsWith("Rule")
            ? rulesIn([one]).map((rule) => ({ kind: "rule", rule }))
            : one.text.startsWith("Expression:")
              ? [conditionFrom(one.text)]
              : [],
        ),
        ...(value === undefined ? {} : { score: value }),
        ...(role === undefined ? {} : { role }),
      };
    });
}

/** `#uname eq NODE` and `defined ATTRIBUTE`; with a type, a date and the like: unknown. */
function conditionFrom(text: string): Condition {
  const words = text
    .replace(/^Expression:\s*/, "")
    .replace(/\s*\(id:[^)]*\)\s*$/, "")
    .split(/\s+/);
  const [first = "", second = "", third] = words;
  if (words.length === 2 && /^(not_)?defined$/.test(first))
    return { kind: "attribute", attribute: second, operation: first };
  if (words.length !== 3 || third === undefined || !/^(eq|ne)$/.test(second)) return { kind: "unknown" };
  return { kind: "attribute", attribute: first, operation: second, value: third };
}

function colocationFrom({ text, below }: Line): Colocation[] {
  const [, newRole, newId, newOther] =
    /^(?:(\w+) )?resource '([^']*)' with (?:\w+ )?resource '([^']*)'/.exec(text) ?? [];
  const [, oldId, oldOther, details = ""] = /^(\S+) with (\S+) (\(.*)$/.exec(text) ?? [];
  const isNew = newId !== undefined;
  const resource = newId ?? oldId;
  const other = newOther ?? oldOther;
  const pairs = pairsIn(below);
  const detail = (name: string) => new RegExp(`\\(${name}:([^)]*)\\)`).exec(details)?.[1];
  const score = parseScore(isNew ? pairs.score : detail("score"));
  const nodeAttribute = isNew ? pairs["node-attribute"] : detail("node-attribute");
  const role = isNew ? newRole : detail("rsc-role");
  const isMandatory = score === INFINITY && isForRunning(role) && nodeAttribute === undefined;
  return resource !== undefined && other !== undefined && isMandatory ? [{ resource, with: other }] : [];
}
