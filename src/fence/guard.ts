/**
 * The guard: may a recorder's exit 0 stand for this target, or would Pacemaker take it for a completed fencing?
 * Input:  the CIB and the target's name; live, what can be read of the CIB within the time given.
 * Output: ok · unsafe · unknown, and why in one line. What is not `ok` is refused (SPEC 3): a check that did not run
 *         did not pass.
 * Errors: none; what could not be read is part of the reason.
 * Source: daemons/fenced of Pacemaker 2.1.5 and 3.0: fenced_commands.c (unpack_level_kind, stonith_level_key,
 *         fenced_register_level), fenced_remote.c (find_topology_for_host, topology_matches), pacemaker-fenced.c or
 *         fenced_cib.c (register_fencing_topology, node_has_attr).
 *
 * `stonith-enabled=false` changes nothing here: it stops the scheduler from asking, but the fencer still does what
 * dlm_controld and stonith_admin ask of it, by the same topology.
 */
import { parseEre } from "../core/ere.ts";
import { reasonOf } from "../core/errors.ts";
import type { Host } from "../core/host.ts";
import { childNamed, childrenNamed, elementsNamed, type XmlElement } from "../core/xml.ts";
import {
  attributesOf,
  type Cib,
  dereferenceIn,
  type FenceDevice,
  fenceDevicesOf,
  fencingTargets,
  outputOf,
  readCibFile as readFileOfCib,
  resourcesOf,
  sectionOf,
  withinTime,
} from "../discovery/cib.ts";
import { sameNode } from "../discovery/source.ts";
import type { GuardVerdict } from "../records/fence-event.ts";

export type Verdict = { verdict: GuardVerdict; reason: string };

/** Agents that only record. */
export const RECORDER_TYPES: readonly string[] = ["fence_gfs2_recorder"];

/** In role gate its exit is a responder's verdict: a fence device like others, nothing for the guard to refuse. */
export const onlyRecords = (
  device: Pick<FenceDevice, "type" | "attributes"> | undefined,
  types: readonly string[],
): boolean => device !== undefined && types.includes(device.type) && device.attributes.role !== "gate";

/**
 * Agents that go with a fence device and are none, by their own description: one decides whether the next device is
 * asked at all, the others tell OpenStack of a node that was fenced. Beside a recorder they prove nothing.
 */
const NOT_FENCING: readonly string[] = ["fence_heuristics_ping", "fence_compute", "fence_evacuate"];

/** The fencer's own device for nodes that reset themselves (STONITH_WATCHDOG_ID, STONITH_WATCHDOG_AGENT). */
export const WATCHDOG_ID = "watchdog";
const WATCHDOG_AGENT = "fence_watchdog";

// ------------------------------------------------------------------------------------------------- the fencer's view

export type Level = { index: number; devices: readonly string[] };

/** One entry of the fencer's topology table, which is keyed by the text that names the target. */
export type Entry = {
  key: string;
  /** The kinds of its elements, and the first of each: the one that made the entry decides, whatever comes later. */
  kinds: ReadonlyMap<Kind, XmlElement>;
  levels: readonly Level[];
  /** Why what the fencer made of these elements depends on the order in which it met them. */
  ambiguous?: string;
};

export type Kind = "name" | "pattern" | "attribute";

type Deployment = {
  cib: Cib;
  entries: ReadonlyMap<string, Entry>;
  devices: ReadonlyMap<string, FenceDevice>;
  recorderTypes: readonly string[];
};

const deploymentOf = (cib: Cib, recorderTypes: readonly string[], devices = fenceDevicesOf(cib)): Deployment => ({
  cib,
  entries: topologyOf(cib),
  devices: new Map(devices.map((device) => [device.id, device])),
  recorderTypes,
});

/** unpack_level_kind() and stonith_level_key(): the first of these attributes that is there, even if it is empty. */
function keyOf({ attributes }: XmlElement): { kind: Kind; key: string } | undefined {
  const { target, "target-pattern": pattern, "target-attribute": attribute, "target-value": value } = attributes;
  if (target !== undefined) return { kind: "name", key: target };
  if (pattern !== undefined) return { kind: "pattern", key: pattern };
  if (attribute !== undefined && value !== undefined) return { kind: "attribute", key: `${attribute}=${value}` };
  return undefined;
}

