/**
 * A Galera cluster as each of its members tells it: asked on the member itself, over its Unix socket as root, by ssh where
 * it is not this node. No password is known to us or needed.
 * Input:  `SHOW STATUS|VARIABLES` in batch mode; my_print_defaults; this node must be a member.
 * Output: a Cluster: every member of the Primary Component with what it says, or why it could not be asked.
 * Errors: OpsError missing-tool, failed, unsafe when this node's own MariaDB gives no answer or is not in a Primary Component.
 * Source: Galera's status variables; mysql.wsrep_cluster_members (MariaDB 10.4 and later), where garbd's name is `garb`.
 */
import { OpsError } from "../../../core/errors.ts";
import { type Argv, failureOf } from "../../../core/exec.ts";
import type { Host } from "../../../core/host.ts";
import { isHostWord, sshArgv } from "../../../core/ssh.ts";
import { FIND_FILES, hostOf } from "./address.ts";

export const READ_TIMEOUT_MS = 20_000;

export type Node = { address: string; isLocal: boolean };
export type Values = ReadonlyMap<string, string>;
export type Answer = Node & {
  /** Status and variables, lower case; empty when it could not be asked. */
  values: Values;
  problem?: string;
};
export type Member = Answer & { name: string };
export type Cluster = { members: readonly Member[]; arbitrators: number };

/** What the configuration files of a node say. */
export type Configuration = { settings: Values; addressFiles: readonly string[]; hasSstSettings: boolean };

export const argvOn = ({ address, isLocal }: Node, argv: Argv): Argv => (isLocal ? argv : sshArgv(address, argv));

const CLIENT = ["mariadb", "--batch", "--skip-column-names", "--connect-timeout=10", "-e"] as const;
const VALUES_SQL = [
  "SHOW GLOBAL STATUS LIKE 'wsrep\\_%'",
  "SHOW GLOBAL VARIABLES LIKE 'wsrep\\_%'",
  "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('datadir', 'version', 'bind_address')",
].join("; ");
const MEMBERS_SQL = "SELECT node_name, node_incoming_address FROM mysql.wsrep_cluster_members";

export const parseRows = (stdout: string): string[][] =>
  stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split("\t"));

export async function readAnswer(host: Host, node: Node): Promise<Answer> {
  const result = await host.run(argvOn(node, [...CLIENT, VALUES_SQL]), { timeoutMs: READ_TIMEOUT_MS });
  const failure = failureOf(result, READ_TIMEOUT_MS);
  if (failure !== undefined) return { ...node, values: new Map(), problem: failure };
  const values = new Map(parseRows(result.stdout).map(([name = "", value = ""]) => [name.toLowerCase(), value]));
  if (!values.has("wsrep_cluster_size")) return { ...node, values: new Map(), problem: "it tells nothing of wsrep" };
  return { ...node, values };
}

const isOff = (values: Values): boolean => values.get("wsrep_on") !== "ON" || values.get("wsrep_connected") !== "ON";
/** It runs, and not in any cluster. */
export const isAlone = ({ problem, values }: Answer): boolean => problem === undefined && isOff(values);

export async function readCluster(host: Host): Promise<Cluster> {
  const here: Answer = await readAnswer(host, { address: "localhost", isLocal: true });
  const hint = "run it on a member of the cluster";
  if (here.problem !== undefined) {
    const kind = here.problem.includes("ENOENT") ? "missing-tool" : "failed";
    throw new OpsError(kind, `MariaDB on this node: no answer: ${here.problem}`, { hint });
  }
  if (isOff(here.values)) throw new OpsError("failed", "MariaDB on this node: it is in no Galera cluster", { hint });
  const status = here.values.get("wsrep_cluster_status");
  if (status !== "Primary") {
    throw new OpsError("unsafe", `MariaDB on this node: its part of the cluster is ${status}: it has no quorum`, {
      hint: "mariadb -e \"SHOW STATUS LIKE 'wsrep_cluster%'\", on every member",
    });
  }
  const rows = await readListed(host);
  const local = await readLocalAddresses(host);
  const arbitrators = rows.filter(({ name, address }) => name === "garb" && address === "").length;
  const members = await Promise.all(
    rows
      .filter(({ name, address }) => name !== "garb" || address !== "")
      .map(async ({ name, address }): Promise<Member> => {
        const node = { address, isLocal: local.includes(address) };
        if (!isHostWord(address)) {
          const problem = "it tells no address of its own (bind_address is the loopback's?)";
          return { ...node, name, values: new Map(), problem };
        }
        return { ...(await readAnswer(host, node)), name };
      }),
  );
  return { members: members.sort((a, b) => (a.address < b.address ? -1 : 1)), arbitrators };
}

