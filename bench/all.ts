/**
 * Runs every benchmark with the words given: `npm run bench -- --quick`.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";

for (const name of ["agent.ts", "analyze.ts", "gluster.ts"]) {
  const { status } = spawnSync(process.execPath, [join(import.meta.dirname, name), ...process.argv.slice(2)], {
    stdio: "inherit",
  });
  if (status !== 0) process.exit(status ?? 1);
}
