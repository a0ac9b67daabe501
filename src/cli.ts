/**
 * `fencepost`, the admin's command: its first word is a subcommand, loaded when it is called.
 */
import type { AnalyzeContext } from "./analyze/context.ts";
import { OpsError } from "./core/errors.ts";
import { VERSION } from "./core/version.ts";

const HELP = `fencepost ${VERSION}: tools for people who run high-availability storage clusters

This executable answers to the name it is called by:
  fence_gfs2_recorder   fence agent that records fence events with their GFS2 context
  fencepost-analyze     the same as fencepost analyze

Commands:
  fencepost analyze     answers questions about recorded fence events

Examples:
  fencepost analyze events --node compute-node-3 --since 2h
  fence_gfs2_recorder --help
  fence_gfs2_recorder -o off -n compute-node-3 --log-dir /tmp/fencing
`;

export async function runCli(
  words: readonly string[],
  out: (text: string) => void,
  analyzeContext: () => Promise<AnalyzeContext>,
): Promise<number> {
  const [word, ...rest] = words;
  if (word === "analyze" && rest[0] === "--part-of-a-search") {
    const { runPart } = await import("./analyze/parts.ts"); // started by ourselves: without yargs, 4 ms sooner
    return runPart(await analyzeContext(), rest[1] ?? "");
  }
  if (word === "analyze") {
    const { runAnalyze } = await import("./analyze/cli.ts");
    return runAnalyze(await analyzeContext(), rest, "fencepost analyze");
  }
  if (word === "--version" || word === "-V") out(`${VERSION}\n`);
  else if (word === undefined || word === "--help" || word === "-h") out(HELP);
  else throw new OpsError("usage", `fencepost: unknown command '${word.slice(0, 100)}'`, { hint: "fencepost --help" });
  return 0;
}
