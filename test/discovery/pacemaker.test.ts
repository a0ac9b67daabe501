import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { OpsError } from "../../src/core/errors.ts";
import { type Cib, parseCib } from "../../src/discovery/cib.ts";
import { configuredFor, pacemakerSource, placementOf } from "../../src/discovery/pacemaker.ts";
import { placementFromPcs } from "../../src/discovery/pcs-config.ts";
import type { Probe } from "../../src/discovery/source.ts";
import { exits, type FakeHost, type FakeTables, fakeHost, HANGS, NOT_INSTALLED } from "../fakes/fake-host.ts";

const FIXTURES = join(import.meta.dirname, "../fixtures");
const read = (path: string): string => readFileSync(join(FIXTURES, path), "utf8");
const capture = (state: string, file: string): string => read(`gfs2-cluster/${state}/${file}`);

const PCS_CONFIG = "pcs config";
const PCS_JSON = "pcs resource config --output-format json";
const SCRATCH = { name: "gfs2-scratch", mountPoint: "/mnt/gfs2-scratch", device: "/dev/vdb" };
const PROJECT = { name: "gfs2-project", mountPoint: "/mnt/gfs2-project", device: "/dev/vdc" };
const ANSWERS = [
  ["compute-node-2", [PROJECT, SCRATCH]],
  ["compute-node-3", [SCRATCH]],
  ["rabbit-node-1", [PROJECT, SCRATCH]],
] as const;
const CIB_STATES = [
  "a-healthy",
  "b-failed-before-fencing",
  "b2-second-failure-recorder-first",
  "c1-fenced-not-rejoined",
  "c2-rejoined",
  "d-scripted-run-quiet-host/window",
  "d-scripted-run-quiet-host/after",
];
const PCS_STATES = ["a-healthy", "b-failed-before-fencing", "c1-fenced-not-rejoined"];

const NO_CIB = () => Promise.reject(new OpsError("failed", "cibadmin -Q -l: exit 102"));

/** The source's outcome, and what it learned on the way. */
function probing(target: string, commands: FakeTables["commands"], cib: () => Promise<Cib> = NO_CIB) {
  const host: FakeHost = fakeHost({ commands: commands ?? {} });
  const learned: unknown[] = [];
  const probe: Probe = {
    target,
    host,
    timeoutMs: 5_000,
    signal: new AbortController().signal,
    cib,
    learn: (facts) => learned.push(facts),
  };
  return { host, learned, outcome: pacemakerSource().probe(probe) };
}

describe("the captured cluster", () => {
  it.each(CIB_STATES.flatMap((state) => ANSWERS.map(([target, expected]) => [state, target, expected] as const)))(
    "from the CIB alone: %s: %s",
    async (state, target, expected) => {
      const cib = parseCib(capture(state, "cibadmin-Q-local.xml"));
      const { outcome, host, learned } = probing(target, {}, () => Promise.resolve(cib));
      expect(await outcome).toEqual({ status: "found", scope: "configured", filesystems: expected });
      expect(host.calls).toEqual([]);
      expect(learned).toEqual([{ cluster: expect.objectContaining({ name: "rabbitlab", quorate: true }) }]);
    },
  );

  const fromPcs = PCS_STATES.flatMap((state) =>
    ANSWERS.map(([target, expected]) => [state, target, expected] as const),
  );
  it.each(fromPcs)("from pcs alone, resources as JSON: %s: %s", async (state, target, expected) => {
    const { outcome, host } = probing(target, {
      [PCS_CONFIG]: capture(state, "pcs-config.txt"),
      [PCS_JSON]: capture(state, "pcs-resource-config.json"),
    });
    expect(await outcome).toEqual({ status: "found", scope: "configured", filesystems: expected });
    expect(host.commandLines).toEqual([PCS_CONFIG, PCS_JSON]);
  });

  it.each(fromPcs)("from the text of pcs alone, as before 0.11: %s: %s", async (state, target, expected) => {
    const { outcome } = probing(target, {
      [PCS_CONFIG]: capture(state, "pcs-config.txt"),
      [PCS_JSON]: exits(1, "Error: Unknown option --output-format"),
    });
    expect(await outcome).toEqual({ status: "found", scope: "configured", filesystems: expected });
  });

  it.each(["compute-node-1", "compute-node-20", "node-2", ""])(
    "knows nothing of %j, which only looks like a node",
    async (target) => {
      const cib = parseCib(capture("a-healthy", "cibadmin-Q-local.xml"));
      expect(await probing(target, {}, () => Promise.resolve(cib)).outcome).toEqual({ status: "empty" });
    },
  );

  it("compares node names as Pacemaker does, without regard to case", async () => {
    const cib = parseCib(capture("a-healthy", "cibadmin-Q-local.xml"));
    const { outcome } = probing("COMPUTE-NODE-3", {}, () => Promise.resolve(cib));
    expect(await outcome).toMatchObject({ filesystems: [SCRATCH] });
  });
});

