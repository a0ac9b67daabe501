/**
 * Real MariaDB Galera nodes in namespaces of this machine, with sshd between them.
 * Input:  startGalera(members, others): node1 … members are one cluster; the others after them have MariaDB installed, and
 *         no data and no configuration of a cluster.
 * Output: a Galera: the lab of gluster.ts, and SQL on a node.
 * Real:   mariadbd, Galera, its state transfer by rsync, ssh. Not real: systemd (galera/systemctl.sh says what it is).
 */
import { join } from "node:path";
import { addressOf, startGluster } from "./gluster.ts";

export const CLUSTER = "fencepost_lab";
export const MEMBER_FILE = "/etc/mysql/mariadb.conf.d/60-galera.cnf";
const INIT = join(import.meta.dirname, "galera/node-init.sh");

export type Galera = Awaited<ReturnType<typeof startGalera>>;

/** As an administrator writes it on a member. */
const memberFile = (node: string, members: readonly string[]): string =>
  `[galera]
wsrep_on                 = ON
wsrep_cluster_name       = "${CLUSTER}"
wsrep-cluster-address    = "gcomm://${members.map(addressOf).join(",")}"
wsrep_provider           = /usr/lib/galera/libgalera_smm.so
wsrep_provider_options   = "gcache.size=8M;gmcast.listen_addr=tcp://${addressOf(node)}:4567"
wsrep_node_address       = ${addressOf(node)}
wsrep_sst_method         = rsync
binlog_format            = row
default_storage_engine   = InnoDB
innodb_autoinc_lock_mode = 2
bind-address             = *
`;

export async function startGalera(members: number, others: number) {
  const lab = await startGluster(members + others, { init: INIT, isUp: ["systemctl", "show", "mariadb"] });
  try {
    const names = lab.names.slice(0, members);
    const sql = (node: string, words: string): Promise<string> =>
      lab.must(node, ["mariadb", "--no-defaults", "--batch", "--skip-column-names", "-e", words]);
    for (const name of names) {
      const file = memberFile(name, names);
      await lab.must(name, ["tee", MEMBER_FILE], { input: file });
    }
    const [first = "node1", ...rest] = names;
    await install(first);
    await lab.must(first, ["systemctl", "start", "mariadb"], {
      env: { _WSREP_NEW_CLUSTER: "--wsrep-new-cluster" },
      timeoutMs: 120_000,
    });
    // Nobody says that its data directory must be a fresh one: a state transfer fills an empty one.
    for (const name of rest) await lab.must(name, ["systemctl", "start", "mariadb"], { timeoutMs: 120_000 });
    return { ...lab, sql, install, emptied };

    /** What the package does when it is installed. */
    function install(node: string): Promise<string> {
      return lab.must(
        node,
        ["mariadb-install-db", "--user=mysql", "--skip-test-db", "--auth-root-authentication-method=socket"],
        { timeoutMs: 120_000 },
      );
    }
    /** What the operator does by hand with a former member's data. */
    async function emptied(node: string): Promise<void> {
      await lab.sh(node, "find /var/lib/mysql -mindepth 1 -delete");
    }
  } catch (error) {
    await lab.stop();
    throw error;
  }
}
