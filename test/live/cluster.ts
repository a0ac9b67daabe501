/**
 * A real Corosync and Pacemaker cluster in namespaces on this machine, for tests and benchmarks.
 * Input:  startCluster({ nodes, configuration }): the CIB the nodes boot with (see cibXml below).
 * Output: a Cluster: run commands on a node, cut its power, boot it again, cut its network, read its events.
 * Errors: rejects with what was expected and what the cluster said last.
 * Real:   corosync, pacemaker, its fencer, pcs, fence_dummy, the compiled recorder. Not real: the hardware (fence_dummy's
 *         status file is the power switch; a watcher here cuts the node's power when it says off), GFS2 and DLM (pcmk/*.sh).
 * Cleans: everything hangs on pcmk/supervise.sh, which ends when its standard input closes, however this process ends.
 */
import { type ChildProcess, spawn } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EXECUTABLE } from "./needs.ts";
import { waitFor } from "./wait-for.ts";

const SCRIPTS = join(import.meta.dirname, "pcmk");
/** What systemd's default gives pacemaker.service, and so the agents (fixtures/gfs2-cluster/agent-calls). */
export const NODE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
export const AGENT = "/usr/sbin/fence_gfs2_recorder";
export const REAL_AGENT = "/usr/lib/fencepost-bench/fence_gfs2_recorder";
let started = 0;

export type Output = { exitCode: number | null; timedOut: boolean; stdout: string; stderr: string; elapsedMs: number };
export type OnOptions = { timeoutMs?: number; env?: Record<string, string>; input?: string };
export type FenceEvent = Record<string, unknown> & {
  action: string;
  target_node: string;
  status: string;
  gfs2_filesystems: string[];
};
export type ClusterOptions = {
  nodes?: number;
  configuration?: string;
  /** The program called as fence_gfs2_recorder; default: the compiled executable. */
  agent?: string;
  /** A .deb that each node installs when it boots; nothing of ours is on a node but what it brings. */
  package?: string;
};
export type Cluster = Awaited<ReturnType<typeof startCluster>>;

