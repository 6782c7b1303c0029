"""The book as the kill switch sees it, read off the engine between two events.

Prices come through the measures, so that one which is old is absent here too. An account whose
positions are old is *dark*: its last known positions are listed, so that a twin elsewhere is not
taken for unpaired.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Protocol, runtime_checkable

from monitor.core.decision import RuleMode
from monitor.core.engine import Engine
from monitor.core.events import OrderReport
from monitor.core.killswitch.book import (
    AccountTruth,
    Book,
    HeldPosition,
    Instrument,
    OutsideLeg,
    Quote,
    WorkingOrder,
)
from monitor.core.ports import Executor
from monitor.core.rules.loosened import acts
from monitor.core.state.model import AccountState, MarketState
from monitor.core.types import EngineNs, Subject, market_subject

MAJOR_BPS = 50.0
OTHER_BPS = 150.0
# A peer's price this far from ours is of another unit (kPEPE, PEPE) or wrong: no reference.
PEER_LOW, PEER_HIGH = 0.8, 1.25
# What the venues' own rules say that no market message does: significant figures of a price, and
# the least value of an order (exits are exempt from it here, and sent whole).
PRICE_FIGURES = {"hyperliquid": 5}
MIN_NOTIONAL_USD = {"hyperliquid": Decimal(10)}
TWAPS_APART = frozenset({"hyperliquid"})  # where TWAPs are not among the working orders


@runtime_checkable
class SaysWhyNot(Protocol):
    """An executor that can say in words why an account cannot be acted for."""

    def why_not(self, account: str) -> str:
        """Empty where it can."""
        ...


def book_of(
    engine: Engine,
    now: EngineNs,
    *,
    executors: Sequence[Executor],
    majors: Collection[str],
    amounts: Collection[tuple[str, Subject]] = (),
    rules: Collection[str] = (),
) -> Book:
    """Every account, and quotes and lot rules of each market that one of them is in.

    Args:
        engine: Read, not changed.
        now: Engine time.
        executors: Say which accounts can be acted for.
        majors: Assets whose limits stay within ``MAJOR_BPS`` of the reference.
        amounts: (measure, subject) that cuts wait with.
        rules: Those of which something waits.
    """
    truths = [_truth(venue, name, pools) for venue, name, pools in _accounts(engine)]
    wanted = {
        (truth.venue, market)
        for truth in truths
        for market in (
            *(position.market for position in truth.positions),
            *(order.market for order in truth.orders),
        )
    }
    markets = [
        state
        for venue, market in sorted(wanted)
        if (state := engine.state.venues[venue].markets.get(market)) is not None
    ]
    places = [(truth.venue, truth.account) for truth in truths]
    return Book(
        at_ns=now,
        accounts=tuple(truths),
        instruments=tuple(
            one for market in markets if (one := _instrument(market, majors)) is not None
        ),
        quotes=tuple(_quote(engine, market, now) for market in markets),
        outside=tuple(
            OutsideLeg(asset=leg.asset, size=leg.size, hedge_set=leg.hedge_set)
            for leg in engine.state.off_book
            if leg.expires_at_ns > now
        ),
        executable=tuple(
            place
            for place in places
            if any(one.venue == place[0] and one.acts_for(place[1]) for one in executors)
        ),
        unable=tuple(
            (*place, why)
            for place in places
            for one in executors
            if one.venue == place[0]
            and isinstance(one, SaysWhyNot)
            and (why := one.why_not(place[1]))
        ),
        second=tuple(
            other for place in _accounts(engine) if (other := _other_reading(*place)) is not None
        ),
        listed=frozenset(
            (venue.venue, market.market, market.asset or market.market)
            for venue in engine.state.venues.values()
            for market in venue.markets.values()
            if market.listed
        ),
        dark=tuple(
            (venue, name)
            for venue, name, pools in _accounts(engine)
            if any(engine.reading("positions_count", pool.subject, now) is None for pool in pools)
        ),
        amounts=_amounts(engine, amounts, now),
        modes=_modes(engine, rules),
    )


def _modes(engine: Engine, wanted: Collection[str]) -> tuple[tuple[str, RuleMode], ...] | None:
    """What they may do: one that only pages, or is gone, no more than one that observes. None until
    a rulebook is loaded; one without rules is one."""
    if not engine.state.rulebook:
        return None
    rules = engine.rulebook.rules
    found = {rule.id: rule.mode for rule in rules if rule.id in wanted and acts(rule)}
    return tuple((name, found.get(name, RuleMode.OBSERVE)) for name in sorted(wanted))


def _amounts(
    engine: Engine, wanted: Collection[tuple[str, Subject]], now: EngineNs
) -> tuple[tuple[str, Subject, float], ...]:
    """Those that are known for certain now."""
    return tuple(
        (name, subject, found.value)
        for name, subject in sorted(wanted)
        if (found := engine.reading(name, subject, now)) is not None
        and not found.estimated
        and found.expires_ns > now
    )


def truth_of(engine: Engine, venue: str, account: str, now: EngineNs) -> AccountTruth | None:
    """One account as riskd's own feeds last told it; None where it is not known now."""
    for found, name, pools in _accounts(engine):
        if (found, name) == (venue, account):
            known = all(
                engine.reading("positions_count", pool.subject, now) is not None for pool in pools
            )
            return _truth(venue, name, pools) if known else None
    return None


