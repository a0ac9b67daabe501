/**
 * The lock on a Redis node: a connection whose name is our note. Redis shows it to everyone who asks, and it is gone when
 * the connection ends, however our process does; nothing is written among the data, and no ssh is needed.
 * Two who come at once both see each other and both step back for a random while: at most one holds it.
 * Source: redis.io/commands/client-setname, client-list; redis-cli reads commands from a stdin that is no terminal.
 */
import { randomBytes } from "node:crypto";
import { type Detached, startDetached } from "../../../core/exec.ts";
import type { Host } from "../../../core/host.ts";
import { lastWords } from "../../../core/text.ts";
import type { NotTaken, Release } from "../../cluster-lock.ts";
import { type Connection, nodeArgv } from "./connection.ts";

const PREFIX = "fencepost-lock:";
const TIMEOUT_MS = 15_000;
/** So often the name is given again: a server that closes idle connections finds none, and a lost one is made anew. */
const RENEW_MS = 5_000;

export async function takeConnection(
  {
    host,
    connection,
    address,
    env,
  }: { host: Host; connection: Connection; address: string; env: Record<string, string> },
  note: string,
): Promise<Release | NotTaken> {
  const name = `${PREFIX}${printable(note)}`;
  const end = `end-${randomBytes(8).toString("hex")}`;
  let child: Detached | undefined;
  let said = "";
  const answer = await new Promise<"told" | "ended" | "silent">((resolve) => {
    const timer = setTimeout(() => resolve("silent"), TIMEOUT_MS);
    const settle = (how: "told" | "ended") => {
      clearTimeout(timer);
      resolve(how);
    };
    child = startDetached(nodeArgv(connection, address), { argv0: "redis-cli", env }, (text) => {
      if (text === undefined) return settle("ended");
      said += text;
      // An error (no password, no permission) answers every command alike.
      if (said.includes(end) || /^(?!OK\r?\n)[^\n]+\n/.test(said)) settle("told");
    });
    child.send(`CLIENT SETNAME '${name}'\nCLIENT ID\nCLIENT LIST\nECHO ${end}\n`);
  });
  const [ok, id = "", ...list] = said.split("\n");
  if (answer !== "told" || ok?.trim() !== "OK" || !/^\d+$/.test(id.trim())) {
    child?.end();
    const why = answer === "silent" ? `no answer within ${TIMEOUT_MS / 1000} s` : lastWords(said, 200) || "no answer";
    return { why: `it could not be asked: ${why}`, isFinal: true };
  }
  const others = holdersIn(list.join("\n")).filter((one) => one.id !== id.trim());
  if (others[0]) {
    child?.end();
    await host.sleep(Math.random() * 250);
    return { why: `another operation is at work: ${lastWords(others[0].note)}`, isFinal: false };
  }
  const renewal = setInterval(() => child?.send(`CLIENT SETNAME '${name}'\n`), RENEW_MS);
  return async () => {
    clearInterval(renewal);
    child?.end();
  };
}

/** A connection's name takes what is printable, without spaces; a quote would end redis-cli's word. */
const printable = (note: string): string => note.replaceAll(/[^!-&(-~]/g, "_");

export function holdersIn(clientList: string): { id: string; note: string }[] {
  return clientList.split("\n").flatMap((line) => {
    const note = / name=fencepost-lock:(\S+)/.exec(line)?.[1];
    return note === undefined ? [] : [{ id: /^id=(\d+)/.exec(line)?.[1] ?? "?", note }];
  });
}
