import { describe, expect, it } from "vitest";
import { decodeOutcome, encodeOutcome } from "../../src/records/fence-outcome.ts";

const valid = {
  timestamp: "2026-11-20T10:54:52Z",
  action: "off",
  target_node: "compute-node-2",
  gfs2_filesystems: ["none-detected"],
  status: "failed",
  details: "Operation off of compute-node-2: Error",
  recorder_node: "rabbit-node-1",
  pacemaker_action: "off",
  schema: 1,
  event_id: "e0d1c336-5bb6-44ab-b207-015a425f3639",
  time_ms: 1_795_172_092_853,
  source: "stonith",
  operation: { client: "stonith_admin.6350", origin: "rabbit-node-1", rc: -61 },
};

it("keeps what it checked, in the order of an event's keys, and forces the source", () => {
  const written = encodeOutcome(
    decodeOutcome({ ...valid, recorded_ms: 1, surplus: "?", operation: { ...valid.operation, surplus: {} } }, "alert"),
  );
  expect(written).toEqual({ ...valid, recorded_ms: valid.time_ms, source: "alert" });
  expect(Object.keys(written).slice(0, 8)).toEqual(Object.keys(valid).slice(0, 8));
});

it("keeps details on one line", () => {
  expect(encodeOutcome(decodeOutcome({ ...valid, details: "a\nb" }, "alert")).details).toBe("a\\nb");
});

describe("refuses an outcome", () => {
  it.each([
    ["that is no object", []],
    ["that is null", null],
    ["of another schema", { ...valid, schema: 2 }],
    ["of an action that is none", { ...valid, action: "explode" }],
    ["with a status that an event has", { ...valid, status: "initiated" }],
    ["with an id that could be a path", { ...valid, event_id: "../../etc/passwd" }],
    ["without a target", { ...valid, target_node: undefined }],
    ["with a time that is none", { ...valid, time_ms: Number.NaN }],
    ["with filesystems that are no names", { ...valid, gfs2_filesystems: [1] }],
    ["with details without end", { ...valid, details: "x".repeat(5_000) }],
    ["without an operation", { ...valid, operation: "off" }],
    ["with an operation whose client is no text", { ...valid, operation: { client: {} } }],
  ])("%s", (_, value) => {
    expect(() => decodeOutcome(value, "alert")).toThrow(expect.objectContaining({ kind: "bad-input" }));
  });
});
