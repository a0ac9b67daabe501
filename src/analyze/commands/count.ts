/**
 * `count --by FIELD[,FIELD]`: how many events for each value, most frequent first.
 * JSON: {"by":["action"],"total":N,"rows":[{"action":"off","count":n},…]}
 */

import { counted, showNumber } from "../../core/text.ts";
import { type AnalyzeCommand, shownRows, withAllEvents, withLogs } from "../command.ts";
import { countEvents } from "../count.ts";
import { type Column, fitColumns, renderTable } from "../table.ts";
import { assertKeys, parseFields, rowOf, showValue, sortedCounts } from "../tally.ts";

/** Text is made of so many, so that it need not all be there. */
const ROWS_AT_ONCE = 1_000;

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
    const tally = await withLogs(context, withAllEvents(args), (logs) => countEvents(logs, fields));
    assertKeys(tally);
    const { rows, more } = shownRows(sortedCounts(tally), args.filters);
    const names = fields.map(({ name }) => name);
    if (args.json) {
      await context.out(`${JSON.stringify({ by: names, total: tally.total }).slice(0, -1)},"rows":[`);
      for (let at = 0; at < rows.length; at += ROWS_AT_ONCE) {
        const objects = rows.slice(at, at + ROWS_AT_ONCE).map((row) => {
          const { values, count: number } = rowOf(row);
          return JSON.stringify({
            ...Object.fromEntries(names.map((key, index) => [key, values[index]])),
            count: number,
          });
        });
        await context.out(`${at === 0 ? "" : ","}${objects.join(",")}`);
      }
      await context.out("]}\n");
      return 0;
    }
    const columns: Column[] = [
      { title: "COUNT", align: "right" },
      ...names.map((key) => ({ title: key.toUpperCase(), flexible: true })),
    ];
    let widths: number[] | undefined;
    for (let at = 0; at === 0 || at < rows.length; at += ROWS_AT_ONCE) {
      const cells = rows.slice(at, at + ROWS_AT_ONCE).map((row) => {
        const { values, count: number } = rowOf(row);
        return [showNumber(number), ...values.map(showValue)];
      });
      widths ??= fitColumns(columns, cells, context.terminal.columns);
      await context.out(renderTable(columns, cells, { terminal: context.terminal, title: at === 0, widths }));
    }
    await context.out(`${counted(tally.total, "event")}${more}\n`);
    return 0;
  },
};
