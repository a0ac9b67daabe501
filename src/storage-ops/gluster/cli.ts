/**
 * `fencepost gluster COMMAND`: finds the command's module, which is loaded only when it is used.
 * Errors: OpsError usage; those of the commands.
 */
import { OpsError } from "../../core/errors.ts";
import type { ProgramContext } from "../../core/program.ts";
import { createParser } from "../../core/words.ts";
import { type Command, runCommand } from "./commands/command.ts";

type Run = (context: ProgramContext, words: readonly string[], called: string) => Promise<number>;
type Entry = { describe: string; run: Run };

const entry = (describe: string, load: () => Promise<Command>): Entry => ({
  describe,
  run: async (context, words, called) => runCommand(await load(), context, words, called),
});

const COMMANDS: Readonly<Record<string, Entry>> = {
  setup: {
    describe: "brings GlusterFS up on this node: first of a new cluster, or one more of one that is there",
    run: async (...call) => (await import("./setup/cli.ts")).runSetup(...call),
  },
  status: entry(
    "peers, volumes and bricks, as gluster has them",
    async () => (await import("./commands/health.ts")).STATUS,
  ),
  health: entry(
    "is every volume whole? a verdict for each, with what is wrong",
    async () => (await import("./commands/health.ts")).HEALTH,
  ),
  "can-remove": entry(
    "may this node go down now, for a reboot or for good?",
    async () => (await import("./commands/guards.ts")).CAN_REMOVE,
  ),
  "volume-complete": entry(
    "does this volume serve all of its files?",
    async () => (await import("./commands/guards.ts")).VOLUME_COMPLETE,
  ),
  heal: entry("heals a volume, and tells by brick what is left", async () => (await import("./commands/heal.ts")).HEAL),
  "split-brain": entry(
    "files whose copies disagree: which, why, and which copy is to win",
    async () => (await import("./commands/split-brain.ts")).SPLIT_BRAIN,
  ),
  rebalance: entry(
    "spreads a distributed volume over its bricks",
    async () => (await import("./commands/rebalance.ts")).REBALANCE,
  ),
  "replace-brick": entry(
    "puts another brick in a brick's place, and heals it",
    async () => (await import("./commands/replace.ts")).REPLACE_BRICK,
  ),
  "reset-brick": entry(
    "takes a brick off for a new disk, and back on the same path",
    async () => (await import("./commands/replace.ts")).RESET_BRICK,
  ),
  options: entry(
    "a volume's options against defaults and recommendations; sets them",
    async () => (await import("./commands/options.ts")).OPTIONS,
  ),
  diff: entry(
    "is the cluster as the configuration, or a backup, says?",
    async () => (await import("./commands/diff.ts")).DIFF,
  ),
  backup: entry(
    "glusterd's configuration in an archive, checked",
    async () => (await import("./commands/backup.ts")).BACKUP,
  ),
  mount: entry(
    "mounts a volume at boot, whichever server is up",
    async () => (await import("./commands/mount.ts")).MOUNT,
  ),
  troubleshoot: entry(
    "what is wrong here, and the next thing to do",
    async () => (await import("./commands/troubleshoot.ts")).TROUBLESHOOT,
  ),
};

export async function runGluster(context: ProgramContext, words: readonly string[], called: string): Promise<number> {
  const [first = "", ...rest] = words;
  if (Object.hasOwn(COMMANDS, first)) return (COMMANDS[first] as Entry).run(context, rest, `${called} ${first}`);
  const parser = createParser(context, called).usage(
    "Usage: $0 <command> [options]\n\nGlusterFS: what it says of itself, judged; and what changes it, planned.",
  );
  for (const [command, { describe }] of Object.entries(COMMANDS)) parser.command(command, describe);
  parser.example("$0 health", "is every volume whole?").strict();
  const args = await parser.parse([...words]);
  if (!args.help) throw new OpsError("usage", `${called}: which command?`, { hint: `${called} --help` });
  await context.out(`${await parser.getHelp()}\n`);
  return 0;
}
