/**
 * Manual pages, from what the programs say of themselves. Output: roff with the man macros.
 * Source: man(7); groff_man_style(7). The fence agent renders its own page (src/fence/metadata.ts).
 */
import type { Command, Option } from "./commands.ts";

export const roff = (text: string): string =>
  text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("…", "...")
    .replace(/^([.'])/gm, "\\&$1");

const titleOf = (page: string, section: number, version: string, date: string): string =>
  `.TH ${page.toUpperCase()} ${section} "${date}" "Fencepost ${version}" "Fencepost"\n`;

const tagged = (tag: string, text: string): string => `.TP\n.B ${roff(tag)}\n${roff(text) || "\\&"}\n`;
const option = ({ names, describe, takesValue, choices }: Option): string =>
  tagged(`${names.join(", ")}${takesValue ? `=${choices.length > 0 ? choices.join("|") : "VALUE"}` : ""}`, describe);
const paragraphs = (texts: readonly string[]): string => texts.map((text) => `${roff(text)}\n`).join(".PP\n");

export type Stamp = { version: string; date: string };
/** `page` is the name of the manual page, which is not the command's where that has a space in it. */
export function renderCommand(command: Command, page: string, { version, date }: Stamp): string {
  const parts = [
    titleOf(page, 1, version, date),
    `.SH NAME\n${roff(page)} \\- ${roff(command.summary)}\n`,
    `.SH SYNOPSIS\n.B ${roff(command.usage)}\n`,
  ];
  if (command.description.length > 0) parts.push(`.SH DESCRIPTION\n${paragraphs(command.description)}`);
  else parts.push(`.SH DESCRIPTION\n${roff(command.summary)}\n`);
  if (command.commands.length > 0) {
    parts.push(".SH COMMANDS\n");
    for (const { name, summary } of command.commands) {
      parts.push(tagged(name, `${summary}; see ${pageOf(name)}(1)`));
    }
  }
  if (command.positionals.length > 0) {
    parts.push(".SH ARGUMENTS\n");
    for (const { names, describe } of command.positionals) parts.push(tagged(names[0]?.toUpperCase() ?? "", describe));
  }
  for (const { title, options } of command.groups) {
    parts.push(`.SH ${roff(title.toUpperCase())}\n`, ...options.map(option));
  }
  for (const { title, rows } of command.tables) {
    parts.push(`.SH ${roff(title.toUpperCase())}\n`, ...rows.map(([name, what]) => tagged(name, what)));
  }
  if (command.examples.length > 0) {
    parts.push(".SH EXAMPLES\n", ...command.examples.map(([line, what]) => tagged(line, what)));
  }
  if (command.notes !== "") parts.push(`.SH NOTES\n${roff(command.notes)}\n`);
  parts.push(".SH SEE ALSO\n.BR fencepost (1),\n.BR fence_gfs2_recorder (8)\n");
  return parts.join("");
}

/** `fencepost analyze why` → `fencepost-analyze-why`, as git does. */
export const pageOf = (name: string): string => name.replaceAll(" ", "-");

export type Agent = {
  page: string;
  summary: string;
  description: readonly string[];
  parameters: readonly (readonly [name: string, what: string])[];
  examples: readonly (readonly [command: string, what: string])[];
};
/** An agent that only Pacemaker calls. */
export function renderAgent({ page, summary, description, parameters, examples }: Agent, stamp: Stamp): string {
  return [
    titleOf(page, 7, stamp.version, stamp.date),
    `.SH NAME\n${roff(page)} \\- ${roff(summary)}\n.SH DESCRIPTION\n${paragraphs(description)}`,
    ...(parameters.length > 0 ? [".SH PARAMETERS\n", ...parameters.map(([name, what]) => tagged(name, what))] : []),
    ".SH EXAMPLES\n",
    ...examples.map(([line, what]) => tagged(line, what)),
    ".SH SEE ALSO\n.BR fence_gfs2_recorder (8),\n.BR fencepost (1)\n",
  ].join("");
}