/** crm_element_value_int(): strtoll, so that text may follow; 0 when the attribute is missing, -1 when it is no number. */
function indexOf(text: string | undefined): number {
  if (text === undefined) return 0;
  const digits = /^[ \t-\r]*([+-]?[0-9]+)/.exec(text)?.[1];
  const index = digits === undefined ? -1 : Number(digits);
  return Math.abs(index) > 2 ** 31 - 1 ? -1 : index;
}

/** ST_LEVEL_MAX is 10 and not reached: levels are 1 to 9, others are ignored (fenced_register_level). */
const isLevel = (index: number): boolean => index >= 1 && index <= 9;

/** The table as the fencer has it, by key. */
export function topologyOf(cib: Cib): Map<string, Entry> {
  type Building = { kinds: Map<Kind, XmlElement>; levels: Map<number, string[]>; ambiguous?: string };
  const building = new Map<string, Building>();
  const resetKeys = new Set<string>();
  const elements = childrenNamed(childNamed(cib.root, "configuration"), "fencing-topology").flatMap((section) => [
    ...elementsNamed(section, "fencing-level"),
  ]);
  for (const element of elements) {
    const named = keyOf(element);
    if (!named) continue;
    const { kind, key } = named;
    const index = indexOf(element.attributes.index);
    // register_fencing_topology() unregisters each level before it registers it: index 0 unregisters all of them, and
    // without an id nothing is registered after that. The schema allows neither.
    const { id, devices } = element.attributes;
    if (index === 0 || !id) resetKeys.add(key);
    if (!isLevel(index) || !id) continue;
    const entry: Building = building.get(key) ?? { kinds: new Map(), levels: new Map() };
    building.set(key, entry);
    if (!entry.kinds.has(kind)) entry.kinds.set(kind, element);
    if (entry.levels.has(index)) {
      // After a restart of the fencer the last of them is the level; one that was added later was appended to the first.
      entry.ambiguous ??= `two topology elements are level ${index}`;
    }
    entry.levels.set(index, [...(entry.levels.get(index) ?? []), ...(devices?.split(",") ?? [])]);
  }
  return new Map(
    [...building].map(([key, { levels, ambiguous: repeated, ...entry }]) => {
      const ambiguous =
        repeated ?? (resetKeys.has(key) ? "an element without an id or a level number removes the others" : undefined);
      const filled = [...levels].filter(([, devices]) => devices.length > 0).sort(([a], [b]) => a - b);
      return [
        key,
        {
          key,
          ...entry,
          levels: filled.map(([index, devices]) => ({ index, devices })),
          ...(ambiguous === undefined ? {} : { ambiguous }),
        },
      ];
    }),
  );
}

/** topology_matches(); undefined: it may match or not. */
function matches(cib: Cib, { key, kinds }: Entry, target: string): boolean | undefined {
  const answers = [...kinds].map(([kind, { attributes }]) => {
    const { "target-attribute": attribute = "", "target-value": value = "" } = attributes;
    switch (kind) {
      case "name":
        return sameNode(key, target);
      case "pattern":
        return parseEre(key)?.matches(target);
      case "attribute":
        return hasAttribute(cib, target, attribute, value);
      default:
        return kind satisfies never;
    }
  });
  // Elements of several kinds share a key: the one that the fencer met first decides, and which that was is not known.
  return answers.every((answer) => answer === answers[0]) ? answers[0] : undefined;
}

/** node_has_attr(): an XPath that must find exactly one pair, case-sensitive, in <nodes>; sets are taken as they stand. */
function hasAttribute(cib: Cib, target: string, attribute: string, value: string): boolean | undefined {
  // They are put into the XPath unquoted: an apostrophe makes it another one.
  if ([target, attribute, value].some((text) => text.includes("'"))) return undefined;
  const found = childrenNamed(sectionOf(cib, "nodes"), "node")
    .filter((node) => node.attributes.uname === target)
    .flatMap((node) => childrenNamed(node, "instance_attributes"))
    .flatMap((set) => childrenNamed(set, "nvpair"))
    .filter((pair) => pair.attributes.name === attribute && pair.attributes.value === value);
  return found.length === 1;
}

// ---------------------------------------------------------------------------------------------------------- judging

export const guardVerdict = (cib: Cib, target: string, recorderTypes = RECORDER_TYPES): Verdict =>
  judge(deploymentOf(cib, recorderTypes), target).verdict;

/** Every entry that the fencer may have picked for the target; undefined stands for none. */
type Candidates = { sure: readonly Entry[]; perhaps: readonly Entry[]; mayBeNone: boolean };

