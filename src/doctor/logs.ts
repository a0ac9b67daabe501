/**
 * Checks of this node's log directory, of what waits to be written to it, and of its rotation.
 * Input:  facts as they were read. Output: findings. Nothing on a cluster or network filesystem is touched (SPEC 3).
 * Source: SPEC 3 "Durability"; logrotate(8).
 */
import { posix } from "node:path";
import { OpsError } from "../core/errors.ts";
import { freeBytes, listNames, modeOf, readWhole, statOf } from "../core/files.ts";
import type { Host } from "../core/host.ts";
import { assertLocal } from "../core/local-path.ts";
import { withinTime } from "../discovery/cib.ts";
import { INBOX_DIRECTORY } from "../fence/inbox.ts";
import { intentsDirectory, SPOOL_DIRECTORIES } from "../fence/pending.ts";
import { DISK_PATIENCE_MS, type Facts, type LogPlace } from "./facts.ts";
import { type Check, type Finding, inShell, type Result, shellLine } from "./finding.ts";

type Found = Omit<Finding, "id">;

const LOW_SPACE_BYTES = 64 * 1024 * 1024;
/** The timer comes every 5 minutes; what has waited for two of its rounds is not being fetched. */
const STUCK_MS = 11 * 60_000;
const MAX_CONFIG_BYTES = 1024 * 1024;
export const RECOVERY_TIMER = "fencepost-recover.timer";

/** For a check of every log directory; one that is not local or does not answer is not looked at. */
const forEachLog = async (
  { host, logs }: Facts,
  look: (place: LogPlace) => Promise<readonly Found[]>,
): Promise<{ findings: Found[]; unchecked: string[] }> => {
  const findings: Found[] = [];
  const unchecked: string[] = [];
  const mountinfo = host.readText("/proc/self/mountinfo") ?? "";
  for (const place of await logs()) {
    const work = assertLocal(place.directory, mountinfo).then(() => look(place));
    await withinTime(host, work, DISK_PATIENCE_MS, place.directory).then(
      (found) => findings.push(...found),
      (error: unknown) => unchecked.push(error instanceof Error ? error.message : String(error)),
    );
  }
  return { findings, unchecked };
};

const logCheck = (
  { id, describe, severity }: Pick<Check, "id" | "describe" | "severity">,
  look: (facts: Facts) => Promise<{ findings: readonly Found[]; unchecked?: readonly string[] }>,
): Check => ({
  id,
  describe,
  severity,
  about: "machine",
  run: async (facts): Promise<Result> => {
    const { findings, unchecked = [] } = await look(facts);
    return { findings: findings.map((finding) => ({ id, ...finding })), unchecked };
  },
});

// ------------------------------------------------------------------------------------------------------ its place

export async function findNotLocal({ host, logs }: Pick<Facts, "host" | "logs">): Promise<Found[]> {
  const mountinfo = host.readText("/proc/self/mountinfo");
  if (mountinfo === undefined) throw new OpsError("io", "/proc/self/mountinfo: not there");
  const found: Found[] = [];
  for (const { directory, said } of await logs()) {
    const refused = await withinTime(host, assertLocal(directory, mountinfo), DISK_PATIENCE_MS, directory).then(
      () => undefined,
      (error: unknown) => {
        if (error instanceof OpsError && error.kind === "unsafe") return error.message;
        throw error;
      },
    );
    if (refused !== undefined) {
      found.push({
        severity: "warning",
        object: directory,
        what: `log directory ${refused} (${said})`,
        why: "While a node is fenced such a filesystem blocks, for ever if it waits for that fence. Events go to the spool instead.",
        mend: said.startsWith("fence device ")
          ? {
              pcs: [shellLine("pcs", "stonith", "update", said.slice(13), "log_dir=")],
              crmsh: [shellLine("crm", "resource", "param", said.slice(13), "delete", "log_dir")],
              shell: [],
            }
          : inShell("sed -i '/^ *LOG_DIR=/d' /etc/fencepost/fence_gfs2_recorder.conf"),
      });
    }
  }
  return found;
}

