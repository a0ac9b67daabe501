/**
 * monitor and validate-all: can this node record, and could the recorder vouch for a fence that did not happen?
 * monitor fails only when nothing could be recorded at all; whatever else it finds goes to stderr and into the health
 * file that the OCF agent and doctor report. validate-all fails on an unsafe deployment.
 */
import { OpsError, reasonOf } from "../core/errors.ts";
import { eitherCib, readCib, readCibFile } from "../discovery/cib.ts";
import { AGENT_PROGRAM, type AgentContext } from "./agent.ts";
import { unsafeDeployment } from "./guard.ts";
import { askHealth } from "./recording.ts";

const CIB_TIMEOUT_MS = 2_000;
/** The writer's own checks are bounded below this. */
const WRITER_WAIT_MS = 4_000;

async function deploymentFindings({ host }: AgentContext): Promise<{ unsafe: string[]; unread: string[] }> {
  try {
    const limits = { timeoutMs: CIB_TIMEOUT_MS };
    const cib = await eitherCib(
      () => readCib(host, limits),
      () => readCibFile(host, limits),
    )();
    return { unsafe: unsafeDeployment(cib), unread: [] };
  } catch (error) {
    return { unsafe: [], unread: [`the deployment was not checked: ${reasonOf(error)}`] };
  }
}

export async function monitor(context: AgentContext): Promise<number> {
  const { options, warn } = context;
  const { unsafe, unread } = await deploymentFindings(context);
  const health = await askHealth(
    context,
    {
      kind: "check",
      log: { directory: options.logDir, operationalLog: options.fenceLog },
      findings: [...unsafe, ...unread],
    },
    WRITER_WAIT_MS,
  );
  if (!health)
    throw new OpsError("timeout", `monitor: the writer timed out after ${WRITER_WAIT_MS} ms`, {
      hint: `${AGENT_PROGRAM} -o monitor -v`,
    });
  for (const finding of health.findings) warn(finding);
  if (health.canRecord) return 0;
  throw new OpsError("io", `monitor: nothing can be recorded: ${options.logDir}, the spool and syslog all fail`, {
    hint: `ls -ld ${options.logDir}; df ${options.logDir}`,
  });
}

export async function validateAll(context: AgentContext): Promise<number> {
  const { unsafe, unread } = await deploymentFindings(context);
  for (const finding of [...unsafe, ...unread]) context.warn(finding);
  return unsafe.length > 0 || context.options.invalid.length > 0 ? 1 : 0;
}
