/** Plans that turn switches on, and back off when they are undone. */
import type { Plan, Step } from "../../src/core/plan.ts";

export const stepNamed = (id: string, more: Partial<Step> = {}): Step => ({
  id,
  kind: "switch",
  title: `turn ${id} on`,
  argv: ["turn", id, "on"],
  timeoutMs: 1_000,
  destructive: false,
  waits: false,
  doneWhen: "it is on",
  undo: { argv: ["turn", id, "off"], timeoutMs: 1_000 },
  data: { name: id },
  ...more,
});
export const planOf = (...steps: Step[]): Plan => ({
  version: 1,
  operation: "test.switch",
  title: "switch on",
  object: "switches",
  warnings: [],
  picture: [],
  steps,
});
