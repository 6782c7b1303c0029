"""The way back after a cut: a tenth a day of the gross there was, told and not enforced."""

from __future__ import annotations

import msgspec
import pytest

from monitor.core.killswitch.book import Book
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.restore import more_restrictive
from monitor.core.killswitch.state import unpack
from monitor.core.types import PORTFOLIO
from tests.core.killswitch.kill_desk import World

DAY_S = 86_400.0


def rearmed(gross_to: float = 0.70) -> World:
    """2 BTC at 100,000 USD, cut, over and armed again."""
    world = World().hold(BTC="2")
    world.ask(gross_to=gross_to)
    world.run(60)
    world.end()
    assert "armed again" in world.rearm().answer
    return world


def told(world: World) -> dict[str, float]:
    """What the desk reads."""
    return dict(world.machine.trading_state(world.now).gross_max_usd)


@pytest.mark.parametrize(
    ("days", "usd"),
    [
        pytest.param(0.0, 140_000.0, id="nothing more at once"),
        pytest.param(0.5, 150_000.0, id="a twentieth after half a day"),
        pytest.param(1.0, 160_000.0, id="a tenth of what it was a day"),
        pytest.param(2.9, 198_000.0, id="nearly all of it"),
    ],
)
def test_gross_may_come_back_by_a_tenth_a_day(days: float, usd: float) -> None:
    """Of what it was before the cut, not of what is left."""
    world = rearmed()
    world.run(days * DAY_S)
    assert told(world) == {PORTFOLIO: pytest.approx(usd, rel=1e-3)}
    assert world.machine.trading_state(world.now).trading.value == "ACTIVE"


def test_the_way_back_ends_where_the_cut_began() -> None:
    """Then there is nothing left to tell, nor to keep."""
    world = rearmed()
    world.run(3.1 * DAY_S)
    assert told(world) == {}
    world.run(1.0)
    assert world.machine.state.regrowth == {}


def test_the_person_who_rearms_is_told() -> None:
    """With both numbers."""
    world = World().hold(BTC="2")
    world.ask()
    world.run(60)
    world.end()
    answer = world.rearm().answer
    assert "Gross is $140k; let it come back by no more than a tenth of $200k a day" in answer


def test_it_survives_a_restart_and_the_loss_of_the_newer_record() -> None:
    """As everything that holds the desk back does."""
    world = rearmed()
    before = told(world)
    older = world.machine.packed()
    world.restart()
    assert told(world) == before
    merged = unpack(more_restrictive(World().machine.packed(), older))
    assert set(merged.regrowth) == {PORTFOLIO}


def test_a_new_trip_takes_its_place() -> None:
    """What is latched is not growing."""
    world = rearmed()
    world.pull(Level.REDUCE_ONLY)
    assert told(world) == {}
    assert world.machine.state.regrowth == {}


def test_where_nothing_was_cut_there_is_no_way_to_go() -> None:
    """A block is over when it is over."""
    world = World().hold(BTC="2")
    world.pull(Level.REDUCE_ONLY)
    world.run(60)
    assert "tenth" not in world.rearm().answer
    assert told(world) == {}


def test_where_something_has_no_price_there_is_no_number_to_tell() -> None:
    """What it is worth is not known, and not nothing."""

    class Unpriced(World):
        """Nobody prices ETH any more, once ``lost``."""

        lost = False

        def book(self) -> Book:
            book = super().book()
            quotes = (one for one in book.quotes if one.market != "ETH")
            return msgspec.structs.replace(book, quotes=tuple(quotes)) if self.lost else book

    world = Unpriced().hold(BTC="1", ETH="25")
    world.ask()
    world.run(60)
    world.end()
    world.lost = True
    assert "tenth" not in world.rearm().answer
    assert told(world) == {}
