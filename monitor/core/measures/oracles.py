"""Whether a venue's oracle is where everybody else (``price_sources``) sees the price. *Pure.*

Two faces of one venue are two sources of a median, and one witness where venues are counted.
"""

from __future__ import annotations

from math import inf, sqrt
from statistics import median

from monitor.core.formulas.oracles import (
    CONTRADICTED_RATIO,
    SOURCES_MIN,
    compute_agreed_deviation,
    compute_divergence_limit,
    compute_reference,
)
from monitor.core.formulas.ratios import compute_deviation
from monitor.core.measures.definition import Definition, Relation, define
from monitor.core.measures.price_sources import Heard, is_comparable, listen, say_too_few
from monitor.core.measures.prices import read_oracle
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, MarketNode, Node, VenueNode
from monitor.core.measures.use import NO_SOURCE, Use
from monitor.core.measures.volatility import SERIES_SLACK_S
from monitor.core.settings import limit_ns
from monitor.core.state.facts import Lack, Why
from monitor.core.state.model import RiskState
from monitor.core.state.series import FED_RATIO_MIN
from monitor.core.types import EngineNs, SubjectKind

RATIO_MAX = 1e6
NAMES_MAX = 3
_MARKET = (SubjectKind.MARKET,)
_PRICE_MAX = 1e15


# ---------------------------------------------------------------------------------- measures


def _count(node: MarketNode, use: Use) -> float | None:
    return float(len(listen(node, use).sources)) if is_comparable(node, use) else 0.0


def _reference(node: MarketNode, use: Use) -> float | None:
    if not is_comparable(node, use):
        return None
    heard = listen(node, use)
    found = compute_reference([one.price for one in heard.sources])
    if found is None:
        say_too_few(heard, SOURCES_MIN, use)
    return found


def _deviation(node: MarketNode, use: Use) -> float | None:
    reference = _reference(node, use)
    oracle = None if reference is None else read_oracle(node, use)
    return None if reference is None or oracle is None else compute_deviation(oracle, reference)


def _sigma_minute(node: MarketNode, use: Use) -> float | None:
    """Standard deviation of a minute's return, half-life two hours; None while it is not known."""
    series = use.state.prices.get(node.market.asset)
    limit = limit_ns(use.state.gap_minutes * 60.0 + SERIES_SLACK_S)
    if series is None or use.now - series.seen.seen_ns >= limit:
        return None
    return sqrt(series.fast.variance) if series.fast.fed_ratio >= FED_RATIO_MIN else None


def _limit(node: MarketNode, use: Use) -> float:
    oracles = use.settings.oracles
    return compute_divergence_limit(
        floor_ratio=oracles.floor(node.market.asset),
        threshold_ratio=oracles.threshold(node.market.venue),
        sigma_minute=_sigma_minute(node, use),
    )


def _to_limit(node: MarketNode, use: Use) -> float | None:
    deviation = use.read(node, DEVIATION.name)
    oracle = None if deviation is None else read_oracle(node, use)
    if deviation is None or oracle is None:
        return None
    away = min(abs(deviation), _from_oracles(oracle, listen(node, use)))
    return min(away / _limit(node, use), RATIO_MAX)


def _from_oracles(oracle: float, heard: Heard) -> float:
    """How far the other venues' oracles have this one, where there are any: in a crash all books
    leave all oracles alike, and no oracle is wrong by that. (What two venues have 3 % away is told
    whoever is right: margin goes by a price that nobody trades at.)"""
    others = [one.price for one in heard.sources if one.what == "oracle"]
    return abs(compute_deviation(oracle, median(others))) if others else inf


