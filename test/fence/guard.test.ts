import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OpsError } from "../../src/core/errors.ts";
import { type Cib, parseCib } from "../../src/discovery/cib.ts";
import {
  askGuard,
  decodeVerdict,
  encodeVerdict,
  type GuardQuestion,
  guardFileName,
  guardVerdict,
  unsafeDeployment,
  VERDICT_DIRECTORY,
} from "../../src/fence/guard.ts";
import { exits, type FakeTables, fakeHost, HANGS } from "../fakes/fake-host.ts";

const FIXTURES = join(import.meta.dirname, "../fixtures/gfs2-cluster");
const captured = (state: string) => parseCib(readFileSync(join(FIXTURES, state, "cibadmin-Q-local.xml"), "utf8"));

let serial = 0;
const level = (attributes: string, devices: string | null = "power,rec", index: string | null = "1") =>
  `<fencing-level id="fl-${++serial}" ${attributes} ${index === null ? "" : `index="${index}"`} ${devices === null ? "" : `devices="${devices}"`}/>`;
const device = (id: string, type: string, inner = "") =>
  `<primitive id="${id}" class="stonith" type="${type}">${inner}</primitive>`;
const meta = (name: string, value: string) =>
  `<meta_attributes id="m-${++serial}"><nvpair id="v-${serial}" name="${name}" value="${value}"/></meta_attributes>`;
const attributes = (values: Record<string, string>) =>
  `<instance_attributes id="ia-${++serial}">${Object.entries(values)
    .map(([name, value]) => `<nvpair id="nv-${++serial}" name="${name}" value="${value}"/>`)
    .join("")}</instance_attributes>`;

const DEVICES = `${device("power", "fence_ipmilan")}${device("rec", "fence_gfs2_recorder")}${device("rec2", "fence_gfs2_recorder")}`;
const NODES = `<node id="1" uname="node1"/><node id="2" uname="node2"/><node id="3" uname="node3">${attributes({ rack: "1" })}</node>`;
type Parts = { levels?: string; devices?: string; nodes?: string; properties?: string; more?: string };
const cibOf = ({ levels = "", devices = DEVICES, nodes = NODES, properties = "", more = "" }: Parts): Cib =>
  parseCib(
    `<cib><configuration><crm_config><cluster_property_set id="p">${properties}</cluster_property_set></crm_config>
     <nodes>${nodes}</nodes><resources>${devices}</resources>${more}<fencing-topology>${levels}</fencing-topology></configuration></cib>`,
  );
const verdictOn = (parts: Parts, target = "node3") => guardVerdict(cibOf(parts), target);
const NAME = 'target="node3"';
const property = (name: string, value: string) => `<nvpair id="pr-${++serial}" name="${name}" value="${value}"/>`;

describe("the captured cluster", () => {
  const RECORDER = ["fence_gfs2lab_rec"];
  it.each([
    [
      "b-failed-before-fencing",
      "compute-node-2",
      "ok",
      "topology of compute-node-2: level 1 holds fence-compute-node-2",
    ],
    [
      "b2-second-failure-recorder-first",
      "compute-node-2",
      "ok",
      "topology of compute-node-2: level 1 holds fence-compute-node-2",
    ],
    [
      "c2-rejoined",
      "compute-node-3",
      "unsafe",
      "no topology for compute-node-3: a recorder alone could count as its fencing",
    ],
    [
      "c2-rejoined",
      "compute-node-20",
      "unsafe",
      "no topology for compute-node-20: a recorder alone could count as its fencing",
    ],
  ])("%s: %s: %s", (state, target, verdict, reason) => {
    expect(guardVerdict(captured(state), target, RECORDER)).toEqual({ verdict, reason });
  });

  it("deploys its recorder for a node that has a level, and for no other", () => {
    expect(unsafeDeployment(captured("a-healthy"), RECORDER)).toEqual([]);
  });

  it("takes a millisecond or two", () => {
    const cib = captured("b-failed-before-fencing");
    guardVerdict(cib, "compute-node-2", RECORDER);
    // The median: a machine that stalls lengthens a few turns, a slow guard every one.
    const tookMs = Array.from({ length: 51 }, () => {
      const startedMs = performance.now();
      guardVerdict(cib, "compute-node-2", RECORDER);
      return performance.now() - startedMs;
    }).sort((a, b) => a - b);
    expect(tookMs[25]).toBeLessThan(25);
  });
});

