/** What is read from bytes must be what parsing every line says. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { decodeLine, isEvent } from "../../src/analyze/decode.ts";
import { matchesEvent, NO_FILTERS } from "../../src/analyze/filter.ts";
import { addRecord, newTally, parseFields, rowOf, sortedCounts } from "../../src/analyze/tally.ts";
import { analyze, fileWith, line, originalLine } from "./run-analyze.ts";

const WORDS = [
  "off",
  "on",
  "reboot",
  "initiated",
  "refused",
  "n-1",
  "N-1",
  "n-10",
  "x",
  "ü-1",
  'q"-1',
  "a\\-1",
  "\u2028",
  "",
];
const word = fc.constantFrom(...WORDS);

const overrides = fc.record(
  {
    action: word,
    target_node: word,
    gfs2_filesystems: fc.oneof(fc.array(word, { maxLength: 3 }), fc.constant(undefined), fc.constant("x")),
    status: fc.oneof(word, fc.constant(undefined), fc.constant(7)),
    details: fc.string(),
    recorder_node: word,
    operation: fc.oneof(
      fc.constant(undefined),
      fc.record({ action: word, client: word }),
      fc.record({ client: word, action: word, status: word }),
    ),
    timestamp: fc.constantFrom("2025-01-10T14:23:16Z", "2025-02-30T14:23:16Z", "2025-01-10 14:23:16", "later", 5),
    time_ms: fc.constantFrom(undefined, 1736518996789, "x"),
    time_zone: fc.constant(undefined),
  },
  { requiredKeys: [] },
);

/** A line and what may happen to one. */
const someLine = fc
  .tuple(
    overrides,
    fc.boolean(),
    fc.constantFrom(
      "whole",
      "torn",
      "joined",
      "nul",
      "twice",
      "escaped",
      "reordered",
      "spaced",
      "cr",
      "blank",
      "array",
    ),
    fc.nat(),
  )
  .map(([more, original, damage, where]) => {
    const text = (original ? originalLine(more) : line(more)).trimEnd();
    const cut = text.slice(0, where % text.length);
    switch (damage) {
      case "whole":
        return text;
      case "torn":
        return cut;
      case "joined":
        return cut + text;
      case "nul":
        return `${cut}\0\0\0${text.slice(cut.length)}`;
      case "twice":
        return text.replace(/\}$/, `,"action" : "n-1","target_node":"n-10","status":"off"}`);
      case "escaped":
        return text.replace('"action"', '"\\u0061ction"').replace("n-1", "\\u006e-1");
      case "reordered":
        return JSON.stringify(Object.fromEntries(Object.entries({ status: "on", ...more, action: "off" }).reverse()));
      case "spaced":
        return ` ${text.replace('"status"', '"status" ')}`;
      case "cr":
        return `${text}\r`;
      case "blank":
        return "";
      case "array":
        return `[${text}]`;
      default:
        return damage satisfies never;
    }
  });

const FIELDS = [
  "action",
  "target_node",
  "gfs2_filesystems",
  "status",
  "action,status",
  "gfs2_filesystems,target_node",
  "details",
];
const FILTERS = [
  [],
  ["--node", "n-1"],
  ["--node", "n-1?"],
  ["--action", "ON", "--status", "refused"],
  ["--fs", "n-10"],
  ["--recorder", "n-*"],
  ["--status", "initiated"],
];

it("counts as parsing every line does, whatever the lines look like", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(someLine, { maxLength: 12 }),
      fc.constantFrom(...FIELDS),
      fc.constantFrom(...FILTERS),
      async (lines, by, filterWords) => {
        const filters = { ...NO_FILTERS };
        for (let index = 0; index < filterWords.length; index += 2) {
          const values = [(filterWords[index + 1] ?? "").toLowerCase()];
          const key = { "--node": "nodes", "--action": "actions", "--fs": "filesystems", "--recorder": "recorders" }[
            filterWords[index] ?? ""
          ];
          Object.assign(filters, { [key ?? "statuses"]: values });
        }
        const tally = newTally(parseFields(by.split(",")));
        let events = 0;
        for (const text of lines) {
          const decoded = decodeLine(text.toWellFormed(), { file: "x", line: 1 });
          if (!isEvent(decoded) || !matchesEvent(filters, decoded)) continue;
          addRecord(tally, decoded.record);
          events += 1;
        }
        const path = fileWith(lines.map((text) => `${text.toWellFormed()}\n`).join(""));
        const counted = await analyze(["count", "--by", by, "--json", ...filterWords, path]);
        const names = by.split(",");
        expect(JSON.parse(counted.stdout)).toEqual({
          by: names,
          total: tally.total,
          rows: sortedCounts(tally)
            .map(rowOf)
            .map(({ values, count }) => ({
              ...Object.fromEntries(names.map((name, index) => [name, values[index]])),
              count,
            })),
        });
        const shown = await analyze(["events", "--json", ...filterWords, path]);
        expect(shown.stdout === "" ? 0 : shown.stdout.trimEnd().split("\n").length).toBe(events);
      },
    ),
    { numRuns: 400 },
  );
}, 60_000);
