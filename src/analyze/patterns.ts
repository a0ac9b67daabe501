/**
 * Is this a pattern? Incidents → what repeats, spreads, answers back, drags on or stays in the dark.
 * Input:  incidents in the order of their start, and of each whether it is asked for; thresholds. Output: Patterns: of
 *         flapping, storms and mutual fencing those that one asked for is part of, whole; all else of these alone.
 *         Memory: what lies within the windows, and one entry for each node, device and reason.
 * What took at least too long is slow; where the least that is known is short, or nothing, slowness is not known.
 * Fences by hand and refused attempts are no fences; a failed one counts where the question is failure alone.
 */
import { durationOf, type Incident } from "./incidents.ts";

export type Thresholds = {
  /** A node fenced this often within the window flaps. */
  flapCount: number;
  flapWindowMs: number;
  /** This many different nodes fenced within the window are a storm. */
  stormNodes: number;
  stormWindowMs: number;
  /** A fences B and B fences A within the window. */
  mutualWindowMs: number;
  /** A fence that takes longer is slow. */
  slowMs: number;
  /** Discovery that takes longer is slow. */
  slowDiscoveryMs: number;
};

export const DEFAULT_THRESHOLDS: Thresholds = {
  flapCount: 3,
  flapWindowMs: 86_400_000,
  stormNodes: 3,
  stormWindowMs: 600_000,
  mutualWindowMs: 600_000,
  slowMs: 60_000,
  slowDiscoveryMs: 3_000,
};

export type Episode = { fromMs: number; toMs: number; count: number; incidents: string[] };
export type Flapping = Episode & { node: string };
/** `nodes` are the first of them. */
export type Storm = Episode & { nodes: string[]; nodeCount: number };
export type Mutual = { nodes: readonly [string, string]; fromMs: number; toMs: number; incidents: readonly string[] };
export type Slow = {
  device: string;
  count: number;
  of: number;
  worstMs: number;
  worstIsMinimum: boolean;
  worst: string;
};
export type Failing = { device: string; failed: number; of: number; lastMs: number; lastReason: string | undefined };
export type Dark = { reason: string; count: number; lastMs: number };
export type SlowDiscovery = { recorder: string; count: number; worstMs: number };

export type Patterns = {
  incidents: number;
  fences: number;
  /** The latest KEPT; `found` says how many there were. */
  flapping: Flapping[];
  storms: Storm[];
  mutual: Mutual[];
  found: { flapping: number; storms: number; mutual: number };
  slow: Slow[];
  /** Ended fences of which nobody knows whether they were slow. */
  slowUnknown: number;
  failing: Failing[];
  refused: number;
  unknownContext: { count: number; of: number; reasons: Dark[] };
  slowDiscovery: SlowDiscovery[];
};

/** An episode names its first incidents; the count says how many there were. */
const NAMED = 10;
/** So does a storm its first nodes: a log of ten million events has storms of a thousand. */
const NAMED_NODES = 100;
/** Of each kind the latest so many are kept, and how many there were. */
const KEPT = 500;

export type PatternFinder = { add: (incident: Incident, isAsked?: boolean) => void; end: () => Patterns };

