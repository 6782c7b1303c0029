"""What one ``evaluate`` concluded. Pages, metrics, console and the kill switch read nothing else.

Everything here serialises to JSON byte for byte the same for the same inputs. *Pure.*
"""

from __future__ import annotations

import enum

import msgspec

from monitor.core.types import AlertState, EngineNs, Severity, Subject


class ActionLevel(enum.StrEnum):
    """The closed set of what a rule may ask for, mildest first (``design.md`` §3)."""

    PAGE = "page"
    HOLD = "hold"
    BLOCK_NEW = "block_new"
    CUT = "cut"
    HALT = "halt"
    FLATTEN = "flatten"


class Because(enum.StrEnum):
    """Why a scope is held. What is not known is not let go of at once, and no hedge against it can
    be trusted; a market that is dear or wild is known, and hedging it is an exit."""

    DATA = "data"  # missing, late or in doubt
    RISK = "risk"  # known, and no time to add


class RuleMode(enum.StrEnum):
    """What a rule may do by itself; a new or changed rule starts in OBSERVE."""

    OBSERVE = "observe"
    PROPOSE = "propose"
    ACT = "act"


_MODES = tuple(RuleMode)


def narrower(one: RuleMode, other: RuleMode) -> RuleMode:
    """The one of both that does less by itself."""
    return min(one, other, key=_MODES.index)


class CitedReading(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One input of a verdict, as it was read. ``value`` None is absent, and ``reason`` says why.

    ``words`` are the measure's own: how a person says its value. ``text`` is the value said whole
    where the number says too little (``17 of 27 feeds lost``).
    """

    measure: str
    subject: Subject
    value: float | None
    unit: str
    as_of_ns: EngineNs | None
    estimated: bool = False
    reason: str = ""
    words: tuple[str, ...] = ()
    text: str = ""


class AlertTransition(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One rule about one subject changed state, and why.

    ``alert`` is the CamelCase name, ``firing_epoch_ns`` the start of this episode (stable over
    restarts, part of every dedup key), ``summary`` at most 120 characters: what, number against
    limit, scope, and what riskd did or WOULD have done.
    """

    rule: str
    subject: Subject
    alert: str
    severity: Severity
    before: AlertState
    after: AlertState
    at_ns: EngineNs
    firing_epoch_ns: EngineNs | None
    expression: str
    inputs: tuple[CitedReading, ...]
    summary: str
    description: str
    action: str
    runbook: str
    reason: str = ""  # e.g. rule_removed
    # How people are told: together with others of this wider subject (empty: by itself), and not
    # while one of these rules fires there. The summary's parts are what one page of many is made of
    place: str = ""
    covered_by: tuple[str, ...] = ()
    title: str = ""
    fact: str = ""
    brief: str = ""


class KillRequest(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A firing rule asks for a kill-switch level over a scope. In ``observe`` it is a record only.

    ``mode_max`` is the widest that the rule may ever do, whatever the desk says.
    ``capped_by_estimate`` when a stronger level was asked for on estimated numbers.
    ``rule_hash`` is the rule's definition, ``observations_ns`` when the distinct observations were
    made that confirm it, and ``sources`` the independent ones each of which says so by itself.
    ``because`` is why a hold holds; a stronger level that only holds does so for its data.
    A cut leaves ``gross_to_ratio`` of gross at the first entry, or ``gross_to_usd`` (gross exposure
    of the scope, USD) where ``gross_to_measure`` said so; without a known amount nothing is cut.
    It is spread over ``over_s`` seconds, 0 for at once. ``severity`` is the rule's own.
    """

    rule: str
    subject: Subject
    scope: Subject
    level: ActionLevel
    mode: RuleMode
    gross_to_ratio: float | None
    firing_epoch_ns: EngineNs
    capped_by_estimate: bool = False
    rule_hash: str = ""
    observations_ns: tuple[EngineNs, ...] = ()
    sources: tuple[str, ...] = ()
    mode_max: RuleMode = RuleMode.ACT
    because: Because = Because.DATA
    gross_to_usd: float | None = None
    gross_to_measure: str = ""
    over_s: float = 0.0
    severity: Severity = Severity.CRITICAL


class RuleHealth(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A rule began or ceased to fail; its state is kept and its alert re-sent meanwhile."""

    rule: str
    subject: Subject
    error: str  # empty: healed
    at_ns: EngineNs


class CrossCheck(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Two sources disagree about one fact; nothing was silently overwritten."""

    subject: Subject
    field: str
    stream: str
    truth: str
    at_ns: EngineNs


class ComputationRequest(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A heavy measure wants computing off the loop from ``inputs`` (msgpack bytes)."""

    measure: str
    subject: Subject
    as_of_ns: EngineNs
    inputs: bytes


class Decision(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The conclusion of one batch. Empty tuples where nothing happened.

    ``wake_at_ns`` is the earliest time at which ``evaluate`` must run even if no event comes.
    """

    at_ns: EngineNs
    transitions: tuple[AlertTransition, ...] = ()
    kill_requests: tuple[KillRequest, ...] = ()
    health: tuple[RuleHealth, ...] = ()
    cross_checks: tuple[CrossCheck, ...] = ()
    computations: tuple[ComputationRequest, ...] = ()
    measure_errors: tuple[str, ...] = ()
    wake_at_ns: EngineNs | None = None

    @property
    def quiet(self) -> bool:
        """True when nothing but the next deadline came out of the batch."""
        return not (
            self.transitions
            or self.kill_requests
            or self.health
            or self.cross_checks
            or self.computations
            or self.measure_errors
        )
