/**
 * Healing a whole volume on demand: what is listed for healing, or with `full` everything.
 * Input:  a Pool; `heal VOLUME statistics`, which gluster gives as text only.
 * Output: a Plan of one step that waits; its kind tells what is left by brick.
 * Errors: OpsError unsafe with every reason against it, usage for a volume that has no copies.
 * Source: cmd_heal_volume_statistics_out in cli-rpc-ops.c; afr_selfheal_daemon (a full crawl is the work of one node of a set).
 */
import { OpsError } from "../../core/errors.ts";
import { failureOf } from "../../core/exec.ts";
import type { Host } from "../../core/host.ts";
import type { Plan, StepKinds } from "../../core/plan.ts";
import { asked, GLUSTER_KINDS, healStanding } from "./kinds.ts";
import { refuse } from "./plan.ts";
import {
  type BrickHeal,
  GLUSTER_TIMEOUT_MS,
  glusterArgv,
  heals,
  type Pool,
  readCrawls,
  readHeal,
  readPool,
  serverQuorum,
  type Volume,
} from "./state.ts";
import { absentIn } from "./views.ts";

export const HEAL_OPERATION = "gluster.heal";

/** What a self-heal daemon did for a brick; `brick` is the brick's number in the volume, from 0. */
export type CrawlRun = { brick: number; type: string; startedAt: string; ended: boolean };

export function parseCrawlRuns(text: string): CrawlRun[] {
  const crawls: CrawlRun[] = [];
  for (const part of text.split(/^Crawl statistics for brick no /m).slice(1)) {
    const brick = Number.parseInt(part, 10);
    for (const crawl of part.split(/^Starting time of crawl: /m).slice(1)) {
      const [startedAt = ""] = crawl.split("\n");
      const type = /^Type of crawl: (\S+)/m.exec(crawl)?.[1] ?? "unknown";
      crawls.push({ brick, type, startedAt: startedAt.trim(), ended: /^Ending time of crawl: /m.test(crawl) });
    }
  }
  return crawls;
}

export async function readCrawlRuns(host: Host, volume: string): Promise<CrawlRun[]> {
  const result = await host.run(glusterArgv("volume", "heal", volume, "statistics"), {
    timeoutMs: GLUSTER_TIMEOUT_MS,
  });
  const failure = failureOf(result, GLUSTER_TIMEOUT_MS);
  if (failure !== undefined) throw new OpsError("failed", failure, { hint: "systemctl status glusterd" });
  return parseCrawlRuns(result.stdout);
}

const keyOf = ({ brick, startedAt }: CrawlRun): string => `${brick} ${startedAt}`;
export const fullCrawlKeys = (crawls: readonly CrawlRun[]): string[] =>
  crawls.filter(({ type }) => type === "FULL").map(keyOf);

const isOff = (value: string | undefined): boolean => /^(off|no|false|disable|0)$/i.test(value ?? "on");

export function reasonsAgainstHeal(pool: Pool, volume: Volume): string[] {
  const reasons: string[] = [];
  const quorum = serverQuorum(pool.peers);
  if (!quorum.hasQuorum) reasons.push(`no quorum: ${quorum.connected} of ${quorum.of} peers are connected`);
  if (!volume.isStarted) reasons.push("the volume is stopped");
  if (isOff(volume.options.get("cluster.self-heal-daemon")) && volume.disperse === 0)
    reasons.push("cluster.self-heal-daemon is off: nobody would heal");
  return reasons;
}

