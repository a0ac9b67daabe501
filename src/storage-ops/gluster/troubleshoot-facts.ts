/**
 * What troubleshoot looks at on this node and, by ssh, on the others: each read once and within a limit.
 * Output: Facts; what could not be read says why. Errors: none.
 */
import { OpsError, reasonOf } from "../../core/errors.ts";
import { type Argv, type CommandResult, failureOf } from "../../core/exec.ts";
import type { Host } from "../../core/host.ts";
import { isHostWord } from "../../core/ssh.ts";
import { lastWords } from "../../core/text.ts";
import { textNamed } from "../../core/xml.ts";
import { readCapacity } from "./capacity.ts";
import { readSkewSeconds } from "./copies.ts";
import { readMounts } from "./mount-table.ts";
import type { SetupConfig } from "./setup/config.ts";
import { readSite, type Site } from "./site.ts";
import { answerOf, type Pool, readPool } from "./state.ts";
import type { Answer, Facts, Firewall } from "./troubleshoot.ts";
import { readViews } from "./views.ts";

const QUICK_MS = 10_000;
/** A port that drops what comes makes the gluster command wait. */
const PORT_MS = 15_000;

export async function readFacts(host: Host, config: SetupConfig | undefined): Promise<Facts> {
  const run = (argv: Argv, timeoutMs = QUICK_MS) => host.run(argv, { timeoutMs });
  const pool = await readPool(host).catch((error: unknown) => {
    if (!(error instanceof OpsError)) throw error;
    return reasonOf(error);
  });
  const spaces = typeof pool === "string" ? pool : await readCapacity(host).catch(reasonOf);
  const [atBoot, firewalls, mounts, reached, sites, skews, views, own] = await Promise.all([
    readAtBoot(run),
    Promise.all([readFirewalld(run), readUfw(run)]),
    Promise.all(
      readMounts(host)
        .filter(({ type }) => type === "fuse.glusterfs")
        .map(async (mount) => ({ ...mount, answers: await readMount(run, mount.point) })),
    ),
    typeof pool === "string" ? new Map<string, Answer>() : readReached(run, pool),
    typeof pool === "string" ? new Map<string, Site>() : readSites(host, pool),
    typeof pool === "string" ? new Map<string, number | undefined>() : readSkews(host, pool),
    typeof pool === "string"
      ? []
      : readViews(
          host,
          pool.peers.filter(({ connected }) => connected),
          pool.volumes,
        ),
    config === undefined ? [] : readOwn(host),
  ]);
  return {
    pool,
    volumesOnDisk: host.listDirectory("/var/lib/glusterd/vols"),
    atBoot,
    reached,
    firewalls: firewalls.flatMap((one) => one ?? []),
    mounts,
    config: config && { config, own },
    spaces,
    sites,
    skews,
    views,
  };
}

type Run = (argv: Argv, timeoutMs?: number) => Promise<CommandResult>;

async function readAtBoot(run: Run): Promise<Answer> {
  const result = await run(["systemctl", "is-enabled", "glusterd"]);
  const word = result.stdout.trim();
  if (result.outcome === "exited" && /^(enabled|enabled-runtime|alias|static|generated)$/.test(word))
    return { ok: true, text: word };
  if (result.outcome === "exited" && /^(disabled|masked)$/.test(word)) return { ok: false, text: word };
  return { ok: "unknown", text: failureOf(result, QUICK_MS) ?? `systemctl is-enabled glusterd: ${lastWords(word)}` };
}

async function readMount(run: Run, point: string): Promise<Answer> {
  const result = await run(["stat", "--file-system", "--terse", "--", point]);
  const failure = failureOf(result, QUICK_MS);
  return failure === undefined
    ? { ok: true, text: "mounted, it answers" }
    : { ok: false, text: `mounted, it does not answer: ${failure}` };
}