function candidatesFor({ cib, entries }: Deployment, target: string): Candidates {
  // The table is asked for the name itself first, whatever kind of entry that key belongs to; the case must agree.
  const exact = entries.get(target);
  if (exact) return { sure: [exact], perhaps: [], mayBeNone: false };
  const judged = [...entries.values()].map((entry) => ({ entry, match: matches(cib, entry, target) }));
  const sure = judged.filter(({ match }) => match === true).map(({ entry }) => entry);
  const perhaps = judged.filter(({ match }) => match === undefined).map(({ entry }) => entry);
  return { sure, perhaps, mayBeNone: sure.length === 0 };
}

/** `asked`: does the fencer use a recorder device here? Without a topology that is a matter of each device's host list. */
type Judgement = { verdict: Verdict; asked: "yes" | "no" | "by-host-list" };

/** The table is walked in an order that nobody knows, so all that may be picked have to agree. */
function judge(deployment: Deployment, target: string): Judgement {
  const { sure, perhaps, mayBeNone } = candidatesFor(deployment, target);
  const possible: Judgement[] = [...sure, ...perhaps].map((entry) => judgeEntry(deployment, entry, target));
  if (mayBeNone) possible.push(noTopology(target));
  const [first] = possible;
  if (first && possible.every(({ verdict }) => verdict.verdict === first.verdict.verdict)) {
    const asked = (["yes", "by-host-list"] as const).find((how) => possible.some((one) => one.asked === how)) ?? "no";
    return { ...first, asked };
  }
  const reason =
    perhaps.length > 0
      ? `whether topology entry ${names(perhaps)} is the one for ${target} cannot be told`
      : `topology entries ${names(sure)} all match ${target} and disagree: which one Pacemaker uses is not known`;
  return { verdict: { verdict: "unknown", reason }, asked: "yes" };
}

const names = (entries: readonly Entry[]): string => entries.map(({ key }) => key).join(", ");

/** Then the fencer tries device after device and is content with the first that says yes (stonith_choose_peer). */
const noTopology = (target: string): Judgement => ({
  verdict: { verdict: "unsafe", reason: `no topology for ${target}: a recorder alone could count as its fencing` },
  asked: "by-host-list",
});

function judgeEntry(deployment: Deployment, entry: Entry, target: string): Judgement {
  const { devices, recorderTypes } = deployment;
  const isRecorder = (id: string) => onlyRecords(devices.get(id), recorderTypes);
  const unsafe = (reason: string): Judgement => ({ verdict: { verdict: "unsafe", reason }, asked: "yes" });
  // topology_is_empty(): as if it were not there.
  if (entry.levels.length === 0) return noTopology(target);
  const recording = entry.levels.filter((level) => level.devices.some(isRecorder));
  if (recording.length === 0) {
    const reason = `no topology level of ${target} holds a recorder`;
    return { verdict: { verdict: "unsafe", reason }, asked: entry.ambiguous === undefined ? "no" : "by-host-list" };
  }
  if (entry.ambiguous !== undefined) return unsafe(`topology of ${target}: ${entry.ambiguous}`);
  const proof: string[] = [];
  for (const { index, devices: ids } of recording) {
    const recorders = ids.filter(isRecorder);
    const others = ids.filter((id) => !isRecorder(id)).map((id) => ({ id, objection: objectionTo(id, deployment) }));
    const other = others.find(({ objection }) => objection === undefined);
    if (other) {
      proof.push(`level ${index} holds ${other.id}`);
      continue;
    }
    const only = `the recorder ${[...new Set(recorders)].join(", ")}`;
    return unsafe(
      others.length === 0
        ? `topology level ${index} of ${target} holds only ${only}`
        : `topology level ${index} of ${target} holds ${only} and no other device that fences: ${others
            .map(({ id, objection }) => `${id} ${objection}`)
            .join(", ")}`,
    );
  }
  return { verdict: { verdict: "ok", reason: `topology of ${target}: ${proof.join(", ")}` }, asked: "yes" };
}

/**
 * Why a device beside the recorder is no proof of another agent; undefined when it is one.
 * The fencer does not register a stopped device, and a level with a device that it does not know fails. So the recorder's
 * yes alone would not be enough there either, but such a level never fences, and starting the device is no change to the
 * topology that anybody would look at twice.
 */
