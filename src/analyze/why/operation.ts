/**
 * The page's part about the operation itself: each device's attempt, the result, and who wrote it down.
 */
import { TOLERANCE_MS } from "../incidents.ts";
import { type FactOf, isSame, type LogFact, timeOr } from "../logs/fact.ts";
import { formatDuration } from "../report/words.ts";
import { showTime } from "../table.ts";
import { actionOf, beginningOf, isStartLate, resultOf } from "./candidate.ts";
import type { Page } from "./page.ts";

/** By the clock of the operation's own times; another node's may be ahead or behind. */
function duringFence({ fence, endMs }: Page, fact: LogFact): boolean {
  const client = "client" in fact ? fact.client?.replace(/@.*/, "") : undefined;
  const { clock, finished } = fence;
  const isLogged = finished.length > 0;
  if (client !== undefined && isLogged && !finished.some((end) => end.client === client)) return false;
  const toleranceMs = clock !== undefined && clock === fact.host ? 1_000 : TOLERANCE_MS;
  // The log may begin in the midst of it, or be another node's than the one that led it: all since the fence before is its.
  const isOpen = isLogged && (beginningOf(fence) === undefined || isStartLate(fence));
  const sinceMs = isOpen ? Number.NEGATIVE_INFINITY : fence.startedMs - toleranceMs;
  return timeOr(fact, 0) >= sinceMs && timeOr(fact, 0) <= endMs + toleranceMs;
}

type Answer = LogFact & (FactOf<"device-result"> | FactOf<"device-reply">);

/** Other daemons write a few lines in between. */
const NEAR_LINES = 10;

export function attempts(page: Page): void {
  const inTime = (fact: LogFact): boolean => duringFence(page, fact);
  const asked = page.of("device-asked").filter((fact) => inTime(fact) && isSame(fact.target, page.target));
  const results = page.of("device-result").filter((fact) => inTime(fact) && isSame(fact.target, page.target));
  const replies = page.of("device-reply").filter((fact) => inTime(fact) && isSame(fact.target, page.target));
  const remapped = page
    .of("remapped")
    .filter(inTime)
    .find(({ target }) => isSame(target, page.target));
  if (remapped) page.say("attempts", remapped, "level with several devices: reboot done as off, then on");
  const used = new Set<LogFact>();
  for (const fact of asked) {
    const next = asked.find(
      (other) =>
        other.host === fact.host &&
        other.action === fact.action &&
        other.device === fact.device &&
        timeOr(other, 0) > timeOr(fact, 0),
    );
    const fits = (answer: Answer): boolean =>
      !used.has(answer) &&
      answer.action === fact.action &&
      (fact.device === undefined || answer.device === fact.device) &&
      (answer.host === fact.host
        ? timeOr(answer, 0) >= timeOr(fact, 0) &&
          timeOr(answer, 0) <= timeOr(next ?? { timeMs: undefined }, Number.POSITIVE_INFINITY)
        : timeOr(answer, 0) >= timeOr(fact, 0) - TOLERANCE_MS);
    const result = results.find((answer) => fits(answer) && (answer.host === undefined || answer.host === fact.by));
    const reply = replies.find((answer) => fits(answer) && answer.client.startsWith(fact.client));
    // The agent's exit code is the exact answer; the reply is what the originator heard of it.
    for (const answer of replies.filter(fits)) if (answer.evidence.file === reply?.evidence.file) used.add(answer);
    const answer = result ?? reply;
    // Without a level the node that fences chooses the device: only its answer names it.
    const device = fact.device ?? answer?.device ?? "any device";
    if (result) used.add(result);
    const took = tookOf(fact, answer?.host === fact.host ? answer : (reply ?? answer));
    const limit = fact.limitSeconds === undefined ? "" : ` (limit ${fact.limitSeconds} s)`;
    page.say("attempts", fact, `${fact.action} by ${device} on ${fact.by}${limit}`);
    if (answer) page.say("attempts", answer, `  ${outcomeWords(answer)}${took}${attemptsOf(page, result)}`);
    else page.gap("attempts", noAnswer(page, fact, device));
    if (result && !result.ok) lastWordsOf(page, result.pid, result.evidence.file);
  }
  // The log of the node that ran the agents, without that of the node that asked it to.
  for (const result of results) {
    if (used.has(result)) continue;
    page.say(
      "attempts",
      result,
      `${result.action} by ${result.device}: ${result.result}${attemptsOf(page, result)} (${result.host ?? "?"})`,
    );
    if (!result.ok) lastWordsOf(page, result.pid, result.evidence.file);
  }
  for (const fact of page.of("on-skipped").filter(inTime)) {
    if (isSame(fact.target, page.target))
      page.say("attempts", fact, `on by ${fact.device} skipped; Pacemaker's words: ${fact.reason}`);
  }
  for (const fact of page.of("level-failed").filter(inTime)) {
    if (isSame(fact.target, page.target)) page.say("attempts", fact, "every device and level had failed");
  }
  if (asked.length + results.length === 0) {
    page.gap(
      "attempts",
      `devices and times not known: ${page.has("pacemaker") ? "pacemaker.log does not have them" : "no pacemaker.log"}`,
    );
  }
  page.gap("attempts", "the level's number is not known: Pacemaker does not log it");
}