describe("the way to an answer", () => {
  it("does without the resources' JSON but not without the constraints", async () => {
    const { outcome } = probing("compute-node-3", {
      [PCS_CONFIG]: exits(1, "Error: unable to get cib"),
      [PCS_JSON]: capture("a-healthy", "pcs-resource-config.json"),
    });
    expect(await outcome).toMatchObject({
      status: "failed",
      reason: expect.stringContaining("pcs config: exit 1: Error: unable"),
    });
  });

  it("is unavailable where neither Pacemaker nor pcs is installed", async () => {
    const missing = () => Promise.reject(new OpsError("missing-tool", "cibadmin -Q -l: not started: ENOENT"));
    const commands = { [PCS_CONFIG]: NOT_INSTALLED, [PCS_JSON]: NOT_INSTALLED };
    expect(await probing("node1", commands, missing).outcome).toMatchObject({ status: "unavailable" });
  });

  it("has failed, with every reason, when pcs takes longer than there is time", async () => {
    const { outcome, host } = probing("node1", {
      [PCS_CONFIG]: HANGS,
      [PCS_JSON]: HANGS,
    });
    await host.advance(5_000);
    expect(await outcome).toEqual({
      status: "failed",
      reason: expect.stringMatching(/cibadmin .*exit 102; pcs config: timed out after 5000 ms/),
    });
  });

  it("does not take another program's words for those of pcs", async () => {
    const { outcome } = probing("node1", { [PCS_CONFIG]: "Usage: pcs\n", [PCS_JSON]: exits(1) });
    expect(await outcome).toMatchObject({ status: "failed", reason: expect.stringContaining("no cluster name") });
  });
});

// ------------------------------------------------------------------------------------------------ what may run where

const GFS2 = '<nvpair id="1" name="fstype" value="gfs2"/>';
const fs = (id = "fs", more = "") =>
  `<primitive id="${id}" class="ocf" provider="heartbeat" type="Filesystem"><instance_attributes id="i-${id}">${GFS2}</instance_attributes>${more}</primitive>`;
const dummy = (id: string, more = "") =>
  `<primitive id="${id}" class="ocf" provider="pacemaker" type="Dummy">${more}</primitive>`;
const stopped = '<meta_attributes id="m"><nvpair id="n" name="target-role" value="Stopped"/></meta_attributes>';
const banned = (rsc: string, more = "") =>
  `<rsc_location id="l-${rsc}" rsc="${rsc}" node="node2" score="-INFINITY" ${more}/>`;
const NODES = `<node id="1" uname="node1"/><node id="2" uname="node2"><instance_attributes id="na"><nvpair id="r" name="rack" value="B"/></instance_attributes></node>`;

type Configuration = { resources?: string; constraints?: string; properties?: string; more?: string; status?: string };
const cibOf = ({ resources = fs(), constraints = "", properties = "", more = "", status = "" }: Configuration) =>
  parseCib(
    `<cib><configuration><crm_config><cluster_property_set id="p">${properties}</cluster_property_set></crm_config>
     <nodes>${NODES}</nodes><resources>${resources}</resources><constraints>${constraints}</constraints>${more}</configuration>${status}</cib>`,
  );
const namesOn = (configuration: Configuration, target = "node2") =>
  configuredFor(placementOf(cibOf(configuration)), target).map(({ name }) => name);
const rule = (inner: string, attributes = 'score="-INFINITY"') =>
  `<rsc_location id="l" rsc="fs"><rule id="r" ${attributes}>${inner}</rule></rsc_location>`;
