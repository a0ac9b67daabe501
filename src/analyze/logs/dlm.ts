/**
 * What DLM and GFS2 say about a fence: dlm_controld.log, `dlm_tool dump`, and the kernel's dlm and gfs2 lines.
 * Input:  lines of `dlm_controld.log` (`Nov 20 10:40:43 747 text`), of `dlm_tool dump` (`747 text`), of dmesg
 *         (`[  747.134441] dlm: …`, with -T or --time-format iso too) or of a syslog with kernel lines.
 * Output: facts in file order; nodes are Corosync node ids.
 * Clock:  the number is CLOCK_MONOTONIC in seconds, the same clock as the kernel's. dlm_controld's own log ties it to a
 *         day with its stamp, the dump with `fence request … time EPOCH` and `fence status … walltime EPOCH local
 *         SECONDS`. dmesg alone is tied to nothing: `dmesgReader` needs the zero of the same boot.
 * Source: dlm 4.2.0 dlm_controld/{logging.c,daemon_cpg.c,cpg.c}; fs/dlm, fs/gfs2 of Linux 6.1; captured logs
 */
import { type Anchor, type ClockBasis, parseStamp, resolveStamps, type Stamp, type Tie } from "../../core/log-clock.ts";
import type { FactDetail, LogFact, LogReader } from "./fact.ts";
import { type Pending, stampedFile } from "./stamped.ts";

type Rule = readonly [RegExp, (match: string[]) => FactDetail | undefined];

const DAEMON_RULES: readonly Rule[] = [
  [
    /^fence request (\d+) pid (\d+) /,
    ([, id, pid]) => ({ kind: "dlm-fence-asked", nodeId: Number(id), pid: Number(pid) }),
  ],
  [
    /^fence result (\d+) pid (\d+) result (-?\d+)/,
    ([, id, pid, result]) => ({
      kind: "dlm-fence-result",
      nodeId: Number(id),
      pid: Number(pid),
      result: Number(result),
    }),
  ],
  [
    /^fence status (\d+) receive (-?\d+) from (\d+) /,
    ([, id, result, from]) => ({
      kind: "dlm-fence-status",
      nodeId: Number(id),
      result: Number(result),
      from: Number(from),
    }),
  ],
  [/^daemon remove (\d+) (\w+)/, ([, id, reason = ""]) => ({ kind: "dlm-node-gone", nodeId: Number(id), reason })],
  [/^daemon joined (\d+)$/, ([, id]) => ({ kind: "dlm-node-joined", nodeId: Number(id) })],
  [
    /^(\S+) add_change cg \d+ remove nodeid (\d+) reason (\w+)/,
    ([, lockspace = "", id, reason = ""]) => ({ kind: "lockspace-lost-node", lockspace, nodeId: Number(id), reason }),
  ],
  [
    /^(\S+) add_change cg \d+ joined nodeid (\d+)/,
    ([, lockspace = "", id]) => ({ kind: "lockspace-node-joined", lockspace, nodeId: Number(id) }),
  ],
  [/^(\S+) stop_kernel seq \d+/, ([, lockspace = ""]) => ({ kind: "lockspace-stopped", lockspace })],
  [/^(\S+) wait for fencing$/, ([, lockspace = ""]) => ({ kind: "lockspace-waits", lockspace })],
  [
    /^(\S+) check_fencing (\d+) done /,
    ([, lockspace = "", id]) => ({ kind: "lockspace-fencing-done", lockspace, nodeId: Number(id) }),
  ],
  [
    /^(\S+) start_kernel cg \d+ member_count (\d+)/,
    ([, lockspace = "", members]) => ({ kind: "lockspace-started", lockspace, members: Number(members) }),
  ],
];

