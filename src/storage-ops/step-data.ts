/**
 * What the step kinds of every service read a step's data by, and how a question that fails becomes a standing.
 * Input:  a step, as a journal keeps it. Errors: of `asked`: OpsError unsafe, and what is no OpsError (a bug).
 */
import { OpsError, reasonOf } from "../core/errors.ts";
import type { Host } from "../core/host.ts";
import type { Standing, Step } from "../core/plan.ts";

export const text = (step: Step, key: string): string => String(step.data[key] ?? "");
export const list = (step: Step, key: string): string[] => [step.data[key] ?? []].flat().map(String);

/** What could not be asked is unknown, unless `stateFor` the reason says that it is on its way. */
export const asked =
  (
    ask: (step: Step, host: Host) => Promise<Standing>,
    stateFor: (reason: string) => "unknown" | "working" = () => "unknown",
  ) =>
  async (step: Step, host: Host): Promise<Standing> => {
    try {
      return await ask(step, host);
    } catch (error) {
      if (!(error instanceof OpsError) || error.kind === "unsafe") throw error;
      return { state: stateFor(error.message), detail: reasonOf(error) };
    }
  };
