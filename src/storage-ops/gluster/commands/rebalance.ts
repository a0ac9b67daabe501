/**
 * `fencepost gluster rebalance VOLUME start|fix-layout|stop|status`: node-wise.
 * Errors: OpsError usage for a pure replica volume (there a heal brings the data), unsafe, those of asking gluster.
 */
import { OpsError } from "../../../core/errors.ts";
import { escapeControl } from "../../../core/text.ts";
import { showBytes } from "../capacity.ts";
import { type Moving, readMoving } from "../moving.ts";
import { planRebalance, REBALANCE_VERBS, type RebalanceVerb } from "../rebalance-run.ts";
import { replicaSets, type Volume } from "../state.ts";
import { answer, type Call, type Command, carryOut, columns, journalId, PLAN_EXITS, readNamed } from "./command.ts";

export const REBALANCE: Command = {
  describe:
    "spreads the files of a distributed volume over all of its bricks (start), only its directories (fix-layout), stops " +
    "that, or tells how far each node is. Waits for the end unless --no-wait; Ctrl-C ends the waiting, not the rebalance",
  usage: "VOLUME start|fix-layout|stop|status",
  takes: [2, 2],
  options: { wait: { describe: "wait for the end; --no-wait only starts it", type: "boolean", default: true } },
  changes: true,
  examples: [
    ["dist start", "after bricks were added"],
    ["dist status", "how far each node is"],
  ],
  exits: `${PLAN_EXITS}. status: 0 completed, or none was started · 1 it runs, was stopped, or skipped files · 107 files could not be moved · 76 a node gave no number`,
  run: async (call) => {
    const [name, word = ""] = call.words;
    const verb = REBALANCE_VERBS.find((one) => one === word);
    if (!verb) {
      throw new OpsError(
        "usage",
        `${call.called}: '${escapeControl(word.slice(0, 100))}': start, fix-layout, stop or status?`,
        {
          hint: `${call.called} --help`,
        },
      );
    }
    const { pool, volume } = await readNamed(call, name);
    const last =
      replicaSets(volume).length > 1 && volume.isStarted
        ? await readMoving(call.host, volume.name, "rebalance")
        : undefined;
    if (verb === "status") return status(call, volume, last);
    const plan = planRebalance(pool, volume, { verb, wait: call.args.wait !== false, last });
    return carryOut(call, plan, journalId(call.host, `rebalance-${verb satisfies RebalanceVerb}`));
  },
};

async function status(call: Call, volume: Volume, rebalance: Moving | undefined): Promise<number> {
  const nodes = rebalance?.nodes ?? [];
  const rows = nodes.map((one) => [
    one.node,
    one.status,
    `moved ${one.files} files${one.sizeBytes === "unknown" ? "" : `, ${showBytes(one.sizeBytes)}`}`,
    `looked at ${one.scanned}`,
    `failed ${one.failures}`,
    `skipped ${one.skipped}`,
    `${one.runtimeSeconds} s`,
  ]);
  const number = (count: number | "unknown"): number | null => (count === "unknown" ? null : count);
  const record = {
    volume: volume.name,
    task: rebalance?.taskId ?? null,
    nodes: nodes.map((one) => ({
      node: one.node,
      status: one.status,
      files: number(one.files),
      size_bytes: number(one.sizeBytes),
      scanned: number(one.scanned),
      failures: number(one.failures),
      skipped: number(one.skipped),
      runtime_seconds: one.runtimeSeconds,
    })),
  };
  const what =
    replicaSets(volume).length < 2
      ? "not a distributed volume"
      : rebalance
        ? `task ${rebalance.taskId}`
        : "never started";
  await answer(call, record, [`volume ${volume.name}: ${what}`, ...columns(rows)]);
  if (nodes.some(({ failures, skipped }) => failures === "unknown" || skipped === "unknown")) return 76;
  if (nodes.some((one) => /failed$/.test(one.status) || one.failures !== 0)) return 107;
  return nodes.every((one) => /completed$/.test(one.status) && one.skipped === 0) ? 0 : 1;
}
