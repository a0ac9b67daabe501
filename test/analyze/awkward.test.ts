/** Files as they really are after crashes, rotations and copies: right answers or a clear error. */
import { spawnSync } from "node:child_process";
import { appendFileSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, it } from "vitest";
import { eventLines } from "../../bench/events.ts";
import { runAnalyze } from "../../src/analyze/cli.ts";
import { analyze, contextFor, directoryWith, fileWith, line, NOW, originalLine } from "./run-analyze.ts";

const total = async (words: readonly string[], stdin?: string | Uint8Array) => {
  const called = await analyze(["count", "--json", ...words], stdin === undefined ? {} : { stdin });
  expect(called.exitCode, called.stderr).toBe(0);
  return { total: (JSON.parse(called.stdout) as { total: number }).total, stderr: called.stderr };
};

it("counts what is whole before a torn last line, and names that line", async () => {
  const path = fileWith(`${line()}${line()}${line().slice(0, 90)}`);
  expect(await total([path])).toEqual({
    total: 2,
    stderr: expect.stringContaining(`${path}:3: not counted: no JSON: {"timestamp"`),
  });
});

it("makes bad lines an error with --strict, and gives no sum without them", async () => {
  const called = await analyze(["count", "--json", "--strict", fileWith(`${line()}garbage\n${line()}`)]);
  expect(called).toMatchObject({ exitCode: 65, stdout: "" });
  expect(called.stderr).toMatch(/detailed\.jsonl:2: not counted: no event: garbage\n1 line is no fence event\n/);
});

it.each([
  ["count", "--by", "action"],
  ["count", "--node", "a-77"],
  ["events", "--node", "a-77"],
  ["events", "--action", "off", "--reverse"],
  ["events", "--limit", "1"],
  ["nodes", "--since", "2025-01-10T14:00:00Z"],
])("parses every line with --strict, so that one damaged inside is found by %s %s %s", async (...words) => {
  const damaged = line({ target_node: "b-2", time_ms: Date.UTC(2025, 0, 9) }).replace('"found"', '"fou');
  const path = fileWith(line({ target_node: "a-77" }) + damaged + line({ target_node: "a-77" }).repeat(2));
  const called = await analyze([...words, "--strict", path]);
  expect(called).toMatchObject({ exitCode: 65, stderr: expect.stringContaining(`${path}:2: not counted: no JSON`) });
});

it("does not jump over what is older than --since with --strict", async () => {
  const lines = [...eventLines({ count: 2_000, endMs: NOW.getTime() })];
  lines[9] = lines[9]?.replace('"result":"', '"result":') ?? "";
  const path = fileWith(`${lines.join("\n")}\n`);
  for (const words of [[], ["--reverse"]]) {
    expect(await analyze(["events", "--since", "1h", ...words, path])).toMatchObject({ exitCode: 0, stderr: "" });
    const called = await analyze(["events", "--since", "1h", "--strict", ...words, path]);
    expect(called).toMatchObject({ exitCode: 65, stderr: expect.stringContaining(`${path}:10: not counted: no JSON`) });
  }
});

it("shows the first five bad lines and says how many there are", async () => {
  const { stderr } = await total([fileWith(`${"x\n".repeat(9)}${line()}`)]);
  expect(stderr.match(/not counted/g)).toHaveLength(5);
  expect(stderr).toContain("9 lines are no fence event; the first 5 are shown");
});

it("finds the second of two records that a killed writer left in one line bad, whatever was asked for", async () => {
  const joined = `${line({ target_node: "a-1" }).slice(0, 150)}${line({ target_node: "b-2" })}`;
  for (const words of [[], ["--node", "b-2"], ["--action", "reboot"]]) {
    expect(await total([...words, fileWith(`${joined}${line({ target_node: "b-2" })}`)])).toEqual({
      total: 1,
      stderr: expect.stringContaining(":1: not counted: no JSON"),
    });
  }
});

it("reads on after NUL bytes that a power cut left", async () => {
  const holes = Buffer.concat([Buffer.from(line()), Buffer.alloc(5_000), Buffer.from(`\n${line()}`)]);
  expect(await total([fileWith(holes)])).toEqual({ total: 2, stderr: expect.stringContaining(":2: not counted") });
});

