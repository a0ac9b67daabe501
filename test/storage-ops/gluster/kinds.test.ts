import { describe, expect, it } from "vitest";
import type { Step } from "../../../src/core/plan.ts";
import { parseXml } from "../../../src/core/xml.ts";
import { healthOf } from "../../../src/storage-ops/gluster/health.ts";
import { GLUSTER_KINDS } from "../../../src/storage-ops/gluster/kinds.ts";
import { parsePeers, readPool } from "../../../src/storage-ops/gluster/state.ts";
import { exits, type FakeAnswer, fakeHost } from "../../fakes/fake-host.ts";
import { fixtureText, plainText, sameViews, viewOf, wholeBricks } from "./fixture.ts";

const ask = "gluster --mode=script --xml ";
const BRICK = "10.77.0.2:/data/glusterfs/d2";
const LOCKED = exits(
  1,
  "",
  "<cliOutput><opRet>-1</opRet><opErrno>30800</opErrno><opErrstr>Another transaction is in progress for dist. Please try again after some time.</opErrstr></cliOutput>",
);
const step = (kind: string, data: Step["data"]): Step => ({
  id: kind,
  kind,
  title: kind,
  argv: ["true"],
  timeoutMs: 1,
  destructive: true,
  waits: false,
  doneWhen: "",
  data,
});

describe("moving data off a brick", () => {
  const moving = step("remove-brick-start", { volume: "dist", bricks: [BRICK], replica: 1 });
  const hostAnswering = (status: FakeAnswer) =>
    fakeHost({
      commands: {
        [`${ask}volume status dist`]: fixtureText("status-with-task"),
        [`${ask}volume info all`]: fixtureText("info-with-task"),
        [`${ask}volume remove-brick dist ${BRICK} status`]: status,
      },
    });
  const standing = (status: FakeAnswer) => GLUSTER_KINDS["remove-brick-start"].standing(moving, hostAnswering(status));
  const completed = fixtureText("remove-status");

  it("is done when every node has completed and nothing failed or was skipped", async () => {
    expect(await standing(completed)).toMatchObject({ state: "done", detail: "completed on 1 nodes, 26 files moved" });
  });

  it("goes on while a node has not completed", async () => {
    expect(await standing(completed.replace("completed", "in progress"))).toMatchObject({ state: "working" });
  });

  it.each(["failures", "skipped"])("is never done with %s", async (what) => {
    const answer = completed.replace(`<${what}>0<`, `<${what}>2<`);
    await expect(standing(answer)).rejects.toMatchObject({
      kind: "unsafe",
      message: expect.stringContaining("data was not moved"),
    });
  });

  it("is never done when a node gives no number of failures", async () => {
    await expect(standing(completed.replace("<failures>0</failures>", ""))).rejects.toMatchObject({ kind: "unsafe" });
  });
});

describe("a step that could not be asked about", () => {
  const gone = step("remove-brick-force", { volume: "dist", bricks: [BRICK], replica: 1 });
  it("is on its way while somebody has glusterd's lock, because that may be this very step", async () => {
    const host = fakeHost({ commands: { [`${ask}volume status dist`]: LOCKED } });
    expect(await GLUSTER_KINDS["remove-brick-force"].standing(gone, host)).toMatchObject({ state: "working" });
  });

  it("is unknown when gluster hangs or its answer is empty", async () => {
    for (const answer of [{ outcome: "timed-out" as const }, ""]) {
      const host = fakeHost({ commands: { [`${ask}volume status dist`]: answer } });
      expect(await GLUSTER_KINDS["remove-brick-force"].standing(gone, host)).toMatchObject({ state: "unknown" });
    }
  });
});