const KERNEL_RULES: readonly Rule[] = [
  [/^dlm: closing connection to node (\d+)/, ([, id]) => ({ kind: "dlm-connection-closed", nodeId: Number(id) })],
  [
    /^dlm: (\S+): remove member (\d+)/,
    ([, lockspace = "", id]) => ({ kind: "lockspace-removes", lockspace, nodeId: Number(id) }),
  ],
  [
    /^dlm: (\S+): add member (\d+)/,
    ([, lockspace = "", id]) => ({ kind: "lockspace-adds", lockspace, nodeId: Number(id) }),
  ],
  [
    /^dlm: (\S+): dlm_recover \d+ (?:generation \d+ )?done: (\d+) ms/,
    ([, lockspace = "", took]) => ({ kind: "lockspace-recovered", lockspace, tookMs: Number(took) }),
  ],
  [
    /^gfs2: fsid=[^:]+:([^:]+?)\.\d+: recover jid (\d+) result (\w+)/,
    ([, filesystem = "", journal, result = ""]) => ({
      kind: "journal-recovered",
      filesystem,
      journal: Number(journal),
      result,
    }),
  ],
  [
    /^gfs2: fsid=[^:]+:([^:]+?)\.\d+: recover generation \d+ done/,
    ([, filesystem = ""]) => ({ kind: "filesystem-recovered", filesystem }),
  ],
  [
    /^gfs2: fsid=[^:]+:([^:]+?)(?:\.\d+)?: Joined cluster\. Now mounting FS/,
    ([, filesystem = ""]) => ({ kind: "filesystem-mounted", filesystem }),
  ],
  [
    /^gfs2: fsid=[^:]+:([^:]+?)(?:\.\d+)?: (?:about to withdraw|withdrawn|File system withdrawn|fatal: )/,
    ([, filesystem = ""]) => ({ kind: "filesystem-withdrawn", filesystem }),
  ],
];

const factOf = (rules: readonly Rule[], words: string): FactDetail | undefined => {
  for (const [pattern, detailOf] of rules) {
    const match = pattern.exec(words);
    if (match) return detailOf(match);
  }
  return undefined;
};

/** The boot's zero: epoch ms at which the monotonic clock stood at 0, and what that rests on. */
export type UptimeZero = { epochMs: number; basis: ClockBasis };

/**
 * A waiting lockspace says so every second in the dump: the first of each wait is enough, and what ends it starts anew.
 */
function repeats(): (detail: FactDetail) => boolean {
  const waiting = new Set<string>();
  return (detail) => {
    if (detail.kind === "lockspace-waits") {
      if (waiting.has(detail.lockspace)) return true;
      waiting.add(detail.lockspace);
    } else if (
      detail.kind === "lockspace-stopped" ||
      detail.kind === "lockspace-started" ||
      detail.kind === "lockspace-fencing-done"
    ) {
      waiting.delete(detail.lockspace);
    } else if (detail.kind === "dlm-fence-status") {
      waiting.clear();
    }
    return false;
  };
}

const DUMP = /^(\d+) (.*)$/;
const CONTROLD = /^ (\d+) (.*)$/;
const REQUEST_EPOCH = /^fence request \d+ pid \d+ \w+ time (\d{10})\b/;
const STATUS_EPOCH = /^fence status \d+ receive -?\d+ from \d+ walltime (\d{10}) local (\d+)/;

export type DlmReader = LogReader & { zero: (borrowed?: Tie) => UptimeZero | undefined };

/**
 * dlm_controld.log and `dlm_tool dump`, told apart line by line; both give the zero of the last boot in them: the log by
 * any line's stamp and uptime, the dump by an epoch. `known` is that zero where the caller has it: of a dump asked live.
 */
