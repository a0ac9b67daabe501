import { describe, expect, it } from "vitest";
import type { OpsError } from "../../../../src/core/errors.ts";
import type { Argv } from "../../../../src/core/exec.ts";
import type { Step } from "../../../../src/core/plan.ts";
import { FIND_FILES } from "../../../../src/storage-ops/services/mariadb/address.ts";
import { MARIADB_KINDS } from "../../../../src/storage-ops/services/mariadb/kinds.ts";
import { readCluster, readConfiguration, readUnit } from "../../../../src/storage-ops/services/mariadb/state.ts";
import { exits, type FakeAnswer, fakeHost, NOT_INSTALLED } from "../../../fakes/fake-host.ts";
import {
  fixtureText,
  HERE,
  MEMBERS,
  NEW,
  OTHER,
  SHOW,
  siteHost,
  there,
  UUID,
  unit,
  VALUES,
  valuesWith,
} from "./fixture.ts";

const three = valuesWith({ wsrep_cluster_size: "3" });
const NO_SYSTEMD = exits(1, "System has not been booted with systemd as init system (PID 1). Can't operate.\n");
const DOWN = exits(
  1,
  "ERROR 2002 (HY000): Can't connect to local server through socket '/run/mysqld/mysqld.sock' (2)\n",
);

const step = (kind: string, data: Step["data"]): Step => ({
  id: kind,
  kind,
  title: kind,
  argv: ["true"],
  timeoutMs: 1,
  destructive: true,
  waits: false,
  doneWhen: "",
  data,
});

/** What readState asks of a cluster of these nodes; `values` is what each of them says. */
const stateCommands = (nodes: readonly string[], values: string): Record<string, FakeAnswer> =>
  Object.fromEntries([
    [MEMBERS, nodes.map((one) => `node${one.at(-1)}\t${one}:0\n`).join("")],
    ["hostname -I", `${HERE} \n`],
    ...nodes.flatMap((node): [string, FakeAnswer][] => {
      const on = (argv: Argv) => (node === HERE ? argv.join(" ") : there(node, ...(argv as [string])));
      return [
        [on(VALUES), values],
        [on(["my_print_defaults", "--mysqld"]), fixtureText("defaults")],
        [on(["my_print_defaults", "sst"]), ""],
        [on(FIND_FILES), "/f.cnf\n"],
      ];
    }),
  ]);

describe("a node that joins", () => {
  const starting = step("start", {
    host: NEW,
    local: HERE,
    members: [HERE, OTHER],
    uuid: UUID,
    arbitrators: 0,
    sizeMiB: 50,
  });
  const standing = (commands: Readonly<Record<string, FakeAnswer>>) =>
    MARIADB_KINDS.start.standing(
      starting,
      fakeHost({
        commands: {
          [there(NEW, ...SHOW)]: unit("active"),
          [there(NEW, ...VALUES)]: three,
          [there(OTHER, ...VALUES)]: three,
          [VALUES.join(" ")]: three,
          [MEMBERS]: `${fixtureText("members")}node3\t${NEW}:0\n`,
          [there(NEW, "my_print_defaults", "--mysqld")]: fixtureText("defaults"),
          [there(NEW, "du", "-smD", "--", "/var/lib/mysql")]: "20\t/var/lib/mysql\n",
          ...commands,
        },
      }),
    );

  it("is done when it and every member say the same of the cluster", async () => {
    expect(await standing({})).toMatchObject({ state: "done", detail: `3 nodes, Primary, Synced, state ${UUID}` });
  });

  it.each<[string, Readonly<Record<string, FakeAnswer>>]>([
    ["a member counts it not yet", { [there(OTHER, ...VALUES)]: fixtureText("values") }],
    [
      "the donor is not Synced again",
      { [VALUES.join(" ")]: valuesWith({ wsrep_local_state_comment: "Donor/Desynced" }) },
    ],
    ["a member is not Primary", { [there(OTHER, ...VALUES)]: valuesWith({ wsrep_cluster_status: "non-Primary" }) }],
    ["a member gives no answer", { [there(OTHER, ...VALUES)]: exits(255, "ssh: connect to host") }],
    ["a member's answer lacks the numbers", { [there(OTHER, ...VALUES)]: "" }],
  ])("is on its way while %s", async (_, commands) => {
    expect(await standing(commands)).toMatchObject({ state: "working" });
  });

  it("tells how much of the data is there while it does not answer", async () => {
    expect(await standing({ [there(NEW, ...VALUES)]: DOWN, [there(NEW, ...SHOW)]: unit("activating") })).toEqual({
      state: "working",
      detail: `${NEW} is joining: 20 of about 50 MiB are there`,
      remaining: 31,
    });
  });

  it("is never done in a cluster of its own", async () => {
    const own = valuesWith({ wsrep_cluster_state_uuid: "7b7d77a3-0000-11f1-96d7-c2c8bd5d4a0e" });
    await expect(standing({ [there(NEW, ...VALUES)]: own })).rejects.toMatchObject({
      kind: "unsafe",
      message: expect.stringContaining("it is in another cluster"),
    });
  });

  it("is not done when the others know no address of it, where clients would find it", async () => {
    const rows = `${fixtureText("members")}node3\t\n`;
    await expect(standing({ [MEMBERS]: rows })).rejects.toMatchObject({
      kind: "unsafe",
      message: expect.stringContaining("bind_address is the loopback's?"),
    });
    expect(await standing({ [MEMBERS]: DOWN })).toMatchObject({ state: "unknown" });
  });

  it.each<[string, FakeAnswer, string]>([
    ["its service has failed", unit("failed"), "todo"],
    ["nobody can be asked", exits(255, "ssh: connect to host 10.77.0.3 port 22: No route to host"), "unknown"],
    ["there is no systemd", NO_SYSTEMD, "unknown"],
  ])("is not done when %s", async (_, answer, state) => {
    expect(await standing({ [there(NEW, ...SHOW)]: answer })).toMatchObject({ state });
  });
});