export type DirectoryFacts = { mode: number; uid: number; gid: number } | undefined;

const DIRECTORY_BITS = 0o040000;
const TYPE_BITS = 0o170000;

/** `haclient`: the number of that group; undefined when there is none. */
export function findDirectory(path: string, facts: DirectoryFacts, haclient: number | undefined): Found[] {
  const group = haclient === undefined ? "root" : "haclient";
  const mend = inShell(shellLine("install", "-d", "-o", "root", "-g", group, "-m", "0750", path));
  const say = (what: string, why: string): Found => ({
    severity: "warning",
    object: path,
    what: `log directory ${path} ${what}`,
    why,
    mend,
  });
  if (!facts) return [say("does not exist", "Events go to the spool and are not to be found where people look.")];
  if ((facts.mode & TYPE_BITS) !== DIRECTORY_BITS) {
    return [{ ...say("is no directory", "Events go to the spool."), mend: inShell(shellLine("ls", "-ld", path)) }];
  }
  const mode = (facts.mode & 0o777).toString(8).padStart(4, "0");
  return [
    ...(facts.uid === 0 ? [] : [say("is not owned by root", "Its owner can change and remove the record.")]),
    ...((facts.mode & 0o022) === 0
      ? []
      : [say(`has mode ${mode}: others than root may write to it`, "They can change and remove the record.")]),
    ...((facts.mode & 0o007) === 0
      ? []
      : [
          {
            ...say(`has mode ${mode}: everybody may read it`, "It names hosts, storage and who fenced what."),
            severity: "note" as const,
          },
        ]),
    ...(haclient === undefined || facts.gid === haclient
      ? []
      : [
          {
            ...say("is not of group haclient", "Cluster administrators cannot read the record."),
            severity: "note" as const,
          },
        ]),
  ];
}

export const findSpace = (path: string, free: number): Found[] =>
  free >= LOW_SPACE_BYTES
    ? []
    : [
        {
          severity: "warning",
          object: path,
          what: `log directory ${path}: ${Math.floor(free / 1024)} KiB free`,
          why: "When it is full, events go to the spool, and from 64 MiB on they are turned away.",
          mend: inShell(shellLine("df", "-h", path), "logrotate --force /etc/logrotate.d/fencepost"),
        },
      ];

/** The number of a group, from /etc/group. */
export const groupId = (groups: string, name: string): number | undefined => {
  const id = groups
    .split("\n")
    .find((line) => line.startsWith(`${name}:`))
    ?.split(":")[2];
  return id === undefined ? undefined : Number(id);
};

// ------------------------------------------------------------------------------------------------------- rotation

type Rotation = { file: string; patterns: string[]; directives: string[] };

/** Blocks of logrotate's files: what they rotate, and how; directives outside a block hold for those after it. */
export function parseLogrotate(file: string, text: string, outside: string[] = []): Rotation[] {
  const found: Rotation[] = [];
  let patterns: string[] = [];
  let block: Rotation | undefined;
  let script = false;
  for (const raw of text.split("\n")) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    if (block) {
      if (script) script = line !== "endscript";
      else if (line === "}") block = undefined;
      else if (/^(pre|post|first|last)(rotate|action)$/.test(line)) script = true;
      else block.directives.push(line);
      continue;
    }
    const opens = line.endsWith("{");
    const words = (opens ? line.slice(0, -1) : line).match(/"[^"]*"|\S+/g) ?? [];
    if (words.some((word) => /^"?\//.test(word)) || opens) {
      patterns.push(...words.map((word) => word.replaceAll('"', "")));
      if (!opens) continue;
      block = { file, patterns, directives: [...outside] };
      found.push(block);
      patterns = [];
    } else outside.push(line);
  }
  return found;
}

