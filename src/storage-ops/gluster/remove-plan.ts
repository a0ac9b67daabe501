/**
 * Which commands take a node out of the pool, its bricks out of their volumes first. Pure: state in, Plan out.
 * Errors: OpsError unsafe with every reason against it; usage where the arithmetic does not come out, with the number of
 *         bricks that would.
 * Source: `gluster volume help`; glusterd-brick-ops of glusterfs 10 for what it refuses.
 */
import { OpsError } from "../../core/errors.ts";
import type { Plan, Step } from "../../core/plan.ts";
import { counted } from "../../core/text.ts";
import type { BrickSpace } from "./capacity.ts";
import { explainRemoval } from "./explain.ts";
import { backupStep, POOL_OBJECT, refuse, topology } from "./plan.ts";
import { reasonsAgainstChange, reasonsAgainstDetach, reasonsAgainstLosingCopies } from "./safety.ts";
import { leftoversArgv } from "./site.ts";
import {
  type Brick,
  findPeer,
  GLUSTER_TIMEOUT_MS,
  glusterArgv,
  heals,
  type Peer,
  type Pool,
  replicaSets,
  type Volume,
} from "./state.ts";

export type RemoveRequest = {
  hosts: readonly string[];
  backupFile: string;
  /** How full the bricks are, for the picture. */
  spaces?: ReadonlyMap<string, BrickSpace>;
};

type Removal = {
  volume: Volume;
  bricks: readonly Brick[];
  way: "reduce" | "migrate";
  replica: number;
  arbiter: number;
};

/** Fewer copies of everything, or whole replica sets fewer: nothing else keeps the data. */
export function removalFrom(volume: Volume, isGone: (brick: Brick) => boolean): Removal | undefined {
  const { name, replica, arbiter } = volume;
  const bricks = volume.bricks.filter(isGone);
  if (bricks.length === 0) return undefined;
  const bad = (why: string): never => {
    throw new OpsError("usage", `volume ${name}: ${why}`, { hint: "fencepost node remove --help" });
  };
  if (volume.disperse > 0) bad(`${volume.typeWord}: this program does not shrink dispersed volumes`);
  if (bricks.length === volume.bricks.length) bad("these are all of its bricks: removing them would delete the volume");
  const sets = replicaSets(volume).map((set) => ({ set, gone: set.filter(isGone) }));
  const whole = sets.filter(({ set, gone }) => gone.length === set.length);
  if (sets.every(({ set, gone }) => gone.length === 0 || gone.length === set.length)) {
    return { volume, bricks: whole.flatMap(({ set }) => set), way: "migrate", replica, arbiter };
  }
  const each = sets[0]?.gone.length ?? 0;
  if (!sets.every(({ gone }) => gone.length === each)) {
    bad(
      `${counted(bricks.length, "brick")} of ${sets.length} replica sets of ${replica} would go: you need one of each set ` +
        `(${counted(sets.length, "brick")}) for one copy less, or all ${replica} of a set`,
    );
  }
  if (arbiter > 0 && !bricks.every(({ isArbiter }) => isArbiter)) {
    bad("gluster takes no data brick out of a set with an arbiter: remove the arbiter first, or replace the brick");
  }
  return { volume, bricks, way: "reduce", replica: replica - each, arbiter: arbiter > 0 ? arbiter - each : 0 };
}

/** Why these bricks must not go now: for the plan, and again right before the step. */
export function reasonsAgainstRemoval(pool: Pool, volume: Volume): string[] {
  const reasons = [...reasonsAgainstChange(pool, volume), ...reasonsAgainstLosingCopies(pool, volume)];
  if (volume.snapshots > 0) reasons.push(`it has ${counted(volume.snapshots, "snapshot")}`);
  return reasons;
}

export function planRemove(pool: Pool, { hosts, backupFile, spaces }: RemoveRequest): Plan {
  const peers = hosts.map((host) => knownPeer(pool, host));
  const isGone = (brick: Brick): boolean => peers.some(({ uuid }) => uuid === brick.hostUuid);
  const removals = pool.volumes.flatMap((volume) => removalFrom(volume, isGone) ?? []);
  for (const { volume, bricks } of removals) {
    refuse(
      `volume ${volume.name}: cannot remove ${bricks.map(({ name }) => name).join(", ")}`,
      reasonsAgainstRemoval(pool, volume),
      heals(volume) ? `gluster volume heal ${volume.name} info summary` : `gluster volume status ${volume.name}`,
    );
  }
  const warnings: string[] = [];
  const steps: Step[] = [backupStep(backupFile)];
  const names = removals.map(({ volume }) => volume.name);
  for (const [at, removal] of removals.entries()) {
    steps.push(...removalSteps(removal, at === 0 ? names : [removal.volume.name]));
    if (removal.way === "reduce" && removal.replica === 1)
      warnings.push(`volume ${removal.volume.name}: one copy is left: the next failure loses data`);
    else if (removal.way === "reduce" && removal.replica === 2 && removal.arbiter === 0)
      warnings.push(`volume ${removal.volume.name}: replica 2 is prone to split-brain`);
  }
  const withoutBricks = {
    ...pool,
    volumes: pool.volumes.map((one) => ({ ...one, bricks: one.bricks.filter((b) => !isGone(b)) })),
  };
  for (const [at, host] of hosts.entries()) {
    refuse(`peer ${host}: cannot be detached`, reasonsAgainstDetach(withoutBricks, host), "gluster pool list");
    steps.push(detachStep(host));
    if (peers[at]?.connected === false)
      warnings.push(
        `${host} is not connected and not told: add it again, or empty its /var/lib/glusterd, once it is back`,
      );
  }
  return {
    version: 1,
    operation: "gluster.node-remove",
    title: `remove ${hosts.join(", ")} from the pool`,
    object: POOL_OBJECT,
    warnings,
    picture: removals.flatMap(({ volume, replica, arbiter, bricks, way }) => {
      const next = { ...volume, replica, arbiter, bricks: volume.bricks.filter((brick) => !bricks.includes(brick)) };
      return [
        `now   ${topology(volume)}`,
        `then  ${topology(next)}`,
        ...explainRemoval({ now: volume, next, way, gone: bricks, ...(spaces ? { spaces } : {}) }),
      ];
    }),
    steps,
  };
}

