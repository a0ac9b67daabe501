/**
 * CHANGELOG.md → the changelogs of deb and RPM. A section is `## VERSION – DATE`; one that is unreleased has the date of
 * the last commit. Errors: thrown when the version that is built has no section.
 */
import { PACKAGE } from "./description.ts";

type Release = { version: string; date: Date; changes: string[] };

export function parseChangelog(text: string, version: string, lastCommit: Date): Release[] {
  const releases: Release[] = [];
  for (const line of text.split("\n")) {
    const [, number, day] = /^## (\d\S*) – (\S+)/.exec(line) ?? [];
    const last = releases.at(-1);
    if (number) releases.push({ version: number, date: dateOf(day ?? "", lastCommit), changes: [] });
    else if (last && line.startsWith("- ")) last.changes.push(line.slice(2));
    else if (last && line.startsWith("  ")) last.changes.push(`${last.changes.pop()} ${line.trim()}`);
  }
  if (releases[0]?.version !== version) throw new Error(`CHANGELOG.md: its first section is not ${version}`);
  return releases;
}

function dateOf(day: string, lastCommit: Date): Date {
  const date = new Date(`${day}T12:00:00Z`);
  return Number.isNaN(date.getTime()) ? lastCommit : date;
}

const wrap = (text: string, width: number, indent: string): string => {
  const lines = [""];
  for (const word of text.replaceAll("`", "").split(" ")) {
    const last = lines.at(-1) ?? "";
    if (last !== "" && last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = last === "" ? word : `${last} ${word}`;
  }
  return lines.join(`\n${indent}`);
};

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
/** Fri, 20 Nov 2026 12:00:00 +0000 */
const rfc5322 = (date: Date): string => date.toUTCString().replace("GMT", "+0000");

export const renderDebianChangelog = (releases: readonly Release[], release: string): string =>
  releases
    .map(
      ({ version, date, changes }) =>
        `${PACKAGE.name} (${version}-${release}) unstable; urgency=medium\n\n` +
        `${changes.map((change) => `  * ${wrap(change, 74, "    ")}\n`).join("")}\n` +
        ` -- ${PACKAGE.maintainer}  ${rfc5322(date)}\n`,
    )
    .join("\n");

export const renderRpmChangelog = (releases: readonly Release[], release: string): string =>
  releases
    .map(({ version, date, changes }) => {
      const [, day, month, year] = date.toUTCString().split(" ");
      const head = `* ${DAYS[date.getUTCDay()]} ${month} ${day} ${year} ${PACKAGE.maintainer} - ${version}-${release}`;
      return `${head}\n${changes.map((change) => `- ${wrap(change, 74, "  ").replaceAll("%", "%%")}\n`).join("")}`;
    })
    .join("\n");
