/**
 * `fencepost node add|remove --service glusterfs`: words → the pool's state → a plan.
 * Errors: OpsError usage (which volume, which path), unsafe with every reason; those of reading the pool.
 */
import { OpsError, reasonOf } from "../../core/errors.ts";
import { JOURNAL_DIRECTORY } from "../../core/journal.ts";
import type { Plan } from "../../core/plan.ts";
import { escapeControl } from "../../core/text.ts";
import type { NodeCall, NodeService } from "../node/service.ts";
import { type BrickSpace, readCapacity } from "./capacity.ts";
import { isHere, withNames } from "./names.ts";
import { GROW, type Grow, planAdd } from "./plan.ts";
import { planRemove } from "./remove-plan.ts";
import { checkBrickPath, readSite } from "./site.ts";
import { checkVolumeName, readPool, type Volume } from "./state.ts";

export const GLUSTERFS: NodeService = {
  add: {
    describe: "brings a node into the pool and a brick of it into a volume, and waits until the data is there",
    options: {
      volume: { describe: "the volume, where there are several", type: "string", requiresArg: true },
      brick: {
        describe: "the brick's path on the node, where the volume's bricks have not all the same",
        type: "string",
        requiresArg: true,
      },
      as: {
        describe:
          "one more copy, more room, or an arbiter (default: a copy where the volume is one replica set, else room)",
        choices: GROW,
      },
    },
    examples: [
      ["--ip 192.168.1.105", "one more copy of the only volume"],
      ["--ip s5 --as arbiter", "an arbiter for a replica 2 volume"],
    ],
    plan: async (call) => {
      const { context, args, hosts, id, called } = call;
      const { host } = context;
      const wanted = args.volume === undefined ? undefined : checkVolumeName(String(args.volume));
      const read = await readPool(host, ({ name }) => wanted === undefined || name === wanted);
      const pool = await withNames(host, read, hosts);
      const volume = volumeFor(pool.volumes, wanted, called);
      const path = checkBrickPath(args.brick === undefined ? commonPath(volume, called) : String(args.brick));
      const [spaces, ...sites] = await Promise.all([
        spacesOf(call, volume.name),
        ...hosts.map((one) => readSite(host, one, path, { isHere: isHere(pool, one) })),
      ]);
      const grow = args.as as Grow | undefined;
      return planAdd(pool, { volume, sites, ...(grow ? { grow } : {}), backupFile: backupFile(id), ...spaces });
    },
  },
  remove: {
    describe: "takes a node's bricks out of their volumes, once nothing needs them, and the node out of the pool",
    options: {},
    examples: [["--ip 192.168.1.105", "one copy less, and the node out of the pool"]],
    plan: async (call) => {
      const pool = await readPool(call.context.host);
      return planRemove(pool, { hosts: call.hosts, backupFile: backupFile(call.id), ...(await spacesOf(call)) });
    },
    // What the source's command asked; ours takes the bricks out itself, so it is asked about what is going to happen.
    question: ({ steps }: Plan) =>
      steps.some(({ kind }) => kind.startsWith("remove-brick"))
        ? "⚠ The bricks above are removed from their volumes first. Go on?"
        : "Have you removed all bricks from this node?",
  },
};

/** How full the bricks are: asked where somebody is going to see the plan; without an answer it says unknown. */
async function spacesOf(
  { context: { host, err, terminal }, args }: NodeCall,
  volume?: string,
): Promise<{ spaces?: ReadonlyMap<string, BrickSpace> }> {
  if (args["dry-run"] !== true && args.json !== true && !terminal.isTerminal) return {};
  try {
    return { spaces: await readCapacity(host, volume) };
  } catch (error) {
    err(`how full the bricks are could not be read: ${escapeControl(reasonOf(error))}`);
    return { spaces: new Map() };
  }
}

const backupFile = (id: string): string => `${JOURNAL_DIRECTORY}/${id}.glusterd.tar.gz`;

function volumeFor(volumes: readonly Volume[], wanted: string | undefined, called: string): Volume {
  const names = volumes.map(({ name }) => name).join(", ") || "none";
  const found =
    wanted === undefined
      ? volumes.length === 1
        ? volumes[0]
        : undefined
      : volumes.find(({ name }) => name === wanted);
  if (found) return found;
  const why = wanted === undefined ? "which volume?" : `no volume ${wanted};`;
  throw new OpsError("usage", `${called}: ${why} there are: ${names}`, { hint: `${called} --volume NAME` });
}

function commonPath({ name, bricks }: Volume, called: string): string {
  const paths = [...new Set(bricks.map(({ path }) => path))];
  if (paths.length === 1 && paths[0] !== undefined) return paths[0];
  throw new OpsError(
    "usage",
    `${called}: the bricks of volume ${name} have several paths: ${paths.slice(0, 4).join(", ")}`,
    {
      hint: `${called} --brick PATH`,
    },
  );
}
