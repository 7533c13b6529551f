#include "report/page.h"

namespace dept {

// Colours of charts are Okabe and Ito's, which all kinds of colour vision tell apart; lines differ in their dashes too.
std::string_view page_style() {
  return R"(
:root{--paper:#fff;--ink:#1b1f24;--soft:#505963;--rule:#d5dae0;--tint:#f3f5f7;--mark:0,114,178;
--c0:#0072b2;--c1:#d55e00;--c2:#007a5a;--c3:#b0568c;--c4:#8a6d00;--c5:#2a2f36;--muted:#8b95a1}
@media (prefers-color-scheme:dark){:root{--paper:#14171c;--ink:#e8ebef;--soft:#aab3bd;--rule:#3a424c;--tint:#1e232a;--mark:86,180,233;
--c0:#56b4e9;--c1:#ff9d52;--c2:#2fc79a;--c3:#e39ac4;--c4:#f0e442;--c5:#e8ebef;--muted:#76818d}}
@media print{:root{--paper:#fff;--ink:#000;--soft:#333;--rule:#bbb;--tint:#f3f5f7;--mark:0,114,178;
--c0:#0072b2;--c1:#d55e00;--c2:#007a5a;--c3:#b0568c;--c4:#8a6d00;--c5:#000;--muted:#777}}
*{box-sizing:border-box}
html{color-scheme:light dark;-webkit-text-size-adjust:100%}
body{margin:0 auto;padding:16px;max-width:1200px;background:var(--paper);color:var(--ink);font:16px/1.45 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.5rem;margin:.2em 0}h2{font-size:1.15rem;margin:2em 0 .6em;padding-top:.6em;border-top:1px solid var(--rule)}h3{font-size:1rem;margin:1.2em 0 .4em}
p{margin:.5em 0}.lead{font-size:1.2rem;font-weight:600}.soft,figcaption,.title{color:var(--soft);font-size:.85rem}
pre{background:var(--tint);padding:10px;white-space:pre-wrap;font:.85rem/1.4 ui-monospace,monospace;margin:.5em 0}
summary{cursor:pointer}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,350px),1fr));gap:16px}
figure{margin:0;min-width:0;break-inside:avoid}svg{display:block;width:100%;height:auto;overflow:hidden}.title{font-weight:600}
svg text{font:11px system-ui,sans-serif;fill:var(--soft)}svg text.name{fill:var(--ink)}svg text.cell{font-size:10px}
svg text.halo{paint-order:stroke;stroke:var(--paper);stroke-width:3px}
.grid{stroke:var(--rule);stroke-width:.6}.axis{stroke:var(--soft);stroke-width:1}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round}.hit{fill:none;stroke:transparent;stroke-width:10}
.line.c0{stroke:var(--c0)}.line.c1{stroke:var(--c1)}.line.c2{stroke:var(--c2)}.line.c3{stroke:var(--c3)}.line.c4{stroke:var(--c4)}.line.c5{stroke:var(--c5)}
.line.c1{stroke-dasharray:7 3}.line.c2{stroke-dasharray:2 2}.line.c3{stroke-dasharray:9 3 2 3}.line.c4{stroke-dasharray:4 4}.line.c5{stroke-dasharray:12 3}
.line.best{stroke-dasharray:none;stroke-width:2.6}.line.muted{stroke:var(--muted);stroke-width:1;opacity:.75}
.dot.c0{fill:var(--c0)}.dot.c1{fill:var(--c1)}.dot.c2{fill:var(--c2)}.dot.c3{fill:var(--c3)}.dot.c4{fill:var(--c4)}.dot.c5{fill:var(--c5)}.dot.muted{fill:var(--muted)}
.run:hover .line{stroke-width:4;opacity:1;stroke:var(--c1)}.bar{fill:var(--c0)}.bar:hover{fill:var(--c1)}
.whisker{stroke:var(--soft);stroke-width:1.2;stroke-dasharray:3 2}.mean{stroke:var(--ink);stroke-width:2.4}
.key{display:inline-block;margin-right:10px}.key::before{content:"";display:inline-block;width:22px;margin-right:5px;vertical-align:middle;border-top:3px solid var(--muted)}
.kb::before{border-color:var(--c1)}.k0::before{border-color:var(--c0)}.k1::before{border-top-style:dashed;border-color:var(--c1)}.k2::before{border-top-style:dotted;border-color:var(--c2)}
.k3::before{border-top-style:dashed;border-color:var(--c3)}.k4::before{border-top-style:dotted;border-color:var(--c4)}.k5::before{border-top-style:double;border-color:var(--c5)}
table{border-collapse:collapse;font-size:.9rem;margin:.5em 0;font-variant-numeric:tabular-nums}
th,td{padding:4px 10px;border-bottom:1px solid var(--rule);text-align:left;vertical-align:top}
thead th{color:var(--soft);font-weight:600}.cards th,.cards td{overflow-wrap:break-word}.cards tbody th{overflow-wrap:anywhere;min-width:7em}tbody th{font-weight:400}tr.strong>*{font-weight:700}
table.figures td,table.figures thead th+th,table.confusion-matrix td{text-align:right}
.scroll{overflow-x:auto;max-width:100%}
table.confusion-matrix td{min-width:3em}
)"
         R"(.s1{background:rgba(var(--mark),.04)}.s2{background:rgba(var(--mark),.08)}.s3{background:rgba(var(--mark),.12)}.s4{background:rgba(var(--mark),.16)}
.s5{background:rgba(var(--mark),.2)}.s6{background:rgba(var(--mark),.24)}.s7{background:rgba(var(--mark),.28)}.s8{background:rgba(var(--mark),.32)}.s9{background:rgba(var(--mark),.36)}
@media (max-width:800px){table.cards thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
table.cards,table.cards tbody,table.cards tr{display:block;width:100%}table.cards tr{padding:6px 0;border-bottom:1px solid var(--rule)}
table.cards th,table.cards td{display:flex;gap:10px;border:0;padding:1px 0;overflow-wrap:anywhere;min-width:0}table.cards td:empty{display:none}
table.cards th::before,table.cards td::before{content:attr(data-label);flex:0 0 8em;color:var(--soft);font-weight:400;font-size:.85rem}
table.confusion-matrix th,table.confusion-matrix td{padding:4px 5px;min-width:2.2em}}
@media print{body{max-width:none;padding:0;font-size:11pt}.scroll{overflow:visible}tr,figure{break-inside:avoid}*{print-color-adjust:exact}}
)";
}

}  // namespace dept
