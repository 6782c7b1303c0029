"""What a rule has seen so far: distinct observations that confirm it, and flags in a window.

Both are small values kept inside ``RuleState``; the functions here take the old ones and return the
new, the very same object when nothing changed, so that a quiet rule costs no write. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from monitor.core.measures.spec import Reading
from monitor.core.rules.expression import Expression
from monitor.core.types import EngineNs, Verdict

Read = Callable[[str], Reading | None]


class Look:
    """One pass over the measures of a rule: applies ``max_staleness`` and notes what was read.

    ``used`` are the readings by name; ``stale``: some reading exists but is older than the rule
    tolerates; ``estimated``: some reading used was re-marked from peers.
    """

    __slots__ = ("_max_staleness_ns", "_now", "_read", "estimated", "stale", "used")

    def __init__(self, read: Read, now: EngineNs, max_staleness_ns: int | None) -> None:
        self._read = read
        self._now = now
        self._max_staleness_ns = max_staleness_ns
        self.used: dict[str, Reading] = {}
        self.stale = False
        self.estimated = False

    def value(self, name: str) -> float | None:
        """The measure's value, or None where it is absent or older than the rule tolerates."""
        reading = self._read(name)
        if reading is None:
            return None
        limit = self._max_staleness_ns
        if limit is not None and self._now - reading.as_of_ns > limit:
            self.stale = True
            return None
        self.used[name] = reading
        if reading.estimated:
            self.estimated = True
        return reading.value

    @property
    def stale_at_ns(self) -> EngineNs | None:
        """The first instant at which a reading used will be older than the rule tolerates."""
        if self._max_staleness_ns is None or not self.used:
            return None
        oldest = min(reading.as_of_ns for reading in self.used.values())
        return oldest + self._max_staleness_ns + 1


