/**
 * What a discovery source is: it is asked about one target and answers with data; a failure is an answer too.
 * Sources are asked by cascade.ts in order of preference: kubernetes, dlm, pacemaker.
 */
import type { Host } from "../core/host.ts";
import type { Cib } from "./cib.ts";

export const METHODS = ["kubernetes", "dlm", "pacemaker"] as const;
export type Method = (typeof METHODS)[number];

/** `target`: the target uses them · `configured`: it is allowed to · `cluster`: somebody in the cluster does. */
export type Scope = "target" | "configured" | "cluster";

export type Filesystem = {
  name: string;
  mountPoint?: string;
  device?: string;
  lockspace?: string;
};

export type ProbeOutcome =
  /** Sorted by name, unique, never empty. */
  | { status: "found"; scope: Scope; filesystems: readonly Filesystem[] }
  /** Asked; this source knows of none. */
  | { status: "empty" }
  /** Could not ask (not installed, not configured) or asked in vain: says nothing about the target. */
  | { status: "unavailable" | "failed"; reason: string };

/** What the cluster says about itself and the target, as far as any source learned it. */
export type ClusterFacts = {
  name?: string;
  dc?: string;
  quorate?: boolean;
  /** In the words of crm_mon: online, standby, unclean, offline, pending, …; `unknown` from a view without quorum. */
  targetState?: string;
};

/** The fencing operation that Pacemaker says is running for the target. */
export type PendingOperation = { action?: string; client?: string; origin?: string; delegate?: string };

export type Probe = {
  target: string;
  host: Host;
  /** The time this source has; pass it on to every command. */
  timeoutMs: number;
  signal: AbortSignal;
  /** The configuration, read once and shared; rejects with the reason when it could not be read. */
  cib: () => Promise<Cib>;
  /** Reports what was learned on the way. */
  learn: (facts: { cluster?: ClusterFacts; operation?: PendingOperation }) => void;
};

export type Source = { method: Method; probe: (probe: Probe) => Promise<ProbeOutcome> };

/** Filesystems by name, each once, with what several sightings knew of it joined. */
export function mergeFilesystems(sightings: readonly Filesystem[]): Filesystem[] {
  const byName = new Map<string, Filesystem>();
  for (const sighting of sightings) byName.set(sighting.name, { ...sighting, ...byName.get(sighting.name) });
  return [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/** `found` when there is any, else `empty`. */
export const answer = (filesystems: readonly Filesystem[], scope: Scope): ProbeOutcome =>
  filesystems.length === 0
    ? { status: "empty" }
    : { status: "found", scope, filesystems: mergeFilesystems(filesystems) };

/** Node names as Pacemaker compares them: whole, case-insensitive. */
export const sameNode = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();
