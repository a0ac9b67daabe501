/**
 * The `kubernetes` source: the GFS2 filesystems that the Near Node Flash (NNF) software gave to a compute node.
 * Input:  the target's name; a kubeconfig, an in-cluster account, or a kubectl that the user chose.
 * Output: scope `target` from the target's ClientMounts; where those are not served or not readable, scope `cluster`
 *         from every NnfStorage.
 * Errors: none leave it: what went wrong is the outcome's `reason`, without any credential in it.
 * Limits: 8 MiB for a body, the probe's deadline for everything, 1 s of it for looking up names.
 * Source: Kubernetes API (group discovery, `limit`/`continue`), kubeconfig v1, client.authentication.k8s.io;
 *         captured answers in test/fixtures/kubernetes
 */
import type { ClientRequest, IncomingMessage } from "node:http";
import type { RequestOptions } from "node:https";
import { dirname, isAbsolute, resolve } from "node:path";
import { type ErrorKind, fail, OpsError, reasonOf } from "../core/errors.ts";
import { type CommandResult, failureOf } from "../core/exec.ts";
import type { Host } from "../core/host.ts";
import { assertLocalNow } from "../core/local-path.ts";
import { escapeControl, lastWords } from "../core/text.ts";
import {
  type Gfs2Mount,
  type Json,
  listOf,
  type ObjectReference,
  objectOf,
  parseGfs2Mounts,
  parseGfs2StorageNames,
  parseNodeStorageOwner,
  textOf,
} from "./nnf.ts";
import { answer, type Filesystem, type Probe, type ProbeOutcome, type Source } from "./source.ts";

export type KubernetesOptions = {
  /** Set by the user (option, environment, file), else undefined. One program, never a command line. */
  kubectlCmd: string | undefined;
  /** Given by option or $KUBECONFIG, which may be a list parted by colons. */
  kubeconfig: string | undefined;
  /** For the in-cluster account and kubectl's home; the process's own by default. */
  env?: Readonly<Record<string, string | undefined>>;
};

const DEFAULT_KUBECONFIGS = ["/etc/kubernetes/admin.conf", "/root/.kube/config"];
const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
const MAX_BODY_BYTES = 8 * 1024 * 1024;
/** Objects asked for at a time: an NnfStorage of a big system has 100 KB. */
const PAGE_SIZE = 50;
const MAX_PAGES = 200;
/** Beyond this many, one list of all is cheaper than a request for each. */
const MAX_SINGLE_LOOKUPS = 32;
/** Names are worth less than the sighting itself. */
const LOOKUP_MS = 1_000;

/** `plural.group`, as kubectl takes it; without a version, so that the server's preferred one is used. */
type Resource = `${string}.${string}`;
const CLIENT_MOUNTS: Resource = "clientmounts.dataworkflowservices.github.io";
const NODE_STORAGES: Resource = "nnfnodestorages.nnf.cray.hpe.com";
const STORAGES: Resource = "nnfstorages.nnf.cray.hpe.com";

/** A name that can stand in a path and cannot be an option: an RFC 1123 label, and labels parted by dots. */
const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const SUBDOMAIN = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const VERSION = /^v[0-9]+((alpha|beta)[0-9]+)?$/;

/** The API, asked in-process or through kubectl. `unsupported`: not served; `privilege`: not ours to read. */
type Api = {
  list(resource: Resource, namespace?: string): Promise<readonly unknown[]>;
  /** Those of them that could be read; may leave out, never throws. */
  nodeStorages(references: readonly ObjectReference[]): Promise<readonly unknown[]>;
  close(): void;
};

export function kubernetesSource(options: KubernetesOptions): Source {
  return {
    method: "kubernetes",
    async probe(probe) {
      const { target } = probe;
      if (!LABEL.test(target.toLowerCase())) {
        // A ClientMount lies in the namespace called like its node.
        return { status: "unavailable", reason: `${target}: cannot be the name of a Kubernetes namespace` };
      }
      const deadline = AbortSignal.any([probe.signal, AbortSignal.timeout(probe.timeoutMs)]);
      let api: Api | undefined;
      try {
        api = options.kubectlCmd
          ? await kubectlApi(options.kubectlCmd, options, probe)
          : await clientApi(options, probe, deadline);
        return await filesystemsOf(target, api);
      } catch (error) {
        return { status: statusOf(error), reason: escapeControl(reasonOf(error)) };
      } finally {
        api?.close();
      }
    },
  };
}