export async function startCluster({
  nodes: count = 3,
  configuration = cibXml(count),
  agent = EXECUTABLE,
  package: deb,
}: ClusterOptions = {}) {
  started += 1;
  const id = `${process.pid.toString(36)}${String.fromCharCode(96 + started)}`; // 15 characters at most as a name
  const lab = join(tmpdir(), `fencepost-lab-${id}`);
  const names = Array.from({ length: count }, (_, index) => `node${index + 1}`);
  const numberOf = (node: string) => {
    const index = names.indexOf(node);
    if (index < 0) throw new Error(`no such node: ${node}`);
    return String(index + 1);
  };
  const powerFile = (node: string) => join(lab, "power", node);
  const diskPath = (node: string, path: string) => join(lab, node, "disk", path);

  prepareLab(lab, names, configuration, deb === undefined ? { agent } : { deb });
  const supervisor = spawn(join(SCRIPTS, "supervise.sh"), [lab, id, String(count)], {
    detached: true, // a Ctrl-C for the tests must not end it before it has cleaned up
    stdio: ["pipe", "pipe", "inherit"],
  });
  const supervisorGone = new Promise<void>((resolve) => supervisor.once("exit", () => resolve()));
  await firstOutput(supervisor, "supervise.sh");

  const pids = new Map<string, number>();
  const poweredOff = new Set<string>(); // by the watcher
  const cutOff = new Set<string>();
  const runScript = async (script: string, node: string) => {
    const result = await run([join(SCRIPTS, script), lab, id, numberOf(node)], { timeoutMs: 30_000 });
    if (result.exitCode !== 0) throw new Error(`${script} ${node}: exit ${result.exitCode}: ${result.stderr}`);
    return result.stdout;
  };

  /** Boots a node that is off. Returns when its PID 1 runs; waitHealthy() says when the cluster has it back. */
  const startNode = (node: string): Promise<void> =>
    inTurn(node, async () => {
      poweredOff.delete(node);
      writeFileSync(powerFile(node), "on");
      if (pids.has(node)) return;
      for (const name of readdirSync(join(lab, "gfs2"))) rmSync(join(lab, "gfs2", name, node), { force: true });
      rmSync(join(lab, node, "pacemakerd.exit"), { force: true });
      pids.set(node, Number(await runScript("node-start.sh", node)));
    });
  /** Power cut: every process of the node is killed at once. Nothing is said to the cluster. */
  const killNode = (node: string): Promise<void> =>
    inTurn(node, async () => {
      if (pids.delete(node)) await runScript("node-kill.sh", node);
    });
  /** The watcher and a test may want to switch the same node: one after the other. */
  const turns = new Map<string, Promise<void>>();
  function inTurn(node: string, body: () => Promise<void>): Promise<void> {
    const turn = (turns.get(node) ?? Promise.resolve()).then(body);
    turns.set(
      node,
      turn.catch(() => {}),
    );
    return turn;
  }
  const isUp = (node: string) => pids.has(node);

  /** Runs a command on a node, as root, with nothing but PATH in its environment. */
  function on(node: string, argv: readonly string[], { timeoutMs = 20_000, env = {}, input }: OnOptions = {}) {
    const pid = pids.get(node);
    if (pid === undefined) throw new Error(`${node} is off`);
    const assignments = Object.entries({ PATH: NODE_PATH, ...env }).map(([key, value]) => `${key}=${value}`);
    return run(
      ["nsenter", "-t", String(pid), "-m", "-u", "-i", "-n", "-p", "env", "-i", "-C", "/", ...assignments, ...argv],
      {
        timeoutMs,
        ...(input === undefined ? {} : { input }),
      },
    );
  }
  /** The same, when anything but exit 0 is a failure of the bench. */
  async function must(node: string, argv: readonly string[], options: OnOptions = {}): Promise<string> {
    const result = await on(node, argv, options);
    if (result.exitCode === 0) return result.stdout;
    throw new Error(
      `${node}: ${argv.join(" ")}: exit ${result.exitCode}: ${result.stderr}${result.stdout}`.slice(0, 2000),
    );
  }

  /** Cuts or restores the node's network; the node itself goes on running. */
  async function setLink(node: string, up: boolean): Promise<void> {
    const argv = ["ip", "-n", `fp${id}-sw`, "link", "set", `v${numberOf(node)}`, up ? "up" : "down"];
    const result = await run(argv, { timeoutMs: 10_000 });
    if (result.exitCode !== 0) throw new Error(`${argv.join(" ")}: ${result.stderr}`);
    if (up) cutOff.delete(node);
    else cutOff.add(node);
  }

  /** Nodes that are online and have joined, as this node sees it. */
  async function onlineNodes(viewer: string): Promise<string[]> {
    const result = await on(viewer, ["crm_mon", "-1", "--output-as=xml"]).catch(() => undefined);
    if (result?.exitCode !== 0) return [];
    const found: string[] = [];
    for (const [tag] of result.stdout.matchAll(/<node name="[^>]*>/g)) {
      const name = /name="([^"]+)"/.exec(tag)?.[1];
      if (name && /online="true"/.test(tag) && !/(pending|unclean)="true"/.test(tag) && !found.includes(name))
        found.push(name);
    }
    return found.sort();
  }

  /** Everybody online, every resource where it belongs, nothing going on. */
  async function waitHealthy({ timeoutMs = 90_000 } = {}): Promise<void> {
    for (const node of names) {
      await waitFor(`${node} sees all nodes online`, async () => (await onlineNodes(node)).length === count, {
        timeoutMs,
      });
    }
    await waitFor(
      "no transition in progress",
      async () => (await on("node1", ["crmadmin", "-q", "-S", await readDc()])).stdout.includes("S_IDLE"),
      { timeoutMs },
    );
  }
  async function readDc(viewer = "node1"): Promise<string> {
    return (await must(viewer, ["crmadmin", "-q", "-D"])).trim().replace(/^.*: /, "");
  }
  /** Empties the recorder's files on every node: logs, spool, verdicts. */
  function clearRecords(): void {
    for (const node of names) {
      for (const directory of [diskPath(node, "log/gfs2-fencing"), diskPath(node, "lib-fencepost")]) {
        if (!existsSync(directory)) continue;
        for (const entry of readdirSync(directory)) rmSync(join(directory, entry), { recursive: true, force: true });
      }
    }
  }

  /** Boots what is off, reconnects what is cut off, waits until the cluster is whole and idle. */
  async function heal(): Promise<void> {
    following = true;
    const viewer = names.find((node) => isUp(node) && !cutOff.has(node));
    if (viewer) {
      const noneRunning = async () => {
        const history = await on(viewer, ["stonith_admin", "--history", "*", "--output-as=xml"]);
        return !/status="pending"/.test(history.stdout);
      };
      await waitFor("no fencing is running", noneRunning, { timeoutMs: 20_000 }).catch(reportBench);
    }
    await Promise.all(turns.values());
    // Who was cut off meets a cluster that has moved on: as in real life it comes back by booting.
    for (const node of [...cutOff]) {
      await killNode(node);
      await setLink(node, true);
    }
    // A node that was told of its own fencing has stopped Pacemaker.
    for (const node of names) if (existsSync(join(lab, node, "pacemakerd.exit"))) await killNode(node);
    for (const node of names) await startNode(node);
    await waitHealthy();
  }

  /** Replaces one section of the configuration, e.g. "fencing-topology". */
  async function configure(section: string, xml: string): Promise<void> {
    await must("node1", ["cibadmin", "--replace", "--scope", section, "--xml-pipe"], { input: xml });
  }

  function events(node: string, file = "fence-events-detailed.jsonl"): FenceEvent[] {
    const path = diskPath(node, join("log/gfs2-fencing", file));
    if (!existsSync(path)) return [];
    const lines = readFileSync(path, "utf8").split("\n").filter(Boolean);
    return lines.map((line) => ({ ...(JSON.parse(line) as FenceEvent), on_node: node }));
  }
  /** Which node's fencer runs the agent is Pacemaker's choice: the events of all of them, in the order recorded. */
  const allEvents = (): FenceEvent[] =>
    names.flatMap((node) => events(node)).sort((a, b) => Number(a.recorded_ms ?? 0) - Number(b.recorded_ms ?? 0));

  /** Puts a script in the place of a program on a node, until restoreTool() or the node's next boot. */
  async function replaceTool(node: string, path: string, script: string): Promise<void> {
    await must(
      node,
      ["sh", "-c", '[ -e "$1.real" ] || mv "$1" "$1.real" || exit 1; cat >"$1" && chmod 755 "$1"', "sh", path],
      { input: script },
    );
  }
  async function restoreTool(node: string, path: string): Promise<void> {
    await must(node, ["sh", "-c", 'if [ -e "$1.real" ]; then mv -f "$1.real" "$1"; fi', "sh", path]);
  }

  let following = true;
  /** false: the power switch still says yes, but no longer cuts anything (for a look at a partitioned node). */
  const followPower = (wanted: boolean) => {
    following = wanted;
  };
  const watcher = setInterval(() => {
    for (const node of following ? names : []) {
      const wanted = readFileSync(powerFile(node), "utf8");
      if (wanted === "off" && isUp(node) && !poweredOff.has(node)) {
        poweredOff.add(node);
        killNode(node).catch(reportBench);
      } else if (wanted === "on" && poweredOff.delete(node)) {
        startNode(node).catch(reportBench);
      }
    }
  }, 50);

  async function stop(): Promise<void> {
    clearInterval(watcher);
    await Promise.all(turns.values());
    supervisor.stdin?.end();
    await supervisorGone;
  }

  for (const node of names) await startNode(node);
  const cluster = {
    id,
    lab,
    names,
    on,
    must,
    startNode,
    killNode,
    isUp,
    setLink,
    onlineNodes,
    waitFor,
    waitHealthy,
    heal,
    readDc,
    configure,
    events,
    allEvents,
    clearRecords,
    replaceTool,
    restoreTool,
    followPower,
    diskPath,
    powerFile,
    stop,
  };
  try {
    await waitHealthy();
  } catch (error) {
    await stop();
    throw error;
  }
  return cluster;
}