/** The fencer tries a failing agent again and tells the last try's result; how often it did stands right before that. */
function attemptsOf(page: Page, result: (LogFact & FactOf<"device-result">) | undefined): string {
  if (!result || result.ok) return "";
  const gaveUp = page
    .of("agent-gave-up")
    .findLast(
      ({ action, evidence }) =>
        action === result.action &&
        evidence.file === result.evidence.file &&
        evidence.line < result.evidence.line &&
        evidence.line >= result.evidence.line - NEAR_LINES,
    );
  return gaveUp ? `, ${gaveUp.attempts} attempts` : "";
}

/** A log of the node that ran the agent may end before the answer, or not be there. */
function noAnswer(page: Page, { action, by }: FactOf<"device-asked">, device: string): string {
  const own = page.sources.logs.find(({ kind, host }) => kind === "pacemaker" && isSame(host ?? "", by));
  if (!own) return `what ${device} answered to ${action} is not known: no pacemaker.log of ${by}`;
  const name = own.file.slice(own.file.lastIndexOf("/") + 1);
  const ends = own.untilMs === undefined ? "" : ` (it ends ${showTime(own.untilMs)})`;
  return `${action} by ${device}: no answer ${page.fence.endedMs === undefined ? "yet " : ""}in ${name}${ends}`;
}

function lastWordsOf(page: Page, pid: number, file: string): void {
  const said = page.of("agent-said").filter((fact) => fact.pid === pid && fact.evidence.file === file);
  const last = said.at(-1);
  if (last) page.say("attempts", last, `  ${last.agent} said: ${last.words}`);
}

export function result(page: Page): void {
  const { finished, fence, outcomes, endedMs, startedMs } = page.fence;
  const [first] = finished;
  if (first) {
    const least = isStartLate(page.fence) ? "at least " : "";
    const took =
      endedMs !== undefined && startedMs < endedMs ? ` in ${least}${formatDuration(endedMs - startedMs)}` : "";
    const by = first.delegate === undefined ? "" : ` by ${first.delegate}`;
    page.say(
      "result",
      first,
      `${first.action} ${first.ok ? "succeeded" : "failed"}${took}${by} for ${first.client}@${first.origin}: ${first.result}`,
    );
  }
  const executors = new Set(
    page
      .of("device-asked")
      .filter((fact) => isSame(fact.target, page.target) && duringFence(page, fact))
      .map(({ by }) => by),
  );
  if (first?.delegate !== undefined && executors.size > 0 && !executors.has(first.delegate)) {
    page.say("result", first, `Pacemaker names ${first.delegate}; the agents ran on ${[...executors].join(", ")}`);
  }
  for (const { action, status, delegate, client, origin, completedMs, evidence, reason } of fence?.entries ?? []) {
    const words = `history: ${action} ${status}${delegate === undefined ? "" : ` by ${delegate}`} for ${client}@${origin}${reason === undefined ? "" : `: ${reason}`}`;
    page.say("result", { timeMs: completedMs, evidence }, words);
  }
  for (const outcome of outcomes) {
    page.say(
      "result",
      outcome,
      `outcome by ${outcome.source}: ${outcome.action} ${outcome.status} (${outcome.recorder})`,
    );
  }
  verdictOfDlm(page);
  const isHalf = fence?.completedMs === undefined && (fence?.action === "off" || fence?.action === "on");
  if (isHalf && actionOf(page.fence) === fence?.action)
    page.gap(
      "result",
      `whether it is an ${fence.action} or half of a reboot is not known: the history has the half that runs`,
    );
  if (!first && !fence && outcomes.length === 0) {
    const none = "neither pacemaker.log nor the fencing history nor an outcome has it";
    page.gap("result", resultOf(page.fence) === "running" ? `no result yet: ${none}` : `result not known: ${none}`);
  }
}