class Confirm(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """``need`` of the last ``of`` distinct observations must be TRUE, each ``apart_ns`` later.

    With ``sources`` above 1 the rule fires at once, and its action waits until so many independent
    sources say so, or it is seen again: the kill switch judges that on the facts of the request.
    """

    need: int
    of: int
    apart_ns: int
    sources: int = 1


class Confirmations(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """Distinct observations so far, oldest first, and when each measure was last observed.

    ``times_ns`` are when the observations were made, those of the newest outcomes; each by the
    oldest of its readings.
    """

    outcomes: tuple[bool, ...] = ()
    observed_ns: tuple[tuple[str, EngineNs], ...] = ()
    times_ns: tuple[EngineNs, ...] = ()

    @property
    def true_ns(self) -> tuple[EngineNs, ...]:
        """When those were made that were TRUE."""
        newest = self.outcomes[len(self.outcomes) - len(self.times_ns) :]
        return tuple(at for at, true in zip(self.times_ns, newest, strict=True) if true)


NO_CONFIRMATIONS = Confirmations()


def confirmed(
    confirm: Confirm,
    before: Confirmations,
    verdict: Verdict,
    used: Mapping[str, Reading],
) -> Confirmations:
    """The observations after this verdict.

    An observation is distinct when *every* measure that the verdict used was told anew, at least
    ``apart_ns`` after the last observation that counted: a repeated stale value confirms nothing.
    Where all must agree (``need == of``) one FALSE, distinct or not, starts over. Otherwise FALSE
    counts like TRUE does, so with ``apart`` an M-of-N may come late by less than one ``apart``.
    UNKNOWN neither confirms nor contradicts.
    """
    if verdict is Verdict.UNKNOWN:
        return before
    if verdict is Verdict.FALSE and (confirm.need == confirm.of or not any(before.outcomes)):
        return NO_CONFIRMATIONS
    if not used:
        return before
    last = dict(before.observed_ns)
    step_ns = max(confirm.apart_ns, 1)
    if any(
        reading.observed_ns < last[name] + step_ns for name, reading in used.items() if name in last
    ):
        return before
    outcomes = (*before.outcomes, verdict is Verdict.TRUE)[-confirm.of :]
    while outcomes and not outcomes[0]:  # a leading FALSE can never matter again
        outcomes = outcomes[1:]
    if not outcomes:
        return NO_CONFIRMATIONS
    last.update((name, reading.observed_ns) for name, reading in used.items())
    return Confirmations(
        outcomes=outcomes,
        observed_ns=tuple(sorted(last.items())),
        times_ns=(*before.times_ns, observed_at_ns(used))[-len(outcomes) :],
    )


def observed_at_ns(used: Mapping[str, Reading]) -> EngineNs:
    """When an observation was made: the oldest of its readings. One that is so much later than
    another has been told anew, every reading of it, by at least as much.

    Raises:
        ValueError: If nothing was read.
    """
    return min(reading.observed_ns for reading in used.values())


class FlagState(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One flag: its verdict now, since when, and until when it was last TRUE and last UNKNOWN.

    ``true_until_ns`` is exclusive and only set once the flag is no longer TRUE.
    """

    name: str
    verdict: Verdict
    since_ns: EngineNs
    true_until_ns: EngineNs | None = None
    unknown_until_ns: EngineNs | None = None

    def counted(self, within_ns: int, now: EngineNs) -> Verdict:
        """TRUE if it was true at any instant in ``(now - within, now]``; else UNKNOWN if it was
        unknown at any instant in there, for it might have been true then; else FALSE."""
        if self.verdict is Verdict.TRUE or _inside(self.true_until_ns, within_ns, now):
            return Verdict.TRUE
        if self.verdict is Verdict.UNKNOWN or _inside(self.unknown_until_ns, within_ns, now):
            return Verdict.UNKNOWN
        return Verdict.FALSE

    def changes_at_ns(self, within_ns: int, now: EngineNs) -> EngineNs | None:
        """When this flag will count for less even if nothing is heard; None if it will not."""
        ends = [
            until + within_ns
            for until in (self.true_until_ns, self.unknown_until_ns)
            if until is not None and until + within_ns > now
        ]
        return min(ends, default=None)


def _inside(until_ns: EngineNs | None, within_ns: int, now: EngineNs) -> bool:
    return until_ns is not None and now - until_ns < within_ns


def judge_flags(
    flags: tuple[tuple[str, Expression], ...],
    before: tuple[FlagState, ...],
    look: Look,
    now: EngineNs,
) -> tuple[tuple[FlagState, ...], str]:
    """Every flag after this look, and the error text of the first that could not be judged."""
    known = {flag.name: flag for flag in before}
    after: list[FlagState] = []
    for name, expression in flags:
        verdict = expression.evaluate(look.value)
        if verdict is Verdict.ERROR:
            return before, f"flag {name}: {expression.error_text}"
        after.append(_moved(known.get(name), name, verdict, now))
    result = tuple(after)
    return (before if result == before else result), ""


def _moved(before: FlagState | None, name: str, verdict: Verdict, now: EngineNs) -> FlagState:
    if before is None:
        return FlagState(name=name, verdict=verdict, since_ns=now)
    if before.verdict is verdict:
        return before
    return FlagState(
        name=name,
        verdict=verdict,
        since_ns=now,
        true_until_ns=now if before.verdict is Verdict.TRUE else before.true_until_ns,
        unknown_until_ns=now if before.verdict is Verdict.UNKNOWN else before.unknown_until_ns,
    )


def enough_flags(
    flags: tuple[FlagState, ...],
    at_least: int,
    within_ns: int,
    now: EngineNs,
) -> Verdict:
    """TRUE if enough flags count, FALSE if even the unknown ones could not make it, else
    UNKNOWN."""
    counted = [flag.counted(within_ns, now) for flag in flags]
    true = counted.count(Verdict.TRUE)
    if true >= at_least:
        return Verdict.TRUE
    if true + counted.count(Verdict.UNKNOWN) < at_least:
        return Verdict.FALSE
    return Verdict.UNKNOWN


def forget_through_gap(
    flags: tuple[FlagState, ...],
    stopped_ns: EngineNs,
    now: EngineNs,
) -> tuple[FlagState, ...]:
    """Flags after nobody could judge them from ``stopped_ns`` to ``now``: what they were until then
    is kept, the gap itself was unknown."""
    return tuple(
        FlagState(
            name=flag.name,
            verdict=Verdict.UNKNOWN,
            since_ns=now,
            true_until_ns=stopped_ns if flag.verdict is Verdict.TRUE else flag.true_until_ns,
            unknown_until_ns=flag.unknown_until_ns,
        )
        for flag in flags
    )
