import { appendFileSync, copyFileSync, mkdirSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runAnalyze } from "../../src/analyze/cli.ts";
import { type FollowOptions, follow } from "../../src/analyze/tail.ts";
import { ClosedPipe } from "../../src/core/streams.ts";
import { analyze, contextFor, directoryWith, outcome, record } from "./run-analyze.ts";

const LOG = "fence-events-detailed.jsonl";

/**
 * What is followed while the steps happen: one step before each look, then as many looks as it takes to be sure. The
 * clock moves by 1 s a look.
 */
async function followed(
  options: Omit<FollowOptions, "signal" | "last"> & { last?: number },
  steps: readonly (() => void)[],
  looks = 12,
): Promise<{ lines: string[]; notes: string[] }> {
  const stop = new AbortController();
  let now = 0;
  let step = 0;
  const host = {
    monotonicMs: () => now,
    sleep: async () => {
      now += 1_000;
      steps[step]?.();
      step += 1;
      if (step > steps.length + looks) stop.abort();
    },
  };
  const lines: string[] = [];
  const notes: string[] = [];
  for await (const item of follow(host, { last: 10, ...options, signal: stop.signal })) {
    if ("note" in item) notes.push(item.note);
    else if ("text" in item) lines.push(item.text);
  }
  return { lines, notes };
}

