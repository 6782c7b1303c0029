"""The funding stress index in words: on a page, and step by step for whoever does the sum again.
*Pure.*
"""

from __future__ import annotations

from math import inf

from monitor.core.formulas.funding_stress import ramp
from monitor.core.measures.tree import Node, PortfolioNode
from monitor.core.measures.use import Use
from monitor.core.state.funding import StressNow
from monitor.core.state.model import RiskState
from monitor.core.types import EngineNs

NAMED = 5  # assets
PARTS = ("level", "breadth", "surprise", "change", "flips")


def say_why_unknown(_node: Node, state: RiskState, _now: EngineNs) -> str:
    """Why there is no index; empty where there is one."""
    return state.stress.now.why.reason[:80]


def say_coverage(_node: Node, state: RiskState, _now: EngineNs) -> str:
    """``97 % of open interest, 19 of 20 assets``."""
    return _coverage(state.stress.now)


def say_index(node: Node, state: RiskState, _now: EngineNs) -> str:
    """``SOL 90 %, ETH 62 % and BTC 55 % a year``, and below it each part with its raw value, ramp
    and points, and the coverage."""
    now = state.stress.now
    if now.index is None or not isinstance(node, PortfolioNode):
        return ""
    named = [f"{asset} {apr * 100:.3g} %" for asset, apr, _ in now.top]
    listed = named[0] if len(named) < 2 else f"{', '.join(named[:-1])} and {named[-1]}"
    lines = [f"{listed} a year"]
    lines += [
        f"{name} {value:.4g}: ramp {share:.4g}, {points:.2f} points"
        for name, value, share, points in zip(
            PARTS, now.parts or (), now.ramps, now.points or (), strict=False
        )
    ]
    return "\n".join([*lines, f"coverage {_coverage(now)}"])


def work_index(_node: Node, use: Use) -> tuple[str, ...]:
    """Each part as ``level (0.55 - 0.15) / 0.45 = 0.8889 x 25 = 22.22``, then the coverage and the
    assets that add most."""
    now = use.state.stress.now
    if now.parts is None:
        return ()
    lines = _parts(now.parts, use)
    top = ", ".join(f"{asset} {apr * 100:.3g} %/yr" for asset, apr, _ in now.top)
    return (*lines, f"coverage {_coverage(now)}", f"most from {top}")


def work_worst(_node: Node, use: Use) -> tuple[str, ...]:
    """The same with what is not known at its worst, and which assets those are."""
    now = use.state.stress.now
    if now.worst is None or now.worst_parts is None:
        return ()
    named = ", ".join(now.at_worst[:NAMED])
    more = len(now.at_worst) - NAMED
    whole = f"{named}{f' and {more} more' if more > 0 else ''} at their worst, as not known"
    return (
        *_parts(now.worst_parts, use),
        whole if now.at_worst else "every asset is known: the index itself",
        f"all points {now.worst:.2f}",
    )


def _parts(values: tuple[float, ...], use: Use) -> list[str]:
    ramps = use.settings.funding_stress.ramps
    return [
        _part(name, value, *anchors)
        for name, value, anchors in zip(PARTS, values, ramps, strict=True)
    ]


def _part(name: str, value: float, low: float, high: float, weight: float) -> str:
    share = ramp(value, low, high)
    if value == inf:  # the middle one of the assets is not known
        found = "not known, at its worst: 1"
    elif value <= low:
        found = f"{value:.4g} <= {low:g}: 0"
    elif value >= high:
        found = f"{value:.4g} >= {high:g}: 1"
    else:
        found = f"({value:.4g} - {low:g}) / {high - low:.4g} = {share:.4g}"
    return f"{name} {found} x {weight:g} = {weight * share:.2f}"


def _coverage(now: StressNow) -> str:
    if now.coverage is None:
        return ""
    return f"{now.coverage * 100:.3g} % of open interest, {now.assets} of {now.universe} assets"
