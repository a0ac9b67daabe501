/**
 * What a subcommand is given: the world and the words. Nothing in this folder reads argv, the environment or a terminal
 * by itself, so a test gives it others.
 */
import type { Argv } from "../core/exec.ts";
import type { Host } from "../core/host.ts";

export type Terminal = {
  /** Columns of the screen; 200 where stdout is no terminal, unless $COLUMNS says otherwise. */
  columns: number;
  /** Whether stdout takes colour: a terminal, and NO_COLOR is not set. */
  colour: boolean;
  isTerminal: boolean;
};

export type AnalyzeContext = {
  host: Host;
  env: Readonly<Record<string, string | undefined>>;
  /** Writes to stdout, all of it, before it resolves. Rejects with ClosedPipe when nobody reads any more. */
  out: (text: string | Uint8Array) => Promise<void>;
  /** Writes lines to stderr. */
  err: (text: string) => void;
  stdin: () => AsyncIterable<Uint8Array>;
  terminal: Terminal;
  /** How this program is started again, for half of a big file on another core; without it one core does it all. */
  self?: Argv;
};

export { ClosedPipe } from "../core/streams.ts";
