"""The voice of ``riskd demo``: what the world, riskd and the pager do, one sentence a line.

Every line is marked SIMULATED and stamped with simulated time. It keeps count of what it told, for
the summary at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from monitor.core.decision import Decision, KillRequest, RuleMode
from monitor.core.engine import Engine
from monitor.core.rules import Rule
from monitor.core.rules.words import (
    DONE,
    duration,
    number,
    request_text,
    scope_text,
    target_text,
)
from monitor.core.state.model import VenueState
from monitor.core.types import PORTFOLIO, SECOND_NS, AlertState, EngineNs, Subject

MARK = "[SIMULATED"
OPEN = frozenset({AlertState.FIRING, AlertState.RECOVERING})
PORTFOLIO_NUMBERS = (
    ("equity", "equity_usd"),
    ("gross", "gross_exposure_usd"),
    ("leverage", "leverage"),
)
STRESS_PARTS = ("level", "breadth", "surprise", "change", "flips")
STRESS_STEP = 5.0  # points by which the index moves before it is told again


@dataclass
class Narrator:
    """Says sentences by ``write`` (one line each), stamped with the time since ``start_ns``."""

    write: Callable[[str], None]
    now: Callable[[], EngineNs]
    start_ns: EngineNs
    acting: frozenset[str] = frozenset()  # rules that may act; the others observe
    pages: int = 0
    ended: int = 0
    _would_have: list[str] = field(default_factory=list)
    _proposed: list[str] = field(default_factory=list)
    _waited_for: set[str] = field(default_factory=set)
    _stress: float | None = None  # the index as it was last told

    def say(self, who: str, text: str) -> None:
        """One line."""
        seconds = (self.now() - self.start_ns) // SECOND_NS
        self.write(f"{MARK} {seconds // 60}:{seconds % 60:02d}] {who:<6} {text}")

    def decided(self, decision: Decision) -> None:
        """What riskd concluded: what it would have done, and which rules began to wait."""
        for request in decision.kill_requests:
            if request.rule in self.acting:
                continue  # what comes of it the kill switch says itself
            if request.mode is RuleMode.PROPOSE and not request.capped_by_estimate:
                self._proposed.append(f"{_todo(request)}, by {request.rule}")
                self.say("riskd", f"asks a person whether to {self._proposed[-1]}.")
                continue
            text = f"{request_text(request)}, by {request.rule}"
            self._would_have.append(text)
            self.say("riskd", f"WOULD HAVE {text}; that rule observes, so nothing was sent.")
        waiting = [one for one in decision.transitions if one.after is AlertState.PENDING]
        counts = Counter(change.rule for change in waiting)
        for change in waiting:
            # One line per rule however many subjects it is about, and not again each time that a
            # number crosses its limit to and fro.
            if change.rule not in self._waited_for:
                more = f" (and {counts[change.rule] - 1} more)" if counts[change.rule] > 1 else ""
                self._waited_for.add(change.rule)
                self.say("riskd", f"waits to be sure: {change.summary}{more}")

    def paged(self, status: str, severity: str, summary: str) -> None:
        """What reached the pager."""
        if status == "firing":
            self.pages += 1
            self.say("PAGE", f"{severity}: {summary}")
        else:
            self.ended += 1
            self.say("ENDED", f"{severity}: {summary.removeprefix('Ended: ')}")

    def tell_status(self, engine: Engine, firing: int) -> None:
        """Where the book stands, in one line."""
        now = self.now()
        parts = [
            f"{label} {_shown(engine, measure, PORTFOLIO, now)}"
            for label, measure in PORTFOLIO_NUMBERS
        ]
        used = [
            f"{_named(venue, name)} {_shown(engine, 'margin_usage_ratio', account.subject, now)}"
            for venue in engine.state.venues.values()
            for name, account in venue.accounts.items()
            if "." not in name  # the main pools only: a line is short
        ]
        alerts = "1 alert fires" if firing == 1 else f"{firing} alerts fire"
        self.say("riskd", f"{', '.join(parts)}; margin used: {', '.join(used)}; {alerts}.")

    def tell_stress(self, engine: Engine) -> None:
        """The funding stress index with what it is made of, when it has moved."""
        now = self.now()
        index = engine.reading("funding_stress_index", PORTFOLIO, now)
        if index is None:
            return
        if self._stress is not None and abs(index.value - self._stress) < STRESS_STEP:
            return
        self._stress = index.value
        points = [
            f"{part} {told.value:.0f}"
            for part in STRESS_PARTS
            if (told := engine.reading(f"funding_stress_{part}_points", PORTFOLIO, now)) is not None
        ]
        self.say(
            "riskd",
            f"funding stress index {index.value:.0f} of 100, by points: {', '.join(points)}.",
        )

    def summarize(self, engine: Engine, real_s: float) -> None:
        """What there was to see, once it is over."""
        seconds = (self.now() - self.start_ns) / SECOND_NS
        self.say(
            "riskd",
            f"in {duration(seconds)} of theirs and {duration(real_s)} of yours: {self.pages} "
            f"pages, {self.ended} of them ended.",
        )
        for text in dict.fromkeys(self._would_have):
            self.say("riskd", f"WOULD HAVE {text}.")
        for text in dict.fromkeys(self._proposed):
            self.say("riskd", f"asked a person whether to {text}; nobody answered in time.")
        for rule in _still_open(engine):
            calm_s = rule.keep_firing_for_ns / SECOND_NS
            held = (
                f"ends after {duration(calm_s)} of known calm" if calm_s else "ends when it is over"
            )
            asks = (
                "" if rule.reentry is None else f"; to go back: {rule.reentry.text}, and a person"
            )
            self.say("riskd", f"still open: {rule.summary} ({held}){asks}.")


def _shown(engine: Engine, measure: str, subject: Subject, now: EngineNs) -> str:
    reading = engine.reading(measure, subject, now)
    spec = engine.catalogue[measure]
    return number(None if reading is None else reading.value, spec.unit, spec.words)


def _todo(request: KillRequest) -> str:
    _, todo = DONE[request.level]
    gross = target_text(request.gross_to_ratio, request.gross_to_usd)
    return todo.format(scope=scope_text(request.scope), gross=gross)


def _named(venue: VenueState, account: str) -> str:
    """The venue alone where it has one account."""
    several = sum(1 for name in venue.accounts if "." not in name) > 1
    return f"{venue.venue}/{account}" if several else venue.venue


def _still_open(engine: Engine) -> Iterable[Rule]:
    names = {memory.rule for memory in engine.rule_states() if memory.state.state in OPEN}
    return [rule for rule in engine.rulebook.rules if rule.id in names]
