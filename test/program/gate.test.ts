/**
 * role=gate of the compiled agent, asked as Pacemaker asks it, with responders that are the test's: those of fence_dummy's
 * and nnf-sos's kind, and every fault of FEATURES D24, D25 and its fault tests. Each ends with 1 but the good answers.
 */
import { chmodSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { captureOf } from "../fakes/captured-cluster.ts";
import { liveDescribe } from "../live/requirements.ts";
import { IS_ROOT, killQuietly, Lab, linesOf, type Outcome, waitFor } from "./lab.ts";

const fixture = (name: string) => readFileSync(join(import.meta.dirname, "../fixtures/gate", name), "utf8");
const TARGET = "compute-node-2";

let lab: Lab;
let requestDir: string;
let responseDir: string;

type Request = { request_id: string; timestamp: string; action: string; target_node: string; recorder_node: string };
type Respond = (request: Request, name: string) => void;

const gateLines = (more: readonly string[] = []) =>
  [
    "action=off",
    `nodename=${TARGET}`,
    "role=gate",
    `request_dir=${requestDir}`,
    `response_dir=${responseDir}`,
    `log_dir=${lab.logDir}`,
    "recorder_poll_interval=0.02",
    ...more,
  ].join("\n");

/** Calls the gate as the fencer does; `respond` gets the request once it is there. */
async function fence(respond: Respond | undefined, lines: readonly string[] = ["recorder_timeout=10"]) {
  const running = lab.start({ stdin: gateLines(lines), fencer: true });
  if (respond) {
    const name = await waitFor("the request", () => lab.names(requestDir).find((one) => !one.startsWith(".")));
    respond(JSON.parse(lab.read(`${requestDir}/${name}`) ?? "") as Request, name);
  }
  const outcome = await running.ended;
  await lab.settled();
  return outcome;
}

function place(name: string, text: string, mode = 0o640): void {
  const at = lab.at(responseDir);
  writeFileSync(join(at, `.${name}.tmp`), text, { mode });
  chmodSync(join(at, `.${name}.tmp`), mode);
  renameSync(join(at, `.${name}.tmp`), join(at, name));
}
/** As the example responder answers, with more or other fields. */
const saying =
  (more: Record<string, unknown>): Respond =>
  ({ request_id, target_node, action }, name) =>
    place(
      name,
      JSON.stringify({ request_id, success: true, action_performed: action, target_node, message: "cut", ...more }),
    );
/** A recorded answer, about this request instead of the recorded one. */
const recorded =
  (file: string): Respond =>
  ({ request_id, target_node, recorder_node }, name) =>
    place(
      name,
      fixture(file)
        .replaceAll("6b3e50fa-2472-448a-b40f-fd3fc923899c", request_id)
        .replaceAll("compute-node-3", target_node)
        .replaceAll('"vm"', JSON.stringify(recorder_node)),
    );

const expectFailed = ({ exitCode, stderr, stdout }: Outcome, why: RegExp): void => {
  expect(stderr).toMatch(why);
  expect(stderr).toMatch(new RegExp(`off of ${TARGET} failed: `));
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
  expect(lab.events().map(({ status }) => status)).toEqual(["requested", "failed"]);
  expect(lab.events()[1]?.details).toMatch(why);
};

liveDescribe("role=gate", ["executable"], () => {
  beforeEach(async () => {
    lab = await Lab.open({ standIns: { capture: captureOf("failed") } });
    requestDir = `${lab.directory}/exchange/requests`;
    responseDir = `${lab.directory}/exchange/responses`;
    mkdirSync(lab.at(`${lab.directory}/exchange`));
  });

  it("waits for the answer, exits 0, and records requested and completed with the GFS2 context", async () => {
    let asked: Request | undefined;
    const { exitCode, stdout, stderr } = await fence((request, name) => {
      asked = request;
      expect(name).toBe(`${TARGET}-${request.request_id}.json`);
      saying({})(request, name);
    });
    expect({ exitCode, stdout, stderr }).toEqual({ exitCode: 0, stdout: "", stderr: "" });
    expect(Object.keys(asked ?? {})).toEqual(["request_id", "timestamp", "action", "target_node", "recorder_node"]);
    expect(asked).toMatchObject({ action: "off", target_node: TARGET });
    expect(Math.abs(Date.parse(asked?.timestamp ?? "") - Date.now())).toBeLessThan(30_000);
    const [requested, completed] = lab.events();
    expect(requested).toMatchObject({
      status: "requested",
      details: "Fence action off requested by Pacemaker",
      role: "gate",
      source: "stonith",
      gate: { request_id: asked?.request_id },
    });
    expect(completed).toMatchObject({
      status: "completed",
      details: "Fence action off completed successfully: cut",
      gate: { request_id: asked?.request_id, action_performed: "off", message: "cut" },
    });
    expect(lab.events()).toHaveLength(2);
    expect(completed?.event_id).not.toBe(requested?.event_id);
    for (const event of [requested, completed]) {
      expect(event?.discovery.result).toBe("found");
      expect(event?.gfs2_filesystems).not.toEqual(["none-detected"]);
      expect(event).not.toHaveProperty("guard"); // that is the record role's
    }
    expect(linesOf(lab.read(`${lab.logDir}/fence-events-readable.log`))).toHaveLength(2);
    expect(lab.intents()).toEqual([]);
    expect(lab.names(responseDir)).toHaveLength(1); // answers are kept
  });

  it.each([
    ["external_fence_watcher-off", "Simulated fence off succeeded"],
    ["nnf-no-storage", "No block storage resources found to fence"],
    ["nnf-storage-groups", "by deleting 2 GFS2 storage groups"],
  ])("takes the answer %s for a yes", async (file, message) => {
    const { exitCode } = await fence(recorded(`${file}.response.json`));
    expect(exitCode).toBe(0);
    expect(lab.events()[1]).toMatchObject({ status: "completed", details: expect.stringContaining(message) });
  });

  it("takes nnf-sos's answer about half a fence for a no", async () => {
    expectFailed(await fence(recorded("nnf-partly.response.json")), /Partially fenced node/);
  });

  it.each([
    [["request_path=", "response_path="], {}],
    [[], { NNF_FENCE_REQUEST_DIR: "", NNF_FENCE_RESPONSE_DIR: "" }],
  ])("has its directories by fence_dummy's option names and nnf-sos's environment as well", async (options, env) => {
    const [request = "", response = ""] = options;
    const running = lab.start({
      args: [
        ...["-o", "off", "-n", TARGET, "--role=gate", "--recorder-timeout=10", "--recorder-poll-interval=0.02"],
        ...(request ? [`--request-path=${requestDir}`, `--response-path=${responseDir}`] : []),
        `--log-path=${lab.logDir}`,
      ],
      env: Object.fromEntries(
        Object.keys(env).map((name) => [name, name.includes("REQUEST") ? requestDir : responseDir]),
      ),
    });
    expect(response.length + Object.keys(env).length).toBeGreaterThan(0);
    const name = await waitFor("the request", () => lab.names(requestDir).find((one) => !one.startsWith(".")));
    saying({})(JSON.parse(lab.read(`${requestDir}/${name}`) ?? ""), name);
    expect((await running.ended).exitCode).toBe(0);
  });

  describe("fails, and says so", () => {
    it("timed out, when there is no responder; the request is withdrawn", async () => {
      const outcome = await fence(undefined, ["recorder_timeout=0.5"]);
      expectFailed(outcome, /timed out after 0.5 s: no answer/);
      expect(outcome.elapsedMs).toBeLessThan(5_000);
      expect(lab.names(requestDir)).toEqual([]);
    });

    it.each<[what: string, respond: Respond, why: RegExp]>([
      ["no", saying({ success: false, message: "two of three" }), /two of three/],
      ['"false" as text', saying({ success: "false" }), /success is "false"/],
      ['"true" as text', saying({ success: "true" }), /success is "true"/],
      ["a wrong id", saying({ request_id: "00000000-0000-4000-8000-000000000000" }), /request_id/],
      ["a wrong node", saying({ target_node: "compute-node-20" }), /target_node/],
      ["no node", saying({ target_node: undefined }), /target_node/],
      ["bad JSON", (_, name) => place(name, "success: true"), /not a whole JSON object/],
      ["half a file", (request, name) => place(name, JSON.stringify(request).slice(0, 40)), /not a whole JSON object/],
      ["2 MiB", saying({ message: "x".repeat(2 * 1024 * 1024) }), /more than 1048576/],
      [
        "a symlink",
        (request, name) => {
          saying({})(request, "elsewhere");
          symlinkSync("elsewhere", join(lab.at(responseDir), name));
        },
        /not a regular file/,
      ],
      [
        "two answers, the first of them no",
        (request, name) => {
          saying({ success: false, message: "the first" })(request, name);
          place(`again-${name}`, JSON.stringify({ ...request, success: true }));
        },
        /the first/,
      ],
    ])("for the answer %s", async (_, respond, why) => {
      expectFailed(await fence(respond), why);
    });

    it("for an answer from before the request", async () => {
      const respond: Respond = (request, name) => {
        saying({})(request, "early");
        lab.sh(`touch -d '1 minute ago' "$1" && mv "$1" "$2"`, `${responseDir}/early`, `${responseDir}/${name}`);
      };
      expectFailed(await fence(respond), /stale answer/);
    });

    it.runIf(IS_ROOT)("for an answer of a user who has no business there", async () => {
      const respond: Respond = (request, name) => {
        saying({})(request, "other");
        lab.sh(`chown 65534 "$1" && mv "$1" "$2"`, `${responseDir}/other`, `${responseDir}/${name}`);
      };
      expectFailed(await fence(respond), /refused: it is user 65534's/);
    });

    it.each(["../x", ".hidden", "a/b", "n".repeat(300)])("for a node named %j, which no file can be", async (node) => {
      const { exitCode, stderr } = await fence(undefined, [`nodename=${node}`, "recorder_timeout=10"]);
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(/no file can be named after this node/);
      await lab.settled();
      expect(lab.events().map(({ status }) => status)).toEqual(["requested", "failed"]);
    });

    it("for directories that are no absolute paths, and asks nobody", async () => {
      const { exitCode, stderr } = await fence(undefined, ["request_dir=requests", "recorder_timeout=10"]);
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(/request_dir and response_dir must be absolute paths/);
    });

    it("for a request directory that is a file", async () => {
      lab.write(requestDir, "");
      expectFailed(await fence(undefined), /the request was not written/);
    });
  });

  it("fences a node whose name a shell would take apart", async () => {
    const node = "a; rm -rf x $(id)";
    const running = lab.start({ stdin: gateLines([`nodename=${node}`, "recorder_timeout=10"]), fencer: true });
    const name = await waitFor("the request", () => lab.names(requestDir).find((one) => !one.startsWith(".")));
    const request = JSON.parse(lab.read(`${requestDir}/${name}`) ?? "") as Request;
    expect(request.target_node).toBe(node);
    saying({})(request, name);
    expect((await running.ended).exitCode).toBe(0);
  });

  it("asks for the plug, where pcmk_host_map calls the node otherwise, and records both names", async () => {
    const { exitCode } = await fence(
      (request, name) => {
        expect(request.target_node).toBe("rabbit-compute-7");
        saying({})(request, name);
      },
      ["plug=rabbit-compute-7", "recorder_timeout=10"],
    );
    expect(exitCode).toBe(0);
    expect(lab.events()[1]).toMatchObject({ target_node: TARGET, plug: "rabbit-compute-7", status: "completed" });
  });

  it("waits its delay before it asks, and its timeout only after that", async () => {
    const { exitCode, stderr, elapsedMs } = await fence(undefined, ["delay=0.4", "recorder_timeout=0.3"]);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/timed out after 0.3 s/);
    expect(elapsedMs).toBeGreaterThan(700);
  });

  it("asks nobody for on, as fence_dummy does: nnf-sos would take it for a fence", async () => {
    const { exitCode } = await fence(undefined, ["action=on", "recorder_timeout=10"]);
    expect(exitCode).toBe(0);
    expect(lab.names(requestDir)).toEqual([]);
    await lab.settled();
    expect(lab.events().map(({ action, status }) => `${action} ${status}`)).toEqual(["on requested", "on completed"]);
  });

  it("keeps the guard out of it: as a node's only device it is asked, and answers for itself", async () => {
    const { exitCode } = await fence(saying({}));
    expect(exitCode).toBe(0); // the capture's CIB has no level of this device for the node
    expect(lab.events().some(({ status }) => status === "refused")).toBe(false);
  });

  it("killed while it waits, has failed in the record, and takes its request back", async () => {
    const running = lab.start({ stdin: gateLines(["recorder_timeout=60"]), fencer: true });
    await waitFor("the request", () => lab.names(requestDir).find((one) => !one.startsWith(".")));
    killQuietly(-running.pid);
    await running.ended;
    await waitFor("the request to be withdrawn", () => lab.names(requestDir).length === 0 || undefined);
    await lab.settled();
    await waitFor("both lines", () => lab.events().length === 2 || undefined);
    const statuses = lab.events().map(({ status }) => status);
    expect(statuses.sort()).toEqual(["failed", "requested"]);
    const failed = lab.events().find(({ status }) => status === "failed");
    expect(failed?.details).toMatch(/no answer yet; the recorder was ended/);
  });

  it.runIf(IS_ROOT)("passes on the verdict when the log directory takes nothing", async () => {
    lab.sh(`mount -t tmpfs -o ro,mode=750 lab ${lab.logDir}`);
    const { exitCode, stderr } = await fence(saying({}));
    expect(exitCode).toBe(0);
    expect(stderr).toMatch(/in the spool/);
    expect(lab.spooledFor(TARGET)).toHaveLength(2);
  });

  it("is monitored and validated by its directories, which it makes", async () => {
    for (const action of ["monitor", "validate-all"]) {
      const { exitCode } = await lab.run({ stdin: gateLines([`action=${action}`]) });
      expect(exitCode).toBe(0);
      expect(lab.names(requestDir)).toEqual([]);
      expect(lab.names(dirname(requestDir))).toEqual(["requests", "responses"]);
    }
    lab.write(`${requestDir}/${TARGET}-00000000-0000-4000-8000-000000000000.json`, "{}");
    lab.sh(`touch -d '10 minutes ago' ${requestDir}/*.json; chmod o+w ${responseDir}`);
    const warned = await lab.run({ stdin: gateLines(["action=monitor"]) });
    expect(warned.exitCode).toBe(0);
    expect(warned.stderr).toMatch(/1 requests without an answer; does a responder run\?/);
    expect(warned.stderr).toMatch(/any user may remove files/);
    lab.sh(`rm -r ${responseDir}; touch ${responseDir}`);
    for (const action of ["monitor", "validate-all"]) {
      const broken = await lab.run({ stdin: gateLines([`action=${action}`]) });
      expect(broken.exitCode).toBe(1);
      expect(broken.stderr).toMatch(/response_dir .*not a directory/);
    }
  });
});

liveDescribe(
  "role=gate with a directory on a disk that hangs",
  ["root", "namespaces", "overlayfs", "nsenter", "mkfs.ext4", "executable"],
  () => {
    it.each(["requests", "responses"])(
      "ends at its deadline, as failed (%s)",
      async (which) => {
        lab = await Lab.open({ logDir: "disk", standIns: { capture: captureOf("failed") } });
        const disk = dirname(lab.logDir);
        requestDir = `${disk}/${which === "requests" ? "hung" : "x"}/requests`;
        responseDir = `${disk}/${which === "requests" ? "x" : "hung"}/responses`;
        const hung = `${disk}/hung`;
        lab.sh(
          `mkdir ${hung} ${disk}/x; truncate -s 32M ${disk}/image; mkfs.ext4 -q ${disk}/image; mount -o loop ${disk}/image ${hung}`,
        );
        lab.beforeClose(() => lab.sh(`umount -l ${hung} || true`));
        const thaw = () => lab.sh(`fsfreeze -u ${hung} 2>/dev/null || true`);
        lab.beforeClose(thaw);
        lab.background(["sh", "-c", `sleep 30; fsfreeze -u ${hung}`]);
        lab.sh(`fsfreeze -f ${hung}`);
        const running = lab.start({ stdin: gateLines(["recorder_timeout=1"]), fencer: true });
        const { exitCode, stderr, elapsedMs, pipesHeld } = await running.ended;
        expect(stderr).toMatch(/timed out after 1 s: .*takes no request/);
        expect({ exitCode, pipesHeld }).toEqual({ exitCode: 1, pipesHeld: false });
        expect(elapsedMs).toBeLessThan(4_000);
        thaw();
        // What hung comes to an end now, and must not leave a request behind that nobody awaits.
        await waitFor("the mailbox to end", () => {
          const left = lab.processes().filter(({ argv, state }) => argv.includes("--for-the-gate") && state !== "Z");
          return left.length === 0 || undefined;
        });
        expect(lab.names(requestDir).filter((name) => !name.startsWith("."))).toEqual([]);
        await lab.settled();
      },
      60_000,
    );
  },
);
