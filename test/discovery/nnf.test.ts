import { describe, expect, it } from "vitest";
import { parseGfs2Mounts, parseGfs2StorageNames, parseNodeStorageOwner } from "../../src/discovery/nnf.ts";
import { capturedClientMounts, capturedNodeStorages, capturedStorages, kubeFixture } from "../fakes/kube-api.ts";

const clientMount = (spec: Record<string, unknown>, status?: Record<string, unknown>) => ({
  kind: "ClientMount",
  metadata: { name: "job-1", namespace: "compute-node-1" },
  spec: { node: "compute-node-1", desiredState: "mounted", ...spec },
  ...(status ? { status } : {}),
});
const mount = (mountPath: string, more: Record<string, unknown> = {}) => ({ type: "gfs2", mountPath, ...more });
const pointsOf = (item: unknown, node = "compute-node-1") => parseGfs2Mounts([item], node).map((m) => m.mountPoint);

describe("the mounts of a node", () => {
  it.each([
    ["compute-node-1", ["rabbit-node-1/nnf-storage-1-gfs2-0"]],
    ["compute-node-2", ["rabbit-node-1/nnf-storage-1-gfs2-0", "rabbit-node-1/nnf-storage-4-gfs2-0"]],
    ["compute-node-3", ["rabbit-node-1/nnf-storage-4-gfs2-0"]],
    ["compute-node-10", ["rabbit-node-2/nnf-storage-7-gfs2-0", "rabbit-node-1/nnf-storage-4-gfs2-0"]],
    ["no-such-node", []],
  ])("are found among those of all nodes: %s", (node, expected) => {
    const mounts = parseGfs2Mounts(capturedClientMounts(), node);
    expect(mounts.map(({ nodeStorage }) => `${nodeStorage?.namespace}/${nodeStorage?.name}`)).toEqual(expected);
  });

  it("are the same as kubectl prints them", () => {
    const { items } = JSON.parse(kubeFixture("kubectl-get-clientmounts-compute-node-2.json"));
    expect(parseGfs2Mounts(items, "compute-node-2")).toEqual(parseGfs2Mounts(capturedClientMounts(), "compute-node-2"));
  });

  it("have the mount point, the device and what is behind it", () => {
    expect(parseGfs2Mounts(capturedClientMounts(), "compute-node-3")).toEqual([
      {
        mountPoint: "/mnt/nnf/4-0",
        device: "vg-4/lv-4",
        nodeStorage: { namespace: "rabbit-node-1", name: "nnf-storage-4-gfs2-0" },
      },
    ]);
  });

  it.each([
    ["desired mounted, nothing known", "mounted", undefined, ["/a", "/b"]],
    ["desired mounted, not yet there", "mounted", ["unmounted", "unmounted"], ["/a", "/b"]],
    ["desired unmounted, the second still there", "unmounted", ["unmounted", "mounted"], ["/b"]],
    ["desired unmounted, the first still there", "unmounted", ["mounted"], ["/a"]],
    ["desired unmounted and gone", "unmounted", ["unmounted", "unmounted"], []],
    ["desired unmounted, nothing known", "unmounted", undefined, []],
  ])("count while wanted or still there: %s", (_, desiredState, states, expected) => {
    const status = states && { mounts: states.map((state) => ({ state, ready: false })) };
    expect(pointsOf(clientMount({ desiredState, mounts: [mount("/a"), mount("/b")] }, status))).toEqual(expected);
  });

  it("keep their place in status when others are not GFS2", () => {
    const mounts = [{ ...mount("/lustre"), type: "lustre" }, mount("/b")];
    const status = { mounts: [{ state: "mounted" }, { state: "unmounted" }] };
    expect(pointsOf(clientMount({ desiredState: "unmounted", mounts }, status))).toEqual([]);
  });

  it.each(["compute-node-10", "compute-node", "node-1", ""])("are not those of %j", (node) => {
    expect(pointsOf(clientMount({ mounts: [mount("/a")] }), node)).toEqual([]);
  });

  it("are compared without regard to case", () => {
    expect(pointsOf(clientMount({ mounts: [mount("/a")] }), "Compute-Node-1")).toEqual(["/a"]);
  });

  it("may lack a device and a reference", () => {
    expect(parseGfs2Mounts([clientMount({ mounts: [mount("/a")] })], "compute-node-1")).toEqual([
      { mountPoint: "/a", device: undefined, nodeStorage: undefined },
    ]);
  });

  it.each([
    ["spec.node", clientMount({ node: undefined })],
    ["spec.desiredState", clientMount({ desiredState: "" })],
    ["spec.mounts[0].mountPath", clientMount({ mounts: [{ type: "gfs2" }] })],
    ["spec.node", null],
  ])("are not guessed: without %s that is said", (field, item) => {
    expect(() => parseGfs2Mounts([item], "compute-node-1")).toThrow(
      expect.objectContaining({ kind: "bad-output", message: expect.stringContaining(`no ${field}`) }),
    );
  });
});

describe("the owner of an NnfNodeStorage", () => {
  it("is the NnfStorage in its labels", () => {
    expect(capturedNodeStorages().map((item) => parseNodeStorageOwner(item)?.owner)).toEqual([
      "nnf-storage-1",
      "nnf-storage-4",
      "nnf-storage-7",
    ]);
  });

  it.each([
    ["has no labels", {}],
    ["is owned by something else", { labels: { "dataworkflowservices.github.io/owner.kind": "Workflow" } }],
  ])("is unknown when it %s", (_, more) => {
    const item = { metadata: { name: "a", namespace: "b", ...more } };
    expect(parseNodeStorageOwner(item)).toEqual({ name: "a", namespace: "b", owner: undefined });
  });

  it.each([null, "text", {}, { metadata: { name: "a" } }])("is undefined for %j", (item) => {
    expect(parseNodeStorageOwner(item)).toBeUndefined();
  });
});

describe("the GFS2 storages of the cluster", () => {
  it("leave out other types", () => {
    expect(parseGfs2StorageNames(capturedStorages())).toEqual(["nnf-storage-1", "nnf-storage-4", "nnf-storage-7"]);
  });

  it("are not guessed: without a type that is said", () => {
    const item = { kind: "NnfStorage", metadata: { name: "s" }, spec: {} };
    expect(() => parseGfs2StorageNames([item])).toThrow("NnfStorage s: no spec.fileSystemType");
  });
});
