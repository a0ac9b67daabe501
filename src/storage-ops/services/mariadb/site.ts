/**
 * The node that is to become a member, over ssh: what is installed, whose data and whose configuration are on it?
 * Output: a Site; what could not be read is in its `problem`.
 * Source: Debian's mariadb-server, galera-4, mariadb-backup; RHEL's mariadb-server, mariadb-server-galera; the state
 *         transfer scripts wsrep_sst_rsync and wsrep_sst_mariabackup.
 */
import { reasonOf } from "../../../core/errors.ts";
import { type Argv, failureOf } from "../../../core/exec.ts";
import type { Host } from "../../../core/host.ts";
import { hostsIn, OWN_FILE } from "./address.ts";
import {
  argvOn,
  type Configuration,
  dataDirectoryOf,
  isAlone,
  type Node,
  READ_TIMEOUT_MS,
  readAnswer,
  readConfiguration,
  readSavedState,
  readUnit,
  type Unit,
} from "./state.ts";

const PROVIDERS = [
  "/usr/lib/galera/libgalera_smm.so",
  "/usr/lib64/galera/libgalera_smm.so",
  "/usr/lib64/galera-4/libgalera_smm.so",
];
const SERVERS = ["/usr/sbin/mariadbd", "/usr/libexec/mariadbd", "/usr/libexec/mysqld"];
const DIRECTORIES = ["/etc/mysql/mariadb.conf.d", "/etc/my.cnf.d"];
/** What a state transfer needs on the node, each as any one of these. */
const TRANSFER: Readonly<Record<string, readonly (readonly string[])[]>> = {
  rsync: [["/usr/bin/rsync"]],
  mariabackup: [["/usr/bin/mariadb-backup", "/usr/bin/mariabackup"], ["/usr/bin/socat"]],
};
const PACKAGES = {
  debian: {
    server: ["mariadb-server", "galera-4"],
    rsync: ["rsync"],
    mariabackup: ["mariadb-backup", "socat"],
  },
  rhel: {
    server: ["mariadb-server", "mariadb-server-galera"],
    rsync: ["rsync"],
    mariabackup: ["mariadb-backup", "socat"],
  },
} as const;

/** In a data directory that nobody has used: what mariadb-install-db and a first start make. */
const FRESH_DIRECTORIES = ["mysql", "performance_schema", "sys", "test", "lost+found", ".rocksdb"];

export type Site = Node & {
  problem?: string;
  family?: "debian" | "rhel";
  /** Nothing to install: the server, the provider and what the state transfer needs are there. */
  missing: readonly string[];
  /** `10.11`; undefined while there is no server. */
  version?: string;
  provider?: string;
  /** Where a file of ours is read after the distribution's own. */
  file?: string;
  configuration?: Configuration;
  unit?: Unit;
  isAlone: boolean;
  dataDirectory: string;
  content: "fresh" | "used" | "unknown";
  /** What of somebody's is in it, for the message. */
  found: string;
  savedUuid?: string;
  /** Of the paths that the members' settings name, those that are not there. */
  absentFiles: readonly string[];
};

export const versionOf = (text: string): string | undefined => /\b(\d+\.\d+)\.\d+/.exec(text)?.[1];
export const absentFilesArgv = (paths: readonly string[]): Argv => ["stat", "-L", "-c", "%n", "--", ...paths];

export async function readSite(host: Host, node: Node, method: string, paths: readonly string[]): Promise<Site> {
  const site: Site = {
    ...node,
    missing: [],
    isAlone: false,
    dataDirectory: "/var/lib/mysql",
    content: "unknown",
    found: "",
    absentFiles: [],
  };
  try {
    return await read(host, site, method, paths);
  } catch (error) {
    return { ...site, problem: reasonOf(error) };
  }
}

