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

export const ROLES = ["record", "gate"] as const;
export type Role = (typeof ROLES)[number];

export const DEFAULTS = {
  action: "reboot",
  logDir: "/var/log/gfs2-fencing",
  kubectlCmd: "kubectl",
  config: "/etc/fencepost/fence_gfs2_recorder.conf",
  discoveryTimeoutSeconds: 5,
  maxTargetLength: 1024,
  requestDir: "/var/run/fence_recorder/requests",
  responseDir: "/var/run/fence_recorder/responses",
  gateTimeoutSeconds: 60,
  gatePollSeconds: 0.5,
  requestMaxAgeSeconds: 300,
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
    also: ["log_path"],
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
    help: "record: write the event down, never delay or decide a fence; gate: ask a responder and pass on its verdict",
  },
  // The names and defaults are those of fence_recorder and of fence_dummy --type=recorder (docs/gate.md).
  {
    name: "request_dir",
    also: ["request_path"],
    type: "string",
    value: "directory",
    default: DEFAULTS.requestDir,
    env: "NNF_FENCE_REQUEST_DIR",
    help: "role=gate: directory in which a request for the responder is written",
  },
  {
    name: "response_dir",
    also: ["response_path"],
    type: "string",
    value: "directory",
    default: DEFAULTS.responseDir,
    env: "NNF_FENCE_RESPONSE_DIR",
    help: "role=gate: directory in which the responder answers",
  },
  {
    name: "recorder_timeout",
    type: "second",
    value: "seconds",
    default: String(DEFAULTS.gateTimeoutSeconds),
    env: "FENCE_TIMEOUT",
    help: "role=gate: without an answer by then the fence has failed. Keep pcmk_off_timeout and pcmk_reboot_timeout longer",
  },
  {
    name: "recorder_poll_interval",
    type: "second",
    value: "seconds",
    default: String(DEFAULTS.gatePollSeconds),
    env: "POLL_INTERVAL",
    help: "role=gate: time between two looks for the answer",
  },
  {
    name: "cleanup_max_age",
    type: "second",
    value: "seconds",
    default: String(DEFAULTS.requestMaxAgeSeconds),
    env: "CLEANUP_MAX_AGE",
    help: "role=gate: requests that nobody has waited for in this time are removed",
  },
  {
    name: "delay",
    type: "second",
    value: "seconds",
    default: "0",
    help: "Wait so long before fencing is started. Only with role=gate: a recorder never delays a fence and does not wait",
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

/** An empty directory: what was given is none. */
export type GateOptions = {
  requestDir: string;
  responseDir: string;
  timeoutMs: number;
  pollMs: number;
  /** A request whose file has not been touched for so long is awaited by nobody. */
  maxAgeMs: number;
  delayMs: number;
};

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
  /** Only in role gate. */
  gate: GateOptions | undefined;
  /** Why no action may be vouched for, whatever the guard says. */
  refusal: string | undefined;
  verboseLevel: number;
  quiet: boolean;
  debugFile: string | undefined;
  separator: string;
  warnings: readonly string[];
  /** Those of the warnings for which a default was taken. */
  invalid: readonly string[];
};

/** What was asked for in words, before it is understood; last value wins. */
export type Words = { values: Map<string, string>; verboseCount: number; warnings: string[] };

/** Where an option's words come from decides which name of a target it was. */
const TARGET_NAMES = ["nodename", "plug", "port", "hostname"] as const;

const allNames = new Map<string, OptionSpec>(
  OPTIONS.flatMap((option: OptionSpec) => [option.name, ...(option.also ?? [])].map((name) => [name, option] as const)),
);

/** One name for each option, but a target's names stay apart: which of them was given decides. */
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

