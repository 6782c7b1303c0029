"""Hedge sets: what their legs leave unhedged, and whether somebody else took one of them.

All legs count, also those that the desk declares as off-book under the set's name, at one price per
asset. A leg that cannot be seen or valued makes the set unknown, never flat. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import fsum
from statistics import median
from typing import NamedTuple

from monitor.core.formulas.structure import compute_hedge_mismatch
from monitor.core.measures.accounts import read_pools
from monitor.core.measures.definition import HOLDINGS, Definition, Relation, define
from monitor.core.measures.prices import price_of_asset
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, HedgeSetNode, Node
from monitor.core.measures.use import Use, known_ns
from monitor.core.state.facts import LEGS_BIT
from monitor.core.state.legs import closed_by_us
from monitor.core.state.model import DAY_NS, RiskState
from monitor.core.state.structure import LegTrail
from monitor.core.types import SECOND_NS, EngineNs, SubjectKind, position_subject

_KINDS = (SubjectKind.HEDGE_SET,)
# A lost leg is told at once, whatever is left; after this long by what it leaves unhedged.
EVENT_NS = 60 * SECOND_NS
# A forced fill that is told this long after it happened is no event but history.
NEWS_NS = 600 * SECOND_NS
# Our own fills may be told this much later than what they closed is gone.
FILLS_LATE_NS = 5 * SECOND_NS
WHOLE_RATIO_MAX = 0.05

Part = tuple[str, float]  # whose, signed USD


class Leg(NamedTuple):
    """One leg: signed base units, and its own price, None where it is not known."""

    name: str
    asset: str
    size: float
    price: float | None


def _held(node: HedgeSetNode) -> Iterator[tuple[AccountNode, str]]:
    """Every position ever seen in a leg, open or closed."""
    for account in node.related(Relation.ACCOUNTS):
        if isinstance(account, AccountNode):
            state = account.account
            for market in state.positions:
                if node.hedge.has_leg(state.venue, state.account, market):
                    yield account, market


def _watched(node: HedgeSetNode, use: Use) -> bool:
    """Every account that holds a leg is heard of, and its positions are known."""
    if any(read_pools(node, venue, alias, use) is None for venue, alias, _ in node.hedge.legs):
        return False
    accounts = [one for one in node.related(Relation.ACCOUNTS) if isinstance(one, AccountNode)]
    return all(use.read(one, HOLDINGS) is not None for one in accounts)


def legs_of(node: HedgeSetNode, use: Use) -> list[Part] | None:
    """What every leg is worth, signed USD; None where one cannot be seen or valued."""
    if not _watched(node, use):
        return None
    legs = list(_held_legs(node))
    for leg in use.state.off_book:
        if leg.hedge_set != node.hedge.name or leg.expires_at_ns <= use.now:
            continue
        use.wake_at(leg.expires_at_ns)
        use.retry()  # its price is followed by the second
        price = price_of_asset(use.state, leg.asset, use)
        legs.append(Leg(f"off-book {leg.asset}", leg.asset, float(leg.size), price))
    parts = _valued(legs)
    if len(parts) < len(legs):
        worth = {name for name, _ in parts}
        use.absent(f"no fresh price of {next(one.name for one in legs if one.name not in worth)}")
        return None
    return parts


def _held_legs(node: HedgeSetNode) -> Iterator[Leg]:
    """Positions that are open, each at its venue's price where that is known."""
    for account, market in _held(node):
        owner = account.account
        size = owner.positions[market].size
        if size == 0.0:
            continue
        holding = account.holdings.held.get(market)
        yield Leg(
            f"{owner.venue}/{owner.account}/{market}",
            account.markets[market].market.asset or market,
            size,
            None if holding is None else holding.price,
        )