const when = (attribute: string, operation: string, value?: string, more = "") =>
  `<expression id="e" attribute="${attribute}" operation="${operation}" ${value === undefined ? "" : `value="${value}"`} ${more}/>`;
const OPT_IN = '<nvpair id="s" name="symmetric-cluster" value="false"/>';
const TRANSIENT_RACK =
  '<status><node_state id="2" uname="node2"><transient_attributes id="2"><instance_attributes id="t"><nvpair id="t1" name="rack" value="C"/></instance_attributes></transient_attributes></node_state></status>';

describe("a resource may not run on the node", () => {
  it.each<[string, Configuration]>([
    ["that a constraint bans it from", { constraints: banned("fs") }],
    ["written in another case", { constraints: banned("fs").replace("node2", "NODE2") }],
    ["when its group is banned", { resources: `<group id="g">${fs()}</group>`, constraints: banned("g") }],
    [
      "when its clone is banned",
      { resources: `<clone id="c"><group id="g">${fs()}</group></clone>`, constraints: banned("c") },
    ],
    [
      "when anything in its clone is named by the ban",
      { resources: `<clone id="c"><group id="g">${fs()}${dummy("d")}</group></clone>`, constraints: banned("d") },
    ],
    ["by a pattern", { constraints: '<rsc_location id="l" rsc-pattern="^f[st]$" node="node2" score="-INFINITY"/>' }],
    [
      "by a pattern turned round",
      { constraints: '<rsc_location id="l" rsc-pattern="!^other" node="node2" score="-INFINITY"/>' },
    ],
    [
      "by a resource set",
      {
        constraints:
          '<rsc_location id="l" node="node2" score="-INFINITY"><resource_set id="s"><resource_ref id="fs"/></resource_set></rsc_location>',
      },
    ],
    [
      "by the score of a resource set",
      {
        constraints:
          '<rsc_location id="l" node="node2" score="5"><resource_set id="s" score="-INFINITY"><resource_ref id="fs"/></resource_set></rsc_location>',
      },
    ],
    ["by a tag", { constraints: banned("t"), more: '<tags><tag id="t"><obj_ref id="fs"/></tag></tags>' }],
    [
      "by its template",
      {
        resources: `<template id="tpl" class="ocf" provider="heartbeat" type="Filesystem"><instance_attributes id="i">${GFS2}</instance_attributes></template><primitive id="fs" template="tpl"/>`,
        constraints: banned("tpl"),
      },
    ],
    ["by a number as low as -INFINITY", { constraints: banned("fs").replace("-INFINITY", "-1000000") }],
    [
      "although another constraint prefers it",
      { constraints: `${banned("fs")}<rsc_location id="p" rsc="fs" node="node2" score="INFINITY"/>` },
    ],
    ["by a rule on its name", { constraints: rule(when("#uname", "eq", "NODE2")) }],
    ["by a rule on its id", { constraints: rule(when("#id", "eq", "2")) }],
    ["by a rule on other names", { constraints: rule(when("#uname", "ne", "node1")) }],
    ["by a rule on its kind", { constraints: rule(when("#kind", "eq", "cluster")) }],
    ["by a rule on a permanent attribute", { constraints: rule(when("rack", "eq", "b")) }],
    ["by a rule on a permanent attribute being there", { constraints: rule(when("rack", "defined")) }],
    [
      "by a rule of which one side is enough",
      {
        constraints: rule(
          `${when("unknown", "defined")}${when("#uname", "eq", "node2")}`,
          'score="-INFINITY" boolean-op="or"',
        ),
      },
    ],
    [
      "by a rule within a rule",
      { constraints: rule(`<rule id="in" boolean-op="or">${when("#uname", "eq", "node2")}</rule>`) },
    ],
    [
      "by a rule elsewhere",
      {
        constraints: `${rule(when("#uname", "eq", "node2")).replace('rsc="fs"', 'rsc="nobody"')}<rsc_location id="l2" rsc="fs"><rule id-ref="r"/></rsc_location>`,
      },
    ],
    ["when it is stopped", { resources: fs("fs", stopped) }],
    ["when its clone is stopped", { resources: `<clone id="c">${stopped}${fs()}</clone>` }],
    ["when everything is, by default", { more: `<rsc_defaults>${stopped}</rsc_defaults>` }],
    ["of a cluster where one must opt in", { properties: OPT_IN }],
    [
      "of a cluster where one must opt in, by a negative score",
      { properties: OPT_IN, constraints: banned("fs").replace("-INFINITY", "-5") },
    ],
    [
      "when it may be looked for elsewhere only",
      { constraints: '<rsc_location id="l" rsc="fs" node="node1" score="0" resource-discovery="exclusive"/>' },
    ],
    [
      "when what it must be with may not",
      {
        resources: fs() + dummy("dlm"),
        constraints: `${banned("dlm")}<rsc_colocation id="c" rsc="fs" with-rsc="dlm" score="INFINITY"/>`,
      },
    ],
    [
      "when that is a stopped thing in a clone",
      {
        resources: `${fs()}<clone id="dlm-clone">${dummy("dlm", stopped)}</clone>`,
        constraints: '<rsc_colocation id="c" rsc="fs" with-rsc="dlm-clone" score="INFINITY"/>',
      },
    ],
    [
      "when that in turn must be with something that may not",
      {
        resources: `<clone id="c"><group id="g">${fs()}</group></clone><clone id="lv-clone">${dummy("lv")}</clone><clone id="dlm-clone">${dummy("dlm")}</clone>`,
        constraints: `${banned("dlm-clone")}<rsc_colocation id="c1" rsc="c" with-rsc="lv-clone" score="INFINITY"/><rsc_colocation id="c2" rsc="lv-clone" with-rsc="dlm" score="INFINITY"/>`,
      },
    ],
    [
      "when something before it in its group may not",
      { resources: `<group id="g">${dummy("lv")}${fs()}</group>`, constraints: banned("lv") },
    ],
  ])("%s", (_, configuration) => {
    expect(namesOn(configuration)).toEqual([]);
    // …and the premise: it is the constraint that keeps it off.
    expect(namesOn({ ...configuration, constraints: "", properties: "", more: "", resources: fs() })).toEqual(["fs"]);
  });
});

