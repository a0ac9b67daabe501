/** The CIB files of fixtures/doctor, and what doctor must say of each: the hazard by name, nothing else. */
export type Hazard = {
  file: string;
  /** id and object of every finding that is no note, in order. */
  finds: readonly (readonly [id: string, object: string])[];
  exit: 1 | 107;
  /** Words that one of them says. */
  says: string;
};

const NODE_2 = "compute-node-2";
const NODE_3 = "compute-node-3";

export const HAZARDS: readonly Hazard[] = [
  {
    file: "hazard-recorder-alone",
    finds: [
      ["recorder-alone", NODE_2],
      ["recorder-alone", NODE_3],
      ["alert-missing", "alerts"],
    ],
    exit: 107,
    says: `no topology for ${NODE_3}: a recorder alone could count as its fencing`,
  },
  {
    file: "hazard-recorder-own-level",
    finds: [
      ["recorder-alone", NODE_3],
      ["recorder-own-level", `level 2 of ${NODE_3}`],
    ],
    exit: 107,
    says: `level 2 of ${NODE_3} holds only the recorder gfs2-recorder`,
  },
  {
    file: "hazard-recorder-own-level-only",
    finds: [
      ["recorder-alone", NODE_3],
      ["recorder-own-level", `level 1 of ${NODE_3}`],
    ],
    exit: 107,
    says: `level 1 of ${NODE_3} holds only the recorder gfs2-recorder`,
  },
  {
    file: "hazard-recorder-own-level-pattern",
    finds: [
      ["recorder-alone", "rabbit-node-1"],
      ["recorder-own-level", "level 1 of pattern ^rabbit-node-[0-9]$"],
    ],
    exit: 107,
    says: "level 1 of pattern ^rabbit-node-[0-9]$ holds only the recorder",
  },
  {
    file: "hazard-level-repeated",
    finds: [
      ["recorder-alone", NODE_3],
      ["level-repeated", NODE_3],
    ],
    exit: 107,
    says: "two topology elements are level 1",
  },
  {
    file: "hazard-recorder-first",
    finds: [["recorder-first", `level 1 of ${NODE_2}`]],
    exit: 1,
    says: "calls the recorder gfs2-recorder before power-compute-node-2",
  },
  {
    file: "hazard-level-fails-stopped",
    finds: [
      ["level-fails", `level 1 of ${NODE_2}`],
      ["level-fails", `level 1 of ${NODE_3}`],
    ],
    exit: 1,
    says: "the recorder gfs2-recorder is stopped",
  },
  {
    file: "hazard-level-fails-host-list",
    finds: [["level-fails", `level 1 of ${NODE_3}`]],
    exit: 1,
    says: `pcmk_host_list or pcmk_host_map does not name it`,
  },
  {
    file: "hazard-level-fails-missing",
    finds: [["level-fails", `level 1 of ${NODE_3}`]],
    exit: 1,
    says: "the device gone does not exist",
  },
  {
    file: "hazard-recorder-alone-power-stopped",
    finds: [["recorder-alone", NODE_3]],
    exit: 107,
    says: "no other device that fences: power-compute-node-3 is stopped",
  },
  {
    file: "hazard-recorder-alone-unknown",
    finds: [["recorder-alone", "rabbit-node-1"]],
    exit: 1,
    says: "it cannot be told whether a recorder alone could fence rabbit-node-1",
  },
  {
    file: "hazard-no-recorder-level",
    finds: [
      ["no-recorder-level", NODE_2],
      ["no-recorder-level", NODE_3],
      ["alert-missing", "alerts"],
    ],
    exit: 1,
    says: "no topology level holds a recorder",
  },
  {
    file: "hazard-reboot-action",
    finds: [["reboot-action", "power-compute-node-2"]],
    exit: 1,
    says: "pcmk_reboot_action=off of power-compute-node-2 has no effect beside a recorder",
  },
  {
    file: "hazard-power-without-on",
    finds: [["power-without-on", "kdump-node-3"]],
    exit: 1,
    says: "its agent fence_kdump has no action on",
  },
  {
    file: "hazard-rule-hostname",
    finds: [["rule-hostname", "location-gfs2-recorder"]],
    exit: 1,
    says: "never matches: 'hostname eq rabbit-node-1'",
  },
  {
    file: "hazard-rule-hostname-or",
    finds: [["rule-hostname", "location-gfs2-recorder"]],
    exit: 1,
    says: "never matches: 'hostname eq compute-node-2'",
  },
  {
    file: "hazard-meta-env",
    finds: [["meta-env", "gfs2-recorder"]],
    exit: 1,
    says: 'meta env="GFS2_DISCOVERY_ENABLED=false KUBECTL_CMD=/usr/local/bin/kubectl"',
  },
  {
    file: "hazard-agent-kind-clone",
    finds: [["agent-kind", "gfs2-recorder"]],
    exit: 1,
    says: "the fence device gfs2-recorder is inside the clone gfs2-recorder-clone",
  },
  {
    file: "hazard-agent-kind-group",
    finds: [["agent-kind", "gfs2-recorder"]],
    exit: 1,
    says: "the fence device gfs2-recorder is inside the group recorders",
  },
  {
    file: "hazard-agent-kind-ocf",
    finds: [
      ["agent-kind", "fencepost-recorder"],
      ["alert-missing", "alerts"],
    ],
    exit: 1,
    says: "is made of ocf:heartbeat:fence_gfs2_recorder, which is no agent",
  },
  {
    file: "hazard-alert-missing",
    finds: [["alert-missing", "alerts"]],
    exit: 1,
    says: "no alert calls alert_gfs2_recorder",
  },
  {
    file: "hazard-alert-disabled",
    finds: [["alert-missing", "alerts"]],
    exit: 1,
    says: "the alert fencepost-alert is disabled",
  },
  {
    file: "hazard-alert-select",
    finds: [["alert-select", "fencepost-alert"]],
    exit: 1,
    says: "its select does not hold fencing",
  },
  {
    file: "hazard-host-check",
    finds: [["host-check", "gfs2-recorder"]],
    exit: 1,
    says: "pcmk_host_check=status of gfs2-recorder makes Pacemaker ask the recorder",
  },
];

/** The three deployments of the documentation, made with pcs and with crmsh, and all of them together. */
export const DEPLOYMENTS = [
  "deployment-alert",
  "deployment-alert-crmsh",
  "deployment-topology",
  "deployment-topology-crmsh",
  "deployment-ocf",
  "deployment-ocf-crmsh",
  "deployment-all",
] as const;
