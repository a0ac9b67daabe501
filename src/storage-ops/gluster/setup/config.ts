/**
 * `my_multihead_cluster.yaml`: which machines are controllers, which of them run GlusterFS, and what the volume is to be.
 * Input:  the file's text. YAML 1.1, as PyYAML reads it: `yes` and `on` are true.
 * Output: SetupConfig with the defaults filled in; warnings for keys that nobody knows, which may be slips of the pen.
 * Errors: OpsError config with every problem, each with its line and key. Values are shown of the keys below alone: other
 *         sections of the file hold passwords.
 */
import { isIP } from "node:net";
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLMap } from "yaml";
import { OpsError } from "../../../core/errors.ts";
import { isHostWord } from "../../../core/ssh.ts";
import { escapeControl } from "../../../core/text.ts";
import { checkBrickPath } from "../site.ts";
import { checkVolumeName } from "../state.ts";
import { problemOfOption } from "./options.ts";

export const SERVICES = ["glusterfs", "mariadb", "redis", "slurm", "web", "keepalived"] as const;
export type ServiceName = (typeof SERVICES)[number];

export type Controller = {
  hostname: string;
  address: string;
  priority: number;
  services: readonly ServiceName[];
  ownsVip: boolean;
};

export type SetupConfig = {
  path: string;
  volume: string;
  /** Copies of each file; `auto`: one on each controller that runs GlusterFS. */
  replicaCount: number | "auto";
  /** 1: the third node of a replica 2 volume becomes its arbiter. */
  arbiterCount: 0 | 1;
  brickPath: string;
  mountPoint: string;
  /** Options of the volume, by their full name. */
  options: ReadonlyMap<string, string>;
  /** Made on the mounted volume by the first node. */
  directories: readonly string[];
  /** All of them, GlusterFS or not. */
  controllers: readonly Controller[];
  warnings: readonly string[];
};

export const DEFAULTS = {
  volume_name: "shared_data",
  replica_count: "auto",
  brick_path: "/data/glusterfs/shared",
  mount_point: "/mnt/gluster",
  options: {
    "performance.cache-size": "256MB",
    "network.ping-timeout": "10",
    "cluster.self-heal-daemon": "on",
  },
  directories: ["frontend_builds", "slurm/state", "slurm/logs", "slurm/spool", "uploads", "config"],
} as const;

