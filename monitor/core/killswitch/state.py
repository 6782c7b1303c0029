"""What the kill switch must never forget: latches, runs, intents, holds, and who asked for what.

Everything is plain data that packs to msgpack with a version. The machine changes it in place and
the driver keeps ``pack(state)`` before anything leaves. Times are engine nanoseconds. *Pure.*
"""

from __future__ import annotations

import enum
import hashlib
from decimal import Decimal

import msgspec

from monitor.core.decision import ActionLevel, Because, RuleMode
from monitor.core.errors import StoreError
from monitor.core.killswitch.book import AccountTruth, Look, WorkingOrder
from monitor.core.killswitch.facts import ReduceOrder
from monitor.core.killswitch.levels import Level
from monitor.core.types import PORTFOLIO, EngineNs, Severity, Subject

VERSION = 1


class Stage(enum.StrEnum):
    """Where one latch stands. Without a latch a scope is ARMED (or DISARMED in observe)."""

    DISARMED = "disarmed"
    ARMED = "armed"
    TRIPPED = "tripped"
    EXECUTING = "executing"
    VERIFYING = "verifying"
    CONTAINED = "contained"
    INCOMPLETE = "incomplete"
    REARM_REQUESTED = "rearm_requested"


class Work(enum.StrEnum):
    """What one account's run does now."""

    IDLE = "idle"  # settled; ``Run.wake_ns`` says when it is looked at again
    READ = "read"
    CANCEL = "cancel"
    READY = "ready"  # cancels verified; waits for a plan
    PLACE = "place"
    RESOLVE = "resolve"


class Outcome(enum.StrEnum):
    """How a run last ended, from the venue's own data."""

    NONE = "none"
    CONTAINED = "contained"
    INCOMPLETE = "incomplete"


