/**
 * A volume's options: what is set, what it would be by default, what we recommend; and setting them so that it can be undone.
 * Input:  `volume get VOLUME all`, `volume info`. Output: rows to show; a Plan with a step for each option.
 * Errors: OpsError usage for an option that gluster does not know, unsafe for one that would put data at risk.
 * Source: `gluster volume set help`; the recommended three are those of the source's setup.
 */
import { OpsError } from "../../core/errors.ts";
import type { Host } from "../../core/host.ts";
import type { Plan, Step, StepKinds } from "../../core/plan.ts";
import { escapeControl } from "../../core/text.ts";
import { childNamed, childrenNamed, type XmlElement } from "../../core/xml.ts";
import { asked } from "./kinds.ts";
import { backupStep, POOL_OBJECT, refuse } from "./plan.ts";
import {
  ask,
  GLUSTER_TIMEOUT_MS,
  glusterArgv,
  heals,
  need,
  type Pool,
  readVolumes,
  serverQuorum,
  type Volume,
} from "./state.ts";

export type Option = { name: string; value: string; isDefault: boolean };
export type Recommendation = { name: string; value: string; why: string };
/** `reset`: back to the default. */
export type Change = { name: string; value: string } | { name: string; reset: true };

export function parseOptions(root: XmlElement): Option[] {
  const options = childNamed(root, "volGetopts");
  if (!options) throw new OpsError("bad-output", "volume get: no <volGetopts>");
  const found = new Map<string, Option>();
  for (const option of childrenNamed(options, "Opt")) {
    const text = need(option, "Value", "volume get");
    const isDefault = text.endsWith(" (DEFAULT)");
    const value = isDefault ? text.slice(0, -10) : text;
    const name = need(option, "Option", "volume get");
    // performance.cache-size is an option of two translators, with a default in each.
    const before = found.get(name);
    if (before === undefined) found.set(name, { name, value, isDefault });
    else if (before.value !== value) found.set(name, { ...before, value: `${before.value}, ${value}` });
  }
  return [...found.values()];
}

export const readOptions = async (host: Host, volume: string): Promise<Option[]> =>
  parseOptions(await ask(host, ["volume", "get", volume, "all"]));

/** The self-heal daemon only where there are copies: gluster refuses it on a volume of one brick. */
export const recommendedFor = (volume: Pick<Volume, "replica" | "disperse">): Recommendation[] => [
  { name: "performance.cache-size", value: "256MB", why: "reads of small files from memory" },
  { name: "network.ping-timeout", value: "10", why: "clients wait 10 s for a dead server, not 42" },
  ...(volume.replica > 1
    ? [{ name: "cluster.self-heal-daemon", value: "on", why: "nothing else fills a copy that was down" }]
    : []),
];

const TRUE = /^(on|yes|true|enable|1)$/i;
const SHARD = "features.shard";
const FALSE = /^(off|no|false|disable|0)$/i;
const UNITS: Readonly<Record<string, number>> = { "": 1, b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3, tb: 1024 ** 4 };

/** 256MB, 256mb and 268435456 are one value to gluster, and so are on, yes and enable. */
export function isSame(a: string, b: string): boolean {
  const plain = (text: string): string => {
    if (TRUE.test(text) && text !== "1") return "on";
    if (FALSE.test(text) && text !== "0") return "off";
    const [, number, unit = ""] = /^(\d+(?:\.\d+)?)\s*([a-z]{0,2})$/i.exec(text) ?? [];
    const factor = UNITS[unit.toLowerCase()];
    return number === undefined || factor === undefined ? text : String(Number(number) * factor);
  };
  return plain(a) === plain(b) || (TRUE.test(a) && TRUE.test(b)) || (FALSE.test(a) && FALSE.test(b));
}

