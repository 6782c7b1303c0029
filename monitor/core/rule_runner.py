"""Asks rules, about whom and when it matters, and says what came of it.

A rule about a subject is asked again when a measure it reads crosses one of its limits, becomes
known or unknown, when every observation counts (confirmations), or when its own deadline comes.
One rule fails alone: its state is kept. *Pure.*
"""

from __future__ import annotations

import heapq
from collections.abc import Collection
from functools import partial

from msgspec.structs import replace

from monitor.core.decision import (
    ActionLevel,
    AlertTransition,
    Because,
    RuleHealth,
    RuleMode,
)
from monitor.core.measures.evaluator import Evaluator
from monitor.core.measures.instance import Instance
from monitor.core.measures.rule_states import HERE
from monitor.core.measures.tree import Node
from monitor.core.measures.use import FOREVER_NS, RETRY_NS
from monitor.core.rule_asked import Asked, broken, limits_of
from monitor.core.rule_firing import FIRES, FiringRules
from monitor.core.rule_reading import RuleReader
from monitor.core.rule_requests import RuleRequests
from monitor.core.rules import (
    Rule,
    RuleBook,
    Step,
    carried_over,
    describe,
    restored,
    step,
)
from monitor.core.rules.checks import APART_NS_MIN, VISIBLE, rule_input
from monitor.core.rules.evidence import Look
from monitor.core.state.model import RiskState, RuleMemory
from monitor.core.types import (
    AlertState,
    EngineNs,
    Subject,
    SubjectKind,
    Verdict,
    rule_subject,
)

REMOVED = "rule_removed"


