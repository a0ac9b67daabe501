/**
 * Nothing is lost, doubled or torn when the recorder is killed at any moment: kill -9 of the agent, of its process
 * group (what Pacemaker's fencer does on its time limit), of agent and writer together; and 64 agents at once.
 * Source: SPEC 3 "Durability". On the machine's disk, so that fsync takes its real time.
 */
import { appendFileSync } from "node:fs";
import { expect, it } from "vitest";
import { captureOf } from "../fakes/captured-cluster.ts";
import { liveDescribe } from "../live/requirements.ts";
import { type FenceRecord, killQuietly, Lab, linesOf, pause, type Running, waitFor } from "./lab.ts";

const ROUNDS = 60;
const LAST_MOMENT_MS = 60;

type Killer = (lab: Lab, running: Running) => void;

const KILLERS: readonly (readonly [what: string, kill: Killer])[] = [
  ["the agent", (_lab, { pid }) => killQuietly(pid)],
  ["its whole process group", (_lab, { pid }) => killQuietly(-pid)],
  [
    "agent and writer together",
    (lab, { pid }) => {
      // Looked up first, so that both die within microseconds; then whoever was born in between.
      let victims = [pid, ...lab.writers().map((writer) => writer.pid)];
      while (victims.length > 0) {
        for (const victim of victims) killQuietly(victim);
        victims = lab.writers().map((writer) => writer.pid);
      }
    },
  ],
];

const targetsIn = (texts: readonly string[], prefix: string): string[] =>
  texts.flatMap((text) => text.match(new RegExp(`${prefix}-\\d+`, "g")) ?? []);

/** A target of which something is on disk, in the intents or in the log. */
function targetsOnDisk(lab: Lab, prefix: string): string[] {
  return targetsIn([...lab.intents(), ...lab.detailedLines()], prefix);
}

function countBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1);
  return counts;
}

const repeated = (counts: Map<string, number>): string[] =>
  [...counts].filter(([, count]) => count !== 1).map(([key, count]) => `${key} ×${count}`);

function expectWhole(lab: Lab, prefix: string, expected: ReadonlySet<string>): FenceRecord[] {
  const events = lab.events(); // throws on a torn line
  expect(repeated(countBy(events, (event) => event.event_id))).toEqual([]);
  expect(repeated(countBy(events, (event) => event.target_node))).toEqual([]);
  const recorded = new Set(events.map((event) => event.target_node));
  expect([...expected].filter((target) => !recorded.has(target))).toEqual([]);
  const readable = lab.readableLines();
  for (const line of readable) {
    expect(line).toMatch(
      /^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] ACTION=(off|reboot) TARGET=\S+ GFS2=\[.*\] STATUS=\w+ DETAILS=.+$/,
    );
  }
  const rendered = countBy(readable, (line) => / TARGET=(\S+) /.exec(line)?.[1] ?? line);
  expect(repeated(rendered)).toEqual([]);
  expect([...rendered.keys()].toSorted()).toEqual([...recorded].toSorted());
  let last = 0;
  for (const { recorded_ms: recordedMs } of events) {
    expect(recordedMs).toBeGreaterThanOrEqual(last);
    last = recordedMs;
  }
  expect(prefix).not.toBe("");
  return events;
}

