/**
 * What the running cluster knows of the target: DLM lockspaces it is a member of, and GFS2 resources active on it.
 * Input:  stdout of `dlm_tool ls`: blocks of "key value" lines, parted by blank lines; `crm_mon -1 --output-as=xml`.
 * Output: until the fence completes the victim stays in `members` while `new members` already lacks it, so the
 *         lockspaces that wait for fencing still name it; afterwards it is gone from both.
 * Errors: OpsError bad-output when a block has no name.
 * Source: dlm_tool(8); captured output in test/fixtures/gfs2-cluster.
 */
import { fail, OpsError, reasonOf } from "../core/errors.ts";
import { type CommandResult, failureOf } from "../core/exec.ts";
import { gfs2Resources, nodesOf } from "./cib.ts";
import { type ClusterView, factsFromView, parseClusterView } from "./crm-mon.ts";
import { nameByLockspace, readLocalMounts } from "./local-gfs2.ts";
import { answer, type Filesystem, type Probe, type ProbeOutcome, type Source, sameNode } from "./source.ts";

export type Lockspace = { name: string; members: readonly number[]; newMembers: readonly number[] };

export function parseLockspaces(stdout: string): Lockspace[] {
  const blocks = stdout
    .replace(/^dlm lockspaces\s*\n/, "")
    .split(/\n\s*\n/)
    .filter((block) => block.trim() !== "");
  return blocks.map((block) => {
    const field = (key: string) => new RegExp(`^${key}[ \\t]+(.*\\S)`, "m").exec(block)?.[1];
    const numbers = (key: string) => (field(key) ?? "").split(/\s+/).filter(Boolean).map(Number);
    const name = field("name") ?? fail("bad-output", `dlm_tool ls: lockspace without a name: ${block.slice(0, 80)}`);
    // Every lockspace has an id and members; one without is half of one, cut off by whatever ended the tool.
    if (!field("id") || !field("members")) fail("bad-output", `dlm_tool ls: lockspace ${name}: cut off`);
    return { name, members: numbers("members"), newMembers: numbers("new members") };
  });
}

/** `2 compute-node-2 lost` lines of `crm_node -l`. */
export const parseCrmNodeList = (stdout: string): { id: number; name: string }[] =>
  [...stdout.matchAll(/^(\d+) (\S+)/gm)].map(([, id, name]) => ({ id: Number(id), name: name ?? "" }));

/** `nodelist.node.N.name (str) = NAME` and `.nodeid (u32) = ID` lines of `corosync-cmapctl`. */
export function parseCorosyncNodes(stdout: string): { id: number; name: string }[] {
  const value = (index: string, key: string) =>
    new RegExp(`^nodelist\\.node\\.${index}\\.${key} \\(\\w+\\) = (.+)$`, "m").exec(stdout)?.[1];
  const indices = new Set([...stdout.matchAll(/^nodelist\.node\.(\d+)\./gm)].map(([, index]) => index ?? ""));
  return [...indices].flatMap((index) => {
    const id = value(index, "nodeid");
    const name = value(index, "name") ?? value(index, "ring0_addr");
    return id && name ? [{ id: Number(id), name }] : [];
  });
}

/** Lockspaces of other users of the DLM: lvmlockd (lvm_global, lvm_VG), clvmd, OCFS2 (its 32-digit UUID). */
const NOT_GFS2 = /^(lvm_|clvmd$|[0-9A-F]{32}$)/;

/** dlm_tool answers in 0.1 s where crm_mon takes 0.25 s and, starved, 6 s: once names are known it gets this long. */
const VIEW_GRACE_MS = 500;

const succeeded = (result: CommandResult): boolean => result.outcome === "exited" && result.exitCode === 0;

