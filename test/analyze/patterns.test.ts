import { describe, expect, it } from "vitest";
import { decodeRecord, isEvent } from "../../src/analyze/decode.ts";
import { joinIncidents } from "../../src/analyze/incidents.ts";
import { DEFAULT_THRESHOLDS, patternFinder, type Thresholds } from "../../src/analyze/patterns.ts";
import { showZone } from "../../src/analyze/table.ts";
import { analyze, directoryWith, outcome, record } from "./run-analyze.ts";

const at = (minutes: number): number => Date.parse("2026-11-20T10:00:00Z") + minutes * 60_000;
const find = (records: readonly object[], thresholds: Partial<Thresholds> = {}) => {
  const finder = patternFinder({ ...DEFAULT_THRESHOLDS, ...thresholds });
  const events = records.map((one, index) => decodeRecord(one, "", { file: "log", line: index + 1 })).filter(isEvent);
  for (const incident of joinIncidents(events)) finder.add(incident);
  return finder.end();
};

it("finds a node that flaps, once for each time it does", () => {
  const { flapping } = find(
    [0, 60, 120, 180, 5_000, 10_000, 10_030, 10_060].map((minutes) => record({ time: at(minutes) })),
  );
  expect(flapping.map(({ node, count, fromMs, toMs }) => [node, count, fromMs, toMs])).toEqual([
    ["compute-node-2", 4, at(0), at(180)],
    ["compute-node-2", 3, at(10_000), at(10_060)],
  ]);
});

it("counts a reboot's off and on as one fence, and neither refused nor failed nor made by hand", () => {
  const { flapping, fences, refused } = find([
    record({ time: at(0) }),
    record({ time: at(1), action: "on" }),
    record({ time: at(30), status: "refused" }),
    record({ time: at(60), source: "manual" }),
    record({ time: at(90) }),
    outcome({ time: at(90.2), status: "failed" }),
  ]);
  expect({ flapping, fences, refused }).toEqual({ flapping: [], fences: 1, refused: 1 });
});

it("finds a storm over several nodes within minutes", () => {
  const { storms } = find(["a", "b", "c", "d"].map((target, index) => record({ time: at(index * 2), target })));
  expect(storms).toMatchObject([{ nodes: ["a", "b", "c", "d"], nodeCount: 4, count: 4, fromMs: at(0), toMs: at(6) }]);
  // Of a big one the first hundred are named.
  const [big] = find(Array.from({ length: 250 }, (_, node) => record({ time: at(node), target: `n${node}` }))).storms;
  expect([big?.nodes.length, big?.nodes.at(-1), big?.nodeCount]).toEqual([100, "n99", 250]);
  expect(find(["a", "b", "c"].map((target, index) => record({ time: at(index * 20), target }))).storms).toEqual([]);
});

it("finds two nodes that fenced each other, by whoever recorded or asked", () => {
  const { mutual } = find([
    record({ time: at(0), target: "a", recorder: "b" }),
    record({ time: at(5), target: "b", recorder: "a" }),
  ]);
  expect(mutual).toMatchObject([{ nodes: ["a", "b"] }]);
  const asked = find([
    outcome({ time: at(0), target: "a", operation: { client: "pacemaker-controld.7", origin: "b", delegate: "c" } }),
    record({ time: at(5), target: "b", recorder: "a" }),
  ]);
  expect(asked.mutual).toHaveLength(1);
  expect(
    find([record({ time: at(0), target: "a", recorder: "b" }), record({ time: at(15), target: "b", recorder: "a" })])
      .mutual,
  ).toEqual([]);
});

it("finds slow and failing devices where an outcome tells", () => {
  const { slow, failing } = find([
    record({ time: at(0) }),
    outcome({ time: at(3), operation: { device: "ipmi-2" } }),
    record({ time: at(100) }),
    outcome({ time: at(100.5), status: "failed", operation: { device: "ipmi-2", reason: "no route to host" } }),
  ]);
  expect(slow).toMatchObject([{ device: "ipmi-2", count: 1, of: 2, worstMs: 180_000, worstIsMinimum: true }]);
  expect(failing).toMatchObject([{ device: "ipmi-2", failed: 1, of: 2, lastReason: "no route to host" }]);
});

it("calls slow what took long from the request, or at least too long, and does not know of the others", () => {
  const device = { device: "ipmi-2" };
  const { slow, slowUnknown } = find([
    record({ time: at(0) }),
    outcome({ time: at(0.5), operation: { ...device, started_ms: at(-2) } }),
    record({ time: at(100) }),
    outcome({ time: at(100.5), operation: { ...device, started_ms: at(99.9) } }),
    record({ time: at(200) }),
    outcome({ time: at(202), operation: device }),
    record({ time: at(300) }),
    outcome({ time: at(300.5), operation: device }),
    outcome({ time: at(400), operation: device }),
  ]);
  expect(slow).toMatchObject([{ count: 2, of: 5, worstMs: 150_000, worstIsMinimum: false }]);
  expect(slowUnknown).toBe(2);
});

it("finds fences whose GFS2 context nobody could tell, and why", () => {
  const discovery = {
    result: "unknown",
    elapsed_ms: 5_000,
    attempts: [{ method: "dlm", status: "failed", elapsed_ms: 5_000, reason: "timed out after 5000 ms" }],
  };
  const { unknownContext, slowDiscovery } = find([
    record({ time: at(0), gfs2_filesystems: ["none-detected"], discovery }),
    record({ time: at(60), gfs2_filesystems: ["none-detected"], discovery }),
    record({ time: at(120) }),
  ]);
  expect(unknownContext).toMatchObject({
    count: 2,
    of: 3,
    reasons: [{ count: 2, reason: "dlm failed: timed out after … ms" }],
  });
  expect(slowDiscovery).toEqual([{ recorder: "rabbit-node-1", count: 2, worstMs: 5_000 }]);
});

