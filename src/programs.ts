/**
 * Program name → who is called. One executable answers to several names; only what runs is loaded.
 */
export type Personality = "fence" | "ocf" | "alert" | "writer" | "sibling" | "cli";

/** Subcommands that are programs of their own too: `fencepost-analyze` is `fencepost analyze`. */
export const SIBLINGS = ["analyze", "gluster", "node"] as const;
const PREFIX = "fencepost-";

const nameOf = (argv0: string): string => argv0.slice(argv0.lastIndexOf("/") + 1);
/** Which subcommand a program's name stands for. */
export const siblingOf = (argv0: string): string | undefined =>
  SIBLINGS.find((word) => nameOf(argv0) === `${PREFIX}${word}`);

/**
 * The name decides, whatever the words after it are. The fence agent and the OCF agent share theirs: the OCF agent lies in
 * a directory of such agents or is called for a resource, as ocf-tester does from anywhere.
 */
export function personalityOf(argv0: string, env: Readonly<Record<string, string | undefined>>): Personality {
  switch (nameOf(argv0)) {
    case "fence_gfs2_recorder":
      return argv0.includes("/ocf/resource.d/") || env.OCF_RESOURCE_INSTANCE !== undefined ? "ocf" : "fence";
    case "alert_gfs2_recorder":
      return "alert";
    case "fencepost-event-writer":
      return "writer";
    default:
      return siblingOf(argv0) === undefined ? "cli" : "sibling";
  }
}
