/**
 * Which commands install GlusterFS on this machine: Debian's family and Red Hat's.
 * Input:  /etc/os-release. Output: argument arrays, none where the system is of neither family.
 * Source: os-release(5); packages glusterfs-server and glusterfs-client (Debian, Ubuntu), glusterfs-server and glusterfs-fuse
 *         (Fedora, CentOS Storage SIG, whose repository comes with centos-release-gluster11, on CentOS 7 -gluster).
 */
import type { Argv } from "../../../core/exec.ts";
import type { Host } from "../../../core/host.ts";

export type Installation = {
  system: string;
  /** Makes the package known where it is not; `known` exits 0 where it is. */
  prepare?: { known: Argv; argv: Argv };
  install: Argv;
};

const DIRECTORIES = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"];
/** The daemon, its command, and the helper that mount(8) calls. */
export const PROGRAMS = ["glusterd", "gluster", "mount.glusterfs"] as const;

export const missingPrograms = (host: Host): string[] =>
  PROGRAMS.filter((name) => !DIRECTORIES.some((directory) => host.isExecutableFile(`${directory}/${name}`)));

export function parseOsRelease(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split("\n").flatMap((line): [string, string][] => {
      const [, key, quoted = ""] = /^([A-Z_]+)=(.*)$/.exec(line.trim()) ?? [];
      return key === undefined ? [] : [[key, quoted.replace(/^(["'])(.*)\1$/, "$2")]];
    }),
  );
}

export function installationFor(osRelease: string, hasDnf: boolean): Installation | undefined {
  const fields = parseOsRelease(osRelease);
  const id = fields.get("ID") ?? "";
  const like = [id, ...(fields.get("ID_LIKE") ?? "").split(/\s+/)];
  const system = fields.get("PRETTY_NAME") ?? id;
  const apt = (...words: string[]): Argv => [
    "env",
    "DEBIAN_FRONTEND=noninteractive",
    "apt-get",
    "-oDPkg::Lock::Timeout=600",
    ...words,
  ];
  if (like.includes("debian") || like.includes("ubuntu")) {
    return {
      system,
      prepare: { known: ["apt-cache", "show", "glusterfs-server"], argv: apt("update") },
      install: apt("install", "--yes", "glusterfs-server", "glusterfs-client"),
    };
  }
  if (!["rhel", "centos", "fedora"].some((family) => like.includes(family))) return undefined;
  const tool = hasDnf ? "dnf" : "yum";
  const install: Argv = [tool, "install", "--assumeyes", "glusterfs-server", "glusterfs-fuse"];
  // Fedora has the packages itself; Red Hat's own come with a subscription, which nobody but the operator can take.
  if (id === "fedora" || id === "rhel") return { system, install };
  const release = (fields.get("VERSION_ID") ?? "").startsWith("7")
    ? "centos-release-gluster"
    : "centos-release-gluster11";
  return {
    system,
    prepare: {
      known: [tool, "--quiet", "list", "glusterfs-server"],
      argv: [tool, "install", "--assumeyes", release],
    },
    install,
  };
}
