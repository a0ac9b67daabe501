/**
 * The fence agent as Pacemaker and people call it: options from argv and from stdin, exit codes, metadata, node names.
 * Source: SPEC 3; ClusterLabs fence-agents' FenceAgentAPI.
 */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { captureOf } from "../fakes/captured-cluster.ts";
import { liveDescribe } from "../live/requirements.ts";
import { type FenceRecord, Lab, linesOf, type Outcome } from "./lab.ts";

const METADATA = join(import.meta.dirname, "../fixtures/metadata.xml");

let lab: Lab;

function clearLogs(): void {
  for (const name of lab.names(lab.logDir)) rmSync(lab.at(`${lab.logDir}/${name}`), { recursive: true, force: true });
}

/** What must be equal however the options came; what differs from call to call is left out. */
function comparable({ exitCode, signal, stdout, stderr }: Outcome, events: FenceRecord[]): unknown {
  return {
    exitCode,
    signal,
    stdout,
    stderr: stderr.replaceAll(/\d+(\.\d+)?/g, "N"),
    events: events.map(
      ({ event_id: _id, timestamp: _at, time_ms: _ms, recorded_ms: _recorded, discovery, ...rest }) => ({
        ...rest,
        discovery: {
          ...discovery,
          elapsed_ms: 0,
          attempts: discovery.attempts.map((attempt) => ({
            ...attempt,
            elapsed_ms: 0,
            reason: attempt.reason?.replaceAll(/\d+(\.\d+)?/g, "N"),
          })),
        },
      }),
    ),
  };
}

async function runBoth(args: readonly string[], stdin: string): Promise<[unknown, unknown]> {
  clearLogs();
  const fromArgv = await lab.run({ args });
  await lab.settled();
  const argvEvents = lab.events();
  clearLogs();
  const fromStdin = await lab.run({ stdin });
  await lab.settled();
  return [comparable(fromArgv, argvEvents), comparable(fromStdin, lab.events())];
}