it("reports a line of 50 MB and reads the lines around it", async () => {
  const path = fileWith(line());
  const block = Buffer.alloc(10 * 1024 * 1024, "x");
  for (let index = 0; index < 5; index += 1) appendFileSync(path, block);
  appendFileSync(path, `\n${line()}${line()}`);
  const before = process.memoryUsage.rss();
  const { total: count, stderr } = await total([path]);
  expect({ count, stderr }).toEqual({
    count: 3,
    stderr: expect.stringContaining(":2: not counted: a line of 52428801 bytes"),
  });
  expect(process.memoryUsage.rss() - before).toBeLessThan(64 * 1024 * 1024);
  const reversed = await analyze(["events", "--json", "--reverse", path]);
  expect(reversed.stdout.trim().split("\n")).toHaveLength(3);
  expect(reversed.stderr).toContain("a line of 524288");
});

it("reads lines that end with CR LF, and blank lines between them", async () => {
  const text = `${line()}\n${line({ action: "off" })}`.replaceAll("\n", "\r\n");
  for (const words of [[], ["--node", "compute-node-3"]]) {
    expect(await total([...words, fileWith(text)])).toEqual({ total: 2, stderr: "" });
  }
  const { stdout } = await analyze(["events", "--json", fileWith(text)]);
  expect(stdout).not.toContain("\r");
});

it("reads a file that begins with a byte order mark", async () => {
  expect(await total([fileWith(`\ufeff${line()}${line()}`)])).toEqual({ total: 2, stderr: "" });
});

it("reads bytes that are no UTF-8 as U+FFFD and counts the event", async () => {
  const [head = "", tail = ""] = line().split("initiated by");
  const bytes = Buffer.concat([Buffer.from(head), Buffer.from([0xff, 0xfe]), Buffer.from(tail)]);
  expect(await total([fileWith(bytes)])).toEqual({ total: 1, stderr: "" });
  const { stdout } = await analyze(["events", "--json", fileWith(bytes)]);
  expect(stdout).toContain("\ufffd");
});

it("answers zero for an empty file", async () => {
  expect(await total([fileWith("")])).toEqual({ total: 0, stderr: "" });
});

it.each([
  ["a directory without logs", (): string => directoryWith(), /no fence logs there/, 65],
  ["a file that is not there", (): string => join(directoryWith(), "x.jsonl"), /x\.jsonl: no such file/, 65],
  ["a glob that matches nothing", (): string => join(directoryWith(), "*.jsonl"), /no file matches/, 65],
  [
    "a compressed file that is none",
    (): string => fileWith("plain", "a.jsonl.gz"),
    /a\.jsonl\.gz: not readable as compressed/,
    65,
  ],
  ["a file that cannot be read", (): string => "/proc/self/mem", /\/proc\/self\/mem: cannot be read/, 74],
] as const)("says what is wrong with %s", async (_, path, message, exitCode) => {
  const called = await analyze(["events", path()]);
  expect(called).toMatchObject({ exitCode, stderr: expect.stringMatching(message) });
});

it("takes a line that stands twice in one log for one fence, and counts it as jq would", async () => {
  const lines = [1, 2, 3].map((hours) => line({ time_ms: NOW.getTime() - hours * 3_600_000 })).join("");
  const copied = { "fence-events-detailed.jsonl.2": lines, "fence-events-detailed.jsonl.1": lines };
  const log: [string, string | undefined][] = [
    [fileWith(lines + lines), undefined],
    [directoryWith(copied), undefined],
    ["-", lines + lines],
  ];
  for (const [path, stdin] of log) {
    const world = stdin === undefined ? {} : { stdin };
    expect((await analyze(["incidents", "--json", path], world)).json()).toHaveLength(3);
    expect((await analyze(["patterns", "--json", path], world)).json()).toMatchObject([{ incidents: 3 }]);
    expect(await total([path], stdin)).toEqual({ total: 6, stderr: "" });
  }
});

