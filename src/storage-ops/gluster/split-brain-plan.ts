/**
 * Which commands end a split-brain so that nothing is lost: each losing copy is copied aside on its own node, then gluster is
 * told by name which brick's copy wins, then the volume heals.
 * Input:  Conflicts and their winners. Output: a Plan. Whatever the policy, gluster is told `source-brick`: what the plan
 *         shows is what happens, and gluster's own latest-mtime gives up on times that differ (measured: "No difference in
 *         mtime" five seconds apart).
 * Errors: OpsError unsafe from the guards: a copy is not what it was when this was planned.
 */
import { OpsError } from "../../core/errors.ts";
import { failureOf } from "../../core/exec.ts";
import type { Host } from "../../core/host.ts";
import type { Plan, Standing, Step, StepKinds } from "../../core/plan.ts";
import { type Copy, onBrickHost, readCopies } from "./copies.ts";
import { reasonsAgainstHeal } from "./heal-run.ts";
import { asked } from "./kinds.ts";
import { POOL_OBJECT, refuse } from "./plan.ts";
import { type Conflict, clientsOf, judgeCopies } from "./split-brain.ts";
import {
  type Brick,
  GLUSTER_TIMEOUT_MS,
  glusterArgv,
  type Peer,
  type Pool,
  readPeers,
  readVolumes,
  replicaSets,
  type Volume,
} from "./state.ts";

const COPY_MS = 24 * 3_600_000;

export type Decision = { conflict: Conflict; winner: Copy };

/** What a copy must still be when its fate is decided. */
const printOf = ({
  state,
  gfid = "",
  sizeBytes = 0,
  modifiedNs = 0n,
  mode = "",
  owner = "",
  sha256 = "",
}: Copy): string => (state === "there" ? [gfid, sizeBytes, modifiedNs, mode, owner, sha256].join(" ") : state);

export function planResolve(
  pool: Pool,
  volume: Volume,
  {
    decisions,
    id,
    keepIn,
    warnings,
  }: { decisions: readonly Decision[]; id: string; keepIn: string; warnings: readonly string[] },
): Plan {
  const { name } = volume;
  const place = `${keepIn}/${id}`;
  const steps: Step[] = [];
  const keepers = new Map<string, Brick>();
  const keeps: Step[] = [];
  const resolves: Step[] = [];
  const picture: string[] = [];
  for (const [at, { conflict, winner }] of decisions.entries()) {
    const { path, copies, reason } = conflict;
    const kept: string[] = [];
    for (const [number, copy] of copies.entries()) {
      const { brick } = copy;
      if (copy === winner || copy.state !== "there" || copy.type !== "file" || brick.isArbiter) continue;
      const file = `${place}/${at + 1}.${number}`;
      keepers.set(brick.host, brick);
      kept.push(`${brick.host}:${file}`);
      keeps.push(keepStep(pool, copy, { id: `keep-${at + 1}-${number}`, path, file }));
    }
    picture.push(
      `${path}: ${reason}: ${winner.brick.name} wins; the losing copy is kept in ${kept.join(", ") || "nothing: no losing file"}`,
    );
    resolves.push({
      id: `resolve-${at + 1}`,
      kind: "split-brain-resolve",
      title: `${path}: ${winner.brick.name} wins`,
      argv: glusterArgv("volume", "heal", name, "split-brain", "source-brick", winner.brick.name, path),
      timeoutMs: GLUSTER_TIMEOUT_MS,
      destructive: true,
      waits: false,
      doneWhen: "its copies do not contradict each other any more",
      requires: "every copy is what it was when this was planned, and the losing ones are kept aside",
      undo: { impossible: `the losing copy is in ${kept.join(", ") || "nothing"}: copy it back through a mount` },
      data: { volume: name, path, set: copies.map(({ brick }) => brick.name), prints: copies.map(printOf), kept },
      after: [
        `✓ ${path}: ${winner.brick.name} won${kept.length > 0 ? `; the losing copy is kept in ${kept.join(", ")}` : ""}`,
      ],
    });
  }
  for (const [host, brick] of keepers) steps.push(placeStep(pool, host, brick, place));
  steps.push(...keeps, ...resolves);
  const reasons = reasonsAgainstHeal(pool, volume);
  if (reasons.length === 0) steps.push(settleStep(volume, decisions));
  return {
    version: 1,
    operation: "gluster.split-brain",
    title: `end the split-brain of ${decisions.length === 1 ? decisions[0]?.conflict.path : `${decisions.length} files`} of volume ${name}`,
    object: POOL_OBJECT,
    warnings: [...warnings, ...reasons.map((reason) => `${reason}: the winning copies are not spread now`)],
    picture,
    steps,
  };
}

