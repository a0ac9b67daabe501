import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Plan, Step, StepKind } from "../../../../src/core/plan.ts";
import {
  addressFrom,
  clusterArgv,
  nodeArgv,
  secretsOf,
  withSecrets,
} from "../../../../src/storage-ops/services/redis/connection.ts";
import { REDIS_KINDS } from "../../../../src/storage-ops/services/redis/kinds.ts";
import { holdersIn } from "../../../../src/storage-ops/services/redis/lock.ts";
import { planAdd, planRemove } from "../../../../src/storage-ops/services/redis/plan.ts";
import {
  reasonsAgainstChange,
  reasonsAgainstLoad,
  reasonsAgainstMending,
  slotsToMove,
} from "../../../../src/storage-ops/services/redis/safety.ts";
import {
  type Cluster,
  mastersOf,
  type Node,
  parseMovers,
  parseNodes,
  type View,
} from "../../../../src/storage-ops/services/redis/state.ts";
import { FakeHost, fakeHost } from "../../../fakes/fake-host.ts";

const CONNECTION = { cli: ["redis-cli"], passwordFile: "" };
const idOf = (number: number): string => String(number).repeat(40).slice(0, 40);
const master = (number: number, ranges: string[], slots: number): Node => ({
  id: idOf(number),
  address: `10.0.0.${number}:6379`,
  flags: ["master"],
  masterId: "",
  isLinked: true,
  ranges,
  slots,
});
const viewOf = (self: Node, nodes: readonly Node[], more: Partial<View> = {}): View => ({
  address: self.address,
  self,
  nodes,
  state: "ok",
  open: [],
  keys: 10,
  memory: { used: 1000, limit: 0, evicts: false },
  movers: [],
  ...more,
});
const FOUR = [
  master(1, ["0-4095"], 4096),
  master(2, ["4096-8191"], 4096),
  master(3, ["8192-12287"], 4096),
  master(4, ["12288-16383"], 4096),
];
const clusterOf = (nodes: readonly Node[] = FOUR, more: (node: Node) => Partial<View> = () => ({})): Cluster => ({
  views: nodes.map((node) => viewOf(node, nodes, more(node))),
  silent: [],
});
const newcomer = (more: Partial<View> = {}, self: Partial<Node> = {}): View => {
  const node = { ...master(5, [], 0), ...self };
  return viewOf(node, [node], { keys: 0, ...more });
};
/** What the nodes of a cluster answer to redis-cli. */
const answersOf = ({ views }: Cluster): Record<string, string> =>
  Object.fromEntries(
    views.flatMap(({ address, self, nodes, state, open, keys, memory, movers }) => {
      const at = nodeArgv(CONNECTION, address).join(" ");
      const lines = nodes.map(({ id, address: where, flags, masterId, ranges }) => {
        const isOwn = id === self.id;
        const half = open.map(({ slot, way, other }) => `[${slot}-${way === "to" ? ">" : "<"}-${other}]`);
        const words = [id, `${where}@1`, [...(isOwn ? ["myself"] : []), ...flags].join(","), masterId || "-"];
        return [...words, "0", "0", "1", "connected", ...ranges, ...(isOwn ? half : [])].join(" ");
      });
      const info = {
        cluster_enabled: 1,
        used_memory: memory.used,
        maxmemory: memory.limit,
        maxmemory_policy: memory.evicts ? "allkeys-lru" : "noeviction",
        ...(keys > 0 ? { db0: `keys=${keys},expires=0` } : {}),
      };
      return [
        [
          `${at} INFO`,
          Object.entries(info)
            .map(([name, value]) => `${name}:${value}\r\n`)
            .join(""),
        ],
        [`${at} CLUSTER NODES`, `${lines.join("\n")}\n`],
        [`${at} CLUSTER INFO`, `cluster_state:${state}\r\n`],
        [`${at} CLIENT LIST`, movers.map((mover) => `id=1 addr=${mover} cmd=migrate\n`).join("")],
      ];
    }),
  );
