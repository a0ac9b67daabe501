import { describe, expect, it } from "vitest";
import type { ProgramContext } from "../../../src/core/program.ts";
import { type Command, runCommand } from "../../../src/storage-ops/gluster/commands/command.ts";
import { CAN_REMOVE, VOLUME_COMPLETE } from "../../../src/storage-ops/gluster/commands/guards.ts";
import { exits, type FakeAnswer, fakeHost } from "../../fakes/fake-host.ts";
import { fixtureText, viewOf, wholeBricks } from "./fixture.ts";

const ask = "gluster --mode=script --xml ";
const HEAL = `${ask}volume heal shared_data info summary`;
const POOL = {
  [`${ask}pool list`]: fixtureText("pool-list"),
  [`${ask}volume info all`]: fixtureText("volume-info"),
  [`${ask}volume status all`]: fixtureText("status"),
  [HEAL]: fixtureText("heal-summary"),
};
/** The node itself is not asked. */
const WHOLE = { ...wholeBricks(), ...viewOf(3), ...viewOf(4) };
const [, BRICK = ""] = Object.keys(wholeBricks());
const BLAME = "# file: /b/f7\ntrusted.afr.shared_data-client-1=0x000000010000000100000000\n";

/** shared_data, replica 3 on 10.77.0.1 to 3. */
async function run(
  command: Command,
  words: string,
  answers: Record<string, FakeAnswer | readonly FakeAnswer[]>,
): Promise<{ exit: number; said: string; asked: string[] }> {
  const host = fakeHost({ commands: { ...POOL, ...answers } });
  let said = "";
  const say = (text: string | Uint8Array): void => {
    said += String(text);
  };
  const context: ProgramContext = {
    host,
    env: {},
    out: async (text) => say(text),
    err: say,
    stdin: async function* () {},
    terminal: { columns: 80, colour: false, isTerminal: false },
  };
  const exit = await runCommand(command, context, words.split(" "), "fencepost gluster");
  return { exit, said, asked: host.commandLines };
}
const canRemove = (words: string, answers: Parameters<typeof run>[2]) => run(CAN_REMOVE, words, answers);

