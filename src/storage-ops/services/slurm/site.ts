/**
 * What an operation on Slurm begins with: this controller's slurm.conf, slurmctld's nodes, and every other host's copy.
 * Errors: OpsError usage (not on a controller), unsupported, unsafe; those of reading.
 */
import { OpsError, reasonOf } from "../../../core/errors.ts";
import type { Host } from "../../../core/host.ts";
import { isHostWord, sshArgv } from "../../../core/ssh.ts";
import { lastWords } from "../../../core/text.ts";
import type { NodeCall } from "../../node/service.ts";
import { type Conf, controllersOf, isConfigless, parseConf } from "./conf.ts";
import { shortName } from "./operations.ts";
import type { Copy } from "./plan.ts";
import { HERE, readHash, readNodes, type SlurmNode, told } from "./state.ts";

export const refuse = (what: string, reasons: readonly string[], hint: string): void => {
  if (reasons.length > 0) throw new OpsError("unsafe", `${what}: ${reasons.join("; ")}`, { hint });
};

export type Site = { conf: Conf; nodes: SlurmNode[]; host: Host; ip: string };

export async function readSite({ context: { host }, args, hosts, called }: NodeCall): Promise<Site> {
  const usage = (why: string): never => {
    throw new OpsError("usage", `${called}: ${why}`, { hint: `${called} --help` });
  };
  const file = String(args.conf);
  if (!/^(?:\/[A-Za-z0-9_+=@%][A-Za-z0-9_.+=@%-]*)+$/.test(file)) usage("--conf: not an absolute path");
  const [ip = "", second] = hosts;
  if (second !== undefined) usage("one node at a time: each changes slurm.conf");
  const conf = parseConf(file, await told(host, ["cat", "--", file], "run it on a controller"));
  const controllers = controllersOf(conf);
  if (!controllers.some(({ name }) => name === shortName(host.hostname())))
    usage(`this node is no SlurmctldHost of ${file} (${controllers.map(({ name }) => name).join(", ")})`);
  return { conf, nodes: await readNodes(host), host, ip };
}

/** Every host with a copy, each once, and what is against changing it. */
export async function readCopies({ conf, nodes, host }: Site, args: NodeCall["args"], without: SlurmNode | undefined) {
  const own = shortName(host.hostname());
  const copies = new Map<string, Copy>();
  const put = (name: string, address: string, more: Partial<Copy>): void => {
    const known = copies.get(name) ?? {
      name,
      where: name === own ? HERE : address,
      isController: false,
      isNode: false,
    };
    copies.set(name, { ...known, ...more });
  };
  for (const { name, address } of controllersOf(conf)) put(name, address, { isController: true });
  const others = nodes.filter(({ name }) => name !== without?.name);
  if (!isConfigless(conf)) {
    for (const { hostname, address } of others) put(hostname, address, { isNode: true });
  }
  for (const name of [args.also ?? []].flat().map(String)) put(name, name, {});
  const all = [...copies.values()].sort((a, b) => Number(b.where === HERE) - Number(a.where === HERE));
  const reasons = await Promise.all(
    all.map(async ({ name, where }) => {
      try {
        if (where !== HERE && !isHostWord(where)) return [`${name}: not a host that ssh can be given`];
        const hash = await readHash(host, where, conf.file);
        return hash === conf.hash ? [] : [`${name}: its ${conf.file} is not the same as here`];
      } catch (error) {
        return [`${name}: ${reasonOf(error)}`];
      }
    }),
  );
  return { copies: all, reasons: reasons.flat() };
}

/** A credential made there must be readable here: the same key, and clocks that agree. */
export async function reasonsAgainstMunge(host: Host, ip: string): Promise<string[]> {
  try {
    const credential = await told(host, sshArgv(ip, ["munge", "--no-input"]));
    const result = await host.run(["unmunge"], { timeoutMs: 15_000, input: credential });
    return /^STATUS:\s+Success/m.test(result.stdout)
      ? []
      : [`${ip}: its munge credential is not accepted here: ${lastWords(result.stderr || result.stdout, 200)}`];
  } catch (error) {
    return [`${ip}: munge: ${reasonOf(error)}`];
  }
}
