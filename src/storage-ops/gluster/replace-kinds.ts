/**
 * The steps that replace or reset a brick: when each is done, and what must hold right before it. And the question behind the
 * heal gate where the old brick is dead: is a whole copy of everything left?
 * Errors: OpsError unsafe from the guards; what could not be read is a reason against it.
 * Source: AFR keeps an entry in .glusterfs/indices/xattrop for each file of which a copy is behind, by gfid; whom it blames is
 *         in that file's trusted.afr xattrs.
 */
import { OpsError } from "../../core/errors.ts";
import { failureOf } from "../../core/exec.ts";
import type { Host } from "../../core/host.ts";
import type { Step, StepKinds } from "../../core/plan.ts";
import { reasonsAgainstBlame } from "./blame.ts";
import { blamesIn, clientNameOf, onBrickHost, parseXattrs } from "./copies.ts";
import { asked } from "./kinds.ts";
import { isHere, withNames } from "./names.ts";
import { refuse } from "./plan.ts";
import {
  type Owed,
  reasonsAgainstCommit,
  reasonsAgainstGivingUp,
  reasonsAgainstPlace,
  reasonsAgainstTakingOff,
  setOf,
} from "./replace-plan.ts";
import { checkBrickPath, readSite } from "./site.ts";
import { type Brick, type Pool, readPool, readVolumeStatus, readVolumes, type Volume } from "./state.ts";
import { reasonsAgainstViews } from "./views.ts";

const ASK_MS = 300_000;
const AT_ONCE = 400;
/** A dead brick is owed by a whole volume at most; beyond this many entries nobody waits for the answer. */
const MAX_ENTRIES = 500_000;
/** A brick that glusterd has just started is told of as up a moment later. */
const SETTLE_MS = 1_000;
const SETTLE_TURNS = 3;

/**
 * Of the entries to heal among the copies other than `dead`: is a whole copy left of each? Those that are behind are no reason
 * against: measured, gluster 10.3 heals nothing of a set while one of its three bricks is down, so only the replacement helps.
 */
export async function readOwed(host: Host, pool: Pool, volume: Volume, dead: string): Promise<Owed> {
  const { set } = setOf(volume, dead);
  const others = set.filter(({ name }) => name !== dead);
  const clients = new Map(
    others.map((brick) => [clientNameOf(host, volume.name, brick, volume.bricks.indexOf(brick)), brick.name]),
  );
  const reasons: string[] = [];
  const behind = new Map<string, Set<string>>();
  for (const brick of others) {
    const told = await readBlamed(host, pool, brick);
    if (typeof told === "string") reasons.push(`${brick.name}: ${told}`);
    else {
      for (const [gfid, names] of told) {
        const blamed = names.map((client) => clients.get(client)).filter((name) => name !== undefined);
        if (blamed.length > 0) behind.set(gfid, new Set([...(behind.get(gfid) ?? []), ...blamed]));
      }
    }
  }
  const full = others.filter(({ isArbiter }) => !isArbiter).map(({ name }) => name);
  const lost = [...behind].filter(([, names]) => full.every((name) => names.has(name)));
  if (lost.length > 0)
    reasons.push(`of ${lost.length} entries no copy that is left is whole (gfid ${lost[0]?.[0]}, …)`);
  const stale = [...new Set([...behind.values()].flatMap((names) => [...names]))];
  return {
    reasons,
    warnings:
      stale.length > 0 && lost.length === 0
        ? [
            `${stale.join(", ")}: behind with ${behind.size} entries too: until all is healed fewer copies of them are whole`,
          ]
        : [],
  };
}

