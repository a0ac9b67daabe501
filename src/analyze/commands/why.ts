/**
 * `why NODE`: one page about one fence, each line with the file and line it rests on; what nobody knows is said.
 * --json: one object.
 */
import { OpsError } from "../../core/errors.ts";
import type { ProgramContext } from "../../core/program.ts";
import { type AnalyzeArgs, type AnalyzeCommand, withLogs } from "../command.ts";
import type { Evidence } from "../event.ts";
import { type Filters, isGlob, NO_FILTERS } from "../filter.ts";
import { FENCE_STATUSES, matchesIncident } from "../incident-filter.ts";
import { isoOf } from "../incident-record.ts";
import type { Incident } from "../incidents.ts";
import { type ClusterLogs, type LogWords, readClusterLogs } from "../logs/sources.ts";
import { readIncidentBatches } from "../read-incidents.ts";
import { formatDuration, visible } from "../report/words.ts";
import { paintFor, showTime, showZone } from "../table.ts";
import { parseTime } from "../time.ts";
import { type Explanation, explain, TOPICS, type Topic } from "../why.ts";
import { wrapText } from "../wrap.ts";

/** Of a node's incidents so many are held: those asked for first, and of them the last ones, or those around --at. */
const HELD = 1_000;

export const why: AnalyzeCommand = {
  command: "why <target> [files..]",
  describe: [
    "One page about the last fence of a node (an on by itself is none), or the one named: last sign of life, who noticed, who decided and why, devices, duration, result, which GFS2 filesystems were blocked for how long, and whether it came back. Each line names its file and line; what no source says is listed as not known.",
    "Without any of the log options the usual places of this node are read, and dlm_tool, dmesg and stonith_admin asked. With one of them only what is named is read.",
    "Filters choose among the fences of the node, by all that the sources at hand say of each.",
    "Logs leave out year and zone. Where a file holds an epoch time both follow from it, for the other files too; else the file's year and this machine's zone are assumed, and the page says so. Files of one node whose names begin alike (NODE.dmesg.txt, NODE.dlm_controld.log) are taken to share a boot's clock.",
  ].join("\n\n"),
  positionals: { target: { describe: "the node that was fenced" } },
  filters: ["action", "status", "fs", "recorder", "source", "since", "until", "grep"],
  statuses: [...FENCE_STATUSES, "running"],
  options: {
    at: { describe: "the fence nearest to this time", type: "string" },
    incident: { describe: "the fence with this id (incidents --json), or 8 characters of it", type: "string" },
    "pacemaker-log": { describe: "pacemaker.log of any node; several, globs", type: "string" },
    "corosync-log": { describe: "corosync.log", type: "string" },
    "dlm-log": { describe: "dlm_controld.log, or dlm_tool dump's output; `live` asks here", type: "string" },
    dmesg: { describe: "kernel lines of a file, or `live`", type: "string" },
    history: { describe: "FILE of stonith_admin --history '*' --verbose --output-as=xml, or `live`", type: "string" },
    "corosync-conf": { describe: "corosync.conf, for the nodes' ids", type: "string" },
  },
  examples: [
    ["why compute-node-2", "the last fence, from this node's logs"],
    ["why compute-node-2 --at 'yesterday 14:20'", "an earlier one"],
    ["why compute-node-2 --pacemaker-log '/srv/*/pacemaker.log'", "from collected files"],
  ],
  async run(context, args) {
    const target = String(args.own.target);
    const atMs =
      args.own.at === undefined ? undefined : await parseTime(String(args.own.at), "since", context.host.now(), "at");
    const incident = args.own.incident === undefined ? undefined : String(args.own.incident);
    const filters = { ...args.filters, nodes: [] };
    const cluster = await readClusterLogs(context, target, wordsOf(args));
    const records = await recordsOf(context, args, target, atMs, incident);
    const explanation = explain(
      {
        target,
        incidents: records.incidents,
        logs: cluster.logs,
        history: cluster.history,
        nodeNames: cluster.nodeNames,
        recordsRead: records.reason === undefined,
      },
      { filters, ...(atMs === undefined ? {} : { atMs }), ...(incident === undefined ? {} : { incident }) },
    );
    const notRead = [
      ...(records.reason === undefined ? [] : [{ source: "our own log", reason: records.reason }]),
      ...cluster.notRead,
    ];
    if (args.json) await context.out(`${JSON.stringify(explanationRecord(explanation, notRead))}\n`);
    else await context.out(renderPage(explanation, notRead, context));
    return 0;
  },
};

