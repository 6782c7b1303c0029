"""Which working orders a level takes away, what stays unprotected, and what has grown back.

*Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from monitor.core.killswitch.book import AccountTruth, Book, WorkingOrder
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.scope import covers, covers_account, scope_parts
from monitor.core.types import EngineNs, Side, Subject, SubjectKind

AssetOf = Callable[[str, str], str]


def asset_of(book: Book | None) -> AssetOf:
    """(venue, market) to asset; a market nobody describes is its own asset."""
    known: Mapping[tuple[str, str], str] = (
        {} if book is None else {(one.venue, one.market): one.asset for one in book.instruments}
    )
    return lambda venue, market: known.get((venue, market), market)


def within(scope: Subject, venue: str, account: str, market: str, asset: str) -> bool:
    """Whether one market of one account lies in a scope, margin pools counted."""
    return covers(scope, venue=venue, account=account, asset=asset, market=market)


def concerns(scope: Subject, venue: str, account: str) -> bool:
    """Whether anything of an account could lie in a scope, so that it has to be read."""
    kind, parts = scope_parts(scope)
    if kind in {SubjectKind.PORTFOLIO, SubjectKind.ASSET}:
        return True
    if parts[0] != venue:
        return False
    if kind in {SubjectKind.VENUE, SubjectKind.MARKET}:
        return True
    # A pool of the account, or the account whose pool this is.
    return covers_account(parts[1], account) or covers_account(account, parts[1])


def to_cancel(
    truth: AccountTruth,
    scope: Subject,
    level: Level,
    assets: AssetOf,
    *,
    share_left: float = 1.0,
    protective_too: bool = False,
    in_the_way: tuple[str, ...] = (),
) -> tuple[WorkingOrder, ...]:
    """The working orders in scope that a level takes away, whoever placed them.

    Levels 2 and 3 take what increases risk: every order that is not reduce-only, but for those
    that only take off a position what no other resting order takes off already, judged on the
    ``share_left`` of it that a cut leaves. Levels 4 and 5 take all but reduce-only triggers.
    ``in_the_way`` are further ones that the plan of a cut cannot do with; never triggers.
    """
    inside = [
        order
        for order in truth.orders
        if within(
            scope, truth.venue, truth.account, order.market, assets(truth.venue, order.market)
        )
    ]
    if level >= Level.HALT:
        return tuple(
            order for order in inside if protective_too or not (order.trigger and order.reduce_only)
        )
    if level < Level.REDUCE_ONLY:
        return ()
    gone = []
    for market in dict.fromkeys(order.market for order in inside):
        orders = [order for order in truth.orders if order.market == market]
        gone += _increasing(orders, size_in(truth, market), share_left)
    taken = {order.order_id for order in gone}
    gone += [
        order
        for order in inside
        if order.order_id in in_the_way and order.order_id not in taken and not order.trigger
    ]
    return tuple(gone)


def _increasing(orders: list[WorkingOrder], size: Decimal, share_left: float) -> list[WorkingOrder]:
    """Orders of one market that could enlarge or flip its position, alone or in sum."""
    exit_side = Side.SELL if size > 0 else Side.BUY
    # A protective stop is no resting order: the planner does not count it either.
    reducing = [order for order in orders if order.reduce_only and not order.trigger]
    plain = sorted((o for o in orders if not o.reduce_only), key=lambda o: (o.size, o.order_id))
    room = abs(size) * Decimal(repr(share_left)) - sum(
        (order.size for order in reducing if order.side is exit_side), Decimal(0)
    )
    gone = []
    for order in plain:
        # What waits for its price may come when the position is another one.
        if size and order.side is exit_side and order.size <= room and not order.trigger:
            room -= order.size
        else:
            gone.append(order)
    return gone


def unproved(truth: AccountTruth, since_ns: EngineNs) -> tuple[str, ...]:
    """What of a reading says nothing about how things stand since ``since_ns``, in words: what it
    does not list may be there all the same. Empty where it proves what it shows."""
    parts = (
        ("its positions", truth.read_ns),
        ("its working orders", truth.orders_ns),
        ("its TWAPs", truth.twaps_ns),
    )
    unknown = [what for what, at_ns in parts if at_ns is None]
    old = [what for what, at_ns in parts if at_ns is not None and at_ns < since_ns]
    if truth.idle_orders_ns is not None and truth.idle_orders_ns < since_ns:
        old.append("the working orders where it holds nothing")
    return (
        *(f"{what} are not known" for what in unknown),
        *(f"{what} were last read before the last action" for what in old),
    )


def size_in(truth: AccountTruth, market: str) -> Decimal:
    """Signed size held in a market, zero where the venue lists none."""
    return sum((one.size for one in truth.positions if one.market == market), Decimal(0))


def held_in(truth: AccountTruth, scope: Subject, assets: AssetOf) -> dict[str, Decimal]:
    """Signed size by market of what an account holds within a scope."""
    return {
        one.market: one.size
        for one in truth.positions
        if one.size
        and within(scope, truth.venue, truth.account, one.market, assets(truth.venue, one.market))
    }


def unprotected(truth: AccountTruth, scope: Subject, assets: AssetOf) -> tuple[str, ...]:
    """Markets in scope with a position that no reduce-only trigger would close."""
    covered = {
        (order.market, order.side) for order in truth.orders if order.trigger and order.reduce_only
    }
    return tuple(
        sorted(
            market
            for market, size in held_in(truth, scope, assets).items()
            if (market, Side.SELL if size > 0 else Side.BUY) not in covered
        )
    )


def grown_back(
    held: Mapping[str, Decimal],
    floors: Mapping[str, Decimal],
    firsts: Mapping[str, Decimal],
    tolerance_ratio: float,
) -> dict[str, str]:
    """Markets where more is held than a cut left, or the other side, with both sizes in words.

    ``floors`` are signed sizes after that cut, ``firsts`` unsigned ones when the trip began.
    """
    grown = {}
    for market, floor in floors.items():
        size = held.get(market, Decimal(0))
        slack = firsts.get(market, Decimal(0)) * Decimal(repr(tolerance_ratio))
        flipped = bool(floor) and size * floor < 0
        if abs(size) > abs(floor) + slack or (flipped and abs(size) > slack):
            grown[market] = f"{market} {size.normalize():f} after {floor.normalize():f}"
    return grown
