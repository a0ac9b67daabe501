/**
 * The alert agent as Pacemaker calls it: as hacluster, with the captured environments and nothing else, many at once.
 * Source: issue 4, point 2; test/fixtures/gfs2-cluster/alerts.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { ALERTS, readAlert } from "../fakes/captured-alerts.ts";
import { liveDescribe } from "../live/requirements.ts";
import { Lab, linesOf, type Outcome, waitFor } from "./lab.ts";

const ALERT = join(import.meta.dirname, "../../bin/alert_gfs2_recorder");
const FENCEPOST = join(import.meta.dirname, "../../bin/fencepost");
const INBOX = "/var/lib/fencepost/inbox";
const HACLUSTER = ["setpriv", "--reuid=hacluster", "--regid=haclient", "--clear-groups"];
const STORM = 200;

type OutcomeLine = {
  event_id: string;
  action: string;
  status: string;
  source: string;
  target_node: string;
  recorded_ms: number;
  operation: Record<string, unknown>;
};

liveDescribe(
  "the alert agent",
  ["root", "namespaces", "overlayfs", "nsenter", "executable", "pacemaker", "logger"],
  () => {
    const openLab = async () => {
      const lab = await Lab.open();
      lab.sh(`mkdir -p ${INBOX}; chmod 755 /var/lib/fencepost; chown hacluster:haclient ${INBOX}; chmod 700 ${INBOX}`);
      return lab;
    };
    const alert = (lab: Lab, env: Record<string, string>): Promise<Outcome> =>
      lab.run({ program: ALERT, prefix: HACLUSTER, env: { ...env, LOG_DIR: undefined } });
    const recover = async (lab: Lab): Promise<void> => {
      const { exitCode, stderr } = await lab.run({ program: FENCEPOST, args: ["recover", "--inbox"] });
      expect(stderr).toBe("");
      expect(exitCode).toBe(0);
    };
    const outcomes = (lab: Lab): OutcomeLine[] =>
      linesOf(lab.read(`${lab.logDir}/fence-outcomes.jsonl`)).map((line) => JSON.parse(line) as OutcomeLine);

    it("leaves one private file in the inbox for each captured fence, and nothing for anything else", async () => {
      for (const name of readdirSync(ALERTS)) {
        const lab = await openLab();
        expect(await alert(lab, readAlert(name)), name).toMatchObject({ exitCode: 0, stdout: "", stderr: "" });
        const files = lab.sh(`cd ${INBOX}; find . -mindepth 1 -printf '%f %m %u %y\\n'`).trim();
        const ref = /ref=([0-9a-f-]{36})/.exec(readAlert(name).CRM_alert_desc ?? "")?.[1];
        expect(files, name).toBe(name.startsWith("fencing-") ? `${ref}.json 600 hacluster f` : "");
      }
    });

    it("has every captured fence recorded once as root merges, with its end and who asked for it", async () => {
      const lab = await openLab();
      const names = readdirSync(ALERTS);
      for (const name of [...names, ...names]) expect((await alert(lab, readAlert(name))).exitCode).toBe(0);
      await recover(lab);
      for (const name of names) await alert(lab, readAlert(name)); // and once more: Pacemaker may tell again
      await recover(lab);
      const lines = outcomes(lab);
      const fences = names.filter((name) => name.startsWith("fencing-")).map((name) => readAlert(name).CRM_alert_desc);
      // Two of the captures are one fence, told of on two nodes.
      expect(lines).toHaveLength(new Set(fences).size);
      expect(lines.map(({ action, status }) => `${action} ${status}`).sort()).toEqual(
        ["off failed", "off failed", "off succeeded", "on succeeded", ...Array(3).fill("reboot succeeded")].sort(),
      );
      for (const { source, target_node, operation, event_id } of lines) {
        expect({ source, target_node }).toEqual({ source: "alert", target_node: "compute-node-2" });
        expect(operation).toMatchObject({ id: event_id, delegate: expect.stringMatching(/-node-/) });
      }
      expect(lab.sh(`ls -A ${INBOX}`)).toBe("");
    });

    it(`records ${STORM} fences that are told of at once, each exactly once`, async () => {
      const lab = await openLab();
      const env = readAlert("fencing-off-ok.on-rabbit-node-1.txt");
      const told = ["kind", "rc", "timestamp_epoch", "timestamp_usec"].map(
        (name) => `CRM_alert_${name}=${env[`CRM_alert_${name}`]}`,
      );
      const id = (number: number) => `3431200e-6236-4310-9ce8-${String(number).padStart(12, "0")}`;
      const before = performance.now();
      lab.sh(
        `for i in $(seq ${STORM}); do
           ref=$(printf '3431200e-6236-4310-9ce8-%012d' $i)
           env -i PATH=/usr/bin:/bin "$@" CRM_alert_node=node$i \\
             "CRM_alert_desc=Operation off of node$i by n1 for stonith_admin.$i@n1: OK (ref=$ref)" \\
             ${HACLUSTER.join(" ")} ${ALERT} 2>>${lab.directory}/errors || echo "$i: $?" >>${lab.directory}/failed &
         done; wait`,
        ...told,
      );
      expect(performance.now() - before).toBeLessThan(28_000);
      expect(lab.read(`${lab.directory}/failed`)).toBeUndefined();
      expect(lab.read(`${lab.directory}/errors`) ?? "").toBe("");
      await recover(lab);
      await recover(lab);
      const lines = outcomes(lab);
      const expected = Array.from({ length: STORM }, (_, index) => id(index + 1));
      expect(lines.map(({ event_id }) => event_id).sort()).toEqual(expected);
      expect(lines.map(({ target_node }) => target_node).sort()).toEqual(
        Array.from({ length: STORM }, (_, index) => `node${index + 1}`).sort(),
      );
      const times = lines.map(({ recorded_ms }) => recorded_ms);
      expect(times).toEqual([...times].sort((a, b) => a - b));
      expect(lab.sh(`ls -A ${INBOX}`)).toBe("");
    });

    it.each([
      ["is missing", `rmdir ${INBOX}`],
      ["is not hacluster's", `chown root:root ${INBOX}`],
      ["is read-only", `mount -t tmpfs -o ro none ${INBOX}`],
      ["is full", `mount -t tmpfs -o size=4k,nr_inodes=1,mode=777 none ${INBOX}`],
    ])("gives syslog the whole outcome and fails when the inbox %s", async (_, spoil) => {
      const lab = await openLab();
      const syslog = await lab.listenToSyslog("devlog");
      lab.sh(spoil);
      const { exitCode, stderr } = await alert(lab, readAlert("fencing-off-failed.on-rabbit-node-1.txt"));
      expect(exitCode).toBeGreaterThan(0);
      expect(stderr).toMatch(/inbox: outcome not written: .*; syslog has it\ntry: ls -ld/s);
      const json = await waitFor("syslog's line", () => /OUTCOME=(\{.*\})\n/.exec(syslog.text())?.[1]);
      expect(JSON.parse(json)).toMatchObject({
        event_id: "e0d1c336-5bb6-44ab-b207-015a425f3639",
        status: "failed",
        operation: { rc: -61, client: "stonith_admin.6350" },
      });
    });

    it("says all of it itself where there is no syslog either", async () => {
      const lab = await openLab();
      lab.sh(`rmdir ${INBOX}`);
      const { exitCode, stderr } = await alert(lab, readAlert("fencing-off-failed.on-rabbit-node-1.txt"));
      expect(exitCode).toBeGreaterThan(0);
      expect(stderr).toContain('"event_id":"e0d1c336-5bb6-44ab-b207-015a425f3639"');
    });

    it("gives syslog what Pacemaker said when that is no fence it knows", async () => {
      const lab = await openLab();
      const syslog = await lab.listenToSyslog("devlog");
      const env = { CRM_alert_kind: "fencing", CRM_alert_desc: "Fencing\nof a kind", CRM_alert_rc: "0" };
      expect((await alert(lab, env)).exitCode).toBeGreaterThan(0);
      await waitFor("syslog's line", () => syslog.text().endsWith("\n") || undefined);
      expect(syslog.text()).toContain("Fencing\\nof a kind");
      expect(lab.sh(`ls -A ${INBOX}`)).toBe("");
    });

    it("tells syslog of nodes and resources when it is asked to, and the inbox never", async () => {
      const lab = await openLab();
      const syslog = await lab.listenToSyslog("devlog");
      const lost = readAlert("node-lost.on-rabbit-node-1.txt");
      expect(await alert(lab, { ...lost, kinds: "resource, node" })).toMatchObject({ exitCode: 0, stderr: "" });
      await waitFor("syslog's line", () => syslog.text().endsWith("\n") || undefined);
      expect(syslog.text()).toMatch(/alert_gfs2_recorder\[\d+\]: ALERT .*"CRM_alert_desc":"lost"/);
      const before = syslog.text().length;
      expect((await alert(lab, { ...lost, kinds: "resource" })).exitCode).toBe(0);
      expect((await alert(lab, { ...lost, kinds: "nodes" })).stderr).toContain("kinds: 'nodes' is none of");
      expect(syslog.text()).toHaveLength(before);
      expect(lab.sh(`ls -A ${INBOX}`)).toBe("");
    });

    it("is not for calling by hand", async () => {
      const lab = await openLab();
      expect(await alert(lab, {})).toMatchObject({
        exitCode: 64,
        stderr: expect.stringContaining("pcs alert create id=fencepost-alert "),
      });
      const help = await lab.run({ program: ALERT, args: ["--help"] });
      expect(help).toMatchObject({
        exitCode: 0,
        stdout: expect.stringContaining("pcs alert create id=fencepost-alert "),
      });
    });

    it("shows up in analyze as the end of the fence that the recorder wrote down", async () => {
      const lab = await openLab();
      const event = (time_ms: number, action: string) => ({
        timestamp: new Date(time_ms).toISOString().replace(/\.\d+Z/, "Z"),
        action,
        target_node: "compute-node-2",
        gfs2_filesystems: ["gfs2-scratch"],
        status: "initiated",
        details: `Fence action ${action} initiated by Pacemaker`,
        recorder_node: "rabbit-node-1",
        pacemaker_action: action,
        schema: 1,
        event_id: `019aa0aa-0000-7000-8000-${String(time_ms).slice(-12)}`.padEnd(36, "0"),
        time_ms,
        recorded_ms: time_ms,
        source: "stonith",
        discovery: { result: "found", method: "dlm", elapsed_ms: 100, attempts: [] },
      });
      // The reboot of run 1, an off by hand that succeeded and one that failed: when the recorder would have been called.
      const times: [string, string][] = [
        ["10:43:55", "off"],
        ["10:44:07", "on"],
        ["10:52:50", "off"],
        ["10:54:51", "off"],
      ];
      const lines = times.map(([time, action]) => JSON.stringify(event(Date.parse(`2026-11-20T${time}Z`), action)));
      lab.write(`${lab.logDir}/fence-events-detailed.jsonl`, `${lines.join("\n")}\n`);
      for (const name of [
        "fencing-reboot-ok.on-rabbit-node-1",
        "fencing-reboot-ok-merged-duplicate.on-compute-node-3",
        "fencing-off-ok.on-rabbit-node-1",
        "fencing-off-failed.on-rabbit-node-1",
      ])
        await alert(lab, readAlert(`${name}.txt`));
      await recover(lab);
      const { stdout, stderr } = await lab.run({
        program: FENCEPOST,
        args: ["analyze", "incidents", "--json", lab.logDir],
      });
      expect(stderr).toBe("");
      const incidents = linesOf(stdout).map((line) => JSON.parse(line) as { lines: { source: string }[] });
      expect(incidents).toMatchObject([
        {
          action: "reboot",
          actions: ["off", "on"],
          result: "succeeded",
          clients: ["stonith-api.1964@rabbit-node-1", "pacemaker-controld.382@compute-node-3"],
          delegate: "rabbit-node-1",
          gfs2_filesystems: ["gfs2-scratch"],
          completed_ms: 1_795_171_448_217,
        },
        { action: "off", result: "succeeded", delegate: "rabbit-node-1", recorded: true },
        { action: "off", result: "failed", clients: ["stonith_admin.6350@rabbit-node-1"], reason: "Error" },
      ]);
      expect(incidents[0]?.lines.map(({ source }) => source)).toEqual(["stonith", "stonith", "alert", "alert"]);
      const why = await lab.run({ program: FENCEPOST, args: ["analyze", "why", "compute-node-2", lab.logDir] });
      expect(why.stdout).toContain("stonith_admin.6350");
    });
  },
);
