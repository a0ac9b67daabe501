/**
 * First node of a new cluster, one more of one that is there, or a member already? Pure.
 * Input:  what this node and the other controllers answered. Output: a Decision, with the lines that say why.
 * Errors: OpsError unsafe where a second cluster could come to be, or where nobody can tell.
 */
import { OpsError } from "../../../core/errors.ts";
import { type Brick, bricksOf, type Peer, type Volume } from "../state.ts";
import type { Controller, SetupConfig } from "./config.ts";
import type { Answer } from "./discover.ts";

export type Wanted = "auto" | "bootstrap" | "join";
export type Decision =
  | { mode: "bootstrap" }
  /** The commands that change the pool are run on `member`, by ssh. */
  | { mode: "join"; member: Controller }
  /** This node holds a brick of the volume: only what is missing is mended. */
  | { mode: "member"; volume: Volume; brick: Brick };
export type Decided = Decision & { lines: readonly string[]; warnings: readonly string[] };

export type Found = {
  config: SetupConfig;
  self: Controller;
  here: Answer;
  others: readonly { controller: Controller; answer: Answer }[];
};

const volumeIn = (answer: Answer, name: string): Volume | undefined =>
  answer.state === "active" ? answer.volumes.find((volume) => volume.name === name) : undefined;
const localPeer = (answer: Answer): Peer | undefined =>
  answer.state === "active" ? answer.peers.find(({ isLocal }) => isLocal) : undefined;

const named = (names: readonly Controller[]): string =>
  names.map(({ hostname, address }) => `${hostname} (${address})`).join(", ");

export function decideMode(found: Found, wanted: Wanted): Decided {
  const { config, self, here, others } = found;
  const name = config.volume;
  const refuse = (why: string, hint: string): never => {
    throw new OpsError("unsafe", `setup of ${self.hostname}: ${why}`, { hint });
  };
  if (here.state === "unknown") refuse(`this node could not be asked: ${here.reason}`, "systemctl start glusterd");
  const silent = others.filter(({ answer }) => answer.state === "unknown");
  const reasons = silent.map(
    ({ controller, answer }) => `${named([controller])}: ${answer.state === "unknown" ? answer.reason : ""}`,
  );
  const warnings = reasons.map((reason) => `no answer from ${reason}`);
  const holders = others.filter(({ answer }) => volumeIn(answer, name) !== undefined);
  const ids = new Set(
    [here, ...holders.map(({ answer }) => answer)].flatMap((answer) => volumeIn(answer, name)?.id ?? []),
  );
  if (ids.size > 1) {
    refuse(
      `there are ${ids.size} different volumes of the name ${name}: on ${named(holders.map(({ controller }) => controller))}`,
      `gluster volume info ${name}, on each of them`,
    );
  }

  const volume = volumeIn(here, name);
  const brick = volume && bricksOf(volume, self.address, localPeer(here))[0];
  if (volume && brick) {
    const lines = [`This node holds a brick of ${name} already → only what is missing is mended`];
    if (brick.path !== config.brickPath)
      warnings.push(`its brick is ${brick.name}, not ${config.brickPath} as in ${config.path}`);
    return { mode: "member", volume, brick, lines, warnings };
  }

  if (holders.length > 0) {
    const [first] = holders;
    if (wanted === "bootstrap" || first === undefined) {
      return refuse(
        `--bootstrap would make a second cluster: ${named(holders.map(({ controller }) => controller))} has volume ${name}`,
        "fencepost gluster setup --join",
      );
    }
    joinable(found, first.answer, refuse);
    return {
      mode: "join",
      member: first.controller,
      lines: ["Active nodes found → Join mode", ...holders.map(({ controller }) => `Active: ${named([controller])}`)],
      warnings,
    };
  }

  if (wanted === "join") {
    refuse(
      `no active node has volume ${name}${reasons.length > 0 ? `, and some did not answer: ${reasons.join("; ")}` : ""}`,
      "fencepost gluster setup --bootstrap, on the first node",
    );
  }
  if (volume) {
    refuse(
      `volume ${name} is known here, but this node has no brick of it and no other controller with it answers`,
      `gluster volume info ${name}`,
    );
  }
  const mine = localPeer(here);
  for (const { controller, answer } of others) {
    if (answer.state !== "active" || answer.peers.some(({ uuid }) => uuid === mine?.uuid)) continue;
    const volumes = answer.volumes.map((one) => one.name).join(", ") || "none";
    refuse(
      `${named([controller])} is in a GlusterFS pool of ${answer.peers.length} that has no volume ${name} (its volumes: ${volumes})`,
      `is storage.glusterfs.volume_name in ${config.path} right?`,
    );
  }
  const keepers = silent.filter(({ answer }) => answer.state === "unknown" && answer.kept.length > 0);
  if (keepers.length > 0) {
    // No order lifts this: here it is not silence, but a pool that sleeps.
    refuse(
      `there is a pool already: ${reasons.join("; ")}`,
      `systemctl start glusterd, on ${keepers[0]?.controller.hostname}`,
    );
  }
  if (silent.length > 0 && wanted === "auto") {
    refuse(
      `no active node was found, but these may be: ${reasons.join("; ")}; a second cluster would split the data`,
      "mend ssh to them, or fencepost gluster setup --bootstrap if you know that none of them has the volume",
    );
  }
  return { mode: "bootstrap", lines: ["No active nodes found → Bootstrap mode"], warnings };
}

/** glusterd refuses a node that belongs to another pool or has volumes of its own: said before anything is changed. */
function joinable({ here }: Found, there: Answer, refuse: (why: string, hint: string) => never): void {
  const mine = localPeer(here);
  if (here.state !== "active" || there.state !== "active") return;
  if (there.peers.some(({ uuid }) => uuid === mine?.uuid)) return;
  const others = here.peers.filter(({ isLocal }) => !isLocal).map(({ hostnames }) => hostnames[0]);
  if (others.length > 0) refuse(`it is in a pool of its own, with ${others.join(", ")}`, "gluster pool list");
  const volumes = here.volumes.map((one) => one.name).join(", ");
  refuse(`it has volumes of its own (${volumes}): glusterd takes no such node into a pool`, "gluster volume list");
}
