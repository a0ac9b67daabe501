/**
 * What mounts a volume at boot from whichever server is up: a line in /etc/fstab or a systemd mount unit with
 * backup-volfile-servers, and the steps that put it there. Pure, but for the kind.
 * Input:  a volume, its servers in the order they are to be asked, a mount point. Output: texts; a Plan.
 * Errors: OpsError usage for servers that mount.glusterfs could not take.
 * Source: mount.glusterfs(8): the server of the device is asked first, then those of backup-volfile-servers, parted by `:`
 *         (so an IPv6 address is none); once mounted, clients talk to the bricks, whichever server told them of the volume.
 */
import { OpsError } from "../../core/errors.ts";
import type { Argv } from "../../core/exec.ts";
import type { Plan, StepKinds } from "../../core/plan.ts";
import { isHostWord } from "../../core/ssh.ts";
import { FSTAB, findEntry, type MountWay, UNIT_DIRECTORY, unitName } from "./setup/mount-entry.ts";

const QUICK_MS = 30_000;
const MOUNT_MS = 120_000;

export const MOUNT_OPERATION = "gluster.mount";

export type MountEntry = { volume: string; servers: readonly string[]; mountPoint: string };

function optionsOf({ servers }: MountEntry, way: MountWay): string {
  const [, ...backups] = servers;
  const words = way === "fstab" ? ["defaults", "_netdev", "nofail"] : ["_netdev"];
  if (servers[0] === "localhost" && way === "fstab") words.push("x-systemd.requires=glusterd.service");
  if (backups.length > 0) words.push(`backup-volfile-servers=${backups.join(":")}`);
  return words.join(",");
}

export function checkServers(servers: readonly string[]): readonly string[] {
  const bad = servers.find((server) => !isHostWord(server) || server.includes(":"));
  if (servers.length > 0 && bad === undefined) return servers;
  throw new OpsError("usage", bad === undefined ? "which server?" : `not a server that a mount can name: ${bad}`, {
    hint: "--server s1 --server s2: names or IPv4 addresses",
  });
}

export const deviceOf = ({ volume, servers }: MountEntry): string => `${servers[0] ?? "localhost"}:/${volume}`;

export const entryLine = (entry: MountEntry): string =>
  `${deviceOf(entry)} ${entry.mountPoint} glusterfs ${optionsOf(entry, "fstab")} 0 0`;

export const entryUnit = (entry: MountEntry): string => `# Written by fencepost gluster mount.
[Unit]
Description=GlusterFS volume ${entry.volume}
Documentation=man:mount.glusterfs(8)
After=network-online.target${entry.servers[0] === "localhost" ? " glusterd.service\nRequires=glusterd.service" : ""}
Wants=network-online.target

[Mount]
What=${deviceOf(entry)}
Where=${entry.mountPoint.replaceAll("%", "%%")}
Type=glusterfs
Options=${optionsOf(entry, "systemd")}
TimeoutSec=90

[Install]
WantedBy=remote-fs.target
`;

/** fstab's text with the entry, once; as it was where the mount point has one for this volume. */
export function fstabWith(text: string, entry: MountEntry): string {
  if (findEntry(text, entry.volume, entry.mountPoint) !== undefined) return text;
  return `${text}${text === "" || text.endsWith("\n") ? "" : "\n"}${entryLine(entry)}\n`;
}
/** Only the line that we write: another is somebody else's. */
export const fstabWithout = (text: string, entry: MountEntry): string =>
  text
    .split("\n")
    .filter((line) => line !== entryLine(entry))
    .join("\n");

/** `program`: how this program is started, for the step that edits the file. */
export function planMount(entry: MountEntry, { way, program }: { way: MountWay; program: Argv }): Plan {
  const { volume, servers, mountPoint } = entry;
  const unit = unitName(mountPoint);
  const bySystemd = way === "systemd";
  const edit = (verb: string): Argv => [
    ...program,
    ...["gluster", "mount", volume, mountPoint, "--entry", verb, "--by", way],
    ...servers.flatMap((server) => ["--server", server]),
  ];
  const data = { volume, mountPoint, by: way };
  const quick = { timeoutMs: QUICK_MS, destructive: false, waits: false } as const;
  return {
    version: 1,
    operation: MOUNT_OPERATION,
    title: `mount ${deviceOf(entry)} at ${mountPoint}`,
    object: "gluster-mount",
    warnings: servers.length < 2 ? ["one server only: while it is down the volume cannot be mounted"] : [],
    picture: bySystemd ? entryUnit(entry).trimEnd().split("\n") : [entryLine(entry)],
    steps: [
      {
        ...quick,
        id: "mount-point",
        kind: "setup-directories",
        title: `create mount point ${mountPoint}`,
        argv: ["mkdir", "-p", "--", mountPoint],
        doneWhen: "it is a directory",
        undo: { argv: ["rmdir", "--", mountPoint], timeoutMs: QUICK_MS },
        data: { paths: [mountPoint] },
      },
      {
        ...quick,
        id: "mount-entry",
        kind: "mount-entry",
        title: bySystemd ? `write ${UNIT_DIRECTORY}/${unit}` : `add to ${FSTAB}: ${entryLine(entry)}`,
        argv: edit("add"),
        doneWhen: bySystemd ? "the unit's file is there as we write it" : `${FSTAB} has one entry for the mount point`,
        undo: { argv: edit("remove"), timeoutMs: QUICK_MS },
        data: bySystemd ? { ...data, unit: entryUnit(entry) } : data,
      },
      {
        ...quick,
        id: "mount",
        kind: "setup-mount",
        title: `mount ${deviceOf(entry)} at ${mountPoint}`,
        // By the entry just made, so that it is proven before the next boot needs it.
        argv: bySystemd ? ["systemctl", "enable", "--now", unit] : ["mount", mountPoint],
        timeoutMs: MOUNT_MS,
        doneWhen: "the kernel's mount table has it, and it answers",
        requires: "nothing lies in the mount point",
        undo: {
          argv: bySystemd ? ["systemctl", "disable", "--now", unit] : ["umount", "--", mountPoint],
          timeoutMs: MOUNT_MS,
        },
        data,
        after: [`✓ Volume mounted at ${mountPoint}`],
      },
    ],
  };
}

export const MOUNT_KINDS = {
  "mount-entry": {
    standing: async (step, host) => {
      const point = String(step.data.mountPoint);
      const isThere =
        step.data.by === "systemd"
          ? host.readText(`${UNIT_DIRECTORY}/${unitName(point)}`) === step.data.unit
          : findEntry(host.readText(FSTAB) ?? "", String(step.data.volume), point) !== undefined;
      return isThere ? { state: "done", detail: "there" } : { state: "todo", detail: "not there" };
    },
  },
} as const satisfies StepKinds;