describe("taking back a start", () => {
  const starting = step("start", { host: NEW, local: HERE, members: [HERE, OTHER], uuid: UUID });

  it("does not stop a node that is receiving its state: mariadbd would lose the signal", async () => {
    const host = fakeHost({
      commands: { [there(NEW, ...SHOW)]: unit("activating"), [there(NEW, ...VALUES)]: DOWN },
    });
    host.sleep = (ms) => host.advance(ms);
    await expect(MARIADB_KINDS.start.guardUndo(starting, host)).rejects.toMatchObject({
      kind: "unsafe",
      message: expect.stringContaining("still joining"),
    });
  });

  /** A cluster of HERE, OTHER and NEW, and NEW is to leave it again. */
  const guard = async (changes: Readonly<Record<string, FakeAnswer | FakeAnswer[]>>, members = [HERE, OTHER]) => {
    const host = fakeHost({
      commands: { ...stateCommands([HERE, OTHER, NEW], three), [there(NEW, ...SHOW)]: unit("active"), ...changes },
    });
    host.sleep = (ms) => host.advance(ms);
    const data = { ...starting.data, members };
    const outcome = await MARIADB_KINDS.start.guardUndo({ ...starting, data }, host).catch((error: OpsError) => {
      expect(error.kind).toBe("unsafe");
      return error.message;
    });
    return { outcome, waitedMs: host.monotonicMs() };
  };
  const donor = valuesWith({ wsrep_cluster_size: "3", wsrep_local_state_comment: "Donor/Desynced" });

  it("waits for one that is joining, and until its donor is Synced again", async () => {
    const joining = {
      [there(NEW, ...SHOW)]: [unit("activating"), unit("active")],
      [there(NEW, ...VALUES)]: [DOWN, three],
    };
    expect(await guard(joining)).toEqual({ outcome: undefined, waitedMs: 1_000 });
    expect(await guard({ [there(OTHER, ...VALUES)]: [donor, donor, three] })).toEqual({
      outcome: undefined,
      waitedMs: 2_000,
    });
  });

  it("does not wait for a member that was desynchronised by hand, and does not do without the node meanwhile", async () => {
    const desynced = donor.replace(/^wsrep_desync\t.*$/m, "wsrep_desync\tON");
    const { outcome, waitedMs } = await guard({ [there(OTHER, ...VALUES)]: desynced });
    expect(outcome).toContain(`member ${OTHER} is Donor/Desynced`);
    expect(waitedMs).toBe(0);
  });

  it.each<[string, Readonly<Record<string, FakeAnswer>>, string]>([
    [
      "there is no quorum",
      { [VALUES.join(" ")]: valuesWith({ wsrep_cluster_status: "non-Primary" }) },
      "has no quorum",
    ],
    ["a donor does not come to its end", { [there(OTHER, ...VALUES)]: donor }, `member ${OTHER} is Donor/Desynced`],
    ["a member cannot be asked", { [there(OTHER, ...VALUES)]: DOWN }, `member ${OTHER} could not be asked`],
    [
      "it would leave one copy where there were two before",
      { [MEMBERS]: `node1\t${HERE}:0\nnode3\t${NEW}:0\n` },
      "its members are not those this was planned for",
    ],
    [
      "another has been added since",
      {
        [MEMBERS]: `${fixtureText("members")}node3\t${NEW}:0\nnode4\t10.77.0.4:0\n`,
        [there("10.77.0.4", ...VALUES)]: DOWN,
      },
      "not those this was planned for",
    ],
  ])("is refused while %s", async (_, changes, why) => {
    expect((await guard(changes)).outcome).toContain(why);
  });

  it("may leave the one node that was the cluster before", async () => {
    const two = fixtureText("values");
    const alone = {
      [MEMBERS]: `node1\t${HERE}:0\nnode3\t${NEW}:0\n`,
      [VALUES.join(" ")]: two,
      [there(NEW, ...VALUES)]: two,
    };
    const defaults = `--wsrep-cluster-address=gcomm://${HERE},${NEW}\n`;
    const lists = { "my_print_defaults --mysqld": defaults, [there(NEW, "my_print_defaults", "--mysqld")]: defaults };
    expect((await guard({ ...alone, ...lists }, [HERE])).outcome).toBeUndefined();
  });
});

