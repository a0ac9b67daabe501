/** `patterns`: what repeats, spreads, answers back, drags on or stays in the dark. --json: one object. */
import { OpsError } from "../../core/errors.ts";
import type { ProgramContext } from "../../core/program.ts";
import { counted } from "../../core/text.ts";
import { type AnalyzeCommand, shownRows, withLogs } from "../command.ts";
import type { Filters } from "../filter.ts";
import { FENCE_STATUSES, isInTime, matchesIncident } from "../incident-filter.ts";
import { isoOf } from "../incident-record.ts";
import { DEFAULT_THRESHOLDS, type Patterns, patternFinder, type Thresholds } from "../patterns.ts";
import { readWholeBatches } from "../read-incidents.ts";
import { formatDuration, visible } from "../report/words.ts";
import { paintFor, showTime, showZone } from "../table.ts";
import { wrapText } from "../wrap.ts";

const SHOWN = 10;

export const patterns: AnalyzeCommand = {
  command: "patterns [files..]",
  describe: [
    "Looks for flapping nodes, fence storms, nodes that fence each other, slow and failing devices, and fences whose GFS2 context nobody could tell.",
    "Durations (W): 90s, 10m, 2h, 1d.",
    "--since and --until bound what is looked at. The other filters choose fences among it: of flapping nodes, storms and nodes that fence each other those are told that one of them is part of, with all of their fences; the rest counts those fences alone. --limit and --reverse are about the rows of each kind.",
  ].join("\n\n"),
  statuses: FENCE_STATUSES,
  options: {
    "flap-count": {
      describe: "a node fenced so often …",
      type: "string",
      default: String(DEFAULT_THRESHOLDS.flapCount),
    },
    "flap-window": { describe: "… within W flaps", type: "string", default: "1d" },
    "storm-nodes": {
      describe: "so many different nodes fenced …",
      type: "string",
      default: String(DEFAULT_THRESHOLDS.stormNodes),
    },
    "storm-window": { describe: "… within W are a storm", type: "string", default: "10m" },
    "mutual-window": { describe: "two nodes that fence each other within W", type: "string", default: "10m" },
    slow: { describe: "a fence that takes longer than W is slow", type: "string", default: "60s" },
    "slow-discovery": { describe: "GFS2 discovery that takes longer than W is slow", type: "string", default: "3s" },
  },
  examples: [
    ["patterns", "everything known"],
    ["patterns --since 30d --flap-count 2 --flap-window 1h", "nodes fenced twice within an hour"],
    ["patterns --json | jq '.storms[].nodes'", "which nodes fell together"],
  ],
  async run(context, args) {
    const thresholds = thresholdsFrom(args.own);
    const found = await withLogs(context, args, async (logs) => {
      const finder = patternFinder(thresholds);
      const { filters } = logs;
      const whole = { ...logs, filters: { ...filters, nodes: [], limit: undefined, reverse: false } };
      for await (const batch of readWholeBatches(whole)) {
        for (const incident of batch)
          if (isInTime(filters, incident)) finder.add(incident, matchesIncident(filters, incident));
      }
      return finder.end();
    });
    const { filters } = args;
    if (args.json) await context.out(`${JSON.stringify(patternsRecord(found, thresholds, filters))}\n`);
    else await context.out(renderPatterns(found, thresholds, filters, context.terminal));
    return 0;
  },
};

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

export function parseDuration(text: string, option: string): number {
  const parts = /^(\d{1,12}(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim());
  if (!parts)
    throw new OpsError("usage", `--${option}: not a duration: ${text.slice(0, 60)}`, {
      hint: `--${option} 90s, 10m, 2h or 1d`,
    });
  return Number(parts[1]) * UNITS[parts[2] as keyof typeof UNITS];
}

export function parseCount(text: string, option: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1)
    throw new OpsError("usage", `--${option}: not a number: ${text.slice(0, 60)}`, { hint: `--${option} 3` });
  return count;
}

function thresholdsFrom(own: Readonly<Record<string, unknown>>): Thresholds {
  const word = (option: string): string => String(Array.isArray(own[option]) ? own[option].at(-1) : own[option]);
  return {
    flapCount: parseCount(word("flap-count"), "flap-count"),
    flapWindowMs: parseDuration(word("flap-window"), "flap-window"),
    stormNodes: parseCount(word("storm-nodes"), "storm-nodes"),
    stormWindowMs: parseDuration(word("storm-window"), "storm-window"),
    mutualWindowMs: parseDuration(word("mutual-window"), "mutual-window"),
    slowMs: parseDuration(word("slow"), "slow"),
    slowDiscoveryMs: parseDuration(word("slow-discovery"), "slow-discovery"),
  };
}