/** By gfid, whom a brick's entries to heal blame; or why that could not be read. */
async function readBlamed(host: Host, pool: Pool, brick: Brick): Promise<Map<string, string[]> | string> {
  const run = (...argv: [string, ...string[]]) =>
    host.run(onBrickHost(brick, pool.peers, argv), { timeoutMs: ASK_MS, maxBytes: 256 * 1024 * 1024 });
  const index = `${brick.path}/.glusterfs/indices/xattrop`;
  const list = await run("find", index, "-mindepth", "1", "-maxdepth", "1", "-printf", "%f\\n");
  const failure = failureOf(list, ASK_MS);
  if (failure !== undefined) return `its list of entries to heal could not be read: ${failure}`;
  const gfids = list.stdout.split("\n").filter((name) => /^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(name));
  if (gfids.length > MAX_ENTRIES) return `${gfids.length} entries to heal: too many to see whom they blame`;
  const blamed = new Map<string, string[]>();
  for (let at = 0; at < gfids.length; at += AT_ONCE) {
    const paths = gfids
      .slice(at, at + AT_ONCE)
      .map((gfid) => `${brick.path}/.glusterfs/${gfid.slice(0, 2)}/${gfid.slice(2, 4)}/${gfid}`);
    // A directory's entry is a link to it, so links are followed. Exit 1: some are gone since, the others are told.
    const found = await run("getfattr", "-d", "-m", "^trusted.afr", "-e", "hex", "--absolute-names", "--", ...paths);
    if (found.outcome !== "exited" || (found.exitCode !== 0 && found.exitCode !== 1))
      return `whom its entries blame could not be read: ${failureOf(found, ASK_MS) ?? "no answer"}`;
    for (const block of found.stdout.split(/^# file: /m).slice(1)) {
      const gfid = (block.split("\n")[0] ?? "").slice(-36);
      blamed.set(gfid, [...blamesIn(parseXattrs(block)).keys()]);
    }
  }
  return blamed;
}

/** 0 entries in heal info is no proof: every file of the set is looked at, while its brick is there to look at. */
async function reasonsByFiles(host: Host, pool: Pool, volume: Volume, brick: string): Promise<string[]> {
  const stale = await reasonsAgainstViews(host, pool.peers, volume);
  return stale.length > 0
    ? stale
    : reasonsAgainstBlame(host, pool.peers, { ...volume, bricks: setOf(volume, brick).set });
}

/** `places`: on which a brick is to be made, by whatever name. */
async function readFor(step: Step, host: Host, ...places: string[]): Promise<{ pool: Pool; volume: Volume }> {
  const name = String(step.data.volume);
  const pool = await withNames(host, await readPool(host, (one) => one.name === name), places);
  const volume = pool.volumes.find((one) => one.name === name);
  if (volume) return { pool, volume };
  throw new OpsError("failed", `volume ${name}: not there any more`, { hint: "gluster volume list" });
}

const isUp = (pool: Pool, volume: Volume, brick: string): boolean =>
  pool.status.get(volume.name)?.bricksOnline.get(brick) === true;

const placeOf = (name: string): { host: string; path: string } => {
  const at = name.indexOf(":/");
  return { host: name.slice(0, at), path: checkBrickPath(name.slice(at + 1)) };
};

export const REPLACE_KINDS = {
  "replace-brick": {
    standing: asked(async (step, host) => {
      const name = String(step.data.volume);
      // It takes the volume's lock, so nobody is changing what is read next.
      await readVolumeStatus(host, name);
      const bricks =
        (await readVolumes(host)).find((one) => one.name === name)?.bricks.map((brick) => brick.name) ?? [];
      const [from, to] = [String(step.data.from), String(step.data.to)];
      if (bricks.includes(to) && !bricks.includes(from)) return { state: "done", detail: `${to} is in its place` };
      if (bricks.includes(from) && !bricks.includes(to)) return { state: "todo", detail: `${from} is in the volume` };
      return { state: "unknown", detail: `its bricks are not those this was planned for: ${bricks.join(", ")}` };
    }),
    guard: async (step, host) => {
      const from = String(step.data.from);
      const { host: address, path } = placeOf(String(step.data.to));
      const { pool, volume } = await readFor(step, host, address);
      const planned = [step.data.set].flat().join(" ");
      const reasons: string[] = [];
      if (
        setOf(volume, from)
          .set.map(({ name }) => name)
          .join(" ") !== planned
      )
        reasons.push("its bricks are not those this was planned for");
      const owed =
        step.data.dead === true && !isUp(pool, volume, from) ? await readOwed(host, pool, volume, from) : undefined;
      reasons.push(...reasonsAgainstGivingUp(pool, volume, from, owed));
      reasons.push(
        ...reasonsAgainstPlace(
          pool,
          volume,
          from,
          await readSite(host, address, path, { isHere: isHere(pool, address) }),
        ),
      );
      if (reasons.length === 0 && owed === undefined) reasons.push(...(await reasonsByFiles(host, pool, volume, from)));
      refuse(`volume ${volume.name}: cannot replace ${from}`, reasons, `fencepost gluster heal ${volume.name} --info`);
    },
  },
  "reset-start": {
    standing: asked(async (step, host) => {
      for (let turn = 1; ; turn++) {
        const status = await readVolumeStatus(host, String(step.data.volume));
        const online = status.bricksOnline.get(String(step.data.brick));
        if (online === true) return { state: "todo", detail: "the brick is up" };
        if (online === undefined) return { state: "unknown", detail: "volume status tells nothing of the brick" };
        if (turn === SETTLE_TURNS) return { state: "done", detail: "the brick is down" };
        await host.sleep(SETTLE_MS);
      }
    }),
    guard: async (step, host) => {
      const { pool, volume } = await readFor(step, host);
      const name = String(step.data.brick);
      const reasons = reasonsAgainstTakingOff(pool, volume, name);
      if (reasons.length === 0) reasons.push(...(await reasonsByFiles(host, pool, volume, name)));
      refuse(`volume ${volume.name}: cannot take ${name} off`, reasons, `fencepost gluster heal ${volume.name} --info`);
    },
  },
  "reset-commit": {
    standing: asked(async (step, host) => {
      const online = (await readVolumeStatus(host, String(step.data.volume))).bricksOnline.get(String(step.data.brick));
      if (online === undefined) return { state: "unknown", detail: "volume status tells nothing of the brick" };
      return online
        ? { state: "done", detail: "the brick is up" }
        : { state: "todo", detail: "the brick is down", remaining: 1 };
    }),
    guard: async (step, host) => {
      const name = String(step.data.brick);
      const { host: address, path } = placeOf(name);
      const { pool, volume } = await readFor(step, host, address);
      const owed = await readOwed(host, pool, volume, name);
      const site = await readSite(host, address, path, { isHere: isHere(pool, address) });
      const reasons = reasonsAgainstCommit(pool, volume, name, site, owed);
      refuse(
        `volume ${volume.name}: cannot bring ${name} back`,
        reasons,
        `fencepost gluster health --volume ${volume.name}`,
      );
    },
  },
} as const satisfies StepKinds;