describe("one entry for the target", () => {
  it.each<[string, Parts, string, string]>([
    ["no topology at all", {}, "unsafe", "no topology for node3: a recorder alone could count as its fencing"],
    [
      "a topology for other nodes",
      { levels: level('target="node30"') + level('target="node"') },
      "unsafe",
      "no topology for node3: a recorder alone could count as its fencing",
    ],
    ["power, then the recorder", { levels: level(NAME) }, "ok", "topology of node3: level 1 holds power"],
    ["the recorder, then power", { levels: level(NAME, "rec,power") }, "ok", "topology of node3: level 1 holds power"],
    [
      "the recorder alone",
      { levels: level(NAME, "rec") },
      "unsafe",
      "topology level 1 of node3 holds only the recorder rec",
    ],
    [
      "the recorder twice",
      { levels: level(NAME, "rec,rec") },
      "unsafe",
      "topology level 1 of node3 holds only the recorder rec",
    ],
    [
      "two recorders",
      { levels: level(NAME, "rec,rec2") },
      "unsafe",
      "topology level 1 of node3 holds only the recorder rec, rec2",
    ],
    [
      "the recorder alone as a last resort",
      { levels: level(NAME) + level(NAME, "rec2", "2") },
      "unsafe",
      "topology level 2 of node3 holds only the recorder rec2",
    ],
    [
      "power alone as a last resort",
      { levels: level(NAME) + level(NAME, "power", "2") },
      "ok",
      "topology of node3: level 1 holds power",
    ],
    [
      "two proper levels",
      { levels: level(NAME) + level(NAME, "rec2,power", "9") },
      "ok",
      "topology of node3: level 1 holds power, level 9 holds power",
    ],
    [
      "levels without a recorder",
      { levels: level(NAME, "power") },
      "unsafe",
      "no topology level of node3 holds a recorder",
    ],
    [
      "an entry without devices",
      { levels: level(NAME, null) },
      "unsafe",
      "no topology for node3: a recorder alone could count as its fencing",
    ],
    [
      "a level that is not one",
      { levels: level(NAME, "rec,power", "10") },
      "unsafe",
      "no topology for node3: a recorder alone could count as its fencing",
    ],
    [
      "a negative level",
      { levels: level(NAME) + level(NAME, "rec", "-1") },
      "ok",
      "topology of node3: level 1 holds power",
    ],
    [
      "a level too many",
      { levels: level(NAME) + level(NAME, "rec", "10") },
      "ok",
      "topology of node3: level 1 holds power",
    ],
    [
      "a level in words",
      { levels: level(NAME) + level(NAME, "rec", "two") },
      "ok",
      "topology of node3: level 1 holds power",
    ],
    [
      "a level number with something after it",
      { levels: level(NAME) + level(NAME, "rec", "2nd") },
      "unsafe",
      "topology level 2 of node3 holds only the recorder rec",
    ],
    [
      "two elements for one level",
      { levels: level(NAME) + level(NAME) },
      "unsafe",
      "topology of node3: two topology elements are level 1",
    ],
    [
      "the same level written twice differently",
      { levels: level(NAME) + level(NAME, "power,rec", "01") },
      "unsafe",
      "topology of node3: two topology elements are level 1",
    ],
    [
      "a level 0, which removes the others",
      { levels: level(NAME) + level(NAME, "power", "0") },
      "unsafe",
      "topology of node3: an element without an id or a level number removes the others",
    ],
    [
      "a level without a number",
      { levels: level(NAME) + level(NAME, "power", null) },
      "unsafe",
      "topology of node3: an element without an id or a level number removes the others",
    ],
  ])("%s", (_, parts, verdict, reason) => {
    expect(verdictOn(parts)).toEqual({ verdict, reason });
  });
});

