/**
 * Lines that are no events: counted, the first few named on stderr, an error with --strict.
 */
import { OpsError } from "../core/errors.ts";
import type { BadLine } from "./event.ts";

const SHOWN = 5;

export type BadLines = {
  count: number;
  /** The first few. */
  first: BadLine[];
};

export const noBadLines = (): BadLines => ({ count: 0, first: [] });

export function addBadLine(bad: BadLines, line: BadLine): void {
  bad.count += 1;
  if (bad.first.length < SHOWN) bad.first.push(line);
}

/** `FILE:LINE: reason` for the first few, and how many in all. Errors: OpsError bad-input when `strict`. */
export function reportBadLines(bad: BadLines, { strict, err }: { strict: boolean; err: (text: string) => void }): void {
  if (bad.count === 0) return;
  for (const { evidence, reason } of bad.first) err(`${evidence.file}:${evidence.line}: not counted: ${reason}`);
  const total = `${bad.count} ${bad.count === 1 ? "line is" : "lines are"} no fence event`;
  if (strict) throw new OpsError("bad-input", total, { hint: "fencepost analyze verify" });
  if (bad.count > bad.first.length) err(`${total}; the first ${bad.first.length} are shown`);
}
