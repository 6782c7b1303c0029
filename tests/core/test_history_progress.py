"""How much of the past is known, how long the rest takes, and what a restart keeps of it."""

from __future__ import annotations

import pytest

from monitor.core import events as e
from monitor.core.engine import Engine, restore_snapshot
from monitor.core.formulas.funding_stress import KNOWN_HOURS_MIN
from monitor.core.settings import EngineSettings
from monitor.core.state.series import HOUR_NS, PERCENTILE_HOURS_MIN
from monitor.core.warm_up import FUNDING, PRICES, WarmUp
from monitor.server.history_document import history_rows
from tests.core.desk import HL, HL_VENUE, Desk

KNOWN = {FUNDING: "funding_baseline_known_ratio", PRICES: "volatility_baseline_known_ratio"}
ETA = "baseline_eta_s"
NAMES = tuple(f"M{number}" for number in range(10))


def progress(
    desk: Desk,
    read: int,
    *,
    kind: str = FUNDING,
    began_s: float = 0.0,
    waiting: int | None = None,
    names: tuple[str, ...] = NAMES,
) -> Desk:
    """The first ``read`` of the markets were read by now."""
    return desk.tell(
        e.HistoryProgressed(
            venue=HL,
            channel=f"{HL}/rest.history/baseline",
            kind=kind,
            wanted=len(names),
            unread=names[read:],
            waiting=len(names) - read if waiting is None else waiting,
            read=read,
            began_ns=desk.ns(began_s),
        )
    )


def eta(desk: Desk) -> float | str:
    """Seconds left, or why nobody knows."""
    desk.evaluate()
    found = desk.engine.reading(ETA, HL_VENUE, desk.now)
    return found.value if found else desk.engine.absence(ETA, HL_VENUE, desk.now)


def known(desk: Desk, kind: str = FUNDING) -> float | None:
    """The share of markets whose history is known."""
    desk.evaluate()
    found = desk.engine.reading(KNOWN[kind], HL_VENUE, desk.now)
    return found.value if found else None


def test_before_anything_was_read_nothing_is_said() -> None:
    """Neither a share nor a time: absent with the reason."""
    desk = Desk(settings=EngineSettings(venues=(HL,)))
    assert known(desk) is None
    assert eta(desk) == "no history was read yet"


@pytest.mark.parametrize(
    ("at_s", "read", "said"),
    [
        pytest.param(99.0, 0, "funding: the first market is being read", id="its first page"),
        pytest.param(59.9, 2, "funding: its pace is known after a minute of it", id="burst"),
        pytest.param(60.0, 2, 240.0, id="a minute of it"),
        pytest.param(120.0, 6, 80.0, id="faster since"),
        pytest.param(600.0, 10, 0.0, id="done"),
    ],
)
def test_the_time_left_is_at_the_reader_s_own_pace(
    at_s: float, read: int, said: float | str
) -> None:
    """So many markets in so much time, and those that wait."""
    desk = progress(Desk().at(at_s), read)
    assert eta(desk) == (pytest.approx(said) if isinstance(said, float) else said)
    assert known(desk) == pytest.approx(read / 10)


def test_the_time_left_runs_down_and_ends_where_nothing_is_read() -> None:
    """It is a clock between two words; three paces without one are a stop, and no promise."""
    desk = progress(Desk().at(100), 2)  # one in fifty seconds
    assert eta(desk.at(130)) == pytest.approx(370.0)
    assert eta(desk.at(250)) == pytest.approx(250.0)
    assert eta(desk.at(251.5)) == "funding: nothing was read for 151 s"
    progress(desk.at(300), 4)
    assert eta(desk) == pytest.approx(450.0)


@pytest.mark.parametrize("read", [0, 2], ids=["a page of the first market", "two markets"])
@pytest.mark.parametrize(
    ("silent_s", "stopped"),
    [pytest.param(120, False, id="two minutes"), pytest.param(121, True, id="and a second")],
)
def test_a_reading_that_stopped_within_its_first_minute_is_said_to_have(
    read: int, silent_s: int, *, stopped: bool
) -> None:
    """The venue went dark: no pace will come of waiting, and the first minute is long over."""
    desk = progress(Desk().at(20), read)
    said = (
        "the first market is being read" if not read else "its pace is known after a minute of it"
    )
    assert eta(desk) == f"funding: {said}"
    desk.at(20 + silent_s)
    assert eta(desk) == (
        f"funding: nothing was read for {silent_s} s" if stopped else f"funding: {said}"
    )


def test_the_slower_kind_decides() -> None:
    """And while one pace is unknown, so is the whole."""
    desk = progress(Desk().at(100), 5)
    progress(desk, 1, kind=PRICES, began_s=50.0)
    assert eta(desk) == "prices: its pace is known after a minute of it"
    progress(desk.at(110), 3, kind=PRICES, began_s=50.0)
    assert eta(desk) == pytest.approx(140.0)
    assert (known(desk), known(desk, PRICES)) == (0.5, pytest.approx(0.3))


