/**
 * The agent's options: one table gives argv, stdin, the metadata, the help and the manual page.
 * Input:  argv, or with no argv the text of stdin (`name=value` lines), the environment, the configuration file.
 * Output: Options. Errors: OpsError usage for what the caller must mend; lesser trouble is a warning and a default,
 *         because a typing error in a tuning option must not keep a node from being fenced.
 * Source: fence-agents doc/FenceAgentAPI.md, lib/fencing.py.py (process_input, check_input); SPEC 3.
 */
import { OpsError, reasonOf } from "../core/errors.ts";
import { escapeControl } from "../core/text.ts";

export const ACTIONS = [
  "on",
  "off",
  "reboot",
  "status",
  "monitor",
  "list",
  "list-status",
  "metadata",
  "validate-all",
  "manpage",
] as const;
export type Action = (typeof ACTIONS)[number];

export const ROLES = ["record"] as const;
export type Role = (typeof ROLES)[number];

export const DEFAULTS = {
  action: "reboot",
  logDir: "/var/log/gfs2-fencing",
  kubectlCmd: "kubectl",
  config: "/etc/fencepost/fence_gfs2_recorder.conf",
  discoveryTimeoutSeconds: 5,
  maxTargetLength: 1024,
} as const;

type OptionSpec = {
  /** The name in stdin and in the metadata; on the command line with dashes. */
  name: string;
  short?: string;
  /** Other names that mean the same. */
  also?: readonly string[];
  type: "string" | "boolean" | "integer" | "second";
  value?: string;
  default?: string;
  required?: boolean;
  /** What the environment and the configuration file call it. */
  env?: string;
  help: string;
};

export const OPTIONS = [
  {
    name: "action",
    short: "o",
    type: "string",
    value: "action",
    default: DEFAULTS.action,
    required: true,
    help: "Fencing action",
  },
  {
    name: "plug",
    short: "n",
    also: ["port", "hostname", "nodename"],
    type: "string",
    value: "node",
    help: "Node that is fenced. Pacemaker sends it as nodename; a plug that differs is recorded beside it.",
  },
  {
    name: "log_dir",
    type: "string",
    value: "directory",
    default: DEFAULTS.logDir,
    env: "LOG_DIR",
    help: "Directory of the event logs, on a local disk",
  },
  {
    name: "no_gfs2_discovery",
    type: "boolean",
    help: "Do not look for the GFS2 filesystems the node uses (GFS2_DISCOVERY_ENABLED=false)",
  },
  {
    name: "kubectl_cmd",
    type: "string",
    value: "program",
    env: "KUBECTL_CMD",
    help: "Ask Kubernetes with this kubectl instead of the built-in client",
  },
  {
    name: "kubeconfig",
    type: "string",
    value: "file",
    env: "KUBECONFIG",
    help: "Kubeconfig for the built-in client and for kubectl",
  },
  {
    name: "discovery_timeout",
    type: "second",
    value: "seconds",
    default: String(DEFAULTS.discoveryTimeoutSeconds),
    help: "Most time that looking for GFS2 filesystems may take",
  },
  {
    name: "role",
    type: "string",
    value: "role",
    default: "record",
    help: "record: write the event down, never delay or decide a fence",
  },
  {
    name: "delay",
    type: "second",
    value: "seconds",
    default: "0",
    help: "Accepted because every fence agent has it; a recorder never delays a fence and does not wait",
  },
  {
    name: "config",
    type: "string",
    value: "file",
    default: DEFAULTS.config,
    help: "Configuration file with KEY=value lines",
  },
  {
    name: "quiet",
    short: "q",
    type: "boolean",
    help: "Disable logging to stderr. Does not affect --debug-file or syslog.",
  },
  { name: "verbose", short: "v", type: "boolean", help: "Verbose mode; more -v for more" },
  { name: "verbose_level", type: "integer", value: "level", help: "Level of debugging detail in output" },
  {
    name: "debug_file",
    short: "D",
    also: ["debug"],
    type: "string",
    value: "file",
    help: "Write debug information to given file",
  },
  {
    name: "plug_separator",
    type: "string",
    value: "char",
    default: ",",
    help: "Separator for the lines of list and list-status",
  },
  { name: "version", short: "V", type: "boolean", help: "Display version information and exit" },
  { name: "help", short: "h", type: "boolean", help: "Display help and exit" },
] as const satisfies readonly OptionSpec[];

export type OptionName = (typeof OPTIONS)[number]["name"];

