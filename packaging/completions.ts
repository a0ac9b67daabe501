/**
 * Completions for bash and zsh: subcommands, options, their values, files; for every name, from one table of words.
 * Output: two shell scripts that need nothing but their shell.
 * Source: bash(1) "Programmable Completion"; zshcompsys(1).
 */
import type { Command, Option } from "./commands.ts";

const allOf = (command: Command): Command[] => [command, ...command.commands.flatMap(allOf)];
const optionsOf = (command: Command): Option[] => command.groups.flatMap(({ options }) => [...options]);
/** `fencepost analyze why` → `fencepost analyze why`; the key that both scripts look a command up by. */
const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

const lastWord = (name: string): string => name.slice(name.lastIndexOf(" ") + 1);
/** What may follow an option: F a file, W words, N anything else, nothing for a flag. */
const kindOf = ({ takesValue, choices, isFile }: Option): string =>
  !takesValue ? "" : choices.length > 0 ? `W${choices.join(" ")}` : isFile ? "F" : "N";

type Names = readonly { called: string; command: Command }[];

/** `names` are the words by which a program is called; a subcommand may have a name of its own. */
export function renderBash(names: Names): string {
  const commands = [...new Set(names.flatMap(({ command }) => allOf(command)))];
  const words = commands.map((command) => {
    const options = optionsOf(command).flatMap((one) => one.names);
    const subcommands = command.commands.map(({ name }) => lastWord(name));
    return `    ${quote(command.name)}) words=${quote([...subcommands, ...options].join(" "))} subcommands=${quote(subcommands.join(" "))} files=${command.takesFiles ? 1 : ""} ;;`;
  });
  const values = commands.flatMap((command) =>
    optionsOf(command)
      .filter(({ takesValue }) => takesValue)
      .map(
        (one) =>
          `    ${one.names.map((name) => quote(`${command.name} ${name}`)).join("|")}) kind=${quote(kindOf(one))} ;;`,
      ),
  );
  const called = names
    .filter((one) => one.called !== one.command.name)
    .map((one) => `    ${quote(one.called)}) command=${quote(one.command.name)} ;;`);
  return `# bash completion of Fencepost's programs, generated from their option tables.
_fencepost_words() { # COMMAND: its words, its subcommands, whether it takes files
  words= subcommands= files=
  case $1 in
${words.join("\n")}
  esac
}
_fencepost_value() { # COMMAND OPTION: what may follow it
  kind=
  case "$1 $2" in
${values.join("\n")}
  esac
}
_fencepost() {
  local current=$2 previous=$3 command words subcommands files kind i word
  command=\${1##*/}
  case $command in
${called.join("\n")}
  esac
  _fencepost_words "$command"
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case " $subcommands " in
      *" $word "*) command="$command $word"; _fencepost_words "$command" ;;
    esac
  done
  COMPREPLY=()
  # readline splits --option=value into three words
  if [[ $current == = ]]; then current=; elif [[ $previous == = ]]; then previous=\${COMP_WORDS[COMP_CWORD-2]}; fi
  _fencepost_value "$command" "$previous"
  case $kind in
    F) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    W*) mapfile -t COMPREPLY < <(compgen -W "\${kind#W}" -- "$current"); return ;;
    N) return ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  if [[ $files && $current != -* ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$current")
  fi
}
complete -F _fencepost ${names.map(({ called: one }) => one).join(" ")}
`;
}

const escapeSpec = (text: string): string => text.replace(/[\\:[\]]/g, "\\$&");

export function renderZsh(names: Names): string {
  const functionOf = (name: string): string => `_${name.replaceAll(/[^A-Za-z0-9]/g, "_")}`;
  const commands = [...new Set(names.flatMap(({ command }) => allOf(command)))];
  const specs = (command: Command): string[] =>
    optionsOf(command).flatMap((one) =>
      one.names.map((name) => {
        const value = one.choices.length > 0 ? `(${one.choices.join(" ")})` : one.isFile ? "_files" : " ";
        const long = name.startsWith("--");
        return quote(
          `*${name}${one.takesValue && long ? "=" : ""}[${escapeSpec(one.describe)}]${one.takesValue ? `:value:${value}` : ""}`,
        );
      }),
    );
  const functions = commands.map((command) => {
    const lines = specs(command);
    if (command.commands.length === 0) {
      const rest = command.takesFiles ? [quote("*:file:_files")] : [];
      return `${functionOf(command.name)}() {\n  _arguments -s \\\n    ${[...lines, ...rest].join(" \\\n    ")}\n}`;
    }
    const listed = command.commands.map(({ name, summary }) => quote(`${lastWord(name)}:${escapeSpec(summary)}`));
    const cases = command.commands.map(({ name }) => `      ${lastWord(name)}) ${functionOf(name)} ;;`);
    return `${functionOf(command.name)}() {
  local curcontext=$curcontext state line
  typeset -A opt_args
  _arguments -C \\
    ${[...lines, quote("1:command:->command"), quote("*::argument:->argument")].join(" \\\n    ")}
  case $state in
    command) local -a listed=(${listed.join(" ")}); _describe command listed ;;
    argument) case $line[1] in
${cases.join("\n")}
    esac ;;
  esac
}`;
  });
  const cases = names.map(({ called, command }) => `  ${called}) ${functionOf(command.name)} "$@" ;;`);
  return `#compdef ${names.map(({ called }) => called).join(" ")}
# zsh completion of Fencepost's programs, generated from their option tables.
${functions.join("\n")}
case $service in
${cases.join("\n")}
esac
`;
}
