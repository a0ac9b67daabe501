/**
 * The record against a real fencer: 20 fences through the level [fence_dummy, recorder], the recorder killed or replaced
 * for some of them. `reconcile` finds exactly those, `incidents` shows one line a fence.
 * To keep it quick the target is switched off once, really, and stays off: the fencer, its levels, agents and history are
 * the real ones for every fence, only nobody boots the node in between.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { AGENT, type Cluster, REAL_AGENT, run, startCluster } from "./cluster.ts";
import { CLUSTER_NEEDS, EXECUTABLE, liveDescribe } from "./requirements.ts";

const TARGET = "node3";
const EXECUTORS = ["node1", "node2"];
/** What becomes of the recorder while the fence runs; the first fence is the cluster's own, after a power cut. */
type Recorder = "works" | "silent" | "killed";
const FENCES: readonly Recorder[] = [
  ...(["works", "works", "silent", "works", "killed", "works", "silent", "silent", "works", "works"] as const),
  ...(["works", "silent", "works", "works", "killed", "works", "works", "silent", "works", "works"] as const),
];

/** A recorder in whose place something runs that says yes and records nothing, or that is killed before its first step. */
const broken = (end: string): string => `#!/bin/bash
[ $# -gt 0 ] && exec ${REAL_AGENT} "$@"
text=$(cat)
case $(sed -n 's/^action=//p' <<<"$text") in off | on | reboot) ${end} ;; esac
exec ${REAL_AGENT} <<<"$text"
`;
const BROKEN = { silent: broken("exit 0"), killed: broken("kill -9 $$") } as const;

type Reconciliation = {
  differences: number;
  fences: {
    target_node: string;
    status: string;
    recorded_as: string;
    history: { client: string }[];
    lines: object[];
  }[];
  without_fence: object[];
  not_judged: { before_history: number; manual: number };
};

