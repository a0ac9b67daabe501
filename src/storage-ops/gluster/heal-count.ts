/**
 * How much is left to heal, cheaply: for telling how it goes while it goes, never for telling that it is over.
 * `heal info` inspects every entry it lists on every copy, and takes that power from the very heal that is waited for:
 * measured with 10.3, asked every second it was at work 3 s of every 4 while a thousand files were healed. This is the length
 * of the bricks' own indexes.
 * Input:  `heal VOLUME statistics heal-count`, which has no XML. Output: the sum; unknown where a brick gives no number.
 * Errors: none: what was not told is unknown.
 * Source: cmd_heal_volume_statistics_heal_count_out in cli-rpc-ops.c; test/fixtures/gluster/10.3-heal-count.txt
 */
import type { Host } from "../../core/host.ts";
import { type Count, GLUSTER_TIMEOUT_MS, glusterArgv } from "./state.ts";

export function parseHealCount(text: string): Count {
  const bricks = text.split(/^Brick /m).slice(1);
  if (bricks.length === 0) return "unknown";
  let sum = 0;
  for (const brick of bricks) {
    const [, count] = /^Number of entries: (\d+)$/m.exec(brick) ?? [];
    if (count === undefined) return "unknown";
    sum += Number(count);
  }
  return sum;
}

export async function readHealCount(host: Host, volume: string): Promise<Count> {
  const argv = glusterArgv("volume", "heal", volume, "statistics", "heal-count");
  const result = await host.run(argv, { timeoutMs: GLUSTER_TIMEOUT_MS });
  return result.outcome === "exited" && result.exitCode === 0 ? parseHealCount(result.stdout) : "unknown";
}