const listOf = (value: unknown): string[] => (value === undefined ? [] : [value].flat().map(String));

const wordsOf = ({ own }: AnalyzeArgs): LogWords => ({
  pacemaker: listOf(own["pacemaker-log"]),
  corosync: listOf(own["corosync-log"]),
  dlm: listOf(own["dlm-log"]),
  dmesg: listOf(own.dmesg),
  history: listOf(own.history).at(-1),
  corosyncConf: listOf(own["corosync-conf"]).at(-1),
});

type Held = { incident: Incident; rank: number; awayMs: number };

/** Our own incidents of that node. Without FILE a log that is not there is one source less, not an error. */
async function recordsOf(
  context: ProgramContext,
  args: AnalyzeArgs,
  target: string,
  atMs: number | undefined,
  wanted: string | undefined,
): Promise<{ incidents: Incident[]; reason?: string }> {
  const held: Held[] = [];
  const awayMs = ({ startedMs }: Incident): number => (atMs === undefined ? -startedMs : Math.abs(startedMs - atMs));
  const isWanted = ({ id, events, outcomes }: Incident): boolean =>
    wanted !== undefined &&
    [id, ...[...events, ...outcomes].map(({ eventId }) => eventId)].some((one) => one?.startsWith(wanted));
  const rankOf = (one: Incident): number => (isWanted(one) ? 2 : matchesIncident(args.filters, one) ? 1 : 0);
  // Its name is one name, whatever it looks like: no glob. What came before and after the fence asked for counts too.
  const filters: Filters = { ...NO_FILTERS, nodes: isGlob(target) ? [] : [target.toLowerCase()] };
  try {
    await withLogs(context, { ...args, filters }, async (logs) => {
      for await (const batch of readIncidentBatches(logs))
        for (const incident of batch) {
          if (incident.target.toLowerCase() !== target.toLowerCase()) continue;
          held.push({ incident, rank: rankOf(incident), awayMs: awayMs(incident) });
          if (held.length <= HELD) continue;
          const least = held.reduce((a, b) => (b.rank < a.rank || (b.rank === a.rank && b.awayMs > a.awayMs) ? b : a));
          held.splice(held.indexOf(least), 1);
        }
    });
    return { incidents: held.map(({ incident }) => incident) };
  } catch (error) {
    if (!(error instanceof OpsError) || args.files.length > 0 || args.strict) throw error;
    return { incidents: [], reason: error.message };
  }
}

// ---- for programs ------------------------------------------------------------------------------------------------

type NotRead = ClusterLogs["notRead"];

const place = (point: { timeMs: number; evidence: Evidence; what: string } | undefined) =>
  point === undefined
    ? null
    : { time: isoOf(point.timeMs), what: point.what, file: point.evidence.file, line: point.evidence.line };

/** Undefined where only its end is known, or a clock of whole seconds puts that before its beginning. */
const tookMs = ({ startedMs, completedMs }: Explanation): number | undefined =>
  startedMs !== undefined && completedMs !== undefined && completedMs > startedMs ? completedMs - startedMs : undefined;

/** The time it is known by. */
const knownMs = ({ startedMs, completedMs }: Explanation): number | undefined => startedMs ?? completedMs;

