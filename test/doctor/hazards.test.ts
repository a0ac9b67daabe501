/** doctor on CIB files made with the real tools: each hazard is found and named, and nothing else is. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CHECKS, EXITS, verdictOf } from "../../src/doctor/run.ts";
import { captureOf, withOurRecorder } from "../fakes/captured-cluster.ts";
import { diagnoseXml, FIXTURES, hazardsIn, METADATA, readFixture } from "./diagnose.ts";
import { DEPLOYMENTS, HAZARDS } from "./hazards.ts";

describe("a configuration with one hazard", () => {
  it.each(HAZARDS)("is told from a clean one: $file", async ({ file, finds, exit, says }) => {
    const diagnosis = await diagnoseXml(readFixture(`${file}.xml`));
    expect(hazardsIn(diagnosis).map(({ id, object }) => [id, object])).toEqual(finds);
    expect(
      hazardsIn(diagnosis)
        .map(({ what }) => what)
        .join("\n"),
    ).toContain(says);
    expect(EXITS[verdictOf(diagnosis)]).toBe(exit);
    expect(diagnosis.unchecked).toEqual([]);
  });

  it("says for every finding why it matters, and how pcs and crmsh mend it", async () => {
    for (const { file } of HAZARDS) {
      for (const { id, why, mend } of hazardsIn(await diagnoseXml(readFixture(`${file}.xml`)))) {
        expect(why, id).not.toBe("");
        expect(mend.pcs.length, `${file}: ${id}: pcs`).toBeGreaterThan(0);
        expect(mend.crmsh.length, `${file}: ${id}: crmsh`).toBeGreaterThan(0);
      }
    }
  });

  it("has a row in docs/doctor.md for every check", () => {
    const docs = readFileSync(join(import.meta.dirname, "../../docs/doctor.md"), "utf8");
    for (const { id, severity } of CHECKS) {
      expect(docs).toContain(`| \`${id}\`${severity === "error" ? " (error)" : ""} |`);
    }
  });

  it("has a row in this table for every file", () => {
    const files = readdirSync(FIXTURES).filter((name) => name.startsWith("hazard-"));
    expect(HAZARDS.map(({ file }) => `${file}.xml`).sort()).toEqual(files.sort());
  });
});

describe("a captured cluster with our recorder in the place of its test double", () => {
  const captured = (state: "healthy" | "failedAgain") =>
    withOurRecorder(readFileSync(join(captureOf(state), "cibadmin-Q-local.xml"), "utf8"));
  const commands = {
    ...METADATA,
    "crm_resource --show-metadata stonith:fence_gfs2lab": readFixture("fence_dummy.metadata.xml"),
  };

  it("is clean as it was documented, with the recorder second", async () => {
    const diagnosis = await diagnoseXml(captured("healthy"), commands);
    expect(verdictOf(diagnosis)).toBe("clean");
  });

  it("has the recorder first in the run that showed why it may not be", async () => {
    const diagnosis = await diagnoseXml(captured("failedAgain"), commands);
    expect(hazardsIn(diagnosis).map(({ id, object }) => [id, object])).toEqual([
      ["recorder-first", "level 1 of compute-node-2"],
    ]);
  });
});

describe("a documented deployment", () => {
  it.each(DEPLOYMENTS)("is clean: %s", async (file) => {
    const diagnosis = await diagnoseXml(readFixture(`${file}.xml`));
    expect(hazardsIn(diagnosis)).toEqual([]);
    expect(verdictOf(diagnosis)).toBe("clean");
    expect(diagnosis.unchecked).toEqual([]);
  });

  it("gets a note about the operations that pcs resource create leaves, which is no hazard", async () => {
    const diagnosis = await diagnoseXml(readFixture("note-resource-operations.xml"));
    expect(verdictOf(diagnosis)).toBe("clean");
    expect(diagnosis.findings[0]).toMatchObject({ id: "agent-kind", severity: "note", object: "gfs2-recorder" });
  });

  it("is told that only an alert knows outcomes, where there is none, without being called a hazard", async () => {
    const { findings } = await diagnoseXml(readFixture("deployment-topology.xml"));
    expect(findings.map(({ id, severity }) => [id, severity])).toEqual([["alert-missing", "note"]]);
  });
});

describe("what could not be looked at", () => {
  it("is named and is not clean: an agent whose metadata cannot be read", async () => {
    const commands = { ...METADATA, "crm_resource --show-metadata stonith:fence_dummy": "<resource-agent" };
    const diagnosis = await diagnoseXml(readFixture("deployment-topology.xml"), commands);
    expect(diagnosis.unchecked).toEqual([
      { id: "power-without-on", reason: expect.stringMatching(/^metadata of fence_dummy: .*not well-formed/) },
    ]);
    expect(diagnosis.passed).not.toContain("power-without-on");
    expect(verdictOf(diagnosis)).toBe("unchecked");
  });

  it("never hands a name that is no fence agent's to a program", async () => {
    const xml = readFixture("deployment-topology.xml").replaceAll('type="fence_dummy"', 'type="reboot"');
    const diagnosis = await diagnoseXml(xml, {});
    expect(diagnosis.unchecked).toEqual([
      { id: "power-without-on", reason: "metadata of reboot: not a fence agent's name" },
    ]);
  });
});

describe("a level and its target", () => {
  const own = (text: string) => readFixture("hazard-recorder-own-level-only.xml").replaceAll("compute-node-3", text);

  it("are quoted in commands, whatever the node is called", async () => {
    const [finding] = hazardsIn(await diagnoseXml(own("n'3; rm -rf x")));
    expect(finding?.mend.pcs[0]).toBe("pcs stonith level remove 1 target 'n'\\''3; rm -rf x'");
  });

  it("of role=gate are a fence device like others: its exit code is a responder's verdict", async () => {
    const gate = '<nvpair id="role" name="role" value="gate"/><nvpair id="gfs2-recorder-instance_attributes-pcmk';
    const xml = own("compute-node-3").replace('<nvpair id="gfs2-recorder-instance_attributes-pcmk', gate);
    expect(hazardsIn(await diagnoseXml(xml)).map(({ id }) => id)).toEqual(["alert-missing"]);
  });

  it("keep a rule on hostname where nodes really have such an attribute", async () => {
    const xml = readFixture("hazard-rule-hostname.xml").replace(
      '<node id="1" uname="rabbit-node-1"/>',
      '<node id="1" uname="rabbit-node-1"><instance_attributes id="n1"><nvpair id="n1-h" name="hostname" value="rabbit-node-1"/></instance_attributes></node>',
    );
    expect(hazardsIn(await diagnoseXml(xml))).toEqual([]);
  });

  it("get the rule opened in an editor where it cannot be written on a line", async () => {
    const xml = readFixture("hazard-rule-hostname.xml").replace(
      "</rule>",
      '<rule id="r2" boolean-op="or"><expression id="e2" attribute="rack" operation="eq" value="1"/></rule></rule>',
    );
    const [finding] = hazardsIn(await diagnoseXml(xml));
    expect(finding?.mend).toMatchObject({
      pcs: ["pcs cluster edit --scope=constraints"],
      crmsh: ["crm configure edit location-gfs2-recorder"],
    });
  });
});
