/**
 * What `fencepost node add` costs beyond the gluster commands it runs (issue 5: ≤ 1.1×), on two real glusterd nodes.
 * usage:  packaging/bun bench/gluster.ts [--quick] [--json]
 * Method: pairs in turn; each adds node2's brick as a second copy of the same files and waits until it is healed, then the
 *         brick, the peer and its directory are taken away again, outside of what is measured. The peer is the same commands
 *         in a script: archive of /var/lib/glusterd, peer probe, add-brick, heal full, heal info until it is 0.
 * Output: as bench/agent.ts. Every added copy is compared with the first by checksums: a run that differs is a failed one.
 */
import { cpus, release } from "node:os";
import { addressOf, type GlusterLab, startGluster } from "../test/live/gluster.ts";
import { GLUSTER_NEEDS } from "../test/live/needs.ts";
import { decide, missing, type Row, renderTable, row, type Sample, wallOf } from "./rows.ts";

const options = { quick: process.argv.includes("--quick"), json: process.argv.includes("--json") };
// One pair alone says nothing: measured with a thousand files, they differ by a third.
const pairs = options.quick ? 3 : 5;
const FILES = options.quick ? 1_000 : 4_000;
const VOLUME = "bench";
const PATH = `/data/glusterfs/${VOLUME}`;
const NEW = addressOf("node2");

const SCRIPT = `set -e
tar -C /var/lib -czf /root/glusterd.tar.gz glusterd
gluster --mode=script peer probe ${NEW}
until gluster peer status | grep -q 'Peer in Cluster (Connected)'; do sleep 1; done
gluster --mode=script volume add-brick ${VOLUME} replica 2 ${NEW}:${PATH}
until gluster --mode=script volume heal ${VOLUME} full; do sleep 1; done
until [ "$(gluster volume heal ${VOLUME} info summary | grep -c '^Total Number of entries: 0$')" = 2 ]; do sleep 1; done
`;

const rows = await nodeAddRow();
const machine = { cpu: cpus()[0]?.model, cores: cpus().length, kernel: release() };
if (options.json) console.log(JSON.stringify({ schema: 1, machine, rounds: pairs, rows }));
else console.log(renderTable(rows, `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}`));

async function nodeAddRow(): Promise<Row[]> {
  const base = row(
    `node add of a brick, ${FILES} files to heal`,
    "the same gluster commands in a script",
    "ms",
    "ratio",
    1.1,
  );
  const blocked = missing(...GLUSTER_NEEDS);
  if (blocked) return [{ ...base, note: blocked }];
  if (!options.json) process.stderr.write("measuring: nodeAddRow\n");
  const lab = await startGluster(2);
  try {
    await lab.gluster("node1", `volume create ${VOLUME} ${addressOf("node1")}:${PATH}`);
    await lab.gluster("node1", `volume start ${VOLUME}`);
    await lab.sh(
      "node1",
      `mount -t glusterfs localhost:/${VOLUME} /mnt/gluster && cd /mnt/gluster && mkdir d && for i in $(seq ${FILES}); do echo $i >d/f$i; done`,
    );
    const ours: Sample[] = [];
    const peer: Sample[] = [];
    // The first pair warms up: glusterd starts its self-heal daemons, the executable comes into memory.
    for (let pair = 0; pair <= pairs; pair++) {
      const added = await measure(lab, ["fencepost", "node", "add", "--service", "glusterfs", "--ip", NEW]);
      const typed = await measure(lab, ["bash", "-c", SCRIPT]);
      if (pair > 0) {
        ours.push(added);
        peer.push(typed);
      }
    }
    const failed = peer.filter(({ exit }) => exit !== 0).length;
    const entry = decide(base, wallOf(ours), wallOf(peer), ours);
    const ratios = ours.map(({ wall_ms }, at) => (wall_ms / (peer[at]?.wall_ms ?? NaN)).toFixed(3)).join(", ");
    const note = [entry.note, `by pair ${ratios}`, failed > 0 ? `${failed} scripts failed` : undefined]
      .filter(Boolean)
      .join("; ");
    return [{ ...entry, note }];
  } finally {
    await lab.stop();
  }
}

async function measure(lab: GlusterLab, argv: readonly string[]): Promise<Sample> {
  const startedMs = performance.now();
  const { exitCode } = await lab.on("node1", argv, { timeoutMs: 580_000 });
  const wall_ms = performance.now() - startedMs;
  const [first, second] = await Promise.all(["node1", "node2"].map((node) => contents(lab, node)));
  const exit = exitCode === 0 && first === second ? 0 : 1;
  await lab.gluster("node1", `volume remove-brick ${VOLUME} replica 1 ${NEW}:${PATH} force`);
  await lab.waitFor("the peer to be let go", async () =>
    (await lab.on("node1", ["gluster", "--mode=script", "peer", "detach", NEW])).stdout.includes("success"),
  );
  await lab.sh("node2", `rm -rf ${PATH}`);
  return { exit, wall_ms, rss_kb: 0, mark_ms: null };
}

function contents(lab: GlusterLab, node: string): Promise<string> {
  return lab.sh(
    node,
    `cd ${PATH} && find . -type f -not -path './.glusterfs/*' -print0 | sort -z | xargs -0 md5sum | md5sum`,
  );
}
