/**
 * Names, times and numbers as words of the page. Node, filesystem and reason texts come from logs anybody's node name may
 * have reached: they are data everywhere, never markup.
 */
import { escapeControl } from "../../core/text.ts";

const codeOf = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** Marks that turn or hide the text around them: a node name may not rewrite the sentence it stands in. */
const INVISIBLE = /[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/gu;

/** The text with nothing in it that cannot be seen. */
export const visible = (text: string): string => escapeControl(text).replace(INVISIBLE, codeOf);

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Visible text for an element's body or a quoted attribute. */
export const html = (text: string): string =>
  visible(text).replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");

/** JSON for a script element: nothing in it can end the element or open a comment. */
export const scriptJson = (value: unknown): string => visible(JSON.stringify(value).replace(/[<>&]/g, codeOf));

/** `2026-07-04` of a local time. */
export const localDay = (localMs: number): string => new Date(localMs).toISOString().split("T")[0] ?? "";

/** `2026-07-04 12:00:09` of a local time. */
export const localMoment = (localMs: number): string =>
  Math.abs(localMs) <= 8.64e15 ? new Date(localMs).toISOString().replace("T", " ").slice(0, -5) : "time not known";

/** Two figures are enough to judge a fence by: `0.8 s`, `12 s`, `3 min 20 s`, `2 h 5 min`. */
export function formatDuration(ms: number): string {
  if (ms < 1) return `${Math.round(ms)} ms`;
  if (ms < 950) return `${Number(ms.toPrecision(2))} ms`;
  if (ms < 9_950) return `${Number((ms / 1000).toFixed(1))} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const two = (big: number, bigUnit: string, small: number, smallUnit: string) =>
    `${big} ${bigUnit}${small === 0 ? "" : ` ${small} ${smallUnit}`}`;
  if (seconds < 3600) return two(Math.floor(seconds / 60), "min", seconds % 60, "s");
  const minutes = Math.round(seconds / 60);
  if (minutes < 48 * 60) return two(Math.floor(minutes / 60), "h", minutes % 60, "min");
  return two(Math.floor(minutes / 1440), "d", Math.floor((minutes % 1440) / 60), "h");
}
