/**
 * The eight steps of a storage setup as one Plan. Pure: facts in, Plan out.
 * What grows a volume is planAdd's, with its gates; here those steps are only handed to the node that must run them.
 * Errors: OpsError unsafe with every reason against it, unsupported (a system that we install nothing on).
 */
import { OpsError } from "../../../core/errors.ts";
import type { Argv } from "../../../core/exec.ts";
import { JOURNAL_DIRECTORY, STATE_DIRECTORY } from "../../../core/journal.ts";
import type { Plan, Step } from "../../../core/plan.ts";
import { sshArgv } from "../../../core/ssh.ts";
import { backupStep, type Grow, POOL_OBJECT, planAdd, refuse } from "../plan.ts";
import { reasonsAgainstSite, type Site } from "../site.ts";
import { GLUSTER_TIMEOUT_MS, glusterArgv, type Pool, type Volume } from "../state.ts";
import { type Controller, runsGluster, type SetupConfig } from "./config.ts";
import type { Installation } from "./install.ts";
import type { Decision } from "./mode.ts";
import { deviceOf, fstabLine, type MountWay, UNIT_DIRECTORY, unitName } from "./mount-entry.ts";
import { judgeOptions, optionsFor, sameValue } from "./options.ts";

export const OPERATION = "gluster.setup";
/** In every setup; its data say where. */
export const SERVICE_STEP = "service";
/** The kinds of other operations, asked and run on a member of the pool by ssh. */
export const ON_MEMBER = "member-";

export type SetupFacts = {
  config: SetupConfig;
  self: Controller;
  decision: Decision;
  /** As the member, or this node, has it; undefined where there is none yet. */
  pool?: Pool;
  /** The brick's place on this node. */
  site: Site;
  /** glusterd has volumes or peers here: its configuration is saved before a first node's volume is made. */
  hasState: boolean;
  /** Other controllers that answered: they are locked while the first node makes the volume, and asked again before. */
  answered: readonly string[];
  /** undefined: of neither family. */
  installation?: Installation;
  isInstalled: boolean;
  hasSystemd: boolean;
  mountBy: MountWay;
  /** How this program is started again. */
  program: Argv;
  journalId: string;
};

const QUICK_MS = 30_000;
const INSTALL_MS = 1_800_000;
/** A command that a killed setup left running is waited for by the next one: two mounts would lie upon each other. */
const alone = (...argv: string[]): Argv => [
  "flock",
  "--close",
  "--timeout",
  "100",
  "/run/fencepost/setup.lock",
  ...argv,
];
const heading = (number: number, what: string): string => `[INFO] Step ${number}/8: ${what}`;

/** What most steps are; the rest is said where it differs. */
const step = (one: Pick<Step, "id" | "kind" | "title" | "argv" | "doneWhen"> & Partial<Step>): Step => ({
  timeoutMs: QUICK_MS,
  destructive: false,
  waits: false,
  data: {},
  ...one,
});

export function planSetup(facts: SetupFacts): Plan {
  const { config, self, decision } = facts;
  const warnings = [...config.warnings];
  if (!facts.hasSystemd) {
    warnings.push("systemd does not run here: glusterd is started, but nothing enables it for the next boot");
  }
  const judged = judgeOptions(config.options, volumeNow(facts), copiesWanted(config) + config.arbiterCount);
  refuse(`setup of ${self.hostname}: ${config.path}`, judged.reasons, `fencepost gluster options ${config.volume}`);
  warnings.push(...judged.warnings);
  const growth = decision.mode === "join" ? planGrowth(facts, decision.member) : undefined;
  warnings.push(...(growth?.warnings ?? []));
  const hosts = config.controllers.filter(runsGluster).length;
  if (copiesWanted(config) > hosts)
    warnings.push(`replica_count is ${copiesWanted(config)}, but only ${hosts} controllers run GlusterFS`);
  const steps = [
    ...installSteps(facts),
    serviceStep(facts),
    ...brickDirectorySteps(facts),
    ...(growth?.steps ?? []),
    ...(decision.mode === "bootstrap" ? volumeSteps(facts) : []),
    ...(decision.mode === "member" ? mendingSteps(facts, decision.volume) : []),
    ...mountSteps(facts),
    ...(decision.mode === "member" && decision.volume.replica > 1 ? [healedStep(decision.volume)] : []),
  ];
  return {
    version: 1,
    operation: OPERATION,
    title: `set up GlusterFS on ${self.hostname} (${decision.mode})`,
    object: POOL_OBJECT,
    warnings,
    picture: growth?.picture ?? [
      decision.mode === "bootstrap" ? `now   no volume ${config.volume}` : `now   ${config.volume}: as it is`,
      `then  ${config.volume}: ${decision.mode === "bootstrap" ? `1 × 1: [${brickOf(facts)}]` : "as it is"}`,
    ],
    steps,
  };
}

