"""The gate in ``riskd demo``: why nobody goes back yet, for how long, and when a person may.

A scope that a rule latched stays so until the rule has ended and what it asks before going back
holds on known data; then riskd offers, and a person decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from monitor.core.engine import Engine
from monitor.core.killswitch.state import Latch
from monitor.core.rules import Rule
from monitor.core.rules.words import cited, duration, label, scope_text
from monitor.core.types import SECOND_NS, EngineNs, Subject

AGAIN_NS = 240 * SECOND_NS  # how often a gate that stays shut is told of


@dataclass
class GateVoice:
    """Says what the gates of latched scopes do.

    Args:
        say: Tells one sentence.
        eventful: Called when a gate has opened.
    """

    say: Callable[[str], None]
    eventful: Callable[[], None]
    _told: dict[Subject, tuple[EngineNs, tuple[str, ...]]] = field(default_factory=dict)
    _explained: set[Subject] = field(default_factory=set)

    def look(
        self,
        engine: Engine,
        latches: Mapping[str, Latch],
        unmet: Callable[[Subject], tuple[str, ...]],
        now: EngineNs,
    ) -> None:
        """Tell what is new, and again what stays as it is."""
        for name, latch in latches.items():
            scope = Subject(name)
            rules = tuple(_causes(engine, latch))
            if not rules:
                continue  # a person's own trip has no gate but the person
            wants = unmet(scope)
            known = self._told.get(scope)
            if known is not None and known[1] == wants and (not wants or now - known[0] < AGAIN_NS):
                continue
            self._told[scope] = now, wants
            if wants:
                self._shut(engine, scope, rules, wants, latch.since_ns, now)
            elif known is not None:
                self._open(scope, now - latch.since_ns)
        for scope in [one for one in self._told if one not in latches]:
            del self._told[scope]

    def _shut(
        self,
        engine: Engine,
        scope: Subject,
        rules: tuple[Rule, ...],
        wants: tuple[str, ...],
        since_ns: EngineNs,
        now: EngineNs,
    ) -> None:
        seconds = (now - since_ns) / SECOND_NS
        values = ", ".join(dict.fromkeys(one for rule in rules for one in _now(engine, rule, now)))
        self.say(
            f"the way back into {scope_text(scope)} is shut since {duration(round(seconds))}: "
            f"{'; '.join(wants)}. Now {values}."
        )
        if scope not in self._explained:
            self._explained.add(scope)
            for rule in rules:
                self.say(_how(rule))

    def _open(self, scope: Subject, since_ns: EngineNs) -> None:
        self.eventful()
        self.say(
            f"the way back into {scope_text(scope)} is open, "
            f"{duration(since_ns / SECOND_NS)} after it was cut. It is offered, not taken: "
            f"a person types riskd rearm --scope {scope}."
        )


def _causes(engine: Engine, latch: Latch) -> Iterator[Rule]:
    for cause in latch.causes:
        rule = engine.rulebook.get(cause.actor.removeprefix("rule:"))
        if cause.actor.startswith("rule:") and rule is not None:
            yield rule


def _how(rule: Rule) -> str:
    """What ends the rule, and what it asks for then."""
    ends = (rule.until.text if rule.until is not None else f"not ({rule.condition})").strip()
    calm = duration(rule.keep_firing_for_ns / SECOND_NS)
    asks = f", then {rule.reentry.text}" if rule.reentry is not None else ""
    return (
        f"to open it, {rule.id} wants {calm} of {ends}, known without a break{asks}; then a person."
    )


def _now(engine: Engine, rule: Rule, now: EngineNs) -> Iterator[str]:
    """The present numbers behind a rule's end and re-entry."""
    asked = rule.reentry or rule.until or rule.when
    names = asked.variables if asked is not None else frozenset()
    for memory in engine.rule_states():
        if memory.rule != rule.id:
            continue
        told = engine.explain(rule.id, memory.subject, now, workings=False)
        if told is not None:
            for one in told.inputs:
                if one.variable in names:
                    yield f"{label(one.reading)} {cited(one.reading)}"
