"""Drawdown that money moving in, out and between own accounts does not look like. *Pure.*

A transfer is told and shows in the equity at different moments, in either order. While a transfer
was told only recently, both readings (it shows already, it does not yet) are held possible: the
one nearer to the last drawdown counts, and the peak rises only by what both allow. A rise of the
peak that was really a deposit seen before it was told is taken back when it is. Numbers in,
numbers out.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from monitor.core.formulas.ratios import compute_drawdown
from monitor.core.types import SECOND_NS, EngineNs

Rises = tuple[tuple[EngineNs, float], ...]
RISES_APART_NS = SECOND_NS


class DrawdownMemory(msgspec.Struct, frozen=True):
    """Running peak of one subject's equity, shifted by what flowed in and out since.

    ``raised`` are recent rises of the peak, (when, USD): a deposit shows in the equity before it is
    told, and must then not lift the peak twice. ``awaiting_usd`` is the part of all outflows that
    ``external_total_usd`` leaves out while its arrival may still be told, ``<= 0``. ``ratio`` is
    the last drawdown; None before the first. ``shifted_usd`` is by how much flows moved the peak in
    all, so that peaks of different moments can be compared.
    """

    peak_usd: float
    external_total_usd: float
    own_in_total_usd: float
    raised: Rises = ()
    awaiting_usd: float = 0.0
    ratio: float | None = None
    shifted_usd: float = 0.0


class Flows(msgspec.Struct, frozen=True, gc=False):
    """What has moved, USD.

    Args:
        external_total_usd: All money in (> 0) and out since the start, cumulative.
        own_in_total_usd: All arrivals from own accounts since the start, cumulative; 0 where the
            subject is one account, to which every transfer is external.
        transit_usd: On its way between own accounts, ``>= 0``.
        settling_external_usd: The part of ``external_total_usd`` told only recently.
        transit_settled_usd: ``transit_usd`` without what was told only recently.
        settling: True while anything was told only recently.
        awaiting_usd: Outflows (``<= 0``) that count as in transit and not as external because they
            may still arrive in another of our accounts.
    """

    external_total_usd: float
    own_in_total_usd: float = 0.0
    transit_usd: float = 0.0
    settling_external_usd: float = 0.0
    transit_settled_usd: float = 0.0
    settling: bool = False
    awaiting_usd: float = 0.0


def start_drawdown(equity_usd: float, flows: Flows) -> DrawdownMemory:
    """The first equity read is the peak."""
    return DrawdownMemory(
        peak_usd=equity_usd + flows.transit_usd,
        external_total_usd=flows.external_total_usd,
        own_in_total_usd=flows.own_in_total_usd,
        awaiting_usd=flows.awaiting_usd,
    )


def resume_drawdown(memory: DrawdownMemory) -> DrawdownMemory:
    """The same peak for a process whose totals begin at zero: what was awaited then is either
    still left out of them, or has become a loss or an arrival by now."""
    return DrawdownMemory(
        peak_usd=memory.peak_usd,
        external_total_usd=-memory.awaiting_usd,
        own_in_total_usd=0.0,
        awaiting_usd=memory.awaiting_usd,
        ratio=memory.ratio,
        shifted_usd=memory.shifted_usd,
    )


def follow_drawdown(
    memory: DrawdownMemory,
    equity_usd: float,
    flows: Flows,
    *,
    exposed: bool,
    now: EngineNs,
    settling_ns: int,
) -> tuple[DrawdownMemory, float]:
    """What to remember from now on, and the drawdown ratio in ``[0, 1]`` now.

    The peak shifts by the amount that flowed, not in proportion: 90 left of a peak of 100, then 80
    withdrawn, leaves 10 of a peak of 20. That is the stricter reading and can be checked by hand.
    """
    peak = memory.peak_usd
    raised = memory.raised
    if raised and now - raised[0][0] >= settling_ns:
        raised = tuple(one for one in raised if now - one[0] < settling_ns)
    external = flows.external_total_usd - memory.external_total_usd
    peak += external
    if external > 0.0:
        raised, taken = _take_back(raised, external)
        peak -= taken
    arrived = flows.own_in_total_usd - memory.own_in_total_usd
    if arrived > 0.0:
        raised, taken = _take_back(raised, arrived)
        peak -= taken
    shifted = memory.shifted_usd + peak - memory.peak_usd

    shown = equity_usd + flows.transit_usd
    drawdown = compute_drawdown(shown, peak, exposed=exposed)
    ratio = _ratio(shown, peak)
    reached = shown
    if flows.settling:
        not_shown = equity_usd + flows.transit_settled_usd
        earlier_peak = peak - flows.settling_external_usd
        other = _ratio(not_shown, earlier_peak)
        last = 0.0 if memory.ratio is None else memory.ratio
        if abs(other - last) < abs(ratio - last):
            drawdown = compute_drawdown(not_shown, earlier_peak, exposed=exposed)
            ratio = other
        reached = min(shown, not_shown + flows.settling_external_usd)
    if reached > peak:
        raised, peak = _risen(raised, reached - peak, now), reached
        ratio = 0.0 if reached > 0.0 else ratio  # there was no peak above zero to fall from
    known = DrawdownMemory(
        peak_usd=peak,
        external_total_usd=flows.external_total_usd,
        own_in_total_usd=flows.own_in_total_usd,
        raised=raised,
        awaiting_usd=flows.awaiting_usd,
        ratio=max(ratio, 0.0),
        shifted_usd=shifted,
    )
    return known, drawdown


def _ratio(equity_usd: float, peak_usd: float) -> float:
    return 1.0 - equity_usd / peak_usd if peak_usd > 0.0 else 1.0


def _risen(raised: Rises, usd: float, now: EngineNs) -> Rises:
    """The rises with one more. Those within a second are one: an hour in which every price lifts
    the peak keeps no more of them than the settling time has seconds."""
    if raised and now - raised[-1][0] < RISES_APART_NS:
        at, before = raised[-1]
        return (*raised[:-1], (at, before + usd))
    return (*raised, (now, usd))


def _take_back(raised: Rises, amount: float) -> tuple[Rises, float]:
    """The rises of the peak without those that ``amount`` explains, newest first, and how much of
    it they already contained."""
    left = amount
    kept: list[tuple[EngineNs, float]] = []
    for at, usd in reversed(raised):
        used = min(left, usd)
        left -= used
        if usd > used:
            kept.append((at, usd - used))
    return tuple(kept[::-1]), amount - left


def in_transit(own_flows: Sequence[float]) -> float:
    """Money that left one own account and has not arrived in another, USD ``>= 0``."""
    return max(0.0, -sum(own_flows))
