/**
 * The source document's test scenarios and its analysis lines, word for word, on the installed name and the default
 * directory, with the captured cluster behind them.
 * Source: seeds/004 "Testing Scenarios" and "Log Analysis".
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { captureOf } from "../fakes/captured-cluster.ts";
import { liveDescribe } from "../live/requirements.ts";
import { AGENT, Lab, type Outcome } from "./lab.ts";

const LOG_DIR = "/var/log/gfs2-fencing";

liveDescribe(
  "the source document's scenarios",
  ["root", "namespaces", "overlayfs", "nsenter", "jq", "executable"],
  () => {
    let lab: Lab;
    const shell = (line: string): Promise<Outcome> =>
      lab.run({ program: "/bin/sh", args: ["-c", line], env: { LOG_DIR: undefined } });

    beforeAll(async () => {
      lab = await Lab.openShared({ standIns: { capture: captureOf("failed") } });
      lab.sh(`ln -s "$1" /usr/sbin/fence_gfs2_recorder; mkdir -m 750 ${LOG_DIR}`, AGENT);
    });
    afterAll(() => lab.close());

    it("1: normal operation", async () => {
      const { exitCode } = await shell(
        "env GFS2_DISCOVERY_ENABLED=true /usr/sbin/fence_gfs2_recorder -o reboot -n compute-node-2",
      );
      expect(exitCode).toBe(0);
      expect(await lab.eventFor("compute-node-2", LOG_DIR)).toMatchObject({
        action: "reboot",
        gfs2_filesystems: ["gfs2-project", "gfs2-scratch"],
        discovery: { result: "found", scope: "target" },
      });
    });

    it("2: compute node unreachable", async () => {
      const { exitCode } = await shell("/usr/sbin/fence_gfs2_recorder -o reboot -n unreachable-node");
      expect(exitCode).toBe(0);
      const event = await lab.eventFor("unreachable-node", LOG_DIR);
      expect(event.gfs2_filesystems).toEqual(["none-detected"]);
      expect(["none", "unknown"]).toContain(event.discovery.result);
      expect(event.discovery.attempts.length).toBeGreaterThan(0);
    });

    it("3: discovery disabled", async () => {
      const { exitCode } = await shell(
        "env GFS2_DISCOVERY_ENABLED=false /usr/sbin/fence_gfs2_recorder -o off -n compute-node-3",
      );
      expect(exitCode).toBe(0);
      expect(await lab.eventFor("compute-node-3", LOG_DIR)).toMatchObject({
        action: "off",
        gfs2_filesystems: ["discovery-disabled"],
        discovery: { result: "disabled", attempts: [] },
      });
    });

    it("4: network partition", async () => {
      const { exitCode } = await shell("/usr/sbin/fence_gfs2_recorder -o reboot -n unreachable-target-test");
      expect(exitCode).toBe(0);
      await lab.eventFor("unreachable-target-test", LOG_DIR);
      await lab.settled();
    });

    it.each([
      [
        `grep "compute-node-3" ${LOG_DIR}/fence-events-readable.log`,
        /^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] ACTION=off TARGET=compute-node-3 GFS2=\["discovery-disabled"\] STATUS=initiated DETAILS=Fence action off requested by hand\n$/,
      ],
      [
        `jq -r 'select(.target_node == "compute-node-3") | .gfs2_filesystems[]' ${LOG_DIR}/fence-events-detailed.jsonl`,
        /^discovery-disabled\n$/,
      ],
      [
        `jq -r 'select(.target_node == "compute-node-2") | .gfs2_filesystems[]' ${LOG_DIR}/fence-events-detailed.jsonl`,
        /^gfs2-project\ngfs2-scratch\n$/,
      ],
      [`jq -r '.action' ${LOG_DIR}/fence-events-detailed.jsonl | sort | uniq -c`, /^ +1 off\n +3 reboot\n$/],
      [`tail -n 1 ${LOG_DIR}/fence-events-readable.log`, /^\[.*\] ACTION=reboot TARGET=unreachable-target-test /],
    ])("analysis: %s", async (line, answer) => {
      const { exitCode, stdout, stderr } = await shell(line);
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
      expect(stdout).toMatch(answer);
    });
  },
);