/**
 * What the agents' own answers, exit 0 each, say was done: the devices that fenced the node, and whether the node was
 * left off, because a reboot done as off and on had its on skipped. Undefined where no log of theirs is at hand.
 */
export function doneBy(page: Page): {
  devices: string[] | undefined;
  isRecorderAlone: boolean;
  leftOff: boolean | undefined;
} {
  const mine = (fact: LogFact & { target: string }): boolean =>
    isSame(fact.target, page.target) && duringFence(page, fact);
  const done = page.of("device-result").filter((fact) => fact.ok && mine(fact));
  const fenced = done.filter(({ action }) => action !== "on");
  const devices = [...new Set(fenced.map(({ device }) => device))];
  const agents = page
    .of("agent-said")
    .filter(({ pid, evidence }) => fenced.some((fact) => fact.pid === pid && fact.evidence.file === evidence.file));
  const names = [...devices, ...agents.map(({ agent }) => agent)];
  const turnedOn = done.some(({ action }) => action === "on");
  const skipped = page.of("on-skipped").some(mine);
  const isOk = page.fence.finished.some(({ ok }) => ok);
  const isRecorder = devices.length === 1 && names.some((name) => /recorder|_rec$/i.test(name));
  // Without the operation's beginning another device may have been at work before, or on another node.
  const isWhole = page.of("begun").some(({ id }) => page.fence.ids.includes(id));
  return {
    devices: isOk && devices.length > 0 && (isWhole || !isRecorder) ? devices : undefined,
    isRecorderAlone: isRecorder && isWhole,
    leftOff: !isOk ? undefined : turnedOn ? false : skipped && !isRecorder ? true : undefined,
  };
}

/** GFS2 goes on once DLM holds the fence for done: what dlm_controld's own request came to, and who told the others. */
function verdictOfDlm(page: Page): void {
  const { nodeNames } = page.sources;
  // Its answer comes after the operation's end.
  const sinceMs = (page.askedMs ?? page.fence.endedMs ?? page.beganMs + 1_000) - 1_000;
  for (const fact of page.of("dlm-fence-result", "dlm-fence-status")) {
    if (!page.isTarget(fact) || timeOr(fact, 0) < sinceMs || !page.inTime(fact)) continue;
    const outcome = fact.result === 0 ? "succeeded" : "failed";
    const who =
      fact.kind === "dlm-fence-result"
        ? `dlm_controld: its request (process ${fact.pid}) ${outcome}`
        : `DLM heard from ${nodeNames.get(fact.from) ?? `node ${fact.from}`} that fencing ${outcome}`;
    page.sayOnce("result", fact, `${who}: result ${fact.result}`);
  }
}

export function recorded(page: Page): void {
  const { events, fence } = page.fence;
  for (const event of events) {
    const context = event.known === "found" ? event.filesystems.join(", ") : `GFS2 ${event.known}`;
    page.say("recorded", event, `${event.action} ${event.status} by ${event.recorder}: ${context}`);
  }
  if (events.length > 0) return;
  if (!page.sources.recordsRead) page.gap("recorded", "not known: our own log was not read");
  else if (fence?.recordedAs !== "doubtful") page.gap("recorded", "no recorder wrote down this fence");
  for (const { evidence } of fence?.recordedAs === "doubtful" ? fence.doubtful : []) {
    const line = `${evidence.file}:${evidence.line}`;
    page.gap("recorded", `not known: ${line} may be of it, or of one that the history no longer holds`);
  }
}

/** Nothing where the clocks of two nodes put the answer before the request. */
function tookOf(asked: LogFact, answer: LogFact | undefined): string {
  if (asked.timeMs === undefined || answer?.timeMs === undefined || answer.timeMs < asked.timeMs) return "";
  return ` after ${formatDuration(answer.timeMs - asked.timeMs)}`;
}

const outcomeWords = (answer: Answer): string => {
  if (answer.kind === "device-reply") return answer.result === "complete" ? "answered" : answer.result;
  return answer.ok ? "done (exit 0)" : answer.result.replace(/^returned (-?\d+)$/, "failed (exit $1)");
};
