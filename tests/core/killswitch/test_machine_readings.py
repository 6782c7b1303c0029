"""Two sources disagree about one account: the smaller of the same side is cut, on opposite sides
nothing is, and in no case is a goal met by the reading that flatters."""

from __future__ import annotations

import msgspec
import pytest

from monitor.core.killswitch.facts import PlaceOrders
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.planner import plan_cut
from monitor.core.types import SECOND_NS, Side, venue_subject
from tests.core.killswitch.kill_desk import ARMED, HL, MAIN, PRICES, START_NS, World

SCOPE = venue_subject(HL)


WHOLE = msgspec.structs.replace(ARMED, max_cost_bps=1_000.0)  # no slices


def desk() -> World:
    """A hundred and forty thousand dollars at one venue."""
    return World(WHOLE, plan_cut).hold(BTC="1", ETH="10")


def differ(world: World, **feeds: str) -> World:
    """From now on the feeds say something else than the venue's own list."""
    world.feeds[MAIN] = {"ETH": "10"} | feeds
    return world


def gross_usd(world: World) -> float:
    """What is really held."""
    return sum(abs(float(size)) * PRICES[market] for market, size in world.sizes().items())


def first_orders(world: World) -> dict[str, str]:
    """Sizes of the first round."""
    command = world.sent(PlaceOrders)[0]
    return {one.market: f"{one.size.normalize():f}" for one in command.orders}


@pytest.mark.parametrize(
    ("feeds", "btc"),
    [
        pytest.param(None, "1", id="agreed"),
        pytest.param({"BTC": "0.6"}, "0.6", id="feeds-smaller"),
        pytest.param({"BTC": "1.5"}, "1", id="feeds-larger"),
        pytest.param({}, "1", id="absent-from-the-feeds"),
    ],
)
def test_the_first_round_is_sized_by_the_smaller_reading(
    feeds: dict[str, str] | None, btc: str
) -> None:
    """Of the same side; and one source alone is enough to leave by."""
    world = desk()
    world.pull(Level.FLATTEN, SCOPE)
    if feeds is not None:
        differ(world, **feeds)
    world.work()
    assert first_orders(world) == {"BTC": btc, "ETH": "10"}


@pytest.mark.parametrize(
    ("told_s", "btc"),
    [pytest.param(2, "1", id="until-it"), pytest.param(2.001, "0.6", id="since")],
)
def test_feeds_of_before_our_own_last_command_are_the_past(told_s: float, btc: str) -> None:
    """Filled while it was cancelled: what they said until then contradicts nothing."""
    world = desk()
    world.rest("buy", Side.BUY, "0.1")
    world.at(2).pull(Level.FLATTEN, SCOPE)
    differ(world, BTC="0.6")
    world.fed_ns[MAIN] = START_NS + round(told_s * SECOND_NS)
    world.work()
    assert first_orders(world) == {"BTC": btc, "ETH": "10"}


def test_feeds_that_are_old_are_no_second_reading() -> None:
    """What is dark has no say in how much is cut."""
    world = desk()
    world.pull(Level.FLATTEN, SCOPE)
    differ(world, BTC="0.6").dark = (MAIN,)
    world.work()
    assert first_orders(world) == {"BTC": "1", "ETH": "10"}


def test_a_goal_is_not_met_by_the_smaller_reading_alone() -> None:
    """The feeds say 0.2 of 1 and stay so: within the goal by them, not by the venue's own list.
    It is read again, said in time, and contained once the two agree."""
    world = desk()
    world.pull(Level.CUT, SCOPE, gross_to=0.7)
    differ(world, BTC="0.2", ETH="4").run(ARMED.say_within_s - 1)
    assert not world.sent(PlaceOrders)
    assert world.stage(SCOPE) == "verifying"
    world.run(5)
    assert world.stage(SCOPE) == "incomplete"
    assert "two readings disagree on the size of BTC" in world.notices[-1].description
    assert "1 and 0.2" in world.notices[-1].description
    world.feeds.clear()
    world.run(90)
    assert world.stage(SCOPE) == "contained"
    assert gross_usd(world) <= 98_000.0


def test_feeds_that_catch_up_in_time_are_no_news_to_anybody() -> None:
    """A second's lag is neither a page nor a smaller cut in the end."""
    world = desk()
    world.pull(Level.CUT, SCOPE, gross_to=0.5)
    differ(world, BTC="0.2", ETH="4").run(3)
    world.feeds.clear()
    world.run(60)
    assert world.stage(SCOPE) == "contained"
    assert not any("INCOMPLETE" in one.summary for one in world.notices)
    assert 69_000.0 < gross_usd(world) <= 70_000.0


def test_on_opposite_sides_only_orders_are_taken_away_and_it_is_said() -> None:
    """Whatever increases risk by either reading goes; the position stays, and so do its stop and
    the other legs' share: nothing else is cut in its place."""
    world = desk()
    for order_id, side in (("buy", Side.BUY), ("sell", Side.SELL)):
        world.rest(order_id, side, "0.1")
    world.rest("exit", Side.SELL, "0.2", reduce_only=True)
    world.rest("stop", Side.SELL, "1", reduce_only=True, trigger=True)
    world.pull(Level.CUT, SCOPE, gross_to=0.5)
    differ(world, BTC="-1").run(60)
    assert [one.order_id for one in world.orders[MAIN]] == ["exit", "stop"]
    assert world.sizes() == {"BTC": "1", "ETH": "5"}
    assert world.stage(SCOPE) == "incomplete"
    assert "two readings disagree on the side of BTC: 1 and -1" in world.notices[-1].description
    world.feeds.clear()
    world.run(90)
    assert world.stage(SCOPE) == "contained"
    assert 69_000.0 < gross_usd(world) <= 70_000.0


def test_where_sides_agree_an_order_that_reduces_stays() -> None:
    """The other side of the limit: a plain sell below half of a long."""
    world = differ(desk(), BTC="1.5")
    world.rest("sell", Side.SELL, "0.3")
    world.pull(Level.REDUCE_ONLY, SCOPE)
    world.run(60)
    assert [one.order_id for one in world.orders[MAIN]] == ["sell"]
    assert world.stage(SCOPE) == "contained"
