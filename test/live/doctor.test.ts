/** doctor on a real cluster: clean where it is safe, by name and exit code where pcs has made it unsafe, and mended by its word. */
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { type Cluster, levelXml, startCluster } from "./cluster.ts";
import { CLUSTER_NEEDS, liveDescribe } from "./requirements.ts";

/** The bench's nodes have no systemd, no time daemon and no syslog: what needs those is left out here, by name. */
const NOT_ON_THE_BENCH = "timer,clock,health";

const SAFE = ["node1", "node2", "node3"].map((node) => levelXml(node, [`power-${node}`, "recorder"])).join("");

type Report = {
  verdict: string;
  configuration: string;
  findings: { id: string; severity: string; object: string; mend: Record<"pcs" | "crmsh", string[]> }[];
  unchecked: { id: string; reason: string }[];
  passed: string[];
};

liveDescribe("doctor on a real Pacemaker cluster", [...CLUSTER_NEEDS, "crmsh"], () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster({ nodes: 3 });
    await cluster.must("node1", ["mkdir", "-p", "/var/log/crmsh"]); // its package makes it; the bench has an empty /var/log
  });
  afterAll(() => cluster?.stop());
  beforeEach(() => cluster.configure("fencing-topology", `<fencing-topology>${SAFE}</fencing-topology>`));

  const doctor = async (node = "node1"): Promise<{ exitCode: number | null; report: Report }> => {
    const argv = ["/usr/bin/fencepost", "doctor", "--json", "--skip", NOT_ON_THE_BENCH];
    const { exitCode, stdout, stderr } = await cluster.on(node, argv, { timeoutMs: 60_000 });
    expect(stderr).toBe("");
    return { exitCode, report: JSON.parse(stdout) as Report };
  };
  const hazards = ({ findings }: Report) =>
    findings.filter(({ severity }) => severity !== "note").map(({ id, object }) => [id, object]);
  const pcs = (...words: string[]) => cluster.must("node1", ["pcs", ...words], { timeoutMs: 60_000 });
  /** Every node's own copy has the change. */
  const inStep = () =>
    cluster.waitFor("all nodes have the same configuration", async () => {
      const copies = await Promise.all(
        cluster.names.map((node) => cluster.must(node, ["cibadmin", "-Q", "-l", "-o", "fencing-topology"])),
      );
      return copies.every((copy) => copy === copies[0]);
    });

  it("finds a safe cluster clean, on every node", async () => {
    for (const node of cluster.names) {
      const { exitCode, report } = await doctor(node);
      expect(hazards(report)).toEqual([]);
      expect(report.unchecked).toEqual([]);
      expect(report).toMatchObject({ verdict: "clean", configuration: "running cluster" });
      expect(report.passed).toEqual(expect.arrayContaining(["recorder-alone", "power-without-on", "sources"]));
      expect(exitCode).toBe(0);
    }
  });

  it.each(["pcs", "crmsh"] as const)(
    "says by name that a recorder alone could fence, after pcs made it so, and %s mends it as printed",
    async (tool) => {
      await pcs("stonith", "level", "remove", "1", "target", "node3");
      await pcs("stonith", "level", "add", "1", "node3", "recorder");
      await inStep();
      const { exitCode, report } = await doctor("node2");
      expect(exitCode).toBe(107);
      expect(report.verdict).toBe("unsafe");
      expect(hazards(report)).toEqual([
        ["recorder-alone", "node3"],
        ["recorder-own-level", "level 1 of node3"],
      ]);
      for (const line of report.findings[0]?.mend[tool] ?? []) {
        await cluster.must("node1", ["sh", "-euc", line], { timeoutMs: 100_000, env: { HOME: "/root", TERM: "dumb" } });
      }
      await inStep();
      const mended = await doctor("node2");
      expect(hazards(mended.report)).toEqual([]);
      expect(mended.exitCode).toBe(0);
      expect(await cluster.must("node1", ["cibadmin", "-Q", "-o", "fencing-topology"])).toMatch(
        /devices="power-node3,recorder" target="node3"|target="node3" index="1" devices="power-node3,recorder"/,
      );
    },
  );

  it("says by exit code that nothing but a recorder is left of a node without a topology", async () => {
    await pcs("stonith", "level", "clear", "target", "node2");
    await inStep();
    const { exitCode, report } = await doctor();
    expect(exitCode).toBe(107);
    expect(hazards(report)).toEqual([["recorder-alone", "node2"]]);
    await cluster.must("node1", ["sh", "-euc", report.findings[0]?.mend.pcs.join("\n") ?? "false"], {
      timeoutMs: 60_000,
    });
    await inStep();
    expect((await doctor()).exitCode).toBe(0);
  });
});
