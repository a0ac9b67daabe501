/**
 * The recorder's own wall time inside a fence that Pacemaker runs: a wrapper in its place notes when it was started and
 * when it had ended, by the node's clock.
 * Output: placeTimedAgent(cluster, node); readAgentTimes(cluster) = every call so far, in order; placeAgent(cluster,
 *         node, script) for any other wrapper, which finds the recorder as NAMED.
 * Method: bash's EPOCHREALTIME around fork, exec and wait of the agent; the wrapper's own start and end are left out.
 */
import { existsSync, readFileSync } from "node:fs";
import { AGENT, type Cluster } from "./cluster.ts";

const TIMES = "log/agent-times"; // of the node's disk: a power cut keeps it
/** The recorder when another program has its place: the executable knows by this name what it is. */
export const NAMED = "/run/timed-agent/fence_gfs2_recorder";
const WRAPPER = `#!/bin/bash
[ $# -gt 0 ] && exec ${NAMED} "$@"
text=$(cat)
begun=$EPOCHREALTIME
${NAMED} <<<"$text"
code=$?
ended=$EPOCHREALTIME
echo "$(sed -n 's/^action=//p' <<<"$text") $begun $ended $code" >>/var/${TIMES}
exit $code
`;

export type AgentTime = { node: string; action: string; begunMs: number; elapsedMs: number; exitCode: number };

/** Until restoreTool(node, AGENT) or the node's next boot. */
export async function placeAgent(cluster: Cluster, node: string, script: string): Promise<void> {
  const directory = NAMED.slice(0, NAMED.lastIndexOf("/"));
  await cluster.must(node, ["install", "-d", directory]);
  await cluster.must(node, ["ln", "-sfn", "/usr/bin/fencepost", NAMED]);
  await cluster.replaceTool(node, AGENT, script);
}
export const placeTimedAgent = (cluster: Cluster, node: string): Promise<void> => placeAgent(cluster, node, WRAPPER);

export function readAgentTimes(cluster: Cluster): AgentTime[] {
  const times = cluster.names.flatMap((node) => {
    const path = cluster.diskPath(node, TIMES);
    const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n").filter(Boolean) : [];
    return lines.map((line) => {
      const [action = "", begun, ended, code] = line.split(" ");
      const begunMs = Number(begun) * 1000;
      return { node, action, begunMs, elapsedMs: Number(ended) * 1000 - begunMs, exitCode: Number(code) };
    });
  });
  return times.sort((a, b) => a.begunMs - b.begunMs);
}
