/** The in-process client against a TLS server of our own, and kubectl by its captured answers. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { Host } from "../../src/core/host.ts";
import { realHost } from "../../src/core/host.ts";
import { type KubernetesOptions, kubernetesSource } from "../../src/discovery/kubernetes.ts";
import type { Filesystem, ProbeOutcome } from "../../src/discovery/source.ts";
import { exits, type FakeAnswer, FakeHost, fakeHost, NOT_INSTALLED } from "../fakes/fake-host.ts";
import {
  ANSWERS,
  capturedClientMounts,
  capturedNodeStorages,
  capturedStorages,
  certificateConfig,
  type Fault,
  type KubeApi,
  type KubeApiOptions,
  kubeconfigText,
  kubeFixture,
  makePki,
  type Pki,
  startKubeApi,
  startSilentServer,
} from "../fakes/kube-api.ts";

const NO_ENV = {};
const MOUNTINFO = "/proc/self/mountinfo";
const CLIENT_MOUNTS = /\/clientmounts$/;

let directory: string;
let pki: Pki;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "fencepost-kube-"));
  pki = makePki(directory);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function serve(options: KubeApiOptions = {}): Promise<KubeApi> {
  const api = await startKubeApi({ pki, ...options });
  onTestFinished(() => api.close());
  return api;
}

let written = 0;
function file(text: string, name = `file-${written++}`): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

type Ask = Partial<KubernetesOptions> & { host?: Host; timeoutMs?: number; signal?: AbortSignal };

function ask(target: string, { host = realHost, timeoutMs = 5_000, signal, ...options }: Ask): Promise<ProbeOutcome> {
  return kubernetesSource({ kubectlCmd: undefined, kubeconfig: undefined, env: NO_ENV, ...options }).probe({
    target,
    host,
    timeoutMs,
    signal: signal ?? new AbortController().signal,
    cib: () => Promise.reject(new Error("not asked for")),
    learn: () => undefined,
  });
}

const askApi = (target: string, api: KubeApi, more: Ask = {}) =>
  ask(target, { kubeconfig: file(certificateConfig(api.url, pki)), timeoutMs: 15_000, ...more });

const namesIn = (outcome: ProbeOutcome): readonly string[] =>
  outcome.status === "found"
    ? outcome.filesystems.map(({ name }) => name)
    : outcome.status === "empty"
      ? []
      : [outcome.reason];

const reasonIn = (outcome: ProbeOutcome): string => ("reason" in outcome ? outcome.reason : outcome.status);

describe("what the target uses, asked in-process", () => {
  it.each(Object.entries(ANSWERS))("is for %s: %j", async (target, names) => {
    const outcome = await askApi(target, await serve());
    expect(namesIn(outcome)).toEqual(names);
    expect(outcome.status).toBe(names.length === 0 ? "empty" : "found");
  });

  it("has mount points and devices, and the scope of the target", async () => {
    expect(await askApi("compute-node-10", await serve())).toEqual({
      status: "found",
      scope: "target",
      filesystems: [
        { name: "nnf-storage-4", mountPoint: "/mnt/nnf/4-0", device: "vg-4/lv-4" },
        { name: "nnf-storage-7", mountPoint: "/mnt/nnf/7-0", device: "vg-7/lv-7" },
      ] satisfies Filesystem[],
    });
  });

  it("is asked for in lower case, as namespaces are named, and compared as Pacemaker compares", async () => {
    const api = await serve();
    expect(namesIn(await askApi("Compute-Node-2", api))).toEqual(["nnf-storage-1", "nnf-storage-4"]);
    expect(api.requests).toContain(
      "/apis/dataworkflowservices.github.io/v1alpha7/namespaces/compute-node-2/clientmounts?limit=50",
    );
  });

  it.each([
    { dwsVersion: "v1alpha3", nnfVersion: "v1alpha3" },
    { dwsVersion: "v1alpha11", nnfVersion: "v1alpha11" },
    { dwsVersion: "v1", nnfVersion: "v2beta1" },
  ])("is the same in $dwsVersion of the mounts and $nnfVersion of the storage", async (versions) => {
    expect(namesIn(await askApi("compute-node-2", await serve(versions)))).toEqual(["nnf-storage-1", "nnf-storage-4"]);
  });

  it("is looked for in the other versions of the group when the preferred one lacks the resource", async () => {
    const fault = (path: string): Fault | undefined => (path.includes("/v1alpha9/") ? "404" : undefined);
    const api = await serve({ dwsVersion: "v1alpha9", fault });
    await askApi("compute-node-1", api);
    expect(api.requests[2]).toContain("/v1alpha1/namespaces/compute-node-1/clientmounts");
  });

  it("is complete when the list comes in pages", async () => {
    const [mount] = capturedClientMounts();
    const clientMounts = Array.from({ length: 120 }, (_, index) => {
      const copy = structuredClone(mount) as NonNullable<typeof mount>;
      const [spec] = copy.spec.mounts as { device: { deviceReference: { objectReference: { name: string } } } }[];
      if (spec) spec.device.deviceReference.objectReference.name = `nnf-storage-${index}-gfs2-0`;
      return copy;
    });
    const nodeStorages = clientMounts.map((_, index) => ({
      kind: "NnfNodeStorage",
      metadata: {
        name: `nnf-storage-${index}-gfs2-0`,
        namespace: "rabbit-node-1",
        labels: {
          "dataworkflowservices.github.io/owner.kind": "NnfStorage",
          "dataworkflowservices.github.io/owner.name": `nnf-storage-${index}`,
        },
      },
      spec: {},
    }));
    const api = await serve({ clientMounts, nodeStorages });
    const names = namesIn(await askApi("compute-node-1", api));
    expect(names).toHaveLength(120);
    expect(names).toContain("nnf-storage-119");
    expect(api.requests.filter((path) => path.includes("clientmounts"))).toHaveLength(3);
    // So many names are looked up in one list of all, not one by one.
    expect(api.requests.filter((path) => path.includes("nnfnodestorages"))).toHaveLength(3);
  });

  it("is asked over few connections", async () => {
    const api = await serve();
    await askApi("compute-node-1", api);
    expect(api.requests).toHaveLength(4);
    expect(api.connections()).toBe(1);
  });

  it.each<[string, Partial<KubeApiOptions>]>([
    ["is not there", { nodeStorages: [] }],
    ["is not ours to read", { fault: (path) => (path.includes("nnfnodestorages") ? "403" : undefined) }],
    ["is in a group that is not served", { nnfVersion: "" }],
    ["is broken", { fault: (path) => (path.includes("nnfnodestorages") ? "not JSON" : undefined) }],
    ["does not answer", { fault: (path) => (path.includes("nnf.cray.hpe.com") ? "silence" : undefined) }],
  ])("keeps the sighting, under the name of its NnfNodeStorage, when that %s", async (_, options) => {
    expect(await askApi("compute-node-3", await serve(options))).toEqual({
      status: "found",
      scope: "target",
      filesystems: [{ name: "nnf-storage-4-gfs2-0", mountPoint: "/mnt/nnf/4-0", device: "vg-4/lv-4" }],
    });
  });

  it("loses no name but the one that cannot be looked up", async () => {
    const fault = (path: string): Fault | undefined => (path.endsWith("/nnf-storage-1-gfs2-0") ? "500" : undefined);
    const outcome = await askApi("compute-node-2", await serve({ fault }));
    expect(namesIn(outcome)).toEqual(["nnf-storage-1-gfs2-0", "nnf-storage-4"]);
  });
});

describe("ClientMounts that cannot be asked", () => {
  it.each<[string, Partial<KubeApiOptions>]>([
    ["forbidden", { fault: (path) => (CLIENT_MOUNTS.test(path) ? "403" : undefined) }],
    ["in a group that is not served", { dwsVersion: "" }],
    ["in a group that is not ours to see", { fault: (path) => (path.endsWith(".github.io") ? "403" : undefined) }],
    ["not served in any version", { fault: (path) => (CLIENT_MOUNTS.test(path) ? "404" : undefined) }],
  ])("because they are %s make way for every GFS2 of the cluster, marked so", async (_, options) => {
    expect(await askApi("compute-node-2", await serve(options))).toEqual({
      status: "found",
      scope: "cluster",
      filesystems: [{ name: "nnf-storage-1" }, { name: "nnf-storage-4" }, { name: "nnf-storage-7" }],
    });
  });

  it("make way for `empty` when the cluster has no GFS2", async () => {
    const storages = capturedStorages().filter(({ spec }) => spec.fileSystemType !== "gfs2");
    expect(await askApi("compute-node-2", await serve({ dwsVersion: "", storages }))).toEqual({ status: "empty" });
  });

  it("are `unavailable` where the software is not installed at all", async () => {
    const outcome = await askApi("compute-node-2", await serve({ dwsVersion: "", nnfVersion: "" }));
    expect(outcome).toMatchObject({ status: "unavailable", reason: expect.stringContaining("HTTP 404") });
  });

  it("are `failed`, with both reasons, where we may read neither", async () => {
    const fault = (path: string): Fault | undefined => (/\/(clientmounts|nnfstorages)$/.test(path) ? "403" : undefined);
    const outcome = await askApi("compute-node-2", await serve({ fault }));
    expect(outcome.status).toBe("failed");
    expect(reasonIn(outcome)).toMatch(/clientmounts: HTTP 403.*nnfstorages: HTTP 403/);
  });

  it("are not asked beyond the target when the target has none", async () => {
    const api = await serve();
    expect(await askApi("no-such-node", api)).toEqual({ status: "empty" });
    expect(api.requests.join()).not.toContain("nnfstorages");
  });
});

describe("a server in trouble", () => {
  it.each<[Fault, RegExp]>([
    ["401", /\/clientmounts: HTTP 401: Unauthorized$/],
    ["500", /\/clientmounts: HTTP 500: etcdserver: request timed out$/],
    ["not JSON", /\/clientmounts: the answer is not JSON$/],
    ["half a body", /\/clientmounts: /],
    ["a 50 MB body", /\/clientmounts: answer too large$/],
  ])("is `failed` with a reason: %s", async (what, reason) => {
    const fault = (path: string): Fault | undefined => (CLIENT_MOUNTS.test(path) ? what : undefined);
    const outcome = await askApi("compute-node-1", await serve({ fault }));
    expect(outcome.status).toBe("failed");
    expect(reasonIn(outcome)).toMatch(reason);
  });

  it("is `failed` at the deadline when it accepts and says nothing", async () => {
    const silent = await startSilentServer();
    onTestFinished(() => silent.close());
    const outcome = await askApi("compute-node-1", silent, { timeoutMs: 200 });
    expect(outcome.status).toBe("failed");
    expect(reasonIn(outcome)).toMatch(/^GET https:\/\/127\.0\.0\.1:\d+\/apis\/.*: timed out$/);
  });

  it("is let go at once when the caller has had enough", async () => {
    const silent = await startSilentServer();
    onTestFinished(() => silent.close());
    const controller = new AbortController();
    const outcome = askApi("compute-node-1", silent, { signal: controller.signal });
    controller.abort();
    expect((await outcome).status).toBe("failed");
  });

  it("is `failed` when nobody listens", async () => {
    const api = await startKubeApi({ pki });
    await api.close();
    const outcome = await askApi("compute-node-1", api);
    expect(outcome.status).toBe("failed");
    expect(reasonIn(outcome)).toMatch(/refused|connect/i);
  });

  it.each(["not a list", "{}", "null", "[]"])("is `failed` when it answers with %s", async (body) => {
    const server = createHttpServer((_, response) => response.end(body)).listen(0, "127.0.0.1");
    onTestFinished(() => void server.close());
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as AddressInfo;
    const kubeconfig = file(kubeconfigText({ server: `http://127.0.0.1:${port}` }, {}));
    expect((await ask("compute-node-1", { kubeconfig })).status).toBe("failed");
  });
});

describe("a kubeconfig", () => {
  const base64 = (path: string) => readFileSync(path).toString("base64");
  const ok = { status: "found", scope: "target" };

  it("may hold its certificates", async () => {
    const { url: server } = await serve();
    const kubeconfig = file(
      kubeconfigText(
        { server, "certificate-authority-data": base64(pki.ca) },
        { "client-certificate-data": base64(pki.client), "client-key-data": base64(pki.clientKey) },
      ),
    );
    expect(await ask("compute-node-1", { kubeconfig })).toMatchObject(ok);
  });

  it("may name its files from its own directory", async () => {
    const { url: server } = await serve();
    const user = { "client-certificate": "client.crt", "client-key": "./client.key" };
    const kubeconfig = file(kubeconfigText({ server, "certificate-authority": "ca.crt" }, user));
    expect(await ask("compute-node-1", { kubeconfig })).toMatchObject(ok);
  });

  it.each<[string, (token: string) => Record<string, unknown>, string]>([
    ["a token", (token) => ({ token }), "Bearer s3cret"],
    ["a token file, with its newline", (token) => ({ "token-file": file(`${token}\n`) }), "Bearer s3cret"],
    ["a token file beside it", (token) => ({ "token-file": `./${file(token).split("/").at(-1)}` }), "Bearer s3cret"],
    ["a user and password", (token) => ({ username: "ops", password: token }), `Basic ${btoa("ops:s3cret")}`],
  ])("may have %s", async (_, userOf, authorization) => {
    const { url: server } = await serve({ demands: { authorization } });
    const kubeconfig = file(kubeconfigText({ server, "certificate-authority": pki.ca }, userOf("s3cret")));
    expect(await ask("compute-node-1", { kubeconfig })).toMatchObject(ok);
  });

  it("may lead to plain HTTP, as that of a kubectl proxy", async () => {
    const api = await startKubeApi({});
    onTestFinished(() => api.close());
    expect(await ask("compute-node-1", { kubeconfig: file(kubeconfigText({ server: api.url }, {})) })).toMatchObject(
      ok,
    );
  });

  it("may go through a proxy, with the same authority and certificate", async () => {
    const { url: server } = await serve();
    const tunnels: string[] = [];
    const proxy = createHttpServer().on("connect", (request, client, head) => {
      const to = new URL(`tcp://${request.url}`);
      tunnels.push(to.host);
      const upstream = connect(Number(to.port), to.hostname, () => {
        client.write("HTTP/1.1 200 OK\r\n\r\n");
        upstream.write(head);
        upstream.pipe(client).pipe(upstream);
      });
      upstream.on("error", () => client.destroy());
      client.on("error", () => upstream.destroy());
    });
    await new Promise<void>((ready) => proxy.listen(0, "127.0.0.1", ready));
    onTestFinished(() => void proxy.close());
    const { port } = proxy.address() as AddressInfo;
    const user = { "client-certificate": pki.client, "client-key": pki.clientKey };
    const through = (ca: string) =>
      file(kubeconfigText({ server, "certificate-authority": ca, "proxy-url": `http://127.0.0.1:${port}` }, user));
    expect(await ask("compute-node-1", { kubeconfig: through(pki.ca) })).toMatchObject(ok);
    expect(tunnels).toContain(new URL(server).host);
    expect((await ask("compute-node-1", { kubeconfig: through(pki.otherCa) })).status).toBe("failed");
  });

  it("may be a list of files: the first that says something wins, those not there are passed over", async () => {
    const { url: server } = await serve();
    const user = { "client-certificate": pki.client, "client-key": pki.clientKey };
    const first = file("current-context: test\nusers: [{name: u, user: {token: wrong}}]\n".replace("users", "ignored"));
    const second = file(kubeconfigText({ server, "certificate-authority": pki.ca }, user));
    const kubeconfig = ["/nonexistent/kubeconfig", first, second].join(":");
    expect(await ask("compute-node-1", { kubeconfig })).toMatchObject(ok);
  });

  it.each([
    ["another authority", () => ({ "certificate-authority": pki.otherCa }), /certificate/],
    ["no authority", () => ({}), /certificate/],
    [
      "a name the server does not have",
      () => ({ "certificate-authority": pki.ca, "tls-server-name": "x.y" }),
      /altnames/,
    ],
  ] as const)("with %s gets no answer", async (_, cluster, reason) => {
    const { url: server, requests } = await serve();
    const user = { "client-certificate": pki.client, "client-key": pki.clientKey };
    const outcome = await ask("compute-node-1", { kubeconfig: file(kubeconfigText({ server, ...cluster() }, user)) });
    expect(outcome.status).toBe("failed");
    expect(reasonIn(outcome)).toMatch(reason);
    expect(requests).toEqual([]);
  });

  it.each([
    ["tls-server-name", () => ({ "certificate-authority": pki.ca, "tls-server-name": "kube.example" })],
    ["insecure-skip-tls-verify", () => ({ "insecure-skip-tls-verify": true })],
  ] as const)("is obeyed in %s", async (_, cluster) => {
    const { url: server } = await serve();
    const user = { "client-certificate": pki.client, "client-key": pki.clientKey };
    const kubeconfig = file(kubeconfigText({ server, ...cluster() }, user));
    expect(await ask("compute-node-1", { kubeconfig })).toMatchObject(ok);
  });

  it("without the client certificate that the server demands gets no answer", async () => {
    const { url: server } = await serve();
    const kubeconfig = file(kubeconfigText({ server, "certificate-authority": pki.ca }, {}));
    expect((await ask("compute-node-1", { kubeconfig })).status).toBe("failed");
  });

  it.each<[string, string, string, RegExp]>([
    ["empty", "", "failed", /not YAML|no current-context/],
    ["a list", "[1, 2]\n", "failed", /no current-context/],
    ["cut off", "users: [{name: u, user: {token: s3cret\n", "failed", /not YAML: .*\(line \d+\)$/],
    ["without a context", "current-context: gone\n", "failed", /no context called gone/],
    ["of a lost cluster", "current-context: a\ncontexts: [{name: a, context: {cluster: b}}]\n", "failed", /no cluster/],
    ["with a server that is none", kubeconfigText({ server: "localhost" }, {}), "unavailable", /not a server URL/],
    ["with a file URL", kubeconfigText({ server: "file:///etc/passwd" }, {}), "unavailable", /not a server URL/],
    [
      "with a certificate that is not there",
      kubeconfigText({ server: "https://127.0.0.1:1" }, { "client-certificate": "/nonexistent/crt" }),
      "unavailable",
      /ENOENT.*\/nonexistent\/crt/,
    ],
    [
      "with a token file that is not there",
      kubeconfigText({ server: "https://127.0.0.1:1" }, { "token-file": "/nonexistent/token" }),
      "unavailable",
      /token file \/nonexistent\/token: missing or empty/,
    ],
    [
      "with an auth-provider of old",
      kubeconfigText({ server: "https://127.0.0.1:1" }, { "auth-provider": { name: "gcp", config: {} } }),
      "unavailable",
      /auth-provider gcp: not supported; set KUBECTL_CMD/,
    ],
  ])("that is %s is said to be so, in one line and without its secrets", async (_, text, status, reason) => {
    const outcome = await ask("compute-node-1", { kubeconfig: file(text) });
    expect(outcome.status).toBe(status);
    expect(reasonIn(outcome)).toMatch(reason);
    expect(reasonIn(outcome)).not.toMatch(/\n|s3cret/);
  });

  it("that was given but is not there makes the source unavailable", async () => {
    expect(await ask("compute-node-1", { kubeconfig: "/nonexistent/kubeconfig" })).toEqual({
      status: "unavailable",
      reason: "kubeconfig /nonexistent/kubeconfig: no such file",
    });
  });

  it.each(["gfs2", "nfs4", "fuse.sshfs"])("on %s is not opened", async (type) => {
    const host = fakeHost({
      files: { [MOUNTINFO]: `1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 8:2 / /shared rw - ${type} x rw\n` },
    });
    host.readText = ((read) => (path: string) => {
      if (path.startsWith("/shared")) throw new Error("opened");
      return read(path);
    })(host.readText);
    const outcome = await ask("compute-node-1", { kubeconfig: "/shared/kubeconfig", host });
    expect(outcome).toMatchObject({ status: "unavailable", reason: expect.stringContaining(`is on ${type}`) });
  });

  it.each(["certificate-authority", "client-certificate", "client-key", "token-file"])(
    "that names a %s on GFS2 is not followed there",
    async (key) => {
      const entry = { [key]: "/shared/file", server: "https://127.0.0.1:1" };
      const host = fakeHost({
        files: {
          [MOUNTINFO]: "1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 8:2 / /shared rw - gfs2 x rw\n",
          "/etc/kubernetes/admin.conf": kubeconfigText(entry, entry),
        },
      });
      const outcome = await ask("compute-node-1", { host });
      expect(outcome).toMatchObject({ status: "unavailable", reason: expect.stringContaining("is on gfs2") });
    },
  );
});

describe("a kubeconfig with a credential plugin", () => {
  const plugin = (script: string): string => {
    const path = file(`#!/bin/sh\n${script}\n`);
    chmodSync(path, 0o755);
    return path;
  };
  const apiVersion = "client.authentication.k8s.io/v1";
  const config = (server: string, command: string, more: Record<string, unknown> = {}) =>
    file(kubeconfigText({ server, "certificate-authority": pki.ca }, { exec: { apiVersion, command, ...more } }));
  const credential = (status: Record<string, unknown>) =>
    JSON.stringify({ apiVersion, kind: "ExecCredential", status });

  it("gets its token, with arguments, environment and the question of client-go", async () => {
    const { url: server } = await serve({ demands: { authorization: "Bearer from-plugin" } });
    const said = file("");
    const command = plugin(
      `echo "$1 $MORE $KUBERNETES_EXEC_INFO" > ${said}; echo '${credential({ token: "from-plugin" })}'`,
    );
    const kubeconfig = config(server, command, { args: ["get-token"], env: [{ name: "MORE", value: "yes" }] });
    expect((await ask("compute-node-1", { kubeconfig })).status).toBe("found");
    expect(readFileSync(said, "utf8")).toMatch(/^get-token yes \{"kind":"ExecCredential".*"interactive":false/);
  });

  it("gets its client certificate", async () => {
    const { url: server } = await serve();
    const status = {
      clientCertificateData: readFileSync(pki.client, "utf8"),
      clientKeyData: readFileSync(pki.clientKey, "utf8"),
    };
    const answer = file(credential(status));
    const kubeconfig = config(server, plugin(`cat ${answer}`));
    expect((await ask("compute-node-1", { kubeconfig })).status).toBe("found");
  });

  it("starts a plugin beside it by a path from its directory", async () => {
    const { url: server } = await serve({ demands: { authorization: "Bearer t" } });
    const name = plugin(`echo '${credential({ token: "t" })}'`)
      .split("/")
      .at(-1);
    expect((await ask("compute-node-1", { kubeconfig: config(server, `./${name}`) })).status).toBe("found");
  });

  it.each([
    ["fails", "echo s3cret; echo 'no login' >&2; exit 3", /credential plugin \S+: exit 3: no login$/],
    ["says nonsense", "echo s3cret", /no ExecCredential$/],
    ["has no token", "echo '{}'", /no token$/],
  ])("whose plugin %s is `failed`, without what it printed", async (_, script, reason) => {
    const outcome = await ask("compute-node-1", { kubeconfig: config("https://127.0.0.1:1", plugin(script)) });
    expect(outcome.status).toBe("failed");
    expect(reasonIn(outcome)).toMatch(reason);
    expect(reasonIn(outcome)).not.toContain("s3cret");
  });

  it("whose plugin hangs ends at the deadline, and so does the plugin", async () => {
    const pidFile = file("");
    const command = plugin(`echo $$ > ${pidFile}; exec sleep 60`);
    const outcome = await ask("compute-node-1", { kubeconfig: config("https://127.0.0.1:1", command), timeoutMs: 300 });
    expect(outcome.status).toBe("failed");
    expect(reasonIn(outcome)).toMatch(/^credential plugin \S+: timed out$/);
    const pid = Number(readFileSync(pidFile, "utf8"));
    await expect.poll(() => existsSync(`/proc/${pid}`), { timeout: 3_000 }).toBe(false);
  });
});

describe("where the configuration is looked for", () => {
  it("makes the source unavailable when there is none, at once and without starting anything", async () => {
    const host = fakeHost();
    const tookMs: number[] = [];
    let outcome: ProbeOutcome | undefined;
    for (let turn = 0; turn < 21; turn++) {
      const startedMs = performance.now();
      outcome = await ask("compute-node-1", { host });
      tookMs.push(performance.now() - startedMs);
    }
    // The median: a machine that stalls lengthens a few of them, waiting for anything all.
    expect(tookMs.sort((a, b) => a - b)[10]).toBeLessThan(20);
    expect(outcome).toEqual({
      status: "unavailable",
      reason: "no kubeconfig (/etc/kubernetes/admin.conf, /root/.kube/config) and no in-cluster account",
    });
    expect(host.calls).toEqual([]);
  });

  it.each(["/etc/kubernetes/admin.conf", "/root/.kube/config"])("is %s by default", async (path) => {
    const { url } = await serve();
    const host = fakeHost({ files: { [path]: certificateConfig(url, pki) } });
    expect(await ask("compute-node-1", { host })).toMatchObject({ status: "found", scope: "target" });
  });

  it("says why a default could not be read, when there is no other", async () => {
    const host = fakeHost({ files: { "/etc/kubernetes/admin.conf": new Error("EACCES: permission denied") } });
    expect(await ask("compute-node-1", { host })).toEqual({
      status: "unavailable",
      reason: "/etc/kubernetes/admin.conf: EACCES: permission denied",
    });
  });

  it("is the in-cluster account in a pod", async () => {
    const account = "/var/run/secrets/kubernetes.io/serviceaccount";
    const host = fakeHost({ files: { [`${account}/token`]: "t\n" } });
    const env = { KUBERNETES_SERVICE_HOST: "::1", KUBERNETES_SERVICE_PORT: "6443" };
    // The authority's file is not there on this machine, which shows that it was asked for.
    const outcome = await ask("compute-node-1", { host, env });
    expect(reasonIn(outcome)).toContain(`${account}/ca.crt`);
  });
});

describe("a target that cannot be a namespace", () => {
  it.each(["node.example.com", "-n", "a/b", "..", "a b", "", "ä", "x".repeat(64), "a\n"])(
    "%j is not asked about",
    async (target) => {
      const host = fakeHost();
      expect((await ask(target, { host, kubectlCmd: "kubectl" })).status).toBe("unavailable");
      expect(host.calls).toEqual([]);
    },
  );
});

describe("kubectl, set by the user", () => {
  const LIMIT = "--request-timeout=5000ms";
  const MOUNTS_OF = (node: string) =>
    `kubectl get clientmounts.dataworkflowservices.github.io -n ${node} -o json ${LIMIT}`;
  const STORAGES = `kubectl get nnfstorages.nnf.cray.hpe.com -A -o json ${LIMIT}`;
  const OWNERS = (names: string, namespace: string) =>
    `kubectl get nnfnodestorages.nnf.cray.hpe.com ${names} -n ${namespace} --ignore-not-found -o json --request-timeout=1000ms`;
  const mountsOf = (node: string): string =>
    JSON.stringify({
      kind: "List",
      items: capturedClientMounts().filter(({ metadata }) => metadata.namespace === node),
    });
  const owners = (...names: string[]): string => {
    const items = capturedNodeStorages().filter(({ metadata }) => names.includes(metadata.name));
    return JSON.stringify(items.length === 1 ? items[0] : { kind: "List", items });
  };
  const COMMANDS: Record<string, FakeAnswer> = {
    [MOUNTS_OF("compute-node-1")]: mountsOf("compute-node-1"),
    [MOUNTS_OF("compute-node-2")]: kubeFixture("kubectl-get-clientmounts-compute-node-2.json"),
    [MOUNTS_OF("compute-node-3")]: mountsOf("compute-node-3"),
    [MOUNTS_OF("compute-node-10")]: mountsOf("compute-node-10"),
    [MOUNTS_OF("no-such-node")]: { stdout: mountsOf("no-such-node"), stderr: "No resources found" },
    [OWNERS("nnf-storage-1-gfs2-0", "rabbit-node-1")]: owners("nnf-storage-1-gfs2-0"),
    [OWNERS("nnf-storage-4-gfs2-0", "rabbit-node-1")]: owners("nnf-storage-4-gfs2-0"),
    [OWNERS("nnf-storage-1-gfs2-0 nnf-storage-4-gfs2-0", "rabbit-node-1")]: owners(
      "nnf-storage-1-gfs2-0",
      "nnf-storage-4-gfs2-0",
    ),
    [OWNERS("nnf-storage-7-gfs2-0", "rabbit-node-2")]: owners("nnf-storage-7-gfs2-0"),
    [STORAGES]: kubeFixture("kubectl-get-nnfstorage-A.json"),
  };
  const withKubectl = (commands: Record<string, FakeAnswer> = {}) =>
    fakeHost({ commands: { ...COMMANDS, ...commands } });

  it.each(Object.entries(ANSWERS))("answers for %s: %j", async (target, names) => {
    const outcome = await ask(target, { kubectlCmd: "kubectl", host: withKubectl() });
    expect(namesIn(outcome)).toEqual(names);
  });

  it("wins over a kubeconfig that is there, and is given one that was given", async () => {
    const command = `${MOUNTS_OF("no-such-node")} --kubeconfig=/etc/k`;
    const host = withKubectl({ [command]: mountsOf("no-such-node") });
    expect(await ask("no-such-node", { kubectlCmd: "kubectl", kubeconfig: "/etc/k", host })).toEqual({
      status: "empty",
    });
    expect(host.commandLines).toEqual([command]);
  });

  it("is given a list of kubeconfigs the way it takes one", async () => {
    const host = withKubectl();
    await ask("no-such-node", { kubectlCmd: "kubectl", kubeconfig: "/etc/a:/etc/b", host });
    expect(host.calls[0]?.options.env?.KUBECONFIG).toBe("/etc/a:/etc/b");
  });

  it("stays in our process group, has a home, and never looks for a configuration where it was started", async () => {
    const host = withKubectl();
    await ask("no-such-node", { kubectlCmd: "kubectl", host });
    expect(host.calls[0]?.options).toMatchObject({
      group: "caller",
      env: { HOME: "/root", KUBECONFIG: "/etc/kubernetes/admin.conf:/root/.kube/config" },
    });
  });

  it.each([
    ["is not served", "kubectl-no-such-resource.stderr", undefined],
    ["is forbidden", undefined, 'Error from server (Forbidden): clientmounts is forbidden: User "x" cannot list'],
    [
      "is gone",
      undefined,
      "Error from server (NotFound): Unable to list: the server could not find the requested resource",
    ],
  ])("falls back to the cluster's storages when the resource %s", async (_, fixture, words) => {
    const stderr = fixture ? kubeFixture(fixture) : words;
    const host = withKubectl({ [MOUNTS_OF("compute-node-1")]: exits(1, stderr) });
    expect(await ask("compute-node-1", { kubectlCmd: "kubectl", host })).toMatchObject({
      status: "found",
      scope: "cluster",
      filesystems: [{ name: "nnf-storage-1" }, { name: "nnf-storage-4" }, { name: "nnf-storage-7" }],
    });
  });

  it.each<[string, FakeAnswer, "failed" | "unavailable", RegExp]>([
    ["refused", exits(1, kubeFixture("kubectl-refused.stderr")), "failed", /exit 1: error: EOF$/],
    ["not installed", NOT_INSTALLED, "unavailable", /not started: ENOENT$/],
    ["talking nonsense", "hello", "failed", /not a JSON list$/],
    ["flooding", { outcome: "too-much-output" }, "failed", /too much output$/],
    ["hanging", { outcome: "timed-out" }, "failed", /timed out after 5000 ms$/],
  ])("that is %s gives a reason", async (_, answer, status, reason) => {
    const host = withKubectl({ [MOUNTS_OF("compute-node-1")]: answer });
    const outcome = await ask("compute-node-1", { kubectlCmd: "kubectl", host });
    expect(outcome.status).toBe(status);
    expect(reasonIn(outcome)).toMatch(reason);
  });

  it("keeps the sighting when the names cannot be had", async () => {
    const host = withKubectl({ [OWNERS("nnf-storage-4-gfs2-0", "rabbit-node-1")]: exits(1, "refused") });
    expect(namesIn(await ask("compute-node-3", { kubectlCmd: "kubectl", host }))).toEqual(["nnf-storage-4-gfs2-0"]);
  });

  it("is one program: a command line with words is not split, and that is said", async () => {
    const command = MOUNTS_OF("compute-node-1").replace("kubectl", "kubectl --context=x");
    const host = new FakeHost({ commands: { [command]: NOT_INSTALLED } });
    const outcome = await ask("compute-node-1", { kubectlCmd: "kubectl --context=x", host });
    expect(reasonIn(outcome)).toMatch(/KUBECTL_CMD is one program/);
    expect(host.calls[0]?.argv[0]).toBe("kubectl --context=x");
  });

  it.each(["./kubectl", "bin/kubectl"])("is not looked for in the working directory: %s", async (kubectlCmd) => {
    const outcome = await ask("compute-node-1", { kubectlCmd, host: fakeHost() });
    expect(outcome).toMatchObject({ status: "unavailable", reason: expect.stringContaining("absolute path") });
  });

  it("is not started from GFS2", async () => {
    const host = fakeHost({ files: { [MOUNTINFO]: "2 1 8:2 / /shared rw - gfs2 x rw\n" } });
    const outcome = await ask("compute-node-1", { kubectlCmd: "/shared/kubectl", host });
    expect(outcome).toMatchObject({ status: "unavailable", reason: expect.stringContaining("is on gfs2") });
  });
});
