"""The highest stress index of each past day, found from the venues' settlements, the newest first.

With today's universe and weights, as they were when the day was begun. A few markets a pass: the
loop has prices to take in meanwhile. *Pure.*
"""

from __future__ import annotations

from math import fsum

from monitor.core.formulas.funding_stress import (
    WINDOW_HOURS,
    compute_stress_parts,
    compute_stress_points,
)
from monitor.core.measures.funding_stress import asset_funding, largest_assets, weigh
from monitor.core.measures.funding_windows import scores_of_past
from monitor.core.measures.tree import PortfolioNode
from monitor.core.measures.use import Use
from monitor.core.state.funding import (
    CARRY_HOURS_MAX,
    FundingSeries,
    carry_hours,
    with_past,
)
from monitor.core.state.funding_past import PastDay, PastMarket
from monitor.core.state.model import RiskState, VenueState
from monitor.core.state.series import HOUR_NS
from monitor.core.types import SECOND_NS
from monitor.core.warm_up import PAST

CADENCE_NS = SECOND_NS
# One costs some 1.4 ms, a day's index over all of them some 4 ms.
MARKETS_A_PASS = 3
DAY_HOURS = 24


def compute_look_back(_node: PortfolioNode, use: Use) -> float:
    """Look a little further back, at most once in ``CADENCE_NS`` however many markets settle; hours
    that are still to be found."""
    memory = use.state.stress
    if not memory.looked_ns or not 0 <= use.now - memory.looked_ns < CADENCE_NS:
        memory.looked_ns = use.now
        look_back(use)
    if memory.redo_to or memory.redo_day is not None or memory.deep:
        use.wake_at(memory.looked_ns + CADENCE_NS)
    return float(max(memory.redo_to - memory.redo_from, 0))


def look_back(use: Use, markets_max: int = MARKETS_A_PASS) -> int:
    """One pass: score at most so many markets of a past day, or find the day's index from all of
    its markets' scores; the number of markets scored. Once all days are found, what only they
    needed is forgotten."""
    memory, hour = use.state.stress, use.now // HOUR_NS
    day = memory.redo_day
    if day is None:
        last = min(memory.redo_to, hour - 1)
        if not memory.redo_to or last < memory.redo_from:
            memory.redo_from = memory.redo_to = 0
            if memory.deep and all(_read_to_its_end(venue) for venue in use.state.venues.values()):
                memory.deep.clear()
            return 0
        day = _begin(use, last // DAY_HOURS, hour)
        if not day.markets:  # open interest is still to be told
            return 0
        memory.redo_day = day
        # Settlements of it that are told from now on ask for it anew.
        memory.redo_to = day.first - 1
    waiting = day.markets[day.scored : day.scored + markets_max]
    for market in waiting:
        _score(use.state, day, market, use.settings.funding_stress.scale_floor)
    day.scored += len(waiting)
    if not waiting:
        memory.redo_day = None
        highest = _highest(day, use)
        if highest is not None:
            memory.find(day.first // DAY_HOURS, highest, day.known_hours)
    return len(waiting)


def _begin(use: Use, day: int, hour: int) -> PastDay:
    """The whole day, whatever part of it became known: its highest replaces the one found before.
    Of today, the hours that are over."""
    first = day * DAY_HOURS
    assets, _, _ = weigh(use)
    return PastDay(
        first=first,
        last=min(first + DAY_HOURS, hour) - 1,
        markets=[
            PastMarket(asset, market.subject, weight, carry_hours(market.funding_interval_s))
            for asset in largest_assets(use, assets)
            for market, weight in assets[asset]
        ],
    )


def _score(state: RiskState, day: PastDay, market: PastMarket, floor: float) -> None:
    """How unusual each hour's funding was for the market itself."""
    series = with_past(
        state.funding.get(market.subject, FundingSeries()),
        state.stress.deep.get(market.subject),
        day.first - WINDOW_HOURS - 2 * CARRY_HOURS_MAX,
    )
    market.scores = scores_of_past(series, day.first, day.last, market.carry, floor)
    if any(market.scores):
        window = series.hourly(day.last - WINDOW_HOURS + 1, day.last, market.carry)
        day.known_hours += sum(one is not None for one in window)


def _highest(day: PastDay, use: Use) -> float | None:
    """The highest index of the day's hours; None where none of them has enough of the weight."""
    anchors = use.settings.funding_stress
    by_asset: dict[str, list[PastMarket]] = {}
    for market in day.markets:
        by_asset.setdefault(market.asset, []).append(market)
    total = fsum(market.weight for market in day.markets)
    highest: float | None = None
    for place in range(day.last - day.first + 1):
        known, used = [], 0.0
        for members in by_asset.values():
            scored = [
                (market.weight, one)
                for market in members
                if (one := market.scores[place]) is not None
            ]
            used += fsum(weight for weight, _ in scored)
            if scored:
                known.append(asset_funding(scored, use))
        parts = compute_stress_parts(known, anchors)
        if parts is not None and used >= anchors.coverage_min * total:
            index = compute_stress_points(parts, anchors).total
            highest = index if highest is None else max(highest, index)
    return highest


def _read_to_its_end(venue: VenueState) -> bool:
    """Whether nothing of its older settlements is still to be read; they are read last."""
    found = venue.histories.get(PAST)
    return not venue.histories if found is None else not found.waiting
