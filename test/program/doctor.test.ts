/** `fencepost doctor` as the built executable: words, exit codes, both shapes of output, and a machine full of hazards. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CHECKS } from "../../src/doctor/run.ts";
import { FIXTURES } from "../doctor/diagnose.ts";
import { EXECUTABLE, liveDescribe } from "../live/requirements.ts";
import { Lab } from "./lab.ts";

type Json = {
  version: number;
  verdict: string;
  configuration: string;
  findings: {
    id: string;
    severity: string;
    object: string;
    what: string;
    why: string;
    mend: Record<string, string[]>;
  }[];
  unchecked: { id: string; reason: string }[];
  passed: string[];
  left_out: string[];
};

const cib = (name: string) => join(FIXTURES, `${name}.xml`);
/** The agents that the files name need not be installed here. */
const WITHOUT_AGENTS = ["--skip", "power-without-on"];

const doctor = (words: readonly string[], { input = "", columns = "" } = {}) =>
  spawnSync(EXECUTABLE, ["doctor", ...words], {
    encoding: "utf8",
    input,
    timeout: 60_000,
    env: { PATH: "/usr/sbin:/usr/bin:/bin", LC_ALL: "C.UTF-8", ...(columns === "" ? {} : { COLUMNS: columns }) },
  });

liveDescribe("fencepost doctor", ["executable"], () => {
  it.each([
    ["deployment-alert", 0, "clean: 0 errors, 0 warnings, 0 notes"],
    ["deployment-topology", 0, "clean: 0 errors, 0 warnings, 1 note"],
    ["hazard-recorder-own-level-only", 107, "error recorder-own-level level 1 of compute-node-3"],
    ["hazard-recorder-first", 1, "warning recorder-first level 1 of compute-node-2"],
  ])("says of %s by its exit code: %i", (name, status, words) => {
    const fromFile = doctor(["--cib", cib(name), ...WITHOUT_AGENTS]);
    expect(fromFile).toMatchObject({ status, stderr: "" });
    expect(fromFile.stdout).toContain(words);
    expect(fromFile.stdout).not.toContain("\u001b");
    const fromStdin = doctor(["--cib", "-", ...WITHOUT_AGENTS], { input: readFileSync(cib(name), "utf8") });
    expect(fromStdin).toMatchObject({ status, stderr: "" });
    expect(fromStdin.stdout).toContain("(configuration: stdin)");
  });

  it("prints one JSON object with everything a program needs", () => {
    const { stdout, status } = doctor(["--json", "--cib", cib("hazard-recorder-own-level-only"), ...WITHOUT_AGENTS]);
    const json = JSON.parse(stdout) as Json;
    expect(status).toBe(107);
    expect(Object.keys(json)).toEqual([
      "version",
      "verdict",
      "configuration",
      "findings",
      "unchecked",
      "passed",
      "left_out",
    ]);
    expect(json).toMatchObject({ version: 1, verdict: "unsafe", unchecked: [] });
    expect(json.findings[0]).toEqual({
      id: "recorder-alone",
      severity: "error",
      object: "compute-node-3",
      what: "topology level 1 of compute-node-3 holds only the recorder gfs2-recorder",
      why: expect.stringContaining("GFS2 would recover a journal"),
      mend: {
        pcs: [
          "pcs stonith level remove 1 target compute-node-3",
          "pcs stonith level add 1 compute-node-3 power-compute-node-3 gfs2-recorder",
        ],
        crmsh: [expect.stringContaining("| crm configure")],
        shell: [],
      },
    });
    const all = [...json.passed, ...json.left_out, ...json.findings.map(({ id }) => id)];
    expect([...new Set(all)].sort()).toEqual(CHECKS.map(({ id }) => id).sort());
  });

  it("keeps prose within 80 columns and commands whole", () => {
    const { stdout } = doctor(["--cib", cib("hazard-recorder-alone")], { columns: "80" });
    const long = stdout.split("\n").filter((line) => line.length > 80);
    expect(long.length).toBeGreaterThan(0);
    for (const line of long) expect(line).toMatch(/^ {4}(pcs|crm|printf) /);
  });

  it("runs the checks that are asked for, and names those that are not", () => {
    const only = JSON.parse(
      doctor(["--json", "--cib", cib("hazard-recorder-first"), "--only", "recorder-alone,meta-env"]).stdout,
    ) as Json;
    expect(only).toMatchObject({ verdict: "clean", passed: ["recorder-alone", "meta-env"] });
    expect(only.left_out).toContain("recorder-first");
    const skipped = doctor(["--cib", cib("hazard-recorder-first"), "--skip", "recorder-first", ...WITHOUT_AGENTS]);
    expect(skipped.status).toBe(0);
  });

  it.each([
    [["--only", "nonsense"], 64, "no such check: 'nonsense'"],
    [["--nonsense"], 64, "nonsense"],
    [["nonsense"], 64, "nonsense"],
    [["--cib", "/nonexistent.xml"], 65, "--cib /nonexistent.xml: no such file"],
    [["--cib", "/etc/passwd"], 65, "not well-formed XML"],
    [["--cib", "-"], 65, "--cib stdin:"],
  ])("refuses %j with exit %i", (words, status, said) => {
    const result = doctor(words);
    expect(result).toMatchObject({ status, stdout: "" });
    expect(result.stderr).toContain(said);
  });

  it("lists every check and the exit codes in its help", () => {
    const { stdout, status } = doctor(["--help"], { columns: "80" });
    expect(status).toBe(0);
    for (const { id } of CHECKS) expect(stdout).toMatch(new RegExp(`^  ${id} `, "m"));
    expect(stdout).toMatch(/107 data can be\s+corrupted/);
    expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
  });
});

