import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { ProgramContext } from "../../../../src/core/program.ts";
import { sshArgv } from "../../../../src/core/ssh.ts";
import { isInstructions, type NodeCall } from "../../../../src/storage-ops/node/service.ts";
import {
  applyEdits,
  checkName,
  controllersOf,
  type Edit,
  hashOf,
  isConfigless,
  linesWith,
  parseConf,
  sedWords,
  settingOf,
  withValue,
} from "../../../../src/storage-ops/services/slurm/conf.ts";
import { SLURM } from "../../../../src/storage-ops/services/slurm/node.ts";
import { planAdd, planRemove } from "../../../../src/storage-ops/services/slurm/plan.ts";
import { onHost, parseNodes } from "../../../../src/storage-ops/services/slurm/state.ts";
import { exits, type FakeAnswer, type FakeTables, fakeHost } from "../../../fakes/fake-host.ts";

const TEXT = `# NodeName=old
SlurmctldHost=c1(10.0.0.1) # first
slurmctldhost=c2
SlurmctldParameters=idle_on_node_suspend,enable_configless
NodeName=n[1-3] CPUs=4 State=UNKNOWN   # three
  partitionname=debug  nodes=n[1-3] Default=YES # all
`;
const conf = parseConf("/etc/slurm/slurm.conf", TEXT);

describe("slurm.conf", () => {
  it("finds lines by key in any case, and none in comments", () => {
    expect(linesWith(conf, "nodename").map(({ at }) => at)).toEqual([5]);
    expect(controllersOf(conf).map(({ name, address }) => [name, address])).toEqual([
      ["c1", "10.0.0.1"],
      ["c2", "c2"],
    ]);
    expect([isConfigless(conf), settingOf(conf, "slurmctldport")]).toEqual([true, undefined]);
  });

  it("changes one value and leaves spaces, case and comment", () => {
    const [line] = linesWith(conf, "partitionname");
    expect(line && withValue(line, "nodes", "n[1-2]")).toBe("  partitionname=debug  nodes=n[1-2] Default=YES # all");
  });

  it.each(["NodeName=a \\\nCPUs=1\n", "NodeName=a", "", "# Include x\ninclude\t/etc/slurm/partitions.conf\n"])(
    "refuses what cannot be edited line by line: %j",
    (text) => {
      expect(() => parseConf("f", text)).toThrow(expect.objectContaining({ kind: "unsupported" }));
    },
  );

  it.each(["n[1-3]", "-n", "n 1", "a,b", "n;id", "", "ALL=1"])("refuses the name '%s'", (name) => {
    expect(() => checkName(name, "--name")).toThrow(expect.objectContaining({ kind: "usage" }));
  });

  it("foresees to the byte what sed makes of the file", () => {
    const edits: Edit[] = [
      { at: 5, how: "after", text: "NodeName=n4 NodeAddr=10.0.0.4 Gres=gpu:a(S:0) State=UNKNOWN" },
      { at: 6, how: "change", text: "  partitionname=debug  nodes=n[1-3],n4 Default=YES # all & more / $" },
      { at: 1, how: "delete", text: "" },
    ];
    const directory = mkdtempSync(join(tmpdir(), "fencepost-slurm-"));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    const file = join(directory, "slurm.conf");
    writeFileSync(file, TEXT);
    expect(spawnSync("sed", ["--in-place=.old", "--follow-symlinks", ...sedWords(edits), file]).status).toBe(0);
    expect(readFileSync(file, "utf8")).toBe(applyEdits(conf, edits));
    expect(readFileSync(`${file}.old`, "utf8")).toBe(TEXT);
    expect(() => sedWords([{ at: 1, how: "change", text: "a\\b" }])).toThrow(/backslash/);
  });
});

