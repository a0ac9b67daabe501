/**
 * The responder's work: requests in, one command for each, answers out.
 * Output: an answer for every request that was understood, success only when the command ended with 0 within its time.
 *         A request that a dead responder had claimed is answered as failed: what became of it is unknown.
 * Errors: none for a request; every trouble is told by `tell` and the watching goes on.
 */
import { reasonOf } from "../core/errors.ts";
import { type Argv, failureOf } from "../core/exec.ts";
import { exists, listNames, remove } from "../core/files.ts";
import type { Host } from "../core/host.ts";
import { escapeControl } from "../core/text.ts";
import { Claims } from "./gate-claims.ts";
import { prepareExchange, readExchange, writeExchange } from "./gate-files.ts";
import { decodeRequest, encodeResponse, type GateRequest, partsOfName, type Verdict } from "./gate-protocol.ts";

export type Watch = {
  requestDir: string;
  responseDir: string;
  command: Argv;
  timeoutMs: number;
  pollMs: number;
  /** A request that nobody has touched for so long is awaited by nobody, and a fence would come too late. */
  maxAgeMs: number;
  /** One pass over what is there. */
  once: boolean;
  tell: (note: Note) => Promise<void>;
  /** Takes no more requests. */
  stop: AbortSignal;
  /** Ends the commands that run. */
  kill: AbortSignal;
};

/** What a line of --json holds; keys in snake_case there. */
export type Note = {
  event: "watching" | "started" | "answered" | "ignored" | "trouble" | "stopped";
  requestId?: string;
  action?: string;
  target?: string;
  success?: boolean;
  message?: string;
  elapsedMs?: number;
};

/** Fences of different nodes do not wait for each other; more at once than this is no fencing but an accident. */
const MAX_AT_ONCE = 16;
const ANSWER_TRIES = 10;
const ANSWER_RETRY_MS = 500;

