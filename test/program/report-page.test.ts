/**
 * `fencepost analyze report` and `export` through the built executable, and the page in a real browser: as a person uses
 * it, by mouse and by keyboard, on a screen, a phone and paper.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { EXECUTABLE, liveDescribe } from "../live/requirements.ts";

const START = Date.UTC(2026, 0, 1);
const MINUTE = 60_000;
const EVENTS = 100_000;
const NODES = 50;
const HOSTILE = "<img src=x onerror=globalThis.pwned=1></script><script>globalThis.pwned=1</script>\u202e";

const scratch = mkdtempSync(join(tmpdir(), "fencepost-report-"));
const logs = join(scratch, "logs");
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** What becomes of event `index`, and which node it is about. Nodes come in turn, so that each event is an incident. */
const resultOf = (index: number) =>
  index % 10 === 3 ? "refused" : index % 10 === 1 ? "failed" : index % 2 === 0 ? "succeeded" : "unknown";
const nodeOf = (index: number) => (index % NODES === 7 ? HOSTILE : `compute-node-${(index % NODES) + 1}`);
const contextOf = (index: number) => (index % 4 === 0 ? "unknown" : index % 4 === 1 ? "none" : "found");
const countOf = (test: (index: number) => boolean) =>
  Array.from({ length: EVENTS }, (_, index) => index).filter(test).length;

function writeLogs(): void {
  const events: string[] = [];
  const outcomes: string[] = [];
  for (let index = 0; index < EVENTS; index++) {
    const timeMs = START + index * MINUTE;
    const result = resultOf(index);
    const common = {
      timestamp: new Date(timeMs).toISOString().replace(".000", ""),
      action: "reboot",
      target_node: nodeOf(index),
      gfs2_filesystems: contextOf(index) === "found" ? [`scratch-${index % 3}`] : ["none-detected"],
    };
    events.push(
      JSON.stringify({
        ...common,
        status: result === "refused" ? "refused" : "initiated",
        details: "Fence action reboot initiated by Pacemaker",
        recorder_node: "rabbit-node-1",
        pacemaker_action: "reboot",
        event_id: `e${index}`,
        time_ms: timeMs,
        recorded_ms: timeMs,
        source: "stonith",
        discovery: { result: contextOf(index) },
      }),
    );
    if (result === "refused" || result === "unknown") continue;
    outcomes.push(
      JSON.stringify({
        ...common,
        gfs2_filesystems: ["none-detected"],
        status: result,
        details: "outcome",
        recorder_node: "rabbit-node-2",
        pacemaker_action: "reboot",
        event_id: `o${index}`,
        time_ms: timeMs + 9000,
        recorded_ms: timeMs + 9000,
        source: "alert",
        discovery: { result: "unknown" },
        operation: {
          action: "reboot",
          client: "pacemaker-controld.17",
          origin: "rabbit-node-1",
          delegate: "rabbit-node-1",
          started_ms: timeMs,
          completed_ms: timeMs + 2000 + (index % 7) * 1000,
          ...(result === "failed" ? { reason: "No route to host" } : {}),
        },
      }),
    );
  }
  mkdirSync(logs);
  writeFileSync(join(logs, "fence-events-detailed.jsonl"), `${events.join("\n")}\nthis is no event\n`);
  writeFileSync(join(logs, "fence-outcomes.jsonl"), `${outcomes.join("\n")}\n`);
}

const analyze = (words: readonly string[], input = "", zone = "UTC") =>
  spawnSync(EXECUTABLE, ["analyze", ...words], {
    encoding: "utf8",
    input,
    timeout: 60_000,
    maxBuffer: 300 * 1024 * 1024,
    env: { PATH: process.env.PATH ?? "", LC_ALL: "C", TZ: zone },
  });

const thousands = (count: number) => count.toLocaleString("en-US");

