"""Venues that refuse, lose, lie late, go dark or fill back up: INCOMPLETE is said, and retried."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from monitor.core.decision import ActionLevel
from monitor.core.killswitch.book import Book
from monitor.core.killswitch.facts import (
    AccountRead,
    CancelOrders,
    CancelOutcome,
    CancelsAnswered,
    Command,
    KillFact,
    OrderEnd,
    OrderOutcome,
    OrdersAnswered,
    PlaceOrders,
    ReadAccount,
    ResolveOrders,
    TimePassed,
)
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.plan import Plan, PlanLimits, Target
from monitor.core.types import PORTFOLIO, SECOND_NS, Severity, Side, venue_subject
from tests.core.killswitch.kill_desk import (
    ARMED,
    DYDX,
    HL,
    MAIN,
    SIDE,
    World,
    broken_planner,
    cutter,
    price_of,
)


def desk(policy=ARMED, planner=cutter, **more: object) -> World:
    """A position and an order that increases it, at each venue."""
    world = World(policy, planner, **more)
    world.hold(BTC="1").rest("more", Side.BUY, "0.5")
    return world.hold(SIDE, ETH="5").rest("side", Side.BUY, "1", market="ETH-USD", place=SIDE)


def only(kind: type[Command], world: World, times: int = 10**9, **failure: object):
    """Refuse commands of one kind of the first account, so many times."""
    left = [times]

    def refuse(command: Command) -> KillFact | None:
        if isinstance(command, kind) and (command.venue, command.account) == MAIN and left[0] > 0:
            left[0] -= 1
            return world.fail(command, **failure)
        return None

    return refuse


# ------------------------------------------------------------------------------------- cancels


def test_a_venue_that_fails_half_the_cancels_is_asked_again_until_it_lists_none() -> None:
    """State, not acknowledgements: what is listed is cancelled again."""
    world = desk().rest("more2", Side.BUY, "0.5")
    world.refuse = lambda command: half(world, command)
    world.pull(Level.REDUCE_ONLY)
    world.run(30)
    attempts = [c for c in world.done if isinstance(c, CancelOrders) and c.venue == HL]
    assert [len(one.orders) for one in attempts] == [2, 1]
    assert (world.stage(), world.resting()) == ("contained", [])


def half(world: World, command: Command) -> KillFact | None:
    """Cancel only the first, and say that both are gone."""
    if not isinstance(command, CancelOrders) or len(command.orders) < 2:
        return None
    first = msgspec.structs.replace(command, orders=command.orders[:1])
    world.carry_out(first)
    outcomes = tuple(CancelOutcome(order_id=one.order_id, gone=True) for one in command.orders)
    return CancelsAnswered(
        command_id=command.id, venue=command.venue, account=command.account, outcomes=outcomes
    )


def test_a_venue_that_cancels_nothing_is_incomplete_and_retried_for_ever() -> None:
    """With what is left, by name; contained when it gives in."""
    world = desk()
    world.refuse = only(CancelOrders, world, reason="internal error")
    world.pull(Level.REDUCE_ONLY)
    world.run(30)
    assert world.stage() == "incomplete"
    assert "1 order(s) could not be cancelled: more" in world.notices[-1].description
    world.run(7200)
    tries = len(world.sent(CancelOrders))
    assert tries > 500
    world.refuse = lambda _: None
    world.run(120)
    assert (world.stage(), world.resting()) == ("contained", [])


def test_a_cut_goes_on_when_the_cancels_were_given_up_but_is_not_contained() -> None:
    """Bounded attempts; then the position is cut all the same and the order is named."""
    world = desk()
    world.refuse = only(CancelOrders, world)
    world.ask()
    world.run(60)
    assert gross(world) <= 84_000
    assert world.stage() == "incomplete"
    tries = [c for c in world.done if isinstance(c, (CancelOrders, PlaceOrders)) and c.venue == HL]
    first_place = next(i for i, one in enumerate(tries) if isinstance(one, PlaceOrders))
    assert first_place >= ARMED.cancel_attempts


def test_a_429_is_waited_out_as_told() -> None:
    """Not a moment earlier."""
    world = desk()
    world.refuse = only(CancelOrders, world, 1, reason="429", retry_after_s=12.0)
    world.pull(Level.REDUCE_ONLY)
    world.run(11.9)
    assert world.resting() == ["more"]
    world.run(2)
    assert world.resting() == []


# --------------------------------------------------------------------------------- bulkheads


@pytest.mark.parametrize("how", ["silent", "refusing"])
def test_a_dark_venue_delays_no_other_and_is_not_flattened_by_guess(how: str) -> None:
    """The other is cut to its share within seconds; the dark one is named."""
    world = desk()
    if how == "silent":
        world.slow = {MAIN}
    else:
        world.refuse = only(ReadAccount, world, reason="unreachable")
    world.ask()
    world.run(20)
    assert world.sizes(SIDE) == {"ETH-USD": "3.5"}
    assert world.resting(SIDE) == []
    assert world.sizes() == {"BTC": "1"}
    world.run(120)
    assert world.stage() == "incomplete"
    assert "hyperliquid/main" in world.notices[-1].summary


def test_cancels_of_one_venue_never_wait_for_another() -> None:
    """Each account has its own run from the first moment."""
    world = desk()
    world.slow = {MAIN}
    world.ask()
    world.work()
    assert world.resting(SIDE) == []


def test_a_dark_venue_that_comes_back_is_cut_too() -> None:
    """And then the trip is contained, with the target kept."""
    world = desk()
    world.slow = {MAIN}
    world.ask()
    world.run(100)
    world.slow = set()
    world.out = [one for one in world.out if (one.venue, one.account) != MAIN]
    world.run(300)
    assert (world.sizes(), world.sizes(SIDE)) == ({"BTC": "0.7"}, {"ETH-USD": "3.5"})
    assert world.stage() == "contained"


def test_an_account_without_executor_is_named_with_its_runbook() -> None:
    """INCOMPLETE until its own data shows that other hands did it; nothing is sent there."""
    world = desk(executable=(SIDE,))
    world.ask()
    world.run(60)
    assert world.stage() == "incomplete"
    assert "no executor: act at the venue by hand, runbook" in world.notices[-1].description
    assert not [c for c in world.done if (c.venue, c.account) == MAIN]
    world.positions[MAIN]["BTC"] = Decimal("0.7")
    world.orders[MAIN].clear()
    world.run(1)
    assert world.stage() == "contained"


def test_an_account_without_executor_that_is_dark_is_never_contained() -> None:
    """Old positions prove nothing, even if they are none."""
    world = World(executable=())
    world.dark = (MAIN,)
    world.pull(Level.FLATTEN, venue_subject(HL))
    world.run(60)
    assert world.stage(venue_subject(HL)) == "incomplete"
    assert "dark" in world.notices[-1].description


# ------------------------------------------------------------------------------------ unknown


def lost(world: World, *, arrived: bool, resolvable_after: int = 0):
    """The first orders of the first account are lost on the way back; asked later, the venue
    knows after so many tries."""
    state = {"tries": resolvable_after, "first": True}

    def refuse(command: Command) -> KillFact | None:
        if command.venue != HL:
            return None
        if isinstance(command, PlaceOrders) and state["first"]:
            state["first"] = False
            if arrived:
                world.carry_out(command)
            return world.fail(command, "timeout", uncertain=True)
        if isinstance(command, ResolveOrders) and state["tries"] > 0:
            state["tries"] -= 1
            return OrdersAnswered(
                command_id=command.id,
                venue=command.venue,
                account=command.account,
                outcomes=tuple(
                    OrderOutcome(client_id=one, end=OrderEnd.UNKNOWN) for one in command.client_ids
                ),
            )
        return None

    return refuse


@pytest.mark.parametrize("arrived", [True, False], ids=["it was executed", "it never arrived"])
def test_a_timeout_after_send_is_resolved_before_anything_else(arrived: bool) -> None:
    """One cut in the end, whatever became of the first order."""
    world = desk()
    world.refuse = lost(world, arrived=arrived)
    world.ask()
    world.run(60)
    kinds = [type(c).__name__ for c in world.done if c.venue == HL]
    assert kinds[3:5] == ["PlaceOrders", "ResolveOrders"]
    assert kinds.count("PlaceOrders") == (1 if arrived else 2)
    assert world.sizes() == {"BTC": "0.7"}
    assert world.stage() == "contained"


def test_while_an_order_is_unknown_nothing_else_leaves_for_that_account() -> None:
    """It is asked about again and again, said to be INCOMPLETE, and the others go on."""
    world = desk()
    world.refuse = lost(world, arrived=True, resolvable_after=10**6)
    world.ask()
    world.run(600)
    after = [type(c).__name__ for c in world.done if c.venue == HL][4:]
    assert set(after) == {"ResolveOrders"}
    assert world.stage() == "incomplete"
    assert "unknown outcome" in world.notices[-1].summary
    assert world.sizes(SIDE) == {"ETH-USD": "3.5"}


@pytest.mark.parametrize(
    ("seconds", "cleared"),
    [
        pytest.param(60.0, False, id="it may still be found out"),
        pytest.param(900.0, True, id="it can arrive no more"),
    ],
)
def test_an_order_that_nobody_can_ask_about_does_not_latch_for_ever(
    seconds: float, cleared: bool
) -> None:
    """Its account was taken out of the configuration: the way back waits for its expiry, not for
    an answer that never comes."""
    world = desk()
    world.refuse = lost(world, arrived=True, resolvable_after=10**6)
    world.ask()
    world.run(20)
    world.executable = (SIDE,)
    world.run(seconds)
    assert "unknown outcome" in world.notices[-1].summary
    world.rearm()
    assert (PORTFOLIO not in world.machine.state.latches) is cleared


def test_another_trip_sends_nothing_either_while_an_order_is_unknown() -> None:
    """The account belongs to one trip at a time; the other begins when the order is resolved."""
    world = desk()
    world.refuse = lost(world, arrived=True, resolvable_after=8)
    world.ask()
    world.work(20)
    world.rest("later", Side.BUY, "0.5")
    world.pull(Level.HALT, venue_subject(HL))
    world.run(30)
    assert {type(c) for c in world.done[-5:] if c.venue == HL} == {ResolveOrders}
    assert world.resting() == ["later"]
    world.run(300)
    assert world.resting() == []
    assert world.stage(venue_subject(HL)) == "contained"


def test_an_error_reply_although_executed_does_not_cut_twice() -> None:
    """The overload mode: a certain-looking refusal, yet the position is smaller; the next plan is
    made on what the venue shows."""
    world = desk()
    state = {"first": True}

    def refuse(command: Command) -> KillFact | None:
        if isinstance(command, PlaceOrders) and command.venue == HL and state["first"]:
            state["first"] = False
            world.carry_out(command)
            return world.fail(command, "internal error")
        return None

    world.refuse = refuse
    world.ask()
    world.run(60)
    assert world.sizes() == {"BTC": "0.7"}
    assert world.stage() == "contained"


def test_a_command_that_is_never_answered_counts_as_uncertain() -> None:
    """After its time, and its late answer still counts."""
    world = desk()
    world.lose = lambda command: (
        isinstance(command, PlaceOrders) and command.venue == HL and not world.sent(ResolveOrders)
    )
    world.ask()
    world.run(44.9)
    assert not world.sent(ResolveOrders)
    world.run(30)
    assert len(world.sent(ResolveOrders)) == 1
    assert (world.stage(), world.sizes()) == ("contained", {"BTC": "0.7"})


def test_a_late_answer_settles_what_it_is_about() -> None:
    """An order whose fill is told after the deadline is not asked about for ever."""
    world = desk()
    held: list[tuple[Command, KillFact]] = []

    def refuse(command: Command) -> KillFact | None:
        if isinstance(command, PlaceOrders) and command.venue == HL and not held:
            held.append((command, world.carry_out(command)))
            return world.fail(command, "timeout", uncertain=True)
        if isinstance(command, ResolveOrders):
            return world.fail(command, "down")
        return None

    world.refuse = refuse
    world.ask()
    world.run(20)
    world.tell(held[0][1])
    assert not world.latch().runs["hyperliquid/main"].intents
    world.run(60)
    assert (world.stage(), world.sizes()) == ("contained", {"BTC": "0.7"})


# -------------------------------------------------------------------------------- verification


def nobody_takes(command: Command) -> KillFact | None:
    """No order of ours meets anybody at the first venue."""
    if not isinstance(command, PlaceOrders) or command.venue != HL:
        return None
    return OrdersAnswered(
        command_id=command.id,
        venue=command.venue,
        account=command.account,
        outcomes=tuple(
            OrderOutcome(client_id=o.client_id, end=OrderEnd.REJECTED, detail="no liquidity")
            for o in command.orders
        ),
    )


def test_a_refusal_that_comes_too_late_does_not_spare_the_question() -> None:
    """An answer of after its time is not believed over the venue's own data: what became of the
    orders is found out, and nothing else is sent before."""
    world = World(executable=(MAIN,)).hold(BTC="1")
    world.pull(Level.FLATTEN)
    world.one()
    (place,) = world.out
    assert isinstance(place, PlaceOrders)
    world.out.clear()
    world.now += round((ARMED.answer_within_s + 1) * SECOND_NS)
    world.tell(TimePassed())
    assert [type(one) for one in world.out] == [ResolveOrders]
    world.tell(world.fail(place))
    assert [type(one) for one in world.out] == [ResolveOrders]
    world.work()
    world.run(60)
    assert (world.sizes(), world.stage()) == ({}, "contained")


def test_what_nobody_takes_is_not_asked_for_whole_again_and_again() -> None:
    """A signer counts what it signs, filled or not: an hour of it asks for three times the cut.
    The first fill then has all of the rest asked for, in one round."""
    world = desk()
    world.refuse = nobody_takes
    world.ask()
    world.run(3600)
    sizes = [o.size for c in world.sent(PlaceOrders) if c.venue == HL for o in c.orders]
    assert len(sizes) > 50
    assert sizes[:4] == [Decimal("0.30"), Decimal("0.30"), Decimal("0.15"), Decimal("0.07")]
    assert set(sizes[7:]) == {Decimal("0.01")}, "no lot is smaller"
    world.refuse = lambda _: None
    world.run(3700)
    assert (world.stage(), world.sizes()) == ("contained", {"BTC": "0.7"})
    later = [o.size for c in world.sent(PlaceOrders) if c.venue == HL for o in c.orders]
    assert later[len(sizes) :] == [Decimal("0.01"), Decimal("0.29")]


def test_an_ioc_that_meets_nobody_is_tried_again_and_then_incomplete() -> None:
    """New client ids each round."""
    world = desk()
    world.refuse = nobody_takes
    world.ask()
    world.run(60)
    assert world.stage() == "incomplete"
    assert "no liquidity" in world.notices[-1].summary
    ids = [o.client_id for c in world.sent(PlaceOrders) for o in c.orders]
    assert len(ids) == len(set(ids))
    world.refuse = lambda _: None
    world.run(120)
    assert (world.stage(), world.sizes()) == ("contained", {"BTC": "0.7"})


def test_contained_is_claimed_only_when_the_venue_shows_it() -> None:
    """Fills that were only said are not in the positions: never contained."""
    world = desk()

    def refuse(command: Command) -> KillFact | None:
        if not isinstance(command, PlaceOrders) or command.venue != HL:
            return None
        return OrdersAnswered(
            command_id=command.id,
            venue=command.venue,
            account=command.account,
            outcomes=tuple(
                OrderOutcome(client_id=o.client_id, end=OrderEnd.FILLED, filled_size=o.size)
                for o in command.orders
            ),
        )

    world.refuse = refuse
    world.ask()
    world.run(300)
    assert world.sizes() == {"BTC": "1"}
    assert world.stage() == "incomplete"
    assert "grown back" in world.notices[-1].description


def test_a_venue_that_shows_our_fill_some_seconds_late_is_waited_for() -> None:
    """No second cut on the old position."""
    world = desk()
    stale: list[AccountRead] = []

    def refuse(command: Command) -> KillFact | None:
        if command.venue != HL:
            return None
        if isinstance(command, PlaceOrders):
            stale.append(AccountRead(command_id="", truth=world.truth(MAIN)))
        placed = world.now - world.latch().runs["hyperliquid/main"].ordered_ns
        if isinstance(command, ReadAccount) and stale and placed < 4 * SECOND_NS:
            truth = msgspec.structs.replace(stale[0].truth, read_ns=world.now)
            return AccountRead(command_id=command.id, truth=truth)
        return None

    world.refuse = refuse
    world.ask()
    world.run(60)
    assert (world.stage(), world.sizes()) == ("contained", {"BTC": "0.7"})
    assert len([c for c in world.sent(PlaceOrders) if c.venue == HL]) == 1


def test_an_answer_older_than_our_own_last_command_is_not_used() -> None:
    """A read that left before the cancel was answered may miss it."""
    world = desk()
    state = {"reads": 0}

    def refuse(command: Command) -> KillFact | None:
        if isinstance(command, ReadAccount) and command.venue == HL:
            state["reads"] += 1
            if state["reads"] == 2:
                truth = world.truth(MAIN, read_ns=world.now - 1)
                return AccountRead(command_id=command.id, truth=truth)
        return None

    world.refuse = refuse
    world.pull(Level.REDUCE_ONLY)
    world.run(0.5)
    assert world.stage() == "executing" or world.stage() == "verifying"
    world.run(5)
    assert world.stage() == "contained"
    assert state["reads"] == 3


# ---------------------------------------------------------------------------- regrowth, caps


def test_what_grows_back_after_a_cut_stops_the_cutting_and_wants_a_person() -> None:
    """Cancels go on; a person's pull lets the cutting go on."""
    world = desk(msgspec.structs.replace(ARMED, watch_s=60.0))
    world.ask()
    world.run(30)
    world.positions[MAIN]["BTC"] = Decimal("0.9")
    world.rest("again", Side.BUY, "0.1")
    placed = len(world.sent(PlaceOrders))
    world.run(300)
    assert len(world.sent(PlaceOrders)) == placed
    assert world.resting() == []
    assert world.stage() == "incomplete"
    assert "BTC 0.9 after 0.7" in world.notices[-1].description
    world.pull(Level.CUT, gross_to=0.7)
    world.run(60)
    assert world.stage() == "contained"
    assert gross(world) <= 84_000


