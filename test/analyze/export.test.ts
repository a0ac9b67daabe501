import { describe, expect, it } from "vitest";
import { decodeLine, isEvent } from "../../src/analyze/decode.ts";
import type { AnalyzedEvent } from "../../src/analyze/event.ts";
import {
  CSV_COLUMNS,
  DEFAULT_INDEX,
  EXPORT_FORMATS,
  type ExportFormat,
  exportEvents,
} from "../../src/analyze/export.ts";

const OURS =
  '{"timestamp":"2026-01-01T00:00:01Z","action":"off","target_node":"compute-node-2","gfs2_filesystems":["a","b"],' +
  '"status":"initiated","details":"Fence action off initiated by Pacemaker","recorder_node":"rabbit-node-1",' +
  '"pacemaker_action":"off","schema":1,"event_id":"019b76da-a800-7000-8000-000000000001","time_ms":1767225601234,' +
  '"recorded_ms":1767225601300,"source":"stonith","discovery":{"result":"found","method":"dlm","elapsed_ms":90},' +
  '"cluster":{"name":"rabbits","quorate":true},"big":12345678901234567890,"10":"key order","dup":1}';
const ORIGINAL =
  '{"timestamp": "2026-01-01T00:00:02Z", "action": "reboot", "target_node": "n1", "gfs2_filesystems": ["none-detected"], ' +
  '"status": "success", "details": "d", "recorder_node": "r", "pacemaker_action": "reboot"}';
const READABLE = '[2026-01-01 00:00:03] ACTION=off TARGET=n3 GFS2=["x"] STATUS=initiated DETAILS=by hand';
const OUTCOME =
  '{"timestamp":"2026-01-01T00:00:09Z","action":"off","target_node":"n1","gfs2_filesystems":["none-detected"],' +
  '"status":"failed","details":"d","recorder_node":"r","pacemaker_action":"off","source":"alert",' +
  '"event_id":"019b76da-a800-7000-8000-000000000002","time_ms":1767225609000,"discovery":{"result":"unknown"},' +
  '"operation":{"id":"x","action":"off","client":"stonith_admin.1","origin":"r2","delegate":"r1","device":"ipmi",' +
  '"started_ms":1767225601000,"completed_ms":1767225609000,"rc":1,"reason":"No route to host"}}';

const events = (...lines: string[]): AnalyzedEvent[] =>
  lines.map((line, index) => {
    const decoded = decodeLine(line, { file: "/log/x.jsonl", line: index + 1 });
    if (!isEvent(decoded)) throw new Error(decoded.reason);
    return decoded;
  });

async function* batches(all: readonly AnalyzedEvent[], size: number) {
  for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size);
  yield [];
}

async function exported(format: ExportFormat, all: readonly AnalyzedEvent[], size = 2, index = DEFAULT_INDEX) {
  let text = "";
  for await (const part of exportEvents(batches(all, size), { format, index })) text += part;
  return text;
}

/** RFC 4180, small. */
const cellsOf = (line: string): string[] =>
  [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^",]*))/g)].map(([, quoted, plain]) =>
    (quoted ?? plain ?? "").replaceAll('""', '"'),
  );
const rowsOf = (csv: string): Record<string, string>[] => {
  const [header = "", ...lines] = csv.trimEnd().split("\n");
  const names = cellsOf(header);
  return lines.map((line) => Object.fromEntries(cellsOf(line).map((cell, index) => [names[index] ?? "?", cell])));
};

describe("all formats", () => {
  it.each(EXPORT_FORMATS)("%s is the same however the events are batched", async (format) => {
    const all = events(OURS, ORIGINAL, READABLE, OUTCOME);
    const whole = await exported(format, all, 100);
    expect(await exported(format, all, 1)).toBe(whole);
    expect(whole.endsWith("\n")).toBe(true);
  });
});

describe("ndjson", () => {
  it("keeps the recorded line byte for byte, numbers and order of keys too", async () => {
    expect(await exported("ndjson", events(OURS, ORIGINAL))).toBe(`${OURS}\n${ORIGINAL}\n`);
  });

  it("writes a readable line as the keys it holds", async () => {
    const [record] = (await exported("ndjson", events(READABLE)))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(record).toMatchObject({ action: "off", target_node: "n3", gfs2_filesystems: ["x"], details: "by hand" });
  });
});

describe("json", () => {
  it("is one array of the recorded objects", async () => {
    const text = await exported("json", events(OURS, ORIGINAL, OUTCOME));
    expect(JSON.parse(text)).toEqual([OURS, ORIGINAL, OUTCOME].map((line) => JSON.parse(line)));
    expect(text).toContain("12345678901234567890");
  });

  it("is an empty array of no events", async () => {
    expect(await exported("json", [])).toBe("[]\n");
  });
});

