/**
 * The captured cluster (fixtures/gfs2-cluster) standing in for a real one: a directory of stand-in tools for PATH.
 * Input:  a state of the cluster and the tools that shall be there; a tool not asked for is not installed.
 * Output: files in a directory of the caller's. The stand-ins are fakes/bin/captured-tool; they need a POSIX sh only.
 * Source: ORIGIN.md in the fixtures says what each state is.
 */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const STAND_IN = join(import.meta.dirname, "bin/captured-tool");
const FIXTURES = join(import.meta.dirname, "../fixtures/gfs2-cluster");

export const CAPTURED_TOOLS = [
  "dlm_tool",
  "crm_mon",
  "cibadmin",
  "crm_node",
  "corosync-cmapctl",
  "corosync-quorumtool",
  "pcs",
  "stonith_admin",
] as const;
export type CapturedTool = (typeof CAPTURED_TOOLS)[number];

/** The states that hold the tools' output, by what they are. compute-node-2 is the node that fails. */
export const CAPTURED_STATES = {
  healthy: "a-healthy",
  failed: "b-failed-before-fencing",
  failedAgain: "b2-second-failure-recorder-first",
  fenced: "c1-fenced-not-rejoined",
  rejoined: "c2-rejoined",
  window: "d-scripted-run-quiet-host/window",
  after: "d-scripted-run-quiet-host/after",
} as const;
export type CapturedState = keyof typeof CAPTURED_STATES;

export const captureOf = (state: CapturedState): string => join(FIXTURES, CAPTURED_STATES[state]);

/**
 * Makes `directory` a place of stand-ins for PATH: the tools by name, and `capture`, where they find what to print
 * (not only an environment variable: an agent may hand down an almost empty environment).
 */
export function installStandIns(
  directory: string,
  { capture, tools = CAPTURED_TOOLS, delaySeconds }: StandInOptions,
): void {
  mkdirSync(directory, { recursive: true });
  symlinkSync(capture, join(directory, "capture"));
  if (delaySeconds !== undefined) writeFileSync(join(directory, "delay"), String(delaySeconds));
  for (const tool of tools) symlinkSync(STAND_IN, join(directory, tool));
}

export type StandInOptions = {
  /** Directory with the captured files: `captureOf(state)`, or what `deriveCapture` made of it. */
  capture: string;
  tools?: readonly CapturedTool[];
  /** Seconds every tool takes before it answers. */
  delaySeconds?: number;
};

/** A copy of a captured state with some of its text changed, for what the lab cluster did not have. */
export function deriveCapture(state: CapturedState, directory: string, change: (text: string) => string): string {
  mkdirSync(directory, { recursive: true });
  for (const entry of readdirSync(captureOf(state), { withFileTypes: true })) {
    const from = join(captureOf(state), entry.name);
    if (!entry.isFile()) continue;
    if (/\.(xml|json|txt)$/.test(entry.name))
      writeFileSync(join(directory, entry.name), change(readFileSync(from, "utf8")));
    else copyFileSync(from, join(directory, entry.name));
  }
  return directory;
}

/** The lab's recording agent was a test double; this puts ours in its place, second in compute-node-2's level. */
export const withOurRecorder = (text: string): string => text.replaceAll("fence_gfs2lab_rec", "fence_gfs2_recorder");

/** One look of compute-node-2 at the cluster while it was cut off (run 4): the parts that were kept of it. */
export type PartitionedView = { at: string; dlmToolLs: string; quorum: string };

export function readPartitionedViews(): PartitionedView[] {
  const file = join(FIXTURES, "b4-partition-window/compute-node-2.view-while-partitioned.txt");
  return readFileSync(file, "utf8")
    .split(/^=== /m)
    .slice(1)
    .map((look) => {
      const [at = ""] = look.split("\n", 1);
      const lockspaces = look.indexOf("dlm lockspaces\n");
      const quorum = look.search(/^Nodes: /m);
      return { at, dlmToolLs: look.slice(lockspaces, quorum), quorum: look.slice(quorum) };
    });
}
