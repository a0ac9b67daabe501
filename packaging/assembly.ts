/**
 * Compiles src/analyze/usual-lines/assembly.ts to WebAssembly and writes it, as text that any runtime can import, to
 * module.ts beside it. Both are committed, so that who only builds needs no compiler; a test compares the two.
 * usage: npm run assembly
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT, run } from "./executable.ts";

const FOLDER = join(ROOT, "src/analyze/usual-lines");
export const MODULE_FILE = join(FOLDER, "module.ts");

/** The text of module.ts. Errors: thrown, with the compiler's complaints. */
export function compileAssembly(): string {
  const scratch = mkdtempSync(join(tmpdir(), "fencepost-assembly-"));
  try {
    const file = join(scratch, "module.wasm");
    run(process.execPath, [
      join(ROOT, "node_modules/assemblyscript/bin/asc.js"),
      join(FOLDER, "assembly.ts"),
      "-O3",
      ...["--enable", "simd"],
      ...["--runtime", "stub"],
      "--importMemory",
      "--noExportMemory",
      ...["--outFile", file],
    ]);
    const text = readFileSync(file).toString("base64");
    const parts = text.match(/.{1,100}/g)?.map((part) => `  "${part}"`) ?? [];
    return `/** Made from assembly.ts by packaging/assembly.ts. */\nexport const MODULE =\n${parts.join(" +\n")};\n`;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

if (import.meta.main) writeFileSync(MODULE_FILE, compileAssembly());
