/**
 * Who a process is beyond its number: boot, pid and the tick it was started at. A pid alone is used again.
 * Source: proc(5), /proc/PID/stat field 22.
 */
import type { Host } from "./host.ts";

export type ProcessIdentity = { boot_id: string; pid: number; start_ticks: number };

export const bootId = (host: Host): string => host.readText("/proc/sys/kernel/random/boot_id")?.trim() ?? "unknown";

/** Undefined when there is no such process. A zombie counts as gone: it writes nothing any more. */
function startTicks(host: Host, pid: number): number | undefined {
  const stat = host.readText(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The command name stands in parentheses and may hold anything, spaces and parentheses too.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" || fields[0] === "X" ? undefined : Number(fields[19]);
}

export const identityOf = (host: Host, pid: number): ProcessIdentity => ({
  boot_id: bootId(host),
  pid,
  start_ticks: startTicks(host, pid) ?? -1,
});

export function isAlive(host: Host, identity: ProcessIdentity): boolean {
  return identity.boot_id === bootId(host) && startTicks(host, identity.pid) === identity.start_ticks;
}