def _accounts(engine: Engine) -> list[tuple[str, str, list[AccountState]]]:
    """(venue, account, its pools): the dexes of one address are one account to act for."""
    found: dict[tuple[str, str], list[AccountState]] = {}
    for venue in engine.state.venues.values():
        for pool in venue.accounts.values():
            name = pool.parent if pool.kind == "dex" and pool.parent else pool.account
            found.setdefault((venue.venue, name), []).append(pool)
    return [(venue, name, pools) for (venue, name), pools in sorted(found.items())]


def _truth(venue: str, name: str, pools: Sequence[AccountState]) -> AccountTruth:
    orders_ns = min(pool.orders_listed_ns for pool in pools)
    twaps_ns = orders_ns
    if venue in TWAPS_APART:  # told for an account as a whole, with its first pool
        twaps_ns = max(pool.twaps_listed_ns for pool in pools)
    return AccountTruth(
        venue=venue,
        account=name,
        read_ns=min(
            max(pool.positions_truth.seen_ns, pool.positions_stream.seen_ns) for pool in pools
        ),
        positions=tuple(
            HeldPosition(market=position.market, size=position.exact)
            for pool in pools
            for position in pool.positions.values()
            if position.exact
        ),
        orders=tuple(
            _working(order, twap=twap)
            for pool in pools
            for orders, twap in ((pool.orders.values(), False), (pool.twaps, True))
            for order in orders
            if order.open
        ),
        orders_ns=orders_ns or None,
        twaps_ns=twaps_ns or None,
    )


def _working(order: OrderReport, *, twap: bool) -> WorkingOrder:
    return WorkingOrder(
        order_id=order.order_id,
        market=order.market,
        side=order.side,
        size=order.size,
        limit_price=order.limit_price,
        reduce_only=order.reduce_only,
        trigger=order.trigger_price is not None,
        twap=twap,
        client_id=order.client_id,
    )


def _other_reading(venue: str, name: str, pools: Sequence[AccountState]) -> AccountTruth | None:
    """What the stream says of positions that a newer re-read contradicts; None where they agree.
    (Of two that differ, the account's own numbers are of the newer.)"""
    told = [
        (pool, position)
        for pool in pools
        for position in pool.positions.values()
        if position.difference_ratio and position.stream_size is not None
    ]
    if not told:
        return None
    return AccountTruth(
        venue=venue,
        account=name,
        read_ns=min(pool.positions_stream.seen_ns for pool, _ in told),
        positions=tuple(
            HeldPosition(market=position.market, size=Decimal(repr(position.stream_size)))
            for _, position in told
            if position.stream_size
        ),
        orders=(),
    )


def _instrument(market: MarketState, majors: Collection[str]) -> Instrument | None:
    """None where the venue never said its lot rules: such a market cannot be planned for."""
    if market.size_step is None or market.price_tick is None:
        return None
    return Instrument(
        venue=market.venue,
        market=market.market,
        asset=market.asset or market.market,
        size_step=Decimal(repr(market.size_step)),
        price_tick=Decimal(repr(market.price_tick)),
        price_figures=PRICE_FIGURES.get(market.venue),
        min_notional_usd=MIN_NOTIONAL_USD.get(market.venue, Decimal(0)),
        bound_bps=MAJOR_BPS if market.asset in majors else OTHER_BPS,
    )


def _quote(engine: Engine, market: MarketState, now: EngineNs) -> Quote:
    subject = market.subject

    def read(name: str) -> float | None:
        reading = engine.reading(name, subject, now)
        return None if reading is None else reading.value

    own = [
        price
        for name in ("mark_price", "oracle_price", "index_price")
        if (price := read(name)) is not None
    ]
    return Quote(
        venue=market.venue,
        market=market.market,
        references=tuple(own + _peers(engine, market, own, now)),
        bid_price=read("bid_price"),
        ask_price=read("ask_price"),
        bid_depth_usd=read("bid_depth_usd"),
        ask_depth_usd=read("ask_depth_usd"),
    )


def _peers(engine: Engine, market: MarketState, own: Sequence[float], now: EngineNs) -> list[float]:
    """Oracle and mid of the same asset on other venues, where they are in the same unit."""
    if not own:
        return []
    found = []
    for venue, symbol in engine.state.assets.get(market.asset, ()):
        if venue == market.venue:
            continue
        for name in ("oracle_price", "mid_price"):
            reading = engine.reading(name, market_subject(venue, symbol), now)
            # Near any of ours: where one of them is wrong, the peers are who can tell.
            if reading is not None and any(
                PEER_LOW < reading.value / price < PEER_HIGH for price in own if price > 0
            ):
                found.append(reading.value)
    return found
