/**
 * Checks of this node beyond its logs: settings, health, timer, clock, versions, discovery sources.
 * Input:  what its tools say. Output: findings.
 * Source: timedatectl(1) show, chronyc(1) tracking, systemctl(1) is-active.
 */
import { OpsError, reasonOf } from "../core/errors.ts";
import { failureOf } from "../core/exec.ts";
import type { Host } from "../core/host.ts";
import { escapeControl } from "../core/text.ts";
import { VERSION } from "../core/version.ts";
import { dlmSource } from "../discovery/dlm.ts";
import { kubernetesSource } from "../discovery/kubernetes.ts";
import { pacemakerSource } from "../discovery/pacemaker.ts";
import type { Method, ProbeOutcome, Source } from "../discovery/source.ts";
import type { Facts, LogPlace, RecordedEvent } from "./facts.ts";
import { type Check, type Finding, inShell, shellLine } from "./finding.ts";
import { RECOVERY_TIMER } from "./logs.ts";

type Found = Omit<Finding, "id">;

const TOOL_TIMEOUT_MS = 5_000;
export const HEALTH_FILE = "/run/fencepost/health.json";
/** More than the monitor's interval, whatever that is: a day. */
const OLD_HEALTH_MS = 24 * 3_600_000;
const SKEW_MS = 60_000;
const OFFSET_SECONDS = 1;

// --------------------------------------------------------------------------------------------------------- settings

export const findSettings = (places: readonly Pick<LogPlace, "said" | "options">[]): Found[] =>
  places.flatMap(({ said, options }) =>
    options.warnings.map((warning) => ({
      severity: "warning" as const,
      object: said,
      what: `${said}: ${warning}`,
      why: "The recorder takes the default in its place.",
      mend: inShell("fence_gfs2_recorder --help", "cat /etc/fencepost/fence_gfs2_recorder.conf"),
    })),
  );

// ----------------------------------------------------------------------------------------------------------- health

const MONITOR = inShell("fence_gfs2_recorder -o monitor -v");

/** `text` of the health file that the last monitor wrote; undefined when there is none. */
export function findHealth(text: string | undefined, nowMs: number): Found[] {
  const say = (severity: Found["severity"], what: string, why: string): Found => ({
    severity,
    object: HEALTH_FILE,
    what,
    why,
    mend: MONITOR,
  });
  if (text === undefined) {
    return [
      say("note", "no monitor of a recorder has run on this node since it booted", "Its health is not known here."),
    ];
  }
  const health = decodeHealth(text);
  if (!health) throw new OpsError("bad-input", `${HEALTH_FILE}: not a health file`);
  const { checkedMs, canRecord, findings } = health;
  const old = nowMs - checkedMs > OLD_HEALTH_MS;
  return [
    ...(old
      ? [say("note", `the last monitor ran at ${new Date(checkedMs).toISOString()}`, "What it found may be over.")]
      : []),
    ...(canRecord
      ? []
      : [say("warning", "the last monitor could not record at all", "A fence would leave no trace but syslog.")]),
    ...findings.map((finding) =>
      say(old ? "note" : "warning", escapeControl(finding), "The last monitor of the recorder found it."),
    ),
  ];
}

function decodeHealth(text: string): { checkedMs: number; canRecord: boolean; findings: string[] } | undefined {
  try {
    const { checked_at: at, can_record: canRecord, findings } = JSON.parse(text) as Record<string, unknown>;
    const checkedMs = typeof at === "string" ? Date.parse(at) : Number.NaN;
    if (Number.isNaN(checkedMs) || typeof canRecord !== "boolean" || !Array.isArray(findings)) return undefined;
    return { checkedMs, canRecord, findings: findings.map(String) };
  } catch {
    return undefined;
  }
}

// ------------------------------------------------------------------------------------------------------------ clock

export type ClockFacts = { synchronised: boolean; by: string; offsetSeconds?: number };

/** `timedatectl show -p NTPSynchronized` */
export function parseTimedatectl(text: string): ClockFacts | undefined {
  const word = /^NTPSynchronized=(yes|no)$/m.exec(text)?.[1];
  return word === undefined ? undefined : { synchronised: word === "yes", by: "timedatectl" };
}