class RuleRunner:
    """Rule instances over one state.

    ``transitions``, ``kill_requests`` and ``health`` collect what one evaluation concluded;
    ``changed`` and ``gone`` name the (rule, subject) states to be kept or forgotten by the store.
    """

    def __init__(
        self, state: RiskState, evaluator: Evaluator, *, allowed: RuleMode = RuleMode.OBSERVE
    ) -> None:
        """``allowed`` is the most that the daemon lets any rule do."""
        self._state = state
        self._allowed = allowed
        self._evaluator = evaluator
        self._rules: dict[str, Rule] = {}
        self._by_kind: dict[SubjectKind, list[tuple[int, Rule]]] = {}
        self._asked: dict[str, Asked] = {}
        self._unconnected: list[Asked] = []
        self._due: list[tuple[int, Subject, Asked]] = []
        self._heap: list[tuple[EngineNs, int, Asked]] = []
        self._sequence = 0
        self._firing = FiringRules(state, evaluator)
        self._reader = RuleReader(state, evaluator, self._asked, self._firing)
        self._requests = RuleRequests(state, self._reader)
        self.transitions: list[AlertTransition] = []
        self.kill_requests = self._requests.made
        self.health: list[RuleHealth] = []
        self.changed: set[tuple[str, Subject]] = set()
        self.gone: set[tuple[str, Subject]] = set()
        self.steps_total = 0
        self.attentive_count = 0  # rules about subjects for which every observation counts

    # ------------------------------------------------------------------------- rulebook

    def load(self, book: RuleBook, now: EngineNs, *, resumed: bool = False) -> None:
        """Take a rulebook over. Unchanged rules keep state and timers, changed ones their alert,
        removed ones end. With ``resumed`` (a snapshot) nothing is asked that was not due."""
        old = self._rules
        self._rules = {rule.id: rule for rule in book.rules}
        self._by_kind = {}
        for order, rule in enumerate(book.rules):
            self._by_kind.setdefault(rule.for_each, []).append((order, rule))
        for key, memory in list(self._state.rules.items()):
            found = self._rules.get(memory.rule)
            if found is None or not found.matches(memory.subject):
                self._remove(key, memory, old.get(memory.rule), now)
            elif not resumed:
                self._carry(memory, old.get(memory.rule), found, now)
        self._asked.clear()
        self._unconnected.clear()
        self._due.clear()
        self._heap.clear()
        self._evaluator.release()
        self._firing.recount(self._rules, now)
        self.attach(list(self._evaluator.tree.nodes.values()))
        self.attentive_count = sum(one.attentive for one in self._state.rules.values())
        self._evaluator.prune()
        if not resumed:
            self._evaluator.requeue()

    def _remove(self, key: str, memory: RuleMemory, rule: Rule | None, now: EngineNs) -> None:
        """A rule that is gone, or no longer about this subject, ends and says why."""
        del self._state.rules[key]
        self.gone.add((memory.rule, memory.subject))
        self.changed.discard((memory.rule, memory.subject))
        before = memory.state
        if before.state is AlertState.INACTIVE:
            return
        alert = "".join(word[:1].upper() + word[1:] for word in memory.rule.split("_"))
        self.transitions.append(
            AlertTransition(
                rule=memory.rule,
                subject=memory.subject,
                alert=alert,
                severity=memory.severity,
                before=before.state,
                after=AlertState.INACTIVE,
                at_ns=now,
                firing_epoch_ns=before.firing_epoch_ns,
                expression="" if rule is None else rule.condition,
                inputs=(),
                summary=f"Ended: the rule {memory.rule} was removed"[:120],
                description="The rulebook no longer asks this rule about this subject. "
                "Nothing was found to be well again.",
                action="",
                runbook="" if rule is None else rule.runbook,
                reason=REMOVED,
            ),
        )

    def _carry(self, memory: RuleMemory, old: Rule | None, new: Rule, now: EngineNs) -> None:
        state = memory.state
        if memory.restored:
            state = restored(new, state, stopped_ns=self._state.stopped_ns, now=now)
            memory.restored = memory.asked = False
        if memory.definition != new.definition:
            judged_by = old if old is not None else replace(new, definition=memory.definition)
            state = carried_over(judged_by, new, state, now)
            memory.definition = new.definition
            if old is not None and new.mode is RuleMode.OBSERVE is not old.mode:
                memory.owed = state.firing  # what it asked for before has to go
            memory.attentive, memory.asked = True, False
            memory.armed_ns = 0
        if state is not memory.state:
            memory.state = state
            self.changed.add((memory.rule, memory.subject))
        memory.severity = new.severity

    def attach(self, nodes: list[Node]) -> None:
        """Make the rules' instances about new subjects; those never asked are due."""
        waiting, self._unconnected = self._unconnected, []
        for asked in waiting:  # an ancestor may exist by now (a market's asset, once listed)
            self._connect(asked)
        for node in nodes:
            for order, rule in self._by_kind.get(node.kind, ()):
                if rule.matches(node.subject):
                    self._attach(rule, order, node)
        if nodes:
            self._firing.listed(self._state.now_ns)

    def _attach(self, rule: Rule, order: int, node: Node) -> None:
        key = f"{rule.id}|{node.subject}"
        if key in self._asked:
            return
        memory = self._state.rules.get(key)
        if memory is None:
            memory = self._state.rules[key] = RuleMemory(
                rule=rule.id,
                subject=node.subject,
                definition=rule.definition,
                severity=rule.severity,
            )
        asked = self._asked[key] = Asked(rule, order, node, memory)
        self._connect(asked)
        if memory.armed_ns:
            self._push(memory.armed_ns, asked)
        if not memory.asked:
            self._make_due(asked)

    def _connect(self, asked: Asked) -> None:
        """Watch every measure the rule reads that exists by now."""
        for variable, limits in limits_of(asked.rule).items():
            if asked.inputs.get(variable) is not None:
                continue
            instance = self._find(variable, asked.node)
            asked.inputs[variable] = instance
            if instance is None:
                if asked not in self._unconnected:
                    self._unconnected.append(asked)
                continue
            instance.watch(asked, limits)
            instance.attend(asked, every=asked.memory.attentive)

    def _find(self, variable: str, node: Node) -> Instance | None:
        """The measure a variable stands for: of the subject, else of its nearest ancestor."""
        other = rule_input(variable)
        if other is not None:
            if len(other.rules) > 1 or other.measure == HERE:
                return self._evaluator.demand(other.measure, self._firing.join(other, node))
            target = self._evaluator.tree.nodes.get(rule_subject(other.rule_id))
            return None if target is None else self._evaluator.demand(other.measure, target)
        for kind in VISIBLE[node.kind]:
            if self._evaluator.lookout.exists(variable, kind):
                # The nearest kind that has it, even where that ancestor is not known yet: a wider
                # one would answer another question.
                places = (place for place in (node, *node.ancestors) if place.kind is kind)
                found = next(places, None)
                return None if found is None else self._evaluator.demand(variable, found)
        return None

    # ---------------------------------------------------------------------------- running

    def run(self, now: EngineNs) -> None:
        """Ask every rule that is due, in the rulebook's order, then by subject."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            at, _, asked = heapq.heappop(heap)
            if asked.memory.armed_ns == at:
                asked.memory.armed_ns = 0
                asked.timed = True
                self._make_due(asked)
        self._collect()
        while self._due:
            _, _, asked = heapq.heappop(self._due)
            asked.due = False
            if not self._plainly_false(asked, now):
                self._ask(asked, now)
            self._collect()

    def asked(self, rule: str, subject: Subject) -> Asked | None:
        """A rule about a subject, with what it reads; None where it is not asked."""
        return self._asked.get(f"{rule}|{subject}")

    def blocking(self, subjects: Collection[Subject], *, but_hedges: bool) -> list[str]:
        """Rules that fire about one of these and ask for more than to be told, by id: what they
        hold, or would hold, is not to grow; ``but_hedges``: those that allow hedges, else those
        that do not."""
        return sorted(
            {
                one.rule.id
                for one in self._asked.values()
                if one.node.subject in subjects
                and one.rule.level is not ActionLevel.PAGE
                and (one.rule.because is Because.RISK) is but_hedges
                and one.memory.state.state in FIRES
            }
        )

    def permits(self, rule: str, subject: Subject, now: EngineNs) -> bool:
        """Whether a rule that has ended permits re-entry now, on known data and on no estimate; one
        that asks for nothing, or is gone from the rulebook, does."""
        asked = self._asked.get(f"{rule}|{subject}")
        if asked is None or asked.rule.reentry is None or not asked.memory.state.reentry_pending:
            return True
        look = Look(partial(self._reader.read, asked, now), now, asked.rule.max_staleness_ns)
        return asked.rule.reentry.evaluate(look.value) is Verdict.TRUE and not look.estimated

    def next_deadline_ns(self) -> EngineNs | None:
        """The earliest time at which a rule must be asked though no measure moved."""
        heap = self._heap
        while heap and heap[0][2].memory.armed_ns != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def _collect(self) -> None:
        touched = self._evaluator.touched
        if not touched:
            return
        for watcher in touched:
            if not watcher.due and isinstance(watcher, Asked):
                self._make_due(watcher)
        touched.clear()

    def _make_due(self, asked: Asked) -> None:
        asked.due = True
        heapq.heappush(self._due, (asked.order, asked.node.subject, asked))

    def _push(self, at: EngineNs, asked: Asked) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (at, self._sequence, asked))

    def _plainly_false(self, asked: Asked, now: EngineNs) -> bool:
        """A touched rule that is inactive, was known, and is still known to be false: the answer to
        most touches of rules that compare measures with each other, at a fraction of a step."""
        memory, when = asked.memory, asked.rule.when
        if when is None or asked.timed or not (asked.simple and memory.quiet):
            return False
        return when.evaluate(partial(self._reader.value, asked, now)) is Verdict.FALSE

    def _ask(self, asked: Asked, now: EngineNs) -> None:
        memory, rule, requests = asked.memory, asked.rule, self._requests
        before = memory.state
        memory.asked = True
        asked.timed = False
        self._reader.stale = False
        self.steps_total += 1
        try:
            result = step(rule, before, partial(self._reader.read, asked, now), now)
        except Exception as error:  # noqa: BLE001 - containment: one rule (design.md §2)
            result = broken(before, f"{type(error).__name__}: {error}"[:300])
        after = result.state
        if after is not before:
            memory.state = after
            self.changed.add((memory.rule, memory.subject))
        if result.error_changed:
            self.health.append(
                RuleHealth(rule=rule.id, subject=memory.subject, error=after.error, at_ns=now),
            )
        if result.changed:
            self.transitions.append(
                describe(
                    rule,
                    before,
                    result,
                    asked.node.subject,
                    partial(self._reader.cite, asked, now),
                    now,
                    allowed=self._allowed,
                )
            )
            self._firing.told(
                rule.id, memory.subject, now, before=before.firing, after=after.firing
            )
            if after.firing and not before.firing and rule.level is not ActionLevel.PAGE:
                requests.ask(asked, result, now)
        if memory.owed and (not after.firing or result.verdict is Verdict.TRUE):
            memory.owed = False
            if before.firing and after.firing and rule.level is not ActionLevel.PAGE:
                requests.ask(asked, result, now)
        elif memory.capped:
            if not after.firing:
                memory.capped = False
            elif result.verdict is Verdict.TRUE and not requests.weak(asked, result, now):
                requests.ask(asked, result, now)
        requests.look_again(asked, result, now)
        self._rearm(asked, result, now)

    def _rearm(self, asked: Asked, result: Step, now: EngineNs) -> None:
        memory, rule, after = asked.memory, asked.rule, result.state
        attentive = (
            self._reader.stale or memory.capped or bool(memory.seen_ns and not memory.confirmed)
        )
        if rule.confirm is not None and not after.firing:
            attentive = attentive or bool(after.confirmations.outcomes)
            attentive = attentive or result.verdict is Verdict.TRUE
        if attentive is not memory.attentive:
            memory.attentive = attentive
            self.attentive_count += 1 if attentive else -1
            for instance in asked.inputs.values():
                if instance is not None:
                    instance.attend(asked, every=attentive)
        memory.quiet = (
            result.verdict is Verdict.FALSE
            and after.state is AlertState.INACTIVE
            and not (attentive or after.reentry_pending or after.settling_until_ns is not None)
        )
        wake = result.wake_at_ns if result.wake_at_ns is not None else FOREVER_NS
        if memory.seen_ns and not memory.confirmed:  # other rules tell nothing while they fire
            due = memory.seen_ns[-1] + APART_NS_MIN
            wake = min(wake, due if due > now else now + RETRY_NS)
        if memory.capped and rule.rule_inputs:  # nor when what they rest on is known again
            wake = min(wake, now + RETRY_NS)
        if self._reader.stale:  # heartbeats may prove it fresh again, and nothing would tell
            wake = min(wake, now + RETRY_NS)
        armed = 0 if wake >= FOREVER_NS else max(wake, now + 1)
        if armed != memory.armed_ns:
            memory.armed_ns = armed
            if armed:
                self._push(armed, asked)
