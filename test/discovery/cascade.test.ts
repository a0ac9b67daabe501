import { expect, it } from "vitest";
import { discover } from "../../src/discovery/cascade.ts";
import type { Method, ProbeOutcome, Source } from "../../src/discovery/source.ts";
import { FakeHost } from "../fakes/fake-host.ts";

const found = (...names: string[]): ProbeOutcome => ({
  status: "found",
  scope: "target",
  filesystems: names.map((name) => ({ name })),
});
const empty: ProbeOutcome = { status: "empty" };
const failed: ProbeOutcome = { status: "failed", reason: "broken" };

type Plan = { afterMs: number; says: ProbeOutcome } | "hangs";

/** Runs the cascade with three sources that answer as planned; the clock moves in steps of 10 ms until it has ended. */
async function run(plans: Record<Method, Plan>, timeoutMs = 5_000) {
  const host = new FakeHost();
  const startedAtMs: Partial<Record<Method, number>> = {};
  const source = (method: Method): Source => ({
    method,
    probe: async ({ signal }) => {
      startedAtMs[method] = host.monotonicMs();
      const plan = plans[method];
      await host.sleep(plan === "hangs" ? 1e9 : plan.afterMs, signal);
      if (plan === "hangs") return failed;
      return plan.says;
    },
  });
  let ended = false;
  const discovering = discover([source("kubernetes"), source("dlm"), source("pacemaker")], {
    target: "n",
    host,
    timeoutMs,
    cib: () => Promise.reject(new Error("no CIB")),
    learn: () => undefined,
  }).finally(() => {
    ended = true;
  });
  for (let step = 0; !ended && step < 2_000; step += 1) {
    await host.advance(10);
  }
  return { ...(await discovering), startedAtMs };
}

it.each<[string, Record<Method, Plan>, object, Partial<Record<Method, number>>]>([
  [
    "asks nobody else when the first source finds something at once",
    { kubernetes: { afterMs: 100, says: found("a") }, dlm: "hangs", pacemaker: "hangs" },
    { result: "found", method: "kubernetes", elapsedMs: 100 },
    { kubernetes: 0 },
  ],
  [
    "goes on as soon as a source fails or knows nothing",
    {
      kubernetes: { afterMs: 20, says: failed },
      dlm: { afterMs: 30, says: empty },
      pacemaker: { afterMs: 40, says: found("c") },
    },
    { result: "found", method: "pacemaker", elapsedMs: 90 },
    { kubernetes: 0, dlm: 20, pacemaker: 50 },
  ],
  [
    "starts the next beside a source that is silent for 250 ms",
    { kubernetes: { afterMs: 300, says: found("a") }, dlm: "hangs", pacemaker: "hangs" },
    { result: "found", method: "kubernetes", elapsedMs: 300 },
    { kubernetes: 0, dlm: 250 },
  ],
  [
    "gives a better-ranked source one second more once any has found something",
    { kubernetes: { afterMs: 1_000, says: found("a") }, dlm: { afterMs: 50, says: found("b") }, pacemaker: "hangs" },
    { result: "found", method: "kubernetes", elapsedMs: 1_000 },
    { kubernetes: 0, dlm: 250 },
  ],
  [
    "takes the lesser answer when the second is over",
    { kubernetes: "hangs", dlm: { afterMs: 50, says: found("b") }, pacemaker: "hangs" },
    { result: "found", method: "dlm", elapsedMs: 1_300 },
    { kubernetes: 0, dlm: 250 },
  ],
  [
    "takes the lesser answer at once when the better source has failed meanwhile",
    { kubernetes: { afterMs: 400, says: failed }, dlm: { afterMs: 50, says: found("b") }, pacemaker: "hangs" },
    { result: "found", method: "dlm", elapsedMs: 400 },
    { kubernetes: 0, dlm: 250 },
  ],
  [
    "says none when a source that was asked knows none",
    {
      kubernetes: { afterMs: 10, says: failed },
      dlm: { afterMs: 10, says: empty },
      pacemaker: { afterMs: 10, says: failed },
    },
    { result: "none", elapsedMs: 30 },
    { kubernetes: 0, dlm: 10, pacemaker: 20 },
  ],
  [
    "says unknown when no source could be asked",
    {
      kubernetes: { afterMs: 10, says: failed },
      dlm: { afterMs: 10, says: failed },
      pacemaker: { afterMs: 10, says: failed },
    },
    { result: "unknown", elapsedMs: 30 },
    { kubernetes: 0, dlm: 10, pacemaker: 20 },
  ],
  [
    "ends at the deadline although every source hangs",
    { kubernetes: "hangs", dlm: "hangs", pacemaker: "hangs" },
    { result: "unknown", elapsedMs: 5_000 },
    { kubernetes: 0, dlm: 250, pacemaker: 500 },
  ],
])("%s", async (_, plans, expected, started) => {
  const { startedAtMs, ...discovery } = await run(plans);
  expect(discovery).toMatchObject(expected);
  expect(startedAtMs).toEqual(started);
});

it("keeps what every source said, with reasons, and marks those that had not answered", async () => {
  const { attempts } = await run({
    kubernetes: { afterMs: 10, says: failed },
    dlm: "hangs",
    pacemaker: { afterMs: 10, says: found("c") },
  });
  expect(attempts).toMatchObject([
    { method: "kubernetes", status: "failed", reason: "broken", elapsedMs: 10 },
    { method: "dlm", status: "unfinished" },
    { method: "pacemaker", status: "found", elapsedMs: 10 },
  ]);
});

it("takes a source that throws for one that failed", async () => {
  const host = new FakeHost();
  const discovery = await discover([{ method: "dlm", probe: () => Promise.reject(new Error("a bug\nof ours")) }], {
    target: "n",
    host,
    timeoutMs: 100,
    cib: () => Promise.reject(new Error("no CIB")),
    learn: () => undefined,
  });
  expect(discovery).toMatchObject({ result: "unknown", attempts: [{ status: "failed", reason: "a bug\\nof ours" }] });
});
