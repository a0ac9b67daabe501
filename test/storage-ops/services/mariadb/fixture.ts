/** Answers of a real two-node Galera cluster (test/fixtures/mariadb), as a host whose members give them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { sshArgv } from "../../../../src/core/ssh.ts";
import { FIND_FILES } from "../../../../src/storage-ops/services/mariadb/address.ts";
import type { State } from "../../../../src/storage-ops/services/mariadb/plan.ts";
import { contentArgv, type Site } from "../../../../src/storage-ops/services/mariadb/site.ts";
import {
  type Configuration,
  type Member,
  parseDefaults,
  parseRows,
} from "../../../../src/storage-ops/services/mariadb/state.ts";
import { exits, type FakeAnswer, type FakeHost, fakeHost } from "../../../fakes/fake-host.ts";

export const fixtureText = (name: string): string =>
  readFileSync(join(import.meta.dirname, `../../../fixtures/mariadb/10.11.19-${name}.txt`), "utf8");

/** The line by which a command is run on another node. */
export const there = (address: string, ...argv: [string, ...string[]]): string => sshArgv(address, argv).join(" ");

export type Changes = Readonly<Record<string, string>>;
export const memberOf = (address: string, isLocal: boolean, size: number, changes: Changes = {}): Member => ({
  address,
  isLocal,
  name: `node${address.at(-1)}`,
  values: new Map([
    ...parseRows(fixtureText("values")).map(([name = "", value = ""]) => [name, value] as const),
    ["wsrep_cluster_size", String(size)],
    ["wsrep_cluster_weight", String(size)],
    ...Object.entries(changes),
  ]),
});
export const configurationOf = (cluster: readonly string[], settings: Changes = {}): Configuration => ({
  settings: new Map([
    ...parseDefaults(fixtureText("defaults")),
    ["wsrep_cluster_address", `gcomm://${cluster.join(",")}`],
    ...Object.entries(settings),
  ]),
  addressFiles: ["/etc/mysql/mariadb.conf.d/60-galera.cnf"],
  hasSstSettings: false,
});

export const addresses = (count: number): string[] => Array.from({ length: count }, (_, at) => `10.77.0.${at + 1}`);

/** A whole cluster of that many nodes; 10.77.0.1 is this one. */
export function stateOf(
  count: number,
  { arbitrators = 0, values = {}, settings = {} }: { arbitrators?: number; values?: Changes; settings?: Changes } = {},
): State {
  const all = addresses(count);
  return {
    cluster: {
      members: all.map((one, at) => memberOf(one, at === 0, count + arbitrators, at === count - 1 ? values : {})),
      arbitrators,
    },
    configurations: new Map(all.map((one) => [one, configurationOf(all, settings)])),
  };
}

/** An installed node that nobody uses. */
export const siteOf = (address: string, more: Partial<Site> = {}): Site => ({
  address,
  isLocal: false,
  family: "debian",
  missing: [],
  version: "10.11",
  provider: "/usr/lib/galera/libgalera_smm.so",
  file: "/etc/mysql/mariadb.conf.d/zz-fencepost-galera.cnf",
  configuration: { settings: new Map(), addressFiles: [], hasSstSettings: false },
  unit: "inactive",
  isAlone: false,
  dataDirectory: "/var/lib/mysql",
  content: "fresh",
  found: "",
  absentFiles: [],
  ...more,
});

const CLIENT = ["mariadb", "--batch", "--skip-column-names", "--connect-timeout=10", "-e"] as const;
export const VALUES = [
  ...CLIENT,
  "SHOW GLOBAL STATUS LIKE 'wsrep\\_%'; SHOW GLOBAL VARIABLES LIKE 'wsrep\\_%'; SHOW GLOBAL VARIABLES WHERE Variable_name IN ('datadir', 'version', 'bind_address')",
] as const;
export const MEMBERS = [...CLIENT, "SELECT node_name, node_incoming_address FROM mysql.wsrep_cluster_members"].join(
  " ",
);
export const SHOW = ["systemctl", "show", "--property=LoadState,ActiveState", "mariadb"] as const;
export const UUID = /^wsrep_cluster_state_uuid\t(.*)$/m.exec(fixtureText("values"))?.[1] ?? "";
export const [HERE, OTHER, NEW] = ["10.77.0.1", "10.77.0.2", "10.77.0.3"];

export const valuesWith = (changes: Readonly<Record<string, string>>): string =>
  Object.entries(changes).reduce(
    (text, [name, value]) => text.replace(new RegExp(`^${name}\\t.*$`, "m"), `${name}\t${value}`),
    fixtureText("values"),
  );
export const unit = (state: string): string => `LoadState=loaded\nActiveState=${state}\n`;

/** What readSite asks of an installed NEW; which paths it looks for is not told here: all that it needs are there. */
export function siteHost(more: Readonly<Record<string, FakeAnswer>>): FakeHost {
  const none = exits(1, "cat: /var/lib/mysql/grastate.dat: No such file or directory\n");
  const host = fakeHost({
    commands: {
      [there(NEW, "cat", "/etc/os-release")]: "ID=debian\n",
      [there(NEW, "/usr/sbin/mariadbd", "--version")]: "mariadbd  Ver 10.11.19-MariaDB\n",
      [there(NEW, "my_print_defaults", "--mysqld")]: "",
      [there(NEW, "my_print_defaults", "sst")]: "",
      [there(NEW, ...(FIND_FILES as [string]))]: exits(2),
      [there(NEW, ...SHOW)]: unit("inactive"),
      [there(NEW, ...VALUES)]: valuesWith({ wsrep_on: "OFF" }),
      [there(NEW, ...(contentArgv("/var/lib/mysql") as [string]))]: "",
      [there(NEW, "cat", "/var/lib/mysql/grastate.dat")]: none,
      stat: exits(1, "", "/usr/sbin/mariadbd\n/usr/lib/galera/libgalera_smm.so\n/usr/bin/rsync\n"),
      ...more,
    },
  });
  const { run } = host;
  host.run = (argv, options) => run(argv.at(-1)?.startsWith("stat -L") ? ["stat"] : argv, options);
  return host;
}