describe("healing onto a new brick", () => {
  const bricks = [1, 2, 3].map((at) => `10.77.0.${at}:/data/glusterfs/shared`);
  const HEAL = `${ask}volume heal shared_data info summary`;
  const STATISTICS = "gluster --mode=script volume heal shared_data statistics";
  const HEAL_COUNT = `${STATISTICS} heal-count`;
  /** heal info takes its power from the heal: it is not asked while a crawl is at work. */
  const NOT_ASKED = "";
  const ended = plainText("heal-statistics.txt").replace("Crawl is in progress", "Ending time of crawl: later");
  const whole = {
    ...wholeBricks(),
    ...sameViews(),
    [STATISTICS]: ended,
    [`${ask}pool list`]: fixtureText("pool-list"),
    [`${ask}volume info all`]: fixtureText("volume-info"),
  };
  const healing = (more: string[] = []) => step("heal", { volume: "shared_data", bricks: more, before: bricks });
  const standing = (answer: string, more: string[] = [], others: Record<string, FakeAnswer> = {}) =>
    GLUSTER_KINDS.heal.standing(healing(more), hostOf({ ...whole, [HEAL]: answer, ...others }));
  /** Whoever sleeps moves the clock. */
  const hostOf = (commands: Record<string, FakeAnswer | FakeAnswer[]>) => {
    const host = fakeHost({ commands });
    host.sleep = (ms) => host.advance(ms);
    return host;
  };
  it("is done only when every brick answers with nothing to heal, the new one too", async () => {
    expect(await standing(fixtureText("heal-summary"))).toMatchObject({ state: "done" });
    expect(await standing(fixtureText("heal-summary"), ["10.77.0.4:/b"])).toMatchObject({ state: "working" });
    expect(await standing(fixtureText("heal-brick-down"))).toMatchObject({
      state: "working",
      detail: expect.stringContaining("unknown how much"),
    });
  });

  it("waits for the crawl's end on every brick, and does not take an answer that failed for one", async () => {
    const crawling = { [STATISTICS]: plainText("heal-statistics.txt"), [HEAL_COUNT]: plainText("heal-count.txt") };
    expect(await standing(NOT_ASKED, [], crawling)).toMatchObject({
      state: "working",
      detail: expect.stringMatching(/^781 entries to heal; .*full crawl of brick 4 at work/),
      remaining: 781,
      moves: false,
    });
    // Nothing listed, and a crawl that still looks: it does not stall. An unknown is no such nothing.
    const empty = plainText("heal-count.txt").replace(": 781", ": 0");
    expect(await standing(NOT_ASKED, [], { ...crawling, [HEAL_COUNT]: empty })).toMatchObject({ moves: true });
    for (const answer of [empty.replace(": 0", ": -"), "", exits(1, "Commit failed on 10.77.0.2")]) {
      const told = await standing(NOT_ASKED, [], { ...crawling, [HEAL_COUNT]: answer });
      expect(told).toMatchObject({ state: "working", moves: false });
      expect(told).not.toHaveProperty("remaining");
    }
    const silent = { [STATISTICS]: exits(1, "Commit failed on 10.77.0.2") };
    expect(await standing(fixtureText("heal-summary"), [], silent)).toMatchObject({ state: "unknown" });
  });

  it("is not done, and told to go on, while a brick blames another of which heal info says nothing", async () => {
    const [, local = ""] = Object.keys(wholeBricks());
    const blamed = {
      [local]: `${wholeBricks()[local]}# file: /b/f7\ntrusted.afr.shared_data-client-1=0x000000010000000100000000\n`,
    };
    expect(await standing(fixtureText("heal-summary"), [], blamed)).toMatchObject({
      state: "todo",
      detail: expect.stringContaining("1 file (/b/f7) of which another copy is not whole"),
    });
  });

  it("is not done while a node that missed the change has the volume as it was, and says where to restart glusterd", async () => {
    const old = viewOf<FakeAnswer>(
      4,
      fixtureText("volume-info").replace("10.77.0.3:/data/glusterfs/shared</name>", "10.77.0.3:/old</name>"),
    );
    await expect(standing(fixtureText("heal-summary"), [], old)).rejects.toMatchObject({
      kind: "unsafe",
      message: expect.stringMatching(
        /^10\.77\.0\.4 missed a change of volume shared_data .*restart glusterd on 10\.77\.0\.4/,
      ),
    });
  });

  it("is not known to be done while a node cannot be asked, or is away, unless it was when this was planned", async () => {
    const silent = viewOf<FakeAnswer>(3, exits(255, "Connection refused"));
    expect(await standing(fixtureText("heal-summary"), [], silent)).toMatchObject({
      state: "unknown",
      detail: expect.stringMatching(/on 10\.77\.0\.3: could not be read: .*Connection refused/),
    });
    const away = fixtureText("pool-list").replace(
      /(<hostname>10\.77\.0\.4<\/hostname>[\s\S]*?<connected>)1/,
      (_all, before: string) => `${before}0`,
    );
    const gone = { [`${ask}pool list`]: away };
    expect(await standing(fixtureText("heal-summary"), [], gone)).toMatchObject({
      state: "unknown",
      detail: expect.stringContaining("10.77.0.4: could not be read: not connected"),
    });
    const absent = parsePeers(parseXml(away, "pool list")).flatMap(({ uuid, connected }) => (connected ? [] : [uuid]));
    expect(absent).toHaveLength(1);
    const given = { ...healing(), data: { ...healing().data, absent } };
    const host = hostOf({ ...whole, [HEAL]: fixtureText("heal-summary"), ...gone });
    expect(await GLUSTER_KINDS.heal.standing(given, host)).toMatchObject({ state: "done" });
  });

  it("has the index crawled for what is listed and not healed, because a full crawl of a new brick does not meet it", async () => {
    const listed = fixtureText("heal-summary").replace("<totalNumberOfEntries>0<", "<totalNumberOfEntries>2<");
    const index = "gluster --mode=script volume heal shared_data";
    const host = fakeHost({ commands: { [HEAL]: listed, [index]: "" } });
    await GLUSTER_KINDS.heal.otherwise(healing(), host, 0);
    expect(host.commandLines).toEqual([HEAL, index]);
    expect(await standing(listed)).toMatchObject({ state: "todo", remaining: 2, idle: true });
  });

  it("looks every file up through a read-only mount of its own when nothing else heals, and takes that mount away", async () => {
    const point = `/run/fencepost/look-up-shared_data-${process.pid}`;
    const left = "find /run/fencepost -maxdepth 1 -name look-up-shared_data-* -printf %f\\n";
    const mkdir = `mkdir --parents --mode=0700 -- ${point}`;
    const heal = ["entry", "data", "metadata"].map((what) => `--xlator-option=*replicate*.${what}-self-heal=on`);
    const bricks = `grep -rh ^connected =  --include=private ${point}/.meta/graphs/active/`;
    const walk = `nice find ${point} -size +8388607G`;
    const [umount, rmdir] = [`umount --lazy -- ${point}`, `rmdir -- ${point}`];
    const mount = `glusterfs --volfile-server=localhost --volfile-id=shared_data --read-only ${heal.join(" ")} ${point}`;
    const answers = {
      [left]: exits(1, "find: '/run/fencepost': No such file or directory"),
      [mkdir]: "",
      [mount]: "",
      [bricks]: ["connected = 1\nconnected = 0\n", "connected = 1\nconnected = 1\n"],
      [walk]: "",
      [umount]: "",
      [rmdir]: "",
      [HEAL]: fixtureText("heal-summary"),
    };
    const host = hostOf(answers);
    await GLUSTER_KINDS.heal.otherwise(healing(), host, 0);
    expect(host.commandLines).toEqual([HEAL, left, mkdir, mount, bricks, bricks, walk, umount, rmdir]);
    const broken = hostOf({ ...answers, [walk]: exits(1, "Transport endpoint is not connected") });
    await expect(GLUSTER_KINDS.heal.otherwise(healing(), broken, 0)).rejects.toMatchObject({ kind: "failed" });
    expect(broken.commandLines.slice(-2)).toEqual([umount, rmdir]);
    // What is listed and was crawled in vain is looked up too.
    const listed = fixtureText("heal-summary").replace("<totalNumberOfEntries>0<", "<totalNumberOfEntries>1<");
    const stuck = hostOf({ ...answers, [HEAL]: listed });
    await GLUSTER_KINDS.heal.otherwise(healing(), stuck, 1);
    expect(stuck.commandLines).toContain(walk);
  });

  it("counts ten million entries", async () => {
    const many = fixtureText("heal-summary").replace("<totalNumberOfEntries>0<", "<totalNumberOfEntries>10000000<");
    expect(await standing(many)).toMatchObject({ state: "todo", remaining: 10_000_000 });
  });

  it("does not wait for a split-brain to heal by itself", async () => {
    const split = fixtureText("heal-summary").replace("SplitBrain>0<", "SplitBrain>1<");
    await expect(standing(split)).rejects.toMatchObject({ kind: "unsafe" });
  });
});

