/**
 * `fencepost gluster status|health|volume-complete|can-remove`: reads, changes nothing.
 * Output: text or, with --json, one object; the exit code is the answer for scripts.
 * Errors: OpsError usage, missing-tool, timeout, failed, bad-output where gluster gave no answer at all.
 */
import { OpsError } from "../../core/errors.ts";
import type { ProgramContext } from "../../core/program.ts";
import { escapeControl, showNumber } from "../../core/text.ts";
import { createParser } from "../../core/words.ts";
import { type Health, healthOf, type VolumeHealth, type VolumeState } from "./health.ts";
import { reasonsAgainstLoss } from "./safety.ts";
import { bricksOf, checkVolumeName, findPeer, type Pool, readPool } from "./state.ts";

const VERBS = {
  status: "peers, volumes and bricks, as gluster has them",
  health: "is every volume whole? a verdict for each, with what is wrong",
  "volume-complete":
    "does this volume serve all of its files? for scripts to ask before they delete what they do not see",
  "can-remove": "may this node go down now, for a reboot or for good? a verdict for each volume",
} as const;
type Verb = keyof typeof VERBS;
const EXAMPLES: Readonly<Record<Verb, readonly [command: string, what: string]>> = {
  status: ["$0 --json", "for programs"],
  health: ["$0 --json", "for programs"],
  "volume-complete": ["$0 shared_data && rsync -a --delete /mnt/gluster/ /backup/", "delete only what is really gone"],
  "can-remove": ["$0 192.168.1.105 && ssh 192.168.1.105 reboot", "reboot only where nothing is lost"],
};

export const HEALTH_EXITS = { up: 0, degraded: 1, partial: 107, down: 107, unknown: 76 } as const satisfies Record<
  VolumeState,
  number
>;
const WORST: readonly VolumeState[] = ["down", "partial", "unknown", "degraded", "up"];

/** Commands with a module of their own. */
const COMMANDS: Readonly<Record<string, { describe: string; run: Run }>> = {
  setup: {
    describe: "brings GlusterFS up on this node: first of a new cluster, or one more of one that is there",
    run: async (...call) => (await import("./setup/cli.ts")).runSetup(...call),
  },
};
type Run = (context: ProgramContext, words: readonly string[], called: string) => Promise<number>;

export async function runGluster(context: ProgramContext, words: readonly string[], called: string): Promise<number> {
  const [first = "", ...rest] = words;
  if (Object.hasOwn(COMMANDS, first)) return (COMMANDS[first] as { run: Run }).run(context, rest, `${called} ${first}`);
  if (!Object.hasOwn(VERBS, first)) {
    const parser = createParser(context, called).usage(
      "Usage: $0 <command> [options]\n\nWhat GlusterFS says of itself, judged. Changes nothing.",
    );
    for (const [verb, describe] of Object.entries(VERBS)) parser.command(verb, describe);
    for (const [command, { describe }] of Object.entries(COMMANDS)) parser.command(command, describe);
    parser.example("$0 health", "is every volume whole?").strict();
    const args = await parser.parse([...words]);
    if (!args.help) throw new OpsError("usage", `${called}: which command?`, { hint: `${called} --help` });
    await context.out(`${await parser.getHelp()}\n`);
    return 0;
  }
  const verb = first as Verb;
  const name = `${called} ${verb}`;
  const takesNode = verb === "can-remove";
  const takesVolume = verb === "volume-complete";
  const parser = createParser(context, name)
    .usage(`Usage: $0${takesNode ? " NODE" : takesVolume ? " VOLUME" : ""} [options]\n\n${VERBS[verb]}.`)
    .option("json", { describe: "one JSON object", type: "boolean" })
    .example(...EXAMPLES[verb])
    .strictOptions();
  if (!takesVolume) parser.option("volume", { describe: "this volume only", type: "string", requiresArg: true });
  if (verb === "health")
    parser.epilog(
      "Exit: 0 whole · 1 degraded or healing · 107 files are not served · 76 unknown: it could not be read",
    );
  if (takesNode) parser.epilog("Exit: 0 yes · 107 no, or it could not be read: the reasons say which");
  if (takesVolume) parser.epilog("Exit: 0 all of them · 107 not all, or it could not be read: the reasons say which");
  const args = await parser.parse(rest);
  if (args.help) {
    await context.out(`${await parser.getHelp()}\n`);
    return 0;
  }
  const [node, ...extra] = args._.map(String);
  const surplus = takesNode || takesVolume ? extra[0] : node;
  if (surplus !== undefined)
    throw new OpsError("usage", `${name}: unexpected '${escapeControl(surplus)}'`, { hint: `${name} --help` });
  if (takesVolume && node === undefined) {
    throw new OpsError("usage", `${name}: which volume?`, { hint: `${name} --help` });
  }
  const named = takesVolume ? node : args.volume;
  const wanted = named === undefined ? undefined : checkVolumeName(String(named));
  const isWanted = (volume: { name: string }): boolean => wanted === undefined || volume.name === wanted;
  const all = await readPool(context.host, isWanted);
  if (wanted !== undefined && !all.volumes.some(isWanted)) {
    throw new OpsError("usage", `${name}: no volume ${wanted}`, { hint: "gluster volume list" });
  }
  const pool = { ...all, volumes: all.volumes.filter(isWanted) };
  const json = args.json === true;
  if (verb === "can-remove") return canRemove(context, pool, node, name, json);
  const health = healthOf(pool);
  if (takesVolume) return volumeComplete(context, health, json);
  if (json) await context.out(`${JSON.stringify(healthRecord(health, pool))}\n`);
  else await context.out(verb === "status" ? renderStatus(health, pool) : renderHealth(health));
  return verb === "status" ? 0 : exitOf(health);
}