const explanationRecord = (page: Explanation, notRead: NotRead) => ({
  target_node: page.target,
  incident: page.id,
  action: page.action,
  result: page.result,
  fenced_by: page.devices ?? null,
  left_off: page.leftOff ?? null,
  started: isoOf(page.startedMs),
  completed: isoOf(page.completedMs),
  duration_is_minimum: tookMs(page) === undefined ? null : page.isStartLate,
  duration_ms: tookMs(page) ?? null,
  gfs2_filesystems: page.filesystems ?? null,
  lockspaces: page.lockspaces.map(({ lockspace, from, until, blockedMs, exact }) => ({
    name: lockspace,
    blocked_from: place(from),
    blocked_until: place(until),
    blocked_ms: blockedMs ?? null,
    exact,
  })),
  findings: page.findings.map(({ topic, timeMs, text, evidence }) => ({
    topic,
    time: isoOf(timeMs),
    text: text.trim(),
    file: evidence.file,
    line: evidence.line,
  })),
  not_known: page.gaps,
  not_read: notRead,
  clocks: page.clocks,
  others: page.others.map(({ id, timeMs }) => ({ id, time: isoOf(timeMs) })),
});

// ---- for people --------------------------------------------------------------------------------------------------

const TITLES = {
  "last-sign": "Last sign of life",
  noticed: "Who noticed",
  decided: "Who decided, and why",
  attempts: "Devices",
  result: "Result",
  recorded: "Recorded",
  gfs2: "GFS2",
  resources: "What ran there",
  return: "Did it come back",
} as const satisfies Record<Topic, string>;

const TIME_COLUMN = 12;
/** On a wider screen the eye loses the line between what is said and where it stands. */
const WIDEST = 110;

function renderPage(page: Explanation, notRead: NotRead, { terminal }: ProgramContext): string {
  const columns = Math.min(terminal.columns, WIDEST);
  const paint = paintFor(terminal);
  const short = shortNames([
    ...page.findings.map(({ evidence }) => evidence.file),
    ...page.clocks.map(({ file }) => file),
  ]);
  const ms = tookMs(page);
  const took = ms === undefined ? "" : ` after ${page.isStartLate ? "at least " : ""}${formatDuration(ms)}`;
  const dayMs = knownMs(page);
  const when = dayMs === undefined ? "" : `, ${page.startedMs === undefined ? "ended " : ""}${showTime(dayMs)}`;
  let text = paint.bold(wrapText(visible(`${page.target}: ${outcomeOf(page)}${took}${when}`), columns, 2).trimEnd());
  text += "\n";
  for (const line of summaryOf(page)) text += wrapText(visible(line), columns, 2);
  for (const topic of TOPICS) {
    const findings = page.findings.filter((finding) => finding.topic === topic);
    const gaps = page.gaps.filter((gap) => gap.topic === topic);
    if (findings.length + gaps.length === 0) continue;
    text += `\n${paint.bold(TITLES[topic])}\n`;
    for (const { timeMs, text: words, evidence } of findings) {
      const time = `  ${clockTime(timeMs, dayMs).padEnd(TIME_COLUMN - 4)}  `;
      const shown = visible(words);
      const source = `${short.get(evidence.file) ?? evidence.file}${evidence.line > 0 ? `:${evidence.line}` : ""}`;
      const room = columns - [...time].length - [...shown].length - [...source].length;
      if (room >= 2) text += `${time}${shown}${" ".repeat(room)}${paint.dim(visible(source))}\n`;
      else text += `${wrapText(shown, columns, TIME_COLUMN, time)}${paint.dim(visible(source).padStart(columns))}\n`;
    }
    const mark = `  ${"?".padEnd(TIME_COLUMN - 4)}  `;
    for (const gap of gaps) text += paint.yellow(wrapText(visible(gap.text), columns, TIME_COLUMN, mark));
  }
  text += `\n${paint.bold("Sources")}\n`;
  for (const basis of Object.keys(CLOCKS) as (keyof typeof CLOCKS)[]) {
    const files = page.clocks.filter((clock) => clock.basis === basis);
    if (files.length === 0) continue;
    text += wrapText(`  ${CLOCKS[basis]}:`, columns, 4);
    for (const { file } of files) text += `    ${visible(file)}\n`;
  }
  for (const { source, reason } of notRead)
    text += wrapText(`  ${visible(source)}: not read: ${visible(reason)}`, columns, 4);
  if (page.others.length > 0) {
    const nearest = page.others
      .filter(({ timeMs }) => Number.isFinite(timeMs))
      .sort((a, b) => Math.abs(a.timeMs - (knownMs(page) ?? 0)) - Math.abs(b.timeMs - (knownMs(page) ?? 0)))
      .slice(0, 3)
      .map(({ timeMs }) => showTime(timeMs));
    text += `\n${wrapText(`${page.others.length} more ${page.others.length === 1 ? "operation" : "operations"} on this node known; nearest ${nearest.join(", ")} (--at TIME)`, columns, 2)}`;
  }
  return text;
}

