/**
 * `fencepost gluster status|health`: what gluster says of itself, and what that means.
 * Output: text, one JSON object, or Prometheus text; the exit code of `health` is the verdict.
 * Errors: OpsError usage, missing-tool, timeout, failed, bad-output where gluster gave no answer at all.
 */
import { OpsError, reasonOf } from "../../../core/errors.ts";
import { escapeControl, showNumber } from "../../../core/text.ts";
import { type Capacity, capacityOf, readCapacity, showBytes } from "../capacity.ts";
import { type Health, healthOf, type VolumeHealth, type VolumeState } from "../health.ts";
import { renderMetrics } from "../metrics.ts";
import { checkVolumeName, type Pool, readPool, type Volume } from "../state.ts";
import { answer, type Call, type Command } from "./command.ts";

const EXITS = { up: 0, degraded: 1, partial: 107, down: 107, unknown: 76 } as const satisfies Record<
  VolumeState,
  number
>;
const WORST: readonly VolumeState[] = ["down", "partial", "unknown", "degraded", "up"];
const WHICH = {
  volume: { describe: "this volume only", type: "string", requiresArg: true },
  match: {
    describe: "volumes whose name this pattern (a regular expression) finds",
    type: "string",
    requiresArg: true,
  },
} as const;

/** By volume; `unknown` where gluster gave no number. */
type Capacities = ReadonlyMap<string, Capacity | "unknown">;

export const STATUS: Command = {
  describe: "peers, volumes and bricks, as gluster has them",
  usage: "",
  takes: [0, 0],
  options: WHICH,
  changes: false,
  examples: [["--json", "for programs"]],
  exits: "0 it could be read",
  run: async (call) => {
    const { pool, health, capacities } = await readWanted(call);
    await answer(call, healthRecord(health, pool, capacities), statusLines(health, pool));
    return 0;
  },
};

export const HEALTH: Command = {
  describe: "is every volume whole? A verdict for each, with what is wrong",
  usage: "",
  takes: [0, 0],
  options: {
    ...WHICH,
    metrics: { describe: "Prometheus text, for the textfile collector", type: "boolean", conflicts: "json" },
  },
  changes: false,
  examples: [
    ["--json", "for programs"],
    ["--match '^team-'", "some of the volumes"],
    ["--metrics >/var/lib/node_exporter/gluster.prom", "for Prometheus"],
  ],
  exits:
    "0 whole · 1 degraded or healing · 107 files are not served, or split-brain · 76 unknown: it could not be read",
  run: async (call) => {
    const { pool, health, capacities } = await readWanted(call);
    if (call.args.metrics) await call.context.out(renderMetrics(health, pool, capacities));
    else await answer(call, healthRecord(health, pool, capacities), healthLines(health, capacities));
    return exitOf(health);
  },
};

async function readWanted({ host, args, called }: Call) {
  const wanted = filterOf(args, called);
  const all = await readPool(host, wanted);
  // One after the other: glusterd refuses a second question about a volume while it answers one.
  const spaces = await readCapacity(host).catch((error: unknown) => reasonOf(error));
  const pool = { ...all, volumes: all.volumes.filter(wanted) };
  if (pool.volumes.length === 0 && (args.volume ?? args.match) !== undefined) {
    throw new OpsError("usage", `${called}: no volume ${escapeControl(String(args.volume ?? args.match))}`, {
      hint: "gluster volume list",
    });
  }
  const capacities: Capacities = new Map(
    pool.volumes.map((volume) => [volume.name, typeof spaces === "string" ? "unknown" : capacityOf(volume, spaces)]),
  );
  const health = healthOf(pool, typeof spaces === "string" ? undefined : spaces);
  return { pool, health, capacities };
}

function filterOf(args: Call["args"], called: string): (volume: Volume) => boolean {
  const name = args.volume === undefined ? undefined : checkVolumeName(String(args.volume));
  if (args.match === undefined) return (volume) => name === undefined || volume.name === name;
  try {
    const pattern = new RegExp(String(args.match));
    return (volume) => pattern.test(volume.name) && (name === undefined || volume.name === name);
  } catch (error) {
    throw new OpsError("usage", `${called}: --match: ${escapeControl(reasonOf(error))}`, { hint: `${called} --help` });
  }
}

