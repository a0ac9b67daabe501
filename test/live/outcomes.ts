/**
 * What became of a program that was run in a lab, for assertions that show its last words when they fail.
 */
import { expect } from "vitest";
import type { Output } from "./cluster.ts";

export const exits = ({ exitCode, stderr }: Output): string => `${exitCode} ${stderr}`;

export function expectDone(output: Output): Output {
  expect(exits(output)).toMatch(/^0 /);
  return output;
}

export function expectRefused(output: Output, why: RegExp, code = 107): void {
  expect(exits(output)).toMatch(new RegExp(`^${code} `));
  expect(output.stderr).toMatch(why);
}
