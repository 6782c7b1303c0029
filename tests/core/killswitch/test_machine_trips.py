"""Latches side by side, targets that do not add, pulls, and what the desk is told."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from monitor.core.decision import ActionLevel
from monitor.core.killswitch.facts import (
    CancelOrders,
    OrderOutcome,
    PersonPulled,
    PlaceOrders,
    ReduceOrder,
)
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.policy import DaemonMode
from monitor.core.killswitch.trading import Trading
from monitor.core.types import (
    PORTFOLIO,
    SECOND_NS,
    Severity,
    Side,
    Subject,
    account_subject,
    asset_subject,
    market_subject,
    position_subject,
    venue_subject,
)
from tests.core.killswitch.kill_desk import ACCOUNT, ARMED, HL, MAIN, PRICES, SIDE, World


def desk() -> World:
    """A position at each venue."""
    return World().hold(BTC="1", ETH="10").hold(SIDE, BTC="-1")


# ------------------------------------------------------------------------------------ targets


@pytest.mark.parametrize(
    ("second", "size"),
    [
        pytest.param(0.7, "0.7", id="the same target"),
        pytest.param(0.8, "0.7", id="a milder one"),
        pytest.param(0.4, "0.4", id="a stricter one lowers the goal"),
    ],
)
def test_targets_do_not_add(second: float, size: str) -> None:
    """Two rules that cut to 70 % leave 70 %, of what there was at the first."""
    world = World().hold(BTC="1")
    world.ask()
    world.run(30)
    world.ask(rule="drawdown", gross_to=second)
    world.run(30)
    assert (world.sizes(), world.stage()) == ({"BTC": size}, "contained")
    assert world.latch().baseline_usd == 100_000.0


def test_two_scopes_do_not_add_either() -> None:
    """A venue's cut within a portfolio's: what one took off the other does not take again."""
    world = World().hold(BTC="1")
    world.ask()
    world.ask(rule="venue_leverage", scope=venue_subject(HL), gross_to=0.7)
    world.run(60)
    assert world.sizes() == {"BTC": "0.7"}
    assert (world.stage(), world.stage(venue_subject(HL))) == ("contained", "contained")


def test_a_latch_rises_and_never_falls() -> None:
    """The same trip, at the highest level that was asked for."""
    world = desk()
    for level in (Level.REDUCE_ONLY, Level.CUT, Level.HALT, Level.FLATTEN):
        world.pull(level, pull_id=f"up-{level}")
        assert world.latch().level is level
    world.pull(Level.CAUTION, pull_id="down")
    world.ask(ActionLevel.BLOCK_NEW)
    world.run(60)
    assert world.latch().level is Level.FLATTEN
    assert (world.sizes(), world.sizes(SIDE)) == ({}, {})
    assert len(world.machine.state.latches) == 1


def test_halt_stops_a_cut_that_is_under_way() -> None:
    """Positions stay from there on."""
    world = desk()
    world.ask()
    while not world.sent(PlaceOrders):
        world.one()
    world.pull(Level.HALT)
    world.run(60)
    assert len(world.sent(PlaceOrders)) <= 2
    assert world.stage() == "contained"
    assert world.latch().level is Level.HALT


def test_where_halt_and_cut_meet_the_halt_wins() -> None:
    """The venue under HALT keeps its positions; the rest is cut; the page says what is kept."""
    world = desk()
    world.pull(Level.HALT, venue_subject(HL))
    world.run(10)
    world.ask()
    world.run(60)
    assert world.sizes() == {"BTC": "1", "ETH": "10"}
    assert world.sizes(SIDE) == {"BTC-USD": "-0.7"}
    assert world.stage() == "incomplete"
    assert "kept here by a HALT" in world.notices[-1].description


def test_what_grew_back_does_not_keep_a_halt_from_being_contained() -> None:
    """A HALT keeps positions; it is no cut that could have been undone."""
    world = World().hold(BTC="1")
    world.ask()
    world.run(30)
    world.positions[MAIN]["BTC"] *= 2
    world.ask(ActionLevel.HALT, rule="drawdown")
    world.run(30)
    assert (world.latch().level, world.stage()) == (Level.HALT, "contained")


def test_flatten_outranks_a_halt_within_it() -> None:
    """More restrictive wins."""
    world = desk()
    world.pull(Level.HALT, venue_subject(HL))
    world.run(10)
    world.pull(Level.FLATTEN, pull_id="pull-2")
    world.run(60)
    assert (world.sizes(), world.sizes(SIDE)) == ({}, {})


@pytest.mark.parametrize(
    ("subject", "level"),
    [
        (PORTFOLIO, Level.REDUCE_ONLY),
        (venue_subject(HL), Level.HALT),
        (venue_subject("dydx"), Level.REDUCE_ONLY),
        (ACCOUNT, Level.HALT),
        (account_subject(HL, "main.xyz"), Level.HALT),
        (account_subject(*SIDE), Level.REDUCE_ONLY),
        (market_subject("dydx", "ETH-USD"), Level.REDUCE_ONLY),
        (market_subject("dydx", "BTC-USD"), Level.FLATTEN),
        (position_subject(*SIDE, "BTC-USD"), Level.FLATTEN),
        (asset_subject("BTC"), Level.FLATTEN),
        (asset_subject("ETH"), Level.REDUCE_ONLY),
    ],
)
def test_the_more_restrictive_holds(subject: Subject, level: Level) -> None:
    """Portfolio REDUCE_ONLY, venue HALT, asset FLATTEN, side by side."""
    world = desk()
    world.pull(Level.REDUCE_ONLY, pull_id="a")
    world.pull(Level.HALT, venue_subject(HL), pull_id="b")
    world.pull(Level.FLATTEN, asset_subject("BTC"), pull_id="c")
    assert world.machine.effective(subject) is level


# -------------------------------------------------------------------------------------- pulls


def test_a_pull_acts_in_one_step_and_its_repetition_is_the_same_pull() -> None:
    """Commands leave with the very step; the second message changes nothing."""
    world = desk().rest("more", Side.BUY, "1")
    first = world.pull(Level.HALT)
    assert first.commands
    assert first.changed
    assert "portfolio is latched at HALT" in first.answer
    world.run(10)
    second = world.pull(Level.HALT)
    assert not second.changed
    assert not second.commands
    assert "taken before" in second.answer
    assert len(world.sent(CancelOrders)) == 1


@pytest.mark.parametrize(
    ("level", "scope", "gross_to"),
    [
        pytest.param(Level.FLATTEN, PORTFOLIO, None, id="another level"),
        pytest.param(Level.CUT, venue_subject(HL), 0.5, id="another scope"),
        pytest.param(Level.CUT, PORTFOLIO, 0.3, id="another share"),
    ],
)
def test_another_pull_under_the_same_id_is_another_pull(
    level: Level, scope: Subject, gross_to: float | None
) -> None:
    """Whoever's script has one id for all it asks is not left with the first thing it asked."""
    world = desk()
    world.pull(Level.CUT, gross_to=0.5)
    step = world.pull(level, scope, gross_to=gross_to)
    assert "taken before" not in step.answer
    latch = world.machine.state.latches[scope]
    assert (latch.level, latch.gross_to_ratio) == (level, 0.5 if gross_to is None else gross_to)


