/**
 * Real redis-servers in namespaces of this machine, each at port 6379 of an address of its own, all with a password.
 * Input:  startRedis(addresses): none of them in a cluster yet. Output: a RedisLab.
 * Errors: rejects with what was expected and what was said last.
 * Cleans: the first process of the pid namespace ends when its standard input closes, and everything with it.
 */
import { spawn } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { firstOutput, NODE_PATH, type OnOptions, type Output, run } from "./cluster.ts";
import { EXECUTABLE } from "./needs.ts";
import type { Operator } from "./operation-journal.ts";
import { waitFor } from "./wait-for.ts";

export const PASSWORD = "geheim-7f3a";
/** Four neighbours share a slot: a client that follows redirections is then not mostly connecting anew. */
export const keyOf = (prefix: string, key: number): string => `${prefix}{${key >> 2}}${key & 3}`;
export type RedisLab = Awaited<ReturnType<typeof startRedis>>;

export async function startRedis(addresses: readonly string[]) {
  const lab = mkdtempSync(join(tmpdir(), "fencepost-redis-"));
  const executable = join(lab, "fencepost");
  copyFileSync(EXECUTABLE, executable);
  const passwordFile = join(lab, "password");
  writeFileSync(passwordFile, `${PASSWORD}\n`, { mode: 0o600 });
  const namespaces = ["--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"];
  const init = spawn("unshare", [...namespaces, join(import.meta.dirname, "redis/init.sh"), lab, ...addresses], {
    detached: true,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const gone = new Promise<void>((resolve) => init.once("exit", () => resolve()));
  await firstOutput(init, "redis/init.sh");
  const children = readFileSync(`/proc/${init.pid}/task/${init.pid}/children`, "utf8").trim().split(" ");
  const enter = ["nsenter", "-t", children[0] ?? "", "-m", "-u", "-i", "-n", "-p", "env", "-i", "-C", "/"];
  const words = (env: Record<string, string>): string[] =>
    Object.entries({ PATH: NODE_PATH, HOME: "/root", ...env }).map(([key, value]) => `${key}=${value}`);

  const on = (argv: readonly string[], { timeoutMs = 60_000, env = {}, input }: OnOptions = {}): Promise<Output> =>
    run([...enter, ...words(env), ...argv], { timeoutMs, ...(input === undefined ? {} : { input }) });
  async function must(argv: readonly string[], options: OnOptions = {}): Promise<string> {
    const result = await on(argv, options);
    if (result.exitCode === 0) return result.stdout;
    throw new Error(`${argv.join(" ")}: exit ${result.exitCode}: ${result.stderr}${result.stdout}`);
  }
  const auth = { REDISCLI_AUTH: PASSWORD };
  const redis = (address: string, ...command: string[]): Promise<string> =>
    must(["redis-cli", "-h", address, ...command], { env: auth });
  const cluster = (...command: string[]): Promise<string> =>
    must(["redis-cli", "--cluster", ...command], { env: auth });
  /** Commands through a client that follows redirections; one line an answer. */
  async function client(address: string, commands: readonly string[]): Promise<string[]> {
    const output = await must(["redis-cli", "-c", "-h", address], { env: auth, input: `${commands.join("\n")}\n` });
    return output.split("\n").filter((line) => line !== "" && !line.startsWith("-> "));
  }
  const fencepost = (command: string, options: OnOptions = {}): Promise<Output> =>
    // nsenter stops when its child does, so it is given another one.
    on(["setsid", "-f", "-w", executable, ...command.split(" ")], { timeoutMs: 120_000, ...options });
  const operator: Operator = {
    directory: join(lab, "state/journal"),
    start: (command, under) => on([...under, executable, ...command.split(" ")], { timeoutMs: 240_000 }),
    signal: (name, pid) => on(["kill", `-${name}`, String(pid)]),
  };
  /** From another machine, as far as it can tell: its own host name, journal and /run. */
  const fencepostElsewhere = (command: string): Promise<Output> =>
    on([
      ...["unshare", "--mount", "--uts", "bash", "-c"],
      `hostname operator2; mount -t tmpfs tmpfs /var/lib/fencepost; mount -t tmpfs tmpfs /run; exec ${executable} ${command}`,
    ]);

  /** Writes key after key, each once the one before was acknowledged, until stop(): the acknowledged numbers. */
  function startWriting(address: string, prefix: string) {
    const child = spawn(enter[0] as string, [...enter.slice(1), ...words(auth), "redis-cli", "-c", "-h", address]);
    const acknowledged: number[] = [];
    const refused: string[] = [];
    let next = 0;
    let isStopping = false;
    let text = "";
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    const write = (): void => {
      if (isStopping) child.stdin.end();
      else child.stdin.write(`SET ${keyOf(prefix, next)} ${next}\n`);
    };
    child.stdout.on("data", (data) => {
      const parts = `${text}${data}`.split("\n");
      text = parts.pop() ?? "";
      for (const line of parts) {
        if (line === "" || line.startsWith("-> ")) continue;
        if (line === "OK") acknowledged.push(next);
        else refused.push(line);
        next += 1;
        setTimeout(write, 2); // thousands are enough
      }
    });
    write();
    return {
      acknowledged,
      refused,
      stop: async (): Promise<number[]> => {
        isStopping = true;
        await ended;
        return acknowledged;
      },
    };
  }

  const stop = async (): Promise<void> => {
    init.stdin.end();
    await gone;
    rmSync(lab, { recursive: true, force: true });
  };
  for (const address of addresses)
    await waitFor(`redis-server at ${address}`, async () => (await redis(address, "PING")).startsWith("PONG"));
  return {
    lab,
    passwordFile,
    on,
    must,
    redis,
    cluster,
    client,
    fencepost,
    fencepostElsewhere,
    waitFor,
    operator,
    startWriting,
    stop,
  };
}
