"""One rule and its life about one subject: INACTIVE, PENDING, FIRING, RECOVERING.

``step`` is the state table of ``design.md`` §2, exactly. Time is an argument, state a value that
goes in and comes out; absence of data never resolves anything. *Pure.*
"""

from __future__ import annotations

import enum
import hashlib

import msgspec

from monitor.core.decision import ActionLevel, Because, RuleMode
from monitor.core.rules.evidence import NO_CONFIRMATIONS, Confirm, Confirmations, FlagState
from monitor.core.rules.expression import Expression
from monitor.core.types import (
    SECOND_NS,
    AlertState,
    EngineNs,
    Severity,
    Subject,
    SubjectKind,
    Verdict,
    rules_in,
)


class OnUnknown(enum.StrEnum):
    """What UNKNOWN means once it has lasted: nothing, or (protective rules) TRUE."""

    HOLD = "hold"
    FIRE = "fire"


class RuleInput(msgspec.Struct, frozen=True, gc=False):
    """A variable that stands for another rule: ``measure`` of the subject ``rule:<rule_id>``; of
    several (``rules``) where it counts venues or asks about one asset."""

    variable: str
    measure: str  # rule_firing | rule_state_s | rule_venues | rule_firing_here
    rule_id: str

    @property
    def rules(self) -> tuple[str, ...]:
        """Those it reads."""
        several = self.measure in {"rule_venues", "rule_firing_here"}
        return rules_in(self.rule_id) if several else (self.rule_id,)


