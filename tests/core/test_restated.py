"""What is told again as it was: fresh, but no news, unless somebody counts observations."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from monitor.core import events as e
from monitor.core.engine import RESTATED_NS
from monitor.core.settings import EngineSettings, FreshnessSettings
from monitor.core.state.facts import MarketBit
from monitor.core.state.model import MarketState
from monitor.core.types import SECOND_NS, AlertState, FillKind
from tests.core.desk import BTC, DBTC, DMAIN, DYDX, HL, MAIN, START_NS, Desk

WINDOW_S = RESTATED_NS / SECOND_NS
Tell = Callable[[Desk, float], object]


def context(desk: Desk, price: float) -> None:
    """Hyperliquid's context with one price in it."""
    desk.context(mark_price=price, oracle_price=price)


def top(desk: Desk, price: float) -> None:
    """A book round a price."""
    desk.top(price - 1.0, price + 1.0)


def oracle(desk: Desk, price: float) -> None:
    """dYdX's oracle price."""
    desk.tell(
        e.OraclePricesSeen(venue=DYDX, channel=f"{DYDX}/v4_markets", prices=(("BTC-USD", price),))
    )


KINDS = [
    pytest.param(context, BTC, MarketBit.MARK | MarketBit.ORACLE, id="context"),
    pytest.param(top, BTC, MarketBit.TOP, id="book"),
    pytest.param(oracle, DBTC, MarketBit.ORACLE, id="oracle prices"),
]


def told(tell: Tell) -> Desk:
    """A desk whose market stands at 100 and has been evaluated."""
    desk = Desk().list_market().list_market("BTC-USD", DYDX)
    tell(desk, 100.0)
    desk.evaluate()
    tell(desk, 100.0)  # the first repetition asks; what follows it within the window does not
    desk.evaluate()
    return desk


def market(desk: Desk) -> tuple[MarketState, ...]:
    """Both markets."""
    venues = desk.engine.state.venues
    return venues[HL].markets["BTC"], venues[DYDX].markets["BTC-USD"]


@pytest.mark.parametrize(("tell", "subject", "bits"), KINDS)
@pytest.mark.parametrize(
    ("price", "after_s", "asks"),
    [
        pytest.param(100.0, WINDOW_S * 0.99, False, id="the same at once"),
        pytest.param(100.0, WINDOW_S, True, id="the same after the window"),
        pytest.param(100.5, WINDOW_S * 0.5, True, id="another at once"),
    ],
)
def test_only_news_asks_for_an_evaluation(
    tell: Tell, subject: str, bits: int, price: float, after_s: float, asks: bool
) -> None:
    """A repetition is taken as proof of life and asks for nothing until the window has passed."""
    desk = told(tell).at(after_s)
    tell(desk, price)
    assert desk.engine.state.dirty.get(subject, 0) == (bits if asks else 0)  # type: ignore[call-overload]  # a Subject
    facts = [fact for one in market(desk) for fact in (one.mark, one.oracle, one.top)]
    assert max(fact.seen_ns for fact in facts) == desk.now


@pytest.mark.parametrize(("tell", "subject", "bits"), KINDS)
def test_a_repetition_after_a_gap_is_news(tell: Tell, subject: str, bits: int) -> None:
    """What needs a new message gets one, though it says what was said before the gap."""
    desk = told(tell)
    for venue in (HL, DYDX):
        desk.tell(e.ChannelLost(venue=venue, channel=f"{venue}/", reason="test", gap=True))
    desk.evaluate()
    name = "spread_ratio" if tell is top else "oracle_price"
    assert desk.value(name, subject) is None  # type: ignore[arg-type]  # a Subject
    tell(desk, 100.0)
    assert desk.engine.state.dirty.get(subject, 0) == bits  # type: ignore[call-overload]  # a Subject
    assert desk.after(name, subject) is not None  # type: ignore[arg-type]  # a Subject


def test_a_repetition_over_another_channel_is_news() -> None:
    """The fact hangs on that channel from now on."""
    desk = told(context)
    desk.tell(
        e.MarketContextSeen(venue=HL, channel=f"{HL}/all", market="BTC", mark_price=100.0),
    )
    assert desk.engine.state.dirty == {BTC: MarketBit.MARK}
    assert market(desk)[0].mark.channel == f"{HL}/all"


