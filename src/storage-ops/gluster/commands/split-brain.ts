/**
 * `fencepost gluster split-brain VOLUME`: files whose copies disagree, each copy shown; and ending that by policy.
 * Errors: OpsError usage where a policy cannot choose, unsafe where a copy could not be read or has changed meanwhile.
 */
import { posix } from "node:path";
import { OpsError } from "../../../core/errors.ts";
import { STATE_DIRECTORY } from "../../../core/journal.ts";
import { escapeControl } from "../../../core/text.ts";
import { showBytes } from "../capacity.ts";
import { type Copy, readSkewSeconds } from "../copies.ts";
import {
  type Conflict,
  chooseWinner,
  NAMES_UNREAD,
  POLICIES,
  type Policy,
  readConflicts,
  type Where,
} from "../split-brain.ts";
import { planResolve } from "../split-brain-plan.ts";
import { heals } from "../state.ts";
import { answer, type Call, type Command, carryOut, columns, journalId, PLAN_EXITS, readNamed } from "./command.ts";

const KEEP = `${STATE_DIRECTORY}/split-brain`;
/** Closer clocks than this choose nothing wrong that an operator could see. */
const MAX_SKEW_SECONDS = 1;

export const SPLIT_BRAIN: Command = {
  describe:
    "lists the files of which gluster cannot tell which copy is right, with every copy's size, time and checksum; with --policy " +
    "it ends the split-brain: the losing copy is first kept aside on its own node. `gluster volume heal` does not resolve it",
  usage: "VOLUME [FILE…]",
  takes: [1, 10_000],
  options: {
    policy: { describe: "which copy wins", choices: POLICIES },
    source: { describe: "the winning brick, HOST:/PATH, for source-brick", type: "string", requiresArg: true },
    all: { describe: "every file that is listed, not named ones", type: "boolean" },
    "keep-in": {
      describe: "where the losing copies go, on their nodes",
      type: "string",
      requiresArg: true,
      default: KEEP,
    },
    checksum: {
      describe: "read the copies' checksums; --no-checksum for a quick list",
      type: "boolean",
      default: true,
    },
  },
  changes: true,
  examples: [
    ["shared_data", "which files, why, and how their copies differ"],
    ["shared_data /a/b --policy latest-mtime --dry-run", "what would be done with one of them"],
    ["shared_data --all --policy source-brick --source s1:/data/glusterfs/shared", "one brick is right"],
  ],
  exits: `${PLAN_EXITS}. Listing: 0 none · 107 there are some · 76 a brick or a copy could not be read`,
  run: async (call) => {
    const { pool, volume } = await readNamed(call, call.words[0]);
    const { args, called, words, host } = call;
    if (!heals(volume))
      throw new OpsError("usage", `volume ${volume.name}: one copy of each file: no split-brain`, {
        hint: "fencepost gluster health",
      });
    const where = { host, pool, volume };
    const files = words.slice(1);
    const unclear = files.find((file) => posix.resolve("/", file) !== file);
    if (unclear !== undefined)
      throw new OpsError("usage", `${called}: not a path from the volume's root: ${escapeControl(unclear)}`, {
        hint: `${called} ${volume.name}`,
      });
    const policy = args.policy as Policy | undefined;
    if (policy === undefined) return list(call, where, files);
    if (files.length === 0 && !args.all)
      throw new OpsError("usage", `${called}: which files? name them, or --all`, { hint: `${called} ${volume.name}` });
    const { conflicts, silent, lost } = await readConflicts(where, true);
    const problems = [
      ...silent.map((name) => `brick ${name} does not answer`),
      ...lost.map((name) => `${name}: nobody knows its path`),
    ];
    const chosen = conflicts.filter(({ path, reason }) =>
      args.all ? reason !== "none" && reason !== "entry" : files.includes(path),
    );
    const unread = unreadAmong(conflicts, args.all ? [] : files);
    problems.push(...unread.map(({ path }) => `${path}: ${NAMES_UNREAD}`));
    const strangers = files.filter(
      (file) => !chosen.some(({ path }) => path === file) && !unread.some(({ path }) => isIn(file, path)),
    );
    if (strangers.length > 0)
      throw new OpsError("usage", `${escapeControl(strangers.join(", "))}: not in split-brain`, {
        hint: `${called} ${volume.name}`,
      });
    for (const { path, copies } of chosen)
      problems.push(
        ...copies
          .filter((copy) => copy.problem !== undefined)
          .map(({ brick, problem }) => `${path}: ${brick.name}: ${problem}`),
      );
    if (problems.length > 0)
      throw new OpsError("unsafe", `volume ${volume.name}: cannot decide: ${problems.join("; ")}`, {
        hint: "fencepost gluster health",
      });
    if (chosen.length === 0) {
      await answer(call, { volume: volume.name, files: [] }, ["no split-brain: nothing to do"]);
      return 0;
    }
    const source = args.source === undefined ? undefined : String(args.source);
    const keepIn = String(args["keep-in"]);
    if (!/^(?:\/[A-Za-z0-9_+=@%.-]+)+$/.test(keepIn))
      throw new OpsError("usage", `${called}: --keep-in: not an absolute path: ${escapeControl(keepIn)}`, {
        hint: `${called} --help`,
      });
    const decisions = chosen.map((conflict) => ({ conflict, winner: chooseWinner(conflict, policy, source) }));
    const id = journalId(host, "split-brain");
    const warnings = policy === "latest-mtime" ? await clockWarnings(where, chosen) : [];
    return carryOut(call, planResolve(pool, volume, { decisions, id, keepIn, warnings }), id);
  },
};

