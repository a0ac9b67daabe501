/**
 * The fencing history Pacemaker keeps in its fencer's memory.
 * Input:  stdout of `stonith_admin --history '*' --verbose --output-as=xml`; when it was written, for times without a year.
 * Output: one entry a request, newest first, as printed. Pacemaker keeps 500 at most and none over a restart of the
 *         whole cluster; a request merged into another has an entry of its own.
 * Errors: OpsError bad-output: not that XML, or the tool's own error in it.
 * Source: pacemaker 2.1.5 lib/fencing/st_output.c, xml/api/fence-event-2.25.rng; test/fixtures/gfs2-cluster
 */
import { OpsError } from "../core/errors.ts";
import { parseStamp, resolveStamps } from "../core/log-clock.ts";
import { childNamed, elementsNamed, parseXml } from "../core/xml.ts";

export type HistoryEntry = {
  action: string;
  target: string;
  client: string;
  origin: string;
  delegate: string | undefined;
  status: "success" | "failed" | "pending";
  /** Start of the second (or the instant, where the tool writes fractions) in which it ended. */
  completedMs: number | undefined;
  /** True when the time is whole seconds: it then ended up to 999 ms later. */
  wholeSeconds: boolean;
  reason: string | undefined;
  evidence: { file: string; line: number };
};

export type Asker = { client: string | undefined; origin: string | undefined };

/** A request that Pacemaker merged into one that was running ends with it: so much apart at most. */
export const MERGED_MS = 1_000;

/**
 * Another program or another node: such a request may have been merged into one that was running. The same program on
 * the same node under another process number (two calls of stonith_admin in a script) is the next fence.
 */
export function isOtherAsker(a: Asker, b: Asker): boolean {
  const program = ({ client }: Asker) => client?.replace(/\.\d+$/, "");
  return program(a) !== program(b) || a.origin !== b.origin;
}

export const HISTORY_ARGV = ["stonith_admin", "--history", "*", "--verbose", "--output-as=xml"] as const;

export function parseHistory(xml: string, file: string, modifiedMs: number): HistoryEntry[] {
  const root = parseXml(xml, file);
  if (root.name !== "pacemaker-result")
    throw new OpsError("bad-output", `${file}: not the fencing history of stonith_admin: <${root.name}>`);
  const status = childNamed(root, "status");
  if (status?.attributes.code !== undefined && status.attributes.code !== "0") {
    throw new OpsError(
      "bad-output",
      `${file}: stonith_admin: ${status.attributes.message ?? `code ${status.attributes.code}`}`,
    );
  }
  const places = linesOf(xml);
  return [...elementsNamed(root, "fence_event")].map(({ attributes }, index) => {
    const { action, target, client, origin, delegate, status, completed, "exit-reason": reason } = attributes;
    const line = places[index] ?? 1;
    if (
      action === undefined ||
      target === undefined ||
      (status !== "success" && status !== "failed" && status !== "pending")
    ) {
      throw new OpsError("bad-output", `${file}:${line}: fence_event without action, target or status`);
    }
    const stamped = completed === undefined ? undefined : parseStamp(completed);
    const [completedMs] = stamped ? resolveStamps([stamped.stamp], { modifiedMs }).timesMs : [undefined];
    return {
      action,
      target,
      client: client ?? "unknown",
      origin: origin ?? "unknown",
      delegate,
      status,
      completedMs,
      wholeSeconds: !/:\d\d[.,]\d/.test(completed ?? ""),
      reason,
      evidence: { file, line },
    };
  });
}

/** The line of each `<fence_event`, in document order. */
function linesOf(xml: string): number[] {
  return xml.split("\n").flatMap((text, index) => [...text.matchAll(/<fence_event[\s>]/g)].map(() => index + 1));
}
