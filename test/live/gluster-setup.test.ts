/**
 * `fencepost gluster setup` on real glusterd nodes, from machines where nothing is set up: the first node, a second and a
 * third. What is done on another node goes over ssh. The tests stand in the order of a cluster's life.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Output } from "./cluster.ts";
import { addressOf, type GlusterLab, startGluster } from "./gluster.ts";
import { GLUSTER_NEEDS, liveDescribe } from "./requirements.ts";

const VOLUME = "shared_data";
const PATH = "/data/glusterfs/shared";
const MOUNT = "/mnt/gluster";
const LINE = `localhost:/${VOLUME} ${MOUNT} glusterfs defaults,_netdev,nofail,x-systemd.requires=glusterd.service 0 0\n`;
const brickOf = (node: string): string => `${addressOf(node)}:${PATH}`;

/** The source's file, as its document has it, for three nodes of the lab. */
const configFor = (nodes: readonly string[]): string => `storage:
  glusterfs:
    volume_name: ${VOLUME}          # Volume name
    replica_count: auto               # 'auto' or specific number (2, 3, 4...)
    brick_path: ${PATH}  # Brick directory
    mount_point: ${MOUNT}         # Mount point

nodes:
  controllers:
${nodes
  .map(
    (node, index) => `    - hostname: ${node}
      ip_address: ${addressOf(node)}
      priority: ${100 - index}
      services:
        glusterfs: true               # Enable GlusterFS on this controller
        mariadb: true
        redis: true
        slurm: true
        web: true
        keepalived: true
      vip_owner: ${index === 0}
`,
  )
  .join("")}`;

liveDescribe("GlusterFS setup", GLUSTER_NEEDS, () => {
  let lab: GlusterLab;
  const setup = (node: string, words = ""): Promise<Output> =>
    lab.fencepost(node, `gluster setup --config /root/my_multihead_cluster.yaml ${words}`.trim());
  const expectDone = (result: Output): Output => {
    expect(`${result.exitCode} ${result.stderr}`).toMatch(/^0 /);
    return result;
  };

  beforeAll(async () => {
    lab = await startGluster(3);
    for (const node of lab.names) {
      await lab.on(node, ["tee", "/root/my_multihead_cluster.yaml"], { input: configFor(lab.names) });
    }
  });
  afterAll(() => lab?.stop());

  it("makes a cluster", async () => {
    console.log((await setup("node1", "--dry-run")).stdout);
    const first = await setup("node1");
    console.log(first.stdout, first.stderr);
    const second = await setup("node2", "--dry-run");
    console.log(second.stdout, second.stderr);
    for (const node of ["node2", "node3"]) {
      const r = await setup(node, "--join");
      console.log(r.stdout, r.stderr);
    }
    const again = await setup("node3", "--json");
    console.log(again.stdout, again.stderr);
    console.log(
      await lab.gluster("node1", "volume info"),
      await lab.sh(
        "node3",
        "ls -l /mnt/gluster; cat /etc/fstab; ls -l /etc/fstab*; cat /var/log/cluster_storage_setup.log",
      ),
    );
  });
});