def _valued(legs: list[Leg]) -> list[Part]:
    """Each leg at one price per asset, the median of what its legs have: two venues that disagree
    about a price, or one that tells none, leave what is hedged by size as hedged as it was. Legs
    of an asset without any price are left out."""
    prices: dict[str, list[float]] = {}
    for leg in legs:
        if leg.price is not None:
            prices.setdefault(leg.asset, []).append(leg.price)
    return [(leg.name, leg.size * median(prices[leg.asset])) for leg in legs if leg.asset in prices]


def _of_parts(
    compute: Callable[[list[float]], float],
) -> Callable[[HedgeSetNode, Use], float | None]:
    def read(node: HedgeSetNode, use: Use) -> float | None:
        parts = legs_of(node, use)
        return None if parts is None else compute([value for _, value in parts])

    return read


def _gross(values: list[float]) -> float:
    return fsum(map(abs, values))


def _legs_told(node: Node, state: RiskState, now: EngineNs) -> str:
    """``hyperliquid/main/BTC -85 000, dydx/main/BTC-USD +100 000``, of what is valued."""
    if not isinstance(node, HedgeSetNode):
        return ""
    told = [
        f"{name} {value:+,.0f}".replace(",", " ") for name, value in _valued([*_held_legs(node)])
    ]
    told += [
        f"off-book {leg.asset} {leg.size:+f}"
        for leg in state.off_book
        if leg.hedge_set == node.hedge.name and leg.expires_at_ns > now
    ]
    return ", ".join(told)


# -------------------------------------------------------------------------------- lost legs


def _trails(node: HedgeSetNode, state: RiskState) -> Iterator[tuple[AccountNode, str, LegTrail]]:
    for account, market in _held(node):
        owner = account.account
        subject = position_subject(owner.venue, owner.account, market)
        trail = state.structure.legs.get(subject)
        if trail is not None:
            yield account, market, trail


def _vanished(account: AccountNode, market: str, trail: LegTrail, use: Use) -> bool:
    """The venue's re-read agrees that it is gone, our fills were heard of since, and they do not
    account for it."""
    gone = trail.gone
    if gone is None or use.now - gone.told_ns > DAY_NS or closed_by_us(trail, gone):
        return False
    owner = account.account
    heard = known_ns(owner.fills_seen, use.channels.get(owner.fills_seen.channel))
    agreed = (
        owner.positions[market].truth_size == 0.0 and owner.positions_truth.seen_ns >= gone.told_ns
    )
    if agreed and heard >= gone.told_ns + FILLS_LATE_NS:
        return True
    use.retry()
    return False


def _took_ns(account: AccountNode, market: str, trail: LegTrail, use: Use) -> list[EngineNs]:
    """When it was told that others took (part of) a leg; 0 for what was history by then."""
    found = []
    for fill in trail.forced.values():
        if fill.time_ns > use.now - DAY_NS:
            found.append(fill.told_ns if fill.told_ns - fill.time_ns < NEWS_NS else 0)
            use.wake_at(fill.time_ns + DAY_NS)
    gone = trail.gone
    if gone is not None and _vanished(account, market, trail, use):
        found.append(gone.told_ns)
    return found


def _events(node: HedgeSetNode, use: Use) -> tuple[int, int]:
    """(legs that others took in a day, those of them that were told of within a minute)."""
    events = [max(took) for one in _trails(node, use.state) if (took := _took_ns(*one, use))]
    recent = [told for told in events if use.now - told < EVENT_NS]
    for told in recent:
        use.wake_at(told + EVENT_NS)
    return len(events), len(recent)


def _lost(node: HedgeSetNode, use: Use) -> float | None:
    """Legs that others took: at once and for a minute by the fact alone, then as long as the set
    is not whole again, for a day."""
    events, recent = _events(node, use)
    if recent:
        return float(recent)
    mismatch = use.read(node, MISMATCH)
    if mismatch is None:
        return None
    for account in node.related(Relation.ACCOUNTS):
        if isinstance(account, AccountNode) and not use.fresh(
            account.account.fills_seen, account.ledger_limit, "news of fills"
        ):
            return None
    return float(events) if mismatch > WHOLE_RATIO_MAX else 0.0


