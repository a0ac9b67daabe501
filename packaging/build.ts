/**
 * Builds the one executable, bin/fencepost; the program names beside it are committed symlinks.
 * usage: bun packaging/build.ts [--target bun-linux-arm64] [--outfile FILE]
 * The default is a baseline build, so that a server whose CPU has no AVX2 does not crash on start.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, renameSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    target: { type: "string", default: process.arch === "arm64" ? "bun-linux-arm64" : "bun-linux-x64-baseline" },
    outfile: { type: "string", default: "bin/fencepost" },
  },
});

const root = new URL("..", import.meta.url).pathname;
// The runtime that goes into the executable comes with `npm ci`, pinned by the lock file; Bun would fetch others itself.
const runtime = resolve(root, "node_modules/@oven", values.target, "bin/bun");
const unfinished = `${values.outfile}.${process.pid}.tmp`;
const { status, error } = spawnSync(
  process.execPath,
  [
    "build",
    "--compile",
    "--minify",
    "--bytecode",
    "--format=esm",
    "--splitting",
    // A security boundary: without these the executable obeys a .env and a bunfig.toml in its working directory.
    "--no-compile-autoload-dotenv",
    "--no-compile-autoload-bunfig",
    `--target=${values.target}`,
    ...(existsSync(runtime) ? [`--compile-executable-path=${runtime}`] : []),
    "src/main.ts",
    `--outfile=${unfinished}`,
  ],
  { cwd: root, stdio: ["ignore", "inherit", "inherit"] },
);
if (error) throw error;
if (status === 0) {
  // In one step, so that nobody ever starts half an executable.
  chmodSync(resolve(root, unfinished), 0o755);
  renameSync(resolve(root, unfinished), resolve(root, values.outfile));
}
process.exit(status ?? 1);
