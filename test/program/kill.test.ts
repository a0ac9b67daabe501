/**
 * Nothing is lost, doubled or torn when the recorder is killed at any moment: kill -9 of the agent, of its process
 * group (what Pacemaker's fencer does on its time limit), of agent and writer together.
 * Source: SPEC 3 "Durability". On the machine's disk, so that fsync takes its real time.
 */
import { appendFileSync, statSync } from "node:fs";
import { expect, it } from "vitest";
import { captureOf } from "../fakes/captured-cluster.ts";
import { liveDescribe } from "../live/requirements.ts";
import { expectWhole } from "./event-checks.ts";
import { type FenceRecord, killQuietly, Lab, pause, waitFor } from "./lab.ts";

const ROUNDS = 60;

type Victims = { agent: number; writers: readonly number[] };

const KILLERS: readonly (readonly [what: string, kill: (lab: Lab, victims: Victims) => void])[] = [
  ["the agent", (_lab, { agent }) => killQuietly(agent)],
  ["its whole process group", (_lab, { agent }) => killQuietly(-agent)],
  [
    "agent and writer together",
    (lab, { agent, writers }) => {
      // Known beforehand, so that both die within microseconds; then whoever was born in between.
      for (let victims = [agent, ...writers]; victims.length > 0; victims = writerPids(lab)) {
        for (const victim of victims) killQuietly(victim);
      }
    },
  ],
];

const writerPids = (lab: Lab): number[] => lab.writers().map(({ pid }) => pid);

/** Waits for a random moment of a kind; a third of the rounds each. Gives the writers that are to be killed. */
const MOMENTS: readonly ((lab: Lab, target: string, fullMs: number) => Promise<number[]>)[] = [
  // any at all, from the very start
  async (lab) => {
    await pause(Math.random() * 60);
    return writerPids(lab);
  },
  // any between the intent and the end
  async (lab, target, fullMs) => {
    await waitFor("the intent", () => isOnDisk(lab, target) || undefined);
    const writers = writerPids(lab);
    await pause(Math.random() * fullMs);
    return writers;
  },
  // in the few milliseconds around the line: written but not synced, not in the other file, its intent still there
  async (lab, target) => {
    const before = sizeOf(lab);
    await waitFor("the intent", () => isOnDisk(lab, target) || undefined);
    const writers = writerPids(lab);
    const untilMs = performance.now() + 5000;
    while (sizeOf(lab) === before && performance.now() < untilMs) await pause(0);
    const atMs = performance.now() + Math.random() ** 2 * 15;
    while (performance.now() < atMs);
    return writers;
  },
];

const sizeOf = (lab: Lab): number =>
  statSync(lab.at(`${lab.logDir}/fence-events-detailed.jsonl`), { throwIfNoEntry: false })?.size ?? 0;

const targetsIn = (texts: readonly string[], prefix: string): string[] =>
  texts.flatMap((text) => text.match(new RegExp(`${prefix}-\\d+`, "g")) ?? []);

/** A target of which something is on disk, in the intents or in the log. */
function targetsOnDisk(lab: Lab, prefix: string): string[] {
  return targetsIn([...lab.intents(), ...lab.detailedLines()], prefix);
}

const isOnDisk = (lab: Lab, target: string): boolean => targetsOnDisk(lab, "killed").includes(target);

liveDescribe("an agent that is killed", ["root", "namespaces", "overlayfs", "nsenter", "executable"], () => {
  it.each(KILLERS)(
    "%s: every event whose intent was on disk is recorded once, in both logs",
    async (_what, kill) => {
      const lab = await Lab.open({
        logDir: "disk",
        standIns: { capture: captureOf("window"), tools: ["dlm_tool", "crm_node"], delaySeconds: 0.03 },
      });
      const onDisk = new Set<string>(["undisturbed"]);
      const { elapsedMs: fullMs } = await lab.run({ args: ["-o", "off", "-n", "undisturbed"] });
      let leftBehind = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const target = `killed-${round}`;
        const running = lab.start({ args: ["-o", "off", "-n", target] });
        const writers = (await MOMENTS[round % MOMENTS.length]?.(lab, target, fullMs)) ?? [];
        kill(lab, { agent: running.pid, writers });
        if (targetsIn(lab.intents(), "killed").includes(target)) leftBehind++;
        for (const target of targetsOnDisk(lab, "killed")) onDisk.add(target);
        await running.ended;
      }
      // The moments must have met what they were meant to meet.
      expect(onDisk.size).toBeGreaterThanOrEqual(ROUNDS / 2);
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
      expectWhole(lab, new Set([...onDisk, "the-last-one"]));
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
