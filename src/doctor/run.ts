/**
 * Runs the checks and adds up what they say.
 * Input:  facts, the checks that are asked for. Output: Diagnosis, as data and as --json prints it.
 * Errors: none; a check that could not run is in `unchecked` with its reason, and then the answer is not "clean".
 */
import { EXIT_CODES, reasonOf } from "../core/errors.ts";
import { ALERT_CHECKS } from "./alert.ts";
import { CONFIGURATION_CHECKS } from "./configuration.ts";
import type { Facts } from "./facts.ts";
import type { Check, Finding, Severity } from "./finding.ts";
import { LOG_CHECKS } from "./logs.ts";
import { MACHINE_CHECKS } from "./machine.ts";
import { TOPOLOGY_CHECKS } from "./topology.ts";

export const CHECKS: readonly Check[] = [
  ...TOPOLOGY_CHECKS,
  ...CONFIGURATION_CHECKS,
  ...ALERT_CHECKS,
  ...LOG_CHECKS,
  ...MACHINE_CHECKS,
];

export type Diagnosis = {
  findings: readonly Finding[];
  unchecked: readonly { id: string; reason: string }[];
  /** Ran whole and found no hazard (a note is none). */
  passed: readonly string[];
  /** Not asked for. */
  leftOut: readonly string[];
};

const SEVERITIES: readonly Severity[] = ["error", "warning", "note"];

export async function diagnose(facts: Facts, wanted: (check: Check) => boolean): Promise<Diagnosis> {
  const checks = CHECKS.filter(wanted);
  const results = await Promise.all(
    checks.map(async (check) => {
      try {
        const { findings, unchecked = [] } = await check.run(facts);
        return { check, findings, unchecked };
      } catch (error) {
        return { check, findings: [], unchecked: [reasonOf(error)] };
      }
    }),
  );
  const rank = ({ severity }: Finding) => SEVERITIES.indexOf(severity);
  return {
    findings: results.flatMap(({ findings }) => findings).sort((a, b) => rank(a) - rank(b)),
    unchecked: results.flatMap(({ check: { id }, unchecked }) => unchecked.map((reason) => ({ id, reason }))),
    passed: results
      .filter(
        ({ findings, unchecked }) => unchecked.length === 0 && findings.every(({ severity }) => severity === "note"),
      )
      .map(({ check: { id } }) => id),
    leftOut: CHECKS.filter((check) => !checks.includes(check)).map(({ id }) => id),
  };
}

export type Verdict = "clean" | "unsafe" | "warnings" | "unchecked";

/** What weighs most: data at risk, then other hazards, then not having looked everywhere. */
export function verdictOf({ findings, unchecked }: Diagnosis): Verdict {
  if (findings.some(({ severity }) => severity === "error")) return "unsafe";
  if (findings.some(({ severity }) => severity === "warning")) return "warnings";
  return unchecked.length > 0 ? "unchecked" : "clean";
}

export const EXITS = {
  clean: 0,
  unsafe: EXIT_CODES.unsafe[0],
  warnings: EXIT_CODES.failed[0],
  unchecked: EXIT_CODES.io[0],
} as const satisfies Record<Verdict, number>;