describe("following a file", () => {
  it("begins with the last lines and goes on with each new one", async () => {
    const path = `${directoryWith({ [LOG]: "1\n2\n3\n4\n" })}/${LOG}`;
    const result = await followed({ path, last: 2 }, [
      () => appendFileSync(path, "5\n6\n"),
      () => appendFileSync(path, "7\n"),
    ]);
    expect(result).toEqual({ lines: ["3", "4", "5", "6", "7"], notes: [] });
  });

  it("counts only the lines that are wanted among the last", async () => {
    const path = `${directoryWith({ [LOG]: "a1\nb\na2\nb\na3\nb\n" })}/${LOG}`;
    expect(
      (await followed({ path, last: 2, judge: ({ text }) => (text.startsWith("a") ? "wanted" : "other") }, [])).lines,
    ).toEqual(["a2", "a3"]);
    expect((await followed({ path, last: 0 }, [() => appendFileSync(path, "x\n")])).lines).toEqual(["x"]);
  });

  it("knows the number of each line, first and last, before and after a rotation", async () => {
    const path = `${directoryWith({ [LOG]: Array.from({ length: 9_000 }, (_, nth) => `${nth + 1} ${"x".repeat(99)}\n`).join("") })}/${LOG}`;
    const numbers: [said: number, counted: number][] = [];
    const stop = new AbortController();
    const steps = [
      () => appendFileSync(path, "9001\n9002\n"),
      () => {
        renameSync(path, `${path}.1`);
        writeFileSync(path, "1\n2\n");
      },
      () => stop.abort(),
    ];
    const host = { monotonicMs: () => 0, sleep: async () => steps.shift()?.() };
    for await (const item of follow(host, { path, last: 6_000, signal: stop.signal })) {
      if (!("text" in item)) continue;
      const said = Number(item.text.split(" ")[0]);
      if (said % 1_000 < 3) numbers.push([said, await item.lineNumber()]);
    }
    expect(numbers.map(([said]) => said).slice(-8)).toEqual([8_000, 8_001, 8_002, 9_000, 9_001, 9_002, 1, 2]);
    for (const [said, counted] of numbers) expect(counted).toBe(said);
  });

  it("finds the last lines across the blocks of a large file", async () => {
    const all = Array.from({ length: 20_000 }, (_, index) => `line ${index} ${"x".repeat(100)}`);
    const path = `${directoryWith({ [LOG]: `${all.join("\n")}\n` })}/${LOG}`;
    expect((await followed({ path, last: 9_000 }, [])).lines).toEqual(all.slice(-9_000));
    expect((await followed({ path, last: 1_000_000 }, [])).lines).toEqual(all);
  });

  it("waits for the rest of a line, one that was torn when it began too", async () => {
    const path = `${directoryWith({ [LOG]: "1\nha" })}/${LOG}`;
    const result = await followed({ path }, [() => appendFileSync(path, "lf"), () => appendFileSync(path, "\nnext\n")]);
    expect(result.lines).toEqual(["1", "half", "next"]);
  });

  it("says that a log cannot be read, and does not wait for it", async () => {
    const path = `${directoryWith({ [`${LOG}/entry`]: "" })}/${LOG}`;
    await expect(followed({ path }, [])).rejects.toMatchObject({
      kind: "io",
      message: expect.stringContaining(`${path}: cannot be read: EISDIR`),
    });
  });

  it("loses and doubles nothing when the file is rotated, even lines written to the old file afterwards", async () => {
    const path = `${directoryWith({ [LOG]: "1\n" })}/${LOG}`;
    const result = await followed({ path }, [
      () => {
        appendFileSync(path, "2\n");
        renameSync(path, `${path}.1`);
        writeFileSync(path, "4\n");
      },
      () => appendFileSync(`${path}.1`, "3\n"),
      () => appendFileSync(path, "5\n"),
    ]);
    expect([...result.lines].sort()).toEqual(["1", "2", "3", "4", "5"]);
    expect(result.notes).toEqual(["rotated"]);
  });

  it("reads a file that came and went between two looks", async () => {
    const path = `${directoryWith({ [LOG]: "1\n", [`${LOG}.1`]: "0\n" })}/${LOG}`;
    const rotate = (text: string) => {
      renameSync(`${path}.1`, `${path}.2`);
      renameSync(path, `${path}.1`);
      writeFileSync(path, text);
    };
    const result = await followed({ path }, [
      () => {
        rotate("2\n3\n");
        rotate("4\n");
      },
      () => appendFileSync(path, "5\n"),
    ]);
    expect(result.lines).toEqual(["1", "2", "3", "4", "5"]);
  });

  it("starts again when the file is truncated, however much was written since", async () => {
    const path = `${directoryWith({ [LOG]: "1\n2\n" })}/${LOG}`;
    const result = await followed({ path }, [
      () => {
        copyFileSync(path, `${path}.1`);
        truncateSync(path);
      },
      () => appendFileSync(path, "3\n"),
      () => writeFileSync(path, "another\nand longer than it was\n"), // truncated and filled between two looks
    ]);
    expect(result).toEqual({
      lines: ["1", "2", "3", "another", "and longer than it was"],
      notes: ["truncated", "truncated"],
    });
  });

  it("waits for a directory that appears later, and for one that goes away and comes back", async () => {
    const parent = directoryWith();
    const directory = `${parent}/later/gfs2-fencing`;
    const path = `${directory}/${LOG}`;
    const result = await followed({ path }, [
      () => mkdirSync(directory, { recursive: true }),
      () => writeFileSync(path, "1\n"),
      () => rmSync(directory, { recursive: true }),
      () => mkdirSync(directory),
      () => writeFileSync(path, "2\n"),
    ]);
    expect(result).toEqual({ lines: ["1", "2"], notes: ["waiting", "appeared", "rotated"] });
  });

  it("passes over a line that is too long, and says so", async () => {
    const path = `${directoryWith({ [LOG]: "1\n" })}/${LOG}`;
    const result = await followed({ path }, [
      () => appendFileSync(path, `${"x".repeat(3_000_000)}`),
      () => appendFileSync(path, "x\n2\n"),
    ]);
    expect(result).toEqual({ lines: ["1", "2"], notes: ["too-long"] });
  });

  it("gives every line once, whatever is written, torn or rotated between two looks", async () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.constant("append" as const) },
      { weight: 2, arbitrary: fc.constant("half" as const) },
      { weight: 1, arbitrary: fc.constant("rotate" as const) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(step, { maxLength: 4 }), { maxLength: 12 }), async (looks) => {
        const directory = directoryWith({ [LOG]: "0\n" });
        const path = `${directory}/${LOG}`;
        const written = ["0"];
        let torn = false;
        let rotated = 0;
        const end = () => {
          if (torn) appendFileSync(path, "\n");
          torn = false;
        };
        const act = {
          append: () => {
            end();
            written.push(String(written.length));
            appendFileSync(path, `${written.at(-1)}\n`);
          },
          half: () => {
            end();
            written.push(`half ${written.length}`);
            appendFileSync(path, String(written.at(-1)));
            torn = true;
          },
          rotate: () => {
            end();
            rotated += 1;
            for (let number = rotated; number > 1; number -= 1)
              renameSync(`${path}.${number - 1}`, `${path}.${number}`);
            renameSync(path, `${path}.1`);
            writeFileSync(path, "");
          },
        };
        const steps = looks.map((actions) => () => {
          for (const action of actions) act[action]();
        });
        const { lines } = await followed({ path }, [...steps, end]);
        expect(lines).toEqual(written);
      }),
      { numRuns: 60 },
    );
  }, 60_000);
});

