import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import type { Argv } from "../../../src/core/exec.ts";
import type { Step } from "../../../src/core/plan.ts";
import { sshArgv } from "../../../src/core/ssh.ts";
import { GLUSTER_OPERATIONS } from "../../../src/storage-ops/gluster/operations.ts";
import { DEFAULTS, type SetupConfig } from "../../../src/storage-ops/gluster/setup/config.ts";
import { installationFor, parseOsRelease } from "../../../src/storage-ops/gluster/setup/install.ts";
import { SETUP_KINDS, setupPlaces } from "../../../src/storage-ops/gluster/setup/kinds.ts";
import { planSetup, type SetupFacts } from "../../../src/storage-ops/gluster/setup/plan.ts";
import { readSite, reasonsAgainstSite } from "../../../src/storage-ops/gluster/site.ts";
import { exits, type FakeAnswer, fakeHost } from "../../fakes/fake-host.ts";
import { liveDescribe } from "../../live/requirements.ts";
import { fixtureText, plainText, poolOf, sameViews, wholeBricks } from "./fixture.ts";

const PATH = DEFAULTS.brick_path;
const controller = (number: number) => ({
  hostname: `server${number}`,
  address: `10.77.0.${number}`,
  priority: 100,
  services: ["glusterfs"] as const,
  ownsVip: false,
});
const configWith = (more: Partial<SetupConfig> = {}): SetupConfig => ({
  path: "c.yaml",
  volume: "shared_data",
  replicaCount: "auto",
  arbiterCount: 0,
  brickPath: PATH,
  mountPoint: "/mnt/gluster",
  options: new Map(Object.entries(DEFAULTS.options)),
  directories: DEFAULTS.directories,
  controllers: [1, 2, 3, 4].map(controller),
  warnings: [],
  ...more,
});
const DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n';
const factsWith = (more: Partial<SetupFacts> = {}): SetupFacts => ({
  config: configWith(),
  self: controller(1),
  decision: { mode: "bootstrap" },
  site: { host: "10.77.0.1", path: PATH, mount: { target: "/data/glusterfs", type: "xfs" }, content: "absent" },
  answered: ["10.77.0.2"],
  isInstalled: false,
  hasSystemd: true,
  hasState: false,
  mountBy: "fstab",
  program: ["/usr/bin/fencepost"],
  journalId: "ID",
  installation: installationFor(DEBIAN, false) as NonNullable<SetupFacts["installation"]>,
  ...more,
});
/** A fourth node, next to the captured pool of three. */
const joining = (more: Partial<SetupFacts> = {}): SetupFacts =>
  factsWith({
    self: controller(4),
    decision: { mode: "join", member: controller(1) },
    pool: { ...poolOf(), peers: poolOf().peers.filter(({ hostnames }) => !hostnames.includes("10.77.0.4")) },
    site: { host: "10.77.0.4", path: PATH, mount: { target: "/data/glusterfs", type: "xfs" }, content: "absent" },
    ...more,
  });
const ids = (facts: SetupFacts): string[] => planSetup(facts).steps.map(({ id }) => id);
const stepOf = (facts: SetupFacts, id: string): Step => {
  const found = planSetup(facts).steps.find((step) => step.id === id);
  if (!found) throw new Error(`no step ${id}`);
  return found;
};
const SSH = "ssh -T -oBatchMode=yes -oConnectTimeout=10 -oServerAliveInterval=5 -oServerAliveCountMax=3 --";

