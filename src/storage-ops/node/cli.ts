/**
 * `fencepost node add|remove --service glusterfs --ip IP`: words → state → plan → (dry run) → steps, journaled.
 * Output: the lines these commands have always printed, and a log file; --json: one object.
 * Errors: OpsError usage, unsafe (107: with every reason), privilege; those of the steps.
 */
import type { Options } from "yargs";
import { OpsError } from "../../core/errors.ts";
import { JOURNAL_DIRECTORY, newJournalId } from "../../core/journal.ts";
import type { Plan } from "../../core/plan.ts";
import type { ProgramContext } from "../../core/program.ts";
import { isHostWord } from "../../core/ssh.ts";
import { escapeControl } from "../../core/text.ts";
import { createParser } from "../../core/words.ts";
import { GROW, type Grow, planAdd, planRemove } from "../gluster/plan.ts";
import { checkBrickPath, readSite } from "../gluster/site.ts";
import { checkVolumeName, readPool, type Volume } from "../gluster/state.ts";
import { openOperationLog } from "../operation-log.ts";
import { planRecord, renderPlan, reportRecord } from "../render.ts";
import { requireRoot, runNewPlan } from "../run-plan.ts";

const VERBS = {
  add: "brings a node into the pool and a brick of it into a volume, and waits until the data is there",
  remove: "takes a node's bricks out of their volumes, once nothing needs them, and the node out of the pool",
} as const;
type Verb = keyof typeof VERBS;

const SHARED = {
  service: { describe: "what runs on the node", choices: ["glusterfs"] as const, demandOption: true },
  ip: {
    describe: "the node, as the pool names it; several times for several nodes at once",
    type: "string",
    array: true,
    demandOption: true,
    requiresArg: true,
  },
  "dry-run": { describe: "show exactly what would be run; change nothing", type: "boolean" },
  json: { describe: "one JSON object", type: "boolean" },
} as const satisfies Record<string, Options>;

const ADD = {
  ...SHARED,
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
} as const satisfies Record<string, Options>;

const REMOVE = {
  ...SHARED,
  yes: { describe: "do not ask on a terminal", type: "boolean" },
} as const satisfies Record<string, Options>;

const EXITS = `Exit: 0 done · 107 refused: it could lose data or could not be checked · 10 stopped halfway, see fencepost journal ·
64 wrong words or numbers · 124 not decided in time · 1 failed`;

export async function runNode(context: ProgramContext, words: readonly string[], called: string): Promise<number> {
  const [first = "", ...rest] = words;
  if (first === "add") return runAdd(context, rest, `${called} add`);
  if (first === "remove") return runRemove(context, rest, `${called} remove`);
  const parser = createParser(context, called).usage("Usage: $0 <command> [options]\n\nNodes of a storage service.");
  for (const verb of Object.keys(VERBS) as Verb[]) parser.command(verb, VERBS[verb]);
  parser
    .example("$0 add --service glusterfs --ip s5 --dry-run", "what it would do")

    .strict();
  const args = await parser.parse([...words]);
  if (!args.help) throw new OpsError("usage", `${called}: add or remove?`, { hint: `${called} --help` });
  await context.out(`${await parser.getHelp()}\n`);
  return 0;
}

async function runAdd(context: ProgramContext, words: readonly string[], called: string): Promise<number> {
  const parser = createParser(context, called)
    .usage(`Usage: $0 --service glusterfs --ip IP [options]\n\n${VERBS.add}.`)
    .options(ADD)
    .example("$0 --service glusterfs --ip 192.168.1.105", "one more copy of the only volume")
    .example("$0 --service glusterfs --ip s5 --dry-run", "exactly what would be run")
    .example("$0 --service glusterfs --ip s5 --as arbiter", "an arbiter for a replica 2 volume")
    .epilog(EXITS)
    .strict();
  if (words.some((word) => word === "--help" || word === "-h")) {
    await context.out(`${await parser.getHelp()}\n`);
    return 0;
  }
  const args = await parser.parse([...words]);
  const hosts = hostsIn(args.ip, args._, called);
  if (!args["dry-run"]) requireRoot(called);
  const { host } = context;
  const wanted = args.volume === undefined ? undefined : checkVolumeName(args.volume);
  const pool = await readPool(host, ({ name }) => wanted === undefined || name === wanted);
  const volume = volumeFor(pool.volumes, wanted, called);
  const path = checkBrickPath(args.brick ?? commonPath(volume, called));
  const sites = await Promise.all(hosts.map((one) => readSite(host, one, path)));
  const id = newJournalId(host, "node-add");
  const grow = args.as as Grow | undefined;
  const plan = planAdd(pool, { volume, sites, ...(grow ? { grow } : {}), backupFile: backupFile(id) });
  return carryOut(context, plan, id, {
    dryRun: args["dry-run"] === true,
    json: args.json === true,
    log: "/var/log/cluster_node_add.log",
  });
}

