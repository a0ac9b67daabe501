/**
 * The inbox: outcomes that the alert agent, which runs as hacluster, could not write into root's log itself.
 * Input:  /var/lib/fencepost/inbox/NAME.json, each at most 64 KiB, a regular file with one name.
 * Output: lines of fence-outcomes.jsonl, each event id once, with their source forced to `alert`.
 * What is refused stays there under a name that is not looked at again, and is named once.
 */
import { reasonOf } from "../core/errors.ts";
import { listNames, moveIfThere, readWhole, remove } from "../core/files.ts";
import type { Host } from "../core/host.ts";
import { decodeOutcome, encodeOutcome } from "../records/fence-outcome.ts";
import { appendOutcome, type EventLog } from "./event-log.ts";
import { type Recovery, STATE_DIRECTORY } from "./pending.ts";

export const INBOX_DIRECTORY = `${STATE_DIRECTORY}/inbox`;
export const MAX_OUTCOME_BYTES = 64 * 1024;
/** What the alert agent calls them; short enough for the prefix that a refused one gets. */
const NAME = /^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}\.json$/;
const LOCK_TIMEOUT_MS = 5_000;
/** A flood in the inbox must not keep the writer busy for ever; the next one goes on. */
const MAX_A_TIME = 10_000;

export async function mergeInbox(host: Host, log: EventLog): Promise<Recovery> {
  const merged: Recovery = { recovered: [], problems: [] };
  const names = (await listNames(INBOX_DIRECTORY)).filter((name) => NAME.test(name));
  for (const name of names.slice(0, MAX_A_TIME)) {
    const path = `${INBOX_DIRECTORY}/${name}`;
    let outcome: ReturnType<typeof encodeOutcome>;
    try {
      const text = await readWhole(path, MAX_OUTCOME_BYTES);
      if (text === undefined) continue; // somebody else was quicker
      outcome = encodeOutcome(decodeOutcome(JSON.parse(text), "alert"));
    } catch (error) {
      merged.problems.push(`${path}: ${reasonOf(error)}`);
      await moveIfThere(path, `${INBOX_DIRECTORY}/.refused-${name}`).catch((second: unknown) =>
        merged.problems.push(`${path}: ${reasonOf(second)}`),
      );
      continue;
    }
    try {
      const wrote = await appendOutcome(log, outcome, { timeoutMs: LOCK_TIMEOUT_MS, now: () => host.now() });
      await remove(path);
      if (wrote) merged.recovered.push(String(outcome.event_id));
    } catch (error) {
      merged.problems.push(`${path}: ${reasonOf(error)}`);
    }
  }
  return merged;
}