const volumeNow = ({ config, decision, pool }: SetupFacts): Volume | undefined =>
  decision.mode === "member" ? decision.volume : pool?.volumes.find(({ name }) => name === config.volume);

const brickOf = ({ config, self, decision }: SetupFacts): string =>
  decision.mode === "member" ? decision.brick.name : `${self.address}:${config.brickPath}`;

const backupFileOf = ({ journalId }: SetupFacts): string => `${JOURNAL_DIRECTORY}/${journalId}.glusterd.tar.gz`;

/** What a fresh process needs to know of it: who we are, where the pool is asked, whom to lock. */
const placeData = ({ self, decision, answered }: SetupFacts) => ({
  self: self.address,
  member: decision.mode === "join" ? decision.member.address : "",
  answered,
});

// ── 2 install, 3 brick directory ────────────────────────────────────────────────────────────────────────────────────

function installSteps({ installation, isInstalled, self }: SetupFacts): Step[] {
  if (!installation) {
    if (isInstalled) return [];
    throw new OpsError(
      "unsupported",
      `setup of ${self.hostname}: GlusterFS is not installed, and this system is neither Debian's nor Red Hat's family`,
      {
        hint: "install glusterfs-server and its client, then run it again",
      },
    );
  }
  const { prepare, install, system } = installation;
  const steps: Step[] = [];
  if (prepare && !isInstalled) {
    steps.push(
      step({
        id: "package-source",
        kind: "setup-package-source",
        title: "make the GlusterFS packages known",
        argv: prepare.argv,
        timeoutMs: INSTALL_MS,
        doneWhen: `${prepare.known.join(" ")} exits 0`,
        data: { known: prepare.known },
      }),
    );
  }
  steps.push(
    step({
      id: "install",
      kind: "setup-install",
      title: "install GlusterFS packages",
      argv: install,
      timeoutMs: INSTALL_MS,
      doneWhen: "glusterd, gluster and mount.glusterfs are there",
      data: { system },
    }),
  );
  const [first, ...others] = steps;
  return first ? [{ ...first, before: [heading(2, `Check and install GlusterFS (${system})`)] }, ...others] : [];
}

function serviceStep(facts: SetupFacts): Step {
  // It waits, because a daemon that has just been started may need a moment until it answers.
  const common = { id: SERVICE_STEP, timeoutMs: 120_000, waits: true, data: placeData(facts) };
  if (facts.hasSystemd) {
    return step({
      ...common,
      kind: "setup-service",
      title: "enable and start glusterd service",
      argv: ["systemctl", "enable", "--now", "glusterd"],
      doneWhen: "systemctl calls it enabled, and gluster answers",
      undo: { argv: ["systemctl", "disable", "--now", "glusterd"], timeoutMs: 120_000 },
    });
  }
  return step({
    ...common,
    kind: "setup-daemon",
    title: "start glusterd (systemd does not run here, so nothing enables it for the next boot)",
    // As its unit starts it.
    argv: alone("glusterd", "--pid-file=/run/glusterd.pid"),
    doneWhen: "gluster answers",
  });
}

function brickDirectorySteps(facts: SetupFacts): Step[] {
  const { config, self, decision, site, journalId } = facts;
  const what = `setup of ${self.hostname}`;
  if (decision.mode === "member") {
    // An empty directory in the place of a brick whose disk is gone would only hide that it is gone.
    const gone = site.problem ?? (site.content === "absent" ? "it is not there: is its disk mounted?" : undefined);
    refuse(what, gone === undefined ? [] : [`brick ${site.path}: ${gone}`], "findmnt; fencepost gluster health");
    return [];
  }
  const above = config.brickPath.slice(0, config.brickPath.lastIndexOf("/"));
  refuse(what, reasonsAgainstSite(site), `mount a disk of its own at ${above || "a directory above it"}`);
  const undone = `${config.brickPath}.undone-${journalId}`;
  return [
    step({
      id: "brick-directory",
      kind: "setup-brick-directory",
      title: `create directory: ${config.brickPath}`,
      argv: ["mkdir", "-p", "-m", "755", config.brickPath],
      doneWhen: "it is a directory",
      requires: "a filesystem of its own, mounted above it, with nothing in that place",
      undo: { argv: ["mv", "-T", "--", config.brickPath, undone], timeoutMs: QUICK_MS },
      data: { path: config.brickPath, self: self.address },
      before: [heading(3, "Prepare brick directory")],
    }),
  ];
}

// ── 6 peers and 7 volume, joining ───────────────────────────────────────────────────────────────────────────────────

