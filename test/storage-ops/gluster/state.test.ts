import { describe, expect, it } from "vitest";
import {
  checkVolumeName,
  findPeer,
  parseHeal,
  parsePeers,
  parseStatus,
  parseVolumes,
  readHeal,
  readPeers,
  readPool,
  replicaSets,
  serverQuorum,
} from "../../../src/storage-ops/gluster/state.ts";
import { exits, type FakeAnswer, fakeHost, NOT_INSTALLED } from "../../fakes/fake-host.ts";
import { fixture, fixtureText } from "./fixture.ts";

const HEAL = "gluster --mode=script --xml volume heal shared_data info summary";
const healAnswering = (answer: FakeAnswer) => readHeal(fakeHost({ commands: { [HEAL]: answer } }), "shared_data");

describe("what gluster says", () => {
  it("is a pool of peers, this node one of them", () => {
    const peers = parsePeers(fixture("pool-list"));
    expect(peers.map(({ hostnames, connected, isLocal }) => [hostnames[0], connected, isLocal])).toEqual(
      expect.arrayContaining([
        ["localhost", true, true],
        ["10.77.0.4", true, false],
      ]),
    );
    expect(serverQuorum(peers)).toEqual({ connected: 4, of: 4, hasQuorum: true });
  });

  it("is volumes of every shape, their bricks in replica sets", () => {
    const shapes = parseVolumes(fixture("volume-info-many")).map((volume) => [
      volume.name,
      volume.typeWord,
      replicaSets(volume).map((set) =>
        set.map(({ host, isArbiter }) => `${host.at(-1)}${isArbiter ? "a" : ""}`).join(""),
      ),
    ]);
    expect(shapes).toEqual([
      ["arb", "Replicate", ["123a"]],
      ["dist", "Distribute", ["1"]],
      ["dr", "Distributed-Replicate", ["12", "34"]],
      ["shared_data", "Replicate", ["123"]],
    ]);
  });

  it("is which bricks are up, and which tasks are not over", () => {
    const [volume] = parseStatus(fixture("status-brick-down"));
    expect([...(volume?.bricksOnline ?? [])].map(([name, online]) => `${name.slice(0, 9)} ${online}`)).toEqual([
      "10.77.0.1 true",
      "10.77.0.2 true",
      "10.77.0.3 false",
    ]);
    const dist = parseStatus(fixture("status-with-task")).find(({ volume: name }) => name === "dist");
    expect(dist?.tasks).toEqual([expect.objectContaining({ type: "Remove brick", status: "completed" })]);
  });

  it("has no number of entries for a brick that does not answer: unknown, not zero", () => {
    expect(parseHeal(fixture("heal-brick-down")).map(({ connected, pending }) => [connected, pending])).toEqual([
      [true, 3],
      [true, 3],
      [false, "unknown"],
    ]);
  });

  it.each([
    [
      "a refusal with exit code 0",
      fixtureText("detach-with-bricks"),
      { kind: "failed", message: expect.stringContaining("hosts one or more bricks") },
    ],
    [
      "opRet -1 and no bricks",
      exits(234, "", fixtureText("heal-one-brick")),
      { kind: "failed", message: expect.stringContaining("only volumes of replicate") },
    ],
    ["nothing at all", "", { kind: "bad-output" }],
    ["half a document", fixtureText("heal-summary").slice(0, 700), { kind: "bad-output" }],
    ["nothing within its time", { outcome: "timed-out" as const }, { kind: "timeout" }],
    ["no gluster on this node", NOT_INSTALLED, { kind: "missing-tool" }],
    ["an answer without the bricks", "<cliOutput><opRet>0</opRet></cliOutput>", { kind: "bad-output" }],
  ])("is an error, and never zero entries, when it is %s", async (_, answer, error) => {
    await expect(healAnswering(answer)).rejects.toMatchObject(error);
  });

  it("compares addresses whole: 10.78.0.1 is not 10.78.0.10", async () => {
    const text = fixtureText("pool-list").replaceAll("10.77.0.4", "10.78.0.10");
    const peers = await readPeers(fakeHost({ commands: { "gluster --mode=script --xml pool list": text } }));
    expect(findPeer(peers, "10.78.0.1")).toBeUndefined();
    expect(findPeer(peers, "10.78.0.10")?.connected).toBe(true);
  });

  it("is asked once for each kind, whatever the number of volumes, and for heal info once a volume that heals", async () => {
    const heal = (name: string) => `gluster --mode=script --xml volume heal ${name} info summary`;
    const host = fakeHost({
      commands: {
        "gluster --mode=script --xml pool list": fixtureText("pool-list"),
        "gluster --mode=script --xml volume info all": fixtureText("volume-info-many"),
        "gluster --mode=script --xml volume status all": fixtureText("status-many"),
        [heal("shared_data")]: fixtureText("heal-summary"),
        [heal("arb")]: { outcome: "timed-out" },
        [heal("dr")]: exits(254, "", fixtureText("no-such-volume")),
      },
    });
    const pool = await readPool(host);
    expect(host.calls).toHaveLength(6);
    expect(pool.heal.get("arb")).toContain("timed out");
    expect(pool.heal.get("shared_data")).toHaveLength(3);
  });

  it.each(["-x", "a b", "", "a/b", "--force", "a;b"])("takes no such name for a volume: %j", (name) => {
    expect(() => checkVolumeName(name)).toThrow(expect.objectContaining({ kind: "usage" }));
  });
});