/** Nothing to ask, or nobody there who could know: `unavailable`. Asked in vain: `failed`. */
const statusOf = (error: unknown): "unavailable" | "failed" =>
  isKind(error, "config", "missing-tool", "unsupported", "unsafe") ? "unavailable" : "failed";

const isKind = (error: unknown, ...kinds: ErrorKind[]): error is OpsError =>
  error instanceof OpsError && kinds.includes(error.kind);

async function filesystemsOf(target: string, api: Api): Promise<ProbeOutcome> {
  let mounts: Gfs2Mount[];
  try {
    mounts = parseGfs2Mounts(await api.list(CLIENT_MOUNTS, target.toLowerCase()), target);
  } catch (error) {
    if (!isKind(error, "unsupported", "privilege")) throw error;
    try {
      const names = parseGfs2StorageNames(await api.list(STORAGES));
      return answer(
        names.map((name) => ({ name })),
        "cluster",
      );
    } catch (second) {
      if (!isKind(second, "unsupported", "privilege")) throw second;
      const kind = isKind(error, "unsupported") && isKind(second, "unsupported") ? "unsupported" : "privilege";
      throw new OpsError(kind, `${error.message}; ${second.message}`, { cause: second });
    }
  }
  return answer(await namedFilesystems(mounts, api), "target");
}

async function namedFilesystems(mounts: readonly Gfs2Mount[], api: Api): Promise<Filesystem[]> {
  const keyOf = ({ namespace, name }: ObjectReference) => `${namespace}/${name}`;
  const wanted = new Map<string, ObjectReference>();
  for (const { nodeStorage } of mounts) {
    if (nodeStorage && LABEL.test(nodeStorage.namespace) && SUBDOMAIN.test(nodeStorage.name)) {
      wanted.set(keyOf(nodeStorage), nodeStorage);
    }
  }
  const owners = new Map<string, string>();
  for (const item of wanted.size === 0 ? [] : await api.nodeStorages([...wanted.values()])) {
    const storage = parseNodeStorageOwner(item);
    if (storage?.owner !== undefined) owners.set(keyOf(storage), storage.owner);
  }
  return mounts.map(({ mountPoint, device, nodeStorage }) => {
    const owner = nodeStorage && owners.get(keyOf(nodeStorage));
    return {
      // Without the owner's name the sighting still counts: the NnfNodeStorage is called NAME-ALLOCATIONSET-INDEX,
      // which is not cut, because each of its parts may hold dashes and a wrong name would be worse than a long one.
      name: owner ?? nodeStorage?.name ?? device ?? mountPoint,
      mountPoint,
      ...(device === undefined ? {} : { device }),
    };
  });
}

// ---- the in-process client ----

