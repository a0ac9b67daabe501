/** What a storage service tells `fencepost node` about adding and removing its nodes. */
import type { Options } from "yargs";
import type { Plan } from "../../core/plan.ts";
import type { ProgramContext } from "../../core/program.ts";

export type NodeCall = {
  context: ProgramContext;
  /** The words of --ip: valid names or addresses, each once. */
  hosts: readonly string[];
  /** The values of the verb's own options, and of the shared ones. */
  args: Readonly<Record<string, unknown>>;
  /** Of the journal that the plan gets when it is run. */
  id: string;
  /** For messages: `fencepost node add`. */
  called: string;
};

/** What the operator has to do by hand, where the service's way is to be told (MariaDB without --apply). */
export type Instructions = { title: string; lines: readonly string[] };
export const isInstructions = (result: Plan | Instructions): result is Instructions => "lines" in result;

export type NodeVerb = {
  describe: string;
  /** Its own, besides those of every service. */
  options: Readonly<Record<string, Options>>;
  /** Words after `--service NAME`, and what they do. */
  examples: readonly (readonly [words: string, what: string])[];
  plan: (call: NodeCall) => Promise<Plan | Instructions>;
  /** Asked on a terminal before the plan is run; none: not asked. */
  question?: (plan: Plan) => string;
};

export type NodeService = { add: NodeVerb; remove: NodeVerb };
