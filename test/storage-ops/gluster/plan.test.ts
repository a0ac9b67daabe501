import { describe, expect, it } from "vitest";
import { healthOf } from "../../../src/storage-ops/gluster/health.ts";
import { GLUSTER_KINDS } from "../../../src/storage-ops/gluster/kinds.ts";
import { withNames } from "../../../src/storage-ops/gluster/names.ts";
import { GLUSTER_OPERATIONS } from "../../../src/storage-ops/gluster/operations.ts";
import { type Grow, planAdd } from "../../../src/storage-ops/gluster/plan.ts";
import { planRemove } from "../../../src/storage-ops/gluster/remove-plan.ts";
import { reasonsAgainstLoss } from "../../../src/storage-ops/gluster/safety.ts";
import { checkBrickPath, mountOf, reasonsAgainstSite, type Site } from "../../../src/storage-ops/gluster/site.ts";
import type { BrickHeal, Pool, Volume } from "../../../src/storage-ops/gluster/state.ts";
import { fakeHost } from "../../fakes/fake-host.ts";
import { fixtureText, poolOf } from "./fixture.ts";

const site = (host: string, more: Partial<Site> = {}): Site => ({
  host,
  path: "/data/glusterfs/shared",
  mount: { target: "/data/glusterfs", type: "xfs" },
  content: "absent",
  ...more,
});
const volumeIn = (pool: Pool, name = "shared_data"): Volume => pool.volumes.find((one) => one.name === name) as Volume;
const many = (): Pool => {
  const pool = poolOf({ volumes: "volume-info-many", status: "status-many" });
  const whole = (volume: Volume): BrickHeal[] =>
    volume.bricks.map(({ name }) => ({ brick: name, connected: true, pending: 0, splitBrain: 0, detail: "Connected" }));
  return { ...pool, heal: new Map(pool.volumes.map((volume) => [volume.name, whole(volume)])) };
};
const add = (pool: Pool, volume: string, hosts: string[], grow?: Grow) =>
  planAdd(pool, {
    volume: volumeIn(pool, volume),
    sites: hosts.map((host) => site(host)),
    ...(grow ? { grow } : {}),
    backupFile: "/b.tar.gz",
  });
const remove = (pool: Pool, ...hosts: string[]) => planRemove(pool, { hosts, backupFile: "/b.tar.gz" });
const GIB = 1024 ** 3;
/** Each brick holds 30 GiB. */
const spacesOf = (pool: Pool) =>
  new Map(
    pool.volumes.flatMap(({ bricks }) =>
      bricks.map(({ name }) => [name, { sizeBytes: 100 * GIB, freeBytes: 70 * GIB, device: "/dev/sdb" }] as const),
    ),
  );
const commands = (plan: { steps: readonly { argv: readonly string[] }[] }): string[] =>
  plan.steps.slice(1).map(({ argv }) => argv.join(" ").replace("gluster --mode=script ", ""));
const unsafe = (why: string) => expect.objectContaining({ kind: "unsafe", message: expect.stringContaining(why) });
const usage = (why: string) => expect.objectContaining({ kind: "usage", message: expect.stringContaining(why) });

