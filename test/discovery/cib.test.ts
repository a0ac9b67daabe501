import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { OpsError } from "../../src/core/errors.ts";
import { childrenNamed, elementsNamed, parseXml } from "../../src/core/xml.ts";
import {
  clusterFacts,
  clusterProperty,
  eitherCib,
  fenceDevicesOf,
  fencingTargets,
  gfs2Resources,
  nodesOf,
  parseCib,
  parseScore,
  readCib,
  readCibFile,
} from "../../src/discovery/cib.ts";
import { exits, type FakeAnswer, fakeHost, HANGS, NOT_INSTALLED } from "../fakes/fake-host.ts";

const FIXTURES = join(import.meta.dirname, "../fixtures");
const read = (path: string): string => readFileSync(join(FIXTURES, path), "utf8");
const captured = (state: string) => parseCib(read(`gfs2-cluster/${state}/cibadmin-Q-local.xml`));
const STATES = [
  "a-healthy",
  "b-failed-before-fencing",
  "b2-second-failure-recorder-first",
  "c1-fenced-not-rejoined",
  "c2-rejoined",
  "d-scripted-run-quiet-host/window",
  "d-scripted-run-quiet-host/after",
] as const;

const cibWith = (configuration: string, status = "", root = 'have-quorum="1" dc-uuid="1"') =>
  parseCib(`<cib ${root}><configuration>${configuration}</configuration>${status}</cib>`);
const resources = (xml: string) => cibWith(`<resources>${xml}</resources>`);
const pairs = (set: string, values: Record<string, string>, more = "") =>
  `<${set} id="${Math.random()}" ${more}>${Object.entries(values)
    .map(([name, value]) => `<nvpair id="${Math.random()}" name="${name}" value="${value}"/>`)
    .join("")}</${set}>`;
const GFS2 = { fstype: "gfs2", device: "/dev/vg/a", directory: "/mnt/a" };
const filesystem = (id: string, inner = pairs("instance_attributes", GFS2)) =>
  `<primitive id="${id}" class="ocf" provider="heartbeat" type="Filesystem">${inner}</primitive>`;

describe("parseCib", () => {
  it.each([
    ["<html/>", "the root element is <html>"],
    ["<cib><configuration>", "not well-formed"],
    ["", "not well-formed XML"],
  ])("refuses %j", (text, message) => {
    expect(() => parseCib(text)).toThrow(
      expect.objectContaining({ kind: "bad-output", message: expect.stringContaining(message) }),
    );
  });
});

describe("reading the CIB", () => {
  const LIVE = "cibadmin -Q -l";
  const XML = "<cib><configuration/></cib>";
  const answers = (answer: FakeAnswer) => fakeHost({ commands: { [LIVE]: answer } });

  it("asks the local daemon only, in the agent's process group", async () => {
    const host = answers(XML);
    expect((await readCib(host, { timeoutMs: 900 })).root.name).toBe("cib");
    expect(host.calls).toEqual([{ argv: ["cibadmin", "-Q", "-l"], options: { timeoutMs: 900, group: "caller" } }]);
  });

  it.each([
    [NOT_INSTALLED, "missing-tool", "cibadmin -Q -l: not started: ENOENT"],
    [
      exits(102, "cibadmin: Connection to local CIB failed: Transport endpoint is not connected\n"),
      "failed",
      "exit 102: cibadmin: Connection to local CIB failed",
    ],
    [{ outcome: "too-much-output" } as const, "bad-output", "too much output"],
    ["<cib><configuration>", "bad-output", "not well-formed"],
  ])("says why it could not: %j", async (answer, kind, message) => {
    await expect(readCib(answers(answer), { timeoutMs: 900 })).rejects.toMatchObject({
      kind,
      message: expect.stringContaining(message),
    });
  });

  it("gives up after its time", async () => {
    const host = answers(HANGS);
    const reading = readCib(host, { timeoutMs: 900 });
    const refused = expect(reading).rejects.toMatchObject({
      kind: "timeout",
      message: `${LIVE}: timed out after 900 ms`,
    });
    await host.advance(900);
    await refused;
  });

  it("reads the file through a command, which may hang on a dead disk in our stead", async () => {
    const host = fakeHost({ commands: { "cat -- /var/lib/pacemaker/cib/cib.xml": XML } });
    await readCibFile(host, { timeoutMs: 500 });
    expect(host.calls[0]).toMatchObject({ options: { timeoutMs: 500, group: "caller" } });
  });
});

