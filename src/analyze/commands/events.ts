/**
 * `events`: the events that match, as recorded (--json: the lines as they stand in the log) or as a table.
 */
import type { AnalyzeCommand } from "../command.ts";
import { withLogs } from "../command.ts";
import type { AnalyzedEvent } from "../event.ts";
import { leaveGarbage } from "../garbage.ts";
import { readBatches } from "../read.ts";
import {
  type Column,
  fitColumns,
  paintFor,
  paintStatus,
  renderTable,
  showFilesystems,
  showTime,
  showZone,
} from "../table.ts";

export const events: AnalyzeCommand = {
  command: "events [files..]",
  describe: "Shows the events that match, oldest first. --json prints each as it was recorded, one a line.",
  examples: [
    ["events --node compute-node-3", "all events of one node"],
    ["events --since yesterday --action off", "what was switched off"],
    ["events --fs unknown --json | jq .discovery", "events whose GFS2 context nobody could tell"],
    ["events --reverse --limit 10", "the last ten"],
  ],
  async run(context, args) {
    let isEmpty = args.filters.limit !== 0;
    await withLogs(context, args, async (logs) => {
      const table = args.json ? undefined : textTable(context.terminal);
      for await (const batch of readBatches(logs, { stream: "asked", lineNumbers: false })) {
        isEmpty = false;
        const text = table ? table(batch) : batch.map(jsonLine).join("");
        await context.out(text);
        leaveGarbage(logs, text.length);
      }
    });
    if (isEmpty && !args.json) context.err("no event matches");
    return 0;
  },
};

/** The line as it was written; one of the readable log as the record it stands for. */
const jsonLine = ({ raw, record }: AnalyzedEvent): string => `${raw.startsWith("{") ? raw : JSON.stringify(record)}\n`;

function textTable(terminal: Parameters<typeof paintFor>[0]): (batch: readonly AnalyzedEvent[]) => string {
  const paint = paintFor(terminal);
  const columns: Column[] = [
    { title: `TIME ${showZone()}` },
    { title: "ACTION" },
    { title: "NODE", flexible: true },
    { title: "STATUS", paint: (text) => paintStatus(paint, text) },
    { title: "GFS2", flexible: true },
    { title: "RECORDER", flexible: true, givesWay: 1 },
  ];
  let widths: number[] | undefined;
  return (batch) => {
    const rows = batch.map((event) => [
      showTime(event.timeMs),
      event.action,
      event.target,
      event.status,
      showFilesystems(event),
      event.recorder,
    ]);
    const title = widths === undefined;
    widths ??= fitColumns(columns, rows, terminal.columns);
    return renderTable(columns, rows, { terminal, title, widths });
  };
}
