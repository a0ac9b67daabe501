import { describe, expect, it } from "vitest";
import type { Argv } from "../../../src/core/exec.ts";
import { sshArgv } from "../../../src/core/ssh.ts";
import { parseXml } from "../../../src/core/xml.ts";
import { capacityOf, fullBricks, parseDetail, showBytes } from "../../../src/storage-ops/gluster/capacity.ts";
import { tolerated } from "../../../src/storage-ops/gluster/explain.ts";
import { fullCrawlKeys, parseCrawlRuns, planHeal } from "../../../src/storage-ops/gluster/heal-run.ts";
import { healthOf } from "../../../src/storage-ops/gluster/health.ts";
import { renderMetrics } from "../../../src/storage-ops/gluster/metrics.ts";
import {
  checkServers,
  entryLine,
  entryUnit,
  fstabWith,
  fstabWithout,
} from "../../../src/storage-ops/gluster/mount-plan.ts";
import { planRebalance } from "../../../src/storage-ops/gluster/rebalance-run.ts";
import { readOwed } from "../../../src/storage-ops/gluster/replace-kinds.ts";
import { type Owed, planReplace, reasonsAgainstGivingUp } from "../../../src/storage-ops/gluster/replace-plan.ts";
import { differences, savedPeers, savedVolumes } from "../../../src/storage-ops/gluster/saved-state.ts";
import type { Site } from "../../../src/storage-ops/gluster/site.ts";
import type { BrickHeal, Pool, Volume } from "../../../src/storage-ops/gluster/state.ts";
import { checksOf, type Facts } from "../../../src/storage-ops/gluster/troubleshoot.ts";
import { fakeHost } from "../../fakes/fake-host.ts";
import { fixture, fixtureText, plainText, poolOf } from "./fixture.ts";

const only = (pool: Pool): Volume => pool.volumes[0] as Volume;
const BRICK = "10.77.0.3:/data/glusterfs/shared";
const site = (more: Partial<Site> = {}): Site => ({
  host: "10.77.0.4",
  path: "/data/glusterfs/shared",
  mount: { target: "/data/glusterfs", type: "xfs" },
  content: "absent",
  ...more,
});

