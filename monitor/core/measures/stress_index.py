"""The funding stress index and every number it is made of, as measures. *Pure.*"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial

from monitor.core.formulas.funding import HOURS_PER_YEAR
from monitor.core.formulas.funding_stress import PEAK_DAYS, WINDOW_HOURS, compute_dispersion
from monitor.core.measures.definition import Arithmetic, Definition, Detail, Relation, define
from monitor.core.measures.funding_look_back import compute_look_back
from monitor.core.measures.funding_stress import (
    compute_stress,
    current_rate,
    market_scores,
    series_of,
)
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.stress_words import (
    say_coverage,
    say_index,
    say_why_unknown,
    work_index,
    work_worst,
)
from monitor.core.measures.tree import AssetNode, MarketNode, Node, PortfolioNode
from monitor.core.measures.use import Use
from monitor.core.state.facts import PRESENT, SETTLED_BIT, Lack, MarketBit, Why
from monitor.core.state.funding import StressNow, carry_hours
from monitor.core.state.funding_past import Scores
from monitor.core.state.model import RiskState
from monitor.core.state.series import HOUR_NS
from monitor.core.types import SECOND_NS, EngineNs, SubjectKind

HIDDEN = "_funding_stress"
LOOK_BACK = "_funding_look_back"
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
Z_SHOWN_MAX = 1000.0
_PORTFOLIO = (SubjectKind.PORTFOLIO,)

Pick = Callable[[StressNow], float | None]


def _read(pick: Pick, missing: Why, node: PortfolioNode, use: Use) -> float | None:
    """One number of the last pass, as fresh as the settlements it rests on."""
    if use.read(node, HIDDEN) is None:
        return None
    now = use.state.stress.now
    value = pick(now)
    if value is None:
        use.why = now.why if now.why.reason else missing
        return None
    if now.expires_ns <= use.now:
        use.absent("the settlements used are too old")
        return None
    use.as_of = min(use.as_of, now.as_of_ns)
    use.expires = min(use.expires, now.expires_ns)
    use.observed = min(use.observed, now.observed_ns)
    return value


def _part(number: int, now: StressNow) -> float | None:
    return None if now.parts is None else now.parts[number]


def _points(number: int, now: StressNow) -> float | None:
    return None if now.points is None else now.points[number]


def _settlements(node: PortfolioNode, use: Use) -> float | None:
    """Hours that settled since the index has been calm, what is not known at its worst."""
    if _read(lambda now: now.index, PRESENT, node, use) is None:
        return None
    return float(use.state.stress.calm_settlements)


def _days(node: PortfolioNode, use: Use) -> dict[int, float] | None:
    """Highest index by day, of the days of the last ninety of which one is known."""
    if use.read(node, HIDDEN) is None:
        return None
    return use.state.stress.highest(use.now // HOUR_NS)


def _peak(node: PortfolioNode, use: Use) -> float | None:
    days = _days(node, use)
    if days == {}:
        why = use.state.stress.now.why.reason
        use.absent(f"no index of the past is known: {why}", Lack.HISTORY)
    return max(days.values()) if days else None


def _days_known(node: PortfolioNode, use: Use) -> float | None:
    days = _days(node, use)
    return None if days is None else float(len(days))


def _peak_told(_node: Node, state: RiskState, now: EngineNs) -> str:
    """``on 2026-10-10, 87 of 90 days known``."""
    days = state.stress.highest(now // HOUR_NS)
    if not days:
        return ""
    at = max(days, key=lambda day: (days[day], day))
    told = date.fromordinal(EPOCH_ORDINAL + at).isoformat()
    return f"on {told}, {len(days)} of {PEAK_DAYS} days known"


def _unknown_s(node: PortfolioNode, use: Use) -> float | None:
    """Absent before the first index: what never began cannot have stopped."""
    if use.read(node, HIDDEN) is None:
        return None
    known_ns = use.state.stress.known_ns
    if not known_ns:
        use.absent(f"it was never known: {use.state.stress.now.why.reason}", Lack.HISTORY)
        return None
    return 0.0 if use.state.stress.now.index is not None else (use.now - known_ns) / SECOND_NS


# ---------------------------------------------------------------------------- market and asset


def _market_z(node: MarketNode, use: Use) -> float | None:
    """As of the newest settlement; the portfolio's windows serve the index as well."""
    portfolio = node.ancestors[-1]
    if not isinstance(portfolio, PortfolioNode):
        raise TypeError(f"{node.subject} has no portfolio")
    scores = market_scores(portfolio.funding_windows, use, node.market)
    if not isinstance(scores, Scores):
        use.why = scores
        return None
    carry = carry_hours(node.market.funding_interval_s)
    use.as_of = min(use.as_of, scores.hour * HOUR_NS)
    use.expires = min(use.expires, (scores.hour + carry + 1) * HOUR_NS)
    use.observed = min(use.observed, series_of(use.state, node.market).told_ns)
    return min(max(scores.z, -Z_SHOWN_MAX), Z_SHOWN_MAX)


