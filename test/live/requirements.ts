/**
 * describe() for tests that need more than this repository.
 * Output: liveDescribe = describe where everything is there; skipped, with the missing things in the title, on a
 *         developer's machine; one failing test under CI, where nothing may be skipped.
 */
import { describe, it } from "vitest";
import { inCi, type Need, readMissing } from "./needs.ts";

export { CLUSTER_NEEDS, EXECUTABLE, GALERA_NEEDS, GLUSTER_NEEDS } from "./needs.ts";

export function liveDescribe(name: string, needs: readonly Need[], body: () => void): void {
  const missing = readMissing(needs);
  if (missing.length === 0) {
    describe(name, body);
  } else if (inCi()) {
    describe(name, () => {
      it("has what it needs on this machine", () => {
        throw new Error(
          `missing: ${missing.join(", ")} (CI may not skip; try: packaging/bun test/install-packages.ts)`,
        );
      });
    });
  } else {
    describe.skip(`${name} [skipped, missing: ${missing.join(", ")}]`, body);
  }
}
