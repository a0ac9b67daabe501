/**
 * The page's part up to the fence: last sign of life, who noticed, who decided and why.
 */
import { TOLERANCE_MS } from "../incidents.ts";
import { isKind, isSame, type LogFact, timeOr } from "../logs/fact.ts";
import type { Page } from "./page.ts";

/** Who stands behind a client's name. Source: the client names of libstonithd, stonith_admin and dlm_stonith. */
function whoIs(client: string): string {
  const name = client.replace(/\.\d+$/, "");
  if (name === "pacemaker-controld") return "the cluster itself";
  if (name === "stonith-api") return "a program through libstonithd, such as dlm_controld";
  if (name === "stonith_admin") return "a person or a script: stonith_admin or pcs";
  return "another program";
}

export function lastSign(page: Page): void {
  const own = (fact: LogFact & { node: string }): boolean => isSame(fact.node, page.target);
  const starts = page.all.filter(isKind("pacemaker-started")).filter(own);
  const startBetween = (fromMs: number, untilMs: number): boolean =>
    starts.some((fact) => timeOr(fact, 0) > fromMs && timeOr(fact, 0) <= untilMs);
  // A file may end because the log was rotated: then the next one goes on without a start.
  const ends = page.all.filter(isKind("silent-from")).filter(own);
  const goesOn = (fact: LogFact): boolean =>
    ends.some((other) => timeOr(other, 0) > timeOr(fact, 0) && !startBetween(timeOr(fact, 0), timeOr(other, 0)));
  // Its own log may have been quiet for longer than the window reaches back.
  const silent = ends.findLast((fact) => timeOr(fact, Number.POSITIVE_INFINITY) <= page.endMs && !goesOn(fact));
  const silentMs = silent?.timeMs;
  // Cut off from the others a node writes on until its power goes.
  const ranOn = silentMs !== undefined && page.lostMs !== undefined && silentMs > page.lostMs;
  const startedAgain = silentMs !== undefined && startBetween(silentMs, page.fence.startedMs);
  const later = ends.find((fact) => timeOr(fact, 0) > page.endMs);
  const runsOn = startedAgain || (!silent && later && !startBetween(page.fence.startedMs, timeOr(later, 0)));
  if (silent && !startedAgain)
    page.say("last-sign", silent, `last line of its own pacemaker.log${ranOn ? ": it ran on after it was lost" : ""}`);
  const links = page.of("link-down", "link-up").filter((fact) => page.ofLoss(fact) && page.isTarget(fact));
  const up = links.findLastIndex(
    (fact) => fact.kind === "link-up" && timeOr(fact, 0) <= (page.lostMs ?? page.fence.startedMs),
  );
  const link = links.slice(up + 1).find(isKind("link-down"));
  if (link) page.say("last-sign", link, `its link went down, as ${link.host ?? "another node"} saw it`);
  if (runsOn) page.gap("last-sign", "what it wrote last is not known: its own pacemaker.log runs on past this fence");
  else if (!silent && later)
    page.gap("last-sign", "what it wrote last is not known: its own pacemaker.log begins after this fence");
  else if (!silent && !link) {
    const why = page.has("corosync")
      ? "no log of the node itself, and no link reported down"
      : "no log of the node itself and no corosync.log";
    page.gap("last-sign", `last sign of life not known: ${why}`);
  } else if (!silent) {
    page.gap("last-sign", "what it wrote last is not known: no pacemaker.log of the node itself");
  }
}

export function noticed(page: Page): void {
  const before = page.findings.length;
  const members = page
    .of("membership")
    .filter((fact) => page.ofLoss(fact) && page.targetId !== undefined && fact.left.includes(page.targetId));
  const leftMs = members[0]?.timeMs ?? page.loss.lostMs;
  if (leftMs !== undefined) {
    // Token loss names no node: it belongs to the membership that it ends in.
    const near = (fact: LogFact): boolean => timeOr(fact, 0) <= leftMs + 1_000 && timeOr(fact, 0) >= leftMs - 120_000;
    const late = page.of("token-late").find(near);
    if (late) page.say("noticed", late, `token late: not received for ${late.elapsedMs} ms (${late.host ?? "?"})`);
    const token = page.of("token-lost").find(near);
    if (token) {
      const consensus = token.consensusMs === undefined ? "" : `, then ${token.consensusMs} ms for consensus`;
      page.say(
        "noticed",
        token,
        `token lost: timed out after ${token.timeoutMs} ms${consensus} (${token.host ?? "?"})`,
      );
    }
  }
  const [formed] = members;
  if (formed) {
    page.say("noticed", formed, `new membership ${formed.ring} without node ${page.targetId} (${formed.host ?? "?"})`);
    const unheard = page
      .of("leave-not-heard")
      .find(({ nodeIds }) => page.targetId !== undefined && nodeIds.includes(page.targetId));
    if (unheard) page.say("noticed", unheard, "it did not say goodbye: it failed, it was not stopped");
  }
  const lost = page.of("node-lost").find((fact) => page.ofLoss(fact) && isSame(fact.node, page.target));
  if (lost) page.say("noticed", lost, `Pacemaker on ${lost.host ?? "?"} lost it`);
  const gone = page.of("dlm-node-gone").find((fact) => page.ofLoss(fact) && page.isTarget(fact));
  if (gone) page.say("noticed", gone, `DLM lost it: ${gone.reason}`);
  const quorum = page
    .of("quorum")
    .find(
      (fact) =>
        lost !== undefined && timeOr(fact, 0) >= timeOr(lost, 0) - 1_000 && !isSame(fact.host ?? "", page.target),
    );
  if (quorum && (lost || formed)) {
    page.say(
      "noticed",
      quorum,
      `quorum ${quorum.state}${quorum.members === undefined ? "" : `, ${quorum.members} nodes left`} (${quorum.host ?? "?"})`,
    );
  }
  const { back } = page.loss;
  if (back)
    page.say("noticed", back, `${back.host ?? "another node"} had it back as member before the fence was asked for`);
  if (!page.has("corosync")) page.gap("noticed", "token loss not known: no corosync.log");
  if (!page.has("pacemaker") && page.findings.length === before)
    page.gap("noticed", "membership change not known: no pacemaker.log");
  else if (page.findings.length === before) {
    const none = "no membership change of this node before or during the fence";
    page.gap(
      "noticed",
      page.reaches("pacemaker", "corosync") ? none : `${none} in logs that do not reach over its time`,
    );
  }
}

