import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { failureOf, runCommand } from "../../src/core/exec.ts";

/** Processes that still run with this word in their command line. */
const running = (word: string): string[] => {
  try {
    return execFileSync("pgrep", ["-f", word], { encoding: "utf8" }).trim().split("\n").filter(Boolean);
  } catch {
    return [];
  }
};
const marker = (): string => `fencepost-test-${process.pid}-${Math.random().toString(36).slice(2)}`;

describe.each(["own", "caller"] as const)("runCommand in the %s process group", (group) => {
  it("gives output and exit code as they are", async () => {
    const result = await runCommand(["sh", "-c", "echo out; echo err >&2; exit 3"], { timeoutMs: 5_000, group });
    expect(result).toMatchObject({ outcome: "exited", exitCode: 3, stdout: "out\n", stderr: "err\n" });
  });

  it("passes words as they are, never through a shell", async () => {
    const words = ["a; rm -rf x", "$(id)", "`id`", "*", "-n", "", "two words", "new\nline"];
    const result = await runCommand(["printf", "%s\\n--\\n", ...words], { timeoutMs: 5_000, group });
    expect(result.stdout).toBe(words.map((word) => `${word}\n--\n`).join(""));
  });

  it("runs in the C locale with stdin closed", async () => {
    const result = await runCommand(["sh", "-c", "cat; echo $LC_ALL"], { timeoutMs: 5_000, group });
    expect(result).toMatchObject({ outcome: "exited", stdout: "C\n" });
  });

  it("says why a command was not started", async () => {
    const result = await runCommand(["/no/such/program"], { timeoutMs: 5_000, group });
    expect(result).toMatchObject({ outcome: "not-started", spawnError: "ENOENT" });
    expect(failureOf(result)).toContain("ENOENT");
  });

  it("ends a command that ignores SIGTERM, with what it started", async () => {
    const word = marker();
    const started = performance.now();
    const script = `trap '' TERM; (trap '' TERM; exec -a ${word} sleep 60) & echo up; sleep 60; sleep 60`;
    const result = await runCommand(["bash", "-c", script], { timeoutMs: 300, group });
    expect(result).toMatchObject({ outcome: "timed-out", stdout: "up\n" });
    expect(performance.now() - started).toBeLessThan(3_000);
    await expect.poll(() => running(word), { timeout: 3_000 }).toEqual([]);
  });

  it("is not held by a daemon that left the session and keeps the pipes open", async () => {
    const word = marker();
    const started = performance.now();
    const result = await runCommand(["bash", "-c", `setsid bash -c 'exec -a ${word} sleep 20' & echo gone`], {
      timeoutMs: 4_000,
      group,
    });
    expect(result.stdout).toBe("gone\n");
    expect(performance.now() - started).toBeLessThan(4_900);
    for (const pid of running(word)) process.kill(Number(pid), "SIGKILL");
  });

  it("stops at the output cap", async () => {
    const result = await runCommand(["yes"], { timeoutMs: 5_000, maxBytes: 100_000, group });
    expect(result.outcome).toBe("too-much-output");
    expect(result.stdout.length).toBeLessThanOrEqual(100_000);
  });

  it("is ended by its signal", async () => {
    const stop = new AbortController();
    const started = performance.now();
    const running = runCommand(["sleep", "60"], { timeoutMs: 30_000, signal: stop.signal, group });
    stop.abort();
    expect((await running).outcome).toBe("cancelled");
    expect(performance.now() - started).toBeLessThan(3_000);
  });
});

it("hands secrets to stdin, not to argv", async () => {
  const result = await runCommand(["cat"], { timeoutMs: 5_000, input: "secret" });
  expect(result).toMatchObject({ stdout: "secret", command: "cat" });
});

describe("a command whose output is too big to hold", () => {
  it("is read as it comes, without a cap, and its end is told as ever", async () => {
    let size = 0;
    const result = await runCommand(["bash", "-c", "head -c 20000000 /dev/zero; echo enough >&2; exit 3"], {
      timeoutMs: 20_000,
      maxBytes: 1000,
      onStdout: (chunk) => {
        size += chunk.length;
      },
    });
    expect(result).toMatchObject({ outcome: "exited", exitCode: 3, stdout: "", stderr: "enough\n" });
    expect(size).toBe(20_000_000);
  });
});
