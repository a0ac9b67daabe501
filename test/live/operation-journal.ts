/**
 * Watches the journal of a storage operation in a lab from outside: nothing in the program knows of it.
 * Input:  an Operator: where its journals lie, how `fencepost` is started there, how a process there gets a signal.
 * Output: what became of the operation, and of its journal.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Output } from "./cluster.ts";

export type JournalLine = { record: string; step?: string; state?: string; detail?: string; process?: { pid: number } };
export type Operator = {
  directory: string;
  /** `under`: the words of another program that is to start it. */
  start: (words: string, under: readonly string[]) => Promise<Output>;
  signal: (name: string, pid: number) => Promise<unknown>;
};
export type Met = { id: string; pid: number; record: string };

/**
 * Holds the program for a moment after every record, when that is on disk: so a test that looks every few milliseconds
 * misses none, on a quick machine and on one that stalls. Only the journal is synced by fdatasync; what the program
 * starts is let go of.
 */
const PACED = [
  ...["strace", "-D", "-f", "-b", "execve", "-qq", "-o", "/dev/null"],
  ...["-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_exit=500000"],
];

/** Of the operation `id`; whole lines only: the last may be half written. None where there is no such journal. */
export function linesOf({ directory }: Pick<Operator, "directory">, id: string): JournalLine[] {
  const path = join(directory, `${id}.jsonl`);
  if (id === "" || !existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
  return lines.flatMap((line) => (line.endsWith("}") ? [JSON.parse(line) as JournalLine] : []));
}
const nameOf = ({ record, step, state }: JournalLine): string => [record, step, state].filter(Boolean).join(" ");
export const recordsOf = (operator: Operator, id: string): string[] => linesOf(operator, id).map(nameOf);

/** The ids of all operations there, oldest first. */
export const idsOf = ({ directory }: Pick<Operator, "directory">): string[] =>
  (existsSync(directory) ? readdirSync(directory) : [])
    .filter((name) => /^[^.].*\.jsonl$/.test(name))
    .map((name) => name.replace(".jsonl", ""))
    .sort();

/** Runs it, and acts as soon as a record that `isIt` takes is on disk: once. `met` is missing when none came before the end. */
export async function runUntil(
  operator: Operator,
  words: string,
  isIt: (record: string) => boolean,
  act: (met: Met) => Promise<unknown>,
  under: readonly string[] = [],
): Promise<{ id: string; met: Met | undefined; output: Output }> {
  const known = new Set(idsOf(operator));
  let [, id = ""] = /^journal \S+ (\S+)/.exec(words) ?? [];
  const from = linesOf(operator, id).length;
  let isOver = false;
  const running = operator.start(words, under).finally(() => {
    isOver = true;
  });
  let met: Met | undefined;
  // One more look after the end: the last record may be younger than the look before.
  for (let isLast = false; met === undefined && !isLast; ) {
    isLast = isOver;
    id ||= idsOf(operator).find((one) => !known.has(one)) ?? "";
    const lines = linesOf(operator, id);
    const record = lines.slice(from).map(nameOf).find(isIt);
    if (record !== undefined) {
      met = { id, record, pid: lines.findLast((line) => line.process)?.process?.pid ?? 0 };
      await act(met);
    } else await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return { id, met, output: await running };
}

/** Starts it, and is back when the record is on disk; the program goes on. */
export function begin(operator: Operator, words: string, isIt: (record: string) => boolean) {
  return new Promise<Met & { ended: Promise<Output> }>((resolve, reject) => {
    // nsenter stops when its child does, so it is given another one.
    const under = ["setsid", "-f", "-w", ...PACED];
    const all = runUntil(operator, words, isIt, async (met) => resolve({ ...met, ended }), under);
    const ended = all.then(({ output }) => output);
    // Of no effect when it was met.
    all.then(({ output }) => reject(new Error(`ended before: exit ${output.exitCode}: ${output.stderr}`)), reject);
  });
}

/** Kills the program with SIGKILL once the record is on disk, before anything else happens. */
export const runAndKill = (operator: Operator, words: string, isIt: (record: string) => boolean) =>
  runUntil(operator, words, isIt, ({ pid }) => operator.signal("KILL", pid), PACED);

/**
 * Runs it and kills it with SIGKILL after every record of its journal that is not like one it was killed after, going on
 * with the journal each time; but after the record `anew` it is run again from the start.
 * Output: the journal's id, and what it was killed after.
 */
export async function killAtEachRecord(
  operator: Operator,
  first: string,
  goOn: "resume" | "undo" = "resume",
  anew?: string,
): Promise<{ id: string; kills: string[] }> {
  const kills: string[] = [];
  for (let command = first; kills.length < 60; ) {
    const isNew = (record: string): boolean => record !== "run" && !kills.includes(record);
    const { id, met, output } = await runAndKill(operator, command, isNew);
    if (met) kills.push(met.record);
    // Killed after its last record it is over, and there is nothing to go on with.
    if (output.exitCode === 0 || /it is (done|undone): nothing to/.test(output.stderr)) return { id, kills };
    if (!met) throw new Error(`${command}: exit ${output.exitCode}: ${output.stderr}`);
    command = met.record === anew ? first : `journal ${goOn} ${id}`;
  }
  throw new Error(`killed too often: ${kills.join(", ")}`);
}
