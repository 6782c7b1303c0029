"""The order book of a market: best bid and ask, spread, depth. *Pure.*"""

from __future__ import annotations

from monitor.core.measures.definition import ABSENT, Definition, define
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import MarketNode
from monitor.core.measures.use import Use
from monitor.core.state.facts import MarketBit
from monitor.core.types import SubjectKind

_MARKET = (SubjectKind.MARKET,)
UNREACHED = "the book seen does not reach 25 bp, or its other side is empty"


def _side(node: MarketNode, use: Use, *, bid: bool) -> float | None:
    top = node.market.top
    if top.level is None and top.seen_ns:
        use.absent("the book is suspect, or empty")
        return None
    if not use.fresh(top, node.top_limit, "book"):
        return None
    value = top.bid if bid else top.ask
    if value is None:
        use.absent("nobody bids" if bid else "nobody offers")
    return value


def _bid(node: MarketNode, use: Use) -> float | None:
    return _side(node, use, bid=True)


def _ask(node: MarketNode, use: Use) -> float | None:
    return _side(node, use, bid=False)


def compute_spread(node: MarketNode, use: Use) -> float | None:
    """(ask - bid) / mid. A crossed book is no spread: a validator's view that will clear."""
    top = node.market.top
    bid, ask = top.bid, top.ask
    if bid is None or ask is None or top.level is None:
        use.absent("a side of the book is empty, suspect or was never told")
        return None
    if not use.fresh(top, node.top_limit, "book"):
        return None
    if bid > ask:
        use.absent("the book is crossed")
        return None
    return (ask - bid) * 2.0 / (ask + bid)


def preview_spread(node: MarketNode) -> float:
    """The same from what was just told; NaN while there is none."""
    top = node.market.top
    bid, ask = top.bid, top.ask
    if bid is None or ask is None or top.level is None or bid > ask:
        return ABSENT
    return (ask - bid) * 2.0 / (ask + bid)


def _depth(node: MarketNode, use: Use, *, bid: bool) -> float | None:
    depth = node.market.depth
    if not use.fresh(depth, node.depth_limit, "depth"):
        return None
    value = depth.bid_usd if bid else depth.ask_usd
    if value is None:
        use.absent(UNREACHED)
    return value


def _bid_depth(node: MarketNode, use: Use) -> float | None:
    return _depth(node, use, bid=True)


def _ask_depth(node: MarketNode, use: Use) -> float | None:
    return _depth(node, use, bid=False)


def _spec(name: str, unit: Unit, help_text: str, typical: tuple[float, float]) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=_MARKET,
        unit=unit,
        help=help_text,
        low=0.0,
        high=1e15,
        typical=typical,
    )


DEFINITIONS: tuple[Definition, ...] = (
    define(
        _spec("bid_price", Unit.PRICE, "Best bid, quote per base.", (60_000.0, 40_000.0)),
        SubjectKind.MARKET,
        _bid,
        bits=MarketBit.TOP,
    ),
    define(
        _spec("ask_price", Unit.PRICE, "Best ask, quote per base.", (60_010.0, 40_100.0)),
        SubjectKind.MARKET,
        _ask,
        bits=MarketBit.TOP,
    ),
    define(
        _spec("spread_ratio", Unit.RATIO, "(best ask - best bid) / mid.", (0.0002, 0.01)),
        SubjectKind.MARKET,
        compute_spread,
        bits=MarketBit.TOP,
        preview=preview_spread,
    ),
    define(
        _spec(
            "bid_depth_usd",
            Unit.USD,
            "Resting bids within 25 bp of mid, USD; absent where the book seen does not reach.",
            (1e6, 1e4),
        ),
        SubjectKind.MARKET,
        _bid_depth,
        bits=MarketBit.DEPTH,
        preview=lambda node: node.market.depth.bid_usd,
    ),
    define(
        _spec(
            "ask_depth_usd",
            Unit.USD,
            "Resting asks within 25 bp of mid, USD; absent where the book seen does not reach.",
            (1e6, 1e4),
        ),
        SubjectKind.MARKET,
        _ask_depth,
        bits=MarketBit.DEPTH,
        preview=lambda node: node.market.depth.ask_usd,
    ),
)
