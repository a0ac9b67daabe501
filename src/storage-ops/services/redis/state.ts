/**
 * What a Redis cluster says of itself: every node is asked for its own view, because they may differ.
 * Input:  `CLUSTER NODES`, `CLUSTER INFO`, `INFO` and `CLIENT LIST` of each node, by redis-cli.
 * Output: data; a node that did not answer is in `silent`, never left out.
 * Errors: OpsError missing-tool, timeout, failed (Redis's own words), bad-output.
 * Source: redis.io/commands/cluster-nodes, client-list; redis-cli.c of 7.0 for what it does while it moves slots.
 */
import { type ErrorKind, OpsError, reasonOf } from "../../../core/errors.ts";
import { failureOf } from "../../../core/exec.ts";
import type { Host } from "../../../core/host.ts";
import { lastWords } from "../../../core/text.ts";
import { type Connection, nodeArgv } from "./connection.ts";

export const SLOTS = 16_384;
const TIMEOUT_MS = 15_000;
/** So many nodes are asked at once. */
const AT_ONCE = 8;

export type Node = {
  id: string;
  /** `ip:port`; empty for a node that does not know its own yet. */
  address: string;
  flags: readonly string[];
  /** Of a replica: its master's id. */
  masterId: string;
  isLinked: boolean;
  /** As printed: `0-5460`, `77`. */
  ranges: readonly string[];
  slots: number;
};
/** Half-way from one node to another, as the node tells that prints it. */
export type OpenSlot = { slot: number; way: "to" | "from"; teller: string; other: string };
export type Memory = { used: number; limit: number; evicts: boolean };
export type View = {
  address: string;
  self: Node;
  nodes: readonly Node[];
  state: string;
  open: readonly OpenSlot[];
  /** Keys in its databases. */
  keys: number;
  memory: Memory;
  /** Clients that move slots right now. */
  movers: readonly string[];
};
export type Cluster = { views: readonly View[]; silent: readonly { address: string; why: string }[] };

export const isMaster = ({ flags }: Node): boolean => flags.includes("master");

export async function ask(host: Host, connection: Connection, address: string, ...words: string[]): Promise<string> {
  const argv = nodeArgv(connection, address, ...words);
  const result = await host.run(argv, { timeoutMs: TIMEOUT_MS, maxBytes: 64 * 1024 * 1024 });
  const failure = failureOf(result, TIMEOUT_MS);
  const what = `${address}: ${words.join(" ")}`;
  if (failure !== undefined) {
    const kind: ErrorKind =
      result.outcome === "timed-out" ? "timeout" : result.spawnError === "ENOENT" ? "missing-tool" : "failed";
    throw new OpsError(kind, failure, kind === "missing-tool" ? { hint: "install redis-tools on this node" } : {});
  }
  // redis-cli exits 0 on an error reply, and prints it like any other.
  if (/^\(?(?:error\) )?[A-Z]{3,} [^\n]*\n*$/.test(result.stdout) || /^AUTH failed/m.test(result.stderr)) {
    throw new OpsError("failed", `${what}: ${lastWords(result.stderr || result.stdout, 200)}`);
  }
  return result.stdout;
}

export function parseNodes(text: string, what: string): { nodes: Node[]; self: Node; open: OpenSlot[] } {
  const open: OpenSlot[] = [];
  let self: Node | undefined;
  const nodes = text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line): Node => {
      const [id = "", where = "", flagWords = "", masterId = "", , , , link = "", ...rest] = line.trim().split(" ");
      if (!/^[0-9a-f]{40}$/.test(id) || link === "")
        throw new OpsError("bad-output", `${what}: ${lastWords(line, 100)}`);
      const ranges = rest.filter((word) => !word.startsWith("["));
      for (const word of rest) {
        const [, slot, arrow, other = ""] = /^\[(\d+)-([<>])-([0-9a-f]{40})\]$/.exec(word) ?? [];
        if (slot !== undefined)
          open.push({ slot: Number(slot), way: arrow === ">" ? "to" : "from", teller: id, other });
        else if (word.startsWith("[")) throw new OpsError("bad-output", `${what}: ${lastWords(word, 100)}`);
      }
      const address = where.split("@")[0] ?? "";
      const flags = flagWords.split(",");
      const node: Node = {
        id,
        address: address.startsWith(":") ? "" : address.toLowerCase(),
        flags: flags.filter((flag) => flag !== "myself"),
        masterId: masterId === "-" ? "" : masterId,
        isLinked: link === "connected",
        ranges,
        slots: ranges.reduce((sum, range) => sum + sizeOf(range, what), 0),
      };
      if (flags.includes("myself")) self = node;
      return node;
    });
  if (!self) throw new OpsError("bad-output", `${what}: no line of its own`);
  return { nodes, self, open };
}

function sizeOf(range: string, what: string): number {
  const [, from = "", to = from] = /^(\d+)(?:-(\d+))?$/.exec(range) ?? [];
  if (from === "") throw new OpsError("bad-output", `${what}: not a range of slots: ${lastWords(range, 100)}`);
  return Number(to) - Number(from) + 1;
}

