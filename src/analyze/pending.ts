/**
 * Events that wait for their log: in the spool, where no log directory answered, and in the inbox, from alerts.
 * Input:  the spool's and the inbox's files, read only. Output: events. What cannot be read is said on stderr.
 */
import { reasonOf } from "../core/errors.ts";
import { listNames, readWhole } from "../core/files.ts";
import type { ProgramContext } from "../core/program.ts";
import { decodeRecord, isEvent } from "./decode.ts";
import type { AnalyzedEvent } from "./event.ts";
import { INBOX_DIRECTORY, SPOOL_DIRECTORIES } from "./inputs.ts";

const MAX_PENDING_BYTES = 1024 * 1024;

/** One file that waits in the spool or the inbox. */
type Waiting = { path: string; record: unknown; complete: boolean };

/** Events that are in no log yet: the spool's (the recorder's events), the inbox's (alerts, which are outcomes). */
export async function readPending(context: ProgramContext, stream: "events" | "outcomes"): Promise<AnalyzedEvent[]> {
  const directories = stream === "events" ? SPOOL_DIRECTORIES : [INBOX_DIRECTORY];
  const found: AnalyzedEvent[] = [];
  for (const directory of directories) {
    for (const { path, record } of await waitingIn(context, directory)) {
      const decoded = decodeRecord(record, JSON.stringify(record), { file: path, line: 1 });
      if (isEvent(decoded)) found.push(decoded);
      else context.err(`${path}: not counted: ${decoded.reason}`);
    }
  }
  return found;
}

/** The entries of a directory of pending events; a directory that may not be looked into is said, not passed over. */
async function waitingIn({ err }: ProgramContext, directory: string): Promise<Waiting[]> {
  const entries: Waiting[] = [];
  const names = await listNames(directory).catch((error: unknown) => {
    err(`${directory}: not read: ${reasonOf(error)}`);
    return [];
  });
  for (const name of names) {
    if (name.startsWith(".") || !name.endsWith(".json")) continue;
    const path = `${directory}/${name}`;
    try {
      const text = await readWhole(path, MAX_PENDING_BYTES);
      if (text === undefined) continue; // recovered meanwhile
      const entry = JSON.parse(text) as Record<string, unknown>;
      // The spool wraps the event with its owner; the inbox holds it as it is.
      const wrapped = typeof entry.event === "object" && entry.event !== null;
      entries.push({ path, record: wrapped ? entry.event : entry, complete: entry.complete !== false });
    } catch (error) {
      err(`${path}: not counted: ${reasonOf(error)}`);
    }
  }
  return entries;
}
