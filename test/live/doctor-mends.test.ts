/**
 * The commands that doctor prints, run by the real pcs and crmsh on the CIB file that has the hazard: afterwards it is gone.
 * They run in a mount namespace with the recorder's agents in place (fixtures/doctor/make.sh does the same).
 */
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { diagnoseXml, hazardsIn, readFixture } from "../doctor/diagnose.ts";
import { HAZARDS } from "../doctor/hazards.ts";
import { run } from "./cluster.ts";
import { EXECUTABLE, liveDescribe } from "./requirements.ts";

/** pcs with -f FILE; crmsh and what it calls follow CIB_file. */
const RUNNER = `#!/bin/bash
set -eu
directory=$1 cib=$2 line=$3
mkdir -p "$directory"/{mnt,agents}
mount -t tmpfs mends "$directory/mnt"
for layer in usr-sbin ocf; do mkdir "$directory/mnt/$layer" "$directory/mnt/$layer-work"; done
mount -t overlay -o "lowerdir=/usr/sbin,upperdir=$directory/mnt/usr-sbin,workdir=$directory/mnt/usr-sbin-work" mends /usr/sbin
mount -t overlay -o "lowerdir=/usr/lib/ocf/resource.d,upperdir=$directory/mnt/ocf,workdir=$directory/mnt/ocf-work" mends /usr/lib/ocf/resource.d
ln -sf "$directory/fencepost" /usr/sbin/fence_gfs2_recorder
mkdir -p /usr/lib/ocf/resource.d/fencepost
ln -sf "$directory/ocf-agent" /usr/lib/ocf/resource.d/fencepost/fence_gfs2_recorder
export CIB_file=$cib
pcs() { command pcs -f "$cib" "$@"; }
eval "$line"
`;
const OCF_AGENT = `#!/bin/sh
echo '<?xml version="1.0"?><resource-agent name="fence_gfs2_recorder" version="1"><version>1.1</version>
<longdesc lang="en">stand-in</longdesc><shortdesc lang="en">stand-in</shortdesc><parameters/><actions>
<action name="start" timeout="20s"/><action name="stop" timeout="20s"/><action name="monitor" timeout="20s" interval="60s"/>
<action name="meta-data" timeout="5s"/></actions></resource-agent>'
`;
/** crm_verify exits 78 for warnings too, and a file has no quorum to be without warnings. */
const VALID = `! crm_verify --xml-file "$cib" 2>&1 | grep 'Errors found'`;
/** What a command says of a name that only the administrator knows is not run. */
const PLACEHOLDER = "POWER_DEVICE";

const NEEDS = [
  "root",
  "namespaces",
  "overlayfs",
  "pcs",
  "crmsh",
  "pacemaker-cli",
  "fence_dummy",
  "executable",
] as const;

liveDescribe("the commands that doctor prints", NEEDS, () => {
  let directory = "";
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "fencepost-mends-"));
    writeFileSync(join(directory, "runner"), RUNNER, { mode: 0o755 });
    writeFileSync(join(directory, "ocf-agent"), OCF_AGENT, { mode: 0o755 });
    symlinkSync(EXECUTABLE, join(directory, "fencepost"));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  async function apply(cib: string, line: string): Promise<void> {
    const words = ["unshare", "--mount", "--propagation", "private", join(directory, "runner"), directory, cib, line];
    const { exitCode, stdout, stderr } = await run(words, { timeoutMs: 100_000 });
    expect({ exitCode, line, said: exitCode === 0 ? "" : stdout + stderr }).toEqual({ exitCode: 0, line, said: "" });
    // crmsh exits 0 for some commands that it could not carry out.
    expect(stdout + stderr, line).not.toMatch(/\bERROR\b/i);
  }

  it.each(HAZARDS.flatMap(({ file }) => (["pcs", "crmsh"] as const).map((tool) => ({ file, tool }))))(
    "mend it with $tool: $file",
    async ({ file, tool }) => {
      const xml = readFixture(`${file}.xml`);
      const found = hazardsIn(await diagnoseXml(xml));
      const cib = join(directory, `${file}-${tool}.xml`);
      writeFileSync(cib, xml);
      const lines = [...new Set(found.flatMap(({ mend }) => mend[tool]))];
      for (const line of lines) await apply(cib, line.replaceAll(PLACEHOLDER, "power-rabbit"));
      const left = hazardsIn(await diagnoseXml(readFileSync(cib, "utf8")));
      expect(left.map(({ id, what }) => `${id}: ${what}`)).toEqual([]);
      await apply(cib, VALID);
    },
  );
});
