/**
 * Checks of the alert: is it configured, is it told of fencing, is its program there?
 * Input:  the <alerts> section, the files its paths name. Output: findings.
 * Source: pacemaker-2.1.5 xml/alerts-3.9.rng, lib/pengine/rules_alerts.c (without <select> an alert gets all but
 *         attributes; meta attribute enabled since 2.1.6).
 */
import { childNamed, childrenNamed } from "../core/xml.ts";
import {
  allResources,
  attributesOf,
  type Cib,
  dereferenceIn,
  isTrue,
  resourcesOf,
  sectionOf,
} from "../discovery/cib.ts";
import { type Check, clusterCheck, crmLines, type Finding, inShell, type Mend, shellLine } from "./finding.ts";
import { readTopology } from "./topology-plan.ts";

export const ALERT_PATH = "/usr/share/pacemaker/alerts/alert_gfs2_recorder";
const ALERT_ID = "fencepost-alert";
const ALERT_PROGRAM = "alert_gfs2_recorder";
/** The OCF agent: it records what became of each fence by way of Pacemaker's history. */
export const OCF_PROVIDER = "fencepost";

export const alertMend: Mend = {
  pcs: [shellLine("pcs", "alert", "create", `path=${ALERT_PATH}`, `id=${ALERT_ID}`)],
  crmsh: [shellLine("crm", "configure", "alert", ALERT_ID, ALERT_PATH)],
  shell: [],
};

export type Alert = { id: string; path: string; enabled: boolean; hearsFencing: boolean };

/** Alerts whose program is ours, enabled or not. */
export function alertsOf(cib: Cib): Alert[] {
  return childrenNamed(sectionOf(cib, "alerts"), "alert")
    .filter(({ attributes }) => attributes.path?.split("/").at(-1) === ALERT_PROGRAM)
    .map((alert) => {
      const select = childNamed(alert, "select");
      const { enabled } = attributesOf(alert, "meta_attributes", dereferenceIn(cib));
      return {
        id: alert.attributes.id ?? "",
        path: alert.attributes.path ?? "",
        enabled: enabled === undefined || isTrue(enabled),
        hearsFencing: select === undefined || childNamed(select, "select_fencing") !== undefined,
      };
    });
}

/** Those that record fencing. */
export const ourAlerts = (cib: Cib): Alert[] =>
  alertsOf(cib).filter(({ enabled, hearsFencing }) => enabled && hearsFencing);

const hasOcfAgent = (cib: Cib): boolean =>
  [...allResources(resourcesOf(cib))].some(
    ({ agent }) => agent?.class === "ocf" && agent.provider === OCF_PROVIDER && agent.type === "fence_gfs2_recorder",
  );

type Found = Omit<Finding, "id">;

export function findAlertMissing(cib: Cib): Found[] {
  if (alertsOf(cib).some(({ enabled }) => enabled)) return [];
  const topology = readTopology(cib);
  const recorded = topology.entries.some(({ levels }) =>
    levels.some(({ devices }) => devices.some(topology.isRecorder)),
  );
  const disabled = alertsOf(cib)[0];
  const isSevere = !recorded && !hasOcfAgent(cib);
  return [
    {
      severity: isSevere ? "warning" : "note",
      object: "alerts",
      what: disabled ? `the alert ${disabled.id} is disabled` : `no alert calls ${ALERT_PROGRAM}`,
      why: isSevere
        ? "No recorder is in a topology level and no OCF agent runs: nothing records a fence."
        : hasOcfAgent(cib)
          ? "What became of a fence is recorded only when the OCF agent next looks at Pacemaker's history."
          : "What the recorder writes down is that a fence was asked for; only the alert knows whether it succeeded.",
      mend: disabled
        ? {
            pcs: [shellLine("pcs", "alert", "update", disabled.id, "meta", "enabled=")],
            crmsh: [crmLines(`delete ${disabled.id}`, `alert ${disabled.id} ${disabled.path}`)],
            shell: [],
          }
        : alertMend,
    },
  ];
}

export const findAlertSelect = (cib: Cib): Found[] =>
  alertsOf(cib)
    .filter(({ hearsFencing }) => !hearsFencing)
    .map(({ id, path }) => ({
      severity: "warning",
      object: id,
      what: `the alert ${id} is not told of fencing: its select does not hold fencing`,
      why: "It is called for other events only and records nothing.",
      mend: {
        pcs: [shellLine("pcs", "alert", "remove", id), shellLine("pcs", "alert", "create", `path=${path}`, `id=${id}`)],
        crmsh: [crmLines(shellLine("delete", id), shellLine("alert", id, path, "select", "fencing"))],
        shell: [],
      },
    }));

/** `isExecutable` for the paths on this node. */
export const findAlertPath = (cib: Cib, isExecutable: (path: string) => boolean): Found[] =>
  alertsOf(cib)
    .filter(({ path }) => !isExecutable(path))
    .map(({ id, path }) => ({
      severity: "warning",
      object: path,
      what: `${path}, which the alert ${id} calls, is no executable file on this node`,
      why: "Pacemaker logs that it could not run it, and the outcome of a fence is not recorded here.",
      mend:
        path === ALERT_PATH
          ? inShell(shellLine("ls", "-lL", path), "ln -s /usr/bin/fencepost ".concat(ALERT_PATH))
          : {
              pcs: [shellLine("pcs", "alert", "update", id, `path=${ALERT_PATH}`)],
              crmsh: [crmLines(shellLine("delete", id), shellLine("alert", id, ALERT_PATH))],
              shell: [],
            },
    }));

export const ALERT_CHECKS: readonly Check[] = [
  clusterCheck(
    { id: "alert-missing", describe: "no alert records what became of a fence", severity: "warning" },
    findAlertMissing,
  ),
  clusterCheck(
    { id: "alert-select", describe: "the alert's select leaves fencing out", severity: "warning" },
    findAlertSelect,
  ),
  {
    id: "alert-path",
    describe: "the alert's program is missing or not executable",
    severity: "warning",
    about: "machine",
    run: async (facts) => ({
      findings: findAlertPath(await facts.cib(), (path) => facts.host.isExecutableFile(path)).map((finding) => ({
        id: "alert-path",
        ...finding,
      })),
    }),
  },
];
