/**
 * Words on the command line → which files hold events, which hold outcomes, in which order.
 * Input:  FILE arguments: files, directories, globs, `-` for stdin; without any the log directory of the recorder
 *         ($LOG_DIR, its configuration file, /var/log/gfs2-fencing), and what still waits in spool and inbox.
 * Output: chains: the files of one log, oldest first, rotated and compressed ones included; each file once, whatever
 *         names led to it.
 * Errors: OpsError bad-input for what is not there or holds no log, io for what cannot be read.
 */
import { basename, dirname } from "node:path";
import { OpsError, reasonOf } from "../core/errors.ts";
import { listNames, readWhole } from "../core/files.ts";
import { assertLocal } from "../core/local-path.ts";
import type { ProgramContext } from "../core/program.ts";
import {
  type Compression,
  expandPattern,
  kindOf,
  pathIdentity,
  readFileBlocks,
  readingFailed,
} from "../core/streams.ts";
import { isGlob } from "./filter.ts";

export const DEFAULT_LOG_DIR = "/var/log/gfs2-fencing";
export const SPOOL_DIRECTORIES = ["/var/lib/fencepost/spool", "/run/fencepost/spool"] as const;
export const INBOX_DIRECTORY = "/var/lib/fencepost/inbox";
const CONFIG_FILE = "/etc/fencepost/fence_gfs2_recorder.conf";

export const DETAILED = "fence-events-detailed.jsonl";
export const READABLE = "fence-events-readable.log";
export const OUTCOMES = "fence-outcomes.jsonl";

export type LogFile = { path: string; compression: Compression };

/** One log: its rotated files, oldest first, and the one written now. `-` is stdin. */
export type Chain = { name: string; files: readonly LogFile[] };

export type Inputs = {
  events: readonly Chain[];
  outcomes: readonly Chain[];
  /** The log directories read, for what lies beside the logs (`.intents`). */
  directories: readonly string[];
  /** No FILE was given: spool and inbox of this machine belong to the answer. */
  isDefault: boolean;
  /** Stdin or another pipe is among them: nothing can be read a second time. */
  onlyOnce: boolean;
  /** For stderr: what was there and not read, and why. */
  notes: readonly string[];
};

const STDIN_PATH = "-";
const STDIN: Chain = { name: STDIN_PATH, files: [{ path: STDIN_PATH, compression: "none" }] };

const ENDINGS: Readonly<Record<string, Compression>> = {
  ".gz": "gz",
  ".zst": "zst",
  ".xz": "xz",
  ".bz2": "bz2",
  ".lz4": "lz4",
};

export const compressionOf = (path: string): Compression => ENDINGS[/\.[a-z0-9]+$/.exec(path)?.[0] ?? ""] ?? "none";

/** logrotate's names: `.1`, `.2.gz`, and with dateext `-20250110`, `-20250110-1736518996`, `-2025-01-10`. */
const ROTATED = /^(?:\.(\d{1,5})|[-.](\d{8}(?:[-_]?\d+)?|\d{4}-\d\d-\d\d(?:[-_T.]?[\d:]+)?))?$/;

type Named = LogFile & { base: string; rotation: string };

/** A file's place in its chain; undefined where the rest of the name is no rotation we know. */
function placeOf(path: string, base: string): Named | undefined {
  const compression = compressionOf(path);
  const name = basename(path);
  const rest = name.slice(base.length, compression === "none" ? undefined : name.lastIndexOf("."));
  const parts = ROTATED.exec(rest);
  if (!parts) return undefined;
  // Oldest first: dates, then numbers from the highest, then the file written now.
  const rotation = parts[2]
    ? `a${parts[2]}`
    : parts[1]
      ? `b${String(99_999 - Number(parts[1])).padStart(5, "0")}`
      : "c";
  return { path, compression, base, rotation };
}

/** Whether a file is called as the recorder's own logs are, whose lines it alone appends, in the order of recorded_ms. */
export const isRecordersOwn = (path: string): boolean =>
  [DETAILED, OUTCOMES].some((base) => basename(path).startsWith(base) && placeOf(path, base) !== undefined);

