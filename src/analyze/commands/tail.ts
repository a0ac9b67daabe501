/**
 * `tail`: events and outcomes as they are recorded. --json: the lines as they stand in the log.
 * Ends on a signal, or when nobody reads any more.
 */
import { basename, dirname } from "node:path";
import { OpsError } from "../../core/errors.ts";
import { assertLocal } from "../../core/local-path.ts";
import type { ProgramContext } from "../../core/program.ts";
import { kindOf } from "../../core/streams.ts";
import type { AnalyzeCommand } from "../command.ts";
import { decodeLine, isEvent } from "../decode.ts";
import type { AnalyzedEvent } from "../event.ts";
import { matchesEvent } from "../filter.ts";
import { compressionOf, DETAILED, findInputs, logDirectoryOf, OUTCOMES, rotatedFilesOf } from "../inputs.ts";
import { recordedMs } from "../order.ts";
import { visible } from "../report/words.ts";
import { paintFor, paintStatus, showFilesystems, showTime } from "../table.ts";
import { type FollowedLine, type FollowNote, follow, type Verdict } from "../tail.ts";
import { parseCount } from "./patterns.ts";

/** As many ids are remembered, so that a line met again after a copytruncate is not shown again. */
const REMEMBERED = 4_096;
/** Of each log. */
const SHOWN_BAD = 5;

export const tail: AnalyzeCommand = {
  command: "tail [files..]",
  describe:
    "Shows the last events and outcomes, of rotated files too, then each new one as it is recorded, until it is stopped. Rotation, truncation and a log or directory that is not there yet are no reason to end. FILE: log directories, one that holds those of several recorders, or log files.",
  filters: ["node", "action", "status", "fs", "recorder", "source", "since", "until", "grep"],
  options: {
    lines: { alias: "n", describe: "begin with the last so many (0: none)", type: "string", default: "10" },
  },
  examples: [
    ["tail", "watch this node's recorder"],
    ["tail -n 0 --json | jq -r .target_node", "only new events, for a program"],
    ["tail --node 'compute-*' --action off", "only some of them"],
  ],
  async run(context, args) {
    const last = args.own.lines === "0" ? 0 : parseCount(String(args.own.lines), "lines");
    const paths = await pathsToFollow(context, args.files);
    const rotated = last === 0 ? [] : await Promise.all(paths.map(rotatedFilesOf));
    const show = args.json ? ({ raw }: AnalyzedEvent) => `${raw}\n` : textLine(context);
    const isNew = rememberIds();
    const stop = new AbortController();
    const noteBad = async ({ file, lineNumber }: Omit<FollowedLine, "text">, reason: string) => {
      const place = `${file}:${await lineNumber()}`;
      if (args.strict)
        throw new OpsError("bad-input", `${place}: no fence event: ${reason}`, {
          hint: `fencepost analyze verify ${file}`,
        });
      context.err(`${place}: not shown: ${reason}`);
    };
    /** Of the lines that were there: the last first, because that is how they are read. */
    const bad = paths.map(() => ({ count: 0, last: [] as FollowedLine[] }));
    const decoded = ({ text, file }: FollowedLine) => decodeLine(text, { file, line: 0 });
    const judge = (line: FollowedLine): Verdict => {
      const event = decoded(line);
      if (!isEvent(event)) return "bad";
      return matchesEvent(args.filters, event) ? "wanted" : "other";
    };
    const sources = bad.map((among, index) =>
      follow(context.host, {
        path: paths[index] as string,
        ...{ last, judge, rotated: rotated[index] ?? [], signal: stop.signal },
        noteBad(line) {
          among.count += 1;
          if (among.count <= SHOWN_BAD) among.last.push(line);
        },
      }),
    );
    const goOn = async (source: ReturnType<typeof follow>) => {
      for await (const item of source) {
        if ("note" in item) context.err(noteText(item));
        if (!("text" in item)) continue;
        const event = decoded(item);
        if (!isEvent(event)) await noteBad(item, event.reason);
        else if (matchesEvent(args.filters, event) && isNew(event)) await context.out(show(event));
      }
    };
    try {
      const begun = await Promise.all(sources.map((source) => beginningOf(source, context)));
      for (const line of bad.flatMap(({ last: lines }) => lines.reverse())) {
        const event = decoded(line);
        if (!isEvent(event)) await noteBad(line, event.reason);
      }
      const more = bad.reduce((sum, { count }) => sum + Math.max(0, count - SHOWN_BAD), 0);
      if (more > 0) context.err(`${more} more ${more === 1 ? "line is" : "lines are"} no fence event`);
      // Lines of several logs come in the order in which they were written, however late that was.
      const events = begun.flat().sort((a, b) => recordedMs(a) - recordedMs(b));
      for (const event of events.filter(isNew).slice(-last)) await context.out(show(event));
      // The first to fail (a closed pipe, a bad line with --strict) ends them all.
      await Promise.all(sources.map(goOn));
    } finally {
      stop.abort();
      // Closes their files. Not waited for: a disk that hangs must not hold the end.
      for (const source of sources) source.return(undefined).catch(() => undefined);
    }
    return 0;
  },
};