export type Options = {
  action: Action;
  /** The node that is fenced: nodename, else plug, else port. */
  target: string | undefined;
  /** The plug, where it differs from the target. */
  plug: string | undefined;
  logDir: string;
  /** It is the one that this node is configured to log to, not one that a person named for this call. */
  logDirIsConfigured: boolean;
  fenceLog: string;
  discoveryEnabled: boolean;
  /** Only when the user chose one. */
  kubectlCmd: string | undefined;
  kubeconfig: string | undefined;
  discoveryTimeoutMs: number;
  role: Role;
  verboseLevel: number;
  quiet: boolean;
  debugFile: string | undefined;
  separator: string;
  warnings: readonly string[];
};

/** What was asked for in words, before it is understood; last value wins. */
export type Words = { values: Map<string, string>; verboseCount: number; warnings: string[] };

/** Where an option's words come from decides which name of a target it was. */
const TARGET_NAMES = ["nodename", "plug", "port", "hostname"] as const;

const allNames = new Map<string, OptionSpec>(
  OPTIONS.flatMap((option: OptionSpec) => [option.name, ...(option.also ?? [])].map((name) => [name, option] as const)),
);

/** Names that Pacemaker or its tools may send to any agent and that mean nothing to this one. */
const canonical = (name: string): string => {
  if ((TARGET_NAMES as readonly string[]).includes(name)) return name;
  return allNames.get(name)?.name ?? name;
};

const usage = (why: string): OpsError =>
  new OpsError("usage", `options: ${why}`, { hint: "fence_gfs2_recorder --help" });
const quoted = (word: string): string => `'${escapeControl(word).slice(0, 100)}'`;

/** By hand, because the agent is to be ahead of every other: node:util's parser costs milliseconds and megabytes. */
export function parseArgv(argv: readonly string[]): Words {
  const words: Words = { values: new Map(), verboseCount: 0, warnings: [] };
  const rest = [...argv];
  const take = (shown: string, name: string, { type }: OptionSpec, attached: string | undefined): void => {
    if (type === "boolean") {
      if (attached !== undefined) throw usage(`${shown} takes no value`);
      if (name === "verbose") words.verboseCount += 1;
      words.values.set(canonical(name), "1");
      return;
    }
    const value = attached ?? rest.shift();
    // A value that looks like an option is an option whose predecessor lost its value, unless it was joined with `=`.
    if (value === undefined || (attached === undefined && value.startsWith("-"))) throw usage(`${shown} needs a value`);
    words.values.set(canonical(name), value);
  };
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word.startsWith("--")) {
      const equals = word.indexOf("=");
      const shown = equals === -1 ? word : word.slice(0, equals);
      const name = shown.slice(2).replaceAll("-", "_");
      const option = allNames.get(name);
      if (!option) throw usage(`unknown option ${quoted(shown)}`);
      take(shown, name, option, equals === -1 ? undefined : word.slice(equals + 1));
    } else if (word.length > 1 && word.startsWith("-")) {
      for (let letters = word.slice(1); letters !== ""; ) {
        const option = OPTIONS.find((candidate: OptionSpec) => candidate.short === letters[0]);
        if (!option) throw usage(`unknown option ${quoted(word)}`);
        const attached = letters.slice(1);
        const takesValue = option.type !== "boolean";
        take(`-${letters[0]}`, option.name, option, takesValue && attached !== "" ? attached : undefined);
        letters = takesValue ? "" : attached;
      }
    } else throw usage(`unexpected argument ${quoted(word)}`);
  }
  return words;
}

export function parseStdin(text: string): Words {
  const words: Words = { values: new Map(), verboseCount: 0, warnings: [] };
  for (const line of text.split("\n")) {
    const trimmed = line.trim();
    if (trimmed === "" || trimmed.startsWith("#")) continue;
    const equals = trimmed.indexOf("=");
    const name = (equals === -1 ? trimmed : trimmed.slice(0, equals)).trim().toLowerCase().replaceAll("-", "_");
    const given = equals === -1 ? "1" : trimmed.slice(equals + 1).trim();
    const value = given.length > 1 && given.startsWith('"') && given.endsWith('"') ? given.slice(1, -1) : given;
    if (!allNames.has(name)) {
      words.warnings.push(`unknown option '${escapeControl(name).slice(0, 100)}' ignored`);
      continue;
    }
    words.values.set(canonical(name), value);
  }
  if (isTrue(words.values.get("verbose"))) words.verboseCount = 1;
  return words;
}