describe("giving up a brick's data", () => {
  const reasons = (pool: Pool, owed?: Owed): string => reasonsAgainstGivingUp(pool, only(pool), BRICK, owed).join("; ");
  const whole = poolOf();
  const withHeal = (change: (one: BrickHeal) => BrickHeal): Pool => {
    const heal = whole.heal.get("shared_data");
    return { ...whole, heal: new Map([["shared_data", (heal as BrickHeal[]).map(change)]]) };
  };

  it("is safe while every copy is up and nothing is to heal", () => {
    expect(reasons(whole)).toBe("");
  });

  it("is refused while another copy is down, told of or not", () => {
    const down = poolOf({ status: "status-brick-down", heal: "heal-brick-down" });
    expect(reasonsAgainstGivingUp(down, only(down), "10.77.0.1:/data/glusterfs/shared", undefined).join("; ")).toMatch(
      /another copy, 10.77.0.3:\S+, is down/,
    );
    expect(reasons({ ...whole, status: new Map() })).toContain("its state is unknown");
  });

  it("asks for a word of the operator where the brick is down, and then believes what the others owe one another", () => {
    const down = poolOf({ status: "status-brick-down", heal: "heal-brick-down" });
    expect(reasons(down)).toContain("if it is dead for good, say --dead");
    expect(reasons(down, { reasons: [], warnings: [] })).toBe("");
    expect(reasons(down, { reasons: ["no copy that is left is whole"], warnings: [] })).toContain(
      "no copy that is left",
    );
  });

  it("is refused with an entry to heal, one in split-brain, or no number", () => {
    expect(reasons(withHeal((one) => ({ ...one, pending: 1 })))).toContain("1 entries that other copies still need");
    expect(reasons(withHeal((one) => ({ ...one, splitBrain: 1 })))).toContain("1 entries in split-brain");
    expect(reasons(withHeal((one) => ({ ...one, pending: "unknown" })))).toContain("gives no number");
    expect(reasons({ ...whole, heal: new Map([["shared_data", "timed out"]]) })).toContain("timed out");
  });

  it("is refused without quorum and where no other brick has a copy", () => {
    const peers = whole.peers.map((peer) => ({ ...peer, connected: peer.isLocal }));
    expect(reasons({ ...whole, peers })).toContain("no quorum");
    const single = { ...only(whole), replica: 1 };
    expect(reasonsAgainstGivingUp(whole, single, BRICK, undefined).join()).toContain("no other brick has a copy");
  });

  it("plans probe, replacement and a full heal, and shows what it means", () => {
    const stranger = { ...whole, peers: whole.peers.filter(({ hostnames }) => hostnames[0] !== "10.77.0.4") };
    const plan = planReplace(stranger, {
      volume: only(whole),
      from: BRICK,
      site: site(),
      dead: false,
      owed: undefined,
      backupFile: "/b.tar.gz",
      spaces: new Map(),
    });
    expect(plan.steps.map(({ id }) => id)).toEqual(["backup", "peer-probe-10.77.0.4", "replace-brick", "heal"]);
    expect(plan.picture.join("\n")).toContain(
      "failures survived: now 1 node, until the new copy is healed 0 nodes, then 1 node",
    );
    expect(plan.picture.join("\n")).toContain("to copy: unknown");
  });

  it("refuses a place beside another copy, on root or in use", () => {
    const replaceAt = (at: Partial<Site>) => () =>
      planReplace(whole, {
        volume: only(whole),
        from: BRICK,
        site: site(at),
        dead: false,
        owed: undefined,
        backupFile: "/b",
        spaces: new Map(),
      });
    expect(replaceAt({ host: "10.77.0.1", path: "/data/glusterfs/other" })).toThrow(/two copies on one node/);
    expect(replaceAt({ mount: { target: "/", type: "ext4" } })).toThrow(/root filesystem/);
    expect(replaceAt({ content: "not-empty" })).toThrow(/not empty/);
  });

  const gfid = "aaaaaaaa-0000-4000-8000-000000000001";
  const entry = `/data/glusterfs/shared/.glusterfs/aa/aa/${gfid}`;
  const onBrick = (at: number, argv: Argv): string => (at === 1 ? argv : sshArgv(`10.77.0.${at}`, argv)).join(" ");
  /** What node1 and node2 list, and whom it blames there, by the brick's number in the volume. */
  const owedWhere = (blamed: Readonly<Record<number, number>>) =>
    readOwed(
      fakeHost({
        commands: Object.fromEntries(
          [1, 2].flatMap((at) => [
            [
              onBrick(at, [
                "find",
                "/data/glusterfs/shared/.glusterfs/indices/xattrop",
                "-mindepth",
                "1",
                "-maxdepth",
                "1",
                "-printf",
                "%f\\n",
              ]),
              `${gfid}\nxattrop-1\n`,
            ],
            [
              onBrick(at, ["getfattr", "-d", "-m", "^trusted.afr", "-e", "hex", "--absolute-names", "--", entry]),
              `# file: ${entry}\ntrusted.afr.dirty=0x000000000000000000000001\ntrusted.afr.shared_data-client-${blamed[at]}=0x000000010000000000000000\n`,
            ],
          ]),
        ),
      }),
      whole,
      only(whole),
      BRICK,
    );

  it("takes copies that blame the dead one for whole, warns of one that is behind, and refuses where none is whole", async () => {
    expect(await owedWhere({ 1: 2, 2: 2 })).toEqual({ reasons: [], warnings: [] });
    expect(await owedWhere({ 1: 1, 2: 2 })).toEqual({ reasons: [], warnings: [expect.stringContaining("10.77.0.2")] });
    const { reasons: lost } = await owedWhere({ 1: 1, 2: 0 });
    expect(lost).toEqual([expect.stringContaining("of 1 entries no copy that is left is whole")]);
  });

  it.each([
    [3, 3, 1],
    [3, 2, 0],
    [2, 2, 1],
    [2, 1, 0],
    [5, 5, 2],
    [1, 1, 0],
  ])("a set of %i with %i up survives %i more failures", (size, up, count) => {
    expect(tolerated(size, up)).toBe(count);
  });
});

describe("rebalancing", () => {
  it("is refused on a volume of one replica set, with what to do instead", () => {
    const pool = poolOf();
    expect(() => planRebalance(pool, only(pool), { verb: "start", wait: true, last: undefined })).toThrow(
      expect.objectContaining({ kind: "usage", hint: "fencepost gluster heal shared_data" }),
    );
  });
});

describe("healing on demand", () => {
  it("reads crawls by brick, and tells full ones from others", () => {
    const crawls = parseCrawlRuns(plainText("heal-statistics.txt"));
    expect(new Set(crawls.map(({ brick }) => brick)).size).toBeGreaterThan(1);
    expect(crawls.some(({ ended }) => !ended)).toBe(true);
    expect(fullCrawlKeys(crawls).length).toBe(crawls.filter(({ type }) => type === "FULL").length);
  });

  it("is refused while nobody would heal, and a down brick is warned of", () => {
    const pool = poolOf();
    const off = { ...only(pool), options: new Map([["cluster.self-heal-daemon", "off"]]) };
    expect(() => planHeal(pool, off, false, [])).toThrow(/nobody would heal/);
    const down = poolOf({ status: "status-brick-down", heal: "heal-brick-down" });
    expect(planHeal(down, only(down), false, []).warnings).toEqual([expect.stringContaining("10.77.0.3")]);
  });
});

