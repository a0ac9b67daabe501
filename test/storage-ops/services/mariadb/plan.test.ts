import { describe, expect, it } from "vitest";
import {
  hostsIn,
  parseClusterAddress,
  replaceArgv,
  withHosts,
  withoutHost,
} from "../../../../src/storage-ops/services/mariadb/address.ts";
import { instructionsToAdd, instructionsToRemove } from "../../../../src/storage-ops/services/mariadb/instructions.ts";
import {
  configurationLines,
  planAdd,
  planRemove,
  reasonsAgainstAdd,
  type State,
  wantedFrom,
} from "../../../../src/storage-ops/services/mariadb/plan.ts";
import type { Site } from "../../../../src/storage-ops/services/mariadb/site.ts";
import { memberOf, siteOf, stateOf } from "./fixture.ts";

const NEW = "10.77.0.9";
const add = (state: State, more: Partial<Site> = {}) =>
  planAdd(state, siteOf(NEW, more), { journal: "J", sizeMiB: 40 });
const remove = (state: State, address: string, isSingleAllowed = false) =>
  planRemove(state, { address, isSingleAllowed });
const unsafe = (why: string) => expect.objectContaining({ kind: "unsafe", message: expect.stringContaining(why) });

describe("the list of addresses", () => {
  it.each([
    ["gcomm://10.0.0.1,10.0.0.10", "10.0.0.1", "gcomm://10.0.0.10"],
    ["gcomm://10.0.0.1:4567,10.0.0.2?gmcast.segment=1&x=y", "10.0.0.1", "gcomm://10.0.0.2?gmcast.segment=1&x=y"],
    ["gcomm://[fd00::1]:4567,[fd00::2]", "fd00::1", "gcomm://[fd00::2]"],
    // An empty list would have the node make a cluster of its own when it starts.
    ["gcomm://10.0.0.1", "10.0.0.1", "gcomm://10.0.0.7"],
  ])("of %s without %s is %s", (value, host, left) => {
    expect(withoutHost(value, host, "10.0.0.7")).toBe(left);
  });

  it("gets who is missing, once, in its own order and with its options", () => {
    expect(withHosts("gcomm://b:4567,a?x=1", ["a", "b", "fd00::3"])).toBe("gcomm://b:4567,a,[fd00::3]?x=1");
    expect(withHosts("gcomm://", ["10.0.0.1"])).toBe("gcomm://10.0.0.1");
    expect(hostsIn("gcomm://[fd00::1]:4567,a:1,fd00::2")).toEqual(["fd00::1", "a", "fd00::2"]);
  });

  it.each(["", "10.0.0.1", "gcomm://a|b", 'gcomm://a" ; e', "dummy://"])("is not guessed from %j", (value) => {
    expect(() => parseClusterAddress(value)).toThrow(unsafe("not understood"));
  });

  it("is written with the ampersand that sed would take for what it found", () => {
    expect(replaceArgv("/f.cnf", "gcomm://a?x=1&y=2", { backup: true }).join(" ")).toContain("gcomm://a?x=1\\&y=2");
  });
});

