/** Pacemaker's history against the outcomes of one node's log: which fences nobody has told of. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { outcomeOf as alertOutcome } from "../../src/fence/alert.ts";
import { type Fence, fencesOf, missedFences, outcomeOf } from "../../src/fence/reconcile.ts";
import { parseWindow } from "../../src/fence/recover-options.ts";
import { decodeOutcome, encodeOutcome } from "../../src/records/fence-outcome.ts";
import { type HistoryEntry, parseHistory } from "../../src/records/fencing-history.ts";
import { readAlert } from "../fakes/captured-alerts.ts";
import { FakeHost } from "../fakes/fake-host.ts";

const AT = Date.parse("2026-11-20T10:50:00Z");
const HOUR = 3_600_000;
const entry = (more: Partial<HistoryEntry> = {}): HistoryEntry => ({
  action: "reboot",
  target: "n1",
  client: "pacemaker-controld.1",
  origin: "n2",
  delegate: "n3",
  status: "success",
  completedMs: AT,
  wholeSeconds: true,
  reason: undefined,
  evidence: { file: "history", line: 1 },
  ...more,
});
const recorded = (more: Partial<HistoryEntry> = {}, id = "n9") => {
  const outcome = outcomeOf([entry(more)], id);
  if (!outcome) throw new Error("no outcome");
  return outcome;
};
const within = (history: HistoryEntry[], node?: string) =>
  fencesOf(history, { nowMs: AT + HOUR, windowMs: 2 * HOUR, node }).flat();
const missedEntries = (history: HistoryEntry[], known: Parameters<typeof missedFences>[1]) =>
  missedFences(
    history.map((one): Fence => [one]),
    known,
  ).flat();

describe("fencesOf", () => {
  it("leaves out what runs, what is too old, and what an alert may still tell", () => {
    const history = [
      entry({ status: "pending", completedMs: undefined }),
      entry({ completedMs: AT - 2 * HOUR }),
      entry({ completedMs: AT + HOUR - 20_000 }),
      entry({ completedMs: AT + 2 * HOUR }),
      entry({ completedMs: AT }),
    ];
    expect(within(history).map(({ completedMs }) => completedMs)).toEqual([AT]);
  });

  it("gives a node the fences that it executed, and those that it asked for in vain", () => {
    const history = [
      entry({ delegate: "N3" }),
      entry({ delegate: "n4" }),
      entry({ delegate: undefined, origin: "n3", status: "failed" }),
      entry({ delegate: undefined, origin: "n4", status: "failed" }),
    ];
    expect(new Set(within(history, "n3"))).toEqual(new Set([history[0], history[2]]));
    expect(within(history)).toHaveLength(4);
  });

  it("gives every fence of a history to exactly one node", () => {
    const history = [
      entry(),
      entry({ delegate: "n4" }),
      entry({ delegate: undefined, origin: "n5", status: "failed" }),
    ];
    const owners = history.map((one) => ["n3", "n4", "n5"].filter((node) => within([one], node).length === 1));
    expect(owners).toEqual([["n3"], ["n4"], ["n5"]]);
  });
});

describe("missedFences", () => {
  it.each([
    ["of the same second", {}],
    ["of another node's clock", { completedMs: AT + 5_900 }],
    ["of before the second began", { completedMs: AT - 5_000 }],
    ["in other letters", { target: "N1" }],
  ])("counts a fence as told by an outcome %s", (_, more) => {
    expect(missedEntries([entry()], [recorded(more)])).toEqual([]);
  });

  it.each([
    ["of another node", { target: "n10" }],
    ["of another action", { action: "off" }],
    ["of another end", { status: "failed" as const }],
    ["for another client", { client: "pacemaker-controld.2" }],
    ["for another node's client", { origin: "n3" }],
    ["by another node", { delegate: "n2" }],
    ["of later", { completedMs: AT + 6_100 }],
  ])("does not count an outcome %s", (_, more) => {
    expect(missedEntries([entry()], [recorded(more)])).toHaveLength(1);
  });

  it("has one outcome answer for one fence, the nearest", () => {
    const [first, second] = [entry({ status: "failed" }), entry({ status: "failed", completedMs: AT + 3_000 })];
    expect(missedEntries([first, second], [recorded({ status: "failed", completedMs: AT + 3_200 })])).toEqual([first]);
    expect(missedEntries([first, second], [recorded({ status: "failed" }), recorded(second)])).toEqual([]);
  });

  it("finds nothing missing after every alert of the captured cluster's fences", async () => {
    const file = "b2-second-failure-recorder-first/after.stonith_admin-history.xml";
    const xml = readFileSync(join(import.meta.dirname, "../fixtures/gfs2-cluster", file), "utf8");
    const history = parseHistory(xml, file, AT);
    const fences = fencesOf(history, { nowMs: AT + HOUR, windowMs: 2 * HOUR, node: undefined });
    expect(fences.map((fence) => fence.map(({ client }) => client))).toEqual([
      ["stonith-api.1964", "pacemaker-controld.382"],
      ["pacemaker-controld.382", "stonith-api.4829"],
    ]);
    const host = new FakeHost({ hostname: "compute-node-3" });
    const told = await Promise.all(
      [
        "fencing-reboot-ok.on-compute-node-3.txt",
        "fencing-reboot-ok-merged-duplicate.on-compute-node-3.txt",
        "fencing-reboot-ok-delegate-is-originator.on-rabbit-node-1.txt",
      ].map((name) => alertOutcome(readAlert(name), host)),
    );
    expect(missedFences(fences, told)).toEqual([]);
    // What one node alone was told of: the fence, not the request that was merged into it elsewhere.
    expect(missedFences(fences, told.slice(1))).toEqual([]);
    expect(missedFences(fences, told.slice(2))).toEqual([fences[0]]);
    expect(missedFences(fences, [])).toEqual(fences);
    const [first] = missedFences(fences, []);
    expect(outcomeOf(first as Fence, "n1")?.details).toContain(
      "asked for by pacemaker-controld.382@compute-node-3 too",
    );
  });
});

describe("outcomeOf", () => {
  it("names the same fence alike on every node, and others otherwise", () => {
    const id = (more: Partial<HistoryEntry>, node = "n9") => recorded(more, node).eventId;
    expect(id({}, "n1")).toBe(id({}, "n2"));
    const others = [{ target: "n2" }, { action: "off" }, { client: "x" }, { origin: "x" }, { completedMs: AT + 1_000 }];
    expect(new Set([id({}), ...others.map((more) => id(more))]).size).toBe(6);
  });

  it("is an outcome as the log takes it, with what the history knows", () => {
    const text = JSON.stringify(encodeOutcome(recorded({ status: "failed", reason: "No route" })));
    expect(decodeOutcome(JSON.parse(text), "reconcile")).toMatchObject({
      status: "failed",
      source: "reconcile",
      timeMs: AT,
      operation: { action: "reboot", client: "pacemaker-controld.1", origin: "n2", delegate: "n3", reason: "No route" },
    });
  });

  it("is none for what is no fence", () => {
    expect(outcomeOf([entry({ action: "list" })], "n1")).toBeUndefined();
  });
});

it.each([
  ["24h", 86_400_000],
  ["90", 90_000],
  ["5min", 300_000],
  ["2d", 172_800_000],
  ["1500ms", 1500],
  ["", undefined],
  ["-1h", undefined],
  ["1 year", undefined],
])("reads the window %s", (text, ms) => {
  expect(parseWindow(text)).toBe(ms);
});
