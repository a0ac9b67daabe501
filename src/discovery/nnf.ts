/**
 * The three kinds of object that say which GFS2 filesystems a compute node uses, as their JSON has them.
 * Input:  objects of an API list (`items`), any version: v1alpha3 to v1alpha11 agree on the fields read here.
 * Output: mounts, owners, names. Unknown keys are passed over.
 * Errors: OpsError bad-output when a field that the schema requires is not there.
 * Source: CustomResourceDefinitions of NearNodeFlash/dws and nnf-sos; captured in test/fixtures/kubernetes
 */
import { fail } from "../core/errors.ts";
import { sameNode } from "./source.ts";

export type Json = { readonly [key: string]: unknown };

/** The value when it is an object, else an empty one: a missing branch reads as missing leaves. */
export const objectOf = (value: unknown): Json =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
export const textOf = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;

export type ObjectReference = { namespace: string; name: string };

export type Gfs2Mount = {
  mountPoint: string;
  /** `volume group/logical volume` */
  device: string | undefined;
  /** The NnfNodeStorage behind it; its namespace is the rabbit. */
  nodeStorage: ObjectReference | undefined;
};

/** What of GFS2 the ClientMounts of a namespace have `node` mount, or still mounted. */
export function parseGfs2Mounts(items: readonly unknown[], node: string): Gfs2Mount[] {
  return items.flatMap((item) => {
    const spec = objectOf(objectOf(item).spec);
    const states = listOf(objectOf(objectOf(item).status).mounts).map((mount) => objectOf(mount).state);
    if (!sameNode(required(spec.node, item, "spec.node"), node)) return [];
    const desired = required(spec.desiredState, item, "spec.desiredState");
    return listOf(spec.mounts).flatMap((value, index) => {
      const mount = objectOf(value);
      if (mount.type !== "gfs2") return [];
      // To be unmounted is not yet to be unmounted: status keeps the mounts in the order of spec.
      if (desired !== "mounted" && states[index] !== "mounted") return [];
      const device = objectOf(mount.device);
      const lvm = objectOf(device.lvm);
      const group = textOf(lvm.volumeGroup);
      const volume = textOf(lvm.logicalVolume);
      const reference = objectOf(objectOf(device.deviceReference).objectReference);
      const namespace = textOf(reference.namespace);
      const name = textOf(reference.name);
      return [
        {
          mountPoint: required(mount.mountPath, item, `spec.mounts[${index}].mountPath`),
          device: group === undefined || volume === undefined ? undefined : `${group}/${volume}`,
          nodeStorage: namespace === undefined || name === undefined ? undefined : { namespace, name },
        },
      ];
    });
  });
}

export type NodeStorageOwner = ObjectReference & {
  /** The NnfStorage it is a part of, which is the filesystem's name; undefined when it has another kind of owner. */
  owner: string | undefined;
};

/** Undefined when it is no such object: what it would have named has another name to go by. */
export function parseNodeStorageOwner(item: unknown): NodeStorageOwner | undefined {
  const metadata = objectOf(objectOf(item).metadata);
  const labels = objectOf(metadata.labels);
  const namespace = textOf(metadata.namespace);
  const name = textOf(metadata.name);
  if (namespace === undefined || name === undefined) return undefined;
  const owned = labels["dataworkflowservices.github.io/owner.kind"] === "NnfStorage";
  return { namespace, name, owner: owned ? textOf(labels["dataworkflowservices.github.io/owner.name"]) : undefined };
}

/** The names of the NnfStorages that are GFS2, whoever uses them. */
export const parseGfs2StorageNames = (items: readonly unknown[]): string[] =>
  items
    .filter((item) => required(objectOf(objectOf(item).spec).fileSystemType, item, "spec.fileSystemType") === "gfs2")
    .map((item) => required(objectOf(objectOf(item).metadata).name, item, "metadata.name"));

function required(value: unknown, item: unknown, field: string): string {
  const { kind, metadata } = objectOf(item);
  const name = textOf(objectOf(metadata).name) ?? "without a name";
  return textOf(value) ?? fail("bad-output", `${textOf(kind) ?? "object"} ${name}: no ${field}`);
}
