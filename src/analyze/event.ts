/**
 * One recorded event as the analysis sees it, whoever wrote it: our recorder, the original Python one, or only the
 * readable log. Everything else in this folder works on these.
 */
export type Evidence = {
  file: string;
  /** From 1; 0 where the reader was told not to count. */
  line: number;
};

export type AnalyzedEvent = {
  /** What was written, every key untouched (snake_case). */
  record: Readonly<Record<string, unknown>>;
  /** The line as it stands in the file. */
  raw: string;
  evidence: Evidence;
  /** When it happened: time_ms, else timestamp; epoch ms. */
  timeMs: number;
  action: string;
  target: string;
  status: string;
  recorder: string;
  /** stonith, alert, reconcile, manual; `original` for lines of the Python recorder; `readable` for readable lines. */
  source: string;
  /** Names as recorded, without the format's placeholder words; `known` tells unknown from none. */
  filesystems: readonly string[];
  known: "found" | "none" | "unknown" | "disabled";
  eventId: string | undefined;
};

/** A line that is no event: named, counted, never dropped in silence. */
export type BadLine = { evidence: Evidence; reason: string };
