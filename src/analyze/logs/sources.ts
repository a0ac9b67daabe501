/**
 * Where the cluster's own logs are: files that were named, or the usual places of this node and the tools that answer here.
 * Output: what each of them says, and which could not be read and why. A source that is not there is never an error;
 *         one that was named is.
 * The tools asked (dlm_tool dump, dmesg, stonith_admin) read memory and touch no filesystem; each has a time limit.
 */
import { dirname } from "node:path";
import { OpsError, reasonOf } from "../../core/errors.ts";
import { type Argv, failureOf } from "../../core/exec.ts";
import { errorCode, modifiedMsOf } from "../../core/files.ts";
import { assertLocal } from "../../core/local-path.ts";
import type { Tie } from "../../core/log-clock.ts";
import type { ProgramContext } from "../../core/program.ts";
import { expandPattern, kindOf, readFileBlocks } from "../../core/streams.ts";
import { HISTORY_ARGV, type HistoryEntry, parseHistory } from "../../records/fencing-history.ts";
import { isGlob } from "../filter.ts";
import { compressionOf } from "../inputs.ts";
import { corosyncReader, parseNodeNames } from "./corosync.ts";
import { type DlmReader, dlmReader, dmesgReader, type UptimeZero } from "./dlm.ts";
import { isSame, type LogFile, type LogReader, ownerOf } from "./fact.ts";
import { pacemakerReader } from "./pacemaker.ts";

export type LogWords = {
  pacemaker: readonly string[];
  corosync: readonly string[];
  dlm: readonly string[];
  dmesg: readonly string[];
  history: string | undefined;
  corosyncConf: string | undefined;
};

export type ClusterLogs = {
  logs: LogFile[];
  history: HistoryEntry[];
  nodeNames: Map<number, string>;
  notRead: { source: string; reason: string }[];
};

const USUAL = {
  pacemaker: ["/var/log/pacemaker/pacemaker.log", "/var/log/pacemaker.log"],
  corosync: ["/var/log/cluster/corosync.log", "/var/log/corosync/corosync.log"],
  dlm: ["/var/log/dlm_controld/dlm_controld.log"],
} as const;
const USUAL_CONF = "/etc/corosync/corosync.conf";
const TOOL_TIMEOUT_MS = 10_000;
const DUMP_ARGV: Argv = ["dlm_tool", "dump"];
const DMESG_ARGV: Argv = ["dmesg"];
const MAX_TOOL_BYTES = 32 * 1024 * 1024;
export const LIVE = "live";

/** Any of them named: then nothing but what is named is read, so that another cluster's files are never mixed with ours. */
const areNamed = ({ pacemaker, corosync, dlm, dmesg, history, corosyncConf }: LogWords): boolean =>
  pacemaker.length + corosync.length + dlm.length + dmesg.length > 0 ||
  history !== undefined ||
  corosyncConf !== undefined;

export async function readClusterLogs(context: ProgramContext, target: string, words: LogWords): Promise<ClusterLogs> {
  const result: ClusterLogs = { logs: [], history: [], nodeNames: new Map(), notRead: [] };
  const wanted = areNamed(words) ? words : await usualPlaces(context, result);
  const ends: LogReader["end"][] = [];
  for (const path of await pathsOf(wanted.pacemaker)) {
    ends.push((await feed(path, pacemakerReader({ file: path, modifiedMs: await changedMs(path), target }))).end);
  }
  for (const path of await pathsOf(wanted.corosync)) {
    ends.push((await feed(path, corosyncReader({ file: path, modifiedMs: await changedMs(path) }))).end);
  }
  if (wanted.corosyncConf !== undefined) {
    const conf = textOf(context, wanted.corosyncConf);
    if (conf === undefined)
      throw new OpsError("bad-input", `${wanted.corosyncConf}: no such file`, { hint: `ls -l ${wanted.corosyncConf}` });
    result.nodeNames = parseNodeNames(conf);
  }
  const hosts = ends.map((end) => end().host).filter((host) => host !== undefined);
  const zeros = await readDlm(context, wanted.dlm, result, ends);
  await readDmesg(
    context,
    wanted.dmesg,
    { zeros, nodes: [target, ...result.nodeNames.values(), ...hosts] },
    result,
    ends,
  );
  // Nodes of one cluster keep one zone: what one file tells holds for those that tell nothing.
  const alone = ends.map((end) => end());
  const tie = alone.find((log) => log.tie !== undefined)?.tie;
  result.logs = alone.map((log, index) => (log.clock === "assumed" && tie ? (ends[index]?.(tie) ?? log) : log));
  await readHistoryInto(context, wanted.history, result);
  return result;
}

