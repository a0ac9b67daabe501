/**
 * How full the bricks are.
 * Input:  `volume status all|VOLUME detail`. Output: bytes and inodes by brick; a brick that is down tells none and is absent.
 * Errors: those of asking gluster.
 */
import { OpsError } from "../../core/errors.ts";
import type { Host } from "../../core/host.ts";
import { childNamed, childrenNamed, textNamed, type XmlElement } from "../../core/xml.ts";
import { ask, countOf, need, replicaSets, type Volume } from "./state.ts";

export type BrickSpace = {
  sizeBytes: number;
  freeBytes: number;
  /** Undefined where the filesystem counts none (btrfs). */
  inodes?: number;
  freeInodes?: number;
  device: string;
};
export type Capacity = { sizeBytes: number; freeBytes: number };

/** By brick name. */
export function parseDetail(root: XmlElement): Map<string, BrickSpace> {
  const spaces = new Map<string, BrickSpace>();
  const volumes = childNamed(childNamed(root, "volStatus"), "volumes");
  if (!volumes) throw new OpsError("bad-output", "volume status detail: no <volumes>");
  for (const volume of childrenNamed(volumes, "volume")) {
    for (const node of childrenNamed(volume, "node")) {
      const sizeBytes = countOf(node, "sizeTotal");
      const freeBytes = countOf(node, "sizeFree");
      if (sizeBytes === "unknown" || freeBytes === "unknown" || sizeBytes === 0) continue;
      const inodes = countOf(node, "inodesTotal");
      // Measured with 10.3: of a filesystem with none free gluster tells how many it has and leaves out how many are free.
      const freeInodes = textNamed(node, "inodesFree") === undefined ? 0 : countOf(node, "inodesFree");
      spaces.set(`${need(node, "hostname", "volume status detail")}:${need(node, "path", "volume status detail")}`, {
        sizeBytes,
        freeBytes,
        ...(inodes === "unknown" || inodes === 0 || freeInodes === "unknown" ? {} : { inodes, freeInodes }),
        device: textNamed(node, "device") ?? "",
      });
    }
  }
  return spaces;
}

/** One call for all started volumes; none of them is an answer too. */
export async function readCapacity(host: Host, volume = "all"): Promise<Map<string, BrickSpace>> {
  try {
    return parseDetail(await ask(host, ["volume", "status", volume, "detail"]));
  } catch (error) {
    if (error instanceof OpsError && /No volumes present/i.test(error.message)) return new Map();
    throw error;
  }
}

/** What a volume can hold: of each replica set its smallest copy; unknown when a set's data bricks do not all tell. */
export function capacityOf(volume: Volume, spaces: ReadonlyMap<string, BrickSpace>): Capacity | "unknown" {
  const total = { sizeBytes: 0, freeBytes: 0 };
  for (const set of replicaSets(volume)) {
    const told = set.filter(({ isArbiter }) => !isArbiter).map(({ name }) => spaces.get(name));
    if (told.length === 0 || told.includes(undefined)) return "unknown";
    const parts = volume.disperse > 0 ? volume.disperse - volume.redundancy : 1;
    const least = (key: keyof Capacity): number => Math.min(...told.map((one) => one?.[key] ?? 0)) * parts;
    total.sizeBytes += least("sizeBytes");
    total.freeBytes += least("freeBytes");
  }
  return total;
}

/** Less than this is as good as nothing: the filesystem, and gluster (storage.reserve), keep some back. */
const FULL = 0.01;

/** Bricks on which nothing can be written or healed any more; a disk may have bytes left and no inode for another file. */
export function fullBricks({ bricks }: Volume, spaces: ReadonlyMap<string, BrickSpace>): string[] {
  return bricks.flatMap(({ name, host, path }) => {
    const space = spaces.get(name);
    if (space === undefined) return [];
    const { sizeBytes, freeBytes, inodes, freeInodes = 0 } = space;
    const lacks = [
      ...(freeBytes < sizeBytes * FULL ? [`${showBytes(freeBytes)} free of ${showBytes(sizeBytes)}`] : []),
      ...(inodes !== undefined && freeInodes < inodes * FULL
        ? [`${freeInodes} inodes free of ${inodes} (df -i ${path}, on ${host})`]
        : []),
    ];
    return lacks.length === 0 ? [] : [`brick ${name} is full: ${lacks.join(", ")}`];
  });
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
export function showBytes(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[power]}`;
}