describe("the other device in the level", () => {
  const beside = (devices: string, more: Omit<Parts, "levels" | "devices"> = {}, ids = "rec,other") =>
    verdictOn({ ...more, devices: DEVICES + devices, levels: level(NAME, ids) });
  const HOLDS = "topology level 1 of node3 holds the recorder rec and no other device that fences: ";

  it.each<[string, ReturnType<typeof beside>, string | undefined]>([
    ["that does not exist", beside(""), "other does not exist"],
    [
      "that is no fencing device",
      beside('<primitive id="other" class="ocf" provider="pacemaker" type="Dummy"/>'),
      "other does not exist",
    ],
    ["that has no name", beside("", {}, "rec,"), " does not exist"],
    ["that is stopped", beside(device("other", "fence_ipmilan", meta("target-role", "Stopped"))), "other is stopped"],
    [
      "that is stopped by default",
      beside(device("other", "fence_ipmilan"), {
        more: `<rsc_defaults>${meta("target-role", "Stopped")}</rsc_defaults>`,
      }),
      "other is stopped",
    ],
    [
      "that is stopped with its clone",
      beside(`<clone id="c">${meta("target-role", "Stopped")}${device("other", "fence_ipmilan")}</clone>`),
      "other is stopped",
    ],
    [
      "that decides only whether others are asked",
      beside(device("other", "fence_heuristics_ping")),
      "other is fence_heuristics_ping, which does not fence",
    ],
    [
      "that only tells OpenStack",
      beside(device("other", "fence_evacuate")),
      "other is fence_evacuate, which does not fence",
    ],
    [
      "whose template makes it a recorder",
      beside(`<template id="t" class="stonith" type="fence_gfs2_recorder"/><primitive id="other" template="t"/>`),
      "",
    ],
    ["whose template does not exist", beside('<primitive id="other" template="t"/>'), "other does not exist"],
    [
      "that is the watchdog, switched off",
      beside("", {}, "rec,watchdog"),
      "watchdog is off: no stonith-watchdog-timeout",
    ],
    [
      "that is a watchdog by another name",
      beside(device("other", "fence_watchdog"), { properties: property("stonith-watchdog-timeout", "10s") }),
      "other is ignored: agent fence_watchdog must be named watchdog",
    ],
    [
      "that is named like the watchdog",
      beside(
        device("watchdog", "fence_ipmilan"),
        { properties: property("stonith-watchdog-timeout", "10") },
        "rec,watchdog",
      ),
      "watchdog is not of agent fence_watchdog",
    ],
  ])("is no proof when it is one %s", (_, { verdict, reason }, objection) => {
    expect(verdict).toBe("unsafe");
    expect(reason).toBe(
      objection === "" ? "topology level 1 of node3 holds only the recorder rec, other" : HOLDS + objection,
    );
  });

  it.each<[string, ReturnType<typeof beside>]>([
    ["of a real agent", beside(device("other", "fence_ipmilan"))],
    ["of the agent that tests use", beside(device("other", "fence_dummy"))],
    [
      "with its agent in a template",
      beside('<template id="t" class="stonith" type="fence_ipmilan"/><primitive id="other" template="t"/>'),
    ],
    ["in a clone", beside(`<clone id="c">${device("other", "fence_ipmilan")}</clone>`)],
    [
      "that is the watchdog, switched on",
      beside("", { properties: property("stonith-watchdog-timeout", "10s") }, "rec,watchdog"),
    ],
    [
      "that is the watchdog by its name since Pacemaker 3",
      beside("", { properties: property("fencing-watchdog-timeout", "-1") }, "rec,watchdog"),
    ],
    [
      "that is the watchdog for some nodes",
      beside(
        device("watchdog", "fence_watchdog"),
        { properties: property("stonith-watchdog-timeout", "10s") },
        "rec,watchdog",
      ),
    ],
    ["beside one that does not count", beside(device("other", "fence_ipmilan"), {}, "rec,ghost,other")],
  ])("is proof when it is one %s", (_, { verdict }) => {
    expect(verdict).toBe("ok");
  });

  it("counts a recorder even when its resource is stopped", () => {
    const devices =
      device("power", "fence_ipmilan") + device("rec", "fence_gfs2_recorder", meta("target-role", "Stopped"));
    expect(verdictOn({ devices, levels: level(NAME, "rec") }).verdict).toBe("unsafe");
  });

  it("does not depend on stonith-enabled, which does not keep dlm_controld from asking", () => {
    const properties = property("stonith-enabled", "false");
    expect(verdictOn({ properties, levels: level(NAME) }).verdict).toBe("ok");
    expect(verdictOn({ properties }).verdict).toBe("unsafe");
  });
});

