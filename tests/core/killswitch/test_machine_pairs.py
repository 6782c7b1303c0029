"""Hedged pairs of which one leg met its share of a cut before the other could be cut: they come
down together, and nothing else does."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitor.core.killswitch.execution.checks import KEPT
from monitor.core.killswitch.facts import (
    OrderEnd,
    OrderOutcome,
    PlaceOrders,
    ReduceOrder,
    TimePassed,
)
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.planner import plan_cut
from monitor.core.types import SECOND_NS, position_subject
from tests.core.killswitch.kill_desk import ARMED, HL, MAIN, SIDE, STEP, World, price_of

SUB = (HL, "sub")
PLACES = (MAIN, SIDE, SUB)
UNCAPPED = msgspec.structs.replace(ARMED, turnover_ratio_per_hour=None)
LOT_USD = float(STEP) * price_of("BTC")


class Pairs(World):
    """Three accounts and the planner of the house; nothing is filled where ``dead`` says so."""

    def __init__(self) -> None:
        super().__init__(UNCAPPED, plan_cut, executable=PLACES)
        self.positions[SUB], self.orders[SUB] = {}, []
        self.dead: frozenset[tuple[str, str]] = frozenset()

    def execute(self, place: tuple[str, str], order: ReduceOrder) -> OrderOutcome:
        """Answered, and nothing done, where nothing is filled."""
        if place not in self.dead:
            return super().execute(place, order)
        fate = OrderOutcome(client_id=order.client_id, end=OrderEnd.REJECTED, detail="no match")
        self.fates[order.client_id] = fate
        return fate

    def gross(self) -> float:
        """USD of all positions."""
        held = [one for place in self.positions.values() for one in place.items()]
        return sum(float(abs(size)) * price_of(market) for market, size in held)

    def net(self, asset: str) -> float:
        """USD of one asset, signed."""
        held = [one for place in self.positions.values() for one in place.items()]
        named = [(market, size) for market, size in held if market.removesuffix("-USD") == asset]
        return sum(float(size) * price_of(market) for market, size in named)

    def reason(self, place: tuple[str, str] = SIDE) -> str:
        """What is left in one account, in words."""
        run = self.latch().runs["/".join(place)]
        return "; ".join(one.reason for one in run.residuals)

    def answers(self) -> Pairs:
        """Who was slow is so no longer; what it was asked then is lost."""
        self.out = [one for one in self.out if (one.venue, one.account) not in self.slow]
        self.slow = set()
        return self


def late_hedge(**more: str) -> Pairs:
    """Twice as long as hedged, cut to a half while the hedge's account does not answer: the long
    leg met its share with what was unpaired, and all of the hedge is paired with what is left."""
    world = Pairs()
    world.hold(BTC="2", **more).hold(SIDE, BTC="-1")
    world.slow = {SIDE}
    world.pull(Level.CUT, gross_to=0.5)
    world.run(100)
    return world


def test_a_pair_of_which_one_leg_met_its_share_comes_down_together() -> None:
    """To the goal of both; the net stays none."""
    world = late_hedge()
    assert (world.sizes(), world.sizes(SIDE)) == ({"BTC": "1"}, {"BTC-USD": "-1"})
    assert world.latch().runs["hyperliquid/main"].share_met
    world.answers().run(120)
    assert (world.sizes(), world.sizes(SIDE)) == ({"BTC": "0.75"}, {"BTC-USD": "-0.75"})
    assert world.stage() == "contained"
    assert world.actions().count("twins_called") == 1


def test_what_is_beside_the_pair_is_not_cut_for_it() -> None:
    """The long leg's account holds something unpaired, too, of which its share is met: a late hedge
    takes nothing off that, though unpaired exposure comes first in a plan of all."""
    world = late_hedge(ETH="50")
    left = world.sizes()["ETH"]
    assert Decimal(left) > 0
    world.answers().run(300)
    assert world.sizes()["ETH"] == left
    assert world.stage() == "contained"
    assert world.gross() == pytest.approx(250_000.0, abs=LOT_USD)
    assert abs(world.net("BTC")) <= LOT_USD


def test_what_nobody_can_cut_elsewhere_is_not_laid_to_a_twin() -> None:
    """Of three accounts one has no executor and stays above its share: the other two are done."""
    world = Pairs()
    world.executable = (MAIN, SIDE)
    world.hold(BTC="2", ETH="50").hold(SIDE, BTC="-1").hold(SUB, ETH="25")
    world.slow = {SIDE}
    world.pull(Level.CUT, gross_to=0.5)
    world.run(100)
    world.answers().run(300)
    assert world.actions().count("twins_called") == 1
    assert (world.reason(MAIN), world.reason(SIDE)) == ("", "")
    assert "no executor" in world.reason(SUB)


def test_a_twin_under_a_halt_stays_and_nothing_beside_it_is_named() -> None:
    """The halt came after its share was met: it is what keeps the pair."""
    world = late_hedge(ETH="50")
    before = world.sizes(), world.sizes(SIDE)
    world.pull(Level.HALT, position_subject(*MAIN, "BTC"), pull_id="halt")
    world.answers().run(120)
    assert (world.sizes(), world.sizes(SIDE)) == before
    assert world.reason(MAIN) == KEPT
    assert f"which cannot be cut with it: {KEPT}" in world.reason()


def test_whoever_shares_no_asset_is_not_called() -> None:
    """A late account without a hedge pays for itself."""
    world = Pairs()
    world.hold(BTC="1").hold(SIDE, ETH="25")
    world.slow = {SIDE}
    world.pull(Level.CUT, gross_to=0.5)
    world.run(100)
    world.answers().run(300)
    assert (world.sizes(), world.sizes(SIDE)) == ({"BTC": "0.5"}, {"ETH-USD": "12.5"})
    assert "twins_called" not in world.actions()


def test_a_twin_that_never_fills_is_tried_by_itself_and_the_other_stays() -> None:
    """One round goes before anybody knows; then no hedge is unwound beside the leg that stays, the
    venue is not asked without end, and people hear of it at growing intervals. Once it fills, the
    pair comes down."""
    world = late_hedge()
    world.answers().dead = frozenset({MAIN})
    world.run(60)
    hedge = world.sizes(SIDE)
    assert (world.sizes(), world.stage()) == ({"BTC": "1"}, "incomplete")
    told, placed = len(world.notices), len(world.sent(PlaceOrders))
    world.run(3600)
    assert (world.sizes(), world.sizes(SIDE)) == ({"BTC": "1"}, hedge)
    assert len(world.notices) - told <= 6
    assert len(world.sent(PlaceOrders)) - placed <= 150
    assert "hedges hyperliquid/main/BTC, which cannot be cut with it: its orders do not fill" in (
        world.reason()
    )
    world.dead = frozenset()
    world.run(300)
    assert (world.sizes(), world.sizes(SIDE)) == ({"BTC": "0.75"}, {"BTC-USD": "-0.75"})
    assert world.stage() == "contained"


def test_a_leg_whose_own_orders_met_nobody_has_no_twin_cut_beside_it() -> None:
    """Its unpaired part did not fill, and the desk then took that part off: what is left is paired,
    and whether it would fill is not known. What a person can do is said, and works."""
    world = Pairs()
    world.hold(BTC="2").hold(SIDE, BTC="-1")
    world.slow = {SIDE}
    world.pull(Level.CUT, gross_to=0.5)
    world.run(100)
    world.positions[MAIN]["BTC"] = Decimal("0.8")
    world.answers().dead = frozenset({SIDE})
    world.run(60)
    world.positions[SIDE]["BTC-USD"] = Decimal("-0.8")
    world.run(300)
    assert (world.sizes(), world.sizes(SIDE)) == ({"BTC": "0.8"}, {"BTC-USD": "-0.8"})
    assert world.stage() == "incomplete"
    assert "its own share of the cut is met" in world.reason()
    assert "reduce both, or pull again" in world.reason()
    world.dead = frozenset()
    world.pull(Level.CUT, gross_to=0.5, pull_id="again")
    assert not any(run.twins for run in world.latch().runs.values())
    world.run(120)
    assert (world.sizes(), world.sizes(SIDE)) == ({"BTC": "0.75"}, {"BTC-USD": "-0.75"})


def test_why_a_twin_stays_is_said_as_it_is() -> None:
    """Its cutting stopped since it grew back: it is not dark, and what a person does is said."""
    world = late_hedge()
    world.positions[MAIN]["BTC"] = Decimal("1.5")
    world.policy = msgspec.structs.replace(UNCAPPED, watch_s=60.0)
    world.restart()
    world.run(30)
    assert "grown back" in world.reason(MAIN)
    world.answers().run(120)
    assert world.sizes(SIDE) == {"BTC-USD": "-1"}
    assert "hedges hyperliquid/main/BTC, which cannot be cut with it: grown back" in world.reason()
    assert "until a person pulls again" in world.reason()


def test_a_restart_between_the_two_legs_forgets_no_twin() -> None:
    """One leg is filled when the process dies; the next one goes on with the pair."""
    world = late_hedge().answers()
    for _ in range(200):
        if len([one for one in world.out if isinstance(one, PlaceOrders)]) == 2:
            break
        if world.out:
            world.one()
        else:
            world.now += SECOND_NS
            world.tell(TimePassed())
    runs = world.latch().runs
    assert [key for key, run in runs.items() if run.twins and run.intents] == [
        "dydx/main",
        "hyperliquid/main",
    ]
    world.one()
    world.restart()
    world.run(300)
    assert (world.sizes(), world.sizes(SIDE)) == ({"BTC": "0.75"}, {"BTC-USD": "-0.75"})
    assert world.stage() == "contained"


btc = st.integers(-300, 300)
eth = st.integers(-5000, 5000)


@settings(max_examples=80, deadline=None)
@given(
    held=st.tuples(*(st.tuples(btc, eth) for _ in PLACES)),
    percent=st.sampled_from([20, 50, 70, 85]),
    slow=st.frozensets(st.sampled_from(PLACES)),
    wait_s=st.sampled_from([5.0, 40.0, 200.0]),
)
@example(((112, 269), (-202, -2213), (-1, 1469)), 85, frozenset({MAIN}), 200.0)
def test_whoever_comes_late_a_hedged_book_comes_down_to_its_goal(
    held: tuple[tuple[int, int], ...],
    percent: int,
    slow: frozenset[tuple[str, str]],
    wait_s: float,
) -> None:
    """Three accounts, two assets, hedged in any way: contained within some lots of the goal, and no
    asset's net has grown."""
    world = Pairs()
    for place, (bitcoin, ether) in zip(PLACES, held, strict=True):
        world.hold(place, BTC=str(bitcoin * STEP), ETH=str(ether * STEP))
    begun, nets = world.gross(), {asset: abs(world.net(asset)) for asset in ("BTC", "ETH")}
    world.slow = set(slow)
    world.pull(Level.CUT, gross_to=percent / 100)
    world.run(wait_s)
    world.answers().run(2000)
    assert world.stage() == "contained"
    goal = begun * percent / 100
    assert goal - 3 * LOT_USD <= world.gross() <= 1.0025 * goal + 3 * LOT_USD
    assert all(abs(world.net(asset)) <= before + LOT_USD for asset, before in nets.items())
