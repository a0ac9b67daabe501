import { describe, expect, it } from "vitest";
import { wantedByConfig } from "../../../src/storage-ops/gluster/commands/diff.ts";
import { differences, type Wanted } from "../../../src/storage-ops/gluster/saved-state.ts";
import { parseConfig } from "../../../src/storage-ops/gluster/setup/config.ts";
import { problemOfOption, sameValue } from "../../../src/storage-ops/gluster/setup/options.ts";
import { poolOf } from "./fixture.ts";

/** As the source's document has it. */
const SOURCE = `storage:
  glusterfs:
    volume_name: shared_data          # Volume name
    replica_count: auto               # 'auto' or specific number (2, 3, 4...)
    brick_path: /data/glusterfs/shared  # Brick directory
    mount_point: /mnt/gluster         # Mount point

nodes:
  controllers:
    - hostname: server1
      ip_address: 192.168.1.101
      priority: 100
      services:
        glusterfs: true               # Enable GlusterFS on this controller
        mariadb: true
        redis: true
        slurm: true
        web: true
        keepalived: true
      vip_owner: true
`;
const parse = (text: string) => parseConfig(text, "c.yaml");
const problemsOf = (text: string): string => {
  try {
    parse(text);
  } catch (error) {
    expect(error).toMatchObject({ name: "OpsError", kind: "config" });
    return (error as Error).message;
  }
  throw new Error("it was accepted");
};
const without = (from: string, to: string): string => {
  expect(SOURCE).toContain(from);
  return SOURCE.replace(from, to);
};

describe("the configuration", () => {
  it("understands every key of the source's file", () => {
    expect(parse(SOURCE)).toEqual({
      path: "c.yaml",
      volume: "shared_data",
      replicaCount: "auto",
      arbiterCount: 0,
      brickPath: "/data/glusterfs/shared",
      mountPoint: "/mnt/gluster",
      options: new Map([
        ["performance.cache-size", "256MB"],
        ["network.ping-timeout", "10"],
        ["cluster.self-heal-daemon", "on"],
      ]),
      directories: ["frontend_builds", "slurm/state", "slurm/logs", "slurm/spool", "uploads", "config"],
      controllers: [
        {
          hostname: "server1",
          address: "192.168.1.101",
          priority: 100,
          services: ["glusterfs", "mariadb", "redis", "slurm", "web", "keepalived"],
          ownsVip: true,
        },
      ],
      warnings: [],
    });
  });

  it("has the source's defaults where the file says nothing of GlusterFS", () => {
    const config = parse(SOURCE.slice(SOURCE.indexOf("nodes:")));
    expect(config).toMatchObject({ volume: "shared_data", replicaCount: "auto", mountPoint: "/mnt/gluster" });
  });

  it("understands what the source's generator writes: shared_storage, options, directories, ssh's keys, yes for true", () => {
    const text = `${without("storage:\n", "shared_storage:\n  type: glusterfs\n")
      .replace("      services:", "      ssh_user: admin\n      ssh_port: 22\n      services:")
      .replace("glusterfs: true ", "glusterfs: yes ")
      .replace(
        "    volume_name",
        "    volume_type: replica\n    options:\n      cluster.self-heal-daemon: enable\n      performance.cache-size: 1GB\n    directories: [builds, slurm/state]\n    volume_name",
      )}database:\n  password: secret\n`;
    const config = parse(text);
    expect(config.warnings).toEqual([]);
    expect(config.controllers[0]?.services).toContain("glusterfs");
    expect(config.directories).toEqual(["builds", "slurm/state"]);
    expect([...config.options]).toEqual([
      ["performance.cache-size", "1GB"],
      ["network.ping-timeout", "10"],
      ["cluster.self-heal-daemon", "enable"],
    ]);
  });

  it.each([
    [
      "replica_count: auto",
      "replica_count: many",
      "c.yaml:4: storage.glusterfs.replica_count: not 'auto' or a number from 1 to 16: 'many'",
    ],
    ["replica_count: auto", "replica_count: 0", "c.yaml:4: storage.glusterfs.replica_count:"],
    [
      "replica_count: auto",
      "volume_type: disperse",
      "c.yaml:4: storage.glusterfs.volume_type: only 'replica' is set up here: 'disperse'",
    ],
    ["replica_count: auto", "arbiter_count: 2", "c.yaml:4: storage.glusterfs.arbiter_count: not 0 or 1: '2'"],
    ["volume_name: shared_data", "volume_name: -rf", "c.yaml:3: storage.glusterfs.volume_name:"],
    [
      "volume_name: shared_data",
      "volume_name: [a]",
      "c.yaml:3: storage.glusterfs.volume_name: not a single value: a list",
    ],
    ["brick_path: /data", "brick_path: data", "c.yaml:5: storage.glusterfs.brick_path: not an absolute path"],
    ["brick_path: /data", "brick_path: /data/../x", "c.yaml:5: storage.glusterfs.brick_path:"],
    [
      "mount_point: /mnt/gluster",
      "mount_point: /data/glusterfs/shared/mnt",
      "c.yaml:6: storage.glusterfs.mount_point: it and brick_path",
    ],
    [
      "mount_point: /mnt/gluster",
      "options: {ping-timeout: 1}",
      "c.yaml:6: storage.glusterfs.options.ping-timeout: not an option's full name",
    ],
    [
      "mount_point: /mnt/gluster",
      "options: {network.ping-timeout: fast}",
      "network.ping-timeout: not seconds from 0 to 1013: 'fast'",
    ],
    [
      "mount_point: /mnt/gluster",
      "options: {cluster.self-heal-daemon: off}",
      "not on: nothing else fills a new copy: 'off'",
    ],
    [
      "mount_point: /mnt/gluster",
      "directories: [../etc]",
      "c.yaml:6: storage.glusterfs.directories: not a relative path: '../etc'",
    ],
    [
      "192.168.1.101",
      "192.168.1.300",
      "c.yaml:11: nodes.controllers[0].ip_address: not an IP address: '192.168.1.300'",
    ],
    ["      ip_address: 192.168.1.101\n", "", "c.yaml:10: nodes.controllers[0].ip_address: missing"],
    ["hostname: server1", "hostname: -oProxyCommand=x", "c.yaml:10: nodes.controllers[0].hostname: not a host name"],
    [
      "glusterfs: true ",
      "glusterfs: maybe ",
      "c.yaml:14: nodes.controllers[0].services.glusterfs: not true or false: 'maybe'",
    ],
    ["priority: 100", "priority: high", "c.yaml:12: nodes.controllers[0].priority: not a number from 0 to 255: 'high'"],
    ["  controllers:", "  controllers: none\n  others:", "c.yaml:9: nodes.controllers: not a list of controllers"],
    ["    volume_name", "   volume_name", "not YAML"],
    ["    replica_count: auto", "    volume_name: twice", "c.yaml:4:5: not YAML: Map keys must be unique"],
  ])("names line and key when %j becomes %j", (from, to, message) => {
    expect(problemsOf(without(from, to))).toContain(message);
  });

  it("names every problem at once, and the line of a controller's twin", () => {
    const controller = SOURCE.slice(SOURCE.indexOf("    - hostname"));
    const text = `${without("replica_count: auto", "replica_count: x")}${controller.replace("server1", "server2")}`;
    expect(problemsOf(text)).toMatch(
      /^c\.yaml:4: .*; c\.yaml:21: nodes\.controllers: server2 192\.168\.1\.101: stands already in line 10$/,
    );
  });

  it("warns of keys that nobody knows, which may be slips of the pen", () => {
    const text = without("replica_count:", "replica_cuont:").replace("redis: true", "rediss: true");
    expect(parse(text).warnings).toEqual([
      "c.yaml:4: storage.glusterfs.replica_cuont: no such key: not used",
      "c.yaml:16: nodes.controllers[0].services.rediss: no such key: not used",
    ]);
  });

  it("never shows what other sections hold, which are passwords", () => {
    expect(problemsOf(`${SOURCE}database: {password: hunter2\n`)).not.toContain("hunter2");
    expect(problemsOf(`${without("auto", "x")}database: {password: hunter2}\n`)).not.toContain("hunter2");
  });

  it.each(["", "# nothing\n", "- a\n", "storage: 1\n"])("refuses %j", (text) => {
    expect(problemsOf(text)).toMatch(/c\.yaml:\d+: /);
  });
});

