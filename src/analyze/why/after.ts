/**
 * The page's part about what the fence did to others: GFS2, the resources that ran on the node, and its return.
 */
import { TOLERANCE_MS } from "../incidents.ts";
import { type FactDetail, isKind, isSame, type LogFact, ownerOf, timeOr } from "../logs/fact.ts";
import { formatDuration } from "../report/words.ts";
import type { LockspaceBlock } from "../why.ts";
import { blocksOf } from "./blocks.ts";
import { actionOf, type Candidate, resultOf } from "./candidate.ts";
import type { Page } from "./page.ts";

export function gfs2(page: Page): LockspaceBlock[] {
  const { findings } = page;
  const before = findings.length;
  const stops = isKind("lockspace-lost-node", "lockspace-waits", "lockspace-stopped", "filesystem-withdrawn");
  const facts = page.all.filter((fact) => timeOr(fact, 0) >= page.beganMs && (!stops(fact) || page.inTime(fact)));
  const blocks = blocksOf(facts, page.targetId);
  for (const { lockspace, from, waits, until, blockedMs, exact } of blocks) {
    if (from?.what === "stopped") page.say("gfs2", from, `${lockspace}: stopped`);
    if (waits)
      page.say("gfs2", waits, `${lockspace}: ${from?.what === "waiting" ? "seen waiting" : "waits"} for fencing`);
    if (until) {
      const what = { recovered: "recovered", "dlm-recovered": "DLM recovered", fenced: "fencing heard of" }[until.what];
      const long = blockedMs === undefined ? "" : `: blocked ${exact ? "" : "at least "}${formatDuration(blockedMs)}`;
      page.say("gfs2", until, `${lockspace}: ${what}${long}`);
    } else page.gap("gfs2", `${lockspace}: no line shows that it recovered: see dlm_tool ls and dmesg`);
    if (until && until.what !== "recovered")
      page.gap("gfs2", `${lockspace}: journal replay not known: no kernel lines (--dmesg)`);
  }
  for (const fact of facts.filter(isKind("filesystem-withdrawn")))
    page.sayOnce("gfs2", fact, `${fact.filesystem}: withdrawn by GFS2`);
  for (const { kind, file, facts: own } of page.sources.logs.filter(({ clock }) => clock === "unknown")) {
    if (kind === "dlm") untied(page, file, own);
    else if (kind === "dmesg")
      page.gap("gfs2", `${file}: its clock is tied to no day: a dlm log of the same boot would do that`);
  }
  if (!page.has("dlm")) page.gap("gfs2", "how long GFS2 was blocked is not known: no DLM log (--dlm-log)");
  else if (findings.length === before) page.gap("gfs2", noStop(page));
  return blocks;
}

/** What a DLM log says of this node whose clock is tied to no day, so neither to this fence nor to another. */
function untied(page: Page, file: string, facts: readonly LogFact[]): void {
  const about = facts.filter(isKind("lockspace-lost-node")).filter(page.isTarget);
  for (const lost of about) {
    const next = facts.find(
      (fact) =>
        fact.kind === "lockspace-stopped" &&
        fact.lockspace === lost.lockspace &&
        fact.evidence.line > lost.evidence.line,
    );
    page.say("gfs2", next ?? lost, `${lost.lockspace}: stopped for this node, not known for which fence`);
  }
  for (const fact of facts.filter(isKind("lockspace-waits")))
    page.sayOnce("gfs2", fact, `${fact.lockspace}: waits for fencing, not known for which fence`);
  page.gap("gfs2", `${file}: no line of it ties its clock to a day`);
}

/** Why no block is shown though there are DLM logs. */
function noStop(page: Page): string {
  if (page.targetId === undefined)
    return "whether a lockspace was stopped for this node is not known: its node id is not (--corosync-conf)";
  const none = "no line of the DLM logs given shows a lockspace stopped for this node";
  return page.reaches("dlm") ? none : `${none}; none of them reaches over the time of this fence`;
}

export function resources(page: Page): void {
  const scheduled = page
    .of("fence-scheduled")
    .find(({ node, timeMs }) => isSame(node, page.target) && timeOr({ timeMs }, 0) <= page.endMs + TOLERANCE_MS);
  if (!scheduled) return;
  const transition = page
    .of("transition")
    .find((fact) => fact.host === scheduled.host && timeOr(fact, 0) >= timeOr(scheduled, 0));
  const planned = page.of("resource").filter((fact) => {
    const inPlan =
      fact.host === scheduled.host &&
      fact.evidence.line > scheduled.evidence.line &&
      fact.evidence.line < (transition?.evidence.line ?? 0);
    return inPlan && fact.from !== undefined && isSame(fact.from, page.target);
  });
  for (const fact of planned) {
    const where = fact.to === undefined ? "" : fact.verb === "Move" ? ` to ${fact.to}` : ` on ${fact.to}`;
    page.say("resources", fact, `planned: ${fact.verb.toLowerCase()} ${fact.resource}${where}`);
  }
  const stops = planned.filter(({ verb }) => verb === "Stop").map(({ resource }) => resource);
  const { finished, fence } = page.fence;
  const succeeded = finished.find(({ ok }) => ok) ?? fence?.entries.find(({ status }) => status === "success");
  if (stops.length > 0 && succeeded) {
    const timeMs = "timeMs" in succeeded ? succeeded.timeMs : succeeded.completedMs;
    // Nothing is run to stop them: the cluster takes them for stopped once it takes the node for fenced.
    const text = `Pacemaker takes it for fenced, so for stopped: ${stops.join(", ")}`;
    page.say("resources", { timeMs, evidence: succeeded.evidence }, text);
  } else if (stops.length > 0)
    page.gap("resources", `${stops.join(", ")}: no line shows them stopped: none says that the fence succeeded`);
  for (const { resource, to, timeMs } of planned.filter(({ verb }) => verb !== "Stop")) {
    const starts = page
      .of("resource-start")
      .filter(
        (fact) =>
          baseOf(fact.resource) === baseOf(resource) &&
          !isSame(fact.node, page.target) &&
          timeOr(fact, 0) >= timeOr({ timeMs }, 0),
      );
    const start = starts.find(({ ok }) => ok) ?? starts.at(-1);
    if (start) {
      const how = start.ok ? "started" : "did not start";
      page.say("resources", start, `${resource} ${how} on ${start.node}${start.ok ? "" : `: ${start.result}`}`);
    } else page.gap("resources", `${resource}: no line shows that it started on ${to ?? "another node"}`);
  }
}

