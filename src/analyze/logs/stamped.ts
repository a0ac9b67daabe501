/**
 * The part that every log reader shares: remember what a line said and when it claims to have been written, and put
 * the instants in once the whole file is known.
 */
import type { Anchor, Stamp, Tie } from "../../core/log-clock.ts";
import { resolveStamps } from "../../core/log-clock.ts";
import type { FactDetail, LogFact, LogFile, LogKind } from "./fact.ts";

export type Pending = { detail: FactDetail; stamp: Stamp; line: number; host: string | undefined };

export function stampedFile(
  kind: LogKind,
  { file, modifiedMs }: { file: string; modifiedMs: number },
  pending: readonly Pending[],
  anchors: readonly Anchor[],
  lines: number,
  borrowed?: Tie,
  last?: Stamp,
): LogFile {
  const stamps = pending.map(({ stamp }) => stamp);
  // Behind all others it moves no anchor.
  const { timesMs, basis, tie } = resolveStamps(last ? [...stamps, last] : stamps, { modifiedMs, anchors, borrowed });
  const facts: LogFact[] = pending.map(({ detail, line, host }, index) => ({
    ...detail,
    timeMs: timesMs[index],
    evidence: { file, line },
    host,
  }));
  return { kind, file, facts, clock: basis, tie, untilMs: last && timesMs.at(-1), lines };
}
