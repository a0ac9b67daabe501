import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeRecord, isEvent } from "../../src/analyze/decode.ts";
import type { AnalyzedEvent } from "../../src/analyze/event.ts";
import { incidentJoiner, joinIncidents } from "../../src/analyze/incidents.ts";
import { showZone } from "../../src/analyze/table.ts";
import { analyze, CAPTURED, directoryWith, fileWith, outcome, record } from "./run-analyze.ts";

const at = (seconds: number): number => Date.parse("2026-11-20T10:00:00Z") + seconds * 1000;
const events = (...records: object[]): AnalyzedEvent[] =>
  records.map((one, index) => {
    const decoded = decodeRecord(one, JSON.stringify(one), { file: "log", line: index + 1 });
    return isEvent(decoded) ? decoded : expect.fail(decoded.reason);
  });
const joined = (...records: object[]) =>
  joinIncidents(events(...records)).map(({ target, action, actions, result, events, outcomes }) => ({
    target,
    action,
    actions: actions.join(),
    result,
    lines: events.length,
    outcomes: outcomes.length,
  }));

describe("one incident", () => {
  it("is the off and the on of one reboot", () => {
    expect(joined(record({ time: at(0) }), record({ time: at(120), action: "on" }))).toEqual([
      { target: "compute-node-2", action: "off+on", actions: "off,on", result: "unknown", lines: 2, outcomes: 0 },
    ]);
  });

  it("has the result and the name of its outcome, which several nodes report", () => {
    expect(
      joined(
        record({ time: at(0) }),
        record({ time: at(40), action: "on" }),
        outcome({ time: at(43) }),
        outcome({ time: at(43.4), recorder: "compute-node-3" }),
        // The request that Pacemaker merged into it: another client, the same end.
        outcome({ time: at(43.5), operation: { client: "stonith-api.1964", origin: "rabbit-node-1" } }),
      ),
    ).toEqual([
      { target: "compute-node-2", action: "reboot", actions: "off,on", result: "succeeded", lines: 2, outcomes: 3 },
    ]);
  });

  it("is the two refused lines of one attempt, and one more for each attempt", () => {
    const refused = (seconds: number) => record({ time: at(seconds), action: "reboot", status: "refused" });
    expect(
      joined(refused(0), refused(1), refused(10), refused(11), refused(20)).map(({ lines, result }) => [lines, result]),
    ).toEqual([
      [2, "refused"],
      [2, "refused"],
      [1, "refused"],
    ]);
  });

  it("is a gate's request and its answer, beside a recorder on the same node, and the outcome", () => {
    const gate = (seconds: number, status: string, id = "a") =>
      record({ time: at(seconds), status, role: "gate", gate: { request_id: id, message: "storage is not detached" } });
    const one = (id: string, answer: string, from: number) => [
      gate(from, "requested", id),
      gate(from + 8, answer, id),
      record({ time: at(from + 9) }),
    ];
    expect(joined(...one("a", "completed", 0), outcome({ time: at(10), action: "off" }))).toEqual([
      { target: "compute-node-2", action: "off", actions: "off", result: "succeeded", lines: 3, outcomes: 1 },
    ]);
    // The word of one device is no outcome: Pacemaker may ask again.
    expect(joined(...one("a", "failed", 0), ...one("b", "completed", 120)).map(({ result }) => result)).toEqual([
      "unknown",
      "unknown",
    ]);
    expect(joinIncidents(events(...one("a", "failed", 0)))[0]?.reason).toBe("gate: failed: storage is not detached");
  });

  it("is the same fence seen by several recorders", () => {
    expect(
      joined(
        record({ time: at(0) }),
        record({ time: at(5), recorder: "compute-node-3" }),
        record({ time: at(30), action: "on", recorder: "compute-node-3" }),
      ),
    ).toMatchObject([{ lines: 3 }]);
  });

  it("takes an event that another node's clock put just behind its end", () => {
    expect(
      joined(
        record({ time: at(0) }),
        outcome({ time: at(10) }),
        record({ time: at(12), action: "on", recorder: "compute-node-3" }),
      ),
    ).toMatchObject([{ lines: 2, outcomes: 1 }]);
  });

  it("joins halves that lie far apart when the outcome says that they are one", () => {
    expect(
      joined(record({ time: at(0) }), record({ time: at(900), action: "on" }), outcome({ time: at(903) })),
    ).toMatchObject([{ lines: 2, action: "reboot" }]);
  });

  it("has what the recorder was asked on the levels before the one that worked, when an outcome ends them", () => {
    const off = (seconds: number, more: object = {}) => record({ time: at(seconds), ...more });
    const found = (...records: object[]) => joined(...records).map(({ result, lines }) => [result, lines]);
    const ended = outcome({ time: at(65) });
    const on = off(60, { action: "on" });
    const one = [["succeeded", 3]];
    expect(found(off(0), off(40), on, ended)).toEqual(one);
    expect(joinIncidents(events(off(0), off(40), on, ended))[0]).toMatchObject({
      startedMs: at(0),
      actions: ["off", "on"],
    });
    const asks = (client: string) => ({ operation: { client, origin: "compute-node-3" } });
    expect(found(off(0, asks("pacemaker-controld.382")), off(40), on, ended)).toEqual(one);
    const two = [
      ["unknown", 1],
      ["succeeded", 2],
    ];
    expect(found(off(0, asks("stonith_admin.7")), off(40), on, ended)).toEqual(two);
    // Asked for later, or much later than a level takes.
    expect(found(off(0), off(40), on, outcome({ time: at(65), operation: { started_ms: at(30) } }))).toEqual(two);
    expect(found(off(-700), off(40), on, ended)).toEqual(two);
    // Refused, switched on again, or ended by an outcome of its own.
    expect(found(off(-30, { status: "refused" }), off(40), on, ended)).toEqual([["refused", 1], two[1]]);
    expect(found(off(0), off(9, { action: "on" }), off(40), on, ended)).toEqual([["unknown", 2], two[1]]);
    const failed = outcome({ time: at(20), action: "off", status: "failed" });
    expect(found(off(0), failed, off(40), on, ended)).toEqual([["failed", 1], two[1]]);
    expect(found(off(0), outcome({ time: at(20), action: "on" }), off(40), on, ended)).toEqual([
      ["unknown", 1],
      ["succeeded", 0],
      two[1],
    ]);
  });

  it("is a fence that only an alert reported", () => {
    expect(joined(outcome({ time: at(0), status: "failed" }))).toEqual([
      { target: "compute-node-2", action: "reboot", actions: "", result: "failed", lines: 0, outcomes: 1 },
    ]);
  });
});

