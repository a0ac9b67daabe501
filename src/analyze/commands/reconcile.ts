/**
 * `reconcile`: Pacemaker's fencing history against our record. --json: one object. Exit 1 when they differ, as diff does.
 */

import { counted } from "../../core/text.ts";
import type { HistoryEntry } from "../../records/fencing-history.ts";
import { type AnalyzeCommand, withLogs } from "../command.ts";
import type { AnalyzedEvent } from "../event.ts";
import { type Filters, matchesEvent, matchesName, NO_FILTERS } from "../filter.ts";
import { matchesLines } from "../incident-filter.ts";
import { isoOf } from "../incident-record.ts";
import { writtenIn } from "../incidents.ts";
import { historyWrittenMs, LIVE, readHistory } from "../logs/sources.ts";
import { inTime } from "../read-incidents.ts";
import { differences, reconcile as match, type ReconciledFence, type Reconciliation } from "../reconcile.ts";
import { visible } from "../report/words.ts";
import { paintFor, showTime, showZone } from "../table.ts";
import { wrapText } from "../wrap.ts";
import { parseDuration } from "./patterns.ts";

const EXIT_DIFFERENT = 1;

export const reconcile: AnalyzeCommand = {
  command: "reconcile [files..]",
  describe: [
    "Compares the record with Pacemaker's own fencing history: fences that nobody recorded, and records without a fence. Exit 1 when there are any.",
    "Pacemaker keeps the last 500 fences in memory, none over a restart of the whole cluster: older lines are counted and not judged, lines made by hand neither.",
    "A line belongs to the first fence of its node that ended at or after it and covers its action (a reboot: off, on, reboot), at most --longest later; else to the last that ended at most --tolerance before it. That last one has it also where it is without a line of that action and the other ended over 60 s after the line (over 10 min where it failed, as it is then asked for again at once), or where it succeeded and the other keeps one more line of that recorder and action. Where a line names who asked, a fence of that request comes first. Entries that differ only in who asked (another program or node) and ended within 1 s are one fence: a merged request. Where the history has whole seconds, fences of one node that ended in the same second cannot be told apart.",
    "Filters choose what is told, and counts for the exit code: a fence by its own words (--status: of the history) and by its lines for --fs and --recorder (those of recorders), --source and --grep, so a fence without a line is none of those, and its GFS2 context unknown.",
    "What precedes the first fence of a node in the history may be of one that it no longer holds (a clean-up can empty it for one node): a fence whose only lines lie more than 10 min before its end (an on: 5 min) cannot be judged, unless an alert says that it had begun, and counts for the exit code. One that runs is not judged. A line that an alert ties to a fence which the history does not hold is not judged either.",
    "A fence is recorded when a line for its off or reboot is there. A failed fence may never have reached the recorder: a device before it in its level ended it.",
  ].join("\n\n"),
  statuses: ["success", "succeeded", "failed", "pending"], // of the history
  options: {
    history: {
      describe: "`live`, or a FILE of stonith_admin --history '*' --verbose --output-as=xml",
      type: "string",
      default: LIVE,
    },
    longest: { describe: "a fence takes at most this long", type: "string", default: "30m" },
    tolerance: { describe: "clocks of two nodes differ by at most this", type: "string", default: "5s" },
  },
  examples: [
    ["reconcile", "on a cluster node: is everything recorded?"],
    ["reconcile --history history.xml /srv/collected", "elsewhere, with the logs of all recorders"],
    ["reconcile --json | jq -r '.fences[].recorded_as'", "what was recorded of each, for a program"],
  ],
  async run(context, args) {
    const option = (name: string) => String(Array.isArray(args.own[name]) ? args.own[name].at(-1) : args.own[name]);
    const longestMs = parseDuration(option("longest"), "longest");
    const toleranceMs = parseDuration(option("tolerance"), "tolerance");
    const { nodes, sinceMs } = args.filters;
    const writtenMs = await historyWrittenMs(context, option("history"));
    const history = (await readHistory(context, option("history"))).filter(({ target }) => matchesName(nodes, target));
    const found = await withLogs(context, args, async (logs) => {
      const ends = history.flatMap(({ completedMs, status }) => completedMs ?? (status === "pending" ? writtenMs : []));
      const lines: AnalyzedEvent[] = [];
      // Older lines are counted, not held: a history of 500 entries reaches as far as it reaches.
      const reachMs = Math.min(...ends) - longestMs;
      let older = 0;
      for await (const batch of inTime(logs, {
        ...NO_FILTERS,
        nodes,
        sinceMs: sinceMs === undefined ? undefined : sinceMs - longestMs,
      })) {
        for (const event of batch) {
          if (event.timeMs < reachMs) older += 1;
          else lines.push(event);
        }
      }
      const result = match(history, lines, { longestMs, toleranceMs, writtenMs });
      return {
        ...result,
        beforeHistory: result.beforeHistory + older,
        fences: result.fences.filter((fence) => isAskedFor(args.filters, fence)),
        withoutFence: result.withoutFence.filter((event) => matchesEvent(args.filters, event)),
      };
    });
    const { limit = Number.POSITIVE_INFINITY, reverse } = args.filters;
    const some = <T>(all: readonly T[]): T[] => (reverse ? all.toReversed() : [...all]).slice(0, limit);
    if (args.json) await context.out(`${JSON.stringify(reconciliationRecord(found, some))}\n`);
    else await context.out(render(found, some, context.terminal.columns, paintFor(context.terminal).bold));
    return differences(found) > 0 ? EXIT_DIFFERENT : 0;
  },
};

