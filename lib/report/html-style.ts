/** The style sheet of the HTML report. Colours have a contrast of at least 4.5 to 1 in light and dark (WCAG AA). */
export const htmlStyle = `
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1b2330;--quiet:#5a6575;--line:#dde2e9;--soft:#eef1f5;--link:#0b5cad;--bt:#c2410c;--btsoft:#fdeee4;--ot:#8296b0;--ok:#15703c;--oksoft:#e5f5eb;--warn:#8a5a00;--warnsoft:#fdf3d9}
@media (prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1a2029;--ink:#e6eaf0;--quiet:#a2adbd;--line:#2f3846;--soft:#232b36;--link:#7db8f5;--bt:#ff9a5c;--btsoft:#3a241a;--ot:#637b99;--ok:#6fd397;--oksoft:#16301f;--warn:#f0c25a;--warnsoft:#352a11}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main,header.top,footer{max-width:1080px;margin:0 auto;padding:0 20px}
header.top{padding-top:28px}
.brand{margin:0;color:var(--quiet);font-size:.85rem;letter-spacing:.04em}
.brand b{color:var(--ink)}
.verdict{margin:10px 0 0;padding:22px 24px;border-radius:12px;border-left:6px solid var(--ok);background:var(--oksoft)}
.verdict.found{border-color:var(--bt);background:var(--btsoft)}
.verdict.unsure{border-color:var(--warn);background:var(--warnsoft)}
h1{font-size:1.55rem;line-height:1.25;margin:0;overflow-wrap:anywhere}
.verdict p{margin:.6rem 0 0}
h2{font-size:1.15rem;margin:0 0 12px}
h3{font-size:.95rem;margin:16px 0 6px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:16px 0 0;padding:0}
.tiles div,section{background:var(--card);border:1px solid var(--line);border-radius:12px}
.tiles div{padding:12px 16px}
.tiles dt{color:var(--quiet);font-size:.8rem}
.tiles dd{margin:0;font-size:1.3rem;font-weight:650;font-variant-numeric:tabular-nums}
.tiles dd small{display:block;font-size:.8rem;font-weight:400;color:var(--quiet)}
nav{margin:18px 0 0;font-size:.9rem;display:flex;flex-wrap:wrap;gap:4px 16px}
a{color:var(--link)}
section{padding:20px 24px;margin:16px 0}
.quiet,figcaption,.note{overflow-wrap:anywhere;color:var(--quiet);font-size:.88rem}
.note{margin:10px 0 0}
figure{margin:0}
figure svg{display:block;width:100%;height:180px}
.legend,.ticks{margin:0 0 8px;font-size:.88rem}
.ticks{display:flex;justify-content:space-between;color:var(--quiet);margin:4px 0 6px;font-variant-numeric:tabular-nums}
.key{display:inline-block;width:.8em;height:.8em;border-radius:3px;margin:0 .35em 0 .6em}
.key:first-child{margin-left:0}
.key.bt{background:var(--bt)}.key.ot{background:var(--ot)}
rect.bt{fill:var(--bt)}rect.ot{fill:var(--ot)}.axis{stroke:var(--line);stroke-width:1;vector-effect:non-scaling-stroke}
.meter{width:100%;min-width:60px;height:8px;display:block}
.meter .back{fill:var(--soft)}.meter .front{fill:var(--bt)}
table{border-collapse:collapse;width:100%;font-size:.92rem}
caption{text-align:left;color:var(--quiet);font-size:.85rem;padding-bottom:4px}
th,td{text-align:left;padding:7px 16px 7px 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
tr:last-child>td,tr:last-child>th{border-bottom:0}
thead th{color:var(--quiet);font-weight:600;font-size:.8rem;white-space:nowrap;overflow-wrap:normal}
tbody th{font-weight:600}tbody th .quiet{font-weight:400}
.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td:last-child,th:last-child{padding-right:0}
code,.addr{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.88em}
code{background:var(--soft);border-radius:5px;padding:.1em .35em;overflow-wrap:anywhere;-webkit-user-select:all;user-select:all}
.addr{overflow-wrap:anywhere}
.tag{display:inline-block;background:var(--soft);border-radius:999px;padding:0 .65em;font-size:.8rem;white-space:nowrap;margin:1px 4px 1px 0}
.tag.proof{background:var(--btsoft);color:var(--bt)}
.tag.near{background:var(--warnsoft);color:var(--warn)}
details{border-top:1px solid var(--line)}
details.host:first-of-type{border-top:0}
summary{cursor:pointer;padding:9px 4px 9px 22px;display:flex;flex-wrap:wrap;gap:2px 14px;align-items:baseline;list-style:none;position:relative;border-radius:8px}
summary::-webkit-details-marker{display:none}
summary::before{content:"";position:absolute;left:6px;top:1.05em;border:5px solid transparent;border-left-color:var(--quiet);transition:transform .1s}
details[open]>summary::before{transform:translate(-2px,2px) rotate(90deg)}
summary:hover{background:var(--soft)}
:focus-visible{outline:2px solid var(--link);outline-offset:2px}
summary .who{font-weight:650}
summary .end{margin-left:auto;color:var(--quiet);font-size:.88rem;font-variant-numeric:tabular-nums}
.inner{padding:2px 0 12px 22px}
.flow .inner{border-left:2px solid var(--line);margin-left:10px;padding-left:14px}
.flow summary{font-size:.92rem}
ol.chain{margin:6px 0;padding-left:1.3em}
ol.chain li{margin:0 0 8px;overflow-wrap:anywhere}
.facts{display:grid;grid-template-columns:max-content 1fr;gap:2px 14px;margin:4px 0 8px;font-size:.92rem}
.facts dt{color:var(--quiet)}.facts dd{margin:0;overflow-wrap:anywhere}
ul.plain{margin:0;padding-left:1.2em}ul.plain li{margin:0 0 6px;overflow-wrap:anywhere}
.tools{display:flex;flex-wrap:wrap;gap:8px;margin:0 0 10px}
.tools[hidden]{display:none}
input[type=search],button{font:inherit;font-size:.88rem;color:inherit;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:5px 10px}
input[type=search]{flex:1 1 220px;min-width:0}
button{cursor:pointer}button:hover{background:var(--soft)}
button.copy{padding:0 7px;font-size:.78rem;margin-left:4px}
footer{color:var(--quiet);font-size:.85rem;padding-top:6px;padding-bottom:40px}
@media (max-width:640px){main,header.top,footer{padding-left:12px;padding-right:12px}section{padding:16px 14px}h1{font-size:1.25rem}.verdict{padding:16px}
.tiles{grid-template-columns:1fr 1fr;gap:8px}.tiles div{padding:10px 12px}.tiles dd{font-size:1.1rem}
table.cards thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
table.cards,table.cards tbody,table.cards tr,table.cards td,table.cards th{display:block}
table.cards tr{padding:8px 0;border-bottom:1px solid var(--line)}table.cards tr:last-child{border-bottom:0}
table.cards td,table.cards tbody th{border:0;padding:1px 0;text-align:left;white-space:normal}
table.cards td.num{display:inline-block;margin-right:14px}
table.cards td[data-label]::before{content:attr(data-label) ": ";color:var(--quiet)}
.inner{padding-left:8px}.flow .inner{margin-left:2px;padding-left:10px}summary .end{margin-left:0}.facts{grid-template-columns:1fr}.facts dd{margin-bottom:4px}figure svg{height:120px}.ticks span:nth-child(2){display:none}}
@media print{body{background:#fff}section{break-inside:avoid-page}.tools,nav,button{display:none}}
`;
