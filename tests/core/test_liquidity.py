"""Getting out: depth and volume against our size, books against their own past."""

from __future__ import annotations

import pytest

from monitor.core import events as e
from monitor.core.settings import EngineSettings, MarginSettings
from monitor.core.types import position_subject
from monitor.rulebook import builtin_files
from tests.core.desk import BTC, HL, MAIN, PORTFOLIO, TIERS, Desk

POSITION = position_subject(HL, "main", "BTC")
SECOND = position_subject(HL, "second", "BTC")


def told(desk: Desk, bid: float | None, ask: float | None) -> Desk:
    """What rests within 25 bp."""
    return desk.tell(
        e.DepthSeen(
            venue=HL,
            channel="hyperliquid/book/BTC",
            market="BTC",
            band_ratio=0.0025,
            bid_depth_usd=bid,
            ask_depth_usd=ask,
        ),
    )


def desk_of(
    first: float, second: float | None = None, *, volume: float | None = 96e6, price: float = 100.0
) -> Desk:
    """Accounts long or short BTC, USD."""
    names = ("main",) if second is None else ("main", "second")
    desk = Desk(*((HL, name) for name in names)).list_market()
    desk.context(mark_price=price, oracle_price=price)
    if volume is not None:
        desk.context(volume_24h_usd=volume)
    for name, notional in zip(names, (first, second), strict=False):
        desk.positions(("BTC", (notional or 0.0) / price), account=name)
        desk.money(1e7, account=name)
    return desk


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param(1e5, None, 10.0, id="a long leaves into bids"),
        pytest.param(-1e5, None, 20.0, id="a short into offers"),
        pytest.param(1e5, 3e5, 2.5, id="two longs stand in each other's way"),
        pytest.param(1e5, -4e5, 5.0, id="either side apart, the worse counts"),
        pytest.param(0.0, None, 1e6, id="nothing held"),
    ],
)
def test_depth_of_a_market_against_all_we_hold(
    first: float, second: float | None, expected: float
) -> None:
    """1 M of bids, 2 M of offers."""
    desk = told(desk_of(first, second), 1e6, 2e6)
    assert desk.after("exit_depth_ratio", BTC) == pytest.approx(expected)


def test_depth_that_is_not_seen_is_unknown() -> None:
    """Neither thin nor deep; so is a holder who is dark."""
    desk = told(desk_of(1e5, 1e5), None, 2e6)
    assert desk.after("exit_depth_ratio", BTC) is None
    assert "25 bp" in desk.why("exit_depth_ratio", BTC)
    desk.at(40).context(mark_price=100.0, oracle_price=100.0).positions(("BTC", 1000))
    assert told(desk, 1e6, 2e6).after("exit_depth_ratio", BTC) is None
    assert "positions" in desk.why("exit_depth_ratio", BTC)


@pytest.mark.parametrize(
    ("first", "bid", "ask"),
    [pytest.param(1e5, 0.0, None, id="a long"), pytest.param(-1e5, None, 0.0, id="a short")],
)
def test_a_side_that_is_gone_is_as_thin_as_can_be(
    first: float, bid: float | None, ask: float | None
) -> None:
    """After a usual half hour nobody stands where we would leave: both rules say so, the market is
    held, and the spread, which there is none of, is not called fine or wide."""
    desk = desk_of(first)
    desk.tell(e.RulebookLoaded(files=tuple(builtin_files()), loaded_by="test"))
    for minute in range(40):
        told(desk.at(60.0 * minute).context(mark_price=100.0, oracle_price=100.0), 1e6, 1e6)
        desk.positions(("BTC", first / 100.0)).evaluate()
    for second in range(0, 1_200, 10):
        told(desk.at(2_400.0 + second).context(mark_price=100.0, oracle_price=100.0), bid, ask)
        desk.positions(("BTC", first / 100.0)).evaluate()
    assert desk.value("exit_depth_ratio", POSITION) == 0.0
    assert desk.value("depth_drop_ratio", BTC) == 1.0
    found = {
        one.rule: one.state.state.value
        for one in desk.engine.rule_states()
        if one.subject == POSITION
    }
    assert (found["bids_pulled"], found["book_thin"]) == ("firing", "firing")
    assert found["spread_wide"] == "inactive"


