import { describe, expect, it } from "vitest";
import { parseArgv, parseConfig, parseStdin, resolveOptions } from "../../src/fence/options.ts";

const noFile = () => undefined;
const fromArgv = (...argv: string[]) => resolveOptions(parseArgv(argv), {}, noFile);
const fromStdin = (...lines: string[]) => resolveOptions(parseStdin(lines.join("\n")), {}, noFile);

describe("argv and stdin say the same", () => {
  it.each<[string[], string[]]>([
    [
      ["-o", "off", "-n", "node1"],
      ["action=off", "plug=node1"],
    ],
    [
      ["--action=off", "--port=node1"],
      ["action=off", "port=node1"],
    ],
    [["--action", "metadata"], ["action=meta-data"]],
    [
      ["-o", "on", "--plug", "a", "--plug", "b"],
      ["action=on", "plug=a", "plug=b"],
    ],
    [
      ["--log-dir=/x", "-n", "a"],
      ["log_dir=/x", "plug=a"],
    ],
    [
      ["--log_dir=/x", "-n", "a"],
      ["log-dir=/x", "plug=a"],
    ],
    [
      ["--no-gfs2-discovery", "-n", "a"],
      ["no_gfs2_discovery=1", "plug=a"],
    ],
    [
      ["--kubectl-cmd", "/k", "--kubeconfig=/c", "-n", "a"],
      ["kubectl-cmd=/k", "kubeconfig=/c", "plug=a"],
    ],
    [
      ["--discovery-timeout=2", "-n", "a"],
      ["discovery_timeout=2", "plug=a"],
    ],
    [
      ["-q", "-v", "-n", "a"],
      ["quiet=yes", "verbose=1", "plug=a"],
    ],
    [
      ["-vv", "-n", "a"],
      ["verbose_level=2", "plug=a"],
    ],
    [
      ["-D", "/d", "-n", "a"],
      ["debug=/d", "plug=a"],
    ],
    [
      ["-D", "/d", "-n", "a"],
      ["debug_file=/d", "plug=a"],
    ],
    [
      ["--plug-separator=;", "-o", "list"],
      ["plug_separator=;", "action=list"],
    ],
    [
      ["--role=record", "--delay=3", "-n", "a"],
      ["role=record", "delay=3", "plug=a"],
    ],
    [["-n", "a"], ['plug="a"']],
    [
      ["-n", "a"],
      ["# a comment", "", "  plug = a  "],
    ],
  ])("%j is %j", (argv, lines) => {
    expect(fromStdin(...lines)).toEqual(fromArgv(...argv));
  });
});

it("takes nodename for the target, else plug, else port, and keeps a plug that differs", () => {
  expect(fromStdin("plug=alias", "nodename=node3", "port=x")).toMatchObject({ target: "node3", plug: "alias" });
  expect(fromStdin("nodename=node3", "plug=node3")).toMatchObject({ target: "node3", plug: undefined });
  expect(fromStdin("port=node3")).toMatchObject({ target: "node3", plug: undefined });
  expect(fromStdin("port=p", "plug=q")).toMatchObject({ target: "q" });
  expect(fromStdin("plug=").target).toBeUndefined();
});

it("reboots unless told otherwise, and does nothing for a bare word", () => {
  expect(fromStdin("plug=a").action).toBe("reboot");
  expect(() => fromArgv("metadata")).toThrow(expect.objectContaining({ kind: "usage" }));
});

it("warns about unknown names on stdin and goes on", () => {
  expect(fromStdin("plug=a", "power_wait=3", "login\u001b=x").warnings).toEqual([
    "unknown option 'power_wait' ignored",
    "unknown option 'login\\u001b' ignored",
  ]);
});

it.each([
  [["--no-such"]],
  [["-n"]],
  [["-n", "-o"]],
  [["--action"]],
  [["--quiet=yes"]],
  [["-o", "off", "-n", "a", "stray"]],
])("refuses the command line %j", (argv) => {
  expect(() => fromArgv(...argv)).toThrow(expect.objectContaining({ kind: "usage" }));
});

it("says `Unrecognised action` for one it does not know, in one line whatever it holds", () => {
  expect(() => fromStdin("action=ex\u0007plode", "plug=a")).toThrow("Unrecognised action 'ex\\u0007plode'");
});

