/**
 * A private place in which the built programs run, for tests that look at them from the outside.
 * As root it is a mount namespace of its own: /run, /dev, /etc, /var/lib, /var/log and /usr/sbin can be written there
 * and the machine's stay as they are, and the real cluster tools are not to be seen. For anybody else it is a scratch
 * directory, enough for tests that touch only LOG_DIR.
 * Output: what a program printed and wrote. Nothing of a lab outlives its test: its processes are killed, its
 *         mounts go with its namespace. Files inside are reached through /proc/PID/root.
 * Source: unshare(1), nsenter(1), mount_namespaces(7), overlayfs (a 0:0 device hides what lies below).
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  existsSync,
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
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { deriveCapture, installStandIns, type StandInOptions, withOurRecorder } from "../fakes/captured-cluster.ts";

export const AGENT = join(import.meta.dirname, "../../bin/fence_gfs2_recorder");
export const WRITER_NAME = "fencepost-event-writer";
export const IS_ROOT = process.getuid?.() === 0;

/** What Pacemaker's fencer gives an agent for an environment, from a capture of 2.1.5 on Debian 12. */
const FENCER_ENV = {
  LC_ALL: "C",
  LANG: "C.UTF-8",
  OCF_OUTPUT_FORMAT: "log",
  PCMK_cluster_type: "corosync",
  PCMK_service: "pacemaker-fenced",
  HA_cluster_type: "corosync",
  HA_logfacility: "daemon",
};
const FENCER_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export type Call = {
  args?: readonly string[];
  /** Text for stdin; without it stdin is empty. */
  stdin?: string;
  /** Over the lab's LOG_DIR and PATH; undefined takes a variable away. */
  env?: Readonly<Record<string, string | undefined>>;
  cwd?: string;
  umask?: string;
  /** Words before the program, such as setpriv and its options. */
  prefix?: readonly string[];
  program?: string;
  /** Called as the fencer does: its environment, its umask, PCMK_service. */
  fencer?: boolean;
  /** The test's own patience; the program is killed and the test fails. */
  limitMs?: number;
};

export type Outcome = {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  /** From start to exit of the program itself. */
  elapsedMs: number;
  /** Whether something it left behind still held its stdout or stderr when it had ended. */
  pipesHeld: boolean;
};

export type Running = { pid: number; child: ChildProcess; ended: Promise<Outcome> };
export type LabProcess = { pid: number; parent: number; group: number; argv: string[]; state: string };

export type LabOptions = {
  /** Stand-ins first on PATH. Without it no cluster tool is there. */
  standIns?: StandInOptions;
  /** Where LOG_DIR lies: memory (default), the machine's disk, or a tmpfs of this size. */
  logDir?: "memory" | "disk" | { tmpfsSize: string };
};

const SETUP = `
set -eu
scratch=$1
mount -t tmpfs -o mode=755,size=512m lab "$scratch"
mkdir "$scratch/layers" "$scratch/tools" "$scratch/cwd"
layer() {
  name=$(echo "$1" | tr / _)
  mkdir "$scratch/layers/$name" "$scratch/layers/$name/upper" "$scratch/layers/$name/work"
  mount -t overlay -o "lowerdir=$1,upperdir=$scratch/layers/$name/upper,workdir=$scratch/layers/$name/work" lab "$1"
}
for directory in /dev /etc /var/lib /var/log /usr/sbin; do layer "$directory"; done
mount -t tmpfs -o mode=755 lab /run
for tool in pcs crm_mon cibadmin crm_node crm_resource stonith_admin dlm_tool corosync-cmapctl corosync-quorumtool kubectl; do
  rm -f "/usr/sbin/$tool"
done
rm -rf /etc/kubernetes /etc/fencepost /var/lib/fencepost /var/log/gfs2-fencing /var/lib/pacemaker/cib/*
! [ -d /root/.kube ] || mount -t tmpfs lab /root/.kube
rm -f /dev/log
echo ready
exec cat >/dev/null
`;

export class Lab {
  readonly directory: string;
  readonly logDir: string;
  readonly tools: string;
  /** An empty directory that the program may not care about. */
  readonly cwd: string;
  readonly #keeper: ChildProcess | undefined;
  readonly #namespace: string | undefined;
  readonly #disk: string | undefined;
  readonly #started: ChildProcess[] = [];
  readonly #beforeClose: (() => void)[] = [];

