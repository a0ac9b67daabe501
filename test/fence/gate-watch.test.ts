/** The responder's work in real directories, with commands that are real processes. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { Argv } from "../../src/core/exec.ts";
import { realHost } from "../../src/core/host.ts";
import { Claims } from "../../src/fence/gate-claims.ts";
import { encodeRequest, type GateRequest, judgeResponse, type Verdict } from "../../src/fence/gate-protocol.ts";
import { type Note, type Watch, watchRequests } from "../../src/fence/gate-watch.ts";

let requestDir: string;
let responseDir: string;
let runs: string;
beforeEach(() => {
  const base = mkdtempSync(join(tmpdir(), "fencepost-responder-"));
  onTestFinished(() => rmSync(base, { recursive: true, force: true }));
  requestDir = join(base, "requests");
  responseDir = join(base, "responses");
  runs = join(base, "runs");
  for (const directory of [requestDir, responseDir]) mkdirSync(directory);
  writeFileSync(runs, "");
});

let count = 0;
function request(target = "node3", action = "off"): GateRequest & { name: string } {
  count += 1;
  const requestId = `11111111-2222-4333-8444-${String(count).padStart(12, "0")}`;
  return {
    requestId,
    target,
    action,
    timestamp: "2026-11-21T03:12:35+00:00",
    recorderNode: "node1",
    name: `${target}-${requestId}.json`,
  };
}
const place = (one: GateRequest & { name: string }, name = one.name) => {
  writeFileSync(join(requestDir, name), encodeRequest(one));
  return one;
};
const verdictOf = (one: GateRequest & { name: string }): Verdict | undefined =>
  existsSync(join(responseDir, one.name))
    ? judgeResponse(readFileSync(join(responseDir, one.name), "utf8"), one)
    : undefined;
const ran = () => readFileSync(runs, "utf8").split("\n").filter(Boolean);

async function once(command: Argv, more: Partial<Watch> = {}): Promise<{ notes: Note[]; unanswered: number }> {
  const notes: Note[] = [];
  const watch: Watch = {
    requestDir,
    responseDir,
    command,
    timeoutMs: 10_000,
    pollMs: 10,
    maxAgeMs: 60_000,
    once: true,
    tell: async (note) => {
      notes.push(note);
    },
    stop: new AbortController().signal,
    kill: new AbortController().signal,
    ...more,
  };
  return { ...(await watchRequests(realHost, watch)), notes };
}
/** Notes down what it was given, one line a run. */
const noting = (then = "exit 0"): Argv => [
  "sh",
  "-c",
  `read -r line; printf '%s %s %s %s\\n' "$FENCE_ACTION" "$FENCE_TARGET" "$FENCE_RECORDER_NODE" "$line" >>"$0"; ${then}`,
  runs,
];

it("runs the command once for a request, with the request in its environment and on stdin, and answers yes", async () => {
  const one = place(request());
  const { unanswered } = await once(noting("echo first; echo cut off"));
  expect(unanswered).toBe(0);
  expect(ran()).toEqual([`off node3 node1 ${JSON.stringify(JSON.parse(encodeRequest(one)))}`]);
  expect(verdictOf(one)).toEqual({ success: true, message: "cut off", actionPerformed: "off" });
  expect(readdirSync(requestDir)).toEqual([]);
  expect(readdirSync(responseDir)).toEqual([one.name]);
});

it("gives a command words that a shell would have taken apart", async () => {
  const one = place(request("a; touch x $(reboot) `id`"));
  await once(noting());
  expect(ran()[0]).toContain("off a; touch x $(reboot) `id` node1");
  expect(verdictOf(one)?.success).toBe(true);
});

it.each<[what: string, command: Argv, more: Partial<Watch>, message: RegExp]>([
  ["exits 1", ["sh", "-c", "echo no power >&2; exit 1"], {}, /exit 1: no power/],
  ["exceeds its time", ["sleep", "60"], { timeoutMs: 100 }, /timed out after 100 ms/],
  ["is killed", ["sh", "-c", "kill -9 $$"], {}, /killed/],
  ["does not exist", ["/nowhere/detach"], {}, /not started: ENOENT/],
  ["floods its output", ["sh", "-c", "yes | head -c 3000000"], {}, /too much output/],
])("answers no when the command %s", async (_, command, more, message) => {
  const one = place(request());
  await once(command, more);
  expect(verdictOf(one)).toMatchObject({ success: false, message: expect.stringMatching(message) });
});