async function read(host: Host, site: Site, method: string, paths: readonly string[]): Promise<Site> {
  const run = (argv: Argv) => host.run(argvOn(site, argv), { timeoutMs: READ_TIMEOUT_MS });
  const asked = [...PROVIDERS, ...SERVERS, ...DIRECTORIES, ...(TRANSFER[method] ?? []).flat(), ...paths];
  const [release, stat] = await Promise.all([run(["cat", "/etc/os-release"]), run(absentFilesArgv(asked))]);
  const failure = failureOf(release, READ_TIMEOUT_MS);
  if (failure !== undefined) return { ...site, problem: failure };
  // 1: some of them are not there, which is what was asked.
  if (stat.outcome !== "exited" || ![0, 1].includes(stat.exitCode ?? 255))
    return { ...site, problem: failureOf(stat, READ_TIMEOUT_MS) ?? "no answer" };
  const there = new Set(stat.stdout.split("\n"));
  const first = (names: readonly string[]): string | undefined => names.find((name) => there.has(name));
  const server = first(SERVERS);
  const provider = first(PROVIDERS);
  const directory = first(DIRECTORIES);
  const family = familyOf(release.stdout);
  const missing: string[] = [];
  if (server === undefined) missing.push("mariadbd");
  if (provider === undefined) missing.push("libgalera_smm.so");
  for (const one of TRANSFER[method] ?? []) if (first(one) === undefined) missing.push(one[0] ?? "");
  const absentFiles = paths.filter((path) => !there.has(path));
  const home = directory ?? (family === "rhel" ? DIRECTORIES[1] : DIRECTORIES[0]);
  const known: Site = {
    ...site,
    missing,
    absentFiles,
    file: `${home}/${OWN_FILE}`,
    ...(family ? { family } : {}),
    ...(provider ? { provider } : {}),
  };
  if (server === undefined) return { ...known, ...(await readContent(host, known)), unit: "not-found" };
  const [said, configuration, unit] = await Promise.all([
    run([server, "--version"]),
    readConfiguration(host, site),
    readUnit(host, site),
  ]);
  const version = versionOf(said.stdout);
  const found: Site = {
    ...known,
    configuration,
    unit,
    dataDirectory: dataDirectoryOf(configuration.settings),
    isAlone: unit === "active" && isAlone(await readAnswer(host, site)),
    ...(version ? { version } : {}),
  };
  return { ...found, ...(await readContent(host, found)) };
}

const familyOf = (release: string): "debian" | "rhel" | undefined => {
  const words = [...release.matchAll(/^ID(?:_LIKE)?=(.*)$/gm)].flatMap(([, value = ""]) =>
    value.replaceAll('"', "").split(/\s+/),
  );
  if (words.some((word) => ["debian", "ubuntu"].includes(word))) return "debian";
  return words.some((word) => ["rhel", "fedora", "centos"].includes(word)) ? "rhel" : undefined;
};

async function readContent(host: Host, site: Site): Promise<Pick<Site, "content" | "found"> & { savedUuid?: string }> {
  const { dataDirectory } = site;
  const isRunning = ["active", "activating", "deactivating"].includes(site.unit ?? "not-found");
  const result = await host.run(argvOn(site, contentArgv(dataDirectory)), { timeoutMs: READ_TIMEOUT_MS });
  const isAbsent = result.exitCode === 1 && /No such file/.test(result.stderr);
  const failure = isAbsent ? undefined : failureOf(result, READ_TIMEOUT_MS);
  if (failure !== undefined) throw new Error(failure);
  if (result.stdout === "" && isRunning) return { content: "unknown", found: "nothing, and its MariaDB runs" };
  const foreign = result.stdout.split("\n").map(foreignIn).find(Boolean);
  const saved = await readSavedState(host, site, dataDirectory);
  return {
    content: foreign === undefined && saved === undefined ? "fresh" : "used",
    found: foreign ?? (saved ? "grastate.dat" : ""),
    ...(saved ? { savedUuid: saved.uuid } : {}),
  };
}

