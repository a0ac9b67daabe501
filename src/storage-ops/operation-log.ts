/**
 * The log file of an operation, in the line shape its readers know: `[2026-01-02 03:04:05] [INFO] message`, local time.
 *         A mark that lines bear for people ("[INFO] ") is its level in the file.
 * Errors: a log that cannot be written is a warning, once: it must not keep an operation from its end.
 */
import { reasonOf } from "../core/errors.ts";
import { type FileHandle, openForAppend } from "../core/files.ts";
import type { Host } from "../core/host.ts";

export const SETUP_LOG = "/var/log/cluster_storage_setup.log";
const LOGS: readonly (readonly [ending: RegExp, path: string])[] = [
  [/\.setup$/, SETUP_LOG],
  [/\.(node|controller)-add$/, "/var/log/cluster_node_add.log"],
  [/\.(node|controller)-remove$/, "/var/log/cluster_node_remove.log"],
];

/** The same file whether the operation is run, gone on with or taken back. */
export const logOf = (operation: string): string =>
  LOGS.find(([ending]) => ending.test(operation))?.[1] ?? "/var/log/cluster_storage_ops.log";

export type OperationLog = {
  write: (level: string, message: string) => Promise<void>;
  close: () => Promise<void>;
};

const two = (value: number): string => String(value).padStart(2, "0");
const stamp = (at: Date): string =>
  `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;

export async function openOperationLog(host: Host, path: string, warn: (text: string) => void): Promise<OperationLog> {
  let handle: FileHandle | undefined;
  const giveUp = async (error: unknown): Promise<void> => {
    warn(`${path}: not written: ${reasonOf(error)}`);
    await handle?.close().catch(() => undefined);
    handle = undefined;
  };
  await openForAppend(path)
    .then((opened) => {
      handle = opened.handle;
    })
    .catch(giveUp);
  return {
    write: async (level, message) => {
      const [, mark, rest] = /^\[(INFO|SUCCESS)\] (.*)$/s.exec(message) ?? [];
      await handle?.write(`[${stamp(host.now())}] [${mark ?? level}] ${rest ?? message}\n`).catch(giveUp);
    },
    close: async () => handle?.close(),
  };
}