def _taken(node: HedgeSetNode, use: Use) -> float:
    """Whether it is known that somebody took a leg and not known that the set is whole again. That
    is always an answer: what is not known is not what was found out."""
    events, recent = _events(node, use)
    if not events or recent:
        return float(bool(events))
    mismatch = Use(use.state, use.settings, use.peek)
    mismatch.begin(use.now)
    ratio = mismatch.read(node, MISMATCH)
    return float(ratio is None or ratio > WHOLE_RATIO_MAX)


def _lost_told(node: Node, state: RiskState, _now: EngineNs) -> str:
    """``hyperliquid/main/BTC by liquidation``, each that was taken."""
    if not isinstance(node, HedgeSetNode):
        return ""
    told = []
    for account, market, trail in _trails(node, state):
        name = f"{account.account.venue}/{account.account.account}/{market}"
        if trail.forced:
            last = max(trail.forced.values(), key=lambda one: one.time_ns)
            told.append(f"{name} by {last.kind.value}")
        elif trail.gone is not None and not closed_by_us(trail, trail.gone):
            told.append(f"{name} gone without a fill of ours")
    return f"lost: {', '.join(told)}" if told else ""


MISMATCH = "hedge_mismatch_ratio"
_NEEDS = ((Relation.ACCOUNTS, HOLDINGS),)


def _usd(name: str, help_text: str, low: float, typical: tuple[float, float]) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=_KINDS,
        unit=Unit.USD,
        help=help_text,
        low=low,
        cadence_s=1.0,
        typical=typical,
    )


DEFINITIONS: tuple[Definition, ...] = (
    define(
        _usd(
            "hedge_gross_usd",
            "Sum of the absolute values of a hedge set's legs, USD.",
            0.0,
            (193_000.0, 0.0),
        ),
        SubjectKind.HEDGE_SET,
        _of_parts(_gross),
        bits=LEGS_BIT,
        needs=_NEEDS,
    ),
    define(
        _usd(
            "hedge_net_usd",
            "What a hedge set's legs leave unhedged, USD, long > 0.",
            -1e60,
            (7_000.0, -100_000.0),
        ),
        SubjectKind.HEDGE_SET,
        _of_parts(fsum),
        bits=LEGS_BIT,
        needs=_NEEDS,
    ),
    define(
        MeasureSpec(
            name=MISMATCH,
            kinds=_KINDS,
            unit=Unit.RATIO,
            help="|Net| over gross of a hedge set's legs, off-book ones counted: 0 flat, 1 naked.",
            low=0.0,
            high=1.0,
            cadence_s=1.0,
            at_zero="0 without any leg",
            typical=(0.01, 0.2),
        ),
        SubjectKind.HEDGE_SET,
        _of_parts(compute_hedge_mismatch),
        bits=LEGS_BIT,
        needs=_NEEDS,
        detail=_legs_told,
    ),
    define(
        MeasureSpec(
            name="hedge_legs_lost",
            kinds=_KINDS,
            unit=Unit.COUNT,
            help="Legs liquidated, deleveraged, settled or gone without a fill of ours, in a day.",
            low=0.0,
            cadence_s=1.0,
            typical=(0.0, 1.0),
            words=("leg lost", "legs lost"),
        ),
        SubjectKind.HEDGE_SET,
        _lost,
        bits=LEGS_BIT,
        needs=((Relation.SELF, MISMATCH), *_NEEDS),
        detail=_lost_told,
    ),
    define(
        MeasureSpec(
            name="hedge_leg_taken",
            kinds=_KINDS,
            unit=Unit.BOOL,
            help="1 while a leg is known to be lost and the set not known to be whole again.",
            low=0.0,
            high=1.0,
            cadence_s=1.0,
            words=("a leg taken", "no leg known to be taken"),
        ),
        SubjectKind.HEDGE_SET,
        _taken,
        bits=LEGS_BIT,
        needs=((Relation.SELF, MISMATCH), *_NEEDS),
    ),
)