describe("slurmctld's nodes", () => {
  it("reads state, what is added to it, and the reason", () => {
    const lines = [
      "NodeName=n1 Arch=x86_64 NodeAddr=10.0.0.1 NodeHostName=h1 State=IDLE+DRAIN ThreadsPerCore=1 Reason=bad disk [root@2026-11-21T10:00:00]",
      "NodeName=n2 NodeAddr=10.0.0.2 NodeHostName=h2 State=DOWN* ThreadsPerCore=1",
    ];
    expect(parseNodes(lines.join("\n"))).toEqual([
      { name: "n1", address: "10.0.0.1", hostname: "h1", state: ["IDLE", "DRAIN"], reason: "bad disk" },
      { name: "n2", address: "10.0.0.2", hostname: "h2", state: ["DOWN", "NOT_RESPONDING"], reason: "" },
    ]);
  });
});

describe("planning", () => {
  const copies = [
    { name: "c1", where: "", isController: true, isNode: false },
    { name: "c2", where: "10.0.0.2", isController: true, isNode: false },
    { name: "n1", where: "10.0.0.11", isController: false, isNode: true },
  ];
  const edits: Edit[] = [{ at: 5, how: "after", text: "NodeName=n4" }];
  const change = { id: "x", conf, edits, copies };
  const node = { name: "n4", where: "10.0.0.4", isController: false, isNode: true };

  it("changes every copy, this one first, then restarts the primary, the backup, the nodes and the new one", () => {
    const { steps } = planAdd(change, { ...node, isConfigless: false }, []);
    expect(steps.map(({ id }) => id)).toEqual([
      "conf-c1",
      "conf-c2",
      "conf-n1",
      "copy-n4",
      "slurmctld-c1",
      "slurmctld-c2",
      "slurmd-n1",
      "online-n4",
    ]);
    expect(steps[0]?.argv).toEqual([
      "sed",
      "--in-place=.fencepost-x",
      "--follow-symlinks",
      "-e",
      "5a\\NodeName=n4",
      conf.file,
    ]);
    expect(steps[1]?.argv[0]).toBe("ssh");
    expect(planAdd(change, { ...node, isConfigless: true }, []).steps.map(({ id }) => id)).not.toContain("copy-n4");
  });

  it("drains first, and stops slurmd only where the host answers", () => {
    const ids = (answers: boolean) => planRemove(change, { ...node, answers }, []).steps.map(({ id }) => id);
    expect(ids(true).slice(0, 3)).toEqual(["drain-n4", "stop-n4", "conf-c1"]);
    expect(ids(false).slice(0, 2)).toEqual(["drain-n4", "conf-c1"]);
    const edit = planRemove(change, { ...node, answers: true }, []).steps.find(({ id }) => id === "conf-c1");
    expect(edit?.data.isDrained).toBe(true);
  });
});