describe("nodes", () => {
  it("lists members with their ids and permanent attributes", () => {
    expect(nodesOf(captured("a-healthy"))).toEqual([
      { id: "1", uname: "rabbit-node-1", attributes: {} },
      { id: "2", uname: "compute-node-2", attributes: {} },
      { id: "3", uname: "compute-node-3", attributes: {} },
    ]);
  });

  it("adds remote nodes, guest nodes and the replicas of bundles, each once", () => {
    const cib = cibWith(
      `<nodes><node id="1" uname="node1">${pairs("instance_attributes", { rack: "a" })}</node>
         <node id="remote1" uname="remote1" type="remote">${pairs("instance_attributes", { rack: "b" })}</node></nodes>
       <resources>
         <primitive id="remote1" class="ocf" provider="pacemaker" type="remote"/>
         <group id="g"><primitive id="vm" class="ocf" provider="heartbeat" type="VirtualDomain">${pairs("meta_attributes", { "remote-node": "guest1" })}</primitive></group>
         <bundle id="web"><podman image="i" replicas="2"/><primitive id="httpd" class="ocf" provider="heartbeat" type="apache"/></bundle>
         <bundle id="bare"><podman image="i"/></bundle>
       </resources>`,
    );
    expect(fencingTargets(cib)).toEqual([
      { name: "node1", id: "1", kind: "member", attributes: { rack: "a" } },
      { name: "remote1", kind: "remote", attributes: { rack: "b" } },
      { name: "guest1", kind: "guest", attributes: {} },
      { name: "web-0", kind: "guest", attributes: {} },
      { name: "web-1", kind: "guest", attributes: {} },
    ]);
  });
});

describe("cluster properties", () => {
  it("takes cib-bootstrap-options before any other set, else the higher score", () => {
    const set = (id: string, value: string, score = "") =>
      `<cluster_property_set id="${id}" ${score}><nvpair id="${id}-1" name="cluster-name" value="${value}"/></cluster_property_set>`;
    const of = (...sets: string[]) =>
      clusterProperty(cibWith(`<crm_config>${sets.join("")}</crm_config>`), "cluster-name");
    expect(of(set("other", "b", 'score="INFINITY"'), set("cib-bootstrap-options", "a"))).toBe("a");
    expect(of(set("one", "a", 'score="10"'), set("two", "b", 'score="5"'))).toBe("a");
    expect(of()).toBeUndefined();
  });

  it.each([
    ["INFINITY", 1_000_000],
    ["-INFINITY", -1_000_000],
    ["+infinity", 1_000_000],
    ["-5000000", -1_000_000],
    ["100", 100],
    ["nonsense", 0],
    ["", undefined],
    [undefined, undefined],
  ])("reads the score %j as %j", (text, score) => {
    expect(parseScore(text)).toBe(score);
  });
});

describe("gfs2Resources", () => {
  it.each(STATES)("finds both filesystems of the captured cluster: %s", (state) => {
    expect(gfs2Resources(captured(state))).toEqual([
      { id: "gfs2-scratch", directory: "/mnt/gfs2-scratch", device: "/dev/vdb", parents: ["gfs2-scratch-clone"] },
      { id: "gfs2-project", directory: "/mnt/gfs2-project", device: "/dev/vdc", parents: ["gfs2-project-clone"] },
    ]);
  });

  const FOUND = { id: "fs", device: "/dev/vg/a", directory: "/mnt/a" };
  it.each<[string, string, readonly object[]]>([
    ["a resource of its own", filesystem("fs"), [{ ...FOUND, parents: [] }]],
    [
      "one in a group in a clone",
      `<clone id="c"><group id="g">${filesystem("fs")}</group></clone>`,
      [{ ...FOUND, parents: ["g", "c"] }],
    ],
    ["one in an old master", `<master id="m">${filesystem("fs")}</master>`, [{ ...FOUND, parents: ["m"] }]],
    ["another filesystem", filesystem("fs", pairs("instance_attributes", { ...GFS2, fstype: "xfs" })), []],
    ["another agent with such an attribute", filesystem("fs").replace('type="Filesystem"', 'type="Other"'), []],
    [
      "a type that comes from a template",
      `<template id="t" class="ocf" provider="heartbeat" type="Filesystem">${pairs("instance_attributes", { fstype: "gfs2", device: "/dev/t" })}</template>
       <primitive id="fs" template="t">${pairs("instance_attributes", { device: "/dev/vg/a", directory: "/mnt/a" })}</primitive>`,
      [{ ...FOUND, parents: [] }],
    ],
    [
      "a template that is not there",
      `<primitive id="fs" template="t">${pairs("instance_attributes", GFS2)}</primitive>`,
      [],
    ],
    [
      "attributes shared by id-ref",
      `<primitive id="other" class="ocf" provider="heartbeat" type="Dummy"><instance_attributes id="shared"><nvpair id="type" name="fstype" value="gfs2"/></instance_attributes></primitive>
       ${filesystem("fs", `<instance_attributes id-ref="shared"/>${pairs("instance_attributes", { device: "/dev/vg/a", directory: "/mnt/a" })}`)}`,
      [{ ...FOUND, parents: [] }],
    ],
    [
      "a single pair shared by id-ref",
      `<primitive id="other" class="ocf" provider="heartbeat" type="Dummy"><instance_attributes id="s"><nvpair id="type" name="fstype" value="gfs2"/></instance_attributes></primitive>
       ${filesystem("fs", `<instance_attributes id="i"><nvpair id-ref="type"/><nvpair id="d" name="device" value="/dev/vg/a"/><nvpair id="m" name="directory" value="/mnt/a"/></instance_attributes>`)}`,
      [{ ...FOUND, parents: [] }],
    ],
    [
      "the set with the higher score before the other, a set with a rule last",
      filesystem(
        "fs",
        `${pairs("instance_attributes", { directory: "/mnt/low" }, 'score="1"')}${pairs("instance_attributes", GFS2, 'score="2"')}
         <instance_attributes id="r" score="9"><rule id="r1"/><nvpair id="x" name="directory" value="/mnt/ruled"/></instance_attributes>`,
      ),
      [{ ...FOUND, parents: [] }],
    ],
  ])("reads %s", (_, xml, expected) => {
    expect(gfs2Resources(resources(xml))).toEqual(expected);
  });
});