describe("a resource may run on the node", () => {
  it.each<[string, Configuration]>([
    ["without constraints", {}],
    ["when another node is banned", { constraints: banned("fs").replace("node2", "node1") }],
    ["when a node is banned whose name only begins so", { constraints: banned("fs").replace("node2", "node20") }],
    ["when another resource is banned", { resources: fs() + dummy("fs2"), constraints: banned("fs2") }],
    ["against a score that others can outweigh", { constraints: banned("fs").replace("-INFINITY", "-5000") }],
    ["when it is banned from being promoted there", { constraints: banned("fs", 'role="Promoted"') }],
    [
      "when a pattern cannot be judged",
      { constraints: '<rsc_location id="l" rsc-pattern="\\w+" node="node2" score="-INFINITY"/>' },
    ],
    [
      "when a pattern meets only what is inside its clone",
      {
        resources: `<clone id="c">${fs()}</clone>`,
        constraints: '<rsc_location id="l" rsc-pattern="^fs$" node="node2" score="-INFINITY"/>',
      },
    ],
    ["when a rule is about another node", { constraints: rule(when("#uname", "eq", "node1")) }],
    [
      "when a rule is about a transient attribute, which the failed node has lost",
      { constraints: rule(when("pingd", "not_defined")) },
    ],
    [
      "when a transient attribute hides the permanent one",
      { constraints: rule(when("rack", "eq", "B")), status: TRANSIENT_RACK },
    ],
    ["when a rule compares numbers", { constraints: rule(when("#id", "gt", "1")) }],
    ["when a rule compares as a version", { constraints: rule(when("#id", "eq", "2", 'type="version"')) }],
    [
      "when a rule takes its value from a parameter",
      { constraints: rule(when("#uname", "eq", "node2", 'value-source="param"')) },
    ],
    [
      "when a rule is about a date",
      { constraints: rule('<date_expression id="d" operation="gt" start="2020-01-01"/>') },
    ],
    [
      "when a rule is about the node and a date",
      {
        constraints: rule(`${when("#uname", "eq", "node2")}<date_expression id="d" operation="lt" end="2020-01-01"/>`),
      },
    ],
    [
      "when a rule's score is an attribute's",
      { constraints: rule(when("#uname", "eq", "node2"), 'score-attribute="weight"') },
    ],
    [
      "when a rule is not there",
      { constraints: '<rsc_location id="l" rsc="fs"><rule id-ref="nowhere"/></rsc_location>' },
    ],
    [
      "when it is started in a stopped group",
      { resources: `<group id="g">${stopped}${fs("fs", stopped.replace("Stopped", "Started"))}</group>` },
    ],
    [
      "where it must opt in, and does",
      { properties: OPT_IN, constraints: '<rsc_location id="l" rsc="fs" node="node2" score="0"/>' },
    ],
    [
      "where it must opt in, and may by a rule",
      { properties: OPT_IN, constraints: rule(when("pingd", "defined"), 'score="1"') },
    ],
    [
      "where it is looked for only there",
      { constraints: '<rsc_location id="l" rsc="fs" node="node2" score="0" resource-discovery="exclusive"/>' },
    ],
    [
      "when it had better be with what may not",
      {
        resources: fs() + dummy("dlm"),
        constraints: `${banned("dlm")}<rsc_colocation id="c" rsc="fs" with-rsc="dlm" score="1000"/>`,
      },
    ],
    [
      "when what may not must be with it",
      {
        resources: fs() + dummy("dlm"),
        constraints: `${banned("dlm")}<rsc_colocation id="c" rsc="dlm" with-rsc="fs" score="INFINITY"/>`,
      },
    ],
    [
      "when it must not be with what may not",
      {
        resources: fs() + dummy("dlm"),
        constraints: `${banned("dlm")}<rsc_colocation id="c" rsc="fs" with-rsc="dlm" score="-INFINITY"/>`,
      },
    ],
    [
      "when only its promotion must be with what may not",
      {
        resources: fs() + dummy("dlm"),
        constraints: `${banned("dlm")}<rsc_colocation id="c" rsc="fs" with-rsc="dlm" score="INFINITY" rsc-role="Promoted"/>`,
      },
    ],
    [
      "when it must be in the rack of what may not",
      {
        resources: fs() + dummy("dlm"),
        constraints: `${banned("dlm")}<rsc_colocation id="c" rsc="fs" with-rsc="dlm" score="INFINITY" node-attribute="rack"/>`,
      },
    ],
    [
      "when what it must be with does not exist",
      { constraints: '<rsc_colocation id="c" rsc="fs" with-rsc="gone" score="INFINITY"/>' },
    ],
    [
      "when two must be with each other",
      {
        resources: fs() + dummy("a"),
        constraints:
          '<rsc_colocation id="c1" rsc="fs" with-rsc="a" score="INFINITY"/><rsc_colocation id="c2" rsc="a" with-rsc="fs" score="INFINITY"/>',
      },
    ],
    [
      "when what it must be with is in a circle, which the scheduler breaks where it likes",
      {
        resources: fs() + dummy("a") + dummy("b"),
        constraints: `<rsc_colocation id="c1" rsc="fs" with-rsc="a" score="INFINITY"/><rsc_colocation id="c2" rsc="a" with-rsc="b" score="INFINITY"/><rsc_colocation id="c3" rsc="b" with-rsc="a" score="INFINITY"/>${banned("b")}`,
      },
    ],
    [
      "when something after it in its group may not",
      { resources: `<group id="g">${fs()}${dummy("after")}</group>`, constraints: banned("after") },
    ],
    [
      "when a ban names the group in its clone, which Pacemaker ignores",
      { resources: `<clone id="c"><group id="g">${fs()}</group></clone>`, constraints: banned("g") },
    ],
    [
      "when a member of its group is looked for elsewhere only, which Pacemaker ignores",
      {
        resources: `<group id="g">${fs()}${dummy("d")}</group>`,
        constraints: '<rsc_location id="l" rsc="fs" node="node1" score="0" resource-discovery="exclusive"/>',
      },
    ],
    [
      "when what it must be with is a clone of a group of which a member is stopped",
      {
        resources: `${fs()}<clone id="c"><group id="g">${dummy("a")}${dummy("b", stopped)}</group></clone>`,
        constraints: '<rsc_colocation id="k" rsc="fs" with-rsc="c" score="INFINITY"/>',
      },
    ],
    [
      "when it must be with itself",
      {
        resources: `<clone id="c">${fs()}</clone>`,
        constraints: '<rsc_colocation id="k" rsc="c" with-rsc="fs" score="INFINITY"/>',
      },
    ],
    [
      "in standby: the question is asked while it fails",
      { status: TRANSIENT_RACK.replaceAll("rack", "standby").replace('"C"', '"on"') },
    ],
  ])("%s", (_, configuration) => {
    expect(namesOn(configuration)).toEqual(["fs"]);
  });
});

