"""How much assets and the market move, against their own history. *Pure.*

Volatilities are annualised fractions (0.60 is 60 % a year of 365 days) of log returns. The market
is the basket of ``LeverageSettings``: the mean return of its members.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, fsum, log, log2

from monitor.core.formulas.volatility import (
    HOURS_PER_YEAR,
    MINUTES_PER_YEAR,
    Ewma,
    Jumps,
    annualize_volatility,
    compute_binned_percentile,
    compute_jumps,
)
from monitor.core.measures.definition import Definition, define
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import AssetNode, Node
from monitor.core.measures.use import Use
from monitor.core.settings import limit_ns
from monitor.core.state.facts import SERIES_BIT, Lack, SeenFact
from monitor.core.state.model import RiskState
from monitor.core.state.series import (
    FAST_HALF_LIFE_MINUTES,
    FED_RATIO_MIN,
    HOUR_NS,
    PERCENTILE_HOURS_MIN,
    SLOW_HALF_LIFE_HOURS,
    HourSeries,
    PriceSeries,
    marked_bin,
)
from monitor.core.state.volatility import BASKET_KNOWN_RATIO, BASKET_MEMBERS_MIN
from monitor.core.types import SubjectKind

# Longer than the gap over which prices are still joined; then a volatility is of another time.
SERIES_SLACK_S = 300.0
BASKET_SLACK_S = 7200.0
JUMP_HOURS, JUMP_HOURS_MIN = 24, 18
JUMP_SIGMAS_MAX = 1000.0
FALL_HOURS = 72
_FALL_SLACK_HOURS = 3

_ASSET = (SubjectKind.ASSET,)
_PORTFOLIO = (SubjectKind.PORTFOLIO,)
_VOLATILITY_MAX = 1000.0


# ------------------------------------------------------------------------------------ assets


def read_series(asset: str, use: Use) -> PriceSeries | None:
    """The asset's price series while it is sampled, else None with the reason."""
    series = use.state.prices.get(asset)
    if series is None:
        use.absent(f"no price of {asset} was sampled yet", Lack.HISTORY)
        return None
    limit = limit_ns(use.state.gap_minutes * 60.0 + SERIES_SLACK_S)
    return series if use.fresh(series.seen, limit, f"price of {asset}") else None


def _fed(ewma: Ewma, half_life: float, unit: str, of: str, use: Use) -> bool:
    if ewma.fed_ratio >= FED_RATIO_MIN:
        return True
    told = half_life * log2(1.0 / (1.0 - ewma.fed_ratio))
    # History is of hours: minutes are seen by nobody but us.
    lack = Lack.FILLING if unit == "minutes" else Lack.HISTORY
    use.absent(f"{told:.0f} of {half_life:.0f} {unit} of {of} known", lack)
    return False


def read_slow(asset: str, use: Use) -> float | None:
    """Volatility by the hour, half-life a day."""
    series = read_series(asset, use)
    if series is None or not _fed(series.hours.slow, SLOW_HALF_LIFE_HOURS, "hours", asset, use):
        return None
    return annualize_volatility(series.hours.slow.variance, HOURS_PER_YEAR)


def read_fast(asset: str, use: Use) -> float | None:
    """Volatility by the minute, half-life two hours."""
    series = read_series(asset, use)
    if series is None or not _fed(series.fast, FAST_HALF_LIFE_MINUTES, "minutes", asset, use):
        return None
    return annualize_volatility(series.fast.variance, MINUTES_PER_YEAR)


def percentile_of(hours: HourSeries, of: str, use: Use) -> float | None:
    """Of the present slow volatility among those of the last 180 days, ``[0, 1]``."""
    marked = marked_bin(hours.slow)
    if hours.known < PERCENTILE_HOURS_MIN or not marked:
        left_days = (PERCENTILE_HOURS_MIN - hours.known) / 24
        use.absent(
            f"{hours.known} of {PERCENTILE_HOURS_MIN} hours of {of} volatility known; "
            f"{max(left_days, 1):.0f} days to go, less with history",
            Lack.HISTORY,
        )
        return None
    return compute_binned_percentile(hours.counts, marked - 1)


def read_percentile(asset: str, use: Use) -> float | None:
    """The asset's volatility against its own history."""
    series = read_series(asset, use)
    return None if series is None else percentile_of(series.hours, asset, use)


def read_day(node: AssetNode, use: Use) -> tuple[list[float], float] | None:
    """Log returns of a day of hours, oldest first, and of the one in progress, which counts as
    whole; and the larger of the last two moves. None where too few are known."""
    series = read_series(node.asset, use)
    if series is None:
        return None
    returns = series.hours.recent(JUMP_HOURS)
    if len(returns) < JUMP_HOURS_MIN:
        use.absent(
            f"{len(returns)} of {JUMP_HOURS_MIN} hourly returns of {node.asset} known",
            Lack.HISTORY,
        )
        return None
    last = series.hours.return_at(series.hours.hour)
    running = series.running_return()
    if running is not None:
        returns.append(running)
    return returns, max(abs(last or 0.0), abs(running or 0.0))


