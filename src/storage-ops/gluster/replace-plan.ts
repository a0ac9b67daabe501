/**
 * Another brick in a brick's place, and the same place after its disk was changed: behind the heal gate, healed afterwards.
 * Input:  a Pool, a brick, the new place as found; what the other copies owe one another where the old brick is dead.
 * Output: Plans. Errors: OpsError unsafe with every reason against it, usage for names that are none.
 * Source: `replace-brick … commit force` is the only form gluster has; reset-brick: glusterd-replace-brick.c; measured: commit
 *         without force takes an empty place, and a peer that is dead does not hold it up while there is quorum.
 */
import { OpsError } from "../../core/errors.ts";
import type { Plan, Step } from "../../core/plan.ts";
import type { BrickSpace } from "./capacity.ts";
import { bytesToCopy, explainReplacement } from "./explain.ts";
import { backupStep, POOL_OBJECT, probeStep, refuse, topology } from "./plan.ts";
import { reasonsAgainstSite, type Site } from "./site.ts";
import {
  type Brick,
  findPeer,
  GLUSTER_TIMEOUT_MS,
  glusterArgv,
  type Pool,
  replicaSets,
  serverQuorum,
  type Volume,
} from "./state.ts";
import { absentIn } from "./views.ts";

/** What the other copies say of one another where the old brick is dead. */
export type Owed = { reasons: readonly string[]; warnings: readonly string[] };

export function setOf(volume: Volume, name: string): { set: Brick[]; brick: Brick } {
  for (const set of replicaSets(volume)) {
    const brick = set.find((one) => one.name === name);
    if (brick) return { set, brick };
  }
  throw new OpsError(
    "usage",
    `volume ${volume.name}: no brick ${name}; it has ${volume.bricks.map((brick) => brick.name).join(", ")}`,
    { hint: `fencepost gluster status --volume ${volume.name}` },
  );
}

/**
 * Why a brick's data must not be given up now. `owed` is asked where the brick is down and given up as dead; `ifDead`: what
 * there is to do about one that is.
 */
export function reasonsAgainstGivingUp(
  pool: Pool,
  volume: Volume,
  name: string,
  owed: Owed | undefined,
  ifDead = "say --dead",
): string[] {
  const { set } = setOf(volume, name);
  const others = set.filter((one) => one.name !== name);
  const reasons: string[] = [];
  const quorum = serverQuorum(pool.peers);
  if (!quorum.hasQuorum) reasons.push(`no quorum: ${quorum.connected} of ${quorum.of} peers are connected`);
  if (!volume.isStarted) return [...reasons, "the volume is stopped"];
  if (volume.disperse > 0) return [...reasons, "a dispersed volume: not judged by this program"];
  if (others.every(({ isArbiter }) => isArbiter)) return [...reasons, "no other brick has a copy of its files"];
  const status = pool.status.get(volume.name);
  for (const task of status?.tasks ?? [])
    if (/remove/i.test(task.type) || !/^(completed|stopped|failed)$/i.test(task.status))
      reasons.push(`${task.type} is ${task.status}`);
  for (const brick of others) {
    const online = status?.bricksOnline.get(brick.name);
    if (online !== true)
      reasons.push(
        `another copy, ${brick.name}, is ${online === false ? "down" : "not told of: its state is unknown"}`,
      );
  }
  const isUp = status?.bricksOnline.get(name) === true;
  if (!isUp && owed === undefined)
    reasons.push(`${name} is not up: what only it holds cannot be known; if it is dead for good, ${ifDead}`);
  const heal = pool.heal.get(volume.name);
  if (heal === undefined || typeof heal === "string")
    return [...reasons, `heal info could not be read: ${heal ?? "not asked"}`];
  for (const { name: one } of isUp ? set : others) {
    const told = heal.find(({ brick }) => brick === one);
    if (!told?.connected || told.pending === "unknown" || told.splitBrain === "unknown") {
      reasons.push(`heal info gives no number for brick ${one}${told ? `: ${told.detail}` : ""}`);
      continue;
    }
    if (told.splitBrain > 0) reasons.push(`brick ${one}: ${told.splitBrain} entries in split-brain`);
    // For a dead brick the others have entries by right; what is between them is in `owed`.
    if (isUp && told.pending > 0)
      reasons.push(`brick ${one}: ${told.pending} entries that other copies still need from it`);
  }
  return [...reasons, ...(isUp ? [] : (owed?.reasons ?? []))];
}

