/**
 * Log directories that cannot take an event: full, read-only, missing, taken away, hung, on a filesystem that may hang.
 * The agent returns in time, the event waits in the spool (and syslog has heard of it), and it is in the log once,
 * when the directory is back. Called as the fencer does, with a safe topology, where that decides the exit code.
 * Source: SPEC 3 "Durability".
 */
import { mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { expect, it } from "vitest";
import { captureOf } from "../fakes/captured-cluster.ts";
import { EXECUTABLE, liveDescribe } from "../live/requirements.ts";
import { AGENT, type Call, Lab, waitFor } from "./lab.ts";

const TARGET = "compute-node-2";
const OFF: Call = { stdin: `nodename=${TARGET}\naction=off\nplug=${TARGET}\n`, fencer: true };

/** The event is not in the log but in the spool, the syslog socket has heard of it, and nobody was kept waiting. */
async function expectSpooled(lab: Lab, elapsedMs: number): Promise<void> {
  await waitFor("the spooled event", () => lab.spooledFor(TARGET)[0]);
  expect(lab.spooledFor(TARGET)).toHaveLength(1);
  expect(elapsedMs).toBeLessThan(2500);
}

/** One more call, for another node, brings the spooled event into the log, once, and empties the spool. */
async function expectDrainedOnce(lab: Lab): Promise<void> {
  const { exitCode } = await lab.run({ args: ["-o", "on", "-n", "the-next"] });
  expect(exitCode).toBe(0);
  await lab.eventFor("the-next");
  await lab.eventFor(TARGET);
  await lab.settled();
  await lab.run({ args: ["-o", "on", "-n", "one-more"] });
  await lab.eventFor("one-more");
  await lab.settled();
  expect(lab.eventsFor(TARGET)).toHaveLength(1);
  expect(lab.readableLines().filter((line) => line.includes(`TARGET=${TARGET} `))).toHaveLength(1);
  expect(lab.spooled()).toEqual([]);
  expect(lab.intents()).toEqual([]);
}

type Trouble = {
  name: string;
  make: (lab: Lab) => void;
  mend: (lab: Lab) => void;
  logDir?: "memory" | { tmpfsSize: string };
};

const TROUBLES: Trouble[] = [
  {
    name: "full",
    logDir: { tmpfsSize: "64k" },
    make: (lab) => lab.sh(`cat /dev/zero >${lab.logDir}/fill 2>/dev/null || true; : >>${lab.logDir}/fill`),
    mend: (lab) => lab.sh(`rm ${lab.logDir}/fill`),
  },
  {
    name: "full but for its files, which exist",
    logDir: { tmpfsSize: "64k" },
    make: (lab) =>
      lab.sh(
        `cd ${lab.logDir}; touch fence-events-detailed.jsonl fence-events-readable.log fence-events.log; chmod 640 fence-*
         mkdir -m 700 .intents; cat /dev/zero >fill 2>/dev/null || true`,
      ),
    mend: (lab) => lab.sh(`rm ${lab.logDir}/fill`),
  },
  {
    name: "read-only",
    make: (lab) => lab.sh(`mount --bind ${lab.logDir} ${lab.logDir}; mount -o remount,bind,ro ${lab.logDir}`),
    mend: (lab) => lab.sh(`mount -o remount,bind,rw ${lab.logDir}`),
  },
  {
    name: "missing",
    make: (lab) => lab.sh(`rmdir ${lab.logDir}`),
    mend: (lab) => lab.sh(`mkdir -m 750 ${lab.logDir}`),
  },
  {
    name: "a file",
    make: (lab) => lab.sh(`rmdir ${lab.logDir}; echo not a directory >${lab.logDir}`),
    mend: (lab) => lab.sh(`rm ${lab.logDir}; mkdir -m 750 ${lab.logDir}`),
  },
];

liveDescribe("a log directory in trouble", ["root", "namespaces", "overlayfs", "nsenter", "executable"], () => {
  it.each(TROUBLES)(
    "$name: exit 0 in time, spool and syslog, then the log, once",
    async ({ make, mend, logDir = "memory" }) => {
      const lab = await Lab.open({ logDir });
      lab.installSafeCluster();
      const syslog = await lab.listenToSyslog("journal");
      make(lab);
      const { exitCode, elapsedMs, pipesHeld } = await lab.run(OFF);
      expect({ exitCode, pipesHeld }).toEqual({ exitCode: 0, pipesHeld: false });
      await expectSpooled(lab, elapsedMs);
      await waitFor("syslog to hear of it", () => syslog.text().includes(TARGET) || undefined);
      await lab.settled();
      mend(lab);
      await expectDrainedOnce(lab);
    },
    60_000,
  );

  it("is asked about while the log directory is gone: analyze answers from the spool and says so", async () => {
    const lab = await Lab.open();
    lab.sh(`rmdir ${lab.logDir}`);
    await lab.run({ args: ["-o", "off", "-n", TARGET] });
    await waitFor("the spooled event", () => lab.spooledFor(TARGET)[0]);
    const answer = lab.sh('LOG_DIR=$1 "$2" analyze events --json 2>$1.said', lab.logDir, EXECUTABLE);
    expect(JSON.parse(answer)).toMatchObject({ target_node: TARGET, action: "off" });
    expect(lab.sh("cat $1.said", lab.logDir)).toMatch(/no such directory; only what waits in spool and inbox is read/);
  });

  it("goes to /dev/log where journald is not there", async () => {
    const lab = await Lab.open();
    const syslog = await lab.listenToSyslog("devlog");
    lab.sh(`rmdir ${lab.logDir}`);
    await lab.run({ args: ["-o", "off", "-n", TARGET] });
    await waitFor("syslog to hear of it", () => syslog.text().includes(TARGET) || undefined);
    expect(syslog.text()).toMatch(/fence_gfs2_recorder\[\d+\]/);
  });

  it("removed while the agent runs: exit 0, the event in the spool, then in the log, once", async () => {
    const lab = await Lab.open();
    lab.installSafeCluster({ delaySeconds: 0.3 });
    const running = lab.start(OFF);
    await waitFor("the intent", () => lab.intents()[0]);
    lab.sh(`rm -rf ${lab.logDir}`);
    const { exitCode, elapsedMs } = await running.ended;
    expect(exitCode).toBe(0);
    expect(elapsedMs).toBeLessThan(4000);
    await waitFor("the spooled event", () => lab.spooledFor(TARGET)[0]);
    await lab.settled();
    lab.sh(`mkdir -m 750 ${lab.logDir}; rm ${lab.tools}/delay`);
    await expectDrainedOnce(lab);
  });

  it.each([
    ["the fencer", true, 0],
    ["hand", false, 1],
  ])(
    "nothing can be written at all: syslog and stderr carry the whole event, called by %s",
    async (_by, fencer, expected) => {
      const lab = await Lab.open();
      lab.installSafeCluster();
      const syslog = await lab.listenToSyslog("journal");
      lab.sh(`rmdir ${lab.logDir}; touch /var/lib/fencepost /run/fencepost`);
      const { exitCode, stderr, elapsedMs } = await lab.run({ ...OFF, fencer });
      expect(exitCode).toBe(expected);
      expect(elapsedMs).toBeLessThan(2500);
      await waitFor("syslog to hear of it", () => syslog.text().includes(TARGET) || undefined);
      for (const text of [stderr, syslog.text()]) {
        expect(text).toContain(TARGET);
        expect(text).toContain("gfs2-scratch");
        expect(text).toMatch(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/); // its event_id
      }
    },
  );

  it("a spool at its cap of 64 MiB takes no more; the event goes to the other one", async () => {
    const lab = await Lab.open();
    lab.sh(
      `rmdir ${lab.logDir}; mkdir -p -m 700 /var/lib/fencepost/spool; truncate -s 65M /var/lib/fencepost/spool/old`,
    );
    const { exitCode } = await lab.run({ args: ["-o", "off", "-n", TARGET] });
    expect(exitCode).toBe(0);
    await lab.settled();
    expect(lab.spooledFor(TARGET)).toHaveLength(1);
    expect(lab.names("/run/fencepost/spool")).not.toEqual([]);
    lab.sh("rm /var/lib/fencepost/spool/old");
  });

  it("uses the spool in /run where /var/lib cannot be written", async () => {
    const lab = await Lab.open();
    lab.sh(`rmdir ${lab.logDir}; touch /var/lib/fencepost`);
    const { exitCode } = await lab.run({ args: ["-o", "off", "-n", TARGET] });
    expect(exitCode).toBe(0);
    await waitFor("the spooled event", () => lab.spooledFor(TARGET)[0]);
    expect(lab.names("/run/fencepost/spool")).not.toEqual([]);
    lab.sh(`mkdir -m 750 ${lab.logDir}`);
    await expectDrainedOnce(lab);
  });
});

liveDescribe(
  "a log directory on a disk that hangs",
  ["root", "namespaces", "overlayfs", "nsenter", "mkfs.ext4", "executable"],
  () => {
    it("exit 0 within 2.5 s, the event in the spool; once the disk goes on, in the log, once", async () => {
      const lab = await Lab.open({ logDir: "disk" });
      lab.installSafeCluster();
      // The image lies on the machine's disk, not in the lab's memory: a loop device must not hold the lab's own mount.
      const image = `${dirname(lab.logDir)}/image`;
      lab.sh(
        `truncate -s 32M ${image}; mkfs.ext4 -q ${image}; mount -o loop ${image} ${lab.logDir}; chmod 750 ${lab.logDir}`,
      );
      lab.beforeClose(() => lab.sh(`umount -l ${lab.logDir} || true`));
      const thaw = () => lab.sh(`fsfreeze -u ${lab.logDir} 2>/dev/null || true`);
      lab.beforeClose(thaw);
      // Whoever waits for a frozen disk cannot be killed: it thaws even if this test does not get there.
      lab.background(["sh", "-c", `sleep 30; fsfreeze -u ${lab.logDir}`]);
      lab.sh(`fsfreeze -f ${lab.logDir}`);
      const { exitCode, elapsedMs, pipesHeld } = await lab.run(OFF);
      expect(elapsedMs).toBeLessThan(2500);
      expect({ exitCode, pipesHeld }).toEqual({ exitCode: 0, pipesHeld: false });
      await waitFor("the spooled event", () => lab.spooledFor(TARGET)[0]);
      expect(lab.processes().filter(({ argv }) => argv[0] === AGENT)).toEqual([]);
      // And the next call, while it still hangs.
      const again = await lab.run({ args: ["-o", "off", "-n", "compute-node-3"] });
      expect(again.exitCode).toBe(0);
      expect(again.elapsedMs).toBeLessThan(2500);
      await waitFor("the second spooled event", () => lab.spooledFor("compute-node-3")[0]);
      thaw();
      await lab.settled();
      await expectDrainedOnce(lab);
      expect(lab.eventsFor("compute-node-3")).toHaveLength(1);
    }, 60_000);
  },
);

liveDescribe(
  "a log directory on a filesystem that may hang",
  ["root", "namespaces", "overlayfs", "nsenter", "executable"],
  () => {
    it("fuse: refused without touching it, the event in the spool", async () => {
      const lab = await Lab.open();
      lab.installSafeCluster();
      const log = `${lab.directory}/fuse`;
      lab.sh(`mkdir ${log}`);
      // Nobody serves this mount: whoever touches it waits until the holder of the descriptor ends.
      const holder = `exec 3<>/dev/fuse; mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 hung "$1"; exec sleep 60`;
      const serverless = lab.background(["sh", "-c", holder, "sh", log]);
      await waitFor("the mount", () => lab.sh("cat /proc/self/mountinfo").includes(` ${log} `) || undefined);
      const { exitCode, elapsedMs, stderr } = await lab.run({ ...OFF, env: { LOG_DIR: log } });
      expect(exitCode).toBe(0);
      expect(stderr).toMatch(/fuse/);
      await expectSpooled(lab, elapsedMs);
      await lab.settled();
      serverless.kill("SIGKILL");
      lab.sh(`umount -l ${log}`);
    });

    it.each(["gfs2", "nfs4", "nfs", "fuse.glusterfs"])("%s: refused, the event in the spool", async (type) => {
      const lab = await Lab.open();
      lab.sh(`mkdir ${lab.directory}/procfs; mount -t tmpfs -o mode=750 lab ${lab.logDir}`);
      // This kernel has no such filesystem. So the agent sees, in a process namespace of its own, a /proc whose
      // self/mountinfo says so of LOG_DIR and whose other names lead to the real one.
      const fakeProc = `
      mount -t proc proc "$1"
      sed "s|\\(.* $2 .* - \\)tmpfs |\\1$3 |" /proc/self/mountinfo >"$1.mountinfo"
      mount -t tmpfs fakeproc /proc
      mkdir /proc/self
      for entry in "$1"/self/*; do ln -s "$entry" /proc/self/; done
      for entry in "$1"/[a-z]*; do [ "\${entry##*/}" = self ] || ln -s "$entry" /proc/; done
      for pid in $(seq 300); do echo "$1/$pid"; done | xargs ln -s -t /proc
      rm /proc/self/mountinfo; cp "$1.mountinfo" /proc/self/mountinfo
      shift 3; "$@"; code=$?; sleep 0.5; exit $code`;
      const { exitCode, stderr } = await lab.run({
        args: ["-o", "off", "-n", TARGET],
        env: { PATH: `${lab.tools}:/usr/sbin:/usr/bin:/sbin:/bin` },
        prefix: [
          ...["unshare", "--mount", "--pid", "--fork", "--propagation", "private"],
          ...["sh", "-c", fakeProc, "sh", `${lab.directory}/procfs`, lab.logDir, type],
        ],
      });
      expect({ exitCode, stderr }).toEqual({
        exitCode: 0,
        stderr: expect.stringContaining(type.split(".")[0] ?? type),
      });
      expect(lab.spooledFor(TARGET)).toHaveLength(1);
      expect(lab.detailedLines()).toEqual([]);
    });
  },
);

liveDescribe("what the agent creates", ["root", "namespaces", "overlayfs", "nsenter", "executable"], () => {
  const modeOf = (lab: Lab, path: string) => {
    const { mode, uid } = statSync(lab.at(path));
    return { mode: (mode & 0o7777).toString(8), uid };
  };

  it.each(["0000", "0022", "0026", "0077"])("is root's, 0640, whatever the umask (%s)", async (umask) => {
    const lab = await Lab.open({ standIns: { capture: captureOf("window") } });
    await lab.run({ args: ["-o", "off", "-n", TARGET], umask });
    await lab.eventFor(TARGET);
    await lab.settled();
    for (const name of ["fence-events-detailed.jsonl", "fence-events-readable.log", "fence-events.log"]) {
      expect({ name, ...modeOf(lab, `${lab.logDir}/${name}`) }).toEqual({ name, mode: "640", uid: 0 });
    }
    for (const name of lab.names(lab.logDir)) {
      const stat = statSync(lab.at(`${lab.logDir}/${name}`));
      expect({ name, uid: stat.uid, open: (stat.mode & (stat.isDirectory() ? 0o027 : 0o137)).toString(8) }).toEqual({
        name,
        uid: 0,
        open: "0",
      });
    }
  });

  it("is for root alone in the spool", async () => {
    const lab = await Lab.open();
    lab.sh(`rmdir ${lab.logDir}`);
    await lab.run({ args: ["-o", "off", "-n", TARGET], umask: "0000" });
    await waitFor("the spooled event", () => lab.spooledFor(TARGET)[0]);
    const spool = statSync(lab.at("/var/lib/fencepost/spool"));
    expect({ uid: spool.uid, open: spool.mode & 0o077 }).toEqual({ uid: 0, open: 0 });
  });
});

type Plant = { what: string; make: (lab: Lab, path: string) => void; untouched: (lab: Lab) => void };

const victim = (lab: Lab) => `${lab.directory}/victim`;
const expectVictim = (lab: Lab) => expect(lab.read(victim(lab))).toBe("precious\n");

const PLANTS: Plant[] = [
  {
    what: "a symlink",
    make: (lab, path) => lab.sh(`echo precious >${victim(lab)}; ln -s ${victim(lab)} ${path}`),
    untouched: expectVictim,
  },
  {
    what: "a symlink to nothing",
    make: (lab, path) => lab.sh(`ln -s ${victim(lab)} ${path}`),
    untouched: (lab) => expect(lab.read(victim(lab))).toBeUndefined(),
  },
  {
    what: "a hard link",
    make: (lab, path) => lab.sh(`echo precious >${victim(lab)}; ln ${victim(lab)} ${path}`),
    untouched: expectVictim,
  },
  { what: "a FIFO", make: (lab, path) => lab.sh(`mkfifo ${path}`), untouched: () => undefined },
  {
    what: "a directory",
    make: (lab, path) => lab.sh(`mkdir ${path}`),
    untouched: (lab) => expect(lab.sh(`find ${lab.logDir} -mindepth 2 -path '*/fence-*'`)).toBe(""),
  },
];

liveDescribe(
  "what was planted in the log directory",
  ["root", "namespaces", "overlayfs", "nsenter", "executable"],
  () => {
    const names = ["fence-events-detailed.jsonl", "fence-events-readable.log", "fence-events.log"];
    it.each(PLANTS.flatMap((plant) => names.map((name) => ({ ...plant, name }))))(
      "$what as $name is refused; the event is safe",
      async ({ make, untouched, name }) => {
        const lab = await Lab.open();
        make(lab, `${lab.logDir}/${name}`);
        const { exitCode, elapsedMs } = await lab.run({ args: ["-o", "off", "-n", TARGET] });
        expect(exitCode).toBe(0);
        expect(elapsedMs).toBeLessThan(2500);
        await lab.settled();
        untouched(lab);
        if (name === "fence-events-detailed.jsonl") {
          expect(lab.spooledFor(TARGET)).toHaveLength(1);
        } else {
          expect([...lab.eventsFor(TARGET), ...lab.spooledFor(TARGET)]).toHaveLength(1);
        }
        lab.sh(`rm -r ${lab.logDir}/${name}`);
        await lab.run({ args: ["-o", "on", "-n", "next"] });
        await lab.eventFor("next");
        await lab.eventFor(TARGET);
        await lab.settled();
        expect(lab.eventsFor(TARGET)).toHaveLength(1);
        untouched(lab);
      },
    );

    it("a symlink as .intents is refused; the event is safe", async () => {
      const lab = await Lab.open();
      lab.sh(`mkdir -m 700 ${lab.directory}/elsewhere; ln -s ${lab.directory}/elsewhere ${lab.logDir}/.intents`);
      const { exitCode, elapsedMs } = await lab.run({ args: ["-o", "off", "-n", TARGET] });
      expect(exitCode).toBe(0);
      expect(elapsedMs).toBeLessThan(2500);
      await lab.settled();
      expect(lab.names(`${lab.directory}/elsewhere`)).toEqual([]);
      expect([...lab.eventsFor(TARGET), ...lab.spooledFor(TARGET)]).toHaveLength(1);
    });

    it("an intent that is a symlink, or not one of ours, is left alone", async () => {
      const lab = await Lab.open();
      await lab.run({ args: ["-o", "off", "-n", "first"] });
      await lab.settled();
      const intents = `${lab.logDir}/.intents`;
      mkdirSync(lab.at(intents), { recursive: true, mode: 0o700 });
      writeFileSync(lab.at(victim(lab)), "precious\n");
      lab.sh(
        `ln -s ${victim(lab)} ${intents}/link.json; mkfifo ${intents}/fifo.json; echo '{"half' >${intents}/half.json`,
      );
      const { exitCode, elapsedMs } = await lab.run({ args: ["-o", "off", "-n", "second"] });
      expect(exitCode).toBe(0);
      expect(elapsedMs).toBeLessThan(2500);
      await lab.settled();
      expectVictim(lab);
      expect(lab.events().map((event) => event.target_node)).toEqual(["first", "second"]);
      rmSync(lab.at(intents), { recursive: true });
    });
  },
);
