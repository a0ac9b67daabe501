/**
 * The kinds of steps of a storage setup: how each tells that it is done, what must hold right before it.
 * Input:  a step's data, as a journal keeps it. A kind named `member-…` asks, and its step runs, on a member of the pool.
 * Errors: OpsError unsafe from the guards; what could not be read is `unknown` in a standing.
 */
import { OpsError, reasonOf } from "../../../core/errors.ts";
import { type Argv, failureOf } from "../../../core/exec.ts";
import type { Host } from "../../../core/host.ts";
import { decodeOctal } from "../../../core/mounts.ts";
import type { Plan, Standing, Step, StepKind, StepKinds } from "../../../core/plan.ts";
import type { Place } from "../../cluster-lock.ts";
import { list, text } from "../../step-data.ts";
import { asked, GLUSTER_KINDS } from "../kinds.ts";
import { guardOption } from "../options-plan.ts";
import { refuse } from "../plan.ts";
import { readSite, reasonsAgainstSite } from "../site.ts";
import { type Peer, readPeers, readVolumeStatus, readVolumes, type Volume } from "../state.ts";
import { discover, hostThrough } from "./discover.ts";
import { missingPrograms } from "./install.ts";
import { deviceOf, FSTAB, findEntry, UNIT_DIRECTORY, unitName, unitText } from "./mount-entry.ts";
import { sameValue } from "./options.ts";
import { ON_MEMBER, SERVICE_STEP } from "./plan.ts";

const LIMIT_MS = 30_000;

/** Exit 0 or another; anything else is no answer. */
async function holds(host: Host, argv: Argv): Promise<boolean> {
  const result = await host.run(argv, { timeoutMs: LIMIT_MS });
  if (result.outcome === "exited" && result.exitCode !== 255) return result.exitCode === 0;
  throw new OpsError("timeout", failureOf(result, LIMIT_MS) ?? "no answer");
}

const areDirectories: StepKind["standing"] = asked(async (step, host) => {
  const paths = [...list(step, "paths"), ...list(step, "path")];
  for (const path of paths) {
    if (!(await holds(host, ["test", "-d", path]))) return { state: "todo", detail: `${path}: no directory` };
  }
  return { state: "done", detail: "there" };
});

/** Whether glusterd serves here: a stopped one and one that is not installed say so, one that hangs says nothing. */
async function glusterAnswers(host: Host): Promise<Standing> {
  try {
    await readPeers(host);
    return { state: "done", detail: "gluster answers" };
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    const isDown = error.kind === "missing-tool" || /connection failed|daemon is operational/i.test(error.message);
    return { state: isDown ? "todo" : "unknown", detail: isDown ? "glusterd does not run" : reasonOf(error) };
  }
}

const findVolume = async (step: Step, host: Host): Promise<Volume | undefined> =>
  (await readVolumes(host)).find(({ name }) => name === text(step, "volume"));

const volumeOf = async (step: Step, host: Host): Promise<Volume> => {
  const volume = await findVolume(step, host);
  if (volume) return volume;
  throw new OpsError("failed", `volume ${text(step, "volume")}: not there`, { hint: "gluster volume list" });
};

/** A volume with one file is somebody's data. */
async function guardEmptyVolume(step: Step, host: Host): Promise<void> {
  const volume = await findVolume(step, host);
  const path = text(step, "path");
  const reasons: string[] = [];
  if (volume && volume.bricks.map(({ name }) => name).join(" ") !== text(step, "brick"))
    reasons.push("other nodes have bricks of it by now");
  const argv: Argv = ["find", path, "-path", `${path}/.glusterfs`, "-prune", "-o", "-type", "f", "-print", "-quit"];
  const found = await host.run(argv, { timeoutMs: LIMIT_MS });
  const failure = failureOf(found, LIMIT_MS);
  if (failure !== undefined) reasons.push(`its brick could not be looked at: ${failure}`);
  else if (found.stdout.trim() !== "") reasons.push(`it holds data: ${found.stdout.trim()}`);
  refuse(
    `volume ${text(step, "volume")}: cannot be taken back`,
    reasons,
    `gluster volume info ${text(step, "volume")}`,
  );
}

/** What is mounted at a place, from the kernel's table: the last one covers the others. */
function mountedAt(host: Host, point: string): { type: string; source: string } | undefined {
  let found: { type: string; source: string } | undefined;
  for (const line of (host.readText("/proc/self/mountinfo") ?? "").split("\n")) {
    const [before = "", after = ""] = line.split(" - ", 2);
    if (decodeOctal(before.split(" ")[4] ?? "") !== point) continue;
    const [type = "", source = ""] = after.split(" ");
    found = { type, source: decodeOctal(source) };
  }
  return found;
}