@pytest.mark.parametrize(
    ("channel", "later_s", "latched"),
    [
        pytest.param("http", 599.0, False, id="a message that comes again"),
        pytest.param("http", 601.0, True, id="the same words much later"),
        pytest.param("file", 86_400.0, False, id="a file that lies there"),
    ],
)
def test_a_pull_after_a_re_arm_stops_the_book_again_or_says_that_it_did_not(
    channel: str, later_s: float, latched: bool
) -> None:
    """Never an answer that reads as done where nothing is latched."""
    world = desk()
    fact = PersonPulled(
        pull_id="stop",
        principal="ann",
        channel=channel,
        scope=PORTFOLIO,
        level=Level.REDUCE_ONLY,
        reason="drill",
    )
    began_ns = world.now
    world.tell(fact)
    world.run(10)
    world.rearm()
    assert not world.machine.state.latches
    world.now = began_ns + round(later_s * SECOND_NS)
    step = world.tell(fact)
    assert (PORTFOLIO in world.machine.state.latches) is latched
    refused = [entry.action for entry in step.audit] == ["pull_refused"]
    assert refused is not latched
    assert ("NOTHING was done" in step.answer) is not latched


@pytest.mark.parametrize(
    ("level", "gross_to", "words"),
    [
        pytest.param(Level.NORMAL, None, "never lowers", id="level 0"),
        pytest.param(Level.CUT, 1.0, "lies in [0, 1)", id="nothing to cut"),
        pytest.param(Level.CUT, -0.1, "lies in [0, 1)", id="less than nothing"),
    ],
)
def test_a_pull_that_means_nothing_is_refused(
    level: Level, gross_to: float | None, words: str
) -> None:
    """With words, and a line in the record."""
    world = desk()
    step = world.tell(
        PersonPulled(
            pull_id="x",
            principal="ann",
            channel="cli",
            scope=PORTFOLIO,
            level=level,
            reason="",
            gross_to_ratio=gross_to,
        )
    )
    assert words in step.answer
    assert world.machine.state.latches == {}
    assert world.actions() == ["pull_refused"]