/** What the configuration file may set; the environment uses the same names. */
const SETTINGS: readonly string[] = [
  "LOG_DIR",
  "FENCE_LOG",
  "GFS2_DISCOVERY_ENABLED",
  "KUBECTL_CMD",
  "KUBECONFIG",
  "NNF_FENCE_REQUEST_DIR",
  "NNF_FENCE_RESPONSE_DIR",
  "FENCE_TIMEOUT",
  "POLL_INTERVAL",
  "CLEANUP_MAX_AGE",
];
const SETTING =
  /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?:"([^"]*)"|'([^']*)'|(.*?))\s*(?:(?<=["'\s=])#.*)?$/;

/** `KEY=value` lines; comments and blank lines skipped; one pair of quotes around a value removed. */
export function parseConfig(text: string): { settings: Map<string, string>; strange: string[] } {
  const settings = new Map<string, string>();
  const strange: string[] = [];
  for (const line of text.replace(/^\ufeff/, "").split(/\r?\n/)) {
    if (/^\s*(#|$)/.test(line)) continue;
    const [, key = "", double, single, bare = ""] = SETTING.exec(line) ?? [];
    if (SETTINGS.includes(key)) settings.set(key, double ?? single ?? bare);
    else strange.push(escapeControl(key === "" ? line : key).slice(0, 60));
  }
  return { settings, strange };
}

export const isTrue = (value: string | undefined): boolean => /^(1|on|true|yes|y)$/i.test(value ?? "");
export const isFalse = (value: string | undefined): boolean => /^(0|off|false|no|n)$/i.test(value ?? "");

/** Errors: OpsError usage with the words that Pacemaker looks for. */
export function actionOf({ values }: Words): Action {
  const word = (values.get("action") ?? DEFAULTS.action).toLowerCase();
  const action = word === "meta-data" ? "metadata" : ACTIONS.find((known) => known === word);
  if (!action) throw new OpsError("usage", `Unrecognised action ${quoted(word)}`, { hint: `-o ${ACTIONS.join("|")}` });
  return action;
}

/** As the kernel reads it: without `//`, `.` and `..`, so that one directory has one name. */
function normalised(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

/** Precedence: options, environment, file, default. */
export function resolveOptions(
  words: Words,
  env: Readonly<Record<string, string | undefined>>,
  readConfig: (path: string) => string | undefined,
): Options {
  const warnings = [...words.warnings];
  const invalid: string[] = [];
  /** Told, and the default taken in its place. */
  const refuse = <T>(what: string, value: string, why: string, instead: T): T => {
    const problem = `${what}: ${quoted(value)} ${why}`;
    invalid.push(problem);
    warnings.push(problem);
    return instead;
  };
  const given = (name: OptionName): string | undefined => words.values.get(name) || undefined;
  const settings = settingsFrom(given("config"), readConfig, warnings);
  const setting = (name: string): string | undefined => env[name] || settings.get(name) || undefined;

  const seconds = (name: OptionName, standard: number, atMost: number, env = "", atLeast = 0): number => {
    const text = given(name) ?? setting(env) ?? String(standard);
    const value = Number(text.replace(/s$/, ""));
    if (/^[0-9.]+s?$/.test(text) && value <= atMost && value >= atLeast) return value;
    const range = atLeast > 0 ? `from ${atLeast} to ${atMost}` : `up to ${atMost}`;
    return refuse(name, text, `is not a number of seconds ${range}; using ${standard}`, standard);
  };
  const directory = (path: string): string =>
    path.startsWith("/")
      ? normalised(path)
      : refuse("log_dir", path, `is not an absolute path; using ${DEFAULTS.logDir}`, DEFAULTS.logDir);
  /** Elsewhere than where it was meant, a request would be for somebody else: no default is taken, the gate fails. */
  const exchange = (name: "request_dir" | "response_dir", env: string, standard: string): string => {
    const path = given(name) ?? setting(env) ?? standard;
    return path.startsWith("/") ? normalised(path) : refuse(name, path, "is not an absolute path", "");
  };
  const role = given("role") ?? "record";
  const known = ROLES.find((one) => one === role);
  const enabled = setting("GFS2_DISCOVERY_ENABLED") ?? "true";
  if (!isTrue(enabled) && !isFalse(enabled)) {
    refuse("GFS2_DISCOVERY_ENABLED", enabled, "is neither true nor false; using true", undefined);
  }
  const level = given("verbose_level") ?? String(words.verboseCount);
  const delayMs = seconds("delay", 0, 86_400) * 1000;
  const gate =
    role !== "gate"
      ? undefined
      : {
          delayMs,
          requestDir: exchange("request_dir", "NNF_FENCE_REQUEST_DIR", DEFAULTS.requestDir),
          responseDir: exchange("response_dir", "NNF_FENCE_RESPONSE_DIR", DEFAULTS.responseDir),
          timeoutMs: seconds("recorder_timeout", DEFAULTS.gateTimeoutSeconds, 86_400, "FENCE_TIMEOUT") * 1000,
          pollMs: seconds("recorder_poll_interval", DEFAULTS.gatePollSeconds, 3_600, "POLL_INTERVAL", 0.01) * 1000,
          maxAgeMs: seconds("cleanup_max_age", DEFAULTS.requestMaxAgeSeconds, 31_536_000, "CLEANUP_MAX_AGE", 30) * 1000,
        };

  const [target] = TARGET_NAMES.flatMap((name) => words.values.get(name) || []);
  const [plug] = (["plug", "port"] as const).flatMap((name) => words.values.get(name) || []);
  const logDir = directory(given("log_dir") ?? setting("LOG_DIR") ?? DEFAULTS.logDir);
  return {
    action: actionOf(words),
    target,
    plug: plug !== target ? plug?.slice(0, DEFAULTS.maxTargetLength) : undefined,
    logDir,
    logDirIsConfigured: logDir === normalised(settings.get("LOG_DIR") || DEFAULTS.logDir),
    fenceLog: fenceLogIn(logDir, setting("FENCE_LOG"), refuse),
    discoveryEnabled: !(isTrue(given("no_gfs2_discovery")) || isFalse(enabled)),
    kubectlCmd: given("kubectl_cmd") ?? setting("KUBECTL_CMD"),
    kubeconfig: given("kubeconfig") ?? setting("KUBECONFIG"),
    discoveryTimeoutMs: seconds("discovery_timeout", DEFAULTS.discoveryTimeoutSeconds, 60) * 1000,
    role: known ?? "record",
    gate,
    refusal: known ? undefined : refuse("role", role, "is not known", `role ${quoted(role)} is not known`),
    verboseLevel: /^\d{1,3}$/.test(level) ? Number(level) : refuse("verbose_level", level, "is not a number", 0),
    quiet: isTrue(given("quiet")),
    debugFile: given("debug_file"),
    separator: given("plug_separator") ?? ",",
    warnings,
    invalid,
  };
}

function settingsFrom(
  named: string | undefined,
  readConfig: (path: string) => string | undefined,
  warnings: string[],
): Map<string, string> {
  const path = named ?? DEFAULTS.config;
  const warn = (what: string) => warnings.push(`configuration ${escapeControl(path)}: ${what}`);
  try {
    const text = readConfig(path);
    if (text === undefined) {
      if (named) warn("no such file");
      return new Map();
    }
    const { settings, strange } = parseConfig(text);
    for (const what of strange) warn(`'${what}' means nothing here`);
    return settings;
  } catch (error) {
    warn(reasonOf(error));
    return new Map();
  }
}

/** The operational log must be a file of its own: two of the others are read by machines. */
function fenceLogIn(
  logDir: string,
  path: string | undefined,
  refuse: (what: string, value: string, why: string, instead: string) => string,
): string {
  const standard = `${logDir}/fence-events.log`;
  if (path === undefined) return standard;
  if (!path.startsWith("/")) return refuse("FENCE_LOG", path, `is not an absolute path; using ${standard}`, standard);
  const isOurs =
    normalised(path).startsWith(`${logDir}/`) && /\.jsonl|readable|^\./.test(path.slice(path.lastIndexOf("/") + 1));
  return isOurs ? refuse("FENCE_LOG", path, `is another log's file; using ${standard}`, standard) : normalised(path);
}
