/**
 * Options of a volume: which words may be given to `volume set`, and when two of them say the same.
 * Source: `gluster volume set help`; xlator option types of glusterfs (libglusterfs/src/options.c). glusterd itself has the
 *         last word: it refuses options and values that it does not know, when they are set.
 */
import { escapeControl } from "../../../core/text.ts";
import { judgeChange } from "../options-plan.ts";
import type { Volume } from "../state.ts";

/** Refused by gluster on a volume of one copy, where it would have nothing to heal from. */
export const ONLY_REPLICATED = ["cluster.self-heal-daemon"];

const NAME = /^[a-z][a-z0-9-]*(?:\.[a-z0-9-]+)+$/;
const VALUE = /^[A-Za-z0-9*._:/%,!][A-Za-z0-9*._:/%,!+ -]{0,999}$/;
const TRUE = ["1", "on", "yes", "true", "enable"];
const FALSE = ["0", "off", "no", "false", "disable"];

const RULES: Readonly<Record<string, { holds: (value: string) => boolean; what: string }>> = {
  "performance.cache-size": {
    holds: (value) => /^\d+(\.\d+)?\s*([KMGTP]B?|%)?$/i.test(value),
    what: "a size such as 256MB",
  },
  "network.ping-timeout": {
    holds: (value) => /^\d{1,4}$/.test(value) && Number(value) <= 1013,
    what: "seconds from 0 to 1013",
  },
  "cluster.self-heal-daemon": {
    holds: (value) => TRUE.includes(value.toLowerCase()),
    what: "on: nothing else fills a new copy",
  },
};

/** Why it cannot be set; undefined when glusterd may be asked. */
export function problemOfOption(name: string, value: string): string | undefined {
  if (!NAME.test(name)) return "not an option's full name, such as network.ping-timeout";
  if (!VALUE.test(value)) return `not a value that can be set: '${escapeControl(value.slice(0, 80))}'`;
  const rule = Object.hasOwn(RULES, name) ? RULES[name] : undefined;
  return rule === undefined || rule.holds(value) ? undefined : `not ${rule.what}: '${escapeControl(value)}'`;
}

/** Those that gluster takes on a volume of so many copies. */
export const optionsFor = (options: ReadonlyMap<string, string>, copies: number): [name: string, value: string][] =>
  [...options].filter(([name]) => copies > 1 || !ONLY_REPLICATED.includes(name));

/** Why a file's options must not be set, and what is to be said of them: on the volume as it is, with the copies it is to have. */
export function judgeOptions(
  options: ReadonlyMap<string, string>,
  volume: Volume | undefined,
  wanted: number,
): { reasons: string[]; warnings: string[] } {
  const replica = Math.max(wanted, volume?.replica ?? 1);
  const then = { replica, disperse: volume?.disperse ?? 0, options: volume?.options ?? new Map() };
  const judged = optionsFor(options, replica).map(([name, value]) => judgeChange(then, { name, value }));
  return {
    reasons: judged.flatMap(({ reasons }) => reasons),
    warnings: judged.flatMap(({ warnings }) => warnings),
  };
}

/** As gluster reads them: `enable` is `on`, 256mb is 256MB. */
export function sameValue(a: string | undefined, b: string): boolean {
  if (a === undefined) return false;
  const plain = (value: string): string => {
    const word = value.trim().toLowerCase();
    return TRUE.includes(word) ? "on" : FALSE.includes(word) ? "off" : word;
  };
  return plain(a) === plain(b);
}