describe("another incident", () => {
  it.each([
    ["a second off by the same recorder", [record({ time: at(0) }), record({ time: at(20) })]],
    [
      "an off after the on",
      [
        record({ time: at(0) }),
        record({ time: at(5), action: "on" }),
        record({ time: at(9), recorder: "compute-node-3" }),
      ],
    ],
    ["an on long after the off", [record({ time: at(0) }), record({ time: at(700), action: "on" })]],
    ["the same action of another node", [record({ time: at(0) }), record({ time: at(1), target: "compute-node-20" })]],
    [
      "an on after an off that was refused",
      [record({ time: at(0), status: "refused" }), record({ time: at(9), action: "on" })],
    ],
    ["a line by hand", [record({ time: at(0) }), record({ time: at(1), source: "manual", action: "on" })]],
    ["an outcome of the same kind later", [outcome({ time: at(0) }), outcome({ time: at(9) })]],
  ])("is %s", (_, records) => {
    expect(joined(...records)).toHaveLength(2);
  });
});

it("begins with a line that its own node wrote after the end of one that only an alert told of", () => {
  const failed = outcome({ time: at(0.2), action: "off", status: "failed" });
  for (const seconds of [0.5, 2]) {
    const again = [record({ time: at(seconds) }), outcome({ time: at(3), action: "off" })];
    expect(joined(failed, ...again).map(({ result, lines }) => [result, lines])).toEqual([
      ["failed", 0],
      ["succeeded", 1],
    ]);
  }
  // Another node's clock may be that far off.
  const elsewhere = record({ time: at(2), recorder: "compute-node-3" });
  expect(joined(failed, elsewhere).map(({ result, lines }) => [result, lines])).toEqual([["failed", 1]]);
});

