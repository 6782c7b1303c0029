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
    CitedReading,
    KillRequest,
    RuleHealth,
    RuleMode,
)
from monitor.core.killswitch.levels import CONFIRMATION_REQUIRED
from monitor.core.measures.evaluator import Evaluator
from monitor.core.measures.feeds import VENUES, venue_of_subject
from monitor.core.measures.instance import Instance
from monitor.core.measures.looking import reading_of
from monitor.core.measures.rule_states import HERE, asset_of, firing_of
from monitor.core.measures.spec import Reading
from monitor.core.measures.tree import Node, RuleNode
from monitor.core.measures.use import FOREVER_NS, RETRY_NS
from monitor.core.rule_asked import (
    Asked,
    broken,
    is_within,
    judged_alike,
    limits_of,
    rests_on_known,
    rule_observed_ns,
)
from monitor.core.rule_sources import independent_sources
from monitor.core.rules import (
    Rule,
    RuleBook,
    RuleInput,
    RuleState,
    Step,
    carried_over,
    describe,
    restored,
    scope_subject,
    step,
)
from monitor.core.rules.checks import APART_NS_MIN, VISIBLE, rule_input
from monitor.core.rules.evidence import Look
from monitor.core.state.facts import RULE_BIT
from monitor.core.state.model import RiskState, RuleMemory, RuleStatus
from monitor.core.types import (
    AlertState,
    EngineNs,
    Subject,
    SubjectKind,
    Verdict,
    rule_subject,
)

