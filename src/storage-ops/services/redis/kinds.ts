/**
 * The kinds of steps that change a Redis cluster: how each tells that it is done, and what must hold right before it.
 * Input:  a step's data, as a journal keeps it; every node's own view, read anew each time.
 * What the nodes do not agree on is `unknown`: gossip needs its time, and the next command would refuse too.
 * Errors: OpsError unsafe from the guards; what could not be read is `unknown` in a standing.
 */
import { OpsError, reasonOf } from "../../../core/errors.ts";
import { failureOf } from "../../../core/exec.ts";
import type { Host } from "../../../core/host.ts";
import type { Standing, Step, StepKinds } from "../../../core/plan.ts";
import { list, text } from "../../step-data.ts";
import { clusterArgv, connectionOf } from "./connection.ts";
import {
  reasonsAgainstChange,
  reasonsAgainstFewer,
  reasonsAgainstForgetting,
  reasonsAgainstLoad,
  reasonsAgainstMending,
  reasonsAgainstNewcomer,
  refuse,
  slotsToMove,
} from "./safety.ts";
import {
  type Cluster,
  configurationOf,
  mastersOf,
  type Node,
  openSlotsOf,
  readCluster,
  readView,
  servingOf,
} from "./state.ts";

/** Between two looks at a half-way slot: one that somebody moves is not the same any more. */
const STILL_MS = 2_000;
/** How long the nodes may need to tell one another. */
const AGREE_MS = 30_000;
const FIX_MS = 3_600_000;

const readFor = (step: Step, host: Host): Promise<Cluster> =>
  readCluster(host, connectionOf(step), list(step, "members"));

const asked =
  (ask: (step: Step, host: Host) => Promise<Standing>) =>
  async (step: Step, host: Host): Promise<Standing> => {
    try {
      return await ask(step, host);
    } catch (error) {
      if (!(error instanceof OpsError)) throw error;
      return { state: "unknown", detail: reasonOf(error) };
    }
  };

/** What nobody can say while nodes are silent, differ, or somebody moves slots. */
function unsettled({ views, silent }: Cluster): Standing | undefined {
  const [first] = views;
  if (silent[0]) return { state: "unknown", detail: `${silent[0].address} does not answer: ${silent[0].why}` };
  const mover = views.find(({ movers }) => movers.length > 0);
  // redis-cli outlives a killed fencepost for a while: it is waited for, never joined.
  if (mover) return { state: "working", detail: `slots are being moved by ${mover.movers[0]}` };
  const other = views.find((view) => first && configurationOf(view) !== configurationOf(first));
  return other && first
    ? { state: "unknown", detail: `${other.address} and ${first.address} do not agree on the configuration yet` }
    : undefined;
}

/** A standing of a move: who has how many slots, once all agree. */
const moved = (ask: (step: Step, cluster: Cluster) => Standing) =>
  asked(async (step, host) => {
    const cluster = await readFor(step, host);
    return unsettled(cluster) ?? ask(step, cluster);
  });

const slotsOf = (nodes: readonly Node[]): string => nodes.map(({ address, slots }) => `${address} ${slots}`).join(", ");
const halfway = (cluster: Cluster): string => {
  const open = new Set(openSlotsOf(cluster).map(({ slot }) => slot));
  return open.size === 0 ? "" : `; half-way: slot ${[...open].slice(0, 5).join(", ")}`;
};

/**
 * Before slots move. What an interrupted move left half-way is moved to its end, once it is sure that nobody does.
 * `against`: the reasons against this very move.
 */
