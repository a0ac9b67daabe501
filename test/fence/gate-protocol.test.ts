import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  decodeRequest,
  encodeRequest,
  encodeResponse,
  exchangeName,
  finishedName,
  type GateRequest,
  judgeResponse,
  objectionToNode,
  partsOfName,
  unfinishedName,
} from "../../src/fence/gate-protocol.ts";

const fixture = (name: string) => readFileSync(join(import.meta.dirname, "../fixtures/gate", name), "utf8");
const ID = "6b3e50fa-2472-448a-b40f-fd3fc923899c";
const NAME = `compute-node-3-${ID}.json`;
const REQUEST: GateRequest = {
  requestId: ID,
  timestamp: "2026-11-21T03:12:35.115852+00:00",
  action: "off",
  target: "compute-node-3",
  recorderNode: "vm",
};
const answer = (more: Record<string, unknown> = {}) =>
  JSON.stringify({ request_id: ID, success: true, target_node: "compute-node-3", message: "cut", ...more });

describe("requests", () => {
  it("are written byte for byte as fence_dummy writes them", () => {
    expect(encodeRequest(REQUEST)).toBe(fixture("fence_dummy-off.request.json"));
    expect(exchangeName(REQUEST.target, REQUEST.requestId)).toBe(NAME);
    expect(unfinishedName(NAME)).toBe(`.${NAME}.tmp`);
  });

  it.each(["fence_dummy-off", "fence_dummy-reboot", "fence_recorder-off"])("of %s are understood", (who) => {
    const text = fixture(`${who}.request.json`);
    const { request_id: id, target_node: target, action } = JSON.parse(text);
    expect(decodeRequest(text, `${target}-${id}.json`)).toMatchObject({ requestId: id, target, action });
  });

  it.each<[what: string, text: string, name: string, reason: RegExp]>([
    ["no JSON", "{", NAME, /not a JSON object/],
    ["a list", "[]", NAME, /not a JSON object/],
    ["no id", JSON.stringify({ action: "off", target_node: "a" }), NAME, /request_id/],
    ["another file's name", encodeRequest(REQUEST), `compute-node-4-${ID}.json`, /file's name/],
    ["a node that is a path", encodeRequest({ ...REQUEST, target: "../a" }), NAME, /directory/],
    ["a node with a NUL", encodeRequest({ ...REQUEST, target: "a\0b" }), NAME, /target_node/],
    ["a node that is a number", encodeRequest(REQUEST).replace('"compute-node-3"', "3"), NAME, /target_node/],
    ["an action of another kind", encodeRequest({ ...REQUEST, action: "status" }), NAME, /action "status"/],
    ["an action that is no text", encodeRequest(REQUEST).replace('"off"', "1"), NAME, /action 1/],
  ])("with %s are not acted on", (_, text, name, reason) => {
    expect(decodeRequest(text, name)).toMatch(reason);
  });

  it.each<[node: string, reason: RegExp]>([
    ["../x", /directory/],
    ["a/b", /directory/],
    ["a\\b", /directory/],
    ["a..b", /directory/],
    ["", /directory/],
    [".hidden", /hidden/],
    ["a\nb", /control/],
    ["n".repeat(300), /longer/],
    ["é".repeat(81), /longer/],
  ])("are not written for a node named %j", (node, reason) => {
    expect(objectionToNode(node)).toMatch(reason);
  });

  it.each(["compute-node-3", "a; rm -rf x", "узел-1", "-n", "$(reboot)"])("are written for a node named %j", (node) => {
    expect(objectionToNode(node)).toBeUndefined();
    expect(partsOfName(exchangeName(node, ID))).toEqual({ node, requestId: ID });
  });

  it("are told from files that are none, hidden, or not finished", () => {
    for (const name of [`.${NAME}`, `.${NAME}.tmp`, "README", `${NAME}.bak`, `-${ID}.json`]) {
      expect(partsOfName(name)).toBeUndefined();
    }
    expect(finishedName(`.${NAME}.tmp`)).toBe(NAME);
    expect(finishedName(`..${NAME}.tmp.77.tmp`)).toBe(NAME);
    expect(finishedName(NAME)).toBeUndefined();
  });
});

describe("answers", () => {
  it.each<[file: string, success: boolean, message: RegExp]>([
    ["external_fence_watcher-off", true, /Simulated fence off succeeded/],
    ["nnf-no-storage", true, /No block storage resources/],
    ["nnf-storage-groups", true, /by deleting 2 GFS2 storage groups/],
    ["nnf-partly", false, /Partially fenced/],
  ])("of %s are taken at their word", (file, success, message) => {
    const verdict = judgeResponse(fixture(`${file}.response.json`), REQUEST);
    expect(verdict).toMatchObject({ success, message: expect.stringMatching(message), actionPerformed: "off" });
  });

  it("of our own responder are understood by our own gate", () => {
    for (const success of [true, false]) {
      const text = encodeResponse(REQUEST, { success, message: "m", actionPerformed: "off" }, new Date());
      expect(judgeResponse(text, REQUEST)).toEqual({ success, message: "m", actionPerformed: "off" });
    }
  });

  it.each<[what: string, more: Record<string, unknown>, reason: RegExp]>([
    ["the string false as success", { success: "false" }, /success is "false"/],
    ["the string true as success", { success: "true" }, /success is "true"/],
    ["the number 1 as success", { success: 1 }, /success is 1/],
    ["null as success", { success: null }, /success is null/],
    ["no success", { success: undefined }, /success is nothing/],
    ["a list as success", { success: [true] }, /success is \[true\]/],
    ["another request's id", { request_id: ID.replace("6", "7") }, /request_id/],
    ["no id", { request_id: undefined }, /request_id/],
    ["another node", { target_node: "compute-node-30" }, /target_node/],
    ["the node in other letters", { target_node: "Compute-Node-3" }, /target_node/],
    ["no node", { target_node: undefined }, /target_node/],
    ["another action", { action: "on" }, /action/],
    ["another recorder's name", { recorder_node: "other" }, /recorder_node/],
    ["a status that contradicts it", { status: "error" }, /contradicts/],
    ["success false", { success: false }, /cut/],
    ["success false and status success", { success: false, status: "success" }, /cut/],
  ])("with %s are a failure", (_, more, reason) => {
    const verdict = judgeResponse(answer(more), REQUEST);
    expect(verdict?.success).toBe(false);
    expect(verdict?.message).toMatch(reason);
  });

  it.each(["", "{", answer().slice(0, -5), "[true]", "true", '"success"', "null", "{'success': true}"])(
    "that are not a whole object (%j) are no verdict",
    (text) => {
      expect(judgeResponse(text, REQUEST)).toBeUndefined();
    },
  );
});
