/**
 * The three deployments of docs/deployments.md on a real Pacemaker cluster whose nodes have installed the .deb: set up by
 * the page's own commands, with pcs and with crmsh; doctor finds them clean; then 25 fences with each, half of them off
 * the straight path, and every one is recorded with the end that Pacemaker gave it.
 * The target is switched off once for each tool, really, and stays off: nobody boots it between fences (analyze.test.ts).
 * Source: issue 4, "It must show".
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, onTestFailed } from "vitest";
import { AGENT, type Cluster, cibXml, run, startCluster } from "./cluster.ts";
import { CLUSTER_NEEDS, liveDescribe } from "./requirements.ts";
import { NAMED, placeAgent, placeTimedAgent, readAgentTimes } from "./timed-agent.ts";

const REPOSITORY = join(import.meta.dirname, "../..");
const PAGE = readFileSync(join(REPOSITORY, "docs/deployments.md"), "utf8");
const RECOVER_UNIT = "/lib/systemd/system/fencepost-recover.service";
const POWER = "/usr/sbin/fence_dummy";
/** The bench's nodes have no systemd, no time daemon and no syslog: what needs those is left out here, by name. */
const NOT_ON_THE_BENCH = ["timer", "clock", "health"];
const CLUSTER_SHELL = { timeoutMs: 150_000, env: { HOME: "/root", TERM: "dumb" } };

/** Each order has one more deployment stand alone at first. */
const DEPLOYMENTS = { pcs: ["alert", "level", "ocf"], crm: ["ocf", "level", "alert"] } as const;
type Tool = keyof typeof DEPLOYMENTS;

/** A program in whose place this runs for the actions of a fence; all else is its own. */
const inPlaceOf = (real: string, instead: string): string => `#!/bin/bash
[ $# -gt 0 ] && exec ${real} "$@"
text=$(cat)
case $(sed -n 's/^action=//p' <<<"$text") in off | on | reboot) ${instead} ;; esac
exec ${real} <<<"$text"
`;
const ONCE = "/run/power-failed-once";
const powerThat = (instead: string) => inPlaceOf(`${POWER}.real`, instead);
/** What is broken, how the fence must end, and what the recorder was called for and lived. */
const KINDS = {
  off: { ends: "succeeded", calls: ["off"] },
  reboot: { ends: "succeeded", calls: ["off", "on"] },
  "power fails": { ends: "failed", calls: [], power: powerThat("echo 'no answer' >&2; exit 1") },
  "power fails once": {
    ...{ ends: "succeeded", calls: ["off"] },
    power: powerThat(`[ -e ${ONCE} ] || { : >${ONCE}; exit 1; }`),
  },
  "power hangs": { ends: "failed", calls: [], power: powerThat("exec sleep 60") },
  "recorder killed": { ends: "failed", calls: [], recorder: inPlaceOf(NAMED, "kill -9 $$") },
} as const satisfies Record<string, { ends: string; calls: readonly string[]; power?: string; recorder?: string }>;
type Kind = keyof typeof KINDS;
/** 25; the first one is the cluster's own, after a power cut. */
const FENCES: readonly Kind[] = [
  ...(["reboot", "off", "power fails", "off", "off", "recorder killed", "off", "reboot", "off"] as const),
  ...(["power fails once", "off", "power hangs", "off", "off", "reboot", "off", "power fails", "off"] as const),
  ...(["recorder killed", "off", "power fails once", "off", "power fails", "off", "reboot"] as const),
];

type Asked = { kind: Kind; ends: string; clients: string[] };
type Incident = { result: string; recorded: boolean; clients: string[]; target_node: string };
const NEEDS = [...CLUSTER_NEEDS, "crmsh", "dpkg-deb", "systemd-analyze"] as const;

/** The lines of one fenced block: ```sh NAME */
function commandsOf(name: string): string[] {
  const [, block] = new RegExp(`^\`\`\`sh ${name}\\n([^\`]+)^\`\`\`$`, "m").exec(PAGE) ?? [];
  if (block === undefined) throw new Error(`docs/deployments.md: no block 'sh ${name}'`);
  return block.split("\n").filter(Boolean);
}

