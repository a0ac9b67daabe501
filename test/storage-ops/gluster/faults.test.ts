/** A gluster that hangs, that is locked or that has too much to tell: the right verdict, in bounded time. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { createJournal } from "../../../src/core/journal.ts";
import { applyPlan } from "../../../src/core/plan.ts";
import { parseXml } from "../../../src/core/xml.ts";
import { healthOf } from "../../../src/storage-ops/gluster/health.ts";
import { GLUSTER_KINDS } from "../../../src/storage-ops/gluster/kinds.ts";
import { planRemove, reasonsAgainstRemoval } from "../../../src/storage-ops/gluster/remove-plan.ts";
import { GLUSTER_TIMEOUT_MS, parseHeal, readPool } from "../../../src/storage-ops/gluster/state.ts";
import { exits, type FakeAnswer, FakeHost, fakeHost, HANGS } from "../../fakes/fake-host.ts";
import { fixtureText, poolOf, sameViews, wholeBricks } from "./fixture.ts";

const ask = "gluster --mode=script --xml ";
const HEAL = `${ask}volume heal shared_data info summary`;
const answers = {
  [`${ask}pool list`]: fixtureText("pool-list"),
  [`${ask}volume info all`]: fixtureText("volume-info"),
  [`${ask}volume status all`]: fixtureText("status"),
  [`${ask}volume status shared_data`]: fixtureText("status"),
  [HEAL]: fixtureText("heal-summary"),
  ...wholeBricks(),
  ...sameViews(),
};
/** Lets the clock run until it is over; how long that took on it. */
async function elapsed(host: FakeHost, work: Promise<unknown>): Promise<number> {
  let isOver = false;
  work.then(
    () => {
      isOver = true;
    },
    () => {
      isOver = true;
    },
  );
  const startedMs = host.monotonicMs();
  while (!isOver) {
    await host.advance(1_000);
    await new Promise((resolve) => setImmediate(resolve)); // the journal is on a real disk
  }
  return host.monotonicMs() - startedMs;
}

describe("a gluster command that hangs", () => {
  it.each(["pool list", "volume info all", "volume status all"])("is a timeout, after its limit: %s", async (words) => {
    const host = fakeHost({ commands: { ...answers, [ask + words]: HANGS } });
    const pool = readPool(host);
    expect(await elapsed(host, pool)).toBeLessThanOrEqual(GLUSTER_TIMEOUT_MS + 1_000);
    await expect(pool).rejects.toMatchObject({
      kind: "timeout",
      message: expect.stringContaining("timed out after 150000 ms"),
    });
  });

  it("leaves what is to heal unknown, and nothing is removed", async () => {
    const host = fakeHost({ commands: { ...answers, [HEAL]: HANGS } });
    const reading = readPool(host);
    expect(await elapsed(host, reading)).toBeLessThanOrEqual(GLUSTER_TIMEOUT_MS + 1_000);
    const pool = await reading;
    expect(healthOf(pool).volumes.map(({ state }) => state)).toEqual(["unknown"]);
    expect(() => planRemove(pool, { hosts: ["10.77.0.3"], backupFile: "/b" })).toThrow(
      expect.objectContaining({ kind: "unsafe", message: expect.stringContaining("heal info could not be read") }),
    );
  });

  it("does not take an hour when it is that of a hundred volumes", async () => {
    const [volume = ""] = /<volume>[\s\S]*?<\/volume>/.exec(fixtureText("volume-info")) ?? [];
    const names = Array.from({ length: 100 }, (_, at) => `vol${at}`);
    const info = fixtureText("volume-info").replace(
      volume,
      names.map((name) => volume.replaceAll("shared_data", name)).join(""),
    );
    const commands: Record<string, FakeAnswer> = { ...answers, [`${ask}volume info all`]: info };
    for (const name of names) commands[HEAL.replace("shared_data", name)] = HANGS;
    const host = fakeHost({ commands });
    const reading = readPool(host);
    expect(await elapsed(host, reading)).toBeLessThanOrEqual(2 * GLUSTER_TIMEOUT_MS + 2_000);
    const { heal } = await reading;
    expect(heal.size).toBe(100);
    expect([...heal.values()].every((found) => typeof found === "string")).toBe(true);
    expect(heal.get("vol99")).toContain("not asked");
  });

  it("in the middle of a change is asked about, and at last unknown: no later step is begun", async () => {
    let isHung = false;
    const commands = Object.fromEntries(
      Object.entries(answers).map(([command, answer]) => [command, () => (isHung ? HANGS : answer)]),
    );
    const [removal, detach] = planRemove(poolOf(), { hosts: ["10.77.0.3"], backupFile: "/b" }).steps.slice(1);
    if (!removal || !detach) throw new Error("no steps");
    commands[removal.argv.join(" ")] = () => {
      isHung = true;
      return HANGS;
    };
    const host = new FakeHost({ commands });
    const directory = mkdtempSync(join(tmpdir(), "fencepost-journal-"));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    const plan = { ...planRemove(poolOf(), { hosts: ["10.77.0.3"], backupFile: "/b" }), steps: [removal, detach] };
    const journal = await createJournal(host, "hung", plan, directory);
    onTestFinished(() => journal.close());
    const running = applyPlan(plan, { kinds: GLUSTER_KINDS, host, journal });
    await elapsed(host, running);
    // The command's own limit, then five minutes of questions, of which each has its limit too. (The clock runs on while
    // the journal is written, so it is the questions that are counted.)
    const since = host.commandLines.slice(host.commandLines.indexOf(removal.argv.join(" ")) + 1);
    expect(since.length).toBeLessThanOrEqual(Math.ceil(300_000 / GLUSTER_TIMEOUT_MS) + 1);
    expect(await running).toMatchObject([{ status: "unknown", kind: "timeout" }, { status: "skipped" }]);
  });
});