async function guardMove(step: Step, host: Host, against: (cluster: Cluster) => string[]): Promise<void> {
  const [entry = ""] = list(step, "members");
  const what = `${step.title}: not now`;
  const hint = `redis-cli --cluster check ${entry}`;
  const seen = (cluster: Cluster): string =>
    openSlotsOf(cluster)
      .map(({ slot, way, teller }) => `${slot} ${way} ${teller}`)
      .sort()
      .join("\n");
  const before = await readFor(step, host);
  if (seen(before) !== "") {
    const reasons = [...reasonsAgainstChange(before, { isOpenAllowed: true }), ...reasonsAgainstMending(before)];
    refuse(what, [...reasons, ...against(before)], hint);
    await host.sleep(STILL_MS);
    const again = await readFor(step, host);
    const moves = seen(again) === seen(before) ? [] : ["slots are being moved by somebody"];
    refuse(what, [...reasonsAgainstChange(again, { isOpenAllowed: true }), ...moves], hint);
    const fixed = await host.run(clusterArgv(connectionOf(step), "fix", entry), { timeoutMs: FIX_MS });
    const failure = failureOf(fixed, FIX_MS);
    if (failure !== undefined)
      throw new OpsError("failed", `a half-way slot could not be moved to its end: ${failure}`, { hint });
  }
  const untilMs = host.monotonicMs() + AGREE_MS;
  for (;;) {
    const cluster = await readFor(step, host);
    const reasons = reasonsAgainstChange(cluster);
    if (reasons.length === 0) return refuse(what, against(cluster), hint);
    if (seen(before) === "" || host.monotonicMs() >= untilMs) refuse(what, reasons, hint);
    await host.sleep(500);
  }
}

/** Before all masters get the same part. */
const guardSharing = (step: Step, host: Host): Promise<void> =>
  guardMove(step, host, (cluster) => reasonsAgainstLoad(cluster.views, mastersOf(cluster)));
/** Those that take all slots of the ones with these ids. */
const servingBesides = (cluster: Cluster, ids: readonly string[]): Node[] =>
  servingOf(cluster).filter(({ id }) => !ids.includes(id));

