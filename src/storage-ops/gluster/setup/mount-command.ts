/**
 * `fencepost gluster setup mount-entry add|remove`: the step of a setup that edits /etc/fstab or writes a mount unit. A
 * command, so that a plan can name it, a dry run show it and an operator type it.
 * Errors: OpsError usage, unsafe (the mount point stands there for something else; a link in the file's place), io.
 */
import { OpsError } from "../../../core/errors.ts";
import { failureOf } from "../../../core/exec.ts";
import { modeOf, remove, statOf, writeWhole } from "../../../core/files.ts";
import type { Host } from "../../../core/host.ts";
import type { ProgramContext } from "../../../core/program.ts";
import { escapeControl } from "../../../core/text.ts";
import { createParser } from "../../../core/words.ts";
import { requireRoot } from "../../run-plan.ts";
import { checkBrickPath } from "../site.ts";
import { checkVolumeName } from "../state.ts";
import {
  FSTAB,
  fstabLine,
  MOUNT_WAYS,
  UNIT_DIRECTORY,
  unitName,
  unitText,
  withEntry,
  withoutEntry,
} from "./mount-entry.ts";

const LIMIT_MS = 60_000;

/** systemd as PID 1, as sd_booted(3) tells it. */
export const hasSystemd = async (host: Host): Promise<boolean> =>
  (await host.run(["test", "-d", "/run/systemd/system"], { timeoutMs: LIMIT_MS })).exitCode === 0;

export async function runMountEntry(
  context: ProgramContext,
  words: readonly string[],
  called: string,
): Promise<number> {
  const parser = createParser(context, called)
    .usage("Usage: $0 add|remove --volume NAME --at PATH [options]\n\nWhat mounts a GlusterFS volume at boot.")
    .option("volume", { describe: "the volume", type: "string", demandOption: true, requiresArg: true })
    .option("at", { describe: "the mount point", type: "string", demandOption: true, requiresArg: true })
    .option("mount-by", {
      describe: "a line in /etc/fstab, or a systemd mount unit",
      choices: MOUNT_WAYS,
      default: "fstab",
    })
    .example("$0 add --volume shared_data --at /mnt/gluster", "one line in /etc/fstab, which is saved before")
    .epilog("Only a line or a unit that it wrote itself is removed. Mounts nothing.")
    .strictOptions();
  if (words.some((word) => word === "--help" || word === "-h")) {
    await context.out(`${await parser.getHelp()}\n`);
    return 0;
  }
  const args = await parser.parse([...words]);
  const [verb, ...extra] = args._.map(String);
  if ((verb !== "add" && verb !== "remove") || extra.length > 0)
    throw new OpsError("usage", `${called}: add or remove?`, { hint: `${called} --help` });
  const [volume, point] = [checkVolumeName(String(args.volume)), checkBrickPath(String(args.at))];
  requireRoot(called);
  const changed = await (args["mount-by"] === "systemd" ? editUnit : editFstab)(context, verb, volume, point);
  await context.out(`${changed ?? "as it was"}\n`);
  if (changed === undefined || !(await hasSystemd(context.host))) return 0;
  const failure = failureOf(await context.host.run(["systemctl", "daemon-reload"], { timeoutMs: LIMIT_MS }), LIMIT_MS);
  if (failure !== undefined) throw new OpsError("failed", `${called}: ${failure}`, { hint: "systemctl daemon-reload" });
  return 0;
}

type Verb = "add" | "remove";

async function editFstab(
  { host }: ProgramContext,
  verb: Verb,
  volume: string,
  point: string,
): Promise<string | undefined> {
  const there = await statOf(FSTAB);
  // A rename would put a file in the link's place, and leave the other one as it is.
  if (there && !there.isFile)
    throw new OpsError("unsafe", `${FSTAB}: not a regular file`, { hint: `add by hand: ${fstabLine(volume, point)}` });
  const before = host.readText(FSTAB) ?? "";
  const after = verb === "add" ? withEntry(before, volume, point) : withoutEntry(before, volume, point);
  if (after === before) return undefined;
  const mode = there ? (await modeOf(FSTAB)).mode & 0o777 : 0o644;
  const stamp = host.now().toISOString().replaceAll(/[-:]/g, "").slice(0, 15);
  const saved = `fstab.fencepost-${stamp}`;
  // Everybody reads fstab, whatever the umask of the one who runs this.
  process.umask(0);
  if (there) await writeWhole("/etc", saved, before, mode);
  await writeWhole("/etc", "fstab", after, mode);
  return `${FSTAB}: ${verb === "add" ? "added" : "removed"}: ${fstabLine(volume, point)}${there ? `; before: /etc/${saved}` : ""}`;
}

async function editUnit(
  { host }: ProgramContext,
  verb: Verb,
  volume: string,
  point: string,
): Promise<string | undefined> {
  const name = unitName(point);
  const path = `${UNIT_DIRECTORY}/${name}`;
  const [before, wanted] = [host.readText(path), unitText(volume, point)];
  if (verb === "add" ? before === wanted : before === undefined) return undefined;
  if (before !== undefined && before !== wanted) {
    throw new OpsError("unsafe", `${escapeControl(path)}: it is there, and not as this program writes it`, {
      hint: `systemctl cat '${name}'`,
    });
  }
  process.umask(0o022);
  if (verb === "add") await writeWhole(UNIT_DIRECTORY, name, wanted, 0o644);
  else await remove(path);
  return `${path}: ${verb === "add" ? "written" : "removed"}`;
}
