/**
 * `fencepost node add|remove --service NAME --ip IP`: words → the service's plan → (dry run) → steps, journaled.
 * Output: the lines these commands have always printed, and a log file; --json: one object.
 * Errors: OpsError usage, unsafe (107: with every reason), privilege; those of the steps.
 */
import type { Options } from "yargs";
import { OpsError } from "../../core/errors.ts";
import { newJournalId } from "../../core/journal.ts";
import type { Plan } from "../../core/plan.ts";
import type { ProgramContext } from "../../core/program.ts";
import { isHostWord } from "../../core/ssh.ts";
import { escapeControl } from "../../core/text.ts";
import { createParser } from "../../core/words.ts";
import { planRecord, renderPlan, reportRecord } from "../render.ts";
import { requireRoot, runNewPlan } from "../run-plan.ts";
import { type Instructions, isInstructions, type NodeService } from "./service.ts";

const SERVICES = {
  glusterfs: async () => (await import("../gluster/node.ts")).GLUSTERFS,
  mariadb: async () => (await import("../services/mariadb/node.ts")).MARIADB,
  redis: async () => (await import("../services/redis/node.ts")).REDIS,
  slurm: async () => (await import("../services/slurm/node.ts")).SLURM,
} as const satisfies Record<string, () => Promise<NodeService>>;
type ServiceName = keyof typeof SERVICES;
const SERVICE_NAMES = Object.keys(SERVICES) as ServiceName[];

const VERBS = {
  add: "brings a node into a storage service, and waits until it has its part",
  remove: "takes a node out of a storage service, once nothing needs it",
} as const;
type Verb = keyof typeof VERBS;

const SHARED = {
  service: { describe: "what runs on the node", choices: SERVICE_NAMES, demandOption: true },
  ip: {
    describe: "the node, as the service names it; several times for several nodes at once",
    type: "string",
    array: true,
    demandOption: true,
    requiresArg: true,
  },
  "dry-run": { describe: "show exactly what would be run; change nothing", type: "boolean" },
  json: { describe: "one JSON object", type: "boolean" },
  yes: { describe: "do not ask on a terminal", type: "boolean" },
} as const satisfies Record<string, Options>;

const EXITS = `Exit: 0 done · 107 refused: it could lose data or could not be checked · 10 stopped halfway, see fencepost journal ·
64 wrong words or numbers · 124 not decided in time · 1 failed`;

export async function runNode(context: ProgramContext, words: readonly string[], called: string): Promise<number> {
  const [first = "", ...rest] = words;
  if (Object.hasOwn(VERBS, first)) return runVerb(context, rest, first as Verb, `${called} ${first}`);
  const parser = createParser(context, called).usage("Usage: $0 <command> [options]\n\nNodes of a storage service.");
  for (const verb of Object.keys(VERBS) as Verb[]) parser.command(verb, VERBS[verb]);
  parser.example("$0 add --service glusterfs --ip s5 --dry-run", "what it would do").strict();
  const args = await parser.parse([...words]);
  if (!args.help) throw new OpsError("usage", `${called}: add or remove?`, { hint: `${called} --help` });
  await context.out(`${await parser.getHelp()}\n`);
  return 0;
}

/** Each service has options of its own, so its name is looked for before the words are parsed. */
function serviceIn(words: readonly string[]): ServiceName | undefined {
  const at = words.indexOf("--service");
  const name = at >= 0 ? words[at + 1] : words.find((word) => word.startsWith("--service="))?.slice(10);
  return SERVICE_NAMES.find((one) => one === name);
}

async function runVerb(context: ProgramContext, words: readonly string[], verb: Verb, called: string) {
  const named = serviceIn(words);
  const names = named ? [named] : SERVICE_NAMES;
  const parser = createParser(context, called).usage(
    `Usage: $0 --service ${named ?? "NAME"} --ip IP [options]\n\n${VERBS[verb]}.`,
  );
  parser.options(SHARED);
  for (const name of names) {
    const { describe, options, examples } = (await SERVICES[name]())[verb];
    if (named) parser.usage(`Usage: $0 --service ${name} --ip IP [options]\n\n${describe}.`);
    parser.options(options).group(Object.keys(options), `Of --service ${name}:`);
    for (const [example, what] of examples) parser.example(`$0 --service ${name} ${example}`, what);
  }
  parser.example(`$0 --service ${named ?? "glusterfs"} --ip s5 --dry-run`, "exactly what would be run");
  parser.epilog(EXITS).strict();
  if (words.some((word) => word === "--help" || word === "-h")) {
    await context.out(`${await parser.getHelp()}\n`);
    return 0;
  }
  const args = await parser.parse([...words]);
  const hosts = hostsIn([args.ip].flat() as string[], args._, called);
  const dryRun = args["dry-run"] === true;
  if (!dryRun) requireRoot(called);
  const service = (await SERVICES[args.service as ServiceName]())[verb];
  const id = newJournalId(context.host, `node-${verb}`);
  const plan = await service.plan({ context, hosts, args, id, called });
  if (isInstructions(plan)) return instruct(context, plan, args.json === true);
  if (!dryRun && service.question && context.terminal.isTerminal && !args.yes) {
    if (!(await isConfirmed(context, plan, service.question(plan))))
      throw new OpsError("usage", `${called}: not confirmed: nothing was changed`, { hint: `${called} --dry-run` });
  }
  return carryOut(context, plan, id, { dryRun, json: args.json === true });
}

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

async function instruct({ out }: ProgramContext, { title, lines }: Instructions, json: boolean): Promise<number> {
  await out(json ? `${JSON.stringify({ instructions: title, lines })}\n` : `${[title, ...lines].join("\n")}\n`);
  return 0;
}

async function isConfirmed({ out, stdin }: ProgramContext, plan: Plan, question: string): Promise<boolean> {
  await out(renderPlan(plan));
  await out(`${question} (yes/no): `);
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
  { dryRun, json }: { dryRun: boolean; json: boolean },
): Promise<number> {
  const { out } = context;
  if (dryRun) {
    await out(json ? `${JSON.stringify({ dry_run: true, plan: planRecord(plan) })}\n` : renderPlan(plan, "[DRY-RUN] "));
    return 0;
  }
  const reports = await runNewPlan({ context, toStderr: json }, id, plan);
  if (json) await out(`${JSON.stringify({ plan: planRecord(plan), ...reportRecord(plan, id, reports) })}\n`);
  return 0;
}
