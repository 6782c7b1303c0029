"""The index of past days, a few markets a pass: the same days as in one go, and no long pass."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from monitor.core import events as e
from monitor.core.formulas.funding_stress import KNOWN_HOURS_MIN
from monitor.core.measures.funding_look_back import CADENCE_NS, MARKETS_A_PASS, look_back
from monitor.core.measures.use import Use
from monitor.core.settings import EngineSettings
from monitor.core.state.funding import StressMemory
from monitor.core.state.model import Cell
from monitor.core.state.series import HOUR_NS
from tests.core.desk import DYDX, HL
from tests.core.stress_desk import FLOOR, StressDesk, Told, settlement

DAYS = 3
HOURS = KNOWN_HOURS_MIN + 24 * DAYS
# Seven assets of different size, three of them on a second venue: ten markets.
MARKETS = tuple(
    Told(f"M{number}", 0.11, 0.0, 0.0, open_interest_usd=1e6 * (number + 1), venue=venue)
    for number in range(7)
    for venue in ((HL, DYDX) if number < 3 else (HL,))
)
ALL_AT_ONCE = 1_000

Found = dict[int, tuple[float, int]]


def desk_of(*markets: Told) -> StressDesk:
    """Markets with twenty-three days of settlements; nothing of them was looked at yet."""
    return told(StressDesk(*markets, history=0), *markets, hours=range(-HOURS, 0))


def told(desk: StressDesk, *markets: Told, hours: range) -> StressDesk:
    """Settlements of these hours before now, no two markets alike, with gaps."""
    for seed, one in enumerate(markets):
        random = Random(seed)  # noqa: S311 - not for secrets, the same each time
        drawn = [(hour, random.gauss(2 * FLOOR, 9 * FLOOR), random.random()) for hour in hours]
        rates = tuple(
            ((desk.hour + hour) * HOUR_NS, rate) for hour, rate, chance in drawn if chance > 0.02
        )
        channel = f"{one.venue}/rest.history/past"
        desk.tell(
            e.FundingHistorySeen(venue=one.venue, channel=channel, market=one.market, rates=rates)
        )
    return desk


def pen(desk: StressDesk) -> Use:
    """What a computation reads with, now."""
    use = Use(desk.engine.state, EngineSettings(), lambda *_: Cell())
    use.begin(desk.now)
    return use


def busy(memory: StressMemory) -> bool:
    """Whether a day is still to be found."""
    return bool(memory.redo_to) or memory.redo_day is not None


def looked(desk: StressDesk, at_once: int) -> tuple[Found, list[int]]:
    """The days as found with so many markets a pass, and how many each pass scored."""
    use, passes = pen(desk), list[int]()
    while busy(desk.engine.state.stress):
        passes.append(look_back(use, at_once))
        assert len(passes) < 1_000, "it never ends"
    return desk.engine.state.stress.found, passes


@pytest.fixture(scope="module")
def in_one_go() -> Found:
    """Each day with all of its markets in one pass."""
    found, passes = looked(desk_of(*MARKETS), ALL_AT_ONCE)
    assert max(passes) == len(MARKETS)
    assert len(found) >= 2
    assert len({index for index, _ in found.values()}) == len(found)
    return found


@pytest.mark.parametrize("at_once", [1, MARKETS_A_PASS, len(MARKETS)])
def test_a_few_markets_a_pass_find_the_same_days(in_one_go: Found, at_once: int) -> None:
    """Bit by bit, and no pass scores more of them than it may."""
    found, passes = looked(desk_of(*MARKETS), at_once)
    assert found == in_one_go
    assert max(passes) == at_once
    # A day is its markets and then its index, which is a pass of its own.
    assert sum(passes) % len(MARKETS) == 0
    assert passes.count(0) == sum(passes) // len(MARKETS) + 1


def test_the_engine_looks_back_once_a_second(in_one_go: Found) -> None:
    """However often it is asked, and it asks for itself until all days are found."""
    desk = desk_of(*MARKETS)
    memory = desk.engine.state.stress
    while busy(memory):
        before = memory.redo_day.scored if memory.redo_day else 0
        for number in range(3):  # settlements that are known already: they say nothing new
            desk.tell(settlement(f"M{number}", 0.0, desk.hour - HOURS))
            decision = desk.evaluate()
        assert (memory.redo_day.scored if memory.redo_day else 0) <= before + MARKETS_A_PASS
        if busy(memory):
            assert decision.wake_at_ns is not None
            assert decision.wake_at_ns <= memory.looked_ns + CADENCE_NS
        desk.now = memory.looked_ns + CADENCE_NS
    assert memory.found == in_one_go


def test_a_day_is_carried_over_a_restart(in_one_go: Found) -> None:
    """What was scored is in the state; whoever decodes it goes on where it stopped."""
    desk = desk_of(*MARKETS)
    state = desk.engine.state
    for _ in range(2):
        look_back(pen(desk))
    assert state.stress.redo_day is not None
    assert state.stress.redo_day.scored == 2 * MARKETS_A_PASS
    packed = msgspec.msgpack.encode(state.stress)
    state.stress = msgspec.msgpack.decode(packed, type=StressMemory)
    assert looked(desk, MARKETS_A_PASS)[0] == in_one_go


def test_what_is_told_of_a_day_in_the_middle_of_it_counts() -> None:
    """The day is found again: its first markets were scored without that."""
    early, late = StressDesk(*MARKETS, history=0), StressDesk(*MARKETS, history=0)
    for desk in (early, late):
        told(desk, *MARKETS, hours=range(-HOURS, -8))
        if desk is late:
            for _ in range(3):
                look_back(pen(desk))
        told(desk, *MARKETS, hours=range(-HOURS, 0))
        looked(desk, MARKETS_A_PASS)
    assert late.engine.state.stress.found == early.engine.state.stress.found


def test_without_open_interest_no_day_is_used_up() -> None:
    """History may be told first; the days wait until it is known what weighs how much."""
    desk = desk_of(*MARKETS)
    memory, state = desk.engine.state.stress, desk.engine.state
    known = {
        name: {key: one.open_interest for key, one in venue.markets.items()}
        for name, venue in state.venues.items()
    }
    asked = memory.redo_to
    for venue in state.venues.values():
        for market in venue.markets.values():
            market.open_interest = type(market.open_interest)()
    assert look_back(pen(desk)) == 0
    assert (memory.redo_to, memory.redo_day) == (asked, None)
    for name, markets in known.items():
        for key, fact in markets.items():
            state.venues[name].markets[key].open_interest = fact
    assert look_back(pen(desk)) == MARKETS_A_PASS