function placeStep({ peers }: Pool, host: string, brick: Brick, place: string): Step {
  return {
    id: `place-${host}`,
    kind: "kept-place",
    title: `make a place for losing copies on ${host}`,
    argv: onBrickHost(brick, peers, ["mkdir", "-p", "-m", "700", "--", place]),
    timeoutMs: 60_000,
    destructive: false,
    waits: false,
    doneWhen: "the directory is there",
    data: { test: onBrickHost(brick, peers, ["test", "-d", place]) },
  };
}

function keepStep(
  { peers }: Pool,
  { brick, sha256 = "" }: Copy,
  { id, path, file }: { id: string; path: string; file: string },
): Step {
  const from = `${brick.path}${path}`;
  return {
    id,
    kind: "kept-copy",
    title: `keep ${brick.name}'s copy of ${path} in ${brick.host}:${file}`,
    argv: onBrickHost(brick, peers, ["cp", "--preserve=mode,ownership,timestamps", "--reflink=auto", "--", from, file]),
    timeoutMs: COPY_MS,
    destructive: false,
    waits: false,
    doneWhen: "its checksum is the losing copy's",
    data: { sum: onBrickHost(brick, peers, ["sha256sum", "--", file]), sha256 },
  };
}

const settleStep = ({ name }: Volume, decisions: readonly Decision[]): Step => ({
  id: "settle",
  kind: "split-brain-settled",
  title: `heal volume ${name}`,
  argv: glusterArgv("volume", "heal", name),
  timeoutMs: GLUSTER_TIMEOUT_MS,
  destructive: false,
  waits: true,
  repeats: true,
  doneWhen: "all copies of these files are the same",
  data: {
    volume: name,
    paths: decisions.map(({ conflict }) => conflict.path),
    sets: decisions.map(({ conflict }) => conflict.copies[0]?.brick.name ?? ""),
  },
  before: [`ℹ Healing volume ${name}...`],
  after: [`✓ All copies of ${decisions.length === 1 ? decisions[0]?.conflict.path : "these files"} are the same`],
});

const words = (value: unknown): string[] => [value ?? []].flat().map(String);
const argvOf = (value: unknown): [string, ...string[]] => words(value) as [string, ...string[]];

/** Which bricks are this node's own tells its disk: a question less to gluster for each look at a file. */
async function readOwnPeer(host: Host): Promise<Peer[]> {
  const uuid = /^UUID=(\S+)$/m.exec(host.readText("/var/lib/glusterd/glusterd.info") ?? "")?.[1];
  return uuid === undefined
    ? readPeers(host)
    : [{ uuid, hostnames: ["localhost"], connected: true, state: "", isLocal: true }];
}

async function placed(step: Step, host: Host): Promise<{ pool: Pool; volume: Volume }> {
  const name = String(step.data.volume);
  const volumes = await readVolumes(host);
  const volume = volumes.find((one) => one.name === name);
  if (volume) return { pool: { peers: await readOwnPeer(host), volumes, status: new Map(), heal: new Map() }, volume };
  throw new OpsError("failed", `volume ${name}: not there any more`, { hint: "gluster volume list" });
}