/** `chronyc -n tracking` */
export function parseChronyTracking(text: string): ClockFacts | undefined {
  const leap = /^Leap status\s*:\s*(.+)$/m.exec(text)?.[1]?.trim();
  if (leap === undefined) return undefined;
  const offset = /^System time\s*:\s*([0-9.]+) seconds/m.exec(text)?.[1];
  return {
    synchronised: leap.toLowerCase() !== "not synchronised",
    by: "chronyc",
    ...(offset === undefined ? {} : { offsetSeconds: Number(offset) }),
  };
}

async function readClock(host: Host): Promise<ClockFacts> {
  const reasons: string[] = [];
  const ask = async (
    argv: readonly [string, ...string[]],
    parse: (text: string) => ClockFacts | undefined,
  ): Promise<ClockFacts | undefined> => {
    const result = await host.run(argv, { timeoutMs: TOOL_TIMEOUT_MS });
    const failure = failureOf(result, TOOL_TIMEOUT_MS);
    const facts = failure === undefined ? parse(result.stdout) : undefined;
    if (!facts) reasons.push(failure ?? `${argv[0]}: not understood`);
    return facts;
  };
  // chronyc knows by how much; timedatectl only whether the kernel takes the clock for synchronised.
  const answers = [
    await ask(["chronyc", "-n", "tracking"], parseChronyTracking),
    await ask(["timedatectl", "show", "-p", "NTPSynchronized"], parseTimedatectl),
  ].filter((one) => one !== undefined);
  const [first] = answers;
  if (!first) throw new OpsError("missing-tool", reasons.join("; "));
  return answers.find(({ synchronised }) => synchronised) ?? first;
}

const CLOCK_WHY = "Events of several nodes are put in order by their clocks, and --since looks for times.";

export function findClock({ synchronised, by, offsetSeconds = 0 }: ClockFacts): Found[] {
  const mend = inShell("timedatectl set-ntp true", "chronyc -n sources");
  if (!synchronised) {
    return [
      { severity: "warning", object: "clock", what: `the clock is not synchronised (${by})`, why: CLOCK_WHY, mend },
    ];
  }
  if (offsetSeconds < OFFSET_SECONDS) return [];
  return [
    { severity: "warning", object: "clock", what: `the clock is ${offsetSeconds} s off (${by})`, why: CLOCK_WHY, mend },
  ];
}

export function findSkew(events: readonly RecordedEvent[], nowMs: number): Found[] {
  const byRecorder = Map.groupBy(events, ({ recorder }) => recorder);
  return [...byRecorder].flatMap(([recorder, own]): Found[] => {
    const newest = own.reduce((a, b) => (b.recordedMs > a.recordedMs ? b : a));
    const ahead = newest.recordedMs - nowMs;
    if (ahead < SKEW_MS) return [];
    return [
      {
        severity: "warning",
        object: recorder,
        what: `${newest.file} holds an event of ${recorder} from ${Math.round(ahead / 1000)} s in the future`,
        why: "Its clock, or this one's, is or was wrong.",
        mend: inShell("timedatectl status", "chronyc -n tracking"),
      },
    ];
  });
}

// --------------------------------------------------------------------------------------------------------- versions

/** The version that each recorder wrote last; `ours` is that of this program, which the agent on this node is too. */
export function findVersions(
  events: readonly RecordedEvent[],
  { ours, node }: { ours: string; node: string },
): Found[] {
  const last = new Map<string, RecordedEvent>();
  for (const event of events) {
    const before = last.get(event.recorder);
    if (!before || event.recordedMs >= before.recordedMs) last.set(event.recorder, event);
  }
  last.delete(node); // what is installed counts, not what wrote before an upgrade
  const others = [...last.values()].filter(({ version }) => version !== ours);
  return others.map(({ recorder, version }) => ({
    severity: "warning",
    object: recorder,
    what: `${recorder} recorded with version ${escapeControl(version)}; this node has ${ours}`,
    why: "Which node's recorder is called is Pacemaker's choice; they should say the same of the same fence.",
    mend: inShell(`fencepost --version   # on ${escapeControl(recorder)}`),
  }));
}

// ------------------------------------------------------------------------------------------------------------ timer

export const findTimer = (state: string): Found[] =>
  state === "active"
    ? []
    : [
        {
          severity: "warning",
          object: RECOVERY_TIMER,
          what: `${RECOVERY_TIMER} is ${escapeControl(state)}`,
          why: "It merges what the alert recorded and recovers what a crash left behind; without it that waits for the next fence.",
          mend: inShell(shellLine("systemctl", "enable", "--now", RECOVERY_TIMER)),
        },
      ];

