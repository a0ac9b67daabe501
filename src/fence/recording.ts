/**
 * The agent's side of the writer: starts it, hands it what is known, and waits for it no longer than it may.
 * Nothing here touches a disk.
 */
import { type Argv, startDetached } from "../core/exec.ts";
import type { Host } from "../core/host.ts";
import type { FromWriter, Health, ToWriter, Whereabouts } from "./writer.ts";

export const WRITER_PROGRAM = "fencepost-event-writer";

export type Recording = {
  update(event: Extract<ToWriter, { kind: "update" }>["event"]): void;
  /** Where the event is; `writer`: it has not said so within `ms` and goes on without us. */
  finish(message: Extract<ToWriter, { kind: "final" }>, ms: number): Promise<Written>;
};

export type Written = { where: Whereabouts | "writer"; reason?: string };

type WriterProcess = { send: (message: ToWriter) => void; end: () => void };

/** Starts the writer; `onMessage` hears what it says and, as undefined, that it has ended. */
function startWriter(
  self: Argv,
  env: Record<string, string>,
  onMessage: (message: FromWriter | undefined) => void,
): WriterProcess {
  let said = "";
  const onOutput = (text: string | undefined): void => {
    if (text === undefined) {
      onMessage(undefined);
      return;
    }
    const lines = (said + text).split("\n");
    said = lines.pop() ?? "";
    for (const line of lines) onMessage(JSON.parse(line) as FromWriter);
  };
  try {
    const writer = startDetached(self, { argv0: WRITER_PROGRAM, env }, onOutput);
    return { send: (message) => writer.send(`${JSON.stringify(message)}\n`), end: writer.end };
  } catch {
    onMessage(undefined); // no more processes: the event still goes to stderr
    return { send: () => undefined, end: () => undefined };
  }
}

export async function atMost<T>(host: Host, promise: Promise<T>, ms: number): Promise<T | undefined> {
  const stop = new AbortController();
  const first = await Promise.race([promise, host.sleep(ms, stop.signal).then(() => undefined)]);
  stop.abort();
  return first;
}

/** The writer is given no more of our environment than it needs: the time zone, for the lines that people read. */
export const writerEnvironment = (env: Readonly<Record<string, string | undefined>>): Record<string, string> => ({
  PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
  ...(env.TZ === undefined ? {} : { TZ: env.TZ }),
});

type Caller = { host: Host; self: Argv; env: Readonly<Record<string, string | undefined>> };

export function startRecording({ host, self, env }: Caller, intent: Extract<ToWriter, { kind: "intent" }>): Recording {
  const done = Promise.withResolvers<Written>();
  let intentStored = false;
  const writer = startWriter(self, writerEnvironment(env), (message) => {
    if (message === undefined) done.resolve({ where: intentStored ? "intent" : "nowhere", reason: "the writer died" });
    else if ("intent" in message) intentStored = true;
    else if ("done" in message)
      done.resolve({ where: message.done, ...(message.reason === undefined ? {} : { reason: message.reason }) });
  });
  writer.send(intent);
  return {
    update: (event) => writer.send({ kind: "update", event }),
    finish: async (message, ms) => {
      writer.send(message);
      const reason = `the writer has not answered within ${ms} ms`;
      return (await atMost(host, done.promise, ms)) ?? { where: intentStored ? "intent" : "writer", reason };
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
