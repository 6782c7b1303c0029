"""Fixed words and the style sheet of the report: no numbers of any run. *Pure.*"""

from __future__ import annotations

from collections.abc import Mapping

from monitor.core.types import PORTFOLIO, Subject

MINUS, DASH, TIMES = "\N{MINUS SIGN}", "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"
# The parts of the index in the order they are stacked: ending of the measure's name, words.
PARTS = (
    ("level", "level"),
    ("breadth", "breadth"),
    ("surprise", "surprise"),
    ("change", "change"),
    ("flips", "flips"),
)

METHOD = (
    (
        "The engine is the daemon's: same measures, same rules, data time as its clock. Prices are "
        "hourly closes, told as mark and oracle of each market; nothing is interpolated, and what "
        "no row says is unknown from that hour on."
    ),
    (
        "Between settlements the last settled rate stands in for the venue's running estimate, "
        "which nobody recorded: eight hours at most, one where a venue settles hourly. Open "
        "interest is Bybit's, in coins, whatever the venue, and not recorded of all: the stress "
        "index counts every market alike."
    ),
    (
        "A cut brings the gross of its scope to the lowest target of all firing rules, taken from "
        "the gross at the first entry, all positions by the same share. Nothing grows while a rule "
        "restrains it. A cut that may only be proposed is not followed: no person is simulated who "
        "approves it (--follow has every one of a rule approved)."
    ),
    (
        "The way back is the rule's own: its exit condition has held on known data for as long as "
        "it says, and its re-entry condition holds on a full hour; nothing missing or estimated "
        "permits it. Then a hold goes by itself; what cut or stopped new risk waits for a person."
    ),
    (
        "Engines of later arms are asked only what their conduct depends on; pages and states are "
        "those of the first."
    ),
    (
        "A trade between two full hours is done on the straight line between their two prices; "
        "none is done where a price is unknown or a venue is dark. Across a gap of a day or more "
        "nothing is earned, lost or paid."
    ),
    (
        "Spot prices before 2023 and perpetual prices after, as the history holds them; margin is "
        "one pool. A book of our own size moves no price but its own slippage."
    ),
)


def contribution_names(
    measures: Mapping[tuple[str, Subject], object],
) -> list[tuple[str, str, str]]:
    """(measure, words, style) of the parts of the index that were kept, in the order of stacking:
    those whose values add up to it."""
    found = []
    for place, (ending, words) in enumerate(PARTS):
        name = f"funding_stress_{ending}_points"
        if (name, PORTFOLIO) in measures:
            found.append((name, words, f"part-{place}"))
    return found


