"""What the rules say about going back: which conditions are not met, which would fire again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from monitor.core.engine import Engine
from monitor.core.killswitch.levels import LEVEL_OF_ACTION, Level
from monitor.core.killswitch.precedence import rank_of
from monitor.core.killswitch.scope import contains
from monitor.core.killswitch.state import Latch
from monitor.core.rules.rule import Rule
from monitor.core.state.model import RuleMemory
from monitor.core.types import AlertState, EngineNs, Subject


def unmet(engine: Engine, latch: Latch | None, now: EngineNs) -> tuple[str, ...]:
    """Of the rules that brought a latch about, those that are not over, and those whose re-entry
    condition does not hold on known data; nothing where a person alone pulled."""
    if latch is None:
        return ()
    asked = {cause.actor for cause in latch.causes}
    found = []
    for rule, memory in _acting(engine, latch.scope):
        if f"rule:{rule.id}" not in asked:
            continue
        if memory.state.state is not AlertState.INACTIVE:
            found.append(f"{rule.id} is {memory.state.state.value} about {memory.subject}")
        elif rule.reentry is not None and not engine.permits_reentry(rule.id, memory.subject, now):
            found.append(f"{rule.id} wants {rule.reentry.text} about {memory.subject}")
    return tuple(found)


def would_fire(engine: Engine, scope: Subject) -> tuple[str, ...]:
    """Rules that ask for a level in this scope now."""
    return tuple(
        f"{rule.id} ({rule.level.value}) about {memory.subject}"
        for rule, memory in sorted(_acting(engine, scope), key=lambda one: rank_of(one[0].id))
        if memory.state.firing
    )


def _acting(engine: Engine, scope: Subject) -> Iterator[tuple[Rule, RuleMemory]]:
    rules = {
        rule.id: rule
        for rule in engine.rulebook.rules
        if LEVEL_OF_ACTION[rule.level] > Level.NORMAL
    }
    asset_of = {place: asset for asset, places in engine.state.assets.items() for place in places}
    for memory in engine.rule_states():
        rule = rules.get(memory.rule)
        if rule is not None and _within(scope, memory.subject, asset_of):
            yield rule, memory


def _within(scope: Subject, subject: Subject, asset_of: Mapping[tuple[str, str], str]) -> bool:
    """Whether a rule about ``subject`` concerns the scope; one that cannot be placed does."""
    try:
        return contains(scope, subject, asset_of) or contains(subject, scope, asset_of)
    except ValueError:
        return True
