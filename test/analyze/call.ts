/**
 * Calls `fencepost analyze` inside the test: real files in a directory of the test's own, a clock that stands still, a
 * screen as wide as the test says.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { runAnalyze } from "../../src/analyze/cli.ts";
import { EXIT_CODES, OpsError } from "../../src/core/errors.ts";
import { realHost } from "../../src/core/host.ts";
import type { ProgramContext } from "../../src/core/program.ts";

export const NOW = new Date("2025-01-10T15:00:00Z");

export type Called = { exitCode: number; stdout: string; stderr: string };
export type CallOptions = {
  stdin?: string | Uint8Array;
  env?: Record<string, string>;
  columns?: number;
  colour?: boolean;
};

export function testContext(options: CallOptions = {}): {
  context: ProgramContext;
  said: { out: string; err: string };
} {
  const said = { out: "", err: "" };
  const decoder = new TextDecoder();
  const context: ProgramContext = {
    host: { ...realHost, now: () => NOW },
    env: options.env ?? {},
    out: async (text) => {
      said.out += typeof text === "string" ? text : decoder.decode(text);
    },
    err: (text) => {
      said.err += `${text}\n`;
    },
    stdin: async function* () {
      const bytes = Buffer.from(options.stdin ?? "");
      for (let at = 0; at < bytes.length; at += 1_000) yield bytes.subarray(at, at + 1_000);
    },
    terminal: { columns: options.columns ?? 80, colour: options.colour ?? false, isTerminal: true },
  };
  return { context, said };
}

/** As main.ts does: an OpsError is a message on stderr and an exit code; anything else is a bug and fails the test. */
export async function analyze(words: readonly string[], options: CallOptions = {}): Promise<Called> {
  const { context, said } = testContext(options);
  let exitCode: number;
  try {
    exitCode = await runAnalyze(context, words, "fencepost analyze");
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    said.err += `${error.message}\n`;
    [exitCode] = EXIT_CODES[error.kind];
  }
  return { exitCode, stdout: said.out, stderr: said.err };
}

export function scratchDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "fencepost-analyze-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Writes a file into a directory of its own and says where. */
export function fileWith(content: string | Uint8Array, name = "fence-events-detailed.jsonl"): string {
  const path = join(scratchDirectory(), name);
  writeFileSync(path, content);
  return path;
}

type Overrides = Record<string, unknown>;

let serial = 0;

/** A record of ours; `undefined` takes a key away. */
export function record(overrides: Overrides = {}): Record<string, unknown> {
  const timeMs = typeof overrides.time_ms === "number" ? overrides.time_ms : Date.parse("2025-01-10T14:23:16.789Z");
  serial += 1;
  const all = {
    timestamp: `${new Date(timeMs).toISOString().slice(0, 19)}Z`,
    action: "reboot",
    target_node: "compute-node-3",
    gfs2_filesystems: ["nnf-storage-1", "nnf-storage-4"],
    status: "initiated",
    details: "Fence action reboot initiated by Pacemaker",
    recorder_node: "rabbit-node-1",
    pacemaker_action: "reboot",
    schema: 1,
    event_id: `0199c0de-0000-7000-8000-${String(serial).padStart(12, "0")}`,
    time_ms: timeMs,
    recorded_ms: timeMs + 100,
    source: "stonith",
    discovery: { result: "found", method: "dlm", elapsed_ms: 41, attempts: [{ method: "dlm", status: "found" }] },
    ...overrides,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

export const line = (overrides: Overrides = {}): string => `${JSON.stringify(record(overrides))}\n`;

/** A line of the original Python recorder: eight keys, and json.dumps' spaces. */
export function originalLine(overrides: Overrides = {}): string {
  const eight = Object.entries(record(overrides)).slice(0, 8);
  return `{${eight.map(([key, value]) => `"${key}": ${JSON.stringify(value).replaceAll('","', '", "')}`).join(", ")}}\n`;
}
