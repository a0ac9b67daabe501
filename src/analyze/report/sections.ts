/**
 * The sections of the report's page: timeline, nodes and hours, filesystems, durations, incidents.
 * Names are hostile data: they go through html(), without exception.
 */
import { counted, showNumber } from "../../core/text.ts";
import { type IncidentResult, RESULTS } from "../incidents.ts";
import {
  type Context,
  type DurationRow,
  type IncidentColumns,
  type Kind,
  NO_TIME,
  type NodeRow,
  type ReportNumbers,
} from "./aggregate.ts";
import { bucketName, HEAT_LEVELS, heatBound, heatMost, heatNodes, type Picture, type Pictures } from "./charts.ts";
import { unpackDuration } from "./duration.ts";
import { formatDuration, html, localMoment, visible } from "./words.ts";

const NODE_ROWS = 12;
const MORE_NODE_ROWS = 200;
const FILESYSTEM_ROWS = 100;
const DEVICE_ROWS = 30;
const CHOICES = 200;
/** Rows without JavaScript; the script draws its own. */
const PLAIN_ROWS = 30;

export const RESULT_WORDS = {
  succeeded: "succeeded",
  failed: "failed",
  refused: "refused",
  unknown: "no outcome recorded",
} as const satisfies Record<IncidentResult, string>;
const CONTEXT_WORDS = {
  found: "",
  none: "none in use",
  unknown: "unknown",
  disabled: "not asked",
} as const satisfies Record<Context, string>;

/** With what all file names begin with, said once. */
export type PageNumbers = ReportNumbers & { directory: string };

const renderPicture = ({ wide, narrow }: Picture): string =>
  `<div class="wide">${wide}</div><div class="narrow">${narrow}</div>`;

const section = (id: string, title: string, body: string): string =>
  `<section aria-labelledby="${id}"><h2 id="${id}">${title}</h2>\n${body}</section>`;

type Column = { title: string; number?: true; when?: true };

/** Cells are HTML already. The first column names the row. */
function renderTable(caption: string, columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const kind = (index: number) =>
    columns[index]?.number ? ' class="number"' : columns[index]?.when ? ' class="when"' : "";
  const cell = (text: string, index: number) =>
    index === 0 ? `<th scope="row">${text}</th>` : `<td${kind(index)}>${text}</td>`;
  return `<div class="scroll" tabindex="0" role="region" aria-label="${html(caption)}"><table>
<caption>${html(caption)}</caption>
<thead><tr>${columns.map(({ title }, index) => `<th scope="col"${kind(index)}>${title}</th>`).join("")}</tr></thead>
<tbody>
${rows.map((row) => `<tr>${row.map(cell).join("")}</tr>`).join("\n")}
</tbody></table></div>`;
}

const numbersBelow = (table: string): string => `<details><summary>The numbers</summary>${table}</details>`;
const swatches = (entries: readonly (readonly [kind: string, words: string])[]): string =>
  `<ul class="legend">${entries
    .map(([kind, words]) => `<li><span class="swatch ${kind}" aria-hidden="true"></span>${words}</li>`)
    .join("")}</ul>`;

const resultColumns: readonly Column[] = RESULTS.map((result) => ({ title: RESULT_WORDS[result], number: true }));
const countCells = (counts: Record<IncidentResult, number>): string[] =>
  RESULTS.map((result) => showNumber(counts[result]));

export function renderSections(numbers: PageNumbers, pictures: Pictures, listed: number): string {
  return [
    section("timeline", "Timeline", renderTimeline(numbers, pictures.timeline)),
    section("nodes", "Nodes and hours", renderNodes(numbers, pictures.heat)),
    section("filesystems", "GFS2 filesystems", renderFilesystems(numbers, pictures.filesystems)),
    section("durations", "How long fencing took", renderDurations(numbers, pictures.durations)),
    section("incidents", "Incidents", renderIncidents(numbers, listed)),
  ].join("\n");
}