const hostOf = (cluster: Cluster) => fakeHost({ commands: answersOf(cluster) });
const stepOf = ({ steps }: Plan, kind: string): Step => {
  const step = steps.find((one) => one.kind === kind);
  if (!step) throw new Error(`no step ${kind}`);
  return step;
};
const named = (id: number) => ({ expected: (node: Node) => node.id === idOf(id) });

describe("addresses", () => {
  it.each([
    ["10.78.0.1", "10.78.0.1:6379"],
    ["10.78.0.1:7001", "10.78.0.1:7001"],
    ["::1", "::1:6379"],
  ])("takes %s for %s", (word, address) => expect(addressFrom(word)).toBe(address));

  it.each(["redis1", "10.0.0.1:0", "10.0.0.1:99999", "-h", "10.0.0.1;id", ""])("refuses '%s'", (word) => {
    expect(() => addressFrom(word)).toThrow(expect.objectContaining({ kind: "usage" }));
  });

  it("gives redis-cli host and port of an IPv6 address apart, and its options first", () => {
    const connection = { cli: ["redis-cli", "--tls", "--cacert", "/ca.pem"] };
    expect(nodeArgv(connection, "fe80::1:7001", "PING").join(" ")).toBe(
      "redis-cli --tls --cacert /ca.pem -h fe80::1 -p 7001 PING",
    );
    expect(clusterArgv(connection, "check", "a").join(" ")).toBe("redis-cli --tls --cacert /ca.pem --cluster check a");
  });
});

describe("the password", () => {
  it("is read from a file of the owner's alone, and goes into the environment of the commands only", async () => {
    const directory = mkdtempSync(join(tmpdir(), "fencepost-redis-"));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    const passwordFile = join(directory, "pass");
    writeFileSync(passwordFile, "geheim\nmore\n", { mode: 0o600 });
    const host = new FakeHost({ commands: { "redis-cli PING": "PONG\n" } });
    await (await withSecrets(host, { ...CONNECTION, passwordFile })).run(["redis-cli", "PING"], { timeoutMs: 1 });
    expect(host.calls[0]?.options.env).toEqual({ REDISCLI_AUTH: "geheim" });
    expect(host.commandLines).toEqual(["redis-cli PING"]);
    chmodSync(passwordFile, 0o640);
    await expect(secretsOf({ ...CONNECTION, passwordFile })).rejects.toMatchObject({ kind: "unsafe" });
    await expect(secretsOf({ ...CONNECTION, passwordFile: `${directory}/none` })).rejects.toMatchObject({
      kind: "config",
    });
  });
});

describe("what nodes say", () => {
  const LINES = [
    `${idOf(1)} 10.0.0.1:6379@16379,host1 myself,master - 0 0 1 connected 0-10 12 [13->-${idOf(2)}] [14-<-${idOf(3)}]`,
    `${idOf(2)} 10.0.0.2:6379@16379 slave,fail? ${idOf(1)} 0 0 2 disconnected`,
    `${idOf(3)} :0@0 master,noaddr - 0 0 3 disconnected`,
  ];

  it("reads nodes, ranges, half-way slots and a node without an address", () => {
    const { nodes, self, open } = parseNodes(`${LINES.join("\n")}\n`, "test");
    expect(self).toEqual(nodes[0]);
    expect(self).toMatchObject({ address: "10.0.0.1:6379", flags: ["master"], ranges: ["0-10", "12"], slots: 12 });
    expect(nodes[1]).toMatchObject({ flags: ["slave", "fail?"], masterId: idOf(1), isLinked: false });
    expect(nodes[2]?.address).toBe("");
    expect(open).toEqual([
      { slot: 13, way: "to", teller: idOf(1), other: idOf(2) },
      { slot: 14, way: "from", teller: idOf(1), other: idOf(3) },
    ]);
  });

  it.each([["NOAUTH Authentication required.\n"], [LINES[1] ?? ""], [(LINES[0] ?? "").replace("0-10", "0-x")]])(
    "does not guess at what it does not understand: %s",
    (text) => {
      expect(() => parseNodes(text, "test")).toThrow(expect.objectContaining({ kind: "bad-output" }));
    },
  );

  it("knows who moves slots by the last command of a connection, and who holds the lock by its name", () => {
    const line = (id: number, name: string, cmd: string) =>
      `id=${id} addr=10.0.0.9:${id} laddr=10.0.0.1:6379 name=${name} age=0 cmd=${cmd} user=default`;
    const list = [
      line(1, "", "cluster|setslot"),
      line(2, "", "get"),
      line(3, 'fencepost-lock:{"host":"a"}', "client|list"),
    ];
    expect(parseMovers(list.join("\n"))).toEqual(["10.0.0.9:1"]);
    expect(holdersIn(list.join("\n"))).toEqual([{ id: "3", note: '{"host":"a"}' }]);
  });
});

