import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OpsError } from "../../src/core/errors.ts";
import { runFenceAgent } from "../../src/fence/agent.ts";
import { ACTIONS, OPTIONS } from "../../src/fence/options.ts";
import { bareHost } from "./bare-host.ts";

type Answer = { code: number; out: string; err: string };

/** The agent with a writer that dies at once, so that every way out of every action is taken. */
async function ask(stdin: string, env: Record<string, string> = {}, argv: string[] = []): Promise<Answer> {
  let out = "";
  let err = "";
  const code = await runFenceAgent({
    argv,
    readStdin: async () => stdin,
    env,
    loadHost: async () => bareHost,
    self: ["true"],
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
  }).catch((error: unknown) => {
    if (!(error instanceof OpsError)) throw error;
    err += error.message;
    return 1;
  });
  return { code, out, err };
}

const BY_FENCER = { PCMK_service: "pacemaker-fenced" };

it("never crashes and never ends with another code than 0, 1 or 2, whatever stdin holds", async () => {
  const name = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.constantFrom(...OPTIONS.map((option) => option.name), "nodename", "port", "option", "agent"),
    },
    fc.string(),
  );
  const value = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.constantFrom<string>(...ACTIONS, "meta-data", "node1", "1", "true", "0", "/tmp", "record", ""),
    },
    fc.string({ unit: "binary" }),
    fc.string(),
  );
  const line = fc.oneof(
    { weight: 6, arbitrary: fc.tuple(name, value).map(([left, right]) => `${left}=${right}`) },
    fc.string({ unit: "binary" }),
    fc.constantFrom("", "#", "=", "==", "\u0000", "action", "plug"),
  );
  const input = fc
    .tuple(fc.array(line, { maxLength: 8 }), fc.constantFrom("\n", "\r\n", "\n\n"))
    .map(([lines, end]) => lines.join(end));
  await fc.assert(
    fc.asyncProperty(input, fc.boolean(), async (stdin, byFencer) => {
      const { code, err } = await ask(stdin, byFencer ? BY_FENCER : {});
      expect([0, 1, 2]).toContain(code);
      expect(err.split("\n").filter((message) => /^\s+at /.test(message))).toEqual([]);
    }),
    { numRuns: 20_000 },
  );
}, 280_000);

it("does not fail a fence because nothing could be written, and says the whole event on stderr", async () => {
  const fenced = await ask("action=on\nnodename=node3", BY_FENCER);
  expect(fenced.code).toBe(0);
  expect(fenced.err).toContain('"target_node":"node3"');
});

it("fails by hand when nothing could be written", async () => {
  expect((await ask("action=off\nnodename=node3")).code).toBe(1);
});

it("refuses where it cannot know whether it may vouch, and only for off and reboot", async () => {
  for (const action of ["off", "reboot"]) {
    const { code, err } = await ask(`action=${action}\nnodename=node3`, BY_FENCER);
    expect(code).toBe(1);
    expect(err).toMatch(new RegExp(`${action} of node3 refused: `));
    expect(err).toContain('"guard":"unknown"');
  }
});

it("gives metadata without asking for the world", async () => {
  const loadHost = () => Promise.reject(new Error("metadata must not need a host"));
  const call = { argv: [], env: {}, self: ["true"] as const, loadHost, err: () => undefined };
  for (const stdin of [
    "action=metadata",
    "action=meta-data\nlog_dir=relative",
    "action=manpage",
    "help=1",
    "version=1",
  ]) {
    let said = "";
    const code = await runFenceAgent({
      ...call,
      readStdin: async () => stdin,
      out: (text) => {
        said += text;
      },
    });
    expect(code).toBe(0);
    expect(said).not.toBe("");
  }
});

it("advertises what Pacemaker may rely on and neither list nor status", async () => {
  const { out } = await ask("action=metadata");
  const actions = [...out.matchAll(/<action name="([^"]+)"/g)].map(([, action]) => action);
  expect(actions).toEqual(["on", "off", "reboot", "monitor", "metadata", "validate-all"]);
  expect(out).toContain('<action name="on" automatic="0" />');
});

it.each(["list", "list-status", "status", "monitor"])("%s without a cluster fails with a reason", async (action) => {
  const { code, err, out } = await ask(`action=${action}\nplug=node1`);
  expect(code).toBe(1);
  expect(out).toBe("");
  expect(err).not.toBe("");
});

it.each(["on", "off", "reboot", "status"])("%s needs a node", async (action) => {
  const { code, err } = await ask(`action=${action}`);
  expect(code).toBe(1);
  expect(err).toMatch(/no node/);
});

describe("a typing error in a setting", () => {
  it("does not keep a node from being fenced, and says so", async () => {
    const { code, err } = await ask("action=on\nnodename=n\nlog_dir=relative", BY_FENCER);
    expect(code).toBe(0);
    expect(err).toMatch(/log_dir: 'relative' is not an absolute path; using/);
  });

  it("is told to a person before anything is written", async () => {
    await expect(ask("action=on\nnodename=n\nlog_dir=relative")).resolves.toMatchObject({
      code: 1,
      err: expect.stringMatching(/^log_dir: /),
    });
  });

  it("in the role lets nothing be vouched for, and the event says why", async () => {
    const { code, err } = await ask("action=off\nnodename=n\nrole=judge", BY_FENCER);
    expect(code).toBe(1);
    expect(err).toContain('"status":"refused"');
    expect(err).toContain("role 'judge' is not known");
  });
});

it("keeps a hostile node name on one line of stderr", async () => {
  const { err } = await ask("action=off\nnodename=x\u001b[31m", BY_FENCER);
  expect(err).not.toContain("\u001b");
});

it("says the whole event even when it is to be quiet and nothing could be written", async () => {
  expect((await ask("action=on\nnodename=n\nquiet=1", BY_FENCER)).err).toContain('"target_node":"n"');
});