async function probe({ target, host, timeoutMs, signal, cib, learn }: Probe): Promise<ProbeOutcome> {
  const run = (...argv: [string, ...string[]]) => host.run(argv, { timeoutMs, signal, group: "caller" });
  const viewing = run("crm_mon", "-1", "--output-as=xml").then((result): ClusterView => {
    if (!succeeded(result)) throw new OpsError("failed", failureOf(result, timeoutMs) ?? "");
    return parseClusterView(result.stdout);
  });
  viewing.catch(() => undefined); // reported below, or not needed

  const listing = run("dlm_tool", "ls").then((result) => {
    if (!succeeded(result))
      throw new OpsError(
        result.outcome === "not-started" ? "missing-tool" : "failed",
        failureOf(result, timeoutMs) ?? "",
      );
    return parseLockspaces(result.stdout);
  });
  const [lockspaces, listingError] = await listing.then(
    (found) => [found, undefined] as const,
    (error: unknown) => [undefined, error] as const,
  );
  const reasons = listingError === undefined ? [] : [reasonOf(listingError)];

  const mounts = readLocalMounts(host);
  const gfs2 = (lockspaces ?? []).filter(({ name }) =>
    mounts.length > 0 ? mounts.some(({ lockspace }) => lockspace === name) : !NOT_GFS2.test(name),
  );
  let seen: Filesystem[] = [];
  let mapped = gfs2.length === 0;
  if (gfs2.length > 0) {
    const id = await nodeId(target, { run, cib, viewing });
    mapped = id !== "nobody-knows-ids";
    if (!mapped) reasons.push("no node ids: neither crm_mon, the CIB, crm_node nor corosync-cmapctl answered");
    seen = gfs2
      .filter(({ members, newMembers }) => typeof id === "number" && [...members, ...newMembers].includes(id))
      .map(({ name }) => ({ name, lockspace: name }));
  }

  const view = await (seen.length > 0
    ? Promise.race([viewing, host.sleep(VIEW_GRACE_MS, signal).then(() => "too slow" as const)])
    : viewing
  ).catch((error: unknown) => {
    reasons.push(reasonOf(error));
    return undefined;
  });
  if (view !== undefined && view !== "too slow") {
    const operation = view.pendingFencing.find((pending) => sameNode(pending.target, target));
    const { target: _, ...pending } = operation ?? { target };
    learn({ cluster: factsFromView(view, target), ...(operation ? { operation: pending } : {}) });
    seen = withResources(seen, await activeGfs2(view, { target, cib }));
  }
  if (seen.length > 0) return answer(nameByLockspace(seen, mounts), "target");
  const asked = (lockspaces !== undefined && mapped) || view !== undefined;
  if (asked) return { status: "empty" };
  const missing =
    listingError instanceof OpsError &&
    listingError.kind === "missing-tool" &&
    reasons.every((reason) => reason.includes("not started"));
  return { status: missing ? "unavailable" : "failed", reason: reasons.join("; ") };
}

type Ids = {
  run: (...argv: [string, ...string[]]) => Promise<CommandResult>;
  cib: Probe["cib"];
  viewing: Promise<ClusterView>;
};

/** The target's Corosync node id; undefined when the ids are known and it has none. The first who answers decides. */
async function nodeId(target: string, { run, cib, viewing }: Ids): Promise<number | undefined | "nobody-knows-ids"> {
  const idIn = (nodes: readonly { id: number | string; name: string }[]): number | undefined => {
    if (nodes.length === 0) throw new OpsError("bad-output", "no nodes");
    const id = nodes.find(({ name }) => sameNode(name, target))?.id;
    return id === undefined ? undefined : Number(id);
  };
  const fromCommand = async (
    argv: [string, ...string[]],
    parse: (stdout: string) => { id: number; name: string }[],
  ) => {
    const result = await run(...argv);
    if (!succeeded(result)) throw new OpsError("failed", failureOf(result) ?? "");
    return idIn(parse(result.stdout));
  };
  return Promise.any([
    cib().then((known) => idIn(nodesOf(known).map(({ id, uname }) => ({ id, name: uname })))),
    viewing.then((view) => idIn(view.nodes)),
  ])
    .catch(() => fromCommand(["crm_node", "-l"], parseCrmNodeList))
    .catch(() => fromCommand(["corosync-cmapctl"], parseCorosyncNodes))
    .catch(() => "nobody-knows-ids" as const);
}

/** crm_mon names resources, the configuration says which of them are GFS2. */
async function activeGfs2(view: ClusterView, { target, cib }: Pick<Probe, "target" | "cib">): Promise<Filesystem[]> {
  const active = new Set(
    view.active
      .filter(({ agent, node }) => /(^|:)Filesystem$/.test(agent) && sameNode(node, target))
      .map(({ resource }) => resource),
  );
  if (active.size === 0) return [];
  const known = await cib().catch(() => undefined);
  return (known ? gfs2Resources(known) : [])
    .filter(({ id }) => active.has(id))
    .map(({ id, directory, device }) => ({
      name: id,
      ...(directory === undefined ? {} : { mountPoint: directory }),
      ...(device === undefined ? {} : { device }),
    }));
}

/** A resource named like a lockspace is that filesystem; any other is one more sighting. */
const withResources = (seen: readonly Filesystem[], resources: readonly Filesystem[]): Filesystem[] => [
  ...seen.map((filesystem) => ({ ...resources.find(({ name }) => name === filesystem.name), ...filesystem })),
  ...resources.filter(({ name }) => !seen.some((filesystem) => filesystem.name === name)),
];

export const dlmSource = (): Source => ({ method: "dlm", probe });
