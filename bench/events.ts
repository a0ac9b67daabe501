/**
 * Writes a log of made-up fence events of realistic shape, the same bytes for the same numbers every time.
 * usage:  packaging/bun bench/events.ts COUNT FILE [--nodes N] [--end EPOCH_MS]
 * Output: COUNT lines as our recorder writes them (bench and tests compare `analyze` with jq, grep and ripgrep on them):
 *         one event every 60 s up to `--end`, one in a thousand recovered late (an older time_ms, its recorded_ms in order).
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { parseArgs } from "node:util";

export type EventFileOptions = { count: number; file: string; nodes?: number; endMs?: number; seed?: number };

const STEP_MS = 60_000;
export const DEFAULT_END_MS = Date.UTC(2026, 0, 1);

/** Numbers that look random and are the same in every run (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** A UUIDv7 of that time. */
function eventId(timeMs: number, random: () => number): string {
  const hex = (digits: number) =>
    Math.floor(random() * 16 ** digits)
      .toString(16)
      .padStart(digits, "0");
  const time = timeMs.toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(3)}-8${hex(3)}-${hex(6)}${hex(6)}`;
}

const pick = <T>(values: readonly T[], random: () => number): T => values[Math.floor(random() * values.length)] as T;

export function* eventLines({
  count,
  nodes = 1_000,
  endMs = DEFAULT_END_MS,
  seed = 1,
}: Omit<EventFileOptions, "file">) {
  const random = randomNumbers(seed);
  const recorders = Array.from({ length: 8 }, (_, index) => `rabbit-node-${index + 1}`);
  const boots = recorders.map(() => eventId(endMs, random).replace("-7", "-4"));
  let recordedMs = endMs - count * STEP_MS;
  for (let index = 0; index < count; index += 1) {
    const nowMs = endMs - (count - index) * STEP_MS + Math.floor(random() * 1_000);
    const late = random() < 0.001 ? Math.floor(random() * 6 * 3_600_000) : 0;
    const timeMs = nowMs - late;
    recordedMs = Math.max(recordedMs, nowMs + 40 + Math.floor(random() * 200));
    const action = pick(["off", "off", "off", "on", "on", "reboot"], random);
    const target = `compute-node-${1 + Math.floor(random() * nodes)}`;
    const which = Math.floor(random() * recorders.length);
    const roll = random();
    const result = roll < 0.8 ? "found" : roll < 0.93 ? "none" : roll < 0.98 ? "unknown" : "disabled";
    const method = pick(["kubernetes", "dlm", "dlm", "pacemaker"], random);
    const names =
      result === "found"
        ? Array.from(
            { length: 1 + Math.floor(random() * 2) },
            (_, at) => `nnf-storage-${1 + ((index * 7 + at * 3) % 40)}`,
          ).sort()
        : [];
    const refused = random() < 0.02;
    const elapsedMs = 20 + Math.floor(random() * 300);
    const status = result === "unknown" ? "failed" : result === "found" ? "found" : "empty";
    const record = {
      timestamp: `${new Date(timeMs).toISOString().slice(0, 19)}Z`,
      action,
      target_node: target,
      gfs2_filesystems: result === "disabled" ? ["discovery-disabled"] : names.length > 0 ? names : ["none-detected"],
      status: refused ? "refused" : "initiated",
      details: refused
        ? `Fence action ${action} refused: no power device vouches for "${target}"`
        : `Fence action ${action} initiated by Pacemaker`,
      recorder_node: recorders[which],
      pacemaker_action: action,
      schema: 1,
      event_id: eventId(timeMs, random),
      time_ms: timeMs,
      recorded_ms: recordedMs,
      source: "stonith",
      discovery:
        result === "disabled"
          ? { result, elapsed_ms: 0, attempts: [] }
          : {
              result,
              method,
              scope: "target",
              elapsed_ms: elapsedMs,
              attempts: [{ method, status, elapsed_ms: elapsedMs }],
            },
      filesystems: names.length > 0 ? names.map((name) => ({ name, mount_point: `/mnt/nnf/${name}` })) : undefined,
      guard: refused ? "unsafe" : "ok",
      guard_source: "cib",
      role: "record",
      boot_id: boots[which],
      agent_version: "0.1.0",
    };
    yield JSON.stringify(record);
  }
}

/** What an alert wrote of each event's fence, 8 s later. */
export function* outcomeLines(options: Omit<EventFileOptions, "file">) {
  for (const line of eventLines(options)) {
    const { schema, action, target_node, event_id, time_ms, recorded_ms } = JSON.parse(line);
    const endMs = time_ms + 8_000;
    yield JSON.stringify({
      timestamp: `${new Date(endMs).toISOString().slice(0, 19)}Z`,
      action,
      target_node,
      gfs2_filesystems: ["none-detected"],
      status: "succeeded",
      details: `Pacemaker: ${action} of ${target_node} ended: OK`,
      recorder_node: "rabbit-node-1",
      pacemaker_action: action,
      schema,
      event_id: `${event_id.slice(0, -4)}0a1e`,
      time_ms: endMs,
      recorded_ms: recorded_ms + 8_000,
      source: "alert",
      role: "record",
      operation: {
        action,
        client: "pacemaker-controld.382",
        origin: "rabbit-node-3",
        delegate: "rabbit-node-2",
        completed_ms: endMs,
      },
    });
  }
}

/** Returns how many bytes were written. */
export function writeEventFile(options: EventFileOptions, linesOf = eventLines): number {
  const handle = openSync(options.file, "w");
  let pending: string[] = [];
  let bytes = 0;
  const flush = () => {
    const block = Buffer.from(pending.join(""));
    for (let at = 0; at < block.length; ) at += writeSync(handle, block, at);
    bytes += block.length;
    pending = [];
  };
  for (const line of linesOf(options)) if (pending.push(`${line}\n`) >= 4_000) flush();
  flush();
  closeSync(handle);
  return bytes;
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { nodes: { type: "string", default: "1000" }, end: { type: "string", default: String(DEFAULT_END_MS) } },
  });
  const [count = "", file = ""] = positionals;
  if (!/^\d+$/.test(count) || file === "") {
    console.error("usage: packaging/bun bench/events.ts COUNT FILE [--nodes N] [--end EPOCH_MS]");
    process.exit(64);
  }
  writeEventFile({ count: Number(count), file, nodes: Number(values.nodes), endMs: Number(values.end) });
}
