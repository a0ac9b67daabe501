/**
 * How long GFS2 stood still: facts of the logs → one block a lockspace.
 */
import { type FactOf, isKind, type LogFact, ownerOf, timeOr } from "../logs/fact.ts";
import type { LockspaceBlock } from "../why.ts";

/**
 * How long each lockspace stood still for that node: from where DLM stopped it until GFS2 had replayed the journal, on
 * the node whose files show most of it.
 */
export function blocksOf(facts: readonly LogFact[], targetId: number | undefined): LockspaceBlock[] {
  const mine = (fact: { nodeId: number | undefined }): boolean => targetId === undefined || fact.nodeId === targetId;
  const byFile = Map.groupBy(
    facts.filter(({ timeMs }) => timeMs !== undefined),
    ({ evidence }) => evidence.file,
  );
  const best = new Map<string, LockspaceBlock>();
  for (const [file, own] of byFile) {
    const lost = own.filter(isKind("lockspace-lost-node"));
    const gone = new Set([...lost, ...own.filter(isKind("dlm-fence-asked"))].map(({ nodeId }) => nodeId));
    // Nobody knows which of them is the node in question.
    if (targetId === undefined && gone.size > 1) continue;
    const waits = own.filter(isKind("lockspace-waits")).filter((wait) => mayWaitFor(mine, wait, own));
    for (const lockspace of new Set([...lost.filter(mine), ...waits].map((fact) => fact.lockspace))) {
      const block = blockOf(lockspace, file, own, facts, mine);
      const known = best.get(lockspace);
      if (!known || weight(block) > weight(known)) best.set(lockspace, block);
    }
  }
  return [...best.values()].sort((a, b) => a.lockspace.localeCompare(b.lockspace));
}

/** A wait names no node: it is for the one that the lockspace has lost, where the file tells, and else for who is to be fenced. */
function mayWaitFor(
  mine: (fact: { nodeId: number | undefined }) => boolean,
  wait: FactOf<"lockspace-waits">,
  own: readonly LogFact[],
): boolean {
  const before = own.filter(({ evidence }) => evidence.line < wait.evidence.line);
  const lost = before.filter(isKind("lockspace-lost-node")).findLast(({ lockspace }) => lockspace === wait.lockspace);
  if (lost) return mine(lost);
  return before
    .filter(isKind("dlm-fence-asked"))
    .every(
      (asked) =>
        mine(asked) ||
        before.some(
          (fact) =>
            fact.kind === "dlm-fence-status" &&
            fact.nodeId === asked.nodeId &&
            fact.result === 0 &&
            fact.evidence.line > asked.evidence.line,
        ),
    );
}

/** Complete beats partial, then long beats short. */
const weight = ({ exact, blockedMs, until }: LockspaceBlock): number =>
  (exact ? 2e12 : until ? 1e12 : 0) + (blockedMs ?? 0);

function blockOf(
  lockspace: string,
  file: string,
  own: readonly LogFact[],
  all: readonly LogFact[],
  mine: (fact: { nodeId: number | undefined }) => boolean,
): LockspaceBlock {
  const lost = own.filter(isKind("lockspace-lost-node")).find((fact) => fact.lockspace === lockspace && mine(fact));
  const stopped =
    lost &&
    own
      .filter(isKind("lockspace-stopped"))
      .find((fact) => fact.lockspace === lockspace && timeOr(fact, 0) >= timeOr(lost, 0));
  const waits = own
    .filter(isKind("lockspace-waits"))
    .find((fact) => fact.lockspace === lockspace && timeOr(fact, 0) >= timeOr(stopped ?? fact, 0));
  const start = stopped ?? waits;
  const startMs = start?.timeMs;
  if (!start || startMs === undefined)
    return { lockspace, from: undefined, waits: undefined, until: undefined, blockedMs: undefined, exact: false };
  // A dump counts whole seconds, the kernel microseconds: what followed may seem to come up to a second before it.
  const after = (fact: LogFact): boolean => timeOr(fact, 0) > startMs;
  const resumed = own.filter(isKind("lockspace-started")).find((fact) => fact.lockspace === lockspace && after(fact));
  const status = own.filter(isKind("dlm-fence-status")).find((fact) => mine(fact) && fact.result === 0 && after(fact));
  const kernel = all.filter((fact) => ownerOf(fact.evidence.file) === ownerOf(file) || own.includes(fact));
  const others = kernel.some(isKind("filesystem-recovered")) ? kernel : all;
  const replayed = others
    .filter(isKind("filesystem-recovered"))
    .find((fact) => fact.filesystem === lockspace && after(fact));
  const recovered = others
    .filter(isKind("lockspace-recovered"))
    .find((fact) => fact.lockspace === lockspace && after(fact));
  const place = <What extends string>(fact: LogFact | undefined, what: What) =>
    fact?.timeMs === undefined ? undefined : { timeMs: fact.timeMs, evidence: fact.evidence, what };
  const from = place(start, stopped ? ("stopped" as const) : ("waiting" as const));
  const until =
    place(replayed, "recovered" as const) ??
    place(recovered ?? resumed, "dlm-recovered" as const) ??
    place(status, "fenced" as const);
  return {
    lockspace,
    from,
    waits: place(waits, "waiting" as const),
    until,
    blockedMs: until && until.timeMs - startMs,
    exact: stopped !== undefined && until?.what === "recovered",
  };
}