def test_a_persons_cut_without_a_number_takes_the_policys() -> None:
    """To 70 %."""
    world = World().hold(BTC="1")
    world.pull(Level.CUT)
    world.run(30)
    assert world.sizes() == {"BTC": "0.7"}


def test_rehearse_works_like_armed() -> None:
    """The transport keeps a rehearsal from real venues, not the machine."""
    world = World(msgspec.structs.replace(ARMED, mode=DaemonMode.REHEARSE)).hold(BTC="1")
    world.pull(Level.CUT, gross_to=0.5)
    world.run(30)
    assert world.sizes() == {"BTC": "0.5"}


# ------------------------------------------------------------------------------ trading state


def test_the_desk_is_told_by_scope_with_reasons() -> None:
    """Valid for 15 s; the whole is ACTIVE while only a venue is latched."""
    world = desk()
    world.pull(Level.HALT, venue_subject(HL))
    state = world.machine.trading_state(world.now)
    assert (state.trading, state.level) == (Trading.ACTIVE, Level.NORMAL)
    assert state.valid_until_ns == world.now + 15 * 10**9
    (scope,) = state.scopes
    assert (scope.scope, scope.trading) == (venue_subject(HL), Trading.HALTED)
    assert state.reasons == ("person:ann: drill",)
    assert state.trip_ids == (world.latch(venue_subject(HL)).trip_id,)


@pytest.mark.parametrize(
    ("level", "trading"),
    [
        (Level.CAUTION, Trading.ACTIVE),
        (Level.REDUCE_ONLY, Trading.REDUCE_ONLY),
        (Level.CUT, Trading.REDUCE_ONLY),
        (Level.HALT, Trading.HALTED),
        (Level.FLATTEN, Trading.HALTED),
    ],
)
def test_each_level_has_its_word(level: Level, trading: Trading) -> None:
    """ACTIVE, REDUCE_ONLY or HALTED."""
    world = desk()
    world.pull(level)
    assert world.machine.trading_state(world.now).trading is trading


