/**
 * Files whose copies disagree so that gluster cannot tell which is right: which files, why, and which copy a policy chooses.
 * Input:  `heal VOLUME info split-brain`; the copies on the bricks. Output: Conflicts.
 * Errors: OpsError usage where a policy cannot choose, unsafe where what loses could not be kept; those of asking gluster.
 * Source: AFR: a set of copies is in split-brain when each of them is blamed by another. gluster lists the parent directory
 *         when it is a name that is two files (gfid split-brain), and `<gfid:…>` where a brick does not know the path.
 */
import { OpsError } from "../../core/errors.ts";
import type { Host } from "../../core/host.ts";
import { childNamed, childrenNamed, type XmlElement } from "../../core/xml.ts";
import { type Copy, clientNameOf, pathOfGfid, readCopies, readMismatches } from "./copies.ts";
import { ask, type Brick, need, type Pool, replicaSets, type Volume } from "./state.ts";

export const POLICIES = ["bigger-file", "latest-mtime", "source-brick"] as const;
export type Policy = (typeof POLICIES)[number];

/** `none`: the copies do not contradict each other; `unknown`: a copy could not be read. */
export type Reason = "data" | "metadata" | "gfid" | "type" | "entry" | "none" | "unknown";
export type Conflict = {
  path: string;
  /** What gluster lists where that is another thing: the directory, or a gfid. */
  listedAs: string;
  reason: Reason;
  copies: readonly Copy[];
  note?: string;
  /** A directory of which nobody could say which of its names are in split-brain: there may be some. */
  namesUnread?: true;
};
export type Listed = { gfid: string; names: readonly string[]; bricks: readonly string[] };

/** By gfid; and the bricks that answered. */
export function parseSplitBrain(root: XmlElement): { listed: Listed[]; answered: string[] } {
  const bricks = childNamed(childNamed(root, "healInfo"), "bricks");
  if (!bricks) throw new OpsError("bad-output", "heal info split-brain: no <bricks>");
  const answered: string[] = [];
  const byGfid = new Map<string, { names: Set<string>; bricks: string[] }>();
  for (const brick of childrenNamed(bricks, "brick")) {
    const name = need(brick, "name", "heal info split-brain");
    if (need(brick, "status", "heal info split-brain") === "Connected") answered.push(name);
    for (const { attributes, text = "" } of childrenNamed(brick, "file")) {
      const gfid = attributes.gfid ?? text;
      const found = byGfid.get(gfid) ?? { names: new Set<string>(), bricks: [] };
      found.names.add(text);
      found.bricks.push(name);
      byGfid.set(gfid, found);
    }
  }
  return { listed: [...byGfid].map(([gfid, one]) => ({ gfid, names: [...one.names], bricks: one.bricks })), answered };
}

/** Why a set of copies is, or is not, in split-brain. `clients`: by which name the others blame each copy. Pure. */
export function judgeCopies(copies: readonly Copy[], clients: readonly string[]): Reason {
  if (copies.some(({ state }) => state === "unknown")) return "unknown";
  const there = copies
    .map((copy, at) => ({ copy, client: clients[at] ?? "" }))
    .filter(({ copy }) => copy.state === "there");
  if (there.length < 2) return "none";
  if (new Set(there.map(({ copy }) => copy.type)).size > 1) return "type";
  if (new Set(there.map(({ copy }) => copy.gfid)).size > 1) return "gfid";
  const isSplit = (of: "data" | "metadata" | "entry", holders: typeof there): boolean =>
    holders.length > 1 &&
    holders.every(({ client }) => there.some(({ copy }) => (copy.blames.get(client)?.[of] ?? 0) > 0));
  const full = there.filter(({ copy }) => !copy.brick.isArbiter);
  if (there[0]?.copy.type === "directory")
    return isSplit("entry", there) ? "entry" : isSplit("metadata", there) ? "metadata" : "none";
  if (isSplit("data", full)) return "data";
  return isSplit("metadata", there) ? "metadata" : "none";
}

export type Where = { host: Host; pool: Pool; volume: Volume };

export const clientsOf = ({ host, volume }: Where, set: readonly Brick[]): string[] =>
  set.map((brick) => clientNameOf(host, volume.name, brick, volume.bricks.indexOf(brick)));

/** One file's copies, judged. */
export async function readConflict(
  where: Where,
  set: readonly Brick[],
  path: string,
  listedAs: string,
  withSum: boolean,
): Promise<Conflict> {
  const copies = await readCopies({ host: where.host, peers: where.pool.peers }, set, path, withSum);
  return { path, listedAs, reason: judgeCopies(copies, clientsOf(where, set)), copies };
}

/** Each is some questions to each of its bricks, over ssh. */
const ENTRIES_AT_ONCE = 4;