/** `crawls`: those there are before, of a volume that is to be healed in full. */
export function planHeal(pool: Pool, volume: Volume, full: boolean, crawls: readonly CrawlRun[]): Plan {
  const { name, bricks } = volume;
  if (!heals(volume)) {
    throw new OpsError("usage", `volume ${name}: one copy of each file: there is nothing it could be healed from`, {
      hint: `fencepost gluster rebalance ${name} start`,
    });
  }
  refuse(`volume ${name}: cannot heal`, reasonsAgainstHeal(pool, volume), `fencepost gluster health --volume ${name}`);
  const down = bricks.filter((brick) => pool.status.get(name)?.bricksOnline.get(brick.name) !== true);
  return {
    version: 1,
    operation: HEAL_OPERATION,
    title: `heal volume ${name}${full ? ", every file of it" : ""}`,
    // Not the pool's: a heal may take days, and what it would get in the way of looks at what is to heal by itself.
    object: `gluster-heal-${name}`,
    warnings: [
      ...down.map((brick) => `brick ${brick.name} is not up: the heal cannot end before it is`),
      ...pool.peers
        .filter(({ connected, isLocal }) => !connected && !isLocal)
        .map(
          ({ hostnames: [peer] }) =>
            `peer ${peer} is not connected: nobody asks whether it has the volume as it is here`,
        ),
    ],
    picture: [],
    steps: [
      {
        id: "heal",
        kind: "heal-volume",
        title: full ? `compare every file of volume ${name} and heal it` : `heal what volume ${name} lists as pending`,
        argv: glusterArgv("volume", "heal", name, ...(full ? ["full"] : [])),
        timeoutMs: GLUSTER_TIMEOUT_MS,
        destructive: false,
        waits: true,
        repeats: true,
        doneWhen: `${full ? "a full crawl of every replica set has ended, " : ""}heal info has no entry on any brick, every brick answers${full ? ", and no file on any brick blames another copy (trusted.afr)" : ""}`,
        requires: "quorum, the volume started, the self-heal daemon on",
        data: {
          volume: name,
          bricks: bricks.map((brick) => brick.name),
          before: [],
          full,
          absent: absentIn(pool),
          set: Math.max(1, volume.disperse > 0 ? volume.disperse : volume.replica),
          crawls: fullCrawlKeys(crawls),
        },
        before: [`ℹ Healing volume ${name}...`],
        after: [`✓ Volume ${name} healed`],
      },
    ],
  };
}

/** `s1:/b/1 12, s2:/b/1 0`; what a brick did not tell is a question mark. */
export const pendingByBrick = (heal: readonly BrickHeal[]): string =>
  heal.map(({ brick, pending }) => `${brick} ${pending === "unknown" ? "?" : pending}`).join(", ");

export const HEAL_KINDS = {
  "heal-volume": {
    standing: asked(async (step, host) => {
      const volume = String(step.data.volume);
      const heal = await readHeal(host, volume);
      const sum = heal.reduce((total, { pending }) => total + (pending === "unknown" ? 0 : pending), 0);
      const isClear = heal.every(({ pending, splitBrain }) => pending !== "unknown" && splitBrain === 0);
      if (isClear && sum > 0) {
        const running = (await readCrawls(host, volume)).filter(({ isRunning }) => isRunning);
        const progress = running.reduce((total, { healed }) => total + healed, 0);
        const detail = `${sum} entries to heal: ${pendingByBrick(heal)}`;
        return { state: "todo", detail, remaining: sum, progress, idle: running.length === 0 };
      }
      // A brick that does not answer, split-brain, and whether every copy is whole: as for a new copy.
      if (!isClear || step.data.full !== true) return healStanding(heal, [step.data.bricks].flat().map(String));
      const fresh = (await readCrawlRuns(host, volume)).filter(
        (crawl) => crawl.type === "FULL" && ![step.data.crawls].flat().includes(keyOf(crawl)),
      );
      const size = Number(step.data.set);
      const sets = [step.data.bricks].flat().length / size;
      const ended = new Set(fresh.filter((crawl) => crawl.ended).map(({ brick }) => Math.floor(brick / size)));
      if (ended.size >= sets) return GLUSTER_KINDS.heal.standing(step, host);
      const detail = `${ended.size} of ${sets} replica sets compared in full`;
      return { state: fresh.length > 0 ? "working" : "todo", detail, moves: fresh.length > 0 };
    }),
    guard: async (step, host) => {
      const name = String(step.data.volume);
      const pool = await readPool(host, () => false);
      const volume = pool.volumes.find((one) => one.name === name);
      refuse(
        `volume ${name}: cannot heal`,
        volume ? reasonsAgainstHeal(pool, volume) : ["it is not there any more"],
        `fencepost gluster health --volume ${name}`,
      );
    },
    otherwise: GLUSTER_KINDS.heal.otherwise,
  },
} as const satisfies StepKinds;
