/**
 * Who runs a request, when several responders watch the same directory: whoever renames it first. A claim is the request
 * under a hidden name that says who claimed it, so that a responder that died with one is noticed.
 * Output: true for the one that got it; the claims of the dead.
 */
import { listNames, moveIfThere, statOf } from "../core/files.ts";
import type { Host } from "../core/host.ts";
import { identityOf, isAlive, type ProcessIdentity } from "../core/process-identity.ts";
import { partsOfName } from "./gate-protocol.ts";

/** Of the boot id as much as makes two boots differ: file names end at 255 bytes. */
const BOOT_CHARS = 8;
const CLAIM = /^\.(?<name>.+\.json)\.claim-(?<pid>\d+)-(?<ticks>-?\d+)-(?<boot>[0-9a-z]+)(?:-\d+)?$/i;

/** A claim from another boot may be another machine's, whose processes are not ours to see: it has this long. */
const FOREIGN_CLAIM_MS = 300_000;

export class Claims {
  readonly #host: Host;
  readonly #directory: string;
  readonly #me: ProcessIdentity;
  #count = 0;

  constructor(host: Host, directory: string) {
    this.#host = host;
    this.#directory = directory;
    this.#me = identityOf(host, process.pid);
  }

  /** The claim's name; undefined when somebody else was quicker. `from` is the request or a dead responder's claim. */
  async claim(name: string, from = name): Promise<string | undefined> {
    const { pid, start_ticks: ticks, boot_id: boot } = this.#me;
    this.#count += 1;
    const claim = `.${name}.claim-${pid}-${ticks}-${boot.slice(0, BOOT_CHARS)}-${this.#count}`;
    return (await moveIfThere(`${this.#directory}/${from}`, `${this.#directory}/${claim}`)) ? claim : undefined;
  }

  /** Claims whose responder is gone: nobody knows what became of those requests. */
  async abandoned(): Promise<{ name: string; claim: string }[]> {
    const found: { name: string; claim: string }[] = [];
    for (const claim of await listNames(this.#directory)) {
      const { name = "", pid, ticks, boot } = CLAIM.exec(claim)?.groups ?? {};
      if (!partsOfName(name) || !(await this.#isAbandoned(claim, Number(pid), Number(ticks), boot ?? ""))) continue;
      found.push({ name, claim });
    }
    return found;
  }

  async #isAbandoned(claim: string, pid: number, ticks: number, boot: string): Promise<boolean> {
    if (this.#me.boot_id.startsWith(boot)) {
      return !isAlive(this.#host, { boot_id: this.#me.boot_id, pid, start_ticks: ticks });
    }
    const stat = await statOf(`${this.#directory}/${claim}`);
    return stat !== undefined && this.#host.now().getTime() - stat.modifiedMs > FOREIGN_CLAIM_MS;
  }
}