async function clientApi(options: KubernetesOptions, probe: Probe, deadline: AbortSignal): Promise<Api> {
  const paths = configuredIn(options, probe.host);
  // 25 ms and 20 MB: only now, when there is something to ask.
  const [{ KubeConfig, loadYaml }, https, http] = await Promise.all([
    import("@kubernetes/client-node"),
    import("node:https"),
    import("node:http"),
  ]);
  const { cluster, user } = paths
    ? await readKubeconfig(paths, probe.host, (text) => loadYaml<unknown>(text))
    : inClusterConfig(options.env ?? process.env);
  const server = parseServer(textOf(cluster.server));
  const library = server.protocol === "http:" ? http : https;
  // KubeConfig refuses plain HTTP, which kubectl takes (kubectl proxy), unless told that there is nothing to verify.
  const unverified = server.protocol === "http:" || cluster["insecure-skip-tls-verify"] === true;
  const kubeConfig = new KubeConfig();
  kubeConfig.loadFromString(
    JSON.stringify({
      clusters: [{ name: "it", cluster: { ...cluster, "insecure-skip-tls-verify": unverified } }],
      users: [{ name: "it", user: await credentialsOf(user, probe, deadline) }],
      contexts: [{ name: "it", context: { cluster: "it", user: "it" } }],
      "current-context": "it",
    }),
  );
  const requestOptions: RequestOptions = {
    headers: { Accept: "application/json" },
    // Said outright, so that NODE_TLS_REJECT_UNAUTHORIZED in the environment cannot switch verification off.
    rejectUnauthorized: !unverified,
  };
  try {
    await kubeConfig.applyToHTTPSOptions(requestOptions);
  } catch (error) {
    fail("config", `kubeconfig: ${reasonOf(error)}`, { cause: error });
  }
  // KubeConfig's own agent opens a connection for every request; it is needed to go through a proxy.
  const agent = new library.Agent({ keepAlive: true });
  if (cluster["proxy-url"] === undefined) requestOptions.agent = agent;

  const send: Send = (url, listener) => {
    try {
      return library.request(url, requestOptions, listener);
    } catch (error) {
      return fail("bad-input", `kubeconfig: ${reasonOf(error)}`, { cause: error }); // no certificate or no key after all
    }
  };
  const get = (path: string, signal: AbortSignal): Promise<Json> => readJson(new URL(server.href + path), send, signal);

  /** Asks in the preferred version; a resource may be served in another version of its group only. */
  async function inSomeVersion<T>(
    resource: Resource,
    signal: AbortSignal,
    ask: (base: string, plural: string) => Promise<T>,
  ): Promise<T> {
    const [plural, group] = splitResource(resource);
    let notServed: unknown;
    for (const version of parseVersions(await get(`apis/${group}`, signal))) {
      try {
        return await ask(`apis/${group}/${version}`, plural);
      } catch (error) {
        if (!isKind(error, "unsupported")) throw error;
        notServed ??= error;
      }
    }
    throw notServed;
  }

  async function list(resource: Resource, namespace: string | undefined, signal: AbortSignal): Promise<unknown[]> {
    return inSomeVersion(resource, signal, async (base, plural) => {
      const scope = namespace === undefined ? "" : `namespaces/${namespace}/`;
      const items: unknown[] = [];
      let pages = 0;
      for (let next: string | undefined = ""; next !== undefined; ) {
        const query: string = next === "" ? "" : `&continue=${encodeURIComponent(next)}`;
        const page = await get(`${base}/${scope}${plural}?limit=${PAGE_SIZE}${query}`, signal);
        if (!Array.isArray(page.items)) fail("bad-output", `GET ${base}/${scope}${plural}: not a list`);
        for (const item of listOf(page.items)) items.push(slim(item));
        if (++pages > MAX_PAGES) fail("bad-output", `GET ${base}/${scope}${plural}: a list without end`);
        next = textOf(objectOf(page.metadata).continue);
      }
      return items;
    });
  }

  return {
    list: (resource, namespace) => list(resource, namespace, deadline),
    async nodeStorages(references) {
      const signal = AbortSignal.any([deadline, AbortSignal.timeout(LOOKUP_MS)]);
      try {
        if (references.length > MAX_SINGLE_LOOKUPS) return await list(NODE_STORAGES, undefined, signal);
        return await inSomeVersion(NODE_STORAGES, signal, async (base, plural) => {
          const replies = await Promise.allSettled(
            references.map(({ namespace, name }) => get(`${base}/namespaces/${namespace}/${plural}/${name}`, signal)),
          );
          return replies.flatMap((reply) => (reply.status === "fulfilled" ? [reply.value] : []));
        });
      } catch {
        return [];
      }
    },
    close: () => agent.destroy(),
  };
}

/** Without what nobody here reads and what makes up most of an object: a long list must not fill the memory. */
function slim(item: unknown): Json {
  const { kind, metadata, spec, status } = objectOf(item);
  const { name, namespace, labels } = objectOf(metadata);
  return { kind, metadata: { name, namespace, labels }, spec, status };
}

function splitResource(resource: Resource): [plural: string, group: string] {
  const dot = resource.indexOf(".");
  return [resource.slice(0, dot), resource.slice(dot + 1)];
}

function parseVersions(group: Json): string[] {
  const preferred = objectOf(group.preferredVersion).version;
  const all = [preferred, ...listOf(group.versions).map((version) => objectOf(version).version)];
  const usable = [...new Set(all)].filter((version) => typeof version === "string" && VERSION.test(version));
  if (usable.length === 0) fail("bad-output", `API group ${textOf(group.name) ?? ""}: no version`);
  return usable as string[];
}

function parseServer(text: string | undefined): URL {
  const server = text !== undefined && URL.canParse(text) ? new URL(text) : undefined;
  if (server === undefined || !["https:", "http:"].includes(server.protocol)) {
    return fail("config", `kubeconfig: not a server URL: ${text ?? "none"}`);
  }
  // A server behind a gateway (Rancher) has a path of its own.
  return new URL(`${server.origin}${server.pathname.replace(/\/*$/, "/")}`);
}

