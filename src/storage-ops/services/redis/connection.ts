/**
 * How redis-cli is called: addresses, TLS and user as words; the password never as one.
 * Input:  the words of an operator, or a step's data as a journal keeps it.
 * Output: argument arrays; a Host whose commands have the password in REDISCLI_AUTH.
 * Errors: OpsError usage for what is no address; config, unsafe for a password file.
 * Source: redis-cli(1) and redis-cli.c of Redis 7.0 (REDISCLI_AUTH; `--cluster` sends it on in MIGRATE).
 */
import { isIP } from "node:net";
import { OpsError, reasonOf } from "../../../core/errors.ts";
import type { Argv } from "../../../core/exec.ts";
import { modeOf, readWhole } from "../../../core/files.ts";
import type { Host } from "../../../core/host.ts";
import type { Step } from "../../../core/plan.ts";
import { escapeControl } from "../../../core/text.ts";

export const DEFAULT_PORT = 6379;

/** What a journal keeps: no secret. */
export type Connection = {
  /** `redis-cli` and its options. */
  cli: readonly string[];
  /** Whose first line is the password; empty: REDISCLI_AUTH of the environment, if any. */
  passwordFile: string;
};

/** `ip:port`, as CLUSTER NODES writes it. */
export function addressFrom(word: string, defaultPort = DEFAULT_PORT): string {
  const bad = (): never => {
    throw new OpsError("usage", `not an address of a Redis node: ${escapeControl(word.slice(0, 100))}`, {
      hint: "IP or IP:PORT: Redis names its nodes by address",
    });
  };
  if (isIP(word)) return `${word.toLowerCase()}:${defaultPort}`;
  const [, ip = "", port = ""] = /^(.+):(\d{1,5})$/.exec(word) ?? [];
  if (!isIP(ip) || !(Number(port) > 0 && Number(port) < 65_536)) bad();
  return `${ip.toLowerCase()}:${Number(port)}`;
}

/** One command to one node. */
export function nodeArgv({ cli }: Pick<Connection, "cli">, address: string, ...words: string[]): Argv {
  const at = address.lastIndexOf(":");
  return ["redis-cli", ...cli.slice(1), "-h", address.slice(0, at), "-p", address.slice(at + 1), ...words];
}

/** One of redis-cli's own cluster operations. */
export const clusterArgv = ({ cli }: Pick<Connection, "cli">, ...words: string[]): Argv => [
  "redis-cli",
  ...cli.slice(1),
  "--cluster",
  ...words,
];

export const connectionData = ({ cli, passwordFile }: Connection) => ({ cli, passwordFile });
export const connectionOf = ({ data }: Step): Connection => ({
  cli: [data.cli ?? []].flat().map(String),
  passwordFile: String(data.passwordFile ?? ""),
});

/** The variables that redis-cli needs besides those it inherits. */
export async function secretsOf({ passwordFile }: Connection): Promise<Record<string, string>> {
  if (passwordFile === "") return {};
  const text = await readWhole(passwordFile, 64 * 1024).catch((error: unknown) => {
    throw error instanceof OpsError
      ? error
      : new OpsError("config", `${passwordFile}: cannot be read: ${reasonOf(error)}`, { cause: error });
  });
  if (text === undefined)
    throw new OpsError("config", `${passwordFile}: no such file`, { hint: "--password-file FILE" });
  const { mode } = await modeOf(passwordFile);
  if ((mode & 0o077) !== 0) {
    throw new OpsError("unsafe", `${passwordFile}: others than its owner may read the password`, {
      hint: `chmod 600 ${passwordFile}`,
    });
  }
  const [password = ""] = text.split(/\r?\n/);
  if (password === "") throw new OpsError("config", `${passwordFile}: its first line is empty`);
  return { REDISCLI_AUTH: password };
}

/** A Host whose commands are given the password, by way of their environment alone. */
export async function withSecrets(host: Host, connection: Connection): Promise<Host> {
  const env = await secretsOf(connection);
  if (Object.keys(env).length === 0) return host;
  return { ...host, run: (argv, options) => host.run(argv, { ...options, env: { ...options.env, ...env } }) };
}
