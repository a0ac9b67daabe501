/**
 * Rebalancing a distributed volume: start, fix-layout, stop.
 * Input:  a Pool; what `rebalance VOLUME status` said last. Output: Plans of one step.
 * Errors: OpsError usage for a volume that is not distributed, unsafe with every reason against it.
 */
import { OpsError } from "../../core/errors.ts";
import type { Host } from "../../core/host.ts";
import type { Plan, Step, StepKinds } from "../../core/plan.ts";
import { asked } from "./kinds.ts";
import { isRunning, type Moving, nodeText, readMoving, standingOfRebalance } from "./moving.ts";
import { POOL_OBJECT, refuse } from "./plan.ts";
import { reasonsAgainstChange } from "./safety.ts";
import { GLUSTER_TIMEOUT_MS, glusterArgv, type Pool, readPool, replicaSets, type Volume } from "./state.ts";

export const REBALANCE_VERBS = ["start", "fix-layout", "stop", "status"] as const;
export type RebalanceVerb = (typeof REBALANCE_VERBS)[number];

function reasonsAgainst(pool: Pool, volume: Volume, verb: "start" | "fix-layout"): string[] {
  const reasons = reasonsAgainstChange(pool, volume);
  if (verb === "start" && volume.snapshots > 0) reasons.push("it has snapshots, which would keep what is moved");
  return reasons;
}

const taskOf = (rebalance: Moving | undefined): string => rebalance?.taskId ?? "";

export function planRebalance(
  pool: Pool,
  volume: Volume,
  { verb, wait, last }: { verb: "start" | "fix-layout" | "stop"; wait: boolean; last: Moving | undefined },
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
          ...(wait ? { repeats: true } : {}),
          doneWhen: wait
            ? "rebalance status is completed on every node, nothing failed"
            : "rebalance status shows a new task",
          requires: "every brick up, every peer connected, quorum, no rebalance or removal at work",
          undo: {
            impossible: `what it moved stays where it is; one that still runs ends with: fencepost gluster rebalance ${name} stop`,
          },
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

export const REBALANCE_KINDS = {
  "rebalance-run": { standing: asked(standingOfRebalance), guard: guardRebalance },
  "rebalance-begin": {
    standing: asked(async (step, host) => {
      const rebalance = await readMoving(host, String(step.data.volume), "rebalance");
      const isNew =
        rebalance !== undefined &&
        rebalance.taskId !== String(step.data.previousTask) &&
        !rebalance.nodes.some(({ status }) => /stopped$/.test(status));
      return isNew
        ? { state: "done", detail: rebalance.nodes.map(nodeText).join("; ") }
        : { state: "todo", detail: "not started" };
    }),
    guard: guardRebalance,
  },
  "rebalance-stop": {
    standing: asked(async (step, host) => {
      const running = (await readMoving(host, String(step.data.volume), "rebalance"))?.nodes.filter(isRunning) ?? [];
      return running.length === 0
        ? { state: "done", detail: "not running" }
        : { state: "todo", detail: running.map(nodeText).join("; ") };
    }),
  },
} as const satisfies StepKinds;
