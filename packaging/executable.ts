/**
 * One executable for one architecture, from the runtime that package-lock.json pins: the same bytes each time.
 * Input:  node_modules; for another architecture the runtime's npm package, which `npm pack` brings when it is not there.
 * Errors: thrown: the compiler's, npm's, or a package that is not the one in the lock file.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";

export const ROOT = resolve(import.meta.dirname, "..");

/** A baseline build for x64, so that a server whose CPU has no AVX2 does not crash on start. */
const RUNTIMES = {
  x64: { target: "bun-linux-x64-baseline", from: "@oven/bun-linux-x64-baseline" },
  arm64: { target: "bun-linux-arm64", from: "@oven/bun-linux-aarch64" },
} as const;
export type Arch = keyof typeof RUNTIMES;
export const ARCHES = Object.keys(RUNTIMES) as Arch[];

/** Runs a tool of the build; its complaints are shown when it fails. */
export function run(file: string, args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}) {
  const { status, error, stdout, stderr } = spawnSync(file, args, {
    cwd: options.cwd ?? ROOT,
    env: options.env ?? process.env,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${file} ${args.join(" ")}: exit ${status}\n${stdout}${stderr}`);
  return stdout;
}

export function buildExecutable(arch: Arch, outfile: string): void {
  const target = resolve(ROOT, outfile);
  // The executable remembers its file's name, so it is built under the final one in a directory of its own.
  mkdirSync(dirname(target), { recursive: true });
  const scratch = mkdtempSync(join(dirname(target), ".build-"));
  try {
    const unfinished = join(scratch, basename(target));
    run(process.execPath, [
      "build",
      "--compile",
      "--minify",
      "--bytecode",
      "--format=esm",
      "--splitting",
      // A security boundary: without these the executable obeys a .env and a bunfig.toml in its working directory.
      "--no-compile-autoload-dotenv",
      "--no-compile-autoload-bunfig",
      `--target=${RUNTIMES[arch].target}`,
      `--compile-executable-path=${runtimeFor(arch)}`,
      "src/main.ts",
      `--outfile=${unfinished}`,
    ]);
    // In one step, so that nobody ever starts half an executable.
    chmodSync(unfinished, 0o755);
    renameSync(unfinished, target);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Bun would fetch others by itself, and unpinned. */
function runtimeFor(arch: Arch): string {
  const { from } = RUNTIMES[arch];
  const installed = join(ROOT, "node_modules", from, "bin/bun");
  if (existsSync(installed)) return installed;
  const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
    packages: Record<string, { version: string; integrity: string }>;
  };
  const pinned = lock.packages[`node_modules/${from}`];
  if (!pinned) throw new Error(`package-lock.json: ${from}: not pinned`);
  const cache = join(ROOT, "node_modules/.cache/fencepost", `${basename(from)}-${pinned.version}`);
  if (existsSync(join(cache, "bun"))) return join(cache, "bun");

  mkdirSync(dirname(cache), { recursive: true });
  const scratch = mkdtempSync(join(dirname(cache), ".fetch-"));
  try {
    run("npm", ["pack", "--silent", "--pack-destination", scratch, `${from}@${pinned.version}`], { cwd: scratch });
    const archive = join(scratch, `${from.slice(1).replace("/", "-")}-${pinned.version}.tgz`);
    const digest = `sha512-${createHash("sha512").update(readFileSync(archive)).digest("base64")}`;
    if (digest !== pinned.integrity) throw new Error(`${from}@${pinned.version}: not what package-lock.json pins`);
    run("tar", ["-xzf", archive, "-C", scratch, "--strip-components=2", "package/bin/bun"]);
    mkdirSync(cache, { recursive: true });
    renameSync(join(scratch, "bun"), join(cache, "bun"));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return join(cache, "bun");
}