def _history(node: MarketNode, use: Use) -> float | None:
    series = series_of(use.state, node.market)
    hour = max(use.now // HOUR_NS, series.newest)
    carry = carry_hours(node.market.funding_interval_s)
    known = series.hourly(hour - WINDOW_HOURS + 1, hour, carry)
    return sum(one is not None for one in known) / WINDOW_HOURS


def _asset_dispersion(node: AssetNode, use: Use) -> float | None:
    hour = use.now // HOUR_NS
    aprs: list[float] = []
    for place in node.markets:
        market = place.market
        rate = current_rate(use.state, market, hour)
        if rate is None:
            continue
        series = series_of(use.state, market)
        carry = carry_hours(market.funding_interval_s)
        aprs.append(rate * HOURS_PER_YEAR)
        use.as_of = min(use.as_of, series.newest * HOUR_NS)
        use.expires = min(use.expires, (series.newest + carry + 1) * HOUR_NS)
        use.observed = min(use.observed, series.told_ns)
    spread = compute_dispersion(aprs)
    if spread is None:
        lone = len({place.market.venue for place in node.markets}) < 2
        use.absent(
            f"settled funding of {node.asset} is known on {len(aprs)} of at least 2 venues",
            Lack.CHOICE if lone else Lack.MISSING,
        )
    elif use.expires <= use.now:
        use.absent("the settlements used are too old")
        return None
    # Settlements are told of markets, and nobody tells the asset.
    use.wake_at(use.now + 60 * SECOND_NS)
    return spread


# ------------------------------------------------------------------------------- definitions


def _spec(
    name: str,
    unit: Unit,
    help_text: str,
    typical: tuple[float, float],
    *,
    low: float = 0.0,
    high: float = float("inf"),
    kinds: tuple[SubjectKind, ...] = _PORTFOLIO,
    words: tuple[str, ...] = (),
) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=kinds,
        unit=unit,
        help=help_text,
        low=low,
        high=high,
        typical=typical,
        words=words,
    )


def _made(
    spec: MeasureSpec,
    pick: Pick,
    missing: Why = PRESENT,
    detail: Detail | None = None,
    made_of: tuple[str, ...] = (),
    arithmetic: Arithmetic | None = None,
) -> Definition:
    return define(
        spec,
        SubjectKind.PORTFOLIO,
        partial(_read, pick, missing),
        needs=((Relation.SELF, HIDDEN),),
        detail=detail,
        made_of=made_of,
        arithmetic=arithmetic,
    )


_PARTS = (
    ("level_apr", Unit.PER_YEAR, "Median over the largest assets of |funding|, per year.", 3600.0),
    ("breadth_ratio", Unit.RATIO, "Share of the largest assets at 40 % a year or more.", 1.0),
    (
        "surprise_z",
        Unit.COUNT,
        "Median over assets of |funding| against its own 30 days, in robust standard deviations.",
        10.0,
    ),
    (
        "change_z",
        Unit.COUNT,
        "Median over assets of the 8-hour change against its own 30 days, as for surprise.",
        10.0,
    ),
    ("flips_ratio", Unit.RATIO, "Share of assets whose funding turned its sign in 24 hours.", 1.0),
)


def _points_name(part: str) -> str:
    return f"funding_stress_{part.rpartition('_')[0]}_points"


_TYPICAL = ((0.11, 0.55), (0.05, 0.8), (0.5, 6.1), (0.5, 4.0), (0.1, 0.4))
_WEIGHTS = (25.0, 25.0, 25.0, 15.0, 10.0)
_INDEX = _spec(
    "funding_stress_index",
    Unit.POINTS,
    "Funding stress over the 20 largest assets of all watched venues, 0 to 100; absent while "
    "less than 60 % of their open interest has a known history, never low for lack of data.",
    (5.0, 69.31),
    high=100.0,
)
_DISPERSION = _spec(
    "funding_dispersion_apr",
    Unit.PER_YEAR,
    "Highest less lowest settled funding of one asset over its venues, per year; of the portfolio "
    "the median over the largest assets.",
    (0.03, 0.5),
    high=7200.0,
    kinds=(SubjectKind.ASSET, SubjectKind.PORTFOLIO),
)