liveDescribe("an agent that is killed", ["root", "namespaces", "overlayfs", "nsenter", "executable"], () => {
  it.each(KILLERS)(
    "%s: every event whose intent was on disk is recorded once, in both logs",
    async (_what, kill) => {
      const lab = await Lab.open({
        logDir: "disk",
        standIns: { capture: captureOf("window"), tools: ["dlm_tool", "crm_node"], delaySeconds: 0.03 },
      });
      const onDisk = new Set<string>();
      let leftBehind = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const running = lab.start({ args: ["-o", "off", "-n", `killed-${round}`] });
        await pause((LAST_MOMENT_MS * (round + Math.random())) / ROUNDS);
        for (const target of targetsOnDisk(lab, "killed")) onDisk.add(target);
        kill(lab, running);
        if (targetsIn(lab.intents(), "killed").includes(`killed-${round}`)) leftBehind++;
        for (const target of targetsOnDisk(lab, "killed")) onDisk.add(target);
        await running.ended;
      }
      // The moments must have met what they were meant to meet.
      expect(onDisk.size).toBeGreaterThan(10);
      expect(leftBehind).toBeGreaterThan(0);
      const { exitCode } = await lab.run({ args: ["-o", "off", "-n", "the-last-one"] });
      expect(exitCode).toBe(0);
      await waitFor(
        "every event to be recovered",
        () =>
          (lab.writers().length === 0 && lab.intents().length === 0 && lab.detailedLines().length >= onDisk.size) ||
          undefined,
        30_000,
      ).catch(() => undefined); // what is missing is named below
      expectWhole(lab, "killed", new Set([...onDisk, "the-last-one"]));
      expect(lab.intents()).toEqual([]);
      expect(lab.spooled()).toEqual([]);
    },
    120_000,
  );

  it("records a killed agent's event without another call: its writer sees to it", async () => {
    const lab = await Lab.open({
      logDir: "disk",
      standIns: { capture: captureOf("window"), tools: ["dlm_tool", "crm_node"], delaySeconds: 1 },
    });
    const running = lab.start({ args: ["-o", "off", "-n", "compute-node-2"] });
    await waitFor("the intent", () => lab.intents()[0]);
    killQuietly(-running.pid);
    await running.ended;
    const event = await lab.eventFor("compute-node-2");
    expect(event).toMatchObject({ action: "off", status: "initiated", gfs2_filesystems: ["none-detected"] });
    expect(event.discovery.result).toBe("unknown");
    await lab.settled();
    expect(lab.readableLines()).toHaveLength(1);
    expect(lab.intents()).toEqual([]);
  });

  it("leaves recovery to a fence action: no monitor, metadata or status call does it", async () => {
    const lab = await Lab.open({
      logDir: "disk",
      standIns: { capture: captureOf("window"), tools: ["dlm_tool"], delaySeconds: 1 },
    });
    const running = lab.start({ args: ["-o", "off", "-n", "left-behind"] });
    await waitFor("the intent", () => lab.intents()[0]);
    killQuietly(running.pid, "SIGSTOP");
    for (const writer of lab.writers()) killQuietly(writer.pid);
    killQuietly(running.pid);
    await running.ended;
    expect(lab.intents()).toHaveLength(1);
    for (const action of ["metadata", "status", "list"]) await lab.run({ args: ["-o", action, "-n", "n1"] });
    expect(lab.intents()).toHaveLength(1);
    expect(lab.detailedLines()).toEqual([]);
    await lab.run({ args: ["-o", "on", "-n", "next"] });
    await lab.eventFor("left-behind");
    await lab.settled();
    expect(lab.events().map((event) => event.target_node)).toEqual(["next", "left-behind"]);
    expect(lab.intents()).toEqual([]);
  });

  it("does not take the intent of an agent that still lives", async () => {
    const lab = await Lab.open({ standIns: { capture: captureOf("window"), tools: ["dlm_tool"], delaySeconds: 2 } });
    const slow = lab.start({ args: ["-o", "off", "-n", "still-busy"] });
    await waitFor("the intent", () => lab.intents()[0]);
    await lab.run({ args: ["-o", "off", "-n", "meanwhile"], env: { GFS2_DISCOVERY_ENABLED: "false" } });
    await lab.eventFor("meanwhile");
    expect(lab.eventsFor("still-busy")).toEqual([]);
    expect(await slow.ended).toMatchObject({ exitCode: 0 });
    await lab.settled();
    expect(lab.eventsFor("still-busy")).toHaveLength(1);
    expect(lab.readableLines()).toHaveLength(2);
  });

  it("does not let half a line that a killed writer left swallow the next one", async () => {
    const lab = await Lab.open();
    await lab.run({ args: ["-o", "off", "-n", "before"] });
    await lab.settled();
    const half = '{"timestamp":"2026-11-20T10:40:00Z","action":"off","target_no';
    appendFileSync(lab.at(`${lab.logDir}/fence-events-detailed.jsonl`), half);
    appendFileSync(lab.at(`${lab.logDir}/fence-events-readable.log`), "[2026-11-20 10:4");
    await lab.run({ args: ["-o", "off", "-n", "after"] });
    await lab.settled();
    const whole = lab.detailedLines().filter((line) => line !== half);
    expect(whole.map((line) => (JSON.parse(line) as FenceRecord).target_node)).toEqual(["before", "after"]);
    expect(lab.readableLines().filter((line) => line.includes("TARGET=after "))).toEqual([
      expect.stringMatching(/^\[.{19}\] ACTION=off /),
    ]);
  });
});

liveDescribe("64 agents at once", ["root", "namespaces", "overlayfs", "nsenter", "executable"], () => {
  it("leave 1,280 whole and different events in 20 rounds", async () => {
    const lab = await Lab.open({ logDir: "disk" });
    const env = { GFS2_DISCOVERY_ENABLED: "false" };
    for (let round = 0; round < 20; round++) {
      const outcomes = await Promise.all(
        Array.from({ length: 64 }, (_, agent) =>
          lab.run({ args: ["-o", "reboot", "-n", `crowd-${round * 64 + agent}`], env, limitMs: 60_000 }),
        ),
      );
      expect(new Set(outcomes.map(({ exitCode }) => exitCode))).toEqual(new Set([0]));
    }
    await waitFor(
      "1,280 lines",
      () => (lab.writers().length === 0 && lab.detailedLines().length >= 1280) || undefined,
      60_000,
    ).catch(() => undefined);
    const expected = new Set(Array.from({ length: 1280 }, (_, index) => `crowd-${index}`));
    expect(expectWhole(lab, "crowd", expected)).toHaveLength(1280);
    expect(lab.intents()).toEqual([]);
    expect(lab.spooled()).toEqual([]);
    expect(linesOf(lab.read(`${lab.logDir}/fence-events-readable.log`))).toHaveLength(1280);
  }, 170_000);
});
