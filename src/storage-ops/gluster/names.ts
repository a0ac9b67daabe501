/**
 * Which peer a name means: a brick may name its node otherwise than the pool does, and every node is `localhost` in its own
 * pool list.
 * Input:  a Pool; names as an operator gives them; `hostname` and `hostname -I` of the node that the pool was read on.
 * Output: the Pool, its peers known by those names too. A name that nobody is known by stays a stranger's.
 */
import { type Argv, failureOf } from "../../core/exec.ts";
import type { Host } from "../../core/host.ts";
import { findPeer, type Peer, type Pool } from "./state.ts";

const TIMEOUT_MS = 10_000;

/** Asked by commands, because a Host may be another machine. */
export async function ownNames(host: Host): Promise<string[]> {
  const asked = ([["hostname"], ["hostname", "-I"]] satisfies Argv[]).map(async (argv) => {
    const result = await host.run(argv, { timeoutMs: TIMEOUT_MS });
    return failureOf(result, TIMEOUT_MS) === undefined ? result.stdout.split(/\s+/).filter(Boolean) : [];
  });
  return (await Promise.all(asked)).flat();
}

/** gluster's own word comes first: the pool list, then whose brick has that name. */
export async function withNames(host: Host, pool: Pool, names: readonly string[]): Promise<Pool> {
  const bricks = pool.volumes.flatMap((volume) => volume.bricks);
  const strangers: string[] = [];
  let peers = pool.peers;
  const learn = (name: string, isMeant: (peer: Peer) => boolean): void => {
    peers = peers.map((peer) => (isMeant(peer) ? { ...peer, hostnames: [...peer.hostnames, name] } : peer));
  };
  for (const name of names) {
    if (findPeer(peers, name)) continue;
    const brick = bricks.find(({ host: one }) => one.toLowerCase() === name.toLowerCase());
    if (brick) learn(name, ({ uuid }) => uuid === brick.hostUuid);
    else strangers.push(name);
  }
  if (strangers.length === 0) return { ...pool, peers };
  const own = (await ownNames(host)).map((name) => name.toLowerCase());
  for (const name of strangers) if (own.includes(name.toLowerCase())) learn(name, ({ isLocal }) => isLocal);
  return { ...pool, peers };
}

export const isHere = ({ peers }: Pool, name: string): boolean => findPeer(peers, name)?.isLocal === true;
