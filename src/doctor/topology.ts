/**
 * Checks of the fencing topology: can a recorder alone "fence" a node, and can its level succeed at all?
 * Input:  the CIB, and which actions the agents beside a recorder know. Output: findings, each with what mends it.
 * Source: daemons/fenced of Pacemaker 2.1.5 (fence/guard.ts); captured calls in test/fixtures/gfs2-cluster/agent-calls.
 */
import type { Cib } from "../discovery/cib.ts";
import { mayFence, type NodeVerdict, unsafeNodes } from "../fence/guard.ts";
import { alertMend, ourAlerts } from "./alert.ts";
import type { Facts } from "./facts.ts";
import { type Check, type Finding, type Mend, shellLine } from "./finding.ts";
import { type Plan, planTopology, readTopology, showTarget, type Topology } from "./topology-plan.ts";

type Entry = Topology["entries"][number];

/** What the agent says it can do; undefined where nobody could be asked. */
export type ActionsOf = (agent: string) => readonly string[] | undefined;

/** Everything that these checks look at, and one plan for all that they find. */
type Deployment = { topology: Topology; verdicts: readonly NodeVerdict[]; plan: Plan; actionsOf: ActionsOf };

const LONE_RECORDER =
  "Its exit code 0 would tell Pacemaker that the node is off, and GFS2 would recover a journal that a running node " +
  "still writes to. The recorder refuses there, so the fencing fails instead.";

export function deploymentOf(cib: Cib, actionsOf: ActionsOf = () => undefined): Deployment {
  const topology = readTopology(cib);
  const verdicts = unsafeNodes(cib);
  const unrecorded = isRecordedOtherwise(cib) ? [] : entriesWithoutRecorder(topology);
  const plan = planTopology(topology, {
    newLevels: verdicts.filter(needsOwnName).map(({ node }) => node),
    withRecorder: unrecorded.map(({ key }) => key),
    withoutRecorder: topology.entries
      .filter((entry) => devicesWithoutOn(topology, entry, actionsOf).length > 0)
      .map(({ key }) => key),
  });
  return { topology, verdicts, plan, actionsOf };
}

/** Where it is not certain which entry is the node's, one by its very name decides: the fencer looks for that first. */
const needsOwnName = ({ entries, verdict }: NodeVerdict): boolean => entries.length === 0 || verdict === "unknown";

/** Levels in which Pacemaker turns a reboot into off and on: several devices, one of them a recorder. */
const sharedLevels = ({ isRecorder }: Topology, { levels }: Entry) =>
  levels.filter(({ devices }) => new Set(devices).size > 1 && devices.some(isRecorder));

function devicesWithoutOn(topology: Topology, entry: Entry, actionsOf: ActionsOf): string[] {
  const beside = sharedLevels(topology, entry).flatMap(({ devices }) =>
    devices.filter((id) => !topology.isRecorder(id)),
  );
  return [...new Set(beside)].filter((id) => {
    const actions = actionsOf(topology.devices.get(id)?.type ?? "");
    return actions !== undefined && !actions.includes("on");
  });
}

const isRecordedOtherwise = (cib: Cib): boolean => ourAlerts(cib).length > 0;

const entriesWithoutRecorder = ({ entries, recorders, isRecorder }: Topology): Entry[] =>
  recorders.length === 0
    ? []
    : entries.filter(({ levels }) => levels.length > 0 && !levels.some(({ devices }) => devices.some(isRecorder)));

type Found = Omit<Finding, "id">;

export function findRecorderAlone({ topology, verdicts, plan }: Deployment): Found[] {
  return verdicts.map((judged): Found => {
    const { node, verdict, reason, entries } = judged;
    const entry = needsOwnName(judged) ? undefined : topology.entries.find(({ key }) => entries.includes(key));
    const stopped = entry ? stoppedPower(topology, entry) : [];
    return {
      severity: verdict === "unsafe" ? "error" : "warning",
      object: node,
      what: verdict === "unsafe" ? reason : `it cannot be told whether a recorder alone could fence ${node}: ${reason}`,
      why: LONE_RECORDER,
      mend: stopped.length > 0 ? start(...stopped) : plan.mendFor(entry ?? { key: node, kind: "name" }),
    };
  });
}

/** Power devices that only need to be started for a recorder's level to hold one. */
const stoppedPower = ({ devices, isRecorder, fences }: Topology, { levels }: Entry): string[] => [
  ...new Set(
    levels
      .filter((level) => level.devices.some(isRecorder))
      .flatMap((level) => level.devices.filter((id) => fences(id) && devices.get(id)?.stopped)),
  ),
];

const start = (...ids: readonly string[]): Mend => ({
  pcs: [shellLine("pcs", "stonith", "enable", ...ids)],
  crmsh: ids.map((id) => shellLine("crm", "resource", "start", id)),
  shell: [],
});