export function decided(page: Page): void {
  const before = page.findings.length;
  const untilEnd = (fact: LogFact): boolean => timeOr(fact, 0) <= page.endMs + TOLERANCE_MS;
  for (const fact of page.of("will-fence").filter(untilEnd)) {
    if (isSame(fact.node, page.target)) page.sayOnce("decided", fact, `scheduler: will be fenced: ${fact.reason}`);
  }
  const scheduled = page
    .of("fence-scheduled")
    .filter(untilEnd)
    .find(({ node }) => isSame(node, page.target));
  if (scheduled) {
    page.sayOnce("decided", scheduled, `scheduler on ${scheduled.host ?? "?"}: ${scheduled.action} planned`);
    const transition = page
      .of("transition")
      .find((fact) => fact.host === scheduled.host && timeOr(fact, 0) >= timeOr(scheduled, 0));
    if (transition) page.say("decided", transition, `transition ${transition.number}: ${transition.file}`);
  }
  const asked = page.of("dlm-fence-asked").filter((fact) => page.isTarget(fact) && untilEnd(fact));
  for (const fact of asked) page.sayOnce("decided", fact, `dlm_controld asked for the fence (process ${fact.pid})`);
  // A dump holds its last lines only: the answer may be there without the request.
  const ofDlm = [...asked, ...page.of("dlm-fence-result").filter(page.isTarget)];
  const isDlm = (client: string): boolean => ofDlm.some(({ pid }) => client === `stonith-api.${pid}`);
  const standsBehind = (client: string): string => (isDlm(client) ? "that is dlm_controld's" : whoIs(client));
  const requests = page.of("request").filter((fact) => untilEnd(fact) && page.isMine(fact.target));
  for (const fact of requests) {
    const text = `${fact.client} asked ${fact.host ?? "the fencer"} for ${fact.action}: ${standsBehind(fact.client)}`;
    page.sayOnce("decided", fact, text);
  }
  for (const fact of page.of("merged").filter(untilEnd)) {
    if (isSame(fact.target, page.target))
      page.sayOnce("decided", fact, `${fact.client}'s request merged into ${fact.into}'s`);
  }
  const isLogged = page.findings.length > before;
  if (requests.length === 0) {
    const entries = page.fence.fence?.entries ?? [];
    // The history says who asked and when it ended, not when they asked.
    for (const { client, origin, evidence } of entries)
      page.say(
        "decided",
        { timeMs: undefined, evidence },
        `${client} on ${origin} asked for it: ${standsBehind(client)}`,
      );
    const outcome = page.fence.incident?.outcomes[0];
    if (entries.length === 0 && outcome) {
      for (const client of page.fence.incident?.clients ?? []) {
        const text = `${client} asked for it: ${standsBehind(client.replace(/@.*/, ""))}`;
        page.say("decided", { timeMs: undefined, evidence: outcome.evidence }, text);
      }
    }
  }
  page.inOrder("decided");
  if (!isLogged) {
    page.gap(
      "decided",
      page.has("pacemaker")
        ? "reason not known: pacemaker.log says nothing about it"
        : "reason not known: no pacemaker.log",
    );
  } else if (
    !page.of("will-fence", "fence-scheduled").some((fact) => isSame(fact.node, page.target)) &&
    fromCluster(page)
  ) {
    page.gap("decided", "the scheduler's reason is not known: no pacemaker.log of the DC of that time");
  }
}

function fromCluster(page: Page): boolean {
  const { finished, fence } = page.fence;
  return (
    finished.some(({ client }) => client.startsWith("pacemaker-controld.")) ||
    (fence?.entries.some(({ client }) => client.startsWith("pacemaker-controld.")) ?? false)
  );
}
