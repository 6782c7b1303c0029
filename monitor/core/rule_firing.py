"""Which rules fire, since when, and who is told when that moves: what rules read of rules.

*Pure.*
"""

from __future__ import annotations

from collections.abc import Iterable

from monitor.core.measures.evaluator import Evaluator
from monitor.core.measures.rule_states import HERE, asset_of, firing_of
from monitor.core.measures.tree import Node, RuleNode
from monitor.core.rules import RuleInput
from monitor.core.state.facts import RULE_BIT
from monitor.core.state.model import RiskState, RuleStatus
from monitor.core.types import AlertState, EngineNs, Subject

FIRES = frozenset({AlertState.FIRING, AlertState.RECOVERING})


class FiringRules:
    """``counts`` says about how many subjects each rule of the rulebook fires."""

    def __init__(self, state: RiskState, evaluator: Evaluator) -> None:
        self._state = state
        self._evaluator = evaluator
        self._joined: dict[str, list[RuleNode]] = {}
        self.counts: dict[str, int] = {}

    def recount(self, rules: Iterable[str], now: EngineNs) -> None:
        """Recount which rules fire; only a different answer restarts ``rule_state_s``."""
        self._joined.clear()
        self.counts.clear()
        self.counts.update(dict.fromkeys(rules, 0))
        for memory in self._state.rules.values():
            self.counts[memory.rule] += memory.state.firing
        status = self._state.rule_status
        for rule_id in [known for known in status if known not in self.counts]:
            del status[rule_id]
        for rule_id, count in self.counts.items():
            node = self._evaluator.tree.add_rule(rule_id)
            known = status.get(rule_id)
            if known is None:
                known = status[rule_id] = RuleStatus(since_ns=now)
            if known.firing is not (count > 0):
                known.firing, known.since_ns = count > 0, now
            node.firing, node.since_ns = known.firing, known.since_ns

    def join(self, several: RuleInput, asking: Node) -> RuleNode:
        """The node of several rules together, which moves with each of them; of rules about one
        asset, with what they say of that."""
        place = f"@{asking.subject}" if several.measure == HERE else ""
        node = self._evaluator.tree.add_rule(f"{several.rule_id}{place}")
        node.firing = self._any(node)
        for rule_id in several.rules:
            joined = self._joined.setdefault(f"{rule_id}{place}", [])
            if node not in joined:
                joined.append(node)
        return node

    def listed(self, now: EngineNs) -> None:
        """Markets were listed: what fires about one is about something of its asset from now on."""
        for node in {one.subject: one for nodes in self._joined.values() for one in nodes}.values():
            firing = self._any(node)
            if node.firing is not firing:
                node.firing, node.since_ns = firing, now
                self._state.dirty[node.subject] = RULE_BIT

    def _any(self, node: RuleNode) -> bool:
        found = any(map(self.counts.get, node.rules))
        return found and (not node.asset or any(firing_of(self._state, node)))

    def told(
        self, rule_id: str, subject: Subject, now: EngineNs, *, before: bool, after: bool
    ) -> None:
        """A rule changed its state about one subject; whether it fired and fires there."""
        if before is after:
            if after:  # RECOVERING, or FIRING again
                self._moved(rule_id, subject, now)
            return
        self.counts[rule_id] += 1 if after else -1
        status = self._state.rule_status[rule_id]
        if status.firing is not (self.counts[rule_id] > 0):
            status.firing, status.since_ns = not status.firing, now
            node = self._evaluator.tree.add_rule(rule_id)
            node.firing, node.since_ns = status.firing, now
        self._moved(rule_id, subject, now)

    def _moved(self, rule_id: str, subject: Subject, now: EngineNs) -> None:
        """What is read of a rule is read anew, also where several are read together, or what it
        says of an asset."""
        self._evaluator.touch(self._evaluator.tree.add_rule(rule_id), RULE_BIT, now)
        about = f"{rule_id}@asset:{asset_of(self._state, subject)}"
        for node in (*self._joined.get(rule_id, ()), *self._joined.get(about, ())):
            firing = self._any(node)
            if node.firing is not firing:
                node.firing, node.since_ns = firing, now
            self._evaluator.touch(node, RULE_BIT, now)