describe("glusterd's lock in other hands", () => {
  const LOCKED = exits(
    1,
    "",
    "<cliOutput><opRet>-1</opRet><opErrstr>Another transaction is in progress for shared_data. Please try again after some time.</opErrstr></cliOutput>",
  );
  const TAIL = "tail -c 65536 /var/log/glusterfs/glusterd.log";
  it("is waited for", async () => {
    const host = fakeHost({
      commands: { ...answers, [`${ask}volume status all`]: [LOCKED, LOCKED, fixtureText("status")] },
    });
    const reading = readPool(host);
    await elapsed(host, reading);
    expect((await reading).status.size).toBe(1);
  });

  it("is named, by the peer that has it, when it is not given back", async () => {
    const [peer] = poolOf().peers.filter(({ isLocal }) => !isLocal);
    const log = `… 0-management: Lock for x held by 00000000-0000-0000-0000-000000000000\n… Lock for shared_data held by ${peer?.uuid}\n`;
    const host = fakeHost({ commands: { ...answers, [`${ask}volume status all`]: LOCKED, [TAIL]: log } });
    const reading = readPool(host);
    expect(await elapsed(host, reading)).toBeLessThan(40_000);
    await expect(reading).rejects.toMatchObject({
      kind: "failed",
      message: expect.stringContaining(
        `Another transaction is in progress for shared_data. Please try again after some time. (the lock is held by ${peer?.hostnames[0]})`,
      ),
    });
  });
});

describe("ten million entries to heal on every brick", () => {
  it("are counted in no time, and no copy is removed", () => {
    const text = fixtureText("heal-summary").replaceAll("<totalNumberOfEntries>0<", "<totalNumberOfEntries>10000000<");
    const heal = parseHeal(parseXml(text, "heal"));
    expect(heal.map(({ pending }) => pending)).toEqual([10_000_000, 10_000_000, 10_000_000]);
    const pool = { ...poolOf(), heal: new Map([["shared_data", heal]]) };
    const [health] = healthOf(pool).volumes;
    expect([health?.state, health?.pending]).toEqual(["degraded", 10_000_000]);
    const [volume] = pool.volumes;
    if (!volume) throw new Error("no volume");
    expect(reasonsAgainstRemoval(pool, volume)).toEqual(
      volume.bricks.map(({ name }) => `brick ${name}: 10000000 entries that other copies still need from it`),
    );
  });
});

describe("10.78.0.1 beside 10.78.0.10", () => {
  /** The captured pool under other addresses. */
  const poolWith = (addresses: Readonly<Record<string, string>>) => {
    const rename = (text: string): string => {
      const at = Object.keys(addresses).find((one) => text === one || text.startsWith(`${one}:`));
      return at === undefined ? text : `${addresses[at]}${text.slice(at.length)}`;
    };
    const pool = poolOf();
    const volumes = pool.volumes.map((volume) => ({
      ...volume,
      bricks: volume.bricks.map((brick) => ({ ...brick, name: rename(brick.name), host: rename(brick.host) })),
    }));
    const status = [...pool.status].map(([name, one]) => {
      const bricksOnline = new Map([...one.bricksOnline].map(([brick, online]) => [rename(brick), online]));
      return [name, { ...one, bricksOnline }] as const;
    });
    const heal = parseHeal(parseXml(fixtureText("heal-summary"), "heal"));
    return {
      peers: pool.peers.map((peer) => ({ ...peer, hostnames: peer.hostnames.map(rename) })),
      volumes,
      status: new Map(status),
      heal: new Map([["shared_data", heal.map((one) => ({ ...one, brick: rename(one.brick) }))]]),
    };
  };
  const addressed = (hosts: string[], pool: ReturnType<typeof poolWith>): string[] =>
    planRemove(pool, { hosts, backupFile: "/b" }).steps.flatMap(({ argv }) =>
      argv.filter((word) => word.startsWith("10.78.")),
    );

  it("is no peer when only the other one is", () => {
    expect(() => addressed(["10.78.0.1"], poolWith({ "10.77.0.3": "10.78.0.10" }))).toThrow(
      expect.objectContaining({ kind: "usage", message: expect.stringContaining("not a peer of this pool") }),
    );
  });

  it.each([["10.78.0.1"], ["10.78.0.10"]])("loses its own brick and is detached, and the other is not: %s", (host) => {
    const pool = poolWith({ "10.77.0.2": "10.78.0.1", "10.77.0.3": "10.78.0.10" });
    expect(addressed([host], pool)).toEqual([`${host}:/data/glusterfs/shared`, host]);
  });
});
