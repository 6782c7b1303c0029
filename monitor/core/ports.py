"""What the pure parts ask of the shell, and what siblings of the shell ask of each other.

A venue is data plus pure functions: a connection is a ``StreamProtocol``, a REST re-read a
``Poll``. Neither has a coroutine, a clock or a socket; the drivers in ``runtime`` own those.
*Pure.*
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Protocol

import msgspec

from monitor.core.decision import Decision
from monitor.core.errors import FeedError
from monitor.core.events import Event
from monitor.core.killswitch.facts import AuditEntry, Command, KillFact, KillNotice
from monitor.core.types import EngineNs


class Clock(Protocol):
    """Time and sleeping as arguments; ``ManualClock`` in tests, the system's in production."""

    def now(self) -> EngineNs:
        """Engine time, nanoseconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds`` of engine time."""
        ...


class Refresh(msgspec.Struct, frozen=True, gc=False):
    """Run the poll named ``poll`` once, ``after_s`` from now, besides its own period."""

    poll: str
    after_s: float = 0.0


class Output(msgspec.Struct, frozen=True, gc=False):
    """What a protocol object wants after one input.

    ``fault`` makes the driver reconnect (transient, gap) or quarantine (auth); a ``DecodeError`` is
    reported as ``FrameRejected`` and the connection goes on until the driver's limit.
    """

    events: tuple[Event, ...] = ()
    send: tuple[bytes, ...] = ()
    fault: FeedError | None = None
    refresh: tuple[Refresh, ...] = ()


NOTHING = Output()


class StreamProtocol(Protocol):
    """One venue connection as a state machine. No I/O, no clock; the driver calls, it answers."""

    venue: str
    name: str  # unique in the process, e.g. "hyperliquid/market-1"; label of logs and metrics
    url: str
    silence_s: float  # no frame of any kind for this long is a dead socket

    def connected(self, now: EngineNs) -> Output:
        """The socket is open: subscriptions to send."""
        ...

    def received(self, frame: bytes, now: EngineNs) -> Output:
        """One text or binary frame. Raises nothing but ``FeedError`` (the driver treats it as the
        fault); anything else is contained to this feed as a bug."""
        ...

    def heartbeat(self, now: EngineNs) -> Output:
        """A WebSocket control frame (ping or pong) came from the venue."""
        ...

    def tick(self, now: EngineNs) -> Output:
        """Called about once a second: pings due, acknowledgements overdue, gaps to judge."""
        ...

    def disconnected(self, reason: str, now: EngineNs) -> Output:
        """The socket is gone: forget per-connection state; events say what is no longer current."""
        ...