describe("whether slots may move", () => {
  it("finds nothing against a whole cluster", () => {
    expect(reasonsAgainstChange(clusterOf())).toEqual([]);
  });

  it.each<[string, Cluster, RegExp]>([
    [
      "a node that does not answer",
      { ...clusterOf(), silent: [{ address: "x:1", why: "timed out" }] },
      /x:1 does not answer: timed out/,
    ],
    [
      "one that says the cluster fails",
      clusterOf(FOUR, (node) => (named(2).expected(node) ? { state: "fail" } : {})),
      /10\.0\.0\.2:6379 says cluster_state:fail/,
    ],
    [
      "a node that others fear for",
      clusterOf(FOUR.map((node) => (named(3).expected(node) ? { ...node, flags: ["master", "fail?"] } : node))),
      /10\.0\.0\.3:6379 is fail\?/,
    ],
    [
      "different configurations",
      clusterOf(FOUR, (node) => (named(2).expected(node) ? { nodes: FOUR.slice(0, 3) } : {})),
      /do not agree/,
    ],
    ["slots that nobody serves", clusterOf(FOUR.slice(0, 3)), /12288 of 16384 slots are served/],
    [
      "somebody who moves slots",
      clusterOf(FOUR, () => ({ movers: ["10.0.0.9:1"] })),
      /somebody moves slots right now: 10\.0\.0\.9:1/,
    ],
    [
      "a half-way slot",
      clusterOf(FOUR, (node) =>
        named(1).expected(node) ? { open: [{ slot: 7, way: "to", teller: idOf(1), other: idOf(2) }] } : {},
      ),
      /slot 7 half-way moved/,
    ],
  ])("refuses with %s", (_, cluster, why) => {
    expect(reasonsAgainstChange(cluster).join("; ")).toMatch(why);
  });

  it("brings a half-way slot to its end only where giver and taker name each other", () => {
    const open = (...slots: { way: "to" | "from"; teller: string; other: string }[]): Cluster =>
      clusterOf(FOUR, (node) => ({
        open: slots.filter(({ teller }) => teller === node.id).map((one) => ({ slot: 7, ...one })),
      }));
    const [a, b, c] = [idOf(1), idOf(2), idOf(3)];
    const to = (teller: string, other: string) => ({ way: "to" as const, teller, other });
    const from = (teller: string, other: string) => ({ way: "from" as const, teller, other });
    expect(reasonsAgainstMending(open(to(a, b), from(b, a)))).toEqual([]);
    expect(reasonsAgainstMending(open(from(b, a)))).toEqual([]);
    expect(reasonsAgainstMending(open(to(a, b)))).toEqual([]);
    expect(reasonsAgainstMending(open(to(a, b), from(c, a)))).toHaveLength(1);
    expect(reasonsAgainstMending(open(from(b, a), from(c, a)))).toHaveLength(1);
    // Imported from a node that does not serve it.
    expect(reasonsAgainstMending(open(from(b, c)))).toHaveLength(1);
  });

  it.each([
    [[5461, 5462, 5461, 0], 4096],
    [[4096, 4096, 4096, 4096], 0],
    [[4100, 4095, 4095, 4094], 0],
  ])("counts the slots that have yet to move of %j", (slots, left) => {
    expect(Math.abs(slotsToMove(slots.map((count, at) => master(at + 1, [], count))) - left)).toBeLessThan(2);
  });
});