describe("a plan to add a node to a Galera cluster", () => {
  it("writes the new node's file and every member's addresses before it starts the node", () => {
    const plan = add(stateOf(2));
    expect(plan.steps.map(({ id }) => id)).toEqual([
      "stop",
      "create",
      "configure",
      "address-10.77.0.1",
      "address-10.77.0.2",
      "start",
    ]);
    expect(plan.steps[3]?.argv[0]).toBe("sed");
    expect(plan.steps[4]?.argv[0]).toBe("ssh");
    expect(plan.steps.at(-1)?.undo).toMatchObject({
      argv: expect.arrayContaining(["systemctl disable --now mariadb"]),
    });
  });

  it("gives the new node what the cluster has alike, with its own address where a member's was", () => {
    const settings = {
      innodb_page_size: "32k",
      wsrep_provider_options: "gmcast.listen_addr=tcp://10.77.0.1:4567;x=10.77.0.10",
    };
    const state = stateOf(2, { settings });
    const lines = configurationLines(state, siteOf(NEW), "J");
    expect(lines).toEqual(
      expect.arrayContaining([
        "[mysqld]",
        'wsrep_cluster_name="fencepost_lab"',
        `wsrep_cluster_address="gcomm://10.77.0.1,10.77.0.2,${NEW}"`,
        `wsrep_node_address="${NEW}"`,
        'wsrep_sst_method="rsync"',
        'innodb_page_size="32k"',
        `wsrep_provider_options="gmcast.listen_addr=tcp://${NEW}:4567;x=10.77.0.10"`,
      ]),
    );
    expect(lines.join(" ")).not.toContain("pid_file");
  });

  it.each([
    ["on its own address", "10.77.0.1", NEW],
    ["on all of IPv4", "0.0.0.0", "0.0.0.0"],
    ["wherever it can, being given no address", "", "*"],
  ])(
    "has the new node listen for clients as a member does that listens %s, whatever is in the files",
    (_, now, bind) => {
      const state = stateOf(2, { settings: { bind_address: "127.0.0.1" } });
      for (const { values } of state.cluster.members) (values as Map<string, string>).set("bind_address", now);
      expect(configurationLines(state, siteOf(NEW), "J")).toContain(`bind_address="${bind}"`);
      expect(add(state).steps.at(-1)?.data.bind).toBe(bind);
    },
  );

  it.each([
    ["debian", "apt-get install -y --no-install-recommends mariadb-server galera-4 rsync"],
    ["rhel", "dnf install -y mariadb-server mariadb-server-galera rsync"],
  ] as const)("installs what is missing first, on %s", (family, words) => {
    const [first] = add(stateOf(2), { family, missing: ["mariadbd"], unit: "not-found" }).steps;
    expect(first?.argv.at(-1)).toContain(words);
  });

  it("writes no list that has the new node already", () => {
    const settings = { wsrep_cluster_address: `gcomm://10.77.0.1,10.77.0.2,${NEW}` };
    expect(add(stateOf(2, { settings })).steps.map(({ id }) => id)).toEqual(["stop", "create", "configure", "start"]);
  });

  it.each([
    [1, "rsync", ["two votes: when either node crashes", "(rsync) takes no writes meanwhile"]],
    [2, "mariabackup", []],
    [3, "mariabackup", ["4 votes survive no more crashes than 3"]],
  ] as const)("to %d by %s warns of what it does to the others", (count, method, warned) => {
    const state = stateOf(count);
    for (const { values } of state.cluster.members) (values as Map<string, string>).set("wsrep_sst_method", method);
    expect(add(state).warnings).toEqual(warned.map((one) => expect.stringContaining(one)));
  });

  it.each<[string, Partial<Site>]>([
    ["could not be looked at", { problem: "ssh: exit 255" }],
    ["is not empty (shop)", { content: "used", found: "shop" }],
    ["is not known (nothing, and its MariaDB runs)", { content: "unknown", found: "nothing, and its MariaDB runs" }],
    ["has MariaDB 11.4, the cluster 10.11", { version: "11.4" }],
    ["not known to be in no cluster", { unit: "active" }],
    ["neither apt-get nor dnf", { missing: ["mariadbd"], family: undefined as never }],
    ["not there: /etc/ssl/galera.pem", { absentFiles: ["/etc/ssl/galera.pem"] }],
  ])("is refused where the node %s", (why, more) => {
    expect(() => add(stateOf(2), more)).toThrow(unsafe(why));
  });

  it.each([
    ["10.77.0.2 is Donor/Desynced", { wsrep_local_state_comment: "Donor/Desynced" }],
    ["10.77.0.2 is non-Primary", { wsrep_cluster_status: "non-Primary" }],
    ["10.77.0.2 counts 3 nodes, 2 are listed", { wsrep_cluster_size: "3" }],
    ["not of one view", { wsrep_cluster_conf_id: "77" }],
    ["not of one view", { wsrep_cluster_state_uuid: "00000000-0000-0000-0000-000000000001" }],
    ["which this program does not carry about", { wsrep_sst_auth: "********" }],
    ["10.77.0.2 is unknown", { wsrep_cluster_status: undefined as never }],
  ])("is refused while %s", (why, values) => {
    const state = stateOf(2, { values });
    for (const { values: all } of state.cluster.members)
      for (const [name, value] of all) if (value === undefined) (all as Map<string, string>).delete(name);
    expect(() => add(state)).toThrow(unsafe(why));
  });

  it.each([
    [
      "the cluster's own, or none yet",
      [wantedFrom(stateOf(2)).uuid, "00000000-0000-0000-0000-000000000000", ""],
      false,
    ],
    ["another cluster's, or nobody's", ["7b7d77a3-e594-11f1-96d7-c2c8bd5d4a0e", undefined], true],
  ])("goes on with a data directory that has begun to join, where its state is %s", (_, uuids, isRefused) => {
    for (const uuid of uuids) {
      const used = siteOf(NEW, { content: "used", found: "shop", ...(uuid === undefined ? {} : { savedUuid: uuid }) });
      expect(reasonsAgainstAdd(stateOf(2), used, true).length > 0).toBe(isRefused);
      expect(reasonsAgainstAdd(stateOf(2), used, false)).toHaveLength(1);
    }
  });

  it("is refused when somebody who is known is absent, or cannot be asked", () => {
    const state = stateOf(3);
    const two: State = { ...state, cluster: { members: state.cluster.members.slice(0, 2), arbitrators: 0 } };
    expect(() => add(two)).toThrow(unsafe("10.77.0.3 is in wsrep_cluster_address and not in the cluster"));
    const silent = { ...memberOf("10.77.0.3", false, 3), values: new Map(), problem: "ssh: timed out" };
    const asked: State = { ...state, cluster: { members: [...two.cluster.members, silent], arbitrators: 0 } };
    expect(() => add(asked)).toThrow(unsafe("10.77.0.3 could not be asked: ssh: timed out"));
  });

  it("is refused where a member's addresses are in several files, or in none", () => {
    const state = stateOf(2);
    const inFiles = (addressFiles: string[]): State => ({
      ...state,
      configurations: new Map([...state.configurations].map(([one, found]) => [one, { ...found, addressFiles }])),
    });
    expect(() => add(inFiles(["/a.cnf", "/b.cnf"]))).toThrow(unsafe("in several files: /a.cnf, /b.cnf"));
    const own = "/etc/my.cnf.d/zz-fencepost-galera.cnf";
    expect(add(inFiles(["/etc/my.cnf.d/galera.cnf", own])).steps[3]?.argv.at(-1)).toBe(own);
    expect(() => add(inFiles([]))).toThrow(unsafe("no configuration file sets wsrep_cluster_address"));
  });
});

