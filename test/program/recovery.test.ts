/**
 * What was left behind is recovered by root's next fence action, into the log it belongs to, or, where that log is gone,
 * into the one that the node keeps now. Source: SPEC 3 "Durability".
 */
import { expect, it } from "vitest";
import { liveDescribe } from "../live/requirements.ts";
import { Lab, waitFor } from "./lab.ts";

const NEEDS = ["root", "namespaces", "overlayfs", "nsenter", "executable"] as const;
const on = (target: string) => ({ stdin: `nodename=${target}\naction=on\nno_gfs2_discovery=1\n`, fencer: true });

liveDescribe("recovery", NEEDS, () => {
  it("brings what was spooled for a log directory that is gone into the one that replaced it, once", async () => {
    const lab = await Lab.open();
    expect((await lab.run({ ...on("stranded"), env: { LOG_DIR: "/no/such/log" } })).exitCode).toBe(0);
    await waitFor("the spooled event", () => lab.spooledFor("stranded")[0]);
    await lab.settled();
    for (const target of ["first", "second"]) {
      expect((await lab.run(on(target))).exitCode).toBe(0);
      await lab.eventFor(target);
      await lab.settled();
    }
    expect(lab.eventsFor("stranded")).toHaveLength(1);
    expect(lab.readableLines().filter((line) => line.includes("TARGET=stranded "))).toHaveLength(1);
    expect(lab.spooled()).toEqual([]);
  });

  it("puts an event into its own log where that is there again, although another is kept now", async () => {
    const lab = await Lab.open();
    const other = `${lab.directory}/other`;
    await lab.run({ ...on("elsewhere"), env: { LOG_DIR: other } });
    await waitFor("the spooled event", () => lab.spooledFor("elsewhere")[0]);
    await lab.settled();
    lab.sh(`mkdir ${other}`);
    await lab.run(on("here"));
    await lab.eventFor("elsewhere", other);
    await lab.settled();
    expect(lab.eventsFor("elsewhere")).toEqual([]);
    expect(lab.spooled()).toEqual([]);
  });

  it("says what to do when the log directory is not there", async () => {
    const lab = await Lab.open();
    const { stderr } = await lab.run({ ...on("n"), env: { LOG_DIR: "/no/such/log" } });
    expect(stderr).toContain("/no/such/log: no such directory; try: install -d");
  });

  it("is not done by a call of another user than root", async () => {
    const lab = await Lab.open();
    lab.sh(`rmdir ${lab.logDir}`);
    await lab.run(on("spooled"));
    await waitFor("the spooled event", () => lab.spooledFor("spooled")[0]);
    await lab.settled();
    lab.sh(`mkdir -m 777 ${lab.logDir}; mkdir -m 777 ${lab.logDir}/.intents; chmod 755 ${lab.directory}
      cp /var/lib/fencepost/spool/*.json ${lab.logDir}/.intents/; chmod 644 ${lab.logDir}/.intents/*`);
    const { exitCode } = await lab.run({
      args: ["-o", "on", "-n", "mine", "--no-gfs2-discovery"],
      prefix: ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
    });
    expect(exitCode).toBe(0);
    await lab.eventFor("mine");
    await lab.settled();
    expect(lab.eventsFor("spooled")).toEqual([]);
  });
});

liveDescribe("the log's files", NEEDS, () => {
  it("belong to the group of their directory", async () => {
    const lab = await Lab.open();
    lab.sh(`chgrp 1 ${lab.logDir}`);
    await lab.run(on("n"));
    await lab.eventFor("n");
    await lab.settled();
    const owners = lab.sh(`stat -c '%u:%g %a' ${lab.logDir}/fence-*`).trim().split("\n");
    expect(new Set(owners)).toEqual(new Set(["0:1 640"]));
  });

  it("do without the operational log where FENCE_LOG cannot be written, and monitor says so", async () => {
    const lab = await Lab.open();
    const env = { FENCE_LOG: "/no/such/place.log" };
    const { exitCode } = await lab.run({ ...on("n"), env });
    expect(exitCode).toBe(0);
    await lab.eventFor("n");
    await lab.settled();
    expect(lab.spooled()).toEqual([]);
    const monitor = await lab.run({ args: ["-o", "monitor"], env });
    expect(monitor).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("FENCE_LOG /no/such/place.log: ") });
  });
});
