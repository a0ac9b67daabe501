import { describe, expect, it } from "vitest";
import { decodeRecord, isEvent } from "../../src/analyze/decode.ts";
import type { AnalyzedEvent } from "../../src/analyze/event.ts";
import { joinIncidents } from "../../src/analyze/incidents.ts";
import { Aggregate, type ReportIncident, type Zone } from "../../src/analyze/report/aggregate.ts";
import { toReportIncident } from "../../src/analyze/report/from-incident.ts";
import { incident, START } from "./report-incident.ts";

const UTC: Zone = { name: "UTC", offsetMinutes: () => 0 };
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

function numbersOf(incidents: Iterable<ReportIncident>, zone = UTC, rows?: number) {
  const aggregate = new Aggregate(zone, rows);
  for (const one of incidents) aggregate.add(one);
  return aggregate.finish();
}

describe("counts", () => {
  it("says nothing of no incidents", () => {
    const numbers = numbersOf([]);
    expect(numbers).toMatchObject({ incidents: 0, lines: 0, firstLocalMs: undefined, nodes: [], filesystems: [] });
    expect(numbers.timeline.buckets).toEqual([]);
    expect(numbers.columns.timesMs).toHaveLength(0);
  });

  it("counts nodes by result, most incidents first", () => {
    const { nodes, results } = numbersOf([
      incident({ target: "b", result: "failed" }),
      incident({ target: "b" }),
      incident({ target: "a", result: "unknown" }),
    ]);
    expect(nodes.map(({ name, total }) => [name, total])).toEqual([
      ["b", 2],
      ["a", 1],
    ]);
    expect(nodes[0]?.counts).toEqual({ succeeded: 1, failed: 1, refused: 0, unknown: 0 });
    expect(results).toEqual({ succeeded: 1, failed: 1, refused: 0, unknown: 1 });
  });

  it("never counts an unknown context as none", () => {
    const { contexts, filesystems } = numbersOf([
      incident({ context: "unknown", filesystems: [] }),
      incident({ context: "none", filesystems: [] }),
      incident({ context: "disabled", filesystems: [] }),
      incident({ filesystems: ["x", "y"] }),
    ]);
    expect(contexts).toEqual({ found: 1, none: 1, unknown: 1, disabled: 1 });
    expect(filesystems.map(({ name, total, nodes }) => [name, total, nodes])).toEqual([
      ["x", 1, 1],
      ["y", 1, 1],
    ]);
  });

  it("puts an incident into the hour that a clock on the wall showed, on both sides of a change to summer time", () => {
    // Europe/Berlin, 2026-03-29 01:00 UTC: from +1 to +2.
    const change = Date.UTC(2026, 2, 29, 1);
    const berlin: Zone = { name: "Europe/Berlin", offsetMinutes: (timeMs) => (timeMs < change ? 60 : 120) };
    const { nodes, columns } = numbersOf(
      [incident({ timeMs: change - 1 }), incident({ timeMs: change }), incident({ timeMs: change + HOUR })],
      berlin,
    );
    expect(nodes[0]?.hours.flatMap((count, hour) => (count > 0 ? [hour] : []))).toEqual([1, 3, 4]);
    expect([...columns.offsetsMinutes]).toEqual([120, 120, 60]);
  });
});

describe("timeline", () => {
  it.each([
    { span: "a day", count: 24, step: HOUR, unit: "hour", bars: 24 },
    { span: "four weeks", count: 28, step: DAY, unit: "day", bars: 28 },
    { span: "two years", count: 730, step: DAY, unit: "week", bars: 105 },
    { span: "ten years", count: 3650, step: DAY, unit: "month", bars: 120 },
    { span: "forty years", count: 14_610, step: DAY, unit: "month", bars: 480 },
  ])("takes bars of a $unit for $span", ({ count, step, unit, bars }) => {
    const { timeline } = numbersOf(
      Array.from({ length: count }, (_, index) => incident({ timeMs: START + index * step })),
    );
    expect(timeline.unit).toBe(unit);
    expect(Math.abs(timeline.buckets.length - bars)).toBeLessThanOrEqual(1);
    expect(timeline.buckets.reduce((sum, { counts }) => sum + counts.succeeded, 0)).toBe(count);
  });

  it("has an empty bar for a day without incidents", () => {
    const { timeline } = numbersOf([incident(), incident({ timeMs: START + 9 * DAY })]);
    expect(timeline.buckets).toHaveLength(10);
    expect(timeline.buckets.filter(({ counts }) => counts.succeeded === 0)).toHaveLength(8);
  });

  it("begins weeks on Monday", () => {
    const { timeline } = numbersOf([incident(), incident({ timeMs: START + 300 * DAY })]);
    expect(timeline.unit).toBe("week");
    for (const { startLocalMs } of timeline.buckets) expect(new Date(startLocalMs).getUTCDay()).toBe(1);
  });

  it("says how many have no usable time, and lists them last", () => {
    const { beyond, columns, incidents } = numbersOf([
      incident({ timeMs: Number.NaN }),
      incident(),
      incident({ timeMs: 1e300 }),
    ]);
    expect(incidents).toBe(3);
    expect(beyond.time).toBe(2);
    expect(columns.timesMs[0]).toBe(START);
  });
});

