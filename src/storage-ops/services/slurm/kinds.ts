/**
 * The kinds of steps that change Slurm: how each tells that it is done, and what must hold right before it.
 * Input:  a step's data, as a journal keeps it; slurmctld's and the hosts' own answers, read anew each time.
 * Errors: OpsError unsafe from the guards; what could not be read is `unknown` in a standing.
 */
import { OpsError } from "../../../core/errors.ts";
import type { Host } from "../../../core/host.ts";
import type { Step, StepKinds } from "../../../core/plan.ts";
import { asked, text } from "../../step-data.ts";
import { isNewer, onHost, readHash, readJobs, readNodes, type SlurmNode, TIMEOUT_MS } from "./state.ts";

const nodeOf = async (step: Step, host: Host): Promise<SlurmNode | undefined> =>
  (await readNodes(host)).find(({ name }) => name === text(step, "target"));
const isUp = ({ state }: SlurmNode): boolean =>
  state.length === 1 && ["IDLE", "MIXED", "ALLOCATED"].includes(state[0] ?? "");

const hashThere = (step: Step, host: Host) => readHash(host, text(step, "where"), text(step, "file"));
const isRestarted = (step: Step, host: Host) =>
  isNewer(host, text(step, "where"), text(step, "daemon"), text(step, "file"));

/**
 * Nothing may be on a node that goes. One that slurmctld no longer knows has nothing any more. A controller that goes may have
 * the name of a node that stays.
 */
async function guardDrained(step: Step, host: Host): Promise<void> {
  if (step.data.isDrained !== true) return;
  const node = await nodeOf(step, host);
  if (!node) return;
  const jobs = await readJobs(host, node.name);
  const reasons = jobs.length > 0 ? [`jobs are on it: ${jobs.slice(0, 5).join(", ")}`] : [];
  if (!node.state.includes("DRAIN"))
    reasons.push(`it is not drained but ${node.state.join("+")}: a job may start there`);
  if (reasons.length > 0)
    throw new OpsError("unsafe", `${node.name}: cannot be removed: ${reasons.join("; ")}`, {
      hint: `squeue -w ${node.name}`,
    });
}

export const SLURM_KINDS = {
  "slurm-conf": {
    standing: asked(async (step, host) => {
      const hash = await hashThere(step, host);
      if (hash === text(step, "after")) return { state: "done", detail: "changed" };
      return {
        state: "todo",
        detail: hash === text(step, "before") ? "not changed yet" : "another file than planned for",
      };
    }),
    guard: async (step, host) => {
      if ((await hashThere(step, host)) !== text(step, "before")) {
        throw new OpsError(
          "unsafe",
          `${text(step, "where") || "here"}: ${text(step, "file")} is not the file this was planned for`,
          {
            hint: `compare it with this node's ${text(step, "file")}`,
          },
        );
      }
      await guardDrained(step, host);
    },
  },
  "slurm-copy": {
    standing: asked(async (step, host) =>
      (await hashThere(step, host)) === text(step, "after")
        ? { state: "done", detail: "the same there" }
        : { state: "todo", detail: "not the same there" },
    ),
    guard: async (step, host) => {
      if ((await readHash(host, "", text(step, "file"))) !== text(step, "after"))
        throw new OpsError("unsafe", `${text(step, "file")} is not the file this was planned for`, { hint: "ls -l" });
    },
  },
  "slurm-daemon": {
    standing: asked(async (step, host) =>
      (await isRestarted(step, host))
        ? { state: "done", detail: "it has read the new file" }
        : { state: "todo", detail: "it runs with the old file, or not at all" },
    ),
  },
  "slurm-controller": {
    standing: asked(async (step, host) => {
      if (!(await isRestarted(step, host)))
        return { state: "todo", detail: "it runs with the old file, or not at all" };
      const node = await nodeOf(step, host);
      return (node !== undefined) === (text(step, "way") === "add")
        ? { state: "done", detail: node ? `it knows ${node.name}` : "it does not know it any more" }
        : { state: "todo", detail: "it has not read the new file" };
    }),
  },
  "slurm-online": {
    standing: asked(async (step, host) => {
      if (!(await isRestarted(step, host))) return { state: "todo", detail: "slurmd does not run with the new file" };
      const node = await nodeOf(step, host);
      if (!node) return { state: "unknown", detail: "slurmctld does not know it" };
      if (isUp(node)) return { state: "done", detail: node.state.join("+") };
      if (node.state.some((word) => word === "DRAIN" || word.startsWith("INVAL"))) {
        throw new OpsError(
          "unsafe",
          `${node.name}: slurmctld does not take it: ${node.state.join("+")}: ${node.reason}`,
          {
            hint: "slurmd -C, on that node",
          },
        );
      }
      return { state: "working", detail: `slurmctld says ${node.state.join("+")}` };
    }),
  },
  "slurm-drain": {
    standing: asked(async (step, host) => {
      const node = await nodeOf(step, host);
      if (!node) return { state: "done", detail: "slurmctld does not know it any more" };
      if (!node.state.includes("DRAIN")) return { state: "todo", detail: node.state.join("+") };
      const jobs = await readJobs(host, node.name);
      return jobs.length === 0
        ? { state: "done", detail: "drained, no job on it" }
        : {
            state: "working",
            detail: `${jobs.length} jobs still on it: ${jobs.slice(0, 5).join(", ")}`,
            remaining: jobs.length,
          };
    }),
  },
  "slurm-backup": {
    standing: asked(async (step, host) => {
      if (!(await isRestarted(step, host)))
        return { state: "todo", detail: "slurmctld does not run there with the new file" };
      // It exits 1 where any controller is down; what it prints counts.
      const { stdout } = await host.run(["scontrol", "ping"], { timeoutMs: TIMEOUT_MS });
      const line =
        stdout.split("\n").find((one) => one.includes(` at ${text(step, "target")} `)) ??
        "scontrol ping says nothing of it";
      return { state: / is UP$/.test(line.trim()) ? "done" : "working", detail: line.trim() };
    }),
  },
  "slurm-stop": {
    standing: asked(async (step, host) => {
      const daemon = text(step, "daemon");
      const result = await host.run(onHost(text(step, "where"), ["pgrep", "-x", daemon]), { timeoutMs: TIMEOUT_MS });
      if (result.exitCode === 0) return { state: "todo", detail: `${daemon} runs there` };
      return result.exitCode === 1
        ? { state: "done", detail: `no ${daemon} runs there` }
        : { state: "unknown", detail: result.stderr.trim() || "no answer" };
    }),
    guard: guardDrained,
  },
} as const satisfies StepKinds;