class Rule(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One rule, checked and compiled. Durations are nanoseconds.

    Either ``when`` or ``flags`` (with ``at_least`` of them true ``within_ns``) is the condition.
    ``measures`` are all measures read, other rules' state apart, which is in ``rule_inputs``.
    ``definition`` is a text that is the same exactly when the rule judges and acts the same:
    what a reload compares. ``only`` narrows the subjects by venue, account, market, ...
    ``page_per`` is whom one page is about where that is wider than ``for_each``, and ``covered_by``
    are louder rules: while one of them fires about the same place, this one pages nobody.
    A cut leaves ``gross_to_ratio`` of gross, or the USD that ``gross_to_measure`` says of the same
    subject, and is spread over ``over_ns``; a hold is ``because`` of its data, or of a risk.
    """

    id: str
    family: str
    for_each: SubjectKind
    when: Expression | None
    flags: tuple[tuple[str, Expression], ...] = ()
    at_least: int = 0
    within_ns: int = 0
    until: Expression | None = None
    for_ns: int = 0
    confirm: Confirm | None = None
    keep_firing_for_ns: int = 0
    min_hold_ns: int = 0
    max_staleness_ns: int | None = None
    on_unknown: OnUnknown = OnUnknown.HOLD
    reentry: Expression | None = None
    severity: Severity
    level: ActionLevel = ActionLevel.PAGE
    gross_to_ratio: float | None = None
    gross_to_measure: str = ""
    over_ns: int = 0
    because: Because = Because.DATA
    scope: SubjectKind
    mode: RuleMode = RuleMode.OBSERVE
    only: tuple[tuple[str, frozenset[str]], ...] = ()
    page_per: SubjectKind | None = None
    covered_by: tuple[str, ...] = ()
    summary: str
    help: str = ""
    runbook: str = ""
    measures: frozenset[str]
    rule_inputs: tuple[RuleInput, ...] = ()
    definition: str
    where: str  # file:line

    @property
    def alert(self) -> str:
        """``FundingStress`` for ``funding_stress``."""
        return "".join(word[:1].upper() + word[1:] for word in self.id.split("_"))

    @property
    def mode_max(self) -> RuleMode:
        """The widest that the desk may let it do: a cut that is not critical is only ever
        proposed."""
        quiet = self.level is ActionLevel.CUT and self.severity is not Severity.CRITICAL
        return RuleMode.PROPOSE if quiet else RuleMode.ACT

    @property
    def target(self) -> str:
        """What a cut leaves, in words: ``70% of gross``, or the measure that says it, and the time
        it takes (``over 60 min``). Empty where nothing is cut."""
        over = f" over {self.over_ns / (60 * SECOND_NS):g} min" if self.over_ns else ""
        if self.gross_to_measure:
            return f"{self.gross_to_measure}{over}"
        return "" if self.gross_to_ratio is None else f"{self.gross_to_ratio:.0%} of gross{over}"

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits of ``definition``: which version of the rule it was."""
        return hashlib.sha256(self.definition.encode()).hexdigest()[:12]

    @property
    def condition(self) -> str:
        """The condition as text, for the record."""
        if self.when is not None:
            return self.when.text
        flags = ", ".join(f"{name}: {expression.text}" for name, expression in self.flags)
        return f"at least {self.at_least} of {{{flags}}}"

    def matches(self, subject: Subject) -> bool:
        """Whether the rule is asked about this subject."""
        kind, _, parts = subject.partition(":")
        if kind != self.for_each.value:
            return False
        if not self.only:
            return True
        named = subject_parts(self.for_each, parts)
        return all(_chosen(named.get(key, ""), names, key) for key, names in self.only)


# The parts of a subject's text, in order; the last one may itself contain "/".
PARTS: dict[SubjectKind, tuple[str, ...]] = {
    SubjectKind.VENUE: ("venue",),
    SubjectKind.ACCOUNT: ("venue", "account"),
    SubjectKind.POSITION: ("venue", "account", "market"),
    SubjectKind.MARKET: ("venue", "market"),
    SubjectKind.ASSET: ("asset",),
    SubjectKind.FEED: ("venue", "feed"),
    SubjectKind.HEDGE_SET: ("hedge_set",),
    SubjectKind.BUCKET: ("bucket",),
    SubjectKind.STRATEGY: ("strategy",),
}


def subject_parts(kind: SubjectKind, text: str) -> dict[str, str]:
    """``{"venue": ..., "market": ...}`` of what stands after the colon of a subject."""
    names = PARTS.get(kind, ())
    return dict(zip(names, text.split("/", max(len(names) - 1, 0)), strict=False))


def scope_subject(rule: Rule, subject: Subject) -> Subject:
    """What the rule's action is about: the subject itself, or the wider one its scope names."""
    return _widened(rule, subject, rule.scope)


def page_subject(rule: Rule, subject: Subject) -> Subject:
    """Whom people are told about: the subject itself, or the wider one that folds several."""
    return _widened(rule, subject, rule.page_per or rule.for_each)


def _widened(rule: Rule, subject: Subject, kind: SubjectKind) -> Subject:
    if kind is rule.for_each:
        return subject
    names = PARTS.get(kind, ())
    parts = subject_parts(rule.for_each, subject.partition(":")[2])
    if not names:
        return Subject(kind.value)
    return Subject(f"{kind.value}:{'/'.join(parts[name] for name in names)}")


def _chosen(part: str, names: frozenset[str], key: str) -> bool:
    # An account named without its pool means all of its margin pools ("main" covers "main.xyz").
    return part in names or (key == "account" and part.partition(".")[0] in names)


class RuleState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What must survive a restart about one rule and one subject.

    Args:
        state, since_ns: The state and when it was entered.
        pending_since_ns: When ``for`` began; None in PENDING means that it begins at the next TRUE.
        firing_epoch_ns: When this episode began to fire; stays until INACTIVE, over restarts too.
        recovering_since_ns: When the unbroken time of ``keep_firing_for`` began; None in RECOVERING
            means that it begins at the next known exit.
        unknown_since_ns: Since when the condition is UNKNOWN; None while it is known.
        error: Why the rule cannot be judged; empty while it can.
        settling_until_ns: After a restart, UNKNOWN leaves the state alone until then.
        reentry_pending: The rule has fired and ended; whether risk may return is being asked.
    """

    state: AlertState = AlertState.INACTIVE
    since_ns: EngineNs | None = None
    pending_since_ns: EngineNs | None = None
    firing_epoch_ns: EngineNs | None = None
    recovering_since_ns: EngineNs | None = None
    unknown_since_ns: EngineNs | None = None
    error: str = ""
    settling_until_ns: EngineNs | None = None
    reentry_pending: bool = False
    confirmations: Confirmations = NO_CONFIRMATIONS
    flags: tuple[FlagState, ...] = ()

    @property
    def firing(self) -> bool:
        """True in FIRING and RECOVERING: the alert is out."""
        return self.state is AlertState.FIRING or self.state is AlertState.RECOVERING


NEW = RuleState()


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one evaluation concluded.

    Args:
        state: The state after; the very object that went in when nothing changed.
        before: The state's name before.
        verdict: Of the condition, after ``on_unknown``; ERROR when it could not be judged.
        wake_at_ns: Evaluate again then at the latest, even if no event comes; None: no need.
        error_changed: The rule began, or ceased, to fail (``state.error``).
        estimated: Some number used was re-marked from peers: may page and hold, never cut.
        by_absence: TRUE only because data has been missing too long (``on_unknown: fire``).
        reentry: Whether re-entry would be permitted; None while the question does not arise.
        used: Names of the measures that the verdict used, in the order they were asked for.
        observations_ns: When the observations were made that make it TRUE now: those that confirm
            it where it begins to fire, else the present one.
    """

    state: RuleState
    before: AlertState
    verdict: Verdict
    wake_at_ns: EngineNs | None = None
    error_changed: bool = False
    estimated: bool = False
    by_absence: bool = False
    reentry: Verdict | None = None
    used: tuple[str, ...] = ()
    observations_ns: tuple[EngineNs, ...] = ()

    @property
    def changed(self) -> bool:
        """True when the alert moved to another state."""
        return self.before is not self.state.state
