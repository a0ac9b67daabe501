/** `why`: which lines are one operation, whatever the logs leave out and however far the nodes' clocks lie apart. */
import { expect, it } from "vitest";
import { fileWith } from "./run-analyze.ts";
import { unknown, why } from "./run-why.ts";

it("gives a device that is asked twice, being in two levels, both its answers", async () => {
  const LINES = [
    ["00.100", "Client pacemaker-controld.38 wants to fence (off) compute-node-2 using any device"],
    ["00.110", "Requesting peer fencing (off) targeting compute-node-2 | id=aaaaaaaa state=querying base_timeout=60"],
    ["00.200", "rec asked"],
    ["02.000", "rec: complete"],
    ["02.100", "ipmi asked"],
    ["22.000", "ipmi: Error occurred"],
    ["22.100", "rec asked"],
    ["24.000", "rec: complete"],
    ["24.100", "pdu asked"],
    ["27.000", "pdu: complete"],
    [
      "27.100",
      "Operation 'off' targeting compute-node-2 by n3 for pacemaker-controld.38@n1: OK (complete) | id=aaaaaaaa",
    ],
  ];
  const text = LINES.map(([second, words = ""]) => {
    const said = words
      .replace(
        /^(\w+) asked$/,
        "Requesting that n3 perform 'off' action targeting compute-node-2 using $1 | for client pacemaker-controld.38 (72s)",
      )
      .replace(
        /^(rec|ipmi|pdu): /,
        "Action 'off' targeting compute-node-2 using $1 on behalf of pacemaker-controld.38@n1: ",
      );
    return `Nov 20 10:00:${second} n1 pacemaker-fenced    [391] (fn) \tnotice: ${said}\n`;
  });
  const page = await why("--pacemaker-log", fileWith(text.join(""), "n1.pacemaker.log"));
  expect(page.findings.filter(({ topic }) => topic === "attempts").map(({ text, line }) => [text, line])).toEqual([
    ["off by rec on n3 (limit 72 s)", 3],
    ["answered after 1.8 s", 4],
    ["off by ipmi on n3 (limit 72 s)", 5],
    ["Error occurred after 20 s", 6],
    ["off by rec on n3 (limit 72 s)", 7],
    ["answered after 1.9 s", 8],
    ["off by pdu on n3 (limit 72 s)", 9],
    ["answered after 2.9 s", 10],
  ]);
  expect(unknown(page, "attempts")).toEqual(["the level's number is not known: Pacemaker does not log it"]);
});