describe("planning", () => {
  it("adds: join, one slot, then all, with the way back by the node's own id", () => {
    const plan = planAdd(clusterOf(), [newcomer()], CONNECTION);
    expect(plan.steps.map(({ argv }) => argv.join(" "))).toEqual([
      "redis-cli --cluster add-node 10.0.0.5:6379 10.0.0.1:6379",
      `redis-cli --cluster reshard 10.0.0.1:6379 --cluster-from all --cluster-to ${idOf(5)} --cluster-slots 1 --cluster-yes`,
      "redis-cli --cluster rebalance 10.0.0.1:6379 --cluster-use-empty-masters",
    ]);
    expect(plan.steps[1]?.undo).toMatchObject({
      argv: ["redis-cli", "--cluster", "rebalance", "10.0.0.1:6379", "--cluster-weight", `${idOf(5)}=0`],
    });
    expect(plan.picture[1]).toContain("10.0.0.5:6379 3277 slots");
  });

  it.each<[string, View, RegExp]>([
    ["holds keys", newcomer({ keys: 3 }), /not empty: 3 keys/],
    ["is in a cluster of its own", newcomer({ nodes: FOUR }), /in a cluster of 4 nodes already/],
    ["serves slots", newcomer({}, { slots: 2 }), /serves 2 slots/],
    ["is a replica", newcomer({}, { flags: ["slave"] }), /is a replica/],
    ["has no room", newcomer({ memory: { used: 900, limit: 1000, evicts: true } }), /no room.*it would evict keys/],
    ["cannot count its keys", newcomer({ keys: Number.NaN }), /unknown number of keys/],
  ])("refuses to add a node that %s", (_, view, why) => {
    expect(() => planAdd(clusterOf(), [view], CONNECTION)).toThrow(
      expect.objectContaining({ kind: "unsafe", message: expect.stringMatching(why) }),
    );
  });

  it("removes: all slots away, then forget, by way of a node that stays", () => {
    const plan = planRemove(clusterOf(), ["10.0.0.1:6379"], CONNECTION);
    expect(plan.steps.map(({ argv }) => argv.join(" "))).toEqual([
      `redis-cli --cluster rebalance 10.0.0.2:6379 --cluster-weight ${idOf(1)}=0`,
      `redis-cli --cluster del-node 10.0.0.2:6379 ${idOf(1)}`,
      "redis-cli -h 10.0.0.1 -p 6379 CLUSTER RESET",
    ]);
    expect(plan.steps[0]?.data.members).not.toContain("10.0.0.1:6379");
  });

  it("moves nothing for a replica, and says whose last one it is", () => {
    const replica: Node = { ...master(5, [], 0), flags: ["slave"], masterId: idOf(2) };
    const plan = planRemove(clusterOf([...FOUR, replica]), ["10.0.0.5:6379"], CONNECTION);
    expect(plan.steps.map(({ kind }) => kind)).toEqual(["redis-del-node", "redis-reset"]);
    expect(plan.warnings).toEqual(["10.0.0.2:6379 is left without a replica"]);
  });

  it("refuses to leave fewer than three masters, no room, or to take 10.0.0.1 for 10.0.0.10", () => {
    const three = [master(1, ["0-5460"], 5461), master(2, ["5461-10922"], 5462), master(3, ["10923-16383"], 5461)];
    const remove = (cluster: Cluster, address: string) => () => planRemove(cluster, [address], CONNECTION);
    expect(remove(clusterOf(three), "10.0.0.1:6379")).toThrow(/2 masters would be left/);
    const full = clusterOf(FOUR, () => ({ memory: { used: 900, limit: 1000, evicts: false } }));
    expect(remove(full, "10.0.0.1:6379")).toThrow(/has no room/);
    expect(remove(clusterOf(), "10.0.0.10:6379")).toThrow(expect.objectContaining({ kind: "usage" }));
  });
});

const THREE = [master(1, ["0-5460"], 5461), master(2, ["5461-10922"], 5462), master(3, ["10923-16383"], 5461)];

