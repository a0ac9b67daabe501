/**
 * Is each volume whole, and what is wrong with it? Pure.
 * Input:  a Pool. Output: a verdict for each volume, from what was read; what was not read makes it `unknown`. A copy that
 *         cannot be written to is none that a failure leaves behind: `degraded`.
 * Source: a replica set serves while more than half of its bricks are up (client quorum `auto`; exactly half with the first);
 *         measured: a distributed volume with a brick down lists half of its files, with exit code 0 and no error.
 */
import { type BrickSpace, fullBricks } from "./capacity.ts";
import { heals, type Pool, replicaSets, serverQuorum, type Volume } from "./state.ts";

/** `partial`: some of the files are not served, and nothing says so to who reads them. */
export type VolumeState = "up" | "degraded" | "partial" | "down" | "unknown";
export type VolumeHealth = {
  volume: Volume;
  state: VolumeState;
  bricks: readonly { name: string; online: boolean | "unknown"; isArbiter: boolean }[];
  pending: number | "unknown" | "none";
  splitBrain: number | "unknown" | "none";
  findings: readonly string[];
};
export type Health = {
  quorum: ReturnType<typeof serverQuorum>;
  findings: readonly string[];
  volumes: readonly VolumeHealth[];
};

/** `spaces`: how full the bricks are, where that was asked and told. */
export function healthOf(pool: Pool, spaces: ReadonlyMap<string, BrickSpace> = new Map()): Health {
  const quorum = serverQuorum(pool.peers);
  const findings = pool.peers
    .filter(({ connected }) => !connected)
    .map(({ hostnames, state }) => `peer ${hostnames[0]} is not connected (${state})`);
  if (!quorum.hasQuorum) findings.push(`no quorum: ${quorum.connected} of ${quorum.of} peers`);
  return { quorum, findings, volumes: pool.volumes.map((volume) => volumeHealth(pool, volume, spaces)) };
}

function volumeHealth(pool: Pool, volume: Volume, spaces: ReadonlyMap<string, BrickSpace>): VolumeHealth {
  const status = pool.status.get(volume.name);
  const bricks = volume.bricks.map(({ name, isArbiter }) => ({
    name,
    isArbiter,
    online: status?.bricksOnline.get(name) ?? ("unknown" as const),
  }));
  const findings: string[] = [];
  const { pending, splitBrain } = healCounts(pool, volume, findings);
  const result = (state: VolumeState): VolumeHealth => ({ volume, state, bricks, pending, splitBrain, findings });
  if (!volume.isStarted) {
    findings.push("stopped");
    return result("down");
  }
  const stateOf = (name: string) => bricks.find((brick) => brick.name === name)?.online;
  for (const { name, online } of bricks)
    if (online !== true) findings.push(`brick ${name} is ${online === false ? "down" : "unknown: not told of"}`);
  let lost = 0;
  let unclear = 0;
  const sets = replicaSets(volume);
  for (const set of sets) {
    const up = set.filter(({ name }) => stateOf(name) === true);
    const maybe = set.filter(({ name }) => stateOf(name) !== false);
    if (serves(volume, set, up)) continue;
    if (serves(volume, set, maybe)) unclear += 1;
    else lost += 1;
  }
  const full = fullBricks(volume, spaces);
  findings.push(...full);
  for (const { type, status: state } of status?.tasks ?? []) findings.push(`${type}: ${state}`);
  if (heals(volume) && status && status.selfHealDaemonsOnline < status.selfHealDaemons)
    findings.push(`self-heal daemons: ${status.selfHealDaemonsOnline} of ${status.selfHealDaemons} run`);
  if (lost === sets.length) return result("down");
  if (lost > 0) {
    findings.push(
      `${lost} of ${sets.length} parts do not serve: files are missing from every listing, without an error`,
    );
    return result("partial");
  }
  if (unclear > 0) return result("unknown");
  if (bricks.some(({ online }) => online !== true)) return result("degraded");
  if (pending === "unknown" || splitBrain === "unknown") return result("unknown");
  const isOwed = (count: number | "none"): boolean => count !== "none" && count > 0;
  return result(isOwed(pending) || isOwed(splitBrain) || full.length > 0 ? "degraded" : "up");
}

function serves(volume: Volume, set: Volume["bricks"], up: Volume["bricks"]): boolean {
  if (volume.disperse > 0) return up.length >= volume.disperse - volume.redundancy;
  if (set.length < 3) return up.some(({ isArbiter }) => !isArbiter);
  const half = up.length * 2 === set.length && up.some(({ name }) => name === set[0]?.name);
  return (up.length * 2 > set.length || half) && up.some(({ isArbiter }) => !isArbiter);
}

function healCounts(pool: Pool, volume: Volume, findings: string[]): Pick<VolumeHealth, "pending" | "splitBrain"> {
  if (!heals(volume)) return { pending: "none", splitBrain: "none" };
  const heal = pool.heal.get(volume.name);
  if (heal === undefined || typeof heal === "string") {
    if (heal !== undefined) findings.push(`heal info: ${heal}`);
    return { pending: "unknown", splitBrain: "unknown" };
  }
  let pending: number | "unknown" = heal.length === volume.bricks.length ? 0 : "unknown";
  let splitBrain: number | "unknown" = pending;
  for (const brick of heal) {
    if (brick.pending !== "unknown" && brick.pending > 0)
      findings.push(`${brick.brick}: ${brick.pending} entries to heal`);
    if (brick.splitBrain !== "unknown" && brick.splitBrain > 0)
      findings.push(`${brick.brick}: ${brick.splitBrain} entries in split-brain`);
    pending = pending === "unknown" || brick.pending === "unknown" ? "unknown" : Math.max(pending, brick.pending);
    splitBrain =
      splitBrain === "unknown" || brick.splitBrain === "unknown" ? "unknown" : Math.max(splitBrain, brick.splitBrain);
  }
  return { pending, splitBrain };
}