it("answers for remote and guest nodes, which are resources", () => {
  const resources = `${fs()}<primitive id="remote1" class="ocf" provider="pacemaker" type="remote"/>
    <primitive id="vm" class="ocf" provider="heartbeat" type="VirtualDomain"><meta_attributes id="m"><nvpair id="n" name="remote-node" value="guest1"/></meta_attributes></primitive>`;
  expect(namesOn({ resources }, "remote1")).toEqual(["fs"]);
  expect(namesOn({ resources, constraints: rule(when("#kind", "eq", "container")) }, "guest1")).toEqual([]);
  expect(namesOn({ resources }, "vm")).toEqual([]);
});

it("answers in time for a configuration of thousands of resources", () => {
  const many = Array.from({ length: 3_000 }, (_, n) => n);
  const cib = cibOf({
    resources: many.map((n) => `<clone id="c${n}">${fs(`fs${n}`)}</clone>`).join(""),
    constraints: many
      .map(
        (n) =>
          `${banned(`c${n}`).replace("node2", `node${n % 2}`)}<rsc_colocation id="k${n}" rsc="c${n}" with-rsc="c${(n + 2) % 3_000}" score="INFINITY"/>`,
      )
      .join(""),
  });
  const startedMs = performance.now();
  expect(configuredFor(placementOf(cib), "node1")).toHaveLength(1_500);
  expect(performance.now() - startedMs).toBeLessThan(10_000);
});

