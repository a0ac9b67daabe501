/**
 * The report's pictures.
 * Input:  ChartNumbers.
 * Output: SVG text for the body of a page, each in two widths (a screen's and a phone's: shrunk text is no text). Colours
 *         are the page's CSS variables, so that light, dark and print need no second picture; no style elements and no
 *         style attributes, so that the page's policy may forbid both.
 * Source: Apache ECharts 6, server-side rendering (renderToSVGString). 9 ms and 30 MB: draw.ts has it loaded elsewhere.
 */
import type { HeatmapSeriesOption } from "echarts/charts";
import type { EChartsCoreOption } from "echarts/core";
import { counted, showNumber } from "../../core/text.ts";
import { RESULTS } from "../incidents.ts";
import type { Bucket, BucketUnit, DurationBin, NodeRow, ReportNumbers } from "./aggregate.ts";
import { formatDuration, html, localDay, visible } from "./words.ts";

export const CHART_NAMES = ["timeline", "heat", "filesystems", "durations"] as const;
export type ChartName = (typeof CHART_NAMES)[number];
export type Picture = { wide: string; narrow: string };
export type Pictures = Record<ChartName, Picture>;

/** Nodes in the heat map; the table below it has more. */
export const HEAT_NODES = 30;
export const HEAT_LEVELS = 5;
const FILESYSTEM_BARS = 15;
const WIDE_PX = 960;
const NARROW_PX = 360;

type Draft = { option: EChartsCoreOption; height: number; title: string; description: string };

/** What is drawn: of the names only those that have room in a picture. */
export type ChartNumbers = Pick<ReportNumbers, "timeline" | "incidents" | "results" | "contexts" | "durations"> & {
  nodes: readonly Pick<NodeRow, "name" | "total" | "hours">[];
  filesystems: readonly { name: string; total: number }[];
  filesystemCount: number;
};

export const chartNumbers = (numbers: ReportNumbers): ChartNumbers => {
  const { timeline, incidents, results, contexts, durations, filesystems } = numbers;
  return {
    timeline,
    incidents,
    results,
    contexts,
    durations,
    nodes: heatNodes(numbers.nodes).map(({ name, total, hours }) => ({ name, total, hours: [...hours] })),
    filesystems: filesystems.slice(0, FILESYSTEM_BARS).map(({ name, total }) => ({ name, total })),
    filesystemCount: filesystems.length,
  };
};

export async function renderCharts(numbers: ChartNumbers): Promise<Pictures> {
  const [{ init, use }, { BarChart, HeatmapChart }, { GridComponent, VisualMapPiecewiseComponent }, { SVGRenderer }] =
    await Promise.all([
      import("echarts/core"),
      import("echarts/charts"),
      import("echarts/components"),
      import("echarts/renderers"),
    ]);
  use([BarChart, HeatmapChart, GridComponent, VisualMapPiecewiseComponent, SVGRenderer]);
  const render = ({ option, height, title, description }: Draft, id: string, width: number): string => {
    const chart = init(null, null, { renderer: "svg", ssr: true, width, height });
    try {
      chart.setOption({ animation: false, textStyle: { color: "var(--muted)", fontSize: 12 }, ...option });
      return inlineSvg(chart.renderToSVGString({ useViewBox: true }), { id, title, description });
    } finally {
      chart.dispose();
      Bun.gc(true); // what the library leaves behind, ten times the picture's text; no other API says "now"
    }
  };
  const picture = (name: ChartName, draft: (numbers: ChartNumbers, width: number) => Draft): Picture => ({
    wide: render(draft(numbers, WIDE_PX), `${name}-wide`, WIDE_PX),
    narrow: render(draft(numbers, NARROW_PX), `${name}-narrow`, NARROW_PX),
  });
  return {
    timeline: picture("timeline", draftTimeline),
    heat: picture("heat", draftHeat),
    filesystems: picture("filesystems", draftFilesystems),
    durations: picture("durations", draftDurations),
  };
}

/** The library's SVG as part of a page: named for screen readers, styled by attributes and the page's variables alone. */
function inlineSvg(
  svg: string,
  { id, title, description }: { id: string; title: string; description: string },
): string {
  const named =
    `<svg role="img" aria-labelledby="${id}-title ${id}-desc" focusable="false" class="chart" ` +
    `$1<title id="${id}-title">${html(title)}</title><desc id="${id}-desc">${html(description)}</desc>`;
  return (
    svg
      .replace(/<style\b[\s\S]*?<\/style>/g, "") // rules for hovering; the page has none
      // The library encodes the quotes of texts, so this finds attributes only.
      .replaceAll(/ style="font-size:(\d+)px;font-family:[^"]*"/g, ' font-size="$1"')
      .replaceAll(/ (?:style|class|ecmeta_\w+|pointer-events)="[^"]*"/g, "")
      .replace(/<svg (?:xmlns\S* |version\S* |baseProfile\S* )*([\s\S]*?>)/, named)
      .replace(/ xmlns(?::xlink)?="[^"]*"| version="1.1"| baseProfile="full"/g, "")
      .replaceAll("\n", "")
  );
}

