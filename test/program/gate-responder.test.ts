/** `fencepost gate-responder`, compiled: with requests that fence_dummy wrote, with our own gate, killed at bad moments. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, it } from "vitest";
import { captureOf } from "../fakes/captured-cluster.ts";
import { EXECUTABLE, liveDescribe } from "../live/requirements.ts";
import { killQuietly, Lab, linesOf, type Running, waitFor } from "./lab.ts";

const fixture = (name: string) => readFileSync(join(import.meta.dirname, "../fixtures/gate", name), "utf8");

let lab: Lab;
let requestDir: string;
let responseDir: string;
let ran: string;
beforeEach(async () => {
  lab = await Lab.open({ standIns: { capture: captureOf("failed") } });
  requestDir = `${lab.directory}/requests`;
  responseDir = `${lab.directory}/responses`;
  ran = `${lab.directory}/ran`;
  for (const directory of [requestDir, responseDir]) mkdirSync(lab.at(directory));
});

const responder = (command: readonly string[], options: readonly string[] = []): Running =>
  lab.start({
    program: EXECUTABLE,
    args: [
      "gate-responder",
      `--request-dir=${requestDir}`,
      `--response-dir=${responseDir}`,
      "--poll-interval=0.02",
      ...options,
      "--",
      ...command,
    ],
    limitMs: 30_000,
  });
/** The responder itself: what the lab started is a shell that became it, inside nsenter. */
const signal = ({ pid }: Running, name: NodeJS.Signals) => killQuietly(pid, name);
const noting = (then: string) => ["sh", "-c", `echo "$FENCE_ACTION $FENCE_TARGET" >>"$0"; ${then}`, ran];
const runs = () => linesOf(lab.read(ran));
type Answer = { request_id: string; target_node: string; success: boolean; message: string };
const answers = (): Answer[] =>
  lab
    .names(responseDir)
    .filter((name) => !name.startsWith("."))
    .map((name) => JSON.parse(lab.read(`${responseDir}/${name}`) ?? "") as Answer);
function place(file: string): { id: string; node: string } {
  const text = fixture(file);
  const { request_id: id, target_node: node } = JSON.parse(text) as Record<string, string>;
  writeFileSync(lab.at(`${requestDir}/${node}-${id}.json`), text);
  return { id: id ?? "", node: node ?? "" };
}
const gate = (node: string, timeout = 10) =>
  lab.start({
    stdin: `action=off\nnodename=${node}\nrole=gate\nrequest_dir=${requestDir}\nresponse_dir=${responseDir}\nlog_dir=${lab.logDir}\nrecorder_timeout=${timeout}\nrecorder_poll_interval=0.02\nno_gfs2_discovery=1`,
    fencer: true,
  });

