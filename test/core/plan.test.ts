import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { OpsError } from "../../src/core/errors.ts";
import { continueJournal, createJournal, type Journal, readJournal, readJournals } from "../../src/core/journal.ts";
import {
  applyPlan,
  irreversibleStep,
  type Plan,
  type Standing,
  type StepKind,
  type StepKinds,
  undoPlan,
} from "../../src/core/plan.ts";
import { renderEntries } from "../../src/storage-ops/render.ts";
import { exits, type FakeAnswer, FakeHost } from "../fakes/fake-host.ts";
import { planOf, stepNamed } from "../fakes/switches.ts";

/** Switches that `turn NAME on|off` really turns, in a directory for the journal. */
function world(switches: Record<string, FakeAnswer> = {}, refusals: Record<string, FakeAnswer[]> = {}) {
  const directory = mkdtempSync(join(tmpdir(), "fencepost-journal-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const on = new Set<string>();
  const standings = new Map<string, Standing[]>();
  const guarded: string[] = [];
  const refused = new Set<string>();
  const turn = (word: string, off: boolean) => () => {
    if (off) on.delete(word);
    else on.add(word);
    return "";
  };
  const commands: Record<string, FakeAnswer | (() => FakeAnswer)> = {};
  for (const word of ["a", "b", "c"]) {
    commands[`turn ${word} on`] = switches[word] ?? turn(word, false);
    commands[`turn ${word} off`] = () => refusals[word]?.shift() ?? turn(word, true)();
  }
  const host = new FakeHost({ commands });
  // Whoever sleeps moves the clock: the journal is on a real disk, whose time the fake clock does not know.
  host.sleep = (ms) => host.advance(ms);
  const kinds: StepKinds = {
    switch: {
      standing: async ({ id }) =>
        standings.get(id)?.shift() ?? (on.has(id) ? { state: "done", detail: "on" } : { state: "todo", detail: "off" }),
      guard: async ({ id }) => {
        guarded.push(id);
        if (refused.has(id)) throw new OpsError("unsafe", `${id}: not now`);
      },
      guardUndo: async ({ id }) => {
        if (refused.has(`undo ${id}`)) throw new OpsError("unsafe", `${id}: not back now`);
      },
    },
  };
  return { directory, on, standings, guarded, refused, host, kinds };
}
type World = ReturnType<typeof world>;

/** Closed when the test is over. */
function closed(journal: Journal): Journal {
  onTestFinished(() => journal.close());
  return journal;
}
async function apply(
  { host, kinds, directory }: World,
  plan: Plan,
  more: { signal?: AbortSignal; stallMs?: number; decideMs?: number } = {},
) {
  const journal = closed(await createJournal(host, "test", plan, directory));
  const reports = applyPlan(plan, { kinds, host, journal, pollMs: 10, decideMs: 100, ...more });
  return { journal, reports };
}
const statuses = async (reports: Promise<{ id: string; status: string }[]>) =>
  (await reports).map(({ id, status }) => `${id} ${status}`);

describe("applying a plan", () => {
  it("writes each step into the journal before it runs and again when it has ended", async () => {
    const lab = world();
    const { reports } = await apply(lab, planOf(stepNamed("a"), stepNamed("b")));
    expect(await statuses(reports)).toEqual(["a done", "b done"]);
    const { host, directory } = lab;
    const entry = await readJournal(host, "test", directory);
    expect(entry.state).toBe("done");
    expect([...entry.steps].map(([id, { state }]) => `${id} ${state}`)).toEqual(["a done", "b done"]);
  });

  it("runs nothing for a step that is done already, and does not take it back either", async () => {
    const lab = world();
    lab.on.add("a");
    const plan = planOf(stepNamed("a"), stepNamed("b"));
    const { reports, journal } = await apply(lab, plan);
    expect(await statuses(reports)).toEqual(["a already", "b done"]);
    expect(lab.host.commandLines).toEqual(["turn b on"]);
    await undoPlan(plan, { kinds: lab.kinds, host: lab.host, journal });
    expect([...lab.on]).toEqual(["a"]);
  });

  it("stops at the first failure, with the tool's words, and skips the rest", async () => {
    const lab = world({ a: exits(1, "no power") });
    const { reports } = await apply(lab, planOf(stepNamed("a"), stepNamed("b")));
    expect(await reports).toEqual([
      { id: "a", status: "failed", detail: "turn a on: exit 1: no power (off)", kind: "failed" },
      { id: "b", status: "skipped", detail: "a failed" },
    ]);
    expect((await readJournal(lab.host, "test", lab.directory)).state).toBe("failed");
  });

  it("does not believe exit code 0 of a step that is not done afterwards", async () => {
    const { reports } = await apply(world({ a: "" }), planOf(stepNamed("a")));
    expect(await statuses(reports)).toEqual(["a failed"]);
  });

  it("counts a step as done when the world says so, whatever its command's end was", async () => {
    const lab = world({ a: exits(1, "connection lost") });
    lab.standings.set("a", [
      { state: "todo", detail: "off" },
      { state: "done", detail: "on" },
    ]);
    const { reports } = await apply(lab, planOf(stepNamed("a")));
    expect(await statuses(reports)).toEqual(["a done"]);
  });

  it("asks about a change that timed out until it is decided", async () => {
    const lab = world({ a: { outcome: "timed-out" } });
    const undecided: Standing = { state: "working", detail: "locked" };
    lab.standings.set("a", [{ state: "todo", detail: "off" }, undecided, undecided, { state: "done", detail: "on" }]);
    const { reports } = await apply(lab, planOf(stepNamed("a")));
    expect(await statuses(reports)).toEqual(["a done"]);
  });

  it("leaves a change that nobody can decide as unknown and does nothing after it", async () => {
    const lab = world({ a: { outcome: "timed-out" } });
    const undecided: Standing = { state: "unknown", detail: "no answer" };
    lab.standings.set("a", [{ state: "todo", detail: "off" }, ...Array.from({ length: 50 }, () => undecided)]);
    const { reports } = await apply(lab, planOf(stepNamed("a"), stepNamed("b")));
    expect(await statuses(reports)).toEqual(["a unknown", "b skipped"]);
    expect((await readJournal(lab.host, "test", lab.directory)).state).toBe("unknown");
  });

  it("changes nothing when the world could not be asked before", async () => {
    const lab = world();
    lab.standings.set("a", [{ state: "unknown", detail: "no answer" }]);
    const { reports } = await apply(lab, planOf(stepNamed("a")));
    expect(await statuses(reports)).toEqual(["a unknown"]);
    expect(lab.host.commandLines).toEqual([]);
  });

  it("tries again while the daemon is busy with another transaction", async () => {
    const busy = {
      exitCode: 1,
      stderr: "Another transaction is in progress for gv0. Please try again after some time.",
    };
    const lab = world({ a: busy });
    const off: Standing = { state: "todo", detail: "off" };
    lab.standings.set("a", [off, off, off, { state: "done", detail: "on" }]);
    const { reports } = await apply(lab, planOf(stepNamed("a")));
    expect(await statuses(reports)).toEqual(["a done"]);
    expect(lab.host.commandLines).toEqual(["turn a on", "turn a on", "turn a on"]);
  });

  it("reads what must hold right before each step, and runs nothing when it does not", async () => {
    const lab = world();
    lab.refused.add("b");
    const { reports } = await apply(lab, planOf(stepNamed("a"), stepNamed("b", { destructive: true }), stepNamed("c")));
    expect(await reports).toMatchObject([
      { status: "done" },
      { status: "failed", kind: "unsafe", detail: "b: not now" },
      { status: "skipped" },
    ]);
    expect(lab.host.commandLines).toEqual(["turn a on"]);
  });

  it("reads it again on resume: facts that have changed in between refuse the step", async () => {
    const lab = world();
    lab.refused.add("b");
    const plan = planOf(stepNamed("a"), stepNamed("b", { destructive: true }));
    await (await apply(lab, plan)).reports;
    const entry = await readJournal(lab.host, "test", lab.directory);
    const journal = closed(await continueJournal(lab.host, entry, "resume", lab.directory));
    const again = await applyPlan(entry.plan, { kinds: lab.kinds, host: lab.host, journal });
    expect(again).toMatchObject([{ status: "already" }, { status: "failed", kind: "unsafe" }]);
    expect(lab.guarded).toEqual(["a", "b", "b"]);
  });

  it("stops between two steps when the operator says so, and goes on from there in a fresh process", async () => {
    const lab = world();
    const stop = new AbortController();
    const plan = planOf(stepNamed("a"), stepNamed("b"));
    const journal = closed(await createJournal(lab.host, "test", plan, lab.directory));
    const reports = await applyPlan(plan, {
      kinds: lab.kinds,
      host: lab.host,
      journal,
      signal: stop.signal,
      onEnd: () => stop.abort(),
    });
    expect(reports).toMatchObject([{ status: "done" }, { status: "skipped", detail: "stopped by the operator" }]);
    const entry = await readJournal(lab.host, "test", lab.directory);
    expect(entry.state).toBe("stopped");
    const next = closed(await continueJournal(lab.host, entry, "resume", lab.directory));
    expect(await statuses(applyPlan(entry.plan, { kinds: lab.kinds, host: lab.host, journal: next }))).toEqual([
      "a already",
      "b done",
    ]);
    expect(lab.host.commandLines).toEqual(["turn a on", "turn b on"]);
  });

  it("waits for what takes its time and says at what rate it goes", async () => {
    const lab = world({ a: "" });
    const left = (remaining: number): Standing => ({ state: "working", detail: `${remaining} left`, remaining });
    lab.standings.set("a", [
      { state: "todo", detail: "off" },
      left(30),
      left(30),
      left(20),
      left(10),
      { state: "done", detail: "on" },
    ]);
    const told: string[] = [];
    const plan = planOf(stepNamed("a", { waits: true }));
    const journal = closed(await createJournal(lab.host, "test", plan, lab.directory));
    const reports = applyPlan(plan, {
      ...lab,
      journal,
      pollMs: 1_000,
      onProgress: ({ text }) => void told.push(text),
    });
    expect(await statuses(reports)).toEqual(["a done"]);
    // Asked every 250 ms at first.
    expect(told).toEqual(["30 left", "20 left, 20.0/s, 1 s left", "10 left, 26.7/s, 1 s left"]);
  });

  it("asks more and more seldom about what takes long", async () => {
    const lab = world({ a: "" });
    const crawling: Standing = { state: "working", detail: "a crawl is at work", moves: true };
    const steps = [{ state: "todo", detail: "off" } as const, ...Array.from({ length: 100 }, () => crawling)];
    lab.standings.set("a", [...steps, { state: "done", detail: "on" }]);
    const plan = planOf(stepNamed("a", { waits: true }));
    const journal = closed(await createJournal(lab.host, "test", plan, lab.directory));
    expect(await statuses(applyPlan(plan, { ...lab, journal }))).toEqual(["a done"]);
    // 100 questions: 8 in the first 2 s, then each an eighth later, and never more than 5 s apart.
    expect(lab.host.monotonicMs()).toBeGreaterThan(250_000);
    expect(lab.host.monotonicMs()).toBeLessThan(500_000);
  });

  it("does not wait for what was begun and does not go on", async () => {
    const lab = world({ a: "" });
    lab.standings.set(
      "a",
      Array.from({ length: 2_000 }, (): Standing => ({ state: "todo", detail: "not started" })),
    );
    const { reports } = await apply(lab, planOf(stepNamed("a", { waits: true })));
    expect(await reports).toMatchObject([{ status: "unknown", detail: "it does not go on: not started" }]);
    expect(lab.host.commandLines).toEqual(["turn a on"]);
  });

  it("gives a command that may be given again though something is at work already, unless it has given it before", async () => {
    const lab = world({ a: "" });
    const crawling: Standing = { state: "working", detail: "a crawl is at work", moves: true };
    const done: Standing = { state: "done", detail: "on" };
    lab.standings.set("a", [crawling, crawling, crawling, done]);
    const { reports } = await apply(lab, planOf(stepNamed("a", { waits: true, repeats: true })));
    expect(await statuses(reports)).toEqual(["a done"]);
    expect(lab.host.commandLines).toEqual(["turn a on"]);

    const other = world({ a: "" });
    other.standings.set("a", [crawling, crawling, done]);
    const waiting = await apply(other, planOf(stepNamed("a", { waits: true })));
    expect(await statuses(waiting.reports)).toEqual(["a already"]);
    expect(other.host.commandLines).toEqual([]);
  });

  it("asks soon again when little is left", async () => {
    const lab = world({ a: "" });
    const left = (remaining: number): Standing => ({ state: "working", detail: `${remaining} left`, remaining });
    const steps = [
      { state: "todo", detail: "off" } as const,
      ...Array.from({ length: 120 }, (_, at) => left(1_200 - at)),
    ];
    lab.standings.set("a", [...steps, left(1), { state: "done", detail: "on" }]);
    const plan = planOf(stepNamed("a", { waits: true }));
    const journal = closed(await createJournal(lab.host, "test", plan, lab.directory));
    const asked: number[] = [];
    const onProgress = () => void asked.push(lab.host.monotonicMs());
    expect(await statuses(applyPlan(plan, { ...lab, journal, onProgress }))).toEqual(["a done"]);
    expect(lab.host.monotonicMs() - (asked.at(-1) ?? 0)).toBeLessThan(1_000);
    expect((asked.at(-1) ?? 0) - (asked.at(-2) ?? 0)).toBe(5_000);
  });

  it("does not give a command again while what is left gets less by itself", async () => {
    const lab = world({ a: "" });
    const left = (remaining: number): Standing => ({ state: "todo", detail: `${remaining} left`, remaining });
    const lessening = Array.from({ length: 1_000 }, (_, at) => left(1_000 - at));
    lab.standings.set("a", [{ state: "todo", detail: "off" }, ...lessening, { state: "done", detail: "on" }]);
    const { reports } = await apply(lab, planOf(stepNamed("a", { waits: true, repeats: true })));
    expect(await statuses(reports)).toEqual(["a done"]);
    expect(lab.host.commandLines).toEqual(["turn a on"]);
  });

  it("says when a wait does not move any more", async () => {
    const lab = world({ a: "" });
    const stuck: Standing = { state: "working", detail: "7 left", remaining: 7 };
    lab.standings.set("a", [{ state: "todo", detail: "off" }, ...Array.from({ length: 500 }, () => stuck)]);
    const { reports } = await apply(lab, planOf(stepNamed("a", { waits: true })), { stallMs: 1_000 });
    expect(await reports).toMatchObject([
      { status: "unknown", detail: expect.stringContaining("stalled: nothing moved for 1 s: 7 left") },
    ]);
  });

  it("does not call it a stall while more and more is done, whatever is left", async () => {
    const lab = world({ a: "" });
    const done = (progress: number): Standing => ({
      state: "working",
      detail: "0 to 500 left",
      remaining: 500,
      progress,
    });
    const steps = Array.from({ length: 300 }, (_, at) => done(at));
    lab.standings.set("a", [{ state: "todo", detail: "off" }, ...steps, { state: "done", detail: "on" }]);
    const { reports } = await apply(lab, planOf(stepNamed("a", { waits: true })), { stallMs: 10_000 });
    expect(await statuses(reports)).toEqual(["a done"]);
  });

  it("calls it a stall when what is left only goes up and down", async () => {
    const lab = world({ a: "" });
    const left = (remaining: number): Standing => ({ state: "working", detail: `${remaining} left`, remaining });
    const swinging = Array.from({ length: 500 }, (_, at) => left(at % 2 === 0 ? 12 : 10));
    lab.standings.set("a", [{ state: "todo", detail: "off" }, ...swinging]);
    const { reports } = await apply(lab, planOf(stepNamed("a", { waits: true })), { stallMs: 10_000 });
    expect(await reports).toMatchObject([{ status: "unknown", detail: expect.stringContaining("stalled") }]);
  });

  it("does not call it a stall while less and less is left, though it was less when it began", async () => {
    const lab = world({ a: "" });
    const left = (remaining: number): Standing => ({ state: "working", detail: `${remaining} left`, remaining });
    const lessening = Array.from({ length: 300 }, (_, at) => left(1_000 - at));
    lab.standings.set("a", [{ state: "todo", detail: "off" }, left(5), ...lessening, { state: "done", detail: "on" }]);
    const { reports } = await apply(lab, planOf(stepNamed("a", { waits: true })), { stallMs: 1_000 });
    expect(await statuses(reports)).toEqual(["a done"]);
  });

  it("waits longer for what moves in big pieces, and shows the time left that was told", async () => {
    const lab = world();
    const moving: Standing = { state: "working", detail: "moving", progress: 7, quietMs: 5_000, leftMs: 90_000 };
    lab.standings.set("a", [{ state: "todo", detail: "off" }, ...Array.from({ length: 100_000 }, () => moving)]);
    const told: string[] = [];
    const plan = planOf(stepNamed("a", { waits: true }));
    const journal = closed(await createJournal(lab.host, "test", plan, lab.directory));
    const onProgress = ({ text }: { text: string }) => void told.push(text);
    const options = { kinds: lab.kinds, host: lab.host, journal, pollMs: 10, stallMs: 1_000, onProgress };
    const [report] = await applyPlan(plan, options);
    expect(report).toMatchObject({ status: "unknown", detail: "stalled: nothing moved for 5 s: moving" });
    expect(told).toEqual(["moving, 90 s left"]);
  });

  it("gives a command that may be given again until it is done, also one that was refused", async () => {
    const lab = world({ a: exits(10, "Commit failed on node2") });
    const off: Standing = { state: "todo", detail: "off" };
    lab.standings.set("a", [...Array.from({ length: 400 }, () => off), { state: "done", detail: "on" }]);
    const { reports } = await apply(lab, planOf(stepNamed("a", { waits: true, repeats: true })), { decideMs: 10_000 });
    expect(await statuses(reports)).toEqual(["a done"]);
    // At once, then after 1 s and 2 s more: 400 looks, 10 ms from one to the next.
    expect(lab.host.commandLines).toEqual(["turn a on", "turn a on", "turn a on"]);
  });

  it("gives it up, with the tool's words, when it was refused for too long", async () => {
    const lab = world({ a: exits(10, "Commit failed on node2") });
    const off: Standing = { state: "todo", detail: "off" };
    lab.standings.set(
      "a",
      Array.from({ length: 4_000 }, () => off),
    );
    const { reports } = await apply(lab, planOf(stepNamed("a", { waits: true, repeats: true })), { decideMs: 5_000 });
    expect(await reports).toMatchObject([
      { status: "unknown", detail: "turn a on: exit 10: Commit failed on node2 (off)" },
    ]);
  });

  it("does what its kind has besides once the command has changed nothing three times, and goes on when that failed", async () => {
    const lab = world({ a: "" });
    const idle: Standing = { state: "todo", detail: "off", remaining: 1, idle: true };
    lab.standings.set("a", [...Array.from({ length: 2_000 }, () => idle), { state: "done", detail: "on" }]);
    let turns = 0;
    const otherwise = (): Promise<void> => {
      turns += 1;
      return Promise.reject(new Error("no mount"));
    };
    const kinds = { switch: { ...(lab.kinds.switch as StepKind), otherwise } };
    const { reports } = await apply({ ...lab, kinds }, planOf(stepNamed("a", { waits: true, repeats: true })));
    expect(await statuses(reports)).toEqual(["a done"]);
    // At 0, 1, 3, 7 and 15 s, the first of them before anything was waited for: 20 s of looks.
    expect([lab.host.commandLines.length, turns]).toEqual([5, 2]);
  });

  it("does not call it a stall while something is at work that gives no number", async () => {
    const lab = world({ a: "" });
    const crawling: Standing = { state: "working", detail: "a crawl is at work", moves: true };
    const steps = [{ state: "todo", detail: "off" } as const, ...Array.from({ length: 500 }, () => crawling)];
    lab.standings.set("a", [...steps, { state: "done", detail: "on" }]);
    const { reports } = await apply(lab, planOf(stepNamed("a", { waits: true })), { stallMs: 1_000 });
    expect(await statuses(reports)).toEqual(["a done"]);
  });

  it.each([
    ["another version", { ...planOf(stepNamed("a")), version: 2 as 1 }],
    ["a kind it does not know", planOf(stepNamed("a", { kind: "other" }))],
    ["two steps of one name", planOf(stepNamed("a"), stepNamed("a"))],
  ])("refuses a plan with %s before anything is run", async (_, plan) => {
    const lab = world();
    await expect((await apply(lab, plan)).reports).rejects.toMatchObject({ kind: "unsupported" });
    expect(lab.host.commandLines).toEqual([]);
  });
});

describe("taking a plan back", () => {
  it("undoes what was begun, last step first, and is then undone", async () => {
    const lab = world();
    const plan = planOf(stepNamed("a"), stepNamed("b"), stepNamed("c"));
    const { reports, journal } = await apply(lab, plan);
    await reports;
    expect(await statuses(undoPlan(plan, { kinds: lab.kinds, host: lab.host, journal }))).toEqual([
      "c undone",
      "b undone",
      "a undone",
    ]);
    expect(lab.on.size).toBe(0);
    expect((await readJournal(lab.host, "test", lab.directory)).state).toBe("undone");
  });

  it("leaves alone what somebody else did after it could not be asked, was refused, or was at work on it already", async () => {
    const unasked: Standing = { state: "unknown", detail: "hangs" };
    for (const prepare of [
      (lab: World) => lab.standings.set("a", [unasked]),
      (lab: World) => lab.refused.add("a"),
      (lab: World) => lab.standings.set("a", [{ state: "working", detail: "theirs" }]),
    ]) {
      const lab = world();
      prepare(lab);
      const plan = planOf(stepNamed("a", { waits: true }));
      const theirs = new AbortController();
      const { reports, journal } = await apply(lab, plan, { signal: theirs.signal });
      lab.on.add("a");
      await reports;
      expect(lab.host.commandLines).toEqual([]);
      await applyPlan(plan, { kinds: lab.kinds, host: lab.host, journal });
      expect(journal.stateOf("a")).toBe("already");
      await undoPlan(plan, { kinds: lab.kinds, host: lab.host, journal });
      expect([...lab.on]).toEqual(["a"]);
    }
  });

  it("does not call undone what is done by half and cannot be taken back", async () => {
    const lab = world({ a: exits(1, "died") });
    const half: Standing = { state: "todo", detail: "3 of 5 left", halfway: true };
    lab.standings.set("a", [{ state: "todo", detail: "off" }, half, half]);
    const plan = planOf(stepNamed("a", { undo: { impossible: "they are elsewhere" } }));
    const { reports, journal } = await apply(lab, plan);
    expect(await reports).toMatchObject([{ status: "failed", halfway: true }]);
    expect(await undoPlan(plan, { kinds: lab.kinds, host: lab.host, journal })).toMatchObject([
      { status: "failed", kind: "unsafe", detail: "cannot be taken back: they are elsewhere" },
    ]);
    expect((await readJournal(lab.host, "test", lab.directory)).state).toBe("failed");
  });

  it("takes back again while the daemon is busy with another transaction", async () => {
    const lab = world({}, { a: [{ exitCode: 1, stderr: "Another transaction is in progress for gv0." }] });
    const plan = planOf(stepNamed("a"));
    const { reports, journal } = await apply(lab, plan);
    await reports;
    expect(await statuses(undoPlan(plan, { kinds: lab.kinds, host: lab.host, journal }))).toEqual(["a undone"]);
    expect(lab.host.commandLines).toEqual(["turn a on", "turn a off", "turn a off"]);
  });

  it("stops at what cannot be taken back and at what must not be now", async () => {
    const lab = world();
    const plan = planOf(stepNamed("a", { undo: { impossible: "it is gone" } }), stepNamed("b"), stepNamed("c"));
    const { reports, journal } = await apply(lab, plan);
    await reports;
    lab.refused.add("undo b");
    const options = { kinds: lab.kinds, host: lab.host, journal };
    expect(await undoPlan(plan, options)).toMatchObject([{ status: "undone" }, { status: "failed", kind: "unsafe" }]);
    lab.refused.clear();
    expect(await undoPlan(plan, options)).toMatchObject([
      { id: "b", status: "undone" },
      { id: "a", status: "failed", kind: "unsafe", detail: "cannot be taken back: it is gone" },
    ]);
  });

  it("stops between two steps when the operator says so, and takes the rest back later", async () => {
    const lab = world();
    const plan = planOf(stepNamed("a"), stepNamed("b"));
    const { reports, journal } = await apply(lab, plan);
    await reports;
    const stop = new AbortController();
    const options = { kinds: lab.kinds, host: lab.host, journal, signal: stop.signal };
    expect(await statuses(undoPlan(plan, { ...options, onEnd: () => stop.abort() }))).toEqual([
      "b undone",
      "a skipped",
    ]);
    expect((await readJournal(lab.host, "test", lab.directory)).state).toBe("stopped");
    expect(await statuses(undoPlan(plan, { kinds: lab.kinds, host: lab.host, journal }))).toEqual(["a undone"]);
    expect((await readJournal(lab.host, "test", lab.directory)).state).toBe("undone");
  });

  it("counts how often it was begun, until the operation goes on again", async () => {
    const lab = world();
    const plan = planOf(stepNamed("a"));
    await (await apply(lab, plan)).reports;
    lab.refused.add("undo a");
    const read = () => readJournal(lab.host, "test", lab.directory);
    for (const undoAttempts of [1, 2]) {
      const journal = closed(await continueJournal(lab.host, await read(), "undo", lab.directory));
      await undoPlan(plan, { kinds: lab.kinds, host: lab.host, journal });
      const entry = await read();
      expect(entry).toMatchObject({ state: "failed", undoAttempts });
      expect(renderEntries([entry])).toMatch(new RegExp(`\\(${undoAttempts} attempts? to undo it\\)`));
    }
    const journal = closed(await continueJournal(lab.host, await read(), "resume", lab.directory));
    await applyPlan(plan, { kinds: lab.kinds, host: lab.host, journal });
    expect(await read()).toMatchObject({ state: "done", undoAttempts: 0 });
  });
});

describe("a step that nothing takes back", () => {
  it("is known before anything is taken back, once it is done", () => {
    const plan = planOf(stepNamed("a", { undo: { impossible: "it is gone" } }), stepNamed("b"));
    expect(irreversibleStep(plan, (id) => (id === "b" ? "done" : "started"))).toBeUndefined();
    expect(irreversibleStep(plan, () => "done")?.id).toBe("a");
  });
});

describe("a journal", () => {
  it("is read although its writer was killed in the middle of a line, and goes on after that", async () => {
    const lab = world();
    const plan = planOf(stepNamed("a"));
    const journal = closed(await createJournal(lab.host, "test", plan, lab.directory));
    await journal.record("a", "started", "x");
    const { appendFileSync } = await import("node:fs");
    appendFileSync(journal.path, '{"record":"step","step":"a","sta');
    const entry = await readJournal(lab.host, "test", lab.directory);
    expect(entry.steps.get("a")?.state).toBe("started");
    const next = closed(await continueJournal(lab.host, entry, "resume", lab.directory));
    await next.record("a", "done", "y");
    expect((await readJournal(lab.host, "test", lab.directory)).steps.get("a")?.state).toBe("done");
  });

  it("is not begun with a plan so big that it could not be read back; any other can be, with its records", async () => {
    const lab = world();
    const big = (bytes: number): Plan => planOf({ ...stepNamed("a"), title: "x".repeat(bytes) });
    await expect(createJournal(lab.host, "big", big(2 ** 24), lab.directory)).rejects.toMatchObject({
      kind: "unsafe",
      message: expect.stringContaining("nothing is begun"),
    });
    expect(await readJournals(lab.host, lab.directory)).toEqual({ entries: [], problems: [] });
    const plan = big(2 ** 24 - 4096);
    const journal = closed(await createJournal(lab.host, "test", plan, lab.directory));
    for (const state of ["started", "done"] as const) await journal.record("a", state, plan.steps[0]?.title ?? "");
    expect((await readJournal(lab.host, "test", lab.directory)).steps.get("a")?.state).toBe("done");
  });

  it.each(["../x", "", "a/b", ".hidden"])("takes no path for an id: %j", async (id) => {
    await expect(readJournal(new FakeHost(), id)).rejects.toMatchObject({ kind: "usage" });
  });

  it("names what lies among them and is none", async () => {
    const lab = world();
    const { writeFileSync } = await import("node:fs");
    writeFileSync(join(lab.directory, "junk.jsonl"), "{}\n");
    const { entries, problems } = await readJournals(lab.host, lab.directory);
    expect([entries.length, problems.length, problems[0]]).toEqual([0, 1, expect.stringContaining("junk.jsonl")]);
  });
});
