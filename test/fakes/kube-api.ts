/**
 * A Kubernetes API server for tests: TLS with certificates of its own, the captured objects, and faults on demand.
 * Input:  a directory for the certificates (made with the openssl CLI). Output: servers on 127.0.0.1, kubeconfigs.
 * Source: fixtures/kubernetes, whose answers were captured from kube-apiserver 1.20.2.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import https from "node:https";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";

export const KUBE_FIXTURES = join(import.meta.dirname, "../fixtures/kubernetes");
export const kubeFixture = (name: string): string => readFileSync(join(KUBE_FIXTURES, name), "utf8");
const itemsOf = (name: string): KubeObject[] => JSON.parse(kubeFixture(name)).items;

/** The right answers of the fixtures' MANIFEST.md. */
export const ANSWERS: Readonly<Record<string, readonly string[]>> = {
  "compute-node-1": ["nnf-storage-1"],
  "compute-node-2": ["nnf-storage-1", "nnf-storage-4"],
  "compute-node-3": ["nnf-storage-4"],
  "compute-node-10": ["nnf-storage-4", "nnf-storage-7"],
  "no-such-node": [],
};

export type KubeObject = {
  kind: string;
  metadata: { name: string; namespace: string; labels?: Record<string, string> };
  spec: Record<string, unknown>;
  status?: Record<string, unknown>;
};

/** File names of a certificate authority, another nobody trusts, and certificates of a server and a client. */
export type Pki = Readonly<Record<"ca" | "otherCa" | "server" | "serverKey" | "client" | "clientKey", string>>;

