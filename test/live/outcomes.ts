/**
 * What became of a program that was run in a lab, for assertions that show its last words when they fail.
 */
import { expect } from "vitest";
import type { Output } from "./cluster.ts";

export const exits = ({ exitCode, stderr, stdout, timedOut, elapsedMs }: Output): string =>
  timedOut
    ? `killed after ${Math.round(elapsedMs / 1000)} s: ${stdout.slice(-1_000)}${stderr}`
    : `${exitCode} ${stderr}`;

export function expectDone(output: Output): Output {
  expect(exits(output)).toMatch(/^0 /);
  return output;
}

export function expectRefused(output: Output, why: RegExp, code = 107): void {
  expect(exits(output)).toMatch(new RegExp(`^${code} `));
  expect(output.stderr).toMatch(why);
}