it.each([
  ["gzip", gzipSync(line()), "zcat"],
  ["zstd", Buffer.from("28b52ffd0400", "hex"), "zstdcat"],
  ["xz", Buffer.from("fd377a585a000004", "hex"), "xzcat"],
  ["bzip2", Buffer.from("BZh91AY&SY"), "bzcat"],
  ["lz4", Buffer.from("04224d186440", "hex"), "lz4cat"],
])("says of stdin, and of a file whose name does not say so, that it is compressed with %s", async (by, bytes, cat) => {
  expect(await analyze(["count", "-"], { stdin: bytes })).toMatchObject({
    ...{ exitCode: 65, stdout: "" },
    stderr: `stdin: compressed with ${by}\n`,
  });
  const hint = `${cat} FILE | fencepost analyze SUBCOMMAND -`;
  const context = contextFor({ stdin: bytes }, { stdout: "", stderr: "" });
  await expect(runAnalyze(context, ["count", "-"], "")).rejects.toMatchObject({ hint });
  const path = fileWith(bytes, "fence-events-detailed.jsonl.3");
  for (const words of [["count"], ["events", "--reverse"], ["events", "--since", "1h"], ["incidents"]]) {
    expect(await analyze([...words, path]), `${words}`).toMatchObject({
      ...{ exitCode: 65, stdout: "" },
      stderr: `${path}: compressed with ${by}, and its name does not say so\n`,
    });
  }
  expect((await analyze(["verify", "--json", path])).stdout).toContain(`compressed with ${by}`);
});

it("says where it looked when the default log directory is not there", async () => {
  const called = await analyze(["events"], { env: { LOG_DIR: "/nonexistent/logs" } });
  expect(called).toMatchObject({
    exitCode: 65,
    stderr: expect.stringContaining("/nonexistent/logs: no such directory"),
  });
});

it("reads the original recorder's lines and the readable log, each as what it is", async () => {
  const original = await analyze(["events", "--json", fileWith(originalLine())]);
  expect(original.stdout).toBe(originalLine());
  const readable = `[2025-01-10 14:23:16] ACTION=reboot TARGET="odd name" GFS2=["nnf-storage-1"] STATUS=initiated DETAILS=x = y\n`;
  const called = await analyze([
    "events",
    "--json",
    "--source",
    "readable",
    fileWith(readable, "fence-events-readable.log"),
  ]);
  expect(JSON.parse(called.stdout)).toMatchObject({
    action: "reboot",
    target_node: "odd name",
    gfs2_filesystems: ["nnf-storage-1"],
    status: "initiated",
    details: "x = y",
  });
});

it("reads a directory's rotated and compressed files as one log, oldest first, and never a half compressed twin", async () => {
  const directory = directoryWith();
  const base = join(directory, "fence-events-detailed.jsonl");
  const at = (minute: number): string =>
    line({ time_ms: Date.UTC(2025, 0, 10, 14, minute), target_node: `n${minute}` });
  writeFileSync(`${base}.3.zst`, spawnSync("zstd", ["-c"], { input: at(1) }).stdout);
  writeFileSync(`${base}.2.gz`, Buffer.concat([gzipSync(at(2)), gzipSync(at(3))]));
  writeFileSync(`${base}.1`, at(4));
  writeFileSync(`${base}.1.gz`, gzipSync(at(4)).subarray(0, 20));
  writeFileSync(base, at(5));
  writeFileSync(`${base}.orig`, at(9));
  writeFileSync(join(directory, "fence-events-readable.log"), "not read, because the other one is there\n");
  const called = await analyze(["events", "--json", directory]);
  const targets = called.stdout.split("\n").flatMap((text) => /"target_node":"(\w+)"/.exec(text)?.[1] ?? []);
  expect(targets).toEqual(["n1", "n2", "n3", "n4", "n5"]);
  expect(called.stderr).toContain(".1.gz: not read");
  expect(called.stderr).toContain(".orig: not read");
  const newest = await analyze(["events", "--json", "--reverse", "--limit", "3", directory]);
  expect(newest.stdout.match(/"target_node":"\w+"/g)).toEqual([
    '"target_node":"n5"',
    '"target_node":"n4"',
    '"target_node":"n3"',
  ]);
});

