/**
 * `fencepost gluster setup`: brings GlusterFS up on this node, as the first of a new cluster or as one more of one that is
 * there: configuration → what this node and the others say → mode → plan → (dry run) → steps, journaled.
 * Output: lines as the source's script printed them, and its log file; --json: one object.
 * Errors: OpsError config (line and key), unsafe (107: with every reason), privilege; those of the steps.
 */
import { OpsError, reasonOf } from "../../../core/errors.ts";
import { failureOf } from "../../../core/exec.ts";
import type { Host } from "../../../core/host.ts";
import { newJournalId, readJournals } from "../../../core/journal.ts";
import type { Plan, Standing, Step } from "../../../core/plan.ts";
import type { ProgramContext } from "../../../core/program.ts";
import { escapeControl } from "../../../core/text.ts";
import { createParser } from "../../../core/words.ts";
import { openOperationLog, SETUP_LOG } from "../../operation-log.ts";
import { isOpen, planRecord, renderPlan, reportRecord } from "../../render.ts";
import { requireRoot, runNewPlan } from "../../run-plan.ts";
import { readSite } from "../site.ts";
import { readPool } from "../state.ts";
import { type Controller, parseConfig, runsGluster, type SetupConfig } from "./config.ts";
import { discover, hostThrough, probeHere } from "./discover.ts";
import { installationFor, missingPrograms } from "./install.ts";
import { SETUP_KINDS } from "./kinds.ts";
import { type Decided, decideMode, type Found, type Wanted } from "./mode.ts";
import { hasSystemd, runMountEntry } from "./mount-command.ts";
import { MOUNT_WAYS, type MountWay } from "./mount-entry.ts";
import { ON_MEMBER, OPERATION, planSetup } from "./plan.ts";

const CONFIG_PATHS = ["/etc/fencepost/config.yaml", "../my_multihead_cluster.yaml"];

const LONG = `Brings GlusterFS up on this node: installs it, prepares the brick's directory, finds the active nodes, makes the volume
or joins it, mounts it. Run it on each controller in turn; run again, it mends what is missing and changes nothing else.

Without --bootstrap or --join it finds out by itself, and refuses where a machine that may have the volume does not answer.`;
const EXITS = `Exit: 0 done · 107 refused: it could lose data, split the cluster, or could not be checked · 78 the configuration is wrong ·
10 stopped halfway, see fencepost journal · 64 wrong words · 77 not root · 124 not decided in time · 1 failed`;

