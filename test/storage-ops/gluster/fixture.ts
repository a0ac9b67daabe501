/** Answers of a real glusterd (test/fixtures/gluster), parsed, and put together to a pool. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { sshArgv } from "../../../src/core/ssh.ts";
import { parseXml, type XmlElement } from "../../../src/core/xml.ts";
import { blameArgv } from "../../../src/storage-ops/gluster/blame.ts";
import { type Pool, parseHeal, parsePeers, parseStatus, parseVolumes } from "../../../src/storage-ops/gluster/state.ts";

export const fixtureText = (name: string): string => plainText(`${name}.xml`);
export const plainText = (file: string): string =>
  readFileSync(join(import.meta.dirname, `../../fixtures/gluster/10.3-${file}`), "utf8");
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

/** What a peer answers when it is asked for shared_data as it has it. */
export const viewOf = <T = string>(peer: number, answer: T = fixtureText("volume-info") as T): Record<string, T> => {
  const argv = sshArgv(`10.77.0.${peer}`, ["gluster", "--mode=script", "--xml", "volume", "info", "shared_data"]);
  return { [argv.join(" ")]: answer };
};
export const sameViews = (): Record<string, string> => ({ ...viewOf(2), ...viewOf(3), ...viewOf(4) });

/** What the bricks of shared_data say themselves, none of which blames another. */
export function wholeBricks(): Record<string, string> {
  const [volume] = poolOf().volumes;
  const answers: Record<string, string> = {
    "gluster --mode=script system:: getspec shared_data": plainText("getspec.txt").replaceAll(
      "v-client",
      "shared_data-client",
    ),
  };
  for (const { path, host } of volume?.bricks ?? []) {
    const argv = blameArgv(path);
    const command = (host === "10.77.0.1" ? argv : sshArgv(host, argv)).join(" ");
    answers[command] = `# file: ${path}\ntrusted.glusterfs.volume-id=0x${volume?.id.replaceAll("-", "")}\n\n`;
  }
  return answers;
}
