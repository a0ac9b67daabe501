/**
 * Which filesystem does a path lie on, asked without touching it.
 * A stat(2) or statfs(2) on GFS2 waiting for fencing, or on NFS without its server, blocks in D state and survives
 * SIGKILL; the mount table is in the kernel's memory and always answers.
 * Input:  the text of /proc/self/mountinfo; absolute paths. Output: filesystem types such as `gfs2`, `nfs4`.
 * Source: proc_pid_mountinfo(5)
 */
import { posix } from "node:path";

type Mount = { point: string; type: string };

const CLUSTER_OR_NETWORK = new Set([
  ...["gfs2", "gfs", "ocfs2", "gpfs", "lustre", "ceph", "glusterfs", "beegfs", "orangefs", "pvfs2", "afs", "coda"],
  ...["cifs", "smb3", "smbfs", "9p", "ncpfs"],
  "autofs", // to look below one mounts what it stands for
]);

/** A filesystem that may stop answering because another machine or a user-space server did. */
export const isClusterOrNetwork = (type: string): boolean =>
  CLUSTER_OR_NETWORK.has(type) || type.startsWith("nfs") || type.startsWith("fuse");

/** The type of the filesystem that holds `path`; links in it are not followed. Undefined when no mount holds it. */
export function mountTypeOf(mountinfo: string, path: string): string | undefined {
  const wanted = posix.normalize(path).replace(/(?<=.)\/$/, "");
  let best: Mount | undefined;
  for (const mount of parseMountinfo(mountinfo)) {
    const holds = mount.point === "/" || wanted === mount.point || wanted.startsWith(`${mount.point}/`);
    // The later of two mounts on one point covers the earlier.
    if (holds && mount.point.length >= (best?.point.length ?? 0)) best = mount;
  }
  return best?.type;
}

function parseMountinfo(mountinfo: string): Mount[] {
  return mountinfo.split("\n").flatMap((line) => {
    // "36 35 98:0 /root /mount/point options [optional fields …] - type source superoptions"
    const [before = "", after] = line.split(" - ", 2);
    const point = before.split(" ")[4];
    const type = after?.split(" ", 1)[0];
    return point === undefined || type === undefined ? [] : [{ point: decodeOctal(point), type }];
  });
}

/** The kernel writes space, tab, newline and backslash in a path as three octal digits. */
export const decodeOctal = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
