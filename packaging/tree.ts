/**
 * Everything that a package installs, as one list; the same for both architectures but for the executable.
 * Input:  the description, packaging/files, the programs' own words, CHANGELOG.md, the licences.
 * Output: entries with absolute paths; writeTree puts them below a directory with the modes and times they are to have.
 */
import {
  chmodSync,
  copyFileSync,
  lutimesSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, posix } from "node:path";
import { gzipSync } from "node:zlib";
import { renderManPage } from "../src/fence/metadata.ts";
import { AGENT_PAGES } from "./agent-pages.ts";
import { parseChangelog, renderDebianChangelog } from "./changelog.ts";
import { type Command, fenceAgent, readCommands } from "./commands.ts";
import { renderBash, renderZsh } from "./completions.ts";
import { DIRECTORIES, EXECUTABLE, FILES, type Format, PACKAGE, PLACES, PROGRAMS, UNITS } from "./description.ts";
import { ROOT } from "./executable.ts";
import { readLicences, renderLicences } from "./licences.ts";
import { pageOf, renderAgent, renderCommand } from "./man.ts";

export type Entry = { path: string; mode: number } & (
  | { kind: "directory" }
  | { kind: "file"; content: string | Uint8Array; config?: boolean; doc?: "doc" | "license" }
  | { kind: "executable" }
  | { kind: "link"; target: string }
);

const ours = (...names: string[]): string => readFileSync(join(ROOT, "packaging", ...names), "utf8");
const gzip = (text: string): Uint8Array => gzipSync(text, { level: 9 });
const allOf = (command: Command): Command[] => [command, ...command.commands.flatMap(allOf)];

export async function planTree(format: Format, release: string, lastCommit: Date): Promise<Entry[]> {
  const entries: Entry[] = [];
  const file = (path: string, content: string | Uint8Array, more: { config?: boolean; doc?: "doc" | "license" } = {}) =>
    entries.push({ kind: "file", path, mode: 0o644, content, ...more });
  const link = (path: string, to: string) =>
    entries.push({ kind: "link", path, mode: 0o777, target: posix.relative(posix.dirname(path), to) });

  entries.push({ kind: "executable", path: EXECUTABLE, mode: 0o755 });
  for (const { path } of PROGRAMS) link(path, EXECUTABLE);
  for (const { path, mode } of DIRECTORIES) entries.push({ kind: "directory", path, mode });
  for (const { from, path, ...more } of FILES) file(path, ours("files", from), more);
  for (const unit of UNITS) file(`${PLACES[format].units}/${unit}`, ours("files", unit));

  const commands = await readCommands();
  const stamp = { version: PACKAGE.version, date: lastCommit.toISOString().slice(0, 10) };
  const manual = (page: string, section: number, text: string) =>
    file(`/usr/share/man/man${section}/${page}.${section}.gz`, gzip(text), { doc: "doc" });
  for (const command of allOf(commands)) {
    const page = pageOf(command.name);
    manual(page, 1, renderCommand(command, page, stamp));
  }
  const fence = "fence_gfs2_recorder";
  manual(fence, 8, renderManPage(fence, PACKAGE.version));
  for (const page of AGENT_PAGES) manual(page.page, 7, renderAgent(page, stamp));

  const names = [
    { called: "fencepost", command: commands },
    { called: fence, command: fenceAgent() },
    ...PROGRAMS.flatMap((program) => {
      const command =
        "subcommand" in program && commands.commands.find((one) => one.name === `fencepost ${program.subcommand}`);
      return command ? [{ called: basename(program.path), command }] : [];
    }),
  ];
  const completions = "/usr/share/bash-completion/completions";
  file(`${completions}/fencepost`, renderBash(names));
  for (const { called } of names.slice(1)) link(`${completions}/${called}`, `${completions}/fencepost`);
  file(`${PLACES[format].zsh}/_fencepost`, renderZsh(names));

  const changelog = readFileSync(join(ROOT, "CHANGELOG.md"), "utf8");
  const doc = `/usr/share/doc/${PACKAGE.name}`;
  const bundled = readLicences();
  if (format === "deb") {
    const shared = "/usr/share/common-licenses";
    const apache = `${shared}/Apache-2.0`;
    const releases = parseChangelog(changelog, PACKAGE.version, lastCommit);
    file(`${doc}/changelog.gz`, gzip(changelog));
    file(`${doc}/changelog.Debian.gz`, gzip(renderDebianChangelog(releases, release)));
    file(`${doc}/copyright`, debianCopyright(renderLicences(bundled, { apache, lgpl: `${shared}/LGPL-2` }), apache));
    file(`/usr/share/lintian/overrides/${PACKAGE.name}`, ours("lintian-overrides"));
  } else {
    const licences = `/usr/share/licenses/${PACKAGE.name}`;
    file(`${doc}/CHANGELOG.md`, changelog, { doc: "doc" });
    file(`${licences}/LICENSE`, readFileSync(join(ROOT, "LICENSE")), { doc: "license" });
    for (const name of ["LGPL-2.txt", "LGPL-2.1.txt"])
      file(`${licences}/${name}`, ours("licences", name), { doc: "license" });
    const where = { apache: `${licences}/LICENSE`, lgpl: `${licences}/LGPL-2.txt` };
    file(`${licences}/THIRD-PARTY.txt`, renderLicences(bundled, where), { doc: "license" });
    file("/usr/lib/systemd/system-preset/50-fencepost.preset", ours("files/fencepost.preset"));
  }
  return entries.sort((a, b) => (a.path < b.path ? -1 : 1));
}

const debianCopyright = (licences: string, apache: string): string =>
  `Fencepost is Copyright 2025-2026 the ${PACKAGE.maintainer.replace(/ <.*/, "")}, licensed under the Apache License,\n` +
  `Version 2.0, whose text is in ${apache}.\n\n${licences}`;

export function writeTree(root: string, entries: readonly Entry[], executable: string, epochSeconds: number): void {
  const directories = new Set<string>();
  const parentsOf = (path: string) => {
    for (let parent = dirname(path); parent !== "/"; parent = dirname(parent)) directories.add(parent);
  };
  for (const entry of entries) {
    const at = join(root, entry.path);
    parentsOf(entry.path);
    mkdirSync(dirname(at), { recursive: true });
    switch (entry.kind) {
      case "directory":
        mkdirSync(at, { recursive: true });
        directories.add(entry.path);
        break;
      case "link":
        symlinkSync(entry.target, at);
        lutimesSync(at, epochSeconds, epochSeconds);
        continue;
      case "executable":
        copyFileSync(executable, at);
        break;
      case "file":
        writeFileSync(at, entry.content);
        break;
      default:
        throw new Error(`${entry satisfies never}`);
    }
    if (entry.kind !== "directory") {
      chmodSync(at, entry.mode);
      utimesSync(at, epochSeconds, epochSeconds);
    }
  }
  // Modes and times last, whatever the caller's umask was and what was made in them.
  const modes = new Map(
    entries.flatMap((entry) => (entry.kind === "directory" ? [[entry.path, entry.mode] as const] : [])),
  );
  for (const path of directories) {
    chmodSync(join(root, path), modes.get(path) ?? 0o755);
    utimesSync(join(root, path), epochSeconds, epochSeconds);
  }
  chmodSync(root, 0o755);
  utimesSync(root, epochSeconds, epochSeconds);
}
