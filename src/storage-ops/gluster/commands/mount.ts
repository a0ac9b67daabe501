/**
 * `fencepost gluster mount VOLUME DIRECTORY`: mounts a volume now and at boot, from whichever of its servers is up.
 * The texts and the plan are pure, in mount-plan.ts; this module reads the words and writes the one file.
 * Errors: OpsError usage, unsafe (the mount point stands there for something else), those of the steps.
 */
import { OpsError } from "../../../core/errors.ts";
import { failureOf } from "../../../core/exec.ts";
import { modeOf, remove, statOf, writeWhole } from "../../../core/files.ts";
import { escapeControl } from "../../../core/text.ts";
import { requireRoot } from "../../run-plan.ts";
import {
  checkServers,
  entryLine,
  entryUnit,
  fstabWith,
  fstabWithout,
  type MountEntry,
  planMount,
} from "../mount-plan.ts";
import { hasSystemd } from "../setup/mount-command.ts";
import { FSTAB, MOUNT_WAYS, type MountWay, UNIT_DIRECTORY, unitName } from "../setup/mount-entry.ts";
import { checkBrickPath } from "../site.ts";
import { checkVolumeName } from "../state.ts";
import { answer, type Call, type Command, carryOut, journalId, PLAN_EXITS, readNamed } from "./command.ts";

const LIMIT_MS = 60_000;

export const MOUNT: Command = {
  describe:
    "mounts a volume now and at boot, by a line in /etc/fstab or a systemd mount unit that names every server as a backup. On a " +
    "node of the pool the servers are read from the volume; on a client name them with --server",
  usage: "VOLUME DIRECTORY",
  takes: [2, 2],
  options: {
    server: {
      describe: "a server of the volume; several times, in the order they are asked",
      type: "string",
      array: true,
      requiresArg: true,
    },
    by: { describe: "what mounts it at boot", choices: MOUNT_WAYS, default: "fstab" },
    entry: { describe: "only add or remove the line or the unit, as a plan's step does", choices: ["add", "remove"] },
  },
  changes: true,
  examples: [
    ["shared_data /mnt/gluster --dry-run", "the line, and what would be run"],
    ["shared_data /mnt/gluster --server s1 --server s2", "on a client"],
  ],
  exits: PLAN_EXITS,
  run: async (call) => {
    const { args, context, host, words } = call;
    const volume = checkVolumeName(words[0] ?? "");
    const mountPoint = checkBrickPath(words[1] ?? "");
    const given = args.server === undefined ? undefined : [args.server].flat().map(String);
    const entry = { volume, mountPoint, servers: checkServers(given ?? (await serversOf(call, volume))) };
    const way = args.by as MountWay;
    if (args.entry !== undefined) return editEntry(call, args.entry === "add", way, entry);
    if (way === "systemd" && !call.dryRun && !(await hasSystemd(host)))
      throw new OpsError("usage", `${call.called}: --by systemd: systemd does not run here`, { hint: "--by fstab" });
    return carryOut(call, planMount(entry, { way, program: context.self ?? ["fencepost"] }), journalId(host, "mount"));
  },
};

/** This node first, where it has glusterd; then the nodes that hold the volume's bricks, which are those that are there with it. */
async function serversOf(call: Call, name: string): Promise<string[]> {
  const { pool, volume } = await readNamed(call, name);
  const local = pool.peers.find(({ isLocal }) => isLocal)?.uuid;
  const others = volume.bricks.filter(({ hostUuid, host }) => hostUuid !== local && !host.includes(":"));
  return ["localhost", ...new Set(others.map(({ host }) => host))];
}

async function editEntry(call: Call, add: boolean, way: MountWay, entry: MountEntry): Promise<number> {
  const { host, dryRun, called } = call;
  if (!dryRun) requireRoot(called);
  const changed = dryRun
    ? `would ${add ? "add" : "remove"}: ${way === "fstab" ? entryLine(entry) : unitName(entry.mountPoint)}`
    : await (way === "fstab" ? editFstab : editUnit)(call, add, entry);
  await answer(call, { changed: changed ?? null, dry_run: dryRun }, [changed ?? "as it was"]);
  if (dryRun || changed === undefined || !(await hasSystemd(host))) return 0;
  const failure = failureOf(await host.run(["systemctl", "daemon-reload"], { timeoutMs: LIMIT_MS }), LIMIT_MS);
  if (failure !== undefined) throw new OpsError("failed", `${called}: ${failure}`, { hint: "systemctl daemon-reload" });
  return 0;
}

async function editFstab({ host }: Call, add: boolean, entry: MountEntry): Promise<string | undefined> {
  const there = await statOf(FSTAB);
  // A rename would put a file in the link's place, and leave the other one as it is.
  if (there && !there.isFile)
    throw new OpsError("unsafe", `${FSTAB}: not a regular file`, { hint: `add by hand: ${entryLine(entry)}` });
  const before = host.readText(FSTAB) ?? "";
  const after = add ? fstabWith(before, entry) : fstabWithout(before, entry);
  if (after === before) return undefined;
  const mode = there ? (await modeOf(FSTAB)).mode & 0o777 : 0o644;
  // Everybody reads fstab, whatever the umask of the one who runs this.
  process.umask(0);
  const saved = `fstab.fencepost-${host.now().toISOString().replaceAll(/[-:]/g, "").slice(0, 15)}`;
  if (there) await writeWhole("/etc", saved, before, mode);
  await writeWhole("/etc", "fstab", after, mode);
  return `${FSTAB}: ${add ? "added" : "removed"}: ${entryLine(entry)}${there ? `; before: /etc/${saved}` : ""}`;
}

async function editUnit({ host }: Call, add: boolean, entry: MountEntry): Promise<string | undefined> {
  const name = unitName(entry.mountPoint);
  const path = `${UNIT_DIRECTORY}/${name}`;
  const [before, wanted] = [host.readText(path), entryUnit(entry)];
  if (add ? before === wanted : before === undefined) return undefined;
  if (before !== undefined && before !== wanted)
    throw new OpsError("unsafe", `${escapeControl(path)}: it is there, and not as this program writes it`, {
      hint: `systemctl cat '${name}'`,
    });
  process.umask(0o022);
  if (add) await writeWhole(UNIT_DIRECTORY, name, wanted, 0o644);
  else await remove(path);
  return `${path}: ${add ? "written" : "removed"}`;
}