function renderTimeline({ timeline: { unit, buckets } }: ReportNumbers, picture: Picture): string {
  return `<figure>${renderPicture(picture)}
<figcaption>${swatches(RESULTS.map((result) => [result, RESULT_WORDS[result]]))}</figcaption></figure>
${numbersBelow(
  renderTable(
    `Incidents by ${unit}${unit === "week" ? " (the week's Monday)" : ""}`,
    [{ title: unit }, ...resultColumns],
    buckets
      .filter(({ counts }) => RESULTS.some((result) => counts[result] > 0))
      .map((bucket) => [html(bucketName(unit, bucket)), ...countCells(bucket.counts)]),
  ),
)}`;
}

function renderNodes(numbers: ReportNumbers, picture: Picture): string {
  const shown = heatNodes(numbers.nodes);
  const most = heatMost(shown);
  const levels = Array.from({ length: HEAT_LEVELS }, (_, index) => index + 1)
    .map((level) => ({
      level,
      from: heatBound(level - 1, most) + 1,
      to: heatBound(level, most),
    }))
    .filter(({ from, to }) => from <= to);
  const legend = levels.map(({ level, from, to }): [string, string] => [
    `heat-${level}`,
    from === to ? showNumber(from) : `${showNumber(from)} to ${showNumber(to)}`,
  ]);
  const [first, more] = [numbers.nodes.slice(0, NODE_ROWS), numbers.nodes.slice(NODE_ROWS, MORE_NODE_ROWS)];
  const beyond = numbers.nodes.length - first.length - more.length;
  const hourNames = Array.from({ length: 24 }, (_, hour) => String(hour).padStart(2, "0"));
  return `<p>Incidents by node and hour of the day${
    numbers.nodes.length > shown.length
      ? `; the ${shown.length} nodes with the most, of ${showNumber(numbers.nodes.length)}`
      : ""
  }.</p>
<figure>${renderPicture(picture)}
<figcaption>${swatches(legend)}</figcaption></figure>
${numbersBelow(
  renderTable(
    "Incidents by node and hour of the day",
    [{ title: "Node" }, ...hourNames.map((title): Column => ({ title, number: true }))],
    shown.map(({ name, hours }) => [html(name), ...hours.map((count) => (count === 0 ? "" : showNumber(count)))]),
  ),
)}
${renderTable("Nodes with the most incidents", nodeColumns, first.map(nodeCells))}
${
  more.length === 0
    ? ""
    : `<details><summary>${counted(more.length, "more node")}</summary>${renderTable("Further nodes", nodeColumns, more.map(nodeCells))}
${beyond > 0 ? `<p>And ${counted(beyond, "node")} with fewer: <code>fencepost analyze nodes</code>.</p>` : ""}</details>`
}`;
}

const nodeColumns: readonly Column[] = [
  { title: "Node" },
  { title: "Incidents", number: true },
  ...resultColumns,
  { title: "Busiest hour" },
  { title: "Last", when: true },
];

const nodeCells = ({ name, total, counts, hours, lastLocalMs }: NodeRow): string[] => {
  const top = Math.max(...hours);
  return [
    `<a href="#incidents" data-node="${html(name)}">${html(name)}</a>`,
    showNumber(total),
    ...countCells(counts),
    top === 0 ? "" : `${String(hours.indexOf(top)).padStart(2, "0")}h (${showNumber(top)})`,
    lastSeen(lastLocalMs),
  ];
};

const lastSeen = (localMs: number): string => (Number.isFinite(localMs) ? localMoment(localMs) : "");

function renderFilesystems(numbers: ReportNumbers, picture: Picture): string {
  const { filesystems, contexts } = numbers;
  const listed = filesystems.slice(0, FILESYSTEM_ROWS);
  return `<p>What the fenced node had in use. One incident may touch several filesystems.
“Unknown” means that nobody could be asked, not that there was none.</p>
<figure>${renderPicture(picture)}</figure>
${numbersBelow(
  renderTable(
    `GFS2 filesystems, most incidents first${filesystems.length > listed.length ? `; ${listed.length} of ${showNumber(filesystems.length)}` : ""}`,
    [
      { title: "Filesystem" },
      { title: "Incidents", number: true },
      { title: "Nodes", number: true },
      { title: "Last", when: true },
    ],
    [
      ...listed.map(({ name, total, nodes, lastLocalMs }) => [
        html(name),
        showNumber(total),
        showNumber(nodes),
        lastSeen(lastLocalMs),
      ]),
      [`<span class="gfs2-unknown">unknown</span>`, showNumber(contexts.unknown), "", ""],
      [`<span class="missing">none in use</span>`, showNumber(contexts.none), "", ""],
      [`<span class="missing">not asked (discovery off)</span>`, showNumber(contexts.disabled), "", ""],
    ],
  ),
)}`;
}

