"""Orders and trades against the slice that a book takes: a tenth of what rests within 25 bp."""

from __future__ import annotations

import pytest

from monitor.core import events as e
from monitor.core.measures.slices import SLICES_MAX, count_slices
from monitor.core.measures.trade_case import Answer
from tests.core.desk import HL, MAIN, Desk
from tests.core.test_orders import BUY, SELL, book, order, stop, working
from tests.core.test_trade_check import ask, kept

RATIO = "order_of_slice_ratio"
GO, LOOK, NO = Answer.GO, Answer.LOOK, Answer.NO


def deep(desk: Desk, bid: float | None, ask_usd: float | None, market: str = "BTC") -> Desk:
    """What rests within 25 bp."""
    return desk.tell(
        e.DepthSeen(
            venue=HL,
            channel=f"{HL}/depth/{market}",
            market=market,
            band_ratio=0.0025,
            bid_depth_usd=bid,
            ask_depth_usd=ask_usd,
        )
    )


@pytest.mark.parametrize(
    ("orders", "ratio"),
    [
        pytest.param([], 0.0, id="no order"),
        pytest.param([order(BUY, 10)], 1.0, id="a tenth of the offers"),
        pytest.param([order(BUY, 11)], 1.1, id="more than a tenth"),
        pytest.param([order(SELL, 10)], 0.5, id="of the bids, which are twice as deep"),
        pytest.param([order(SELL, 1), order(BUY, 12)], 1.2, id="the largest counts"),
        pytest.param([order(BUY, 6), order(BUY, 7)], 0.7, id="orders are not added up"),
        pytest.param([stop(SELL, 30, 96.0)], 1.5, id="a stop is met in one go"),
        pytest.param([stop(SELL, 0, 96.0)], 2.5, id="a stop for the whole position of 50"),
    ],
)
def test_largest_order_over_a_slice(orders: list[e.OrderReport], ratio: float) -> None:
    """10 000 USD of offers and 20 000 of bids at a price of 100."""
    desk = deep(book(50.0), 20_000.0, 10_000.0)
    assert working(desk, *orders).after(RATIO, MAIN) == pytest.approx(ratio)


def test_an_unknown_book_is_no_deep_one() -> None:
    """Of a market that has an order; and one without bids takes nothing."""
    desk = working(book(), order(SELL, 1))
    assert desk.after(RATIO, MAIN) is None
    assert "depth of BTC" in desk.why(RATIO, MAIN)
    assert deep(desk, None, 1e6).at(5).after(RATIO, MAIN) is None
    assert "25 bp" in desk.why(RATIO, MAIN)
    assert deep(desk, 0.0, 1e6).at(10).after(RATIO, MAIN) == SLICES_MAX
    assert count_slices(1.0, 0.0, 0.1) == SLICES_MAX


@pytest.mark.parametrize(
    ("terms", "trade", "answer", "said"),
    [
        pytest.param({}, (1, 1_000.0), GO, "at once", id="a tenth of the book"),
        pytest.param({}, (1, 1_001.0), LOOK, "2 slices of at most 1000", id="more than a tenth"),
        pytest.param({}, (1, 10_000.0), LOOK, "10 slices", id="all of the book"),
        pytest.param({}, (1, 10_001.0), NO, "11 slices", id="more than the book"),
        pytest.param(
            {"held": 20_000.0}, (-1, 15_000.0), LOOK, "15 slices", id="reducing is sliced"
        ),
        pytest.param({"held": 5_000.0}, (-1, 15_000.0), NO, "15 slices", id="a flip is new risk"),
        pytest.param({"depth": 0.0}, (1, 1.0), NO, "nothing rests there", id="no book at all"),
        pytest.param({"depth": None}, (1, 1.0), LOOK, "unknown", id="an unknown book"),
    ],
)
def test_a_trade_is_sliced_or_refused(
    terms: dict[str, float], trade: tuple[int, float], answer: Answer, said: str
) -> None:
    """A million within 25 bp at a price of 100."""
    found = ask(kept(tuple(terms.items())), *trade)["slices"]
    assert found.answer is answer
    assert said in found.text
