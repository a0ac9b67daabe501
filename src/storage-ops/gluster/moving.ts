/**
 * Data that moves from brick to brick: a rebalance, or the removal of bricks.
 * Input:  `rebalance VOLUME status`, `remove-brick VOLUME BRICK… status`. Output: what each node has done; a Standing.
 * Errors: OpsError unsafe where data was not moved, or somebody stopped it; those of asking gluster.
 * Source: gf_cli_print_rebalance_status and cli_xml_output_vol_rebalance_status of glusterfs 10.
 */
import { OpsError } from "../../core/errors.ts";
import { failureOf } from "../../core/exec.ts";
import type { Host } from "../../core/host.ts";
import type { Standing, Step } from "../../core/plan.ts";
import { childNamed, childrenNamed, textNamed, type XmlElement } from "../../core/xml.ts";
import { text } from "../step-data.ts";
import { showBytes } from "./capacity.ts";
import { ask, type Count, countOf, GLUSTER_TIMEOUT_MS, glusterArgv, need } from "./state.ts";

export type MovingNode = {
  node: string;
  status: string;
  files: Count;
  sizeBytes: Count;
  /** Entries looked at. */
  scanned: Count;
  failures: Count;
  skipped: Count;
  runtimeSeconds: number;
};
export type Moving = { taskId: string; nodes: readonly MovingNode[] };

/** A rebalance, or the removal of these bricks. */
export type What = "rebalance" | readonly string[];

export function parseMoving(root: XmlElement): Moving {
  const holder = childNamed(root, "volRebalance") ?? childNamed(root, "volRemoveBrick");
  if (!holder) throw new OpsError("bad-output", "status: neither <volRebalance> nor <volRemoveBrick>");
  return {
    taskId: textNamed(holder, "task-id") ?? "",
    nodes: childrenNamed(holder, "node").map((node) => ({
      node: need(node, "nodeName", "status"),
      status: need(node, "statusStr", "status"),
      files: countOf(node, "files"),
      sizeBytes: countOf(node, "size"),
      scanned: countOf(node, "lookups"),
      failures: countOf(node, "failures"),
      skipped: countOf(node, "skipped"),
      runtimeSeconds: Number(textNamed(node, "runtime") ?? "0") || 0,
    })),
  };
}

const statusWords = (volume: string, what: What): string[] =>
  what === "rebalance"
    ? ["volume", "rebalance", volume, "status"]
    : ["volume", "remove-brick", volume, ...what, "status"];

/** Undefined when nothing of the kind was ever started. */
export async function readMoving(host: Host, volume: string, what: What): Promise<Moving | undefined> {
  try {
    return parseMoving(await ask(host, statusWords(volume, what)));
  } catch (error) {
    if (error instanceof OpsError && /not started|no such|incorrect brick/i.test(error.message)) return undefined;
    throw error;
  }
}

/** gluster reckons it for people only: its XML has none. */
async function readLeftMs(host: Host, volume: string, what: What): Promise<number | undefined> {
  const result = await host.run(glusterArgv(...statusWords(volume, what)), { timeoutMs: GLUSTER_TIMEOUT_MS });
  if (failureOf(result, GLUSTER_TIMEOUT_MS) !== undefined) return undefined;
  const [, hours, minutes, seconds] = /^Estimated time left .*?:\s*(\d+):(\d\d):(\d\d)\s*$/m.exec(result.stdout) ?? [];
  return hours === undefined ? undefined : ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1_000;
}

/** `fix-layout in progress`, `fix-layout completed` are words of gluster's too. */
export const isRunning = ({ status }: MovingNode): boolean => !/(completed|failed|stopped)$/.test(status);
const isStopped = ({ status }: MovingNode): boolean => /stopped$/.test(status);

export const nodeText = ({ node, status, files, sizeBytes, scanned, skipped }: MovingNode): string =>
  `${node} ${status}, ${files} files${sizeBytes === "unknown" ? "" : ` (${showBytes(sizeBytes)})`} of ${scanned} looked at` +
  `${skipped === 0 ? "" : `, ${skipped} skipped`}`;