it("reads both of two files of one rotation that differ, and the longer of two of which one was cut", async () => {
  const at = (minute: number): string => line({ time_ms: Date.UTC(2025, 0, 10, 14, minute) });
  const old = at(1) + at(2);
  const LOG = "fence-events-detailed.jsonl";
  const totalWith = (plain: string, packed: Buffer, ending = "gz") => {
    const directory = directoryWith({ [LOG]: at(9), [`${LOG}.1`]: plain });
    writeFileSync(join(directory, `${LOG}.1.${ending}`), packed);
    return total([directory]);
  };
  const zstd = (text: string): Buffer => spawnSync("zstd", ["-c"], { input: text }).stdout;
  expect(await totalWith(at(3), gzipSync(old))).toEqual({
    total: 4,
    stderr: expect.stringMatching(/\.1\.gz: differs from \S+\.1: both are read\n$/),
  });
  expect(await totalWith(at(3), zstd(old), "zst")).toMatchObject({ total: 4 });
  for (const [plain, packed, unread] of [
    [old, gzipSync(old), ".1.gz"],
    [old + at(3), gzipSync(old), ".1.gz"],
    [old, gzipSync(old).subarray(0, -20), ".1.gz"],
    ["", gzipSync(old), ".1"],
    [old.slice(0, -300), gzipSync(old), ".1"],
  ] as const) {
    const called = await totalWith(plain, packed);
    expect(called.total).toBe(plain.length > old.length ? 4 : 3);
    expect(called.stderr).toContain(`${LOG}${unread}: not read: `);
  }
});

it("uses the readable log where only that survived", async () => {
  const directory = directoryWith();
  writeFileSync(
    join(directory, "fence-events-readable.log"),
    '[2025-01-10 14:23:16] ACTION=off TARGET=n1 GFS2=["none-detected"] STATUS=initiated DETAILS=x\n',
  );
  const called = await analyze(["filesystems", "--json", directory]);
  // The readable log does not tell "none" from "nobody could be asked".
  expect(JSON.parse(called.stdout)).toMatchObject({ total: 1, none: 0, unknown: 1 });
});

it("reads a file once, whatever names lead to it, and a readable log only where it alone survived", async () => {
  const readable = '[2025-01-10 14:23:16] ACTION=off TARGET=n1 GFS2=["none-detected"] STATUS=initiated DETAILS=x\n';
  const directory = directoryWith({
    "a/fence-events-detailed.jsonl": originalLine() + originalLine(),
    "a/fence-events-readable.log": readable.repeat(2),
    "b/fence-events-readable.log": readable,
  });
  const detailed = `${directory}/a/fence-events-detailed.jsonl`;
  symlinkSync("a", `${directory}/c`);
  symlinkSync(detailed, `${directory}/link.jsonl`);
  const a = `${directory}/a`;
  for (const words of [
    [`${a}/*`],
    [detailed, `${a}/./fence-events-detailed.jsonl`],
    [detailed, `${directory}/link.jsonl`],
  ])
    expect((await total(words)).total, words.join(" ")).toBe(2);
  expect((await total([`${a}/*`])).stderr).toContain(`${a}/fence-events-readable.log: not read: `);
  expect(await total([directory])).toEqual({ total: 3, stderr: "" });
  expect(await total([directory, a, `${directory}/c`])).toEqual({ total: 3, stderr: "" });
  expect(await total([`${a}/fence-events-readable.log`])).toEqual({ total: 2, stderr: "" });
});

it("merges several recorders by time and drops what comes twice", async () => {
  const one = fileWith(
    ["01", "03", "05"]
      .map((minute) => line({ time_ms: Date.parse(`2025-01-10T14:${minute}:00Z`), event_id: `id-${minute}` }))
      .join(""),
  );
  const copy = ["02", "03", "04"]
    .map((minute) => line({ time_ms: Date.parse(`2025-01-10T14:${minute}:00Z`), event_id: `id-${minute}` }))
    .join("");
  const two = join(dirname(one), "collected");
  mkdirSync(two);
  writeFileSync(join(two, "fence-events-detailed.jsonl"), copy);
  const called = await analyze(["events", "--json", one, two]);
  expect(called.stdout.match(/id-\d\d/g)).toEqual(["id-01", "id-02", "id-03", "id-04", "id-05"]);
  const counted = await total([one, two]);
  expect(counted.total).toBe(5);
});

