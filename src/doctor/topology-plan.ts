/**
 * The topology as it should be, and the commands that lead there.
 * Input:  the CIB; what is to be changed, by target. Output: Mend.
 * pcs changes one level at a time. crmsh has the whole topology as one object, so every finding about the topology shows
 * the same command, which mends all of them.
 * Source: pcs 0.11.5 (stonith level), crmsh 4.4.0 (ui_configure.py, cibconfig.py: CibFencingOrder); tests run both.
 */
import { type Cib, type FenceDevice, fenceDevicesOf } from "../discovery/cib.ts";
import {
  type Entry,
  type Kind,
  type Level,
  mayFence,
  objectionTo,
  onlyRecords,
  RECORDER_TYPES,
  topologyOf,
  WATCHDOG_ID,
} from "../fence/guard.ts";
import { crmLines, type Mend, shellLine, shellWord } from "./finding.ts";

/** Stands in a command for what nobody but the administrator knows. */
export const POWER_DEVICE = "POWER_DEVICE";

const isRecorder = (device: FenceDevice): boolean => onlyRecords(device, RECORDER_TYPES);

/** What names the targets of an entry, in the words of each tool. */
type Target = { key: string; kind: Kind };

/** The attribute of a target such as `rack=1` ends at the first equals sign. */
const pcsTarget = ({ key, kind }: Target): string =>
  kind === "name" ? key : kind === "pattern" ? `regexp%${key}` : `attrib%${key}`;

const crmTarget = ({ key, kind }: Target): string =>
  kind === "name" ? `${key}:` : kind === "pattern" ? `pattern:${key}` : `attr:${key}`;

/** For messages. */
export const showTarget = ({ key, kind }: Target): string => (kind === "name" ? key : `${kind} ${key}`);

/** The entry's own kind; where elements of several kinds share a key, the first. */
export const targetOf = ({ key, kinds }: Entry): Target => ({ key, kind: [...kinds.keys()][0] ?? "name" });

export type Topology = {
  cib: Cib;
  entries: readonly (Target & { levels: readonly Level[]; ambiguous?: string })[];
  devices: ReadonlyMap<string, FenceDevice>;
  recorders: readonly FenceDevice[];
  isRecorder: (id: string) => boolean;
  /** The fencer knows it without a definition, or it has one. */
  exists: (id: string) => boolean;
  /** It proves that the target is off, or would once it is started. */
  fences: (id: string) => boolean;
};

export function readTopology(cib: Cib): Topology {
  const devices = new Map(fenceDevicesOf(cib).map((device) => [device.id, device]));
  const recorderIn = (id: string): boolean => {
    const device = devices.get(id);
    return device !== undefined && isRecorder(device);
  };
  return {
    cib,
    entries: [...topologyOf(cib).values()].map((entry) => ({
      ...targetOf(entry),
      levels: entry.levels,
      ...(entry.ambiguous === undefined ? {} : { ambiguous: entry.ambiguous }),
    })),
    devices,
    recorders: [...devices.values()].filter(isRecorder),
    isRecorder: recorderIn,
    exists: (id) => devices.has(id) || id === WATCHDOG_ID,
    fences: (id) =>
      !recorderIn(id) && (devices.get(id)?.stopped === true || objectionTo(id, { cib, devices }) === undefined),
  };
}

/** Devices that say of themselves that they can switch this node, by its name. */
export const powerDevicesFor = ({ devices, fences }: Topology, node: string): string[] =>
  [...devices.values()]
    .filter(({ id, attributes }) => fences(id) && namesHosts(attributes) && mayFence({ attributes }, node))
    .map(({ id }) => id);

/** A device without a list is asked about any node, which is no sign that it is this one's. */
const namesHosts = ({ pcmk_host_list: list, pcmk_host_map: map }: FenceDevice["attributes"]): boolean =>
  list !== undefined || map !== undefined;

/**
 * The levels of one target put right: each device once, recorders last, no level that only a recorder holds; a recorder
 * that loses its level goes behind the power devices of the others.
 */