const isIn = (file: string, directory: string): boolean =>
  file === directory || file.startsWith(directory === "/" ? "/" : `${directory}/`);

/** Directories with names of which nobody could say whether they are meant, where that may be one of `files`; all without. */
function unreadAmong(conflicts: readonly Conflict[], files: readonly string[]): Conflict[] {
  const unread = conflicts.filter(({ namesUnread }) => namesUnread);
  if (files.length === 0) return unread;
  const unclear = files.filter((file) => !conflicts.some((one) => one.path === file && !one.namesUnread));
  return unread.filter(({ path }) => unclear.some((file) => isIn(file, path)));
}

/** A copy's time is as good as the clock it was taken from. */
async function clockWarnings({ host, pool }: Where, conflicts: readonly Conflict[]): Promise<string[]> {
  const bricks = new Map(conflicts.flatMap(({ copies }) => copies.map(({ brick }) => [brick.host, brick] as const)));
  const warnings: string[] = [];
  for (const [name, brick] of bricks) {
    const skew = await readSkewSeconds({ host, peers: pool.peers }, brick);
    if (skew === undefined)
      warnings.push(`the clock of ${name} could not be read: latest-mtime may choose the older copy`);
    else if (Math.abs(skew) > MAX_SKEW_SECONDS)
      warnings.push(
        `the clock of ${name} is ${Math.abs(skew).toFixed(0)} s ${skew > 0 ? "ahead of" : "behind"} this node's: latest-mtime may choose the older copy`,
      );
  }
  return warnings;
}

const timeOf = ({ modifiedNs }: Copy): string =>
  modifiedNs === undefined ? "" : new Date(Number(modifiedNs / 1_000_000n)).toISOString();

async function list(call: Call, where: Where, files: readonly string[]): Promise<number> {
  const { conflicts: all, silent, lost } = await readConflicts(where, call.args.checksum !== false);
  const unread = unreadAmong(all, files);
  const isMeant = (one: Conflict): boolean =>
    files.includes(one.path) || files.includes(one.listedAs) || unread.includes(one);
  const conflicts = files.length === 0 ? all : all.filter(isMeant);
  const lines = [
    `volume ${where.volume.name}: ${conflicts.length === 0 ? "no split-brain" : `${conflicts.length} in split-brain`}`,
  ];
  for (const { path, reason, listedAs, note, copies } of conflicts) {
    lines.push(
      `${path}: ${reason}${listedAs === path ? "" : ` (gluster lists ${listedAs})`}${note === undefined ? "" : `: ${note}`}`,
    );
    const rows = copies.map((copy) => [
      copy.brick.name,
      copy.problem ?? (copy.state === "there" ? `${copy.type}` : copy.state),
      copy.sizeBytes === undefined ? "" : `${showBytes(copy.sizeBytes)} (${copy.sizeBytes})`,
      timeOf(copy),
      `${copy.mode ?? ""} ${copy.owner ?? ""}`.trim(),
      copy.sha256?.slice(0, 16) ?? (copy.brick.isArbiter ? "arbiter" : ""),
    ]);
    lines.push(...columns(rows));
  }
  lines.push(...silent.map((name) => `brick ${name} does not answer: what it knows is unknown`));
  lines.push(...lost.map((name) => `${name}: in split-brain, but no brick tells its path`));
  if (conflicts.length > 0)
    lines.push(`to end it: ${call.called} ${where.volume.name} FILE --policy ${POLICIES.join("|")} --dry-run`);
  await answer(call, record(where, conflicts, silent, lost), lines);
  if (conflicts.length > 0 || lost.length > 0) return 107;
  return silent.length > 0 ? 76 : 0;
}

const record = (
  { volume }: Where,
  conflicts: readonly Conflict[],
  silent: readonly string[],
  lost: readonly string[],
) => ({
  volume: volume.name,
  files: conflicts.map(({ path, listedAs, reason, note, copies }) => ({
    path,
    listed_as: listedAs,
    reason,
    note: note ?? null,
    copies: copies.map((copy) => ({
      brick: copy.brick.name,
      arbiter: copy.brick.isArbiter,
      state: copy.state,
      problem: copy.problem ?? null,
      type: copy.type ?? null,
      size_bytes: copy.sizeBytes ?? null,
      modified: copy.modifiedNs === undefined ? null : timeOf(copy),
      mode: copy.mode ?? null,
      owner: copy.owner ?? null,
      gfid: copy.gfid ?? null,
      sha256: copy.sha256 ?? null,
      blames: Object.fromEntries(copy.blames),
    })),
  })),
  bricks_without_answer: silent,
  paths_unknown: lost,
});