describe("whether a node may go", () => {
  it("is yes when heal info has nothing to heal and no file on any copy blames another", async () => {
    const { exit, said, asked } = await canRemove("10.77.0.2", WHOLE);
    expect(`${exit} ${said}`).toBe("0 10.77.0.2: yes\n  volume shared_data: yes\n");
    // Every brick once, and the pool again after that.
    expect(asked.filter((line) => line.includes("getfattr"))).toHaveLength(3);
    expect(asked.at(-1)).toBe(HEAL);
  });

  it("is no when a file blames a copy of which heal info says nothing, or a brick's files could not be read", async () => {
    const blamed = await canRemove("10.77.0.2", { ...WHOLE, [BRICK]: `${wholeBricks()[BRICK]}${BLAME}` });
    expect(`${blamed.exit} ${blamed.said}`).toMatch(/^107 .*: no\n.*1 file \(\/b\/f7\) of which another copy/s);
    const unread = await canRemove("10.77.0.2", { ...WHOLE, [BRICK]: exits(255, "No route to host") });
    expect(`${unread.exit} ${unread.said}`).toMatch(/^107 .*attributes could not be read: No route to host/s);
  });

  it("is no while another node has the volume as it was: no file blames a copy for what that one writes", async () => {
    const old = fixtureText("volume-info").replace("10.77.0.3:/data/glusterfs/shared</name>", "10.77.0.3:/old</name>");
    const { exit, said, asked } = await canRemove("10.77.0.2", { ...WHOLE, ...viewOf(4, old) });
    expect(`${exit} ${said}`).toMatch(/^107 .*10\.77\.0\.4 missed a change of volume shared_data/s);
    expect(asked.filter((line) => line.includes("getfattr"))).toEqual([]);
  });

  it("is asked of this node by whatever name: its own address, or a brick's name for it", async () => {
    const away = fixtureText("pool-list").replace(/(10\.77\.0\.[34]<.*?<connected>)1/gs, "$10");
    const own = {
      [`${ask}pool list`]: away,
      hostname: "node1\n",
      "hostname -I": "10.77.0.1 10.99.0.1 \n",
    };
    const quorum = /^107 .*only 1 of 4 peers would be connected: no quorum/s;
    // By a brick's name, by an address that no brick has, by its host name.
    for (const [name, answers] of [
      ["10.77.0.1", { [`${ask}pool list`]: away }],
      ["10.99.0.1", own],
      ["NODE1", own],
    ] as const) {
      const { exit, said } = await canRemove(`${name} --quick`, answers);
      expect(`${exit} ${said}`).toMatch(quorum);
      expect(said).toContain("volume shared_data:");
    }
  });

  it("looks at all bricks of the node, whichever name each has it by", async () => {
    const none = fixtureText("heal-summary").replace(/<bricks>.*<\/bricks>/s, "<bricks/>");
    const { exit, said } = await canRemove("s1.san --quick", {
      [`${ask}volume info all`]: fixtureText("volume-info-many").replaceAll("10.77.0.1:/data/glusterfs/a", "s1.san:/a"),
      [`${ask}volume status all`]: fixtureText("status-many"),
      [`${ask}volume heal arb info summary`]: none,
      [`${ask}volume heal dr info summary`]: none,
    });
    expect(`${exit} ${said}`).toMatch(/^107 .*volume dist: no\n +brick 10\.77\.0\.1:\S+ has no other copy/s);
  });

  it("is an error for a name that is nobody's", async () => {
    const asked = canRemove("10.77.0.40", { hostname: "node1\n", "hostname -I": "10.77.0.4 10.77.0.400\n" });
    await expect(asked).rejects.toMatchObject({ kind: "usage", message: "10.77.0.40: not a peer of this pool" });
  });

  it("is no when something came up while the files were looked at", async () => {
    const healing = fixtureText("heal-summary").replace("<totalNumberOfEntries>0<", "<totalNumberOfEntries>4<");
    const { exit, said } = await canRemove("10.77.0.2 --json", {
      ...WHOLE,
      [HEAL]: [fixtureText("heal-summary"), healing],
    });
    expect(exit).toBe(107);
    expect(JSON.parse(said)).toMatchObject({ can_remove: false, files_read: true });
    expect(said).toContain("4 entries that other copies still need");
  });

  it("does not look at the files where it is no already, or where it is told not to, and says so", async () => {
    const down = fixtureText("heal-brick-down");
    expect(await canRemove("10.77.0.2", { [HEAL]: down })).toMatchObject({ exit: 107 });
    const quick = await canRemove("10.77.0.2 --quick", {});
    expect(`${quick.exit} ${quick.said}`).toMatch(/^0 .*yes by heal info; the files themselves were not looked at/s);
    const record = JSON.parse((await canRemove("10.77.0.2 --quick --json", {})).said);
    expect(record).toMatchObject({ can_remove: true, files_read: false });
  });
});

describe("whether a volume serves all of its files", () => {
  const complete = (answers: Parameters<typeof run>[2]) => run(VOLUME_COMPLETE, "shared_data", answers);
  const DOWN = {
    [`${ask}volume status all`]: fixtureText("status-brick-down"),
    [HEAL]: fixtureText("heal-brick-down"),
  };
  /** With its first two copies only. */
  const two = (text: string): string =>
    text
      .replace(/<brick uuid="e059ecee.*?<\/brick>/s, "")
      .replace("<brickCount>3<", "<brickCount>2<")
      .replace("<replicaCount>3<", "<replicaCount>2<");

  it("is yes while more than half of three copies are up: one of them was there for each write", async () => {
    expect(await complete({})).toMatchObject({ exit: 0 });
    expect(await complete(DOWN)).toMatchObject({ exit: 0, said: "volume shared_data: complete\n" });
  });

  it("is no with one of two copies down, which may be the only one that took what was written", async () => {
    const info = { [`${ask}volume info all`]: two(fixtureText("volume-info")) };
    expect(await complete(info)).toMatchObject({ exit: 0 });
    const down = fixtureText("status").replace(/(10\.77\.0\.2<.*?<status>)1/s, "$10");
    const { exit, said } = await complete({ ...info, [`${ask}volume status all`]: down });
    expect(`${exit} ${said}`).toMatch(/^107 .*not complete\n.*brick 10\.77\.0\.2:\S+ is down\n.*is in no listing/s);
  });

  it("is no with a copy of three down where one alone takes writes", async () => {
    const options = "<options><option><name>cluster.quorum-type</name><value>none</value></option>";
    const info = { [`${ask}volume info all`]: fixtureText("volume-info").replace("<options>", options) };
    expect(await complete(info)).toMatchObject({ exit: 0 });
    expect(await complete({ ...info, ...DOWN })).toMatchObject({ exit: 107 });
  });
});
