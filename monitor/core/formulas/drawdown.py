"""Drawdown that money moving in, out and between own accounts does not look like. *Pure.*

A transfer is told and shows in the equity at different moments, in either order. While a transfer
was told only recently, both readings (it shows already, it does not yet) are held possible: the
smaller drawdown counts, and the peak rises only by what both allow. A rise of the peak that was
really a deposit seen before it was told is taken back when it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.core.formulas.ratios import compute_drawdown
from monitor.core.state.model import DrawdownMemory
from monitor.core.types import EngineNs


@dataclass(frozen=True, slots=True)
class Flows:
    """What has moved, USD.

    Args:
        external_total_usd: All money in (> 0) and out since the start, cumulative.
        own_in_total_usd: All arrivals from own accounts since the start, cumulative; 0 where the
            subject is one account, to which every transfer is external.
        transit_usd: On its way between own accounts, ``>= 0``.
        settling_external_usd: The part of ``external_total_usd`` told only recently.
        transit_settled_usd: ``transit_usd`` without what was told only recently.
        settling: True while anything was told only recently.
    """

    external_total_usd: float
    own_in_total_usd: float = 0.0
    transit_usd: float = 0.0
    settling_external_usd: float = 0.0
    transit_settled_usd: float = 0.0
    settling: bool = False


def start_drawdown(equity_usd: float, flows: Flows) -> DrawdownMemory:
    """The first equity read is the peak."""
    return DrawdownMemory(
        peak_usd=equity_usd + flows.transit_usd,
        external_total_usd=flows.external_total_usd,
        own_in_total_usd=flows.own_in_total_usd,
    )


def follow_drawdown(
    memory: DrawdownMemory,
    equity_usd: float,
    flows: Flows,
    *,
    exposed: bool,
    now: EngineNs,
    settling_ns: int,
) -> float:
    """The drawdown ratio in ``[0, 1]`` now; brings ``memory`` up to date.

    The peak shifts by the amount that flowed, not in proportion: 90 left of a peak of 100, then 80
    withdrawn, leaves 10 of a peak of 20. That is the stricter reading and can be checked by hand.
    """
    if memory.raised:
        memory.raised = [(at, usd) for at, usd in memory.raised if now - at < settling_ns]
    external = flows.external_total_usd - memory.external_total_usd
    memory.external_total_usd = flows.external_total_usd
    memory.peak_usd += external - (_take_back(memory, external) if external > 0.0 else 0.0)
    arrived = flows.own_in_total_usd - memory.own_in_total_usd
    memory.own_in_total_usd = flows.own_in_total_usd
    if arrived > 0.0:
        memory.peak_usd -= _take_back(memory, arrived)

    shown = equity_usd + flows.transit_usd
    drawdown = compute_drawdown(shown, memory.peak_usd, exposed=exposed)
    reached = shown
    if flows.settling:
        not_shown = equity_usd + flows.transit_settled_usd
        earlier_peak = memory.peak_usd - flows.settling_external_usd
        drawdown = min(drawdown, compute_drawdown(not_shown, earlier_peak, exposed=exposed))
        reached = min(shown, not_shown + flows.settling_external_usd)
    if reached > memory.peak_usd:
        memory.raised.append((now, reached - memory.peak_usd))
        memory.peak_usd = reached
    return drawdown


def _take_back(memory: DrawdownMemory, amount: float) -> float:
    """How much of ``amount`` recent rises of the peak already contained; forgets those rises."""
    left = amount
    kept: list[tuple[EngineNs, float]] = []
    for at, usd in reversed(memory.raised):
        used = min(left, usd)
        left -= used
        if usd > used:
            kept.append((at, usd - used))
    memory.raised = kept[::-1]
    return amount - left


def in_transit(own_flows: Sequence[float]) -> float:
    """Money that left one own account and has not arrived in another, USD ``>= 0``."""
    return max(0.0, -sum(own_flows))