/** Undefined where it is not installed. */
async function readFirewalld(run: Run): Promise<Firewall | undefined> {
  const state = await run(["firewall-cmd", "--state"]);
  if (state.spawnError === "ENOENT") return undefined;
  const off = { name: "firewalld", active: false, opensGluster: false, text: "" } as const;
  if (state.outcome === "exited" && state.exitCode !== 0 && /not running/.test(`${state.stdout}${state.stderr}`))
    return off;
  const all = await run(["firewall-cmd", "--list-all"]);
  const failure = failureOf(state, QUICK_MS) ?? failureOf(all, QUICK_MS);
  if (failure !== undefined) return { ...off, active: "unknown", text: failure };
  const opensGluster =
    /services:.*\bglusterfs\b|ports:.*\b24007(-|\/tcp)/.test(all.stdout) || /target: ACCEPT/.test(all.stdout);
  return { name: "firewalld", active: true, opensGluster, text: lastWords(all.stdout) };
}

async function readUfw(run: Run): Promise<Firewall | undefined> {
  const status = await run(["ufw", "status"]);
  if (status.spawnError === "ENOENT") return undefined;
  const failure = failureOf(status, QUICK_MS);
  const found = {
    name: "ufw",
    opensGluster: /^24007\b.*ALLOW|^24007:.*ALLOW|^24007,.*ALLOW/m.test(status.stdout),
    text: lastWords(status.stdout),
  };
  if (failure !== undefined) return { ...found, active: "unknown", text: failure };
  return { ...found, active: /^Status: active/m.test(status.stdout) };
}

/** gluster's own question to the other node's port 24007. */
async function readReached(run: Run, { peers }: Pool): Promise<Map<string, Answer>> {
  const silent = peers
    .filter(({ connected, isLocal }) => !connected && !isLocal)
    .map(({ hostnames: [name = ""] }) => name);
  const asked = silent.filter(isHostWord).map(async (name): Promise<[string, Answer]> => {
    const result = await run(["gluster", "--mode=script", "--xml", `--remote-host=${name}`, "pool", "list"], PORT_MS);
    const failure = failureOf(result, PORT_MS);
    try {
      const root = answerOf(result.stdout, `gluster --remote-host=${name} pool list`, () =>
        failure === undefined ? undefined : new OpsError("failed", failure),
      );
      return [name, { ok: true, text: `opRet ${textNamed(root, "opRet")}` }];
    } catch (error) {
      return [name, { ok: result.outcome === "timed-out" ? "unknown" : false, text: reasonOf(error) }];
    }
  });
  return new Map(await Promise.all(asked));
}

/** The places of bricks that are down, on nodes that are connected. */
async function readSites(host: Host, pool: Pool): Promise<Map<string, Site>> {
  const down = pool.volumes.flatMap(({ name, bricks }) =>
    bricks.filter((brick) => pool.status.get(name)?.bricksOnline.get(brick.name) === false),
  );
  const local = pool.peers.find(({ isLocal }) => isLocal)?.uuid;
  return new Map(
    await Promise.all(
      down.map(
        async (brick): Promise<[string, Site]> => [
          brick.name,
          await readSite(host, brick.host, brick.path, { isHere: brick.hostUuid === local }),
        ],
      ),
    ),
  );
}

async function readSkews(host: Host, { peers }: Pool): Promise<Map<string, number | undefined>> {
  const others = peers.filter(({ isLocal, hostnames: [name = ""] }) => !isLocal && isHostWord(name));
  return new Map(
    await Promise.all(
      others.map(async ({ hostnames: [name = ""], uuid }): Promise<[string, number | undefined]> => {
        const brick = { name, host: name, path: "/", hostUuid: uuid, isArbiter: false };
        return [name, await readSkewSeconds({ host, peers }, brick)];
      }),
    ),
  );
}

async function readOwn(host: Host): Promise<string[]> {
  const result = await host.run(["hostname", "-I"], { timeoutMs: QUICK_MS });
  return [...(failureOf(result, QUICK_MS) === undefined ? result.stdout.trim().split(/\s+/) : []), host.hostname()];
}
