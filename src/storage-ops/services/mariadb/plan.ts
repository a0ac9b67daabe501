/**
 * Which commands bring a node into a Galera cluster or take one out. Pure: state in, Plan out.
 * No word of a plan is a secret: wsrep_sst_auth is never carried (site.ts refuses where the new node has none of its own).
 * Errors: OpsError unsafe with every reason against it, usage.
 * Source: MariaDB's "Getting Started with MariaDB Galera Cluster"; systemctl(1), whose jobs are waited for by asking MariaDB.
 */
import { OpsError } from "../../../core/errors.ts";
import type { Argv } from "../../../core/exec.ts";
import type { Plan, Step } from "../../../core/plan.ts";
import { replaceArgv, withHosts, withoutHost } from "./address.ts";
import {
  addressesOf,
  addressFileOf,
  type Configurations,
  reasonsAgainstChange,
  reasonsAgainstEditing,
  reasonsAgainstLeave,
  warningsAbout,
} from "./safety.ts";
import { installArgv, reasonsAgainstSite, type Site, versionOf, type Wanted } from "./site.ts";
import { argvOn, type Cluster, dataDirectoryOf, type Member, type Node, type Values } from "./state.ts";

const OBJECT = "galera-cluster";
const HINT = "mariadb -e \"SHOW STATUS LIKE 'wsrep%'\"";
const STEP_TIMEOUT_MS = 60_000;
const INSTALL_TIMEOUT_MS = 1_800_000;
/** mariadb.service gives a stop 900 s. */
const STOP_TIMEOUT_MS = 960_000;
/** An undo that starts a node waits for its state transfer. */
const START_TIMEOUT_MS = 6 * 3_600_000;

/** What the whole cluster must have alike, so the new node gets it as a member's files have it. */
const CARRIED = [
  "wsrep_slave_threads",
  "wsrep_gtid_mode",
  "wsrep_gtid_domain_id",
  "wsrep_certify_nonpk",
  "lower_case_table_names",
  "innodb_page_size",
  "innodb_data_file_path",
  "innodb_undo_tablespaces",
  "character_set_server",
  "collation_server",
];

export function refuse(what: string, reasons: readonly string[], hint = HINT): void {
  if (reasons.length > 0) throw new OpsError("unsafe", `${what}: ${reasons.join("; ")}`, { hint });
}

export type State = { cluster: Cluster; configurations: Configurations };

const localOf = ({ cluster }: State): Member =>
  cluster.members.find(({ isLocal }) => isLocal) ?? refuseNow("none of the members' addresses is this node's");
const refuseNow = (why: string): never => {
  throw new OpsError("unsafe", `cluster: ${why}`, { hint: HINT });
};

export const methodOf = (state: State): string => localOf(state).values.get("wsrep_sst_method") ?? "";
export const dataDirectoryHere = (state: State): string => dataDirectoryOf(localOf(state).values);
const settingsHere = (state: State): Values =>
  state.configurations.get(localOf(state).address)?.settings ?? new Map<string, string>();

/** Files that the members' provider options name: certificates and keys, which are not ours to carry about. */
export const filesNamed = (state: State): string[] =>
  [...(settingsHere(state).get("wsrep_provider_options") ?? "").matchAll(/\bsocket\.ssl_\w+\s*=\s*(\/[^;\s]+)/g)].map(
    ([, path = ""]) => path,
  );

export function wantedFrom(state: State): Wanted {
  const { values } = localOf(state);
  return {
    version: versionOf(values.get("version") ?? "") ?? "unknown",
    uuid: values.get("wsrep_cluster_state_uuid") ?? "unknown",
    members: addressesOf(state.cluster),
    hasSecret: state.cluster.members.some((member) => (member.values.get("wsrep_sst_auth") ?? "") !== ""),
    hasSst: [...state.configurations.values()].some(({ hasSstSettings }) => hasSstSettings),
  };
}

/** Where a new node, or one that restarts, finds the others. */
export const clusterAddressWith = (state: State, address: string): string =>
  withHosts(settingsHere(state).get("wsrep_cluster_address") ?? "gcomm://", [...addressesOf(state.cluster), address]);

