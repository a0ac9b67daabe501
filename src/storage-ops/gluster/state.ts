/**
 * What GlusterFS says of itself: the pool's peers, the volumes, their bricks, what is to be healed, tasks that run.
 * Input:  `gluster --mode=script --xml …` on this node. opRet decides, never the exit code alone: glusterd refuses with 0.
 * Output: data; a number that gluster did not give is "unknown", never 0.
 * Errors: OpsError missing-tool, timeout, bad-output, failed (gluster's own words), usage (names).
 * Source: cli/src/cli-xml-output.c of glusterfs; captured answers in test/fixtures/gluster.
 */
import { OpsError, reasonOf } from "../../core/errors.ts";
import { type Argv, failureOf } from "../../core/exec.ts";
import type { Host } from "../../core/host.ts";
import { BUSY } from "../../core/plan.ts";
import { escapeControl, lastWords } from "../../core/text.ts";
import { childNamed, childrenNamed, parseXml, textNamed, type XmlElement } from "../../core/xml.ts";

/** The gluster command gives up by itself after 120 s (CLI_DEFAULT_CMD_TIMEOUT), heal info and commits after more. */
export const GLUSTER_TIMEOUT_MS = 150_000;

export type Peer = {
  uuid: string;
  /** By which the pool knows it; `localhost` for this node. */
  hostnames: readonly string[];
  connected: boolean;
  /** `Peer in Cluster` once it has fully joined. */
  state: string;
  isLocal: boolean;
};
export type Brick = { name: string; host: string; path: string; hostUuid: string; isArbiter: boolean };
export type Volume = {
  name: string;
  id: string;
  isStarted: boolean;
  typeWord: string;
  replica: number;
  /** Arbiter bricks in each replica set. */
  arbiter: number;
  disperse: number;
  /** Bricks a dispersed set may lose. */
  redundancy: number;
  snapshots: number;
  /** In order: each `replica` of them are one replica set. */
  bricks: readonly Brick[];
  options: ReadonlyMap<string, string>;
};
export type Task = { type: string; id: string; status: string };
export type VolumeStatus = {
  volume: string;
  /** By brick name; a brick that is not in it was not told of. */
  bricksOnline: ReadonlyMap<string, boolean>;
  selfHealDaemonsOnline: number;
  selfHealDaemons: number;
  tasks: readonly Task[];
};
export type Count = number | "unknown";
export type BrickHeal = { brick: string; connected: boolean; pending: Count; splitBrain: Count; detail: string };

/** Replica sets in order: gluster calls each a subvolume. A distributed volume has sets of one. */
export function replicaSets({ bricks, replica, disperse }: Volume): Brick[][] {
  const size = Math.max(1, disperse > 0 ? disperse : replica);
  return Array.from({ length: Math.ceil(bricks.length / size) }, (_, at) => bricks.slice(at * size, (at + 1) * size));
}

/** What glusterd takes for a volume's name: letters, digits, - and _. */
export function checkVolumeName(name: string): string {
  if (/^[A-Za-z0-9_][A-Za-z0-9_-]{0,254}$/.test(name)) return name;
  throw new OpsError("usage", `not a volume's name: ${escapeControl(name.slice(0, 100))}`, {
    hint: "gluster volume list",
  });
}

export const glusterArgv = (...words: string[]): Argv => ["gluster", "--mode=script", ...words];
const xmlArgv = (...words: string[]): Argv => ["gluster", "--mode=script", "--xml", ...words];

/** One question; its answer's root once opRet is 0. */
export async function ask(host: Host, words: readonly string[], timeoutMs = GLUSTER_TIMEOUT_MS): Promise<XmlElement> {
  const argv = xmlArgv(...words);
  const result = await host.run(argv, { timeoutMs, maxBytes: 256 * 1024 * 1024 });
  return answerOf(result.stdout, `gluster ${words.join(" ")}`, () => {
    const failure = failureOf(result, timeoutMs);
    if (failure === undefined) return undefined;
    const kind =
      result.outcome === "timed-out" ? "timeout" : result.spawnError === "ENOENT" ? "missing-tool" : "failed";
    return new OpsError(kind, failure, {
      hint: result.outcome === "not-started" ? "install glusterfs-server on this node" : "systemctl status glusterd",
    });
  });
}