describe("which entry is the target's", () => {
  const PATTERN = 'target-pattern="node[0-9]"';
  const RACK = 'target-attribute="rack" target-value="1"';
  const ALONE = "rec";

  it.each<[string, string, string, string?]>([
    ["a name in another case", level('target="NODE3"'), "ok"],
    ["two names in other cases that agree", level('target="NODE3"') + level('target="Node3"'), "ok"],
    ["two names in other cases that disagree", level('target="NODE3"') + level('target="Node3"', ALONE), "unknown"],
    ["the exact name before any other case", level('target="NODE3"', ALONE) + level(NAME), "ok"],
    ["the exact name before a pattern", level(PATTERN, ALONE) + level(NAME), "ok"],
    ["the exact name before an attribute", level(NAME) + level(RACK, ALONE), "ok"],
    ["the exact name even when its level is worse", level(PATTERN) + level(NAME, ALONE), "unsafe"],
    ["a pattern", level(PATTERN), "ok"],
    ["a pattern with the recorder alone", level(PATTERN, ALONE), "unsafe"],
    ["a pattern that is not anchored", level('target-pattern="ode"'), "ok"],
    ["a pattern in the wrong case", level('target-pattern="NODE"'), "unsafe"],
    ["a pattern that is the name itself", level('target-pattern="node3"') + level('target-pattern="."', ALONE), "ok"],
    ["an empty pattern, which matches all", level('target-pattern=""'), "ok"],
    ["patterns that agree", level(PATTERN) + level('target-pattern="^n"'), "ok"],
    ["patterns that disagree", level(PATTERN) + level('target-pattern="^n"', ALONE), "unknown"],
    ["a pattern and an attribute that disagree", level(PATTERN) + level(RACK, ALONE), "unknown"],
    ["a pattern that does not match beside one that does", level('target-pattern="^x"', ALONE) + level(PATTERN), "ok"],
    ["a pattern that cannot be judged", level('target-pattern="\\d"'), "unknown"],
    ["one that cannot be judged beside one that agrees", level('target-pattern="\\d"') + level(PATTERN), "ok"],
    [
      "one that cannot be judged beside one that does not",
      level('target-pattern="\\d"', ALONE) + level(PATTERN),
      "unknown",
    ],
    ["one that cannot be judged and makes no difference", level('target-pattern="\\d"', ALONE), "unsafe"],
    ["an attribute", level(RACK), "ok"],
    ["an attribute of another value", level(RACK.replace('"1"', '"2"')), "unsafe"],
    ["an attribute in another case", level(RACK.replace("rack", "RACK")), "unsafe"],
    ["an attribute without a value", level('target-attribute="rack"'), "unsafe"],
    ["a key that looks like a name", level('target="rack=1"'), "unsafe"],
    ["a name and an attribute that share a key", level('target="rack=1"') + level(RACK, "power,rec", "2"), "unknown"],
    ["name before pattern in one element", level(`${NAME} target-pattern="x"`), "ok"],
    ["pattern before attribute in one element", level(`target-pattern="x" ${RACK}`), "unsafe"],
    ["nothing that names a target", level(""), "unsafe"],
  ])("%s", (_, levels, verdict) => {
    expect(verdictOn({ levels }).verdict).toBe(verdict);
  });

  it("names the entries that disagree", () => {
    expect(verdictOn({ levels: level(PATTERN) + level(RACK, "rec") }).reason).toBe(
      "topology entries node[0-9], rack=1 all match node3 and disagree: which one Pacemaker uses is not known",
    );
    expect(verdictOn({ levels: level('target-pattern="\\d"') }).reason).toBe(
      "whether topology entry \\d is the one for node3 cannot be told",
    );
  });

  it("finds an attribute for the name as it is written in <nodes> only, and only once", () => {
    const node = (uname: string, inner: string) => `<node id="3" uname="${uname}">${inner}</node>`;
    const verdict = (nodes: string) => verdictOn({ nodes, levels: level(RACK) }).verdict;
    expect(verdict(node("node3", attributes({ rack: "1" })))).toBe("ok");
    expect(verdict(node("NODE3", attributes({ rack: "1" })))).toBe("unsafe");
    // get_xpath_object() wants exactly one match
    expect(verdict(node("node3", attributes({ rack: "1" }) + attributes({ rack: "1" })))).toBe("unsafe");
    expect(verdict(node("node3", attributes({ rack: "2" }) + attributes({ rack: "1" })))).toBe("ok");
  });

  it("does not judge an attribute whose value ends the fencer's XPath", () => {
    const nodes = `<node id="3" uname="node3">${attributes({ rack: "it's" })}</node>`;
    expect(verdictOn({ nodes, levels: level('target-attribute="rack" target-value="it\'s"') }).verdict).toBe("unknown");
  });

  it("never calls a node safe because of another one's entry", () => {
    const name = fc.stringMatching(/^[a-z]{1,3}[0-9]{0,2}$/);
    fc.assert(
      fc.property(fc.uniqueArray(name, { minLength: 2, maxLength: 5 }), ([target = "", ...others]) => {
        const levels = others.map((other) => level(`target="${other}"`)).join("");
        expect(verdictOn({ levels }, target).verdict).toBe("unsafe");
        expect(verdictOn({ levels: levels + level(`target="${target}"`) }, target).verdict).toBe("ok");
      }),
      { numRuns: 200 },
    );
  });
});