@pytest.mark.parametrize("bids", [True, False], ids=["bids", "offers"])
@pytest.mark.parametrize("other", [1e6, None], ids=["the other stands", "the other is not seen"])
def test_a_side_that_stays_gone_stays_pulled(other: float | None, bids: bool) -> None:
    """Nothing at all never becomes usual, however long it lasts; once something is back it is
    judged by the hour again, when half of it is known and had anything in it."""

    def at(minute: int, side: float | None, other: float | None) -> Desk:
        return told(desk.at(60.0 * minute), *((side, other) if bids else (other, side)))

    desk = desk_of(1e5)
    for minute in range(40):
        at(minute, 1e6, 1e6).evaluate()
    for minute in range(40, 239):
        at(minute, 0.0, other)
        assert desk.after("depth_drop_ratio", BTC) == 1.0, minute
        if minute == 120:  # as while a book is put together anew
            assert at(121, None, None).after("depth_drop_ratio", BTC) is None
    assert at(239, 0.0, 1e6).after("depth_drop_ratio", BTC) == 1.0, "its own usual is enough"
    at(240, 9e5, 1e6)
    assert desk.after("depth_drop_ratio", BTC) is None
    for minute in range(241, 275):
        at(minute, 9e5, 1e6).evaluate()
    assert desk.after("depth_drop_ratio", BTC) == 0.0


def test_a_side_that_never_had_anything_is_not_pulled() -> None:
    """Nobody can have left."""
    desk = desk_of(1e5)
    for minute in range(90):
        told(desk.at(60.0 * minute), 0.0, 1e6).evaluate()
    assert desk.after("depth_drop_ratio", BTC) is None
    assert "nothing in it for most of the hour" in desk.why("depth_drop_ratio", BTC)


def test_one_known_side_says_nothing_of_the_other() -> None:
    """Unless it is gone: a fall of nine tenths may be the lesser of the two."""
    desk = desk_of(1e5)
    for minute in range(40):
        told(desk.at(60.0 * minute), 1e6, 1e6).evaluate()
    told(desk.at(2_400.0), 1e5, None)
    assert desk.after("depth_drop_ratio", BTC) is None
    told(desk.at(2_401.0), 0.0, None)
    assert desk.after("depth_drop_ratio", BTC) == 1.0


def test_time_to_leave_of_the_sheet() -> None:
    """3 M at a tenth of 4 M an hour: seven and a half hours, of the position and all above it."""
    desk = desk_of(3e6)
    for subject in (POSITION, MAIN, PORTFOLIO):
        assert desk.after("unwind_time_s", subject) == pytest.approx(7.5 * 3600)


def test_accounts_leave_one_market_one_after_the_other() -> None:
    """Long here and short there: both need the same volume."""
    desk = desk_of(3e6, -1e6)
    assert desk.after("unwind_time_s", MAIN) == pytest.approx(7.5 * 3600)
    assert desk.value("unwind_time_s", SECOND) == pytest.approx(2.5 * 3600)
    assert desk.value("unwind_time_s", PORTFOLIO) == pytest.approx(10 * 3600)


@pytest.mark.parametrize(
    ("notional", "volume", "expected"),
    [
        pytest.param(0.0, None, 0.0, id="nothing to leave"),
        pytest.param(1e5, 0.0, 365 * 86_400.0, id="nobody trades"),
        pytest.param(1e5, None, None, id="volume unknown"),
    ],
)
def test_time_to_leave_at_the_ends(
    notional: float, volume: float | None, expected: float | None
) -> None:
    """No volume is a year, an unknown one unknown."""
    desk = desk_of(notional, volume=volume)
    for subject in (MAIN, PORTFOLIO):
        assert desk.after("unwind_time_s", subject) == expected


def test_a_desk_may_be_a_larger_part_of_the_market() -> None:
    """A fifth: half the time."""
    settings = EngineSettings(
        accounts=((HL, "main"),), margin=MarginSettings(participation_ratio=0.2)
    )
    desk = Desk(settings=settings).list_market()
    desk.context(mark_price=100.0, oracle_price=100.0, volume_24h_usd=96e6)
    desk.positions(("BTC", 30_000)).money(1e7)
    assert desk.after("unwind_time_s", MAIN) == pytest.approx(3.75 * 3600)


