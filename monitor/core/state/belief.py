"""Believing what is told: prices that jump are suspect until a second message or another agrees.

Everything that turns a told number into a fact goes through here. *Pure.*
"""

from __future__ import annotations

from math import isfinite

from monitor.core.state.facts import Channel, NumberFact, PriceFact, TopFact
from monitor.core.state.model import MarketState, RiskState
from monitor.core.types import SECOND_NS, EngineNs

# Two prices "agree" when they are this close: wide enough for one fast second of a small coin,
# far narrower than the jump that made one of them suspect.
AGREEMENT_RATIO = 0.05
AGREEMENT_AGE_NS = 60 * SECOND_NS
RESTS_NS = 30 * SECOND_NS  # as the rule `oracle_frozen`


def tell_price(
    state: RiskState,
    market: MarketState,
    fact: PriceFact,
    value: float,
    now: EngineNs,
    channel: Channel,
) -> None:
    """Believe ``value`` if it moved plausibly; otherwise the fact is absent until confirmed."""
    last = fact.value
    if value != last:  # else only its channel is another
        if fact.seen_ns - fact.changed_ns >= RESTS_NS:
            fact.rested = (fact.changed_ns, now)
        fact.changed_ns = now
    # NaN fails both comparisons, and zero and below fail the first.
    if last is not None and last * state.price_low <= value <= last * state.price_high:
        fact.value = value
    else:
        _judge_price(state, market, fact, value, now)
    fact.seen_ns, fact.channel, fact.generation = now, channel.name, channel.generation


def tell_number(fact: NumberFact, value: float, now: EngineNs, channel: Channel) -> None:
    """A finite number replaces the last one; a NaN or infinity makes the fact absent."""
    fact.value = value if isfinite(value) else None
    fact.seen_ns, fact.channel, fact.generation = now, channel.name, channel.generation


def _judge_price(
    state: RiskState,
    market: MarketState,
    fact: PriceFact,
    value: float,
    now: EngineNs,
) -> None:
    """The slow path: first price, return to the last believed one, confirmation, or suspicion."""
    reference = fact.value if fact.value is not None else fact.reference
    if not (isfinite(value) and value > 0.0):
        fact.reference, fact.value, fact.candidate = reference, None, None
        _count_suspect(state, market)
        return
    if _believable(state, reference, fact.candidate, value) or _another_agrees(
        market,
        fact,
        value,
        now,
    ):
        fact.value, fact.reference, fact.candidate = value, None, None
        return
    fact.value, fact.reference, fact.candidate = None, reference, value
    _count_suspect(state, market)


def judge_level(
    state: RiskState,
    market: MarketState,
    top: TopFact,
    level: float,
    now: EngineNs,
) -> None:
    """The same for a book: both sides stand or fall with their level."""
    reference = top.level if top.level is not None else top.reference
    if not (isfinite(level) and level > 0.0):
        suspect_top(state, market, top)
        return
    if _believable(state, reference, top.candidate, level) or _another_agrees(
        market,
        top,
        level,
        now,
    ):
        top.level, top.reference, top.candidate = level, None, None
        return
    top.level, top.reference, top.candidate = None, reference, level
    _count_suspect(state, market)


def suspect_top(state: RiskState, market: MarketState, top: TopFact) -> None:
    """A side of the book that can be no price makes both sides suspect."""
    top.reference = top.level if top.level is not None else top.reference
    top.level, top.candidate = None, None
    _count_suspect(state, market)


def _believable(
    state: RiskState,
    reference: float | None,
    candidate: float | None,
    value: float,
) -> bool:
    if reference is None:
        return True
    if reference * state.price_low <= value <= reference * state.price_high:
        return True
    return candidate is not None and abs(value / candidate - 1.0) <= AGREEMENT_RATIO


def _another_agrees(
    market: MarketState,
    told: PriceFact | TopFact,
    value: float,
    now: EngineNs,
) -> bool:
    """Whether another, recently believed price of the same market is close to ``value``."""
    for fact in (market.oracle, market.mark, market.index, market.mid):
        other = fact.value
        if (
            fact is not told
            and other is not None
            and now - fact.seen_ns <= AGREEMENT_AGE_NS
            and abs(value / other - 1.0) <= AGREEMENT_RATIO
        ):
            return True
    top = market.top
    return (
        top is not told
        and top.level is not None
        and now - top.seen_ns <= AGREEMENT_AGE_NS
        and abs(value / top.level - 1.0) <= AGREEMENT_RATIO
    )


def _count_suspect(state: RiskState, market: MarketState) -> None:
    market.suspects += 1
    state.suspects_total += 1