  private constructor(
    directory: string,
    keeper: ChildProcess | undefined,
    namespace: string | undefined,
    disk: string | undefined,
  ) {
    this.directory = directory;
    this.tools = `${directory}/tools`;
    this.cwd = `${directory}/cwd`;
    this.logDir = `${disk ?? directory}/log`;
    this.#keeper = keeper;
    this.#namespace = namespace;
    this.#disk = disk;
  }

  /** A lab for the running test, closed when it ends. */
  static async open(options: LabOptions = {}): Promise<Lab> {
    const lab = await Lab.#create(options);
    onTestFinished(() => lab.close());
    return lab;
  }

  /** A lab for several tests (beforeAll); close it yourself. */
  static openShared(options: LabOptions = {}): Promise<Lab> {
    return Lab.#create(options);
  }

  static async #create({ standIns, logDir = "memory" }: LabOptions): Promise<Lab> {
    const directory = mkdtempSync(join(tmpdir(), "fencepost-lab-"));
    const disk = logDir === "disk" ? mkdtempSync(join(tmpdir(), "fencepost-disk-")) : undefined;
    let keeper: ChildProcess | undefined;
    if (IS_ROOT) {
      keeper = spawn("unshare", ["--mount", "--propagation", "private", "sh", "-c", SETUP, "lab", directory], {
        stdio: ["pipe", "pipe", "inherit"],
      });
      await untilReady(keeper);
    } else {
      mkdirSync(join(directory, "tools"));
      mkdirSync(join(directory, "cwd"));
    }
    const namespace = keeper && readlinkSync(`/proc/${keeper.pid}/ns/mnt`);
    const lab = new Lab(directory, keeper, namespace, disk);
    mkdirSync(lab.at(lab.logDir), { mode: 0o750 });
    if (typeof logDir === "object") {
      lab.sh(`mount -t tmpfs -o mode=750,size=${logDir.tmpfsSize} lab ${lab.logDir}`);
    }
    if (standIns) installStandIns(lab.at(lab.tools), standIns);
    return lab;
  }

  /** Where the test finds a path of the lab's. */
  at(path: string): string {
    return this.#keeper ? `/proc/${this.#keeper.pid}/root${path}` : path;
  }

  /** Words that run a command inside, as the same process. */
  #enter(cwd: string): string[] {
    return this.#keeper ? ["nsenter", "--target", String(this.#keeper.pid), "--mount", `--wdns=${cwd}`, "--"] : [];
  }

  /** Runs a script inside and gives its stdout; throws when it fails. Not for what may hang. */
  sh(script: string, ...args: string[]): string {
    const [file = "sh", ...rest] = [...this.#enter("/"), "sh", "-euc", script, "sh", ...args];
    const { status, stdout, stderr } = spawnSync(file, rest, { encoding: "utf8", timeout: 30_000 });
    if (status !== 0) throw new Error(`lab: exit ${status}: ${script}\n${stderr}`);
    return stdout;
  }

  /** Starts a helper of the test inside; it is killed with the lab. */
  background(argv: readonly string[]): ChildProcess {
    const [file = "", ...rest] = [...this.#enter("/"), ...argv];
    const child = spawn(file, rest, { stdio: "ignore", detached: true });
    this.#started.push(child);
    return child;
  }

  /** Runs before the lab's processes are killed. */
  beforeClose(work: () => void): void {
    this.#beforeClose.push(work);
  }

  start(call: Call): Running {
    const { args = [], stdin = "", fencer = false, prefix = [], program = AGENT, cwd = this.cwd } = call;
    const umask = call.umask ?? (fencer ? "0026" : "0022");
    const env = {
      ...(fencer ? FENCER_ENV : { LC_ALL: "C" }),
      PATH: `${this.tools}:${fencer ? FENCER_PATH : "/usr/bin:/bin"}`,
      LOG_DIR: this.logDir,
      ...call.env,
    };
    for (const [name, value] of Object.entries(env)) if (value === undefined) delete env[name as keyof typeof env];
    const words = [...this.#enter(cwd), "/bin/sh", "-c", `umask ${umask}; exec "$0" "$@"`, ...prefix, program, ...args];
    const [file = "", ...rest] = words;
    const startedMs = performance.now();
    // nsenter and sh are found by our PATH; the program's own is in `env`.
    const child = spawn(file === "nsenter" ? "/usr/bin/nsenter" : file, rest, {
      cwd: this.#keeper ? "/" : cwd,
      env,
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#started.push(child);
    return { pid: child.pid ?? -1, child, ended: watch(child, stdin, startedMs, call.limitMs ?? 20_000) };
  }

  run(call: Call): Promise<Outcome> {
    return this.start(call).ended;
  }

  /** Everything running in the lab's namespace, the keeper aside. As non-root: what the test started. */
  processes(): LabProcess[] {
    if (!this.#keeper) return this.#started.flatMap(({ pid }) => readProcess(pid) ?? []);
    return readdirSync("/proc").flatMap((name) => {
      const pid = Number(name);
      if (!Number.isInteger(pid) || pid === this.#keeper?.pid) return [];
      try {
        if (readlinkSync(`/proc/${pid}/ns/mnt`) !== this.#namespace) return [];
      } catch {
        return [];
      }
      return readProcess(pid) ?? [];
    });
  }

  writers(): LabProcess[] {
    return this.processes().filter(({ argv, state }) => state !== "Z" && (argv[0] ?? "").includes(WRITER_NAME));
  }

  /** Whole file; undefined when it is not there. */
  read(path: string): string | undefined {
    try {
      return readFileSync(this.at(path), "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }

  write(path: string, text: string): void {
    const directory = path.slice(0, path.lastIndexOf("/"));
    mkdirSync(this.at(directory), { recursive: true });
    writeFileSync(this.at(path), text);
  }

  /** An executable file for the lab's PATH. */
  tool(name: string, script: string): void {
    rmSync(this.at(`${this.tools}/${name}`), { force: true });
    writeFileSync(this.at(`${this.tools}/${name}`), script, { mode: 0o755 });
  }

  detailedLines(logDir = this.logDir): string[] {
    return linesOf(this.read(`${logDir}/fence-events-detailed.jsonl`));
  }

  readableLines(logDir = this.logDir): string[] {
    return linesOf(this.read(`${logDir}/fence-events-readable.log`));
  }

  /** Every line of the JSONL file, parsed; throws when one is not an object. */
  events(logDir = this.logDir): FenceRecord[] {
    return this.detailedLines(logDir).map((line) => JSON.parse(line) as FenceRecord);
  }

  /** Intents waiting in the log directory. */
  intents(logDir = this.logDir): string[] {
    return this.names(`${logDir}/.intents`)
      .filter((name) => name.endsWith(".json"))
      .flatMap((name) => this.read(`${logDir}/.intents/${name}`) ?? []);
  }

  names(path: string): string[] {
    try {
      return readdirSync(this.at(path)).sort();
    } catch {
      return [];
    }
  }

  /** What waits in the spool, as text, both places. */
  spooled(): string[] {
    return ["/var/lib/fencepost/spool", "/run/fencepost/spool"].flatMap((spool) =>
      this.names(spool)
        .filter((name) => statSync(this.at(`${spool}/${name}`), { throwIfNoEntry: false })?.isFile())
        .flatMap((name) => this.read(`${spool}/${name}`) ?? [])
        .filter((text) => text.includes("event_id")),
    );
  }

  /** Spooled entries about a target. */
  spooledFor(target: string): string[] {
    return this.spooled().filter((text) => text.includes(JSON.stringify(target)));
  }

  eventsFor(target: string, logDir = this.logDir): FenceRecord[] {
    return this.events(logDir).filter((event) => event.target_node === target);
  }

  /** Polls until the event of a target is in the log. */
  async eventFor(target: string, logDir = this.logDir): Promise<FenceRecord> {
    const found = await waitFor(`an event for ${target}`, () => this.eventsFor(target, logDir)[0]);
    return found;
  }

  /** Polls until no writer is left. */
  async settled(limitMs = 15_000): Promise<void> {
    await waitFor("the writers to end", () => this.writers().length === 0 || undefined, limitMs);
  }

  /** Collects datagrams of a syslog socket: `journal` is journald's own, `devlog` /dev/log. Needs perl. */
  async listenToSyslog(socket: "journal" | "devlog"): Promise<{ text: () => string }> {
    const path = socket === "journal" ? "/run/systemd/journal/socket" : "/dev/log";
    const output = `${this.directory}/${socket}.received`;
    this.sh(`mkdir -p "\${1%/*}"`, path);
    this.background(["perl", "-MIO::Socket::UNIX", "-MSocket", "-e", LISTENER, path, output]);
    await waitFor(`the listener on ${path}`, () => existsSync(this.at(output)) || undefined);
    return { text: () => this.read(output) ?? "" };
  }

  /** A safe topology for compute-node-2 in the CIB that the stand-ins give: [power device, recorder]. */
  installSafeCluster(options: Partial<StandInOptions> = {}): void {
    const capture = `${this.directory}/safe-capture`;
    deriveCapture("failed", this.at(capture), withOurRecorder);
    installStandIns(this.at(this.tools), { ...options, capture });
  }

  async close(): Promise<void> {
    for (const work of this.#beforeClose.reverse()) work();
    for (const { pid } of this.processes()) killQuietly(pid);
    await waitFor(
      "the lab's processes to end",
      () => {
        const left = this.processes().filter(({ state }) => state !== "Z");
        for (const { pid } of left) killQuietly(pid);
        return left.length === 0 || undefined;
      },
      10_000,
    );
    if (this.#keeper) {
      const ended = new Promise((resolve) => this.#keeper?.once("exit", resolve));
      this.#keeper.kill("SIGKILL");
      await ended;
    }
    // Only now: removing a mount point takes away what another namespace has mounted there.
    rmSync(this.directory, { recursive: true, force: true });
    if (this.#disk) rmSync(this.#disk, { recursive: true, force: true });
  }
}

export type FenceRecord = {
  timestamp: string;
  action: string;
  target_node: string;
  gfs2_filesystems: string[];
  status: string;
  details: string;
  recorder_node: string;
  pacemaker_action: string;
  schema: number;
  event_id: string;
  time_ms: number;
  recorded_ms: number;
  plug?: string;
  source: string;
  discovery: {
    result: string;
    method?: string;
    scope?: string;
    elapsed_ms: number;
    attempts: { method: string; status: string; elapsed_ms: number; reason?: string }[];
  };
  filesystems?: { name: string; mount_point?: string; device?: string; lockspace?: string }[];
  cluster?: { name?: string; dc?: string; quorate?: boolean; target_state?: string };
  guard?: string;
  role: string;
  boot_id: string;
  agent_version: string;
};

const LISTENER = `
my ($path, $output) = @ARGV;
my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $path) or die "$path: $!";
chmod 0666, $path;
open(my $file, ">>", $output) or die "$output: $!";
$file->autoflush(1);
while (defined $socket->recv(my $message, 262144)) { print $file "$message\\n" }
`;

/** Lines of a text file; a last line without a newline counts, and shows as torn where it does not parse. */
export const linesOf = (text: string | undefined): string[] => (text ?? "").split("\n").filter((line) => line !== "");

export function killQuietly(pid: number, signal: NodeJS.Signals = "SIGKILL"): void {
  try {
    process.kill(pid, signal);
  } catch {
    // gone already
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Polls until `probe` gives something; throws after `limitMs`. */
export async function waitFor<T>(what: string, probe: () => T | undefined, limitMs = 10_000): Promise<T> {
  const untilMs = performance.now() + limitMs;
  for (;;) {
    const found = probe();
    if (found !== undefined) return found;
    if (performance.now() > untilMs) throw new Error(`waited ${limitMs} ms in vain for ${what}`);
    await pause(5);
  }
}

function readProcess(pid: number | undefined): LabProcess | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const argv = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
    return { pid: Number(pid), state: fields[0] ?? "", parent: Number(fields[1]), group: Number(fields[2]), argv };
  } catch {
    return undefined;
  }
}

function untilReady(keeper: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    keeper.once("error", reject);
    keeper.once("exit", (code) => reject(new Error(`lab: its set-up failed with exit code ${code}`)));
    keeper.stdout?.once("data", () => {
      keeper.removeAllListeners("exit");
      resolve();
    });
  });
}

function watch(child: ChildProcess, stdin: string, startedMs: number, limitMs: number): Promise<Outcome> {
  const output = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream]?.setEncoding("utf8").on("data", (text: string) => {
      output[stream] += text;
    });
  }
  child.stdin?.on("error", () => undefined); // a program may end without reading it
  child.stdin?.end(stdin);
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      if (child.pid !== undefined) killQuietly(child.pid);
      reject(new Error(`still running after ${limitMs} ms; stderr: ${output.stderr.slice(-400)}`));
    }, limitMs);
    child.once("error", reject);
    child.once("exit", async (exitCode, signal) => {
      const elapsedMs = performance.now() - startedMs;
      clearTimeout(timer);
      const pipesHeld = await Promise.race([closed.then(() => false), pause(300).then(() => true)]);
      if (pipesHeld) {
        child.stdout?.destroy();
        child.stderr?.destroy();
      }
      resolve({ exitCode, signal, ...output, elapsedMs, pipesHeld });
    });
  });
}
