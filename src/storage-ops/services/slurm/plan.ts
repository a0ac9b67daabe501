/**
 * Which commands bring a node into slurm.conf and take it out again, on every host that has a copy. Pure.
 * Every daemon is restarted when nodes come or go, which every version takes: up to 23.02 `scontrol reconfigure` refuses a
 * changed number of nodes (read_config.c), from 23.11 on it would do (FAQ "add nodes" of 24.05). Running jobs go on.
 * sed changes single lines of each copy by number, so comments and order stay; it writes a new file, gives it the old one's
 * owner and mode, renames it, and keeps the old one as `slurm.conf.fencepost-ID`.
 * Source: scontrol(1) "reconfigure", slurm.conf(5), FAQ "add nodes" of Slurm 22.05; sed(1) --in-place.
 */
import type { Argv } from "../../../core/exec.ts";
import type { Plan, Step, StepData } from "../../../core/plan.ts";
import { applyEdits, type Conf, type Edit, hashOf, sedWords } from "./conf.ts";
import { HERE, onHost, TIMEOUT_MS } from "./state.ts";

const OBJECT = "slurm-conf";
const RESTART_MS = 120_000;

/** A host with a copy of slurm.conf, and what runs on it. `where` is HERE or what ssh is given. */
export type Copy = { name: string; where: string; isController: boolean; isNode: boolean };

export type Change = {
  id: string;
  conf: Conf;
  edits: readonly Edit[];
  /** Those that have the copy now and go on having it. */
  copies: readonly Copy[];
};

const shared = ({ conf, edits }: Change, target: string): Record<string, string> => ({
  file: conf.file,
  before: conf.hash,
  after: hashOf(applyEdits(conf, edits)),
  target,
});
const at = (name: string, where: string): string => (where === HERE ? "here" : name);

function editSteps(
  change: Change,
  target: string,
  way: "add" | "remove",
  { isDrained = false, isController = false } = {},
): Step[] {
  const { conf, edits, copies, id } = change;
  const words: Argv = ["sed", `--in-place=.fencepost-${id}`, "--follow-symlinks", ...sedWords(edits), conf.file];
  const service = `--service slurm${isController ? " --controller" : ""}`;
  const back =
    way === "add" ? `fencepost node remove ${service} takes it out` : `fencepost node add ${service} brings it back`;
  return copies.map(
    ({ name, where }): Step => ({
      id: `conf-${name}`,
      kind: "slurm-conf",
      title: `${way} ${target} in ${conf.file} (${at(name, where)})`,
      argv: onHost(where, words),
      timeoutMs: TIMEOUT_MS,
      destructive: true,
      waits: false,
      doneWhen: "the file's checksum is that of the changed one",
      requires: `the file is the one this was planned for${isDrained ? ", and no job is on the drained node" : ""}`,
      undo: { impossible: back },
      data: { ...shared(change, target), where, isDrained },
      before: [`ℹ ${conf.file} (${at(name, where)}):`, ...shownEdits(conf, edits)],
    }),
  );
}

/** As in a diff. */
export const shownEdits = ({ lines }: Conf, edits: readonly Edit[]): string[] =>
  edits.flatMap(({ at: number, how, text }) => [
    ...(how === "after" ? [] : [`  - ${lines[number - 1]?.text ?? ""}`]),
    ...(how === "delete" ? [] : [`  + ${text}`]),
  ]);

function restartStep(
  daemon: "slurmctld" | "slurmd",
  { name, where }: Copy,
  { conf }: Change,
  more: Partial<Step> & { data?: StepData } = {},
): Step {
  return {
    id: `${daemon}-${name}`,
    kind: "slurm-daemon",
    title: `restart ${daemon} (${at(name, where)})`,
    argv: onHost(where, ["systemctl", "restart", daemon]),
    timeoutMs: RESTART_MS,
    destructive: false,
    waits: false,
    doneWhen: `it has begun after ${conf.file} was changed`,
    ...more,
    data: { where, file: conf.file, daemon, ...more.data },
  };
}

/** The primary first: it tells the others; then the backups, then every node. */
function restartSteps(change: Change, target: string, way: "add" | "remove"): Step[] {
  const controllers = change.copies.filter(({ isController }) => isController);
  const first = [...controllers].sort((a, b) => Number(b.where === HERE) - Number(a.where === HERE));
  return [
    ...first.map((copy) =>
      copy.where === HERE
        ? restartStep("slurmctld", copy, change, {
            kind: "slurm-controller",
            doneWhen: `slurmctld ${way === "add" ? "knows" : "no longer knows"} ${target}`,
            data: { target, way },
          })
        : restartStep("slurmctld", copy, change),
    ),
    ...change.copies.filter(({ isNode }) => isNode).map((copy) => restartStep("slurmd", copy, change)),
  ];
}

export type Newcomer = Copy & { isConfigless: boolean };

const copyStep = (change: Change, name: string, where: string): Step => ({
  id: `copy-${name}`,
  kind: "slurm-copy",
  title: `copy ${change.conf.file} to ${name}`,
  argv: [
    "scp",
    "-oBatchMode=yes",
    "-oConnectTimeout=10",
    "--",
    change.conf.file,
    `${where.includes(":") ? `[${where}]` : where}:${change.conf.file}`,
  ],
  timeoutMs: TIMEOUT_MS,
  destructive: false,
  waits: false,
  doneWhen: "the file there has the same checksum",
  data: { ...shared(change, name), where },
});