/** `KEY=value` lines; comments and blank lines skipped; one pair of quotes around a value removed. */
export function parseConfig(text: string): Map<string, string> {
  const settings = new Map<string, string>();
  for (const line of text.split("\n")) {
    const match = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$/.exec(line);
    if (!match?.[1]) continue;
    settings.set(match[1], (match[2] ?? "").replace(/^(["'])(.*)\1$/, "$2"));
  }
  return settings;
}

export const isTrue = (value: string | undefined): boolean => /^(1|on|true|yes|y)$/i.test(value ?? "");
const isFalse = (value: string | undefined): boolean => /^(0|off|false|no|n)$/i.test(value ?? "");

/** Errors: OpsError usage with the words that Pacemaker looks for. */
export function actionOf({ values }: Words): Action {
  const word = (values.get("action") || DEFAULTS.action).toLowerCase();
  const action = word === "meta-data" ? "metadata" : ACTIONS.find((known) => known === word);
  if (!action) throw new OpsError("usage", `Unrecognised action ${quoted(word)}`, { hint: `-o ${ACTIONS.join("|")}` });
  return action;
}

const TRAILING_SLASHES = /(?<=.)\/+$/;

/** Precedence: options, environment, file, default. */
export function resolveOptions(
  words: Words,
  env: Readonly<Record<string, string | undefined>>,
  readConfig: (path: string) => string | undefined,
): Options {
  const warnings = [...words.warnings];
  const given = (name: OptionName): string | undefined => words.values.get(name) || undefined;

  const action = actionOf(words);
  let settings = new Map<string, string>();
  const configPath = given("config") ?? DEFAULTS.config;
  try {
    const text = readConfig(configPath);
    if (text !== undefined) settings = parseConfig(text);
    else if (given("config")) warnings.push(`configuration ${escapeControl(configPath)}: no such file`);
  } catch (error) {
    warnings.push(`configuration ${escapeControl(configPath)}: ${reasonOf(error)}`);
  }
  const setting = (name: string): string | undefined => env[name] || settings.get(name) || undefined;
  const seconds = (name: OptionName, fallback: number, atMost: number): number => {
    const text = given(name);
    if (text === undefined) return fallback;
    const value = Number(text.replace(/s$/, ""));
    if (/^[0-9.]+s?$/.test(text) && value <= atMost) return value;
    warnings.push(
      `${name}: '${escapeControl(text).slice(0, 40)}' is not a number of seconds up to ${atMost}; using ${fallback}`,
    );
    return fallback;
  };
  const roleWord = given("role") ?? "record";
  const role = ROLES.find((known) => known === roleWord);
  if (!role) {
    throw new OpsError("usage", `role: '${escapeControl(roleWord).slice(0, 40)}' is not known`, {
      hint: `role=${ROLES.join("|")}`,
    });
  }
  const enabledWord = setting("GFS2_DISCOVERY_ENABLED");
  if (enabledWord && !isTrue(enabledWord) && !isFalse(enabledWord)) {
    warnings.push(
      `GFS2_DISCOVERY_ENABLED: '${escapeControl(enabledWord).slice(0, 40)}' is neither true nor false; using true`,
    );
  }
  seconds("delay", 0, 86_400);

  const names = TARGET_NAMES.map((name) => words.values.get(name)).filter((name) => name !== undefined && name !== "");
  const target = names[0];
  const plug = [words.values.get("plug"), words.values.get("port")].find((name) => name !== undefined && name !== "");
  const logDir = given("log_dir") ?? setting("LOG_DIR") ?? DEFAULTS.logDir;
  if (!logDir.startsWith("/")) {
    throw new OpsError("usage", `log_dir: '${escapeControl(logDir).slice(0, 100)}' is not an absolute path`, {
      hint: `log_dir=${DEFAULTS.logDir}`,
    });
  }
  const configured = (settings.get("LOG_DIR") || DEFAULTS.logDir).replace(TRAILING_SLASHES, "");
  const level = given("verbose_level");
  if (level !== undefined && !/^\d{1,3}$/.test(level))
    warnings.push(`verbose_level: '${escapeControl(level).slice(0, 40)}' is not a number`);
  return {
    action,
    target,
    plug: plug !== undefined && plug !== target ? plug : undefined,
    logDir: logDir.replace(TRAILING_SLASHES, ""),
    logDirIsConfigured: logDir.replace(TRAILING_SLASHES, "") === configured,
    fenceLog: setting("FENCE_LOG") ?? `${logDir.replace(/\/+$/, "")}/fence-events.log`,
    discoveryEnabled: !(isTrue(given("no_gfs2_discovery")) || isFalse(enabledWord)),
    kubectlCmd: given("kubectl_cmd") ?? setting("KUBECTL_CMD"),
    kubeconfig: given("kubeconfig") ?? setting("KUBECONFIG"),
    discoveryTimeoutMs: seconds("discovery_timeout", DEFAULTS.discoveryTimeoutSeconds, 60) * 1000,
    role,
    verboseLevel: level !== undefined && /^\d{1,3}$/.test(level) ? Number(level) : words.verboseCount,
    quiet: isTrue(given("quiet")),
    debugFile: given("debug_file"),
    separator: given("plug_separator") ?? ",",
    warnings,
  };
}
