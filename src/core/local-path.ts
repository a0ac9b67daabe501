/**
 * Is a path on a disk of this machine? Answered from the mount table and by reading links one at a time, so that a
 * cluster or network filesystem, which may block for ever, is never touched (SPEC 3: never by statfs).
 */
import { lstat, readlink } from "node:fs/promises";
import { OpsError } from "./errors.ts";
import { errorCode } from "./files.ts";
import { isClusterOrNetwork, mountTypeOf } from "./mounts.ts";

const MAX_LINKS = 16;

/** Errors: OpsError unsafe when the path, or what a link in it leads to, is on a cluster or network filesystem. */
export async function assertLocal(path: string, mountinfo: string): Promise<void> {
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
        hint: "log_dir on a local disk",
      });
    }
    const target = await readlinkOf(here);
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

async function readlinkOf(path: string): Promise<string | undefined> {
  try {
    return (await lstat(path || "/")).isSymbolicLink() ? await readlink(path) : undefined;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}
