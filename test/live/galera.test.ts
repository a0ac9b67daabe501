/**
 * node add and node remove of MariaDB on real Galera nodes, the remote steps over ssh. systemctl is a stand-in that starts
 * and stops the real mariadbd, because there is no systemd in a namespace (galera/systemctl.sh).
 * The tests stand in the order of a cluster's life: each leaves a cluster that the next one takes on.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { CLUSTER, type Galera, MEMBER_FILE, startGalera } from "./galera.ts";
import { addressOf } from "./gluster.ts";
import { begin, killAtEachRecord, linesOf } from "./operation-journal.ts";
import { expectDone, expectRefused } from "./outcomes.ts";
import { GALERA_NEEDS, liveDescribe } from "./requirements.ts";

const FILE = "/etc/mysql/mariadb.conf.d/zz-fencepost-galera.cnf";
const gcomm = (...nodes: string[]): string => `gcomm://${nodes.map(addressOf).join(",")}`;

liveDescribe("MariaDB Galera nodes", GALERA_NEEDS, () => {
  let lab: Galera;
  const words = (verb: string, node: string): string =>
    `node ${verb} --service mariadb --ip ${addressOf(node)} --apply`;
  const status = async (node: string, name: string): Promise<string> =>
    (await lab.sql(node, `SHOW STATUS LIKE 'wsrep_${name}'`)).split("\t")[1]?.trim() ?? "";
  const configured = async (node: string): Promise<string> =>
    /--wsrep.cluster.address=(.*)/.exec(await lab.must(node, ["my_print_defaults", "--mysqld"]))?.[1] ?? "";
  /** These nodes are the whole cluster, find each other after a restart, and have the same rows. */
  async function expectCluster(...nodes: string[]): Promise<void> {
    for (const node of nodes) {
      const found = [await status(node, "cluster_size"), await status(node, "cluster_status")];
      expect([node, ...found, await status(node, "local_state_comment")]).toEqual([
        node,
        String(nodes.length),
        "Primary",
        "Synced",
      ]);
      expect([...(await configured(node)).matchAll(/[\d.]+/g)].map(String).sort()).toEqual(nodes.map(addressOf));
    }
    const sums = await Promise.all(
      nodes.map((node) => lab.sql(node, "SET SESSION wsrep_sync_wait=1; CHECKSUM TABLE app.rows, app.client")),
    );
    expect(new Set(sums)).toEqual(new Set([sums[0]]));
    expect(await lab.sql(nodes[0] ?? "", "SELECT COUNT(*), SUM(CRC32(body)) FROM app.rows")).toBe(rows);
  }
  let rows = "";

  /** A client that inserts one row after another on node1, and notes each that was acknowledged. */
  async function withClient<T>(work: () => Promise<T>): Promise<T> {
    await lab.sh("node1", "rm -f /run/client-stop /run/acknowledged; : >/run/acknowledged");
    const script = `for ((i = $(mariadb -Ne 'SELECT COALESCE(MAX(n), 0) + 1 FROM app.client'); ; i++)); do
      [ -e /run/client-stop ] && exit 0
      mariadb -e "INSERT INTO app.client VALUES ($i)" && echo $i >>/run/acknowledged
      sleep 0.02
    done`;
    const client = lab
      .must("node1", ["bash", "-c", script], { timeoutMs: 600_000 })
      .catch((error: unknown) => String(error));
    const acknowledged = async () => (await lab.sh("node1", "cat /run/acknowledged")).split("\n").filter(Boolean);
    await lab.waitFor("the first acknowledged row", async () => (await acknowledged()).length > 0);
    try {
      const result = await work();
      const before = (await acknowledged()).length;
      await lab.waitFor("a row after it", async () => (await acknowledged()).length > before);
      return result;
    } finally {
      await lab.sh("node1", ": >/run/client-stop");
      expect(await client).not.toMatch(/^Error/);
      const there = new Set(
        (await lab.sql("node2", "SET SESSION wsrep_sync_wait=1; SELECT n FROM app.client")).split("\n"),
      );
      expect((await acknowledged()).filter((n) => !there.has(n))).toEqual([]);
    }
  }

  beforeAll(async () => {
    lab = await startGalera(2, 2);
    await lab.sql(
      "node1",
      `CREATE DATABASE app; CREATE TABLE app.client (n BIGINT PRIMARY KEY);
       CREATE TABLE app.rows (id BIGINT PRIMARY KEY AUTO_INCREMENT, body VARCHAR(200)); USE app;
       INSERT INTO app.rows (body) SELECT CONCAT(seq, REPEAT('x', 150)) FROM seq_1_to_20000`,
    );
    rows = await lab.sql("node1", "SELECT COUNT(*), SUM(CRC32(body)) FROM app.rows");
    // As the package leaves it: installed, running, empty, in no cluster.
    await lab.install("node3");
    await lab.must("node3", ["systemctl", "start", "mariadb"]);
  });
  afterAll(() => lab?.stop());

  it("prints the source's instructions with this cluster's values where nothing is asked to be done", async () => {
    const add = expectDone(await lab.fencepost("node1", words("add", "node3").replace(" --apply", ""))).stdout;
    for (const line of [
      "ℹ MariaDB Galera cluster join requires:\n  1. On the new node (10.77.0.3):\n     - Install MariaDB\n",
      "     - Configure galera.cnf with wsrep_cluster_address\n",
      `          wsrep_cluster_address="${gcomm("node1", "node2", "node3")}"\n`,
      "     - Start MariaDB (will auto-join via SST)\n",
      "ℹ Current cluster size: 2\n",
    ])
      expect(add).toContain(line);
    const remove = expectDone(await lab.fencepost("node1", words("remove", "node2").replace(" --apply", ""))).stdout;
    for (const line of [
      "⚠ MariaDB Galera cluster removal requires:\n  1. On the node to remove (10.77.0.2):\n     - Stop MariaDB: systemctl stop mariadb\n",
      "  2. On remaining nodes (optional, for cleanup):\n     - UPDATE wsrep_cluster_address (remove 10.77.0.2)\n",
      "⚠ Minimum cluster size: 2 nodes (for quorum)\n",
    ])
      expect(remove).toContain(line);
    await expectCluster("node1", "node2");
  });

  it("adds a third node by the commands that the dry run shows, while a client inserts on another", async () => {
    const planned = JSON.parse(
      expectDone(await lab.fencepost("node1", `${words("add", "node3")} --dry-run --json`)).stdout,
    );
    await expectCluster("node1", "node2");
    expect((await lab.on("node3", ["stat", FILE])).exitCode).toBe(1);
    const ran = JSON.parse(
      expectDone(await withClient(() => lab.fencepost("node1", `${words("add", "node3")} --json`))).stdout,
    );
    const commands = ({ steps }: { steps: { command: string[] }[] }, journal: string) =>
      steps.map(({ command }) => command.join(" ").replace(/\(journal \S+\)/, journal));
    expect(commands(ran.plan, "")).toEqual(commands(planned.plan, ""));
    await expectCluster("node1", "node2", "node3");
    expect(await lab.must("node3", ["stat", "-c", "%a %U:%G", FILE])).toBe("640 root:mysql\n");
    expect(await lab.must("node1", ["cat", `${MEMBER_FILE}.before-fencepost`])).toContain(gcomm("node1", "node2"));
    expect(await status("node3", "local_state_uuid")).toBe(await status("node1", "local_state_uuid"));
    expect(await lab.sh("node1", "tail -1 /var/log/cluster_node_add.log")).toMatch(
      /\[SUCCESS\] ✓ Node 10\.77\.0\.3 added to cluster\n$/,
    );
  });

  it("refuses a node with data, of another cluster, that cannot be reached, or that is a member already", async () => {
    const add = (node: string) => lab.fencepost("node1", words("add", node));
    expectRefused(await add("node3"), /is a member already/);
    expectRefused(await add("node9"), /10\.77\.0\.9 could not be looked at/);
    await lab.sh("node4", "mkdir /var/lib/mysql/shop");
    expectRefused(await add("node4"), /\/var\/lib\/mysql is not empty \(shop\)/);
    // A data directory behind a link: what is there counts, not the link.
    const moved = "/etc/mysql/mariadb.conf.d/99-moved.cnf";
    await lab.sh(
      "node4",
      `mkdir -p /moved/shop; ln -s /moved /srv/mysql; printf '[mysqld]\\ndatadir=/srv/mysql\\n' >${moved}`,
    );
    expectRefused(await add("node4"), /\/srv\/mysql is not empty \(shop\)/);
    await lab.sh("node4", `rm -r ${moved} /srv/mysql /moved`);
    await lab.sh("node4", "rmdir /var/lib/mysql/shop; cp /etc/mysql/mariadb.conf.d/60-galera.cnf /root/");
    await lab.must("node4", ["tee", MEMBER_FILE], { input: "[galera]\nwsrep_cluster_address=gcomm://10.77.0.200\n" });
    expectRefused(await add("node4"), /names another cluster: gcomm:\/\/10\.77\.0\.200/);
    await lab.sh("node4", `mv /root/60-galera.cnf ${MEMBER_FILE}`);
    await expectCluster("node1", "node2", "node3");
  });

  it("carries no secret about: the members' wsrep_sst_auth is in no plan, and is asked for on the new node", async () => {
    const secret = "sst:geheim-7381";
    await lab.sql("node2", `SET GLOBAL wsrep_sst_auth='${secret}'`);
    const refused = await lab.fencepost("node1", words("add", "node4"));
    expectRefused(refused, /put it into a file in its configuration directory by hand/);
    await lab.must("node4", ["tee", "/etc/mysql/mariadb.conf.d/61-sst.cnf"], {
      input: `[mysqld]\nwsrep_sst_auth=${secret}\n`,
    });
    const plan = expectDone(await lab.fencepost("node1", `${words("add", "node4")} --dry-run --json`));
    expect(JSON.stringify([refused, plan])).not.toContain("geheim");
    await lab.sh("node4", "rm /etc/mysql/mariadb.conf.d/61-sst.cnf");
    await lab.sql("node2", "SET GLOBAL wsrep_sst_auth=''");
  });

  it("installs what is missing as a step of its own", async () => {
    await lab.sh("node4", "mv /usr/sbin/mariadbd /root/");
    const { plan } = JSON.parse(
      expectDone(await lab.fencepost("node1", `${words("add", "node4")} --dry-run --json`)).stdout,
    );
    expect(plan.steps[0]).toMatchObject({ id: "install", title: expect.stringContaining("mariadbd") });
    expect(plan.steps[0].command.at(-1)).toContain(
      "apt-get install -y --no-install-recommends mariadb-server galera-4 rsync",
    );
    await lab.sh("node4", "mv /root/mariadbd /usr/sbin/");
  });

  it("refuses to remove a node while one is desynchronised or has crashed", async () => {
    await lab.sql("node3", "SET GLOBAL wsrep_desync=ON");
    expectRefused(await lab.fencepost("node1", words("remove", "node3")), /10\.77\.0\.3 is Donor\/Desynced/);
    expectRefused(await lab.fencepost("node1", words("remove", "node2")), /10\.77\.0\.3 is Donor\/Desynced/);
    await lab.sql("node3", "SET GLOBAL wsrep_desync=OFF");
    await lab.sh("node3", "kill -9 $(cat /run/fake-systemd/pid)");
    expectRefused(await lab.fencepost("node1", words("remove", "node2")), /10\.77\.0\.3/);
    await lab.waitFor("the crashed node to be out", async () => (await status("node1", "cluster_size")) === "2");
    expectRefused(
      await lab.fencepost("node1", words("remove", "node2")),
      /10\.77\.0\.3 is in wsrep_cluster_address and not in the cluster/,
    );
    // One that is gone is taken out of the others' lists; there is nothing to stop.
    const gone = expectDone(await lab.fencepost("node1", `${words("remove", "node3")} --dry-run --json`));
    expect(JSON.parse(gone.stdout).plan.steps.map(({ id }: { id: string }) => id)).toEqual(
      ["node1", "node2"].map((node) => `address-${addressOf(node)}`),
    );
    await lab.must("node3", ["systemctl", "start", "mariadb"], { timeoutMs: 120_000 });
    await lab.waitFor("it to be back", async () => (await status("node1", "cluster_size")) === "3");
    await lab.waitFor("all to be Synced", async () => {
      const states = await Promise.all(["node1", "node2", "node3"].map((node) => status(node, "local_state_comment")));
      return states.every((state) => state === "Synced");
    });
  });

  it("removes a node wholly although it is killed after every record of its journal; below two it is refused", async () => {
    const { id, kills } = await withClient(() => killAtEachRecord(lab.operator("node1"), words("remove", "node3")));
    expect(kills).toEqual(expect.arrayContaining(["plan", "step leave started", "end done"]));
    await expectCluster("node1", "node2");
    expect((await lab.on("node3", ["pgrep", "-x", "mariadbd"])).exitCode).toBe(1);
    const left = linesOf(lab.operator("node1"), id).find(({ step, state }) => step === "leave" && state === "done");
    expect(left?.detail).toMatch(/grastate\.dat: uuid [0-9a-f-]+, seqno \d+, safe_to_bootstrap 0/);
    expectRefused(await lab.fencepost("node1", words("remove", "node2")), /below the minimum of 2 nodes/);
    expectRefused(await lab.fencepost("node1", words("remove", "node1")), /it is this node/);
    const single = expectDone(await lab.fencepost("node1", `${words("remove", "node2")} --allow-single --dry-run`));
    expect(single.stdout).toContain("one node is left");
    await expectCluster("node1", "node2");
    // What was removed has kept its data: taken back, it only gets what was written since.
    expectDone(await lab.fencepost("node1", `journal undo ${id}`, { timeoutMs: 120_000 }));
    await expectCluster("node1", "node2", "node3");
  });

  it("refuses a second operator on another node, says who is at work, and takes the lock of one that was killed", async () => {
    const lock = "/run/fencepost/galera-cluster.lock";
    const isHeld = async (node: string) => (await lab.on(node, ["flock", "-x", "-n", lock, "true"])).exitCode === 1;
    const isPlan = (record: string): boolean => record === "plan";
    const { id, pid, ended } = await begin(lab.operator("node1"), words("remove", "node3"), isPlan);
    await lab.on("node1", ["kill", "-STOP", String(pid)]);
    const second = await lab.fencepost("node2", words("remove", "node3"));
    expectRefused(second, /another operation is at work: .*"host":"node1"/);
    await lab.on("node1", ["kill", "-9", String(pid)]);
    await ended;
    // The lock is free when the dead one's connections are closed.
    await lab.waitFor("the lock to be free", async () => !(await isHeld("node2")));
    expectDone(await lab.fencepost("node1", `journal resume ${id}`));
    await expectCluster("node1", "node2");
    expect(await isHeld("node2")).toBe(false);
  });

  it("takes back an addition that was killed while the node joined: the node, its file and its address are gone", async () => {
    await lab.emptied("node3");
    const isStart = (record: string): boolean => record === "step start started";
    const { id, pid, ended } = await begin(lab.operator("node1"), words("add", "node3"), isStart);
    await lab.waitFor(
      "the node to be started",
      async () => (await lab.on("node3", ["pgrep", "-x", "mariadbd"])).exitCode === 0,
    );
    await lab.operator("node1").signal("KILL", pid);
    await ended;
    expectDone(await lab.fencepost("node1", `journal undo ${id}`));
    await lab.waitFor("the others to be two", async () => (await status("node1", "cluster_size")) === "2");
    await lab.waitFor("the donor to be Synced", async () => {
      const states = await Promise.all(["node1", "node2"].map((node) => status(node, "local_state_comment")));
      return states.every((state) => state === "Synced");
    });
    await expectCluster("node1", "node2");
    expect((await lab.on("node3", ["stat", FILE])).exitCode).toBe(1);
    expect((await lab.on("node3", ["pgrep", "-x", "mariadbd"])).exitCode).toBe(1);
  });

  it("adds a node once although it is killed after every record of its journal", async () => {
    await lab.emptied("node3");
    const { id, kills } = await withClient(() => killAtEachRecord(lab.operator("node1"), words("add", "node3")));
    expect(kills).toEqual(expect.arrayContaining(["plan", "step start started", "end done"]));
    await expectCluster("node1", "node2", "node3");
    expect(await status("node3", "cluster_state_uuid")).toBe(await status("node1", "cluster_state_uuid"));
    expect(await lab.sql("node3", "SELECT @@wsrep_cluster_name")).toBe(`${CLUSTER}\n`);
    expect((await lab.fencepost("node1", `journal resume ${id}`)).exitCode).toBe(64);
  });
});