/** An answer in XML is judged by its opRet; without one the command's own end tells. */
export function answerOf(stdout: string, what: string, failure: () => OpsError | undefined): XmlElement {
  if (stdout.trim() === "") {
    throw failure() ?? new OpsError("bad-output", `${what}: empty answer`, { hint: "systemctl status glusterd" });
  }
  let root: XmlElement;
  try {
    root = parseXml(stdout, what);
  } catch (error) {
    throw failure() ?? error;
  }
  const opRet = textNamed(root, "opRet");
  if (opRet === "0") {
    const bad = failure();
    if (bad?.kind === "timeout") throw bad;
    return root;
  }
  if (opRet === undefined) throw failure() ?? new OpsError("bad-output", `${what}: no opRet in the answer`);
  const words = lastWords(textNamed(root, "opErrstr") ?? "");
  throw new OpsError("failed", `${what}: ${words || `opRet ${opRet}`}`);
}

export const need = (element: XmlElement | undefined, name: string, what: string): string =>
  textNamed(element, name) ?? missing(what, name);
const missing = (what: string, name: string): never => {
  throw new OpsError("bad-output", `${what}: no <${name}>`);
};
export const countOf = (element: XmlElement | undefined, name: string): Count => {
  const text = textNamed(element, name) ?? "";
  return /^\d+$/.test(text) ? Number(text) : "unknown";
};
const numberIn = (element: XmlElement, name: string, what: string): number => {
  const count = countOf(element, name);
  return count === "unknown" ? missing(what, name) : count;
};

export function parsePeers(root: XmlElement): Peer[] {
  const status = childNamed(root, "peerStatus") ?? missing("pool list", "peerStatus");
  return childrenNamed(status, "peer").map((peer) => {
    const hostname = need(peer, "hostname", "pool list");
    const others = childrenNamed(childNamed(peer, "hostnames"), "hostname").map(({ text = "" }) => text);
    const isLocal = hostname === "localhost";
    return {
      uuid: need(peer, "uuid", "pool list"),
      hostnames: [...new Set([hostname, ...others])],
      connected: need(peer, "connected", "pool list") === "1",
      state: textNamed(peer, "stateStr") ?? (isLocal ? "Peer in Cluster" : "unknown"),
      isLocal,
    };
  });
}

export function parseVolumes(root: XmlElement): Volume[] {
  const volumes = childNamed(childNamed(root, "volInfo"), "volumes") ?? missing("volume info", "volumes");
  return childrenNamed(volumes, "volume").map((volume) => {
    const name = need(volume, "name", "volume info");
    const what = `volume info: ${name}`;
    const number = (tag: string): number => numberIn(volume, tag, what);
    const bricks = childrenNamed(childNamed(volume, "bricks"), "brick").map((brick): Brick => {
      const brickName = need(brick, "name", what);
      // The host may be an IPv6 address; the path begins at the first ":/".
      const at = brickName.indexOf(":/");
      return {
        name: brickName,
        host: brickName.slice(0, at),
        path: brickName.slice(at + 1),
        hostUuid: need(brick, "hostUuid", what),
        isArbiter: textNamed(brick, "isArbiter") === "1",
      };
    });
    if (bricks.length !== number("brickCount")) missing(what, `brick of ${number("brickCount")}`);
    return {
      name,
      id: need(volume, "id", what),
      isStarted: need(volume, "statusStr", what) === "Started",
      typeWord: need(volume, "typeStr", what),
      replica: Math.max(1, number("replicaCount")),
      arbiter: number("arbiterCount"),
      disperse: number("disperseCount"),
      redundancy: number("redundancyCount"),
      snapshots: number("snapshotCount"),
      bricks,
      options: new Map(
        childrenNamed(childNamed(volume, "options"), "option").map((option) => [
          need(option, "name", what),
          textNamed(option, "value") ?? "",
        ]),
      ),
    };
  });
}

export function parseStatus(root: XmlElement): VolumeStatus[] {
  const volumes = childNamed(childNamed(root, "volStatus"), "volumes") ?? missing("volume status", "volumes");
  return childrenNamed(volumes, "volume").map((volume) => {
    const bricksOnline = new Map<string, boolean>();
    let daemons = 0;
    let daemonsOnline = 0;
    for (const node of childrenNamed(volume, "node")) {
      const hostname = need(node, "hostname", "volume status");
      const path = need(node, "path", "volume status");
      const online = need(node, "status", "volume status") === "1";
      if (path.startsWith("/")) bricksOnline.set(`${hostname}:${path}`, online);
      else if (hostname === "Self-heal Daemon") {
        daemons += 1;
        if (online) daemonsOnline += 1;
      }
    }
    return {
      volume: need(volume, "volName", "volume status"),
      bricksOnline,
      selfHealDaemons: daemons,
      selfHealDaemonsOnline: daemonsOnline,
      tasks: childrenNamed(childNamed(volume, "tasks"), "task").map((task) => ({
        type: need(task, "type", "volume status"),
        id: need(task, "id", "volume status"),
        status: need(task, "statusStr", "volume status"),
      })),
    };
  });
}

