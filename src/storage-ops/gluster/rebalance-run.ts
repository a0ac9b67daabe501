/**
 * Rebalancing a distributed volume: start, fix-layout, stop; what each node has done.
 * Input:  a Pool; `rebalance VOLUME status`. Output: Plans of one step; node-wise progress.
 * Errors: OpsError usage for a volume that is not distributed, unsafe with every reason against it.
 * Source: gf_cli_print_rebalance_status and cli_xml_output_vol_rebalance_status of glusterfs 10.
 */
import { OpsError } from "../../core/errors.ts";
import type { Host } from "../../core/host.ts";
import type { Plan, Standing, Step, StepKinds } from "../../core/plan.ts";
import { childNamed, childrenNamed, textNamed, type XmlElement } from "../../core/xml.ts";
import { showBytes } from "./capacity.ts";
import { asked } from "./kinds.ts";
import { POOL_OBJECT, refuse } from "./plan.ts";
import { reasonsAgainstChange } from "./safety.ts";
import {
  ask,
  type Count,
  countOf,
  GLUSTER_TIMEOUT_MS,
  glusterArgv,
  need,
  type Pool,
  readPool,
  replicaSets,
  type Volume,
} from "./state.ts";

export type RebalanceNode = {
  node: string;
  status: string;
  files: Count;
  sizeBytes: Count;
  /** Entries looked at. */
  scanned: Count;
  failures: Count;
  skipped: Count;
  runtimeSeconds: number;
};
export type Rebalance = { taskId: string; nodes: readonly RebalanceNode[] };

export function parseRebalance(root: XmlElement): Rebalance {
  const holder = childNamed(root, "volRebalance");
  if (!holder) throw new OpsError("bad-output", "rebalance status: no <volRebalance>");
  return {
    taskId: textNamed(holder, "task-id") ?? "",
    nodes: childrenNamed(holder, "node").map((node) => ({
      node: need(node, "nodeName", "rebalance status"),
      status: need(node, "statusStr", "rebalance status"),
      files: countOf(node, "files"),
      sizeBytes: countOf(node, "size"),
      scanned: countOf(node, "lookups"),
      failures: countOf(node, "failures"),
      skipped: countOf(node, "skipped"),
      runtimeSeconds: Number(textNamed(node, "runtime") ?? "0") || 0,
    })),
  };
}

/** Undefined when none was ever started. */
export async function readRebalance(host: Host, volume: string): Promise<Rebalance | undefined> {
  try {
    return parseRebalance(await ask(host, ["volume", "rebalance", volume, "status"]));
  } catch (error) {
    if (error instanceof OpsError && /not started/i.test(error.message)) return undefined;
    throw error;
  }
}

/** `fix-layout in progress`, `fix-layout completed` are words of gluster's too. */
const isRunning = ({ status }: RebalanceNode): boolean => !/(completed|failed|stopped)$/.test(status);

const nodeText = ({ node, status, files, sizeBytes, scanned, skipped }: RebalanceNode): string =>
  `${node} ${status}, ${files} files${sizeBytes === "unknown" ? "" : ` (${showBytes(sizeBytes)})`} of ${scanned} looked at` +
  `${skipped === 0 ? "" : `, ${skipped} skipped`}`;

/** Is the rebalance at its end? What failed makes it unsafe to call it done; what gluster skipped is served from where it is. */
export function rebalanceStanding(rebalance: Rebalance | undefined, previousTask: string): Standing {
  if (!rebalance || rebalance.nodes.length === 0 || rebalance.taskId === previousTask)
    return { state: "todo", detail: "not started" };
  const { nodes } = rebalance;
  if (nodes.some(isRunning)) return { state: "working", detail: nodes.map(nodeText).join("; "), moves: true };
  const bad = nodes.filter(({ status, failures }) => /failed$/.test(status) || failures !== 0);
  if (bad.length > 0) {
    const told = bad.map(({ node, status, failures }) => `${node} ${status}, ${failures} failed`);
    throw new OpsError("unsafe", `files were not moved: ${told.join("; ")}`, {
      hint: "/var/log/glusterfs/*-rebalance.log on that node",
    });
  }
  if (nodes.some(({ status }) => /stopped$/.test(status))) return { state: "todo", detail: "it was stopped" };
  return { state: "done", detail: nodes.map(nodeText).join("; ") };
}

export const REBALANCE_VERBS = ["start", "fix-layout", "stop", "status"] as const;
export type RebalanceVerb = (typeof REBALANCE_VERBS)[number];

function reasonsAgainst(pool: Pool, volume: Volume, verb: "start" | "fix-layout"): string[] {
  const reasons = reasonsAgainstChange(pool, volume);
  if (verb === "start" && volume.snapshots > 0) reasons.push("it has snapshots, which would keep what is moved");
  return reasons;
}