def test_a_volume_that_is_told_no_more_is_old() -> None:
    """After five minutes, for the channel is dead."""
    desk = desk_of(3e6)
    for seconds, expected in ((299, 7.5 * 3600), (301, None)):
        desk.at(seconds).positions(("BTC", 30_000))
        desk.tell(
            e.MarketContextSeen(
                venue=HL, channel="hyperliquid/other", market="BTC", mark_price=100.0
            ),
        )
        found = desk.after("unwind_time_s", MAIN)
        assert found == (None if expected is None else pytest.approx(expected))
    assert "volume of BTC" in desk.why("unwind_time_s", MAIN)


def quoted(hours: int, spread: float) -> Desk:
    """A book of that spread for so many hours."""
    desk = desk_of(1e5)
    for step in range(hours * 12 + 1):
        desk.at(step * 300).top(100.0, 100.0 + 100.0 * spread)
    return desk


def test_spread_over_its_own_median() -> None:
    """Known after a day, and then at once."""
    desk = quoted(23, 0.001)
    assert desk.after("spread_of_usual_ratio") is None
    assert "23 of 24 hours" in desk.why("spread_of_usual_ratio")
    desk = quoted(24, 0.001)
    assert desk.after("spread_of_usual_ratio") == pytest.approx(1.0, rel=1e-3)
    desk.top(100.0, 100.4)
    assert desk.after("spread_of_usual_ratio") == pytest.approx(4.0, rel=1e-2)


def test_spread_of_a_market_that_had_none() -> None:
    """Anything is wide where it was zero."""
    desk = quoted(24, 0.0)
    assert desk.after("spread_of_usual_ratio") == 1.0
    desk.top(100.0, 100.1)
    assert desk.after("spread_of_usual_ratio") == 1e6


@pytest.mark.parametrize(
    ("bid", "ask", "expected"),
    [
        pytest.param(1e6, 2e6, 0.0, id="as usual"),
        pytest.param(3e6, 2e6, 0.0, id="more than usual is no fall"),
        pytest.param(2.9e5, 2e6, 0.71, id="bids pulled"),
        pytest.param(1e6, 0.0, 1.0, id="offers gone"),
        pytest.param(None, 2e6, None, id="a side that cannot be seen"),
    ],
)
def test_depth_against_its_last_hour(
    bid: float | None, ask: float | None, expected: float | None
) -> None:
    """Half an hour of 1 M and 2 M."""
    desk = desk_of(1e5)
    for minute in range(30):
        told(desk.at(minute * 60), 1e6, 2e6)
    found = told(desk.at(1790), bid, ask).after("depth_drop_ratio")
    assert found == (None if expected is None else pytest.approx(expected))


def test_a_rule_hears_of_a_fall_past_its_limit() -> None:
    """A smaller one waits until somebody looks, and is seen as it is then."""
    desk = desk_of(1e5).load(
        """
- {id: pulled, summary: pulled, for_each: market, when: depth_drop_ratio > 0.7, severity: info}
"""
    )
    for second in (*range(0, 1801, 60), 1801):
        assert not told(desk.at(second), 1e6, 2e6).evaluate().transitions
    assert not told(desk.at(1802), 1e6, 1e6).evaluate().transitions
    assert desk.engine.state.cells[f"depth_drop_ratio|{BTC}"].value == 0.0
    assert desk.value("depth_drop_ratio") == pytest.approx(0.5)
    (transition,) = told(desk.at(1803), 2.9e5, 2e6).evaluate().transitions
    assert transition.rule == "pulled"


def test_an_hour_of_depth_is_awaited() -> None:
    """And said so."""
    desk = told(desk_of(1e5), 1e6, 2e6)
    assert desk.after("depth_drop_ratio") is None
    assert "1 of 30 minutes" in desk.why("depth_drop_ratio")


def test_changed_terms_are_told_for_a_day() -> None:
    """With what changed; the same terms again are no news."""
    rule = """
- {id: terms, summary: terms, for_each: market, when: margin_terms_changed > 0.5, severity: info}
"""
    desk = desk_of(1e5).load(rule)
    desk.list_market(tiers=TIERS).evaluate()
    assert desk.value("margin_terms_changed") == 0.0
    desk.at(60).list_market(tiers=(e.MarginTier(0.0, 0.05, 0.025),))
    (transition,) = desk.evaluate().transitions
    assert "maintenance 1.25 % to 2.5 %" in transition.summary
    desk.at(60 + 86_399).context(mark_price=100.0)
    assert desk.after("margin_terms_changed") == 1.0
    desk.at(60 + 86_400)
    assert desk.after("margin_terms_changed") == 0.0
