"""How much of an account is read at each look: all of it first and last, positions alone between
the rounds of a cut.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest

from monitor.core.killswitch.book import Book, Look, WorkingOrder
from monitor.core.killswitch.facts import (
    AccountRead,
    CancelOrders,
    Command,
    KillFact,
    OrderEnd,
    OrderOutcome,
    PlaceOrders,
    ReadAccount,
    ReduceOrder,
)
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.plan import Plan, PlanLimits, Planner, Target
from monitor.core.killswitch.planner import plan_cut
from monitor.core.types import PORTFOLIO, SECOND_NS, Side
from tests.core.killswitch.kill_desk import ARMED, MAIN, SIDE, World, cutter


class Thin(World):
    """Each order finds somebody for so much of its market and no more; after the fifth somebody
    else does ``something``."""

    depth = Decimal("0.1")
    something: Callable[[], object] = staticmethod(lambda: None)

    def execute(self, place: tuple[str, str], order: ReduceOrder) -> OrderOutcome:
        """The venue says what was filled, and the rest of an IOC order is gone; that takes time."""
        self.now += SECOND_NS // 10
        fate = super().execute(
            place, msgspec.structs.replace(order, size=min(order.size, self.depth))
        )
        if len(self.fates) == 5:
            self.something()
        return fate


class Telling(Thin):
    """Its answers have the orders, whatever was asked."""

    def carry_out(self, command: Command) -> KillFact:
        """As the parent, for the usual look."""
        if isinstance(command, ReadAccount):
            command = msgspec.structs.replace(command, look=Look.USUAL)
        return super().carry_out(command)


def in_slices(target: Target, book: Book, limits: PlanLimits) -> Plan:
    """A planner to which everything is dear."""
    return msgspec.structs.replace(cutter(target, book, limits), sliced=True)


def cancelled(world: World) -> list[WorkingOrder]:
    """Every order that was cancelled."""
    return [order for one in world.done if isinstance(one, CancelOrders) for order in one.orders]


def looks(world: World, place: tuple[str, str] = MAIN) -> list[Look]:
    """The looks at one account, in order."""
    return [
        one.look
        for one in world.done
        if isinstance(one, ReadAccount) and (one.venue, one.account) == place
    ]


def test_between_rounds_positions_are_read_alone() -> None:
    """Lists of orders cost most of a look, and a thin book takes many rounds: the first look and
    the proof have them."""
    world = Thin(executable=(MAIN,)).hold(BTC="1")
    world.pull(Level.FLATTEN)
    world.run(20)
    assert (world.sizes(), world.stage()) == ({}, "contained")
    assert looks(world)[0] is looks(world)[-1] is Look.USUAL
    assert looks(world).count(Look.USUAL) == 2
    assert looks(world).count(Look.POSITIONS) >= 9


def test_a_round_that_fills_whole_is_followed_by_the_proof() -> None:
    """A look at positions would only come on top of it."""
    world = World(executable=(MAIN,)).hold(BTC="1")
    world.pull(Level.FLATTEN)
    world.run(20)
    assert looks(world) == [Look.USUAL, Look.USUAL]


def test_who_has_nothing_to_do_in_a_round_is_not_read_whole_for_it() -> None:
    """Every account of a plan is read anew for the next one, one that places nothing as well."""
    world = Thin().hold(BTC="1").hold(SIDE, ETH="0.01")
    world.pull(Level.FLATTEN)
    world.run(60)
    assert (world.sizes(), world.sizes(SIDE), world.stage()) == ({}, {}, "contained")
    assert looks(world, SIDE).count(Look.USUAL) <= 3
    assert len(looks(world, SIDE)) > 8


def test_an_order_that_came_between_rounds_is_gone_before_it_is_proved() -> None:
    """The desk closed the rest by itself and placed an order: positions alone show that nothing is
    held, and prove nothing of orders."""
    world = Thin(executable=(MAIN,)).hold(BTC="1")
    world.something = lambda: world.hold(BTC="0").rest("late", Side.BUY, "1")
    world.pull(Level.FLATTEN)
    world.run(60)
    assert [one.order_id for one in cancelled(world)] == ["late"]
    assert (world.orders[MAIN], world.sizes(), world.stage()) == ([], {}, "contained")


def test_what_grows_back_between_rounds_stops_the_cut() -> None:
    """As at any look: nothing is sent against a system that opens again, and what is said of its
    orders is of a fresh list."""
    world = Thin(executable=(MAIN,)).hold(BTC="1")
    world.something = lambda: world.hold(BTC="0.9").rest("late", Side.BUY, "1")
    world.pull(Level.FLATTEN)
    world.run(60)
    assert (world.sizes(), world.stage()) == ({"BTC": "0.9"}, "incomplete")
    assert [one.order_id for one in cancelled(world)] == ["late"]


def test_in_a_long_cut_orders_are_listed_again() -> None:
    """What comes during it does not stand until it is over."""
    policy = msgspec.structs.replace(ARMED, slice_pause_s=10.0, orders_age_s=30.0)
    world = Thin(policy, in_slices, executable=(MAIN,)).hold(BTC="1")
    world.pull(Level.FLATTEN)
    world.run(1)
    world.rest("late", Side.BUY, "1")
    world.run(28)
    assert world.orders[MAIN]
    world.run(3)
    assert world.orders[MAIN] == []
    assert world.sizes() == {"BTC": "0.6"}, "the cut goes on"
    assert looks(world)[:4] == [Look.USUAL, Look.POSITIONS, Look.POSITIONS, Look.POSITIONS]
    assert looks(world).count(Look.USUAL) == 3


def test_a_process_that_begins_anew_reads_orders_first() -> None:
    """However the last one left off: its list is old by then."""
    world = Thin(executable=(MAIN,)).hold(BTC="1")
    world.pull(Level.FLATTEN)
    while looks(world).count(Look.POSITIONS) < 3:
        world.one()
    assert isinstance(world.out[0], PlaceOrders | ReadAccount)
    world.now += round(ARMED.orders_age_s * SECOND_NS)
    before = len(looks(world))
    world.restart()
    world.run(60)
    assert looks(world)[before] is Look.USUAL
    assert (world.sizes(), world.stage()) == ({}, "contained")


def test_what_an_answer_says_of_orders_counts() -> None:
    """Who knows more tells it: a reading off the feeds has orders at no cost."""
    world = Telling(executable=(MAIN,)).hold(BTC="1")
    world.something = lambda: world.rest("late", Side.BUY, "1")
    world.pull(Level.FLATTEN)
    world.run(0)
    placed = [one for one in world.done if isinstance(one, PlaceOrders | CancelOrders)]
    assert [isinstance(one, CancelOrders) for one in placed].index(True) == 5


class Unpriced(Thin):
    """Nobody can price ETH, wherever it is held."""

    def book(self) -> Book:
        """Without references for it."""
        book = super().book()
        quotes = tuple(
            msgspec.structs.replace(one, references=()) if one.market.startswith("ETH") else one
            for one in book.quotes
        )
        return msgspec.structs.replace(book, quotes=quotes)


@pytest.mark.parametrize("elsewhere", [True, False], ids=["in another account", "in this one"])
def test_a_cut_that_stops_for_something_else_still_lists_orders(*, elsewhere: bool) -> None:
    """What stands in the way of the goal lets no account be settled on an old list: an order that
    came between rounds is gone within seconds, and nothing is contained before."""
    slow = msgspec.structs.replace(ARMED, backoff_s=(60.0,))
    world = Unpriced(slow, plan_cut, executable=(MAIN, SIDE) if elsewhere else (MAIN,))
    world.hold(BTC="1").hold(SIDE if elsewhere else MAIN, ETH="1")
    world.something = lambda: world.hold(BTC="0").rest("late", Side.BUY, "1")
    world.pull(Level.FLATTEN)
    while len(world.fates) < 5:
        world.run(1)
    world.run(slow.slice_pause_s + 2.0)
    assert [one.order_id for one in cancelled(world)] == ["late"]
    assert world.orders[MAIN] == []
    world.run(60)
    assert world.stage() == "incomplete", "nobody knows what ETH is worth"


class Dead(World):
    """Nothing is ever filled in the first account."""

    def execute(self, place: tuple[str, str], order: ReduceOrder) -> OrderOutcome:
        """Answered, and nothing done."""
        if place != MAIN:
            return super().execute(place, order)
        fate = OrderOutcome(client_id=order.client_id, end=OrderEnd.REJECTED, detail="no match")
        self.fates[order.client_id] = fate
        return fate


@pytest.mark.parametrize("side", ["1", "-1", "-0.6"])
@pytest.mark.parametrize("planner", [plan_cut, cutter], ids=["in pairs", "each by itself"])
def test_a_pair_of_which_one_leg_never_fills_comes_to_rest(side: str, planner: Planner) -> None:
    """Tried again with growing waits, for ever: no look follows another without one, and a hedge is
    not unwound beside the leg that stays."""
    policy = msgspec.structs.replace(ARMED, turnover_ratio_per_hour=None)
    world = Dead(policy, planner).hold(BTC="1").hold(SIDE, BTC=side)
    world.pull(Level.CUT, PORTFOLIO, gross_to=0.5)
    world.run(900)
    assert world.stage() == "incomplete"
    assert len(world.done) < 200
    if planner is plan_cut and side != "1":  # the first slice went before anybody knew
        assert Decimal(world.sizes(SIDE)["BTC-USD"]) <= Decimal(side) + Decimal("0.13")


class Hindered(World):
    """The venue refuses an order that meets one of the desk's own."""

    def execute(self, place: tuple[str, str], order: ReduceOrder) -> OrderOutcome:
        """Refused for as long as the other rests."""
        if not self.orders[place]:
            return super().execute(place, order)
        fate = OrderOutcome(client_id=order.client_id, end=OrderEnd.REJECTED, detail="self-trade")
        self.fates[order.client_id] = fate
        return fate