type Send = (url: URL, listener: (response: IncomingMessage) => void) => ClientRequest;

/** One GET. The promise settles when `signal` says so, whatever the server, the name service or the socket do. */
function readJson(url: URL, send: Send, signal: AbortSignal): Promise<Json> {
  const what = `GET ${url.origin}${url.pathname}`;
  return new Promise<Json>((settle, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const giveUp = (kind: ErrorKind, why: string) => {
      reject(new OpsError(kind, `${what}: ${why}`));
      request.destroy();
    };
    const onAbort = () => giveUp("timeout", "timed out");
    const request = send(url, (response) => {
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > MAX_BODY_BYTES) giveUp("bad-output", "answer too large");
        else chunks.push(chunk);
      });
      response.on("error", (error) => giveUp("failed", reasonOf(error)));
      response.on("close", () => {
        if (!response.complete) return giveUp("failed", "the answer was cut off");
        try {
          settle(parseAnswer(response.statusCode ?? 0, Buffer.concat(chunks).toString(), what));
        } catch (error) {
          reject(error);
        }
      });
    });
    request.on("error", (error) => giveUp("failed", reasonOf(error)));
    request.on("close", () => signal.removeEventListener("abort", onAbort));
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    else request.end();
  });
}

function parseAnswer(status: number, body: string, what: string): Json {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    if (status === 200) fail("bad-output", `${what}: the answer is not JSON`);
  }
  if (status === 200) {
    return json === null || typeof json !== "object"
      ? fail("bad-output", `${what}: not a JSON object`)
      : objectOf(json);
  }
  const kind = status === 404 ? "unsupported" : status === 403 ? "privilege" : "failed";
  return fail(kind, `${what}: HTTP ${status}: ${lastWords(textOf(objectOf(json).message) ?? body, 200)}`);
}

// ---- the configuration ----

type Config = { cluster: Json; user: Json };

/** The kubeconfig files to read; undefined for the in-cluster account; throws when there is neither. */
function configuredIn({ kubeconfig, env = process.env }: KubernetesOptions, host: Host): string[] | undefined {
  if (kubeconfig)
    return kubeconfig
      .split(":")
      .filter(Boolean)
      .map((path) => resolve(path));
  const reasons: string[] = [];
  for (const path of DEFAULT_KUBECONFIGS) {
    try {
      if (readConfigFile(path, host) !== undefined) return [path];
    } catch (error) {
      reasons.push(reasonOf(error));
    }
  }
  if (env.KUBERNETES_SERVICE_HOST && host.readText(`${SERVICE_ACCOUNT}/token`) !== undefined) return undefined;
  // A kubectl on the PATH would have no configuration either and is not worth its start.
  const nothing = `no kubeconfig (${DEFAULT_KUBECONFIGS.join(", ")}) and no in-cluster account`;
  return fail("config", reasons.length === 0 ? nothing : reasons.join("; "));
}

/** A sync read of a file that blocks could not be ended by any deadline, so nothing on such a filesystem is opened. */
const refuseClusterMount = (path: string, host: Host): void =>
  assertLocalNow(path, host.readText("/proc/self/mountinfo") ?? "");

function readConfigFile(path: string, host: Host): string | undefined {
  try {
    refuseClusterMount(path, host);
    return host.readText(path);
  } catch (error) {
    if (error instanceof OpsError) throw error;
    return fail("config", `${path}: ${reasonOf(error)}`, { cause: error });
  }
}

/** What the current context names, with absolute paths; of several files the first that says something wins. */
async function readKubeconfig(
  paths: readonly string[],
  host: Host,
  parseYaml: (text: string) => unknown,
): Promise<Config> {
  const where = `kubeconfig ${paths.join(":")}`;
  const files: { path: string; config: Json }[] = [];
  for (const path of paths) {
    const text = readConfigFile(path, host);
    if (text !== undefined) files.push({ path, config: parseKubeconfig(path, text, parseYaml) });
  }
  if (files.length === 0) fail("config", `${where}: no such file`);
  const find = (list: "contexts" | "clusters" | "users", key: "context" | "cluster" | "user", name: unknown): Json => {
    for (const { path, config } of files) {
      const entry = listOf(config[list])
        .map(objectOf)
        .find((one) => one.name === name);
      if (entry) return withAbsolutePaths(objectOf(entry[key]), dirname(path));
    }
    return fail("bad-input", `${where}: no ${key} called ${textOf(name) ?? "by a name"}`);
  };
  const current = files.map(({ config }) => textOf(config["current-context"])).find((name) => name !== undefined);
  if (current === undefined) fail("bad-input", `${where}: no current-context`);
  const context = find("contexts", "context", current);
  const cluster = find("clusters", "cluster", context.cluster);
  const user = textOf(context.user) === undefined ? {} : find("users", "user", context.user);
  for (const path of [...FILE_KEYS.map((key) => cluster[key] ?? user[key]), objectOf(user.exec).command]) {
    if (typeof path === "string" && isAbsolute(path)) refuseClusterMount(path, host);
  }
  return { cluster, user };
}

