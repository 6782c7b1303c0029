"""Drawdown that money moving in, out and between own accounts does not look like. *Pure.*

A transfer is told and shows in the equity at different moments, in either order. While a transfer
was told only recently, both readings (it shows already, it does not yet) are held possible: the
one nearer to the last drawdown counts, and the peak rises only by what both allow. A rise of the
peak that was really a deposit seen before it was told is taken back when it is.

A flow scales the peak, so that by itself it leaves the drawdown what it was: ``peak x (E + flow) /
E`` with ``E`` the equity before it (sheet *volatility-and-leverage* section 7). That needs to be
known: ``E`` is the equity at the telling where the flow shows after it, and the equity less the
flow where a step of its size came shortly before or it lifted the peak, or where it is known
otherwise that all that was told is in the equity (``attribution``). Where none is so until
the settling time is over, and where ``E`` or what is left is not above zero, the peak shifts by the
amount instead: that needs no ``E``, comes right however late a deposit shows, and is the stricter
of the two for withdrawals. Numbers in, numbers out.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from monitor.core.formulas.ratios import compute_drawdown
from monitor.core.types import SECOND_NS, EngineNs

Rises = tuple[tuple[EngineNs, float], ...]
RISES_APART_NS = SECOND_NS
# How far a step of the equity may be from a flow to be that flow: prices move meanwhile.
SAME_RATIO = 0.1
# A smaller flow, scaled or shifted, moves the drawdown by less than a hundredth of itself.
STEP_RATIO = 0.01
STEPS_MAX = 8


class Unsettled(msgspec.Struct, frozen=True, gc=False):
    """A flow that is told and not in the peak yet: when it (or the newest of several) was told, USD
    in (> 0) or out, and the equity at the (first) telling."""

    told_ns: EngineNs
    usd: float
    equity_usd: float


class DrawdownMemory(msgspec.Struct, frozen=True):
    """Running peak of one subject's equity, scaled by what flowed in and out since.

    ``raised`` are recent rises of the peak, (when, USD): a deposit shows in the equity before it is
    told, and must then not lift the peak twice. ``awaiting_usd`` is the part of all outflows that
    ``external_total_usd`` leaves out while its arrival may still be told, ``<= 0``. ``ratio`` is
    the last drawdown; None before the first. ``scale`` (> 0) and ``shifted_usd`` are what flows
    made of the peak in all, ``peak x scale + shifted_usd``, so that peaks of different moments can
    be compared. ``equity_usd`` is the last equity, with what is in transit; None where an older
    process did not keep it. ``unsettled`` is not in the peak yet. ``steps`` are recent large
    changes of the equity from one look to the next, (when, USD): one may be a flow told later.
    ``before_usd`` is the equity before a step that nothing explained yet; None without one.
    """

    peak_usd: float
    external_total_usd: float
    own_in_total_usd: float
    raised: Rises = ()
    awaiting_usd: float = 0.0
    ratio: float | None = None
    shifted_usd: float = 0.0
    scale: float = 1.0
    equity_usd: float | None = None
    unsettled: Unsettled | None = None
    steps: Rises = ()
    before_usd: float | None = None


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
        shown: All that was told is known to be in the equity.
    """

    external_total_usd: float
    own_in_total_usd: float = 0.0
    transit_usd: float = 0.0
    settling_external_usd: float = 0.0
    transit_settled_usd: float = 0.0
    settling: bool = False
    awaiting_usd: float = 0.0
    shown: bool = False


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
        scale=memory.scale,
        equity_usd=memory.equity_usd,
        unsettled=memory.unsettled,
        before_usd=memory.before_usd,
    )


def doubt_drawdown(
    memory: DrawdownMemory, equity_usd: float, flows: Flows, unexplained_usd: float
) -> DrawdownMemory:
    """The memory that keeps what the equity was before a step that nothing explains (signed), and
    follows nothing else of it. A flow that is told and does not show is such a step, too, the other
    way round."""
    if memory.before_usd is not None:
        return memory
    told = flows.external_total_usd - memory.external_total_usd
    if memory.unsettled is not None:
        told += memory.unsettled.usd
    before = equity_usd + flows.transit_usd - unexplained_usd - told
    return msgspec.structs.replace(memory, before_usd=before)


