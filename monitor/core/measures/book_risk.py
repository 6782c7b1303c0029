"""How the book moves as a whole: correlations, betas to the basket, volatility of it all. *Pure.*

Weights are signed shares of gross: what is hedged takes little part. Correlations are of hourly
returns; between changes of hour they are looked up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from math import fsum, sqrt
from operator import mul

from monitor.core.formulas.volatility import (
    compute_covariance,
    compute_decay,
    compute_portfolio_volatility,
    compute_stressed_volatility,
)
from monitor.core.measures.definition import HOLDINGS, Definition, Relation, define
from monitor.core.measures.exposure import GROSS, off_book_notionals
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import (
    AccountNode,
    AssetNode,
    Correlation,
    Node,
    PortfolioNode,
    VenueNode,
)
from monitor.core.measures.use import Use
from monitor.core.measures.volatility import read_basket, read_basket_slow, read_slow
from monitor.core.state.facts import OFF_BOOK_BIT, SERIES_BIT, Lack
from monitor.core.state.series import RETURNS_HOURS, HourSeries
from monitor.core.types import SubjectKind

# Over thirty days of hours, halving in weight every five days.
CORRELATION_HALF_LIFE_HOURS = 120.0
CORRELATION_HOURS_MIN = 72
BASKET = ""  # its name beside those of assets

_PORTFOLIO = (SubjectKind.PORTFOLIO,)


# ------------------------------------------------------------------------------ correlations


def correlation(node: PortfolioNode, first: str, second: str, use: Use) -> float | None:
    """Of the hourly returns of two assets, or of one and ``BASKET``; in ``[-1, 1]``."""
    if first == second:
        return 1.0
    one, other = _hours(first, use), _hours(second, use)
    if one is None or other is None:
        return None
    versions = (one.version, other.version)
    known = node.correlations.get((first, second))
    if known is None or known.versions != versions:
        known = Correlation(versions, _correlate(one, other))
        node.correlations[first, second] = known
    if known.value is None:
        use.absent(
            f"fewer than {CORRELATION_HOURS_MIN} common hours of {first} and "
            f"{second or 'the basket'} known",
            Lack.HISTORY,
        )
    return known.value


def covariance(
    node: PortfolioNode, first: Mapping[str, float], second: Mapping[str, float], use: Use
) -> float | None:
    """Of what two books win in a year, USD squared; None where a correlation is not known.

    Args:
        node: The portfolio, which keeps correlations.
        first: By asset, the USD that one sigma of a year moves what is held, signed.
        second: The same of the other book.
        use: Reads for one computation.
    """
    parts = []
    for one, left in first.items():
        for other, right in second.items():
            rho = correlation(node, min(one, other), max(one, other), use)
            if rho is None:
                return None
            parts.append(left * right * rho)
    return fsum(parts)


def _hours(name: str, use: Use) -> HourSeries | None:
    if name == BASKET:
        return read_basket(use)
    series = use.state.prices.get(name)
    if series is None:
        use.absent(f"no price of {name} was sampled yet", Lack.HISTORY)
        return None
    return series.hours


def _correlate(one: HourSeries, other: HourSeries) -> float | None:
    first, second = one.list_returns(RETURNS_HOURS), other.list_returns(RETURNS_HOURS)
    late = one.hour - other.hour
    if late > 0:
        first = first[:-late]
    elif late < 0:
        second = second[:late]
    found: tuple[float, float, float, int] | None
    if len(first) == len(second) and None not in first and None not in second:
        found = _covariance_of_known(
            [one for one in first if one is not None], [one for one in second if one is not None]
        )
    else:
        found = compute_covariance(first, second, half_life=CORRELATION_HALF_LIFE_HOURS)
    if found is None or found[3] < CORRELATION_HOURS_MIN:
        return None
    scale = sqrt(found[1] * found[2])
    return min(max(found[0] / scale, -1.0), 1.0) if scale > 0.0 else 0.0


def _covariance_of_known(
    first: Sequence[float], second: Sequence[float]
) -> tuple[float, float, float, int]:
    """As ``compute_covariance`` where nothing is missing, at a tenth of its cost."""
    count = len(first)
    weights, total = _weights_of(count)
    weighted = list(map(mul, weights, first))
    both = fsum(map(mul, weighted, second))
    own = fsum(map(mul, weighted, first))
    others = fsum(map(mul, map(mul, weights, second), second))
    return both / total, own / total, others / total, count


@cache
def _weights_of(count: int) -> tuple[tuple[float, ...], float]:
    """What each of ``count`` hours weighs, oldest first, and their sum."""
    decay = compute_decay(1.0, CORRELATION_HALF_LIFE_HOURS)
    weights = [1.0] * count
    for index in range(count - 2, -1, -1):
        weights[index] = weights[index + 1] * decay
    return tuple(weights), fsum(weights)


# ---------------------------------------------------------------------------------- the book


def read_book(node: PortfolioNode, use: Use) -> dict[str, float] | None:
    """Signed USD held by asset, off-book legs included, by name; None where some are unknown."""
    notionals = off_book_notionals(use)
    if notionals is None:
        return None
    held = read_held(node.related(Relation.ALL_ACCOUNTS), use)
    if held is None:
        return None
    assets = sorted({*notionals, *held})
    return {asset: notionals.get(asset, 0.0) + held.get(asset, 0.0) for asset in assets}


def read_held(accounts: Iterable[Node], use: Use) -> dict[str, float] | None:
    """Signed USD that these accounts hold by asset, by name; None where some are unknown."""
    parts: dict[str, list[float]] = {}
    for account in accounts:
        if not isinstance(account, AccountNode):
            continue
        if use.read(account, HOLDINGS) is None or not use.join(account.holdings.exposure):
            return None
        for name, holding in account.holdings.held.items():
            asset = account.markets[name].market.asset
            if not asset:
                use.absent(f"which asset {name} is of is not known")
                return None
            parts.setdefault(asset, []).append(holding.notional_usd)
    return {asset: fsum(usd) for asset, usd in sorted(parts.items())}


def _weights(node: PortfolioNode, use: Use) -> tuple[list[str], list[float], list[float]] | None:
    """Assets, their signed shares of gross, and their volatilities; empty where nothing is held."""
    book = read_book(node, use)
    gross = use.read(node, GROSS.name)
    if book is None or gross is None:
        return None
    held = [asset for asset, usd in book.items() if usd != 0.0]
    sigmas = []
    for asset in held:
        sigma = read_slow(asset, use)
        if sigma is None:
            return None
        sigmas.append(sigma)
    return held, [book[asset] / gross for asset in held], sigmas


def _portfolio_volatility(node: PortfolioNode, use: Use) -> float | None:
    found = _weights(node, use)
    if found is None:
        return None
    held, weights, sigmas = found
    matrix = []
    for first in held:
        row = []
        for second in held:
            pair = (first, second) if first <= second else (second, first)
            rho = correlation(node, *pair, use)
            if rho is None:
                return None
            row.append(rho)
        matrix.append(row)
    return compute_portfolio_volatility(weights, sigmas, matrix)


def _stressed_volatility(node: PortfolioNode, use: Use) -> float | None:
    found = _weights(node, use)
    return None if found is None else compute_stressed_volatility(found[1], found[2])


def read_beta(node: PortfolioNode, asset: str, use: Use) -> float | None:
    """Of an asset to the basket: correlation times the volatilities that are now."""
    sigma, basket = read_slow(asset, use), read_basket_slow(use)
    if sigma is None or basket is None:
        return None
    rho = correlation(node, asset, BASKET, use)
    if rho is None:
        return None
    return rho * sigma / basket if basket > 0.0 else 0.0


def _asset_beta(node: AssetNode, use: Use) -> float | None:
    top = node.ancestors[0]
    return read_beta(top, node.asset, use) if isinstance(top, PortfolioNode) else None


def betas_of(node: PortfolioNode, book: Mapping[str, float], use: Use) -> dict[str, float] | None:
    """Beta of everything held, by asset; None where one is not known."""
    found = {}
    for asset, usd in book.items():
        if usd == 0.0:
            continue
        beta = read_beta(node, asset, use)
        if beta is None:
            return None
        found[asset] = beta
    return found


def _times_beta(node: PortfolioNode, book: Mapping[str, float], use: Use) -> float | None:
    betas = betas_of(node, book, use)
    return None if betas is None else fsum(beta * book[asset] for asset, beta in betas.items())


def _beta_net(node: PortfolioNode, use: Use) -> float | None:
    book = read_book(node, use)
    return None if book is None else _times_beta(node, book, use)


def _venue_beta_net(node: VenueNode, use: Use) -> float | None:
    top = node.ancestors[0]
    book = read_held(node.related(Relation.ACCOUNTS), use)
    if book is None or not isinstance(top, PortfolioNode):
        return None
    return _times_beta(top, book, use)


BETA_NET = MeasureSpec(
    name="beta_net_usd",
    kinds=(SubjectKind.VENUE, SubjectKind.PORTFOLIO),
    unit=Unit.USD,
    help="Net exposure with every asset times its beta to the basket, USD, long > 0.",
    cadence_s=1.0,
    typical=(1e4, -1e6),
)
_BOOK = ((Relation.ALL_ACCOUNTS, HOLDINGS),)
_BITS = SERIES_BIT | OFF_BOOK_BIT


def _volatility(name: str, help_text: str) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=_PORTFOLIO,
        unit=Unit.PER_YEAR,
        help=help_text,
        low=0.0,
        high=1000.0,
        cadence_s=1.0,
        at_zero="0 when nothing is held",
        typical=(0.4, 1.2),
    )


DEFINITIONS: tuple[Definition, ...] = (
    define(
        _volatility(
            "portfolio_volatility",
            "Volatility a year of the book at gross 1: signed weights and 30 days of correlations.",
        ),
        SubjectKind.PORTFOLIO,
        _portfolio_volatility,
        bits=_BITS,
        needs=(*_BOOK, (Relation.SELF, GROSS.name)),
    ),
    define(
        _volatility(
            "portfolio_volatility_stressed",
            "The same with correlation 1 between positions of one side and 0 between the sides.",
        ),
        SubjectKind.PORTFOLIO,
        _stressed_volatility,
        bits=_BITS,
        needs=(*_BOOK, (Relation.SELF, GROSS.name)),
    ),
    define(
        MeasureSpec(
            name="beta_ratio",
            kinds=(SubjectKind.ASSET,),
            unit=Unit.RATIO,
            help="Move of the asset per move of the basket, by 30 days of hours, signed.",
            low=-1e3,
            high=1e3,
            typical=(1.0, 2.0),
            words=("x",),
        ),
        SubjectKind.ASSET,
        _asset_beta,
        bits=SERIES_BIT,
    ),
    define(BETA_NET, SubjectKind.PORTFOLIO, _beta_net, bits=_BITS, needs=_BOOK),
    define(
        BETA_NET,
        SubjectKind.VENUE,
        _venue_beta_net,
        bits=SERIES_BIT,
        needs=((Relation.ACCOUNTS, HOLDINGS),),
    ),
)
