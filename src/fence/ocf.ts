/**
 * The OCF resource agent: action → exit code. What an action does not need is not loaded.
 * Input:  the action as the only word, OCF_RESKEY_* and OCF_RESOURCE_INSTANCE in the environment.
 * Output: OCF exit codes; metadata or usage on stdout.
 * Errors: OpsError: usage 2, unsupported 3, privilege 4, config 6, else 1. Source: OCF resource agent API; SPEC 1, 3.
 */
import { OpsError } from "../core/errors.ts";
import { escapeControl } from "../core/text.ts";
import type { AgentCall } from "./agent.ts";

export async function runOcfAgent(call: AgentCall): Promise<number> {
  const [action, ...rest] = call.argv;
  if (action === undefined || rest.length > 0) {
    throw new OpsError("usage", "one action is needed", { hint: "fence_gfs2_recorder usage" });
  }
  switch (action) {
    // Asked by anybody, also as hacluster or nobody and where nothing can be read: needs nothing but the table.
    case "meta-data":
      call.out((await import("./ocf-metadata.ts")).renderOcfMetadata());
      return 0;
    case "usage":
    case "help":
      call.out((await import("./ocf-metadata.ts")).renderOcfUsage());
      return 0;
    case "start":
    case "stop":
    case "monitor":
    case "validate-all":
      return (await import("./ocf-resource.ts")).resourceAction(call, action);
    default:
      throw new OpsError("unsupported", `no such action: '${escapeControl(action).slice(0, 100)}'`, {
        hint: "start, stop, monitor, validate-all, meta-data",
      });
  }
}
