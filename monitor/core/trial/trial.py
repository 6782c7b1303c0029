"""What a test of rules says: the series it plays, and what must be so at which time. *Pure.*"""

from __future__ import annotations

import msgspec

from monitor.core.decision import ActionLevel
from monitor.core.trial.series import Series
from monitor.core.types import AlertState, EngineNs, Subject, Verdict


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule asks for while it fires; None leaves open what is not said."""

    level: ActionLevel
    gross_to_ratio: float | None = None
    gross_to_usd: float | None = None
    scope: Subject | None = None
    capped: bool | None = None


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """What must be so about one rule and subject at ``at_ns``; None leaves it open.

    ``asks`` with level ``page`` is: nothing but telling people. ``paged`` counts how often an
    episode began so far. ``where`` is file:line, ``at_text`` the time as it was written.
    """

    at_ns: EngineNs
    at_text: str
    where: str
    rule: str
    subject: Subject
    state: AlertState | None = None
    verdict: Verdict | None = None
    flags: tuple[tuple[str, Verdict], ...] = ()
    asks: Asked | None = None
    reentry_permitted: bool | None = None
    episodes: int | None = None


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One test: series from ``start_ns`` on, one point every ``step_ns``."""

    name: str
    where: str
    start_ns: EngineNs
    step_ns: int
    series: tuple[tuple[str, Subject, Series], ...]
    expect: tuple[Expectation, ...]


class TrialFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of tests. ``rulebook`` are the rule files it names, beside it; ``builtin`` whether
    the built-in ones come before them."""

    source: str
    builtin: bool
    rulebook: tuple[str, ...]
    trials: tuple[Trial, ...]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was not as expected, with what else helps to see why."""

    expectation: Expectation
    what: str
    expected: str
    found: str
    notes: tuple[str, ...] = ()
