/**
 * Numbers and pictures → the page: one HTML file that needs nothing else and may ask for nothing else.
 * Input:  ReportNumbers, Pictures, and what the report was made from.
 * Output: HTML text, at most MAX_PAGE_BYTES: the table holds as many of the newest incidents as fit, and says so.
 *         Its policy (CSP) forbids every request and every script and style but its own two, by their hashes.
 * Names are hostile data: they go through html() or scriptJson(), without exception.
 */
import { createHash } from "node:crypto";
import { counted, showNumber } from "../../core/text.ts";
import { RESULTS } from "../incidents.ts";
import type { ReportNumbers } from "./aggregate.ts";
import type { Pictures } from "./charts.ts";
import { CLIENT_SCRIPT } from "./client.ts";
import { type PageNumbers, RESULT_WORDS, renderSections } from "./sections.ts";
import { STYLE } from "./style.ts";
import { encodeTable } from "./table-data.ts";
import { html, localMoment } from "./words.ts";

export type Provenance = {
  /** As the zone's clock on the wall shows it. */
  madeLocalMs: number;
  version: string;
  /** What was read: files, or "standard input". */
  inputs: readonly string[];
  /** The filters in force, as words: `--node compute-node-2`. */
  filters: readonly string[];
  /** Whether there was a file that could say how a fence ended. */
  outcomesRead: boolean;
  badLines: { count: number; examples: readonly { file: string; line: number; reason: string }[] };
};

/** The file is the parts one after another. */
export type Page = { parts: readonly Uint8Array[]; listed: number };

export const MAX_PAGE_BYTES = 2_900_000;
const NAMED_BAD_LINES = 20;
const NAMED_INPUTS = 20;

export function renderPage(all: ReportNumbers, pictures: Pictures, provenance: Provenance): Page {
  const directory = commonDirectory(all.columns.files);
  const files = all.columns.files.map((file) => file.slice(directory.length));
  const numbers = { ...all, directory, columns: { ...all.columns, files } };
  // Apart, because a text of 3 MB that is joined once more is two.
  const around = (listed: number) =>
    pageText(numbers, pictures, provenance, listed)
      .split(DATA_PLACE)
      .map((part) => Buffer.from(part));
  const rest = around(0).reduce((bytes, part) => bytes + part.length, 0);
  Bun.gc(true); // a page's text is in memory several times by now, and so is its data after the next step
  const { parts: json, listed } = encodeTable(numbers.columns, MAX_PAGE_BYTES - rest - 1_000);
  Bun.gc(true);
  const [head = Buffer.of(), tail] = around(listed);
  return { parts: tail === undefined ? [head] : [head, ...json, tail], listed };
}

/** Stands where the data goes; no text of the page can hold a raw control character. */
const DATA_PLACE = "\u0000";

/** `/var/log/a/` of `/var/log/a/x` and `/var/log/a/b/y`; empty when there is none. */
function commonDirectory(files: readonly string[]): string {
  let common = files[0] ?? "";
  for (const file of files) while (!file.startsWith(common)) common = common.slice(0, -1);
  return common.slice(0, common.lastIndexOf("/") + 1);
}

