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

const MEASURE = `import json,resource,subprocess,sys
run=subprocess.run(["bash","-o","pipefail","-c",sys.argv[1]],capture_output=True,text=True)
most=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss/1024
print(json.dumps({"status":run.returncode,"stdout":run.stdout,"stderr":run.stderr,"megabytes":most}))`;

/** A line for the shell, and the most memory that one of its processes took. */
type Measured = { status: number; stdout: string; stderr: string; megabytes: number };
function measured(line: string): Measured {
  return JSON.parse(shell('exec /usr/bin/python3 -I -c "$MEASURE" "$LINE"', { MEASURE, LINE: line })) as Measured;
}

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
  expect(shell("fencepost-analyze --version")).toBe(shell("fencepost --version"));
});

it("ends quietly when its reader has had enough", () => {
  expect(shell("set +o pipefail; fencepost analyze events --json | head -n 1 | wc -l")).toBe("1\n");
});

it("reads a big file that is its stdin, under that name too", () => {
  const events = (file: string) => shell(`fencepost analyze events --json --node compute-node-7 ${file}`);
  expect(events(`/dev/stdin <${detailed}`)).toBe(events(detailed));
  expect(events(`/dev/fd/5 5<${detailed}`)).toBe(events(detailed));
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

/** As a user runs it, and on a CPU for which there is no compiled search. */
it.each([{}, { BUN_JSC_useWasmSIMD: "0" }])(
  "finds in a big file what parsing every line finds, and names what is no line: %j",
  (env) => {
    const lines = readFileSync(detailed, "utf8").trimEnd().split("\n");
    const at = (part: number) => Math.floor(COUNT * part);
    // In what is searched here and in what another process searches.
    for (const part of [0.1, 0.45, 0.9]) {
      lines[at(part)] = `{"torn": ${part}`;
      lines[at(part) + 1] = (lines[at(part) + 1] ?? "").replace(/compute-node-\d+/, "compute-node\\u002d7");
      lines[at(part) + 2] = `${lines[at(part) + 2]}\r`;
      lines[at(part) + 3] = "";
    }
    const path = join(directory, "awkward.jsonl");
    writeFileSync(path, lines.join("\n"));
    const wanted = lines.filter((line) => {
      try {
        return (JSON.parse(line) as { target_node: string }).target_node === "compute-node-7";
      } catch {
        return false;
      }
    });
    const { stdout, stderr, status } = spawnSync(
      EXECUTABLE,
      ["analyze", "events", "--json", "--node", "compute-node-7", path],
      {
        encoding: "utf8",
        maxBuffer: 64 * 1024 * 1024,
        env,
      },
    );
    expect(status).toBe(0);
    expect(sortedLines(stdout)).toEqual(wanted.map((line) => line.trimEnd()).sort());
    expect(wanted.length).toBeGreaterThan(1_000);
    for (const part of [0.1, 0.45, 0.9]) expect(stderr).toContain(`awkward.jsonl:${at(part) + 1}: `);
  },
);

it.each([
  ["events", "--json"],
  ["events", "--json", "--node", "compute-node-7"],
  ["events"],
  ["events", "--json", "--reverse"],
  ["count", "--by", "discovery.method"],
  ["count", "--by", "action"],
  ["nodes"],
  ["filesystems"],
  ["timeline"],
])("needs at most 96 MB: analyze %s %s %s", (...words) => {
  const { status, megabytes } = measured(`fencepost analyze ${words.filter(Boolean).join(" ")} ${detailed} >/dev/null`);
  expect(status).toBe(0);
  expect(megabytes).toBeLessThanOrEqual(96);
});

it("refuses to count more different values than it may hold, and counts as many in 96 MB", () => {
  const most = join(directory, "most.jsonl");
  writeEventFile({ count: 20_000, file: most });
  const counted = measured(`fencepost analyze count --by event_id ${most} | wc -l`);
  expect(counted).toMatchObject({ status: 0, stdout: "20002\n" });
  expect(counted.megabytes).toBeLessThanOrEqual(96);
  expect(measured(`fencepost analyze count --by event_id ${detailed}`)).toMatchObject({
    status: 64,
    stdout: "",
    stderr: expect.stringMatching(/^--by event_id: more than 20,000 different values\ntry: .+\n$/),
  });
});

it("holds little of what another process finds, however slow its reader is", () => {
  const line = `fencepost analyze events --json --grep compute ${detailed} | (sleep 2; cat >/dev/null)`;
  const { status, megabytes } = measured(line);
  expect(status).toBe(0);
  expect(megabytes).toBeLessThanOrEqual(96);
});

it("is found under its name through a link elsewhere", () => {
  const link = join(directory, "fencepost-analyze");
  symlinkSync(EXECUTABLE, link);
  expect(shell(`${link} --help`)).toContain("fencepost-analyze SUBCOMMAND");
});
