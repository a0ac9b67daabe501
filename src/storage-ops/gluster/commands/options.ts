/**
 * `fencepost gluster options VOLUME`: what is set, against defaults and recommendations; sets, resets, re-applies.
 * Errors: OpsError usage for what gluster does not know, unsafe for what would put data at risk, those of asking gluster.
 */
import { OpsError } from "../../../core/errors.ts";
import { escapeControl } from "../../../core/text.ts";
import {
  type Change,
  isSame,
  type Option,
  parseChange,
  parseGroup,
  planOptions,
  readOptions,
  recommendedFor,
} from "../options-plan.ts";
import type { Volume } from "../state.ts";
import {
  answer,
  backupFileOf,
  type Call,
  type Command,
  carryOut,
  columns,
  journalId,
  PLAN_EXITS,
  readNamed,
} from "./command.ts";

const GROUPS = "/var/lib/glusterd/groups";

export const OPTIONS: Command = {
  describe:
    "shows the options that are set on a volume, or are not as recommended; sets them, each with a way back (fencepost journal " +
    "undo). The self-heal daemon of a volume with copies, its quorum and its shards are not switched off",
  usage: "VOLUME",
  takes: [1, 1],
  options: {
    set: {
      describe: "KEY=VALUE; several times for several",
      type: "string",
      array: true,
      requiresArg: true,
      default: [],
    },
    reset: { describe: "an option back to its default", type: "string", array: true, requiresArg: true, default: [] },
    recommended: { describe: "set all recommended options that are not so", type: "boolean" },
    group: { describe: `the options of a file in ${GROUPS}: virt, db-workload, …`, type: "string", requiresArg: true },
    all: { describe: "show every option that gluster knows", type: "boolean" },
  },
  changes: true,
  examples: [
    ["shared_data", "what is set, and what is not as recommended"],
    ["shared_data --recommended --dry-run", "what would be set"],
    ["shared_data --set network.ping-timeout=20", "one option"],
  ],
  exits: `${PLAN_EXITS}. Showing: 0 all as recommended · 1 not`,
  run: async (call) => {
    const { pool, volume } = await readNamed(call, call.words[0]);
    const known = await readOptions(call.host, volume.name);
    const changes = changesIn(call, volume, known);
    if (changes === undefined) return show(call, volume, known);
    const id = journalId(call.host, "options");
    const plan = planOptions(pool, volume, { changes, known, backupFile: backupFileOf(id) });
    if (changes.length > 0) return carryOut(call, plan, id);
    await answer(call, { volume: volume.name, changes: [] }, ["all as recommended: nothing to set"]);
    return 0;
  },
};

/** Undefined when nothing is to be changed. */
function changesIn({ host, args, called }: Call, volume: Volume, known: readonly Option[]): Change[] | undefined {
  const words = (key: string): string[] => [args[key] ?? []].flat().map(String);
  const changes = words("set").map(parseChange);
  for (const name of words("reset")) {
    parseChange(`${name}=x`);
    changes.push({ name, reset: true });
  }
  if (args.group !== undefined) {
    const group = String(args.group);
    const text = /^[a-z0-9][a-z0-9_-]{0,60}$/.test(group) ? host.readText(`${GROUPS}/${group}`) : undefined;
    if (text === undefined) {
      const groups = host.listDirectory(GROUPS).join(", ") || "none";
      throw new OpsError(
        "usage",
        `${called}: no group ${escapeControl(group.slice(0, 60))} in ${GROUPS}; there are: ${groups}`,
        {
          hint: `ls ${GROUPS}`,
        },
      );
    }
    changes.push(...parseGroup(text));
  }
  if (args.recommended)
    changes.push(...driftOf(volume, known).filter(({ name }) => !changes.some((one) => one.name === name)));
  return changes.length > 0 || args.recommended ? changes : undefined;
}

const driftOf = (volume: Volume, known: readonly Option[]) =>
  recommendedFor(volume)
    .filter(({ name, value }) => !known.some((option) => option.name === name && isSame(option.value, value)))
    .map(({ name, value }) => ({ name, value }));

async function show(call: Call, volume: Volume, known: readonly Option[]): Promise<number> {
  const recommended = recommendedFor(volume);
  const drift = driftOf(volume, known);
  const names = new Set(known.map(({ name }) => name));
  const wanted = [
    ...known.filter(
      ({ name }) => call.args.all || volume.options.has(name) || recommended.some((one) => one.name === name),
    ),
    ...[...volume.options].filter(([name]) => !names.has(name)).map(([name, value]) => ({ name, value })),
  ];
  const rows = wanted.map(({ name, value }) => {
    const advice = recommended.find((one) => one.name === name);
    const differs = drift.some((one) => one.name === name);
    return {
      name,
      value: volume.options.get(name) ?? value,
      set: volume.options.has(name),
      recommended: advice?.value ?? null,
      as_recommended: advice ? !differs : null,
      why: advice?.why ?? null,
    };
  });
  const lines = columns(
    rows.map((row) => [
      row.name,
      row.value,
      row.set ? "set" : "default",
      row.recommended === null
        ? ""
        : row.as_recommended
          ? "as recommended"
          : `recommended: ${row.recommended}: ${row.why}`,
    ]),
  );
  await answer(call, { volume: volume.name, options: rows }, [`volume ${volume.name}`, ...lines]);
  return drift.length === 0 ? 0 : 1;
}
