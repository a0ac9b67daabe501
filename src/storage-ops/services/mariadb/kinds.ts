/**
 * The kinds of steps that change a Galera cluster: how each tells that it is done, and what must hold right before it.
 * Input:  a step's data, as a journal keeps it; the members and the new node, asked anew each time.
 * Errors: OpsError unsafe from the guards, and where something is neither as it was nor as it will be; what could not be
 *         asked is `unknown` in a standing.
 */
import { OpsError } from "../../../core/errors.ts";
import { failureOf } from "../../../core/exec.ts";
import type { Host } from "../../../core/host.ts";
import type { Standing, Step, StepKinds } from "../../../core/plan.ts";
import { asked, list, text } from "../../step-data.ts";
import { filesNamed, methodOf, reasonsAgainstAdd, reasonsAgainstRemoval, refuse, type State } from "./plan.ts";
import { readSizeMiB, readState } from "./read-state.ts";
import { addressesOf, reasonsAgainstChange, reasonsAgainstLeave } from "./safety.ts";
import { readSite } from "./site.ts";
import {
  type Answer,
  argvOn,
  type Cluster,
  dataDirectoryOf,
  type Node,
  READ_TIMEOUT_MS,
  readAnswer,
  readListed,
  readSavedState,
  readSettings,
  readUnit,
} from "./state.ts";

const JOIN_TIMEOUT_MS = 300_000;

const nodeOf = (step: Step, address = text(step, "host")): Node => ({
  address,
  isLocal: address === text(step, "local"),
});

const siteOf = (step: Step, host: Host, state: State) =>
  readSite(host, nodeOf(step), methodOf(state), filesNamed(state));

async function guardSite(step: Step, host: Host, begun: boolean): Promise<State> {
  const state = await readState(host);
  refuse(`cluster: cannot add ${text(step, "host")}`, [
    ...sameMembers(state.cluster, list(step, "members")),
    ...reasonsAgainstAdd(state, await siteOf(step, host, state), begun),
  ]);
  return state;
}

const sameMembers = (cluster: Cluster, planned: readonly string[]): string[] =>
  addressesOf(cluster).join(" ") === planned.join(" ") ? [] : ["its members are not those this was planned for"];

/** What keeps these nodes from being the whole of one healthy cluster of that size. */
function unsettled(answers: readonly Answer[], size: number): string[] {
  const uuids = new Set(answers.map(({ values }) => values.get("wsrep_cluster_state_uuid")));
  const reasons = answers.flatMap(({ address, values, problem }) => {
    if (problem !== undefined) return [`${address}: ${problem}`];
    const state = values.get("wsrep_local_state_comment");
    const status = values.get("wsrep_cluster_status");
    const count = values.get("wsrep_cluster_size");
    if (status !== "Primary") return [`${address} is ${status}`];
    if (state !== "Synced") return [`${address} is ${state}`];
    return count === String(size) ? [] : [`${address} counts ${count} nodes, not ${size}`];
  });
  return uuids.size === 1 || reasons.length > 0 ? reasons : ["they have not one state"];
}

/** How far a node that has been started is: first it gets files, then what was written meanwhile, then it is Synced. */
async function joining(step: Step, host: Host): Promise<Standing> {
  const node = nodeOf(step);
  const unit = await readUnit(host, node);
  if (unit === "inactive" || unit === "failed" || unit === "not-found")
    return { state: "todo", detail: `mariadb.service on ${node.address} is ${unit}: journalctl -u mariadb there` };
  const answer = await readAnswer(host, node);
  if (answer.problem !== undefined) {
    const there = await readSizeMiB(host, node, dataDirectoryOf(await readSettings(host, node)));
    const whole = Number(step.data.sizeMiB ?? Number.NaN);
    const detail = `${node.address} is joining`;
    if (there === undefined || Number.isNaN(whole)) return { state: "working", detail };
    return {
      state: "working",
      detail: `${detail}: ${there} of about ${whole} MiB are there`,
      // Files come before the 1 that is left for the catching up.
      remaining: 1 + Math.max(0, whole - there),
    };
  }
  const uuid = answer.values.get("wsrep_cluster_state_uuid");
  if (answer.values.get("wsrep_cluster_status") === "Primary" && uuid !== text(step, "uuid")) {
    throw new OpsError("unsafe", `${node.address}: it is in another cluster: ${uuid}, not ${text(step, "uuid")}`, {
      hint: `ssh ${node.address} systemctl stop mariadb`,
    });
  }
  const others = await Promise.all(list(step, "members").map((one) => readAnswer(host, nodeOf(step, one))));
  const size = others.length + 1 + Number(step.data.arbitrators ?? 0);
  const reasons = unsettled([answer, ...others], size);
  if (reasons.length === 0) {
    if ((await readListed(host)).some(({ address }) => address === node.address))
      return { state: "done", detail: `${size} nodes, Primary, Synced, state ${uuid}` };
    throw new OpsError(
      "unsafe",
      `${node.address}: it is Synced, and tells the others another address or none: bind_address is the loopback's?`,
      { hint: `ssh ${node.address} my_print_defaults --mysqld` },
    );
  }
  const queue = Number(answer.values.get("wsrep_local_recv_queue") ?? 0);
  return { state: "working", detail: reasons.join("; "), remaining: queue / (queue + 1) };
}