describe("the command", () => {
  const directory = () =>
    directoryWith({ "fence-events-detailed.jsonl": [0, 60, 120].map((minutes) => record({ time: at(minutes) })) });

  it("shows each pattern on 80 columns", async () => {
    const { exitCode, stdout, lines } = await analyze(["patterns", directory()]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain(
      `3 fences in 3 incidents; 0 refused; times in ${showZone()}\n\nFlapping nodes (3 fences within 24 h)\n  compute-node-2: 3 times, `,
    );
    for (const line of lines) expect([...line].length).toBeLessThanOrEqual(80);
  });

  it("says when a duration is a minimum, and of how many fences it is not known", async () => {
    const logs = directoryWith({
      "fence-events-detailed.jsonl": [record({ time: at(0) }), record({ time: at(100) })],
      "fence-outcomes.jsonl": [outcome({ time: at(2) }), outcome({ time: at(100.5) })],
    });
    const { stdout } = await analyze(["patterns", logs]);
    expect(stdout).toContain("1 of 2, worst at least 2 min\n");
    expect(stdout).toContain("  not known of 1 fence: nothing says when Pacemaker was asked\n");
    expect((await analyze(["patterns", logs, "--json"])).json()).toMatchObject([
      { slow: [{ worst_ms: 120_000, worst_is_minimum: true }], slow_unknown: 1 },
    ]);
  });

  it("takes its thresholds from options", async () => {
    const { json } = await analyze(["patterns", directory(), "--flap-count", "2", "--flap-window", "2h", "--json"]);
    expect(json()).toMatchObject([
      {
        fences: 3,
        thresholds: { flap_count: 2, flap_window_ms: 7_200_000 },
        flapping: [{ node: "compute-node-2", count: 3 }],
        storms: [],
      },
    ]);
    expect((await analyze(["patterns", directory(), "--flap-window", "90m", "--json"])).json()).toMatchObject([
      { flapping: [] },
    ]);
  });

  it.each([
    ["--flap-window", "soon"],
    ["--storm-nodes", "0"],
    ["--slow", "5"],
  ])("refuses %s %s", async (option, value) => {
    expect((await analyze(["patterns", directory(), option, value])).exitCode).toBe(64);
  });
});

describe("with filters", () => {
  const logs = () =>
    directoryWith({
      "fence-events-detailed.jsonl": [
        ...["a", "b", "c", "d"].map((target, index) => record({ time: at(index), target, recorder: "r" })),
        record({ time: at(600), target: "e", recorder: "f" }),
        record({ time: at(601), target: "f", recorder: "e", gfs2_filesystems: ["gfs2-other"] }),
        ...[1_200, 1_260, 1_320].map((minutes) => record({ time: at(minutes), target: "g", recorder: `r${minutes}` })),
      ],
    });
  const found = async (...words: string[]) => {
    const { json } = await analyze(["patterns", logs(), "--json", ...words]);
    const [all] = json() as [Record<"storms" | "mutual" | "flapping", unknown[]> & { fences: number }];
    return [all.fences, all.storms.length, all.mutual.length, all.flapping.length];
  };

  it.each([
    [[], [9, 1, 1, 1]],
    [
      ["--node", "b"],
      [1, 1, 0, 0],
    ],
    [
      ["--node", "e"],
      [1, 0, 1, 0],
    ],
    [
      ["--fs", "gfs2-other"],
      [1, 0, 1, 0],
    ],
    [
      ["--recorder", "r1320"],
      [1, 0, 0, 1],
    ],
    [
      ["--node", "nobody"],
      [0, 0, 0, 0],
    ],
    // Time bounds what is looked at.
    [
      ["--until", "2026-11-20T10:01Z"],
      [2, 0, 0, 0],
    ],
  ])("%j tells the patterns that a fence asked for is part of", async (words, expected) => {
    expect(await found(...words)).toEqual(expected);
  });

  it("names all of a storm's nodes, whichever was asked for", async () => {
    const { json } = await analyze(["patterns", logs(), "--json", "--node", "d"]);
    expect(json()).toMatchObject([{ storms: [{ nodes: ["a", "b", "c", "d"], count: 4 }], found: { storms: 1 } }]);
  });

  it("looks at all fences with --limit and --reverse too, which are about the rows of each kind", async () => {
    const directory = directoryWith({
      "fence-events-detailed.jsonl": ["a", "b", "c"].flatMap((target, index) =>
        [0, 1, 2].map((minutes) => record({ time: at(index * 2_000 + minutes), target })),
      ),
    });
    const nodes = async (...words: string[]) => {
      const { json } = await analyze(["patterns", directory, "--json", ...words]);
      const [{ flapping, found, fences }] = json() as [
        { flapping: { node: string }[]; found: { flapping: number }; fences: number },
      ];
      return [flapping.map(({ node }) => node).join(""), found.flapping, fences];
    };
    expect(await nodes()).toEqual(["cba", 3, 9]);
    expect(await nodes("--limit", "2")).toEqual(["cb", 3, 9]);
    expect(await nodes("--limit", "2", "--reverse")).toEqual(["ab", 3, 9]);
    const { stdout } = await analyze(["patterns", directory, "--limit", "1"]);
    expect(stdout).toMatch(/\nFlapping nodes .*\n {2}c: 3 times.*\n {2}and 2 more: see --limit and --json\n/);
  });
});