def _agreed(node: MarketNode, use: Use) -> float | None:
    """Venues are the witnesses: two faces of one venue never confirm each other. That two have the
    oracle far away is known whoever else is dark; that they do not, only where nobody is."""
    oracle = read_oracle(node, use) if is_comparable(node, use) else None
    if oracle is None:
        return None
    heard = listen(node, use)
    speaking = {one.venue for one in heard.sources}
    silent = [why for venue, why in heard.missing if venue not in speaking]
    found = compute_agreed_deviation(oracle, [(one.venue, one.price) for one in heard.sources])
    if silent and (found is None or found < CONTRADICTED_RATIO):
        use.absent(f"prices of {len(speaking)} venues beside the oracle: {silent[0]}")
        return None
    if found is None:
        use.absent(f"{NO_SOURCE}prices of {len(speaking)} venues beside the oracle", Lack.CHOICE)
    return found


def _held(node: VenueNode) -> list[MarketNode]:
    """Markets of the venue in which we have a position, each once."""
    found = {
        name: account.markets[name]
        for account in node.related(Relation.ACCOUNTS)
        if isinstance(account, AccountNode)
        for name, position in account.account.positions.items()
        if position.size
    }
    return list(found.values())


def contradicted(node: VenueNode, use: Use) -> tuple[list[tuple[float, str]], Why | None]:
    """Held markets of the venue whose oracles two venues have away beyond the limit, with how far
    as a ratio; and why that is not known of one of which it could be."""
    missing = None
    found: list[tuple[float, str]] = []
    for place in _held(node):
        agreed = use.read(place, AGREED.name)
        if agreed is not None and agreed > _limit(place, use):
            found.append((agreed, place.market.market))
        elif agreed is None and use.why.lack is not Lack.CHOICE:
            missing = missing or use.why
    return found, missing


def _worst(node: VenueNode, use: Use) -> float | None:
    """Those within their limit being none; what others could say of an oracle and do not say is
    only passed over where somebody else's is far away already."""
    found, missing = contradicted(node, use)
    use.say(WORST.name, node, _named(found))
    worst = max(found, default=(0.0, ""))[0]
    if missing is None or worst >= CONTRADICTED_RATIO:
        return worst
    use.absent(*missing)
    return None


# -------------------------------------------------------------------------------------- words


def _named(found: list[tuple[float, str]]) -> str:
    """``BTC 4.1 %, ETH 3.9 %``: the furthest first."""
    first = sorted(found, key=lambda one: (-one[0], one[1]))[:NAMES_MAX]
    return ", ".join(f"{name} {agreed * 100:.1f} %" for agreed, name in first)


def _which(node: Node, state: RiskState, _now: EngineNs) -> str:
    """As of when it was last computed."""
    return state.words.get(f"{WORST.name}|{node.subject}", "")


def _told(node: Node, _state: RiskState, _now: EngineNs) -> str:
    """``+1.10 %`` from the median; then how far liquidation is at either price."""
    instance = node.instances.get(DEVIATION.name)
    if not isinstance(node, MarketNode) or instance is None or instance.cell.value is None:
        return ""
    deviation, oracle = instance.cell.value, node.market.oracle.value
    lines = [f"{deviation * 100:+.2f} %"]
    median = None if oracle is None else oracle / (1.0 + deviation)
    for owner in node.holders:
        held = owner.holdings.held.get(node.market.market)
        at = None if held is None else held.liquidation_price
        if held is None or at is None or median is None:
            continue
        lines.append(
            f"{owner.subject} is liquidated at {at:,.6g}: {_away(held.price, at, held.size)} from "
            f"{held.price:,.6g}, {_away(median, at, held.size)} from the median {median:,.6g}"
        )
    return "\n".join(lines)


def _away(price: float, liquidation: float, size: float) -> str:
    """Distance to liquidation of what is held, signed: below zero it is past."""
    side = 1.0 if size > 0.0 else -1.0
    return f"{side * (price - liquidation) / price * 100:.1f} %"


