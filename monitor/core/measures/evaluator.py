"""Recomputes what changed, and only what somebody asks about, in the order of dependence.

A measure about a subject is an *instance*. Instances exist where a rule (or a measure that
remembers) needs them; everything else is computed when it is read. One heap holds every deadline;
entries are re-armed lazily when they are popped. *Pure.*
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from math import ceil, inf

from monitor.core.decision import ComputationRequest
from monitor.core.measures.definition import (
    HOLDINGS,
    Definition,
    Key,
    Relation,
    rank_definitions,
)
from monitor.core.measures.instance import Instance, Watcher, appended
from monitor.core.measures.looking import Lookout
from monitor.core.measures.patience import find_lazy
from monitor.core.measures.tree import AccountNode, MarketNode, Node, PositionNode, Tree
from monitor.core.measures.use import FOREVER_NS, RETRY_NS, Use
from monitor.core.settings import EngineSettings, cadence_ns
from monitor.core.state.facts import MarketBit
from monitor.core.state.model import Cell, RiskState
from monitor.core.types import SECOND_NS, EngineNs, Subject, asset_subject

_PARAMETERS = MarketBit.PARAMETERS
HOLDER_BITS = MarketBit.MARK | MarketBit.ORACLE | MarketBit.PREDICTED | _PARAMETERS


class Evaluator:
    """Instances, their queue and their deadlines.

    ``touched`` collects the watchers to ask again; ``errors`` what raised or left its range since
    the last run, ``errors_total`` how often by measure; ``requests`` what is to be computed
    off the loop. ``lookout`` reads what is kept, and computes what is not.
    """

    def __init__(
        self,
        state: RiskState,
        settings: EngineSettings,
        definitions: Mapping[Key, Definition],
    ) -> None:
        self._state = state
        self._settings = settings
        self._definitions = definitions
        self._ranks = rank_definitions(definitions)
        self.lookout = Lookout(state, settings, definitions)
        self._use = Use(state, settings, self.lookout.peek).with_sides()
        self.requests: list[ComputationRequest] = []
        self._use.requests = self.requests
        self._queue: list[list[Instance]] = [[] for _ in range(max(self._ranks.values()) + 1)]
        self._always = [one for one in definitions.values() if one.always]
        self._heap: list[tuple[EngineNs, int, Instance]] = []
        self._sequence = 0
        self._restructured = True
        self.tree = Tree(state, settings)
        self.touched: list[Watcher] = []
        self.errors: list[str] = []
        self.errors_total: dict[str, int] = {}
        self.recomputed_total = 0

    # ------------------------------------------------------------------------- structure

    def build(self) -> None:
        """Nodes and remembering measures for a whole state, new or restored. What the state has
        computed already is not computed again."""
        self.tree.build()
        self._demand_always(list(self.tree.nodes.values()))

    def appear(self) -> list[Node]:
        """Nodes for the subjects that appeared since the last run, joined to whatever already
        reads their kind of subject."""
        if not self._state.appeared:
            return []
        made: list[Node] = []
        held: list[Node] = []
        for kind, venue, name, rest in self._state.appeared:
            made += self.tree.add(kind, venue, name, rest)
            if kind == "asset":
                held.append(self.tree.nodes[asset_subject(rest)])
        self._state.appeared.clear()
        self._demand_always(made)
        for node in made:
            for owner in node.owners:
                for instance in list(owner.instances.values()):
                    self._join(instance, node)
            held += node.related(Relation.ASSET)
        for asset in held:  # a first position, or the listing of its market, makes a holder
            for holder in asset.related(Relation.HOLDERS):
                for instance in list(asset.instances.values()):
                    self._join(instance, holder)
        return made

    def release(self) -> None:
        """Forget every demand but that of measures that remember, before a new rulebook's rules
        state theirs; ``prune`` then drops the readings nobody asks about any more."""
        self._heap.clear()
        for waiting in self._queue:
            waiting.clear()
        for node in self.tree.nodes.values():
            node.instances.clear()
            node.by_bits.clear()
            if isinstance(node, MarketNode):
                node.followers.clear()
        self._demand_always(list(self.tree.nodes.values()))

    def prune(self) -> None:
        """Drop kept readings without an instance."""
        nodes = self.tree.nodes
        for key in list(self._state.cells):
            name, _, subject = key.partition("|")
            node = nodes.get(Subject(subject))
            if node is None or name not in node.instances:
                del self._state.cells[key]

    def requeue(self) -> None:
        """Everything in demand is to be computed in the next run."""
        for node in self.tree.nodes.values():
            for instance in node.instances.values():
                self._enqueue(instance)

    def _demand_always(self, nodes: list[Node]) -> None:
        for node in nodes:
            for definition in self._always:
                if definition.kind is node.kind:
                    self.demand(definition.name, node)

    def _join(self, instance: Instance, made: Node) -> None:
        definition = instance.definition
        for links, whole in ((definition.needs, True), (definition.knows, False)):
            for relation, name in links:
                if made in instance.node.related(relation):
                    self._feed(instance, made, name, whole=whole)
                    self._enqueue(instance)

    def _feed(self, instance: Instance, node: Node, name: str, *, whole: bool) -> None:
        source = self.demand(name, node)
        if source is None:
            return
        readers = source.dependents if whole else source.witnesses
        if instance not in readers:
            readers = appended(readers, instance)
            if whole:
                source.dependents = readers
            else:
                source.witnesses = readers
            source.set_previewable()
            instance.inputs = appended(instance.inputs, source)

    def demand(self, name: str, node: Node) -> Instance | None:
        """The instance of a measure about a subject, made with all it reads; None where the
        measure does not exist for that kind of subject."""
        self._restructured = True  # whoever demands it may be the first who cannot wait
        found = node.instances.get(name)
        if found is not None:
            return found
        definition = self._definitions.get((name, node.kind))
        if definition is None:
            return None
        key = f"{name}|{node.subject}"
        cell = self._state.cells.get(key)
        if cell is None:
            cell = self._state.cells[key] = Cell()
        instance = Instance(definition, node, cell, self._ranks[name, node.kind])
        if name == HOLDINGS:
            instance.cadence_ns = cadence_ns(self._settings.valuation_cadence_s)
        node.instances[name] = instance
        node.by_bits.clear()
        if isinstance(node, AccountNode):
            for place in node.markets.values():
                place.by_bits.clear()
        elif isinstance(node, PositionNode) and definition.market_bits:
            node.market.followers.append(instance)
            node.market.by_bits.clear()
        for links, whole in ((definition.needs, True), (definition.knows, False)):
            for relation, needed in links:
                for other in node.related(relation):
                    self._feed(instance, other, needed, whole=whole)
        if cell.armed_ns:
            self._push(cell.armed_ns, instance)
        if cell.computed_ns < 0:
            self._enqueue(instance)
        return instance

    # ----------------------------------------------------------------------------- running

    def run(self, now: EngineNs) -> None:
        """Recompute what is dirty or due."""
        if self._restructured:
            self._restructured = False
            find_lazy(one for node in self.tree.nodes.values() for one in node.instances.values())
        self._pop_due(now)
        nodes = self.tree.nodes
        dirty = self._state.dirty
        for subject, bits in dirty.items():
            node = nodes.get(subject)
            if node is None:
                continue
            if bits & _PARAMETERS:
                node.by_bits.clear()  # caps may have come or gone
            affected = node.by_bits.get(bits)
            if affected is None:
                affected = self._affected(node, bits)
            self._offer(affected, node, now)
        dirty.clear()
        self.settle(now)

    def settle(self, now: EngineNs) -> None:
        """Work the queue off, lowest rank first."""
        queue = self._queue
        while True:
            for waiting in queue:
                for instance in waiting:
                    instance.queued = False
                    self._recompute(instance, now)
                waiting.clear()
            # Recomputing queues higher ranks, but what is pulled may have readers of lower ones.
            if not any(queue):
                return

    def touch(self, node: Node, bits: int, now: EngineNs) -> None:
        """Facts of a subject changed that are not in the state (a rule's own state)."""
        self._offer(node.by_bits.get(bits) or self._affected(node, bits), None, now)
        self.settle(now)

    def refresh(self, instance: Instance, now: EngineNs) -> None:
        """Bring a reading and all it rests on up to ``now``: channels may have proven it fresher
        without a message, and ages have grown."""
        if instance.cell.computed_ns == now:
            return
        if instance.cadence_ns and now - instance.cell.computed_ns < instance.cadence_ns:
            return
        for source in instance.inputs:
            self.refresh(source, now)
        if instance.cell.computed_ns != now:
            self._recompute(instance, now)
            self.settle(now)

    def next_deadline_ns(self) -> EngineNs | None:
        """The earliest time at which something must be recomputed though nothing is told."""
        heap = self._heap
        while heap and heap[0][2].cell.armed_ns != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def _affected(self, node: Node, bits: int) -> tuple[Instance, ...]:
        found = [one for one in node.instances.values() if one.definition.bits & bits]
        if isinstance(node, MarketNode) and bits & _holder_bits(node):
            found.extend(holder.instances[HOLDINGS] for holder in node.holders)
        if isinstance(node, MarketNode):
            found.extend(one for one in node.followers if one.definition.market_bits & bits)
        result = node.by_bits[bits] = tuple(found)
        return result

    def _enqueue(self, instance: Instance) -> None:
        if not instance.queued:
            instance.queued = True
            self._queue[instance.rank].append(instance)

    def _offer(self, instances: Iterable[Instance], told: Node | None, now: EngineNs) -> None:
        """Queue those that may not wait: because they plainly stay between the limits asked about,
        for their cadence or their readers', or because a young age stays young. ``told`` is the
        subject that something was told about: a cadence bounds what others' facts cause, and news
        about the subject itself only where the measure is patient."""
        queue = self._queue
        for instance in instances:
            if instance.queued:
                continue
            if instance.previewable:
                value = instance.preview(instance.node)  # type: ignore[misc]  # previewable
                if value is not None:
                    known = instance.cell.value
                    if (
                        instance.guard_low < value < instance.guard_high or value == known
                        if known is not None
                        else value != value  # noqa: PLR0124 - NaN: still surely absent
                    ):
                        instance.skipped = True
                        continue
            elif instance.cadence_ns:
                cell = instance.cell
                if cell.computed_ns >= 0 and (instance.patient or instance.node is not told):
                    due = cell.computed_ns + instance.cadence_ns
                    if now < due:
                        # By hand: dozens of these stand behind every valuation of an account.
                        if due < cell.armed_ns or not cell.armed_ns:
                            self._arm(instance, due)
                        continue
            elif instance.lazy:
                if instance.cell.computed_ns >= 0:
                    self._offer_slow(instance, now)
                    continue
            elif (
                instance.clock
                and instance.cell.value is not None
                and instance.guard_low == -inf
                and not instance.attentive
                and not instance.dependents
            ):
                continue
            instance.queued = True
            queue[instance.rank].append(instance)

    def _offer_slow(self, source: Instance, now: EngineNs) -> None:
        """Tell readers that wait for their cadence. One that is armed looks by itself, and is not
        told again before: dozens of these stand behind every valuation of an account."""
        if now < source.slow_until_ns:
            return
        until = FOREVER_NS
        for reader in source.slow:
            if reader.lazy:
                self._offer_slow(reader, now)
                at = reader.slow_until_ns
            else:
                self._offer((reader,), None, now)
                at = now if reader.queued else reader.cell.armed_ns
            until = min(until, at)
        source.slow_until_ns = until

    def _pop_due(self, now: EngineNs) -> None:
        heap = self._heap
        while heap and heap[0][0] <= now:
            at, _, instance = heapq.heappop(heap)
            if instance.cell.armed_ns == at:
                instance.cell.armed_ns = 0
                self._enqueue(instance)

    def _arm(self, instance: Instance, at: EngineNs) -> None:
        cell = instance.cell
        if cell.armed_ns == 0 or at < cell.armed_ns:
            cell.armed_ns = at
            self._push(at, instance)

    def _push(self, at: EngineNs, instance: Instance) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (at, self._sequence, instance))

    # ------------------------------------------------------------------------- recomputing

    def _pull(self, instance: Instance, now: EngineNs) -> None:
        """Compute its lazy inputs, which wait for this."""
        instance.queued = True  # what they are now is about to be read: not a reason to come again
        for source in instance.pulled:
            if source.cell.computed_ns != now:
                self._recompute(source, now)
        instance.queued = False

    def _recompute(self, instance: Instance, now: EngineNs) -> None:
        if instance.pulled:
            self._pull(instance, now)
        use, cell = self._use, instance.cell
        use.begin(now)
        try:
            value = instance.compute(instance.node, use)
        except Exception as error:  # noqa: BLE001 - containment: one measure (design.md §2)
            value = None
            self._failed(instance, f"{type(error).__name__}: {error}")
        if value is not None and not instance.low <= value <= instance.high:
            self._failed(instance, f"computed {value!r}, outside its range")
            value = None
        self.recomputed_total += 1
        before, told, was_estimated = cell.value, cell.observed_ns, cell.estimated
        cell.computed_ns = now
        cell.value = value
        deadline = use.wake
        # What is to be computed again by itself drifts meanwhile: whoever reads it computes it.
        instance.skipped = deadline < FOREVER_NS
        if value is None:
            cell.reason, cell.lack = use.why
            cell.estimated = False
            cell.observed_ns = 0
        else:
            expires = use.expires
            if instance.max_age < FOREVER_NS:
                expires = min(expires, use.as_of + instance.max_age)
            cell.as_of_ns, cell.expires_ns = use.as_of, expires
            cell.observed_ns, cell.estimated = use.observed, use.estimated
            deadline = min(deadline, expires)
        same_quality = cell.estimated is was_estimated
        if instance.watchers:
            self._notify(instance, before, value, same_quality=same_quality)
        if instance.clock:
            deadline = min(deadline, self._crossing(instance, now))
        elif instance.periodic:
            deadline = min(deadline, now + instance.cadence_ns)
        armed = cell.armed_ns
        if deadline < FOREVER_NS and (armed == 0 or deadline < armed):
            self._arm(instance, deadline if deadline > now else now + 1)
        if instance.dependents and (
            value != before
            or not same_quality
            or cell.observed_ns != told
            or instance.definition.hidden
        ):
            self._offer(instance.hot, None, now)
            self._offer_slow(instance, now)
        if instance.witnesses and ((value is None) is not (before is None) or not same_quality):
            self._offer(instance.witnesses, None, now)

    def _notify(
        self,
        instance: Instance,
        before: float | None,
        value: float | None,
        *,
        same_quality: bool,
    ) -> None:
        """Ask again whoever may see it differently now."""
        if (
            value is not None
            and before is not None
            and same_quality
            # One that rests on a limit crosses nothing: it is judged as before.
            and (
                value == before
                or (instance.guard_low < value < instance.guard_high and not instance.unguarded)
            )
            and not instance.attentive
        ):
            return
        touched = self.touched
        if not same_quality or (before is None) is not (value is None):
            touched.extend(instance.watchers)
            instance.set_guard()
            return
        if value is not None and before is not None and value != before:
            if not instance.guard_low < value < instance.guard_high:
                touched.extend(instance.crossed(before, value))
                instance.set_guard()
            touched.extend(instance.unguarded)
        if instance.attentive:
            touched.extend(instance.attentive)

    def _crossing(self, instance: Instance, now: EngineNs) -> EngineNs:
        """When an age reaches the next limit asked about; soon while it may also fall."""
        value = instance.cell.value
        if value is None:
            return FOREVER_NS
        at = FOREVER_NS
        if instance.guard_high < inf:
            at = now + ceil((instance.guard_high - value) * SECOND_NS) + 1
        if (
            instance.guard_low > -inf
            or instance.unguarded
            or instance.attentive
            or instance.dependents
        ):
            at = min(at, now + RETRY_NS)
        return at

    def _failed(self, instance: Instance, text: str) -> None:
        """Absent, counted, and named once per episode."""
        name = instance.definition.name
        self.errors_total[name] = self.errors_total.get(name, 0) + 1
        reason = f"error: {text}"[:300]
        if instance.cell.reason != reason or instance.cell.value is not None:
            self.errors.append(f"{name} of {instance.node.subject}: {text}"[:400])
        self._use.absent(reason)
        # Not to be tried again before something is told: the same inputs fail the same way.
        self._use.wake = FOREVER_NS


def _holder_bits(node: MarketNode) -> int:
    """What of a market values the positions in it; open interest where margin scales with it."""
    capped = node.market.open_interest_upper_cap_usd
    return HOLDER_BITS | MarketBit.OPEN_INTEREST if capped else HOLDER_BITS