describe("from words to a plan", () => {
  const FILE = "/etc/slurm/slurm.conf";
  const BASE = "SlurmctldHost=c1\nNodeName=n[1-2,10] CPUs=4\nPartitionName=debug Nodes=ALL\n";
  const nodeLine = (number: number) =>
    `NodeName=n${number} NodeAddr=10.0.0.${number} NodeHostName=n${number} State=IDLE\n`;
  const hostnames = (list: string) => `scontrol show hostnames ${list}`;
  const callFor = (text: string, args: NodeCall["args"] = {}, commands: FakeTables["commands"] = {}): NodeCall => {
    const hashed = (where: string) => onHost(where, ["sha256sum", FILE]).join(" ");
    const host = fakeHost({
      hostname: "c1",
      commands: {
        [`cat -- ${FILE}`]: text,
        "scontrol -o show node": [1, 2, 10].map(nodeLine).join(""),
        "scontrol -o show reservation": "No reservations in the system\n",
        "scontrol show hostlistsorted n2,n10": "n[2,10]\n",
        [hostnames("n[1-2,10]")]: "n1\nn2\nn10\n",
        [hostnames("n[1-4]")]: "n1\nn2\nn3\nn4\n",
        [hostnames("n[2,10]")]: "n2\nn10\n",
        [hostnames("n10")]: "n10\n",
        [hostnames("f1")]: "f1\n",
        ...Object.fromEntries(
          ["", "10.0.0.2", "10.0.0.10"].map((where) => [hashed(where), `${hashOf(text)}  ${FILE}\n`]),
        ),
        [sshArgv("10.0.0.1", ["true"]).join(" ")]: "",
        ...commands,
      },
    });
    const context: ProgramContext = {
      host,
      env: {},
      out: async () => {},
      err: () => {},
      stdin: async function* () {},
      terminal: { columns: 80, colour: false, isTerminal: false },
    };
    return { context, hosts: ["10.0.0.1"], args: { conf: FILE, ...args }, id: "x", called: "fencepost node" };
  };
  const remove = (line: string) => SLURM.remove.plan(callFor(`${BASE}${line}\n`));

  it.each(["NodeSet=ns1 Nodes=n[1-4]", 'DownNodes="n[1-4]" State=DOWN', "nodeset=a nodes=n[1-2,10]"])(
    "refuses to remove a node that another line names in a range: %s",
    async (line) => {
      await expect(remove(line)).rejects.toMatchObject({
        kind: "unsafe",
        message: expect.stringContaining("line 4 names it too"),
      });
    },
  );

  it.each(["DownNodes=n10 State=DOWN", "NodeSet=ns1 Feature=gpu", "NodeSet=a Nodes=n[2,10]", "FrontendName=f1"])(
    "removes it where lines name only others: %s",
    async (line) => expect(await remove(line)).toMatchObject({ operation: "slurm.node-remove" }),
  );

  it("changes the copy of --also where the nodes have none", async () => {
    const text = `${BASE}SlurmctldParameters=enable_configless\n`;
    const there = { [onHost("login1", ["sha256sum", FILE]).join(" ")]: `${hashOf(text)}  ${FILE}\n` };
    const plan = await SLURM.remove.plan(callFor(text, { also: ["login1"] }, there));
    const ids = isInstructions(plan) ? [] : plan.steps.map(({ id }) => id);
    expect(ids).toEqual(["drain-n1", "stop-n1", "conf-c1", "conf-login1", "slurmctld-c1"]);
  });

  it.each([{ partition: "debug" }, { name: "c2" }])("refuses words for a node with --controller: %j", async (args) => {
    const call = callFor(BASE, { ...args, controller: true });
    await expect(SLURM.add.plan(call)).rejects.toMatchObject({ kind: "usage" });
    expect(call.context.host).toMatchObject({ calls: [] });
  });

  it("adds a controller only where slurmctld is installed, and tells the words that take it out", async () => {
    const ssh = (...words: [string, ...string[]]) => sshArgv("10.0.0.1", words).join(" ");
    const stat = ["stat", "-L", "-c", "%i %s %Y", "--", "/var/spool/clustername"] as const;
    const add = (unit: FakeAnswer) =>
      SLURM.add.plan(
        callFor(
          BASE,
          { controller: true },
          {
            [ssh("hostname", "-s")]: "c2\n",
            [onHost("10.0.0.1", ["sha256sum", FILE]).join(" ")]: `${hashOf(BASE)}  ${FILE}\n`,
            [ssh("munge", "--no-input")]: "MUNGE:x\n",
            unmunge: "STATUS:          Success (0)\n",
            [stat.join(" ")]: "1 2 3\n",
            [ssh(...stat)]: "1 2 3\n",
            [ssh("systemctl", "show", "--property=LoadState", "slurmctld")]: unit,
          },
        ),
      );
    const plan = await add("LoadState=loaded\n");
    expect(isInstructions(plan) ? [] : plan.steps.map(({ undo }) => undo)).toContainEqual({
      impossible: "fencepost node remove --service slurm --controller takes it out",
    });
    await expect(add("LoadState=not-found\n")).rejects.toMatchObject({
      kind: "unsafe",
      message: expect.stringContaining("10.0.0.1: its slurmctld.service is not-found"),
    });
    await expect(add(exits(1, "not booted with systemd"))).rejects.toMatchObject({ kind: "unsafe" });
  });
});