export function makePki(directory: string): Pki {
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: directory, stdio: "pipe" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  for (const ca of ["ca", "other-ca"]) {
    openssl("req", "-x509", ...key, "-keyout", `${ca}.key`, "-out", `${ca}.crt`, "-subj", `/CN=${ca}`, "-days", "2");
  }
  writeFileSync(join(directory, "server.ext"), "subjectAltName=IP:127.0.0.1,DNS:kube.example\n");
  writeFileSync(join(directory, "client.ext"), "extendedKeyUsage=clientAuth\n");
  for (const name of ["server", "client"]) {
    openssl("req", ...key, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/O=system:masters/CN=${name}`);
    const signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", `${name}.ext`];
    openssl("x509", "-req", "-in", `${name}.csr`, ...signed, "-out", `${name}.crt`);
  }
  const at = (name: string) => join(directory, name);
  return {
    ca: at("ca.crt"),
    otherCa: at("other-ca.crt"),
    server: at("server.crt"),
    serverKey: at("server.key"),
    client: at("client.crt"),
    clientKey: at("client.key"),
  };
}

export type Fault = "401" | "403" | "404" | "500" | "not JSON" | "half a body" | "a 50 MB body" | "silence";

export type KubeApiOptions = {
  /** Without it the server speaks plain HTTP. */
  pki?: Pki;
  /** What a client must show (default: a certificate; over plain HTTP nothing). */
  demands?: "certificate" | "nothing" | { authorization: string };
  /** The preferred version of each group; an empty one means that the group is not served. */
  dwsVersion?: string;
  nnfVersion?: string;
  fault?: (path: string) => Fault | undefined;
  clientMounts?: readonly KubeObject[];
  nodeStorages?: readonly KubeObject[];
  storages?: readonly KubeObject[];
};

export type KubeApi = {
  url: string;
  port: number;
  /** Paths with queries, in the order of arrival. */
  requests: string[];
  connections: () => number;
  close: () => Promise<void>;
};

export const capturedClientMounts = (): KubeObject[] => itemsOf("clientmounts.all.json");
export const capturedNodeStorages = (): KubeObject[] => itemsOf("nnfnodestorages.all.json");
export const capturedStorages = (): KubeObject[] => itemsOf("nnfstorages.all.json");

export async function startKubeApi(options: KubeApiOptions): Promise<KubeApi> {
  const { pki, demands = pki ? "certificate" : "nothing", fault = () => undefined } = options;
  const groups = {
    "dataworkflowservices.github.io": options.dwsVersion ?? "v1alpha7",
    "nnf.cray.hpe.com": options.nnfVersion ?? "v1alpha11",
  };
  const objects: Record<string, readonly KubeObject[]> = {
    clientmounts: options.clientMounts ?? capturedClientMounts(),
    nnfnodestorages: options.nodeStorages ?? capturedNodeStorages(),
    nnfstorages: options.storages ?? capturedStorages(),
  };
  const requests: string[] = [];

  const answer = (request: IncomingMessage, response: ServerResponse): unknown => {
    const url = new URL(request.url ?? "/", "http://server");
    requests.push(`${url.pathname}${url.search}`);
    const send = (status: number, body: unknown) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(typeof body === "string" ? body : JSON.stringify(body));
    };
    if (typeof demands === "object" && request.headers.authorization !== demands.authorization) {
      return send(401, kubeFixture("401.json"));
    }
    const wrong = fault(url.pathname);
    if (wrong !== undefined) return misbehave(wrong, response, send);
    const [, , group = "", version, ...rest] = url.pathname.split("/");
    const served = groups[group as keyof typeof groups];
    if (!served || (version !== undefined && version !== served)) return send(404, kubeFixture("404.group.json"));
    if (version === undefined) return send(200, apiGroup(group, served));
    const namespace = rest[0] === "namespaces" ? rest[1] : undefined;
    const [plural = "", name] = namespace === undefined ? rest : rest.slice(2);
    const inScope = objects[plural]?.filter((o) => namespace === undefined || o.metadata.namespace === namespace);
    if (inScope === undefined) return send(404, kubeFixture("404.group.json"));
    const converted = inScope.map((object) => ({ ...object, apiVersion: `${group}/${served}` }));
    if (name === undefined) return send(200, page(converted, url.searchParams));
    const object = converted.find((o) => o.metadata.name === name);
    if (object === undefined) return send(404, { kind: "Status", message: `${plural} "${name}" not found`, code: 404 });
    return send(200, object);
  };

  const server = pki
    ? https.createServer(
        {
          cert: readFileSync(pki.server),
          key: readFileSync(pki.serverKey),
          ca: readFileSync(pki.ca),
          requestCert: demands === "certificate",
          rejectUnauthorized: demands === "certificate",
        },
        answer,
      )
    : http.createServer(answer);
  const { port, connections, close } = await listen(server);
  return { url: `${pki ? "https" : "http"}://127.0.0.1:${port}`, port, requests, connections, close };
}

function misbehave(fault: Fault, response: ServerResponse, send: (status: number, body: unknown) => unknown): unknown {
  switch (fault) {
    case "401":
      return send(401, kubeFixture("401.json"));
    case "403":
      return send(403, kubeFixture("403.clientmounts.json"));
    case "404":
      return send(404, kubeFixture("404.group.json"));
    case "500":
      return send(500, { kind: "Status", message: "etcdserver: request timed out", code: 500 });
    case "not JSON":
      return send(200, "<html>a proxy's greeting</html>");
    case "half a body": {
      const body = kubeFixture("clientmounts.compute-node-2.json");
      response.writeHead(200, { "content-type": "application/json", "content-length": String(body.length) });
      response.write(body.slice(0, body.length / 2), () => response.socket?.destroy());
      return;
    }
    case "a 50 MB body":
      return send(200, `{"items":["${"x".repeat(50_000_000)}"]}`);
    case "silence":
      return;
    default:
      fault satisfies never;
  }
}

const apiGroup = (name: string, preferred: string): unknown => {
  const versions = [preferred, "v1alpha1"].map((version) => ({ groupVersion: `${name}/${version}`, version }));
  return { kind: "APIGroup", apiVersion: "v1", name, versions, preferredVersion: versions[0] };
};

/** As the API server pages: `continue` is opaque, and may hold what a URL must quote. */
function page(items: readonly KubeObject[], query: URLSearchParams): unknown {
  const start = Number((query.get("continue") ?? "at+0").slice(3));
  const end = start + Number(query.get("limit") ?? items.length);
  return {
    kind: "List",
    items: items.slice(start, end),
    metadata: { continue: end < items.length ? `at+${end}` : "", resourceVersion: "230" },
  };
}

/** Accepts connections and never says a word. */
export async function startSilentServer(): Promise<KubeApi> {
  const { port, connections, close } = await listen(createServer());
  return { url: `https://127.0.0.1:${port}`, port, requests: [], connections, close };
}

function listen(server: Server): Promise<{ port: number; connections: () => number; close: () => Promise<void> }> {
  const open = new Set<Socket>();
  let accepted = 0;
  server.on("connection", (socket: Socket) => {
    accepted++;
    open.add(socket);
    socket.on("error", () => undefined); // the client may be killed
    socket.on("close", () => open.delete(socket));
  });
  server.on("tlsClientError", () => undefined);
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const socket of open) socket.destroy();
    });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      resolve({ port: (server.address() as AddressInfo).port, connections: () => accepted, close });
    });
  });
}

/** A kubeconfig; `user` and `cluster` as their JSON, which is YAML too. */
export const kubeconfigText = (cluster: Record<string, unknown>, user: Record<string, unknown>): string =>
  [
    "apiVersion: v1",
    "kind: Config",
    "current-context: test",
    `contexts: [{name: test, context: {cluster: c, user: u}}]`,
    `clusters: ${JSON.stringify([{ name: "c", cluster }])}`,
    `users: ${JSON.stringify([{ name: "u", user }])}`,
    "",
  ].join("\n");

/** The usual one: the authority and a client certificate, by file name. */
export const certificateConfig = (server: string, pki: Pki, ca = pki.ca): string =>
  kubeconfigText(
    { server, "certificate-authority": ca },
    { "client-certificate": pki.client, "client-key": pki.clientKey },
  );
