"""What has to be known before an account is contained: positions, orders and TWAPs of after the
last action. What is listed has to go all the same; what is not proved is named."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core.killswitch.book import Look, WorkingOrder
from monitor.core.killswitch.facts import (
    AccountRead,
    CancelOrders,
    Command,
    KillFact,
    ReadAccount,
)
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.policy import KillPolicy
from monitor.core.types import SECOND_NS, EngineNs, Side, venue_subject
from tests.core.killswitch.kill_desk import ARMED, HL, MAIN, SIDE, START_NS, World

SCOPE = venue_subject(HL)
BEFORE, AT, AFTER = START_NS - 1, START_NS, START_NS + 1


def contained(world: World) -> bool:
    """Whether anybody was ever told so."""
    return any("CONTAINED" in one.summary for one in world.notices)


@pytest.mark.parametrize(
    ("orders_ns", "twaps_ns", "words"),
    [
        pytest.param(AT, AT, "", id="both-of-the-trip"),
        pytest.param(AFTER, AFTER, "", id="both-after-it"),
        pytest.param(BEFORE, AFTER, "its working orders were last read before", id="orders-old"),
        pytest.param(None, AFTER, "its working orders are not known", id="orders-unknown"),
        pytest.param(AFTER, BEFORE, "its TWAPs were last read before", id="twaps-old"),
        pytest.param(AFTER, None, "its TWAPs are not known", id="twaps-unknown"),
    ],
)
def test_what_other_hands_did_is_contained_only_by_lists_of_after_the_trip(
    orders_ns: EngineNs | None, twaps_ns: EngineNs | None, words: str
) -> None:
    """Positions alone prove nothing: an order that nobody looked for fills tomorrow."""
    world = World(executable=(SIDE,)).hold(BTC="1")
    world.listed[MAIN] = (orders_ns, twaps_ns)
    world.pull(Level.REDUCE_ONLY, SCOPE)
    world.run(60)
    assert world.stage(SCOPE) == ("incomplete" if words else "contained")
    assert contained(world) is not bool(words)
    assert words in world.notices[-1].description
    if words:
        assert "by hand" in world.notices[-1].description
        now = world.now + 5 * SECOND_NS
        world.listed[MAIN] = (now, now)
        world.run(10)
        assert world.stage(SCOPE) == "contained"


@pytest.mark.parametrize(
    ("side", "reduce_only", "stage"),
    [
        pytest.param(Side.BUY, False, "incomplete", id="increases"),
        pytest.param(Side.SELL, True, "contained", id="reduces-only"),
    ],
)
def test_a_running_twap_keeps_an_account_of_other_hands_open(
    side: Side, reduce_only: bool, stage: str
) -> None:
    """One that buys more of what is held is left to cancel; one that can only reduce is not."""
    world = World(executable=(SIDE,)).hold(BTC="1")
    world.rest("7", side, "0.5", twap=True, reduce_only=reduce_only)
    world.pull(Level.REDUCE_ONLY, SCOPE)
    world.run(60)
    assert world.stage(SCOPE) == stage
    assert ("1 order(s) to cancel" in world.notices[-1].description) is (stage == "incomplete")


def feed_read(policy: KillPolicy = ARMED) -> World:
    """An account that somebody acts for and that is read off feeds: the list of orders has an age
    of its own (a moment before the trip)."""
    world = World(policy).hold(BTC="1")
    world.rest("7", Side.BUY, "0.5")
    world.listed[MAIN] = (AT, AT)
    return world.at(1)


def test_a_list_of_before_our_cancel_is_waited_for_and_not_worked_off_again() -> None:
    """The cancel went; until the list is of after it nobody asks for the same once more."""
    world = feed_read()
    world.pull(Level.REDUCE_ONLY, SCOPE)
    world.run(1)
    stale = list(world.orders[MAIN])
    world.rest("7", Side.BUY, "0.5")  # as the old list still shows it
    world.run(10)
    assert (len(world.sent(CancelOrders)), stale) == (1, [])
    assert world.stage(SCOPE) == "verifying"
    assert not contained(world)
    world.orders[MAIN].clear()
    world.listed[MAIN] = (world.now, world.now)
    world.run(5)
    assert world.stage(SCOPE) == "contained"


def test_a_list_that_stays_old_is_named_and_read_on() -> None:
    """INCOMPLETE with what is not known, in the time in which people are to hear of it."""
    world = feed_read()
    world.pull(Level.REDUCE_ONLY, SCOPE)
    world.run(ARMED.say_within_s - 1)
    assert world.stage(SCOPE) == "verifying"
    world.run(5)
    assert world.stage(SCOPE) == "incomplete"
    assert "its working orders were last read before the last action" in (
        world.notices[-1].description
    )
    reads = len(world.sent(ReadAccount))
    world.run(60)
    assert len(world.sent(ReadAccount)) > reads
    assert not contained(world)


def test_a_cut_does_not_wait_for_ever_for_a_list_of_orders() -> None:
    """An exit is never blocked by what is not known; that it is done is not claimed either."""
    world = feed_read()
    world.pull(Level.CUT, SCOPE, gross_to=0.5)
    world.run(120)
    assert world.sizes() == {"BTC": "0.5"}
    assert world.stage(SCOPE) == "incomplete"
    assert not contained(world)


@pytest.mark.parametrize(
    ("late_s", "told"), [pytest.param(10, False, id="in-time"), pytest.param(40, True, id="not")]
)
def test_positions_of_before_our_own_command_are_waited_for(late_s: int, told: bool) -> None:
    """Feeds take seconds to show it, which is nobody's page; for longer than that it is said."""
    world = World().hold(BTC="1").rest("7", Side.BUY, "0.5").at(1)

    def old(command: Command) -> KillFact | None:
        late = world.now < START_NS + late_s * SECOND_NS
        if isinstance(command, ReadAccount) and world.done[0] is not command and late:
            return AccountRead(command_id=command.id, truth=world.truth(MAIN, AT))
        return None

    world.refuse = old
    world.pull(Level.REDUCE_ONLY, SCOPE)
    world.run(60)
    assert len(world.sent(CancelOrders)) == 1
    assert any("INCOMPLETE" in one.summary for one in world.notices) is told
    world.run(60)
    assert world.stage(SCOPE) == "contained"