@pytest.mark.parametrize("level", [Level.CUT, Level.FLATTEN])
@pytest.mark.parametrize(
    ("market", "size"),
    [
        pytest.param("ETH", "50", id="where nothing was held"),
        pytest.param("xyz:GOLD", "-21", id="where nothing had to be cut"),
    ],
)
def test_what_is_opened_after_containment_is_not_contained(
    level: Level, market: str, size: str
) -> None:
    """A market that no cut of ours touched counts too: the goal was met without it."""
    world = World(msgspec.structs.replace(ARMED, watch_s=60.0)).hold(BTC="1", GOLD="-0.01")
    world.pull(level, gross_to=0.7 if level is Level.CUT else None)
    world.run(60)
    assert world.stage() == "contained"
    world.run(200)
    assert world.stage() == "contained"
    world.positions[MAIN][market] = Decimal(size)
    world.run(300)
    assert world.stage() == "incomplete"
    assert f"{market} {size} after" in world.notices[-1].description
    assert world.sizes()[market] == size, "a person decides"


def gross(world: World) -> float:
    """USD over all accounts, at the desk's one price per market."""
    return sum(
        abs(float(size)) * price_of(market)
        for held in world.positions.values()
        for market, size in held.items()
    )


@pytest.mark.parametrize(
    ("size", "stage"),
    [
        pytest.param("0.72", "contained", id="within the tolerance"),
        pytest.param("0.73", "incomplete", id="beyond it"),
        pytest.param("-0.03", "incomplete", id="the other side"),
        pytest.param("0.1", "contained", id="smaller is fine"),
    ],
)
def test_growth_is_judged_against_our_own_last_cut(size: str, stage: str) -> None:
    """Two hundredths of what there was when the trip began."""
    world = desk(msgspec.structs.replace(ARMED, watch_s=60.0))
    world.ask()
    world.run(30)
    world.positions[MAIN]["BTC"] = Decimal(size)
    world.run(100)
    assert world.stage() == stage