async function runRemove(context: ProgramContext, words: readonly string[], called: string): Promise<number> {
  const parser = createParser(context, called)
    .usage(`Usage: $0 --service glusterfs --ip IP [options]\n\n${VERBS.remove}.`)
    .options(REMOVE)
    .example("$0 --service glusterfs --ip s5 --dry-run", "or why it will not")
    .example("$0 --service glusterfs --ip 192.168.1.105", "one copy less, and the node out of the pool")
    .epilog(EXITS)
    .strict();
  if (words.some((word) => word === "--help" || word === "-h")) {
    await context.out(`${await parser.getHelp()}\n`);
    return 0;
  }
  const args = await parser.parse([...words]);
  const hosts = hostsIn(args.ip, args._, called);
  const dryRun = args["dry-run"] === true;
  if (!dryRun) requireRoot(called);
  const pool = await readPool(context.host);
  const id = newJournalId(context.host, "node-remove");
  const plan = planRemove(pool, { hosts, backupFile: backupFile(id) });
  if (!dryRun && context.terminal.isTerminal && !args.yes && !(await isConfirmed(context, plan))) {
    throw new OpsError("usage", `${called}: not confirmed: nothing was changed`, { hint: `${called} --dry-run` });
  }
  return carryOut(context, plan, id, { dryRun, json: args.json === true, log: "/var/log/cluster_node_remove.log" });
}

const backupFile = (id: string): string => `${JOURNAL_DIRECTORY}/${id}.glusterd.tar.gz`;

function hostsIn(ip: readonly string[], extra: readonly unknown[], called: string): string[] {
  const usage = (why: string): never => {
    throw new OpsError("usage", `${called}: ${why}`, { hint: `${called} --help` });
  };
  if (extra.length > 0) usage(`unexpected '${escapeControl(String(extra[0]).slice(0, 100))}'`);
  for (const host of ip)
    if (!isHostWord(host)) usage(`--ip: not an address or a name: '${escapeControl(host.slice(0, 100))}'`);
  if (new Set(ip.map((host) => host.toLowerCase())).size !== ip.length) usage("--ip: the same node twice");
  return [...ip];
}

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

/** What the source's command asked; ours takes the bricks out itself, so it is asked about what is going to happen. */
async function isConfirmed({ out, stdin }: ProgramContext, plan: Plan): Promise<boolean> {
  const takesBricks = plan.steps.some(({ kind }) => kind.startsWith("remove-brick"));
  await out(renderPlan(plan));
  await out(
    takesBricks
      ? "⚠ The bricks above are removed from their volumes first. Go on? (yes/no): "
      : "Have you removed all bricks from this node? (yes/no): ",
  );
  let answer = "";
  for await (const chunk of stdin()) {
    answer += Buffer.from(chunk).toString("utf8");
    if (answer.includes("\n") || answer.length > 100) break;
  }
  return answer.trim().toLowerCase() === "yes";
}

async function carryOut(
  context: ProgramContext,
  plan: Plan,
  id: string,
  { dryRun, json, log: logFile }: { dryRun: boolean; json: boolean; log: string },
): Promise<number> {
  const { host, out, err } = context;
  if (dryRun) {
    await out(json ? `${JSON.stringify({ dry_run: true, plan: planRecord(plan) })}\n` : renderPlan(plan, "[DRY-RUN] "));
    return 0;
  }
  const log = await openOperationLog(host, logFile, err);
  try {
    for (const warning of plan.warnings) err(`⚠ ${escapeControl(warning)}`);
    const reports = await runNewPlan({ context, log, toStderr: json }, id, plan);
    if (json) await out(`${JSON.stringify({ plan: planRecord(plan), ...reportRecord(plan, id, reports) })}\n`);
    return 0;
  } finally {
    await log.close();
  }
}
