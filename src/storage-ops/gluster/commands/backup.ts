/**
 * `fencepost gluster backup`: glusterd's configuration of this node in an archive, checked against what it was made from.
 * Output: DIR/glusterfs-config-STAMP.tar.gz, gluster-volumes-STAMP.txt, gluster-state-STAMP.json, each 0640, and how to restore.
 * Errors: OpsError failed when the archive is not what it was made from; io; those of asking gluster.
 */
import { dirname } from "node:path";
import { OpsError } from "../../../core/errors.ts";
import { type Argv, failureOf } from "../../../core/exec.ts";
import { ensureDirectory, openForAppend, readWhole, writeWhole } from "../../../core/files.ts";
import type { Host } from "../../../core/host.ts";
import { STATE_DIRECTORY } from "../../../core/journal.ts";
import { escapeControl } from "../../../core/text.ts";
import { commandLine } from "../../render.ts";
import { requireRoot } from "../../run-plan.ts";
import { decodeSaved, type SavedState, savedPeers, savedVolumes } from "../saved-state.ts";
import { glusterArgv, readPool } from "../state.ts";
import { answer, type Call, type Command } from "./command.ts";

const DEFAULT_DIRECTORY = `${STATE_DIRECTORY}/backup`;
const TIMEOUT_MS = 300_000;
const MAX_STATE_BYTES = 64 * 1024 * 1024;
const RESTORE = [
  "to restore this node: systemctl stop glusterd",
  "                      mv /var/lib/glusterd /var/lib/glusterd.old",
  "                      tar -C /var/lib -xzf ARCHIVE",
  "                      systemctl start glusterd && fencepost gluster diff --backup STATE",
  "it is the configuration of this node alone: its peers have others (each has a UUID of its own)",
];

export const BACKUP: Command = {
  describe:
    `archives glusterd's configuration of this node (/var/lib/glusterd) into ${DEFAULT_DIRECTORY}, compares the archive with the ` +
    "disk, and saves the pool's state for fencepost gluster diff. Files are 0640: they may hold passwords of volumes",
  usage: "",
  takes: [0, 0],
  options: {
    to: { describe: "another directory, which exists", type: "string", requiresArg: true },
    verify: { describe: "an archive made before: is it whole, and what it was?", type: "string", requiresArg: true },
  },
  changes: true,
  examples: [
    ["", "before a change, or every night"],
    [`--verify ${DEFAULT_DIRECTORY}/glusterfs-config-2026-11-21T041500.tar.gz`, "is it still whole?"],
  ],
  exits: "0 made and checked, or whole · 1 not whole · 64 wrong words · 77 not root",
  run: async (call) => (call.args.verify === undefined ? backup(call) : verify(call, String(call.args.verify))),
};

async function must(host: Host, argv: Argv): Promise<string> {
  const result = await host.run(argv, { timeoutMs: TIMEOUT_MS, maxBytes: MAX_STATE_BYTES });
  const failure = failureOf(result, TIMEOUT_MS);
  if (failure !== undefined) throw new OpsError("failed", failure, { hint: "df /var/lib" });
  return result.stdout;
}

