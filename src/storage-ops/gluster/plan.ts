/**
 * Which commands add a node's brick to a volume, and what all plans of the pool share. Pure: state in, Plan out.
 * Errors: OpsError unsafe with every reason against it; usage where the arithmetic does not come out, with the number of
 *         bricks that would.
 * Source: `gluster volume help`; glusterd-op-sm and glusterd-brick-ops of glusterfs 10 for what it refuses.
 */
import { OpsError } from "../../core/errors.ts";
import type { Plan, Step } from "../../core/plan.ts";
import { counted } from "../../core/text.ts";
import type { BrickSpace } from "./capacity.ts";
import { explainAddition } from "./explain.ts";
import { reasonsAgainstChange } from "./safety.ts";
import { reasonsAgainstSite, type Site } from "./site.ts";
import {
  type Brick,
  bricksOf,
  findPeer,
  GLUSTER_TIMEOUT_MS,
  glusterArgv,
  type Pool,
  replicaSets,
  type Volume,
} from "./state.ts";

export const GROW = ["replica", "distribute", "arbiter"] as const;
export type Grow = (typeof GROW)[number];

export function refuse(what: string, reasons: readonly string[], hint: string): void {
  if (reasons.length > 0) throw new OpsError("unsafe", `${what}: ${reasons.join("; ")}`, { hint });
}

/** What every change of a pool locks. */
export const POOL_OBJECT = "gluster-pool";

/** glusterd's whole configuration, beside the journal, before anything is changed. */
export function backupStep(file: string): Step {
  return {
    id: "backup",
    kind: "backup",
    title: `save glusterd's configuration to ${file}`,
    argv: ["tar", "-C", "/var/lib", "-czf", file, "glusterd"],
    timeoutMs: 120_000,
    destructive: false,
    waits: false,
    doneWhen: "the archive can be read and holds glusterd.info",
    data: { file },
  };
}

export const topology = ({
  name,
  bricks,
  replica,
  arbiter,
  disperse,
}: Pick<Volume, "name" | "bricks" | "replica" | "arbiter" | "disperse">): string => {
  const sets = replicaSets({ bricks, replica, disperse } as Volume);
  const shape = `${sets.length} × ${disperse > 0 ? `dispersed ${disperse}` : replica}${arbiter > 0 ? ` (${arbiter} of them arbiter)` : ""}`;
  return `${name}: ${shape}: ${sets.map((set) => `[${set.map((brick) => brick.name).join(" ")}]`).join(" ")}`;
};

// ── adding ──────────────────────────────────────────────────────────────────────────────────────────────────────────

export type AddRequest = {
  volume: Volume;
  /** Where the new bricks go, in the order they are given to gluster. */
  sites: readonly Site[];
  grow?: Grow;
  backupFile: string;
  /** How full its bricks are, for the picture. */
  spaces?: ReadonlyMap<string, BrickSpace>;
};

/** The words between the volume's name and its new bricks, and what the volume then is. */
function growth(volume: Volume, bricks: number, wanted: Grow | undefined) {
  const { name, replica, arbiter, disperse, typeWord } = volume;
  const sets = volume.bricks.length / replica;
  const bad = (why: string): never => {
    throw new OpsError("usage", `volume ${name}: ${why}`, { hint: "fencepost node add --help" });
  };
  if (disperse > 0) bad(`${typeWord}: this program does not grow dispersed volumes`);
  const grow = wanted ?? (sets === 1 && arbiter === 0 ? "replica" : "distribute");
  const given = `${counted(bricks, "brick")} given`;
  switch (grow) {
    case "arbiter":
      if (replica !== 2 || arbiter > 0) bad(`an arbiter joins a replica 2 volume; this is replica ${replica}`);
      if (bricks !== sets) bad(`you need ${counted(sets, "brick")}, an arbiter for each replica set; ${given}`);
      return { grow, words: ["replica", "3", "arbiter", "1"], replica: 3, arbiter: 1 };
    case "replica": {
      if (arbiter > 0) bad("gluster does not change the replica count of a volume with arbiters: use --as distribute");
      if (bricks % sets !== 0) {
        bad(`you need ${counted(sets, "brick")}, one more copy for each of ${counted(sets, "replica set")}; ${given}`);
      }
      const count = replica + bricks / sets;
      return { grow, words: ["replica", String(count)], replica: count, arbiter };
    }
    case "distribute":
      if (bricks % replica !== 0) {
        bad(`you need ${counted(replica, "brick")}, a replica set of ${replica} more; ${given}`);
      }
      return { grow, words: [], replica, arbiter };
    default:
      return grow satisfies never;
  }
}

