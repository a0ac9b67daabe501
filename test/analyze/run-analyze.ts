/** Runs a subcommand as the program does, with its output caught; commands of this machine are answered from a table. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";
import { runAnalyze } from "../../src/analyze/cli.ts";
import { realHost } from "../../src/core/host.ts";
import type { ProgramContext } from "../../src/core/program.ts";
import { FakeHost, type FakeTables } from "../fakes/fake-host.ts";

export const CAPTURED = join(import.meta.dirname, "../fixtures/gfs2-cluster");

export type Ran = { exitCode: number; stdout: string; stderr: string; lines: string[]; json: () => unknown[] };
export type RunWorld = {
  commands?: FakeTables["commands"];
  env?: Record<string, string>;
  columns?: number;
  now?: Date;
  out?: (text: string) => void;
};

export function contextFor(
  { commands, env = {}, columns = 80, now, out }: RunWorld,
  caught: { stdout: string; stderr: string },
): ProgramContext {
  const tables = new FakeHost(commands === undefined ? {} : { commands });
  return {
    host: { ...realHost, run: tables.run, ...(now === undefined ? {} : { now: () => now }) },
    env,
    out: async (text) => {
      const words = typeof text === "string" ? text : Buffer.from(text).toString("utf8");
      caught.stdout += words;
      out?.(words);
    },
    err: (text) => {
      caught.stderr += `${text}\n`;
    },
    stdin: async function* () {},
    terminal: { columns, colour: false, isTerminal: false },
  };
}

export async function analyze(words: readonly string[], world: RunWorld = {}): Promise<Ran> {
  const caught = { stdout: "", stderr: "" };
  const exitCode = await runAnalyze(contextFor(world, caught), words, "fencepost analyze");
  return {
    exitCode,
    ...caught,
    lines: caught.stdout.split("\n").filter(Boolean),
    json: () =>
      caught.stdout
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line) as unknown),
  };
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