function knownPeer(pool: Pool, host: string): Peer {
  const local = pool.peers.find(({ isLocal }) => isLocal);
  const isOurs = pool.volumes.some(({ bricks }) =>
    bricks.some((brick) => brick.host === host && brick.hostUuid === local?.uuid),
  );
  if (isOurs || host === "localhost") {
    throw new OpsError("usage", `${host} is this node: a node cannot detach itself`, {
      hint: "run it on another node",
    });
  }
  const peer = findPeer(pool.peers, host);
  if (peer) return peer;
  const known = pool.peers.filter(({ isLocal }) => !isLocal).map(({ hostnames }) => hostnames[0]);
  throw new OpsError("usage", `${host}: not a peer of this pool; its peers: ${known.join(", ") || "none"}`, {
    hint: "gluster pool list",
  });
}

/** `whole`: volumes of which no copy may lack a file when it begins. */
function removalSteps({ volume, bricks, way, replica }: Removal, whole: readonly string[]): Step[] {
  const { name } = volume;
  const names = bricks.map((brick) => brick.name);
  const data = { volume: name, bricks: names, replica: volume.replica, whole };
  const removed = names.map((brick) => `✓ Brick ${brick} removed from volume ${name}`);
  const requires =
    "every brick up, nothing to heal, no file on any brick that blames another copy, no split-brain, every peer connected, quorum, nobody else at work";
  const command = (...words: string[]) => glusterArgv("volume", "remove-brick", name, ...words);
  const show = (argv: readonly string[]) => ["ℹ To remove bricks:", `  ${argv.join(" ")}`];
  if (way === "reduce") {
    const argv = command("replica", String(replica), ...names, "force");
    return [
      {
        id: `remove-brick-${name}`,
        kind: "remove-brick-force",
        title: `remove ${names.join(" ")}: volume ${name} keeps ${replica} of ${volume.replica} copies`,
        argv,
        timeoutMs: GLUSTER_TIMEOUT_MS,
        destructive: true,
        waits: false,
        doneWhen: "volume info lists the brick no more",
        requires,
        undo: { impossible: "the copy is stale from now on: empty the brick and add it with fencepost node add" },
        data,
        before: show(argv),
        after: removed,
      },
    ];
  }
  const start = command(...names, "start");
  return [
    {
      id: `remove-brick-start-${name}`,
      kind: "remove-brick-start",
      title: `move the data of ${names.join(" ")} to the other bricks of volume ${name}`,
      argv: start,
      timeoutMs: GLUSTER_TIMEOUT_MS,
      destructive: false,
      waits: true,
      doneWhen: "remove-brick status is completed on every node, nothing failed, nothing skipped",
      requires,
      undo: { argv: command(...names, "stop"), timeoutMs: GLUSTER_TIMEOUT_MS },
      data,
      before: show(start),
    },
    {
      id: `remove-brick-commit-${name}`,
      kind: "remove-brick-commit",
      title: `take ${names.join(" ")} out of volume ${name}`,
      argv: command(...names, "commit"),
      timeoutMs: GLUSTER_TIMEOUT_MS,
      destructive: true,
      waits: false,
      doneWhen: "volume info lists the brick no more",
      requires: `${requires}; the move completed on every node, nothing failed, nothing skipped`,
      undo: { impossible: "empty the brick and add it with fencepost node add" },
      data: { ...data, whole: [name] },
      after: removed,
    },
    ...bricks
      .filter(({ isArbiter }) => !isArbiter)
      .map(
        ({ name: brick, host, path }): Step => ({
          id: `brick-empty-${brick}`,
          kind: "brick-empty",
          title: `see that ${brick} holds no data file any more`,
          argv: leftoversArgv(host, path),
          timeoutMs: 600_000,
          destructive: false,
          waits: false,
          doneWhen: "find prints no file",
          data: { brick, host, path },
          after: [`✓ Brick ${brick} is empty`],
        }),
      ),
  ];
}

function detachStep(host: string): Step {
  return {
    id: `peer-detach-${host}`,
    kind: "peer-detach",
    title: `detach ${host} from the pool`,
    argv: glusterArgv("peer", "detach", host),
    timeoutMs: GLUSTER_TIMEOUT_MS,
    destructive: true,
    waits: false,
    doneWhen: "pool list shows the peer no more",
    requires: "no volume has a brick there, every other peer connected",
    undo: { argv: glusterArgv("peer", "probe", host), timeoutMs: GLUSTER_TIMEOUT_MS },
    data: { host },
    after: [`✓ Peer ${host} removed successfully`],
  };
}