export function objectionTo(id: string, { cib, devices }: Pick<Deployment, "cib" | "devices">): string | undefined {
  const device = devices.get(id);
  if (id === WATCHDOG_ID) {
    // The target resets itself and the fencer waits for it: as good as a switch, but only where it is enabled, and only
    // by the fencer's own agent (stonith_device_register; check_watchdog_fencing_and_wait in fenced_remote.c).
    if (device && device.type !== WATCHDOG_AGENT) return `is not of agent ${WATCHDOG_AGENT}`;
    if (device?.stopped) return "is stopped";
    return watchdogEnabled(cib) ? undefined : "is off: no stonith-watchdog-timeout";
  }
  if (!device) return "does not exist";
  if (device.type === WATCHDOG_AGENT) return `is ignored: agent ${WATCHDOG_AGENT} must be named ${WATCHDOG_ID}`;
  if (NOT_FENCING.includes(device.type)) return `is ${device.type}, which does not fence`;
  return device.stopped ? "is stopped" : undefined;
}

/** Not zero. Anything but a number above that is worked out from sbd's own setting, and if that is zero the level fails. */
function watchdogEnabled(cib: Cib): boolean {
  const config = sectionOf(cib, "crm_config");
  const properties = config ? attributesOf(config, "cluster_property_set", dereferenceIn(cib)) : {};
  const timeout = properties["fencing-watchdog-timeout"] ?? properties["stonith-watchdog-timeout"] ?? "0";
  return Number.parseInt(timeout, 10) !== 0;
}

// ------------------------------------------------------------------------------------------------- whole deployments

/** `entries`: the keys of the topology entries that may be the node's. */
export type NodeVerdict = Verdict & { node: string; entries: readonly string[] };

/** Every node whose verdict is not `ok` although a recorder device could be asked to fence it, one line each. */
export const unsafeDeployment = (cib: Cib, recorderTypes = RECORDER_TYPES): string[] =>
  unsafeNodes(cib, recorderTypes).map(({ node, verdict, reason }) => `${node}: ${verdict}: ${reason}`);

/** The same as data. */
export function unsafeNodes(cib: Cib, recorderTypes = RECORDER_TYPES): NodeVerdict[] {
  const resources = resourcesOf(cib);
  const devices = fenceDevicesOf(cib, resources);
  const deployment = deploymentOf(cib, recorderTypes, devices);
  const recorders = devices.filter((device) => onlyRecords(device, recorderTypes) && !device.stopped);
  if (recorders.length === 0) return [];
  return fencingTargets(cib, resources).flatMap(({ name, kind }) => {
    // A guest is fenced by stopping its resource; no agent is asked.
    if (kind === "guest") return [];
    const { verdict, asked } = judge(deployment, name);
    const reachable = asked === "yes" || (asked === "by-host-list" && recorders.some((one) => mayFence(one, name)));
    if (verdict.verdict === "ok" || !reachable) return [];
    const { sure, perhaps } = candidatesFor(deployment, name);
    return [{ node: name, ...verdict, entries: [...sure, ...perhaps].map(({ key }) => key) }];
  });
}

/** can_fence_host_with_device() and target_list_type(): a list or a map names the nodes, else any node is tried. */
export function mayFence({ attributes }: Pick<FenceDevice, "attributes">, target: string): boolean {
  const { pcmk_host_list: list, pcmk_host_map: map, pcmk_host_check: check } = attributes;
  const isStatic = check === undefined ? list !== undefined || map !== undefined : check === "static-list";
  // Other ways ask the agent; a recorder's list names every node, so they come to the same.
  if (!isStatic) return true;
  const listed = (list ?? "").split(/[\s,;]+/);
  const mapped = (map ?? "").split(/[\s;]+/).map((pair) => pair.split(/[:=]/)[0] ?? "");
  return [...listed, ...mapped].some((name) => name !== "" && sameNode(name.replaceAll("\\", ""), target));
}

// ------------------------------------------------------------------------------------------------------ asking live

const LIVE_CIB_TIMEOUT_MS = 1_000;
/** A file of a few kB that a healthy disk has in its cache. */
const FILE_TIMEOUT_MS = 500;

export type GuardSource = "live-cib" | "cib-file" | "last-verdict" | "none";

export type GuardAnswer = Verdict & { source: GuardSource; cib?: Cib };

