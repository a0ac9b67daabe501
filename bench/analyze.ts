/**
 * The speed of `analyze`, each figure against a peer measured in the same run (SPEC section 5).
 * usage:  packaging/bun bench/analyze.ts [--quick] [--full] [--json]
 *         --quick: 100,000 events instead of 1 M; --full: every row at 10 M too (8 GB of disk, an hour)
 * Output: as bench/agent.ts. Files are in the page cache for both sides (read once before).
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { cpus, release, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { NODE_PATH } from "../test/live/cluster.ts";
import { EXECUTABLE } from "../test/live/needs.ts";
import { DEFAULT_END_MS, outcomeLines, writeEventFile } from "./events.ts";
import { decide, missing, type Row, remark, renderTable, row, type Sample, sample, wallOf } from "./rows.ts";

const options = {
  quick: process.argv.includes("--quick"),
  full: process.argv.includes("--full"),
  json: process.argv.includes("--json"),
};
const rounds = options.quick ? 3 : 9;
const slowRounds = options.quick ? 1 : 3;
const COUNT = options.quick ? 100_000 : 1_000_000;
const FEW = 10_000;
const NODE = "compute-node-77";

const scratch = mkdtempSync(join(tmpdir(), "fencepost-bench-"));
const env = { PATH: NODE_PATH, LC_ALL: "C.UTF-8" };
const analyze = (...words: string[]) => ({ argv: [EXECUTABLE, "analyze", ...words], env });
const shell = (script: string) => ({ argv: ["bash", "-c", script], env });

type Log = { count: number; file: string };
/** Under the recorder's own name: `--since` reads any other file whole. */
const logOf = (count: number): Log => ({ count, file: join(scratch, String(count), "fence-events-detailed.jsonl") });
const few = logOf(FEW);
const usual = logOf(COUNT);
const large = options.full ? [usual, logOf(10_000_000)] : [usual];
const many = large.at(-1) ?? usual;

try {
  for (const log of [few, ...large]) {
    say(`writing ${log.count} events`);
    mkdirSync(dirname(log.file));
    writeEventFile(log);
    writeEventFile({ ...log, file: join(dirname(log.file), "fence-outcomes.jsonl") }, outcomeLines);
  }
  // The kernel would write them back, and take the processor for it, while the first rows are measured.
  spawnSync("sync", ["-f", scratch]);
  const rows: Row[] = [];
  for (const log of large) rows.push(...(await selectiveRows(log)), ...(await countRow(log)));
  rows.push(...(await sinceRow()));
  for (const log of [few, ...large]) rows.push(...(await memoryRows(log)));
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, kernel: release() };
  const megabytes = megabytesOf(usual);
  const files = { events: COUNT, megabytes, many: many.count };
  if (options.json) console.log(JSON.stringify({ schema: 1, machine, rounds, files, rows }));
  else {
    const title = `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}`;
    console.log(renderTable(rows, `${title}; ${COUNT} events, ${megabytes} MB`));
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function say(text: string): void {
  if (!options.json) process.stderr.write(`${text}\n`);
}

async function selectiveRows({ count, file }: Log): Promise<Row[]> {
  const what = `selective query, ${count} events, wall`;
  say(`measuring: ${what}`);
  const ripgrep = row(what, "ripgrep of the same words", "ms", "ratio", 2);
  const jq = row(what, "jq select", "ms", "ratio", 1 / 40);
  const blocked = missing("executable");
  if (blocked) return [ripgrep, jq].map((base) => ({ ...base, note: blocked }));
  const query = analyze("events", "--json", "--node", NODE, file);
  const rows: Row[] = [];
  if (Bun.which("rg")) {
    const peer = { argv: ["rg", "-N", "--no-config", `"target_node":"${NODE}"`, file], env };
    const [ours = [], theirs = []] = await sample(rounds, [query, peer]);
    rows.push(decide(ripgrep, wallOf(ours), wallOf(theirs), ours));
  } else rows.push({ ...ripgrep, note: "not measured, missing: ripgrep" });
  if (Bun.which("jq")) {
    const peer = { argv: ["jq", "-c", `select(.target_node == "${NODE}")`, file], env };
    const [ours = [], theirs = []] = await sample(slowRounds, [query, peer], undefined, 1);
    rows.push(decide(jq, wallOf(ours), wallOf(theirs), ours));
  } else rows.push({ ...jq, note: "not measured, missing: jq" });
  return rows;
}

async function countRow({ count, file }: Log): Promise<Row[]> {
  const what = `count --by action, ${count} events, wall`;
  say(`measuring: ${what}`);
  const base = row(what, "jq | sort | uniq -c", "ms", "ratio", 1 / 10);
  const blocked = missing("executable", "jq");
  if (blocked) return [{ ...base, note: blocked }];
  const [ours = [], theirs = []] = await sample(
    slowRounds,
    [analyze("count", "--by", "action", file), shell(`jq -r .action '${file}' | sort | uniq -c`)],
    undefined,
    1,
  );
  return [decide(base, wallOf(ours), wallOf(theirs), ours)];
}

async function sinceRow(): Promise<Row[]> {
  const base = row(`--since on ${many.count} events, wall`, `the same on ${few.count}`, "ms", "ratio", 2);
  const blocked = missing("executable");
  if (blocked) return [{ ...base, note: blocked }];
  const since = String(DEFAULT_END_MS - 3_600_000);
  const [ours = [], theirs = []] = await sample(rounds, [
    analyze("events", "--json", "--since", since, many.file),
    analyze("events", "--json", "--since", since, few.file),
  ]);
  return [
    remark(
      decide(base, wallOf(ours), wallOf(theirs), ours),
      `files of ${megabytesOf(many)} and ${megabytesOf(few)} MB`,
    ),
  ];
}

async function memoryRows({ count, file }: Log): Promise<Row[]> {
  const blocked = missing("executable");
  const queries = [
    ["events", "--json", "--node", NODE],
    ["events", "--json"],
    ["events"],
    ["count", "--by", "action"],
    ["count", "--by", "discovery.method"],
    ["nodes"],
    ["filesystems"],
    ["timeline"],
    ["incidents"],
    ["patterns"],
    ["verify"],
    ["export", "--format", "csv"],
    ["report", "--html", join(scratch, "report.html")],
  ].map((words) => ({ words, input: file, what: `${count} events` }));
  // As `analyze` finds them by itself: an outcome beside each event.
  const joined = ["incidents", "patterns", "verify", "report"].map((name) => ({
    words: name === "report" ? [name, "--html", join(scratch, "report.html")] : [name],
    input: dirname(file),
    what: `${count} events and outcomes`,
  }));
  const rows: Row[] = [];
  for (const { words, input, what: size } of [...queries, ...joined]) {
    const what = `memory: ${words.join(" ").replace(`${scratch}/`, "")}, ${size}`;
    say(`measuring: ${what}`);
    const base = row(what, "", "MB", "value", 96);
    if (blocked) rows.push({ ...base, note: blocked });
    else {
      const [ours = []] = await sample(1, [analyze(...words, input)], undefined, 0);
      rows.push(decide(base, Math.max(...ours.map(({ rss_kb }: Sample) => rss_kb / 1024)), undefined, ours));
    }
  }
  return rows;
}

function megabytesOf({ file }: Log): number {
  return Math.round(statSync(file).size / 1e6);
}
