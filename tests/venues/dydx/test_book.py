"""The order book: absolute sizes, crossed levels, the touch, depth that is never cut off."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.errors import DecodeError
from monitor.venues.dydx.book import Book, Top
from monitor.venues.dydx.decode import decode_frame
from tests.venues.dydx.wire_talk import frame

Level = tuple[float, float]


def book(bids: list[Level], asks: list[Level], clock: int = 1) -> Book:
    """A book as its snapshot told it."""
    return Book.of(bids, asks, clock)


@pytest.mark.parametrize(
    ("bids", "asks", "top"),
    [
        pytest.param([(100.0, 5.0)], [], (100.0, 5.0, 101.0, 2.0), id="a size is absolute"),
        pytest.param([(100.0, 0.0)], [], (99.0, 3.0, 101.0, 2.0), id="zero removes the best"),
        pytest.param([(98.0, 0.0)], [], (100.0, 1.0, 101.0, 2.0), id="zero of nothing is nothing"),
        pytest.param([(100.5, 4.0)], [], (100.5, 4.0, 101.0, 2.0), id="a better bid leads"),
        pytest.param([], [(100.8, 4.0)], (100.0, 1.0, 100.8, 4.0), id="a better ask leads"),
        pytest.param([], [(101.0, 0.0)], (100.0, 1.0, None, None), id="an empty side has nobody"),
    ],
)
def test_updates(bids: list[Level], asks: list[Level], top: Top) -> None:
    """What each update makes of bids 100 x 1, 99 x 3 and ask 101 x 2."""
    made = book([(100.0, 1.0), (99.0, 3.0)], [(101.0, 2.0)])
    made.apply(bids, asks, 2)
    assert made.top() == top


@pytest.mark.parametrize(
    ("bids", "asks", "clock", "top"),
    [
        pytest.param([(101.5, 1.0)], [], 2, (101.5, 1.0, 102.0, 5.0), id="the older ask is stale"),
        pytest.param([], [(99.5, 1.0)], 2, (99.0, 3.0, 99.5, 1.0), id="the older bid is stale"),
        pytest.param([(101.0, 1.0)], [], 2, (101.0, 1.0, 102.0, 5.0), id="equal prices cross"),
        pytest.param([(102.5, 1.0)], [], 2, (102.5, 1.0, None, None), id="through the whole side"),
        pytest.param([(101.0, 5.0)], [(101.0, 2.0)], 2, (101.0, 3.0, 102.0, 5.0),
                     id="of one message the bid is left with the rest"),
        pytest.param([(101.0, 2.0)], [(101.0, 5.0)], 2, (100.0, 1.0, 101.0, 3.0),
                     id="of one message the ask is left with the rest"),
        pytest.param([(101.0, 2.0)], [(101.0, 2.0)], 2, (100.0, 1.0, 102.0, 5.0),
                     id="of one message and size both are gone"),
    ],
)  # fmt: skip
def test_crossed_books_are_uncrossed_by_message_id(
    bids: list[Level], asks: list[Level], clock: int, top: Top
) -> None:
    """Validators disagree for seconds; the side with the older message id gives way."""
    made = book([(100.0, 1.0), (99.0, 3.0)], [(101.0, 2.0), (102.0, 5.0)])
    made.apply(bids, asks, clock)
    assert made.top() == top


def test_a_crossed_snapshot_is_netted() -> None:
    """All levels of a snapshot bear one id."""
    assert book([(101.0, 3.0)], [(100.0, 1.0)]).top() == (101.0, 2.0, None, None)


@pytest.mark.parametrize(
    ("price", "size"),
    [
        pytest.param("0", "1", id="price of zero"),
        pytest.param("-1", "1", id="negative price"),
        pytest.param("NaN", "1", id="price that is no number"),
        pytest.param("inf", "1", id="infinite price"),
        pytest.param("", "1", id="empty price"),
        pytest.param("100", "-1", id="negative size"),
        pytest.param("100", "nan", id="size that is no number"),
    ],
)
@pytest.mark.parametrize("side", ["bids", "asks"])
def test_senseless_levels_are_refused(side: str, price: str, size: str) -> None:
    """Before they reach the book, from a snapshot and from an update."""
    snapshot = frame(
        "subscribed", 1, "v4_orderbook", "X", contents={side: [{"price": price, "size": size}]}
    )
    update = frame("channel_data", 1, "v4_orderbook", "X", contents={side: [[price, size]]})
    with pytest.raises(DecodeError):
        decode_frame(snapshot)
    with pytest.raises(DecodeError):
        decode_frame(update)


def test_depth_counts_the_band_and_no_more() -> None:
    """25 bp of a mid of 100: levels at the edge count, levels past it do not."""
    made = book(
        [(99.99, 1.0), (99.75, 2.0), (99.74, 100.0)],
        [(100.01, 1.0), (100.25, 2.0), (100.26, 100.0)],
    )
    bid_usd, ask_usd = made.depth(0.0025)
    assert bid_usd == pytest.approx(99.99 + 2 * 99.75)
    assert ask_usd == pytest.approx(100.01 + 2 * 100.25)


def _ladder(best: float, step: float, count: int) -> list[Level]:
    return [(best + step * index, 1.0) for index in range(count)]


@pytest.mark.parametrize(
    ("count", "known"),
    [
        pytest.param(99, True, id="fewer than 100 levels are the whole side"),
        pytest.param(100, False, id="100 levels were cut off short of the band"),
    ],
)
def test_depth_is_absent_where_the_snapshot_does_not_reach(count: int, known: bool) -> None:
    """A cut-off sum would look like a thin book."""
    made = book(_ladder(89_999.0, -1.0, count), _ladder(90_001.0, 1.0, count))
    bid_usd, ask_usd = made.depth(0.0025)  # the band is 225 wide, the ladder 100
    assert (bid_usd is not None, ask_usd is not None) == (known, known)


def test_depth_beyond_the_snapshot_stays_absent_whatever_updates_name() -> None:
    """One far level told by an update does not make the levels between known."""
    made = book(_ladder(89_999.0, -1.0, 100), _ladder(90_001.0, 1.0, 100))
    made.apply([(80_000.0, 1.0)], [], 2)
    assert made.depth(0.0025) == (None, None)


def test_depth_of_a_one_sided_book() -> None:
    """Without a mid there is no band to sum the one side over; on the other nobody stands. With
    nobody on either side nothing is said."""
    assert book([(100.0, 1.0)], []).depth(0.0025) == (None, 0.0)
    assert book([], [(100.0, 1.0)]).depth(0.0025) == (0.0, None)
    assert book([], []).depth(0.0025) == (None, None)


def test_a_side_that_is_gone_as_far_as_it_was_seen_is_unknown() -> None:
    """A hundred levels were pulled; what lay below them nobody saw, so a new snapshot is due."""
    bids = _ladder(89_999.0, -1.0, 100)
    made = book(bids, _ladder(90_001.0, 1.0, 50))
    assert made.sees(0.001)
    made.apply([(price, 0.0) for price, _ in bids], [], 2)
    assert made.depth(0.0025) == (None, None)
    assert not made.sees(0.001)
    whole = book(bids[:99], _ladder(90_001.0, 1.0, 50))
    whole.apply([(price, 0.0) for price, _ in bids[:99]], [], 2)
    assert whole.depth(0.0025) == (0.0, None)
    assert whole.sees(0.001)


@pytest.mark.parametrize(
    ("bids", "asks"),
    [
        pytest.param([], [(90.0, 1.0)], id="an offer below every bid"),
        pytest.param([(110.0, 1.0)], [], id="a bid above every offer"),
    ],
)
def test_a_side_that_was_uncrossed_away_is_unknown(
    bids: list[tuple[float, float]], asks: list[tuple[float, float]]
) -> None:
    """The venue did not say that its levels are gone: no zero, and a new snapshot is due."""
    made = book(_ladder(100.0, -1.0, 5), _ladder(101.0, 1.0, 5))
    made.apply(bids, asks, 2)
    assert made.depth(0.0025) == (None, None)
    assert not made.sees(0.0025)


def test_depth_of_levels_outside_the_band_is_zero_and_a_float() -> None:
    """Nobody stands near: a fact, told as a number of USD."""
    usd = book([(90.0, 1.0)], [(110.0, 1.0)]).depth(0.0025)
    assert usd == (0.0, 0.0)
    assert [type(side) for side in usd] == [float, float]


@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.integers(90, 110), st.integers(0, 3)), max_size=4),
            st.lists(st.tuples(st.integers(90, 110), st.integers(0, 3)), max_size=4),
        ),
        max_size=30,
    )
)
def test_touch_is_always_the_best_of_the_levels(
    updates: list[tuple[list[tuple[int, int]], list[tuple[int, int]]]],
) -> None:
    """Levels stay in order, each once, uncrossed; a touch that changed is announced."""
    made = Book()
    for clock, (bids, asks) in enumerate(updates):
        before = made.top()
        hit = made.bids.apply([(float(p), float(s)) for p, s in bids], clock, True)
        hit |= made.asks.apply([(float(p), float(s)) for p, s in asks], clock, False)
        if hit:
            made.uncross()
        bid, bid_size, ask, ask_size = made.top()
        assert hit or made.top() == before
        assert bid == max(made.bids.prices[:-1], default=None)
        assert ask == min(made.asks.prices[:-1], default=None)
        assert bid is None or ask is None or bid < ask
        assert (bid is None) == (bid_size is None)
        assert (ask is None) == (ask_size is None)
        for side in (made.bids, made.asks):
            assert list(side.prices) == sorted(set(side.prices))
            assert len(side.prices) - 1 == len(side.sizes) == len(side.clocks)
            assert all(size > 0.0 for size in side.sizes)


@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.integers(80, 99), st.integers(0, 3)), max_size=5),
            st.lists(st.tuples(st.integers(101, 120), st.integers(0, 3)), max_size=5),
        ),
        max_size=30,
    )
)
def test_levels_are_those_last_told(
    updates: list[tuple[list[tuple[int, int]], list[tuple[int, int]]]],
) -> None:
    """Where nothing crosses, the newest size of every price, and none of size zero."""
    made = Book()
    told: tuple[dict[float, float], dict[float, float]] = ({}, {})
    for clock, sides in enumerate(updates):
        levels = [[(float(p), float(s)) for p, s in side] for side in sides]
        made.apply(levels[0], levels[1], clock)
        for known, side in zip(told, levels, strict=True):
            known.update(side)
    for known, kept in zip(told, (made.bids, made.asks), strict=True):
        expected = sorted((price, size) for price, size in known.items() if size)
        assert list(zip(kept.prices[:-1], kept.sizes, strict=True)) == expected