liveDescribe("doctor on a machine", ["root", "namespaces", "overlayfs", "nsenter", "executable"], () => {
  const MACHINE = CHECKS.filter(({ about }) => about === "machine").map(({ id }) => id);
  const examine = async (lab: Lab, ...words: string[]): Promise<Json> => {
    const { stdout } = await lab.run({ program: EXECUTABLE, args: ["doctor", "--json", ...words] });
    return JSON.parse(stdout) as Json;
  };

  describe("where everything is as the package makes it", () => {
    it("finds nothing wrong with log, rotation, spool and inbox", async () => {
      const lab = await Lab.open();
      lab.installSafeCluster();
      lab.sh("install -d -o root -g haclient -m 0750 /var/log/gfs2-fencing");
      lab.write(
        "/etc/logrotate.d/fencepost",
        "/var/log/gfs2-fencing/*.log /var/log/gfs2-fencing/*.jsonl {\n create\n}\n",
      );
      const ids = ["log-filesystem", "log-directory", "log-space", "rotation", "spool", "leftovers", "inbox", "skew"];
      const json = await examine(lab, "--only", ids.join(","));
      expect(json.findings).toEqual([]);
      expect(json).toMatchObject({ verdict: "clean", configuration: "running cluster" });
      expect(json.passed.sort()).toEqual(ids.sort());
    });
  });

  it("names each hazard of a neglected node", async () => {
    const lab = await Lab.open();
    lab.installSafeCluster();
    lab.sh(`install -d -m 0777 -o nobody /var/log/gfs2-fencing
      install -d -m 0700 /var/lib/fencepost/spool /var/lib/fencepost/inbox /var/log/gfs2-fencing/.intents /run/fencepost
      touch -d '2 hours ago' /var/lib/fencepost/spool/a.json /var/lib/fencepost/inbox/b.json /var/log/gfs2-fencing/.intents/c.json`);
    lab.write("/etc/logrotate.d/mine", "/var/log/gfs2-fencing/*.jsonl {\n daily\n copytruncate\n}\n");
    lab.write("/etc/fencepost/fence_gfs2_recorder.conf", "LOG_DIRECTORY=/x\n");
    lab.write(
      "/run/fencepost/health.json",
      `${JSON.stringify({ version: 1, checked_at: new Date().toISOString(), can_record: true, findings: ["syslog: gone"] })}\n`,
    );
    const event = { recorder_node: "rabbit-9", agent_version: "0.0.1", recorded_ms: Date.now() + 3_600_000 };
    lab.write("/var/log/gfs2-fencing/fence-events-detailed.jsonl", `${JSON.stringify(event)}\n`);
    const json = await examine(lab, "--only", MACHINE.join(","));
    expect(json.verdict).toBe("warnings");
    const found = new Set(json.findings.filter(({ severity }) => severity === "warning").map(({ id }) => id));
    for (const id of ["log-directory", "rotation", "spool", "leftovers", "inbox", "settings", "health"]) {
      expect(found, id).toContain(id);
    }
    for (const id of ["skew", "agent-versions"]) expect(found, id).toContain(id);
    // No systemd and no time daemon in here: what cannot be asked is named, not passed.
    expect(json.unchecked.map(({ id }) => id)).toEqual(expect.arrayContaining(["timer", "clock"]));
    expect(json.passed).not.toContain("clock");
  });

  it("that is no cluster node has the cluster's checks unchecked, by name", async () => {
    const lab = await Lab.open();
    const result = await lab.run({
      program: EXECUTABLE,
      args: ["doctor", "--json", "--only", "recorder-alone,meta-env"],
    });
    expect(result.exitCode).toBe(74);
    const json = JSON.parse(result.stdout) as Json;
    expect(json.verdict).toBe("unchecked");
    expect(json.unchecked.map(({ id }) => id)).toEqual(["recorder-alone", "meta-env"]);
    expect(json.passed).toEqual([]);
  });
});
