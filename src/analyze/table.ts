/**
 * Rows of text as a table that fits the screen, and what all of a person's output has in common: times, unknown values.
 * What somebody else wrote (names, details) is made safe here: no control character reaches a terminal.
 */
import { Chalk, type ChalkInstance } from "chalk";
import stringWidth from "string-width";
import type { Terminal } from "../core/program.ts";
import { escapeControl } from "../core/text.ts";
import { localTime } from "../records/fence-event.ts";
import type { AnalyzedEvent } from "./event.ts";

export type Column = {
  title: string;
  align?: "left" | "right";
  /** Made narrower when the screen is; its text is wrapped between words. */
  flexible?: boolean;
  /** Left out where that is not enough, 1 before 2. */
  givesWay?: number;
  paint?: (text: string) => string;
};

const GAP = 2;
/** Prose in less than this is read word by word. */
const MIN_FLEXIBLE = 8;

export const paintFor = ({ colour }: Terminal): ChalkInstance => new Chalk({ level: colour ? 1 : 0 });

/** A status or result, perhaps cut to its first part. Green is what Pacemaker called done; that something began is neither. */
export function paintStatus(paint: ChalkInstance, text: string): string {
  if (text.startsWith("succ")) return paint.green(text);
  return text.startsWith("fail") || text.startsWith("refu") ? paint.red(text) : text;
}

/** Columns on a screen; almost all text is plain, or a bar of blocks, and then it is its length. */
const widthOf = (text: string): number => (/^[\x20-\x7e\u2580-\u259f]*$/.test(text) ? text.length : stringWidth(text));

/**
 * The widths that the columns need, made to fit the screen: flexible ones cut, but never inside a word, because a name that is
 * broken cannot be read, copied or searched; then columns left out, whose width is 0. What is still too wide stays so.
 */
export function fitColumns(columns: readonly Column[], rows: readonly (readonly string[])[], screen: number): number[] {
  const widths: number[] = [];
  const least: number[] = [];
  for (const [index, { title, flexible }] of columns.entries()) {
    let width = widthOf(title);
    let word = Math.max(MIN_FLEXIBLE, width); // titles are not wrapped
    for (const row of rows) {
      const cell = escapeControl(row[index] ?? "");
      width = Math.max(width, widthOf(cell));
      if (flexible && widthOf(cell) > word) for (const one of wordsOf(cell)) word = Math.max(word, widthOf(one));
    }
    widths.push(width);
    least.push(flexible ? Math.min(width, word) : width);
  }
  const leaving = columns
    .flatMap(({ givesWay }, index) => (givesWay === undefined ? [] : [{ index, givesWay }]))
    .sort((a, b) => a.givesWay - b.givesWay);
  for (const { index } of leaving) {
    if (lineOf(least) <= screen) break;
    widths[index] = 0;
    least[index] = 0;
  }
  for (let over = lineOf(widths) - screen; over > 0; over -= 1) {
    const spare = (index: number) => (widths[index] ?? 0) > (least[index] ?? 0);
    const widest = widths.reduce((best, width, at) => (spare(at) && width > (widths[best] ?? 0) ? at : best), -1);
    if (widest === -1) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}

/** How long a line is whose columns have these widths. */
function lineOf(widths: readonly number[]): number {
  const shown = widths.filter((width) => width > 0);
  return shown.reduce((sum, width) => sum + width, GAP * (shown.length - 1));
}

export type TableOptions = { terminal: Terminal; title?: boolean; widths?: readonly number[] };

/** Lines of text, each ended by a newline. */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  { terminal, title = true, widths }: TableOptions,
): string {
  const paint = paintFor(terminal);
  const safe = rows.map((row) => row.map((cell) => escapeControl(cell)));
  const fitted = widths ?? fitColumns(columns, safe, terminal.columns);
  const gap = " ".repeat(GAP);
  const shown = columns.flatMap((column, index) => {
    const width = fitted[index] ?? 0;
    return width === 0 ? [] : [{ ...column, index, width }];
  });
  const placed = ({ align, width }: (typeof shown)[number], text: string, painted = text) => {
    const space = " ".repeat(Math.max(0, width - widthOf(text)));
    return align === "right" ? space + painted : painted + space;
  };
  const titles = shown.map((column) => placed(column, column.title));
  const lines = title ? [paint.bold(titles.join(gap).trimEnd())] : [];
  for (const row of safe) {
    const cells = shown.map(({ index, width }) => wrapped(row[index] ?? "", width));
    const height = Math.max(...cells.map(({ length }) => length));
    for (let at = 0; at < height; at += 1) {
      const parts = shown.map((column, place) => {
        const text = cells[place]?.[at] ?? "";
        // Painted only when it is cut to size, so that no colour runs into the next column.
        return placed(column, text, text === "" ? text : (column.paint?.(text) ?? text));
      });
      lines.push(parts.join(gap).trimEnd());
    }
  }
  return lines.map((line) => `${line}\n`).join("");
}

/** Members of a list; the comma in a number parts nothing. */
const membersOf = (text: string): string[] => text.split(/(?<=,)(?!\d)/);
const wordsOf = (text: string): string[] => membersOf(text).flatMap((member) => member.trim().split(/ +/));

/** Broken behind commas, and where a member is too long at its blanks; a word is longer than the width rather than broken. */
function wrapped(cell: string, width: number): readonly string[] {
  if (widthOf(cell) <= width) return [cell];
  const pieces = membersOf(cell).flatMap((member) =>
    widthOf(member.trim()) <= width ? [member] : member.split(/(?<=\S)(?= )/),
  );
  const lines: string[] = [];
  let line = "";
  for (const piece of pieces) {
    const longer = line + piece;
    if (line !== "" && widthOf(longer) > width) {
      lines.push(line);
      line = piece.trimStart();
    } else line = line === "" ? piece.trimStart() : longer;
  }
  return [...lines, line];
}

/** The zone of the times that people are shown, by its name, which holds in summer and in winter: `UTC`, `Europe/Paris`. */
export const showZone = (): string => new Intl.DateTimeFormat().resolvedOptions().timeZone.replace(/^Etc\/UTC$/, "UTC");

/** Local time, as the readable log shows it. */
export const showTime = (timeMs: number): string =>
  Number.isFinite(timeMs) && Math.abs(timeMs) <= 8.64e15 ? localTime(new Date(timeMs)) : "unknown";

/** For JSON: UTC, ISO 8601. */
export const isoTime = (timeMs: number): string | null =>
  Number.isFinite(timeMs) && Math.abs(timeMs) <= 8.64e15 ? new Date(timeMs).toISOString() : null;

/** What discovery left: names, or why there are none. Unknown is never shown as none. */
export function showFilesystems({ filesystems, known }: Pick<AnalyzedEvent, "filesystems" | "known">): string {
  if (filesystems.length > 0) return filesystems.join(", ");
  switch (known) {
    case "none":
      return "none";
    case "disabled":
      return "(not looked for)";
    case "unknown":
    case "found":
      return "unknown";
    default:
      return known satisfies never;
  }
}
