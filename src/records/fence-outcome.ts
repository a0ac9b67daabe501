/**
 * What became of a fence action, as an alert or a reconciliation reports it: a line of `fence-outcomes.jsonl`.
 * Input:  an object that somebody else wrote (the alert agent runs as hacluster), to be believed only field by field.
 * Output: a line with the same first eight keys as an event's, and nothing that was not checked.
 * Errors: OpsError bad-input with the field at fault. Source: SPEC 3 "What is written".
 */
import { fail } from "../core/errors.ts";
import { escapeControl } from "../core/text.ts";
import { type EncodedEvent, type EventAction, isoSeconds, SCHEMA } from "./fence-event.ts";

export type OutcomeSource = "alert" | "reconcile";

export type FenceOutcome = {
  eventId: string;
  action: EventAction;
  target: string;
  filesystems: readonly string[];
  status: "succeeded" | "failed";
  details: string;
  recorderNode: string;
  source: OutcomeSource;
  timeMs: number;
  /** Who asked, who did it, how it ended; names as SPEC 3 gives them. */
  operation: Readonly<Record<string, string | number>>;
};

const MAX_TEXT = 4096;
const MAX_LIST = 256;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const OPERATION_TEXTS = ["id", "action", "client", "origin", "delegate", "device", "reason"] as const;
const OPERATION_NUMBERS = ["started_ms", "completed_ms", "rc"] as const;

export function decodeOutcome(value: unknown, source: OutcomeSource): FenceOutcome {
  const record = isObject(value) ? value : fail("bad-input", "outcome: not an object");
  const wrong = (key: string): never => fail("bad-input", `outcome: ${key}: not what it must be`);
  const text = (key: string): string => {
    const found = record[key];
    return typeof found === "string" && found.length <= MAX_TEXT ? found : wrong(key);
  };
  const oneOf = <T extends string>(key: string, ...allowed: readonly T[]): T =>
    allowed.find((one) => one === record[key]) ?? wrong(key);
  if (record.schema !== SCHEMA) wrong("schema");
  const names = Array.isArray(record.gfs2_filesystems)
    ? (record.gfs2_filesystems as unknown[])
    : wrong("gfs2_filesystems");
  const isName = (name: unknown): name is string => typeof name === "string" && name.length <= MAX_TEXT;
  if (names.length > MAX_LIST || !names.every(isName)) wrong("gfs2_filesystems");
  const timeMs = record.time_ms;
  if (typeof timeMs !== "number" || !Number.isSafeInteger(timeMs) || timeMs <= 0) return wrong("time_ms");
  const given = isObject(record.operation) ? record.operation : wrong("operation");
  const operation: Record<string, string | number> = {};
  for (const key of OPERATION_TEXTS) {
    const found = given[key];
    if (found === undefined) continue;
    operation[key] = typeof found === "string" && found.length <= MAX_TEXT ? found : wrong(`operation.${key}`);
  }
  for (const key of OPERATION_NUMBERS) {
    const found = given[key];
    if (found === undefined) continue;
    operation[key] = typeof found === "number" && Number.isFinite(found) ? found : wrong(`operation.${key}`);
  }
  return {
    eventId: UUID.test(text("event_id")) ? text("event_id") : wrong("event_id"),
    action: oneOf("action", "on", "off", "reboot"),
    target: text("target_node"),
    filesystems: names.filter(isName),
    status: oneOf("status", "succeeded", "failed"),
    details: text("details"),
    recorderNode: text("recorder_node"),
    source,
    timeMs,
    operation,
  };
}

export const encodeOutcome = (outcome: FenceOutcome): EncodedEvent => ({
  timestamp: isoSeconds(new Date(outcome.timeMs)),
  action: outcome.action,
  target_node: outcome.target.toWellFormed(),
  gfs2_filesystems: outcome.filesystems,
  status: outcome.status,
  details: escapeControl(outcome.details),
  recorder_node: outcome.recorderNode,
  pacemaker_action: outcome.action,
  schema: SCHEMA,
  event_id: outcome.eventId,
  time_ms: outcome.timeMs,
  recorded_ms: outcome.timeMs, // set anew when the line is written
  source: outcome.source,
  operation: outcome.operation,
});

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