describe("durations", () => {
  const took = (ms: number) => ({ ms, isMinimum: false });

  it("knows median and 95th percentile to 5 %, and the longest exactly", () => {
    const { durations } = numbersOf(
      Array.from({ length: 1000 }, (_, index) => incident({ duration: took((index + 1) * 100) })),
    );
    const [all] = durations.rows;
    expect(all?.known).toBe(1000);
    expect(Math.abs((all?.median ?? 0) / 50_000 - 1)).toBeLessThan(0.05);
    expect(Math.abs((all?.p95 ?? 0) / 95_000 - 1)).toBeLessThan(0.05);
    expect(all?.longest).toBe(100_000);
    expect(durations.bins.reduce((sum, { count }) => sum + count, 0)).toBe(1000);
  });

  it("says up to when a share of them took, and of a single one exactly that", () => {
    const [one] = numbersOf([incident({ duration: took(50_169) })]).durations.rows;
    expect(one).toMatchObject({ median: 50_169, p95: 50_169, longest: 50_169 });
    const [two] = numbersOf([50_169, 90_000].map((ms) => incident({ duration: took(ms) }))).durations.rows;
    expect(two?.median).toBeGreaterThanOrEqual(50_169);
    expect(two?.median).toBeLessThan(50_169 * 1.05);
    expect(two?.p95).toBe(90_000);
  });

  it("takes a duration that is not known for no duration, not for zero", () => {
    const { durations } = numbersOf([incident(), incident({ duration: took(0) })]);
    expect(durations.known).toBe(1);
    expect(durations.rows[0]).toMatchObject({ known: 1, median: 0, longest: 0 });
  });

  it("counts those that are only a minimum", () => {
    const { durations } = numbersOf([
      incident({ device: "ipmi", duration: took(2000) }),
      incident({ device: "pdu", duration: { ms: 50_000, isMinimum: true } }),
    ]);
    expect(durations.rows.map(({ name, known, minima }) => [name, known, minima])).toEqual([
      ["", 2, 1],
      ["ipmi", 1, 0],
      ["pdu", 1, 1],
    ]);
  });

  it("tells devices apart", () => {
    const { durations } = numbersOf([
      incident({ device: "ipmi", duration: took(2000) }),
      incident({ device: "pdu", duration: took(9000), result: "failed" }),
      incident({ device: "pdu", duration: took(9000) }),
    ]);
    expect(durations.rows.map(({ name, known, failed }) => [name, known, failed])).toEqual([
      ["", 3, 1],
      ["pdu", 2, 1],
      ["ipmi", 1, 0],
    ]);
  });
});

describe("limits", () => {
  it("keeps the newest rows, and counts all", () => {
    const { incidents, columns } = numbersOf(
      Array.from({ length: 25 }, (_, index) => incident({ timeMs: START + index })),
      UTC,
      10,
    );
    expect(incidents).toBe(25);
    expect([...columns.timesMs]).toEqual(Array.from({ length: 10 }, (_, index) => START + 24 - index));
  });

  it("says when there are more node names than it keeps", () => {
    const { nodes, beyond } = numbersOf(
      Array.from({ length: 10_050 }, (_, index) => incident({ target: `n${index}` })),
    );
    expect(nodes).toHaveLength(10_000);
    expect(beyond.nodes).toBe(50);
  });

  it("gives up reasons before results when every reason is another", () => {
    const { columns } = numbersOf(
      Array.from({ length: 12_000 }, (_, index) =>
        incident({ reason: `after ${index} ms`, result: index % 2 === 0 ? "failed" : "refused" }),
      ),
    );
    expect(columns.kinds.length).toBeLessThan(5_010);
    const results = [...columns.kind].map((kind) => columns.kinds.at(kind)?.result);
    expect(results.filter((result) => result === "failed")).toHaveLength(6_000);
  });

  it("cuts a name of a megabyte", () => {
    const { nodes } = numbersOf([incident({ target: "x".repeat(1_000_000) })]);
    expect(nodes[0]?.name.length).toBeLessThan(300);
  });
});

describe("from the recorded lines", () => {
  const event = (record: Record<string, unknown>): AnalyzedEvent => {
    const whole = {
      gfs2_filesystems: ["shared"],
      status: "initiated",
      recorder_node: "r1",
      source: "stonith",
      ...record,
    };
    const decoded = decodeRecord(whole, JSON.stringify(whole), { file: "/log", line: 3 });
    if (!isEvent(decoded)) throw new Error(decoded.reason);
    return decoded;
  };

  it("takes the time from the request to the outcome, as `incidents` does", () => {
    const [joined] = joinIncidents([
      event({ action: "off", target_node: "n1", time_ms: START }),
      event({
        action: "off",
        target_node: "n1",
        time_ms: START + 9_000,
        status: "succeeded",
        source: "alert",
        operation: {
          action: "off",
          client: "pacemaker-controld.4711",
          origin: "r2",
          delegate: "r1",
          started_ms: START - 500,
          completed_ms: START + 8_000,
        },
      }),
    ]);
    if (!joined) throw new Error("nothing was joined");
    expect(toReportIncident(joined)).toMatchObject({
      result: "succeeded",
      duration: { ms: 8_500, isMinimum: false },
      device: "r1",
      client: "pacemaker-controld@r2",
      lineCount: 2,
    });
  });

  it("says why a refused fence was refused, and knows no duration of one without an outcome", () => {
    const [joined] = joinIncidents([
      event({ action: "off", target_node: "n1", time_ms: START, status: "refused", guard_reason: "no topology" }),
    ]);
    if (!joined) throw new Error("nothing was joined");
    expect(toReportIncident(joined)).toMatchObject({ result: "refused", reason: "no topology", duration: undefined });
  });
});
