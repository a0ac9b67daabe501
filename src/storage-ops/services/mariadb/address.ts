/**
 * `wsrep_cluster_address`, the addresses at which a node looks for the others when it starts: read, changed, written. Pure.
 * Input:  `gcomm://10.0.0.1,10.0.0.2:4567?gmcast.segment=1`, as a configuration file has it.
 * Errors: OpsError unsafe for a value that is none: nothing is written over what was not understood.
 * Source: Galera's gu_uri.cpp, gmcast's initial addresses (gcomm/src/gmcast.cpp); port 4567 where none is given.
 */
import { OpsError } from "../../../core/errors.ts";
import type { Argv } from "../../../core/exec.ts";
import { escapeControl } from "../../../core/text.ts";

export type ClusterAddress = { entries: readonly string[]; options: string };

const ADDRESS = /^gcomm:\/\/([A-Za-z0-9.,:[\]_-]*)(\?[A-Za-z0-9._=;&/:-]*)?$/;

export function parseClusterAddress(value: string): ClusterAddress {
  const [, list, options = ""] = ADDRESS.exec(value.trim()) ?? [];
  if (list === undefined) {
    throw new OpsError("unsafe", `wsrep_cluster_address: not understood: ${escapeControl(value.slice(0, 200))}`, {
      hint: "gcomm://ADDRESS,ADDRESS",
    });
  }
  return { entries: list.split(",").filter(Boolean), options };
}

export const showClusterAddress = ({ entries, options }: ClusterAddress): string =>
  `gcomm://${entries.join(",")}${options}`;

/** `10.0.0.1:4567`, `[fd00::1]:4567` or `fd00::1` without its port and brackets. */
export function hostOf(entry: string): string {
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(entry)?.[1];
  if (bracketed !== undefined) return bracketed;
  return entry.split(":").length > 2 ? entry : entry.replace(/:\d+$/, "");
}

const entryOf = (host: string): string => (host.includes(":") ? `[${host}]` : host);

export const hostsIn = (value: string): string[] => parseClusterAddress(value).entries.map(hostOf);

/** The same list with these hosts in it, its order kept. */
export function withHosts(value: string, hosts: readonly string[]): string {
  const { entries, options } = parseClusterAddress(value);
  const missing = hosts.filter((host) => !entries.some((entry) => hostOf(entry) === host));
  return showClusterAddress({ entries: [...entries, ...missing.map(entryOf)], options });
}

/** The same list without that host. Never an empty one: with `gcomm://` a node that starts makes a cluster of its own. */
export function withoutHost(value: string, host: string, own: string): string {
  const { entries, options } = parseClusterAddress(value);
  const left = entries.filter((entry) => hostOf(entry) !== host);
  return showClusterAddress({ entries: left.length > 0 ? left : [entryOf(own)], options });
}

/** Ours on a node that was added; zz: what is read last counts, and 60-galera.cnf, galera.cnf are the distributions'. */
export const OWN_FILE = "zz-fencepost-galera.cnf";

const LINE = "^[[:space:]]*(loose[-_])?wsrep[-_]cluster[-_]address[[:space:]]*=";
/** The copy of the file as it was; includedir takes only names that end in .cnf. */
export const BACKUP_SUFFIX = ".before-fencepost";

/** The files in which it is set; exit 2 where one of the places is not there. */
export const FIND_FILES: Argv = [
  "grep",
  "-rlsE",
  "--include=*.cnf",
  LINE,
  "/etc/mysql",
  "/etc/my.cnf",
  "/etc/my.cnf.d",
];

/** Writes another value in its place; sed replaces the file as a whole and keeps its owner and mode. */
export const replaceArgv = (file: string, value: string, { backup }: { backup: boolean }): Argv => [
  "sed",
  "-E",
  "--follow-symlinks",
  backup ? `--in-place=${BACKUP_SUFFIX}` : "--in-place",
  "-e",
  `s|${LINE}.*$|wsrep_cluster_address="${value.replaceAll("&", "\\&")}"|`,
  "--",
  file,
];
