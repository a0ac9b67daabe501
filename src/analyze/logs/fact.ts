/**
 * What the cluster's own logs say about fencing, one fact a line, whichever file it came from. The parsers beside this
 * file make them, `why` reads them.
 */

import type { ClockBasis, Tie } from "../../core/log-clock.ts";
import type { Evidence } from "../event.ts";

export type LogKind = "pacemaker" | "corosync" | "dlm" | "dmesg" | "history";

/** Who asked, as Pacemaker writes it: `stonith_admin.2843`, `pacemaker-controld.382`, `stonith-api.1964`. */
export type FenceRequest = { action: string; client: string };

export type FactDetail =
  // membership, as Pacemaker and Corosync see it
  | { kind: "node-lost"; node: string; nodeId?: number }
  | { kind: "node-member"; node: string; nodeId?: number; was?: string }
  | { kind: "node-left-group"; node: string; nodeId?: number }
  | { kind: "quorum"; state: string; members?: number }
  | { kind: "link-down"; nodeId: number }
  | { kind: "link-up"; nodeId: number }
  | { kind: "token-late"; elapsedMs: number }
  | { kind: "token-lost"; timeoutMs: number; consensusMs: number | undefined }
  | { kind: "membership"; ring: string; joined: readonly number[]; left: readonly number[] }
  | { kind: "leave-not-heard"; nodeIds: readonly number[] }
  // the decision
  | { kind: "will-fence"; node: string; reason: string }
  | { kind: "fence-scheduled"; node: string; action: string; reason: string | undefined }
  /** What the scheduler means to do; whether it is done stands elsewhere. */
  | { kind: "resource"; verb: string; resource: string; from: string | undefined; to: string | undefined }
  | { kind: "resource-start"; resource: string; node: string; ok: boolean; result: string }
  | { kind: "transition"; number: number; file: string }
  | { kind: "request"; target: string; action: string; client: string }
  | { kind: "merged"; target: string; client: string; into: string }
  // the operation
  | { kind: "begun"; target: string; action: string; id: string }
  | { kind: "remapped"; target: string; to: string; id: string | undefined }
  | {
      kind: "device-asked";
      target: string;
      action: string;
      device: string | undefined;
      by: string;
      client: string;
      limitSeconds: number | undefined;
    }
  | {
      kind: "device-result";
      target: string;
      action: string;
      device: string;
      pid: number;
      ok: boolean;
      result: string;
      client: string | undefined;
    }
  | { kind: "device-reply"; target: string; action: string; device: string | undefined; client: string; result: string }
  | { kind: "on-skipped"; target: string; device: string; reason: string }
  | { kind: "level-failed"; target: string; client: string }
  | { kind: "agent-gave-up"; agent: string; action: string; attempts: number }
  | { kind: "agent-said"; agent: string; pid: number; words: string }
  | {
      kind: "finished";
      target: string;
      action: string;
      delegate: string | undefined;
      client: string;
      origin: string;
      merged: boolean;
      ok: boolean;
      result: string;
      id: string;
    }
  // a node's own log
  | { kind: "silent-from"; node: string }
  | { kind: "pacemaker-started"; node: string; version: string }
  // DLM and GFS2
  | { kind: "dlm-node-gone"; nodeId: number; reason: string }
  | { kind: "dlm-fence-asked"; nodeId: number; pid: number }
  | { kind: "dlm-fence-result"; nodeId: number; pid: number; result: number }
  | { kind: "dlm-fence-status"; nodeId: number; result: number; from: number }
  | { kind: "dlm-node-joined"; nodeId: number }
  | { kind: "lockspace-lost-node"; lockspace: string; nodeId: number; reason: string }
  | { kind: "lockspace-stopped"; lockspace: string }
  | { kind: "lockspace-waits"; lockspace: string }
  | { kind: "lockspace-fencing-done"; lockspace: string; nodeId: number | undefined }
  | { kind: "lockspace-started"; lockspace: string; members: number }
  | { kind: "lockspace-node-joined"; lockspace: string; nodeId: number }
  | { kind: "dlm-connection-closed"; nodeId: number }
  | { kind: "lockspace-removes"; lockspace: string; nodeId: number }
  | { kind: "lockspace-adds"; lockspace: string; nodeId: number }
  | { kind: "lockspace-recovered"; lockspace: string; tookMs: number }
  | { kind: "journal-recovered"; filesystem: string; journal: number; result: string }
  | { kind: "filesystem-recovered"; filesystem: string }
  | { kind: "filesystem-mounted"; filesystem: string }
  | { kind: "filesystem-withdrawn"; filesystem: string };

export type LogFact = FactDetail & {
  /** Undefined where nothing ties the file's clock to a day. */
  timeMs: number | undefined;
  evidence: Evidence;
  /** The node that wrote the line, where the line says so. */
  host: string | undefined;
};

export type FactOf<Kind extends FactDetail["kind"]> = Extract<FactDetail, { kind: Kind }> &
  Pick<LogFact, "timeMs" | "evidence" | "host">;

export type LogFile = {
  kind: LogKind;
  file: string;
  facts: LogFact[];
  clock: ClockBasis;
  tie?: Tie | undefined;
  /** The node that wrote it, where its lines say so. */
  host?: string | undefined;
  /** When its first and its last line were written, where the reader tells. */
  fromMs?: number | undefined;
  untilMs?: number | undefined;
  lines: number;
};

/** Lines go in one by one, in order; what was found comes out at the end. `borrowed` dates a file that is not anchored. */
export type LogReader = { line: (text: string, number: number) => void; end: (borrowed?: Tie) => LogFile };

export const isKind =
  <Kind extends FactDetail["kind"]>(...kinds: Kind[]) =>
  (fact: LogFact): fact is LogFact & FactOf<Kind> =>
    (kinds as string[]).includes(fact.kind);

/** Node names, as Pacemaker compares them. */
export const isSame = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();
export const timeOr = (fact: { timeMs: number | undefined }, otherwise: number): number => fact.timeMs ?? otherwise;
export const byTime = (a: { timeMs: number | undefined }, b: { timeMs: number | undefined }): number =>
  timeOr(a, 0) - timeOr(b, 0);

/** Words that say what a file or a directory holds and not whose it is. */
const WHAT =
  "pacemaker|corosync|dlm_controld|dlm_tool|dlm|gfs2|dump|dmesg|kern|kernel|messages|syslog|journal|tail\\d*|logs?|var|cluster|sos_commands|\\d+";
const BEFORE = new RegExp(`^(?:(?:${WHAT})(?:[-_]+|$))+`, "i");
const BEHIND = /[-_]+(?:pacemaker|corosync|dlm_controld|dlm_tool|dmesg)$/i;

/**
 * Whose file it is, by what its name says besides what it holds, else by the nearest directory whose name does:
 * `rabbit-node-1.dmesg.txt`, `dmesg-rabbit-node-1`, `rabbit-node-1/var/log/dmesg`; empty where neither tells.
 */
export function ownerOf(file: string): string {
  const words = file.split("/").map((part) => (part.split(".")[0] ?? "").replace(BEFORE, "").replace(BEHIND, ""));
  return words.findLast((word) => word !== "") ?? "";
}
