/**
 * `fencepost gluster can-remove|volume-complete`: yes or no, for scripts to ask before they reboot or delete.
 * Output: the verdict with its reasons; exit 0 for yes, 107 for no, and for whatever could not be read.
 */
import { OpsError } from "../../../core/errors.ts";
import { escapeControl } from "../../../core/text.ts";
import { reasonsAgainstBlame } from "../blame.ts";
import { healthOf } from "../health.ts";
import { withNames } from "../names.ts";
import { reasonsAgainstLoss } from "../safety.ts";
import { bricksOf, checkVolumeName, findPeer, heals, type Pool, readPool, replicaSets, type Volume } from "../state.ts";
import { reasonsAgainstViews } from "../views.ts";
import { answer, type Call, type Command, readNamed } from "./command.ts";

export const CAN_REMOVE: Command = {
  describe: "may this node go down now, for a reboot or for good? A verdict for each volume",
  usage: "NODE",
  takes: [1, 1],
  options: {
    volume: { describe: "this volume only", type: "string", requiresArg: true },
    quick: {
      describe: "believe heal info, whose index may lack an entry: do not look at every file on every copy",
      type: "boolean",
    },
  },
  changes: false,
  examples: [
    ["192.168.1.105 && ssh 192.168.1.105 reboot", "reboot only where nothing is lost"],
    ["192.168.1.105 --quick", "a first look, for volumes of so many files that each cannot be looked at"],
  ],
  exits: "0 yes · 107 no, or it could not be read: the reasons say which",
  run: async (call) => {
    const wanted = call.args.volume === undefined ? undefined : checkVolumeName(String(call.args.volume));
    const [node = ""] = call.words;
    const read = async (): Promise<Pool> => {
      const pool = wanted === undefined ? await readPool(call.host) : (await readNamed(call, wanted)).pool;
      // Whose name it is may be told by another volume's bricks.
      const named = await withNames(call.host, pool, [node]);
      return wanted === undefined ? named : onlyNamed(named, wanted);
    };
    return canRemove(call, read, node, call.args.quick === true);
  },
};

const onlyNamed = (pool: Pool, name: string): Pool => ({
  ...pool,
  volumes: pool.volumes.filter((volume) => volume.name === name),
});

type Verdict = { general: string[]; volumes: { volume: Volume; reasons: string[] }[] };
const isYes = ({ general, volumes }: Verdict): boolean =>
  general.length === 0 && volumes.every(({ reasons }) => reasons.length === 0);

function verdictOf(pool: Pool, node: string): Verdict {
  const peer = findPeer(pool.peers, node);
  if (!peer)
    throw new OpsError("usage", `${escapeControl(node)}: not a peer of this pool`, { hint: "gluster pool list" });
  const concerned = pool.volumes.filter((volume) => bricksOf(volume, node, peer).length > 0);
  const others = pool.peers.filter((one) => one.uuid !== peer.uuid && one.connected).length;
  return {
    general:
      others * 2 > pool.peers.length || pool.peers.length <= 2
        ? []
        : [`only ${others} of ${pool.peers.length} peers would be connected: no quorum`],
    volumes: concerned.map((volume) => ({ volume, reasons: reasonsAgainstLoss(pool, volume, node) })),
  };
}

/**
 * heal info reads an index that may lack an entry, so a yes is one only when no file on any copy blames another. Looked at
 * last, because it may take long; then the rest is read again, because that may have changed meanwhile.
 */
async function canRemove(call: Call, read: () => Promise<Pool>, node: string, isQuick: boolean): Promise<number> {
  const pool = await read();
  let verdict = verdictOf(pool, node);
  const isDeep = !isQuick && isYes(verdict);
  if (isDeep) {
    const found = new Map<string, string[]>();
    const his = findPeer(pool.peers, node);
    const others = pool.peers.filter(({ uuid }) => uuid !== his?.uuid);
    for (const { volume } of verdict.volumes) {
      const gone = new Set(bricksOf(volume, node, his));
      const bricks = replicaSets(volume).flatMap((set) => (set.some((brick) => gone.has(brick)) ? set : []));
      if (call.context.terminal.isTerminal && heals(volume))
        call.context.err(`ℹ volume ${volume.name}: looking at every file on ${bricks.length} bricks`);
      const stale = await reasonsAgainstViews(call.host, others, volume);
      found.set(
        volume.name,
        stale.length > 0 ? stale : await reasonsAgainstBlame(call.host, pool.peers, { ...volume, bricks }),
      );
    }
    verdict = verdictOf(await read(), node);
    for (const { volume, reasons } of verdict.volumes)
      reasons.push(...(found.get(volume.name) ?? ["it came while the other volumes were looked at"]));
  }
  const yes = isYes(verdict);
  const lines = [`${node}: ${yes ? "yes" : "no"}`, ...verdict.general.map((reason) => `  ${reason}`)];
  for (const { volume, reasons } of verdict.volumes) {
    const byWhom = isDeep || !heals(volume) ? "" : " by heal info; the files themselves were not looked at";
    lines.push(`  volume ${volume.name}: ${reasons.length === 0 ? `yes${byWhom}` : "no"}`);
    lines.push(...reasons.map((one) => `    ${one}`));
  }
  const volumes = verdict.volumes.map(({ volume, reasons }) => ({ volume: volume.name, reasons }));
  await answer(call, { node, can_remove: yes, files_read: isDeep, reasons: verdict.general, volumes }, lines);
  return yes ? 0 : 107;
}

/**
 * Do the copies that are up know of all that was written? Where each write needs more than half of a set, one of those that
 * serve was there; where a single copy takes writes, it may be the one that is down now, and the others know of nothing.
 * Three copies or more need more than half unless that was set otherwise.
 */
const knowsAllByMost = ({ replica, options }: Volume): boolean =>
  replica > 2 && !/^(none|fixed)$/i.test(options.get("cluster.quorum-type") ?? "auto");

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
    const isDown = bricks.some(({ online }) => online !== true);
    const mayMiss = isDown && (state !== "degraded" || !knowsAllByMost(volume));
    const complete = health.quorum.hasQuorum && !mayMiss && state !== "down" && state !== "partial";
    const reasons = complete ? [] : [...health.findings, ...findings];
    if (mayMiss && state === "degraded")
      reasons.push("what was written while only the copy that is down was up is in no listing");
    await answer(call, { volume: volume.name, complete, state, reasons }, [
      `volume ${volume.name}: ${complete ? "complete" : "not complete"}`,
      ...reasons.map((one) => `  ${one}`),
    ]);
    return complete ? 0 : 107;
  },
};
