/**
 * Builds the one executable, bin/fencepost; the program names beside it are committed symlinks.
 * usage: packaging/bun packaging/build.ts [--arch x64|arm64] [--outfile FILE]
 */
import { parseArgs } from "node:util";
import { ARCHES, buildExecutable } from "./executable.ts";

const { values } = parseArgs({
  options: {
    arch: { type: "string", default: process.arch },
    outfile: { type: "string", default: "bin/fencepost" },
  },
});
const arch = ARCHES.find((known) => known === values.arch);
if (!arch) {
  process.stderr.write(`build: --arch ${values.arch}: not one of ${ARCHES.join(", ")}; try: --arch ${ARCHES[0]}\n`);
  process.exit(64);
}
buildExecutable(arch, values.outfile);