export const findOwnLevels = ({ topology, plan }: Deployment): Found[] =>
  topology.entries.flatMap((entry) =>
    entry.levels
      .filter(({ devices }) => devices.length > 0 && devices.every(topology.isRecorder))
      .map(
        ({ index, devices }): Found => ({
          severity: "error",
          object: `level ${index} of ${showTarget(entry)}`,
          what: `level ${index} of ${showTarget(entry)} holds only the recorder ${[...new Set(devices)].join(", ")}`,
          why: LONE_RECORDER,
          mend: plan.mendFor(entry),
        }),
      ),
  );

export const findRepeatedLevels = ({ topology, plan }: Deployment): Found[] =>
  topology.entries.flatMap((entry) =>
    entry.ambiguous === undefined
      ? []
      : {
          severity: "error",
          object: showTarget(entry),
          what: `topology of ${showTarget(entry)}: ${entry.ambiguous}`,
          why:
            "Now the fencer may use the devices of all of them; after its next restart only the last element counts. " +
            "If that one holds only a recorder, the recorder alone fences.",
          mend: plan.mendFor(entry),
        },
  );

export const findRecorderFirst = ({ topology, plan }: Deployment): Found[] =>
  topology.entries.flatMap((entry) =>
    entry.levels.flatMap(({ index, devices }): Found[] => {
      const last = devices.findLastIndex((id) => !topology.isRecorder(id) && topology.exists(id));
      const early = devices.slice(0, Math.max(0, last)).filter(topology.isRecorder);
      if (early.length === 0) return [];
      return [
        {
          severity: "warning",
          object: `level ${index} of ${showTarget(entry)}`,
          what: `level ${index} of ${showTarget(entry)} calls the recorder ${early.join(", ")} before ${devices[last]}`,
          why:
            "A recorder that comes first and fails or is slow keeps the power device from being called at all: it is " +
            "called twice, then the level has failed.",
          mend: plan.mendFor(entry),
        },
      ];
    }),
  );

/** A level fails when one of its devices is not registered for the target (find_best_peer in fenced_remote.c). */
export function findFailingLevels({ topology, plan }: Deployment): Found[] {
  return topology.entries.flatMap((entry) =>
    entry.levels
      .filter(({ devices }) => devices.length > 1)
      .flatMap(({ index, devices }) =>
        [...new Set(devices)].flatMap((id): Found[] => {
          const trouble = troubleOf(topology, entry, id);
          if (!trouble) return [];
          return [
            {
              severity: "warning",
              object: `level ${index} of ${showTarget(entry)}`,
              what: `level ${index} of ${showTarget(entry)} cannot succeed: ${trouble.what}`,
              why: "All devices of a level have to succeed: without this one what stands beside it counts for nothing.",
              mend: trouble.mend ?? plan.mendFor(entry),
            },
          ];
        }),
      ),
  );
}

function troubleOf(
  { devices, exists, isRecorder }: Topology,
  { key, kind }: Entry,
  id: string,
): { what: string; mend?: Mend } | undefined {
  if (!exists(id)) return { what: `the device ${id} does not exist` };
  const device = devices.get(id);
  if (!device || !isRecorder(id)) return undefined; // what ails a power device shows in Pacemaker's own tools
  if (device.stopped) return { what: `the recorder ${id} is stopped`, mend: start(id) };
  if (kind !== "name" || mayFence(device, key)) return undefined;
  const hosts = [...(device.attributes.pcmk_host_list ?? "").split(/[\s,;]+/).filter(Boolean), key].join(" ");
  return {
    what: `the recorder ${id} is not for ${key}: its pcmk_host_list or pcmk_host_map does not name it`,
    mend: {
      pcs: [shellLine("pcs", "stonith", "update", id, `pcmk_host_list=${hosts}`)],
      crmsh: [shellLine("crm", "resource", "param", id, "set", "pcmk_host_list", hosts)],
      shell: [],
    },
  };
}

export function findUnrecorded(cib: Cib, { topology, plan }: Deployment): Found[] {
  const otherwise = isRecordedOtherwise(cib);
  const without = entriesWithoutRecorder(topology);
  const nobody = without.length === topology.entries.length;
  return without.map((entry) => ({
    severity: otherwise ? "note" : "warning",
    object: showTarget(entry),
    what: nobody
      ? `no topology level holds a recorder, so none is called for ${showTarget(entry)}`
      : `no topology level of ${showTarget(entry)} holds a recorder`,
    why: otherwise
      ? "The alert records what becomes of its fencing, but not the GFS2 context at the moment of the fence."
      : "Its fencing is not recorded.",
    mend: otherwise ? { pcs: [], crmsh: [], shell: [] } : plan.mendFor(entry),
  }));
}