export function findRotation(rotations: readonly Rotation[], directory: string, logs: readonly string[]): Found[] {
  const ours = rotations.filter(({ patterns }) =>
    patterns.some((pattern) => logs.some((log) => posix.matchesGlob(log, posix.normalize(pattern)))),
  );
  if (ours.length === 0) {
    return [
      {
        severity: "note",
        object: directory,
        what: `logrotate has no rule for ${directory}`,
        why: "The logs grow until the disk is full.",
        mend: inShell("ls /etc/logrotate.d/", "logrotate --debug /etc/logrotate.conf"),
      },
    ];
  }
  return ours
    .filter(({ directives }) => isOn(directives, "copytruncate"))
    .map(({ file }) => ({
      severity: "warning",
      object: file,
      what: `${file} rotates ${directory} by copytruncate`,
      why: "What is written between the copy and the truncation is lost.",
      mend: inShell(shellLine("sed", "-i", "s/^\\([[:space:]]*\\)copytruncate/\\1create 0640 root haclient/", file)),
    }));
}

/** The later of `word` and `noword` counts. */
const isOn = (directives: readonly string[], word: string): boolean =>
  directives.lastIndexOf(word) > directives.lastIndexOf(`no${word}`);

async function readRotations(host: Host): Promise<Rotation[]> {
  const files = [
    "/etc/logrotate.conf",
    ...host.listDirectory("/etc/logrotate.d").map((name) => `/etc/logrotate.d/${name}`),
  ];
  const outside: string[] = [];
  const found: Rotation[] = [];
  for (const file of files) {
    const text = await readWhole(file, MAX_CONFIG_BYTES);
    // A block's own `include` comes after what logrotate.conf says outside: it holds for those files too.
    if (text !== undefined) found.push(...parseLogrotate(file, text, file === files[0] ? outside : [...outside]));
  }
  return found;
}

// -------------------------------------------------------------------------------------------------------- leftovers

export type Waiting = { directory: string; names: readonly string[]; oldestMs: number | undefined; overflow?: number };

export function findSpooled({ directory, names, overflow }: Waiting): Found[] {
  const events = names.filter((name) => name.endsWith(".json") && !name.startsWith("."));
  return [
    ...(events.length === 0
      ? []
      : [
          {
            severity: "warning" as const,
            object: directory,
            what: `${events.length} event${events.length === 1 ? " waits" : "s wait"} in the spool ${directory}`,
            why: "They could not be written to the log directory, and are not in the log yet.",
            mend: inShell(
              "fence_gfs2_recorder -o monitor -v",
              shellLine("systemctl", "start", service(RECOVERY_TIMER)),
            ),
          },
        ]),
    ...(overflow === undefined || overflow === 0
      ? []
      : [
          {
            severity: "warning" as const,
            object: directory,
            what: `the spool ${directory} was full: ${overflow} events were turned away`,
            why: "They are in syslog only.",
            mend: inShell("journalctl -t fence_gfs2_recorder", shellLine("rm", `${directory}/overflow`)),
          },
        ]),
  ];
}

const service = (timer: string): string => timer.replace(/\.timer$/, ".service");

export const findIntents = ({ directory, names, oldestMs }: Waiting, nowMs: number): Found[] =>
  oldestMs === undefined || nowMs - oldestMs < STUCK_MS
    ? []
    : [
        {
          severity: "warning",
          object: directory,
          what: `${names.length} event${names.length === 1 ? " was" : "s were"} left unfinished in ${directory}, the oldest ${age(nowMs - oldestMs)} ago`,
          why: "Their recorder died before it wrote the last line; nothing has recovered them since.",
          mend: inShell(
            shellLine("systemctl", "enable", "--now", RECOVERY_TIMER),
            shellLine("systemctl", "start", service(RECOVERY_TIMER)),
          ),
        },
      ];

