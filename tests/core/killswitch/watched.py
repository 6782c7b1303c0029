"""A desk that checks, after every step, what must always hold of the kill machine.

What it knows it has from facts and commands alone, never from the machine's own state.
"""

from __future__ import annotations

from decimal import Decimal

from monitor.core.killswitch.book import AccountTruth
from monitor.core.killswitch.execution.orders import to_cancel
from monitor.core.killswitch.facts import (
    AccountRead,
    CancelOrders,
    CancelsAnswered,
    CommandFailed,
    KillFact,
    OrderEnd,
    OrdersAnswered,
    PlaceOrders,
    RearmConfirmed,
    ResolveOrders,
    Step,
)
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.machine import KillMachine
from monitor.core.killswitch.policy import DaemonMode
from monitor.core.killswitch.state import pack, unpack
from monitor.core.types import PORTFOLIO, Side
from tests.core.killswitch.kill_desk import World

Place = tuple[str, str]


class WatchedWorld(World):
    """``World`` with a twin machine that forgets all but its packed state before every fact."""

    def prepare(self) -> None:
        """Begin to watch."""
        self.twin = pack(self.machine.state)
        self.open: dict[Place, set[str]] = {}  # client ids whose end nobody was told
        self.client_ids: set[str] = set()
        self.command_ids: set[str] = set()
        self.placing: dict[str, set[str]] = {}  # by command
        self.last_read: dict[Place, AccountTruth | None] = {}
        self.last_change: dict[Place, int] = {}
        self.cancels: dict[Place, int] = {}

    def tell(self, fact: KillFact, *, blind: bool = False) -> Step:
        """Apply the fact, and check everything."""
        latched = {scope: one.level for scope, one in self.machine.state.latches.items()}
        trips = {one.trip_id for one in self.machine.state.latches.values()}
        self.note_fact(fact)
        step = super().tell(fact, blind=blind)
        self.check_twin(fact, step, blind=blind)
        self.check_latches(fact, latched)
        for command in step.commands:
            assert command.id not in self.command_ids, "a command id twice"
            self.command_ids.add(command.id)
            place = (command.venue, command.account)
            if isinstance(command, ResolveOrders):
                assert set(command.client_ids) <= self.open.get(place, set())
            else:
                assert not self.open.get(place), "something is sent beside an unknown order"
            if isinstance(command, PlaceOrders):
                self.check_orders(command, place)
            if isinstance(command, CancelOrders):
                assert command.orders
                self.cancels[place] = self.cancels.get(place, 0) + 1
                self.last_change[place] = self.now
        assert self.policy.mode is not DaemonMode.OBSERVE or not (step.commands or trips)
        assert step.wake_at_ns is None or step.wake_at_ns > self.now
        assert all(len(notice.summary) <= 120 for notice in step.notices)
        return step

    def note_fact(self, fact: KillFact) -> None:
        """What this fact tells about our orders and the account."""
        match fact:
            case AccountRead():
                place = (fact.truth.venue, fact.truth.account)
                if fact.truth.read_ns >= self.last_change.get(place, 0):
                    self.last_read[place] = fact.truth
            case OrdersAnswered():
                place = (fact.venue, fact.account)
                ended = {one.client_id for one in fact.outcomes if one.end is not OrderEnd.UNKNOWN}
                if ended & self.open.get(place, set()):
                    self.last_change[place] = self.now
                self.open.get(place, set()).difference_update(ended)
            case CommandFailed():
                place = (fact.venue, fact.account)
                # One that comes too late tells nobody: what became of the orders is asked anyway.
                if not fact.uncertain and self.is_awaited(fact.command_id):
                    self.open.get(place, set()).difference_update(
                        self.placing.get(fact.command_id, set())
                    )
            case CancelsAnswered():
                self.last_change[(fact.venue, fact.account)] = self.now
            case _:
                pass

    def is_awaited(self, command_id: str) -> bool:
        """Whether a run still waits for the answer to a command."""
        latches = self.machine.state.latches.values()
        return any(run.inflight == command_id for one in latches for run in one.runs.values())

    def check_twin(self, fact: KillFact, step: Step, *, blind: bool) -> None:
        """The same facts give the same step, and packing changes nothing."""
        twin = KillMachine(self.policy, self.planner, unpack(self.twin))
        other = twin.apply(fact, self.now, None if blind else self.book())
        assert other == step
        self.twin = twin.packed()
        assert self.twin == self.machine.packed()
        assert twin.trading_state(self.now) == self.machine.trading_state(self.now)

    def check_latches(self, fact: KillFact, before: dict[str, Level]) -> None:
        """Only a confirmed re-arm clears; no level ever falls; the more restrictive wins."""
        now = {scope: one.level for scope, one in self.machine.state.latches.items()}
        gone = set(before) - set(now)
        assert not gone or (isinstance(fact, RearmConfirmed) and len(gone) == 1)
        assert all(now[scope] >= level for scope, level in before.items() if scope in now)
        for scope, level in now.items():
            assert self.machine.effective(self.machine.state.latches[scope].scope) >= level
        overall = self.machine.trading_state(self.now)
        assert overall.level >= now.get(PORTFOLIO, Level.NORMAL)
        assert overall.valid_until_ns - self.now == 15_000_000_000

    def check_orders(self, command: PlaceOrders, place: Place) -> None:
        """Orders reduce what a fresh read showed, once, after the cancels were verified."""
        latch = next(
            one for one in self.machine.state.latches.values() if one.trip_id == command.trip_id
        )
        truth = self.last_read.get(place)
        assert truth is not None, "placed without a read"
        assert truth.read_ns >= self.last_change.get(place, 0), "placed on an old read"
        left = to_cancel(
            truth,
            latch.scope,
            latch.level,
            lambda _, market: market.removesuffix("-USD"),
            share_left=latch.target_ratio if latch.level is Level.CUT else 1.0,
        )
        tried = self.cancels.get(place, 0)
        assert not left or tried >= self.policy.cancel_attempts, "placed before the cancels"
        taken: dict[str, Decimal] = {}
        for order in command.orders:
            assert order.client_id not in self.client_ids, "a client id twice"
            assert order.expires_at_ns > self.now
            self.client_ids.add(order.client_id)
            size = {one.market: one.size for one in truth.positions}[order.market]
            assert order.side is (Side.SELL if size > 0 else Side.BUY)
            taken[order.market] = taken.get(order.market, Decimal(0)) + order.size
            assert 0 < taken[order.market] <= abs(size)
        self.open[place] = {one.client_id for one in command.orders}
        self.placing[command.id] = set(self.open[place])
        self.last_change[place] = self.now
