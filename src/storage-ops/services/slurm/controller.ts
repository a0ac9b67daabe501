/**
 * `node add|remove --service slurm --controller`: a backup of slurmctld comes or goes (SlurmctldHost in slurm.conf).
 * A backup takes over with what lies in StateSaveLocation, so that has to be the same directory on both.
 * Errors: OpsError usage, unsafe with every reason; those of reading.
 */
import { OpsError, reasonOf } from "../../../core/errors.ts";
import type { Host } from "../../../core/host.ts";
import type { Plan } from "../../../core/plan.ts";
import { sshArgv } from "../../../core/ssh.ts";
import type { NodeCall } from "../../node/service.ts";
import { checkName, controllersOf, settingOf } from "./conf.ts";
import { shortName } from "./operations.ts";
import { type Change, planAddController, planRemoveController } from "./plan.ts";
import { readCopies, readSite, reasonsAgainstMunge, refuse } from "./site.ts";
import { told } from "./state.ts";

export async function addController(call: NodeCall): Promise<Plan> {
  for (const option of ["name", "partition"])
    if (call.args[option] !== undefined)
      throw new OpsError("usage", `${call.called}: --${option} is for a compute node, not with --controller`, {
        hint: `${call.called} --help`,
      });
  const site = await readSite(call);
  const { conf, host, ip } = site;
  const name = checkName((await told(host, sshArgv(ip, ["hostname", "-s"]))).trim(), "the host's name");
  const controllers = controllersOf(conf);
  if (controllers.some((one) => one.name === name))
    throw new OpsError("usage", `${name} is a SlurmctldHost of ${conf.file} already`, { hint: "scontrol ping" });
  const { copies, reasons } = await readCopies(site, call.args, undefined);
  reasons.push(...(await reasonsAgainstMunge(host, ip)));
  reasons.push(...(await reasonsAgainstUnit(host, ip)));
  reasons.push(...(await reasonsAgainstState(host, ip, settingOf(conf, "statesavelocation") ?? "/var/spool")));
  refuse(`Slurm: cannot add controller ${name}`, reasons, `compare ${conf.file} and StateSaveLocation on all hosts`);
  const last = controllers.at(-1);
  const edits = [{ at: last?.line.at ?? 1, how: "after" as const, text: `SlurmctldHost=${name}(${ip})` }];
  const change: Change = { id: call.id, conf, edits, copies };
  return planAddController(change, { name, where: ip, isController: true, isNode: false });
}

async function reasonsAgainstUnit(host: Host, ip: string): Promise<string[]> {
  try {
    const stdout = await told(host, sshArgv(ip, ["systemctl", "show", "--property=LoadState", "slurmctld"]));
    const state = /^LoadState=(.*)$/m.exec(stdout)?.[1] ?? "not told";
    return state === "loaded" ? [] : [`${ip}: its slurmctld.service is ${state}: install slurmctld there`];
  } catch (error) {
    return [`${ip}: slurmctld.service: ${reasonOf(error)}`];
  }
}

/** The same file by inode, size and time: no two directories have that by chance. */
async function reasonsAgainstState(host: Host, ip: string, directory: string): Promise<string[]> {
  const argv = ["stat", "-L", "-c", "%i %s %Y", "--", `${directory}/clustername`] as const;
  try {
    const [here, there] = await Promise.all([told(host, argv), told(host, sshArgv(ip, argv))]);
    return here === there
      ? []
      : [`${ip}: its StateSaveLocation ${directory} is not the one of here: mount the shared one`];
  } catch (error) {
    return [`${ip}: StateSaveLocation: ${reasonOf(error)}`];
  }
}

export async function removeController(call: NodeCall): Promise<Plan> {
  const site = await readSite(call);
  const { conf, host, ip } = site;
  const controllers = controllersOf(conf);
  const at = controllers.findIndex(({ name, address }) => [name, address].includes(ip));
  const leaver = controllers[at];
  if (!leaver) {
    throw new OpsError(
      "usage",
      `${ip}: no SlurmctldHost of ${conf.file}: ${controllers.map(({ name }) => name).join(", ")}`,
      {
        hint: "scontrol ping",
      },
    );
  }
  const { copies, reasons } = await readCopies(site, call.args, undefined);
  if (at === 0) reasons.push("it is the primary: make another one the first in slurm.conf before");
  if (leaver.name === shortName(host.hostname())) reasons.push("it is this node: run it on the primary");
  refuse(`Slurm: cannot remove controller ${leaver.name}`, reasons, "scontrol ping");
  const edits = [{ at: leaver.line.at, how: "delete" as const, text: "" }];
  // Its own copy changes too, where it is also a node; else it is nobody's any more.
  const others = copies.flatMap((copy) => {
    if (copy.name !== leaver.name) return [copy];
    return copy.isNode ? [{ ...copy, isController: false }] : [];
  });
  const change: Change = { id: call.id, conf, edits, copies: others };
  return planRemoveController(change, { name: leaver.name, where: leaver.address, isController: true, isNode: false });
}