describe("the plan of a setup", () => {
  it("goes through the source's steps on the first node, without the self-heal daemon, which has nothing to heal", () => {
    expect(ids(factsWith())).toEqual([
      ...["package-source", "install", "service", "brick-directory", "volume-create"],
      ...["option-performance.cache-size", "option-network.ping-timeout", "volume-start"],
      ...["mount-point", "mount-entry", "mount", "directory-tree"],
    ]);
    expect(stepOf(factsWith(), "volume-create").argv.join(" ")).toBe(
      `gluster --mode=script volume create shared_data 10.77.0.1:${PATH}`,
    );
  });

  it("saves glusterd's configuration before a volume is made on a node that has some already", () => {
    const steps = ids(factsWith({ hasState: true }));
    expect(steps[steps.indexOf("volume-create") - 1]).toBe("backup");
  });

  it("runs on a member, by ssh, what changes the pool when a node joins; the rest on the node itself", () => {
    const { steps } = planSetup(joining());
    expect(steps.map(({ id, argv }) => [id, argv[0] === "ssh" ? argv.at(-2) : "here"])).toEqual([
      ...["package-source", "install", "service", "brick-directory"].map((id) => [id, "here"]),
      ...["backup-directory", "backup", "peer-probe-10.77.0.4", "add-brick"].map((id) => [id, "10.77.0.1"]),
      ...Object.keys(DEFAULTS.options).map((name) => [`option-${name}`, "10.77.0.1"]),
      ["heal", "10.77.0.1"],
      ...["mount-point", "mount-entry", "mount"].map((id) => [id, "here"]),
    ]);
    const add = stepOf(joining(), "add-brick");
    expect(add.argv.at(-1)).toBe(`gluster --mode=script volume add-brick shared_data replica 4 10.77.0.4:${PATH}`);
    expect(add.undo).toMatchObject({ argv: expect.arrayContaining(["10.77.0.1"]) });
    for (const step of steps) expect(step.argv.join(" ")).not.toMatch(/add-brick.*force/);
  });

  it("asks the member, not this node, whether a step of the pool is done", async () => {
    const step = stepOf(joining(), "peer-probe-10.77.0.4");
    const host = fakeHost({
      commands: { [`${SSH} 10.77.0.1 gluster --mode=script --xml pool list`]: fixtureText("pool-list") },
    });
    expect(await SETUP_KINDS[step.kind]?.standing(step, host)).toMatchObject({ state: "done" });
  });

  it("goes about a heal that does not move on the member too, where it takes away what a killed one left and no more", async () => {
    const step = stepOf(joining(), "heal");
    const there = (...argv: Argv): string => sshArgv("10.77.0.1", argv).join(" ");
    const [left, point] = [7, process.pid].map((pid) => `/run/fencepost/look-up-shared_data-${pid}`) as [
      string,
      string,
    ];
    const heal = ["entry", "data", "metadata"].map((what) => `--xlator-option=*replicate*.${what}-self-heal=on`);
    const ends = (at: string) => ({ [there("umount", "--lazy", "--", at)]: "", [there("rmdir", "--", at)]: "" });
    const walk = there("nice", "find", point, "-size", "+8388607G");
    const commands: Record<string, FakeAnswer> = {
      [`${SSH} 10.77.0.1 gluster --mode=script --xml volume heal shared_data info summary`]:
        fixtureText("heal-summary"),
      [there("find", "/run/fencepost", "-maxdepth", "1", "-name", "look-up-shared_data-*", "-printf", "%f\\n")]:
        "look-up-shared_data-7\nlook-up-shared_data-8\nlook-up-shared_data-x-7\n",
      [there("test", "-d", "/proc/7")]: exits(1),
      [there("test", "-d", "/proc/8")]: "",
      ...ends(left),
      [there("mkdir", "--parents", "--mode=0700", "--", point)]: "",
      [there("glusterfs", "--volfile-server=localhost", "--volfile-id=shared_data", "--read-only", ...heal, point)]: "",
      [there("grep", "-rh", "^connected = ", "--include=private", `${point}/.meta/graphs/active/`)]: "connected = 1\n",
      [walk]: "",
      ...ends(point),
    };
    const host = fakeHost({ commands });
    await SETUP_KINDS[step.kind]?.otherwise?.(step, host, 0);
    expect(host.commandLines.filter((line) => line === walk || line.includes("umount"))).toEqual([
      there("umount", "--lazy", "--", left),
      walk,
      there("umount", "--lazy", "--", point),
    ]);
  });

  it("makes the third node the arbiter where the file wants one", () => {
    const two = poolOf();
    const volumes = two.volumes.map((one) => ({ ...one, replica: 2, bricks: one.bricks.slice(0, 2) }));
    const facts = joining({ config: configWith({ arbiterCount: 1 }), pool: { ...two, volumes } });
    expect(stepOf(facts, "add-brick").argv.at(-1)).toContain("add-brick shared_data replica 3 arbiter 1 ");
  });

  it("says how many bricks gluster would want where there are as many copies as wanted", () => {
    const facts = joining({ config: configWith({ replicaCount: 3 }) });
    expect(() => planSetup(facts)).toThrow(/you need 3 bricks, a replica set of 3 more; 1 brick given/);
  });

  it("refuses the file's options that would put data at risk, with the copies there are to be, and warns of others", () => {
    const options = (word: string, value: string) => ({ config: configWith({ options: new Map([[word, value]]) }) });
    const refused = (facts: SetupFacts, why: string) =>
      expect(() => planSetup(facts)).toThrow(
        expect.objectContaining({ kind: "unsafe", message: expect.stringContaining(why) }),
      );
    for (const facts of [factsWith, joining]) refused(facts(options("cluster.quorum-type", "None")), "split-brain");
    const two = configWith({ replicaCount: 2, options: new Map([["cluster.quorum-type", "none"]]) });
    expect(ids(factsWith({ config: two }))).toContain("option-cluster.quorum-type");
    refused(factsWith({ config: { ...two, arbiterCount: 1 } }), "split-brain");
    const sharded = poolOf().volumes.map((one) => ({ ...one, options: new Map([["features.shard", "on"]]) }));
    const pool = joining().pool as NonNullable<SetupFacts["pool"]>;
    refused(joining({ ...options("features.shard", "off"), pool: { ...pool, volumes: sharded } }), "first shard");
    expect(ids(joining(options("features.shard", "off")))).toContain("option-features.shard");
    expect(planSetup(factsWith(options("network.ping-timeout", "2"))).warnings).toHaveLength(1);
  });

  it("takes no option of a new volume back, which is deleted whole; on one that was there each as it was", () => {
    expect(stepOf(factsWith(), "option-network.ping-timeout").undo).toBeUndefined();
    const options = new Map([["network.ping-timeout", "33"]]);
    const pool = joining().pool as NonNullable<SetupFacts["pool"]>;
    const there = joining({ pool: { ...pool, volumes: pool.volumes.map((one) => ({ ...one, options })) } });
    expect(stepOf(there, "option-network.ping-timeout")).toMatchObject({
      undo: {
        argv: expect.arrayContaining([expect.stringMatching(/volume set shared_data network.ping-timeout 33$/)]),
      },
      data: { previous: "33" },
    });
  });

  it("refuses a place for the brick before anything is begun", () => {
    const site = { ...factsWith().site, mount: { target: "/", type: "ext4" } };
    expect(() => planSetup(factsWith({ site }))).toThrow(
      expect.objectContaining({ kind: "unsafe", message: expect.stringContaining("root filesystem") }),
    );
  });

  it("makes no directory in the place of a brick that is gone, and knows its brick by the pool's name for it", () => {
    const [volume] = poolOf().volumes;
    const brick = volume?.bricks[1];
    if (!volume || !brick) throw new Error("no brick in the fixture");
    const member = { self: controller(2), decision: { mode: "member", volume, brick } } as const;
    const site = { host: "10.77.0.2", path: brick.path, mount: { target: "/data/glusterfs", type: "xfs" } };
    expect(() => planSetup(factsWith({ ...member, site: { ...site, content: "absent" } }))).toThrow(
      expect.objectContaining({ kind: "unsafe", message: expect.stringContaining("is its disk mounted?") }),
    );
    const facts = factsWith({ ...member, site: { ...site, content: "not-empty" } });
    expect(ids(facts)).not.toContain("brick-directory");
    expect(ids(facts)).not.toContain("directory-tree");
    expect(stepOf(facts, "volume-start").data.brick).toBe(brick.name);
  });

  it("run again after a kill, takes a copy for whole by the files' own marks, as a resume does, not by heal info", async () => {
    const [volume] = poolOf().volumes;
    const brick = volume?.bricks[0];
    if (!volume || !brick) throw new Error("no brick in the fixture");
    const site = { ...factsWith().site, content: "not-empty" } as const;
    const step = stepOf(factsWith({ decision: { mode: "member", volume, brick }, site }), "heal");
    expect([step.argv.slice(2).join(" "), step.repeats]).toEqual(["volume heal shared_data full", true]);
    const ended = plainText("heal-statistics.txt").replace("Crawl is in progress", "Ending time of crawl: later");
    const commands: Record<string, string> = {
      ...wholeBricks(),
      ...sameViews(),
      "gluster --mode=script volume heal shared_data statistics": ended,
      "gluster --mode=script --xml volume heal shared_data info summary": fixtureText("heal-summary"),
      "gluster --mode=script --xml pool list": fixtureText("pool-list"),
      "gluster --mode=script --xml volume info all": fixtureText("volume-info"),
    };
    const standing = (more: Record<string, string> = {}) =>
      GLUSTER_OPERATIONS.kinds[step.kind]?.standing(step, fakeHost({ commands: { ...commands, ...more } }));
    expect(await standing()).toMatchObject({ state: "done" });
    const [, local = ""] = Object.keys(wholeBricks());
    const blame = "# file: /b/f7\ntrusted.afr.shared_data-client-1=0x000000010000000100000000\n";
    expect(await standing({ [local]: `${commands[local]}${blame}` })).toMatchObject({ state: "todo", idle: true });
  });

  it("warns where more copies are wanted than there are nodes, and where nothing enables glusterd", () => {
    const { warnings } = planSetup(factsWith({ config: configWith({ replicaCount: 5 }), hasSystemd: false }));
    expect(warnings).toEqual([
      "systemd does not run here: glusterd is started, but nothing enables it for the next boot",
      "replica_count is 5, but only 4 controllers run GlusterFS",
    ]);
  });

  it("installs nothing on a system of neither family, and needs not to where it is there", () => {
    const { installation: _, ...facts } = factsWith();
    expect(() => planSetup(facts)).toThrow(expect.objectContaining({ kind: "unsupported" }));
    expect(ids({ ...facts, isInstalled: true })[0]).toBe("service");
  });
});

