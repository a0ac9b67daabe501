/**
 * The speed of `analyze`, each figure against a peer measured in the same run (SPEC section 5).
 * usage:  packaging/bun bench/analyze.ts [--quick] [--full] [--json]
 *         --quick: 100,000 events instead of 1 M; --full: 10 M for the rows that compare sizes (8 GB of disk, minutes)
 * Output: as bench/agent.ts. Files are in the page cache for both sides (read once before).
 */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { NODE_PATH } from "../test/live/cluster.ts";
import { EXECUTABLE } from "../test/live/needs.ts";
import { DEFAULT_END_MS, writeEventFile } from "./events.ts";
import { decide, missing, number, type Row, remark, renderTable, row, type Sample, sample, wallOf } from "./rows.ts";

const options = {
  quick: process.argv.includes("--quick"),
  full: process.argv.includes("--full"),
  json: process.argv.includes("--json"),
};
const rounds = options.quick ? 3 : 9;
const slowRounds = options.quick ? 1 : 3;
const COUNT = options.quick ? 100_000 : 1_000_000;
const MANY = options.full ? 10_000_000 : COUNT;
const FEW = 10_000;
const NODE = "compute-node-77";

const scratch = mkdtempSync(join(tmpdir(), "fencepost-bench-"));
const env = { PATH: NODE_PATH, LC_ALL: "C.UTF-8" };
const analyze = (...words: string[]) => ({ argv: [EXECUTABLE, "analyze", ...words], env });
const shell = (script: string) => ({ argv: ["bash", "-c", script], env });

const million = join(scratch, "million.jsonl");
const many = options.full ? join(scratch, "many.jsonl") : million;
const few = join(scratch, "few.jsonl");

try {
  say(`writing ${number(COUNT / 1e6)} M events`);
  const megabytes = writeEventFile({ count: COUNT, file: million }) / 1e6;
  writeEventFile({ count: FEW, file: few });
  if (options.full) {
    say("writing 10 M events");
    writeEventFile({ count: MANY, file: many });
  }
  const rows: Row[] = [];
  for (const measure of [selectiveRows, countRow, sinceRow, memoryRow]) {
    say(`measuring: ${measure.name}`);
    rows.push(...(await measure()));
  }
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, kernel: release() };
  const files = { events: COUNT, megabytes: Math.round(megabytes), many: MANY };
  if (options.json) console.log(JSON.stringify({ schema: 1, machine, rounds, files, rows }));
  else {
    const title = `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}`;
    console.log(renderTable(rows, `${title}; ${COUNT} events, ${Math.round(megabytes)} MB`));
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function say(text: string): void {
  if (!options.json) process.stderr.write(`${text}\n`);
}

async function selectiveRows(): Promise<Row[]> {
  const ripgrep = row("selective query, wall", "ripgrep of the same words", "ms", "ratio", 2);
  const jq = row("selective query, wall", "jq select", "ms", "ratio", 1 / 40);
  const blocked = missing("executable");
  if (blocked) return [ripgrep, jq].map((base) => ({ ...base, note: blocked }));
  const query = analyze("events", "--json", "--node", NODE, million);
  const rows: Row[] = [];
  if (Bun.which("rg")) {
    const peer = { argv: ["rg", "-N", "--no-config", `"target_node":"${NODE}"`, million], env };
    const [ours = [], theirs = []] = await sample(rounds, [query, peer]);
    rows.push(decide(ripgrep, wallOf(ours), wallOf(theirs), ours));
  } else rows.push({ ...ripgrep, note: "not measured, missing: ripgrep" });
  if (Bun.which("jq")) {
    const peer = { argv: ["jq", "-c", `select(.target_node == "${NODE}")`, million], env };
    const [ours = [], theirs = []] = await sample(slowRounds, [query, peer], undefined, 1);
    rows.push(decide(jq, wallOf(ours), wallOf(theirs), ours));
  } else rows.push({ ...jq, note: "not measured, missing: jq" });
  return rows;
}

async function countRow(): Promise<Row[]> {
  const base = row("count --by action, wall", "jq | sort | uniq -c", "ms", "ratio", 1 / 10);
  const blocked = missing("executable", "jq");
  if (blocked) return [{ ...base, note: blocked }];
  const [ours = [], theirs = []] = await sample(
    slowRounds,
    [analyze("count", "--by", "action", million), shell(`jq -r .action '${million}' | sort | uniq -c`)],
    undefined,
    1,
  );
  return [decide(base, wallOf(ours), wallOf(theirs), ours)];
}

async function sinceRow(): Promise<Row[]> {
  const base = row(`--since on ${MANY} events, wall`, `the same on ${FEW}`, "ms", "ratio", 2);
  const blocked = missing("executable");
  if (blocked) return [{ ...base, note: blocked }];
  const since = String(DEFAULT_END_MS - 3_600_000);
  const [ours = [], theirs = []] = await sample(rounds, [
    analyze("events", "--json", "--since", since, many),
    analyze("events", "--json", "--since", since, few),
  ]);
  return [
    remark(
      decide(base, wallOf(ours), wallOf(theirs), ours),
      `files of ${megabytesOf(many)} and ${megabytesOf(few)} MB`,
    ),
  ];
}

async function memoryRow(): Promise<Row[]> {
  const blocked = missing("executable");
  const queries = [
    ["events", "--json", "--node", NODE],
    ["events", "--json"],
    ["events"],
    ["count", "--by", "action"],
    ["count", "--by", "discovery.method"],
    ["nodes"],
    ["timeline"],
    ["incidents"],
    ["patterns"],
    ["verify"],
    ["export", "--format", "csv"],
    ["report", "--html", join(scratch, "report.html")],
  ];
  const rows: Row[] = [];
  for (const words of queries) {
    const base = row(`memory: ${words.join(" ")}, ${COUNT} events`, "", "MB", "value", 96);
    if (blocked) rows.push({ ...base, note: blocked });
    else {
      const [ours = []] = await sample(1, [analyze(...words, million)], undefined, 0);
      rows.push(decide(base, Math.max(...ours.map(({ rss_kb }: Sample) => rss_kb / 1024)), undefined, ours));
    }
  }
  return rows;
}

function megabytesOf(path: string): string {
  return (statSync(path).size / 1e6).toFixed(0);
}
