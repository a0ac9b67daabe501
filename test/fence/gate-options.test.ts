/** What role=gate is told and what the guard makes of it. */
import { describe, expect, it } from "vitest";
import { parseCib } from "../../src/discovery/cib.ts";
import { guardVerdict, unsafeDeployment } from "../../src/fence/guard.ts";
import { parseArgv, parseStdin, resolveOptions } from "../../src/fence/options.ts";

const resolve = (lines: readonly string[], env: Record<string, string> = {}, file?: string) =>
  resolveOptions(parseStdin(["action=off", "nodename=n", ...lines].join("\n")), env, () => file);
const gate = (lines: readonly string[], env: Record<string, string> = {}, file?: string) =>
  resolve(["role=gate", ...lines], env, file);

describe("the options of role=gate", () => {
  it("have the originals' defaults", () => {
    expect(gate([])).toMatchObject({
      role: "gate",
      refusal: undefined,
      invalid: [],
      gate: {
        requestDir: "/var/run/fence_recorder/requests",
        responseDir: "/var/run/fence_recorder/responses",
        timeoutMs: 60_000,
        pollMs: 500,
        maxAgeMs: 300_000,
        delayMs: 0,
      },
    });
  });

  it("are the same under fence_recorder's and fence_dummy's names, from stdin and argv", () => {
    const expected = { requestDir: "/q", responseDir: "/a", timeoutMs: 7_000, pollMs: 100 };
    const more = ["recorder_timeout=7", "recorder_poll_interval=0.1"];
    expect(gate(["request_dir=/q", "response_dir=/a", ...more]).gate).toMatchObject(expected);
    expect(gate(["request-path=/q/.", "response_path=/x/../a", ...more]).gate).toMatchObject(expected);
    const words = "-o off -n n --role gate --request-path=/q --response-dir /a --recorder-timeout 7s".split(" ");
    const argv = parseArgv([...words, "--recorder-poll-interval=0.1", "--log-path=/l"]);
    expect(resolveOptions(argv, {}, () => undefined)).toMatchObject({ gate: expected, logDir: "/l" });
  });

  it("come from options, then the environment, then the file", () => {
    const env = { NNF_FENCE_REQUEST_DIR: "/env/q", FENCE_TIMEOUT: "20", POLL_INTERVAL: "2" };
    const file =
      "NNF_FENCE_REQUEST_DIR=/file/q\nNNF_FENCE_RESPONSE_DIR=/file/a\nFENCE_TIMEOUT=30\nCLEANUP_MAX_AGE=600\n";
    expect(gate(["recorder_timeout=10"], env, file).gate).toEqual({
      requestDir: "/env/q",
      responseDir: "/file/a",
      timeoutMs: 10_000,
      pollMs: 2_000,
      maxAgeMs: 600_000,
      delayMs: 0,
    });
  });

  it("that are no numbers are warned about and defaults taken; directories have no default then", () => {
    const { gate: taken, invalid } = gate(["recorder_timeout=soon", "recorder_poll_interval=0", "request_dir=q"]);
    expect(taken).toMatchObject({ timeoutMs: 60_000, pollMs: 500, requestDir: "" });
    expect(invalid).toHaveLength(3);
  });

  it("mean nothing to a recorder, valid or not", () => {
    const options = resolve(["request_dir=q"], { FENCE_TIMEOUT: "soon" });
    expect(options).toMatchObject({ role: "record", gate: undefined, invalid: [] });
  });
});

describe("the guard and a gate", () => {
  const role = (value: string) =>
    `<instance_attributes id="ia"><nvpair id="nv" name="role" value="${value}"/></instance_attributes>`;
  const cib = (devices: string, value = "gate") =>
    parseCib(
      `<cib><configuration><crm_config/><nodes><node id="1" uname="node1"/></nodes><resources>
       <primitive id="gate" class="stonith" type="fence_gfs2_recorder">${role(value)}</primitive>
       <primitive id="rec" class="stonith" type="fence_gfs2_recorder"/></resources>
       <fencing-topology><fencing-level id="l" target="node1" index="1" devices="${devices}"/></fencing-topology></configuration></cib>`,
    );

  it("a gate beside a recorder is the device that fences", () => {
    expect(guardVerdict(cib("gate,rec"), "node1")).toEqual({
      verdict: "ok",
      reason: "topology of node1: level 1 holds gate",
    });
  });

  it("a gate alone is a node's fence device, and no unsafe deployment", () => {
    expect(unsafeDeployment(cib("gate"))).toEqual([]);
    expect(unsafeDeployment(cib("rec"))).toEqual([expect.stringMatching(/^node1: unsafe: /)]);
  });

  it.each(["Gate", "record", "gate ", ""])("role %j makes no gate", (value) => {
    expect(guardVerdict(cib("gate,rec", value), "node1").verdict).toBe("unsafe");
  });
});