describe("the brick's place on a machine that has neither GlusterFS nor getfattr yet", () => {
  const marks =
    "env LC_ALL=C getfattr --absolute-names -h -m ^trusted[.](glusterfs[.]volume-id|gfid)$ -- /data /data/glusterfs /data/glusterfs/shared";
  const machine = (marksTold: FakeAnswer, find: FakeAnswer) =>
    fakeHost({
      commands: {
        "findmnt --json --list --output TARGET,FSTYPE": '{"filesystems":[{"target":"/data/glusterfs","fstype":"xfs"}]}',
        [marks]: marksTold,
        [`find ${PATH} -maxdepth 2 -print`]: find,
      },
    });
  const place = (marksTold: FakeAnswer, isBare: boolean, find: FakeAnswer = exits(1, "No such file or directory")) =>
    readSite(machine(marksTold, find), "10.77.0.1", PATH, { isHere: true, isBare });
  const missing = exits(127, "env: 'getfattr': No such file or directory\n");

  it("is judged by its mount and its content; its marks are read right before it is made", async () => {
    expect(reasonsAgainstSite(await place(missing, true))).toEqual([]);
    const full = await place(missing, true, { stdout: `${PATH}\n${PATH}/a\n` });
    expect(reasonsAgainstSite(full)).toEqual([expect.stringContaining("not empty")]);
    const { guard } = SETUP_KINDS["setup-brick-directory"] ?? {};
    const marked = machine(`# file: ${PATH}\ntrusted.gfid\n`, PATH);
    await expect(guard?.(stepOf(factsWith(), "brick-directory"), marked)).rejects.toMatchObject({ kind: "unsafe" });
  });

  it.each([
    ["getfattr is missing although GlusterFS is there", missing, false],
    ["its marks could not be read for another reason", exits(1, "getfattr: Permission denied\n"), true],
    ["ssh did not come through", exits(255, "No route to host"), true],
  ])("is refused where %s", async (_what, told, isBare) => {
    expect(reasonsAgainstSite(await place(told, isBare))).toEqual([expect.stringContaining("could not be looked at")]);
  });
});

