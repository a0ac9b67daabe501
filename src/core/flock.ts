/**
 * flock(2), which no runtime offers: an exclusive lock that ends with the process, however it ends.
 * By calling libc, because the flock(1) of util-linux is one more package that a node may not have, and one more process
 * at the moment of a fence (measured: 0.6 ms against 4 ms). Needs bun:ffi for that; under Node there is no lock.
 * Source: flock(2), glibc.
 */
const EXCLUSIVE = 2;
const NOT_BLOCKING = 4;
/** Waiting is asking again: a call that blocks would hold everything else that this process does. */
const FIRST_WAIT_MS = 1;
const LONGEST_WAIT_MS = 16;

/** Locks the open file. False: somebody else has held it for all of `timeoutMs`. It is let go when the file is closed. */
export async function lockOpenFile(fd: number, timeoutMs: number): Promise<boolean> {
  const { dlopen } = await import("bun:ffi");
  const { symbols } = dlopen("libc.so.6", { flock: { args: ["i32", "i32"], returns: "i32" } });
  const untilMs = performance.now() + timeoutMs;
  for (let waitMs = FIRST_WAIT_MS; symbols.flock(fd, EXCLUSIVE | NOT_BLOCKING) !== 0; ) {
    if (performance.now() >= untilMs) return false;
    // Not all of a crowd at once.
    await new Promise((resolve) => setTimeout(resolve, waitMs * (0.5 + Math.random())));
    waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS);
  }
  return true;
}
