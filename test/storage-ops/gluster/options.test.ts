import { describe, expect, it } from "vitest";
import { GLUSTER_OPERATIONS } from "../../../src/storage-ops/gluster/operations.ts";
import {
  isSame,
  judgeChange,
  parseChange,
  parseOptions,
  planOptions,
  recommendedFor,
} from "../../../src/storage-ops/gluster/options-plan.ts";
import type { Pool, Volume } from "../../../src/storage-ops/gluster/state.ts";
import { fakeHost } from "../../fakes/fake-host.ts";
import { fixture, fixtureText, poolOf } from "./fixture.ts";

const only = (pool: Pool): Volume => pool.volumes[0] as Volume;

describe("options", () => {
  const known = parseOptions(fixture("get-all"));
  const pool = poolOf();

  it("reads each once, although one is an option of two translators", () => {
    expect(known.filter(({ name }) => name === "performance.cache-size")).toEqual([
      { name: "performance.cache-size", value: "32MB, 128MB", isDefault: true },
    ]);
  });

  it.each([
    ["256MB", "268435456", true],
    ["on", "enable", true],
    ["off", "0", true],
    ["10", "42", false],
    ["1GB", "1MB", false],
  ])("takes %s and %s for one value: %s", (a, b, same) => {
    expect(isSame(a, b)).toBe(same);
  });

  it("recommends the self-heal daemon only where there are copies", () => {
    expect(recommendedFor({ replica: 1, disperse: 0 }).map(({ name }) => name)).not.toContain(
      "cluster.self-heal-daemon",
    );
    expect(recommendedFor({ replica: 2, disperse: 0 }).map(({ name }) => name)).toContain("cluster.self-heal-daemon");
  });

  it("never switches healing or quorum off, and warns of what decides without the operator", () => {
    const judge = (word: string) => judgeChange(only(pool), parseChange(word));
    expect(judge("cluster.self-heal-daemon=disable").reasons).toHaveLength(1);
    for (const value of ["none", "None", "FIXED"])
      expect(judge(`cluster.quorum-type=${value}`).reasons).toHaveLength(1);
    expect(judge("cluster.favorite-child-policy=None")).toEqual({ reasons: [], warnings: [] });
    expect(judge("cluster.favorite-child-policy=mtime")).toMatchObject({ reasons: [], warnings: [expect.any(String)] });
    expect(judge("network.ping-timeout=2").warnings).toHaveLength(1);
    expect(judge("performance.cache-size=1GB")).toEqual({ reasons: [], warnings: [] });
  });

  it("goes back to the value that was set, or to the default", () => {
    const volume = { ...only(pool), options: new Map([["network.ping-timeout", "33"]]) };
    const changes = ["network.ping-timeout=10", "performance.cache-size=256MB"].map(parseChange);
    const { steps } = planOptions(pool, volume, { changes, known, backupFile: "/b" });
    const undone = steps.slice(1).map(({ undo }) => (undo && "argv" in undo ? undo.argv.slice(2).join(" ") : ""));
    expect(undone).toEqual([
      "volume set shared_data network.ping-timeout 33",
      "volume reset shared_data performance.cache-size",
    ]);
  });

  it.each(["-x=1", "a.b", "a.b=", "a.b=-1", "no-dot=1", "a.b=x\ny"])("refuses the word %j", (word) => {
    expect(() => parseChange(word)).toThrow(expect.objectContaining({ kind: "usage" }));
  });

  describe("features.shard, without which a file written in shards ends after its first", () => {
    const name = "features.shard";
    const sharded = { ...only(pool), options: new Map([[name, "enable"]]) };

    it("is neither switched off nor reset where it is on, and may be both where it is not", () => {
      const off = ["off", "Disable", "0"].map((value) => ({ name, value }));
      for (const change of [...off, { name, reset: true } as const]) {
        expect(judgeChange(sharded, change).reasons).toEqual([expect.stringContaining("ends after its first shard")]);
        expect(judgeChange(only(pool), change).reasons).toEqual([]);
        expect(() => planOptions(pool, sharded, { changes: [change], known, backupFile: "/b" })).toThrow(
          expect.objectContaining({ kind: "unsafe" }),
        );
      }
      expect(judgeChange(sharded, { name, value: "on" }).reasons).toEqual([]);
    });

    it("is not reset by an undo either, nor by a setup that is gone on with; what does no harm is set back", async () => {
      const info = (value: string) =>
        fakeHost({
          commands: {
            "gluster --mode=script --xml volume info all": fixtureText("volume-info").replace(
              /<option>\s*<name>[^<]+<\/name>\s*<value>[^<]*<\/value>/,
              `<option><name>${name}</name><value>${value}</value>`,
            ),
          },
        });
      const changes = [parseChange(`${name}=on`), parseChange("network.ping-timeout=10")];
      const [, shard, ping] = planOptions(pool, only(pool), { changes, known, backupFile: "/b" }).steps;
      if (!shard || !ping) throw new Error("no step");
      const kinds = GLUSTER_OPERATIONS.kinds;
      for (const kind of ["option-set", "setup-option"]) {
        await expect(kinds[kind]?.guardUndo?.({ ...shard, kind }, info("on"))).rejects.toMatchObject({
          kind: "unsafe",
          message: expect.stringMatching(/^volume shared_data: cannot set back features\.shard: /),
        });
        await kinds[kind]?.guardUndo?.({ ...shard, kind }, info("off"));
        await kinds[kind]?.guardUndo?.({ ...ping, kind }, info("on"));
      }
      const off = { ...shard, kind: "setup-option", data: { ...shard.data, value: "off" } };
      await expect(kinds["setup-option"]?.guard?.(off, info("on"))).rejects.toMatchObject({ kind: "unsafe" });
    });
  });
});
