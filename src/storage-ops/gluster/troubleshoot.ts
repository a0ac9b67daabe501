/**
 * The troubleshooting sections of the source's document as checks: each with a verdict, what it was seen by, and one next
 * step. Pure: facts in, checks out. What could not be asked is `unknown`, and never `ok`.
 */
import type { BrickSpace } from "./capacity.ts";
import { healthOf } from "./health.ts";
import type { Mounted } from "./mount-table.ts";
import type { SetupConfig } from "./setup/config.ts";
import type { Site } from "./site.ts";
import { heals, type Pool, type Volume } from "./state.ts";
import type { View } from "./views.ts";

export type Verdict = "ok" | "warn" | "fail" | "unknown";
export type Check = { id: string; object: string; verdict: Verdict; evidence: string; next: string | null };

export type Answer = { ok: boolean | "unknown"; text: string };
export type Firewall = { name: string; active: boolean | "unknown"; opensGluster: boolean; text: string };
export type Facts = {
  /** The pool, or why it could not be read. */
  pool: Pool | string;
  /** Volumes that this node's disk knows, for when glusterd does not answer. */
  volumesOnDisk: readonly string[];
  atBoot: Answer;
  /** By the peer's first name, of those that are not connected: does its glusterd answer us on port 24007? */
  reached: ReadonlyMap<string, Answer>;
  firewalls: readonly Firewall[];
  mounts: readonly (Mounted & { answers: Answer })[];
  config: { config: SetupConfig; own: readonly string[] } | undefined;
  spaces: ReadonlyMap<string, BrickSpace> | string;
  /** Of bricks that are down. */
  sites: ReadonlyMap<string, Site>;
  /** By node: how far its clock is ahead of this node's. */
  skews: ReadonlyMap<string, number | undefined>;
  /** Each volume as each connected peer has it. */
  views: readonly View[];
};

const FEW = 0.1;
const FEWEST = 0.03;
const MAX_SKEW_SECONDS = 1;

export function checksOf(facts: Facts): Check[] {
  return [
    ...daemonChecks(facts),
    ...peerChecks(facts),
    ...firewallChecks(facts),
    ...configChecks(facts),
    ...(typeof facts.pool === "string"
      ? facts.volumesOnDisk.map((name) =>
          check("volume", `volume ${name}`, "unknown", "glusterd does not answer", "systemctl start glusterd"),
        )
      : facts.pool.volumes.flatMap((volume) => volumeChecks(facts, facts.pool as Pool, volume))),
    ...viewChecks(facts),
    ...clockChecks(facts),
  ];
}

const check = (id: string, object: string, verdict: Verdict, evidence: string, next: string | null = null): Check => ({
  id,
  object,
  verdict,
  evidence,
  next: verdict === "ok" ? null : next,
});

function daemonChecks({ pool, atBoot }: Facts): Check[] {
  const running =
    typeof pool !== "string"
      ? check("glusterd", "this node", "ok", "gluster pool list answers")
      : /another transaction|locking failed|lock is held/i.test(pool)
        ? check(
            "glusterd",
            "this node",
            "warn",
            pool,
            "wait for the other command, or look for it on the node that is named",
          )
        : check(
            "glusterd",
            "this node",
            /timed out/i.test(pool) ? "unknown" : "fail",
            pool,
            "systemctl start glusterd; /var/log/glusterfs/glusterd.log",
          );
  const boot = check(
    "glusterd-at-boot",
    "this node",
    atBoot.ok === "unknown" ? "unknown" : atBoot.ok ? "ok" : "warn",
    atBoot.text,
    "systemctl enable glusterd",
  );
  return [running, boot];
}

