/**
 * The speed of the fence agent, each figure against a peer measured in the same run (SPEC section 5).
 * usage:  packaging/bun bench/agent.ts [--quick] [--json]
 * Output: a table of ratios, or with --json one object { schema, machine, rounds, rows }. Exit 0 also where a target is
 *         missed: the column says so. A row that cannot be measured here says why.
 * Method: pairs in turn (A B A B), two warm-up pairs, medians; measured by bench/measure.py, the same way for both.
 */
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { AGENT, NODE_PATH, startCluster } from "../test/live/cluster.ts";
import { CLUSTER_NEEDS, EXECUTABLE } from "../test/live/needs.ts";
import { placeTimedAgent, readAgentTimes } from "../test/live/timed-agent.ts";
import {
  decide,
  median,
  missing,
  number,
  type Row,
  remark,
  renderTable,
  row,
  type Sample,
  sample,
  wallOf,
} from "./rows.ts";

const options = { quick: process.argv.includes("--quick"), json: process.argv.includes("--json") };
const rounds = options.quick ? 5 : 15;
const slowRounds = options.quick ? 3 : 9;
const hungRounds = options.quick ? 1 : 3;
const ORIGINAL = join(import.meta.dirname, "../test/fakes/fence_original.sh");
const scratch = mkdtempSync(join(tmpdir(), "fencepost-bench-"));
const agent = join(scratch, "bin/fence_gfs2_recorder");

try {
  mkdirSync(join(scratch, "bin"));
  symlinkSync(EXECUTABLE, agent);
  const rows: Row[] = [];
  for (const measure of [metadataRows, intentRow, clusterRow, levelRow, hungRow, sizeRow]) {
    if (!options.json) process.stderr.write(`measuring: ${measure.name}\n`);
    rows.push(...(await measure()));
  }
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, kernel: release() };
  if (options.json) console.log(JSON.stringify({ schema: 1, machine, rounds, rows }));
  else console.log(renderTable(rows, `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}`));
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

async function metadataRows(): Promise<Row[]> {
  const wall = row("metadata, wall", "fence_dummy", "ms", "ratio", 0.2);
  const memory = row("metadata, peak memory", "fence_dummy", "MB", "ratio", 1.2);
  const blocked = missing("executable", "fence_dummy");
  if (blocked)
    return [
      { ...wall, note: blocked },
      { ...memory, note: blocked },
    ];
  const env = { PATH: NODE_PATH, LC_ALL: "C" };
  const [ours = [], peer = []] = await sample(rounds, [
    { argv: [agent, "-o", "metadata"], env },
    { argv: ["/usr/sbin/fence_dummy", "-o", "metadata"], env },
  ]);
  const megabytes = (samples: readonly Sample[]) => median(samples.map(({ rss_kb }) => rss_kb / 1024));
  return [decide(wall, wallOf(ours), wallOf(peer), ours), decide(memory, megabytes(ours), megabytes(peer), ours)];
}

async function intentRow(): Promise<Row[]> {
  const base = row("intent on disk after exec", "/bin/true + write + fdatasync", "ms", "difference", 30);
  const blocked = missing("executable", "root");
  if (blocked) return [{ ...base, note: blocked }];
  const log = join(scratch, "log");
  mkdirSync(join(log, ".intents"), { recursive: true, mode: 0o700 });
  const env = { PATH: NODE_PATH, LC_ALL: "C", LOG_DIR: log };
  const [ours = [], peer = []] = await sample(rounds, [
    { argv: [agent, "-o", "off", "-n", "compute-node-2"], env, watch: join(log, ".intents"), pause: 0.1 },
    { argv: ["/bin/true"], env, write: join(log, "peer"), pause: 0.1 },
  ]);
  const marks = ours.flatMap(({ mark_ms }) => mark_ms ?? []);
  if (marks.length < ours.length) return [{ ...base, note: `no intent seen in ${ours.length - marks.length} runs` }];
  const note = `intent renamed into place and its directory synced; worst ${number(Math.max(...marks))} ms`;
  return [remark(decide(base, median(marks), wallOf(peer), ours), note)];
}

async function clusterRow(): Promise<Row[]> {
  const base = row(
    "off, cluster-state discovery, real 3-node cluster",
    "original recorder (stand-in)",
    "ms",
    "ratio",
    0.08,
  );
  const absolute = row(
    "the same against the original's 960 ms",
    "960 ms (SPEC, on its own cluster)",
    "ms",
    "ratio",
    0.08,
  );
  const blocked = missing(...CLUSTER_NEEDS);
  if (blocked)
    return [
      { ...base, note: blocked },
      { ...absolute, note: blocked },
    ];
  const cluster = await startCluster({ nodes: 3 });
  try {
    const input = "action=off\nnodename=node3\nplug=node3\n";
    const env = { PATH: NODE_PATH, LC_ALL: "C", PCMK_service: "pacemaker-fenced" };
    const [ours = [], peer = []] = await sample(
      slowRounds,
      [
        { argv: [AGENT], env, stdin: input },
        { argv: [ORIGINAL, "-o", "off", "-n", "node3"], env: { PATH: NODE_PATH, LC_ALL: "C", LOG_DIR: "/var/log" } },
      ],
      (argv, stdin) => cluster.on("node1", argv, { input: stdin, timeoutMs: 580_000 }),
    );
    const found = cluster.events("node1").at(-1);
    const note = `found ${JSON.stringify(found?.gfs2_filesystems)} by ${JSON.stringify(found?.discovery)}; the stand-in asks kubectl (absent), pcs status resources, pcs config in turn`;
    return [remark(decide(base, wallOf(ours), wallOf(peer), ours), note), decide(absolute, wallOf(ours), 960, ours)];
  } finally {
    await cluster.stop();
  }
}