/** Why an option must not get that value on this volume; and what there is to say about it. Pure. */
export function judgeChange(
  volume: Pick<Volume, "replica" | "disperse" | "options">,
  change: Change,
): { reasons: string[]; warnings: string[] } {
  const reasons: string[] = [];
  const warnings: string[] = [];
  const { name } = change;
  // All but a file's first block lies in /.shard, and nothing but that translator puts them together.
  if (
    name === SHARD &&
    TRUE.test(volume.options.get(SHARD) ?? "off") &&
    !("value" in change && TRUE.test(change.value))
  )
    reasons.push(`${name} is on: without it each file that was written with it ends after its first shard`);
  if ("reset" in change) return { reasons, warnings };
  const { value } = change;
  const daemon = name === "cluster.self-heal-daemon" || name === "cluster.disperse-self-heal-daemon";
  if (daemon && !heals(volume)) reasons.push(`${name}: the volume has one copy of each file, gluster refuses it`);
  else if (daemon && FALSE.test(value))
    reasons.push(`${name} ${value}: a copy that was down would stay stale, and the next failure would lose data`);
  if (name === "cluster.quorum-type" && /^(none|fixed)$/i.test(value) && volume.replica > 2)
    reasons.push(`${name} ${value}: copies that do not see each other could both be written to: split-brain`);
  if (name === "cluster.favorite-child-policy" && !/^none$/i.test(value))
    warnings.push(`${name} ${value}: a split-brain is then decided without you, and no losing copy is kept`);
  if (name === "network.ping-timeout" && Number(value) < 5)
    warnings.push(
      `${name} ${value}: a busy server is then given up for dead; all of its locks and files are opened anew`,
    );
  return { reasons, warnings };
}

/** `KEY=VALUE`, with what gluster could not take refused. */
export function parseChange(word: string): Change {
  const at = word.indexOf("=");
  const name = at < 0 ? word : word.slice(0, at);
  const value = at < 0 ? "" : word.slice(at + 1);
  const bad = (why: string): never => {
    throw new OpsError("usage", `option ${escapeControl(word.slice(0, 100))}: ${why}`, {
      hint: "--set performance.cache-size=256MB",
    });
  };
  if (!/^[a-z][a-z0-9-]*(\.[a-z0-9-]+)+$/.test(name)) bad("not an option's name");
  if (value === "") bad("which value?");
  if (value.startsWith("-") || /[\u0000-\u001f\u007f]/.test(value) || value.length > 1000)
    bad("not a value gluster could take");
  return { name, value };
}

/** A file of /var/lib/glusterd/groups: `option=value` lines. */
export function parseGroup(text: string): Change[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map(parseChange);
}

export function planOptions(
  pool: Pool,
  volume: Volume,
  { changes, known, backupFile }: { changes: readonly Change[]; known: readonly Option[]; backupFile: string },
): Plan {
  const { name: on, options } = volume;
  const warnings: string[] = [];
  const reasons: string[] = [];
  const quorum = serverQuorum(pool.peers);
  if (!quorum.hasQuorum) reasons.push(`no quorum: ${quorum.connected} of ${quorum.of} peers are connected`);
  for (const change of changes) {
    if (
      !known.some(({ name }) => name === change.name) &&
      !change.name.startsWith("user.") &&
      !options.has(change.name)
    ) {
      const [, last = ""] = change.name.split(/\.(?=[^.]*$)/);
      const near = known.filter(({ name }) => last !== "" && name.endsWith(last)).map(({ name }) => name);
      throw new OpsError(
        "usage",
        `volume ${on}: gluster knows no option ${change.name}${near.length > 0 ? `; it knows ${near.slice(0, 5).join(", ")}` : ""}`,
        { hint: `fencepost gluster options ${on} --all` },
      );
    }
    const judged = judgeChange(volume, change);
    reasons.push(...judged.reasons);
    warnings.push(...judged.warnings);
  }
  refuse(`volume ${on}: cannot set its options`, reasons, `fencepost gluster options ${on}`);
  const steps = changes.map((change): Step => stepFor(volume, change));
  const duplicate = steps.find(({ id }, at) => steps.findIndex((one) => one.id === id) !== at);
  if (duplicate)
    throw new OpsError("usage", `volume ${on}: ${duplicate.title}: given twice`, {
      hint: `fencepost gluster options ${on}`,
    });
  return {
    version: 1,
    operation: "gluster.options",
    title: `set ${changes.map(({ name }) => name).join(", ")} of volume ${on}`,
    object: POOL_OBJECT,
    warnings,
    picture: changes.map(
      (change) =>
        `${change.name}: ${options.get(change.name) ?? "default"} → ${"reset" in change ? "default" : change.value}`,
    ),
    steps: [backupStep(backupFile), ...steps],
  };
}