liveDescribe("the documented deployments, from the installed package, in a real Pacemaker cluster", NEEDS, () => {
  let cluster: Cluster;
  let built: string;
  /** Of both tools. */
  const asked: Asked[] = [];

  beforeAll(async () => {
    built = mkdtempSync(join(tmpdir(), "fencepost-deb-"));
    const words = ["--arch", "x64", "--format", "deb", "--quick", "--outdir", built];
    const argv = [process.execPath, join(REPOSITORY, "packaging/package.ts"), ...words];
    const { exitCode, stdout, stderr } = await run(argv, { timeoutMs: 240_000 });
    if (exitCode !== 0) throw new Error(`${argv.join(" ")}: exit ${exitCode}: ${stderr}`);
    cluster = await startCluster({ package: stdout.trim(), configuration: cibXml(3, { recorder: "none" }) });
  }, 600_000);
  afterAll(async () => {
    await cluster?.stop();
    if (built) rmSync(built, { recursive: true, force: true });
  });

  const type = async (name: string) => {
    for (const line of commandsOf(name)) await cluster.must("node1", ["sh", "-euc", line], CLUSTER_SHELL);
  };
  const inStep = () =>
    cluster.waitFor("all nodes have the same configuration", async () => {
      const ask = ["cibadmin", "-Q", "-l", "-o", "configuration"];
      const copies = await Promise.all(cluster.names.map((node) => cluster.must(node, ask)));
      return copies.every((copy) => copy === copies[0]);
    });
  const runningOn = async (resource: string) =>
    (await cluster.must("node1", ["crm_resource", "--locate", "-r", resource])).match(/is running on/g)?.length ?? 0;
  /** What each deployment is once Pacemaker runs it. */
  const runs = {
    alert: async () => /alert_gfs2_recorder/.test(await cluster.must("node3", ["cibadmin", "-Q", "-o", "alerts"])),
    level: async () => (await runningOn("gfs2-recorder")) === 1,
    ocf: async () => (await runningOn("fencepost-recorder-clone")) === 3,
  };

  async function expectClean(node: string): Promise<void> {
    const argv = ["fencepost", "doctor", "--json", "--skip", NOT_ON_THE_BENCH.join(",")];
    const { exitCode, stdout, stderr } = await cluster.on(node, argv, { timeoutMs: 60_000 });
    expect(stderr).toBe("");
    const report = JSON.parse(stdout) as Record<"findings" | "unchecked" | "left_out", { severity: string }[]>;
    expect(report.findings.filter(({ severity }) => severity !== "note")).toEqual([]);
    expect(report).toMatchObject({ verdict: "clean", configuration: "running cluster", unchecked: [] });
    expect([...report.left_out].sort()).toEqual([...NOT_ON_THE_BENCH].sort());
    expect(exitCode).toBe(0);
  }

  const history = async () => {
    const argv = ["stonith_admin", "--history", "*", "--verbose", "--output-as=xml"];
    return [...(await cluster.must("node1", argv)).matchAll(/<fence_event [^>]*>/g)].map(([entry]) => ({
      client: /client="([^"]+)"/.exec(entry)?.[1] ?? "",
      completed: /completed="([^"]+)"/.exec(entry)?.[1] ?? "",
      status: /status="([^"]+)"/.exec(entry)?.[1] ?? "",
    }));
  };

  async function arrange(kind: Kind, executors: readonly string[]): Promise<void> {
    const how = KINDS[kind];
    for (const node of executors) {
      for (const tool of [POWER, AGENT]) await cluster.restoreTool(node, tool);
      await cluster.must(node, ["rm", "-f", ONCE]);
      if (kind === "off") await placeTimedAgent(cluster, node);
      if ("power" in how) await cluster.replaceTool(node, POWER, how.power);
      if ("recorder" in how) await placeAgent(cluster, node, how.recorder);
    }
  }

  async function fence(kind: Kind, first: boolean, target: string, executors: readonly string[]): Promise<void> {
    // A client may ask more than once: the controller does, which asks for the first fence of either tool.
    const nameOf = ({ client, completed }: { client: string; completed: string }) => `${client} ${completed}`;
    const before = new Set((await history()).map(nameOf));
    await arrange(kind, executors);
    let exitCode: number | null | undefined;
    if (first) await cluster.killNode(target);
    else {
      const timeout = kind === "power hangs" ? "3" : "60";
      const argv = ["stonith_admin", kind === "reboot" ? "--reboot" : "--fence", target, "--timeout", timeout];
      ({ exitCode } = await cluster.on("node1", argv, { timeoutMs: 100_000 }));
    }
    const fresh = await cluster.waitFor(`the end of a fence (${kind})`, async () => {
      const entries = (await history()).filter((entry) => !before.has(nameOf(entry)));
      return entries.length > 0 && entries.every(({ status }) => /^(success|failed)$/.test(status)) ? entries : false;
    });
    const ends = fresh[0]?.status === "success" ? "succeeded" : "failed";
    expect({ kind, ends }).toEqual({ kind, ends: KINDS[kind].ends });
    if (!first) expect({ kind, ends: exitCode === 0 ? "succeeded" : "failed" }).toEqual({ kind, ends });
    asked.push({ kind, ends, clients: fresh.map(({ client }) => client).sort() });
    // The history counts whole seconds: fences that end in the same one cannot be told apart by anybody, and the one the
    // cluster asked for itself is merged with stonith_admin's when they end in neighbouring ones.
    const second = Math.floor(Date.now() / 1000);
    await cluster.waitFor("a later second", () => Math.floor(Date.now() / 1000) > second + (first ? 2 : 0));
  }

  /** What the unit of the package does at boot and its timer every five minutes; the bench has no systemd. */
  async function recover(node: string): Promise<void> {
    const unit = await cluster.must(node, ["cat", RECOVER_UNIT]);
    const command = /^ExecStart=(.+)$/m.exec(unit)?.[1] ?? "";
    await cluster.must(node, command.split(" "), { timeoutMs: 60_000 });
  }
  const incidents = async (viewer: string): Promise<Incident[]> => {
    const logs = cluster.names
      .map((node) => cluster.diskPath(node, "log/gfs2-fencing"))
      .filter((path) => existsSync(join(path, "fence-outcomes.jsonl")));
    const stdout = await cluster.must(viewer, ["fencepost", "analyze", "incidents", "--json", ...logs]);
    return stdout
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Incident);
  };

  for (const tool of Object.keys(DEPLOYMENTS) as Tool[]) {
    it.each(DEPLOYMENTS[tool])(
      `are set up with ${tool} as the page says, and are clean for doctor: %s`,
      async (deployment) => {
        await type(`${tool}-${deployment}`);
        await cluster.waitFor(`${deployment} to run`, runs[deployment], { timeoutMs: 90_000 });
        await inStep();
        await expectClean("node1");
      },
      400_000,
    );

    it(`record 25 fences with their true ends (${tool})`, { timeout: 600_000 }, async () => {
      onTestFailed(cluster.heal, 120_000);
      await cluster.waitHealthy();
      for (const node of cluster.names) await expectClean(node);
      const dc = await cluster.readDc();
      const target = dc === "node3" ? "node2" : "node3";
      const executors = cluster.names.filter((node) => node !== target);
      cluster.followPower(false);
      for (const [index, kind] of FENCES.entries()) await fence(kind, index === 0, target, executors);
      for (const node of executors) {
        await cluster.waitFor(`every end in the log of ${node}`, async () => {
          await recover(node);
          const waiting = (await cluster.must(node, ["ls", "-A", "/var/lib/fencepost/inbox"])).trim();
          const known = JSON.stringify(cluster.events(node, "fence-outcomes.jsonl"));
          return waiting === "" && asked.slice(-FENCES.length).every(({ clients: [one = ""] }) => known.includes(one));
        });
      }
      const found = await incidents("node1");
      const told = found.map(({ result, recorded, clients }) => ({
        ends: result,
        recorded,
        clients: clients.map((client) => client.replace(/@.*/, "")).sort(),
      }));
      // An alert may run late, so that a fence nobody recorded seems to begin after the next one.
      const byClient = (a: { clients: string[] }, b: { clients: string[] }) =>
        a.clients.join().localeCompare(b.clients.join(), "en", { numeric: true });
      const expected = asked.map(({ kind, ends, clients }) => ({
        ends,
        recorded: KINDS[kind].calls.length > 0,
        clients,
      }));
      // So those that were recorded are in the order they were asked for in, and all are there.
      const isRecorded = ({ recorded }: { recorded: boolean }) => recorded;
      expect(told.filter(isRecorded)).toEqual(expected.filter(isRecorded));
      expect(told.sort(byClient)).toEqual(expected.sort(byClient));
      // And what the recorder was called for is in its log, no more and no less.
      expect(cluster.allEvents().map(({ action, status }) => `${action} ${status}`)).toEqual(
        asked.flatMap(({ kind }) => KINDS[kind].calls).map((action) => `${action} initiated`),
      );
      await cluster.heal();
      for (const node of cluster.names) await expectClean(node);
    });

    it(`are taken away by the page's commands, after ${tool} has set them up`, async () => {
      await type("pcs-remove");
      await inStep();
      const left = await cluster.must("node1", ["cibadmin", "-Q", "-o", "configuration"]);
      expect(left).not.toMatch(/recorder|fencing-level|alert id/);
      for (const device of ["power-node1", "power-node2", "power-node3"]) expect(left).toContain(`id="${device}"`);
    }, 400_000);
  }

  // How long it takes is the benchmark's row; a machine that runs other tests beside this one says little about it.
  it("never wait long for the recorder of an off through the level", () => {
    const times = readAgentTimes(cluster).filter(({ action }) => action === "off");
    expect(times.every(({ exitCode }) => exitCode === 0)).toBe(true);
    expect(times.length).toBe(2 * FENCES.filter((kind) => kind === "off").length);
    const sorted = times.map(({ elapsedMs }) => elapsedMs).sort((a, b) => a - b);
    expect(sorted[sorted.length >> 1]).toBeLessThanOrEqual(1_500);
  });
});
