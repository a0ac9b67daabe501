/**
 * Installs what the tests need, where it can: as root on Debian or Ubuntu, with apt-get, never asking anything.
 * Elsewhere it says what is missing and which tests will be reported as skipped.
 * Exit:   0, or 1 when something is still missing under CI (nothing may be skipped there).
 * Source: test/live/needs.ts says which package brings what; apt-get(8), invoke-rc.d(8) for policy-rc.d.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CLUSTER_NEEDS, GLUSTER_NEEDS, inCi, type Need, REQUIREMENTS, readMissing } from "./live/needs.ts";

const POLICY_FILE = "/usr/sbin/policy-rc.d";
const ALL_NEEDS = (Object.keys(REQUIREMENTS) as Need[]).filter((need) => need !== "executable");

const packageOf = (need: Need): string | undefined => {
  const requirement = REQUIREMENTS[need];
  return "package" in requirement ? requirement.package : undefined;
};
const say = (line: string) => process.stderr.write(`install-packages: ${line}\n`);

process.exitCode = main();

function main(): number {
  let missing = readMissing(ALL_NEEDS);
  const packages = [...new Set(missing.flatMap((need) => packageOf(need) ?? []))];
  const canInstall = process.getuid?.() === 0 && existsSync("/etc/debian_version") && existsSync("/usr/bin/apt-get");
  if (packages.length > 0 && canInstall) {
    say(`installing ${packages.join(" ")}`);
    withServicesHeldBack(() => install(packages));
    missing = readMissing(ALL_NEEDS);
  }
  if (missing.length === 0) return 0;
  for (const need of missing) say(`missing: ${need}${packageOf(need) ? ` (Debian package ${packageOf(need)})` : ""}`);
  if (!canInstall) say("not root on Debian or Ubuntu: nothing was installed");
  const mandatory = inCi();
  for (const title of readTitlesThatNeed(missing)) say(`${mandatory ? "cannot run" : "will be skipped"}: ${title}`);
  return mandatory ? 1 : 0;
}

function install(packages: readonly string[]): boolean {
  // A held dpkg lock is waited for; anything else that hiccups (a mirror, a proxy) gets one more try.
  const apt = (...args: string[]) =>
    spawnSync("apt-get", ["-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=2", "-qq", "-y", ...args], {
      stdio: ["ignore", 2, 2],
      timeout: 900_000,
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", NEEDRESTART_MODE: "l", LC_ALL: "C" },
    }).status === 0;
  const attempt = () => {
    const updated = apt("update");
    const installed = apt(
      "install",
      "--no-install-recommends",
      "-o",
      "Dpkg::Options::=--force-confdef",
      "-o",
      "Dpkg::Options::=--force-confold",
      ...packages,
    );
    return updated && installed;
  };
  if (attempt()) return true;
  say("apt-get failed, one more try");
  return attempt();
}

/** Debian starts a service when its package is installed; a policy that answers 101 forbids it for this run only. */
function withServicesHeldBack(body: () => void): void {
  const ours = !existsSync(POLICY_FILE);
  if (ours) writeFileSync(POLICY_FILE, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  const remove = () => ours && rmSync(POLICY_FILE, { force: true });
  const stop = () => {
    remove();
    process.exit(1);
  };
  process.once("SIGINT", stop).once("SIGTERM", stop);
  try {
    body();
  } finally {
    remove();
    process.off("SIGINT", stop).off("SIGTERM", stop);
  }
}

/** Titles of liveDescribe("title", NEEDS or [...]) whose file mentions a missing thing, or a group that holds it. */
function readTitlesThatNeed(missing: readonly Need[]): string[] {
  const titles: string[] = [];
  for (const entry of readdirSync(import.meta.dirname, { recursive: true, encoding: "utf8" })) {
    if (!entry.endsWith(".test.ts") || entry.startsWith("fixtures")) continue;
    const text = readFileSync(join(import.meta.dirname, entry), "utf8");
    for (const [, title, needs] of text.matchAll(/liveDescribe\(\s*["'`](.+?)["'`],\s*(\[[^\]]*\]|\w+)/g)) {
      const wanted = needs ?? "";
      const named = missing.some((need) => wanted.includes(`"${need}"`) || wanted.includes(`'${need}'`));
      const groups: readonly (readonly [string, readonly Need[]])[] = [
        ["CLUSTER_NEEDS", CLUSTER_NEEDS],
        ["GLUSTER_NEEDS", GLUSTER_NEEDS],
      ];
      const grouped = groups.some(
        ([name, needs]) => wanted.includes(name) && missing.some((one) => needs.includes(one)),
      );
      if (named || grouped) titles.push(`test/${entry}: ${title}`);
    }
  }
  return titles;
}