describe("a plan to add a node", () => {
  it("probes a stranger, gives every replica set one more copy without force, and heals", () => {
    expect(commands(add(poolOf(), "shared_data", ["10.77.0.9"]))).toEqual([
      "peer probe 10.77.0.9",
      "volume add-brick shared_data replica 4 10.77.0.9:/data/glusterfs/shared",
      "volume heal shared_data full",
    ]);
  });

  it("can take back the new copy, and no brick that data may have moved onto", () => {
    expect(add(poolOf(), "shared_data", ["10.77.0.4"]).steps[1]?.undo).toMatchObject({
      argv: expect.arrayContaining(["replica", "3", "force"]),
    });
    expect(add(many(), "dist", ["10.77.0.4"], "distribute").steps[1]?.undo).toHaveProperty("impossible");
  });

  it.each([
    ["dr", 1, "distribute", "you need 2 bricks, a replica set of 2 more; 1 brick given"],
    ["dr", 1, "replica", "you need 2 bricks, one more copy for each of 2 replica sets; 1 brick given"],
    ["dr", 1, "arbiter", "you need 2 bricks, an arbiter for each replica set; 1 brick given"],
    ["arb", 1, "replica", "does not change the replica count of a volume with arbiters"],
    ["shared_data", 1, "arbiter", "an arbiter joins a replica 2 volume; this is replica 3"],
  ] as const)("says of volume %s with %d brick as %s: %s", (volume, count, grow, why) => {
    const hosts = Array.from({ length: count }, (_, at) => `10.77.0.${20 + at}`);
    expect(() => add(many(), volume, hosts, grow)).toThrow(usage(why));
  });

  it("makes a copy of the only brick, or more room where that is asked for", () => {
    expect(commands(add(many(), "dist", ["10.77.0.4"]))[0]).toContain("add-brick dist replica 2 ");
    expect(commands(add(many(), "dist", ["10.77.0.4"], "distribute"))).toEqual([
      "volume add-brick dist 10.77.0.4:/data/glusterfs/shared",
      "volume rebalance dist start",
    ]);
  });

  it("is refused while a brick is down, with every reason", () => {
    expect(() =>
      add(poolOf({ status: "status-brick-down", heal: "heal-brick-down" }), "shared_data", ["10.77.0.4"]),
    ).toThrow(unsafe("brick 10.77.0.3:/data/glusterfs/shared is down"));
  });

  it("is refused for a node that holds a copy already", () => {
    expect(() => add(poolOf(), "shared_data", ["10.77.0.2"])).toThrow(
      unsafe("two copies on one node are lost together"),
    );
  });

  it("knows this node by another address of it: no stranger to be probed, and no place for a second copy", async () => {
    const host = fakeHost({ commands: { hostname: "node1\n", "hostname -I": "10.77.0.1 10.99.0.1 \n" } });
    expect(commands(add(await withNames(host, many(), ["10.99.0.1"]), "dist", ["10.99.0.1"], "distribute"))).toEqual([
      "volume add-brick dist 10.99.0.1:/data/glusterfs/shared",
      "volume rebalance dist start",
    ]);
    const pool = await withNames(host, poolOf(), ["10.99.0.1", "10.99.0.9"]);
    expect(() => add(pool, "shared_data", ["10.99.0.1"])).toThrow(unsafe("two copies on one node are lost together"));
    expect(commands(add(pool, "shared_data", ["10.99.0.9"]))[0]).toBe("peer probe 10.99.0.9");
  });

  it("looks at a place on this node itself, without ssh to it, right before the brick is made", async () => {
    const { steps } = add(await withNames(fakeHost(), many(), ["10.77.0.1"]), "dist", ["10.77.0.1"], "distribute");
    const look = {
      "findmnt --json --list --output TARGET,FSTYPE": JSON.stringify({
        filesystems: [{ target: "/data/glusterfs", fstype: "xfs" }],
      }),
      "find /data/glusterfs/shared -maxdepth 2 -print": "/data/glusterfs/shared\n/data/glusterfs/shared/f\n",
      "env LC_ALL=C getfattr --absolute-names -h -m ^trusted[.](glusterfs[.]volume-id|gfid)$ -- /data /data/glusterfs /data/glusterfs/shared":
        "",
    };
    const host = fakeHost({
      commands: {
        "gluster --mode=script --xml pool list": fixtureText("pool-list"),
        "gluster --mode=script --xml volume info all": fixtureText("volume-info-many"),
        "gluster --mode=script --xml volume status all": fixtureText("status-many"),
        ...look,
      },
    });
    await expect(GLUSTER_KINDS["add-brick"].guard(steps[1] as never, host)).rejects.toEqual(
      unsafe("10.77.0.1: /data/glusterfs/shared is not empty"),
    );
  });

  it("is refused without quorum, on a stopped volume, while data moves and where nothing would heal", () => {
    const pool = poolOf();
    const lonely = { ...pool, peers: pool.peers.map((peer) => ({ ...peer, connected: peer.isLocal })) };
    expect(() => add(lonely, "shared_data", ["10.77.0.9"])).toThrow(unsafe("no quorum: 1 of 4 peers"));
    const change = (more: Partial<Volume>) => ({
      ...pool,
      volumes: pool.volumes.map((volume) => ({ ...volume, ...more })),
    });
    expect(() => add(change({ isStarted: false }), "shared_data", ["10.77.0.9"])).toThrow(unsafe("stopped"));
    const off = change({ options: new Map([["cluster.self-heal-daemon", "off"]]) });
    expect(() => add(off, "shared_data", ["10.77.0.9"])).toThrow(unsafe("nothing would fill the new copy"));
    const status = volumeIn(pool) && pool.status.get("shared_data");
    const busy = {
      ...pool,
      status: new Map([["shared_data", { ...status, tasks: [{ type: "Rebalance", id: "x", status: "in progress" }] }]]),
    };
    expect(() => add(busy as Pool, "shared_data", ["10.77.0.9"])).toThrow(unsafe("Rebalance is in progress"));
  });

  it.each([
    ["the root filesystem", site("n", { mount: { target: "/", type: "ext4" } }), "root filesystem"],
    ["a mount point", site("n", { mount: { target: "/data/glusterfs/shared", type: "xfs" } }), "mount point itself"],
    ["an old brick", site("n", { content: "not-empty" }), "not empty"],
    ["glusterd's directory", site("n", { path: "/var/lib/glusterd/x" }), "glusterd's own"],
    ["a place nobody could look at", site("n", { problem: "ssh: exit 255" }), "could not be looked at: ssh: exit 255"],
  ])("does not put a brick on %s", (_, place, why) => {
    expect(reasonsAgainstSite(place).join()).toContain(why);
  });

  it("finds the filesystem of a path by whole names of directories", () => {
    const json = JSON.stringify({
      filesystems: [
        { target: "/", fstype: "ext4" },
        { target: "/data", fstype: "xfs" },
      ],
    });
    expect(mountOf(json, "/data/b")?.target).toBe("/data");
    expect(mountOf(json, "/database/b")?.target).toBe("/");
  });

  it.each(["b", "/a b", "/a/../b", "/a;b", "/-x/..", "/"])("takes no such path for a brick: %j", (path) => {
    expect(() => checkBrickPath(path)).toThrow(expect.objectContaining({ kind: "usage" }));
  });
});