const STORAGE_KEYS = [...Object.keys(DEFAULTS), "volume_type", "arbiter_count"];
/** The source's, and those that files in the wild have besides; ssh's own are ssh_config's business. */
const CONTROLLER_KEYS = [
  ...["hostname", "ip_address", "priority", "services", "vip_owner"],
  ...["ssh_user", "ssh_port", "ssh_key_path", "os_type", "node_type", "hardware"],
];
const MAX_COPIES = 16;
const DIRECTORY = /^[A-Za-z0-9_][A-Za-z0-9_.-]*(?:\/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$/;

export const runsGluster = ({ services }: Controller): boolean => services.includes("glusterfs");

export function parseConfig(text: string, path: string): SetupConfig {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, version: "1.1", prettyErrors: false });
  const problems: string[] = [];
  const warnings: string[] = [];
  const lineOf = (node: Node | null | undefined): number => lines.linePos(node?.range?.[0] ?? 0).line;
  const told = (node: Node | null | undefined, key: string, why: string): string =>
    `${path}:${lineOf(node)}: ${key}: ${why}`;
  const bad = (node: Node | null | undefined, key: string, why: string): void => {
    problems.push(told(node, key, why));
  };
  const whole = (): void => {
    if (problems.length === 0) return;
    throw new OpsError("config", problems.join("; "), { hint: "docs/gluster-setup.md has every key" });
  };
  for (const error of document.errors) {
    const { line, col } = lines.linePos(error.pos[0]);
    problems.push(`${path}:${line}:${col}: not YAML: ${escapeControl(error.message)}`);
  }
  whole();

  const shown = (node: Node): string =>
    isScalar(node) ? `'${escapeControl(String(node.source ?? node.value).slice(0, 80))}'` : "a list or a mapping";
  const child = (map: YAMLMap | undefined, key: string): Node | undefined => {
    const node = map?.get(key, true) as Node | undefined;
    return isScalar(node) && node.value === null ? undefined : node;
  };
  const mapAt = (node: Node | undefined, key: string): YAMLMap | undefined => {
    if (node === undefined || isMap(node)) return node;
    bad(node, key, `not a mapping: ${shown(node)}`);
    return undefined;
  };
  /** What the file says, as it is written there: 010 stays 010, on stays on. */
  const wordAt = (map: YAMLMap | undefined, key: string, full: string): { node: Node; word: string } | undefined => {
    const node = child(map, key);
    if (node === undefined) return undefined;
    if (isScalar(node)) return { node, word: String(node.source ?? node.value) };
    bad(node, full, `not a single value: ${shown(node)}`);
    return undefined;
  };
  const checked = <T>(
    map: YAMLMap | undefined,
    key: string,
    full: string,
    check: (word: string) => T | undefined,
    why: string,
  ): T | undefined => {
    const found = wordAt(map, key, full);
    if (!found) return undefined;
    let value: T | undefined;
    try {
      value = check(found.word);
    } catch (error) {
      if (!(error instanceof OpsError)) throw error;
    }
    if (value === undefined) bad(found.node, full, `${why}: ${shown(found.node)}`);
    return value;
  };
  const flagAt = (map: YAMLMap | undefined, key: string, full: string): boolean => {
    const node = child(map, key);
    if (node === undefined) return false;
    if (isScalar(node) && typeof node.value === "boolean") return node.value;
    bad(node, full, `not true or false: ${shown(node)}`);
    return false;
  };
  const warnUnknown = (map: YAMLMap | undefined, known: readonly string[], full: string): void => {
    for (const { key } of map?.items ?? []) {
      const name = isScalar(key) ? String(key.value) : "a key that is no word";
      if (!known.includes(name))
        warnings.push(told(key as Node, `${full}.${escapeControl(name.slice(0, 80))}`, "no such key: not used"));
    }
  };

  const top = mapAt(document.contents ?? undefined, "the file");
  if (top === undefined && problems.length === 0) bad(undefined, "nodes.controllers", "the file is empty");
  // The source's document calls it storage, its generated files shared_storage.
  const section = child(top, "storage") === undefined && child(top, "shared_storage") ? "shared_storage" : "storage";
  const at = `${section}.glusterfs`;
  const storage = mapAt(child(mapAt(child(top, section), section), "glusterfs"), at);
  warnUnknown(storage, STORAGE_KEYS, at);
  const number = (from: number, to: number) => (word: string) =>
    /^\d{1,3}$/.test(word) && Number(word) >= from && Number(word) <= to ? Number(word) : undefined;
  const pathRule = "not an absolute path of letters, digits and _ . + = @ % -";
  const volume = checked(storage, "volume_name", `${at}.volume_name`, checkVolumeName, "not letters, digits, - and _");
  const replicaCount = checked<number | "auto">(
    storage,
    "replica_count",
    `${at}.replica_count`,
    (word) => (word === "auto" ? "auto" : number(1, MAX_COPIES)(word)),
    `not 'auto' or a number from 1 to ${MAX_COPIES}`,
  );
  const arbiterCount = checked(storage, "arbiter_count", `${at}.arbiter_count`, number(0, 1), "not 0 or 1");
  checked(
    storage,
    "volume_type",
    `${at}.volume_type`,
    (word) => (/^(replica|replicate|replicated)$/.test(word) ? word : undefined),
    "only 'replica' is set up here",
  );
  const brickPath = checked(storage, "brick_path", `${at}.brick_path`, checkBrickPath, pathRule) ?? DEFAULTS.brick_path;
  const mountPoint =
    checked(storage, "mount_point", `${at}.mount_point`, checkBrickPath, pathRule) ?? DEFAULTS.mount_point;
  if (`${brickPath}/`.startsWith(`${mountPoint}/`) || `${mountPoint}/`.startsWith(`${brickPath}/`))
    bad(
      child(storage, "mount_point") ?? storage,
      `${at}.mount_point`,
      `it and brick_path ${brickPath} lie in each other`,
    );

  const options = new Map<string, string>(Object.entries(DEFAULTS.options));
  for (const { key } of mapAt(child(storage, "options"), `${at}.options`)?.items ?? []) {
    const name = isScalar(key) ? String(key.value) : "";
    const full = `${at}.options.${escapeControl(name.slice(0, 80))}`;
    const found = wordAt(storage?.get("options") as YAMLMap, name, full);
    const problem = found ? problemOfOption(name, found.word) : "no value";
    if (problem !== undefined) bad(key as Node, full, problem);
    else if (found) options.set(name, found.word);
  }
  const list = child(storage, "directories");
  if (list !== undefined && !isSeq(list)) bad(list, `${at}.directories`, `not a list: ${shown(list)}`);
  const directories = (isSeq(list) ? (list.items as Node[]) : []).map((node) => {
    const word = isScalar(node) ? String(node.value) : "";
    if (!DIRECTORY.test(word)) bad(node, `${at}.directories`, `not a relative path: ${shown(node)}`);
    return word;
  });

  const nodes = mapAt(child(top, "nodes"), "nodes");
  const controllerList = child(nodes, "controllers");
  if (!isSeq(controllerList) || controllerList.items.length === 0)
    bad(controllerList ?? nodes, "nodes.controllers", "not a list of controllers");
  const controllers = (isSeq(controllerList) ? (controllerList.items as Node[]) : []).flatMap((item, index) => {
    const full = `nodes.controllers[${index}]`;
    const map = mapAt(item, full);
    if (!map) return [];
    warnUnknown(map, CONTROLLER_KEYS, full);
    const hostname = checked(
      map,
      "hostname",
      `${full}.hostname`,
      (word) => (isHostWord(word) ? word : undefined),
      "not a host name",
    );
    const address = checked(
      map,
      "ip_address",
      `${full}.ip_address`,
      (word) => (isIP(word) === 0 ? undefined : word),
      "not an IP address",
    );
    for (const key of ["hostname", "ip_address"]) {
      if (child(map, key) === undefined) bad(item, `${full}.${key}`, "missing");
    }
    const priority = checked(map, "priority", `${full}.priority`, number(0, 255), "not a number from 0 to 255") ?? 0;
    const services = mapAt(child(map, "services"), `${full}.services`);
    warnUnknown(services, SERVICES, `${full}.services`);
    const own = SERVICES.filter((name) => flagAt(services, name, `${full}.services.${name}`));
    const ownsVip = flagAt(map, "vip_owner", `${full}.vip_owner`);
    return hostname && address ? [{ hostname, address, priority, services: own, ownsVip, item }] : [];
  });
  for (const [index, { hostname, address, item }] of controllers.entries()) {
    const twin = controllers.slice(0, index).find((one) => one.hostname === hostname || one.address === address);
    if (twin) bad(item, `nodes.controllers: ${hostname} ${address}`, `stands already in line ${lineOf(twin.item)}`);
  }
  whole();
  return {
    path,
    volume: volume ?? DEFAULTS.volume_name,
    replicaCount: replicaCount ?? DEFAULTS.replica_count,
    arbiterCount: arbiterCount === 1 ? 1 : 0,
    brickPath,
    mountPoint,
    options,
    directories: directories.length > 0 ? directories : DEFAULTS.directories,
    controllers: controllers.map(({ item: _, ...controller }) => controller),
    warnings,
  };
}
