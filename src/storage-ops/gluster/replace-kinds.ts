/**
 * The steps that replace or reset a brick: when each is done, and what must hold right before it. And the question behind the
 * heal gate where the old brick is dead: do the other copies need anything from one another?
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
import { refuse } from "./plan.ts";
import { reasonsAgainstCommit, reasonsAgainstGivingUp, reasonsAgainstPlace, setOf } from "./replace-plan.ts";
import { checkBrickPath, readSite } from "./site.ts";
import { type Pool, readPool, readVolumeStatus, readVolumes, type Volume } from "./state.ts";

const ASK_MS = 300_000;
const AT_ONCE = 400;
/** A dead brick is owed by a whole volume at most; beyond this many entries nobody waits for the answer. */
const MAX_ENTRIES = 500_000;
/** A brick that glusterd has just started is told of as up a moment later. */
const SETTLE_MS = 1_000;
const SETTLE_TURNS = 3;

/** What the copies other than `dead` still need from one another, in words; none when all of them blame only the dead one. */
export async function readOwed(host: Host, pool: Pool, volume: Volume, dead: string): Promise<string[]> {
  const { set } = setOf(volume, dead);
  const others = set.filter(({ name }) => name !== dead);
  const clients = new Map(
    others.map((brick) => [clientNameOf(host, volume.name, brick, volume.bricks.indexOf(brick)), brick.name]),
  );
  const reasons: string[] = [];
  for (const brick of others) {
    const run = (...argv: [string, ...string[]]) =>
      host.run(onBrickHost(brick, pool.peers, argv), { timeoutMs: ASK_MS, maxBytes: 256 * 1024 * 1024 });
    const list = await run(
      "find",
      `${brick.path}/.glusterfs/indices/xattrop`,
      "-mindepth",
      "1",
      "-maxdepth",
      "1",
      "-printf",
      "%f\\n",
    );
    const failure = failureOf(list, ASK_MS);
    if (failure !== undefined) {
      reasons.push(`${brick.name}: its list of entries to heal could not be read: ${failure}`);
      continue;
    }
    const gfids = list.stdout.split("\n").filter((name) => /^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(name));
    if (gfids.length > MAX_ENTRIES) {
      reasons.push(`${brick.name}: ${gfids.length} entries to heal: too many to see whom they blame`);
      continue;
    }
    for (let at = 0; at < gfids.length; at += AT_ONCE) {
      const paths = gfids
        .slice(at, at + AT_ONCE)
        .map((gfid) => `${brick.path}/.glusterfs/${gfid.slice(0, 2)}/${gfid.slice(2, 4)}/${gfid}`);
      // A directory's entry is a link to it, so links are followed. Exit 1: some are gone since, the others are told.
      const found = await run("getfattr", "-d", "-m", "^trusted.afr", "-e", "hex", "--absolute-names", "--", ...paths);
      if (found.outcome !== "exited" || (found.exitCode !== 0 && found.exitCode !== 1)) {
        reasons.push(
          `${brick.name}: whom its entries blame could not be read: ${failureOf(found, ASK_MS) ?? "no answer"}`,
        );
        break;
      }
      const blamed = found.stdout
        .split(/^# file: /m)
        .flatMap((block) => [...blamesIn(parseXattrs(block)).keys()])
        .map((client) => clients.get(client))
        .filter((name) => name !== undefined);
      if (blamed.length > 0) {
        reasons.push(`${brick.name} holds what ${[...new Set(blamed)].join(", ")} still needs: heal first`);
        break;
      }
    }
  }
  return reasons;
}

/** 0 entries in heal info is no proof: every file of the set is looked at. A brick that is given up is not asked, or believed in. */
function reasonsByFiles(host: Host, pool: Pool, volume: Volume, brick: string, isGivenUp: boolean): Promise<string[]> {
  const { set } = setOf(volume, brick);
  const others = set.filter(({ name }) => name !== brick);
  const clients = (isGivenUp ? others : set).map((one) =>
    clientNameOf(host, volume.name, one, volume.bricks.indexOf(one)),
  );
  const keys = new Set(clients.map((client) => `trusted.afr.${client}`));
  return reasonsAgainstBlame(host, pool.peers, { ...volume, bricks: isGivenUp ? others : set }, keys);
}

async function readFor(step: Step, host: Host): Promise<{ pool: Pool; volume: Volume }> {
  const name = String(step.data.volume);
  const pool = await readPool(host, (one) => one.name === name);
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
      const { pool, volume } = await readFor(step, host);
      const from = String(step.data.from);
      const { host: address, path } = placeOf(String(step.data.to));
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
      reasons.push(...reasonsAgainstPlace(pool, volume, from, await readSite(host, address, path)));
      if (reasons.length === 0) reasons.push(...(await reasonsByFiles(host, pool, volume, from, owed !== undefined)));
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
      const reasons = reasonsAgainstGivingUp(pool, volume, name, undefined);
      if (reasons.length === 0) reasons.push(...(await reasonsByFiles(host, pool, volume, name, false)));
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
      const { pool, volume } = await readFor(step, host);
      const name = String(step.data.brick);
      const { host: address, path } = placeOf(name);
      const owed = await readOwed(host, pool, volume, name);
      const reasons = reasonsAgainstCommit(pool, volume, name, await readSite(host, address, path), owed);
      if (reasons.length === 0) reasons.push(...(await reasonsByFiles(host, pool, volume, name, true)));
      refuse(
        `volume ${volume.name}: cannot bring ${name} back`,
        reasons,
        `fencepost gluster health --volume ${volume.name}`,
      );
    },
  },
} as const satisfies StepKinds;
