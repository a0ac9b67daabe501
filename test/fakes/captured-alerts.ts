/** What Pacemaker gave an alert agent for an environment (fixtures/gfs2-cluster/alerts, see ORIGIN.md), by file name. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

export const ALERTS = join(import.meta.dirname, "../fixtures/gfs2-cluster/alerts");

export function readAlert(name: string): Record<string, string> {
  const [, environment = ""] = readFileSync(join(ALERTS, name), "utf8").split("## environment\n");
  const lines = environment.split("\n").filter((line) => line.includes("="));
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
}