const reportBench = (error: unknown) => process.stderr.write(`cluster bench: ${String(error)}\n`);

function prepareLab(
  lab: string,
  names: readonly string[],
  configuration: string,
  ours: { agent: string } | { deb: string },
): void {
  mkdirSync(lab, { recursive: true });
  for (const name of names) mkdirSync(join(lab, name));
  for (const name of ["layer", "power", "gfs2"]) mkdirSync(join(lab, name));
  for (const name of names) writeFileSync(join(lab, "power", name), "on");
  writeFileSync(join(lab, "corosync.conf"), corosyncConf(names));
  writeFileSync(join(lab, "cib.xml"), configuration.replaceAll("LABDIR", lab));
  const place = (path: string, text: string) => {
    const full = join(lab, "skeleton", path);
    mkdirSync(join(full, ".."), { recursive: true });
    writeFileSync(full, text, { mode: 0o755 });
  };
  const script = (name: string) => readFileSync(join(SCRIPTS, name), "utf8").replaceAll("LABDIR", lab);
  place("usr/sbin/dlm_tool", script("dlm_tool.sh"));
  place("usr/lib/ocf/resource.d/heartbeat/Filesystem", script("Filesystem.sh"));
  // Copies: a build during the tests must not change the program under test.
  if ("deb" in ours) {
    copyFileSync(ours.deb, join(lab, "package.deb"));
    return;
  }
  copyFileSync(ours.agent, join(lab, "executable"));
  chmodSync(join(lab, "executable"), 0o755);
  place("usr/bin/fencepost", ""); // the executable is bound over it
  // REAL_AGENT stays the recorder when a test puts a wrapper in the place of /usr/sbin/fence_gfs2_recorder.
  mkdirSync(join(lab, "skeleton", REAL_AGENT, ".."), { recursive: true });
  for (const path of [AGENT, REAL_AGENT]) symlinkSync("/usr/bin/fencepost", join(lab, "skeleton", path));
}

