/** The steps that change Slurm, and where they are locked: every controller, in the order of slurm.conf. */
import type { Operations } from "../../operations.ts";
import { controllersOf, parseConf } from "./conf.ts";
import { SLURM_KINDS } from "./kinds.ts";
import { told } from "./state.ts";

export const SLURM_OPERATIONS: Operations = {
  kinds: SLURM_KINDS,
  placesOf: async ({ steps: [step] }, host) => {
    const file = String(step?.data.file ?? "");
    const conf = parseConf(file, await told(host, ["cat", "--", file]));
    return controllersOf(conf).map(({ name, address }) => ({
      name: address,
      isLocal: name === shortName(host.hostname()),
    }));
  },
};

export const shortName = (hostname: string): string => hostname.split(".")[0] ?? hostname;