function mendedLevels(topology: Topology, target: Target, levels: readonly Level[]): Level[] {
  const recorders = [...new Set(levels.flatMap(({ devices }) => devices.filter(topology.isRecorder)))];
  const kept = levels.map(({ index, devices }) => {
    const unique = [...new Set(devices)].filter(topology.exists);
    const power = unique.filter((id) => !topology.isRecorder(id));
    return { index, power, recording: unique.filter(topology.isRecorder) };
  });
  const fencing = kept.filter(({ power }) => power.some(topology.fences));
  const strays = kept.some(({ power, recording }) => recording.length > 0 && !power.some(topology.fences));
  if (!strays) return kept.map(({ index, power, recording }) => ({ index, devices: [...power, ...recording] }));
  if (fencing.length === 0) {
    const found = target.kind === "name" ? powerDevicesFor(topology, target.key) : [];
    const power = found.length > 0 ? found : [POWER_DEVICE];
    return [{ index: 1, devices: [...power, ...recorders] }];
  }
  return fencing.map(({ index, power }) => ({ index, devices: [...power, ...recorders] }));
}

export type Plan = {
  /** Commands for one target, whatever else is wrong. */
  mendFor: (target: Target) => Mend;
};

export type Wishes = {
  /** Nodes that get a level of their own: their power device and the recorder. */
  newLevels?: readonly string[];
  /** Keys of entries whose levels get a recorder. */
  withRecorder?: readonly string[];
  /** Keys of entries whose levels must do without. */
  withoutRecorder?: readonly string[];
};

export function planTopology(topology: Topology, wishes: Wishes): Plan {
  const { newLevels = [], withRecorder = [], withoutRecorder = [] } = wishes;
  const recordersFor = ({ key, kind }: Target): string[] => {
    const own = topology.recorders.filter((device) => kind !== "name" || mayFence(device, key));
    return (own.length > 0 ? own : topology.recorders).map(({ id }) => id);
  };
  const now = new Map(topology.entries.map((entry) => [entry.key, entry]));
  const wanted = new Map<string, Target & { levels: readonly Level[] }>();
  for (const entry of topology.entries) {
    const added = withRecorder.includes(entry.key) ? recordersFor(entry) : [];
    const levels = withoutRecorder.includes(entry.key)
      ? entry.levels
          .map(({ index, devices }) => ({ index, devices: devices.filter((id) => !topology.isRecorder(id)) }))
          .filter(({ devices }) => devices.length > 0)
      : mendedLevels(topology, entry, entry.levels);
    wanted.set(entry.key, {
      key: entry.key,
      kind: entry.kind,
      levels: levels.map(({ index, devices }) => ({ index, devices: [...devices, ...added] })),
    });
  }
  for (const node of newLevels) {
    const power = powerDevicesFor(topology, node);
    const target = { key: node, kind: "name" } as const;
    const devices = [...(power.length > 0 ? power : [POWER_DEVICE]), ...recordersFor(target)];
    wanted.set(node, { ...target, levels: [{ index: 1, devices }] });
  }

  const pcsFor = (target: Target): string[] => {
    const entry = now.get(target.key);
    const before = entry?.levels ?? [];
    const after = wanted.get(target.key)?.levels ?? [];
    const same = (a: Level, b: Level) => a.index === b.index && a.devices.join() === b.devices.join();
    const isAmbiguous = entry?.ambiguous !== undefined;
    const gone = before.filter((level) => isAmbiguous || !after.some((other) => same(level, other)));
    const added = after.filter((level) => isAmbiguous || !before.some((other) => same(level, other)));
    const name = pcsTarget(target);
    return [
      ...gone.map(({ index }) => shellLine("pcs", "stonith", "level", "remove", String(index), "target", name)),
      ...added.map(({ index, devices }) =>
        shellLine("pcs", "stonith", "level", "add", String(index), name, ...devices),
      ),
    ];
  };
  const crmWords = [...wanted.values()]
    .filter(({ levels }) => levels.length > 0)
    .flatMap((target) => [crmTarget(target), ...target.levels.map(({ devices }) => devices.join(","))]);
  const crmsh = crmLines(
    ...(topology.entries.length > 0 ? ["delete fencing_topology"] : []),
    ...(crmWords.length > 0 ? [`fencing_topology ${crmWords.map(shellWord).join(" ")}`] : []),
  );
  return { mendFor: (target) => ({ pcs: pcsFor(target), crmsh: [crmsh], shell: [] }) };
}
