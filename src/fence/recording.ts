/**
 * The agent's side of the writer: starts it, hands it what is known, and waits for it no longer than it may.
 * Nothing here touches a disk.
 */
import { type Argv, startDetached } from "../core/exec.ts";
import type { Host } from "../core/host.ts";
import type { FromWriter, Health, ToWriter, Whereabouts } from "./writer.ts";

export const WRITER_PROGRAM = "fencepost-event-writer";

export type Recording = {
  /** Resolves when the intent is on disk, or when it has not been within `ms`. */
  intentStored(ms: number): Promise<void>;
  update(event: Extract<ToWriter, { kind: "update" }>["event"]): void;
  /** Where the event is; undefined when the writer has not said so within `ms`, or died. */
  finish(
    message: Extract<ToWriter, { kind: "final" }>,
    ms: number,
  ): Promise<{ where: Whereabouts; reason?: string } | undefined>;
};

type Written = { where: Whereabouts; reason?: string };

type WriterProcess = { send: (message: ToWriter) => void; end: () => void };

/** Starts the writer; `onMessage` hears what it says and, as undefined, that it has ended. */
function startWriter(
  self: Argv,
  env: Record<string, string>,
  onMessage: (message: FromWriter | undefined) => void,
): WriterProcess {
  const child = startDetached(self, { argv0: WRITER_PROGRAM, env });
  const gone = () => onMessage(undefined);
  child.once("error", gone);
  child.stdin?.on("error", () => undefined); // it died; `gone` says so
  let said = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    const lines = (said + chunk.toString("utf8")).split("\n");
    said = lines.pop() ?? "";
    for (const line of lines) onMessage(JSON.parse(line) as FromWriter);
  });
  child.stdout?.once("close", gone);
  return {
    send: (message) => child.stdin?.write(`${JSON.stringify(message)}\n`),
    end: () => child.stdin?.end(),
  };
}

async function atMost<T>(host: Host, promise: Promise<T>, ms: number): Promise<T | undefined> {
  const stop = new AbortController();
  const first = await Promise.race([promise, host.sleep(ms, stop.signal).then(() => undefined)]);
  stop.abort();
  return first;
}

/** The writer is given no more of our environment than it needs: the time zone, for the lines that people read. */
const writerEnvironment = (env: Readonly<Record<string, string | undefined>>): Record<string, string> => ({
  PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
  ...(env.TZ === undefined ? {} : { TZ: env.TZ }),
});

type Caller = { host: Host; self: Argv; env: Readonly<Record<string, string | undefined>> };

export function startRecording({ host, self, env }: Caller, intent: Extract<ToWriter, { kind: "intent" }>): Recording {
  const intentStored = Promise.withResolvers<void>();
  const done = Promise.withResolvers<Written | undefined>();
  const writer = startWriter(self, writerEnvironment(env), (message) => {
    if (message === undefined || "intent" in message) intentStored.resolve();
    if (message === undefined) done.resolve(undefined);
    else if ("done" in message)
      done.resolve({ where: message.done, ...(message.reason === undefined ? {} : { reason: message.reason }) });
  });
  writer.send(intent);
  return {
    intentStored: async (ms) => {
      await atMost(host, intentStored.promise, ms);
    },
    update: (event) => writer.send({ kind: "update", event }),
    finish: (message, ms) => {
      writer.send(message);
      return atMost(host, done.promise, ms);
    },
  };
}

/** Has the writer look at the log directory and the spool; undefined when it has not answered within `ms`. */
export function askHealth(
  { host, self, env }: Caller,
  check: Extract<ToWriter, { kind: "check" }>,
  ms: number,
): Promise<Health | undefined> {
  const health = Promise.withResolvers<Health | undefined>();
  const writer = startWriter(self, writerEnvironment(env), (message) => {
    if (message === undefined) health.resolve(undefined);
    else if ("health" in message) health.resolve(message.health);
  });
  writer.send(check);
  writer.end();
  return atMost(host, health.promise, ms);
}
