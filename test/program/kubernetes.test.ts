/** The `kubernetes` source in the compiled executable: its TLS, its limits and its answers are those of the build. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import {
  ANSWERS,
  certificateConfig,
  type Fault,
  type KubeApiOptions,
  kubeconfigText,
  makePki,
  type Pki,
  startKubeApi,
  startSilentServer,
} from "../fakes/kube-api.ts";
import { AGENT, type FenceRecord } from "./lab.ts";

let directory: string;
let pki: Pki;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "fencepost-kube-program-"));
  pki = makePki(directory);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function serve(options: KubeApiOptions = {}): Promise<string> {
  const api = await startKubeApi({ pki, ...options });
  onTestFinished(() => api.close());
  return api.url;
}

type Run = { event: FenceRecord; stderr: string; elapsedMs: number };

/** Runs the agent by hand for `off`, with no cluster tool to be found, and gives the event it wrote. */
async function record(target: string, kubeconfig: string, env: Record<string, string> = {}): Promise<Run> {
  const run = mkdtempSync(join(directory, "run-"));
  const config = join(run, "kubeconfig");
  writeFileSync(config, kubeconfig);
  const startedMs = performance.now();
  const child = spawn(AGENT, ["-o", "off", "-n", target, "--log-dir", run, "--kubeconfig", config], {
    env: { PATH: "/usr/bin:/bin", ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const exitCode = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  const elapsedMs = performance.now() - startedMs;
  expect(exitCode, stderr).toBe(0);
  const lines = readFileSync(join(run, "fence-events-detailed.jsonl"), "utf8").trimEnd().split("\n");
  return { event: JSON.parse(lines.at(-1) ?? ""), stderr, elapsedMs };
}

const attemptOf = ({ event }: Run) => event.discovery.attempts.find(({ method }) => method === "kubernetes");

describe("the agent and a cluster that demands a client certificate", () => {
  it.each(
    ["v1alpha3", "v1alpha7", "v1alpha11"].flatMap((version) =>
      Object.entries(ANSWERS).map(([target, names]) => [version, target, names] as const),
    ),
  )("records, with %s, for %s: %j", async (version, target, names) => {
    const run = await record(target, certificateConfig(await serve({ dwsVersion: version, nnfVersion: version }), pki));
    if (names.length === 0) {
      expect(run.event.gfs2_filesystems).toEqual(["none-detected"]);
      expect(attemptOf(run)?.status).toBe("empty");
      return;
    }
    expect(run.event.gfs2_filesystems).toEqual(names);
    expect(run.event.discovery).toMatchObject({ result: "found", method: "kubernetes", scope: "target" });
  });

  it("records where it is mounted from and to", async () => {
    const { event } = await record("compute-node-10", certificateConfig(await serve(), pki));
    expect(event.filesystems).toEqual([
      { name: "nnf-storage-4", mount_point: "/mnt/nnf/4-0", device: "vg-4/lv-4" },
      { name: "nnf-storage-7", mount_point: "/mnt/nnf/7-0", device: "vg-7/lv-7" },
    ]);
  });

  it.each<[string, KubeApiOptions]>([
    ["forbidden", { fault: (path) => (path.endsWith("/clientmounts") ? "403" : undefined) }],
    ["not served", { dwsVersion: "" }],
  ])("marks what the whole cluster uses as such when ClientMounts are %s", async (_, options) => {
    const { event } = await record("compute-node-3", certificateConfig(await serve(options), pki));
    expect(event.gfs2_filesystems).toEqual(["nnf-storage-1", "nnf-storage-4", "nnf-storage-7"]);
    expect(event.discovery).toMatchObject({ result: "found", method: "kubernetes", scope: "cluster" });
  });

  it.each<[Fault, RegExp]>([
    ["401", /HTTP 401/],
    ["500", /HTTP 500/],
    ["not JSON", /not JSON/],
    ["half a body", /clientmounts: /],
    ["a 50 MB body", /too large/],
  ])("records the event with the reason when the answer is %s", async (what, reason) => {
    const fault = (path: string): Fault | undefined => (path.endsWith("/clientmounts") ? what : undefined);
    const run = await record("compute-node-1", certificateConfig(await serve({ fault }), pki));
    expect(attemptOf(run)).toMatchObject({ status: "failed", reason: expect.stringMatching(reason) });
    expect(run.event.gfs2_filesystems).toEqual(["none-detected"]);
  });

  it("trusts no other authority, whatever the environment says", async () => {
    const config = certificateConfig(await serve(), pki, pki.otherCa);
    const run = await record("compute-node-1", config, { NODE_TLS_REJECT_UNAUTHORIZED: "0" });
    expect(attemptOf(run)).toMatchObject({ status: "failed", reason: expect.stringContaining("certificate") });
  });

  it("gets nothing without a client certificate", async () => {
    const config = kubeconfigText({ server: await serve(), "certificate-authority": pki.ca }, {});
    expect(attemptOf(await record("compute-node-1", config))?.status).toBe("failed");
  });

  it("is done in time with a server that accepts and says nothing", async () => {
    const silent = await startSilentServer();
    onTestFinished(() => silent.close());
    const run = await record("compute-node-1", certificateConfig(silent.url, pki));
    expect(run.elapsedMs).toBeLessThan(7_000);
    expect(run.event.discovery.result).not.toBe("found");
    expect(silent.connections()).toBeGreaterThan(0);
  });
});
