/**
 * `incidents`: one line a fence, whatever it was recorded as. --json: one object a line (incident-record.ts).
 * With --history the fences that Pacemaker knows of and nobody recorded stand among them.
 */
import { OpsError } from "../../core/errors.ts";
import type { ProgramContext } from "../../core/program.ts";
import { noBadLines } from "../bad-lines.ts";
import { type AnalyzeArgs, type AnalyzeCommand, withLogs } from "../command.ts";
import { NO_FILTERS } from "../filter.ts";
import { FENCE_STATUSES } from "../incident-filter.ts";
import { idInHistory, incidentRecord } from "../incident-record.ts";
import { type Duration, durationOf, type Incident, LONGEST_FENCE_MS } from "../incidents.ts";
import { fenceFinder, nearFences } from "../known-fences.ts";
import { historyWrittenMs, readHistory } from "../logs/sources.ts";
import type { Logs } from "../read.ts";
import { askedFor, inTime, readWholeBatches } from "../read-incidents.ts";
import { type ReconciledFence, reconcile } from "../reconcile.ts";
import { formatDuration } from "../report/words.ts";
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

/** Narrower than this who recorded it is left out: the times and names need the room. */
const WIDE = 100;

export const incidents: AnalyzeCommand = {
  command: "incidents [files..]",
  describe: [
    "Shows one line for each fence: off and on of one reboot, the lines of several recorders and the outcome that an alert reported are joined.",
    "An `on` joins the `off` of its node at most 10 min before it; lines of one action by several recorders join within 60 s; a second `initiated` line of one recorder is a new fence, unless an outcome that follows both within 10 min shows one fence, whose recorder was asked on several levels; two `refused` lines are one attempt; an outcome takes the lines before its completion (5 s allowed for clocks). With --history the fences are Pacemaker's, each with its lines as `reconcile` finds them. STARTED is when Pacemaker was asked, where an outcome says so, else the first line; then TOOK, known only from an outcome, is a minimum (at least, ≥): another device may have been at work before the recorder.",
    "Each filter asks the fence as a whole: --status its RESULT (initiated, requested and completed: a line of it), --action also the actions of its lines, --fs and --recorder what recorders wrote, --source and --grep any line, --since and --until its start; with --history after the history was asked.",
  ].join("\n\n"),
  statuses: FENCE_STATUSES,
  options: {
    history: {
      describe:
        "add fences that Pacemaker knows of: `live`, or a FILE of stonith_admin --history '*' --verbose --output-as=xml",
      type: "string",
    },
  },
  examples: [
    ["incidents --since yesterday", "the fences since yesterday"],
    ["incidents --node 'compute-*' --reverse --limit 5", "the last five of some nodes"],
    ["incidents --history live", "with those that nobody recorded"],
    ["incidents --json | jq -r .target_node | sort | uniq -c", "fences, not lines, by node"],
  ],
  async run(context, args) {
    await withLogs(context, args, async (logs) => {
      const known = await historyFor(context, args, logs);
      const show = args.json ? jsonLines : textTable(context, known !== undefined);
      let isEmpty = true;
      for await (const batch of askedFor(withHistory(readWholeBatches(logs, known?.fenceOf), known), args.filters)) {
        if (batch.length === 0) continue;
        isEmpty = false;
        await context.out(show(batch));
      }
      if (isEmpty && !args.json) context.err("no incident matches");
    });
    return 0;
  },
};

const jsonLines = (batch: readonly Incident[]): string =>
  batch.map((incident) => `${JSON.stringify(incidentRecord(incident))}\n`).join("");

function textTable({ terminal }: ProgramContext, hasHistory: boolean): (batch: readonly Incident[]) => string {
  const paint = paintFor(terminal);
  const isWide = terminal.columns >= WIDE;
  const columns: Column[] = [
    { title: `STARTED ${showZone()}` },
    { title: "NODE", flexible: true },
    { title: "ACTION" },
    { title: "RESULT", paint: (text) => paintStatus(paint, text) },
    { title: "TOOK", align: "right" },
    { title: "GFS2", flexible: true },
    ...(isWide ? [{ title: "RECORDED BY", flexible: true }] : []),
  ];
  const ended = isWide ? "ended " : "≤";
  let widths: number[] | undefined;
  return (batch) => {
    const rows = batch.map((incident) => [
      `${incident.start === "ended" ? ended : ""}${showTime(incident.startedMs)}`,
      incident.target,
      incident.action,
      incident.result,
      showDuration(durationOf(incident), isWide),
      incident.isRecorded === false ? "not recorded" : showFilesystems(incident),
      ...(isWide ? [recordedBy(incident)] : []),
    ]);
    const title = widths === undefined;
    // The rows to come may need more than the first ones.
    const usual = [
      hasHistory ? `${ended}${showTime(0)}` : "",
      "",
      "reboot",
      "succeeded",
      "",
      hasHistory ? "not recorded" : "",
    ];
    widths ??= fitColumns(columns, [...rows, usual], terminal.columns);
    return renderTable(columns, rows, { terminal, title, widths });
  };
}