async function mountStanding(step: Step, host: Host): Promise<Standing> {
  const point = text(step, "mountPoint");
  const mounted = mountedAt(host, point);
  if (!mounted) return { state: "todo", detail: "not mounted" };
  if (mounted.type !== "fuse.glusterfs" || !mounted.source.endsWith(`:/${text(step, "volume")}`)) {
    throw new OpsError("unsafe", `${point}: ${mounted.source} (${mounted.type}) is mounted there`, {
      hint: `findmnt ${point}`,
    });
  }
  const failure = failureOf(await host.run(["stat", "--terse", point], { timeoutMs: LIMIT_MS }), LIMIT_MS);
  if (failure !== undefined) return { state: "unknown", detail: `mounted, but it does not answer: ${failure}` };
  if (step.data.by === "systemd" && !(await holds(host, ["systemctl", "is-enabled", "--quiet", unitName(point)])))
    return { state: "todo", detail: "mounted, but not enabled" };
  return { state: "done", detail: `${deviceOf(text(step, "volume"))} is mounted` };
}

const HERE = {
  "setup-package-source": {
    standing: asked(async (step, host) => {
      const [file = "true", ...words] = list(step, "known");
      return (await holds(host, [file, ...words]))
        ? { state: "done", detail: "known" }
        : { state: "todo", detail: "the package is not known yet" };
    }),
  },
  "setup-install": {
    standing: async (_step, host) => {
      const missing = missingPrograms(host);
      return missing.length === 0
        ? { state: "done", detail: "installed" }
        : { state: "todo", detail: `not installed: ${missing.join(", ")}` };
    },
  },
  "setup-service": {
    standing: asked(async (_step, host) => {
      const enabled = await holds(host, ["systemctl", "is-enabled", "--quiet", "glusterd"]);
      const standing = await glusterAnswers(host);
      return enabled || standing.state !== "done" ? standing : { state: "todo", detail: "glusterd is not enabled" };
    }),
    guardUndo: async (_step, host) => {
      const [peers, volumes] = [await readPeers(host), await readVolumes(host)];
      const reasons = volumes.map(({ name }) => `it serves volume ${name}`);
      if (peers.length > 1) reasons.push(`it is in a pool of ${peers.length}`);
      refuse("glusterd: cannot be stopped", reasons, "gluster pool list");
    },
  },
  "setup-daemon": { standing: (_step, host) => glusterAnswers(host) },
  "setup-directories": { standing: areDirectories },
  "setup-brick-directory": {
    standing: areDirectories,
    guard: async (step, host) => {
      const site = await readSite(host, text(step, "self"), text(step, "path"), { isHere: true });
      refuse(`directory ${site.path}`, reasonsAgainstSite(site), `findmnt --target ${site.path}`);
    },
    guardUndo: async (step, host) => {
      const path = text(step, "path");
      const [peers, volumes] = [await readPeers(host), await readVolumes(host)];
      const own = peers.find(({ isLocal }) => isLocal)?.uuid;
      const using = volumes.filter(({ bricks }) => bricks.some((one) => one.path === path && one.hostUuid === own));
      refuse(
        `directory ${path}: cannot be moved aside`,
        using.map(({ name }) => `it is a brick of volume ${name}`),
        "gluster volume info",
      );
    },
  },
  "setup-volume-create": {
    standing: asked(async (step, host) => {
      const volume = await findVolume(step, host);
      if (!volume) return { state: "todo", detail: "no such volume" };
      if (volume.bricks.some(({ name }) => name === text(step, "brick")))
        return { state: "done", detail: "it has the brick" };
      throw new OpsError("unsafe", `volume ${volume.name}: it is there, without the brick ${text(step, "brick")}`, {
        hint: `gluster volume info ${volume.name}`,
      });
    }),
    guard: async (step, host) => {
      const volume = text(step, "volume");
      const site = await readSite(host, text(step, "self"), text(step, "path"), { isHere: true });
      const reasons = reasonsAgainstSite(site);
      // Two first nodes at once: the second one had to wait for the lock, and this is why it was there.
      const others = list(step, "answered").map((address) => ({ hostname: address, address }));
      for (const { controller, answer } of await discover(host, others)) {
        if (answer.state === "unknown") reasons.push(`${controller.address} no longer answers: ${answer.reason}`);
        else if (answer.state === "active" && answer.volumes.some(({ name }) => name === volume))
          reasons.push(`${controller.address} has a volume of that name by now`);
      }
      refuse(`volume ${volume}: cannot create`, reasons, "fencepost gluster setup --dry-run");
    },
    guardUndo: guardEmptyVolume,
  },
  "setup-volume-start": {
    standing: asked(async (step, host) => {
      const volume = await volumeOf(step, host);
      if (!volume.isStarted) return { state: "todo", detail: "stopped" };
      const status = await readVolumeStatus(host, volume.name);
      return status.bricksOnline.get(text(step, "brick")) === true
        ? { state: "done", detail: "started, the brick is online" }
        : { state: "working", detail: "started; the brick is not online yet" };
    }),
    guardUndo: guardEmptyVolume,
  },
  "setup-option": {
    standing: asked(async (step, host) => {
      const volume = await volumeOf(step, host);
      const value = volume.options.get(text(step, "name"));
      const state = sameValue(value, text(step, "value")) ? "done" : "todo";
      return { state, detail: value === undefined ? "not set" : `it is ${value}` };
    }),
    guard: async (step, host) => guardOption(step, await volumeOf(step, host), "value"),
    guardUndo: async (step, host) => guardOption(step, await volumeOf(step, host), "previous"),
  },
  "setup-mount-entry": {
    standing: async (step, host) => {
      const [volume, point] = [text(step, "volume"), text(step, "mountPoint")];
      const isThere =
        step.data.by === "systemd"
          ? host.readText(`${UNIT_DIRECTORY}/${unitName(point)}`) === unitText(volume, point)
          : findEntry(host.readText(FSTAB) ?? "", volume, point) !== undefined;
      return isThere ? { state: "done", detail: "there" } : { state: "todo", detail: "not there" };
    },
  },
  "setup-mount": {
    standing: asked(mountStanding),
    guard: async (step, host) => {
      const point = text(step, "mountPoint");
      const argv: Argv = ["find", point, "-mindepth", "1", "-maxdepth", "1", "-print", "-quit"];
      const found = await host.run(argv, { timeoutMs: LIMIT_MS });
      const failure = failureOf(found, LIMIT_MS);
      const reasons = failure === undefined ? [] : [failure];
      if (found.stdout.trim() !== "") reasons.push(`${found.stdout.trim()} lies there, and would be hidden`);
      refuse(`${point}: cannot mount`, mountedAt(host, point) ? [] : reasons, `ls -la ${point}`);
    },
  },
  "setup-tree": {
    standing: asked(async (step, host) => {
      const mounted = await mountStanding(step, host);
      return mounted.state === "todo" ? mounted : areDirectories(step, host);
    }),
    guard: async (step, host) => {
      const { state, detail } = await mountStanding(step, host);
      refuse(
        `${text(step, "mountPoint")}: no directories`,
        state === "done" ? [] : [detail],
        "findmnt -t fuse.glusterfs",
      );
    },
  },
} as const satisfies StepKinds;