def accept_drawdown(memory: DrawdownMemory, usd: float) -> DrawdownMemory:
    """The memory after a step of the equity (USD, signed) that nothing explained and a person
    vouches for: a flow, at the equity before it, which is the last that was remembered. It is in
    the totals of all flows from then on."""
    memory = msgspec.structs.replace(memory, external_total_usd=memory.external_total_usd + usd)
    before = memory.equity_usd if memory.before_usd is None else memory.before_usd
    if before is None:
        return msgspec.structs.replace(_shifted(memory, usd), before_usd=None)
    moved = _moved(memory, before, usd)
    return msgspec.structs.replace(moved, equity_usd=before + usd, before_usd=None)


def follow_drawdown(
    memory: DrawdownMemory,
    equity_usd: float,
    flows: Flows,
    *,
    exposed: bool,
    now: EngineNs,
    settling_ns: int,
) -> tuple[DrawdownMemory, float]:
    """What to remember from now on, and the drawdown ratio in ``[0, 1]`` now."""
    shown = equity_usd + flows.transit_usd
    memory = _told(memory, shown, flows, now, settling_ns)
    peak, raised, unsettled = memory.peak_usd, memory.raised, memory.unsettled
    told_peak = peak if unsettled is None else _settled_peak(peak, shown, unsettled)
    drawdown = compute_drawdown(shown, told_peak, exposed=exposed)
    ratio = _ratio(shown, told_peak)
    gain = shown - told_peak
    if flows.settling:
        not_shown = equity_usd + flows.transit_settled_usd
        other = _ratio(not_shown, peak)
        last = 0.0 if memory.ratio is None else memory.ratio
        if abs(other - last) < abs(ratio - last):
            drawdown = compute_drawdown(not_shown, peak, exposed=exposed)
            ratio = other
        gain = min(gain, not_shown - peak)
    if gain > 0.0:
        raised, peak = _risen(raised, gain, now), peak + gain
        ratio = 0.0 if peak > 0.0 else ratio  # there was no peak above zero to fall from
    known = msgspec.structs.replace(
        memory, peak_usd=peak, raised=raised, ratio=max(ratio, 0.0), equity_usd=shown
    )
    return known, drawdown


def level_of(memory: DrawdownMemory, peak_usd: float) -> float:
    """A peak of now with all flows since the start taken out, USD."""
    return (peak_usd - memory.shifted_usd) / memory.scale


def peak_of(memory: DrawdownMemory, level_usd: float) -> float:
    """The peak that a level of any moment would be now, USD."""
    return level_usd * memory.scale + memory.shifted_usd


def _told(
    memory: DrawdownMemory, shown: float, flows: Flows, now: EngineNs, settling_ns: int
) -> DrawdownMemory:
    """The memory with all that was told: in the peak where it is known how, unsettled otherwise."""
    raised, before = memory.raised, memory.before_usd
    if raised and now - raised[0][0] >= settling_ns:
        raised = tuple(one for one in raised if now - one[0] < settling_ns)
    external = flows.external_total_usd - memory.external_total_usd
    arrived = flows.own_in_total_usd - memory.own_in_total_usd
    step = 0.0 if memory.equity_usd is None else shown - memory.equity_usd
    steps = _stepped(memory.steps, step, shown, now, settling_ns)
    unsettled = memory.unsettled
    if (
        external == arrived == 0.0
        and unsettled is None
        and raised is memory.raised
        and steps is memory.steps
        and flows.awaiting_usd == memory.awaiting_usd
        and memory.before_usd is None
    ):
        return memory  # nearly always, and a copy is half of its cost
    lifted = taken = 0.0
    if external > 0.0:
        raised, lifted = _take_back(raised, external)
    if arrived > 0.0:
        raised, taken = _take_back(raised, arrived)
    memory = msgspec.structs.replace(
        memory,
        peak_usd=memory.peak_usd - lifted - taken,
        shifted_usd=memory.shifted_usd - lifted - taken,
        external_total_usd=flows.external_total_usd,
        own_in_total_usd=flows.own_in_total_usd,
        raised=raised,
        steps=steps,
        awaiting_usd=flows.awaiting_usd,
        before_usd=None,
    )
    late = external if unsettled is None else external + unsettled.usd
    if flows.shown and abs(late) >= STEP_RATIO * abs(shown):
        memory = _moved(memory, shown - late if before is None else before, late)
        kept = _without(steps, step, late)
        return msgspec.structs.replace(
            memory, unsettled=None, steps=steps if kept is None else kept
        )
    if unsettled is not None and (
        now - unsettled.told_ns >= settling_ns or (external != 0.0 and _shows(unsettled, shown))
    ):
        memory, unsettled = _settle(memory, shown, unsettled), None
    if external == 0.0:
        return msgspec.structs.replace(memory, unsettled=unsettled)
    others = _without(steps, step, external)
    if others is not None or lifted > abs(external) / 2.0:  # it shows already
        memory = _moved(memory, shown - external, external)
        memory = msgspec.structs.replace(memory, steps=steps if others is None else others)
    elif unsettled is not None:
        usd = unsettled.usd + external
        unsettled = Unsettled(now, usd, unsettled.equity_usd) if usd != 0.0 else None
    else:
        unsettled = Unsettled(now, external, shown)
    if unsettled is not None and not flows.settling:
        memory, unsettled = _settle(memory, shown, unsettled), None
    return msgspec.structs.replace(memory, unsettled=unsettled)