describe("how full the bricks are", () => {
  const spaces = parseDetail(fixture("status-detail"));
  const bricks = [...spaces.keys()]
    .slice(0, 3)
    .map((name) => ({ name, host: "", path: "", hostUuid: "", isArbiter: false }));
  const volume = { ...only(poolOf()), bricks, replica: 3 };

  it("is that of the smallest copy of each set, and unknown as soon as one does not tell", () => {
    expect(capacityOf(volume, spaces)).toMatchObject({ sizeBytes: 536870912 });
    expect(capacityOf({ ...volume, replica: 1 }, spaces)).toMatchObject({ sizeBytes: 3 * 536870912 });
    expect(capacityOf(volume, new Map([...spaces].slice(1)))).toBe("unknown");
  });

  it("names the bricks on which nothing can be written, for want of bytes or of inodes", () => {
    const [name = "", other = ""] = bricks.map((brick) => brick.name);
    expect(fullBricks(volume, spaces)).toEqual([]);
    const space = { sizeBytes: 1024 ** 3, freeBytes: 1024 ** 2, inodes: 300, freeInodes: 300, device: "" };
    const full = new Map([
      [name, space],
      [other, { ...space, freeBytes: 1024 ** 3, freeInodes: 2 }],
    ]);
    expect(fullBricks(volume, full)).toEqual([
      `brick ${name} is full: 1.0 MiB free of 1.0 GiB`,
      `brick ${other} is full: 2 inodes free of 300 (df -i , on )`,
    ]);
  });

  it("takes a number of inodes without a number of free ones for none free, as gluster tells it", () => {
    const [told = ""] = /<inodesFree>\d+<\/inodesFree>/.exec(fixtureText("status-detail")) ?? [];
    const [none] = parseDetail(parseXml(fixtureText("status-detail").replace(told, ""), "")).values();
    expect(none).toMatchObject({ freeInodes: 0 });
  });

  it.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1536, "1.5 KiB"],
    [536870912, "512 MiB"],
  ])("%i is shown as %s", (bytes, text) => {
    expect(showBytes(bytes)).toBe(text);
  });
});

describe("metrics", () => {
  it("has no sample for what could not be read, and says that it could not", () => {
    const pool = poolOf({ status: "status-brick-down", heal: "heal-brick-down" });
    const text = renderMetrics(healthOf(pool), pool, new Map([["shared_data", "unknown"]]));
    expect(text).toContain('fencepost_gluster_heal_known{volume="shared_data"} 0\n');
    expect(text).not.toContain("heal_pending_entries{");
    expect(text).not.toContain("volume_free_bytes");
    expect(text).toContain(`brick_up{volume="shared_data",brick="${BRICK}"} 0\n`);
  });
});

describe("what mounts a volume", () => {
  const entry = { volume: "shared_data", servers: ["localhost", "s1", "s2"], mountPoint: "/mnt/gluster" };

  it("names every server", () => {
    expect(entryLine(entry)).toBe(
      "localhost:/shared_data /mnt/gluster glusterfs defaults,_netdev,nofail,x-systemd.requires=glusterd.service,backup-volfile-servers=s1:s2 0 0",
    );
    expect(entryUnit({ ...entry, servers: ["s1", "s2"] })).toContain("What=s1:/shared_data\nWhere=/mnt/gluster\n");
    expect(entryUnit({ ...entry, servers: ["s1", "s2"] })).not.toContain("glusterd.service");
  });

  it("is added once, and only our own line is taken away", () => {
    const before = "UUID=1 / ext4 defaults 0 1";
    const after = fstabWith(before, entry);
    expect(after).toBe(`${before}\n${entryLine(entry)}\n`);
    expect(fstabWith(after, entry)).toBe(after);
    expect(fstabWithout(after, entry)).toBe(`${before}\n`);
    const other = "s9:/shared_data /mnt/gluster glusterfs defaults 0 0\n";
    expect(fstabWithout(fstabWith(other, entry), entry)).toBe(other);
    expect(() => fstabWith("/dev/sdb /mnt/gluster xfs defaults 0 0\n", entry)).toThrow(/something else/);
  });

  it.each([[[]], [["fe80::1"]], [["-o"]], [["a b"]]])("takes no servers %j", (servers) => {
    expect(() => checkServers(servers)).toThrow(expect.objectContaining({ kind: "usage" }));
  });
});

