"""What a decision may rest on, judged without the code that made it.

A condition is *known* when no value that its unknown inputs could have would change the answer: it
is asked with all of them. Estimates count as unknown where they may decide nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise, product
from types import CodeType

from monitor.core.decision import ActionLevel, AlertTransition, Decision
from monitor.core.engine import Engine
from monitor.core.rule_view import Explanation
from monitor.core.rules.expression import Expression
from monitor.core.rules.rule import OnUnknown, Rule
from monitor.core.types import AlertState, EngineNs, Subject

FAR = 1e12
APART_NS = 20_000_000_000
MILD = frozenset({ActionLevel.PAGE, ActionLevel.HOLD})
OUT = frozenset({AlertState.FIRING, AlertState.RECOVERING})
Key = tuple[str, Subject]


@cache
def _python(text: str) -> CodeType:
    """Conditions are comparisons joined by ``&&`` and ``||``: Python says the same."""
    return compile(text.replace("&&", " and ").replace("||", " or "), text, "eval")


@cache
def _candidates(expression: Expression) -> dict[str, tuple[float, ...]]:
    """For each variable values on every side of each of its limits, and at them."""
    found = {}
    for name in expression.variables:
        limits = sorted({one.limit for one in expression.comparisons if one.name == name})
        between = [(low + high) / 2.0 for low, high in pairwise(limits)]
        found[name] = (-FAR, *limits, *between, FAR)
    return found


def known(expression: Expression, values: Mapping[str, float]) -> bool | None:
    """The answer where it does not depend on what is not in ``values``; else None."""
    candidates = _candidates(expression)
    missing = sorted(expression.variables - values.keys())
    code = _python(expression.text)
    answers = set()
    for guessed in product(*(candidates[name] for name in missing)):
        names = {**values, **dict(zip(missing, guessed, strict=True))}
        answers.add(bool(eval(code, {"__builtins__": {}}, names)))  # noqa: S307 - our own rules
        if len(answers) > 1:
            return None
    return answers.pop()


def values_of(told: Explanation, *, estimates: bool) -> dict[str, float]:
    """What is known to the rule: present, and no older than the rule itself allows."""
    limit = told.rule.max_staleness_ns
    return {
        one.variable: one.reading.value
        for one in told.inputs
        if one.reading.value is not None
        and (estimates or not one.reading.estimated)
        and (limit is None or told.at_ns - (one.reading.as_of_ns or 0) <= limit)
    }


@dataclass
class Watch:
    """Checks every decision of an engine, in order; ``seen`` counts what there was to check."""

    engine: Engine
    rules: dict[str, Rule] = field(default_factory=dict)
    out: set[Key] = field(default_factory=set)
    calm: dict[Key, EngineNs] = field(default_factory=dict)
    flagged: dict[tuple[Key, str], EngineNs] = field(default_factory=dict)
    fired: set[Key] = field(default_factory=set)
    seen: dict[str, int] = field(default_factory=dict)
    began: dict[Key, EngineNs] = field(default_factory=dict)
    ends: dict[Key, EngineNs] = field(default_factory=dict)
    episodes: list[tuple[Key, EngineNs, EngineNs]] = field(default_factory=list)
    permitted: dict[Key, EngineNs] = field(default_factory=dict)
    cuts: list[tuple[EngineNs, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rules = {rule.id: rule for rule in self.engine.rulebook.rules}

    def evaluate(self, now: EngineNs) -> Decision:
        """One batch of the engine, looked at."""
        decision = self.engine.evaluate(now)
        assert decision.measure_errors == ()
        self._follow(now)
        for change in decision.transitions:
            self._transition(change, now)
        for request in decision.kill_requests:
            if request.level in MILD:
                continue
            key = (request.rule, request.subject)
            assert self._holds(key, now, estimates=False), f"{request} on what is not known"
            self._count(f"asked {request.level}")
            told = request.observations_ns
            apart = max(told, default=0) - min(told, default=0) >= APART_NS
            if request.level is ActionLevel.CUT and (apart or len(request.sources) > 1):
                self.cuts.append((now, request.rule))  # less than that the kill switch waits for
        self._reentry(now)
        return decision

    def _explain(self, key: Key, now: EngineNs) -> Explanation:
        told = self.engine.explain(key[0], key[1], now)
        assert told is not None, key
        return told

    def _follow(self, now: EngineNs) -> None:
        """Since when each open alert is known to be over, and when each flag was last true."""
        for memory in list(self.engine.rule_states()):
            rule, key = self.rules[memory.rule], (memory.rule, memory.subject)
            before, after = key in self.out, memory.state.state in OUT
            if after:
                self.out.add(key)
            else:
                self.out.discard(key)
            if not (rule.flags or before or after):
                continue
            told = self._explain(key, now)
            values = values_of(told, estimates=True)
            for name, expression in rule.flags:
                if known(expression, values):
                    self.flagged[key, name] = now
            if before and self._over(told, now):
                self.calm.setdefault(key, now)
            else:
                self.calm.pop(key, None)

    def _over(self, told: Explanation, now: EngineNs) -> bool:
        """Whether the alert is known to be over: its condition false and its end true."""
        rule, values = told.rule, values_of(told, estimates=False)
        if rule.when is None:
            return self._flags(told, values, now, doubt=True) < rule.at_least
        until = rule.until is None or known(rule.until, values)
        return bool(until) and known(rule.when, values) is False

    def _flags(
        self, told: Explanation, values: Mapping[str, float], now: EngineNs, *, doubt: bool
    ) -> int:
        """Flags that count; with ``doubt`` also those that may."""
        key = (told.rule.id, told.subject)
        count = 0
        for name, expression in told.rule.flags:
            last = self.flagged.get((key, name))
            recent = last is not None and now - last < max(told.rule.within_ns, 1)
            count += recent or (doubt and known(expression, values) is not False)
        return count

    def _holds(self, key: Key, now: EngineNs, *, estimates: bool) -> bool:
        told = self._explain(key, now)
        values = values_of(told, estimates=estimates)
        if told.rule.when is None:
            return self._flags(told, values, now, doubt=False) >= told.rule.at_least
        return known(told.rule.when, values) is True

    def _transition(self, change: AlertTransition, now: EngineNs) -> None:
        key, rule = (change.rule, change.subject), self.rules[change.rule]
        self._count(f"{change.before} to {change.after}")
        if change.after in OUT and change.before not in OUT:
            self.fired.add(key)
            self.began[key] = now
            by_absence = rule.on_unknown is OnUnknown.FIRE
            assert by_absence or self._holds(key, now, estimates=True), change
        elif change.after is AlertState.RECOVERING:
            assert key in self.calm, f"{change} while its end is not known"
        elif change.after is AlertState.INACTIVE and change.before in OUT:
            since = self.calm.get(key)
            assert since is not None, f"{change} while its end is not known"
            assert now - since >= rule.keep_firing_for_ns, f"{change} after {now - since} ns"
            self.ends[key] = now
            self.episodes.append((key, self.began.pop(key), now))

    def _reentry(self, now: EngineNs) -> None:
        for key in self.fired:
            reentry = self.rules[key[0]].reentry
            state = self.engine.state.rules[f"{key[0]}|{key[1]}"].state
            if reentry is None or state.state is not AlertState.INACTIVE:
                continue
            values = values_of(self._explain(key, now), estimates=False)
            if self.engine.permits_reentry(*key, now):
                assert known(reentry, values) is True, f"{key} may go back on what is not known"
                self.permitted.setdefault(key, now)
                self._count("re-entry permitted")
            else:
                self._count("re-entry refused")

    def _count(self, what: str) -> None:
        self.seen[what] = self.seen.get(what, 0) + 1
