/**
 * The parser of words that all of the admin's programs start from, so that they understand words and complain alike.
 * Errors: OpsError usage, thrown by its parse functions.
 */
import yargs, { type Argv } from "yargs";
import { OpsError } from "./errors.ts";
import type { ProgramContext } from "./program.ts";

/** How wide help is on this screen. */
export const helpColumns = ({ columns }: ProgramContext["terminal"]): number => Math.max(60, Math.min(120, columns));

/** `name` is how the user called the program, with its subcommands. `--help` is an option like others: see getHelp. */
export function createParser(context: ProgramContext, name: string): Argv {
  return yargs()
    .scriptName(name)
    .locale("en")
    .version(false)
    .help(false)
    .exitProcess(false)
    .showHelpOnFail(false)
    .wrap(helpColumns(context.terminal))
    .parserConfiguration({ "camel-case-expansion": false, "dot-notation": false, "parse-numbers": false })
    .option("help", { alias: "h", type: "boolean", describe: "show this help" })
    .fail((message, error) => {
      if (error instanceof OpsError) throw error;
      // yargs tells of a wrong choice in several lines.
      const text = (message ?? String(error)).replaceAll(/\s*\n\s*/g, " ");
      throw new OpsError("usage", `${name}: ${text}`, { hint: `${name} --help` });
    });
}
