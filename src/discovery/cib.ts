/**
 * Pacemaker's configuration and status (the CIB), as much of it as fencing and discovery need.
 * Input:  the XML of `cibadmin -Q` or of /var/lib/pacemaker/cib/cib.xml (which has no status). Output: Cib and readers.
 * Errors: OpsError bad-output when it is not a CIB; missing-tool, timeout, failed when it could not be read.
 * Unknown elements and attributes are passed over.
 * Source: xml/*.rng and lib/pengine of Pacemaker 2.1.5 and 3.0; captured output in test/fixtures/gfs2-cluster.
 */
import { fail, OpsError, reasonOf } from "../core/errors.ts";
import { type Argv, type CommandResult, failureOf } from "../core/exec.ts";
import type { Host } from "../core/host.ts";
import { childNamed, childrenNamed, parseXml, type XmlElement } from "../core/xml.ts";
import { type ClusterFacts, sameNode } from "./source.ts";

export type Cib = {
  /** Without the status section. */
  root: XmlElement;
  /** A CIB from disk has none. */
  hasStatus: boolean;
  /** Parsed when first asked for. */
  status: () => XmlElement | undefined;
};

export const CIB_FILE = "/var/lib/pacemaker/cib/cib.xml";

/** The status is most of a CIB and seldom needed: it is cut out, so that a fence need not wait until it is parsed. */
export function parseCib(xml: string): Cib {
  const start = xml.search(/<status[\s>]/);
  const end = xml.lastIndexOf(STATUS_END);
  const cut = start !== -1 && end > start;
  const root = parseXml(cut ? xml.slice(0, start) + xml.slice(end + STATUS_END.length) : xml, "CIB");
  if (root.name !== "cib") fail("bad-output", `CIB: the root element is <${root.name}>`);
  let status: XmlElement | undefined;
  return {
    root,
    hasStatus: cut || childNamed(root, "status") !== undefined,
    status: () => {
      status ??= cut ? parseXml(xml.slice(start, end + STATUS_END.length), "CIB status") : childNamed(root, "status");
      return status;
    },
  };
}

const STATUS_END = "</status>";

// ---------------------------------------------------------------------------------------------------- reading it

type ReadOptions = { timeoutMs: number; signal?: AbortSignal };

/** The CIB as this node's daemon has it: `-l` asks nobody else, so it answers without quorum and without a DC. */
export const readCib = async (host: Host, options: ReadOptions): Promise<Cib> =>
  parseCib(await outputOf(host, ["cibadmin", "-Q", "-l"], options));

/**
 * The configuration as this node last wrote it. A command reads it, not we: on a dead disk the child hangs and is left
 * behind, and the agent goes on.
 */
export const readCibFile = async (host: Host, options: ReadOptions): Promise<Cib> =>
  parseCib(await outputOf(host, ["cat", "--", CIB_FILE], options));

/** The running cluster's configuration, else the one on disk; when both fail, what each of them said. */
export const eitherCib = (live: () => Promise<Cib>, file: () => Promise<Cib>) => (): Promise<Cib> =>
  live().catch((first: unknown) =>
    file().catch((second: unknown) => {
      const kind = first instanceof OpsError ? first.kind : "failed";
      throw new OpsError(kind, `${reasonOf(first)}; ${reasonOf(second)}`, { cause: first });
    }),
  );

/** stdout of a command that exited 0; OpsError with the reason otherwise. */
export async function outputOf(host: Host, argv: Argv, { timeoutMs, signal }: ReadOptions): Promise<string> {
  // In the caller's process group, so that the fencer's kill of an agent that ran too long ends it as well.
  const result = await host.run(argv, { timeoutMs, group: "caller", ...(signal ? { signal } : {}) });
  const failure = failureOf(result, timeoutMs);
  if (failure !== undefined) throw new OpsError(kindOf(result), failure);
  return result.stdout;
}

const kindOf = ({ outcome, spawnError }: CommandResult) =>
  outcome === "timed-out"
    ? "timeout"
    : outcome === "not-started" && spawnError === "ENOENT"
      ? "missing-tool"
      : outcome === "too-much-output"
        ? "bad-output"
        : "failed";