def test_turnover_is_capped_in_any_hour_and_goes_on_afterwards() -> None:
    """INCOMPLETE meanwhile; the rest when the hour allows."""
    world = desk(msgspec.structs.replace(ARMED, turnover_usd_per_hour=20_000.0))
    world.ask()
    world.run(120)
    traded = sum(one.usd for one in world.machine.state.turnover)
    assert 19_000 < traded <= 20_000
    assert world.stage() == "incomplete"
    world.run(4 * 3600)
    assert world.stage() == "contained"
    assert 83_000 < gross(world) <= 84_000


# ------------------------------------------------------------------------------ containment


def test_a_planner_with_a_bug_cancels_all_the_same_and_says_so() -> None:
    """The latch stays, the orders are gone, the page has the reason."""
    world = desk(planner=broken_planner)
    world.ask()
    world.run(60)
    assert (world.resting(), world.resting(SIDE)) == ([], [])
    assert world.stage() == "incomplete"
    assert "ZeroDivisionError" in world.notices[-1].description


def growing(target: Target, book: Book, limits: PlanLimits) -> Plan:
    """A planner whose orders open positions."""
    plan = cutter(target, book, limits)
    wrong = tuple(
        msgspec.structs.replace(
            one, side=Side.BUY if one.side is Side.SELL else Side.SELL, size=one.size * 9
        )
        for one in plan.orders
    )
    return msgspec.structs.replace(plan, orders=wrong)


