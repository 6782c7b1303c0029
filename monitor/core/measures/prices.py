"""Prices of a market as told, their differences and their ages. *Pure.*"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from monitor.core.formulas.ratios import compute_deviation
from monitor.core.measures.definition import ABSENT, Definition, define
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import MarketNode, VenueNode
from monitor.core.measures.use import Use, known_ns
from monitor.core.settings import limit_ns
from monitor.core.state.facts import Lack, MarketBit, PriceFact
from monitor.core.state.model import RiskState
from monitor.core.types import SECOND_NS, MarketStatus, SubjectKind

_MARKET = (SubjectKind.MARKET,)
# Looking a member up in its class costs more than all else around it (before Python 3.12).
_ACTIVE = MarketStatus.ACTIVE
_PRICE_MAX = 1e15


def price_of_asset(state: RiskState, asset: str, use: Use) -> float | None:
    """Any fresh price of the asset: oracle before mark before mid, in the order of listing."""
    settings = use.settings.freshness
    major = asset in settings.majors
    oracle = limit_ns(settings.oracle_majors_s if major else settings.oracle_s)
    mark = limit_ns(settings.mark_majors_s if major else settings.mark_s)
    top = limit_ns(settings.top_majors_s if major else settings.top_s)
    markets = [state.venues[venue].markets[market] for venue, market in state.assets.get(asset, [])]
    candidates: Iterable[tuple[PriceFact, int]] = (
        *((market.oracle, oracle) for market in markets),
        *((market.mark, mark) for market in markets),
        *((market.mid, top) for market in markets),
    )
    for fact, limit in candidates:
        if fact.value is not None and use.fresh(fact, limit, f"price of {asset}"):
            return fact.value
    use.absent(f"no fresh price of {asset}")
    return None


def absent_price(fact: PriceFact, what: str) -> str:
    """Why a price has no value, in words."""
    if not fact.seen_ns:
        return f"{what} was never told"
    return f"{what} is suspect or not stated any more"


def read_price(fact: PriceFact, limit: int, what: str, use: Use) -> float | None:
    """A believed and fresh price, or None with the reason."""
    value = fact.value
    if value is None:
        use.absent(absent_price(fact, what))
        return None
    return value if use.fresh(fact, limit, what) else None


def read_mark(node: MarketNode, use: Use) -> float | None:
    """Mark price."""
    if not node.market.has_mark:
        use.absent("this venue has no mark price; it margins on the oracle", Lack.CHOICE)
        return None
    return read_price(node.market.mark, node.mark_limit, "mark price", use)


def read_oracle(node: MarketNode, use: Use) -> float | None:
    """Oracle price."""
    return read_price(node.market.oracle, node.oracle_limit, "oracle price", use)


def read_index(node: MarketNode, use: Use) -> float | None:
    """Index price; what tells one has one."""
    if not node.market.has_index and not node.market.index.seen_ns:
        use.absent("this venue states no index price", Lack.CHOICE)
        return None
    return read_price(node.market.index, node.oracle_limit, "index price", use)


def read_mid(node: MarketNode, use: Use) -> float | None:
    """Middle of the best bid and ask, else the venue's own mid."""
    top = node.market.top
    if (
        top.level is not None
        and top.bid is not None
        and top.ask is not None
        and top.bid <= top.ask
        and use.fresh(top, node.top_limit, "book")
    ):
        return (top.bid + top.ask) * 0.5
    return read_price(node.market.mid, node.top_limit, "mid price", use)


def margin_price(node: MarketNode, use: Use) -> float | None:
    """The price the venue margins on: mark, or oracle where it has no mark."""
    return read_mark(node, use) if node.market.has_mark else read_oracle(node, use)


def _deviation(
    value: Callable[[MarketNode, Use], float | None],
    reference: Callable[[MarketNode, Use], float | None],
) -> Callable[[MarketNode, Use], float | None]:
    def compute(node: MarketNode, use: Use) -> float | None:
        first = value(node, use)
        if first is None:
            return None
        second = reference(node, use)
        return None if second is None else compute_deviation(first, second)

    return compute


def _preview_oracle_deviation(node: MarketNode) -> float:
    mark, oracle = node.market.mark.value, node.market.oracle.value
    if mark is None or oracle is None or not node.market.has_mark:
        return ABSENT
    return (mark - oracle) / oracle


def _preview_mid_deviation(node: MarketNode) -> float:
    top, oracle = node.market.top, node.market.oracle.value
    bid, ask = top.bid, top.ask
    if bid is None or ask is None or oracle is None or top.level is None or bid > ask:
        return ABSENT
    return ((bid + ask) * 0.5 - oracle) / oracle


def _age(fact: Callable[[MarketNode], PriceFact], what: str) -> Callable[[MarketNode, Use], float]:
    def compute(node: MarketNode, use: Use) -> float | None:
        return compute_age(fact(node), what, use)

    return compute  # type: ignore[return-value]  # None is what absent measures return


def compute_age(fact: PriceFact, what: str, use: Use) -> float | None:
    """Seconds since the newer of the fact and its open channel's progress; grows for ever."""
    if not fact.seen_ns:
        use.absent(f"{what} was never told")
        return None
    known = known_ns(fact, use.channels.get(fact.channel)) or fact.seen_ns
    use.observed = fact.seen_ns
    return max(0, use.now - known) / SECOND_NS


