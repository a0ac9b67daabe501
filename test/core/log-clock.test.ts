import { describe, expect, it } from "vitest";
import { parseStamp, resolveStamps, type Stamp } from "../../src/core/log-clock.ts";

const stamp = (text: string): Stamp => parseStamp(text)?.stamp ?? expect.fail(`no stamp: ${text}`);
const local = (year: number, month: number, day: number, hour: number): number =>
  new Date(year, month - 1, day, hour).getTime();
const utc = (text: string): number => Date.parse(text);

describe("a stamp", () => {
  it.each([
    ["Nov 20 10:40:43.057 rabbit-node-1 …", 19, { month: 10, day: 20, hour: 10, minute: 40, second: 43, ms: 57 }],
    ["Nov  3 10:40:43 rabbit-node-1 …", 15, { month: 10, day: 3, hour: 10, minute: 40, second: 43, ms: 0 }],
    // dlm_controld's: the number is its uptime.
    ["Nov 20 10:40:43 1260 fence …", 15, { month: 10, day: 20, hour: 10, minute: 40, second: 43, ms: 0 }],
    [
      "Fri Nov 20 10:40:43 2026] dlm: …",
      24,
      { year: 2026, month: 10, day: 20, hour: 10, minute: 40, second: 43, ms: 0 },
    ],
    [
      "2026-11-20T10:40:43,134441+01:00 dlm: …",
      32,
      { year: 2026, month: 10, day: 20, hour: 10, minute: 40, second: 43, ms: 134, zoneMinutes: 60 },
    ],
    [
      "2026-11-20 10:44:08Z",
      20,
      { year: 2026, month: 10, day: 20, hour: 10, minute: 44, second: 8, ms: 0, zoneMinutes: 0 },
    ],
  ])("is read from %s", (text, length, expected) => {
    expect(parseStamp(text)).toEqual({ stamp: expected, length });
  });

  it.each(["", "747 gfs2-scratch wait for fencing", "Nix 20 10:40:43", "[  747.134441] dlm: x"])(
    "is not seen in '%s'",
    (text) => {
      expect(parseStamp(text)).toBeUndefined();
    },
  );
});

describe("year and zone", () => {
  it("come from the stamps where they hold them", () => {
    expect(resolveStamps([stamp("2026-11-20T10:40:43+01:00")], { modifiedMs: 0 })).toEqual({
      timesMs: [utc("2026-11-20T09:40:43Z")],
      basis: "written",
    });
  });

  it("are the file's year and this machine's zone where nothing tells, and that is said", () => {
    const { timesMs, basis } = resolveStamps([stamp("Nov 20 10:00:00 x")], { modifiedMs: local(2027, 3, 1, 0) });
    expect({ timesMs, basis }).toEqual({ timesMs: [local(2026, 11, 20, 10)], basis: "assumed" });
  });

  it("keep a line written today in this year", () => {
    const { timesMs } = resolveStamps([stamp("Mar  1 10:00:00 x")], { modifiedMs: local(2027, 3, 1, 10) });
    expect(timesMs).toEqual([local(2027, 3, 1, 10)]);
  });

  it("turn with the year inside a file, but not for daemons that write a little out of order", () => {
    const stamps = ["Dec 31 23:00:00", "Dec 31 22:00:00", "Jan  1 01:00:00", "Jan  2 00:00:00"].map(stamp);
    const { timesMs } = resolveStamps(stamps, { modifiedMs: local(2027, 1, 2, 5) });
    expect(timesMs).toEqual([
      local(2026, 12, 31, 23),
      local(2026, 12, 31, 22),
      local(2027, 1, 1, 1),
      local(2027, 1, 2, 0),
    ]);
  });

  it("follow from an epoch in the file, whatever this machine's zone and the file's date are", () => {
    // Written in UTC+5:30, two seconds after the epoch it names.
    const stamps = ["Dec 31 23:59:00", "Jan  1 00:00:02", "Jan  1 00:01:00"].map(stamp);
    const { timesMs, basis, tie } = resolveStamps(stamps, {
      modifiedMs: local(2031, 6, 1, 0),
      anchors: [{ index: 1, epochMs: utc("2026-12-31T18:30:00Z") }],
    });
    expect(basis).toBe("anchored");
    expect(timesMs.map((timeMs) => new Date(timeMs).toISOString())).toEqual([
      "2026-12-31T18:29:00.000Z",
      "2026-12-31T18:30:02.000Z",
      "2026-12-31T18:31:00.000Z",
    ]);
    expect(tie).toMatchObject({ offsetMs: 5.5 * 3_600_000 });
  });

  it("are borrowed from another file of the cluster that tells them", () => {
    const { timesMs, basis } = resolveStamps([stamp("Jan  1 00:00:05")], {
      modifiedMs: local(2031, 6, 1, 0),
      borrowed: { epochMs: utc("2026-12-31T18:00:00Z"), offsetMs: 5.5 * 3_600_000 },
    });
    expect({ basis, time: new Date(timesMs[0] ?? 0).toISOString() }).toEqual({
      basis: "borrowed",
      time: "2026-12-31T18:30:05.000Z",
    });
  });
});