def _work(node: MarketNode, use: Use) -> tuple[str, ...]:
    oracle = read_oracle(node, use)
    heard = listen(node, use)
    reference = compute_reference([one.price for one in heard.sources])
    if oracle is None or reference is None:
        return ()
    oracles, market, sigma = use.settings.oracles, node.market, _sigma_minute(node, use)
    minute = "unknown" if sigma is None else f"{sigma:.5f}"
    floor, threshold = oracles.floor(market.asset), oracles.threshold(market.venue)
    spoken = ", ".join(f"{one.venue} {one.what} {one.price:,.6g}" for one in heard.sources)
    deviation = compute_deviation(oracle, reference)
    return (
        f"oracle of {market.venue} {oracle:,.6g}",
        f"median of {len(heard.sources)} sources {reference:,.6g}: {spoken}",
        f"({oracle:,.6g} - {reference:,.6g}) / {reference:,.6g} = {deviation:+.5f}",
        *_others(oracle, heard),
        f"limit = max({floor:g}, 2 x {threshold:g}, 3 x {minute}) = {_limit(node, use):.5f}",
    )


def _others(oracle: float, heard: Heard) -> tuple[str, ...]:
    away = _from_oracles(oracle, heard)
    return (f"from the other oracles {away:.5f}; the less of both counts",) if away < inf else ()


def _price(name: str, help_text: str) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=_MARKET,
        unit=Unit.PRICE,
        help=help_text,
        low=0.0,
        high=_PRICE_MAX,
        cadence_s=1.0,
        typical=(60_000.0, 40_000.0),
    )


def _ratio(
    name: str, help_text: str, *, low: float, typical: tuple[float, float], words: tuple[str, ...]
) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=_MARKET,
        unit=Unit.RATIO,
        help=help_text,
        low=low,
        high=RATIO_MAX,
        cadence_s=1.0,
        typical=typical,
        words=words,
    )


SOURCES = MeasureSpec(
    name="oracle_sources_count",
    kinds=_MARKET,
    unit=Unit.COUNT,
    help="Fresh sources of the asset's price beside this oracle: other oracles, tight books.",
    low=0.0,
    cadence_s=1.0,
    typical=(3.0, 2.0),
    words=("source", "sources"),
)
REFERENCE = _price(
    "oracle_reference_price",
    "Median price of the asset by three sources or more beside this oracle, quote per base.",
)
DEVIATION = _ratio(
    "oracle_reference_deviation_ratio",
    "(oracle - median of three other sources or more) / median, signed.",
    low=-1.0,
    typical=(0.0005, 0.02),
    words=(),
)
AGREED = _ratio(
    "oracle_agreed_deviation_ratio",
    "By how much two venues or more have the oracle away from their prices, on one side.",
    low=0.0,
    typical=(0.0005, 0.02),
    words=(),
)
WORST = MeasureSpec(
    name="oracle_agreed_worst_ratio",
    kinds=(SubjectKind.VENUE,),
    unit=Unit.RATIO,
    help="By how much two venues have the oracle of a held market away, where beyond its limit.",
    low=0.0,
    high=RATIO_MAX,
    cadence_s=1.0,
    typical=(0.0, 0.02),
)
LIMIT = _ratio(
    "oracle_divergence_limit_ratio",
    "How far an oracle may be off: 1 % of majors, 2.5 % of others, more in wild minutes.",
    low=0.0,
    typical=(0.01, 0.025),
    words=(),
)
TO_LIMIT = _ratio(
    "oracle_divergence_to_limit_ratio",
    "Deviation from the median of other sources, or from other oracles if less, over its limit.",
    low=0.0,
    typical=(0.1, 1.5),
    words=("x",),
)

DEFINITIONS: tuple[Definition, ...] = (
    define(SOURCES, SubjectKind.MARKET, _count),
    define(AGREED, SubjectKind.MARKET, _agreed),
    define(WORST, SubjectKind.VENUE, _worst, detail=_which),
    define(REFERENCE, SubjectKind.MARKET, _reference),
    define(DEVIATION, SubjectKind.MARKET, _deviation),
    define(LIMIT, SubjectKind.MARKET, _limit),
    define(
        TO_LIMIT,
        SubjectKind.MARKET,
        _to_limit,
        needs=((Relation.SELF, DEVIATION.name),),
        detail=_told,
        arithmetic=_work,
    ),
)
