/**
 * The report's style sheet. Light and dark follow the reader's system, print is always light; colours are told apart
 * without red and green (Okabe and Ito's palette), and every colour has a word beside it.
 */
const LIGHT = `
--page:#fff;--panel:#f6f7f9;--text:#1b1f24;--muted:#57606a;--line:#c9d1d9;--grid:#e6e9ed;--accent:#0550ae;
--succeeded:#0072b2;--failed:#c2410c;--refused:#b98900;--unknown:#8a929b;--found:#0f766e;
--context-unknown:#b98900;--context-none:#8a929b;--context-disabled:#c3c8ce;
--heat-1:#dceaf5;--heat-2:#a9cfe8;--heat-3:#6aaed8;--heat-4:#2278b5;--heat-5:#084c86;--heat-ink:#0b2233;--heat-ink-dark:#fff`;

export const STYLE = `
:root{color-scheme:light dark;${LIGHT}}
@media (prefers-color-scheme:dark){:root{
--page:#0f1419;--panel:#171d24;--text:#e6e9ed;--muted:#9aa5b1;--line:#3b4654;--grid:#232b35;--accent:#79b8ff;
--succeeded:#56a9e0;--failed:#f4855a;--refused:#e3b341;--unknown:#7d8792;--found:#3fb8a8;
--context-unknown:#e3b341;--context-none:#7d8792;--context-disabled:#4c5662;
--heat-1:#12324c;--heat-2:#174e78;--heat-3:#1f6ea3;--heat-4:#59a8dc;--heat-5:#b5dcf7;--heat-ink:#e6f2fb;--heat-ink-dark:#0b2233}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);font:15px/1.5 system-ui,"Segoe UI","DejaVu Sans",sans-serif}
main,header,footer{max-width:1180px;margin:0 auto;padding:0 20px}
header{padding-top:24px}
h1{font-size:28px;line-height:1.2;margin:0 0 4px}
h2{font-size:20px;margin:40px 0 4px}
p{margin:4px 0 12px;max-width:75ch}
.note,caption,footer{color:var(--muted);font-size:14px}
a,summary,.sort,.link{color:var(--accent)}
code{font-family:ui-monospace,"DejaVu Sans Mono",monospace;font-size:.9em}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px;border-radius:3px}
.skip{position:absolute;left:-999px}
.skip:focus{left:12px;top:8px;background:var(--page);padding:6px 12px;z-index:2}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(128px,1fr));gap:12px;margin:20px 0 0;padding:0}
.tiles div{background:var(--panel);border:1px solid var(--grid);border-left:4px solid var(--line);border-radius:6px;padding:10px 12px;
display:flex;flex-direction:column-reverse;justify-content:flex-end}
.tiles dt{color:var(--muted);font-size:13px;line-height:1.3}
.tiles dd{margin:0;font-size:24px;line-height:1.2;font-variant-numeric:tabular-nums}
.tiles .succeeded{border-left-color:var(--succeeded)}.tiles .failed{border-left-color:var(--failed)}
.tiles .refused{border-left-color:var(--refused)}.tiles .unknown{border-left-color:var(--unknown)}
.tiles .context-unknown{border-left-color:var(--context-unknown)}
.gaps{border:1px solid var(--refused);border-radius:6px;padding:2px 16px 8px;margin-top:24px;background:var(--panel)}
.gaps h2{margin-top:10px}.gaps ul{margin:4px 0;padding-left:20px}
.gaps li{overflow-wrap:anywhere}
figure{margin:8px 0 0}
.chart{display:block;overflow:visible;width:100%;height:auto;font-family:system-ui,"Segoe UI","DejaVu Sans",sans-serif}
.narrow{display:none}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;padding:0;margin:6px 0;font-size:14px;color:var(--muted)}
.legend li{display:flex;align-items:center;gap:6px}
.swatch{width:12px;height:12px;border-radius:2px;display:inline-block;flex:none}
.swatch.succeeded{background:var(--succeeded)}.swatch.failed{background:var(--failed)}
.swatch.refused{background:var(--refused)}.swatch.unknown{background:var(--unknown)}
.swatch.heat-1{background:var(--heat-1)}.swatch.heat-2{background:var(--heat-2)}.swatch.heat-3{background:var(--heat-3)}
.swatch.heat-4{background:var(--heat-4)}.swatch.heat-5{background:var(--heat-5)}
details{margin:10px 0}summary{cursor:pointer;width:fit-content}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px;margin-top:8px}
caption{text-align:left;padding-bottom:6px}
th,td{text-align:left;vertical-align:top;padding:6px 16px 6px 0;border-bottom:1px solid var(--grid)}
thead th{border-bottom:2px solid var(--line);white-space:nowrap;font-weight:600}
tbody th{font-weight:600;overflow-wrap:anywhere}.scroll tbody th{min-width:130px;font-weight:400}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.when{white-space:nowrap;font-variant-numeric:tabular-nums}
.words{overflow-wrap:anywhere}.where{overflow-wrap:anywhere;font-size:12.5px;color:var(--muted)}
.missing{color:var(--muted);font-style:italic}
.gfs2-unknown{color:var(--text);font-style:italic;border-bottom:2px dotted var(--context-unknown)}
.badge{display:inline-flex;align-items:baseline;gap:6px}
.cards tbody th{min-width:110px}.cards td.words{min-width:120px}.cards td.where{min-width:130px}
.sort,.link{background:none;border:0;padding:0;font:inherit;cursor:pointer;text-align:left}
.sort::after{content:" \\2195";color:var(--muted)}
[aria-sort=ascending] .sort::after{content:" \\2191"}[aria-sort=descending] .sort::after{content:" \\2193"}
form{display:flex;flex-wrap:wrap;gap:10px 16px;align-items:end;background:var(--panel);border:1px solid var(--grid);
border-radius:6px;padding:12px;margin:10px 0}
form label{display:flex;flex-direction:column;font-size:13px;color:var(--muted);gap:2px}
form fieldset{border:0;margin:0;padding:0;display:flex;flex-wrap:wrap;gap:4px 14px;align-items:center}
form legend{font-size:13px;color:var(--muted);padding:0;margin-bottom:2px}
form fieldset label{flex-direction:row;align-items:center;gap:6px;color:var(--text);font-size:14px;min-height:32px}
input,select,button{font:inherit;color:inherit}
input[type=search],input[type=date],select{background:var(--page);border:1px solid var(--line);border-radius:4px;padding:4px 8px;
min-height:34px;max-width:100%;font-size:14px}
input[type=search]{width:240px}select{max-width:220px}
input[type=checkbox]{width:16px;height:16px;accent-color:var(--accent);margin:0}
.plain{background:var(--page);border:1px solid var(--line);border-radius:4px;padding:5px 12px;cursor:pointer;min-height:34px;font-size:14px}
.plain:hover{border-color:var(--accent)}
.more{margin:12px 0}
[hidden]{display:none!important}
footer{padding-top:32px;padding-bottom:32px}
@media (max-width:700px){
main,header,footer{padding-left:14px;padding-right:14px}
.wide{display:none}.narrow{display:block}
.tiles{grid-template-columns:repeat(2,1fr)}
input[type=search],form>label,select{width:100%;max-width:none}
.cards thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.cards,.cards tbody,.cards tr,.cards td,.cards th[scope=row],.cards caption{display:block}
.cards tbody th,.cards td.words,.cards td.where{min-width:0}
.cards tr{border:1px solid var(--grid);border-radius:6px;margin:8px 0;padding:8px 10px}
.cards td,.cards th[scope=row]{border:0;padding:2px 0 2px 92px;min-height:25px;position:relative;text-align:left;white-space:normal}
.cards td::before,.cards th::before{content:attr(data-label);position:absolute;left:0;color:var(--muted);font-size:13px;font-weight:400;font-style:normal}}
@media print{
:root{color-scheme:light;${LIGHT}}
@page{margin:14mm}
body{font-size:11px}main,header,footer{max-width:none;padding:0}
h1{font-size:22px}h2{font-size:15px;margin-top:18px;break-after:avoid}h2+p{break-after:avoid}.note,caption,footer,.legend{font-size:10px}
.sort{display:none}.cards th[data-title]::before{content:attr(data-title)}
form,.more,.skip,details:not([open]){display:none!important}
.wide{display:block!important}.narrow{display:none!important}
.tiles{grid-template-columns:repeat(4,1fr);gap:6px}.tiles dd{font-size:16px}.tiles dt{font-size:10px}.tiles div{padding:5px 8px}
table{font-size:9.5px}.cards tbody th,.cards td.words,.cards td.where{min-width:70px}th,td{padding:3px 6px 3px 0}.where{font-size:8.5px}
thead{display:table-header-group}tr,figure,.tiles div{break-inside:avoid}
a,.sort,.link{color:inherit;text-decoration:none}
.swatch,.chart,.tiles div{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
`;