function planGrowth(facts: SetupFacts, member: Controller): Plan {
  const { config, pool, site, self } = facts;
  const volume = volumeNow(facts);
  if (!pool || !volume) throw new OpsError("bug", `setup: no volume ${config.volume} on ${member.hostname}`);
  const grow = growthOf(config, volume);
  const plan = planAdd(pool, { volume, sites: [site], grow, backupFile: backupFileOf(facts) });
  const there = (one: Step): Step => ({
    ...one,
    kind: `${ON_MEMBER}${one.kind}`,
    title: `${one.title} (on ${member.hostname})`,
    argv: sshArgv(member.address, one.argv),
    ...(one.undo && "argv" in one.undo ? { undo: { ...one.undo, argv: sshArgv(member.address, one.undo.argv) } } : {}),
    data: { ...one.data, member: member.address },
  });
  const steps = plan.steps.flatMap((one): Step[] => {
    switch (one.kind) {
      case "backup":
        return [there(backupDirectoryStep()), there(one)];
      case "peer-probe":
        return [
          { ...there(one), before: [heading(6, "Peer connection")], after: [`[INFO] Connected to ${member.hostname}`] },
        ];
      case "add-brick": {
        const copies = grow === "distribute" ? volume.replica : volume.replica + 1;
        const add = {
          ...there(one),
          before: [heading(7, "Volume creation/join")],
          after: ["[SUCCESS] Brick added to volume"],
        };
        return [add, ...optionSteps(config, volume, copies).map(there)];
      }
      default:
        return [{ ...there(one), after: (one.after ?? []).map((line) => line.replace(/^✓/, "[SUCCESS]")) }];
    }
  });
  return { ...plan, title: `bring ${self.hostname} into volume ${config.volume}`, steps };
}

/** One more copy until there are as many as wanted; then room, where gluster can make it with one brick. */
function growthOf(config: SetupConfig, volume: Volume): Grow {
  const wanted = copiesWanted(config);
  if (config.arbiterCount === 1 && volume.replica === 2 && volume.arbiter === 0) return "arbiter";
  return volume.replica < wanted && volume.arbiter === 0 ? "replica" : "distribute";
}

const copiesWanted = ({ replicaCount, controllers }: SetupConfig): number =>
  replicaCount === "auto" ? Math.max(1, controllers.filter(runsGluster).length) : replicaCount;

/** Fencepost may never have run there. */
const backupDirectoryStep = (): Step =>
  step({
    id: "backup-directory",
    kind: "setup-directories",
    title: "make a place for the backup",
    argv: ["mkdir", "-p", "-m", "700", STATE_DIRECTORY, JOURNAL_DIRECTORY],
    doneWhen: "it is a directory",
    data: { paths: [STATE_DIRECTORY, JOURNAL_DIRECTORY] },
  });

// ── 7 volume, first node ────────────────────────────────────────────────────────────────────────────────────────────

function volumeSteps(facts: SetupFacts): Step[] {
  const { config, self, answered } = facts;
  const brick = brickOf(facts);
  const data = { volume: config.volume, brick, path: config.brickPath, self: self.address, answered };
  const gluster = (...words: string[]): Argv => glusterArgv("volume", ...words);
  const undo = (...words: string[]) => ({ argv: gluster(...words), timeoutMs: GLUSTER_TIMEOUT_MS });
  return [
    ...(facts.hasState ? [backupStep(backupFileOf(facts))] : []),
    step({
      id: "volume-create",
      kind: "setup-volume-create",
      title: `create volume ${config.volume} with brick ${brick}`,
      argv: gluster("create", config.volume, brick),
      timeoutMs: GLUSTER_TIMEOUT_MS,
      doneWhen: "volume info lists the brick",
      requires: "the brick's place still empty, and still no controller that has the volume",
      undo: undo("delete", config.volume),
      data,
      before: [heading(6, "Peer connection: none yet"), heading(7, "Volume creation/join")],
    }),
    // They go with the volume: nothing to take back.
    ...optionSteps(config, undefined, 1),
    step({
      id: "volume-start",
      kind: "setup-volume-start",
      title: `start volume ${config.volume}`,
      argv: gluster("start", config.volume),
      timeoutMs: GLUSTER_TIMEOUT_MS,
      doneWhen: "volume status shows the brick online",
      undo: undo("stop", config.volume),
      data,
      after: ["[SUCCESS] Volume created and started"],
    }),
  ];
}

/** A node that has its brick: the volume runs, with the options of the file. */
function mendingSteps(facts: SetupFacts, volume: Volume): Step[] {
  const { config } = facts;
  return [
    step({
      id: "volume-start",
      kind: "setup-volume-start",
      title: `start volume ${config.volume}`,
      argv: glusterArgv("volume", "start", config.volume),
      timeoutMs: GLUSTER_TIMEOUT_MS,
      doneWhen: "volume status shows this node's brick online",
      data: { volume: config.volume, brick: brickOf(facts) },
      before: [heading(7, "Volume")],
    }),
    ...optionSteps(config, volume, volume.replica),
  ];
}

