/**
 * The report's own script: filter, sort and page through the incidents table in the reader's browser.
 * It is text, not a module: it runs in the page, under a policy that allows exactly this text (by its hash). Plain
 * JavaScript without a library; what comes from the logs goes into the page as text nodes, never as markup. It draws a
 * hundred rows at a time, so that 100,000 incidents cost data and not elements. test/program/report-page.test.ts drives it.
 * Input: the JSON of table-data.ts in #incident-data; the form and the table of page.ts.
 */
export const CLIENT_SCRIPT = `"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("incident-data").textContent);
  const body = byId("incident-rows");
  const form = byId("filters");
  const status = byId("filter-status");
  const more = byId("more");
  const PAGE = 100;
  const count = data.n.length;
  const { ACTION, RESULT, CONTEXT, FILESYSTEMS, RECORDERS, CLIENT, DEVICE, REASON } =
    { ACTION: 0, RESULT: 1, CONTEXT: 2, FILESYSTEMS: 3, RECORDERS: 4, CLIENT: 5, DEVICE: 6, REASON: 7 };

  // Differences back to values.
  const seconds = new Float64Array(count), lines = new Float64Array(count), offsets = new Float64Array(count);
  {
    let second = 0, line = 0, offset = 0, next = 0;
    for (let row = 0; row < count; row++) {
      if (next < data.o.length && data.o[next][0] === row) offset = data.o[next++][1] * 60;
      if (data.t[row] === null) seconds[row] = NaN;
      else { second = row === 0 ? data.t[0] : second - data.t[row]; seconds[row] = second; }
      line += data.l[row];
      lines[row] = line;
      offsets[row] = offset;
    }
  }

  // Texts. Marks that turn or hide text are written out, as in the rest of the page.
  const hidden = /[\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u2069\\ufeff\\ufff9-\\ufffb]|\\p{Cs}/gu;
  const shown = (text) => text.replace(hidden, (mark) =>
    mark === "\\n" ? "\\\\n" : mark === "\\r" ? "\\\\r" : mark === "\\t" ? "\\\\t" :
    "\\\\u" + mark.charCodeAt(0).toString(16).padStart(4, "0"));
  const two = (big, bigUnit, small, smallUnit) => big + " " + bigUnit + (small === 0 ? "" : " " + small + " " + smallUnit);
  const duration = (ms) => {
    if (ms < 1) return Math.round(ms) + " ms";
    if (ms < 950) return Number(ms.toPrecision(2)) + " ms";
    if (ms < 9950) return Number((ms / 1000).toFixed(1)) + " s";
    const s = Math.round(ms / 1000);
    if (s < 60) return s + " s";
    if (s < 3600) return two(Math.floor(s / 60), "min", s % 60, "s");
    const m = Math.round(s / 60);
    if (m < 2880) return two(Math.floor(m / 60), "h", m % 60, "min");
    return two(Math.floor(m / 1440), "d", Math.floor((m % 1440) / 60), "h");
  };
  // As duration.ts packs it.
  const took = (row) => (data.d[row] === -1 ? NaN : data.d[row] < -1 ? -2 - data.d[row] : data.d[row]);
  const results = { succeeded: "succeeded", failed: "failed", refused: "refused", unknown: "no outcome recorded" };
  const contexts = { found: "", none: "none in use", unknown: "unknown", disabled: "not asked" };
  const noKind = ["", "unknown", "unknown", [], [], "", "", ""];
  const kindOf = (row) => data.kinds[data.k[row]] ?? noKind;
  const nodeOf = (row) => data.nodes[data.n[row]] ?? "(name not kept)";

  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const cell = (label, className, ...children) => {
    const made = element(label === "Node" ? "th" : "td", className);
    if (label === "Node") { made.scope = "row"; made.setAttribute("role", "rowheader"); }
    else made.setAttribute("role", "cell");
    made.dataset.label = label;
    made.append(...children);
    return made;
  };
  const drawRow = (row) => {
    const kind = kindOf(row);
    const tr = element("tr");
    tr.setAttribute("role", "row");
    let when = "time not known";
    if (!Number.isNaN(seconds[row])) {
      when = element("time", "", new Date((seconds[row] + offsets[row]) * 1000).toISOString().replace("T", " ").slice(0, -5));
      when.dateTime = new Date(seconds[row] * 1000).toISOString().replace(".000", "");
    }
    const badge = element("span", "badge");
    badge.append(element("span", "swatch " + kind[RESULT]), results[kind[RESULT]]);
    const filesystems = kind[CONTEXT] === "found"
      ? (kind[FILESYSTEMS].length ? kind[FILESYSTEMS].map(shown).join(", ") : "(names not kept)")
      : element("span", kind[CONTEXT] === "unknown" ? "gfs2-unknown" : "missing", contexts[kind[CONTEXT]]);
    const words = [
      kind[CLIENT] && "by " + shown(kind[CLIENT]),
      kind[DEVICE] && "via " + shown(kind[DEVICE]),
      kind[REASON] && shown(kind[REASON]),
      kind[RECORDERS].length && "recorded on " + kind[RECORDERS].map(shown).join(", "),
    ].filter(Boolean).join("; ");
    const file = data.files[data.f[row]];
    const where = file === undefined ? "(file not kept)" : shown(file) + ":" + lines[row];
    tr.append(
      cell("Time", "when", when),
      cell("Node", "", shown(nodeOf(row))),
      cell("Action", "", shown(kind[ACTION])),
      cell("Result", "", badge),
      cell("GFS2", "words", filesystems),
      cell("Duration", "number", data.d[row] === -1 ? element("span", "missing", "not known") : (data.d[row] < 0 ? "at least " : "") + duration(took(row))),
      cell("Who and why", "words", words),
      cell("Evidence", "where", data.c[row] > 1 ? where + " and " + (data.c[row] - 1) + " more" : where),
    );
    return tr;
  };

  // Filter: every row is two look-ups in tables made once a change.
  let matches = [];
  let drawn = 0;
  const lower = (text) => text.toLowerCase();
  const nodeTexts = data.nodes.map((name) => lower(shown(name)));
  const kindTexts = data.kinds.map((kind) => lower([
    kind[ACTION], results[kind[RESULT]], contexts[kind[CONTEXT]], ...kind[FILESYSTEMS], ...kind[RECORDERS],
    kind[CLIENT], kind[DEVICE], kind[REASON],
  ].map(shown).join("\\n")));
  const dayOf = (value) => (value ? Date.parse(value + "T00:00:00Z") / 1000 : NaN);
  const number = (value) => value.toLocaleString("en-US");
  let sortKey = "time", descending = true;

  const choose = () => {
    const field = form.elements;
    const words = lower(field.text.value).split(/\\s+/).filter(Boolean);
    const wanted = new Set([...form.querySelectorAll("[name=result]:checked")].map((box) => box.value));
    const action = field.action.value, context = field.context.value, node = field.node.value;
    const from = dayOf(field.from.value), until = dayOf(field.until.value) + 86400;
    const kindOk = data.kinds.map((kind) => wanted.has(kind[RESULT]) && (action === "" || shown(kind[ACTION]) === action) &&
      (context === "" || (context[0] === "=" ? kind[CONTEXT] === context.slice(1) : kind[FILESYSTEMS].some((name) => shown(name) === context.slice(1)))));
    const nodeOk = data.nodes.map((name) => node === "" || shown(name) === node);
    const noKindOk = wanted.has("unknown") && action === "" && (context === "" || context === "=unknown");
    const wordKinds = words.map((word) => kindTexts.map((text) => text.includes(word)));
    const wordNodes = words.map((word) => nodeTexts.map((text) => text.includes(word)));
    matches = [];
    for (let row = 0; row < count; row++) {
      const n = data.n[row], k = data.k[row];
      if (!(kindOk[k] ?? noKindOk) || !(nodeOk[n] ?? node === "")) continue;
      const local = seconds[row] + offsets[row];
      if (from === from && !(local >= from) || until === until && !(local < until)) continue;
      if (words.some((_, index) => !wordKinds[index][k] && !wordNodes[index][n])) continue;
      matches.push(row);
    }
    const key = { time: (row) => seconds[row], duration: took }[sortKey];
    const sign = descending ? -1 : 1;
    if (sortKey === "node") matches.sort((a, b) => sign * (nodeTexts[data.n[a]] ?? "").localeCompare(nodeTexts[data.n[b]] ?? "", "en", { numeric: true }) || a - b);
    // What is not known stands last, whichever way it is sorted.
    else matches.sort((a, b) => (Number.isNaN(key(a)) - Number.isNaN(key(b))) || sign * (key(a) - key(b)) || a - b);
    drawn = 0;
    body.replaceChildren();
    draw();
  };
  const draw = () => {
    const rows = document.createDocumentFragment();
    const end = Math.min(matches.length, drawn + PAGE);
    for (; drawn < end; drawn++) rows.append(drawRow(matches[drawn]));
    if (matches.length === 0) {
      const tr = element("tr"), td = element("td", "missing", "No incident matches these filters.");
      td.colSpan = 8;
      tr.append(td);
      rows.append(tr);
    }
    body.append(rows);
    const node = form.elements.node.value;
    status.textContent = "Showing " + number(drawn) + " of " + number(matches.length) + " matching incidents (" +
      number(count) + " listed)" + (node === "" ? "." : ", node " + node + " only.");
    const left = matches.length - drawn;
    more.hidden = left === 0;
    more.textContent = "Show " + number(Math.min(PAGE, left)) + " more";
    byId("one-node").hidden = node === "";
  };

  form.addEventListener("input", choose);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => {
    form.elements.node.value = ""; // a hidden field is not reset by itself
    setTimeout(choose);
  });
  byId("one-node").addEventListener("click", () => { form.elements.node.value = ""; choose(); form.elements.text.focus(); });
  more.addEventListener("click", () => {
    const first = body.rows[drawn - 1];
    draw();
    // The button may be gone now: the reader goes on where the new rows begin.
    if (more.hidden && first?.nextElementSibling) { first.nextElementSibling.tabIndex = -1; first.nextElementSibling.focus(); }
  });
  for (const button of document.querySelectorAll("[data-sort]")) {
    button.addEventListener("click", () => {
      descending = sortKey === button.dataset.sort ? !descending : button.dataset.sort !== "node";
      sortKey = button.dataset.sort;
      for (const other of document.querySelectorAll("[data-sort]")) other.closest("th").removeAttribute("aria-sort");
      button.closest("th").setAttribute("aria-sort", descending ? "descending" : "ascending");
      choose();
    });
  }
  for (const link of document.querySelectorAll("[data-node]")) {
    link.addEventListener("click", () => { form.elements.node.value = link.dataset.node; choose(); });
  }
  form.hidden = false;
  choose();
})();
`;
