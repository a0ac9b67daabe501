/**
 * The agent's description of itself, for Pacemaker, pcs, crmsh and people.
 * Output: metadata XML, the help text and the manual page, all from the option table.
 * Source: FenceAgentAPI.md; /usr/share/cluster/relaxng/metadata.rng. `list` and `status` are not advertised: Pacemaker
 *         would then ask them whether the device can fence a node, and a recorder cannot answer for a dead one (SPEC 3).
 */
import { OPTIONS } from "./options.ts";

const SHORT = "Records fence events with their GFS2 context";
const LONG =
  "fence_gfs2_recorder records every fence event with the GFS2 filesystems that the fenced node uses, found by way of " +
  "Kubernetes, DLM and Pacemaker, as JSON Lines in /var/log/gfs2-fencing. It has no power over any node: put it second in " +
  "a fencing topology level, behind the power device (pcs stonith level add 1 NODE POWER_DEVICE RECORDER). As a node's " +
  "only fence device it refuses to act, because its success would be taken for proof that the node is off. With role=gate " +
  "it is a fence device of its own: it writes a request for a responder, waits, and exits with the responder's verdict; " +
  "no answer in time, or one that is not clear, is a failure.";
const VENDOR = "https://www.clusterlabs.org/";

const ACTION_XML = ['on" automatic="0', "off", "reboot", "monitor", "metadata", "validate-all"];

const escapeXml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

type Row = {
  name: string;
  short?: string;
  type: string;
  value?: string;
  default?: string;
  required?: boolean;
  help: string;
};

const getopt = ({ name, short, value }: Row): string =>
  `${short ? `-${short}, ` : ""}--${name.replaceAll("_", "-")}${value ? `=[${value}]` : ""}`;

export function renderMetadata(agentName: string): string {
  const parameters = OPTIONS.map((option: Row) => {
    const standard = option.default === undefined ? "" : ` default="${escapeXml(option.default)}"`;
    return (
      `\t<parameter name="${option.name}" unique="0" required="${option.required ? 1 : 0}">\n` +
      `\t\t<getopt mixed="${escapeXml(getopt(option))}" />\n` +
      `\t\t<content type="${option.type}"${standard} />\n` +
      `\t\t<shortdesc lang="en">${escapeXml(option.help)}</shortdesc>\n` +
      "\t</parameter>\n"
    );
  }).join("");
  const actions = ACTION_XML.map((action) => `\t<action name="${action}" />\n`).join("");
  return (
    `<?xml version="1.0" ?>\n<resource-agent name="${agentName}" shortdesc="${SHORT}" >\n` +
    `<longdesc>${escapeXml(LONG)}</longdesc>\n<vendor-url>${VENDOR}</vendor-url>\n` +
    `<parameters>\n${parameters}</parameters>\n<actions>\n${actions}</actions>\n</resource-agent>\n`
  );
}

const EXAMPLES: readonly (readonly [command: string, what: string])[] = [
  ["fence_gfs2_recorder -o metadata", "what Pacemaker reads"],
  ["fence_gfs2_recorder -o off -n compute-node-3 --log-dir /tmp/fencing", "record an event by hand"],
  ["printf 'action=reboot\\nnodename=compute-node-2\\n' | fence_gfs2_recorder", "as Pacemaker calls it"],
  ["fence_gfs2_recorder -o monitor -v", "can it record here, and is its deployment safe?"],
  ["fence_gfs2_recorder -o list", "the nodes that the cluster knows"],
  ["fence_gfs2_recorder -o off -n compute-node-3 --role gate", "have a responder fence it, and wait for its verdict"],
];

const EXIT_CODES =
  "0 done, in role gate by the responder's word; 1 failed, refused, or (status) the cluster does not see the node. 2 is never used: a recorder cannot see power.";

export function renderHelp(): string {
  const width = Math.max(...OPTIONS.map((option: Row) => getopt(option).length));
  const rows = OPTIONS.map(
    (option: Row) => `  ${getopt(option).padEnd(width)}  ${option.help}${option.default ? ` (${option.default})` : ""}`,
  );
  const examples = EXAMPLES.map(([command, what]) => `  ${command}\n      ${what}`);
  return (
    `fence_gfs2_recorder: ${SHORT.toLowerCase()}\n\nUsage: fence_gfs2_recorder [options]    with none: name=value lines on stdin\n\n` +
    "Actions: on off reboot (recorded), status monitor list list-status metadata validate-all manpage\n\n" +
    `Options:\n${rows.join("\n")}\n\nExamples:\n${examples.join("\n")}\n\nExit codes: ${EXIT_CODES}\n`
  );
}

const roff = (text: string): string =>
  text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^([.'])/gm, "\\&$1");

export function renderManPage(agentName: string, version: string): string {
  const options = OPTIONS.map(
    (option: Row) =>
      `.TP\n.B ${roff(getopt(option))}\n${roff(option.help)}${option.default ? ` (default ${roff(option.default)})` : ""}`,
  );
  const examples = EXAMPLES.map(([command, what]) => `.TP\n.B ${roff(command)}\n${roff(what)}`);
  return (
    `.TH ${agentName.toUpperCase()} 8 "" "Fencepost ${version}" "Fence agents"\n.SH NAME\n${agentName} \\- ${SHORT.toLowerCase()}\n` +
    `.SH SYNOPSIS\n.B ${agentName}\n[options]\n.SH DESCRIPTION\n${roff(LONG)}\n.SH OPTIONS\n${options.join("\n")}\n` +
    `.SH FILES\n/var/log/gfs2\\-fencing/fence\\-events\\-detailed.jsonl, fence\\-events\\-readable.log, fence\\-events.log; ` +
    `/etc/fencepost/fence_gfs2_recorder.conf\n.SH EXAMPLES\n${examples.join("\n")}\n.SH EXIT STATUS\n${roff(EXIT_CODES)}\n`
  );
}
