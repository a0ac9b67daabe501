/**
 * Runs `fencepost analyze` inside the test: real files in a directory of the test's own, its output caught, commands of this
 * machine answered from a table. And what is in such files: records of ours, and lines of the original recorder.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";
import { runAnalyze } from "../../src/analyze/cli.ts";
import { EXIT_CODES, OpsError } from "../../src/core/errors.ts";
import { realHost } from "../../src/core/host.ts";
import type { ProgramContext } from "../../src/core/program.ts";
import { FakeHost, type FakeTables } from "../fakes/fake-host.ts";

export const CAPTURED = join(import.meta.dirname, "../fixtures/gfs2-cluster");
export const NOW = new Date("2025-01-10T15:00:00Z");

export type Ran = { exitCode: number; stdout: string; stderr: string; lines: string[]; json: () => unknown[] };
export type RunWorld = {
  commands?: FakeTables["commands"];
  env?: Record<string, string>;
  columns?: number;
  colour?: boolean;
  now?: Date;
  stdin?: string | Uint8Array;
  out?: (text: string) => void;
  /** How this program is started again. */
  self?: readonly [string, ...string[]];
};

export function contextFor(
  { commands, env = {}, columns = 80, colour = false, now = NOW, stdin = "", out, self }: RunWorld,
  caught: { stdout: string; stderr: string },
): ProgramContext {
  const tables = new FakeHost(commands === undefined ? {} : { commands });
  return {
    host: { ...realHost, run: tables.run, now: () => now },
    env,
    out: async (text) => {
      const words = typeof text === "string" ? text : Buffer.from(text).toString("utf8");
      caught.stdout += words;
      out?.(words);
    },
    err: (text) => {
      caught.stderr += `${text}\n`;
    },
    stdin: async function* () {
      const bytes = Buffer.from(stdin);
      for (let at = 0; at < bytes.length; at += 1_000) yield bytes.subarray(at, at + 1_000);
    },
    terminal: { columns, colour, isTerminal: colour },
    ...(self && { self }),
  };
}

/** As main.ts does: an OpsError is a message on stderr and an exit code; anything else is a bug and fails the test. */
export async function analyze(words: readonly string[], world: RunWorld = {}): Promise<Ran> {
  const caught = { stdout: "", stderr: "" };
  const exitCode = await runAnalyze(contextFor(world, caught), words, "fencepost analyze").catch((error: unknown) => {
    if (!(error instanceof OpsError)) throw error;
    caught.stderr += `${error.message}\n`;
    return EXIT_CODES[error.kind][0];
  });
  const lines = caught.stdout.split("\n").filter(Boolean);
  return { exitCode, ...caught, lines, json: () => lines.map((line) => JSON.parse(line) as unknown) };
}

/** A directory with these files in it, gone after the test. */
export function directoryWith(files: Readonly<Record<string, string | readonly object[]>> = {}): string {
  const directory = mkdtempSync(join(tmpdir(), "fencepost-analyze-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(
      join(directory, name),
      typeof content === "string" ? content : content.map((record) => `${JSON.stringify(record)}\n`).join(""),
    );
  }
  return directory;
}

/** Writes a file into a directory of its own and says where. */
export function fileWith(content: string | Uint8Array, name = "fence-events-detailed.jsonl"): string {
  const path = join(directoryWith(), name);
  writeFileSync(path, content);
  return path;
}

let serial = 0;
function uuid(): string {
  serial += 1;
  return `01900000-0000-7000-8000-${serial.toString(16).padStart(12, "0")}`;
}
const iso = (timeMs: number): string => `${new Date(timeMs).toISOString().slice(0, 19)}Z`;

export type RecordWords = {
  time: string | number;
  action?: string;
  target?: string;
  status?: string;
  recorder?: string;
  [key: string]: unknown;
};

/** A record as the recorder writes it. */
export function record({
  time,
  action = "off",
  target = "compute-node-2",
  status = "initiated",
  recorder = "rabbit-node-1",
  ...more
}: RecordWords) {
  const timeMs = typeof time === "number" ? time : Date.parse(time);
  return {
    timestamp: iso(timeMs),
    action,
    target_node: target,
    gfs2_filesystems: ["gfs2-project", "gfs2-scratch"],
    status,
    details: `Fence action ${action} initiated by Pacemaker`,
    recorder_node: recorder,
    pacemaker_action: action,
    schema: 1,
    event_id: uuid(),
    time_ms: timeMs,
    recorded_ms: timeMs,
    source: "stonith",
    discovery: {
      result: "found",
      method: "dlm",
      elapsed_ms: 120,
      attempts: [{ method: "dlm", status: "found", elapsed_ms: 120 }],
    },
    role: "record",
    ...more,
  };
}

/** What the alert agent writes when a fence is over. */
export function outcome({
  time,
  action = "reboot",
  target = "compute-node-2",
  status = "succeeded",
  recorder = "rabbit-node-1",
  operation = {},
  ...more
}: RecordWords) {
  const timeMs = typeof time === "number" ? time : Date.parse(time);
  return record({
    time: timeMs,
    action,
    target,
    status,
    recorder,
    source: "alert",
    gfs2_filesystems: ["none-detected"],
    discovery: undefined,
    operation: {
      action,
      client: "pacemaker-controld.382",
      origin: "compute-node-3",
      delegate: "rabbit-node-1",
      completed_ms: timeMs,
      ...(operation as object),
    },
    ...more,
  });
}

type Overrides = Record<string, unknown>;

/** A record of ours as it comes in a log; `undefined` takes a key away. */
function plainRecord(overrides: Overrides): Overrides {
  const time = typeof overrides.time_ms === "number" ? overrides.time_ms : Date.parse("2025-01-10T14:23:16.789Z");
  const usual = { action: "reboot", target: "compute-node-3", gfs2_filesystems: ["nnf-storage-1", "nnf-storage-4"] };
  const all = { ...record({ time, recorded_ms: time + 100, ...usual }), ...overrides };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

export const line = (overrides: Overrides = {}): string => `${JSON.stringify(plainRecord(overrides))}\n`;

/** A line of the original Python recorder: eight keys, and json.dumps' spaces. */
export function originalLine(overrides: Overrides = {}): string {
  const eight = Object.entries(plainRecord(overrides)).slice(0, 8);
  return `{${eight.map(([key, value]) => `"${key}": ${JSON.stringify(value).replaceAll('","', '", "')}`).join(", ")}}\n`;
}
