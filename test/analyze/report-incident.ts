import type { ReportIncident } from "../../src/analyze/report/aggregate.ts";

export const START = Date.UTC(2026, 0, 1);

/** An incident of which all is usual. */
export const incident = (more: Partial<ReportIncident> = {}): ReportIncident => ({
  timeMs: START,
  target: "compute-node-1",
  action: "reboot",
  result: "succeeded",
  filesystems: ["shared"],
  context: "found",
  recorders: ["rabbit-node-1"],
  duration: undefined,
  device: undefined,
  client: undefined,
  reason: undefined,
  lineCount: 1,
  evidence: { file: "/log", line: 1 },
  ...more,
});
