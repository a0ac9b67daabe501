/**
 * `npm run package`: deb and RPM for every architecture from one description, into dist/.
 * usage: packaging/bun packaging/package.ts [--arch x64,arm64] [--format deb,rpm] [--release N] [--outdir dist] [--quick]
 *        --quick compresses little: packages for tests, larger than they are to be.
 * Output: the packages' paths, one a line, when all are built. Needs: dpkg-deb, rpmbuild, npm, tar.
 * Source: https://reproducible-builds.org/specs/source-date-epoch/
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { parseChangelog, renderRpmChangelog } from "./changelog.ts";
import { type Build, buildDeb } from "./deb.ts";
import { FORMATS, type Format, PACKAGE } from "./description.ts";
import { ARCHES, type Arch, buildExecutable, ROOT, run } from "./executable.ts";
import { buildRpm } from "./rpm.ts";
import { planTree } from "./tree.ts";

const { values } = parseArgs({
  options: {
    arch: { type: "string", default: ARCHES.join(",") },
    format: { type: "string", default: FORMATS.join(",") },
    release: { type: "string", default: "1" },
    outdir: { type: "string", default: join(ROOT, "dist") },
    quick: { type: "boolean", default: false },
  },
});

function chosen<T extends string>(option: string, words: string, known: readonly T[]): T[] {
  return words.split(",").map((word) => {
    const one = known.find((name) => name === word);
    if (!one) throw new Error(`--${option} ${word}: not one of ${known.join(", ")}`);
    return one;
  });
}

/** Executables name the oldest glibc they start with by the symbol versions they ask for. */
function glibcOf(executable: string): string {
  // They stand in the first pages of the file, in its table of strings.
  const text = readFileSync(executable)
    .subarray(0, 1024 * 1024)
    .toString("latin1");
  const versions = [...text.matchAll(/\0GLIBC_2\.(\d+)(?=\0)/g)].map(([, minor]) => Number(minor));
  if (versions.length === 0) throw new Error(`${executable}: it names no glibc`);
  return `2.${Math.max(...versions)}`;
}

if (!/^[0-9][0-9a-z.~+]*$/.test(values.release)) throw new Error(`--release ${values.release}: not a release`);
const arches: Arch[] = chosen("arch", values.arch, ARCHES);
const formats: Format[] = chosen("format", values.format, FORMATS);
const given = process.env.SOURCE_DATE_EPOCH ?? run("git", ["log", "-1", "--format=%ct"]).trim();
if (!/^\d+$/.test(given)) throw new Error(`SOURCE_DATE_EPOCH: '${given}' is not a number of seconds`);
const epochSeconds = Number(given);
const lastCommit = new Date(epochSeconds * 1000);
const outdir = resolve(values.outdir);
mkdirSync(outdir, { recursive: true });

const scratch = mkdtempSync(join(tmpdir(), "fencepost-package-"));
try {
  const trees = new Map<Format, Awaited<ReturnType<typeof planTree>>>();
  for (const format of formats) trees.set(format, await planTree(format, values.release, lastCommit));
  const releases = parseChangelog(readFileSync(join(ROOT, "CHANGELOG.md"), "utf8"), PACKAGE.version, lastCommit);
  const packages: string[] = [];
  for (const arch of arches) {
    const executable = join(scratch, arch, "fencepost");
    buildExecutable(arch, executable);
    const glibc = glibcOf(executable);
    for (const [format, entries] of trees) {
      const own = mkdtempSync(join(scratch, `${format}-`));
      const build: Build = {
        ...{ arch, release: values.release, executable, glibc, entries, epochSeconds, quick: values.quick },
        ...{ scratch: own, outdir },
      };
      packages.push(format === "deb" ? buildDeb(build) : buildRpm(build, renderRpmChangelog(releases, values.release)));
      rmSync(own, { recursive: true, force: true });
    }
  }
  console.log(packages.join("\n"));
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