// ----------------------------------------------------------------------------------------------------------- pcs

describe("pcs", () => {
  const TEXTS = ["0.10.8", "0.10.18", "0.11.5", "0.11.9", "0.12.0"];
  const text = (version: string) => read(`pcs/${version}-groups.txt`);
  const HOME = { name: "gfs2-home", mountPoint: "/mnt/home dir", device: "/dev/vg/home" };
  const WORK = { name: "gfs2-work", mountPoint: "/mnt/work", device: "/dev/vg/work" };
  const SINGLE = { name: "gfs2-single", mountPoint: "/mnt/single", device: "/dev/vg/single" };
  const EXPECTED = {
    "rabbit-node-1": [HOME, WORK, SINGLE],
    "compute-node-2": [HOME, WORK], // a rule bans gfs2-single
    "compute-node-3": [], // locking-clone is banned, and a pattern bans gfs2-single
    "remote-node-4": [HOME, WORK, SINGLE],
    nobody: [],
  };
  const sorted = (found: readonly { name: string }[]) => [...found].sort((a, b) => (a.name < b.name ? -1 : 1));

  it.each(Object.entries(EXPECTED))("the CIB that the others are compared with: %s", (target, expected) => {
    const cib = parseCib(read("pcs/groups.cib.xml"));
    expect(sorted(configuredFor(placementOf(cib), target))).toEqual(sorted(expected));
  });

  it.each(
    TEXTS.flatMap((version) =>
      Object.entries(EXPECTED).map(([target, expected]) => [version, target, expected] as const),
    ),
  )("gives the CIB's answers from its text: pcs %s: %s", (version, target, expected) => {
    expect(sorted(configuredFor(placementFromPcs(text(version), undefined), target))).toEqual(sorted(expected));
  });

  it.each(Object.entries(EXPECTED))("gives the CIB's answers from JSON and text: %s", (target, expected) => {
    const placement = placementFromPcs(text("0.11.5"), read("pcs/0.11.5-groups.json"));
    expect(sorted(configuredFor(placement, target))).toEqual(sorted(expected));
  });

  it("reads the resources of the CIB whole from JSON and from every text", () => {
    const tree = (placement: ReturnType<typeof placementOf>) =>
      JSON.stringify(placement.resources, (key, value) =>
        key === "parent" || key === "replicaNodes" ? undefined : value,
      )
        .split('{"id"')
        .sort();
    const expected = tree(placementOf(parseCib(read("pcs/groups.cib.xml"))));
    const flat = (items: string[]) => items.map((item) => item.replace(/[[\],{}]+$/, "")).sort();
    for (const placement of [
      ...TEXTS.map((version) => placementFromPcs(text(version), undefined)),
      placementFromPcs(text("0.11.5"), read("pcs/0.11.5-groups.json")),
    ]) {
      expect(flat(tree(placement))).toEqual(flat(expected));
    }
  });

  const HEAD =
    "Cluster Name: c\nPacemaker Nodes:\n node1 node2\n\nResources:\n Resource: fs (class=ocf provider=heartbeat type=Filesystem)\n  Attributes: fstype=gfs2\n\n";
  it.each<[string, string, readonly string[]]>([
    [
      "the only node on the line of its heading",
      "Location Constraints:\n  Resource: fs\n    Disabled on: node2 (score:-INFINITY) (id:l)\n",
      [],
    ],
    [
      "a role",
      "Location Constraints:\n  Resource: fs\n    Disabled on:\n      Node: node2 (score:-INFINITY) (role:Promoted) (id:l)\n",
      ["fs"],
    ],
    [
      "a role in words",
      "Location Constraints:\n  Promoted resource 'fs' avoids node 'node2' with score INFINITY (id: l)\n",
      ["fs"],
    ],
    ["a finite score", "Location Constraints:\n  resource 'fs' avoids node 'node2' with score 100 (id: l)\n", ["fs"]],
    [
      "a rule that has expired",
      "Location Constraints:\n  Resource: fs\n    Constraint (expired): l\n      Rule (expired): score=-INFINITY\n        Expression: #uname eq node2\n",
      ["fs"],
    ],
    [
      "a rule on a date",
      "Location Constraints:\n  Resource: fs\n    Constraint: l\n      Rule: boolean-op=and score=-INFINITY\n        Expression: #uname eq node2\n        Expression: date lt 2020-01-01\n",
      ["fs"],
    ],
    [
      "a rule that either side meets",
      "Location Constraints:\n  Resource: fs\n    Constraint: l\n      Rule: boolean-op=or score=-INFINITY\n        Expression: defined pingd\n        Expression: #uname eq node2\n",
      [],
    ],
    [
      "a rule within a rule",
      "Location Constraints:\n  resource 'fs' (id: l)\n    Rules:\n      Rule: boolean-op=and score=-INFINITY (id: r)\n        Rule: boolean-op=or (id: r2)\n          Expression: #uname eq node2 (id: e)\n",
      [],
    ],
    [
      "discovery elsewhere only",
      "Location Constraints:\n  resource 'fs' prefers node 'node1' with score INFINITY (id: l)\n    resource-discovery=exclusive\n",
      [],
    ],
    ["opting in", "Cluster Properties:\n symmetric-cluster: false\n", []],
    ["opting in, since 0.11.6", "Cluster Properties: cib-bootstrap-options\n  symmetric-cluster=false\n", []],
    [
      "a default for all resources",
      "Resources Defaults:\n  Meta Attrs: rsc_defaults-meta_attributes\n    target-role=Stopped\n",
      [],
    ],
    [
      "a default for some resources",
      "Resources Defaults:\n  Meta Attrs: d score=1\n    target-role=Stopped\n    Rule: boolean-op=and score=INFINITY\n      Expression: resource ::Dummy\n",
      ["fs"],
    ],
  ])("understands %s", (_, tail, expected) => {
    expect(configuredFor(placementFromPcs(HEAD + tail, undefined), "node2").map(({ name }) => name)).toEqual(expected);
  });

  it("refuses JSON that lacks a kind of resource: nothing found there would mean nothing", () => {
    expect(() => placementFromPcs(HEAD, '{"primitives": []}')).toThrow(expect.objectContaining({ kind: "bad-output" }));
    expect(() => placementFromPcs(HEAD, "not json")).toThrow(expect.objectContaining({ kind: "bad-output" }));
  });
});
