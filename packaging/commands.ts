/**
 * The programs as data, read from their own --help: subcommands, options, arguments, examples. Manual pages and completions
 * are made from it, so that they name what the programs really have.
 * Input:  the text that yargs makes of a program's option table, and that of src/cli.ts; the fence agent's own table.
 * Errors: thrown for a help text that has no usage line, or an option that cannot be read.
 */
import { runCli } from "../src/cli.ts";
import type { Host } from "../src/core/host.ts";
import { ACTIONS, OPTIONS, ROLES } from "../src/fence/options.ts";

export type Option = {
  names: readonly string[];
  describe: string;
  takesValue: boolean;
  choices: readonly string[];
  /** Its value is the name of a file or directory. */
  isFile: boolean;
};
export type Command = {
  /** As it is typed: `fencepost analyze why`. */
  name: string;
  /** One line. */
  summary: string;
  usage: string;
  /** Paragraphs. */
  description: readonly string[];
  groups: readonly { title: string; options: readonly Option[] }[];
  positionals: readonly Option[];
  examples: readonly (readonly [command: string, what: string])[];
  /** Tables that are no options: title, rows. */
  tables: readonly { title: string; rows: readonly (readonly [name: string, what: string])[] }[];
  /** What stands below the examples. */
  notes: string;
  takesFiles: boolean;
  commands: readonly Command[];
};

const COLUMNS = 120;
const FILE_WORDS = /\b(files?|director(y|ies)|logs?|conf|dump|path|pipe)\b/i;
const NOT_FILES = /\b(node|events?|lines?|id|time|index)\b/i;
const namesFile = (names: readonly string[], describe: string): boolean =>
  /-(log|file|dir|conf|config)$|^--(config|kubeconfig|cib|dmesg|history|output|html)$/.test(names.at(-1) ?? "") ||
  (FILE_WORDS.test(describe) && !NOT_FILES.test(describe));

/** The text of `fencepost WORDS… --help`, from the program itself. */
async function readHelp(words: readonly string[]): Promise<string> {
  const text: string[] = [];
  const never = (): never => {
    throw new Error(`fencepost ${words.join(" ")} --help: asked for more than its words`);
  };
  // Help reads nothing: a host that is asked for anything is a bug.
  const host = new Proxy({} as Host, { get: never });
  await runCli(
    [...words, "--help"],
    (out) => text.push(out),
    async () => ({
      host,
      env: {},
      out: async (out) => void text.push(String(out)),
      err: never,
      stdin: never,
      terminal: { columns: COLUMNS, colour: false, isTerminal: false },
    }),
  );
  return text.join("");
}

/** `fencepost` and all its subcommands. */
export async function readCommands(
  words: readonly string[] = [],
  summary = "tools for high-availability storage",
): Promise<Command> {
  const name = ["fencepost", ...words].join(" ");
  const { listed, ...parsed } = parseHelp(name, summary, await readHelp(words));
  const commands: Command[] = [];
  for (const { word, describe } of listed) commands.push(await readCommands([...words, word], describe));
  return { ...parsed, commands };
}

/** A line of a two-column table and what it is continued with. */
function rowsOf(lines: readonly string[]): [left: string, right: string][] {
  const rows: [string, string][] = [];
  for (const line of lines) {
    const row = /^ {2,6}(\S.*?)(?: {2,}(\S.*))?$/.exec(line);
    const last = rows.at(-1);
    const indent = line.length - line.trimStart().length;
    if (indent > 6 && last) last[1] = `${last[1]} ${line.trim()}`.trim();
    else if (row && last && /^ {2}\S/.test(line) && isContinuation(last, row)) {
      last[0] = `${last[0]} ${row[1]}`;
      last[1] = `${last[1]} ${row[2] ?? ""}`.trim();
    } else if (row) rows.push([row[1] ?? "", row[2] ?? ""]);
  }
  return rows;
}
/** yargs breaks a long example in its left column too; each example begins with the program's name. */
const isContinuation = ([first]: readonly string[], row: RegExpExecArray): boolean =>
  first !== undefined && !first.startsWith("-") && /\bfence/.test(first) && !/\bfence/.test(row[1] ?? "");

const KNOWN = ["Commands", "Positionals", "Examples", "notes", "This executable answers to the name it is called by"];
const isOptionLine = (line: string): boolean => /^ +-/.test(line);

