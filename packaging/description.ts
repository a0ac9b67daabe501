/**
 * What a package is, once for deb and RPM: names, programs, directories, who owns what. A program to come is one line.
 * Source: SPEC 1 (names and places), SPEC 3 (owners); Debian Policy, the Fedora packaging guidelines.
 */
import manifest from "../package.json" with { type: "json" };
import { SIBLINGS } from "../src/programs.ts";
import type { Arch } from "./executable.ts";

export const PACKAGE = {
  name: "fencepost",
  version: manifest.version,
  summary: "Recorder and analyzer of fence events in Pacemaker clusters",
  description: [
    "Fencepost records every fence event of a Pacemaker cluster together with the GFS2 filesystems that the fenced node " +
      "was using, as JSON Lines, and answers questions about what was recorded.",
    "It brings fence_gfs2_recorder, a fence agent that stands behind a power device in a fencing topology; " +
      "alert_gfs2_recorder, a Pacemaker alert agent that records the outcome of each fence; an OCF resource agent that " +
      "watches the recorder and imports fences it missed; and fencepost, the administrator's command.",
  ],
  license: "Apache-2.0",
  maintainer: "Fencepost maintainers <maintainers@users.noreply.b-seed-43d91006.example>",
  recommends: ["logrotate"],
  suggests: ["pacemaker", "lnav"],
} as const;

export const ARCH_NAMES = {
  x64: { deb: "amd64", rpm: "x86_64" },
  arm64: { deb: "arm64", rpm: "aarch64" },
} as const satisfies Record<Arch, { deb: string; rpm: string }>;

/** The one real file. */
export const EXECUTABLE = "/usr/bin/fencepost";

type Manual = { section: 1 | 7 | 8 /** The page's name. */; page: string };
/** Names that lead to the executable; the name it is called by decides what it is. */
export const PROGRAMS = [
  { path: "/usr/sbin/fence_gfs2_recorder", manual: { section: 8, page: "fence_gfs2_recorder" } },
  { path: "/usr/share/pacemaker/alerts/alert_gfs2_recorder", manual: { section: 7, page: "alert_gfs2_recorder" } },
  {
    path: "/usr/lib/ocf/resource.d/fencepost/fence_gfs2_recorder",
    manual: { section: 7, page: "ocf_fencepost_fence_gfs2_recorder" },
  },
  ...SIBLINGS.map((word) => ({
    path: `/usr/bin/fencepost-${word}`,
    subcommand: word,
    manual: { section: 1 as const, page: `fencepost-${word}` },
  })),
] as const satisfies readonly { path: string; subcommand?: string; manual: Manual }[];

/**
 * Directories that outlive the files in them. Where Pacemaker's group and user do not exist (yet), root's stand in; the
 * packages' scripts hand these over when they are there, also when Pacemaker is installed later.
 */
export const DIRECTORIES = [
  { path: "/etc/fencepost", mode: 0o755 },
  { path: "/var/log/gfs2-fencing", mode: 0o750, group: "haclient" },
  { path: "/var/lib/fencepost", mode: 0o755 },
  { path: "/var/lib/fencepost/spool", mode: 0o700 },
  { path: "/var/lib/fencepost/journal", mode: 0o700 },
  { path: "/var/lib/fencepost/inbox", mode: 0o700, user: "hacluster", group: "haclient" },
] as const satisfies readonly { path: string; mode: number; user?: string; group?: string }[];

export const HANDED_OVER = DIRECTORIES.flatMap((one) =>
  "group" in one ? [{ path: one.path, user: "user" in one ? one.user : "root", group: one.group }] : [],
);

/** What purging removes besides the configuration (Debian Policy 10.8: logs too). */
export const STATE = ["/var/log/gfs2-fencing", "/var/lib/fencepost", "/run/fencepost"] as const;

export const UNITS = ["fencepost-recover.service", "fencepost-recover.timer"] as const;

/** Files of packaging/files, as they are. `config` is the administrator's to change. */
export const FILES = [
  { from: "fence_gfs2_recorder.conf", path: "/etc/fencepost/fence_gfs2_recorder.conf", config: true },
  { from: "fencepost.logrotate", path: "/etc/logrotate.d/fencepost", config: true },
  { from: "lnav.json", path: "/etc/lnav/formats/fencepost/fencepost.json", config: true },
  { from: "fencepost.tmpfiles", path: "/usr/lib/tmpfiles.d/fencepost.conf" },
] as const;

/** Where the two families of distributions differ. */
export const PLACES = {
  deb: { units: "/lib/systemd/system", zsh: "/usr/share/zsh/vendor-completions" },
  rpm: { units: "/usr/lib/systemd/system", zsh: "/usr/share/zsh/site-functions" },
} as const;
export type Format = keyof typeof PLACES;
export const FORMATS = Object.keys(PLACES) as Format[];
