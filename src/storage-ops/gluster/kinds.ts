/**
 * The kinds of steps that change a pool: how each tells that it is done, and what must hold right before it.
 * Input:  a step's data, as a journal keeps it; the pool, read anew each time.
 * Errors: OpsError unsafe from the guards; what could not be read is `unknown` in a standing.
 */
import { OpsError } from "../../core/errors.ts";
import { failureOf } from "../../core/exec.ts";
import type { Host } from "../../core/host.ts";
import { BUSY, type Standing, type Step, type StepKinds } from "../../core/plan.ts";
import { asked as askedWith, list, text } from "../step-data.ts";
import { reasonsAgainstBlame } from "./blame.ts";
import { readHealCount } from "./heal-count.ts";
import { lookUpEveryFile } from "./look-up.ts";
import { standingOfRebalance, standingOfRemoval } from "./moving.ts";
import { isHere, withNames } from "./names.ts";
import { type Grow, reasonsAgainstAdd, refuse } from "./plan.ts";
import { reasonsAgainstRemoval } from "./remove-plan.ts";
import { reasonsAgainstDetach } from "./safety.ts";
import { leftoversArgv, readSite, reasonsAgainstSite } from "./site.ts";
import {
  type BrickHeal,
  findPeer,
  GLUSTER_TIMEOUT_MS,
  glusterArgv,
  type Peer,
  type Pool,
  readCrawls,
  readHeal,
  readPeers,
  readPool,
  readVolumeStatus,
  readVolumes,
  type Volume,
} from "./state.ts";
import { readViews, reasonOfView, reasonsAgainstViews } from "./views.ts";

/** glusterd's lock in other hands is `working`: what is done under it may be this very step. */
export const asked = (ask: (step: Step, host: Host) => Promise<Standing>) =>
  askedWith(ask, (reason) => (BUSY.test(reason) ? "working" : "unknown"));

async function readVolume(host: Host, name: string): Promise<Volume> {
  const volume = (await readVolumes(host)).find((one) => one.name === name);
  return volume ?? notThere(name);
}
const notThere = (name: string): never => {
  throw new OpsError("failed", `volume ${name}: not there any more`, { hint: "gluster volume list" });
};

/**
 * `volume info` is read from this node's disk; `volume status` takes the volume's lock, so nobody is changing it. A brick on
 * a node that is not there is not in the status: `info` alone says that one is gone.
 */
async function bricksListed(step: Step, host: Host): Promise<{ listed: string[]; wanted: string[] }> {
  const name = text(step, "volume");
  const wanted = list(step, "bricks");
  const told = [...(await readVolumeStatus(host, name)).bricksOnline.keys()];
  if (wanted.every((brick) => told.includes(brick))) return { listed: told, wanted };
  return { listed: (await readVolume(host, name)).bricks.map((brick) => brick.name), wanted };
}

const bricksGone = asked(async (step, host) => {
  const { listed, wanted } = await bricksListed(step, host);
  const left = wanted.filter((brick) => listed.includes(brick));
  return left.length === 0
    ? { state: "done", detail: "the volume lists it no more" }
    : { state: "todo", detail: `still in the volume: ${left.join(", ")}` };
});

/**
 * Every file on every copy is looked at for what another copy misses: last, because it takes its time, and for all volumes
 * of the plan before the first of them is changed.
 */
async function unwholeCopies(step: Step, host: Host, pool: Pool): Promise<string[]> {
  const reasons: string[] = [];
  for (const name of list(step, "whole")) {
    const volume = pool.volumes.find((one) => one.name === name) ?? notThere(name);
    reasons.push(...(await reasonsAgainstBlame(host, pool.peers, volume)));
  }
  return reasons;
}

/** What is quickly read, then every file, then the first once more: the files may have taken hours. */
async function firstReasons(
  host: Host,
  name: string,
  quick: (pool: Pool, volume: Volume) => string[] | Promise<string[]>,
  files: (pool: Pool, volume: Volume) => Promise<string[]>,
): Promise<string[]> {
  const read = async (): Promise<[Pool, Volume]> => {
    const pool = await readPool(host, (volume) => volume.name === name);
    return [pool, pool.volumes.find((one) => one.name === name) ?? notThere(name)];
  };
  const now = await read();
  const reasons = await quick(...now);
  if (reasons.length > 0) return reasons;
  const unwhole = await files(...now);
  return unwhole.length > 0 ? unwhole : quick(...(await read()));
}

async function guardRemoval(step: Step, host: Host): Promise<void> {
  const name = text(step, "volume");
  const bricks = list(step, "bricks");
  const isCommit = step.kind === "remove-brick-commit";
  const quick = async (pool: Pool, volume: Volume): Promise<string[]> => {
    // A commit comes after its own start, which is the one task that may be there.
    const reasons = reasonsAgainstRemoval(isCommit ? withoutTasks(pool, name) : pool, volume);
    if (volume.replica !== step.data.replica) {
      reasons.push(`it was replica ${step.data.replica} when this was planned and is replica ${volume.replica} now`);
    }
    if (isCommit) {
      const state = await standingOfRemoval(step, host, bricks);
      if (state.state !== "done") reasons.push(`the data has not moved: ${state.detail}`);
    }
    return reasons;
  };
  const files = async (pool: Pool, volume: Volume): Promise<string[]> => {
    const stale = await reasonsAgainstViews(host, pool.peers, volume);
    return stale.length > 0 ? stale : unwholeCopies(step, host, pool);
  };
  const reasons = await firstReasons(host, name, quick, files);
  refuse(`volume ${name}: cannot remove ${bricks.join(", ")}`, reasons, `fencepost gluster health --volume ${name}`);
}

