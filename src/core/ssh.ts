/**
 * A command on another machine: the only place that quotes for a shell, because sshd hands the words to one.
 * Input:  a host name or address; an argument array. Output: the argument array that runs it there.
 * Errors: OpsError usage for a host that ssh could take for an option, a user or a port.
 * Source: ssh(1), ssh_config(5).
 */
import { fail } from "./errors.ts";
import type { Argv } from "./exec.ts";
import { escapeControl } from "./text.ts";

/** A name or an address, IPv6 too. */
const HOST = /^[A-Za-z0-9](?:[A-Za-z0-9.:_-]{0,252}[A-Za-z0-9])?$/;

export const isHostWord = (host: string): boolean => HOST.test(host);

const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

export function sshArgv(host: string, argv: Argv): Argv {
  if (!isHostWord(host)) fail("usage", `ssh: not a host name or address: ${escapeControl(host.slice(0, 100))}`);
  return [
    "ssh",
    "-T",
    // Nobody is there to be asked for a password or a host key; a connection that died is noticed within 15 s.
    "-oBatchMode=yes",
    "-oConnectTimeout=10",
    "-oServerAliveInterval=5",
    "-oServerAliveCountMax=3",
    "--",
    host,
    argv.map(quoted).join(" "),
  ];
}
