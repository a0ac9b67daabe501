/**
 * `fencepost gluster can-remove|volume-complete`: yes or no, for scripts to ask before they reboot or delete.
 * Output: the verdict with its reasons; exit 0 for yes, 107 for no, and for whatever could not be read.
 */
import { OpsError } from "../../../core/errors.ts";
import { escapeControl } from "../../../core/text.ts";
import { healthOf } from "../health.ts";
import { reasonsAgainstLoss } from "../safety.ts";
import { bricksOf, checkVolumeName, findPeer, type Pool, readPool } from "../state.ts";
import { answer, type Call, type Command, readNamed } from "./command.ts";

export const CAN_REMOVE: Command = {
  describe: "may this node go down now, for a reboot or for good? A verdict for each volume",
  usage: "NODE",
  takes: [1, 1],
  options: { volume: { describe: "this volume only", type: "string", requiresArg: true } },
  changes: false,
  examples: [["192.168.1.105 && ssh 192.168.1.105 reboot", "reboot only where nothing is lost"]],
  exits: "0 yes · 107 no, or it could not be read: the reasons say which",
  run: async (call) => {
    const wanted = call.args.volume === undefined ? undefined : checkVolumeName(String(call.args.volume));
    const pool =
      wanted === undefined ? await readPool(call.host) : onlyNamed((await readNamed(call, wanted)).pool, wanted);
    return canRemove(call, pool, call.words[0] ?? "");
  },
};

const onlyNamed = (pool: Pool, name: string): Pool => ({
  ...pool,
  volumes: pool.volumes.filter((volume) => volume.name === name),
});

async function canRemove(call: Call, pool: Pool, node: string): Promise<number> {
  const peer = findPeer(pool.peers, node);
  const concerned = pool.volumes.filter((volume) => bricksOf(volume, node, peer).length > 0);
  if (!peer && concerned.length === 0) {
    throw new OpsError("usage", `${escapeControl(node)}: not a peer of this pool`, { hint: "gluster pool list" });
  }
  const volumes = concerned.map((volume) => ({
    volume: volume.name,
    reasons: reasonsAgainstLoss(pool, volume, node),
  }));
  const others = pool.peers.filter((one) => (peer ? one.uuid !== peer.uuid : true) && one.connected).length;
  const general =
    others * 2 > pool.peers.length || pool.peers.length <= 2
      ? []
      : [`only ${others} of ${pool.peers.length} peers would be connected: no quorum`];
  const yes = general.length === 0 && volumes.every(({ reasons }) => reasons.length === 0);
  const lines = [`${node}: ${yes ? "yes" : "no"}`, ...general.map((reason) => `  ${reason}`)];
  for (const { volume, reasons } of volumes) {
    lines.push(`  volume ${volume}: ${reasons.length === 0 ? "yes" : "no"}`, ...reasons.map((one) => `    ${one}`));
  }
  await answer(call, { node, can_remove: yes, reasons: general, volumes }, lines);
  return yes ? 0 : 107;
}

export const VOLUME_COMPLETE: Command = {
  describe: "does this volume serve all of its files? For scripts to ask before they delete what they do not see",
  usage: "VOLUME",
  takes: [1, 1],
  changes: false,
  examples: [["shared_data && rsync -a --delete /mnt/gluster/ /backup/", "delete only what is really gone"]],
  exits: "0 all of them · 107 not all, or it could not be read: the reasons say which",
  run: async (call) => {
    const { pool, volume } = await readNamed(call, call.words[0]);
    const health = healthOf(onlyNamed(pool, volume.name));
    const [found] = health.volumes;
    if (!found) throw new OpsError("bug", "volume-complete: no volume");
    const { state, bricks, findings } = found;
    // What heals does not matter here, but a view without quorum does: another part of the pool may know better.
    const mayMiss =
      bricks.filter(({ online }) => online !== true).length > 0 && (volume.replica === 1 || state !== "degraded");
    const complete = health.quorum.hasQuorum && !mayMiss && state !== "down" && state !== "partial";
    const reasons = complete ? [] : [...health.findings, ...findings];
    await answer(call, { volume: volume.name, complete, state, reasons }, [
      `volume ${volume.name}: ${complete ? "complete" : "not complete"}`,
      ...reasons.map((one) => `  ${one}`),
    ]);
    return complete ? 0 : 107;
  },
};