/** A file counts when all of it is moved, and the largest take hours. */
const ONE_FILE_MS = 24 * 3_600_000;

/** What a removed brick skips is lost with it; what a rebalance skips stays where it is, and is served from there. */
export function movingStanding(moving: Moving | undefined, skips: "lose" | "stay"): Standing {
  if (moving === undefined || moving.nodes.length === 0) return { state: "todo", detail: "not started" };
  const { nodes } = moving;
  const sum = (key: "files" | "sizeBytes" | "scanned"): number =>
    nodes.reduce((total, node) => total + (node[key] === "unknown" ? 0 : node[key]), 0);
  if (nodes.some(isRunning)) {
    const seconds = Math.max(...nodes.map(({ runtimeSeconds }) => runtimeSeconds));
    const rate = seconds > 0 && sum("sizeBytes") > 0 ? `; ${showBytes(sum("sizeBytes") / seconds)}/s` : "";
    const isAtWork = nodes.some(({ status }) => /in progress$/.test(status));
    return {
      state: "working",
      detail: `${nodes.map(nodeText).join("; ")}${rate}`,
      progress: sum("files") + sum("sizeBytes") + sum("scanned"),
      ...(isAtWork ? { quietMs: ONE_FILE_MS } : {}),
    };
  }
  if (nodes.some(isStopped)) return { state: "todo", detail: "stopped" };
  const bad = nodes.filter(
    ({ status, failures, skipped }) =>
      /failed$/.test(status) || failures !== 0 || (skipped !== 0 && (skips === "lose" || skipped === "unknown")),
  );
  if (bad.length > 0) {
    const told = bad.map(
      ({ node, status, failures, skipped }) => `${node} ${status}, ${failures} failed, ${skipped} skipped`,
    );
    const log = "/var/log/glusterfs/*-rebalance.log on that node";
    throw new OpsError("unsafe", `data was not moved: ${told.join("; ")}: see ${log}`, { hint: log });
  }
  const skipped = nodes.reduce((total, node) => total + (node.skipped === "unknown" ? 0 : node.skipped), 0);
  const stayed = skipped > 0 ? `, ${skipped} left where they are: no more room elsewhere` : "";
  return { state: "done", detail: `completed on ${nodes.length} nodes, ${sum("files")} files moved${stayed}` };
}

/** `previousTask`: the rebalance that was listed before this one. */
export function rebalanceStanding(moving: Moving | undefined, previousTask: string): Standing {
  if (moving?.taskId === previousTask) return { state: "todo", detail: "not started" };
  const stopped = moving?.nodes.some(isRunning) ? undefined : moving?.nodes.find(isStopped);
  // Not to be started again behind the back of whoever stopped it; a resume does.
  if (stopped) throw new OpsError("unsafe", `somebody stopped it: ${stopped.node}`, { hint: "fencepost journal list" });
  return movingStanding(moving, "stay");
}

export async function standingOfRebalance(step: Step, host: Host): Promise<Standing> {
  const moving = await readMoving(host, text(step, "volume"), "rebalance");
  return withLeft(host, step, "rebalance", moving, rebalanceStanding(moving, text(step, "previousTask")));
}

export async function standingOfRemoval(step: Step, host: Host, bricks: readonly string[]): Promise<Standing> {
  const moving = await readMoving(host, text(step, "volume"), bricks);
  return withLeft(host, step, bricks, moving, movingStanding(moving, "lose"));
}

/** gluster reckons the time left only after ten minutes. */
const RECKONED_AFTER_SECONDS = 600;

async function withLeft(
  host: Host,
  step: Step,
  what: What,
  moving: Moving | undefined,
  standing: Standing,
): Promise<Standing> {
  const isReckoned = moving?.nodes.some(({ runtimeSeconds }) => runtimeSeconds > RECKONED_AFTER_SECONDS);
  if (standing.state !== "working" || !isReckoned) return standing;
  const leftMs = await readLeftMs(host, text(step, "volume"), what);
  return leftMs === undefined ? standing : { ...standing, leftMs };
}