export function planAdd(change: Change, newcomer: Newcomer, warnings: readonly string[]): Plan {
  const { name, where } = newcomer;
  const { conf } = change;
  const steps = [...editSteps(change, name, "add")];
  if (!newcomer.isConfigless) steps.push(copyStep(change, name, where));
  steps.push(...restartSteps(change, name, "add"));
  steps.push(
    restartStep("slurmd", newcomer, change, {
      id: `online-${name}`,
      kind: "slurm-online",
      title: `start slurmd on ${name}, until it can take jobs`,
      waits: true,
      doneWhen: "slurmctld says IDLE, MIXED or ALLOCATED of it, and nothing else",
      data: { target: name },
      after: [`✓ Node ${name} added to Slurm`],
    }),
  );
  return {
    version: 1,
    operation: "slurm.node-add",
    title: `add node ${name} to Slurm`,
    object: OBJECT,
    warnings,
    picture: [conf.file, ...shownEdits(conf, change.edits)],
    steps,
  };
}

export function planRemove(change: Change, leaver: Copy & { answers: boolean }, warnings: readonly string[]): Plan {
  const { name, where } = leaver;
  const steps: Step[] = [
    {
      id: `drain-${name}`,
      kind: "slurm-drain",
      title: `drain ${name}: no new job, and wait for those that run there`,
      argv: ["scontrol", "update", `NodeName=${name}`, "State=DRAIN", `Reason=fencepost:${change.id}`],
      timeoutMs: TIMEOUT_MS,
      destructive: false,
      waits: true,
      doneWhen: "it is drained, and squeue lists no job on it",
      undo: { argv: ["scontrol", "update", `NodeName=${name}`, "State=RESUME"], timeoutMs: TIMEOUT_MS },
      data: { ...shared(change, name), where },
      before: [`ℹ Draining ${name}...`],
      after: [`✓ Node ${name} drained`],
    },
  ];
  if (leaver.answers)
    steps.push({
      id: `stop-${name}`,
      kind: "slurm-stop",
      title: `stop slurmd on ${name}`,
      argv: onHost(where, ["systemctl", "stop", "slurmd"]),
      timeoutMs: RESTART_MS,
      destructive: false,
      waits: false,
      doneWhen: "no slurmd runs there",
      requires: "no job is on the drained node",
      undo: { argv: onHost(where, ["systemctl", "start", "slurmd"]), timeoutMs: RESTART_MS },
      data: { ...shared(change, name), where, daemon: "slurmd", isDrained: true },
    });
  steps.push(...editSteps(change, name, "remove", { isDrained: true }));
  const restarts = restartSteps(change, name, "remove");
  const last = restarts.at(-1);
  if (last) restarts[restarts.length - 1] = { ...last, after: [`✓ Node ${name} removed from Slurm`] };
  steps.push(...restarts);
  return {
    version: 1,
    operation: "slurm.node-remove",
    title: `remove node ${name} from Slurm`,
    object: OBJECT,
    warnings: leaver.answers ? warnings : [`${name} does not answer by ssh: its slurmd is not stopped`, ...warnings],
    picture: [change.conf.file, ...shownEdits(change.conf, change.edits)],
    steps,
  };
}

// ── controllers ─────────────────────────────────────────────────────────────────────────────────────────────────────

export function planAddController(change: Change, { name, where }: Copy): Plan {
  const { conf, copies } = change;
  const hasCopy = copies.some((copy) => copy.name === name);
  return {
    version: 1,
    operation: "slurm.controller-add",
    title: `add ${name} as a backup controller of Slurm`,
    object: OBJECT,
    warnings: [],
    picture: [conf.file, ...shownEdits(conf, change.edits)],
    steps: [
      ...editSteps(change, name, "add", { isController: true }),
      ...(hasCopy ? [] : [copyStep(change, name, where)]),
      ...daemonSteps(change),
      restartStep("slurmctld", { name, where, isController: true, isNode: false }, change, {
        id: `backup-${name}`,
        kind: "slurm-backup",
        title: `start slurmctld on ${name} as a backup`,
        waits: true,
        doneWhen: `scontrol ping says that slurmctld at ${name} is UP`,
        data: { target: name },
        after: [`✓ Controller ${name} added to Slurm`],
      }),
    ],
  };
}

export function planRemoveController(change: Change, { name, where }: Copy): Plan {
  const restarts = daemonSteps(change);
  const last = restarts.at(-1);
  if (last) restarts[restarts.length - 1] = { ...last, after: [`✓ Controller ${name} removed from Slurm`] };
  return {
    version: 1,
    operation: "slurm.controller-remove",
    title: `remove the backup controller ${name} from Slurm`,
    object: OBJECT,
    warnings: [],
    picture: [change.conf.file, ...shownEdits(change.conf, change.edits)],
    steps: [
      {
        id: `stop-${name}`,
        kind: "slurm-stop",
        title: `stop slurmctld on ${name}`,
        argv: onHost(where, ["systemctl", "stop", "slurmctld"]),
        timeoutMs: RESTART_MS,
        destructive: false,
        waits: false,
        doneWhen: "no slurmctld runs there",
        undo: { argv: onHost(where, ["systemctl", "start", "slurmctld"]), timeoutMs: RESTART_MS },
        data: { ...shared(change, name), where, daemon: "slurmctld" },
      },
      ...editSteps(change, name, "remove", { isController: true }),
      ...restarts,
    ],
  };
}

/** Without a node that comes or goes: every daemon begins anew with the new file. */
const daemonSteps = (change: Change): Step[] => [
  ...change.copies.filter(({ isController }) => isController).map((copy) => restartStep("slurmctld", copy, change)),
  ...change.copies.filter(({ isNode }) => isNode).map((copy) => restartStep("slurmd", copy, change)),
];
