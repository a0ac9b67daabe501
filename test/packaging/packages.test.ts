/**
 * The packages as a user gets them: built twice, linted, installed into roots that hold nothing but glibc, run there,
 * upgraded, removed, purged; for arm64 under qemu-user.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PROGRAMS } from "../../packaging/description.ts";
import { liveDescribe } from "../live/requirements.ts";
import { attempt, download, makeDebRoot, makeRpmRoot, must } from "./empty-root.ts";

const NEEDS = [
  "root",
  "dpkg-deb",
  "rpmbuild",
  "lintian",
  "rpmlint",
  "qemu-aarch64",
  "arm64 libc",
  "lnav",
  "logrotate",
  "mandoc",
  "zsh",
  "systemd-analyze",
  "namespaces",
  "pcs",
  "crmsh",
] as const;
const REPOSITORY = resolve(import.meta.dirname, "../..");
const PACKAGE = [process.execPath, join(REPOSITORY, "packaging/package.ts")] as const;
const CONFIG = "etc/fencepost/fence_gfs2_recorder.conf";
const LOG = "var/log/gfs2-fencing/fence-events-detailed.jsonl";

/** Debian's rpm says that packages are rather dpkg's. */
const DEBIAN_SAYS = /^rpm: (RPM should not be used|However assuming you know).*\n/gm;
/** What every root has that runs: it is a mount, and has /proc. */
const INSIDE = 'mount --bind "$0" "$0" && mount -t proc proc "$0/proc" && exec chroot "$0" "$@"';

const sha256 = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");
const modeOf = (path: string): string => (lstatSync(path).mode & 0o7777).toString(8);

