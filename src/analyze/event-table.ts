/**
 * Events as a table for a person: the title with the first batch, and the widths that it needs for all.
 */
import type { Terminal } from "../core/program.ts";
import type { AnalyzedEvent } from "./event.ts";
import {
  type Column,
  fitColumns,
  paintFor,
  paintStatus,
  renderTable,
  showFilesystems,
  showTime,
  showZone,
} from "./table.ts";

export function eventTable(terminal: Terminal): (batch: readonly AnalyzedEvent[]) => string {
  const paint = paintFor(terminal);
  const columns: Column[] = [
    { title: `TIME ${showZone()}` },
    { title: "ACTION" },
    { title: "NODE", flexible: true },
    { title: "STATUS", paint: (text) => paintStatus(paint, text) },
    { title: "GFS2", flexible: true },
    { title: "RECORDER", flexible: true, givesWay: 1 },
  ];
  let widths: number[] | undefined;
  return (batch) => {
    const rows = batch.map((event) => [
      showTime(event.timeMs),
      event.action,
      event.target,
      event.status,
      showFilesystems(event),
      event.recorder,
    ]);
    const title = widths === undefined;
    widths ??= fitColumns(columns, rows, terminal.columns);
    return renderTable(columns, rows, { terminal, title, widths });
  };
}