/** Resolves when it was stopped, or after one pass, with how many answers could not be written. */
export async function watchRequests(host: Host, watch: Watch): Promise<{ unanswered: number }> {
  const claims = new Claims(host, watch.requestDir);
  const running = new Map<string, Promise<void>>();
  /** Told once, not at every pass. */
  const told = new Set<string>();
  let unanswered = 0;
  let trouble: string | undefined;
  await prepareExchange(watch.requestDir);
  await prepareExchange(watch.responseDir);
  await watch.tell({ event: "watching", message: `${watch.requestDir} for ${watch.command.join(" ")}` });

  const answer = async (request: GateRequest, name: string, claim: string, verdict: Verdict, startedMs: number) => {
    const elapsedMs = Math.round(host.monotonicMs() - startedMs);
    const { requestId, action, target } = request;
    for (let attempt = 1; ; attempt += 1) {
      try {
        await remove(`${watch.responseDir}/.${name}.tmp`); // left by one that died while it wrote
        await writeExchange(watch.responseDir, name, encodeResponse(request, verdict, host.now()));
        break;
      } catch (error) {
        const message = `${watch.responseDir}/${name}: not written: ${reasonOf(error)}`;
        if (attempt === 1) await watch.tell({ event: "trouble", requestId, target, message });
        if (attempt === ANSWER_TRIES) {
          unanswered += 1; // the claim stays: whoever comes next answers that the outcome is unknown
          return;
        }
        await host.sleep(ANSWER_RETRY_MS);
      }
    }
    await remove(`${watch.requestDir}/${claim}`);
    const { success, message } = verdict;
    await watch.tell({ event: "answered", requestId, action, target, success, message, elapsedMs });
  };

  const handle = async (request: GateRequest, name: string, ageMs: number): Promise<void> => {
    const claim = await claims.claim(name);
    if (claim === undefined) return;
    const startedMs = host.monotonicMs();
    const { requestId, action, target } = request;
    if (ageMs > watch.maxAgeMs) {
      const message = `the request is ${Math.round(ageMs / 1000)} s old: nobody waits for it any more`;
      return answer(request, name, claim, { success: false, message, actionPerformed: "none" }, startedMs);
    }
    await watch.tell({ event: "started", requestId, action, target });
    return answer(request, name, claim, await run(host, watch, request, name), startedMs);
  };

  const pass = async (): Promise<void> => {
    for (const { name, claim: old } of await claims.abandoned()) {
      const parts = partsOfName(name);
      const claim = parts && (await claims.claim(name, old));
      if (!parts || claim === undefined) continue;
      if (await exists(`${watch.responseDir}/${name}`)) {
        await remove(`${watch.requestDir}/${claim}`); // it had answered
        continue;
      }
      const text = await readExchange(watch.requestDir, claim).catch(() => undefined);
      const decoded = decodeRequest(text?.text ?? "", name);
      const { node: target, requestId } = parts;
      const request =
        typeof decoded === "string" ? { target, requestId, action: "", timestamp: "", recorderNode: "" } : decoded;
      const message = "the responder ended between the command and its answer: the outcome is unknown";
      const verdict = { success: false, message, actionPerformed: "unknown" };
      await answer(request, name, claim, verdict, host.monotonicMs());
    }
    for (const name of await listNames(watch.requestDir)) {
      if (watch.stop.aborted || running.size >= MAX_AT_ONCE) return;
      if (!partsOfName(name) || running.has(name)) continue;
      const ignore = async (message: string): Promise<void> => {
        if (told.has(`${name}: ${message}`)) return;
        told.add(`${name}: ${message}`);
        await watch.tell({ event: "ignored", message: `${name}: ${message}` });
      };
      if (await exists(`${watch.responseDir}/${name}`)) {
        await remove(`${watch.requestDir}/${name}`); // by another responder, which had no time to tidy up
        continue;
      }
      const file = await readExchange(watch.requestDir, name).catch(async (error: unknown) => {
        await ignore(reasonOf(error));
        return undefined;
      });
      if (!file) continue;
      const request = decodeRequest(file.text, name);
      if (typeof request === "string") {
        await ignore(request);
        continue;
      }
      // Two commands at once for one node would be a race; its next request waits where others may take it.
      if ([...running.keys()].some((other) => partsOfName(other)?.node === request.target)) continue;
      const work = handle(request, name, host.now().getTime() - file.modifiedMs)
        .catch((error: unknown) => {
          unanswered += 1;
          return watch.tell({ event: "trouble", target: request.target, message: reasonOf(error) });
        })
        .finally(() => running.delete(name));
      running.set(name, work);
    }
  };

  while (!watch.stop.aborted) {
    try {
      await pass();
      trouble = undefined;
    } catch (error) {
      if (trouble !== reasonOf(error)) await watch.tell({ event: "trouble", message: reasonOf(error) });
      trouble = reasonOf(error);
      if (watch.once) unanswered += 1;
    }
    if (watch.once && running.size === 0) break;
    if (watch.once) await Promise.all(running.values());
    else await host.sleep(watch.pollMs, watch.stop);
    if (told.size > 10_000) told.clear();
  }
  await Promise.all(running.values());
  await watch.tell({ event: "stopped" });
  return { unanswered };
}

/** Success is exit 0 within the time limit, and nothing else. */
async function run(host: Host, watch: Watch, request: GateRequest, name: string): Promise<Verdict> {
  const { requestId, action, target, timestamp, recorderNode } = request;
  try {
    const result = await host.run(watch.command, {
      timeoutMs: watch.timeoutMs,
      maxBytes: 1024 * 1024,
      signal: watch.kill,
      input: `${JSON.stringify({ request_id: requestId, timestamp, action, target_node: target, recorder_node: recorderNode })}\n`,
      env: {
        FENCE_ACTION: action,
        FENCE_TARGET: target,
        FENCE_REQUEST_ID: requestId,
        FENCE_REQUEST_FILE: name,
        FENCE_RECORDER_NODE: recorderNode,
        FENCE_TIMESTAMP: timestamp,
      },
    });
    const failure = failureOf(result, watch.timeoutMs);
    if (failure !== undefined) return { success: false, message: failure, actionPerformed: "unknown" };
    const said = escapeControl(result.stdout.trim().split("\n").at(-1) ?? "").slice(0, 400);
    return { success: true, message: said === "" ? `${result.command}: exit 0` : said, actionPerformed: action };
  } catch (error) {
    return { success: false, message: reasonOf(error), actionPerformed: "unknown" };
  }
}
