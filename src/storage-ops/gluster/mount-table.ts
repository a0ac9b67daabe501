/** What is mounted here, from the kernel's table, which always answers. Source: proc_pid_mountinfo(5). */
import type { Host } from "../../core/host.ts";
import { decodeOctal } from "../../core/mounts.ts";

export type Mounted = { point: string; type: string; source: string };

/** In the order they were mounted: of two on one point the later covers the earlier. */
export function readMounts(host: Host): Mounted[] {
  return (host.readText("/proc/self/mountinfo") ?? "").split("\n").flatMap((line) => {
    const [before = "", after = ""] = line.split(" - ", 2);
    const point = before.split(" ")[4];
    const [type = "", source = ""] = after.split(" ");
    return point === undefined ? [] : [{ point: decodeOctal(point), type, source: decodeOctal(source) }];
  });
}
