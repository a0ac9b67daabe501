/**
 * The licences of everything in the executable: the runtime, and the packages that package-lock.json gives to production.
 * Input:  node_modules, packaging/licences (texts that a package does not carry itself; Bun's, by version).
 * Errors: thrown for a licence that nobody has looked at, or one without a text: the package is not built then.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./executable.ts";

const OURS = join(import.meta.dirname, "licences");
/** Those that allow what we do: bundle, with their text beside it. */
const LOOKED_AT = ["MIT", "ISC", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "0BSD", "Unlicense", "PSF-2.0"];
const TEXT_FILE = /^(licen[cs]e|copying|unlicense|notice)([-.].*)?$/i;

type Bundled = { name: string; version: string; license: string; texts: readonly string[] };
type LockedPackage = { version: string; license?: string; dev?: boolean; devOptional?: boolean; optional?: boolean };

export function readLicences(root: string = ROOT): Bundled[] {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    packages: Record<string, LockedPackage>;
  };
  const bundled: Bundled[] = [];
  for (const [path, { version, license, dev, devOptional, optional }] of Object.entries(lock.packages)) {
    if (path === "" || dev || devOptional || optional) continue;
    const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
    if (license === undefined || !LOOKED_AT.includes(license)) {
      throw new Error(`${name}@${version}: licence ${license ?? "unknown"}: look at it, then packaging/licences.ts`);
    }
    bundled.push({ name, version, license, texts: textsOf(join(root, path), name, version) });
  }
  const bun = lock.packages["node_modules/@oven/bun-linux-x64-baseline"];
  if (!bun) throw new Error("package-lock.json: Bun's x86-64 build is not there");
  const texts = [readFileSync(join(OURS, `bun-${bun.version}.md`), "utf8").trim()];
  return [{ name: "bun", version: bun.version, license: "MIT and others, LGPL-2 among them", texts }, ...bundled];
}

function textsOf(directory: string, name: string, version: string): string[] {
  const files = readdirSync(directory).filter((file) => TEXT_FILE.test(file));
  const nested = existsSync(join(directory, "licenses"))
    ? readdirSync(join(directory, "licenses")).map((file) => `licenses/${file}`)
    : [];
  const found = [...files.sort(), ...nested.sort()].map((file) => readFileSync(join(directory, file), "utf8").trim());
  if (files.some((file) => !/^notice/i.test(file))) return found;
  const kept = join(OURS, `${name.replaceAll("/", "-")}-${version}.txt`);
  if (!existsSync(kept)) throw new Error(`${name}@${version}: no licence text: put it into ${kept}`);
  return [readFileSync(kept, "utf8").trim()];
}

/** One text for all: which packages, then each licence text once, under the packages it is of. */
export function renderLicences(bundled: readonly Bundled[], where: { apache: string; lgpl: string }): string {
  const rows = bundled.map(({ name, version, license }) => `  ${`${name} ${version}`.padEnd(40)} ${license}`);
  const byText = new Map<string, string[]>();
  for (const { name, version, texts } of bundled) {
    const own = texts.map(ownPart).filter(Boolean).join("\n\n");
    if (own !== "") byText.set(own, [...(byText.get(own) ?? []), `${name} ${version}`]);
  }
  const sections = [...byText].map(([text, names]) => `${"-".repeat(80)}\n${names.join(", ")}\n\n${text}\n`);
  return (
    "The executable holds Fencepost, the Bun runtime and the packages below, each under its own licence.\n\n" +
    `${rows.join("\n")}\n\nThe Apache License 2.0 is in ${where.apache}, the LGPL in ${where.lgpl}.\n\n${sections.join("\n")}`
  );
}
/** The Apache License is told once; of each copy only its copyright lines are its own. */
function ownPart(text: string): string {
  if (!/Apache License\s+Version 2\.0, January 2004/.test(text)) return text;
  return text
    .split("\n")
    .filter((line) => /^\s*Copyright (\(c\) )?[^[{(]*\d{4}/i.test(line))
    .map((line) => line.trim())
    .join("\n");
}
