/**
 * Which files a volume's copies themselves say are not healed: every copy keeps, as an extended attribute of each file,
 * how many operations each other copy missed. `heal info` reads an index of them, which may lack an entry: measured with
 * 10.3, a file read while a new copy was filled stayed empty there, blamed by both others, and heal info said 0.
 * Input:  a volume; its bricks are read where they are, over ssh; each file below a brick once, without following links.
 * Output: the reasons not to take the copies for whole. What could not be read is one.
 * Errors: none; failures are reasons.
 * Source: afr.h (AFR_NUM_CHANGE_LOGS: data, metadata, entry); `trusted.afr.dirty` is set while a file is written, so it
 *         blames nobody; getfattr(1), find(1).
 */
import { OpsError, reasonOf } from "../../core/errors.ts";
import { type Argv, failureOf } from "../../core/exec.ts";
import type { Host } from "../../core/host.ts";
import { sshArgv } from "../../core/ssh.ts";
import { lastWords } from "../../core/text.ts";
import { type Brick, GLUSTER_TIMEOUT_MS, glusterArgv, heals, type Peer, type Volume } from "./state.ts";

/** Each inode is read once: measured, 65,000 files a second from memory; on disks, what they give. */
export const BLAME_TIMEOUT_MS = 4 * 3_600_000;
const MAX_EXAMPLES = 3;
/** A file that was deleted meanwhile. */
const GONE = /: No such file or directory$/;

/** The attributes by which the volume's copies blame each other now; those of copies removed long ago may stand for ever. */
async function readKeys(host: Host, volume: string): Promise<ReadonlySet<string>> {
  const result = await host.run(glusterArgv("system::", "getspec", volume), { timeoutMs: GLUSTER_TIMEOUT_MS });
  // The answer holds the volume's password: it is never shown.
  const failure = failureOf({ ...result, stdout: "" }, GLUSTER_TIMEOUT_MS);
  if (failure !== undefined) throw new OpsError("failed", failure);
  const keys = [...result.stdout.matchAll(/^ +option afr-pending-xattr (\S+)$/gm)].flatMap(([, names = ""]) =>
    names.split(","),
  );
  if (keys.length === 0) throw new OpsError("bad-output", `gluster system:: getspec ${volume}: no afr-pending-xattr`);
  return new Set(keys.map((key) => `trusted.afr.${key}`));
}

export function blameArgv(path: string): Argv {
  const attributes = ["-m", "^trusted[.](afr[.]|glusterfs[.]volume-id$)", "-d", "-e", "hex"];
  // -path takes a pattern.
  const own = `${path.replaceAll(/[\\*?[\]]/g, "\\$&")}/.glusterfs`;
  const getfattr = ["getfattr", "--absolute-names", "-h", ...attributes, "--"];
  return ["env", "LC_ALL=C", "nice", "find", path, "-path", own, "-prune", "-o", "-exec", ...getfattr, "{}", "+"];
}

export type BrickBlame = { blamed: number; examples: readonly string[]; volumeId: string | undefined };

/** Reads what getfattr prints, as it comes: `# file: PATH`, then `NAME=0xVALUE` lines. */
export function blameReader(keys: ReadonlySet<string>): { take: (chunk: Uint8Array) => void; end: () => BrickBlame } {
  const decoder = new TextDecoder();
  const examples: string[] = [];
  let rest = "";
  let file = "";
  let isCounted = false;
  let blamed = 0;
  let volumeId: string | undefined;
  const line = (text: string): void => {
    if (text.startsWith("# file: ")) {
      file = text.slice("# file: ".length);
      isCounted = false;
      return;
    }
    const at = text.indexOf("=");
    const name = text.slice(0, at);
    if (name === "trusted.glusterfs.volume-id") volumeId ??= text.slice(at + 1).replace(/^0x/, "");
    // Anything but noughts is a blame, a value that is none too.
    if (isCounted || !keys.has(name) || /^0x0+$/.test(text.slice(at + 1))) return;
    isCounted = true;
    blamed += 1;
    if (examples.length < MAX_EXAMPLES) examples.push(file);
  };
  return {
    take: (chunk) => {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const one of lines) line(one);
    },
    end: () => {
      line(rest);
      return { blamed, examples, volumeId };
    },
  };
}

async function reasonsOnBrick(
  host: Host,
  volume: Volume,
  { name, host: address, path, hostUuid }: Brick,
  keys: ReadonlySet<string>,
  here: string | undefined,
): Promise<string[]> {
  const reader = blameReader(keys);
  const argv = hostUuid === here ? blameArgv(path) : sshArgv(address, blameArgv(path));
  const result = await host.run(argv, { timeoutMs: BLAME_TIMEOUT_MS, onStdout: reader.take });
  const { blamed, examples, volumeId } = reader.end();
  const unread = (why: string): string[] => [`brick ${name}: its files' attributes could not be read: ${why}`];
  // The root of a brick has its volume's id: seen, it is the right place, and we may see such attributes at all.
  const isRead = volumeId === volume.id.replaceAll("-", "");
  if (blamed > 0) {
    const files = `${blamed} file${blamed > 1 ? "s" : ""} (${examples.join(", ")})`;
    return [
      `brick ${name}: ${files} of which another copy is not whole, and heal info lacks them: gluster volume heal ${volume.name} full`,
    ];
  }
  const complaints = result.stderr.split("\n").filter((line) => line !== "" && !GONE.test(line));
  const isOver =
    result.outcome === "exited" && (result.exitCode === 0 || (result.exitCode === 1 && complaints.length === 0));
  if (!isOver)
    return unread(
      complaints.length > 0 ? lastWords(complaints.join("; ")) : (failureOf(result, BLAME_TIMEOUT_MS) ?? "no answer"),
    );
  return isRead ? [] : unread(`no volume-id of ${volume.name} at ${path} (is getfattr there, and are we root?)`);
}

/** Why a volume's copies are not to be taken for whole, by every file on every brick; none for a volume of one copy. */
export async function reasonsAgainstBlame(host: Host, peers: readonly Peer[], volume: Volume): Promise<string[]> {
  if (!heals(volume)) return [];
  const here = peers.find(({ isLocal }) => isLocal)?.uuid;
  try {
    const keys = await readKeys(host, volume.name);
    const found = await Promise.all(volume.bricks.map((brick) => reasonsOnBrick(host, volume, brick, keys, here)));
    return found.flat();
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    return [`volume ${volume.name}: its files' attributes could not be read: ${reasonOf(error)}`];
  }
}