export type ReplaceRequest = {
  volume: Volume;
  from: string;
  site: Site;
  dead: boolean;
  owed: Owed | undefined;
  backupFile: string;
  spaces: ReadonlyMap<string, BrickSpace>;
};

/** The new place, and nobody's copy beside another one. */
export function reasonsAgainstPlace(pool: Pool, volume: Volume, from: string, site: Site): string[] {
  const { set } = setOf(volume, from);
  const reasons = reasonsAgainstSite(site);
  const peer = findPeer(pool.peers, site.host);
  const beside = set.find((one) => one.name !== from && (one.host === site.host || one.hostUuid === peer?.uuid));
  if (beside) reasons.push(`${site.host} already holds ${beside.name}: two copies on one node are lost together`);
  return reasons;
}

export function planReplace(pool: Pool, { volume, from, site, dead, owed, backupFile, spaces }: ReplaceRequest): Plan {
  const { name } = volume;
  const { set, brick } = setOf(volume, from);
  const to = `${site.host}:${site.path}`;
  if (to === from)
    throw new OpsError("usage", `volume ${name}: ${from}: the same place`, {
      hint: `fencepost gluster reset-brick ${name} ${from} start`,
    });
  refuse(
    `volume ${name}: cannot replace ${from}`,
    [...reasonsAgainstGivingUp(pool, volume, from, owed), ...reasonsAgainstPlace(pool, volume, from, site)],
    `fencepost gluster heal ${name} --info`,
  );
  const status = pool.status.get(name);
  const isOnline = ({ name: one }: Brick): boolean => status?.bricksOnline.get(one) === true;
  const peer = findPeer(pool.peers, site.host);
  const after = volume.bricks.map((one) =>
    one === brick ? { ...one, name: to, host: site.host, path: site.path } : one,
  );
  return {
    version: 1,
    operation: "gluster.replace-brick",
    title: `replace ${from} with ${to} in volume ${name}`,
    object: POOL_OBJECT,
    warnings:
      dead && !isOnline(brick)
        ? [`${from} is given up as dead: what only it holds is lost`, ...(owed?.warnings ?? [])]
        : [],
    picture: [
      `now   ${topology(volume)}`,
      `then  ${topology({ ...volume, bricks: after })}`,
      ...explainReplacement({
        set,
        up: set.filter(isOnline).length,
        isUp: isOnline(brick),
        toCopy: bytesToCopy(set, spaces),
      }),
    ],
    steps: [
      backupStep(backupFile),
      ...(peer ? [] : [probeStep(site.host, pool.peers.length)]),
      {
        id: "replace-brick",
        kind: "replace-brick",
        title: `put ${to} in the place of ${from}`,
        argv: glusterArgv("volume", "replace-brick", name, from, to, "commit", "force"),
        timeoutMs: GLUSTER_TIMEOUT_MS,
        destructive: true,
        waits: false,
        doneWhen: "volume info lists the new brick and not the old one",
        requires: "every other copy up, nothing to heal among them, no split-brain, quorum, the new place unchanged",
        undo: {
          impossible: `${from} is stale from now on: its files stay on its node; replace ${to} with an empty place to go back`,
        },
        data: { volume: name, from, to, dead, fromUuid: brick.hostUuid, set: set.map((one) => one.name) },
        after: [`✓ Brick ${to} in the place of ${from}`],
      },
      healStep(
        pool,
        volume,
        to,
        set.filter((one) => one !== brick).map((one) => one.name),
      ),
    ],
  };
}

const healStep = (pool: Pool, { name }: Volume, brick: string, before: readonly string[]): Step => ({
  id: "heal",
  kind: "heal",
  title: `heal volume ${name} onto ${brick}`,
  // A crawl of everything: the index of what is to be healed may lack an entry.
  argv: glusterArgv("volume", "heal", name, "full"),
  timeoutMs: GLUSTER_TIMEOUT_MS,
  destructive: false,
  waits: true,
  repeats: true,
  doneWhen:
    "heal info has no entry on any brick, every brick answers, no crawl is at work, and no file on any brick blames another copy (trusted.afr)",
  data: { volume: name, bricks: [brick], before: [...before], absent: absentIn(pool) },
  before: [`ℹ Healing volume ${name} onto ${brick}...`],
  after: [`✓ Volume ${name} healed`],
});