describe("fenceDevicesOf", () => {
  it("lists devices with their agent, wherever they are and wherever the agent is named", () => {
    const cib = resources(
      `<template id="t" class="stonith" type="fence_ipmilan">${pairs("instance_attributes", { pcmk_host_list: "node1" })}</template>
       <primitive id="power" template="t"/>
       <group id="g">${pairs("meta_attributes", { "target-role": "Stopped" })}<primitive id="recorder" class="stonith" type="fence_gfs2_recorder"/>
         <primitive id="started" class="stonith" type="fence_dummy">${pairs("meta_attributes", { "target-role": "Started" })}</primitive></group>
       <primitive id="not" class="ocf" provider="pacemaker" type="Dummy"/>`,
    );
    expect(fenceDevicesOf(cib)).toEqual([
      { id: "power", type: "fence_ipmilan", attributes: { pcmk_host_list: "node1" }, stopped: false },
      { id: "recorder", type: "fence_gfs2_recorder", attributes: {}, stopped: true },
      { id: "started", type: "fence_dummy", attributes: {}, stopped: false },
    ]);
  });

  it("counts the defaults for resources, but no set that has a rule", () => {
    const device = '<resources><primitive id="power" class="stonith" type="fence_dummy"/></resources>';
    const stopped = (inner: string) =>
      fenceDevicesOf(cibWith(`${device}<rsc_defaults>${inner}</rsc_defaults>`))[0]?.stopped;
    expect(stopped(pairs("meta_attributes", { "target-role": "stopped" }))).toBe(true);
    expect(
      stopped(
        '<meta_attributes id="m"><rule id="r"/><nvpair id="n" name="target-role" value="Stopped"/></meta_attributes>',
      ),
    ).toBe(false);
  });
});