const verdictOf = ({ volumes, findings }: Health): VolumeState => {
  const worst = WORST.find((state) => volumes.some((volume) => volume.state === state)) ?? "up";
  return worst === "up" && findings.length > 0 ? "degraded" : worst;
};
const exitOf = (health: Health): number =>
  health.volumes.some(({ splitBrain }) => typeof splitBrain === "number" && splitBrain > 0)
    ? EXITS.partial
    : EXITS[verdictOf(health)];

const show = (count: number | "unknown" | "none"): string => (typeof count === "number" ? showNumber(count) : count);
const showRoom = (room: Capacity | "unknown" | undefined): string =>
  room === undefined || room === "unknown"
    ? "free unknown"
    : `free ${showBytes(room.freeBytes)} of ${showBytes(room.sizeBytes)}`;

function healthLines({ quorum, findings, volumes }: Health, capacities: Capacities): string[] {
  const lines = [`peers: ${quorum.connected} of ${quorum.of} connected${quorum.hasQuorum ? "" : ", NO QUORUM"}`];
  lines.push(...findings.map((finding) => `  ${finding}`));
  for (const one of volumes) {
    const { name } = one.volume;
    const up = one.bricks.filter(({ online }) => online === true).length;
    lines.push(
      `volume ${name}: ${one.state.toUpperCase()}  bricks ${up}/${one.bricks.length}  to heal ${show(one.pending)}  split-brain ${show(one.splitBrain)}  ${showRoom(capacities.get(name))}`,
      ...one.findings.map((finding) => `  ${finding}`),
    );
  }
  return volumes.length === 0 ? [...lines, "no volumes"] : lines;
}

function statusLines({ volumes }: Health, { peers }: Pool): string[] {
  const lines = peers.map(
    ({ hostnames, connected, state, isLocal }) =>
      `peer ${isLocal ? "localhost (this node)" : hostnames.join(", ")}: ${connected ? "connected" : "not connected"}, ${state}`,
  );
  for (const { volume, bricks } of volumes) {
    const shape = volume.disperse > 0 ? `dispersed ${volume.disperse}` : `replica ${volume.replica}`;
    lines.push(
      `volume ${volume.name}: ${volume.typeWord}, ${volume.isStarted ? "started" : "stopped"}, ${volume.bricks.length} bricks, ${shape}${volume.arbiter > 0 ? `, arbiter ${volume.arbiter}` : ""}`,
    );
    for (const { name, online, isArbiter } of bricks)
      lines.push(
        `  ${online === true ? "up     " : online === false ? "down   " : "unknown"}  ${name}${isArbiter ? "  (arbiter)" : ""}`,
      );
  }
  return lines;
}

const healthRecord = (health: Health, { peers }: Pool, capacities: Capacities) => ({
  state: verdictOf(health),
  peers: {
    connected: health.quorum.connected,
    of: health.quorum.of,
    quorum: health.quorum.hasQuorum,
    list: peers.map(({ uuid, hostnames, connected, state, isLocal }) => ({
      uuid,
      hostnames,
      connected,
      state,
      local: isLocal,
    })),
  },
  findings: health.findings,
  volumes: health.volumes.map((one: VolumeHealth) => ({
    name: one.volume.name,
    type: one.volume.typeWord,
    started: one.volume.isStarted,
    replica: one.volume.replica,
    arbiter: one.volume.arbiter,
    state: one.state,
    entries_to_heal: typeof one.pending === "number" ? one.pending : null,
    entries_in_split_brain: typeof one.splitBrain === "number" ? one.splitBrain : null,
    heals: one.pending !== "none",
    bricks: one.bricks.map(({ name, online, isArbiter }) => ({
      name,
      online: online === "unknown" ? null : online,
      arbiter: isArbiter,
    })),
    findings: one.findings,
    ...roomRecord(capacities.get(one.volume.name)),
  })),
});
const roomRecord = (room: Capacity | "unknown" | undefined) => {
  const told = room === undefined || room === "unknown" ? undefined : room;
  return { size_bytes: told?.sizeBytes ?? null, free_bytes: told?.freeBytes ?? null };
};
