/**
 * What the checks look at, each read once, when first asked for, and within a time limit.
 * Errors: a reader rejects with the reason; the checks that needed it have then not run, and doctor says so by name.
 */
import { OpsError, reasonOf } from "../core/errors.ts";
import { type FileHandle, openForReading, openToFollow, readAt } from "../core/files.ts";
import type { Host } from "../core/host.ts";
import { assertLocal, assertLocalNow } from "../core/local-path.ts";
import { elementsNamed, parseXml } from "../core/xml.ts";
import { type Cib, outputOf, withinTime } from "../discovery/cib.ts";
import { DETAILED, type EventLog } from "../fence/event-log.ts";
import { DEFAULTS, type Options, parseStdin, resolveOptions } from "../fence/options.ts";
import { agentsBeside } from "./topology.ts";
import { readTopology } from "./topology-plan.ts";

export type AgentActions = { actions: ReadonlyMap<string, readonly string[]>; unread: readonly string[] };

/** A log directory and who says that it is one; the options of the recorder that uses it. */
export type LogPlace = EventLog & { said: string; options: Options };

export type RecordedEvent = { recorder: string; version: string; recordedMs: number; file: string };

export type Facts = {
  host: Host;
  env: Readonly<Record<string, string | undefined>>;
  cib: () => Promise<Cib>;
  agentActions: () => Promise<AgentActions>;
  logs: () => Promise<readonly LogPlace[]>;
  /** The newest events of this node's logs and of those that were named. */
  events: () => Promise<readonly RecordedEvent[]>;
};

export type FactsOptions = {
  host: Host;
  env: Readonly<Record<string, string | undefined>>;
  readCib: () => Promise<Cib>;
  logDir?: string | undefined;
  /** Logs of other nodes. */
  otherLogs?: readonly string[];
};

/** A disk that does not answer by then is a finding of its own. */
export const DISK_PATIENCE_MS = 2_000;
const METADATA_TIMEOUT_MS = 10_000;
const TAIL_BYTES = 256 * 1024;
/** The name goes to a program that runs what it names: nothing but a fence agent's name may. */
const AGENT_NAME = /^fence_[A-Za-z0-9_]+$/;

export function factsFrom({ host, env, readCib, logDir, otherLogs = [] }: FactsOptions): Facts {
  const cib = once(readCib);
  const logs = once(async () => placesFrom(host, await cib().catch(() => undefined), logDir));
  return {
    host,
    env,
    cib,
    logs,
    agentActions: once(async () => readAgentActions(host, agentsBeside(await cib()))),
    events: once(async () => {
      const own = (await logs()).map(({ directory }) => `${directory}/${DETAILED}`);
      const read = (path: string, open: typeof openForReading) =>
        withinTime(host, readTail(path, open), DISK_PATIENCE_MS, path).then((text) => parseEvents(text, path));
      const mounts = host.readText("/proc/self/mountinfo") ?? "";
      for (const path of own) await withinTime(host, assertLocal(path, mounts), DISK_PATIENCE_MS, path);
      return (
        await Promise.all([
          ...own.map((path) => read(path, openForReading)),
          ...otherLogs.map((path) => read(path, existing(openToFollow))),
        ])
      ).flat();
    }),
  };
}

const existing =
  (open: typeof openToFollow): typeof openForReading =>
  async (path) =>
    (await open(path)) ?? Promise.reject(new OpsError("bad-input", `${path}: no such file`));

async function readTail(path: string, open: (path: string) => Promise<FileHandle | undefined>): Promise<string> {
  const handle = await open(path);
  if (!handle) return "";
  try {
    const { size } = await handle.stat();
    const from = Math.max(0, size - TAIL_BYTES);
    const text = (await readAt(handle, from, size - from)).toString("utf8");
    return from === 0 ? text : text.slice(text.indexOf("\n") + 1);
  } finally {
    await handle.close();
  }
}

/** Lines that are no events are analyze's concern (`fencepost analyze verify`). */
export function parseEvents(text: string, file: string): RecordedEvent[] {
  return text.split("\n").flatMap((line) => {
    try {
      const record = JSON.parse(line) as Record<string, unknown>;
      const { recorder_node: recorder, agent_version: version, recorded_ms: recordedMs } = record;
      return typeof recorder === "string" && typeof version === "string" && typeof recordedMs === "number"
        ? { recorder, version, recordedMs, file }
        : [];
    } catch {
      return [];
    }
  });
}

/** What the recorder devices and the configuration file say; a person's environment never reaches an agent. */
export function placesFrom(host: Host, cib: Cib | undefined, logDir: string | undefined): LogPlace[] {
  const place = (said: string, lines: readonly string[]): LogPlace => {
    const options = resolveOptions(parseStdin(["action=monitor", ...lines].join("\n")), {}, (path) => {
      assertLocalNow(path, host.readText("/proc/self/mountinfo") ?? "");
      return host.readText(path);
    });
    return { said, options, directory: options.logDir, operationalLog: options.fenceLog };
  };
  if (logDir !== undefined) return [place("--log-dir", [`log_dir=${logDir}`])];
  const recorders = cib ? readTopology(cib).recorders : [];
  const places = [
    place(`default and ${DEFAULTS.config}`, []),
    ...recorders.map(({ id, attributes }) =>
      place(
        `fence device ${id}`,
        Object.entries(attributes)
          .filter(([name, value]) => !name.startsWith("pcmk_") && !/[\r\n]/.test(`${name}${value}`))
          .map(([name, value]) => `${name}=${value}`),
      ),
    ),
  ];
  return places.filter(({ directory }, index) => places.findIndex((one) => one.directory === directory) === index);
}

async function readAgentActions(host: Host, agents: readonly string[]): Promise<AgentActions> {
  const actions = new Map<string, readonly string[]>();
  const unread: string[] = [];
  for (const agent of agents) {
    try {
      if (!AGENT_NAME.test(agent)) throw new OpsError("unsupported", "not a fence agent's name");
      const argv = ["crm_resource", "--show-metadata", `stonith:${agent}`] as const;
      actions.set(agent, parseActions(await outputOf(host, argv, { timeoutMs: METADATA_TIMEOUT_MS })));
    } catch (error) {
      unread.push(`metadata of ${agent}: ${reasonOf(error)}`);
    }
  }
  return { actions, unread };
}

export function parseActions(metadata: string): string[] {
  // Some agents put a line of their own before the document.
  const start = metadata.indexOf("<resource-agent");
  const root = parseXml(start === -1 ? metadata : metadata.slice(start), "agent metadata");
  return [...elementsNamed(root, "action")].map(({ attributes }) => attributes.name ?? "");
}

const once = <T>(ask: () => Promise<T>): (() => Promise<T>) => {
  let asked: Promise<T> | undefined;
  return () => {
    asked ??= ask();
    return asked;
  };
};