STYLE = """
:root{--bg:#f4f6f8;--panel:#fff;--line:#d8dee4;--text:#1c2329;--dim:#5c6873;--bad:#c62f2f;
--warn:#b26a00;--info:#1f6fb2;--ok:#1a7f5a;--p0:#1f6fb2;--p1:#4aa3a2;--p2:#e0a83e;--p3:#d9662f;
--p4:#8e5bb5;--none:#8792a0;color-scheme:light}
@media (prefers-color-scheme:dark){:root{--bg:#0f1419;--panel:#171d24;--line:#2a333d;
--text:#dde4ea;--dim:#8b98a5;--bad:#ef5b5b;--warn:#e0a83e;--info:#5aa2e0;--ok:#3fb68b;
--p0:#5aa2e0;--p1:#56b8b3;--p2:#e0c05e;--p3:#ef8a5b;--p4:#b58ad6;--none:#7d8996;
color-scheme:dark}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--text);font:14px/1.5 system-ui,sans-serif}
main{max-width:1240px;margin:auto;padding:16px;display:grid;gap:14px}
header h1{font-size:22px;margin:0}header p{margin:2px 0 12px;color:var(--dim)}
section{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:14px 16px;
min-width:0}
h2{font-size:16px;margin:0 0 6px}h3{font-size:14px;margin:10px 0 4px}
.note{color:var(--dim);margin:0 0 8px;font-size:13px;max-width:100ch}
.wide+.note{margin:8px 0 0}
.tiles{display:grid;gap:8px;grid-template-columns:repeat(auto-fit,minmax(150px,1fr))}
.tile{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:8px 12px;
min-width:0}
.tile b{display:block;font-size:16px;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
.tile span{color:var(--dim);font-size:12px}
dl{margin:0;display:grid;grid-template-columns:minmax(150px,220px) minmax(0,1fr);gap:8px 18px}
dt{font-weight:600}dd{margin:0;max-width:100ch}
@media (max-width:700px){dl{grid-template-columns:1fr}dd{margin-bottom:8px}}
ul{margin:0;padding-left:18px;max-width:110ch}li{margin:3px 0}
.wide{overflow-x:auto}
.ci{display:block;color:var(--dim);font-size:11px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:13px}
th,td{padding:5px 0 5px 10px;border-bottom:1px solid var(--line);text-align:right;
white-space:nowrap;vertical-align:top}
th{color:var(--dim);font-weight:500;font-size:12px;white-space:normal;vertical-align:bottom}
th:first-child,td:first-child{text-align:left;padding-left:0}
td:first-child{white-space:normal;min-width:130px}
.columns{display:grid;gap:4px 28px;grid-template-columns:repeat(auto-fit,minmax(300px,1fr))}
.columns td:first-child{min-width:0;white-space:nowrap}.columns>div{min-width:0}
.legend{margin:0 0 4px;display:flex;flex-wrap:wrap;gap:4px 18px;font-size:13px;color:var(--dim)}
.legend i{display:inline-block;width:16px;height:4px;border-radius:2px;margin-right:6px;
vertical-align:middle;background:currentColor}
svg{display:block;width:100%;height:auto;font:11px system-ui,sans-serif}
svg.bar{display:inline-block;width:60px;height:10px;vertical-align:middle;margin-right:4px}
.bar-fill{fill:var(--p0);opacity:.75}
.grid{stroke:var(--line);stroke-width:1}
.tick{fill:var(--dim);text-anchor:end}.time{fill:var(--dim);text-anchor:middle}
.row{fill:var(--text);text-anchor:end;font-size:12px}
.line{fill:none;stroke-width:1.5;stroke-linejoin:round}
.price{stroke:var(--text)}
.gap{fill:var(--dim);opacity:.16}
.mark{fill:var(--bad)}
.limit{stroke:var(--bad);stroke-dasharray:5 4;stroke-width:1}
.limit-text{fill:var(--bad);text-anchor:end}
.part-0{fill:var(--p0);color:var(--p0)}.part-1{fill:var(--p1);color:var(--p1)}
.part-2{fill:var(--p2);color:var(--p2)}.part-3{fill:var(--p3);color:var(--p3)}
.part-4{fill:var(--p4);color:var(--p4)}
.state-cut{fill:var(--bad)}.state-hold{fill:var(--p2)}.state-page{fill:var(--info)}
.state-plain{fill:var(--none)}
.arm-none{stroke:var(--none);color:var(--none)}.arm-rules{stroke:var(--info);color:var(--info)}
.arm-late{stroke:var(--p4);color:var(--p4);stroke-dasharray:3 3}
.arm-trigger{stroke:var(--warn);color:var(--warn)}.arm-only{stroke:var(--ok);color:var(--ok)}
/* A phone: drawings and tables keep a readable size and scroll within their panel. */
@media (max-width:700px){main{padding:8px}section{padding:12px}
.tiles{grid-template-columns:repeat(2,minmax(0,1fr))}
.wide>svg{min-width:760px;font-size:15px}.row{font-size:15px}svg.bar{width:36px}
th:first-child,td:first-child{position:sticky;left:0;background:var(--panel);max-width:130px}
td:first-child{overflow-wrap:anywhere;min-width:110px}}
@media print{body{background:#fff}section{break-inside:avoid}}
"""
