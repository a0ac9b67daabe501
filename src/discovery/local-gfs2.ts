/**
 * GFS2 filesystems that this node has mounted itself, with the DLM lockspace of each.
 * Input:  /sys/fs/gfs2/CLUSTER:LOCKSPACE/id ("major:minor") and /proc/self/mountinfo; never the filesystem itself, which
 *         blocks while its lockspace waits for fencing.
 * Source: proc(5) mountinfo; fs/gfs2/sys.c; captured in fixtures/gfs2-cluster (sys-fs-gfs2-lock_module.txt).
 */
import type { Host } from "../core/host.ts";
import { decodeOctal } from "../core/mounts.ts";
import { type Filesystem, mergeFilesystems } from "./source.ts";

const SYSFS = "/sys/fs/gfs2";

export type LocalMount = { lockspace: string; mountPoint: string; device: string };

/** Mounts of type gfs2 by "major:minor". */
export function parseGfs2Mounts(mountinfo: string): Map<string, { mountPoint: string; device: string }> {
  const mounts = new Map<string, { mountPoint: string; device: string }>();
  for (const line of mountinfo.split("\n")) {
    const [before = "", after = ""] = line.split(" - ");
    const [type, device = ""] = after.split(" ");
    const [, , number, , mountPoint = ""] = before.split(" ");
    if (type === "gfs2" && number)
      mounts.set(number, { mountPoint: decodeOctal(mountPoint), device: decodeOctal(device) });
  }
  return mounts;
}

export function readLocalMounts(host: Host): LocalMount[] {
  const tables = host.listDirectory(SYSFS).filter((name) => name.includes(":"));
  if (tables.length === 0) return [];
  const mounts = parseGfs2Mounts(host.readText("/proc/self/mountinfo") ?? "");
  return tables.flatMap((table) => {
    const mount = mounts.get(host.readText(`${SYSFS}/${table}/id`)?.trim() ?? "");
    return mount ? [{ lockspace: table.slice(table.indexOf(":") + 1), ...mount }] : [];
  });
}

/** A filesystem goes by its DLM lockspace's name where that is known; mount point and device go beside it. */
export function nameByLockspace(filesystems: readonly Filesystem[], mounts: readonly LocalMount[]): Filesystem[] {
  return mergeFilesystems(
    filesystems.map((filesystem) => {
      const mount = mounts.find(
        ({ lockspace, mountPoint, device }) =>
          lockspace === filesystem.lockspace || mountPoint === filesystem.mountPoint || device === filesystem.device,
      );
      return mount ? { ...filesystem, ...mount, name: mount.lockspace } : filesystem;
    }),
  );
}
