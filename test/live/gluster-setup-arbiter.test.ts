/**
 * `fencepost gluster setup` with arbiter_count: 1 on three real nodes: the first, a second copy, and the third as the arbiter.
 */
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { addressOf, type GlusterLab, startGluster } from "./gluster.ts";
import { exits } from "./outcomes.ts";
import { GLUSTER_NEEDS, liveDescribe } from "./requirements.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 300_000 });

const VOLUME = "shared_data";
const PATH = "/data/glusterfs/shared";
const MOUNT = "/mnt/gluster";
const CONFIG = "/root/my_multihead_cluster.yaml";

const configFor = (nodes: readonly string[]): string => `storage:
  glusterfs:
    volume_name: ${VOLUME}
    replica_count: auto
    arbiter_count: 1
    brick_path: ${PATH}
    mount_point: ${MOUNT}
nodes:
  controllers:
${nodes
  .map((node) => `    - hostname: ${node}\n      ip_address: ${addressOf(node)}\n      services: { glusterfs: true }\n`)
  .join("")}`;

liveDescribe("GlusterFS setup with an arbiter", GLUSTER_NEEDS, () => {
  let lab: GlusterLab;
  const setup = async (node: string, more: string): Promise<string> => {
    const done = await lab.fencepost(node, `gluster setup --config ${CONFIG} ${more}`.trim());
    expect(exits(done)).toMatch(/^0 /);
    return done.stdout;
  };
  const checksums = (node: string): Promise<string> =>
    lab.sh(node, `mountpoint -q ${MOUNT} && cd ${MOUNT} && find . -type f | sort | xargs md5sum`);
  const onBrick = (node: string, print: string): Promise<string> =>
    lab.sh(node, `cd ${PATH} && find . -path ./.glusterfs -prune -o -type f -printf '${print}\\n' | sort -u`);

  beforeAll(async () => {
    lab = await startGluster(3);
    for (const node of lab.names) {
      await lab.on(node, ["tee", CONFIG], { input: configFor(lab.names) });
      await lab.sh(node, "printf '# none\\n' >/etc/fstab; rmdir /mnt/gluster");
    }
  });
  afterAll(() => lab?.stop());

  it("ends as two copies and an arbiter, with every file readable from every mount", async () => {
    await setup("node1", "--bootstrap");
    await lab.sh("node1", `cd ${MOUNT} && for i in $(seq 20); do head -c 20000 /dev/urandom >uploads/f$i; done`);
    const sums = await checksums("node1");
    await setup("node2", "--join");
    expect(await lab.gluster("node1", `volume info ${VOLUME}`)).toMatch(/Number of Bricks: 1 x 2 = 2\n/);
    expect(await checksums("node2")).toBe(sums);
    await setup("node3", "--join");
    const info = await lab.gluster("node1", `volume info ${VOLUME}`);
    expect(info).toMatch(/Number of Bricks: 1 x \(2 \+ 1\) = 3\n/);
    expect(info).toContain(`Brick3: ${addressOf("node3")}:${PATH} (arbiter)\n`);
    for (const node of lab.names) expect(await checksums(node)).toBe(sums);
    expect(
      await lab.sh("node2", `cd ${PATH} && find . -path ./.glusterfs -prune -o -type f -print | sort | xargs md5sum`),
    ).toBe(sums);
    // An arbiter has every name and no data.
    expect(await onBrick("node3", "%p")).toBe(await onBrick("node1", "%p"));
    expect(await onBrick("node3", "%s")).toBe("0\n");
    expect(exits(await lab.fencepost("node1", "gluster health"))).toMatch(/^0 /);
  });

  it("serves and takes writes with a copy down, since the arbiter knows which is right, and is so already when run again", async () => {
    await lab.sh("node1", "kill -9 $(cat /run/gluster/vols/shared_data/*.pid)");
    await lab.waitFor(
      "a write without the first copy",
      async () => (await lab.on("node2", ["bash", "-c", `echo late >${MOUNT}/uploads/late`])).exitCode === 0,
    );
    const sums = await checksums("node2");
    await lab.gluster("node2", `volume start ${VOLUME} force`);
    await lab.waitFor(
      "the volume to be whole",
      async () => (await lab.fencepost("node1", "gluster health")).exitCode === 0,
    );
    expect(
      await lab.sh("node1", `cd ${PATH} && find . -path ./.glusterfs -prune -o -type f -print | sort | xargs md5sum`),
    ).toBe(sums);
    const { steps } = JSON.parse(await setup("node3", "--json"));
    type Told = { id: string; status: string };
    // A crawl of gluster's own may be at work, which a heal joins.
    const others = steps.filter(({ id, status }: Told) => id !== "heal" || status !== "done");
    expect(new Set(others.map(({ status }: Told) => status))).toEqual(new Set(["already"]));
  });
});
