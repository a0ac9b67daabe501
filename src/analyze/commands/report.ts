/** `fencepost analyze report`: one page of HTML with everything on it, for a browser, a mail or a printer. */
import { OpsError } from "../../core/errors.ts";
import { writeAnswer } from "../../core/files.ts";
import type { ProgramContext } from "../../core/program.ts";
import { counted, showNumber } from "../../core/text.ts";
import { VERSION } from "../../core/version.ts";
import { type AnalyzeArgs, type AnalyzeCommand, withLogs } from "../command.ts";
import { FENCE_STATUSES } from "../incident-filter.ts";
import type { Logs } from "../read.ts";
import type { Zone } from "../report/aggregate.ts";
import { readNumbers } from "../report/read.ts";
import { showZone } from "../table.ts";

const localZone = (): Zone => ({
  name: showZone(),
  offsetMinutes: (timeMs) => -new Date(timeMs).getTimezoneOffset(),
});
const UTC: Zone = { name: "UTC", offsetMinutes: () => 0 };

export const report: AnalyzeCommand = {
  command: "report [files..]",
  describe:
    "Writes one HTML page: timeline, nodes and hours, GFS2 filesystems, durations, and every incident in a table that " +
    "can be filtered. The page holds all it needs and never asks a network.",
  statuses: FENCE_STATUSES,
  options: {
    html: { describe: "file to write, whole or not at all; - is stdout", type: "string" },
    utc: { describe: "times in UTC instead of this machine's zone", type: "boolean" },
  },
  examples: [
    ["report --html /tmp/fences.html", "all that was recorded"],
    ["report --html week.html --since 7d", "the last week"],
    ["report --html - --utc node-*/ > all.html", "logs collected from several recorders"],
  ],
  run: async (context, args) => {
    const path = typeof args.own.html === "string" ? args.own.html : "";
    if (path === "") throw new OpsError("usage", "report: --html: no file named", { hint: "--html /tmp/fences.html" });
    const zone = args.own.utc === true ? UTC : localZone();
    const { parts, ...summary } = await withLogs(context, args, (logs) => makePage(context, logs, args, zone));
    if (path === "-") {
      for (const part of parts) await context.out(part);
      return 0;
    }
    await writeAnswer(path, inOrder(parts));
    if (args.json) await context.out(`${JSON.stringify({ html: path, ...summary })}\n`);
    else {
      const { incidents, lines, bytes } = summary;
      await context.out(
        `${path}: ${counted(incidents, "incident")} from ${counted(lines, "line")}, ${showNumber(Math.ceil(bytes / 1024))} KiB\n`,
      );
    }
    return 0;
  },
};

async function* inOrder(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}

async function makePage(context: ProgramContext, logs: Logs, { filters }: AnalyzeArgs, zone: Zone) {
  const now = context.host.now();
  const numbers = await readNumbers(logs, zone);
  const { chartNumbers } = await import("../report/charts.ts");
  const { drawCharts } = await import("../report/draw.ts");
  const pictures = await drawCharts(context.self, chartNumbers(numbers));
  const { renderPage } = await import("../report/page.ts");
  Bun.gc(true); // what the reading left, before the page takes its room
  const { parts, listed } = renderPage(numbers, pictures, {
    madeLocalMs: now.getTime() + zone.offsetMinutes(now.getTime()) * 60_000,
    version: VERSION,
    inputs: [...new Set([...logs.inputs.events, ...logs.inputs.outcomes])].flatMap(({ files }) =>
      files.map((file) => (file.path === "-" ? "standard input" : file.path)),
    ),
    filters: filterWords(filters),
    outcomesRead: logs.inputs.outcomes.length > 0,
    badLines: {
      count: logs.bad.count,
      examples: logs.bad.first.map(({ evidence, reason }) => ({ ...evidence, reason })),
    },
  });
  const { incidents, lines, results, contexts } = numbers;
  const bytes = parts.reduce((sum, part) => sum + part.length, 0);
  return { parts, incidents, listed, lines, results, contexts, bytes };
}

/** The filters as options, for the reader who wants to know what is missing on purpose. */
function filterWords(filters: AnalyzeArgs["filters"]): string[] {
  const lists = [
    ["node", filters.nodes],
    ["action", filters.actions],
    ["status", filters.statuses],
    ["fs", filters.filesystems],
    ["recorder", filters.recorders],
    ["source", filters.sources],
  ] as const;
  const time = (timeMs: number) => new Date(timeMs).toISOString().replace(/\.000Z$/, "Z");
  return [
    ...lists.filter(([, words]) => words.length > 0).map(([name, words]) => `--${name} ${words.join(",")}`),
    ...(filters.sinceMs === undefined ? [] : [`--since ${time(filters.sinceMs)}`]),
    ...(filters.untilMs === undefined ? [] : [`--until ${time(filters.untilMs)}`]),
    ...(filters.limit === undefined ? [] : [`--limit ${filters.limit}${filters.reverse ? " --reverse" : ""}`]),
    ...(filters.grep === undefined ? [] : [`--grep ${filters.grep.source}`]),
  ];
}
