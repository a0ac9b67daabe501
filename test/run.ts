/**
 * `npm test`: every test; then those files of test/live that failed once more, each with a new cluster.
 * Why: clusters and the programs under test have limits of their own, of a second and less, and a machine that stalls for
 * longer (CI's does) makes them do what they do on a dying node. A case goes on from the cluster that the one before it
 * left, so no case of them can be tried again alone. A defect fails each time; anything else that fails fails at once.
 * Input:  vitest's own words (`npm test -- test/live/galera.test.ts`). Exit: vitest's.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..");

/** The files of which a test failed, or all of it did. */
function vitest(words: readonly string[]): { exitCode: number; failed: string[] } {
  const directory = mkdtempSync(join(tmpdir(), "fencepost-tests-"));
  const results = join(directory, "results.json");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${results}`];
  try {
    const { status } = spawnSync("packaging/bun", ["--bun", "vitest", "run", ...reporters, ...words], {
      cwd: ROOT,
      stdio: "inherit",
    });
    if (status === 0) return { exitCode: 0, failed: [] };
    const { testResults } = JSON.parse(readFileSync(results, "utf8")) as {
      testResults: { name: string; status: string }[];
    };
    const failed = testResults.filter((file) => file.status === "failed").map((file) => file.name);
    return { exitCode: status ?? 1, failed };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const first = vitest(process.argv.slice(2));
const isLive = (path: string): boolean => path.startsWith(join(ROOT, "test/live/"));
if (first.failed.length === 0 || !first.failed.every(isLive)) process.exit(first.exitCode);
console.error(`\ntried again, each with a new cluster: ${first.failed.join(", ")}\n`);
process.exit(vitest(first.failed).exitCode);
