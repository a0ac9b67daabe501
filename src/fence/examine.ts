/**
 * Asks the cluster about the target: guard and discovery beside each other, from one reading of the configuration.
 * Output: by way of `know`, whatever the event should say as soon as it is known; at last the guard's verdict to keep.
 * Errors: none of the cluster's; what could not be asked is in the event.
 */
import { reasonOf } from "../core/errors.ts";
import { discover } from "../discovery/cascade.ts";
import { type Cib, clusterFacts, eitherCib, readCib, readCibFile } from "../discovery/cib.ts";
import { dlmSource } from "../discovery/dlm.ts";
import { kubernetesSource } from "../discovery/kubernetes.ts";
import { nameByLockspace, readLocalMounts } from "../discovery/local-gfs2.ts";
import { pacemakerSource } from "../discovery/pacemaker.ts";
import type { ClusterFacts, PendingOperation } from "../discovery/source.ts";
import type { FenceEvent } from "../records/fence-event.ts";
import { type AgentContext, calledByFencer } from "./agent.ts";
import { askGuard, encodeVerdict, type GuardAnswer, guardFileName } from "./guard.ts";

const CIB_TIMEOUT_MS = 1_000;
/** By hand the cluster's own name and DC are worth a short wait, no more. */
const FACTS_WAIT_MS = 250;

type Kept = { fileName: string; text: string };

export async function examine(
  context: AgentContext,
  intent: FenceEvent,
  startedMs: number,
  know: (more: Partial<FenceEvent>) => void,
): Promise<Kept | undefined> {
  const { host, options, env } = context;
  const { target, action } = intent;
  const stop = new AbortController();
  const limits = { timeoutMs: CIB_TIMEOUT_MS, signal: stop.signal };
  const liveCib = once(() => readCib(host, limits));
  const fileCib = once(() => readCibFile(host, limits));
  let cluster: ClusterFacts | undefined;
  let operation: PendingOperation | undefined;

  // Discovery first: crm_mon takes the longest of all that is started here.
  const discovering = options.discoveryEnabled
    ? discover([kubernetesSource({ ...options, env }), dlmSource(), pacemakerSource()], {
        target,
        host,
        timeoutMs: Math.max(0, Math.floor(options.discoveryTimeoutMs - (host.monotonicMs() - startedMs))),
        cib: eitherCib(liveCib, fileCib),
        learn: (facts) => {
          cluster = { ...cluster, ...facts.cluster };
          operation = facts.operation ?? operation;
        },
        onProgress: ({ filesystems, ...discovery }) => know({ discovery, filesystems }),
      })
    : undefined;
  // A gate passes on a verdict that somebody else has to answer for: there is nothing to guard (SPEC 3).
  const guarding =
    options.role === "record" && calledByFencer(context)
      ? askGuard({ host, target, readCib: liveCib, readCibFile: fileCib }).catch(notAnswered)
      : undefined;
  const judged = guarding?.then(({ verdict, source, reason }) => {
    const refused = verdict !== "ok" && action !== "on";
    know({
      guard: { verdict, source, reason },
      ...(refused ? { status: "refused", details: `${intent.details}; refused: ${reason}` } : {}),
    });
  });

  const [found] = await Promise.all([discovering, judged]);
  const cib = guarding ? await liveCib().catch(() => undefined) : await soon(context, liveCib());
  stop.abort();
  // What crm_mon says of the target is as fresh, and spares parsing the status.
  if (cib) cluster = { ...clusterFacts(cib, target, { withState: cluster?.targetState === undefined }), ...cluster };
  if (found) {
    const { filesystems, ...discovery } = found;
    const named = discovery.method === "kubernetes" ? filesystems : nameByLockspace(filesystems, readLocalMounts(host));
    know({ discovery, filesystems: named });
  }
  know({ ...(cluster === undefined ? {} : { cluster }), ...(operation === undefined ? {} : { operation }) });
  return guarding && verdictToKeep(await guarding, intent);
}

const soon = ({ host }: AgentContext, asked: Promise<Cib>): Promise<Cib | undefined> =>
  Promise.race([asked.catch(() => undefined), host.sleep(FACTS_WAIT_MS).then(() => undefined)]);

/** A guard that broke has not answered; a check that did not run did not pass. */
const notAnswered = (error: unknown): GuardAnswer => ({
  verdict: "unknown",
  source: "none",
  reason: `the guard failed: ${reasonOf(error)}`,
});

function verdictToKeep({ verdict, source, reason }: GuardAnswer, { target, time }: FenceEvent): Kept | undefined {
  const fileName = guardFileName(target);
  if (verdict === "unknown" || source === "last-verdict" || fileName === undefined) return undefined;
  return { fileName, text: encodeVerdict({ verdict, reason, target, time }) };
}

const once = <T>(ask: () => Promise<T>): (() => Promise<T>) => {
  let asked: Promise<T> | undefined;
  return () => {
    asked ??= ask();
    return asked;
  };
};