function pageText(numbers: PageNumbers, pictures: Pictures, provenance: Provenance, listed: number): string {
  const policy =
    `default-src 'none'; script-src '${hashOf(CLIENT_SCRIPT)}'; style-src '${hashOf(STYLE)}'; ` +
    "base-uri 'none'; form-action 'none'";
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="fencepost ${html(provenance.version)}">
<title>Fence report, ${html(periodOf(numbers))}</title>
<style>${STYLE}</style>
</head>
<body>
<a class="skip" href="#incidents">Skip to the incidents</a>
${renderHeader(numbers, provenance)}
<main>
${renderGaps(numbers, provenance, listed)}
${numbers.incidents === 0 ? "<p>No fence event matches.</p>" : renderSections(numbers, pictures, listed)}
</main>
<footer>Made ${html(localMoment(provenance.madeLocalMs))} (${html(numbers.zoneName)}) by fencepost ${html(provenance.version)} from
${nameSome(provenance.inputs, NAMED_INPUTS)}. This page holds all it shows and asks nothing of a network.</footer>
${
  numbers.incidents === 0
    ? ""
    : `<script type="application/json" id="incident-data">${DATA_PLACE}</script>
<script>${CLIENT_SCRIPT}</script>`
}
</body>
</html>
`;
}

const hashOf = (text: string): string => `sha256-${createHash("sha256").update(text).digest("base64")}`;

const dayOf = (localMs: number): string => localMoment(localMs).slice(0, 10);

const periodOf = ({ firstLocalMs, lastLocalMs }: ReportNumbers): string => {
  if (firstLocalMs === undefined || lastLocalMs === undefined) return "no incidents";
  const [first, last] = [dayOf(firstLocalMs), dayOf(lastLocalMs)];
  return first === last ? first : `${first} to ${last}`;
};

function nameSome(names: readonly string[], limit: number): string {
  const named = names.slice(0, limit).map((name) => `<code>${html(name)}</code>`);
  const rest = names.length - named.length;
  return `${named.join(", ") || "nothing"}${rest > 0 ? ` and ${showNumber(rest)} more` : ""}`;
}

function renderHeader(numbers: ReportNumbers, { filters }: Provenance): string {
  const tile = (label: string, count: number, kind = "") =>
    `<div${kind === "" ? "" : ` class="${kind}"`}><dt>${label}</dt><dd>${showNumber(count)}</dd></div>`;
  const { results, contexts } = numbers;
  const nodes = numbers.nodes.length + (numbers.beyond.nodes > 0 ? 1 : 0);
  return `<header>
<h1>Fence report</h1>
<p>${html(periodOf(numbers))}. ${counted(numbers.incidents, "incident")} from ${counted(numbers.lines, "recorded line")};
an incident is one fencing operation, however many recorders and lines tell of it.
Times are those of <strong>${html(numbers.zoneName)}</strong>.
${filters.length === 0 ? "" : `Only what matches ${filters.map((filter) => `<code>${html(filter)}</code>`).join(" ")}.`}</p>
<dl class="tiles">
${tile("incidents", numbers.incidents)}
${RESULTS.map((result) => tile(RESULT_WORDS[result], results[result], result)).join("\n")}
${tile(numbers.beyond.nodes > 0 ? "nodes fenced, at least" : "nodes fenced", nodes)}
${tile("GFS2 context unknown", contexts.unknown, "context-unknown")}
</dl>
</header>`;
}

/** What the reader might take for granted and must not. */
function renderGaps(numbers: ReportNumbers, { badLines, outcomesRead }: Provenance, listed: number): string {
  const { results, contexts, beyond, incidents } = numbers;
  const gaps: string[] = [];
  const gap = (count: number, text: string) => {
    if (count > 0) gaps.push(`<li>${text}</li>`);
  };
  gap(
    results.unknown,
    `${counted(results.unknown, "incident")} with no recorded outcome: that a fence was asked for is known, how it ended is not.${outcomesRead ? "" : " No file with outcomes (<code>fence-outcomes.jsonl</code>) was there to read."}`,
  );
  gap(
    contexts.unknown,
    `${counted(contexts.unknown, "incident")} with unknown GFS2 context: no source could be asked. Unknown is not “none”.`,
  );
  gap(contexts.disabled, `${counted(contexts.disabled, "incident")} recorded with discovery switched off.`);
  gap(
    badLines.count,
    `${counted(badLines.count, "line")} that could not be read: ${badLines.examples
      .slice(0, NAMED_BAD_LINES)
      .map(({ file, line, reason }) => `<code>${html(file)}:${line}</code> (${html(reason.slice(0, 200))})`)
      .join("; ")}${badLines.count > NAMED_BAD_LINES ? "; …" : "."}`,
  );
  gap(
    incidents - listed,
    `The table lists the newest ${showNumber(listed)} incidents; ${showNumber(incidents - listed)} older ones are in the ` +
      "counts and pictures only. See them with <code>fencepost analyze incidents --until …</code>.",
  );
  gap(beyond.nodes, `${counted(beyond.nodes, "incident")} on further nodes: there are too many names to list all.`);
  gap(beyond.filesystems, "There are too many filesystem names to list all.");
  gap(beyond.devices, "There are too many fence devices to list all.");
  gap(beyond.time, `${counted(beyond.time, "incident")} without a usable time: not in the timeline.`);
  return gaps.length === 0
    ? ""
    : `<section class="gaps" aria-labelledby="gaps"><h2 id="gaps">What this report does not know</h2>
<ul>
${gaps.join("\n")}
</ul></section>`;
}
