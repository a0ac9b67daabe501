/**
 * `npm run demo` without its build: it ends with a recorded event on screen, for any user, and leaves the machine alone.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { liveDescribe } from "../live/requirements.ts";

const DEMO = join(import.meta.dirname, "../demo.ts");

function runDemo(prefix: readonly string[] = []): { status: number | null; stdout: string; stderr: string } {
  const directory = mkdtempSync(join(tmpdir(), "fencepost-demo-test-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  if (prefix.length > 0) spawnSync("chown", ["65534:65534", directory]);
  const [file = "", ...words] = [...prefix, process.execPath, DEMO];
  return spawnSync(file, words, {
    encoding: "utf8",
    cwd: "/",
    env: { PATH: "/usr/bin:/bin", TMPDIR: directory, HOME: "/nonexistent" },
    timeout: 30_000,
  });
}

function expectShown({ status, stdout, stderr }: ReturnType<typeof runDemo>): void {
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const lines = stdout.split("\n");
  const events = lines
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(events).toMatchObject([
    {
      target_node: "compute-node-2",
      action: "off",
      gfs2_filesystems: ["gfs2-project", "gfs2-scratch"],
      source: "manual",
    },
  ]);
  expect(stdout).toMatch(/^ {2}target_node +"compute-node-2"$/m);
  expect(stdout).toMatch(
    /^\[.{19}\] ACTION=off TARGET=compute-node-2 GFS2=\["gfs2-project","gfs2-scratch"\] STATUS=initiated /m,
  );
  expect(stdout).toMatch(/^ {2}2\. dlm +found +\d+ ms/m);
  expect(stdout).toMatch(/^ {2}\/.*\/fence-events-detailed\.jsonl$/m);
  expect(stdout).not.toContain("\u001b"); // colours are for terminals
}

liveDescribe("the demo", ["executable"], () => {
  it("shows a recorded event", () => {
    expectShown(runDemo());
  });
});

liveDescribe("the demo as another user", ["executable", "root"], () => {
  it("shows a recorded event", () => {
    expectShown(runDemo(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]));
  });
});