async function usualPlaces(context: ProgramContext, result: ClusterLogs): Promise<LogWords> {
  const found = async (what: keyof typeof USUAL): Promise<string[]> => {
    let reason = "not there";
    for (const path of USUAL[what]) {
      try {
        await assertLocal(path, context.host.readText("/proc/self/mountinfo") ?? "");
        if ((await kindOf(path)).kind !== "file") continue;
        for await (const _ of readFileBlocks(path)) break;
        return [path];
      } catch (error) {
        reason = reasonOf(error);
      }
    }
    result.notRead.push({ source: USUAL[what][0], reason });
    return [];
  };
  const conf = context.host.readText(USUAL_CONF);
  return {
    pacemaker: await found("pacemaker"),
    corosync: await found("corosync"),
    dlm: [...(await found("dlm")), LIVE],
    dmesg: [LIVE],
    history: LIVE,
    corosyncConf: conf === undefined ? undefined : USUAL_CONF,
  };
}

async function pathsOf(words: readonly string[]): Promise<string[]> {
  const paths: string[] = [];
  for (const word of words) {
    if (word === LIVE) paths.push(word);
    else if ((await kindOf(word)).kind !== "missing") paths.push(word);
    else if (isGlob(word)) {
      const matching = await expandPattern(word);
      if (matching.length === 0)
        throw new OpsError("bad-input", `${word}: matches no file`, { hint: `ls -l ${dirname(word)}` });
      paths.push(...matching);
    } else throw new OpsError("bad-input", `${word}: no such file`, { hint: `ls -l ${word}` });
  }
  return paths;
}

const changedMs = async (path: string): Promise<number> => (await modifiedMsOf(path)) ?? 0;

async function feed<Reader extends Pick<LogReader, "line">>(path: string, reader: Reader): Promise<Reader> {
  let number = 0;
  try {
    for await (const block of readFileBlocks(path, compressionOf(path))) {
      if (block.kind === "oversize") {
        number += 1;
        continue;
      }
      const text = block.bytes.toString("utf8", block.from, block.to);
      const lines = text.split("\n");
      if (text.endsWith("\n")) lines.pop();
      for (const line of lines) {
        number += 1;
        reader.line(line, number);
      }
    }
  } catch (error) {
    throw notReadable(path, error);
  }
  return reader;
}

function notReadable(path: string, error: unknown): unknown {
  if (error instanceof OpsError || errorCode(error) === undefined) return error;
  return new OpsError("io", `${path}: cannot be read: ${reasonOf(error)}`, { cause: error, hint: `ls -l ${path}` });
}

function textOf(context: ProgramContext, path: string): string | undefined {
  try {
    return context.host.readText(path);
  } catch (error) {
    throw notReadable(path, error);
  }
}

function feedText<Reader extends Pick<LogReader, "line">>(text: string, reader: Reader): Reader {
  for (const [index, line] of text.split("\n").entries()) reader.line(line, index + 1);
  return reader;
}

/** stdout of a tool on this node; undefined, with the reason noted, when it has none to give. */
async function ask(context: ProgramContext, argv: Argv, result: ClusterLogs): Promise<string | undefined> {
  const answer = await context.host.run(argv, { timeoutMs: TOOL_TIMEOUT_MS, maxBytes: MAX_TOOL_BYTES });
  const reason = failureOf(answer, TOOL_TIMEOUT_MS);
  if (reason === undefined) return answer.stdout;
  result.notRead.push({ source: argv.slice(0, 2).join(" "), reason });
  return undefined;
}

type Zero = { file: string; at: DlmReader["zero"] };

/** An epoch may have been written some seconds after what it stands beside. */
const SAME_BOOT_MS = 10_000;

/** Their boot; undefined where they are of several: files of two nodes whose names do not tell them apart. */
function sameBoot(zeros: readonly Zero[], borrowed: Tie | undefined): UptimeZero | undefined {
  const all = zeros.flatMap(({ at }) => at(borrowed) ?? []);
  // An epoch is better than a stamp without a year and a zone.
  const sure = all.filter(({ basis }) => basis === "anchored");
  const [first, ...others] = sure.length > 0 ? sure : all;
  return first && others.every(({ epochMs }) => Math.abs(epochMs - first.epochMs) <= SAME_BOOT_MS) ? first : undefined;
}

/** Of the boot that this node is in. */
function zeroHere({ host }: ProgramContext): UptimeZero | undefined {
  const uptime = Number(host.readText("/proc/uptime")?.split(" ")[0] ?? Number.NaN);
  return Number.isFinite(uptime) ? { epochMs: host.now().getTime() - uptime * 1000, basis: "anchored" } : undefined;
}