// Room for the labels, as wide as the library thinks they are; a reader's font may need the left margin too.
const fitting = { outerBoundsMode: "same", outerBoundsContain: "axisLabel" } as const;
const axisLine = { show: true, lineStyle: { color: "var(--line)" } };
const countAxis = (splits: number) =>
  ({
    type: "value",
    splitNumber: splits,
    minInterval: 1,
    silent: true,
    axisLabel: { color: "var(--muted)" },
    splitLine: { lineStyle: { color: "var(--grid)" } },
  }) as const;
const countLabel = {
  show: true,
  color: "var(--text)",
  formatter: ({ value }: { value: unknown }) => showNumber(Number(value)),
};
const nameAxis = (data: readonly string[], more: object = {}) =>
  ({
    type: "category",
    silent: true,
    data,
    axisLine,
    axisTick: { show: false },
    ...more,
  }) as const;
const still = { silent: true, emphasis: { disabled: true }, legendHoverLink: false, animation: false } as const;

export const bucketName = (unit: BucketUnit, { startLocalMs }: Bucket): string => {
  const text = localDay(startLocalMs);
  if (unit === "month") return text.slice(0, 7);
  return unit === "hour" ? `${text.slice(5)} ${new Date(startLocalMs).toISOString().slice(11, 13)}h` : text;
};

function draftTimeline({ timeline, incidents, results }: ChartNumbers, width: number): Draft {
  const { unit, buckets } = timeline;
  const names = buckets.map((bucket) => bucketName(unit, bucket));
  const busiest = buckets.reduce((best, bucket, index) => (total(bucket) > total(buckets[best]) ? index : best), 0);
  return {
    height: width === WIDE_PX ? 240 : 220,
    title: `Incidents by ${unit}`,
    description:
      buckets.length === 0
        ? "No incidents."
        : `${incidents} incidents from ${names[0]} to ${names.at(-1)}; most in ${names[busiest]}: ` +
          `${total(buckets[busiest])}. ${RESULTS.map((result) => `${result} ${results[result]}`).join(", ")}.`,
    option: {
      grid: { ...fitting, left: 8, right: 12, top: 12, bottom: 4 },
      xAxis: nameAxis(names, { axisLabel: { color: "var(--muted)", hideOverlap: true } }),
      yAxis: countAxis(5),
      series: RESULTS.map((result) => ({
        ...still,
        type: "bar",
        stack: "results",
        barCategoryGap: "20%",
        barMaxWidth: 40,
        itemStyle: { color: `var(--${result})` },
        // No bar at all for nothing: a path of no height is only bytes.
        data: buckets.map(({ counts }) => counts[result] || "-"),
      })),
    },
  };
}

const total = (bucket: Bucket | undefined): number =>
  bucket ? RESULTS.reduce((sofar, result) => sofar + bucket.counts[result], 0) : 0;

/** The most that a cell of that level holds. Squares, so that one node with very many does not pale all others. */
export const heatBound = (level: number, most: number): number => Math.floor(most * (level / HEAT_LEVELS) ** 2);
/** 1 for the fewest to HEAT_LEVELS for the most. */
const heatLevel = (count: number, most: number): number => {
  let level = 1;
  while (level < HEAT_LEVELS && count > heatBound(level, most)) level++;
  return level;
};

export const heatNodes = (nodes: readonly NodeRow[]): readonly NodeRow[] => nodes.slice(0, HEAT_NODES);
export const heatMost = (nodes: readonly Pick<NodeRow, "hours">[]): number =>
  nodes.reduce((most, { hours }) => Math.max(most, ...hours), 0);

