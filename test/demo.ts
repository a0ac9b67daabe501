/**
 * The recorder's main job on an embedded default, for a machine with nothing but npm: a node of the captured cluster has
 * failed and is about to be fenced; the recorder is called as Pacemaker calls it, and what it recorded is shown.
 * Input:  the built executable (`npm run demo` builds it). No cluster, no root; nothing outside a scratch directory.
 * Output: the event on stdout. Exit 0, or 1 when none was recorded.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { captureOf, installStandIns } from "./fakes/captured-cluster.ts";

const ROOT = join(import.meta.dirname, "..");
const AGENT = join(ROOT, "bin/fence_gfs2_recorder");
const TARGET = "compute-node-2";
const STDIN = `nodename=${TARGET}\naction=off\nplug=${TARGET}\n`;
const PATIENCE_MS = 5000;

type Attempt = { method: string; status: string; elapsed_ms: number; reason?: string };
type Discovery = { result: string; method?: string; scope?: string; elapsed_ms: number; attempts: Attempt[] };

const styled = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
const style = (code: number) => (text: string) => (styled ? `\u001b[${code}m${text}\u001b[0m` : text);
const [bold, faint, green, red] = [style(1), style(2), style(32), style(31)];
const say = (...lines: string[]) => process.stdout.write(`${lines.join("\n")}\n`);
const shortened = (text: string) => (text.length > 100 ? `${text.slice(0, 50)} … ${text.slice(-47)}` : text);
const indented = (text: string) => text.trimEnd().replace(/^/gm, "  ");

process.exitCode = await main();

async function main(): Promise<number> {
  if (!existsSync(AGENT)) return failed(`${relative(process.cwd(), AGENT)} is not there`, "npm run build");
  const scratch = mkdtempSync(join(tmpdir(), "fencepost-demo-"));
  const logDir = join(scratch, "log");
  const tools = join(scratch, "tools");
  mkdirSync(logDir, { mode: 0o750 });
  installStandIns(tools, { capture: captureOf("failed") });

  say(
    bold("A node of a three-node GFS2 cluster has failed."),
    `${TARGET} is unclean and not yet fenced. (A real cluster's captured output stands in for it; nothing here is fenced.)`,
    "Pacemaker is about to have it powered off, and calls the recorder, with the options on stdin:",
    "",
    faint("  fence_gfs2_recorder <<END"),
    faint(`${indented(STDIN)}\n  END`),
    "",
  );
  const startedMs = performance.now();
  const { status, stderr, error } = spawnSync(AGENT, {
    input: STDIN,
    encoding: "utf8",
    timeout: 20_000,
    env: {
      LC_ALL: "C",
      PATH: `${tools}:${process.env.PATH ?? "/usr/bin:/bin"}`,
      LOG_DIR: logDir,
      FENCE_LOG: join(logDir, "fence-events.log"),
      GFS2_DISCOVERY_ENABLED: "true",
      KUBECTL_CMD: "no-kubectl-in-this-demo", // it must not ask a Kubernetes cluster of yours
      ...(process.env.TZ === undefined ? {} : { TZ: process.env.TZ }),
    },
  });
  const elapsedMs = performance.now() - startedMs;
  if (error) return failed(`the recorder did not run: ${error.message}`, "npm run build");
  const tookMs = elapsedMs.toFixed(0);
  say(`${status === 0 ? green("exit 0") : red(`exit ${status}`)} after ${tookMs} ms`);
  if (stderr !== "") say("stderr:", indented(stderr));

  const detailed = join(logDir, "fence-events-detailed.jsonl");
  const readable = join(logDir, "fence-events-readable.log");
  const line = await firstLine(detailed);
  if (status !== 0 || line === undefined) return failed(`no event was recorded in ${detailed}`, `ls -la ${logDir}`);
  const event = JSON.parse(line) as Record<string, unknown>;
  showEvent(event, line, await firstLine(readable));
  showDiscovery(event.discovery as Discovery);
  showNext({ detailed, readable, logDir, tools, scratch });
  return 0;
}

function showEvent(event: Record<string, unknown>, line: string, readable: string | undefined): void {
  const width = Math.max(...Object.keys(event).map((key) => key.length));
  const shown = Object.entries(event).map(([key, value]) => {
    const rest = JSON.stringify(value);
    return `${bold(key.padEnd(width))}  ${rest}`;
  });
  say("", bold("What it recorded, key by key:"), indented(shown.join("\n")));
  say("", bold("The same as it stands in fence-events-detailed.jsonl, one line:"), line);
  say("", bold("The line for people in fence-events-readable.log:"), readable ?? red("(none yet)"));
}

function showDiscovery({ result, method, scope, elapsed_ms: elapsedMs, attempts }: Discovery): void {
  const scopes: Record<string, string> = {
    target: "these are the target's own",
    configured: "the target may run these",
    cluster: "the cluster's, not the target's alone",
  };
  const meaning = scope === undefined ? "" : ` (scope "${scope}": ${scopes[scope] ?? scope})`;
  say(
    "",
    bold("How it knew which filesystems the node was using:"),
    `  ${result}${method === undefined ? "" : ` by ${method}`}, in ${elapsedMs} ms${meaning}`,
    ...attempts.map(
      (attempt, index) =>
        `  ${index + 1}. ${attempt.method.padEnd(10)}  ${attempt.status.padEnd(11)}  ${String(attempt.elapsed_ms).padStart(4)} ms` +
        `${attempt.reason === undefined ? "" : `  ${faint(shortened(attempt.reason))}`}`,
    ),
  );
}

type Places = { detailed: string; readable: string; logDir: string; tools: string; scratch: string };

function showNext({ detailed, readable, logDir, tools, scratch }: Places): void {
  const agent = `PATH=${tools}:$PATH LOG_DIR=${logDir} ${relative(process.cwd(), AGENT)}`;
  say(
    "",
    bold("Where it is:"),
    `  ${detailed}`,
    `  ${readable}`,
    `  ${join(logDir, "fence-events.log")}`,
    "",
    bold("Try next:"),
    `  ${agent} -o reboot -n compute-node-3`,
    `  ${agent} -o list`,
    `  jq -r 'select(.target_node == "${TARGET}") | .gfs2_filesystems[]' ${detailed}`,
    `  grep ${TARGET} ${readable}`,
    `  rm -r ${scratch}`,
    "  npm test",
  );
}

async function firstLine(path: string): Promise<string | undefined> {
  const untilMs = performance.now() + PATIENCE_MS;
  for (;;) {
    const text = existsSync(path) ? readFileSync(path, "utf8") : "";
    const end = text.indexOf("\n");
    if (end !== -1) return text.slice(0, end);
    if (performance.now() > untilMs) return undefined;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function failed(what: string, hint: string): number {
  process.stderr.write(`${red(`demo: ${what}`)}\ntry: ${hint}\n`);
  return 1;
}