function parseKubeconfig(path: string, text: string, parseYaml: (text: string) => unknown): Json {
  try {
    return objectOf(parseYaml(text));
  } catch (error) {
    // js-yaml's message quotes the lines around the error, which may be a key; its `reason` does not.
    const { reason, mark } = error as { reason?: string; mark?: { line: number } };
    const line = mark === undefined ? "" : ` (line ${mark.line + 1})`;
    return fail("bad-input", `kubeconfig ${path}: not YAML: ${reason ?? "empty"}${line}`);
  }
}

const FILE_KEYS = ["certificate-authority", "client-certificate", "client-key", "token-file"];

/** Paths in a kubeconfig start at its directory; a plugin's name without a slash is one on PATH. */
function withAbsolutePaths(entry: Json, directory: string): Json {
  const files = FILE_KEYS.flatMap((key) => {
    const path = textOf(entry[key]);
    return path === undefined ? [] : [[key, resolve(directory, path)]];
  });
  const exec = objectOf(entry.exec);
  const command = textOf(exec.command);
  return {
    ...entry,
    ...Object.fromEntries(files),
    ...(command?.includes("/") ? { exec: { ...exec, command: resolve(directory, command) } } : {}),
  };
}

function inClusterConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const name = env.KUBERNETES_SERVICE_HOST ?? "";
  const port = env.KUBERNETES_SERVICE_PORT ?? "443";
  return {
    cluster: {
      server: `https://${name.includes(":") ? `[${name}]` : name}:${port}`,
      "certificate-authority": `${SERVICE_ACCOUNT}/ca.crt`,
    },
    user: { "token-file": `${SERVICE_ACCOUNT}/token` },
  };
}

/** The user with its token in it. KubeConfig would start a plugin or read a token file without a limit. */
async function credentialsOf(user: Json, probe: Probe, deadline: AbortSignal): Promise<Json> {
  const { exec, "auth-provider": provider, "token-file": tokenFile, ...plain } = user;
  const file = textOf(tokenFile) ?? textOf(objectOf(objectOf(provider).config).tokenFile);
  if (exec) return { ...plain, ...(await execCredential(objectOf(exec), probe, deadline)) };
  if (textOf(plain.token)) return plain;
  if (file !== undefined) {
    const token = textOf(readConfigFile(resolve(file), probe.host)?.trim());
    return { ...plain, token: token ?? fail("config", `token file ${file}: missing or empty`) };
  }
  if (provider) {
    fail("config", `kubeconfig: auth-provider ${textOf(objectOf(provider).name)}: not supported; set KUBECTL_CMD`);
  }
  return plain;
}

/** Asks a client-go credential plugin. */
async function execCredential(exec: Json, probe: Probe, deadline: AbortSignal): Promise<Json> {
  const command = textOf(exec.command) ?? fail("bad-input", "kubeconfig: exec without a command");
  const pairs = listOf(exec.env)
    .map(objectOf)
    .map(({ name, value }) => [String(name), String(value)]);
  const info = { kind: "ExecCredential", apiVersion: exec.apiVersion, spec: { interactive: false } };
  const result = await probe.host.run([command, ...listOf(exec.args).map(String)], {
    timeoutMs: probe.timeoutMs,
    signal: deadline,
    group: "caller",
    env: { ...Object.fromEntries(pairs), KUBERNETES_EXEC_INFO: JSON.stringify(info) },
  });
  // Neither its arguments nor its stdout go into a reason: both may hold a secret.
  const what = `credential plugin ${command}`;
  if (result.outcome === "timed-out" || deadline.aborted) fail("timeout", `${what}: timed out`);
  if (result.outcome !== "exited") fail("failed", `${what}: ${result.spawnError ?? result.outcome}`);
  if (result.exitCode !== 0) fail("failed", `${what}: exit ${result.exitCode}: ${lastWords(result.stderr, 200)}`);
  let status: Json;
  try {
    status = objectOf(objectOf(JSON.parse(result.stdout)).status);
  } catch {
    return fail("bad-output", `${what}: no ExecCredential`);
  }
  const { token, clientCertificateData, clientKeyData } = status;
  const base64 = (pem: unknown) => Buffer.from(String(pem)).toString("base64");
  if (clientCertificateData && clientKeyData) {
    return {
      token,
      "client-certificate-data": base64(clientCertificateData),
      "client-key-data": base64(clientKeyData),
    };
  }
  return textOf(token) ? { token } : fail("bad-output", `${what}: no token`);
}

