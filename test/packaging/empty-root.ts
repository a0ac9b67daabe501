/**
 * Roots that hold nothing but glibc (and, for dpkg's scripts, a shell and what they call), made from Debian's packages.
 * Output: a directory to install into; apt-get's own mirror is asked for ten small packages, once a run.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export type Ran = { status: number | null; stdout: string; stderr: string };

export function attempt(
  argv: readonly string[],
  options: { cwd?: string; env?: Record<string, string>; input?: string } = {},
): Ran {
  const [file = "", ...args] = argv;
  const { status, stdout, stderr, error } = spawnSync(file, args, {
    encoding: "utf8",
    timeout: 200_000,
    maxBuffer: 64 * 1024 * 1024,
    input: options.input ?? "",
    ...(options.cwd ? { cwd: options.cwd } : {}),
    env: { ...process.env, LC_ALL: "C.UTF-8", ...options.env },
  });
  if (error) throw error;
  return { status, stdout, stderr };
}

/** Its stdout; anything but exit 0 is an error. */
export function must(argv: readonly string[], options: Parameters<typeof attempt>[1] = {}): string {
  const { status, stdout, stderr } = attempt(argv, options);
  if (status !== 0) throw new Error(`${argv.join(" ")}: exit ${status}\n${stdout}${stderr}`);
  return stdout;
}

const GLIBC = ["libc6"] as const;
/** Debian's essential packages that maintainer scripts may call, and their libraries. */
const FOR_SCRIPTS = [
  "libc-bin",
  "dash",
  "coreutils",
  "libacl1",
  "libattr1",
  "libselinux1",
  "libpcre2-8-0",
  "libgmp10",
  "util-linux",
];

export function download(directory: string): void {
  mkdirSync(directory, { recursive: true });
  // As root: apt's own user may not write here, which it says and goes on.
  const apt = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3"];
  const get = () => attempt([...apt, "download", ...GLIBC, ...FOR_SCRIPTS], { cwd: directory });
  if (get().status === 0) return;
  must([...apt, "update"]);
  const { status, stderr } = get();
  if (status !== 0) throw new Error(`apt-get download: ${stderr}`);
}

/** /dev/null and its like, and where /proc goes: what a container gives every root. */
function makeDevices(root: string): void {
  for (const directory of ["dev", "proc"]) mkdirSync(join(root, directory), { recursive: true });
  for (const [name, minor] of [
    ["null", "3"],
    ["zero", "5"],
    ["urandom", "9"],
  ] as const) {
    must(["mknod", "-m", "666", join(root, "dev", name), "c", "1", minor]);
  }
}

const debOf = (debs: string, name: string): string => {
  const file = readdirSync(debs).find((one) => one.startsWith(`${name}_`));
  if (!file) throw new Error(`${debs}: no ${name}`);
  return join(debs, file);
};

/** For dpkg: its database says what is there, as debootstrap's first stage leaves it. */
export function makeDebRoot(root: string, debs: string): void {
  for (const directory of ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "etc", "tmp"]) {
    mkdirSync(join(root, directory), { recursive: true });
  }
  makeDevices(root);
  // Merged, as Debian is.
  for (const name of ["bin", "sbin", "lib", "lib64"]) {
    mkdirSync(join(root, "usr", name), { recursive: true });
    must(["ln", "-s", `usr/${name}`, join(root, name)]);
  }
  const status: string[] = [];
  for (const name of [...GLIBC, ...FOR_SCRIPTS]) {
    const deb = debOf(debs, name);
    // By tar, which follows the links bin, lib and lib64; dpkg-deb --extract would put directories in their place.
    must(["sh", "-c", 'dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"', "sh", deb, root]);
    status.push(`${must(["dpkg-deb", "--field", deb]).trim()}\nStatus: install ok installed\n`);
    writeFileSync(join(root, "var/lib/dpkg/info", `${name}.list`), "");
  }
  writeFileSync(join(root, "var/lib/dpkg/status"), status.join("\n"));
  writeFileSync(join(root, "var/lib/dpkg/available"), "");
  writeFileSync(join(root, "etc/passwd"), "root:x:0:0:root:/:/bin/sh\n");
  writeFileSync(join(root, "etc/group"), "root:x:0:\n");
}

/** For rpm: glibc as an RPM made of Debian's files, so that rpm itself sees that nothing else is needed. */
export function makeRpmRoot(root: string, debs: string, scratch: string): void {
  makeDevices(root);
  must(["rpm", "--root", root, "--initdb"]);
  const [name] = GLIBC;
  const files = join(scratch, "files");
  mkdirSync(files, { recursive: true });
  must(["dpkg-deb", "--extract", debOf(debs, name), files]);
  const stage = join(scratch, "stage");
  for (const path of ["lib", "lib64"]) {
    cpSync(join(files, path), join(stage, path), { recursive: true, verbatimSymlinks: true });
  }
  const spec = join(scratch, "glibc.spec");
  writeFileSync(
    spec,
    [
      "%global debug_package %{nil}",
      "%global __os_install_post %{nil}",
      "%global _build_id_links none",
      "%global _binary_payload w1.gzdio",
      "Name: glibc\nVersion: 1\nRelease: 1\nSummary: glibc\nLicense: LGPL-2.1-or-later",
      `%description\n%install\ncp -a ${stage}/. %{buildroot}/`,
      "%files\n/lib\n/lib64\n",
    ].join("\n"),
  );
  const top = join(scratch, "rpmbuild");
  must(["rpmbuild", "-bb", "--quiet", "--define", `_topdir ${top}`, spec]);
  const [arch = ""] = readdirSync(join(top, "RPMS"));
  must(["rpm", "--root", root, "-i", "--nodeps", join(top, "RPMS", arch, `glibc-1-1.${arch}.rpm`)]);
}
