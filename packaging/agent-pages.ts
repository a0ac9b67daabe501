/** The manual pages of the agents that only Pacemaker calls. */
import { PARAMETERS } from "../src/fence/ocf-metadata.ts";
import type { Agent } from "./man.ts";

export const AGENT_PAGES: readonly Agent[] = [
  {
    page: "alert_gfs2_recorder",
    summary: "Pacemaker alert agent that records what became of each fence",
    description: [
      "Pacemaker calls this program on every node when a fence has succeeded or failed. It writes the outcome down; it " +
        "cannot influence fencing. It is the deployment to begin with.",
      "It runs as hacluster and puts each outcome into /var/lib/fencepost/inbox, from where root's fence agent, its OCF " +
        "agent or fencepost-recover.timer merges it into fence-outcomes.jsonl in the log directory.",
    ],
    parameters: [
      [
        "kinds",
        "Which other alerts are worth a line in syslog: node, resource, attribute. Fencing is always recorded.",
      ],
    ],
    examples: [
      ["pcs alert create path=/usr/share/pacemaker/alerts/alert_gfs2_recorder id=fencepost-alert", "with pcs"],
      ["crm configure alert fencepost-alert /usr/share/pacemaker/alerts/alert_gfs2_recorder", "with crmsh"],
    ],
  },
  {
    page: "ocf_fencepost_fence_gfs2_recorder",
    summary: "OCF resource agent that watches the fence recorder",
    description: [
      "As a clone it runs on every node: its monitor checks that the recorder can record there, and imports from " +
        "Pacemaker's fencing history what the recorder missed, each fence once.",
      "It has the fence agent's name on purpose: pcs then asks which one is meant, where it would else make a stonith " +
        "device of a resource.",
    ],
    parameters: PARAMETERS.map(({ name, long }) => [name, long] as const),
    examples: [
      ["pcs resource create fencepost-recorder ocf:fencepost:fence_gfs2_recorder clone", "with pcs"],
      ["crm configure primitive fencepost-recorder ocf:fencepost:fence_gfs2_recorder", "with crmsh; then clone it"],
    ],
  },
];