async function readTimer(host: Host): Promise<string> {
  const result = await host.run(["systemctl", "is-active", RECOVERY_TIMER], { timeoutMs: TOOL_TIMEOUT_MS });
  const state = result.stdout.trim();
  // is-active exits 3 or 4 for a unit that is not; without a word the manager could not be asked.
  if (result.outcome === "exited" && /^(active|inactive|failed|activating|deactivating|unknown)$/.test(state))
    return state;
  throw new OpsError("failed", failureOf(result, TOOL_TIMEOUT_MS) ?? `systemctl is-active: ${state}`);
}

// ---------------------------------------------------------------------------------------------------------- sources

export type Asked = { method: Method; outcome: ProbeOutcome };

const SOURCE_COMMANDS: Readonly<Record<Method, readonly string[]>> = {
  kubernetes: ["kubectl --request-timeout=5s get clientmounts -A"],
  dlm: ["dlm_tool ls", "crm_mon -1"],
  pacemaker: ["cibadmin -Q -l"],
};

export function findSources(asked: readonly Asked[]): Found[] {
  const silent = asked.filter(({ outcome }) => outcome.status === "failed" || outcome.status === "unavailable");
  const all = silent.length === asked.length;
  return silent.map(({ method, outcome }) => ({
    severity: outcome.status === "failed" || all ? "warning" : "note",
    object: method,
    what: `discovery source ${method} is not reachable: ${"reason" in outcome ? outcome.reason : outcome.status}`,
    why: all
      ? "No source can be asked: every event will say that its GFS2 context is unknown."
      : "The sources after it are asked instead, and may know less about the fenced node.",
    mend: inShell(...SOURCE_COMMANDS[method]),
  }));
}

async function askSources({ host, env, cib, logs }: Facts): Promise<Asked[]> {
  const [place] = await logs();
  const options = place?.options;
  if (options && !options.discoveryEnabled) return [];
  const settings = { kubectlCmd: options?.kubectlCmd, kubeconfig: options?.kubeconfig, env: { PATH: env.PATH } };
  const sources: readonly Source[] = [kubernetesSource(settings), dlmSource(), pacemakerSource()];
  const stop = new AbortController();
  const target = host.hostname();
  const answers = sources.map(async ({ method, probe }): Promise<Asked> => {
    const asked = probe({ target, host, timeoutMs: TOOL_TIMEOUT_MS, signal: stop.signal, cib, learn: () => undefined });
    const outcome = await Promise.race([
      asked,
      host
        .sleep(TOOL_TIMEOUT_MS + 500, stop.signal)
        .then((): ProbeOutcome => ({ status: "failed", reason: "timed out" })),
    ]).catch((error: unknown): ProbeOutcome => ({ status: "failed", reason: reasonOf(error) }));
    return { method, outcome };
  });
  const all = await Promise.all(answers);
  stop.abort();
  return all;
}

const machineCheck = (
  { id, describe }: Pick<Check, "id" | "describe">,
  find: (facts: Facts) => Promise<Found[]>,
): Check => ({
  id,
  describe,
  severity: "warning",
  about: "machine",
  run: async (facts) => ({ findings: (await find(facts)).map((finding) => ({ id, ...finding })) }),
});

export const MACHINE_CHECKS: readonly Check[] = [
  machineCheck({ id: "settings", describe: "settings of the recorder that mean nothing" }, async ({ logs }) =>
    findSettings(await logs()),
  ),
  machineCheck({ id: "health", describe: "what the recorder's last monitor found" }, async ({ host }) =>
    findHealth(host.readText(HEALTH_FILE), host.now().getTime()),
  ),
  machineCheck({ id: "timer", describe: "the timer that recovers and merges" }, async ({ host }) =>
    findTimer(await readTimer(host)),
  ),
  machineCheck({ id: "clock", describe: "is the clock synchronised?" }, async ({ host }) =>
    findClock(await readClock(host)),
  ),
  machineCheck({ id: "skew", describe: "events from the future" }, async ({ host, events }) =>
    findSkew(await events(), host.now().getTime()),
  ),
  machineCheck(
    { id: "agent-versions", describe: "recorders of different versions (see --log)" },
    async ({ host, events }) => findVersions(await events(), { ours: VERSION, node: host.hostname() }),
  ),
  machineCheck({ id: "sources", describe: "can each discovery source be asked?" }, async (facts) =>
    findSources(await askSources(facts)),
  ),
];