async function chainOf(name: string, files: readonly Named[], notes: string[]): Promise<Chain> {
  // Of two of one rotation the compressed one first: it is the older one, where they differ.
  const place = ({ rotation, compression }: Named): string => `${rotation} ${compression === "none" ? 1 : 0}`;
  const sorted = [...files].sort((a, b) => (place(a) < place(b) ? -1 : place(a) > place(b) ? 1 : 0));
  const kept: Named[] = [];
  for (const file of sorted) {
    const twin = kept.at(-1);
    if (twin?.rotation !== file.rotation) {
      kept.push(file);
      continue;
    }
    // Both `.1` and `.1.gz`: logrotate is at work, or died at it, and the plain one is whole. Or compression was switched
    // on and off, or a file copied back, and they are two files.
    const unread = (await holds(file, twin)) ? twin : (await holds(twin, file)) ? file : undefined;
    if (unread === undefined) {
      notes.push(`${twin.path}: differs from ${file.path}: both are read`);
      kept.push(file);
      continue;
    }
    const whole = unread === twin ? file : twin;
    kept[kept.length - 1] = whole;
    notes.push(`${unread.path}: not read: ${whole.path} holds all that can be read of it`);
  }
  return { name, files: kept.map(({ path, compression }) => ({ path, compression })) };
}

/** The rotated files of a log, the newest first; none where they cannot be listed. */
export async function rotatedFilesOf(path: string): Promise<LogFile[]> {
  const base = basename(path);
  const all = await listNames(dirname(path)).catch(() => []);
  const rotated = all.filter((name) => name.startsWith(base) && name !== base);
  const places = rotated.flatMap((name) => placeOf(`${dirname(path)}/${name}`, base) ?? []);
  return (await chainOf(path, places, [])).files.toReversed();
}

/** Whether `whole` begins with all that can be read of `part`. */
async function holds(whole: LogFile, part: LogFile): Promise<boolean> {
  const there = readableBytes(whole);
  try {
    let rest = Buffer.alloc(0);
    for await (const wanted of readableBytes(part)) {
      while (rest.length < wanted.length) {
        const { done, value } = await there.next();
        if (done) return false;
        rest = Buffer.concat([rest, value]);
      }
      if (!rest.subarray(0, wanted.length).equals(wanted)) return false;
      rest = rest.subarray(wanted.length);
    }
    return true;
  } finally {
    await there.return(undefined);
  }
}

/** What a file holds, unpacked, up to where it is broken; of a line that is too long only how long it is. */
async function* readableBytes({ path, compression }: LogFile): AsyncGenerator<Buffer, undefined> {
  try {
    for await (const block of readFileBlocks(path, compression)) {
      if (block.kind === "oversize") yield Buffer.from(`${block.length}\n`);
      else yield Buffer.from(block.bytes.subarray(block.from, block.to)); // a copy: the block is used again
    }
  } catch (error) {
    const failure = readingFailed(error, path);
    if (!(failure instanceof OpsError) || failure.kind !== "bad-input") throw failure;
  }
}

export async function findInputs(context: ProgramContext, words: readonly string[]): Promise<Inputs> {
  if (words.length === 0) return defaultInputs(context);
  const notes: string[] = [];
  const paths: string[] = [];
  for (const word of words) {
    if (word === "-") paths.push(word);
    else paths.push(...(await pathsOf(word)));
  }
  const events: Chain[] = [];
  const outcomes: Chain[] = [];
  const directories: string[] = [];
  const loose: string[] = [];
  let onlyOnce = false;
  for (const path of new Set(paths)) {
    const kind = path === STDIN_PATH ? "other" : (await kindOf(path)).kind;
    onlyOnce ||= kind === "other";
    if (kind === "directory") {
      const found = await readableLogs(path, notes);
      events.push(...found.events);
      outcomes.push(...found.outcomes);
      directories.push(...found.directories);
    } else loose.push(path);
  }
  const chains = await looseChains(loose, notes);
  outcomes.push(...chains.outcomes);
  events.push(...chains.events);
  const found = await eachOnce({ events, outcomes, directories }, notes);
  // Somebody who names only an outcomes file wants to see that.
  return {
    ...found,
    events: found.events.length === 0 ? found.outcomes : found.events,
    isDefault: false,
    onlyOnce,
    notes,
  };
}