liveDescribe("fencepost gate-responder", ["executable"], () => {
  it.each(["fence_dummy-off", "fence_dummy-reboot", "fence_recorder-off"])(
    "answers what %s asked, in all the fields that fence_dummy and fence_recorder look at",
    async (who) => {
      const { id, node } = place(`${who}.request.json`);
      const { exitCode, stdout } = await responder(noting("echo detached"), ["--once", "--json"]).ended;
      expect(exitCode).toBe(0);
      expect(runs()).toEqual([`off ${node}`]);
      // fence_dummy looks for this name, and for success, message, timestamp, target_node, recorder_node
      expect(JSON.parse(lab.read(`${responseDir}/${node}-${id}.json`) ?? "")).toEqual({
        request_id: id,
        status: "success",
        success: true,
        message: "detached",
        timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        target_node: node,
        action: "off",
        recorder_node: "vm",
        action_performed: "off",
      });
      const lines = linesOf(stdout).map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(lines.map(({ event }) => event)).toEqual(["watching", "started", "answered", "stopped"]);
      expect(lines[2]).toMatchObject({ request_id: id, target_node: node, action: "off", success: true });
      expect(lab.names(requestDir)).toEqual([]);
    },
  );

  it("lets our gate's fences wait, succeed and fail, several at a time", async () => {
    const watching = responder(noting('case "$FENCE_TARGET" in bad*) echo "no such rabbit" >&2; exit 3;; esac'));
    const fences = await Promise.all(["good1", "bad1", "good2", "bad2"].map((node) => gate(node).ended));
    expect(fences.map(({ exitCode }) => exitCode)).toEqual([0, 1, 0, 1]);
    expect(fences[1]?.stderr).toMatch(/off of bad1 failed: .*exit 3: no such rabbit/);
    expect(runs().sort()).toEqual(["off bad1", "off bad2", "off good1", "off good2"]);
    signal(watching, "SIGTERM");
    expect(await watching.ended).toMatchObject({ exitCode: 0, signal: null });
    await lab.settled();
    const statuses = lab.events().map(({ target_node, status }) => `${target_node} ${status}`);
    expect(statuses.sort()).toEqual(
      ["bad1 failed", "bad2 failed", "good1 completed", "good2 completed"]
        .concat(["bad1", "bad2", "good1", "good2"].map((node) => `${node} requested`))
        .sort(),
    );
  });

  it("does not fence for a gate that has given up", async () => {
    expect((await gate("late", 0.2).ended).exitCode).toBe(1);
    expect((await responder(noting("true"), ["--once"]).ended).exitCode).toBe(0);
    expect(runs()).toEqual([]);
  });

  it("answers no when the command takes too long, and ends the command", async () => {
    const watching = responder(["sleep", "61"], ["--timeout=0.3"]);
    const { exitCode, stderr } = await gate("slow").ended;
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/sleep 61: timed out after 300 ms/);
    signal(watching, "SIGTERM");
    await watching.ended;
    expect(lab.processes().filter(({ argv }) => argv[0] === "sleep")).toEqual([]);
  });

  it("on SIGTERM takes no more requests, but answers the one whose command runs", async () => {
    const go = `${lab.directory}/go`;
    const watching = responder(noting(`while ! [ -e ${go} ]; do sleep 0.02; done`));
    const first = gate("first");
    await waitFor("the command", () => runs()[0]);
    signal(watching, "SIGTERM");
    const second = gate("second", 0.5);
    expect((await second.ended).exitCode).toBe(1);
    writeFileSync(lab.at(go), "");
    expect((await first.ended).exitCode).toBe(0);
    expect((await watching.ended).exitCode).toBe(0);
    expect(runs()).toEqual(["off first"]);
  });

  it("on a second SIGTERM ends the command too, and answers no", async () => {
    const watching = responder(noting("sleep 62"));
    const fence = gate("first");
    await waitFor("the command", () => runs()[0]);
    signal(watching, "SIGTERM");
    await waitFor("the first signal to be noticed", () => existsSync(`/proc/${watching.pid}`) || undefined);
    const again = setInterval(() => signal(watching, "SIGTERM"), 100);
    const { exitCode, stderr } = await fence.ended;
    clearInterval(again);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/cancelled|killed/);
    expect((await watching.ended).exitCode).toBe(0);
  });

  it("killed between command and answer, has the next one answer that the outcome is unknown, never yes", async () => {
    const { id, node } = place("fence_dummy-off.request.json");
    const first = responder(noting("sleep 63"));
    await waitFor("the command", () => runs()[0]);
    signal(first, "SIGKILL");
    await first.ended;
    expect(answers()).toEqual([]);
    expect((await responder(noting("true"), ["--once"]).ended).exitCode).toBe(0);
    expect(runs()).toEqual([`off ${node}`]); // not run again
    expect(answers()).toMatchObject([
      { request_id: id, success: false, message: expect.stringMatching(/outcome is unknown/) },
    ]);
    expect(lab.names(requestDir)).toEqual([]);
  });

  it("beside others runs each request once", async () => {
    const watching = [1, 2, 3].map(() => responder(noting("true")));
    const nodes = Array.from({ length: 12 }, (_, index) => `node${index}`);
    const fences = await Promise.all(nodes.map((node) => gate(node).ended));
    expect(fences.map(({ exitCode }) => exitCode)).toEqual(nodes.map(() => 0));
    expect(runs().sort()).toEqual(nodes.map((node) => `off ${node}`).sort());
    for (const one of watching) signal(one, "SIGTERM");
    for (const one of watching) expect((await one.ended).exitCode).toBe(0);
  }, 60_000);

  it("goes on when nobody reads its output any more, and past files that are no requests", async () => {
    writeFileSync(lab.at(`${requestDir}/x-00000000-0000-4000-8000-000000000000.json`), "{");
    const watching = responder(noting("true"));
    watching.child.stdout?.destroy();
    watching.child.stderr?.destroy();
    for (const node of ["node1", "node2"]) expect((await gate(node).ended).exitCode).toBe(0);
    signal(watching, "SIGTERM");
    expect((await watching.ended).exitCode).toBe(0);
  });

  it("does not answer when the answer cannot be written, and says so", async () => {
    place("fence_dummy-off.request.json");
    lab.sh(`rmdir ${responseDir}; mkdir ${responseDir}`);
    const once = responder(noting(`rmdir ${responseDir}; touch ${responseDir}`), ["--once"]);
    const { exitCode, stderr } = await once.ended;
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/not written/);
    expect(lab.names(requestDir)).toHaveLength(1); // the claim: the next one answers that nobody knows
  });

  it.each<[what: string, args: string[], why: RegExp]>([
    ["no command", [], /which command\?/],
    ["a command without --", ["/bin/true"], /Unknown argument: \/bin\/true/],
    ["a relative directory", ["--request-dir=x", "--", "true"], /'x' is not an absolute path/],
    ["a time that is none", ["--timeout=soon", "--", "true"], /--timeout: 'soon'/],
    ["an unknown option", ["--shell", "--", "true"], /Unknown argument: shell/],
  ])("refuses %s", async (_, args, why) => {
    const { exitCode, stderr } = await lab.run({ program: EXECUTABLE, args: ["gate-responder", ...args] });
    expect(exitCode).toBe(64);
    expect(stderr).toMatch(why);
  });

  it("explains itself", async () => {
    const { exitCode, stdout } = await lab.run({ program: EXECUTABLE, args: ["gate-responder", "--help"] });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/FENCE_ACTION/);
    expect(stdout).toMatch(/Examples:/);
    expect((await lab.run({ program: EXECUTABLE, args: ["--help"] })).stdout).toMatch(/fencepost gate-responder/);
  });
});
