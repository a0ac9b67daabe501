/** Answers of a real two-node Galera cluster (test/fixtures/mariadb), as a host whose members give them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { sshArgv } from "../../../../src/core/ssh.ts";
import type { State } from "../../../../src/storage-ops/services/mariadb/plan.ts";
import type { Site } from "../../../../src/storage-ops/services/mariadb/site.ts";
import {
  type Configuration,
  type Member,
  parseDefaults,
  parseRows,
} from "../../../../src/storage-ops/services/mariadb/state.ts";

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
