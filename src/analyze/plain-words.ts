/**
 * Words as nearly everybody writes them, without yargs: to load it takes 14 ms, as long as the search of 100 MB.
 * Input:  what follows the subcommand; its `events [files..]`; its options.
 * Output: what yargs makes of them. Undefined for all that is not plain (an option unknown, short, given twice, without a
 *         value or with an odd one, a positional other than files, `-`, `--`): then yargs decides, and complains.
 */
import { parseArgs } from "node:util";
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
  const types: Record<string, { type: "string" | "boolean" }> = {};
  const own: Record<string, unknown> = { files: [] };
  for (const [name, option] of Object.entries(options)) {
    const { type = "", default: value } = option;
    if (value !== undefined) own[name] = value;
    const isPlain = Object.keys(option).every((key) => PLAIN_KEYS.includes(key));
    if (isPlain && (type === "string" || type === "boolean")) types[name] = { type };
  }
  try {
    const { tokens } = parseArgs({ args: [...words], options: types, allowPositionals: true, tokens: true });
    const seen = new Set<string>();
    for (const token of tokens) {
      if (token.kind === "option-terminator" || ODD.test(token.value ?? "a flag")) return undefined;
      if (token.kind === "positional") {
        (own.files as string[]).push(token.value);
        continue;
      }
      if (seen.has(token.name) || token.rawName !== `--${token.name}`) return undefined;
      seen.add(token.name);
      own[token.name] = token.value ?? true;
    }
    return own;
  } catch {
    return undefined;
  }
}