liveDescribe("the fence agent's options, actions and exit codes", ["executable"], () => {
  beforeAll(async () => {
    lab = await Lab.openShared({ standIns: { capture: captureOf("failed") } });
  });
  afterAll(() => lab.close());
  beforeEach(() => clearLogs());

  describe("argv and stdin agree", () => {
    const node = "compute-node-2";
    it.each<[what: string, args: string[], stdin: string, exitCode: number]>([
      ["the default action", ["-n", node], `nodename=${node}\n`, 0],
      ["on", ["-o", "on", "-n", node], `action=on\nnodename=${node}\n`, 0],
      ["off", ["-o", "off", "-n", node], `action=off\nnodename=${node}\n`, 0],
      ["reboot", ["-o", "reboot", "-n", node], `action=reboot\nnodename=${node}\n`, 0],
      ["reboot, long", ["--action=reboot", `--plug=${node}`], `action=reboot\nplug=${node}\n`, 0],
      ["reboot, long, apart", ["--action", "reboot", "--plug", node], `action=reboot\nplug=${node}\n`, 0],
      ["the plug as --port", ["-o", "off", "--port", node], `action=off\nport=${node}\n`, 0],
      ["the plug as --hostname", ["-o", "off", "--hostname", node], `action=off\nnodename=${node}\n`, 0],
      ["status of a node that is unclean", ["-o", "status", "-n", node], `action=status\nnodename=${node}\n`, 1],
      ["status of a member", ["-o", "status", "-n", "compute-node-3"], "action=status\nnodename=compute-node-3\n", 0],
      ["status without a target", ["-o", "status"], "action=status\n", 1],
      ["monitor", ["-o", "monitor"], "action=monitor\n", 0],
      ["list", ["-o", "list"], "action=list\n", 0],
      ["list-status", ["-o", "list-status"], "action=list-status\n", 0],
      ["metadata", ["-o", "metadata"], "action=metadata\n", 0],
      ["meta-data", ["-o", "meta-data"], "action=meta-data\n", 0],
      ["manpage", ["-o", "manpage"], "action=manpage\n", 0],
      ["an unknown action", ["-o", "explode", "-n", node], `action=explode\nnodename=${node}\n`, 1],
      ["an action in the wrong case", ["-o", "Explode", "-n", node], `action=Explode\nnodename=${node}\n`, 1],
      ["no target", ["-o", "off"], "action=off\n", 1],
      ["an empty target", ["-o", "off", "-n", ""], "action=off\nnodename=\n", 1],
      [
        "--no-gfs2-discovery",
        ["-o", "off", "-n", node, "--no-gfs2-discovery"],
        `action=off\nnodename=${node}\nno_gfs2_discovery=1\n`,
        0,
      ],
      [
        "--kubectl-cmd",
        ["-o", "off", "-n", node, "--kubectl-cmd", "/nonexistent/kubectl"],
        `action=off\nnodename=${node}\nkubectl_cmd=/nonexistent/kubectl\n`,
        0,
      ],
      [
        "--kubeconfig",
        ["-o", "off", "-n", node, "--kubeconfig=/nonexistent/config"],
        `action=off\nnodename=${node}\nkubeconfig=/nonexistent/config\n`,
        0,
      ],
      [
        "--discovery-timeout",
        ["-o", "off", "-n", node, "--discovery-timeout", "2"],
        `action=off\nnodename=${node}\ndiscovery-timeout=2\n`,
        0,
      ],
      [
        "a discovery timeout that is no number",
        ["-o", "off", "-n", node, "--discovery-timeout", "soon"],
        `action=off\nnodename=${node}\ndiscovery_timeout=soon\n`,
        -1,
      ],
      ["--role", ["-o", "off", "-n", node, "--role", "record"], `action=off\nnodename=${node}\nrole=record\n`, 0],
      [
        "an unknown role",
        ["-o", "off", "-n", node, "--role", "chief"],
        `action=off\nnodename=${node}\nrole=chief\n`,
        -1,
      ],
      ["--delay", ["-o", "off", "-n", node, "--delay", "0"], `action=off\nnodename=${node}\ndelay=0\n`, 0],
      [
        "--config",
        ["-o", "off", "-n", node, "--config", "/nonexistent.conf"],
        `action=off\nnodename=${node}\nconfig=/nonexistent.conf\n`,
        -1,
      ],
      ["--quiet", ["-o", "list", "-q"], "action=list\nquiet=1\n", 0],
      ["--verbose", ["-o", "list", "-v"], "action=list\nverbose=1\n", 0],
      ["--verbose-level", ["-o", "list", "--verbose-level", "2"], "action=list\nverbose_level=2\n", 0],
      ["--version", ["-V"], "version=1\n", 0],
      ["--help", ["-h"], "help=1\n", 0],
      [
        "--plug-separator",
        ["-o", "off", "-n", node, "--plug-separator", ";"],
        `action=off\nnodename=${node}\nplug_separator=;\n`,
        0,
      ],
    ])("%s", async (_what, args, stdin, exitCode) => {
      const [fromArgv, fromStdin] = await runBoth(args, stdin);
      expect(fromArgv).toEqual(fromStdin);
      if (exitCode >= 0) expect(fromArgv).toMatchObject({ exitCode, signal: null });
    });

    it("--log-dir", async () => {
      for (const [where, call] of [
        ["argv", { args: ["-o", "off", "-n", "n1", "--log-dir", `${lab.directory}/argv`] }],
        ["stdin", { stdin: `action=off\nnodename=n1\nlog_dir=${lab.directory}/stdin\n` }],
      ] as const) {
        lab.sh(`mkdir -m 750 ${lab.directory}/${where}`);
        expect(await lab.run(call)).toMatchObject({ exitCode: 0 });
        expect(await lab.eventFor("n1", `${lab.directory}/${where}`)).toMatchObject({ action: "off" });
      }
    });

    it("--debug-file", async () => {
      for (const [where, call] of [
        ["argv", { args: ["-o", "off", "-n", "n1", "-v", "-D", `${lab.directory}/argv.debug`] }],
        ["stdin", { stdin: `action=off\nnodename=n1\nverbose=1\ndebug_file=${lab.directory}/stdin.debug\n` }],
      ] as const) {
        expect(await lab.run(call)).toMatchObject({ exitCode: 0 });
        await lab.settled();
        expect(lab.read(`${lab.directory}/${where}.debug`)).toMatch(/n1/);
      }
    });
  });

  describe("only on, off and reboot make events", () => {
    it.each(["status", "monitor", "list", "list-status", "metadata", "validate-all", "manpage"])(
      "%s makes none",
      async (action) => {
        await lab.run({ args: ["-o", action, "-n", "compute-node-2"] });
        await lab.settled();
        expect(lab.detailedLines()).toEqual([]);
        expect(lab.spooled()).toEqual([]);
      },
    );
  });

  describe("stdin", () => {
    it("warns about an unknown name and goes on", async () => {
      const { exitCode, stderr } = await lab.run({ stdin: "colour=green\naction=off\nnodename=n-unknown-name\n" });
      expect(exitCode).toBe(0);
      expect(stderr).toContain("colour");
      await lab.eventFor("n-unknown-name");
    });

    it("skips comments, blank lines and spaces around", async () => {
      const stdin = "# a comment\n\n  \n   # another\n\taction=off\nnodename=n-comments\n#action=on\n";
      const { exitCode, stderr } = await lab.run({ stdin });
      expect(exitCode).toBe(0);
      expect(stderr).not.toMatch(/unknown|ignored/);
      expect(await lab.eventFor("n-comments")).toMatchObject({ action: "off" });
    });

    it("lets the last value win", async () => {
      await lab.run({ stdin: "action=on\nnodename=first\naction=off\nnodename=n-last\n" });
      await lab.settled();
      expect(lab.events()).toMatchObject([{ action: "off", target_node: "n-last" }]);
    });

    it.each([
      ['nodename="n-quoted"', "n-quoted"],
      ['nodename=""n-twice""', '"n-twice"'],
      ['nodename="n-half', '"n-half'],
    ])("removes one pair of double quotes: %s", async (line, target) => {
      const { exitCode } = await lab.run({ stdin: `action=off\n${line}\n` });
      await lab.settled();
      if (exitCode === 0) expect(lab.events()).toMatchObject([{ target_node: target }]);
      else expect(lab.events()).toEqual([]);
      if (target === "n-quoted") expect(exitCode).toBe(0);
    });

    it.each(["no_gfs2_discovery", "no-gfs2-discovery", "no-gfs2_discovery"])(
      "takes dashes for underscores: %s",
      async (name) => {
        await lab.run({ stdin: `action=off\nnodename=n-dashes\n${name}=1\n` });
        expect(await lab.eventFor("n-dashes")).toMatchObject({
          gfs2_filesystems: ["discovery-disabled"],
          discovery: { result: "disabled" },
        });
      },
    );

    it("keeps an equals sign in a value", async () => {
      await lab.run({ stdin: "action=off\nnodename=n=1\n" });
      await lab.settled();
      expect(lab.events().map((event) => event.target_node)).toEqual(["n=1"]);
    });

    it("reads a last line without a newline, and lines that end as on DOS", async () => {
      await lab.run({ stdin: "action=off\r\nnodename=n-dos" });
      expect(await lab.eventFor("n-dos")).toMatchObject({ action: "off" });
    });

    it.each([
      ["nodename before plug", "plug=the-plug\nport=the-port\nnodename=the-node\n", "the-node", "the-plug"],
      ["plug before port", "port=the-port\nplug=the-plug\n", "the-plug", undefined],
      ["port alone", "port=the-port\n", "the-port", undefined],
      ["nodename and an equal plug", "nodename=same\nplug=same\n", "same", undefined],
    ])("takes the target from %s", async (_what, lines, target, plug) => {
      await lab.run({ stdin: `action=off\n${lines}` });
      await lab.settled();
      const [event, ...more] = lab.events();
      expect(more).toEqual([]);
      expect({ target: event?.target_node, plug: event?.plug }).toEqual({ target, plug });
    });
  });

  describe("errors", () => {
    it.each([
      ["argv", { args: ["-o", "explode", "-n", "n1"] }],
      ["stdin", { stdin: "action=explode\nnodename=n1\n" }],
    ])("an unknown action exits 1 and says so in the library's words (%s)", async (_where, call) => {
      const { exitCode, stderr } = await lab.run(call);
      expect(exitCode).toBe(1);
      expect(stderr).toContain("Unrecognised action");
    });

    it("a missing target exits 1 and names the option", async () => {
      const { exitCode, stderr } = await lab.run({ args: ["-o", "off"] });
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(/plug|nodename|target/);
      expect(lab.detailedLines()).toEqual([]);
    });

    it.each([[["--frobnicate"]], [["-o"]], [["-n"]], [["-Z", "1"]]])("bad options exit 1: %j", async (args) => {
      const { exitCode, stderr } = await lab.run({ args });
      expect(exitCode).toBe(1);
      expect(stderr).not.toBe("");
      expect(stderr).not.toMatch(/^\s+at /m);
    });

    it("a bare word in argv never means the default action", async () => {
      const { exitCode } = await lab.run({ args: ["compute-node-2"] });
      expect(exitCode).toBe(1);
      await lab.settled();
      expect(lab.detailedLines()).toEqual([]);
    });
  });

  describe("node names", () => {
    const names: [what: string, name: string][] = [
      ["of 300 characters", "n".repeat(300)],
      ["in Unicode", "knoten-ü-日本-🦊"],
      ["of combining characters and a right-to-left mark", "e\u0301\u202en"],
      ["with a newline", "a\nTARGET=b"],
      ["with a carriage return", "a\rb"],
      ["with control characters", "a\u0000b\u001b[31mc\u0085d".replace("\u0000", "")],
      ["that climb", "../x"],
      ["that are a path", "/etc/passwd"],
      ["with a shell command", "a; touch PWNED"],
      ["with a substitution", "$(touch PWNED)`touch PWNED`"],
      ["that look like an option", "-o"],
      ["that look like a long option", "--action=on"],
      ["with quotes", `a"b'c\\d`],
      ["with a bracket and spaces", "a] STATUS=refused [b"],
      ["of one space", " "],
      ["with a regular expression", "compute-node-.*"],
      ["that are a property of every object", "__proto__"],
    ];
    const forms: [form: string, callFor: (name: string) => { args?: string[]; stdin?: string } | undefined][] = [
      ["-n NAME", (name) => ({ args: ["-o", "off", "-n", name] })],
      ["--plug=NAME", (name) => ({ args: ["-o", "off", `--plug=${name}`] })],
      ["nodename=NAME", (name) => (/[\n\r]/.test(name) ? undefined : { stdin: `action=off\nnodename=${name}\n` })],
    ];
    const table = forms.flatMap(([form, callFor]) =>
      names.flatMap(([what, name]) => {
        const call = callFor(name);
        return call ? [[form, what, name, call] as const] : [];
      }),
    );
    it.each(table)("%s: names %s give a clear error or one safe record", async (_form, _what, name, call) => {
      const { exitCode, stderr } = await lab.run(call);
      await lab.settled();
      const events = lab.events();
      expect([0, 1]).toContain(exitCode);
      if (exitCode === 0) {
        expect(events).toHaveLength(1);
        expect([name, name.trim()]).toContain(events[0]?.target_node);
      } else {
        expect(events).toEqual([]);
        expect(stderr).not.toBe("");
        expect(stderr).not.toMatch(/^\s+at /m);
      }
      const readable = lab.read(`${lab.logDir}/fence-events-readable.log`) ?? "";
      expect(linesOf(readable)).toHaveLength(events.length);
      expect(readable).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
      for (const line of linesOf(lab.read(`${lab.logDir}/fence-events.log`))) {
        expect(line).toMatch(/^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] \[[A-Z]+\] /);
      }
      expect(lab.names(lab.cwd)).toEqual([]);
      expect(lab.names(lab.logDir).filter((file) => !/^(fence-events|\.)/.test(file))).toEqual([]);
    });

    it("a name that is not UTF-8 does no harm", async () => {
      lab.write(`${lab.directory}/latin1`, "");
      const script = `printf 'action=off\\nnodename=n-\\377\\n' | "$0"`;
      const { exitCode } = await lab.run({
        program: "/bin/sh",
        args: ["-c", script, join(import.meta.dirname, "../../bin/fence_gfs2_recorder")],
      });
      await lab.settled();
      expect([0, 1]).toContain(exitCode);
      expect(lab.events()).toHaveLength(exitCode === 0 ? 1 : 0);
    });
  });

  describe("what is written", () => {
    it("starts with the original's keys, in their order", async () => {
      await lab.run({ args: ["-o", "off", "-n", "compute-node-2"] });
      const event = await lab.eventFor("compute-node-2");
      expect(Object.keys(event).slice(0, 8)).toEqual([
        "timestamp",
        "action",
        "target_node",
        "gfs2_filesystems",
        "status",
        "details",
        "recorder_node",
        "pacemaker_action",
      ]);
      expect(event).toMatchObject({
        action: "off",
        pacemaker_action: "off",
        status: "initiated",
        details: "Fence action off requested by hand",
        schema: 1,
        source: "manual",
        role: "record",
        event_id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
        timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
        boot_id: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
      });
      expect(Math.abs(event.time_ms - Date.now())).toBeLessThan(60_000);
      expect(event.recorded_ms).toBeGreaterThanOrEqual(event.time_ms);
    });

    it("has a readable line derived from it, in local time", async () => {
      await lab.run({ args: ["-o", "off", "-n", "compute-node-2"], env: { TZ: "Asia/Tokyo" } });
      const event = await lab.eventFor("compute-node-2");
      const local = new Date(event.time_ms + 9 * 3_600_000).toISOString().slice(0, 19).replace("T", " ");
      expect(lab.readableLines()).toEqual([
        `[${local}] ACTION=off TARGET=compute-node-2 GFS2=["gfs2-project","gfs2-scratch"] STATUS=initiated DETAILS=Fence action off requested by hand`,
      ]);
    });

    it("goes to FENCE_LOG when that is set", async () => {
      const fenceLog = `${lab.directory}/elsewhere.log`;
      await lab.run({ args: ["-o", "off", "-n", "n1"], env: { FENCE_LOG: fenceLog } });
      await lab.settled();
      expect(lab.read(fenceLog)).toMatch(/^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] \[[A-Z]+\] .*n1/m);
      expect(lab.names(lab.logDir)).not.toContain("fence-events.log");
    });

    it("says by hand where it is, in one line on stderr", async () => {
      const { stdout, stderr } = await lab.run({ args: ["-o", "off", "-n", "compute-node-2"] });
      expect(stdout).toBe("");
      expect(linesOf(stderr)).toEqual([expect.stringContaining(lab.logDir)]);
      const quiet = await lab.run({ args: ["-o", "off", "-n", "compute-node-2", "-q"] });
      expect({ stdout: quiet.stdout, stderr: quiet.stderr }).toEqual({ stdout: "", stderr: "" });
    });
  });

  describe("list and status", () => {
    it("list prints the cluster's nodes", async () => {
      const { exitCode, stdout } = await lab.run({ args: ["-o", "list"] });
      expect(exitCode).toBe(0);
      const nodes = linesOf(stdout).map((line) => line.split(",")[0]);
      expect(nodes.toSorted()).toEqual(["compute-node-2", "compute-node-3", "rabbit-node-1"]);
    });

    it("list without any cluster tool exits 1 and prints nothing", async () => {
      const { exitCode, stdout, stderr } = await lab.run({ args: ["-o", "list"], env: { PATH: "/usr/bin:/bin" } });
      expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
      expect(stderr).not.toBe("");
    });

    it("status says ON only of a member", async () => {
      const member = await lab.run({ args: ["-o", "status", "-n", "compute-node-3"] });
      expect(member.exitCode).toBe(0);
      expect(member.stdout).toMatch(/\bON\b/);
      const dead = await lab.run({ args: ["-o", "status", "-n", "compute-node-2"] });
      expect(dead.exitCode).toBe(1);
      expect(dead.stdout + dead.stderr).toMatch(/power/i);
      expect(dead.stdout).not.toMatch(/\b(ON|OFF)\b/);
    });
  });
});