/** Why a brick must not be taken off for a new disk. */
export const reasonsAgainstTakingOff = (pool: Pool, volume: Volume, name: string): string[] =>
  reasonsAgainstGivingUp(
    pool,
    volume,
    name,
    undefined,
    `fencepost gluster reset-brick ${volume.name} ${name} commit once its new disk is mounted, or replace-brick with --dead`,
  );

export function planResetStart(pool: Pool, volume: Volume, name: string, backupFile: string): Plan {
  const { set } = setOf(volume, name);
  const reasons = reasonsAgainstTakingOff(pool, volume, name);
  refuse(`volume ${volume.name}: cannot take ${name} off`, reasons, `fencepost gluster heal ${volume.name} --info`);
  const up = set.length;
  return {
    version: 1,
    operation: "gluster.reset-brick-start",
    title: `take ${name} of volume ${volume.name} off, for a new disk`,
    object: POOL_OBJECT,
    warnings: [],
    picture: explainReplacement({ set, up, isUp: true, toCopy: "unknown" }).slice(0, 1),
    steps: [
      backupStep(backupFile),
      {
        id: "reset-start",
        kind: "reset-start",
        title: `stop brick ${name}`,
        argv: glusterArgv("volume", "reset-brick", volume.name, name, "start"),
        timeoutMs: GLUSTER_TIMEOUT_MS,
        destructive: true,
        waits: false,
        doneWhen: "volume status shows the brick down",
        requires: "every other copy up, nothing to heal on any, no split-brain, quorum, nobody else at work",
        undo: { argv: glusterArgv("volume", "start", volume.name, "force"), timeoutMs: GLUSTER_TIMEOUT_MS },
        data: { volume: volume.name, brick: name },
        after: [
          `✓ Brick ${name} is off. Change the disk, mount it, then:`,
          `  fencepost gluster reset-brick ${volume.name} ${name} commit`,
          `  (or, with the old disk still there: gluster volume start ${volume.name} force)`,
        ],
      },
    ],
  };
}

/** Why a brick must not come back on that place. */
export function reasonsAgainstCommit(pool: Pool, volume: Volume, name: string, site: Site, owed: Owed): string[] {
  const isUp = pool.status.get(volume.name)?.bricksOnline.get(name) === true;
  return [
    ...(isUp ? [`${name} is up: take it off first`] : []),
    ...reasonsAgainstGivingUp(pool, volume, name, owed),
    ...reasonsAgainstSite(site),
  ];
}

export function planResetCommit(
  pool: Pool,
  {
    volume,
    name,
    site,
    owed,
    backupFile,
    spaces,
  }: {
    volume: Volume;
    name: string;
    site: Site;
    owed: Owed;
    backupFile: string;
    spaces: ReadonlyMap<string, BrickSpace>;
  },
): Plan {
  const { set, brick } = setOf(volume, name);
  refuse(
    `volume ${volume.name}: cannot bring ${name} back`,
    reasonsAgainstCommit(pool, volume, name, site, owed),
    `fencepost gluster reset-brick ${volume.name} ${name} start`,
  );
  const others = set.filter((one) => one !== brick);
  return {
    version: 1,
    operation: "gluster.reset-brick-commit",
    title: `bring ${name} of volume ${volume.name} back on an empty disk`,
    object: POOL_OBJECT,
    warnings: [],
    picture: explainReplacement({ set, up: others.length, isUp: false, toCopy: bytesToCopy(set, spaces) }),
    steps: [
      backupStep(backupFile),
      {
        id: "reset-commit",
        kind: "reset-commit",
        title: `start brick ${name} on its empty place`,
        argv: glusterArgv("volume", "reset-brick", volume.name, name, name, "commit"),
        timeoutMs: GLUSTER_TIMEOUT_MS,
        destructive: true,
        waits: true,
        doneWhen: "volume status shows the brick up",
        requires: "the brick down and its place empty, every other copy up, nothing to heal among them, quorum",
        undo: { impossible: "the brick is being filled; take it off again with reset-brick start" },
        data: { volume: volume.name, brick: name },
      },
      healStep(
        pool,
        volume,
        name,
        others.map((one) => one.name),
      ),
    ],
  };
}
