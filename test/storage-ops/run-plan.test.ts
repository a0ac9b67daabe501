import { describe, expect, it } from "vitest";
import type { JournalEntry, StepState } from "../../src/core/journal.ts";
import type { StepReport } from "../../src/core/plan.ts";
import { renderStepsLeft, stepsLeft } from "../../src/storage-ops/render.ts";
import { failureOfRun } from "../../src/storage-ops/run-plan.ts";
import { planOf, stepNamed } from "../fakes/switches.ts";

const { undo: _, ...plain } = stepNamed("c");
const plan = planOf(stepNamed("a"), stepNamed("b", { undo: { impossible: "it is gone" } }), plain);

describe("an operation that did not come to its end", () => {
  const kindOf = (
    states: Record<string, StepState>,
    reports: StepReport[],
    verb: "resume" | "undo" = "resume",
  ): string | undefined => failureOfRun(plan, { id: "x", stateOf: (id) => states[id] }, reports, verb)?.kind;
  const broken: StepReport = { id: "b", status: "failed", detail: "no", kind: "failed" };

  it("is partial once anything was changed: by this run, by one before it, or by half", () => {
    expect(kindOf({}, [{ id: "a", status: "done", detail: "" }])).toBeUndefined();
    expect(kindOf({ a: "already", b: "failed" }, [broken])).toBe("failed");
    expect(kindOf({ a: "done", b: "failed" }, [{ id: "a", status: "already", detail: "" }, broken])).toBe("partial");
    expect(kindOf({ b: "failed" }, [{ ...broken, halfway: true }])).toBe("partial");
    expect(kindOf({ a: "done", b: "unknown" }, [{ ...broken, kind: "unsafe" }])).toBe("unsafe");
  });

  it("is partial in an undo once anything was taken back", () => {
    const stuck: StepReport = { id: "a", status: "unknown", detail: "", kind: "timeout" };
    expect(kindOf({ a: "unknown", b: "done" }, [stuck], "undo")).toBe("timeout");
    expect(kindOf({ a: "unknown", b: "undone" }, [stuck], "undo")).toBe("partial");
  });
});

describe("a dry run of a journal's resume and undo", () => {
  const entry = (states: Record<string, [StepState, boolean]>): JournalEntry => ({
    id: "x",
    plan,
    startedAt: new Date(0),
    host: "node1",
    process: { pid: 1 } as JournalEntry["process"],
    undoAttempts: 0,
    state: "failed",
    steps: new Map(
      Object.entries(states).map(([id, [state, begun]]) => [id, { state, begun, at: new Date(0), detail: "" }]),
    ),
  });
  const commands = (states: Record<string, [StepState, boolean]>, verb: "resume" | "undo") =>
    stepsLeft(entry(states), verb).map(({ argv }) => argv?.join(" "));

  it("shows what that verb would run, and nothing that is done", () => {
    const states = { a: ["done", true], b: ["failed", true] } as const satisfies Record<string, [StepState, boolean]>;
    expect(commands({ ...states }, "resume")).toEqual(["turn b on", "turn c on"]);
    expect(commands({ ...states }, "undo")).toEqual([undefined, "turn a off"]);
    expect(renderStepsLeft(entry({ ...states }), "undo")).toBe(
      "[DRY-RUN] 1. take back: turn b on\n[DRY-RUN]    cannot be undone: it is gone\n" +
        "[DRY-RUN] 2. take back: turn a on\n[DRY-RUN]    Would run: turn a off\n",
    );
    expect(renderStepsLeft(entry({ a: ["already", false], b: ["failed", false] }), "undo")).toBe(
      "[DRY-RUN] nothing to undo\n",
    );
  });
});
