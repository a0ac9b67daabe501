/**
 * The page about one fence, topic by topic: what is said goes to `findings`, what no source says to `gaps`.
 */
import type { Evidence } from "../event.ts";
import { type FactDetail, isKind, isSame, type LogFact, type LogFile, timeOr } from "../logs/fact.ts";
import type { Finding, Gap, LockspaceBlock, Topic, WhySources } from "../why.ts";
import { comeback, gfs2, resources } from "./after.ts";
import { decided, lastSign, noticed } from "./before.ts";
import { beginningOf, type Candidate } from "./candidate.ts";
import { type Loss, lossOf } from "./loss.ts";
import { attempts, recorded, result } from "./operation.ts";

/** A fence on demand ends before the cluster has noticed that the node is gone. */
const LOST_LATE_MS = 60_000;

export class Page {
  readonly findings: Finding[] = [];
  readonly gaps: Gap[] = [];
  readonly all: readonly LogFact[];
  readonly facts: readonly LogFact[];
  readonly loss: Loss;
  readonly #seen = new Set<string>();
  readonly target: string;
  readonly targetId: number | undefined;
  readonly fence: Candidate;
  readonly sources: WhySources;
  readonly fromMs: number;
  /** The fences after this one. */
  readonly later: readonly Candidate[];

  constructor(
    sources: WhySources,
    facts: readonly LogFact[],
    targetId: number | undefined,
    fence: Candidate,
    around: { fromMs: number; later: readonly Candidate[] },
  ) {
    const untilMs = around.later[0]?.startedMs ?? Number.POSITIVE_INFINITY;
    this.target = sources.target;
    this.targetId = targetId;
    this.fence = fence;
    this.sources = sources;
    this.fromMs = around.fromMs;
    this.later = around.later;
    this.all = facts;
    this.facts = facts.filter(({ timeMs }) => timeMs !== undefined && timeMs >= around.fromMs && timeMs < untilMs);
    this.loss = lossOf(this.facts.filter(this.inTime), this, fence.startedMs);
  }

  write(): LockspaceBlock[] {
    lastSign(this);
    noticed(this);
    decided(this);
    attempts(this);
    result(this);
    recorded(this);
    const lockspaces = gfs2(this);
    resources(this);
    comeback(this);
    return lockspaces;
  }

  say(topic: Topic, fact: { timeMs: number | undefined; evidence: Evidence }, text: string): void {
    this.findings.push({ topic, timeMs: fact.timeMs, text, evidence: fact.evidence });
  }

  /** The same thing seen by several nodes or daemons is said once, by the first. */
  sayOnce(topic: Topic, fact: LogFact, text: string): void {
    if (this.#seen.has(`${topic} ${text}`)) return;
    this.#seen.add(`${topic} ${text}`);
    this.say(topic, fact, text);
  }

  /** What daemons of several nodes said, as it came; what has no time comes last. */
  inOrder(topic: Topic): void {
    const first = this.findings.findIndex((finding) => finding.topic === topic);
    if (first < 0) return;
    const said = this.findings.splice(first);
    said.sort((a, b) => timeOr(a, Number.POSITIVE_INFINITY) - timeOr(b, Number.POSITIVE_INFINITY) || 0);
    this.findings.push(...said);
  }

  gap(topic: Topic, text: string): void {
    this.gaps.push({ topic, text });
  }

  /** Whether a log of that kind was written before and after the node was lost, so that it would tell. */
  reaches(...kinds: LogFile["kind"][]): boolean {
    const atMs = this.lostMs ?? this.fence.startedMs;
    return this.sources.logs.some(
      ({ kind, fromMs = Number.POSITIVE_INFINITY, untilMs = Number.NEGATIVE_INFINITY }) =>
        kinds.includes(kind) && fromMs <= atMs && untilMs >= atMs,
    );
  }

  has = (kind: LogFile["kind"]): boolean => this.sources.logs.some((log) => log.kind === kind);
  of = <Kind extends FactDetail["kind"]>(...kinds: Kind[]) => this.facts.filter(isKind(...kinds));
  isTarget = ({ nodeId }: { nodeId?: number }): boolean => nodeId !== undefined && nodeId === this.targetId;
  get endMs(): number {
    return this.fence.endedMs ?? Number.POSITIVE_INFINITY;
  }

  /** When it was asked for. */
  get askedMs(): number | undefined {
    return beginningOf(this.fence);
  }

  /** What DLM and GFS2 did before this is of no part of it. */
  get beganMs(): number {
    const onsetMs = this.lostMs ?? this.askedMs;
    if (onsetMs !== undefined) return onsetMs - 60_000;
    if (this.fence.endedMs !== undefined) return this.fromMs;
    // It runs since nobody knows when, but since the last fence that DLM heard the end of.
    const before = this.of("dlm-fence-status").findLast((fact) => this.isTarget(fact) && fact.result === 0);
    return before ? timeOr(before, 0) + 1_000 : this.fromMs;
  }

  /** Later than this the node was lost once more, not for this fence. */
  inTime = (fact: { timeMs: number | undefined }): boolean => timeOr(fact, 0) <= this.endMs + LOST_LATE_MS;

  /** When the cluster lost it for this fence. */
  get lostMs(): number | undefined {
    return this.loss.back ? undefined : this.loss.lostMs;
  }

  /** Seen of this node in the loss that the fence is about. */
  ofLoss = (fact: { timeMs: number | undefined }): boolean =>
    timeOr(fact, 0) > this.loss.sinceMs &&
    timeOr(fact, 0) <= timeOr(this.loss.back ?? { timeMs: undefined }, this.endMs + LOST_LATE_MS);

  isMine = (target: string): boolean => isSame(target, this.target) || target === String(this.targetId);
}
