/**
 * A Debian package from a list of entries: control files, scripts, dpkg-deb. The same bytes from the same commit.
 * Source: deb-control(5), deb-triggers(5), dpkg-deb(1); Debian Policy 6 (scripts), 10.8 (logs go with a purge);
 *         debhelper's dh_installsystemd for what the scripts do with units.
 */
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ARCH_NAMES, HANDED_OVER, PACKAGE, STATE, UNITS } from "./description.ts";
import { type Arch, run } from "./executable.ts";
import { type Entry, writeTree } from "./tree.ts";

export type Build = {
  arch: Arch;
  release: string;
  executable: string;
  /** The oldest glibc that has all the symbols the executable asks for. */
  glibc: string;
  entries: readonly Entry[];
  epochSeconds: number;
  /** Quick and large, for tests; else small. */
  quick: boolean;
  /** An empty directory. */
  scratch: string;
  outdir: string;
};

const SCRIPTS = ["postinst", "prerm", "postrm"];

export function buildDeb({
  arch,
  release,
  executable,
  glibc,
  entries,
  epochSeconds,
  quick,
  scratch,
  outdir,
}: Build): string {
  const root = join(scratch, "root");
  mkdirSync(root);
  writeTree(root, entries, executable, epochSeconds);
  const files = entries.filter(({ kind }) => kind === "file" || kind === "executable").map(({ path }) => path);
  const contents = new Map(files.map((path) => [path, readFileSync(join(root, path))]));
  const installedKiB = [...contents.values()].reduce((sum, content) => sum + Math.ceil(content.length / 1024), 0);
  const control: Record<string, string> = {
    control: controlFile(ARCH_NAMES[arch].deb, release, glibc, installedKiB),
    conffiles: entries.flatMap((entry) => (entry.kind === "file" && entry.config ? [`${entry.path}\n`] : [])).join(""),
    md5sums: [...contents]
      .map(([path, content]) => `${createHash("md5").update(content).digest("hex")}  ${path.slice(1)}\n`)
      .join(""),
    // Pacemaker's packages make group and user; where they come later, what is theirs is handed over then.
    triggers: "interest-noawait /etc/default/pacemaker\n",
    postinst: POSTINST,
    prerm: PRERM,
    postrm: POSTRM,
  };
  mkdirSync(join(root, "DEBIAN"));
  for (const [name, text] of Object.entries(control)) {
    writeFileSync(join(root, "DEBIAN", name), text);
    chmodSync(join(root, "DEBIAN", name), SCRIPTS.includes(name) ? 0o755 : 0o644);
    utimesSync(join(root, "DEBIAN", name), epochSeconds, epochSeconds);
  }
  chmodSync(join(root, "DEBIAN"), 0o755);
  utimesSync(join(root, "DEBIAN"), epochSeconds, epochSeconds);
  utimesSync(root, epochSeconds, epochSeconds);
  const target = join(outdir, `${PACKAGE.name}_${PACKAGE.version}-${release}_${ARCH_NAMES[arch].deb}.deb`);
  const compression = quick ? ["-Zgzip", "-z1"] : ["-Zxz", "-z6"];
  run("dpkg-deb", ["--root-owner-group", "--threads-max=2", ...compression, "--build", root, target], {
    env: { ...process.env, SOURCE_DATE_EPOCH: String(epochSeconds) },
  });
  return target;
}

const controlFile = (architecture: string, release: string, glibc: string, installedKiB: number): string =>
  `Package: ${PACKAGE.name}
Version: ${PACKAGE.version}-${release}
Architecture: ${architecture}
Maintainer: ${PACKAGE.maintainer}
Installed-Size: ${installedKiB}
Depends: libc6 (>= ${glibc})
Recommends: ${PACKAGE.recommends.join(", ")}
Suggests: ${PACKAGE.suggests.join(", ")}
Section: admin
Priority: optional
Description: ${PACKAGE.summary.replace(/^./, (letter) => letter.toLowerCase())}
${PACKAGE.description.map(fold).join("\n .\n")}
`;

const fold = (text: string): string =>
  (text.match(/.{1,76}(?:\s|$)/g) ?? []).map((line) => ` ${line.trimEnd()}`).join("\n");

const POSTINST = `#!/bin/sh
set -e

# Group and user are Pacemaker's. Until they are there, root keeps what will be theirs.
hand_over() {
	dpkg-statoverride --list "$1" >/dev/null 2>&1 && return 0
	getent group "$3" >/dev/null || return 0
	getent passwd "$2" >/dev/null || return 0
	[ ! -d "$1" ] || [ -L "$1" ] || chown "$2:$3" "$1"
}

case "$1" in
configure | triggered)
${HANDED_OVER.map(({ path, user, group }) => `\thand_over ${path} ${user} ${group}`).join("\n")}
	;;
esac

case "$1" in
configure | abort-upgrade | abort-deconfigure | abort-remove)
	if command -v deb-systemd-helper >/dev/null; then
		for unit in ${UNITS.join(" ")}; do
			deb-systemd-helper unmask "$unit" >/dev/null || true
			if deb-systemd-helper --quiet was-enabled "$unit"; then
				deb-systemd-helper enable "$unit" >/dev/null || true
			else
				deb-systemd-helper update-state "$unit" >/dev/null || true
			fi
		done
	fi
	if [ -d /run/systemd/system ]; then
		systemd-tmpfiles --create fencepost.conf || true
		systemctl --system daemon-reload >/dev/null || true
		deb-systemd-invoke start ${UNITS[1]} >/dev/null || true
	fi
	;;
esac
`;

const PRERM = `#!/bin/sh
set -e

if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
	deb-systemd-invoke stop ${[...UNITS].reverse().join(" ")} >/dev/null || true
fi
`;

const POSTRM = `#!/bin/sh
set -e

if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
	systemctl --system daemon-reload >/dev/null || true
fi
if command -v deb-systemd-helper >/dev/null; then
	case "$1" in
	remove)
		deb-systemd-helper mask ${UNITS.join(" ")} >/dev/null || true
		;;
	purge)
		deb-systemd-helper purge ${UNITS.join(" ")} >/dev/null || true
		deb-systemd-helper unmask ${UNITS.join(" ")} >/dev/null || true
		;;
	esac
fi
# Removing keeps the record and what waits for it; purging removes them (Debian Policy 10.8). A log directory that
# LOG_DIR named elsewhere is left alone.
if [ "$1" = purge ]; then
	rm -rf ${STATE.join(" ")}
fi
`;