describe("a master without slots", () => {
  const remove = (cluster: Cluster, address: string) => planRemove(cluster, [address], CONNECTION);
  const empty = master(5, [], 0);

  it("has no vote: it is not counted towards the three that have to stay", () => {
    expect(() => remove(clusterOf([...THREE, empty]), "10.0.0.3:6379")).toThrow(/2 masters would be left with slots/);
    // Nor is it missed.
    const two = [master(1, ["0-8191"], 8192), master(2, ["8192-16383"], 8192)];
    expect(remove(clusterOf([...two, empty]), "10.0.0.5:6379").steps.map(({ kind }) => kind)).toEqual([
      "redis-del-node",
      "redis-reset",
    ]);
  });

  it("gets nothing of what a node that goes had, and the others get more for it", () => {
    const memory = (limit: number) => () => ({ memory: { used: 900, limit, evicts: false } });
    const plan = remove(clusterOf([...FOUR, empty], memory(1200)), "10.0.0.4:6379");
    expect(plan.picture[1]).toContain("10.0.0.3:6379 5461 slots, 10.0.0.5:6379 0 slots");
    expect(plan.warnings).toEqual([expect.stringMatching(/10\.0\.0\.5:6379 serves no slot and gets none/)]);
    expect(() => remove(clusterOf([...FOUR, empty], memory(1150)), "10.0.0.4:6379")).toThrow(/has no room/);
  });

  it("is not counted either right before slots move, and before the empty node is forgotten", async () => {
    const plan = remove(clusterOf([...FOUR, empty]), "10.0.0.4:6379");
    const three = hostOf(clusterOf([...THREE.slice(0, 2), master(4, ["10923-16383"], 5461), empty]));
    await expect(REDIS_KINDS["redis-drain"].guard(stepOf(plan, "redis-drain"), three)).rejects.toThrow(
      /2 masters would be left with slots/,
    );
    const drained = [master(1, ["0-8191"], 8192), master(2, ["8192-16383"], 8192), master(4, [], 0), empty];
    const two = hostOf(clusterOf(drained, (node) => ({ keys: node.slots > 0 ? 10 : 0 })));
    await expect(REDIS_KINDS["redis-del-node"].guard(stepOf(plan, "redis-del-node"), two)).rejects.toThrow(
      /2 masters would be left with slots/,
    );
  });
});

describe("a node that is being emptied", () => {
  const plan = planRemove(clusterOf(), ["10.0.0.4:6379"], CONNECTION);
  const standing = (cluster: Cluster, step = stepOf(plan, "redis-drain")) =>
    REDIS_KINDS["redis-drain"].standing(step, hostOf(cluster));
  const open = { slot: 12288, way: "to" as const, teller: idOf(4), other: idOf(1) };

  it("is half-way once it has not all of its slots any more, or one of them is on its way", async () => {
    expect(await standing(clusterOf())).toMatchObject({ state: "todo", halfway: false });
    const begun = clusterOf([
      master(1, ["0-4095", "12288"], 4097),
      ...FOUR.slice(1, 3),
      master(4, ["12289-16383"], 4095),
    ]);
    expect(await standing(begun)).toMatchObject({ state: "todo", halfway: true });
    const opened = clusterOf(FOUR, (node) => (node.id === idOf(4) ? { open: [open] } : {}));
    expect(await standing(opened)).toMatchObject({ state: "todo", halfway: true });
  });

  it("may be half-way where an older journal does not say what it had", async () => {
    const { slots: _, ...data } = stepOf(plan, "redis-drain").data;
    const old = { ...stepOf(plan, "redis-drain"), data };
    expect(await standing(clusterOf(), old)).toMatchObject({ state: "todo", halfway: true });
  });
});