def test_a_list_of_before_the_trip_is_waited_for_where_nothing_is_to_be_done() -> None:
    """Nobody is paged for the ten seconds that a feed takes to list the orders again."""
    world = World().hold(BTC="1")
    world.listed[MAIN] = (AT, AT)
    world.at(1).pull(Level.REDUCE_ONLY, SCOPE)
    world.run(10)
    assert world.stage(SCOPE) == "verifying"
    world.listed[MAIN] = (world.now, world.now)
    world.run(5)
    assert world.stage(SCOPE) == "contained"
    assert not any("INCOMPLETE" in one.summary for one in world.notices)


def test_an_order_of_an_old_list_is_not_cancelled_twice_though_it_stays_old() -> None:
    """The time to wait is over, and the cut goes on: what it would cancel is what it cancelled."""
    world = feed_read()
    world.pull(Level.CUT, SCOPE, gross_to=0.5)
    world.run(0)
    world.rest("7", Side.BUY, "0.5")
    world.run(120)
    assert len(world.sent(CancelOrders)) == 1
    assert world.sizes() == {"BTC": "0.5"}


def test_an_order_where_nothing_is_held_is_found_before_anything_is_contained() -> None:
    """What was empty a moment ago is not looked at each time; it is before the word is said."""
    world = World(executable=(MAIN,)).hold(BTC="1").rest("seen", Side.BUY, "1")
    hidden = WorkingOrder(order_id="9", market="xyz:GOLD", side=Side.BUY, size=Decimal(1))
    world.idle[MAIN] = (BEFORE, [hidden])
    world.pull(Level.REDUCE_ONLY, SCOPE)
    world.run(10)
    assert world.stage(SCOPE) == "contained"
    assert not world.orders[MAIN]
    assert not world.idle[MAIN][1], "cancelled as well"
    # Once for the proof after each of the two cancels, not at every look.
    assert [one.look is Look.WHOLE for one in world.sent(ReadAccount)].count(True) == 2


def test_an_old_list_of_what_is_idle_does_not_hold_up_a_cut() -> None:
    """It is asked for when the work is done, not in every round."""
    world = World(executable=(MAIN,)).hold(BTC="1")
    world.idle[MAIN] = (BEFORE, [])
    world.pull(Level.CUT, SCOPE, gross_to=0.5)
    world.run(3)
    assert world.positions[MAIN]["BTC"] == Decimal("0.5")
    whole = [one.look is Look.WHOLE for one in world.sent(ReadAccount)]
    assert whole[0] is False
    assert whole.count(True) == 1
    assert world.stage(SCOPE) == "contained"


@pytest.mark.parametrize("hands", [True, False], ids=["by riskd", "by other hands"])
def test_a_list_of_before_a_latch_rose_proves_nothing_of_its_new_level(*, hands: bool) -> None:
    """HALT wants every order gone: one that was placed since the look is found by the next one."""
    world = World(executable=(MAIN, SIDE) if hands else (SIDE,)).hold(BTC="1")
    world.pull(Level.REDUCE_ONLY, SCOPE)
    world.run(10)
    assert world.stage(SCOPE) == "contained"
    looked_ns = world.now
    world.now += SECOND_NS
    stale = [world.truth(MAIN, looked_ns)]
    if not hands:
        world.fed_ns[MAIN], world.listed[MAIN] = looked_ns, (looked_ns, looked_ns)
    world.refuse = lambda command: (
        AccountRead(command_id=command.id, truth=stale.pop())
        if isinstance(command, ReadAccount) and command.venue == HL and stale
        else None
    )
    told = len(world.notices)
    world.pull(Level.HALT, SCOPE)
    world.rest("exit", Side.SELL, "0.1")
    if hands:
        world.run(12)
        assert not any("CONTAINED" in one.summary for one in world.notices[told:-1])
        assert (world.stage(SCOPE), world.resting()) == ("contained", [])
    else:
        world.orders[MAIN].clear()
        world.run(12)
        assert world.stage(SCOPE) == "incomplete"
        assert "HALT" in world.notices[-1].summary