/**
 * A glob over a log directory, a link, a directory and one above it lead to the same lines again, and those of the original
 * recorder have no event_id to know them by.
 */
async function eachOnce({ events, outcomes, directories }: DirectoryLogs, notes: string[]): Promise<DirectoryLogs> {
  const directoryOf = (chain: Chain): Promise<string> => pathIdentity(dirname(chain.name));
  const detailed = new Set<string>();
  for (const chain of events) if (basename(chain.name) === DETAILED) detailed.add(await directoryOf(chain));
  const telling: Chain[] = [];
  for (const chain of events) {
    if (basename(chain.name) === READABLE && detailed.has(await directoryOf(chain))) {
      notes.push(`${chain.name}: not read: ${DETAILED} beside it says the same and more`);
    } else telling.push(chain);
  }
  const met = new Set<string>();
  const isNew = async (path: string): Promise<boolean> => {
    const identity = path === STDIN_PATH ? path : await pathIdentity(path);
    if (met.has(identity)) return false;
    met.add(identity);
    return true;
  };
  const unmet = async (chains: readonly Chain[]): Promise<Chain[]> => {
    const kept: Chain[] = [];
    for (const { name, files } of chains) {
      const once: LogFile[] = [];
      for (const file of files) if (await isNew(file.path)) once.push(file);
      if (once.length > 0) kept.push({ name, files: once });
    }
    return kept;
  };
  const places: string[] = [];
  for (const directory of directories) if (await isNew(directory)) places.push(directory);
  return { events: await unmet(telling), outcomes: await unmet(outcomes), directories: places };
}

async function pathsOf(word: string): Promise<string[]> {
  if ((await kindOf(word)).kind !== "missing") return [word.replace(/(?<=.)\/+$/, "")];
  if (isGlob(word)) {
    const found = await expandPattern(word);
    if (found.length > 0) return found;
    throw new OpsError("bad-input", `${word}: no file matches`, { hint: `ls ${word.slice(0, word.search(/[*?[{]/))}` });
  }
  throw new OpsError("bad-input", `${word}: no such file or directory`, { hint: `ls -l ${dirname(word)}` });
}

/** Files named one by one: those of one directory and one log are a chain, any other is a chain of its own. */
async function looseChains(paths: readonly string[], notes: string[]): Promise<{ events: Chain[]; outcomes: Chain[] }> {
  const groups = new Map<string, Named[]>();
  const chains: { events: Chain[]; outcomes: Chain[] } = { events: [], outcomes: [] };
  for (const path of paths) {
    if (path === "-") {
      chains.events.push(STDIN);
      continue;
    }
    const base = [DETAILED, READABLE, OUTCOMES].find((known) => basename(path).startsWith(known));
    const place = base === undefined ? undefined : placeOf(path, base);
    if (!place) {
      chains.events.push({ name: path, files: [{ path, compression: compressionOf(path) }] });
      continue;
    }
    const key = `${dirname(path)}/${place.base}`;
    groups.set(key, [...(groups.get(key) ?? []), place]);
  }
  for (const [key, files] of groups) {
    (basename(key) === OUTCOMES ? chains.outcomes : chains.events).push(await chainOf(key, files, notes));
  }
  return chains;
}

type DirectoryLogs = { events: Chain[]; outcomes: Chain[]; directories: string[] };

