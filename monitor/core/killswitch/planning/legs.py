"""Legs: each position of a book with its price, its lot rules, and whether an order may touch it.

The first step of a plan. What nobody can order here still counts, as the hedge it is. *Pure.*
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from math import isfinite
from typing import TypeVar

import msgspec

from monitor.core.killswitch.book import Book, Instrument, Quote, WorkingOrder
from monitor.core.killswitch.planning.pricing import (
    EXACT,
    anchor_price,
    effective_bound_bps,
    limit_price,
    reference_price,
)
from monitor.core.killswitch.scope import covers, covers_account, pool_of
from monitor.core.types import Side, Subject

_Fact = TypeVar("_Fact", Instrument, Quote)

OFF_BOOK = "off-book"
OUT_OF_SCOPE = "outside the scope"
DARK = "account is dark: kept at its last known size"
NO_EXECUTOR = "no order can be sent for this account"
NO_LOTS = "lot and tick sizes are not known"
NO_PRICE = "no reference price"
NO_LIMIT = "no valid price lies within the bound"
SIDES_DISAGREE = "two readings disagree on its side"


class Leg(msgspec.Struct, frozen=True, eq=False, gc=False, kw_only=True):
    """One position, or one declared off-book leg (``venue`` is then empty).

    ``size`` signed base units; ``price`` the exact reference, USD, None where there is none.
    ``stuck`` says why no order may be sent for it, empty where one may. ``resting`` is what
    working orders may already take off it, ``step`` the lot and ``least`` what is worth the venue's
    minimum notional, base units.
    """

    name: str
    venue: str
    account: str
    market: str
    asset: str
    size: Decimal
    in_scope: bool
    stuck: str
    price: Decimal | None = None
    reference: float = 0.0
    references: int = 0
    instrument: Instrument | None = None
    quote: Quote | None = None
    bound_bps: float = 0.0
    limit: Decimal | None = None
    step: Decimal = Decimal(0)
    least: Decimal = Decimal(0)
    resting: Decimal = Decimal(0)
    in_the_way: tuple[str, ...] = ()
    hedge_set: str = ""

    @property
    def amount(self) -> Decimal:
        """How much is held, base units, unsigned."""
        return abs(self.size)

    @property
    def exit_side(self) -> Side:
        """The side of an order that makes it smaller."""
        return Side.SELL if self.size > 0 else Side.BUY

    @property
    def room(self) -> Decimal:
        """What an order may take off it, working orders counted; zero where none may be sent."""
        return Decimal(0) if self.stuck else max(self.amount - self.resting, Decimal(0))

    @property
    def known_price(self) -> Decimal:
        """The reference price of a leg that is known to have one, USD.

        Raises:
            ValueError: If it has none; unknown is not zero.
        """
        if self.price is None:
            raise ValueError(f"{self.name} has no reference price")
        return self.price

    @property
    def notional_usd(self) -> Decimal:
        """Unsigned; zero where there is no price, which the caller must say."""
        return Decimal(0) if self.price is None else self.amount * self.price


def gross_in_scope_usd(scope: Subject, book: Book) -> float:
    """Gross exposure of ``scope`` as the planner counts it: each venue position at its reference.

    Off-book legs are not in it, since no order can make them smaller; nor is a position without
    any reference price. This is the number that a target's ``baseline_usd`` must be made with.

    Raises:
        ValueError: If ``scope`` is none.
    """
    legs = read_legs(scope, book)
    return float(sum((leg.notional_usd for leg in legs if leg.in_scope), Decimal(0)))


def read_legs(scope: Subject, book: Book) -> list[Leg]:
    """All legs of the book, in the order of their names, off-book ones last."""
    instruments = _by_market(book.instruments)
    quotes = _by_market(book.quotes)
    kept = book.why_kept
    priced: dict[tuple[str, str, int], tuple[float | None, int, float, Decimal | None]] = {}
    legs = []
    for (venue, account, market), (size, orders, agreed) in sorted(_held(book).items()):
        instrument = instruments.get((venue, market))
        quote = quotes.get((venue, market))
        key = (venue, market, 1 if size > 0 else -1)
        if key not in priced:
            priced[key] = _price(instrument, quote, Side.SELL if size > 0 else Side.BUY)
        reference, references, bound_bps, limit = priced[key]
        asset = market if instrument is None else instrument.asset
        in_scope = covers(scope, venue=venue, account=account, asset=asset, market=market)
        pool = pool_of(account, market)
        reasons = (
            (not in_scope, OUT_OF_SCOPE),
            (_listed(book.dark, venue, pool), DARK),
            ((venue, account, market) in kept, kept.get((venue, account, market), "")),
            # By its own name: a sub-account (main.hedge) is another account than its master.
            ((venue, account) not in book.executable, NO_EXECUTOR),
            (not agreed, SIDES_DISAGREE),
            (instrument is None or instrument.size_step <= 0, NO_LOTS),
            (reference is None, NO_PRICE),
            (limit is None, NO_LIMIT),
        )
        taking = _taking(orders, market, Side.SELL if size > 0 else Side.BUY)
        legs.append(
            Leg(
                name=f"{venue}/{account}/{market}",
                venue=venue,
                account=account,
                market=market,
                asset=asset,
                size=size,
                in_scope=in_scope,
                stuck=next((reason for is_so, reason in reasons if is_so), ""),
                price=None if reference is None else Decimal(repr(reference)),
                reference=reference or 0.0,
                references=references,
                instrument=instrument,
                quote=quote,
                bound_bps=bound_bps,
                limit=limit,
                step=Decimal(0) if instrument is None else instrument.size_step,
                least=_least(instrument, reference, limit),
                resting=sum((order.size for order in taking), Decimal(0)),
                in_the_way=tuple(sorted(order.order_id for order in taking)),
            ),
        )
    return legs + _outside(book)


def _held(
    book: Book,
) -> dict[tuple[str, str, str], tuple[Decimal, tuple[WorkingOrder, ...], bool]]:
    """Size, the account's working orders, and whether all readings agree on the side.

    Where an account was read twice, the smaller size of the same side counts, and every order of
    either reading: no reduction may be larger than both allow. A second reading adds no position
    that the first, which lists all there are, does not have.
    """
    first = {(truth.venue, truth.account) for truth in book.accounts}
    beside = [one for one in book.second if (one.venue, one.account) in first]
    orders: dict[tuple[str, str], dict[str, WorkingOrder]] = {}
    held: dict[tuple[str, str, str], tuple[Decimal, bool]] = {}
    # One that nobody has read but by the second source is as good as read.
    alone = [one for one in book.second if (one.venue, one.account) not in first]
    for truth in (*book.accounts, *alone, *beside):
        listed = orders.setdefault((truth.venue, truth.account), {})
        for order in truth.orders:
            known = listed.get(order.order_id)
            if known is None or order.size > known.size:
                listed[order.order_id] = order
        for position in truth.positions:
            if not position.size:
                continue
            key = (truth.venue, truth.account, position.market)
            if truth in beside and key not in held:
                continue
            size, agreed = held.get(key, (position.size, True))
            same = (size > 0) == (position.size > 0)
            smaller = min(size, position.size, key=lambda one: (abs(one), one))
            held[key] = (smaller, agreed and same)
    return {
        key: (size, tuple(orders[key[0], key[1]].values()), agreed)
        for key, (size, agreed) in held.items()
    }


def _taking(orders: Iterable[WorkingOrder], market: str, exit_side: Side) -> list[WorkingOrder]:
    """The working orders that may take a position off while ours does.

    A reduce-only trigger is not counted: it is a protective stop, kept on purpose below HALT, and
    the venue caps it at what is left when it fires. Counting it would make every protected
    position impossible to cut.
    """
    return [
        order
        for order in orders
        if order.market == market
        and order.side is exit_side
        and not (order.trigger and order.reduce_only)
    ]


def _price(
    instrument: Instrument | None,
    quote: Quote | None,
    side: Side,
) -> tuple[float | None, int, float, Decimal | None]:
    """(reference, how many there were, bound in bps, limit) of orders on one side of a market."""
    reference, references = reference_price(quote)
    if reference is None or instrument is None:
        return reference, references, 0.0, None
    bound_bps = effective_bound_bps(instrument, references)
    if instrument.price_tick <= 0 or not isfinite(bound_bps):
        return reference, references, bound_bps, None
    anchor = anchor_price(quote, side, bound_bps)
    limit = None if anchor is None else limit_price(anchor, side, bound_bps, instrument)
    return reference, references, bound_bps, limit


def _least(
    instrument: Instrument | None, reference: float | None, limit: Decimal | None
) -> Decimal:
    """The smallest order, base units: venues value one at its limit or at the mark, so both must
    reach the minimum."""
    if instrument is None or reference is None:
        return Decimal(0)
    price = Decimal(repr(reference))
    lowest = price if limit is None else min(price, limit)
    return EXACT.divide(instrument.min_notional_usd, lowest) if lowest > 0 else Decimal(0)


def _outside(book: Book) -> list[Leg]:
    ordered = sorted(book.outside, key=lambda leg: (leg.asset, leg.hedge_set, leg.size))
    return [
        Leg(
            name=f"{OFF_BOOK} {leg.asset}",
            venue="",
            account="",
            market="",
            asset=leg.asset,
            size=leg.size,
            in_scope=False,
            stuck=OFF_BOOK,
            hedge_set=leg.hedge_set,
        )
        for leg in ordered
        if leg.size
    ]


def _listed(accounts: Sequence[tuple[str, str]], venue: str, account: str) -> bool:
    return any(venue == v and covers_account(named, account) for v, named in accounts)


def _by_market(facts: Sequence[_Fact]) -> dict[tuple[str, str], _Fact]:
    table: dict[tuple[str, str], _Fact] = {}
    for fact in facts:
        key = (fact.venue, fact.market)
        known = table.get(key)
        # Of two facts about one market the same one must win, whatever order they came in.
        if known is None or repr(fact) < repr(known):
            table[key] = fact
    return table
