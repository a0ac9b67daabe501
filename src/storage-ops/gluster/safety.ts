/**
 * What must hold before a volume is changed: read for the plan and read again right before each step that could lose data.
 * Input:  a Pool as read. Output: the reasons against it, in words; none means it is safe as far as could be read. Pure.
 * Source: glusterd refuses some of these itself, but not all, and none of them under `force`, which a replica count can only
 *         be lowered with; measured: it then removed the only brick that held the newest data.
 */
import { findPeer, heals, type Pool, replicaSets, serverQuorum, type Volume } from "./state.ts";

/** Every brick up, nobody else at work, quorum: before any change of a volume's bricks. */
export function reasonsAgainstChange(pool: Pool, volume: Volume): string[] {
  const reasons: string[] = [];
  const quorum = serverQuorum(pool.peers);
  if (!quorum.hasQuorum) reasons.push(`no quorum: ${quorum.connected} of ${quorum.of} peers are connected`);
  for (const peer of pool.peers) {
    if (!peer.connected) reasons.push(`peer ${peer.hostnames[0]} is not connected`);
    else if (peer.state !== "Peer in Cluster") reasons.push(`peer ${peer.hostnames[0]}: ${peer.state}`);
  }
  if (!volume.isStarted) {
    reasons.push("the volume is stopped");
    return reasons;
  }
  const status = pool.status.get(volume.name);
  for (const { name } of volume.bricks) {
    const online = status?.bricksOnline.get(name);
    if (online !== true)
      reasons.push(`brick ${name} is ${online === false ? "down" : "not told of: its state is unknown"}`);
  }
  for (const task of status?.tasks ?? []) {
    if (/remove/i.test(task.type)) reasons.push(`a removal of bricks is not committed or stopped (${task.status})`);
    else if (!/^(completed|stopped|failed)$/i.test(task.status)) reasons.push(`${task.type} is ${task.status}`);
  }
  return reasons;
}

/** Nothing left to heal, read from every brick: what could not be read is a reason too. */
export function reasonsAgainstLosingCopies(pool: Pool, volume: Volume): string[] {
  if (!heals(volume)) return [];
  const heal = pool.heal.get(volume.name);
  if (heal === undefined || typeof heal === "string") return [`heal info could not be read: ${heal ?? "not asked"}`];
  const reasons: string[] = [];
  for (const { name } of volume.bricks) {
    const brick = heal.find((one) => one.brick === name);
    if (!brick) reasons.push(`heal info tells nothing of brick ${name}`);
    else if (!brick.connected) reasons.push(`heal info: brick ${name}: ${brick.detail}`);
    else {
      if (brick.pending === "unknown" || brick.splitBrain === "unknown") {
        reasons.push(`heal info gives no number for brick ${name}`);
      }
      if (brick.splitBrain !== "unknown" && brick.splitBrain > 0)
        reasons.push(`brick ${name}: ${brick.splitBrain} entries in split-brain`);
      if (brick.pending !== "unknown" && brick.pending > 0)
        reasons.push(`brick ${name}: ${brick.pending} entries that other copies still need from it`);
    }
  }
  return reasons;
}

/**
 * What keeps a peer from leaving the pool. It may be dead itself: glusterd, too, wants every peer connected except the one
 * that is detached (glusterd_chk_peers_connected_befriended). But the cut-off part of a pool must not give up the rest.
 */
export function reasonsAgainstDetach(pool: Pool, host: string): string[] {
  const peer = findPeer(pool.peers, host);
  const reasons = pool.peers
    .filter(({ uuid, connected }) => !connected && uuid !== peer?.uuid)
    .map(({ hostnames }) => `peer ${hostnames[0]} is not connected`);
  const { connected, of, hasQuorum } = serverQuorum(pool.peers);
  if (peer?.connected === false && !hasQuorum)
    reasons.push(
      `it is not connected, and ${connected} of ${of} peers are no quorum: this part may be the one cut off`,
    );
  for (const volume of pool.volumes) {
    const count = volume.bricks.filter((brick) => (peer ? brick.hostUuid === peer.uuid : brick.host === host)).length;
    if (count > 0) reasons.push(`it holds ${count} brick${count > 1 ? "s" : ""} of volume ${volume.name}`);
  }
  return reasons;
}

/**
 * Would the data stay whole and served if this host went down now? By volume: the reasons against.
 * A replica set must keep more than half of its bricks (client quorum `auto`; exactly half only with its first brick) and
 * none of the others may need anything from the host's brick.
 */
export function reasonsAgainstLoss(pool: Pool, volume: Volume, host: string): string[] {
  const peer = findPeer(pool.peers, host);
  const isHis = (brick: { hostUuid: string; host: string }): boolean =>
    peer ? brick.hostUuid === peer.uuid : brick.host === host;
  if (!volume.bricks.some(isHis)) return [];
  if (!volume.isStarted) return ["the volume is stopped: its state cannot be read"];
  const reasons: string[] = [];
  const status = pool.status.get(volume.name);
  for (const set of replicaSets(volume)) {
    if (!set.some(isHis)) continue;
    if (volume.replica === 1 && volume.disperse === 0) {
      reasons.push(`brick ${set[0]?.name} has no other copy`);
      continue;
    }
    const left = set.filter((brick) => !isHis(brick) && status?.bricksOnline.get(brick.name) === true);
    const firstIsLeft = left.some(({ name }) => name === set[0]?.name);
    const enough = left.length * 2 > set.length || (left.length * 2 === set.length && firstIsLeft);
    if (volume.disperse > 0) {
      reasons.push("a dispersed volume: not judged by this program");
    } else if (!enough) {
      reasons.push(
        `of the copies in ${set.map(({ name }) => name).join(", ")} ${left.length} of ${set.length} would be left`,
      );
    } else if (left.every(({ isArbiter }) => isArbiter)) {
      reasons.push(`only the arbiter of ${set[0]?.name} would be left`);
    }
  }
  return [...reasons, ...reasonsAgainstLosingCopies(pool, volume)];
}