describe("a whole deployment", () => {
  const ALL = ["node1", "node2", "node3"];
  const noTopology = (node: string) =>
    `${node}: unsafe: no topology for ${node}: a recorder alone could count as its fencing`;
  const recorder = (values: Record<string, string>, more = "") =>
    device("power", "fence_ipmilan") + device("rec", "fence_gfs2_recorder", attributes(values) + more);
  const proper = ALL.map((node) => level(`target="${node}"`)).join("");

  it.each<[string, Parts, readonly string[]]>([
    ["levels for every node", { levels: proper }, []],
    ["no recorder at all", { devices: device("power", "fence_ipmilan") }, []],
    ["a recorder for any node, and no levels", {}, ALL.map(noTopology)],
    [
      "a recorder for one node, and no levels",
      { devices: recorder({ pcmk_host_list: "node2" }) },
      [noTopology("node2")],
    ],
    [
      "a list with commas, in another case",
      { devices: recorder({ pcmk_host_list: "NODE2, node3" }) },
      [noTopology("node2"), noTopology("node3")],
    ],
    ["a map", { devices: recorder({ pcmk_host_map: "node1:a;node3=b" }) }, [noTopology("node1"), noTopology("node3")]],
    [
      "a list that is not asked",
      { devices: recorder({ pcmk_host_list: "node2", pcmk_host_check: "none" }) },
      ALL.map(noTopology),
    ],
    [
      "a list that is asked",
      { devices: recorder({ pcmk_host_list: "node2", pcmk_host_check: "static-list" }) },
      [noTopology("node2")],
    ],
    ["a list of nodes that do not exist", { devices: recorder({ pcmk_host_list: "node20" }) }, []],
    ["a stopped recorder", { devices: recorder({}, meta("target-role", "Stopped")) }, []],
    [
      "one level with the recorder alone",
      { levels: `${level('target="node1"', "power")}${level('target="node2"', "rec")}${level(NAME)}` },
      ["node2: unsafe: topology level 1 of node2 holds only the recorder rec"],
    ],
    [
      "a level in which a recorder is used whatever its list",
      { devices: recorder({ pcmk_host_list: "node1" }), levels: level('target="node2"', "rec") },
      [noTopology("node1"), "node2: unsafe: topology level 1 of node2 holds only the recorder rec"],
    ],
    [
      "nodes whose entry is not known",
      { levels: level('target-pattern="\\d"') },
      ALL.map((node) => `${node}: unknown: whether topology entry \\d is the one for ${node} cannot be told`),
    ],
  ])("%s", (_, parts, expected) => {
    expect(unsafeDeployment(cibOf(parts))).toEqual(expected);
  });

  it("looks at remote nodes, but not at guests, whose fencing reaches no agent", () => {
    const devices = `${DEVICES}<primitive id="remote1" class="ocf" provider="pacemaker" type="remote"/>
      <primitive id="vm" class="ocf" provider="heartbeat" type="VirtualDomain">${meta("remote-node", "guest1")}</primitive>`;
    expect(unsafeDeployment(cibOf({ devices, levels: proper }))).toEqual([noTopology("remote1")]);
  });
});