describe("a plan to remove a node from a Galera cluster", () => {
  it("stops it, waits for the others, and only then takes its address out", () => {
    const plan = remove(stateOf(4), "10.77.0.4");
    expect(plan.steps.map(({ id }) => id)).toEqual(["leave", ...[1, 2, 3].map((at) => `address-10.77.0.${at}`)]);
    expect(plan.warnings.join()).not.toContain("majority");
    expect(plan.steps[0]).toMatchObject({
      requires: expect.stringContaining("no fewer than 2 nodes left"),
      undo: { argv: expect.arrayContaining(["systemctl enable --now mariadb"]) },
    });
  });

  it.each([
    ["the last of two", 2, "10.77.0.2", "below the minimum of 2 nodes"],
    ["the last one", 1, "10.77.0.1", "it is the last node of the cluster"],
    ["this node", 3, "10.77.0.1", "it is this node"],
  ])("is refused for %s", (_, count, address, why) => {
    expect(() => remove(stateOf(count), address)).toThrow(unsafe(why));
  });

  it.each([
    ["none, the others having none of their own", "1", "pc.weight = 1;", "no vote would be left"],
    ["none, its own being more than one", "3", "pc.weight = 3;", "no vote would be left"],
    ["an unknown number", "", "pc.weight = 1;", "how many votes would be left is not known"],
    ["an arbitrator's", "2", "pc.weight = 1;", undefined],
    ["all, it having none itself", "2", "pc.weight = 0;", undefined],
  ])("goes by the votes that are left: %s", (_, wsrep_cluster_weight, wsrep_provider_options, why) => {
    const state = stateOf(3, { values: { wsrep_cluster_weight, wsrep_provider_options } });
    if (why) expect(() => remove(state, "10.77.0.3")).toThrow(unsafe(why));
    else expect(remove(state, "10.77.0.3").steps[0]?.id).toBe("leave");
  });

  it("leaves one node only when that was asked for, and says what it means", () => {
    expect(remove(stateOf(2), "10.77.0.2", true).warnings[0]).toContain("no other copy");
  });

  it.each([
    ["two nodes that are left", 3, 0, {}, /only 1 of 2, no majority/],
    ["two nodes and an arbitrator", 3, 1, {}, undefined],
    ["three nodes", 4, 0, {}, undefined],
    ["a node that outweighs the others", 4, 0, { wsrep_provider_options: "pc.weight = 3;" }, /only 2 of 5/],
  ] as const)("tells what a crash would do to %s", (_, count, arbitrators, values, warned) => {
    const warnings = remove(stateOf(count, { arbitrators, values }), "10.77.0.2").warnings.join();
    if (warned) expect(warnings).toMatch(warned);
    else expect(warnings).not.toContain("majority");
  });

  it("takes the address of one that is gone out of the others', and refuses where it still runs", () => {
    const state = stateOf(3);
    const two: State = {
      cluster: { members: [1, 2].map((at) => memberOf(`10.77.0.${at}`, at === 1, 2)), arbitrators: 0 },
      configurations: new Map([...state.configurations].slice(0, 2)),
    };
    const gone = { address: "10.77.0.3", isSingleAllowed: false };
    const plan = planRemove(two, { ...gone, gone: "unreachable" });
    expect(plan.steps.map(({ kind }) => kind)).toEqual(["address", "address"]);
    expect(plan.warnings.join()).toContain("could not be asked whether its MariaDB is stopped");
    expect(() => planRemove(two, { ...gone, gone: "running" })).toThrow(unsafe("no member has that address"));
    expect(() => planRemove(stateOf(2), { ...gone, gone: "stopped" })).toThrow(
      expect.objectContaining({ kind: "usage", message: expect.stringContaining("not a member") }),
    );
  });
});

