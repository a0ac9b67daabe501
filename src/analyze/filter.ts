/**
 * Which events are asked for.
 * Input:  the words of --node, --action, --status, --fs, --recorder, --source, --since, --until, --grep.
 * Output: a test of one event, and what every line of such an event must look like in bytes, so that most lines need
 *         not be parsed. Several values of one option are alternatives, several options must all hold.
 * `--fs none`, `unknown` and `disabled` ask for events without names, by why they have none; `none-detected` and
 * `discovery-disabled` for those in which these words are written.
 * Names match exactly or as a glob (`compute-*`, `{a,b}`, `[1-3]`), without regard to case, as Pacemaker compares them.
 * Errors: OpsError usage.
 */
import { matchesGlob } from "node:path";
import { OpsError, reasonOf } from "../core/errors.ts";
import { PLACEHOLDERS } from "./decode.ts";
import type { AnalyzedEvent } from "./event.ts";
import { parseTime } from "./time.ts";

/** The options as they were written. */
export type FilterWords = {
  node?: readonly string[];
  action?: readonly string[];
  status?: readonly string[];
  fs?: readonly string[];
  recorder?: readonly string[];
  source?: readonly string[];
  since?: string | undefined;
  until?: string | undefined;
  grep?: string | undefined;
  limit?: number | undefined;
  reverse?: boolean | undefined;
};

export type FilterName = keyof FilterWords;

export type Filters = {
  /** Lower case. */
  nodes: readonly string[];
  actions: readonly string[];
  statuses: readonly string[];
  filesystems: readonly string[];
  recorders: readonly string[];
  sources: readonly string[];
  sinceMs: number | undefined;
  untilMs: number | undefined;
  grep: RegExp | undefined;
  limit: number | undefined;
  reverse: boolean;
};

export const NO_FILTERS: Filters = {
  nodes: [],
  actions: [],
  statuses: [],
  filesystems: [],
  recorders: [],
  sources: [],
  sinceMs: undefined,
  untilMs: undefined,
  grep: undefined,
  limit: undefined,
  reverse: false,
};