it("reads the files named behind `--`, whatever they are called, and never the default log in their place", async () => {
  const path = fileWith(line({ target_node: "only-here" }), "a.jsonl");
  const world = { env: { LOG_DIR: dirname(fileWith(line() + line())) }, stdin: line() };
  const counted = async (...words: string[]) => {
    const called = await analyze(["count", "--json", ...words], world);
    return called.exitCode === 0 ? (JSON.parse(called.stdout) as { total: number }).total : called.stderr;
  };
  expect(await counted("--", path)).toBe(1);
  expect(await counted("--", "-")).toBe(1);
  expect(await counted(path, "--", fileWith(line()))).toBe(2);
  expect(await counted("--", `${dirname(path)}/b.jsonl`)).toContain("b.jsonl: no such file");
  expect(await counted("--", "--json")).toContain("--json: no such file");
  const page = await analyze(["why", "only-here", "--json", "--pacemaker-log", path, "--", path], world);
  expect(page.json()).toMatchObject([{ target_node: "only-here" }]);
});

it("reads stdin for a lone hyphen, also through several chunks", async () => {
  const text = Array.from({ length: 50 }, (_, index) => line({ target_node: `n-${index % 5}` })).join("");
  expect(await total(["-"], text)).toEqual({ total: 50, stderr: "" });
  expect(await total(["--node", "n-3", "-"], text)).toEqual({ total: 10, stderr: "" });
});

it("reads a pipe that has a name, as the shell's <(…), and never a second time", async () => {
  const pipe = join(directoryWith(), "events.jsonl");
  spawnSync("mkfifo", [pipe]);
  const text = Array.from({ length: 500 }, (_, index) => line({ target_node: `n-${index % 5}` })).join("");
  for (const [words, expected] of [
    [[], 500],
    [["--node", "n-3"], 100],
    [["--since", "1d"], 500],
  ] as const) {
    const writing = writeFile(pipe, text);
    expect(await total([...words, pipe])).toEqual({ total: expected, stderr: "" });
    await writing;
  }
  const writing = writeFile(pipe, text);
  expect(await analyze(["verify", pipe, fileWith(line(), "fence-outcomes.jsonl")])).toMatchObject({ exitCode: 0 });
  await writing;
  expect(await analyze(["incidents", "--history", "live", pipe])).toMatchObject({
    exitCode: 64,
    stderr: expect.stringContaining("cannot come from a pipe"),
  });
  expect(await analyze(["tail", pipe])).toMatchObject({
    exitCode: 64,
    stderr: `tail: ${pipe}: a pipe is no log that can be followed\n`,
  });
});

/** So big that another core is given a part of it, where there is one. */
const BIG_BYTES = 52 * 1024 * 1024;
const EXECUTABLE = join(import.meta.dirname, "../../bin/fencepost");
const ofNode = async (path: string, self?: readonly [string, ...string[]]) => {
  const words = ["events", "--json", "--node", "compute-node-3", path];
  const { exitCode, stderr, lines } = await analyze(words, self ? { self } : {});
  return { exitCode, stderr, count: lines.length };
};
/** Lines of other nodes, and every 100th of compute-node-3. */
const bigLines = (): string[] => {
  const other = line({ target_node: "compute-node-4", details: "x".repeat(5_000) });
  const wanted = line({ details: "x".repeat(5_000) });
  const count = Math.ceil(BIG_BYTES / other.length);
  return Array.from({ length: count }, (_, index) => (index % 100 === 0 ? wanted : other));
};

it.each(["/bin/false", "/bin/true", "/nonexistent/program"])(
  "searches by itself what another process, %s, did not",
  async (command) => {
    const lines = bigLines();
    lines[lines.length - 2] = "torn\n";
    const path = fileWith(lines.join(""));
    expect(await ofNode(path, [command])).toEqual({
      exitCode: 0,
      count: Math.ceil(lines.length / 100),
      stderr: expect.stringContaining(`${path}:${lines.length - 1}: not counted: no event: torn`),
    });
  },
);

