import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { parseCib } from "../../src/discovery/cib.ts";
import { dlmSource, parseCorosyncNodes, parseCrmNodeList, parseLockspaces } from "../../src/discovery/dlm.ts";
import { nameByLockspace, parseGfs2Mounts, readLocalMounts } from "../../src/discovery/local-gfs2.ts";
import { FakeHost, NOT_INSTALLED } from "../fakes/fake-host.ts";

const capture = (path: string) => readFileSync(new URL(`../fixtures/gfs2-cluster/${path}`, import.meta.url), "utf8");
const NODES = [
  { id: 1, name: "rabbit-node-1" },
  { id: 2, name: "compute-node-2" },
  { id: 3, name: "compute-node-3" },
];

it("reads lockspaces that wait for fencing: the victim is still a member, and no new member", () => {
  expect(parseLockspaces(capture("b-failed-before-fencing/dlm_tool-ls.txt"))).toEqual([
    { name: "gfs2-project", members: [1, 2], newMembers: [1] },
    { name: "gfs2-scratch", members: [1, 2, 3], newMembers: [1, 3] },
  ]);
});

it("reads no lockspaces from a node that has joined none", () => {
  expect(parseLockspaces("dlm lockspaces\n")).toEqual([]);
  expect(parseLockspaces("")).toEqual([]);
});

it("rejects a lockspace without a name", () => {
  expect(() => parseLockspaces("dlm lockspaces\nid 0x1\nmembers 1 2\n")).toThrow(
    expect.objectContaining({ kind: "bad-output" }),
  );
});

it("reads node ids from crm_node and from corosync", () => {
  const byId = (nodes: { id: number; name: string }[]) => nodes.toSorted((a, b) => a.id - b.id);
  expect(byId(parseCrmNodeList(capture("b-failed-before-fencing/crm_node-l.txt")))).toEqual(NODES);
  expect(byId(parseCorosyncNodes(capture("b-failed-before-fencing/corosync-cmapctl.txt")))).toEqual(NODES);
});

const STATES = {
  "a-healthy": { "compute-node-2": ["gfs2-project", "gfs2-scratch"], "compute-node-3": ["gfs2-scratch"] },
  "b-failed-before-fencing": { "compute-node-2": ["gfs2-project", "gfs2-scratch"], "compute-node-3": ["gfs2-scratch"] },
  "c1-fenced-not-rejoined": { "compute-node-2": [], "compute-node-3": ["gfs2-scratch"] },
  "c2-rejoined": { "compute-node-2": ["gfs2-project", "gfs2-scratch"], "compute-node-3": ["gfs2-scratch"] },
};
const cases = Object.entries(STATES).flatMap(([state, nodes]) =>
  Object.entries(nodes).map(([node, names]) => [state, node, names] as const),
);

async function probe(
  state: string,
  target: string,
  tools: { dlm?: boolean; crmMon?: boolean; cib?: boolean; crmNode?: boolean },
) {
  const host = new FakeHost({
    commands: {
      "dlm_tool ls": tools.dlm ? capture(`${state}/dlm_tool-ls.txt`) : NOT_INSTALLED,
      "crm_mon -1 --output-as=xml": tools.crmMon ? capture(`${state}/crm_mon.xml`) : NOT_INSTALLED,
      "crm_node -l": tools.crmNode ? capture(`${state}/crm_node-l.txt`) : NOT_INSTALLED,
      "corosync-cmapctl": capture(`${state}/corosync-cmapctl.txt`),
    },
  });
  const learned: object[] = [];
  const outcome = await dlmSource().probe({
    target,
    host,
    timeoutMs: 5_000,
    signal: new AbortController().signal,
    cib: () =>
      tools.cib
        ? Promise.resolve(parseCib(capture(`${state}/cibadmin-Q-local.xml`)))
        : Promise.reject(new Error("no CIB")),
    learn: (facts) => learned.push(facts),
  });
  return { outcome, learned };
}

const expected = (names: readonly string[]) =>
  names.length === 0
    ? { status: "empty" }
    : { status: "found", scope: "target", filesystems: names.map((name) => expect.objectContaining({ name })) };

it.each(cases)("%s: dlm_tool and crm_node alone know what %s uses: %j", async (state, node, names) => {
  expect((await probe(state, node, { dlm: true, crmNode: true })).outcome).toEqual(expected(names));
});
it.each(cases)("%s: dlm_tool and corosync alone know what %s uses: %j", async (state, node, names) => {
  expect((await probe(state, node, { dlm: true })).outcome).toEqual(expected(names));
});
it.each(cases)("%s: crm_mon with the configuration alone knows what %s uses: %j", async (state, node, names) => {
  expect((await probe(state, node, { crmMon: true, cib: true })).outcome).toEqual(expected(names));
});
it.each(cases)("%s: all together know what %s uses: %j", async (state, node, names) => {
  expect((await probe(state, node, { dlm: true, crmMon: true, cib: true, crmNode: true })).outcome).toEqual(
    expected(names),
  );
});

