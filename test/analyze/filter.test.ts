/** Words that ask for what only some logs hold, or what none does. */
import { describe, expect, it } from "vitest";
import { encodeEvent } from "../../src/records/fence-event.ts";
import { analyze, directoryWith, fileWith, line, NOW, originalLine, outcome, record } from "./run-analyze.ts";

const targets = ({ stdout }: { stdout: string }) => stdout.match(/(?<="target_node": ?")[^"]*/g) ?? [];
const events = (...words: string[]) => analyze(["events", "--json", ...words]);

it.each(["count", "events"])("finds for %s by the words of `count --by fs` what that counts", async (command) => {
  const disabled = { gfs2_filesystems: ["discovery-disabled"], discovery: { result: "disabled" } };
  const path = fileWith(line(disabled) + originalLine({ gfs2_filesystems: ["none-detected"] }) + line());
  const fs = (word: string) => analyze([command, "--json", "--fs", word, path]);
  const shown = async (word: string) =>
    command === "count" ? (await fs(word)).stdout.includes('"total":1') : (await fs(word)).lines.length === 1;
  for (const word of ["disabled", "discovery-disabled", "none-detected", "unknown"])
    expect(await shown(word), word).toBe(true);
});

it.each([
  ["--action", "ON", "--status", "Comp*", "--source", "{manual,original}"],
  ["--status", "initiated,refused,requested,completed,failed,succeeded,unknown"],
  ["--source", "stonith,alert,reconcile,manual,original,readable"],
  ["--node", "a]", "--fs", "b[12],c}"],
  ["--by", "gate.message,operation.rc"],
])("takes words that an event may have, though none has: %j", async (...words) => {
  const called = await analyze(["count", "--node", "nobody", ...words, fileWith(line())]);
  expect(called).toMatchObject({ exitCode: 0, stderr: "" });
});

it("counts by a key that a record may have and none has, and by one that only some have", async () => {
  const path = fileWith(line() + line({ site: "north" }));
  const by = async (key: string) => (await analyze(["count", "--by", key, "--json", path])).stdout;
  expect(await by("gate.message")).toContain('{"gate.message":null,"count":2}');
  expect(await by("site")).toContain('{"site":"north","count":1}');
});

it("knows every key that a record is written with", async () => {
  const encoded = encodeEvent({
    ...{ eventId: "e", action: "off", target: "n", plug: "p", status: "failed", details: "", recorderNode: "r" },
    ...{ source: "stonith", time: NOW, filesystems: [{ name: "a" }], role: "gate", bootId: "b", agentVersion: "1" },
    discovery: { result: "found", method: "dlm", scope: "target", elapsedMs: 1, attempts: [] },
    cluster: { name: "c", dc: "d", quorate: true, targetState: "lost" },
    guard: { verdict: "ok", source: "cib", reason: "why" },
    gate: { requestId: "q", waitedMs: 1, actionPerformed: "off", message: "m" },
    operation: { action: "off", client: "c", origin: "o", delegate: "d" },
  });
  const path = fileWith(originalLine());
  for (const [key, value] of Object.entries(encoded)) {
    const inside = ["discovery", "cluster", "gate", "operation"].includes(key) ? Object.keys(value as object) : [];
    for (const name of [key, ...inside.map((inner) => `${key}.${inner}`)])
      expect(await analyze(["count", "--by", name, path]), name).toMatchObject({ exitCode: 0 });
  }
});

it("says to a person that no event matches, and nothing to a program", async () => {
  const path = fileWith(line());
  expect(await analyze(["events", "--node", "x", path])).toMatchObject({ stdout: "", stderr: "no event matches\n" });
  expect(await analyze(["events", "--json", "--node", "x", path])).toMatchObject({ stdout: "", stderr: "" });
  expect(await analyze(["events", path])).toMatchObject({ exitCode: 0, stderr: "" });
});

describe("outcomes", () => {
  const failedGate = record({ time: "2025-01-10T14:23:15Z", target: "gated", status: "failed", role: "gate" });
  const failed = outcome({ time: "2025-01-10T14:23:20Z", target: "lost", status: "failed" });
  const succeeded = outcome({ time: "2025-01-10T14:23:30Z", source: "reconcile" });
  const directory = () =>
    directoryWith({
      "fence-events-detailed.jsonl": [
        record({ time: "2025-01-10T14:23:14Z", action: "off" }),
        record({ time: "2025-01-10T14:23:16Z", action: "on" }),
        failedGate,
        succeeded, // in both, as after cat
      ],
      "fence-outcomes.jsonl": [failed, succeeded],
    });

  it.each([
    [
      ["--status", "failed"],
      ["gated", "lost"],
    ],
    [
      ["--status", "Fail*"],
      ["gated", "lost"],
    ],
    [["--status", "succeeded"], ["compute-node-2"]],
    [["--source", "alert"], ["lost"]],
    [
      ["--source", "reconcile,alert"],
      ["lost", "compute-node-2"],
    ],
    [
      ["--status", "initiated"],
      ["compute-node-2", "compute-node-2"],
    ],
    [["--status", "failed", "--reverse", "--limit", "1"], ["lost"]],
  ])("are found by the words that name them: %j", async (words, expected) => {
    const path = directory();
    expect(targets(await events(...words, path))).toEqual(expected);
    const exported = await analyze(["export", "-f", "ndjson", ...words, path]);
    expect(targets(exported)).toEqual(expected);
  });

  it.each(["count", "nodes", "filesystems", "timeline"])("are counted by %s", async (command) => {
    const called = await analyze([command, "--status", "failed", "--json", directory()]);
    expect(called.json()).toMatchObject([{ total: 2 }]);
  });

  it("leave the count of events as it is where nobody names them", async () => {
    const called = await analyze(["count", "--by", "status", "--json", directory()]);
    expect(called.json()).toMatchObject([{ total: 4 }]);
  });

  it("count once where they are all that was named", async () => {
    const path = `${directory()}/fence-outcomes.jsonl`;
    expect((await analyze(["count", "--status", "failed", "--json", path])).json()).toMatchObject([{ total: 1 }]);
  });
});
