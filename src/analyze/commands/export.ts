/** `fencepost analyze export`: the events for another program: spreadsheet, script, search engine. */
import { OpsError } from "../../core/errors.ts";
import { writeAnswer } from "../../core/files.ts";
import { counted } from "../../core/text.ts";
import { type AnalyzeCommand, withLogs } from "../command.ts";
import { DEFAULT_INDEX, EXPORT_FORMATS, type ExportFormat, exportEvents } from "../export.ts";
import { collectGarbage, leaveGarbage } from "../garbage.ts";
import { readBatches } from "../read.ts";

/** A row's cells leave so much more behind than its text (measured: 100 MB at 10 M events with 2, 84 MB with 12). */
const GARBAGE_OF_CELLS = 12;

const isFormat = (word: unknown): word is ExportFormat => EXPORT_FORMATS.some((format) => format === word);

export const exportCommand: AnalyzeCommand = {
  command: "export [files..]",
  describe:
    "Writes the events that match for other programs.\n" +
    "csv: one event a line; a cell that a spreadsheet would take for a formula gets a ' before it.\n" +
    "ndjson, json: what was recorded, every key untouched. elastic-bulk: for POST /_bulk of Elasticsearch and OpenSearch; " +
    "importing it again changes nothing.",
  options: {
    format: { alias: "f", describe: "what to write; with --json it is json", choices: EXPORT_FORMATS },
    output: { alias: "o", describe: "file to write, whole or not at all; - is stdout", type: "string", default: "-" },
    outcomes: { describe: "what became of the fences, instead of the recorders' events", type: "boolean" },
    index: { describe: "index that elastic-bulk names", type: "string", default: DEFAULT_INDEX },
  },
  examples: [
    ["export --format csv --since 30d -o fences.csv", "for a spreadsheet"],
    ["export -f elastic-bulk -o bulk.ndjson", "for a search engine: POST it to URL/_bulk as application/x-ndjson"],
    ["export -f ndjson --node compute-node-3 | jq .details", "for a script"],
  ],
  run: async (context, args) => {
    const { own } = args;
    const format = own.format ?? (args.json ? "json" : undefined);
    if (!isFormat(format)) {
      throw new OpsError("usage", `export: --format is needed: ${EXPORT_FORMATS.join(", ")}`, {
        hint: "fencepost analyze export --format csv",
      });
    }
    const output = String(own.output);
    if (output === "") {
      throw new OpsError("usage", "export: --output: no file named", {
        hint: "--output fences.csv, --output - for stdout",
      });
    }
    let count = 0;
    await withLogs(context, args, async (logs) => {
      const counted = async function* () {
        for await (const batch of readBatches(logs, { stream: own.outcomes === true ? "outcomes" : "asked" })) {
          count += batch.length;
          yield batch;
        }
      };
      const text = exportEvents(counted(), { format, index: String(own.index) });
      const spent = async function* () {
        for await (const part of text) {
          yield part;
          leaveGarbage(logs, part.length * (format === "csv" ? GARBAGE_OF_CELLS : 2));
          collectGarbage(logs);
        }
      };
      if (output === "-") for await (const part of spent()) await context.out(part);
      else await writeAnswer(output, spent());
    });
    if (output !== "-") context.err(`${output}: ${counted(count, "event")}`);
    return 0;
  },
};
