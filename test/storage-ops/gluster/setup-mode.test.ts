import { describe, expect, it } from "vitest";
import type { Controller, SetupConfig } from "../../../src/storage-ops/gluster/setup/config.ts";
import { type Answer, discover, probeHere, probeThere } from "../../../src/storage-ops/gluster/setup/discover.ts";
import { decideMode, type Found, type Wanted } from "../../../src/storage-ops/gluster/setup/mode.ts";
import type { Peer, Volume } from "../../../src/storage-ops/gluster/state.ts";
import { exits, type FakeAnswer, fakeHost, HANGS, NOT_INSTALLED } from "../../fakes/fake-host.ts";
import { fixtureText } from "./fixture.ts";

const controller = (number: number): Controller => ({
  hostname: `server${number}`,
  address: `10.0.0.${number}`,
  priority: 100,
  services: ["glusterfs"],
  ownsVip: false,
});
const peer = (number: number, isLocal = false): Peer => ({
  uuid: `uuid-${number}`,
  hostnames: [isLocal ? "localhost" : `10.0.0.${number}`],
  connected: true,
  state: "Peer in Cluster",
  isLocal,
});
const volume = (numbers: readonly number[], name = "shared_data", id = "id-1"): Volume => ({
  name,
  id,
  isStarted: true,
  typeWord: "Replicate",
  replica: numbers.length,
  arbiter: 0,
  disperse: 0,
  redundancy: 0,
  snapshots: 0,
  bricks: numbers.map((number) => ({
    name: `10.0.0.${number}:/b/1`,
    host: `10.0.0.${number}`,
    path: "/b/1",
    hostUuid: `uuid-${number}`,
    isArbiter: false,
  })),
  options: new Map(),
});
/** What node `self` of a pool of `members` says. */
const active = (self: number, members: readonly number[], volumes: readonly Volume[]): Answer => ({
  state: "active",
  peers: members.map((member) => peer(member, member === self)),
  volumes,
});
const NONE: Answer = { state: "none" };
const SILENT: Answer = { state: "unknown", reason: "timed out", kept: [] };
const ASLEEP: Answer = { state: "unknown", reason: "its glusterd is down", kept: ["/var/lib/glusterd/peers/x"] };

const decide = (here: Answer, others: Readonly<Record<number, Answer>>, wanted: Wanted = "auto") => {
  const found: Found = {
    config: { path: "c.yaml", volume: "shared_data" } as SetupConfig,
    self: controller(1),
    here,
    others: Object.entries(others).map(([number, answer]) => ({ controller: controller(Number(number)), answer })),
  };
  return decideMode(found, wanted);
};
const refusal = (why: RegExp) => expect.objectContaining({ kind: "unsafe", message: expect.stringMatching(why) });

describe("the mode of a setup", () => {
  it("is bootstrap where every other controller answered that it has nothing", () => {
    expect(decide(NONE, { 2: NONE, 3: NONE })).toMatchObject({
      mode: "bootstrap",
      lines: ["No active nodes found → Bootstrap mode"],
      warnings: [],
    });
  });

  it("is join where another has the volume, whoever else is silent", () => {
    const decided = decide(NONE, { 2: SILENT, 3: active(3, [3], [volume([3])]) });
    expect(decided).toMatchObject({ mode: "join", member: { hostname: "server3" } });
    expect(decided.lines[0]).toBe("Active nodes found → Join mode");
    expect(decided.warnings).toEqual(["no answer from server2 (10.0.0.2): timed out"]);
  });

  it("is join for a node that is a peer already and has no brick: half of a setup that was killed", () => {
    const pool = [1, 2];
    expect(decide(active(1, pool, [volume([2])]), { 2: active(2, pool, [volume([2])]) }).mode).toBe("join");
  });

  it.each(["auto", "bootstrap", "join"] as const)("is member for a node that has a brick, with %s", (wanted) => {
    const all = [volume([1, 2])];
    expect(decide(active(1, [1, 2], all), { 2: active(2, [1, 2], all), 3: SILENT }, wanted).mode).toBe("member");
  });

  it("takes no silence for an absence", () => {
    expect(() => decide(NONE, { 2: NONE, 3: SILENT })).toThrow(
      refusal(/no active node was found, but these may be: server3 \(10\.0\.0\.3\): timed out/),
    );
    expect(decide(NONE, { 2: NONE, 3: SILENT }, "bootstrap")).toMatchObject({
      mode: "bootstrap",
      warnings: ["no answer from server3 (10.0.0.3): timed out"],
    });
  });

  it.each<[string, Answer, Readonly<Record<number, Answer>>, Wanted, RegExp]>([
    [
      "bootstraps beside a node that has the volume",
      NONE,
      { 2: active(2, [2], [volume([2])]) },
      "bootstrap",
      /second cluster: server2/,
    ],
    [
      "bootstraps beside a pool that sleeps",
      NONE,
      { 2: ASLEEP },
      "bootstrap",
      /there is a pool already: server2 .*is down/,
    ],
    ["joins nobody", NONE, { 2: NONE }, "join", /no active node has volume shared_data$/],
    [
      "decides while this node's own state is unknown",
      SILENT,
      { 2: NONE },
      "bootstrap",
      /this node could not be asked: timed out/,
    ],
    [
      "chooses between two volumes of the name",
      NONE,
      { 2: active(2, [2], [volume([2])]), 3: active(3, [3], [volume([3], "shared_data", "id-2")]) },
      "auto",
      /2 different volumes/,
    ],
    [
      "bootstraps beside a pool that lacks the volume",
      NONE,
      { 2: active(2, [2, 3], []) },
      "auto",
      /server2 .* pool of 2 that has no volume shared_data/,
    ],
    [
      "bootstraps beside a node with other volumes",
      NONE,
      { 2: active(2, [2], [volume([2], "other")]) },
      "bootstrap",
      /its volumes: other/,
    ],
    [
      "joins from another pool",
      active(1, [1, 9], []),
      { 2: active(2, [2], [volume([2])]) },
      "join",
      /pool of its own, with 10\.0\.0\.9/,
    ],
    [
      "joins with volumes of its own",
      active(1, [1], [volume([1], "mine")]),
      { 2: active(2, [2], [volume([2])]) },
      "auto",
      /volumes of its own \(mine\)/,
    ],
    [
      "mends a volume of which it has no brick",
      active(1, [1, 2], [volume([2])]),
      { 2: SILENT },
      "auto",
      /known here, but this node has no brick/,
    ],
  ])("never %s", (_what, here, others, wanted, why) => {
    expect(() => decide(here, others, wanted)).toThrow(refusal(why));
  });
});