/** `heal VOLUME info summary`. A brick that does not answer has no counts, and its status is a sentence. */
export function parseHeal(root: XmlElement): BrickHeal[] {
  const bricks = childNamed(childNamed(root, "healInfo"), "bricks") ?? missing("heal info", "bricks");
  return childrenNamed(bricks, "brick").map((brick) => {
    const status = need(brick, "status", "heal info");
    const connected = status === "Connected";
    return {
      brick: need(brick, "name", "heal info"),
      connected,
      pending: connected ? countOf(brick, "totalNumberOfEntries") : "unknown",
      splitBrain: connected ? countOf(brick, "numberOfEntriesInSplitBrain") : "unknown",
      detail: status,
    };
  });
}

/** The answer of `rebalance status` and `remove-brick status`; nodes without a brick of the volume are not in it. */
const UNSETTLED_MS = 20_000;

/**
 * A glusterd that is just taking in a peer answers `pool list` with -22 and no words (seen on glusterfs 10.3, when a probe
 * was asked about in its middle): it is asked again until the handshake is over.
 */
export async function readPeers(host: Host): Promise<Peer[]> {
  const untilMs = host.monotonicMs() + UNSETTLED_MS;
  for (;;) {
    try {
      return parsePeers(await ask(host, ["pool", "list"]));
    } catch (error) {
      const isUnsettled = error instanceof OpsError && /: opRet -\d+$/.test(error.message);
      if (!isUnsettled || host.monotonicMs() >= untilMs) throw error;
      await host.sleep(1_000);
    }
  }
}

/** No volumes at all is an answer too. */
export async function readVolumes(host: Host): Promise<Volume[]> {
  return parseVolumes(await ask(host, ["volume", "info", "all"]));
}

/** One call for all started volumes; a stopped one is not in it. */
export async function readStatus(host: Host): Promise<VolumeStatus[]> {
  try {
    return parseStatus(await ask(host, ["volume", "status", "all"]));
  } catch (error) {
    if (error instanceof OpsError && /No volumes present/i.test(error.message)) return [];
    throw error;
  }
}

export const readVolumeStatus = async (host: Host, volume: string): Promise<VolumeStatus> =>
  parseStatus(await ask(host, ["volume", "status", volume]))[0] ?? missing("volume status", volume);

export const readHeal = async (host: Host, volume: string, timeoutMs = GLUSTER_TIMEOUT_MS): Promise<BrickHeal[]> =>
  parseHeal(await ask(host, ["volume", "heal", volume, "info", "summary"], timeoutMs));

export type Crawl = { brick: string; type: string; isRunning: boolean; healed: number };

/** `heal VOLUME statistics`, which has no XML: the last crawls of each brick's self-heal daemon, the running one last. */
export function parseCrawls(text: string): Crawl[] {
  const crawls: Crawl[] = [];
  let brick = "";
  let isRunning = false;
  for (const line of text.split("\n")) {
    const [, at] = /^Crawl statistics for brick no (\d+)$/.exec(line) ?? [];
    const [, type] = /^Type of crawl: (\S+)/.exec(line) ?? [];
    const [, healed] = /^No\. of entries healed: (\d+)$/.exec(line) ?? [];
    if (at !== undefined) brick = at;
    else if (line.startsWith("Starting time of crawl:")) isRunning = false;
    else if (line === "Crawl is in progress") isRunning = true;
    else if (type !== undefined) crawls.push({ brick, type, isRunning, healed: 0 });
    else if (healed !== undefined) {
      const crawl = crawls.at(-1);
      if (crawl) crawl.healed = Number(healed);
    }
  }
  return crawls;
}

export async function readCrawls(host: Host, volume: string): Promise<Crawl[]> {
  const result = await host.run(glusterArgv("volume", "heal", volume, "statistics"), { timeoutMs: GLUSTER_TIMEOUT_MS });
  const failure = failureOf(result, GLUSTER_TIMEOUT_MS);
  if (failure !== undefined) throw new OpsError("failed", failure);
  return parseCrawls(result.stdout);
}