describe("clusterFacts", () => {
  it.each(STATES)("agrees with crm_mon about every node: %s", (state) => {
    const cib = captured(state);
    const monitor = parseXml(read(`gfs2-cluster/${state}/crm_mon.xml`), "crm_mon");
    const seen = childrenNamed([...elementsNamed(monitor, "nodes")][0], "node").map(({ attributes }) => attributes);
    expect(seen).toHaveLength(3);
    for (const { name = "", unclean, online, pending, standby } of seen) {
      const word =
        unclean === "true"
          ? "unclean"
          : pending === "true"
            ? "pending"
            : online !== "true"
              ? "offline"
              : standby === "true"
                ? "standby"
                : "online";
      const dc = seen.find(({ is_dc }) => is_dc === "true")?.name;
      expect(clusterFacts(cib, name)).toEqual({ name: "rabbitlab", dc, quorate: true, targetState: word });
    }
  });

  const NODES = '<nodes><node id="1" uname="node1"/><node id="2" uname="node2"/></nodes>';
  const stateOf = (state: string, configuration = NODES, root?: string) =>
    clusterFacts(cibWith(configuration, `<status>${state}</status>`, root), "node2").targetState;
  const state = (attributes: string, inner = "") =>
    `<node_state id="2" uname="node2" ${attributes}>${inner}</node_state>`;
  const transient = (values: Record<string, string>) =>
    `<transient_attributes id="2">${pairs("instance_attributes", values)}</transient_attributes>`;
  const UP = 'in_ccm="true" crmd="online" join="member" expected="member"';

  it.each<[string, string, string | undefined]>([
    ["a member", state(UP), "online"],
    [
      "a member since Pacemaker 2.1.7",
      state('in_ccm="1795170917" crmd="1795170918" join="member" expected="member"'),
      "online",
    ],
    ["one that is gone", state('in_ccm="false" crmd="offline" join="member" expected="member"'), "unclean"],
    ["one that is gone, since 2.1.7", state('in_ccm="0" crmd="0" join="member" expected="member"'), "unclean"],
    ["one without its controller", state('in_ccm="true" crmd="offline" join="member" expected="member"'), "unclean"],
    ["one that was shut down", state('in_ccm="false" crmd="offline" join="down" expected="down"'), "offline"],
    ["one that was shut down, since 2.1.7", state('in_ccm="0" crmd="0" join="down" expected="down"'), "offline"],
    ["one that is starting", state('in_ccm="true" crmd="offline" join="down" expected="down"'), "pending"],
    ["one that is joining", state('in_ccm="true" crmd="online" join="pending" expected="member"'), "pending"],
    ["one that was refused", state('in_ccm="true" crmd="online" join="banned" expected="member"'), "unclean"],
    ["one of which nothing is known", state(""), "unclean"],
    ["one that is shutting down", state(UP, transient({ shutdown: "1795170917" })), "online"],
    ["one whose fencing was requested", state(UP, transient({ terminate: "true" })), "unclean"],
    ["one in standby until it reboots", state(UP, transient({ standby: "on" })), "standby"],
    ["one never seen", "", "unclean"],
  ])("calls %s by the scheduler's word", (_, status, expected) => {
    expect(stateOf(status)).toBe(expected);
  });

  it("knows standby from the configuration", () => {
    const nodes = `<nodes><node id="2" uname="node2">${pairs("instance_attributes", { standby: "on" })}</node></nodes>`;
    expect(stateOf(state(UP), nodes)).toBe("standby");
  });

  it("matches names whole and without regard to case", () => {
    const cib = cibWith(NODES, `<status>${state(UP)}</status>`);
    expect(clusterFacts(cib, "NODE2").targetState).toBe("online");
    expect(clusterFacts(cib, "node20").targetState).toBeUndefined();
  });

  it("calls nothing certain without quorum", () => {
    expect(
      clusterFacts(cibWith(NODES, `<status>${state(UP)}</status>`, 'have-quorum="0" dc-uuid="1"'), "node2"),
    ).toEqual({
      dc: "node1",
      quorate: false,
      targetState: "unknown",
    });
  });

  it("says nothing of the state of a remote node, which is that of its connection", () => {
    const nodes = `${NODES}<resources><primitive id="node2" class="ocf" provider="pacemaker" type="remote"/></resources>`;
    expect(stateOf(state('in_ccm="true"'), nodes)).toBeUndefined();
  });

  it("tells only the name from the file on disk, whose quorum and DC are those of its last change", () => {
    const onDisk = read("gfs2-cluster/a-healthy/cibadmin-Q-local.xml").replace(/<status>[\s\S]*<\/status>/, "");
    expect(clusterFacts(parseCib(onDisk), "compute-node-2")).toEqual({ name: "rabbitlab" });
  });

  it("judges as the scheduler does where fencing is switched off", () => {
    const configuration = `<crm_config>${pairs("cluster_property_set", { "stonith-enabled": "false" })}</crm_config>${NODES}`;
    expect(stateOf(state('in_ccm="false" crmd="offline" join="member" expected="member"'), configuration)).toBe(
      "offline",
    );
    expect(stateOf(state('in_ccm="true" crmd="offline" join="member" expected="member"'), configuration)).toBe(
      "unclean",
    );
    expect(stateOf(state(UP), configuration)).toBe("online");
  });
});

describe("eitherCib", () => {
  const cib = parseCib("<cib/>");
  const missing = () => Promise.reject(new OpsError("missing-tool", "no cibadmin"));

  it("asks for the file only when the cluster does not answer", async () => {
    const file = () => Promise.reject(new Error("not to be asked"));
    expect(await eitherCib(() => Promise.resolve(cib), file)()).toBe(cib);
    expect(await eitherCib(missing, () => Promise.resolve(cib))()).toBe(cib);
  });

  it("says what both said, and that a tool was missing when it was", async () => {
    await expect(eitherCib(missing, () => Promise.reject(new Error("no file")))()).rejects.toMatchObject({
      kind: "missing-tool",
      message: "no cibadmin; no file",
    });
  });
});

it("takes a CIB that is cut off anywhere for no CIB at all", () => {
  const whole = read("gfs2-cluster/a-healthy/cibadmin-Q-local.xml").trimEnd();
  for (const part of [0.1, 0.5, 0.9, 0.999]) {
    expect(() => parseCib(whole.slice(0, Math.floor(whole.length * part)))).toThrow(/not well-formed/);
  }
});