function peerChecks({ pool, reached }: Facts): Check[] {
  if (typeof pool === "string")
    return [check("peers", "the pool", "unknown", "glusterd does not answer", "systemctl start glusterd")];
  const checks = pool.peers
    .filter(({ isLocal }) => !isLocal)
    .map(({ hostnames: [name = ""], connected, state }): Check => {
      const object = `peer ${name}`;
      if (connected && state === "Peer in Cluster") return check("peer", object, "ok", "connected, in the cluster");
      if (connected)
        return check(
          "peer",
          object,
          "fail",
          state,
          `gluster peer status, on ${name} too; /var/log/glusterfs/glusterd.log`,
        );
      const answer = reached.get(name);
      if (answer?.ok === true)
        return check(
          "peer",
          object,
          "fail",
          `not connected, but its glusterd answers on port 24007: ${answer.text}`,
          `systemctl restart glusterd, on this node and then on ${name}`,
        );
      return check(
        "peer",
        object,
        "fail",
        `not connected; port 24007: ${answer?.text ?? "not asked"}`,
        `ssh ${name} systemctl start glusterd; else its firewall: ports 24007, 24008, 49152 and up`,
      );
    });
  const { quorum } = healthOf(pool);
  const text = `${quorum.connected} of ${quorum.of} peers connected`;
  return [
    ...checks,
    check(
      "quorum",
      "the pool",
      quorum.hasQuorum ? "ok" : "fail",
      text,
      "bring the other nodes back before anything is changed",
    ),
  ];
}

function firewallChecks({ pool, firewalls }: Facts): Check[] {
  const isWhole = typeof pool !== "string" && pool.peers.length > 1 && pool.peers.every(({ connected }) => connected);
  const active = firewalls.filter((one) => one.active !== false);
  if (active.length === 0)
    return [
      isWhole
        ? check("firewall", "this node", "ok", "no firewalld and no ufw is active, and every peer is connected")
        : check(
            "firewall",
            "this node",
            "unknown",
            "no firewalld and no ufw is active; other rules were not looked at",
            "nft list ruleset",
          ),
    ];
  return active.map(({ name, active: isActive, opensGluster, text }) => {
    if (isActive === "unknown")
      return check("firewall", name, "unknown", text, `${name === "ufw" ? "ufw status" : "firewall-cmd --list-all"}`);
    const open =
      name === "ufw"
        ? "ufw allow proto tcp from PEER to any port 24007,24008,49152:60999"
        : "firewall-cmd --permanent --add-service=glusterfs && firewall-cmd --reload";
    return check(
      "firewall",
      name,
      opensGluster ? "ok" : "warn",
      opensGluster ? "it lets GlusterFS through" : `active, and it does not name GlusterFS's ports: ${text}`,
      open,
    );
  });
}

function configChecks({ config }: Facts): Check[] {
  if (config === undefined) return [];
  const { controllers, path } = config.config;
  const self = controllers.find(
    ({ address, hostname }) => config.own.includes(address) || config.own.includes(hostname),
  );
  const file = `configuration ${path}`;
  return [
    self
      ? check("controller", file, "ok", `this node is ${self.hostname} (${self.address})`)
      : check(
          "controller",
          file,
          "fail",
          `this node has ${config.own.join(", ")}; the file names ${controllers.map(({ address }) => address).join(", ")}`,
          `correct nodes.controllers[].ip_address in ${path}`,
        ),
  ];
}

function volumeChecks(facts: Facts, pool: Pool, volume: Volume): Check[] {
  const { name } = volume;
  const object = `volume ${name}`;
  if (!volume.isStarted) return [check("started", object, "fail", "it is stopped", `gluster volume start ${name}`)];
  const checks = [check("started", object, "ok", "it is started"), ...brickChecks(facts, pool, volume)];
  const mounted = facts.mounts.filter(({ source, type }) => type === "fuse.glusterfs" && source.endsWith(`:/${name}`));
  if (mounted.length === 0)
    checks.push(
      check("mounted", object, "warn", "not mounted on this node", `fencepost gluster mount ${name} /mnt/${name}`),
    );
  for (const { point, answers } of mounted) {
    const verdict = answers.ok === true ? "ok" : answers.ok === false ? "fail" : "unknown";
    checks.push(check("mounted", object, verdict, `${point}: ${answers.text}`, `umount -l ${point} && mount ${point}`));
  }
  return [...checks, ...healChecks(pool, volume), ...spaceChecks(facts, volume)];
}