it("is not of the call of stonith_admin before it, however late an alert tells of that one's end", () => {
  const asks = (call: number) => ({ action: "off", client: `stonith_admin.${call}`, origin: "rabbit-node-1" });
  const recorded = (call: number, seconds: number) => record({ time: at(seconds), operation: asks(call) });
  const ended = (call: number, seconds: number, status: string) =>
    outcome({ time: at(seconds), action: "off", status, operation: asks(call) });
  const results = (...records: object[]) => joined(...records).map(({ result, lines }) => [result, lines]);
  // The alert of the failed one runs when the next fence has begun, or that one's line comes from another node.
  const both = [
    ["failed", 0],
    ["succeeded", 1],
  ];
  const [late, next] = [ended(883, 4, "failed"), [recorded(926, 3), ended(926, 6, "succeeded")] as const];
  expect(results(next[0], late, next[1]).toSorted()).toEqual(both);
  expect(results(ended(883, 1, "failed"), recorded(926, 3), next[1])).toEqual(both);
  expect(results(recorded(883, 0), record({ time: at(9), recorder: "compute-node-3", operation: asks(926) }))).toEqual([
    ["unknown", 1],
    ["unknown", 1],
  ]);
  // A merged request names another program: it is the same fence.
  const merged = { action: "off", client: "pacemaker-controld.9", origin: "rabbit-node-1" };
  expect(results(next[0], outcome({ time: at(6), action: "off", operation: merged }), next[1])).toEqual([
    ["succeeded", 1],
  ]);
});

it("begins anew with an off that comes after the fence before it has ended, however soon", () => {
  const off = { action: "off", operation: { action: "off" } };
  expect(
    joined(
      record({ time: at(0) }),
      outcome({ time: at(3), ...off }),
      record({ time: at(4) }),
      outcome({ time: at(5), ...off, operation: { action: "off", client: "stonith_admin.7" } }),
    ).map(({ lines, outcomes }) => [lines, outcomes]),
  ).toEqual([
    [1, 1],
    [1, 1],
  ]);
});

it("joins names that differ in case, as Pacemaker does", () => {
  expect(
    joined(record({ time: at(0), target: "Node-A" }), record({ time: at(9), action: "on", target: "node-a" })),
  ).toHaveLength(1);
});

