/**
 * `events`: the events that match, as recorded (--json: the lines as they stand in the log) or as a table.
 */
import type { Terminal } from "../../core/program.ts";
import type { AnalyzeCommand } from "../command.ts";
import { withLogs } from "../command.ts";
import type { AnalyzedEvent } from "../event.ts";
import { leaveGarbage } from "../garbage.ts";
import { readBatches } from "../read.ts";

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
      const table = args.json ? undefined : await textTable(context.terminal);
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

/** With the libraries that paint and measure text, which take 3 ms to load. */
const textTable = async (terminal: Terminal): Promise<(batch: readonly AnalyzedEvent[]) => string> =>
  (await import("../event-table.ts")).eventTable(terminal);