describe("installation", () => {
  const commands = (osRelease: string, hasDnf = true) => {
    const found = installationFor(osRelease, hasDnf);
    return found && [found.prepare?.argv.join(" "), found.install.join(" ")];
  };

  it.each([
    [
      "ID=ubuntu\nID_LIKE=debian\n",
      "apt-get -oDPkg::Lock::Timeout=600 update",
      "install --yes glusterfs-server glusterfs-client",
    ],
    [
      'ID="centos"\nID_LIKE="rhel fedora"\nVERSION_ID="9"\n',
      "dnf install --assumeyes centos-release-gluster11",
      "dnf install --assumeyes glusterfs-server glusterfs-fuse",
    ],
    [
      'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="8.9"\n',
      "dnf install --assumeyes centos-release-gluster11",
      "glusterfs-fuse",
    ],
  ])("knows the family of %j", (osRelease, prepare, install) => {
    expect(commands(osRelease)).toEqual([expect.stringContaining(prepare), expect.stringContaining(install)]);
  });

  it("takes yum and the release package of old where there is no dnf", () => {
    expect(commands('ID="centos"\nID_LIKE="rhel fedora"\nVERSION_ID="7"\n', false)).toEqual([
      "yum install --assumeyes centos-release-gluster",
      "yum install --assumeyes glusterfs-server glusterfs-fuse",
    ]);
  });

  it("adds no source of packages to Red Hat's own system or to Fedora", () => {
    for (const id of ["rhel", "fedora"]) expect(commands(`ID=${id}\n`)?.[0]).toBeUndefined();
  });

  it("knows no other system", () => {
    expect(installationFor("ID=arch\n", false)).toBeUndefined();
    expect(installationFor("", false)).toBeUndefined();
  });

  it("reads values in either quotes or none", () => {
    expect([...parseOsRelease("A=\"x y\"\nB='z'\nC=1\n# D=2\n")]).toEqual([
      ["A", "x y"],
      ["B", "z"],
      ["C", "1"],
    ]);
  });
});