function renderDurations({ durations, incidents }: ReportNumbers, picture: Picture): string {
  const { known, rows } = durations;
  if (known === 0) {
    return "<p>Not known for any incident: durations come from recorded outcomes (the alert agent, or <code>fencepost analyze reconcile</code>).</p>";
  }
  const cells = ({ name, known: count, minima, failed, median, p95, longest }: DurationRow): string[] => [
    name === "" ? "all" : html(name),
    showNumber(count),
    showNumber(minima),
    showNumber(failed),
    ...(count === 0 ? ["", "", ""] : [median, p95, longest].map(formatDuration)),
  ];
  const [all, ...devices] = rows;
  const minima = all?.minima ?? 0;
  const basis =
    minima === 0
      ? ", from the request to Pacemaker's verdict"
      : `; for ${minima === known ? "all" : showNumber(minima)} of them only from the first recorded line on: they took at least
that long, because a device before the recorder may have been at work`;
  return `<p>Known for ${showNumber(known)} of ${counted(incidents, "incident")}${basis}.
${all ? `${minima === 0 ? "Half" : "Counted so, half"} took up to <strong>${formatDuration(all.median)}</strong>, 95 % up to <strong>${formatDuration(all.p95)}</strong>, the longest ${formatDuration(all.longest)}.` : ""}</p>
<figure>${renderPicture(picture)}</figure>
${renderTable(
  `By fence device, or the node that carried it out${devices.length > DEVICE_ROWS ? `; ${DEVICE_ROWS} of ${devices.length}` : ""}`,
  [
    { title: "Device" },
    { title: "Durations known", number: true },
    { title: "Only a minimum", number: true },
    { title: "Failed", number: true },
    { title: "Half up to", number: true },
    { title: "95 % up to", number: true },
    { title: "Longest", number: true },
  ],
  [...(all ? [all] : []), ...devices.slice(0, DEVICE_ROWS)].map(cells),
)}`;
}

const option = (value: string, words: string): string => `<option value="${value}">${words}</option>`;

function renderIncidents(numbers: PageNumbers, listed: number): string {
  const { columns, filesystems, contexts, results, directory } = numbers;
  const actions = [...columns.kinds.actions()].sort().slice(0, CHOICES);
  // A value is the reader's filter: "=" a context, "+" a filesystem.
  const contextChoices = (["unknown", "none", "disabled"] as const).filter((context) => contexts[context] > 0);
  const boxes = RESULTS.filter((result) => results[result] > 0).map(
    (result) =>
      `<label><input type="checkbox" name="result" value="${result}" checked>` +
      `<span class="swatch ${result}" aria-hidden="true"></span>${RESULT_WORDS[result]}</label>`,
  );
  const rows = Array.from({ length: Math.min(PLAIN_ROWS, columns.timesMs.length) }, (_, row) =>
    renderRow(columns, row),
  );
  const heading = (title: string, key?: string, sorted = "") =>
    key === undefined
      ? `<th scope="col" role="columnheader">${title}</th>`
      : `<th scope="col" role="columnheader" data-title="${title}"${sorted}><button type="button" class="sort" data-sort="${key}">${title}</button></th>`;
  return `<noscript><p>Without JavaScript this table shows the newest ${rows.length} incidents and cannot be filtered.</p></noscript>
<form id="filters" hidden aria-label="Filter the incidents">
<label>Search<input type="search" name="text" placeholder="node, filesystem, device, reason" autocomplete="off" spellcheck="false"></label>
<label>Action<select name="action">${option("", "all")}${actions.map((action) => option(html(action), html(action))).join("")}</select></label>
<label>GFS2<select name="context">${option("", "all")}${contextChoices.map((context) => option(`=${context}`, CONTEXT_WORDS[context])).join("")}${filesystems
    .slice(0, CHOICES)
    .map(({ name }) => option(`+${html(name)}`, html(name)))
    .join("")}</select></label>
<label>From<input type="date" name="from"></label>
<label>Until<input type="date" name="until"></label>
<fieldset><legend>Result</legend>${boxes.join("")}</fieldset>
<input type="hidden" name="node" value="">
<button type="reset" class="plain">Clear filters</button>
</form>
<p class="note"><span id="filter-status" role="status" aria-live="polite">${counted(listed, "incident")} listed.</span>
<button type="button" id="one-node" class="link" hidden>Show all nodes</button></p>
<table class="cards" role="table">
<caption>One row an incident. Evidence is the file${directory === "" ? "" : ` (in <code>${html(directory)}</code>)`} and line where its first record stands.</caption>
<thead role="rowgroup"><tr role="row">${heading("Time", "time", ' aria-sort="descending"')}${heading("Node", "node")}${heading("Action")}${heading("Result")}${heading("GFS2")}${heading("Duration", "duration")}${heading("Who and why")}${heading("Evidence")}</tr></thead>
<tbody id="incident-rows" role="rowgroup">${rows.join("")}</tbody>
</table>
<button type="button" id="more" class="plain more" hidden>Show more</button>`;
}

