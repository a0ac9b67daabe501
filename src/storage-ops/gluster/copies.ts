/**
 * A file's copies as they lie on the bricks, read there over ssh: size, times, gfid, checksum, and whom each copy blames.
 * Input:  bricks of one replica set and a path in the volume. Output: a Copy for each brick; what could not be read says why.
 * Errors: none; a brick that does not answer makes its copy `unknown`.
 * Source: AFR's changelog xattrs trusted.afr.CLIENT (three big-endian counters: data, metadata, entry; glusterfs-specs
 *         afr-v2), trusted.gfid2path (parent gfid/name).
 */
import { type Argv, failureOf } from "../../core/exec.ts";
import type { Host } from "../../core/host.ts";
import { sshArgv } from "../../core/ssh.ts";
import type { Brick, Peer } from "./state.ts";

const ASK_MS = 60_000;
/** Of a file that is as big as a disk. */
const SUM_MS = 3_600_000;
const ROOT_GFID = "00000000-0000-0000-0000-000000000001";
const MAX_DEPTH = 256;

export type Blame = { data: number; metadata: number; entry: number };
export type Copy = {
  brick: Brick;
  state: "there" | "absent" | "unknown";
  problem?: string;
  type?: string;
  sizeBytes?: number;
  /** On the brick's disk, in nanoseconds since 1970. What clients see (trusted.glusterfs.mdata) gluster makes equal at a look-up. */
  modifiedNs?: bigint;
  mode?: string;
  owner?: string;
  gfid?: string;
  /** By the other brick's client name (`r3-client-1`). */
  blames: ReadonlyMap<string, Blame>;
  sha256?: string;
};

/** A command where a brick is; on this node without ssh. */
export const onBrickHost = ({ host, hostUuid }: Brick, peers: readonly Peer[], argv: Argv): Argv =>
  peers.some(({ isLocal, uuid }) => isLocal && uuid === hostUuid) ? argv : sshArgv(host, argv);

/** The name by which other copies blame this brick; it is not always the brick's number, once bricks were removed. */
export function clientNameOf(host: Host, volume: string, brick: Brick, at: number): string {
  const text = host.readText(
    `/var/lib/glusterd/vols/${volume}/bricks/${brick.host}:${brick.path.replaceAll("/", "-")}`,
  );
  return /^brick-id=(\S+)$/m.exec(text ?? "")?.[1] ?? `${volume}-client-${at}`;
}