class Residual(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What is left in one account that the trip wanted gone, in words for a page."""

    reason: str
    market: str = ""
    usd: float | None = None


class Intent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One order that may have been sent and whose end is not known yet."""

    order: ReduceOrder
    round: int
    leg: str
    notional_usd: float


class Run(msgspec.Struct, kw_only=True):
    """The execution of one trip in one account.

    ``serial`` numbers its commands. ``deadline_ns`` is when a missing answer counts as uncertain,
    ``wait_ns`` when the next command may leave. ``bases`` are sizes when the round was planned,
    ``floors`` what our own fills left, ``met`` what was held when the goal was met, ``firsts``
    unsigned sizes when the trip first looked. ``grown`` says what is held beside ``met`` that no
    hedge is. ``twins`` are markets in which it comes down together with another account: all that
    comes down here once ``cut_done``. ``in_the_way`` are reduce-only orders that a cut has to take
    away, since they would take off the same position. ``look`` is what the next look is at:
    positions alone between rounds, since lists of orders cost most of it and a cut in a thin book
    takes many; orders everywhere, where the proof lacks those of what is idle. ``trying_ns`` is
    when the first command left since anything had an effect, and ``trouble`` what stood in the way
    last.
    """

    venue: str
    account: str
    work: Work = Work.READ
    outcome: Outcome = Outcome.NONE
    reachable: bool = False
    serial: int = 0
    tries: int = 0
    cancel_tries: int = 0
    barren: int = 0
    failures: int = 0
    inflight: str = ""
    deadline_ns: EngineNs = 0
    wait_ns: EngineNs = 0
    wake_ns: EngineNs | None = None
    ordered_ns: EngineNs = 0
    verifying: bool = False
    given_up: bool = False
    look: Look = Look.USUAL
    cut_done: bool = False
    stopped: str = ""
    grown: str = ""
    truth: AccountTruth | None = None
    cancels: tuple[WorkingOrder, ...] = ()
    in_the_way: tuple[str, ...] = ()
    twins: tuple[str, ...] = ()
    trying_ns: EngineNs | None = None
    trouble: str = ""
    intents: list[Intent] = msgspec.field(default_factory=list)
    bases: dict[str, Decimal] = msgspec.field(default_factory=dict)
    floors: dict[str, Decimal] = msgspec.field(default_factory=dict)
    met: dict[str, Decimal] = msgspec.field(default_factory=dict)
    firsts: dict[str, Decimal] = msgspec.field(default_factory=dict)
    residuals: tuple[Residual, ...] = ()

    @property
    def key(self) -> str:
        """``hyperliquid/main``."""
        return f"{self.venue}/{self.account}"

    @property
    def share_met(self) -> bool:
        """True when nothing more is to be cut here, by itself or with a twin."""
        return self.cut_done and not self.twins

    @property
    def changing(self) -> bool:
        """True while something that changes the account is under way, or may be."""
        return bool(self.intents) or (
            self.inflight != "" and self.work in {Work.CANCEL, Work.PLACE, Work.RESOLVE}
        )

    def resolve(self, now: EngineNs) -> None:
        """Before anything else: find out what became of the orders that are out."""
        self.work, self.inflight, self.tries, self.wait_ns = Work.RESOLVE, "", 0, now


class Cause(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Who asked for a level, when and why: a rule, or a person by name."""

    actor: str
    level: Level
    at_ns: EngineNs
    reason: str = ""
    gross_to_ratio: float | None = None
    gross_to_usd: float | None = None
    pull_id: str = ""
    rule_hash: str = ""
    confirmed_by: str = ""  # observations and sources, in words for the record
    approved: bool = False  # a person approved what a rule proposed


class Offer(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A re-arm that was asked for; ``digest`` is of the nonce, which is not kept itself."""

    digest: str
    principal: str
    expires_ns: EngineNs


class Latch(msgspec.Struct, kw_only=True):
    """One trip over one scope. Only a person's re-arm takes it away.

    ``asked_ns`` is when it last rose or its goal fell: what was read before proves nothing of that.
    ``baseline_usd`` is the scope's gross when a target was first asked for, and ``baselines`` the
    part of each position in it; targets do not add. ``based`` are the accounts that are counted in
    it, each from its first truth, and ``unpriced`` positions of theirs that had no price yet.
    ``gross_to_usd`` is the lowest gross that a rule named in USD, beside the lowest share.
    ``gate_ns`` is when the first account was ready for the next plan. ``found`` is whether anything
    in this scope was ever known. ``told`` is a digest of what the last page said.
    """

    trip_id: str
    scope: Subject
    level: Level
    since_ns: EngineNs
    asked_ns: EngineNs = 0
    stage: Stage = Stage.TRIPPED
    causes: list[Cause] = msgspec.field(default_factory=list)
    gross_to_ratio: float | None = None
    gross_to_usd: float | None = None
    baseline_usd: float | None = None
    baselines: dict[str, float] = msgspec.field(default_factory=dict)
    based: tuple[str, ...] = ()
    unpriced: tuple[str, ...] = ()
    goal_usd: float | None = None
    enumerated: bool = False
    found: bool = False
    round: int = 0
    burst: int = 0
    runs: dict[str, Run] = msgspec.field(default_factory=dict)
    gate_ns: EngineNs | None = None
    pause_ns: EngineNs = 0
    plan_notes: tuple[str, ...] = ()
    offer: Offer | None = None
    escalations: int = 0
    escalate_ns: EngineNs | None = None
    told: str = ""

    @property
    def cutting(self) -> bool:
        """True for the levels that bring positions down."""
        return self.level in {Level.CUT, Level.FLATTEN}

    @property
    def target_ratio(self) -> float:
        """The share of the baseline that may stay."""
        if self.level is Level.FLATTEN:
            return 0.0
        ratio = 1.0 if self.gross_to_ratio is None else self.gross_to_ratio
        if self.gross_to_usd is not None and self.baseline_usd:
            ratio = min(ratio, self.gross_to_usd / self.baseline_usd)
        return ratio


class Ask(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a rule asked for, as the machine judged it: action, and the scope it may reach.

    Where ``part`` is set, ``gross_to_usd`` is how far this part goes, on the way to
    ``gross_to_measure``.
    """

    rule: str
    subject: Subject
    scope: Subject
    action: ActionLevel
    level: Level
    gross_to_ratio: float | None
    epoch_ns: EngineNs
    rule_hash: str = ""
    evidence: str = ""
    confirmed_by: str = ""
    because: Because = Because.DATA
    gross_to_usd: float | None = None
    gross_to_measure: str = ""  # which measure of ``subject`` said so
    severity: Severity = Severity.CRITICAL
    mode: RuleMode = RuleMode.ACT  # what the rule itself may do, whatever the desk says
    over_s: float = 0.0
    part: int = 0  # of those that a cut over a time is proposed in, from 1; 0: it is one whole

    @property
    def key(self) -> str:
        """One rule about one subject."""
        return f"{self.rule}|{self.subject}"


class Hold(msgspec.Struct, kw_only=True):
    """REDUCE_ONLY over a scope because its data is bad, or because of a risk that is known (which
    bars no hedge); goes by itself. ``removed`` when its rule is in no rulebook any more: then only
    a person can say that it is over. ``told`` where a page of its own says so."""

    rule: str
    subject: Subject
    scope: Subject
    since_ns: EngineNs
    epoch_ns: EngineNs
    over_ns: EngineNs | None = None
    removed: bool = False
    because: Because = Because.DATA
    told: bool = True

    @property
    def lasts(self) -> bool:
        """True while its rule asks for it."""
        return self.over_ns is None and not self.removed


class Pending(msgspec.Struct, kw_only=True):
    """A level of 3 or more that waits for its confirmation, or for the end of a cool-down.
    ``paged`` once people were told that it waits for its amount."""

    ask: Ask
    first_ns: EngineNs | None = None
    last_ns: EngineNs | None = None
    confirmed: bool = False
    not_before_ns: EngineNs = 0
    paged: bool = False


class Proposal(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A rule in ``propose`` waits for a person; ``words`` is its plan and cost."""

    id: str
    ask: Ask
    expires_ns: EngineNs
    words: str


class Series(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A cut over a time: ``ask`` is its next part, proposed from ``due_ns`` on, or before people
    now as ``proposal``. ``unknown_ns`` is since when it waits for an amount, ``paged`` once people
    were told so, ``known_ns`` since when the amount is known again while that page stands."""

    ask: Ask
    due_ns: EngineNs
    proposal: str = ""
    unknown_ns: EngineNs | None = None
    known_ns: EngineNs | None = None
    paged: bool = False


class Heard(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The level that an episode of a rule was already given, so that repetition changes nothing."""

    epoch_ns: EngineNs
    level: Level


class Turnover(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What one of our orders traded."""

    at_ns: EngineNs
    trip_id: str
    usd: float


class Regrowth(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A scope that was cut and re-armed: gross at the re-arm, and at the first entry before it."""

    at_ns: EngineNs
    from_usd: float
    to_usd: float


class Sight(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What the last book showed and the trading state needs: (venue, account, market, asset) held
    or on order, and the accounts whose positions are old."""

    legs: tuple[tuple[str, str, str, str], ...] = ()
    dark: tuple[tuple[str, str], ...] = ()


class KillState(msgspec.Struct, kw_only=True):
    """All of it. ``touched`` is when an account was last changed by us, by any trip."""

    sequence: int = 0
    latches: dict[str, Latch] = msgspec.field(default_factory=dict)  # by scope
    holds: dict[str, Hold] = msgspec.field(default_factory=dict)  # by rule|subject
    pendings: dict[str, Pending] = msgspec.field(default_factory=dict)  # by rule|subject
    proposals: dict[str, Proposal] = msgspec.field(default_factory=dict)  # by id
    series: dict[str, Series] = msgspec.field(default_factory=dict)  # by rule|subject
    heard: dict[str, Heard] = msgspec.field(default_factory=dict)  # by rule|subject
    would: dict[str, Heard] = msgspec.field(default_factory=dict)  # by rule|subject
    rearmed: dict[str, EngineNs] = msgspec.field(default_factory=dict)  # by scope
    pulls: dict[str, EngineNs] = msgspec.field(default_factory=dict)  # by pull id
    touched: dict[str, EngineNs] = msgspec.field(default_factory=dict)  # by venue/account
    turnover: list[Turnover] = msgspec.field(default_factory=list)
    sight: Sight = Sight()
    hold_offers: dict[str, Offer] = msgspec.field(default_factory=dict)  # by held scope
    regrowth: dict[str, Regrowth] = msgspec.field(default_factory=dict)  # by scope

    @property
    def waiting(self) -> list[Ask]:
        """What rules asked for and was not done yet: for confirmation, approval or its time."""
        return [
            *(one.ask for one in self.pendings.values()),
            *(one.ask for one in self.proposals.values()),
            *(one.ask for one in self.series.values()),
        ]

    @property
    def amounts(self) -> set[tuple[str, Subject]]:
        """(measure, subject) of the amounts that cuts wait with, for approval or their time."""
        return {(ask.gross_to_measure, ask.subject) for ask in self.waiting if ask.gross_to_measure}


class _Packed(msgspec.Struct, kw_only=True):
    version: int
    state: msgspec.Raw


_ENCODER = msgspec.msgpack.Encoder()
_PACKED = msgspec.msgpack.Decoder(_Packed)
_STATE = msgspec.msgpack.Decoder(KillState)


def pack(state: KillState) -> bytes:
    """The whole state as the store keeps it."""
    return _ENCODER.encode(_Packed(version=VERSION, state=msgspec.Raw(_ENCODER.encode(state))))


def unpack(data: bytes) -> KillState:
    """The state that ``pack`` made.

    Raises:
        StoreError: If the bytes are damaged or of another version. Start from
            ``unreadable_state`` then: never from an empty one.
    """
    try:
        packed = _PACKED.decode(data)
    except msgspec.MsgspecError as error:
        raise StoreError(f"The kill switch's state cannot be read: {error}") from error
    if packed.version != VERSION:
        raise StoreError(
            f"The kill switch's state is of version {packed.version}, this riskd reads {VERSION}."
        )
    try:
        return _STATE.decode(packed.state)
    except msgspec.MsgspecError as error:
        raise StoreError(f"The kill switch's state cannot be read: {error}") from error


def essence(state: KillState) -> bytes:
    """What must be kept of a state: all but what the next book shows again."""
    return _ENCODER.encode(msgspec.structs.replace(state, sight=Sight()))


def unreadable_state(now: EngineNs, reason: str) -> KillState:
    """REDUCE_ONLY over everything, until a person re-arms: nobody knows what was latched."""
    cause = Cause(actor="riskd", level=Level.REDUCE_ONLY, at_ns=now, reason=reason)
    latch = Latch(
        # Of the reason alone: the same fault at the next start is the same page.
        trip_id=f"unreadable-{hashlib.sha256(reason.encode()).hexdigest()[:12]}",
        scope=PORTFOLIO,
        level=Level.REDUCE_ONLY,
        since_ns=now,
        causes=[cause],
    )
    return KillState(latches={PORTFOLIO: latch})