describe("a plan to remove a node", () => {
  it("lowers the replica count by its copies, which only force does, and detaches the peer", () => {
    expect(commands(remove(poolOf(), "10.77.0.3"))).toEqual([
      "volume remove-brick shared_data replica 2 10.77.0.3:/data/glusterfs/shared force",
      "peer detach 10.77.0.3",
    ]);
  });

  it.each([
    ["entries to heal", { pending: 1 }, "1 entries that other copies still need from it"],
    ["split-brain", { splitBrain: 2 }, "2 entries in split-brain"],
    ["no number", { pending: "unknown" as const }, "no number"],
    [
      "a brick that does not answer",
      { connected: false, detail: "Transport endpoint is not connected" },
      "Transport endpoint",
    ],
  ])("is refused with %s on any brick", (_, more, why) => {
    const pool = poolOf();
    const heal = (pool.heal.get("shared_data") as BrickHeal[]).map((one, at) => (at === 0 ? { ...one, ...more } : one));
    expect(() => remove({ ...pool, heal: new Map([["shared_data", heal]]) }, "10.77.0.3")).toThrow(unsafe(why));
  });

  it("is refused when heal info failed, or told of fewer bricks than there are", () => {
    const pool = poolOf();
    expect(() => remove({ ...pool, heal: new Map([["shared_data", "timed out"]]) }, "10.77.0.3")).toThrow(
      unsafe("heal info could not be read: timed out"),
    );
    expect(() => remove({ ...pool, heal: new Map() }, "10.77.0.3")).toThrow(unsafe("heal info could not be read"));
    expect(() => remove({ ...pool, heal: new Map([["shared_data", []]]) }, "10.77.0.3")).toThrow(
      unsafe("tells nothing of brick"),
    );
  });

  it("moves the data of a whole replica set away first, and refuses half a set with the arithmetic", () => {
    const pool = many();
    const only = { ...pool, volumes: pool.volumes.filter(({ name }) => name === "dr") };
    expect(commands(remove(only, "10.77.0.3", "10.77.0.4")).slice(0, 2)).toEqual([
      "volume remove-brick dr 10.77.0.3:/data/glusterfs/r1 10.77.0.4:/data/glusterfs/r1 start",
      "volume remove-brick dr 10.77.0.3:/data/glusterfs/r1 10.77.0.4:/data/glusterfs/r1 commit",
    ]);
    expect(() => remove(only, "10.77.0.4")).toThrow(
      usage("one of each set (2 bricks) for one copy less, or all 2 of a set"),
    );
    expect(() => remove(only, "10.77.0.2", "10.77.0.3", "10.77.0.4")).toThrow(usage("of 2 replica sets"));
  });

  const away = (pool: Pool, ...hosts: string[]): Pool => ({
    ...pool,
    peers: pool.peers.map((peer) => ({
      ...peer,
      connected: peer.connected && !hosts.includes(peer.hostnames[0] ?? ""),
    })),
  });

  it("detaches a dead node without a brick, says that it is not told, and does not lock it", async () => {
    const plan = remove(away(poolOf(), "10.77.0.4"), "10.77.0.4");
    expect(commands(plan)).toEqual(["peer detach 10.77.0.4"]);
    expect(plan.warnings).toEqual([expect.stringContaining("10.77.0.4 is not connected and not told")]);
    const dead = (peer: number) =>
      fixtureText("pool-list").replace(new RegExp(`(10\\.77\\.0\\.${peer}<.*?<connected>)1`, "s"), "$10");
    const placesWhere = async (peers: string, of = plan) => {
      const commands = {
        "gluster --mode=script --xml pool list": peers,
        "gluster --mode=script --xml volume info all": fixtureText("volume-info"),
      };
      return (await GLUSTER_OPERATIONS.placesOf(of, fakeHost({ commands }))).map(({ name }) => name).sort();
    };
    expect(await placesWhere(dead(4))).toEqual(["10.77.0.2", "10.77.0.3", "localhost"]);
    // Another one that is away has to be locked, and so has one that still has a brick.
    expect(await placesWhere(dead(3))).toContain("10.77.0.3");
    expect(await placesWhere(dead(3), remove(poolOf(), "10.77.0.3"))).toContain("10.77.0.3");
  });

  it("detaches no dead node while another one is away, or where this part may be the one that is cut off", () => {
    expect(() => remove(away(poolOf(), "10.77.0.4", "10.77.0.3"), "10.77.0.4")).toThrow(
      unsafe("10.77.0.4: cannot be detached: peer 10.77.0.3 is not connected"),
    );
    expect(() => remove(away(poolOf(), "10.77.0.3"), "10.77.0.4")).toThrow(unsafe("peer 10.77.0.3 is not connected"));
    const pool = away(poolOf(), "10.77.0.4");
    const two = { ...pool, peers: pool.peers.filter((peer) => peer.isLocal || !peer.connected) };
    expect(() => remove(two, "10.77.0.4")).toThrow(unsafe("1 of 2 peers are no quorum"));
    expect(() => remove(away(poolOf(), "10.77.0.3"), "10.77.0.3")).toThrow(unsafe("cannot remove 10.77.0.3:/"));
  });

  it("is refused for this node, for a stranger, and for all bricks of a volume", () => {
    expect(() => remove(poolOf(), "10.77.0.1")).toThrow(usage("is this node"));
    expect(() => remove(poolOf(), "10.77.0.40")).toThrow(usage("not a peer of this pool"));
  });
});

