/**
 * Words as nearly everybody writes them, without yargs: to load it takes 14 ms, as long as the search of 100 MB.
 * Input:  what follows the subcommand; its `events [files..]`; its options.
 * Output: what yargs makes of them. Undefined for all that is not plain (an option unknown, short, given twice, without a
 *         value or with an odd one, a positional other than files, `-`, `--`): then yargs decides, and complains.
 */
import type { Options } from "yargs";

/** What yargs would look at more closely: it takes quotes off, and `true` for the value of the option before it. */
const ODD = /^(?:|[-"'`].*|true|false)$/s;
const PLAIN_KEYS = ["describe", "type", "default", "requiresArg", "alias"];

export function plainWords(
  words: readonly string[],
  command: string,
  options: Readonly<Record<string, Options>>,
): Record<string, unknown> | undefined {
  const [, ...positionals] = command.split(" ");
  if (positionals.join(" ") !== "[files..]") return undefined;
  const files: string[] = [];
  const given: Record<string, string | true> = {};
  const left = [...words];
  for (let word = left.shift(); word !== undefined; word = left.shift()) {
    if (!word.startsWith("--")) {
      if (ODD.test(word)) return undefined;
      files.push(word);
      continue;
    }
    const [, name = "", attached] = /^--([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
    const option = Object.hasOwn(options, name) ? options[name] : undefined;
    if (!option || name in given || !Object.keys(option).every((key) => PLAIN_KEYS.includes(key))) return undefined;
    if (option.type === "boolean" && attached === undefined) given[name] = true;
    else {
      const value = attached ?? left.shift() ?? "";
      if (option.type !== "string" || ODD.test(value)) return undefined;
      given[name] = value;
    }
  }
  const defaults = Object.entries(options).flatMap(([name, { default: value }]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  return { files, ...Object.fromEntries(defaults), ...given };
}
