/**
 * Watches the journal of an operation that runs on node1 of a GlusterLab, from outside: nothing in the program knows of it.
 * Input:  a lab; the words of a `fencepost` command. Output: what became of it, and of its journal.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Output } from "./cluster.ts";
import type { GlusterLab } from "./gluster.ts";

type Line = { record: string; step?: string; state?: string; process?: { pid: number } };
const NODE = "node1";

const directoryOf = ({ lab }: GlusterLab): string => join(lab, NODE, "disk/fencepost/journal");
/** Whole lines only: the last may be half written. */
const linesOf = (path: string): Line[] =>
  existsSync(path)
    ? readFileSync(path, "utf8")
        .split("\n")
        .slice(0, -1)
        .flatMap((line) => (line.endsWith("}") ? [JSON.parse(line) as Line] : []))
    : [];
const nameOf = ({ record, step, state }: Line): string => [record, step, state].filter(Boolean).join(" ");

export const recordsOf = (lab: GlusterLab, id: string): string[] =>
  linesOf(join(directoryOf(lab), `${id}.jsonl`)).map(nameOf);

export type Met = { id: string; pid: number; record: string };

/**
 * Runs it, and acts as soon as a record that `isIt` takes is on disk: once. `met` is missing when none came before the end.
 */
export async function runUntil(
  lab: GlusterLab,
  words: string,
  isIt: (record: string) => boolean,
  act: (met: Met) => Promise<unknown>,
): Promise<{ id: string; met: Met | undefined; output: Output }> {
  const directory = directoryOf(lab);
  const known = new Set(existsSync(directory) ? readdirSync(directory) : []);
  let [, id = ""] = /^journal \S+ (\S+)/.exec(words) ?? [];
  const from = id === "" ? 0 : recordsOf(lab, id).length;
  let isOver = false;
  const running = lab.fencepost(NODE, words).finally(() => {
    isOver = true;
  });
  let met: Met | undefined;
  // One more look after the end: the last record may be younger than the look before.
  for (let isLast = false; met === undefined && !isLast; ) {
    isLast = isOver;
    id ||= existsSync(directory)
      ? (readdirSync(directory)
          .find((name) => /^[^.].*\.jsonl$/.test(name) && !known.has(name))
          ?.replace(".jsonl", "") ?? "")
      : "";
    const lines = id === "" ? [] : linesOf(join(directory, `${id}.jsonl`));
    const record = lines.slice(from).map(nameOf).find(isIt);
    if (record !== undefined) {
      met = { id, record, pid: lines.findLast((line) => line.process)?.process?.pid ?? 0 };
      await act(met);
    } else await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return { id, met, output: await running };
}

/** Kills the program with SIGKILL once the record is on disk. */
export const runAndKill = (lab: GlusterLab, words: string, isIt: (record: string) => boolean) =>
  runUntil(lab, words, isIt, ({ pid }) => lab.on(NODE, ["kill", "-9", String(pid)]));
