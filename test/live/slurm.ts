/**
 * Real Slurm in namespaces of this machine: slurmctld on node1, slurmd on node2, and node3, which is in no slurm.conf yet.
 * Output: a SlurmLab: run commands on a node, wait for a condition. Errors: rejects with what was expected.
 * Real:   slurmctld, slurmd, munge, srun, ssh with keys made for this lab. Not real: systemd (slurm/systemctl.sh).
 * Cleans: pcmk/supervise.sh, which makes the network, ends everything when its standard input closes.
 */
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Output } from "./cluster.ts";
import { addressOf, startGluster } from "./gluster.ts";

const NAMES = ["node1", "node2", "node3"] as const;

/** With comments, an odd order and odd spaces: they have to stay. */
export const CONF = `# our cluster
ClusterName=lab
SlurmctldHost=node1(10.77.0.1)   # the primary
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation=/var/lib/slurm/state
SlurmdSpoolDir=/var/lib/slurm/spool
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurmctld.log
SlurmdLogFile=/var/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=30

# NodeName=old CPUs=1
  nodename=node2  NodeAddr=10.77.0.2 CPUs=1 State=UNKNOWN  # the first
PartitionName=debug Nodes=node2 Default=YES MaxTime=INFINITE State=UP # everybody's
`;

export type SlurmLab = Awaited<ReturnType<typeof startSlurm>>;

export async function startSlurm() {
  const lab = await startGluster(NAMES.length, {
    init: join(import.meta.dirname, "slurm/node-init.sh"),
    isUp: ["true"],
    prepare: (directory) => {
      // Munge and Slurm trust no path that others than its owner may not even enter.
      for (const path of ["", ...NAMES]) chmodSync(join(directory, path), 0o755);
      mkdirSync(join(directory, "state"), { mode: 0o755 });
      writeFileSync(join(directory, "munge.key"), randomBytes(1024));
      writeFileSync(join(directory, "slurm.conf"), CONF);
      writeFileSync(
        join(directory, "hosts"),
        `127.0.0.1 localhost\n${NAMES.map((name) => `${addressOf(name)} ${name}\n`).join("")}`,
      );
    },
  });
  return { ...lab, fencepost: (words: string): Promise<Output> => lab.fencepost("node1", words) };
}