/** `promise`, or a timeout error after that long; what the promise does later is nobody's concern. */
export async function withinTime<T>(host: Host, promise: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  const answered = new AbortController();
  const late = host.sleep(timeoutMs, answered.signal).then(() => {
    if (!answered.signal.aborted) throw new OpsError("timeout", `${what}: timed out after ${timeoutMs} ms`);
    return promise;
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    late.catch(() => undefined);
    answered.abort();
  }
}

// ------------------------------------------------------------------------------------------- names and attributes

const configurationOf = (cib: Cib): XmlElement | undefined => childNamed(cib.root, "configuration");

/** A section of the configuration: nodes, resources, constraints, … */
export const sectionOf = (cib: Cib, name: string): XmlElement | undefined => childNamed(configurationOf(cib), name);

/** crm_is_true(): lib/common/strings.c */
export const isTrue = (value: string | undefined): boolean =>
  ["true", "on", "yes", "y", "1"].includes((value ?? "").toLowerCase());

export const INFINITY = 1_000_000;

/** A score as char2score() reads it: lib/common/scores.c; undefined without one. */
export function parseScore(text: string | undefined): number | undefined {
  if (text === undefined || text === "") return undefined;
  const sign = text.startsWith("-") ? -1 : 1;
  if (/^[+-]?infinity$/i.test(text)) return sign * INFINITY;
  const number = /^\s*[+-]?[0-9]+/.exec(text)?.[0];
  return number === undefined ? 0 : Math.max(-INFINITY, Math.min(INFINITY, Number(number)));
}

/** Finds the element that an `id-ref` stands for. The table is made when the first one is met: most have none. */
export type Dereference = (element: XmlElement) => XmlElement | undefined;

export function dereferenceIn(cib: Cib): Dereference {
  let byId: Map<string, XmlElement> | undefined;
  const index = (): Map<string, XmlElement> => {
    const found = new Map<string, XmlElement>();
    const walk = (element: XmlElement): void => {
      const { id } = element.attributes;
      if (id !== undefined) found.set(`${element.name} ${id}`, element);
      element.children.forEach(walk);
    };
    const configuration = configurationOf(cib);
    if (configuration) walk(configuration);
    return found;
  };
  return (element) => {
    const reference = element.attributes["id-ref"];
    if (reference === undefined) return element;
    byId ??= index();
    return byId.get(`${element.name} ${reference}`);
  };
}

type SetName = "instance_attributes" | "meta_attributes" | "cluster_property_set";

/**
 * Name=value pairs of the attribute sets called `setName`, in the order of `sources`' importance, least first (a
 * template, then the resource itself). Of several sets the one with the higher score counts, of two with the same score
 * the later (make_pairs and populate_hash in lib/pengine/rules.c); within a set the first pair of a name.
 * A set with a rule depends on node and time: its values are taken only where no other set has any.
 */
export function attributesOf(
  sources: XmlElement | readonly XmlElement[],
  setName: SetName,
  dereference: Dereference = (element) => element,
): Record<string, string> {
  const sets = [sources]
    .flat()
    .flatMap((source) => childrenNamed(source, setName))
    .flatMap((set) => dereference(set) ?? [])
    .map((set) => ({
      set,
      ruled: childNamed(set, "rule") !== undefined,
      score: set.attributes.id === "cib-bootstrap-options" ? Infinity : (parseScore(set.attributes.score) ?? 0),
    }))
    .reverse()
    .sort((a, b) => Number(a.ruled) - Number(b.ruled) || b.score - a.score);
  const found = new Map<string, string>();
  for (const { set } of sets) {
    for (const pair of childrenNamed(set, "nvpair")) {
      const shared = pair.attributes["id-ref"] === undefined ? undefined : dereference(pair);
      const name = pair.attributes.name ?? shared?.attributes.name;
      const value = pair.attributes.value ?? shared?.attributes.value;
      if (name !== undefined && value !== undefined && !found.has(name)) found.set(name, value);
    }
  }
  return Object.fromEntries(found);
}

/** A cluster property such as `cluster-name`. */
export function clusterProperty(cib: Cib, name: string): string | undefined {
  const config = sectionOf(cib, "crm_config");
  return config && attributesOf(config, "cluster_property_set", dereferenceIn(cib))[name];
}

// --------------------------------------------------------------------------------------------------------- nodes

export type CibNode = { id: string; uname: string; attributes: Readonly<Record<string, string>> };

/** The entries of <nodes>: cluster members, and remote nodes that have attributes of their own. */
export const nodesOf = (cib: Cib): CibNode[] =>
  childrenNamed(sectionOf(cib, "nodes"), "node").map((node) => ({
    id: node.attributes.id ?? "",
    uname: node.attributes.uname ?? "",
    attributes: attributesOf(node, "instance_attributes", dereferenceIn(cib)),
  }));

/** `guest`: its fencing is a stop of the resource that holds it and never reaches a fence agent. */
export type NodeKind = "member" | "remote" | "guest";

export type ClusterNode = { name: string; id?: string; kind: NodeKind; attributes: Readonly<Record<string, string>> };

/** All nodes that the configuration knows, each once: members, then remote and guest nodes in document order. */
export function fencingTargets(cib: Cib, resources: readonly Resource[] = resourcesOf(cib)): ClusterNode[] {
  const listed = nodesOf(cib);
  const virtual = virtualNodesOf(resources);
  const isVirtual = (name: string) => virtual.some((node) => sameNode(node.name, name));
  // A remote node gets an entry in <nodes> once it has an attribute, with type="remote" and no resource's name.
  const members = listed
    .filter(({ uname }) => uname !== "" && !isVirtual(uname))
    .map(({ id, uname, attributes }): ClusterNode => ({ name: uname, id, kind: "member", attributes }));
  return [
    ...members,
    ...virtual.map((node) => ({
      ...node,
      attributes: listed.find(({ uname }) => sameNode(uname, node.name))?.attributes ?? {},
    })),
  ];
}

/** Nodes that exist because a resource says so (remote.c: xml_contains_remote_node, pe__is_guest_node; bundle.c). */
export function virtualNodesOf(resources: readonly Resource[]): { name: string; kind: "remote" | "guest" }[] {
  const found = new Map<string, "remote" | "guest">();
  for (const resource of allResources(resources)) {
    const { agent, meta } = resource;
    if (agent?.class === "ocf" && agent.provider === "pacemaker" && agent.type === "remote") {
      found.set(resource.id, "remote");
    }
    if (agent && meta["remote-node"]) found.set(meta["remote-node"], "guest");
    for (const name of resource.replicaNodes) found.set(name, "guest");
  }
  return [...found].map(([name, kind]) => ({ name, kind }));
}

// ----------------------------------------------------------------------------------------------------- resources

export type Agent = { class: string; provider?: string; type: string };

/** A resource with its template resolved. */
export type Resource = {
  id: string;
  kind: "primitive" | "group" | "clone" | "bundle";
  agent?: Agent;
  attributes: Readonly<Record<string, string>>;
  meta: Readonly<Record<string, string>>;
  parent?: Resource;
  children: readonly Resource[];
  /** Of a bundle: the guest nodes it makes. */
  replicaNodes: readonly string[];
};

const KINDS: Readonly<Record<string, Resource["kind"]>> = {
  primitive: "primitive",
  group: "group",
  clone: "clone",
  master: "clone",
  bundle: "bundle",
};

/** The resources of the top level; the rest hangs below them. */
export function resourcesOf(cib: Cib): Resource[] {
  const section = sectionOf(cib, "resources");
  const dereference = dereferenceIn(cib);
  const templates = new Map(childrenNamed(section, "template").map((one) => [one.attributes.id, one]));

  const read = (element: XmlElement, parent?: Resource): Resource | undefined => {
    const kind = KINDS[element.name];
    const { id } = element.attributes;
    if (!kind || id === undefined) return undefined;
    const template = element.attributes.template === undefined ? undefined : templates.get(element.attributes.template);
    const sources = template ? [template, element] : [element];
    // A primitive with a template has no class and type of its own (unpack_template in lib/pengine/complex.c).
    const { class: agentClass, provider, type } = (template ?? element).attributes;
    const resource: Resource & { children: Resource[] } = {
      id,
      kind,
      ...(kind === "primitive" && agentClass !== undefined && type !== undefined
        ? { agent: { class: agentClass, type, ...(provider === undefined ? {} : { provider }) } }
        : {}),
      attributes: attributesOf(sources, "instance_attributes", dereference),
      meta: attributesOf(sources, "meta_attributes", dereference),
      ...(parent ? { parent } : {}),
      children: [],
      replicaNodes: kind === "bundle" ? replicaNodesOf(element, id) : [],
    };
    resource.children = element.children.flatMap((child) => read(child, resource) ?? []);
    return resource;
  };
  return (section?.children ?? []).flatMap((element) => read(element) ?? []);
}

/** A bundle with a primitive inside runs pacemaker-remoted in each replica: `<bundle>-<number>` (lib/pengine/bundle.c). */
function replicaNodesOf(bundle: XmlElement, id: string): string[] {
  if (!childNamed(bundle, "primitive")) return [];
  const container = bundle.children.find(({ name }) => ["docker", "podman", "rkt"].includes(name));
  const replicas = Number(
    container?.attributes.replicas ?? container?.attributes["promoted-max"] ?? container?.attributes.masters ?? 1,
  );
  return Array.from({ length: Math.min(Number.isInteger(replicas) ? replicas : 1, 1_000) }, (_, n) => `${id}-${n}`);
}

/** Every resource, parents before children, in document order. */
export function* allResources(resources: readonly Resource[]): Generator<Resource> {
  for (const resource of resources) {
    yield resource;
    yield* allResources(resource.children);
  }
}

/** The groups, clones and bundles that a resource is in, the nearest first. */
export function parentsOf(resource: Resource): Resource[] {
  const parents: Resource[] = [];
  for (let parent = resource.parent; parent; parent = parent.parent) parents.push(parent);
  return parents;
}

/** Defaults for every resource's meta attributes; sets with rules are left out, for they hold for some only. */
export function resourceDefaultsOf(cib: Cib): Record<string, string> {
  const defaults = sectionOf(cib, "rsc_defaults");
  if (!defaults) return {};
  const children = defaults.children.filter((set) => !childNamed(set, "rule"));
  return attributesOf({ ...defaults, children }, "meta_attributes", dereferenceIn(cib));
}

/**
 * Switched off by the administrator (`target-role=Stopped`): the resource's own word counts before its parents', theirs
 * before the defaults (get_meta_attributes in lib/pengine/complex.c).
 */
export function isStopped(resource: Resource, defaults: Readonly<Record<string, string>>): boolean {
  const words = [resource, ...parentsOf(resource)].map(({ meta }) => meta["target-role"]);
  return (words.find((word) => word !== undefined) ?? defaults["target-role"] ?? "").toLowerCase() === "stopped";
}

export type FenceDevice = {
  id: string;
  /** The fence agent. */
  type: string;
  attributes: Readonly<Record<string, string>>;
  /** The fencer does not register a device whose resource is stopped (cib_device_update in pacemaker-fenced.c). */
  stopped: boolean;
};

/** The fencing devices of the configuration. */
export function fenceDevicesOf(cib: Cib, resources: readonly Resource[] = resourcesOf(cib)): FenceDevice[] {
  const defaults = resourceDefaultsOf(cib);
  return [...allResources(resources)].flatMap((resource) =>
    resource.agent?.class.toLowerCase() === "stonith"
      ? {
          id: resource.id,
          type: resource.agent.type,
          attributes: resource.attributes,
          stopped: isStopped(resource, defaults),
        }
      : [],
  );
}

/** A Filesystem resource that mounts GFS2. An fstype left to the agent's own detection is not known here. */
export const isGfs2 = ({ agent, attributes }: Resource): boolean =>
  agent?.class === "ocf" && agent.type === "Filesystem" && attributes.fstype === "gfs2";

export type Gfs2Resource = {
  id: string;
  directory?: string;
  device?: string;
  /** Ids of the groups and clones around it, the nearest first. */
  parents: readonly string[];
};

export const gfs2Resources = (cib: Cib): Gfs2Resource[] =>
  [...allResources(resourcesOf(cib))].filter(isGfs2).map((resource) => ({
    id: resource.id,
    ...(resource.attributes.directory === undefined ? {} : { directory: resource.attributes.directory }),
    ...(resource.attributes.device === undefined ? {} : { device: resource.attributes.device }),
    parents: parentsOf(resource).map(({ id }) => id),
  }));

// -------------------------------------------------------------------------------------------------- cluster facts

/**
 * What the cluster says of itself and of the target, as far as it is in this CIB. The file on disk has no status, and
 * its quorum and DC are those of the last change to the configuration: of such a CIB only the name is told.
 */
export function clusterFacts(cib: Cib, target: string, { withState = true } = {}): ClusterFacts {
  const name = clusterProperty(cib, "cluster-name");
  const facts: ClusterFacts = name === undefined ? {} : { name };
  if (!cib.hasStatus) return facts;
  const { "dc-uuid": dcId, "have-quorum": haveQuorum } = cib.root.attributes;
  const dc = nodesOf(cib).find(({ id }) => id === dcId)?.uname;
  if (dc !== undefined) facts.dc = dc;
  if (haveQuorum !== undefined) facts.quorate = isTrue(haveQuorum);
  const status = withState ? cib.status() : undefined;
  if (!status) return facts;
  // A node without quorum sees everybody else as failed: what it says of the target is not evidence.
  const targetState = facts.quorate === true ? stateOf(cib, status, target) : "unknown";
  if (targetState !== undefined) facts.targetState = targetState;
  return facts;
}

/** in_ccm and crmd are words up to Pacemaker 2.1.6, since 2.1.7 the time since when, 0 for not (unpack.c). */
const isSince = (value: string | undefined, word: string): boolean =>
  value?.toLowerCase() === word || Number(value) > 0 || (word === "true" && isTrue(value));

type TargetState = "online" | "standby" | "unclean" | "offline" | "pending";

/** As the scheduler decides it: determine_online_status() and below in lib/pengine/unpack.c. */
function stateOf(cib: Cib, status: XmlElement, target: string): TargetState | undefined {
  const node = nodesOf(cib).find(({ uname }) => sameNode(uname, target));
  const state = childrenNamed(status, "node_state").find(({ attributes }) => sameNode(attributes.uname ?? "", target));
  const fencing = clusterProperty(cib, "stonith-enabled") ?? clusterProperty(cib, "fencing-enabled") ?? "true";
  const fencingEnabled = isTrue(fencing);
  if (!state) {
    if (!node) return undefined;
    // Never seen since the cluster started: to be fenced before anything else, unless told otherwise.
    return fencingEnabled && isTrue(clusterProperty(cib, "startup-fencing") ?? "true") ? "unclean" : "offline";
  }
  // The state of a remote node is that of the resource that connects to it, and not written here.
  const isRemote =
    isTrue(state.attributes.remote_node) || virtualNodesOf(resourcesOf(cib)).some((one) => sameNode(one.name, target));
  if (isRemote) return undefined;

  const { join = "", expected = "down" } = state.attributes;
  const member = isSince(state.attributes.in_ccm, "true");
  const peer = isSince(state.attributes.crmd, "online");
  const transient = childNamed(state, "transient_attributes");
  const passing = transient ? attributesOf(transient, "instance_attributes") : {};
  const standby = isTrue(node?.attributes.standby) || isTrue(passing.standby);
  const up: TargetState = standby ? "standby" : "online";

  if (!fencingEnabled) {
    if (!member) return "offline";
    if (peer) return join === "member" ? up : "offline";
    return expected === "member" ? "unclean" : "offline";
  }
  // A shutdown was asked for: the time of the request, 0 when it was taken back.
  if (Number(passing.shutdown ?? 0) > 0) return peer ? up : "offline";
  const terminate = isTrue(passing.terminate) || Number(passing.terminate ?? 0) > 0;
  if (state.attributes.in_ccm === undefined || join === "banned") return "unclean";
  if (terminate) return !member && !peer && join === "down" ? "offline" : "unclean";
  if (expected === "down") return member || peer ? "pending" : "offline";
  if (!member || !peer) return "unclean";
  if (join === "member") return up;
  return join === "pending" || join === "down" ? "pending" : "unclean";
}
