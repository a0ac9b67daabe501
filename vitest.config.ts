/**
 * unit: pure code, in parallel. program (the built executable), packaging (the packages in empty roots) and live (real
 * clusters) measure time and start many processes: on a machine with two cores they run after it, one file at a time,
 * never beside each other. storage (clusters of storage daemons) mostly waits for those: two files at a time.
 * program is tried again when it fails: the programs under test have limits of their own, of a second and less, and a
 * machine that stalls for longer (CI's does) makes them do what they do on a dying node. A defect fails each time. Of live
 * and storage whole files are tried again, by test/run.ts.
 */
import { defineConfig } from "vitest/config";

const SYSTEM_TESTS = ["test/program/**/*.test.ts", "test/packaging/**/*.test.ts", "test/live/**/*.test.ts"];
const STORAGE_TESTS = ["gluster*", "redis", "galera", "slurm"].map((name) => `test/live/${name}.test.ts`);

export default defineConfig({
  test: {
    pool: "threads", // under Bun 1.4 vitest's default, forks, does not start (child.channel has no unref)
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: SYSTEM_TESTS,
          testTimeout: 20_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "program",
          include: ["test/program/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          retry: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: "packaging",
          include: ["test/packaging/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 240_000,
          hookTimeout: 240_000,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: "live",
          include: ["test/live/**/*.test.ts"],
          exclude: STORAGE_TESTS,
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 180_000,
          sequence: { groupOrder: 3 },
        },
      },
      {
        test: {
          name: "storage",
          include: STORAGE_TESTS,
          maxWorkers: 2,
          testTimeout: 300_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 4 },
        },
      },
    ],
  },
});