const taskOf = (rebalance: Rebalance | undefined): string => rebalance?.taskId ?? "";

export function planRebalance(
  pool: Pool,
  volume: Volume,
  { verb, wait, last }: { verb: "start" | "fix-layout" | "stop"; wait: boolean; last: Rebalance | undefined },
): Plan {
  const { name } = volume;
  if (replicaSets(volume).length < 2) {
    throw new OpsError(
      "usage",
      `volume ${name}: one replica set: every brick has every file, there is nothing to rebalance`,
      {
        hint: `fencepost gluster heal ${name}`,
      },
    );
  }
  if (verb !== "stop")
    refuse(
      `volume ${name}: cannot rebalance`,
      reasonsAgainst(pool, volume, verb),
      `fencepost gluster health --volume ${name}`,
    );
  else if (!last?.nodes.some(isRunning))
    throw new OpsError("usage", `volume ${name}: no rebalance is running`, {
      hint: `fencepost gluster rebalance ${name} status`,
    });
  const common = { timeoutMs: GLUSTER_TIMEOUT_MS, destructive: false } as const;
  const command = (...words: string[]) => glusterArgv("volume", "rebalance", name, ...words);
  const data = { volume: name, previousTask: verb === "stop" ? "" : taskOf(last), verb };
  const step: Step =
    verb === "stop"
      ? {
          ...common,
          id: "rebalance-stop",
          kind: "rebalance-stop",
          title: `stop the rebalance of volume ${name}`,
          argv: command("stop"),
          waits: false,
          doneWhen: "rebalance status is in progress on no node",
          data,
          after: [`✓ Rebalance of volume ${name} stopped: what was moved stays where it is`],
        }
      : {
          ...common,
          id: "rebalance",
          kind: wait ? "rebalance-run" : "rebalance-begin",
          title:
            verb === "start"
              ? `rebalance volume ${name}`
              : `spread the directories of volume ${name} over all bricks, without moving files`,
          argv: verb === "start" ? command("start") : command("fix-layout", "start"),
          waits: wait,
          doneWhen: wait
            ? "rebalance status is completed on every node, nothing failed"
            : "rebalance status shows a new task",
          requires: "every brick up, every peer connected, quorum, no rebalance or removal at work",
          undo: { argv: command("stop"), timeoutMs: GLUSTER_TIMEOUT_MS },
          data,
          before: [`ℹ Rebalancing volume ${name}...`],
          after: [wait ? `✓ Volume ${name} rebalanced` : `✓ Rebalance of volume ${name} started`],
        };
  return {
    version: 1,
    operation: `gluster.rebalance-${verb}`,
    title: step.title,
    object: POOL_OBJECT,
    warnings: [],
    picture: [],
    steps: [step],
  };
}

async function guardRebalance(step: Step, host: Host): Promise<void> {
  const name = String(step.data.volume);
  const pool = await readPool(host, () => false);
  const volume = pool.volumes.find((one) => one.name === name);
  refuse(
    `volume ${name}: cannot rebalance`,
    volume
      ? reasonsAgainst(pool, volume, step.data.verb === "start" ? "start" : "fix-layout")
      : ["it is not there any more"],
    `fencepost gluster health --volume ${name}`,
  );
}

async function guardStop(step: Step, host: Host): Promise<void> {
  const name = String(step.data.volume);
  if ((await readRebalance(host, name))?.nodes.some(isRunning)) return;
  throw new OpsError("unsafe", `volume ${name}: the rebalance is at its end: what it moved stays where it is`, {
    hint: `fencepost gluster rebalance ${name} status`,
  });
}

const standingOf = async (step: Step, host: Host): Promise<Standing> =>
  rebalanceStanding(await readRebalance(host, String(step.data.volume)), String(step.data.previousTask));

export const REBALANCE_KINDS = {
  "rebalance-run": { standing: asked(standingOf), guard: guardRebalance, guardUndo: guardStop },
  "rebalance-begin": {
    standing: asked(async (step, host) => {
      const rebalance = await readRebalance(host, String(step.data.volume));
      const isNew =
        rebalance !== undefined &&
        rebalance.taskId !== String(step.data.previousTask) &&
        !rebalance.nodes.some(({ status }) => /stopped$/.test(status));
      return isNew
        ? { state: "done", detail: rebalance.nodes.map(nodeText).join("; ") }
        : { state: "todo", detail: "not started" };
    }),
    guard: guardRebalance,
    guardUndo: guardStop,
  },
  "rebalance-stop": {
    standing: asked(async (step, host) => {
      const running = (await readRebalance(host, String(step.data.volume)))?.nodes.filter(isRunning) ?? [];
      return running.length === 0
        ? { state: "done", detail: "not running" }
        : { state: "todo", detail: running.map(nodeText).join("; ") };
    }),
  },
} as const satisfies StepKinds;
