/** How a running step looks on a terminal of 100 columns (script(1) makes one). */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { liveDescribe } from "../live/requirements.ts";

const ROOT = join(import.meta.dirname, "../..");

liveDescribe("a step on a terminal", ["script"], () => {
  it("shows its title, how it goes, and how it ended", () => {
    const directory = mkdtempSync(join(tmpdir(), "fencepost-step-"));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    const program = join(directory, "steps.ts");
    writeFileSync(
      program,
      `import { showStep } from "${ROOT}/src/storage-ops/step-view.ts";
const heal = await showStep("heal volume v");
heal.say("12 entries to heal, 3.0/s, 4 s left");
await Bun.sleep(300);
await heal.end(true);
const move = await showStep("rebalance volume v");
await move.end(false);
`,
    );
    const { stdout, status } = spawnSync(
      "script",
      ["-qec", `stty cols 100 rows 30 && ${ROOT}/packaging/bun ${program}`, "/dev/null"],
      { encoding: "utf8", env: { PATH: process.env.PATH, TERM: "xterm", NO_COLOR: "1" }, timeout: 15_000 },
    );
    expect(status).toBe(0);
    expect(stdout).toMatch(/. heal volume v\r\n\s+\S 12 entries to heal, 3\.0\/s, 4 s left/);
    expect(stdout).toMatch(/✔ heal volume v/);
    expect(stdout).toMatch(/✖ rebalance volume v/);
  });
});
