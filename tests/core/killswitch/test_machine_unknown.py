"""A scope in which nothing is known, and a cut that a HALT keeps from being done: both are said."""

from __future__ import annotations

import msgspec
import pytest

from monitor.core.killswitch.book import Book
from monitor.core.killswitch.facts import ReadAccount
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.words import NOTHING_KNOWN
from monitor.core.types import PORTFOLIO, Subject, asset_subject
from tests.core.killswitch.kill_desk import DYDX, HL, SIDE, World


class EmptyWorld(World):
    """A desk of whose accounts nothing is known until ``known``."""

    known = False

    def book(self) -> Book:
        """No account at first."""
        book = super().book()
        if self.known:
            return book
        return msgspec.structs.replace(book, accounts=(), instruments=(), executable=())


@pytest.mark.parametrize(
    "scope",
    ["venue:hyperliqiud", "account:hyperliquid/mian", "asset:eth", "market:hyperliquid/ETHH"],
)
@pytest.mark.parametrize("level", [Level.HALT, Level.FLATTEN])
def test_a_mistyped_scope_is_latched_and_never_contained(scope: str, level: Level) -> None:
    """The person is told at once what is known, and nothing calms down by itself."""
    world = World().hold(ETH="5")
    step = world.pull(level, Subject(scope))
    assert f"{NOTHING_KNOWN}; known: account:dydx/main, account:hyperliquid/main, asset:ETH" in (
        step.answer
    )
    world.run(300)
    assert world.stage(Subject(scope)) == "tripped"
    assert world.latch(Subject(scope)).level is level
    assert NOTHING_KNOWN in world.notices[-1].summary
    assert "contained" not in [
        notice.summary.rsplit(" ", 1)[-1].lower() for notice in world.notices
    ]
    assert world.sizes() == {"ETH": "5"}
    world.rearm(Subject(scope))
    assert not world.machine.state.latches


@pytest.mark.parametrize("level", [Level.REDUCE_ONLY, Level.FLATTEN])
def test_an_empty_book_is_looked_at_until_something_is_known(level: Level) -> None:
    """Before the feeds have told anything: latched, not contained, and worked at the first."""
    world = EmptyWorld().hold(ETH="5")
    step = world.pull(level)
    assert (world.stage(), step.wake_at_ns is not None) == ("tripped", True)
    assert "nothing yet" in step.answer
    world.run(60)
    assert world.stage() == "tripped"
    world.known = True
    world.run(120)
    assert world.stage() == "contained"
    assert world.sent(ReadAccount)
    assert NOTHING_KNOWN not in world.notices[-1].description


def test_what_a_trip_took_away_itself_stays_known() -> None:
    """After a flatten nothing of the asset is left, and the trip is contained all the same."""
    world = World().hold(ETH="5", BTC="1")
    world.pull(Level.FLATTEN, asset_subject("ETH"))
    world.run(120)
    assert (world.sizes(), world.stage(asset_subject("ETH"))) == ({"BTC": "1"}, "contained")


def test_a_cut_under_a_halt_is_said_not_to_be_carried_out() -> None:
    """In the answer and in the audit; the level stays, positions too."""
    world = World().hold(BTC="1")
    assert "NOT carried out" not in world.pull(Level.HALT).answer
    step = world.pull(Level.CUT, gross_to=0.5, pull_id="pull-2")
    assert "The CUT that was asked for is NOT carried out" in step.answer
    assert ("not_carried_out", "CUT under HALT") in step.audit[0].details
    world.run(60)
    assert (world.sizes(), world.latch().level) == ({"BTC": "1"}, Level.HALT)


def test_a_cut_that_acts_says_nothing_of_the_kind() -> None:
    """Below HALT a cut is done."""
    world = World().hold(BTC="1")
    world.pull(Level.REDUCE_ONLY)
    assert "NOT" not in world.pull(Level.CUT, PORTFOLIO, gross_to=0.5, pull_id="pull-2").answer


LISTED = frozenset({(HL, "ETH", "ETH"), (HL, "SOL", "SOL"), (DYDX, "SOL-USD", "SOL")})


@pytest.mark.parametrize("scope", ["asset:SOL", "market:hyperliquid/SOL", "market:dydx/SOL-USD"])
@pytest.mark.parametrize("level", [Level.REDUCE_ONLY, Level.CUT, Level.HALT, Level.FLATTEN])
def test_a_market_in_which_nothing_is_held_is_contained_by_venue_data(
    scope: str, level: Level
) -> None:
    """Every account that could hold it is read, and each lists nothing of it."""
    world = World().hold(ETH="5")
    world.markets = LISTED
    step = world.pull(level, Subject(scope), gross_to=0.5 if level is Level.CUT else None)
    assert NOTHING_KNOWN not in step.answer
    assert world.stage(Subject(scope)) != "contained", "before anything was read"
    world.run(60)
    assert world.stage(Subject(scope)) == "contained"
    assert world.sent(ReadAccount)
    assert "CONTAINED" in world.notices[-1].summary
    assert world.sizes() == {"ETH": "5"}


@pytest.mark.parametrize(
    ("scope", "stage"),
    [
        pytest.param("asset:SOLL", "tripped", id="an asset that nobody lists"),
        pytest.param("market:hyperliquid/SOLL", "tripped", id="a market that nobody lists"),
        pytest.param("market:dydx/SOL", "tripped", id="listed at another venue only"),
        pytest.param("asset:SOL", "contained", id="listed"),
    ],
)
def test_only_what_a_venue_lists_can_be_empty(scope: str, stage: str) -> None:
    """The other side of it: a mistyped name stays a page."""
    world = World().hold(ETH="5")
    world.markets = LISTED
    world.pull(Level.HALT, Subject(scope))
    world.run(60)
    assert world.stage(Subject(scope)) == stage


def test_a_market_that_an_unread_account_may_hold_is_not_contained() -> None:
    """One venue does not answer: that nothing is held there, nobody can say."""
    world = World().hold(ETH="5")
    world.markets = LISTED
    world.slow = {SIDE}
    world.pull(Level.HALT, asset_subject("SOL"))
    world.run(300)
    assert world.stage(asset_subject("SOL")) == "incomplete"