/** Whom this node's MariaDB counts, arbitrators too, each by the address that it tells. Errors: OpsError failed. */
export async function readListed(host: Host): Promise<{ name: string; address: string }[]> {
  const listed = await host.run([...CLIENT, MEMBERS_SQL], { timeoutMs: READ_TIMEOUT_MS });
  const failure = failureOf(listed, READ_TIMEOUT_MS);
  if (failure !== undefined) throw new OpsError("failed", `members of the cluster: not readable: ${failure}`);
  return parseRows(listed.stdout).map(([name = "", incoming = ""]) => ({ name, address: hostOf(incoming) }));
}

async function readLocalAddresses(host: Host): Promise<string[]> {
  const result = await host.run(["hostname", "-I"], { timeoutMs: READ_TIMEOUT_MS });
  const failure = failureOf(result, READ_TIMEOUT_MS);
  if (failure !== undefined) throw new OpsError("failed", `addresses of this node: ${failure}`);
  return result.stdout.trim().split(/\s+/);
}

/** `--wsrep-cluster-name=x` a line; the last of a name counts. */
export function parseDefaults(stdout: string): Values {
  const settings = new Map<string, string>();
  for (const line of stdout.split("\n")) {
    const [, name, value = ""] = /^--(?:loose[-_])?([A-Za-z0-9_-]+)(?:=(.*))?$/.exec(line) ?? [];
    if (name !== undefined) settings.set(name.replaceAll("-", "_").toLowerCase(), value);
  }
  return settings;
}

/** Errors: OpsError failed. What it prints may hold wsrep_sst_auth, so none of it goes into a message. */
async function readDefaults(host: Host, node: Node, group: string): Promise<string> {
  const result = await host.run(argvOn(node, ["my_print_defaults", group]), { timeoutMs: READ_TIMEOUT_MS });
  if (result.outcome === "exited" && result.exitCode === 0) return result.stdout;
  const why = result.outcome === "exited" ? `exit ${result.exitCode}` : result.outcome;
  throw new OpsError("failed", `${node.address}: my_print_defaults ${group}: ${why}`);
}

/** What a server would start with. */
export const readSettings = async (host: Host, node: Node): Promise<Values> =>
  parseDefaults(await readDefaults(host, node, "--mysqld"));

export async function readConfiguration(host: Host, node: Node): Promise<Configuration> {
  const [settings, sst, files] = await Promise.all([
    readSettings(host, node),
    readDefaults(host, node, "sst"),
    host.run(argvOn(node, FIND_FILES), { timeoutMs: READ_TIMEOUT_MS }),
  ]);
  // 1: no file has it; 2: one of the places is not there, which -s says nothing about.
  if (files.outcome !== "exited" || ![0, 1, 2].includes(files.exitCode ?? 255))
    throw new OpsError("failed", `${node.address}: ${failureOf(files, READ_TIMEOUT_MS)}`);
  return {
    settings,
    addressFiles: files.stdout.split("\n").filter(Boolean),
    hasSstSettings: sst.trim() !== "",
  };
}

export type Unit = "active" | "activating" | "deactivating" | "inactive" | "failed" | "not-found";

/** Errors: OpsError failed, also where systemd does not run. */
export async function readUnit(host: Host, node: Node): Promise<Unit> {
  const argv = argvOn(node, ["systemctl", "show", "--property=LoadState,ActiveState", "mariadb"]);
  const result = await host.run(argv, { timeoutMs: READ_TIMEOUT_MS });
  const failure = failureOf(result, READ_TIMEOUT_MS);
  if (failure !== undefined) throw new OpsError("failed", `${node.address}: mariadb.service: ${failure}`);
  const value = (name: string) => new RegExp(`^${name}=(.*)$`, "m").exec(result.stdout)?.[1];
  const state = value("LoadState") === "not-found" ? "not-found" : value("ActiveState");
  switch (state) {
    case "reloading":
      return "active";
    case "active":
    case "activating":
    case "deactivating":
    case "inactive":
    case "failed":
    case "not-found":
      return state;
    default:
      throw new OpsError("bad-output", `${node.address}: mariadb.service: state ${state ?? "not told"}`);
  }
}

export const dataDirectoryOf = (settings: Values): string =>
  (settings.get("datadir") ?? "/var/lib/mysql").replace(/\/+$/, "");

/** uuid ("" where it has none) and more of grastate.dat; undefined when there is none. Errors: OpsError failed. */
export async function readSavedState(
  host: Host,
  node: Node,
  directory: string,
): Promise<{ uuid: string; text: string } | undefined> {
  const result = await host.run(argvOn(node, ["cat", `${directory}/grastate.dat`]), { timeoutMs: READ_TIMEOUT_MS });
  if (result.exitCode === 1 && /No such file/.test(result.stderr)) return undefined;
  const failure = failureOf(result, READ_TIMEOUT_MS);
  if (failure !== undefined) throw new OpsError("failed", `${node.address}: ${failure}`);
  const value = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(result.stdout)?.[1] ?? "";
  return {
    uuid: value("uuid"),
    text: `uuid ${value("uuid")}, seqno ${value("seqno")}, safe_to_bootstrap ${value("safe_to_bootstrap")}`,
  };
}