def doubled(target: Target, book: Book, limits: PlanLimits) -> Plan:
    """A planner that sells each position twice."""
    plan = cutter(target, book, limits)
    whole = [msgspec.structs.replace(one, size=Decimal(1)) for one in plan.orders]
    again = [msgspec.structs.replace(one, leg=one.leg + "/2") for one in whole]
    return msgspec.structs.replace(plan, orders=(*whole, *again))


@pytest.mark.parametrize("planner", [growing, doubled])
def test_an_order_that_would_grow_or_flip_is_never_sent(planner) -> None:
    """Nothing here trusts a planner."""
    world = World(ARMED, planner).hold(BTC="1")
    world.ask()
    world.run(60)
    for command in world.sent(PlaceOrders):
        assert sum(order.size for order in command.orders) <= 1
        assert all(order.side is Side.SELL for order in command.orders)
    assert world.positions[MAIN]["BTC"] >= 0


def test_pages_of_an_incomplete_trip_come_again_at_growing_intervals() -> None:
    """One key; 5, 15, 30 min, then every hour."""
    world = desk(executable=())
    world.ask()
    world.run(1)
    pages: list[float] = []
    for minute in range(300):
        before = len(world.notices)
        world.run(60)
        if len(world.notices) > before:
            pages.append(minute + 1)
    assert pages == [5, 20, 50, 110, 170, 230, 290]
    assert len({notice.key for notice in world.notices}) == 1
    assert world.notices[-1].severity is Severity.CRITICAL


