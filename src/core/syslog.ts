/**
 * One message to the system's log: journald's socket where there is one, else the classic /dev/log.
 * Output: whether it was taken. logger(1) says 0 and drops the message where nobody listens, so the socket is looked
 *         for first, and where neither is there it counts as not written.
 * Source: logger(1) of util-linux; labs: "there is no /dev/log on a bare machine".
 */
import type { Host } from "./host.ts";

export type SyslogMessage = { tag: string; pid: number; priority: "notice" | "warning" | "err"; text: string };

const TIMEOUT_MS = 200;
const MAX_TEXT = 60_000;
const NUMBER = { err: 3, warning: 4, notice: 5 } as const;

export async function writeSyslog(host: Host, { tag, pid, priority, text }: SyslogMessage): Promise<boolean> {
  const line = text.slice(0, MAX_TEXT).replaceAll("\n", " ");
  const journal = host.listDirectory("/run/systemd/journal").includes("socket");
  if (!journal && !host.listDirectory("/dev").includes("log")) return false;
  const result = journal
    ? await host.run(["logger", "--journald"], {
        timeoutMs: TIMEOUT_MS,
        group: "caller",
        input: `MESSAGE=${line}\nSYSLOG_IDENTIFIER=${tag}\nSYSLOG_PID=${pid}\nSYSLOG_FACILITY=3\nPRIORITY=${NUMBER[priority]}\n`,
      })
    : await host.run(
        ["logger", "--size", "65536", "--socket-errors=on", `--id=${pid}`, "-t", tag, "-p", `daemon.${priority}`],
        { timeoutMs: TIMEOUT_MS, group: "caller", input: `${line}\n` },
      );
  return result.outcome === "exited" && result.exitCode === 0;
}
