/**
 * What `fencepost recover` and the OCF agent share of their options, without what they load to work.
 */
import type { Host } from "../core/host.ts";
import { DEFAULTS, type Options, resolveOptions } from "./options.ts";

export const RUN_DIRECTORY = "/run/fencepost";
export const DEFAULT_WINDOW = "24h";

/** Whose fences are reconciled: see reconcile.ts. */
export const SCOPES = ["own", "all"] as const;
export type Scope = (typeof SCOPES)[number];

const UNITS = { ms: 1, s: 1_000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `24h`, `90m`, `3600`: seconds without a unit, as Pacemaker reads times; undefined for anything else. */
export function parseWindow(text: string): number | undefined {
  const [, number, unit = "s"] = /^(\d{1,9})(ms|s|min|m|h|d)?$/.exec(text.trim()) ?? [];
  return number === undefined ? undefined : Number(number) * UNITS[unit as keyof typeof UNITS];
}

/** The recorder's own settings, for what is none of its actions. */
export function optionsFor(
  host: Host,
  env: Readonly<Record<string, string | undefined>>,
  { config, logDir }: { config: string | undefined; logDir: string | undefined },
): Options {
  const values = new Map([["action", "monitor"]]);
  if (config !== undefined && config !== DEFAULTS.config) values.set("config", config);
  if (logDir !== undefined) values.set("log_dir", logDir);
  return resolveOptions({ values, verboseCount: 0, warnings: [] }, env, (path) => host.readText(path));
}