function stepFor({ name: on, options }: Volume, change: Change): Step {
  const { name } = change;
  const previous = options.get(name);
  const set = (value: string) => glusterArgv("volume", "set", on, name, value);
  const reset = glusterArgv("volume", "reset", on, name);
  const wanted = "reset" in change ? undefined : change.value;
  return {
    id: `option-${name}`,
    kind: "option-set",
    title:
      wanted === undefined
        ? `set ${name} of volume ${on} back to its default`
        : `set ${name} of volume ${on} to ${wanted}`,
    argv: wanted === undefined ? reset : set(wanted),
    timeoutMs: GLUSTER_TIMEOUT_MS,
    destructive: false,
    waits: false,
    doneWhen: wanted === undefined ? "volume info lists it no more" : "volume info lists it with that value",
    requires: "it has the value it had when this was planned",
    undo: { argv: previous === undefined ? reset : set(previous), timeoutMs: GLUSTER_TIMEOUT_MS },
    data: {
      volume: on,
      name,
      ...(wanted === undefined ? {} : { value: wanted }),
      ...(previous === undefined ? {} : { previous }),
    },
    after: [`✓ ${name} of volume ${on} is ${wanted ?? "at its default"}`],
  };
}

async function volumeOf(step: Step, host: Host): Promise<Volume> {
  const volume = (await readVolumes(host)).find(({ name }) => name === step.data.volume);
  if (volume) return volume;
  throw new OpsError("failed", `volume ${String(step.data.volume)}: not there any more`, {
    hint: "gluster volume list",
  });
}

/** What a step makes of its option, or made it from. */
const changeTo = ({ data }: Step, key: "value" | "previous"): Change => {
  const name = String(data.name);
  return data[key] === undefined ? { name, reset: true } : { name, value: String(data[key]) };
};

/** Right before an option is set, or set back: days may lie between that and the plan. Errors: OpsError unsafe. */
export function guardOption(step: Step, volume: Volume, key: "value" | "previous"): void {
  const { reasons } = judgeChange(volume, changeTo(step, key));
  const what = key === "value" ? "set" : "set back";
  refuse(
    `volume ${volume.name}: cannot ${what} ${String(step.data.name)}`,
    reasons,
    `fencepost gluster options ${volume.name}`,
  );
}

export const OPTIONS_KINDS = {
  "option-set": {
    standing: asked(async (step, host) => {
      const value = (await volumeOf(step, host)).options.get(String(step.data.name));
      const wanted = step.data.value === undefined ? undefined : String(step.data.value);
      const isSo = wanted === undefined ? value === undefined : value !== undefined && isSame(value, wanted);
      return { state: isSo ? "done" : "todo", detail: value === undefined ? "at its default" : `it is ${value}` };
    }),
    guard: async (step, host) => {
      const volume = await volumeOf(step, host);
      const name = String(step.data.name);
      const value = volume.options.get(name);
      const planned = step.data.previous === undefined ? undefined : String(step.data.previous);
      const { reasons } = judgeChange(volume, changeTo(step, "value"));
      if (value !== planned)
        reasons.push(
          `${name} was ${planned ?? "at its default"} when this was planned and is ${value ?? "at its default"} now`,
        );
      refuse(`volume ${volume.name}: cannot set ${name}`, reasons, `fencepost gluster options ${volume.name}`);
    },
    guardUndo: async (step, host) => guardOption(step, await volumeOf(step, host), "previous"),
  },
} as const satisfies StepKinds;