/** `getfattr -d -e hex` of one file: name → bytes. */
export function parseXattrs(text: string): Map<string, Buffer> {
  return new Map(
    [...text.matchAll(/^([^#=\n]+)=0x([0-9a-f]*)$/gm)].map(([, name = "", hex = ""]) => [
      name,
      Buffer.from(hex, "hex"),
    ]),
  );
}

const uuidOf = (bytes: Buffer): string =>
  bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");

export function blamesIn(xattrs: ReadonlyMap<string, Buffer>): Map<string, Blame> {
  const blames = new Map<string, Blame>();
  for (const [name, bytes] of xattrs) {
    const client = /^trusted\.afr\.(.+-client-\d+)$/.exec(name)?.[1];
    if (client === undefined || bytes.length < 12) continue;
    const blame = { data: bytes.readUInt32BE(0), metadata: bytes.readUInt32BE(4), entry: bytes.readUInt32BE(8) };
    if (blame.data + blame.metadata + blame.entry > 0) blames.set(client, blame);
  }
  return blames;
}

const nanoseconds = (text: string): bigint => {
  const [seconds = "0", fraction = ""] = text.split(".");
  return BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0").slice(0, 9));
};

type Where = { host: Host; peers: readonly Peer[] };

export async function readCopy({ host, peers }: Where, brick: Brick, path: string, withSum: boolean): Promise<Copy> {
  const full = path === "/" ? brick.path : `${brick.path}${path}`;
  const run = (timeoutMs: number, ...argv: Argv) => host.run(onBrickHost(brick, peers, argv), { timeoutMs });
  const blank: Copy = { brick, state: "unknown", blames: new Map() };
  // Asked at once: over ssh each is a connection of its own.
  const [stat, attributes] = await Promise.all([
    run(ASK_MS, "stat", "--printf=%F|%s|%.9Y|%a|%u:%g", "--", full),
    run(ASK_MS, "getfattr", "-h", "-d", "-m", "-", "-e", "hex", "--absolute-names", "--", full),
  ]);
  if (stat.outcome === "exited" && stat.exitCode === 1 && /No such file or directory/.test(stat.stderr))
    return { ...blank, state: "absent" };
  const failure = failureOf(stat, ASK_MS) ?? failureOf(attributes, ASK_MS);
  if (failure !== undefined) return { ...blank, problem: failure };
  const [type = "", size = "", modified = "0", mode = "", owner = ""] = stat.stdout.split("|");
  const xattrs = parseXattrs(attributes.stdout);
  const gfid = xattrs.get("trusted.gfid");
  const copy: Copy = {
    brick,
    state: "there",
    type: type.replace(/^regular (empty )?file$/, "file"),
    sizeBytes: Number(size),
    modifiedNs: nanoseconds(modified),
    mode,
    owner,
    ...(gfid ? { gfid: uuidOf(gfid) } : {}),
    blames: blamesIn(xattrs),
  };
  // An arbiter's copy has no data: nothing to compare.
  if (!withSum || copy.type !== "file" || brick.isArbiter) return copy;
  const sum = await run(SUM_MS, "sha256sum", "--", full);
  const sha256 = /^\\?([0-9a-f]{64}) /.exec(sum.stdout)?.[1];
  return sha256 === undefined ? { ...copy, problem: failureOf(sum, SUM_MS) ?? "no checksum" } : { ...copy, sha256 };
}

export const readCopies = (where: Where, set: readonly Brick[], path: string, withSum: boolean): Promise<Copy[]> =>
  Promise.all(set.map((brick) => readCopy(where, brick, path, withSum)));

const gfidPath = ({ path }: Brick, gfid: string): string =>
  `${path}/.glusterfs/${gfid.slice(0, 2)}/${gfid.slice(2, 4)}/${gfid}`;

/** Where in the volume a gfid is, as that brick has it; undefined when it does not tell. */
export async function pathOfGfid({ host, peers }: Where, brick: Brick, gfid: string): Promise<string | undefined> {
  const names: string[] = [];
  let at = gfid;
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    if (at === ROOT_GFID) return `/${names.reverse().join("/")}`;
    const up = await parentOf(at);
    if (up === undefined) return undefined;
    names.push(up.name);
    at = up.gfid;
  }
  return undefined;

  async function parentOf(child: string): Promise<{ gfid: string; name: string } | undefined> {
    const entry = gfidPath(brick, child);
    const run = (...argv: Argv) => host.run(onBrickHost(brick, peers, argv), { timeoutMs: ASK_MS });
    // A directory's entry is a link to its parent's entry and its name; a file's is a hard link that knows its names.
    const link = await run("readlink", "--no-newline", "--", entry);
    const parent = /^\.\.\/\.\.\/[0-9a-f]{2}\/[0-9a-f]{2}\/([0-9a-f-]{36})\/([^/]+)$/s.exec(link.stdout);
    if (parent) return { gfid: parent[1] ?? "", name: parent[2] ?? "" };
    const attributes = await run(
      "getfattr",
      "-h",
      "-d",
      "-m",
      "trusted.gfid2path",
      "-e",
      "hex",
      "--absolute-names",
      "--",
      entry,
    );
    const [value] = parseXattrs(attributes.stdout).values();
    const place = /^([0-9a-f-]{36})\/(.+)$/s.exec(value?.toString("utf8") ?? "");
    return place ? { gfid: place[1] ?? "", name: place[2] ?? "" } : undefined;
  }
}

/** Backslash and three octal digits, as getfattr writes what is not printable in a file's name. */
const unescaped = (text: string): string => {
  const bytes: number[] = [];
  const source = Buffer.from(text, "utf8");
  for (let at = 0; at < source.length; at++) {
    const octal = source[at] === 0x5c ? /^\\([0-7]{3})/.exec(source.toString("latin1", at, at + 4)) : null;
    bytes.push(octal ? Number.parseInt(octal[1] ?? "0", 8) : (source[at] ?? 0));
    if (octal) at += 3;
  }
  return Buffer.from(bytes).toString("utf8");
};

/** So many names of a directory are compared; in a bigger one it is not known which of them differ. */
const MAX_CHILDREN = 5_000;
const CHILDREN_AT_ONCE = 200;

/**
 * Names in a directory that are other files (other gfids) on other bricks: these are what is in split-brain, although gluster
 * lists the directory. Undefined when it could not be read, or is too big.
 */
export async function readMismatches(
  { host, peers }: Where,
  set: readonly Brick[],
  directory: string,
): Promise<string[] | undefined> {
  const byName = new Map<string, Set<string>>();
  for (const brick of set) {
    const full = directory === "/" ? brick.path : `${brick.path}${directory}`;
    const run = (...argv: Argv) => host.run(onBrickHost(brick, peers, argv), { timeoutMs: ASK_MS });
    const list = await run(
      "find",
      full,
      "-mindepth",
      "1",
      "-maxdepth",
      "1",
      "!",
      "-name",
      ".glusterfs",
      "-printf",
      "%f\\0",
    );
    if (failureOf(list, ASK_MS) !== undefined) return undefined;
    const names = list.stdout.split("\0").filter((name) => name !== "");
    if (names.length > MAX_CHILDREN) return undefined;
    for (let at = 0; at < names.length; at += CHILDREN_AT_ONCE) {
      const paths = names.slice(at, at + CHILDREN_AT_ONCE).map((name) => `${full}/${name}`);
      // It exits 1 where one of them has no gfid yet; the others are told all the same.
      const found = await run("getfattr", "-h", "-n", "trusted.gfid", "-e", "hex", "--absolute-names", "--", ...paths);
      if (found.outcome !== "exited") return undefined;
      for (const [, name = "", gfid = ""] of found.stdout.matchAll(
        /^# file: (.+)\ntrusted\.gfid=0x([0-9a-f]{32})$/gm,
      )) {
        const base = unescaped(name).slice(full.length + 1);
        byName.set(base, (byName.get(base) ?? new Set()).add(gfid));
      }
    }
  }
  return [...byName]
    .filter(([, gfids]) => gfids.size > 1)
    .map(([name]) => `${directory === "/" ? "" : directory}/${name}`)
    .sort();
}

/** How far a node's clock is ahead of ours, in seconds; undefined when it could not be asked. */
export async function readSkewSeconds({ host, peers }: Where, brick: Brick): Promise<number | undefined> {
  const beforeMs = host.now().getTime();
  const result = await host.run(onBrickHost(brick, peers, ["date", "+%s.%N"]), { timeoutMs: ASK_MS });
  const afterMs = host.now().getTime();
  const theirs = Number(result.stdout.trim());
  if (failureOf(result, ASK_MS) !== undefined || !Number.isFinite(theirs) || theirs === 0) return undefined;
  const ahead = theirs - (beforeMs + afterMs) / 2000;
  // What the question itself took is no skew.
  return Math.abs(ahead) <= (afterMs - beforeMs) / 2000 ? 0 : ahead;
}
