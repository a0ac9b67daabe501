/**
 * `node add` and `node remove` killed with SIGKILL after every record of their journals, then gone on with, or taken back:
 * always the same end, no second brick, no orphan peer, every file whole on another node's mount. Real glusterd nodes.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { addressOf, type GlusterLab, startGluster } from "./gluster.ts";
import { killAtEachRecord, runAndKill } from "./operation-journal.ts";
import { expectDone } from "./outcomes.ts";
import { GLUSTER_NEEDS, liveDescribe } from "./requirements.ts";

const PATH = "/data/glusterfs/v";
const brickOf = (node: string): string => `${addressOf(node)}:${PATH}`;
const ADD = `node add --service glusterfs --ip ${addressOf("node3")}`;
const REMOVE = `node remove --service glusterfs --ip ${addressOf("node3")}`;
const PROBE = `peer-probe-${addressOf("node3")}`;
const DETACH = `peer-detach-${addressOf("node3")}`;
/** Each step begins and ends; one that was done already before is only told. */
const records = (...steps: string[]): string[] => [
  "plan",
  ...steps.flatMap((step) => [`step ${step} started`, `step ${step} done`]),
  "end done",
];

liveDescribe("a program that is killed after any record of its journal", GLUSTER_NEEDS, () => {
  let lab: GlusterLab;
  let sums = "";
  /** The whole state that may differ: bricks, peers, tasks, and the files as another node's mount has them. */
  const state = async () => ({
    bricks: await lab.bricks("v"),
    peers: await lab.pool(),
    // A rebalance that is over stays listed.
    isIdle: !/^Task +: Remove brick|^Status +: in progress/m.test(await lab.gluster("node1", "volume status v")),
    isWhole: (await lab.sh("node2", "cd /mnt/gluster && find . -type f | sort | xargs md5sum")) === sums,
  });
  const smaller = {
    bricks: ["node1", "node2"].map(brickOf),
    peers: [addressOf("node2"), "localhost"],
    isIdle: true,
    isWhole: true,
  };
  const larger = {
    ...smaller,
    bricks: [...smaller.bricks, brickOf("node3")],
    peers: [addressOf("node2"), addressOf("node3"), "localhost"],
  };
  const emptyBrick = (): Promise<string> => lab.sh("node3", `rm -rf ${PATH}`);
  async function createVolume(words: string): Promise<void> {
    await lab.gluster("node1", `volume create v ${words} ${smaller.bricks.join(" ")}`.replace("  ", " "));
    await lab.gluster("node1", "volume start v");
    for (const node of ["node1", "node2"]) await lab.sh(node, "mount -t glusterfs localhost:/v /mnt/gluster");
    await lab.sh("node1", "cd /mnt/gluster && for i in $(seq 20); do echo $i$i >f$i; done");
    sums = await lab.sh("node1", "cd /mnt/gluster && find . -type f | sort | xargs md5sum");
  }

  beforeAll(async () => {
    lab = await startGluster(3);
    await lab.gluster("node1", `peer probe ${addressOf("node2")}`);
    await lab.waitForPeers();
    await createVolume("replica 2");
  });
  afterAll(() => lab?.stop());

  it("adds the node once, whatever number of times it was killed and gone on with", async () => {
    const { kills } = await killAtEachRecord(lab.operator("node1"), ADD);
    // A resume finds some of the steps done, and the heal may be over before it is asked for.
    expect(kills).toEqual(
      expect.arrayContaining(records("backup", PROBE, "add-brick").filter((record) => !record.startsWith("end"))),
    );
    expect(await state()).toEqual(larger);
    expect(
      await lab.sh("node3", `cd ${PATH} && find . -type f -not -path './.glusterfs/*' | sort | xargs md5sum`),
    ).toBe(sums);
  });

  it("removes the node wholly, whatever number of times it was killed and gone on with", async () => {
    const { kills } = await killAtEachRecord(lab.operator("node1"), REMOVE);
    expect(kills).toEqual(
      expect.arrayContaining(records("backup", "remove-brick-v", DETACH).filter((record) => !record.startsWith("end"))),
    );
    expect(await state()).toEqual(smaller);
  });

  it.each(records("backup", PROBE, "add-brick", "heal"))(
    "takes back an addition that was killed after: %s: no brick and no peer is left",
    async (record) => {
      await emptyBrick();
      const { id, met } = await runAndKill(
        lab.operator("node1"),
        ADD,
        (one) => one.replace("already", "done") === record,
      );
      // The heal may be over before it is asked for: then there is no record of its start.
      if (met === undefined) expect(record).toBe("step heal started");
      // Behind the same gate as any removal: a copy that is being filled is not taken away.
      await lab.waitFor("the undo", async () => {
        const { exitCode, stderr } = await lab.fencepost("node1", `journal undo ${id}`);
        if (exitCode !== 0 && exitCode !== 107) throw new Error(stderr);
        return exitCode === 0;
      });
      expect(await state()).toEqual(smaller);
    },
  );

  it("keeps an undo that could not come to its end, counts it, and ends it with all others that are so", async () => {
    await emptyBrick();
    const { id } = await runAndKill(lab.operator("node1"), ADD, (record) => record === "step add-brick done");
    await lab.killBrick("node2", "v");
    const undo = await lab.fencepost("node1", `journal undo ${id}`);
    expect(`${undo.exitCode} ${undo.stderr}`).toMatch(/^107 .*is down/s);
    expect((await lab.fencepost("node1", "journal list")).stdout).toMatch(
      new RegExp(`^${id} .*\\(1 attempt to undo it\\)$`, "m"),
    );
    await lab.gluster("node1", "volume start v force");
    await lab.waitFor("the undo", async () => {
      const again = await lab.fencepost("node1", "journal undo --failed");
      return again.exitCode === 0;
    });
    expect(await state()).toEqual(smaller);
    expect((await lab.fencepost("node1", "journal list")).stdout).not.toContain("to undo it");
    expect((await lab.fencepost("node1", "journal undo --failed")).stdout).toBe("nothing is half taken back\n");
  });

  it("goes on with a removal that has lost a copy, and does not take it back", async () => {
    await emptyBrick();
    expectDone(await lab.fencepost("node1", ADD));
    const { id } = await runAndKill(lab.operator("node1"), REMOVE, (record) => record === "step remove-brick-v done");
    const undo = await lab.fencepost("node1", `journal undo ${id}`);
    expect(`${undo.exitCode} ${undo.stderr}`).toMatch(/^107 .*cannot be taken back: the copy is stale/);
    const { exitCode, stderr } = await lab.fencepost("node1", `journal resume ${id}`);
    expect(`${exitCode} ${stderr}`).toMatch(/^0 |^64 .*it is done: nothing to resume/);
    expect(await state()).toEqual(smaller);
  });

  describe("on a distributed volume", () => {
    beforeAll(async () => {
      for (const node of ["node1", "node2"]) await lab.sh(node, "umount /mnt/gluster");
      await lab.gluster("node1", "volume stop v");
      await lab.gluster("node1", "volume delete v");
      for (const node of lab.names) await lab.sh(node, `rm -rf ${PATH}`);
      await createVolume("");
      expectDone(await lab.fencepost("node1", `${ADD} --as distribute`));
    });

    // Until the commit: after it nobody brings the brick back.
    it.each(records("backup", "remove-brick-start-v").slice(0, -1))(
      "takes back a removal that was killed after: %s: brick, peer and files stay",
      async (record) => {
        const { id, met } = await runAndKill(lab.operator("node1"), REMOVE, (one) => one === record);
        expect(met?.record).toBe(record);
        expectDone(await lab.fencepost("node1", `journal undo ${id}`));
        expect(await state()).toEqual(larger);
      },
    );

    it("removes the node wholly, whatever number of times it was killed and gone on with", async () => {
      const { kills } = await killAtEachRecord(lab.operator("node1"), REMOVE);
      expect(kills).toEqual(
        expect.arrayContaining(["step remove-brick-start-v started", "step remove-brick-commit-v done"]),
      );
      expect(await state()).toEqual(smaller);
    });
  });
});