def test_what_cannot_be_read_is_said() -> None:
    """Nine of ten, and no time for the tenth."""
    desk = progress(Desk().at(100), 9, waiting=0)
    assert known(desk) == pytest.approx(0.9)
    assert eta(desk) == "funding: 1 markets could not be read; they are tried again"


def funded(desk: Desk, market: str, hours: int) -> Desk:
    """So many hours of its funding are kept."""
    newest = desk.now // HOUR_NS
    rates = tuple(((newest - back) * HOUR_NS, 1e-5) for back in range(hours))[::-1]
    return desk.list_market(market).tell(
        e.FundingHistorySeen(venue=HL, channel=f"{HL}/h/{market}", market=market, rates=rates)
    )


def priced(desk: Desk, market: str, hours: int) -> Desk:
    """So many hours of its price are kept."""
    newest = desk.now // HOUR_NS
    closes = tuple(((newest - back) * HOUR_NS, 100.0 + back % 2) for back in range(hours))[::-1]
    return desk.list_market(market).tell(
        e.PriceHistorySeen(venue=HL, channel=f"{HL}/p/{market}", market=market, closes=closes)
    )


@pytest.mark.parametrize(
    ("hours", "share"),
    [
        pytest.param(KNOWN_HOURS_MIN - 2, 0.5, id="too little was kept"),  # and one carried on
        pytest.param(KNOWN_HOURS_MIN, 1.0, id="enough was kept"),
    ],
)
def test_what_an_earlier_process_left_counts(hours: int, share: float) -> None:
    """A restart has its baselines at once, though it reads them again for what it missed."""
    before = funded(funded(Desk(), "M0", 700), "M1", hours)
    before.at(1800).evaluate()
    engine = Engine(EngineSettings(venues=(HL,)))
    engine.restore((), before.engine.memories(), stopped_ns=before.now)
    desk = Desk(engine=engine).at(2000).list_market("M0").list_market("M1")
    assert known(progress(desk, 0, names=("M0", "M1"))) == share
    desk.at(2001)
    assert known(progress(desk, 1, names=("M0", "M1"))) == share
    assert known(progress(desk, 2, names=("M0", "M1"))) == 1.0


@pytest.mark.parametrize(
    ("hours", "share"),
    [
        pytest.param(PERCENTILE_HOURS_MIN, 0.0, id="an hour is lost to the volatility before it"),
        pytest.param(180 * 24, 1.0, id="half a year"),
    ],
)
def test_prices_that_suffice_for_a_percentile_count(hours: int, share: float) -> None:
    """What is judged is what the percentile asks for."""
    desk = priced(Desk(), "M0", hours)
    assert known(progress(desk, 0, kind=PRICES, names=("M0",)), PRICES) == share


def test_progress_survives_a_snapshot() -> None:
    """Replay from the middle says the same."""
    desk = progress(Desk().at(100), 2)
    desk.evaluate()
    again = Desk(engine=restore_snapshot(desk.engine.snapshot())).at(100)
    assert (eta(again), known(again)) == (eta(desk), known(desk))


def test_a_reader_says_only_what_is_news() -> None:
    """What is read again every hour is no progress; a market that is new is."""
    warm_up = WarmUp(HL, f"{HL}/rest.history/baseline", FUNDING)
    warm_up.begin(("A", "B"), 5)
    warm_up.read("A")
    (told,) = warm_up.news(["B"])
    assert (told.wanted, told.unread, told.waiting, told.read, told.began_ns) == (
        2,
        ("B",),
        1,
        1,
        5,
    )
    assert warm_up.news(["B"]) == ()
    warm_up.read("B")
    (told,) = warm_up.news([])
    assert (told.unread, told.waiting, told.read) == ((), 0, 2)
    warm_up.begin(("A", "B"), 3_600)
    warm_up.read("A")
    assert warm_up.news(["B"]) == ()
    warm_up.begin(("A", "B", "C"), 7_200)
    warm_up.read("A")
    (told,) = warm_up.news(["B", "C"])
    assert (told.wanted, told.unread, told.waiting, told.began_ns) == (3, ("C",), 1, 7_200)


@pytest.mark.parametrize(
    ("at_s", "read", "said"),
    [
        pytest.param(100, 2, "hyperliquid: funding 2 of 10 markets, about 7 min left", id="min"),
        pytest.param(60, 9, "hyperliquid: funding 9 of 10 markets, about 10 s left", id="seconds"),
        pytest.param(6000, 2, "hyperliquid: funding 2 of 10 markets, about 7 h left", id="hours"),
        pytest.param(
            9,
            2,
            "hyperliquid: funding 2 of 10 markets; funding: its pace is known after a minute of it",
            id="unknown",
        ),
        pytest.param(100, 10, "hyperliquid: funding 10 of 10 markets", id="ready"),
    ],
)
def test_it_is_said_in_a_sentence(at_s: float, read: int, said: str) -> None:
    """As the page and the status command print it."""
    desk = progress(Desk().at(at_s), read)
    desk.evaluate()
    (row,) = history_rows(desk.engine, desk.now)
    assert row["text"] == said
    assert row["ready"] is (read == 10)
    assert row["kinds"] == {"funding": {"known": read, "wanted": 10}}