function draftHeat({ nodes }: ChartNumbers, width: number): Draft {
  const wide = width === WIDE_PX;
  const shown = nodes;
  const most = heatMost(shown);
  const data: HeatmapSeriesOption["data"] = shown.flatMap(({ hours }, row) =>
    hours.flatMap((count, hour) => {
      if (count === 0) return [];
      const level = heatLevel(count, most);
      return [
        {
          value: [hour, row, level, count],
          label: { show: wide && count < 100_000, color: level > 3 ? "var(--heat-ink-dark)" : "var(--heat-ink)" },
        },
      ];
    }),
  );
  const first = shown[0];
  return {
    height: shown.length * (wide ? 22 : 18) + 34,
    title: "Incidents by node and hour of the day",
    description: first
      ? `${shown.length} nodes with the most incidents, 24 hours each; darker is more. Most: ${visible(first.name)} with ` +
        `${first.total}. The table below has the numbers.`
      : "No incidents.",
    option: {
      grid: { ...fitting, left: wide ? 28 : 8, right: 8, top: 24, bottom: 4 },
      xAxis: nameAxis(
        Array.from({ length: 24 }, (_, hour) => String(hour).padStart(2, "0")),
        { position: "top", axisLabel: { color: "var(--muted)", interval: wide ? 0 : 5 }, splitArea: { show: false } },
      ),
      yAxis: nameAxis(
        shown.map(({ name }) => shorten(visible(name), wide ? 28 : 14)),
        { inverse: true, axisLabel: { color: "var(--text)", interval: 0 } },
      ),
      series: [
        {
          ...still,
          type: "heatmap",
          itemStyle: { borderColor: "var(--page)", borderWidth: 1 },
          label: { fontSize: 11, formatter: "{@[3]}" },
          data,
        },
      ],
      visualMap: {
        type: "piecewise",
        show: false,
        dimension: 2,
        pieces: Array.from({ length: HEAT_LEVELS }, (_, index) => ({
          value: index + 1,
          color: `var(--heat-${index + 1})`,
        })),
      },
    },
  };
}

/** Names of a cluster differ at their end more than at their beginning. */
const shorten = (text: string, limit: number): string => {
  const head = Math.floor((limit - 1) / 3);
  return text.length <= limit ? text : `${text.slice(0, head)}…${text.slice(head + 1 - limit)}`;
};

function draftFilesystems({ filesystems, filesystemCount, contexts }: ChartNumbers, width: number): Draft {
  const wide = width === WIDE_PX;
  const bars = [
    ...filesystems.map(({ name, total: count }) => ({
      name: shorten(visible(name), wide ? 32 : 15),
      count,
      color: "var(--found)",
    })),
    ...(
      [
        [wide ? "unknown (could not ask)" : "unknown", contexts.unknown, "var(--context-unknown)"],
        ["none in use", contexts.none, "var(--context-none)"],
        [wide ? "not asked (discovery off)" : "not asked", contexts.disabled, "var(--context-disabled)"],
      ] as const
    )
      .filter(([, count]) => count > 0)
      .map(([name, count, color]) => ({ name, count, color })),
  ];
  return {
    height: bars.length * 26 + 30,
    title: "Incidents by GFS2 filesystem of the target",
    description:
      `${filesystemCount} filesystems. Unknown, because no source could be asked: ${contexts.unknown} incidents; ` +
      `none in use: ${contexts.none}; discovery off: ${contexts.disabled}.`,
    option: {
      grid: { ...fitting, left: wide ? 28 : 8, right: 48, top: 4, bottom: 4 },
      xAxis: countAxis(wide ? 5 : 3),
      yAxis: nameAxis(
        bars.map(({ name }) => name),
        { inverse: true, axisLabel: { color: "var(--text)", interval: 0 } },
      ),
      series: [
        {
          ...still,
          type: "bar",
          barMaxWidth: 18,
          label: { ...countLabel, position: "right" },
          data: bars.map(({ count, color }) => ({ value: count, itemStyle: { color } })),
        },
      ],
    },
  };
}

const binName = ({ fromMs, toMs }: DurationBin): string =>
  toMs === undefined ? `≥ ${formatDuration(fromMs)}` : `< ${formatDuration(toMs)}`;

function draftDurations({ durations }: ChartNumbers, width: number): Draft {
  const wide = width === WIDE_PX;
  const [all] = durations.rows;
  return {
    height: wide ? 200 : 300,
    title: "Incidents by duration",
    description:
      durations.known === 0 || !all
        ? "No duration is known."
        : `${counted(durations.known, "duration")}${all.minima > 0 ? `, ${showNumber(all.minima)} only a minimum` : ""}: half up to ${formatDuration(all.median)}, 95 % up to ${formatDuration(all.p95)}, ` +
          `longest ${formatDuration(all.longest)}.`,
    option: {
      grid: { ...fitting, left: 8, right: wide ? 12 : 48, top: wide ? 20 : 4, bottom: 4 },
      [wide ? "xAxis" : "yAxis"]: nameAxis(durations.bins.map(binName), {
        inverse: !wide,
        axisLabel: { color: "var(--text)", interval: 0 },
      }),
      [wide ? "yAxis" : "xAxis"]: countAxis(wide ? 5 : 3),
      series: [
        {
          ...still,
          type: "bar",
          barMaxWidth: wide ? 48 : 16,
          itemStyle: { color: "var(--found)" },
          label: { ...countLabel, position: wide ? "top" : "right" },
          data: durations.bins.map(({ count }) => count || "-"),
        },
      ],
    },
  };
}