liveDescribe("the fence agent's metadata", ["executable"], () => {
  beforeAll(async () => {
    lab = await Lab.openShared();
  });
  afterAll(() => lab.close());

  it("is the checked-in copy", async () => {
    const { exitCode, stdout, stderr } = await lab.run({ args: ["-o", "metadata"] });
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout).toBe(readFileSync(METADATA, "utf8"));
  });

  it("advertises the actions that are safe to advertise", async () => {
    const { stdout } = await lab.run({ stdin: "action=metadata\n" });
    const actions = [...stdout.matchAll(/<action name="([^"]+)"([^>]*)>/g)].map(([, name]) => name);
    expect(actions.toSorted()).toEqual(["metadata", "monitor", "off", "on", "reboot", "validate-all"]);
    expect(stdout).toMatch(/<action name="on"[^>]*automatic="0"/);
  });
});

liveDescribe("the metadata and Pacemaker's schema", ["executable", "xmllint", "fence_dummy"], () => {
  it("is valid", async () => {
    const here = await Lab.open();
    const check = `"$0" -o metadata | xmllint --noout --relaxng /usr/share/cluster/relaxng/metadata.rng - 2>&1`;
    const { exitCode, stdout } = await here.run({
      program: "/bin/sh",
      args: ["-c", check, join(import.meta.dirname, "../../bin/fence_gfs2_recorder")],
    });
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: expect.stringContaining("- validates") });
  });
});