describe("the instructions", () => {
  it("are the source's where nothing could be read, and say so", () => {
    const why = "MariaDB on this node: no answer";
    expect(instructionsToAdd(NEW, { why }, "fencepost node add")).toEqual({
      title: "ℹ MariaDB Galera cluster join requires:",
      lines: [
        `  1. On the new node (${NEW}):`,
        "     - Install MariaDB",
        "     - Configure galera.cnf with wsrep_cluster_address",
        "     - Start MariaDB (will auto-join via SST)",
        `⚠ Current cluster size: unknown: ${why}`,
        `ℹ To have it done: fencepost node add --service mariadb --ip ${NEW} --apply`,
      ],
    });
    expect(instructionsToRemove(NEW, { why }, "fencepost node remove").lines).toEqual([
      `  1. On the node to remove (${NEW}):`,
      "     - Stop MariaDB: systemctl stop mariadb",
      "  2. On remaining nodes (optional, for cleanup):",
      `     - UPDATE wsrep_cluster_address (remove ${NEW})`,
      "⚠ Minimum cluster size: 2 nodes (for quorum)",
      `⚠ Current cluster size: unknown: ${why}`,
      `ℹ To have it done: fencepost node remove --service mariadb --ip ${NEW} --apply`,
    ]);
  });

  it("advise against going below two nodes", () => {
    const lines = instructionsToRemove("10.77.0.2", { state: stateOf(2), site: siteOf("10.77.0.2") }, "x").lines;
    expect(lines.join("\n")).toContain("below the minimum of 2 nodes");
  });
});
