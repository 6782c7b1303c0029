"""Plays a test through a real engine: the rules, timers and requests of the daemon. *Pure.*"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from monitor.core.decision import ActionLevel, Decision, KillRequest
from monitor.core.engine import Engine
from monitor.core.events import RulebookLoaded
from monitor.core.measures.spec import MeasureSpec
from monitor.core.rule_view import Explanation
from monitor.core.rules.words import cited
from monitor.core.trial.trial import Asked, Difference, Expectation, Trial
from monitor.core.trial.world import engine_of
from monitor.core.types import AlertState, EngineNs, Subject, Verdict

Key = tuple[str, Subject]


def play(
    trial: Trial, files: Sequence[tuple[str, str]], catalogue: Mapping[str, MeasureSpec]
) -> tuple[Difference, ...]:
    """Everything that was not as expected, in order of time; nothing where the test holds.

    Raises:
        ConfigError: If the rulebook cannot be used.
    """
    series = {(name, subject): one for name, subject, one in trial.series}
    engine = engine_of(
        series,
        (one.subject for one in trial.expect),
        start_ns=trial.start_ns,
        step_ns=trial.step_ns,
        catalogue=catalogue,
    )
    watch = _Watch()
    engine.apply(RulebookLoaded(files=tuple(files), loaded_by="test"), trial.start_ns)
    watch.heard(engine.evaluate(trial.start_ns))
    found: list[Difference] = []
    for expectation in sorted(trial.expect, key=lambda one: one.at_ns):
        _advance(engine, watch, expectation.at_ns)
        found += _differences(engine, watch, expectation)
    return tuple(found)


def _advance(engine: Engine, watch: _Watch, until_ns: EngineNs) -> None:
    """Evaluate whenever the engine asks for it, and at ``until_ns``."""
    while engine.now_ns < until_ns:
        wake = watch.wake_at_ns
        due = until_ns if wake is None else min(wake, until_ns)
        watch.heard(engine.evaluate(max(due, engine.now_ns + 1)))


class _Watch:
    """What decisions said so far: the standing request of each rule, and how often it began."""

    def __init__(self) -> None:
        self.wake_at_ns: EngineNs | None = None
        self.requests: dict[Key, KillRequest] = {}
        self.episodes: dict[Key, int] = {}

    def heard(self, decision: Decision) -> None:
        self.wake_at_ns = decision.wake_at_ns
        for change in decision.transitions:
            key = (change.rule, change.subject)
            if change.after is AlertState.INACTIVE:
                self.requests.pop(key, None)
            if change.after is AlertState.FIRING and change.before in {
                AlertState.INACTIVE,
                AlertState.PENDING,
            }:
                self.episodes[key] = self.episodes.get(key, 0) + 1
        for request in decision.kill_requests:
            self.requests[request.rule, request.subject] = request


def _differences(engine: Engine, watch: _Watch, expectation: Expectation) -> Iterator[Difference]:
    key = (expectation.rule, expectation.subject)
    now = expectation.at_ns
    seen = engine.explain(expectation.rule, expectation.subject, now, workings=False)
    if seen is None:
        yield Difference(
            expectation=expectation,
            what="subject",
            expected=f"the rule is asked about {expectation.subject}",
            found="it is not",
        )
        return
    notes = tuple(_notes(seen))
    for what, expected, found in _compared(engine, watch, expectation, seen, key, now):
        if expected != found:
            yield Difference(
                expectation=expectation, what=what, expected=expected, found=found, notes=notes
            )


def _compared(
    engine: Engine,
    watch: _Watch,
    expectation: Expectation,
    seen: Explanation,
    key: Key,
    now: EngineNs,
) -> Iterator[tuple[str, str, str]]:
    """(what, expected, found) of everything that is asked."""
    if expectation.state is not None:
        yield "state", expectation.state.value, seen.state.state.value
    if expectation.verdict is not None:
        yield "verdict", expectation.verdict.value, seen.step.verdict.value
    counted = {flag.name: flag.counted(seen.rule.within_ns, now) for flag in seen.step.state.flags}
    for name, verdict in expectation.flags:
        yield f"flag {name}", verdict.value, counted.get(name, Verdict.UNKNOWN).value
    if expectation.asks is not None:
        request = watch.requests.get(key)
        yield "asks", _asked_text(expectation.asks), _request_text(request, expectation.asks)
    if expectation.reentry_permitted is not None:
        permitted = engine.permits_reentry(expectation.rule, expectation.subject, now)
        yield "reentry", _yes(expectation.reentry_permitted), _yes(permitted)
    if expectation.episodes is not None:
        yield "episodes", str(expectation.episodes), str(watch.episodes.get(key, 0))


def _yes(value: bool) -> str:
    return "permitted" if value else "not permitted"


def _asked_text(asked: Asked) -> str:
    parts = [asked.level.value]
    if asked.gross_to_ratio is not None:
        parts.append(f"gross_to {asked.gross_to_ratio:g}")
    if asked.gross_to_usd is not None:
        parts.append(f"gross_to_usd {asked.gross_to_usd:g}")
    if asked.scope is not None:
        parts.append(f"scope {asked.scope}")
    if asked.capped is not None:
        parts.append("capped by an estimate" if asked.capped else "not capped")
    return ", ".join(parts)


def _request_text(request: KillRequest | None, asked: Asked) -> str:
    """What was asked for, in as many words as the expectation uses."""
    if request is None:
        return ActionLevel.PAGE.value
    return _asked_text(
        Asked(
            level=request.level,
            gross_to_ratio=None if asked.gross_to_ratio is None else request.gross_to_ratio,
            gross_to_usd=None if asked.gross_to_usd is None else request.gross_to_usd,
            scope=None if asked.scope is None else request.scope,
            capped=None if asked.capped is None else request.capped_by_estimate,
        )
    )


def _notes(seen: Explanation) -> Iterator[str]:
    """The inputs as the rule read them."""
    for one in seen.inputs:
        reading = one.reading
        reason = f" ({reading.reason})" if reading.value is None else ""
        yield f"{one.variable} of {reading.subject}: {cited(reading)}{reason}"