/** A directory's logs; one that only holds directories with logs (collected from several recorders) means those. */
async function readableLogs(directory: string, notes: string[]): Promise<DirectoryLogs> {
  const own = await logsIn(directory, notes);
  if (own) return own;
  const below: DirectoryLogs = { events: [], outcomes: [], directories: [] };
  for (const name of await names(directory)) {
    const path = `${directory}/${name}`;
    if ((await kindOf(path)).kind !== "directory") continue;
    const found = await logsIn(path, notes);
    below.events.push(...(found?.events ?? []));
    below.outcomes.push(...(found?.outcomes ?? []));
    below.directories.push(...(found?.directories ?? []));
  }
  if (below.directories.length > 0) return below;
  throw new OpsError("bad-input", `${directory}: no fence logs there (${DETAILED}, ${READABLE}, ${OUTCOMES})`, {
    hint: "name the recorder's log directory: LOG_DIR=DIR, or DIR as an argument",
  });
}

const names = (directory: string): Promise<string[]> =>
  listNames(directory).catch((error: unknown) => {
    throw new OpsError("io", `${directory}: cannot be read: ${reasonOf(error)}`, {
      cause: error,
      hint: `ls -ld ${directory}`,
    });
  });

async function logsIn(directory: string, notes: string[]): Promise<DirectoryLogs | undefined> {
  const all = await names(directory);
  const chain = async (base: string): Promise<Chain | undefined> => {
    const found: Named[] = [];
    for (const name of all.filter((candidate) => candidate.startsWith(base))) {
      const place = placeOf(`${directory}/${name}`, base);
      if (place) found.push(place);
      else notes.push(`${directory}/${name}: not read: no name that logrotate gives`);
    }
    return found.length === 0 ? undefined : chainOf(`${directory}/${base}`, found, notes);
  };
  // The readable log says nothing that the detailed one does not: it counts only where it alone survived.
  const events = (await chain(DETAILED)) ?? (await chain(READABLE));
  const outcomes = await chain(OUTCOMES);
  if (!events && !outcomes) return undefined;
  return { events: events ? [events] : [], outcomes: outcomes ? [outcomes] : [], directories: [directory] };
}

/** The directory that the recorder writes to. */
export async function logDirectoryOf({ env }: Pick<ProgramContext, "env">): Promise<string> {
  if (env.LOG_DIR) return env.LOG_DIR;
  const config = await readWhole(CONFIG_FILE, 64 * 1024).catch(() => undefined);
  const line = /^[ \t]*LOG_DIR[ \t]*=[ \t]*(.*?)[ \t]*$/m.exec(config ?? "")?.[1];
  return line?.replace(/^(["'])(.*)\1$/, "$2") || DEFAULT_LOG_DIR;
}

async function defaultInputs(context: ProgramContext): Promise<Inputs> {
  const directory = await logDirectoryOf(context);
  // A filesystem that waits for fencing holds whoever looks at it, unkillably (SPEC 3).
  await assertLocal(directory, context.host.readText("/proc/self/mountinfo") ?? "");
  const notes: string[] = [];
  try {
    const { kind } = await kindOf(directory);
    if (kind === "directory") {
      const found = await eachOnce(await readableLogs(directory, notes), notes);
      return { ...found, isDefault: true, onlyOnce: false, notes };
    }
    throw new OpsError("bad-input", `${directory}: ${kind === "missing" ? "no such directory" : "not a directory"}`, {
      hint: "name the recorder's log directory: LOG_DIR=DIR, or DIR as an argument",
    });
  } catch (error) {
    // A recorder that could not write its log has the events in its spool: those are then all there is to know.
    if (!(error instanceof OpsError) || error.kind !== "bad-input" || !(await somethingWaits())) throw error;
    notes.push(`${error.message}; only what waits in spool and inbox is read`);
    return { events: [], outcomes: [], directories: [], isDefault: true, onlyOnce: false, notes };
  }
}

async function somethingWaits(): Promise<boolean> {
  for (const directory of [...SPOOL_DIRECTORIES, INBOX_DIRECTORY]) {
    const entries = await listNames(directory).catch(() => []);
    if (entries.some((name) => name.endsWith(".json") && !name.startsWith("."))) return true;
  }
  return false;
}
