/**
 * The page about one fence, topic by topic: what is said goes to `findings`, what no source says to `gaps`.
 */
import type { Evidence } from "../event.ts";
import { TOLERANCE_MS } from "../incidents.ts";
import { type FactDetail, type FactOf, isKind, isSame, type LogFact, type LogFile, timeOr } from "../logs/fact.ts";
import { formatDuration } from "../report/words.ts";
import type { Finding, Gap, LockspaceBlock, Topic, WhySources } from "../why.ts";
import { blocksOf } from "./blocks.ts";
import type { Candidate } from "./candidates.ts";
import { type Loss, lossOf } from "./loss.ts";

/** A fence on demand ends before the cluster has noticed that the node is gone. */
const LOST_LATE_MS = 60_000;

/** Who stands behind a client's name. Source: the client names of libstonithd, stonith_admin and dlm_stonith. */
function whoIs(client: string): string {
  const name = client.replace(/\.\d+$/, "");
  if (name === "pacemaker-controld") return "the cluster itself";
  if (name === "stonith-api") return "a program through libstonithd, such as dlm_controld";
  if (name === "stonith_admin") return "a person or a script: stonith_admin or pcs";
  return "another program";
}

export class Page {
  readonly findings: Finding[] = [];
  readonly gaps: Gap[] = [];
  readonly #all: readonly LogFact[];
  readonly #facts: readonly LogFact[];
  readonly #loss: Loss;
  readonly #seen = new Set<string>();
  readonly target: string;
  readonly targetId: number | undefined;
  readonly fence: Candidate;
  readonly sources: WhySources;
  /** When the fences after this one began. */
  readonly later: readonly number[];

  constructor(
    sources: WhySources,
    facts: readonly LogFact[],
    targetId: number | undefined,
    fence: Candidate,
    around: { fromMs: number; later: readonly number[] },
  ) {
    const untilMs = around.later[0] ?? Number.POSITIVE_INFINITY;
    this.target = sources.target;
    this.targetId = targetId;
    this.fence = fence;
    this.sources = sources;
    this.later = around.later;
    this.#all = facts;
    this.#facts = facts.filter(({ timeMs }) => timeMs !== undefined && timeMs >= around.fromMs && timeMs < untilMs);
    this.#loss = lossOf(this.#facts.filter(this.#inTime), this, fence.startedMs);
  }

  write(): LockspaceBlock[] {
    this.#lastSign();
    this.#noticed();
    this.#decided();
    this.#attempts();
    this.#result();
    this.#recorded();
    const lockspaces = this.#gfs2();
    this.#resources();
    this.#return();
    return lockspaces;
  }