function brickChecks({ sites }: Facts, pool: Pool, volume: Volume): Check[] {
  const status = pool.status.get(volume.name);
  const log = (path: string): string => `/var/log/glusterfs/bricks/${path.slice(1).replaceAll("/", "-")}.log`;
  return volume.bricks.map(({ name, host, path }) => {
    const online = status?.bricksOnline.get(name);
    const object = `brick ${name}`;
    if (online === true) return check("brick", object, "ok", "online");
    if (online === undefined)
      return check(
        "brick",
        object,
        "unknown",
        "volume status does not tell of it",
        `systemctl status glusterd, on ${host}`,
      );
    const site = sites.get(name);
    if (site?.mount?.target === "/" || site?.content === "absent")
      return check(
        "brick",
        object,
        "fail",
        `down; ${site.content === "absent" ? "its directory is not there" : "its directory is on the root filesystem"}`,
        `mount its disk on ${host}, then gluster volume start ${volume.name} force`,
      );
    return check(
      "brick",
      object,
      "fail",
      `down${site?.problem ? `; ${site.problem}` : ""}; ${host}: ${log(path)}`,
      `gluster volume start ${volume.name} force`,
    );
  });
}

function healChecks(pool: Pool, volume: Volume): Check[] {
  if (!heals(volume)) return [];
  const object = `volume ${volume.name}`;
  const [health] = healthOf({ ...pool, volumes: [volume] }).volumes;
  const { pending = "unknown", splitBrain = "unknown" } = health ?? {};
  const status = pool.status.get(volume.name);
  const daemons = status ? `${status.selfHealDaemonsOnline} of ${status.selfHealDaemons} run` : "not told of";
  const told = pool.heal.get(volume.name);
  const why = typeof told === "string" ? told : "a brick gives no number";
  const next = `fencepost gluster heal ${volume.name} --info`;
  return [
    splitBrain === "unknown"
      ? check("split-brain", object, "unknown", why, next)
      : check(
          "split-brain",
          object,
          splitBrain === 0 ? "ok" : "fail",
          `${splitBrain} entries`,
          `fencepost gluster split-brain ${volume.name} (a heal does not resolve it)`,
        ),
    pending === "unknown"
      ? check("heal", object, "unknown", why, next)
      : check(
          "heal",
          object,
          pending === 0 ? "ok" : "warn",
          `${pending} entries to heal`,
          `fencepost gluster heal ${volume.name}`,
        ),
    check(
      "self-heal-daemon",
      object,
      status === undefined || status.selfHealDaemons === 0
        ? "unknown"
        : status.selfHealDaemonsOnline < status.selfHealDaemons
          ? "fail"
          : "ok",
      daemons,
      `gluster volume get ${volume.name} cluster.self-heal-daemon; gluster volume start ${volume.name} force`,
    ),
  ];
}

function spaceChecks({ spaces }: Facts, volume: Volume): Check[] {
  return volume.bricks.map(({ name, host, path }) => {
    const object = `brick ${name}`;
    const next = `df -h ${path}; df -i ${path}, on ${host}`;
    const space = typeof spaces === "string" ? undefined : spaces.get(name);
    if (space === undefined)
      return check(
        "space",
        object,
        "unknown",
        typeof spaces === "string" ? spaces : "it does not tell how full it is",
        next,
      );
    const parts = [space.freeBytes / space.sizeBytes];
    if (space.inodes !== undefined) parts.push((space.freeInodes ?? 0) / space.inodes);
    const least = Math.min(...parts);
    const [bytes = 0, inodes] = parts.map((part) => Math.floor(part * 100));
    const evidence = `${bytes} % of its bytes${inodes === undefined ? "" : `, ${inodes} % of its inodes`} are free`;
    return check("space", object, least < FEWEST ? "fail" : least < FEW ? "warn" : "ok", evidence, next);
  });
}

/** A node that missed a change of bricks says of itself that it is connected, and nothing else in gluster tells of it. */
function viewChecks({ views }: Facts): Check[] {
  return views.map(({ peer, volume, state, detail }) =>
    check(
      "same-volume",
      `peer ${peer}, volume ${volume}`,
      state === "same" ? "ok" : state === "other" ? "fail" : "unknown",
      detail,
      state === "other" ? `systemctl restart glusterd, on ${peer}` : `ssh ${peer} gluster volume info ${volume}`,
    ),
  );
}

function clockChecks({ skews }: Facts): Check[] {
  return [...skews].map(([node, skew]) =>
    skew === undefined
      ? check("clock", `node ${node}`, "unknown", "it could not be asked by ssh", `ssh ${node} date`)
      : check(
          "clock",
          `node ${node}`,
          Math.abs(skew) > MAX_SKEW_SECONDS ? "warn" : "ok",
          `${skew.toFixed(1)} s from this node's`,
          `ssh ${node} timedatectl`,
        ),
  );
}
