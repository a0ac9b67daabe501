/**
 * The OCF agent and `fencepost recover` through the compiled executable: its life as ocf-tester sees it, what it recovers,
 * what it takes from Pacemaker's history. Source: issue 4, point 3; OCF resource agent API.
 */
import { join } from "node:path";
import { expect, it } from "vitest";
import { captureOf } from "../fakes/captured-cluster.ts";
import { liveDescribe } from "../live/requirements.ts";
import { Lab, linesOf, waitFor } from "./lab.ts";

const EXECUTABLE = join(import.meta.dirname, "../../bin/fencepost");
const AGENT = "/var/lib/ocf/resource.d/fencepost/fence_gfs2_recorder";
const STATE = "/run/fencepost";

type Outcome = { event_id: string; status: string; source: string; operation: Record<string, unknown> };
type OpenOptions = NonNullable<Parameters<typeof Lab.open>[0]>;

const NEEDS = ["root", "namespaces", "overlayfs", "nsenter", "executable", "pacemaker"] as const;

liveDescribe("the OCF agent", NEEDS, () => {
  const openLab = async (options?: OpenOptions) => {
    const lab = await Lab.open(options);
    lab.sh(`mkdir -p ${AGENT.slice(0, AGENT.lastIndexOf("/"))}; ln -s ${EXECUTABLE} ${AGENT}`);
    return lab;
  };
  const call = (lab: Lab, action: string, env: Record<string, string | undefined> = {}) =>
    lab.run({
      program: AGENT,
      args: [action],
      env: { OCF_RESOURCE_INSTANCE: "watch", OCF_RESKEY_log_dir: lab.logDir, LOG_DIR: undefined, ...env },
      limitMs: 60_000,
    });
  const codeOf = async (lab: Lab, action: string, env = {}) => (await call(lab, action, env)).exitCode;
  const outcomes = (lab: Lab) =>
    linesOf(lab.read(`${lab.logDir}/fence-outcomes.jsonl`)).map((line) => JSON.parse(line) as Outcome);
  /** stonith_admin with a history of fences that ended just now, and this node's name. */
  const cluster = (lab: Lab, node: string, rows: readonly string[]) => {
    lab.tool("crm_node", `#!/bin/sh\necho ${node}\n`);
    lab.write(
      `${lab.directory}/history.xml`,
      `<pacemaker-result api-version="2.25" request="stonith_admin --history *"><list name="fencing history" count="${rows.length}">${rows.join("\n")}</list><status code="0" message="OK"/></pacemaker-result>\n`,
    );
    lab.tool("stonith_admin", `#!/bin/sh\ncat ${lab.directory}/history.xml\n`);
  };
  const minutesAgo = (minutes: number) =>
    `${new Date(Date.now() - minutes * 60_000).toISOString().slice(0, 19).replace("T", " ")}Z`;
  const row = (target: string, { delegate = "n1", origin = "n2", status = "success", minutes = 5 } = {}) =>
    `<fence_event action="reboot" target="${target}" client="pacemaker-controld.7" origin="${origin}" status="${status}"${delegate === "" ? "" : ` delegate="${delegate}"`} completed="${minutesAgo(minutes)}"${status === "failed" ? ' exit-reason="No route"' : ""}/>`;

  it("starts, is monitored and stops as often as it is told, each instance for itself", async () => {
    const lab = await openLab();
    expect(await codeOf(lab, "monitor")).toBe(7);
    expect(await codeOf(lab, "stop")).toBe(0);
    expect(await codeOf(lab, "start")).toBe(0);
    expect(await codeOf(lab, "start")).toBe(0);
    expect(await codeOf(lab, "monitor")).toBe(0);
    expect(await codeOf(lab, "monitor", { OCF_RESOURCE_INSTANCE: "other" })).toBe(7);
    expect(await codeOf(lab, "stop", { OCF_RESOURCE_INSTANCE: "other" })).toBe(0);
    expect(await codeOf(lab, "monitor")).toBe(0);
    expect(await codeOf(lab, "stop")).toBe(0);
    expect(await codeOf(lab, "stop")).toBe(0);
    expect(await codeOf(lab, "monitor")).toBe(7);
    expect(await codeOf(lab, "monitor", { OCF_RESOURCE_INSTANCE: "../../etc/passwd" })).toBe(7);
  });

  it.each([
    ["no action", [], 2, /one action is needed/],
    ["two actions", ["start", "stop"], 2, /one action is needed/],
    ["notify", ["notify"], 3, /no such action: 'notify'/],
    ["promote", ["promote"], 3, /no such action/],
    ["the fence agent's words", ["-o"], 3, /no such action/],
  ])("answers %s as OCF wants it", async (_, args, exitCode, message) => {
    const lab = await openLab();
    const result = await lab.run({ program: AGENT, args });
    expect(result).toMatchObject({ exitCode, stdout: "" });
    expect(result.stderr).toMatch(message);
    expect(result.stderr).toMatch(/^ocf-exit-reason:/);
  });

  it.each([
    ["a relative log_dir", { OCF_RESKEY_log_dir: "log" }],
    ["a window that is no time", { OCF_RESKEY_reconcile_window: "a day" }],
    ["a scope that is none", { OCF_RESKEY_reconcile_scope: "mine" }],
    ["a reconcile that is neither", { OCF_RESKEY_reconcile: "perhaps" }],
  ])("refuses %s with 6, when it validates and when it starts", async (_, env) => {
    const lab = await openLab();
    expect(await codeOf(lab, "validate-all", env)).toBe(6);
    expect(await codeOf(lab, "start", env)).toBe(6);
    expect(await codeOf(lab, "monitor", env)).toBe(7);
    expect(await codeOf(lab, "stop", env)).toBe(0);
    expect(await codeOf(lab, "validate-all")).toBe(0);
  });

  it("describes itself to anybody, and lets only root do anything", async () => {
    const lab = await openLab();
    const nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"];
    const described = await lab.run({ program: AGENT, args: ["meta-data"], prefix: nobody });
    expect(described).toMatchObject({ exitCode: 0, stderr: "" });
    expect(described.stdout).toContain('<resource-agent name="fence_gfs2_recorder"');
    for (const action of ["start", "stop", "monitor"])
      expect((await lab.run({ program: AGENT, args: [action], prefix: nobody })).exitCode).toBe(4);
  });

  it("is the fence agent under the same name everywhere else, and itself with a resource's name", async () => {
    const lab = await openLab();
    const agent = join(import.meta.dirname, "../../bin/fence_gfs2_recorder");
    expect((await lab.run({ program: agent, args: ["meta-data"] })).exitCode).toBe(1);
    expect((await lab.run({ program: agent, args: ["-o", "metadata"] })).stdout).toContain("<getopt");
    const env = { OCF_RESOURCE_INSTANCE: "watch" };
    expect((await lab.run({ program: agent, args: ["meta-data"], env })).stdout).toContain("ra-api-1.dtd");
  });

  it("says what it finds once, as long as it stays", async () => {
    const lab = await openLab();
    lab.sh(`chmod 777 ${lab.logDir}`);
    expect((await call(lab, "start")).stderr).toContain("others than root may write to it");
    const first = await call(lab, "monitor");
    expect(first.exitCode).toBe(0);
    expect(first.stderr).not.toContain("others than root");
    expect(first.stderr).toContain("not reconciled");
    expect((await call(lab, "monitor")).stderr).toBe("");
    lab.sh(`chmod 750 ${lab.logDir}`);
    expect((await call(lab, "monitor")).stderr).toBe("");
    lab.sh(`chmod 777 ${lab.logDir}`);
    expect((await call(lab, "monitor")).stderr).toContain("others than root may write to it");
  });

  it("fails its start and its monitor where nothing could be recorded, and stops nevertheless", async () => {
    const lab = await openLab();
    expect(await codeOf(lab, "start")).toBe(0);
    const broken = { OCF_RESKEY_log_dir: "/proc/nowhere" };
    lab.sh("cd /var/lib/fencepost; rm -rf spool /run/fencepost/spool; echo x >spool; echo x >/run/fencepost/spool");
    const failed = await call(lab, "monitor", broken);
    expect(failed).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("nothing can be recorded") });
    expect(await codeOf(lab, "stop", broken)).toBe(0);
    expect(await codeOf(lab, "start", broken)).toBe(1);
  });

  it("brings spool and inbox into the log at each monitor, once", async () => {
    const lab = await openLab();
    // The log directory is not there when the fence happens: its event is spooled.
    lab.sh(`mv ${lab.logDir} ${lab.logDir}.away`);
    await lab.run({ stdin: "nodename=spooled\naction=on\nno_gfs2_discovery=1\n", fencer: true });
    await waitFor("the spooled event", () => (lab.spooledFor("spooled").length > 0 ? true : undefined));
    await lab.settled();
    lab.sh(`mv ${lab.logDir}.away ${lab.logDir}; mkdir -p /var/lib/fencepost/inbox`);
    const outcome = {
      ...{ schema: 1, event_id: "e0d1c336-5bb6-44ab-b207-000000000001", time_ms: 1_795_172_092_853 },
      ...{
        action: "off",
        target_node: "told",
        gfs2_filesystems: [],
        status: "failed",
        details: "",
        recorder_node: "n1",
      },
      operation: {},
    };
    lab.write("/var/lib/fencepost/inbox/a.json", JSON.stringify(outcome));
    expect(await codeOf(lab, "start")).toBe(0);
    expect(await codeOf(lab, "monitor")).toBe(0);
    lab.write("/var/lib/fencepost/inbox/b.json", JSON.stringify(outcome));
    expect(await codeOf(lab, "monitor")).toBe(0);
    expect(lab.eventsFor("spooled")).toHaveLength(1);
    expect(outcomes(lab)).toMatchObject([{ target_node: "told", source: "alert" }]);
    expect(lab.spooled()).toEqual([]);
    expect(lab.names("/var/lib/fencepost/inbox")).toEqual([]);
  });

  it("records each missed fence of the history once, however often and by how many it is looked at", async () => {
    const lab = await openLab();
    cluster(lab, "n1", [
      row("a"),
      row("b", { status: "failed", minutes: 6 }),
      row("c", { delegate: "n2", minutes: 7 }),
      row("old", { minutes: 60 * 30 }),
      row("fresh", { minutes: 0 }),
    ]);
    expect(await codeOf(lab, "start")).toBe(0);
    const monitored = await Promise.all([1, 2, 3].map(() => codeOf(lab, "monitor")));
    expect(monitored).toEqual([0, 0, 0]);
    expect(outcomes(lab)).toMatchObject([
      { target_node: "c", operation: { delegate: "n2" } },
      { target_node: "b", status: "failed", source: "reconcile", operation: { reason: "No route", delegate: "n1" } },
      { target_node: "a", status: "succeeded", source: "reconcile", operation: { client: "pacemaker-controld.7" } },
    ]);
    await lab.run({ program: EXECUTABLE, args: ["recover", "--reconcile", "--scope", "all"] });
    expect(outcomes(lab)).toHaveLength(3);
  });

  it("as a clone leaves to each node the fences that it executed, so that all together record each once", async () => {
    const rows = [row("a"), row("b", { delegate: "n2" }), row("c", { delegate: "", origin: "n2", status: "failed" })];
    const found: string[] = [];
    for (const node of ["n1", "n2", "n3"]) {
      const lab = await openLab();
      cluster(lab, node, rows);
      const clone = { OCF_RESKEY_CRM_meta_clone_max: "3" };
      expect(await codeOf(lab, "start", clone)).toBe(0);
      expect(await codeOf(lab, "monitor", clone)).toBe(0);
      found.push(...outcomes(lab).map((outcome) => `${node} ${Reflect.get(outcome, "target_node")}`));
    }
    expect(found.sort()).toEqual(["n1 a", "n2 b", "n2 c"]);
  });

  it("reads the captured history as the captured cluster's tools give it", async () => {
    const lab = await openLab({ standIns: { capture: captureOf("after") } });
    lab.tool("crm_node", "#!/bin/sh\necho rabbit-node-1\n");
    const args = ["recover", "--reconcile", "--window", "36500d", "--json"];
    const { exitCode, stdout } = await lab.run({ program: EXECUTABLE, args });
    // Captured in November 2026; a clock that is not there yet sees fences of the future and waits.
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ problems: [], reconciled: { node: "rabbit-node-1", scope: "own" } });
  });

  it("does not say that nothing is missing when the history cannot be asked", async () => {
    const lab = await openLab();
    const { exitCode, stdout } = await lab.run({ program: EXECUTABLE, args: ["recover", "--reconcile", "--json"] });
    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      reconciled: null,
      problems: [expect.stringContaining("not reconciled")],
    });
  });

  it("does not wait for a log directory that hangs", async () => {
    const lab = await openLab();
    expect(await codeOf(lab, "start")).toBe(0);
    // Somebody recovers and does not end: as one that waits for a disk.
    lab.background(["flock", "-x", `${STATE}/recover.lock`, "sleep", "600"]);
    await waitFor("the lock", () => lab.names(STATE).includes("recover.lock") || undefined);
    const held = await call(lab, "monitor");
    expect(held).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("another recovery has not ended") });
  });
});