const patternsRecord = (found: Patterns, thresholds: Thresholds, filters: Filters) => ({
  incidents: found.incidents,
  fences: found.fences,
  found: found.found,
  thresholds: {
    flap_count: thresholds.flapCount,
    flap_window_ms: thresholds.flapWindowMs,
    storm_nodes: thresholds.stormNodes,
    storm_window_ms: thresholds.stormWindowMs,
    mutual_window_ms: thresholds.mutualWindowMs,
    slow_ms: thresholds.slowMs,
    slow_discovery_ms: thresholds.slowDiscoveryMs,
  },
  flapping: shownRows(latest(found.flapping), filters).rows.map(({ node, count, fromMs, toMs, incidents }) => ({
    node,
    count,
    from: isoOf(fromMs),
    to: isoOf(toMs),
    incidents,
  })),
  storms: shownRows(latest(found.storms), filters).rows.map(({ nodes, nodeCount, count, fromMs, toMs, incidents }) => ({
    nodes,
    node_count: nodeCount,
    count,
    from: isoOf(fromMs),
    to: isoOf(toMs),
    incidents,
  })),
  mutual: shownRows(latest(found.mutual), filters).rows.map(({ nodes, fromMs, toMs, incidents }) => ({
    nodes,
    from: isoOf(fromMs),
    to: isoOf(toMs),
    incidents,
  })),
  slow: shownRows(found.slow, filters).rows.map(({ device, count, of, worstMs, worstIsMinimum, worst }) => ({
    device,
    count,
    of,
    worst_ms: worstMs,
    worst_is_minimum: worstIsMinimum,
    worst_incident: worst,
  })),
  slow_unknown: found.slowUnknown,
  failing: shownRows(found.failing, filters).rows.map(({ device, failed, of, lastMs, lastReason }) => ({
    device,
    failed,
    of,
    last: isoOf(lastMs),
    last_reason: lastReason ?? null,
  })),
  refused: found.refused,
  unknown_context: {
    count: found.unknownContext.count,
    of: found.unknownContext.of,
    reasons: shownRows(found.unknownContext.reasons, filters).rows.map(({ reason, count, lastMs }) => ({
      reason,
      count,
      last: isoOf(lastMs),
    })),
  },
  slow_discovery: shownRows(found.slowDiscovery, filters).rows.map(({ recorder, count, worstMs }) => ({
    recorder,
    count,
    worst_ms: worstMs,
  })),
});

const latest = <T>(list: readonly T[]): T[] => list.toReversed();

const few = (nodes: readonly string[], all: number): string =>
  all <= SHOWN ? nodes.join(", ") : `${nodes.slice(0, SHOWN).join(", ")} and ${all - SHOWN} more`;

function renderPatterns(
  found: Patterns,
  thresholds: Thresholds,
  { limit = SHOWN, reverse }: Filters,
  terminal: ProgramContext["terminal"],
): string {
  const { columns } = terminal;
  const { bold } = paintFor(terminal);
  const times = (fromMs: number, toMs: number) => `${showTime(fromMs)} to ${showTime(toMs)}`;
  const section = (title: string, lines: readonly string[], none: string, total = lines.length, head = ""): string => {
    const { rows } = shownRows(lines, { limit, reverse });
    const shown = head === "" ? [...rows] : [head, ...rows];
    if (total > rows.length) shown.push(`and ${total - rows.length} more: see --limit and --json`);
    const body = shown.length === 0 ? [none] : shown;
    return `${bold(title)}\n${body.map((line) => wrapText(`  ${visible(line)}`, columns, 4)).join("")}`;
  };
  const { unknownContext } = found;
  const slowUnknown =
    found.slowUnknown === 0
      ? ""
      : wrapText(
          `  not known of ${counted(found.slowUnknown, "fence")}: nothing says when Pacemaker was asked`,
          columns,
          4,
        );
  return [
    `${found.fences} ${found.fences === 1 ? "fence" : "fences"} in ${found.incidents} ${found.incidents === 1 ? "incident" : "incidents"}; ${found.refused} refused; times in ${showZone()}\n`,
    section(
      `Flapping nodes (${thresholds.flapCount} fences within ${formatDuration(thresholds.flapWindowMs)})`,
      latest(found.flapping).map(({ node, count, fromMs, toMs }) => `${node}: ${count} times, ${times(fromMs, toMs)}`),
      "none",
      found.found.flapping,
    ),
    section(
      `Fence storms (${thresholds.stormNodes} nodes within ${formatDuration(thresholds.stormWindowMs)})`,
      latest(found.storms).map(
        ({ nodes, nodeCount, count, fromMs, toMs }) =>
          `${count} fences of ${few(nodes, nodeCount)}, ${times(fromMs, toMs)}`,
      ),
      "none",
      found.found.storms,
    ),
    section(
      `Nodes that fenced each other within ${formatDuration(thresholds.mutualWindowMs)}`,
      latest(found.mutual).map(({ nodes, fromMs, toMs }) => `${nodes.join(" and ")}, ${times(fromMs, toMs)}`),
      "none",
      found.found.mutual,
    ),
    section(
      `Slow fences (over ${formatDuration(thresholds.slowMs)}), by device`,
      found.slow.map(
        ({ device, count, of, worstMs, worstIsMinimum, worst }) =>
          `${device}: ${count} of ${of}, worst ${worstIsMinimum ? "at least " : ""}${formatDuration(worstMs)} (${worst})`,
      ),
      "none of those whose duration is known",
    ) + slowUnknown,
    section(
      "Failed fences, by device",
      found.failing.map(({ device, failed, of, lastMs, lastReason }) => {
        return `${device}: ${failed} of ${of}, last ${showTime(lastMs)}${lastReason === undefined ? "" : `: ${lastReason}`}`;
      }),
      "none of those whose outcome is known",
    ),
    section(
      "Fences with unknown GFS2 context",
      unknownContext.reasons.map(({ reason, count, lastMs }) => `${count} times, last ${showTime(lastMs)}: ${reason}`),
      "none of those that were recorded",
      unknownContext.reasons.length,
      unknownContext.count === 0 ? "" : `${unknownContext.count} of ${unknownContext.of}`,
    ),
    section(
      `Slow discovery (over ${formatDuration(thresholds.slowDiscoveryMs)}), by recorder`,
      found.slowDiscovery.map(
        ({ recorder, count, worstMs }) => `${recorder}: ${count} times, worst ${formatDuration(worstMs)}`,
      ),
      "none",
    ),
  ].join("\n");
}