/** Which filesystems, who recorded it and in what words only its lines say. */
function isAskedFor(
  filters: Filters,
  { target, action, completedMs, entries, events, doubtful, outcomes }: ReconciledFence,
): boolean {
  const { sinceMs = Number.NEGATIVE_INFINITY, untilMs = Number.POSITIVE_INFINITY } = filters;
  const lines = [...events, ...doubtful];
  return (
    matchesName(filters.nodes, target) &&
    matchesName(filters.actions, action) &&
    (filters.statuses.length === 0 ||
      entries.some(({ status }) => namesOf(status).some((name) => matchesName(filters.statuses, name)))) &&
    (completedMs === undefined || (completedMs >= sinceMs && completedMs <= untilMs)) &&
    matchesLines(filters, { ...writtenIn(lines), events: lines, outcomes })
  );
}

/** The history's word, and that of our lines. */
const namesOf = (status: HistoryEntry["status"]): string[] => (status === "success" ? [status, "succeeded"] : [status]);

type Some = <T>(all: readonly T[]) => T[];

const entryRecord = ({ action, client, origin, delegate, status, completedMs, reason, evidence }: HistoryEntry) => ({
  action,
  client,
  origin,
  delegate: delegate ?? null,
  status,
  completed: isoOf(completedMs),
  reason: reason ?? null,
  file: evidence.file,
  line: evidence.line,
});

const lineRecord = ({ evidence, timeMs, action, target, status, recorder, eventId }: AnalyzedEvent) => ({
  file: evidence.file,
  line: evidence.line,
  event_id: eventId ?? null,
  time: isoOf(timeMs),
  action,
  target_node: target,
  status,
  recorder_node: recorder,
});

const reconciliationRecord = (found: Reconciliation, some: Some) => ({
  differences: differences(found),
  history_since: isoOf(found.reachMs),
  fences: some(found.fences).map(
    ({ target, action, completedMs, recordedAs, entries, events, doubtful, outcomes }) => ({
      target_node: target,
      action,
      status: entries[0]?.status ?? null,
      completed: isoOf(completedMs),
      recorded_as: recordedAs,
      history: entries.map(entryRecord),
      lines: [...events, ...outcomes].map(lineRecord),
      doubtful_lines: doubtful.map(lineRecord),
    }),
  ),
  without_fence: some(found.withoutFence).map(lineRecord),
  not_judged: { before_history: found.beforeHistory, manual: found.manual },
});