describe("resuming a removal on changed facts", () => {
  it("is refused when entries to heal have appeared since", async () => {
    const step = remove(poolOf(), "10.77.0.3").steps[1];
    const host = fakeHost({
      commands: {
        "gluster --mode=script --xml pool list": fixtureText("pool-list"),
        "gluster --mode=script --xml volume info all": fixtureText("volume-info"),
        "gluster --mode=script --xml volume status all": fixtureText("status"),
        "gluster --mode=script --xml volume heal shared_data info summary": fixtureText("heal-summary").replace(
          "<totalNumberOfEntries>0<",
          "<totalNumberOfEntries>5<",
        ),
      },
    });
    await expect(GLUSTER_KINDS["remove-brick-force"].guard(step as never, host)).rejects.toMatchObject({
      kind: "unsafe",
      message: expect.stringContaining("5 entries that other copies still need"),
    });
  });
});

describe("health", () => {
  it.each([
    ["whole", poolOf(), "up"],
    ["with a dead brick", poolOf({ status: "status-brick-down", heal: "heal-brick-down" }), "degraded"],
    [
      "with entries to heal",
      {
        ...poolOf(),
        heal: new Map([
          ["shared_data", [{ brick: "x", connected: true, pending: 10_000_000, splitBrain: 0, detail: "" }]],
        ]),
      },
      "unknown",
    ],
    ["of which heal info could not be read", { ...poolOf(), heal: new Map([["shared_data", "timed out"]]) }, "unknown"],
    ["without a status", { ...poolOf(), status: new Map() }, "unknown"],
  ])("of a volume %s is %s", (_, pool, state) => {
    expect(healthOf(pool).volumes.map((one) => one.state)).toEqual([state]);
  });

  it("of a volume with nothing to heal on a brick that is full is degraded", () => {
    const pool = poolOf();
    const [{ name = "" } = {}] = volumeIn(pool).bricks;
    const space = { sizeBytes: 1024 ** 3, freeBytes: 1024 ** 2, device: "" };
    const [health] = healthOf(pool, new Map([[name, space]])).volumes;
    expect([health?.state, health?.findings]).toEqual(["degraded", [`brick ${name} is full: 1.0 MiB free of 1.0 GiB`]]);
  });

  it("says that a node may go only while the rest serves and needs nothing from it", () => {
    const pool = poolOf();
    expect(reasonsAgainstLoss(pool, volumeIn(pool), "10.77.0.2")).toEqual([]);
    const worse = poolOf({ status: "status-brick-down", heal: "heal-brick-down" });
    expect(reasonsAgainstLoss(worse, volumeIn(worse), "10.77.0.2").join()).toContain("1 of 3 would be left");
    expect(reasonsAgainstLoss(many(), volumeIn(many(), "dist"), "10.77.0.1").join()).toContain("no other copy");
  });
});

