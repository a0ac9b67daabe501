/**
 * `fencepost node add|remove --service redis`: words → the cluster's state → a plan.
 * Errors: OpsError usage (addresses, TLS files), config and unsafe (password file), unsafe with every reason.
 */
import { OpsError } from "../../../core/errors.ts";
import type { Host } from "../../../core/host.ts";
import type { Plan } from "../../../core/plan.ts";
import { escapeControl } from "../../../core/text.ts";
import type { NodeCall, NodeService, NodeVerb } from "../../node/service.ts";
import { addressFrom, type Connection, DEFAULT_PORT, withSecrets } from "./connection.ts";
import { planAdd, planRemove } from "./plan.ts";
import { type Cluster, nodeAt, readCluster, readView } from "./state.ts";

const OPTIONS = {
  port: { describe: "the node's port", type: "number", default: DEFAULT_PORT, requiresArg: true },
  cluster: {
    describe: "a node that is in the cluster, IP or IP:PORT",
    type: "string",
    default: "127.0.0.1",
    requiresArg: true,
  },
  "password-file": {
    describe: "a file that only its owner may read, with the password in its first line (else $REDISCLI_AUTH)",
    type: "string",
    requiresArg: true,
  },
  user: { describe: "the ACL user (else Redis's default user)", type: "string", requiresArg: true },
  tls: { describe: "talk TLS to the nodes", type: "boolean" },
  cacert: { describe: "with --tls: file of the CA's certificate", type: "string", requiresArg: true },
  cert: { describe: "with --tls: file of our certificate", type: "string", requiresArg: true },
  key: { describe: "with --tls: file of our key", type: "string", requiresArg: true },
} as const satisfies NodeVerb["options"];

export const REDIS: NodeService = {
  add: {
    describe: "brings an empty node into a Redis cluster and gives it its part of the hash slots",
    options: OPTIONS,
    examples: [
      ["--ip 192.168.1.105", "a new master; 127.0.0.1 is in the cluster"],
      [
        "--ip 192.168.1.105 --port 7001 --cluster 192.168.1.101 --password-file /etc/redis/admin.pass",
        "from elsewhere",
      ],
    ],
    plan: (call) =>
      prepare(call, async ({ host, connection, cluster, addresses }) =>
        planAdd(
          cluster,
          await Promise.all(
            addresses.map((address) => {
              const known = nodeAt(cluster, address);
              const view = known && cluster.views.find(({ self }) => self.id === known.id);
              return view ?? readView(host, connection, address);
            }),
          ),
          connection,
        ),
      ),
  },
  remove: {
    describe: "moves a node's hash slots to the other masters, and takes it out of the Redis cluster once it has none",
    options: OPTIONS,
    examples: [["--ip 192.168.1.105", "a master or a replica; 127.0.0.1 is in the cluster"]],
    plan: (call) =>
      prepare(call, async ({ connection, cluster, addresses }) => planRemove(cluster, addresses, connection)),
    question: () => "⚠ The slots above are moved and the node is taken out of the cluster. Go on?",
  },
};

type Prepared = { host: Host; connection: Connection; cluster: Cluster; addresses: string[] };

async function prepare(call: NodeCall, plan: (prepared: Prepared) => Promise<Plan>): Promise<Plan> {
  const { args, hosts, called } = call;
  const connection = connectionFrom(args, called);
  const port = Number(args.port);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new OpsError("usage", `${called}: --port: not a port`, { hint: `${called} --help` });
  const addresses = hosts.map((ip) => addressFrom(ip, port));
  const host = await withSecrets(call.context.host, connection);
  const cluster = await readCluster(host, connection, [addressFrom(String(args.cluster))]);
  return plan({ host, connection, cluster, addresses });
}

function connectionFrom(args: NodeCall["args"], called: string): Connection {
  const cli = ["redis-cli"];
  const usage = (why: string): never => {
    throw new OpsError("usage", `${called}: ${why}`, { hint: `${called} --help` });
  };
  const file = (name: string): string => {
    const path = String(args[name]);
    return /^\/[^\p{Cc}]+$/u.test(path)
      ? path
      : usage(`--${name}: not an absolute path: ${escapeControl(path.slice(0, 200))}`);
  };
  if (args.tls === true) cli.push("--tls");
  for (const name of ["cacert", "cert", "key"] as const) {
    if (args[name] === undefined) continue;
    if (args.tls !== true) usage(`--${name} needs --tls`);
    cli.push(`--${name}`, file(name));
  }
  if (args.user !== undefined) {
    const user = String(args.user);
    if (!/^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,100}$/.test(user))
      usage(`--user: not a user's name: ${escapeControl(user.slice(0, 100))}`);
    cli.push("--user", user);
  }
  return { cli, passwordFile: args["password-file"] === undefined ? "" : file("password-file") };
}
