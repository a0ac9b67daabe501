import { describe, expect, it } from "vitest";
import type { Step } from "../../../src/core/plan.ts";
import {
  movingStanding,
  parseMoving,
  readMoving,
  rebalanceStanding,
  standingOfRebalance,
} from "../../../src/storage-ops/gluster/moving.ts";
import { exits, FakeHost } from "../../fakes/fake-host.ts";
import { fixture, fixtureText } from "./fixture.ts";

const done = parseMoving(fixture("rebalance-status"));
const withNode = (more: object) => ({ ...done, nodes: done.nodes.map((node) => ({ ...node, ...more })) });

it("has a status for each node that moves data, and none where nothing was started", async () => {
  expect(parseMoving(fixture("remove-status")).nodes).toMatchObject([
    { node: "10.77.0.2", status: "completed", files: 26, sizeBytes: 74, scanned: 26, failures: 0, skipped: 0 },
  ]);
  const command = "gluster --mode=script --xml volume rebalance dist status";
  const host = new FakeHost({ commands: { [command]: exits(1, "", fixtureText("task-none")) } });
  expect(await readMoving(host, "dist", "rebalance")).toBeUndefined();
});

describe("a rebalance", () => {
  it("is done when every node is, todo while only an older task is there, working while one runs", () => {
    expect(rebalanceStanding(done, "").state).toBe("done");
    expect(rebalanceStanding(done, done.taskId).state).toBe("todo");
    expect(rebalanceStanding(undefined, "").state).toBe("todo");
    expect(rebalanceStanding(withNode({ status: "in progress" }), "").state).toBe("working");
    expect(rebalanceStanding(withNode({ status: "fix-layout completed" }), "").state).toBe("done");
  });

  it("is no success with a failed file or without its number; what was skipped is told", () => {
    expect(() => rebalanceStanding(withNode({ failures: 1 }), "")).toThrow(/1 failed/);
    expect(() => rebalanceStanding(withNode({ failures: "unknown" }), "")).toThrow(/unknown failed/);
    expect(() => rebalanceStanding(withNode({ status: "fix-layout failed" }), "")).toThrow(/fix-layout failed/);
    expect(rebalanceStanding(withNode({ skipped: 2 }), "").detail).toMatch(/, \d+ left where they are/);
  });

  it("is not begun again behind the back of whoever stopped it", () => {
    expect(() => rebalanceStanding(withNode({ status: "stopped" }), "")).toThrow(/somebody stopped it/);
  });
});

describe("data that moves", () => {
  it("may be quiet for long while a node is at work, and not where none has begun", () => {
    const atWork = movingStanding(withNode({ status: "in progress", files: 3, sizeBytes: 5000, scanned: 7 }), "lose");
    expect(atWork).toMatchObject({ state: "working", quietMs: 86_400_000 });
    expect(atWork.progress).toBe(done.nodes.length * (3 + 5000 + 7));
    const waiting = movingStanding(withNode({ status: "not started", files: 0, sizeBytes: 0, scanned: 0 }), "lose");
    expect(waiting).toMatchObject({ state: "working", progress: 0 });
    expect(waiting.quietMs).toBeUndefined();
  });

  it("tells its rate, and the time left once gluster reckons it", async () => {
    const xml = fixtureText("rebalance-status")
      .replaceAll(">completed<", ">in progress<")
      .replaceAll(/<size>\d+</g, "<size>1048576<")
      .replaceAll(/<runtime>[\d.]+</g, "<runtime>1024.00<");
    const command = (mode: string) => `gluster --mode=script ${mode}volume rebalance dist status`;
    // Its words, as gf_cli_print_rebalance_status of glusterfs 10 prints them.
    const words = "Estimated time left for rebalance to complete :        1:02:03\nvolume rebalance: dist: success\n";
    const host = new FakeHost({ commands: { [command("--xml ")]: xml, [command("")]: words } });
    const step = { data: { volume: "dist", previousTask: "" } } as unknown as Step;
    const standing = await standingOfRebalance(step, host);
    expect(standing).toMatchObject({ state: "working", leftMs: 3_723_000 });
    expect(standing.detail).toMatch(/; \d\.\d KiB\/s$/);
  });
});
