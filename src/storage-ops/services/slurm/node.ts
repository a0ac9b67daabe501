/**
 * `fencepost node add|remove --service slurm`: words → slurm.conf, slurmctld's nodes and every host's copy → a plan.
 * Run on a controller, as root; the other hosts by ssh.
 * Errors: OpsError usage, unsupported, unsafe with every reason; those of reading.
 */
import { OpsError } from "../../../core/errors.ts";
import type { Host } from "../../../core/host.ts";
import type { Plan } from "../../../core/plan.ts";
import { sshArgv } from "../../../core/ssh.ts";
import type { NodeCall, NodeService } from "../../node/service.ts";
import {
  type Conf,
  checkName,
  controllersOf,
  type Edit,
  isConfigless,
  type Line,
  linesWith,
  withValue,
} from "./conf.ts";
import { addController, removeController } from "./controller.ts";
import { shortName } from "./operations.ts";
import { type Change, planAdd, planRemove } from "./plan.ts";
import { readCopies, readSite, reasonsAgainstMunge, refuse } from "./site.ts";
import { expandNames, foldNames, HERE, told } from "./state.ts";

const OPTIONS = {
  conf: {
    describe: "slurm.conf, the same path on every host",
    type: "string",
    default: "/etc/slurm/slurm.conf",
    requiresArg: true,
  },
  also: {
    describe: "another host that has a copy (a login node); several times",
    type: "string",
    array: true,
    requiresArg: true,
  },
  controller: { describe: "not a compute node but a backup of slurmctld (SlurmctldHost)", type: "boolean" },
} as const;

export const SLURM: NodeService = {
  add: {
    describe:
      "writes a node into slurm.conf everywhere, restarts Slurm's daemons (jobs go on), and waits until it takes jobs",
    options: {
      ...OPTIONS,
      name: { describe: "the node's name (default: what its slurmd -C says)", type: "string", requiresArg: true },
      partition: {
        describe: "a partition that it joins, besides those of all nodes",
        type: "string",
        requiresArg: true,
      },
    },
    examples: [["--ip 192.168.1.105 --partition debug", "a node with slurmd and munge installed"]],
    plan: add,
  },
  remove: {
    describe: "drains a node, waits for its jobs, and takes it out of slurm.conf everywhere",
    options: OPTIONS,
    examples: [["--ip 192.168.1.105", "a node that slurmctld knows by this address, host name or name"]],
    plan: remove,
    question: () => "⚠ The node is drained first and then leaves Slurm. Go on?",
  },
};

async function add(call: NodeCall): Promise<Plan> {
  if (call.args.controller === true) return addController(call);
  const site = await readSite(call);
  const { conf, nodes, host, ip } = site;
  const told = await hardwareOf(host, ip);
  const name = checkName(call.args.name === undefined ? told.name : String(call.args.name), "--name");
  const known = nodes.find((node) => node.name === name || node.address === ip);
  if (known)
    throw new OpsError("usage", `${ip}: slurmctld knows it as ${known.name} already`, {
      hint: `scontrol show node ${known.name}`,
    });
  const { copies, reasons } = await readCopies(site, call.args, undefined);
  reasons.push(...(await reasonsAgainstMunge(host, ip)));
  const hint = `compare ${conf.file} on all hosts`;
  refuse(`Slurm: cannot add ${name}`, reasons, hint);
  const last = linesWith(conf, "nodename")
    .filter(({ values }) => values.get("nodename")?.toUpperCase() !== "DEFAULT")
    .at(-1);
  const hostPart = told.name === name ? "" : ` NodeHostname=${told.name}`;
  const edits: Edit[] = [
    {
      at: (last ?? linesWith(conf, "partitionname").at(0) ?? conf.lines.at(-1))?.at ?? 1,
      how: "after",
      text: `NodeName=${name} NodeAddr=${ip}${hostPart} ${told.hardware} State=UNKNOWN`,
    },
  ];
  const partition =
    call.args.partition === undefined ? undefined : checkName(String(call.args.partition), "--partition");
  const joins = partition === undefined ? undefined : partitionEdit(conf, partition, name);
  if (joins) edits.push(joins);
  const hasPartition = joins !== undefined || linesWith(conf, "partitionname").some((line) => isAll(line));
  const change: Change = { id: call.id, conf, edits, copies };
  return planAdd(
    change,
    { name, where: ip, isController: false, isNode: true, isConfigless: isConfigless(conf) },
    hasPartition ? [] : [`${name} is in no partition: --partition NAME`],
  );
}

const isAll = (line: Line): boolean => line.values.get("nodes")?.toUpperCase() === "ALL";

function partitionEdit(conf: Conf, partition: string, name: string): Edit | undefined {
  const line = linesWith(conf, "partitionname").find(({ values }) => values.get("partitionname") === partition);
  if (!line)
    throw new OpsError("usage", `${conf.file} has no partition ${partition}`, { hint: "scontrol show partition" });
  if (isAll(line)) return undefined;
  const now = line.values.get("nodes");
  if (now === undefined || now.startsWith('"'))
    throw new OpsError("unsupported", `${conf.file}: line ${line.at}: its nodes cannot be changed by us`);
  return { at: line.at, how: "change", text: withValue(line, "nodes", `${now},${name}`) };
}