async function backup(call: Call): Promise<number> {
  const { host, dryRun } = call;
  const directory = call.args.to === undefined ? DEFAULT_DIRECTORY : String(call.args.to);
  if (!directory.startsWith("/"))
    throw new OpsError("usage", `${call.called}: --to: not an absolute path: ${escapeControl(directory)}`, {
      hint: `${call.called} --help`,
    });
  const stamp = host.now().toISOString().slice(0, 19).replaceAll(":", "");
  const files = {
    archive: `${directory}/glusterfs-config-${stamp}.tar.gz`,
    volumes: `${directory}/gluster-volumes-${stamp}.txt`,
    state: `${directory}/gluster-state-${stamp}.json`,
  };
  const tar: Argv = ["tar", "-C", "/var/lib", "-czf", files.archive, "glusterd"];
  if (dryRun) {
    await answer(call, { dry_run: true, command: tar, ...files }, [
      `[DRY-RUN] Would run: ${commandLine(tar)}`,
      `[DRY-RUN] Would write: ${files.volumes}`,
      `[DRY-RUN] Would write: ${files.state}`,
    ]);
    return 0;
  }
  requireRoot(call.called);
  if (directory === DEFAULT_DIRECTORY) {
    await ensureDirectory(STATE_DIRECTORY);
    await ensureDirectory(directory);
  }
  // Made before tar opens it, so that it never has more readers than it is to have.
  await (await openForAppend(files.archive)).handle.close();
  await must(host, tar);
  await must(host, ["tar", "-C", "/var/lib", "-dzf", files.archive]);
  const names = (await must(host, ["tar", "-tzf", files.archive])).split("\n");
  const pool = await readPool(host, () => false);
  const wanted = ["glusterd/glusterd.info", ...pool.volumes.map(({ name }) => `glusterd/vols/${name}/info`)];
  const missing = wanted.filter((name) => !names.includes(name));
  if (missing.length > 0)
    throw new OpsError("failed", `${files.archive}: it lacks ${missing.join(", ")}`, { hint: "ls /var/lib/glusterd" });
  const sha256 = await sumOf(host, files.archive);
  const saved: SavedState = {
    schema: 1,
    saved_at: host.now().toISOString(),
    host: host.hostname(),
    archive: files.archive,
    archive_sha256: sha256,
    peers: savedPeers(pool, host.hostname()),
    volumes: savedVolumes(pool),
  };
  const write = (path: string, text: string) => writeWhole(dirname(path), path.slice(dirname(path).length + 1), text);
  await write(files.volumes, await must(host, glusterArgv("volume", "info")));
  await write(files.state, `${JSON.stringify(saved)}\n`);
  await answer(call, { ...files, files: names.length - 1, sha256, verified: true }, [
    `✓ ${files.archive}: ${names.length - 1} files, compared with the disk, sha256 ${sha256}`,
    `✓ ${files.volumes}`,
    `✓ ${files.state}`,
    ...RESTORE.map((line) => line.replace("ARCHIVE", files.archive).replace("STATE", files.state)),
  ]);
  return 0;
}

async function sumOf(host: Host, path: string): Promise<string> {
  const [sum = ""] = (await must(host, ["sha256sum", "--", path])).replace(/^\\/, "").split(" ");
  return sum;
}

async function verify(call: Call, archive: string): Promise<number> {
  const [, start, stamp] = /^(.*\/|)glusterfs-config-([^/]+)\.tar\.gz$/.exec(archive) ?? [];
  if (stamp === undefined)
    throw new OpsError("usage", `${call.called}: --verify: not an archive of this program: ${escapeControl(archive)}`, {
      hint: `ls ${DEFAULT_DIRECTORY}`,
    });
  const state = `${start}gluster-state-${stamp}.json`;
  const text = await readWhole(state, MAX_STATE_BYTES);
  const problems: string[] = [];
  if (text === undefined) problems.push(`${state}: not there: nobody knows what the archive was`);
  else if (decodeSaved(text, state).archive_sha256 !== (await sumOf(call.host, archive)))
    problems.push("its sha256 is not the saved one");
  const listing = await call.host.run(["tar", "-tzf", archive], { timeoutMs: TIMEOUT_MS, maxBytes: MAX_STATE_BYTES });
  const failure = failureOf(listing, TIMEOUT_MS);
  if (failure !== undefined) problems.push(failure);
  else if (!listing.stdout.includes("glusterd/glusterd.info")) problems.push("it lacks glusterd/glusterd.info");
  const whole = problems.length === 0;
  await answer(call, { archive, whole, problems }, [
    `${archive}: ${whole ? "whole" : "not whole"}`,
    ...problems.map((one) => `  ${one}`),
  ]);
  return whole ? 0 : 1;
}