it("puts mount point, device and lockspace beside the name", async () => {
  const { outcome } = await probe("b-failed-before-fencing", "compute-node-3", { dlm: true, crmMon: true, cib: true });
  expect(outcome).toMatchObject({
    filesystems: [
      { name: "gfs2-scratch", lockspace: "gfs2-scratch", mountPoint: "/mnt/gfs2-scratch", device: "/dev/vdb" },
    ],
  });
});

it("learns the DC, the quorum, the target's state and who asked for the fencing", async () => {
  const { learned } = await probe("b-failed-before-fencing", "compute-node-2", { dlm: true, crmMon: true, cib: true });
  expect(learned).toEqual([
    {
      cluster: { dc: "compute-node-3", quorate: true, targetState: "unclean" },
      operation: { action: "off", client: "stonith-api.1964", origin: "rabbit-node-1" },
    },
  ]);
});

it("knows nothing of a node that only begins like one of the cluster's", async () => {
  expect((await probe("a-healthy", "compute-node-20", { dlm: true, crmMon: true, cib: true })).outcome).toEqual({
    status: "empty",
  });
  expect((await probe("a-healthy", "compute-node", { dlm: true, crmMon: true, cib: true })).outcome).toEqual({
    status: "empty",
  });
});

it("compares node names as Pacemaker does, case-insensitively", async () => {
  expect((await probe("a-healthy", "Compute-Node-3", { dlm: true, crmNode: true })).outcome).toMatchObject({
    status: "found",
  });
});

it("cannot be asked where neither tool is installed", async () => {
  expect((await probe("a-healthy", "compute-node-2", {})).outcome).toMatchObject({ status: "unavailable" });
});

it("leaves out lockspaces of other users of the DLM", async () => {
  const ls =
    "dlm lockspaces\nname          lvm_global\nid            0x1\nmembers       1 2 \n\nname          data\nid            0x2\nmembers       1 2 \n";
  const host = new FakeHost({
    commands: { "dlm_tool ls": ls, "crm_mon -1 --output-as=xml": NOT_INSTALLED, "crm_node -l": "2 n2 member\n" },
  });
  const signal = new AbortController().signal;
  const outcome = await dlmSource().probe({
    target: "n2",
    host,
    timeoutMs: 1,
    signal,
    cib: () => Promise.reject(new Error("")),
    learn: () => undefined,
  });
  expect(outcome).toMatchObject({ filesystems: [{ name: "data" }] });
});

const MOUNTINFO =
  "36 25 253:16 / /mnt/gfs2\\040scratch rw,noatime shared:1 - gfs2 /dev/vdb rw,rgrplvb\n37 25 8:1 / / rw - ext4 /dev/sda rw\n";

it("finds this node's own GFS2 mounts and their lockspaces without touching them", () => {
  const host = new FakeHost({
    directories: { "/sys/fs/gfs2": ["lab:scratch"] },
    files: { "/sys/fs/gfs2/lab:scratch/id": "253:16\n", "/proc/self/mountinfo": MOUNTINFO },
  });
  expect(readLocalMounts(host)).toEqual([
    { lockspace: "scratch", mountPoint: "/mnt/gfs2 scratch", device: "/dev/vdb" },
  ]);
  expect(parseGfs2Mounts(MOUNTINFO).size).toBe(1);
});

it("calls a resource by its lockspace's name where a local mount tells it", () => {
  const mounts = [{ lockspace: "scratch", mountPoint: "/mnt/s", device: "/dev/vdb" }];
  expect(
    nameByLockspace(
      [{ name: "fs-resource", mountPoint: "/mnt/s" }, { name: "scratch", lockspace: "scratch" }, { name: "other" }],
      mounts,
    ),
  ).toEqual([{ name: "other" }, { name: "scratch", lockspace: "scratch", mountPoint: "/mnt/s", device: "/dev/vdb" }]);
});

it.each([10, 40, 60, 100])("does not take a listing cut off after %d bytes for a whole one", (bytes) => {
  const text = capture("a-healthy/dlm_tool-ls.txt").slice("dlm lockspaces\n".length);
  expect(() => parseLockspaces(text.slice(0, bytes))).toThrow(expect.objectContaining({ kind: "bad-output" }));
});
