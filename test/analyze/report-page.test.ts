import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { Aggregate, type ReportIncident } from "../../src/analyze/report/aggregate.ts";
import { chartNumbers, renderCharts } from "../../src/analyze/report/charts.ts";
import { type Provenance, renderPage } from "../../src/analyze/report/page.ts";
import { encodeTable } from "../../src/analyze/report/table-data.ts";
import { formatDuration, html, scriptJson, visible } from "../../src/analyze/report/words.ts";
import { START, incident as usualIncident } from "./report-incident.ts";

const HOSTILE = [
  "</script><script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "\" onmouseover=alert(1) x='",
  "<!--<script>",
  "]]></style><svg onload=alert(1)>",
  "&lt;b&gt;",
  "a\u202egnp.exe\u2066",
  "nul\u0000esc\u001b[31m\nline\u2028sep",
  "\ud800lone",
];

const incident = (more: Partial<ReportIncident> = {}): ReportIncident =>
  usualIncident({
    duration: { ms: 1234, isMinimum: false },
    device: "ipmi",
    evidence: { file: "/var/log/a/x.jsonl", line: 7 },
    ...more,
  });

const PROVENANCE: Provenance = {
  madeLocalMs: START,
  version: "1.2.3",
  inputs: ["/var/log/a/x.jsonl"],
  filters: [],
  outcomesRead: true,
  badLines: { count: 0, examples: [] },
};

async function pageOf(incidents: Iterable<ReportIncident>, provenance: Partial<Provenance> = {}) {
  const aggregate = new Aggregate({ name: "UTC", offsetMinutes: () => 0 });
  for (const one of incidents) aggregate.add(one);
  const numbers = aggregate.finish();
  const { parts, listed } = renderPage(numbers, await renderCharts(chartNumbers(numbers)), {
    ...PROVENANCE,
    ...provenance,
  });
  return { text: Buffer.concat(parts).toString(), listed };
}

/** What the page's own script reads. */
const dataOf = (text: string) =>
  JSON.parse(/<script type="application\/json" id="incident-data">(.*?)<\/script>/s.exec(text)?.[1] ?? "null");

