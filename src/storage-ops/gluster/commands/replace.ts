/**
 * `fencepost gluster replace-brick VOLUME FROM TO` and `reset-brick VOLUME BRICK start|commit`.
 * Errors: OpsError unsafe (107) with every reason against it: another copy down, something to heal, a bad place.
 */
import { OpsError, reasonOf } from "../../../core/errors.ts";
import { isHostWord } from "../../../core/ssh.ts";
import { escapeControl } from "../../../core/text.ts";
import { type BrickSpace, readCapacity } from "../capacity.ts";
import { isHere, withNames } from "../names.ts";
import { readOwed } from "../replace-kinds.ts";
import { planReplace, planResetCommit, planResetStart, setOf } from "../replace-plan.ts";
import { checkBrickPath, readSite } from "../site.ts";
import type { Pool, Volume } from "../state.ts";
import { backupFileOf, type Call, type Command, carryOut, journalId, PLAN_EXITS, readNamed } from "./command.ts";

const isUp = (pool: Pool, volume: Volume, brick: string): boolean =>
  pool.status.get(volume.name)?.bricksOnline.get(brick) === true;

/** How full the bricks are is for the picture: without it the plan says unknown. */
async function spacesOf({ host, context }: Call, volume: string): Promise<ReadonlyMap<string, BrickSpace>> {
  try {
    return await readCapacity(host, volume);
  } catch (error) {
    context.err(`how full the bricks are could not be read: ${escapeControl(reasonOf(error))}`);
    return new Map();
  }
}

function placeIn(word: string, called: string): { host: string; path: string } {
  const at = word.indexOf(":/");
  const host = word.slice(0, Math.max(0, at));
  if (!isHostWord(host))
    throw new OpsError("usage", `${called}: not HOST:/PATH: ${escapeControl(word.slice(0, 100))}`, {
      hint: `${called} --help`,
    });
  return { host, path: checkBrickPath(word.slice(at + 1)) };
}

export const REPLACE_BRICK: Command = {
  describe:
    "puts another brick in a brick's place, and waits until it has all the data. Refused while another copy is down, while " +
    "anything is to heal, in split-brain, and for a place a brick must not be made in",
  usage: "VOLUME HOST:/OLD HOST:/NEW",
  takes: [3, 3],
  options: {
    dead: { describe: "the old brick is down for good: what only it holds is given up", type: "boolean" },
  },
  changes: true,
  examples: [
    [
      "shared_data s3:/data/glusterfs/shared s4:/data/glusterfs/shared --dry-run",
      "what it would do, and what it means",
    ],
    ["shared_data s3:/data/glusterfs/shared s4:/data/glusterfs/shared --dead", "s3 will not come back"],
  ],
  exits: PLAN_EXITS,
  run: async (call) => {
    const { host, called, args } = call;
    const [name, from = "", to = ""] = call.words;
    const place = placeIn(to, called);
    const { pool: read, volume } = await readNamed(call, name);
    const pool = await withNames(host, read, [place.host]);
    setOf(volume, from);
    const dead = args.dead === true;
    const owed = dead && !isUp(pool, volume, from) ? await readOwed(host, pool, volume, from) : undefined;
    const site = await readSite(host, place.host, place.path, { isHere: isHere(pool, place.host) });
    const id = journalId(host, "replace-brick");
    const spaces = await spacesOf(call, volume.name);
    const plan = planReplace(pool, { volume, from, site, dead, owed, backupFile: backupFileOf(id), spaces });
    return carryOut(call, plan, id);
  },
};

export const RESET_BRICK: Command = {
  describe:
    "a new disk for a brick, on the same path: `start` takes the brick off once nothing needs it, `commit` brings it back on " +
    "the empty, mounted disk and waits until it has all the data",
  usage: "VOLUME HOST:/BRICK start|commit",
  takes: [3, 3],
  changes: true,
  examples: [
    ["shared_data s3:/data/glusterfs/shared start", "then change the disk and mount it"],
    ["shared_data s3:/data/glusterfs/shared commit", "then this"],
  ],
  exits: PLAN_EXITS,
  run: async (call) => {
    const { host, called } = call;
    const [volumeName, name = "", verb = ""] = call.words;
    if (verb !== "start" && verb !== "commit")
      throw new OpsError("usage", `${called}: '${escapeControl(verb.slice(0, 100))}': start or commit?`, {
        hint: `${called} --help`,
      });
    const { pool: read, volume } = await readNamed(call, volumeName);
    const { brick } = setOf(volume, name);
    const pool = await withNames(host, read, [brick.host]);
    const id = journalId(host, `reset-brick-${verb}`);
    const backupFile = backupFileOf(id);
    if (verb === "start") return carryOut(call, planResetStart(pool, volume, name, backupFile), id);
    const owed = await readOwed(host, pool, volume, name);
    const site = await readSite(host, brick.host, brick.path, { isHere: isHere(pool, brick.host) });
    const spaces = await spacesOf(call, volume.name);
    return carryOut(call, planResetCommit(pool, { volume, name, site, owed, backupFile, spaces }), id);
  },
};
