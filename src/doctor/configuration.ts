/**
 * Checks of resources and constraints: settings that never reach the recorder, rules that never match, agents used as
 * what they are not.
 * Input:  the CIB. Output: findings.
 * Source: FEATURES D3 and G; pcs 0.11.5, crmsh 4.4.0 and Pacemaker 2.1.5, whose behaviour the tests run.
 */
import { childNamed, childrenNamed, elementsNamed, type XmlElement } from "../core/xml.ts";
import {
  allResources,
  attributesOf,
  type Cib,
  nodesOf,
  parentsOf,
  type Resource,
  resourcesOf,
  sectionOf,
} from "../discovery/cib.ts";
import { RECORDER_TYPES } from "../fence/guard.ts";
import { OPTIONS } from "../fence/options.ts";
import { OCF_PROVIDER } from "./alert.ts";
import { type Check, clusterCheck, crmLines, type Finding, type Mend, shellLine } from "./finding.ts";
import { readTopology } from "./topology-plan.ts";

type Found = Omit<Finding, "id">;

// ------------------------------------------------------------------------------------------------------------ rules

/** What people take for a node's name; the attribute is `#uname`. */
const MISTAKEN = new Set(["hostname", "host", "nodename", "node", "uname", "#hostname", "#nodename"]);

/** Rules of location constraints that compare an attribute which no node has. */
export function findHostnameRules(cib: Cib): Found[] {
  const known = new Set(nodesOf(cib).flatMap(({ attributes }) => Object.keys(attributes)));
  const status = cib.status();
  for (const state of childrenNamed(status, "node_state")) {
    const passing = childNamed(state, "transient_attributes");
    if (passing) for (const name of Object.keys(attributesOf(passing, "instance_attributes"))) known.add(name);
  }
  return childrenNamed(sectionOf(cib, "constraints"), "rsc_location").flatMap((constraint) => {
    const wrong = [...elementsNamed(constraint, "expression")].filter(
      ({ attributes: { attribute = "" } }) => MISTAKEN.has(attribute) && !known.has(attribute),
    );
    const [first] = wrong;
    if (!first) return [];
    const { id = "", rsc, "rsc-pattern": pattern } = constraint.attributes;
    const { attribute = "", operation = "", value = "" } = first.attributes;
    return [
      {
        severity: "warning",
        object: id,
        what: `the rule of ${id} never matches: '${[attribute, operation, value].filter(Boolean).join(" ")}'`,
        why: `No node has an attribute ${attribute}, so the constraint for ${rsc ?? pattern} has no effect. The name of a node is #uname.`,
        mend: mendRule(constraint),
      } satisfies Found,
    ];
  });
}

/** The constraint with #uname in its place; one that cannot be written on a line is opened in an editor. */
function mendRule(constraint: XmlElement): Mend {
  const { id = "", rsc, score } = constraint.attributes;
  const [rule, ...more] = childrenNamed(constraint, "rule");
  const byHand = {
    pcs: ["pcs cluster edit --scope=constraints"],
    crmsh: [shellLine("crm", "configure", "edit", id)],
    shell: [],
  };
  const conditions = rule?.children.map(conditionOf);
  if (!rule || more.length > 0 || rsc === undefined || score !== undefined || !conditions?.every(isWords))
    return byHand;
  const { score: ruleScore, role, "boolean-op": operator = "and", ...others } = rule.attributes;
  if (ruleScore === undefined || role !== undefined || Object.keys(others).some((name) => name !== "id")) return byHand;
  if (Object.keys(constraint.attributes).some((name) => name !== "id" && name !== "rsc")) return byHand;
  const words = conditions.flatMap((condition, index) => (index === 0 ? condition : [operator, ...condition]));
  const rules = ["rule", `constraint-id=${id}`, `score=${ruleScore}`, ...words];
  return {
    pcs: [shellLine("pcs", "constraint", "delete", id), shellLine("pcs", "constraint", "location", rsc, ...rules)],
    crmsh: [
      crmLines(shellLine("delete", id), `${shellLine("location", id, rsc, "rule")} ${ruleScore}: ${words.join(" ")}`),
    ],
    shell: [],
  };
}

const isWords = (words: readonly string[] | undefined): words is string[] => words !== undefined;