describe("a node that leaves", () => {
  const leaving = step("leave", {
    host: NEW,
    local: HERE,
    members: [HERE, OTHER, NEW],
    arbitrators: 0,
    directory: "/d",
  });
  const standing = (commands: Readonly<Record<string, FakeAnswer>>) =>
    MARIADB_KINDS.leave.standing(
      leaving,
      fakeHost({
        commands: {
          [there(NEW, ...SHOW)]: unit("inactive"),
          [there(OTHER, ...VALUES)]: fixtureText("values"),
          [VALUES.join(" ")]: fixtureText("values"),
          [there(NEW, "cat", "/d/grastate.dat")]: `version: 2.1\nuuid:    ${UUID}\nseqno:   17\nsafe_to_bootstrap: 0\n`,
          ...commands,
        },
      }),
    );

  it("has left when it has stopped and the others count one less; what it last had is noted", async () => {
    expect(await standing({})).toEqual({
      state: "done",
      detail: `stopped; its grastate.dat: uuid ${UUID}, seqno 17, safe_to_bootstrap 0`,
    });
  });

  it("has not left while another still counts it, or has lost quorum", async () => {
    expect(await standing({ [there(OTHER, ...VALUES)]: three })).toMatchObject({ state: "working" });
    const lost = valuesWith({ wsrep_cluster_status: "non-Primary" });
    expect(await standing({ [there(OTHER, ...VALUES)]: lost })).toMatchObject({ state: "working" });
  });

  it("is to be stopped while it runs and is Synced, and not while it is a donor", async () => {
    const running = { [there(NEW, ...SHOW)]: unit("active") };
    expect(await standing({ ...running, [there(NEW, ...VALUES)]: three })).toMatchObject({ state: "todo" });
    const donor = valuesWith({ wsrep_local_state_comment: "Donor/Desynced" });
    expect(await standing({ ...running, [there(NEW, ...VALUES)]: donor })).toMatchObject({ state: "working" });
  });
});

describe("a member's list of addresses", () => {
  const [before, after] = [`gcomm://${HERE},${OTHER}`, `gcomm://${HERE},${OTHER},${NEW}`];
  const writing = step("address", { host: OTHER, local: HERE, file: "/f.cnf", before, after });
  const standing = (value: string) =>
    MARIADB_KINDS.address.standing(
      writing,
      fakeHost({ commands: { [there(OTHER, "my_print_defaults", "--mysqld")]: `--wsrep-cluster-address=${value}\n` } }),
    );

  it("is what a start would read", async () => {
    expect(await standing(after)).toMatchObject({ state: "done" });
    expect(await standing(before)).toMatchObject({ state: "todo" });
  });

  it("is not written over what somebody else has made of it", async () => {
    await expect(standing("gcomm://10.77.0.77")).rejects.toMatchObject({ kind: "unsafe" });
  });

  it("is not put back over what somebody else has made of it since", async () => {
    const guard = (value: string) => {
      const commands = { [there(OTHER, "my_print_defaults", "--mysqld")]: `--wsrep-cluster-address=${value}\n` };
      return MARIADB_KINDS.address.guardUndo(writing, fakeHost({ commands }));
    };
    await guard(after);
    await expect(guard(`${after},10.77.0.4`)).rejects.toMatchObject({
      kind: "unsafe",
      message: expect.stringContaining(`changed wsrep_cluster_address to ${after},10.77.0.4`),
    });
  });
});

