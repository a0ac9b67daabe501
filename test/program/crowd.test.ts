/**
 * 64 agents at once, again and again: the append lock holds, every event is there once, nobody is turned away.
 * Source: SPEC 3 "Durability". On the machine's disk, so that fsync takes its real time.
 */
import { expect, it } from "vitest";
import { liveDescribe } from "../live/requirements.ts";
import { expectWhole } from "./event-checks.ts";
import { Lab, linesOf, waitFor } from "./lab.ts";

liveDescribe("64 agents at once", ["root", "namespaces", "overlayfs", "nsenter", "executable"], () => {
  // A slow machine takes minutes, and would take them again.
  it("leave 1,280 whole and different events in 20 rounds", { timeout: 900_000, retry: 0 }, async () => {
    const lab = await Lab.open({ logDir: "disk" });
    const env = { GFS2_DISCOVERY_ENABLED: "false" };
    const failures: string[] = [];
    for (let round = 0; round < 20; round++) {
      const outcomes = await Promise.all(
        Array.from({ length: 64 }, (_, agent) =>
          lab.run({ args: ["-o", "reboot", "-n", `crowd-${round * 64 + agent}`], env, limitMs: 60_000 }),
        ),
      );
      const failed = outcomes.filter(({ exitCode }) => exitCode !== 0);
      await lab.settled(60_000);
      failures.push(...failed.map(({ exitCode, stderr }) => `exit ${exitCode}: ${stderr.slice(0, 120)}`));
    }
    await waitFor(
      "1,280 lines",
      () => (lab.writers().length === 0 && lab.detailedLines().length >= 1280) || undefined,
      60_000,
    ).catch(() => undefined);
    const expected = new Set(Array.from({ length: 1280 }, (_, index) => `crowd-${index}`));
    expect(expectWhole(lab, expected)).toHaveLength(1280);
    expect(lab.intents()).toEqual([]);
    expect(lab.spooled()).toEqual([]);
    expect(linesOf(lab.read(`${lab.logDir}/fence-events-readable.log`))).toHaveLength(1280);
    // Whoever's writer took longer than a second had its intent on disk and left it to finish: SPEC 3, "then exits 0".
    expect({ number: failures.length, first: failures[0] }).toEqual({ number: 0, first: undefined });
  });
});
