/**
 * Is a path on a disk of this machine? Answered from the mount table and by reading links one at a time, so that a
 * cluster or network filesystem, which may block for ever, is never touched (SPEC 3: never by statfs).
 */
import { readlinkSync } from "node:fs";
import { readlink } from "node:fs/promises";
import { OpsError } from "./errors.ts";
import { errorCode } from "./files.ts";
import { isClusterOrNetwork, mountTypeOf } from "./mounts.ts";

const MAX_LINKS = 16;

/** Yields each part of the way to be looked at and is told where it leads, if it is a link. */
function* wayTo(path: string, mountinfo: string): Generator<string, void, string | undefined> {
  let rest = path.split("/").filter(Boolean);
  let resolved = "";
  for (let links = 0; rest.length > 0; ) {
    const [next = "", ...after] = rest;
    rest = after;
    const here =
      next === ".." ? resolved.slice(0, resolved.lastIndexOf("/")) : next === "." ? resolved : `${resolved}/${next}`;
    const type = mountTypeOf(mountinfo, here === "" ? "/" : here);
    if (type !== undefined && isClusterOrNetwork(type)) {
      throw new OpsError("unsafe", `${path}: refused: ${here} is on ${type}, which can block while a node is fenced`, {
        hint: `findmnt -T ${here}`,
      });
    }
    const target = yield here;
    if (target === undefined) {
      resolved = here;
      continue;
    }
    links += 1;
    if (links > MAX_LINKS) throw new OpsError("unsafe", `${path}: refused: too many links`);
    if (target.startsWith("/")) resolved = "";
    rest = [...target.split("/").filter(Boolean), ...rest];
  }
}

/** EINVAL: there, and no link. */
const notALink = (error: unknown): undefined => {
  if (["EINVAL", "ENOENT"].includes(errorCode(error) ?? "")) return undefined;
  throw error;
};

/**
 * Errors: OpsError unsafe when the path, or what a link in it leads to, is on a cluster or network filesystem.
 * A local disk that hangs holds a thread of the pool and not the program.
 */
export async function assertLocal(path: string, mountinfo: string): Promise<void> {
  const way = wayTo(path, mountinfo);
  for (let step = way.next(); !step.done; ) step = way.next(await readlink(step.value).catch(notALink));
}

/** The same at once, for what is then read synchronously anyway. */
export function assertLocalNow(path: string, mountinfo: string): void {
  const way = wayTo(path, mountinfo);
  for (let step = way.next(); !step.done; ) {
    let target: string | undefined;
    try {
      target = readlinkSync(step.value);
    } catch (error) {
      target = notALink(error);
    }
    step = way.next(target);
  }
}
