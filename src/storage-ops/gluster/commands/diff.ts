/**
 * `fencepost gluster diff --config FILE | --backup FILE`: is the cluster as it is to be, or as it was?
 * Output: each difference, with what is wanted and what is; exit 0 none, 1 some: for cron.
 * Errors: OpsError usage, config (the file, with line and key), bad-input; those of asking gluster.
 */
import { OpsError } from "../../../core/errors.ts";
import { readWhole } from "../../../core/files.ts";
import type { Host } from "../../../core/host.ts";
import { escapeControl } from "../../../core/text.ts";
import { readMounts } from "../mount-table.ts";
import { ownNames } from "../names.ts";
import { readOptions } from "../options-plan.ts";
import { type Difference, decodeSaved, differences, type Wanted, wantedOf } from "../saved-state.ts";
import { parseConfig, runsGluster, type SetupConfig } from "../setup/config.ts";
import { ONLY_REPLICATED } from "../setup/options.ts";
import { type Pool, readPool } from "../state.ts";
import { answer, type Command, columns } from "./command.ts";

const MAX_BYTES = 64 * 1024 * 1024;

export const DIFF: Command = {
  describe:
    "compares the cluster with a configuration (my_multihead_cluster.yaml, as gluster setup takes it) or with the state that " +
    "fencepost gluster backup saved: peers, volumes, copies, bricks, options, and with a configuration this node's mount",
  usage: "--config FILE | --backup FILE",
  takes: [0, 0],
  options: {
    config: { describe: "the configuration", type: "string", requiresArg: true, conflicts: "backup" },
    backup: { describe: "a gluster-state-….json of a backup", type: "string", requiresArg: true },
  },
  changes: false,
  examples: [
    ["--config ../my_multihead_cluster.yaml", "is it as configured?"],
    ["--backup /var/lib/fencepost/backup/gluster-state-2026-11-21T041500.json", "what has changed since?"],
  ],
  exits:
    "0 no difference · 1 differences · 76 or 124 gluster could not be asked · 78 the configuration is wrong · 65 not a saved state",
  run: async (call) => {
    const { host, args, called } = call;
    const path = args.config ?? args.backup;
    if (path === undefined)
      throw new OpsError("usage", `${called}: --config or --backup?`, { hint: `${called} --help` });
    const text = args.config === undefined ? await readWhole(String(path), MAX_BYTES) : host.readText(String(path));
    if (text === undefined)
      throw new OpsError("usage", `${escapeControl(String(path))}: not there`, { hint: `${called} --help` });
    const pool = withOwnNames(await readPool(host, () => false), await ownNames(host));
    const config = args.config === undefined ? undefined : parseConfig(text, String(path));
    const wanted = config ? wantedByConfig(config) : wantedOf(decodeSaved(text, String(path)));
    for (const warning of config?.warnings ?? []) call.context.err(`⚠ ${escapeControl(warning)}`);
    const effective = config ? await readEffective(host, pool, config.volume) : new Map();
    const found = [...differences(wanted, pool, effective), ...(config ? mountDifference(host, config) : [])];
    const rows = found.map(({ object, what, wanted: want, is }) => [object, what, `wanted ${want}`, `is ${is}`]);
    await answer(
      call,
      { source: String(path), differences: found },
      found.length === 0 ? ["no difference"] : columns(rows, ""),
    );
    return found.length === 0 ? 0 : 1;
  },
};

/** A default that is as the configuration wants it is no difference. A backup has what was set. */
async function readEffective(host: Host, { volumes }: Pool, name: string) {
  if (!volumes.some((volume) => volume.name === name)) return new Map();
  const options = await readOptions(host, name);
  return new Map([[name, new Map(options.map((option) => [option.name, option.value]))]]);
}

/** A configuration names this node by one of these; its own pool list calls it localhost. */
const withOwnNames = (pool: Pool, own: readonly string[]): Pool => ({
  ...pool,
  peers: pool.peers.map((peer) => (peer.isLocal ? { ...peer, hostnames: [...own, "localhost"] } : peer)),
});

export function wantedByConfig(config: SetupConfig): Wanted {
  const nodes = config.controllers.filter(runsGluster);
  const copies = config.replicaCount === "auto" ? Math.max(1, nodes.length) : config.replicaCount;
  // As setup makes it: an arbiter joins the first two copies, and gluster counts it as the third.
  const replica = config.arbiterCount === 1 && copies > 1 ? 3 : copies;
  const options = [...config.options].filter(([name]) => replica > 1 || !ONLY_REPLICATED.includes(name));
  return {
    isWhole: false,
    peers: nodes.map(({ hostname, address }) => ({ names: [address, hostname] })),
    volumes: [
      {
        name: config.volume,
        replica,
        arbiter: config.arbiterCount,
        started: true,
        bricks: nodes.map(({ address }) => `${address}:${config.brickPath}`),
        options: Object.fromEntries(options),
      },
    ],
  };
}

function mountDifference(host: Host, { volume, mountPoint }: SetupConfig): Difference[] {
  const mounted = readMounts(host).findLast(({ point }) => point === mountPoint);
  const isSo = mounted?.type === "fuse.glusterfs" && mounted.source.endsWith(`:/${volume}`);
  if (isSo) return [];
  return [
    { object: `mount ${mountPoint}`, what: "of this node", wanted: `:/${volume}`, is: mounted?.source ?? "nothing" },
  ];
}
