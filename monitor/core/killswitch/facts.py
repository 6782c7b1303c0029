"""What enters the kill machine, and what leaves it: facts in, one step out.

A step is kept (state, audit, pages) before its commands leave. Everything serialises, so that a
trip can be replayed. *Pure.*
"""

from __future__ import annotations

import enum
from decimal import Decimal

import msgspec

from monitor.core.decision import KillRequest
from monitor.core.killswitch.book import AccountTruth, Look, WorkingOrder
from monitor.core.killswitch.levels import Level
from monitor.core.types import EngineNs, Severity, Side, Subject


class _Fact(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag=True, omit_defaults=True):
    """What all facts share."""


class RuleAsked(_Fact, frozen=True, gc=False, kw_only=True):
    """A firing rule asks, with what confirms it."""

    request: KillRequest


class RuleEnded(_Fact, frozen=True, gc=False, kw_only=True):
    """A rule is no longer firing about a subject, on known data. Releases holds; never a latch.

    ``removed``: it is not over, it is in no rulebook any more. That releases nothing.
    """

    rule: str
    subject: Subject
    removed: bool = False


class PersonPulled(_Fact, frozen=True, gc=False, kw_only=True):
    """A person, by CLI, signed HTTP or the KILL file, asks for a level: one step, no question.

    ``pull_id`` makes a repeated message the same pull.
    """

    pull_id: str
    principal: str
    channel: str  # cli | http | file | signal
    scope: Subject
    level: Level
    reason: str
    gross_to_ratio: float | None = None


class PersonApproved(_Fact, frozen=True, gc=False, kw_only=True):
    """A person approves (or refuses) a proposal within its time."""

    proposal_id: str
    principal: str
    approve: bool = True
    reason: str = ""


class RearmRequested(_Fact, frozen=True, gc=False, kw_only=True):
    """Step one of going back: riskd answers with a ``RearmOffer``. ``unmet`` and ``would_fire``
    are what the rule engine says now: re-entry conditions not met, rules that would fire again."""

    principal: str
    scope: Subject
    nonce: str
    unmet: tuple[str, ...] = ()
    would_fire: tuple[str, ...] = ()


class RearmConfirmed(_Fact, frozen=True, gc=False, kw_only=True):
    """Step two, with the nonce and a reason; by another principal where the policy says so."""

    principal: str
    nonce: str
    reason: str
    unmet: tuple[str, ...] = ()


class AccountRead(_Fact, frozen=True, gc=False, kw_only=True):
    """The answer to ``ReadAccount``: venue truth."""

    command_id: str
    truth: AccountTruth


class CommandFailed(_Fact, frozen=True, gc=False, kw_only=True):
    """A command had no effect for certain (refused before sending, or refused by the venue whole),
    or, with ``uncertain``, nobody knows yet."""

    command_id: str
    venue: str
    account: str
    reason: str
    uncertain: bool = False
    retry_after_s: float | None = None


class CancelOutcome(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What the venue said of one cancel. ``gone`` also where it was gone already."""

    order_id: str
    gone: bool
    detail: str = ""


class CancelsAnswered(_Fact, frozen=True, gc=False, kw_only=True):
    """The answer to ``CancelOrders``."""

    command_id: str
    venue: str
    account: str
    outcomes: tuple[CancelOutcome, ...]


class OrderEnd(enum.StrEnum):
    """How one of our orders stands."""

    FILLED = "filled"  # wholly or in part; an IOC's rest is gone
    REJECTED = "rejected"  # certainly not executed
    UNKNOWN = "unknown"  # must be resolved before anything is sent again


class OrderOutcome(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What became of one order, by its client id."""

    client_id: str
    end: OrderEnd
    filled_size: Decimal = Decimal(0)
    average_price: Decimal | None = None
    detail: str = ""


class OrdersAnswered(_Fact, frozen=True, gc=False, kw_only=True):
    """The answer to ``PlaceOrders`` and to ``ResolveOrders``."""

    command_id: str
    venue: str
    account: str
    outcomes: tuple[OrderOutcome, ...]


class TimePassed(_Fact, frozen=True, gc=False, kw_only=True):
    """A deadline that a step asked for (``Step.wake_at_ns``), or a restart (``restarted``)."""

    restarted: bool = False


KillFact = (
    RuleAsked
    | RuleEnded
    | PersonPulled
    | PersonApproved
    | RearmRequested
    | RearmConfirmed
    | AccountRead
    | CommandFailed
    | CancelsAnswered
    | OrdersAnswered
    | TimePassed
)


# ------------------------------------------------------------------------------- what leaves


class _Command(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag=True):
    """``id`` is derived from (trip, round, account, stage): the same command has the same id in any
    process. ``safer`` commands proceed when the store fails; the others need it."""

    id: str
    trip_id: str
    venue: str
    account: str
    safer: bool = True


class ReadAccount(_Command, frozen=True, gc=False, kw_only=True):
    """Re-read the account from the venue, as much of it as ``look`` says. Who knows more at no cost
    may tell more."""

    look: Look = Look.USUAL


class CancelOrders(_Command, frozen=True, gc=False, kw_only=True):
    """Cancel these, whoever placed them."""

    orders: tuple[WorkingOrder, ...]


class ReduceOrder(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One reduce-only IOC order. ``client_id`` is ``0x`` and 32 hex digits, derived from (trip,
    round, leg). The venue must refuse it after ``expires_at_ns``."""

    client_id: str
    market: str
    side: Side
    size: Decimal
    limit_price: Decimal
    reference_price: float
    expires_at_ns: EngineNs


class PlaceOrders(_Command, frozen=True, gc=False, kw_only=True):
    """Send these. They are written down as intents before."""

    orders: tuple[ReduceOrder, ...]


class ResolveOrders(_Command, frozen=True, gc=False, kw_only=True):
    """Find out what became of these, by client id, and make sure that one which did not arrive
    never will (burn its nonce, or its expiry is past) before saying REJECTED."""

    client_ids: tuple[str, ...]


Command = ReadAccount | CancelOrders | PlaceOrders | ResolveOrders


class AuditEntry(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One line of the audit before it is chained; ``details`` is JSON-serialisable data."""

    at_ns: EngineNs
    actor: str
    action: str
    scope: str
    level_from: int
    level_to: int
    trip_id: str = ""
    reason: str = ""
    details: tuple[tuple[str, str], ...] = ()


class KillNotice(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A page of the kill switch. ``key`` is stable over restarts: the same episode, the same page.

    ``resolved`` ends it. ``summary`` is at most 120 characters. ``stage`` says what a person has to
    do about a trip (``acting``: look on, ``incomplete``: act by hand, ``contained``: re-arm); empty
    where there is only one thing to do.
    """

    key: str
    alert: str
    severity: Severity
    scope: Subject
    at_ns: EngineNs
    summary: str
    description: str
    resolved: bool = False
    stage: str = ""


class Step(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What one fact led to. ``changed``: the state must be kept before ``commands`` leave.

    ``loosens``: a latch or a hold was taken away; nobody may be told so before it is kept.
    """

    changed: bool = False
    loosens: bool = False
    audit: tuple[AuditEntry, ...] = ()
    notices: tuple[KillNotice, ...] = ()
    commands: tuple[Command, ...] = ()
    wake_at_ns: EngineNs | None = None
    answer: str = ""  # words for the person who asked, if one did