def test_a_tighter_limit_narrows_the_window() -> None:
    """A repetition may have to make a fact known again that went too old meanwhile."""
    tight = FreshnessSettings(mark_majors_s=0.01)
    rules = CONFIRMED.replace("{need: 4, of: 4, apart: 10ms}", "{need: 1, of: 1}")
    desk = Desk(settings=EngineSettings(freshness=tight), rules=rules).list_market()
    context(desk, 100.0)
    desk.evaluate()
    context(desk, 100.0)
    desk.evaluate()
    assert desk.at(0.02).after("mark_price") is None
    desk.engine.state.heeds_all = False  # the rule, which knows nothing now, would see to it too
    context(desk, 100.0)
    assert desk.after("mark_price") == 100.0


CONFIRMED = """
- id: mark_low
  for_each: market
  when: mark_price < 90.0
  confirm: {need: 4, of: 4, apart: 10ms}
  severity: warning
  do: {level: page}
  scope: market
  mode: act
  summary: Mark is low
"""


def test_observations_are_counted_though_nothing_changes() -> None:
    """While a rule waits for confirmation every repetition asks, and is one more look."""
    desk = Desk(rules=CONFIRMED).list_market()
    context(desk, 80.0)
    desk.evaluate()
    seen = []
    for number in range(1, 4):
        desk.at(number * 0.011)
        context(desk, 80.0)
        seen += [(number, t.after) for t in desk.evaluate().transitions]
    assert seen == [(3, AlertState.FIRING)]
    assert not desk.engine.state.heeds_all  # nobody counts any more


def test_oracle_prices_are_judged_one_by_one() -> None:
    """A jump among them is suspect, the others are believed; as if each had come by itself."""
    together, apart = Desk(), Desk()
    for desk in (together, apart):
        for name in ("BTC-USD", "ETH-USD", "SOL-USD"):
            desk.list_market(name, DYDX)
    said = (
        {"BTC-USD": 100.0, "ETH-USD": 10.0, "SOL-USD": 1.0},
        {"BTC-USD": 101.0, "ETH-USD": 20.0, "SOL-USD": -1.0},
        {"BTC-USD": 101.0, "ETH-USD": 20.1},
        {"SOL-USD": float("nan"), "NEW-USD": 7.0},
    )
    for second, prices in enumerate(said):
        together.at(second).tell(
            e.OraclePricesSeen(
                venue=DYDX, channel=f"{DYDX}/v4_markets", prices=tuple(prices.items())
            )
        )
        for name, price in prices.items():
            apart.at(second).context(name, DYDX, oracle_price=price)
    kept = [
        {name: one.oracle for name, one in desk.engine.state.venues[DYDX].markets.items()}
        for desk in (together, apart)
    ]
    assert kept[0] == kept[1]
    assert {name: fact.value for name, fact in kept[0].items()} == {
        "BTC-USD": 101.0,
        "ETH-USD": 20.1,
        "SOL-USD": None,
        "NEW-USD": 7.0,
    }
    assert together.engine.state.suspects_total == apart.engine.state.suspects_total > 0


# ------------------------------------------------------------------------------------ accounts


def hold(desk: Desk, size: str, **fields: object) -> None:
    """A complete push of one position."""
    time_s = (desk.now - START_NS) / SECOND_NS
    desk.positions(("BTC", size), time_s=time_s, **{"leverage": 5.0} | fields)  # type: ignore[arg-type]  # of the report


@pytest.mark.parametrize(
    ("second", "between", "size"),
    [
        pytest.param("2", None, 2.0, id="told again"),
        pytest.param("2", "truth", 2.0, id="told again after truth agreed"),
        pytest.param("2", "other truth", 2.0, id="told again after truth said otherwise"),
        pytest.param("3", None, 3.0, id="changed"),
    ],
)
def test_a_position_told_again_is_ordered_like_any_other(
    second: str, between: str | None, size: float
) -> None:
    """It carries its time: what is older than the repetition is refused."""
    desk = Desk((HL, "main")).list_market()
    context(desk, 100.0)
    hold(desk, "2")
    if between:
        held = "2" if between == "truth" else "7"
        desk.at(1).positions(("BTC", held), source="truth", time_s=1.0)
    desk.at(2)
    hold(desk, second)
    position = desk.engine.state.venues[HL].accounts["main"].positions["BTC"]
    assert position.size == size
    assert position.as_of_ns == position.stream_as_of_ns == desk.ns(2)
    desk.at(3).positions(("BTC", "9"), source="truth", time_s=1.5)
    assert position.size == size