def _jumps(node: AssetNode, use: Use) -> tuple[Jumps, float] | None:
    day = read_day(node, use)
    return None if day is None else (compute_jumps(day[0]), day[1])


def _jump_share(node: AssetNode, use: Use) -> float | None:
    found = _jumps(node, use)
    return None if found is None else found[0].share_ratio


def _jump_sigmas(node: AssetNode, use: Use) -> float | None:
    found = _jumps(node, use)
    if found is None:
        return None
    jumps, move = found
    if move == 0.0:
        return 0.0
    return min(move / jumps.sigma, JUMP_SIGMAS_MAX) if jumps.sigma > 0.0 else JUMP_SIGMAS_MAX


def _history(hours: HourSeries) -> float:
    return min(hours.known / PERCENTILE_HOURS_MIN, 1.0)


def _asset_history(node: AssetNode, use: Use) -> float | None:
    series = use.state.prices.get(node.asset)
    return 0.0 if series is None else _history(series.hours)


# ------------------------------------------------------------------------------------ basket


def read_basket(use: Use) -> HourSeries | None:
    """The basket's hours while they are followed, else None with the reason."""
    basket = use.state.basket
    if basket.hour < 0:
        use.absent("no hour of the basket is complete yet", Lack.HISTORY)
        return None
    observed = use.observed
    ended = SeenFact(seen_ns=(basket.hour + 1) * HOUR_NS)
    limit = limit_ns(use.state.gap_minutes * 60.0 + BASKET_SLACK_S)
    if not use.fresh(ended, limit, "the basket's last hour"):
        return None
    # A mean of days is not observed once an hour only: a rule that wants to see something twice
    # means its members' prices.
    sampled = [use.state.prices[asset].seen.seen_ns for asset in _members(use.state)]
    use.observed = min(observed, max(sampled, default=0))
    return basket


def read_basket_slow(use: Use) -> float | None:
    """Volatility of the basket by the hour, half-life a day."""
    basket = read_basket(use)
    if basket is None or not _fed(basket.slow, SLOW_HALF_LIFE_HOURS, "hours", "the basket", use):
        return None
    return annualize_volatility(basket.slow.variance, HOURS_PER_YEAR)


def read_basket_fast(use: Use) -> float | None:
    """The basket's slow volatility times how far its members' fast ones are above their slow ones
    on average: members are sampled by the minute, the basket is not."""
    slow = read_basket_slow(use)
    if slow is None:
        return None
    members = _members(use.state)
    ratios = []
    for asset in members:
        own = read_slow(asset, use)
        fast = read_fast(asset, use)
        if own is not None and fast is not None and own > 0.0:
            ratios.append(fast / own)
    if not _enough(len(ratios), len(members), "minute", use):
        return None
    return slow * fsum(ratios) / len(ratios)


def fast_excess(series: PriceSeries) -> float | None:
    """Fast volatility over the slow one, whatever their age; None where one is not known."""
    slow = annualize_volatility(series.hours.slow.variance, HOURS_PER_YEAR)
    fed = min(series.hours.slow.fed_ratio, series.fast.fed_ratio)
    if fed < FED_RATIO_MIN or slow <= 0.0:
        return None
    return annualize_volatility(series.fast.variance, MINUTES_PER_YEAR) / slow


def basket_excess(state: RiskState) -> float | None:
    """The same of the basket: the mean over its members; None where none is known."""
    found = [fast_excess(state.prices[asset]) for asset in _members(state)]
    known = [one for one in found if one is not None]
    return fsum(known) / len(known) if known else None


def read_basket_percentile(use: Use) -> float | None:
    """The basket's volatility against its own history."""
    basket = read_basket(use)
    return None if basket is None else percentile_of(basket, "the basket's", use)


def _members(state: RiskState) -> list[str]:
    return [asset for asset in state.basket_assets if asset in state.prices]


def _enough(known: int, members: int, what: str, use: Use) -> bool:
    if known >= max(BASKET_MEMBERS_MIN, BASKET_KNOWN_RATIO * members):
        return True
    use.absent(f"{what} prices of only {known} of {members} assets of the basket are known")
    return False


def fall_of(series: PriceSeries, hours: int) -> float | None:
    """Log return from the last known close at least ``hours`` ago (up to three hours less where
    that one is not known) to now; None where none of them is."""
    hours_kept = series.hours
    for slack in range(_FALL_SLACK_HOURS + 1):
        back = hours_kept.hour - (series.hour - hours - 1 + slack)
        if 0 <= back < len(hours_kept.closes):
            close = hours_kept.closes[-1 - back]
            if close is not None:
                return log(series.price / close)
    return None


