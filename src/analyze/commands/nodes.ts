/**
 * `nodes`: every node that was fenced, how often and when.
 * JSON: {"total":N,"rows":[{"node","events","actions":{"off":n},"refused","first","last","last_action","filesystems":[…],
 *       "unknown_context":n}]}, most often fenced first.
 */

import { counted, showNumber } from "../../core/text.ts";
import { type AnalyzeCommand, shownRows, withAllEvents, withLogs } from "../command.ts";
import type { AnalyzedEvent } from "../event.ts";
import { isOutcome } from "../incidents.ts";
import { readBatches } from "../read.ts";
import { isoTime, paintFor, renderTable, showTime, showZone } from "../table.ts";

type NodeSum = {
  node: string;
  events: number;
  actions: Map<string, number>;
  refused: number;
  unknownContext: number;
  firstMs: number;
  lastMs: number;
  lastAction: string;
  filesystems: Set<string>;
};

export const nodes: AnalyzeCommand = {
  command: "nodes [files..]",
  describe:
    "Every node that was a target, most often first. UNKNOWN counts events for which nobody could be asked\n" +
    "which filesystems were in use.",
  examples: [
    ["nodes --since 30d", "who was fenced this month"],
    ["nodes --fs nnf-storage-1", "who was fenced while using a filesystem"],
    ["nodes --json | jq -r '.rows[].node'", "their names"],
  ],
  async run(context, args) {
    const sums = new Map<string, NodeSum>();
    let total = 0;
    await withLogs(context, withAllEvents(args), async (logs) => {
      for await (const batch of readBatches(logs, { stream: "asked", anyOrder: true })) {
        total += batch.length;
        for (const event of batch) add(sums, event);
      }
    });
    const all = [...sums.values()].sort((a, b) => b.events - a.events || b.lastMs - a.lastMs);
    const { rows, more } = shownRows(all, args.filters);
    if (args.json) {
      await context.out(`${JSON.stringify({ total, rows: rows.map(encode) })}\n`);
      return 0;
    }
    const paint = paintFor(context.terminal);
    const wide = context.terminal.columns >= WIDE;
    const actions = (sum: NodeSum) => [...sum.actions].sort().map(([action, count]) => `${action} ${count}`);
    const number = (value: number) => (value === 0 ? "-" : showNumber(value));
    await context.out(
      renderTable(
        [
          { title: "NODE", flexible: true },
          { title: "EVENTS", align: "right" },
          { title: "ACTIONS", flexible: true },
          { title: "REFUSED", align: "right", paint: (text) => (text.includes("-") ? text : paint.red(text)) },
          { title: "UNKNOWN", align: "right", givesWay: 2 },
          { title: `LAST ${showZone()}` },
          wide ? { title: "GFS2", flexible: true, givesWay: 1 } : { title: "GFS2", align: "right", givesWay: 1 },
        ],
        rows.map((sum) => [
          sum.node,
          showNumber(sum.events),
          actions(sum).join(", "),
          number(sum.refused),
          number(sum.unknownContext),
          showTime(sum.lastMs),
          wide ? fewOf([...sum.filesystems].sort()) : showNumber(sum.filesystems.size),
        ]),
        context,
      ),
    );
    await context.out(`${counted(all.length, "node")}, ${counted(total, "event")}${more}\n`);
    return 0;
  },
};

function add(sums: Map<string, NodeSum>, event: AnalyzedEvent): void {
  // Pacemaker's names do not differ by case alone; the spelling seen first is shown.
  const key = event.target.toLowerCase();
  let sum = sums.get(key);
  if (!sum) {
    sum = {
      node: event.target,
      events: 0,
      actions: new Map(),
      refused: 0,
      unknownContext: 0,
      firstMs: event.timeMs,
      lastMs: event.timeMs,
      lastAction: event.action,
      filesystems: new Set(),
    };
    sums.set(key, sum);
  }
  sum.events += 1;
  sum.actions.set(event.action, (sum.actions.get(event.action) ?? 0) + 1);
  if (event.status === "refused") sum.refused += 1;
  if (event.known === "unknown" && !isOutcome(event)) sum.unknownContext += 1;
  sum.firstMs = Math.min(sum.firstMs, event.timeMs);
  if (event.timeMs >= sum.lastMs) {
    sum.lastMs = event.timeMs;
    sum.lastAction = event.action;
  }
  for (const name of event.filesystems) sum.filesystems.add(name);
}

/** Where there is room for the filesystems' names; else how many there are. */
const WIDE = 120;
const SHOWN = 3;

function fewOf(names: readonly string[]): string {
  const more = names.length > SHOWN ? [`${names.length - SHOWN} more`] : [];
  return [...names.slice(0, SHOWN), ...more].join(", ") || "-";
}

const encode = (sum: NodeSum) => ({
  node: sum.node,
  events: sum.events,
  actions: Object.fromEntries([...sum.actions].sort()),
  refused: sum.refused,
  first: isoTime(sum.firstMs),
  last: isoTime(sum.lastMs),
  last_action: sum.lastAction,
  filesystems: [...sum.filesystems].sort(),
  unknown_context: sum.unknownContext,
});