const verdictOf = ({ volumes, findings }: Health): VolumeState => {
  const worst = WORST.find((state) => volumes.some((volume) => volume.state === state)) ?? "up";
  return worst === "up" && findings.length > 0 ? "degraded" : worst;
};
const exitOf = (health: Health): number =>
  health.volumes.some(({ splitBrain }) => typeof splitBrain === "number" && splitBrain > 0)
    ? HEALTH_EXITS.partial
    : HEALTH_EXITS[verdictOf(health)];

/** What heals does not matter here, but a view without quorum does: another part of the pool may know better. */
async function volumeComplete(context: ProgramContext, health: Health, json: boolean): Promise<number> {
  const [found] = health.volumes;
  if (!found) throw new OpsError("bug", "volume-complete: no volume");
  const { volume, state, bricks, findings } = found;
  const mayMiss =
    bricks.filter(({ online }) => online !== true).length > 0 && (volume.replica === 1 || state !== "degraded");
  const complete = health.quorum.hasQuorum && !mayMiss && state !== "down" && state !== "partial";
  const reasons = complete ? [] : [...health.findings, ...findings];
  if (json) await context.out(`${JSON.stringify({ volume: volume.name, complete, state, reasons })}\n`);
  else {
    const lines = [
      `volume ${volume.name}: ${complete ? "complete" : "not complete"}`,
      ...reasons.map((one) => `  ${one}`),
    ];
    await context.out(`${lines.map(escapeControl).join("\n")}\n`);
  }
  return complete ? 0 : 107;
}