export type GuardQuestion = {
  host: Host;
  target: string;
  /** The running cluster's configuration; shared with discovery. */
  readCib: () => Promise<Cib>;
  /** Its copy on this node's disk. */
  readCibFile?: () => Promise<Cib>;
  lastVerdict?: () => Promise<LastVerdict | undefined>;
  recorderTypes?: readonly string[];
};

/**
 * The first that can be read decides, even when it decides `unknown`: an older source may say `ok` only because it does
 * not have the change yet that made the answer doubtful.
 */
export async function askGuard(question: GuardQuestion): Promise<GuardAnswer> {
  const { host, target, recorderTypes = RECORDER_TYPES } = question;
  const file = { timeoutMs: FILE_TIMEOUT_MS };
  const sources = [
    { source: "live-cib", read: question.readCib, timeoutMs: LIVE_CIB_TIMEOUT_MS },
    {
      source: "cib-file",
      read: question.readCibFile ?? (() => readFileOfCib(host, file)),
      timeoutMs: FILE_TIMEOUT_MS,
    },
  ] as const;
  const failures: string[] = [];
  for (const { source, read, timeoutMs } of sources) {
    try {
      const cib = await withinTime(host, read(), timeoutMs, source);
      return { ...guardVerdict(cib, target, recorderTypes), source, cib };
    } catch (error) {
      failures.push(reasonOf(error));
    }
  }
  const why = failures.join("; ");
  const readLast = question.lastVerdict ?? (() => readLastVerdict(host, target, file));
  const last = await withinTime(host, readLast(), FILE_TIMEOUT_MS, "last verdict").catch((error: unknown) => {
    failures.push(reasonOf(error));
    return undefined;
  });
  if (last) {
    const { verdict, reason, time } = last;
    return { verdict, reason: `${reason} (as of ${time.toISOString()}; now: ${why})`, source: "last-verdict" };
  }
  return {
    verdict: "unknown",
    reason: `the topology of ${target} could not be read: ${failures.join("; ")}`,
    source: "none",
  };
}

// ---------------------------------------------------------------------------------------------------- last verdicts

/** Root-only; written by the writer process after each decision. */
export const VERDICT_DIRECTORY = "/var/lib/fencepost/guard";

/** An `unknown` is not worth keeping: the next question deserves a fresh look. */
export type LastVerdict = { target: string; verdict: "ok" | "unsafe"; reason: string; time: Date };

/**
 * The name of a target's file: readable for ordinary names, one file per name whatever the name, never a path; none for
 * a name that would be longer than file names may be.
 * Node names are compared without case elsewhere, but the fencer's first lookup is not: two spellings, two files.
 */
export function guardFileName(target: string): string | undefined {
  // UTF-16 units, so that lone surrogates stay apart too. Nothing but a percent sign makes a percent sign.
  const encoded = target.replace(/^\.|[^A-Za-z0-9._-]/g, escapeUnit);
  return encoded.length <= MAX_NAME_LENGTH ? `${encoded}.json` : undefined;
}

/** File names end at 255 bytes, and the writer adds to them while it writes. */
const MAX_NAME_LENGTH = 200;
const escapeUnit = (unit: string): string => `%${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;

export const encodeVerdict = ({ target, verdict, reason, time }: Verdict & { target: string; time: Date }): string =>
  `${JSON.stringify({ target, verdict, reason, time: time.toISOString() })}\n`;

/** undefined for anything that is not a whole verdict on that target. */
export function decodeVerdict(text: string, target: string): LastVerdict | undefined {
  let record: unknown;
  try {
    record = JSON.parse(text);
  } catch {
    return undefined; // cut off, or not ours
  }
  if (typeof record !== "object" || record === null) return undefined;
  const { target: about, verdict, reason, time: written } = record as Record<string, unknown>;
  if (about !== target || (verdict !== "ok" && verdict !== "unsafe")) return undefined;
  if (typeof reason !== "string" || typeof written !== "string") return undefined;
  const time = new Date(written);
  return Number.isNaN(time.getTime()) ? undefined : { target, verdict, reason, time };
}

/** A command reads it, for the disk may be what failed. Rejects when there is none. */
export const readLastVerdict = async (
  host: Host,
  target: string,
  options: { timeoutMs: number; signal?: AbortSignal },
): Promise<LastVerdict | undefined> => {
  const name = guardFileName(target);
  if (name === undefined) return undefined;
  return decodeVerdict(await outputOf(host, ["cat", "--", `${VERDICT_DIRECTORY}/${name}`], options), target);
};