it("goes on where another process was killed", async () => {
  const lines = bigLines();
  const path = fileWith(lines.join(""));
  // It comes as far as it comes: some of what it found, and half a line.
  const self = ["/bin/sh", "-c", `"$0" "$@" | head -c 12000`, EXECUTABLE] as const;
  expect(await ofNode(path, self)).toEqual({ exitCode: 0, count: Math.ceil(lines.length / 100), stderr: "" });
});

it("reads the file that it opened, though it is rotated before another process opens it", async () => {
  const lines = bigLines();
  const path = fileWith(lines.join(""));
  const rotate = `mv ${path} ${path}.1; head -n 5 ${path}.1 >${path}; exec "$0" "$@"`;
  expect(await ofNode(path, ["/bin/sh", "-c", rotate, EXECUTABLE])).toEqual({
    exitCode: 0,
    count: Math.ceil(lines.length / 100),
    stderr: "",
  });
});

it("gives the events of a log in disorder in one order, whoever reads it", async () => {
  const count = 9_000;
  const at = (index: number) => ({ time_ms: 1736518996789 + ((index * 7_919) % count) * 1_000 });
  const lines = Array.from({ length: count }, (_, index) => line({ ...at(index), details: "x".repeat(6_000) }));
  const path = fileWith(lines.join(""));
  const words = ["events", "--json", "--node", "compute-node-3", path];
  const alone = await analyze(words);
  expect(alone.lines.length).toBe(count);
  expect((await analyze(words, { self: [EXECUTABLE] })).stdout).toBe(alone.stdout);
});

it("counts a line as too long by its length, wherever it stands and whoever reads it", async () => {
  const most = 1024 * 1024;
  const long = (length: number): string =>
    `${line({ details: "" }).trimEnd().slice(0, -1)},"x":"${"x".repeat(length)}"}`;
  const ofLength = (length: number): string => `${long(length - long(0).length)}\n`;
  const lines = bigLines();
  const at = [0.2, 0.7, 0.8, 0.9].map((part) => Math.floor(lines.length * part) + 1);
  const lengths = [most + 1, most + 100_000, most, most + 400_000];
  for (const [index, place] of at.entries()) lines[place] = ofLength(lengths[index] ?? 0);
  const path = fileWith(lines.join(""));
  const alone = await ofNode(path);
  expect(alone.count).toBe(Math.ceil(lines.length / 100) + 1);
  for (const index of [0, 1, 3]) {
    expect(alone.stderr).toContain(
      `:${(at[index] ?? 0) + 1}: not counted: a line of ${(lengths[index] ?? 0) + 1} bytes`,
    );
  }
  expect(await ofNode(path, [EXECUTABLE])).toEqual(alone);
  const reversed = await analyze(["events", "--json", "--reverse", "--node", "compute-node-3", path]);
  expect(reversed.lines.length).toBe(alone.count);
  expect(reversed.stderr.split("\n").sort()).toEqual(alone.stderr.split("\n").sort());
});

it.each([[], ["--reverse"]])("says that a file was cut while it was read %s", async (...more) => {
  const path = fileWith(line().repeat(20_000));
  let cut = false;
  const out = () => {
    if (!cut) truncateSync(path, 1_000);
    cut = true;
  };
  const { exitCode, stderr } = await analyze(["events", "--json", ...more, path], { out });
  expect({ exitCode, stderr }).toEqual({ exitCode: 65, stderr: `${path}: it was cut while it was read\n` });
});

it("finds a long literal, and only that", async () => {
  const literal = `${"-".repeat(99)}x`;
  const lines = bigLines().slice(0, 2_000);
  lines[7] = line({ details: `y${literal.repeat(3)}` });
  lines[8] = line({ details: literal.slice(1) });
  const { lines: found } = await analyze(["events", "--json", `--grep=${literal}`, fileWith(lines.join(""))]);
  expect(found).toEqual([lines[7]?.trimEnd()]);
});