/** Pacemaker calls a reboot a success that switched the node off and never on. */
function outcomeOf({ action, result, leftOff }: Explanation): string {
  if (leftOff) return `switched off and not on again by this operation (Pacemaker says: ${action} ${result})`;
  return `${action} ${result === "unknown" ? "(result not known)" : result}`;
}

/** For those who read three lines. */
function summaryOf(page: Explanation): string[] {
  const reason = page.findings.find(({ topic, text }) => topic === "decided" && text.startsWith("scheduler: "))?.text;
  const blocked = page.lockspaces.map(({ lockspace, from, blockedMs, exact }) =>
    blockedMs === undefined
      ? `${lockspace} ${from ? `since ${clockTime(from.timeMs, knownMs(page))}, no recovery seen` : "for a time not known"}`
      : `${lockspace} ${exact ? "" : "at least "}${formatDuration(blockedMs)}`,
  );
  // Its Pacemaker may have started without anybody having it back.
  const back = page.findings.find(({ topic, text }) => topic === "return" && /^(joined|Pacemaker on)/.test(text));
  const by = page.devices?.join(", ");
  const only = page.isRecorderAlone ? " alone, by its name a recorder: no line shows that the power was cut" : "";
  return [
    ...(by === undefined ? [] : [`fenced by: ${by}${only}`]),
    ...(reason === undefined ? [] : [`reason: ${reason.replace("scheduler: will be fenced: ", "")}`]),
    ...(blocked.length === 0 ? [] : [`GFS2 blocked: ${blocked.join(", ")}`]),
    back?.timeMs === undefined ? "back in the cluster: not known" : `back in the cluster: ${showTime(back.timeMs)}`,
    `incident ${page.id}`,
    `times: ${showZone()}`,
  ];
}

const CLOCKS = {
  written: "Times are complete in",
  anchored: "Year and zone follow from epoch times in",
  borrowed: "Year and zone are taken from those files for",
  assumed: "The file's year and this machine's zone are assumed in",
  unknown: "Nothing ties the clock to a day in",
} as const satisfies Record<Explanation["clocks"][number]["basis"], string>;

/** The time of day; the whole date where it is another day than the fence's. */
function clockTime(timeMs: number | undefined, startedMs: number | undefined): string {
  if (timeMs === undefined) return "?";
  const [day, time = "?"] = showTime(timeMs).split(" ");
  return startedMs !== undefined && showTime(startedMs).startsWith(day ?? "") ? time : `${day} ${time}`;
}

/** Names without their directories, as far as they stay different. */
function shortNames(files: readonly string[]): Map<string, string> {
  const unique = [...new Set(files)];
  const short = new Map<string, string>();
  for (const file of unique) {
    const parts = file.split("/");
    let size = 1;
    const tail = (path: string) => path.split("/").slice(-size).join("/");
    while (size < parts.length && unique.some((other) => other !== file && tail(other) === tail(file))) size += 1;
    short.set(file, tail(file));
  }
  return short;
}