def test_halt_lists_what_is_left_unprotected() -> None:
    """A position without a reduce-only trigger, by name."""
    world = desk().hold(ETH="2")
    world.rest("stop", Side.SELL, "1", reduce_only=True, trigger=True)
    world.pull(Level.HALT, venue_subject(HL))
    world.run(10)
    assert "Unprotected: hyperliquid/main ETH." in world.notices[-1].description
    assert "BTC" not in world.notices[-1].description


def test_halt_takes_protective_stops_only_where_told_to() -> None:
    """And then names the position."""
    policy = msgspec.structs.replace(ARMED, halt_cancels_protective=True)
    world = desk(policy).rest("stop", Side.SELL, "1", reduce_only=True, trigger=True)
    world.pull(Level.HALT, venue_subject(HL))
    world.run(10)
    assert world.resting() == []
    assert "Unprotected: hyperliquid/main BTC." in world.notices[-1].description


def test_watching_goes_on_after_containment() -> None:
    """A bot that places again is cancelled again, and the page says so."""
    world = desk(msgspec.structs.replace(ARMED, watch_s=60.0))
    world.ask(ActionLevel.BLOCK_NEW)
    world.run(10)
    world.rest("again", Side.BUY, "0.5")
    world.run(61)
    assert world.resting() == []
    assert world.stage() == "contained"
    assert world.latch().scope == PORTFOLIO
    assert world.positions[SIDE] == {"ETH-USD": Decimal(5)}
    assert DYDX != HL


@pytest.mark.parametrize("barren", [(2, 1), (1, 2)], ids=["the first", "the second"])
def test_slices_pause_until_nothing_fills_anywhere(barren: tuple[int, int]) -> None:
    """As the halving does: one that fills less than the others does not hurry them."""

    def sliced(target: Target, book: Book, limits: PlanLimits) -> Plan:
        return msgspec.structs.replace(cutter(target, book, limits), sliced=True)

    world = World(planner=sliced).hold(BTC="1").hold(SIDE, ETH="5")
    world.pull(Level.CUT, gross_to=0.7)
    for run, times in zip(world.latch().runs.values(), barren, strict=True):
        run.barren = times
    world.work(passes=100)
    assert world.latch().round == 1
    assert world.latch().pause_ns > world.now