def _stepped(steps: Rises, step: float, shown: float, now: EngineNs, settling_ns: int) -> Rises:
    """The steps with one more that is worth remembering, without what is too old."""
    if steps and now - steps[0][0] >= settling_ns:
        steps = tuple(one for one in steps if now - one[0] < settling_ns)
    if abs(step) < STEP_RATIO * abs(shown):
        return steps
    return (*steps, (now, step))[-STEPS_MAX:]


def _without(steps: Rises, step: float, usd: float) -> Rises | None:
    """The steps without the newest that is a flow of ``usd``, of which ``step`` is the one of now;
    None where none is."""
    slack = SAME_RATIO * abs(usd)
    for index in range(len(steps) - 1, -1, -1):
        if abs(steps[index][1] - usd) <= slack:
            return steps[:index] + steps[index + 1 :]
    return steps if abs(step - usd) <= slack else None


def _shows(flow: Unsettled, shown: float) -> bool:
    """Whether equity has moved by about the flow since it was told. Where the market did that
    instead, it is small, and so is what scaling it wrongly costs: its square over the equity."""
    moved = shown - flow.equity_usd
    return abs(moved - flow.usd) < abs(moved)


def _settled_peak(peak: float, shown: float, flow: Unsettled) -> float:
    """The peak with a flow in it."""
    if _shows(flow, shown):
        return peak * _factor(peak, flow.equity_usd, flow.usd) or peak + flow.usd
    return peak + flow.usd


def _settle(memory: DrawdownMemory, shown: float, flow: Unsettled) -> DrawdownMemory:
    if _shows(flow, shown):
        return _moved(memory, flow.equity_usd, flow.usd)
    return _shifted(memory, flow.usd)


def _moved(memory: DrawdownMemory, equity_usd: float, usd: float) -> DrawdownMemory:
    """The memory after a flow at a known equity, which is that before it."""
    factor = _factor(memory.peak_usd, equity_usd, usd)
    if factor == 0.0:
        return _shifted(memory, usd)
    return msgspec.structs.replace(
        memory,
        peak_usd=memory.peak_usd * factor,
        shifted_usd=memory.shifted_usd * factor,
        scale=memory.scale * factor,
    )


def _shifted(memory: DrawdownMemory, usd: float) -> DrawdownMemory:
    return msgspec.structs.replace(
        memory, peak_usd=memory.peak_usd + usd, shifted_usd=memory.shifted_usd + usd
    )


def _factor(peak: float, equity_usd: float, usd: float) -> float:
    """By what a flow scales the peak, ``> 0``; 0 where it cannot."""
    if peak <= 0.0 or equity_usd <= 0.0 or equity_usd + usd <= 0.0:
        return 0.0
    return (equity_usd + usd) / equity_usd


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