liveDescribe(
  "the fence agent as another user and with a configuration file",
  ["root", "namespaces", "overlayfs", "nsenter", "pacemaker", "executable"],
  () => {
    const asHacluster = ["setpriv", "--reuid=hacluster", "--regid=haclient", "--clear-groups"];

    it("gives metadata as hacluster, with no writable path", async () => {
      const here = await Lab.open();
      const usual = await here.run({ args: ["-o", "metadata"] });
      // A mount of its own for each place that anybody may write to, and none of them may be.
      here.sh(
        `for d in / /tmp /var/tmp; do ! mountpoint -q $d || mount -o remount,bind,ro $d; done; chmod 755 /dev/shm`,
      );
      const env = { HOME: undefined, TMPDIR: undefined, LOG_DIR: undefined, FENCEPOST_CAPTURE: undefined };
      const call = { stdin: "action=metadata\n", prefix: asHacluster, cwd: "/", env, fencer: true };
      const { exitCode, stdout, stderr } = await here.run(call);
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
      expect(stdout).toBe(usual.stdout);
    });

    it("is silent when the fencer calls and all is well: Pacemaker logs stderr as warnings", async () => {
      const here = await Lab.open();
      here.installSafeCluster();
      const stdin = "nodename=compute-node-2\naction=off\nplug=compute-node-2\n";
      const { exitCode, stdout, stderr } = await here.run({ stdin, fencer: true });
      expect({ exitCode, stdout, stderr }).toEqual({ exitCode: 0, stdout: "", stderr: "" });
      expect(await here.eventFor("compute-node-2")).toMatchObject({
        details: "Fence action off initiated by Pacemaker",
        source: "stonith",
        guard: "ok",
      });
    });

    it("validates as hacluster without a crash", async () => {
      const here = await Lab.open();
      const { exitCode, stderr } = await here.run({ stdin: "action=validate-all\n", prefix: asHacluster, cwd: "/" });
      expect([0, 1]).toContain(exitCode);
      expect(stderr).not.toMatch(/^\s+at /m);
    });

    it("takes options over environment over file over default", async () => {
      const here = await Lab.open();
      const places = ["option", "environment", "file"].map((name) => `${here.directory}/${name}`);
      const [option = "", environment = "", file = ""] = places;
      here.sh(`mkdir -m 750 "$@" /var/log/gfs2-fencing`, ...places);
      const off = (target: string, more: string[], env: Record<string, string | undefined>) =>
        here.run({ args: ["-o", "off", "-n", target, ...more], env: { LOG_DIR: undefined, ...env } });
      await off("by-default", [], {});
      await here.eventFor("by-default", "/var/log/gfs2-fencing");
      here.write(
        "/etc/fencepost/fence_gfs2_recorder.conf",
        `# where\nLOG_DIR=${file}\nGFS2_DISCOVERY_ENABLED="false"\n`,
      );
      await off("by-file", [], {});
      expect(await here.eventFor("by-file", file)).toMatchObject({ discovery: { result: "disabled" } });
      await off("by-environment", [], { LOG_DIR: environment, GFS2_DISCOVERY_ENABLED: "true" });
      expect(await here.eventFor("by-environment", environment)).toMatchObject({ discovery: { result: "unknown" } });
      await off("by-option", ["--log-dir", option], { LOG_DIR: environment });
      await here.eventFor("by-option", option);
    });
  },
);
