/**
 * pacemaker.log → what it says about fencing and membership.
 * Input:  lines of Pacemaker's own log (`Nov 20 10:40:43.057 NODE pacemaker-fenced    [391] (function) 	notice: text`)
 *         or the same through syslog (`Nov 20 10:40:43 NODE pacemaker-fenced[391]:  notice: text`).
 * Output: facts in file order; lines that say nothing about fencing are passed over.
 * Clock:  no year, no zone; the scheduler's graph references hold the epoch and tie both down where they occur.
 * Source: pacemaker 2.1.5 daemons/fenced/fenced_remote.c, fenced_commands.c, lib/pengine/unpack.c; captured logs in
 *         test/fixtures/gfs2-cluster/logs-run1 and logs-final
 */
import { type Anchor, parseStamp, type Stamp } from "../../core/log-clock.ts";
import type { FactDetail, LogReader } from "./fact.ts";
import { endsOf, type Pending, stampedFile } from "./stamped.ts";

const HEAD =
  /^ (\S+) (pacemaker[\w-]*) *\[(\d+)\](?::| (?:\([^)]*\)))?\s+(?:(?:trace|debug|info|notice|warning|error|crit)[^:]{0,8}: )?(.*)$/;
/** One cheap look decides about a line in a log of gigabytes; the rules below say what it means. */
const WORTH_A_LOOK =
  /fenc|Operation '|Action '|target|state is now|left via|membership=|Actions: |transition \d|Result of start|_start_0 on |stderr: \[|Starting Pacemaker \d|pe_calc-/;
/** The scheduler's references end in the second they were made: `pe_calc-pacemaker-controld-1795171245-78`. */
const REFERENCE_EPOCH = /ref=pe_calc-[a-z-]+-(\d{10})-\d+/;

type Rule = readonly [RegExp, (match: string[]) => FactDetail | undefined];
const number = (text: string | undefined): number => Number(text);

const RULES: readonly Rule[] = [
  [
    /^Node (\S+) state is now lost(?: \| nodeid=(\d+))?/,
    ([, node = "", id]) => ({ kind: "node-lost", node, ...(id === undefined ? {} : { nodeId: number(id) }) }),
  ],
  [
    /^Node (\S+) state is now member(?: \| nodeid=(\d+)(?: previous=(\S+))?)?/,
    ([, node = "", id, was]) => ({
      kind: "node-member",
      node,
      ...(id === undefined ? {} : { nodeId: number(id) }),
      ...(was === undefined ? {} : { was }),
    }),
  ],
  [
    /^Group \S+ event \d+: (\S+) \(node (\d+) pid \d+\) left via cluster exit/,
    ([, node = "", id]) => ({ kind: "node-left-group", node, nodeId: number(id) }),
  ],
  [
    /^Quorum (retained|lost|acquired)(?: \| membership=\S+ members=(\d+))?/,
    ([, state = "", members]) => ({
      kind: "quorum",
      state,
      ...(members === undefined ? {} : { members: number(members) }),
    }),
  ],
  [
    /^(?:Cluster|Remote|Guest)? ?[Nn]ode (\S+) will be fenced: (.*)$/,
    ([, node = "", reason = ""]) => ({ kind: "will-fence", node, reason }),
  ],
  [
    /^(?:Actions: |\* )Fence \((\w+)\) (\S+)(?: '(.*)')?/,
    ([, action = "", node = "", reason]) => ({ kind: "fence-scheduled", node, action, reason }),
  ],
  [
    /^(?:Actions: |\* )(Stop|Move|Recover|Restart|Migrate)\s+(\S+)\s+\(\s*(?:\S+ )?(?:(\S+) -> )?(\S+)\s*\)/,
    ([, verb = "", resource = "", from, last]) => ({
      kind: "resource",
      verb,
      resource,
      from: from ?? last,
      to: from === undefined ? undefined : last,
    }),
  ],
  [
    // The node that ran it, and the DC that heard of it.
    /^(?:Result of start operation for (\S+) on (\S+)|Transition \d+ action \d+ \((\S+)_start_0 on (\S+)\) confirmed): (.*?)(?: \| .*)?$/,
    ([, own, ownNode, heard, heardNode, result = ""]) => ({
      kind: "resource-start",
      resource: own ?? heard ?? "",
      node: ownNode ?? heardNode ?? "",
      ok: /^(?:ok$|0 \(ok\))/.test(result),
      result,
    }),
  ],
  [
    /^Calculated transition (\d+)(?: \(with \w+\))?, saving inputs in (\S+)/,
    ([, transition, file = ""]) => ({ kind: "transition", number: number(transition), file }),
  ],
  [
    /^Client (\S+) wants to fence \((\w+)\) (\S+) using /,
    ([, client = "", action = "", target = ""]) => ({ kind: "request", target, action, client }),
  ],
  [
    /^Merging fencing action '\w+' targeting (\S+) originating from client (\S+) with identical request from (\S+)/,
    ([, target = "", client = "", into = ""]) => ({ kind: "merged", target, client, into }),
  ],
  [
    /^Requesting peer fencing \((\w+)\) targeting (\S+) (?!\(duplicate\)).*?\| id=(\w+)/,
    ([, action = "", target = "", id = ""]) => ({ kind: "begun", target, action, id }),
  ],
  [
    /^Remapping multiple-device reboot targeting (\S+) to '?(\w+)'? \| id=(\w+)/,
    ([, target = "", to = "", id]) => ({ kind: "remapped", target, to, id }),
  ],
  [
    /^Requesting that (\S+) perform '(\w+)' action targeting (\S+)(?: using (?:')?([^\s']+)'?)? \| for client (\S+) \((\d+)s/,
    ([, by = "", action = "", target = "", device, client = "", limit]) => ({
      kind: "device-asked",
      target,
      action,
      device,
      by,
      client,
      limitSeconds: limit === undefined ? undefined : number(limit),
    }),
  ],
  [
    /^Operation '(\w+)' \[(\d+)\] targeting (\S+) using (\S+) (returned (-?\d+)|could not be executed: .*?)(?: \| call \d+ from (\S+))?$/,
    ([, action = "", pid, target = "", device = "", said = "", code, client]) => ({
      kind: "device-result",
      target,
      action,
      device,
      pid: number(pid),
      ok: code === "0",
      result: said.replace(/^could not be executed: /, ""),
      client,
    }),
  ],
  [
    /^Action '(\w+)' targeting (\S+)(?: using (\S+))? on behalf of (\S+?): (.*)$/,
    ([, action = "", target = "", device, client = "", result = ""]) => ({
      kind: "device-reply",
      target,
      action,
      device,
      client,
      result,
    }),
  ],
  [
    /^Not turning (\S+) back on using (\S+) because (.*)$/,
    ([, target = "", device = "", reason = ""]) => ({ kind: "on-skipped", target, device, reason }),
  ],
  [
    /^All fencing options targeting (\S+) for client (\S+) failed/,
    ([, target = "", client = ""]) => ({ kind: "level-failed", target, client }),
  ],
  [
    /^Attempted to execute agent (\S+) \((\w+)\) the maximum number of times \((\d+)\) allowed/,
    ([, agent = "", action = "", attempts]) => ({ kind: "agent-gave-up", agent, action, attempts: number(attempts) }),
  ],
  [
    /^(\S+)\[(\d+)\] stderr: \[ (.*) \]$/,
    ([, agent = "", pid, words = ""]) => ({ kind: "agent-said", agent, pid: number(pid), words }),
  ],
  [
    /^Operation '(\w+)' targeting (\S+)(?: by (\S+))? for (\S+)@(\S+?)( \(merged\))?: (.*?) \| id=(\w+)/,
    ([, action = "", target = "", delegate, client = "", origin = "", merged, result = "", id = ""]) => ({
      kind: "finished",
      target,
      action,
      delegate,
      client,
      origin,
      merged: merged !== undefined,
      ok: result.startsWith("OK"),
      result,
      id,
    }),
  ],
];

export type PacemakerOptions = {
  file: string;
  modifiedMs: number;
  /** Where its own log is at hand, the last line before it fell silent is a fact too. */
  target?: string;
};

export function pacemakerReader({ file, modifiedMs, target }: PacemakerOptions): LogReader {
  const pending: Pending[] = [];
  const anchors: Anchor[] = [];
  const ownLines = target === undefined ? undefined : ` ${target.toLowerCase()} pacemaker`;
  let lines = 0;
  let before: { stamp: Stamp; line: number } | undefined;
  let last: { stamp: Stamp; line: number } | undefined;
  let parent: string | undefined;
  let host: string | undefined;
  let first: Stamp | undefined;
  let lastText = "";

  const look = (text: string, line: number) => {
    const own = ownLines !== undefined && text.slice(0, 300).toLowerCase().includes(ownLines);
    if (!own && !WORTH_A_LOOK.test(text)) return;
    const stamped = parseStamp(text);
    const head = stamped && HEAD.exec(text.slice(stamped.length));
    if (!stamped || !head) return;
    const [, writer = "", daemon = "", pid = "", words = ""] = head;
    const { stamp } = stamped;
    host ??= writer;
    if (own) {
      // pacemakerd's first lines come before the one that says it starts: silence ends at the first of its process.
      if (daemon === "pacemakerd" && pid !== parent) {
        before = last;
        parent = pid;
      }
      last = { stamp, line };
    }
    const started = /^Starting Pacemaker (\d\S*)/.exec(words);
    if (started) {
      if (own && before) {
        pending.push({
          detail: { kind: "silent-from", node: writer },
          stamp: before.stamp,
          line: before.line,
          host: writer,
        });
      }
      pending.push({
        detail: { kind: "pacemaker-started", node: writer, version: started[1] ?? "" },
        stamp,
        line,
        host: writer,
      });
      return;
    }
    const epoch = REFERENCE_EPOCH.exec(words)?.[1];
    if (epoch !== undefined) {
      // It needs a place among the stamps; one that says nothing else is dropped again at the end.
      anchors.push({ index: pending.length, epochMs: Number(epoch) * 1000 });
      pending.push({ detail: { kind: "transition", number: -1, file: "" }, stamp, line, host: writer });
      return;
    }
    for (const [pattern, detailOf] of RULES) {
      const match = pattern.exec(words);
      const detail = match && detailOf(match);
      if (!detail) continue;
      pending.push({ detail, stamp, line, host: writer });
      return;
    }
  };

  return {
    line(text, line) {
      lines = line;
      // A resource agent's own lines go on without a stamp.
      if (/^[A-Z0-9]/.test(text)) lastText = text;
      first ??= parseStamp(text)?.stamp;
      look(text, line);
    },
    end(borrowed) {
      const all = [...pending];
      if (last && ownLines !== undefined) {
        const { stamp, line } = last;
        all.push({ detail: { kind: "silent-from", node: host ?? "" }, stamp, line, host });
      }
      const read = stampedFile(
        "pacemaker",
        { file, modifiedMs },
        all,
        anchors,
        lines,
        borrowed,
        endsOf(first, lastText),
      );
      return { ...read, host, facts: read.facts.filter((fact) => fact.kind !== "transition" || fact.number >= 0) };
    },
  };
}
