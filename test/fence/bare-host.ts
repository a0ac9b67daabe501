import type { CommandResult } from "../../src/core/exec.ts";
import { type Host, realHost } from "../../src/core/host.ts";

/** A machine on which no tool is installed and no file but those of /proc can be read. */
export const bareHost: Host = {
  ...realHost,
  run: async ([file]): Promise<CommandResult> => ({
    outcome: "not-started",
    command: file,
    exitCode: undefined,
    spawnError: "ENOENT",
    stdout: "",
    stderr: "",
    elapsedMs: 0,
  }),
  readText: (path) => (path.startsWith("/proc/") ? realHost.readText(path) : undefined),
  listDirectory: () => [],
};