def _oracle_unchanged(node: VenueNode, use: Use) -> float | None:
    """Since any major's oracle last moved, as far as was listened: a message that repeats a price
    is fresh however long nobody makes new ones. Other markets may rest for minutes."""
    changed_ns = 0
    for market in node.venue.markets.values():
        oracle = market.oracle
        if market.asset not in node.freshness.majors or not oracle.seen_ns or market.dex:
            continue
        if market.status.value is not _ACTIVE:
            continue
        if not use.fresh(oracle, node.oracle_limit, f"oracle price of {market.market}"):
            return None
        changed_ns = max(changed_ns, oracle.changed_ns)
    if not changed_ns:
        use.absent("no oracle price of a major was told")
        return None
    return max(0, use.now - changed_ns) / SECOND_NS


def _market_active(node: MarketNode, use: Use) -> float | None:
    status = node.market.status
    if status.value is None:
        use.absent("market status was never told")
        return None
    if not use.fresh(status, node.status_limit, "market status"):
        return None
    return 1.0 if status.value is MarketStatus.ACTIVE else 0.0


def _price(name: str, help_text: str) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=_MARKET,
        unit=Unit.PRICE,
        help=help_text,
        low=0.0,
        high=_PRICE_MAX,
        typical=(60_000.0, 40_000.0),
    )


def _ratio(name: str, help_text: str) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=_MARKET,
        unit=Unit.RATIO,
        help=help_text,
        low=-1.0,
        high=1e6,
        typical=(0.0005, 0.02),
    )


def _age_spec(name: str, help_text: str) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=_MARKET,
        unit=Unit.SECONDS,
        help=help_text,
        low=0.0,
        typical=(1.0, 120.0),
    )


_TOP_AND_MID = MarketBit.TOP | MarketBit.MID

DEFINITIONS: tuple[Definition, ...] = (
    define(
        _price(
            "mark_price", "Price the venue margins on, quote per base; absent where it has none."
        ),
        SubjectKind.MARKET,
        read_mark,
        preview=lambda node: node.market.mark.value if node.market.has_mark else ABSENT,
        bits=MarketBit.MARK | MarketBit.PARAMETERS,
    ),
    define(
        _price("oracle_price", "Oracle price, quote per base; funding is charged on it."),
        SubjectKind.MARKET,
        read_oracle,
        preview=lambda node: node.market.oracle.value,
        bits=MarketBit.ORACLE,
    ),
    define(
        _price("index_price", "Index price, quote per base, where the venue publishes one."),
        SubjectKind.MARKET,
        read_index,
        preview=lambda node: node.market.index.value,
        bits=MarketBit.INDEX | MarketBit.PARAMETERS,
    ),
    define(
        _price("mid_price", "Middle of best bid and ask, quote per base."),
        SubjectKind.MARKET,
        read_mid,
        bits=_TOP_AND_MID,
    ),
    define(
        _ratio("oracle_deviation_ratio", "(mark - oracle) / oracle, signed."),
        SubjectKind.MARKET,
        _deviation(read_mark, read_oracle),
        bits=MarketBit.MARK | MarketBit.ORACLE,
        preview=_preview_oracle_deviation,
    ),
    define(
        _ratio("mid_deviation_ratio", "(mid - oracle) / oracle, signed."),
        SubjectKind.MARKET,
        _deviation(read_mid, read_oracle),
        bits=_TOP_AND_MID | MarketBit.ORACLE,
        preview=_preview_mid_deviation,
    ),
    define(
        _ratio("basis_ratio", "(mark - index) / index, signed."),
        SubjectKind.MARKET,
        _deviation(read_mark, read_index),
        bits=MarketBit.MARK | MarketBit.INDEX | MarketBit.PARAMETERS,
    ),
    define(
        _age_spec("oracle_age_s", "Seconds since the oracle price was last known to be current."),
        SubjectKind.MARKET,
        _age(lambda node: node.market.oracle, "oracle price"),
        bits=MarketBit.ORACLE,
        clock=True,
    ),
    define(
        _age_spec("mark_age_s", "Seconds since the mark price was last known to be current."),
        SubjectKind.MARKET,
        _age(lambda node: node.market.mark, "mark price"),
        bits=MarketBit.MARK,
        clock=True,
    ),
    define(
        MeasureSpec(
            name="oracle_unchanged_s",
            kinds=(SubjectKind.VENUE,),
            unit=Unit.SECONDS,
            help="Seconds since the oracle price of any major last changed, repetitions aside.",
            low=0.0,
            cadence_s=1.0,
            typical=(3.0, 60.0),
        ),
        SubjectKind.VENUE,
        _oracle_unchanged,
    ),
    define(
        MeasureSpec(
            name="market_active",
            kinds=_MARKET,
            unit=Unit.BOOL,
            help="1 while the market trades normally, 0 in any other status.",
            low=0.0,
            high=1.0,
            typical=(1.0, 0.0),
            words=("trading", "not trading"),
        ),
        SubjectKind.MARKET,
        _market_active,
        bits=MarketBit.STATUS,
    ),
)
