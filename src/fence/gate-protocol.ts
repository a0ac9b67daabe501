/**
 * The files that a gate and a responder exchange. Pure: what they are called, what they hold, what an answer is worth.
 * Input:  a request or a response as text. Output: the request; a verdict, which is success only when nothing about the
 *         answer is in doubt.
 * Source: fence_recorder (NearNodeFlash/fence-agents), fence_dummy --type=recorder (ClusterLabs/fence-agents #647),
 *         nnf-sos pkg/fence/types.go; recorded files in test/fixtures/gate; docs/gate.md.
 */
import { escapeControl } from "../core/text.ts";

export type GateRequest = {
  requestId: string;
  timestamp: string;
  action: string;
  target: string;
  recorderNode: string;
};

export type Verdict = { success: boolean; message: string; actionPerformed?: string };

export const MAX_EXCHANGE_BYTES = 1024 * 1024;
/** File names end at 255 bytes: node, `-`, uuid, `.json`, and what a claim adds before and after. */
const MAX_NODE_BYTES = 160;
const MAX_WORD_LENGTH = 1024;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const FILE_NAME = /^(?<node>[^.].*)-(?<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.json$/i;

/** Why a node's name cannot be part of a file's name; undefined when it can. A leading dot would hide the file. */
export function objectionToNode(name: string): string | undefined {
  if (name === "" || /[/\\]|\.\./.test(name)) return "it would lead to another directory";
  if (name.startsWith(".")) return "its file would be hidden";
  if (escapeControl(name) !== name) return "it has control characters";
  if (Buffer.byteLength(name) > MAX_NODE_BYTES) return `it is longer than ${MAX_NODE_BYTES} bytes`;
  return undefined;
}

/** The same for the request and its response. */
export const exchangeName = (node: string, requestId: string): string => `${node}-${requestId}.json`;

/** The file while it is written: hidden, so that nobody reads half of it. */
export const unfinishedName = (name: string): string => `.${name}.tmp`;

/** Node and id of a file's name; undefined for what is no request or response. */
export function partsOfName(name: string): { node: string; requestId: string } | undefined {
  const { node, id } = FILE_NAME.exec(name)?.groups ?? {};
  return node === undefined || id === undefined ? undefined : { node, requestId: id };
}

/** The name of the file that an unfinished one was to become; undefined for what is no unfinished file. */
export const finishedName = (name: string): string | undefined =>
  /^\.+(.+?\.json)\.tmp(?:\.\d+\.tmp)?$/.exec(name)?.[1];

/** As Python's json.dump(indent=2) writes it, keys in the original's order. */
export const encodeRequest = ({ requestId, timestamp, action, target, recorderNode }: GateRequest): string =>
  JSON.stringify(
    { request_id: requestId, timestamp, action, target_node: target, recorder_node: recorderNode },
    undefined,
    2,
  );

export const encodeResponse = (
  request: GateRequest,
  { success, message, actionPerformed }: Verdict,
  time: Date,
): string =>
  JSON.stringify(
    {
      request_id: request.requestId,
      status: success ? "success" : "error",
      success,
      message,
      timestamp: time.toISOString(),
      target_node: request.target,
      action: request.action,
      recorder_node: request.recorderNode,
      action_performed: actionPerformed,
    },
    undefined,
    2,
  );

type Fields = Record<string, unknown>;

function objectIn(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
  } catch {
    return undefined; // not JSON, or not all of it
  }
}

const ACTIONS: readonly unknown[] = ["off", "reboot", "on"];

/** A request that may be acted on, or why it may not. `name` is that of its file. */
export function decodeRequest(text: string, name: string): GateRequest | string {
  const fields = objectIn(text);
  if (!fields) return "not a JSON object";
  const word = (key: string): string | undefined => {
    const value = fields[key];
    return typeof value === "string" && value.length <= MAX_WORD_LENGTH && escapeControl(value) === value
      ? value
      : undefined;
  };
  const requestId = word("request_id");
  const target = word("target_node");
  if (requestId === undefined || !UUID.test(requestId)) return "request_id is no UUID";
  if (target === undefined) return "target_node is no plain text";
  const objection = objectionToNode(target);
  if (objection !== undefined) return `target_node: ${objection}`;
  if (name !== exchangeName(target, requestId)) return "the file's name is not <target_node>-<request_id>.json";
  const action = word("action");
  if (action === undefined || !ACTIONS.includes(action))
    return `action ${shown(fields.action)} is not off, reboot or on`;
  return { requestId, target, action, timestamp: word("timestamp") ?? "", recorderNode: word("recorder_node") ?? "" };
}

const shown = (value: unknown): string => escapeControl(JSON.stringify(value) ?? "nothing").slice(0, 100);

/** Undefined: not a whole JSON object, so perhaps still being written (nnf-sos writes one kind of answer in place). */
export function judgeResponse(text: string, request: GateRequest): Verdict | undefined {
  const fields = objectIn(text);
  if (!fields) return undefined;
  const no = (message: string): Verdict => ({ success: false, message });
  const mine: readonly (readonly [key: string, value: string, required: boolean])[] = [
    ["request_id", request.requestId, true],
    ["target_node", request.target, true],
    // Not every responder repeats these; one that does and means another request is not answering ours.
    ["action", request.action, false],
    ["recorder_node", request.recorderNode, false],
  ];
  for (const [key, value, required] of mine) {
    if (fields[key] === value || (!required && (fields[key] === undefined || fields[key] === ""))) continue;
    return no(`the answer's ${key} is ${shown(fields[key])}, not ${shown(value)}`);
  }
  const { success, status, message, action_performed: performed } = fields;
  const said = typeof message === "string" && message !== "" ? message.slice(0, MAX_WORD_LENGTH) : undefined;
  const action = typeof performed === "string" ? { actionPerformed: performed.slice(0, MAX_WORD_LENGTH) } : {};
  // The originals take any value for true that is not empty, "false" too.
  if (typeof success !== "boolean") return no(`the answer's success is ${shown(success)}, neither true nor false`);
  if (success && status !== undefined && status !== "" && status !== "success") {
    return no(`the answer contradicts itself: success is true and status ${shown(status)}`);
  }
  if (!success) return { success, message: said ?? "the responder says no, without a reason", ...action };
  return { success, message: said ?? "Fence operation completed", ...action };
}
