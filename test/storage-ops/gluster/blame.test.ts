import { describe, expect, it } from "vitest";
import { sshArgv } from "../../../src/core/ssh.ts";
import {
  BLAME_TIMEOUT_MS,
  blameArgv,
  blameReader,
  reasonsAgainstBlame,
} from "../../../src/storage-ops/gluster/blame.ts";
import type { Brick, Volume } from "../../../src/storage-ops/gluster/state.ts";
import { exits, type FakeAnswer, fakeHost } from "../../fakes/fake-host.ts";
import { plainText, poolOf } from "./fixture.ts";

const FOUND = plainText("getfattr-blamed.txt");
const SPEC = "gluster --mode=script system:: getspec v";
const keys = new Set(["trusted.afr.v-client-0", "trusted.afr.v-client-1"]);
const read = (...chunks: (string | Uint8Array)[]) => {
  const reader = blameReader(keys);
  for (const chunk of chunks) reader.take(Buffer.from(chunk));
  return reader.end();
};

describe("what a brick's files say of the other copies", () => {
  it("is which of them another copy has not got whole, one that was removed long ago left aside", () => {
    const found = { blamed: 1, examples: ["/data/glusterfs/v/f7"], volumeId: "697467a9339c4cf0b4bacac8641a96a8" };
    expect(read(FOUND)).toEqual(found);
    expect(read(...[...FOUND].map((one) => one))).toEqual(found);
  });

  it("is a file once, whatever number of copies lack it, and a blame where its value is none", () => {
    const blames =
      "trusted.afr.v-client-0=0x000000000000000000000001\ntrusted.afr.v-client-1=0x000000010000000000000000\n";
    expect(read(`# file: /b/1\n${blames}# file: /b/2\ntrusted.afr.v-client-1=\n`)).toMatchObject({ blamed: 2 });
  });

  it("is read as it comes: two million files take no memory of ours", () => {
    const reader = blameReader(keys);
    const many = Buffer.from(
      Array.from(
        { length: 2_000 },
        (_, at) => `# file: /b/${at}\ntrusted.afr.v-client-1=0x000000000000000000000001\n\n`,
      ).join(""),
    );
    Bun.gc(true);
    const before = process.memoryUsage().heapUsed;
    for (let turn = 0; turn < 1_000; turn++) reader.take(many);
    Bun.gc(true);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(50 * 1024 * 1024);
    expect(reader.end()).toMatchObject({ blamed: 2_000_000, examples: ["/b/0", "/b/1", "/b/2"] });
  });
});

describe("copies", () => {
  const { peers } = poolOf();
  const here = peers.find(({ isLocal }) => isLocal)?.uuid ?? "";
  const brick = (host: string, hostUuid: string): Brick => ({
    name: `${host}:/b[1]/v`,
    host,
    path: "/b[1]/v",
    hostUuid,
    isArbiter: false,
  });
  const volume = {
    name: "v",
    id: "697467a9-339c-4cf0-b4ba-cac8641a96a8",
    replica: 2,
    disperse: 0,
    bricks: [brick("10.77.0.1", here), brick("10.77.0.2", "other")],
  } as unknown as Volume;
  const ROOT = FOUND.slice(0, FOUND.indexOf("# file", 10));
  const THERE = sshArgv("10.77.0.2", blameArgv("/b[1]/v")).join(" ");
  const HERE = blameArgv("/b[1]/v").join(" ");
  const reasons = (there: FakeAnswer, spec: FakeAnswer = plainText("getspec.txt"), local: FakeAnswer = ROOT) =>
    reasonsAgainstBlame(fakeHost({ commands: { [SPEC]: spec, [HERE]: local, [THERE]: there } }), peers, volume);

  it("are whole when every brick could be read, here and over ssh, and no file blames another", async () => {
    expect(await reasons(ROOT)).toEqual([]);
    expect(HERE).toContain("-path /b\\[1\\]/v/.glusterfs -prune");
  });

  it("may lose a file while they are looked at", async () => {
    const gone = "getfattr: /b/f1: No such file or directory\nfind: '/b/d': No such file or directory\n";
    expect(await reasons({ exitCode: 1, stdout: ROOT, stderr: gone })).toEqual([]);
  });

  it.each([
    ["a file blames another copy", FOUND, "1 file (/data/glusterfs/v/f7) of which another copy is not whole"],
    ["ssh failed", exits(255, "ssh: connect to host 10.77.0.2: No route to host"), "could not be read: ssh: connect"],
    ["it took too long", { outcome: "timed-out" as const, stdout: ROOT }, `timed out after ${BLAME_TIMEOUT_MS} ms`],
    [
      "a file could not be read",
      { exitCode: 1, stdout: ROOT, stderr: "getfattr: /b/f1: Input/output error" },
      "Input/output error",
    ],
    ["nobody is root there: such attributes are not seen at all", "", "no volume-id of v"],
    ["getfattr is not installed there", exits(1, "find: 'getfattr': No such file or directory"), "no volume-id of v"],
    ["another volume's brick is there", ROOT.replace("0x697467a9", "0x11111111"), "no volume-id of v"],
  ])("are not taken for whole when %s", async (_, there, why) => {
    expect(await reasons(there)).toEqual([expect.stringContaining(`brick 10.77.0.2:/b[1]/v: `)]);
    expect((await reasons(there)).join()).toContain(why);
  });

  it("are not taken for whole when gluster does not tell their attributes, and its answer is never shown", async () => {
    for (const spec of ["", { exitCode: 1, stdout: "option password secret" }, { outcome: "timed-out" as const }]) {
      const host = fakeHost({ commands: { [SPEC]: spec } });
      const found = await reasonsAgainstBlame(host, peers, volume);
      expect(found).toEqual([expect.stringContaining("could not be read: gluster")]);
      expect(found.join()).not.toContain("secret");
    }
  });

  it("are not looked for in a volume that has one copy of everything", async () => {
    expect(await reasonsAgainstBlame(fakeHost(), peers, { ...volume, replica: 1 })).toEqual([]);
  });
});
