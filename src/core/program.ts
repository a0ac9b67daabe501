/**
 * What an admin's program is given: the world and the terminal. None of them reads argv, the environment or a terminal by
 * itself, so a test gives it others.
 */
import type { Argv } from "./exec.ts";
import type { Host } from "./host.ts";

export type Terminal = {
  /** Columns of the screen; 200 where stdout is no terminal, unless $COLUMNS says otherwise. */
  columns: number;
  /** Whether stdout takes colour: a terminal, and NO_COLOR is not set. */
  colour: boolean;
  isTerminal: boolean;
};

export type ProgramContext = {
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
