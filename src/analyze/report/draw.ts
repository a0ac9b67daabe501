/**
 * The report's pictures, drawn by another process of our own: what the chart library takes is free again before the page
 * with its hundred thousand rows is put together, so neither needs more memory than any other question.
 * Output: Pictures. Errors: OpsError failed when the other process ends in any other way than by its answer.
 */
import { OpsError } from "../../core/errors.ts";
import { type Argv, failureOf, runCommand } from "../../core/exec.ts";
import type { ProgramContext } from "../../core/program.ts";
import { type ChartNumbers, type Pictures, renderCharts } from "./charts.ts";

/** The first word of the other process; no subcommand of users. */
export const DRAW_WORD = "--draw-charts";
const TIMEOUT_MS = 60_000;

export async function drawCharts(self: Argv | undefined, numbers: ChartNumbers): Promise<Pictures> {
  if (!self) return renderCharts(numbers);
  const result = await runCommand([...self, "analyze", DRAW_WORD], {
    timeoutMs: TIMEOUT_MS,
    group: "caller",
    input: JSON.stringify(numbers),
  });
  const failure = failureOf(result, TIMEOUT_MS);
  if (failure !== undefined) throw new OpsError("failed", `report: the pictures were not drawn: ${failure}`);
  return JSON.parse(result.stdout) as Pictures;
}

/** What the other process does: numbers on stdin, pictures on stdout. */
export async function runDraw({ stdin, out }: ProgramContext): Promise<number> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stdin()) text += decoder.decode(chunk, { stream: true });
  await out(JSON.stringify(await renderCharts(JSON.parse(text) as ChartNumbers)));
  return 0;
}