describe("the health of a hundred volumes of twelve bricks", () => {
  it("takes one call of each kind and a heal info for each volume, and well under 1.5 s of our own", async () => {
    const VOLUMES = 100;
    const part = (text: string, tag: string): string => new RegExp(`<${tag}>[\\s\\S]*?</${tag}>`).exec(text)?.[0] ?? "";
    const bricks = Array.from({ length: 12 }, (_, at) => `10.78.0.${at + 1}`);
    const info = part(fixtureText("volume-info"), "volume")
      .replace("<brickCount>3<", "<brickCount>12<")
      .replace(
        /<bricks>[\s\S]*<\/bricks>/,
        () =>
          `<bricks>${bricks.map((host) => `<brick uuid="u${host}">x<name>${host}:/b/v</name><hostUuid>u${host}</hostUuid><isArbiter>0</isArbiter></brick>`).join("")}</bricks>`,
      );
    const nodes = bricks
      .map(
        (host) =>
          `<node><hostname>${host}</hostname><path>/b/v</path><peerid>u${host}</peerid><status>1</status></node>`,
      )
      .join("");
    const heal = bricks
      .map(
        (host) =>
          `<brick hostUuid="u"><name>${host}:/b/v</name><status>Connected</status><totalNumberOfEntries>0</totalNumberOfEntries><numberOfEntriesInSplitBrain>0</numberOfEntriesInSplitBrain></brick>`,
      )
      .join("");
    const names = Array.from({ length: VOLUMES }, (_, at) => `vol${at}`);
    const ok = "<opRet>0</opRet><opErrno>0</opErrno><opErrstr/>";
    const commands: Record<string, string> = {
      [`${ask}pool list`]: fixtureText("pool-list"),
      [`${ask}volume info all`]: `<cliOutput>${ok}<volInfo><volumes>${names.map((name) => info.replace("shared_data", name)).join("")}</volumes></volInfo></cliOutput>`,
      [`${ask}volume status all`]: `<cliOutput>${ok}<volStatus><volumes>${names.map((name) => `<volume><volName>${name}</volName>${nodes}<tasks/></volume>`).join("")}</volumes></volStatus></cliOutput>`,
    };
    for (const name of names)
      commands[`${ask}volume heal ${name} info summary`] =
        `<cliOutput><healInfo><bricks>${heal}</bricks></healInfo>${ok}</cliOutput>`;
    const host = fakeHost({ commands });
    const before = process.cpuUsage();
    const { volumes } = healthOf(await readPool(host));
    const { user, system } = process.cpuUsage(before);
    expect(volumes.filter(({ state, bricks: all }) => state === "up" && all.length === 12)).toHaveLength(VOLUMES);
    expect(host.calls).toHaveLength(3 + VOLUMES);
    expect((user + system) / 1e6).toBeLessThan(1.5);
  });
});
