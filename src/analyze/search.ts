/**
 * A part of a plain file → the lines in question, the fastest way there is.
 * Input:  the file's path; the part, which begins with a line; a scanner, made for its first line.
 * Output: what has to be looked at, in the file's order; it yields after each block, so that memory stays flat.
 * Errors: the system's; what streams.ts says of a file that was cut, or is compressed.
 */
import { type Block, type ReadPart, readFileBlocks } from "../core/streams.ts";
import type { LineHandler, Scanner } from "./scan.ts";

const RETURN = 0x0d;
/** Below this a search is done before the faster one is ready. */
const WORTH_MAPPING_BYTES = 8 * 1024 * 1024;

export type SearchPart = ReadPart & { start: number } & ({ end: number } | { sizeBytes: number });

export type Found = {
  decode: LineHandler;
  /** A line that is longer than a line may be. */
  tooLong: (line: number, offset: number, length: number) => void;
};

/** `isAlone`: no other file is being read, so that this one may take a few MB. */
export async function* searchFile(
  path: string,
  part: SearchPart,
  scanner: Scanner,
  { decode, tooLong }: Found,
  isAlone: boolean,
): AsyncGenerator<undefined> {
  let { start } = part;
  const end = part.end ?? part.sizeBytes ?? start;
  const [word, ...others] = scanner.words ?? [];
  const isWord = word !== undefined && word.length > 1 && others.length === 0;
  if (isWord && isAlone && end - start >= WORTH_MAPPING_BYTES) {
    const { searchMapped } = await import("./usual-lines/mapped.ts");
    const firstLine = scanner.line();
    const { offset, lines } = yield* searchMapped(path, { start, end }, word, (bytes, length, place) => {
      const to = bytes[length - 1] === RETURN ? length - 1 : length;
      if (to > 0) decode(bytes, 0, to, firstLine === 0 ? 0 : firstLine + place.lines, place.offset);
    });
    start = offset;
    scanner.skipLines(lines);
    if (start === part.end) return; // else there may be more by now
  }
  for await (const block of readFileBlocks(path, "none", { ...part, start })) {
    scanBlock(block, scanner, { decode, tooLong });
    yield;
  }
}

export function scanBlock(block: Block, scanner: Scanner, { decode, tooLong }: Found): void {
  if (block.kind === "lines") scanner.scan(block, decode);
  else {
    tooLong(scanner.line(), block.offset, block.length);
    scanner.skipLines(1);
  }
}