async function copiesOf(step: Step, host: Host, withSum: boolean) {
  const { pool, volume } = await placed(step, host);
  const names = words(step.data.set);
  const set = volume.bricks.filter(({ name }) => names.includes(name));
  if (set.length !== names.length)
    throw new OpsError("unsafe", `volume ${volume.name}: its bricks are not those this was planned for`);
  const copies = await readCopies({ host, peers: pool.peers }, set, String(step.data.path), withSum);
  return { copies, reason: judgeCopies(copies, clientsOf({ host, pool, volume }, set)) };
}

/** Missing copies are no contradiction, but they are not all the same either. */
const isSettled = (copies: readonly Copy[]): boolean =>
  copies.every(({ state }) => state === "there") &&
  new Set(copies.map(({ gfid, type, mode, owner }) => [gfid, type, mode, owner].join(" "))).size === 1 &&
  new Set(copies.filter(({ brick }) => !brick.isArbiter).map(({ sha256 }) => sha256)).size === 1;

export const SPLIT_BRAIN_KINDS = {
  "kept-place": {
    standing: async (step, host) => {
      const result = await host.run(argvOf(step.data.test), { timeoutMs: 60_000 });
      if (result.outcome === "exited" && result.exitCode === 0) return { state: "done", detail: "there" };
      if (result.outcome === "exited" && result.exitCode === 1) return { state: "todo", detail: "not there" };
      return { state: "unknown", detail: failureOf(result, 60_000) ?? "no answer" };
    },
  },
  "kept-copy": {
    standing: async (step, host) => {
      const result = await host.run(argvOf(step.data.sum), { timeoutMs: COPY_MS });
      const sum = /^\\?([0-9a-f]{64}) /.exec(result.stdout)?.[1];
      if (sum !== undefined && sum === step.data.sha256) return { state: "done", detail: `sha256 ${sum}` };
      if (sum !== undefined) return { state: "todo", detail: `another checksum: ${sum}` };
      if (result.outcome === "exited" && result.exitCode === 1) return { state: "todo", detail: "not there" };
      return { state: "unknown", detail: failureOf(result, COPY_MS) ?? "no answer" };
    },
  },
  "split-brain-resolve": {
    standing: asked(async (step, host) => {
      const { reason } = await copiesOf(step, host, false);
      if (reason === "unknown") return { state: "unknown", detail: "a copy could not be read" };
      return reason === "none"
        ? { state: "done", detail: "its copies do not contradict each other" }
        : { state: "todo", detail: `in split-brain: ${reason}` };
    }),
    guard: async (step, host) => {
      const { copies } = await copiesOf(step, host, true);
      const planned = words(step.data.prints);
      const changed = copies.filter((copy, at) => printOf(copy) !== planned[at]);
      refuse(
        `${String(step.data.path)}: cannot decide`,
        changed.map(
          ({ brick, problem }) => `${brick.name}: ${problem ?? "its copy is not what it was when this was planned"}`,
        ),
        `fencepost gluster split-brain ${String(step.data.volume)}`,
      );
    },
  },
  "split-brain-settled": {
    standing: asked(async (step, host): Promise<Standing> => {
      const { pool, volume } = await placed(step, host);
      const firsts = words(step.data.sets);
      const waiting: string[] = [];
      for (const [at, path] of words(step.data.paths).entries()) {
        const set = replicaSets(volume).find((one) => one.some(({ name }) => name === firsts[at])) ?? [];
        if (!isSettled(await readCopies({ host, peers: pool.peers }, set, path, true))) waiting.push(path);
      }
      return waiting.length === 0
        ? { state: "done", detail: "all copies are the same" }
        : {
            state: "todo",
            detail: `${waiting.length} files to heal: ${waiting.slice(0, 5).join(", ")}`,
            remaining: waiting.length,
          };
    }),
  },
} as const satisfies StepKinds;
