/**
 * The world outside: commands, files, the clock. Only this module touches files and the clock; the rest is given a
 * `Host`, so that a test can give it another one. The durable log has needs of its own and uses `files.ts`.
 */
import { constants, readdirSync, readFileSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { type Argv, type CommandResult, type RunOptions, runCommand } from "./exec.ts";

export type Host = {
  run(argv: Argv, options: RunOptions): Promise<CommandResult>;
  /** A small file's text; undefined when it is not there; throws the system's error otherwise. Not for disks that may hang. */
  readText(path: string): string | undefined;
  /** Names in a directory, sorted; empty when it is not there. */
  listDirectory(path: string): string[];
  isExecutableFile(path: string): boolean;
  now(): Date;
  /** Milliseconds on a clock that never steps. */
  monotonicMs(): number;
  hostname(): string;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
};

const absent = (error: unknown): boolean =>
  ["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException | undefined)?.code ?? "");

export const realHost: Host = {
  run: runCommand,
  readText(path) {
    try {
      // A FIFO in a file's place must not hold us; on a regular file O_NONBLOCK means nothing.
      return readFileSync(path, { encoding: "utf8", flag: constants.O_RDONLY | constants.O_NONBLOCK });
    } catch (error) {
      if (absent(error)) return undefined;
      throw error;
    }
  },
  listDirectory(path) {
    try {
      return readdirSync(path).sort();
    } catch (error) {
      if (absent(error)) return [];
      throw error;
    }
  },
  isExecutableFile(path) {
    try {
      const stat = statSync(path);
      return stat.isFile() && (stat.mode & 0o111) !== 0;
    } catch {
      return false;
    }
  },
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  hostname,
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      signal?.addEventListener(
        "abort",
        () => {
          clearTimeout(timer);
          resolve();
        },
        { once: true },
      );
    }),
};