// ---- kubectl ----

async function kubectlApi(
  command: string,
  { kubeconfig, env = process.env }: KubernetesOptions,
  probe: Probe,
): Promise<Api> {
  const { host, signal } = probe;
  if (!isAbsolute(command) && command.includes("/")) {
    fail("config", `KUBECTL_CMD ${command}: must be a name or an absolute path`);
  }
  // To start a program on such a filesystem may hang us, not only it.
  if (isAbsolute(command)) refuseClusterMount(command, host);
  const given = kubeconfig ? kubeconfig.split(":").filter(Boolean) : [];
  for (const path of given) refuseClusterMount(resolve(path), host);
  const startedMs = host.monotonicMs();

  async function run(args: readonly string[], limitMs: number): Promise<CommandResult> {
    const timeoutMs = Math.max(1, Math.min(limitMs, Math.round(startedMs + probe.timeoutMs - host.monotonicMs())));
    const flags = [`--request-timeout=${timeoutMs}ms`, ...(given.length === 1 ? [`--kubeconfig=${given[0]}`] : [])];
    return host.run([command, "get", ...args, "-o", "json", ...flags], {
      timeoutMs,
      maxBytes: MAX_BODY_BYTES,
      signal,
      group: "caller",
      env: {
        // Without HOME, as Pacemaker starts us, kubectl looks for .kube/config in its working directory, and that is
        // /var/lib/pacemaker/cores, where hacluster could leave one that runs a program as root.
        HOME: env.HOME || "/root",
        // A wrapper may have a configuration of its own, so ours is no more than a default here.
        ...(given.length > 1 ? { KUBECONFIG: given.join(":") } : {}),
        ...(given.length === 0 ? { KUBECONFIG: DEFAULT_KUBECONFIGS.join(":") } : {}),
      },
    });
  }

  return {
    async list(resource, namespace) {
      const result = await run([resource, ...(namespace === undefined ? ["-A"] : ["-n", namespace])], probe.timeoutMs);
      const reason = failureOf(result, probe.timeoutMs);
      if (reason !== undefined) throw new OpsError(kubectlErrorKind(result), explained(reason, result, command));
      return kubectlItems(result.stdout) ?? fail("bad-output", `${result.command}: the answer is not a JSON list`);
    },
    async nodeStorages(references) {
      const namespaces = Map.groupBy(references, ({ namespace }) => namespace);
      const replies = await Promise.all(
        [...namespaces].map(([namespace, ofIt]) =>
          run(
            [NODE_STORAGES, ...ofIt.map(({ name }) => name), "-n", namespace, "--ignore-not-found"],
            Math.min(LOOKUP_MS, probe.timeoutMs),
          ),
        ),
      );
      return replies.flatMap(({ stdout }) => kubectlItems(stdout) ?? []);
    },
    close() {},
  };
}

/** In the words of kubectl 1.20 to 1.32. */
function kubectlErrorKind({ outcome, stderr }: CommandResult): ErrorKind {
  if (outcome === "not-started") return "missing-tool";
  if (/doesn't have a resource type|could not find the requested resource|\(NotFound\)/.test(stderr))
    return "unsupported";
  return /\(Forbidden\)|is forbidden:/.test(stderr) ? "privilege" : "failed";
}

const explained = (reason: string, { outcome }: CommandResult, command: string): string =>
  outcome === "not-started" && command.includes(" ")
    ? `${reason} (KUBECTL_CMD is one program, not a command line)`
    : reason;

/** `get` answers with a List, or with the object itself when one was named. */
function kubectlItems(stdout: string): readonly unknown[] | undefined {
  try {
    const json = objectOf(JSON.parse(stdout));
    return Array.isArray(json.items) ? json.items : textOf(json.kind) === undefined ? undefined : [json];
  } catch {
    return undefined;
  }
}