def test_a_hedge_is_allowed_while_its_net_is_known() -> None:
    """Not with a leg in the dark, not under a hold, not under a HALT of everything."""
    world = desk()
    world.pull(Level.REDUCE_ONLY)
    assert dict(world.machine.trading_state(world.now).hedge_allowed) == {"BTC": True, "ETH": True}
    world.dark = (SIDE,)
    world.at(1)
    assert dict(world.machine.trading_state(world.now).hedge_allowed) == {
        "BTC": False,
        "ETH": True,
    }
    world.dark = ()
    world.ask(ActionLevel.HOLD, scope=venue_subject(HL))
    assert dict(world.machine.trading_state(world.now).hedge_allowed) == {
        "BTC": False,
        "ETH": False,
    }
    halted = desk()
    halted.pull(Level.HALT)
    assert not any(allowed for _, allowed in halted.machine.trading_state(0).hedge_allowed)


def test_a_trip_without_a_book_is_latched_at_once_and_worked_at_the_first() -> None:
    """The desk is told REDUCE_ONLY before anything else is known."""
    world = desk()
    pull = PersonPulled(
        pull_id="x",
        principal="ann",
        channel="file",
        scope=PORTFOLIO,
        level=Level.FLATTEN,
        reason="KILL file",
    )
    step = world.tell(pull, blind=True)
    assert (world.stage(), step.commands) == ("tripped", ())
    assert step.wake_at_ns is not None
    assert world.machine.trading_state(world.now).trading is Trading.HALTED
    assert step.notices[0].severity is Severity.CRITICAL
    world.run(60)
    assert (world.stage(), world.sizes(MAIN)) == ("contained", {})


@pytest.mark.parametrize(
    ("moved", "left"),
    [
        pytest.param(1.002, "1.4", id="a little: it is done"),
        pytest.param(1.004, "1.39", id="more: cut again"),
    ],
)
def test_what_was_cut_does_not_follow_prices(
    monkeypatch: pytest.MonkeyPatch, moved: float, left: str
) -> None:
    """A quarter per cent above its goal is at it: each further round costs the venue's budget."""
    world = World().hold(BTC="2")
    world.ask(gross_to=0.70)
    while not world.sent(PlaceOrders):
        world.one()
    monkeypatch.setitem(PRICES, "BTC", 100_000.0 * moved)
    world.run(60)
    assert (world.sizes(), world.stage()) == ({"BTC": left}, "contained")
    assert len(world.sent(PlaceOrders)) == (1 if left == "1.4" else 2)


def test_what_was_never_cut_is_cut_however_little() -> None:
    """The tolerance is for what is done, not for what was asked."""
    world = World().hold(BTC="20")
    world.ask(gross_to=0.999)
    world.run(60)
    assert world.sizes() == {"BTC": "19.98"}


def test_the_tolerance_leaves_nothing_of_what_is_flattened() -> None:
    """Two hundredths of a bitcoin beside ten that cannot be reached yet are no drift."""
    world = World().hold(BTC="10").hold(SIDE, BTC="0.06")
    world.slow.add(MAIN)
    execute, first = world.execute, [True]

    def in_part(place: tuple[str, str], order: ReduceOrder) -> OrderOutcome:
        if place == SIDE and first:
            first.pop()
            order = msgspec.structs.replace(order, size=Decimal("0.04"))
        return execute(place, order)

    world.execute = in_part  # type: ignore[method-assign]  # the venue fills less, once
    world.pull(Level.FLATTEN)
    world.run(300)
    world.slow.clear()
    world.run(3600)
    assert (world.sizes(), world.sizes(SIDE), world.stage()) == ({}, {}, "contained")


def test_the_tolerance_is_of_what_can_be_reached() -> None:
    """A small account that comes late is cut by its share, however large the other one is."""
    world = World().hold(BTC="100").hold(SIDE, BTC="0.2")
    world.slow.add(SIDE)
    world.pull(Level.CUT, gross_to=0.5)
    world.run(120)
    world.slow.clear()
    world.run(600)
    assert world.stage() == "contained"
    assert float(world.sizes(SIDE)["BTC-USD"]) <= 0.1