describe("the command", () => {
  /** Runs it until so many lines have come out, then closes the pipe. */
  const run = async (words: readonly string[], until: number, during: readonly (() => void)[] = []) => {
    const caught = { stdout: "", stderr: "" };
    let step = 0;
    const context = contextFor({ columns: 80 }, caught);
    const lines = () => caught.stdout.split("\n").length - 1;
    const ended = runAnalyze(
      {
        ...context,
        host: {
          ...context.host,
          sleep: async (ms, signal) => {
            during[step]?.();
            step += 1;
            if (step > 2_000) throw new Error("not enough lines");
            await context.host.sleep(Math.min(ms, 1), signal);
          },
        },
        out: async (text) => {
          await context.out(text);
          if (lines() >= until) throw new ClosedPipe();
        },
      },
      ["tail", ...words],
      "fencepost analyze",
    );
    await expect(ended).rejects.toThrow(ClosedPipe);
    return { ...caught, lines: caught.stdout.split("\n").filter(Boolean) };
  };
  const at = (seconds: number): number => Date.parse("2026-11-20T10:00:00Z") + seconds * 1000;

  it("shows events and outcomes as plain lines, and ends when nobody reads", async () => {
    const directory = directoryWith({
      [LOG]: [
        record({ time: at(0) }),
        record({ time: at(1), gfs2_filesystems: ["none-detected"], discovery: { result: "unknown" } }),
      ],
    });
    const { lines } = await run([directory], 3, [
      () => writeFileSync(`${directory}/fence-outcomes.jsonl`, `${JSON.stringify(outcome({ time: at(9) }))}\n`),
    ]);
    expect(lines.map((line) => line.slice(21))).toEqual([
      "off  compute-node-2  initiated  gfs2-project, gfs2-scratch  by rabbit-node-1",
      "off  compute-node-2  initiated  unknown  by rabbit-node-1",
      expect.stringContaining("reboot  compute-node-2  succeeded"),
    ]);
  });

  it("prints the lines as recorded with --json, those asked for, each id once", async () => {
    const first = record({ time: at(0) });
    const other = record({ time: at(1), target: "compute-node-3" });
    const directory = directoryWith({ [LOG]: [first] });
    const add = (one: object) => () => appendFileSync(`${directory}/${LOG}`, `${JSON.stringify(one)}\n`);
    const last = record({ time: at(2) });
    const { lines, stderr } = await run([directory, "--node", "compute-node-2", "--json"], 2, [
      add(first),
      add(other),
      () => appendFileSync(`${directory}/${LOG}`, "no event\n"),
      add(last),
    ]);
    expect(lines).toEqual([first, last].map((one) => JSON.stringify(one)));
    expect(stderr).toContain("not shown: no event");
  });

  const OUTCOMES = "fence-outcomes.jsonl";
  const asLines = (...records: object[]) => records.map((one) => `${JSON.stringify(one)}\n`).join("");
  const timesOf = (lines: readonly string[]) => lines.map((line) => (JSON.parse(line) as { time_ms: number }).time_ms);

  it("begins with the last of all its logs together, in the order in which they were written", async () => {
    const directory = directoryWith({
      [LOG]: [0, 2, 4, 6].map((seconds) => record({ time: at(seconds) })),
      [OUTCOMES]: [1, 3, 5].map((seconds) => outcome({ time: at(seconds) })),
    });
    const { lines } = await run([directory, "-n", "4", "--json"], 5, [
      () => appendFileSync(`${directory}/${OUTCOMES}`, asLines(outcome({ time: at(7) }))),
    ]);
    expect(timesOf(lines)).toEqual([3, 4, 5, 6, 7].map(at));
  });

  it("begins with the last of the rotated files where the log itself has fewer, compressed ones too", async () => {
    const directory = directoryWith({
      [LOG]: [record({ time: at(9) })],
      [`${LOG}.1`]: `\ufeff${asLines(record({ time: at(6), target: "compute-node-3" }), record({ time: at(8) }))}no event\n`,
      [`${OUTCOMES}.1`]: [outcome({ time: at(7) })], // the new one is not there yet
    });
    writeFileSync(
      `${directory}/${LOG}.2.gz`,
      gzipSync(`far from what is shown\n${asLines(...[3, 4, 5].map((time) => record({ time: at(time) })))}`),
    );
    const words = ["--json", "--node", "compute-node-2"];
    const some = await run([directory, "-n", "5", ...words], 6, [
      () => appendFileSync(`${directory}/${LOG}`, asLines(record({ time: at(10) }))),
    ]);
    expect(timesOf(some.lines)).toEqual([4, 5, 7, 8, 9, 10].map(at));
    expect(some.stderr).toContain(`${directory}/${LOG}.1:3: not shown: no event: no event\n`);
    expect(some.stderr).not.toContain(".2.gz");
    expect(timesOf((await run([directory, "-n", "50", ...words], 6)).lines)).toEqual([3, 4, 5, 7, 8, 9].map(at));
    expect(timesOf((await run([`${directory}/${LOG}`, "-n", "2", ...words], 2)).lines)).toEqual([9, 10].map(at));
  });

  it("follows a log also where a rotated file of it cannot be read, and says so", async () => {
    const directory = directoryWith({ [LOG]: [record({ time: at(9) })], [`${LOG}.1.gz`]: "no gzip" });
    const { lines, stderr } = await run([directory, "--json"], 1);
    expect(timesOf(lines)).toEqual([at(9)]);
    expect(stderr).toContain(`${LOG}.1.gz cannot be read: its last lines are not shown\n`);
  });

  it("names a line among the last that is no event, which --strict makes an error", async () => {
    const text = `${asLines(record({ time: at(0) }))}no event\n${asLines(record({ time: at(1) }))}`;
    const directory = directoryWith({ [LOG]: text });
    const { lines, stderr } = await run([directory, "--json"], 2);
    expect(timesOf(lines)).toEqual([at(0), at(1)]);
    expect(stderr).toContain(`${directory}/${LOG}:2: not shown: no event: no event`);
    expect(await analyze(["tail", directory, "--strict"])).toMatchObject({
      ...{ exitCode: 65, stdout: "" },
      stderr: expect.stringContaining(`${directory}/${LOG}:2: no fence event: no event: no event`),
    });
    // Older than what is shown.
    expect((await run([directory, "-n", "1"], 1)).stderr).not.toContain("not shown");
  });

  it("names the last bad lines by their numbers, in their order, and new ones too", async () => {
    const bad = (count: number, name: string) => Array.from({ length: count }, (_, nth) => `${name} ${nth}\n`).join("");
    const directory = directoryWith({
      [LOG]: `\ufeff${asLines(record({ time: at(0) }))}${bad(7, "é\xff old")}${asLines(record({ time: at(1) }))}`,
    });
    const { stderr } = await run([directory, "--json"], 3, [
      () => appendFileSync(`${directory}/${LOG}`, "half"),
      () => appendFileSync(`${directory}/${LOG}`, ` new\n${bad(1, "newer")}${asLines(record({ time: at(2) }))}`),
    ]);
    const told = (number: number, text: string) => `${directory}/${LOG}:${number}: not shown: no event: ${text}`;
    expect(stderr.split("\n").filter((text) => !text.includes("not there yet"))).toEqual([
      ...[2, 3, 4, 5, 6].map((nth) => told(nth + 2, `é\xff old ${nth}`)),
      "2 more lines are no fence event",
      told(10, "half new"),
      told(11, "newer 0"),
      "",
    ]);
  });

  it("reads the first line of a file with a byte order mark", async () => {
    const directory = directoryWith({ [LOG]: `\ufeff${asLines(record({ time: at(0) }))}` });
    const { lines } = await run([directory, "--json"], 2, [
      () => writeFileSync(`${directory}/${OUTCOMES}`, `\ufeff${asLines(outcome({ time: at(1) }))}`),
    ]);
    expect(timesOf(lines)).toEqual([at(0), at(1)]);
  });

  it("follows the directories of several recorders in one, and a readable log that alone survived", async () => {
    const directory = directoryWith({
      [`a/${LOG}`]: [record({ time: at(0) })],
      [`b/${LOG}`]: [record({ time: at(1) })],
      "c/fence-events-readable.log":
        '[2026-11-20 10:00:09] ACTION=off TARGET=compute-node-3 GFS2=["a"] STATUS=initiated DETAILS=x\n',
    });
    const { stdout } = await run([directory], 4, [
      () => appendFileSync(`${directory}/b/${LOG}`, asLines(record({ time: at(2), target: "compute-node-4" }))),
    ]);
    expect(stdout.match(/compute-node-\d/g)?.toSorted()).toEqual(
      [2, 2, 3, 4].map((number) => `compute-node-${number}`),
    );
  });

  it("refuses a compressed log, to which nothing is added", async () => {
    const path = `${directoryWith({ "s.jsonl.gz": "x" })}/s.jsonl.gz`;
    expect(await analyze(["tail", path])).toMatchObject({
      exitCode: 64,
      stderr: expect.stringContaining("nothing is added to a compressed log"),
    });
  });

  it("waits for a directory that is not there yet", async () => {
    const directory = `${directoryWith()}/later`;
    const { lines, stderr } = await run([directory, "--json"], 1, [
      () => mkdirSync(directory),
      () => writeFileSync(`${directory}/${LOG}`, `${JSON.stringify(record({ time: at(0) }))}\n`),
    ]);
    expect(lines).toHaveLength(1);
    expect(stderr).toContain("is not there yet: waiting for it");
  });

  it.each([[["-"]], [["--lines", "some"]]])("refuses %j", async (words) => {
    expect((await analyze(["tail", ...words])).exitCode).toBe(64);
  });
});