it("never loses or doubles a line, and comes in the order of the start, whatever the lines are", () => {
  const one = fc.record({
    time: fc.integer({ min: 0, max: 9_000 }).map(at),
    action: fc.constantFrom("off", "on", "reboot"),
    target: fc.constantFrom("a", "b"),
    status: fc.constantFrom("initiated", "refused", "succeeded", "failed"),
    recorder: fc.constantFrom("x", "y"),
    source: fc.constantFrom("stonith", "manual", "alert"),
    askedBefore: fc.option(fc.integer({ min: 0, max: 1_800 }), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(one, { maxLength: 40 }), (records) => {
      const all = events(
        ...records.map(({ askedBefore, ...words }) =>
          record({
            ...words,
            ...(askedBefore !== undefined && { operation: { started_ms: words.time - askedBefore * 1_000 } }),
          }),
        ),
      ).sort((a, b) => a.timeMs - b.timeMs);
      const joiner = incidentJoiner();
      const found = [...all.flatMap((event) => joiner.add(event)), ...joiner.end()];
      const lines = found.flatMap(({ events, outcomes }) => [...events, ...outcomes]);
      expect(lines.map(({ eventId }) => eventId).sort()).toEqual(all.map(({ eventId }) => eventId).sort());
      const starts = found.map(({ startedMs }) => startedMs);
      expect(starts).toEqual([...starts].sort((a, b) => a - b));
    }),
    { numRuns: 300 },
  );
});

describe("the command", () => {
  const FENCES = [
    record({ time: at(0) }),
    record({ time: at(30), action: "on" }),
    record({
      time: at(4_000),
      target: "compute-node-3",
      gfs2_filesystems: ["none-detected"],
      discovery: { result: "unknown", elapsed_ms: 5_000, attempts: [] },
    }),
    record({ time: at(9_000), action: "on", source: "manual" }),
  ];
  const directory = () =>
    directoryWith({ "fence-events-detailed.jsonl": FENCES, "fence-outcomes.jsonl": [outcome({ time: at(33) })] });

  it("shows one line a fence, on 80 columns", async () => {
    const { lines } = await analyze(["incidents", directory()]);
    for (const line of lines) expect([...line].length).toBeLessThanOrEqual(80);
    expect(lines[0]?.split(/ {2,}/)).toEqual([`STARTED ${showZone()}`, "NODE", "ACTION", "RESULT", "TOOK", "GFS2"]);
    expect(lines[1]).toMatch(/^2026-11-20 \d\d:\d\d:\d\d +compute-node-2 {2}reboot {2}succeeded {2}≥33 s {2}gfs2-/);
    expect(lines.filter((line) => /^\d{4}-/.test(line))).toHaveLength(3);
    const wide = await analyze(["incidents", directory()], { columns: 200 });
    expect(wide.lines).toEqual([
      expect.stringContaining("RECORDED BY"),
      expect.stringMatching(/gfs2-project, gfs2-scratch +rabbit-node-1$/),
      expect.stringMatching(/compute-node-3 .* unknown +rabbit-node-1$/),
      expect.stringMatching(/rabbit-node-1 \(by hand\)$/),
    ]);
  });

  it("prints each as one JSON object with the lines it was made of", async () => {
    const { json } = await analyze(["incidents", directory(), "--json"]);
    expect(json()).toMatchObject([
      {
        target_node: "compute-node-2",
        action: "reboot",
        result: "succeeded",
        duration_ms: 33_000,
        duration_is_minimum: true,
        gfs2: "found",
        recorded: true,
        lines: [{ line: 1 }, { line: 2 }, { line: 1, source: "alert" }],
      },
      {
        target_node: "compute-node-3",
        action: "off",
        result: "unknown",
        duration_ms: null,
        duration_is_minimum: null,
        gfs2: "unknown",
        gfs2_filesystems: [],
      },
      { target_node: "compute-node-2", action: "on", manual: true },
    ]);
  });

  it("keeps an incident whole when only one of its lines matches", async () => {
    const { json } = await analyze(["incidents", directory(), "--status", "succeeded", "--json"]);
    expect(json()).toMatchObject([{ target_node: "compute-node-2", lines: [{}, {}, {}] }]);
    expect((await analyze(["incidents", directory(), "--reverse", "--limit", "1", "--json"])).json()).toMatchObject([
      { manual: true },
    ]);
    expect((await analyze(["incidents", directory(), "--limit", "2", "--json"])).json()).toHaveLength(2);
  });

  it("adds what Pacemaker knows and nobody recorded, and the result of what was", async () => {
    const logs = directoryWith({
      "fence-events-detailed.jsonl": [
        record({ time: "2026-11-20T10:43:18Z" }),
        record({ time: "2026-11-20T10:44:05Z", action: "on" }),
      ],
    });
    const { json } = await analyze([
      "incidents",
      logs,
      "--history",
      `${CAPTURED}/b2-second-failure-recorder-first/after.stonith_admin-history.xml`,
      "--json",
    ]);
    expect(json()).toMatchObject([
      {
        target_node: "compute-node-2",
        action: "reboot",
        result: "succeeded",
        recorded: true,
        delegate: "rabbit-node-1",
        lines: [{}, {}],
      },
      {
        target_node: "compute-node-2",
        action: "reboot",
        result: "succeeded",
        recorded: false,
        // The history says when it was over.
        started: null,
        started_ms: null,
        duration_ms: null,
        completed_ms: Date.parse("2026-11-20T10:50:46Z"),
        delegate: "compute-node-3",
        lines: [],
      },
    ]);
  });

  it("begins when Pacemaker was asked, where the outcome says so, and not with the recorder's line", async () => {
    const logs = (operation: object) =>
      directoryWith({
        "fence-events-detailed.jsonl": [
          record({ time: "2026-11-20T10:43:18Z" }),
          record({ time: "2026-11-20T10:43:19Z", recorder: "compute-node-3" }),
          record({ time: "2026-11-20T10:44:06Z", action: "on" }),
        ],
        "fence-outcomes.jsonl": [outcome({ time: "2026-11-20T10:44:08.169Z", operation })],
      });
    const asked = logs({ started_ms: Date.parse("2026-11-20T10:40:45.221Z") });
    expect((await analyze(["incidents", asked, "--json"])).json()).toMatchObject([
      {
        started: "2026-11-20T10:40:45.221Z",
        duration_ms: 202_948,
        duration_is_minimum: false,
        lines: [{}, {}, {}, {}],
      },
    ]);
    const none = await analyze(["incidents", asked, "--node", "nobody"]);
    expect(none).toMatchObject({ exitCode: 0, stdout: "", stderr: "no incident matches\n" });
    const shown = async (directory: string) => (await analyze(["incidents", directory], { columns: 200 })).lines[1];
    expect(await shown(asked)).toMatch(/:40:45 .* succeeded +3 min 23 s /);
    expect(await shown(logs({}))).toMatch(/:43:18 .* succeeded +at least 50 s /);
    // A start after the end is none.
    expect(await shown(logs({ started_ms: Date.parse("2026-11-20T10:45:00Z") }))).toMatch(/:43:18 .* at least 50 s /);
    // A clock that is behind: an incident does not begin after its own first line.
    const behind = logs({ started_ms: Date.parse("2026-11-20T10:43:21Z") });
    expect(await shown(behind)).toMatch(/:43:18 .* succeeded +50 s /);
    // So says `why`, where no other log tells.
    const headline = async (directory: string) => {
      const words = ["why", "compute-node-2", "--corosync-log", fileWith("", "corosync.log"), directory];
      return (await analyze(words, { columns: 200 })).lines[0];
    };
    expect(await headline(asked)).toMatch(/: reboot succeeded after 3 min 23 s, .*:40:45$/);
    expect(await headline(logs({}))).toMatch(/: reboot succeeded after at least 50 s, .*:43:18$/);
    const alone = directoryWith({ "fence-outcomes.jsonl": [outcome({ time: "2026-11-20T10:44:08Z" })] });
    expect((await analyze(["incidents", alone, "--json"])).json()).toMatchObject([
      { started: null, duration_ms: null },
    ]);
    expect(await shown(alone)).toMatch(/^ended 2026-11-20 \d\d:44:08 .* succeeded +- /);
  });

  describe("with --history joins what is of one fence there, and nothing else:", () => {
    const entry = (action: string, seconds: number, client: string) =>
      `<fence_event action="${action}" target="compute-node-2" client="${client}" origin="n3" status="success" delegate="n1" completed="${new Date(at(seconds)).toISOString().slice(0, 19).replace("T", " ")}Z"/>`;
    const xml = (...entries: string[]) =>
      `<pacemaker-result><list>${entries.join("")}</list><status code="0" message="OK"/></pacemaker-result>`;
    const shown = async (history: string, lines: object[], outcomes: object[] = []) => {
      const logs = directoryWith({
        "fence-events-detailed.jsonl": lines,
        "history.xml": history,
        ...(outcomes.length > 0 && { "fence-outcomes.jsonl": outcomes }),
      });
      const words = ["incidents", "--history", `${logs}/history.xml`, `${logs}/fence-events-detailed.jsonl`, "--json"];
      const { json } = await analyze(outcomes.length > 0 ? [...words, `${logs}/fence-outcomes.jsonl`] : words);
      return (json() as { action: string; result: string; recorded: boolean | null; lines: object[] }[]).map(
        ({ action, result, recorded, lines: own }) => [action, result, recorded, own.length],
      );
    };
    const off = (seconds: number) => record({ time: at(seconds) });
    const on = (seconds: number) => record({ time: at(seconds), action: "on" });

    it("a recorder that was asked on two levels", async () => {
      const reboot = xml(entry("reboot", 65, "pacemaker-controld.38"));
      expect(await shown(reboot, [off(0), off(40), on(60)])).toEqual([["reboot", "succeeded", true, 3]]);
      const operation = { client: "pacemaker-controld.38", origin: "n3", delegate: "n1" };
      const told = await shown(reboot, [off(0), off(40), on(60)], [outcome({ time: at(65), operation })]);
      expect(told).toEqual([["reboot", "succeeded", true, 4]]);
    });

    it("no outcome of another fence, which the history does not hold", async () => {
      const history = xml(entry("reboot", 65, "pacemaker-controld.38"));
      const operation = { action: "off", client: "stonith_admin.9", origin: "n1", delegate: "n1" };
      const later = outcome({ time: at(900), action: "off", status: "failed", operation });
      expect(await shown(history, [off(0)], [later])).toEqual([
        ["reboot", "succeeded", true, 1],
        ["off", "failed", false, 1],
      ]);
      const logs = directoryWith({
        ...{ "history.xml": history, "fence-events-detailed.jsonl": [off(0)], "fence-outcomes.jsonl": [later] },
      });
      const words = ["why", "compute-node-2", "--history", `${logs}/history.xml`, logs, "--json"];
      expect((await analyze(words)).json()).toMatchObject([{ action: "off", result: "failed", others: [{}] }]);
      const first = await analyze([...words, "--status", "succeeded"]);
      expect(first.json()).toMatchObject([{ action: "reboot", others: [{}] }]);
      expect(first.stdout).not.toContain("outcome by alert");
    });

    it("and tells a damaged line once", async () => {
      const history = xml(entry("reboot", 65, "pacemaker-controld.38"));
      const path = fileWith(`${JSON.stringify(off(0))}\nnothing\n`);
      const directory = directoryWith({ "history.xml": history });
      const { stderr } = await analyze(["incidents", "--history", `${directory}/history.xml`, path]);
      expect(stderr.match(/not counted/g)).toHaveLength(1);
    });

    it("an off and an on that were asked for one by one", async () => {
      const history = xml(entry("on", 301, "stonith_admin.2"), entry("off", 1, "stonith_admin.1"));
      expect(await shown(history, [off(0), on(300)])).toEqual([
        ["off", "succeeded", true, 1],
        ["on", "succeeded", true, 1],
      ]);
      const logs = directoryWith({ "history.xml": history, "fence-events-detailed.jsonl": [off(0), on(300)] });
      const words = ["why", "compute-node-2", "--history", `${logs}/history.xml`, logs, "--json"];
      const page = (action: string, line: number) => ({
        action,
        findings: expect.arrayContaining([expect.objectContaining({ topic: "recorded", line })]),
        others: [expect.anything()],
      });
      expect((await analyze(words)).json()).toMatchObject([page("off", 1)]);
      expect((await analyze([...words, "--action", "on"])).json()).toMatchObject([page("on", 2)]);
      expect(await shown(xml(entry("off", 1, "stonith_admin.1")), [off(0), on(300)])).toEqual([
        ["off", "succeeded", true, 1],
        ["on", "unknown", true, 1],
      ]);
    });

    it("two fences whose lines a fast clock put behind their ends", async () => {
      const history = xml(entry("off", 181, "pacemaker-controld.38"), entry("off", 1, "pacemaker-controld.38"));
      expect(await shown(history, [off(2.4), off(182.4)])).toEqual([
        ["off", "succeeded", true, 1],
        ["off", "succeeded", true, 1],
      ]);
    });

    it("a line recovered late", async () => {
      const history = xml(entry("reboot", 65, "pacemaker-controld.38"));
      const others = Array.from({ length: 6_000 }, (_, index) =>
        record({ time: at(100 + index * 100), target: "compute-node-3" }),
      );
      const late = record({ time: at(60), action: "on", recorded_ms: at(900_000) });
      const found = await shown(history, [off(0), ...others, late]);
      expect(found.filter(([action]) => action !== "off")).toEqual([["reboot", "succeeded", true, 2]]);
      expect(found).toHaveLength(6_001);
    });

    it("an alert's word, where only an old line may be of its fence", async () => {
      const operation = { client: "pacemaker-controld.38", origin: "n3", delegate: "n1" };
      const told = [outcome({ time: at(900), operation })];
      expect(await shown(xml(entry("reboot", 900, "pacemaker-controld.38")), [off(0)], told)).toEqual([
        ["off", "unknown", true, 1],
        ["reboot", "succeeded", null, 1],
      ]);
    });
  });

  it("takes no line for a fence of the history that is hardly its, and does not say that nobody recorded it", async () => {
    const logs = directoryWith({
      "fence-events-detailed.jsonl": [
        record({ time: "2026-11-20T10:43:18Z" }),
        record({ time: "2026-11-20T10:44:06Z", action: "on" }),
      ],
    });
    const words = ["--history", `${CAPTURED}/d-scripted-run-quiet-host/after/stonith_admin-history.xml`];
    expect((await analyze(["incidents", logs, ...words, "--json"])).json()).toMatchObject([
      { result: "unknown", duration_ms: null, recorded: true },
      { result: "succeeded", duration_ms: null, recorded: null },
    ]);
    const { lines } = await analyze(["incidents", logs, ...words]);
    for (const line of lines) expect([...line].length).toBeLessThanOrEqual(80);
    expect(lines.at(-1)).toMatch(/^≤2026-11-20 \d\d:10:46 .* succeeded +- +unknown$/);
  });

  it.each([
    [["--action", "reboot", "--status", "succeeded"], 2],
    [["--action", "on"], 0],
    [["--status", "failed"], 0],
    [["--recorder", "x"], 0],
    [["--source", "stonith"], 0],
    [["--fs", "zzz"], 0],
    [["--grep", "compute"], 0],
    [["--since", "2026-11-20T10:50Z"], 1],
  ])("shows what only Pacemaker knows with %j as far as Pacemaker can say it", async (filters, count) => {
    const logs = directoryWith({
      "fence-events-detailed.jsonl": [record({ time: "2026-11-20T12:00:00Z", target: "other", recorder: "r" })],
    });
    const history = `${CAPTURED}/b2-second-failure-recorder-first/after.stonith_admin-history.xml`;
    const { json } = await analyze(["incidents", logs, "--history", history, "--json", ...filters]);
    expect(json().filter((incident) => (incident as { recorded: boolean }).recorded === false)).toHaveLength(count);
  });

  it("joins 30,000 lines without holding them", async () => {
    const many = Array.from({ length: 15_000 }, (_, index) => [
      record({ time: at(index * 100), target: `node-${index % 7}` }),
      record({ time: at(index * 100 + 20), action: "on", target: `node-${index % 7}` }),
    ]).flat();
    const { lines } = await analyze(["incidents", directoryWith({ "fence-events-detailed.jsonl": many }), "--json"]);
    expect(lines).toHaveLength(15_000);
  });
});
