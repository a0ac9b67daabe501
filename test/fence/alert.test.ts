/** Pacemaker's words about a fence → the outcome that is recorded of it. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { outcomeOf, parseDescription } from "../../src/fence/alert.ts";
import { encodeOutcome } from "../../src/records/fence-outcome.ts";
import { readAlert } from "../fakes/captured-alerts.ts";
import { FakeHost } from "../fakes/fake-host.ts";

const ALERTS = join(import.meta.dirname, "../fixtures/gfs2-cluster/alerts");
const host = new FakeHost({ hostname: "rabbit-node-1", now: new Date("2026-11-20T12:00:00Z") });
const REF = "e0d1c336-5bb6-44ab-b207-015a425f3639";
const described = (desc: string, more: Record<string, string> = {}) =>
  outcomeOf(
    { CRM_alert_kind: "fencing", CRM_alert_node: "n1", CRM_alert_desc: desc, CRM_alert_rc: "0", ...more },
    host,
  );
const usual = (action: string, result: string) => `Operation ${action} of n1 by n2 for c.1@n3: ${result} (ref=${REF})`;

describe("parseDescription", () => {
  it.each([
    [
      "an ordinary success",
      usual("off", "OK"),
      { action: "off", target: "n1", delegate: "n2", client: "c.1", origin: "n3", result: "OK", ref: REF },
    ],
    [
      "a reason with parentheses and a line break of its own",
      usual("off", "Error (Agent said: (no\nroute) (ref=1))"),
      { result: "Error", reason: "Agent said: (no\nroute) (ref=1)", ref: REF },
    ],
    [
      "nobody who did it, asked for it, or from where",
      "Operation reboot of n1 by the cluster for a client@a node: No fence device (ref=(none))",
      { action: "reboot", target: "n1", result: "No fence device" },
    ],
    [
      "an operation that nobody could execute",
      `Operation reboot of n1 by the cluster for c.1@n3: No fence device (None of the levels) (ref=${REF})`,
      { client: "c.1", origin: "n3", result: "No fence device", reason: "None of the levels", ref: REF },
    ],
    [
      "Pacemaker before 2.1",
      `Operation reboot requested by n3 for peer n1: Timer expired (ref=${REF})`,
      { action: "reboot", target: "n1", origin: "n3", result: "Timer expired", ref: REF },
    ],
    ["something else", "Fencing history may have changed", undefined],
    ["nothing", "", undefined],
  ])("reads %s", (_, text, expected) => {
    if (expected === undefined) expect(parseDescription(text)).toBeUndefined();
    else expect(parseDescription(text)).toMatchObject(expected);
  });

  it("says nothing of a delegate that Pacemaker does not know", () => {
    const text = `Operation reboot of n1 by the cluster for a client@a node: Error (ref=${REF})`;
    expect(parseDescription(text)).toEqual({ action: "reboot", target: "n1", result: "Error", ref: REF });
  });
});

describe("outcomeOf", () => {
  it.each(readdirSync(ALERTS).filter((name) => name.startsWith("fencing-")))(
    "understands the captured %s",
    async (name) => {
      const env = readAlert(name);
      const { status, operation, timeMs, eventId, action, target } = await outcomeOf(env, host);
      expect(target).toBe("compute-node-2");
      expect(name).toContain(`fencing-${action}`);
      expect(status).toBe(name.includes("-ok") ? "succeeded" : "failed");
      expect(operation).toMatchObject({ action, rc: Number(env.CRM_alert_rc), completed_ms: timeMs, id: eventId });
      expect(Math.floor(timeMs / 1000)).toBe(Number(env.CRM_alert_timestamp_epoch));
      expect(env.CRM_alert_desc).toContain(`(ref=${eventId})`);
      expect(env.CRM_alert_desc).toContain(` for ${operation.client}@${operation.origin}: `);
    },
  );

  it("says why a fence failed in Pacemaker's words", async () => {
    const { operation } = await outcomeOf(readAlert("fencing-off-timed-out.on-rabbit-node-1.txt"), host);
    expect(operation.reason).toBe("Timed Out: Fence agent did not complete within 10s");
  });

  it.each([
    ["the code says no", usual("off", "OK"), "-61"],
    ["the words say no", usual("off", "Error"), "0"],
    ["the code is missing and the words say no", usual("off", "Timed Out"), ""],
  ])("calls a fence failed when %s", async (_, desc, rc) => {
    expect((await described(desc, { CRM_alert_rc: rc })).status).toBe("failed");
  });

  it.each([["list"], ["monitor"], ["st_notify_fence"]])("refuses %s, which is no fence", async (action) => {
    await expect(described(usual(action, "OK"))).rejects.toMatchObject({ kind: "bad-input" });
  });

  it("takes the action from the description, never from the task", async () => {
    expect((await described(usual("on", "OK"), { CRM_alert_task: "reboot" })).action).toBe("on");
  });

  it("names outcomes alike that have no UUID for a reference, and unlike where it differs", async () => {
    const named = (ref: string) => described(usual("off", "OK").replace(REF, ref));
    const [first, again, other] = [await named("7"), await named("7"), await named("8")];
    expect(first.eventId).toBe(again.eventId);
    expect(first.eventId).not.toBe(other.eventId);
    expect((await described(usual("off", "OK").replace(REF, REF.toUpperCase()))).eventId).toBe(REF);
  });

  it("keeps words of any length and kind below what the inbox takes", async () => {
    const bell = "\u0007".repeat(50_000);
    const outcome = await described(usual("off", `Error (${bell})`));
    expect(Buffer.byteLength(JSON.stringify(encodeOutcome(outcome)))).toBeLessThan(64 * 1024);
    expect(outcome.status).toBe("failed");
  });

  it("takes the present for the time when Pacemaker tells none", async () => {
    expect((await described(usual("off", "OK"))).timeMs).toBe(host.now().getTime());
  });
});

it("has every captured file", () => {
  expect(readdirSync(ALERTS)).toHaveLength(13);
  expect(readFileSync(join(ALERTS, "../ORIGIN.md"), "utf8")).toContain("| alerts |");
});
