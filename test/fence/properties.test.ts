/**
 * Any input at all: options are understood or refused with an OpsError, and a record is one line whatever it holds.
 * More than 20,000 random inputs; the compiled agent gets its share in test/program/random-input.test.ts.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { OpsError } from "../../src/core/errors.ts";
import { ACTIONS, OPTIONS, type Options, parseArgv, parseStdin, resolveOptions } from "../../src/fence/options.ts";
import { type EncodedEvent, encodeEvent, type FenceEvent, renderReadable } from "../../src/records/fence-event.ts";

const NAMES = [...OPTIONS.map(({ name }) => name), "port", "hostname", "nodename", "debug", "__proto__", "constructor"];

const text = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: "binary", maxLength: 40 }) },
  { weight: 3, arbitrary: fc.string({ maxLength: 40 }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(...ACTIONS, "record", "gate", "0", "1", "-1", "5s", "1e999", "NaN", "/", ""),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('"', '""', '"a"', "'", "=", "#", "\\", "\u2028", "\ud800", "a".repeat(5000)),
  },
);
const line = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(fc.constantFrom(...NAMES), text).map(([name, value]) => `${name}=${value}`) },
  { weight: 1, arbitrary: text },
);
const stdin = fc.array(line, { maxLength: 10 }).map((lines) => lines.join("\n"));
const word = fc.oneof(
  text,
  fc.tuple(fc.constantFrom(...NAMES), text).map(([name, value]) => `--${name.replaceAll("_", "-")}=${value}`),
  fc.constantFrom("-o", "-n", "-q", "-v", "-vvv", "-D", "-h", "-V", "--", "-", "--action", "--plug", "-on", "-nx"),
);
const argv = fc.array(word, { maxLength: 8 });

/** Options, or undefined when they were refused in the way they must be. */
function understood(parse: () => Options): Options | undefined {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    expect(error.kind).toBe("usage");
    expect(error.message).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
    return undefined;
  }
}

function expectSane(options: Options): void {
  expect(ACTIONS).toContain(options.action);
  expect(options.target).not.toBe("");
  expect(options.logDir.startsWith("/")).toBe(true);
  expect(options.discoveryTimeoutMs).toBeGreaterThanOrEqual(0);
  expect(options.discoveryTimeoutMs).toBeLessThanOrEqual(60_000);
  expect(Number.isInteger(options.verboseLevel)).toBe(true);
  for (const warning of options.warnings) expect(warning).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
}

it("understands or refuses any stdin", () => {
  fc.assert(
    fc.property(stdin, (input) => {
      const options = understood(() => resolveOptions(parseStdin(input), {}, () => undefined));
      if (options) expectSane(options);
    }),
    { numRuns: 12_000 },
  );
});

it("understands or refuses any argv", () => {
  fc.assert(
    fc.property(argv, (words) => {
      const options = understood(() => resolveOptions(parseArgv(words), {}, () => undefined));
      if (options) expectSane(options);
    }),
    { numRuns: 6_000 },
  );
});

it("understands or refuses any environment and configuration file", () => {
  const environment = fc.record(
    { LOG_DIR: text, FENCE_LOG: text, GFS2_DISCOVERY_ENABLED: text, KUBECTL_CMD: text, KUBECONFIG: text },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(environment, stdin, (env, config) => {
      const options = understood(() => resolveOptions(parseStdin("action=off\nplug=n1"), env, () => config));
      if (options) expectSane(options);
    }),
    { numRuns: 4_000 },
  );
});

it("takes the same from argv and from stdin", () => {
  const valued = OPTIONS.filter(({ type }) => type !== "boolean").map(({ name }) => name);
  // What a line cannot carry (a newline, spaces around, quotes around) can differ; all else must not.
  const value = fc
    .string({ maxLength: 30 })
    .filter((given) => given === given.trim() && !/[\n\r]|^".*"$/.test(given) && given !== "");
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom(...valued), value), { minLength: 1, maxLength: 6 }), (pairs) => {
      const fromArgv = understood(() =>
        resolveOptions(
          parseArgv(pairs.map(([name, given]) => `--${name.replaceAll("_", "-")}=${given}`)),
          {},
          () => undefined,
        ),
      );
      const fromStdin = understood(() =>
        resolveOptions(parseStdin(pairs.map(([name, given]) => `${name}=${given}`).join("\n")), {}, () => undefined),
      );
      expect(fromArgv).toEqual(fromStdin);
    }),
    { numRuns: 4_000 },
  );
});

it("writes any event as one line of JSON and one readable line", () => {
  const optional = (arbitrary: fc.Arbitrary<string>) => fc.option(arbitrary, { nil: undefined });
  fc.assert(
    fc.property(
      text,
      optional(text),
      text,
      fc.array(text, { maxLength: 4 }),
      text,
      (target, plug, details, names, reason) => {
        const event: FenceEvent = {
          eventId: "01930000-0000-7000-8000-000000000000",
          action: "off",
          target,
          ...(plug === undefined ? {} : { plug }),
          status: "initiated",
          details,
          recorderNode: reason,
          source: "manual",
          time: new Date(0),
          discovery: {
            result: names.length > 0 ? "found" : "unknown",
            elapsedMs: 1.5,
            attempts: [{ method: "dlm", status: "failed", elapsedMs: 0, reason }],
          },
          filesystems: names.map((name) => ({ name })),
          role: "record",
          bootId: "b",
          agentVersion: "0",
        };
        const written = JSON.stringify(encodeEvent(event));
        expect(written).not.toMatch(/[\n\r]/);
        const record = JSON.parse(written) as EncodedEvent;
        expect(record.target_node).toBe(target.toWellFormed());
        expect(JSON.stringify(record)).toBe(written);
        const readable = renderReadable(record);
        expect(readable).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
        expect(readable).toMatch(/^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] ACTION=off TARGET=/);
      },
    ),
    { numRuns: 6_000 },
  );
});