const GLOB = /[*?[{]/;
export const isGlob = (word: string): boolean => GLOB.test(word);

const lower = (words: readonly string[] | undefined): string[] => (words ?? []).map((word) => word.toLowerCase());

/** What lines can hold. An original recorder's line has no source, and one of the readable log neither. */
const MEMBERS = {
  action: ["on", "off", "reboot"],
  status: ["initiated", "refused", "requested", "completed", "failed", "succeeded", "unknown"],
  source: ["stonith", "alert", "reconcile", "manual", "original", "readable"],
} as const;

/** A word that nothing can be called would find nothing, and that would be taken for an answer. */
function assertWords(words: FilterWords, statuses: readonly string[]): void {
  for (const name of ["node", "fs", "recorder", "action", "status", "source"] as const) {
    const broken = words[name]?.find((word) => /\[[^\]]*$|\{[^}]*$/.test(word));
    if (broken === undefined) continue;
    throw new OpsError("usage", `--${name}: a glob that does not end: ${broken.slice(0, 100)}`, {
      hint: `--${name} 'a[12]', --${name} 'a{1,2}'`,
    });
  }
  for (const name of ["action", "status", "source"] as const) {
    const members: readonly string[] = name === "status" ? statuses : MEMBERS[name];
    const wrong = words[name]?.find((word) => !members.some((member) => matchesName([word.toLowerCase()], member)));
    if (wrong === undefined) continue;
    throw new OpsError("usage", `--${name}: no event can have it: ${wrong.slice(0, 100)}`, {
      hint: `one of ${members.join(", ")}`,
    });
  }
}

/** `statuses`: what --status can name, where that is not what lines hold. */
export async function parseFilters(
  words: FilterWords,
  now: Date,
  statuses: readonly string[] = MEMBERS.status,
): Promise<Filters> {
  const { since, until, grep, limit } = words;
  assertWords(words, statuses);
  const sinceMs = since === undefined ? undefined : await parseTime(since, "since", now);
  const untilMs = until === undefined ? undefined : await parseTime(until, "until", now);
  if (sinceMs !== undefined && untilMs !== undefined && sinceMs > untilMs) {
    throw new OpsError("usage", `--since ${since} is after --until ${until}`, {
      hint: `--since '${until}' --until '${since}'`,
    });
  }
  if (limit !== undefined && (!Number.isSafeInteger(limit) || limit < 0)) {
    throw new OpsError("usage", "--limit: not a number of events", { hint: "--limit 20" });
  }
  return {
    nodes: lower(words.node),
    actions: lower(words.action),
    statuses: lower(words.status),
    filesystems: lower(words.fs),
    recorders: lower(words.recorder),
    sources: lower(words.source),
    sinceMs,
    untilMs,
    grep: grep === undefined ? undefined : parseGrep(grep),
    limit,
    reverse: words.reverse ?? false,
  };
}

function parseGrep(pattern: string): RegExp {
  try {
    return new RegExp(pattern);
  } catch (error) {
    throw new OpsError("usage", `--grep: ${reasonOf(error)}`, { cause: error, hint: "--grep 'compute-node-[12]\"'" });
  }
}

/** Whether a name is one of the words: the same without regard to case, or matched by a glob. */
export function matchesName(words: readonly string[], name: string): boolean {
  if (words.length === 0) return true;
  const small = name.toLowerCase();
  return words.some((word) => word === small || (isGlob(word) && matchesGlob(small, word)));
}

/** What outcomes carry: see records/fence-outcome.ts. A gate's events fail too. */
const OF_OUTCOMES = { statuses: ["succeeded", "failed"], sources: ["alert", "reconcile"] } as const;

/** Whether the words name something that outcomes carry, so that without them the answer would be a wrong "none". */
export const asksForOutcomes = (filters: Pick<Filters, "statuses" | "sources">): boolean =>
  (["statuses", "sources"] as const).some(
    (key) => filters[key].length > 0 && OF_OUTCOMES[key].some((word) => matchesName(filters[key], word)),
  );

/** Whether filesystems are asked for: by their names, by why there are none, or by what a line holds in place of names. */
export const matchesContext = (
  words: readonly string[],
  { known, filesystems }: Pick<AnalyzedEvent, "known" | "filesystems">,
  lines: readonly AnalyzedEvent[],
): boolean =>
  words.length === 0 ||
  (known !== "found" && words.includes(known)) ||
  filesystems.some((name) => matchesName(words, name)) ||
  lines.some((event) => placeholdersOf(event).some((word) => words.includes(word)));

/** What the file holds in place of names. */
function placeholdersOf({ record }: AnalyzedEvent): string[] {
  const names = record.gfs2_filesystems;
  return Array.isArray(names) ? names.filter((name) => PLACEHOLDERS.has(name)) : [];
}

/** Whether an event is asked for; `limit` and `reverse` are not about one event. */
export function matchesEvent(filters: Filters, event: AnalyzedEvent): boolean {
  const { sinceMs, untilMs } = filters;
  if (sinceMs !== undefined && event.timeMs < sinceMs) return false;
  if (untilMs !== undefined && event.timeMs > untilMs) return false;
  return (
    matchesName(filters.nodes, event.target) &&
    matchesName(filters.actions, event.action) &&
    matchesName(filters.statuses, event.status) &&
    matchesName(filters.recorders, event.recorder) &&
    matchesName(filters.sources, event.source) &&
    matchesContext(filters.filesystems, event, [event]) &&
    (filters.grep?.test(event.raw) ?? true)
  );
}

export const hasFilters = (filters: Filters): boolean =>
  [filters.nodes, filters.actions, filters.statuses, filters.filesystems, filters.recorders, filters.sources].some(
    (words) => words.length > 0,
  ) ||
  filters.sinceMs !== undefined ||
  filters.untilMs !== undefined ||
  filters.grep !== undefined;