function corosyncConf(names: readonly string[]): string {
  const node = (name: string, index: number) =>
    ` node {\n ring0_addr: 10.77.0.${index + 1}\n name: ${name}\n nodeid: ${index + 1}\n }\n`;
  return `totem {\n version: 2\n cluster_name: lab\n transport: knet\n crypto_cipher: none\n crypto_hash: none\n token: 1500\n}
quorum {\n provider: corosync_votequorum\n}
logging {\n to_stderr: yes\n to_syslog: no\n to_logfile: no\n}
nodelist {\n${names.map(node).join("")}}\n`;
}

const nvpairs = (owner: string, values: Record<string, string>) =>
  Object.entries(values)
    .map(([name, value]) => `<nvpair id="${owner}-${name}" name="${name}" value="${value}"/>`)
    .join("");

/** One stonith resource. LABDIR in a value becomes the cluster's own directory. */
export function stonithXml(id: string, agent: string, attributes: Record<string, string>): string {
  return `<primitive id="${id}" class="stonith" type="${agent}"><instance_attributes id="${id}-attributes">${nvpairs(`${id}-attributes`, attributes)}</instance_attributes><operations><op id="${id}-monitor" name="monitor" interval="60s" timeout="20s"/></operations></primitive>`;
}
export const powerXml = (node: string): string =>
  stonithXml(`power-${node}`, "fence_dummy", { status_file: `LABDIR/power/${node}`, pcmk_host_list: node });
export const levelXml = (target: string, devices: readonly string[], index = 1): string =>
  `<fencing-level id="level-${target}-${index}" target="${target}" index="${index}" devices="${devices.join(",")}"/>`;

/** A GFS2 filesystem as pcs makes it: a cloned Filesystem resource; `except` names the nodes it is kept from. */
function filesystemXml(name: string, device: string): string {
  const attributes = nvpairs(`${name}-attributes`, {
    device,
    directory: `/mnt/${name}`,
    fstype: "gfs2",
    options: "noatime",
  });
  return `<clone id="${name}-clone"><primitive id="${name}" class="ocf" provider="heartbeat" type="Filesystem"><instance_attributes id="${name}-attributes">${attributes}</instance_attributes><operations><op id="${name}-monitor" name="monitor" interval="60s" timeout="20s"/></operations></primitive><meta_attributes id="${name}-meta"><nvpair id="${name}-interleave" name="interleave" value="true"/></meta_attributes></clone>`;
}