/** A minimum in full where there is room. */
function showDuration(duration: Duration | undefined, isWide: boolean): string {
  if (!duration) return "-";
  return `${duration.isMinimum ? (isWide ? "at least " : "≥") : ""}${formatDuration(duration.ms)}`;
}

const recordedBy = ({ events, outcomes, recorders, manual, isRecorded }: Incident): string => {
  if (isRecorded === undefined) return "not known";
  if (manual) return `${recorders.join(", ")} (by hand)`;
  if (events.length > 0) return recorders.join(", ");
  return outcomes.length > 0 ? "nobody (an alert)" : "nobody";
};

// ---- what Pacemaker knows ----------------------------------------------------------------------------------------

type Known = { unrecorded: Incident[]; fenceOf: ReturnType<typeof fenceFinder> };

async function historyFor(context: ProgramContext, { own }: AnalyzeArgs, logs: Logs): Promise<Known | undefined> {
  if (own.history === undefined) return undefined;
  if (logs.inputs.onlyOnce)
    throw new OpsError("usage", "--history: the logs are read twice, so they cannot come from a pipe", {
      hint: `fencepost analyze incidents --history ${String(own.history)} FILE`,
    });
  const history = await readHistory(context, String(own.history));
  const completed = history.flatMap(({ completedMs }) => completedMs ?? []);
  const lines: Incident["events"][number][] = [];
  if (completed.length > 0) {
    const sinceMs = Math.min(...completed) - LONGEST_FENCE_MS;
    const isNear = nearFences(history);
    // Its bad lines are told when they are read once more.
    const first = { ...logs, bad: noBadLines() };
    for await (const batch of inTime(first, { ...NO_FILTERS, sinceMs })) lines.push(...batch.filter(isNear));
  }
  const writtenMs = await historyWrittenMs(context, String(own.history));
  const { fences } = reconcile(history, lines, { writtenMs });
  const unrecorded = fences
    .filter(({ events, outcomes, completedMs }) => events.length + outcomes.length === 0 && completedMs !== undefined)
    .map(fromHistory);
  return { unrecorded, fenceOf: fenceFinder(fences) };
}

/** The history knows when a fence ended, not when it began. */
function fromHistory(fence: ReconciledFence): Incident {
  const { entries, target, action, completedMs } = fence;
  const [first] = entries;
  return {
    id: idInHistory(fence),
    target,
    startedMs: completedMs ?? 0,
    start: "ended",
    completedMs,
    action,
    actions: [],
    result: resultOf(fence),
    reason: first?.reason,
    clients: entries.map(({ client, origin }) => `${client}@${origin}`),
    delegate: first?.delegate,
    device: undefined,
    recorders: [],
    filesystems: [],
    known: "unknown",
    manual: false,
    isRecorded: fence.recordedAs === "doubtful" ? undefined : false,
    events: [],
    outcomes: [],
  };
}

const resultOf = ({ entries }: ReconciledFence): Incident["result"] => {
  const status = entries[0]?.status;
  return status === "success" ? "succeeded" : status === "failed" ? "failed" : "unknown";
};

async function* withHistory(stream: AsyncIterable<Incident[]>, known: Known | undefined): AsyncGenerator<Incident[]> {
  if (!known) {
    yield* stream;
    return;
  }
  const waiting = known.unrecorded.sort((a, b) => a.startedMs - b.startedMs);
  for await (const batch of stream) {
    const mixed: Incident[] = [];
    for (const incident of batch) {
      while (waiting[0] && waiting[0].startedMs < incident.startedMs) {
        mixed.push(waiting.shift() as Incident);
      }
      mixed.push(enriched(incident, known));
    }
    yield mixed;
  }
  yield waiting;
}

/** Where no alert told the outcome, Pacemaker's history does. */
function enriched(incident: Incident, { fenceOf }: Known): Incident {
  const [line] = [...incident.events, ...incident.outcomes];
  const fence = line && fenceOf(line);
  if (!fence) return incident;
  const { completedMs, clients, delegate, reason, isRecorded } = fromHistory(fence);
  if (incident.outcomes.length > 0) return incident.events.length > 0 ? incident : { ...incident, isRecorded };
  // A refused line stays one: that the fence succeeded all the same is another device's doing.
  const result = incident.result === "unknown" ? resultOf(fence) : incident.result;
  return { ...incident, action: fence.action, result, completedMs, clients, delegate, reason };
}
