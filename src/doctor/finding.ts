/**
 * What doctor says: findings, and the commands that mend them.
 * Commands are lines for a person's shell and are never run by us; every word of them is quoted where a shell needs it.
 */
import type { Cib } from "../discovery/cib.ts";
import type { Facts } from "./facts.ts";

/** error: data can be corrupted · warning: fencing or its record can fail · note: worth knowing, nothing to do at once */
export type Severity = "error" | "warning" | "note";

/** Lines to type: with pcs or with crmsh where the cluster's configuration is at fault, else in a shell on this node. */
export type Mend = { pcs: readonly string[]; crmsh: readonly string[]; shell: readonly string[] };

export type Finding = {
  /** The check that found it. */
  id: string;
  severity: Severity;
  /** Node, device, level, file. */
  object: string;
  what: string;
  why: string;
  mend: Mend;
};

/** What a check found, and what of it could not be looked at. */
export type Result = { findings: readonly Finding[]; unchecked?: readonly string[] };

export type Check = {
  /** A stable name, for --only and --skip. */
  id: string;
  describe: string;
  /** `cluster`: the configuration alone decides · `machine`: this node does. */
  about: "cluster" | "machine";
  /** The worst that it finds. */
  severity: Severity;
  run: (facts: Facts) => Promise<Result> | Result;
};

/** A check that the configuration alone decides. */
export const clusterCheck = (
  { id, describe, severity }: Pick<Check, "id" | "describe" | "severity">,
  find: (cib: Cib) => Omit<Finding, "id">[],
): Check => ({
  id,
  describe,
  severity,
  about: "cluster",
  run: async (facts) => ({ findings: find(await facts.cib()).map((finding) => ({ id, ...finding })) }),
});

export const inShell = (...shell: string[]): Mend => ({ pcs: [], crmsh: [], shell });

/** One word of a line for a POSIX shell. */
export const shellWord = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;

export const shellLine = (...words: readonly string[]): string => words.map(shellWord).join(" ");

/** Several crmsh commands as one change, so that the cluster never sees the half of it. */
export const crmLines = (...lines: readonly string[]): string =>
  `printf '%s\\n' ${[...lines, "commit"].map(shellWord).join(" ")} | crm configure`;
