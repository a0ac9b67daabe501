/**
 * When garbage is collected. On a machine with much memory the runtime lets it grow to hundreds of MB before it looks
 * (measured: 180 MB for a million events), and no query may need more than 96 MB.
 */
const COLLECT_BYTES = 1 * 1024 * 1024;
const COLLECT_ABOVE_BYTES = 66 * 1024 * 1024;

/** Who counts: bytes parsed, and garbage made of them, since it was last collected. */
export type Spender = { garbageBytes?: number };

/** Counts what a line, or what a subcommand made of it, leaves behind, in bytes as they are parsed. */
export function leaveGarbage(spender: Spender, bytes: number): void {
  spender.garbageBytes = (spender.garbageBytes ?? 0) + bytes;
}

export function collectGarbage(spender: Spender): void {
  if ((spender.garbageBytes ?? 0) <= COLLECT_BYTES) return;
  spender.garbageBytes = 0;
  if (process.memoryUsage.rss() > COLLECT_ABOVE_BYTES) Bun.gc(true);
}