liveDescribe("apt-get", ["apt-get", "glusterd"], () => {
  it("takes the words of an installation, and knows the packages", () => {
    const [file = "", ...words] = installationFor(DEBIAN, false)?.install ?? [];
    const simulated = spawnSync(file, [...words, "--simulate"], { encoding: "utf8", timeout: 60_000 });
    expect(simulated.stderr.split("\n").filter((line) => line.startsWith("E:"))).toEqual([]);
    expect(simulated.status).toBe(0);
  });
});

// systemctl is a stand-in: no test machine runs systemd as PID 1.
describe("the service, where systemd runs", () => {
  const step = stepOf(factsWith(), "service");
  const ENABLED = "systemctl is-enabled --quiet glusterd";
  const PEERS = "gluster --mode=script --xml pool list";
  const standing = (enabled: FakeAnswer, peers: FakeAnswer) =>
    SETUP_KINDS[step.kind]?.standing(step, fakeHost({ commands: { [ENABLED]: enabled, [PEERS]: peers } }));
  const DOWN = exits(1, "Connection failed. Please check if gluster daemon is operational.\n");

  it.each<[string, FakeAnswer, FakeAnswer, string]>([
    ["enabled and answering", "", fixtureText("pool-list"), "done"],
    ["answering, but not enabled", exits(1), fixtureText("pool-list"), "todo"],
    ["enabled, but stopped", "", DOWN, "todo"],
    ["not there at all", exits(4), { outcome: "not-started", spawnError: "ENOENT" }, "todo"],
    ["hung", "", { outcome: "timed-out" }, "unknown"],
    ["not told of by systemctl", { outcome: "timed-out" }, fixtureText("pool-list"), "unknown"],
  ])("stands rightly when it is %s", async (_what, enabled, peers, state) => {
    const commands = { [ENABLED]: enabled, [PEERS]: peers };
    const found = await SETUP_KINDS[step.kind]?.standing(step, fakeHost({ commands }));
    expect(found?.state).toBe(state);
  });

  it("is not stopped by an undo while it serves a volume", async () => {
    const volumes = "gluster --mode=script --xml volume info all";
    const host = fakeHost({ commands: { [PEERS]: fixtureText("pool-list"), [volumes]: fixtureText("volume-info") } });
    await expect(SETUP_KINDS[step.kind]?.guardUndo?.(step, host)).rejects.toMatchObject({ kind: "unsafe" });
    expect(await standing("", fixtureText("pool-list"))).toMatchObject({ state: "done" });
  });
});

describe("where a setup is locked", () => {
  it("is every controller that answered, before there is a pool", async () => {
    const host = fakeHost({ commands: { "gluster --mode=script --xml pool list": exits(1, "Connection failed.") } });
    expect(await setupPlaces(planSetup(factsWith()), host)).toEqual([
      { name: "10.77.0.1", isLocal: true },
      { name: "10.77.0.2", isLocal: false },
    ]);
  });

  it("is every peer of the pool by the address that reaches it, and the joining node", async () => {
    const pool = `${SSH} 10.77.0.1 gluster --mode=script --xml pool list`;
    const host = fakeHost({ commands: { [pool]: fixtureText("pool-list") } });
    const places = await setupPlaces(planSetup(joining()), host);
    expect(places.map(({ name }) => name).sort()).toEqual(["10.77.0.1", "10.77.0.2", "10.77.0.3", "10.77.0.4"]);
    expect(places.filter(({ isLocal }) => isLocal)).toEqual([{ name: "10.77.0.4", isLocal: true }]);
  });
});
