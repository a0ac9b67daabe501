/** For doctor's tests: the checks run on a CIB file of fixtures/doctor, with no cluster and no machine. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseCib } from "../../src/discovery/cib.ts";
import { factsFrom } from "../../src/doctor/facts.ts";
import type { Finding } from "../../src/doctor/finding.ts";
import { type Diagnosis, diagnose } from "../../src/doctor/run.ts";
import { FakeHost } from "../fakes/fake-host.ts";

export const FIXTURES = join(import.meta.dirname, "../fixtures/doctor");
export const readFixture = (name: string): string => readFileSync(join(FIXTURES, name), "utf8");

/** Captured metadata of the fence agents that the fixtures name. */
export const METADATA = Object.fromEntries(
  ["fence_dummy", "fence_kdump"].map((agent) => [
    `crm_resource --show-metadata stonith:${agent}`,
    readFixture(`${agent}.metadata.xml`),
  ]),
);

/** What the configuration alone says. */
export const diagnoseXml = (xml: string, commands: Readonly<Record<string, string>> = METADATA): Promise<Diagnosis> => {
  const facts = factsFrom({ host: new FakeHost({ commands }), env: {}, readCib: async () => parseCib(xml) });
  return diagnose(facts, ({ about }) => about === "cluster");
};

export const hazardsIn = ({ findings }: Diagnosis): Finding[] => findings.filter(({ severity }) => severity !== "note");