export function findInbox({ directory, names, oldestMs }: Waiting, nowMs: number): Found[] {
  const waiting = names.filter((name) => !name.startsWith("."));
  const refused = names.filter((name) => name.startsWith(".refused-"));
  return [
    ...(waiting.length === 0 || oldestMs === undefined || nowMs - oldestMs < STUCK_MS
      ? []
      : [
          {
            severity: "warning" as const,
            object: directory,
            what: `${waiting.length} outcome${waiting.length === 1 ? "" : "s"} from the alert not merged, the oldest ${age(nowMs - oldestMs)} old`,
            why: "The timer that writes them into the log is not at work: what became of those fences is not in the record.",
            mend: inShell(shellLine("systemctl", "enable", "--now", RECOVERY_TIMER)),
          },
        ]),
    ...(refused.length === 0
      ? []
      : [
          {
            severity: "warning" as const,
            object: directory,
            what: `${refused.length} file${refused.length === 1 ? "" : "s"} in the inbox ${directory} refused`,
            why: "They were not what the alert agent writes; somebody else may have put them there.",
            mend: inShell(shellLine("ls", "-lA", directory)),
          },
        ]),
  ];
}

const age = (ms: number): string =>
  ms < 3_600_000
    ? `${Math.floor(ms / 60_000)} min`
    : ms < 172_800_000
      ? `${Math.floor(ms / 3_600_000)} h`
      : `${Math.floor(ms / 86_400_000)} days`;

async function readWaiting(host: Host, directory: string, counts: (name: string) => boolean): Promise<Waiting> {
  const read = async (): Promise<Waiting> => {
    const names = (await listNames(directory)).filter(counts);
    const stats = await Promise.all(
      names.filter((name) => !name.startsWith(".")).map((name) => statOf(`${directory}/${name}`)),
    );
    const times = stats.flatMap((stat) => (stat ? [stat.modifiedMs] : []));
    const overflow = Number((await readWhole(`${directory}/overflow`, 64)) ?? "0");
    return { directory, names, oldestMs: times.length === 0 ? undefined : Math.min(...times), overflow };
  };
  return withinTime(host, read(), DISK_PATIENCE_MS, directory);
}

const isEntry = (name: string): boolean =>
  name.endsWith(".json") && (!name.startsWith(".") || name.startsWith(".refused-"));

export const LOG_CHECKS: readonly Check[] = [
  logCheck(
    { id: "log-filesystem", describe: "log directory on a cluster or network filesystem", severity: "warning" },
    async (facts) => ({ findings: await findNotLocal(facts) }),
  ),
  logCheck(
    { id: "log-directory", describe: "log directory: there, owner, permissions", severity: "warning" },
    (facts) => {
      const haclient = groupId(facts.host.readText("/etc/group") ?? "", "haclient");
      return forEachLog(facts, async ({ directory }) =>
        findDirectory(directory, (await statOf(directory)) && (await modeOf(directory)), haclient),
      );
    },
  ),
  logCheck({ id: "log-space", describe: "free space for the log", severity: "warning" }, (facts) =>
    forEachLog(facts, async ({ directory }) =>
      (await statOf(directory)) === undefined ? [] : findSpace(directory, await freeBytes(directory)),
    ),
  ),
  logCheck(
    { id: "rotation", describe: "rotation of the logs; copytruncate", severity: "warning" },
    async ({ host, logs }) => {
      const rotations = await withinTime(host, readRotations(host), DISK_PATIENCE_MS, "/etc/logrotate.d");
      return {
        findings: (await logs()).flatMap(({ directory, operationalLog }) =>
          findRotation(rotations, directory, [`${directory}/fence-events-detailed.jsonl`, operationalLog]),
        ),
      };
    },
  ),
  logCheck({ id: "spool", describe: "events that wait in the spool", severity: "warning" }, async ({ host }) => {
    const waiting = await Promise.all(SPOOL_DIRECTORIES.map((directory) => readWaiting(host, directory, isEntry)));
    return { findings: waiting.flatMap(findSpooled) };
  }),
  logCheck({ id: "leftovers", describe: "events that a dead recorder left unfinished", severity: "warning" }, (facts) =>
    forEachLog(facts, async (place) =>
      findIntents(await readWaiting(facts.host, intentsDirectory(place), isEntry), facts.host.now().getTime()),
    ),
  ),
  logCheck(
    { id: "inbox", describe: "outcomes from the alert that nobody merges", severity: "warning" },
    async ({ host }) => ({
      findings: findInbox(await readWaiting(host, INBOX_DIRECTORY, isEntry), host.now().getTime()),
    }),
  ),
];