describe("asking live", () => {
  const SAFE = cibOf({ levels: level(NAME) });
  const UNSAFE = cibOf({});
  const DOUBTFUL = cibOf({ levels: level('target-pattern="\\d"') });
  const NOW = new Date("2026-03-01T12:00:00.000Z");
  const HOUR_MS = 3_600_000;
  const unreadable = (what: string) => () => Promise.reject(new OpsError("failed", `${what} failed`));
  const lastVerdict = (verdict: "ok" | "unsafe", ageMs: number) => () =>
    Promise.resolve({ target: "node3", verdict, reason: "as before", time: new Date(NOW.getTime() - ageMs) });
  const ask = (question: Partial<GuardQuestion>, commands: FakeTables["commands"] = {}) => {
    const host = fakeHost({ commands, now: NOW });
    const answer = askGuard({
      host,
      target: "node3",
      readCib: unreadable("cibadmin"),
      readCibFile: unreadable("cat"),
      lastVerdict: unreadable("last"),
      ...question,
    });
    return { host, answer };
  };

  it("takes the running cluster's word and hands on the CIB", async () => {
    const { answer } = ask({ readCib: () => Promise.resolve(SAFE), readCibFile: () => Promise.resolve(UNSAFE) });
    expect(await answer).toEqual({
      verdict: "ok",
      reason: "topology of node3: level 1 holds power",
      source: "live-cib",
      cib: SAFE,
    });
  });

  it("takes the file where the cluster does not answer", async () => {
    const { answer } = ask({ readCibFile: () => Promise.resolve(SAFE) });
    expect(await answer).toMatchObject({ verdict: "ok", source: "cib-file", cib: SAFE });
  });

  it("waits a second for the cluster and half a second for each of the others", async () => {
    const never = () => new Promise<never>(() => undefined);
    const { host, answer } = ask({ readCib: never, readCibFile: never, lastVerdict: never });
    let answered: unknown;
    answer.then((value) => {
      answered = value;
    });
    await host.advance(1_999);
    expect(answered).toBeUndefined();
    await host.advance(1);
    expect(answered).toMatchObject({
      verdict: "unknown",
      source: "none",
      reason:
        "the topology of node3 could not be read: live-cib: timed out after 1000 ms; cib-file: timed out after 500 ms; last verdict: timed out after 500 ms",
    });
  });

  it("leaves it at unknown when the CIB could be read: what is older cannot know better", async () => {
    const { answer } = ask({
      readCib: () => Promise.resolve(DOUBTFUL),
      readCibFile: () => Promise.resolve(SAFE),
      lastVerdict: lastVerdict("ok", 0),
    });
    expect(await answer).toMatchObject({ verdict: "unknown", source: "live-cib" });
  });

  it.each<[string, GuardQuestion["lastVerdict"], string, string]>([
    ["an ok of an hour ago", lastVerdict("ok", HOUR_MS), "ok", "last-verdict"],
    ["an ok of yesterday", lastVerdict("ok", 24 * HOUR_MS), "ok", "last-verdict"],
    ["an ok of last year", lastVerdict("ok", 365 * 24 * HOUR_MS), "ok", "last-verdict"],
    ["an unsafe of last year", lastVerdict("unsafe", 365 * 24 * HOUR_MS), "unsafe", "last-verdict"],
    ["none", () => Promise.resolve(undefined), "unknown", "none"],
    ["one that cannot be read", unreadable("last"), "unknown", "none"],
  ])("falls back on the last verdict: %s", async (_, last = () => Promise.resolve(undefined), verdict, source) => {
    expect(await ask({ lastVerdict: last }).answer).toMatchObject({ verdict, source });
  });

  it("says in one line what an old verdict rests on and what failed since", async () => {
    expect((await ask({ lastVerdict: lastVerdict("ok", HOUR_MS) }).answer).reason).toBe(
      "as before (as of 2026-03-01T11:00:00.000Z; now: cibadmin failed; cat failed)",
    );
  });

  it("reads the file and the last verdict through commands, when left to itself", async () => {
    const host = fakeHost({
      now: NOW,
      commands: {
        "cat -- /var/lib/pacemaker/cib/cib.xml": "",
        [`cat -- ${VERDICT_DIRECTORY}/node3.json`]: encodeVerdict({
          target: "node3",
          verdict: "ok",
          reason: "as before",
          time: NOW,
        }),
      },
    });
    const answer = await askGuard({ host, target: "node3", readCib: unreadable("cibadmin") });
    expect(answer).toMatchObject({ verdict: "ok", source: "last-verdict" });
    expect(host.calls.every(({ options }) => options.timeoutMs === 500 && options.group === "caller")).toBe(true);
  });

  it("survives a disk that hangs", async () => {
    const host = fakeHost({
      commands: { "cat -- /var/lib/pacemaker/cib/cib.xml": HANGS, [`cat -- ${VERDICT_DIRECTORY}/node3.json`]: HANGS },
    });
    const asking = askGuard({ host, target: "node3", readCib: unreadable("cibadmin") });
    await host.advance(2_000);
    expect(await asking).toMatchObject({ verdict: "unknown", source: "none" });
  });

  it("has no verdict where none was kept", async () => {
    const host = fakeHost({
      commands: {
        "cat -- /var/lib/pacemaker/cib/cib.xml": exits(1, "cat: no"),
        [`cat -- ${VERDICT_DIRECTORY}/node3.json`]: exits(1, "cat: No such file or directory"),
      },
    });
    expect(await askGuard({ host, target: "node3", readCib: unreadable("cibadmin") })).toMatchObject({
      verdict: "unknown",
    });
  });
});

