import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ProgramContext } from "../../../src/core/program.ts";
import { runCommand } from "../../../src/storage-ops/gluster/commands/command.ts";
import { SPLIT_BRAIN } from "../../../src/storage-ops/gluster/commands/split-brain.ts";
import {
  type Blame,
  blamesIn,
  type Copy,
  onBrickHost,
  parseXattrs,
  pathOfGfid,
  readMismatches,
} from "../../../src/storage-ops/gluster/copies.ts";
import {
  chooseWinner,
  judgeCopies,
  parseSplitBrain,
  type Reason,
} from "../../../src/storage-ops/gluster/split-brain.ts";
import { planResolve } from "../../../src/storage-ops/gluster/split-brain-plan.ts";
import type { Brick, Volume } from "../../../src/storage-ops/gluster/state.ts";
import { exits, fakeHost } from "../../fakes/fake-host.ts";
import { fixture, fixtureText, poolOf } from "./fixture.ts";

const captured = (node: number): Map<string, Map<string, Buffer>> => {
  const text = readFileSync(
    join(import.meta.dirname, `../../fixtures/gluster/split-brain-node${node}.getfattr`),
    "utf8",
  );
  const blocks = text.split(/^# file: /m).slice(1);
  return new Map(
    blocks.map((block) => [(block.split("\n")[0] ?? "").replace("/data/glusterfs/sb", ""), parseXattrs(block)]),
  );
};
const brick = (at: number, isArbiter = false): Brick => ({
  name: `10.77.0.${at}:/data/glusterfs/shared`,
  host: `10.77.0.${at}`,
  path: "/data/glusterfs/shared",
  hostUuid: `${at}`,
  isArbiter,
});
const copy = (at: number, more: Partial<Copy> = {}): Copy => ({
  brick: brick(at),
  state: "there",
  type: "file",
  sizeBytes: 10,
  modifiedNs: 1_000_000_000_000n,
  gfid: "1",
  blames: new Map(),
  ...more,
});
const blame = (client: string, more: Partial<Blame>): Map<string, Blame> =>
  new Map([[client, { data: 0, metadata: 0, entry: 0, ...more }]]);

describe("a split-brain as gluster lists it", () => {
  it("is put together by gfid, with the path of whichever brick knows it", () => {
    const { listed, answered } = parseSplitBrain(fixture("split-brain"));
    expect(answered).toHaveLength(2);
    expect(listed.map(({ names }) => names.find((name) => name.startsWith("/")))).toEqual([
      "/d/e/deep",
      "/d",
      "/meta",
      "/d/data",
    ]);
    expect(listed.every(({ bricks }) => bricks.length === 2)).toBe(true);
  });

  it.each([
    ["/d/data", "data"],
    ["/meta", "metadata"],
    ["/d/gfid", "gfid"],
  ] as [string, Reason][])("%s, as captured, is %s", (path, reason) => {
    const copies = [captured(1), captured(2)].map((bricks, at): Copy => {
      const xattrs = bricks.get(path) ?? new Map<string, Buffer>();
      return copy(at + 1, { gfid: xattrs.get("trusted.gfid")?.toString("hex") ?? "", blames: blamesIn(xattrs) });
    });
    expect(judgeCopies(copies, ["sb-client-0", "sb-client-1"])).toBe(reason);
  });
});

describe("judging copies", () => {
  const clients = ["v-client-0", "v-client-1", "v-client-2"];

  it("sees no split-brain where one copy is blamed by nobody", () => {
    const copies = [
      copy(1, { blames: blame("v-client-2", { data: 1 }) }),
      copy(2),
      copy(3, { blames: blame("v-client-1", { data: 1 }) }),
    ];
    expect(judgeCopies(copies, clients)).toBe("none");
  });

  it("sees one where each is blamed by another, the arbiter's copy aside", () => {
    const copies = [
      copy(1, { blames: blame("v-client-1", { data: 1 }) }),
      copy(2, { blames: blame("v-client-0", { data: 1 }) }),
      copy(3, { brick: brick(3, true), blames: new Map() }),
    ];
    expect(judgeCopies(copies, clients)).toBe("data");
  });

  it("knows nothing while a copy could not be read", () => {
    expect(judgeCopies([copy(1), copy(2, { state: "unknown" })], clients)).toBe("unknown");
  });

  it("tells a file from a directory of the same name", () => {
    expect(judgeCopies([copy(1), copy(2, { type: "directory" })], clients)).toBe("type");
  });
});

describe("a policy", () => {
  const conflict = (copies: readonly Copy[], reason: Reason = "data") => ({
    path: "/f",
    listedAs: "/f",
    reason,
    copies,
  });
  const older = copy(1, { sizeBytes: 20 });
  const newer = copy(2, { modifiedNs: 1_005_000_000_000n });

  it("chooses the bigger, the later, or the named copy", () => {
    expect(chooseWinner(conflict([older, newer]), "bigger-file", undefined)).toBe(older);
    expect(chooseWinner(conflict([older, newer]), "latest-mtime", undefined)).toBe(newer);
    expect(chooseWinner(conflict([older, newer]), "source-brick", older.brick.name)).toBe(older);
  });

  it.each([
    ["sizes that are alike", [copy(1), copy(2)], "bigger-file", undefined, /alike \(10 bytes\)/],
    [
      "times of one second",
      [copy(1), copy(2, { modifiedNs: 1_000_400_000_000n })],
      "latest-mtime",
      undefined,
      /same second/,
    ],
    ["a brick that has no copy", [copy(1), copy(2, { state: "absent" })], "source-brick", brick(2).name, /has no copy/],
    ["the arbiter", [copy(1), copy(3, { brick: brick(3, true) })], "source-brick", brick(3).name, /it has no data/],
    ["a stranger", [copy(1), copy(2)], "source-brick", "s9:/b", /not one of/],
  ] as const)("does not choose by %s", (_what, copies, policy, source, why) => {
    expect(() => chooseWinner(conflict(copies), policy, source)).toThrow(why);
  });

  it("refuses a file on one brick and a directory on another", () => {
    expect(() => chooseWinner(conflict([older, newer], "type"), "source-brick", older.brick.name)).toThrow(
      /no such thing/,
    );
  });

  it.each(["directory", "symbolic link"])(
    "is refused for a name that is twice a %s: the losing one could not be kept",
    (type) => {
      const copies = [copy(1, { type }), copy(2, { type, gfid: "2" })];
      expect(() => chooseWinner(conflict(copies, "gfid"), "source-brick", brick(1).name)).toThrow(
        expect.objectContaining({ kind: "unsafe", message: expect.stringContaining(`not a file but a ${type}`) }),
      );
      // Its mode and owner alone are nothing that could be lost with it.
      expect(chooseWinner(conflict(copies, "metadata"), "source-brick", brick(1).name)).toBe(copies[0]);
    },
  );

  it("keeps the losing copy before gluster is told which one wins, and names the place", () => {
    const pool = poolOf();
    const volume = pool.volumes[0] as Volume;
    const decisions = [{ conflict: conflict([older, { ...newer, sha256: "ab" }]), winner: older }];
    const { steps, picture } = planResolve(pool, volume, { decisions, id: "ID", keepIn: "/keep", warnings: [] });
    expect(steps.map(({ kind }) => kind)).toEqual([
      "kept-place",
      "kept-copy",
      "split-brain-resolve",
      "split-brain-settled",
    ]);
    expect(steps[2]?.argv.slice(2).join(" ")).toBe(
      "volume heal shared_data split-brain source-brick 10.77.0.1:/data/glusterfs/shared /f",
    );
    expect(picture.join()).toContain("kept in 10.77.0.2:/keep/ID/1.1");
    expect(steps[2]?.undo).toMatchObject({ impossible: expect.stringContaining("10.77.0.2:/keep/ID/1.1") });
  });
});

describe("a gfid's path", () => {
  const peers = [{ uuid: "1", hostnames: ["localhost"], connected: true, state: "", isLocal: true }];
  const file = "aaaaaaaa-0000-4000-8000-000000000001";
  const directory = "bbbbbbbb-0000-4000-8000-000000000002";
  const entry = (gfid: string): string =>
    `/data/glusterfs/shared/.glusterfs/${gfid.slice(0, 2)}/${gfid.slice(2, 4)}/${gfid}`;
  const attributes = (gfid: string): string =>
    `getfattr -h -d -m trusted.gfid2path -e hex --absolute-names -- ${entry(gfid)}`;
  const place = `0x${Buffer.from(`${directory}/a file`).toString("hex")}`;

  it("is found by the file's own record of its parents, and the directories' links", async () => {
    const host = fakeHost({
      commands: {
        [`readlink --no-newline -- ${entry(file)}`]: exits(1),
        [attributes(file)]: `# file: x\ntrusted.gfid2path.0123456789abcdef=${place}\n`,
        [`readlink --no-newline -- ${entry(directory)}`]: "../../00/00/00000000-0000-0000-0000-000000000001/dir",
      },
    });
    expect(await pathOfGfid({ host, peers }, brick(1), file)).toBe("/dir/a file");
  });

  it("is not guessed where the brick does not tell", async () => {
    const host = fakeHost({
      commands: { [`readlink --no-newline -- ${entry(file)}`]: exits(1), [attributes(file)]: exits(1) },
    });
    expect(await pathOfGfid({ host, peers }, brick(1), file)).toBeUndefined();
  });
});

describe("a directory in split-brain", () => {
  it("is searched for names that are other files on other bricks, whatever is in the names", async () => {
    const peers = ["1", "2"].map((uuid) => ({ uuid, hostnames: [], connected: true, state: "", isLocal: true }));
    const set = [brick(1), { ...brick(2), path: "/data/two" }];
    const find = (path: string): string => `find ${path}/d -mindepth 1 -maxdepth 1 ! -name .glusterfs -printf %f\\0`;
    const attributes = (path: string): string =>
      `getfattr -h -n trusted.gfid -e hex --absolute-names -- ${path}/d/same ${path}/d/tw\u00f6 ice`;
    const block = (path: string, name: string, digit: string): string =>
      `# file: ${path}/d/${name}\ntrusted.gfid=0x${digit.repeat(32)}\n\n`;
    const told = (path: string, digit: string): string =>
      block(path, "same", "a") + block(path, "tw\\303\\266 ice", digit);
    const host = fakeHost({
      commands: Object.fromEntries(
        set.flatMap(({ path }, at) => [
          [find(path), "same\0tw\u00f6 ice\0"],
          [attributes(path), told(path, String(at))],
        ]),
      ),
    });
    expect(await readMismatches({ host, peers }, set, "/d")).toEqual(["/d/tw\u00f6 ice"]);
  });

  it("is not called whole where it could not be read", async () => {
    const peers = [{ uuid: "1", hostnames: [], connected: true, state: "", isLocal: true }];
    const host = fakeHost({
      commands: {
        "find /data/glusterfs/shared/d -mindepth 1 -maxdepth 1 ! -name .glusterfs -printf %f\\0": exits(1, "denied"),
      },
    });
    expect(await readMismatches({ host, peers }, [brick(1)], "/d")).toBeUndefined();
  });
});

describe("a directory that gluster lists and that has too many names to compare", () => {
  const ask = "gluster --mode=script --xml ";
  const { peers, volumes } = poolOf();
  const bricks = volumes[0]?.bricks ?? [];
  const listed = bricks
    .map(({ name }) => `<brick><name>${name}</name><status>Connected</status><file gfid="g1">/big</file></brick>`)
    .join("");
  const names = Array.from({ length: 5_001 }, (_, at) => `f${at}\0`).join("");
  const commands = Object.fromEntries([
    [`${ask}pool list`, fixtureText("pool-list")],
    [`${ask}volume info all`, fixtureText("volume-info")],
    [`${ask}volume status all`, fixtureText("status")],
    [`${ask}volume heal shared_data info summary`, fixtureText("heal-summary")],
    [
      `${ask}volume heal shared_data info split-brain`,
      `<cliOutput><healInfo><bricks>${listed}</bricks></healInfo><opRet>0</opRet><opErrno>0</opErrno></cliOutput>`,
    ],
    ...bricks.flatMap((one) => {
      const path = `${one.path}/big`;
      const there = (...argv: [string, ...string[]]): string => onBrickHost(one, peers, argv).join(" ");
      return [
        [there("stat", "--printf=%F|%s|%.9Y|%a|%u:%g", "--", path), "directory|4096|1.0|755|0:0"],
        [
          there("getfattr", "-h", "-d", "-m", "-", "-e", "hex", "--absolute-names", "--", path),
          `# file: x\ntrusted.gfid=0x${"a".repeat(32)}\n`,
        ],
        [
          there("find", path, "-mindepth", "1", "-maxdepth", "1", "!", "-name", ".glusterfs", "-printf", "%f\\0"),
          names,
        ],
      ];
    }),
  ]) as Record<string, string>;

  async function run(words: string): Promise<string> {
    let said = "";
    const context: ProgramContext = {
      host: fakeHost({ commands }),
      env: {},
      out: async (text) => {
        said += String(text);
      },
      err: () => {},
      stdin: async function* () {},
      terminal: { columns: 80, colour: false, isTerminal: false },
    };
    const exit = await runCommand(SPLIT_BRAIN, context, words.split(" "), "fencepost gluster split-brain");
    return `${exit} ${said}`;
  }
  const policy = "--policy source-brick --source 10.77.0.1:/data/glusterfs/shared";

  it.each([`--all ${policy}`, `/big/f7 ${policy}`, `/big ${policy}`])(
    "is not taken for none: shared_data %s",
    async (words) => {
      await expect(run(`shared_data ${words}`)).rejects.toMatchObject({
        kind: "unsafe",
        message: expect.stringContaining("cannot decide: /big: which of its names differ could not be read"),
      });
    },
  );

  it("is listed, also for a file below it and for itself, and not for another", async () => {
    for (const words of ["", " /big/f7", " /big/d/f", " /big"])
      expect(await run(`shared_data${words}`)).toMatch(/^107 .*1 in split-brain\n\/big: .*could not be read/);
    expect(await run("shared_data /bigger")).toMatch(/^0 .*no split-brain/);
    await expect(run(`shared_data /bigger ${policy}`)).rejects.toMatchObject({ kind: "usage" });
  });

  it.each(["big", "big/f7", "/big/", "//big", "/a/../big"])(
    "is asked for by its whole path, not as %s",
    async (file) => {
      await expect(run(`shared_data ${file}`)).rejects.toMatchObject({
        kind: "usage",
        message: expect.stringContaining("not a path from the volume's root"),
      });
    },
  );
});