const WORDS = {
  recorded: "recorded",
  partly: "only the on half is recorded",
  "outcome-only": "only its outcome, by an alert",
  unrecorded: "nobody recorded it",
  doubtful: "cannot be judged, only old lines may be its",
  pending: "still running",
} as const satisfies Record<ReconciledFence["recordedAs"], string>;

function render(found: Reconciliation, some: Some, columns: number, bold: (text: string) => string): string {
  const { fences, withoutFence, beforeHistory, manual, reachMs } = found;
  const count = (what: ReconciledFence["recordedAs"]) => fences.filter(({ recordedAs }) => recordedAs === what).length;
  const line = (text: string, indent = 2) => wrapText(`${" ".repeat(indent)}${visible(text)}`, columns, indent + 2);
  const doubtful = fences.filter(({ recordedAs }) => recordedAs === "doubtful");
  const missing = fences.filter(
    ({ recordedAs }) => recordedAs !== "recorded" && recordedAs !== "pending" && recordedAs !== "doubtful",
  );
  const since =
    reachMs !== undefined
      ? `since ${showTime(reachMs)} ${showZone()}`
      : fences.length === 0
        ? "the history is empty: nothing can be compared"
        : "none has ended: nothing can be compared";
  const counts = [
    `${count("recorded")} recorded`,
    `${missing.length} not`,
    ...(doubtful.length > 0 ? [`${doubtful.length} cannot be judged`] : []),
    ...(count("pending") > 0 ? [`${count("pending")} running, not judged`] : []),
  ];
  let text = line(`${counted(fences.length, "fence")} in Pacemaker's history (${since}): ${counts.join(", ")}`, 0);
  const list = (title: string, listed: readonly ReconciledFence[]): void => {
    if (listed.length === 0) return;
    text += `\n${bold(title)}\n`;
    for (const fence of some(listed))
      text += fenceWords(fence)
        .map(([words, indent]) => line(words, indent))
        .join("");
  };
  list("Fences that are not recorded", missing);
  list("Fences that cannot be judged", doubtful);
  if (withoutFence.length > 0) text += `\n${bold("Records without a fence")}\n`;
  for (const { timeMs, action, target, status, recorder, evidence } of some(withoutFence)) {
    text += line(`${showTime(timeMs)}  ${action} of ${target}, ${status} by ${recorder}`);
    text += line(`${evidence.file}:${evidence.line}`, 4);
  }
  if (beforeHistory > 0)
    text += line(
      `${counted(beforeHistory, "line")} of fences that the history does not hold, or of one that runs: not judged.`,
      0,
    );
  if (manual > 0) text += line(`${manual} ${manual === 1 ? "line was" : "lines were"} made by hand and not judged.`, 0);
  return text;
}

/** Lines of text with their indent. */
function fenceWords(fence: ReconciledFence): [words: string, indent: number][] {
  const { target, action, completedMs, recordedAs, entries, doubtful } = fence;
  const [first] = entries;
  const failed = first?.status === "failed" ? " (it failed, perhaps before the recorder was asked)" : "";
  const asked = entries.map(({ client, origin }) => `${client}@${origin}`).join(" and ");
  const by = first?.delegate === undefined ? "" : `, done by ${first.delegate}`;
  return [
    [`${showTime(completedMs ?? Number.NaN)}  ${action} of ${target}: ${WORDS[recordedAs]}${failed}`, 2],
    [`asked by ${asked}${by}; ${first?.evidence.file}:${first?.evidence.line}`, 4],
    ...doubtful.map(({ timeMs, action: recorded, recorder, evidence }): [string, number] => [
      `${showTime(timeMs)}  ${recorded} by ${recorder}, perhaps of an earlier fence; ${evidence.file}:${evidence.line}`,
      4,
    ]),
  ];
}
