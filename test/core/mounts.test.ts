import { describe, expect, it } from "vitest";
import { isClusterOrNetwork, mountTypeOf } from "../../src/core/mounts.ts";

const MOUNTINFO = [
  "22 27 0:21 / /proc rw,relatime - proc proc rw",
  "1 0 0:1 / / rw - rootfs rootfs rw",
  "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard",
  "30 27 0:30 / /mnt/shared rw,relatime shared:5 master:2 propagate_from:1 - gfs2 /dev/vg/lv rw,lockproto=lock_dlm",
  "31 27 0:31 / /mnt/shared/local rw - xfs /dev/sdb rw",
  "32 27 0:32 / /mnt/with\\040space\\011and\\134slash rw - nfs4 server:/export\\040one rw",
  "33 27 0:33 / /mnt/stacked rw - nfs server:/a rw",
  "34 27 0:34 / /mnt/stacked rw - tmpfs tmpfs rw",
  "35 27 0:35 / /mnt/ümlaut rw - fuse.sshfs host: rw",
  "36 27 0:36 / /data rw -",
  "",
].join("\n");

describe("mountTypeOf", () => {
  it.each([
    ["/", "ext4"],
    ["/var/log", "ext4"],
    ["/proc", "proc"],
    ["/proc/self/mountinfo", "proc"],
    ["/processes", "ext4"],
    ["/mnt/shared", "gfs2"],
    ["/mnt/shared/", "gfs2"],
    ["/mnt/shared/a/b", "gfs2"],
    ["/mnt/./shared/x/..", "gfs2"],
    ["/mnt/shared2", "ext4"],
    ["/mnt/shared/local/x", "xfs"],
    ["/mnt/shared/locally", "gfs2"],
    ["/mnt/with space\tand\\slash/x", "nfs4"],
    ["/mnt/stacked/x", "tmpfs"],
    ["/mnt/ümlaut/x", "fuse.sshfs"],
    ["/data", "ext4"],
  ])("says of %j that it is on %s", (path, type) => expect(mountTypeOf(MOUNTINFO, path)).toBe(type));

  it("says nothing where no mount holds the path", () => {
    expect(mountTypeOf("", "/var")).toBeUndefined();
    expect(mountTypeOf("30 27 0:30 / /mnt rw - xfs /dev/sdb rw", "/var")).toBeUndefined();
  });
});

describe("isClusterOrNetwork", () => {
  it.each([
    "gfs2",
    "ocfs2",
    "nfs",
    "nfs4",
    "fuse",
    "fuse.glusterfs",
    "cifs",
    "ceph",
    "lustre",
    "9p",
    "glusterfs",
    "autofs",
  ])("counts %s", (type) => expect(isClusterOrNetwork(type)).toBe(true));
  it.each(["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "proc", ""])("does not count %s", (type) =>
    expect(isClusterOrNetwork(type)).toBe(false),
  );
});
