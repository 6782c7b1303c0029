"""Prices that go into orders: the reference, the limit within its bound, what an order may cost.

Exact where a venue checks (``Decimal``), estimated where only people look. *Pure.*
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from functools import lru_cache
from math import isfinite, lcm

from monitor.core.killswitch.book import Instrument, Quote
from monitor.core.types import Side

# Sizes have up to 30 digits and a price 17; every product and remainder of them stays exact.
EXACT = Context(prec=80)
# Depth is resting USD within 25 bp; an even book sells its first half at 12.5 bp on average.
_DEPTH_REACH_BPS = 25.0
_BPS = Decimal(10_000)
# One price that nothing confirms gets half the room: a wrong one may then cost half as much, and a
# right one still fills in a market whose bound was chosen with a storm in mind.
_UNCONFIRMED_SHARE = 0.5


def reference_price(quote: Quote | None) -> tuple[float | None, int]:
    """(median of the quote's usable references, how many there are); None where there is none.

    Of an even number the mean of the middle two.
    """
    prices = usable_references(quote)
    if not prices:
        return None, 0
    middle = len(prices) // 2
    if len(prices) % 2:
        return prices[middle], len(prices)
    return (prices[middle - 1] + prices[middle]) / 2.0, len(prices)


def usable_references(quote: Quote | None) -> list[float]:
    """A quote's references, lowest first, without what is no positive finite number."""
    given = () if quote is None else quote.references
    return sorted(price for price in given if isfinite(price) and price > 0.0)


def anchor_price(quote: Quote | None, side: Side, bound_bps: float) -> float | None:
    """What the limit of an order is measured from: the median of the references.

    Where the middle two are further apart than twice the bound, their mean lies within the bound of
    neither, and who trusts it could lose half of what they differ by. Then it is the one of the two
    at which less is lost: the higher for a sell, the lower for a buy.
    """
    prices = usable_references(quote)
    middle = len(prices) // 2
    reference, count = reference_price(quote)
    if reference is None or count % 2:
        return reference
    low, high = prices[middle - 1], prices[middle]
    if high - low <= 2.0 * reference * bound_bps / 1e4:
        return reference
    return high if side is Side.SELL else low


def effective_bound_bps(instrument: Instrument, references: int) -> float:
    """How far from the reference a limit may be: the instrument's bound, half of it where only one
    reference is known."""
    share = 1.0 if references > 1 else _UNCONFIRMED_SHARE
    return instrument.bound_bps * share


def limit_price(
    reference: float,
    side: Side,
    bound_bps: float,
    instrument: Instrument,
) -> Decimal | None:
    """The worst price an order may trade at, written as the venue wants it.

    Rounded so that it stays within ``reference x (1 +/- bound)``: a sell's up, a buy's down.

    Returns:
        None if no price the venue accepts lies within the bound, which is so where one tick is
        wider than the bound.
    """
    middle = Decimal(repr(reference))
    room = EXACT.multiply(middle, EXACT.divide(Decimal(repr(bound_bps)), _BPS))
    lowest, highest = EXACT.subtract(middle, room), EXACT.add(middle, room)
    raw = lowest if side is Side.SELL else highest
    if raw <= 0:
        return None
    rounding = ROUND_CEILING if side is Side.SELL else ROUND_FLOOR
    limit = raw
    # Rounding up may reach the next power of ten, where fewer decimals are allowed: once more.
    for _ in range(2):
        limit = _to_multiple(limit, price_step(limit, instrument), rounding)
        if limit <= 0:
            return None
    return plain(limit) if lowest <= limit <= highest else None


def price_step(price: Decimal, instrument: Instrument) -> Decimal:
    """What prices near ``price`` must be multiples of: the tick, and where the venue counts
    significant figures, also the last figure's place, which is never coarser than 1."""
    if instrument.price_figures is None:
        return instrument.price_tick
    last = min(price.adjusted() - instrument.price_figures + 1, 0)
    return common_multiple(instrument.price_tick, Decimal(1).scaleb(last))


@lru_cache(maxsize=4096)
def common_multiple(one: Decimal, other: Decimal) -> Decimal:
    """The least common multiple of two positive decimals: the coarser lot of two that divide."""
    places = min(_exponent(one), _exponent(other))
    whole = lcm(int(one.scaleb(-places, EXACT)), int(other.scaleb(-places, EXACT)))
    return Decimal(whole).scaleb(places, EXACT)


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """``value >= 0`` down to a multiple of ``step``."""
    return _to_multiple(value, step, ROUND_FLOOR)


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """``value >= 0`` up to a multiple of ``step``."""
    return _to_multiple(value, step, ROUND_CEILING)


def plain(value: Decimal) -> Decimal:
    """The same number without trailing zeros, without a positive exponent, never minus zero."""
    bare = value.normalize(EXACT)
    if _exponent(bare) > 0:
        bare = bare.quantize(Decimal(1), context=EXACT)
    return bare or Decimal(0)


def cost_bps(
    notional_usd: float,
    reference: float,
    side: Side,
    quote: Quote,
    bound_bps: float,
) -> float | None:
    """What an order of this size is expected to pay against the reference, in basis points.

    Half the spread (reference to touch, never below zero) plus 12.5 bp times its share of the
    depth within 25 bp, as if the depth lay evenly; beyond that depth, or where that is more, the
    bound, since the limit lets nothing trade beyond it.

    Returns:
        None where the touch or the depth is unknown; the plan then counts the bound.
    """
    selling = side is Side.SELL
    touch = quote.bid_price if selling else quote.ask_price
    depth = quote.bid_depth_usd if selling else quote.ask_depth_usd
    if touch is None or depth is None or not (isfinite(touch) and isfinite(depth)) or touch <= 0.0:
        return None
    away = (reference - touch) if selling else (touch - reference)
    if depth <= 0.0 or notional_usd > depth:
        return bound_bps
    impact = _DEPTH_REACH_BPS / 2.0 * (notional_usd / depth)
    return min(bound_bps, max(away / reference * 1e4, 0.0) + impact)


def _exponent(value: Decimal) -> int:
    if not value.is_finite():
        raise ValueError(f"{value} is no finite number")
    return int(value.as_tuple().exponent)


def _to_multiple(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    count = EXACT.divide_int(value, step)
    rounded = EXACT.multiply(count, step)
    if rounding == ROUND_CEILING and rounded < value:
        rounded = EXACT.add(rounded, step)
    return rounded
