/** The agent's side of the gate when its own child hangs, dies or talks nonsense: the verdict is no, and in time. */
import { expect, it } from "vitest";
import { runFenceAgent } from "../../src/fence/agent.ts";
import { bareHost } from "./bare-host.ts";

/** `mailbox` is the script of the child that touches the directories; the writers die at once. */
async function ask(mailbox: string, lines: readonly string[] = []) {
  let err = "";
  const startedMs = performance.now();
  const code = await runFenceAgent({
    argv: [],
    readStdin: async () =>
      [
        "action=off",
        "nodename=node3",
        "role=gate",
        "recorder_timeout=0.5",
        "request_dir=/q",
        "response_dir=/a",
        ...lines,
      ].join("\n"),
    env: { PCMK_service: "pacemaker-fenced", LOG_DIR: "/nowhere" },
    loadHost: async () => bareHost,
    // Called for the mailbox it has two words more, as $0 and $1.
    self: ["sh", "-c", `[ "\${1-}" = --for-the-gate ] || exit 0; ${mailbox}`],
    out: () => undefined,
    err: (text) => {
      err += text;
    },
  });
  return { code, err, elapsedMs: performance.now() - startedMs };
}

it.each<[what: string, mailbox: string, why: RegExp]>([
  ["hangs before the request is written", "cat >/dev/null", /timed out after 0.5 s: \/q takes no request/],
  [
    "hangs while it waits",
    `echo '{"requested":true}'; cat >/dev/null`,
    /timed out after 0.5 s: \/a\/node3-[0-9a-f-]{36}.json cannot be read/,
  ],
  ["dies", "exit 3", /the gate's own child died/],
  ["dies while it waits", `echo '{"requested":true}'; kill -9 $$`, /the gate's own child died/],
  ["talks nonsense", "echo success; cat >/dev/null", /the gate's own child died/],
  ["says no", `echo '{"verdict":{"success":false,"message":"told so"}}'`, /told so/],
])("fails in time when the child %s", async (_, mailbox, why) => {
  const { code, err, elapsedMs } = await ask(mailbox);
  expect(code).toBe(1);
  expect(err).toMatch(why);
  expect(err).toMatch(/off of node3 failed/);
  expect(elapsedMs).toBeLessThan(5_000);
});

it("passes on a yes although nothing could be recorded, and says both events on stderr", async () => {
  const { code, err } = await ask(`echo '{"verdict":{"success":true,"message":"cut"}}'`);
  expect(code).toBe(0);
  expect(err).toMatch(/"status":"requested"/);
  expect(err).toMatch(/"status":"completed"/);
});

it("is told of a failure also when it is quiet", async () => {
  const { code, err } = await ask("exit 3", ["quiet=1"]);
  expect(code).toBe(1);
  expect(err).toMatch(/off of node3 failed: the gate's own child died/);
});
