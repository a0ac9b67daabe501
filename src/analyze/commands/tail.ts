/**
 * `tail`: events and outcomes as they are recorded. --json: the lines as they stand in the log.
 * Ends on a signal, or when nobody reads any more.
 */
import { OpsError } from "../../core/errors.ts";
import { assertLocal } from "../../core/local-path.ts";
import type { ProgramContext } from "../../core/program.ts";
import { kindOf } from "../../core/streams.ts";
import { addBadLine, noBadLines } from "../bad-lines.ts";
import type { AnalyzeCommand } from "../command.ts";
import { decodeLine, isEvent } from "../decode.ts";
import type { AnalyzedEvent } from "../event.ts";
import { type Filters, matchesEvent } from "../filter.ts";
import { DETAILED, logDirectoryOf, OUTCOMES } from "../inputs.ts";
import { visible } from "../report/words.ts";
import { paintFor, showFilesystems, showTime } from "../table.ts";
import { type FollowedLine, type FollowNote, follow } from "../tail.ts";
import { parseCount } from "./patterns.ts";

/** As many ids are remembered, so that a line met again after a copytruncate is not shown again. */
const REMEMBERED = 4_096;

export const tail: AnalyzeCommand = {
  command: "tail [files..]",
  describe:
    "Shows the last events and outcomes, then each new one as it is recorded, until it is stopped. Rotation, truncation and a log or directory that is not there yet are no reason to end. FILE: one log directory, or log files.",
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
    const bad = noBadLines();
    const show = args.json ? ({ raw }: AnalyzedEvent) => `${raw}\n` : textLine(context);
    const seen = new Set<string>();
    const stop = new AbortController();
    const wanted = (text: string): boolean => eventIn(text, "", args.filters) !== undefined;
    const followOne = async (path: string) => {
      for await (const item of follow(context.host, { path, last, wanted, signal: stop.signal })) {
        if ("note" in item) {
          context.err(noteText(item));
          continue;
        }
        const event = eventIn(item.text, path, args.filters);
        if (event === undefined) {
          noteBad(item);
          continue;
        }
        if (event.eventId !== undefined) {
          if (seen.has(event.eventId)) continue;
          seen.add(event.eventId);
          const [oldest] = seen;
          if (seen.size > REMEMBERED && oldest !== undefined) seen.delete(oldest);
        }
        await context.out(show(event));
      }
    };
    const noteBad = ({ text, file }: FollowedLine) => {
      const decoded = decodeLine(text, { file, line: 0 });
      if (isEvent(decoded)) return; // not asked for
      addBadLine(bad, { evidence: { file, line: 0 }, reason: decoded.reason });
      if (args.strict) throw new OpsError("bad-input", `${file}: a line is no fence event: ${decoded.reason}`);
      context.err(`${file}: not shown: ${decoded.reason}`);
    };
    try {
      // The first to fail (a closed pipe, a bad line with --strict) ends them all.
      await Promise.all(paths.map(followOne));
    } finally {
      stop.abort();
    }
    return 0;
  },
};

async function pathsToFollow(context: ProgramContext, files: readonly string[]): Promise<string[]> {
  if (files.includes("-"))
    throw new OpsError("usage", "tail: stdin is no log that can be followed", { hint: "events -" });
  const directories = files.length === 0 ? [await logDirectoryOf(context)] : files;
  const paths: string[] = [];
  for (const path of directories) {
    if (files.length === 0) await assertLocal(path, context.host.readText("/proc/self/mountinfo") ?? "");
    const { kind } = await kindOf(path);
    // What is not there yet is a directory, unless it has the name of a log.
    if (kind === "other")
      throw new OpsError("usage", `tail: ${path}: a pipe is no log that can be followed`, { hint: `events ${path}` });
    const isFile = kind === "file" || (kind === "missing" && /\.(jsonl|log)$/.test(path));
    paths.push(...(isFile ? [path] : [`${path}/${DETAILED}`, `${path}/${OUTCOMES}`]));
  }
  return paths;
}

function eventIn(text: string, file: string, filters: Filters): AnalyzedEvent | undefined {
  const decoded = decodeLine(text, { file, line: 0 });
  return isEvent(decoded) && matchesEvent(filters, decoded) ? decoded : undefined;
}

const NOTES = {
  rotated: "was rotated: going on with the new file",
  truncated: "was truncated: going on from its start",
  waiting: "is not there yet: waiting for it",
  appeared: "is there now",
  "too-long": "has a line of more than 1 MiB: passed over",
} as const satisfies Record<FollowNote["note"], string>;

const noteText = ({ note, file }: FollowNote): string => `${file} ${NOTES[note]}`;

function textLine({ terminal }: ProgramContext): (event: AnalyzedEvent) => string {
  const paint = paintFor(terminal);
  return (event) => {
    const { timeMs, action, target, status, recorder } = event;
    const isBad = status === "refused" || status === "failed";
    const painted = isBad ? paint.red(visible(status)) : paint.green(visible(status));
    return `${showTime(timeMs)}  ${visible(action)}  ${visible(target)}  ${painted}  ${visible(showFilesystems(event))}  by ${visible(recorder)}\n`;
  };
}