export function patternFinder(thresholds: Thresholds = DEFAULT_THRESHOLDS): PatternFinder {
  const { flapCount, flapWindowMs, stormNodes, stormWindowMs, mutualWindowMs, slowMs, slowDiscoveryMs } = thresholds;
  const result: Patterns = {
    incidents: 0,
    fences: 0,
    flapping: [],
    storms: [],
    mutual: [],
    found: { flapping: 0, storms: 0, mutual: 0 },
    slow: [],
    slowUnknown: 0,
    failing: [],
    refused: 0,
    unknownContext: { count: 0, of: 0, reasons: [] },
    slowDiscovery: [],
  };
  const byNode = new Map<string, { recent: Fence[]; episode: Flapping | undefined }>();
  let recent: Fence[] = [];
  const kept = new WeakSet<Patterns[keyof Patterns["found"]][number]>();
  const keep = <Kind extends keyof Patterns["found"]>(
    kind: Kind,
    one: Patterns[Kind][number],
    fences: readonly Fence[],
  ): void => {
    if (kept.has(one) || !fences.some(({ isAsked }) => isAsked)) return;
    kept.add(one);
    const list: Patterns[Kind][number][] = result[kind];
    list.push(one);
    result.found[kind] += 1;
    if (list.length > KEPT * 2) list.splice(0, KEPT);
  };
  let storm: Storm | undefined;
  const stormNames = new Set<string>();
  const slow = new Map<string, Slow>();
  const failing = new Map<string, Failing>();
  const dark = new Map<string, Dark>();
  const slowDiscovery = new Map<string, SlowDiscovery>();

  const flap = (fence: Fence): void => {
    const key = fence.node.toLowerCase();
    const state = byNode.get(key) ?? { recent: [], episode: undefined };
    byNode.set(key, state);
    const fromMs = fence.timeMs - flapWindowMs;
    // No more than make an episode: a log of ten million events would otherwise be kept by the day.
    state.recent = [...state.recent.filter(({ timeMs }) => timeMs >= fromMs), fence].slice(-flapCount);
    if (state.recent.length < flapCount) return;
    if (state.episode && state.episode.toMs >= fromMs) extend(state.episode, fence);
    else state.episode = { node: fence.node, ...episodeOf(state.recent) };
    keep("flapping", state.episode, state.recent);
  };

  const storms = (fence: Fence): void => {
    const window = recent.filter(({ timeMs }) => timeMs >= fence.timeMs - stormWindowMs);
    const nodes = new Set(window.map(({ node }) => node.toLowerCase()));
    if (nodes.size < stormNodes) return;
    if (storm && window.some(({ timeMs }) => timeMs <= (storm?.toMs ?? 0))) {
      extend(storm, fence);
      if (!stormNames.has(fence.node.toLowerCase()) && storm.nodes.length < NAMED_NODES) storm.nodes.push(fence.node);
      stormNames.add(fence.node.toLowerCase());
      storm.nodeCount = stormNames.size;
    } else {
      stormNames.clear();
      for (const node of nodes) stormNames.add(node);
      const named = [...new Map(window.map(({ node }) => [node.toLowerCase(), node])).values()].slice(0, NAMED_NODES);
      storm = { ...episodeOf(window), nodes: named, nodeCount: nodes.size };
    }
    keep("storms", storm, window);
  };

  const mutual = (fence: Fence): void => {
    for (const before of recent) {
      if (before === fence || before.timeMs < fence.timeMs - mutualWindowMs) continue;
      if (before.node.toLowerCase() === fence.node.toLowerCase()) continue;
      if (!before.by.has(fence.node.toLowerCase()) || !fence.by.has(before.node.toLowerCase())) continue;
      const nodes = [before.node, fence.node] as const;
      const incidents = [before.id, fence.id];
      keep("mutual", { nodes, fromMs: before.timeMs, toMs: fence.timeMs, incidents }, [before, fence]);
    }
  };

  const speed = (incident: Incident): void => {
    if (incident.completedMs === undefined) return;
    const device = deviceOf(incident);
    const took = durationOf(incident);
    const entry = slow.get(device) ?? { device, count: 0, of: 0, worstMs: 0, worstIsMinimum: false, worst: "" };
    slow.set(device, entry);
    entry.of += 1;
    if (!took || (took.isMinimum && took.ms <= slowMs)) result.slowUnknown += 1;
    if (took && took.ms > slowMs) entry.count += 1;
    if (took && took.ms > entry.worstMs)
      Object.assign(entry, { worstMs: took.ms, worstIsMinimum: took.isMinimum, worst: incident.id });
    const failure = failing.get(device) ?? { device, failed: 0, of: 0, lastMs: 0, lastReason: undefined };
    failing.set(device, failure);
    failure.of += 1;
    if (incident.result !== "failed") return;
    failure.failed += 1;
    failure.lastMs = incident.startedMs;
    failure.lastReason = incident.reason;
  };

  const context = (incident: Incident): void => {
    if (incident.events.length === 0) return;
    const { unknownContext } = result;
    unknownContext.of += 1;
    if (incident.known === "unknown") {
      unknownContext.count += 1;
      for (const reason of new Set(incident.events.map(reasonOf))) {
        const entry = dark.get(reason) ?? { reason, count: 0, lastMs: 0 };
        dark.set(reason, entry);
        entry.count += 1;
        entry.lastMs = Math.max(entry.lastMs, incident.startedMs);
      }
    }
    for (const { record, recorder } of incident.events) {
      const elapsedMs = (record.discovery as { elapsed_ms?: unknown } | undefined)?.elapsed_ms;
      if (typeof elapsedMs !== "number" || elapsedMs <= slowDiscoveryMs) continue;
      const entry = slowDiscovery.get(recorder) ?? { recorder, count: 0, worstMs: 0 };
      slowDiscovery.set(recorder, entry);
      entry.count += 1;
      entry.worstMs = Math.max(entry.worstMs, elapsedMs);
    }
  };

  return {
    add(incident, isAsked = true) {
      if (isAsked) result.incidents += 1;
      if (incident.manual) return;
      if (isAsked) {
        if (incident.result === "refused") result.refused += 1;
        speed(incident);
        context(incident);
      }
      if (!isFence(incident)) return;
      if (isAsked) result.fences += 1;
      const fence: Fence = {
        id: incident.id,
        node: incident.target,
        timeMs: incident.startedMs,
        by: new Set(fencersOf(incident).map((node) => node.toLowerCase())),
        isAsked,
      };
      const keepMs = Math.max(stormWindowMs, mutualWindowMs);
      recent = [...recent.filter(({ timeMs }) => timeMs >= fence.timeMs - keepMs), fence];
      flap(fence);
      storms(fence);
      mutual(fence);
    },
    end: () => ({
      ...result,
      flapping: result.flapping.slice(-KEPT),
      storms: result.storms.slice(-KEPT),
      mutual: result.mutual.slice(-KEPT),
      slow: [...slow.values()].filter(({ count }) => count > 0).sort((a, b) => b.worstMs - a.worstMs),
      failing: [...failing.values()].filter(({ failed }) => failed > 0).sort((a, b) => b.failed - a.failed),
      unknownContext: { ...result.unknownContext, reasons: [...dark.values()].sort((a, b) => b.count - a.count) },
      slowDiscovery: [...slowDiscovery.values()].sort((a, b) => b.worstMs - a.worstMs),
    }),
  };
}