def test_after_a_round_without_a_fill_orders_are_listed() -> None:
    """One that came meanwhile is the likeliest reason: it is gone a second later, and nobody is
    told that orders do not fill."""
    world = Hindered(executable=(MAIN,)).hold(BTC="1")
    world.pull(Level.FLATTEN)
    world.one()
    world.rest("late", Side.BUY, "1")
    world.run(3)
    assert looks(world)[:2] == [Look.USUAL, Look.USUAL]
    assert (world.orders[MAIN], world.sizes(), world.stage()) == ([], {}, "contained")
    assert not [one for one in world.notices if "do not fill" in one.description]


def test_a_halt_that_rises_over_a_cut_lists_orders_at_once() -> None:
    """It wants every order gone, and a look between rounds shows none."""
    world = Thin(executable=(MAIN,)).hold(BTC="1")
    world.something = lambda: world.rest("stop", Side.SELL, "0.1", reduce_only=True)
    world.pull(Level.CUT, PORTFOLIO, gross_to=0.1)
    while len(world.fates) < 4 or not isinstance(world.out[0], PlaceOrders):
        world.one()
    world.pull(Level.HALT, PORTFOLIO)
    asked = len(looks(world))
    world.one()
    world.one()
    assert looks(world)[asked] is Look.USUAL
    world.run(5)
    assert world.orders[MAIN] == []


class Ageless(Thin):
    """The feeds show orders, and nobody knows of when."""

    def carry_out(self, command: Command) -> KillFact:
        """As the venue, but for the age of its list from the second order on."""
        if not isinstance(command, ReadAccount):
            return super().carry_out(command)
        truth = self.truth((command.venue, command.account))
        if len(self.fates) >= 2:
            truth = msgspec.structs.replace(truth, orders_ns=None)
        return AccountRead(command_id=command.id, truth=truth)


def test_orders_that_are_shown_count_however_old() -> None:
    """They take the place of those of before."""
    world = Ageless(ARMED, in_slices, executable=(MAIN,)).hold(BTC="1")
    world.pull(Level.FLATTEN)
    world.run(12)
    world.rest("late", Side.BUY, "1")
    world.run(12)
    assert world.orders[MAIN] == []
