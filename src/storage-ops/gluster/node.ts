/**
 * `fencepost node add|remove --service glusterfs`: words → the pool's state → a plan.
 * Errors: OpsError usage (which volume, which path), unsafe with every reason; those of reading the pool.
 */
import { OpsError } from "../../core/errors.ts";
import { JOURNAL_DIRECTORY } from "../../core/journal.ts";
import type { Plan } from "../../core/plan.ts";
import type { NodeService } from "../node/service.ts";
import { GROW, type Grow, planAdd, planRemove } from "./plan.ts";
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
    plan: async ({ context: { host }, args, hosts, id, called }) => {
      const wanted = args.volume === undefined ? undefined : checkVolumeName(String(args.volume));
      const pool = await readPool(host, ({ name }) => wanted === undefined || name === wanted);
      const volume = volumeFor(pool.volumes, wanted, called);
      const path = checkBrickPath(args.brick === undefined ? commonPath(volume, called) : String(args.brick));
      const sites = await Promise.all(hosts.map((one) => readSite(host, one, path)));
      const grow = args.as as Grow | undefined;
      return planAdd(pool, { volume, sites, ...(grow ? { grow } : {}), backupFile: backupFile(id) });
    },
  },
  remove: {
    describe: "takes a node's bricks out of their volumes, once nothing needs them, and the node out of the pool",
    options: {},
    examples: [["--ip 192.168.1.105", "one copy less, and the node out of the pool"]],
    plan: async ({ context, hosts, id }) =>
      planRemove(await readPool(context.host), { hosts, backupFile: backupFile(id) }),
    // What the source's command asked; ours takes the bricks out itself, so it is asked about what is going to happen.
    question: ({ steps }: Plan) =>
      steps.some(({ kind }) => kind.startsWith("remove-brick"))
        ? "⚠ The bricks above are removed from their volumes first. Go on?"
        : "Have you removed all bricks from this node?",
  },
};

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