it("vouches for nothing in a role it does not have", () => {
  expect(fromStdin("plug=a", "role=judge")).toMatchObject({ role: "record", refusal: "role 'judge' is not known" });
  expect(fromStdin("plug=a", "role=record").refusal).toBeUndefined();
});

it("does not let a typing error in a tuning option keep a node from being fenced", () => {
  const options = fromStdin("plug=a", "discovery_timeout=soon", "verbose_level=many");
  expect(options).toMatchObject({ discoveryTimeoutMs: 5_000, verboseLevel: 0 });
  expect(options.warnings).toHaveLength(2);
});

it.each([
  ["log_dir=relative", "/var/log/gfs2-fencing"],
  ["log_dir=/a//b/./c/../", "/a/b"],
  ["log_dir=/", "/"],
])("takes %s for %s", (line, logDir) => {
  const options = fromStdin("plug=a", line);
  expect(options.logDir).toBe(logDir);
  expect(options.invalid).toHaveLength(line.includes("relative") ? 1 : 0);
});

it.each(["relative.log", "/x/fence-events-detailed.jsonl", "/x/fence-events-readable.log", "/x/.append.lock"])(
  "does not take %s for the operational log",
  (path) => {
    const options = resolveOptions(parseStdin("plug=a\nlog_dir=/x"), { FENCE_LOG: path }, noFile);
    expect(options).toMatchObject({ fenceLog: "/x/fence-events.log", invalid: [expect.stringContaining("FENCE_LOG")] });
  },
);

it("knows the log directory that this node is configured to have", () => {
  const file = () => "LOG_DIR=/srv/log/";
  expect(resolveOptions(parseStdin("plug=a"), {}, file).logDirIsConfigured).toBe(true);
  expect(resolveOptions(parseStdin("plug=a\nlog_dir=/tmp/x"), {}, file).logDirIsConfigured).toBe(false);
});

it("prefers options to the environment, the environment to the file, the file to the default", () => {
  const file = () => "# comment\nLOG_DIR=/file\nexport KUBECTL_CMD='/opt/k'\nGFS2_DISCOVERY_ENABLED=no\n";
  const env = { LOG_DIR: "/env" };
  expect(resolveOptions(parseStdin("plug=a\nlog_dir=/option"), env, file).logDir).toBe("/option");
  expect(resolveOptions(parseStdin("plug=a"), env, file).logDir).toBe("/env");
  expect(resolveOptions(parseStdin("plug=a"), {}, file)).toMatchObject({
    logDir: "/file",
    fenceLog: "/file/fence-events.log",
    kubectlCmd: "/opt/k",
    discoveryEnabled: false,
  });
  expect(resolveOptions(parseStdin("plug=a"), {}, noFile)).toMatchObject({
    logDir: "/var/log/gfs2-fencing",
    kubectlCmd: undefined,
    discoveryEnabled: true,
  });
});

it("reads FENCE_LOG from the environment or the file", () => {
  expect(resolveOptions(parseStdin("plug=a"), { FENCE_LOG: "/elsewhere/f.log" }, noFile).fenceLog).toBe(
    "/elsewhere/f.log",
  );
});

it("warns when a configuration file that was named is not there or cannot be read", () => {
  expect(resolveOptions(parseStdin("plug=a\nconfig=/none"), {}, noFile).warnings).toEqual([
    "configuration /none: no such file",
  ]);
  const unreadable = () => {
    throw new Error("EACCES: permission denied");
  };
  expect(resolveOptions(parseStdin("plug=a"), {}, unreadable).warnings[0]).toMatch(/EACCES/);
});

it("reads a configuration with spaces, quotes, comments and a byte order mark, and names what means nothing", () => {
  const text =
    '\ufeffLOG_DIR = /a\r\n FENCE_LOG="/two words" # why\nKUBECTL_CMD=\'q"\'\nKUBECONFIG=/x#y # z\n# comment\nnot a setting\nLOGDIR=/b\n';
  expect(parseConfig(text)).toEqual({
    settings: new Map([
      ["LOG_DIR", "/a"],
      ["FENCE_LOG", "/two words"],
      ["KUBECTL_CMD", 'q"'],
      ["KUBECONFIG", "/x#y"],
    ]),
    strange: ["not a setting", "LOGDIR"],
  });
});
