/** The exchange itself, in real directories; the clock is the test's where time matters. */
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { type Host, realHost } from "../../src/core/host.ts";
import { cleanUp, exchange } from "../../src/fence/gate-mailbox.ts";
import type { GateRequest, Verdict } from "../../src/fence/gate-protocol.ts";

const ID = "11111111-2222-4333-8444-555555555555";
const REQUEST: GateRequest = {
  requestId: ID,
  timestamp: "2026-11-21T03:12:35Z",
  action: "off",
  target: "node3",
  recorderNode: "node1",
};
const NAME = `node3-${ID}.json`;
const answer = (more: Record<string, unknown> = {}) =>
  JSON.stringify({ request_id: ID, target_node: "node3", success: true, message: "cut", ...more });

let requestDir: string;
let responseDir: string;
beforeEach(() => {
  const base = mkdtempSync(join(tmpdir(), "fencepost-gate-"));
  onTestFinished(() => rmSync(base, { recursive: true, force: true }));
  requestDir = join(base, "exchange/requests");
  responseDir = join(base, "exchange/responses");
});

/** Runs the exchange; `respond` is called once the request can be seen. */
async function ask(
  respond: () => void | Promise<void>,
  { timeoutMs = 10_000, host = realHost, pollMs = 10 } = {},
): Promise<{ verdict: Verdict | undefined }> {
  const seen = Promise.withResolvers<void>();
  const done = exchange(
    host,
    { requestDir, responseDir, request: REQUEST, timeoutMs, pollMs, maxAgeMs: 300_000 },
    new AbortController().signal,
    seen.resolve,
  );
  await Promise.race([seen.promise, done]);
  await respond();
  return { verdict: await done };
}
const place = (text: string) => {
  writeFileSync(join(responseDir, `.${NAME}.tmp`), text);
  renameSync(join(responseDir, `.${NAME}.tmp`), join(responseDir, NAME));
};
const failing = (message: RegExp) => ({
  verdict: { success: false, message: expect.stringMatching(message) as unknown as string },
});

it("writes the request whole, closed to others, and passes on the verdict; the answer is kept", async () => {
  const { verdict } = await ask(() => {
    expect(readdirSync(requestDir)).toEqual([NAME]);
    expect(JSON.parse(readFileSync(join(requestDir, NAME), "utf8"))).toEqual({
      request_id: ID,
      timestamp: REQUEST.timestamp,
      action: "off",
      target_node: "node3",
      recorder_node: "node1",
    });
    expect(statSync(join(requestDir, NAME)).mode & 0o007).toBe(0);
    place(answer());
  });
  expect(verdict).toEqual({ success: true, message: "cut" });
  expect(existsSync(join(responseDir, NAME))).toBe(true);
});

it("passes on a no", async () => {
  expect(await ask(() => place(answer({ success: false, message: "two of three" })))).toEqual(failing(/two of three/));
});

it("waits for the end of an answer that is written in place, as nnf-sos does", async () => {
  const text = answer();
  const { verdict } = await ask(async () => {
    writeFileSync(join(responseDir, NAME), text.slice(0, 20));
    await realHost.sleep(60); // several looks at the half of it
    writeFileSync(join(responseDir, NAME), text);
  });
  expect(verdict).toMatchObject({ success: true });
});

it("takes no hidden file for an answer", async () => {
  const { verdict } = await ask(() => writeFileSync(join(responseDir, `.${NAME}.tmp`), answer()), { timeoutMs: 150 });
  expect({ verdict }).toEqual(failing(/timed out after 0.15 s: no answer/));
});

describe("fails for", () => {
  it.each<[what: string, respond: () => void, reason: RegExp]>([
    ["half a file", () => place(answer().slice(0, 30)), /not a whole JSON object/],
    ["an empty file", () => place(""), /not a whole JSON object/],
    ["a wrong id", () => place(answer({ request_id: ID.replace("1", "2") })), /request_id/],
    ["a wrong node", () => place(answer({ target_node: "node30" })), /target_node/],
    ["success as a string", () => place(answer({ success: "true" })), /neither true nor false/],
    ["a file of 2 MiB", () => place(answer({ message: "x".repeat(2 * 1024 * 1024) })), /more than 1048576/],
    [
      "a symlink to a good answer",
      () => {
        writeFileSync(join(responseDir, "elsewhere"), answer());
        symlinkSync("elsewhere", join(responseDir, NAME));
      },
      /not a regular file/,
    ],
    ["a symlink that leads nowhere", () => symlinkSync("nowhere", join(responseDir, NAME)), /not a regular file/],
    [
      "a hard link to a good answer",
      () => {
        writeFileSync(join(responseDir, "elsewhere"), answer());
        linkSync(join(responseDir, "elsewhere"), join(responseDir, NAME));
      },
      /more than one name/,
    ],
    ["a directory", () => mkdirSync(join(responseDir, NAME)), /not a regular file/],
    [
      "a file that any user may write",
      () => {
        writeFileSync(join(responseDir, "x"), answer());
        chmodSync(join(responseDir, "x"), 0o666);
        renameSync(join(responseDir, "x"), join(responseDir, NAME));
      },
      /any user may write/,
    ],
    [
      "an answer from before the request",
      () => {
        writeFileSync(join(responseDir, "x"), answer());
        utimesSync(join(responseDir, "x"), new Date(), new Date(Date.now() - 60_000));
        renameSync(join(responseDir, "x"), join(responseDir, NAME));
      },
      /stale answer/,
    ],
  ])("%s", async (_, respond, reason) => {
    expect(await ask(respond)).toEqual(failing(reason));
  });

  it("an answer that was there before anything was asked", async () => {
    mkdirSync(responseDir, { recursive: true });
    place(answer());
    expect(await ask(() => undefined)).toEqual(failing(/stale answer/));
    expect(readdirSync(requestDir)).toEqual([]);
  });

  it("a request directory that is a symlink", async () => {
    mkdirSync(join(requestDir, "../real"), { recursive: true });
    symlinkSync("real", requestDir);
    expect(await ask(() => undefined)).toEqual(failing(/the request was not written: .*not a directory/));
  });

  it("a request directory that is a file", async () => {
    mkdirSync(join(requestDir, ".."), { recursive: true });
    writeFileSync(requestDir, "");
    expect(await ask(() => undefined)).toEqual(failing(/the request was not written/));
  });

  it("a response directory that was removed while it waited", async () => {
    const result = await ask(() => rmSync(responseDir, { recursive: true }), { timeoutMs: 200 });
    expect(result).toEqual(failing(/timed out/));
  });
});

