/**
 * What the benchmarks share: measuring commands in turn, rows with a target, the table.
 * Method: pairs in turn (A B A B), two warm-up pairs, medians; measured by bench/measure.py, the same way for both.
 */
import { join } from "node:path";
import { Chalk } from "chalk";
import { type Output, run } from "../test/live/cluster.ts";
import { type Need, readMissing } from "../test/live/needs.ts";

const MEASURE = join(import.meta.dirname, "measure.py");

export type Sample = { exit: number; wall_ms: number; rss_kb: number; mark_ms: number | null };
export type Command = {
  argv: readonly string[];
  env?: Record<string, string>;
  stdin?: string;
  watch?: string;
  write?: string;
  pause?: number;
};
export type Row = {
  what: string;
  against: string;
  unit: string;
  ours?: number;
  peer?: number;
  result?: number;
  result_kind: "ratio" | "difference" | "value";
  target: number;
  met?: boolean;
  pairs?: number;
  note?: string;
};

export function row(what: string, against: string, unit: string, result_kind: Row["result_kind"], target: number): Row {
  return { what, against, unit, result_kind, target };
}

export function decide(base: Row, ours: number, peer: number | undefined, samples: readonly Sample[]): Row {
  const result =
    base.result_kind === "ratio"
      ? ours / (peer ?? NaN)
      : base.result_kind === "difference"
        ? ours - (peer ?? NaN)
        : ours;
  const failed = samples.filter(({ exit }) => exit !== 0).length;
  return {
    ...base,
    ours,
    ...(peer === undefined ? {} : { peer }),
    result,
    met: result <= base.target,
    pairs: samples.length,
    ...(failed > 0 ? { note: `${failed} of ${samples.length} runs did not exit 0`, met: false } : {}),
  };
}

/** Adds a remark to a row that may have one already. */
export function remark(entry: Row, text: string): Row {
  return { ...entry, note: entry.note ? `${entry.note}; ${text}` : text };
}

export function missing(...needs: Need[]): string | undefined {
  const names = readMissing(needs);
  return names.length === 0 ? undefined : `not measured, missing: ${names.join(", ")}`;
}

export type Where = (argv: readonly string[], stdin: string) => Promise<Output>;
export async function sample(
  pairs: number,
  commands: readonly Command[],
  where: Where = (argv, stdin) => run(argv, { input: stdin, timeoutMs: 2 * 3_600_000 }),
  warmup = 2,
): Promise<Sample[][]> {
  const request = JSON.stringify({ rounds: pairs, warmup, commands });
  const result = await where(["/usr/bin/python3", "-I", "-S", MEASURE], request);
  if (result.exitCode !== 0) throw new Error(`measure.py: exit ${result.exitCode}: ${result.stderr}`);
  return JSON.parse(result.stdout) as Sample[][];
}

export function wallOf(samples: readonly Sample[]): number {
  return median(samples.map(({ wall_ms }) => wall_ms));
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? NaN)
    : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
}

export function number(value: number | undefined): string {
  if (value === undefined) return "–";
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export function renderTable(rows: readonly Row[], machine: string): string {
  const chalk = new Chalk({ level: process.stdout.isTTY ? 1 : 0 });
  const suffix = { ratio: "×", difference: " more", value: "" } as const;
  const limit = (entry: Row, value: number | undefined) =>
    value === undefined
      ? "–"
      : entry.result_kind === "ratio"
        ? `${value.toFixed(3)}×`
        : `${number(value)} ${entry.unit}${suffix[entry.result_kind]}`;
  const cells = rows.map((entry) => [
    entry.what,
    entry.against,
    entry.ours === undefined ? "–" : `${number(entry.ours)} ${entry.unit}`,
    entry.peer === undefined ? "–" : `${number(entry.peer)} ${entry.unit}`,
    limit(entry, entry.result),
    `≤ ${entry.result_kind === "ratio" ? `${entry.target}×` : limit(entry, entry.target)}`,
    String(entry.pairs || "–"),
    entry.met === undefined ? "not measured" : entry.met ? "met" : "NOT MET",
  ]);
  const table = [["what", "against", "ours", "peer", "result", "reach", "pairs", ""], ...cells];
  const widths = table[0]?.map((_, column) => Math.max(...table.map((line) => line[column]?.length ?? 0))) ?? [];
  const paint = (text: string, column: number) =>
    column !== 7 ? text : text.startsWith("met") ? chalk.green(text) : text === "" ? text : chalk.red(text);
  const lines = table.map((line) =>
    line
      .map((cell, column) => paint(cell.padEnd(widths[column] ?? 0), column))
      .join("  ")
      .trimEnd(),
  );
  const notes = rows.flatMap(({ what, note }) => (note ? [`${what}: ${note}`] : []));
  return [`medians of pairs in turn, ${machine}`, "", ...lines, "", ...notes].join("\n");
}