/**
 * mariadbd loses a SIGTERM that reaches it while it receives a state transfer (measured, 10.11.19): it becomes a Synced
 * member that takes no connections and that only SIGKILL ends, which may cost the others their quorum. So it is waited for,
 * and its donor, which is Synced again a little later.
 * Output: what it says as a Synced node; undefined when it does not run.
 */
async function joined(step: Step, host: Host): Promise<Answer | undefined> {
  const node = nodeOf(step);
  for (const untilMs = host.monotonicMs() + JOIN_TIMEOUT_MS; ; await host.sleep(1_000)) {
    const unit = await readUnit(host, node);
    if (unit !== "active" && unit !== "activating" && unit !== "deactivating") return undefined;
    const answer = await readAnswer(host, node);
    const state = answer.problem ?? answer.values.get("wsrep_local_state_comment") ?? "unknown";
    const isLate = host.monotonicMs() >= untilMs;
    if (unit === "active" && state === "Synced" && (isLate || !(await isDonorAtWork(step, host)))) return answer;
    if (isLate) {
      throw new OpsError(
        "unsafe",
        `${node.address}: it is still joining (${unit}: ${state}): it must not be stopped now`,
        {
          hint: "undo again when it is Synced",
        },
      );
    }
  }
}

/** One that was desynchronised by hand stays so. */
async function isDonorAtWork(step: Step, host: Host): Promise<boolean> {
  const answers = await Promise.all(list(step, "members").map((one) => readAnswer(host, nodeOf(step, one))));
  return answers.some(
    ({ values }) =>
      values.get("wsrep_desync") === "OFF" &&
      ["Donor/Desynced", "Joined"].includes(values.get("wsrep_local_state_comment") ?? ""),
  );
}

const existing = async (step: Step, host: Host): Promise<string | undefined> => {
  const file = text(step, "file");
  const stat = await host.run(argvOn(nodeOf(step), ["stat", "-c", "%a %U:%G", "--", file]), {
    timeoutMs: READ_TIMEOUT_MS,
  });
  if (stat.exitCode === 1 && /No such file/.test(stat.stderr)) return undefined;
  const failure = failureOf(stat, READ_TIMEOUT_MS);
  if (failure !== undefined) throw new OpsError("failed", failure);
  return stat.stdout.trim();
};

const contentOf = async (step: Step, host: Host): Promise<string> => {
  const cat = await host.run(argvOn(nodeOf(step), ["cat", "--", text(step, "file")]), { timeoutMs: READ_TIMEOUT_MS });
  const failure = failureOf(cat, READ_TIMEOUT_MS);
  if (failure !== undefined) throw new OpsError("failed", failure);
  return cat.stdout;
};
const wantedContent = (step: Step): string => `${list(step, "lines").join("\n")}\n`;

/** Errors: OpsError unsafe where it is neither as it was nor as it will be. */
async function addressStanding(step: Step, host: Host): Promise<Standing> {
  const settings = await readSettings(host, nodeOf(step));
  const value = settings.get("wsrep_cluster_address") ?? "";
  if (value === text(step, "after")) return { state: "done", detail: value };
  if (value === text(step, "before")) return { state: "todo", detail: value };
  throw new OpsError("unsafe", `${text(step, "host")}: somebody else changed wsrep_cluster_address to ${value}`, {
    hint: `ssh ${text(step, "host")} grep -n wsrep_cluster_address ${text(step, "file")}`,
  });
}