/** A setup that was killed while the new copy filled is run again: it is not over before that is whole, as for the add itself. */
const healedStep = ({ name, bricks }: Volume): Step =>
  step({
    id: "heal",
    kind: "heal",
    title: `heal volume ${name}`,
    argv: glusterArgv("volume", "heal", name, "full"),
    timeoutMs: GLUSTER_TIMEOUT_MS,
    waits: true,
    repeats: true,
    doneWhen:
      "heal info has no entry on any brick, every brick answers, no crawl is at work, and no file on any brick blames another copy (trusted.afr)",
    data: { volume: name, bricks: [], before: bricks.map((brick) => brick.name) },
  });

function optionSteps({ volume, options }: SetupConfig, now: Volume | undefined, copies: number): Step[] {
  return optionsFor(options, copies).map(([name, value]) => {
    const previous = now?.options.get(name);
    const drift = previous === undefined || sameValue(previous, value) ? "" : ` (it is ${previous})`;
    const back = previous === undefined ? ["reset", volume, name] : ["set", volume, name, previous];
    return step({
      id: `option-${name}`,
      kind: "setup-option",
      title: `set ${name} to ${value}${drift}`,
      argv: glusterArgv("volume", "set", volume, name, value),
      timeoutMs: GLUSTER_TIMEOUT_MS,
      doneWhen: "volume info shows the value",
      ...(now ? { undo: { argv: glusterArgv("volume", ...back), timeoutMs: GLUSTER_TIMEOUT_MS } } : {}),
      data: { volume, name, value, ...(previous === undefined ? {} : { previous }) },
      before: [`[INFO] Option ${name} = ${value}`],
    });
  });
}

// ── 8 mount ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function mountSteps(facts: SetupFacts): Step[] {
  const { config, mountBy, program, decision } = facts;
  const { volume, mountPoint } = config;
  const data = { volume, mountPoint, by: mountBy };
  const entry = (verb: string): Argv => [
    ...program,
    ...["gluster", "setup", "mount-entry", verb, "--volume", volume, "--at", mountPoint, "--mount-by", mountBy],
  ];
  const unit = unitName(mountPoint);
  const bySystemd = mountBy === "systemd";
  const steps = [
    step({
      id: "mount-point",
      kind: "setup-directories",
      title: `create mount point ${mountPoint}`,
      argv: ["mkdir", "-p", mountPoint],
      doneWhen: "it is a directory",
      undo: { argv: ["rmdir", "--", mountPoint], timeoutMs: QUICK_MS },
      data: { paths: [mountPoint] },
      before: [heading(8, "Mount volume")],
    }),
    step({
      id: "mount-entry",
      kind: "setup-mount-entry",
      title: bySystemd ? `write ${UNIT_DIRECTORY}/${unit}` : `add to /etc/fstab: ${fstabLine(volume, mountPoint)}`,
      argv: entry("add"),
      doneWhen: bySystemd ? "the unit's file is there as we write it" : "/etc/fstab has one entry for the mount point",
      undo: { argv: entry("remove"), timeoutMs: QUICK_MS },
      data,
    }),
    step({
      id: "mount",
      kind: "setup-mount",
      title: `mount ${deviceOf(volume)} at ${mountPoint}`,
      // By the entry just made, so that it is proven before the next boot needs it.
      argv: bySystemd ? ["systemctl", "enable", "--now", unit] : alone("mount", mountPoint),
      timeoutMs: 120_000,
      doneWhen: "the kernel's mount table has it, and it answers",
      requires: "nothing lies in the mount point",
      undo: {
        argv: bySystemd ? ["systemctl", "disable", "--now", unit] : ["umount", "--", mountPoint],
        timeoutMs: 120_000,
      },
      data,
      after: [`[SUCCESS] Volume mounted at ${mountPoint}`],
    }),
  ];
  // The first node's task, also when it is run again there.
  if (decision.mode === "bootstrap" || (decision.mode === "member" && decision.volume.bricks[0] === decision.brick)) {
    const paths = config.directories.map((path) => `${mountPoint}/${path}`);
    steps.push(
      step({
        id: "directory-tree",
        kind: "setup-tree",
        title: `create on the volume: ${config.directories.join(", ")}`,
        argv: ["mkdir", "-p", "--", ...paths],
        doneWhen: "they are directories",
        requires: "the volume is mounted there",
        data: { ...data, paths },
        after: ["[SUCCESS] Directory structure created"],
      }),
    );
  }
  return steps;
}