/** `name:value` lines of INFO and CLUSTER INFO. */
export function parseInfo(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split(/\r?\n/).flatMap((line): [string, string][] => {
      const at = line.indexOf(":");
      return at <= 0 || line.startsWith("#") ? [] : [[line.slice(0, at), line.slice(at + 1)]];
    }),
  );
}

/** Who has just moved, or given away, a slot: redis-cli keeps its connections until it has moved them all. */
export function parseMovers(clientList: string): string[] {
  return clientList.split("\n").flatMap((line) => {
    const isMover = / cmd=(?:migrate|cluster\|setslot|cluster\|getkeysinslot)(?: |$)/.test(line);
    return isMover ? [/ addr=(\S+)/.exec(line)?.[1] ?? "?"] : [];
  });
}

const numberIn = (info: ReadonlyMap<string, string>, name: string, what: string): number => {
  const text = info.get(name) ?? "";
  if (/^\d+$/.test(text)) return Number(text);
  throw new OpsError("bad-output", `${what}: INFO has no ${name}`);
};

export async function readView(host: Host, connection: Connection, address: string): Promise<View> {
  const info = parseInfo(await ask(host, connection, address, "INFO"));
  if (info.get("cluster_enabled") !== "1") {
    throw new OpsError("failed", `${address}: not in cluster mode`, { hint: "redis.conf: cluster-enabled yes" });
  }
  const [nodes, cluster, clients] = await Promise.all([
    ask(host, connection, address, "CLUSTER", "NODES"),
    ask(host, connection, address, "CLUSTER", "INFO"),
    ask(host, connection, address, "CLIENT", "LIST"),
  ]);
  const state = parseInfo(cluster).get("cluster_state");
  if (state === undefined) throw new OpsError("bad-output", `${address}: CLUSTER INFO has no cluster_state`);
  const keys = [...info]
    .filter(([name]) => /^db\d+$/.test(name))
    .reduce((sum, [, value]) => sum + Number(/keys=(\d+)/.exec(value)?.[1] ?? Number.NaN), 0);
  const memory: Memory = {
    used: numberIn(info, "used_memory", address),
    limit: numberIn(info, "maxmemory", address),
    evicts: (info.get("maxmemory_policy") ?? "?") !== "noeviction",
  };
  const told = parseNodes(nodes, `${address}: CLUSTER NODES`);
  return {
    address: told.self.address || address,
    ...told,
    state,
    keys,
    memory,
    movers: parseMovers(clients),
  };
}

/** Every node that the first one which answers knows of. Errors: OpsError when none of them answers. */
export async function readCluster(host: Host, connection: Connection, addresses: readonly string[]): Promise<Cluster> {
  const why: string[] = [];
  for (const address of addresses) {
    let first: View;
    try {
      first = await readView(host, connection, address);
    } catch (error) {
      if (error instanceof OpsError && error.kind === "missing-tool") throw error;
      why.push(reasonOf(error));
      continue;
    }
    const views: View[] = [first];
    const silent: { address: string; why: string }[] = [];
    const others = first.nodes.filter(({ id }) => id !== first.self.id);
    for (let at = 0; at < others.length; at += AT_ONCE) {
      await Promise.all(
        others.slice(at, at + AT_ONCE).map(async (node) => {
          try {
            if (node.address === "") throw new OpsError("failed", "the cluster has no address of it");
            const view = await readView(host, connection, node.address);
            if (view.self.id !== node.id) throw new OpsError("failed", `another node answers there: ${view.self.id}`);
            views.push(view);
          } catch (error) {
            silent.push({ address: node.address || node.id, why: reasonOf(error) });
          }
        }),
      );
    }
    const order = (id: string): number => first.nodes.findIndex((node) => node.id === id);
    views.sort((a, b) => order(a.self.id) - order(b.self.id));
    return { views, silent };
  }
  throw new OpsError("failed", `no node of the cluster answers: ${why.join("; ")}`, { hint: "--cluster IP:PORT" });
}

/** Who serves what, in words that are the same on all nodes once they agree. */
export const configurationOf = ({ nodes }: Pick<View, "nodes">): string =>
  nodes
    .map((node) => `${node.id} ${isMaster(node) ? "master" : node.masterId} ${node.ranges.join(" ")}`)
    .sort()
    .join("\n");

/** As the first view has it. */
export const mastersOf = ({ views }: Cluster): Node[] => (views[0]?.nodes ?? []).filter(isMaster);
/** Those that have a vote, and that a rebalance gives slots to unless it is told to use the empty ones too. */
export const servingOf = (cluster: Cluster): Node[] => mastersOf(cluster).filter(({ slots }) => slots > 0);
export const openSlotsOf = ({ views }: Cluster): OpenSlot[] => views.flatMap(({ open }) => open);
export const nodeAt = ({ views }: Cluster, address: string): Node | undefined =>
  views[0]?.nodes.find((node) => node.address === address);
