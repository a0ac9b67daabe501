/**
 * Where in a big log the events since a time begin, without reading it.
 * Input:  a plain file that is one recorder's own log, a time. Output: the byte at which a line begins that no wanted line
 *         stands before; 0 for a file that has to be read from its start: a small one, one whose lines have no recorded_ms
 *         (the original recorder's, readable ones), and one that is seen not to be in order.
 * An event is recorded after it happened, and recorded_ms never falls in a log. It does in `cat recorder1 recorder2`, and
 * no number of places looked at can prove that it does not: who calls this knows it by the file's name. The places (spread
 * evenly, and nearer and nearer to both ends) are for a log that was put together under such a name.
 */
import { kindOf, MAX_LINE_BYTES, type Peek, peekInto } from "../core/streams.ts";
import { decodeLine, isEvent } from "./decode.ts";
import type { Evidence } from "./event.ts";

/** Read as fast as probed. */
const SMALL_BYTES = 1024 * 1024;
const EVEN_PLACES = 64;
/** About a line. */
const NEAREST_TO_END_BYTES = 1024;
const PROBE_BYTES = 8 * 1024;
const CLOSE_ENOUGH_BYTES = 64 * 1024;
/** A clock set back between an event and its line makes recorded_ms the smaller one; bisecting leaves this much room. */
const CLOCK_SLACK_MS = 10 * 60_000;

const NOWHERE: Evidence = { file: "", line: 0 };

type Probed = { offset: number; recordedMs: number };

export async function startFor(path: string, sinceMs: number | undefined): Promise<number> {
  if (sinceMs === undefined) return 0;
  const { size } = await kindOf(path);
  if (size <= SMALL_BYTES) return 0;
  return peekInto(path, (peek) => bisect(peek, size, sinceMs - CLOCK_SLACK_MS));
}

async function bisect(peek: Peek, size: number, wantedMs: number): Promise<number> {
  const known = await probeInOrder(peek, size);
  if (known === undefined) return 0;
  // Invariant: the first wanted line begins in low..high.
  let low = known.findLast(({ recordedMs }) => recordedMs < wantedMs);
  let high = known.find(({ recordedMs }) => recordedMs >= wantedMs);
  let highBytes = high?.offset ?? size;
  while (low && highBytes - low.offset > CLOSE_ENOUGH_BYTES) {
    const middle = Math.floor((low.offset + highBytes) / 2);
    const line = await probe(peek, middle, highBytes);
    if (line === undefined) {
      highBytes = middle;
      continue;
    }
    const { offset, recordedMs } = line;
    if (recordedMs === undefined || recordedMs < low.recordedMs || (high && recordedMs > high.recordedMs)) return 0;
    if (recordedMs < wantedMs) low = { offset, recordedMs };
    else {
      high = { offset, recordedMs };
      highBytes = middle;
    }
  }
  return low?.offset ?? 0;
}

/** Lines all over the file; undefined when one was recorded before the one above it, or does not say when. */
async function probeInOrder(peek: Peek, size: number): Promise<Probed[] | undefined> {
  const places = new Set(Array.from({ length: EVEN_PLACES }, (_, index) => Math.floor((size * index) / EVEN_PLACES)));
  for (let bytes = NEAREST_TO_END_BYTES; bytes < size / 2; bytes *= 2) places.add(bytes).add(size - bytes);
  const found: Probed[] = [];
  for (const place of [...places].sort((a, b) => a - b)) {
    const last = found.at(-1);
    if (last && last.offset >= place) continue; // nothing but a long line, or bad ones, in between
    const line = await probe(peek, place, size);
    if (line === undefined) break;
    const { offset, recordedMs } = line;
    if (recordedMs === undefined || (last && recordedMs < last.recordedMs)) return undefined;
    found.push({ offset, recordedMs });
  }
  return found;
}

/** The first record that begins behind a newline at or after `from` (or at 0); undefined when none begins before `to`. */
async function probe(
  peek: Peek,
  from: number,
  to: number,
): Promise<{ offset: number; recordedMs: number | undefined } | undefined> {
  let position = from;
  let inLine = from > 0;
  let length = PROBE_BYTES;
  while (position < to) {
    const bytes = await peek(position, length);
    if (bytes.length === 0) return undefined;
    let at = 0;
    for (;;) {
      if (inLine) {
        const newline = bytes.indexOf(0x0a, at);
        if (newline === -1) break;
        at = newline + 1;
        inLine = false;
      }
      if (position + at >= to) return undefined;
      const end = bytes.indexOf(0x0a, at);
      if (end === -1) break;
      const decoded = decodeLine(bytes.toString("utf8", at, end), NOWHERE);
      if (isEvent(decoded)) {
        const { recorded_ms: recorded } = decoded.record;
        return { offset: position + at, recordedMs: typeof recorded === "number" ? recorded : undefined };
      }
      at = end + 1; // a bad line says nothing; the next one does
    }
    if (at > 0) position += at;
    else if (length < MAX_LINE_BYTES) length = MAX_LINE_BYTES;
    else {
      // Longer than any line of ours.
      position += bytes.length;
      inLine = true;
    }
  }
  return undefined;
}