describe("the page", () => {
  it("holds its own scripts and styles, by hash, and forbids everything else", async () => {
    const { text } = await pageOf([incident()]);
    const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(text)?.[1] ?? "";
    expect(policy).toContain("default-src 'none'");
    const hash = (body: string) => `'sha256-${createHash("sha256").update(body).digest("base64")}'`;
    const script = /<script>([\s\S]*?)<\/script>/.exec(text)?.[1] ?? "";
    const style = /<style>([\s\S]*?)<\/style>/.exec(text)?.[1] ?? "";
    expect(policy).toContain(`script-src ${hash(script)}`);
    expect(policy).toContain(`style-src ${hash(style)}`);
    expect(text.match(/<style/g)).toHaveLength(1);
    expect(text.match(/<script/g)).toHaveLength(2);
    expect(text).not.toMatch(/ (?:style|on\w+)="/);
    expect(text).not.toMatch(/https?:|url\(|@import|<link|<iframe|<img/);
  });

  it("calls a time without its beginning a minimum, and not the time from the request", async () => {
    const whole = await pageOf([incident()]);
    expect(whole.text).toContain("Known for 1 of 1 incident, from the request to Pacemaker's verdict.");
    expect(whole.text).toContain('data-label="Duration">1.2 s<');
    const { text } = await pageOf([incident({ duration: { ms: 50_169, isMinimum: true } })]);
    expect(text).not.toContain("from the request");
    expect(text).toContain("for all of them only from the first recorded line on: they took at least");
    expect(text).toContain('data-label="Duration">at least 50 s<');
  });

  it("shows hostile names as text wherever they come", async () => {
    const incidents = HOSTILE.map((name) =>
      incident({
        target: name,
        filesystems: [name],
        recorders: [name],
        reason: name,
        device: name,
        client: name,
        action: name,
        evidence: { file: name, line: 1 },
      }),
    );
    const { text } = await pageOf(incidents, {
      inputs: HOSTILE,
      filters: HOSTILE,
      badLines: { count: 9, examples: HOSTILE.map((name) => ({ file: name, line: 1, reason: name })) },
    });
    expect(text.match(/<script/g)).toHaveLength(2);
    expect(text.match(/<\/script/g)).toHaveLength(2);
    expect(text).not.toContain("<img");
    expect(text).not.toContain("<!--");
    const markup = text.replace(/<(script|style)[\s\S]*?<\/\1>/g, "").replace(/="[^"]*"/g, "");
    expect(markup).not.toMatch(/<[^>]*onmouseover/);
    expect(text).not.toContain("<svg onload");
    // Nothing unseen: no control character, nothing that turns the text around.
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/);
    expect(text.isWellFormed()).toBe(true);
    expect(dataOf(text).nodes).toEqual(HOSTILE.toReversed());
  });

  it("says unknown where nobody could be asked, and none where there was none", async () => {
    const { text } = await pageOf([
      incident({ context: "unknown", filesystems: [] }),
      incident({ context: "none", filesystems: [], timeMs: START + 1 }),
    ]);
    expect(text).toMatch(/data-label="GFS2"><span class="gfs2-unknown">unknown<\/span>/);
    expect(text).toMatch(/data-label="GFS2"><span class="missing">none in use<\/span>/);
    expect(text).toContain("1 incident with unknown GFS2 context");
    expect(text).toContain("Unknown, because no source could be asked: 1 incidents; none in use: 1");
  });

  it("names what it could not read", async () => {
    const { text } = await pageOf([incident({ result: "unknown" })], {
      outcomesRead: false,
      badLines: { count: 3, examples: [{ file: "/var/log/a/x.jsonl", line: 12, reason: "no JSON: xx" }] },
    });
    expect(text).toContain("<code>/var/log/a/x.jsonl:12</code> (no JSON: xx)");
    expect(text).toContain("3 lines that could not be read");
    expect(text).toContain("No file with outcomes");
  });

  it("is a page also when there is nothing to show", async () => {
    const { text, listed } = await pageOf([]);
    expect(listed).toBe(0);
    expect(text).toContain("No fence event matches.");
    expect(text).not.toContain("<script");
  });

  it("gives every picture a title and a description, and no id twice", async () => {
    const { text } = await pageOf([incident()]);
    const pictures = text.match(/<svg [^>]*>/g) ?? [];
    expect(pictures).toHaveLength(8);
    for (const picture of pictures) {
      const [, title = "", description = ""] = /aria-labelledby="(\S+) (\S+)"/.exec(picture) ?? [];
      expect(text).toContain(`<title id="${title}">`);
      expect(text).toContain(`<desc id="${description}">`);
      expect(picture).toContain('role="img"');
    }
    const ids = [...text.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("stays under 3 MB however long the names are, and says how many incidents it lists", async () => {
    const long = (index: number) => `node-${index}-${"é".repeat(240)}`;
    const { text, listed } = await pageOf(
      (function* () {
        for (let index = 0; index < 30_000; index++) {
          yield incident({ target: long(index % 9_000), timeMs: START + index * 1000, reason: long(index) });
        }
      })(),
    );
    expect(Buffer.byteLength(text)).toBeLessThan(3_000_000);
    expect(listed).toBeGreaterThan(1_000);
    expect(listed).toBeLessThan(30_000);
    expect(dataOf(text).n).toHaveLength(listed);
    expect(text).toContain(`The table lists the newest ${listed.toLocaleString("en-US")} incidents`);
  });
});

describe("the table's data", () => {
  it("gives back what went in", () => {
    const aggregate = new Aggregate({
      name: "test",
      offsetMinutes: (timeMs) => (timeMs < START + 3_600_000 ? 60 : 120),
    });
    const times = [0, 1_500, 61_000, 61_000, 7_200_000];
    for (const [index, time] of times.entries()) {
      aggregate.add(
        incident({
          timeMs: START + time,
          target: `n${index % 2}`,
          duration: index === 1 ? undefined : { ms: index * 1000.4, isMinimum: index === 3 },
          evidence: { file: `/log/${index % 2}`, line: 100 - index },
          lineCount: index + 1,
        }),
      );
    }
    aggregate.add(incident({ timeMs: Number.NaN }));
    const data = JSON.parse(Buffer.concat(encodeTable(aggregate.finish().columns, 1_000_000).parts).toString());
    expect(data.t).toEqual([START / 1000 + 7200, 7139, 0, 60, 1, null]);
    expect(data.o).toEqual([
      [0, 120],
      [1, 60],
      [5, 0],
    ]);
    expect(data.d).toEqual([4002, -3003, 2001, -1, 0, 1234]);
    expect(data.c).toEqual([5, 4, 3, 2, 1, 1]);
    let line = 0;
    expect(data.l.map((step: number) => (line += step))).toEqual([96, 97, 98, 99, 100, 7]);
    expect(data.n.map((index: number) => data.nodes[index])).toEqual(["n0", "n1", "n0", "n1", "n0", "compute-node-1"]);
    expect(data.f.map((index: number) => data.files[index]).slice(0, 2)).toEqual(["/log/0", "/log/1"]);
  });

  it("keeps to its bytes, with the newest rows", () => {
    const aggregate = new Aggregate({ name: "UTC", offsetMinutes: () => 0 });
    for (let index = 0; index < 5_000; index++)
      aggregate.add(incident({ timeMs: START + index * 1000, target: `n${index}` }));
    const { parts, listed } = encodeTable(aggregate.finish().columns, 20_000);
    const json = Buffer.concat(parts).toString();
    expect(json.length).toBeLessThanOrEqual(20_000);
    expect(json.length).toBeGreaterThan(18_000);
    const data = JSON.parse(json);
    expect(data.nodes[0]).toBe("n4999");
    for (const key of ["t", "n", "k", "d", "c", "f", "l"]) expect(data[key]).toHaveLength(listed);
  });
});

describe("words", () => {
  it.each([
    [0.2, "0 ms"],
    [0, "0 ms"],
    [1, "1 ms"],
    [123, "120 ms"],
    [949, "950 ms"],
    [1_000, "1 s"],
    [1_260, "1.3 s"],
    [9_949, "9.9 s"],
    [59_499, "59 s"],
    [59_600, "1 min"],
    [200_000, "3 min 20 s"],
    [3_599_600, "1 h"],
    [7_500_000, "2 h 5 min"],
    [200_000_000, "2 d 7 h"],
  ])("writes %d ms as %s", (ms, words) => {
    expect(formatDuration(ms)).toBe(words);
  });

  it("makes text safe for markup, and JSON for a script element", () => {
    expect(html(`<a href="x">'&`)).toBe("&lt;a href=&quot;x&quot;&gt;&#39;&amp;");
    expect(scriptJson("</script><!--\u2028")).toBe('"\\u003c/script\\u003e\\u003c!--\\u2028"');
    expect(JSON.parse(scriptJson(HOSTILE))).toEqual(HOSTILE);
    expect(visible("a\u202eb\u200bc")).toBe("a\\u202eb\\u200bc");
  });
});