/** Why bricks must not be added now: for the plan, and again right before the step. */
export function reasonsAgainstAdd(pool: Pool, volume: Volume, grow: Grow): string[] {
  const reasons = reasonsAgainstChange(pool, volume);
  if (
    grow !== "distribute" &&
    /^(off|no|false|disable|0)$/i.test(volume.options.get("cluster.self-heal-daemon") ?? "on")
  ) {
    reasons.push("cluster.self-heal-daemon is off: nothing would fill the new copy");
  }
  if (volume.snapshots > 0) reasons.push(`it has ${counted(volume.snapshots, "snapshot")}`);
  return reasons;
}

export function planAdd(pool: Pool, request: AddRequest): Plan {
  const { volume, sites, grow: wanted, backupFile, spaces } = request;
  const { name } = volume;
  const hosts = sites.map(({ host }) => host);
  const what = `volume ${name}: cannot add ${hosts.join(", ")}`;
  const next = growth(volume, sites.length, wanted);
  const bricks = sites.map(({ host, path }) => `${host}:${path}`);
  const reasons = reasonsAgainstAdd(pool, volume, next.grow);
  for (const site of sites) reasons.push(...reasonsAgainstSite(site));
  const sets = replicaSets(volume);
  for (const [at, { host }] of sites.entries()) {
    const peer = findPeer(pool.peers, host);
    const own = bricksOf(volume, host, peer);
    const shared = next.grow === "distribute" ? [] : own.filter((brick) => sets[at % sets.length]?.includes(brick));
    if (shared[0]) reasons.push(`${host} already holds ${shared[0].name}: two copies on one node are lost together`);
  }
  refuse(what, reasons, `fencepost gluster health --volume ${name}`);

  const strangers = hosts.filter((host) => !findPeer(pool.peers, host));
  const others = pool.peers.filter(({ isLocal }) => !isLocal).length;
  const warnings: string[] = [];
  if (next.replica === 2 && next.grow === "replica")
    warnings.push("replica 2 is prone to split-brain: add a third copy or an arbiter");
  else if (next.replica % 2 === 0 && next.grow === "replica")
    warnings.push(`replica ${next.replica} tolerates no more failed nodes than replica ${next.replica - 1}`);
  const heal = pool.heal.get(name);
  const pending = typeof heal === "string" || heal === undefined ? [] : heal.filter(({ pending: left }) => left !== 0);
  if (pending.length > 0) warnings.push("there are entries to heal already; the new copy waits for them too");

  const argv = glusterArgv("volume", "add-brick", name, ...next.words, ...bricks);
  const before = volume.bricks.map((brick) => brick.name);
  const data = { volume: name, bricks, before, replica: volume.replica, grow: next.grow };
  const steps: Step[] = [backupStep(backupFile), ...strangers.map((host, at) => probeStep(host, others + at + 1))];
  steps.push({
    id: "add-brick",
    kind: "add-brick",
    title: `add ${bricks.join(" ")} to volume ${name}`,
    argv,
    timeoutMs: GLUSTER_TIMEOUT_MS,
    destructive: false,
    waits: false,
    doneWhen: "volume info lists the brick",
    requires:
      "every brick up, every peer connected, quorum, no rebalance or removal at work, the brick's place unchanged",
    ...(next.grow === "distribute"
      ? { undo: { impossible: "data may have moved onto it: fencepost node remove moves it back" } }
      : {
          undo: {
            argv: glusterArgv("volume", "remove-brick", name, "replica", String(volume.replica), ...bricks, "force"),
            timeoutMs: GLUSTER_TIMEOUT_MS,
          },
        }),
    data,
    before: ["ℹ Add brick to volume:", `  ${argv.join(" ")}`],
    after: bricks.map((brick) => `✓ Brick ${brick} added to volume ${name}`),
  });
  steps.push(
    next.grow === "distribute"
      ? {
          id: "rebalance",
          kind: "rebalance",
          title: `rebalance volume ${name}`,
          argv: glusterArgv("volume", "rebalance", name, "start"),
          timeoutMs: GLUSTER_TIMEOUT_MS,
          destructive: false,
          waits: true,
          repeats: true,
          doneWhen: "rebalance status is completed on every node, without failures",
          data: { ...data, previousTask: taskOf(pool, name) },
          before: [`ℹ Rebalancing volume ${name}...`],
          after: [`✓ Volume ${name} rebalanced`],
        }
      : {
          id: "heal",
          kind: "heal",
          title: `heal volume ${name} onto the new ${sites.length > 1 ? "bricks" : "brick"}`,
          // A crawl of everything: the index of what is to be healed may lack an entry.
          argv: glusterArgv("volume", "heal", name, "full"),
          timeoutMs: GLUSTER_TIMEOUT_MS,
          destructive: false,
          waits: true,
          repeats: true,
          doneWhen:
            "heal info has no entry on any brick, every brick answers, no crawl is at work, and no file on any brick blames another copy (trusted.afr)",
          data,
          before: [`ℹ Healing volume ${name} onto the new brick...`],
          after: [`✓ Volume ${name} healed`],
        },
  );
  const after: Volume = {
    ...volume,
    replica: next.replica,
    arbiter: next.arbiter,
    bricks: arrange(sets, sites, next.grow),
  };
  return {
    version: 1,
    operation: "gluster.node-add",
    title: `add ${hosts.join(", ")} to volume ${name}`,
    object: POOL_OBJECT,
    warnings,
    picture: [
      `now   ${topology(volume)}`,
      `then  ${topology(after)}`,
      ...explainAddition({
        now: volume,
        next: after,
        grow: next.grow,
        added: sites.length,
        ...(spaces ? { spaces } : {}),
      }),
    ],
    steps,
  };
}

