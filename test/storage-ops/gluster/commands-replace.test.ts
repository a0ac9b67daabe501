import { describe, expect, it } from "vitest";
import type { Plan } from "../../../src/core/plan.ts";
import type { ProgramContext } from "../../../src/core/program.ts";
import { runCommand } from "../../../src/storage-ops/gluster/commands/command.ts";
import { REPLACE_BRICK, RESET_BRICK } from "../../../src/storage-ops/gluster/commands/replace.ts";
import { GLUSTERFS } from "../../../src/storage-ops/gluster/node.ts";
import { fakeHost } from "../../fakes/fake-host.ts";
import { fixtureText } from "./fixture.ts";

const ask = "gluster --mode=script --xml ";
const NEW = "/data/glusterfs/new";
const OLD = "/data/glusterfs/shared";
const MARKS =
  "env LC_ALL=C getfattr --absolute-names -h -m ^trusted[.](glusterfs[.]volume-id|gfid)$ -- /data /data/glusterfs";
/** On node1, 10.77.0.1, which has another address that gluster knows nothing of; its own place for a brick is not read by ssh. */
const NODE1 = {
  [`${ask}pool list`]: fixtureText("pool-list"),
  [`${ask}volume info all`]: fixtureText("volume-info"),
  [`${ask}volume status all`]: fixtureText("status"),
  [`${ask}volume heal shared_data info summary`]: fixtureText("heal-summary"),
  [`${ask}volume status shared_data detail`]: fixtureText("status-detail"),
  hostname: "node1\n",
  "hostname -I": "10.77.0.1 10.99.0.1 \n",
  "findmnt --json --list --output TARGET,FSTYPE": JSON.stringify({
    filesystems: [{ target: "/data/glusterfs", fstype: "xfs" }],
  }),
  [`${MARKS} ${NEW}`]: "",
  [`find ${NEW} -maxdepth 2 -print`]: `${NEW}\n`,
};

function contextWith(answers: Record<string, string> = {}): { context: ProgramContext; said: () => string } {
  let said = "";
  const say = (text: string | Uint8Array): void => {
    said += String(text);
  };
  const context: ProgramContext = {
    host: fakeHost({ commands: { ...NODE1, ...answers } }),
    env: {},
    out: async (text) => say(text),
    err: say,
    stdin: async function* () {},
    terminal: { columns: 80, colour: false, isTerminal: false },
  };
  return { context, said: () => said };
}

describe("a brick put on the node that the command runs on", () => {
  async function planned(from: string, to: string): Promise<string[]> {
    const { context, said } = contextWith();
    const words = ["shared_data", from, to, "--dry-run", "--json"];
    expect(await runCommand(REPLACE_BRICK, context, words, "fencepost gluster replace-brick")).toBe(0);
    return JSON.parse(said()).plan.steps.map(({ id }: { id: string }) => id);
  }

  it.each(["10.77.0.1", "10.99.0.1", "node1"])("replaces its own without a probe, named %s", async (name) => {
    expect(await planned(`10.77.0.1:${OLD}`, `${name}:${NEW}`)).toEqual(["backup", "replace-brick", "heal"]);
  });

  it("is refused beside its own copy, by another address too", async () => {
    await expect(planned(`10.77.0.3:${OLD}`, `10.99.0.1:${NEW}`)).rejects.toMatchObject({
      kind: "unsafe",
      message: expect.stringMatching(/10\.99\.0\.1 already holds 10\.77\.0\.1:\S+ two copies on one node/),
    });
  });

  it("is added without a probe where it has none", async () => {
    const { context } = contextWith({
      [`${ask}volume info all`]: fixtureText("volume-info").replaceAll("5e28f5d7-2772-46d2-9498-7f0a63813f38", "0"),
    });
    const call = { context, args: { brick: NEW }, hosts: ["10.99.0.1"], id: "x", called: "fencepost node add" };
    const { steps } = (await GLUSTERFS.add.plan(call)) as Plan;
    expect(steps.map(({ id }) => id)).toEqual(["backup", "add-brick", "heal"]);
  });
});

describe("a dead brick that was to be taken off for a new disk", () => {
  it("is refused with what can be done about it, none of which is an option of that command", async () => {
    const { context } = contextWith({
      [`${ask}volume status all`]: fixtureText("status-brick-down"),
      [`${ask}volume heal shared_data info summary`]: fixtureText("heal-brick-down"),
    });
    const brick = `10.77.0.3:${OLD}`;
    const words = ["shared_data", brick, "start", "--dry-run"];
    await expect(runCommand(RESET_BRICK, context, words, "fencepost gluster reset-brick")).rejects.toMatchObject({
      kind: "unsafe",
      message: expect.stringMatching(
        `for good, fencepost gluster reset-brick shared_data ${brick} commit once .*, or replace-brick with --dead$`,
      ),
    });
  });
});
