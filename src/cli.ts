/**
 * `fencepost`, the admin's command: its first word is a subcommand, loaded when it is called.
 * Errors: OpsError usage for a word that is none.
 */
import { OpsError } from "./core/errors.ts";
import type { ProgramContext } from "./core/program.ts";
import { VERSION } from "./core/version.ts";
import { SIBLINGS } from "./programs.ts";

type Subcommand = {
  name: string;
  describe: string;
  /** `called` is how the user wrote our name. */
  run: (context: ProgramContext, words: readonly string[], called: string) => Promise<number>;
};

const SUBCOMMANDS: readonly Subcommand[] = [
  {
    name: "analyze",
    describe: "answers questions about recorded fence events",
    run: async (...call) => (await import("./analyze/cli.ts")).runAnalyze(...call),
  },
  {
    name: "doctor",
    describe: "finds deployments that could corrupt data, and says what mends them",
    run: async (...call) => (await import("./doctor/cli.ts")).runDoctor(...call),
  },
  {
    name: "gate-responder",
    describe: "answers the fence requests of role=gate by running a command",
    run: async (...call) => (await import("./fence/gate-responder.ts")).runGateResponder(...call),
  },
  {
    name: "gluster",
    describe: "GlusterFS: status and health of volumes, and whether a node may go",
    run: async (...call) => (await import("./storage-ops/gluster/cli.ts")).runGluster(...call),
  },
  {
    name: "journal",
    describe: "shows storage operations, goes on with those that did not end, or takes them back",
    run: async (...call) => (await import("./storage-ops/journal-cli.ts")).runJournal(...call),
  },
  {
    name: "node",
    describe: "adds a node to a storage service, or removes one, without losing data",
    run: async (...call) => (await import("./storage-ops/node/cli.ts")).runNode(...call),
  },
  {
    name: "recover",
    describe: "brings into the log what waits in the spool, the inbox and Pacemaker's history",
    run: async (...call) => (await import("./fence/recover.ts")).runRecover(...call),
  },
];

const help = (): string => `fencepost ${VERSION}: tools for people who run high-availability storage clusters

This executable answers to the name it is called by:
  fence_gfs2_recorder   fence agent that records fence events with their GFS2 context
  alert_gfs2_recorder   Pacemaker alert agent that records how fences ended
${SIBLINGS.map((word) => `  ${`fencepost-${word}`.padEnd(20)}  the same as fencepost ${word}`).join("\n")}

Commands:
${SUBCOMMANDS.map(({ name, describe }) => `  fencepost ${name.padEnd(16)} ${describe}`).join("\n")}

Examples:
  fencepost analyze events --node compute-node-3 --since 2h
  fence_gfs2_recorder --help
  fence_gfs2_recorder -o off -n compute-node-3 --log-dir /tmp/fencing
`;

/** A subcommand by its name as a program of its own. */
export async function runSibling(
  word: string,
  words: readonly string[],
  programContext: () => Promise<ProgramContext>,
): Promise<number> {
  const subcommand = SUBCOMMANDS.find(({ name }) => name === word);
  if (!subcommand) throw new OpsError("bug", `fencepost-${word}: no such subcommand`);
  const context = await programContext();
  if (words[0] === "--version" || words[0] === "-V") {
    await context.out(`${VERSION}\n`);
    return 0;
  }
  return subcommand.run(context, words, `fencepost-${word}`);
}

export async function runCli(
  words: readonly string[],
  out: (text: string) => void,
  programContext: () => Promise<ProgramContext>,
): Promise<number> {
  const [word, ...rest] = words;
  if (word === "analyze") {
    // Started by ourselves: without yargs, 4 ms sooner.
    if (rest[0] === "--part-of-a-search") {
      return (await import("./analyze/parts.ts")).runPart(await programContext(), rest[1] ?? "");
    }
    if (rest[0] === "--draw-charts") return (await import("./analyze/report/draw.ts")).runDraw(await programContext());
  }
  if (word === "gate-responder" && rest[0] === "--for-the-gate") {
    // The other side: the fence agent's own child, which touches the directories in its place.
    const { runMailbox } = await import("./fence/gate-mailbox.ts");
    const { host, stdin, out: reply } = await programContext();
    await runMailbox(host, stdin(), (message) => reply(`${JSON.stringify(message)}\n`));
    return 0;
  }
  const subcommand = SUBCOMMANDS.find(({ name }) => name === word);
  if (subcommand) return subcommand.run(await programContext(), rest, `fencepost ${subcommand.name}`);
  if (word === "--version" || word === "-V") out(`${VERSION}\n`);
  else if (word === undefined || word === "--help" || word === "-h") out(help());
  else throw new OpsError("usage", `fencepost: unknown command '${word.slice(0, 100)}'`, { hint: "fencepost --help" });
  return 0;
}