export const findRebootActions = ({ topology }: Deployment): Found[] => {
  const shared = topology.entries.flatMap((entry) => sharedLevels(topology, entry));
  return [...new Set(shared.flatMap(({ devices }) => devices))].flatMap((id): Found[] => {
    const action = topology.devices.get(id)?.attributes.pcmk_reboot_action;
    if (action === undefined) return [];
    const staysOff = action === "off";
    return [
      {
        severity: "warning",
        object: id,
        what: `pcmk_reboot_action=${action} of ${id} has no effect beside a recorder`,
        why:
          "With several devices in a level Pacemaker turns a reboot into off, off, on, on, by pcmk_off_action and " +
          `pcmk_on_action.${staysOff ? " The node is switched on again; to leave it off, ask for off in the first place." : ""}`,
        mend: {
          pcs: [
            shellLine("pcs", "stonith", "update", id, "pcmk_reboot_action="),
            ...(staysOff ? ["pcs property set stonith-action=off"] : []),
          ],
          crmsh: [
            shellLine("crm", "resource", "param", id, "delete", "pcmk_reboot_action"),
            ...(staysOff ? ["crm configure property stonith-action=off"] : []),
          ],
          shell: [],
        },
      },
    ];
  });
};

export const findWithoutOn = (cib: Cib, { topology, plan, actionsOf }: Deployment): Found[] =>
  topology.entries.flatMap((entry) =>
    devicesWithoutOn(topology, entry, actionsOf).map((id): Found => {
      const levels = plan.mendFor(entry);
      const alert = isRecordedOtherwise(cib) ? undefined : alertMend;
      return {
        severity: "warning",
        object: id,
        what: `${id} stands beside a recorder for ${showTarget(entry)}, and its agent ${topology.devices.get(id)?.type} has no action on`,
        why:
          "With several devices in a level Pacemaker turns a reboot into off and on. The failure of the on is ignored: the " +
          "node stays off. Record with the alert there.",
        mend: {
          pcs: [...levels.pcs, ...(alert?.pcs ?? [])],
          crmsh: [...levels.crmsh, ...(alert?.crmsh ?? [])],
          shell: [],
        },
      };
    }),
  );

/** Agents beside a recorder: their metadata says whether they know `on`. */
export function agentsBeside(cib: Cib): string[] {
  const topology = readTopology(cib);
  const ids = topology.entries.flatMap((entry) => sharedLevels(topology, entry)).flatMap(({ devices }) => devices);
  const types = ids.filter((id) => !topology.isRecorder(id)).flatMap((id) => topology.devices.get(id)?.type ?? []);
  return [...new Set(types)].filter((type) => type !== "fence_watchdog"); // the fencer's own
}

const topologyCheck = (
  check: Pick<Check, "id" | "describe" | "severity">,
  find: (cib: Cib, deployment: Deployment) => Found[],
): Check => ({
  ...check,
  about: "cluster",
  run: async (facts: Facts) => {
    const cib = await facts.cib();
    const { actions } = await facts.agentActions();
    const findings = find(
      cib,
      deploymentOf(cib, (agent) => actions.get(agent)),
    );
    return { findings: findings.map((finding) => ({ id: check.id, ...finding })) };
  },
});

const withoutOn = topologyCheck(
  {
    id: "power-without-on",
    describe: "a recorder beside a power device that cannot switch on",
    severity: "warning",
  },
  findWithoutOn,
);

export const TOPOLOGY_CHECKS: readonly Check[] = [
  topologyCheck(
    { id: "recorder-alone", describe: "nodes that a recorder alone could fence", severity: "error" },
    (_, deployment) => findRecorderAlone(deployment),
  ),
  topologyCheck(
    { id: "recorder-own-level", describe: "a recorder in a level of its own", severity: "error" },
    (_, deployment) => findOwnLevels(deployment),
  ),
  topologyCheck(
    { id: "level-repeated", describe: "the same target and level twice", severity: "error" },
    (_, deployment) => findRepeatedLevels(deployment),
  ),
  topologyCheck(
    { id: "recorder-first", describe: "a recorder before the power device of its level", severity: "warning" },
    (_, deployment) => findRecorderFirst(deployment),
  ),
  topologyCheck(
    { id: "level-fails", describe: "a level that a missing or stopped device lets fail", severity: "warning" },
    (_, deployment) => findFailingLevels(deployment),
  ),
  topologyCheck(
    { id: "no-recorder-level", describe: "a topology without a recorder", severity: "warning" },
    findUnrecorded,
  ),
  topologyCheck(
    { id: "reboot-action", describe: "pcmk_reboot_action beside a recorder", severity: "warning" },
    (_, deployment) => findRebootActions(deployment),
  ),
  {
    ...withoutOn,
    run: async (facts) => ({ ...(await withoutOn.run(facts)), unchecked: (await facts.agentActions()).unread }),
  },
];
