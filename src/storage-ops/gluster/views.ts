/**
 * Do all nodes of the pool have the same volume? Asked of each by ssh, because a node answers from its own configuration.
 * Measured with 10.3: a glusterd that comes back in the middle of another node's add-brick is left out of it (its peer's
 * generation is newer than the transaction) and has had its handshake already. It is `Connected`, `volume info` here shows the
 * new brick, and there the volume has the old ones, for its clients and its self-heal daemon too, until glusterd is started anew.
 * Input:  a volume as this node has it, the pool's peers. Output: the peers that have another one, and those that did not tell.
 * Errors: none; failures are answers.
 */
import { reasonOf } from "../../core/errors.ts";
import { failureOf } from "../../core/exec.ts";
import type { Host } from "../../core/host.ts";
import { isHostWord, sshArgv } from "../../core/ssh.ts";
import { answerOf, type Brick, type Peer, parseVolumes, type Volume } from "./state.ts";

const ASK_MS = 30_000;

export type View = { peer: string; state: "same" | "other" | "unknown"; detail: string };

const namesOf = (bricks: readonly Brick[]): string => bricks.map(({ name }) => name).join(" ");

export async function readViews(host: Host, peers: readonly Peer[], volume: Volume): Promise<View[]> {
  const others = peers.filter(({ isLocal, connected }) => !isLocal && connected);
  return Promise.all(others.map(({ hostnames: [name = ""] }) => readView(host, name, volume)));
}

async function readView(host: Host, peer: string, volume: Volume): Promise<View> {
  if (!isHostWord(peer)) return { peer, state: "unknown", detail: "not a name for ssh" };
  const argv = sshArgv(peer, ["gluster", "--mode=script", "--xml", "volume", "info", volume.name]);
  const result = await host.run(argv, { timeoutMs: ASK_MS });
  const failure = failureOf(result, ASK_MS);
  if (failure !== undefined) return { peer, state: "unknown", detail: failure };
  try {
    const [there] = parseVolumes(answerOf(result.stdout, `volume info on ${peer}`, () => undefined));
    if (there && namesOf(there.bricks) === namesOf(volume.bricks) && there.replica === volume.replica)
      return { peer, state: "same", detail: "the same" };
    const has = `${there?.bricks.length ?? 0} bricks, replica ${there?.replica ?? 0}`;
    return { peer, state: "other", detail: `${has}; here ${volume.bricks.length} bricks, replica ${volume.replica}` };
  } catch (error) {
    return { peer, state: "unknown", detail: reasonOf(error) };
  }
}

/** Why a change of a volume's bricks is not over: somebody still has the volume as it was. */
export async function reasonsAgainstViews(host: Host, peers: readonly Peer[], volume: Volume): Promise<string[]> {
  const views = await readViews(host, peers, volume);
  return views.flatMap(({ peer, state, detail }) =>
    state === "same"
      ? []
      : state === "other"
        ? [
            `${peer} missed the change of volume ${volume.name} (there it has ${detail}): restart glusterd on ${peer}, its clients and its self-heal daemon use the old one`,
          ]
        : [`volume ${volume.name} on ${peer}: could not be read: ${detail}`],
  );
}
