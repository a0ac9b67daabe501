/**
 * Text from outside (node names, tool output) made safe to print or log.
 * A log line stays one line and a terminal never sees an escape sequence that somebody else wrote.
 */
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\ud800-\udfff]/gu;

/** Control characters, line separators and lone surrogates as `\n`, `\t` or `\u001b`. */
export const escapeControl = (text: string): string =>
  text.replace(CONTROL, (character) => {
    if (character === "\n") return "\\n";
    if (character === "\r") return "\\r";
    if (character === "\t") return "\\t";
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });

/** The last `limit` characters of a tool's words as one printable line (STYLE 4: 400). */
export const lastWords = (text: string, limit = 400): string => {
  const line = escapeControl(text.trim().replaceAll(/\s*\n\s*/g, "; "));
  return line.length > limit ? `…${line.slice(-limit)}` : line;
};

/** 12345 as 12,345. By hand, because toLocaleString takes megabytes and, over a long table, seconds. */
export const showNumber = (value: number): string => String(value).replace(/\B(?=(?:\d{3})+$)/g, ",");

/** "1 brick", "2,000 bricks". */
export const counted = (count: number, one: string, many = `${one}s`): string =>
  `${showNumber(count)} ${count === 1 ? one : many}`;
