/**
 * Sources that hang, flood or talk nonsense: the agent keeps its time, the next source answers, the reason is recorded.
 * Source: SPEC 3 "Discovery".
 */
import { expect, it } from "vitest";
import { captureOf, installStandIns } from "../fakes/captured-cluster.ts";
import { liveDescribe } from "../live/requirements.ts";
import { killQuietly, Lab, pause, waitFor } from "./lab.ts";

const TARGET = "compute-node-2";
const TOOLS = [
  "dlm_tool",
  "crm_mon",
  "cibadmin",
  "crm_node",
  "corosync-cmapctl",
  "corosync-quorumtool",
  "pcs",
  "kubectl",
];

const ENDED = "that ended and left a grandchild on the pipe";

const HANGING: Record<string, string> = {
  "stopped by SIGSTOP": "#!/bin/sh\nkill -STOP $$\n",
  "that ignore SIGTERM": "#!/bin/sh\ntrap '' TERM INT HUP\nwhile :; do sleep 1; done\n",
  "whose grandchildren hold the pipe": "#!/bin/sh\nsetsid sleep 60 &\nsleep 60 &\nwait\n",
  [ENDED]: "#!/bin/sh\nsetsid sleep 60 &\nexit 0\n",
  "that print for ever": "#!/bin/sh\nwhile :; do echo dlm lockspaces; sleep 0.05; done\n",
};

const hangAll = (lab: Lab, script: string) => {
  for (const tool of TOOLS) lab.tool(tool, script);
};

liveDescribe("sources that all hang", ["root", "namespaces", "overlayfs", "nsenter", "executable"], () => {
  it.each(Object.entries(HANGING))(
    "tools %s: exit 0 within 5.5 s, the event recorded",
    { retry: 6, timeout: 20_000 }, // 5.1 s on a machine at rest; a host that takes its processor away does so for half a minute
    async (what, script) => {
      const lab = await Lab.open();
      hangAll(lab, script);
      const running = lab.start({
        args: ["-o", "off", "-n", TARGET],
        env: { KUBECTL_CMD: `${lab.tools}/kubectl` },
      });
      const { exitCode, elapsedMs, pipesHeld } = await running.ended;
      expect(exitCode).toBe(0);
      expect(elapsedMs).toBeLessThan(5500);
      expect(pipesHeld).toBe(false);
      const event = await lab.eventFor(TARGET);
      expect(event.gfs2_filesystems).toEqual(["none-detected"]);
      if (what === ENDED) return; // it said nothing and ended well: that is an answer
      expect(event.discovery.result).toBe("unknown");
      expect(event.discovery.attempts.length).toBeGreaterThan(0);
      for (const { status, reason } of event.discovery.attempts) {
        expect(["failed", "unavailable", "unfinished"]).toContain(status);
        if (status !== "unfinished") expect(reason).toEqual(expect.any(String));
      }
      // What stayed in the agent's process group is gone with it, or is reached by the fencer's kill of the group.
      const left = lab.processes().filter(({ group }) => group === running.pid);
      await waitFor(
        "the probes to be ended",
        () => lab.processes().every(({ group }) => group !== running.pid) || undefined,
        3000,
      ).catch(() => {
        throw new Error(`left in the agent's process group: ${JSON.stringify(left)}`);
      });
    },
  );

  it("called by the fencer, the on-disk CIB decides and the budget holds", async () => {
    const lab = await Lab.open();
    lab.installSafeCluster();
    lab.sh(
      `mkdir -p /var/lib/pacemaker/cib; cp ${lab.directory}/safe-capture/cibadmin-Q-local.xml /var/lib/pacemaker/cib/cib.xml`,
    );
    hangAll(lab, HANGING["that ignore SIGTERM"] ?? "");
    const { exitCode, elapsedMs } = await lab.run({
      stdin: `nodename=${TARGET}\naction=off\nplug=${TARGET}\n`,
      fencer: true,
    });
    expect(exitCode).toBe(0);
    expect(elapsedMs).toBeLessThan(5500);
    expect(await lab.eventFor(TARGET)).toMatchObject({ status: "initiated", guard: "ok", source: "stonith" });
  }, 20_000);

  it("has the intent on disk within the first 50 ms", async () => {
    const lab = await Lab.open({ logDir: "disk" });
    hangAll(lab, HANGING["that ignore SIGTERM"] ?? "");
    let quickestMs = Number.POSITIVE_INFINITY;
    // The quickest counts: whatever else this machine is doing can only add to what is ours. `npm run bench` has the median.
    for (let round = 0; round < 9 || (round < 60 && quickestMs >= 50); round++) {
      const startedMs = performance.now(); // nsenter and sh included
      const running = lab.start({ args: ["-o", "off", "-n", `hung-${round}`] });
      while (!lab.intents().some((text) => text.includes(`hung-${round}`))) {
        if (performance.now() - startedMs > 3000) throw new Error("no intent after 3 s");
        await pause(1);
      }
      quickestMs = Math.min(quickestMs, performance.now() - startedMs);
      for (const { pid } of lab.processes()) killQuietly(pid);
      await running.ended;
      await pause(20);
    }
    expect(quickestMs).toBeLessThan(50);
  }, 120_000);

  it("is not kept by a source that answers at the last moment", async () => {
    const lab = await Lab.open({
      standIns: { capture: captureOf("window"), tools: ["dlm_tool", "crm_node"], delaySeconds: 4 },
    });
    const { exitCode, elapsedMs } = await lab.run({ args: ["-o", "off", "-n", TARGET] });
    expect(exitCode).toBe(0);
    expect(elapsedMs).toBeLessThan(5500);
    await lab.eventFor(TARGET);
  }, 20_000);
});

