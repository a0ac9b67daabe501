/**
 * The part that every log reader shares: remember what a line said and when it claims to have been written, and put
 * the instants in once the whole file is known.
 */
import type { Anchor, Stamp, Tie } from "../../core/log-clock.ts";
import { parseStamp, resolveStamps } from "../../core/log-clock.ts";
import type { FactDetail, LogFact, LogFile, LogKind } from "./fact.ts";

export type Pending = { detail: FactDetail; stamp: Stamp; line: number; host: string | undefined };

export function stampedFile(
  kind: LogKind,
  { file, modifiedMs }: { file: string; modifiedMs: number },
  pending: readonly Pending[],
  anchors: readonly Anchor[],
  lines: number,
  borrowed?: Tie,
  /** Of its first and its last line. */
  ends: readonly [Stamp, Stamp] | readonly [] = [],
): LogFile {
  const [first, last] = ends;
  const stamps = [...(first ? [first] : []), ...pending.map(({ stamp }) => stamp), ...(last ? [last] : [])];
  const at = first ? 1 : 0;
  const { timesMs, basis, tie } = resolveStamps(stamps, {
    modifiedMs,
    anchors: anchors.map(({ index, epochMs }) => ({ index: index + at, epochMs })),
    borrowed,
  });
  const facts: LogFact[] = pending.map(({ detail, line, host }, index) => ({
    ...detail,
    timeMs: timesMs[index + at],
    evidence: { file, line },
    host,
  }));
  return { kind, file, facts, clock: basis, tie, fromMs: first && timesMs[0], untilMs: last && timesMs.at(-1), lines };
}

/** A last line that was cut, and so has no stamp, leaves a file without its ends: nobody knows what it reaches over. */
export function endsOf(first: Stamp | undefined, lastText: string): readonly [Stamp, Stamp] | readonly [] {
  const last = parseStamp(lastText)?.stamp;
  return first && last ? [first, last] : [];
}