/** What `slurmd -C` on the new node says of it: the words of its line in slurm.conf. */
async function hardwareOf(host: Host, ip: string): Promise<{ name: string; hardware: string }> {
  const stdout = await told(host, sshArgv(ip, ["slurmd", "-C"]), `ssh ${ip} slurmd -C`);
  const [, name, hardware = ""] = /^NodeName=(\S+) (.*)$/m.exec(stdout) ?? [];
  if (name === undefined || !/^[A-Za-z]+=[0-9A-Za-z:,()/-]+( [A-Za-z]+=[0-9A-Za-z:,()/-]+)*$/.test(hardware.trim()))
    throw new OpsError("bad-output", `${ip}: slurmd -C: ${stdout.slice(0, 200)}`);
  return { name, hardware: hardware.trim() };
}

async function remove(call: NodeCall): Promise<Plan> {
  if (call.args.controller === true) return removeController(call);
  const site = await readSite(call);
  const { conf, nodes, host, ip } = site;
  const node = nodes.find((one) => [one.name, one.address, one.hostname].includes(ip));
  if (!node) {
    throw new OpsError(
      "usage",
      `${ip}: no node of this cluster; its nodes: ${nodes.map(({ name }) => name).join(", ")}`,
      {
        hint: "scontrol show node",
      },
    );
  }
  const name = checkName(node.name, "node");
  const own = shortName(host.hostname());
  const controllers = controllersOf(conf);
  const { copies, reasons } = await readCopies(site, call.args, node);
  if (nodes.length === 1) reasons.push("it is the only node");
  // The host stays, as a controller: only its slurmd goes.
  const edits = [...(await nodeEdits(host, conf, name)), ...(await partitionEdits(host, conf, name))];
  for (const line of conf.lines)
    if (await isNamedBy(host, line, name)) reasons.push(`${conf.file}: line ${line.at} names it too`);
  const reservations = await told(host, ["scontrol", "-o", "show", "reservation"]);
  for (const [, list = ""] of reservations.matchAll(/ Nodes=(\S+)/g))
    if (list !== "(null)" && (await expandNames(host, list)).includes(name)) reasons.push("a reservation names it");
  refuse(`Slurm: cannot remove ${name}`, reasons, `scontrol show node ${name}`);
  const isHere = node.hostname === own;
  const where = isHere ? HERE : node.address;
  const answers = isHere || (await host.run(sshArgv(where, ["true"]), { timeoutMs: 15_000 })).exitCode === 0;
  const change: Change = { id: call.id, conf, edits, copies };
  const stays = controllers.some((one) => one.name === node.hostname);
  return planRemove(
    change,
    { name, where, isController: stays, isNode: true, answers },
    stays ? [`${name} stays a controller`] : [],
  );
}

/** Whether a line besides those of nodes and partitions has the node in a list: slurmctld does not begin with one it does not know. */
async function isNamedBy(host: Host, { values }: Line, name: string): Promise<boolean> {
  const lists = [values.has("nodeset") ? values.get("nodes") : "", values.get("downnodes"), values.get("frontendname")];
  for (const list of lists.map((one = "") => one.replaceAll('"', "")))
    if (list !== "" && (await expandNames(host, list)).includes(name)) return true;
  return false;
}

async function nodeEdits(host: Host, conf: Conf, name: string): Promise<Edit[]> {
  for (const line of linesWith(conf, "nodename")) {
    const list = line.values.get("nodename") ?? "";
    if (list.toUpperCase() === "DEFAULT") continue;
    const names = await expandNames(host, list);
    if (!names.includes(name)) continue;
    if (names.length === 1) return [{ at: line.at, how: "delete", text: "" }];
    const hasLists = ["nodeaddr", "nodehostname", "port"].some((key) => /[[,]/.test(line.values.get(key) ?? ""));
    if (hasLists) {
      throw new OpsError(
        "unsupported",
        `${conf.file}: line ${line.at} gives several nodes their addresses: split it first`,
      );
    }
    return [
      {
        at: line.at,
        how: "change",
        text: withValue(
          line,
          "nodename",
          await foldNames(
            host,
            names.filter((one) => one !== name),
          ),
        ),
      },
    ];
  }
  throw new OpsError("unsupported", `${conf.file} has no line of ${name}: a dynamic node`, {
    hint: `scontrol delete NodeName=${name}`,
  });
}

async function partitionEdits(host: Host, conf: Conf, name: string): Promise<Edit[]> {
  const edits: Edit[] = [];
  const sets = new Set(linesWith(conf, "nodeset").map(({ values }) => values.get("nodeset")));
  for (const line of linesWith(conf, "partitionname")) {
    const list = line.values.get("nodes") ?? "";
    if (list === "" || isAll(line) || sets.has(list)) continue;
    const names = await expandNames(host, list);
    if (!names.includes(name)) continue;
    const left = names.filter((one) => one !== name);
    if (left.length === 0)
      throw new OpsError(
        "unsafe",
        `Slurm: cannot remove ${name}: partition ${line.values.get("partitionname")} would have no node`,
        {
          hint: `edit ${conf.file}`,
        },
      );
    edits.push({ at: line.at, how: "change", text: withValue(line, "nodes", await foldNames(host, left)) });
  }
  return edits;
}