export function dlmReader({
  file,
  modifiedMs,
  known,
}: {
  file: string;
  modifiedMs: number;
  known?: UptimeZero | undefined;
}): DlmReader {
  type Line = { detail: FactDetail; stamp: Stamp | undefined; uptimeMs: number; line: number };
  const found: Line[] = [];
  const anchors: Anchor[] = [];
  const isRepeat = repeats();
  let zero = known;
  let first: { stamp: Stamp | undefined; uptimeMs: number } | undefined;
  let last: { stamp: Stamp | undefined; uptimeMs: number } | undefined;
  let lines = 0;
  const read = (text: string, line: number) => {
    const stamped = parseStamp(text);
    const match = stamped ? CONTROLD.exec(text.slice(stamped.length)) : DUMP.exec(text);
    if (!match) return;
    const [, uptime = "", words = ""] = match;
    const status = STATUS_EPOCH.exec(words);
    const epoch = Number(REQUEST_EPOCH.exec(words)?.[1] ?? status?.[1] ?? "0") * 1000;
    const uptimeMs = Number(uptime) * 1000;
    // The node was booted in between.
    if (last && uptimeMs < last.uptimeMs) zero = undefined;
    last = { stamp: stamped?.stamp, uptimeMs };
    first ??= last;
    // The request is stamped when it is made; a status may be heard later than the walltime it names.
    if (epoch > 0 && (!zero || !status)) {
      zero = { epochMs: epoch - (status ? Number(status[2]) * 1000 : uptimeMs), basis: "anchored" };
    }
    const detail = factOf(DAEMON_RULES, words);
    if (!detail || isRepeat(detail)) return;
    if (epoch > 0 && stamped) anchors.push({ index: found.length, epochMs: epoch });
    found.push({ detail, stamp: stamped?.stamp, uptimeMs, line });
  };
  /** Stamps of the first line, the facts, and the last line. */
  const resolve = (borrowed: Tie | undefined) => {
    const of = found.flatMap(({ stamp }) => stamp ?? []);
    const at = first?.stamp ? 1 : 0;
    const stamps = [...(first?.stamp ? [first.stamp] : []), ...of, ...(last?.stamp ? [last.stamp] : [])];
    const moved = anchors.map(({ index, epochMs }) => ({ index: index + at, epochMs }));
    return { at, stamps, ...resolveStamps(stamps, { modifiedMs, anchors: moved, borrowed }) };
  };
  return {
    line(text, line) {
      lines = line;
      read(text, line);
    },
    zero(borrowed) {
      if (zero || !last?.stamp) return zero;
      const { timesMs, basis } = resolve(borrowed);
      return { epochMs: (timesMs.at(-1) ?? 0) - last.uptimeMs, basis };
    },
    end(borrowed) {
      const { at, stamps, timesMs, basis, tie } = resolve(borrowed);
      const byUptime = (uptimeMs: number | undefined): number | undefined =>
        zero && uptimeMs !== undefined ? zero.epochMs + uptimeMs : undefined;
      let next = at;
      const facts: LogFact[] = found.map(({ detail, stamp, uptimeMs, line }) => ({
        ...detail,
        timeMs: stamp ? timesMs[next++] : byUptime(uptimeMs),
        evidence: { file, line },
        host: undefined,
      }));
      const isStamped = stamps.length > 0;
      const clock: ClockBasis = isStamped ? basis : (zero?.basis ?? "unknown");
      const fromMs = isStamped ? timesMs[0] : byUptime(first?.uptimeMs);
      const untilMs = isStamped ? timesMs.at(-1) : byUptime(last?.uptimeMs);
      return { kind: "dlm", file, facts, clock, tie, fromMs, untilMs, lines };
    },
  };
}

const KERNEL_UPTIME = /^(?:<\d+>)?\[ *(\d+)\.(\d+)\] (.*)$/;
const KERNEL_DATED = /^\[([^\]]+)\] (.*)$/;
const KERNEL_SYSLOG = /^ (\S+) kernel: (?:\[ *[\d.]+\] )?(.*)$/;

/** Kernel lines; `zero` of the same boot dates those that carry the uptime alone. */
export function dmesgReader({
  file,
  modifiedMs,
}: {
  file: string;
  modifiedMs: number;
}): LogReader & { endWith: (zero: UptimeZero | undefined, borrowed?: Tie) => ReturnType<LogReader["end"]> } {
  const byUptime: { detail: FactDetail; uptimeMs: number; line: number }[] = [];
  const dated: Pending[] = [];
  let lines = 0;
  const endWith = (zero: UptimeZero | undefined, borrowed?: Tie) => {
    const file_ = stampedFile("dmesg", { file, modifiedMs }, dated, [], lines, borrowed);
    const facts: LogFact[] = byUptime.map(({ detail, uptimeMs, line }) => ({
      ...detail,
      timeMs: zero && zero.epochMs + uptimeMs,
      evidence: { file, line },
      host: undefined,
    }));
    const clock: ClockBasis = byUptime.length === 0 ? file_.clock : (zero?.basis ?? "unknown");
    return { ...file_, facts: [...file_.facts, ...facts], clock };
  };
  return {
    line(text, line) {
      lines = line;
      if (!/dlm: |gfs2: /.test(text)) return;
      const uptime = KERNEL_UPTIME.exec(text);
      if (uptime) {
        const detail = factOf(KERNEL_RULES, uptime[3] ?? "");
        const uptimeMs = Number(uptime[1]) * 1000 + Number((uptime[2] ?? "").slice(0, 3));
        if (detail) byUptime.push({ detail, uptimeMs, line });
        return;
      }
      const bracket = KERNEL_DATED.exec(text);
      const stamped = parseStamp(bracket?.[1] ?? text);
      if (!stamped) return;
      const rest = text.slice(stamped.length);
      const syslog = KERNEL_SYSLOG.exec(rest);
      // Without brackets and without a host it is dmesg --time-format iso.
      const words = bracket ? bracket[2] : (syslog?.[2] ?? rest.trimStart());
      const detail = factOf(KERNEL_RULES, words ?? "");
      if (detail) dated.push({ detail, stamp: stamped.stamp, line, host: syslog?.[1] });
    },
    end: (borrowed) => endWith(undefined, borrowed),
    endWith,
  };
}