/** Which GFS2 filesystems the bench's cluster runs, and the nodes they are kept from. */
export const FILESYSTEMS = [
  { name: "gfs2-home", device: "/dev/vdb", except: ["node3"] },
  { name: "gfs2-project", device: "/dev/vdc", except: ["node2"] },
  { name: "gfs2-scratch", device: "/dev/vdd", except: [] as string[] },
] as const;

/**
 * The configuration the nodes boot with: power and recorder for every node, in one level, as documented; with
 * `recorder: "none"` the power devices alone, without a topology.
 */
export function cibXml(
  count = 3,
  { recorder = {} }: { recorder?: Readonly<Record<string, string>> | "none" } = {},
): string {
  const names = Array.from({ length: count }, (_, index) => `node${index + 1}`);
  const properties = {
    "stonith-enabled": "true",
    "no-quorum-policy": "freeze", // as a GFS2 cluster has it
    "dc-deadtime": "2s", // default 20 s: only makes the first election quick
    "startup-fencing": "false", // nodes boot here within seconds of each other; a slow one is not a failed one
  };
  const resources = [
    ...names.map(powerXml),
    ...(recorder === "none"
      ? []
      : [stonithXml("recorder", "fence_gfs2_recorder", { pcmk_host_list: names.join(" "), ...recorder })]),
    ...FILESYSTEMS.map(({ name, device }) => filesystemXml(name, device)),
  ];
  const bans = FILESYSTEMS.flatMap(({ name, except }) =>
    except.map(
      (node) => `<rsc_location id="ban-${name}-${node}" rsc="${name}-clone" node="${node}" score="-INFINITY"/>`,
    ),
  );
  return `<cib crm_feature_set="3.16.1" validate-with="pacemaker-3.9" epoch="1" num_updates="0" admin_epoch="0"><configuration>
<crm_config><cluster_property_set id="cib-bootstrap-options">${nvpairs("cib-bootstrap-options", properties)}</cluster_property_set></crm_config>
<nodes>${names.map((name, index) => `<node id="${index + 1}" uname="${name}"/>`).join("")}</nodes>
<resources>${resources.join("\n")}</resources>
<constraints>${bans.join("")}</constraints>
${recorder === "none" ? "" : `<fencing-topology>${names.map((name) => levelXml(name, [`power-${name}`, "recorder"])).join("")}</fencing-topology>`}
</configuration><status/></cib>\n`;
}

export function firstOutput(child: ChildProcess, what: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.stdout?.once("data", () => resolve());
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${what} ended with ${code}`)));
  });
}

/** Runs a command with a time limit that holds: its process group is killed, and its pipes are let go. */
export function run(
  [file = "", ...args]: readonly string[],
  { timeoutMs, input, env }: { timeoutMs: number; input?: string; env?: NodeJS.ProcessEnv },
): Promise<Output> {
  const begun = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { detached: true, stdio: ["pipe", "pipe", "pipe"], ...(env ? { env } : {}) });
    let stdout = "";
    let stderr = "";
    let timedOut = false;
    let exitCode: number | null = null;
    const finish = () => {
      clearTimeout(limit);
      clearTimeout(drained);
      child.stdout.destroy();
      child.stderr.destroy();
      resolve({ exitCode, timedOut, stdout, stderr, elapsedMs: performance.now() - begun });
    };
    let drained: NodeJS.Timeout | undefined;
    const limit = setTimeout(() => {
      timedOut = true;
      try {
        if (child.pid) process.kill(-child.pid, "SIGKILL");
      } catch {} // gone already
      drained = setTimeout(finish, 1_000); // in D state: leave it
    }, timeoutMs);
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (stdout += chunk));
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
    child.stdin.on("error", () => {}); // it did not want its input
    child.stdin.end(input ?? "");
    child.once("error", reject);
    child.once("exit", (code) => {
      exitCode = code;
      drained ??= setTimeout(finish, 500); // a descendant may hold the pipes
    });
    child.once("close", finish);
  });
}