DEFINITIONS: tuple[Definition, ...] = (
    define(
        MeasureSpec(
            name=HIDDEN,
            kinds=_PORTFOLIO,
            unit=Unit.COUNT,
            help="Assets used by the stress index; an intermediate result.",
            low=0.0,
        ),
        SubjectKind.PORTFOLIO,
        compute_stress,
        bits=SETTLED_BIT,
        always=True,
        hidden=True,
    ),
    define(
        MeasureSpec(
            name=LOOK_BACK,
            kinds=_PORTFOLIO,
            unit=Unit.COUNT,
            help="Past hours whose stress index is still to be found; an intermediate result.",
            low=0.0,
        ),
        SubjectKind.PORTFOLIO,
        compute_look_back,
        bits=SETTLED_BIT,
        always=True,
        hidden=True,
    ),
    _made(
        _INDEX,
        lambda now: now.index,
        detail=say_index,
        made_of=(
            *(f"funding_stress_{name}" for name, *_ in _PARTS),
            *(_points_name(name) for name, *_ in _PARTS),
            "funding_stress_coverage_ratio",
        ),
        arithmetic=work_index,
    ),
    _made(
        _spec(
            "funding_stress_worst_index",
            Unit.POINTS,
            "The stress index with every asset at its worst of which a market is not known: what "
            "is missing cannot end an alert.",
            (5.0, 75.0),
            high=100.0,
        ),
        lambda now: now.worst,
        arithmetic=work_worst,
    ),
    *(
        _made(
            _spec(
                f"funding_stress_{name}",
                unit,
                text,
                _TYPICAL[number],
                low=-10.0 if name.endswith("_z") else 0.0,
                high=high,
            ),
            partial(_part, number),
        )
        for number, (name, unit, text, high) in enumerate(_PARTS)
    ),
    *(
        _made(
            _spec(
                _points_name(name),
                Unit.POINTS,
                f"What this part adds to the stress index: 0 to {_WEIGHTS[number]:.0f} points.",
                (0.0, _WEIGHTS[number]),
                high=100.0,
            ),
            partial(_points, number),
        )
        for number, (name, _, _, _) in enumerate(_PARTS)
    ),
    _made(
        _spec(
            "funding_stress_coverage_ratio",
            Unit.RATIO,
            "Share of the largest assets' open interest whose funding is fresh and has a history.",
            (1.0, 0.5),
            high=1.0,
        ),
        lambda now: now.coverage,
        Why("no market has open interest"),
        say_coverage,
    ),
    _made(
        _spec(
            "funding_weighted_apr",
            Unit.PER_YEAR,
            "Settled funding per year weighted by open interest, signed; > 0: longs are crowded.",
            (0.1, -0.3),
            low=-3600.0,
            high=3600.0,
        ),
        lambda now: now.weighted_apr,
        Why("settled funding is known for too little of the open interest"),
    ),
    _made(
        _DISPERSION,
        lambda now: now.dispersion_apr,
        Why("no asset has settled funding on two venues"),
    ),
    define(_DISPERSION, SubjectKind.ASSET, _asset_dispersion, bits=0, needs=()),
    _made(
        _spec(
            "funding_common_factor_ratio",
            Unit.RATIO,
            "Share of the first eigenvalue of the correlations of 8-hour funding over 30 days: how "
            "much of it is one thing moving. Found once an hour.",
            (0.45, 0.79),
            high=1.0,
        ),
        lambda now: now.common,
        Why("fewer than 5 assets have 20 days of funding", Lack.HISTORY),
    ),
    define(
        _spec(
            "funding_settlements_below_exit",
            Unit.COUNT,
            "Hours that settled since the stress index has been at 30 or below with every asset at "
            "its worst of which a market is not known.",
            (24.0, 0.0),
            words=("settlement", "settlements"),
        ),
        SubjectKind.PORTFOLIO,
        _settlements,
        needs=((Relation.SELF, HIDDEN),),
    ),
    define(
        _spec(
            "funding_stress_unknown_s",
            Unit.SECONDS,
            "Seconds since the stress index was last known; 0 while it is, absent before that.",
            (0.0, 3600.0),
        ),
        SubjectKind.PORTFOLIO,
        _unknown_s,
        needs=((Relation.SELF, HIDDEN),),
        detail=say_why_unknown,
    ),
    define(
        _spec(
            "funding_stress_peak_90d",
            Unit.POINTS,
            "Highest stress index of the last 90 days, as far as they are known: seen since riskd "
            "watches, and found from the venues' settlements with today's universe.",
            (30.0, 85.0),
            high=100.0,
        ),
        SubjectKind.PORTFOLIO,
        _peak,
        needs=((Relation.SELF, HIDDEN), (Relation.SELF, LOOK_BACK)),
        detail=_peak_told,
    ),
    define(
        _spec(
            "funding_stress_peak_day_count",
            Unit.COUNT,
            "Days of the last 90 of which a stress index is known, seen or found.",
            (90.0, 21.0),
            high=91.0,
            words=("day", "days"),
        ),
        SubjectKind.PORTFOLIO,
        _days_known,
        needs=((Relation.SELF, HIDDEN), (Relation.SELF, LOOK_BACK)),
    ),
    define(
        _spec(
            "funding_z",
            Unit.COUNT,
            "|Settled funding| of a market against its own last 30 days, in robust standard "
            "deviations; absent until 240 hours are known.",
            (0.5, 8.0),
            low=-Z_SHOWN_MAX,
            high=Z_SHOWN_MAX,
            kinds=(SubjectKind.MARKET,),
        ),
        SubjectKind.MARKET,
        _market_z,
        bits=MarketBit.SETTLED,
    ),
    define(
        _spec(
            "funding_history_ratio",
            Unit.RATIO,
            "Share of the last 30 days whose settled funding is known.",
            (1.0, 0.2),
            high=1.0,
            kinds=(SubjectKind.MARKET,),
        ),
        SubjectKind.MARKET,
        _history,
        bits=MarketBit.SETTLED,
    ),
)
