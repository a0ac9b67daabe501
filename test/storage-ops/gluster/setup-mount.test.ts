import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Step } from "../../../src/core/plan.ts";
import { SETUP_KINDS } from "../../../src/storage-ops/gluster/setup/kinds.ts";
import {
  findEntry,
  fstabLine,
  unitName,
  unitText,
  withEntry,
  withoutEntry,
} from "../../../src/storage-ops/gluster/setup/mount-entry.ts";
import { exits, type FakeTables, fakeHost } from "../../fakes/fake-host.ts";
import { liveDescribe } from "../../live/requirements.ts";

const LINE = fstabLine("shared_data", "/mnt/gluster");
const edit = (text: string): string => withEntry(text, "shared_data", "/mnt/gluster");

describe("/etc/fstab", () => {
  it("gets one line, which lets the machine boot without the volume and waits for the network and glusterd", () => {
    expect(LINE).toBe(
      "localhost:/shared_data /mnt/gluster glusterfs defaults,_netdev,nofail,x-systemd.requires=glusterd.service 0 0",
    );
    expect(edit("UUID=1 / ext4 defaults 0 1\n")).toBe(`UUID=1 / ext4 defaults 0 1\n${LINE}\n`);
  });

  it.each(["", "# nothing\n", "UUID=1 / ext4 defaults 0 1", "a\tb\tc\n\n"])(
    "keeps all of %j, and gets it once",
    (text) => {
      const once = edit(text);
      expect(once.startsWith(text)).toBe(true);
      expect(once.endsWith(`${LINE}\n`)).toBe(true);
      expect(edit(once)).toBe(once);
      expect(withoutEntry(once, "shared_data", "/mnt/gluster").trimEnd()).toBe(text.trimEnd());
    },
  );

  it.each([
    "localhost:/shared_data /mnt/gluster glusterfs defaults,_netdev 0 0\n",
    "server2:/shared_data\t/mnt/gluster/\tglusterfs\tnoatime 0 0\n",
  ])("keeps an entry that somebody else wrote for the volume: %j", (text) => {
    expect(edit(text)).toBe(text);
    expect(withoutEntry(text, "shared_data", "/mnt/gluster")).toBe(text);
  });

  it.each(["/dev/sdb1 /mnt/gluster xfs defaults 0 0\n", "localhost:/other /mnt/gluster glusterfs defaults 0 0\n"])(
    "is not touched where the mount point stands for something else: %j",
    (text) => {
      expect(() => edit(text)).toThrow(expect.objectContaining({ kind: "unsafe" }));
    },
  );

  it("is not misled by comments, by other places and by escaped spaces", () => {
    const text = `#${LINE}\nlocalhost:/shared_data /mnt/gluster2 glusterfs defaults 0 0\nx /mnt/a\\040b ext4 d 0 0\n`;
    expect(findEntry(text, "shared_data", "/mnt/gluster")).toBeUndefined();
    expect(() => findEntry(text, "shared_data", "/mnt/a b")).toThrow();
  });
});

const mountStep: Step = {
  id: "mount",
  kind: "setup-mount",
  title: "mount",
  argv: ["true"],
  timeoutMs: 1,
  destructive: false,
  waits: false,
  doneWhen: "",
  data: { volume: "shared_data", mountPoint: "/mnt/gluster", by: "fstab" },
};
const mounted = (point: string, type: string, source: string): string =>
  `30 20 0:40 / ${point} rw,relatime shared:1 - ${type} ${source} rw\n`;
const standing = (mountinfo: string, stat: NonNullable<FakeTables["commands"]>[string] = "") =>
  SETUP_KINDS["setup-mount"]?.standing(
    mountStep,
    fakeHost({ files: { "/proc/self/mountinfo": mountinfo }, commands: { "stat --terse /mnt/gluster": stat } }),
  );

describe("whether the volume is mounted", () => {
  it("is told by the kernel's table, whole names compared, and by an answer from there", async () => {
    expect(await standing(mounted("/mnt/gluster", "fuse.glusterfs", "localhost:/shared_data"))).toMatchObject({
      state: "done",
    });
    expect(await standing(mounted("/mnt/gluster2", "fuse.glusterfs", "localhost:/shared_data"))).toMatchObject({
      state: "todo",
    });
  });

  it("is unknown while a mount does not answer, and never mounted over", async () => {
    const here = mounted("/mnt/gluster", "fuse.glusterfs", "localhost:/shared_data");
    expect(await standing(here, exits(1, "Transport endpoint is not connected"))).toMatchObject({ state: "unknown" });
  });

  it("is refused where something else is mounted", async () => {
    await expect(standing(mounted("/mnt/gluster", "xfs", "/dev/sdb1"))).rejects.toMatchObject({ kind: "unsafe" });
    const other = mounted("/mnt/gluster", "fuse.glusterfs", "localhost:/other");
    await expect(standing(other)).rejects.toMatchObject({ kind: "unsafe" });
  });

  it("hides no files: a mount point with something in it is refused", async () => {
    const find = "find /mnt/gluster -mindepth 1 -maxdepth 1 -print -quit";
    const host = fakeHost({ files: { "/proc/self/mountinfo": "" }, commands: { [find]: "/mnt/gluster/x\n" } });
    await expect(SETUP_KINDS["setup-mount"]?.guard?.(mountStep, host)).rejects.toMatchObject({
      kind: "unsafe",
      message: expect.stringContaining("would be hidden"),
    });
  });
});

liveDescribe("a mount unit", ["systemd-analyze"], () => {
  it.each(["/mnt/gluster", "/srv/web-data", "/srv/a_b.c/.d+e=f@g"])("is one that systemd takes, for %s", (point) => {
    const directory = mkdtempSync(join(tmpdir(), "fencepost-unit-"));
    try {
      const name = unitName(point);
      const escaped = spawnSync("systemd-escape", ["--path", "--suffix=mount", point], { encoding: "utf8" });
      expect(name).toBe(escaped.stdout.trim());
      writeFileSync(join(directory, name), unitText("shared_data", point));
      writeFileSync(join(directory, "glusterd.service"), "[Service]\nExecStart=/bin/true\n");
      const verified = spawnSync("systemd-analyze", ["verify", join(directory, name)], { encoding: "utf8" });
      expect(verified.stderr.split("\n").filter((line) => line.includes(name))).toEqual([]);
      expect(verified.status).toBe(0);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