/** The target is switched off once and stays off: only the fences are repeated (test/live/deployments.test.ts). */
async function levelRow(): Promise<Row[]> {
  const base = row("recorder in `stonith_admin --fence`, level [power, recorder]", "", "ms", "value", 150);
  const blocked = missing(...CLUSTER_NEEDS);
  if (blocked) return [{ ...base, note: blocked }];
  const cluster = await startCluster({ nodes: 3 });
  try {
    const target = (await cluster.readDc()) === "node3" ? "node2" : "node3";
    cluster.followPower(false);
    await cluster.killNode(target);
    const history = () => cluster.must("node1", ["stonith_admin", "--history", target, "--output-as=xml"]);
    await cluster.waitFor("the cluster's own fence", async () => /status="success"/.test(await history()));
    for (const node of cluster.names) if (node !== target) await placeTimedAgent(cluster, node);
    const whole: number[] = [];
    for (let round = 0; round < rounds + 2; round += 1) {
      const fence = ["stonith_admin", "--fence", target, "--timeout", "60"];
      const { exitCode, stderr, elapsedMs } = await cluster.on("node1", fence, { timeoutMs: 100_000 });
      if (exitCode !== 0) throw new Error(`${fence.join(" ")}: exit ${exitCode}: ${stderr}`);
      whole.push(elapsedMs);
    }
    const times = readAgentTimes(cluster)
      .filter(({ action }) => action === "off")
      .slice(2); // warm-up
    const samples = times.map(({ exitCode, elapsedMs }) => ({
      ...{ exit: exitCode, wall_ms: elapsedMs, rss_kb: 0, mark_ms: null },
    }));
    const note = `by a wrapper's clock around the agent; the whole of stonith_admin: ${number(median(whole.slice(2)))} ms`;
    return [remark(decide(base, wallOf(samples), undefined, samples), note)];
  } finally {
    await cluster.stop();
  }
}

async function hungRow(): Promise<Row[]> {
  const base = row("off, every source hung", "original recorder (stand-in)", "s", "value", 5.5);
  const blocked = missing("executable", "root");
  if (blocked) return [{ ...base, note: blocked }];
  const bin = join(scratch, "hung");
  const log = join(scratch, "hung-log");
  mkdirSync(bin);
  mkdirSync(log, { mode: 0o700 });
  const tools = [
    "kubectl",
    "dlm_tool",
    "cibadmin",
    "crm_mon",
    "crm_node",
    "crm_resource",
    "crmadmin",
    "stonith_admin",
    "pcs",
    "corosync-cmapctl",
    "corosync-quorumtool",
  ];
  // Ignores what can be ignored, and ends when the bench removes its directory.
  const script = `#!/bin/sh\ntrap '' TERM INT HUP\nwhile [ -d '${bin}' ]; do sleep 0.5; done\n`;
  for (const tool of tools) writeFileSync(join(bin, tool), script, { mode: 0o755 });
  const env = { PATH: `${bin}:/usr/bin:/bin`, LC_ALL: "C", LOG_DIR: log };
  try {
    const [ours = [], peer = []] = await sample(
      hungRounds,
      [
        { argv: [agent, "-o", "off", "-n", "compute-node-2"], env },
        { argv: [ORIGINAL, "-o", "off", "-n", "compute-node-2"], env },
      ],
      undefined,
      0,
    );
    const seconds = (samples: readonly Sample[], pick: (values: readonly number[]) => number) =>
      pick(samples.map(({ wall_ms }) => wall_ms / 1000));
    const longest = seconds(ours, (values) => Math.max(...values));
    return [
      remark(
        decide(base, longest, seconds(peer, median), ours),
        `the longest of ours; ${tools.length} stand-ins that ignore SIGTERM; the original has 5 s for each of three`,
      ),
    ];
  } finally {
    rmSync(bin, { recursive: true, force: true });
  }
}

async function sizeRow(): Promise<Row[]> {
  const base = row("executable size", "", "MB", "value", 130);
  const blocked = missing("executable");
  if (blocked) return [{ ...base, note: blocked }];
  return [decide(base, statSync(EXECUTABLE).size / 1e6, undefined, [])];
}
