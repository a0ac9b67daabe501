/**
 * A pool as it was, or as it is to be, and how the live one differs from it. Pure.
 * Input:  a saved state (JSON beside a backup) or what the configuration wants; a Pool.
 * Output: differences, each with what was wanted and what is.
 * Errors: OpsError bad-input for a file that is no saved state.
 */
import { OpsError } from "../../core/errors.ts";
import { isSame } from "./options-plan.ts";
import { findPeer, type Pool } from "./state.ts";

export type WantedPeer = { names: readonly string[]; uuid?: string };
export type WantedVolume = {
  name: string;
  replica: number;
  arbiter: number;
  started: boolean;
  bricks: readonly string[];
  options: Readonly<Record<string, string>>;
};
export type Wanted = {
  peers: readonly WantedPeer[];
  volumes: readonly WantedVolume[];
  /** Only what is named is compared, where the source does not tell everything. */
  isWhole: boolean;
};
export type Difference = { object: string; what: string; wanted: string; is: string };

export type SavedState = {
  schema: 1;
  saved_at: string;
  host: string;
  archive: string;
  archive_sha256: string;
  peers: { uuid: string; names: string[] }[];
  volumes: {
    name: string;
    id: string;
    type: string;
    replica: number;
    arbiter: number;
    started: boolean;
    bricks: string[];
    options: Record<string, string>;
  }[];
};

export const savedVolumes = ({ volumes }: Pool): SavedState["volumes"] =>
  volumes.map((one) => ({
    name: one.name,
    id: one.id,
    type: one.typeWord,
    replica: one.replica,
    arbiter: one.arbiter,
    started: one.isStarted,
    bricks: one.bricks.map(({ name }) => name),
    options: Object.fromEntries(one.options),
  }));
export const savedPeers = ({ peers }: Pool, ownName: string): SavedState["peers"] =>
  peers.map(({ uuid, hostnames, isLocal }) => ({ uuid, names: isLocal ? [ownName] : [...hostnames] }));

export function decodeSaved(text: string, path: string): SavedState {
  let saved: Partial<SavedState> | undefined;
  try {
    saved = JSON.parse(text) as Partial<SavedState>;
  } catch {
    saved = undefined;
  }
  if (saved?.schema === 1 && Array.isArray(saved.peers) && Array.isArray(saved.volumes)) return saved as SavedState;
  throw new OpsError("bad-input", `${path}: not a state that this program saved`, {
    hint: "fencepost gluster backup --help",
  });
}

export const wantedOf = ({ peers, volumes }: SavedState): Wanted => ({ peers, volumes, isWhole: true });

const listed = (names: readonly string[]): string => names.join(" ") || "none";

/** `effective`: the options in force, of volumes of which not all are set; by volume and name. */
export function differences(
  wanted: Wanted,
  pool: Pool,
  effective: ReadonlyMap<string, ReadonlyMap<string, string>> = new Map(),
): Difference[] {
  const found: Difference[] = [];
  const differ = (object: string, what: string, want: string, is: string): void => {
    if (want !== is) found.push({ object, what, wanted: want, is });
  };
  const matched = new Set<string>();
  for (const { names, uuid } of wanted.peers) {
    const peer =
      pool.peers.find((one) => one.uuid === uuid) ?? names.map((name) => findPeer(pool.peers, name)).find((one) => one);
    if (peer) matched.add(peer.uuid);
    differ(`peer ${names[0] ?? uuid}`, "in the pool", "yes", peer ? "yes" : "no");
    if (peer) differ(`peer ${names[0] ?? uuid}`, "connected", "yes", peer.connected ? "yes" : "no");
  }
  for (const { uuid, hostnames } of pool.peers)
    if (!matched.has(uuid))
      found.push({ object: `peer ${hostnames[0]}`, what: "in the pool", wanted: "no", is: "yes" });
  for (const want of wanted.volumes) {
    const object = `volume ${want.name}`;
    const volume = pool.volumes.find(({ name }) => name === want.name);
    differ(object, "there", "yes", volume ? "yes" : "no");
    if (!volume) continue;
    differ(object, "started", want.started ? "yes" : "no", volume.isStarted ? "yes" : "no");
    differ(object, "replica", String(want.replica), String(volume.replica));
    differ(object, "arbiter", String(want.arbiter), String(volume.arbiter));
    const bricks = volume.bricks.map(({ name }) => name);
    differ(object, "bricks", listed([...want.bricks].sort()), listed(bricks.sort()));
    for (const [name, value] of Object.entries(want.options)) {
      const is = volume.options.get(name) ?? effective.get(want.name)?.get(name);
      if (is === undefined || !isSame(is, value))
        found.push({ object, what: name, wanted: value, is: is ?? "default" });
    }
    if (!wanted.isWhole) continue;
    for (const [name, value] of volume.options)
      if (want.options[name] === undefined) found.push({ object, what: name, wanted: "default", is: value });
  }
  if (wanted.isWhole) {
    for (const { name } of pool.volumes)
      if (!wanted.volumes.some((one) => one.name === name))
        found.push({ object: `volume ${name}`, what: "there", wanted: "no", is: "yes" });
  }
  return found;
}