export async function runSetup(context: ProgramContext, words: readonly string[], called: string): Promise<number> {
  if (words[0] === "mount-entry") return runMountEntry(context, words.slice(1), `${called} mount-entry`);
  const parser = createParser(context, called)
    .usage(`Usage: $0 [options]\n\n${LONG}`)
    .option("config", {
      describe: `path to my_multihead_cluster.yaml (default: ${CONFIG_PATHS.join(", else ")})`,
      type: "string",
      requiresArg: true,
    })
    .option("bootstrap", { describe: "this is the first node: make a new cluster", type: "boolean" })
    .option("join", { describe: "join the cluster that is there", type: "boolean", conflicts: "bootstrap" })
    .option("mount-by", { describe: "what mounts the volume at boot", choices: MOUNT_WAYS, default: "fstab" })
    .option("dry-run", { describe: "show exactly what would be run; change nothing", type: "boolean" })
    .option("json", { describe: "one JSON object", type: "boolean" })
    .example("$0 --config ../my_multihead_cluster.yaml --dry-run", "what it would do on this node")
    .example("$0 --bootstrap", "the first node, whether the others are up or not")
    .example("$0 --join", "any further node")
    .epilog(EXITS)
    .strict();
  const args = await parser.parse([...words]);
  if (args.help) {
    await context.out(`${await parser.getHelp()}\n`);
    return 0;
  }
  const [dryRun, json] = [args["dry-run"] === true, args.json === true];
  if (!dryRun) requireRoot(called);
  const wanted: Wanted = args.bootstrap ? "bootstrap" : args.join ? "join" : "auto";
  const { plan, found, decided, journalId } = await prepareLogged();
  const about = { mode: decided.mode, node: found.self.hostname, address: found.self.address };
  if (dryRun) {
    const shown = await standings(plan, context.host);
    await context.out(
      json
        ? `${JSON.stringify({ dry_run: true, ...about, already: idsOf(shown, "done"), plan: planRecord(plan) })}\n`
        : renderDry(plan, shown),
    );
    return 0;
  }
  const reports = await runNewPlan({ context, toStderr: json }, journalId, plan);
  if (json)
    await context.out(
      `${JSON.stringify({ ...about, plan: planRecord(plan), ...reportRecord(plan, journalId, reports) })}\n`,
    );
  return 0;

  /** What was found on the way to the plan stands in the log too, and why there is none. */
  async function prepareLogged() {
    const log = dryRun ? undefined : await openOperationLog(context.host, SETUP_LOG, context.err);
    const tell = async (line: string): Promise<void> => {
      const safe = escapeControl(line);
      if (json) context.err(safe);
      else await context.out(`${safe}\n`);
      await log?.write("INFO", safe);
    };
    try {
      const config = readConfig(context.host, args.config as string | undefined);
      return await prepare(context, config, wanted, args["mount-by"] as MountWay, tell);
    } catch (error) {
      await log?.write("ERROR", escapeControl(reasonOf(error)));
      throw error;
    } finally {
      await log?.close();
    }
  }
}

function readConfig(host: Host, named: string | undefined): SetupConfig {
  for (const path of named === undefined ? CONFIG_PATHS : [named]) {
    let text: string | undefined;
    try {
      text = host.readText(path);
    } catch (error) {
      throw new OpsError("io", `${path}: cannot be read: ${reasonOf(error)}`, { cause: error, hint: `ls -l ${path}` });
    }
    if (text !== undefined) return parseConfig(text, path);
  }
  const paths = named ?? CONFIG_PATHS.join(", ");
  throw new OpsError("config", `configuration: not there: ${paths}`, { hint: "fencepost gluster setup --config PATH" });
}

/** The controller whose address is one of this node's: addresses are compared whole. */
async function findSelf(host: Host, config: SetupConfig): Promise<Controller> {
  const result = await host.run(["hostname", "-I"], { timeoutMs: 10_000 });
  const failure = failureOf(result, 10_000);
  if (failure !== undefined) throw new OpsError("failed", `this node's addresses: ${failure}`, { hint: "ip address" });
  const own = result.stdout.split(/\s+/).filter((word) => word !== "");
  const [self, twin] = config.controllers.filter(({ address }) => own.includes(address));
  const bad = (why: string): never => {
    throw new OpsError("config", `${config.path}: nodes.controllers: ${why}`, { hint: "hostname -I" });
  };
  if (!self) return bad(`current controller not found: this node has ${own.join(", ") || "no address"}`);
  if (twin) return bad(`${self.hostname} and ${twin.hostname} both are this node`);
  return runsGluster(self) ? self : bad(`${self.hostname}: services.glusterfs is not true`);
}