class Request(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One HTTP request. ``url`` is absolute; ``weight`` is what it costs of the venue's budget.
    A ``patient`` one is of history: it leaves the budget to whatever is about now."""

    method: str
    url: str
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    weight: float = 1.0
    timeout_s: float = 10.0
    patient: bool = False


class Response(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One HTTP answer with the time it took, so that clock skew can be judged."""

    status: int
    headers: tuple[tuple[str, str], ...]  # names in lower case
    body: bytes
    elapsed_s: float = 0.0

    def header(self, name: str) -> str | None:
        """The first header of that (lower-case) name."""
        return next((value for key, value in self.headers if key == name), None)


class PollOutput(msgspec.Struct, frozen=True, gc=False):
    """What a poll made of an answer; ``then`` is the next page, asked before the period ends.

    ``pause_s`` > 0 where the venue's headers say that its budget is nearly spent: no read of this
    venue for so long.
    """

    events: tuple[Event, ...] = ()
    then: Request | None = None
    refresh: tuple[Refresh, ...] = ()
    pause_s: float = 0.0


class Poll(Protocol):
    """One REST fact re-read again and again. Pure: request out, response in."""

    venue: str
    name: str  # unique in the process, e.g. "hyperliquid/account/main"
    period_s: float

    def request(self, now: EngineNs) -> Request:
        """The (first) request of a round."""
        ...

    def received(self, response: Response, now: EngineNs) -> PollOutput:
        """Events of one answer. Raises ``FeedError``: transient (retried with backoff, honouring
        ``retry_after_s``), ``DecodeError`` (reported, kept, retried at the period), ``AuthError``
        (not retried; at start it is the operator's mistake and its text is what they read)."""
        ...


class RateBudget(msgspec.Struct, frozen=True, kw_only=True):
    """A venue's request budget: ``capacity`` weight per ``window_s``, of which ``reserve`` may be
    used by the kill path alone. ``connects_per_minute`` is how many WebSockets may be opened in
    any minute, refused ones included; None where the venue has no such limit."""

    capacity: float
    window_s: float
    reserve: float
    connects_per_minute: int | None = None


class Venue(Protocol):
    """One venue, composed. Pure; ``app.wiring`` makes it, ``runtime`` drives it."""

    name: str
    budget: RateBudget

    def bootstrap(self) -> tuple[Poll, ...]:
        """Polls that must each succeed once, in order, before anything else can be planned
        (market universe, account roles). They keep what they learn inside the venue object."""
        ...

    def streams(self) -> tuple[StreamProtocol, ...]:
        """The connections to hold, once bootstrapped."""
        ...

    def polls(self) -> tuple[Poll, ...]:
        """The periodic re-reads, once bootstrapped."""
        ...


class EventSink(Protocol):
    """Where drivers put what they learned: the writer. Synchronous; it applies at once."""

    def submit(self, events: tuple[Event, ...]) -> None:
        """Apply these facts now and have them evaluated when the read batch is done."""
        ...


class DecisionListener(Protocol):
    """Who wants every decision that is not quiet: notifications, store, logs."""

    def decided(self, decision: Decision) -> None:
        """Called on the loop after each evaluation with something in it; must not block."""
        ...


# ------------------------------------------------------- what is kept, and what is to be told


class RuleStateRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """State of one rule about one subject as the engine packs it; opaque to everyone else.

    ``definition_hash`` tells after a restart whether the rule is still the one it was.
    """

    rule: str
    subject: str
    definition_hash: str
    state: bytes


class AlertRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One alert that must go on being sent after a restart; ``identity`` hashes its labels."""

    identity: str
    alert: bytes


class OutboxEntry(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One notification, written down before it leaves.

    ``id`` is derived from what happened, so that the same decision gives the same id in any
    process; receivers drop what they have seen. ``urgency`` 0 is the most urgent. Entries of one
    ``identity`` leave in order. ``channels`` are those it is owed to.
    """

    id: str
    identity: str
    urgency: int
    created_ns: EngineNs
    notice: bytes
    channels: tuple[str, ...]


class Phase(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """All that one decision changed, kept in one transaction or not at all.

    ``memories`` are named snapshots of what the engine must not forget (drawdown peaks).
    ``kill_state`` is the kill machine's whole packed state where it changed (latches and intents),
    and ``audit`` what is to be chained to the audit with it.
    """

    at_ns: EngineNs
    rule_states: tuple[RuleStateRow, ...] = ()
    rule_states_gone: tuple[tuple[str, str], ...] = ()  # (rule, subject)
    alerts: tuple[AlertRow, ...] = ()
    alerts_gone: tuple[str, ...] = ()  # identities
    entries: tuple[OutboxEntry, ...] = ()
    memories: tuple[tuple[str, bytes], ...] = ()
    kill_state: bytes | None = None
    audit: tuple[AuditEntry, ...] = ()

    @property
    def empty(self) -> bool:
        """True when there is nothing to keep."""
        return not (
            self.rule_states
            or self.rule_states_gone
            or self.alerts
            or self.alerts_gone
            or self.entries
            or self.memories
            or self.kill_state is not None
            or self.audit
        )


class PendingDelivery(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One (entry, channel) that was not settled before the restart; ``entry.channels`` are all
    channels the entry was ever owed to."""

    entry: OutboxEntry
    channel: str
    attempts: int


class DeliveryState(enum.StrEnum):
    """Where one (entry, channel) stands. All but PENDING are final."""

    PENDING = "pending"
    DELIVERED = "delivered"
    REJECTED = "rejected"  # the channel will never accept it
    SUPERSEDED = "superseded"  # a newer notice of the same alert says it all
    DIGESTED = "digested"  # counted in a digest instead


class DeliveryMark(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What became of one attempt. ``error`` names the reason in words without secrets."""

    entry_id: str
    channel: str
    state: DeliveryState
    attempts: int
    at_ns: EngineNs
    error: str = ""
    next_try_ns: EngineNs | None = None


class PhaseStore(Protocol):
    """Keeps a phase durably before anything of it leaves."""

    async def persist(self, phase: Phase) -> None:
        """One transaction, all or nothing. Raises ``StoreError`` when it failed or the deadline
        passed; after a passed deadline the phase may still be kept later."""
        ...


class Outbox(Protocol):
    """The durable side of notification: what is owed, and what became of it."""

    async def pending(self) -> tuple[PendingDelivery, ...]:
        """Every unsettled (entry, channel), most urgent and then oldest first."""
        ...

    async def mark(
        self,
        marks: tuple[DeliveryMark, ...],
        entries: tuple[OutboxEntry, ...] = (),
        owed: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """One transaction: attempts noted, new ``entries`` (digests) kept, and known entries
        ``owed`` to a further channel, as (entry id, channel). Raises ``StoreError``."""
        ...


class JournalSink(Protocol):
    """Where the writer puts encoded journal records, in order. Never blocks."""

    @property
    def wants_segment(self) -> bool:
        """True when the segment is full: call ``start_segment`` at the next batch boundary."""
        ...

    def start_segment(self, opening: bytes) -> None:
        """Begin a new segment with a snapshot from which the records after it can be replayed."""
        ...

    def append(self, record: bytes) -> None:
        """Keep one record; a lost one leaves a counted gap that readers see."""
        ...


# --------------------------------------------------------------------------------- kill path


class Executor(Protocol):
    """One way of acting on the accounts of one venue. What the venue refuses, and what nobody can
    know yet, is a fact and not an exception; only a bug raises."""

    venue: str

    def acts_for(self, account: str) -> bool:
        """True when orders of this account can be cancelled and reduced from here now."""
        ...

    async def run(self, command: Command) -> KillFact:
        """Do it and say what came of it: ``AccountRead``, ``CancelsAnswered``, ``OrdersAnswered``
        or ``CommandFailed``. Ends within its own deadline, whatever the venue does."""
        ...


class KillPages(Protocol):
    """How the kill switch is heard: its notices join the phase that they are of."""

    def prepare(self, notices: Sequence[KillNotice]) -> Phase:
        """What the notices change and owe."""
        ...

    def leave(self, entries: tuple[OutboxEntry, ...]) -> None:
        """They were kept, or could not be: they leave now."""
        ...


class SecondCopy(Protocol):
    """Where the kill machine's state goes when the store cannot keep it."""

    async def write(self, state: bytes, at_ns: EngineNs) -> None:
        """Durable when it returns. Raises ``StoreError``."""
        ...