describe("reading a cluster", () => {
  const commands = {
    [VALUES.join(" ")]: fixtureText("values"),
    [there(OTHER, ...VALUES)]: fixtureText("values"),
    [MEMBERS]: fixtureText("members"),
    "hostname -I": `${HERE} \n`,
  };

  it("asks every member itself, and knows which is this node", async () => {
    const { members, arbitrators } = await readCluster(fakeHost({ commands }));
    expect(members.map(({ address, isLocal, name }) => [address, isLocal, name])).toEqual([
      [HERE, true, "node1"],
      [OTHER, false, "node2"],
    ]);
    expect(arbitrators).toBe(0);
  });

  it("counts an arbitrator, and does not take a member without an address for one", async () => {
    const rows = `${fixtureText("members")}garb\t\nnode4\t\n`;
    const { members, arbitrators } = await readCluster(fakeHost({ commands: { ...commands, [MEMBERS]: rows } }));
    expect(arbitrators).toBe(1);
    expect(members.find(({ name }) => name === "node4")?.problem).toContain("tells no address");
  });

  it.each<[string, FakeAnswer, string]>([
    ["no client", NOT_INSTALLED, "missing-tool"],
    ["no server", DOWN, "failed"],
    ["a server of its own", valuesWith({ wsrep_on: "OFF" }), "failed"],
    ["a part without quorum", valuesWith({ wsrep_cluster_status: "non-Primary" }), "unsafe"],
  ])("is refused where this node has %s", async (_, answer, kind) => {
    const host = fakeHost({ commands: { ...commands, [VALUES.join(" ")]: answer } });
    await expect(readCluster(host)).rejects.toMatchObject({ kind });
  });

  it("puts nothing of a server's options into a message", async () => {
    const host = fakeHost({
      commands: {
        [there(OTHER, "my_print_defaults", "--mysqld")]: exits(1, "", "--wsrep_sst_auth=sst:geheim\n"),
        [there(OTHER, "my_print_defaults", "sst")]: "",
        [there(
          OTHER,
          ...("grep -rlsE --include=*.cnf".split(" ") as ["grep"]),
          "^[[:space:]]*(loose[-_])?wsrep[-_]cluster[-_]address[[:space:]]*=",
          "/etc/mysql",
          "/etc/my.cnf",
          "/etc/my.cnf.d",
        )]: "/f.cnf\n",
      },
    });
    const failure = await readConfiguration(host, { address: OTHER, isLocal: false }).catch((error: Error) => error);
    expect(String(failure)).toContain("my_print_defaults --mysqld: exit 1");
    expect(String(failure)).not.toContain("geheim");
  });

  it("says that there is no systemd in systemd's own words", async () => {
    const host = fakeHost({ commands: { [SHOW.join(" ")]: NO_SYSTEMD } });
    await expect(readUnit(host, { address: HERE, isLocal: true })).rejects.toMatchObject({
      message: expect.stringContaining("System has not been booted with systemd"),
    });
  });
});

describe("what holds before a node is started", () => {
  const before = `gcomm://${HERE},${OTHER}`;
  const settings = { wsrep_on: "ON", wsrep_cluster_address: `${before},${NEW}`, bind_address: "0.0.0.0" };
  const guard = (changes: Readonly<Record<string, string>>) => {
    const lines = Object.entries({ ...settings, ...changes }).map(([name, value]) => `--${name}=${value}\n`);
    const data = { host: NEW, local: HERE, members: [HERE, OTHER], method: "rsync", file: "/zz.cnf" };
    const commands = {
      ...stateCommands([HERE, OTHER], fixtureText("values")),
      [there(NEW, "my_print_defaults", "--mysqld")]: lines.join(""),
    };
    return MARIADB_KINDS.start.guard(
      step("start", { ...data, address: settings.wsrep_cluster_address, bind: settings.bind_address }),
      siteHost(commands),
    );
  };

  it("is that its settings are those that were written", async () => {
    await guard({});
  });

  it.each([
    ["wsrep_on", "OFF"],
    ["wsrep_cluster_address", before],
    ["bind_address", "127.0.0.1"],
  ])("is not that another file's %s wins", async (name, value) => {
    await expect(guard({ [name]: value })).rejects.toMatchObject({
      kind: "unsafe",
      message: `${NEW}: another file wins over /zz.cnf: ${name}=${value}`,
    });
  });
});