liveDescribe("the OCF agent under ocf-tester", [...NEEDS, "ocf-tester", "xmllint"], () => {
  it("passes", async () => {
    const lab = await Lab.open();
    lab.sh(
      `mkdir -p ${AGENT.slice(0, AGENT.lastIndexOf("/"))}; ln -s ${EXECUTABLE} ${AGENT}; chmod 755 ${lab.directory}`,
    );
    const { exitCode, stdout, stderr } = await lab.run({
      program: "/usr/sbin/ocf-tester",
      args: ["-n", "watch", "-o", `log_dir=${lab.logDir}`, AGENT],
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LOG_DIR: undefined },
      limitMs: 100_000,
    });
    expect(stdout).toContain(`${AGENT} passed all tests`);
    expect(stdout).not.toMatch(/^\* rc=/m);
    expect(stderr).not.toMatch(/fail/i);
    expect(exitCode).toBe(0);
  });
});

liveDescribe("fencepost recover", ["root", "namespaces", "overlayfs", "nsenter", "executable"], () => {
  it("is root's alone, explains itself to anybody and refuses what it does not know", async () => {
    const lab = await Lab.open();
    const nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"];
    const run = (args: string[], prefix: string[] = []) =>
      lab.run({ program: EXECUTABLE, args: ["recover", ...args], prefix });
    expect(await run([], nobody)).toMatchObject({ exitCode: 77, stderr: expect.stringContaining("not root") });
    expect(await run(["--help"], nobody)).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("Examples:") });
    expect((await run(["now"])).exitCode).toBe(64);
    expect((await run(["--window", "a day"])).exitCode).toBe(64);
    expect(await run(["--log-dir", "/nowhere"])).toMatchObject({
      exitCode: 78,
      stderr: expect.stringContaining("install -d"),
    });
  });

  it("tells people and programs what it brought into the log", async () => {
    const lab = await Lab.open();
    lab.sh(`mv ${lab.logDir} ${lab.logDir}.away`);
    for (const target of ["one", "two"])
      await lab.run({ stdin: `nodename=${target}\naction=on\nno_gfs2_discovery=1\n`, fencer: true });
    await waitFor("the spooled events", () => (lab.spooled().length === 2 ? true : undefined));
    await lab.settled();
    lab.sh(`mv ${lab.logDir}.away ${lab.logDir}`);
    const { exitCode, stdout } = await lab.run({ program: EXECUTABLE, args: ["recover", "--json"] });
    expect(exitCode).toBe(0);
    const { recovered, ...rest } = JSON.parse(stdout) as { recovered: { from: string }[] };
    expect(rest).toEqual({ log_dir: lab.logDir, reconciled: null, problems: [] });
    expect(recovered.map(({ from }) => from)).toEqual(Array(2).fill("/var/lib/fencepost/spool"));
    const again = await lab.run({ program: EXECUTABLE, args: ["recover"] });
    expect(again).toMatchObject({ exitCode: 0, stdout: `${lab.logDir}: 0 recovered\n` });
    expect(
      lab
        .events()
        .map(({ target_node }) => target_node)
        .sort(),
    ).toEqual(["one", "two"]);
  });

  it("exits 1 and says which, where something could not be brought in", async () => {
    const lab = await Lab.open();
    lab.sh("mkdir -p /var/lib/fencepost/inbox; echo nonsense >/var/lib/fencepost/inbox/a.json");
    const first = await lab.run({ program: EXECUTABLE, args: ["recover", "--inbox"] });
    expect(first).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("inbox/a.json") });
    expect((await lab.run({ program: EXECUTABLE, args: ["recover", "--inbox"] })).exitCode).toBe(0);
  });
});