describe("last verdicts", () => {
  const TIME = new Date("2026-03-01T12:00:00.000Z");

  it.each([
    ["node3", "node3.json"],
    ["node3.example.com", "node3.example.com.json"],
    ["Node_3-a", "Node_3-a.json"],
    [".", "%002e.json"],
    ["..", "%002e..json"],
    [".hidden", "%002ehidden.json"],
    ["../../etc/passwd", "%002e.%002f..%002fetc%002fpasswd.json"],
    ["", ".json"],
    ["a b\n", "a%0020b%000a.json"],
    ["%002e", "%0025002e.json"],
    ["nöde", "n%00f6de.json"],
  ])("are kept for %j in %s", (target, name) => {
    expect(guardFileName(target)).toBe(name);
  });

  it("are not kept for a target whose name is too long for a file", () => {
    expect(guardFileName("n".repeat(200))).toBe(`${"n".repeat(200)}.json`);
    expect(guardFileName("n".repeat(201))).toBeUndefined();
    expect(guardFileName("/".repeat(41))).toBeUndefined();
  });

  it("have names that are safe for any target and differ where targets do", () => {
    const target = fc.string({
      unit: fc.oneof(fc.constantFrom(..."%./\\0e2a\u0000\ud800\udc00 ~"), fc.string({ unit: "binary", maxLength: 1 })),
      maxLength: 40,
    });
    fc.assert(
      fc.property(target, target, (one, other) => {
        expect(guardFileName(one)).toMatch(/^(?!\.\.?$)[A-Za-z0-9._%-]{1,205}$/);
        expect(guardFileName(one) === guardFileName(other)).toBe(one === other);
      }),
      { numRuns: 2_000 },
    );
  });

  it("come back as they were written, on one line", () => {
    const text = encodeVerdict({ target: "node3", verdict: "unsafe", reason: "line\nfeed", time: TIME });
    expect(text.trimEnd()).not.toContain("\n");
    expect(decodeVerdict(text, "node3")).toEqual({
      target: "node3",
      verdict: "unsafe",
      reason: "line\nfeed",
      time: TIME,
    });
  });

  const whole = { target: "node3", verdict: "ok", reason: "r", time: TIME.toISOString() };
  it.each<[string, string]>([
    ["empty", ""],
    ["cut off", '{"target":"node3","verd'],
    ["not an object", "null"],
    ["about another target", JSON.stringify({ ...whole, target: "node30" })],
    ["unknown", JSON.stringify({ ...whole, verdict: "unknown" })],
    ["without a reason", JSON.stringify({ ...whole, reason: undefined })],
    ["without a time", JSON.stringify({ ...whole, time: "yesterday" })],
  ])("are nothing when the text is %s", (_, text) => {
    expect(decodeVerdict(text, "node3")).toBeUndefined();
  });
});
