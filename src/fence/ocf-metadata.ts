/**
 * The OCF agent's description of itself, from one table of parameters.
 * Output: metadata XML for Pacemaker, pcs and crmsh; the usage text.
 * Source: OCF resource agent API 1.0, /usr/share/resource-agents/ra-api-1.dtd, pcs data/ocf-1.0.rng
 */
import { VERSION } from "../core/version.ts";
import { DEFAULTS } from "./options.ts";
import { DEFAULT_WINDOW } from "./recover-options.ts";

export const OCF_AGENT = "ocf:fencepost:fence_gfs2_recorder";

type Parameter = {
  name: string;
  type: "string" | "boolean" | "time";
  default?: string;
  short: string;
  long: string;
};

export const PARAMETERS = [
  {
    name: "log_dir",
    type: "string",
    short: "Directory of the event logs",
    long: `Directory of the event logs, on a local disk. Without it LOG_DIR of the configuration file, else ${DEFAULTS.logDir}.`,
  },
  {
    name: "config",
    type: "string",
    default: DEFAULTS.config,
    short: "Configuration file",
    long: "Configuration file of the recorder, with KEY=value lines.",
  },
  {
    name: "reconcile",
    type: "boolean",
    default: "true",
    short: "Record fences that nobody recorded",
    long: "Compare the recorded outcomes with Pacemaker's fencing history at every monitor, and record what is missing.",
  },
  {
    name: "reconcile_window",
    type: "time",
    default: DEFAULT_WINDOW,
    short: "How far back to look",
    long: "Fences that ended longer ago than this are not recorded any more. Units: s, min, h, d.",
  },
  {
    name: "reconcile_scope",
    type: "string",
    short: "Whose fences to record: own or all",
    long:
      "own: fences that this node executed (those nobody executed: that this node asked for), so that of several nodes " +
      "each records its own. all: every fence of the cluster. Without it own where the resource is a clone, else all.",
  },
] as const satisfies readonly Parameter[];

export type ParameterName = (typeof PARAMETERS)[number]["name"];

/** Seconds that each action may take; monitor is bounded by its own limits well below (ocf.ts). */
const ACTIONS = [
  { name: "start", timeout: 20 },
  { name: "stop", timeout: 20 },
  { name: "monitor", timeout: 60, interval: 60, depth: 0 },
  { name: "validate-all", timeout: 20 },
  { name: "meta-data", timeout: 5 },
] as const;

const SHORT = "Watches the fence recorder and completes its record";
const LONG = `Watches whether this node can record fence events: log directory, free space, spool, syslog, and a fencing topology in
which the recorder could vouch for a fence that did not happen. Each monitor brings into the log what waits in the spool and
in the alert agent's inbox, and records from Pacemaker's fencing history (source: reconcile) how fences ended that no alert
told of. It has no daemon and no power over any node, and is not a fence device: that is stonith:fence_gfs2_recorder.
A monitor fails only where nothing could be recorded at all; whatever else it finds is in its output and in
/run/fencepost/health.json. Run it as a clone on all nodes.`;

const escapeXml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

export function renderOcfMetadata(): string {
  const parameters = PARAMETERS.map(
    (parameter: Parameter) =>
      `<parameter name="${parameter.name}" unique="0" required="0">\n` +
      `<longdesc lang="en">${escapeXml(parameter.long)}</longdesc>\n` +
      `<shortdesc lang="en">${escapeXml(parameter.short)}</shortdesc>\n` +
      `<content type="${parameter.type}"${parameter.default === undefined ? "" : ` default="${escapeXml(parameter.default)}"`}/>\n` +
      "</parameter>\n",
  ).join("");
  const actions = ACTIONS.map((action) => {
    const more = "interval" in action ? ` interval="${action.interval}s" depth="${action.depth}"` : "";
    return `<action name="${action.name}" timeout="${action.timeout}s"${more}/>\n`;
  }).join("");
  return (
    `<?xml version="1.0"?>\n<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd">\n` +
    `<resource-agent name="fence_gfs2_recorder" version="${VERSION}">\n<version>1.0</version>\n` +
    `<longdesc lang="en">${escapeXml(LONG)}</longdesc>\n<shortdesc lang="en">${escapeXml(SHORT)}</shortdesc>\n` +
    `<parameters>\n${parameters}</parameters>\n<actions>\n${actions}</actions>\n</resource-agent>\n`
  );
}

export const renderOcfUsage = (): string =>
  `usage: fence_gfs2_recorder (${OCF_AGENT}) {${ACTIONS.map(({ name }) => name).join("|")}}\n` +
  "Pacemaker calls it; parameters come as OCF_RESKEY_NAME.\n";