liveDescribe("report and export, from the command line", ["executable"], () => {
  const small = join(scratch, "small.jsonl");
  beforeAll(() => {
    const line = (target: string) =>
      JSON.stringify({ timestamp: "2026-07-01T22:30:00Z", action: "off", target_node: target, recorder_node: "r1" });
    writeFileSync(small, `${line("n1")}\n${line("n2")}\n`);
  });

  it("writes the page whole, readable by group only", () => {
    const file = join(scratch, "small.html");
    const { status, stdout, stderr } = analyze(["report", "--html", file, small]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toContain("2 incidents from 2 lines");
    expect(statSync(file).mode & 0o777).toBe(0o640);
    expect(readFileSync(file, "utf8")).toMatch(/^<!DOCTYPE html>[\s\S]*<\/html>\n$/);
  });

  it("says in JSON what it wrote", () => {
    const file = join(scratch, "json.html");
    const { stdout } = analyze(["report", "--html", file, "--json", small]);
    expect(JSON.parse(stdout)).toMatchObject({
      html: file,
      incidents: 2,
      listed: 2,
      lines: 2,
      results: { succeeded: 0, failed: 0, refused: 0, unknown: 2 },
      contexts: { found: 0, none: 0, unknown: 2, disabled: 0 },
      bytes: statSync(file).size,
    });
  });

  it("shows times of this machine's zone, and UTC when asked", () => {
    const berlin = analyze(["report", "--html", "-", small], "", "Europe/Berlin").stdout;
    expect(berlin).toContain("Europe/Berlin");
    expect(berlin).toContain('<time datetime="2026-07-01T22:30:00Z">2026-07-02 00:30:00</time>');
    const utc = analyze(["report", "--html", "-", "--utc", small], "", "Europe/Berlin").stdout;
    expect(utc).toContain('<time datetime="2026-07-01T22:30:00Z">2026-07-01 22:30:00</time>');
  });

  it("counts only what the filters ask for", () => {
    const { stdout } = analyze(["report", "--html", "-", "--node", "n2", small]);
    expect(stdout).toContain("1 incident from 1 recorded line");
    expect(stdout).toContain("<code>--node n2</code>");
  });

  it.each([
    { name: "no file", words: ["report", small], status: 64, says: "--html" },
    {
      name: "a directory that is not there",
      words: ["report", "--html", join(scratch, "absent/x.html"), small],
      status: 74,
      says: "absent/x.html: cannot be written",
    },
    { name: "a device", words: ["report", "--html", "/dev/null", small], status: 107, says: "no regular file" },
    { name: "a directory", words: ["export", "-f", "csv", "-o", "/tmp", small], status: 107, says: "no regular file" },
    { name: "no format", words: ["export", small], status: 64, says: "--format is needed" },
  ])("refuses $name, with the documented exit code", ({ words, status, says }) => {
    const result = analyze(words);
    expect(result.stderr).toContain(says);
    expect(result.status).toBe(status);
    expect(statSync("/dev/null").isCharacterDevice()).toBe(true);
  });

  it("does not replace a link, and leaves the old file alone when reading fails", () => {
    const file = join(scratch, "precious.csv");
    const link = join(scratch, "link.csv");
    writeFileSync(file, "precious");
    symlinkSync(file, link);
    expect(analyze(["export", "-f", "csv", "-o", link, small]).status).toBe(107);
    const broken = join(scratch, "broken.jsonl.gz");
    writeFileSync(broken, "this is not gzip");
    expect(analyze(["export", "-f", "csv", "-o", file, broken]).status).not.toBe(0);
    expect(readFileSync(file, "utf8")).toBe("precious");
  });

  it("exports from stdin to stdout, and to a file", () => {
    const input = readFileSync(small, "utf8");
    expect(analyze(["export", "-f", "ndjson", "-"], input).stdout).toBe(input);
    const file = join(scratch, "out.json");
    const { status, stdout, stderr } = analyze(["export", "--json", "-o", file, "-"], input);
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "", stderr: `${file}: 2 events\n` });
    expect(JSON.parse(readFileSync(file, "utf8"))).toHaveLength(2);
    expect(statSync(file).mode & 0o777).toBe(0o640);
  });

  it("ends quietly when nobody reads on", () => {
    const big = join(scratch, "many.jsonl");
    writeFileSync(big, readFileSync(small, "utf8").repeat(20_000));
    const { status, stdout, stderr } = spawnSync(
      "bash",
      ["-c", 'set -o pipefail; "$0" analyze export -f csv "$1" | head -1', EXECUTABLE, big],
      { encoding: "utf8", timeout: 30_000 },
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/^time,action,/);
  });
});