  #say(topic: Topic, fact: { timeMs: number | undefined; evidence: Evidence }, text: string): void {
    this.findings.push({ topic, timeMs: fact.timeMs, text, evidence: fact.evidence });
  }

  /** The same thing seen by several nodes or daemons is said once, by the first. */
  #sayOnce(topic: Topic, fact: LogFact, text: string): void {
    if (this.#seen.has(`${topic} ${text}`)) return;
    this.#seen.add(`${topic} ${text}`);
    this.#say(topic, fact, text);
  }

  #gap(topic: Topic, text: string): void {
    this.gaps.push({ topic, text });
  }

  #has = (kind: LogFile["kind"]): boolean => this.sources.logs.some((log) => log.kind === kind);
  #of = <Kind extends FactDetail["kind"]>(...kinds: Kind[]) => this.#facts.filter(isKind(...kinds));
  #isTarget = ({ nodeId }: { nodeId?: number }): boolean => nodeId !== undefined && nodeId === this.targetId;
  get #endMs(): number {
    return this.fence.endedMs ?? Number.POSITIVE_INFINITY;
  }

  /** Later than this the node was lost once more, not for this fence. */
  #inTime = (fact: { timeMs: number | undefined }): boolean => timeOr(fact, 0) <= this.#endMs + LOST_LATE_MS;

  /** When the cluster lost it for this fence. */
  get #lostMs(): number | undefined {
    return this.#loss.back ? undefined : this.#loss.lostMs;
  }

  /** Seen of this node in the loss that the fence is about. */
  #ofLoss = (fact: { timeMs: number | undefined }): boolean =>
    timeOr(fact, 0) > this.#loss.sinceMs &&
    timeOr(fact, 0) <= timeOr(this.#loss.back ?? { timeMs: undefined }, this.#endMs + LOST_LATE_MS);

  #lastSign(): void {
    const own = (fact: LogFact & { node: string }): boolean => isSame(fact.node, this.target);
    // Its own log may have been quiet for longer than the window reaches back.
    const silent = this.#all
      .filter(isKind("silent-from"))
      .findLast((fact) => own(fact) && timeOr(fact, Number.POSITIVE_INFINITY) <= this.#endMs);
    const silentMs = silent?.timeMs;
    // Cut off from the others a node writes on until its power goes.
    const ranOn = silentMs !== undefined && this.#lostMs !== undefined && silentMs > this.#lostMs;
    const startedAgain =
      silentMs !== undefined &&
      this.#all
        .filter(isKind("pacemaker-started"))
        .some((fact) => own(fact) && timeOr(fact, 0) > silentMs && timeOr(fact, 0) <= this.fence.startedMs);
    if (silent && !startedAgain)
      this.#say(
        "last-sign",
        silent,
        `last line of its own pacemaker.log${ranOn ? ": it ran on after it was lost" : ""}`,
      );
    const links = this.#of("link-down", "link-up").filter((fact) => this.#ofLoss(fact) && this.#isTarget(fact));
    const up = links.findLastIndex(
      (fact) => fact.kind === "link-up" && timeOr(fact, 0) <= (this.#lostMs ?? this.fence.startedMs),
    );
    const link = links.slice(up + 1).find(isKind("link-down"));
    if (link) this.#say("last-sign", link, `its link went down, as ${link.host ?? "another node"} saw it`);
    if (startedAgain)
      this.#gap("last-sign", "what it wrote last is not known: its own pacemaker.log runs on past this fence");
    else if (!silent && !link) {
      const why = this.#has("corosync")
        ? "no log of the node itself, and no link reported down"
        : "no log of the node itself and no corosync.log";
      this.#gap("last-sign", `last sign of life not known: ${why}`);
    } else if (!silent) {
      this.#gap("last-sign", "what it wrote last is not known: no pacemaker.log of the node itself");
    }
  }

  #noticed(): void {
    const before = this.findings.length;
    const members = this.#of("membership").filter(
      (fact) => this.#ofLoss(fact) && this.targetId !== undefined && fact.left.includes(this.targetId),
    );
    const leftMs = members[0]?.timeMs ?? this.#loss.lostMs;
    if (leftMs !== undefined) {
      // Token loss names no node: it belongs to the membership that it ends in.
      const near = (fact: LogFact): boolean => timeOr(fact, 0) <= leftMs + 1_000 && timeOr(fact, 0) >= leftMs - 120_000;
      const late = this.#of("token-late").find(near);
      if (late) this.#say("noticed", late, `token late: not received for ${late.elapsedMs} ms (${late.host ?? "?"})`);
      const token = this.#of("token-lost").find(near);
      if (token) {
        const consensus = token.consensusMs === undefined ? "" : `, then ${token.consensusMs} ms for consensus`;
        this.#say(
          "noticed",
          token,
          `token lost: timed out after ${token.timeoutMs} ms${consensus} (${token.host ?? "?"})`,
        );
      }
    }
    const [formed] = members;
    if (formed) {
      this.#say(
        "noticed",
        formed,
        `new membership ${formed.ring} without node ${this.targetId} (${formed.host ?? "?"})`,
      );
      const unheard = this.#of("leave-not-heard").find(
        ({ nodeIds }) => this.targetId !== undefined && nodeIds.includes(this.targetId),
      );
      if (unheard) this.#say("noticed", unheard, "it did not say goodbye: it failed, it was not stopped");
    }
    const lost = this.#of("node-lost").find((fact) => this.#ofLoss(fact) && isSame(fact.node, this.target));
    if (lost) this.#say("noticed", lost, `Pacemaker on ${lost.host ?? "?"} lost it`);
    const gone = this.#of("dlm-node-gone").find((fact) => this.#ofLoss(fact) && this.#isTarget(fact));
    if (gone) this.#say("noticed", gone, `DLM lost it: ${gone.reason}`);
    const quorum = this.#of("quorum").find(
      (fact) =>
        lost !== undefined && timeOr(fact, 0) >= timeOr(lost, 0) - 1_000 && !isSame(fact.host ?? "", this.target),
    );
    if (quorum && (lost || formed)) {
      this.#say(
        "noticed",
        quorum,
        `quorum ${quorum.state}${quorum.members === undefined ? "" : `, ${quorum.members} nodes left`} (${quorum.host ?? "?"})`,
      );
    }
    const { back } = this.#loss;
    if (back)
      this.#say("noticed", back, `${back.host ?? "another node"} had it back as member before the fence was asked for`);
    if (!this.#has("corosync")) this.#gap("noticed", "token loss not known: no corosync.log");
    if (!this.#has("pacemaker") && this.findings.length === before)
      this.#gap("noticed", "membership change not known: no pacemaker.log");
    else if (this.findings.length === before)
      this.#gap("noticed", "no membership change of this node before or during the fence");
  }

  #decided(): void {
    const before = this.findings.length;
    const untilEnd = (fact: LogFact): boolean => timeOr(fact, 0) <= this.#endMs + TOLERANCE_MS;
    for (const fact of this.#of("will-fence").filter(untilEnd)) {
      if (isSame(fact.node, this.target)) this.#sayOnce("decided", fact, `scheduler: will be fenced: ${fact.reason}`);
    }
    const scheduled = this.#of("fence-scheduled")
      .filter(untilEnd)
      .find(({ node }) => isSame(node, this.target));
    if (scheduled) {
      this.#sayOnce("decided", scheduled, `scheduler on ${scheduled.host ?? "?"}: ${scheduled.action} planned`);
      const transition = this.#of("transition").find(
        (fact) => fact.host === scheduled.host && timeOr(fact, 0) >= timeOr(scheduled, 0),
      );
      if (transition) this.#say("decided", transition, `transition ${transition.number}: ${transition.file}`);
    }
    const asked = this.#of("dlm-fence-asked").filter((fact) => this.#isTarget(fact) && untilEnd(fact));
    for (const fact of asked) this.#sayOnce("decided", fact, `dlm_controld asked for the fence (process ${fact.pid})`);
    for (const fact of this.#of("request").filter(untilEnd)) {
      if (!this.#isMine(fact.target)) continue;
      const dlm = asked.some(({ pid }) => fact.client === `stonith-api.${pid}`);
      const who = dlm ? "that is dlm_controld's" : whoIs(fact.client);
      this.#sayOnce("decided", fact, `${fact.client} asked ${fact.host ?? "the fencer"} for ${fact.action}: ${who}`);
    }
    for (const fact of this.#of("merged").filter(untilEnd)) {
      if (isSame(fact.target, this.target))
        this.#sayOnce("decided", fact, `${fact.client}'s request merged into ${fact.into}'s`);
    }
    if (this.findings.length > before) {
      if (
        !this.#of("will-fence", "fence-scheduled").some((fact) => isSame(fact.node, this.target)) &&
        this.#fromCluster()
      ) {
        this.#gap("decided", "the scheduler's reason is not known: no pacemaker.log of the DC of that time");
      }
      return;
    }
    const clients = this.fence.incident?.clients ?? [];
    const entries = this.fence.fence?.entries ?? [];
    for (const { client, origin, evidence, completedMs } of entries) {
      this.#say("decided", { timeMs: completedMs, evidence }, `${client} on ${origin} asked for it: ${whoIs(client)}`);
    }
    const outcome = this.fence.incident?.outcomes[0];
    if (entries.length === 0 && outcome) {
      for (const client of clients)
        this.#say("decided", outcome, `${client} asked for it: ${whoIs(client.replace(/@.*/, ""))}`);
    }
    this.#gap(
      "decided",
      this.#has("pacemaker")
        ? "reason not known: pacemaker.log says nothing about it"
        : "reason not known: no pacemaker.log",
    );
  }

  #fromCluster(): boolean {
    const { finished, fence } = this.fence;
    return (
      finished.some(({ client }) => client.startsWith("pacemaker-controld.")) ||
      (fence?.entries.some(({ client }) => client.startsWith("pacemaker-controld.")) ?? false)
    );
  }

  #isMine = (target: string): boolean => isSame(target, this.target) || target === String(this.targetId);

  #attempts(): void {
    const inTime = (fact: LogFact): boolean =>
      timeOr(fact, 0) >= this.fence.startedMs - 1_000 && timeOr(fact, 0) <= this.#endMs + 1_000;
    const asked = this.#of("device-asked").filter((fact) => inTime(fact) && isSame(fact.target, this.target));
    const results = this.#of("device-result").filter((fact) => inTime(fact) && isSame(fact.target, this.target));
    const replies = this.#of("device-reply").filter((fact) => inTime(fact) && isSame(fact.target, this.target));
    const remapped = this.#of("remapped")
      .filter(inTime)
      .find(({ target }) => isSame(target, this.target));
    if (remapped) this.#say("attempts", remapped, "level with several devices: reboot done as off, then on");
    const used = new Set<LogFact>();
    for (const fact of asked) {
      const device = fact.device ?? "any device";
      const fits = (answer: LogFact & (FactOf<"device-result"> | FactOf<"device-reply">)): boolean =>
        !used.has(answer) &&
        answer.action === fact.action &&
        (fact.device === undefined || answer.device === fact.device) &&
        timeOr(answer, 0) >= timeOr(fact, 0);
      const result = results.find((answer) => fits(answer) && (answer.host === undefined || answer.host === fact.by));
      const reply = replies.find((answer) => fits(answer) && answer.client.startsWith(fact.client));
      // The agent's exit code is the exact answer; the reply is what the originator heard of it.
      for (const answer of replies.filter(fits)) if (answer.evidence.file === reply?.evidence.file) used.add(answer);
      const answer = result ?? reply;
      if (result) used.add(result);
      const took =
        answer?.timeMs !== undefined && fact.timeMs !== undefined
          ? ` after ${formatDuration(answer.timeMs - fact.timeMs)}`
          : "";
      const limit = fact.limitSeconds === undefined ? "" : ` (limit ${fact.limitSeconds} s)`;
      this.#say("attempts", fact, `${fact.action} by ${device} on ${fact.by}${limit}`);
      if (answer) this.#say("attempts", answer, `  ${outcomeWords(answer)}${took}`);
      else
        this.#gap("attempts", `what ${device} answered to ${fact.action} is not known: no pacemaker.log of ${fact.by}`);
      if (result && !result.ok) this.#lastWordsOf(result.pid, result.evidence.file);
    }
    // The log of the node that ran the agents, without that of the node that asked it to.
    for (const result of results) {
      if (used.has(result)) continue;
      this.#say("attempts", result, `${result.action} by ${result.device}: ${result.result} (${result.host ?? "?"})`);
      if (!result.ok) this.#lastWordsOf(result.pid, result.evidence.file);
    }
    for (const fact of this.#of("on-skipped").filter(inTime)) {
      if (isSame(fact.target, this.target)) this.#say("attempts", fact, `on by ${fact.device} skipped: ${fact.reason}`);
    }
    for (const fact of this.#of("level-failed").filter(inTime)) {
      if (isSame(fact.target, this.target)) this.#say("attempts", fact, "every device and level had failed");
    }
    if (asked.length + results.length === 0) {
      this.#gap(
        "attempts",
        `devices and times not known: ${this.#has("pacemaker") ? "pacemaker.log does not have them" : "no pacemaker.log"}`,
      );
    }
    this.#gap("attempts", "the level's number is not known: Pacemaker does not log it");
  }

  #lastWordsOf(pid: number, file: string): void {
    const said = this.#of("agent-said").filter((fact) => fact.pid === pid && fact.evidence.file === file);
    const last = said.at(-1);
    if (last) this.#say("attempts", last, `  ${last.agent} said: ${last.words}`);
  }

  #result(): void {
    const { finished, fence, incident, endedMs, startedMs } = this.fence;
    const [first] = finished;
    if (first) {
      const took = endedMs !== undefined && startedMs < endedMs ? ` in ${formatDuration(endedMs - startedMs)}` : "";
      const by = first.delegate === undefined ? "" : ` by ${first.delegate}`;
      this.#say(
        "result",
        first,
        `${first.action} ${first.ok ? "succeeded" : "failed"}${took}${by} for ${first.client}@${first.origin}: ${first.result}`,
      );
    }
    const executors = new Set(
      this.#of("device-asked")
        .filter(
          (fact) => isSame(fact.target, this.target) && timeOr(fact, 0) >= startedMs && timeOr(fact, 0) <= this.#endMs,
        )
        .map(({ by }) => by),
    );
    if (first?.delegate !== undefined && executors.size > 0 && !executors.has(first.delegate)) {
      this.#say("result", first, `Pacemaker names ${first.delegate}; the agents ran on ${[...executors].join(", ")}`);
    }
    for (const { action, status, delegate, client, origin, completedMs, evidence, reason } of fence?.entries ?? []) {
      const words = `history: ${action} ${status}${delegate === undefined ? "" : ` by ${delegate}`} for ${client}@${origin}${reason === undefined ? "" : `: ${reason}`}`;
      this.#say("result", { timeMs: completedMs, evidence }, words);
    }
    for (const outcome of incident?.outcomes ?? []) {
      this.#say(
        "result",
        outcome,
        `outcome by ${outcome.source}: ${outcome.action} ${outcome.status} (${outcome.recorder})`,
      );
    }
    if (!first && !fence && (incident?.outcomes.length ?? 0) === 0) {
      this.#gap("result", "result not known: neither pacemaker.log nor the fencing history nor an outcome has it");
    }
  }

  #recorded(): void {
    const events = this.fence.incident?.events ?? [];
    for (const event of events) {
      const context = event.known === "found" ? event.filesystems.join(", ") : `GFS2 ${event.known}`;
      this.#say("recorded", event, `${event.action} ${event.status} by ${event.recorder}: ${context}`);
    }
    if (events.length > 0) return;
    this.#gap(
      "recorded",
      this.sources.recordsRead ? "no recorder wrote down this fence" : "not known: our own log was not read",
    );
  }

  #gfs2(): LockspaceBlock[] {
    const { findings } = this;
    const before = findings.length;
    const startMs = (this.#lostMs ?? this.fence.startedMs) - 60_000;
    const stops = isKind("lockspace-lost-node", "lockspace-waits", "lockspace-stopped", "filesystem-withdrawn");
    const facts = this.#all.filter((fact) => timeOr(fact, 0) >= startMs && (!stops(fact) || this.#inTime(fact)));
    const blocks = blocksOf(facts, this.targetId);
    for (const { lockspace, from, until, blockedMs, exact } of blocks) {
      if (from)
        this.#say(
          "gfs2",
          from,
          `${lockspace}: ${from.what === "stopped" ? "stopped, waits for fencing" : "seen waiting for fencing"}`,
        );
      if (until) {
        const what = { recovered: "recovered", "dlm-recovered": "DLM recovered", fenced: "fencing heard of" }[
          until.what
        ];
        const long = blockedMs === undefined ? "" : `: blocked ${exact ? "" : "at least "}${formatDuration(blockedMs)}`;
        this.#say("gfs2", until, `${lockspace}: ${what}${long}`);
      } else this.#gap("gfs2", `${lockspace}: no line shows that it recovered: see dlm_tool ls and dmesg`);
      if (until && until.what !== "recovered")
        this.#gap("gfs2", `${lockspace}: journal replay not known: no kernel lines (--dmesg)`);
    }
    for (const fact of facts.filter(isKind("filesystem-withdrawn")))
      this.#sayOnce("gfs2", fact, `${fact.filesystem}: withdrawn by GFS2`);
    const undated = this.sources.logs.filter(
      ({ kind, clock }) => (kind === "dmesg" || kind === "dlm") && clock === "unknown",
    );
    for (const { file } of undated)
      this.#gap("gfs2", `${file}: its clock is tied to no day: a dlm log of the same boot would do that`);
    if (!this.#has("dlm")) this.#gap("gfs2", "how long GFS2 was blocked is not known: no DLM log (--dlm-log)");
    else if (findings.length === before)
      this.#gap("gfs2", "no lockspace was stopped for this node in the DLM logs given");
    return blocks;
  }

  #resources(): void {
    const scheduled = this.#of("fence-scheduled").find(
      ({ node, timeMs }) => isSame(node, this.target) && timeOr({ timeMs }, 0) <= this.#endMs + TOLERANCE_MS,
    );
    if (!scheduled) return;
    const transition = this.#of("transition").find(
      (fact) => fact.host === scheduled.host && timeOr(fact, 0) >= timeOr(scheduled, 0),
    );
    for (const fact of this.#of("resource")) {
      const inPlan =
        fact.host === scheduled.host &&
        fact.evidence.line > scheduled.evidence.line &&
        fact.evidence.line < (transition?.evidence.line ?? 0);
      if (!inPlan || fact.from === undefined || !isSame(fact.from, this.target)) continue;
      this.#say(
        "resources",
        fact,
        fact.to === undefined ? `${fact.resource} stopped with it` : `${fact.resource} moved to ${fact.to}`,
      );
    }
  }

  #return(): void {
    const before = this.findings.length;
    // Not before fencing was over: a node cut off may be seen again by nobody in between. It may be fenced more than
    // once until it is back, so this looks past the next fence, and says so.
    const sinceMs = Math.max(this.#lostMs ?? this.fence.startedMs, this.fence.endedMs ?? 0);
    const facts = this.#all.filter((fact) => timeOr(fact, 0) >= sinceMs);
    const of = <Kind extends FactDetail["kind"]>(...kinds: Kind[]) => facts.filter(isKind(...kinds));
    const say = (fact: LogFact, text: string): void => {
      const between = this.later.filter((timeMs) => timeMs < timeOr(fact, 0)).length;
      this.#say(
        "return",
        fact,
        between === 0 ? text : `${text} (${between} more ${between === 1 ? "fence" : "fences"} in between)`,
      );
    };
    const started = of("pacemaker-started").find((fact) => isSame(fact.node, this.target));
    if (started) say(started, `Pacemaker ${started.version} started on it`);
    // A node that boots is at first alone in a membership of its own.
    const joined = of("membership").find(
      (fact) =>
        this.targetId !== undefined && fact.joined.includes(this.targetId) && !isSame(fact.host ?? "", this.target),
    );
    if (joined) say(joined, `joined again: membership ${joined.ring} (${joined.host ?? "?"})`);
    const members = of("node-member").filter(
      (fact) => isSame(fact.node, this.target) && !isSame(fact.host ?? "", this.target),
    );
    const member = members.find(({ was }) => was === "lost") ?? members[0];
    if (member) say(member, `Pacemaker on ${member.host ?? "?"} has it back as member`);
    const known = new Set<string>();
    for (const fact of of("lockspace-node-joined", "lockspace-adds")) {
      if (!this.#isTarget(fact) || known.has(fact.lockspace)) continue;
      known.add(fact.lockspace);
      say(fact, `joined lockspace ${fact.lockspace} again`);
    }
    if (this.findings.length > before) return;
    const has = this.#has("pacemaker") || this.#has("corosync");
    this.#gap(
      "return",
      has ? "no line shows that it came back" : "whether it came back is not known: no pacemaker.log or corosync.log",
    );
  }
}

const outcomeWords = (answer: LogFact & (FactOf<"device-result"> | FactOf<"device-reply">)): string => {
  if (answer.kind === "device-reply") return answer.result === "complete" ? "answered" : answer.result;
  return answer.ok ? "done (exit 0)" : answer.result.replace(/^returned (-?\d+)$/, "failed (exit $1)");
};
