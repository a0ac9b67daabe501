/**
 * `fencepost gluster heal VOLUME`: what is to heal, by brick; heals it and waits, with what is left, the rate and the time.
 * Errors: OpsError unsafe (split-brain: healing cannot end; no daemon), timeout (nothing moves), those of asking gluster.
 */
import { OpsError } from "../../../core/errors.ts";
import { failureOf } from "../../../core/exec.ts";
import { showNumber } from "../../../core/text.ts";
import { requireRoot } from "../../run-plan.ts";
import { planHeal, readCrawlRuns } from "../heal-run.ts";
import { type BrickHeal, type Count, heals, type Volume } from "../state.ts";
import { answer, type Call, type Command, carryOut, columns, journalId, PLAN_EXITS, readNamed } from "./command.ts";

export const HEAL: Command = {
  describe:
    "heals a volume's copies and waits until every brick has nothing left to heal, telling what is left by brick, how fast " +
    "it goes and how long it will take. Ctrl-C ends the waiting, not the healing",
  usage: "VOLUME",
  takes: [1, 1],
  options: {
    info: { describe: "only tell what is to heal, by brick; change nothing", type: "boolean", conflicts: ["full"] },
    full: { describe: "compare every file, not only what is listed as pending", type: "boolean" },
    wait: { describe: "wait for the end; --no-wait only starts it", type: "boolean", default: true },
  },
  changes: true,
  examples: [
    ["shared_data --info", "what is to heal, by brick"],
    ["shared_data", "heal it, and wait"],
    ["shared_data --full", "compare every file: after a disk was replaced by hand"],
  ],
  exits: `${PLAN_EXITS}. With --info: 0 nothing to heal · 1 something is · 107 split-brain · 76 a brick did not tell`,
  run: async (call) => {
    const { pool, volume } = await readNamed(call, call.words[0]);
    if (call.args.info) return info(call, volume, pool.heal.get(volume.name));
    const full = call.args.full === true;
    const crawls = full && heals(volume) && volume.isStarted ? await readCrawlRuns(call.host, volume.name) : [];
    const plan = planHeal(pool, volume, full, crawls);
    if (call.args.wait === false && !call.dryRun) return start(call, plan.steps[0]?.argv ?? ["false"]);
    return carryOut(call, plan, journalId(call.host, "heal"));
  },
};

async function start(call: Call, argv: Parameters<Call["host"]["run"]>[0]): Promise<number> {
  requireRoot(call.called);
  const result = await call.host.run(argv, { timeoutMs: 150_000 });
  const failure = failureOf(result, 150_000);
  if (failure !== undefined) throw new OpsError("failed", failure, { hint: "/var/log/glusterfs/glustershd.log" });
  await answer(call, { started: true }, ["✓ Started"]);
  return 0;
}

const show = (count: Count): string => (count === "unknown" ? "unknown" : showNumber(count));
const numberOf = (count: Count): number | null => (count === "unknown" ? null : count);

async function info(call: Call, volume: Volume, heal: readonly BrickHeal[] | string | undefined): Promise<number> {
  if (!heals(volume)) {
    throw new OpsError("usage", `volume ${volume.name}: one copy of each file: nothing heals`, {
      hint: `fencepost gluster health --volume ${volume.name}`,
    });
  }
  const told = typeof heal === "string" || heal === undefined ? [] : heal;
  // A brick that heal info does not name is as unknown as one that did not answer.
  const bricks = volume.bricks.map(
    ({ name }): BrickHeal =>
      told.find(({ brick }) => brick === name) ?? {
        brick: name,
        connected: false,
        pending: "unknown",
        splitBrain: "unknown",
        detail: typeof heal === "string" ? heal : "not told of",
      },
  );
  const rows = bricks.map(({ brick, pending, splitBrain, detail }) => [
    brick,
    `to heal ${show(pending)}`,
    `split-brain ${show(splitBrain)}`,
    detail,
  ]);
  const record = {
    volume: volume.name,
    bricks: bricks.map(({ brick, connected, pending, splitBrain, detail }) => ({
      brick,
      connected,
      entries_to_heal: numberOf(pending),
      entries_in_split_brain: numberOf(splitBrain),
      detail,
    })),
  };
  await answer(call, record, [`volume ${volume.name}`, ...columns(rows)]);
  if (bricks.some(({ splitBrain }) => splitBrain !== "unknown" && splitBrain > 0)) return 107;
  if (bricks.some(({ pending, splitBrain }) => pending === "unknown" || splitBrain === "unknown")) return 76;
  return bricks.some(({ pending }) => pending !== 0) ? 1 : 0;
}
