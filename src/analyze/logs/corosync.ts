/**
 * corosync.log → token loss, membership and links.
 * Input:  lines of corosync's log file (`Nov 20 10:40:43 [358] NODE corosync notice  [TOTEM ] text`) or the same
 *         through syslog (`Nov 20 10:40:43 NODE corosync[358]:   [TOTEM ] text`).
 * Output: facts in file order; nodes are Corosync node ids, as it writes them.
 * Clock:  no year, no zone.
 * Source: corosync 3.1.7 exec/totemsrp.c, exec/vsf_quorum.c, exec/totemknet.c; test/fixtures/gfs2-cluster/logs-run1
 */
import { parseStamp, type Stamp } from "../../core/log-clock.ts";
import type { FactDetail, LogReader } from "./fact.ts";
import { endsOf, type Pending, stampedFile } from "./stamped.ts";

const HEAD = /^ (?:\[\d+\] (\S+) corosync \w+\s+|(\S+) corosync\[\d+\]:\s+)\[(TOTEM|QUORUM|KNET)\s*\] (.*)$/;
const ids = (text: string | undefined): number[] => (text ?? "").trim().split(/\s+/).filter(Boolean).map(Number);

function detailOf(subsystem: string, words: string): FactDetail | undefined {
  if (subsystem === "KNET") {
    const link = /^(?:link|rx): host: (\d+) link: \d+ is (up|down)/.exec(words);
    if (!link) return undefined;
    return { kind: link[2] === "up" ? "link-up" : "link-down", nodeId: Number(link[1]) };
  }
  const late = /^Token has not been received in (\d+) ms/.exec(words);
  if (late) return { kind: "token-late", elapsedMs: Number(late[1]) };
  const lost =
    /^A processor failed, forming new configuration(?:: token timed out \((\d+)ms\)(?:, waiting (\d+)ms)?)?/.exec(
      words,
    );
  if (lost) {
    const consensusMs = lost[2] === undefined ? undefined : Number(lost[2]);
    return { kind: "token-lost", timeoutMs: Number(lost[1] ?? "0"), consensusMs };
  }
  const formed = /^A new membership \(([^)]+)\) was formed\. Members(.*)$/.exec(words);
  if (formed) {
    const [, ring = "", rest = ""] = formed;
    return {
      kind: "membership",
      ring,
      joined: ids(/joined:((?: \d+)+)/.exec(rest)?.[1]),
      left: ids(/left:((?: \d+)+)/.exec(rest)?.[1]),
    };
  }
  const unheard = /^Failed to receive the leave message\. failed:((?: \d+)+)/.exec(words);
  return unheard ? { kind: "leave-not-heard", nodeIds: ids(unheard[1]) } : undefined;
}

export function corosyncReader({ file, modifiedMs }: { file: string; modifiedMs: number }): LogReader {
  const pending: Pending[] = [];
  let lines = 0;
  let first: Stamp | undefined;
  let lastText = "";
  return {
    line(text, line) {
      lines = line;
      if (text !== "") lastText = text;
      first ??= parseStamp(text)?.stamp;
      if (!/TOTEM|KNET/.test(text)) return;
      const stamped = parseStamp(text);
      const head = stamped && HEAD.exec(text.slice(stamped.length));
      if (!stamped || !head) return;
      const [, own, syslog, subsystem = "", words = ""] = head;
      const detail = detailOf(subsystem, words);
      if (detail) pending.push({ detail, stamp: stamped.stamp, line, host: own ?? syslog });
    },
    end(borrowed) {
      const ends = endsOf(first, lastText);
      return stampedFile("corosync", { file, modifiedMs }, pending, [], lines, borrowed, ends);
    },
  };
}

/**
 * Node ids and names from corosync.conf's nodelist. Input: the file's text. Output: id → name, empty where the file
 * gives none. Source: corosync.conf(5)
 */
export function parseNodeNames(conf: string): Map<number, string> {
  const names = new Map<number, string>();
  for (const [, block = ""] of conf.matchAll(/^\s*node\s*\{([^}]*)\}/gm)) {
    const id = /^\s*nodeid:\s*(\d+)/m.exec(block)?.[1];
    const name = /^\s*name:\s*(\S+)/m.exec(block)?.[1] ?? /^\s*ring0_addr:\s*(\S+)/m.exec(block)?.[1];
    if (id !== undefined && name !== undefined) names.set(Number(id), name);
  }
  return names;
}
