/**
 * Random stdin for the compiled agent: never a crash, an unhandled exception, or an exit code other than 0, 1, 2.
 * The same in-process and at ten times the number: test/fence/properties.test.ts.
 */
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { captureOf } from "../fakes/captured-cluster.ts";
import { liveDescribe } from "../live/requirements.ts";
import { Lab } from "./lab.ts";

const NAMES = [
  ...[
    "action",
    "plug",
    "port",
    "nodename",
    "no_gfs2_discovery",
    "kubeconfig",
    "discovery_timeout",
    "discovery-timeout",
  ],
  ...[
    "role",
    "quiet",
    "verbose",
    "verbose_level",
    "version",
    "help",
    "plug_separator",
    "separator",
    "delay",
    "hostname",
  ],
  ...["pcmk_host_list", "__proto__", "constructor", "toString", ""],
];
const HARMLESS = ["metadata", "meta-data", "monitor", "list", "list-status", "status", "validate-all", "manpage"];
const ACTIONS = [...HARMLESS, "on", "off", "reboot", "", "Reboot", "explode"];

const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.string({ maxLength: 60 }),
  fc.constantFrom("1", "0", "-1", "true", "off", '"quoted"', '"', "=", "x".repeat(70_000), "1e999", "compute-node-2"),
);
const line = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.constantFrom(...NAMES), text).map(([name, value]) => `${name}=${value}`) },
  { weight: 1, arbitrary: text },
  { weight: 1, arbitrary: fc.constantFrom("#comment", "", " ", "=", "action", "action=", "\r", "\0") },
);
const lines = fc.array(line, { maxLength: 12 }).map((list) => list.join("\n"));

liveDescribe("random input", ["root", "namespaces", "overlayfs", "nsenter", "executable"], () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.openShared({
      standIns: { capture: captureOf("window"), tools: ["dlm_tool", "crm_node", "crm_mon"] },
    });
  });
  afterAll(() => lab.close());

  async function expectCivil(stdin: string): Promise<void> {
    const { exitCode, signal, stderr } = await lab.run({ stdin });
    expect({ signal, exitCode: [0, 1, 2].includes(exitCode ?? -1) }).toEqual({ signal: null, exitCode: true });
    expect(stderr).not.toMatch(/^\s+at |\b(Type|Reference|Range|Syntax)Error\b|unhandled|panic|\/\$bunfs\//im);
    // Pacemaker logs stderr line by line.
    expect(stderr.length).toBeLessThan(8000);
  }

  // The last value wins: whatever came before, these keep a run short and away from the machine's own programs.
  const tame = "\ndelay=0\nkubectl_cmd=/nonexistent\nlog_dir=";

  it("with a harmless action, 500 times", async () => {
    await fc.assert(
      fc.asyncProperty(lines, fc.constantFrom(...HARMLESS), (random, action) =>
        expectCivil(`${random}${tame}${lab.logDir}\naction=${action}\n`),
      ),
      { numRuns: 500, endOnFailure: true },
    );
    await lab.settled();
    expect(lab.detailedLines()).toEqual([]);
  }, 120_000);

  it("with any action, 200 times", async () => {
    await fc.assert(
      fc.asyncProperty(lines, fc.option(fc.constantFrom(...ACTIONS), { freq: 4 }), (random, action) =>
        expectCivil(`${random}${tame}${lab.logDir}\n${action === null ? "" : `action=${action}\n`}`),
      ),
      { numRuns: 200, endOnFailure: true },
    );
    await lab.settled(30_000);
    const events = lab.events(); // every line parses
    expect(lab.readableLines()).toHaveLength(events.length);
  }, 120_000);
});