/** -H: the directory itself may be a link. Of what is in it, only `test` is looked into. */
export const contentArgv = (dataDirectory: string): Argv => [
  "find",
  "-H",
  dataDirectory,
  "-mindepth",
  "1",
  "-maxdepth",
  "2",
  "-printf",
  "%y %P\\n",
  "-type",
  "d",
  "!",
  "-name",
  "test",
  "-prune",
];

/** The database that a line of it tells of, unless a fresh installation has it. */
function foreignIn(line: string): string | undefined {
  const [, type, name = ""] = /^(.) (.*)$/.exec(line) ?? [];
  // db.opt is a database's default character set; anything else there is a table's.
  if (name.startsWith("test/")) return name === "test/db.opt" ? undefined : name;
  // Where a link leads, data of somebody's may be.
  return type === "l" || (type === "d" && !FRESH_DIRECTORIES.includes(name)) ? name : undefined;
}

const NO_UUID = "00000000-0000-0000-0000-000000000000";

export type Wanted = { version: string; uuid: string; members: readonly string[]; hasSecret: boolean; hasSst: boolean };

/**
 * Why that node must not become a member. `begun`: its configuration is ours already, so its data directory may be one that
 * has begun to join. Pure.
 */
export function reasonsAgainstSite(site: Site, wanted: Wanted, begun: boolean): string[] {
  const { address, problem, missing, family, configuration, unit } = site;
  if (problem !== undefined) return [`${address} could not be looked at: ${problem}`];
  const reasons: string[] = [];
  if (missing.length > 0 && family === undefined)
    reasons.push(
      `${address}: ${missing.join(", ")}: not there, and neither apt-get nor dnf is known to be its installer`,
    );
  if (site.version !== undefined && site.version !== wanted.version)
    reasons.push(`${address} has MariaDB ${site.version}, the cluster ${wanted.version}`);
  if (!begun && !["inactive", "failed", "not-found"].includes(unit ?? "") && !site.isAlone)
    reasons.push(`${address}: its MariaDB is ${unit ?? "in an unknown state"}, and not known to be in no cluster`);
  // It was fresh before we began; a transfer that broke off leaves grastate.dat without a UUID, or empty.
  const isOwn = begun && [wanted.uuid, NO_UUID, ""].includes(site.savedUuid ?? "none");
  if (site.content === "unknown")
    reasons.push(`${address}: what is in ${site.dataDirectory} is not known (${site.found})`);
  else if (site.content === "used" && !isOwn) {
    reasons.push(
      `${address}: ${site.dataDirectory} is not empty (${site.found}): a state transfer would write over it: move it away`,
    );
  }
  const settings = configuration?.settings ?? new Map<string, string>();
  const other = settings.get("wsrep_cluster_address");
  const strangers = hostsIn(other ?? "gcomm://").filter((one) => one !== address && !wanted.members.includes(one));
  if (strangers.length > 0) reasons.push(`${address}: its wsrep_cluster_address names another cluster: ${other}`);
  if (wanted.hasSecret && !settings.has("wsrep_sst_auth")) {
    reasons.push(
      `${address}: the members have wsrep_sst_auth, which this program does not carry about: put it into a file in its configuration directory by hand, mode 0640, root:mysql`,
    );
  }
  if (wanted.hasSst && configuration?.hasSstSettings === false)
    reasons.push(
      `${address}: the members have settings for state transfers, [sst], and it has none: copy them by hand`,
    );
  if (site.absentFiles.length > 0) reasons.push(`${address}: not there: ${site.absentFiles.join(", ")}`);
  return reasons;
}

/** The node's own package manager, for what is missing. */
export function installArgv({ family, missing, ...site }: Site, method: string): Argv {
  const packages = PACKAGES[family ?? "debian"];
  const words = [...packages.server, ...(method === "rsync" || method === "mariabackup" ? packages[method] : [])];
  return argvOn(
    site,
    family === "rhel"
      ? ["dnf", "install", "-y", ...words]
      : ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "--no-install-recommends", ...words],
  );
}
