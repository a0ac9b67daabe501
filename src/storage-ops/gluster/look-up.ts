/**
 * Looks every file of a volume up through a read-only mount of its own that heals what it meets.
 * Why: `heal full` crawls the brick of one node of a set. Measured with 10.3: where that is the new, empty brick and the entry
 * of `/` is gone from the index (a self-heal daemon that did not know of the new brick took it for healed), nothing heals, and
 * heal info says 0. A client does not heal by default; this one is told to, for itself alone: no option of the volume changes.
 * Input:  a volume's name. Output: none; what came of it is read from the bricks.
 * Errors: OpsError failed with what could not be done. The mount is taken away again.
 * Source: afr.c (entry-self-heal, data-self-heal, metadata-self-heal: off on clients); glusterfs(8).
 */
import { OpsError } from "../../core/errors.ts";
import { type Argv, failureOf } from "../../core/exec.ts";
import type { Host } from "../../core/host.ts";

const PLACE = "/run/fencepost";
const QUICK_MS = 60_000;
const CONNECT_MS = 60_000;
/** As long as reading every file's attributes may take. */
const WALK_MS = 4 * 3_600_000;

export async function lookUpEveryFile(host: Host, volume: string): Promise<void> {
  const run = async (argv: Argv, timeoutMs = QUICK_MS): Promise<void> => {
    const result = await host.run(argv, { timeoutMs });
    const failure = failureOf(result, timeoutMs);
    if (failure !== undefined) throw new OpsError("failed", failure);
  };
  const takeAway = async (point: string): Promise<void> => {
    await host.run(["umount", "--lazy", "--", point], { timeoutMs: QUICK_MS });
    await host.run(["rmdir", "--", point], { timeoutMs: QUICK_MS });
  };
  // What a killed one left. Asked by commands only: this may be another node than the one that the program runs on.
  const left = await host.run(["find", PLACE, "-maxdepth", "1", "-name", `look-up-${volume}-*`, "-printf", "%f\\n"], {
    timeoutMs: QUICK_MS,
  });
  for (const name of left.stdout.split("\n")) {
    const [, of = "", pid] = /^look-up-(.+)-(\d+)$/.exec(name) ?? [];
    if (of !== volume) continue;
    const { outcome, exitCode } = await host.run(["test", "-d", `/proc/${pid}`], { timeoutMs: QUICK_MS });
    if (outcome === "exited" && exitCode === 1) await takeAway(`${PLACE}/${name}`);
  }
  const point = `${PLACE}/look-up-${volume}-${process.pid}`;
  await run(["mkdir", "--parents", "--mode=0700", "--", point]);
  try {
    const heal = ["entry", "data", "metadata"].map((what) => `--xlator-option=*replicate*.${what}-self-heal=on`);
    await run(["glusterfs", "--volfile-server=localhost", `--volfile-id=${volume}`, "--read-only", ...heal, point]);
    await connected(host, point);
    // The size makes it ask about each file; nothing is that big, so nothing is printed.
    await run(["nice", "find", point, "-size", "+8388607G"], WALK_MS);
  } finally {
    await takeAway(point);
  }
}

/** A mount answers as soon as it has one brick; what it looks up before it has all of them it does not heal. */
async function connected(host: Host, point: string): Promise<void> {
  const untilMs = host.monotonicMs() + CONNECT_MS;
  const argv: Argv = ["grep", "-rh", "^connected = ", "--include=private", `${point}/.meta/graphs/active/`];
  for (;;) {
    const result = await host.run(argv, { timeoutMs: QUICK_MS });
    if (failureOf(result, QUICK_MS) === undefined && !/^connected = 0/m.test(result.stdout)) return;
    if (host.monotonicMs() >= untilMs)
      throw new OpsError("failed", `${point}: not connected to every brick after ${CONNECT_MS / 1000} s`);
    await host.sleep(500);
  }
}