describe("differences", () => {
  const pool = poolOf();
  const wanted = { peers: savedPeers(pool, "node1"), volumes: savedVolumes(pool), isWhole: true };

  it("has none against itself", () => {
    expect(differences(wanted, pool)).toEqual([]);
  });

  it("tells of a peer that is gone or new, a brick elsewhere, an option changed, unset or set besides", () => {
    const [volume] = wanted.volumes;
    const other = {
      ...wanted,
      peers: wanted.peers.slice(1).concat([{ uuid: "0", names: ["s9"] }]),
      volumes: [
        { ...volume, bricks: ["s9:/b"], options: { ...volume?.options, "a.b": "1", "nfs.disable": "off" } },
      ] as typeof wanted.volumes,
    };
    const told = differences(other, pool).map(
      ({ object, what, wanted: want, is }) => `${object} ${what}: ${want} → ${is}`,
    );
    expect(told).toContain("peer s9 in the pool: yes → no");
    expect(told.filter((line) => line.endsWith("in the pool: no → yes"))).toHaveLength(1);
    expect(told.some((line) => line.startsWith("volume shared_data bricks: s9:/b → 10.77.0.1:"))).toBe(true);
    expect(told).toContain("volume shared_data a.b: 1 → default");
    expect(told).toContain("volume shared_data nfs.disable: off → on");
  });
});

describe("troubleshooting", () => {
  const facts: Facts = {
    pool: poolOf(),
    volumesOnDisk: ["shared_data"],
    atBoot: { ok: true, text: "enabled" },
    reached: new Map(),
    firewalls: [],
    mounts: [
      {
        point: "/mnt/gluster",
        type: "fuse.glusterfs",
        source: "localhost:/shared_data",
        answers: { ok: true, text: "it answers" },
      },
    ],
    config: undefined,
    spaces: new Map(
      poolOf().volumes.flatMap(({ bricks }) =>
        bricks.map(({ name }) => [name, { sizeBytes: 100, freeBytes: 50, device: "" }] as const),
      ),
    ),
    sites: new Map(),
    skews: new Map([["10.77.0.2", 0]]),
    views: [{ peer: "10.77.0.2", volume: "shared_data", state: "same", detail: "3 bricks, replica 3" }],
  };
  const bad = (more: Partial<Facts>) =>
    checksOf({ ...facts, ...more })
      .filter(({ verdict }) => verdict !== "ok")
      .map(({ id, verdict }) => `${id} ${verdict}`);

  it("finds nothing in a whole pool", () => {
    expect(bad({})).toEqual([]);
  });

  it("calls nothing of a volume ok while glusterd does not answer", () => {
    const checks = checksOf({ ...facts, pool: "gluster pool list: exit 1: Connection failed" });
    expect(checks.find(({ id }) => id === "glusterd")?.verdict).toBe("fail");
    expect(checks.filter(({ object }) => object.startsWith("volume")).map(({ verdict }) => verdict)).toEqual([
      "unknown",
    ]);
    const busy = checksOf({ ...facts, pool: "Another transaction is in progress (the lock is held by s2)" });
    expect(busy.find(({ id }) => id === "glusterd")).toMatchObject({
      verdict: "warn",
      evidence: expect.stringContaining("s2"),
    });
  });

  it.each([
    ["a dead brick", { pool: poolOf({ status: "status-brick-down", heal: "heal-brick-down" }) }, "brick fail"],
    [
      "a mount that hangs",
      { mounts: [{ ...facts.mounts[0], answers: { ok: false, text: "timed out" } }] },
      "mounted fail",
    ],
    ["no mount", { mounts: [] }, "mounted warn"],
    ["a firewall", { firewalls: [{ name: "ufw", active: true, opensGluster: false, text: "" }] }, "firewall warn"],
    ["space that nobody tells", { spaces: "timed out" }, "space unknown"],
    ["a clock ahead", { skews: new Map([["s2", 600]]) }, "clock warn"],
    ["a clock that was not read", { skews: new Map([["s2", undefined]]) }, "clock unknown"],
    [
      "a node that missed a change",
      { views: [{ peer: "s2", volume: "v", state: "other", detail: "there 2 bricks" }] },
      "same-volume fail",
    ],
    [
      "a node that did not tell what it has",
      { views: [{ peer: "s2", volume: "v", state: "unknown", detail: "timed out" }] },
      "same-volume unknown",
    ],
    ["a daemon that is not started at boot", { atBoot: { ok: false, text: "disabled" } }, "glusterd-at-boot warn"],
  ] as [string, Partial<Facts>, string][])("tells of %s", (_what, more, told) => {
    expect(bad(more)).toContain(told);
  });

  it("gives a next step with all that is not ok", () => {
    const checks = checksOf({
      ...facts,
      pool: poolOf({ status: "status-brick-down", heal: "heal-brick-down" }),
      spaces: "no",
    });
    for (const { verdict, next } of checks) expect(next === null).toBe(verdict === "ok");
  });
});