def test_a_position_told_again_out_of_order_proves_nothing() -> None:
    """An old push that says what is believed does not make it current."""
    desk = Desk((HL, "main")).list_market()
    context(desk, 100.0)
    desk.at(5)
    hold(desk, "2")
    position = desk.engine.state.venues[HL].accounts["main"].positions["BTC"]
    desk.at(6).positions(("BTC", "2"), time_s=4.0, leverage=5.0)
    assert position.as_of_ns == desk.ns(5)
    assert desk.engine.state.venues[HL].accounts["main"].positions_stream.seen_ns == desk.ns(5)


def test_both_sources_are_heard_though_they_say_the_same() -> None:
    """A repetition is a statement of the source that made it, and of no other."""
    desk = Desk((HL, "main")).list_market()
    context(desk, 100.0)
    hold(desk, "2")
    position = desk.engine.state.venues[HL].accounts["main"].positions["BTC"]
    desk.at(1).positions(("BTC", "2"), source="truth", time_s=1.0, leverage=5.0)
    assert (position.truth_size, position.truth_as_of_ns) == (2.0, desk.ns(1))
    assert position.stream_as_of_ns == desk.ns(0)
    desk.at(3).positions(("BTC", "7"), source="truth", time_s=3.0, leverage=5.0)
    assert position.difference_ratio > 0.0
    desk.at(4)
    hold(desk, "7")
    assert (position.stream_size, position.difference_ratio) == (7.0, 0.0)


def test_a_push_older_than_truth_that_says_the_same_is_still_older() -> None:
    """The stream was overtaken: what it says is of before."""
    desk = Desk((HL, "main")).list_market()
    context(desk, 100.0)
    hold(desk, "2")
    desk.at(3).positions(("BTC", "2"), source="truth", time_s=3.0, leverage=5.0)
    desk.at(4).positions(("BTC", "2"), time_s=2.0, leverage=5.0)
    account = desk.engine.state.venues[HL].accounts["main"]
    assert account.positions["BTC"].as_of_ns == desk.ns(3)
    assert account.positions_stream.seen_ns == desk.ns(0)


def test_what_a_complete_push_leaves_out_is_closed() -> None:
    """Though it lists as many positions as are known."""
    desk = Desk((HL, "main")).list_market().list_market("ETH")
    context(desk, 100.0)
    hold(desk, "2")
    desk.at(1).positions(("ETH", "0"), time_s=1.0)
    assert desk.engine.state.venues[HL].accounts["main"].positions["BTC"].size == 0.0


def test_an_ordinary_fill_asks_for_nothing() -> None:
    """Only that fills are heard of at all, and forced ones, are news."""
    desk = Desk((HL, "main"))

    def fill(name: str, kind: FillKind) -> bool:
        desk.evaluate()
        desk.tell(
            e.FillsReported(
                venue=HL,
                channel=f"{HL}/userFills/main",
                account="main",
                history=False,
                fills=(
                    e.FillReport(
                        fill_id=name,
                        market="BTC",
                        size=Decimal(1),
                        price=Decimal(1),
                        time_ns=desk.now,
                        kind=kind,
                    ),
                ),
            )
        )
        return MAIN in desk.engine.state.dirty

    assert fill("a", FillKind.TRADE)  # the first
    assert not fill("b", FillKind.TRADE)
    assert fill("c", FillKind.LIQUIDATION)
    assert not fill("d", FillKind.TRADE)
    assert desk.after("liquidations_24h", MAIN) == 1.0
    desk.at(10.0)
    assert not fill("e", FillKind.TRADE)
    desk.at(20.001)
    assert fill("f", FillKind.TRADE)  # after a silence it says that fills are told at all
    desk.evaluate()
    desk.lose(f"{HL}/userFills/main", gap=True)
    assert fill("g", FillKind.TRADE)


def test_open_interest_values_positions_only_where_margin_scales_with_it() -> None:
    """It changes with every trade; caps may be told at any time."""
    desk = Desk((DYDX, "main")).list_market("BTC-USD", DYDX)
    desk.context("BTC-USD", DYDX, oracle_price=100.0, open_interest_base=10.0)
    desk.positions(("BTC-USD", 1), venue=DYDX, source="truth").evaluate()
    valued = desk.engine.state.cells[f"_holdings|{DMAIN}"]
    for second, caps, asks in ((1, None, False), (2, (1.0, 1e9), True), (4, None, False)):
        desk.at(second).list_market("BTC-USD", DYDX, caps=caps).evaluate()
        desk.at(second + 1).context("BTC-USD", DYDX, open_interest_base=10.0 + second)
        desk.evaluate()
        assert (valued.computed_ns == desk.now) is asks