async function prepare(
  { host, self: program }: ProgramContext,
  config: SetupConfig,
  wanted: Wanted,
  mountBy: MountWay,
  tell: (line: string) => Promise<void>,
): Promise<{ plan: Plan; found: Found; decided: Decided; journalId: string }> {
  const self = await findSelf(host, config);
  await tell(`[INFO] Step 1/8: Load configuration: ${config.path}`);
  await tell(`[INFO] Current controller: ${self.hostname} (${self.address}), volume ${config.volume}`);
  const others = config.controllers.filter((one) => runsGluster(one) && one !== self);
  await tell(`[INFO] Step 4/8: Discover active GlusterFS nodes: ${others.length} other controllers asked`);
  const [here, answers] = await Promise.all([probeHere(host), discover(host, others)]);
  const found: Found = { config, self, here, others: answers };
  const decided = decideMode(found, wanted);
  await tell("[INFO] Step 5/8: Determine operation mode");
  for (const line of decided.lines) await tell(`[INFO] ${line}`);
  const systemd = await hasSystemd(host);
  if (mountBy === "systemd" && !systemd)
    throw new OpsError("usage", "--mount-by systemd: systemd does not run here", { hint: "--mount-by fstab" });

  const member = decided.mode === "join" ? hostThrough(host, decided.member.address) : undefined;
  const journalId = newJournalId(host, "gluster-setup");
  const installation = installationFor(host.readText("/etc/os-release") ?? "", host.isExecutableFile("/usr/bin/dnf"));
  const isInstalled = missingPrograms(host).length === 0;
  const plan = planSetup({
    config,
    self,
    decision: decided,
    // As the member will look at it again right before the brick is added: by ssh from there.
    site: await readSite(
      member ?? host,
      self.address,
      decided.mode === "member" ? decided.brick.path : config.brickPath,
      { isHere: member === undefined, isBare: !isInstalled },
    ),
    answered: answers.flatMap(({ controller, answer }) => (answer.state === "unknown" ? [] : [controller.address])),
    isInstalled,
    hasSystemd: systemd,
    hasState: here.state === "active",
    mountBy,
    program: program ?? ["fencepost"],
    journalId,
    ...(member ? { pool: await readPool(member, ({ name }) => name === config.volume) } : {}),
    ...(installation ? { installation } : {}),
  });
  return {
    plan: { ...plan, warnings: [...(await openSetups(host)), ...decided.warnings, ...plan.warnings] },
    found,
    decided,
    journalId,
  };
}

/** A setup that was killed may be gone on with; running it anew goes on from what is there, and says so. */
async function openSetups(host: Host): Promise<string[]> {
  const { entries } = await readJournals(host).catch(() => ({ entries: [] }));
  return entries
    .filter((entry) => entry.plan.operation === OPERATION && isOpen(entry))
    .map(({ id, state }) => `an earlier setup is ${state}: fencepost journal resume ${id}, or undo`);
}

type Shown = { step: Step; standing: Standing };

/** Steps of this operation's own kinds; a backup is never there yet, and a heal is known by reading every file. */
async function standings(plan: Plan, host: Host): Promise<Shown[]> {
  return Promise.all(
    plan.steps.map(async (step): Promise<Shown> => {
      const standing = await SETUP_KINDS[step.kind]
        ?.standing(step, host)
        .catch((error: unknown): Standing => ({ state: "unknown", detail: reasonOf(error) }));
      return { step, standing: standing ?? { state: "unknown", detail: "" } };
    }),
  );
}

const idsOf = (shown: readonly Shown[], state: Standing["state"]): string[] =>
  shown.filter(({ standing }) => standing.state === state).map(({ step }) => step.id);

/** The source's lines first, then the plan itself. */
function renderDry(plan: Plan, shown: readonly Shown[]): string {
  const lines = shown.flatMap(({ step, standing }): string[] => {
    if (standing.state === "done") return [];
    switch (step.kind) {
      case "setup-install":
      case "setup-service":
      case "setup-daemon":
      case "setup-brick-directory":
      case "setup-mount":
        return [`Would ${step.title}`];
      case `${ON_MEMBER}peer-probe`:
        return [`Would run: gluster peer probe ${step.data.host}`];
      case `${ON_MEMBER}add-brick`:
      case "setup-volume-create":
        return [`Would create/join volume: ${step.data.volume}`];
      default:
        return [];
    }
  });
  const done = idsOf(shown, "done");
  if (done.length > 0) lines.push(`Already so: ${done.join(", ")}`);
  return `${lines.map((line) => `[DRY-RUN] ${escapeControl(line)}\n`).join("")}${renderPlan(plan, "[DRY-RUN] ")}`;
}