export const MARIADB_KINDS = {
  install: {
    standing: asked(async (step, host) => {
      const site = await readSite(host, nodeOf(step), text(step, "method"), []);
      if (site.problem !== undefined) return { state: "unknown", detail: site.problem };
      return site.missing.length === 0
        ? { state: "done", detail: `MariaDB ${site.version}` }
        : { state: "todo", detail: `not there: ${site.missing.join(", ")}` };
    }),
  },
  stop: {
    standing: asked(async (step, host) => {
      const unit = await readUnit(host, nodeOf(step));
      return {
        state: unit === "deactivating" ? "working" : unit === "inactive" || unit === "failed" ? "done" : "todo",
        detail: `mariadb.service is ${unit}`,
      };
    }),
    guard: async (step, host) => void (await guardSite(step, host, false)),
  },
  create: {
    standing: asked(async (step, host) => {
      const mode = await existing(step, host);
      if (mode !== "640 root:mysql") return { state: "todo", detail: mode ?? "not there" };
      // Half of what is to be in it is ours; anything else is what an earlier addition left.
      return wantedContent(step).startsWith(await contentOf(step, host))
        ? { state: "done", detail: "there" }
        : { state: "todo", detail: "an earlier addition's file" };
    }),
    guard: async (step, host) => void (await guardSite(step, host, false)),
  },
  configure: {
    standing: asked(async (step, host) => {
      if ((await existing(step, host)) === undefined) return { state: "todo", detail: "no such file" };
      return (await contentOf(step, host)) === wantedContent(step)
        ? { state: "done", detail: "written" }
        : { state: "todo", detail: "not written" };
    }),
  },
  address: {
    standing: asked(addressStanding),
    // It writes a whole list: what somebody else has made of it since would be lost.
    guardUndo: async (step, host) => void (await addressStanding(step, host)),
  },
  start: {
    standing: asked(joining),
    guard: async (step, host) => {
      await guardSite(step, host, true);
      const settings = await readSettings(host, nodeOf(step));
      const written = {
        wsrep_on: "ON",
        wsrep_cluster_address: text(step, "address"),
        bind_address: text(step, "bind"),
      };
      for (const [name, value] of Object.entries(written)) {
        if (settings.get(name) === value) continue;
        const won = `${name}=${settings.get(name) ?? "(not set)"}`;
        throw new OpsError("unsafe", `${text(step, "host")}: another file wins over ${text(step, "file")}: ${won}`, {
          hint: `ssh ${text(step, "host")} my_print_defaults --mysqld`,
        });
      }
    },
    guardUndo: async (step, host) => {
      const answer = await joined(step, host);
      // It does not run, or is in no part of this cluster: nobody here would miss it.
      if (answer?.values.get("wsrep_cluster_state_uuid") !== text(step, "uuid")) return;
      const { cluster, configurations } = await readState(host);
      const [address, members] = [text(step, "host"), list(step, "members")];
      const what = `cluster: cannot take back that ${address} was added`;
      refuse(
        what,
        sameMembers(cluster, [...members, address].sort()),
        `fencepost node remove --service mariadb --ip ${address} --apply`,
      );
      refuse(what, [
        ...reasonsAgainstChange(cluster, configurations, address),
        // Where one node was the whole cluster before, it may be so again.
        ...reasonsAgainstLeave(cluster, address, members.length === 1),
      ]);
    },
  },
  leave: {
    standing: asked(async (step, host) => {
      const node = nodeOf(step);
      const unit = await readUnit(host, node);
      if (unit === "active") {
        const { values, problem } = await readAnswer(host, node);
        const state = values.get("wsrep_local_state_comment");
        return { state: state === "Synced" ? "todo" : "working", detail: problem ?? `it runs and is ${state}` };
      }
      if (unit === "activating" || unit === "deactivating") return { state: "working", detail: `it is ${unit}` };
      const others = list(step, "members").filter((one) => one !== node.address);
      const answers = await Promise.all(others.map((one) => readAnswer(host, nodeOf(step, one))));
      const reasons = unsettled(answers, others.length + Number(step.data.arbitrators ?? 0));
      if (reasons.length > 0) return { state: "working", detail: reasons.join("; ") };
      const saved = await readSavedState(host, node, text(step, "directory"));
      return { state: "done", detail: `stopped; its grastate.dat: ${saved?.text ?? "not there"}` };
    }),
    guard: async (step, host) => {
      const state = await readState(host);
      const removal = { address: text(step, "host"), isSingleAllowed: step.data.isSingleAllowed === true };
      refuse(`cluster: cannot remove ${removal.address}`, [
        ...sameMembers(state.cluster, list(step, "members")),
        ...reasonsAgainstRemoval(state, removal),
      ]);
    },
  },
} as const satisfies StepKinds;
