/**
 * What mounts the volume at boot: one line in /etc/fstab, or a systemd mount unit.
 * Input:  the file's text; a volume and a mount point. Output: the text as it is to be.
 * Errors: OpsError unsafe where the mount point stands there already for something else.
 * Source: fstab(5), systemd.mount(5) (the unit's name, x-systemd.requires), mount.glusterfs of glusterfs 10.
 */
import { OpsError } from "../../../core/errors.ts";
import { decodeOctal } from "../../../core/mounts.ts";
import { escapeControl } from "../../../core/text.ts";

export const FSTAB = "/etc/fstab";
export const UNIT_DIRECTORY = "/etc/systemd/system";
export const MOUNT_WAYS = ["fstab", "systemd"] as const;
export type MountWay = (typeof MOUNT_WAYS)[number];

export const deviceOf = (volume: string): string => `localhost:/${volume}`;

// nofail: a node whose volume does not answer must still boot. glusterd serves localhost, so it comes first.
export const fstabLine = (volume: string, mountPoint: string): string =>
  `${deviceOf(volume)} ${mountPoint} glusterfs defaults,_netdev,nofail,x-systemd.requires=glusterd.service 0 0`;

const entries = (text: string): { line: string; device: string; point: string; type: string }[] =>
  text.split("\n").flatMap((line) => {
    const [device = "", point = "", type = ""] = line.trim().split(/\s+/);
    if (device === "" || device.startsWith("#") || point === "") return [];
    return [{ line, device: decodeOctal(device), point: decodeOctal(point).replace(/(?<=.)\/$/, ""), type }];
  });

/** The entry for the volume at that place, whoever wrote it and with whatever options. */
export function findEntry(text: string, volume: string, mountPoint: string): string | undefined {
  for (const { line, device, point, type } of entries(text)) {
    if (point !== mountPoint) continue;
    // backup1:/vol and localhost:/vol are the same volume by another of its servers.
    if (type === "glusterfs" && device.endsWith(`:/${volume}`)) return line;
    throw new OpsError("unsafe", `${FSTAB}: ${mountPoint} stands there for something else: ${escapeControl(device)}`, {
      hint: `grep -n ${mountPoint} ${FSTAB}`,
    });
  }
  return undefined;
}

export function withEntry(text: string, volume: string, mountPoint: string): string {
  if (findEntry(text, volume, mountPoint) !== undefined) return text;
  return `${text}${text === "" || text.endsWith("\n") ? "" : "\n"}${fstabLine(volume, mountPoint)}\n`;
}

/** Only the line that we write: another is somebody else's. */
export const withoutEntry = (text: string, volume: string, mountPoint: string): string =>
  text
    .split("\n")
    .filter((line) => line !== fstabLine(volume, mountPoint))
    .join("\n");

/** As systemd-escape --path does it; mount points are of a few harmless characters only. */
export const unitName = (mountPoint: string): string =>
  `${mountPoint
    .slice(1)
    .replaceAll(/[^A-Za-z0-9_./]|(?<=^)\./g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`)
    .replaceAll("/", "-")}.mount`;

export const unitText = (volume: string, mountPoint: string): string => `# Written by fencepost gluster setup.
[Unit]
Description=GlusterFS volume ${volume}
Documentation=man:mount.glusterfs(8)
Requires=glusterd.service
After=glusterd.service network-online.target
Wants=network-online.target

[Mount]
What=${deviceOf(volume)}
Where=${mountPoint.replaceAll("%", "%%")}
Type=glusterfs
Options=_netdev
TimeoutSec=90

[Install]
WantedBy=remote-fs.target
`;