liveDescribe("the packages", NEEDS, () => {
  let lab: string;
  let built: string;
  let debs: string;
  /** What is in the deb, for those who only look. */
  let root: string;
  let full: { process: ChildProcess; done: Promise<number | null> };
  const packageIn = (directory: string, name: RegExp): string => {
    const found = readdirSync(directory).filter((one) => name.test(one));
    expect(found, `${directory}: ${name}`).toHaveLength(1);
    return join(directory, found[0] ?? "");
  };

  beforeAll(() => {
    lab = mkdtempSync(join(tmpdir(), "fencepost-packages-"));
    built = join(lab, "built");
    debs = join(lab, "debs");
    must([...PACKAGE, "--quick", "--outdir", built]);
    must([...PACKAGE, "--quick", "--arch", "x64", "--release", "2", "--outdir", join(lab, "next")]);
    root = join(lab, "extracted");
    must(["dpkg-deb", "--extract", packageIn(built, /amd64\.deb$/), root]);
    download(debs);
    // As it is released, which takes a minute: beside the other tests.
    const [file, ...args] = [...PACKAGE, "--arch", "x64", "--format", "deb", "--outdir", join(lab, "full")];
    const child = spawn(file ?? "", args, { stdio: ["ignore", "ignore", "inherit"], detached: true });
    full = { process: child, done: new Promise((settle) => child.once("exit", settle)) };
  });
  afterAll(async () => {
    // Its group: what compresses is a child of its own.
    const { pid, exitCode, signalCode } = full?.process ?? {};
    if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid);
    await full?.done;
    rmSync(lab, { recursive: true, force: true });
  });

  it("are the same bytes when they are built again, whatever umask, directory and time zone", () => {
    const again = [...PACKAGE, "--quick", "--arch", "x64", "--outdir", join(lab, "again")];
    must(["sh", "-c", 'umask 077; exec "$@"', "sh", ...again], { cwd: lab, env: { TZ: "Asia/Tokyo", HOME: lab } });
    const names = readdirSync(built).sort();
    expect(names.map((name) => name.replace(/\d+\.\d+\.\d+-1/, "V"))).toEqual([
      "fencepost-V.aarch64.rpm",
      "fencepost-V.x86_64.rpm",
      "fencepost_V_amd64.deb",
      "fencepost_V_arm64.deb",
    ]);
    // For one architecture: the other differs in nothing but the runtime, whose bytes the lock file pins.
    const [deb, rpm] = readdirSync(join(lab, "again")).sort().reverse();
    expect([deb, rpm]).toEqual([expect.stringContaining("amd64.deb"), expect.stringContaining("x86_64.rpm")]);
    for (const name of readdirSync(join(lab, "again"))) {
      expect(sha256(join(lab, "again", name)), name).toBe(sha256(join(built, name)));
    }
  });

  it("satisfy lintian and rpmlint but for what packaging/lintian-overrides and packaging/rpmlint.toml explain", () => {
    const rpms = readdirSync(built).flatMap((name) => (name.endsWith(".rpm") ? [join(built, name)] : []));
    const rpmlint = attempt(["rpmlint", "-c", join(REPOSITORY, "packaging/rpmlint.toml"), ...rpms]);
    expect(rpmlint.stdout).toContain("0 errors, 0 warnings");
    expect(rpmlint.status).toBe(0);
    const lintian = attempt(["lintian", "--allow-root", "--fail-on", "error,warning", packageIn(built, /amd64\.deb$/)]);
    expect(`${lintian.stdout}${lintian.stderr}`).toBe("");
    expect(lintian.status).toBe(0);
    for (const file of ["lintian-overrides", "rpmlint.toml"]) {
      // Each group of exceptions has its reason above it.
      const lines = readFileSync(join(REPOSITORY, "packaging", file), "utf8").split("\n");
      const first = lines.findIndex((line) => /^fencepost:|^ {2}'/.test(line));
      expect(lines[first - 1], file).toMatch(/^ *#/);
    }
  });

  /** What must work where nothing else is. */
  function checkPrograms(root: string): void {
    const inside = (...argv: string[]) => attempt(["unshare", "--mount", "sh", "-c", INSIDE, root, ...argv]);
    expect(inside("/usr/sbin/fence_gfs2_recorder", "-o", "metadata").stdout).toContain(
      '<resource-agent name="fence_gfs2_recorder"',
    );
    const off = inside("/usr/sbin/fence_gfs2_recorder", "-o", "off", "-n", "compute-node-3");
    expect(off).toMatchObject({ status: 0 });
    const [event] = readFileSync(join(root, LOG), "utf8").trim().split("\n").slice(-1);
    expect(JSON.parse(event ?? "")).toMatchObject({
      action: "off",
      target_node: "compute-node-3",
      status: "initiated",
    });
    expect(modeOf(join(root, LOG))).toBe("640");
    for (const argv of [["/usr/bin/fencepost", "analyze"], ["/usr/bin/fencepost-analyze"]]) {
      const events = inside(...argv, "events", "--json");
      expect(events.stdout.trim().split("\n").slice(-1)).toEqual([event]);
    }
    for (const { path } of PROGRAMS) {
      expect(readlinkSync(join(root, path))).toMatch(/^(\.\.\/)*(bin\/)?fencepost$/);
      expect(statSync(join(root, path)).mode & 0o777).toBe(0o755);
    }
    expect(statSync(join(root, "usr/bin/fencepost")).size).toBeLessThan(130_000_000);
    expect(modeOf(join(root, "var/log/gfs2-fencing"))).toBe("750");
    for (const name of ["spool", "inbox", "journal"]) expect(modeOf(join(root, "var/lib/fencepost", name))).toBe("700");
  }

  it("deb: installs, runs, hands over to Pacemaker's group, upgrades, is removed and purged as Debian's policy says", () => {
    const root = join(lab, "deb-root");
    makeDebRoot(root, debs);
    const dpkg = (...args: string[]) => must(["dpkg", "--root", root, "--force-not-root", ...args]);
    dpkg("--install", packageIn(built, /amd64\.deb$/));
    checkPrograms(root);
    expect(lstatSync(join(root, "var/log/gfs2-fencing")).gid).toBe(0);

    // Pacemaker comes later: its packages make group and user, and dpkg tells ours.
    appendFileSync(join(root, "etc/group"), "haclient:x:189:\n");
    appendFileSync(join(root, "etc/passwd"), "hacluster:x:188:189::/var/lib/pacemaker:/bin/false\n");
    const pacemaker = join(lab, "pacemaker");
    mkdirSync(join(pacemaker, "DEBIAN"), { recursive: true });
    mkdirSync(join(pacemaker, "etc/default"), { recursive: true });
    writeFileSync(join(pacemaker, "etc/default/pacemaker"), "");
    writeFileSync(
      join(pacemaker, "DEBIAN/control"),
      "Package: pacemaker-common\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: stands for it\n",
    );
    must(["dpkg-deb", "--build", pacemaker, join(lab, "pacemaker.deb")]);
    dpkg("--install", join(lab, "pacemaker.deb"));
    expect(lstatSync(join(root, "var/log/gfs2-fencing"))).toMatchObject({ uid: 0, gid: 189 });
    expect(lstatSync(join(root, "var/lib/fencepost/inbox"))).toMatchObject({ uid: 188, gid: 189 });
    expect(lstatSync(join(root, "var/lib/fencepost/spool"))).toMatchObject({ uid: 0, gid: 0 });

    appendFileSync(join(root, CONFIG), "GFS2_DISCOVERY_ENABLED=false\n");
    dpkg("--install", packageIn(join(lab, "next"), /amd64\.deb$/));
    expect(dpkg("--status", "fencepost")).toContain("-2\n");
    expect(readFileSync(join(root, CONFIG), "utf8")).toContain("GFS2_DISCOVERY_ENABLED=false");
    expect(lstatSync(join(root, "var/lib/fencepost/inbox"))).toMatchObject({ uid: 188, gid: 189 });
    checkPrograms(root);
    expect(readFileSync(join(root, LOG), "utf8").trim().split("\n")).toHaveLength(2);

    dpkg("--remove", "fencepost");
    for (const { path } of PROGRAMS) expect(existsSync(join(root, path))).toBe(false);
    expect(existsSync(join(root, "usr/bin/fencepost"))).toBe(false);
    expect(readFileSync(join(root, LOG), "utf8").trim().split("\n")).toHaveLength(2);
    expect(existsSync(join(root, CONFIG))).toBe(true);

    dpkg("--purge", "fencepost");
    const left = must(["find", ".", "-path", "*fencepost*", "-o", "-path", "*gfs2*"], { cwd: root }).split("\n");
    expect(left.filter((path) => path !== "" && !path.startsWith("./var/lib/dpkg/"))).toEqual([]);
  });

  it("RPM: installs with nothing but glibc, runs, hands over, upgrades, keeps logs and changed settings when removed", () => {
    const root = join(lab, "rpm-root");
    makeRpmRoot(root, debs, join(lab, "rpm-scratch"));
    const rpm = (...args: string[]) => {
      const { status, stdout, stderr } = attempt(["rpm", "--root", root, ...args]);
      expect({ status, stderr: stderr.replace(DEBIAN_SAYS, "") }, args.join(" ")).toEqual({
        status: 0,
        stderr: "",
      });
      return stdout;
    };
    rpm("-i", packageIn(built, /x86_64\.rpm$/));
    expect(
      rpm("-qa")
        .trim()
        .split("\n")
        .sort()
        .map((name) => name.split("-")[0]),
    ).toEqual(["fencepost", "glibc"]);
    checkPrograms(root);
    expect(rpm("-V", "fencepost")).toBe("");

    mkdirSync(join(root, "etc"), { recursive: true });
    writeFileSync(join(root, "etc/group"), "root:x:0:\nhaclient:x:189:\n");
    writeFileSync(join(root, "etc/passwd"), "root:x:0:0:root:/:/bin/sh\nhacluster:x:189:189::/:/bin/false\n");
    const config = readFileSync(join(root, CONFIG), "utf8");
    writeFileSync(join(root, CONFIG), `${config}GFS2_DISCOVERY_ENABLED=false\n`);
    rpm("-U", packageIn(join(lab, "next"), /x86_64\.rpm$/));
    expect(rpm("-q", "fencepost")).toMatch(/-2\.x86_64\n$/);
    expect(readFileSync(join(root, CONFIG), "utf8")).toContain("GFS2_DISCOVERY_ENABLED=false");
    expect(lstatSync(join(root, "var/lib/fencepost/inbox"))).toMatchObject({ uid: 189, gid: 189 });
    expect(lstatSync(join(root, "var/log/gfs2-fencing"))).toMatchObject({ uid: 0, gid: 189 });
    checkPrograms(root);
    expect(rpm("-V", "--noconfig", "fencepost")).toBe("");

    const { status } = attempt(["rpm", "--root", root, "-e", "fencepost"]);
    expect(status).toBe(0);
    expect(existsSync(join(root, "usr/bin/fencepost"))).toBe(false);
    for (const { path } of PROGRAMS) expect(existsSync(join(root, path))).toBe(false);
    expect(readFileSync(join(root, LOG), "utf8").trim().split("\n")).toHaveLength(2);
    expect(readFileSync(join(root, `${CONFIG}.rpmsave`), "utf8")).toContain("GFS2_DISCOVERY_ENABLED=false");
  });

  it("arm64: the executables of deb and RPM are one, and run with nothing but an arm64 glibc", () => {
    const deb = join(lab, "arm64-deb");
    must(["dpkg-deb", "--extract", packageIn(built, /arm64\.deb$/), deb]);
    const rpm = join(lab, "arm64-rpm");
    mkdirSync(rpm);
    must(
      ["sh", "-c", 'rpm2cpio "$1" | cpio -id --quiet ./usr/bin/fencepost', "sh", packageIn(built, /aarch64\.rpm$/)],
      {
        cwd: rpm,
      },
    );
    const executable = join(deb, "usr/bin/fencepost");
    expect(sha256(join(rpm, "usr/bin/fencepost"))).toBe(sha256(executable));
    const qemu = (name: string, ...words: string[]) =>
      must(["qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu", "-0", name, executable, ...words]);
    expect(qemu("fence_gfs2_recorder", "-o", "metadata")).toContain('<resource-agent name="fence_gfs2_recorder"');
    const version = qemu("fencepost", "--version").trim();
    expect(packageIn(built, /arm64\.deb$/)).toContain(`_${version}-`);
    const log = join(lab, "arm64.jsonl");
    writeFileSync(log, `${JSON.stringify({ timestamp: "2026-01-01T00:00:00Z", action: "off", target_node: "n1" })}\n`);
    expect(qemu("fencepost", "analyze", "count", "--by", "action", "--json", log)).toContain('"total":1');
  });

  it("hold a manual page for each program and subcommand that a strict reader of them accepts", () => {
    const pages = [1, 7, 8].flatMap((section) => {
      const directory = join(root, `usr/share/man/man${section}`);
      return readdirSync(directory).map((name) => join(directory, name));
    });
    const names = pages.map((path) => basename(path).replace(/\.\d\.gz$/, ""));
    for (const { manual } of PROGRAMS) expect(names).toContain(manual.page);
    const help = must([join(root, "usr/bin/fencepost"), "--help"]);
    for (const [, subcommand] of help.matchAll(/^ {2}fencepost ([a-z-]+) {2}/gm)) {
      expect(names).toContain(`fencepost-${subcommand}`);
    }
    for (const page of pages) {
      const text = must(["gzip", "-dc", page]);
      const { stdout, stderr } = attempt(["mandoc", "-T", "lint", "-W", "error"], { input: text });
      expect(`${stdout}${stderr}`, page).toBe("");
    }
  });

  it("complete subcommands, options, their values and files in bash", () => {
    const script = `
      source "$1"; cd "$2"
      complete_words() {
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _fencepost "$1" "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD-1]}"
        echo "\${COMPREPLY[*]}"
      }
      complete_words fencepost an
      complete_words fencepost analyze wh
      complete_words fencepost-analyze export --format ""
      complete_words fencepost analyze why --dm
      complete_words fencepost analyze events READ
      complete_words fencepost analyze why --pacemaker-log = READ
      complete_words fence_gfs2_recorder -o meta
      complete_words fence_gfs2_recorder --kubeco`;
    const completions = join(root, "usr/share/bash-completion/completions/fencepost");
    expect(must(["bash", "-c", script, "bash", completions, REPOSITORY]).split("\n")).toEqual([
      "analyze",
      "why",
      "csv json ndjson elastic-bulk",
      "--dmesg",
      "README.md",
      "README.md",
      "metadata",
      "--kubeconfig",
      "",
    ]);
  });

  it("complete in zsh what they complete in bash", () => {
    const file = join(root, "usr/share/zsh/vendor-completions/_fencepost");
    expect(attempt(["zsh", "-n", file])).toMatchObject({ status: 0, stderr: "" });
    const script = `
      autoload -Uz compinit; fpath=($1 $fpath); compinit -u -D
      print -r -- $_comps[fencepost] $_comps[fencepost-analyze] $_comps[fence_gfs2_recorder]
      _describe() { print -r -- \${(P)2} }; _arguments() { state=command }
      service=fencepost; source $1/_fencepost`;
    const text = must(["zsh", "-f", "-c", script, "zsh", resolve(file, "..")]);
    expect(text).toContain("_fencepost _fencepost _fencepost\n");
    expect(text).toContain("analyze:");
  });

  it("bring formats by which lnav reads the three logs", () => {
    const logs = join(lab, "lnav-logs");
    mkdirSync(logs);
    for (const action of ["off", "on"]) {
      must([join(root, "usr/sbin/fence_gfs2_recorder"), "-o", action, "-n", "n1", "--log-dir", logs]);
    }
    const read = (name: string, format: string) => {
      const query = ";SELECT log_format, log_level, count(*) AS lines FROM all_logs GROUP BY 1, 2";
      const argv = [
        "lnav",
        "-n",
        "-W",
        "-I",
        join(root, "etc/lnav"),
        "-c",
        query,
        "-c",
        ":write-json-to -",
        join(logs, name),
      ];
      const { stdout, stderr } = attempt(argv, { env: { HOME: lab, TERM: "dumb" } });
      expect(stderr).toBe("");
      expect(stdout).toContain(format);
      expect(stdout).toMatch(/"lines": 2/);
      expect(stdout).toContain('"info"');
    };
    read("fence-events-detailed.jsonl", "fencepost_events");
    read("fence-events-readable.log", "fencepost_readable");
    read("fence-events.log", "fencepost_log");
  });

  it("rotate the logs by renaming, keeping mode and owner, and analyze still counts every event", () => {
    const logs = join(lab, "rotated");
    mkdirSync(logs, { mode: 0o750 });
    const agent = join(root, "usr/sbin/fence_gfs2_recorder");
    const script = `set -e
      mount --make-rprivate /; mkdir -p /var/log/gfs2-fencing; mount --bind "$1" /var/log/gfs2-fencing
      "$2" -o off -n n1; logrotate --force --state "$1.state" "$3"; "$2" -o on -n n1
      "$4" analyze count --by action --json`;
    const conf = join(root, "etc/logrotate.d/fencepost");
    must(["chmod", "0644", conf]);
    const executable = join(root, "usr/bin/fencepost");
    const count = must(["unshare", "--mount", "sh", "-c", script, "sh", logs, agent, conf, executable]);
    expect(JSON.parse(count)).toMatchObject({ total: 2 });
    const rotated = readdirSync(logs).filter((name) => /jsonl-\d{8}$/.test(name));
    expect(rotated).toHaveLength(1);
    expect(modeOf(join(logs, "fence-events-detailed.jsonl"))).toBe("640");
  });

  it("take the options that docs/tuning.md sets with pcs and crmsh", () => {
    const page = readFileSync(join(REPOSITORY, "docs/tuning.md"), "utf8");
    const [, block = ""] = /```sh device-options\n(.*?)```/s.exec(page) ?? [];
    const commands = block.trim().split("\n");
    expect(commands.map((line) => line.split(" ")[0])).toEqual(["pcs", "crm"]);
    const scratch = join(lab, "sbin");
    mkdirSync(scratch);
    // The agent where pcs and crmsh look for its metadata, for this one command.
    const script = `set -e; sbin=$1; agent=$2; export CIB_file="$3"; shift 3
      mount --make-rprivate /; mount -t tmpfs none "$sbin"; mkdir "$sbin/upper" "$sbin/work"
      ln -s "$agent" "$sbin/upper/fence_gfs2_recorder"
      mount -t overlay -o "lowerdir=/usr/sbin,upperdir=$sbin/upper,workdir=$sbin/work" none /usr/sbin
      exec "$@"`;
    for (const [index, command] of commands.entries()) {
      const cib = join(lab, `tuning-${index}.xml`);
      copyFileSync(join(REPOSITORY, "test/fixtures/doctor/deployment-topology.xml"), cib);
      const [tool = "", ...words] = command.split(" ");
      const argv = tool === "pcs" ? [tool, "-f", cib, ...words] : [tool, ...words];
      const executable = join(root, "usr/bin/fencepost");
      must(["unshare", "--mount", "sh", "-c", script, "sh", scratch, executable, cib, ...argv]);
      expect(readFileSync(cib, "utf8"), command).toMatch(/name="discovery_timeout" value="2"/);
    }
  });

  it("hold units that systemd accepts", () => {
    const units = join(root, "lib/systemd/system");
    for (const unit of readdirSync(units)) {
      const text = readFileSync(join(units, unit), "utf8").replaceAll("/usr/bin/fencepost", "/bin/true");
      writeFileSync(join(lab, unit), text);
    }
    const files = readdirSync(units).map((unit) => join(lab, unit));
    const { status, stderr } = attempt(["systemd-analyze", "verify", "--man=no", ...files]);
    expect(stderr.split("\n").filter((line) => line.includes("fencepost"))).toEqual([]);
    expect(status).toBe(0);
  });

  it("are at most 45 MB as they are released", { timeout: 600_000 }, async () => {
    expect(await full.done).toBe(0);
    expect(statSync(packageIn(join(lab, "full"), /amd64\.deb$/)).size).toBeLessThanOrEqual(45_000_000);
  });
});