describe("csv", () => {
  it("has the documented columns, in their order", () => {
    expect(CSV_COLUMNS.join(",")).toBe(
      "time,action,target_node,status,source,recorder_node,gfs2_context,gfs2_filesystems,discovery_method," +
        "discovery_scope,cluster_name,quorate,operation_id,client,origin,delegate,device,started,completed,duration_ms," +
        "reason,details,event_id,plug,file,line",
    );
  });

  it("has one line an event, with what is known of it", async () => {
    const rows = rowsOf(await exported("csv", events(OURS, ORIGINAL, READABLE, OUTCOME)));
    expect(rows).toHaveLength(4);
    expect(rows[0]).toMatchObject({
      time: "2026-01-01T00:00:01.234Z",
      target_node: "compute-node-2",
      gfs2_context: "found",
      gfs2_filesystems: "a;b",
      quorate: "true",
      duration_ms: "",
      file: "/log/x.jsonl",
      line: "1",
    });
    expect(rows[3]).toMatchObject({
      device: "ipmi",
      duration_ms: "8000",
      reason: "No route to host",
      status: "failed",
    });
  });

  it("tells unknown filesystems from none", async () => {
    const rows = rowsOf(await exported("csv", events(ORIGINAL, OUTCOME)));
    expect(rows[1]).toMatchObject({ gfs2_context: "unknown", gfs2_filesystems: "" });
    expect(rows[0]?.gfs2_filesystems).toBe("");
  });

  it.each(["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://x","y")', "＝1", "＋1", "－1", "＠x"])(
    "keeps a spreadsheet from computing the node name %s",
    async (name) => {
      const line = JSON.stringify({ ...JSON.parse(ORIGINAL), target_node: name, details: `${name},"x"` });
      const [row] = rowsOf(await exported("csv", events(line)));
      expect(row?.target_node).toBe(`'${name}`);
      expect(row?.details).toBe(`'${name},"x"`);
    },
  );

  it("is one line an event also with line breaks, tabs and escape sequences in a name", async () => {
    const line = JSON.stringify({ ...JSON.parse(ORIGINAL), target_node: "\t=a\r\nb\u0000\u001b[31m" });
    const text = await exported("csv", events(line));
    expect(text.split("\n")).toHaveLength(3);
    expect(rowsOf(text)[0]?.target_node).toBe("\\t=a\\r\\nb\\u0000\\u001b[31m");
  });

  it("leaves a negative number a number", async () => {
    const operation = { started_ms: 2000, completed_ms: 1000 };
    const line = JSON.stringify({ ...JSON.parse(OUTCOME), operation });
    expect(rowsOf(await exported("csv", events(line)))[0]?.duration_ms).toBe("-1000");
  });
});

describe("elastic-bulk", () => {
  const pairs = (text: string) => {
    const lines = text.trimEnd().split("\n");
    return Array.from({ length: lines.length / 2 }, (_, index) => ({
      action: JSON.parse(lines[index * 2] ?? ""),
      source: lines[index * 2 + 1] ?? "",
    }));
  };

  it("writes an action and the recorded line, with @timestamp added and nothing changed", async () => {
    const [ours, original] = pairs(await exported("elastic-bulk", events(OURS, ORIGINAL), 2, "my-index"));
    expect(ours?.action).toEqual({ index: { _index: "my-index", _id: "019b76da-a800-7000-8000-000000000001" } });
    expect(ours?.source).toBe(`{"@timestamp":"2026-01-01T00:00:01.234Z",${OURS.slice(1)}`);
    expect(JSON.parse(original?.source ?? "")).toEqual({
      "@timestamp": "2026-01-01T00:00:02.000Z",
      ...JSON.parse(ORIGINAL),
    });
  });

  it("gives the same line the same _id in every export, and two equal lines two", async () => {
    const ids = async (...lines: string[]) =>
      pairs(await exported("elastic-bulk", events(...lines))).map(({ action }) => action.index._id);
    const [first, second, third] = await ids(ORIGINAL, ORIGINAL, READABLE);
    expect(new Set([first, second, third]).size).toBe(3);
    expect(await ids(OURS, ORIGINAL, ORIGINAL)).toEqual([expect.any(String), first, second]);
  });

  it("does not write a key twice that was recorded already", async () => {
    const line = JSON.stringify({ ...JSON.parse(ORIGINAL), "@timestamp": "theirs" });
    const [pair] = pairs(await exported("elastic-bulk", events(line)));
    expect(pair?.source).toBe(line);
  });
});