describe("volume options", () => {
  it.each([
    ["cluster.quorum-type", "auto"],
    ["auth.allow", "192.168.1.*,10.0.0.1"],
    ["performance.cache-size", "25%"],
  ])("lets glusterd be asked for %s %s", (name, value) => {
    expect(problemOfOption(name, value)).toBeUndefined();
  });

  it.each([
    ["--mode=script", "x"],
    ["cluster.quorum-type", "-force"],
    ["cluster.quorum-type", "a\nb"],
    ["performance.cache-size", "big"],
  ])("refuses %j %j", (name, value) => {
    expect(problemOfOption(name, value)).toBeDefined();
  });

  it("takes enable for on, as gluster does, and knows that unset is no value", () => {
    expect(sameValue("enable", "on")).toBe(true);
    expect(sameValue("256MB", "256mb")).toBe(true);
    expect(sameValue(undefined, "off")).toBe(false);
    expect(sameValue("off", "on")).toBe(false);
  });
});

describe("what the configuration wants of a volume with an arbiter", () => {
  const wantedWith = (count: string, more = "") =>
    wantedByConfig(
      parse(
        without("replica_count: auto", `replica_count: ${count}${more}`)
          .replace("volume_name: shared_data", "volume_name: arb")
          .replace("brick_path: /data/glusterfs/shared", "brick_path: /data/glusterfs/a")
          .replace(/controllers:.*/s, `controllers:\n${[1, 2, 3].map(controller).join("")}`),
      ),
    );
  const controller = (at: number): string =>
    `    - { hostname: s${at}, ip_address: 10.77.0.${at}, services: { glusterfs: true } }\n`;
  const shapeDifferences = (wanted: Wanted) =>
    differences(wanted, poolOf({ volumes: "volume-info-many", status: "status-many" }))
      .filter(({ object, what }) => object === "volume arb" && !what.includes("."))
      .map(({ what, wanted: want, is }) => `${what}: ${want} → ${is}`);

  it.each(["2", "3", "auto"])("is what gluster calls replica 3, arbiter 1, with replica_count: %s", (count) => {
    expect(shapeDifferences(wantedWith(count, "\n    arbiter_count: 1"))).toEqual([]);
  });

  it("is no arbiter where none is asked for", () => {
    expect(shapeDifferences(wantedWith("2"))).toEqual(["replica: 2 → 3", "arbiter: 0 → 1"]);
  });
});
