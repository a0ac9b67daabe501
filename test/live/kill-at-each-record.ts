/**
 * Runs a storage operation on a lab's node and kills it with SIGKILL after every record of its journal that is not like one
 * it was killed after, going on with `journal resume` each time.
 * Output: the journal's id, and what it was killed after.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Output } from "./cluster.ts";
import type { GlusterLab } from "./gluster.ts";

export type JournalLine = { record: string; step?: string; state?: string; detail?: string; process?: { pid: number } };

export const linesOf = (path: string): JournalLine[] =>
  existsSync(path)
    ? readFileSync(path, "utf8")
        .split("\n")
        .filter((line) => line.endsWith("}"))
        .map((line) => JSON.parse(line) as JournalLine)
    : [];

export const journalsOf = (lab: Pick<GlusterLab, "lab">, node: string): string =>
  join(lab.lab, node, "disk/fencepost/journal");

export async function killAtEachRecord(
  lab: Pick<GlusterLab, "lab" | "fencepost" | "on">,
  node: string,
  first: string,
): Promise<{ id: string; kills: string[] }> {
  const directory = journalsOf(lab, node);
  const known = new Set(existsSync(directory) ? readdirSync(directory) : []);
  const kills: string[] = [];
  let id = "";
  for (let command = first; kills.length < 40; command = `journal resume ${id}`) {
    let ended: Output | undefined;
    const running = lab.fencepost(node, command).then((result) => {
      ended = result;
    });
    const from = id === "" ? 0 : linesOf(join(directory, `${id}.jsonl`)).length;
    while (ended === undefined) {
      id ||= newIn(directory, known) ?? "";
      const lines = id === "" ? [] : linesOf(join(directory, `${id}.jsonl`));
      const fresh = lines.slice(from).map(({ record, step, state }) => [record, step, state].filter(Boolean).join(" "));
      const next = fresh.find((one) => one !== "run" && !kills.includes(one));
      if (next !== undefined) {
        const pid = lines.findLast((line) => line.process)?.process?.pid;
        await lab.on(node, ["kill", "-9", String(pid)]);
        kills.push(next);
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await running;
    // Killed after its last record it is done, and there is nothing to go on with.
    if (ended?.exitCode === 0 || ended?.stderr.includes("it is done: nothing to resume")) return { id, kills };
    // Before the first record there is no journal: it was refused, or it failed.
    if (id === "") throw new Error(`no journal: exit ${ended?.exitCode}: ${ended?.stderr}`);
  }
  throw new Error(`killed 40 times: ${kills.join(", ")}`);
}

export const newIn = (directory: string, known: ReadonlySet<string>): string | undefined =>
  (existsSync(directory) ? readdirSync(directory) : [])
    .find((name) => name.endsWith(".jsonl") && !name.startsWith(".") && !known.has(name))
    ?.replace(".jsonl", "");
