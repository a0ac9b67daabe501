/** Answers of a real glusterd (test/fixtures/gluster), parsed, and put together to a pool. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseXml, type XmlElement } from "../../../src/core/xml.ts";
import { type Pool, parseHeal, parsePeers, parseStatus, parseVolumes } from "../../../src/storage-ops/gluster/state.ts";

export const fixtureText = (name: string): string =>
  readFileSync(join(import.meta.dirname, `../../fixtures/gluster/10.3-${name}.xml`), "utf8");
export const fixture = (name: string): XmlElement => parseXml(fixtureText(name), name);

/** shared_data, replica 3 on 10.77.0.1 to 3; 10.77.0.4 is a peer without a brick. */
export function poolOf({ status = "status", heal = "heal-summary", volumes = "volume-info" } = {}): Pool {
  return {
    peers: parsePeers(fixture("pool-list")),
    volumes: parseVolumes(fixture(volumes)),
    status: new Map(parseStatus(fixture(status)).map((one) => [one.volume, one])),
    heal: new Map([["shared_data", parseHeal(fixture(heal))]]),
  };
}
