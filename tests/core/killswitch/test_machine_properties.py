"""Whatever the rules, the people and the venues do, and in whatever order: what must always hold.

``WatchedWorld`` checks after every step; the machine below invents the steps.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from monitor.core.decision import ActionLevel, RuleMode
from monitor.core.killswitch.facts import (
    AccountRead,
    CancelOrders,
    Command,
    KillFact,
    OrderEnd,
    OrderOutcome,
    OrdersAnswered,
    PlaceOrders,
    RearmConfirmed,
    RearmRequested,
    ResolveOrders,
    TimePassed,
)
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.plan import Planner
from monitor.core.killswitch.planner import plan_cut
from monitor.core.killswitch.policy import DaemonMode
from monitor.core.types import (
    PORTFOLIO,
    SECOND_NS,
    Side,
    asset_subject,
    market_subject,
    venue_subject,
)
from tests.core.killswitch.kill_desk import ACCOUNT, ARMED, DYDX, HL, MAIN, SIDE, World, cutter
from tests.core.killswitch.watched import WatchedWorld

SCOPES = (
    PORTFOLIO,
    venue_subject(HL),
    venue_subject(DYDX),
    ACCOUNT,
    asset_subject("BTC"),
    market_subject(HL, "ETH"),
)
PLACES = (MAIN, SIDE)
MARKETS = {MAIN: ("BTC", "ETH", "xyz:GOLD"), SIDE: ("BTC-USD", "ETH-USD")}
sizes = st.integers(-40, 40).map(lambda one: Decimal(one) / 10)


class Storm(RuleBasedStateMachine):
    """Rules ask, people pull and re-arm, venues answer, refuse, lie late or not at all."""

    mode = DaemonMode.ARMED
    planner: Planner = staticmethod(cutter)

    @initialize(held=st.lists(sizes, min_size=5, max_size=5))
    def begin(self, held: list[Decimal]) -> None:
        policy = msgspec.structs.replace(
            ARMED,
            mode=self.mode,
            watch_s=60.0,
            cancel_attempts=2,
            read_attempts=2,
            rounds_max=6,
            slice_pause_s=2.0,
            cool_down_s=30.0,
        )
        self.world = WatchedWorld(policy, type(self).planner)
        self.world.prepare()
        markets = [(place, market) for place in PLACES for market in MARKETS[place]]
        for (place, market), size in zip(markets, held, strict=True):
            self.world.positions[place][market] = size
        self.count = 0
        self.late: list[KillFact] = []

    def next_name(self) -> str:
        self.count += 1
        return f"n-{self.count:08d}"

    # --------------------------------------------------------------------------- who asks

    @rule(
        level=st.sampled_from([one for one in ActionLevel if one is not ActionLevel.PAGE]),
        mode=st.sampled_from(RuleMode),
        subject=st.sampled_from(SCOPES),
        scope=st.sampled_from(SCOPES),
        gross_to=st.sampled_from([0.2, 0.5, 0.7]),
        span=st.sampled_from([0.0, 19.0, 20.0]),
        name=st.sampled_from(["a", "b"]),
        epoch=st.integers(0, 2),
        capped=st.booleans(),
    )
    def rule_asks(self, level, mode, subject, scope, gross_to, span, name, epoch, capped) -> None:
        self.world.ask(
            level,
            rule=name,
            mode=mode,
            subject=subject,
            scope=scope,
            gross_to=gross_to,
            seen=(0.0, span),
            epoch=float(epoch),
            capped=capped,
        )

    @rule(name=st.sampled_from(["a", "b"]), subject=st.sampled_from(SCOPES))
    def rule_ends(self, name, subject) -> None:
        self.world.end(name, subject)

    @rule(level=st.sampled_from(Level), scope=st.sampled_from(SCOPES))
    def person_pulls(self, level, scope) -> None:
        self.world.pull(level, scope, gross_to=0.5, pull_id=self.next_name())

    @rule(yes=st.booleans(), which=st.integers(0, 3))
    def person_answers(self, yes, which) -> None:
        names = list(self.world.machine.state.proposals) or ["p-none"]
        self.world.approve(names[which % len(names)], yes=yes)

    @rule(scope=st.sampled_from(SCOPES), right=st.booleans(), unmet=st.booleans())
    def person_rearms(self, scope, right, unmet) -> None:
        nonce = self.next_name()
        self.world.tell(RearmRequested(principal="ann", scope=scope, nonce=nonce))
        self.world.tell(
            RearmConfirmed(
                principal="bob",
                nonce=nonce if right else "another",
                reason="checked",
                unmet=("funding",) if unmet else (),
            )
        )

    # -------------------------------------------------------------------------- the venues

    @rule(
        place=st.sampled_from(PLACES),
        side=st.sampled_from(Side),
        size=st.integers(1, 20),
        which=st.integers(0, 2),
        reduce_only=st.booleans(),
        trigger=st.booleans(),
    )
    def desk_orders(self, place, side, size, which, reduce_only, trigger) -> None:
        markets = MARKETS[place]
        self.world.rest(
            self.next_name(),
            side,
            str(Decimal(size) / 10),
            market=markets[which % len(markets)],
            place=place,
            reduce_only=reduce_only,
            trigger=trigger,
        )

    @rule(place=st.sampled_from(PLACES), which=st.integers(0, 2), size=sizes)
    def desk_trades(self, place, which, size) -> None:
        markets = MARKETS[place]
        self.world.positions[place][markets[which % len(markets)]] = size

    @rule(places=st.sets(st.sampled_from(PLACES)), dark=st.sets(st.sampled_from(PLACES)))
    def reach_changes(self, places, dark) -> None:
        self.world.executable, self.world.dark = tuple(sorted(places)), tuple(sorted(dark))

    @rule(seconds=st.sampled_from([0.5, 1.0, 5.0, 20.0, 60.0, 400.0]))
    def time_passes(self, seconds) -> None:
        self.world.now += round(seconds * SECOND_NS)
        self.world.tell(TimePassed())

    @precondition(lambda self: self.world.out)
    @rule(
        which=st.integers(0, 5),
        how=st.sampled_from(["well", "well", "refused", "lost", "unknown", "old", "late"]),
        slow_s=st.sampled_from([0.0, 0.1, 2.0]),
    )
    def venue_answers(self, which, how, slow_s) -> None:
        command = self.world.out.pop(which % len(self.world.out))
        self.world.now += round(slow_s * SECOND_NS)
        fact = answer(self.world, command, how)
        if how == "late":
            self.late.append(fact)
        else:
            self.world.tell(fact)

    @precondition(lambda self: self.late)
    @rule()
    def late_answer_comes(self) -> None:
        self.world.tell(self.late.pop(0))

    @rule(blind=st.booleans())
    def process_is_killed(self, blind) -> None:
        """All that was under way is lost; what was kept is not."""
        self.world.out.clear()
        self.world.tell(TimePassed(restarted=True), blind=blind)

    @rule()
    def venue_recovers_and_all_is_done(self) -> None:
        """From any state, with venues that work, every trip of a reachable desk comes to rest."""
        self.world.executable, self.world.dark = PLACES, ()
        self.world.run(300)
        if self.mode is not DaemonMode.OBSERVE:
            latches = self.world.machine.state.latches.values()
            unknown = {one.stage.value for one in latches if not one.found}
            assert "contained" not in {
                one.stage.value for one in latches if not one.found and one.level > Level.CAUTION
            }
            assert unknown <= {"tripped", "contained", "incomplete", "rearm_requested"}
            stages = {one.stage.value for one in latches if one.found}
            assert stages <= {"contained", "incomplete", "rearm_requested"}, stages


def answer(world: World, command: Command, how: str) -> KillFact:
    """What a venue says, or what is made of its silence."""
    if how == "refused":
        return world.fail(command, retry_after_s=3.0)
    if how == "lost":  # it may or may not have arrived
        if isinstance(command, (PlaceOrders, CancelOrders)):
            world.carry_out(command)
        return world.fail(command, "timeout", uncertain=True)
    if how == "unknown" and isinstance(command, (PlaceOrders, ResolveOrders)):
        if isinstance(command, PlaceOrders):
            world.carry_out(command)
            ids = tuple(one.client_id for one in command.orders)
        else:
            ids = command.client_ids
        outcomes = tuple(OrderOutcome(client_id=one, end=OrderEnd.UNKNOWN) for one in ids)
        return OrdersAnswered(
            command_id=command.id,
            venue=command.venue,
            account=command.account,
            outcomes=outcomes,
        )
    fact = world.carry_out(command)
    if how == "old" and isinstance(fact, AccountRead):
        truth = msgspec.structs.replace(fact.truth, read_ns=fact.truth.read_ns - 30 * SECOND_NS)
        return msgspec.structs.replace(fact, truth=truth)
    return fact


class ObservedStorm(Storm):
    """The same in observe: nothing is latched, nothing is sent."""

    mode = DaemonMode.OBSERVE


class PlannedStorm(Storm):
    """The same with the house's planner."""

    planner: Planner = staticmethod(plan_cut)


LIMITS = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestStorm = Storm.TestCase
TestStorm.settings = LIMITS
TestObservedStorm = ObservedStorm.TestCase
TestObservedStorm.settings = settings(LIMITS, max_examples=10)
TestPlannedStorm = PlannedStorm.TestCase
TestPlannedStorm.settings = settings(LIMITS, max_examples=15)