const NO_KIND: Kind = {
  action: "",
  result: "unknown",
  context: "unknown",
  filesystems: [],
  recorders: [],
  device: undefined,
  client: undefined,
  reason: undefined,
};

/** The same row as the page's script draws. */
function renderRow(columns: IncidentColumns, row: number): string {
  const kind = columns.kinds.at(columns.kind[row] ?? -1) ?? NO_KIND;
  const timeMs = columns.timesMs[row] ?? NO_TIME;
  const cell = (label: string, className: string, content: string) => {
    const classes = className === "" ? "" : ` class="${className}"`;
    return label === "Node"
      ? `<th${classes} scope="row" role="rowheader" data-label="${label}">${content}</th>`
      : `<td${classes} role="cell" data-label="${label}">${content}</td>`;
  };
  const when =
    timeMs === NO_TIME
      ? "time not known"
      : `<time datetime="${new Date(Math.floor(timeMs / 1000) * 1000).toISOString().replace(".000", "")}">` +
        `${localMoment(timeMs + (columns.offsetsMinutes[row] ?? 0) * 60_000)}</time>`;
  const gfs2 =
    kind.context === "found"
      ? kind.filesystems.length === 0
        ? "(names not kept)"
        : html(kind.filesystems.map(visible).join(", "))
      : `<span class="${kind.context === "unknown" ? "gfs2-unknown" : "missing"}">${CONTEXT_WORDS[kind.context]}</span>`;
  const duration = unpackDuration(Math.round(columns.durations[row] ?? -1));
  const words = [
    kind.client === undefined ? "" : `by ${kind.client}`,
    kind.device === undefined ? "" : `via ${kind.device}`,
    kind.reason ?? "",
    kind.recorders.length === 0 ? "" : `recorded on ${kind.recorders.map(visible).join(", ")}`,
  ].filter((text) => text !== "");
  const file = columns.files[columns.file[row] ?? -1];
  const where = file === undefined ? "(file not kept)" : `${file}:${columns.line[row] ?? 0}`;
  const more = (columns.lineCount[row] ?? 1) - 1;
  return `<tr role="row">${[
    cell("Time", "when", when),
    cell("Node", "", html(columns.nodes[columns.node[row] ?? -1] ?? "(name not kept)")),
    cell("Action", "", html(kind.action)),
    cell(
      "Result",
      "",
      `<span class="badge"><span class="swatch ${kind.result}"></span>${RESULT_WORDS[kind.result]}</span>`,
    ),
    cell("GFS2", "words", gfs2),
    cell(
      "Duration",
      "number",
      duration
        ? `${duration.isMinimum ? "at least " : ""}${formatDuration(duration.ms)}`
        : '<span class="missing">not known</span>',
    ),
    cell("Who and why", "words", html(words.join("; "))),
    cell("Evidence", "where", html(more > 0 ? `${where} and ${showNumber(more)} more` : where)),
  ].join("")}</tr>`;
}