/** The events that were there already. */
async function beginningOf(
  source: ReturnType<typeof follow>,
  { err }: Pick<ProgramContext, "err">,
): Promise<AnalyzedEvent[]> {
  const events: AnalyzedEvent[] = [];
  for (;;) {
    const { value: item, done } = await source.next();
    if (done || "begun" in item) return events;
    if ("note" in item) err(noteText(item));
    else {
      const event = decodeLine(item.text, { file: item.file, line: 0 });
      if (isEvent(event)) events.push(event);
    }
  }
}

function rememberIds(): (event: AnalyzedEvent) => boolean {
  const seen = new Set<string>();
  return ({ eventId }) => {
    if (eventId === undefined) return true;
    if (seen.has(eventId)) return false;
    seen.add(eventId);
    const [oldest] = seen;
    if (seen.size > REMEMBERED && oldest !== undefined) seen.delete(oldest);
    return true;
  };
}

async function pathsToFollow(context: ProgramContext, files: readonly string[]): Promise<string[]> {
  if (files.includes("-"))
    throw new OpsError("usage", "tail: stdin is no log that can be followed", { hint: "events -" });
  const directories = files.length === 0 ? [await logDirectoryOf(context)] : files;
  const paths: string[] = [];
  for (const path of directories) {
    if (files.length === 0) await assertLocal(path, context.host.readText("/proc/self/mountinfo") ?? "");
    const { kind } = await kindOf(path);
    if (kind === "other")
      throw new OpsError("usage", `tail: ${path}: a pipe is no log that can be followed`, { hint: `events ${path}` });
    if (kind === "file" && compressionOf(path) !== "none")
      throw new OpsError("usage", `tail: ${path}: nothing is added to a compressed log`, { hint: `events ${path}` });
    // What is not there yet is a directory, unless it has the name of a log.
    const isFile = kind === "file" || (kind === "missing" && /\.(jsonl|log)$/.test(path));
    paths.push(...(isFile ? [path] : await logsOf(context, path)));
  }
  return [...new Set(paths)];
}

/** The logs of a directory, or of those in it, that other questions read too; where there are none yet, the recorder's. */
async function logsOf(context: ProgramContext, directory: string): Promise<string[]> {
  try {
    const { directories, events } = await findInputs(context, [directory]);
    return directories.flatMap((place) => {
      const told = events.find(({ name }) => dirname(name) === place && basename(name) !== OUTCOMES);
      return [told?.name ?? `${place}/${DETAILED}`, `${place}/${OUTCOMES}`];
    });
  } catch (error) {
    if (!(error instanceof OpsError && error.kind === "bad-input")) throw error;
    return [`${directory}/${DETAILED}`, `${directory}/${OUTCOMES}`];
  }
}

const NOTES = {
  rotated: "was rotated: going on with the new file",
  truncated: "was truncated: going on from its start",
  waiting: "is not there yet: waiting for it",
  appeared: "is there now",
  "too-long": "has a line of more than 1 MiB: passed over",
  unreadable: "cannot be read: its last lines are not shown",
} as const satisfies Record<FollowNote["note"], string>;

const noteText = ({ note, file }: FollowNote): string => `${file} ${NOTES[note]}`;

function textLine({ terminal }: ProgramContext): (event: AnalyzedEvent) => string {
  const paint = paintFor(terminal);
  return (event) => {
    const { timeMs, action, target, status, recorder } = event;
    const painted = paintStatus(paint, visible(status));
    return `${showTime(timeMs)}  ${visible(action)}  ${visible(target)}  ${painted}  ${visible(showFilesystems(event))}  by ${visible(recorder)}\n`;
  };
}