/** All there are, each as the file that is meant. `silent`: bricks that told nothing; `lost`: what no brick tells the path of. */
export async function readConflicts(
  where: Where,
  withSum: boolean,
): Promise<{ conflicts: Conflict[]; silent: string[]; lost: string[] }> {
  const { host, volume } = where;
  const { listed, answered } = parseSplitBrain(await ask(host, ["volume", "heal", volume.name, "info", "split-brain"]));
  const silent = volume.bricks.map(({ name }) => name).filter((name) => !answered.includes(name));
  const conflicts: Conflict[] = [];
  const lost: string[] = [];
  for (let at = 0; at < listed.length; at += ENTRIES_AT_ONCE) {
    const found = await Promise.all(
      listed.slice(at, at + ENTRIES_AT_ONCE).map((entry) => conflictsOf(where, entry, withSum)),
    );
    for (const one of found) {
      if (typeof one === "string") lost.push(one);
      else conflicts.push(...one.filter(({ path }) => !conflicts.some((known) => known.path === path)));
    }
  }
  return { conflicts, silent, lost };
}

export const NAMES_UNREAD = "which of its names differ could not be read: look into it on the bricks";

/** What is meant by one entry of the list: itself, or the names in a directory; its name where nobody tells its path. */
async function conflictsOf(where: Where, entry: Listed, withSum: boolean): Promise<Conflict[] | string> {
  const { host, pool, volume } = where;
  const places = { host, peers: pool.peers };
  const set = replicaSets(volume).find((one) => one.some(({ name }) => entry.bricks.includes(name)));
  const listedAs = entry.names.find((name) => name.startsWith("/")) ?? entry.names[0] ?? entry.gfid;
  let path = listedAs.startsWith("/") ? listedAs : undefined;
  for (const brick of set ?? []) path ??= await pathOfGfid(places, brick, entry.gfid);
  if (set === undefined || path === undefined) return listedAs;
  const conflict = await readConflict(where, set, path, listedAs, withSum);
  const isDirectory = conflict.copies.find(({ state }) => state === "there")?.type === "directory";
  if (!isDirectory || conflict.reason === "type" || conflict.reason === "metadata") return [conflict];
  const names = await readMismatches(places, set, path);
  if (names === undefined) return [{ ...conflict, note: NAMES_UNREAD, namesUnread: true }];
  if (names.length === 0) return [{ ...conflict, note: "its names agree: a heal merges it" }];
  const conflicts: Conflict[] = [];
  for (const name of names) conflicts.push(await readConflict(where, set, name, path, withSum));
  return conflicts;
}

/** The copy that a policy wants to win. Pure. */
export function chooseWinner({ path, copies, reason }: Conflict, policy: Policy, source: string | undefined): Copy {
  const bad = (why: string): never => {
    throw new OpsError("usage", `${path}: ${policy}: ${why}`, { hint: "--policy source-brick --source HOST:/BRICK" });
  };
  if (reason === "type")
    bad("a file on one brick and a directory on another: gluster resolves no such thing; move one away on its brick");
  const other = copies.find(({ state, type }) => state === "there" && type !== "file");
  // Of two things of one name gluster deletes the losing one; of a file alone we can keep a copy.
  if (reason === "gfid" && other)
    throw new OpsError(
      "unsafe",
      `${path}: not a file but a ${other.type} on ${other.brick.name}: what loses would be deleted and could not be kept; move one away on its brick`,
      { hint: `ls -la ${other.brick.path}${path}, on each of its bricks` },
    );
  const candidates = copies.filter(({ state, brick }) => state === "there" && !brick.isArbiter);
  if (policy === "source-brick") {
    const named = copies.find(({ brick }) => brick.name === source);
    if (!named) return bad(`${source ?? "--source"}: not one of ${copies.map(({ brick }) => brick.name).join(", ")}`);
    if (named.brick.isArbiter) bad(`${source} is the arbiter: it has no data`);
    return named.state === "there" ? named : bad(`${source} has no copy`);
  }
  if (candidates.some(({ type }) => type !== "file")) bad("not a file: name the copy that is to win");
  const measure = (copy: Copy): bigint =>
    policy === "bigger-file" ? BigInt(copy.sizeBytes ?? 0) : (copy.modifiedNs ?? 0n);
  const ranked = candidates.toSorted((a, b) => (measure(a) > measure(b) ? -1 : 1));
  const [winner, second] = ranked;
  if (winner === undefined) return bad("no copy to choose from");
  // Times of one second are one time: what was written when is not known better than the clocks are.
  const least = policy === "latest-mtime" ? 1_000_000_000n : 1n;
  if (second && measure(winner) - measure(second) < least)
    bad(
      `the copies are alike (${policy === "bigger-file" ? `${measure(winner)} bytes` : "same second"}): name the one that is to win`,
    );
  return winner;
}
