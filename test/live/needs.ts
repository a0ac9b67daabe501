/**
 * What the real-system tests need from the machine, and which Debian package brings it.
 * Output: readMissing(needs) = those that are not there.
 * Source: Debian 12 package names. Free of vitest: test/install-packages.ts installs from this table.
 */
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

type Requirement = { readonly package?: string; readonly present: () => boolean };

const BIN_DIRS = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/** The program under test: the built executable, unless another is named. */
export const EXECUTABLE = process.env.FENCEPOST_EXECUTABLE ?? join(import.meta.dirname, "../../bin/fencepost");

const hasCommand = (name: string) =>
  BIN_DIRS.some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
const command = (name: string, debianPackage: string): Requirement => ({
  package: debianPackage,
  present: () => hasCommand(name),
});

export const REQUIREMENTS = {
  root: { present: () => process.getuid?.() === 0 },
  // A trial, because containers often refuse what the kernel can do.
  namespaces: {
    present: () =>
      spawnSync("unshare", ["--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "true"], { timeout: 10_000 })
        .status === 0,
  },
  overlayfs: { present: () => /\boverlay$/m.test(readIfThere("/proc/filesystems")) },
  executable: { present: () => existsSync(EXECUTABLE) },
  pacemaker: command("pacemakerd", "pacemaker"),
  "pacemaker-cli": command("cibadmin", "pacemaker-cli-utils"),
  corosync: command("corosync", "corosync"),
  pcs: command("pcs", "pcs"),
  crmsh: command("crm", "crmsh"),
  fence_dummy: command("fence_dummy", "fence-agents"),
  xmllint: command("xmllint", "libxml2-utils"),
  "ocf-tester": command("ocf-tester", "resource-agents"),
  jq: command("jq", "jq"),
  ip: command("ip", "iproute2"),
  "apt-get": command("apt-get", "apt"),
  glusterd: command("glusterd", "glusterfs-server"),
  mariadbd: command("mariadbd", "mariadb-server"),
  galera: { package: "galera-4", present: () => existsSync("/usr/lib/galera/libgalera_smm.so") },
  rsync: command("rsync", "rsync"),
  lsof: command("lsof", "lsof"),
  "redis-server": command("redis-server", "redis-server"),
  "redis-cli": command("redis-cli", "redis-tools"),
  slurmctld: command("slurmctld", "slurmctld"),
  slurmd: command("slurmd", "slurmd"),
  scontrol: command("scontrol", "slurm-client"),
  munged: command("munged", "munge"),
  sshd: command("sshd", "openssh-server"),
  ssh: command("ssh", "openssh-client"),
  getfattr: command("getfattr", "attr"),
  faketime: command("faketime", "faketime"),
  "mkfs.ext4": command("mkfs.ext4", "e2fsprogs"),
  nsenter: command("nsenter", "util-linux"),
  logger: command("logger", "bsdutils"),
  script: command("script", "bsdutils"),
  strace: command("strace", "strace"),
  openssl: command("openssl", "openssl"),
  rsyslogd: command("rsyslogd", "rsyslog"),
  chromium: command("chromium", "chromium"),
  "dpkg-deb": command("dpkg-deb", "dpkg"),
  rpmbuild: command("rpmbuild", "rpm"),
  lintian: command("lintian", "lintian"),
  rpmlint: command("rpmlint", "rpmlint"),
  "qemu-aarch64": command("qemu-aarch64-static", "qemu-user-static"),
  "arm64 libc": {
    package: "libc6-arm64-cross",
    present: () => existsSync("/usr/aarch64-linux-gnu/lib/ld-linux-aarch64.so.1"),
  },
  lnav: command("lnav", "lnav"),
  logrotate: command("logrotate", "logrotate"),
  mandoc: command("mandoc", "mandoc"),
  zsh: command("zsh", "zsh"),
  "systemd-analyze": command("systemd-analyze", "systemd"),
} as const satisfies Record<string, Requirement>;

export type Need = keyof typeof REQUIREMENTS;

/** Everything startCluster() needs, and the built executable. */
export const CLUSTER_NEEDS = [
  "root",
  "namespaces",
  "overlayfs",
  "nsenter",
  "ip",
  "corosync",
  "pacemaker",
  "pacemaker-cli",
  "pcs",
  "fence_dummy",
  "executable",
] as const satisfies readonly Need[];

/** Everything startGluster() needs, and the built executable. */
export const GLUSTER_NEEDS = [
  "root",
  "namespaces",
  "overlayfs",
  "nsenter",
  "ip",
  "glusterd",
  "strace",
  "sshd",
  "ssh",
  "getfattr",
  "executable",
] as const satisfies readonly Need[];

/** Everything startGalera() needs, and the built executable. */
export const GALERA_NEEDS = [
  "root",
  "namespaces",
  "overlayfs",
  "nsenter",
  "ip",
  "mariadbd",
  "galera",
  "rsync",
  "lsof",
  "strace",
  "sshd",
  "ssh",
  "executable",
] as const satisfies readonly Need[];

/** CI=true (or any word but false): nothing may be skipped. */
export const inCi = (): boolean => !["", "0", "false"].includes(process.env.CI ?? "");

export function readMissing(needs: readonly Need[]): Need[] {
  return needs.filter((need) => !REQUIREMENTS[need].present());
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