export function parseHelp(
  name: string,
  summary: string,
  text: string,
): Command & { listed: { word: string; describe: string }[] } {
  const sections: { title: string; lines: string[] }[] = [{ title: "", lines: [] }];
  for (const line of text.trimEnd().split("\n")) {
    if (/^[A-Z][^:]+:$/.test(line)) sections.push({ title: line.slice(0, -1), lines: [] });
    else if (/^\S/.test(line) && sections.length > 1) {
      // Below the last table stand the notes.
      const last = sections.at(-1);
      if (last?.title === "notes") last.lines.push(line);
      else sections.push({ title: "notes", lines: [line] });
    } else sections.at(-1)?.lines.push(line);
  }
  const [head, ...rest] = sections;
  const [usage = "", ...description] = (head?.lines ?? [])
    .join("\n")
    .trim()
    .replace(/^Usage: /, "")
    .split(/\n{2,}/);
  if (!usage.startsWith("fencepost")) throw new Error(`${name} --help: no usage line`);
  const tables = new Map(rest.map(({ title, lines }) => [title, lines]));
  const rows = (title: string) => rowsOf(tables.get(title) ?? []);
  const groups = rest
    .filter(({ title, lines }) => !KNOWN.includes(title) && lines.some(isOptionLine))
    .map(({ title, lines }) => ({
      title,
      options: rowsOf(lines).map(([left, right]) => parseOption(name, left, right)),
    }));
  return {
    name,
    summary,
    // The first page begins with name and version where the others have a usage line.
    usage: /^fencepost \d/.test(usage) ? "fencepost COMMAND [ARGUMENT...]" : (usage.split("\n")[0] ?? ""),
    description: [...usage.split("\n").slice(1), ...description].filter((one) => one.trim() !== ""),
    groups,
    positionals: rows("Positionals").map(([left, right]) => ({
      ...parseOption(name, `--${left}`, right),
      names: [left],
    })),
    examples: rows("Examples"),
    tables: rest
      .filter(({ title, lines }) => !KNOWN.includes(title) && !lines.some(isOptionLine))
      .map(({ title, lines }) => ({ title, rows: rowsOf(lines) })),
    notes: (tables.get("notes") ?? []).join("\n"),
    takesFiles: /FILE/.test(usage),
    commands: [],
    listed: rows("Commands")
      .filter(([left]) => left.startsWith(`${name} `))
      .map(([left, describe]) => ({ word: left.slice(name.length + 1).split(" ")[0] ?? "", describe })),
  };
}

function parseOption(name: string, left: string, right: string): Option {
  const names = left.split(/,\s*/).map((one) => one.trim().split(/[ =]/)[0] ?? "");
  if (!names.every((one) => /^--?[\w][\w-]*$/.test(one))) throw new Error(`${name} --help: not an option: ${left}`);
  const marks = [...right.matchAll(/\[([^\]]*)\]/g)].map(([, mark = ""]) => mark);
  const choices = marks
    .find((mark) => mark.startsWith("choices:"))
    ?.match(/"([^"]*)"/g)
    ?.map((one) => one.slice(1, -1));
  const describe = right
    .replace(/\s*\[(boolean|string|number|array|count|required|default:[^\]]*|choices:[^\]]*)\]/g, "")
    .trim();
  const standard = marks.find((mark) => mark.startsWith("default:"))?.slice(9);
  const takesValue =
    !marks.includes("boolean") && !marks.includes("count") && !names.includes("--help") && !names.includes("--version");
  return {
    names,
    describe:
      standard === undefined || standard === "false"
        ? describe
        : `${describe} (default: ${standard.replaceAll('"', "")})`,
    takesValue,
    choices: choices ?? [],
    isFile: takesValue && choices === undefined && namesFile(names, describe),
  };
}

/** The fence agent, from its option table. */
export function fenceAgent(): Command {
  const options = OPTIONS.map((option): Option => {
    const row: { name: string; short?: string; type: string; help: string; value?: string } = option;
    return {
      names: [...(row.short ? [`-${row.short}`] : []), `--${row.name.replaceAll("_", "-")}`],
      describe: row.help,
      takesValue: row.type !== "boolean",
      choices: row.name === "action" ? ACTIONS : row.name === "role" ? ROLES : [],
      isFile: /^(file|directory|program)$/.test(row.value ?? ""),
    };
  });
  return {
    name: "fence_gfs2_recorder",
    summary: "records fence events with their GFS2 context",
    usage: "fence_gfs2_recorder [options]",
    description: [],
    groups: [{ title: "Options", options }],
    positionals: [],
    examples: [],
    tables: [],
    notes: "",
    takesFiles: false,
    commands: [],
  };
}
