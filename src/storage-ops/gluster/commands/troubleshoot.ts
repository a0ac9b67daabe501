/**
 * `fencepost gluster troubleshoot`: the source's troubleshooting sections as checks, asked at once.
 * Output: a line for each check with its evidence, and one next step where it is not ok.
 * Errors: OpsError usage, config (the file); what gluster does not tell is a check of its own.
 */
import { OpsError } from "../../../core/errors.ts";
import { escapeControl } from "../../../core/text.ts";
import { parseConfig } from "../setup/config.ts";
import { type Check, checksOf, type Verdict } from "../troubleshoot.ts";
import { readFacts } from "../troubleshoot-facts.ts";
import { answer, type Command, columns } from "./command.ts";

const WORST: readonly Verdict[] = ["fail", "unknown", "warn", "ok"];
const EXITS = { fail: 107, unknown: 76, warn: 1, ok: 0 } as const satisfies Record<Verdict, number>;
const SHOWN = { fail: "FAIL", unknown: "UNKNOWN", warn: "WARN", ok: "ok" } as const satisfies Record<Verdict, string>;

export const TROUBLESHOOT: Command = {
  describe:
    "looks at what goes wrong with GlusterFS: daemon, peers, ports and firewall, bricks, mounts, split-brain, heals, space, " +
    "clocks, and whether this node is in the configuration. Each with what it was seen by, and the next thing to do",
  usage: "",
  takes: [0, 0],
  options: {
    config: {
      describe: "my_multihead_cluster.yaml: is this node one of its controllers?",
      type: "string",
      requiresArg: true,
    },
    all: { describe: "show what is in order too", type: "boolean" },
  },
  changes: false,
  examples: [
    ["", "what is wrong here?"],
    ["--all --config ../my_multihead_cluster.yaml", "every check"],
  ],
  exits: "0 all in order · 1 something to look at · 107 something is wrong · 76 something could not be asked",
  run: async (call) => {
    const { host, args, called } = call;
    const path = args.config === undefined ? undefined : String(args.config);
    const text = path === undefined ? undefined : host.readText(path);
    if (path !== undefined && text === undefined)
      throw new OpsError("usage", `${escapeControl(path)}: not there`, { hint: `${called} --help` });
    const config = path === undefined || text === undefined ? undefined : parseConfig(text, path);
    const checks = checksOf(await readFacts(host, config));
    const worst = WORST.find((verdict) => checks.some((check) => check.verdict === verdict)) ?? "unknown";
    await answer(call, { verdict: worst, checks }, linesOf(checks, args.all === true));
    return EXITS[worst];
  },
};

function linesOf(checks: readonly Check[], all: boolean): string[] {
  const shown = checks
    .filter(({ verdict }) => all || verdict !== "ok")
    .toSorted((a, b) => WORST.indexOf(a.verdict) - WORST.indexOf(b.verdict));
  const rows = columns(
    shown.map(({ id, object, verdict, evidence }) => [SHOWN[verdict], id, object, evidence]),
    "",
  );
  const lines = shown.flatMap(({ next }, at) => [rows[at] ?? "", ...(next === null ? [] : [`         next: ${next}`])]);
  const counts = WORST.map((verdict) => `${checks.filter((one) => one.verdict === verdict).length} ${SHOWN[verdict]}`);
  return [...lines, `${checks.length} checks: ${counts.join(", ")}`];
}
