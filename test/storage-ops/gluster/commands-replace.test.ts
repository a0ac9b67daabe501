import { describe, expect, it } from "vitest";
import { withNames } from "../../../src/storage-ops/gluster/names.ts";
import { planReplace, planResetStart } from "../../../src/storage-ops/gluster/replace-plan.ts";
import type { Pool, Volume } from "../../../src/storage-ops/gluster/state.ts";
import { fakeHost } from "../../fakes/fake-host.ts";
import { poolOf } from "./fixture.ts";

const only = (pool: Pool): Volume => pool.volumes[0] as Volume;
const BRICK = "10.77.0.3:/data/glusterfs/shared";

describe("a brick put on the node that the command runs on", () => {
  const replace = (pool: Pool, from: string) =>
    planReplace(pool, {
      volume: only(pool),
      from,
      site: {
        host: "10.99.0.1",
        path: "/data/glusterfs/other",
        mount: { target: "/data/glusterfs", type: "xfs" },
        content: "absent",
      },
      dead: false,
      owed: undefined,
      backupFile: "/b",
      spaces: new Map(),
    });

  it("is not probed by another address of it, and not put beside its own copy", async () => {
    const commands = { hostname: "node1\n", "hostname -I": "10.77.0.1 10.99.0.1 \n" };
    const pool = await withNames(fakeHost({ commands }), poolOf(), ["10.99.0.1"]);
    const steps = replace(pool, "10.77.0.1:/data/glusterfs/shared").steps.map(({ id }) => id);
    expect(steps).toEqual(["backup", "replace-brick", "heal"]);
    expect(() => replace(pool, BRICK)).toThrow(/10\.99\.0\.1 already holds 10\.77\.0\.1:\S+ two copies on one node/);
  });
});

describe("a dead brick that was to be taken off for a new disk", () => {
  it("is refused with what can be done about it, none of which is an option of that command", () => {
    const down = poolOf({ status: "status-brick-down", heal: "heal-brick-down" });
    const off = () => planResetStart(down, only(down), BRICK, "/b");
    expect(off).toThrow(
      `if it is dead for good, fencepost gluster reset-brick shared_data ${BRICK} commit once its new`,
    );
    expect(off).toThrow("or replace-brick with --dead");
    expect(off).not.toThrow("say --dead");
  });
});