type Fence = { id: string; node: string; timeMs: number; by: ReadonlySet<string>; isAsked: boolean };

/** The node was, or may have been, switched off. */
const isFence = ({ result, action, actions }: Incident): boolean =>
  result !== "refused" &&
  result !== "failed" &&
  [action, ...actions].some((word) => word === "off" || word === "reboot" || word.startsWith("off+"));

const episodeOf = (fences: readonly Fence[]): Episode => ({
  fromMs: Math.min(...fences.map(({ timeMs }) => timeMs)),
  toMs: Math.max(...fences.map(({ timeMs }) => timeMs)),
  count: fences.length,
  incidents: fences.slice(0, NAMED).map(({ id }) => id),
});

function extend(episode: Episode, fence: Fence): void {
  episode.toMs = Math.max(episode.toMs, fence.timeMs);
  episode.count += 1;
  if (episode.incidents.length < NAMED) episode.incidents.push(fence.id);
}

/** Who did it: the node whose fencer ran the agents, and the one that asked for it where that is a cluster's own request. */
function fencersOf({ recorders, delegate, clients }: Incident): string[] {
  const askers = clients.flatMap((client) => /^pacemaker-controld\.\d+@(.+)$/.exec(client)?.[1] ?? []);
  return [...recorders, ...askers, ...(delegate === undefined ? [] : [delegate])];
}

const deviceOf = ({ device, delegate }: Incident): string =>
  device ?? (delegate === undefined ? "unknown" : `unknown (run by ${delegate})`);

/** Why nobody knew: the sources asked and what they said, without the numbers that differ every time. */
function reasonOf({ record, source }: Incident["events"][number]): string {
  if (source === "original" || source === "readable")
    return "not written by this recorder: it does not tell none from unknown";
  const attempts = (record.discovery as { attempts?: unknown } | undefined)?.attempts;
  if (!Array.isArray(attempts) || attempts.length === 0) return "no source was asked";
  return attempts
    .map((attempt: { method?: unknown; status?: unknown; reason?: unknown }) => {
      const reason =
        typeof attempt.reason === "string" ? `: ${attempt.reason.slice(0, 120).replace(/\d{3,}/g, "…")}` : "";
      return `${String(attempt.method)} ${String(attempt.status)}${reason}`;
    })
    .join("; ");
}