async function readDlm(
  context: ProgramContext,
  words: readonly string[],
  result: ClusterLogs,
  ends: LogReader["end"][],
): Promise<Zero[]> {
  const zeros: Zero[] = [];
  for (const path of await pathsOf(words)) {
    let reader: DlmReader;
    if (path === LIVE) {
      const text = await ask(context, DUMP_ARGV, result);
      if (text === undefined) continue;
      const options = { file: DUMP_ARGV.join(" "), modifiedMs: context.host.now().getTime(), known: zeroHere(context) };
      reader = feedText(text, dlmReader(options));
    } else reader = await feed(path, dlmReader({ file: path, modifiedMs: await changedMs(path) }));
    ends.push(reader.end);
    if (reader.zero()) zeros.push({ file: path, at: reader.zero });
  }
  return zeros;
}

async function readDmesg(
  context: ProgramContext,
  words: readonly string[],
  { zeros, nodes }: { zeros: readonly Zero[]; nodes: readonly string[] },
  result: ClusterLogs,
  ends: LogReader["end"][],
): Promise<void> {
  const paths = await pathsOf(words);
  for (const path of paths) {
    if (path === LIVE) {
      const text = await ask(context, DMESG_ARGV, result);
      if (text === undefined) continue;
      const zero = zeroHere(context);
      const live = feedText(text, dmesgReader({ file: "dmesg", modifiedMs: context.host.now().getTime() }));
      ends.push((borrowed) => live.endWith(zero, borrowed));
      continue;
    }
    const owner = ownerOf(path);
    const own = zeros.filter(({ file }) => isSame(ownerOf(file), owner));
    // The DLM logs of one node and one dmesg are of one node, unless they are named after two.
    const owners = new Set(zeros.map(({ file }) => ownerOf(file)));
    const isOther = [owner, ...owners].every((name) => nodes.some((node) => isSame(node, name)));
    const fitting = own.length > 0 ? own : paths.length === 1 && owners.size === 1 && !isOther ? zeros : [];
    const reader = await feed(path, dmesgReader({ file: path, modifiedMs: await changedMs(path) }));
    ends.push((borrowed) => reader.endWith(sameBoot(fitting, borrowed), borrowed));
  }
}

async function readHistoryInto(context: ProgramContext, word: string | undefined, result: ClusterLogs): Promise<void> {
  if (word === undefined) return;
  if (word !== LIVE) {
    result.history = await readHistory(context, word);
    return;
  }
  try {
    result.history = await readHistory(context, LIVE);
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    result.notRead.push({ source: HISTORY_ARGV.slice(0, 2).join(" "), reason: error.message });
  }
}

const HISTORY_HINT =
  "--history FILE, written by stonith_admin --history '*' --verbose --output-as=xml on a cluster node";

const LIVE_HISTORY_HINT = "crm_mon -1";

/** When it was written: a file's time, which a copy of it may have made younger. */
export const historyWrittenMs = async (context: ProgramContext, word: string): Promise<number> =>
  word === LIVE ? context.host.now().getTime() : changedMs(word);

/**
 * Pacemaker's history, from a file or of this cluster. Errors: OpsError, as it is the very thing asked for; never of a kind
 * that exits 1: a comparison that was not made is no difference found.
 */
export async function readHistory(context: ProgramContext, word: string): Promise<HistoryEntry[]> {
  if (word !== LIVE) {
    const text = textOf(context, word);
    if (text === undefined) throw new OpsError("bad-input", `${word}: no such file`, { hint: HISTORY_HINT });
    return parsedHistory(text, word, await changedMs(word), HISTORY_HINT);
  }
  const answer = await context.host.run(HISTORY_ARGV, { timeoutMs: TOOL_TIMEOUT_MS, maxBytes: MAX_TOOL_BYTES });
  if (answer.outcome === "not-started") {
    throw new OpsError("missing-tool", `stonith_admin: cannot be started: ${answer.spawnError ?? "unknown"}`, {
      hint: HISTORY_HINT,
    });
  }
  const failure = failureOf(answer, TOOL_TIMEOUT_MS);
  if (failure !== undefined) {
    throw new OpsError(answer.outcome === "timed-out" ? "timeout" : "missing-tool", `fencing history: ${failure}`, {
      hint: LIVE_HISTORY_HINT,
    });
  }
  return parsedHistory(
    answer.stdout,
    HISTORY_ARGV.slice(0, 2).join(" "),
    context.host.now().getTime(),
    LIVE_HISTORY_HINT,
  );
}

function parsedHistory(text: string, file: string, modifiedMs: number, hint: string): HistoryEntry[] {
  try {
    return parseHistory(text, file, modifiedMs);
  } catch (error) {
    if (!(error instanceof OpsError) || error.hint !== undefined) throw error;
    throw new OpsError(error.kind, error.message, { hint, cause: error });
  }
}