/** Another command has glusterd's lock of a volume: for seconds mostly, for three minutes when its holder died. */
const LOCKED_RETRIES_MS = [1_000, 2_000, 4_000, 8_000, 16_000] as const;
const GLUSTERD_LOG = "/var/log/glusterfs/glusterd.log";

/** A read that is asked again while somebody has the lock, and then says who. */
async function unlocked<T>(host: Host, peers: readonly Peer[], read: () => Promise<T>): Promise<T> {
  for (const waitMs of [...LOCKED_RETRIES_MS, undefined]) {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof OpsError && BUSY.test(error.message))) throw error;
      if (waitMs === undefined) {
        const log = await host.run(["tail", "-c", "65536", GLUSTERD_LOG], { timeoutMs: 10_000 });
        const uuid = /.*Lock for \S+ held by ([0-9a-f-]{36})/s.exec(log.stdout)?.[1];
        const holder = peers.find((peer) => peer.uuid === uuid);
        const name = holder?.isLocal ? "this node" : (holder?.hostnames[0] ?? uuid);
        throw new OpsError(
          error.kind,
          `${error.message}${name === undefined ? "" : ` (the lock is held by ${name})`}`,
          {
            hint: "wait for the other command, or look for it there; glusterd drops a dead one's lock after 3 minutes",
          },
        );
      }
      await host.sleep(waitMs);
    }
  }
  throw new OpsError("bug", "gluster: no read");
}

export type Pool = {
  peers: readonly Peer[];
  volumes: readonly Volume[];
  /** By volume; none for one that is stopped. */
  status: ReadonlyMap<string, VolumeStatus>;
  /** By volume, of those that heal; an error's words where it could not be read. */
  heal: ReadonlyMap<string, readonly BrickHeal[] | string>;
};

/**
 * heal info asks every brick of its volume, and gluster has no call for all volumes: its command starts a `glfsheal` of its
 * own, which loads that one volume's graph, and neither `volume status all` nor `get-state` tells what is to be healed.
 */
const HEALS_AT_ONCE = 4;
/** For those of all volumes together: a hundred that hang must not take an hour. */
const HEALS_MS = 2 * GLUSTER_TIMEOUT_MS;

const NO_TIME = `not asked: those of other volumes took ${HEALS_MS / 1000} s`;

export const heals = ({ replica, disperse }: Pick<Volume, "replica" | "disperse">): boolean =>
  replica > 1 || disperse > 0;

/** A call of each kind for the pool, and one of heal info for each volume that heals. */
export async function readPool(host: Host, isWanted: (volume: Volume) => boolean = () => true): Promise<Pool> {
  const peers = await readPeers(host);
  const [volumes, status] = await Promise.all([readVolumes(host), unlocked(host, peers, () => readStatus(host))]);
  const heal = new Map<string, readonly BrickHeal[] | string>();
  const waiting = volumes.filter((volume) => heals(volume) && volume.isStarted && isWanted(volume));
  const untilMs = host.monotonicMs() + HEALS_MS;
  const readNext = async (): Promise<void> => {
    for (let volume = waiting.shift(); volume !== undefined; volume = waiting.shift()) {
      const leftMs = Math.min(GLUSTER_TIMEOUT_MS, untilMs - host.monotonicMs());
      const found = leftMs > 0 ? readHeal(host, volume.name, leftMs) : Promise.reject(new Error(NO_TIME));
      heal.set(volume.name, await found.catch(reasonOf));
    }
  };
  await Promise.all(Array.from({ length: HEALS_AT_ONCE }, readNext));
  return { peers, volumes, status: new Map(status.map((one) => [one.volume, one])), heal };
}

/** More than half of the pool must be there, this node counted. */
export function serverQuorum(peers: readonly Peer[]): { connected: number; of: number; hasQuorum: boolean } {
  const connected = peers.filter((peer) => peer.connected).length;
  return { connected, of: peers.length, hasQuorum: connected * 2 > peers.length };
}

/** Names are compared whole: 10.0.0.1 is not 10.0.0.10. */
export const findPeer = (peers: readonly Peer[], host: string): Peer | undefined =>
  peers.find(({ hostnames }) => hostnames.some((name) => name.toLowerCase() === host.toLowerCase()));

/** The bricks a peer holds; by its UUID where the volume tells one, because a brick may be named by another name of it. */
export const bricksOf = (volume: Volume, host: string, peer: Peer | undefined): Brick[] =>
  volume.bricks.filter((brick) =>
    peer ? brick.hostUuid === peer.uuid : brick.host.toLowerCase() === host.toLowerCase(),
  );