# What estimates, and missing data, may ask for at most.
MILD = frozenset({ActionLevel.PAGE, ActionLevel.HOLD})
REMOVED = "rule_removed"
_FIRES = frozenset({AlertState.FIRING, AlertState.RECOVERING})


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
        self._stale = False
        self._firing: dict[str, int] = {}
        self._joined: dict[str, list[RuleNode]] = {}
        self.transitions: list[AlertTransition] = []
        self.kill_requests: list[KillRequest] = []
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
        self._joined.clear()
        self._unconnected.clear()
        self._due.clear()
        self._heap.clear()
        self._evaluator.release()
        self._count_firing(now)
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
            memory.attentive, memory.asked = True, False
            memory.armed_ns = 0
        if state is not memory.state:
            memory.state = state
            self.changed.add((memory.rule, memory.subject))
        memory.severity = new.severity

    def _count_firing(self, now: EngineNs) -> None:
        """Recount which rules fire; only a different answer restarts ``rule_state_s``."""
        self._firing = dict.fromkeys(self._rules, 0)
        for memory in self._state.rules.values():
            self._firing[memory.rule] += memory.state.firing
        status = self._state.rule_status
        for rule_id in [known for known in status if known not in self._rules]:
            del status[rule_id]
        for rule_id, count in self._firing.items():
            node = self._evaluator.tree.add_rule(rule_id)
            known = status.get(rule_id)
            if known is None:
                known = status[rule_id] = RuleStatus(since_ns=now)
            if known.firing is not (count > 0):
                known.firing, known.since_ns = count > 0, now
            node.firing, node.since_ns = known.firing, known.since_ns

    def attach(self, nodes: list[Node]) -> None:
        """Make the rules' instances about new subjects; those never asked are due."""
        waiting, self._unconnected = self._unconnected, []
        for asked in waiting:  # an ancestor may exist by now (a market's asset, once listed)
            self._connect(asked)
        for node in nodes:
            for order, rule in self._by_kind.get(node.kind, ()):
                if rule.matches(node.subject):
                    self._attach(rule, order, node)

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
                return self._evaluator.demand(other.measure, self._join(other, node))
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

    def _join(self, several: RuleInput, asking: Node) -> RuleNode:
        """The node of several rules together, which moves with each of them; of rules about one
        asset, with what they say of that."""
        place = f"@{asking.subject}" if several.measure == HERE else ""
        node = self._evaluator.tree.add_rule(f"{several.rule_id}{place}")
        node.firing = self._any_fires(node)
        for rule_id in several.rules:
            joined = self._joined.setdefault(f"{rule_id}{place}", [])
            if node not in joined:
                joined.append(node)
        return node

    def _any_fires(self, node: RuleNode) -> bool:
        found = any(map(self._firing.get, node.rules))
        return found and (not node.asset or any(firing_of(self._state, node)))

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
                and one.memory.state.state in _FIRES
            }
        )

    def permits(self, rule: str, subject: Subject, now: EngineNs) -> bool:
        """Whether a rule that has ended permits re-entry now, on known data and on no estimate; one
        that asks for nothing, or is gone from the rulebook, does."""
        asked = self._asked.get(f"{rule}|{subject}")
        if asked is None or asked.rule.reentry is None or not asked.memory.state.reentry_pending:
            return True
        look = Look(partial(self._read, asked, now), now, asked.rule.max_staleness_ns)
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
        return when.evaluate(partial(self._value, asked, now)) is Verdict.FALSE

    def _value(self, asked: Asked, now: EngineNs, name: str) -> float | None:
        instance = asked.inputs.get(name)
        if instance is None:
            return None
        cell = instance.cell
        if cell.computed_ns != now:
            self._evaluator.refresh(instance, now)
        if cell.expires_ns <= now or now - cell.as_of_ns > asked.staleness_ns:
            return None
        return cell.value

    def _ask(self, asked: Asked, now: EngineNs) -> None:
        memory, rule = asked.memory, asked.rule
        before = memory.state
        memory.asked = True
        asked.timed = False
        self._stale = False
        self.steps_total += 1
        try:
            result = step(rule, before, partial(self._read, asked, now), now)
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
            self._tell(asked, before, result, now)
        if memory.owed and (not after.firing or result.verdict is Verdict.TRUE):
            memory.owed = False
            if before.firing and after.firing and rule.level is not ActionLevel.PAGE:
                self._request(asked, result, now)
        elif memory.capped:
            if not after.firing:
                memory.capped = False
            elif result.verdict is Verdict.TRUE and not self._weak(asked, result, now):
                self._request(asked, result, now)
        self._look_again(asked, result, now)
        self._rearm(asked, result, now)

    def _look_again(self, asked: Asked, result: Step, now: EngineNs) -> None:
        """What fires and was not confirmed by its own observations or sources (it needed none, or a
        restart lies between) asks once more when it is seen again, far enough apart."""
        memory = asked.memory
        if not result.state.firing:
            memory.confirmed, memory.seen_ns = False, ()
            return
        if (
            memory.confirmed
            or memory.capped
            or asked.rule.level not in CONFIRMATION_REQUIRED
            or result.verdict is not Verdict.TRUE
            or result.estimated
            or result.by_absence
        ):
            return
        seen_ns = memory.seen_ns
        for at_ns in result.observations_ns:
            if not seen_ns or at_ns >= seen_ns[-1] + APART_NS_MIN:
                seen_ns = (*seen_ns, at_ns)
        if len(seen_ns) > max(len(memory.seen_ns), 1):
            memory.seen_ns = seen_ns
            self._request(asked, result, now)
        memory.seen_ns = seen_ns

    def _tell(self, asked: Asked, before: RuleState, result: Step, now: EngineNs) -> None:
        """A transition, and the action where an episode begins."""
        subject = asked.node.subject
        cite = partial(self._cite, asked, now)
        self.transitions.append(
            describe(asked.rule, before, result, subject, cite, now, allowed=self._allowed)
        )
        rule_id = asked.rule.id
        if result.state.firing is before.firing:
            if result.state.firing:  # RECOVERING, or FIRING again
                self._moved(rule_id, subject, now)
            return
        self._firing[rule_id] += 1 if result.state.firing else -1
        status = self._state.rule_status[rule_id]
        if status.firing is not (self._firing[rule_id] > 0):
            status.firing, status.since_ns = not status.firing, now
            node = self._evaluator.tree.add_rule(rule_id)
            node.firing, node.since_ns = status.firing, now
        self._moved(rule_id, subject, now)
        if result.state.firing and asked.rule.level is not ActionLevel.PAGE:
            self._request(asked, result, now)

    def _moved(self, rule_id: str, subject: Subject, now: EngineNs) -> None:
        """What is read of a rule is read anew, also where several are read together, or what it
        says of an asset."""
        self._evaluator.touch(self._evaluator.tree.add_rule(rule_id), RULE_BIT, now)
        about = f"{rule_id}@asset:{asset_of(self._state, subject)}"
        for node in (*self._joined.get(rule_id, ()), *self._joined.get(about, ())):
            firing = self._any_fires(node)
            if node.firing is not firing:
                node.firing, node.since_ns = firing, now
            self._evaluator.touch(node, RULE_BIT, now)

    def _request(self, asked: Asked, result: Step, now: EngineNs) -> None:
        """Ask the kill switch; what rests on estimates or on absence may hold but not cut."""
        rule, memory = asked.rule, asked.memory
        level = rule.level
        memory.capped = level not in MILD and self._weak(asked, result, now)
        target = self._read(asked, now, rule.gross_to_measure)
        observations_ns = max(result.observations_ns, memory.seen_ns, key=len)
        sources = independent_sources(
            rule,
            asked.inputs,
            result.state.flags,
            self._state,
            partial(self._value, asked, now),
            now,
        )
        memory.confirmed = not memory.capped and (
            len(sources) > 1
            or max(observations_ns, default=0) - min(observations_ns, default=0) >= APART_NS_MIN
        )
        self.kill_requests.append(
            KillRequest(
                rule=rule.id,
                subject=memory.subject,
                scope=scope_subject(rule, memory.subject),
                level=ActionLevel.HOLD if memory.capped else level,
                mode=rule.mode,
                gross_to_ratio=None if memory.capped else rule.gross_to_ratio,
                firing_epoch_ns=result.state.firing_epoch_ns or 0,
                capped_by_estimate=memory.capped,
                rule_hash=rule.fingerprint,
                observations_ns=observations_ns,
                sources=sources,
                mode_max=rule.mode_max,
                because=rule.because,
                gross_to_usd=None if target is None or memory.capped else target.value,
                gross_to_measure=rule.gross_to_measure,
                severity=rule.severity,
            ),
        )

    def _weak(self, asked: Asked, result: Step, now: EngineNs) -> bool:
        """Whether anything of what would be asked for is not known for certain: how much a cut is
        to leave is as much a part of it as its condition."""
        if result.estimated or result.by_absence:
            return True
        name = asked.rule.gross_to_measure
        target = self._read(asked, now, name) if name else None
        return bool(name) and (target is None or target.estimated)

    def _rearm(self, asked: Asked, result: Step, now: EngineNs) -> None:
        memory, rule, after = asked.memory, asked.rule, result.state
        attentive = self._stale or memory.capped or bool(memory.seen_ns and not memory.confirmed)
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
        if self._stale:  # heartbeats may prove it fresh again, and nothing would tell
            wake = min(wake, now + RETRY_NS)
        armed = 0 if wake >= FOREVER_NS else max(wake, now + 1)
        if armed != memory.armed_ns:
            memory.armed_ns = armed
            if armed:
                self._push(armed, asked)

    def _read(self, asked: Asked, now: EngineNs, name: str) -> Reading | None:
        instance = asked.inputs.get(name)
        if instance is None:
            return None
        self._evaluator.refresh(instance, now)
        cell = instance.cell
        if cell.value is None or cell.expires_ns <= now:
            return None
        if now - cell.as_of_ns > asked.staleness_ns:
            self._stale = True
        reading = reading_of(cell)
        other = rule_input(name)
        if reading is None or other is None or not any(map(self._firing.get, other.rules)):
            return reading
        if other.measure == HERE and reading.value == 0.0:  # it fires about other assets alone
            return reading
        observed_ns = rule_observed_ns(instance, self._asked.values(), self._evaluator, now)
        # What one rule reads of another is no better known than what that other one rests on.
        stale = self._stale
        counted = _FIRES if other.measure != VENUES else {AlertState.FIRING}
        known = {
            venue_of_subject(one.node.subject)
            for one in list(self._asked.values())
            if one.rule.id in other.rules
            and one.memory.state.state in counted
            and is_within(one.node, instance.node)
            and rests_on_known(one, partial(self._read, one, now), now)
        }
        self._stale = stale
        # That it fires is known by one of them, on how many venues by as many: by fewer, where they
        # alone decide, whatever the others would say.
        value, weak = reading.value, not known
        if other.measure == VENUES:
            weak = len(known) < value
            if weak and judged_alike(asked.rule, name, float(len(known)), value):
                value, weak = float(len(known)), False
        return replace(reading, value=value, observed_ns=observed_ns, estimated=weak)

    def _cite(self, asked: Asked, now: EngineNs, name: str) -> CitedReading:
        other = rule_input(name)
        measure = name if other is None else other.measure
        instance = asked.inputs.get(name)
        if instance is None:
            return CitedReading(
                measure=measure,
                subject=asked.node.subject,
                value=None,
                unit="",
                as_of_ns=None,
                reason="there is no such measure here",
            )
        self._evaluator.refresh(instance, now)
        cell = instance.cell
        known = cell.value is not None and cell.expires_ns > now
        detail = instance.definition.detail
        return CitedReading(
            measure=measure,
            subject=instance.node.subject,
            value=cell.value if known else None,
            unit=instance.definition.spec.unit.value,
            as_of_ns=cell.as_of_ns if known else None,
            estimated=cell.estimated and known,
            reason="" if known else cell.reason,
            words=instance.definition.spec.words,
            text=detail(instance.node, self._state, now) if known and detail is not None else "",
        )