liveDescribe("the page of 100,000 events in Chromium", ["executable", "chromium"], () => {
  const file = join(scratch, "report.html");
  let browser: Browser;

  beforeAll(async () => {
    writeLogs();
    const { status, stderr } = analyze(["report", "--html", file, logs]);
    expect(stderr).toContain("no event");
    expect(status).toBe(0);
    browser = await chromium.launch({
      executablePath: "/usr/bin/chromium",
      args: [
        "--no-sandbox", // root, in a test machine of its own
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    });
  });
  afterAll(() => browser?.close());

  /** The page, and all that went wrong or out while it was open. */
  async function openPage(options: { width?: number; javaScript?: boolean } = {}) {
    const context = await browser.newContext({
      viewport: { width: options.width ?? 1280, height: 900 },
      javaScriptEnabled: options.javaScript ?? true,
    });
    const page = await context.newPage();
    const troubles: string[] = [];
    page.on("console", (message) => troubles.push(`console: ${message.text()}`));
    page.on("pageerror", (error) => troubles.push(`error: ${error.message}`));
    page.on("dialog", (dialog) => {
      troubles.push(`dialog: ${dialog.message()}`);
      dialog.dismiss().catch(() => undefined);
    });
    page.on("request", (request) => {
      if (request.url() !== `file://${file}`) troubles.push(`request: ${request.url()}`);
    });
    onTestFinished(async () => {
      await context.close();
      expect(troubles).toEqual([]);
    });
    await page.goto(`file://${file}`);
    return page;
  }

  const status = (page: Page) => page.textContent("#filter-status");
  /** The page shows what was chosen when it gets to it, not before a click has returned. */
  const expectStatus = (page: Page) => expect.poll(() => status(page), { timeout: 10_000 });
  const rows = (page: Page) => page.locator("#incident-rows tr").count();
  const cells = (page: Page, label: string) => page.locator(`#incident-rows [data-label="${label}"]`).allTextContents();

  it("is under 3 MB and can be used within seconds", async () => {
    expect(statSync(file).size).toBeLessThan(3_000_000);
    const startedMs = performance.now();
    const page = await openPage();
    await expectStatus(page).toBe(
      `Showing 100 of ${thousands(EVENTS)} matching incidents (${thousands(EVENTS)} listed).`,
    );
    await page.uncheck("[name=result][value=succeeded]");
    await expectStatus(page).toContain(`of ${thousands(countOf((index) => resultOf(index) !== "succeeded"))} `);
    expect(performance.now() - startedMs).toBeLessThan(10_000);
    expect(await rows(page)).toBe(100);
    expect(await page.locator("*").count()).toBeLessThan(12_000);
  });

  it("filters by click: results, node, filesystem, dates; and clears", async () => {
    const page = await openPage();
    for (const result of ["succeeded", "refused", "unknown"]) await page.uncheck(`[name=result][value=${result}]`);
    await expectStatus(page).toContain(`of ${thousands(countOf((index) => resultOf(index) === "failed"))} matching`);
    expect(new Set(await cells(page, "Result"))).toEqual(new Set(["failed"]));

    await page.click("text=Clear filters");
    await page.selectOption("[name=context]", { label: "unknown" });
    await expectStatus(page).toContain(`of ${thousands(countOf((index) => contextOf(index) === "unknown"))} matching`);
    expect(new Set(await cells(page, "GFS2"))).toEqual(new Set(["unknown"]));
    await page.selectOption("[name=context]", { label: "scratch-1" });
    const scratch1 = (index: number) => contextOf(index) === "found" && index % 3 === 1;
    await expectStatus(page).toContain(`of ${thousands(countOf(scratch1))} matching`);

    await page.click("text=Clear filters");
    await page.click('a[data-node="compute-node-12"]');
    await expectStatus(page).toBe(
      `Showing 100 of ${thousands(EVENTS / NODES)} matching incidents (${thousands(EVENTS)} listed), node compute-node-12 only.`,
    );
    expect(new Set(await cells(page, "Node"))).toEqual(new Set(["compute-node-12"]));
    await page.click("#one-node");
    await expectStatus(page).toContain(`of ${thousands(EVENTS)} matching`);

    await page.fill("[name=from]", "2026-01-02");
    await page.fill("[name=until]", "2026-01-03");
    await expectStatus(page).toContain(`of ${thousands(2 * 1440)} matching`);
    await page.click("text=Clear filters");
    await expectStatus(page).toContain(`of ${thousands(EVENTS)} matching`);
  });

  it("can be used by keyboard alone: search, sort, show more", async () => {
    const page = await openPage();
    await page.keyboard.press("Tab");
    expect(await page.evaluate("document.activeElement.textContent")).toBe("Skip to the incidents");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Tab");
    expect(await page.evaluate("document.activeElement.name")).toBe("text");
    await page.keyboard.type("compute-node-11 no route");
    const failed11 = countOf((index) => nodeOf(index) === "compute-node-11" && resultOf(index) === "failed");
    await expectStatus(page).toContain(`of ${thousands(failed11)} matching`);
    await page.keyboard.press("Control+A");
    await page.keyboard.type("compute-node-1");
    // Words are looked for anywhere: 1, 10 to 19.
    const ones = countOf((index) => nodeOf(index).startsWith("compute-node-1"));
    await expectStatus(page).toContain(`Showing 100 of ${thousands(ones)} matching`);

    const focused = () => page.evaluate<string>("document.activeElement.dataset.sort || document.activeElement.id");
    const tabTo = async (wanted: string) => {
      for (let press = 0; press < 40 && (await focused()) !== wanted; press++) await page.keyboard.press("Tab");
      expect(await focused()).toBe(wanted);
    };
    await tabTo("time");
    expect(await page.getAttribute("th:has([data-sort=time])", "aria-sort")).toBe("descending");
    await page.keyboard.press("Enter");
    expect(await page.getAttribute("th:has([data-sort=time])", "aria-sort")).toBe("ascending");
    expect((await cells(page, "Time"))[0]).toBe("2026-01-01 00:00:00");
    await tabTo("duration");
    await page.keyboard.press("Space");
    expect((await cells(page, "Duration"))[0]).toBe("8 s");
    await page.keyboard.press("Space");
    expect((await cells(page, "Duration"))[0]).toBe("2 s"); // what is not known comes last, both ways
    await tabTo("more");
    await page.keyboard.press("Enter");
    expect(await rows(page)).toBe(200);
    await expectStatus(page).toContain("Showing 200 of");
    expect(await focused()).toBe("more");
  });

  it("says so when nothing matches", async () => {
    const page = await openPage();
    await page.fill("[name=text]", "no such words");
    await expectStatus(page).toContain("Showing 0 of 0 matching");
    expect(await page.textContent("#incident-rows")).toBe("No incident matches these filters.");
    expect(await page.isVisible("#more")).toBe(false);
  });

  it("shows a hostile node name as text and runs none of it", async () => {
    const page = await openPage();
    await page.fill("[name=text]", "onerror");
    await expectStatus(page).toContain(`of ${thousands(EVENTS / NODES)} matching`);
    expect((await cells(page, "Node"))[0]).toBe(HOSTILE.replace("\u202e", "\\u202e"));
    expect(await page.locator("img").count()).toBe(0);
    expect(await page.evaluate("globalThis.pwned")).toBe(undefined);
    await page.fill("[name=text]", "");
    await page
      .locator("a[data-node]", { hasText: "onerror" })
      .first()
      .evaluate((link) => {
        const details = (link as unknown as { closest(name: string): { open: boolean } | null }).closest("details");
        if (details) details.open = true;
      });
    await page.locator("a[data-node]", { hasText: "onerror" }).first().click();
    await expectStatus(page).toContain(`of ${thousands(EVENTS / NODES)} matching`);
  });

  it("may not ask a network, whatever ran in it", async () => {
    const context = await browser.newContext();
    onTestFinished(() => context.close());
    const page = await context.newPage();
    const requests: string[] = [];
    page.on("requestfinished", (request) => requests.push(request.url()));
    await page.goto(`file://${file}`);
    expect(await page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'went out', (error) => error.name)")).toBe(
      "TypeError",
    );
    const image =
      "new Promise((done) => { const i = new Image(); i.onerror = () => done('blocked'); i.onload = () => done('loaded'); i.src = 'data:image/gif;base64,R0lGODlhAQABAAAAACw='; })";
    expect(await page.evaluate(image)).toBe("blocked");
    expect(requests).toEqual([`file://${file}`]);
  });

  it("shows the newest rows without JavaScript, the same as with it", async () => {
    const read = async (page: Page) =>
      page.locator("#incident-rows tr").evaluateAll((all) => all.slice(0, 30).map((row) => row.outerHTML));
    const plain = await openPage({ javaScript: false });
    const scripted = await openPage();
    const without = await read(plain);
    expect(without).toHaveLength(30);
    expect(await read(scripted)).toEqual(without);
    expect(await plain.isVisible("#filters")).toBe(false);
    expect(await plain.isVisible("noscript")).toBe(true);
  });

  it("fits a phone: nothing wider than the screen, pictures of their own", async () => {
    const page = await openPage({ width: 400 });
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(400);
    expect(await page.locator("svg.chart:visible").count()).toBe(4);
    const heights = await page
      .locator("svg.chart:visible text")
      .evaluateAll((all) =>
        all.map(
          (text) => (text as unknown as { getBoundingClientRect(): { height: number } }).getBoundingClientRect().height,
        ),
      );
    expect(Math.min(...heights)).toBeGreaterThan(8);
  });

  it("prints: no controls, light colours, the wide pictures, and says what is shown", async () => {
    const page = await openPage();
    await page.emulateMedia({ media: "print", colorScheme: "dark" });
    expect(await page.isVisible("#filters")).toBe(false);
    expect(await page.isVisible("#more")).toBe(false);
    expect(await page.isVisible("#filter-status")).toBe(true);
    expect(await page.locator(".wide svg.chart:visible").count()).toBe(4);
    expect(await page.evaluate("getComputedStyle(document.body).backgroundColor")).toBe("rgb(255, 255, 255)");
    const pdf = await page.pdf({ format: "A4" });
    expect(pdf.length).toBeGreaterThan(20_000);
  });

  it("has a name for every control and every picture, one first heading and no level left out", async () => {
    const page = await openPage();
    const unnamed = await page.evaluate(`[...document.querySelectorAll("input:not([type=hidden]),select,button")]
      .filter((control) => !control.closest("label") && !control.textContent.trim()).length`);
    expect(unnamed).toBe(0);
    expect(await page.evaluate(`[...document.querySelectorAll("h1,h2,h3")].map((h) => h.tagName).join(" ")`)).toMatch(
      /^H1( H2)+$/,
    );
    expect(await page.evaluate(`[...document.querySelectorAll("table")].every((t) => t.caption)`)).toBe(true);
    expect(await page.getByRole("img").count()).toBe(4);
    for (const picture of await page.getByRole("img").all())
      expect(await picture.getAttribute("aria-labelledby")).toBeTruthy();
    expect(await page.getByRole("row").count()).toBeGreaterThan(100);
    await page.focus("[name=text]");
    const outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle");
    expect(outline).toBe("solid");
  });
});

