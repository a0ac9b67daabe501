/**
 * Rows of text as a table that fits the screen, and what all of a person's output has in common: times, unknown values.
 * What somebody else wrote (names, details) is made safe here: no control character reaches a terminal.
 */
import { Chalk, type ChalkInstance } from "chalk";
import stringWidth from "string-width";
import wrapAnsi from "wrap-ansi";
import type { Terminal } from "../core/program.ts";
import { escapeControl } from "../core/text.ts";
import { localTime } from "../records/fence-event.ts";
import type { AnalyzedEvent } from "./event.ts";

export type Column = {
  title: string;
  align?: "left" | "right";
  /** Given up first when the screen is narrow; its text is wrapped. */
  flexible?: boolean;
  paint?: (text: string) => string;
};

const GAP = 2;
const MIN_FLEXIBLE = 12;

export const paintFor = ({ colour }: Terminal): ChalkInstance => new Chalk({ level: colour ? 1 : 0 });

/** Columns on a screen; almost all text is plain, or a bar of blocks, and then it is its length. */
const widthOf = (text: string): number => (/^[\x20-\x7e\u2580-\u259f]*$/.test(text) ? text.length : stringWidth(text));

/** The widths that the columns need, flexible ones cut so that all fit. */
export function fitColumns(columns: readonly Column[], rows: readonly (readonly string[])[], screen: number): number[] {
  const widths = columns.map(({ title }, index) =>
    rows.reduce((most, row) => Math.max(most, widthOf(escapeControl(row[index] ?? ""))), widthOf(title)),
  );
  const gaps = GAP * (columns.length - 1);
  let over = widths.reduce((sum, width) => sum + width, gaps) - screen;
  const flexible = columns.flatMap(({ flexible: gives }, index) => (gives ? [index] : []));
  while (over > 0 && flexible.length > 0) {
    const widest = flexible.reduce((a, b) => ((widths[b] ?? 0) > (widths[a] ?? 0) ? b : a));
    const width = widths[widest] ?? 0;
    if (width <= MIN_FLEXIBLE) break;
    const cut = Math.min(over, width - MIN_FLEXIBLE, flexible.length === 1 ? over : 1);
    widths[widest] = width - cut;
    over -= cut;
  }
  return widths;
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
  const space = (text: string, index: number) => " ".repeat(Math.max(0, (fitted[index] ?? 0) - widthOf(text)));
  const placed = (text: string, index: number, painted = text) =>
    columns[index]?.align === "right" ? space(text, index) + painted : painted + space(text, index);
  const lines = title
    ? [
        paint.bold(
          columns
            .map(({ title: text }, index) => placed(text, index))
            .join(gap)
            .trimEnd(),
        ),
      ]
    : [];
  for (const row of safe) {
    const cells = row.map((cell, index) => wrapped(cell, fitted[index] ?? 1));
    const height = Math.max(...cells.map(({ length }) => length));
    for (let at = 0; at < height; at += 1) {
      const parts = cells.map((cell, index) => {
        const text = cell[at] ?? "";
        // Painted only when it is cut to size, so that no colour runs into the next column.
        return placed(text, index, text === "" ? text : (columns[index]?.paint?.(text) ?? text));
      });
      lines.push(parts.join(gap).trimEnd());
    }
  }
  return lines.map((line) => `${line}\n`).join("");
}

function wrapped(cell: string, width: number): readonly string[] {
  if (widthOf(cell) <= width) return [cell];
  return wrapAnsi(cell, width, { hard: true }).split("\n");
}

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
