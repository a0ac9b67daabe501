/**
 * `count --by FIELD[,FIELD]`: how many events for each value, most frequent first.
 * JSON: {"by":["action"],"total":N,"rows":[{"action":"off","count":n},…]}
 */

import { showNumber } from "../../core/text.ts";
import { type AnalyzeCommand, withLogs } from "../command.ts";
import { countEvents } from "../count.ts";
import { renderTable } from "../table.ts";
import { parseFields, rowsOf, showValue } from "../tally.ts";

export const count: AnalyzeCommand = {
  command: "count [files..]",
  describe:
    "Counts events by what a key of the record holds, most frequent first. A list counts each of its members, so\n" +
    "rows may add up to more than the total; a key that is not there counts as null.",
  options: {
    by: {
      describe: "key of the record (action, discovery.method), or node, fs, recorder; several with commas",
      type: "string",
      default: "action",
      requiresArg: true,
    },
  },
  examples: [
    ["count --by action", "as jq -r .action | sort | uniq -c"],
    ["count --by node,action --since 30d", "two keys"],
    ["count --by fs --json", "each filesystem of each event"],
    ["count --by discovery.result --node 'compute-*'", "a key inside another"],
  ],
  async run(context, args) {
    const by = [args.own.by].flat().join(",");
    const fields = parseFields(by.split(",").map((word) => word.trim()));
    const tally = await withLogs(context, args, (logs) => countEvents(logs, fields));
    const rows = rowsOf(tally);
    const names = fields.map(({ name }) => name);
    if (args.json) {
      const objects = rows.map(({ values, count: number }) => ({
        ...Object.fromEntries(names.map((name, index) => [name, values[index]])),
        count: number,
      }));
      await context.out(`${JSON.stringify({ by: names, total: tally.total, rows: objects })}\n`);
      return 0;
    }
    await context.out(
      renderTable(
        [{ title: "COUNT", align: "right" }, ...names.map((name) => ({ title: name.toUpperCase(), flexible: true }))],
        rows.map(({ values, count: number }) => [showNumber(number), ...values.map(showValue)]),
        context,
      ),
    );
    await context.out(`${showNumber(tally.total)} ${tally.total === 1 ? "event" : "events"}\n`);
    return 0;
  },
};
