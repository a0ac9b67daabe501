/**
 * `fencepost`, the admin's command: so far it says what it is; its subcommands come with their own folders.
 */
import { OpsError } from "./core/errors.ts";
import { VERSION } from "./core/version.ts";

const HELP = `fencepost ${VERSION}: tools for people who run high-availability storage clusters

This executable answers to the name it is called by:
  fence_gfs2_recorder   fence agent that records fence events with their GFS2 context

Examples:
  fence_gfs2_recorder --help
  fence_gfs2_recorder -o off -n compute-node-3 --log-dir /tmp/fencing
`;

export function runCli(words: readonly string[], out: (text: string) => void): number {
  const [word] = words;
  if (word === "--version" || word === "-V") out(`${VERSION}\n`);
  else if (word === undefined || word === "--help" || word === "-h") out(HELP);
  else throw new OpsError("usage", `fencepost: unknown command '${word.slice(0, 100)}'`, { hint: "fencepost --help" });
  return 0;
}
