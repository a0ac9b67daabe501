/**
 * What the report's numbers are kept in, in memory that does not grow: names, what rows share, durations, the newest rows.
 */
import type { Duration } from "../incidents.ts";
import type { Kind, ReportIncident } from "./aggregate.ts";
import { scriptJson } from "./words.ts";

const KIND_LIMIT = 10_000; // the last half of them without the reason
const MAX_NAME_CHARS = 256; // longer than a node name can be; what is longer is an attack or an accident
const STEP = Math.log(1.05);

export const cut = (text: string): string =>
  text.length > MAX_NAME_CHARS ? `${text.slice(0, MAX_NAME_CHARS - 1)}…` : text;

/** Text → small number, the first `limit` texts only. */
export class Dictionary {
  readonly texts: string[] = [];
  readonly #indices = new Map<string, number>();
  readonly #limit: number;
  constructor(limit: number) {
    this.#limit = limit;
  }
  indexOf(text: string): number | undefined {
    const known = this.#indices.get(text);
    if (known !== undefined) return known;
    if (this.texts.length >= this.#limit) return undefined;
    this.#indices.set(text, this.texts.length);
    return this.texts.push(text) - 1;
  }
}

/** What rows share, kept as the text that the page holds: ten thousand of them as objects would be 10 MB more. */
export class Kinds {
  readonly #texts: string[] = [];
  readonly #indices = new Map<string, number>();

  get length(): number {
    return this.#texts.length;
  }
  /** [action, result, context, filesystems, recorders, client, device, reason] as JSON for a script element. */
  textOf(index: number): string | undefined {
    return this.#texts[index];
  }
  at(index: number): Kind | undefined {
    const text = this.#texts[index];
    if (text === undefined) return undefined;
    const [action, result, context, filesystems, recorders, client, device, reason] = JSON.parse(text);
    const known = (value: string): string | undefined => (value === "" ? undefined : value);
    return {
      ...{ action, result, context, filesystems, recorders },
      ...{ client: known(client), device: known(device), reason: known(reason) },
    };
  }

  actions(): Set<string> {
    return new Set(this.#texts.map((_, index) => this.at(index)?.action ?? ""));
  }

  /** The reason may differ every time: past a limit rows lose it, past the next all but the result. */
  indexOf(incident: ReportIncident): number {
    const full: Kind = {
      action: cut(incident.action),
      result: incident.result,
      filesystems: incident.filesystems.slice(0, 50).map(cut),
      context: incident.context,
      recorders: incident.recorders.slice(0, 50).map(cut),
      device: incident.device === undefined ? undefined : cut(incident.device),
      client: incident.client === undefined ? undefined : cut(incident.client),
      reason: incident.reason === undefined ? undefined : cut(incident.reason),
    };
    const short: Kind = { ...full, reason: undefined };
    const action = ["on", "off", "reboot"].includes(full.action) ? full.action : "other";
    const bare: Kind = { ...short, action, filesystems: [], recorders: [], device: undefined, client: undefined };
    return this.#find(full, KIND_LIMIT / 2) ?? this.#find(short, KIND_LIMIT) ?? this.#find(bare, KIND_LIMIT * 2) ?? -1;
  }
  #find(kind: Kind, limit: number): number | undefined {
    const { action, result, context, filesystems, recorders, client = "", device = "", reason = "" } = kind;
    const text = scriptJson([action, result, context, filesystems, recorders, client, device, reason]);
    const known = this.#indices.get(text);
    if (known !== undefined) return known;
    if (this.#texts.length >= limit) return undefined;
    this.#indices.set(text, this.#texts.length);
    return this.#texts.push(text) - 1;
  }
}

/** Durations in steps of 5 %: flat memory, whatever their number. */
export class Spread {
  readonly #steps = new Uint32Array(400); // 1.05^400 ms is over three days
  count = 0;
  minima = 0;
  longest = 0;
  add({ ms, isMinimum }: Duration): void {
    const step = ms < 1 ? 0 : Math.min(this.#steps.length - 1, Math.floor(Math.log(ms) / STEP) + 1);
    this.#steps[step] = (this.#steps[step] ?? 0) + 1;
    this.count++;
    if (isMinimum) this.minima++;
    this.longest = Math.max(this.longest, ms);
  }
  /** So many took up to this: the step's upper end, never above the longest one seen. */
  quantile(share: number): number {
    let left = Math.max(1, Math.ceil(this.count * share));
    for (const [step, count] of this.#steps.entries()) {
      left -= count;
      if (left <= 0) return step === 0 ? 0 : Math.min(this.longest, Math.exp(step * STEP));
    }
    return this.longest;
  }
}

/** The newest rows: a ring of typed arrays, so that a hundred thousand rows cost 4 MB. */
export class Ring {
  readonly #capacity: number;
  readonly timesMs: Float64Array;
  readonly durations: Float64Array;
  readonly node: Int32Array;
  readonly kind: Int32Array;
  readonly lineCount: Uint32Array;
  readonly file: Int32Array;
  readonly line: Float64Array;
  size = 0;
  #next = 0;
  constructor(capacity: number) {
    this.#capacity = capacity;
    this.timesMs = new Float64Array(capacity);
    this.durations = new Float64Array(capacity);
    this.node = new Int32Array(capacity);
    this.kind = new Int32Array(capacity);
    this.lineCount = new Uint32Array(capacity);
    this.file = new Int32Array(capacity);
    this.line = new Float64Array(capacity);
  }
  /** The slot to fill: a new one, else the oldest arrival's. */
  claim(): number {
    const slot = this.#next;
    this.#next = (slot + 1) % this.#capacity;
    this.size = Math.min(this.size + 1, this.#capacity);
    return slot;
  }
}