/** A member's address in a value, made the new node's. */
const ownIn = (value: string, member: Member, address: string): string =>
  value.replaceAll(new RegExp(`(?<![\\w.])${escaped(member.address)}(?![\\w.])`, "g"), address);

/**
 * Where it listens for clients, as the member does now: a package's file may say 127.0.0.1, and then no client reaches it
 * and it tells the others no address. A server that was given none says "" and listens on all, which is written `*`.
 */
function bindAddressFor(state: State, address: string): string {
  const member = localOf(state);
  const bind = member.values.get("bind_address") ?? settingsHere(state).get("bind_address");
  return ownIn(bind || "*", member, address);
}

/** Our file on the new node, line by line. */
export function configurationLines(state: State, { address, provider }: Site, journal: string): string[] {
  const member = localOf(state);
  const settings = settingsHere(state);
  const values = new Map([
    ["wsrep_on", "ON"],
    ["wsrep_provider", provider ?? settings.get("wsrep_provider") ?? ""],
    ["wsrep_cluster_name", member.values.get("wsrep_cluster_name") ?? ""],
    ["wsrep_cluster_address", clusterAddressWith(state, address)],
    ["wsrep_node_address", address],
    ["wsrep_sst_method", methodOf(state)],
    ["binlog_format", "ROW"],
    ["default_storage_engine", "InnoDB"],
    ["innodb_autoinc_lock_mode", "2"],
  ]);
  for (const name of CARRIED) {
    const value = settings.get(name);
    if (value !== undefined) values.set(name, value);
  }
  const options = settings.get("wsrep_provider_options");
  if (options !== undefined) values.set("wsrep_provider_options", ownIn(options, member, address));
  values.set("bind_address", bindAddressFor(state, address));
  for (const [name, value] of values)
    if (!/^[\x20-\x7e]*$/.test(value) || /["\\]/.test(value))
      refuseNow(`the members' ${name} cannot be written into a file as it is: ${JSON.stringify(value)}`);
  return [
    `# Written by fencepost node add (journal ${journal}) after the settings of ${member.address}.`,
    "[mysqld]",
    ...[...values].map(([name, value]) => `${name}="${value}"`),
  ];
}
const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");

const step = (more: Pick<Step, "id" | "kind" | "title" | "argv" | "doneWhen" | "data"> & Partial<Step>): Step => ({
  timeoutMs: STEP_TIMEOUT_MS,
  destructive: false,
  waits: false,
  ...more,
});

/** Each member's own list, changed in its own file; it is read when that member starts the next time. */
function addressSteps(
  { cluster, configurations }: State,
  members: readonly Node[],
  next: (value: string, member: Node) => string,
): Step[] {
  return members.flatMap((member): Step[] => {
    const configuration = configurations.get(member.address) ?? refuseNow(`${member.address} is unknown`);
    const before = configuration.settings.get("wsrep_cluster_address") ?? "";
    const after = next(before, member);
    const file = addressFileOf(configuration) ?? "";
    if (after === before) return [];
    return [
      step({
        id: `address-${member.address}`,
        kind: "address",
        title: `write the addresses into ${file} on ${member.address}, for its next start`,
        argv: argvOn(member, replaceArgv(file, after, { backup: true })),
        doneWhen: `my_print_defaults there says ${after}`,
        requires: `it is still ${before}`,
        undo: { argv: argvOn(member, replaceArgv(file, before, { backup: false })), timeoutMs: STEP_TIMEOUT_MS },
        data: { host: member.address, local: localAddress(cluster), file, before, after },
      }),
    ];
  });
}
const localAddress = ({ members }: Cluster): string => members.find(({ isLocal }) => isLocal)?.address ?? "";

const picture = (state: State, addresses: readonly string[]): string =>
  `${localOf(state).values.get("wsrep_cluster_name")}: ${addresses.length} nodes: ${addresses.join(" ")}${
    state.cluster.arbitrators > 0 ? `, ${state.cluster.arbitrators} arbitrators` : ""
  }`;

// ── adding ──────────────────────────────────────────────────────────────────────────────────────────────────────────

export function reasonsAgainstAdd(state: State, site: Site, begun: boolean): string[] {
  // Its own address may be in the lists already: written by hand, or by us before it was started.
  const reasons = reasonsAgainstChange(state.cluster, state.configurations, site.address);
  if (addressesOf(state.cluster).includes(site.address)) reasons.push(`${site.address} is a member already`);
  reasons.push(...reasonsAgainstEditing(state.configurations), ...reasonsAgainstSite(site, wantedFrom(state), begun));
  return reasons;
}

export function planAdd(
  state: State,
  site: Site,
  { journal, sizeMiB }: { journal: string; sizeMiB: number | undefined },
): Plan {
  const { cluster } = state;
  const { address, file = "" } = site;
  refuse(`cluster: cannot add ${address}`, reasonsAgainstAdd(state, site, false));
  const members = addressesOf(cluster);
  const all = [...members, address].sort();
  const method = methodOf(state);
  const lines = configurationLines(state, site, journal);
  const data = { host: address, local: localAddress(cluster), members, uuid: wantedFrom(state).uuid, method };
  const unchanged =
    "every member Synced and of one view; nobody's data and no other cluster's configuration on the node";
  const steps: Step[] = [];
  if (site.missing.length > 0) {
    steps.push(
      step({
        id: "install",
        kind: "install",
        title: `install MariaDB and Galera on ${address} (not there: ${site.missing.join(", ")})`,
        argv: installArgv(site, method),
        timeoutMs: INSTALL_TIMEOUT_MS,
        doneWhen: "the server, the provider and what the state transfer needs are there",
        data,
      }),
    );
  }
  steps.push(
    step({
      id: "stop",
      kind: "stop",
      title: `stop the empty MariaDB that the package starts on ${address}`,
      argv: argvOn(site, ["systemctl", "stop", "mariadb"]),
      timeoutMs: STOP_TIMEOUT_MS,
      doneWhen: "mariadb.service is inactive there",
      requires: unchanged,
      data,
    }),
    step({
      id: "create",
      kind: "create",
      title: `make ${file} on ${address}`,
      argv: argvOn(site, ["install", "-m", "640", "-o", "root", "-g", "mysql", "/dev/null", file]),
      doneWhen: "it is there, of root:mysql, mode 0640",
      requires: unchanged,
      undo: { argv: argvOn(site, ["rm", "-f", "--", file]), timeoutMs: STEP_TIMEOUT_MS },
      data: { ...data, file, lines },
    }),
    step({
      id: "configure",
      kind: "configure",
      title: `write the cluster's settings into ${file} on ${address}`,
      argv: argvOn(site, writeArgv(file, lines)),
      doneWhen: "the file says so",
      data: { ...data, file, lines },
    }),
    ...addressSteps(state, cluster.members, (value) => withHosts(value, [...members, address])),
    step({
      id: "start",
      kind: "start",
      title: `start MariaDB on ${address}, which gets the data from a member (${method})`,
      argv: argvOn(site, ["systemctl", "enable", "--now", "--no-block", "mariadb"]),
      waits: true,
      doneWhen: `it is Synced, and all of ${all.join(", ")} say: ${all.length + cluster.arbitrators} nodes, Primary, Synced, one state; it is listed by its address`,
      requires: `${unchanged}; its settings are those that were written`,
      undo: { argv: argvOn(site, ["systemctl", "disable", "--now", "mariadb"]), timeoutMs: STOP_TIMEOUT_MS },
      data: {
        ...data,
        file,
        address: clusterAddressWith(state, address),
        bind: bindAddressFor(state, address),
        arbitrators: cluster.arbitrators,
        ...(sizeMiB === undefined ? {} : { sizeMiB }),
      },
      before: [`ℹ Starting MariaDB on ${address} (will auto-join via SST)...`],
      after: [
        `✓ Node ${address} is Synced`,
        `ℹ Current cluster size: ${all.length + cluster.arbitrators}`,
        `✓ Node ${address} added to cluster`,
      ],
    }),
  );
  const votes = all.length + cluster.arbitrators;
  const warnings: string[] = [];
  if (votes === 2) warnings.push("two votes: when either node crashes, while it joins too, the other stops serving");
  else if (votes % 2 === 0)
    warnings.push(`${votes} votes survive no more crashes than ${votes - 1}: an odd number is better`);
  if (method !== "mariabackup") warnings.push(`the member that gives its data (${method}) takes no writes meanwhile`);
  return {
    version: 1,
    operation: "mariadb.node-add",
    title: `add ${address} to the cluster`,
    object: OBJECT,
    warnings,
    picture: [`now   ${picture(state, members)}`, `then  ${picture(state, all)}`],
    steps,
  };
}

/** Its words are data, one a line; sshd's shell gets them quoted. Nothing secret is among them. */
const writeArgv = (file: string, lines: readonly string[]): Argv => [
  "awk",
  "BEGIN { for (at = 2; at < ARGC; at++) print ARGV[at] >ARGV[1] }",
  file,
  ...lines,
];

// ── removing ────────────────────────────────────────────────────────────────────────────────────────────────────────

export type Removal = {
  address: string;
  isSingleAllowed: boolean;
  /** Of a node that is in the lists of addresses only: what it is doing, as far as could be asked. */
  gone?: "stopped" | "running" | "unreachable";
};

export function reasonsAgainstRemoval(state: State, { address, isSingleAllowed, gone }: Removal): string[] {
  const reasons = reasonsAgainstChange(state.cluster, state.configurations, address);
  if (gone === undefined) reasons.push(...reasonsAgainstLeave(state.cluster, address, isSingleAllowed));
  if (gone === "running")
    reasons.push(
      `MariaDB runs there, and no member has that address (members: ${addressesOf(state.cluster).join(", ")})`,
    );
  reasons.push(...reasonsAgainstEditing(new Map([...state.configurations].filter(([one]) => one !== address))));
  return reasons;
}

export function planRemove(state: State, removal: Removal): Plan {
  const { address, gone, isSingleAllowed } = removal;
  const { cluster } = state;
  refuse(`cluster: cannot remove ${address}`, reasonsAgainstRemoval(state, removal));
  const leaver: Node = { address, isLocal: false };
  const left = cluster.members.filter((member) => member.address !== address);
  const members = addressesOf(cluster);
  const rest = left.map((member) => member.address);
  const steps: Step[] = [];
  if (gone === undefined) {
    const count = left.length + cluster.arbitrators;
    steps.push(
      step({
        id: "leave",
        kind: "leave",
        title: `stop MariaDB on ${address}, for good`,
        argv: argvOn(leaver, ["systemctl", "disable", "--now", "mariadb"]),
        timeoutMs: STOP_TIMEOUT_MS,
        doneWhen: `it has stopped, and all of ${rest.join(", ")} say: ${count} nodes, Primary, Synced`,
        requires: "every member Synced and of one view, nobody absent, no fewer than 2 nodes left",
        undo: { argv: argvOn(leaver, ["systemctl", "enable", "--now", "mariadb"]), timeoutMs: START_TIMEOUT_MS },
        data: {
          host: address,
          local: localAddress(cluster),
          members,
          arbitrators: cluster.arbitrators,
          isSingleAllowed,
          directory: dataDirectoryOf(cluster.members.find((member) => member.address === address)?.values ?? new Map()),
        },
        after: [`✓ MariaDB stopped on ${address}`, `ℹ Current cluster size: ${count}`],
      }),
    );
  }
  steps.push(...addressSteps(state, left, (value, member) => withoutHost(value, address, member.address)));
  const last = steps.at(-1);
  if (last === undefined) {
    throw new OpsError("usage", `${address}: not a member, and in nobody's wsrep_cluster_address`, { hint: HINT });
  }
  steps[steps.length - 1] = { ...last, after: [...(last.after ?? []), `✓ Node ${address} removed from cluster`] };
  const warnings = gone === undefined ? warningsAbout(left, cluster.arbitrators) : [];
  if (gone === "unreachable") warnings.push(`${address} could not be asked whether its MariaDB is stopped`);
  if (gone === undefined)
    warnings.push(`${address} keeps its data and its configuration: started again, it would join again`);
  return {
    version: 1,
    operation: "mariadb.node-remove",
    title: `remove ${address} from the cluster`,
    object: OBJECT,
    warnings,
    picture: [`now   ${picture(state, members)}`, `then  ${picture(state, rest)}`],
    steps,
  };
}
