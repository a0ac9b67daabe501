/**
 * The pool's health as Prometheus text, for node_exporter's textfile collector. Pure.
 * What could not be read has no sample: `fencepost_gluster_heal_known 0` says so, and never a zero count.
 * Source: Prometheus text exposition format 0.0.4.
 */
import type { Capacity } from "./capacity.ts";
import type { Health } from "./health.ts";
import type { Pool } from "./state.ts";

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

export function renderMetrics(health: Health, pool: Pool, capacity: ReadonlyMap<string, Capacity | "unknown">): string {
  const lines: string[] = [];
  const metric = (name: string, help: string, samples: readonly Sample[]): void => {
    if (samples.length === 0) return;
    lines.push(`# HELP fencepost_gluster_${name} ${help}`, `# TYPE fencepost_gluster_${name} gauge`);
    for (const [labels, value] of samples) {
      const told = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(text)}"`);
      lines.push(`fencepost_gluster_${name}${told.length > 0 ? `{${told.join(",")}}` : ""} ${value}`);
    }
  };
  const { volumes, quorum } = health;
  const each = (value: (volume: Health["volumes"][number]) => number | undefined): Sample[] =>
    volumes.flatMap((one): Sample[] => {
      const found = value(one);
      return found === undefined ? [] : [[{ volume: one.volume.name }, found]];
    });
  const known = (count: number | "unknown" | "none"): number | undefined =>
    typeof count === "number" ? count : undefined;
  metric("peers", "peers of the pool, this node counted", [[{}, quorum.of]]);
  metric("peers_connected", "peers that are connected", [[{}, quorum.connected]]);
  metric("quorum", "1 when more than half of the pool is connected", [[{}, quorum.hasQuorum ? 1 : 0]]);
  metric(
    "volume_up",
    "1 when every file of the volume is served",
    each(({ state }) => (state === "up" || state === "degraded" ? 1 : state === "unknown" ? undefined : 0)),
  );
  metric(
    "volume_state",
    "1 for the state the volume is in",
    volumes.map(({ volume, state }): Sample => [{ volume: volume.name, state }, 1]),
  );
  metric(
    "brick_up",
    "1 when the brick is online; no sample when nobody tells",
    volumes.flatMap(({ volume, bricks }) =>
      bricks.flatMap(({ name, online }): Sample[] =>
        online === "unknown" ? [] : [[{ volume: volume.name, brick: name }, online ? 1 : 0]],
      ),
    ),
  );
  metric(
    "heal_known",
    "1 when every brick told how much is to heal",
    each(({ pending }) => (pending === "none" ? undefined : pending === "unknown" ? 0 : 1)),
  );
  metric(
    "heal_pending_entries",
    "entries to heal, of the brick that lists most",
    each(({ pending }) => known(pending)),
  );
  metric(
    "split_brain_entries",
    "entries in split-brain, of the brick that lists most",
    each(({ splitBrain }) => known(splitBrain)),
  );
  metric(
    "task_running",
    "1 for a rebalance or removal that has not ended",
    volumes.flatMap(({ volume }) =>
      (pool.status.get(volume.name)?.tasks ?? []).map(
        ({ type, status }): Sample => [
          { volume: volume.name, task: type },
          /^(completed|stopped|failed)$/i.test(status) ? 0 : 1,
        ],
      ),
    ),
  );
  const room = (key: keyof Capacity): Sample[] =>
    each(({ volume }) => {
      const found = capacity.get(volume.name);
      return found === undefined || found === "unknown" ? undefined : found[key];
    });
  metric("volume_size_bytes", "what the volume can hold", room("sizeBytes"));
  metric("volume_free_bytes", "what is free in it", room("freeBytes"));
  return `${lines.join("\n")}\n`;
}

const escapeLabel = (text: string): string =>
  text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