const FIND = "env LC_ALL=C find /var/lib/glusterd/vols /var/lib/glusterd/peers -mindepth 1 -maxdepth 1 -print";
const ABSENT = exits(
  1,
  "find: '/var/lib/glusterd/vols': No such file or directory\nfind: '/var/lib/glusterd/peers': No such file or directory\n",
);
const ask = "gluster --mode=script --xml";
const answer = (find: FakeAnswer, peers: FakeAnswer, volumes: FakeAnswer = "") =>
  probeHere(fakeHost({ commands: { [FIND]: find, [`${ask} pool list`]: peers, [`${ask} volume info all`]: volumes } }));
const DOWN = exits(1, "", "Connection failed. Please check if gluster daemon is operational.\n");

describe("what a controller is found to be", () => {
  it("is active when its glusterd tells of peers or volumes", async () => {
    const told = await answer(
      "/var/lib/glusterd/vols/shared_data\n",
      fixtureText("pool-list"),
      fixtureText("volume-info"),
    );
    expect(told).toMatchObject({ state: "active", volumes: [{ name: "shared_data" }] });
  });

  it.each([
    ["nothing is installed", NOT_INSTALLED],
    ["glusterd is stopped and has nothing on its disk", DOWN],
  ])("is none when %s", async (_what, gluster) => {
    expect(await answer(ABSENT, gluster)).toEqual({ state: "none" });
  });

  it("is unknown when glusterd is stopped and has a volume on its disk", async () => {
    expect(await answer("/var/lib/glusterd/vols/shared_data\n", DOWN)).toMatchObject({
      state: "unknown",
      reason: expect.stringContaining("it has /var/lib/glusterd/vols/shared_data, but its glusterd does not answer"),
    });
  });

  it("is asked again while glusterd takes in a peer, and answers with a number alone", async () => {
    const busy = "<cliOutput><opRet>-22</opRet><opErrno>0</opErrno><opErrstr/></cliOutput>";
    const commands = {
      [FIND]: "/var/lib/glusterd/vols/shared_data\n",
      [`${ask} pool list`]: [busy, busy, fixtureText("pool-list")],
      [`${ask} volume info all`]: fixtureText("volume-info"),
    };
    const host = fakeHost({ commands });
    const asked = probeHere(host);
    await host.advance(2_000);
    expect(await asked).toMatchObject({ state: "active" });
  });

  it("is unknown when the directory could not be read", async () => {
    expect(await answer(exits(1, "find: '/var/lib/glusterd/vols': Permission denied\n"), DOWN)).toMatchObject({
      state: "unknown",
    });
  });

  it("is asked of all of them at once", async () => {
    const ssh = (address: string) =>
      `ssh -T -oBatchMode=yes -oConnectTimeout=10 -oServerAliveInterval=5 -oServerAliveCountMax=3 -- ${address} ${FIND}`;
    const others = [2, 3, 4].map(controller);
    const host = fakeHost({ commands: Object.fromEntries(others.map(({ address }) => [ssh(address), HANGS])) });
    const asked = discover(host, others);
    await host.advance(25_000);
    expect((await asked).map(({ controller: { hostname }, answer }) => [hostname, answer.state])).toEqual([
      ["server2", "unknown"],
      ["server3", "unknown"],
      ["server4", "unknown"],
    ]);
  });

  it("is unknown when ssh does not come through in time, and nobody waits longer than 25 s", async () => {
    const ssh = `ssh -T -oBatchMode=yes -oConnectTimeout=10 -oServerAliveInterval=5 -oServerAliveCountMax=3 -- 10.0.0.2`;
    const host = fakeHost({ commands: { [`${ssh} ${FIND}`]: HANGS } });
    const asked = probeThere(host, "10.0.0.2");
    await host.advance(25_000);
    expect(await asked).toMatchObject({
      state: "unknown",
      reason: expect.stringContaining("timed out after 25000 ms"),
    });
  });
});