/** The words of one expression, as both tools take them; undefined for what is not plain. */
function conditionOf({ name, attributes }: XmlElement): string[] | undefined {
  const { attribute = "", operation = "", value, type, "value-source": source } = attributes;
  if (name !== "expression" || type !== undefined || source !== undefined) return undefined;
  const subject = MISTAKEN.has(attribute) ? "#uname" : attribute;
  if (!/^[\w#.-]+$/.test(subject)) return undefined;
  if (operation === "defined" || operation === "not_defined") return [operation, subject];
  return value !== undefined && /^[\w.-]+$/.test(value) ? [subject, operation, value] : undefined;
}

// ---------------------------------------------------------------------------------------------------------- meta env

/** What a name in the environment is called as an attribute of the device. */
const attributeFor = (name: string): string | undefined =>
  OPTIONS.find((option: { name: string; env?: string }) => option.env === name)?.name;

export function findMetaEnv(cib: Cib): Found[] {
  return [...allResources(resourcesOf(cib))].flatMap((resource): Found[] => {
    const { id, agent, meta } = resource;
    const { env } = meta;
    if (env === undefined || !agent) return [];
    const isStonith = agent.class === "stonith";
    const isOurs = RECORDER_TYPES.includes(agent.type);
    const settings = isOurs ? settingsIn(env) : [];
    const [noun, update] = isStonith ? (["stonith", "stonith"] as const) : (["resource", "resource"] as const);
    return [
      {
        severity: "warning",
        object: id,
        what: `meta env="${env}" of ${id} has no effect`,
        why: "Pacemaker stores it and never hands it to the agent. Settings are attributes of the device, or lines of /etc/fencepost/fence_gfs2_recorder.conf.",
        mend: {
          pcs: [
            shellLine("pcs", noun, "meta", id, "env="),
            ...(settings.length > 0
              ? [shellLine("pcs", update, "update", id, ...settings.map(([n, v]) => `${n}=${v}`))]
              : []),
          ],
          crmsh: [
            shellLine("crm", "resource", "meta", id, "delete", "env"),
            ...settings.map(([name, value]) => shellLine("crm", "resource", "param", id, "set", name, value)),
          ],
          shell: [],
        },
      },
    ];
  });
}

/** `LOG_DIR=/srv/log KUBECTL_CMD=kubectl` as attributes of the device; what the agent does not know is left out. */
function settingsIn(env: string): [name: string, value: string][] {
  return env.split(/[\s,;]+/).flatMap((pair): [string, string][] => {
    const [, name = "", value = ""] = /^([A-Z0-9_]+)=["']?(.*?)["']?$/.exec(pair) ?? [];
    if (name === "GFS2_DISCOVERY_ENABLED")
      return /^(0|off|false|no|n)$/i.test(value) ? [["no_gfs2_discovery", "1"]] : [];
    const attribute = attributeFor(name);
    return attribute === undefined || value === "" ? [] : [[attribute, value]];
  });
}

// --------------------------------------------------------------------------------------------------- kinds of agents

/** Fence devices that are not plain primitives, and recorders of a class that has no such agent. */
export function findAgentKinds(cib: Cib): Found[] {
  return [...allResources(resourcesOf(cib))].flatMap((resource): Found[] => {
    const { id, agent } = resource;
    if (!agent) return [];
    const isFenceDevice = agent.class === "stonith";
    const parent = parentsOf(resource).at(-1);
    if (isFenceDevice && parent && RECORDER_TYPES.includes(agent.type)) return [insideOf(resource, parent)];
    const isRecorderType = RECORDER_TYPES.includes(agent.type);
    if (isFenceDevice || !isRecorderType || (agent.class === "ocf" && agent.provider === OCF_PROVIDER)) return [];
    const name = [agent.class, agent.provider, agent.type].filter((part) => part !== undefined).join(":");
    const ocf = `ocf:${OCF_PROVIDER}:${agent.type}`;
    return [
      {
        severity: "warning",
        object: id,
        what: `${id} is made of ${name}, which is no agent`,
        why: `The fence agent is stonith:${agent.type} (pcs stonith create); the resource agent is ${ocf}. This one cannot start.`,
        mend: {
          pcs: [shellLine("pcs", "resource", "delete", id), shellLine("pcs", "resource", "create", id, ocf, "clone")],
          crmsh: [
            crmLines(shellLine("delete", id), shellLine("primitive", id, ocf), shellLine("clone", `${id}-clone`, id)),
          ],
          shell: [],
        },
      },
    ];
  });
}

function insideOf({ id, agent }: Resource, parent: Resource): Found {
  const isGroup = parent.kind === "group";
  const isLast = parent.children.length === 1;
  return {
    severity: "warning",
    object: id,
    what: `the fence device ${id} is inside the ${parent.kind} ${parent.id}`,
    why:
      `It was made by 'pcs resource create' of a fence agent, deprecated in pcs 0.11 and gone in 0.12. A fence device is ` +
      `no resource that runs somewhere: any node of the cluster may call ${agent?.type}, and what a ${parent.kind} promises does not hold for it.`,
    mend: {
      pcs: [
        isGroup
          ? shellLine("pcs", "resource", "ungroup", parent.id, id)
          : parent.kind === "clone"
            ? shellLine("pcs", "resource", "unclone", id)
            : "pcs cluster edit --scope=resources",
      ],
      crmsh: [
        isGroup && !isLast
          ? shellLine("crm", "configure", "modgroup", parent.id, "remove", id)
          : parent.kind === "bundle"
            ? shellLine("crm", "configure", "edit", parent.id)
            : shellLine("crm", "configure", "delete", parent.id),
      ],
      shell: [],
    },
  };
}

/** Operations that a fence device has only when it was made as a resource. */
export const findResourceOperations = (cib: Cib): Found[] =>
  childrenNamed(sectionOf(cib, "resources"), "primitive").flatMap((primitive): Found[] => {
    const { id = "", class: agentClass, type = "" } = primitive.attributes;
    if (agentClass !== "stonith" || !RECORDER_TYPES.includes(type)) return [];
    const operations = childrenNamed(childNamed(primitive, "operations"), "op").filter(
      ({ attributes: { name = "" } }) => ["start", "stop"].includes(name),
    );
    if (operations.length < 2) return [];
    return [
      {
        severity: "note",
        object: id,
        what: `the fence device ${id} has operations ${operations.map(({ attributes }) => attributes.name).join(" and ")}`,
        why: "It looks like 'pcs resource create' of a fence agent, deprecated in pcs 0.11 and gone in 0.12: use 'pcs stonith create'. How long a fence may take is pcmk_off_timeout.",
        mend: {
          pcs: operations.map(({ attributes }) => shellLine("pcs", "resource", "op", "remove", attributes.id ?? "")),
          crmsh: [shellLine("crm", "configure", "edit", id)],
          shell: [],
        },
      },
    ];
  });

// ------------------------------------------------------------------------------------------------------- host checks

export const findHostChecks = (cib: Cib): Found[] =>
  readTopology(cib).recorders.flatMap(({ id, attributes }): Found[] => {
    const { pcmk_host_check: check, pcmk_host_list: list, pcmk_host_map: map } = attributes;
    if (check !== "dynamic-list" && check !== "status") return [];
    const named = list !== undefined || map !== undefined;
    const better = named ? "static-list" : "none";
    return [
      {
        severity: "warning",
        object: id,
        what: `pcmk_host_check=${check} of ${id} makes Pacemaker ask the recorder which nodes it can fence`,
        why: "A recorder has no power switch to ask: it cannot see a dead node, so it is dropped from that node's level, and the level fails.",
        mend: {
          pcs: [shellLine("pcs", "stonith", "update", id, `pcmk_host_check=${better}`)],
          crmsh: [shellLine("crm", "resource", "param", id, "set", "pcmk_host_check", better)],
          shell: [],
        },
      },
    ];
  });

export const CONFIGURATION_CHECKS: readonly Check[] = [
  clusterCheck(
    {
      id: "rule-hostname",
      describe: "location rules on an attribute that no node has",
      severity: "warning",
    },
    findHostnameRules,
  ),
  clusterCheck(
    { id: "meta-env", describe: "meta env=, which never reaches an agent", severity: "warning" },
    findMetaEnv,
  ),
  clusterCheck({ id: "agent-kind", describe: "a fence agent used as a resource", severity: "warning" }, (cib) => [
    ...findAgentKinds(cib),
    ...findResourceOperations(cib),
  ]),
  clusterCheck(
    { id: "host-check", describe: "pcmk_host_check asks the recorder", severity: "warning" },
    findHostChecks,
  ),
];