function onMember(kind: StepKind): StepKind {
  const there = (step: Step, host: Host): Host => hostThrough(host, text(step, "member"));
  const { standing, guard, guardUndo, otherwise } = kind;
  return {
    standing: (step, host) => standing(step, there(step, host)),
    ...(guard ? { guard: (step: Step, host: Host) => guard(step, there(step, host)) } : {}),
    ...(guardUndo ? { guardUndo: (step: Step, host: Host) => guardUndo(step, there(step, host)) } : {}),
    ...(otherwise
      ? { otherwise: (step: Step, host: Host, before: number) => otherwise(step, there(step, host), before) }
      : {}),
  };
}

export const SETUP_KINDS: StepKinds = {
  ...HERE,
  ...Object.fromEntries(
    Object.entries({ ...GLUSTER_KINDS, ...HERE }).map(([name, kind]) => [`${ON_MEMBER}${name}`, onMember(kind)]),
  ),
};

/**
 * Every node that could change the same pool: its peers, in the order that `node add` locks them, and this one; before
 * there is a pool, the controllers that could make one.
 */
export async function setupPlaces(plan: Plan, host: Host): Promise<Place[]> {
  const here = plan.steps.find(({ id }) => id === SERVICE_STEP);
  if (!here) throw new OpsError("bad-input", "journal: a setup without its node", { hint: "fencepost journal list" });
  const [self, member] = [text(here, "self"), text(here, "member")];
  if (member !== "") {
    const own = /^UUID=(\S+)/m.exec(host.readText("/var/lib/glusterd/glusterd.info") ?? "")?.[1];
    const isSelf = ({ uuid, hostnames }: Peer): boolean => uuid === own || hostnames.includes(self);
    const there = hostThrough(host, member, LIMIT_MS);
    const places = byUuid(await readPeers(there)).map((peer) => ({
      name: isSelf(peer) ? self : peer.isLocal ? member : (peer.hostnames[0] ?? ""),
      isLocal: isSelf(peer),
    }));
    return places.some(({ isLocal }) => isLocal) ? places : [...places, { name: self, isLocal: true }];
  }
  const answer = await glusterAnswers(host);
  const peers = answer.state === "todo" ? [] : await readPeers(host);
  if (peers.length > 1) return byUuid(peers).map(({ hostnames: [name = ""], isLocal }) => ({ name, isLocal }));
  return [self, ...list(here, "answered")].sort().map((name) => ({ name, isLocal: name === self }));
}

const byUuid = (peers: readonly Peer[]): Peer[] => [...peers].sort((a, b) => (a.uuid < b.uuid ? -1 : 1));
