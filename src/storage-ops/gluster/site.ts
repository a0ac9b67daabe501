/**
 * The place of a new brick on its node, over ssh: is it on a filesystem of its own, below that filesystem's root, empty?
 * Input:  a host and an absolute path. Output: what was found, or why it could not be read.
 * Errors: OpsError usage for a path that is none; failures of ssh are in the answer.
 * Source: glusterd's own checks (glusterd_is_valid_vg, glusterd_validate_and_create_brickpath); docs "Brick naming".
 */
import { OpsError } from "../../core/errors.ts";
import { type Argv, failureOf } from "../../core/exec.ts";
import type { Host } from "../../core/host.ts";
import { sshArgv } from "../../core/ssh.ts";
import { escapeControl } from "../../core/text.ts";

const SSH_TIMEOUT_MS = 30_000;
/** Of env(1), for a command that is not there. */
const NOT_FOUND = 127;
/** glusterd's own directories (Debian, RHEL). */
const FORBIDDEN = ["/var/lib/glusterd", "/etc/glusterfs"];

export type Site = {
  host: string;
  path: string;
  /** Where its filesystem is mounted and of what type; undefined where it could not be read. */
  mount?: { target: string; type: string };
  content: "absent" | "empty" | "not-empty" | "unknown";
  /** The directory, it or above it, that says it is a brick: an emptied one keeps its volume's mark. */
  marked?: string;
  problem?: string;
};

export function checkBrickPath(path: string): string {
  // Written by us into argv only, but read by glusterd, ssh and people.
  if (/^(?:\/[A-Za-z0-9_+=@%][A-Za-z0-9_.+=@%-]*)+$/.test(path) && path.length < 1024) return path;
  throw new OpsError("usage", `not a brick path: ${escapeControl(path.slice(0, 200))}`, {
    hint: "an absolute path of letters, digits and _ . + = @ % -",
  });
}

/** The marks that glusterd leaves on a brick's root: it refuses such a place, and one below it. */
function marksArgv(path: string): Argv {
  const above = path.split("/").flatMap((_, at, parts) => (at === 0 ? [] : [parts.slice(0, at + 1).join("/")]));
  const which = "^trusted[.](glusterfs[.]volume-id|gfid)$";
  return ["env", "LC_ALL=C", "getfattr", "--absolute-names", "-h", "-m", which, "--", ...above];
}

const contentArgv = (path: string): Argv => ["find", path, "-maxdepth", "2", "-print"];

/**
 * Over ssh, or with `isHere` on this node itself. With `isBare`, GlusterFS is not installed there yet: getfattr comes with its
 * packages, and where that is missing the marks are left to the guard of the step that comes after them.
 */
export async function readSite(
  host: Host,
  address: string,
  path: string,
  { isHere = false, isBare = false }: { isHere?: boolean; isBare?: boolean } = {},
): Promise<Site> {
  const run = (argv: Argv) => host.run(isHere ? argv : sshArgv(address, argv), { timeoutMs: SSH_TIMEOUT_MS });
  const [mounts, marks, content] = await Promise.all([
    run(["findmnt", "--json", "--list", "--output", "TARGET,FSTYPE"]),
    run(marksArgv(path)),
    run(contentArgv(path)),
  ]);
  const failure = failureOf(mounts, SSH_TIMEOUT_MS);
  const site: Site = { host: address, path, content: "unknown" };
  if (failure !== undefined) return { ...site, problem: failure };
  const mount = mountOf(mounts.stdout, path);
  if (mount) site.mount = mount;
  const complaints = marks.stderr
    .split("\n")
    .filter((line) => line !== "" && !line.endsWith(": No such file or directory"));
  const isTold =
    marks.outcome === "exited" && (marks.exitCode === 0 || (marks.exitCode === 1 && complaints.length === 0));
  const isLeft = isBare && marks.outcome === "exited" && marks.exitCode === NOT_FOUND;
  if (!isTold && !isLeft) return { ...site, problem: failureOf(marks, SSH_TIMEOUT_MS) ?? "no answer" };
  const marked = /^# file: (.*)$/m.exec(marks.stdout)?.[1];
  if (marked !== undefined) site.marked = marked;
  if (content.outcome === "exited" && content.exitCode === 0) {
    // glusterd leaves an empty .glusterfs where it prepared a brick and then refused it.
    const found = content.stdout
      .trim()
      .split("\n")
      .filter((one) => one !== path && one !== `${path}/.glusterfs`);
    return { ...site, content: found.length > 0 ? "not-empty" : "empty" };
  }
  if (content.exitCode === 1 && /No such file or directory/.test(content.stderr)) return { ...site, content: "absent" };
  return { ...site, problem: failureOf(content, SSH_TIMEOUT_MS) ?? "no answer" };
}

/** The filesystem a path lies on: the longest mount point that it begins with. */
export function mountOf(findmntJson: string, path: string): Site["mount"] {
  const { filesystems = [] } = JSON.parse(findmntJson) as { filesystems?: { target: string; fstype: string }[] };
  let found: Site["mount"];
  for (const { target, fstype } of filesystems) {
    const holds = target === "/" || path === target || path.startsWith(`${target}/`);
    if (holds && (found === undefined || target.length >= found.target.length)) found = { target, type: fstype };
  }
  return found;
}

/** Why a brick must not be made there. Pure. */
export function reasonsAgainstSite({ host, path, mount, content, marked, problem }: Site): string[] {
  if (problem !== undefined) return [`${host}: ${path} could not be looked at: ${problem}`];
  const reasons: string[] = [];
  if (FORBIDDEN.some((one) => path === one || path.startsWith(`${one}/`)))
    reasons.push(`${host}: ${path} is glusterd's own directory`);
  if (mount === undefined) reasons.push(`${host}: nobody says which filesystem ${path} is on`);
  else if (mount.target === "/")
    reasons.push(`${host}: ${path} is on the root filesystem, which a brick would fill: is its disk mounted?`);
  else if (mount.target === path)
    reasons.push(
      `${host}: ${path} is a mount point itself; unmounted, it would look like an empty brick: use a directory in it`,
    );
  if (marked !== undefined)
    reasons.push(`${host}: ${marked} is marked as a volume's brick: remove that directory if nobody needs it`);
  if (content === "not-empty")
    reasons.push(`${host}: ${path} is not empty: a removed brick's data, or somebody else's`);
  return reasons;
}

/** Data files that a removed brick still holds; the zero-byte pointers of distribution (mode 1000) are none. */
export const leftoversArgv = (address: string, path: string): Argv =>
  sshArgv(address, [
    "find",
    path,
    "-path",
    `${path}/.glusterfs`,
    "-prune",
    "-o",
    "-type",
    "f",
    "!",
    "(",
    "-size",
    "0",
    "-perm",
    "1000",
    ")",
    "-print",
    "-quit",
  ]);