it("takes the first of two answers, and the second changes nothing", async () => {
  const { verdict } = await ask(async () => {
    place(answer({ success: false, message: "first" }));
  });
  place(answer({ message: "second" }));
  expect(verdict).toMatchObject({ success: false, message: "first" });
});

it("withdraws the request when nobody answers in time", async () => {
  expect(await ask(() => undefined, { timeoutMs: 80 })).toEqual(failing(/timed out/));
  expect(readdirSync(requestDir)).toEqual([]);
});

it("withdraws the request when the agent is gone", async () => {
  const gone = new AbortController();
  const verdict = await exchange(
    realHost,
    { requestDir, responseDir, request: REQUEST, timeoutMs: 60_000, pollMs: 60_000, maxAgeMs: 300_000 },
    gone.signal,
    () => gone.abort(),
  );
  expect(verdict).toBeUndefined();
  expect(readdirSync(requestDir)).toEqual([]);
});

describe("with a clock of the test's", () => {
  /** Sleeps take no time but move the monotonic clock; `step` is what somebody does to the wall clock. */
  const clock = () => {
    const begun = Date.now();
    let elapsedMs = 0;
    const state = { step: 0 };
    const host: Host = {
      ...realHost,
      now: () => new Date(begun + elapsedMs + state.step),
      monotonicMs: () => elapsedMs,
      sleep: async (ms) => {
        elapsedMs += ms;
        await new Promise(setImmediate);
      },
    };
    return { host, state, elapsed: () => elapsedMs };
  };

  it.each([-3_600_000, 3_600_000])("waits its time and no longer when the clock is stepped by %d ms", async (step) => {
    const { host, state, elapsed } = clock();
    const stepped = () => {
      state.step = step;
    };
    const result = await ask(stepped, { host, timeoutMs: 60_000, pollMs: 500 });
    expect(result).toEqual(failing(/timed out after 60 s/));
    expect(elapsed()).toBe(60_000);
  });

  it.each([-3_600_000, 3_600_000])("takes a good answer after the clock was stepped by %d ms", async (step) => {
    const { host, state } = clock();
    const result = await ask(
      () => {
        state.step = step;
        writeFileSync(join(responseDir, "x"), answer());
        utimesSync(join(responseDir, "x"), host.now(), host.now());
        renameSync(join(responseDir, "x"), join(responseDir, NAME));
      },
      { host, timeoutMs: 60_000, pollMs: 500 },
    );
    expect(result.verdict).toMatchObject({ success: true });
  });

  it.each([
    [59_000, true],
    [61_000, false],
  ])("judges a responder that takes %d ms by the 60 s it has", async (afterMs, success) => {
    const { host, elapsed } = clock();
    let answered = false;
    const slow: Host = {
      ...host,
      sleep: async (ms, signal) => {
        await host.sleep(ms, signal);
        if (answered || elapsed() < afterMs) return;
        answered = true;
        place(answer());
      },
    };
    const { verdict } = await ask(() => undefined, { host: slow, timeoutMs: 60_000, pollMs: 500 });
    expect(verdict?.success).toBe(success);
    if (!success) expect(verdict?.message).toMatch(/timed out/);
  });

  it("never lets another agent clean up a request that it still waits for, however long", async () => {
    const { host, elapsed } = clock();
    let cleaned = 0;
    const watched: Host = {
      ...host,
      sleep: async (ms, signal) => {
        await host.sleep(ms, signal);
        if (Math.floor(elapsed() / 60_000) === cleaned) return;
        cleaned += 1;
        await cleanUp(host, requestDir, 300_000);
        expect(readdirSync(requestDir)).toEqual([NAME]);
      },
    };
    await ask(() => undefined, { host: watched, timeoutMs: 900_000, pollMs: 1_000 });
    expect(cleaned).toBeGreaterThan(10);
  });
});

it("removes requests that nobody has awaited for 300 s, finished or not, and nothing else", async () => {
  mkdirSync(requestDir, { recursive: true });
  const at = (name: string, ageMs: number) => {
    writeFileSync(join(requestDir, name), "{}");
    utimesSync(join(requestDir, name), new Date(), new Date(Date.now() - ageMs));
  };
  const other = ID.replace("1", "9");
  at(NAME, 299_000);
  at(`old-${other}.json`, 301_000);
  at(`.half-${other}.json.tmp`, 301_000);
  at("README.json", 301_000);
  at(`.node3-${other}.json.claim-1-1-abcdef01-1`, 301_000);
  symlinkSync("nowhere", join(requestDir, `link-${other}.json`));
  await cleanUp(realHost, requestDir, 300_000);
  expect(readdirSync(requestDir).sort()).toEqual(
    [`.node3-${other}.json.claim-1-1-abcdef01-1`, "README.json", `link-${other}.json`, NAME].sort(),
  );
});