describe("the colours", () => {
  // WCAG 2.2, relative luminance.
  const luminance = (colour: string) => {
    const long = colour.length === 4 ? colour.replace(/[0-9a-f]/g, "$&$&") : colour;
    const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
      const value = Number.parseInt(long.slice(at, at + 2), 16) / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (one: string, other: string) => {
    const [dark = 0, light = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };

  it("can be read in light and dark", async () => {
    const { STYLE } = await import("../../src/analyze/report/style.ts");
    const themes = [...STYLE.matchAll(/--page:[\s\S]*?(?=\}|;\n?\})/g)].map(([block]) =>
      Object.fromEntries(
        [...block.matchAll(/--([\w-]+):(#[0-9a-f]+)/g)].map(([, name, colour]) => [name, colour ?? ""]),
      ),
    );
    expect(themes).toHaveLength(3); // light, dark, print
    for (const theme of themes) {
      const colour = (name: string) => theme[name] ?? "";
      for (const text of ["text", "muted", "accent"]) {
        for (const ground of ["page", "panel"]) expect(contrast(colour(text), colour(ground))).toBeGreaterThan(4.5);
      }
      for (const level of [1, 2, 3]) expect(contrast(colour("heat-ink"), colour(`heat-${level}`))).toBeGreaterThan(4.5);
      for (const level of [4, 5])
        expect(contrast(colour("heat-ink-dark"), colour(`heat-${level}`))).toBeGreaterThan(4.5);
      for (const result of ["succeeded", "failed", "refused", "unknown"]) {
        expect(contrast(colour(result), colour("page")), result).toBeGreaterThan(3);
      }
    }
  });
});