async function canRemove(
  context: ProgramContext,
  pool: Pool,
  node: string | undefined,
  name: string,
  json: boolean,
): Promise<number> {
  if (node === undefined) throw new OpsError("usage", `${name}: which node?`, { hint: `${name} --help` });
  const peer = findPeer(pool.peers, node);
  const holds = pool.volumes.some((volume) => bricksOf(volume, node, peer).length > 0);
  if (!peer && !holds) {
    throw new OpsError("usage", `${escapeControl(node)}: not a peer of this pool`, { hint: "gluster pool list" });
  }
  const volumes = pool.volumes
    .filter((volume) => bricksOf(volume, node, peer).length > 0)
    .map((volume) => ({ volume: volume.name, reasons: reasonsAgainstLoss(pool, volume, node) }));
  const others = pool.peers.filter((one) => (peer ? one.uuid !== peer.uuid : true) && one.connected).length;
  const general =
    others * 2 > pool.peers.length || pool.peers.length <= 2
      ? []
      : [`only ${others} of ${pool.peers.length} peers would be connected: no quorum`];
  const yes = general.length === 0 && volumes.every(({ reasons }) => reasons.length === 0);
  if (json) {
    await context.out(`${JSON.stringify({ node, can_remove: yes, reasons: general, volumes })}\n`);
  } else {
    const lines = [`${escapeControl(node)}: ${yes ? "yes" : "no"}`, ...general.map((reason) => `  ${reason}`)];
    for (const { volume, reasons } of volumes) {
      lines.push(`  volume ${volume}: ${reasons.length === 0 ? "yes" : "no"}`);
      lines.push(...reasons.map((reason) => `    ${escapeControl(reason)}`));
    }
    await context.out(`${lines.join("\n")}\n`);
  }
  return yes ? 0 : 107;
}

const show = (count: number | "unknown" | "none"): string => (typeof count === "number" ? showNumber(count) : count);

function renderHealth({ quorum, findings, volumes }: Health): string {
  const lines = [`peers: ${quorum.connected} of ${quorum.of} connected${quorum.hasQuorum ? "" : ", NO QUORUM"}`];
  lines.push(...findings.map((finding) => `  ${escapeControl(finding)}`));
  for (const one of volumes) {
    const up = one.bricks.filter(({ online }) => online === true).length;
    lines.push(
      `volume ${one.volume.name}: ${one.state.toUpperCase()}  bricks ${up}/${one.bricks.length}  to heal ${show(one.pending)}  split-brain ${show(one.splitBrain)}`,
    );
    lines.push(...one.findings.map((finding) => `  ${escapeControl(finding)}`));
  }
  if (volumes.length === 0) lines.push("no volumes");
  return `${lines.join("\n")}\n`;
}

function renderStatus({ volumes }: Health, { peers }: Pool): string {
  const lines = peers.map(
    ({ hostnames, connected, state, isLocal }) =>
      `peer ${isLocal ? "localhost (this node)" : escapeControl(hostnames.join(", "))}: ${connected ? "connected" : "not connected"}, ${state}`,
  );
  for (const { volume, bricks } of volumes) {
    const shape = volume.disperse > 0 ? `dispersed ${volume.disperse}` : `replica ${volume.replica}`;
    lines.push(
      `volume ${volume.name}: ${volume.typeWord}, ${volume.isStarted ? "started" : "stopped"}, ${volume.bricks.length} bricks, ${shape}${volume.arbiter > 0 ? `, arbiter ${volume.arbiter}` : ""}`,
    );
    for (const { name, online, isArbiter } of bricks)
      lines.push(
        `  ${online === true ? "up     " : online === false ? "down   " : "unknown"}  ${name}${isArbiter ? "  (arbiter)" : ""}`,
      );
  }
  return `${lines.join("\n")}\n`;
}

const healthRecord = (health: Health, { peers }: Pool) => ({
  state: verdictOf(health),
  peers: {
    connected: health.quorum.connected,
    of: health.quorum.of,
    quorum: health.quorum.hasQuorum,
    list: peers.map(({ uuid, hostnames, connected, state, isLocal }) => ({
      uuid,
      hostnames,
      connected,
      state,
      local: isLocal,
    })),
  },
  findings: health.findings,
  volumes: health.volumes.map((one: VolumeHealth) => ({
    name: one.volume.name,
    type: one.volume.typeWord,
    started: one.volume.isStarted,
    replica: one.volume.replica,
    arbiter: one.volume.arbiter,
    state: one.state,
    entries_to_heal: typeof one.pending === "number" ? one.pending : null,
    entries_in_split_brain: typeof one.splitBrain === "number" ? one.splitBrain : null,
    heals: one.pending !== "none",
    bricks: one.bricks.map(({ name, online, isArbiter }) => ({
      name,
      online: online === "unknown" ? null : online,
      arbiter: isArbiter,
    })),
    findings: one.findings,
  })),
});