describe("what a plan says of the time in between", () => {
  const said = ({ picture }: { picture: readonly string[] }): string => picture.slice(2).join("\n");
  const adding = (volume: string, count: number, grow: Grow, spaces?: ReturnType<typeof spacesOf>): string =>
    said(
      planAdd(many(), {
        volume: volumeIn(many(), volume),
        sites: Array.from({ length: count }, (_, at) => site(`10.77.0.${20 + at}`)),
        grow,
        backupFile: "/b.tar.gz",
        ...(spaces ? { spaces } : {}),
      }),
    );
  const removing = (change: (volume: Volume) => Volume, hosts: string[]): string => {
    const pool = many();
    const volumes = pool.volumes.filter(({ name }) => name === "dr").map(change);
    return said(
      planRemove({ ...pool, volumes }, { hosts, backupFile: "/b.tar.gz", spaces: spacesOf({ ...pool, volumes }) }),
    );
  };
  const full = spacesOf(many());

  it("is that a second copy protects nothing before it is whole", () => {
    expect(adding("dist", 1, "replica", full)).toBe(
      [
        "failures survived: now 0 nodes, until it is healed 0 nodes, then 1 node",
        "to copy: at most 30.0 GiB; at 100 MiB/s 6 min, longer for many small files",
        "if the node with the only whole copy dies meanwhile: its files are not served until it is back; the heal then goes on",
      ].join("\n"),
    );
  });

  it("is what each of several replica sets survives, and that they are filled at the same time", () => {
    expect(adding("dr", 2, "replica", full)).toBe(
      [
        "failures survived of each replica set: now 1 node, until it is healed 1 node, then 1 node",
        "to copy: at most 60.0 GiB; at 100 MiB/s 6 min, longer for many small files",
        "if another node dies meanwhile: the volume goes on serving; the heal goes on when it is back",
      ].join("\n"),
    );
    expect(adding("dr", 2, "arbiter", full)).toContain("to copy: names and attributes only");
  });

  it("is the part of the data that a rebalance moves, and what is not served where it stops", () => {
    expect(adding("dist", 1, "distribute", full)).toBe(
      [
        "failures survived: now 0 nodes, while data moves 0 nodes, then 0 nodes",
        "to move: about 15.0 GiB; at 100 MiB/s 3 min, longer for many small files",
        "if a node dies meanwhile: the files on it are not served until it is back; the rebalance stops, journal resume starts it again",
      ].join("\n"),
    );
    expect(adding("dr", 2, "distribute", full)).toContain("to move: about 20.0 GiB");
  });

  it("is unknown where a brick does not tell what it holds, and nothing where it was not asked", () => {
    expect(adding("dr", 2, "replica", new Map([...full].slice(0, 1)))).toContain("to copy: unknown: no brick tells");
    expect(adding("dr", 2, "replica")).not.toContain("to copy");
  });

  it("is that fewer copies need no copying and survive less from then on", () => {
    expect(said(remove(poolOf(), "10.77.0.3"))).toBe(
      [
        "failures survived: now 1 node, from the removal on 1 node, then 1 node",
        "to copy: nothing: the copies that stay are whole, or nothing is removed",
        "if another node dies meanwhile: the volume goes on serving",
      ].join("\n"),
    );
    expect(said(remove(poolOf(), "10.77.0.2", "10.77.0.3"))).toMatch(/then 0 nodes\n.*\n.*are lost with its disk$/);
  });

  it("is what has to move off bricks that leave, which stay until it has", () => {
    const [first, second] = volumeIn(many(), "dr").bricks.map(({ host }) => host);
    const local = many().peers.find(({ isLocal }) => isLocal)?.uuid;
    const hosts =
      volumeIn(many(), "dr").bricks[0]?.hostUuid === local ? ["10.77.0.3", "10.77.0.4"] : [`${first}`, `${second}`];
    expect(removing((volume) => volume, hosts)).toBe(
      [
        "failures survived of each replica set: now 1 node, while data moves 1 node, then 1 node",
        "to move: at most 30.0 GiB; at 100 MiB/s 6 min, longer for many small files",
        "if a node dies meanwhile: the volume goes on serving; the bricks stay until every file has moved: journal resume or undo",
      ].join("\n"),
    );
  });
});
