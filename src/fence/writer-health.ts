/**
 * The writer's look at itself: log directory, free space, spool, what waits to be recovered, syslog.
 * Runs in the writer, because each of these may hang. Output: Health, also written to /run/fencepost/health.json.
 */
import { reasonOf } from "../core/errors.ts";
import { ensureDirectory, freeBytes, listNames, modeOf, openForAppend, remove, writeWhole } from "../core/files.ts";
import type { Host } from "../core/host.ts";
import { assertLocal } from "../core/local-path.ts";
import type { EventLog } from "./event-log.ts";
import { intentsDirectory, prepareSpool, SPOOL_DIRECTORIES } from "./pending.ts";
import { checkLocal, type Health, settle, within } from "./writer.ts";

const HEALTH_DIRECTORY = "/run/fencepost";
const PATIENCE_MS = 700;
const LOW_SPACE_BYTES = 64 * 1024 * 1024;

export async function checkHealth(host: Host, log: EventLog, known: readonly string[]): Promise<Health> {
  const findings = [...known];
  /** True when it worked in time; else the finding says why not. */
  const works = async (what: string, work: () => Promise<unknown>): Promise<boolean> => {
    const outcome = await within(host, settle(work()), PATIENCE_MS);
    if (outcome !== "hung" && outcome.ok) return true;
    findings.push(`${what}: ${outcome === "hung" ? `timed out after ${PATIENCE_MS} ms` : outcome.reason}`);
    return false;
  };
  const logWorks = await works(`log directory ${log.directory}`, async () => {
    await checkLocal(host, log);
    const { mode, uid } = await modeOf(log.directory);
    if (uid !== 0) findings.push(`log directory ${log.directory}: not owned by root`);
    if ((mode & 0o022) !== 0) findings.push(`log directory ${log.directory}: others than root may write to it`);
    const free = await freeBytes(log.directory);
    if (free < LOW_SPACE_BYTES) findings.push(`log directory ${log.directory}: ${free} bytes free`);
    await ensureDirectory(intentsDirectory(log));
    await tryWriting(intentsDirectory(log));
  });
  await works(`FENCE_LOG ${log.operationalLog}`, async () => {
    await assertLocal(log.operationalLog, host.readText("/proc/self/mountinfo") ?? "");
    await (await openForAppend(log.operationalLog)).handle.close();
  });
  let spoolWorks = false;
  for (const directory of SPOOL_DIRECTORIES) {
    const worked = await works(`spool ${directory}`, async () => {
      await prepareSpool(directory);
      await tryWriting(directory);
      const waiting = (await listNames(directory)).filter((name) => name.endsWith(".json")).length;
      if (waiting > 0) findings.push(`spool ${directory}: ${waiting} events wait for the log directory`);
    });
    spoolWorks ||= worked;
  }
  const syslog =
    host.listDirectory("/run/systemd/journal").includes("socket") || host.listDirectory("/dev").includes("log");
  if (!syslog) findings.push("syslog: neither journald's socket nor /dev/log is there");
  const health = { canRecord: logWorks || spoolWorks || syslog, findings };
  const text = `${JSON.stringify({ version: 1, checked_at: host.now().toISOString(), can_record: health.canRecord, findings })}\n`;
  await ensureDirectory(HEALTH_DIRECTORY, 0o755)
    .then(() => writeWhole(HEALTH_DIRECTORY, "health.json", text))
    .catch((error: unknown) => findings.push(`health file: ${reasonOf(error)}`));
  return health;
}

async function tryWriting(directory: string): Promise<void> {
  await writeWhole(directory, "health-check", "");
  await remove(`${directory}/health-check`);
}
