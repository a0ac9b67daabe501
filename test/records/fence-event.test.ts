import { expect, it } from "vitest";
import { encodeEvent, type FenceEvent, renderReadable } from "../../src/records/fence-event.ts";

const event: FenceEvent = {
  eventId: "0199c0de-0000-7000-8000-000000000001",
  action: "reboot",
  target: "compute-node-3",
  status: "initiated",
  details: "Fence action reboot initiated by Pacemaker",
  recorderNode: "rabbit-node-1",
  source: "stonith",
  time: new Date("2025-01-10T14:23:16.789Z"),
  discovery: {
    result: "found",
    method: "dlm",
    scope: "target",
    elapsedMs: 41.6,
    attempts: [{ method: "dlm", status: "found", elapsedMs: 41.6 }],
  },
  filesystems: [{ name: "nnf-storage-1", mountPoint: "/mnt/1" }, { name: "nnf-storage-4" }],
  role: "record",
  bootId: "b",
  agentVersion: "0.1.0",
};

it("writes the original recorder's eight keys first, in its order", () => {
  const text = JSON.stringify(encodeEvent(event));
  expect(
    text.startsWith(
      '{"timestamp":"2025-01-10T14:23:16Z","action":"reboot","target_node":"compute-node-3","gfs2_filesystems":["nnf-storage-1","nnf-storage-4"],' +
        '"status":"initiated","details":"Fence action reboot initiated by Pacemaker","recorder_node":"rabbit-node-1","pacemaker_action":"reboot","schema":1,',
    ),
  ).toBe(true);
});

it("writes what is known in snake_case and leaves out what is not", () => {
  const record = encodeEvent(event);
  expect(record).toMatchObject({
    discovery: {
      result: "found",
      method: "dlm",
      scope: "target",
      elapsed_ms: 42,
      attempts: [{ method: "dlm", status: "found", elapsed_ms: 42 }],
    },
    filesystems: [{ name: "nnf-storage-1", mount_point: "/mnt/1" }, { name: "nnf-storage-4" }],
    time_ms: Date.UTC(2025, 0, 10, 14, 23, 16, 789),
  });
  for (const key of ["plug", "cluster", "guard", "operation"]) expect(record).not.toHaveProperty(key);
});

it.each([
  ["disabled", "discovery-disabled"],
  ["none", "none-detected"],
  ["unknown", "none-detected"],
] as const)("writes the format's word for a discovery that was %s, and keeps the difference", (result, word) => {
  const record = encodeEvent({ ...event, filesystems: [], discovery: { result, elapsedMs: 0, attempts: [] } });
  expect(record).toMatchObject({ gfs2_filesystems: [word], discovery: { result } });
});

it("renders the readable line in the original's form, in local time", () => {
  expect(renderReadable(encodeEvent(event)).replace(/^\[[-0-9]{10} [:0-9]{8}\]/, "[T]")).toBe(
    '[T] ACTION=reboot TARGET=compute-node-3 GFS2=["nnf-storage-1","nnf-storage-4"] STATUS=initiated DETAILS=Fence action reboot initiated by Pacemaker',
  );
});

it.each(["a\nb", "a\r", "\u001b[31mred", "a; rm -rf x", "x GFS2=[] STATUS=ok", "\u2028", "\ud800", 'q"uote', "ünï"])(
  "keeps the event of a node called %j on one line that cannot be mistaken",
  (target) => {
    const record = encodeEvent({ ...event, target });
    const line = renderReadable(record);
    expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
    expect(/TARGET=(.*?) GFS2=\["nnf/.exec(line)?.[1]).toMatch(/^(\S+|".*")$/);
    expect(JSON.stringify(record)).not.toContain("\n");
    expect((JSON.parse(JSON.stringify(record)) as { target_node: string }).target_node).toBe(target.toWellFormed());
  },
);
