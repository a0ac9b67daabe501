/**
 * `filesystems`: every GFS2 filesystem that was in use on a fenced node, and what is not known about the others.
 * JSON: {"total":N,"found":n,"none":n,"unknown":n,"disabled":n,"outcomes":n,"rows":[{"filesystem","events","nodes":n,"first","last"}]}
 */

import { counted, showNumber } from "../../core/text.ts";
import { type AnalyzeCommand, shownRows, withAllEvents, withLogs } from "../command.ts";
import { isOutcome } from "../incidents.ts";
import { readBatches } from "../read.ts";
import { isoTime, renderTable, showTime, showZone } from "../table.ts";
import { wrapText } from "../wrap.ts";

type FilesystemSum = { events: number; nodes: Set<string>; firstMs: number; lastMs: number };

export const filesystems: AnalyzeCommand = {
  command: "filesystems [files..]",
  describe:
    "Every GFS2 filesystem that a fenced node was using, most often first; then how many events had none, and how many\n" +
    "are unknown because nobody could be asked (the original recorder and the readable log never tell the two apart).",
  examples: [
    ["filesystems --since 7d", "what fences touched this week"],
    ["filesystems --node compute-node-3", "as jq 'select(.target_node == …) | .gfs2_filesystems[]'"],
    ["filesystems --json | jq .unknown", "how many events lack their context"],
  ],
  async run(context, args) {
    const sums = new Map<string, FilesystemSum>();
    const known = { found: 0, none: 0, unknown: 0, disabled: 0 };
    let outcomes = 0; // say what became of a fence, nothing of its filesystems
    let total = 0;
    await withLogs(context, withAllEvents(args), async (logs) => {
      for await (const batch of readBatches(logs, { stream: "asked", anyOrder: true })) {
        total += batch.length;
        for (const event of batch) {
          if (isOutcome(event)) outcomes += 1;
          else known[event.known] += 1;
          for (const name of new Set(event.filesystems)) {
            let sum = sums.get(name);
            if (!sum) {
              sum = { events: 0, nodes: new Set(), firstMs: event.timeMs, lastMs: event.timeMs };
              sums.set(name, sum);
            }
            sum.events += 1;
            sum.nodes.add(event.target.toLowerCase());
            sum.firstMs = Math.min(sum.firstMs, event.timeMs);
            sum.lastMs = Math.max(sum.lastMs, event.timeMs);
          }
        }
      }
    });
    const all = [...sums].sort(([a, sumA], [b, sumB]) => sumB.events - sumA.events || (a < b ? -1 : 1));
    const { rows, more } = shownRows(all, args.filters);
    if (args.json) {
      const encoded = rows.map(([filesystem, { events, nodes, firstMs, lastMs }]) => ({
        filesystem,
        events,
        nodes: nodes.size,
        first: isoTime(firstMs),
        last: isoTime(lastMs),
      }));
      await context.out(`${JSON.stringify({ total, ...known, outcomes, rows: encoded })}\n`);
      return 0;
    }
    await context.out(
      renderTable(
        [
          { title: "FILESYSTEM", flexible: true },
          { title: "EVENTS", align: "right" },
          { title: "NODES", align: "right" },
          { title: `FIRST ${showZone()}`, givesWay: 1 },
          { title: `LAST ${showZone()}` },
        ],
        rows.map(([name, { events, nodes, firstMs, lastMs }]) => [
          name,
          showNumber(events),
          showNumber(nodes.size),
          showTime(firstMs),
          showTime(lastMs),
        ]),
        context,
      ),
    );
    const ofOutcomes = outcomes === 0 ? "" : `, ${counted(outcomes, "outcome")} of a fence`;
    const foot =
      `${counted(total, "event")}: ${showNumber(known.found)} with filesystems, ${showNumber(known.none)} with none, ` +
      `${showNumber(known.unknown)} unknown, ${showNumber(known.disabled)} not looked for${ofOutcomes}${more}`;
    await context.out(wrapText(foot, context.terminal.columns, 2));
    return 0;
  },
};
