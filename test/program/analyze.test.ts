/**
 * `analyze` beside the lines it replaces: the source document's jq, grep and tail on the same 100,000 events must say the
 * same (docs/analyze.md has the table). The rest is what only the built executable shows: pipes, memory, names.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { eventLines, writeEventFile } from "../../bench/events.ts";
import { renderReadable } from "../../src/records/fence-event.ts";
import { liveDescribe } from "../live/requirements.ts";

const EXECUTABLE = join(import.meta.dirname, "../../bin/fencepost");
const DOCS = join(import.meta.dirname, "../../docs/analyze.md");
const COUNT = 100_000;
/** A few nodes, so that each has many events. */
const NODES = 40;

let directory = "";
let detailed = "";

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "fencepost-analyze-program-"));
  detailed = join(directory, "fence-events-detailed.jsonl");
  writeEventFile({ count: COUNT, file: detailed, nodes: NODES });
  const readable = [...eventLines({ count: COUNT, nodes: NODES })].map(
    (line) => `${renderReadable(JSON.parse(line))}\n`,
  );
  writeFileSync(join(directory, "fence-events-readable.log"), readable.join(""));
}, 60_000);

afterAll(() => rmSync(directory, { recursive: true, force: true }));

const shell = (script: string, env: Record<string, string> = {}): string => {
  const { stdout, stderr, status } = spawnSync("bash", ["-o", "pipefail", "-c", script], {
    encoding: "utf8",
    cwd: directory,
    maxBuffer: 512 * 1024 * 1024,
    timeout: 100_000,
    env: {
      PATH: `${join(import.meta.dirname, "../../bin")}:/usr/local/bin:/usr/bin:/bin`,
      LC_ALL: "C.UTF-8",
      LOG_DIR: directory,
      ...env,
    },
  });
  expect({ stderr, status }, script).toEqual({ stderr: "", status: 0 });
  return stdout;
};

/** Rows of the documentation's table: the old line and ours. */
function documented(): { old: string; ours: string }[] {
  const rows = readFileSync(DOCS, "utf8").matchAll(/^\| `(.+?)` \| `(.+?)` \|/gm);
  return [...rows].map(([, old = "", ours = ""]) => ({
    old: old.replaceAll("\\|", "|").replaceAll("/var/log/gfs2-fencing", directory),
    ours: ours.replaceAll("\\|", "|"),
  }));
}

const sortedLines = (text: string): string[] => text.split("\n").filter(Boolean).sort();

