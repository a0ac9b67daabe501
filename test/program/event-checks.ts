/**
 * What must hold of the log directory whatever happened: every line whole, every event once in both files, in order.
 */
import { expect } from "vitest";
import type { FenceRecord, Lab } from "./lab.ts";

function countBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1);
  return counts;
}

const repeated = (counts: Map<string, number>): string[] =>
  [...counts].filter(([, count]) => count !== 1).map(([key, count]) => `${key} ×${count}`);

export function expectWhole(lab: Lab, expected: ReadonlySet<string>): FenceRecord[] {
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
  return events;
}
