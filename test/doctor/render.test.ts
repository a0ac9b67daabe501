/** doctor's text for people. */
import { describe, expect, it } from "vitest";
import { renderText } from "../../src/doctor/render.ts";
import { diagnoseXml, readFixture } from "./diagnose.ts";

const NARROW = { columns: 80, colour: false, isTerminal: true };

describe("the text for people", () => {
  it("shows the command for the whole topology once, and says where it was shown", async () => {
    const text = renderText(await diagnoseXml(readFixture("hazard-recorder-alone.xml")), NARROW, "x");
    expect(text.match(/\| crm configure/g)).toHaveLength(1);
    expect(text).toContain("  crmsh: as under recorder-alone compute-node-2\n");
  });

  it("has colour where the terminal takes it, and nowhere else", async () => {
    const diagnosis = await diagnoseXml(readFixture("hazard-recorder-first.xml"));
    expect(renderText(diagnosis, NARROW, "x")).not.toContain("\u001b[");
    expect(renderText(diagnosis, { ...NARROW, colour: true }, "x")).toContain("\u001b[33mwarning\u001b[39m");
  });

  it("says once why several checks could not run, and names each", () => {
    const unchecked = ["recorder-alone", "meta-env"].map((id) => ({ id, reason: "cibadmin: not there" }));
    const text = renderText({ findings: [], unchecked, passed: [], leftOut: [] }, NARROW, "not read");
    expect(text).toContain("not checked\n  recorder-alone, meta-env\n  cibadmin: not there\n");
    expect(text).toContain("unchecked: 0 errors, 0 warnings, 0 notes; 0 checks passed, 2 not checked");
  });

  it("lets no control character of a name through", async () => {
    const xml = readFixture("hazard-recorder-own-level-only.xml").replaceAll("compute-node-3", "node&#27;[2J");
    const bad = { ...(await diagnoseXml(readFixture("hazard-recorder-first.xml"))) };
    const [first] = bad.findings;
    if (!first) throw new Error("no finding");
    const evil = "node\u001b[2J";
    const finding = { ...first, object: evil, what: evil, mend: { ...first.mend, pcs: [evil] } };
    expect(renderText({ ...bad, findings: [finding] }, NARROW, evil)).not.toContain("\u001b");
    // XML itself has no such character: the file is refused.
    await expect(diagnoseXml(xml)).resolves.toMatchObject({ findings: [], passed: [] });
  });
});