/** Without the number of a clone's instance, which the node that runs it leaves out. */
const baseOf = (resource: string): string => resource.replace(/:\d+$/, "");

/** An on, or an off that failed, is no further fence. */
function inBetween(later: readonly Candidate[], untilMs: number): string {
  const between = later.filter(({ startedMs }) => startedMs < untilMs);
  const isFence = (other: Candidate): boolean => resultOf(other) === "succeeded" && actionOf(other) !== "on";
  const fences = between.filter(isFence).length;
  const others = between.length - fences;
  const parts = [
    ...(fences === 0 ? [] : [`${fences} more ${fences === 1 ? "fence" : "fences"}`]),
    ...(others === 0 ? [] : [`${others} other ${others === 1 ? "operation" : "operations"}`]),
  ];
  return parts.length === 0 ? "" : ` (${parts.join(" and ")} in between)`;
}

export function comeback(page: Page): void {
  const before = page.findings.length;
  // Not before fencing was over: a node cut off may be seen again by nobody in between. It may be fenced more than
  // once until it is back, so this looks past the next fence, and says so.
  const sinceMs = Math.max(page.lostMs ?? page.fence.startedMs, page.fence.endedMs ?? 0);
  const facts = page.all.filter((fact) => timeOr(fact, 0) >= sinceMs);
  const of = <Kind extends FactDetail["kind"]>(...kinds: Kind[]) => facts.filter(isKind(...kinds));
  const say = (fact: LogFact, text: string): void => {
    page.say("return", fact, `${text}${inBetween(page.later, timeOr(fact, 0))}`);
  };
  const started = of("pacemaker-started").find((fact) => isSame(fact.node, page.target));
  if (started) say(started, `Pacemaker ${started.version} started on it`);
  // A node that boots is at first alone in a membership of its own.
  const joined = of("membership").find(
    (fact) =>
      page.targetId !== undefined && fact.joined.includes(page.targetId) && !isSame(fact.host ?? "", page.target),
  );
  if (joined) say(joined, `joined again: membership ${joined.ring} (${joined.host ?? "?"})`);
  const members = of("node-member").filter(
    (fact) => isSame(fact.node, page.target) && !isSame(fact.host ?? "", page.target),
  );
  const member = members.find(({ was }) => was === "lost") ?? members[0];
  if (member) say(member, `Pacemaker on ${member.host ?? "?"} has it back as member`);
  const known = new Set<string>();
  for (const fact of of("lockspace-node-joined", "lockspace-adds")) {
    if (!page.isTarget(fact) || known.has(fact.lockspace)) continue;
    known.add(fact.lockspace);
    say(fact, `joined lockspace ${fact.lockspace} again`);
  }
  // Its own kernel's lines: those of another node are of another mount.
  for (const fact of of("filesystem-mounted")) {
    if (!isSame(fact.host ?? ownerOf(fact.evidence.file), page.target) || known.has(`mount ${fact.filesystem}`))
      continue;
    known.add(`mount ${fact.filesystem}`);
    say(fact, `GFS2 ${fact.filesystem} joined the cluster and mounts`);
  }
  const ranThere = new Set([
    ...page.all.flatMap((fact) => ("lockspace" in fact ? [fact.lockspace] : [])),
    ...page.of("resource").flatMap(({ resource, from }) => (isSame(from ?? "", page.target) ? [baseOf(resource)] : [])),
  ]);
  const starts = of("resource-start").filter(({ ok, node }) => ok && isSame(node, page.target));
  for (const resource of ranThere) {
    const mine = starts.filter((fact) => baseOf(fact.resource) === resource);
    const start = mine.find(({ host }) => isSame(host ?? "", page.target)) ?? mine[0];
    if (start) say(start, `${resource} started on it again`);
  }
  page.inOrder("return");
  if (page.findings.length > before) return;
  const has = page.has("pacemaker") || page.has("corosync");
  page.gap(
    "return",
    has ? "no line shows that it came back" : "whether it came back is not known: no pacemaker.log or corosync.log",
  );
}