/** As gluster does: new copies join the sets in turn, new sets come last. */
function arrange(sets: readonly (readonly Brick[])[], sites: readonly Site[], grow: Grow): Brick[] {
  const added = sites.map(
    ({ host, path }): Brick => ({ name: `${host}:${path}`, host, path, hostUuid: "", isArbiter: false }),
  );
  if (grow === "distribute") return [...sets.flat(), ...added];
  const each = added.length / sets.length;
  return sets.flatMap((set, at) => [...set, ...added.slice(at * each, (at + 1) * each)]);
}

const taskOf = (pool: Pool, volume: string): string => pool.status.get(volume)?.tasks[0]?.id ?? "";

/** `peers`: how many there are then, this node not counted. */
export function probeStep(host: string, peers: number): Step {
  return {
    id: `peer-probe-${host}`,
    kind: "peer-probe",
    title: `add ${host} to the pool`,
    argv: glusterArgv("peer", "probe", host),
    timeoutMs: GLUSTER_TIMEOUT_MS,
    destructive: false,
    waits: false,
    doneWhen: "pool list shows the peer connected and in the cluster",
    undo: { argv: glusterArgv("peer", "detach", host), timeoutMs: GLUSTER_TIMEOUT_MS },
    data: { host },
    after: [`✓ Peer ${host} added successfully`, "ℹ Current peer status:", `  Number of Peers: ${peers}`],
  };
}