def basket_moves(use: Use) -> dict[str, float] | None:
    """Log return of each member of the basket over 72 hours; None where too few are known."""
    members = _members(use.state)
    moves = {}
    for asset in members:
        series = read_series(asset, use)
        move = None if series is None else fall_of(series, FALL_HOURS)
        if move is not None:
            moves[asset] = move
    return moves if _enough(len(moves), len(members), "72 hours old", use) else None


def _basket_return(_node: Node, use: Use) -> float | None:
    moves = basket_moves(use)
    return None if moves is None else exp(fsum(moves.values()) / len(moves)) - 1.0


def _of(
    read: Callable[[str, Use], float | None],
) -> Callable[[AssetNode, Use], float | None]:
    def compute(node: AssetNode, use: Use) -> float | None:
        return read(node.asset, use)

    return compute


def _volatility(name: str, kinds: tuple[SubjectKind, ...], help_text: str) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=kinds,
        unit=Unit.PER_YEAR,
        help=help_text,
        low=0.0,
        high=_VOLATILITY_MAX,
        typical=(0.5, 1.5),
    )


SLOW = _volatility(
    "volatility_slow",
    _ASSET,
    "Realized volatility a year from hourly returns, half-life 24 hours, 0.60 for 60 %.",
)
FAST = _volatility(
    "volatility_fast",
    _ASSET,
    "Realized volatility a year from one-minute returns, half-life 2 hours, 0.60 for 60 %.",
)
PERCENTILE = MeasureSpec(
    name="volatility_percentile",
    kinds=(SubjectKind.ASSET, SubjectKind.PORTFOLIO),
    unit=Unit.RATIO,
    help="Share of the last 180 days in which hourly volatility was lower; of the basket for the "
    "portfolio.",
    low=0.0,
    high=1.0,
    typical=(0.5, 0.95),
)
HISTORY = MeasureSpec(
    name="volatility_history_ratio",
    kinds=(SubjectKind.ASSET, SubjectKind.PORTFOLIO),
    unit=Unit.RATIO,
    help="How much of the 60 days that a percentile needs is known; 1 when warm.",
    low=0.0,
    high=1.0,
    typical=(1.0, 0.2),
)

DEFINITIONS: tuple[Definition, ...] = (
    define(
        SLOW,
        SubjectKind.ASSET,
        _of(read_slow),
        bits=SERIES_BIT,
    ),
    define(
        FAST,
        SubjectKind.ASSET,
        _of(read_fast),
        bits=SERIES_BIT,
    ),
    define(
        PERCENTILE,
        SubjectKind.ASSET,
        _of(read_percentile),
        bits=SERIES_BIT,
    ),
    define(
        PERCENTILE,
        SubjectKind.PORTFOLIO,
        lambda _node, use: read_basket_percentile(use),
        bits=SERIES_BIT,
    ),
    define(HISTORY, SubjectKind.ASSET, _asset_history, bits=SERIES_BIT),
    define(
        HISTORY,
        SubjectKind.PORTFOLIO,
        lambda _node, use: _history(use.state.basket),
        bits=SERIES_BIT,
    ),
    define(
        MeasureSpec(
            name="jump_share_ratio",
            kinds=_ASSET,
            unit=Unit.RATIO,
            help="Share of the last day's variance that was jumps, by bipower variation of hours.",
            low=0.0,
            high=1.0,
            typical=(0.1, 0.8),
        ),
        SubjectKind.ASSET,
        _jump_share,
        bits=SERIES_BIT,
    ),
    define(
        MeasureSpec(
            name="jump_sigmas_ratio",
            kinds=_ASSET,
            unit=Unit.RATIO,
            help="Larger move of this hour and the last over the jump-free hourly deviation.",
            low=0.0,
            high=JUMP_SIGMAS_MAX,
            typical=(1.0, 6.0),
            words=("x",),
        ),
        SubjectKind.ASSET,
        _jump_sigmas,
        bits=SERIES_BIT,
    ),
    define(
        _volatility(
            "basket_volatility", _PORTFOLIO, "Slow volatility a year of the basket's mean return."
        ),
        SubjectKind.PORTFOLIO,
        lambda _node, use: read_basket_slow(use),
        bits=SERIES_BIT,
    ),
    define(
        _volatility(
            "basket_volatility_fast",
            _PORTFOLIO,
            "Volatility a year of the basket, scaled by its members' fast over slow ones.",
        ),
        SubjectKind.PORTFOLIO,
        lambda _node, use: read_basket_fast(use),
        bits=SERIES_BIT,
    ),
    define(
        MeasureSpec(
            name="basket_return_72h_ratio",
            kinds=_PORTFOLIO,
            unit=Unit.RATIO,
            help="Mean move of the basket's assets over 72 hours, geometric, signed; < 0 fell.",
            low=-1.0,
            high=1e6,
            typical=(0.01, -0.1),
        ),
        SubjectKind.PORTFOLIO,
        _basket_return,
        bits=SERIES_BIT,
    ),
)