const flood = "#!/bin/sh\nhead -c 52428800 /dev/zero | tr '\\0' x\n";
const half = (command: string) => `#!/bin/sh\n${command} | head -c 1500\n`;

liveDescribe("sources that flood or talk nonsense", ["executable"], () => {
  type Row = { what: string; tool: string; script: string; method: string; answersInstead: string };
  const kubectl = (what: string, script: string): Row => ({
    what: `kubectl prints ${what}`,
    tool: "kubectl",
    script,
    method: "kubernetes",
    answersInstead: "dlm",
  });
  const dlm = (what: string, tool: string, script: string): Row => ({
    what: `${tool} prints ${what}`,
    tool,
    script,
    method: "dlm",
    answersInstead: "pacemaker",
  });
  it.each<Row>([
    kubectl("50 MB", flood),
    kubectl("bad JSON", "#!/bin/sh\necho '{\"items\": [}'\n"),
    kubectl("half a document", '#!/bin/sh\nprintf \'{"items":[{"metadata":{"name":"x"\'\n'),
    kubectl("JSON of another shape", "#!/bin/sh\necho '[1,2,3]'\n"),
    kubectl("nothing", "#!/bin/sh\nexit 0\n"),
    kubectl("an error", "#!/bin/sh\necho 'Unable to connect to the server' >&2; exit 1\n"),
    dlm("50 MB", "dlm_tool", flood),
    dlm("nonsense", "dlm_tool", "#!/bin/sh\necho 'members 1 2 3'\n"),
    dlm("half a document", "dlm_tool", "#!/bin/sh\nprintf 'dlm lockspaces\\nname          gfs2-pro'\n"),
    dlm("an error", "dlm_tool", "#!/bin/sh\necho 'cannot connect' >&2; exit 1\n"),
    dlm("50 MB", "crm_mon", flood),
    dlm("bad XML", "crm_mon", "#!/bin/sh\necho '<pacemaker-result><nodes></pacemaker-result>'\n"),
    dlm("half a document", "crm_mon", half(`cat "\${0%/*}/capture/crm_mon.xml"`)),
    dlm("XML of another kind", "crm_mon", "#!/bin/sh\necho '<html><body/></html>'\n"),
  ])("$what: the next source answers, the reason is recorded", async ({ tool, script, method, answersInstead }) => {
    const lab = await Lab.open();
    const good = answersInstead === "dlm" ? (["dlm_tool", "crm_node"] as const) : (["cibadmin"] as const);
    installStandIns(lab.at(lab.tools), { capture: captureOf("window"), tools: good });
    lab.tool(tool, script);
    const env = tool === "kubectl" ? { KUBECTL_CMD: `${lab.tools}/kubectl` } : {};
    const { exitCode, elapsedMs } = await lab.run({ args: ["-o", "off", "-n", TARGET], env });
    expect(exitCode).toBe(0);
    expect(elapsedMs).toBeLessThan(5500);
    const event = await lab.eventFor(TARGET);
    expect(event.gfs2_filesystems).toEqual(["gfs2-project", "gfs2-scratch"]);
    expect(event.discovery.method).toBe(answersInstead);
    const attempt = event.discovery.attempts.find((tried) => tried.method === method);
    expect(attempt).toMatchObject({ status: "failed", reason: expect.stringMatching(/\S/) });
    expect((attempt?.reason ?? "").length).toBeLessThan(1000);
    await lab.settled();
    expect(lab.readableLines()).toHaveLength(1);
  });

  it.each([
    ["bad XML", "#!/bin/sh\necho '<cib><configuration></cib>'\n"],
    ["half a document", half(`cat "\${0%/*}/capture/cibadmin-Q.xml"`)],
    ["50 MB", flood],
    [
      "an XML bomb",
      `#!/bin/sh\nprintf '<!DOCTYPE c [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><cib>&b;</cib>'\n`,
    ],
  ])("cibadmin prints %s: nobody is believed to have none", async (_what, script) => {
    const lab = await Lab.open();
    installStandIns(lab.at(lab.tools), { capture: captureOf("window"), tools: [] });
    lab.tool("cibadmin", script);
    const { exitCode } = await lab.run({ args: ["-o", "off", "-n", TARGET] });
    expect(exitCode).toBe(0);
    const event = await lab.eventFor(TARGET);
    expect(event.discovery.result).toBe("unknown");
    expect(event.discovery.attempts).toContainEqual(
      expect.objectContaining({ method: "pacemaker", status: "failed", reason: expect.stringMatching(/\S/) }),
    );
  });
});