const withoutTasks = (pool: Awaited<ReturnType<typeof readPool>>, volume: string) => {
  const status = pool.status.get(volume);
  return status ? { ...pool, status: new Map([...pool.status, [volume, { ...status, tasks: [] }]]) } : pool;
};

export function healStanding(heal: readonly BrickHeal[], bricks: readonly string[]): Standing {
  const silent = bricks.filter((brick) => !heal.some((one) => one.brick === brick));
  const unclear = heal.filter(({ pending, splitBrain }) => pending === "unknown" || splitBrain === "unknown");
  const split = heal.reduce((sum, { splitBrain }) => sum + (splitBrain === "unknown" ? 0 : splitBrain), 0);
  const pending = heal.reduce((sum, { pending: count }) => sum + (count === "unknown" ? 0 : count), 0);
  if (silent.length > 0 || unclear.length > 0) {
    const told = [...silent, ...unclear.map(({ brick, detail }) => `${brick}: ${detail}`)].join("; ");
    return { state: "working", detail: `unknown how much is to heal: ${told}` };
  }
  if (split > 0) {
    throw new OpsError("unsafe", `${split} entries in split-brain: healing cannot end`, {
      hint: "gluster volume heal VOLUME info split-brain",
    });
  }
  // The heal command may be given again and again: one more round is what is to do.
  if (pending > 0) return { state: "todo", detail: `${pending} entries to heal`, remaining: pending };
  return { state: "done", detail: "nothing to heal on any brick" };
}

const AGREE_MS = 15_000;

/**
 * A copy is not whole while clients of another node do not write to it. A node that was away takes seconds to be told; one that
 * cannot be asked is unknown, and asked again. `absent`: uuids of those that were away when this was planned, and given up.
 */
async function agreedOn(host: Host, peers: readonly Peer[], volume: Volume, absent: readonly string[]) {
  const asked = peers.filter(({ uuid, connected }) => connected || !absent.includes(uuid));
  const untilMs = host.monotonicMs() + AGREE_MS;
  for (;;) {
    const views = (await readViews(host, asked, [volume])).filter(({ state }) => state !== "same");
    const stale = views.filter(({ state }) => state === "other");
    const detail = views.map(reasonOfView).join("; ");
    if (stale.length === 0) return views.length === 0 ? undefined : ({ state: "unknown", detail } as const);
    if (host.monotonicMs() >= untilMs)
      throw new OpsError("unsafe", detail, { hint: "restart glusterd there, then fencepost journal resume" });
    await host.sleep(1_000);
  }
}

/** Heal info is asked when nothing crawls any more, and 0 entries in it is no proof: every file on every brick is looked at. */
async function standingOfHeal(step: Step, host: Host): Promise<Standing> {
  const name = text(step, "volume");
  const running = (await readCrawls(host, name)).filter(({ isRunning }) => isRunning);
  if (running.length > 0) {
    const progress = running.reduce((sum, { healed }) => sum + healed, 0);
    const told = running.map(({ brick, type }) => `${type.toLowerCase()} crawl of brick ${Number(brick) + 1} at work`);
    const count = await readHealCount(host, name);
    const left = count === "unknown" ? "unknown how much is to heal" : `${count} entries to heal`;
    const detail = `${left}; ${told.join(", ")}`;
    const remaining = count === "unknown" ? {} : { remaining: count };
    return { state: "working", detail, ...remaining, progress, moves: count === 0 };
  }
  const byIndex = healStanding(await readHeal(host, name), [...list(step, "before"), ...list(step, "bricks")]);
  if (byIndex.state !== "done") return { ...byIndex, idle: true };
  const [peers, volume] = await Promise.all([readPeers(host), readVolume(host, name)]);
  const disagreement = await agreedOn(host, peers, volume, list(step, "absent"));
  if (disagreement) return disagreement;
  const reasons = await reasonsAgainstBlame(host, peers, volume);
  if (reasons.length > 0) return { state: "todo", detail: reasons.join("; "), idle: true };
  return { state: "done", detail: "nothing to heal on any brick, no file that a copy misses" };
}

/**
 * A full crawl of a brick that lacks files does not meet them. What is listed is retried by an index crawl: by itself only
 * every ten minutes (cluster.heal-timeout), as after a disk was full; what is not listed is looked up.
 */