describe("what is no request", () => {
  it.each<[what: string, plant: () => void]>([
    ["bad JSON", () => writeFileSync(join(requestDir, request().name), "{")],
    ["an empty file", () => writeFileSync(join(requestDir, request().name), "")],
    ["2 MiB", () => writeFileSync(join(requestDir, request().name), "x".repeat(2 * 1024 * 1024))],
    ["a symlink", () => symlinkSync("/etc/passwd", join(requestDir, request().name))],
    ["a directory", () => mkdirSync(join(requestDir, request().name))],
    ["a file under another's name", () => place(request(), request("node4").name)],
    ["an action that is none", () => place(request("node3", "metadata"))],
  ])("is told of once and left alone, and the next one is answered (%s)", async (_, plant) => {
    plant();
    const good = place(request("good"));
    const stop = new AbortController();
    const notes: Note[] = [];
    let passes = 0;
    await once(noting(), {
      once: false,
      stop: stop.signal,
      tell: async (note) => {
        notes.push(note);
        if (note.event === "answered") {
          passes += 1;
          setTimeout(() => stop.abort(), 60); // a few passes more
        }
      },
    });
    expect(passes).toBe(1);
    expect(notes.filter(({ event }) => event === "ignored")).toHaveLength(1);
    expect(verdictOf(good)?.success).toBe(true);
    expect(readdirSync(requestDir)).toHaveLength(1);
  });

  it("is not even looked at when it is hidden", async () => {
    const one = request();
    place(one, `.${one.name}.tmp`);
    const { notes } = await once(noting());
    expect(notes.map(({ event }) => event)).toEqual(["watching", "stopped"]);
    expect(ran()).toEqual([]);
  });
});

it("does not fence for a request that nobody has awaited for long, and answers no", async () => {
  const one = place(request());
  utimesSync(join(requestDir, one.name), new Date(), new Date(Date.now() - 61_000));
  await once(noting());
  expect(ran()).toEqual([]);
  expect(verdictOf(one)).toMatchObject({ success: false, message: expect.stringMatching(/nobody waits/) });
});

it("does not run a request again that has its answer", async () => {
  const one = place(request());
  writeFileSync(join(responseDir, one.name), "{}");
  await once(noting());
  expect(ran()).toEqual([]);
  expect(readdirSync(requestDir)).toEqual([]);
});

it("answers that the outcome is unknown when a responder died between command and answer", async () => {
  const one = place(request());
  const dead = { boot: realHost.readText("/proc/sys/kernel/random/boot_id")?.slice(0, 8), pid: 4_194_303 };
  const claim = `.${one.name}.claim-${dead.pid}-1-${dead.boot}-1`;
  writeFileSync(join(requestDir, claim), encodeRequest(one));
  rmSync(join(requestDir, one.name));
  await once(noting());
  expect(ran()).toEqual([]);
  expect(verdictOf(one)).toMatchObject({ success: false, message: expect.stringMatching(/outcome is unknown/) });
  expect(readdirSync(requestDir)).toEqual([]);
});

it("lets an answer stand that a dead responder had written", async () => {
  const one = request();
  writeFileSync(join(requestDir, `.${one.name}.claim-4194303-1-${"0".repeat(8)}-1`), encodeRequest(one));
  utimesSync(join(requestDir, readdirSync(requestDir)[0] ?? ""), new Date(0), new Date(0));
  writeFileSync(join(responseDir, one.name), "as it was");
  await once(noting());
  expect(readFileSync(join(responseDir, one.name), "utf8")).toBe("as it was");
  expect(readdirSync(requestDir)).toEqual([]);
});

it("leaves the claims of the living alone, and those of other machines while they are fresh", async () => {
  const mine = place(request());
  const claims = new Claims(realHost, requestDir);
  expect(await claims.claim(mine.name)).toBeDefined();
  expect(await claims.claim(mine.name)).toBeUndefined();
  const theirs = request("node4");
  writeFileSync(join(requestDir, `.${theirs.name}.claim-1-1-${"f".repeat(8)}-1`), encodeRequest(theirs));
  expect(await claims.abandoned()).toEqual([]);
  await once(noting());
  expect(readdirSync(requestDir)).toHaveLength(2);
});

it("never runs a request twice, however many responders there are", async () => {
  const all = Array.from({ length: 40 }, (_, index) => place(request(`node${index}`)));
  await Promise.all(Array.from({ length: 4 }, () => once(noting())));
  expect(ran()).toHaveLength(40);
  expect(new Set(ran()).size).toBe(40);
  for (const one of all) expect(verdictOf(one)?.success).toBe(true);
  expect(readdirSync(requestDir)).toEqual([]);
});

it("runs no two commands for one node at a time", async () => {
  for (let index = 0; index < 3; index += 1) place(request("same"));
  await once(noting('mkdir "$0.lock" || exit 9; sleep 0.05; rmdir "$0.lock"'));
  expect(ran()).toHaveLength(3);
  const verdicts = readdirSync(responseDir).map((name) => JSON.parse(readFileSync(join(responseDir, name), "utf8")));
  expect(verdicts.map(({ success }) => success)).toEqual([true, true, true]);
});
