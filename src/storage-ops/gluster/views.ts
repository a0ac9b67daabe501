/**
 * Do all nodes of the pool have the same volume? Asked of each by ssh, because a node answers from its own configuration.
 * Measured with 10.3: a glusterd that comes back in the middle of another node's add-brick is left out of it (its peer's
 * generation is newer than the transaction) and has had its handshake already. It is `Connected`, `volume info` here shows the
 * new brick, and there the volume has the old ones, for its clients and its self-heal daemon too, until glusterd is started anew.
 * Input:  volumes as this node has them, the pool's peers. Output: what each peer has; why a change is not over.
 * Errors: none; failures are answers.
 */
import { OpsError, reasonOf } from "../../core/errors.ts";
import { failureOf } from "../../core/exec.ts";
import type { Host } from "../../core/host.ts";
import { isHostWord, sshArgv } from "../../core/ssh.ts";
import { counted } from "../../core/text.ts";
import { answerOf, type Brick, type Peer, type Pool, parseVolumes, type Volume } from "./state.ts";

const ASK_MS = 30_000;

export type View = { peer: string; volume: string; state: "same" | "other" | "unknown"; detail: string };

const namesOf = (bricks: readonly Brick[]): string => bricks.map(({ name }) => name).join(" ");
const shapeOf = ({ bricks, replica }: Volume): string => `${counted(bricks.length, "brick")}, replica ${replica}`;

/** Those whose view nobody can have: what is planned with them away does not wait for them. */
export const absentIn = ({ peers }: Pick<Pool, "peers">): string[] =>
  peers.flatMap(({ uuid, connected, isLocal }) => (connected || isLocal ? [] : [uuid]));

/** One question to each peer, whatever number of volumes; one that is not connected may still have clients of the old one. */
export async function readViews(host: Host, peers: readonly Peer[], volumes: readonly Volume[]): Promise<View[]> {
  const others = peers.filter(({ isLocal }) => !isLocal);
  const views = await Promise.all(
    others.map(({ hostnames: [name = ""], connected }) =>
      connected
        ? viewsOf(host, name, volumes)
        : volumes.map((one): View => ({ peer: name, volume: one.name, state: "unknown", detail: "not connected" })),
    ),
  );
  return views.flat();
}

async function viewsOf(host: Host, peer: string, volumes: readonly Volume[]): Promise<View[]> {
  const told = await readVolumesThere(host, peer, volumes.length === 1 ? volumes[0]?.name : undefined).catch(reasonOf);
  return volumes.map((here): View => {
    const view = { peer, volume: here.name };
    if (typeof told === "string") return { ...view, state: "unknown", detail: told };
    const there = told.find(({ name }) => name === here.name);
    if (there && namesOf(there.bricks) === namesOf(here.bricks) && there.replica === here.replica)
      return { ...view, state: "same", detail: shapeOf(here) };
    return { ...view, state: "other", detail: `there ${there ? shapeOf(there) : "none"}; here ${shapeOf(here)}` };
  });
}

async function readVolumesThere(host: Host, peer: string, only = "all"): Promise<Volume[]> {
  if (!isHostWord(peer)) throw new OpsError("bad-input", "not a name for ssh");
  const argv = sshArgv(peer, ["gluster", "--mode=script", "--xml", "volume", "info", only]);
  const result = await host.run(argv, { timeoutMs: ASK_MS });
  const failure = failureOf(result, ASK_MS);
  if (failure !== undefined) throw new OpsError("failed", failure);
  return parseVolumes(answerOf(result.stdout, `volume info on ${peer}`, () => undefined));
}

export const reasonOfView = ({ peer, volume, state, detail }: View): string =>
  state === "other"
    ? `${peer} missed a change of volume ${volume} (${detail}): restart glusterd on ${peer}, its clients and its self-heal daemon use the old one`
    : `volume ${volume} on ${peer}: ${state === "same" ? "the same" : `could not be read: ${detail}`}`;

/** Why a volume must not be changed: somebody may still have it as it was, and no file tells of what that one writes. */
export async function reasonsAgainstViews(host: Host, peers: readonly Peer[], volume: Volume): Promise<string[]> {
  const views = await readViews(host, peers, [volume]);
  return views.filter(({ state }) => state !== "same").map(reasonOfView);
}