export const REDIS_KINDS = {
  "redis-add-node": {
    standing: asked(async (step, host) => {
      const [id, address] = [text(step, "id"), text(step, "address")];
      const cluster = await readFor(step, host);
      const members = cluster.views.filter(({ self }) => self.id !== id);
      const meets = (nodes: readonly Node[]) => nodes.find((node) => node.id === id || node.address === address);
      const knowing = members.filter(
        ({ nodes }) => meets(nodes)?.id === id && !meets(nodes)?.flags.includes("handshake"),
      );
      if (members.every(({ nodes }) => meets(nodes) === undefined)) {
        // It is told of the others first, and then they of it.
        const { nodes } = await readView(host, connectionOf(step), address);
        return nodes.length === 1
          ? { state: "todo", detail: "not in the cluster" }
          : { state: "unknown", detail: "it knows other nodes, but none of the cluster knows it yet" };
      }
      if (knowing.length < members.length)
        return { state: "unknown", detail: `${knowing.length} of ${members.length} nodes know it yet` };
      const reasons = reasonsAgainstChange(cluster, { isOpenAllowed: true });
      return reasons[0] === undefined
        ? { state: "done", detail: `all ${cluster.views.length} nodes know it and agree; it says cluster_state:ok` }
        : { state: "unknown", detail: reasons[0] };
    }),
    guard: async (step, host) => {
      const reasons = reasonsAgainstChange(await readFor(step, host));
      const view = await readView(host, connectionOf(step), text(step, "address"));
      if (view.self.id !== text(step, "id"))
        reasons.push(`${view.address} is another node than it was: ${view.self.id}`);
      refuse(
        `${text(step, "address")}: cannot join`,
        [...reasons, ...reasonsAgainstNewcomer(view)],
        "redis-cli CLUSTER NODES there",
      );
    },
    guardUndo: guardForget,
  },
  // Begun counts as done: the rebalance goes on from there, and the way back moves all of it away.
  "redis-first-slot": {
    standing: moved((step, cluster) => {
      const id = text(step, "id");
      const slots = mastersOf(cluster).find((node) => node.id === id)?.slots ?? 0;
      const isOnItsWay = openSlotsOf(cluster).some(({ teller, other }) => teller === id || other === id);
      return {
        state: slots > 0 || isOnItsWay ? "done" : "todo",
        detail: `it serves ${slots} slots${halfway(cluster)}`,
      };
    }),
    guard: guardSharing,
    guardUndo: (step, host) =>
      guardMove(step, host, (cluster) => [
        // All that came with it are taken back.
        ...reasonsAgainstFewer(servingBesides(cluster, list(step, "ids")).length),
        ...reasonsAgainstLoad(cluster.views, servingBesides(cluster, [text(step, "id")])),
      ]),
  },
  "redis-balance": {
    standing: moved((_step, cluster) => {
      const masters = mastersOf(cluster);
      const left = slotsToMove(masters);
      const detail = `${slotsOf(masters)}${halfway(cluster)}`;
      const isDone = left === 0 && openSlotsOf(cluster).length === 0;
      return isDone
        ? { state: "done", detail }
        : { state: "todo", detail: `${left} slots to move: ${detail}`, remaining: left };
    }),
    guard: guardSharing,
  },
  "redis-drain": {
    standing: moved((step, cluster) => {
      const ids = list(step, "ids");
      const left = servingOf(cluster).filter(({ id }) => ids.includes(id));
      const isOpen = openSlotsOf(cluster).length > 0;
      if (left.length === 0 && !isOpen) return { state: "done", detail: "it serves no slot" };
      // As planned; a journal of an older version does not say, and then nobody knows.
      const planned = list(step, "slots");
      const isWhole = ids.every((id, at) => left.some((node) => node.id === id && String(node.slots) === planned[at]));
      return {
        state: "todo",
        detail: `${slotsOf(left)} slots left${halfway(cluster)}`,
        halfway: isOpen || !isWhole,
      };
    }),
    guard: (step, host) =>
      guardMove(step, host, (cluster) => {
        const takers = servingBesides(cluster, list(step, "leaving"));
        return [...reasonsAgainstFewer(takers.length), ...reasonsAgainstLoad(cluster.views, takers)];
      }),
  },
  "redis-del-node": {
    standing: asked(async (step, host) => {
      const id = text(step, "id");
      const { views, silent } = await readFor(step, host);
      if (silent[0]) return { state: "unknown", detail: `${silent[0].address} does not answer: ${silent[0].why}` };
      const others = views.filter(({ self }) => self.id !== id);
      const knowing = others.filter(({ nodes }) => nodes.some((node) => node.id === id));
      if (knowing.length === 0) {
        const orphan = others.flatMap(({ nodes }) => nodes).find(({ masterId }) => masterId === id);
        return orphan
          ? { state: "unknown", detail: `${orphan.address} is still its replica` }
          : { state: "done", detail: "no node knows it" };
      }
      return knowing.length === others.length
        ? { state: "todo", detail: "in the cluster" }
        : { state: "unknown", detail: `${knowing.length} of ${others.length} nodes still know it` };
    }),
    guard: guardForget,
  },
  "redis-reset": {
    standing: asked(async (step, host) => {
      const { self, nodes } = await readView(host, connectionOf(step), text(step, "address"));
      if (self.id !== text(step, "id")) return { state: "done", detail: `another node is there: ${self.id}` };
      return nodes.length === 1
        ? { state: "done", detail: "it knows no other node" }
        : { state: "todo", detail: `it still knows ${nodes.length - 1} other nodes` };
    }),
    guard: async (step, host) => {
      const { views } = await readFor(step, host);
      const reasons = views
        .filter(({ nodes }) => nodes.some(({ id }) => id === text(step, "id")))
        .map(({ address }) => `${address} still knows it`);
      refuse(`${text(step, "address")}: cannot be reset`, reasons, "redis-cli CLUSTER NODES");
    },
  },
} as const satisfies StepKinds;

async function guardForget(step: Step, host: Host): Promise<void> {
  const [id, address] = [text(step, "id"), text(step, "address")];
  const cluster = await readFor(step, host);
  const reasons = reasonsAgainstForgetting(cluster, id, address);
  // One that served nothing when this was planned had no vote that could be missed; of an addition, the undo of its first
  // slot has seen to it.
  if (step.kind === "redis-del-node" && list(step, "ids").includes(id))
    reasons.push(...reasonsAgainstFewer(servingBesides(cluster, [id]).length));
  refuse(`${address}: cannot be taken out of the cluster`, reasons, "redis-cli CLUSTER NODES");
}