describe("taking an addition back", () => {
  const undo = (plan: Plan, cluster: Cluster) =>
    REDIS_KINDS["redis-first-slot"].guardUndo(stepOf(plan, "redis-first-slot"), hostOf(cluster));

  it("is refused when meanwhile so many masters have gone that it would leave fewer than three", async () => {
    const plan = planAdd(clusterOf(), [newcomer()], CONNECTION);
    const all = [...FOUR.slice(0, 3), master(4, ["12288-16382"], 4095), master(5, ["16383"], 1)];
    await expect(undo(plan, clusterOf(all))).resolves.toBeUndefined();
    const three = clusterOf([...THREE.slice(0, 2), master(5, ["10923-16383"], 5461)]);
    await expect(undo(plan, three)).rejects.toThrow(/2 masters would be left with slots/);
  });

  it("counts none of those that were added together", async () => {
    const six = { ...newcomer(), address: "10.0.0.6:6379", self: master(6, [], 0) };
    const plan = planAdd(clusterOf(), [newcomer(), six], CONNECTION);
    const four = [...THREE.slice(0, 2), master(5, ["10923-13653"], 2731), master(6, ["13654-16383"], 2730)];
    await expect(undo(plan, clusterOf(four))).rejects.toThrow(/2 masters would be left with slots/);
  });
});

describe("room for the slots' data", () => {
  /** Slots by node, and the memory that their data takes; all have the same limit, and evict. */
  const having = (slots: readonly number[], used: readonly number[], limit: number): Cluster => {
    let from = 0;
    const nodes = slots.map((count, at) => {
      const ranges = count > 0 ? [`${from}-${from + count - 1}`] : [];
      from += count;
      return master(at + 1, ranges, count);
    });
    return clusterOf(nodes, (node) => ({ memory: { used: used[nodes.indexOf(node)] ?? 0, limit, evicts: true } }));
  };
  const EVEN = [4096, 4096, 4096, 4096];
  const removal = planRemove(clusterOf(), ["10.0.0.4:6379"], CONNECTION);
  const addition = planAdd(clusterOf(), [newcomer()], CONNECTION);

  it("is counted by what each lacks of its part, and what the givers' surplus takes up", () => {
    const small = having([6000, 6000, 384, 4000], [600, 600, 40, 400], 1000);
    // The smallest gets most of it: 5077 of the 5538 slots that move, not a third of what the leaver has.
    expect(() => planRemove(small, ["10.0.0.4:6379"], CONNECTION)).not.toThrow();
    const tight = having([6000, 6000, 384, 4000], [600, 600, 40, 400], 500);
    expect(() => planRemove(tight, ["10.0.0.4:6379"], CONNECTION)).toThrow(/10\.0\.0\.3:6379 has no room: 548 bytes/);
  });

  it.each<[string, keyof typeof REDIS_KINDS, "guard" | "guardUndo", Plan, number[], number]>([
    ["a node is emptied", "redis-drain", "guard", removal, EVEN, 600],
    ["what is left of it is moved", "redis-drain", "guard", removal, [5000, 5000, 5000, 1384], 650],
    ["a new node gets its first slot", "redis-first-slot", "guard", addition, [...EVEN, 0], 500],
    ["all get their part", "redis-balance", "guard", addition, [4095, 4096, 4096, 4096, 1], 500],
    ["a new node's slots go back", "redis-first-slot", "guardUndo", addition, [3277, 3277, 3277, 3277, 3276], 500],
  ])("is read again right before %s", async (_, name, way, plan, slots, tooLittle) => {
    const kind: StepKind = REDIS_KINDS[name];
    const used = slots.map((count) => 100 + Math.round(count / 10));
    const guard = (limit: number) => kind[way]?.(stepOf(plan, name), hostOf(having(slots, used, limit)));
    await expect(guard(700)).resolves.toBeUndefined();
    await expect(guard(tooLittle)).rejects.toMatchObject({
      kind: "unsafe",
      message: expect.stringMatching(/has no room: \d+ bytes of maxmemory \d+, and it would evict keys/),
    });
  });

  it("is enough for a move that goes on when only what is left to move fits", () => {
    const nearly = having([3300, 3300, 3300, 3300, 3184], [500, 500, 500, 500, 490], 520);
    expect(reasonsAgainstLoad(nearly.views, mastersOf(nearly))).toEqual([]);
    // All within redis-cli's 2 %: it moves nothing, so that full nodes are none of its doing.
    const full = having([4097, 4096, 4096, 4095], [501, 501, 501, 501], 500);
    expect(reasonsAgainstLoad(full.views, mastersOf(full))).toEqual([]);
  });
});