liveDescribe("the source document's lines", ["jq"], () => {
  /** Both answers in one form: what is counted, or which lines. */
  const asCounts = (text: string) =>
    sortedLines(text)
      .map((line) =>
        line
          .trim()
          .replaceAll(/"|,(?=\d{3}\b)/g, "")
          .replace(/^(\d+)\s+/, "$1 "),
      )
      .sort();

  it("has a row for each of them", () => {
    expect(documented().map(({ old }) => old.split(" ")[0])).toEqual(expect.arrayContaining(["grep", "jq", "tail"]));
    expect(documented().length).toBeGreaterThanOrEqual(6);
  });

  it("grep for a node: the same events", () => {
    const row = documented().find(({ old }) => old.startsWith('grep "'));
    // grep finds compute-node-30 when asked for compute-node-3; ours does not, so grep is asked for the whole word.
    const old = shell(row?.old.replace('"compute-node-3"', "-w compute-node-3") ?? "");
    const found = sortedLines(
      shell(`${row?.ours} --json | jq -r '"\\(.action) \\(.status) \\(.gfs2_filesystems | tojson)"'`),
    );
    expect(sortedLines(old).map((line) => /ACTION=(\S+) .* GFS2=(.*) STATUS=(\S+)/.exec(line)?.slice(1)).length).toBe(
      found.length,
    );
    expect(sortedLines(old.replaceAll(/^.*ACTION=(\S+) TARGET=\S+ GFS2=(.*?) STATUS=(\S+) .*$/gm, "$1 $3 $2"))).toEqual(
      found,
    );
  });

  it("jq select on a node: the same filesystems, each as often", () => {
    const row = documented().find(({ old }) => old.includes("select(.target_node"));
    const old = shell(`${row?.old} | sort | uniq -c`);
    const rows = JSON.parse(shell(`${row?.ours} --json`)) as { rows: { gfs2_filesystems: string; count: number }[] };
    expect(rows.rows.map(({ gfs2_filesystems: name, count }) => `${count} ${name}`).sort()).toEqual(asCounts(old));
  });

  it.each([
    "jq -r '.action'",
    "jq -r .target_node",
    "jq -r '.gfs2_filesystems[]'",
    "jq -r .status",
    "jq -r .discovery.method",
  ])("%s | sort | uniq -c: the same numbers", (start) => {
    const row = documented().find(({ old }) => old.startsWith(start));
    expect(row, start).toBeDefined();
    const ours = shell(row?.ours ?? "")
      .split("\n")
      .slice(1, -2)
      .join("\n")
      .replaceAll("(not recorded)", "null");
    expect(asCounts(ours)).toEqual(asCounts(shell(row?.old ?? "")));
  });

  it("prints with --json exactly the lines that jq -c selects", () => {
    const old = shell(`jq -c 'select(.target_node == "compute-node-7" and .action == "off")' ${detailed}`);
    const ours = shell("fencepost analyze events --node compute-node-7 --action off --json");
    expect(sortedLines(ours)).toEqual(sortedLines(old));
    expect(sortedLines(ours).length).toBeGreaterThan(100);
  });
});

it("answers to the name fencepost-analyze", () => {
  expect(shell("fencepost-analyze count --json --by action")).toBe(shell("fencepost analyze count --json --by action"));
});

it("ends quietly when its reader has had enough", () => {
  expect(shell("set +o pipefail; fencepost analyze events --json | head -n 1 | wc -l")).toBe("1\n");
});

it("says in one line that its output cannot be written", () => {
  const script = `fencepost analyze count --by action >/dev/full 2>said; echo $?; head -n 1 said; grep -c . said`;
  expect(shell(script)).toBe("74\nstdout: not written: ENOSPC: no space left on device, write\n2\n");
});

it("writes everything to a reader that is slow", async () => {
  const child = spawn(EXECUTABLE, ["analyze", "events", "--json"], {
    env: { LOG_DIR: directory },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let lines = 0;
  for await (const chunk of child.stdout) {
    lines += (chunk as Buffer).toString("latin1").split("\n").length - 1;
    if (lines < 2_000) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(lines).toBe(COUNT);
});

it.each([
  ["events", "--json"],
  ["events"],
  ["events", "--json", "--reverse"],
  ["count", "--by", "discovery.method"],
  ["count", "--by", "action"],
  ["nodes"],
  ["filesystems"],
  ["timeline"],
])("needs at most 96 MB: analyze %s %s %s", (...words) => {
  const script = `import resource,subprocess,sys
code=subprocess.run(sys.argv[1:],stdout=subprocess.DEVNULL).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)`;
  const { stdout } = spawnSync(
    "/usr/bin/python3",
    ["-I", "-c", script, EXECUTABLE, "analyze", ...words.filter(Boolean), detailed],
    {
      encoding: "utf8",
    },
  );
  const [code, kilobytes] = stdout.trim().split(" ").map(Number);
  expect(code).toBe(0);
  expect((kilobytes ?? Number.NaN) / 1024).toBeLessThanOrEqual(96);
});

it("is found under its name through a link elsewhere", () => {
  const link = join(directory, "fencepost-analyze");
  symlinkSync(EXECUTABLE, link);
  expect(shell(`${link} --help`)).toContain("fencepost-analyze SUBCOMMAND");
});
