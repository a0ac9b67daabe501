/**
 * A diagnosis as text for people and as JSON for programs.
 * Text from outside (names, reasons) is escaped; commands are printed whole, to be copied.
 */
import { Chalk } from "chalk";
import wrapAnsi from "wrap-ansi";
import type { Terminal } from "../core/program.ts";
import { escapeControl } from "../core/text.ts";
import type { Finding, Severity } from "./finding.ts";
import { type Diagnosis, verdictOf } from "./run.ts";

const count = (number: number, word: string): string => `${number} ${word}${number === 1 ? "" : "s"}`;

export function renderText(diagnosis: Diagnosis, { columns, colour }: Terminal, source: string): string {
  const chalk = new Chalk({ level: colour ? 1 : 0 });
  const paint: Record<Severity, (text: string) => string> = {
    error: chalk.red.bold,
    warning: chalk.yellow,
    note: chalk.cyan,
  };
  const prose = (text: string, indent: string): string =>
    wrapAnsi(escapeControl(text), Math.max(30, Math.min(columns, 120) - indent.length))
      .split("\n")
      .map((line) => `${indent}${line}\n`)
      .join("");
  const shown = new Map<string, Finding>();
  /** The crmsh command for a whole topology stands under each of its findings: once is enough to read. */
  const commands = (label: string, lines: readonly string[], finding: Finding): string => {
    if (lines.length === 0) return "";
    const key = lines.join("\n");
    const before = shown.get(key);
    if (before) return `  ${label}: as under ${before.id} ${escapeControl(before.object)}\n`;
    if (key.length > 60) shown.set(key, finding);
    return `  ${label}:\n${lines.map((line) => `    ${escapeControl(line)}\n`).join("")}`;
  };
  const blocks = diagnosis.findings.map((finding) => {
    const { id, severity, object, what, why, mend } = finding;
    return (
      `${paint[severity](severity)} ${chalk.bold(id)} ${escapeControl(object)}\n` +
      prose(what, "  ") +
      prose(why, "  ") +
      commands("pcs", mend.pcs, finding) +
      commands("crmsh", mend.crmsh, finding) +
      commands("shell", mend.shell, finding)
    );
  });
  // What kept one check from running often kept others.
  const missed = [...Map.groupBy(diagnosis.unchecked, ({ reason }) => reason)].map(
    ([reason, of]) =>
      `${chalk.magenta("not checked")}\n${prose(of.map(({ id }) => id).join(", "), "  ")}${prose(reason, "  ")}`,
  );
  const number = (severity: Severity) => diagnosis.findings.filter((one) => one.severity === severity).length;
  const summary =
    `${verdictOf(diagnosis)}: ${count(number("error"), "error")}, ${count(number("warning"), "warning")}, ` +
    `${count(number("note"), "note")}; ${count(diagnosis.passed.length, "check")} passed, ` +
    `${new Set(diagnosis.unchecked.map(({ id }) => id)).size} not checked, ${diagnosis.leftOut.length} left out ` +
    `(configuration: ${source})`;
  return [...blocks, ...missed, prose(summary, "")].join("\n");
}

export const renderJson = (diagnosis: Diagnosis, source: string): string =>
  `${JSON.stringify(
    {
      version: 1,
      verdict: verdictOf(diagnosis),
      configuration: source,
      findings: diagnosis.findings,
      unchecked: diagnosis.unchecked,
      passed: diagnosis.passed,
      left_out: diagnosis.leftOut,
    },
    null,
    2,
  )}\n`;
