/**
 * Program name → who is called. One executable answers to several names; only what runs is loaded.
 */
export type Personality = "fence" | "writer" | "analyze" | "cli";

/** The name decides, whatever the words after it are. */
export function personalityOf(argv0: string): Personality {
  switch (argv0.slice(argv0.lastIndexOf("/") + 1)) {
    case "fence_gfs2_recorder":
      return "fence";
    case "fencepost-event-writer":
      return "writer";
    case "fencepost-analyze":
      return "analyze";
    default:
      return "cli";
  }
}