liveDescribe("20 fences in a real Pacemaker cluster, some of them unrecorded", CLUSTER_NEEDS, () => {
  let cluster: Cluster;
  let collected: string;
  /** By the client that Pacemaker names: which fences nobody recorded. */
  const unrecorded: string[] = [];
  /** pacemaker.log also tells of a fence before the first, when the target had to be robbed of its role as DC. */
  let begunMs: number;

  beforeAll(async () => {
    cluster = await startCluster({ nodes: 3 });
    collected = mkdtempSync(join(tmpdir(), "fencepost-history-"));
    cluster.clearRecords();
    await cluster.must("node1", ["stonith_admin", "--cleanup", "--history", "*"]);
    if ((await cluster.readDc()) === TARGET) {
      await cluster.killNode(TARGET);
      await cluster.waitFor("another DC", async () => (await cluster.readDc()) !== TARGET);
      await cluster.heal();
      cluster.clearRecords();
      await cluster.must("node1", ["stonith_admin", "--cleanup", "--history", "*"]);
    }
    begunMs = Date.now();
    cluster.followPower(false);
    for (const [index, recorder] of FENCES.entries()) await fence(index, recorder);
    writeFileSync(join(collected, "history.xml"), await historyXml());
  }, 600_000);
  afterAll(async () => {
    await cluster?.stop();
    if (collected) rmSync(collected, { recursive: true, force: true });
  });

  const historyXml = () => cluster.must("node1", ["stonith_admin", "--history", "*", "--verbose", "--output-as=xml"]);
  const entries = async () =>
    [...(await historyXml()).matchAll(/<fence_event [^>]*client="([^"]+)"[^>]*status="(success|failed)"/g)].map(
      ([, client]) => String(client),
    );

  async function fence(index: number, recorder: Recorder): Promise<void> {
    const before = new Set(await entries());
    for (const node of EXECUTORS) {
      if (recorder === "works") await cluster.restoreTool(node, AGENT);
      else await cluster.replaceTool(node, AGENT, BROKEN[recorder]);
    }
    if (index === 0) await cluster.killNode(TARGET);
    else {
      const { exitCode } = await cluster.on(
        "node1",
        ["stonith_admin", index % 5 === 3 ? "--fence" : "--reboot", TARGET, "--timeout", "60"],
        { timeoutMs: 100_000 },
      );
      expect(exitCode === 0, `fence ${index} (${recorder})`).toBe(recorder !== "killed");
    }
    const fresh = await cluster.waitFor("the fence in the history", async () => {
      const found = (await entries()).filter((client) => !before.has(client));
      return found.length > 0 ? found : undefined;
    });
    if (recorder !== "works") unrecorded.push(...fresh);
    // The history counts whole seconds: fences that end in the same one cannot be told apart by anybody, and the one the
    // cluster asked for itself is merged with stonith_admin's when they end in neighbouring ones.
    const second = Math.floor(Date.now() / 1000);
    await cluster.waitFor("a later second", () => Math.floor(Date.now() / 1000) > second + (index === 0 ? 2 : 0));
  }

  const logs = () =>
    cluster.names
      .map((node) => cluster.diskPath(node, "log/gfs2-fencing"))
      .filter((path) => existsSync(join(path, "fence-events-detailed.jsonl")));
  /** On this machine, with the logs of all recorders and the history from a file, as an admin does it on a desk. */
  const fencepost = (...words: string[]) => run([EXECUTABLE, "analyze", ...words], { timeoutMs: 30_000 });

  it("reconcile finds exactly the fences that nobody recorded", async () => {
    const { stdout, stderr, exitCode } = await fencepost(
      "reconcile",
      "--history",
      join(collected, "history.xml"),
      "--json",
      ...logs(),
    );
    expect(exitCode, stderr).toBe(1);
    const found = JSON.parse(stdout) as Reconciliation;
    expect(found.fences).toHaveLength(FENCES.length);
    const missing = found.fences.filter(({ recorded_as }) => recorded_as !== "recorded");
    expect(missing.map(({ recorded_as }) => recorded_as)).toEqual(missing.map(() => "unrecorded"));
    expect(missing.flatMap(({ history }) => history.map(({ client }) => client)).sort()).toEqual(
      [...unrecorded].sort(),
    );
    expect(missing).toHaveLength(FENCES.filter((recorder) => recorder !== "works").length);
    expect(found.without_fence).toEqual([]);
    expect(found.not_judged).toEqual({ before_history: 0, manual: 0 });
    // A killed recorder fails its level: Pacemaker knows, and nobody recorded that either.
    expect(missing.filter(({ status }) => status === "failed")).toHaveLength(
      FENCES.filter((recorder) => recorder === "killed").length,
    );
  });

  it("reconcile asks the cluster by itself on a node", async () => {
    const node = EXECUTORS.find((name) => cluster.events(name).length > 0) ?? "none recorded anything";
    const { stdout, exitCode } = await cluster.on(node, ["/usr/bin/fencepost", "analyze", "reconcile", "--json"]);
    expect(exitCode).toBe(1);
    expect((JSON.parse(stdout) as Reconciliation).fences).toHaveLength(FENCES.length);
  });

  it("incidents shows one line a fence", async () => {
    const recorded = await fencepost("incidents", "--json", ...logs());
    const records = recorded.stdout
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as { target_node: string; lines: object[] });
    expect(records).toHaveLength(FENCES.filter((recorder) => recorder === "works").length);
    const all = await fencepost("incidents", "--history", join(collected, "history.xml"), "--json", ...logs());
    const incidents = all.stdout
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as { recorded: boolean; result: string; completed_ms: number });
    expect(incidents).toHaveLength(FENCES.length);
    expect(incidents.map(({ recorded: one }) => one)).toEqual(FENCES.map((recorder) => recorder === "works"));
    expect(incidents.map(({ result }) => result)).toEqual(
      FENCES.map((recorder) => (recorder === "killed" ? "failed" : "succeeded")),
    );
  });

  it("verify finds the record whole", async () => {
    const { stdout, exitCode } = await fencepost("verify", ...logs());
    expect(stdout).toMatch(/^nothing wrong: /m);
    expect(exitCode).toBe(0);
  });

  it("why tells the cluster's own fence from the real logs", async () => {
    const pacemaker = EXECUTORS.map((node) => cluster.diskPath(node, "log/pacemaker/pacemaker.log")).filter((path) =>
      existsSync(path),
    );
    const { stdout, stderr, exitCode } = await fencepost(
      ...["why", TARGET, "--json", "--history", join(collected, "history.xml")],
      ...pacemaker.flatMap((path) => ["--pacemaker-log", path]),
      ...["--until", new Date().toISOString(), ...logs()],
    );
    expect(exitCode, stderr).toBe(0);
    const page = JSON.parse(stdout) as {
      target_node: string;
      result: string;
      others: { time: string }[];
      findings: { topic: string }[];
    };
    expect(page).toMatchObject({ target_node: TARGET, result: "succeeded" });
    expect(page.others.filter(({ time }) => Date.parse(time) >= begunMs)).toHaveLength(FENCES.length - 1);
    expect(page.findings.filter(({ topic }) => topic === "recorded").length).toBeGreaterThan(0);
  });
});