async function healOtherwise(step: Step, host: Host, before: number): Promise<void> {
  const name = text(step, "volume");
  const isListed = (await readHeal(host, name)).some(({ pending }) => pending !== 0);
  // Every second time also while some are listed: a client's look-up may heal what a crawl does not.
  if (!isListed || before % 2 === 1) return lookUpEveryFile(host, name);
  const result = await host.run(glusterArgv("volume", "heal", name), { timeoutMs: GLUSTER_TIMEOUT_MS });
  const failure = failureOf(result, GLUSTER_TIMEOUT_MS);
  if (failure !== undefined) throw new OpsError("failed", failure);
}

export const GLUSTER_KINDS = {
  backup: {
    standing: async (step, host) => {
      const result = await host.run(["tar", "-tzf", text(step, "file")], { timeoutMs: 120_000 });
      const whole = failureOf(result) === undefined && result.stdout.includes("glusterd/glusterd.info");
      return whole ? { state: "done", detail: "archived" } : { state: "todo", detail: "no whole archive" };
    },
  },
  "peer-probe": {
    standing: asked(async (step, host) => {
      const peer = findPeer(await readPeers(host), text(step, "host"));
      if (!peer) return { state: "todo", detail: "not in the pool" };
      return peer.connected && peer.state === "Peer in Cluster"
        ? { state: "done", detail: "in the pool and connected" }
        : { state: "working", detail: `${peer.state}, ${peer.connected ? "connected" : "not connected"}` };
    }),
    guardUndo: guardDetach,
  },
  "add-brick": {
    standing: asked(async (step, host) => {
      const { listed, wanted } = await bricksListed(step, host);
      const there = wanted.filter((brick) => listed.includes(brick));
      if (there.length === wanted.length) return { state: "done", detail: "in the volume" };
      return there.length === 0
        ? { state: "todo", detail: "not in the volume" }
        : { state: "unknown", detail: `only ${there.join(", ")} of ${wanted.join(", ")} are in the volume` };
    }),
    guard: async (step, host) => {
      const name = text(step, "volume");
      const bricks = list(step, "bricks").map((brick): [string, string] => {
        const at = brick.indexOf(":/");
        return [brick.slice(0, at), brick.slice(at + 1)];
      });
      const read = await readPool(host, (volume) => volume.name === name);
      const pool = await withNames(host, read, [...new Map(bricks).keys()]);
      const sites = await Promise.all(
        bricks.map(([at, path]) => readSite(host, at, path, { isHere: isHere(pool, at) })),
      );
      const volume = pool.volumes.find((one) => one.name === name) ?? notThere(name);
      const reasons = reasonsAgainstAdd(pool, volume, text(step, "grow") as Grow);
      if (volume.bricks.map((brick) => brick.name).join(" ") !== list(step, "before").join(" "))
        reasons.push("its bricks are not those this was planned for");
      for (const site of sites) reasons.push(...reasonsAgainstSite(site));
      refuse(
        `volume ${name}: cannot add ${list(step, "bricks").join(", ")}`,
        reasons,
        `fencepost gluster health --volume ${name}`,
      );
    },
    guardUndo: async (step, host) => {
      // The new copy may already hold what the others lack: the same gate as for any removal.
      const name = text(step, "volume");
      const reasons = await firstReasons(host, name, reasonsAgainstRemoval, async (pool, volume) => {
        const stale = await reasonsAgainstViews(host, pool.peers, volume);
        return stale.length > 0 ? stale : reasonsAgainstBlame(host, pool.peers, volume);
      });
      refuse(`volume ${name}: cannot take back the new brick`, reasons, `gluster volume heal ${name} info summary`);
    },
  },
  heal: {
    standing: asked(standingOfHeal),
    otherwise: healOtherwise,
  },
  rebalance: {
    standing: asked(standingOfRebalance),
  },
  "remove-brick-force": { standing: bricksGone, guard: guardRemoval },
  "remove-brick-start": {
    standing: asked(async (step, host) => {
      const { listed, wanted } = await bricksListed(step, host);
      if (!wanted.some((brick) => listed.includes(brick))) return { state: "done", detail: "committed already" };
      return standingOfRemoval(step, host, wanted);
    }),
    guard: guardRemoval,
  },
  "remove-brick-commit": { standing: bricksGone, guard: guardRemoval },
  "brick-empty": {
    standing: async (step, host) => {
      const result = await host.run(leftoversArgv(text(step, "host"), text(step, "path")), { timeoutMs: 600_000 });
      const failure = failureOf(result);
      if (failure !== undefined) return { state: "unknown", detail: failure };
      const [file = ""] = result.stdout.split("\n");
      return file === ""
        ? { state: "done", detail: "no data file" }
        : { state: "todo", detail: `data is left on the removed brick: ${file}: copy it through a mount` };
    },
  },
  "peer-detach": {
    standing: asked(async (step, host) =>
      findPeer(await readPeers(host), text(step, "host"))
        ? { state: "todo", detail: "in the pool" }
        : { state: "done", detail: "not in the pool" },
    ),
    guard: guardDetach,
  },
} as const satisfies StepKinds;

async function guardDetach(step: Step, host: Host): Promise<void> {
  const name = text(step, "host");
  const pool = await readPool(host, () => false);
  refuse(`peer ${name}: cannot be detached`, reasonsAgainstDetach(pool, name), "gluster pool list");
}
