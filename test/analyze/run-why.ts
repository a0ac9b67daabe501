/** Asks `why` about compute-node-2 of the captured cluster, and takes its page apart. */
import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { analyze, CAPTURED } from "./run-analyze.ts";

type Finding = { topic: string; time: string | null; text: string; file: string; line: number };
export type Page = {
  target_node: string;
  incident: string;
  action: string;
  result: string;
  started: string;
  completed: string;
  duration_ms: number;
  gfs2_filesystems: string[] | null;
  fenced_by: string[] | null;
  left_off: boolean | null;
  lockspaces: { name: string; blocked_ms: number; exact: boolean; blocked_from: Place; blocked_until: Place }[];
  findings: Finding[];
  not_known: { topic: string; text: string }[];
  not_read: { source: string; reason: string }[];
  clocks: { file: string; basis: string }[];
  others: unknown[];
};
type Place = { time: string; what: string; file: string; line: number };

export const log = (name: string) => `${CAPTURED}/${name}`;
export const lines = (name: string): string[] => readFileSync(log(name), "utf8").split("\n");
export const ALL_OF = (run: string) => [
  ...["--pacemaker-log", log(`${run}/*.pacemaker.log`)],
  ...[
    "--dlm-log",
    log(`${run}/rabbit-node-1.dlm_tool-dump.txt`),
    "--dmesg",
    log(`${run}/rabbit-node-1.dmesg-gfs2-dlm.txt`),
  ],
];
export const FIRST = [
  ...ALL_OF("logs-run1"),
  "--corosync-log",
  log("logs-run1/rabbit-node-1.corosync.log"),
  "--history",
  log("c2-rejoined/stonith_admin-history.xml"),
];
export const SECOND = [
  ...ALL_OF("logs-final"),
  "--history",
  log("b2-second-failure-recorder-first/after.stonith_admin-history.xml"),
  "--at",
  "2026-11-20T10:50:00Z",
];

export const why = async (...words: string[]): Promise<Page> => {
  const { stdout, exitCode } = await analyze(["why", "compute-node-2", ...words, "--json"], {
    env: { LOG_DIR: "/nonexistent" },
  });
  expect(exitCode).toBe(0);
  return JSON.parse(stdout) as Page;
};
const clock = (time: string | null) => time?.slice(11, 19) ?? "?";
/** `10:40:30 text file:line` */
export const told = ({ findings }: Page, topic: string): string[] =>
  findings
    .filter((finding) => finding.topic === topic)
    .map(({ time, text, file, line }) => `${clock(time)} ${text} ${file.slice(file.lastIndexOf("/") + 1)}:${line}`);
export const unknown = ({ not_known }: Page, topic: string): string[] =>
  not_known.filter((gap) => gap.topic === topic).map(({ text }) => text);
