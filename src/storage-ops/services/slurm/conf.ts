/**
 * slurm.conf: the lines about nodes, partitions and controllers, and changes of single lines that leave all others as they are.
 * Input:  the file's text; node lists already expanded by `scontrol show hostnames`. Output: data; edits by line number.
 * Errors: OpsError unsupported for what cannot be edited line by line; bad-input.
 * Source: slurm.conf(5): names of keys in any case, `#` begins a comment, `\` at the end continues a line.
 */
import { createHash } from "node:crypto";
import { OpsError } from "../../../core/errors.ts";
import { escapeControl } from "../../../core/text.ts";

export type Line = {
  /** From 1, as sed counts. */
  at: number;
  /** By lower-case key, as written. */
  values: ReadonlyMap<string, string>;
  text: string;
};
export type Conf = { file: string; text: string; hash: string; lines: readonly Line[] };
export type Edit = { at: number; how: "after" | "change" | "delete"; text: string };

/** What a node, partition or host may be called: no list, no range, nothing that sed or a shell would read. */
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;

export function checkName(name: string, what: string): string {
  if (NAME.test(name)) return name;
  throw new OpsError("usage", `${what}: not a name: '${escapeControl(name.slice(0, 100))}'`, {
    hint: "letters, digits, - _ and ., one name, no range",
  });
}

export const hashOf = (text: string): string => createHash("sha256").update(text).digest("hex");

export function parseConf(file: string, text: string): Conf {
  const cannot = (why: string): never => {
    throw new OpsError("unsupported", `${file}: ${why}`, { hint: `edit ${file} by hand` });
  };
  if (text === "" || !text.endsWith("\n")) cannot("its last line has no end");
  const lines = text
    .slice(0, -1)
    .split("\n")
    .map((line, index): Line => {
      if (/\\\s*$/.test(line) && !/^\s*#/.test(line)) cannot(`line ${index + 1} is continued on the next one`);
      const [code = ""] = line.split("#");
      // What is in that file would be neither seen nor changed.
      if (/^\s*include\s/i.test(code)) cannot(`line ${index + 1} includes another file`);
      const words = [...code.matchAll(/([A-Za-z][A-Za-z0-9_]*)\s*=\s*("[^"]*"|\S+)/g)];
      return {
        at: index + 1,
        values: new Map(words.map(([, key = "", value = ""]) => [key.toLowerCase(), value])),
        text: line,
      };
    });
  return { file, text, hash: hashOf(text), lines };
}

export const linesWith = ({ lines }: Conf, key: string): Line[] => lines.filter(({ values }) => values.has(key));
export const settingOf = (conf: Conf, key: string): string | undefined =>
  linesWith(conf, key).at(-1)?.values.get(key)?.replaceAll('"', "");

/** The line with one value written anew; everything else, its comment too, as it was. */
export function withValue({ text }: Line, key: string, value: string): string {
  const pattern = new RegExp(`(\\b${key}\\s*=\\s*)("[^"]*"|[^\\s#]+)`, "i");
  return text.replace(pattern, (_, before: string) => `${before}${value}`);
}

export function applyEdits({ text }: Conf, edits: readonly Edit[]): string {
  const lines: (string | undefined)[] = text.slice(0, -1).split("\n");
  // From the end, so that the numbers of the lines before stay true.
  for (const { at, how, text: wanted } of [...edits].sort((a, b) => b.at - a.at)) {
    if (how === "after") lines.splice(at, 0, wanted);
    else if (how === "change") lines[at - 1] = wanted;
    else lines.splice(at - 1, 1);
  }
  return `${lines.join("\n")}\n`;
}

/** The same edits as words of one sed command: every line number is that of the file before. */
export function sedWords(edits: readonly Edit[]): string[] {
  return edits.flatMap(({ at, how, text }) => {
    if (how === "delete") return ["-e", `${at}d`];
    if (/[\\\n]/.test(text)) {
      throw new OpsError("unsupported", `line ${at} has a backslash: edit it by hand`);
    }
    return ["-e", `${at}${how === "after" ? "a" : "c"}\\${text}`];
  });
}

/** `SlurmctldHost=name(address)`, in order: the first is the primary. */
export const controllersOf = (conf: Conf): { line: Line; name: string; address: string }[] =>
  linesWith(conf, "slurmctldhost").map((line) => {
    const value = line.values.get("slurmctldhost") ?? "";
    const [, name = "", address = name] = /^([^()]+)(?:\(([^()]+)\))?$/.exec(value) ?? [];
    if (name === "") throw new OpsError("bad-input", `${conf.file}: line ${line.at}: ${escapeControl(value)}`);
    return { line, name, address };
  });

export const isConfigless = (conf: Conf): boolean =>
  /\benable_configless\b/i.test(settingOf(conf, "slurmctldparameters") ?? "");
